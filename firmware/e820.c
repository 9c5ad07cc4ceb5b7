/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory map in the form of INT 15h E820, ACPI 6.4 chapter 15. */
#include "firmware/boot_int.h"

static void e820_add(struct e820 *t, u64 base, u64 end, u32 type)
{
    if (end > base && t->n < E820_MAX)
        t->range[t->n++] = (struct e820_range){ .base = base, .len = end - base, .type = type };
}

static void e820_above(struct e820 *t, const struct machine *m)
{
    u64 low = machine_low_ram(m), all = machine_ram_size(m);

    if (all > low)
        e820_add(t, 1ull << 32, (1ull << 32) + (all - low), E820_RAM);
}

void e820_direct(struct e820 *t, const struct machine *m)
{
    t->n = 0;
    e820_add(t, 0, EBDA_BASE, E820_RAM);
    e820_add(t, EBDA_BASE, 0xa0000, E820_RESERVED);
    e820_add(t, BIOS_AREA, BIOS_AREA_END, E820_RESERVED);
    e820_add(t, HIGH_BASE, machine_low_ram(m), E820_RAM);
    e820_above(t, m);
}

void e820_ram(struct e820 *t, const struct machine *m)
{
    t->n = 0;
    e820_add(t, 0, machine_low_ram(m), E820_RAM);
    e820_above(t, m);
}

u32 e820_bytes(const struct e820 *t, u8 *to)
{
    for (u32 i = 0; i < t->n; i++, to += E820_ENTRY) {
        put_le64(to, t->range[i].base);
        put_le64(to + 8, t->range[i].len);
        put_le32(to + 16, t->range[i].type);
    }
    return t->n * E820_ENTRY;
}
