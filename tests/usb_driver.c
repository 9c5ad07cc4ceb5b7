/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/usb_driver.h"
#include "base/bytes.h"
#include "device/usb/xhci_wire.h"
#include <errno.h>
#include <sched.h>

enum { AT_SETUP = 0x10000, AT_CONTEXTS = 0x11000, AT_COMMANDS = 0x12000, AT_EVENTS = 0x13000 };
enum { AT_SEGMENTS = 0x14000, AT_INPUT = 0x15000, AT_OUTPUT = 0x16000, AT_RINGS = 0x18000 };
enum {
    AT_QUEUE = 0x10100,
    AT_IDLE = 0x10200,
    AT_LIST = 0x20000,
    AT_TDS = 0x21000,
    RING = 0x400,
    EVENTS = 256
};
enum { SLICE = 0x10000, TIME = 5000000, DESC_CONFIG = 2, SET_CONFIGURATION = 9, SET_ADDRESS = 5 };

static bool is(const struct usb_driver *u, const char *class)
{
    return !strcmp(u->dev->class->name, class);
}

static u32 reg(struct usb_driver *u, u32 off, u32 size)
{
    return (u32)(is(u, "uhci") ? rig_in(u->rig, (u16)(u->base + off), size)
                               : rig_load(u->rig, u->base + off, size));
}

static void set(struct usb_driver *u, u32 off, u32 size, u32 val)
{
    if (is(u, "uhci"))
        rig_out(u->rig, (u16)(u->base + off), size, val);
    else
        rig_store(u->rig, u->base + off, size, val);
}

static u32 word(struct usb_driver *u, u64 at)
{
    u32 v;

    rig_get(u->rig, at, &v, 4);
    return v;
}

static void put(struct usb_driver *u, u64 at, u32 v)
{
    rig_put(u->rig, at, &v, 4);
}

static void clear(struct usb_driver *u, u64 at, u32 n)
{
    static const u8 zero[0x1000];

    rig_put(u->rig, at, zero, n);
}

void usb_driver_turn(struct usb_driver *u)
{
    rig_clock(u->rig, TIME);
    rig_lane(u->rig);
}

/* ---- xHCI ---- */

static void xhci_trb(struct usb_driver *u, u64 at, u64 parameter, u32 status, u32 control)
{
    struct xhci_trb t = { parameter, status, control };

    rig_put(u->rig, at, &t, sizeof(t));
}

/* The next event; false: there is none. */
static bool xhci_event(struct usb_driver *u, struct xhci_trb *e)
{
    u64 at = AT_EVENTS + 16ull * u->events;

    rig_get(u->rig, at, e, sizeof(*e));
    if ((e->control & TRB_CYCLE) != u->event_cycle)
        return false;
    if (++u->events == EVENTS) {
        u->events = 0;
        u->event_cycle = !u->event_cycle;
    }
    rig_store(u->rig, u->base + XHCI_INTERRUPTERS + 24, 8,
              (AT_EVENTS + 16ull * u->events) | ERDP_BUSY);
    return true;
}

/* Runs a command: its completion code. */
static u8 xhci_command(struct usb_driver *u, u64 parameter, u32 control)
{
    struct xhci_trb e;

    xhci_trb(u, AT_COMMANDS + 16ull * u->commands, parameter, 0, control | u->command_cycle);
    if (++u->commands == USB_DRIVER_TRBS - 1) {
        xhci_trb(u, AT_COMMANDS + 16ull * u->commands, AT_COMMANDS, 0,
                 TRB_LINK << TRB_TYPE_SHIFT | TRB_TOGGLE | u->command_cycle);
        u->commands = 0;
        u->command_cycle = !u->command_cycle;
    }
    set(u, XHCI_DOORBELLS, 4, 0);
    rig_lane(u->rig);
    while (xhci_event(u, &e))
        if ((e.control >> TRB_TYPE_SHIFT & 63) == TRB_COMMAND_EVENT) {
            u->slot = e.control >> 24 ? e.control >> 24 : u->slot;
            return (u8)(e.status >> 24);
        }
    return 0;
}

static void xhci_start(struct usb_driver *u)
{
    clear(u, AT_SETUP, 0x1000);
    for (u64 at = AT_CONTEXTS; at < AT_RINGS + 32 * RING; at += 0x1000)
        clear(u, at, 0x1000);
    rig_put(u->rig, AT_SEGMENTS, (u64[]){ AT_EVENTS, EVENTS }, 16);
    set(u, XHCI_CONFIG, 4, 8);
    rig_store(u->rig, u->base + XHCI_DCBAAP, 8, AT_CONTEXTS);
    rig_store(u->rig, u->base + XHCI_CRCR, 8, AT_COMMANDS | 1);
    set(u, XHCI_INTERRUPTERS + 8, 4, 1);
    rig_store(u->rig, u->base + XHCI_INTERRUPTERS + 24, 8, AT_EVENTS);
    rig_store(u->rig, u->base + XHCI_INTERRUPTERS + 16, 8, AT_SEGMENTS);
    set(u, XHCI_INTERRUPTERS, 4, IMAN_ENABLE);
    u->commands = u->events = 0;
    u->command_cycle = u->event_cycle = true;
    set(u, XHCI_USBCMD, 4, CMD_RUN | CMD_INTE);
}

static u64 ring_at(u32 endpoint)
{
    return AT_RINGS + (u64)RING * endpoint;
}

static u64 ring_put(struct usb_driver *u, u32 endpoint, u64 parameter, u32 status, u32 control)
{
    u64 at = ring_at(endpoint) + 16ull * u->ring[endpoint].at;

    xhci_trb(u, at, parameter, status, control | u->ring[endpoint].cycle);
    if (++u->ring[endpoint].at == USB_DRIVER_TRBS - 1) {
        xhci_trb(u, at + 16, ring_at(endpoint), 0,
                 TRB_LINK << TRB_TYPE_SHIFT | TRB_TOGGLE | (control & TRB_CHAIN) |
                     u->ring[endpoint].cycle);
        u->ring[endpoint].at = 0;
        u->ring[endpoint].cycle = !u->ring[endpoint].cycle;
    }
    return at;
}

static void xhci_context(struct usb_driver *u, u32 endpoint, u32 kind, u32 packet)
{
    u64 at = AT_INPUT + CONTEXT * (endpoint + 1ull);

    put(u, at + 4, 3 << 1 | kind << 3 | packet << 16);
    put(u, at + 8, (u32)ring_at(endpoint) | 1);
    u->ring[endpoint].at = 0;
    u->ring[endpoint].cycle = true;
}

static bool xhci_attach(struct usb_driver *u, u32 port)
{
    u32 at = XHCI_PORTS_AT + 16 * port, speed;

    if (!(reg(u, at, 4) & PORT_CONNECTED))
        return false;
    set(u, at, 4, PORT_POWER | PORT_RESET);
    set(u, at, 4, PORT_POWER | PORT_CHANGES);
    speed = (reg(u, at, 4) & PORT_SPEED) >> PORT_SPEED_SHIFT;
    if (xhci_command(u, 0, TRB_ENABLE_SLOT << TRB_TYPE_SHIFT) != CC_SUCCESS)
        return false;
    put(u, AT_CONTEXTS + 8ull * u->slot, AT_OUTPUT);
    clear(u, AT_INPUT, 0x1000);
    put(u, AT_INPUT + 4, 3);
    put(u, AT_INPUT + CONTEXT, 1 << 27 | speed << 20);
    put(u, AT_INPUT + CONTEXT + 4, (port + 1) << 16);
    xhci_context(u, 1, ENDPOINT_CONTROL, 64);
    return xhci_command(u, AT_INPUT, TRB_ADDRESS << TRB_TYPE_SHIFT | u->slot << 24) == CC_SUCCESS;
}

/* Endpoints 1 in (bulk or interrupt) and 2 out, as our devices have them. */
static bool xhci_configure(struct usb_driver *u)
{
    clear(u, AT_INPUT, 0x1000);
    put(u, AT_INPUT + 4, 1 | 1 << 3 | 1 << 4);
    put(u, AT_INPUT + CONTEXT, 4 << 27);
    xhci_context(u, 3, 6, u->packet);
    xhci_context(u, 4, 2, u->packet);
    return xhci_command(u, AT_INPUT, TRB_CONFIGURE << TRB_TYPE_SHIFT | u->slot << 24) == CC_SUCCESS;
}

static u32 dci(u8 endpoint)
{
    return endpoint & 15 ? (endpoint & 15) * 2u + (endpoint >> 7) : 1;
}

static void xhci_submit(struct usb_driver *u, bool control)
{
    u32 d = dci(u->endpoint), n = 0;

    memset(u->trb, 0, sizeof(u->trb));
    u->left = 0;
    if (control) {
        bool in = u->endpoint & 0x80;
        u64 setup;

        rig_get(u->rig, AT_SETUP, &setup, 8);
        ring_put(u, 1, setup, 8, TRB_SETUP << TRB_TYPE_SHIFT | TRB_IMMEDIATE);
        if (u->len)
            u->trb[0] = ring_put(u, 1, u->data, u->len,
                                 TRB_DATA << TRB_TYPE_SHIFT | TRB_ISP | (in ? TRB_IN : 0));
        u->trb[1] = ring_put(u, 1, 0, 0,
                             TRB_STATUS << TRB_TYPE_SHIFT | TRB_IOC | (in && u->len ? 0 : TRB_IN));
    }
    for (u32 off = 0; !control && (off < u->len || !n) && n < LEN(u->trb); off += SLICE, n++) {
        u32 part = (u32)min_u64(u->len - off, SLICE);
        bool last = off + part == u->len;

        u->trb[n] = ring_put(u, d, u->data + off, part,
                             TRB_NORMAL << TRB_TYPE_SHIFT | TRB_ISP | (last ? TRB_IOC : TRB_CHAIN));
    }
    set(u, XHCI_DOORBELLS + 4 * u->slot, 4, d);
}

static bool xhci_done(struct usb_driver *u)
{
    struct xhci_trb e;

    while (xhci_event(u, &e)) {
        u32 code = e.status >> 24, d = dci(u->endpoint);

        if ((e.control >> TRB_TYPE_SHIFT & 63) != TRB_TRANSFER_EVENT || (e.control >> 16 & 31) != d)
            continue;
        if (code != CC_SUCCESS && code != CC_SHORT) {
            u->result = code == CC_STALL ? -EPIPE : -EIO;
            return true;
        }
        if (d == 1 && e.parameter == u->trb[0]) {
            u->left = e.status & 0xffffff;
            continue;
        }
        for (u32 i = 0; d > 1 && i < LEN(u->trb); i++)
            if (u->trb[i] == e.parameter) {
                u32 part = (u32)min_u64(u->len - i * SLICE, SLICE);

                u->left = u->len - (i * SLICE + part - (e.status & 0xffffff));
            }
        u->result = (i32)(u->len - u->left);
        return true;
    }
    return false;
}

static void xhci_restart(struct usb_driver *u, u32 d)
{
    u32 where = u->slot << 24 | d << 16;
    u64 at = ring_at(d) + 16ull * u->ring[d].at;

    xhci_command(u, 0, TRB_RESET_ENDPOINT << TRB_TYPE_SHIFT | where);
    xhci_command(u, at | u->ring[d].cycle, TRB_SET_DEQUEUE << TRB_TYPE_SHIFT | where);
}

/* ---- EHCI: one queue head, in a ring with itself ---- */

static void ehci_start(struct usb_driver *u)
{
    clear(u, AT_QUEUE, 0x200);
    put(u, AT_QUEUE, AT_QUEUE | 2);
    put(u, AT_QUEUE + 4, 1 << 15);
    put(u, AT_QUEUE + 16, 1);
    put(u, AT_QUEUE + 20, 1);
    set(u, 0x38, 4, AT_QUEUE);
    set(u, 0x28, 4, 0x37);
    set(u, 0x20, 4, 1 << 16 | 1 << 5 | 1);
    set(u, 0x60, 4, 1);
}

static u32 ehci_td(struct usb_driver *u, u32 n, u32 pid, u64 data, u32 len, bool last)
{
    u64 at = AT_TDS + 64ull * n;

    put(u, at, last ? 1 : (u32)at + 64);
    put(u, at + 4, u->endpoint & 15 ? AT_IDLE : AT_TDS + 128); /* after a short packet */
    put(u, at + 8, len << 16 | 3 << 10 | pid << 8 | 0x80 | (last ? 1 << 15 : 0));
    for (u32 i = 0; i < 5; i++)
        put(u, at + 12 + 4ull * i, i ? (u32)(data & ~0xfffull) + 0x1000 * i : (u32)data);
    return n + 1;
}

static void ehci_submit(struct usb_driver *u, bool control)
{
    bool in = u->endpoint & 0x80;
    u32 n = 0;

    if (control) {
        n = ehci_td(u, n, 2, AT_SETUP, 8, false);
        if (u->len)
            n = ehci_td(u, n, in, u->data, u->len, false);
        n = ehci_td(u, n, !(in && u->len), 0, 0, true);
    } else {
        u32 off = 0;

        do {
            u32 part = (u32)min_u64(u->len - off, 0x4000);

            n = ehci_td(u, n, in, u->data + off, part, off + part == u->len);
            off += part;
        } while (off < u->len);
    }
    u->queue = n;
    put(u, AT_QUEUE + 4,
        1 << 15 | 1 << 14 | u->address | (u->endpoint & 15u) << 8 | 2 << 12 |
            (control ? 64u : u->packet) << 16);
    put(u, AT_QUEUE + 24, 0);
    put(u, AT_QUEUE + 16, AT_TDS);
}

/* Sums up, and stops at what stalled or was short. */
static bool ehci_done(struct usb_driver *u)
{
    u32 left = 0;
    bool control = !(u->endpoint & 15);

    for (u32 i = 0; i < u->queue; i++) {
        u32 token = word(u, AT_TDS + 64ull * i + 8), rest = token >> 16 & 0x7fff;

        if (token & 0x40) {
            u->result = token & 8 ? -EIO : -EPIPE;
            return true;
        }
        if (token & 0x80) {
            if (control || !left) /* a short packet stops the others */
                return false;
        }
        left += rest;
    }
    u->result = (i32)(u->len - left);
    put(u, AT_QUEUE + 16, 1);
    return true;
}

/* ---- UHCI: a queue in each frame ---- */

static void uhci_start(struct usb_driver *u)
{
    for (u32 i = 0; i < 1024; i++)
        put(u, AT_LIST + 4ull * i, AT_QUEUE | 2);
    put(u, AT_QUEUE, 1);
    put(u, AT_QUEUE + 4, 1);
    set(u, 8, 4, AT_LIST);
    set(u, 4, 2, 15);
    set(u, 0, 2, 1 << 7 | 1 << 6 | 1);
}

static u32 uhci_td(struct usb_driver *u, u32 n, u32 pid, u64 data, u32 len, bool last)
{
    u64 at = AT_TDS + 16ull * n;

    put(u, at, last ? 1 : ((u32)at + 16) | 4);
    put(u, at + 4, 1 << 29 | 3 << 27 | (last ? 1 << 24 : 0) | 1 << 23);
    put(u, at + 8,
        ((len - 1) & 0x7ff) << 21 | (u->endpoint & 15u) << 15 | (u32)u->address << 8 | pid);
    put(u, at + 12, (u32)data);
    return n + 1;
}

static void uhci_submit(struct usb_driver *u, bool control)
{
    bool in = u->endpoint & 0x80;
    u32 n = 0, off = 0, packet = control ? 64 : u->packet;

    if (control)
        n = uhci_td(u, n, 0x2d, AT_SETUP, 8, false);
    while (off < u->len || (!control && !n)) {
        u32 part = (u32)min_u64(u->len - off, packet);

        n = uhci_td(u, n, in ? 0x69 : 0xe1, u->data + off, part, !control && off + part == u->len);
        off += part;
    }
    u->left = n; /* the status stage's */
    if (control)
        n = uhci_td(u, n, in && u->len ? 0xe1 : 0x69, 0, 0, true);
    u->queue = n;
    put(u, AT_QUEUE + 4, AT_TDS);
}

static bool uhci_done(struct usb_driver *u)
{
    bool control = !(u->endpoint & 15);
    u32 done = 0;

    for (u32 i = 0; i < u->queue; i++) {
        u64 at = AT_TDS + 16ull * i;
        u32 status = word(u, at + 4), got = (status + 1) & 0x7ff;

        if (status & 1 << 23)
            return false;
        if (status & 1 << 22) {
            u->result = status & 1 << 18 ? -EIO : -EPIPE;
            return true;
        }
        if (control && (!i || i == u->left))
            continue;
        done += got;
        if (got == (((word(u, at + 8) >> 21) + 1) & 0x7ff))
            continue;
        if (!control)
            break;
        put(u, AT_QUEUE + 4, AT_TDS + 16 * u->left); /* on with the status stage */
        i = u->left - 1;
    }
    u->result = (i32)done;
    return true;
}

/* ---- one face ---- */

void usb_driver_start(struct usb_driver *u, struct rig *r, struct device *d)
{
    *u = (struct usb_driver){ .rig = r, .dev = d, .packet = 64 };
    rig_pci_enable(r, d);
    u->base = rig_bar(d, is(u, "uhci") ? 4 : 0);
    if (is(u, "xhci"))
        xhci_start(u);
    else if (is(u, "ehci"))
        ehci_start(u);
    else
        uhci_start(u);
    rig_lane(r);
}

static bool port_start(struct usb_driver *u, u32 port)
{
    u32 at = is(u, "ehci") ? 0x64 + 4 * port : 0x10 + 2 * port, size = is(u, "ehci") ? 4 : 2;
    u32 reset = is(u, "ehci") ? 1 << 8 : 1 << 9;

    if (is(u, "xhci"))
        return xhci_attach(u, port);
    if (!(reg(u, at, size) & 1))
        return false;
    set(u, at, size, reset | (is(u, "ehci") ? 1 << 12 : 0));
    set(u, at, size, is(u, "ehci") ? 1 << 12 : 0);
    set(u, at, size, reg(u, at, size) | 4);
    if (!(reg(u, at, size) & 4) || usb_driver_control(u, 0, SET_ADDRESS, 5, 0, 0, 0))
        return false;
    u->address = 5;
    return true;
}

bool usb_driver_attach(struct usb_driver *u, u32 port)
{
    enum { AT = 0x7f000, PACKET_AT = 4 };
    u8 config[64] = { 0 };
    i32 n;

    u->port = port;
    if (!port_start(u, port))
        return false;
    n = usb_driver_control(u, 0x80, 6, DESC_CONFIG << 8, 0, sizeof(config), AT);
    rig_get(u->rig, AT, config, sizeof(config));
    for (i32 i = 0; i + PACKET_AT + 1 < n && config[i]; i += config[i])
        if (config[i + 1] == 5 && le16(config + i + PACKET_AT))
            u->packet = le16(config + i + PACKET_AT);
    return n > 0 && (!is(u, "xhci") || xhci_configure(u)) &&
           !usb_driver_control(u, 0, SET_CONFIGURATION, 1, 0, 0, 0);
}

static void submit(struct usb_driver *u, bool control)
{
    u->busy = true;
    if (is(u, "xhci"))
        xhci_submit(u, control);
    else if (is(u, "ehci"))
        ehci_submit(u, control);
    else
        uhci_submit(u, control);
}

bool usb_driver_done(struct usb_driver *u)
{
    if (u->busy)
        u->busy = is(u, "xhci") ? !xhci_done(u) : is(u, "ehci") ? !ehci_done(u) : !uhci_done(u);
    return !u->busy;
}

void usb_driver_submit(struct usb_driver *u, u8 endpoint, u64 data, u32 len)
{
    u->endpoint = endpoint;
    u->data = data;
    u->len = len;
    submit(u, false);
}

i32 usb_driver_wait(struct usb_driver *u)
{
    do {
        usb_driver_turn(u);
        sched_yield(); /* a disk's request may be with a worker */
    } while (!usb_driver_done(u));
    return u->result;
}

i32 usb_driver_bulk(struct usb_driver *u, u8 endpoint, u64 data, u32 len)
{
    usb_driver_submit(u, endpoint, data, len);
    return usb_driver_wait(u);
}

i32 usb_driver_control(struct usb_driver *u, u8 type, u8 request, u16 value, u16 index, u16 len,
                       u64 data)
{
    u8 setup[8] = { type, request };

    put_le16(setup + 2, value);
    put_le16(setup + 4, index);
    put_le16(setup + 6, len);
    rig_put(u->rig, AT_SETUP, setup, sizeof(setup));
    u->endpoint = type & 0x80;
    u->data = data;
    u->len = len;
    submit(u, true);
    for (u32 n = 0; n < 4 && !usb_driver_done(u); n++)
        usb_driver_turn(u);
    if (!u->busy && u->result < 0 && is(u, "xhci"))
        xhci_restart(u, 1);
    return u->busy ? -EIO : u->result;
}

void usb_driver_clear(struct usb_driver *u, u8 endpoint)
{
    if (is(u, "xhci"))
        xhci_restart(u, dci(endpoint));
    usb_driver_control(u, 2, 1, 0, endpoint, 0, 0);
}

void usb_driver_port_suspend(struct usb_driver *u, bool on)
{
    u32 at = XHCI_PORTS_AT + 16 * u->port;

    if (is(u, "xhci")) {
        set(u, at, 4, PORT_POWER | PORT_STROBE | (on ? LINK_U3 : LINK_U0) << PORT_LINK_SHIFT);
    } else if (is(u, "ehci")) {
        set(u, 0x64 + 4 * u->port, 4, 1 << 12 | 4 | 1 << 7 | (on ? 0 : 1 << 6));
        if (!on)
            set(u, 0x64 + 4 * u->port, 4, 1 << 12 | 4);
    } else {
        set(u, 0x10 + 2 * u->port, 2, 4 | (on ? 1 << 12 : 0));
    }
    rig_lane(u->rig);
}

bool usb_driver_port_resumes(struct usb_driver *u)
{
    if (is(u, "xhci"))
        return (reg(u, XHCI_PORTS_AT + 16 * u->port, 4) & PORT_LINK) >> PORT_LINK_SHIFT ==
               LINK_RESUME;
    return reg(u, is(u, "ehci") ? 0x64 + 4 * u->port : 0x10 + 2 * u->port, is(u, "ehci") ? 4 : 2) &
           1 << 6;
}
