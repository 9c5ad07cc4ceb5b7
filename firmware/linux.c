/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linux images (bzImage) without a BIOS, after "The Linux/x86 Boot Protocol" of the kernel's
 * documentation: 64-bit entry when the image has one, else the 32-bit one.  memtest86+ uses
 * the same form.  Not done: the 16-bit entry, images that load low (zImage), EFI entries,
 * initrds above 4 GiB.
 */
#include "firmware/boot_int.h"
#include <errno.h>

/* offsets in the file and in the zero page alike */
enum {
    ZP_COLS = 0x07,
    ZP_MODE = 0x06,
    ZP_LINES = 0x0e,
    ZP_IS_VGA = 0x0f,
    ZP_POINTS = 0x10,
    ZP_RSDP = 0x70,
    ZP_E820_COUNT = 0x1e8,
    HDR_START = 0x1f1,
    HDR_SETUP_SECTS = 0x1f1,
    HDR_VID_MODE = 0x1fa,
    HDR_JUMP = 0x200,
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_CODE32 = 0x214,
    HDR_INITRD = 0x218,
    HDR_INITRD_SIZE = 0x21c,
    HDR_LINE = 0x228,
    HDR_INITRD_MAX = 0x22c,
    HDR_ALIGN = 0x230,
    HDR_MOVABLE = 0x234,
    HDR_XLOADFLAGS = 0x236,
    HDR_LINE_MAX = 0x238,
    HDR_PREFERRED = 0x258,
    HDR_INIT_SIZE = 0x260,
    HDR_MAX = 0x290,
    ZP_E820 = 0x2d0,
    ZP_SIZE = 0x1000,
};
enum { LOADED_HIGH = 1, KEEP_SEGMENTS = 0x40, XLF_KERNEL_64 = 1 };

bool linux_is(struct span file)
{
    return file.len >= HDR_VERSION && !memcmp(file.p + HDR_MAGIC, "HdrS", 4);
}

/* Fields that came with later versions of the protocol, and what holds without them. */
static void linux_later(const u8 *p, u64 payload, struct linux_image *im)
{
    u16 v = (u16)im->version;

    im->initrd_max = v >= 0x203 ? le32(p + HDR_INITRD_MAX) : 0x37ffffff;
    im->movable = v >= 0x205 && p[HDR_MOVABLE];
    im->align = v >= 0x205 ? le32(p + HDR_ALIGN) : 0;
    im->line_max = v >= 0x206 ? le32(p + HDR_LINE_MAX) : 255;
    im->load = v >= 0x20a && im->movable ? le64(p + HDR_PREFERRED) : HIGH_BASE;
    im->size = v >= 0x20a ? max_u64(le32(p + HDR_INIT_SIZE), payload) : payload * 4;
    im->entry64 = v >= 0x20c && (p[HDR_XLOADFLAGS] & XLF_KERNEL_64);
}

int linux_parse(struct span file, struct linux_image *im, struct err *e)
{
    const u8 *p = file.p;

    *im = (struct linux_image){ 0 };
    if (!linux_is(file) || file.len < HDR_MAX)
        return err_set(e, -EINVAL, "setup header: no \"HdrS\" at 0x202");
    im->version = le16(p + HDR_VERSION);
    if (im->version < 0x202)
        return err_set(e, -EOPNOTSUPP, "boot protocol %u.%02u; 2.02 or later is expected",
                       im->version >> 8, im->version & 0xff);
    if (!(p[HDR_LOADFLAGS] & LOADED_HIGH))
        return err_set(e, -EOPNOTSUPP, "loadflags: the image loads below 1 MiB (zImage)");
    im->setup = ((p[HDR_SETUP_SECTS] ? p[HDR_SETUP_SECTS] : 4) + 1) * 512ull;
    if (im->setup >= file.len)
        return err_set(e, -EINVAL, "setup_sects: %u sectors, but the file has %zu bytes",
                       p[HDR_SETUP_SECTS], file.len);
    im->header_end = HDR_MAGIC + p[HDR_JUMP + 1];
    if (im->header_end < HDR_MAGIC + 0x26 || im->header_end > HDR_MAX)
        return err_set(e, -EINVAL, "setup header: ends at 0x%x, not in 0x228 to 0x290",
                       im->header_end);
    linux_later(p, file.len - im->setup, im);
    if (im->movable && (im->align < 0x1000 || (im->align & (im->align - 1))))
        return err_set(e, -EINVAL, "kernel_alignment: 0x%x is not a power of two of pages",
                       im->align);
    if (im->load < HIGH_BASE || im->load > 0x40000000)
        return err_set(e, -EINVAL, "pref_address: 0x%llx is not in 1 MiB to 1 GiB",
                       (unsigned long long)im->load);
    if (im->entry64 && file.len - im->setup <= 0x200)
        return err_set(e, -EINVAL, "the 64-bit entry lies past the end of the file");
    return 0;
}

/* Where the kernel goes: where it wants, or lower when RAM ends before. */
static int linux_load(struct boot *b, struct linux_image *im, struct err *e)
{
    if (im->movable && !range_ok(im->load, im->size, b->high_end))
        im->load = ((u64)HIGH_BASE + im->align - 1) & ~((u64)im->align - 1);
    if (!range_ok(im->load, im->size, b->high_end))
        return err_set(e, -ENOSPC, "the kernel needs RAM up to 0x%llx, there is 0x%llx",
                       (unsigned long long)(im->load + im->size), (unsigned long long)b->high_end);
    return 0;
}

/* As high as it may be. */
static int linux_initrd(struct boot *b, const struct linux_image *im, u8 *zp, struct err *e)
{
    u64 size, at, end = min_u64(b->high_end, im->initrd_max + 1);
    const char *path = b->how->initrd;
    int r = file_size(path, &size, e);

    if (r)
        return r;
    at = size < end ? (end - size) & ~0xfffull : 0;
    if (at < im->load + im->size)
        return err_set(e, -ENOSPC, "%s: %llu bytes do not fit between 0x%llx and 0x%llx", path,
                       (unsigned long long)size, (unsigned long long)(im->load + im->size),
                       (unsigned long long)end);
    put_le32(zp + HDR_INITRD, (u32)at);
    put_le32(zp + HDR_INITRD_SIZE, (u32)size);
    return place_file(b, path, at, size, e);
}

static void linux_screen(u8 *zp)
{
    zp[ZP_MODE] = 3;
    zp[ZP_COLS] = 80;
    zp[ZP_LINES] = 25;
    zp[ZP_IS_VGA] = 1;
    put_le16(zp + ZP_POINTS, 16);
}

static int linux_zero_page(struct boot *b, struct span file, const struct linux_image *im,
                           struct err *e)
{
    u8 zp[ZP_SIZE] = { 0 };
    const char *line = b->how->append ? b->how->append : "";
    u32 at;
    int r;

    if (strlen(line) > im->line_max)
        return err_set(e, -E2BIG, "command line: %zu bytes; this kernel takes %u", strlen(line),
                       im->line_max);
    memcpy(zp + HDR_START, file.p + HDR_START, im->header_end - HDR_START);
    linux_screen(zp);
    put_le64(zp + ZP_RSDP, b->rsdp);
    put_le16(zp + HDR_VID_MODE, 0xffff);
    zp[HDR_LOADER] = 0xff;
    zp[HDR_LOADFLAGS] &= (u8)~KEEP_SEGMENTS;
    put_le32(zp + HDR_CODE32, (u32)im->load);
    zp[ZP_E820_COUNT] = (u8)b->map.n;
    e820_bytes(&b->map, zp + ZP_E820);
    r = place_line(b, line, &at, e);
    put_le32(zp + HDR_LINE, at);
    if (!r && b->how->initrd)
        r = linux_initrd(b, im, zp, e);
    return r ? r : place(b, INFO_ZERO_PAGE, zp, sizeof(zp), "zero page", e);
}

int linux_boot(struct boot *b, struct span file, struct firmware_start *out, struct err *e)
{
    struct linux_image im;
    int r = linux_parse(file, &im, e);

    r = r ? r : linux_load(b, &im, e);
    r = r ? r : place(b, im.load, file.p + im.setup, file.len - im.setup, "kernel", e);
    r = r ? r : linux_zero_page(b, file, &im, e);
    if (r)
        return r;
    r = im.entry64 ? start_long64(b, im.load + 0x200, &out->state, e)
                   : start_flat32(b, im.load, &out->state, e);
    out->state.gpr[RSI] = INFO_ZERO_PAGE;
    return r;
}
