/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueues.  Virtual I/O Device (VIRTIO) 1.2, section 2.7.
 *
 * All of a ring is the guest's memory and may change at any moment: each number is copied
 * in once and the copy is checked.  Whatever makes no sense breaks the device (2.1.2).
 * The legacy layout differs only in where the parts are.
 */
#include "base/bytes.h"
#include "bus/virtio_int.h"
#include <errno.h>
#include <stdatomic.h>

enum {
    DESC_LEN = 16,
    DESC_NEXT = 1,
    DESC_WRITE = 2,
    DESC_INDIRECT = 4,
    AVAIL_NO_INTERRUPT = 1,
    VIRTQ_LEN_MAX = 0x7fffffff, /* bytes in one chain */
};

struct virtq_table { /* descriptors: the queue's, or one of its own (2.7.5.3) */
    u64 at;
    u32 n;
};
struct virtq_desc {
    u64 addr;
    u32 len;
    u16 flags, next;
};

static bool virtq_u16(struct virtio *v, u64 at, u16 *val)
{
    u8 b[2];

    if (gmem_read(machine_ram(v->dev.machine), at, b, 2)) {
        virtio_broken(v, "a ring is not in RAM");
        return false;
    }
    *val = le16(b);
    return true;
}

static bool virtq_store(struct virtio *v, u64 at, const u8 *p, u32 n)
{
    if (gmem_write(machine_ram(v->dev.machine), at, p, n)) {
        virtio_broken(v, "a ring is not in RAM");
        return false;
    }
    return true;
}

/* How many chains are waiting; 0 also when the device is broken. */
static u32 virtq_waiting(struct virtio *v, const struct virtq_state *q)
{
    u16 idx, n;

    if (!virtq_u16(v, q->avail + 2, &idx))
        return 0;
    n = (u16)(idx - q->next);
    if (n > q->size) {
        virtio_broken(v, "the available index is ahead by more than the ring holds");
        return 0;
    }
    atomic_thread_fence(memory_order_acquire);
    return n;
}

/* 2.7.10: ask for a notification of the next chain, then look again. */
static u32 virtq_ask(struct virtio *v, const struct virtq_state *q)
{
    u8 b[2];

    if (!virtio_has(v, VIRTIO_F_EVENT_IDX))
        return 0;
    put_le16(b, q->next);
    if (!virtq_store(v, q->used + 4 + 8ull * q->size, b, 2))
        return 0;
    atomic_thread_fence(memory_order_seq_cst);
    return virtq_waiting(v, q);
}

static bool virtq_desc_get(struct virtio *v, const struct virtq_table *t, u32 i,
                           struct virtq_desc *d)
{
    u8 b[DESC_LEN];

    if (i >= t->n) {
        virtio_broken(v, "a descriptor index is beyond the table");
        return false;
    }
    if (gmem_read(machine_ram(v->dev.machine), t->at + (u64)i * DESC_LEN, b, sizeof(b))) {
        virtio_broken(v, "a descriptor table is not in RAM");
        return false;
    }
    *d = (struct virtq_desc){ le64(b), le32(b + 8), le16(b + 12), le16(b + 14) };
    return true;
}

static bool virtq_piece(struct virtio *v, struct virtq_req *r, const struct virtq_desc *d)
{
    bool in = d->flags & DESC_WRITE;
    u16 used = (u16)(r->nout + r->nin);
    u32 *total = in ? &r->in_len : &r->out_len;
    int n;

    if (!in && r->nin) {
        virtio_broken(v, "a readable buffer follows a writable one");
        return false;
    }
    if (!d->len)
        return true;
    if (d->len > VIRTQ_LEN_MAX - *total) {
        virtio_broken(v, "a chain of buffers is too long");
        return false;
    }
    n = gmem_map(machine_ram(v->dev.machine), d->addr, d->len, in ? GMEM_WRITE : GMEM_READ,
                 r->v + used, VIRTQ_PIECES - used);
    if (n < 0) {
        virtio_broken(v, n == -EFAULT ? "a buffer is not in RAM" : "a chain is too long");
        return false;
    }
    *total += d->len;
    *(in ? &r->nin : &r->nout) += (u16)n;
    return true;
}

static bool virtq_walk(struct virtio *v, const struct virtq_state *q, struct virtq_req *r)
{
    struct virtq_table t = { q->desc, q->size };
    bool indirect = false;
    u32 i = r->head;

    for (u32 steps = 0; steps <= VIRTQ_SIZE_MAX; steps++) {
        struct virtq_desc d;

        if (!virtq_desc_get(v, &t, i, &d))
            return false;
        if (d.flags & DESC_INDIRECT) {
            if (indirect || !virtio_has(v, VIRTIO_F_RING_INDIRECT) || (d.flags & DESC_NEXT) ||
                !d.len || d.len % DESC_LEN) {
                virtio_broken(v, "an indirect descriptor is not allowed like this");
                return false;
            }
            t = (struct virtq_table){ d.addr, d.len / DESC_LEN };
            indirect = true;
            i = 0;
            continue;
        }
        if (!virtq_piece(v, r, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        i = d.next;
    }
    virtio_broken(v, "a chain of descriptors has no end");
    return false;
}

bool virtq_enabled(const struct virtio *v, u32 q)
{
    return virtio_is_ready(v) && v->s->q[q].enabled;
}

bool virtq_pop(struct virtio *v, u32 qi, struct virtq_req *r)
{
    struct virtq_state *q = &v->s->q[qi];

    if (!virtq_enabled(v, qi))
        return false;
    /* legacy drivers of old kernels switch bus mastering on late, or not at all */
    if (virtio_has(v, VIRTIO_F_VERSION_1) && !pci_master(&v->dev))
        return false;
    if (!virtq_waiting(v, q) && !virtq_ask(v, q))
        return false;
    r->nout = r->nin = 0;
    r->out_len = r->in_len = 0;
    if (!virtq_u16(v, q->avail + 4 + 2ull * (q->next & (q->size - 1)), &r->head) ||
        !virtq_walk(v, q, r))
        return false;
    q->next++;
    return true;
}

void virtq_unpop(struct virtio *v, u32 qi, u32 n)
{
    v->s->q[qi].next = (u16)(v->s->q[qi].next - n);
}

void virtq_fill(struct virtio *v, u32 qi, struct virtq_req *r, u32 written, u32 nth)
{
    struct virtq_state *q = &v->s->q[qi];
    u16 at = (u16)(q->done + nth) & (u16)(q->size - 1);
    u8 b[8];

    gmem_unmap(machine_ram(v->dev.machine), r->v + r->nout, r->nin, written);
    put_le32(b, r->head);
    put_le32(b + 4, written);
    virtq_store(v, q->used + 4 + 8ull * at, b, sizeof(b));
}

void virtq_publish(struct virtio *v, u32 qi, u32 n)
{
    struct virtq_state *q = &v->s->q[qi];
    u8 b[2];

    q->done = (u16)(q->done + n);
    put_le16(b, q->done);
    atomic_thread_fence(memory_order_release);
    virtq_store(v, q->used + 2, b, 2);
}

void virtq_push(struct virtio *v, u32 qi, struct virtq_req *r, u32 written)
{
    virtq_fill(v, qi, r, written, 0);
    virtq_publish(v, qi, 1);
}

void virtq_notify(struct virtio *v, u32 qi)
{
    struct virtq_state *q = &v->s->q[qi];
    bool event = virtio_has(v, VIRTIO_F_EVENT_IDX);
    u16 wish, old = q->signalled;

    atomic_thread_fence(memory_order_seq_cst);
    if (!virtq_u16(v, event ? q->avail + 4 + 2ull * q->size : q->avail, &wish))
        return;
    if (event) { /* 2.7.7.2: has used moved past the driver's wish since it was last told? */
        bool told = q->told;

        q->told = true;
        q->signalled = q->done;
        if (told && (u16)(q->done - wish - 1) >= (u16)(q->done - old))
            return;
    } else if (wish & AVAIL_NO_INTERRUPT) {
        return;
    }
    virtio_interrupt(v, q->vector, 1);
}

int virtq_slice(const struct virtq_req *r, bool in, u32 off, u32 len, struct iovec *v, int room)
{
    const struct iovec *from = r->v + (in ? r->nout : 0);
    int n = 0;

    for (u32 i = 0; i < (in ? r->nin : r->nout) && len; i++) {
        size_t have = from[i].iov_len, take;

        if (off >= have) {
            off -= (u32)have;
            continue;
        }
        if (n == room)
            return -E2BIG;
        take = min_u64(have - off, len);
        v[n++] = (struct iovec){ (u8 *)from[i].iov_base + off, take };
        len -= (u32)take;
        off = 0;
    }
    return n;
}

static u32 virtq_copy(const struct virtq_req *r, bool in, u32 off, u8 *p, u32 n)
{
    const struct iovec *v = r->v + (in ? r->nout : 0);
    u32 done = 0;

    for (u32 i = 0; i < (in ? r->nin : r->nout) && done < n; i++) {
        u32 have = (u32)v[i].iov_len, take;

        if (off >= have) {
            off -= have;
            continue;
        }
        take = (u32)min_u64(have - off, n - done);
        if (in)
            memcpy((u8 *)v[i].iov_base + off, p + done, take);
        else
            memcpy(p + done, (u8 *)v[i].iov_base + off, take);
        done += take;
        off = 0;
    }
    return done;
}

u32 virtq_get(const struct virtq_req *r, u32 off, void *to, u32 n)
{
    return virtq_copy(r, false, off, to, n);
}

u32 virtq_put(const struct virtq_req *r, u32 off, const void *from, u32 n)
{
    return virtq_copy(r, true, off, (u8 *)(uintptr_t)from, n);
}
