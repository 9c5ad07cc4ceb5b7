/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes anything anywhere: AHCI registers, command lists, tables.  The input is
 * a program of short operations; a command that gets past the first checks is one of them.
 */
#include "tests/storage_fuzz.h"

enum { LIST = 0x10000, RX = 0x11000, TABLE = 0x20000 };

static u64 regs;

static void fuzz_start(void)
{
    regs = rig_bar(fuzz_adapter("ahci", "2", "sata.0", "sata.1"), 5);
}

static void fuzz_port(u32 port)
{
    u64 at = regs + 0x100 + port * 0x80;

    rig_store(&rig, at, 4, LIST);
    rig_store(&rig, at + 8, 4, RX);
    rig_store(&rig, at + 0x14, 4, ~0u);
    rig_store(&rig, at + 0x18, 4, 0x11);
}

/* A command by what the input says; numbers made small enough to mean something. */
static void fuzz_command(struct cursor *c)
{
    u8 slot = get_u8(c) & 31, how = get_u8(c), header[32] = { 5 }, fis[20] = { 0x27, 0x80 },
       prd[64];
    u32 port = how & 1, table = TABLE + slot * 0x1000u;
    const u8 *bytes = cursor_take(c, 18);

    if (bytes)
        memcpy(fis + 2, bytes, 18);
    if (!(how & 2))
        fis[5] = fis[6] = fis[8] = fis[9] = fis[10] = fis[13] = 0;
    if (how & 4)
        fis[12] = (u8)(slot << 3);
    put_le16(header + 2, how & 8 ? get_le16(c) : 4);
    put_le64(header + 8, how & 16 ? get_le64(c) : table);
    for (u32 i = 0; i < 4; i++) {
        put_le64(prd + 16 * i, how & 32 ? get_le64(c) : get_le32(c) & (RAM - 1));
        put_le64(prd + 16 * i + 8, (u64)(how & 64 ? get_le32(c) : get_u8(c) * 64u) << 32);
    }
    rig_put(&rig, LIST + slot * 32u, header, sizeof(header));
    rig_put(&rig, table, fis, sizeof(fis));
    bytes = cursor_take(c, 16);
    if (bytes)
        rig_put(&rig, table + 0x40, bytes, 16);
    rig_put(&rig, table + 0x80, prd, sizeof(prd));
    if (how & 4)
        rig_store(&rig, regs + 0x134 + port * 0x80, 4, 1u << slot);
    rig_store(&rig, regs + 0x138 + port * 0x80, 4, 1u << slot);
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m)
        fuzz_start();
    rig_store(&rig, regs + 4, 4, 1);
    rig_store(&rig, regs + 4, 4, 2);
    fuzz_port(0);
    fuzz_port(1);
    for (u32 steps = 0; steps < 200 && !c.bad && c.at < c.len; steps++) {
        const u8 *bytes;
        u32 at;

        switch (get_u8(&c) % 6) {
        case 0:
            at = get_le16(&c) & 0x1ffc;
            rig_store(&rig, regs + at, 4, get_le32(&c));
            break;
        case 1:
            at = get_le32(&c) & (RAM - 1) & ~0xffu;
            bytes = cursor_take(&c, 32);
            if (bytes)
                gmem_write(machine_ram(rig.m), at, bytes, 32); /* may be the VGA's hole */
            break;
        case 2:
            fuzz_port(get_u8(&c) & 1);
            break;
        case 3:
        case 4:
            fuzz_command(&c);
            break;
        case 5:
            fuzz_settle();
            break;
        }
    }
    fuzz_settle();
    return 0;
}
