/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New refcounts for a qcow2 from what its tables say: for images whose writer left the counts
 * for later and died, and for leaked space.  Where tables contradict each other nothing is
 * changed: no count makes that good.
 */
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct repair {
    struct qcow2_checker c;
    u64 raised, lowered, flags;
};

static u64 repair_most(const struct qcow2 *q)
{
    return q->order < 6 ? (1ull << (1u << q->order)) - 1 : UINT64_MAX;
}

static int repair_block(const struct repair *r, u64 cluster, u64 *at)
{
    const struct qcow2 *q = r->c.q;
    u64 index = cluster / q->per_block;
    u8 b[8] = { 0 };
    int k = index < q->counts_n ? meta_get(r->c.im, 0, q->counts_at + index * 8, b, 8) : 0;

    *at = be64(b) & ~511ull;
    return k;
}

/* Is there a block for every cluster that is used? */
static int repair_has_blocks(const struct repair *r, bool *has)
{
    u64 at = 0;
    int k = 0;

    *has = true;
    for (u64 i = 0; !k && *has && i < r->c.n; i++) {
        if (!(i % r->c.q->per_block))
            k = repair_block(r, i, &at);
        *has = at || !r->c.used[i];
    }
    return k;
}

/* The clusters of the old table and its blocks are not used any more. */
static int repair_drop_old(struct repair *r)
{
    const struct qcow2 *q = r->c.q;
    u64 at;
    int k = 0;

    for (u64 i = 0; i < q->counts_n * 8ull; i += q->cluster)
        r->c.used[(q->counts_at + i) >> q->bits] = 0;
    for (u64 i = 0; !k && i < q->counts_n; i++) {
        k = repair_block(r, i * q->per_block, &at);
        if (!k && at)
            r->c.used[at >> q->bits] = 0;
    }
    return k;
}

static int repair_zeroes(struct image *im, u32 phase, u64 at, u64 len)
{
    static const u8 zero[4096];
    int k = 0;

    for (u64 i = 0; !k && i < len; i += sizeof(zero))
        k = meta_put(im, phase, 0, at + i, zero, min_u64(sizeof(zero), len - i));
    return k;
}

/* A new table and new blocks behind the end of the file; the old ones stand until the header changes. */
static int repair_anew(struct repair *r)
{
    struct image *im = r->c.im;
    struct qcow2 *q = im->priv;
    u64 n = r->c.n, blocks = 1, table = 1, was = 0;
    u8 b[12];
    int k = repair_drop_old(r);

    while (was != blocks + table) {
        was = blocks + table;
        blocks = (n + was + q->per_block - 1) / q->per_block;
        table = (blocks * 8 + q->cluster - 1) >> q->bits;
    }
    if (table << q->bits > QCOW2_COUNTS_MAX)
        return -EFBIG;
    if (!k)
        k = repair_zeroes(im, PLAN_COUNT, n << q->bits, blocks << q->bits);
    if (!k)
        k = repair_zeroes(im, PLAN_COUNT_TABLE, (n + blocks) << q->bits, table << q->bits);
    for (u64 i = 0; !k && i < blocks; i++) {
        put_be64(b, (n + i) << q->bits);
        k = meta_put(im, PLAN_COUNT_TABLE, 0, ((n + blocks) << q->bits) + i * 8, b, 8);
    }
    put_be64(b, (n + blocks) << q->bits);
    put_be32(b + 8, (u32)table);
    if (!k)
        k = meta_put(im, PLAN_HEADER, 0, 48, b, 12);
    q->counts_at = (n + blocks) << q->bits;
    q->counts_n = (u32)(table << q->bits >> 3);
    for (u64 i = 0; !k && i < blocks + table; i++)
        k = qcow2_count_set(im, n + i, 1);
    return k;
}

static int repair_counts(struct repair *r)
{
    const struct qcow2 *q = r->c.q;
    u64 count;
    bool has;
    int k = repair_has_blocks(r, &has);

    if (!k && !has)
        k = repair_anew(r);
    for (u64 i = 0; !k && i < r->c.n; i++) {
        u32 users = r->c.used[i] & QCOW2_USERS;

        k = qcow2_count_get(r->c.im, i, &count);
        if (k || count == users || users == QCOW2_USERS)
            continue;
        if (users > repair_most(q))
            return -EOVERFLOW;
        k = qcow2_count_set(r->c.im, i, users);
        *(users > count ? &r->raised : &r->lowered) += 1;
    }
    return k;
}

/* The flag "used once" of one entry. */
static int repair_flag(struct repair *r, u64 at)
{
    u64 e, cluster;
    u8 b[8];
    int k = meta_get(r->c.im, 0, at, b, 8);
    bool once;

    e = be64(b);
    cluster = (e & QCOW2_OFFSET) >> r->c.q->bits;
    if (k || e & QCOW2_PACKED || !cluster || cluster >= r->c.n)
        return k;
    once = (r->c.used[cluster] & QCOW2_USERS) == 1;
    if (once == !!(e & QCOW2_COPIED))
        return 0;
    r->flags++;
    put_be64(b, once ? e | QCOW2_COPIED : e & ~QCOW2_COPIED);
    return meta_put(r->c.im, PLAN_TABLE, 0, at, b, 8);
}

static int repair_flags(struct repair *r)
{
    const struct qcow2 *q = r->c.q;
    int k = 0;

    for (u64 i = 0; !k && i < q->l1_n; i++) {
        u64 table;
        u8 b[8];

        k = repair_flag(r, q->l1_at + i * 8);
        k = k ? k : meta_get(r->c.im, 0, q->l1_at + i * 8, b, 8);
        table = be64(b) & QCOW2_OFFSET;
        for (u32 s = 0; !k && table && !q->data && s < q->slots; s++)
            k = repair_flag(r, table + (u64)s * q->entry);
    }
    return k;
}

static void repair_report(const struct repair *r)
{
    char text[160];

    if (!r->raised && !r->lowered && !r->flags)
        return;
    snprintf(text, sizeof(text),
             "refcounts: %llu raised, %llu lowered; %llu entries say anew if they are used once",
             (unsigned long long)r->raised, (unsigned long long)r->lowered,
             (unsigned long long)r->flags);
    r->c.say(r->c.arg, text);
}

int qcow2_rebuild(struct image *im, void (*say)(void *arg, const char *text), void *arg,
                  struct err *e)
{
    struct repair r = { .c = { .im = im, .say = say, .arg = arg, .blind = true } };
    struct qcow2 *q = im->priv;
    int k = qcow2_walk(&r.c);

    if (k == -EBADMSG) {
        free(r.c.used);
        return err_set(e, k, "%s: is damaged in a way that cannot be repaired without loss",
                       image_path(im));
    }
    if (!k)
        k = repair_counts(&r);
    if (!k)
        k = repair_flags(&r);
    free(r.c.used);
    q->hint = 0;
    if (!k)
        repair_report(&r);
    if (!k && q->incompatible & (QCOW2_DIRTY | QCOW2_CORRUPT)) {
        u8 b[8];

        q->incompatible &= ~(u64)(QCOW2_DIRTY | QCOW2_CORRUPT);
        put_be64(b, q->incompatible);
        k = meta_put(im, PLAN_ROOT, 0, 72, b, 8); /* last: the counts are on the disk by then */
    }
    return k ? err_set(e, k, "%s: new refcounts: %s", image_path(im), strerror(-k)) : 0;
}

int qcow2_repair(struct image *im, void (*say)(void *arg, const char *text), void *arg,
                 struct err *e)
{
    return qcow2_rebuild(im, say, arg, e);
}
