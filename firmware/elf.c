/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF kernels, 32 and 64 bits: what to load by physical address, and the PVH entry note of
 * Xen's "x86/HVM direct boot ABI" (type 18, name "Xen").  After the System V gABI chapters
 * 4 and 5.  Sections, relocation and dynamic linking are left out.
 */
#include "firmware/boot_int.h"
#include <errno.h>

enum { PT_LOAD_ = 1, PT_NOTE_ = 4, EM_386_ = 3, EM_X86_64_ = 62, NOTE_PHYS32_ENTRY = 18 };
enum { ELF_HEADERS = 128 };

struct elf_header {
    u32 type;
    u64 off, at, file_size, size;
};

bool elf_is(struct span file)
{
    return file.len >= 52 && !memcmp(file.p, "\177ELF", 4);
}

static struct elf_header elf_header(const u8 *p, bool wide)
{
    if (wide)
        return (struct elf_header){ le32(p), le64(p + 8), le64(p + 24), le64(p + 32),
                                    le64(p + 40) };
    return (struct elf_header){ le32(p), le32(p + 4), le32(p + 12), le32(p + 16), le32(p + 20) };
}

static void elf_note(struct span s, struct elf_image *im)
{
    struct cursor c = cursor_of(s.p, s.len);

    while (!c.bad && c.len - c.at >= 12) {
        u32 name_len = get_le32(&c), len = get_le32(&c), type = get_le32(&c);
        const u8 *name = cursor_take(&c, ((u64)name_len + 3) & ~3ull);
        const u8 *body = cursor_take(&c, len);

        if (body && type == NOTE_PHYS32_ENTRY && name_len == 4 && !memcmp(name, "Xen", 4) &&
            len >= 4) {
            im->pvh = true;
            im->pvh_entry = len >= 8 ? le64(body) : le32(body);
        }
        cursor_take(&c, min_u64(-len & 3, c.len - c.at));
    }
}

static int elf_load(struct span file, const struct elf_header *h, u32 i, struct elf_image *im,
                    struct err *e)
{
    if (!range_ok(h->off, h->file_size, file.len))
        return err_set(e, -EINVAL,
                       "program header %u: 0x%llx bytes at 0x%llx, but the file has %zu", i,
                       (unsigned long long)h->file_size, (unsigned long long)h->off, file.len);
    if (h->type == PT_NOTE_) {
        elf_note((struct span){ file.p + h->off, h->file_size }, im);
        return 0;
    }
    if (h->size < h->file_size)
        return err_set(e, -EINVAL, "program header %u: memory size is below file size", i);
    if (!h->size)
        return 0;
    if (im->n == LEN(im->piece))
        return err_set(e, -E2BIG, "more than %zu segments to load", LEN(im->piece));
    im->piece[im->n++] = (struct elf_piece){ .at = h->at,
                                             .data = { file.p + h->off, h->file_size },
                                             .size = h->size };
    return 0;
}

int elf_parse(struct span file, struct elf_image *im, struct err *e)
{
    u64 table;
    u32 n, each, machine, header = 64;
    int r = 0;

    *im = (struct elf_image){ 0 };
    if (!elf_is(file) || file.p[5] != 1 || (file.p[4] != 1 && file.p[4] != 2))
        return err_set(e, -EINVAL, "ELF header: not little-endian of class 32 or 64");
    im->wide = file.p[4] == 2;
    if (!im->wide)
        header = 52;
    if (file.len < header)
        return err_set(e, -EINVAL, "ELF header: the file ends inside it");
    machine = le16(file.p + 18);
    if (machine != EM_386_ && machine != EM_X86_64_)
        return err_set(e, -EINVAL, "ELF header: e_machine is %u, not i386 (3) or x86-64 (62)",
                       machine);
    im->entry = im->wide ? le64(file.p + 24) : le32(file.p + 24);
    table = im->wide ? le64(file.p + 32) : le32(file.p + 28);
    each = le16(file.p + (im->wide ? 54 : 42));
    n = le16(file.p + (im->wide ? 56 : 44));
    if (each != (im->wide ? 56u : 32u) || !n || n > ELF_HEADERS ||
        !range_ok(table, (u64)n * each, file.len))
        return err_set(e, -EINVAL, "ELF header: %u program headers of %u bytes at 0x%llx", n, each,
                       (unsigned long long)table);
    for (u32 i = 0; i < n && !r; i++) {
        struct elf_header h = elf_header(file.p + table + (u64)i * each, im->wide);

        if (h.type == PT_LOAD_ || h.type == PT_NOTE_)
            r = elf_load(file, &h, i, im, e);
    }
    if (!r && !im->n)
        r = err_set(e, -EINVAL, "ELF: no segment to load");
    return r;
}
