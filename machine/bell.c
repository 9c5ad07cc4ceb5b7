/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The I/O thread ("lane") and the bells that wake it.  A bell that rings is pushed on a
 * list; the one that finds the list empty wakes the lane.
 */
#include "machine/machine_int.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct bell {
    struct device *dev;
    void (*fn)(struct device *d, u32 index);
    u32 index;
    atomic_bool rung;
    struct bell *behind; /* in the list of rung bells */
    struct bell *next;   /* of the same device */
    struct bell_door *doors;
    int fd; /* eventfd that whoever runs the vCPUs writes to; -1: none */
    struct loop_watch *watch;
};

struct bell_door {
    struct bell *bell;
    struct bell_place place;
    bool told; /* whoever runs the vCPUs knows it */
    struct bell_door *next;
};

int bell_new(struct device *d, void (*fn)(struct device *d, u32 index), u32 index,
             struct bell **out)
{
    struct bell *b = calloc(1, sizeof(*b));
    struct node *node = node_of(d);

    if (!b)
        return -ENOMEM;
    *b = (struct bell){ .dev = d, .fn = fn, .index = index, .next = node->bells, .fd = -1 };
    node->bells = b;
    *out = b;
    return 0;
}

/* ---- doors: stores that ring a bell without asking the device ---- */

int bell_door_new(struct bell *b, const struct bell_place *p, struct bell_door **out)
{
    struct bell_door *door = calloc(1, sizeof(*door));

    if (!door)
        return -ENOMEM;
    *door = (struct bell_door){ .bell = b, .place = *p, .next = b->doors };
    door->place.at = ~(u64)0;
    b->doors = door;
    *out = door;
    bell_door_move(door, p->at);
    return 0;
}

void bell_door_move(struct bell_door *door, u64 at)
{
    const struct machine_cpus *cpus = &door->bell->dev->machine->cpus;

    if (door->told && cpus->bell)
        cpus->bell(cpus->arg, &door->place, door->bell->fd, false);
    door->place.at = at;
    door->told = at != ~(u64)0 && cpus->bell && door->bell->fd >= 0 &&
                 !cpus->bell(cpus->arg, &door->place, door->bell->fd, true);
}

static void bell_rung_outside(void *arg, u32 events)
{
    struct bell *b = arg;
    u64 n;

    (void)events;
    if (read(b->fd, &n, sizeof(n)) == sizeof(n))
        bell_ring(b);
}

/* On the lane. */
static void bell_watch(void *arg)
{
    struct bell *b = arg;

    if (loop_watch_add(b->dev->machine->lane.loop, b->fd, LOOP_READ, bell_rung_outside, b,
                       &b->watch)) {
        close(b->fd);
        b->fd = -1;
    }
}

static void bell_open(struct bell *b)
{
    if (!b->doors || b->fd >= 0)
        return;
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->fd >= 0)
        loop_call(b->dev->machine->lane.loop, bell_watch, b);
    for (struct bell_door *d = b->doors; d; d = d->next)
        bell_door_move(d, d->place.at);
}

void bells_open(struct machine *m)
{
    for (u32 i = 0; i < m->nnodes; i++)
        for (struct bell *b = m->nodes[i]->bells; b; b = b->next)
            bell_open(b);
}

void bells_collect(struct machine *m)
{
    for (u32 i = 0; i < m->nnodes; i++)
        for (struct bell *b = m->nodes[i]->bells; b; b = b->next)
            if (b->fd >= 0)
                bell_rung_outside(b, 0);
}

static void bell_close(struct bell *b)
{
    struct bell_door *d, *next;

    for (d = b->doors; d; d = next) {
        next = d->next;
        bell_door_move(d, ~(u64)0);
        free(d);
    }
    loop_watch_drop(b->watch);
    if (b->fd >= 0)
        close(b->fd);
}

/* The lane stands or is gone: nobody else looks at the list. */
void bell_free(struct bell *b)
{
    struct lane *l = &b->dev->machine->lane;
    struct bell *list = atomic_load(&l->rung), **link;

    for (link = &list; *link; link = &(*link)->behind) {
        if (*link == b) {
            *link = b->behind;
            break;
        }
    }
    atomic_store(&l->rung, list);
    bell_close(b);
    free(b);
}

struct bell *bell_next(const struct bell *b)
{
    return b->next;
}

bool bell_is_rung(const struct bell *b)
{
    return atomic_load(&b->rung);
}

static void lane_wake(struct lane *l)
{
    u64 one = 1;

    if (write(l->fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it wakes anyway */
}

void bell_ring(struct bell *b)
{
    struct lane *l = &b->dev->machine->lane;

    if (atomic_exchange(&b->rung, true))
        return;
    b->behind = atomic_load(&l->rung);
    while (!atomic_compare_exchange_weak(&l->rung, &b->behind, b))
        continue;
    if (!b->behind)
        lane_wake(l);
}

static void lane_answer(void *arg, u32 events)
{
    struct lane *l = arg;
    struct bell *b, *next, *order = NULL;
    u64 n;

    (void)events;
    if (read(l->fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
        return;
    if (atomic_load(&l->held))
        return;
    for (b = atomic_exchange(&l->rung, NULL); b; b = next) { /* first rung, first answered */
        next = b->behind;
        b->behind = order;
        order = b;
    }
    for (b = order; b; b = next) {
        next = b->behind;
        atomic_store(&b->rung, false); /* from here on it may be pushed again */
        domain_lock(b->dev->domain);
        b->fn(b->dev, b->index);
        domain_unlock(b->dev->domain);
    }
}

struct loop *device_lane(const struct device *d)
{
    return d->machine->lane.loop;
}

static void *lane_main(void *arg)
{
    struct lane *l = arg;

    pthread_setname_np(pthread_self(), "lane0");
    loop_run(l->loop);
    return NULL;
}

int lane_init(struct machine *m, struct err *e)
{
    struct lane *l = &m->lane;
    sigset_t all, old;
    int r;

    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->cond, NULL);
    l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->fd < 0)
        return err_set(e, -errno, "no descriptor for the I/O thread");
    if (loop_new(&l->loop, e))
        return e ? e->code : -ENOMEM;
    if (loop_watch_add(l->loop, l->fd, LOOP_READ, lane_answer, l, &l->watch))
        return err_set(e, -ENOMEM, "no memory for the I/O thread");
    if (m->how.manual)
        return 0;
    sigfillset(&all); /* signals are the VM thread's */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&l->thread, NULL, lane_main, l);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r)
        return err_set(e, -r, "no I/O thread");
    l->has_thread = true;
    return 0;
}

/* On the lane: says that it is here, and stays until told to go on. */
static void lane_stand(void *arg)
{
    struct lane *l = arg;

    pthread_mutex_lock(&l->lock);
    l->stands = true;
    pthread_cond_broadcast(&l->cond);
    while (!l->go_on)
        pthread_cond_wait(&l->cond, &l->lock);
    l->stands = l->go_on = false;
    pthread_cond_broadcast(&l->cond);
    pthread_mutex_unlock(&l->lock);
}

void lane_stop(struct machine *m)
{
    struct lane *l = &m->lane;

    if (!l->has_thread || l->stands || loop_post(l->loop, lane_stand, l))
        return;
    pthread_mutex_lock(&l->lock);
    while (!l->stands)
        pthread_cond_wait(&l->cond, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

static void lane_move_on(struct lane *l)
{
    pthread_mutex_lock(&l->lock);
    l->go_on = l->stands;
    pthread_cond_broadcast(&l->cond);
    while (l->stands)
        pthread_cond_wait(&l->cond, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

void lane_hold(struct machine *m)
{
    atomic_store(&m->lane.held, true);
    lane_stop(m);
    lane_move_on(&m->lane);
}

void lane_go(struct machine *m)
{
    atomic_store(&m->lane.held, false);
    lane_move_on(&m->lane);
    lane_wake(&m->lane);
}

/* After the devices are gone. */
void lane_fini(struct machine *m)
{
    struct lane *l = &m->lane;

    if (l->has_thread) {
        loop_stop(l->loop);
        lane_move_on(l);
        pthread_join(l->thread, NULL);
    }
    loop_watch_drop(l->watch);
    loop_free(l->loop);
    if (l->fd >= 0)
        close(l->fd);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->cond);
}
