/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that writes anything to the registers and tables of the IDE function. */
#include "tests/storage_fuzz.h"

enum { PRDT = 0x8000 };

static u16 bm;

static void fuzz_start(void)
{
    /* a disk, a CD-ROM, an empty drive */
    bm = (u16)rig_bar(fuzz_adapter("ide", "12", "ide.0", "ide.2"), 4);
}

/* A command with registers that are likely to be taken. */
static void fuzz_command(struct cursor *c, u16 base)
{
    u8 drive = get_u8(c);

    rig_out(&rig, base + 6, 1, 0xe0 | (drive & 0x1f));
    for (u32 i = 1; i < 6; i++)
        rig_out(&rig, (u16)(base + i), 1, get_u8(c));
    rig_out(&rig, base + 7, 1, get_u8(c));
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m)
        fuzz_start();
    for (u16 base = 0x170; base <= 0x1f0; base += 0x80) {
        rig_out(&rig, base + 0x206, 1, 4);
        rig_out(&rig, base + 0x206, 1, 0);
    }
    for (u32 steps = 0; steps < 300 && !c.bad && c.at < c.len; steps++) {
        u8 op = get_u8(&c), width = (u8)(1 << (op >> 6 & 1) * 2);
        u16 base = op & 0x80 ? 0x170 : 0x1f0;
        const u8 *bytes;

        switch (op % 8) {
        case 0:
            rig_out(&rig, (u16)(base + (get_u8(&c) & 7)), width, get_le32(&c));
            break;
        case 1:
            rig_in(&rig, (u16)(base + (get_u8(&c) & 7)), width);
            break;
        case 2:
            fuzz_command(&c, base);
            break;
        case 3:
            bytes = cursor_take(&c, 12);
            for (u32 i = 0; bytes && i < 12; i += 2)
                rig_out(&rig, base, 2, le16(bytes + i));
            break;
        case 4:
            bytes = cursor_take(&c, 16);
            if (bytes)
                rig_put(&rig, PRDT, bytes, 16);
            rig_out(&rig, (u16)(bm + 4 + (op & 0x80 ? 8 : 0)), 4, PRDT);
            break;
        case 5:
            rig_out(&rig, (u16)(bm + (get_u8(&c) & 15)), width, get_le32(&c));
            break;
        case 6:
            for (u32 i = get_u8(&c); i-- > 0;)
                rig_in(&rig, base, 4);
            break;
        case 7:
            if (op & 0x40)
                rig_out(&rig, base + 0x206, 1, get_u8(&c));
            else
                fuzz_settle();
            break;
        }
    }
    fuzz_settle();
    return 0;
}
