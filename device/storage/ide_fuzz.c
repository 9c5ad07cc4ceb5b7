/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that writes anything to the registers and tables of the IDE function. */
#include "base/bytes.h"
#include "base/loop.h"
#include "tests/rig.h"
#include <stdlib.h>

enum { PRDT = 0x8000, RAM = 4 << 20, DISK = 1 << 20 };

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

static struct rig rig;
static struct blk *disk;
static u16 bm;

/* A machine of its own threads, for all inputs: a disk, a CD-ROM, an empty drive. */
static void fuzz_start(void)
{
    static const char *const settings[] = { "cd", "12", NULL };
    struct machine_make how = { .ram = RAM, .cpus = 1, .tsc_hz = 1000000000 };
    struct device_end ends[3] = { { 0 } };
    struct device *d;

    if (machine_new(&rig.m, &how, NULL) ||
        blk_open_mem(&disk, DISK, false, machine_lane(rig.m), NULL))
        abort();
    rig.next_bar = 0xe0000000;
    rig.next_port = 0xc000;
    ends[0] = (struct device_end){ "ide.0", disk };
    ends[1] = (struct device_end){ "ide.2", disk };
    d = rig_device(&rig, "ide", settings, ends);
    rig_pci_enable(&rig, d);
    bm = (u16)rig_bar(d, 4);
}

static void fuzz_nothing(void *arg)
{
    (void)arg;
}

static void fuzz_settle(void)
{
    loop_call(machine_lane(rig.m), fuzz_nothing, NULL);
    blk_drain(disk);
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
