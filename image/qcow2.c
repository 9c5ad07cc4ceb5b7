/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2, versions 2 and 3, after QEMU's docs/interop/qcow2: reading, and what is common.
 * Left out: encryption, writing with subclusters or a data file, rebuilding stale counts.
 */
#include "base/bytes.h"
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QCOW2_L1_MAX (32u << 20)
#define QCOW2_COUNTS_MAX (8u << 20)
#define QCOW2_RUN 64
#define SUBCLUSTERS 32

enum {
    EXT_END = 0,
    EXT_BACKING = 0xe2792aca,
    EXT_FEATURES = 0x6803f857,
    EXT_DATA_NAME = 0x44415441
};

static int qcow2_probe(const struct probe *p)
{
    return p->nhead >= 72 && be32(p->head) == QCOW2_MAGIC && be32(p->head + 4) >= 2 ? 100 : 0;
}

/* The name of a feature bit, from the image's own table; or its number. */
static void qcow2_feature(const u8 *table, size_t n, unsigned bit, char *name, size_t size)
{
    snprintf(name, size, "%u", bit);
    for (size_t i = 0; i + 48 <= n; i += 48)
        if (table[i] == 0 && table[i + 1] == bit)
            snprintf(name, size, "%.46s", (const char *)table + i + 2);
}

static int qcow2_check_features(struct image *im, const u8 *table, size_t n, struct err *e)
{
    const u64 known =
        QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_DATA_FILE | QCOW2_PACKING | QCOW2_EXTENDED;
    const struct qcow2 *q = im->priv;
    char name[64];

    for (unsigned bit = 0; bit < 64; bit++)
        if (q->incompatible & ~known & 1ull << bit) {
            qcow2_feature(table, n, bit, name, sizeof(name));
            return err_set(e, -EOPNOTSUPP, "%s: header: the feature \"%s\" is not known",
                           image_path(im), name);
        }
    return 0;
}

struct qcow2_names { /* what the header's extensions say */
    const u8 *features;
    size_t nfeatures;
    char format[64], data[1024];
};

static int qcow2_extensions(struct image *im, const u8 *head, size_t n, struct qcow2_names *x,
                            struct err *e)
{
    const struct qcow2 *q = im->priv;
    struct cursor c = cursor_of(head, n);

    cursor_take(&c, q->header_len);
    for (;;) {
        u32 type = get_be32(&c), len = get_be32(&c);
        const u8 *p;

        if (type == EXT_END)
            return 0;
        p = len > n ? NULL : cursor_take(&c, len);
        cursor_take(&c, -len & 7);
        if (!p || c.bad)
            return err_set(e, -EBADMSG, "%s: header: an extension of %u bytes does not fit",
                           image_path(im), len);
        if (type == EXT_BACKING && len < sizeof(x->format))
            memcpy(x->format, p, len);
        if (type == EXT_DATA_NAME && len < sizeof(x->data))
            memcpy(x->data, p, len);
        if (type == EXT_FEATURES) {
            x->features = p;
            x->nfeatures = len;
        }
    }
}

static int qcow2_take_header(struct image *im, const u8 *head, struct err *e)
{
    struct cursor c = cursor_of(head, 112);
    struct qcow2 *q = im->priv;
    u32 crypt, tables;

    get_be32(&c);
    q->version = get_be32(&c);
    cursor_take(&c, 12);
    q->bits = get_be32(&c);
    im->size = get_be64(&c);
    crypt = get_be32(&c);
    q->l1_n = get_be32(&c);
    q->l1_at = get_be64(&c);
    q->counts_at = get_be64(&c);
    tables = get_be32(&c);
    q->snapshots = get_be32(&c);
    q->snapshots_at = get_be64(&c);
    q->order = 4;
    q->header_len = 72;
    if (q->version >= 3) {
        q->incompatible = get_be64(&c);
        get_be64(&c);
        q->autoclear = get_be64(&c);
        q->order = get_be32(&c);
        q->header_len = get_be32(&c);
    }
    if (q->version < 2 || q->version > 3)
        return err_set(e, -EOPNOTSUPP, "%s: header: version %u, 2 and 3 are known", image_path(im),
                       q->version);
    if (q->bits < 9 || q->bits > 21)
        return err_set(e, -EBADMSG, "%s: header: clusters of 2^%u bytes are not possible",
                       image_path(im), q->bits);
    if (q->order > 6)
        return err_set(e, -EBADMSG, "%s: header: refcounts of 2^%u bits are not possible",
                       image_path(im), q->order);
    if (crypt)
        return err_set(e, -EOPNOTSUPP, "%s: is encrypted (%s), which is not supported",
                       image_path(im),
                       crypt == 2   ? "LUKS"
                       : crypt == 1 ? "AES"
                                    : "unknown");
    q->cluster = 1ull << q->bits;
    if (q->header_len < (q->version == 2 ? 72u : 104u) || q->header_len % 8 ||
        q->header_len > q->cluster)
        return err_set(e, -EBADMSG, "%s: header: a length of %u bytes is not possible",
                       image_path(im), q->header_len);
    if (tables > QCOW2_COUNTS_MAX >> q->bits)
        return err_set(e, -EBADMSG, "%s: header: a refcount table of %u clusters is too big",
                       image_path(im), tables);
    q->counts_n = (u32)((u64)tables << q->bits >> 3);
    q->per_block = (u32)(q->cluster * 8 >> q->order);
    q->entry = q->incompatible & QCOW2_EXTENDED ? 16 : 8;
    q->slots = (u32)(q->cluster / q->entry);
    if (q->entry == 16 && q->bits < 14)
        return err_set(e, -EBADMSG, "%s: header: subclusters need clusters of 16 KiB",
                       image_path(im));
    if (q->incompatible & QCOW2_PACKING)
        q->zstd = q->header_len > 104 && head[104] == 1;
    if (q->incompatible & QCOW2_PACKING && (q->header_len <= 104 || head[104] > 1))
        return err_set(e, -EOPNOTSUPP, "%s: header: its compression is not known", image_path(im));
    return 0;
}

static int qcow2_check_tables(struct image *im, struct err *e)
{
    const struct qcow2 *q = im->priv;
    u64 file = image_file_length(im, 0), reach = q->cluster * q->slots, need;

    if (im->size > INT64_MAX)
        return err_set(e, -EBADMSG, "%s: header: a size of %llu bytes is not possible",
                       image_path(im), (unsigned long long)im->size);
    need = im->size / reach + !!(im->size % reach);
    if (q->l1_n < need || q->l1_n > QCOW2_L1_MAX / 8)
        return err_set(e, -EBADMSG, "%s: header: an L1 table of %u entries, %llu are expected",
                       image_path(im), q->l1_n, (unsigned long long)need);
    if (q->l1_at % q->cluster || !range_ok(q->l1_at, q->l1_n * 8ull, file + q->cluster))
        return err_set(e, -EBADMSG,
                       "%s: header: the L1 table (%u entries at %llu) is not inside the file of "
                       "%llu bytes",
                       image_path(im), q->l1_n, (unsigned long long)q->l1_at,
                       (unsigned long long)file);
    if (q->counts_at % q->cluster || !range_ok(q->counts_at, q->counts_n * 8ull, file + q->cluster))
        return err_set(
            e, -EBADMSG,
            "%s: header: the refcount table at %llu is not inside the file of %llu bytes",
            image_path(im), (unsigned long long)q->counts_at, (unsigned long long)file);
    if (q->snapshots > 65536 || (q->snapshots && !range_ok(q->snapshots_at, 40, file)))
        return err_set(e, -EBADMSG, "%s: header: its snapshot table is not possible",
                       image_path(im));
    return 0;
}

static int qcow2_backing(struct image *im, const u8 *head, size_t n, const char *format,
                         struct err *e)
{
    u64 at = be64(head + 8);
    u32 len = be32(head + 16);

    if (!at)
        return 0;
    if (len > 1023 || !range_ok(at, len, n))
        return err_set(e, -EBADMSG, "%s: header: the parent's name (%u bytes at %llu) does not fit",
                       image_path(im), len, (unsigned long long)at);
    if (!len)
        return 0;
    im->parent_name = strndup((const char *)head + at, len);
    im->parent_format = *format ? strdup(format) : NULL;
    return im->parent_name && (!*format || im->parent_format)
               ? 0
               : err_set(e, -ENOMEM, "%s: no memory", image_path(im));
}

static int qcow2_data_file(struct image *im, const char *name, struct err *e)
{
    struct image_file_spec s = { .lock = !(im->flags & IMAGE_NO_LOCK) };
    struct qcow2 *q = im->priv;
    char *path;
    int r;

    if (!*name)
        return err_set(e, -EBADMSG, "%s: header: its data file has no name", image_path(im));
    if (im->files[0].window)
        return err_set(e, -EOPNOTSUPP, "%s: its data file \"%.100s\" cannot be in an archive",
                       image_path(im), name);
    if ((r = image_file_find(im, name, &path, e)))
        return r;
    s.path = path;
    r = image_file_add(im, &s, e);
    free(path);
    if (r < 0)
        return r;
    q->data = (u32)r;
    return 0;
}

struct qcow2_first {
    char text[200];
};
static void qcow2_keep_first(void *arg, const char *text)
{
    struct qcow2_first *f = arg;

    if (!f->text[0])
        snprintf(f->text, sizeof(f->text), "%s", text);
}

/* Before the first write: everything must be as it says, or writing would make it worse. */
static int qcow2_may_write(struct image *im, struct err *e)
{
    struct qcow2 *q = im->priv;
    struct qcow2_first first = { 0 };
    int r;

    if (q->incompatible & QCOW2_CORRUPT)
        return err_set(e, -EROFS, "%s: is marked as damaged: it is only read", image_path(im));
    if (q->incompatible & QCOW2_DIRTY)
        return err_set(e, -EROFS,
                       "%s: its refcounts are stale (lazy refcounts): repair it before writing",
                       image_path(im));
    if (q->data || q->entry != 8)
        return err_set(e, -EROFS, "%s: with a data file or subclusters it is only read",
                       image_path(im));
    r = qcow2_check(im, qcow2_keep_first, &first);
    return r ? err_set(e, r, "%s: is damaged and not written: %s", image_path(im), first.text) : 0;
}

static int qcow2_open(struct image *im, struct err *e)
{
    struct qcow2 *q = im->priv = calloc(1, sizeof(*q));
    size_t n = min_u64(image_file_length(im, 0), 1 << 21);
    struct qcow2_names names = { 0 };
    u8 *head = calloc(1, n + 112);
    int r;

    if (!q || !head) {
        free(head);
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    }
    r = image_file_read(im, 0, 0, head, n);
    if (r || n < 72 || be32(head) != QCOW2_MAGIC)
        r = err_set(e, r ? r : -EBADMSG, "%s: header: is no qcow2 image", image_path(im));
    if (!r)
        r = qcow2_take_header(im, head, e);
    if (!r)
        r = qcow2_extensions(im, head, min_u64(n, q->cluster), &names, e);
    if (!r)
        r = qcow2_check_features(im, names.features, names.nfeatures, e);
    if (!r)
        r = qcow2_check_tables(im, e);
    if (!r)
        r = qcow2_backing(im, head, min_u64(n, q->cluster), names.format, e);
    free(head);
    if (!r && q->incompatible & QCOW2_DATA_FILE)
        r = qcow2_data_file(im, names.data, e);
    if (r)
        return r;
    im->cluster = (u32)q->cluster;
    return im->writable ? qcow2_may_write(im, e) : 0;
}

static void qcow2_close(struct image *im)
{
    free(im->priv);
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
    return r || !(*entry & QCOW2_OFFSET & (q->cluster - 1)) ? r : -EIO;
}

static enum extent_kind qcow2_kind(const struct qcow2 *q, u64 e)
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
    u64 part = q->cluster / SUBCLUSTERS, within = off & (q->cluster - 1);
    unsigned i = (unsigned)(within / part), last;
    u32 here = (u32)map, zero = (u32)(map >> 32);
    enum extent_kind kind = zero >> i & 1 ? EXT_ZERO : here >> i & 1 ? EXT_DATA : EXT_PARENT;

    for (last = i + 1; last < SUBCLUSTERS; last++)
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
    if (q->entry == 16) {
        x->kind = qcow2_map_parts(q, e, be64(b + 8), off, x);
    } else {
        x->len = qcow2_run(q, b, n, x->kind) * q->cluster - within;
        x->at = (e & QCOW2_OFFSET) + within;
    }
    x->shared = !(e & QCOW2_COPIED);
    if (x->kind == EXT_DATA &&
        ((e & QCOW2_OFFSET & (q->cluster - 1)) || x->at > image_file_length(im, q->data)))
        return -EIO;
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
    .can = CAN_WRITE | CAN_CREATE | CAN_PARENT | CAN_TRIM,
    .options = qcow2_options,
    .probe = qcow2_probe,
    .open = qcow2_open,
    .close = qcow2_close,
    .map = qcow2_map,
    .touch = qcow2_touch,
    .room = qcow2_room,
    .trim = qcow2_trim,
    .release = qcow2_release,
    .unpack = qcow2_unpack,
    .check = qcow2_check,
    .create = qcow2_create,
    .rebase = qcow2_rebase,
    .begin = qcow2_begin,
    .put = qcow2_put,
    .end = qcow2_end,
};
