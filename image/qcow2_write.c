/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing a qcow2: places for new data, and giving places back. */
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_RUN (PLAN_BYTES / 8)

/* What we do not know and do not keep (autoclear features) is not true any more. */
int qcow2_touch(struct image *im)
{
    struct qcow2 *q = im->priv;
    u64 keep = q->data ? QCOW2_RAW_DATA : 0;
    int r;

    if (q->version < 3 || !(q->autoclear & ~keep))
        return 0;
    if (q->autoclear & QCOW2_BITMAPS && !qcow2_bitmaps_begin(im))
        keep |= QCOW2_BITMAPS;
    if (!(q->autoclear & ~keep))
        return 0;
    q->autoclear &= keep;
    r = qcow2_put_features(im);
    return r ? r : image_file_sync(im);
}

/* An L2 table of our own: new, or a copy of one that a snapshot has too. */
static int qcow2_own_table(struct image *im, u64 off, u64 old, u64 *table, struct image_plan *plan)
{
    const struct qcow2 *q = im->priv;
    u8 b[512], entry[8];
    u64 cluster, got;
    int r = qcow2_alloc(im, 1, &cluster, &got);

    if (r)
        return r;
    *table = cluster << q->bits;
    memset(b, 0, sizeof(b));
    for (u64 i = 0; !r && i < q->cluster; i += sizeof(b)) {
        if (old)
            r = meta_get(im, 0, old + i, b, sizeof(b));
        if (!r)
            r = meta_put(im, PLAN_TABLE, 0, *table + i, b, sizeof(b));
    }
    put_be64(entry, *table | QCOW2_COPIED);
    if (!r)
        r = meta_put(im, PLAN_ROOT, 0, q->l1_at + off / (q->cluster * q->slots) * 8, entry, 8);
    if (!r && old)
        plan_free(plan, old, q->cluster);
    return r;
}

/* The table for `off` that may be changed. */
int qcow2_table(struct image *im, u64 off, u64 *table, struct image_plan *plan)
{
    u64 l1;
    int r = qcow2_l1(im, off, &l1);

    if (r)
        return r;
    *table = l1 & QCOW2_OFFSET;
    if (*table && l1 & QCOW2_COPIED)
        return 0;
    return qcow2_own_table(im, off, *table, table, plan);
}

/* Does this entry have a place that only it uses? */
bool qcow2_is_own(const struct qcow2 *q, u64 e)
{
    return !(e & QCOW2_PACKED) && (q->data || e & QCOW2_OFFSET) && e & QCOW2_COPIED;
}

/* The entry's place is given up: freed, or counted one lower. */
void qcow2_give_up(const struct qcow2 *q, u64 e, struct image_plan *plan)
{
    u64 at, len = q->cluster;

    if (e & QCOW2_PACKED)
        at = qcow2_packed_at(q, e, &len);
    else
        at = q->data ? 0 : e & QCOW2_OFFSET;
    if (at)
        plan_free(plan, at, len);
}

int qcow2_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan)
{
    const struct qcow2 *q = im->priv;
    u32 slot = (u32)(off / q->cluster % q->slots);
    u64 want = min_u64(min_u64(len / q->cluster, q->slots - slot), WRITE_RUN - 2);
    u64 table, first, got, n;
    u8 old[PLAN_BYTES], entries[PLAN_BYTES];
    int r;

    if (q->entry == 16)
        return qcow2_room_parts(im, off, len, x, plan);
    r = qcow2_table(im, off, &table, plan);
    if (!r)
        r = meta_get(im, 0, table + slot * 8, old, want * 8);
    if (r)
        return r;
    for (n = 0; n < want; n++) {
        u64 e = be64(old + n * 8);

        if (qcow2_is_own(q, e) && !(q->version >= 3 && e & QCOW2_ZERO))
            break;
    }
    if (!n)
        return -EIO;
    first = off >> q->bits;
    got = n;
    if (!q->data && (r = qcow2_alloc(im, n, &first, &got)))
        return r;
    for (u64 i = 0; i < got; i++) {
        qcow2_give_up(q, be64(old + i * 8), plan);
        put_be64(entries + i * 8, (first + i) << q->bits | QCOW2_COPIED);
    }
    plan_write(plan, PLAN_TABLE, 0, table + slot * 8, entries, got * 8);
    x->kind = q->crypt ? EXT_SEALED : EXT_DATA;
    x->file = q->data;
    x->at = x->seal = first << q->bits;
    x->len = got << q->bits;
    return 0;
}

/* Zero from now on, and the place is free; what is the parent's stays as it is. */
int qcow2_trim(struct image *im, u64 off, u64 len, struct image_plan *plan, u64 *done)
{
    const struct qcow2 *q = im->priv;
    u64 reach = q->cluster * q->slots, l1, n;
    u32 slot = (u32)(off / q->cluster % q->slots);
    u64 zero = im->parent_name || im->parent ? QCOW2_ZERO : 0;
    u8 b[PLAN_BYTES];
    bool changed = false;
    int r;

    if (q->entry == 16)
        return qcow2_trim_parts(im, off, len, plan, done);
    r = qcow2_l1(im, off, &l1);
    *done = reach - off % reach;
    if (r || !(l1 & QCOW2_OFFSET) || !(l1 & QCOW2_COPIED) || (zero && q->version < 3) ||
        qcow2_is_raw_data(q)) /* who reads that without us sees no flags */
        return r;
    n = min_u64(min_u64(len / q->cluster, q->slots - slot), WRITE_RUN - 2);
    *done = n * q->cluster;
    r = meta_get(im, 0, (l1 & QCOW2_OFFSET) + slot * 8, b, n * 8);
    for (u64 i = 0; !r && i < n; i++) {
        u64 e = be64(b + i * 8);

        if (!(e & (QCOW2_PACKED | QCOW2_OFFSET)) && !(q->data && e & QCOW2_COPIED))
            continue;
        qcow2_give_up(q, e, plan);
        put_be64(b + i * 8, zero);
        changed = true;
    }
    if (!r && changed)
        plan_write(plan, PLAN_TABLE, 0, (l1 & QCOW2_OFFSET) + slot * 8, b, n * 8);
    return r;
}

/* A data file is as long as the disk: the last cluster was written whole. */
int qcow2_finish(struct image *im)
{
    const struct qcow2 *q = im->priv;
    int r = qcow2_bitmaps_end(im);

    if (r || !q->data || image_file_length(im, q->data) <= im->size)
        return r;
    return image_file_cut(im, q->data, im->size);
}
