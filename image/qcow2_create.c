/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A new qcow2 (version 3): header, refcount table, refcount blocks, L1 table.  The refcount
 * table is made for the full disk, so it hardly ever has to move.
 */
#include "base/bytes.h"
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CREATE_BITS 16
#define CREATE_HEADER 112

const struct image_option qcow2_options[] = {
    { "compression", "none zlib zstd", "how clusters are packed by a conversion" },
    { "level", "fast small", "how hard they are packed" },
    { NULL, NULL, NULL },
};

struct qcow2_layout { /* in clusters, one after the other behind the header */
    u64 cluster, counts, blocks, l1, l1_n;
};

static int qcow2_plan_layout(const struct image_make *how, struct qcow2_layout *y)
{
    u64 c = how->block ? how->block : 1u << CREATE_BITS, reach = c * (c / 8), data, total;

    if (c < 512 || c > 2u << 20 || c & (c - 1) || how->size > 1ull << 56)
        return -EINVAL;
    y->cluster = c;
    y->l1_n = how->size / reach + !!(how->size % reach);
    if (!y->l1_n)
        y->l1_n = 1;
    if (y->l1_n * 8 > 32u << 20)
        return -EFBIG;
    y->l1 = (y->l1_n * 8 + c - 1) / c;
    data = how->size / c + 1;
    /* all tables at their largest: L2 entries and counts of 16 bits for every cluster */
    total = data + data / (c / 8) + 2 + y->l1 + data / (c / 4) + 64;
    y->counts = (total / (c / 2) + 1) * 8 / c + 1;
    y->blocks = 1;
    while (1 + y->counts + y->blocks + y->l1 > y->blocks * (c / 2))
        y->blocks++;
    return y->counts * c > 8u << 20 ? -EFBIG : 0;
}

static int qcow2_put_header(struct image *im, const struct image_make *how,
                            const struct qcow2_layout *y, struct err *e)
{
    size_t name = how->parent ? strlen(how->parent) : 0;
    size_t format = how->parent_format ? strlen(how->parent_format) : 0;
    size_t at = CREATE_HEADER + 8 + (how->parent ? 8 + ((format + 7) & ~7ull) : 0);
    u8 h[2048] = { 0 };
    char kind[16];

    if (name > 1023 || at + name > y->cluster || format > 63)
        return err_set(e, -ENAMETOOLONG, "%s: the parent's name is too long for its header",
                       image_path(im));
    put_be32(h, QCOW2_MAGIC);
    put_be32(h + 4, 3);
    put_be64(h + 8, how->parent ? at : 0);
    put_be32(h + 16, (u32)name);
    put_be32(h + 20, (u32)__builtin_ctzll(y->cluster));
    put_be64(h + 24, how->size);
    put_be32(h + 36, (u32)y->l1_n);
    put_be64(h + 40, (1 + y->counts + y->blocks) * y->cluster);
    put_be64(h + 48, y->cluster);
    put_be32(h + 56, (u32)y->counts);
    put_be32(h + 96, 4);
    put_be32(h + 100, CREATE_HEADER);
    image_option(im->format, how, "compression", kind, sizeof(kind));
    if (!strcasecmp(kind, "zstd")) {
        put_be64(h + 72, QCOW2_PACKING);
        h[104] = 1;
    }
    if (how->parent) {
        put_be32(h + CREATE_HEADER, 0xe2792aca);
        put_be32(h + CREATE_HEADER + 4, (u32)format);
        memcpy(h + CREATE_HEADER + 8, how->parent_format ? how->parent_format : "", format);
        memcpy(h + at, how->parent, name);
    }
    return image_file_write(im, 0, 0, h, min_u64(sizeof(h), y->cluster));
}

static int qcow2_put_counts(struct image *im, const struct qcow2_layout *y)
{
    u64 used = 1 + y->counts + y->blocks + y->l1, at = (1 + y->counts) * y->cluster;
    u8 b[8];
    int r = 0;

    for (u64 i = 0; !r && i < y->blocks; i++) {
        put_be64(b, at + i * y->cluster);
        r = image_file_write(im, 0, y->cluster + i * 8, b, 8);
    }
    put_be16(b, 1);
    for (u64 i = 0; !r && i < used; i++)
        r = image_file_write(im, 0, at + i * 2, b, 2);
    return r;
}

int qcow2_create(struct image *im, const struct image_make *how, struct err *e)
{
    struct qcow2_layout y;
    u64 end;
    int r = qcow2_plan_layout(how, &y);

    if (r)
        return err_set(e, r, "%s: clusters of %u bytes for %llu bytes are not possible",
                       image_path(im), how->block, (unsigned long long)how->size);
    end = (1 + y.counts + y.blocks + y.l1) * y.cluster;
    if (ftruncate(im->files[0].fd, (off_t)end))
        return err_set(e, -errno, "%s: %s", image_path(im), strerror(errno));
    r = qcow2_put_header(im, how, &y, e);
    if (r)
        return r;
    r = qcow2_put_counts(im, &y);
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}
