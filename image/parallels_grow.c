/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bigger disk in a Parallels image.  Clusters that stand where the longer table will be are
 * copied to the end first; the header, in the first sector, then says at once how long it is.
 */
#include "base/bytes.h"
#include "image/parallels_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* On its way to the disk now, and in the cache. */
static int parallels_put_now(struct image *im, const struct parallels_layer *y, u64 at,
                             const void *p, size_t n)
{
    int r = image_file_write(im, y->file, at, p, n);

    return r ? r : meta_put(im, PLAN_HEADER, y->file, at, p, n);
}

static int parallels_copy(struct image *im, const struct parallels_layer *y, u64 from, u64 to)
{
    u8 *b = malloc(y->cluster);
    struct iovec v = { b, y->cluster };
    int r = b ? image_file_readv(im, y->file, from, &v, 1) : -ENOMEM;

    r = r ? r : image_file_write(im, y->file, to, b, y->cluster);
    free(b);
    return r;
}

/* First all copies, then, when they are on the disk, the entries. */
static int parallels_move(struct image *im, struct parallels_layer *y, u64 limit)
{
    u64 start = (max_u64(y->next, limit) + y->unit - 1) / y->unit * y->unit, at, to = start;
    u8 entry[4];
    int r = image_file_sync(im);

    for (int copied = 0; copied < 2; copied++) {
        to = start;
        for (u64 i = 0; !r && i < y->entries; i++) {
            r = parallels_entry(im, y, i, &at);
            if (r || !at || at >= limit)
                continue;
            put_le32(entry, (u32)(to / y->unit));
            if (to / y->unit > UINT32_MAX)
                r = -ENOSPC;
            else
                r = copied ? parallels_put_now(im, y, PARALLELS_TABLE_AT + i * 4, entry, 4)
                           : parallels_copy(im, y, at, to);
            to += y->cluster;
        }
        r = r ? r : image_file_sync(im);
    }
    y->next = to;
    return r;
}

/* What is new in the table names nothing. */
static int parallels_clear(struct image *im, const struct parallels_layer *y, u64 entries)
{
    static const u8 none[4096];
    u64 at = PARALLELS_TABLE_AT + y->entries * 4ull, end = PARALLELS_TABLE_AT + entries * 4;
    int r = 0;

    for (u64 n; !r && at < end; at += n) {
        n = min_u64(sizeof(none), end - at);
        r = parallels_put_now(im, y, at, none, n);
    }
    return r ? r : image_file_sync(im);
}

int parallels_grow(struct image *im, u64 size, struct err *e)
{
    struct parallels *p = im->priv;
    struct parallels_layer *y = p->parts[0].layers;
    u64 sectors = round_up(size, 512) / 512, entries, end;
    int r = parallels_touch(im);

    if (p->bundle)
        return err_set(e, -EOPNOTSUPP, "%s: a bundle cannot be made bigger in place",
                       image_path(im));
    entries = sectors * 512 / y->cluster + !!(sectors * 512 % y->cluster);
    if (entries * 4 > PARALLELS_TABLE_MAX || (!y->wide && sectors > UINT32_MAX))
        return err_set(e, -EFBIG, "%s: %llu sectors are not possible", image_path(im),
                       (unsigned long long)sectors);
    atomic_store(&im->touched, true);
    end = PARALLELS_TABLE_AT + entries * 4;
    if (!r && entries > y->entries) {
        r = parallels_move(im, y, end);
        r = r ? r : parallels_clear(im, y, entries);
        y->entries = (u32)entries;
        y->data_at = max_u64(y->data_at, (end + y->unit - 1) / y->unit * y->unit);
    }
    put_le32(y->head + 24, (u32)min_u64(sectors / (16 * 32), UINT32_MAX));
    put_le32(y->head + 32, y->entries);
    put_le32(y->head + 36, (u32)sectors);
    if (y->wide)
        put_le64(y->head + 36, sectors);
    put_le32(y->head + 48, (u32)(y->data_at / 512));
    r = r ? r : meta_put(im, PLAN_TABLE, y->file, 0, y->head, sizeof(y->head));
    if (r)
        return err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    im->size = p->parts[0].len = sectors * 512;
    return 0;
}
