/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stream sockets over VMCI: control packets set up and end a connection; the bytes go through
 * a queue pair that the guest has in its memory.  Who asks: REQUEST2, NEGOTIATE2, OFFER (of the
 * pair, by who asked), ATTACH.  Then WROTE and READ wake the other side.  Older guests ask by
 * REQUEST, are answered by NEGOTIATE, and say WAITING_READ and WAITING_WRITE.
 *
 * The guest's threads only note what has come; the lane does the work and talks to the host's
 * end.  What is owed to the guest is sent when there is room for it.
 */
#include "device/tools/vmci_int.h"
#include <errno.h>
#include <stdlib.h>

enum { STREAM_ROUNDS = 8, STREAM_FIRST_RESOURCE = 1024 };

static struct vmci_link *stream_link(struct vmci *v, const struct vmci_stream *s)
{
    return &v->link[s - v->state.stream];
}

static struct vmci_stream *stream_find(struct vmci *v, u32 cid, u32 host_port, u32 guest_port)
{
    for (struct vmci_stream *s = v->state.stream; s < v->state.stream + VMCI_STREAMS; s++)
        if (s->state != STREAM_FREE && s->cid == cid && s->host_port == host_port &&
            s->guest_port == guest_port)
            return s;
    return NULL;
}

struct vmci_stream *vmci_stream_of(struct vmci *v, struct vmci_handle h)
{
    for (struct vmci_stream *s = v->state.stream; s < v->state.stream + VMCI_STREAMS; s++)
        if ((s->state == STREAM_OFFERED || s->state == STREAM_UP) && vmci_same(s->handle[0], h))
            return s;
    return NULL;
}

static void stream_unlink(struct vmci_link *k)
{
    free(k->rest);
    *k = (struct vmci_link){ .back = -1 };
}

void vmci_stream_free(struct vmci *v, struct vmci_stream *s)
{
    struct vmci_link *k = stream_link(v, s);

    if (k->back >= 0) {
        v->doomed[k->back] = true; /* the host's end belongs to the lane */
        bell_ring(v->bell);
    }
    stream_unlink(k);
    *s = (struct vmci_stream){ 0 };
}

/* A free place; else that of somebody who never finished to connect. */
static struct vmci_stream *stream_new(struct vmci *v, u32 cid, u32 host_port, u32 guest_port)
{
    struct vmci_stream *all = v->state.stream, *s = NULL;

    for (u32 i = 0; i < VMCI_STREAMS && (!s || s->state != STREAM_FREE); i++)
        if (all[i].state < STREAM_UP && (!s || all[i].state == STREAM_FREE))
            s = &all[i];
    if (!s)
        return NULL;
    vmci_stream_free(v, s);
    *s = (struct vmci_stream){ .cid = cid, .host_port = host_port, .guest_port = guest_port };
    return s;
}

/* ---- packets to the guest ---- */

static bool stream_say(struct vmci *v, const struct vmci_stream *s, u32 type)
{
    bool hypervisor = s->cid == VMCI_HYPERVISOR;
    u8 p[VMCI_PACKET - VMCI_HEADER] = { VMCI_PACKET_VERSION, (u8)type };

    put_le32(p + 4, s->host_port);
    put_le32(p + 8, s->guest_port);
    if (type == PACKET_REQUEST || type == PACKET_NEGOTIATE || type == PACKET_REQUEST2 ||
        type == PACKET_NEGOTIATE2)
        put_le64(p + 16, s->size);
    if (type == PACKET_REQUEST2 || type == PACKET_NEGOTIATE2)
        put_le16(p + 2, VMCI_ON_NOTIFY);
    if (type == PACKET_OFFER || type == PACKET_ATTACH) {
        put_le32(p + 16, s->handle->context);
        put_le32(p + 20, s->handle->resource);
    }
    if (type == PACKET_SHUTDOWN)
        put_le64(p + 16, s->host_shut);
    return vmci_deliver(
        v, (struct vmci_handle){ v->config.cid, VMCI_STREAMS_HOST },
        (struct vmci_handle){ s->cid, hypervisor ? VMCI_STREAMS_HYPERVISOR : VMCI_STREAMS_HOST }, p,
        sizeof(p));
}

static bool stream_event(struct vmci *v, const struct vmci_stream *s, u32 event)
{
    u8 p[24] = { 0 };

    put_le32(p, event);
    put_le32(p + 8, s->handle->context);
    put_le32(p + 12, s->handle->resource);
    put_le32(p + 16, s->cid);
    return vmci_deliver(v, (struct vmci_handle){ v->config.cid, VMCI_EVENTS },
                        (struct vmci_handle){ VMCI_HYPERVISOR, 0 }, p, sizeof(p));
}

static void stream_pay(struct vmci *v, struct vmci_stream *s)
{
    static const u8 order[] = { PACKET_REQUEST,   PACKET_REQUEST2,   PACKET_INVALID,
                                PACKET_NEGOTIATE, PACKET_NEGOTIATE2, PACKET_OFFER,
                                PACKET_ATTACH,    PACKET_WROTE,      PACKET_READ,
                                PACKET_SHUTDOWN,  PACKET_RST };

    if (s->owe & OWE_ATTACH_EVENT && stream_event(v, s, VMCI_EVENT_PEER_ATTACH))
        s->owe &= ~(u32)OWE_ATTACH_EVENT;
    for (u32 i = 0; i < LEN(order); i++)
        if (s->owe >> order[i] & 1 && stream_say(v, s, order[i]))
            s->owe &= ~(1u << order[i]);
    if (s->owe == OWE_DETACH_EVENT && stream_event(v, s, VMCI_EVENT_PEER_DETACH))
        s->owe = 0;
}

static void stream_owe(struct vmci *v, struct vmci_stream *s, u32 type)
{
    s->owe |= 1u << type;
    bell_ring(v->bell);
}

/* Refused, or ended without more ado. */
static void stream_reset(struct vmci *v, struct vmci_stream *s)
{
    struct vmci_link *k = stream_link(v, s);

    if (k->back >= 0)
        v->doomed[k->back] = true;
    stream_unlink(k);
    s->state = STREAM_OVER;
    s->owe = 0;
    stream_owe(v, s, PACKET_RST);
}

/* ---- packets of the guest ---- */

struct stream_packet {
    u32 type, cid, guest_port, host_port, protocols;
    u64 size; /* or mode */
    struct vmci_handle handle;
};

static void stream_answer(struct vmci *v, const struct stream_packet *p, u32 type)
{
    struct vmci_stream s = { .cid = p->cid,
                             .host_port = p->host_port,
                             .guest_port = p->guest_port };

    stream_say(v, &s, type);
}

static void stream_request(struct vmci *v, const struct stream_packet *p, struct vmci_stream *was)
{
    struct vmci_stream *s;

    if (was)
        vmci_stream_free(v, was);
    s = p->size && (p->type == PACKET_REQUEST || p->protocols & VMCI_ON_NOTIFY)
            ? stream_new(v, p->cid, p->host_port, p->guest_port)
            : NULL;
    if (!s) {
        stream_answer(v, p, PACKET_RST);
        return;
    }
    s->old = p->type == PACKET_REQUEST;
    s->size = (u32)min_u64(p->size, VMCI_QUEUE_MAX);
    s->state = STREAM_ASKED;
    bell_ring(v->bell);
}

static bool stream_attach(struct vmci *v, struct vmci_stream *s, struct vmci_handle h)
{
    struct vmci_link *k = stream_link(v, s);
    struct vmci_pair *pair = vmci_pair_find(v, h);

    if (!pair || vmci_stream_of(v, h) != (s->state == STREAM_OFFERED ? s : NULL))
        return false;
    k->rest = malloc(vmci_pair_queues(v, pair)->out.size);
    if (!k->rest)
        return false;
    k->q = vmci_pair_queues(v, pair);
    s->handle[0] = h;
    s->state = STREAM_UP;
    bell_ring(v->bell);
    return true;
}

static void stream_negotiated(struct vmci *v, struct vmci_stream *s, const struct stream_packet *p)
{
    if (!p->size || p->size > VMCI_QUEUE_MAX) {
        stream_reset(v, s);
        return;
    }
    s->old = p->type == PACKET_NEGOTIATE;
    s->size = (u32)p->size;
    s->handle[0] = (struct vmci_handle){ s->cid, STREAM_FIRST_RESOURCE +
                                                     (v->state.next_resource++ & 0xfffff) };
    s->state = STREAM_OFFERED;
    stream_owe(v, s, PACKET_OFFER);
}

/* What comes before a stream is up. */
static void stream_early(struct vmci *v, struct vmci_stream *s, const struct stream_packet *p)
{
    bool negotiate = p->type == PACKET_NEGOTIATE || p->type == PACKET_NEGOTIATE2;

    if (s->state == STREAM_NEGOTIATED && p->type == PACKET_OFFER && stream_attach(v, s, p->handle))
        s->owe |= OWE_ATTACH_EVENT | 1u << PACKET_ATTACH;
    else if (s->state == STREAM_CALLING && negotiate)
        stream_negotiated(v, s, p);
    else if (s->state == STREAM_CALLING && p->type == PACKET_INVALID && !s->old)
        s->old = true, stream_owe(v, s, PACKET_REQUEST);
    else if (s->state != STREAM_OFFERED || p->type != PACKET_ATTACH ||
             !stream_attach(v, s, s->handle[0]))
        stream_reset(v, s);
}

static void stream_up(struct vmci *v, struct vmci_stream *s, const struct stream_packet *p)
{
    if (p->type == PACKET_SHUTDOWN)
        s->guest_shut |= p->size & (VMCI_SHUT_RECEIVE | VMCI_SHUT_SEND);
    else if (p->type == PACKET_WAITING_READ)
        s->waiting_read = true;
    else if (p->type == PACKET_WAITING_WRITE)
        s->waiting_write = true;
    bell_ring(v->bell);
}

static void stream_came(struct vmci *v, const struct stream_packet *p)
{
    struct vmci_stream *s = stream_find(v, p->cid, p->host_port, p->guest_port);

    if (p->type >= PACKETS)
        stream_answer(v, p, PACKET_INVALID);
    else if (p->type == PACKET_REQUEST || p->type == PACKET_REQUEST2)
        stream_request(v, p, s);
    else if (p->type == PACKET_RST && s)
        vmci_stream_left(v, s);
    else if (p->type != PACKET_RST && (!s || s->state > STREAM_UP))
        stream_answer(v, p, PACKET_RST);
    else if (s && s->state == STREAM_UP)
        stream_up(v, s, p);
    else if (s)
        stream_early(v, s, p);
}

i32 vmci_stream_packet(struct vmci *v, u32 cid, const u8 *p, u32 len)
{
    struct stream_packet k = { .cid = cid };

    if (len < VMCI_PACKET)
        return VMCI_BAD_ARGS;
    p += VMCI_HEADER;
    k.type = p[1];
    k.protocols = le16(p + 2);
    k.guest_port = le32(p + 4);
    k.host_port = le32(p + 8);
    k.size = le64(p + 16);
    k.handle = (struct vmci_handle){ le32(p + 16), le32(p + 20) };
    if (cid == VMCI_HYPERVISOR && (k.type == PACKET_REQUEST || k.type == PACKET_REQUEST2) &&
        !vsock_serves(v->vsock, cid, k.host_port))
        return VMCI_BAD_RESOURCE; /* after a reset VMware's tools would try a thousand times more */
    stream_came(v, &k);
    return (i32)len;
}

/* ---- ends ---- */

/* What it had sent before is the host's: the pages are not ours any more after this. */
static void stream_keep_rest(struct vmci *v, struct vmci_link *k)
{
    u32 n = vmci_queue_ready(v, k->q);
    struct iovec piece[2 * VMCI_PAGES];
    int pieces =
        n < k->q->out.size ? vmci_queue_map(v, &k->q->out, n, false, piece, LEN(piece)) : 0;

    k->rest_at = k->rest_len = 0;
    for (int i = 0; i < pieces; i++) {
        memcpy(k->rest + k->rest_len, piece[i].iov_base, piece[i].iov_len);
        k->rest_len += (u32)piece[i].iov_len;
    }
    gmem_unmap(machine_ram(v->dev.machine), piece, pieces, 0);
    k->q = NULL;
}

void vmci_stream_left(struct vmci *v, struct vmci_stream *s)
{
    struct vmci_link *k = stream_link(v, s);

    if (s->state != STREAM_UP) {
        if (s->state < STREAM_UP)
            vmci_stream_free(v, s);
        return;
    }
    stream_keep_rest(v, k);
    s->state = STREAM_GONE;
    s->owe = 0;
    bell_ring(v->bell);
}

/* The host's end is gone: the guest may still read what is in its queue. */
static void stream_host_left(struct vmci *v, struct vmci_stream *s)
{
    struct vmci_link *k = stream_link(v, s);

    vsock_drop(v->vsock, (u32)k->back);
    stream_unlink(k);
    s->state = STREAM_OVER;
    s->owe = (s->owe & (1u << PACKET_WROTE | 1u << PACKET_ATTACH)) | OWE_DETACH_EVENT;
}

/* One direction of the host's socket is at its end. */
static void stream_host_shut(struct vmci *v, struct vmci_stream *s, u8 what)
{
    s->host_shut |= what;
    s->owe |= 1u << PACKET_SHUTDOWN;
    if (s->host_shut & VMCI_SHUT_RECEIVE && s->host_shut & VMCI_SHUT_SEND)
        stream_host_left(v, s);
}

static void stream_nonsense(struct vmci *v, struct vmci_stream *s)
{
    guest_error(&v->dev, "a queue's number is beyond its end");
    vsock_drop(v->vsock, (u32)stream_link(v, s)->back);
    stream_link(v, s)->back = -1;
    stream_reset(v, s);
}

void vmci_streams_lost(struct vmci *v)
{
    const u8 resumed[16] = { VMCI_EVENT_PAIR_RESUMED };
    bool any = false;

    for (struct vmci_stream *s = v->state.stream; s < v->state.stream + VMCI_STREAMS; s++) {
        any |= s->state != STREAM_FREE;
        if (s->state == STREAM_UP || s->state == STREAM_GONE)
            vmci_stream_free(v, s);
        else if (s->state != STREAM_FREE)
            stream_reset(v, s);
    }
    if (any) /* whoever has a pair is told by this */
        vmci_deliver(v, (struct vmci_handle){ v->config.cid, VMCI_EVENTS },
                     (struct vmci_handle){ VMCI_HYPERVISOR, 0 }, resumed, sizeof(resumed));
}

/* ---- the lane ---- */

/* Guest to host.  Says whether to come again. */
static bool stream_take(struct vmci *v, struct vmci_stream *s)
{
    struct vmci_link *k = stream_link(v, s);
    struct iovec piece[2 * VMCI_PAGES];

    for (u32 i = 0; i < STREAM_ROUNDS; i++) {
        u32 n = vmci_queue_ready(v, k->q), room;
        int pieces;
        ssize_t put;

        if (!n)
            return false;
        if (n == k->q->out.size) {
            stream_nonsense(v, s);
            return false;
        }
        pieces = vmci_queue_map(v, &k->q->out, n, false, piece, LEN(piece));
        put = vsock_write(v->vsock, (u32)k->back, piece, pieces);
        gmem_unmap(machine_ram(v->dev.machine), piece, pieces, 0);
        if (put == -EAGAIN)
            return false;
        if (put <= 0) {
            stream_host_shut(v, s, VMCI_SHUT_RECEIVE);
            return false;
        }
        vmci_queue_took(v, k->q, (u32)put);
        room = k->q->out.size - 1 - vmci_queue_ready(v, k->q);
        if (s->old ? s->waiting_write : room <= (u32)put) /* it was full */
            s->owe |= 1u << PACKET_READ, s->waiting_write = false;
    }
    return true;
}

/* Host to guest. */
static bool stream_give(struct vmci *v, struct vmci_stream *s)
{
    struct vmci_link *k = stream_link(v, s);
    struct iovec piece[2 * VMCI_PAGES];

    for (u32 i = 0; i < STREAM_ROUNDS; i++) {
        u32 room = vmci_queue_room(v, k->q), ready;
        int pieces;
        ssize_t got;

        if (!room)
            return false; /* until it reads */
        if (room == k->q->in.size) {
            stream_nonsense(v, s);
            return false;
        }
        pieces = vmci_queue_map(v, &k->q->in, room, true, piece, LEN(piece));
        got = vsock_read(v->vsock, (u32)k->back, piece, pieces);
        gmem_unmap(machine_ram(v->dev.machine), piece, pieces, got > 0 ? (u32)got : 0);
        if (got == -EAGAIN)
            return false;
        if (got <= 0) {
            stream_host_shut(v, s, VMCI_SHUT_SEND);
            return false;
        }
        vmci_queue_gave(v, k->q, (u32)got);
        ready = k->q->in.size - 1 - vmci_queue_room(v, k->q);
        if (s->old ? s->waiting_read : ready <= (u32)got) /* it was empty */
            s->owe |= 1u << PACKET_WROTE, s->waiting_read = false;
    }
    return true;
}

/* An older guest says that it waits although there is something already. */
static void stream_waits(struct vmci *v, struct vmci_stream *s)
{
    const struct vmci_queues *q = stream_link(v, s)->q;

    if (s->waiting_read && vmci_queue_room(v, q) < q->in.size - 1)
        s->owe |= 1u << PACKET_WROTE, s->waiting_read = false;
    if (s->waiting_write && vmci_queue_ready(v, q) < q->out.size - 1)
        s->owe |= 1u << PACKET_READ, s->waiting_write = false;
}

static bool stream_work_up(struct vmci *v, struct vmci_stream *s)
{
    struct vmci_link *k = stream_link(v, s);
    bool again;

    if (!s->told_up)
        vsock_up(v->vsock, (u32)k->back);
    s->told_up = true;
    stream_pay(v, s); /* the attach before all else */
    again = !(s->host_shut & VMCI_SHUT_RECEIVE) && stream_take(v, s);
    if (s->state != STREAM_UP)
        return false;
    if (s->guest_shut & VMCI_SHUT_SEND && !vmci_queue_ready(v, k->q))
        vsock_shut(v->vsock, (u32)k->back, VSOCK_NO_MORE_OUT);
    if (s->guest_shut & VMCI_SHUT_RECEIVE)
        vsock_shut(v->vsock, (u32)k->back, VSOCK_NO_MORE_IN);
    again |= !(s->host_shut & VMCI_SHUT_SEND) && stream_give(v, s);
    if (s->state == STREAM_UP)
        stream_waits(v, s);
    return again;
}

static void stream_work_asked(struct vmci *v, struct vmci_stream *s)
{
    int back = vsock_dial(v->vsock, s->cid, s->host_port, s->guest_port);

    if (back < 0) {
        stream_reset(v, s);
        return;
    }
    stream_link(v, s)->back = back;
    s->told_up = true;
    s->state = STREAM_NEGOTIATED;
    s->owe |= 1u << (s->old ? PACKET_NEGOTIATE : PACKET_NEGOTIATE2);
}

static void stream_work_gone(struct vmci *v, struct vmci_stream *s)
{
    struct vmci_link *k = stream_link(v, s);

    while (k->rest_at < k->rest_len) {
        struct iovec piece = { k->rest + k->rest_at, k->rest_len - k->rest_at };
        ssize_t put = vsock_write(v->vsock, (u32)k->back, &piece, 1);

        if (put == -EAGAIN)
            return;
        if (put <= 0)
            break;
        k->rest_at += (u32)put;
    }
    vsock_drop(v->vsock, (u32)k->back);
    k->back = -1;
    vmci_stream_free(v, s);
}

void vmci_streams_work(struct vmci *v)
{
    bool again = false;

    for (u32 i = 0; i < VSOCK_STREAMS; i++)
        if (v->doomed[i]) {
            v->doomed[i] = false;
            vsock_drop(v->vsock, i);
        }
    for (struct vmci_stream *s = v->state.stream; s < v->state.stream + VMCI_STREAMS; s++) {
        if (s->state == STREAM_ASKED)
            stream_work_asked(v, s);
        else if (s->state == STREAM_UP)
            again |= stream_work_up(v, s);
        else if (s->state == STREAM_GONE)
            stream_work_gone(v, s);
        if (s->owe)
            stream_pay(v, s);
        if (s->state == STREAM_OVER && !s->owe)
            vmci_stream_free(v, s);
    }
    if (again)
        bell_ring(v->bell);
}

/* ---- calls of the host's end ---- */

static int stream_connect(void *arg, u32 back, u32 host_port, u32 guest_port)
{
    struct vmci *v = arg;
    struct vmci_stream *s = NULL;

    domain_lock(v->dev.domain);
    if (v->state.on)
        s = stream_new(v, VMCI_HOST, host_port, guest_port);
    if (s) {
        s->state = STREAM_CALLING;
        s->size = VMCI_QUEUE_MAX;
        stream_link(v, s)->back = (i32)back;
        stream_owe(v, s, PACKET_REQUEST2);
    }
    domain_unlock(v->dev.domain);
    return s ? 0 : -ECONNREFUSED;
}

static void stream_ready(void *arg, u32 back)
{
    (void)back;
    bell_ring(((struct vmci *)arg)->bell);
}

const struct vsock_guest vmci_vsock = { .connect = stream_connect, .ready = stream_ready };
