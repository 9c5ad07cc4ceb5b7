/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dirty bitmaps kept inside a qcow2: which parts of the disk were written since somebody made
 * his last backup.  Those that record are marked as in use before our first write, follow our
 * writes in memory, and are stored at the end; after a crash the mark says that they lie.
 */
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BITMAP_HEAD 24
#define BITMAP_ALL_ONES 1ull
#define BITMAP_BYTES_MAX (64u << 20)

enum { BITMAP_IN_USE = 1, BITMAP_AUTO = 2 };

struct qcow2_bitmaps {
    u32 n;
    struct {
        struct qcow2_bitmap b;
        u64 nbits;
        _Atomic u8 *bits; /* what our writes set */
    } maps[];
};

int qcow2_bitmap_get(struct image *im, u64 at, struct qcow2_bitmap *b)
{
    const struct qcow2 *q = im->priv;
    u64 file = image_file_length(im, 0), end = q->bitmaps_at + q->bitmaps_size, len;
    u8 h[BITMAP_HEAD];
    u32 name, extra;

    if (!range_ok(at, sizeof(h), min_u64(file, end)) || meta_get(im, 0, at, h, sizeof(h)))
        return -EBADMSG;
    *b = (struct qcow2_bitmap){ .at = at, .table_at = be64(h), .table_n = be32(h + 8) };
    b->flags = be32(h + 12);
    b->granularity = h[17];
    name = be16(h + 18);
    extra = be32(h + 20);
    len = BITMAP_HEAD + (u64)extra + name;
    if (h[16] != 1 || b->granularity < 9 || b->granularity > 31 || !name ||
        !range_ok(at, len, end) || b->table_at % q->cluster ||
        !range_ok(b->table_at, b->table_n * 8ull, file))
        return -EBADMSG;
    if (meta_get(im, 0, at + BITMAP_HEAD + extra, b->name, min_u64(name, sizeof(b->name) - 1)))
        return -EBADMSG;
    b->next = at + round_up(len, 8);
    return 0;
}

static int bitmap_set_flags(struct image *im, const struct qcow2_bitmap *b, u32 flags)
{
    u8 word[4];

    put_be32(word, flags);
    return meta_put(im, PLAN_ROOT, 0, b->at + 12, word, 4);
}

void qcow2_bitmaps_free(struct qcow2 *q)
{
    for (u32 i = 0; q->tracked && i < q->tracked->n; i++)
        free(q->tracked->maps[i].bits);
    free(q->tracked);
    q->tracked = NULL;
}

/* The table must be one for this disk. */
static int bitmap_track(struct image *im, const struct qcow2_bitmap *b)
{
    struct qcow2 *q = im->priv;
    u64 nbits = (im->size + (1ull << b->granularity) - 1) >> b->granularity;
    u64 bytes = (nbits + 7) / 8, n = q->tracked->n;

    if (bytes > BITMAP_BYTES_MAX || b->table_n != (bytes + q->cluster - 1) >> q->bits)
        return -EFBIG;
    q->tracked->maps[n].b = *b;
    q->tracked->maps[n].nbits = nbits;
    q->tracked->maps[n].bits = calloc(1, bytes + 1);
    if (!q->tracked->maps[n].bits)
        return -ENOMEM;
    q->tracked->n++;
    return 0;
}

/* Under the lock.  An error: the extension as a whole is not true any more. */
int qcow2_bitmaps_begin(struct image *im)
{
    struct qcow2 *q = im->priv;
    struct qcow2_bitmap b;
    u64 at = q->bitmaps_at;
    u8 word[4];
    int r = 0;

    q->tracked = calloc(1, sizeof(*q->tracked) + q->bitmaps * sizeof(q->tracked->maps[0]));
    if (!q->tracked)
        return -ENOMEM;
    for (u32 i = 0; !r && i < q->bitmaps; i++, at = b.next) {
        r = qcow2_bitmap_get(im, at, &b);
        if (!r && (b.flags & (BITMAP_IN_USE | BITMAP_AUTO)) == BITMAP_AUTO)
            r = bitmap_track(im, &b);
    }
    for (u32 i = 0; !r && i < q->tracked->n; i++) { /* on the disk before the first write */
        put_be32(word, q->tracked->maps[i].b.flags | BITMAP_IN_USE);
        r = bitmap_set_flags(im, &q->tracked->maps[i].b,
                             q->tracked->maps[i].b.flags | BITMAP_IN_USE);
        r = r ? r : image_file_write(im, 0, q->tracked->maps[i].b.at + 12, word, 4);
    }
    if (!r && q->tracked->n)
        r = image_file_sync(im);
    if (r)
        qcow2_bitmaps_free(q);
    return r;
}

void qcow2_bitmaps_wrote(struct image *im, u64 off, u64 len)
{
    const struct qcow2 *q = im->priv;

    for (u32 i = 0; len && q->tracked && i < q->tracked->n; i++) {
        u32 g = q->tracked->maps[i].b.granularity;

        for (u64 bit = off >> g; bit <= (off + len - 1) >> g; bit++)
            atomic_fetch_or_explicit(&q->tracked->maps[i].bits[bit / 8], (u8)(1u << bit % 8),
                                     memory_order_relaxed);
    }
}

/* A cluster's worth of bits joins what is stored; entry: of the bitmap's table. */
static int bitmap_store_part(struct image *im, u64 entry_at, const u8 *bits, u64 n)
{
    struct qcow2 *q = im->priv;
    u64 at, first, got;
    u8 e[8], old[512];
    bool any = false, fresh = false;
    int r = meta_get(im, 0, entry_at, e, 8);

    for (u64 i = 0; i < n; i++)
        any |= bits[i] != 0;
    at = be64(e) & QCOW2_OFFSET;
    if (r || !any || (!at && be64(e) & BITMAP_ALL_ONES))
        return r;
    if (!at) {
        r = qcow2_alloc(im, 1, &first, &got);
        at = first << q->bits;
        fresh = true;
    }
    for (u64 i = 0; !r && i < q->cluster; i += sizeof(old)) {
        memset(old, 0, sizeof(old));
        if (!fresh)
            r = meta_get(im, 0, at + i, old, sizeof(old));
        for (u64 k = 0; k < sizeof(old) && i + k < n; k++)
            old[k] |= bits[i + k];
        r = r ? r : meta_put(im, PLAN_COUNT_TABLE, 0, at + i, old, sizeof(old));
    }
    put_be64(e, at);
    return r || !fresh ? r : meta_put(im, PLAN_TABLE, 0, entry_at, e, 8);
}

int qcow2_bitmaps_end(struct image *im)
{
    struct qcow2 *q = im->priv;
    int r = 0;

    pthread_mutex_lock(&im->lock);
    for (u32 i = 0; !r && q->tracked && i < q->tracked->n; i++) {
        const struct qcow2_bitmap *b = &q->tracked->maps[i].b;
        u64 bytes = (q->tracked->maps[i].nbits + 7) / 8;

        for (u32 k = 0; !r && k < b->table_n; k++)
            r = bitmap_store_part(im, b->table_at + k * 8ull,
                                  (const u8 *)q->tracked->maps[i].bits + k * q->cluster,
                                  min_u64(q->cluster, bytes - k * q->cluster));
        if (!r)
            r = bitmap_set_flags(im, b, b->flags);
    }
    pthread_mutex_unlock(&im->lock);
    return r;
}
