/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xHCI controller, 15ad:0779, after eXtensible Host Controller Interface for USB 1.1: registers,
 * root ports, resets.  Four ports are USB 2's and four USB 3's, as VMware has them.  Left out:
 * streams, isochronous transfers, hubs, link power management, debug capability.
 *
 * Doorbells ring a bell; the lane looks at the rings.
 */
#include "device/usb/xhci_int.h"
#include <errno.h>

enum { MOD_DEFAULT = 4000, PAGES_OF_4K = 1, SPEC = 0x0100, SBRN = 0x60, USB30 = 0x30 };
enum { MICROFRAME_NS = 125000, MICROFRAMES = 0x3fff };

/* Supported protocols (7.2): USB 2 on ports 1 to 4, USB 3 on 5 to 8. */
static const u32 capabilities[] = {
    0x02000402, 0x20425355, XHCI_USB3 << 8 | 1,
    0, /* the next is four words on; "USB " */
    0x03000002, 0x20425355, (XHCI_PORTS - XHCI_USB3) << 8 | (XHCI_USB3 + 1),
    0
};

void xhci_ring(struct xhci *x, u32 slot, u32 endpoints)
{
    x->state.rung[slot] |= endpoints;
    bell_ring(x->bell);
}

/* ---- ports (4.15, 4.19) ---- */

/* Changes that the driver was not told of get their events, while there is room. */
static void ports_tell(struct xhci *x)
{
    struct xhci_state *s = &x->state;

    for (u32 i = 0; i < XHCI_PORTS && s->command & CMD_RUN; i++) {
        struct xhci_trb e = { .parameter = (u64)(i + 1) << 24,
                              .status = (u32)CC_SUCCESS << 24,
                              .control = TRB_PORT_EVENT << TRB_TYPE_SHIFT };

        if (!(s->untold >> i & 1))
            continue;
        if (!xhci_room(x, 0, 1))
            return;
        s->untold &= ~(1u << i);
        s->status |= STS_PORT;
        xhci_event(x, 0, &e, false);
    }
}

static void port_changed(struct xhci *x, u32 port, u32 change)
{
    x->state.port[port] |= change;
    x->state.untold |= 1u << port;
    bell_ring(x->bell);
}

static void port_link(struct xhci *x, u32 port, u32 link)
{
    u32 *p = &x->state.port[port];

    *p = (*p & ~(u32)PORT_LINK) | link << PORT_LINK_SHIFT;
}

static u32 port_link_of(const struct xhci *x, u32 port)
{
    return (x->state.port[port] & PORT_LINK) >> PORT_LINK_SHIFT;
}

static void port_enable(struct xhci *x, u32 port, struct usb_device *u)
{
    usb_reset(u);
    x->state.port[port] |= PORT_ENABLED;
    port_link(x, port, LINK_U0);
}

/* What is there now, seen as after power on.  A USB 3 link trains by itself. */
static void port_look(struct xhci *x, u32 port)
{
    struct usb_device *u = usb_at(&x->dev, port);
    u32 *p = &x->state.port[port];

    *p &= PORT_WAKES | PORT_CHANGES;
    *p |= PORT_POWER;
    port_link(x, port, u ? LINK_POLLING : LINK_DETECT);
    if (!u)
        return;
    *p |= PORT_CONNECTED | (u32)u->speed << PORT_SPEED_SHIFT;
    if (port >= XHCI_USB3)
        port_enable(x, port, u);
}

static void xhci_plugged(struct device *d, u32 port)
{
    struct xhci *x = (struct xhci *)d;

    port_look(x, port);
    port_changed(x, port, PORT_CONNECT_CHANGE);
}

static void port_reset(struct xhci *x, u32 port, bool warm)
{
    struct usb_device *u = usb_at(&x->dev, port);

    if (!u)
        return;
    port_enable(x, port, u);
    port_changed(x, port, PORT_RESET_CHANGE | (warm ? PORT_WARM_CHANGE : 0));
}

/* Everything on the port may go on. */
static void port_ring(struct xhci *x, u32 port)
{
    for (u32 i = 1; i <= XHCI_SLOTS; i++)
        if (x->state.slot[i].port == port + 1)
            xhci_ring(x, i, ~0u);
}

static void port_link_set(struct xhci *x, u32 port, u32 link)
{
    struct usb_device *u = usb_at(&x->dev, port);
    u32 was = port_link_of(x, port);

    if (!u || !(x->state.port[port] & PORT_ENABLED))
        return;
    if (link == LINK_U3 && was == LINK_U0) {
        port_link(x, port, link);
        usb_suspend(u, true);
    } else if (link == LINK_RESUME && was == LINK_U3 && port < XHCI_USB3) {
        port_link(x, port, link);
    } else if (link == LINK_U0 && (was == LINK_U3 || was == LINK_RESUME)) {
        port_link(x, port, link);
        usb_suspend(u, false);
        port_changed(x, port, PORT_LINK_CHANGE);
        port_ring(x, port);
    }
}

static void port_store(struct xhci *x, u32 port, u32 val)
{
    u32 *p = &x->state.port[port];

    *p &= ~(val & PORT_CHANGES);
    *p = (*p & ~(u32)PORT_WAKES) | (val & PORT_WAKES);
    if (val & PORT_ENABLED && *p & PORT_ENABLED) { /* writing one disables */
        *p &= ~(u32)PORT_ENABLED;
        port_link(x, port, LINK_DETECT);
    }
    if (val & PORT_RESET)
        port_reset(x, port, false);
    else if (val & PORT_WARM_RESET && port >= XHCI_USB3)
        port_reset(x, port, true);
    else if (val & PORT_STROBE)
        port_link_set(x, port, (val & PORT_LINK) >> PORT_LINK_SHIFT);
}

static void xhci_resume_port(struct device *d, u32 port)
{
    struct xhci *x = (struct xhci *)d;

    if (port_link_of(x, port) != LINK_U3)
        return;
    port_link(x, port, LINK_RESUME);
    port_changed(x, port, PORT_LINK_CHANGE);
}

static void xhci_wake(struct device *d, u32 port, u8 address)
{
    struct xhci *x = (struct xhci *)d;
    u32 endpoint = (address & 15) * 2u + !!(address & USB_DIR_IN);

    for (u32 i = 1; i <= XHCI_SLOTS; i++)
        if (x->state.slot[i].port == port + 1 &&
            x->state.slot[i].endpoint[endpoint].state == ENDPOINT_RUNNING)
            xhci_ring(x, i, 1u << endpoint);
}

/* ---- the lane ---- */

static void xhci_rung(struct device *d, u32 index)
{
    struct xhci *x = (struct xhci *)d;
    struct xhci_state *s = &x->state;

    (void)index;
    if (!(s->command & CMD_RUN) || !pci_master(d))
        return;
    ports_tell(x);
    if (s->rung[0]) {
        s->rung[0] = 0;
        xhci_commands(x);
    }
    for (u32 i = 1; i <= XHCI_SLOTS; i++) {
        u32 rung = s->rung[i];

        s->rung[i] = 0;
        for (u32 e = 1; e < XHCI_ENDPOINTS; e++)
            if (rung >> e & 1 && s->slot[i].enabled)
                xhci_endpoint_run(x, i, e);
    }
}

/* ---- registers ---- */

static void xhci_clear(struct xhci *x)
{
    struct xhci_state *s = &x->state;

    memset(s, 0, sizeof(*s));
    s->status = STS_HALTED;
    for (u32 i = 0; i < XHCI_VECTORS; i++)
        s->interrupter[i].imod = MOD_DEFAULT;
    for (u32 i = 0; i < XHCI_PORTS; i++) {
        port_look(x, i);
        if (usb_at(&x->dev, i)) {
            s->port[i] |= PORT_CONNECT_CHANGE;
            s->untold |= 1u << i;
        }
    }
    xhci_level(x);
}

static void command_store(struct xhci *x, u32 val)
{
    struct xhci_state *s = &x->state;

    if (val & CMD_RESET) {
        xhci_clear(x);
        return;
    }
    if (val & CMD_RESTORE && !s->kept) /* lost in a sleep: 4.23.2 */
        s->status |= STS_RESTORE_ERROR;
    s->kept |= (val & CMD_SAVE) != 0;
    s->command = val & CMD_KEPT;
    s->status = (s->status & ~(u32)STS_HALTED) | (val & CMD_RUN ? 0 : STS_HALTED);
    if (!(val & CMD_RUN))
        s->ring_runs = false;
    xhci_level(x);
    bell_ring(x->bell);
}

static void ring_store(struct xhci *x, u32 val, bool high)
{
    struct xhci_state *s = &x->state;

    if (!high && val & (CRCR_STOP | CRCR_ABORT) && s->ring_runs) {
        xhci_commands_stop(x);
    } else if (!s->ring_runs) {
        s->ring = high ? (u32)s->ring | (u64)val << 32 : (s->ring & ~0xffffffffull) | (val & ~63u);
        if (!high)
            s->ring_cycle = val & CRCR_CYCLE;
    }
}

static void doorbell(struct xhci *x, u32 slot, u32 val)
{
    struct xhci_state *s = &x->state;
    u32 endpoint = val & 0xff;

    if (!slot && !endpoint && s->command & CMD_RUN) {
        s->ring_runs = true;
        xhci_ring(x, 0, 1);
    } else if (slot && slot <= XHCI_SLOTS && endpoint && endpoint < XHCI_ENDPOINTS) {
        struct xhci_endpoint *ep = &s->slot[slot].endpoint[endpoint];

        if (ep->state == ENDPOINT_STOPPED)
            xhci_endpoint_set(x, slot, endpoint, ENDPOINT_RUNNING);
        if (ep->state == ENDPOINT_RUNNING)
            xhci_ring(x, slot, 1u << endpoint);
    }
}

static u32 capability_load(u32 off)
{
    switch (off) {
    case XHCI_CAPLENGTH:
        return SPEC << 16 | XHCI_OP;
    case XHCI_HCSPARAMS1:
        return XHCI_PORTS << 24 | XHCI_VECTORS << 8 | XHCI_SLOTS;
    case XHCI_HCSPARAMS2:
        return 4 << 4; /* 2^4 segments */
    case XHCI_HCCPARAMS1:
        return XHCI_CAPS / 4 << 16 | 1; /* 64-bit addresses */
    case XHCI_DBOFF:
        return XHCI_DOORBELLS;
    case XHCI_RTSOFF:
        return XHCI_RUNTIME;
    }
    return off >= XHCI_CAPS ? capabilities[(off - XHCI_CAPS) / 4] : 0;
}

static u64 xhci_load(struct device *d, u32 off, u32 size)
{
    struct xhci *x = (struct xhci *)d;
    const struct xhci_state *s = &x->state;
    u32 port = (off - XHCI_PORTS_AT) / 16;

    (void)size;
    if (off < XHCI_OP)
        return capability_load(off);
    if (off >= XHCI_PORTS_AT && port < XHCI_PORTS)
        return off % 16 == 0 ? s->port[port] : off % 16 == 4 ? s->power[port] : 0;
    if (off >= XHCI_INTERRUPTERS && off < XHCI_INTERRUPTERS + 32 * XHCI_VECTORS)
        return xhci_interrupter_load(x, off - XHCI_INTERRUPTERS);
    switch (off) {
    case XHCI_USBCMD:
        return s->command;
    case XHCI_USBSTS:
        return s->status;
    case XHCI_PAGESIZE:
        return PAGES_OF_4K;
    case XHCI_DNCTRL:
        return s->notify;
    case XHCI_CRCR:
        return s->ring_runs ? CRCR_RUNNING : 0;
    case XHCI_DCBAAP:
        return (u32)s->contexts;
    case XHCI_DCBAAP + 4:
        return s->contexts >> 32;
    case XHCI_CONFIG:
        return s->config;
    case XHCI_RUNTIME:
        return s->command & CMD_RUN ? (u64)machine_now(d->machine) / MICROFRAME_NS & MICROFRAMES
                                    : 0;
    }
    return 0;
}

static void operational_store(struct xhci *x, u32 off, u32 val)
{
    struct xhci_state *s = &x->state;

    switch (off) {
    case XHCI_USBCMD:
        command_store(x, val);
        break;
    case XHCI_USBSTS:
        s->status &= ~(val & (STS_HOST_ERROR | STS_EINT | STS_PORT | STS_RESTORE_ERROR));
        break;
    case XHCI_DNCTRL:
        s->notify = val & 0xffff;
        break;
    case XHCI_CRCR:
    case XHCI_CRCR + 4:
        ring_store(x, val, off & 4);
        break;
    case XHCI_DCBAAP:
        s->contexts = (s->contexts & ~0xffffffffull) | (val & ~63u);
        break;
    case XHCI_DCBAAP + 4:
        s->contexts = (u32)s->contexts | (u64)val << 32;
        break;
    case XHCI_CONFIG:
        s->config = (u32)min_u64(val & 0xff, XHCI_SLOTS);
        break;
    }
}

static void xhci_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct xhci *x = (struct xhci *)d;
    u32 port = (off - XHCI_PORTS_AT) / 16;

    (void)size;
    if (off >= XHCI_DOORBELLS && off < XHCI_MSIX_TABLE)
        doorbell(x, (off - XHCI_DOORBELLS) / 4, (u32)val);
    else if (off >= XHCI_INTERRUPTERS && off < XHCI_INTERRUPTERS + 32 * XHCI_VECTORS)
        xhci_interrupter_store(x, off - XHCI_INTERRUPTERS, (u32)val);
    else if (off < XHCI_PORTS_AT || port >= XHCI_PORTS)
        operational_store(x, off, (u32)val);
    else if (off % 16 == 0)
        port_store(x, port, (u32)val);
    else if (off % 16 == 4)
        x->state.power[port] = (u32)val & 0x1ffff;
}

/* ---- the device ---- */

static int xhci_create(struct device *d, struct err *e)
{
    static const struct usb_host_class host = { .plugged = xhci_plugged,
                                                .wake = xhci_wake,
                                                .resume = xhci_resume_port };
    static const struct pci_bar bars[] = { { .index = 0,
                                             .space = PCI_MEM64,
                                             .size = XHCI_BAR,
                                             .min = 4,
                                             .max = 4,
                                             .load = xhci_load,
                                             .store = xhci_store },
                                           { 0 } };
    static const struct pci_ident ident = { .vendor = XHCI_VENDOR,
                                            .device = XHCI_DEVICE,
                                            .subvendor = XHCI_VENDOR,
                                            .subdevice = XHCI_DEVICE,
                                            .class = 0x0c0330,
                                            .pin = 1,
                                            .msi = true,
                                            .vectors = XHCI_VECTORS,
                                            .msix_bar = 0,
                                            .msix_table = XHCI_MSIX_TABLE,
                                            .msix_pba = XHCI_MSIX_PBA,
                                            .bars = bars };
    struct xhci *x = (struct xhci *)d;
    u32 speeds[XHCI_PORTS];
    int r;

    for (u32 i = 0; i < XHCI_PORTS; i++)
        speeds[i] = i < XHCI_USB3 ? USB_SPEED(USB_LOW) | USB_SPEED(USB_FULL) | USB_SPEED(USB_HIGH)
                                  : USB_SPEED(USB_SUPER);
    if (bell_new(d, xhci_rung, 0, &x->bell))
        return err_set(e, -ENOMEM, "no memory for a bell");
    r = usb_host_add(d, &host, speeds, XHCI_PORTS, e);
    r = r ? r : pci_plug(d, &ident, e);
    if (r)
        usb_host_drop(d);
    else
        pci_config(d)[SBRN] = USB30;
    return r;
}

static void xhci_destroy(struct device *d)
{
    usb_host_drop(d);
    pci_unplug(d);
}

static void xhci_reset(struct device *d, enum reset kind)
{
    (void)kind;
    xhci_clear((struct xhci *)d);
}

static int xhci_check(const struct device *d, struct err *e)
{
    const struct xhci_state *s = &((const struct xhci *)d)->state;

    for (u32 i = 0; i < XHCI_VECTORS; i++)
        if (s->interrupter[i].segments > XHCI_SEGMENTS)
            return err_set(e, -EBADMSG, "event ring %u is in no possible state", i);
    for (u32 i = 0; i <= XHCI_SLOTS; i++)
        if (s->slot[i].port > XHCI_PORTS || s->slot[i].state > SLOT_CONFIGURED ||
            (!i && s->slot[i].enabled))
            return err_set(e, -EBADMSG, "slot %u is in no possible state", i);
    return 0;
}

#define EP struct xhci_endpoint
static const struct field endpoint_fields[] = {
    FIELD(1, EP, dequeue, 0, "where its ring goes on"),
    FIELD(2, EP, done, 0, "bytes of the block there that went over"),
    FIELD(3, EP, total, 0, "bytes since the last event data block"),
    FIELD(4, EP, state, 0, "0 off, 1 runs, 2 halted, 3 stopped, 4 error"),
    FIELD(5, EP, kind, 0, "kind"),
    FIELD(6, EP, cycle, 0, "cycle bit"),
    FIELD(7, EP, in, 0, "data of the control transfer go in"),
    FIELD(8, EP, skip, 0, "a short packet: the rest is skipped"),
    FIELD(9, EP, told, 0, "and was told"),
    FIELDS(0, EP, pad, F_LOCAL, "none"),
    FIELD_END
};
#undef EP
#define SLOT struct xhci_slot
static const struct field slot_fields[] = {
    FIELD(1, SLOT, context, 0, "output context"),
    FIELD(2, SLOT, enabled, 0, "in use"),
    FIELD(3, SLOT, state, 0, "0 off, 1 default, 2 addressed, 3 configured"),
    FIELD(4, SLOT, port, 0, "port, from 1"),
    FIELDS(0, SLOT, pad, F_LOCAL, "none"),
    FIELD_SUB(5, SLOT, endpoint, 0, "endpoints", endpoint_fields),
    FIELD_END
};
#undef SLOT
#define INTR struct xhci_interrupter
static const struct field interrupter_fields[] = {
    FIELD(1, INTR, table, 0, "segment table"),
    FIELD(2, INTR, dequeue, 0, "what the driver has seen"),
    FIELD(3, INTR, iman, 0, "management"),
    FIELD(4, INTR, imod, 0, "moderation"),
    FIELD(5, INTR, segments, 0, "segments"),
    FIELD(6, INTR, segment, 0, "segment of the next event"),
    FIELD(7, INTR, at, 0, "its place there"),
    FIELD(8, INTR, cycle, 0, "cycle bit"),
    FIELDS(0, INTR, pad, F_LOCAL, "none"),
    FIELD_END
};
#undef INTR
#define S struct xhci_state
static const struct field state[] = {
    FIELD(1, S, command, 0, "USBCMD"),
    FIELD(2, S, status, 0, "USBSTS"),
    FIELD(3, S, notify, 0, "DNCTRL"),
    FIELD(4, S, config, 0, "CONFIG"),
    FIELD(5, S, ring, 0, "command ring"),
    FIELD(6, S, contexts, 0, "DCBAAP"),
    FIELD(7, S, ring_cycle, 0, "cycle bit of the command ring"),
    FIELD(8, S, ring_runs, 0, "the command ring runs"),
    FIELD(9, S, starved, 0, "work waits for room in an event ring"),
    FIELD(16, S, kept, 0, "state was saved and not lost"),
    FIELD(10, S, untold, 0, "ports whose change was not told"),
    FIELDS(11, S, port, 0, "PORTSC"),
    FIELDS(12, S, power, 0, "PORTPMSC"),
    FIELDS(13, S, rung, 0, "endpoints whose doorbell was rung"),
    FIELDS(0, S, pad2, F_LOCAL, "none"),
    FIELD_SUB(14, S, interrupter, 0, "interrupters", interrupter_fields),
    FIELD_SUB(15, S, slot, 0, "slots", slot_fields),
    FIELD_END
};
#undef S

const struct device_class device_xhci = {
    .name = "xhci",
    .about = "USB 3 controller as VMware's (15ad:0779), four ports of USB 2 and four of USB 3",
    .domain = USB_DOMAIN,
    .size = sizeof(struct xhci),
    .state_at = offsetof(struct xhci, state),
    .state_size = sizeof(struct xhci_state),
    .state = state,
    .create = xhci_create,
    .destroy = xhci_destroy,
    .reset = xhci_reset,
    .check = xhci_check,
};
