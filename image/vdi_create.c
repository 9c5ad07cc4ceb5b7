/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A new VDI 1.1: dynamic, static, or differencing when it has a parent.  Map and data begin
 * on boundaries of 1 MiB, which leaves room for a bigger map.
 */
#include "base/bytes.h"
#include "image/vdi_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MIB (1u << 20)
#define HEADER_BYTES 0x190

const struct image_option vdi_options[] = {
    { "variant", "dynamic static differencing",
      "dynamic grows with its content; differencing: over a parent" },
    { NULL },
};

static int vdi_put_map(struct image *im, u64 at, u64 blocks, bool placed)
{
    u8 b[4096];
    int r = 0;

    memset(b, 0xff, sizeof(b));
    for (u64 i = 0; !r && i < blocks; i += sizeof(b) / 4) {
        for (u32 k = 0; placed && k < sizeof(b) / 4; k++)
            put_le32(b + k * 4, (u32)(i + k));
        r = image_file_write(im, 0, at + i * 4, b, min_u64(sizeof(b), (blocks - i) * 4));
    }
    return r;
}

static int vdi_put_header(struct image *im, const struct image_make *how, enum vdi_kind kind,
                          u64 size, u32 block)
{
    static const char text[] = "<<< Oracle VM VirtualBox Disk Image >>>\n";
    const struct vdi_fields *f = &vdi_fields_1;
    const struct vdi *up = how->base ? how->base->priv : NULL;
    u64 blocks = size / block + !!(size % block);
    u8 h[VDI_HEAD] = { 0 };
    int r;

    memcpy(h, text, sizeof(text) - 1);
    put_le32(h + 64, VDI_MAGIC);
    put_le32(h + 68, 0x00010001);
    put_le32(h + 72, HEADER_BYTES);
    put_le32(h + f->kind, kind);
    put_le32(h + 340, MIB);
    put_le32(h + 344, (u32)(MIB + round_up(blocks * 4, MIB)));
    put_le32(h + f->geometry + 12, 512);
    put_le64(h + f->size, size);
    put_le32(h + f->block, block);
    put_le32(h + f->blocks, (u32)blocks);
    put_le32(h + f->allocated, kind == VDI_FIXED ? (u32)blocks : 0);
    if (up) {
        memcpy(h + f->parent, up->head + up->f->id, 16);
        memcpy(h + f->parent_modified, up->head + up->f->modified, 16);
    }
    r = guid_make(h + f->id);
    r = r ? r : guid_make(h + f->modified);
    return r ? r : image_file_write(im, 0, 0, h, sizeof(h));
}

static int vdi_refuse(struct image *im, const struct image_make *how, enum vdi_kind kind, u64 size,
                      u32 block, struct err *e)
{
    if (block < 4096 || block > 1u << 30 || block & (block - 1) || size > INT64_MAX / 2 ||
        (size / block + 1) * 4 > VDI_MAP_MAX)
        return err_set(e, -EINVAL, "%s: blocks of %u bytes for %llu bytes are not possible",
                       image_path(im), block, (unsigned long long)size);
    if (!how->base)
        return kind != VDI_DIFFERENCING
                   ? 0
                   : err_set(e, -EINVAL, "%s: a differencing disk needs a parent", image_path(im));
    if (kind == VDI_FIXED)
        return err_set(e, -EINVAL, "%s: a static disk has no parent", image_path(im));
    if (how->base->format != im->format)
        return err_set(e, -EINVAL,
                       "%s: the parent of a VDI is a VDI; over others a qcow2 can be made",
                       image_path(im));
    return 0;
}

int vdi_create(struct image *im, const struct image_make *how, struct err *e)
{
    enum vdi_kind kind = how->base ? VDI_DIFFERENCING : VDI_NORMAL;
    u32 block = how->block ? how->block : MIB;
    u64 size = round_up(how->size, 512), blocks;
    char variant[16];
    int r;

    image_option(im->format, how, "variant", variant, sizeof(variant));
    if (!strcasecmp(variant, "static"))
        kind = VDI_FIXED;
    if (!strcasecmp(variant, "differencing"))
        kind = VDI_DIFFERENCING;
    if ((r = vdi_refuse(im, how, kind, size, block, e)))
        return r;
    blocks = size / block + !!(size % block);
    r = vdi_put_header(im, how, kind, size, block);
    r = r ? r : vdi_put_map(im, MIB, blocks, kind == VDI_FIXED);
    r = r ? r
          : image_file_extend(
                im, 0, MIB + round_up(blocks * 4, MIB) + (kind == VDI_FIXED ? blocks * block : 0));
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}
