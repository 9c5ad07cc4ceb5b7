/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk in memory whose faults are made to order: what tests of storage devices stand on.
 */
#include "backend/blk_int.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct blk_mem {
    u8 *bytes;
    pthread_mutex_t lock;
    u64 count[BLK_TRIM + 1];
    u32 fail_ops, fail_times;
    u64 fail_off, fail_len;
    int fail_result;
};

static int mem_fault(struct blk_mem *m, const struct blk_req *r)
{
    int rc = 0;

    pthread_mutex_lock(&m->lock);
    m->count[r->op]++;
    if (m->fail_times && (m->fail_ops >> r->op & 1) &&
        (r->op == BLK_FLUSH ||
         (r->off < m->fail_off + m->fail_len && m->fail_off < r->off + r->len))) {
        m->fail_times--;
        rc = m->fail_result;
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int blk_mem_run(void *store, const struct blk_req *r)
{
    struct blk_mem *m = store;
    int rc = mem_fault(m, r);
    u8 *at = m->bytes + r->off;

    if (rc)
        return rc;
    if (r->op == BLK_TRIM)
        memset(at, 0, r->len);
    if (r->op != BLK_READ && r->op != BLK_WRITE)
        return 0;
    for (int i = 0; i < r->n; i++) {
        size_t n = r->v[i].iov_len;

        if (r->op == BLK_READ)
            memcpy(r->v[i].iov_base, at, n);
        else
            memcpy(at, r->v[i].iov_base, n);
        at += n;
    }
    return 0;
}

static void blk_mem_close(void *store)
{
    struct blk_mem *m = store;

    pthread_mutex_destroy(&m->lock);
    free(m->bytes);
    free(m);
}

int blk_open_mem(struct blk **b, u64 size, bool readonly, struct loop *lane, struct err *e)
{
    static const struct blk_store ops = { blk_mem_run, blk_mem_close };
    struct blk_mem *m = calloc(1, sizeof(*m));
    int rc;

    *b = NULL;
    if (m)
        m->bytes = calloc(1, size ? size : 1);
    if (!m || !m->bytes) {
        free(m);
        return err_set(e, -ENOMEM, "no memory for a disk in memory");
    }
    pthread_mutex_init(&m->lock, NULL);
    rc = blk_open_store(b, &ops, m, size, readonly, "memory", lane, e);
    if (rc)
        blk_mem_close(m);
    return rc;
}

u8 *blk_mem(struct blk *b)
{
    return ((struct blk_mem *)blk_store_of(b))->bytes;
}

void blk_mem_hold(struct blk *b, bool on)
{
    blk_hold(b, on);
}

void blk_mem_fail(struct blk *b, u32 ops, u64 off, u64 len, int result, u32 times)
{
    struct blk_mem *m = blk_store_of(b);

    pthread_mutex_lock(&m->lock);
    m->fail_ops = ops;
    m->fail_off = off;
    m->fail_len = len;
    m->fail_result = result;
    m->fail_times = times;
    pthread_mutex_unlock(&m->lock);
}

u64 blk_mem_count(struct blk *b, enum blk_op op)
{
    struct blk_mem *m = blk_store_of(b);
    u64 n;

    pthread_mutex_lock(&m->lock);
    n = m->count[op];
    pthread_mutex_unlock(&m->lock);
    return n;
}
