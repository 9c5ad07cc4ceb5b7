/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multiboot kernels, after the Multiboot Specification 0.6.96: ELF and the address fields of
 * the header ("a.out kludge"), modules, memory map.  Not done: video modes, symbol tables,
 * drive lists, Multiboot 2.
 */
#include "firmware/boot_int.h"
#include <errno.h>
#include <stdio.h>

enum { MB_MAGIC = 0x1badb002, MB_LOADED = 0x2badb002, MB_SEARCH = 8192 };
enum { MB_ALIGN = 1, MB_MEMORY = 2, MB_VIDEO = 4, MB_ADDRESSES = 1 << 16, MB_MUST = 0xffff };
enum {
    INFO_HAS_MEMORY = 1 << 0,
    INFO_HAS_LINE = 1 << 2,
    INFO_HAS_MODULES = 1 << 3,
    INFO_HAS_MAP = 1 << 6,
    INFO_HAS_LOADER = 1 << 9,
    INFO_SIZE = 116,
    MAP_SIZE = 24,
    MODULE_SIZE = 16,
    MODULES = 32,
};

/* Offset of the header in the file, or -1. */
static i64 multiboot_find(struct span file)
{
    u64 end = min_u64(file.len, MB_SEARCH);

    for (u64 at = 0; at + 12 <= end; at += 4)
        if (le32(file.p + at) == MB_MAGIC &&
            (u32)(le32(file.p + at) + le32(file.p + at + 4) + le32(file.p + at + 8)) == 0)
            return (i64)at;
    return -1;
}

bool multiboot_is(struct span file)
{
    return multiboot_find(file) >= 0;
}

/* header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr */
static int multiboot_addresses(struct span file, u64 at, struct multiboot_image *im, struct err *e)
{
    const u8 *h = file.p + at + 12;
    u64 header, load, load_end, bss_end, from;

    if (!range_ok(at, 32, file.len))
        return err_set(e, -EINVAL, "multiboot header: the file ends inside it");
    header = le32(h);
    load = le32(h + 4);
    load_end = le32(h + 8);
    bss_end = le32(h + 12);
    im->entry = le32(h + 16);
    if (load > header || header - load > at)
        return err_set(e, -EINVAL, "multiboot header: load_addr 0x%llx, header_addr 0x%llx",
                       (unsigned long long)load, (unsigned long long)header);
    from = at - (header - load);
    if (!load_end)
        load_end = load + (file.len - from);
    if (load_end < load || !range_ok(from, load_end - load, file.len))
        return err_set(e, -EINVAL, "multiboot header: load_end_addr 0x%llx, but the file has %zu",
                       (unsigned long long)load_end, file.len);
    im->n = 1;
    im->piece[0] = (struct elf_piece){ .at = load,
                                       .data = { file.p + from, load_end - load },
                                       .size = max_u64(bss_end, load_end) - load };
    return 0;
}

int multiboot_parse(struct span file, struct multiboot_image *im, struct err *e)
{
    i64 at = multiboot_find(file);
    struct elf_image elf;
    int r;

    *im = (struct multiboot_image){ 0 };
    if (at < 0)
        return err_set(e, -EINVAL, "multiboot: no header in the first %d bytes", MB_SEARCH);
    im->flags = le32(file.p + at + 4);
    if (im->flags & MB_MUST & ~(MB_ALIGN | MB_MEMORY | MB_VIDEO))
        return err_set(e, -EOPNOTSUPP, "multiboot header: flags 0x%x ask for what is not there",
                       im->flags);
    if (im->flags & MB_ADDRESSES)
        return multiboot_addresses(file, (u64)at, im, e);
    r = elf_parse(file, &elf, e);
    if (r)
        return r;
    im->entry = elf.entry;
    im->n = elf.n;
    memcpy(im->piece, elf.piece, sizeof(im->piece));
    if (im->entry >> 32)
        return err_set(e, -EINVAL, "multiboot: entry 0x%llx is not below 4 GiB",
                       (unsigned long long)im->entry);
    return 0;
}

/* The next "file args" of a list with commas between; ",," is a comma. */
static const char *multiboot_word(const char *from, char *to, size_t room)
{
    size_t n = 0;

    while (*from && (*from != ',' || from[1] == ',')) {
        if (n + 1 < room)
            to[n++] = *from;
        from += *from == ',' ? 2 : 1;
    }
    to[n] = 0;
    return *from ? from + 1 : from;
}

static int multiboot_module(struct boot *b, const char *text, u64 *top, u8 *entry, struct err *e)
{
    char path[4096];
    u64 size, from = *top;
    u32 line;
    int r;

    snprintf(path, sizeof(path), "%.*s", (int)strcspn(text, " "), text);
    r = file_size(path, &size, e);
    r = r ? r : place_line(b, text, &line, e);
    if (r)
        return r;
    if (!range_ok(from, size, b->high_end))
        return err_set(e, -ENOSPC, "%s: %llu bytes do not fit between 0x%llx and 0x%llx", path,
                       (unsigned long long)size, (unsigned long long)from,
                       (unsigned long long)b->high_end);
    put_le32(entry, (u32)from);
    put_le32(entry + 4, (u32)(from + size));
    put_le32(entry + 8, line);
    *top = (from + size + 0xfff) & ~0xfffull;
    return place_file(b, path, from, size, e);
}

/* Modules stand above the kernel, each on its own page. */
static int multiboot_modules(struct boot *b, const struct multiboot_image *im, u64 lists, u32 *n,
                             struct err *e)
{
    u8 table[MODULES * MODULE_SIZE] = { 0 };
    const char *from = b->how->initrd;
    char text[4096];
    u64 top = HIGH_BASE;
    int r = 0;

    for (u32 i = 0; i < im->n; i++)
        top = max_u64(top, im->piece[i].at + im->piece[i].size);
    top = (top + 0xfff) & ~0xfffull;
    for (*n = 0; from && *from && !r; (*n)++) {
        from = multiboot_word(from, text, sizeof(text));
        if (*n == MODULES)
            return err_set(e, -E2BIG, "more than %d modules", MODULES);
        r = multiboot_module(b, text, &top, table + *n * MODULE_SIZE, e);
    }
    return r ? r : place(b, lists, table, *n * MODULE_SIZE, "modules", e);
}

/* Its first word is the kernel's name, as GRUB legacy gives it and kernels strip it. */
static int multiboot_line(struct boot *b, u32 *at, struct err *e)
{
    struct buf text = { 0 };
    const char *append = b->how->append ? b->how->append : "";
    int r = buf_text(&text, "%s%s%s", b->how->kernel, *append ? " " : "", append);

    r = r ? r : buf_add(&text, "", 1);
    if (r)
        err_set(e, r, "no memory for the command line");
    else
        r = place_line(b, (const char *)text.p, at, e);
    buf_fini(&text);
    return r;
}

static int multiboot_info(struct boot *b, const struct multiboot_image *im, struct err *e)
{
    u8 info[INFO_SIZE] = { 0 }, map[E820_MAX * MAP_SIZE] = { 0 };
    u32 line = 0, loader = 0, modules = 0;
    u64 lists = INFO_LISTS + sizeof(map);
    int r = multiboot_line(b, &line, e);

    for (u32 i = 0; i < b->map.n; i++) {
        u8 *p = map + i * MAP_SIZE;

        put_le32(p, MAP_SIZE - 4);
        put_le64(p + 4, b->map.range[i].base);
        put_le64(p + 12, b->map.range[i].len);
        put_le32(p + 20, b->map.range[i].type);
    }
    r = r ? r : place_line(b, "mimic", &loader, e);
    r = r ? r : multiboot_modules(b, im, lists, &modules, e);
    put_le32(info,
             INFO_HAS_MEMORY | INFO_HAS_LINE | INFO_HAS_MODULES | INFO_HAS_MAP | INFO_HAS_LOADER);
    put_le32(info + 4, EBDA_BASE >> 10);
    put_le32(info + 8, (u32)((b->high_end - HIGH_BASE) >> 10));
    put_le32(info + 16, line);
    put_le32(info + 20, modules);
    put_le32(info + 24, (u32)lists);
    put_le32(info + 44, b->map.n * MAP_SIZE);
    put_le32(info + 48, INFO_LISTS);
    put_le32(info + 64, loader);
    r = r ? r : place(b, INFO_LISTS, map, sizeof(map), "memory map", e);
    return r ? r : place(b, INFO_START, info, sizeof(info), "multiboot information", e);
}

int multiboot_boot(struct boot *b, struct span file, struct firmware_start *out, struct err *e)
{
    struct multiboot_image im;
    int r = multiboot_parse(file, &im, e);

    for (u32 i = 0; i < im.n && !r; i++)
        r = place_piece(b, &im.piece[i], "kernel", e);
    r = r ? r : legacy_interrupts(b, e);
    r = r ? r : multiboot_info(b, &im, e);
    r = r ? r : start_flat32(b, im.entry, &out->state, e);
    out->state.gpr[RAX] = MB_LOADED;
    out->state.gpr[RBX] = INFO_START;
    return r;
}
