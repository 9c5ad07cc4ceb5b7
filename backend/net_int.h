/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_NET_INT_H
#define BACKEND_NET_INT_H
#include "backend/net.h"
#include <stdatomic.h>

/* What the kinds of network backends share: the queue of frames on their way to the guest. */
struct net_ops {
    void (*send)(struct net *n, const u8 *frame, u32 len);
    void (*close)(struct net *n);
};

struct net {
    const struct net_ops *ops;
    struct loop *lane;
    const struct net_guest *_Atomic guest;
    void *arg;
    bool large, link_down;
    bool batching; /* net_flush follows anyway */
    bool closed, flush_owed, link_owed;
    u32 owed;  /* calls posted to the lane that have not come yet */
    u8 *queue; /* frames: u32 length, bytes, padded; length 0: go on at the start */
    u32 head, tail, count;
    u64 dropped;
    u8 gather[NET_FRAME_MAX]; /* a frame from the guest that came in pieces */
};

int net_init(struct net *n, const struct net_ops *ops, struct loop *lane, struct err *e);
/* Posts fn(n) to the lane; fn starts with net_posted: false when n is gone. */
void net_post(struct net *n, void (*fn)(void *arg));
bool net_posted(struct net *n);
/* Puts a frame into the queue; full: dropped, as a switch would. */
void net_queue(struct net *n, const u8 *frame, u32 len);
/* Gives the guest what is in the queue.  Not from inside a call of the device. */
void net_flush(struct net *n);
#endif
