/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VHD, after Microsoft's "Virtual Hard Disk Image Format Specification" 1.0 and the quirks of
 * Virtual PC, Hyper-V and XenServer: fixed, dynamic, differencing.  Big-endian.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "image/vhd_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GEOMETRY_MAX (65535ull * 16 * 255)
#define LOCATOR_MAX 2048

u32 vhd_sum(const u8 *b, size_t n, size_t at)
{
    u32 sum = 0;

    for (size_t i = 0; i < n; i++)
        if (i < at || i >= at + 4)
            sum += b[i];
    return ~sum;
}

static int vhd_probe(const struct probe *p)
{
    if (p->nhead >= VHD_FOOTER && !memcmp(p->head, "conectix", 8))
        return 100;
    if (p->ntail >= VHD_FOOTER && !memcmp(p->tail + p->ntail - VHD_FOOTER, "conectix", 8))
        return 90;
    return p->ntail >= VHD_FOOTER && !memcmp(p->tail + p->ntail - VHD_FOOTER + 1, "conectix", 8)
               ? 90
               : 0;
}

static bool vhd_footer_is(const u8 *f)
{
    return !memcmp(f, "conectix", 8);
}
static bool vhd_footer_ok(const u8 *f)
{
    return vhd_footer_is(f) && vhd_sum(f, VHD_FOOTER, 64) == be32(f + 64);
}

/* The one at the end counts, then one of 511 bytes there, then the copy at the beginning. */
static int vhd_find_footer(struct image *im, struct err *e)
{
    struct vhd *v = im->priv;
    u64 n = image_file_length(im, 0);
    u8 *f = v->footer;
    bool seen = false;

    for (u64 len = VHD_FOOTER; n >= VHD_FOOTER && len >= VHD_FOOTER - 1; len--) {
        memset(f, 0, VHD_FOOTER); /* Virtual PC before 2004 left the last byte out */
        v->footer_at = n - len;
        if (image_file_read(im, 0, v->footer_at, f, len))
            continue;
        seen = seen || vhd_footer_is(f);
        if (vhd_footer_ok(f))
            return 0;
    }
    v->footer_at = n;
    if (n >= VHD_FOOTER && !image_file_read(im, 0, 0, f, VHD_FOOTER) && vhd_footer_ok(f) &&
        be32(f + 60) != VHD_FIXED) {
        log_warn("%s: has no footer at its end, it was not closed; the copy is used",
                 image_path(im));
        v->copy_only = true;
        return 0;
    }
    seen = seen || vhd_footer_is(f);
    return err_set(e, -EBADMSG, "%s: footer: %s", image_path(im),
                   seen ? "its checksum is wrong" : "there is none");
}

/*
 * Virtual PC, Virtual Server and QEMU round down to their geometry, unless it is the largest;
 * all others mean the size.
 */
static u64 vhd_size(const struct vhd *v)
{
    const u8 *f = v->footer;
    u64 size = be64(f + 48), chs = (u64)be16(f + 56) * f[58] * f[59];
    bool rounds =
        !memcmp(f + 28, "vpc ", 4) || !memcmp(f + 28, "vs  ", 4) || !memcmp(f + 28, "qemu", 4);

    if (rounds && chs && chs < GEOMETRY_MAX && chs * 512 <= size)
        size = chs * 512;
    return rounds && v->kind == VHD_FIXED ? min_u64(size, v->footer_at) : size;
}

static int vhd_check_bat(struct image *im, struct err *e)
{
    struct vhd *v = im->priv;
    u64 file = image_file_length(im, 0);
    u8 b[4096];

    for (u32 i = 0; i < v->entries; i++) {
        u32 n = (u32)min_u64(sizeof(b), (v->entries - i) * 4ull), k = i * 4 % sizeof(b), s;
        int r = k ? 0 : image_file_read(im, 0, v->bat_at + i * 4ull, b, n);

        if (r)
            return err_set(e, r, "%s: %s", image_path(im), strerror(-r));
        s = be32(b + k);
        if (s == VHD_UNUSED)
            continue;
        if (!range_ok(s * 512ull, v->bitmap + 512, file))
            return err_set(e, -EBADMSG,
                           "%s: block table, entry %u: block at sector %u, but the file has %llu "
                           "sectors",
                           image_path(im), i, s, (unsigned long long)(file / 512));
        v->next = max_u64(v->next, s * 512ull + v->bitmap + v->block);
    }
    return 0;
}

/* What one locator names; NULL when it cannot be read or names nothing. */
static char *vhd_locator(struct image *im, const u8 *l)
{
    u8 text[LOCATOR_MAX];
    u32 n = be32(l + 8);
    char *name;

    if (!n || n > sizeof(text) || image_file_read(im, 0, be64(l + 16), text, n))
        return NULL;
    name = memcmp(l, "MacX", 4) ? image_name_utf16(text, n / 2, true) : image_name_url(text, n);
    if (name && *name)
        return name;
    free(name);
    return NULL;
}

/* The parent's name: relative, absolute, as a URL, or the one in the header. */
static int vhd_parent(struct image *im, struct err *e)
{
    static const char *const codes[] = { "W2ru", "W2ku", "MacX" };
    const struct vhd *v = im->priv;
    bool found = false;

    for (size_t c = 0; c < LEN(codes) && !found; c++)
        for (const u8 *l = v->header + 576; l < v->header + 768 && !found; l += 24)
            if (!memcmp(l, codes[c], 4))
                found = parent_offer(im, vhd_locator(im, l));
    if (!found)
        parent_offer(im, image_name_utf16(v->header + 64, 256, false));
    im->parent_format = strdup("vhd");
    if (!im->parent_name || !im->parent_format)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    return *im->parent_name ? 0
                            : err_set(e, -EBADMSG, "%s: header: names no parent", image_path(im));
}

/* XenServer keeps a bit for each block that is all there, behind the block table. */
static int vhd_batmap(struct image *im, struct err *e)
{
    struct vhd *v = im->priv;
    u64 at = v->bat_at + round_up(v->room * 4ull, 512), len = 0;
    u32 sum = 0;
    u8 h[32];

    if (image_file_read(im, 0, at, h, sizeof(h)) || memcmp(h, "tdbatmap", 8) ||
        be32(h + 20) != 0x00010002 || be32(h + 16) > VHD_TABLE_MAX / 512)
        return 0;
    len = be32(h + 16) * 512ull;
    v->full = malloc(len + 1);
    if (!v->full)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if (image_file_read(im, 0, be64(h + 8), v->full, len))
        return 0;
    for (u64 i = 0; i < len; i++)
        sum += v->full[i];
    v->nfull = ~sum == be32(h + 24) ? (u32)len * 8 : 0;
    v->next = max_u64(v->next, be64(h + 8) < VHD_SIZE_MAX ? be64(h + 8) + len : 0);
    return 0;
}

bool vhd_is_full(const struct vhd *v, u64 block)
{
    return block < v->nfull && v->full[block / 8] >> (7 - block % 8) & 1;
}

/* Where the tables end: what is new goes behind. */
static u64 vhd_tables_end(const struct vhd *v)
{
    u64 end = max_u64(v->header_at + VHD_HEADER, v->bat_at + v->room * 4ull);

    for (const u8 *l = v->header + 576; v->kind == VHD_DIFFERENCING && l < v->header + 768; l += 24)
        if (be32(l) && be64(l + 16) < VHD_SIZE_MAX && be32(l + 8) <= LOCATOR_MAX)
            end = max_u64(end, be64(l + 16) + be32(l + 8));
    return round_up(end, 512);
}

static int vhd_open_dynamic(struct image *im, struct err *e)
{
    struct vhd *v = im->priv;
    u64 file = image_file_length(im, 0), need;
    u8 *h = v->header;
    int r;

    v->header_at = be64(v->footer + 16);
    if (image_file_read(im, 0, v->header_at, h, VHD_HEADER) || memcmp(h, "cxsparse", 8))
        return err_set(e, -EBADMSG, "%s: footer: no dynamic header at %llu", image_path(im),
                       (unsigned long long)v->header_at);
    if (vhd_sum(h, VHD_HEADER, 36) != be32(h + 36))
        return err_set(e, -EBADMSG, "%s: dynamic header: its checksum is wrong", image_path(im));
    v->bat_at = be64(h + 16);
    v->room = be32(h + 28);
    v->block = be32(h + 32);
    if (v->block < 4096 || v->block > 256u << 20 || v->block & (v->block - 1))
        return err_set(e, -EBADMSG, "%s: dynamic header: blocks of %llu bytes are not possible",
                       image_path(im), (unsigned long long)v->block);
    need = im->size / v->block + !!(im->size % v->block);
    if (v->room < need || v->room * 4ull > VHD_TABLE_MAX ||
        !range_ok(v->bat_at, v->room * 4ull, file))
        return err_set(e, -EBADMSG,
                       "%s: dynamic header: a block table of %u entries at %llu, %llu are expected",
                       image_path(im), v->room, (unsigned long long)v->bat_at,
                       (unsigned long long)need);
    v->entries = (u32)need;
    v->bitmap = round_up(v->block / 4096, 512);
    v->next = vhd_tables_end(v);
    im->cluster = 512;
    memcpy(v->parent_id, h + 40, 16);
    if (v->kind == VHD_DIFFERENCING && (r = vhd_parent(im, e)))
        return r;
    if ((r = vhd_batmap(im, e)) || (r = vhd_check_bat(im, e)))
        return r;
    return im->writable ? vhd_may_write(im, e) : 0;
}

static int vhd_open(struct image *im, struct err *e)
{
    struct vhd *v = im->priv = calloc(1, sizeof(*v));
    const u8 *f;
    int r;

    if (!v)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if ((r = vhd_find_footer(im, e)))
        return r;
    f = v->footer;
    v->kind = (enum vhd_kind)be32(f + 60);
    v->low_first = !memcmp(f + 28, "tap\0", 4) && be32(f + 32) == 0x00010000;
    memcpy(v->id, f + 68, 16);
    im->size = vhd_size(v);
    if (v->kind == VHD_DYNAMIC || v->kind == VHD_DIFFERENCING)
        return im->size > INT64_MAX ? err_set(e, -EBADMSG, "%s: footer: too big", image_path(im))
                                    : vhd_open_dynamic(im, e);
    if (v->kind != VHD_FIXED)
        return err_set(e, -EOPNOTSUPP, "%s: footer: a disk of type %u is not known", image_path(im),
                       (unsigned)v->kind);
    if (im->size > v->footer_at)
        return err_set(e, -EBADMSG, "%s: footer: a disk of %llu bytes in a file with %llu",
                       image_path(im), (unsigned long long)im->size,
                       (unsigned long long)v->footer_at);
    return 0;
}

static void vhd_close(struct image *im)
{
    struct vhd *v = im->priv;

    if (v)
        free(v->full);
    free(v);
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
    if (be32(b) == VHD_UNUSED)
        return 0;
    base = be32(b) * 512ull;
    if (vhd_is_full(v, off / v->block)) {
        x->kind = EXT_DATA;
        x->at = base + v->bitmap + in;
        return 0;
    }
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
    return 0;
}

static void vhd_facts_chs(const struct image_teller *to, const struct image *im, const u8 *f)
{
    u64 chs = (u64)be16(f + 56) * f[58] * f[59] * 512;

    fact_say(to, FACT_GEOMETRY, "%u/%u/%u", be16(f + 56), f[58], f[59]);
    if (chs != be64(f + 48) && memcmp(f + 28, "win ", 4))
        fact_say(to, FACT_OTHER, "size: geometry says %llu bytes, footer says %llu; %s is used",
                 (unsigned long long)chs, (unsigned long long)be64(f + 48),
                 im->size == be64(f + 48) ? "the footer" : "the geometry");
}

static void vhd_facts(struct image *im, const struct image_teller *to)
{
    static const char *const kinds[] = { "fixed", "dynamic", "differencing" };
    const struct vhd *v = im->priv;
    const u8 *f = v->footer;
    time_t made = (time_t)be32(f + 24) + VHD_EPOCH;
    char id[GUID_TEXT], when[40] = "";
    struct tm t;

    fact_say(to, FACT_VARIANT, "%s", kinds[v->kind - VHD_FIXED]);
    vhd_facts_chs(to, im, f);
    guid_text(f + 68, false, id);
    fact_say(to, FACT_ID, "%s", id);
    if (v->kind == VHD_DIFFERENCING) {
        guid_text(v->parent_id, false, id);
        fact_say(to, FACT_PARENT_ID, "%s", id);
    }
    fact_say(to, FACT_CREATOR, "%.4s %u.%u on %.4s", (const char *)f + 28, be16(f + 32),
             be16(f + 34), (const char *)f + 36);
    if (gmtime_r(&made, &t) && strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &t))
        fact_say(to, FACT_CREATED, "%s", when);
    if (v->copy_only)
        fact_say(to, FACT_DIRTY, "the footer at the end is missing: the first write restores it");
    if (f[84])
        fact_say(to, FACT_OTHER, "saved state: %u", f[84]);
    if (f[85])
        fact_say(to, FACT_OTHER, "hidden: %u", f[85]);
    if (v->nfull)
        fact_say(to, FACT_OTHER, "batmap: yes");
}

const struct image_format image_vhd = {
    .name = "vhd",
    .suffix = ".vhd",
    .about = "Virtual PC, Hyper-V, XenServer: fixed, dynamic, differencing",
    .can = CAN_WRITE | CAN_CREATE | CAN_PARENT | CAN_TRIM | CAN_GROW | CAN_STREAM,
    .options = vhd_options,
    .probe = vhd_probe,
    .open = vhd_open,
    .close = vhd_close,
    .adopt = vhd_adopt,
    .map = vhd_map,
    .touch = vhd_touch,
    .room = vhd_room,
    .trim = punch_trim,
    .check = vhd_check,
    .repair = vhd_repair,
    .create = vhd_create,
    .grow = vhd_grow,
    .rebase = vhd_rebase,
    .facts = vhd_facts,
    .begin = vhd_begin,
    .put = vhd_put,
    .end = vhd_end,
};
