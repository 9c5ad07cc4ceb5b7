/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all network backends do: frames for the guest wait in a bounded queue and are given
 * to the device in batches, from the lane's loop.  And the simplest backend: two ends joined
 * by a cable.
 */
#include "backend/net_int.h"
#include "base/bytes.h"
#include "base/loop.h"
#include <errno.h>
#include <stdlib.h>

enum { NET_QUEUE = 4 << 20, NET_BATCH = 64 };

int net_init(struct net *n, const struct net_ops *ops, struct loop *lane, struct err *e)
{
    n->ops = ops;
    n->lane = lane;
    n->queue = malloc(NET_QUEUE);
    return n->queue ? 0 : err_set(e, -ENOMEM, "no memory for network frames");
}

static u32 net_need(u32 len)
{
    return 4 + ((len + 3) & ~3u);
}

/* Room for `need` bytes and the mark that follows them; -1: full. */
static i64 net_place(struct net *n, u32 need)
{
    if (!n->count)
        n->head = n->tail = 0;
    if (n->tail >= n->head) {
        if (NET_QUEUE - n->tail >= need + 4)
            return n->tail;
        if (n->head < need + 4 || !n->count)
            return -1;
        put_le32(n->queue + n->tail, 0);
        return 0;
    }
    return n->head - n->tail >= need + 4 ? (i64)n->tail : -1;
}

void net_post(struct net *n, void (*fn)(void *arg))
{
    if (!loop_post(n->lane, fn, n))
        n->owed++;
}

bool net_posted(struct net *n)
{
    bool closed = n->closed;

    n->owed--;
    if (closed && !n->owed)
        free(n);
    return !closed;
}

static void net_flush_posted(void *arg)
{
    struct net *n = arg;

    if (!net_posted(n))
        return;
    n->flush_owed = false;
    net_flush(n);
}

void net_more(struct net *n)
{
    if (!n || n->flush_owed || !n->count)
        return;
    n->flush_owed = true;
    net_post(n, net_flush_posted);
}

void net_queue(struct net *n, const u8 *frame, u32 len)
{
    i64 at;

    if (!n->guest || n->link_down || !len || len > NET_FRAME_MAX)
        return;
    at = net_place(n, net_need(len));
    if (at < 0) {
        n->dropped++;
        return;
    }
    put_le32(n->queue + at, len);
    memcpy(n->queue + at + 4, frame, len);
    n->tail = (u32)at + net_need(len);
    n->count++;
    if (n->count == 1 && !n->batching)
        net_more(n);
}

void net_flush(struct net *n)
{
    while (n->count && n->guest) {
        const struct net_guest *guest = n->guest;
        struct net_frame f[NET_BATCH];
        u32 ends[NET_BATCH], k = 0, at = n->head, took;

        while (k < n->count && k < NET_BATCH) {
            u32 len = le32(n->queue + at);

            if (!len) {
                at = 0;
                continue;
            }
            f[k] = (struct net_frame){ n->queue + at + 4, len };
            at += net_need(len);
            ends[k++] = at;
        }
        took = guest->deliver(n->arg, f, k);
        if (took) {
            n->head = ends[took - 1];
            n->count -= took;
        }
        if (took < k)
            return; /* until net_more */
    }
}

void net_attach(struct net *n, const struct net_guest *g, void *arg)
{
    if (!n)
        return;
    n->arg = arg;
    atomic_store(&n->guest, g); /* the lane may be looking */
}

void net_detach(struct net *n)
{
    if (!n)
        return;
    n->guest = NULL;
    n->count = 0;
}

void net_send(struct net *n, const struct iovec *v, int nv)
{
    u32 len = 0;

    if (!n || n->link_down)
        return;
    if (nv == 1 && v->iov_len <= NET_FRAME_MAX) {
        n->ops->send(n, v->iov_base, (u32)v->iov_len);
        return;
    }
    for (int i = 0; i < nv; i++) {
        if (v[i].iov_len > NET_FRAME_MAX - len)
            return;
        memcpy(n->gather + len, v[i].iov_base, v[i].iov_len);
        len += (u32)v[i].iov_len;
    }
    n->ops->send(n, n->gather, len);
}

bool net_link(const struct net *n)
{
    return n && !n->link_down;
}

static void net_link_posted(void *arg)
{
    struct net *n = arg;
    const struct net_guest *guest;

    if (!net_posted(n))
        return;
    n->link_owed = false;
    guest = n->guest;
    if (guest && guest->link)
        guest->link(n->arg);
}

void net_link_set(struct net *n, bool up)
{
    if (n->link_down == !up)
        return;
    n->link_down = !up;
    if (n->link_owed)
        return;
    n->link_owed = true;
    net_post(n, net_link_posted);
}

bool net_large(const struct net *n)
{
    return n && n->large;
}

static void net_close_here(void *arg)
{
    struct net *n = arg;

    n->guest = NULL;
    n->ops->close(n);
    free(n->queue);
    n->queue = NULL;
    n->count = 0;
    n->closed = true;
    if (!n->owed)
        free(n);
}

void net_close(struct net *n)
{
    if (n)
        loop_call(n->lane, net_close_here, n);
}

struct net_end {
    struct net net;
    struct net_end *other;
};

static void net_end_send(struct net *n, const u8 *frame, u32 len)
{
    struct net_end *other = ((struct net_end *)n)->other;

    if (other)
        net_queue(&other->net, frame, len);
}

static void net_end_close(struct net *n)
{
    struct net_end *other = ((struct net_end *)n)->other;

    if (other)
        other->other = NULL;
}

int net_open_pair(struct net **a, struct net **b, struct loop *lane, struct err *e)
{
    static const struct net_ops ops = { .send = net_end_send, .close = net_end_close };
    struct net_end *end[2];

    for (int i = 0; i < 2; i++) {
        end[i] = calloc(1, sizeof(*end[i]));
        if (!end[i] || net_init(&end[i]->net, &ops, lane, e)) {
            free(end[i]);
            if (i)
                net_close(&end[0]->net);
            return err_set(e, -ENOMEM, "no memory for a network cable");
        }
        end[i]->net.large = true;
    }
    end[0]->other = end[1];
    end[1]->other = end[0];
    *a = &end[0]->net;
    *b = &end[1]->net;
    return 0;
}
