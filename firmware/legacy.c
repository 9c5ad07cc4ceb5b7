/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts as a PC BIOS leaves them, for kernels that are started without one and go back
 * to real mode: a vector table whose entries return, interrupt controllers at vectors 8 and
 * 70h, the timer at 18.2 Hz.  Intel 8259A and 8254 data sheets; IBM PC AT BIOS for the places.
 */
#include "firmware/boot_int.h"

enum { LEGACY_STUBS = 0xfff00, LEGACY_SEGMENT = 0xf000, LEGACY_VECTORS = 256 };
enum { PIC1 = 0x20, PIC2 = 0xa0, PIT_CHANNEL0 = 0x40, PIT_COMMAND = 0x43 };
enum { FIRST_VECTOR = 8, SECOND_VECTOR = 0x70, CASCADE = 2 };

/* iret; the same after an end of interrupt to the first controller; to both */
static const u8 legacy_return[] = { 0xcf };
static const u8 legacy_first[] = { 0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf };
static const u8 legacy_second[] = { 0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf };

static void legacy_pic(struct space *ports, u32 at, u8 vector, u8 cascade, u8 mask)
{
    if (!space_has(ports, at))
        return;
    space_store(ports, at, 1, 0x11); /* ICW1: edges, cascaded, with ICW4 */
    space_store(ports, at + 1, 1, vector);
    space_store(ports, at + 1, 1, cascade);
    space_store(ports, at + 1, 1, 1); /* ICW4: 8086 */
    space_store(ports, at + 1, 1, mask);
}

static void legacy_timer(struct space *ports)
{
    if (!space_has(ports, PIT_COMMAND))
        return;
    space_store(ports, PIT_COMMAND, 1, 0x36); /* channel 0, square wave, 65536 */
    space_store(ports, PIT_CHANNEL0, 1, 0);
    space_store(ports, PIT_CHANNEL0, 1, 0);
}

int legacy_interrupts(struct boot *b, struct err *e)
{
    u8 stubs[64] = { 0 }, table[LEGACY_VECTORS * 4];
    struct space *ports = machine_ports(b->m);
    int r;

    memcpy(stubs, legacy_return, sizeof(legacy_return));
    memcpy(stubs + 16, legacy_first, sizeof(legacy_first));
    memcpy(stubs + 32, legacy_second, sizeof(legacy_second));
    for (u32 v = 0; v < LEGACY_VECTORS; v++) {
        u32 stub = v >= FIRST_VECTOR && v < FIRST_VECTOR + 8     ? 16
                   : v >= SECOND_VECTOR && v < SECOND_VECTOR + 8 ? 32
                                                                 : 0;

        put_le16(table + 4 * v, (u16)(LEGACY_STUBS - (LEGACY_SEGMENT << 4) + stub));
        put_le16(table + 4 * v + 2, LEGACY_SEGMENT);
    }
    /* what lies below is written to: where the guest wants to wake is in the FACS */
    machine_shadow(b->m, BIOS_AREA_SMBIOS, BIOS_AREA_END - BIOS_AREA_SMBIOS, true);
    r = gmem_write(b->ram, LEGACY_STUBS, stubs, sizeof(stubs));
    machine_shadow(b->m, BIOS_AREA_SMBIOS, BIOS_AREA_END - BIOS_AREA_SMBIOS, false);
    if (r)
        return err_set(e, r, "no RAM for the BIOS below 1 MiB");
    legacy_pic(ports, PIC1, FIRST_VECTOR, 1 << CASCADE, 0xb8);
    legacy_pic(ports, PIC2, SECOND_VECTOR, CASCADE, 0x8f);
    legacy_timer(ports);
    return place(b, 0, table, sizeof(table), "interrupt vectors", e);
}
