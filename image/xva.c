/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks in an XVA (XenServer, XCP-ng), read in place: a tar whose members "Ref:12/00000003"
 * are chunks of the disk Ref:12, each with a member of its SHA-1 or XXH64 behind it.
 *
 * A chunk's number is not its place.  Runs of zeroes are left out, and their numbers with
 * them; but an export that has nothing to send for a while puts in a chunk of no length, which
 * uses up a number and no space.  So a chunk begins where the one before it ended, and as many
 * chunks later as numbers are missing.
 */
#include "image/xva.h"
#include "base/bytes.h"
#include "image/image_int.h"
#include "image/xva_int.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define XVA_CHUNKS_MAX (1u << 24)
#define XVA_CHUNK_MAX (64u << 20)

struct xva_chunk {
    u64 first, at; /* in the disk; in the file */
    u32 len;
    u8 nsum; /* bytes of sum: 20 SHA-1, 8 XXH64, 0 none */
    _Atomic u8 good;
    u8 sum[20];
};

struct xva {
    struct xva_chunk *chunks;
    u32 n, cap;
    i64 number; /* of the chunk before */
    u64 unit;   /* the length of the first one */
    char ref[XVA_REF];
};

static int xva_probe(const struct probe *p)
{
    struct tar_member m = { 0 };
    char ref[XVA_REF];
    i64 number;

    if (p->nhead < 512 || tar_header(p->head, &m))
        return 0;
    return xva_chunk_name(m.name, ref, &number) || !strcmp(m.name, "ova.xml") ? 60 : 0;
}

static int xva_add(struct image *im, const struct tar_member *m, i64 number, struct err *e)
{
    struct xva *x = im->priv;
    struct xva_chunk *c;
    u64 gap, skip;

    if (number <= x->number)
        return err_set(e, -EBADMSG, "%s: %.100s: chunk numbers do not rise", image_path(im),
                       m->name);
    if (m->size > XVA_CHUNK_MAX || x->n == XVA_CHUNKS_MAX)
        return err_set(e, -EFBIG, "%s: %.100s: a chunk of %llu bytes is not possible",
                       image_path(im), m->name, (unsigned long long)m->size);
    if (!x->unit)
        x->unit = m->size;
    gap = (u64)(number - x->number - 1);
    x->number = number;
    if (__builtin_mul_overflow(gap, x->unit ? x->unit : XVA_CHUNK, &skip) ||
        !add_ok(&im->size, im->size, skip) || im->size > INT64_MAX - m->size)
        return err_set(e, -EBADMSG, "%s: %.100s: is behind what a disk can have", image_path(im),
                       m->name);
    if (!m->size)
        return 0;
    if (x->n == x->cap) {
        u32 cap = x->cap ? x->cap * 2 : 256;

        c = realloc(x->chunks, cap * sizeof(*c));
        if (!c)
            return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
        x->chunks = c;
        x->cap = cap;
    }
    x->chunks[x->n++] = (struct xva_chunk){ .first = im->size, .at = m->at, .len = (u32)m->size };
    im->size += m->size;
    return 0;
}

/* The sum of the chunk before, in hex. */
static int xva_take_sum(struct image *im, const struct tar_member *m, struct err *e)
{
    struct xva *x = im->priv;
    struct xva_chunk *c = x->n ? &x->chunks[x->n - 1] : NULL;
    size_t want = strstr(m->name, ".checksum") ? 40 : 16;
    char text[41] = "";

    if (m->size < want || image_file_read(im, 0, m->at, text, want))
        return err_set(e, -EBADMSG, "%s: %.100s: is no checksum", image_path(im), m->name);
    if (!c || m->before != c->at) /* of a chunk without length */
        return 0;
    for (size_t i = 0; i < want; i++) {
        const char *hex = "0123456789abcdef", *at = strchr(hex, text[i] | 0x20);

        if (!text[i] || !at)
            return err_set(e, -EBADMSG, "%s: %.100s: is no checksum", image_path(im), m->name);
        c->sum[i / 2] = (u8)(c->sum[i / 2] << 4 | (at - hex));
    }
    c->nsum = (u8)(want / 2);
    return 0;
}

/* The disk that is meant: the one that was asked for, or the only one. */
static int xva_is_mine(struct image *im, const char *ref, struct err *e)
{
    struct xva *x = im->priv;

    if (im->how->part)
        return !strcmp(ref, im->how->part);
    if (!x->ref[0])
        memcpy(x->ref, ref, XVA_REF);
    if (strcmp(ref, x->ref))
        return err_set(e, -EINVAL, "%s: has several disks (%.60s, %.60s ...): say which",
                       image_path(im), x->ref, ref);
    return 1;
}

static int xva_take(struct image *im, const struct tar_member *m, struct err *e)
{
    char ref[XVA_REF];
    i64 number;
    int kind = xva_chunk_name(m->name, ref, &number), r;

    if (!kind)
        return 0;
    r = xva_is_mine(im, ref, e);
    if (r <= 0)
        return r;
    return kind == XVA_NAME_SUM ? xva_take_sum(im, m, e) : xva_add(im, m, number, e);
}

static int xva_open(struct image *im, struct err *e)
{
    struct xva *x = im->priv = calloc(1, sizeof(*x));
    struct tar_member m = { 0 };
    int r;

    if (!x)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    x->number = -1;
    while ((r = tar_next(im, &m, e)) > 0)
        if ((r = xva_take(im, &m, e)))
            return r;
    if (!r && x->number < 0)
        r = err_set(e, -ENOENT, "%s: has no disk %s", image_path(im),
                    im->how->part ? im->how->part : "in it");
    im->size = im->size / 512 * 512 + (im->size % 512 ? 512 : 0);
    return r;
}

static void xva_close(struct image *im)
{
    struct xva *x = im->priv;

    if (x)
        free(x->chunks);
    free(x);
}

/* The last chunk that begins at or before off; NULL: none. */
static struct xva_chunk *xva_find(const struct xva *x, u64 off)
{
    u32 low = 0, high = x->n;

    while (high - low > 1) {
        u32 mid = low + (high - low) / 2;

        if (x->chunks[mid].first <= off)
            low = mid;
        else
            high = mid;
    }
    return x->n && x->chunks[low].first <= off ? &x->chunks[low] : NULL;
}

static int xva_map(struct image *im, u64 off, struct extent *x)
{
    const struct xva *v = im->priv;
    const struct xva_chunk *c = xva_find(v, off), *next = c ? c + 1 : v->chunks;
    u64 in = c ? off - c->first : 0;

    if (!c || in >= c->len) {
        x->kind = EXT_ZERO;
        x->len = (next < v->chunks + v->n ? next->first : im->size) - off;
        return 0;
    }
    x->len = c->len - in;
    if (!c->nsum || c->good) {
        x->kind = EXT_DATA;
        x->at = c->at + in;
        return 0;
    }
    x->kind = EXT_PACKED; /* whole, to be compared with its sum */
    x->at = c->at;
    x->packed = x->unpacked = c->len;
    x->base = c->first;
    return 0;
}

static bool xva_sum_fits(const struct xva_chunk *c, const u8 *p)
{
    u8 sum[20];
    XXH64_canonical_t h;

    if (c->nsum == 20)
        return EVP_Digest(p, c->len, sum, NULL, EVP_sha1(), NULL) && !memcmp(sum, c->sum, 20);
    XXH64_canonicalFromHash(&h, XXH64(p, c->len, 0));
    return !memcmp(h.digest, c->sum, 8);
}

static int xva_unpack(struct image *im, const struct extent *x, const u8 *in, size_t n, u8 *out)
{
    struct xva_chunk *c = xva_find(im->priv, x->base);

    if (!c || n != c->len)
        return -EIO;
    if (!xva_sum_fits(c, in))
        return -EBADMSG;
    c->good = 1;
    memcpy(out, in, n);
    return 0;
}

static int xva_check(struct image *im, void (*say)(void *arg, const char *text), void *arg)
{
    struct xva *x = im->priv;
    unsigned bad = 0;

    for (u32 i = 0; i < x->n; i++) {
        struct xva_chunk *c = &x->chunks[i];
        u8 *p = malloc(c->len);
        char text[120];

        if (!p)
            return -ENOMEM;
        if (image_file_read(im, 0, c->at, p, c->len) || (c->nsum && !xva_sum_fits(c, p))) {
            snprintf(text, sizeof(text), "the chunk at byte %llu of the file (disk offset %llu) %s",
                     (unsigned long long)c->at, (unsigned long long)c->first,
                     "is not what its checksum says");
            if (bad++ < 20)
                say(arg, text);
        }
        free(p);
    }
    return bad ? -EBADMSG : 0;
}

const struct image_format image_xva = {
    .name = "xva",
    .suffix = ".xva",
    .about = "XenServer, XCP-ng: the chunks of a disk in an exported VM",
    .parts = true,
    .probe = xva_probe,
    .open = xva_open,
    .close = xva_close,
    .map = xva_map,
    .unpack = xva_unpack,
    .check = xva_check,
};
