/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a VDI in place, and looking through its table.
 *
 * New blocks take the next number, at the end of the file, as VirtualBox does it; so there
 * are no holes between blocks, and trimmed ones stay in the table.  Without a parent a block
 * is in the table before its data: it reads as zero, as before.  Over a parent, blocks are
 * written whole first.
 */
#include "base/bytes.h"
#include "image/vdi_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS 20

static bool vdi_is_placed(u32 number)
{
    return number != VDI_FREE && number != VDI_ZERO;
}

/* All numbers: each once, inside the file, none over the map.  *top: one more than the highest. */
static int vdi_scan(struct image *im, u64 *top, struct err *e)
{
    const struct vdi *v = im->priv;
    const struct vdi_layout *y = v->layout;
    u64 stride = v->block + v->extra, file = image_file_length(im, 0), twice;
    struct unique seen;
    int r = 0;
    u32 n;

    *top = 0;
    unique_init(&seen, file / stride + 1);
    for (u32 i = 0; !r && i < v->blocks; i++) {
        r = vdi_entry(im, y, i, &n);
        if (r || !vdi_is_placed(n))
            continue;
        if (y->data_at + n * stride + v->extra >= file)
            r = err_set(e, -EBADMSG, "%s: block map, entry %u: block %u is behind the file's end",
                        image_path(im), i, n);
        else
            r = unique_add(&seen, n);
        *top = max_u64(*top, n + 1ull);
    }
    if (r == -E2BIG || (!r && unique_twice(&seen, 1, &twice)))
        r = err_set(e, -EBADMSG, "%s: block map: two entries name one block", image_path(im));
    else if (r && r != -EBADMSG)
        err_set(e, r, "%s: block map: %s", image_path(im), strerror(-r));
    unique_fini(&seen);
    return r;
}

int vdi_may_write(struct image *im, struct err *e)
{
    struct vdi *v = im->priv;
    const struct vdi_layout *y = v->layout;
    u64 top;
    int r = vdi_scan(im, &top, e);

    if (r)
        return r;
    if (y->map_at < (u64)v->f->parent + 16 || (y->data_at < y->map_at + v->blocks * 4ull))
        return err_set(e, -EBADMSG, "%s: header: the map lies over the header or the data",
                       image_path(im));
    v->next = (u32)max_u64(top, v->next);
    return 0;
}

/* The content changes: children can see it. */
int vdi_touch(struct image *im)
{
    struct vdi *v = im->priv;
    u8 *id = v->head + v->f->modified;
    int r = im->flags & IMAGE_KEEP_ID ? 0 : guid_make(id);

    return r ? r : meta_put(im, PLAN_HEADER, 0, v->f->modified, id, 16);
}

/* Takes up to `want` numbers; the header says how many are in use, never too few. */
static int vdi_take(struct image *im, u32 want, u32 *first)
{
    struct vdi *v = im->priv;
    const struct vdi_layout *y = v->layout;
    u64 stride = v->block + v->extra;
    u8 count[4];
    int r;

    if (v->next >= VDI_ZERO - want || (v->next + want) * stride > INT64_MAX - y->data_at)
        return -ENOSPC;
    *first = v->next;
    r = image_file_extend(im, 0, y->data_at + (v->next + want) * stride);
    if (r)
        return r;
    v->next += want;
    put_le32(count, v->next);
    atomic_store(&im->unsynced, true);
    return meta_put(im, PLAN_HEADER, 0, v->f->allocated, count, 4);
}

int vdi_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan)
{
    struct vdi *v = im->priv;
    const struct vdi_layout *y = v->layout;
    u64 block = off / v->block, in = off & (v->block - 1);
    u32 want = (u32)min_u64((in + len + v->block - 1) / v->block, PLAN_BYTES / 4), n, first;
    u8 entries[PLAN_BYTES];
    int r = 0;

    if (v->extra)
        want = 1;
    want = (u32)min_u64(want, v->blocks - block);
    for (n = 0; !r && n < want; n++) {
        r = vdi_entry(im, y, block + n, &first);
        if (r || vdi_is_placed(first))
            break;
    }
    if (r || !n)
        return r ? r : -EIO;
    r = vdi_take(im, n, &first);
    for (u32 i = 0; i < n; i++)
        put_le32(entries + i * 4, first + i);
    if (!r && v->kind == VDI_DIFFERENCING)
        plan_write(plan, PLAN_TABLE, 0, y->map_at + block * 4, entries, n * 4);
    else if (!r)
        r = meta_put(im, PLAN_TABLE, 0, y->map_at + block * 4, entries, n * 4);
    x->kind = EXT_DATA;
    x->at = y->data_at + first * (v->block + v->extra) + v->extra + in;
    x->len = n * v->block - in;
    return r;
}

int vdi_check(struct image *im, void (*say)(void *arg, const char *text), void *arg)
{
    const struct vdi *v = im->priv;
    struct err e = { 0 };
    char text[240];
    u8 count[4];
    u64 top;

    if (vdi_scan(im, &top, &e)) {
        say(arg, e.text);
        return -EBADMSG;
    }
    if (meta_get(im, 0, v->f->allocated, count, 4) || le32(count) >= top)
        return 0;
    snprintf(text, sizeof(text),
             "%.100s: header: %u blocks are in use, but the map names block %llu", image_path(im),
             le32(count), (unsigned long long)top - 1);
    say(arg, text);
    return -EBADMSG;
}

/* The header counts at least what the map names; open found out how many that are. */
int vdi_repair(struct image *im, void (*say)(void *arg, const char *text), void *arg, struct err *e)
{
    const struct vdi *v = im->priv;
    char text[200];
    u8 count[4];
    int r = meta_get(im, 0, v->f->allocated, count, 4);

    if (r || le32(count) >= v->next)
        return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
    put_le32(count, v->next);
    r = meta_put(im, PLAN_HEADER, 0, v->f->allocated, count, 4);
    r = r ? r : meta_commit(im);
    if (r)
        return err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    snprintf(text, sizeof(text), "%.100s: header: %u blocks are in use", image_path(im), v->next);
    say(arg, text);
    return 0;
}
