/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening a qcow2, after QEMU's docs/interop/qcow2: the header, its extensions, the places of
 * all tables, the key, and whether it may be written.
 */
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXT_END = 0,
    EXT_BACKING = 0xe2792aca,
    EXT_FEATURES = 0x6803f857,
    EXT_BITMAPS = 0x23852875,
    EXT_LUKS = 0x0537be77,
    EXT_DATA_NAME = 0x44415441
};
enum { QCOW2_HEADER = 512 }; /* at least: the smallest cluster */

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

static void qcow2_extension(struct qcow2 *q, u32 type, const u8 *p, u32 len, struct qcow2_names *x)
{
    if (type == EXT_BACKING && len < sizeof(x->format))
        memcpy(x->format, p, len);
    if (type == EXT_DATA_NAME && len < sizeof(x->data))
        memcpy(x->data, p, len);
    if (type == EXT_FEATURES) {
        x->features = p;
        x->nfeatures = len;
    }
    if (type == EXT_BITMAPS && len >= 24) {
        q->bitmaps = be32(p);
        q->bitmaps_size = be64(p + 8);
        q->bitmaps_at = be64(p + 16);
    }
    if (type == EXT_LUKS && len >= 16) {
        q->luks_at = be64(p);
        q->luks_size = be64(p + 8);
    }
}

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
        qcow2_extension(im->priv, type, p, len, x);
    }
}

static int qcow2_take_sizes(struct image *im, const u8 *head, u32 tables, struct err *e)
{
    struct qcow2 *q = im->priv;

    if (q->version < 2 || q->version > 3)
        return err_set(e, -EOPNOTSUPP, "%s: header: version %u, 2 and 3 are known", image_path(im),
                       q->version);
    if (q->bits < 9 || q->bits > 21)
        return err_set(e, -EBADMSG, "%s: header: clusters of 2^%u bytes are not possible",
                       image_path(im), q->bits);
    if (q->order > 6)
        return err_set(e, -EBADMSG, "%s: header: refcounts of 2^%u bits are not possible",
                       image_path(im), q->order);
    if (q->crypt > QCOW2_LUKS)
        return err_set(e, -EOPNOTSUPP, "%s: is encrypted in a way (%u) that is not known",
                       image_path(im), q->crypt);
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

/* The fields as they stand. */
static int qcow2_take_header(struct image *im, const u8 *head, struct err *e)
{
    struct cursor c = cursor_of(head, 112);
    struct qcow2 *q = im->priv;
    u32 tables;

    get_be32(&c);
    q->version = get_be32(&c);
    cursor_take(&c, 12);
    q->bits = get_be32(&c);
    im->size = get_be64(&c);
    q->crypt = get_be32(&c);
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
        q->compatible = get_be64(&c);
        q->autoclear = get_be64(&c);
        q->order = get_be32(&c);
        q->header_len = get_be32(&c);
    }
    return qcow2_take_sizes(im, head, tables, e);
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
    if (q->snapshots > 65536 ||
        (q->snapshots && (!range_ok(q->snapshots_at, 40, file) || q->snapshots_at % q->cluster)))
        return err_set(e, -EBADMSG, "%s: header: its snapshot table is not possible",
                       image_path(im));
    if (q->autoclear & QCOW2_BITMAPS &&
        (q->bitmaps > 65535 || q->bitmaps_size > 64u << 20 ||
         (q->bitmaps &&
          (q->bitmaps_at % q->cluster || !range_ok(q->bitmaps_at, q->bitmaps_size, file)))))
        return err_set(e, -EBADMSG, "%s: header: its directory of bitmaps is not possible",
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
    struct image_file_spec s = { .write = im->writable, .lock = !(im->flags & IMAGE_NO_LOCK) };
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

static int qcow2_unlock(struct image *im, struct err *e)
{
    struct qcow2 *q = im->priv;
    struct luks_place p = { .im = im, .at = q->luks_at, .room = q->luks_size };

    if (!q->crypt)
        return 0;
    if (q->crypt == QCOW2_AES)
        return image_old_aes(im, &q->cipher, e);
    im->sealed = 512;
    if (!q->luks_at || q->luks_at % q->cluster ||
        !range_ok(q->luks_at, q->luks_size, image_file_length(im, 0)))
        return err_set(
            e, -EBADMSG, "%s: header: its LUKS header (%llu bytes at %llu) is not inside",
            image_path(im), (unsigned long long)q->luks_size, (unsigned long long)q->luks_at);
    return luks_unlock(&q->luks, &p, e);
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

    if (im->flags & IMAGE_REPAIR)
        return 0;
    if (q->incompatible & QCOW2_CORRUPT)
        return err_set(e, -EROFS, "%s: is marked as damaged: it is only read until it is repaired",
                       image_path(im));
    if (q->crypt == QCOW2_AES)
        return err_set(e, -EROFS, "%s: with AES encryption of the old kind it is only read",
                       image_path(im));
    if (q->incompatible & QCOW2_DIRTY) /* refcounts were left for later */
        return qcow2_rebuild(im, qcow2_keep_first, &first, e);
    r = qcow2_check(im, qcow2_keep_first, &first);
    return r ? err_set(e, r, "%s: is damaged and not written: %s", image_path(im), first.text) : 0;
}

/* Bytes of its first cluster, in which all of the header is. */
static size_t qcow2_head_length(struct image *im)
{
    u64 file = image_file_length(im, 0);
    u8 bits[4] = { 0 };

    if (file < 72 || image_file_read(im, 0, 20, bits, sizeof(bits)) || be32(bits) > 21)
        return min_u64(file, QCOW2_HEADER);
    return min_u64(file, max_u64(1ull << be32(bits), QCOW2_HEADER));
}

int qcow2_open(struct image *im, struct err *e)
{
    struct qcow2 *q = im->priv = calloc(1, sizeof(*q));
    size_t n = qcow2_head_length(im);
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
    if (!r)
        r = qcow2_unlock(im, e);
    if (r)
        return r;
    im->cluster = (u32)q->cluster;
    if (q->entry == 16) { /* a write needs a place for a subcluster; places are for clusters */
        im->cluster /= QCOW2_PARTS;
        im->lump = (u32)q->cluster;
    }
    return im->writable ? qcow2_may_write(im, e) : 0;
}
