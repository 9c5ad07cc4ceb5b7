/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing compressed clusters into a new qcow2, forward: one behind the other, without regard
 * to cluster bounds; a cluster that two of them share has two references.  Deflate has a window
 * of 4 KiB here, whatever could be had: QEMU reads no other.
 */
#include "base/bytes.h"
#include "image/qcow2_int.h"
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PACK_DIRTY_MAX 1024 /* changed pages of tables that wait */

int qcow2_begin(struct image *im, const struct image_make *how, struct err *e)
{
    const struct qcow2 *q = im->priv;
    char kind[16], level[16];

    image_option(im->format, how, "compression", kind, sizeof(kind));
    image_option(im->format, how, "level", level, sizeof(level));
    if (!kind[0] || !strcasecmp(kind, "none"))
        return 0;
    im->pack = (struct image_pack){ .kind = strcasecmp(kind, "zstd") ? PACK_DEFLATE : PACK_ZSTD,
                                    .unit = q ? (u32)q->cluster : 65536,
                                    .window = 12,
                                    .small = !strcasecmp(level, "small"),
                                    .shorter = true,
                                    .whole = true };
    return 1;
}

/* Where n bytes go, which are fewer than a cluster has; every cluster they touch is counted. */
static int qcow2_pack_place(struct image *im, u32 n, u64 *at)
{
    struct qcow2 *q = im->priv;
    u64 first, got, count;
    int r;

    if (q->pack_at < q->pack_end) { /* a cluster that others are in too */
        u64 shared = q->pack_at >> q->bits;

        r = qcow2_count_get(im, shared, &count);
        if (!r && count + 1 > (q->order < 6 ? (1ull << (1u << q->order)) - 1 : INT64_MAX))
            q->pack_at = q->pack_end;
        else if (!r && n <= q->pack_end - q->pack_at)
            r = qcow2_count_set(im, shared, count + 1);
        if (r)
            return r;
    }
    if (n > q->pack_end - q->pack_at) {
        r = qcow2_alloc(im, 1, &first, &got);
        if (r)
            return r;
        if (first << q->bits != q->pack_end)
            q->pack_at = first << q->bits;
        else if (q->pack_at < q->pack_end)
            r = qcow2_count_set(im, q->pack_at >> q->bits, count + 1);
        q->pack_end = (first + 1) << q->bits;
        if (r)
            return r;
    }
    *at = q->pack_at;
    q->pack_at += n;
    return 0;
}

static int qcow2_pack_entry(struct image *im, u64 off, u64 value, bool packed)
{
    struct qcow2 *q = im->priv;
    struct image_plan plan;
    u8 entry[16];
    u64 table;
    int r;

    plan.nwrites = plan.nfrees = 0;
    r = qcow2_table(im, off, &table, &plan);
    put_be64(entry, value);
    put_be64(entry + 8, packed ? 0 : 0xffffffff); /* subclusters: all there, or not spoken of */
    return r ? r
             : meta_put(im, PLAN_TABLE, 0, table + off / q->cluster % q->slots * q->entry, entry,
                        q->entry);
}

static int qcow2_put_locked(struct image *im, u64 off, const u8 *data, u32 len, bool packed)
{
    struct qcow2 *q = im->priv;
    unsigned shift = 62 - (q->bits - 8);
    u64 at, got, value;
    int r;

    if (packed) {
        r = qcow2_pack_place(im, len, &at);
        value = at | (((at + len - 1) >> 9) - (at >> 9)) << shift | QCOW2_PACKED;
        if (!r && at + len > 1ull << shift)
            r = -EFBIG;
    } else {
        r = qcow2_alloc(im, 1, &at, &got);
        at <<= q->bits;
        value = at | QCOW2_COPIED;
    }
    if (!r)
        r = image_file_write(im, 0, at, data, len);
    return r ? r : qcow2_pack_entry(im, off, value, packed);
}

int qcow2_put(struct image *im, u64 off, const u8 *data, u32 len, bool packed)
{
    int r;

    pthread_mutex_lock(&im->lock);
    r = qcow2_put_locked(im, off, data, len, packed);
    pthread_mutex_unlock(&im->lock);
    return !r && meta_dirty(im) > PACK_DIRTY_MAX ? meta_commit(im) : r;
}

/* Readers take whole sectors: the file ends with a whole cluster. */
int qcow2_end(struct image *im, struct err *e)
{
    const struct qcow2 *q = im->priv;
    u64 end = round_up(image_file_length(im, 0), q->cluster);

    if (ftruncate(im->files[0].fd, (off_t)end))
        return err_set(e, -errno, "%s: %s", image_path(im), strerror(errno));
    atomic_store(&im->files[0].length, end);
    return 0;
}
