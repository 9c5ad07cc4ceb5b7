/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMCI queue pairs: two rings of bytes in pages of the guest.  Each queue's first page holds two
 * numbers of the side that produces to it: the tail of this queue, the head of the other one.
 * Ours are in the page of the queue that the guest consumes.
 */
#include "device/tools/vmci_int.h"
#include <stdatomic.h>

static u32 queue_pages(u64 size)
{
    return (u32)((size + VMCI_CHUNK - 1) / VMCI_CHUNK) + 1;
}

struct vmci_pair *vmci_pair_find(struct vmci *v, struct vmci_handle h)
{
    for (u32 i = 0; i < VMCI_PAIRS; i++)
        if (v->state.pair[i].used && vmci_same(v->state.pair[i].handle[0], h))
            return &v->state.pair[i];
    return NULL;
}

/* ---- numbers ---- */

static u64 queue_number(const struct vmci *v, const struct vmci_queue *q, u32 which)
{
    u64 val;

    if (gmem_read(machine_ram(v->dev.machine), q->page[0] + which, &val, sizeof(val)))
        return ~0ull;
    return val;
}

static void queue_number_set(struct vmci *v, const struct vmci_queue *q, u32 which, u64 val)
{
    atomic_thread_fence(memory_order_seq_cst); /* the bytes first */
    gmem_write(machine_ram(v->dev.machine), q->page[0] + which, &val, sizeof(val));
    atomic_thread_fence(memory_order_seq_cst); /* then what the guest does about it */
}

u32 vmci_queue_ready(const struct vmci *v, const struct vmci_queues *q)
{
    u64 tail = queue_number(v, &q->out, VMCI_QUEUE_TAIL);

    if (tail >= q->out.size)
        return q->out.size;
    return (u32)(tail >= q->out.at ? tail - q->out.at : q->out.size - q->out.at + tail);
}

u32 vmci_queue_room(const struct vmci *v, const struct vmci_queues *q)
{
    u64 head = queue_number(v, &q->out, VMCI_QUEUE_HEAD);

    if (head >= q->in.size)
        return q->in.size;
    return (u32)(q->in.at >= head ? q->in.size - (q->in.at - head) - 1 : head - q->in.at - 1);
}

/* ---- bytes ---- */

int vmci_queue_map(struct vmci *v, const struct vmci_queue *q, u32 len, bool write,
                   struct iovec *to, int room)
{
    struct gmem *g = machine_ram(v->dev.machine);
    u32 at = q->at;
    int n = 0;

    while (len) {
        u32 in_page = at % VMCI_CHUNK;
        u32 one = (u32)min_u64(min_u64(VMCI_CHUNK - in_page, len), q->size - at);
        int r = gmem_map(g, q->page[1 + at / VMCI_CHUNK] + in_page, one,
                         write ? GMEM_WRITE : GMEM_READ, to + n, room - n);

        if (r < 0)
            return n;
        n += r;
        len -= one;
        at = at + one == q->size ? 0 : at + one;
    }
    return n;
}

static u32 queue_on(const struct vmci_queue *q, u32 n)
{
    return n >= q->size - q->at ? n - (q->size - q->at) : q->at + n;
}

void vmci_queue_took(struct vmci *v, struct vmci_queues *q, u32 n)
{
    q->out.at = queue_on(&q->out, n);
    queue_number_set(v, &q->in, VMCI_QUEUE_HEAD, q->out.at);
}

void vmci_queue_gave(struct vmci *v, struct vmci_queues *q, u32 n)
{
    q->in.at = queue_on(&q->in, n);
    queue_number_set(v, &q->in, VMCI_QUEUE_TAIL, q->in.at);
}

/* ---- the guest's calls ---- */

struct queue_alloc {
    struct vmci_handle handle;
    u32 peer, flags, out_pages, in_pages;
    u64 out, in, pages;
};

static i32 queue_alloc_read(struct vmci *v, const u8 *p, u32 len, struct queue_alloc *a)
{
    u32 each = v->state.caps & VMCI_CAP_PPN64 ? 8 : 4;

    if (len < VMCI_ALLOC)
        return VMCI_BAD_ARGS;
    a->handle = (struct vmci_handle){ le32(p + 24), le32(p + 28) };
    a->peer = le32(p + 32);
    a->flags = le32(p + 36);
    a->out = le64(p + 40);
    a->in = le64(p + 48);
    a->pages = le64(p + 56);
    if (!a->out || !a->in || a->out > VMCI_QUEUE_MAX || a->in > VMCI_QUEUE_MAX)
        return VMCI_BAD_SIZE;
    a->out_pages = queue_pages(a->out);
    a->in_pages = queue_pages(a->in);
    if (a->pages != (u64)a->out_pages + a->in_pages || len - VMCI_ALLOC < a->pages * each)
        return VMCI_BAD_ARGS;
    return VMCI_OK;
}

static const u8 *queue_read_pages(struct vmci *v, const u8 *p, u32 n, u64 *page)
{
    bool wide = v->state.caps & VMCI_CAP_PPN64;

    for (u32 i = 0; i < n; i++, p += wide ? 8 : 4) {
        u64 number = wide ? le64(p) : le32(p);

        page[i] = number << 12;
        if (number >> 52 || !gmem_has(machine_ram(v->dev.machine), page[i], VMCI_CHUNK))
            return NULL;
    }
    return p;
}

/* The hypervisor makes the first pages what they are. */
static void queue_begin(struct vmci *v, struct vmci_queue *q, struct vmci_handle h, u64 size)
{
    u8 b[VMCI_QUEUE_HEADER] = { 0 };

    put_le32(b, h.context);
    put_le32(b + 4, h.resource);
    gmem_write(machine_ram(v->dev.machine), q->page[0], b, sizeof(b));
    q->size = (u32)size;
    q->at = 0;
}

struct vmci_queues *vmci_pair_queues(struct vmci *v, const struct vmci_pair *pair)
{
    return &v->queues[pair - v->state.pair];
}

/* Either we have offered this handle to a stream of the guest, or it will offer it to us. */
i32 vmci_pair_alloc(struct vmci *v, const u8 *p, u32 len)
{
    struct vmci_pair *pair = v->state.pair;
    struct queue_alloc a = { 0 };
    struct vmci_stream *s;
    struct vmci_queues *q;
    i32 r = queue_alloc_read(v, p, len, &a);

    if (r)
        return r;
    if (vmci_pair_find(v, a.handle))
        return VMCI_EXISTS;
    s = vmci_stream_of(v, a.handle);
    if (a.flags & VMCI_ALLOC_ATTACH_ONLY && (!s || s->state != STREAM_OFFERED))
        return VMCI_NOT_FOUND;
    if (s && (a.out != s->size || a.in != s->size))
        return VMCI_MISMATCH;
    while (pair < v->state.pair + VMCI_PAIRS && pair->used)
        pair++;
    if (pair == v->state.pair + VMCI_PAIRS)
        return VMCI_NO_RESOURCES;
    q = vmci_pair_queues(v, pair);
    p = queue_read_pages(v, p + VMCI_ALLOC, a.out_pages, q->out.page);
    p = p ? queue_read_pages(v, p, a.in_pages, q->in.page) : NULL;
    if (!p)
        return VMCI_BAD_ARGS;
    *pair = (struct vmci_pair){ { a.handle }, .peer = a.peer, .used = true };
    queue_begin(v, &q->out, a.handle, a.out);
    queue_begin(v, &q->in, a.handle, a.in);
    return s ? VMCI_PAIR_ATTACHED : VMCI_PAIR_CREATED;
}

/* The guest takes its pages back when this returns. */
i32 vmci_pair_detach(struct vmci *v, struct vmci_handle h)
{
    struct vmci_pair *pair = vmci_pair_find(v, h);
    struct vmci_stream *s = vmci_stream_of(v, h);

    if (!pair)
        return VMCI_NOT_FOUND;
    if (s)
        vmci_stream_left(v, s);
    *pair = (struct vmci_pair){ 0 };
    return VMCI_OK;
}
