/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The event loop, on libevent: epoll, one eventfd for posts, precise timers. */
#include "base/loop.h"
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct loop_call {
    void (*fn)(void *arg);
    void *arg;
    struct loop_call *next;
};

struct loop {
    struct event_base *base;
    struct event *bell;
    int bell_fd;
    atomic_bool stop;
    pthread_mutex_t lock; /* guards all below */
    struct loop_call *first, **last;
    bool running; /* by runner, in loop_run */
    pthread_t runner;
};

struct loop_visit { /* a call that somebody waits for */
    void (*fn)(void *arg);
    void *arg;
    sem_t done;
};

struct loop_watch {
    struct loop *loop;
    struct event *ev;
    int fd;
    void (*fn)(void *arg, u32 events);
    void *arg;
};

struct loop_timer {
    struct loop *loop;
    struct event *ev;
    void (*fn)(void *arg);
    void *arg;
};

i64 loop_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (i64)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void loop_ring(struct loop *l)
{
    u64 one = 1;

    if (write(l->bell_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: the loop wakes anyway */
}

static void loop_calls(struct loop *l)
{
    struct loop_call *c, *next;

    pthread_mutex_lock(&l->lock);
    c = l->first;
    l->first = NULL;
    l->last = &l->first;
    pthread_mutex_unlock(&l->lock);
    for (; c; c = next) {
        next = c->next;
        c->fn(c->arg);
        free(c);
    }
}

static void loop_answer(evutil_socket_t fd, short what, void *arg)
{
    u64 n;

    (void)what;
    if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
        return;
    loop_calls(arg);
}

int loop_new(struct loop **out, struct err *e)
{
    struct event_config *cfg = event_config_new();
    struct loop *l = calloc(1, sizeof(*l));

    if (!l || !cfg)
        goto fail;
    l->last = &l->first;
    pthread_mutex_init(&l->lock, NULL);
    event_config_set_flag(cfg, EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_NOLOCK);
    l->base = event_base_new_with_config(cfg);
    l->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!l->base || l->bell_fd < 0)
        goto fail;
    l->bell = event_new(l->base, l->bell_fd, EV_READ | EV_PERSIST, loop_answer, l);
    if (!l->bell || event_add(l->bell, NULL))
        goto fail;
    event_config_free(cfg);
    *out = l;
    return 0;
fail:
    if (cfg)
        event_config_free(cfg);
    free(l);
    return err_set(e, -ENOMEM, "no event loop: %s", "out of memory or descriptors");
}

void loop_free(struct loop *l)
{
    struct loop_call *c, *next;

    if (!l)
        return;
    for (c = l->first; c; c = next) {
        next = c->next;
        free(c);
    }
    event_free(l->bell);
    close(l->bell_fd);
    event_base_free(l->base);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void loop_once(struct loop *l)
{
    event_base_loop(l->base, EVLOOP_ONCE);
}

static void loop_running_set(struct loop *l, bool running)
{
    pthread_mutex_lock(&l->lock);
    l->running = running;
    l->runner = pthread_self();
    pthread_mutex_unlock(&l->lock);
}

void loop_run(struct loop *l)
{
    loop_running_set(l, true);
    while (!atomic_load(&l->stop))
        loop_once(l);
    loop_running_set(l, false);
    loop_calls(l); /* nobody waits for ever */
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    loop_ring(l);
}

/* Lock held: was the list empty? */
static bool loop_append(struct loop *l, struct loop_call *c)
{
    bool first = !l->first;

    *l->last = c;
    l->last = &c->next;
    return first;
}

int loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct loop_call *c = malloc(sizeof(*c));
    bool first;

    if (!c)
        return -ENOMEM;
    *c = (struct loop_call){ .fn = fn, .arg = arg };
    pthread_mutex_lock(&l->lock);
    first = loop_append(l, c);
    pthread_mutex_unlock(&l->lock);
    if (first)
        loop_ring(l);
    return 0;
}

static void loop_visited(void *arg)
{
    struct loop_visit *v = arg;

    v->fn(v->arg);
    sem_post(&v->done);
}

void loop_call(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct loop_visit v = { .fn = fn, .arg = arg };
    struct loop_call *c = malloc(sizeof(*c));
    bool away;

    pthread_mutex_lock(&l->lock);
    away = c && l->running && !pthread_equal(l->runner, pthread_self());
    if (away) {
        sem_init(&v.done, 0, 0);
        *c = (struct loop_call){ .fn = loop_visited, .arg = &v };
        loop_append(l, c);
    }
    pthread_mutex_unlock(&l->lock);
    if (!away) {
        free(c);
        fn(arg);
        return;
    }
    loop_ring(l);
    while (sem_wait(&v.done) < 0)
        continue;
    sem_destroy(&v.done);
}

static void loop_ready(evutil_socket_t fd, short what, void *arg)
{
    struct loop_watch *w = arg;

    (void)fd;
    w->fn(w->arg, (what & EV_READ ? LOOP_READ : 0u) | (what & EV_WRITE ? LOOP_WRITE : 0u));
}

static short loop_what(u32 events)
{
    return (short)((events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0) |
                   EV_PERSIST);
}

int loop_watch_add(struct loop *l, int fd, u32 events, void (*fn)(void *arg, u32 events), void *arg,
                   struct loop_watch **out)
{
    struct loop_watch *w = calloc(1, sizeof(*w));

    if (!w)
        return -ENOMEM;
    *w = (struct loop_watch){ .loop = l, .fd = fd, .fn = fn, .arg = arg };
    w->ev = event_new(l->base, fd, loop_what(events), loop_ready, w);
    if (!w->ev || (events && event_add(w->ev, NULL))) {
        loop_watch_drop(w);
        return -ENOMEM;
    }
    *out = w;
    return 0;
}

void loop_watch_set(struct loop_watch *w, u32 events)
{
    event_del(w->ev);
    if (!events)
        return;
    event_assign(w->ev, w->loop->base, w->fd, loop_what(events), loop_ready, w);
    event_add(w->ev, NULL);
}

void loop_watch_drop(struct loop_watch *w)
{
    if (!w)
        return;
    if (w->ev)
        event_free(w->ev);
    free(w);
}

static void loop_fire(evutil_socket_t fd, short what, void *arg)
{
    struct loop_timer *t = arg;

    (void)fd, (void)what;
    t->fn(t->arg);
}

int loop_timer_add(struct loop *l, void (*fn)(void *arg), void *arg, struct loop_timer **out)
{
    struct loop_timer *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    *t = (struct loop_timer){ .loop = l, .fn = fn, .arg = arg };
    t->ev = evtimer_new(l->base, loop_fire, t);
    if (!t->ev) {
        free(t);
        return -ENOMEM;
    }
    *out = t;
    return 0;
}

void loop_timer_set(struct loop_timer *t, i64 at_ns)
{
    i64 wait = at_ns - loop_now();
    struct timeval tv;

    if (wait < 0)
        wait = 0;
    wait = (wait + 999) / 1000;
    tv = (struct timeval){ .tv_sec = wait / 1000000, .tv_usec = wait % 1000000 };
    evtimer_add(t->ev, &tv);
}

void loop_timer_stop(struct loop_timer *t)
{
    evtimer_del(t->ev);
}

void loop_timer_drop(struct loop_timer *t)
{
    if (!t)
        return;
    event_free(t->ev);
    free(t);
}
