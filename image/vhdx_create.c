/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A new VHDX: file identifier, two headers, two region tables, an empty log, the metadata and
 * the block table, each on a boundary of 1 MiB.
 */
#include "base/bytes.h"
#include "image/vhdx_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LOG_AT VHDX_MIB
#define META_AT (2 * VHDX_MIB)
#define BAT_AT (3 * VHDX_MIB)
#define ITEMS_AT VHDX_TABLE
#define ITEM_SPACE 4096
#define META_USED (ITEMS_AT + 7 * ITEM_SPACE)
#define TABLE_COMFORT (32u << 20) /* bigger blocks rather than a bigger table than that */

enum { ITEM_IS_DISK = 2, ITEM_IS_REQUIRED = 4 };

const struct image_option vhdx_options[] = {
    { "variant", "dynamic fixed differencing",
      "dynamic grows with its content; differencing: over a parent" },
    { "sector", "512 4096", "bytes of a logical sector" },
    { "physical", "4096 512", "bytes of a physical sector" },
    { NULL },
};

static int vhdx_put_front(struct image *im)
{
    struct vhdx v = { .slot = 0 }, *was = im->priv;
    u8 id[520] = "vhdxfile";
    int r;

    image_utf16_name("Mimic", id + 8, 256, true);
    r = image_file_write(im, 0, 0, id, sizeof(id));
    memcpy(v.header, "head", 4);
    r = r ? r : guid_make(v.header + 16);
    r = r ? r : guid_make(v.header + 32);
    put_le16(v.header + 66, 1);
    put_le32(v.header + 68, VHDX_MIB);
    put_le64(v.header + 72, LOG_AT);
    im->priv = &v;
    r = r ? r : vhdx_put_headers(im);
    im->priv = was;
    return r;
}

static void vhdx_put_region_entry(u8 *p, const char *guid, u64 at, u64 len)
{
    vhdx_put_guid(p, guid);
    put_le64(p + 16, at);
    put_le32(p + 24, (u32)len);
    put_le32(p + 28, 1);
}

static int vhdx_put_regions(struct image *im, u64 bat_len)
{
    u8 *b = calloc(1, VHDX_TABLE);
    int r = b ? 0 : -ENOMEM;

    if (r)
        return r;
    memcpy(b, "regi", 4);
    put_le32(b + 8, 2);
    vhdx_put_region_entry(b + 16, VHDX_REGION_BAT, BAT_AT, bat_len);
    vhdx_put_region_entry(b + 48, VHDX_REGION_META, META_AT, VHDX_MIB);
    put_le32(b + 4, vhdx_crc(b, VHDX_TABLE, 4));
    r = image_file_write(im, 0, 192 * VHDX_KIB, b, VHDX_TABLE);
    r = r ? r : image_file_write(im, 0, 256 * VHDX_KIB, b, VHDX_TABLE);
    free(b);
    return r;
}

/* The next item of the metadata; its place is by its number. */
static u8 *vhdx_put_item(u8 *b, const char *guid, u32 len, u32 flags)
{
    u16 i = le16(b + 10);
    u8 *p = b + 32 + i * 32;
    u32 at = ITEMS_AT + i * ITEM_SPACE;

    vhdx_put_guid(p, guid);
    put_le32(p + 16, at);
    put_le32(p + 20, len);
    put_le32(p + 24, flags | ITEM_IS_REQUIRED);
    put_le16(b + 10, i + 1);
    return b + at;
}

static int vhdx_put_metadata(struct image *im, const struct vhdx *v, u64 size,
                             const struct image_make *how)
{
    u8 *b = calloc(1, META_USED), *item, locator[ITEM_SPACE];
    size_t n = how->base ? vhdx_put_parent(how->base, how->parent, locator, ITEM_SPACE) : 0;
    int r = b ? 0 : -ENOMEM;

    if (!r && how->base && !n)
        r = -ENAMETOOLONG;
    if (r) {
        free(b);
        return r;
    }
    memcpy(b, "metadata", 8);
    item = vhdx_put_item(b, VHDX_ITEM_FILE, 8, 0);
    put_le32(item, (u32)v->block);
    put_le32(item + 4, (v->fixed ? 1 : 0) | (v->differencing ? 2 : 0));
    put_le64(vhdx_put_item(b, VHDX_ITEM_SIZE, 8, ITEM_IS_DISK), size);
    r = guid_make(vhdx_put_item(b, VHDX_ITEM_PAGE83, 16, ITEM_IS_DISK));
    put_le32(vhdx_put_item(b, VHDX_ITEM_SECTOR, 4, ITEM_IS_DISK), (u32)v->sector);
    put_le32(vhdx_put_item(b, VHDX_ITEM_PHYSICAL, 4, ITEM_IS_DISK), (u32)v->physical);
    if (n)
        memcpy(vhdx_put_item(b, VHDX_ITEM_PARENT, (u32)n, 0), locator, n);
    r = r ? r : image_file_write(im, 0, META_AT, b, META_USED);
    free(b);
    return r;
}

static int vhdx_put_table(struct image *im, const struct vhdx *v, u64 size, u64 bat_len)
{
    u64 blocks = size / v->block + !!(size % v->block);
    u8 b[8];
    int r = image_file_extend(im, 0, BAT_AT + bat_len + (v->fixed ? blocks * v->block : 0));

    for (u64 i = 0; !r && v->fixed && i < blocks; i++) {
        put_le64(b, (BAT_AT + bat_len + i * v->block) | BLOCK_HERE);
        r = image_file_write(im, 0, BAT_AT + vhdx_index(v, i) * 8, b, 8);
    }
    return r;
}

/* What was asked for, as a layout; v->block 0: that is not possible. */
static void vhdx_choose(struct vhdx *v, const struct image *im, const struct image_make *how)
{
    char text[16];

    image_option(im->format, how, "variant", text, sizeof(text));
    v->fixed = !strcasecmp(text, "fixed");
    v->differencing = how->base || !strcasecmp(text, "differencing");
    v->sector = strtoul(image_option(im->format, how, "sector", text, sizeof(text)), NULL, 10);
    v->physical = strtoul(image_option(im->format, how, "physical", text, sizeof(text)), NULL, 10);
    v->physical = max_u64(v->physical, v->sector);
    if (how->base && !strstr(how->options ? how->options : "", "sector="))
        v->sector = ((const struct vhdx *)how->base->priv)->sector;
    v->block = how->block;
    if (!v->block)
        for (v->block = VHDX_MIB; how->size / v->block * 8 > TABLE_COMFORT; v->block *= 2)
            ;
    if (v->block < VHDX_MIB || v->block > 256 * VHDX_MIB || v->block & (v->block - 1))
        v->block = 0;
    else
        v->ratio = (v->sector << 23) / v->block;
}

static int vhdx_refuse(struct image *im, const struct image_make *how, struct err *e)
{
    char variant[16];

    image_option(im->format, how, "variant", variant, sizeof(variant));
    if (how->size > VHDX_SIZE_MAX)
        return err_set(e, -EFBIG, "%s: a VHDX holds at most 64 TiB", image_path(im));
    if (!how->base)
        return strcasecmp(variant, "differencing")
                   ? 0
                   : err_set(e, -EINVAL, "%s: a differencing disk needs a parent", image_path(im));
    if (!strcasecmp(variant, "fixed"))
        return err_set(e, -EINVAL, "%s: a fixed disk has no parent", image_path(im));
    if (how->base->format != im->format || how->base->files[0].window)
        return err_set(e, -EINVAL,
                       "%s: the parent of a VHDX is a VHDX in a file of its own; over others a "
                       "qcow2 can be made",
                       image_path(im));
    return 0;
}

int vhdx_create(struct image *im, const struct image_make *how, struct err *e)
{
    struct vhdx v = { 0 };
    u64 size, bat_len;
    int r = vhdx_refuse(im, how, e);

    if (r)
        return r;
    vhdx_choose(&v, im, how);
    if (!v.block)
        return err_set(e, -EINVAL, "%s: blocks of %u bytes are not possible: 1 MiB to 256 MiB",
                       image_path(im), how->block);
    size = round_up(how->size, v.sector);
    bat_len = round_up(max_u64(vhdx_entries(&v, size) * 8, 1), VHDX_MIB);
    r = vhdx_put_table(im, &v, size, bat_len);
    r = r ? r : vhdx_put_metadata(im, &v, size, how);
    r = r ? r : vhdx_put_regions(im, bat_len);
    r = r ? r : vhdx_put_front(im);
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}
