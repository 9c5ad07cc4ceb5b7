/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow, version 1: two levels of tables, clusters that are plain, compressed or encrypted.
 * Big-endian.  Read only.
 */
#include "base/bytes.h"
#include "image/cipher.h"
#include "image/image_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QCOW_MAGIC 0x514649fbu
#define QCOW_PACKED (1ull << 63)

struct qcow {
    unsigned bits;
    u64 cluster, slots, l1_at;
    struct cipher *cipher; /* or NULL */
};

static int qcow_probe(const struct probe *p)
{
    return p->nhead >= 48 && be32(p->head) == QCOW_MAGIC && be32(p->head + 4) == 1 ? 100 : 0;
}

static int qcow_names(struct image *im, const u8 *h, struct err *e)
{
    u64 at = be64(h + 8);
    u32 n = be32(h + 16);

    if (!at || !n)
        return 0;
    if (n > 1023 || !(im->parent_name = calloc(1, n + 1ull)) ||
        image_file_read(im, 0, at, im->parent_name, n))
        return err_set(e, -EBADMSG, "%s: header: the parent's name does not fit", image_path(im));
    return 0;
}

static int qcow_open(struct image *im, struct err *e)
{
    struct qcow *q = im->priv = calloc(1, sizeof(*q));
    u64 need, file = image_file_length(im, 0);
    u8 h[48];
    int r;

    if (!q)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if (image_file_read(im, 0, 0, h, sizeof(h)) || be32(h) != QCOW_MAGIC || be32(h + 4) != 1)
        return err_set(e, -EBADMSG, "%s: header: is no qcow", image_path(im));
    im->size = be64(h + 24);
    q->bits = h[32];
    q->l1_at = be64(h + 40);
    if (q->bits < 9 || q->bits > 16 || h[33] < 6 || h[33] > 13)
        return err_set(e, -EBADMSG, "%s: header: clusters of 2^%u and tables of 2^%u entries",
                       image_path(im), q->bits, h[33]);
    if (be32(h + 36) > 1)
        return err_set(e, -EOPNOTSUPP, "%s: is encrypted in a way (%u) that is not known",
                       image_path(im), be32(h + 36));
    q->cluster = 1ull << q->bits;
    q->slots = 1ull << h[33];
    need = im->size / (q->cluster * q->slots) + 1;
    if (im->size > INT64_MAX || need * 8 > 32u << 20 || !range_ok(q->l1_at, need * 8 - 8, file))
        return err_set(e, -EBADMSG, "%s: header: the L1 table of %llu entries does not fit",
                       image_path(im), (unsigned long long)need);
    if (be32(h + 36) && (r = image_old_aes(im, &q->cipher, e)))
        return r;
    return qcow_names(im, h, e);
}

static void qcow_close(struct image *im)
{
    struct qcow *q = im->priv;

    if (q)
        cipher_free(q->cipher);
    free(q);
}

static int qcow_map(struct image *im, u64 off, struct extent *x)
{
    const struct qcow *q = im->priv;
    u64 cluster = off >> q->bits, reach = q->cluster * q->slots, in = off & (q->cluster - 1), at;
    u8 b[8];
    int r = meta_get(im, 0, q->l1_at + cluster / q->slots * 8, b, 8);

    x->kind = EXT_PARENT;
    x->len = reach - off % reach;
    at = be64(b);
    if (r || !at)
        return r;
    x->len = q->cluster - in;
    if (!range_ok(at, q->slots * 8, image_file_length(im, 0)))
        return -EIO;
    r = meta_get(im, 0, at + cluster % q->slots * 8, b, 8);
    at = be64(b);
    if (r || !at)
        return r;
    if (at & QCOW_PACKED) {
        x->kind = EXT_PACKED;
        x->packed = (u32)((at >> (63 - q->bits)) & (q->cluster - 1));
        x->at = at & ((1ull << (63 - q->bits)) - 1);
        x->base = off - in;
        x->unpacked = (u32)q->cluster;
        return 0;
    }
    x->kind = q->cipher ? EXT_SEALED : EXT_DATA;
    x->at = at + in;
    x->seal = off;
    return at < INT64_MAX && range_ok(x->at, 1, image_file_length(im, 0)) ? 0 : -EIO;
}

static int qcow_unpack(struct image *im, const struct extent *x, const u8 *in, size_t n, u8 *out)
{
    size_t got = 0;
    int r = inflate_raw(in, n, out, x->unpacked, &got);

    return r ? r : got == x->unpacked ? 0 : -EIO;
}

static int qcow_seal(struct image *im, bool open, u64 seal, u8 *p, size_t n)
{
    const struct qcow *q = im->priv;

    return cipher_run(q->cipher, open, seal / 512, 512, p, n);
}

static void qcow_facts(struct image *im, const struct image_teller *to)
{
    const struct qcow *q = im->priv;

    if (q->cipher)
        fact_say(to, FACT_ENCRYPTION, "AES");
}

const struct image_format image_qcow = {
    .name = "qcow",
    .suffix = ".qcow",
    .about = "QEMU's first format with compression",
    .probe = qcow_probe,
    .open = qcow_open,
    .close = qcow_close,
    .map = qcow_map,
    .unpack = qcow_unpack,
    .seal = qcow_seal,
    .facts = qcow_facts,
};
