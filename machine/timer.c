/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest time, and timers on it: a heap, and one timerfd that the VM loop watches.  Whoever
 * sets an earlier timer programs the timerfd itself, so no thread has to be woken for it.
 *
 * Guest time is the host's, and goes on while our threads wait for a processor.  A guest that
 * counts a timer's interrupts for as long as a clock says must not find a clock that ran and a
 * timer that stood: its clocks wait (machine_clock_wait) for timers that are late, and for those
 * whose interrupts have not all been taken (timer_owe).
 */
#include "machine/machine_int.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <x86intrin.h>

#define TIMER_NOWHERE (~(u32)0)

struct timer {
    struct device *dev;
    void (*fn)(struct device *d); /* one of the two is set */
    void (*fn_index)(struct device *d, u32 index);
    u32 index;
    struct timer *next; /* of the same device */
    i64 at;
    u32 place;   /* in the heap, or TIMER_NOWHERE */
    bool owes;   /* set by timer_owe */
    bool firing; /* taken from the heap, fn not yet called; stopping it clears this */
};

/* The host's time and counter, as slow as the guest's. */
static i64 clock_host(const struct clock *c)
{
    return loop_now() >> c->slow;
}
static u64 clock_host_tsc(const struct clock *c)
{
    return __rdtsc() >> c->slow;
}

i64 machine_now(const struct machine *m)
{
    i64 at = atomic_load_explicit(&m->clock.stands_at, memory_order_relaxed);

    if (at != CLOCK_RUNS)
        return at;
    return clock_host(&m->clock) - atomic_load_explicit(&m->clock.offset, memory_order_relaxed);
}

static u64 clock_scale(u64 v, u64 mul, u64 div)
{
    return (u64)((unsigned __int128)v * mul / div);
}

u64 machine_tsc(const struct machine *m)
{
    if (m->how.manual)
        return clock_scale((u64)machine_now(m), m->how.tsc_hz, 1000000000);
    if (atomic_load(&m->clock.stands_at) != CLOCK_RUNS)
        return atomic_load(&m->clock.tsc_stands_at);
    return clock_host_tsc(&m->clock) + atomic_load(&m->clock.tsc_offset);
}

u64 machine_tsc_offset(const struct machine *m)
{
    return atomic_load(&m->clock.tsc_offset);
}

i64 machine_tsc_to_ns(const struct machine *m, u64 tsc)
{
    u64 now = machine_tsc(m);
    i64 base = machine_now(m), far = INT64_MAX / 4;
    u64 ns;

    if (tsc <= now) {
        ns = min_u64(now - tsc, m->how.tsc_hz); /* long ago is long ago */
        return base - (i64)clock_scale(ns, 1000000000, m->how.tsc_hz);
    }
    ns = clock_scale(min_u64(tsc - now, (u64)far), 1000000000, m->how.tsc_hz);
    return base + (i64)min_u64(ns, (u64)far) + 1;
}

/* ---- the heap, under clock.lock ---- */

static void heap_put(struct clock *c, u32 place, struct timer *t)
{
    c->heap[place] = t;
    t->place = place;
}

static void heap_up(struct clock *c, u32 i, struct timer *t)
{
    for (; i && c->heap[(i - 1) / 2]->at > t->at; i = (i - 1) / 2)
        heap_put(c, i, c->heap[(i - 1) / 2]);
    heap_put(c, i, t);
}

static void heap_down(struct clock *c, u32 i, struct timer *t)
{
    for (;;) {
        u32 kid = 2 * i + 1;

        if (kid + 1 < c->n && c->heap[kid + 1]->at < c->heap[kid]->at)
            kid++;
        if (kid >= c->n || c->heap[kid]->at >= t->at)
            break;
        heap_put(c, i, c->heap[kid]);
        i = kid;
    }
    heap_put(c, i, t);
}

static void heap_take(struct clock *c, struct timer *t)
{
    u32 i = t->place;
    struct timer *last;

    if (t->owes)
        atomic_fetch_sub(&c->owed, 1);
    t->owes = false;
    if (i == TIMER_NOWHERE)
        return;
    t->place = TIMER_NOWHERE;
    last = c->heap[--c->n];
    if (last == t)
        return;
    if (i && c->heap[(i - 1) / 2]->at > last->at)
        heap_up(c, i, last);
    else
        heap_down(c, i, last);
}

/* The timerfd is set when something is due before it would fire; a late stop costs one wake. */
static void clock_arm(struct clock *c, bool again)
{
    struct itimerspec at = { 0 };
    i64 host;

    if (c->fd < 0 || !c->n || atomic_load(&c->stands_at) != CLOCK_RUNS)
        return;
    if (!again && c->heap[0]->at >= c->armed)
        return;
    c->armed = c->heap[0]->at;
    host = c->armed + atomic_load(&c->offset);
    host = host < INT64_MAX >> c->slow ? host << c->slow : INT64_MAX;
    if (host < 1)
        host = 1;
    at.it_value.tv_sec = host / 1000000000;
    at.it_value.tv_nsec = host % 1000000000;
    timerfd_settime(c->fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* For those who look without the lock: when the first one is, or was, due. */
static void clock_tell(struct clock *c)
{
    i64 due = c->n ? c->heap[0]->at : CLOCK_NEVER;

    atomic_store(&c->due, c->firing < due ? c->firing : due);
}

/* ---- contract ---- */

static int timer_make(struct device *d, const struct timer *like, struct timer **out)
{
    struct clock *c = &d->machine->clock;
    struct timer *t = calloc(1, sizeof(*t));
    struct node *node = node_of(d);
    int r = 0;

    if (!t)
        return -ENOMEM;
    *t = *like;
    t->dev = d;
    t->place = TIMER_NOWHERE;
    t->next = node->timers;
    pthread_mutex_lock(&c->lock);
    if (c->room == 0 || c->room <= c->n + 1) { /* room for every timer there is */
        struct timer **heap = realloc(c->heap, (c->room + 64) * sizeof(struct timer *));

        if (heap) {
            c->heap = heap;
            c->room += 64;
        } else {
            r = -ENOMEM;
        }
    }
    pthread_mutex_unlock(&c->lock);
    if (r) {
        free(t);
        return r;
    }
    node->timers = t;
    *out = t;
    return 0;
}

int timer_new(struct device *d, void (*fn)(struct device *d), struct timer **t)
{
    return timer_make(d, &(struct timer){ .fn = fn }, t);
}

int timer_new_index(struct device *d, void (*fn)(struct device *d, u32 index), u32 index,
                    struct timer **t)
{
    return timer_make(d, &(struct timer){ .fn_index = fn, .index = index }, t);
}

static void timer_put(struct timer *t, i64 at, bool owes)
{
    struct clock *c = &t->dev->machine->clock;

    pthread_mutex_lock(&c->lock);
    heap_take(c, t);
    t->firing = false;
    t->at = at;
    t->owes = owes;
    if (owes)
        atomic_fetch_add(&c->owed, 1);
    heap_up(c, c->n++, t);
    clock_tell(c);
    clock_arm(c, false);
    pthread_mutex_unlock(&c->lock);
}

void timer_set(struct timer *t, i64 at)
{
    timer_put(t, at, false);
}

void timer_owe(struct timer *t, i64 at)
{
    timer_put(t, at, true);
}

void timer_stop(struct timer *t)
{
    struct clock *c = &t->dev->machine->clock;

    pthread_mutex_lock(&c->lock);
    heap_take(c, t);
    t->firing = false;
    clock_tell(c);
    pthread_mutex_unlock(&c->lock);
}

i64 timer_at(const struct timer *t)
{
    struct clock *c = &t->dev->machine->clock;
    i64 at;

    pthread_mutex_lock(&c->lock);
    at = t->place != TIMER_NOWHERE || t->firing ? t->at : CLOCK_NEVER;
    pthread_mutex_unlock(&c->lock);
    return at;
}

void timer_free(struct timer *t)
{
    timer_stop(t);
    free(t);
}

struct timer *timer_next(const struct timer *t)
{
    return t->next;
}

static bool clock_take(struct clock *c, i64 now, struct timer **out)
{
    bool due;

    pthread_mutex_lock(&c->lock);
    due = c->n && c->heap[0]->at <= now;
    if (due) {
        *out = c->heap[0];
        heap_take(c, *out);
        (*out)->firing = true;
        c->firing = (*out)->at;
    }
    pthread_mutex_unlock(&c->lock);
    return due;
}

static void clock_fire(struct clock *c, struct timer *t)
{
    bool go;

    domain_lock(t->dev->domain);
    pthread_mutex_lock(&c->lock);
    go = t->firing;
    t->firing = false;
    pthread_mutex_unlock(&c->lock);
    if (go && t->fn)
        t->fn(t->dev);
    else if (go)
        t->fn_index(t->dev, t->index);
    domain_unlock(t->dev->domain);
    pthread_mutex_lock(&c->lock);
    c->firing = CLOCK_NEVER;
    clock_tell(c);
    pthread_cond_broadcast(&c->fired);
    pthread_mutex_unlock(&c->lock);
}

static void clock_due(void *arg, u32 events)
{
    struct machine *m = arg;
    struct clock *c = &m->clock;
    struct timer *t;
    u64 ticks;

    (void)events;
    if (read(c->fd, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
        return;
    /* a bound, so that timers that are always late leave time for the rest of the loop */
    for (int left = 64; left && clock_take(c, machine_now(m), &t); left--)
        clock_fire(c, t);
    pthread_mutex_lock(&c->lock);
    c->armed = CLOCK_NEVER;
    clock_arm(c, true);
    pthread_mutex_unlock(&c->lock);
}

void machine_clock_advance(struct machine *m, i64 ns)
{
    i64 to = machine_now(m) + ns;
    struct timer *t;

    while (clock_take(&m->clock, to, &t)) {
        if (t->at > machine_now(m))
            atomic_store(&m->clock.stands_at, t->at);
        clock_fire(&m->clock, t);
    }
    atomic_store(&m->clock.stands_at, to);
}

/* ---- the guest's clocks ---- */

bool machine_clock_late(const struct machine *m, bool open)
{
    const struct clock *c = &m->clock;
    i64 due = atomic_load_explicit(&c->due, memory_order_relaxed);

    if (c->fd < 0 || atomic_load_explicit(&c->stands_at, memory_order_relaxed) != CLOCK_RUNS)
        return false;
    return (open && atomic_load_explicit(&c->owed, memory_order_relaxed)) ||
           (due != CLOCK_NEVER && machine_now(m) > due + CLOCK_LATE_NS);
}

/* Those that owe are tried again now. */
static void clock_hurry(struct clock *c, i64 now)
{
    for (u32 i = 0; i < c->n && atomic_load(&c->owed); i++) {
        struct timer *t = c->heap[i];

        if (!t->owes || t->at <= now)
            continue;
        t->at = now; /* earlier than it was: upwards */
        heap_up(c, i, t);
    }
    clock_tell(c);
    clock_arm(c, false);
}

void machine_clock_wait(struct machine *m, i64 ns)
{
    struct clock *c = &m->clock;
    i64 until = loop_now() + ns;
    struct timespec at = { .tv_sec = until / 1000000000, .tv_nsec = until % 1000000000 };

    pthread_mutex_lock(&c->lock);
    clock_hurry(c, machine_now(m));
    pthread_cond_clockwait(&c->fired, &c->lock, CLOCK_MONOTONIC, &at);
    pthread_mutex_unlock(&c->lock);
}

/* ---- the machine's ---- */

int clock_init(struct machine *m, struct err *e)
{
    struct clock *c = &m->clock;

    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->fired, NULL);
    c->fd = -1;
    c->armed = c->firing = CLOCK_NEVER;
    atomic_store(&c->due, CLOCK_NEVER);
    atomic_store(&c->stands_at, m->how.manual ? 0 : CLOCK_RUNS);
    c->slow = m->how.slow;
    atomic_store(&c->offset, clock_host(c));
    if (m->how.manual)
        return 0;
    c->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (c->fd < 0)
        return err_set(e, -errno, "no timer from the host");
    if (loop_watch_add(m->loop, c->fd, LOOP_READ, clock_due, m, &c->watch))
        return err_set(e, -ENOMEM, "no memory for the clock");
    return 0;
}

void clock_fini(struct machine *m)
{
    struct clock *c = &m->clock;

    loop_watch_drop(c->watch);
    if (c->fd >= 0)
        close(c->fd);
    free(c->heap);
    pthread_cond_destroy(&c->fired);
    pthread_mutex_destroy(&c->lock);
}

void clock_stop(struct machine *m)
{
    struct clock *c = &m->clock;

    if (m->how.manual)
        return;
    atomic_store(&c->tsc_stands_at, machine_tsc(m));
    atomic_store(&c->stands_at, machine_now(m));
}

void clock_put(struct machine *m, i64 now, u64 tsc)
{
    atomic_store(&m->clock.stands_at, now);
    atomic_store(&m->clock.tsc_stands_at, tsc);
}

void clock_go(struct machine *m)
{
    struct clock *c = &m->clock;

    if (m->how.manual)
        return;
    pthread_mutex_lock(&c->lock);
    atomic_store(&c->offset, clock_host(c) - atomic_load(&c->stands_at));
    atomic_store(&c->tsc_offset, atomic_load(&c->tsc_stands_at) - clock_host_tsc(c));
    atomic_store(&c->stands_at, CLOCK_RUNS);
    c->armed = CLOCK_NEVER;
    clock_arm(c, true);
    pthread_mutex_unlock(&c->lock);
}
