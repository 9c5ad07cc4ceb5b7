/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VHDX, after [MS-VHDX]: fixed, dynamic and differencing disks, sectors of 512 and 4096, a log
 * that was not replayed.  Read only.
 */
#include "base/bytes.h"
#include "image/vhdx_int.h"
#include <errno.h>
#include <isa-l.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KIB 1024u
#define REGION_BAT "2DC27766-F623-4200-9D64-115E9BFD4A08"
#define REGION_META "8B7CA206-4790-4B9A-B8FE-575F050F886E"
#define ITEM_FILE "CAA16737-FA36-4D43-B3B6-33F0AA44E76B"
#define ITEM_SIZE "2FA54224-CD1B-4876-B211-5DBED83BF4B8"
#define ITEM_SECTOR "8141BF1D-A96F-4709-BA47-F233A8FAAB5F"
#define ITEM_PHYSICAL "CDA348C7-445D-4471-9CC9-E9885251C556"
#define ITEM_PAGE83 "BECA12AB-B2E6-4523-93EF-C309E000C746"
#define ITEM_PARENT "A8D35F2D-B30B-454D-ABF7-D3D84834AB0C"
#define SIZE_MAX_VHDX (64ull << 40)

enum { BLOCK_NONE = 0, BLOCK_ZERO = 2, BLOCK_HERE = 6, BLOCK_PARTLY = 7 };

u32 vhdx_crc(const u8 *p, size_t n, size_t at)
{
    static const u8 zero[4];
    u32 crc = crc32_iscsi((u8 *)p, (int)at, 0xffffffff);

    crc = crc32_iscsi((u8 *)zero, 4, crc);
    return ~crc32_iscsi((u8 *)p + at + 4, (int)(n - at - 4), crc);
}

void vhdx_guid(const u8 *p, char *text)
{
    snprintf(text, VHDX_GUID_TEXT, "%08X-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X", le32(p),
             le16(p + 4), le16(p + 6), p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]);
}

static bool vhdx_is(const u8 *p, const char *guid)
{
    char text[VHDX_GUID_TEXT];

    vhdx_guid(p, text);
    return !strcmp(text, guid);
}

static int vhdx_probe(const struct probe *p)
{
    return p->nhead >= 8 && !memcmp(p->head, "vhdxfile", 8) ? 100 : 0;
}

/* The valid header with the higher number. */
static int vhdx_header(struct image *im, u8 *h, struct err *e)
{
    bool found = false;
    u8 b[4096];

    for (u64 at = 64 * KIB; at <= 128 * KIB; at += 64 * KIB) {
        if (image_file_read(im, 0, at, b, sizeof(b)) || memcmp(b, "head", 4) ||
            vhdx_crc(b, sizeof(b), 4) != le32(b + 4))
            continue;
        if (found && le64(b + 8) == le64(h + 8) && memcmp(b, h, sizeof(b)))
            return err_set(e, -EBADMSG, "%s: both headers are valid and differ", image_path(im));
        if (!found || le64(b + 8) > le64(h + 8))
            memcpy(h, b, sizeof(b));
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

    if (at < 1u << 20 || !range_ok(at, len, image_file_length(im, 0)))
        return err_set(e, -EBADMSG, "%s: a region of %llu bytes at %llu is not inside the file",
                       image_path(im), (unsigned long long)len, (unsigned long long)at);
    if (vhdx_is(p, REGION_BAT)) {
        v->bat_at = at;
        v->bat_len = len;
    } else if (vhdx_is(p, REGION_META)) {
        v->meta_at = at;
        v->meta_len = len;
    } else if (le32(p + 28) & 1) {
        return err_set(e, -EOPNOTSUPP, "%s: needs a region that is not known", image_path(im));
    }
    return 0;
}

static int vhdx_regions(struct image *im, struct err *e)
{
    u8 *b = malloc(64 * KIB);
    bool found = false;
    int r = b ? 0 : err_set(e, -ENOMEM, "%s: no memory", image_path(im));

    for (u64 at = 192 * KIB; !r && !found && at <= 256 * KIB; at += 64 * KIB)
        found = !image_file_read(im, 0, at, b, 64 * KIB) && !memcmp(b, "regi", 4) &&
                vhdx_crc(b, 64 * KIB, 4) == le32(b + 4) && le32(b + 8) <= 2047;
    if (!r && !found)
        r = err_set(e, -EBADMSG, "%s: neither region table is valid", image_path(im));
    for (u32 i = 0; !r && i < le32(b + 8); i++)
        r = vhdx_take_region(im, b + 16 + i * 32, e);
    free(b);
    return r;
}

/* "parent_linkage", "relative_path" ...: what the locator says about a key; or NULL */
static char *vhdx_locator(const u8 *b, size_t n, const char *key)
{
    u16 count = n >= 20 ? le16(b + 18) : 0;

    for (u16 i = 0; i < count && 20 + (i + 1) * 12u <= n; i++) {
        const u8 *p = b + 20 + i * 12;
        u32 key_at = le32(p), at = le32(p + 4);
        u16 key_len = le16(p + 8), len = le16(p + 10);
        char *name;
        bool is;

        if (!range_ok(key_at, key_len, n) || !range_ok(at, len, n))
            return NULL;
        name = image_name_utf16(b + key_at, key_len / 2, true);
        is = name && !strcmp(name, key);
        free(name);
        if (is)
            return image_name_utf16(b + at, len / 2, true);
    }
    return NULL;
}

static int vhdx_parent(struct image *im, const u8 *b, size_t n, struct err *e)
{
    static const char *const names[] = { "relative_path", "absolute_win32_path", "volume_path" };
    struct vhdx *v = im->priv;
    char *link = vhdx_locator(b, n, "parent_linkage");

    if (link)
        snprintf(v->linkage, sizeof(v->linkage), "%s", link);
    free(link);
    for (size_t i = 0; i < LEN(names) && !im->parent_name; i++)
        im->parent_name = vhdx_locator(b, n, names[i]);
    im->parent_format = strdup("vhdx");
    return im->parent_name && im->parent_format
               ? 0
               : err_set(e, -EBADMSG, "%s: metadata: names no parent", image_path(im));
}

static int vhdx_take_item(struct image *im, const u8 *p, struct err *e)
{
    struct vhdx *v = im->priv;
    u32 at = le32(p + 16), len = le32(p + 20);
    u8 *b;
    int r = 0;

    if (at < 64 * KIB || len > 1u << 20 || !range_ok(at, len, v->meta_len))
        return err_set(e, -EBADMSG, "%s: metadata: an item of %u bytes at %u is not in its region",
                       image_path(im), len, at);
    b = calloc(1, len + 16ull);
    if (!b || vhdx_get(im, v->meta_at + at, b, len)) {
        free(b);
        return err_set(e, -EIO, "%s: metadata: cannot be read", image_path(im));
    }
    if (vhdx_is(p, ITEM_FILE)) {
        v->block = le32(b);
        v->differencing = le32(b + 4) & 2;
    } else if (vhdx_is(p, ITEM_SIZE)) {
        im->size = le64(b);
    } else if (vhdx_is(p, ITEM_SECTOR)) {
        v->sector = le32(b);
    } else if (vhdx_is(p, ITEM_PARENT)) {
        r = vhdx_parent(im, b, len, e);
    } else if (le32(p + 24) & 4 && !vhdx_is(p, ITEM_PHYSICAL) && !vhdx_is(p, ITEM_PAGE83)) {
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

    if (v->meta_len < 64 * KIB || vhdx_get(im, v->meta_at, b, 32) || memcmp(b, "metadata", 8))
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

static int vhdx_check_sizes(struct image *im, struct err *e)
{
    struct vhdx *v = im->priv;
    u64 blocks, entries;

    if (v->block < 1u << 20 || v->block > 256u << 20 || v->block & (v->block - 1))
        return err_set(e, -EBADMSG, "%s: metadata: blocks of %llu bytes are not possible",
                       image_path(im), (unsigned long long)v->block);
    if ((v->sector != 512 && v->sector != 4096) || im->size % v->sector || im->size > SIZE_MAX_VHDX)
        return err_set(e, -EBADMSG, "%s: metadata: %llu bytes in sectors of %llu are not possible",
                       image_path(im), (unsigned long long)im->size, (unsigned long long)v->sector);
    v->ratio = (v->sector << 23) / v->block;
    blocks = im->size / v->block + !!(im->size % v->block);
    entries = v->differencing ? (blocks + v->ratio - 1) / v->ratio * (v->ratio + 1)
              : blocks        ? blocks + (blocks - 1) / v->ratio
                              : 0;
    if (entries * 8 > v->bat_len)
        return err_set(e, -EBADMSG, "%s: a block table of %llu bytes, %llu are expected",
                       image_path(im), (unsigned long long)v->bat_len,
                       (unsigned long long)entries * 8);
    return 0;
}

static int vhdx_open(struct image *im, struct err *e)
{
    static const u8 none[16];
    struct vhdx *v = im->priv = calloc(1, sizeof(*v));
    u8 h[4096] = { 0 };
    int r;

    if (!v)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    r = vhdx_header(im, h, e);
    if (!r)
        vhdx_guid(h + 32, v->data_guid);
    if (!r && memcmp(h + 48, none, 16))
        r = vhdx_replay(im, le64(h + 72), le32(h + 68), h + 48, e);
    if (!r)
        r = vhdx_regions(im, e);
    if (!r)
        r = vhdx_metadata(im, e);
    return r ? r : vhdx_check_sizes(im, e);
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
    if (v->linkage[0] == '{' && !strncasecmp(v->linkage + 1, up->data_guid, VHDX_GUID_TEXT - 1))
        return 0;
    return err_set(e, -ESTALE, "%s: expects the content %s of its parent %s, which has {%s}",
                   image_path(im), v->linkage, image_path(im->parent), up->data_guid);
}

/* Which sectors of a block are here: a bit each, in the bitmap of its chunk. */
static int vhdx_map_partly(struct image *im, u64 off, u64 entry, struct extent *x)
{
    const struct vhdx *v = im->priv;
    u64 block = off / v->block, in = off & (v->block - 1), chunk = block / v->ratio, map, bit;
    u32 run, n;
    u8 b[64];
    int r = vhdx_get(im, v->bat_at + (chunk * (v->ratio + 1) + v->ratio) * 8, b, 8);

    map = le64(b);
    if (r || (map & 7) != BLOCK_HERE)
        return r ? r : -EIO;
    bit = block % v->ratio * (v->block / v->sector) + in / v->sector;
    n = (u32)min_u64(sizeof(b) * 8 - bit % 8, (v->block - in + v->sector - 1) / v->sector);
    r = vhdx_get(im, (map >> 20 << 20) + bit / 8, b, (bit % 8 + n + 7) / 8);
    if (r)
        return r;
    bit %= 8;
    for (run = 1; run < n; run++)
        if ((b[(bit + run) / 8] >> (bit + run) % 8 & 1) != (b[0] >> bit & 1))
            break;
    x->kind = b[0] >> bit & 1 ? EXT_DATA : EXT_PARENT;
    x->len = run * v->sector - in % v->sector;
    x->at = (entry >> 20 << 20) + in;
    return 0;
}

static int vhdx_map(struct image *im, u64 off, struct extent *x)
{
    const struct vhdx *v = im->priv;
    u64 block = off / v->block, in = off & (v->block - 1), entry;
    u8 b[8];
    int r = vhdx_get(im, v->bat_at + (block + block / v->ratio) * 8, b, 8);

    entry = le64(b);
    x->len = v->block - in;
    if (r)
        return r;
    switch (entry & 7) {
    case BLOCK_NONE:
        x->kind = EXT_PARENT;
        return 0;
    case BLOCK_HERE:
        x->kind = EXT_DATA;
        x->at = (entry >> 20 << 20) + in;
        break;
    case BLOCK_PARTLY:
        r = v->differencing ? vhdx_map_partly(im, off, entry, x) : -EIO;
        break;
    default:
        x->kind = EXT_ZERO; /* zero, unmapped, undefined */
        return 0;
    }
    if (!r && x->kind == EXT_DATA &&
        (entry >> 20 == 0 || !range_ok(x->at, 1, image_file_length(im, 0))))
        r = -EIO;
    return r;
}

const struct image_format image_vhdx = {
    .name = "vhdx",
    .suffix = ".vhdx",
    .about = "Hyper-V: fixed, dynamic, differencing, with a log",
    .probe = vhdx_probe,
    .open = vhdx_open,
    .close = vhdx_close,
    .adopt = vhdx_adopt,
    .map = vhdx_map,
};
