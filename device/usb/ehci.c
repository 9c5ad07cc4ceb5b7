/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * EHCI controller, 15ad:0770, after Enhanced Host Controller Interface 1.0: registers, root
 * ports, the walk of its schedules.  As VMware's it has no companions: slower devices are
 * plugged into the UHCI controller beside it.  Left out: 64-bit addresses, isochronous
 * transfers, the legacy hand-over.
 */
#include "device/usb/ehci_int.h"
#include <errno.h>

enum {
    REG_CAPABILITY = 0x00,
    REG_STRUCTURE = 0x04,
    REG_CAPABLE = 0x08,
    REG_COMMAND = 0x20,
    REG_STATUS = 0x24,
    REG_INTERRUPTS = 0x28,
    REG_FRAME = 0x2c,
    REG_SEGMENT = 0x30,
    REG_LIST = 0x34,
    REG_ASYNC = 0x38,
    REG_CONFIGURED = 0x60,
    REG_PORTS = 0x64,
    BAR_SIZE = 0x1000,
    SPEC = 0x0100,
    SBRN = 0x60,
    USB20 = 0x20,
    COMMAND_KEPT = 0xff003d,
    THRESHOLD = 8 << 16,
    FRAME_MASK = 0x3fff,
    LIST_MASK = 0x3ff
};
enum {
    PORT_CONNECTED = 1 << 0,
    PORT_CONNECT_CHANGE = 1 << 1,
    PORT_ENABLED = 1 << 2,
    PORT_ENABLE_CHANGE = 1 << 3,
    PORT_RESUME = 1 << 6,
    PORT_SUSPENDED = 1 << 7,
    PORT_RESET = 1 << 8,
    PORT_POWER = 1 << 12,
    PORT_CHANGES = PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE | 1 << 5,
    PORT_KEPT = 7 << 20
};

u32 ehci_enabled(const struct ehci *h)
{
    u32 set = 0;

    for (u32 i = 0; i < EHCI_PORTS; i++)
        if (h->state.port[i] & PORT_ENABLED && !(h->state.port[i] & PORT_SUSPENDED))
            set |= 1u << i;
    return set;
}

static void ehci_level(struct ehci *h)
{
    pci_level(&h->dev, h->state.status & h->state.interrupts & STS_CLEARED);
}

/* ---- ports (2.3.9) ---- */

static void port_look(struct ehci *h, u32 port)
{
    struct usb_device *u = usb_at(&h->dev, port);

    h->state.port[port] = PORT_POWER | (u ? PORT_CONNECTED | PORT_CONNECT_CHANGE : 0);
}

static void port_tell(struct ehci *h)
{
    h->state.status |= STS_PORT;
    ehci_level(h);
}

static void ehci_plugged(struct device *d, u32 port)
{
    port_look((struct ehci *)d, port);
    ((struct ehci *)d)->state.port[port] |= PORT_CONNECT_CHANGE;
    port_tell((struct ehci *)d);
}

static void ehci_resume_port(struct device *d, u32 port)
{
    struct ehci *h = (struct ehci *)d;

    if (!(h->state.port[port] & PORT_SUSPENDED))
        return;
    h->state.port[port] |= PORT_RESUME;
    port_tell(h);
}

static void port_reset(struct ehci *h, u32 port, bool on)
{
    struct usb_device *u = usb_at(&h->dev, port);
    u32 *p = &h->state.port[port];

    if (on) {
        *p &= ~(u32)(PORT_ENABLED | PORT_SUSPENDED | PORT_RESUME);
        *p |= PORT_RESET;
    } else if (*p & PORT_RESET) {
        *p &= ~(u32)PORT_RESET;
        if (u)
            usb_reset(u);
        *p |= u ? PORT_ENABLED : 0;
    }
}

static void port_store(struct ehci *h, u32 port, u32 val)
{
    struct usb_device *u = usb_at(&h->dev, port);
    u32 *p = &h->state.port[port];

    *p &= ~(val & PORT_CHANGES);
    *p = (*p & ~(u32)PORT_KEPT) | (val & PORT_KEPT);
    if (!(val & PORT_ENABLED))
        *p &= ~(u32)PORT_ENABLED;
    if ((val ^ *p) & PORT_RESET)
        port_reset(h, port, val & PORT_RESET);
    if (!u || !(*p & PORT_ENABLED))
        return;
    if (*p & PORT_RESUME && !(val & PORT_RESUME)) {
        *p &= ~(u32)(PORT_RESUME | PORT_SUSPENDED);
        usb_suspend(u, false);
    } else if (val & PORT_RESUME && *p & PORT_SUSPENDED) {
        *p |= PORT_RESUME;
    } else if (val & PORT_SUSPENDED && !(*p & PORT_SUSPENDED)) {
        *p |= PORT_SUSPENDED;
        usb_suspend(u, true);
    }
}

/* ---- schedules ---- */

static bool periodic(struct ehci *h)
{
    u32 frame, link;
    bool any = false;
    i64 now = machine_now(h->dev.machine);

    while (frames_next(&h->state.frames, now, EHCI_UNIT_NS, EHCI_UNITS, &frame))
        if (h->state.command & CMD_PERIODIC &&
            !gmem_read(machine_ram(h->dev.machine), h->state.list + 4ull * (frame & LIST_MASK),
                       &link, sizeof(link)))
            any |= ehci_walk(h, link, false);
    return any;
}

static void ehci_work(struct ehci *h)
{
    struct ehci_state *s = &h->state;
    i64 now = machine_now(h->dev.machine);
    bool any = false;

    if (!(s->command & CMD_RUN))
        return;
    if (pci_master(&h->dev)) {
        any = periodic(h);
        if (s->command & CMD_ASYNC)
            any |= ehci_walk(h, s->async, true);
    }
    if (s->command & CMD_DOORBELL) {
        s->command &= ~(u32)CMD_DOORBELL;
        s->status |= STS_ADVANCE;
    }
    ehci_level(h);
    if (s->command & (CMD_PERIODIC | CMD_ASYNC))
        timer_set(h->timer, frames_look(&s->frames, now, any));
}

static void ehci_tick(struct device *d)
{
    ehci_work((struct ehci *)d);
}

static void ehci_rung(struct device *d, u32 index)
{
    (void)index;
    ehci_work((struct ehci *)d);
}

static void ehci_wake(struct device *d, u32 port, u8 address)
{
    struct ehci *h = (struct ehci *)d;

    (void)port;
    (void)address;
    h->state.frames.idle = 0;
    bell_ring(h->bell);
}

/* ---- registers ---- */

static void ehci_clear(struct ehci *h)
{
    struct ehci_state *s = &h->state;

    memset(s, 0, sizeof(*s));
    s->command = THRESHOLD;
    s->status = STS_HALTED;
    for (u32 i = 0; i < EHCI_PORTS; i++)
        port_look(h, i);
    timer_stop(h->timer);
    ehci_level(h);
}

static void command_store(struct ehci *h, u32 val)
{
    struct ehci_state *s = &h->state;
    u32 doorbell = (s->command | val) & CMD_DOORBELL;

    if (val & CMD_RESET) {
        ehci_clear(h);
        return;
    }
    s->command = (val & COMMAND_KEPT) | doorbell;
    s->status &= ~(u32)(STS_HALTED | STS_PERIODIC | STS_ASYNC);
    if (!(val & CMD_RUN)) {
        s->status |= STS_HALTED;
    } else {
        s->status |= val & CMD_PERIODIC ? STS_PERIODIC : 0;
        s->status |= val & CMD_ASYNC ? STS_ASYNC : 0;
    }
    frames_run(&s->frames, val & CMD_RUN, machine_now(h->dev.machine), EHCI_UNIT_NS);
    s->frames.idle = 0;
    bell_ring(h->bell);
}

static u64 ehci_load(struct device *d, u32 off, u32 size)
{
    const struct ehci_state *s = &((struct ehci *)d)->state;
    u32 port = (off - REG_PORTS) / 4;

    (void)size;
    if (off >= REG_PORTS && port < EHCI_PORTS)
        return s->port[port];
    switch (off) {
    case REG_CAPABILITY:
        return SPEC << 16 | REG_COMMAND;
    case REG_STRUCTURE:
        return EHCI_PORTS;
    case REG_CAPABLE:
        return 1 << 4; /* a microframe ahead */
    case REG_COMMAND:
        return s->command;
    case REG_STATUS:
        return s->status;
    case REG_INTERRUPTS:
        return s->interrupts;
    case REG_FRAME:
        return frames_count(&s->frames, machine_now(d->machine), EHCI_UNIT_NS) & FRAME_MASK;
    case REG_SEGMENT:
        return s->segment;
    case REG_LIST:
        return s->list;
    case REG_ASYNC:
        return s->async;
    case REG_CONFIGURED:
        return s->configured;
    }
    return 0;
}

static void ehci_store(struct device *d, u32 off, u32 size, u64 val64)
{
    struct ehci *h = (struct ehci *)d;
    struct ehci_state *s = &h->state;
    u32 val = (u32)val64, port = (off - REG_PORTS) / 4;

    (void)size;
    if (off >= REG_PORTS && port < EHCI_PORTS) {
        port_store(h, port, val);
        return;
    }
    switch (off) {
    case REG_COMMAND:
        command_store(h, val);
        break;
    case REG_STATUS:
        s->status &= ~(val & STS_CLEARED);
        ehci_level(h);
        break;
    case REG_INTERRUPTS:
        s->interrupts = val & STS_CLEARED;
        ehci_level(h);
        break;
    case REG_FRAME:
        if (!s->frames.running)
            s->frames.base = val & FRAME_MASK;
        break;
    case REG_LIST:
        s->list = val & ~0xfffu;
        break;
    case REG_ASYNC:
        s->async = val & ~31u;
        break;
    case REG_CONFIGURED:
        s->configured = val & 1;
        break;
    }
}

/* ---- the device ---- */

static int ehci_create(struct device *d, struct err *e)
{
    static const struct usb_host_class host = { .plugged = ehci_plugged,
                                                .wake = ehci_wake,
                                                .resume = ehci_resume_port };
    static const struct pci_bar bars[] = { { .index = 0,
                                             .space = PCI_MEM32,
                                             .size = BAR_SIZE,
                                             .min = 4,
                                             .max = 4,
                                             .load = ehci_load,
                                             .store = ehci_store },
                                           { 0 } };
    static const struct pci_ident ident = { .vendor = 0x15ad,
                                            .device = 0x0770,
                                            .subvendor = 0x15ad,
                                            .subdevice = 0x0770,
                                            .class = 0x0c0320,
                                            .pin = 1,
                                            .bars = bars };
    struct ehci *h = (struct ehci *)d;
    u32 speeds[EHCI_PORTS];
    int r;

    for (u32 i = 0; i < EHCI_PORTS; i++)
        speeds[i] = USB_SPEED(USB_HIGH);
    if (bell_new(d, ehci_rung, 0, &h->bell) || timer_new(d, ehci_tick, &h->timer))
        return err_set(e, -ENOMEM, "no memory for a bell");
    r = usb_host_add(d, &host, speeds, EHCI_PORTS, e);
    r = r ? r : pci_plug(d, &ident, e);
    if (r)
        usb_host_drop(d);
    else
        pci_config(d)[SBRN] = USB20;
    return r;
}

static void ehci_destroy(struct device *d)
{
    usb_host_drop(d);
    pci_unplug(d);
}

static void ehci_reset(struct device *d, enum reset kind)
{
    (void)kind;
    ehci_clear((struct ehci *)d);
}

#define S struct ehci_state
static const struct field state[] = { FIELD(1, S, command, 0, "USBCMD"),
                                      FIELD(2, S, status, 0, "USBSTS"),
                                      FIELD(3, S, interrupts, 0, "USBINTR"),
                                      FIELD(4, S, segment, 0, "CTRLDSSEGMENT"),
                                      FIELD(5, S, list, 0, "PERIODICLISTBASE"),
                                      FIELD(6, S, async, 0, "ASYNCLISTADDR"),
                                      FIELD(7, S, configured, 0, "CONFIGFLAG"),
                                      FIELDS(8, S, port, 0, "PORTSC"),
                                      FIELDS(0, S, pad, F_LOCAL, "none"),
                                      FIELD_ANY(9, S, frames, F_STRUCT, sizeof(struct frames), 1, 0,
                                                "frame counter", frames_fields),
                                      FIELD_END };
#undef S

const struct device_class device_ehci = {
    .name = "ehci",
    .about = "USB 2 controller as VMware's (15ad:0770), six ports",
    .domain = USB_DOMAIN,
    .size = sizeof(struct ehci),
    .state_at = offsetof(struct ehci, state),
    .state_size = sizeof(struct ehci_state),
    .state = state,
    .create = ehci_create,
    .destroy = ehci_destroy,
    .reset = ehci_reset,
};
