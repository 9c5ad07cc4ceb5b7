/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xHCI: the command ring, and what the commands do to slots.  xHCI 1.1, 4.6 and 6.4.3.  Left
 * out: what is optional for hosts without virtualization or bandwidth of their own.
 */
#include "device/usb/xhci_int.h"

enum { SET_ADDRESS = 5, ADD_SLOT = 1, ADD_CONTROL = 2 };

struct command {
    struct xhci *x;
    struct xhci_trb trb;
    u32 slot, endpoint;
};

static bool read_context(struct command *c, u64 at, u8 *p)
{
    return !gmem_read(xhci_ram(c->x), at, p, CONTEXT);
}

static bool write_context(struct command *c, u64 at, const u8 *p)
{
    return !gmem_write(xhci_ram(c->x), at, p, CONTEXT);
}

static struct xhci_slot *slot_of(struct command *c)
{
    return &c->x->state.slot[c->slot];
}

/* Contexts of the input: 0 says which count, 1 is the slot's, then the endpoints'. */
static bool input(struct command *c, u32 n, u8 *p)
{
    return read_context(c, (c->trb.parameter & ~15ull) + CONTEXT * (u64)n, p);
}

/* ---- slots ---- */

static u8 enable_slot(struct command *c)
{
    for (u32 i = 1; i <= XHCI_SLOTS && i <= (c->x->state.config & 0xff); i++) {
        struct xhci_slot *s = &c->x->state.slot[i];

        if (s->enabled)
            continue;
        memset(s, 0, sizeof(*s));
        s->enabled = true;
        c->slot = i;
        return CC_SUCCESS;
    }
    c->slot = 0;
    return CC_NO_SLOTS;
}

/* State and address of the slot, as its context in memory tells them. */
static void slot_tell(struct command *c, u8 state, u8 address)
{
    struct xhci_slot *s = slot_of(c);
    u8 word[4] = { address, 0, 0, (u8)(state << 3) };

    s->state = state;
    gmem_write(xhci_ram(c->x), s->context + 12, word, sizeof(word));
}

static u8 disable_slot(struct command *c)
{
    struct xhci_slot *s = slot_of(c);

    if (s->context)
        slot_tell(c, SLOT_OFF, 0);
    memset(s, 0, sizeof(*s));
    return CC_SUCCESS;
}

static void endpoints_off(struct command *c, u32 from)
{
    struct xhci_slot *s = slot_of(c);

    for (u32 i = from; i < XHCI_ENDPOINTS; i++) {
        if (s->endpoint[i].state)
            xhci_endpoint_set(c->x, c->slot, i, ENDPOINT_OFF);
        memset(&s->endpoint[i], 0, sizeof(s->endpoint[i]));
    }
}

/* An endpoint as its input context describes it; it runs from now on. */
static u8 endpoint_on(struct command *c, u32 endpoint)
{
    struct xhci_slot *s = slot_of(c);
    u8 p[CONTEXT];

    if (!input(c, endpoint + 1, p) || p[1] >> 2) /* streams */
        return CC_PARAMETER;
    s->endpoint[endpoint] = (struct xhci_endpoint){ .dequeue = le64(p + 8) & ~15ull,
                                                    .cycle = p[8] & 1,
                                                    .kind = p[4] >> 3 & 7 };
    if (!s->endpoint[endpoint].kind || !write_context(c, s->context + CONTEXT * (u64)endpoint, p))
        return CC_PARAMETER;
    xhci_endpoint_set(c->x, c->slot, endpoint, ENDPOINT_RUNNING);
    return CC_SUCCESS;
}

/* The request that gives a device its address: a control transfer of ours. */
static bool set_address(struct usb_device *u, u8 address)
{
    u8 setup[8] = { 0, SET_ADDRESS, address };
    struct iovec v = { setup, sizeof(setup) };
    struct usb_transfer t = { .pid = USB_SETUP, .v = &v, .nv = 1, .len = sizeof(setup) };
    struct usb_transfer status = { .pid = USB_IN };

    return usb_run(u, &t) == USB_ACK && usb_run(u, &status) == USB_ACK;
}

/* The device that the slot's context names; or NULL. */
static struct usb_device *device_of(struct command *c, const u8 *context, u8 *port)
{
    u32 route = le32(context) & 0xfffff;

    *port = context[6];
    if (route || !*port || *port > XHCI_PORTS || !(c->x->state.port[*port - 1] & PORT_ENABLED))
        return NULL;
    return usb_at(&c->x->dev, *port - 1u);
}

static u8 address_device(struct command *c)
{
    struct xhci_slot *s = slot_of(c);
    bool block = c->trb.control & TRB_BLOCK;
    u8 which[CONTEXT], context[CONTEXT], pointer[8], port, code;
    struct usb_device *u;

    if (s->state > (block ? SLOT_OFF : SLOT_DEFAULT))
        return CC_CONTEXT_STATE;
    if (gmem_read(xhci_ram(c->x), (c->x->state.contexts & ~63ull) + 8ull * c->slot, pointer, 8) ||
        !input(c, 0, which) || !input(c, 1, context))
        return CC_PARAMETER;
    if (le32(which) || (le32(which + 4) & 3) != (ADD_SLOT | ADD_CONTROL))
        return CC_PARAMETER;
    u = device_of(c, context, &port);
    if (!u)
        return CC_TRANSACTION;
    s->context = le64(pointer) & ~63ull;
    s->port = port;
    if (!block && !set_address(u, (u8)c->slot))
        return CC_TRANSACTION;
    if (!write_context(c, s->context, context))
        return CC_PARAMETER;
    code = endpoint_on(c, 1);
    if (code == CC_SUCCESS)
        slot_tell(c, block ? SLOT_DEFAULT : SLOT_ADDRESSED, block ? 0 : (u8)c->slot);
    return code;
}

/* How many contexts the slot has, by the input. */
static void slot_entries(struct command *c, u8 entries)
{
    u8 byte;
    u64 at = slot_of(c)->context + 3;

    if (gmem_read(xhci_ram(c->x), at, &byte, 1))
        return;
    byte = (u8)((byte & 7) | entries << 3);
    gmem_write(xhci_ram(c->x), at, &byte, 1);
}

static u8 configure(struct command *c)
{
    struct xhci_slot *s = slot_of(c);
    u8 which[CONTEXT], context[CONTEXT], code = CC_SUCCESS;
    bool any = false;
    u32 drop, add;

    if (s->state < SLOT_ADDRESSED)
        return CC_CONTEXT_STATE;
    if (c->trb.control & TRB_BLOCK) { /* deconfigure */
        endpoints_off(c, 2);
        slot_entries(c, 1);
        slot_tell(c, SLOT_ADDRESSED, (u8)c->slot);
        return CC_SUCCESS;
    }
    if (!input(c, 0, which) || !input(c, 1, context))
        return CC_PARAMETER;
    drop = le32(which);
    add = le32(which + 4);
    for (u32 i = 2; i < XHCI_ENDPOINTS && code == CC_SUCCESS; i++) {
        if (drop >> i & 1 && s->endpoint[i].state) {
            xhci_endpoint_set(c->x, c->slot, i, ENDPOINT_OFF);
            memset(&s->endpoint[i], 0, sizeof(s->endpoint[i]));
        }
        if (add >> i & 1)
            code = endpoint_on(c, i);
        any |= s->endpoint[i].state;
    }
    slot_entries(c, context[3] >> 3);
    slot_tell(c, any ? SLOT_CONFIGURED : SLOT_ADDRESSED, (u8)c->slot);
    return code;
}

static u8 evaluate(struct command *c)
{
    struct xhci_slot *s = slot_of(c);
    u8 which[CONTEXT], from[CONTEXT], to[CONTEXT];
    u32 add;

    if (s->state < SLOT_DEFAULT)
        return CC_CONTEXT_STATE;
    if (!input(c, 0, which))
        return CC_PARAMETER;
    add = le32(which + 4);
    if (add & ADD_SLOT) {
        if (!input(c, 1, from) || !read_context(c, s->context, to))
            return CC_PARAMETER;
        memcpy(to + 4, from + 4, 2); /* exit latency */
        to[10] = (u8)((to[10] & 0x3f) | (from[10] & 0xc0));
        to[11] = from[11]; /* interrupter */
        write_context(c, s->context, to);
    }
    if (add & ADD_CONTROL) {
        if (!input(c, 2, from) || !read_context(c, s->context + CONTEXT, to))
            return CC_PARAMETER;
        memcpy(to + 6, from + 6, 2); /* largest packet */
        write_context(c, s->context + CONTEXT, to);
    }
    return CC_SUCCESS;
}

static u8 reset_device(struct command *c)
{
    if (slot_of(c)->state < SLOT_ADDRESSED)
        return CC_CONTEXT_STATE;
    endpoints_off(c, 2);
    slot_entries(c, 1);
    slot_tell(c, SLOT_DEFAULT, 0);
    return CC_SUCCESS;
}

/* ---- endpoints ---- */

static u8 stop_endpoint(struct command *c)
{
    struct xhci_endpoint *ep = &slot_of(c)->endpoint[c->endpoint];

    if (ep->state != ENDPOINT_RUNNING)
        return CC_CONTEXT_STATE;
    xhci_endpoint_stopped(c->x, c->slot, c->endpoint);
    xhci_endpoint_set(c->x, c->slot, c->endpoint, ENDPOINT_STOPPED);
    return CC_SUCCESS;
}

static u8 reset_endpoint(struct command *c)
{
    struct xhci_endpoint *ep = &slot_of(c)->endpoint[c->endpoint];

    if (ep->state != ENDPOINT_HALTED)
        return CC_CONTEXT_STATE;
    ep->done = ep->total = 0;
    ep->skip = ep->told = false;
    xhci_endpoint_set(c->x, c->slot, c->endpoint, ENDPOINT_STOPPED);
    return CC_SUCCESS;
}

static u8 set_dequeue(struct command *c)
{
    struct xhci_endpoint *ep = &slot_of(c)->endpoint[c->endpoint];

    if (ep->state != ENDPOINT_STOPPED && ep->state != ENDPOINT_ERROR)
        return CC_CONTEXT_STATE;
    if (c->trb.status >> 16) /* a stream */
        return CC_TRB;
    ep->dequeue = c->trb.parameter & ~15ull;
    ep->cycle = c->trb.parameter & 1;
    ep->done = ep->total = 0;
    ep->skip = ep->told = false;
    xhci_endpoint_set(c->x, c->slot, c->endpoint, ENDPOINT_STOPPED);
    return CC_SUCCESS;
}

/* ---- the ring ---- */

static u8 execute(struct command *c)
{
    static const struct {
        u8 type;
        bool endpoint;
        u8 (*fn)(struct command *c);
    } known[] = {
        { TRB_DISABLE_SLOT, false, disable_slot },    { TRB_ADDRESS, false, address_device },
        { TRB_CONFIGURE, false, configure },          { TRB_EVALUATE, false, evaluate },
        { TRB_RESET_DEVICE, false, reset_device },    { TRB_STOP_ENDPOINT, true, stop_endpoint },
        { TRB_RESET_ENDPOINT, true, reset_endpoint }, { TRB_SET_DEQUEUE, true, set_dequeue }
    };
    u32 type = c->trb.control >> TRB_TYPE_SHIFT & 63;

    c->slot = c->trb.control >> 24;
    c->endpoint = c->trb.control >> 16 & 31;
    if (type == TRB_NOOP_COMMAND || type == TRB_ENABLE_SLOT) {
        c->slot = 0;
        return type == TRB_ENABLE_SLOT ? enable_slot(c) : CC_SUCCESS;
    }
    for (u32 i = 0; i < LEN(known); i++) {
        if (known[i].type != type)
            continue;
        if (!c->slot || c->slot > XHCI_SLOTS || !slot_of(c)->enabled)
            return CC_SLOT_OFF;
        if (known[i].endpoint && (!c->endpoint || !slot_of(c)->endpoint[c->endpoint].state))
            return CC_ENDPOINT_OFF;
        return known[i].fn(c);
    }
    guest_error(&c->x->dev, "a command of type %u", type);
    return CC_TRB;
}

static void told(struct command *c, u8 code)
{
    struct xhci_trb e = { .parameter = c->x->state.ring,
                          .status = (u32)code << 24,
                          .control = TRB_COMMAND_EVENT << TRB_TYPE_SHIFT | c->slot << 24 };

    xhci_event(c->x, 0, &e, false);
}

void xhci_commands(struct xhci *x)
{
    struct xhci_state *s = &x->state;
    struct command c = { .x = x };

    for (u32 n = 0; n < XHCI_AT_ONCE; n++) {
        if (!s->ring_runs || !(s->command & CMD_RUN) || !xhci_room(x, 0, 2))
            return;
        if (gmem_read(xhci_ram(x), s->ring, &c.trb, sizeof(c.trb))) {
            guest_error(&x->dev, "the command ring is not in RAM");
            s->ring_runs = false;
            return;
        }
        if ((c.trb.control & TRB_CYCLE) != s->ring_cycle)
            return;
        if ((c.trb.control >> TRB_TYPE_SHIFT & 63) == TRB_LINK) {
            if (c.trb.control & TRB_IOC) {
                c.slot = 0;
                told(&c, CC_SUCCESS);
            }
            s->ring = c.trb.parameter & ~15ull;
            s->ring_cycle ^= !!(c.trb.control & TRB_TOGGLE);
            continue;
        }
        told(&c, execute(&c));
        s->ring += sizeof(c.trb);
    }
    xhci_ring(x, 0, 1);
}

void xhci_commands_stop(struct xhci *x)
{
    struct command c = { .x = x };

    if (!x->state.ring_runs)
        return;
    x->state.ring_runs = false;
    if (xhci_room(x, 0, 1))
        told(&c, CC_RING_STOPPED);
}
