/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A new VHD: fixed, dynamic, or differencing when it has a parent.  The size is kept to the
 * byte and the creator is one whose size everybody takes as it is; "geometry=vpc" rounds up
 * to whole cylinders for Virtual PC, which goes by its geometry.
 */
#include "base/bytes.h"
#include "image/vhd_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#define LOCATORS_AT (VHD_FOOTER + VHD_HEADER)
#define LOCATOR_SPACE 2048
#define BLOCK_DEFAULT (2u << 20)
#define STREAM_UNIT 65536

const struct image_option vhd_options[] = {
    { "variant", "dynamic fixed differencing",
      "dynamic grows with its content; differencing: over a parent" },
    { "geometry", "exact vpc", "vpc: the size is rounded up to whole cylinders, for Virtual PC" },
    { NULL },
};

/* The specification's appendix: cylinders, heads, sectors of a disk. */
void vhd_geometry(u64 size, u8 *chs)
{
    u64 total = min_u64(size / 512, 65535ull * 16 * 255), cylinders;
    u32 heads, sectors;

    if (total >= 65535ull * 16 * 63) {
        sectors = 255;
        heads = 16;
    } else {
        sectors = 17;
        heads = (u32)((total / 17 + 1023) / 1024);
        if (heads < 4)
            heads = 4;
        if (total / 17 >= heads * 1024ull || heads > 16) {
            sectors = 31;
            heads = 16;
        }
        if (total / sectors >= heads * 1024ull) {
            sectors = 63;
            heads = 16;
        }
    }
    cylinders = total / sectors / heads;
    put_be16(chs, (u16)cylinders);
    chs[2] = (u8)heads;
    chs[3] = (u8)sectors;
}

/* The smallest size of whole cylinders that holds this one. */
static u64 vhd_round_size(u64 size)
{
    u8 chs[4];

    for (u64 try = round_up(size, 512);; try += 512) {
        u64 whole;

        vhd_geometry(try, chs);
        whole = (u64)be16(chs) * chs[2] * chs[3] * 512;
        if (whole >= size || be16(chs) == 65535)
            return max_u64(whole, size);
    }
}

static int vhd_make_footer(u8 *f, enum vhd_kind kind, u64 size, bool vpc)
{
    int r = guid_make(f + 68);

    memcpy(f, "conectix", 8);
    put_be32(f + 8, 2);
    put_be32(f + 12, 0x00010000);
    put_be64(f + 16, kind == VHD_FIXED ? ~0ull : VHD_FOOTER);
    put_be32(f + 24, (u32)(time(NULL) - VHD_EPOCH));
    memcpy(f + 28, vpc ? "vpc " : "win ", 4);
    put_be32(f + 32, vpc ? 0x00050003 : 0x00060001);
    memcpy(f + 36, "Wi2k", 4);
    put_be64(f + 40, size);
    put_be64(f + 48, size);
    vhd_geometry(size, f + 56);
    put_be32(f + 60, kind);
    put_be32(f + 64, vhd_sum(f, VHD_FOOTER, 64));
    return r;
}

/* A locator's entry and its text; the space is counted in bytes, as most do. */
static int vhd_put_locator(struct image *im, u8 *l, const char *code, const u8 *text, size_t n,
                           u64 *at)
{
    u8 space[LOCATOR_SPACE] = { 0 };
    u64 len = round_up(n, 512);
    int r;

    memcpy(space, text, n);
    memcpy(l, code, 4);
    put_be32(l + 4, (u32)len);
    put_be32(l + 8, (u32)n);
    put_be64(l + 16, *at);
    r = image_file_write(im, 0, *at, space, len);
    *at += len;
    return r;
}

/* "file://" and the path, with what is no plain letter as %xx. */
static size_t vhd_url(const char *path, char *to, size_t room)
{
    size_t n = (size_t)snprintf(to, room, "file://%s", *path == '/' ? "" : "./");

    for (; *path && n + 4 < room; path++) {
        bool plain = (*path >= 'a' && *path <= 'z') || (*path >= 'A' && *path <= 'Z') ||
                     (*path >= '-' && *path <= '9') || *path == '_' || *path == '~';

        n += (size_t)snprintf(to + n, room - n, plain ? "%c" : "%%%02X", (u8)*path);
    }
    return *path ? 0 : n;
}

/* Relative when the parent lies beside; else only by its path. */
static int vhd_put_locators(struct image *im, const char *name, const char *whole, u8 *h, u64 *at)
{
    u8 text[LOCATOR_SPACE];
    u8 *l = h + 576;
    char url[LOCATOR_SPACE];
    char *relative = NULL;
    size_t n;
    int r = 0;

    if (*name != '/') {
        if (asprintf(&relative, "./%s", name) < 0)
            return -ENOMEM;
        n = image_utf16_name(relative, text, sizeof(text) / 2, true);
        free(relative);
        r = n ? vhd_put_locator(im, l, "W2ru", text, n * 2, at) : -ENAMETOOLONG;
        l += 24;
    }
    n = r ? 0 : image_utf16_name(whole, text, sizeof(text) / 2, true);
    if (!r)
        r = n ? vhd_put_locator(im, l, "W2ku", text, n * 2, at) : -ENAMETOOLONG;
    l += 24;
    n = r ? 0 : vhd_url(name, url, sizeof(url));
    return !n ? r : vhd_put_locator(im, l, "MacX", (u8 *)url, n, at);
}

/* What a differencing disk says of its parent. */
int vhd_put_parent(struct image *im, const struct image_make *how, u8 *h, u64 *at, struct err *e)
{
    const struct vhd *up = how->base->priv;
    char *whole = realpath(image_path(how->base), NULL);
    const char *last = strrchr(how->parent, '/');
    struct stat st;
    int r = whole && !stat(whole, &st) ? 0 : -errno;

    if (!r) {
        memcpy(h + 40, up->footer + 68, 16);
        put_be32(h + 56, (u32)(st.st_mtime - VHD_EPOCH));
        if (!image_utf16_name(last ? last + 1 : how->parent, h + 64, 255, false))
            r = -ENAMETOOLONG;
    }
    if (!r)
        r = vhd_put_locators(im, how->parent, whole, h, at);
    free(whole);
    return r ? err_set(e, r, "%s: its parent's name: %s", image_path(im), strerror(-r)) : 0;
}

static int vhd_put_dynamic(struct image *im, const struct image_make *how, u8 *f, u32 block,
                           struct err *e)
{
    u64 entries = be64(f + 48) / block + !!(be64(f + 48) % block), at = LOCATORS_AT;
    u8 h[VHD_HEADER] = { 0 }, none[4096];
    int r = 0;

    memcpy(h, "cxsparse", 8);
    put_be64(h + 8, ~0ull);
    put_be32(h + 24, 0x00010000);
    put_be32(h + 28, (u32)entries);
    put_be32(h + 32, block);
    if (how->base && (r = vhd_put_parent(im, how, h, &at, e)))
        return r;
    put_be64(h + 16, at);
    put_be32(h + 36, vhd_sum(h, VHD_HEADER, 36));
    memset(none, 0xff, sizeof(none));
    for (u64 left = round_up(entries * 4, 512), n; !r && left; left -= n, at += n) {
        n = min_u64(left, sizeof(none));
        r = image_file_write(im, 0, at, none, n);
    }
    r = r ? r : image_file_write(im, 0, VHD_FOOTER, h, VHD_HEADER);
    r = r ? r : image_file_write(im, 0, 0, f, VHD_FOOTER);
    r = r ? r : image_file_write(im, 0, at, f, VHD_FOOTER);
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}

static int vhd_refuse(struct image *im, const struct image_make *how, enum vhd_kind kind, u64 size,
                      u32 block, struct err *e)
{
    if (size > VHD_SIZE_MAX)
        return err_set(e, -EFBIG, "%s: a VHD holds at most 2040 GiB", image_path(im));
    if (block < 65536 || block > 256u << 20 || block & (block - 1) ||
        size / block >= VHD_TABLE_MAX / 4)
        return err_set(e, -EINVAL, "%s: blocks of %u bytes for %llu bytes are not possible",
                       image_path(im), block, (unsigned long long)size);
    if (!how->base)
        return kind != VHD_DIFFERENCING
                   ? 0
                   : err_set(e, -EINVAL, "%s: a differencing disk needs a parent", image_path(im));
    if (kind == VHD_FIXED)
        return err_set(e, -EINVAL, "%s: a fixed disk has no parent", image_path(im));
    if (how->base->format != im->format || how->base->files[0].window)
        return err_set(e, -EINVAL,
                       "%s: the parent of a VHD is a VHD in a file of its own; over others a qcow2 "
                       "can be made",
                       image_path(im));
    return 0;
}

/* What the options ask for: the kind, the size as it will be, "vpc " or not. */
static enum vhd_kind vhd_choose(const struct image *im, const struct image_make *how, u64 *size,
                                bool *vpc)
{
    char variant[16], geometry[16];

    image_option(im->format, how, "geometry", geometry, sizeof(geometry));
    image_option(im->format, how, "variant", variant, sizeof(variant));
    *vpc = !strcasecmp(geometry, "vpc");
    *size = *vpc && how->size < VHD_SIZE_MAX ? vhd_round_size(how->size)
                                             : round_up(min_u64(how->size, INT64_MAX), 512);
    if (!strcasecmp(variant, "fixed"))
        return VHD_FIXED;
    return how->base || !strcasecmp(variant, "differencing") ? VHD_DIFFERENCING : VHD_DYNAMIC;
}

int vhd_create(struct image *im, const struct image_make *how, struct err *e)
{
    u32 block = how->block ? how->block : BLOCK_DEFAULT;
    u8 f[VHD_FOOTER] = { 0 };
    bool vpc;
    u64 size;
    enum vhd_kind kind = vhd_choose(im, how, &size, &vpc);
    int r = vhd_refuse(im, how, kind, size, block, e);

    if (r)
        return r;
    r = vhd_make_footer(f, kind, size, vpc);
    if (!r && kind == VHD_FIXED)
        r = image_file_write(im, 0, size, f, VHD_FOOTER);
    if (r)
        return err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    return kind == VHD_FIXED ? 0 : vhd_put_dynamic(im, how, f, block, e);
}

/* A fixed disk goes down a pipe: its bytes, then the footer. */
int vhd_begin(struct image *im, const struct image_make *how, struct err *e)
{
    struct vhd *v;
    bool vpc;
    u64 size;

    if (vhd_choose(im, how, &size, &vpc) != VHD_FIXED || !im->append)
        return 0;
    if (size > VHD_SIZE_MAX)
        return err_set(e, -EFBIG, "output: a VHD holds at most 2040 GiB");
    im->priv = v = calloc(1, sizeof(*v));
    if (!v || vhd_make_footer(v->footer, VHD_FIXED, size, vpc))
        return err_set(e, -ENOMEM, "output: no memory");
    im->pack.unit = STREAM_UNIT;
    v->footer_at = size;
    return 1;
}

int vhd_put(struct image *im, u64 off, const u8 *data, u32 len, bool packed)
{
    int r = image_append_zeroes(im, off - im->appended);

    return r ? r : image_append(im, data, len);
}

int vhd_end(struct image *im, struct err *e)
{
    const struct vhd *v = im->priv;
    int r = image_append_zeroes(im, v->footer_at - im->appended);

    r = r ? r : image_append(im, v->footer, VHD_FOOTER);
    return r ? err_set(e, r, "output: %s", strerror(-r)) : 0;
}
