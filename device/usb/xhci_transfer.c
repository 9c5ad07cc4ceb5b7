/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xHCI: transfer rings.  xHCI 1.1, 4.10, 4.11 and 6.4.1.  Each block of a ring is a transfer of
 * its own to the device; one that says NAK leaves the ring where it is until the device wakes
 * us.  Left out: streams, isochronous transfers.
 */
#include "device/usb/xhci_int.h"

enum { PIECES = 34 };

/* The endpoint context says what we know. */
void xhci_endpoint_set(struct xhci *x, u32 slot, u32 endpoint, u8 state)
{
    struct xhci_slot *s = &x->state.slot[slot];
    struct xhci_endpoint *ep = &s->endpoint[endpoint];
    u64 at = s->context + CONTEXT * (u64)endpoint;
    u8 word[4], pointer[8];

    ep->state = state;
    if (gmem_read(xhci_ram(x), at, word, sizeof(word)))
        return;
    word[0] = (u8)((word[0] & ~7) | state);
    put_le64(pointer, ep->dequeue | ep->cycle);
    gmem_write(xhci_ram(x), at, word, sizeof(word));
    gmem_write(xhci_ram(x), at + 8, pointer, sizeof(pointer));
}

struct step { /* a block, and where it came from */
    struct xhci *x;
    u32 slot, endpoint;
    struct xhci_endpoint *ep;
    struct xhci_trb trb;
};

static u32 target(const struct step *w)
{
    return w->trb.status >> 22;
}

static void tell(struct step *w, u8 code, u32 left, bool data)
{
    struct xhci_trb e = {
        .parameter = data ? w->trb.parameter : w->ep->dequeue,
        .status = (left & 0xffffff) | (u32)code << 24,
        .control = TRB_TRANSFER_EVENT << TRB_TYPE_SHIFT | w->endpoint << 16 | w->slot << 24 |
                   (data ? EVENT_DATA : 0),
    };

    xhci_event(w->x, target(w), &e, w->trb.control & TRB_BLOCK && code == CC_SUCCESS);
}

/* It stands until the driver has seen to it. */
static bool fail(struct step *w, u8 code, u32 left, u8 state)
{
    xhci_endpoint_set(w->x, w->slot, w->endpoint, state);
    tell(w, code, left, false);
    return false;
}

static void block_over(struct step *w)
{
    struct xhci_endpoint *ep = w->ep;

    ep->done = 0;
    if (w->trb.control & TRB_CHAIN)
        return;
    ep->skip = ep->told = false;
    ep->total = 0;
}

static void event_data(struct step *w)
{
    if (w->trb.control & TRB_IOC)
        tell(w, w->ep->skip ? CC_SHORT : CC_SUCCESS, w->ep->total, true);
    w->ep->total = 0;
}

static enum usb_pid pid_of(const struct step *w, u32 type)
{
    switch (type) {
    case TRB_SETUP:
        return USB_SETUP;
    case TRB_DATA:
    case TRB_STATUS:
        return w->trb.control & TRB_IN ? USB_IN : USB_OUT;
    }
    if (w->ep->kind == ENDPOINT_CONTROL)
        return w->ep->in ? USB_IN : USB_OUT;
    return w->endpoint & 1 ? USB_IN : USB_OUT;
}

/* The data of a block, from what is done on: pieces, or a code why not. */
static u8 map(struct step *w, struct usb_transfer *t, struct iovec *v)
{
    u32 len = w->trb.status & TRB_LENGTH;
    int n;

    t->v = v;
    if (w->trb.control & TRB_IMMEDIATE) {
        if (len > 8 || t->pid == USB_IN || w->ep->done > len)
            return CC_TRB;
        v[0] = (struct iovec){ (u8 *)&w->trb.parameter + w->ep->done, len - w->ep->done };
        t->nv = 1;
    } else {
        n = w->ep->done > len ? -1
            : len ? gmem_map(xhci_ram(w->x), w->trb.parameter + w->ep->done, len - w->ep->done,
                             t->pid == USB_IN ? GMEM_WRITE : GMEM_READ, v, PIECES)
                  : 0;
        if (n < 0) {
            guest_error(&w->x->dev, "data that are not in RAM");
            return CC_DATA_BUFFER;
        }
        t->nv = n;
    }
    t->len = len - w->ep->done;
    return 0;
}

/* What the device said.  false: the ring stays where it is. */
static bool answered(struct step *w, enum usb_answer a, const struct usb_transfer *t)
{
    u32 control = w->trb.control, left = t->len - t->done;
    bool is_short = t->pid == USB_IN && t->ended && left;

    w->ep->done += t->done;
    w->ep->total += t->done;
    if (a == USB_NAK)
        return false;
    if (a != USB_ACK)
        return fail(w, a == USB_STALL ? CC_STALL : CC_TRANSACTION, left, ENDPOINT_HALTED);
    if (control & TRB_IOC || (is_short && control & TRB_ISP)) {
        tell(w, is_short ? CC_SHORT : CC_SUCCESS, left, false);
        w->ep->told = true;
    }
    w->ep->skip = is_short;
    block_over(w);
    return true;
}

static bool transfer(struct step *w, u32 type)
{
    struct usb_transfer t = { .pid = pid_of(w, type), .endpoint = (u8)(w->endpoint / 2) };
    struct xhci_slot *s = &w->x->state.slot[w->slot];
    struct usb_device *u = usb_at(&w->x->dev, s->port - 1u);
    struct iovec v[PIECES];
    enum usb_answer a;
    u8 bad;

    if (type == TRB_SETUP && (!(w->trb.control & TRB_IMMEDIATE) || w->endpoint != 1))
        return fail(w, CC_TRB, 0, ENDPOINT_ERROR);
    if (type == TRB_DATA)
        w->ep->in = w->trb.control & TRB_IN;
    if (type == TRB_STATUS)
        w->trb.status &= ~(u32)TRB_LENGTH;
    t.more = w->trb.control & TRB_CHAIN && t.pid == USB_OUT;
    bad = map(w, &t, v);
    if (bad)
        return fail(w, bad, 0, bad == CC_TRB ? ENDPOINT_ERROR : ENDPOINT_HALTED);
    a = u ? usb_run(u, &t) : USB_GONE;
    if (!(w->trb.control & TRB_IMMEDIATE))
        gmem_unmap(xhci_ram(w->x), v, t.nv, t.pid == USB_IN ? t.done : 0);
    return answered(w, a, &t);
}

/* A block of a packet that was over before: only its driver is told. */
static void skipped(struct step *w)
{
    if (w->trb.control & TRB_IOC && !w->ep->told) {
        tell(w, CC_SHORT, w->trb.status & TRB_LENGTH, false);
        w->ep->told = true;
    }
    block_over(w);
}

static bool block(struct step *w)
{
    u32 type = w->trb.control >> TRB_TYPE_SHIFT & 63;

    switch (type) {
    case TRB_EVENT_DATA:
        event_data(w);
        block_over(w);
        return true;
    case TRB_NOOP:
        if (w->trb.control & TRB_IOC)
            tell(w, CC_SUCCESS, 0, false);
        block_over(w);
        return true;
    case TRB_NORMAL:
    case TRB_SETUP:
    case TRB_DATA:
    case TRB_STATUS:
    case TRB_ISOCH:
        if (!w->ep->skip)
            return transfer(w, type);
        skipped(w);
        return true;
    }
    guest_error(&w->x->dev, "a transfer ring has a block of type %u", type);
    return fail(w, CC_TRB, 0, ENDPOINT_ERROR);
}

void xhci_endpoint_run(struct xhci *x, u32 slot, u32 endpoint)
{
    struct step w = { .x = x, .slot = slot, .endpoint = endpoint };
    struct xhci_endpoint *ep = w.ep = &x->state.slot[slot].endpoint[endpoint];

    for (u32 n = 0; n < XHCI_AT_ONCE; n++) {
        if (ep->state != ENDPOINT_RUNNING)
            return;
        if (gmem_read(xhci_ram(x), ep->dequeue, &w.trb, sizeof(w.trb))) {
            guest_error(&x->dev, "a transfer ring is not in RAM");
            xhci_endpoint_set(x, slot, endpoint, ENDPOINT_ERROR);
            return;
        }
        if ((w.trb.control & TRB_CYCLE) != ep->cycle || !xhci_room(x, target(&w), 2))
            return;
        if ((w.trb.control >> TRB_TYPE_SHIFT & 63) == TRB_LINK) {
            if (w.trb.control & TRB_IOC)
                tell(&w, CC_SUCCESS, 0, false);
            ep->dequeue = w.trb.parameter & ~15ull;
            ep->cycle ^= !!(w.trb.control & TRB_TOGGLE);
        } else if (block(&w)) {
            ep->dequeue += sizeof(w.trb);
        } else {
            return;
        }
    }
    xhci_ring(x, slot, 1u << endpoint); /* it has more */
}

void xhci_endpoint_stopped(struct xhci *x, u32 slot, u32 endpoint)
{
    struct step w = { .x = x, .slot = slot, .endpoint = endpoint };

    w.ep = &x->state.slot[slot].endpoint[endpoint];
    if (!w.ep->done || gmem_read(xhci_ram(x), w.ep->dequeue, &w.trb, sizeof(w.trb)))
        return;
    tell(&w, CC_STOPPED, (w.trb.status & TRB_LENGTH) - w.ep->done, false);
}
