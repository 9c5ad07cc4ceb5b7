/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/virtio_driver.h"
#include "base/bytes.h"

enum { ISR_AT = 0x1000, DEVICE_AT = 0x2000, NOTIFY_AT = 0x3000 };

u64 vdriver_load(struct vdriver *v, u32 off, u32 size)
{
    return v->legacy ? rig_in(v->r, (u16)(v->regs + off), size)
                     : rig_load(v->r, v->regs + off, size);
}

void vdriver_store(struct vdriver *v, u32 off, u32 size, u64 val)
{
    if (v->legacy)
        rig_out(v->r, (u16)(v->regs + off), size, val);
    else
        rig_store(v->r, v->regs + off, size, val);
}

u8 vdriver_status(struct vdriver *v)
{
    return (u8)vdriver_load(v, v->legacy ? 18 : 20, 1);
}

static void vdriver_status_set(struct vdriver *v, u8 s)
{
    vdriver_store(v, v->legacy ? 18 : 20, 1, s);
}

void vdriver_reset(struct vdriver *v)
{
    vdriver_status_set(v, 0);
}

u64 vdriver_config(struct vdriver *v, u32 off, u32 size)
{
    return vdriver_load(v, (v->legacy ? pci_msix(v->d) ? 24 : 20 : DEVICE_AT) + off, size);
}

static void vdriver_queue(struct vdriver *v, u32 i)
{
    static const u8 zero[VDRIVER_QUEUE];
    struct vdriver_queue *q = &v->q[i];
    u64 at = VDRIVER_AT + (u64)i * VDRIVER_QUEUE;

    rig_put(v->r, at, zero, sizeof(zero));
    vdriver_store(v, v->legacy ? 14 : 22, 2, i);
    *q = (struct vdriver_queue){ .size = (u16)vdriver_load(v, v->legacy ? 12 : 24, 2) };
    q->desc = at;
    q->avail = at + 16u * q->size;
    q->used = (q->avail + 6 + 2u * q->size + 4095) & ~4095ull;
    vdriver_store(v, v->legacy ? 22 : 26, 2, i);
    if (v->legacy) {
        vdriver_store(v, 8, 4, at >> 12);
        return;
    }
    vdriver_store(v, 32, 4, q->desc);
    vdriver_store(v, 40, 4, q->avail);
    vdriver_store(v, 48, 4, q->used);
    vdriver_store(v, 28, 2, 1);
}

static void vdriver_features(struct vdriver *v, u64 wanted)
{
    if (v->legacy) {
        v->features = vdriver_load(v, 0, 4) & wanted;
        vdriver_store(v, 4, 4, v->features);
        return;
    }
    wanted |= VIRTIO_F_VERSION_1;
    for (u32 i = 0; i < 2; i++) {
        u64 word;

        vdriver_store(v, 0, 4, i);
        word = vdriver_load(v, 4, 4) & (u32)(wanted >> 32 * i);
        vdriver_store(v, 8, 4, i);
        vdriver_store(v, 12, 4, word);
        v->features |= word << 32 * i;
    }
}

void vdriver_start(struct vdriver *v, struct rig *r, struct device *d, bool legacy, u64 wanted,
                   u32 queues)
{
    u8 status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER;

    memset(v, 0, sizeof(*v));
    v->r = r;
    v->d = d;
    v->legacy = legacy;
    v->regs = rig_bar(d, legacy ? 0 : 4);
    vdriver_reset(v);
    vdriver_status_set(v, status);
    vdriver_features(v, wanted);
    v->events = v->features & VIRTIO_F_EVENT_IDX;
    if (!legacy)
        vdriver_status_set(v, status |= VIRTIO_FEATURES_OK);
    vdriver_store(v, legacy ? 20 : 16, 2, queues);
    for (u32 i = 0; i < queues; i++)
        vdriver_queue(v, i);
    vdriver_status_set(v, status | VIRTIO_DRIVER_OK);
}

static void vdriver_put(struct vdriver *v, u64 at, u64 addr, u32 len, u16 flags, u16 next)
{
    u8 b[16];

    put_le64(b, addr);
    put_le32(b + 8, len);
    put_le16(b + 12, flags);
    put_le16(b + 14, next);
    rig_put(v->r, at, b, sizeof(b));
}

void vdriver_desc(struct vdriver *v, u32 q, u16 i, u64 addr, u32 len, u16 flags, u16 next)
{
    vdriver_put(v, v->q[q].desc + 16u * i, addr, len, flags, next);
}

void vdriver_offer(struct vdriver *v, u32 qi, u16 head)
{
    struct vdriver_queue *q = &v->q[qi];
    u8 b[2];

    put_le16(b, head);
    rig_put(v->r, q->avail + 4 + 2u * (q->put % q->size), b, 2);
    put_le16(b, ++q->put);
    rig_put(v->r, q->avail + 2, b, 2);
}

u16 vdriver_add(struct vdriver *v, u32 qi, const struct vbuf *b, u32 n, bool indirect)
{
    struct vdriver_queue *q = &v->q[qi];
    u16 head = q->next;
    u64 table = q->used + 0x1000;

    for (u32 i = 0; i < n; i++) {
        u16 flags = (u16)((i + 1 < n) | (b[i].in ? 2 : 0)), next = (u16)(i + 1);

        if (indirect) {
            vdriver_put(v, table + 16u * i, b[i].at, b[i].len, flags, next);
            continue;
        }
        next = (u16)((q->next + 1) % q->size);
        vdriver_desc(v, qi, q->next, b[i].at, b[i].len, flags, next);
        q->next = next;
    }
    if (indirect) {
        vdriver_desc(v, qi, head, table, 16 * n, 4, 0);
        q->next = (u16)((q->next + 1) % q->size);
    }
    vdriver_offer(v, qi, head);
    return head;
}

void vdriver_ring(struct vdriver *v, u32 q)
{
    vdriver_store(v, v->legacy ? 16 : NOTIFY_AT + 4 * q, 2, q);
}

void vdriver_kick(struct vdriver *v, u32 q)
{
    vdriver_ring(v, q);
    rig_lane(v->r);
}

bool vdriver_used(struct vdriver *v, u32 qi, u32 *head, u32 *len)
{
    struct vdriver_queue *q = &v->q[qi];
    u8 b[8];

    rig_get(v->r, q->used + 2, b, 2);
    if (le16(b) == q->seen)
        return false;
    rig_get(v->r, q->used + 4 + 8u * (q->seen++ % q->size), b, 8);
    *head = le32(b);
    *len = le32(b + 4);
    if (v->events) { /* tell of the next one */
        put_le16(b, q->seen);
        rig_put(v->r, q->avail + 4 + 2u * q->size, b, 2);
    }
    return true;
}

i64 vdriver_do(struct vdriver *v, u32 q, const struct vbuf *b, u32 n)
{
    u32 head, len;
    u16 want = vdriver_add(v, q, b, n, false);

    vdriver_kick(v, q);
    return vdriver_used(v, q, &head, &len) && head == want ? (i64)len : -1;
}
