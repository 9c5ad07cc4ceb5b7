/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a qcow2 with subclusters (extended L2 entries): a cluster has one place, and for each
 * of its 32 parts two bits say whether it is there, or zero, or the parent's.  The core asks for
 * room part by part, one writer in a cluster at a time.
 */
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_RUN (PLAN_BYTES / 16 - 2) /* clusters at once */
#define PARTS_ALL 0xffffffffull

struct parts {
    u64 e, map; /* the entry: the place, and the bits: low here, high zero */
};

static struct parts parts_of(const u8 *b)
{
    return (struct parts){ be64(b), be64(b + 8) };
}
static void parts_put(u8 *b, u64 e, u64 map)
{
    put_be64(b, e);
    put_be64(b + 8, map);
}

static u64 parts_bits(const struct qcow2 *q, u64 within, u64 len)
{
    u64 part = q->cluster / QCOW2_PARTS, n = len / part;

    return (n >= QCOW2_PARTS ? PARTS_ALL : (1ull << n) - 1) << within / part & PARTS_ALL;
}

/* What is here of the cluster at `base`, but for `except`, goes to its new place. */
static int parts_move(struct image *im, u64 base, u64 here, u64 except, u64 to)
{
    const struct qcow2 *q = im->priv;
    u32 part = (u32)(q->cluster / QCOW2_PARTS);
    u8 *b = malloc(part);
    int r = b ? 0 : -ENOMEM;

    for (u32 i = 0; !r && i < QCOW2_PARTS; i++) {
        u64 off = base + (u64)i * part, there;
        struct iovec v = { b, 0 };

        if (!(here & ~except) || !((here & ~except) >> i & 1) || off >= im->size)
            continue;
        there = v.iov_len = min_u64(part, im->size - off);
        memset(b + there, 0, part - there);
        r = image_read(im, off, &v, 1, there);
        if (!r && q->crypt)
            r = qcow2_seal(im, false, to + (u64)i * part, b, part);
        if (!r)
            r = image_file_write(im, 0, to + (u64)i * part, b, part);
    }
    free(b);
    return r;
}

/* Whole clusters that have no place of their own. */
static int parts_room_whole(struct image *im, u64 off, u64 table, u32 slot, const u8 *old, u64 n,
                            struct extent *x, struct image_plan *plan)
{
    const struct qcow2 *q = im->priv;
    u64 first = off >> q->bits, got = n;
    u8 entries[PLAN_BYTES];
    int r = q->data ? 0 : qcow2_alloc(im, n, &first, &got);

    if (r)
        return r;
    for (u64 i = 0; i < got; i++) {
        qcow2_give_up(q, be64(old + i * 16), plan);
        parts_put(entries + i * 16, (first + i) << q->bits | QCOW2_COPIED, PARTS_ALL);
    }
    plan_write(plan, PLAN_TABLE, 0, table + slot * 16, entries, got * 16);
    x->at = first << q->bits;
    x->len = got << q->bits;
    return 0;
}

/* Parts of one cluster; where it has a place already they go there. */
static int parts_room_some(struct image *im, u64 off, u64 len, u64 table, u32 slot,
                           struct parts old, struct extent *x, struct image_plan *plan)
{
    const struct qcow2 *q = im->priv;
    u64 within = off & (q->cluster - 1), base = off - within, host, got;
    u64 bits = parts_bits(q, within, min_u64(len, q->cluster - within));
    u8 entry[16];
    int r = 0;

    if (old.e & QCOW2_PACKED)
        old.map = PARTS_ALL;
    if (qcow2_is_own(q, old.e)) {
        host = old.e & QCOW2_OFFSET;
    } else if (q->data) {
        host = base;
    } else {
        r = qcow2_alloc(im, 1, &host, &got);
        host <<= q->bits;
        if (!r)
            r = parts_move(im, base, old.map & PARTS_ALL, bits, host);
        qcow2_give_up(q, old.e, plan);
    }
    if (r)
        return r;
    parts_put(entry, host | QCOW2_COPIED, (old.map & ~(bits << 32)) | bits);
    plan_write(plan, PLAN_TABLE, 0, table + slot * 16, entry, sizeof(entry));
    x->at = host + within;
    x->len = min_u64(len, q->cluster - within);
    return 0;
}

int qcow2_room_parts(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan)
{
    const struct qcow2 *q = im->priv;
    u32 slot = (u32)(off / q->cluster % q->slots);
    u64 within = off & (q->cluster - 1), table, n = 0;
    u64 want = within ? 0 : min_u64(min_u64(len / q->cluster, q->slots - slot), PARTS_RUN);
    u8 old[PLAN_BYTES];
    int r = qcow2_table(im, off, &table, plan);

    if (!r)
        r = meta_get(im, 0, table + slot * 16, old, max_u64(want, 1) * 16);
    while (!r && n < want && !qcow2_is_own(q, be64(old + n * 16)))
        n++;
    if (!r)
        r = n ? parts_room_whole(im, off, table, slot, old, n, x, plan)
              : parts_room_some(im, off, len, table, slot, parts_of(old), x, plan);
    x->kind = q->crypt ? EXT_SEALED : EXT_DATA;
    x->file = q->data;
    x->seal = x->at;
    return r;
}

/* [off, off + len) of one cluster is zero; false: nothing changes. */
static bool parts_trim_one(const struct qcow2 *q, struct parts *p, u64 within, u64 len, bool parent,
                           struct image_plan *plan)
{
    u64 bits = parts_bits(q, within, len), was = p->map;

    if (len == q->cluster) {
        if (!(p->e & (QCOW2_PACKED | QCOW2_OFFSET | QCOW2_COPIED)))
            return false;
        qcow2_give_up(q, p->e, plan);
        *p = (struct parts){ 0, parent ? PARTS_ALL << 32 : 0 };
        return true;
    }
    if (p->e & QCOW2_PACKED || !(p->map & bits))
        return false;
    p->map &= ~bits;
    if (parent)
        p->map |= bits << 32;
    return p->map != was;
}

int qcow2_trim_parts(struct image *im, u64 off, u64 len, struct image_plan *plan, u64 *done)
{
    const struct qcow2 *q = im->priv;
    u64 reach = q->cluster * q->slots, within = off & (q->cluster - 1), l1, n;
    u32 slot = (u32)(off / q->cluster % q->slots);
    bool parent = im->parent_name || im->parent, changed = false;
    u8 b[PLAN_BYTES];
    int r = qcow2_l1(im, off, &l1);

    *done = reach - off % reach;
    if (r || !(l1 & QCOW2_OFFSET) || !(l1 & QCOW2_COPIED) || qcow2_is_raw_data(q))
        return r;
    n = within || len < q->cluster ? 1
                                   : min_u64(min_u64(len / q->cluster, q->slots - slot), PARTS_RUN);
    *done = within || len < q->cluster ? min_u64(len, q->cluster - within) : n * q->cluster;
    r = meta_get(im, 0, (l1 & QCOW2_OFFSET) + slot * 16, b, n * 16);
    for (u64 i = 0; !r && i < n; i++) {
        struct parts p = parts_of(b + i * 16);

        changed |= parts_trim_one(q, &p, within, *done / n, parent, plan);
        parts_put(b + i * 16, p.e, p.map);
    }
    if (!r && changed)
        plan_write(plan, PLAN_TABLE, 0, (l1 & QCOW2_OFFSET) + slot * 16, b, n * 16);
    return r;
}
