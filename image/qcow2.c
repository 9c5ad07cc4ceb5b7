/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2, versions 2 and 3, after QEMU's docs/interop/qcow2: where the guest's bytes are.  The
 * rest is in qcow2_*.c.  Left out: writing with AES encryption, which QEMU gave up too.
 */
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QCOW2_RUN 64

static int qcow2_probe(const struct probe *p)
{
    return p->nhead >= 72 && be32(p->head) == QCOW2_MAGIC && be32(p->head + 4) >= 2 ? 100 : 0;
}

static void qcow2_close(struct image *im)
{
    struct qcow2 *q = im->priv;

    if (!q)
        return;
    luks_fini(&q->luks);
    cipher_free(q->cipher);
    qcow2_bitmaps_free(q);
    free(q);
}

int qcow2_seal(struct image *im, bool open, u64 seal, u8 *p, size_t n)
{
    const struct qcow2 *q = im->priv;

    return cipher_run(q->cipher ? q->cipher : q->luks.cipher, open, seal / 512, 512, p, n);
}

u64 qcow2_packed_at(const struct qcow2 *q, u64 e, u64 *len)
{
    unsigned x = 62 - (q->bits - 8);
    u64 at = e & ((1ull << x) - 1);

    *len = (((e >> x) & ((1ull << (q->bits - 8)) - 1)) + 1) * 512 - (at & 511);
    return at;
}

int qcow2_l1(struct image *im, u64 off, u64 *entry)
{
    const struct qcow2 *q = im->priv;
    u8 b[8];
    int r = meta_get(im, 0, q->l1_at + off / (q->cluster * q->slots) * 8, b, 8);

    *entry = be64(b);
    if (q->version >= 3 && *entry & QCOW2_L1_RESERVED)
        return r ? r : -EIO;
    return r || !(*entry & QCOW2_OFFSET & (q->cluster - 1)) ? r : -EIO;
}

enum extent_kind qcow2_kind(const struct qcow2 *q, u64 e)
{
    if (e & QCOW2_PACKED)
        return EXT_PACKED;
    if (q->version >= 3 && q->entry == 8 && e & QCOW2_ZERO)
        return EXT_ZERO;
    if (q->data && e & QCOW2_COPIED)
        return EXT_DATA; /* the first cluster of a data file is at 0 */
    return e & QCOW2_OFFSET ? EXT_DATA : EXT_PARENT;
}

/* A cluster of 32 parts, each here, zero, or the parent's. */
static enum extent_kind qcow2_map_parts(const struct qcow2 *q, u64 e, u64 map, u64 off,
                                        struct extent *x)
{
    u64 part = q->cluster / QCOW2_PARTS, within = off & (q->cluster - 1);
    unsigned i = (unsigned)(within / part), last;
    u32 here = (u32)map, zero = (u32)(map >> 32);
    enum extent_kind kind = zero >> i & 1 ? EXT_ZERO : here >> i & 1 ? EXT_DATA : EXT_PARENT;

    for (last = i + 1; last < QCOW2_PARTS; last++)
        if ((zero >> last & 1) != (zero >> i & 1) || (here >> last & 1) != (here >> i & 1))
            break;
    x->len = last * part - within;
    x->at = (e & QCOW2_OFFSET) + within;
    return kind;
}

/* How many of n entries go on as the first begins? */
static u32 qcow2_run(const struct qcow2 *q, const u8 *b, u32 n, enum extent_kind kind)
{
    u64 e = be64(b);
    u32 run;

    for (run = 1; run < n; run++) {
        u64 next = be64(b + run * 8);

        if (qcow2_kind(q, next) != kind)
            break;
        if (kind == EXT_DATA && next != e + run * q->cluster)
            break;
    }
    return run;
}

static int qcow2_map_entry(struct image *im, u64 off, const u8 *b, u32 n, struct extent *x)
{
    const struct qcow2 *q = im->priv;
    u64 within = off & (q->cluster - 1), e = be64(b), len;

    x->file = q->data;
    x->kind = qcow2_kind(q, e);
    if (x->kind == EXT_PACKED) {
        x->file = 0;
        x->at = qcow2_packed_at(q, e, &len);
        x->packed = (u32)len;
        x->unpacked = (u32)q->cluster;
        x->base = off - within;
        x->len = q->cluster - within;
        return 0;
    }
    if (q->version >= 3 && e & (q->entry == 16 ? QCOW2_L2_RESERVED | 1 : QCOW2_L2_RESERVED))
        return -EIO;
    if (q->entry == 16) {
        if (be64(b + 8) >> 32 & be64(b + 8) & 0xffffffff)
            return -EIO; /* a part that is here and zero at once */
        x->kind = qcow2_map_parts(q, e, be64(b + 8), off, x);
    } else {
        x->len = qcow2_run(q, b, n, x->kind) * q->cluster - within;
        x->at = (e & QCOW2_OFFSET) + within;
    }
    x->shared = !(e & QCOW2_COPIED);
    if (x->kind == EXT_DATA &&
        ((e & QCOW2_OFFSET & (q->cluster - 1)) || x->at > image_file_length(im, q->data)))
        return -EIO;
    if (q->data && x->kind == EXT_DATA && x->at != off)
        return -EIO; /* a data file has everything in its place */
    if (q->crypt && x->kind == EXT_DATA) {
        x->kind = EXT_SEALED;
        x->seal = q->crypt == QCOW2_AES ? off : x->at;
    }
    return 0;
}

static int qcow2_map(struct image *im, u64 off, struct extent *x)
{
    const struct qcow2 *q = im->priv;
    u64 reach = q->cluster * q->slots, l1;
    u32 slot = (u32)(off / q->cluster % q->slots), n;
    u8 b[QCOW2_RUN * 8];
    int r = qcow2_l1(im, off, &l1);

    if (r)
        return r;
    if (!(l1 & QCOW2_OFFSET)) {
        x->kind = EXT_PARENT;
        x->len = reach - off % reach;
        return 0;
    }
    if (!range_ok(l1 & QCOW2_OFFSET, q->cluster, image_file_length(im, 0)) && !im->writable)
        return -EIO;
    n = q->entry == 16 ? 1 : (u32)min_u64(q->slots - slot, QCOW2_RUN);
    r = meta_get(im, 0, (l1 & QCOW2_OFFSET) + slot * q->entry, b, n * q->entry);
    return r ? r : qcow2_map_entry(im, off, b, n, x);
}

static int qcow2_unpack(struct image *im, const struct extent *x, const u8 *in, size_t n, u8 *out)
{
    const struct qcow2 *q = im->priv;
    size_t got = 0;
    int r = q->zstd ? unpack_zstd(in, n, out, q->cluster, &got)
                    : inflate_raw(in, n, out, q->cluster, &got);

    return r ? r : got == q->cluster ? 0 : -EIO;
}

const struct image_format image_qcow2 = {
    .name = "qcow2",
    .suffix = ".qcow2",
    .about = "QEMU: clusters with reference counts, parents, compression, snapshots",
    .can = CAN_WRITE | CAN_CREATE | CAN_PARENT | CAN_TRIM | CAN_GROW | CAN_SHRINK,
    .options = qcow2_options,
    .probe = qcow2_probe,
    .open = qcow2_open,
    .close = qcow2_close,
    .map = qcow2_map,
    .touch = qcow2_touch,
    .room = qcow2_room,
    .trim = qcow2_trim,
    .release = qcow2_release,
    .wrote = qcow2_bitmaps_wrote,
    .finish = qcow2_finish,
    .unpack = qcow2_unpack,
    .seal = qcow2_seal,
    .check = qcow2_check,
    .repair = qcow2_repair,
    .create = qcow2_create,
    .grow = qcow2_grow,
    .rebase = qcow2_rebase,
    .snapshot = qcow2_snapshot,
    .facts = qcow2_facts,
    .begin = qcow2_begin,
    .put = qcow2_put,
    .end = qcow2_end,
};
