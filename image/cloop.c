/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cloop 2.0, the compressed loop device of live CDs: zlib, block by block.  Read only. */
#include "base/bytes.h"
#include "image/image_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLOOP_TABLE 136
#define CLOOP_BLOCK_MAX (64u << 20)
#define CLOOP_TABLE_MAX (512u << 20)

static const char cloop_magic[] = "#!/bin/sh\n#V2.0 Format\n";

struct cloop {
    u32 block, blocks;
};

static int cloop_probe(const struct probe *p)
{
    return p->nhead >= CLOOP_TABLE && !memcmp(p->head, cloop_magic, sizeof(cloop_magic) - 1) ? 80
                                                                                             : 0;
}

static int cloop_open(struct image *im, struct err *e)
{
    struct cloop *c = im->priv = calloc(1, sizeof(*c));
    u8 h[CLOOP_TABLE];

    if (!c)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if (image_file_read(im, 0, 0, h, sizeof(h)))
        return err_set(e, -EBADMSG, "%s: header: is cut short", image_path(im));
    c->block = be32(h + 128);
    c->blocks = be32(h + 132);
    if (!c->block || c->block % 512 || c->block > CLOOP_BLOCK_MAX)
        return err_set(e, -EBADMSG, "%s: header: blocks of %u bytes are not possible",
                       image_path(im), c->block);
    if (c->blocks > CLOOP_TABLE_MAX / 8 ||
        !range_ok(CLOOP_TABLE, (c->blocks + 1ull) * 8, image_file_length(im, 0)))
        return err_set(e, -EBADMSG, "%s: header: a table of %u blocks is not inside the file",
                       image_path(im), c->blocks);
    im->size = (u64)c->block * c->blocks;
    return 0;
}

static void cloop_close(struct image *im)
{
    free(im->priv);
}

static int cloop_map(struct image *im, u64 off, struct extent *x)
{
    const struct cloop *c = im->priv;
    u64 i = off / c->block, end;
    u8 b[16];
    int r = meta_get(im, 0, CLOOP_TABLE + i * 8, b, 16);

    x->kind = EXT_PACKED;
    x->at = be64(b);
    end = be64(b + 8);
    x->base = i * c->block;
    x->unpacked = c->block;
    x->len = c->block - off % c->block;
    x->packed = (u32)(end - x->at);
    if (r)
        return r;
    return end > x->at && end - x->at <= c->block * 2ull ? 0 : -EIO;
}

static int cloop_unpack(struct image *im, const struct extent *x, const u8 *in, size_t n, u8 *out)
{
    size_t got = 0;
    int r = inflate_zlib(in, n, out, x->unpacked, &got);

    return r ? r : got == x->unpacked ? 0 : -EIO;
}

const struct image_format image_cloop = {
    .name = "cloop",
    .suffix = ".cloop",
    .about = "compressed loop device of live CDs",
    .probe = cloop_probe,
    .open = cloop_open,
    .close = cloop_close,
    .map = cloop_map,
    .unpack = cloop_unpack,
};
