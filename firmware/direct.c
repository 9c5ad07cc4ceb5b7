/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel without a BIOS: which protocol the file speaks, and the few things that every
 * kernel expects a BIOS to have left: the BIOS data area, the local APIC of the first
 * processor as a virtual wire (MultiProcessor Specification 1.4, 3.6.2.2).
 */
#include "firmware/boot_int.h"
#include <errno.h>

enum { KERNEL_LIMIT = 1 << 30 };
enum { APIC_BASE = 0xfee00000, APIC_SVR = 0xf0, APIC_LINT0 = 0x350, APIC_LINT1 = 0x360 };

static int direct_bios_data(struct boot *b, struct err *e)
{
    u8 bda[256] = { 0 };
    const u8 ebda_kib = 1;
    int r;

    put_le16(bda, 0x3f8); /* COM1, COM2 */
    put_le16(bda + 2, 0x2f8);
    put_le16(bda + 0x0e, EBDA_BASE >> 4);
    put_le16(bda + 0x13, EBDA_BASE >> 10);
    bda[0x49] = 3; /* video mode, columns */
    bda[0x4a] = 80;
    put_le16(bda + 0x63, 0x3d4);
    bda[0x84] = 24;
    r = place(b, BIOS_DATA, bda, sizeof(bda), "BIOS data", e);
    return r ? r : place(b, EBDA_BASE, &ebda_kib, 1, "BIOS data", e);
}

static void direct_apic(struct machine *m)
{
    struct space *s = machine_memory(m);

    if (!space_has(s, APIC_BASE))
        return;
    space_store(s, APIC_BASE + APIC_SVR, 4, 0x1ff);
    space_store(s, APIC_BASE + APIC_LINT0, 4, 0x700); /* ExtINT */
    space_store(s, APIC_BASE + APIC_LINT1, 4, 0x400); /* NMI */
}

static int direct_file(struct boot *b, struct span file, struct firmware_start *out, struct err *e)
{
    struct elf_image im;
    int r;

    if (linux_is(file))
        return linux_boot(b, file, out, e);
    if (multiboot_is(file))
        return multiboot_boot(b, file, out, e);
    if (!elf_is(file))
        return err_set(e, -EINVAL, "neither a Linux image, nor multiboot, nor ELF");
    r = elf_parse(file, &im, e);
    if (r)
        return r;
    if (!im.pvh)
        return err_set(e, -EINVAL, "an ELF file without the PVH note (PHYS32_ENTRY)");
    return pvh_boot(b, file, &im, out, e);
}

int direct_boot(struct machine *m, const struct firmware_how *how, u64 rsdp,
                struct firmware_start *out, struct err *e)
{
    struct boot b = { .m = m,
                      .ram = machine_ram(m),
                      .how = how,
                      .rsdp = rsdp,
                      .high_end = machine_low_ram(m),
                      .line_at = INFO_LINE };
    struct buf file = { 0 };
    int r;

    e820_direct(&b.map, m);
    r = file_read(how->kernel, KERNEL_LIMIT, &file, e);
    r = r ? r : direct_bios_data(&b, e);
    if (!r) {
        r = direct_file(&b, (struct span){ file.p, file.len }, out, e);
        if (r)
            err_in(e, "%s: ", how->kernel);
    }
    buf_fini(&file);
    if (r)
        return r;
    direct_apic(m);
    out->direct = true;
    return 0;
}

/* ACPI 5.2.10 and 16.3.2: CS is the vector's paragraph. */
int direct_wake(struct machine *m, u32 vector, struct firmware_start *out, struct err *e)
{
    struct x86_segment *cs = &out->state.seg[SEG_CS];

    if (!vector || vector >= HIGH_BASE)
        return err_set(e, -ENOENT, "the guest slept and does not say where it wakes (0x%x)",
                       vector);
    cs->sel = (u16)(vector >> 4);
    cs->base = vector & ~15u;
    out->state.rip = vector & 15;
    direct_apic(m);
    out->direct = true;
    return 0;
}
