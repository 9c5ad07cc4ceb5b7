/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bochs' growing images: a catalog of extents, each with a bitmap of its sectors.  Read only. */
#include "base/bytes.h"
#include "image/image_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BOCHS_HEADER 512
#define BOCHS_NONE 0xffffffffu

struct bochs {
    u64 catalog_at, data_at, extent, bitmap; /* bytes; bitmap in whole sectors */
    u32 entries;
};

static int bochs_probe(const struct probe *p)
{
    return p->nhead >= BOCHS_HEADER && !memcmp(p->head, "Bochs Virtual HD Image", 22) ? 100 : 0;
}

static int bochs_open(struct image *im, struct err *e)
{
    struct bochs *b = im->priv = calloc(1, sizeof(*b));
    u32 version, header;
    u8 h[BOCHS_HEADER];

    if (!b)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if (image_file_read(im, 0, 0, h, sizeof(h)) || memcmp(h, "Bochs Virtual HD Image", 22))
        return err_set(e, -EBADMSG, "%s: header: is no Bochs image", image_path(im));
    version = le32(h + 64);
    if (strncmp((char *)h + 32, "Redolog", 16) || strncmp((char *)h + 48, "Growing", 16) ||
        (version != 0x00010000 && version != 0x00020000))
        return err_set(e, -EOPNOTSUPP, "%s: header: only growing redologs are known",
                       image_path(im));
    header = le32(h + 68);
    b->entries = le32(h + 72);
    b->bitmap = round_up(le32(h + 76), 512);
    b->extent = le32(h + 80);
    im->size = version == 0x00010000 ? le64(h + 84) : le64(h + 88);
    if (b->entries > 1u << 20 || b->extent < 512 || b->extent > 8u << 20 ||
        b->extent & (b->extent - 1) || b->bitmap * 8 < b->extent / 512 || b->bitmap > 1u << 20 ||
        header < BOCHS_HEADER || im->size > b->entries * b->extent)
        return err_set(e, -EBADMSG, "%s: header: its sizes are not possible", image_path(im));
    if (!range_ok(header, b->entries * 4ull, image_file_length(im, 0)))
        return err_set(e, -EBADMSG, "%s: header: a catalog of %u entries is not inside the file",
                       image_path(im), b->entries);
    b->catalog_at = header;
    b->data_at = header + b->entries * 4ull;
    return 0;
}

static void bochs_close(struct image *im)
{
    free(im->priv);
}

static int bochs_map(struct image *im, u64 off, struct extent *x)
{
    const struct bochs *k = im->priv;
    u64 in = off & (k->extent - 1), at;
    u32 sector = (u32)(in / 512);
    u8 b[4];
    int r = meta_get(im, 0, k->catalog_at + off / k->extent * 4, b, 4);

    x->kind = EXT_PARENT;
    x->len = k->extent - in;
    if (r || le32(b) == BOCHS_NONE)
        return r;
    at = k->data_at + le32(b) * (k->bitmap + k->extent);
    r = meta_get(im, 0, at + sector / 8, b, 1);
    x->len = 512 - in % 512;
    if (r || !(b[0] >> sector % 8 & 1))
        return r;
    x->kind = EXT_DATA;
    x->at = at + k->bitmap + in;
    return range_ok(x->at, 1, image_file_length(im, 0)) ? 0 : -EIO;
}

const struct image_format image_bochs = {
    .name = "bochs",
    .suffix = ".img",
    .about = "Bochs: growing disks",
    .probe = bochs_probe,
    .open = bochs_open,
    .close = bochs_close,
    .map = bochs_map,
};
