/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMCI: datagrams that the guest sends: to resources of the hypervisor, and to those of the host.
 * Left out: datagram sockets of the host.
 */
#include "device/tools/vmci_int.h"

bool vmci_same(struct vmci_handle a, struct vmci_handle b)
{
    return a.context == b.context && a.resource == b.resource;
}

static struct vmci_handle call_handle(const u8 *p)
{
    return (struct vmci_handle){ le32(p), le32(p + 4) };
}

/* Which of the resources asked for are there: a bit each, in the order of the question. */
static i32 call_query(const u8 *p, u32 len)
{
    const u32 have = 1u << VMCI_QUERY | 1u << VMCI_GET_CONTEXT | 1u << VMCI_SET_BITMAP |
                     1u << VMCI_DOORBELL_LINK | 1u << VMCI_DOORBELL_UNLINK |
                     1u << VMCI_DOORBELL_NOTIFY | 1u << VMCI_EVENT_SUBSCRIBE |
                     1u << VMCI_EVENT_UNSUBSCRIBE | 1u << VMCI_PAIR_ALLOC | 1u << VMCI_PAIR_DETACH |
                     1u << VMCI_STREAMS_HYPERVISOR;
    u32 n = len >= 8 ? le32(p) : 0, bits = 0;

    if (!n || n > 31 || len < 8 + 4 * n)
        return VMCI_BAD_ARGS;
    for (u32 i = 0; i < n; i++) {
        u32 id = le32(p + 8 + 4 * i);

        bits |= id < 32 && have >> id & 1 ? 1u << i : 0;
    }
    return (i32)bits;
}

static i32 call_bitmap(struct vmci *v, const u8 *p, u32 len)
{
    bool wide = v->state.caps & VMCI_CAP_PPN64;
    u64 page;

    if (len < (wide ? 8 : 4))
        return VMCI_BAD_ARGS;
    page = wide ? le64(p) : le32(p);
    if (!page || page >> 52 || !gmem_has(machine_ram(v->dev.machine), page << 12, VMCI_CHUNK))
        return VMCI_BAD_ARGS;
    v->state.bitmap = page << 12;
    return VMCI_OK;
}

static struct vmci_doorbell *call_doorbell(struct vmci *v, struct vmci_handle h)
{
    for (u32 i = 0; i < VMCI_DOORBELLS; i++)
        if (v->state.doorbell[i].used && vmci_same(v->state.doorbell[i].handle[0], h))
            return &v->state.doorbell[i];
    return NULL;
}

static i32 call_link(struct vmci *v, const u8 *p, u32 len)
{
    struct vmci_doorbell *d = v->state.doorbell;
    u64 index = len >= 16 ? le64(p + 8) : VMCI_CHUNK;

    if (index >= VMCI_CHUNK)
        return VMCI_BAD_ARGS;
    if (call_doorbell(v, call_handle(p)))
        return VMCI_EXISTS;
    while (d < v->state.doorbell + VMCI_DOORBELLS && d->used)
        d++;
    if (d == v->state.doorbell + VMCI_DOORBELLS)
        return VMCI_NO_RESOURCES;
    *d = (struct vmci_doorbell){ { call_handle(p) }, .index = (u32)index, .used = true };
    return VMCI_OK;
}

/* Doorbells are the guest's own: one byte of the bitmap each, the lowest bit of it. */
static i32 call_notify(struct vmci *v, const struct vmci_doorbell *d)
{
    struct gmem *g = machine_ram(v->dev.machine);
    u8 b;

    if (!d || !v->state.bitmap)
        return VMCI_NOT_FOUND;
    if (gmem_read(g, v->state.bitmap + d->index, &b, 1))
        return VMCI_BAD_ARGS;
    b |= 1;
    gmem_write(g, v->state.bitmap + d->index, &b, 1);
    vmci_cause(v, VMCI_CAUSE_NOTIFICATION);
    return VMCI_OK;
}

static i32 call_on_doorbell(struct vmci *v, u32 what, const u8 *p, u32 len)
{
    struct vmci_doorbell *d = len >= 8 ? call_doorbell(v, call_handle(p)) : NULL;

    if (what == VMCI_DOORBELL_NOTIFY)
        return call_notify(v, d);
    if (!d)
        return VMCI_NOT_FOUND;
    *d = (struct vmci_doorbell){ 0 };
    return VMCI_OK;
}

static i32 call_hypervisor(struct vmci *v, u32 resource, const u8 *datagram, u32 total)
{
    const u8 *p = datagram + VMCI_HEADER;
    u32 len = total - VMCI_HEADER;

    switch (resource) {
    case VMCI_QUERY:
        return call_query(p, len);
    case VMCI_GET_CONTEXT:
        return (i32)v->config.cid;
    case VMCI_SET_BITMAP:
        return call_bitmap(v, p, len);
    case VMCI_DOORBELL_LINK:
        return call_link(v, p, len);
    case VMCI_DOORBELL_UNLINK:
    case VMCI_DOORBELL_NOTIFY:
        return call_on_doorbell(v, resource, p, len);
    case VMCI_EVENT_SUBSCRIBE: /* all events are told anyway */
    case VMCI_EVENT_UNSUBSCRIBE:
        return VMCI_OK;
    case VMCI_PAIR_ALLOC:
        return vmci_pair_alloc(v, datagram, total);
    case VMCI_PAIR_DETACH:
        return len >= 8 ? vmci_pair_detach(v, call_handle(p)) : VMCI_BAD_ARGS;
    case VMCI_STREAMS_HYPERVISOR:
        return vmci_stream_packet(v, VMCI_HYPERVISOR, datagram, total);
    }
    return VMCI_BAD_RESOURCE;
}

i32 vmci_call(struct vmci *v, const u8 *p, u32 len)
{
    struct vmci_handle to = call_handle(p);

    if (to.context == VMCI_HYPERVISOR)
        return call_hypervisor(v, to.resource, p, len);
    if (to.context == VMCI_HOST && to.resource == VMCI_STREAMS_HOST)
        return vmci_stream_packet(v, VMCI_HOST, p, len);
    return VMCI_BAD_RESOURCE;
}
