/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A streamOptimized VMDK as it comes down a pipe: by its markers, in order.  The tables are not
 * needed; they are only counted, to notice a grain that is missing.
 */
#include "base/bytes.h"
#include "image/pull_int.h"
#include "image/vmdk_int.h"
#include <errno.h>
#include <string.h>

struct vmdk_pull {
    struct pull *p;
    struct vmdk_header h;
    u64 grains, entries; /* that came; that the tables name */
    u64 last;            /* the highest sector so far */
    bool tables, done;
};

static int vmdk_pull_grain(const u8 *in, size_t n, u8 *out, size_t len)
{
    size_t got = 0;
    int r = inflate_zlib(in + MARK_BYTES, n - MARK_BYTES, out, len, &got);

    return r ? r : got == len ? 0 : -EIO;
}

static int vmdk_pull_data(struct vmdk_pull *v, const u8 *sector, struct err *e)
{
    u64 lba = le64(sector), size = le32(sector + 8), n, grain = v->h.grain * SECTOR;
    u8 *room;
    int r = 0;

    if (lba >= v->h.capacity || lba % v->h.grain || size > 2 * grain + 64)
        return err_set(e, -EBADMSG,
                       "%s: at %llu: a grain of %llu bytes for sector %llu is not "
                       "possible",
                       pull_name(v->p), (unsigned long long)pull_at(v->p) - SECTOR,
                       (unsigned long long)size, (unsigned long long)lba);
    if (v->grains++ && lba <= v->last)
        pull_wait(v->p); /* out of order, and perhaps one that came before: the later one counts */
    v->last = max_u64(v->last, lba);
    n = round_up(MARK_BYTES + size, SECTOR);
    room = pull_room(v->p, n);
    if (!room)
        return -ENOMEM;
    memcpy(room, sector, SECTOR);
    if (n > SECTOR)
        r = pull_read(v->p, room + SECTOR, n - SECTOR, e);
    if (!r)
        pull_give(v->p, lba * SECTOR, (u32)(MARK_BYTES + size), (u32)grain, vmdk_pull_grain);
    return r;
}

static int vmdk_pull_mark(struct vmdk_pull *v, const u8 *sector, struct err *e)
{
    u64 n = le64(sector);
    u32 type = le32(sector + 12);
    struct vmdk_header foot;
    u8 b[512];
    int r = 0;

    v->done = type == MARK_END;
    if (v->done)
        return 0;
    if (type > MARK_PROGRESS || n > 1 << 22)
        return err_set(e, -EBADMSG, "%s: at %llu: a marker of type %u (%llu sectors) is not known",
                       pull_name(v->p), (unsigned long long)pull_at(v->p) - SECTOR, type,
                       (unsigned long long)n);
    v->tables |= type == MARK_TABLE;
    for (; !r && n; n--) {
        r = pull_read(v->p, b, sizeof(b), e);
        for (size_t i = 0; !r && type == MARK_TABLE && i < sizeof(b); i += 4)
            v->entries += le32(b + i) > 1;
    }
    if (!r && type == MARK_FOOTER &&
        (vmdk_take_header(b, &foot) || foot.capacity != v->h.capacity || foot.grain != v->h.grain))
        r = err_set(e, -EBADMSG, "%s: the footer is not that of its header", pull_name(v->p));
    return r;
}

static int vmdk_pull_all(struct vmdk_pull *v, struct err *e)
{
    u8 sector[512];
    int r = 0;

    while (!r && !v->done) {
        r = pull_read(v->p, sector, sizeof(sector), e);
        if (!r)
            r = le32(sector + 8) ? vmdk_pull_data(v, sector, e) : vmdk_pull_mark(v, sector, e);
    }
    if (!r && v->tables && v->entries > v->grains)
        r = err_set(e, -EBADMSG, "%s: its tables name %llu grains, but %llu came", pull_name(v->p),
                    (unsigned long long)v->entries, (unsigned long long)v->grains);
    return r;
}

int vmdk_pull(struct pull *p, struct err *e)
{
    const u32 stream = FLAG_PACKED | FLAG_MARKERS;
    struct vmdk_pull v = { .p = p };
    size_t n;
    const u8 *head = pull_peek(p, &n);
    u8 sector[512];
    int r;

    if (n < 512 || vmdk_take_header(head, &v.h) || (v.h.flags & stream) != stream ||
        v.h.gd != GD_AT_END)
        return -ESPIPE;
    r = vmdk_check_header(&v.h, pull_name(p), e);
    if (r)
        return r;
    if (2 * v.h.grain * SECTOR + 1024 > PULL_PIECE_MAX || v.h.overhead > 1 << 20)
        return -ESPIPE;
    for (u64 at = 0; !r && at < max_u64(v.h.overhead, 1); at++)
        r = pull_read(p, sector, sizeof(sector), e);
    if (!r)
        r = pull_size(p, v.h.capacity * SECTOR, e);
    return r ? r : vmdk_pull_all(&v, e);
}
