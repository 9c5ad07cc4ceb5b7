/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GuestRPC over stream sockets: port 976 for what the guest asks (RPCI), port 975 for what it is
 * asked (TCLO), where it sends a ping each second instead of polling.  A packet is its length
 * and a list of fields: type, number, value; all numbers big-endian, the low half of a long one
 * first.
 */
#include "backend/vmtools_vsock.h"
#include "base/bytes.h"
#include "base/loop.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { VMTOOLS_RPC_PORT_TCLO = 975, VMTOOLS_RPC_PORT_RPCI = 976 };
enum {
    VMTOOLS_RPC_LINES = 16,
    VMTOOLS_RPC_FIRST_SESSION = 8,
    VMTOOLS_RPC_PACKET_MAX = VMTOOLS_MESSAGE + VMTOOLS_RPC_EXTRA
};
enum { FIELD_TYPE = 1, FIELD_PAYLOAD = 2, FIELD_FAST_CLOSE = 3 };
enum { VALUE_NUMBER = 1, VALUE_TEXT = 2 };

struct vmtools_line {
    struct vmtools_vsock *w;
    int fd; /* -1: free */
    struct loop_watch *watch;
    struct buf in, out;
    i32 session; /* TCLO: its number; RPCI: -1 */
    bool asked;  /* TCLO: an answer is owed */
    bool closing;
};

struct vmtools_vsock {
    struct vmtools *tools;
    struct vsock *vsock;
    struct loop *lane;
    atomic_bool woken; /* a call is on its way to the lane */
    struct vmtools_line line[VMTOOLS_RPC_LINES];
    u8 message[VMTOOLS_MESSAGE];
};

/* ---- packets ---- */

static u64 vmtools_rpc_number(struct cursor *c)
{
    u64 low = get_be32(c);

    return (u64)get_be32(c) << 32 | low;
}

i64 vmtools_packet_read(struct vmtools_packet *k, const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);
    u32 len = get_be32(&c);

    *k = (struct vmtools_packet){ 0 };
    if (c.bad)
        return 0;
    if (len > VMTOOLS_RPC_PACKET_MAX - 4)
        return -EBADMSG;
    if (n - 4 < len)
        return 0;
    c = cursor_of(p + 4, len);
    while (c.at < c.len) {
        u32 type = get_be32(&c), field = get_be32(&c), text = 0;
        u64 number = type == VALUE_NUMBER ? vmtools_rpc_number(&c) : 0;
        const u8 *bytes = NULL;

        if (type == VALUE_TEXT) {
            text = get_be32(&c);
            bytes = cursor_take(&c, text);
        } else if (type != VALUE_NUMBER) {
            return -EBADMSG;
        }
        if (c.bad)
            return -EBADMSG;
        if (field == FIELD_TYPE)
            k->type = number;
        else if (field == FIELD_FAST_CLOSE)
            k->close = number;
        else if (field == FIELD_PAYLOAD && bytes)
            k->payload = bytes, k->len = text;
    }
    return k->len <= VMTOOLS_MESSAGE ? 4 + (i64)len : -EBADMSG;
}

static void vmtools_rpc_put(struct vmtools_line *l, const u8 *p, u32 n)
{
    u8 h[32];

    put_be32(h, 28 + n);
    put_be32(h + 4, VALUE_NUMBER);
    put_be32(h + 8, FIELD_TYPE);
    put_be32(h + 12, VMTOOLS_RPC_DATA);
    put_be32(h + 16, 0);
    put_be32(h + 20, VALUE_TEXT);
    put_be32(h + 24, FIELD_PAYLOAD);
    put_be32(h + 28, n);
    if (buf_add(&l->out, h, sizeof(h)) || buf_add(&l->out, p, n))
        l->closing = true;
}

/* ---- lines ---- */

static void vmtools_rpc_end(struct vmtools_line *l)
{
    if (l->fd < 0)
        return;
    loop_watch_drop(l->watch);
    close(l->fd);
    if (l->session >= 0)
        vmtools_tclo_close(l->w->tools, (u32)l->session);
    buf_fini(&l->in);
    buf_fini(&l->out);
    *l = (struct vmtools_line){ .w = l->w, .fd = -1 };
}

static void vmtools_rpc_write(struct vmtools_line *l)
{
    while (l->out.len) {
        ssize_t n = send(l->fd, l->out.p, l->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            vmtools_rpc_end(l);
            return;
        }
        memmove(l->out.p, l->out.p + n, l->out.len - (size_t)n);
        l->out.len -= (size_t)n;
    }
    if (l->closing && !l->out.len)
        vmtools_rpc_end(l);
    else /* who does not take answers is asked nothing more */
        loop_watch_set(l->watch, l->out.len ? LOOP_WRITE : LOOP_READ);
}

/* The next command for the guest, one at a time. */
static void vmtools_rpc_ask(struct vmtools_line *l)
{
    u32 n = l->asked ? 0 : vmtools_tclo_next(l->w->tools, (u32)l->session, l->w->message);

    if (!n)
        return;
    l->asked = true;
    vmtools_rpc_put(l, l->w->message, n);
}

static void vmtools_rpc_take(struct vmtools_line *l, const struct vmtools_packet *k)
{
    if (l->session < 0 && k->type == VMTOOLS_RPC_DATA) {
        u32 n = vmtools_rpci(l->w->tools, k->payload, k->len, l->w->message);

        vmtools_rpc_put(l, l->w->message, n);
        l->closing |= k->close;
    } else if (l->session >= 0) {
        if (k->type == VMTOOLS_RPC_DATA && l->asked) {
            vmtools_tclo_answer(l->w->tools, (u32)l->session, k->payload, k->len);
            l->asked = false;
        }
        vmtools_rpc_ask(l);
    }
}

static void vmtools_rpc_hear(struct vmtools_line *l)
{
    struct vmtools_packet k;
    u8 b[16384];
    ssize_t got = recv(l->fd, b, sizeof(b), MSG_DONTWAIT);
    i64 n = 0;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || buf_add(&l->in, b, (size_t)got)) {
        vmtools_rpc_end(l);
        return;
    }
    while (!l->closing && (n = vmtools_packet_read(&k, l->in.p, l->in.len)) > 0) {
        vmtools_rpc_take(l, &k);
        memmove(l->in.p, l->in.p + n, l->in.len - (size_t)n);
        l->in.len -= (size_t)n;
    }
    if (n < 0)
        vmtools_rpc_end(l);
    else
        vmtools_rpc_write(l);
}

static void vmtools_rpc_ready(void *arg, u32 events)
{
    struct vmtools_line *l = arg;

    if (events & LOOP_READ)
        vmtools_rpc_hear(l);
    else
        vmtools_rpc_write(l);
}

static struct vmtools_line *vmtools_rpc_begin(struct vmtools_vsock *w, int fd, i32 session)
{
    struct vmtools_line *l = w->line;

    while (l < w->line + VMTOOLS_RPC_LINES && l->fd >= 0)
        l++;
    if (l == w->line + VMTOOLS_RPC_LINES ||
        loop_watch_add(w->lane, fd, LOOP_READ, vmtools_rpc_ready, l, &l->watch)) {
        close(fd);
        return NULL;
    }
    l->fd = fd;
    l->session = session;
    return l;
}

static void vmtools_rpc_accept_rpci(void *arg, int take_fd, u32 guest_port)
{
    (void)guest_port;
    vmtools_rpc_begin(arg, take_fd, -1);
}

static bool vmtools_rpc_has_session(const struct vmtools_vsock *w, i32 session)
{
    for (u32 i = 0; i < VMTOOLS_RPC_LINES; i++)
        if (w->line[i].fd >= 0 && w->line[i].session == session)
            return true;
    return false;
}

static void vmtools_rpc_accept_tclo(void *arg, int take_fd, u32 guest_port)
{
    struct vmtools_vsock *w = arg;
    i32 session = VMTOOLS_RPC_FIRST_SESSION;
    struct vmtools_line *l;

    (void)guest_port;
    while (session < VMTOOLS_SESSIONS && vmtools_rpc_has_session(w, session))
        session++;
    if (session == VMTOOLS_SESSIONS) {
        close(take_fd);
        return;
    }
    l = vmtools_rpc_begin(w, take_fd, session);
    if (!l)
        return;
    vmtools_tclo_open(w->tools, (u32)session);
    vmtools_rpc_ask(l);
    vmtools_rpc_write(l);
}

/* ---- commands that come while nobody asks ---- */

static void vmtools_rpc_woken(void *arg)
{
    struct vmtools_vsock *w = arg;

    atomic_store(&w->woken, false);
    for (u32 i = 0; i < VMTOOLS_RPC_LINES; i++)
        if (w->line[i].fd >= 0 && w->line[i].session >= 0) {
            vmtools_rpc_ask(&w->line[i]);
            vmtools_rpc_write(&w->line[i]);
        }
}

static void vmtools_rpc_wake(void *arg, u32 session)
{
    struct vmtools_vsock *w = arg;

    if (session >= VMTOOLS_RPC_FIRST_SESSION && !atomic_exchange(&w->woken, true))
        loop_post(w->lane, vmtools_rpc_woken, w);
}

/* ---- life ---- */

int vmtools_vsock_new(struct vmtools_vsock **out, struct vmtools *t, struct vsock *v,
                      struct loop *lane, struct err *e)
{
    struct vmtools_vsock *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return err_set(e, -ENOMEM, "no memory for the tools' sockets");
    w->tools = t;
    w->vsock = v;
    w->lane = lane;
    for (u32 i = 0; i < VMTOOLS_RPC_LINES; i++)
        w->line[i] = (struct vmtools_line){ .w = w, .fd = -1 };
    *out = w;
    r = vsock_serve(v, VSOCK_CID_HYPERVISOR, VMTOOLS_RPC_PORT_RPCI, vmtools_rpc_accept_rpci, w, e);
    r = r ? r
          : vsock_serve(v, VSOCK_CID_HYPERVISOR, VMTOOLS_RPC_PORT_TCLO, vmtools_rpc_accept_tclo, w,
                        e);
    vmtools_on_wake(t, vmtools_rpc_wake, w);
    return r;
}

static void vmtools_rpc_free_here(void *arg)
{
    struct vmtools_vsock *w = arg;

    for (u32 i = 0; i < VMTOOLS_RPC_LINES; i++)
        vmtools_rpc_end(&w->line[i]);
}

void vmtools_vsock_free(struct vmtools_vsock *w)
{
    if (!w)
        return;
    vmtools_on_wake(w->tools, NULL, NULL);
    loop_call(w->lane, vmtools_rpc_free_here, w);
    free(w);
}
