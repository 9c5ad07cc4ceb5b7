/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UHCI controller, 15ad:0774, after Universal Host Controller Interface 1.1: registers, root
 * ports, the walk of its frame list.  Left out: debug mode, legacy keyboard traps.
 */
#include "device/usb/uhci_int.h"
#include <errno.h>

enum {
    REG_COMMAND = 0x00,
    REG_STATUS = 0x02,
    REG_INTERRUPTS = 0x04,
    REG_FRAME = 0x06,
    REG_LIST = 0x08,
    REG_MODIFY = 0x0c,
    REG_PORTS = 0x10,
    BAR_SIZE = 0x20,
    SBRN = 0x60,
    USB10 = 0x10,
    MODIFY_DEFAULT = 0x40,
    FRAME_MASK = 0x7ff,
    LIST_MASK = 0x3ff,
    CMD_RUN = 1 << 0,
    CMD_RESET = 1 << 1,
    CMD_BUS_RESET = 1 << 2,
    CMD_KEPT = 0xfd,
    INTERRUPTS = 0x0f,
    INTERRUPT_RESUME = 1 << 1,
    INTERRUPT_DONE = 1 << 2 | 1 << 3,
    INTERRUPT_ERROR = 1 << 0
};
enum {
    PORT_CONNECTED = 1 << 0,
    PORT_CONNECT_CHANGE = 1 << 1,
    PORT_ENABLED = 1 << 2,
    PORT_ENABLE_CHANGE = 1 << 3,
    PORT_RESUME = 1 << 6,
    PORT_ONE = 1 << 7, /* always: so drivers count ports */
    PORT_LOW_SPEED = 1 << 8,
    PORT_RESET = 1 << 9,
    PORT_SUSPENDED = 1 << 12
};

u32 uhci_enabled(const struct uhci *h)
{
    u32 set = 0;

    for (u32 i = 0; i < UHCI_PORTS; i++)
        if ((h->state.port[i] & (PORT_ENABLED | PORT_SUSPENDED)) == PORT_ENABLED)
            set |= 1u << i;
    return set;
}

static void uhci_level(struct uhci *h)
{
    const struct uhci_state *s = &h->state;

    pci_level(&h->dev, (s->status & STS_INT && s->interrupts & INTERRUPT_DONE) ||
                           (s->status & STS_ERROR && s->interrupts & INTERRUPT_ERROR) ||
                           (s->status & STS_RESUME && s->interrupts & INTERRUPT_RESUME) ||
                           s->status & STS_PROCESS_ERROR);
}

/* ---- ports (2.1.7) ---- */

static void port_look(struct uhci *h, u32 port)
{
    struct usb_device *u = usb_at(&h->dev, port);

    h->state.port[port] = PORT_ONE | (u ? PORT_CONNECTED | PORT_CONNECT_CHANGE : 0) |
                          (u && u->speed == USB_LOW ? PORT_LOW_SPEED : 0);
}

/* Something on the bus changed: a controller that stands wakes its driver. */
static void port_tell(struct uhci *h)
{
    if (h->state.command & CMD_RUN)
        return;
    h->state.status |= STS_RESUME;
    uhci_level(h);
}

static void uhci_plugged(struct device *d, u32 port)
{
    struct uhci *h = (struct uhci *)d;

    port_look(h, port);
    h->state.port[port] |= PORT_CONNECT_CHANGE;
    port_tell(h);
}

static void uhci_resume_port(struct device *d, u32 port)
{
    struct uhci *h = (struct uhci *)d;

    if (!(h->state.port[port] & PORT_SUSPENDED))
        return;
    h->state.port[port] |= PORT_RESUME;
    h->state.status |= STS_RESUME;
    uhci_level(h);
}

static void port_reset(struct uhci *h, u32 port)
{
    struct usb_device *u = usb_at(&h->dev, port);

    h->state.port[port] &= (u16) ~(PORT_ENABLED | PORT_SUSPENDED | PORT_RESUME);
    if (u)
        usb_reset(u);
}

static void port_store(struct uhci *h, u32 port, u16 val)
{
    enum { PLAIN = PORT_ENABLED | PORT_RESUME | PORT_RESET | PORT_SUSPENDED };
    struct usb_device *u = usb_at(&h->dev, port);
    u16 *p = &h->state.port[port], was = *p;

    *p &= (u16) ~(val & (PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE));
    *p = (u16)((*p & ~PLAIN) | (val & PLAIN));
    if (val & PORT_RESET && !(was & PORT_RESET))
        port_reset(h, port);
    if (!u || *p & PORT_RESET)
        *p &= (u16)~PORT_ENABLED;
    if (u && *p & PORT_ENABLED)
        usb_suspend(u, *p & PORT_SUSPENDED && !(*p & PORT_RESUME));
    if (was & PORT_RESUME && !(val & PORT_RESUME))
        *p &= (u16)~PORT_SUSPENDED;
}

/* ---- frames ---- */

static bool frame_walk(struct uhci *h, u32 frame)
{
    struct gmem *ram = machine_ram(h->dev.machine);
    u32 link;

    return pci_master(&h->dev) &&
           !gmem_read(ram, h->state.list + 4ull * (frame & LIST_MASK), &link, sizeof(link)) &&
           uhci_walk(h, link);
}

/* The frames whose time has come; when all were walked, the current one again, as a device has
 * something to say or the driver was busy meanwhile. */
static void uhci_work(struct uhci *h)
{
    struct uhci_state *s = &h->state;
    i64 now = machine_now(h->dev.machine);
    u32 frame, n = 0;
    bool any = false;

    if (!(s->command & CMD_RUN))
        return;
    for (; frames_next(&s->frames, now, UHCI_UNIT_NS, 1, &frame); n++)
        any |= frame_walk(h, frame);
    if (!n)
        any = frame_walk(h, frames_count(&s->frames, now, UHCI_UNIT_NS));
    uhci_level(h);
    timer_set(h->timer, frames_look(&s->frames, now, any));
}

static void uhci_tick(struct device *d)
{
    uhci_work((struct uhci *)d);
}

static void uhci_rung(struct device *d, u32 index)
{
    (void)index;
    uhci_work((struct uhci *)d);
}

static void uhci_wake(struct device *d, u32 port, u8 address)
{
    struct uhci *h = (struct uhci *)d;

    (void)port;
    (void)address;
    h->state.frames.idle = 0;
    bell_ring(h->bell);
}

/* ---- registers ---- */

static void uhci_clear(struct uhci *h)
{
    struct uhci_state *s = &h->state;

    memset(s, 0, sizeof(*s));
    s->status = STS_HALTED;
    s->modify = MODIFY_DEFAULT;
    for (u32 i = 0; i < UHCI_PORTS; i++)
        port_look(h, i);
    timer_stop(h->timer);
    uhci_level(h);
}

static void command_store(struct uhci *h, u16 val)
{
    struct uhci_state *s = &h->state;
    bool run = val & CMD_RUN;

    if (val & CMD_RESET || (val & CMD_BUS_RESET && !(s->command & CMD_BUS_RESET))) {
        uhci_clear(h);
        for (u32 i = 0; i < UHCI_PORTS; i++)
            port_reset(h, i);
        s->command = val & CMD_BUS_RESET;
        return;
    }
    s->command = val & CMD_KEPT;
    s->status = (u16)((s->status & ~STS_HALTED) | (run ? 0 : STS_HALTED));
    frames_run(&s->frames, run, machine_now(h->dev.machine), UHCI_UNIT_NS);
    s->frames.idle = 0;
    bell_ring(h->bell);
}

static u64 uhci_load(struct device *d, u32 off, u32 size)
{
    const struct uhci_state *s = &((struct uhci *)d)->state;
    u32 port = (off - REG_PORTS) / 2;

    (void)size;
    if (off >= REG_PORTS && port < UHCI_PORTS)
        return s->port[port];
    switch (off) {
    case REG_COMMAND:
        return s->command;
    case REG_STATUS:
        return s->status;
    case REG_INTERRUPTS:
        return s->interrupts;
    case REG_FRAME:
        return frames_count(&s->frames, machine_now(d->machine), UHCI_UNIT_NS) & FRAME_MASK;
    case REG_LIST:
        return s->list & 0xffff;
    case REG_LIST + 2:
        return s->list >> 16;
    case REG_MODIFY:
        return s->modify;
    }
    return 0;
}

static void uhci_store(struct device *d, u32 off, u32 size, u64 val64)
{
    struct uhci *h = (struct uhci *)d;
    struct uhci_state *s = &h->state;
    u32 port = (off - REG_PORTS) / 2;
    u16 val = (u16)val64;

    (void)size;
    if (off >= REG_PORTS && port < UHCI_PORTS) {
        port_store(h, port, val);
        return;
    }
    switch (off) {
    case REG_COMMAND:
        command_store(h, val);
        break;
    case REG_STATUS:
        s->status &= (u16) ~(val & STS_CLEARED);
        uhci_level(h);
        break;
    case REG_INTERRUPTS:
        s->interrupts = val & INTERRUPTS;
        uhci_level(h);
        break;
    case REG_FRAME:
        if (!s->frames.running)
            s->frames.base = val & FRAME_MASK;
        break;
    case REG_LIST:
        s->list = (s->list & 0xffff0000) | (val & 0xf000);
        break;
    case REG_LIST + 2:
        s->list = (s->list & 0xffff) | (u32)val << 16;
        break;
    case REG_MODIFY:
        s->modify = val & 0x7f;
        break;
    }
}

/* ---- the device ---- */

static int uhci_create(struct device *d, struct err *e)
{
    static const struct usb_host_class host = { .plugged = uhci_plugged,
                                                .wake = uhci_wake,
                                                .resume = uhci_resume_port };
    static const struct pci_bar bars[] = { { .index = 4,
                                             .space = PCI_PORTS,
                                             .size = BAR_SIZE,
                                             .min = 2,
                                             .max = 2,
                                             .load = uhci_load,
                                             .store = uhci_store },
                                           { 0 } };
    static const struct pci_ident ident = { .vendor = 0x15ad,
                                            .device = 0x0774,
                                            .subvendor = 0x15ad,
                                            .subdevice = 0x1976,
                                            .class = 0x0c0300,
                                            .pin = 1,
                                            .bars = bars };
    struct uhci *h = (struct uhci *)d;
    u32 speeds[UHCI_PORTS];
    int r;

    for (u32 i = 0; i < UHCI_PORTS; i++)
        speeds[i] = USB_SPEED(USB_LOW) | USB_SPEED(USB_FULL);
    if (bell_new(d, uhci_rung, 0, &h->bell) || timer_new(d, uhci_tick, &h->timer))
        return err_set(e, -ENOMEM, "no memory for a bell");
    r = usb_host_add(d, &host, speeds, UHCI_PORTS, e);
    r = r ? r : pci_plug(d, &ident, e);
    if (r)
        usb_host_drop(d);
    else
        pci_config(d)[SBRN] = USB10;
    return r;
}

static void uhci_destroy(struct device *d)
{
    usb_host_drop(d);
    pci_unplug(d);
}

static void uhci_reset(struct device *d, enum reset kind)
{
    (void)kind;
    uhci_clear((struct uhci *)d);
}

#define S struct uhci_state
static const struct field state[] = { FIELD(1, S, command, 0, "USBCMD"),
                                      FIELD(2, S, status, 0, "USBSTS"),
                                      FIELD(3, S, interrupts, 0, "USBINTR"),
                                      FIELD(4, S, modify, 0, "SOFMOD"),
                                      FIELD(0, S, pad, F_LOCAL, "none"),
                                      FIELD(5, S, list, 0, "FRBASEADD"),
                                      FIELDS(6, S, port, 0, "PORTSC"),
                                      FIELDS(0, S, pad2, F_LOCAL, "none"),
                                      FIELD_ANY(7, S, frames, F_STRUCT, sizeof(struct frames), 1, 0,
                                                "frame counter", frames_fields),
                                      FIELD_END };
#undef S

const struct device_class device_uhci = {
    .name = "uhci",
    .about = "USB 1.1 controller as VMware's (15ad:0774), four ports",
    .domain = USB_DOMAIN,
    .size = sizeof(struct uhci),
    .state_at = offsetof(struct uhci, state),
    .state_size = sizeof(struct uhci_state),
    .state = state,
    .create = uhci_create,
    .destroy = uhci_destroy,
    .reset = uhci_reset,
};
