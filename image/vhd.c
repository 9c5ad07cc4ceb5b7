/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VHD, after Microsoft's "Virtual Hard Disk Image Format Specification" 1.0 and the quirks of
 * Virtual PC, Hyper-V and XenServer: fixed, dynamic, differencing.  Big-endian.  Read only.
 */
#include "base/bytes.h"
#include "image/image_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOOTER 512
#define HEADER 1024
#define UNUSED 0xffffffffu
#define BAT_MAX (16u << 20)
#define GEOMETRY_MAX (65535ull * 16 * 255)

enum vhd_kind { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

struct vhd {
    enum vhd_kind kind;
    u64 bat_at, block, bitmap; /* bytes */
    u32 entries;
    bool low_first; /* bitmaps of tapdisk 1.0 */
    u8 id[16], parent_id[16];
};

static bool vhd_sum_ok(const u8 *b, size_t n, size_t at)
{
    u32 sum = 0;

    for (size_t i = 0; i < n; i++)
        if (i < at || i >= at + 4)
            sum += b[i];
    return ~sum == be32(b + at);
}

static int vhd_probe(const struct probe *p)
{
    if (p->nhead >= FOOTER && !memcmp(p->head, "conectix", 8))
        return 100;
    if (p->ntail >= FOOTER && !memcmp(p->tail + p->ntail - FOOTER, "conectix", 8))
        return 90;
    return p->ntail >= FOOTER && !memcmp(p->tail + p->ntail - FOOTER + 1, "conectix", 8) ? 90 : 0;
}

/* The one at the end counts, then one of 511 bytes there, then the copy at the beginning. */
static int vhd_find_footer(struct image *im, u8 *f, u64 *end, struct err *e)
{
    u64 n = image_file_length(im, 0);
    bool seen = false;

    for (int i = 0; i < 3; i++) {
        u64 at = i == 2 ? 0 : n - FOOTER + (u64)i, len = i == 1 ? FOOTER - 1 : FOOTER;

        memset(f, 0, FOOTER);
        if (n < FOOTER || image_file_read(im, 0, at, f, len) || memcmp(f, "conectix", 8))
            continue;
        seen = true;
        *end = i == 2 ? n : at;
        if (vhd_sum_ok(f, FOOTER, 64))
            return 0;
    }
    return err_set(e, -EBADMSG, "%s: footer: %s", image_path(im),
                   seen ? "its checksum is wrong" : "there is none");
}

/* Virtual PC and QEMU round to their geometry, all others mean the size (see creator). */
static u64 vhd_size(const u8 *f, u64 file)
{
    u64 size = be64(f + 48), chs = (u64)be16(f + 56) * f[58] * f[59];
    bool rounds =
        !memcmp(f + 28, "vpc ", 4) || !memcmp(f + 28, "vs  ", 4) || !memcmp(f + 28, "qemu", 4);

    if (!rounds || !chs || chs >= GEOMETRY_MAX || chs * 512 > max_u64(size, file))
        return size;
    return chs * 512;
}

static int vhd_check_bat(struct image *im, struct err *e)
{
    const struct vhd *v = im->priv;
    u64 file = image_file_length(im, 0);

    for (u32 i = 0; i < v->entries; i++) {
        u8 b[4];
        int r = meta_get(im, 0, v->bat_at + i * 4ull, b, 4);
        u32 s = be32(b);

        if (r)
            return err_set(e, r, "%s: %s", image_path(im), strerror(-r));
        if (s != UNUSED && !range_ok(s * 512ull, v->bitmap + 512, file))
            return err_set(e, -EBADMSG,
                           "%s: block table, entry %u: block at sector %u, but the file has %llu "
                           "sectors",
                           image_path(im), i, s, (unsigned long long)(file / 512));
    }
    return 0;
}

/* The parent's name: the relative one, the absolute one, the one in the header. */
static int vhd_parent(struct image *im, const u8 *h, struct err *e)
{
    static const char *const codes[] = { "W2ru", "W2ku" };

    for (size_t c = 0; c < LEN(codes) && !im->parent_name; c++)
        for (int i = 0; i < 8 && !im->parent_name; i++) {
            const u8 *l = h + 576 + i * 24;
            u8 name[2048];
            u32 n = be32(l + 8);

            if (memcmp(l, codes[c], 4) || n > sizeof(name) ||
                image_file_read(im, 0, be64(l + 16), name, n))
                continue;
            im->parent_name = image_name_utf16(name, n / 2, true);
        }
    if (!im->parent_name)
        im->parent_name = image_name_utf16(h + 64, 256, false);
    im->parent_format = strdup("vhd");
    if (!im->parent_name || !im->parent_format)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    return *im->parent_name ? 0
                            : err_set(e, -EBADMSG, "%s: header: names no parent", image_path(im));
}

static int vhd_open_dynamic(struct image *im, const u8 *f, struct err *e)
{
    struct vhd *v = im->priv;
    u64 file = image_file_length(im, 0), need;
    u8 h[HEADER];
    int r;

    if (image_file_read(im, 0, be64(f + 16), h, HEADER) || memcmp(h, "cxsparse", 8))
        return err_set(e, -EBADMSG, "%s: footer: no dynamic header at %llu", image_path(im),
                       (unsigned long long)be64(f + 16));
    if (!vhd_sum_ok(h, HEADER, 36))
        return err_set(e, -EBADMSG, "%s: dynamic header: its checksum is wrong", image_path(im));
    v->bat_at = be64(h + 16);
    v->entries = be32(h + 28);
    v->block = be32(h + 32);
    if (v->block < 4096 || v->block > 256u << 20 || v->block & (v->block - 1))
        return err_set(e, -EBADMSG, "%s: dynamic header: blocks of %llu bytes are not possible",
                       image_path(im), (unsigned long long)v->block);
    need = im->size / v->block + !!(im->size % v->block);
    if (v->entries < need || v->entries * 4ull > BAT_MAX ||
        !range_ok(v->bat_at, v->entries * 4ull, file))
        return err_set(e, -EBADMSG,
                       "%s: dynamic header: a block table of %u entries at %llu, %llu are expected",
                       image_path(im), v->entries, (unsigned long long)v->bat_at,
                       (unsigned long long)need);
    v->entries = (u32)need;
    v->bitmap = round_up(v->block / 4096, 512);
    memcpy(v->parent_id, h + 40, 16);
    if (v->kind == VHD_DIFFERENCING && (r = vhd_parent(im, h, e)))
        return r;
    return vhd_check_bat(im, e);
}

static int vhd_open(struct image *im, struct err *e)
{
    struct vhd *v = im->priv = calloc(1, sizeof(*v));
    u8 f[FOOTER];
    u64 end = 0;
    int r;

    if (!v)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if ((r = vhd_find_footer(im, f, &end, e)))
        return r;
    v->kind = (enum vhd_kind)be32(f + 60);
    v->low_first = !memcmp(f + 28, "tap\0", 4) && be32(f + 32) == 0x00010000;
    memcpy(v->id, f + 68, 16);
    im->size = vhd_size(f, end);
    if (v->kind == VHD_DYNAMIC || v->kind == VHD_DIFFERENCING)
        return im->size > INT64_MAX ? err_set(e, -EBADMSG, "%s: footer: too big", image_path(im))
                                    : vhd_open_dynamic(im, f, e);
    if (v->kind != VHD_FIXED)
        return err_set(e, -EOPNOTSUPP, "%s: footer: a disk of type %u is not known", image_path(im),
                       (unsigned)v->kind);
    if (im->size > end)
        return err_set(e, -EBADMSG, "%s: footer: a disk of %llu bytes in a file with %llu",
                       image_path(im), (unsigned long long)im->size, (unsigned long long)end);
    return 0;
}

static void vhd_close(struct image *im)
{
    free(im->priv);
}

static int vhd_adopt(struct image *im, struct err *e)
{
    const struct vhd *v = im->priv, *up = im->parent->priv;

    if (v->kind != VHD_DIFFERENCING || im->parent->format != im->format)
        return 0;
    return memcmp(v->parent_id, up->id, 16)
               ? err_set(e, -ESTALE, "%s: its parent %s has another id: it is not the one meant",
                         image_path(im), image_path(im->parent))
               : 0;
}

static bool vhd_bit(const struct vhd *v, const u8 *map, u32 i)
{
    return map[i / 8] >> (v->low_first ? i % 8 : 7 - i % 8) & 1;
}

static int vhd_map(struct image *im, u64 off, struct extent *x)
{
    const struct vhd *v = im->priv;
    u64 in, base;
    u32 first, n, run;
    u8 b[64];
    int r;

    if (v->kind == VHD_FIXED) {
        x->kind = EXT_DATA;
        x->at = off;
        x->len = im->size - off;
        return 0;
    }
    in = off & (v->block - 1);
    if ((r = meta_get(im, 0, v->bat_at + off / v->block * 4, b, 4)))
        return r;
    x->kind = EXT_PARENT;
    x->len = v->block - in;
    if (be32(b) == UNUSED)
        return 0;
    base = be32(b) * 512ull;
    first = (u32)(in / 512) & ~7u; /* bits are looked at from a whole byte on */
    n = (u32)min_u64(sizeof(b) * 8, v->block / 512 - first);
    if ((r = meta_get(im, 0, base + first / 8, b, (n + 7) / 8)))
        return r;
    first = (u32)(in / 512) - first;
    for (run = first + 1; run < n && vhd_bit(v, b, run) == vhd_bit(v, b, first); run++)
        ;
    x->len = (run - first) * 512ull - in % 512;
    if (!vhd_bit(v, b, first))
        return 0;
    x->kind = EXT_DATA;
    x->at = base + v->bitmap + in;
    return range_ok(x->at, 1, image_file_length(im, 0)) ? 0 : -EIO;
}

const struct image_format image_vhd = {
    .name = "vhd",
    .suffix = ".vhd",
    .about = "Virtual PC, Hyper-V, XenServer: fixed, dynamic, differencing",
    .probe = vhd_probe,
    .open = vhd_open,
    .close = vhd_close,
    .adopt = vhd_adopt,
    .map = vhd_map,
};
