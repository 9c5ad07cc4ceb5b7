/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * User-mode network: libslirp's TCP/IP stack between the guest and ordinary sockets.
 *
 * libslirp wants to be asked before and told after each sleep; here every change ends in
 * one round that asks it for descriptors and a time, and keeps the loop's watches equal.
 * Left out: IPv6, TFTP, urgent data that comes alone.
 */
#include "backend/net_int.h"
#include "base/log.h"
#include "base/loop.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>

enum { NET_USER_FDS = 1024 };

struct net_user_watch {
    struct loop_watch *w;
    int fd;
    u32 events;
    bool wanted;
};

struct net_user {
    struct net net; /* first */
    Slirp *slirp;
    struct loop_timer *timer;
    bool round_owed;
    u32 nfds, nwatches;
    struct pollfd fds[NET_USER_FDS]; /* what libslirp asked for last */
    struct net_user_watch watches[NET_USER_FDS];
};

struct net_user_timer {
    SlirpTimerCb fn;
    void *arg;
    struct loop_timer *t;
};

static void net_user_round(void *arg);

static void net_user_round_posted(void *arg)
{
    struct net_user *u = arg;

    if (!net_posted(&u->net))
        return;
    u->round_owed = false;
    net_user_round(u);
}

static void net_user_round_soon(struct net_user *u)
{
    if (u->round_owed)
        return;
    u->round_owed = true;
    net_post(&u->net, net_user_round_posted);
}

/* What libslirp calls. */
static ssize_t net_user_output(const void *p, size_t len, void *arg)
{
    struct net_user *u = arg;

    if (len <= NET_FRAME_MAX)
        net_queue(&u->net, p, (u32)len);
    return (ssize_t)len;
}

static void net_user_guest_error(const char *text, void *arg)
{
    (void)arg;
    log_debug("user network: %s", text);
}

static int64_t net_user_clock(void *arg)
{
    (void)arg;
    return loop_now();
}

static void net_user_timer_fire(void *arg)
{
    struct net_user_timer *t = arg;

    t->fn(t->arg);
}

static void *net_user_timer_new(SlirpTimerCb fn, void *cb_arg, void *arg)
{
    struct net_user *u = arg;
    struct net_user_timer *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    *t = (struct net_user_timer){ .fn = fn, .arg = cb_arg };
    if (loop_timer_add(u->net.lane, net_user_timer_fire, t, &t->t)) {
        free(t);
        return NULL;
    }
    return t;
}

static void net_user_timer_free(void *timer, void *arg)
{
    struct net_user_timer *t = timer;

    (void)arg;
    if (t)
        loop_timer_drop(t->t);
    free(t);
}

static void net_user_timer_mod(void *timer, int64_t at_ms, void *arg)
{
    (void)arg;
    if (timer)
        loop_timer_set(((struct net_user_timer *)timer)->t, at_ms * 1000000);
}

static void net_user_fd_new(int fd, void *arg)
{
    (void)fd, (void)arg;
}

static struct net_user_watch *net_user_watch_of(struct net_user *u, int fd)
{
    for (u32 i = 0; i < u->nwatches; i++)
        if (u->watches[i].fd == fd)
            return &u->watches[i];
    return NULL;
}

static void net_user_watch_end(struct net_user *u, struct net_user_watch *w)
{
    loop_watch_drop(w->w);
    *w = u->watches[--u->nwatches];
}

static void net_user_fd_gone(int fd, void *arg)
{
    struct net_user *u = arg;
    struct net_user_watch *w = net_user_watch_of(u, fd);

    if (w)
        net_user_watch_end(u, w);
    for (u32 i = 0; i < u->nfds; i++)
        if (u->fds[i].fd == fd)
            u->fds[i].fd = -1;
}

static void net_user_notify(void *arg)
{
    net_user_round_soon(arg);
}

static const SlirpCb net_user_calls = {
    .send_packet = net_user_output,
    .guest_error = net_user_guest_error,
    .clock_get_ns = net_user_clock,
    .timer_new = net_user_timer_new,
    .timer_free = net_user_timer_free,
    .timer_mod = net_user_timer_mod,
    .register_poll_fd = net_user_fd_new,
    .unregister_poll_fd = net_user_fd_gone,
    .notify = net_user_notify,
};

/* The round. */
static const struct {
    int slirp;
    short host;
} net_user_bits[] = { { SLIRP_POLL_IN, POLLIN },
                      { SLIRP_POLL_OUT, POLLOUT },
                      { SLIRP_POLL_PRI, POLLPRI },
                      { SLIRP_POLL_ERR, POLLERR },
                      { SLIRP_POLL_HUP, POLLHUP } };

static int net_user_ask(int fd, int events, void *arg)
{
    struct net_user *u = arg;
    struct pollfd *f = &u->fds[u->nfds];

    if (u->nfds == NET_USER_FDS)
        return -1;
    *f = (struct pollfd){ .fd = fd };
    for (u32 i = 0; i < LEN(net_user_bits); i++)
        if (events & net_user_bits[i].slirp)
            f->events = (short)(f->events | net_user_bits[i].host);
    return (int)u->nfds++;
}

static int net_user_answer(int i, void *arg)
{
    struct net_user *u = arg;
    int events = 0;

    if (i < 0 || (u32)i >= u->nfds)
        return 0;
    for (u32 k = 0; k < LEN(net_user_bits); k++)
        if (u->fds[i].revents & net_user_bits[k].host)
            events |= net_user_bits[k].slirp;
    return events;
}

static void net_user_tell(struct net_user *u)
{
    if (u->nfds && poll(u->fds, u->nfds, 0) < 0)
        for (u32 i = 0; i < u->nfds; i++)
            u->fds[i].revents = 0;
    slirp_pollfds_poll(u->slirp, 0, net_user_answer, u);
}

static void net_user_ready(void *arg, u32 events)
{
    (void)events;
    net_user_round(arg);
}

static void net_user_watch_for(struct net_user *u, const struct pollfd *f)
{
    u32 events = (f->events & POLLIN ? LOOP_READ : 0u) | (f->events & POLLOUT ? LOOP_WRITE : 0u);
    struct net_user_watch *w = net_user_watch_of(u, f->fd);

    if (!w) {
        w = &u->watches[u->nwatches];
        *w = (struct net_user_watch){ .fd = f->fd, .events = events };
        if (u->nwatches == NET_USER_FDS ||
            loop_watch_add(u->net.lane, f->fd, events, net_user_ready, u, &w->w))
            return;
        u->nwatches++;
    } else if (w->events != events) {
        loop_watch_set(w->w, events);
        w->events = events;
    }
    w->wanted = true;
}

static void net_user_round(void *arg)
{
    struct net_user *u = arg;
    u32 wait_ms = UINT32_MAX;

    u->net.batching = true;
    net_user_tell(u);
    u->net.batching = false;
    net_flush(&u->net);
    u->nfds = 0;
    slirp_pollfds_fill(u->slirp, &wait_ms, net_user_ask, u);
    for (u32 i = 0; i < u->nwatches; i++)
        u->watches[i].wanted = false;
    for (u32 i = 0; i < u->nfds; i++)
        net_user_watch_for(u, &u->fds[i]);
    for (u32 i = u->nwatches; i-- > 0;)
        if (!u->watches[i].wanted)
            net_user_watch_end(u, &u->watches[i]);
    if (wait_ms == UINT32_MAX)
        loop_timer_stop(u->timer);
    else
        loop_timer_set(u->timer, loop_now() + (i64)wait_ms * 1000000);
}

static void net_user_send(struct net *n, const u8 *frame, u32 len)
{
    struct net_user *u = (struct net_user *)n;

    slirp_input(u->slirp, frame, (int)len);
    net_user_round_soon(u);
}

static void net_user_close(struct net *n)
{
    struct net_user *u = (struct net_user *)n;

    if (u->slirp)
        slirp_cleanup(u->slirp);
    while (u->nwatches)
        net_user_watch_end(u, &u->watches[u->nwatches - 1]);
    loop_timer_drop(u->timer);
}

static int net_user_publish(struct net_user *u, const struct net_make *how, struct err *e)
{
    struct in_addr here = { .s_addr = htonl(INADDR_LOOPBACK) };
    struct in_addr guest = { .s_addr = inet_addr("10.0.2.15") };

    for (u32 i = 0; i < how->nports; i++) {
        const struct net_port *p = &how->ports[i];

        errno = 0;
        if (slirp_add_hostfwd(u->slirp, p->udp, here, p->host, guest, p->guest) < 0)
            return err_set(e, errno ? -errno : -EADDRINUSE,
                           "cannot publish guest port %u: host port %u/%s: %s", p->guest, p->host,
                           p->udp ? "udp" : "tcp", strerror(errno ? errno : EADDRINUSE));
    }
    return 0;
}

int net_open_user(struct net **out, const struct net_make *how, struct loop *lane, struct err *e)
{
    static const struct net_ops ops = { .send = net_user_send, .close = net_user_close };
    SlirpConfig cfg = {
        .version = 3,
        .restricted = how->restricted,
        .in_enabled = true,
        .vnetwork.s_addr = inet_addr("10.0.2.0"),
        .vnetmask.s_addr = inet_addr("255.255.255.0"),
        .vhost.s_addr = inet_addr("10.0.2.2"),
        .vhostname = how->hostname,
        .vdhcp_start.s_addr = inet_addr("10.0.2.15"),
        .vnameserver.s_addr = inet_addr("10.0.2.3"),
    };
    struct net_user *u = calloc(1, sizeof(*u));
    int r;

    if (!u)
        return err_set(e, -ENOMEM, "no memory for the user network");
    r = net_init(&u->net, &ops, lane, e);
    if (r) {
        free(u);
        return r;
    }
    u->net.large = true; /* its TCP takes segments of any length */
    r = loop_timer_add(lane, net_user_round, u, &u->timer);
    if (!r) {
        u->slirp = slirp_new(&cfg, &net_user_calls, u);
        r = u->slirp ? net_user_publish(u, how, e)
                     : err_set(e, -EINVAL, "libslirp refuses its configuration");
    }
    if (r) {
        net_close(&u->net);
        return r;
    }
    net_user_round_soon(u);
    *out = &u->net;
    return 0;
}
