/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI 1.1, VirtualBox's format: one table of blocks.  A differencing disk names its parent by
 * id only, so the caller has to say which file that is.  Read only.
 */
#include "base/bytes.h"
#include "image/image_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VDI_MAGIC 0xbeda107fu
#define VDI_FREE 0xffffffffu
#define VDI_ZERO 0xfffffffeu
#define VDI_MAP_MAX (512u << 20)
#define VDI_DIFFERENCING 4

struct vdi {
    u64 map_at, data_at, block, extra;
    u32 blocks, kind;
    u8 id[16], parent_id[16];
};

static int vdi_probe(const struct probe *p)
{
    return p->nhead >= 512 && le32(p->head + 64) == VDI_MAGIC ? 100 : 0;
}

static int vdi_check(struct image *im, const struct vdi *v, struct err *e)
{
    u64 file = image_file_length(im, 0);

    if (v->block < 4096 || v->block > 1u << 30 || v->block & (v->block - 1))
        return err_set(e, -EBADMSG, "%s: header: blocks of %llu bytes are not possible",
                       image_path(im), (unsigned long long)v->block);
    if (v->blocks * 4ull > VDI_MAP_MAX || !range_ok(v->map_at, v->blocks * 4ull, file))
        return err_set(e, -EBADMSG, "%s: header: a map of %u blocks at %llu is not inside the file",
                       image_path(im), v->blocks, (unsigned long long)v->map_at);
    if (im->size > v->blocks * v->block)
        return err_set(e, -EBADMSG, "%s: header: %llu bytes do not fit in %u blocks of %llu",
                       image_path(im), (unsigned long long)im->size, v->blocks,
                       (unsigned long long)v->block);
    return 0;
}

static int vdi_open(struct image *im, struct err *e)
{
    struct vdi *v = im->priv = calloc(1, sizeof(*v));
    u8 h[512];
    u32 version;

    if (!v)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if (image_file_read(im, 0, 0, h, sizeof(h)) || le32(h + 64) != VDI_MAGIC)
        return err_set(e, -EBADMSG, "%s: header: is no VDI", image_path(im));
    version = le32(h + 68);
    if (version != 0x00010001)
        return err_set(e, -EOPNOTSUPP, "%s: header: version %u.%u, 1.1 is known", image_path(im),
                       version >> 16, version & 0xffff);
    v->kind = le32(h + 76);
    v->map_at = le32(h + 340);
    v->data_at = le32(h + 344);
    im->size = le64(h + 368);
    v->block = le32(h + 376);
    v->extra = le32(h + 380);
    v->blocks = le32(h + 384);
    memcpy(v->id, h + 392, 16);
    memcpy(v->parent_id, h + 424, 16);
    if (v->kind == VDI_DIFFERENCING) {
        char *name = NULL;

        if (asprintf(&name, "{%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x}", le32(h + 424),
                     le16(h + 428), le16(h + 430), h[432], h[433], h[434], h[435], h[436], h[437],
                     h[438], h[439]) < 0)
            return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
        im->parent_name = name;
    }
    return vdi_check(im, v, e);
}

static void vdi_close(struct image *im)
{
    free(im->priv);
}

static int vdi_adopt(struct image *im, struct err *e)
{
    const struct vdi *v = im->priv, *up = im->parent->priv;

    if (v->kind != VDI_DIFFERENCING || im->parent->format != im->format)
        return 0;
    return memcmp(v->parent_id, up->id, 16)
               ? err_set(e, -ESTALE, "%s: its parent %s has another id: it is not the one meant",
                         image_path(im), image_path(im->parent))
               : 0;
}

static int vdi_map(struct image *im, u64 off, struct extent *x)
{
    const struct vdi *v = im->priv;
    u64 in = off & (v->block - 1);
    u8 b[4];
    u32 s;
    int r = meta_get(im, 0, v->map_at + off / v->block * 4, b, 4);

    s = le32(b);
    x->len = v->block - in;
    x->kind = s == VDI_FREE ? EXT_PARENT : s == VDI_ZERO ? EXT_ZERO : EXT_DATA;
    x->at = v->data_at + s * (v->block + v->extra) + v->extra + in;
    if (r || x->kind != EXT_DATA)
        return r;
    return range_ok(x->at, 1, image_file_length(im, 0)) ? 0 : -EIO;
}

const struct image_format image_vdi = {
    .name = "vdi",
    .suffix = ".vdi",
    .about = "VirtualBox: dynamic, fixed, differencing",
    .probe = vdi_probe,
    .open = vdi_open,
    .close = vdi_close,
    .adopt = vdi_adopt,
    .map = vdi_map,
};
