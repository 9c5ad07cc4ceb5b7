/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xHCI: event rings and interrupters.  xHCI 1.1, 4.9.4, 4.17 and 5.5.2.  Moderation intervals
 * are kept and not waited for.
 */
#include "device/usb/xhci_int.h"

enum { IMAN = 0, IMOD = 4, ERSTSZ = 8, ERSTBA = 16, ERDP = 24 };
enum { SEGMENT_MIN = 16, SEGMENT_MAX = 4096 };

/* Without messages: one wire for all. */
void xhci_level(struct xhci *x)
{
    const struct xhci_state *s = &x->state;
    bool on = false;

    for (u32 i = 0; i < XHCI_VECTORS; i++)
        on |= s->interrupter[i].iman == (IMAN_PENDING | IMAN_ENABLE);
    pci_level(&x->dev, on && s->command & CMD_INTE);
}

static void interrupt(struct xhci *x, u32 vector)
{
    struct xhci_interrupter *i = &x->state.interrupter[vector];

    i->dequeue |= ERDP_BUSY;
    i->iman |= IMAN_PENDING;
    x->state.status |= STS_EINT;
    if (pci_message(&x->dev)) {
        if (i->iman & IMAN_ENABLE && x->state.command & CMD_INTE) {
            i->iman &= ~(u32)IMAN_PENDING;
            pci_raise(&x->dev, (u16)(pci_msix(&x->dev) ? vector : 0));
        }
        return;
    }
    xhci_level(x);
}

/* A segment as the table in memory says it; false: there is none. */
static bool segment(struct xhci *x, const struct xhci_interrupter *i, u32 n, u64 *base, u32 *size)
{
    u8 entry[16];

    if (n >= i->segments || gmem_read(xhci_ram(x), i->table + 16ull * n, entry, sizeof(entry)))
        return false;
    *base = le64(entry) & ~63ull;
    *size = le32(entry + 8) & 0xffff;
    return *size >= SEGMENT_MIN && *size <= SEGMENT_MAX;
}

static bool step(struct xhci *x, const struct xhci_interrupter *i, u32 *n, u32 *at, u64 *address)
{
    u64 base;
    u32 size;

    if (!segment(x, i, *n, &base, &size))
        return false;
    if (++*at >= size) {
        *at = 0;
        *n = *n + 1 < i->segments ? *n + 1 : 0;
        if (!segment(x, i, *n, &base, &size))
            return false;
    }
    *address = base + 16ull * *at;
    return true;
}

bool xhci_room(struct xhci *x, u32 vector, u32 n)
{
    const struct xhci_interrupter *i = &x->state.interrupter[vector % XHCI_VECTORS];
    u32 seg = i->segment, at = i->at;
    u64 address;

    while (n--)
        if (!step(x, i, &seg, &at, &address) || address == (i->dequeue & ~15ull)) {
            x->state.starved = true;
            return false;
        }
    return true;
}

void xhci_event(struct xhci *x, u32 vector, struct xhci_trb *e, bool quiet)
{
    struct xhci_interrupter *i = &x->state.interrupter[vector % XHCI_VECTORS];
    u64 base, next;
    u32 size;

    if (!segment(x, i, i->segment, &base, &size) || i->at >= size) {
        guest_error(&x->dev, "an event ring that is none");
        return;
    }
    e->control = (e->control & ~(u32)TRB_CYCLE) | i->cycle;
    if (gmem_write(xhci_ram(x), base + 16ull * i->at, e, sizeof(*e)))
        guest_error(&x->dev, "an event ring is not in RAM");
    step(x, i, &i->segment, &i->at, &next);
    if (!i->at && !i->segment)
        i->cycle = !i->cycle;
    if (!quiet && !(i->dequeue & ERDP_BUSY))
        interrupt(x, vector % XHCI_VECTORS);
}

u32 xhci_interrupter_load(struct xhci *x, u32 off)
{
    const struct xhci_interrupter *i = &x->state.interrupter[off / 32 % XHCI_VECTORS];

    switch (off % 32) {
    case IMAN:
        return i->iman;
    case IMOD:
        return i->imod;
    case ERSTSZ:
        return i->segments;
    case ERSTBA:
        return (u32)i->table;
    case ERSTBA + 4:
        return (u32)(i->table >> 32);
    case ERDP:
        return (u32)i->dequeue;
    case ERDP + 4:
        return (u32)(i->dequeue >> 32);
    }
    return 0;
}

/* Whatever waited for a place: all of it is looked at again. */
static void room_again(struct xhci *x)
{
    struct xhci_state *s = &x->state;

    if (!s->starved)
        return;
    s->starved = false;
    for (u32 i = 1; i <= XHCI_SLOTS; i++)
        if (s->slot[i].enabled)
            s->rung[i] = ~0u;
    xhci_ring(x, 0, 1);
}

/* The driver took events.  Those that it left, or that came meanwhile, interrupt again. */
static void dequeued(struct xhci *x, u32 vector, u32 val)
{
    struct xhci_interrupter *i = &x->state.interrupter[vector];
    u32 busy = i->dequeue & ERDP_BUSY & ~val;
    u64 base, at;
    u32 size;

    i->dequeue = (i->dequeue & ~0xffffffffull) | (val & ~15u) | busy | (val & 7);
    at = i->dequeue & ~15ull;
    if (!busy && segment(x, i, i->segment, &base, &size) && at != base + 16ull * i->at)
        interrupt(x, vector);
    room_again(x);
}

void xhci_interrupter_store(struct xhci *x, u32 off, u32 val)
{
    u32 vector = off / 32 % XHCI_VECTORS;
    struct xhci_interrupter *i = &x->state.interrupter[vector];

    switch (off % 32) {
    case IMAN:
        i->iman = (i->iman & IMAN_PENDING & ~val) | (val & IMAN_ENABLE);
        xhci_level(x);
        break;
    case IMOD:
        i->imod = val;
        break;
    case ERSTSZ:
        i->segments = (u32)min_u64(val & 0xffff, XHCI_SEGMENTS);
        break;
    case ERSTBA:
        i->table = (i->table & ~0xffffffffull) | (val & ~63u);
        break;
    case ERSTBA + 4: /* this one starts the ring */
        i->table = (u32)i->table | (u64)val << 32;
        i->segment = i->at = 0;
        i->cycle = true;
        break;
    case ERDP:
        dequeued(x, vector, val);
        break;
    case ERDP + 4:
        i->dequeue = (u32)i->dequeue | (u64)val << 32;
        break;
    }
}
