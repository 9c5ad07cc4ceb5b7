/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PVH: ELF kernels with the note PHYS32_ENTRY, after Xen's "x86/HVM direct boot ABI": flat
 * 32-bit protected mode, EBX = struct hvm_start_info version 1.
 */
#include "firmware/boot_int.h"
#include <errno.h>

enum { START_MAGIC = 0x336ec578, START_SIZE = 56, MAP_ENTRY = 24, MODULE_SIZE = 32 };

/* The one module: an initrd, at the top of low RAM. */
static int pvh_initrd(struct boot *b, const struct elf_image *im, u8 *start, u64 lists,
                      struct err *e)
{
    const char *path = b->how->initrd;
    u8 module[MODULE_SIZE] = { 0 };
    u64 size, at, kernel_end = HIGH_BASE;
    int r = file_size(path, &size, e);

    if (r)
        return r;
    for (u32 i = 0; i < im->n; i++)
        kernel_end = max_u64(kernel_end, im->piece[i].at + im->piece[i].size);
    at = size < b->high_end ? (b->high_end - size) & ~0xfffull : 0;
    if (at < kernel_end)
        return err_set(e, -ENOSPC, "%s: %llu bytes do not fit between 0x%llx and 0x%llx", path,
                       (unsigned long long)size, (unsigned long long)kernel_end,
                       (unsigned long long)b->high_end);
    put_le64(module, at);
    put_le64(module + 8, size);
    put_le32(start + 12, 1);
    put_le64(start + 16, lists);
    r = place(b, lists, module, sizeof(module), "PVH modules", e);
    return r ? r : place_file(b, path, at, size, e);
}

static int pvh_info(struct boot *b, const struct elf_image *im, struct err *e)
{
    u8 start[START_SIZE] = { 0 }, map[E820_MAX * MAP_ENTRY] = { 0 };
    u32 line = 0;
    int r = place_line(b, b->how->append ? b->how->append : "", &line, e);

    for (u32 i = 0; i < b->map.n; i++) {
        put_le64(map + i * MAP_ENTRY, b->map.range[i].base);
        put_le64(map + i * MAP_ENTRY + 8, b->map.range[i].len);
        put_le32(map + i * MAP_ENTRY + 16, b->map.range[i].type);
    }
    put_le32(start, START_MAGIC);
    put_le32(start + 4, 1);
    put_le64(start + 24, line);
    put_le64(start + 32, b->rsdp);
    put_le64(start + 40, INFO_LISTS);
    put_le32(start + 48, b->map.n);
    r = r ? r : place(b, INFO_LISTS, map, b->map.n * MAP_ENTRY, "PVH memory map", e);
    if (!r && b->how->initrd)
        r = pvh_initrd(b, im, start, INFO_LISTS + sizeof(map), e);
    return r ? r : place(b, INFO_START, start, sizeof(start), "PVH start info", e);
}

int pvh_boot(struct boot *b, struct span file, const struct elf_image *im,
             struct firmware_start *out, struct err *e)
{
    int r = 0;

    if (im->pvh_entry >> 32)
        return err_set(e, -EINVAL, "PVH entry 0x%llx is not below 4 GiB",
                       (unsigned long long)im->pvh_entry);
    for (u32 i = 0; i < im->n && !r; i++)
        r = place_piece(b, &im->piece[i], "kernel", e);
    r = r ? r : pvh_info(b, im, e);
    r = r ? r : start_flat32(b, im->pvh_entry, &out->state, e);
    out->state.gpr[RBX] = INFO_START;
    return r;
}
