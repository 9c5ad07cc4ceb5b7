/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that writes anything to the floppy controller and to its DMA channel; disks change. */
#include "tests/storage_fuzz.h"

static struct device *fdc;

static void fuzz_start(void)
{
    struct machine_make how = { .ram = RAM, .cpus = 1, .tsc_hz = 1000000000 };
    struct device_end ends[2] = { { 0 } };

    if (machine_new(&rig.m, &how, NULL) ||
        blk_open_mem(&disk, DISK, false, machine_lane(rig.m), NULL))
        abort();
    rig_device(&rig, "rtc", NULL, NULL);
    rig_device(&rig, "dma8237", NULL, NULL);
    ends[0] = (struct device_end){ "floppy.0", disk };
    fdc = rig_device(&rig, "fdc", NULL, ends);
}

/* The channel set up so that something can move, mostly. */
static void fuzz_dma(struct cursor *c)
{
    u8 mode = get_u8(c);

    rig_out(&rig, 0x0c, 1, 0);
    rig_out(&rig, 0x0b, 1, (mode & 0x3c) | 2);
    for (u32 i = 0; i < 4; i++)
        rig_out(&rig, i < 2 ? 4 : 5, 1, get_u8(c));
    rig_out(&rig, 0x81, 1, get_u8(c) & 0x7f);
    rig_out(&rig, 0x0a, 1, 2);
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m)
        fuzz_start();
    machine_reset(rig.m, RESET_SYSTEM);
    rig_out(&rig, 0x3f2, 1, 0x1c);
    for (u32 steps = 0; steps < 300 && !c.bad && c.at < c.len; steps++) {
        u8 what = get_u8(&c);

        switch (what % 8) {
        case 0:
            rig_out(&rig, (u16)(0x3f2 + (what >> 3) % 6), 1, get_u8(&c));
            break;
        case 1:
            rig_in(&rig, (u16)(0x3f2 + (what >> 3) % 6), 1);
            break;
        case 2:
            fuzz_dma(&c);
            break;
        case 3:
            for (u32 i = 0; i < what >> 3; i++)
                rig_in(&rig, 0x3f5, 1);
            break;
        case 4:
            device_end_set(fdc, what & 8 ? "floppy.1" : "floppy.0", what & 16 ? disk : NULL, false,
                           NULL);
            break;
        case 5:
            fuzz_settle();
            break;
        default:
            rig_out(&rig, 0x3f5, 1, get_u8(&c));
        }
    }
    fuzz_settle();
    return 0;
}
