/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The size of the disk in a qcow2: a bigger L1 table where it is needed, then the header's
 * three fields at once.
 */
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A table of n entries that begins as the old one; it is used when the header says so. */
static int size_new_l1(struct image *im, u32 n, u64 *at)
{
    struct qcow2 *q = im->priv;
    u64 clusters = (n * 8ull + q->cluster - 1) >> q->bits, first;
    int r = qcow2_alloc_row(im, clusters, &first);
    u8 b[512];

    *at = first << q->bits;
    for (u64 i = 0; !r && i < clusters << q->bits; i += sizeof(b)) {
        u64 old = i < q->l1_n * 8ull ? min_u64(sizeof(b), q->l1_n * 8ull - i) : 0;

        memset(b, 0, sizeof(b));
        if (old)
            r = meta_get(im, 0, q->l1_at + i, b, old);
        if (!r)
            r = meta_put(im, PLAN_COUNT_TABLE, 0, *at + i, b, sizeof(b));
    }
    return r;
}

/* What was behind the end in the last cluster is not to be seen. */
static int size_clear_tail(struct image *im, u64 from)
{
    const struct qcow2 *q = im->priv;
    u64 len = -from & (q->cluster - 1);
    struct extent x = { 0 };
    u8 *zero;
    int r = 0;

    while (!r && len) {
        r = im->format->map(im, from, &x);
        x.len = min_u64(x.len, len);
        if (!r && x.kind == EXT_DATA && !x.shared) {
            zero = calloc(1, x.len);
            r = zero ? image_file_write(im, x.file, x.at, zero, x.len) : -ENOMEM;
            free(zero);
        } else if (!r && (x.kind == EXT_SEALED || (x.kind == EXT_DATA && x.shared))) {
            return -EBUSY;
        }
        from += x.len;
        len -= x.len;
    }
    return r;
}

static int size_may_change(struct image *im, u64 size, struct err *e)
{
    const struct qcow2 *q = im->priv;
    struct qcow2_snapshot s;
    u64 at = q->snapshots_at;

    if (q->bitmaps && q->autoclear & QCOW2_BITMAPS)
        return err_set(e, -EOPNOTSUPP, "%s: has dirty bitmaps, which are made for this size",
                       image_path(im));
    if (q->snapshots && size < im->size)
        return err_set(e, -EOPNOTSUPP, "%s: has snapshots inside and is not made smaller",
                       image_path(im));
    for (u32 i = 0; i < q->snapshots; i++, at = s.next)
        if (qcow2_snapshot_get(im, at, &s) || !s.sized)
            return err_set(e, -EOPNOTSUPP, "%s: its snapshots do not say how big they are",
                           image_path(im));
    if (size < im->size && im->parent_name && q->version < 3)
        return err_set(e, -EOPNOTSUPP, "%s: version 2 with a parent is not made smaller",
                       image_path(im));
    if (size > im->size && im->parent_name && (!im->parent || im->parent->size > im->size))
        return err_set(e, -EOPNOTSUPP, "%s: behind its end more of its parent would show",
                       image_path(im));
    return 0;
}

static int size_put(struct image *im, u64 size, u64 l1_at, u32 l1_n)
{
    struct qcow2 *q = im->priv;
    u8 b[24];
    int r = meta_get(im, 0, 24, b, sizeof(b));

    put_be64(b, size);
    put_be32(b + 12, l1_n);
    put_be64(b + 16, l1_at);
    if (!r)
        r = meta_put(im, PLAN_HEADER, 0, 24, b, sizeof(b));
    if (!r) {
        q->l1_at = l1_at;
        q->l1_n = l1_n;
        im->size = size;
    }
    return r;
}

int qcow2_grow(struct image *im, u64 size, struct err *e)
{
    struct qcow2 *q = im->priv;
    u64 reach = q->cluster * q->slots, need = size / reach + !!(size % reach), at = q->l1_at;
    struct image_plan *plan = calloc(1, sizeof(*plan));
    u64 old = im->size;
    int r =
        plan ? size_may_change(im, size, e) : err_set(e, -ENOMEM, "%s: no memory", image_path(im));

    if (!r && need > QCOW2_L1_MAX / 8)
        r = err_set(e, -EFBIG, "%s: %llu bytes are too many for clusters of %llu", image_path(im),
                    (unsigned long long)size, (unsigned long long)q->cluster);
    if (r) {
        free(plan);
        return r;
    }
    if (need > q->l1_n) {
        r = size_new_l1(im, (u32)need, &at);
        plan_free(plan, q->l1_at, max_u64(q->l1_n * 8ull, 1));
    }
    if (!r && size > old)
        r = size_clear_tail(im, old);
    if (!r && q->data)
        r = image_file_cut(im, q->data, size);
    if (!r)
        r = size_put(im, size, at, (u32)max_u64(need, q->l1_n));
    if (!r)
        r = plan_apply(im, plan);
    free(plan);
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}
