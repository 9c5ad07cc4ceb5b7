/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Streams between a guest's vsock ports and Unix sockets of the host.  The words CONNECT and OK and
 * the names of the sockets are those that Firecracker and Cloud Hypervisor made known ("Using the
 * Firecracker Virtio-vsock Device").
 * Left out: datagrams, sockets of AF_VSOCK on the host itself.
 */
#include "backend/vsock.h"
#include "base/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    VSOCK_SERVICES = 4,
    VSOCK_GREETERS = 16, /* who has connected and not yet said where to */
    VSOCK_LINE = 32,
    VSOCK_FIRST_PORT = 1 << 30,
};

enum vsock_state { VSOCK_FREE, VSOCK_ASKED, VSOCK_UP };
struct vsock_stream {
    enum vsock_state state;
    int fd;
    u32 host_port, wants;
    bool greet; /* "OK" is owed */
    struct loop_watch *watch;
    struct vsock *v;
    void (*done)(void *arg, int r);
    void *arg;
};

struct vsock_greeter {
    int fd;
    char line[VSOCK_LINE + 1];
    u32 len;
    struct loop_watch *watch;
    struct vsock *v;
};

struct vsock_service {
    u32 cid, port;
    void (*accept)(void *arg, int take_fd, u32 guest_port);
    void *arg;
};

struct vsock_wait {
    struct vsock_call call;
    struct vsock_wait *next;
};

struct vsock {
    struct loop *lane;
    const struct vsock_guest *guest;
    void *arg;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path) - 12];
    int listener;
    struct loop_watch *watch;
    u32 next_port, nservices;
    struct vsock_service service[VSOCK_SERVICES];
    struct vsock_greeter greeter[VSOCK_GREETERS];
    struct vsock_stream stream[VSOCK_STREAMS];
    struct vsock_wait *waits; /* calls that wait for the guest */
};

/* ---- streams ---- */

static void vsock_told(struct vsock_stream *s, int r)
{
    void (*done)(void *arg, int r) = s->done;

    s->done = NULL;
    if (done)
        done(s->arg, r);
}

static void vsock_ready(void *arg, u32 events)
{
    struct vsock_stream *s = arg;
    struct vsock *v = s->v;

    s->wants &= ~events;
    loop_watch_set(s->watch, s->wants);
    if (s->state == VSOCK_UP && v->guest)
        v->guest->ready(v->arg, (u32)(s - v->stream));
}

static void vsock_want(struct vsock_stream *s, u32 events)
{
    s->wants |= events;
    if (s->watch)
        loop_watch_set(s->watch, s->wants);
}

static int vsock_take(struct vsock *v, int fd, enum vsock_state state)
{
    u32 i = 0;

    while (i < VSOCK_STREAMS && v->stream[i].state != VSOCK_FREE)
        i++;
    if (i == VSOCK_STREAMS || fcntl(fd, F_SETFL, O_NONBLOCK) ||
        loop_watch_add(v->lane, fd, 0, vsock_ready, &v->stream[i], &v->stream[i].watch))
        return -EMFILE;
    v->stream[i].v = v;
    v->stream[i].fd = fd;
    v->stream[i].state = state;
    return (int)i;
}

void vsock_drop(struct vsock *v, u32 stream)
{
    struct vsock_stream *s = &v->stream[stream];

    if (stream >= VSOCK_STREAMS || s->state == VSOCK_FREE)
        return;
    loop_watch_drop(s->watch);
    close(s->fd);
    vsock_told(s, -ECONNREFUSED);
    *s = (struct vsock_stream){ 0 };
}

void vsock_up(struct vsock *v, u32 stream)
{
    struct vsock_stream *s = &v->stream[stream];
    char ok[VSOCK_LINE];

    if (stream >= VSOCK_STREAMS || s->state != VSOCK_ASKED)
        return;
    s->state = VSOCK_UP;
    if (s->greet) { /* the socket is new: there is room for it */
        snprintf(ok, sizeof(ok), "OK %u\n", s->host_port);
        if (send(s->fd, ok, strlen(ok), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            vsock_told(s, -errno); /* it has gone again: reading finds the end */
    }
    vsock_told(s, 0);
}

ssize_t vsock_read(struct vsock *v, u32 stream, const struct iovec *to, int n)
{
    struct vsock_stream *s = &v->stream[stream];
    ssize_t got;

    if (stream >= VSOCK_STREAMS || s->state != VSOCK_UP)
        return 0;
    do
        got = readv(s->fd, to, n);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        vsock_want(s, LOOP_READ);
        return -EAGAIN;
    }
    return got < 0 ? 0 : got; /* a connection that broke has ended */
}

ssize_t vsock_write(struct vsock *v, u32 stream, const struct iovec *from, int n)
{
    struct vsock_stream *s = &v->stream[stream];
    struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)from, .msg_iovlen = (size_t)n };
    ssize_t put;

    if (stream >= VSOCK_STREAMS || s->state != VSOCK_UP)
        return -EPIPE;
    do
        put = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (put < 0 && errno == EINTR);
    if (put < 0 && errno == EAGAIN) {
        vsock_want(s, LOOP_WRITE);
        return -EAGAIN;
    }
    return put < 0 ? -EPIPE : put;
}

void vsock_shut(struct vsock *v, u32 stream, u32 what)
{
    struct vsock_stream *s = &v->stream[stream];

    if (stream >= VSOCK_STREAMS || s->state != VSOCK_UP)
        return;
    if (what & VSOCK_NO_MORE_IN)
        shutdown(s->fd, SHUT_RD);
    if (what & VSOCK_NO_MORE_OUT)
        shutdown(s->fd, SHUT_WR);
}

/* ---- from the host to the guest ---- */

/* fd is taken in any case. */
static int vsock_ask(struct vsock *v, u32 guest_port, int fd, bool greet,
                     void (*done)(void *arg, int r), void *arg)
{
    int i = v->guest ? vsock_take(v, fd, VSOCK_ASKED) : -ENODEV;

    if (i < 0) {
        close(fd);
        return i;
    }
    v->stream[i].host_port = v->next_port++;
    v->stream[i].greet = greet;
    v->stream[i].done = done;
    v->stream[i].arg = arg;
    if (v->guest->connect(v->arg, (u32)i, v->stream[i].host_port, guest_port)) {
        v->stream[i].done = NULL;
        vsock_drop(v, (u32)i);
        return -ECONNREFUSED;
    }
    return 0;
}

/* Byte by byte: what follows the line is for the guest.  0, -EAGAIN or why not. */
static int vsock_greeting(struct vsock_greeter *g, u32 *port)
{
    char end;

    for (;;) {
        ssize_t n = recv(g->fd, g->line + g->len, 1, MSG_DONTWAIT);

        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR) ? -EAGAIN : -EPIPE;
        if (g->line[g->len] == '\n')
            break;
        if (++g->len == VSOCK_LINE)
            return -EINVAL;
    }
    g->line[g->len] = 0;
    return sscanf(g->line, "CONNECT %u%c", port, &end) == 1 ? 0 : -EINVAL;
}

static void vsock_greeter_end(struct vsock_greeter *g, bool close_fd)
{
    loop_watch_drop(g->watch);
    if (close_fd)
        close(g->fd);
    *g = (struct vsock_greeter){ .fd = -1 };
}

static void vsock_greeted(void *arg, u32 events)
{
    struct vsock_greeter *g = arg;
    struct vsock *v = g->v;
    int fd = g->fd;
    u32 port = 0;
    int r = vsock_greeting(g, &port);

    (void)events;
    if (r == -EAGAIN)
        return;
    vsock_greeter_end(g, r != 0);
    if (!r)
        vsock_ask(v, port, fd, true, NULL, NULL);
}

static void vsock_accept(void *arg, u32 events)
{
    struct vsock *v = arg;
    int fd = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    u32 i = 0;

    (void)events;
    if (fd < 0)
        return;
    while (i < VSOCK_GREETERS && v->greeter[i].fd >= 0)
        i++;
    if (i == VSOCK_GREETERS || loop_watch_add(v->lane, fd, LOOP_READ, vsock_greeted, &v->greeter[i],
                                              &v->greeter[i].watch)) {
        close(fd);
        return;
    }
    v->greeter[i].fd = fd;
    v->greeter[i].v = v;
}

/* ---- from the guest to the host ---- */

static int vsock_unix(const char *path, struct sockaddr_un *a)
{
    *a = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(a->sun_path, sizeof(a->sun_path), "%s", path);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int vsock_dial_path(const struct vsock *v, u32 port)
{
    struct sockaddr_un a;
    char path[sizeof(a.sun_path)];
    int fd;

    if (!*v->path)
        return -ECONNREFUSED;
    snprintf(path, sizeof(path), "%s_%u", v->path, port);
    fd = vsock_unix(path, &a);
    if (fd < 0)
        return -EMFILE;
    if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
        return fd;
    close(fd);
    return -ECONNREFUSED;
}

static int vsock_dial_service(const struct vsock *v, u32 cid, u32 port, u32 guest_port)
{
    for (u32 i = 0; i < v->nservices; i++) {
        const struct vsock_service *s = &v->service[i];
        int fd[2];

        if (s->cid != cid || s->port != port)
            continue;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd))
            return -EMFILE;
        s->accept(s->arg, fd[1], guest_port);
        return fd[0];
    }
    return -ENOENT;
}

/* Somebody waits for the guest to come to that port, if he has not gone again. */
static int vsock_dial_waiting(struct vsock *v, u32 port)
{
    struct vsock_wait **at = &v->waits, *w;

    while ((w = *at)) {
        int fd = w->call.fd;
        bool gone = recv(fd, (char[1]){ 0 }, 1, MSG_PEEK | MSG_DONTWAIT) == 0;

        if (w->call.port != port && !gone) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->call.done(w->call.arg, gone ? -ECANCELED : 0);
        free(w);
        if (!gone)
            return fd;
        close(fd);
    }
    return -ENOENT;
}

int vsock_dial(struct vsock *v, u32 cid, u32 host_port, u32 guest_port)
{
    int fd = v ? vsock_dial_service(v, cid, host_port, guest_port) : -ECONNREFUSED, i;

    if (fd == -ENOENT && cid == VSOCK_CID_HOST)
        fd = vsock_dial_waiting(v, host_port);
    if (fd == -ENOENT && cid == VSOCK_CID_HOST)
        fd = vsock_dial_path(v, host_port);
    if (fd < 0)
        return fd == -ENOENT ? -ECONNREFUSED : fd;
    i = vsock_take(v, fd, VSOCK_UP);
    if (i < 0)
        close(fd);
    else
        v->stream[i].host_port = host_port;
    return i;
}

/* ---- calls of the user's ---- */

struct vsock_posted {
    struct vsock *v;
    struct vsock_wait *w;
};

static void vsock_called(void *arg)
{
    struct vsock_posted *p = arg;
    struct vsock *v = p->v;
    struct vsock_call *c = &p->w->call;
    int r = 0;

    if (c->wait_for_guest) {
        p->w->next = v->waits;
        v->waits = p->w;
    } else {
        r = vsock_ask(v, c->port, c->fd, false, c->done, c->arg);
        if (r)
            c->done(c->arg, r);
        free(p->w);
    }
    free(p);
}

int vsock_call(struct vsock *v, const struct vsock_call *c)
{
    struct vsock_posted *p = calloc(1, sizeof(*p));
    struct vsock_wait *w = calloc(1, sizeof(*w));

    if (p && w) {
        w->call = *c;
        p->v = v;
        p->w = w;
        if (!loop_post(v->lane, vsock_called, p))
            return 0;
    }
    free(p);
    free(w);
    close(c->fd);
    return -ENOMEM;
}

/* ---- life ---- */

int vsock_open(struct vsock **out, struct loop *lane, struct err *e)
{
    struct vsock *v = calloc(1, sizeof(*v));

    if (!v)
        return err_set(e, -ENOMEM, "no memory for vsock");
    v->lane = lane;
    v->listener = -1;
    v->next_port = VSOCK_FIRST_PORT;
    for (u32 i = 0; i < VSOCK_GREETERS; i++)
        v->greeter[i].fd = -1;
    *out = v;
    return 0;
}

void vsock_attach(struct vsock *v, const struct vsock_guest *g, void *arg)
{
    if (!v)
        return;
    v->arg = arg;
    v->guest = g;
}

int vsock_serve(struct vsock *v, u32 cid, u32 port,
                void (*accept_fn)(void *arg, int take_fd, u32 guest_port), void *arg, struct err *e)
{
    if (v->nservices == VSOCK_SERVICES)
        return err_set(e, -ENOSPC, "vsock: too many services");
    v->service[v->nservices++] = (struct vsock_service){ cid, port, accept_fn, arg };
    return 0;
}

bool vsock_serves(const struct vsock *v, u32 cid, u32 port)
{
    for (u32 i = 0; v && i < v->nservices; i++)
        if (v->service[i].cid == cid && v->service[i].port == port)
            return true;
    return false;
}

/* A socket that a process left behind when it was killed is in nobody's way. */
static void vsock_stale(const struct sockaddr_un *a)
{
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && !lstat(a->sun_path, &st) && S_ISSOCK(st.st_mode) &&
        connect(fd, (const struct sockaddr *)a, sizeof(*a)) && errno == ECONNREFUSED)
        unlink(a->sun_path);
    if (fd >= 0)
        close(fd);
}

int vsock_listen(struct vsock *v, const char *path, struct err *e)
{
    struct sockaddr_un a;
    int r;

    if (!*path || strlen(path) >= sizeof(v->path))
        return err_set(e, -ENAMETOOLONG, "%s: the path of a vsock socket has 1 to %zu letters",
                       path, sizeof(v->path) - 1);
    v->listener = vsock_unix(path, &a);
    if (v->listener < 0)
        return err_set(e, -errno, "vsock: %s", strerror(errno));
    vsock_stale(&a);
    if (bind(v->listener, (struct sockaddr *)&a, sizeof(a)))
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    snprintf(v->path, sizeof(v->path), "%s", path);
    if (chmod(path, 0600) || listen(v->listener, VSOCK_GREETERS))
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    r = loop_watch_add(v->lane, v->listener, LOOP_READ, vsock_accept, v, &v->watch);
    return r ? err_set(e, r, "vsock: no memory") : 0;
}

static void vsock_close_here(void *arg)
{
    struct vsock *v = arg;

    v->guest = NULL;
    for (u32 i = 0; i < VSOCK_GREETERS; i++)
        if (v->greeter[i].fd >= 0)
            vsock_greeter_end(&v->greeter[i], true);
    for (u32 i = 0; i < VSOCK_STREAMS; i++)
        vsock_drop(v, i);
    for (struct vsock_wait *w = v->waits, *next; w; w = next) {
        next = w->next;
        close(w->call.fd);
        w->call.done(w->call.arg, -ECANCELED);
        free(w);
    }
    if (v->watch)
        loop_watch_drop(v->watch);
    if (v->listener >= 0)
        close(v->listener);
    if (*v->path)
        unlink(v->path);
}

void vsock_close(struct vsock *v)
{
    if (!v)
        return;
    loop_call(v->lane, vsock_close_here, v);
    free(v);
}
