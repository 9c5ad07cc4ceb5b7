/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VHDX, after [MS-VHDX]: fixed, dynamic and differencing disks, sectors of 512 and 4096, a log
 * that was not replayed.
 */
#include "base/bytes.h"
#include "image/vhdx_int.h"
#include <errno.h>
#include <isa-l.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

u32 vhdx_crc(const u8 *p, size_t n, size_t at)
{
    static const u8 zero[4];
    u32 crc = crc32_iscsi((u8 *)p, (int)at, 0xffffffff);

    crc = crc32_iscsi((u8 *)zero, 4, crc);
    return ~crc32_iscsi((u8 *)p + at + 4, (int)(n - at - 4), crc);
}

void vhdx_put_guid(u8 *p, const char *text)
{
    unsigned a = 0, b = 0, c = 0, d[8] = { 0 };

    sscanf(text, "%8x-%4x-%4x-%2x%2x-%2x%2x%2x%2x%2x%2x", &a, &b, &c, d, d + 1, d + 2, d + 3, d + 4,
           d + 5, d + 6, d + 7);
    put_le32(p, a);
    put_le16(p + 4, (u16)b);
    put_le16(p + 6, (u16)c);
    for (int i = 0; i < 8; i++)
        p[8 + i] = (u8)d[i];
}

static bool vhdx_is(const u8 *p, const char *guid)
{
    char text[GUID_TEXT];

    guid_text(p, true, text);
    return !strcmp(text, guid);
}

static int vhdx_probe(const struct probe *p)
{
    return p->nhead >= 8 && !memcmp(p->head, "vhdxfile", 8) ? 100 : 0;
}

/* The valid header with the higher number. */
static int vhdx_header(struct image *im, struct err *e)
{
    struct vhdx *v = im->priv;
    bool found = false;
    u8 b[VHDX_HEADER], *h = v->header;

    for (unsigned slot = 0; slot < 2; slot++) {
        u64 at = (slot + 1) * 64 * VHDX_KIB;

        if (image_file_read(im, 0, at, b, sizeof(b)) || memcmp(b, "head", 4) ||
            vhdx_crc(b, sizeof(b), 4) != le32(b + 4))
            continue;
        if (found && le64(b + 8) == le64(h + 8) && memcmp(b, h, sizeof(b)))
            return err_set(e, -EBADMSG, "%s: both headers are valid and differ", image_path(im));
        if (!found || le64(b + 8) > le64(h + 8)) {
            memcpy(h, b, sizeof(b));
            v->slot = slot;
        }
        found = true;
    }
    if (!found)
        return err_set(e, -EBADMSG, "%s: neither header is valid", image_path(im));
    if (le16(h + 66) != 1)
        return err_set(e, -EOPNOTSUPP, "%s: header: version %u, 1 is known", image_path(im),
                       le16(h + 66));
    return 0;
}

static int vhdx_take_region(struct image *im, const u8 *p, struct err *e)
{
    struct vhdx *v = im->priv;
    u64 at = le64(p + 16), len = le32(p + 24);

    if (at < VHDX_MIB || at % VHDX_MIB || !len || len % VHDX_MIB ||
        !range_ok(at, len, image_file_length(im, 0)))
        return err_set(e, -EBADMSG, "%s: a region of %llu bytes at %llu is not possible here",
                       image_path(im), (unsigned long long)len, (unsigned long long)at);
    if (vhdx_is(p, VHDX_REGION_BAT)) {
        v->bat_at = at;
        v->bat_len = len;
    } else if (vhdx_is(p, VHDX_REGION_META)) {
        v->meta_at = at;
        v->meta_len = len;
    } else if (le32(p + 28) & 1) {
        return err_set(e, -EOPNOTSUPP, "%s: needs a region that is not known", image_path(im));
    }
    return 0;
}

static int vhdx_regions(struct image *im, struct err *e)
{
    u8 *b = malloc(64 * VHDX_KIB);
    bool found = false;
    int r = b ? 0 : err_set(e, -ENOMEM, "%s: no memory", image_path(im));

    for (u64 at = 192 * VHDX_KIB; !r && !found && at <= 256 * VHDX_KIB; at += 64 * VHDX_KIB)
        found = !image_file_read(im, 0, at, b, 64 * VHDX_KIB) && !memcmp(b, "regi", 4) &&
                vhdx_crc(b, 64 * VHDX_KIB, 4) == le32(b + 4) && le32(b + 8) <= 2047;
    if (!r && !found)
        r = err_set(e, -EBADMSG, "%s: neither region table is valid", image_path(im));
    for (u32 i = 0; !r && i < le32(b + 8); i++)
        r = vhdx_take_region(im, b + 16 + i * 32, e);
    free(b);
    return r;
}

static int vhdx_take_item(struct image *im, const u8 *p, struct err *e)
{
    struct vhdx *v = im->priv;
    u32 at = le32(p + 16), len = le32(p + 20);
    u8 *b;
    int r = 0;

    if (at < 64 * VHDX_KIB || len > 1u << 20 || !range_ok(at, len, v->meta_len))
        return err_set(e, -EBADMSG, "%s: metadata: an item of %u bytes at %u is not in its region",
                       image_path(im), len, at);
    b = calloc(1, len + 16ull);
    if (!b || vhdx_get(im, v->meta_at + at, b, len)) {
        free(b);
        return err_set(e, -EIO, "%s: metadata: cannot be read", image_path(im));
    }
    if (vhdx_is(p, VHDX_ITEM_FILE)) {
        v->block = le32(b);
        v->fixed = le32(b + 4) & 1;
        v->differencing = le32(b + 4) & 2;
    } else if (vhdx_is(p, VHDX_ITEM_SIZE)) {
        im->size = le64(b);
        v->size_at = v->meta_at + at;
    } else if (vhdx_is(p, VHDX_ITEM_PHYSICAL)) {
        v->physical = le32(b);
    } else if (vhdx_is(p, VHDX_ITEM_PAGE83)) {
        memcpy(v->page83, b, 16);
    } else if (vhdx_is(p, VHDX_ITEM_SECTOR)) {
        v->sector = le32(b);
    } else if (vhdx_is(p, VHDX_ITEM_PARENT)) {
        r = vhdx_take_parent(im, b, len, e);
    } else if (le32(p + 24) & 4) {
        r = err_set(e, -EOPNOTSUPP, "%s: metadata: a required item is not known", image_path(im));
    }
    free(b);
    return r;
}

static int vhdx_metadata(struct image *im, struct err *e)
{
    struct vhdx *v = im->priv;
    u8 b[32];
    u16 count;
    int r = 0;

    if (v->meta_len < 64 * VHDX_KIB || vhdx_get(im, v->meta_at, b, 32) || memcmp(b, "metadata", 8))
        return err_set(e, -EBADMSG, "%s: has no metadata", image_path(im));
    count = le16(b + 10);
    if (count > 2047)
        return err_set(e, -EBADMSG, "%s: metadata: %u items are not possible", image_path(im),
                       count);
    for (u16 i = 0; !r && i < count; i++)
        if (!(r = vhdx_get(im, v->meta_at + 32 + i * 32, b, 32)))
            r = vhdx_take_item(im, b, e);
    return r;
}

u64 vhdx_entries(const struct vhdx *v, u64 size)
{
    u64 blocks = size / v->block + !!(size % v->block);

    if (v->differencing)
        return (blocks + v->ratio - 1) / v->ratio * (v->ratio + 1);
    return blocks ? blocks + (blocks - 1) / v->ratio : 0;
}

static int vhdx_check_sizes(struct image *im, struct err *e)
{
    struct vhdx *v = im->priv;

    if (v->block < VHDX_MIB || v->block > 256 * VHDX_MIB || v->block & (v->block - 1))
        return err_set(e, -EBADMSG, "%s: metadata: blocks of %llu bytes are not possible",
                       image_path(im), (unsigned long long)v->block);
    if ((v->sector != 512 && v->sector != 4096) || im->size % v->sector || im->size > VHDX_SIZE_MAX)
        return err_set(e, -EBADMSG, "%s: metadata: %llu bytes in sectors of %llu are not possible",
                       image_path(im), (unsigned long long)im->size, (unsigned long long)v->sector);
    v->ratio = (v->sector << 23) / v->block;
    if (vhdx_entries(v, im->size) * 8 > v->bat_len)
        return err_set(e, -EBADMSG, "%s: a block table of %llu bytes, %llu are expected",
                       image_path(im), (unsigned long long)v->bat_len,
                       (unsigned long long)vhdx_entries(v, im->size) * 8);
    if (v->bat_at < v->meta_at + v->meta_len && v->meta_at < v->bat_at + v->bat_len)
        return err_set(e, -EBADMSG, "%s: its regions lie over each other", image_path(im));
    if (v->differencing && !im->parent_name)
        return err_set(e, -EBADMSG, "%s: metadata: names no parent", image_path(im));
    return 0;
}

static int vhdx_open(struct image *im, struct err *e)
{
    static const u8 none[16];
    struct vhdx *v = im->priv = calloc(1, sizeof(*v));
    const u8 *h;
    int r;

    if (!v)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    r = vhdx_header(im, e);
    h = v->header;
    if (!r)
        guid_text(h + 32, true, v->data_guid);
    if (!r && memcmp(h + 48, none, 16)) {
        r = vhdx_replay(im, le64(h + 72), le32(h + 68), h + 48, e);
        if (!r && im->writable && (r = vhdx_settle(im)))
            err_set(e, r, "%s: log: %s", image_path(im), strerror(-r));
    }
    if (!r)
        r = vhdx_regions(im, e);
    if (!r)
        r = vhdx_metadata(im, e);
    if (!r)
        r = vhdx_check_sizes(im, e);
    if (r)
        return r;
    im->cluster = (u32)v->sector;
    return im->writable ? vhdx_may_write(im, e) : 0;
}

static void vhdx_close(struct image *im)
{
    if (im->priv)
        vhdx_forget(im->priv);
    free(im->priv);
}

/* The locator keeps the id of the parent's content: "{GUID}". */
static int vhdx_adopt(struct image *im, struct err *e)
{
    const struct vhdx *v = im->priv, *up = im->parent->priv;

    if (!v->differencing || im->parent->format != im->format)
        return 0;
    if (!strncasecmp(v->linkage, up->data_guid, GUID_TEXT - 1) ||
        !strncasecmp(v->linkage2, up->data_guid, GUID_TEXT - 1))
        return 0;
    return err_set(e, -ESTALE, "%s: expects the content {%s} of its parent %s, which has {%s}",
                   image_path(im), v->linkage, image_path(im->parent), up->data_guid);
}

int vhdx_entry(struct image *im, u64 index, u64 *entry)
{
    const struct vhdx *v = im->priv;
    u8 b[8];
    int r = vhdx_get(im, v->bat_at + index * 8, b, 8);

    *entry = le64(b);
    return r;
}

/* Which sectors of a block are here: a bit each, in the bitmap of its chunk. */
static int vhdx_map_partly(struct image *im, u64 off, u64 entry, struct extent *x)
{
    const struct vhdx *v = im->priv;
    u64 block = off / v->block, in = off & (v->block - 1), map, bit;
    u32 run, n;
    u8 b[64];
    int r = vhdx_entry(im, vhdx_map_index(v, block), &map);

    if (r || (map & 7) != BLOCK_HERE)
        return r ? r : -EIO;
    bit = block % v->ratio * (v->block / v->sector) + in / v->sector;
    n = (u32)min_u64(sizeof(b) * 8 - bit % 8, (v->block - in + v->sector - 1) / v->sector);
    r = vhdx_get(im, vhdx_place(map) + bit / 8, b, (bit % 8 + n + 7) / 8);
    if (r)
        return r;
    bit %= 8;
    for (run = 1; run < n; run++)
        if ((b[(bit + run) / 8] >> (bit + run) % 8 & 1) != (b[0] >> bit & 1))
            break;
    x->kind = b[0] >> bit & 1 ? EXT_DATA : EXT_PARENT;
    x->len = run * v->sector - in % v->sector;
    x->at = vhdx_place(entry) + in;
    return 0;
}

static int vhdx_map(struct image *im, u64 off, struct extent *x)
{
    const struct vhdx *v = im->priv;
    u64 block = off / v->block, in = off & (v->block - 1), entry;
    int r = vhdx_entry(im, vhdx_index(v, block), &entry);

    x->len = v->block - in;
    if (r)
        return r;
    switch (entry & 7) {
    case BLOCK_NONE:
        x->kind = EXT_PARENT;
        return 0;
    case BLOCK_HERE:
        x->kind = EXT_DATA;
        x->at = vhdx_place(entry) + in;
        break;
    case BLOCK_PARTLY:
        r = v->differencing ? vhdx_map_partly(im, off, entry, x) : -EIO;
        break;
    default:
        x->kind = EXT_ZERO; /* zero, unmapped, undefined */
        return 0;
    }
    if (!r && x->kind == EXT_DATA &&
        (entry >> 20 == 0 || !range_ok(x->at, 1, max_u64(image_file_length(im, 0), v->logged))))
        r = -EIO;
    return r;
}

static void vhdx_facts(struct image *im, const struct image_teller *to)
{
    const struct vhdx *v = im->priv;
    char id[GUID_TEXT], *creator;
    u8 name[512];

    fact_say(to, FACT_VARIANT, "%s",
             v->differencing ? "differencing"
             : v->fixed      ? "fixed"
                             : "dynamic");
    fact_say(to, FACT_SECTOR, "%llu", (unsigned long long)v->sector);
    fact_say(to, FACT_PHYSICAL, "%llu", (unsigned long long)v->physical);
    guid_text(v->page83, true, id);
    fact_say(to, FACT_ID, "%s", id);
    fact_say(to, FACT_CONTENT_ID, "%s", v->data_guid);
    if (v->differencing)
        fact_say(to, FACT_PARENT_ID, "%s", v->linkage);
    if (!image_file_read(im, 0, 8, name, sizeof(name)) &&
        (creator = image_name_utf16(name, sizeof(name) / 2, true))) {
        fact_say(to, FACT_CREATOR, "%s", creator);
        free(creator);
    }
    if (v->npatches)
        fact_say(to, FACT_DIRTY,
                 "its log was not replayed: done in memory; a writer does it for good");
}

const struct image_format image_vhdx = {
    .name = "vhdx",
    .suffix = ".vhdx",
    .about = "Hyper-V: fixed, dynamic, differencing, with a log",
    .can = CAN_WRITE | CAN_CREATE | CAN_PARENT | CAN_TRIM | CAN_GROW | KEEPS_PARENT,
    .options = vhdx_options,
    .probe = vhdx_probe,
    .open = vhdx_open,
    .close = vhdx_close,
    .adopt = vhdx_adopt,
    .map = vhdx_map,
    .touch = vhdx_touch,
    .room = vhdx_room,
    .trim = punch_trim,
    .check = vhdx_scan,
    .create = vhdx_create,
    .grow = vhdx_grow,
    .rebase = vhdx_rebase,
    .facts = vhdx_facts,
};
