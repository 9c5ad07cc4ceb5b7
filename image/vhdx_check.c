/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does everything in a VHDX have a place of its own?  Places are whole MiB: a bit for each. */
#include "base/bytes.h"
#include "image/vhdx_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS 20
#define READ_AT_ONCE 512

struct vhdx_checker {
    struct image *im;
    const struct vhdx *v;
    u8 *used;
    u64 n; /* MiB of the file */
    unsigned faults;
    void (*say)(void *arg, const char *text);
    void *arg;
};

static void vhdx_fault(struct vhdx_checker *c, const char *what, u64 index, u64 at)
{
    char text[240];

    if (c->faults++ >= FAULTS)
        return;
    snprintf(text, sizeof(text), "%.100s: %s (%llu, at %llu)", image_path(c->im), what,
             (unsigned long long)index, (unsigned long long)at);
    c->say(c->arg, text);
}

static void vhdx_use(struct vhdx_checker *c, u64 at, u64 len, const char *what, u64 index)
{
    u64 first = at / VHDX_MIB, last = (at + len - 1) / VHDX_MIB;

    if (!first || last >= c->n) {
        vhdx_fault(c, what, index, at);
        return;
    }
    for (u64 i = first; i <= last; i++) {
        if (c->used[i / 8] >> i % 8 & 1) {
            vhdx_fault(c, "two things lie over each other, the second is block", index, at);
            return;
        }
        c->used[i / 8] |= (u8)(1 << i % 8);
    }
}

static void vhdx_check_entry(struct vhdx_checker *c, u64 index, u64 entry)
{
    const struct vhdx *v = c->v;
    bool map = index % (v->ratio + 1) == v->ratio;
    u64 at = vhdx_place(entry), state = entry & 7, bitmap;

    if (map && !v->differencing)
        return; /* unused; old QEMUs leave anything there */
    if (map && state == BLOCK_HERE)
        vhdx_use(c, at, VHDX_MIB, "a bitmap is not inside the file", index);
    else if (map && state != BLOCK_NONE)
        vhdx_fault(c, "a bitmap of no known state", index, state);
    else if (!map && (state == BLOCK_HERE || state == BLOCK_PARTLY))
        vhdx_use(c, at, v->block, "a block is not inside the file", index);
    else if (!map && state > BLOCK_UNMAPPED)
        vhdx_fault(c, "a block of no known state", index, state);
    if (map || state != BLOCK_PARTLY)
        return;
    if (!v->differencing)
        vhdx_fault(c, "a part of a block without a parent", index, at);
    else if (vhdx_entry(c->im, index / (v->ratio + 1) * (v->ratio + 1) + v->ratio, &bitmap) ||
             (bitmap & 7) != BLOCK_HERE)
        vhdx_fault(c, "a part of a block, but there is no bitmap", index, at);
}

static int vhdx_check_table(struct vhdx_checker *c)
{
    u64 entries = vhdx_entries(c->v, c->im->size);
    u8 b[READ_AT_ONCE * 8];

    for (u64 i = 0; i < entries; i += READ_AT_ONCE) {
        u64 n = min_u64(READ_AT_ONCE, entries - i);
        int r = vhdx_get(c->im, c->v->bat_at + i * 8, b, n * 8);

        if (r)
            return r;
        for (u64 k = 0; k < n; k++)
            if (le64(b + k * 8))
                vhdx_check_entry(c, i + k, le64(b + k * 8));
    }
    return 0;
}

int vhdx_scan(struct image *im, void (*say)(void *arg, const char *text), void *arg)
{
    const struct vhdx *v = im->priv;
    u64 file = max_u64(image_file_length(im, 0), v->logged);
    struct vhdx_checker c = {
        .im = im, .v = v, .n = (file + VHDX_MIB - 1) / VHDX_MIB, .say = say, .arg = arg
    };
    int r;

    if (file > 4 * VHDX_SIZE_MAX)
        return -EFBIG;
    c.used = calloc(1, c.n / 8 + 1);
    if (!c.used)
        return -ENOMEM;
    vhdx_use(&c, le64(v->header + 72), max_u64(le32(v->header + 68), 1),
             "the log is not inside the file", 0);
    vhdx_use(&c, v->meta_at, v->meta_len, "the metadata is not inside the file", 0);
    vhdx_use(&c, v->bat_at, v->bat_len, "the block table is not inside the file", 0);
    r = vhdx_check_table(&c);
    free(c.used);
    return r ? r : c.faults ? -EBADMSG : 0;
}
