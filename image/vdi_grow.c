/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bigger disk in a VDI.  The map lies before the data; when it needs more room than there
 * is, the first blocks move to the end and a new map takes their place.  The header, one
 * sector, then says at once where the map and the data begin.
 */
#include "base/bytes.h"
#include "image/vdi_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (1u << 20)

/* On its way to the disk now, and in the cache. */
static int vdi_put_now(struct image *im, u64 at, const void *p, size_t n)
{
    int r = image_file_write(im, 0, at, p, n);

    return r ? r : meta_put(im, PLAN_TABLE, 0, at, p, n);
}

static int vdi_copy_block(struct image *im, u64 from, u64 to, u64 len)
{
    u8 *b = malloc(PIECE);
    int r = b ? 0 : -ENOMEM;

    for (u64 n; !r && len; from += n, to += n, len -= n) {
        struct iovec v = { b, n = min_u64(len, PIECE) };

        r = image_file_readv(im, 0, from, &v, 1);
        r = r ? r : image_file_write(im, 0, to, b, n);
    }
    free(b);
    return r;
}

/* Blocks with a number below `first` get new ones; the map says so when they are copied. */
static int vdi_move_blocks(struct image *im, u32 first)
{
    struct vdi *v = im->priv;
    const struct vdi_layout *y = v->layout;
    u64 stride = v->block + v->extra;
    u32 next = (u32)max_u64(v->next, first), n;
    u8 entry[4];
    int r = image_file_extend(im, 0, y->data_at + next * stride);

    for (int copied = 0; copied < 2; copied++) {
        u32 to = next;

        for (u32 i = 0; !r && i < v->blocks; i++) {
            r = vdi_entry(im, y, i, &n);
            if (r || n >= first)
                continue;
            put_le32(entry, to);
            r = copied
                    ? vdi_put_now(im, y->map_at + i * 4ull, entry, 4)
                    : vdi_copy_block(im, y->data_at + n * stride, y->data_at + to * stride, stride);
            to++;
        }
        if (!r && !copied) {
            put_le32(entry, v->next = to);
            r = vdi_put_now(im, v->f->allocated, entry, 4);
        }
        r = r ? r : image_file_sync(im);
        next = copied ? to : next;
    }
    return r;
}

/* The map, with `less` taken off each number, where the first blocks were; `need` entries. */
static int vdi_copy_map(struct image *im, u64 to, u64 need, u32 less)
{
    const struct vdi *v = im->priv;
    u8 b[4096];
    u32 n;
    int r = 0;

    for (u64 i = 0; !r && i < need; i += sizeof(b) / 4) {
        memset(b, 0xff, sizeof(b));
        for (u64 k = i; !r && k < i + sizeof(b) / 4 && k < v->blocks; k++) {
            r = vdi_entry(im, v->layout, k, &n);
            put_le32(b + (k - i) * 4, n == VDI_FREE || n == VDI_ZERO ? n : n - less);
        }
        r = r ? r : vdi_put_now(im, to + i * 4, b, min_u64(sizeof(b), (need - i) * 4));
    }
    return r ? r : image_file_sync(im);
}

static int vdi_move_map(struct image *im, u64 need)
{
    struct vdi *v = im->priv;
    struct vdi_layout *y = v->layout, *now = calloc(1, sizeof(*now));
    u64 stride = v->block + v->extra;
    u32 first = (u32)((need * 4 + stride - 1) / stride);
    int r = now ? image_file_sync(im) : -ENOMEM;

    if (!r && (v->version == 1 || y->data_at + first * stride > UINT32_MAX))
        r = -EOPNOTSUPP; /* the header has no field, or too few bits */
    r = r ? r : vdi_move_blocks(im, first);
    r = r ? r : vdi_copy_map(im, y->data_at, need, first);
    if (r) {
        free(now);
        return r;
    }
    *now = (struct vdi_layout){ y->data_at, y->data_at + first * stride, y };
    v->next -= first;
    put_le32(v->head + 340, (u32)now->map_at);
    put_le32(v->head + 344, (u32)now->data_at);
    atomic_store(&v->layout, now);
    return 0;
}

int vdi_grow(struct image *im, u64 size, struct err *e)
{
    struct vdi *v = im->priv;
    const struct vdi_layout *y = v->layout;
    static const u8 none[4] = { 0xff, 0xff, 0xff, 0xff };
    u64 need;
    int r = 0;

    size = round_up(size, 512);
    need = size / v->block + !!(size % v->block);
    if (need * 4 > VDI_MAP_MAX)
        return err_set(e, -EFBIG, "%s: a map of %llu blocks is not possible", image_path(im),
                       (unsigned long long)need);
    if (v->kind == VDI_FIXED)
        v->kind = VDI_NORMAL; /* what is new has no place yet */
    if (y->map_at + need * 4 > y->data_at)
        r = vdi_move_map(im, need);
    else
        for (u64 i = v->blocks; !r && i < need; i++)
            r = meta_put(im, PLAN_HEADER, 0, y->map_at + i * 4, none, 4);
    put_le64(v->head + v->f->size, size);
    put_le32(v->head + v->f->blocks, (u32)max_u64(need, v->blocks));
    put_le32(v->head + v->f->allocated, v->next);
    put_le32(v->head + v->f->kind, v->kind);
    if (!r)
        r = meta_put(im, PLAN_TABLE, 0, 64, v->head + 64, (v->f->parent + 16u) - 64u);
    if (r)
        return err_set(e, r, "%s: %s", image_path(im),
                       r == -EOPNOTSUPP ? "its map has no more room" : strerror(-r));
    v->blocks = (u32)max_u64(need, v->blocks);
    im->size = size;
    return 0;
}
