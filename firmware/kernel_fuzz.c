/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a kernel: the parsers answer, and what they answer lies inside the file. */
#include "firmware/boot_int.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void pieces(const struct elf_piece *p, u32 n, struct span file)
{
    volatile u8 sum = 0;

    for (u32 i = 0; i < n; i++) {
        if (p[i].data.len > p[i].size || p[i].data.p < file.p ||
            p[i].data.p + p[i].data.len > file.p + file.len)
            abort();
        if (p[i].data.len)
            sum = (u8)(sum + p[i].data.p[0] + p[i].data.p[p[i].data.len - 1]);
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct span file = { data, size };
    static struct elf_image elf;
    static struct multiboot_image multi;
    struct linux_image im;

    if (linux_is(file) && !linux_parse(file, &im, NULL) &&
        (im.setup >= size || im.header_end > size || im.load < HIGH_BASE))
        abort();
    if (elf_is(file) && !elf_parse(file, &elf, NULL))
        pieces(elf.piece, elf.n, file);
    if (multiboot_is(file) && !multiboot_parse(file, &multi, NULL))
        pieces(multi.piece, multi.n, file);
    return 0;
}
