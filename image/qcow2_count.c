/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reference counts of a qcow2: who uses a cluster, and finding free ones.  A block of
 * counts lies in the range of clusters that it counts, as its first, so that making one never
 * needs another.  Counts go up before anything refers to a cluster and down after nothing
 * does; a crash in between leaves a cluster that is counted and not used.
 */
#include "base/bytes.h"
#include "image/qcow2_int.h"
#include <errno.h>
#include <string.h>

/* Refcount i of a block, or of a part of it that begins at a whole byte. */
static u64 qcow2_count_at(const u8 *b, u32 order, u32 i)
{
    switch (order) {
    case 3:
        return b[i];
    case 4:
        return be16(b + i * 2);
    case 5:
        return be32(b + i * 4);
    case 6:
        return be64(b + i * 8);
    }
    return b[i >> (3 - order)] >> ((i << order) & 7) & ((1u << (1u << order)) - 1);
}

static void qcow2_count_put(u8 *b, u32 order, u32 i, u64 count)
{
    unsigned shift, mask;

    switch (order) {
    case 3:
        b[i] = (u8)count;
        return;
    case 4:
        put_be16(b + i * 2, (u16)count);
        return;
    case 5:
        put_be32(b + i * 4, (u32)count);
        return;
    case 6:
        put_be64(b + i * 8, count);
        return;
    }
    shift = (i << order) & 7;
    mask = (1u << (1u << order)) - 1;
    b += i >> (3 - order);
    *b = (u8)((*b & ~(mask << shift)) | ((unsigned)count & mask) << shift);
}

/* The block that counts this cluster: its offset, or 0 when there is none. */
static int qcow2_block(struct image *im, u64 cluster, u64 *at)
{
    const struct qcow2 *q = im->priv;
    u64 index = cluster / q->per_block;
    u8 b[8];
    int r;

    *at = 0;
    if (index >= q->counts_n)
        return 0;
    r = meta_get(im, 0, q->counts_at + index * 8, b, 8);
    if (r)
        return r;
    *at = be64(b) & ~511ull;
    return *at & (q->cluster - 1) ? -EIO : 0;
}

int qcow2_count_get(struct image *im, u64 cluster, u64 *count)
{
    const struct qcow2 *q = im->priv;
    u32 i = (u32)(cluster % q->per_block);
    u64 at;
    u8 b[8];
    int r = qcow2_block(im, cluster, &at);

    *count = 0;
    if (r || !at)
        return r;
    if (q->order < 3) {
        r = meta_get(im, 0, at + (i >> (3 - q->order)), b, 1);
        *count = qcow2_count_at(b, q->order, i & ((8 >> q->order) - 1));
    } else {
        r = meta_get(im, 0, at + ((u64)i << (q->order - 3)), b, 1u << (q->order - 3));
        *count = qcow2_count_at(b, q->order, 0);
    }
    return r;
}

int qcow2_count_set(struct image *im, u64 cluster, u64 count)
{
    const struct qcow2 *q = im->priv;
    u32 i = (u32)(cluster % q->per_block);
    u64 at, place;
    u8 b[8];
    int r = qcow2_block(im, cluster, &at);

    if (r)
        return r;
    if (!at)
        return -EIO;
    if (q->order >= 3) {
        place = at + ((u64)i << (q->order - 3));
        qcow2_count_put(b, q->order, 0, count);
        return meta_put(im, PLAN_COUNT, 0, place, b, 1u << (q->order - 3));
    }
    place = at + (i >> (3 - q->order));
    r = meta_get(im, 0, place, b, 1);
    qcow2_count_put(b, q->order, i & ((8 >> q->order) - 1), count);
    return r ? r : meta_put(im, PLAN_COUNT, 0, place, b, 1);
}

static int qcow2_put_zeroes(struct image *im, u32 phase, u64 at, u64 len)
{
    static const u8 zero[4096];

    for (u64 i = 0; i < len; i += sizeof(zero)) {
        int r = meta_put(im, phase, 0, at + i, zero, min_u64(sizeof(zero), len - i));

        if (r)
            return r;
    }
    return 0;
}

/*
 * A bigger table of blocks, with blocks for itself: both at the beginning of the range of
 * clusters that has no block yet.
 */
static int qcow2_grow_counts(struct image *im, u64 index)
{
    struct qcow2 *q = im->priv;
    u64 n = (u64)q->counts_n * 2 * 8 >> q->bits, first = index * q->per_block, blocks = 1, table;
    struct image_plan plan = { 0 };
    u8 b[12];
    int r = 0;

    if (n << q->bits > 8u << 20)
        return -EFBIG;
    while (blocks * q->per_block < blocks + n)
        blocks++;
    table = (first + blocks) << q->bits;
    for (u64 i = 0; !r && i < q->counts_n; i++)
        if (!(r = meta_get(im, 0, q->counts_at + i * 8, b, 8)))
            r = meta_put(im, PLAN_COUNT_TABLE, 0, table + i * 8, b, 8);
    if (!r)
        r = qcow2_put_zeroes(im, PLAN_COUNT_TABLE, table + q->counts_n * 8ull,
                             (n << q->bits) - q->counts_n * 8ull);
    for (u64 i = 0; !r && i < blocks; i++) {
        put_be64(b, (first + i) << q->bits);
        r = qcow2_put_zeroes(im, PLAN_COUNT, (first + i) << q->bits, q->cluster);
        r = r ? r : meta_put(im, PLAN_COUNT_TABLE, 0, table + (index + i) * 8, b, 8);
    }
    if (r)
        return r;
    plan_free(&plan, q->counts_at, q->counts_n * 8ull);
    put_be64(b, table);
    put_be32(b + 8, (u32)n);
    q->counts_at = table;
    q->counts_n = (u32)((n << q->bits) / 8);
    r = meta_put(im, PLAN_HEADER, 0, 48, b, 12);
    for (u64 i = 0; !r && i < blocks + n; i++)
        r = qcow2_count_set(im, first + i, 1);
    return r ? r : plan_apply(im, &plan);
}

/* There is a block for this cluster from now on. */
static int qcow2_need_block(struct image *im, u64 cluster)
{
    struct qcow2 *q = im->priv;
    u64 index = cluster / q->per_block, first = index * q->per_block, at;
    u8 b[8];
    int r = qcow2_block(im, cluster, &at);

    if (r || at)
        return r;
    if (first > QCOW2_OFFSET >> q->bits)
        return -EFBIG;
    if (index >= q->counts_n)
        return qcow2_grow_counts(im, index);
    r = qcow2_put_zeroes(im, PLAN_COUNT, first << q->bits, q->cluster);
    put_be64(b, first << q->bits);
    if (!r)
        r = meta_put(im, PLAN_COUNT_TABLE, 0, q->counts_at + index * 8, b, 8);
    return r ? r : qcow2_count_set(im, first, 1);
}

/* Free clusters from `from` on, as many as follow each other, in the range of one block. */
static int qcow2_find(struct image *im, u64 from, u64 want, u64 *first, u64 *got)
{
    const struct qcow2 *q = im->priv;
    u64 at, end = (from / q->per_block + 1) * q->per_block, c = from;
    u8 b[512];
    int r = qcow2_block(im, from, &at);

    *got = 0;
    while (!r && c < end && *got < want) {
        u32 i = (u32)(c % q->per_block), per = (u32)(sizeof(b) * 8 >> q->order);
        u64 bytes = ((u64)(i / per * per) << q->order) / 8;

        r = meta_get(im, 0, at + bytes, b, sizeof(b));
        for (i %= per; !r && i < per && c < end && *got < want; i++, c++) {
            if (qcow2_count_at(b, q->order, i)) {
                if (*got)
                    return 0;
            } else if (!(*got)++) {
                *first = c;
            }
        }
    }
    return r;
}

int qcow2_alloc(struct image *im, u64 want, u64 *first, u64 *got)
{
    struct qcow2 *q = im->priv;
    int r;

    for (*got = 0; !*got;) {
        if ((r = qcow2_need_block(im, q->hint)) || (r = qcow2_find(im, q->hint, want, first, got)))
            return r;
        if (!*got)
            q->hint = (q->hint / q->per_block + 1) * q->per_block;
    }
    for (u64 i = 0; i < *got; i++)
        if ((r = qcow2_count_set(im, *first + i, 1)))
            return r;
    q->hint = *first + *got;
    return 0;
}

/* For tables: behind everything else, where nothing needs to be looked for. */
int qcow2_alloc_row(struct image *im, u64 n, u64 *first)
{
    struct qcow2 *q = im->priv;
    u64 end = (image_file_length(im, 0) + q->cluster - 1) >> q->bits, count, k;
    int r = 0;

    if (n + 1 >= q->per_block)
        return -EFBIG; /* each block of counts lies in its own range */
    for (*first = end, k = 0; !r && k < n;) {
        r = qcow2_need_block(im, *first + k);
        if (!r)
            r = qcow2_count_get(im, *first + k, &count);
        if (!r && count) {
            *first += k + 1;
            k = 0;
        } else {
            k++;
        }
    }
    for (k = 0; !r && k < n; k++)
        r = qcow2_count_set(im, *first + k, 1);
    return r;
}

int qcow2_release(struct image *im, u64 at, u64 len)
{
    struct qcow2 *q = im->priv;
    u64 count;

    for (u64 c = at >> q->bits; c <= (at + len - 1) >> q->bits; c++) {
        int r = qcow2_count_get(im, c, &count);

        if (!r && count)
            r = qcow2_count_set(im, c, count - 1);
        if (r)
            return r;
        if (count == 1 && c < q->hint)
            q->hint = c;
    }
    return 0;
}
