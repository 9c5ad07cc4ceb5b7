/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets: streams between ports of the guest and those of its host, by packets in two rings.  Each
 * side says how much it can hold and how much of that it has passed on.
 * Virtual I/O Device (VIRTIO) 1.2, section 5.10.  Left out: SEQPACKET.
 *
 * All of it runs on the lane.  Connections do not survive a restore: the driver is told so.
 */
#include "backend/vsock.h"
#include "base/bytes.h"
#include "bus/virtio.h"
#include <errno.h>
#include <stdlib.h>

enum { SOCKET_RX, SOCKET_TX, SOCKET_EVENT };
enum {
    SOCKET_HEADER = 44,
    SOCKET_HOLD = 256 << 10, /* bytes that we keep for a host that does not read */
    SOCKET_REFUSALS = 64,    /* that wait for room in the ring */
    SOCKET_STREAM = 1,       /* type */
    SOCKET_EVENT_RESET = 0,
};
enum socket_op { /* 5.10.6 */
                 SOCKET_REQUEST = 1,
                 SOCKET_RESPONSE,
                 SOCKET_RST,
                 SOCKET_SHUTDOWN,
                 SOCKET_RW,
                 SOCKET_CREDIT_UPDATE,
                 SOCKET_CREDIT_REQUEST,
};
enum { SHUT_RECEIVE = 1, SHUT_SEND = 2, SHUT_BOTH = 3 };

struct socket_packet {
    u64 from_cid, to_cid;
    u32 from, to, len, flags, room, passed;
    u16 type, op;
};

/* Its number is the one that the host's end has for it. */
struct socket_stream {
    bool used, up;
    u8 guest_shut, host_shut;
    u32 guest_port, host_port;
    u32 owe;               /* bits by op */
    u32 sent, room, taken; /* to the guest; what it can hold and has taken */
    u32 passed, told;      /* from the guest to the host; what it knows of that */
    u8 *held;              /* a ring */
    u32 held_at, held_len;
};

struct virtio_vsock {
    struct virtio v;
    struct virtio_vsock_config {
        u64 cid;
    } config;
    struct virtio_vsock_state {
        struct virtio_state virtio[1];
        bool live; /* there are connections */
        u8 pad[7];
    } state;
    struct vsock *vsock;
    struct socket_stream stream[VSOCK_STREAMS];
    struct {
        u32 guest_port, host_port;
        u16 type;
    } refusal[SOCKET_REFUSALS];
    u32 nrefusals;
    struct bell *bell;
    bool doomed[VSOCK_STREAMS]; /* host's ends that the lane is to drop */
    bool moved, reset_owed;
    struct virtq_req req;
};

/* ---- streams ---- */

static struct socket_stream *socket_find(struct virtio_vsock *w, u32 guest_port, u32 host_port)
{
    for (u32 i = 0; i < VSOCK_STREAMS; i++)
        if (w->stream[i].used && w->stream[i].guest_port == guest_port &&
            w->stream[i].host_port == host_port)
            return &w->stream[i];
    return NULL;
}

static u32 socket_number(const struct virtio_vsock *w, const struct socket_stream *s)
{
    return (u32)(s - w->stream);
}

static void socket_clear(struct virtio_vsock *w, struct socket_stream *s)
{
    free(s->held);
    *s = (struct socket_stream){ 0 };
    w->state.live = false;
    for (u32 i = 0; i < VSOCK_STREAMS; i++)
        w->state.live |= w->stream[i].used;
}

static void socket_end(struct virtio_vsock *w, struct socket_stream *s)
{
    vsock_drop(w->vsock, socket_number(w, s));
    socket_clear(w, s);
}

static bool socket_begin(struct virtio_vsock *w, u32 number, u32 guest_port, u32 host_port)
{
    struct socket_stream *s = &w->stream[number];

    *s = (struct socket_stream){
        .used = true, .guest_port = guest_port, .host_port = host_port, .held = malloc(SOCKET_HOLD)
    };
    w->state.live = true;
    if (!s->held)
        socket_end(w, s);
    return s->held;
}

static void socket_refuse(struct virtio_vsock *w, u32 guest_port, u32 host_port, u16 type)
{
    if (w->nrefusals == SOCKET_REFUSALS)
        return;
    w->refusal[w->nrefusals].guest_port = guest_port;
    w->refusal[w->nrefusals].host_port = host_port;
    w->refusal[w->nrefusals++].type = type;
}

static void socket_reset(struct virtio_vsock *w, struct socket_stream *s)
{
    socket_refuse(w, s->guest_port, s->host_port, SOCKET_STREAM);
    socket_end(w, s);
}

/* ---- packets to the guest ---- */

static void socket_header(const struct virtio_vsock *w, struct socket_stream *s, u16 op, u32 len,
                          u8 h[SOCKET_HEADER])
{
    memset(h, 0, SOCKET_HEADER);
    put_le64(h, VSOCK_CID_HOST);
    put_le64(h + 8, w->config.cid);
    put_le32(h + 16, s->host_port);
    put_le32(h + 20, s->guest_port);
    put_le32(h + 24, len);
    put_le16(h + 28, SOCKET_STREAM);
    put_le16(h + 30, op);
    put_le32(h + 32, op == SOCKET_SHUTDOWN ? s->host_shut : 0);
    put_le32(h + 36, SOCKET_HOLD);
    put_le32(h + 40, s->passed);
    s->told = s->passed;
}

static bool socket_say(struct virtio_vsock *w, struct socket_stream *s, u16 op)
{
    u8 h[SOCKET_HEADER];

    if (!virtq_pop(&w->v, SOCKET_RX, &w->req))
        return false;
    socket_header(w, s, op, 0, h);
    virtq_push(&w->v, SOCKET_RX, &w->req, virtq_put(&w->req, 0, h, sizeof(h)));
    return true;
}

/* Who was refused has no stream any more. */
static void socket_say_refusals(struct virtio_vsock *w)
{
    u32 n = 0;

    for (; n < w->nrefusals; n++) {
        struct socket_stream none = { .guest_port = w->refusal[n].guest_port,
                                      .host_port = w->refusal[n].host_port };
        u8 h[SOCKET_HEADER];

        if (!virtq_pop(&w->v, SOCKET_RX, &w->req))
            break;
        socket_header(w, &none, SOCKET_RST, 0, h);
        put_le16(h + 28, w->refusal[n].type);
        virtq_push(&w->v, SOCKET_RX, &w->req, virtq_put(&w->req, 0, h, sizeof(h)));
    }
    w->nrefusals -= n;
    memmove(w->refusal, w->refusal + n, w->nrefusals * sizeof(w->refusal[0]));
}

static void socket_say_owed(struct virtio_vsock *w, struct socket_stream *s)
{
    for (u16 op = SOCKET_REQUEST; op <= SOCKET_CREDIT_UPDATE; op++)
        if (s->owe >> op & 1 && socket_say(w, s, op))
            s->owe &= ~(1u << op);
}

static void socket_host_shut(struct socket_stream *s, u8 what)
{
    if ((s->host_shut & what) == what)
        return;
    s->host_shut |= what;
    s->owe |= 1u << SOCKET_SHUTDOWN;
}

/* One packet of bytes straight into the guest's buffer: false when there is nothing to do now. */
static bool socket_give(struct virtio_vsock *w, struct socket_stream *s)
{
    u32 can = s->room - (s->sent - s->taken), n;
    struct iovec piece[VIRTQ_PIECES];
    u8 h[SOCKET_HEADER];
    ssize_t got;
    int pieces;

    if (!s->up || s->host_shut & SHUT_SEND || !can || can > s->room ||
        !virtq_pop(&w->v, SOCKET_RX, &w->req))
        return false;
    if (w->req.in_len <= SOCKET_HEADER) {
        virtio_broken(&w->v, "a buffer without room for a packet");
        return false;
    }
    n = (u32)min_u64(can, w->req.in_len - SOCKET_HEADER);
    pieces = virtq_slice(&w->req, true, SOCKET_HEADER, n, piece, LEN(piece));
    got = vsock_read(w->vsock, socket_number(w, s), piece, pieces);
    if (got <= 0) {
        virtq_unpop(&w->v, SOCKET_RX, 1);
        if (got != -EAGAIN)
            socket_host_shut(s, SHUT_SEND);
        return false;
    }
    s->sent += (u32)got;
    socket_header(w, s, SOCKET_RW, (u32)got, h);
    virtq_put(&w->req, 0, h, sizeof(h));
    virtq_push(&w->v, SOCKET_RX, &w->req, SOCKET_HEADER + (u32)got);
    return true;
}

/* ---- bytes from the guest ---- */

static void socket_passed(struct socket_stream *s, u32 n)
{
    s->passed += n;
    if (s->passed - s->told >= SOCKET_HOLD / 2)
        s->owe |= 1u << SOCKET_CREDIT_UPDATE;
}

/* What the host did not take at once. */
static void socket_pass_held(struct virtio_vsock *w, struct socket_stream *s)
{
    while (s->held_len) {
        u32 first = (u32)min_u64(s->held_len, SOCKET_HOLD - s->held_at);
        struct iovec v[2] = { { s->held + s->held_at, first }, { s->held, s->held_len - first } };
        ssize_t n = vsock_write(w->vsock, socket_number(w, s), v, 2);

        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            socket_host_shut(s, SHUT_RECEIVE);
            n = s->held_len;
        }
        s->held_at = (s->held_at + (u32)n) % SOCKET_HOLD;
        s->held_len -= (u32)n;
        socket_passed(s, (u32)n);
    }
}

static void socket_hold(struct socket_stream *s, const struct iovec *v, int n, size_t skip)
{
    for (int i = 0; i < n; i++) {
        size_t off = min_u64(skip, v[i].iov_len);
        const u8 *p = (const u8 *)v[i].iov_base + off;
        u32 len = (u32)(v[i].iov_len - off), at = (s->held_at + s->held_len) % SOCKET_HOLD;
        u32 first = (u32)min_u64(len, SOCKET_HOLD - at);

        skip -= off;
        memcpy(s->held + at, p, first);
        memcpy(s->held, p + first, len - first);
        s->held_len += len;
    }
}

/* False: more than it was told that we hold. */
static bool socket_take(struct virtio_vsock *w, struct socket_stream *s, u32 len)
{
    struct iovec piece[VIRTQ_PIECES];
    int pieces;
    ssize_t n = 0;

    if (len > SOCKET_HOLD - s->held_len)
        return false;
    if (!len)
        return true;
    pieces = virtq_slice(&w->req, false, SOCKET_HEADER, len, piece, LEN(piece));
    if (!s->held_len)
        n = vsock_write(w->vsock, socket_number(w, s), piece, pieces);
    if (n < 0 && n != -EAGAIN) {
        socket_host_shut(s, SHUT_RECEIVE);
        n = len;
    }
    if (n > 0)
        socket_passed(s, (u32)n);
    if (n < 0)
        n = 0;
    if ((u32)n < len)
        socket_hold(s, piece, pieces, (size_t)n);
    return true;
}

/* ---- packets of the guest ---- */

static void socket_request(struct virtio_vsock *w, const struct socket_packet *p)
{
    int n = vsock_dial(w->vsock, VSOCK_CID_HOST, p->to, p->from);

    if (n < 0 || !socket_begin(w, (u32)n, p->from, p->to)) {
        socket_refuse(w, p->from, p->to, SOCKET_STREAM);
        return;
    }
    w->stream[n].up = true;
    w->stream[n].room = p->room;
    w->stream[n].taken = p->passed;
    w->stream[n].owe = 1u << SOCKET_RESPONSE;
}

static void socket_up(struct virtio_vsock *w, struct socket_stream *s,
                      const struct socket_packet *p)
{
    if (p->op == SOCKET_RST) {
        socket_end(w, s);
    } else if (p->op == SOCKET_SHUTDOWN) {
        s->guest_shut |= p->flags & SHUT_BOTH;
    } else if (p->op == SOCKET_RW && s->up) {
        if (!socket_take(w, s, p->len))
            socket_reset(w, s);
    } else if (p->op == SOCKET_RESPONSE && !s->up) {
        s->up = true;
        vsock_up(w->vsock, socket_number(w, s));
    } else if (p->op == SOCKET_CREDIT_REQUEST) {
        s->owe |= 1u << SOCKET_CREDIT_UPDATE;
    } else if (p->op != SOCKET_CREDIT_UPDATE) {
        socket_reset(w, s);
    }
}

static void socket_came(struct virtio_vsock *w, const struct socket_packet *p)
{
    struct socket_stream *s = socket_find(w, p->from, p->to);

    if (p->from_cid != w->config.cid || p->to_cid != VSOCK_CID_HOST || p->type != SOCKET_STREAM) {
        if (p->op != SOCKET_RST)
            socket_refuse(w, p->from, p->to, p->type);
        return;
    }
    if (s && p->op == SOCKET_REQUEST) {
        socket_end(w, s); /* it knows nothing of that one any more */
        s = NULL;
    }
    if (s) {
        s->room = p->room;
        s->taken = p->passed;
        socket_up(w, s, p);
    } else if (p->op == SOCKET_REQUEST) {
        socket_request(w, p);
    } else if (p->op != SOCKET_RST) {
        socket_refuse(w, p->from, p->to, p->type);
    }
}

static bool socket_read(struct virtio_vsock *w, struct socket_packet *p)
{
    u8 h[SOCKET_HEADER];

    if (virtq_get(&w->req, 0, h, sizeof(h)) < sizeof(h))
        return false;
    *p = (struct socket_packet){ .from_cid = le64(h),
                                 .to_cid = le64(h + 8),
                                 .from = le32(h + 16),
                                 .to = le32(h + 20),
                                 .len = le32(h + 24),
                                 .type = le16(h + 28),
                                 .op = le16(h + 30),
                                 .flags = le32(h + 32),
                                 .room = le32(h + 36),
                                 .passed = le32(h + 40) };
    return p->len <= w->req.out_len - SOCKET_HEADER;
}

/* ---- the lane ---- */

static void socket_turn(struct virtio_vsock *w, struct socket_stream *s)
{
    socket_pass_held(w, s);
    if (s->guest_shut & SHUT_SEND && !s->held_len)
        vsock_shut(w->vsock, socket_number(w, s), VSOCK_NO_MORE_OUT);
    if (s->guest_shut & SHUT_RECEIVE)
        vsock_shut(w->vsock, socket_number(w, s), VSOCK_NO_MORE_IN);
    if (s->guest_shut == SHUT_BOTH && !s->held_len) {
        socket_reset(w, s); /* 5.10.6.6.1: the clean end */
        return;
    }
    socket_say_owed(w, s);
    if (!(s->owe >> SOCKET_RESPONSE & 1))
        while (socket_give(w, s))
            ;
    socket_say_owed(w, s);
}

static void socket_work(struct virtio_vsock *w)
{
    if (!virtio_is_ready(&w->v))
        return;
    for (u32 i = 0; i < VSOCK_STREAMS; i++)
        if (w->stream[i].used)
            socket_turn(w, &w->stream[i]);
    socket_say_refusals(w);
    virtq_notify(&w->v, SOCKET_RX);
}

static void socket_say_reset(struct virtio_vsock *w)
{
    u8 event[4];

    put_le32(event, SOCKET_EVENT_RESET);
    if (!w->reset_owed || !virtq_pop(&w->v, SOCKET_EVENT, &w->req))
        return;
    virtq_push(&w->v, SOCKET_EVENT, &w->req, virtq_put(&w->req, 0, event, sizeof(event)));
    virtq_notify(&w->v, SOCKET_EVENT);
    w->reset_owed = false;
}

static void virtio_vsock_queue(struct virtio *v, u32 q)
{
    struct virtio_vsock *w = (struct virtio_vsock *)v;
    bool any = false;

    while (q == SOCKET_TX && virtq_pop(v, SOCKET_TX, &w->req)) {
        struct socket_packet p;

        if (!socket_read(w, &p)) {
            virtio_broken(v, "a packet that is cut short");
            break;
        }
        socket_came(w, &p);
        virtq_push(v, SOCKET_TX, &w->req, 0);
        any = true;
    }
    if (any)
        virtq_notify(v, SOCKET_TX);
    if (q == SOCKET_EVENT)
        socket_say_reset(w);
    else
        socket_work(w);
}

/* ---- calls of the host's end ---- */

static int socket_connect(void *arg, u32 number, u32 host_port, u32 guest_port)
{
    struct virtio_vsock *w = arg;
    int r = -ECONNREFUSED;

    domain_lock(w->v.dev.domain);
    if (virtio_is_ready(&w->v) && socket_begin(w, number, guest_port, host_port)) {
        w->stream[number].owe = 1u << SOCKET_REQUEST;
        socket_work(w);
        r = 0;
    }
    domain_unlock(w->v.dev.domain);
    return r;
}

static void socket_ready(void *arg, u32 number)
{
    struct virtio_vsock *w = arg;

    (void)number;
    domain_lock(w->v.dev.domain);
    socket_work(w);
    domain_unlock(w->v.dev.domain);
}

static const struct vsock_guest socket_guest = { .connect = socket_connect, .ready = socket_ready };

/* ---- life ---- */

/* From any thread. */
static void virtio_vsock_forget(struct virtio *v)
{
    struct virtio_vsock *w = (struct virtio_vsock *)v;

    for (u32 i = 0; i < VSOCK_STREAMS; i++)
        if (w->stream[i].used) {
            w->doomed[i] = true;
            socket_clear(w, &w->stream[i]);
            bell_ring(w->bell);
        }
    w->nrefusals = 0;
    w->reset_owed = false;
}

static const struct virtio_class virtio_vsock_class = {
    .type = 19,
    .pci_class = 0x028000,
    .queues = 3,
    .size = { 128, 128, 128 },
    .config_len = 8,
    .queue = virtio_vsock_queue,
    .reset = virtio_vsock_forget,
};

static void virtio_vsock_rung(struct device *d, u32 index)
{
    struct virtio_vsock *w = (struct virtio_vsock *)d;

    (void)index;
    for (u32 i = 0; i < VSOCK_STREAMS; i++)
        if (w->doomed[i]) {
            w->doomed[i] = false;
            vsock_drop(w->vsock, i);
        }
}

static int virtio_vsock_create(struct device *d, struct err *e)
{
    struct virtio_vsock *w = (struct virtio_vsock *)d;
    int r = bell_new(d, virtio_vsock_rung, 0, &w->bell);

    if (r)
        return err_set(e, r, "no bell");
    w->vsock = device_end(d, "vsock");
    r = virtio_plug(&w->v, &virtio_vsock_class, w->state.virtio, 0, true, e);
    if (r)
        return r;
    put_le64(w->v.config, w->config.cid);
    vsock_attach(w->vsock, &socket_guest, w);
    return 0;
}

static void virtio_vsock_destroy(struct device *d)
{
    struct virtio_vsock *w = (struct virtio_vsock *)d;

    vsock_attach(w->vsock, NULL, NULL);
    for (u32 i = 0; i < VSOCK_STREAMS; i++)
        free(w->stream[i].held);
    pci_unplug(d);
}

static void virtio_vsock_reset(struct device *d, enum reset kind)
{
    (void)kind;
    virtio_reset((struct virtio *)d);
}

static void virtio_vsock_pause(struct device *d)
{
    virtio_pause((struct virtio *)d);
}

static void virtio_vsock_resume(struct device *d)
{
    struct virtio_vsock *w = (struct virtio_vsock *)d;

    w->reset_owed = w->moved && w->state.live; /* 5.10.6.7: its connections are gone */
    w->state.live &= !w->moved;
    w->moved = false;
    virtio_resume((struct virtio *)d);
}

static void virtio_vsock_restored(struct device *d)
{
    ((struct virtio_vsock *)d)->moved = true;
}

static int virtio_vsock_check(const struct device *d, struct err *e)
{
    return virtio_check((const struct virtio *)d, e);
}

static const struct field config[] = {
    FIELD(1, struct virtio_vsock_config, cid, 0, "the guest's context, above 2"),
    FIELD_END,
};
static const struct field state[] = {
    FIELD_SUB(1, struct virtio_vsock_state, virtio, 0, "transport", virtio_fields),
    FIELD(2, struct virtio_vsock_state, live, 0, "there are connections"),
    FIELDS(0, struct virtio_vsock_state, pad, F_LOCAL, "none"),
    FIELD_END,
};

const struct device_class device_virtio_vsock = {
    .name = "virtio_vsock",
    .about = "virtio sockets between guest and host (vsock)",
    .size = sizeof(struct virtio_vsock),
    .config_at = offsetof(struct virtio_vsock, config),
    .config = config,
    .config_default = &(const struct virtio_vsock_config){ .cid = 3 },
    .config_size = sizeof(struct virtio_vsock_config),
    .state_at = offsetof(struct virtio_vsock, state),
    .state_size = sizeof(struct virtio_vsock_state),
    .state = state,
    .create = virtio_vsock_create,
    .destroy = virtio_vsock_destroy,
    .reset = virtio_vsock_reset,
    .pause = virtio_vsock_pause,
    .resume = virtio_vsock_resume,
    .check = virtio_vsock_check,
    .restored = virtio_vsock_restored,
};
