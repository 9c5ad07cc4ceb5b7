/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host ends of serial lines: nowhere, a buffer for tests, a pair of descriptors.
 *
 * Output to a descriptor goes through a ring that a thread of its own writes out: whatever
 * the descriptor is (terminal, pipe, file), no flag of it is changed and nobody else waits
 * for it.  A full ring slows the guest down and then grows; see chr_put_fd.
 * Not here: sockets that listen, terminal settings (cmd/).
 */
#include "backend/chr.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum chr_kind { CHR_NULL, CHR_BUF, CHR_FD };
enum {
    CHR_KEEP = 64 << 10,    /* bytes that may wait before the guest is slowed down */
    CHR_MOST = 1 << 20,     /* bytes that may wait at all */
    CHR_CHUNK = 4096,       /* a pipe that is ready takes as many without blocking */
    CHR_LARGE = 32 << 10,   /* where the descriptor never blocks */
    CHR_GATHER_NS = 500000, /* the writer lets this time pass for a line to become whole */
    CHR_WAIT_MS = 100,      /* the longest that a put waits */
    CHR_LAST_MS = 2000,     /* the longest that a close waits for a stuck reader */
};

struct chr {
    enum chr_kind kind;
    struct loop *loop;
    int in, out;
    u32 keep;
    struct buf kept; /* CHR_BUF: what was written; CHR_FD: what waits to be */

    pthread_mutex_t lock; /* guards all below that more than one thread uses */
    pthread_cond_t wake, room;
    pthread_t writer;
    bool has_writer, ending, broken, idle, told, wants_room;
    bool line;    /* one has ended: who reads may tell the time by it */
    bool closing; /* the last call that is owed frees it */
    u32 posted;   /* calls that the loop still owes us */

    u32 (*can)(void *arg);
    void (*take)(void *arg, const u8 *p, u32 n);
    void *arg;
    void (*on_room)(void *arg);
    void *room_arg;
    struct loop_watch *watch; /* the loop's thread only, like the rest */
    bool always, ended;       /* in: cannot be watched, is always ready; has come to its end */
};

static struct chr *chr_new(enum chr_kind kind, struct err *e)
{
    struct chr *c = calloc(1, sizeof(*c));
    pthread_condattr_t attr;

    if (!c) {
        err_set(e, -ENOMEM, "no memory for a character device");
        return NULL;
    }
    c->kind = kind;
    c->in = c->out = -1;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_cond_init(&c->room, &attr);
    pthread_condattr_destroy(&attr);
    return c;
}

static void chr_free(struct chr *c)
{
    pthread_cond_destroy(&c->wake);
    pthread_cond_destroy(&c->room);
    pthread_mutex_destroy(&c->lock);
    buf_fini(&c->kept);
    free(c);
}

static struct timespec chr_in(i64 ns)
{
    i64 t = loop_now() + ns;

    return (struct timespec){ .tv_sec = t / 1000000000, .tv_nsec = t % 1000000000 };
}

/* Run fn(c) on the loop.  Lock held.  The last call that was owed frees a closed c. */
static void chr_post(struct chr *c, void (*fn)(void *arg))
{
    if (!loop_post(c->loop, fn, c))
        c->posted++;
}

static bool chr_posted(struct chr *c) /* false: c is gone */
{
    bool last, closing;

    pthread_mutex_lock(&c->lock);
    last = !--c->posted;
    closing = c->closing;
    pthread_mutex_unlock(&c->lock);
    if (closing && last)
        chr_free(c);
    return !closing;
}

static void chr_room_again(void *arg)
{
    struct chr *c = arg;

    if (chr_posted(c) && c->on_room)
        c->on_room(c->room_arg);
}

/* Lock held: bytes have left the ring. */
static void chr_drained(struct chr *c)
{
    pthread_cond_broadcast(&c->room);
    if (c->wants_room && c->kept.len < CHR_KEEP / 2 && !c->ending) {
        c->wants_room = false;
        chr_post(c, chr_room_again);
    }
}

/* Lock not held.  Waits until out is ready or an ending one has waited enough. */
static ssize_t chr_write(struct chr *c, const u8 *p, size_t n, i64 *until)
{
    struct pollfd f = { .fd = c->out, .events = POLLOUT };

    while (!poll(&f, 1, CHR_WAIT_MS)) {
        bool ending;

        pthread_mutex_lock(&c->lock);
        ending = c->ending;
        pthread_mutex_unlock(&c->lock);
        if (ending && !*until)
            *until = loop_now() + (i64)CHR_LAST_MS * 1000000;
        if (ending && loop_now() >= *until)
            return -1;
    }
    do {
        ssize_t got = write(c->out, p, n);

        if (got >= 0 || (errno != EINTR && errno != EAGAIN))
            return got;
    } while (errno == EINTR);
    return 0;
}

static void *chr_writer(void *arg)
{
    struct chr *c = arg;
    bool blocks = !(fcntl(c->out, F_GETFL) & O_NONBLOCK);
    u8 chunk[CHR_LARGE];
    i64 until = 0;

    pthread_mutex_lock(&c->lock);
    for (;;) {
        ssize_t n;

        while (!c->kept.len && !c->ending) {
            struct timespec t;

            c->idle = true;
            pthread_cond_wait(&c->wake, &c->lock);
            t = chr_in(CHR_GATHER_NS);
            while (!c->ending && !c->line && c->kept.len < CHR_CHUNK &&
                   pthread_cond_timedwait(&c->wake, &c->lock, &t) != ETIMEDOUT)
                ;
        }
        if (!c->kept.len)
            break;
        n = (ssize_t)min_u64(c->kept.len, blocks ? CHR_CHUNK : CHR_LARGE);
        memcpy(chunk, c->kept.p, (size_t)n);
        c->line = false;
        pthread_mutex_unlock(&c->lock);
        n = chr_write(c, chunk, (size_t)n, &until);
        pthread_mutex_lock(&c->lock);
        if (n < 0) { /* nobody reads any more */
            c->broken = true;
            n = (ssize_t)c->kept.len;
        }
        c->kept.len -= (size_t)n;
        memmove(c->kept.p, c->kept.p + n, c->kept.len);
        chr_drained(c);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/*
 * A full ring makes each put wait for a moment, which slows the guest to a few bytes per
 * second; that little the ring takes beyond its size, so that a reader who stops for a
 * while (a pager, a stopped terminal) misses nothing.
 */
static void chr_put_fd(struct chr *c, const u8 *p, u32 n)
{
    bool line;
    struct timespec t = { 0 };

    pthread_mutex_lock(&c->lock);
    if (c->kept.len + n > CHR_KEEP && !c->broken)
        t = chr_in((i64)CHR_WAIT_MS * 1000000);
    while (c->kept.len && c->kept.len + n > CHR_KEEP && !c->broken)
        if (pthread_cond_timedwait(&c->room, &c->lock, &t) == ETIMEDOUT)
            break;
    if (!c->has_writer || c->broken)
        n = 0;
    if (n && c->kept.len && c->kept.len + n > CHR_MOST) {
        if (!c->told)
            log_warn("console output is lost: nobody has read it for long");
        c->told = true;
        n = 0;
    }
    line = n && memchr(p, '\n', n);
    if (n && !buf_add(&c->kept, p, n) && (c->idle || c->kept.len >= CHR_CHUNK || line)) {
        c->idle = false;
        c->line |= line;
        pthread_cond_signal(&c->wake);
    }
    pthread_mutex_unlock(&c->lock);
}

void chr_put(struct chr *c, const u8 *p, u32 n)
{
    if (!c || c->kind == CHR_NULL || !n)
        return;
    if (c->kind == CHR_FD) {
        chr_put_fd(c, p, n);
        return;
    }
    pthread_mutex_lock(&c->lock);
    if (c->kept.len < c->keep)
        buf_add(&c->kept, p, min_u64(n, c->keep - c->kept.len));
    pthread_mutex_unlock(&c->lock);
}

bool chr_room(struct chr *c, u32 n)
{
    bool yes;

    if (!c || c->kind != CHR_FD)
        return true;
    pthread_mutex_lock(&c->lock);
    yes = !c->kept.len || c->kept.len + n <= CHR_KEEP || c->broken;
    if (!yes)
        c->wants_room = true;
    pthread_mutex_unlock(&c->lock);
    return yes;
}

/* Input: on the loop's thread. */
static void chr_input_end(struct chr *c)
{
    loop_watch_drop(c->watch);
    c->watch = NULL;
    c->ended = true;
}

static void chr_input_ready(void *arg, u32 events)
{
    struct chr *c = arg;
    u8 bytes[CHR_LARGE];
    ssize_t n;
    u32 room;

    (void)events;
    room = c->can ? c->can(c->arg) : 0;
    if (!room) {
        if (c->watch)
            loop_watch_set(c->watch, 0); /* until chr_more */
        return;
    }
    n = read(c->in, bytes, min_u64(room, sizeof(bytes)));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0)
        chr_input_end(c);
    else
        c->take(c->arg, bytes, (u32)n);
}

static void chr_input_more(void *arg)
{
    struct chr *c = arg;

    if (!chr_posted(c) || c->ended || c->in < 0 || !c->can)
        return;
    if (!c->always && !c->watch &&
        loop_watch_add(c->loop, c->in, LOOP_READ, chr_input_ready, c, &c->watch)) {
        c->ended = true;
        return;
    }
    if (c->watch) {
        loop_watch_set(c->watch, LOOP_READ);
        return;
    }
    chr_input_ready(c, LOOP_READ);
    if (!c->ended && c->can(c->arg))
        chr_more(c);
}

void chr_more(struct chr *c)
{
    if (!c || c->kind != CHR_FD)
        return;
    pthread_mutex_lock(&c->lock);
    chr_post(c, chr_input_more);
    pthread_mutex_unlock(&c->lock);
}

void chr_attach(struct chr *c, u32 (*can)(void *arg), void (*take)(void *arg, const u8 *p, u32 n),
                void *arg)
{
    if (!c)
        return;
    c->can = can;
    c->take = take;
    c->arg = arg;
    chr_more(c);
}

void chr_on_room(struct chr *c, void (*room)(void *arg), void *arg)
{
    if (!c)
        return;
    c->on_room = room;
    c->room_arg = arg;
}

u32 chr_feed(struct chr *c, const u8 *p, u32 n)
{
    u32 room = c->can ? c->can(c->arg) : 0;

    if (n > room)
        n = room;
    if (n)
        c->take(c->arg, p, n);
    return n;
}

const u8 *chr_kept(struct chr *c, u32 *n)
{
    *n = (u32)c->kept.len;
    return c->kept.p;
}

int chr_open_null(struct chr **out, struct err *e)
{
    *out = chr_new(CHR_NULL, e);
    return *out ? 0 : -ENOMEM;
}

int chr_open_buf(struct chr **out, u32 keep, struct err *e)
{
    *out = chr_new(CHR_BUF, e);
    if (*out)
        (*out)->keep = keep;
    return *out ? 0 : -ENOMEM;
}

/* Files and /dev/null have no "ready": epoll refuses them. */
static bool chr_is_always_ready(int fd)
{
    struct epoll_event ev = { .events = EPOLLIN };
    int ep = epoll_create1(EPOLL_CLOEXEC);
    bool refused = ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) && errno == EPERM;

    if (ep >= 0)
        close(ep);
    return refused;
}

int chr_open_fd(struct chr **out, int in, int out_fd, struct loop *l, struct err *e)
{
    struct chr *c = chr_new(CHR_FD, e);
    sigset_t all, old;

    if (!c)
        return -ENOMEM;
    c->loop = l;
    c->in = fcntl(in, F_GETFD) < 0 ? -1 : in; /* started with standard input closed */
    c->out = out_fd;
    c->always = c->in >= 0 && chr_is_always_ready(in);
    if (out_fd >= 0) {
        sigfillset(&all); /* SIGPIPE above all: the writer sees EPIPE instead */
        pthread_sigmask(SIG_SETMASK, &all, &old);
        c->has_writer = !pthread_create(&c->writer, NULL, chr_writer, c);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (!c->has_writer) {
            chr_free(c);
            return err_set(e, -EAGAIN, "no thread to write the console");
        }
    }
    *out = c;
    return 0;
}

static void chr_close_here(void *arg)
{
    struct chr *c = arg;
    bool owed;

    loop_watch_drop(c->watch);
    c->watch = NULL;
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    owed = c->posted;
    pthread_mutex_unlock(&c->lock);
    if (!owed)
        chr_free(c);
}

void chr_close(struct chr *c)
{
    if (!c)
        return;
    if (c->has_writer) {
        pthread_mutex_lock(&c->lock);
        c->ending = true;
        pthread_cond_broadcast(&c->wake);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->writer, NULL);
        c->has_writer = false;
    }
    if (c->loop)
        loop_call(c->loop, chr_close_here, c);
    else
        chr_free(c);
}
