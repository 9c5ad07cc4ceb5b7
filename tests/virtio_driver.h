/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_VIRTIO_DRIVER_H
#define TESTS_VIRTIO_DRIVER_H
#include "bus/virtio.h"
#include "tests/rig.h"

/* The guest's side of virtio on the bench: a driver that tests tell what to put in its rings. */
enum { VDRIVER_AT = 0x100000, VDRIVER_QUEUE = 0x8000 }; /* where its rings are, one by one */

struct vdriver {
    struct rig *r;
    struct device *d;
    bool legacy, events;
    u64 regs, features;
    struct vdriver_queue {
        u64 desc, avail, used;
        u16 size, next, seen, put;
    } q[VIRTIO_QUEUES];
};
struct vbuf {
    u64 at;
    u32 len;
    bool in; /* the device writes */
};

u64 vdriver_load(struct vdriver *v, u32 off, u32 size); /* common structure, or legacy registers */
void vdriver_store(struct vdriver *v, u32 off, u32 size, u64 val);
/* Reset, features (those of `wanted` that are offered), queues, DRIVER_OK. */
void vdriver_start(struct vdriver *v, struct rig *r, struct device *d, bool legacy, u64 wanted,
                   u32 queues);
void vdriver_reset(struct vdriver *v);
u8 vdriver_status(struct vdriver *v);
u64 vdriver_config(struct vdriver *v, u32 off, u32 size);

/* Puts a chain into the ring and tells nobody; `indirect`: in a table of its own. */
u16 vdriver_add(struct vdriver *v, u32 q, const struct vbuf *b, u32 n, bool indirect);
void vdriver_offer(struct vdriver *v, u32 q, u16 head); /* a chain that stands already */
void vdriver_desc(struct vdriver *v, u32 q, u16 i, u64 addr, u32 len, u16 flags, u16 next);
void vdriver_ring(struct vdriver *v, u32 q); /* the queue's bell alone */
void vdriver_kick(struct vdriver *v, u32 q); /* and the lane runs */
bool vdriver_used(struct vdriver *v, u32 q, u32 *head, u32 *len);
/* Added, kicked and used: the length that the device tells, or -1. */
i64 vdriver_do(struct vdriver *v, u32 q, const struct vbuf *b, u32 n);
#endif
