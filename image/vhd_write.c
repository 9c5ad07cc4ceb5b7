/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a VHD in place, making its disk bigger, and looking through its tables.
 *
 * A new block goes to the end, its data on a boundary of 4 KiB, and is in the table with an
 * empty bitmap before its first data: it reads as before.  The bits of a write are set when
 * its data is down.  The footer at the end moves with each new block; a power cut may lose
 * it, the copy at the beginning then stands for it.
 */
#include "base/bytes.h"
#include "image/vhd_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS 20
#define ALIGN 4096

static bool vhd_meet(u64 a, u64 alen, u64 b, u64 blen)
{
    return a < b + blen && b < a + alen;
}

/* Would a block at this place lie over the tables? */
static bool vhd_over_tables(const struct vhd *v, u64 at)
{
    u64 len = v->bitmap + v->block;

    return vhd_meet(at, len, 0, VHD_FOOTER) || vhd_meet(at, len, v->header_at, VHD_HEADER) ||
           vhd_meet(at, len, v->bat_at, v->room * 4ull);
}

/* The block at index i: its place, 0 for none. */
static int vhd_entry(struct image *im, u32 i, u64 *at)
{
    const struct vhd *v = im->priv;
    u8 b[4];
    int r = meta_get(im, 0, v->bat_at + i * 4ull, b, 4);

    *at = be32(b) == VHD_UNUSED ? 0 : be32(b) * 512ull;
    return r;
}

/* All places of blocks: none over the tables or over another. */
static int vhd_scan(struct image *im, struct err *e)
{
    const struct vhd *v = im->priv;
    u64 at, len = v->bitmap + v->block;
    struct unique seen;
    int r = 0;

    unique_init(&seen, v->next / len + 1);
    for (u32 i = 0; !r && i < v->entries; i++) {
        r = vhd_entry(im, i, &at);
        if (r || !at)
            continue;
        if (vhd_over_tables(v, at))
            r = err_set(e, -EBADMSG, "%s: block table, entry %u: the block at %llu is over a table",
                        image_path(im), i, (unsigned long long)at);
        else
            r = unique_add(&seen, at);
    }
    if (r == -E2BIG || (!r && unique_twice(&seen, len, &at)))
        r = err_set(e, -EBADMSG, "%s: block table: two blocks lie over each other", image_path(im));
    else if (r && r != -EBADMSG)
        err_set(e, r, "%s: block table: %s", image_path(im), strerror(-r));
    unique_fini(&seen);
    return r;
}

int vhd_may_write(struct image *im, struct err *e)
{
    return vhd_scan(im, e);
}

/* Both footers as they should be: the copy first, then the end of the file. */
int vhd_touch(struct image *im)
{
    struct vhd *v = im->priv;
    u8 copy[VHD_FOOTER];
    int r;

    if (v->kind == VHD_FIXED)
        return 0;
    v->next = round_up(v->next, 512);
    r = image_file_read(im, 0, 0, copy, sizeof(copy));
    if (!r && memcmp(copy, v->footer, sizeof(copy))) {
        r = image_file_write(im, 0, 0, v->footer, VHD_FOOTER);
        r = r ? r : image_file_sync(im);
    }
    if (r || (v->footer_at == v->next && image_file_length(im, 0) == v->next + VHD_FOOTER))
        return r;
    if (image_file_length(im, 0) > v->next)
        r = image_file_cut(im, 0, v->next);
    v->footer_at = v->next;
    r = r ? r : image_file_write(im, 0, v->footer_at, v->footer, VHD_FOOTER);
    return r ? r : image_file_sync(im);
}

/* The footer at the end goes where the blocks end now; where it was there are zeroes. */
int vhd_move_footer(struct image *im, u32 phase)
{
    static const u8 none[VHD_FOOTER];
    struct vhd *v = im->priv;
    int r = 0;

    if (v->footer_at != v->next)
        r = meta_put(im, PLAN_COUNT, 0, v->footer_at, none, sizeof(none));
    v->footer_at = v->next;
    return r ? r : meta_put(im, phase, 0, v->footer_at, v->footer, VHD_FOOTER);
}

/* A block with an empty bitmap, in the table at once. */
static int vhd_new_block(struct image *im, u64 block, u64 *at)
{
    static const u8 none[512];
    struct vhd *v = im->priv;
    u64 data = round_up(v->next + v->bitmap, ALIGN);
    u8 entry[4];
    int r;

    *at = data - v->bitmap;
    if (*at / 512 >= VHD_UNUSED)
        return -ENOSPC;
    v->next = data + v->block;
    r = vhd_move_footer(im, PLAN_COUNT);
    for (u64 i = 0; !r && i < v->bitmap; i += sizeof(none))
        r = meta_put(im, PLAN_TABLE, 0, *at + i, none, sizeof(none));
    put_be32(entry, (u32)(*at / 512));
    return r ? r : meta_put(im, PLAN_ROOT, 0, v->bat_at + block * 4, entry, 4);
}

int vhd_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan)
{
    struct vhd *v = im->priv;
    u64 in = off & (v->block - 1), at;
    u32 first = (u32)(in / 512), n;
    u8 bits[PLAN_BYTES] = { 0 };
    int r = vhd_entry(im, (u32)(off / v->block), &at);

    if (!r && !at)
        r = vhd_new_block(im, off / v->block, &at);
    if (r)
        return r;
    n = (u32)(min_u64(min_u64(len, v->block - in), (PLAN_BYTES - 1) * 8 * 512ull) / 512);
    for (u32 i = first % 8; i < first % 8 + n; i++)
        bits[i / 8] |= (u8)(v->low_first ? 1 << i % 8 : 0x80 >> i % 8);
    plan_set(plan, PLAN_TABLE, 0, at + first / 8, bits, (first % 8 + n + 7) / 8);
    x->kind = EXT_DATA;
    x->at = at + v->bitmap + in;
    x->len = n * 512ull;
    return 0;
}

/* Another size in the footer; who rounds down to the geometry must not do so here. */
static void vhd_set_size(struct vhd *v, u64 size)
{
    u8 *f = v->footer;

    put_be64(f + 48, size);
    vhd_geometry(size, f + 56);
    if ((u64)be16(f + 56) * f[58] * f[59] * 512 != size)
        memcpy(f + 28, "win ", 4);
    put_be32(f + 64, vhd_sum(f, VHD_FOOTER, 64));
}

/* The new footer first, behind the new end; then zeroes where the old one was. */
static int vhd_grow_fixed(struct image *im, u64 size)
{
    struct vhd *v = im->priv;
    u64 old = v->footer_at, at = max_u64(size, old);
    int r;

    vhd_set_size(v, size);
    r = image_file_write(im, 0, at, v->footer, VHD_FOOTER);
    r = r ? r : image_file_sync(im);
    if (!r && at > old)
        r = image_file_zero(im, 0, old, min_u64(VHD_FOOTER, at - old));
    v->footer_at = at;
    return r ? r : image_file_sync(im);
}

/* A longer block table, behind the footer; the header leads to it when it is whole. */
static int vhd_move_table(struct image *im, u64 need)
{
    struct vhd *v = im->priv;
    u64 at = round_up(v->next + VHD_FOOTER, ALIGN), len = round_up(need * 4, 512);
    u8 b[512];
    int r = 0;

    for (u64 i = 0; !r && i < len; i += sizeof(b)) {
        u64 old = i < v->room * 4ull ? min_u64(sizeof(b), v->room * 4ull - i) : 0;

        memset(b, 0xff, sizeof(b));
        r = old ? meta_get(im, 0, v->bat_at + i, b, old) : 0;
        r = r ? r : meta_put(im, PLAN_HEADER, 0, at + i, b, sizeof(b));
    }
    if (r)
        return r;
    v->bat_at = at;
    v->room = (u32)(len / 4);
    v->next = at + len;
    put_be64(v->header + 16, at);
    put_be32(v->header + 28, v->room);
    put_be32(v->header + 36, vhd_sum(v->header, VHD_HEADER, 36));
    return meta_put(im, PLAN_TABLE, 0, v->header_at, v->header, 512);
}

int vhd_grow(struct image *im, u64 size, struct err *e)
{
    struct vhd *v = im->priv;
    u64 need;
    int r;

    size = round_up(size, 512);
    if (size > VHD_SIZE_MAX)
        return err_set(e, -EFBIG, "%s: a VHD holds at most 2040 GiB", image_path(im));
    if (v->kind == VHD_FIXED) {
        r = vhd_grow_fixed(im, size);
    } else {
        need = size / v->block + !!(size % v->block);
        r = need * 4 > VHD_TABLE_MAX ? -EFBIG : vhd_touch(im);
        if (!r && need > v->room)
            r = vhd_move_table(im, need);
        if (!r) {
            v->entries = (u32)need;
            vhd_set_size(v, size);
            r = meta_put(im, PLAN_ROOT, 0, 0, v->footer, VHD_FOOTER);
        }
        r = r ? r : vhd_move_footer(im, PLAN_ROOT);
    }
    if (!r)
        im->size = size;
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}

/* A block that the batmap calls full has all its bits. */
static int vhd_check_full(struct image *im, u32 block, u64 at)
{
    const struct vhd *v = im->priv;
    u8 b[512];

    for (u64 i = 0; i < v->block / 4096; i += sizeof(b)) {
        size_t n = min_u64(sizeof(b), v->block / 4096 - i);
        int r = meta_get(im, 0, at + i, b, n);

        if (r)
            return r;
        for (size_t k = 0; k < n; k++)
            if (b[k] != 0xff)
                return -EBADMSG;
    }
    return 0;
}

static int vhd_check_batmap(struct image *im, void (*say)(void *arg, const char *text), void *arg)
{
    const struct vhd *v = im->priv;
    unsigned faults = 0;
    char text[200];
    u64 at;

    for (u32 i = 0; i < v->entries && i < v->nfull; i++) {
        if (!vhd_is_full(v, i) || (!vhd_entry(im, i, &at) && at && !vhd_check_full(im, i, at)))
            continue;
        if (faults++ < FAULTS) {
            snprintf(text, sizeof(text), "%.100s: block %u is full, its bitmap says otherwise",
                     image_path(im), i);
            say(arg, text);
        }
    }
    return faults ? -EBADMSG : 0;
}

int vhd_check(struct image *im, void (*say)(void *arg, const char *text), void *arg)
{
    const struct vhd *v = im->priv;
    struct err e = { 0 };
    u8 copy[VHD_FOOTER];
    char text[200];
    int r = 0, bad;

    if (v->kind == VHD_FIXED)
        return 0;
    if (v->copy_only && !atomic_load(&im->touched)) {
        snprintf(text, sizeof(text), "%.100s: the footer at its end is missing", image_path(im));
        say(arg, text);
        r = -EBADMSG;
    } else if (image_file_read(im, 0, 0, copy, sizeof(copy)) ||
               memcmp(copy, v->footer, sizeof(copy))) {
        snprintf(text, sizeof(text), "%.100s: the two footers differ", image_path(im));
        say(arg, text);
        r = -EBADMSG;
    }
    if (vhd_scan(im, &e)) {
        say(arg, e.text);
        r = -EBADMSG;
    }
    bad = vhd_check_batmap(im, say, arg);
    return r ? r : bad;
}

/* Footers are made again from the one that counts; nothing else can be without losing data. */
int vhd_repair(struct image *im, void (*say)(void *arg, const char *text), void *arg, struct err *e)
{
    struct vhd *v = im->priv;
    char text[200];
    int r = vhd_touch(im);

    if (r)
        return err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    v->copy_only = false;
    snprintf(text, sizeof(text), "%.100s: both footers are as they should be", image_path(im));
    say(arg, text);
    return 0;
}
