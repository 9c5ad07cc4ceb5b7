/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parallels' expanding images, after QEMU's docs/interop/parallels: one table of clusters,
 * whose size need not be a power of two.  Read only; bundles with snapshots are left out.
 */
#include "base/bytes.h"
#include "image/image_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_AT 64
#define TABLE_MAX (512u << 20)

struct parallels {
    u64 cluster, unit; /* bytes of a cluster, and what a table entry counts */
    u32 entries;
};

static bool parallels_is(const u8 *h, bool *wide)
{
    *wide = !memcmp(h, "WithouFreSpacExt", 16);
    return *wide || !memcmp(h, "WithoutFreeSpace", 16);
}

static int parallels_probe(const struct probe *p)
{
    bool wide;

    return p->nhead >= TABLE_AT && parallels_is(p->head, &wide) ? 100 : 0;
}

static int parallels_open(struct image *im, struct err *e)
{
    struct parallels *p = im->priv = calloc(1, sizeof(*p));
    u64 sectors, tracks;
    u8 h[TABLE_AT];
    bool wide;

    if (!p)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if (image_file_read(im, 0, 0, h, sizeof(h)) || !parallels_is(h, &wide))
        return err_set(e, -EBADMSG, "%s: header: is no Parallels image", image_path(im));
    if (le32(h + 16) != 2)
        return err_set(e, -EOPNOTSUPP, "%s: header: version %u, 2 is known", image_path(im),
                       le32(h + 16));
    tracks = le32(h + 28);
    p->entries = le32(h + 32);
    sectors = wide ? le64(h + 36) : le32(h + 36);
    if (!tracks || tracks > 1u << 21 || sectors > INT64_MAX / 512)
        return err_set(e, -EBADMSG, "%s: header: clusters of %llu sectors for %llu", image_path(im),
                       (unsigned long long)tracks, (unsigned long long)sectors);
    if (sectors / tracks + !!(sectors % tracks) > p->entries || p->entries * 4ull > TABLE_MAX ||
        !range_ok(TABLE_AT, p->entries * 4ull, image_file_length(im, 0)))
        return err_set(e, -EBADMSG, "%s: header: a table of %u entries for %llu sectors",
                       image_path(im), p->entries, (unsigned long long)sectors);
    p->cluster = tracks * 512;
    p->unit = wide ? p->cluster : 512;
    im->size = sectors * 512;
    return 0;
}

static void parallels_close(struct image *im)
{
    free(im->priv);
}

static int parallels_map(struct image *im, u64 off, struct extent *x)
{
    const struct parallels *p = im->priv;
    u64 in = off % p->cluster;
    u8 b[4];
    int r = meta_get(im, 0, TABLE_AT + off / p->cluster * 4, b, 4);

    x->len = p->cluster - in;
    x->kind = le32(b) ? EXT_DATA : EXT_PARENT;
    x->at = le32(b) * p->unit + in;
    if (r || x->kind == EXT_PARENT)
        return r;
    return range_ok(x->at, 1, image_file_length(im, 0)) ? 0 : -EIO;
}

const struct image_format image_parallels = {
    .name = "parallels",
    .suffix = ".hds",
    .about = "Parallels Desktop and Virtuozzo: expanding images",
    .probe = parallels_probe,
    .open = parallels_open,
    .close = parallels_close,
    .map = parallels_map,
};
