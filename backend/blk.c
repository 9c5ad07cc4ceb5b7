/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The block backend: requests of all disks of the process go through one queue to a few
 * worker threads, which may block; completions go back to the disk's lane in batches.
 *
 * Requests are linked through themselves, so nothing is allocated on the way.  A request is
 * under way from blk_submit until its `done` has returned.
 */
#include "backend/blk_int.h"
#include "base/log.h"
#include "base/loop.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BLK_WORKERS = 4 };

struct blk_list {
    struct blk_req *first, **last;
};

struct blk {
    const struct blk_store *ops;
    void *store;
    u64 size;
    bool readonly;
    char name[64];
    struct loop *lane;
    int (*ready)(void *arg); /* or NULL */
    void *ready_arg;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t idle;
    u32 working;  /* submitted, not yet run */
    u32 underway; /* submitted, `done` not yet returned */
    u32 refs;     /* the owner's, and one while a delivery is posted */
    bool posted, closed, held;
    struct blk_list done, waiting; /* results for the lane; kept by blk_hold */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct blk_list queue;
    u32 disks;
    bool stop;
    u32 nthreads;
    pthread_t thread[BLK_WORKERS];
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER,
           .work = PTHREAD_COND_INITIALIZER,
           .queue = { NULL, &pool.queue.first } };

static void list_init(struct blk_list *l)
{
    l->first = NULL;
    l->last = &l->first;
}

static void list_add(struct blk_list *l, struct blk_req *r)
{
    r->next = NULL;
    *l->last = r;
    l->last = &r->next;
}

static struct blk_req *list_take(struct blk_list *l)
{
    struct blk_req *r = l->first;

    if (r) {
        l->first = r->next;
        if (!l->first)
            l->last = &l->first;
    }
    return r;
}

static void blk_put(struct blk *b)
{
    bool last;

    pthread_mutex_lock(&b->lock);
    last = --b->refs == 0;
    pthread_mutex_unlock(&b->lock);
    if (!last)
        return;
    pthread_cond_destroy(&b->idle);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

/* On the lane: tell everything that has been finished by now. */
static void blk_deliver(void *arg)
{
    struct blk *b = arg;
    struct blk_req *r;
    u32 n = 0;

    pthread_mutex_lock(&b->lock);
    b->posted = false;
    while (!b->closed && (r = list_take(&b->done))) {
        pthread_mutex_unlock(&b->lock);
        r->done(r, r->result);
        n++;
        pthread_mutex_lock(&b->lock);
    }
    b->underway -= n;
    if (!b->underway)
        pthread_cond_broadcast(&b->idle);
    pthread_mutex_unlock(&b->lock);
    blk_put(b);
}

/* b->lock is held.  A post that fails for want of memory is made up for by the next one. */
static void blk_finish(struct blk *b, struct blk_req *r, int result)
{
    r->result = result;
    list_add(&b->done, r);
    if (--b->working == 0)
        pthread_cond_broadcast(&b->idle);
    if (!b->posted && !b->closed && loop_post(b->lane, blk_deliver, b) == 0) {
        b->posted = true;
        b->refs++;
    }
}

static int blk_run(struct blk *b, const struct blk_req *r)
{
    int no = r->op == BLK_FLUSH && b->ready ? b->ready(b->ready_arg) : 0;

    return no ? no : b->ops->run(b->store, r);
}

static void *pool_worker(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        struct blk_req *r = list_take(&pool.queue);
        struct blk *b;
        int result;

        if (!r) {
            if (pool.stop)
                break;
            pthread_cond_wait(&pool.work, &pool.lock);
            continue;
        }
        pthread_mutex_unlock(&pool.lock);
        b = r->blk;
        result = blk_run(b, r);
        pthread_mutex_lock(&b->lock);
        blk_finish(b, r, result);
        pthread_mutex_unlock(&b->lock);
        pthread_mutex_lock(&pool.lock);
    }
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

static void pool_leave(void)
{
    pthread_t thread[BLK_WORKERS];
    u32 n = 0;

    pthread_mutex_lock(&pool.lock);
    if (--pool.disks == 0) {
        n = pool.nthreads;
        memcpy(thread, pool.thread, sizeof(thread));
        pool.nthreads = 0;
        pool.stop = true;
        pthread_cond_broadcast(&pool.work);
    }
    pthread_mutex_unlock(&pool.lock);
    for (u32 i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
}

/* Disks are opened and closed by one thread, the VM's: join and start do not race. */
static int pool_enter(struct err *e)
{
    int rc = 0;

    pthread_mutex_lock(&pool.lock);
    pool.stop = false;
    pool.disks++;
    while (pool.nthreads < BLK_WORKERS && !rc) {
        rc = pthread_create(&pool.thread[pool.nthreads], NULL, pool_worker, NULL);
        if (!rc)
            pool.nthreads++;
    }
    if (pool.nthreads)
        rc = 0; /* fewer will do */
    pthread_mutex_unlock(&pool.lock);
    if (rc) {
        pool_leave();
        return err_set(e, -rc, "no thread for disk requests: %s", strerror(rc));
    }
    return 0;
}

int blk_open_store(struct blk **out, const struct blk_store *ops, void *store, u64 size,
                   bool readonly, const char *name, struct loop *lane, struct err *e)
{
    struct blk *b = calloc(1, sizeof(*b));
    int rc;

    *out = NULL;
    if (!b)
        return err_set(e, -ENOMEM, "no memory for disk %s", name);
    rc = pool_enter(e);
    if (rc) {
        free(b);
        return rc;
    }
    b->ops = ops;
    b->store = store;
    b->size = size;
    b->readonly = readonly;
    b->lane = lane;
    b->refs = 1;
    strncpy(b->name, name, sizeof(b->name) - 1);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->idle, NULL);
    list_init(&b->done);
    list_init(&b->waiting);
    *out = b;
    return 0;
}

void blk_close(struct blk *b)
{
    if (!b)
        return;
    blk_hold(b, false);
    pthread_mutex_lock(&b->lock);
    b->closed = true;
    while (b->working)
        pthread_cond_wait(&b->idle, &b->lock);
    pthread_mutex_unlock(&b->lock);
    b->ops->close(b->store);
    pool_leave();
    blk_put(b);
}

u64 blk_size(const struct blk *b)
{
    return b->size;
}

bool blk_readonly(const struct blk *b)
{
    return b->readonly;
}

const char *blk_name(const struct blk *b)
{
    return b->name;
}

void blk_on_flush(struct blk *b, int (*ready)(void *arg), void *arg)
{
    b->ready = ready;
    b->ready_arg = arg;
}

void *blk_store_of(const struct blk *b)
{
    return b->store;
}

void *blk_store_set(struct blk *b, void *store)
{
    void *old;

    pthread_mutex_lock(&b->lock);
    old = b->store;
    b->store = store;
    pthread_mutex_unlock(&b->lock);
    return old;
}

/* The one check of a request's numbers; 0 or what is wrong with them. */
static int blk_check(const struct blk *b, const struct blk_req *r)
{
    u64 bytes = 0;

    if (r->op == BLK_FLUSH)
        return 0;
    if (!range_ok(r->off, r->len, b->size))
        return -ERANGE;
    if (r->op != BLK_READ && b->readonly)
        return -EROFS;
    if (r->op == BLK_TRIM)
        return 0;
    for (int i = 0; i < r->n; i++)
        if (!add_ok(&bytes, bytes, r->v[i].iov_len))
            return -EINVAL;
    return bytes == r->len ? 0 : -EINVAL;
}

static void blk_queue(struct blk_list *l)
{
    struct blk_req *r;

    pthread_mutex_lock(&pool.lock);
    while ((r = list_take(l))) {
        list_add(&pool.queue, r);
        pthread_cond_signal(&pool.work);
    }
    pthread_mutex_unlock(&pool.lock);
}

void blk_submit(struct blk *b, struct blk_req *r)
{
    struct blk_list one;
    int bad = blk_check(b, r);
    bool held;

    list_init(&one);
    r->blk = b;
    pthread_mutex_lock(&b->lock);
    b->working++;
    b->underway++;
    held = b->held;
    if (bad)
        blk_finish(b, r, bad);
    else
        list_add(held ? &b->waiting : &one, r);
    pthread_mutex_unlock(&b->lock);
    if (!bad && !held)
        blk_queue(&one);
}

void blk_drain(struct blk *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->underway)
        pthread_cond_wait(&b->idle, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

void blk_hold(struct blk *b, bool on)
{
    struct blk_list go;
    struct blk_req *r;

    list_init(&go);
    pthread_mutex_lock(&b->lock);
    b->held = on;
    while (!on && (r = list_take(&b->waiting)))
        list_add(&go, r);
    pthread_mutex_unlock(&b->lock);
    blk_queue(&go);
}
