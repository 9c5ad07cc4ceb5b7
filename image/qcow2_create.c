/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A new qcow2: header, refcount table, refcount blocks, L1 table.  The refcount table is made
 * for the full disk, so it hardly ever has to move.
 */
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CREATE_BITS 16
#define CREATE_OLD 72
#define CREATE_HEADER 112
#define EXT_BACKING 0xe2792acau
#define EXT_DATA_NAME 0x44415441u

const struct image_option qcow2_options[] = {
    { "variant", "v3 v2", "v2 is what QEMU before 1.1 and old clouds read (compat=0.10)" },
    { "compression", "none zlib zstd", "how clusters are packed by a conversion" },
    { "level", "fast small", "how hard they are packed" },
    { "extended_l2", "off on", "32 subclusters in each cluster: small writes copy less" },
    { "lazy_refcounts", "off on", "QEMU may leave refcounts for later" },
    { "refcount_bits", "16 1 2 4 8 32 64", "bits of a refcount" },
    { "data_file", "FILE", "the guest's data goes there, beside the image" },
    { "data_file_raw", "off on", "and that file is a raw image by itself" },
    { NULL, NULL, NULL },
};

struct qcow2_layout { /* in clusters, one after the other behind the header */
    u64 cluster, counts, blocks, l1, l1_n, per_block;
    u32 order, version, entry;
    bool lazy, zstd, raw;
    char data[256];
};

static bool create_is(struct image *im, const struct image_make *how, const char *name,
                      const char *value)
{
    char room[64];

    return !strcasecmp(image_option(im->format, how, name, room, sizeof(room)), value);
}

static int create_options(struct image *im, const struct image_make *how, struct qcow2_layout *y,
                          struct err *e)
{
    char bits[16];

    y->version = create_is(im, how, "variant", "v2") ? 2 : 3;
    y->entry = create_is(im, how, "extended_l2", "on") ? 16 : 8;
    y->lazy = create_is(im, how, "lazy_refcounts", "on");
    y->zstd = create_is(im, how, "compression", "zstd");
    y->raw = create_is(im, how, "data_file_raw", "on");
    image_option(im->format, how, "refcount_bits", bits, sizeof(bits));
    y->order = (u32)__builtin_ctzl(strtoul(bits, NULL, 10) | 64);
    image_option(im->format, how, "data_file", y->data, sizeof(y->data));
    if (y->version == 2 && (y->entry == 16 || y->lazy || y->zstd || y->order != 4 || y->data[0]))
        return err_set(e, -EINVAL, "%s: version 2 has no such features", image_path(im));
    if (strchr(y->data, '/') || !strcmp(y->data, "..") || (y->raw && !y->data[0]))
        return err_set(e, -EINVAL, "%s: the data file \"%.100s\" is no name for a file beside it",
                       image_path(im), y->data);
    if (y->raw && how->parent)
        return err_set(e, -EINVAL, "%s: a data file that is raw has no parent", image_path(im));
    if (y->data[0] && !create_is(im, how, "compression", "none"))
        return err_set(e, -EINVAL, "%s: a data file is not compressed", image_path(im));
    return 0;
}

static int qcow2_plan_layout(const struct image_make *how, struct qcow2_layout *y)
{
    u64 c = how->block ? how->block : y->entry == 16 ? 128u << 10 : 1u << CREATE_BITS;
    u64 slots = c / y->entry, data, total;

    if (c < 512 || c > 2u << 20 || c & (c - 1) || how->size > 1ull << 56 ||
        (y->entry == 16 && c < 16384))
        return -EINVAL;
    y->cluster = c;
    y->per_block = c * 8 >> y->order;
    y->l1_n = how->size / (c * slots) + !!(how->size % (c * slots));
    if (!y->l1_n)
        y->l1_n = 1;
    if (y->l1_n * 8 > QCOW2_L1_MAX)
        return -EFBIG;
    y->l1 = (y->l1_n * 8 + c - 1) / c;
    data = how->size / c + 1;
    /* all tables at their largest: L2 entries and counts for every cluster */
    total = data + data / slots + 2 + y->l1 + data / y->per_block * 2 + 64;
    y->counts = (total / y->per_block + 1) * 8 / c + 1;
    y->blocks = 1;
    while (1 + y->counts + y->blocks + y->l1 > y->blocks * y->per_block)
        y->blocks++;
    return y->counts * c > QCOW2_COUNTS_MAX ? -EFBIG : 0;
}

static u32 create_extension(u8 *h, u32 at, u32 type, const char *text)
{
    u32 n = (u32)strlen(text);

    put_be32(h + at, type);
    put_be32(h + at + 4, n);
    memcpy(h + at + 8, text, n);
    return at + 8 + (u32)round_up(n, 8);
}

static void create_features(const struct qcow2_layout *y, u8 *h)
{
    put_be64(h + 72, (y->data[0] ? QCOW2_DATA_FILE : 0) | (y->zstd ? QCOW2_PACKING : 0) |
                         (y->entry == 16 ? QCOW2_EXTENDED : 0));
    put_be64(h + 80, y->lazy ? QCOW2_LAZY : 0);
    put_be64(h + 88, y->raw ? QCOW2_RAW_DATA : 0);
    put_be32(h + 96, y->order);
    put_be32(h + 100, CREATE_HEADER);
    h[104] = y->zstd;
}

static int qcow2_put_header(struct image *im, const struct image_make *how,
                            const struct qcow2_layout *y, struct err *e)
{
    size_t name = how->parent ? strlen(how->parent) : 0;
    u32 at = y->version == 2 ? CREATE_OLD : CREATE_HEADER;
    u8 h[3072] = { 0 };

    if (name > 1023 || (how->parent_format && strlen(how->parent_format) > 63))
        return err_set(e, -ENAMETOOLONG, "%s: the parent's name is too long for its header",
                       image_path(im));
    put_be32(h, QCOW2_MAGIC);
    put_be32(h + 4, y->version);
    put_be32(h + 20, (u32)__builtin_ctzll(y->cluster));
    put_be64(h + 24, how->size);
    put_be32(h + 36, (u32)y->l1_n);
    put_be64(h + 40, (1 + y->counts + y->blocks) * y->cluster);
    put_be64(h + 48, y->cluster);
    put_be32(h + 56, (u32)y->counts);
    if (y->version >= 3)
        create_features(y, h);
    if (how->parent && how->parent_format)
        at = create_extension(h, at, EXT_BACKING, how->parent_format);
    if (y->data[0])
        at = create_extension(h, at, EXT_DATA_NAME, y->data);
    at += 8; /* the end of extensions */
    if (how->parent) {
        put_be64(h + 8, at);
        put_be32(h + 16, (u32)name);
        memcpy(h + at, how->parent, name);
    }
    if (at + name > y->cluster)
        return err_set(e, -ENAMETOOLONG, "%s: the names are too long for its header",
                       image_path(im));
    return image_file_write(im, 0, 0, h, min_u64(sizeof(h), y->cluster));
}

static int qcow2_put_counts(struct image *im, const struct qcow2_layout *y)
{
    u64 used = 1 + y->counts + y->blocks + y->l1, at = (1 + y->counts) * y->cluster;
    u32 order = y->order;
    u8 b[8];
    int r = 0;

    for (u64 i = 0; !r && i < y->blocks; i++) {
        put_be64(b, at + i * y->cluster);
        r = image_file_write(im, 0, y->cluster + i * 8, b, 8);
    }
    if (order < 3) { /* several in a byte, and all of them 1 */
        for (u64 i = 0; !r && i < used; i += 8u >> order) {
            b[0] = 0;
            for (u64 k = 0; k < 8u >> order && i + k < used; k++)
                b[0] |= (u8)(1u << (k << order));
            r = image_file_write(im, 0, at + (i >> (3 - order)), b, 1);
        }
        return r;
    }
    put_be64(b, 1);
    for (u64 i = 0; !r && i < used; i++)
        r = image_file_write(im, 0, at + (i << (order - 3)), b + 8 - (1u << (order - 3)),
                             1u << (order - 3));
    return r;
}

/* An empty file of the disk's size beside the image. */
static int create_data_file(struct image *im, const struct image_make *how, const char *name,
                            struct err *e)
{
    const char *self = image_path(im), *slash = strrchr(self, '/');
    struct image_file_spec s = { .write = true, .create = true };
    char *path;
    int r;

    if (asprintf(&path, "%.*s%s", slash ? (int)(slash + 1 - self) : 0, self, name) < 0)
        return err_set(e, -ENOMEM, "%s: no memory", self);
    s.path = path;
    r = image_file_add(im, &s, e);
    if (r >= 0 && ftruncate(im->files[r].fd, (off_t)how->size))
        r = err_set(e, -errno, "%s: %s", path, strerror(errno));
    free(path);
    return r < 0 ? r : 0;
}

int qcow2_create(struct image *im, const struct image_make *how, struct err *e)
{
    struct qcow2_layout y = { 0 };
    u64 end;
    int r = create_options(im, how, &y, e);

    if (r)
        return r;
    if ((r = qcow2_plan_layout(how, &y)))
        return err_set(e, r, "%s: clusters of %u bytes for %llu bytes are not possible",
                       image_path(im), how->block, (unsigned long long)how->size);
    end = (1 + y.counts + y.blocks + y.l1) * y.cluster;
    if (ftruncate(im->files[0].fd, (off_t)end))
        return err_set(e, -errno, "%s: %s", image_path(im), strerror(errno));
    if ((r = qcow2_put_header(im, how, &y, e)))
        return r;
    if ((r = qcow2_put_counts(im, &y)))
        return err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    return y.data[0] ? create_data_file(im, how, y.data, e) : 0;
}
