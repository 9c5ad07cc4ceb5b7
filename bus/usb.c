/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB: who is plugged in where, the control pipe, and the standard requests.  Universal Serial
 * Bus 2.0, chapters 8.5.3 and 9.  Left out: hubs but the controllers' own, isochronous pipes,
 * data toggles (nothing is lost on this wire), test modes.
 */
#include "base/bytes.h"
#include "bus/usb_int.h"
#include "machine/machine.h"
#include <errno.h>
#include <stdlib.h>

enum usb_stage { STAGE_IDLE, STAGE_IN, STAGE_OUT, STAGE_STALLED, STAGES };

struct usb_host {
    struct device *dev;
    const struct usb_host_class *ops;
    u32 ports;
    struct {
        u32 speeds;
        struct usb_device *u;
    } port[USB_PORTS];
    struct usb_host *next;
};

struct usb_bus {
    struct usb_host *hosts; /* first made first */
};

/* ---- who is where ---- */

static void bus_free(void *p)
{
    struct usb_bus *b = p;

    while (b->hosts) {
        struct usb_host *h = b->hosts;

        b->hosts = h->next;
        free(h);
    }
    free(b);
}

static struct usb_host *host_of(const struct device *d)
{
    struct usb_bus *b = machine_bus(d->machine, "usb");
    struct usb_host *h = b ? b->hosts : NULL;

    while (h && h->dev != d)
        h = h->next;
    return h;
}

int usb_host_add(struct device *d, const struct usb_host_class *c, const u32 *speeds, u32 ports,
                 struct err *e)
{
    struct usb_bus *b = machine_bus(d->machine, "usb");
    struct usb_host *h = calloc(1, sizeof(*h)), **last;

    if (!b && h) {
        b = calloc(1, sizeof(*b));
        if (b && machine_bus_add(d->machine, "usb", b, NULL, bus_free)) {
            free(b);
            b = NULL;
        }
    }
    if (!b || !h || ports > USB_PORTS) {
        free(h);
        return err_set(e, -ENOMEM, "no memory for USB ports");
    }
    *h = (struct usb_host){ .dev = d, .ops = c, .ports = ports };
    for (u32 i = 0; i < ports; i++)
        h->port[i].speeds = speeds[i];
    for (last = &b->hosts; *last; last = &(*last)->next)
        continue;
    *last = h;
    return 0;
}

void usb_host_drop(struct device *d)
{
    struct usb_bus *b = machine_bus(d->machine, "usb");
    struct usb_host **at = b ? &b->hosts : NULL, *h;

    while (at && *at && (*at)->dev != d)
        at = &(*at)->next;
    if (!at || !*at)
        return;
    h = *at;
    *at = h->next;
    for (u32 i = 0; i < h->ports; i++)
        if (h->port[i].u)
            h->port[i].u->host = NULL;
    free(h);
}

struct usb_device *usb_at(struct device *host, u32 port)
{
    struct usb_host *h = host_of(host);

    return h && port < h->ports ? h->port[port].u : NULL;
}

struct usb_device *usb_by_address(struct device *host, u32 ports, u8 address)
{
    struct usb_host *h = host_of(host);

    for (u32 i = 0; h && i < h->ports; i++)
        if (ports >> i & 1 && h->port[i].u && h->port[i].u->s->address == address)
            return h->port[i].u;
    return NULL;
}

/* The fastest speed that both know. */
static enum usb_speed common_speed(u32 a, u32 b)
{
    for (int s = USB_SUPER; s > 0; s--)
        if (a & b & USB_SPEED(s))
            return s;
    return 0;
}

static bool port_find(struct usb_device *u, struct usb_host *h)
{
    for (u32 i = 0; i < h->ports; i++) {
        enum usb_speed s = common_speed(u->ops->speeds, h->port[i].speeds);

        if (h->port[i].u || !s || (u->host && s <= u->speed))
            continue;
        u->host = h;
        u->port = i;
        u->speed = s;
    }
    return u->host;
}

int usb_plug(struct usb_device *u, const struct usb_class *ops, struct usb_state *s,
             const char *host, struct err *e)
{
    struct usb_bus *b = machine_bus(u->dev.machine, "usb");
    bool named = host && *host;

    u->ops = ops;
    u->s = s;
    u->speed = common_speed(ops->speeds, ~0u);
    for (struct usb_host *h = b ? b->hosts : NULL; h && !u->host; h = h->next)
        if (!named || !strcmp(h->dev->name, host))
            port_find(u, h);
    if (!u->host)
        return named ? err_set(e, -ENOSPC, "no USB port of %s is left for it", host) : 0;
    domain_lock(u->dev.domain);
    u->host->port[u->port].u = u;
    u->host->ops->plugged(u->host->dev, u->port);
    domain_unlock(u->dev.domain);
    return 0;
}

void usb_unplug(struct usb_device *u)
{
    struct usb_host *h = u->host;

    if (!h)
        return;
    domain_lock(u->dev.domain);
    h->port[u->port].u = NULL;
    u->host = NULL;
    h->ops->plugged(h->dev, u->port);
    domain_unlock(u->dev.domain);
}

void usb_wake(struct usb_device *u, u8 address)
{
    if (!u->host)
        return;
    if (!u->s->suspended)
        u->host->ops->wake(u->host->dev, u->port, address);
    else if (u->s->wakeup)
        u->host->ops->resume(u->host->dev, u->port);
}

void usb_suspend(struct usb_device *u, bool on)
{
    u->s->suspended = on;
}

void usb_reset(struct usb_device *u)
{
    *u->s = (struct usb_state){ 0 };
    u->ops->reset(u);
}

bool usb_is_configured(const struct usb_device *u)
{
    return u->host && u->s->configuration;
}

/* ---- bytes ---- */

static u32 usb_copy(struct usb_transfer *t, u8 *p, u32 n, bool give)
{
    u32 left = (u32)min_u64(n, t->len - t->done), at = t->done, all = left;

    for (int i = 0; i < t->nv && left; i++) {
        u32 part;

        if (at >= t->v[i].iov_len) {
            at -= (u32)t->v[i].iov_len;
            continue;
        }
        part = (u32)min_u64(left, t->v[i].iov_len - at);
        if (give)
            memcpy((u8 *)t->v[i].iov_base + at, p, part);
        else
            memcpy(p, (u8 *)t->v[i].iov_base + at, part);
        p += part;
        left -= part;
        at = 0;
    }
    t->done += all - left;
    return all - left;
}

u32 usb_give(struct usb_transfer *t, const void *p, u32 n)
{
    return usb_copy(t, (u8 *)(uintptr_t)p, n, true);
}

u32 usb_take(struct usb_transfer *t, void *p, u32 n)
{
    return usb_copy(t, p, n, false);
}

/* ---- standard requests ---- */

static u16 *halted(struct usb_device *u, u8 address)
{
    return address & USB_DIR_IN ? &u->s->halted_in : &u->s->halted_out;
}

static bool has_endpoint(const struct usb_device *u, u16 address)
{
    for (u32 i = 0; i < u->ops->nendpoints; i++)
        if (u->ops->endpoints[i].address == address)
            return true;
    return !(address & ~USB_DIR_IN); /* the control pipe */
}

static bool get_status(struct usb_device *u, const struct usb_setup *q, u8 *data)
{
    u16 bit = (u16)(1u << (q->index & 15));

    put_le16(data, 0);
    switch (q->type & RECIPIENT_MASK) {
    case TO_DEVICE:
        data[0] = (u8)(u->s->wakeup << 1);
        return true;
    case TO_INTERFACE:
        return !q->index;
    case TO_ENDPOINT:
        data[0] = !!(*halted(u, (u8)q->index) & bit);
        return has_endpoint(u, q->index);
    }
    return false;
}

static bool endpoint_feature(struct usb_device *u, const struct usb_setup *q, bool on)
{
    u16 bit = (u16)(1u << (q->index & 15)), *h = halted(u, (u8)q->index);

    if (q->value != ENDPOINT_HALT || !has_endpoint(u, q->index))
        return false;
    if (!(q->index & 15))
        return true;
    *h = on ? *h | bit : *h & (u16)~bit;
    if (!on && u->ops->cleared)
        u->ops->cleared(u, (u8)q->index);
    return true;
}

static bool feature(struct usb_device *u, const struct usb_setup *q, bool on)
{
    switch (q->type & RECIPIENT_MASK) {
    case TO_DEVICE:
        if (q->value == REMOTE_WAKEUP && u->ops->can_wake)
            u->s->wakeup = on;
        else if (u->speed != USB_SUPER || q->value < U1_ENABLE || q->value > LTM_ENABLE)
            return false;
        return true;
    case TO_INTERFACE:
        return u->speed == USB_SUPER && q->value == FUNCTION_SUSPEND;
    case TO_ENDPOINT:
        return endpoint_feature(u, q, on);
    }
    return false;
}

static bool standard_in(struct usb_device *u, const struct usb_setup *q, u32 *n)
{
    u8 *data = u->s->data;

    switch (q->request) {
    case GET_STATUS:
        *n = 2;
        return get_status(u, q, data);
    case GET_DESCRIPTOR:
        *n = usb_descriptor(u, q, data);
        return *n;
    case GET_CONFIGURATION:
        *n = 1;
        data[0] = u->s->configuration;
        return true;
    case GET_INTERFACE:
        *n = 1;
        data[0] = 0;
        return u->s->configuration && !q->index;
    }
    return false;
}

static bool standard_out(struct usb_device *u, const struct usb_setup *q)
{
    struct usb_state *s = u->s;

    switch (q->request) {
    case CLEAR_FEATURE:
    case SET_FEATURE:
        return feature(u, q, q->request == SET_FEATURE);
    case SET_ADDRESS:
        s->address = q->value & 0x7f;
        return q->value < 128;
    case SET_CONFIGURATION:
        if (q->value > CONFIG_VALUE)
            return false;
        s->configuration = (u8)q->value;
        s->halted_in = s->halted_out = 0;
        u->ops->reset(u);
        return true;
    case SET_INTERFACE:
        s->halted_in = s->halted_out = 0;
        return s->configuration && !q->index && !q->value;
    case SET_SEL:
    case SET_ISOCH_DELAY:
        return u->speed == USB_SUPER;
    }
    return false;
}

/* ---- the control pipe ---- */

static struct usb_setup setup_of(const u8 *p)
{
    return (struct usb_setup){ .type = p[0],
                               .request = p[1],
                               .value = le16(p + 2),
                               .index = le16(p + 4),
                               .length = le16(p + 6) };
}

static enum usb_answer control_setup(struct usb_device *u, struct usb_transfer *t)
{
    struct usb_state *s = u->s;
    struct usb_setup q;
    u32 n = 0;
    bool ok;

    if (usb_take(t, s->setup, sizeof(s->setup)) < sizeof(s->setup))
        return USB_STALL;
    q = setup_of(s->setup);
    s->n = s->at = 0;
    if (!(q.type & USB_DIR_IN)) {
        s->stage = q.length > USB_CONTROL_MAX ? STAGE_STALLED : STAGE_OUT;
        return USB_ACK; /* a device always takes this; it may stall what follows */
    }
    ok = q.type & TYPE_MASK ? u->ops->control(u, &q, s->data, &n) : standard_in(u, &q, &n);
    s->n = (u16)min_u64(n, q.length);
    s->stage = ok ? STAGE_IN : STAGE_STALLED;
    return USB_ACK;
}

/* All data have come, and the driver asks how it went. */
static enum usb_answer control_execute(struct usb_device *u)
{
    struct usb_setup q = setup_of(u->s->setup);
    u32 n = u->s->at;
    bool ok = q.type & TYPE_MASK ? u->ops->control(u, &q, u->s->data, &n) : standard_out(u, &q);

    u->s->stage = ok ? STAGE_IDLE : STAGE_STALLED;
    return ok ? USB_ACK : USB_STALL;
}

static enum usb_answer control_run(struct usb_device *u, struct usb_transfer *t)
{
    struct usb_state *s = u->s;
    u16 length = le16(s->setup + 6);

    if (t->pid == USB_SETUP)
        return control_setup(u, t);
    switch (s->stage) {
    case STAGE_IN:
        if (t->pid == USB_OUT) {
            s->stage = STAGE_IDLE;
            return USB_ACK;
        }
        s->at = (u16)(s->at + usb_give(t, s->data + s->at, s->n - s->at));
        t->ended = t->done < t->len;
        return USB_ACK;
    case STAGE_OUT:
        if (t->pid == USB_IN)
            return control_execute(u);
        s->at = (u16)(s->at + usb_take(t, s->data + s->at, length - s->at));
        return t->done == t->len ? USB_ACK : USB_STALL;
    }
    return USB_STALL;
}

enum usb_answer usb_run(struct usb_device *u, struct usb_transfer *t)
{
    u8 address = t->endpoint | (t->pid == USB_IN ? USB_DIR_IN : 0);
    enum usb_answer a;
    u16 bit;

    t->done = 0;
    t->ended = false;
    if (!u->host || u->s->suspended)
        return USB_GONE;
    if (!t->endpoint)
        return control_run(u, t);
    bit = (u16)(1u << (t->endpoint & 15));
    if (t->pid == USB_SETUP || !u->s->configuration || !has_endpoint(u, address) ||
        *halted(u, address) & bit)
        return USB_STALL;
    a = u->ops->transfer(u, t);
    if (a == USB_STALL)
        *halted(u, address) |= bit;
    return a;
}

int usb_check(const struct usb_device *u, struct err *e)
{
    const struct usb_state *s = u->s;
    u16 length = le16(s->setup + 6);

    if (s->stage >= STAGES || s->n > USB_CONTROL_MAX || s->at > USB_CONTROL_MAX ||
        s->address > 127 || s->configuration > CONFIG_VALUE ||
        (s->stage == STAGE_IN && s->at > s->n) ||
        (s->stage == STAGE_OUT && (length > USB_CONTROL_MAX || s->at > length)))
        return err_set(e, -EBADMSG, "its control pipe is in no possible state");
    return 0;
}

const struct field usb_fields[] = {
    FIELD(1, struct usb_state, address, 0, "address"),
    FIELD(2, struct usb_state, configuration, 0, "configuration"),
    FIELD(3, struct usb_state, stage, 0, "stage of the control transfer"),
    FIELD(4, struct usb_state, wakeup, 0, "it may wake the bus"),
    FIELD(5, struct usb_state, suspended, 0, "its port sleeps"),
    FIELDS(0, struct usb_state, pad, F_LOCAL, "none"),
    FIELDS(6, struct usb_state, setup, 0, "request"),
    FIELD(7, struct usb_state, n, 0, "bytes of the answer"),
    FIELD(8, struct usb_state, at, 0, "bytes that went over"),
    FIELD(9, struct usb_state, halted_in, 0, "halted endpoints, in"),
    FIELD(10, struct usb_state, halted_out, 0, "halted endpoints, out"),
    FIELDS(11, struct usb_state, data, 0, "data of the control transfer"),
    FIELD_END
};
