/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UHCI: queue heads and transfer descriptors.  Universal Host Controller Interface 1.1, 3.1 to
 * 3.4.  A frame takes as much as its list holds, up to a bound of ours, and not what 12 Mb/s
 * would carry.
 */
#include "device/usb/uhci_int.h"

enum { STEPS = 2048, IDLE_QUEUES = 64, PIECES = 4 };
enum { LINK_END = 1, LINK_QUEUE = 2 };
enum { TD_LINK, TD_STATUS, TD_TOKEN, TD_BUFFER, TD_WORDS };
enum { /* a descriptor's status */
       TD_ACTUAL = 0x7ff,
       TD_TIMEOUT = 1 << 18,
       TD_NAK = 1 << 19,
       TD_BUFFER_ERROR = 1 << 21,
       TD_STALLED = 1 << 22,
       TD_ACTIVE = 1 << 23,
       TD_IOC = 1 << 24,
       TD_SHORT = 1 << 29,
       TD_ERRORS = 0x7e0000,
       PID_IN = 0x69,
       PID_OUT = 0xe1,
       PID_SETUP = 0x2d
};

enum outcome { TD_DONE, TD_WAITS, TD_STOPS }; /* stops: the queue does, at this descriptor */

static struct gmem *uhci_ram(struct uhci *h)
{
    return machine_ram(h->dev.machine);
}

static enum outcome td_over(struct uhci *h, u32 *td, enum usb_answer a,
                            const struct usb_transfer *t)
{
    bool is_short = t->pid == USB_IN && t->done < t->len && td[TD_STATUS] & TD_SHORT;

    td[TD_STATUS] &= ~(u32)(TD_ERRORS | TD_ACTUAL);
    if (a == USB_NAK && !t->done) {
        td[TD_STATUS] |= TD_NAK;
        return TD_WAITS;
    }
    td[TD_STATUS] &= ~(u32)TD_ACTIVE;
    td[TD_STATUS] |= (t->done - 1) & TD_ACTUAL;
    if (td[TD_STATUS] & TD_IOC || is_short)
        h->state.status |= STS_INT;
    if (a == USB_ACK || a == USB_NAK)
        return is_short ? TD_STOPS : TD_DONE;
    td[TD_STATUS] |= TD_STALLED | (a == USB_GONE ? TD_TIMEOUT : 0);
    h->state.status |= STS_ERROR;
    return TD_STOPS;
}

static enum outcome td_run(struct uhci *h, u32 at, u32 *td)
{
    u32 token = td[TD_TOKEN], pid = token & 0xff;
    struct usb_transfer t = { .pid = pid == PID_IN      ? USB_IN
                                     : pid == PID_SETUP ? USB_SETUP
                                                        : USB_OUT,
                              .endpoint = token >> 15 & 15,
                              .len = ((token >> 21) + 1) & TD_ACTUAL };
    struct usb_device *u = usb_by_address(&h->dev, uhci_enabled(h), token >> 8 & 0x7f);
    struct iovec v[PIECES];
    enum usb_answer a;
    enum outcome o;

    t.v = v;
    t.nv = t.len ? gmem_map(uhci_ram(h), td[TD_BUFFER], t.len,
                            t.pid == USB_IN ? GMEM_WRITE : GMEM_READ, v, PIECES)
                 : 0;
    if (pid != PID_IN && pid != PID_OUT && pid != PID_SETUP)
        a = USB_STALL;
    else
        a = t.nv < 0 || !u ? USB_GONE : usb_run(u, &t);
    if (t.nv > 0)
        gmem_unmap(uhci_ram(h), v, t.nv, t.pid == USB_IN ? t.done : 0);
    o = td_over(h, td, a, &t);
    gmem_write(uhci_ram(h), at + 4, &td[TD_STATUS], 4);
    return o;
}

/* The descriptors of a queue, until one waits.  *done: how many went over. */
static void queue_visit(struct uhci *h, u32 at, u32 element, u32 *steps, u32 *done)
{
    while (*steps && !(element & (LINK_END | LINK_QUEUE))) {
        u32 where = element & ~15u, td[TD_WORDS];

        --*steps;
        if (gmem_read(uhci_ram(h), where, td, sizeof(td)) || !(td[TD_STATUS] & TD_ACTIVE) ||
            td_run(h, where, td) != TD_DONE)
            return;
        ++*done;
        element = td[TD_LINK];
        gmem_write(uhci_ram(h), at + 4, &element, sizeof(element));
    }
}

bool uhci_walk(struct uhci *h, u32 link)
{
    u32 steps = STEPS, idle = 0, done = 0;

    while (steps && !(link & LINK_END) && idle < IDLE_QUEUES) {
        u32 at = link & ~15u, w[TD_WORDS], was = done;

        steps--;
        if (gmem_read(uhci_ram(h), at, w, link & LINK_QUEUE ? 8 : sizeof(w))) {
            guest_error(&h->dev, "a frame's list is not in RAM");
            h->state.status |= STS_PROCESS_ERROR;
            break;
        }
        if (link & LINK_QUEUE)
            queue_visit(h, at, w[1], &steps, &done);
        else if (w[TD_STATUS] & TD_ACTIVE)
            done += td_run(h, at, w) == TD_DONE;
        idle = done == was ? idle + 1 : 0; /* drivers make loops, to use a frame up */
        link = w[0];
    }
    return done;
}
