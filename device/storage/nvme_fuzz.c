/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes anything anywhere: registers, doorbells, commands of both kinds, PRP lists.
 * Each input begins with a controller that is ready and has an I/O queue, so that commands get
 * past the first check.
 */
#include "device/storage/nvme_wire.h"
#include "tests/storage_fuzz.h"

enum { ASQ = 0x10000, ACQ = 0x14000, SQ = 0x18000, CQ = 0x1c000, ENTRIES = 16 };

static u64 regs;
static u32 tail[2];

static void reg(u32 off, u32 val)
{
    rig_store(&rig, regs + off, 4, val);
}

static void fuzz_submit(u32 queue, const struct nvme_command *c)
{
    rig_put(&rig, (queue ? SQ : ASQ) + tail[queue] * sizeof(*c), c, sizeof(*c));
    tail[queue] = (tail[queue] + 1) % ENTRIES;
    reg(NVME_DOORBELLS + 8 * queue, tail[queue]);
}

/* Whatever was told has been seen. */
static void fuzz_seen(u32 queue, u32 head)
{
    reg(NVME_DOORBELLS + 8 * queue + 4, head % ENTRIES);
}

static void fuzz_ready(void)
{
    struct nvme_command cq = {
        .op = NVME_CREATE_CQ, .prp1 = CQ, .dw10 = (ENTRIES - 1) << 16 | 1, .dw11 = 1 << 16 | 3
    };
    struct nvme_command sq = {
        .op = NVME_CREATE_SQ, .prp1 = SQ, .dw10 = (ENTRIES - 1) << 16 | 1, .dw11 = 1 << 16 | 1
    };

    reg(NVME_CC, 0);
    reg(NVME_AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    reg(NVME_ASQ, ASQ);
    reg(NVME_ASQ_HIGH, 0);
    reg(NVME_ACQ, ACQ);
    reg(NVME_ACQ_HIGH, 0);
    reg(NVME_CC, 4 << 20 | 6 << 16 | NVME_CC_ENABLE);
    tail[0] = tail[1] = 0;
    fuzz_submit(0, &cq);
    fuzz_submit(0, &sq);
    fuzz_settle();
    fuzz_seen(0, 2);
}

/* The next command, by what the input says; numbers made small enough to mean something. */
static void fuzz_command(struct cursor *c, u32 queue)
{
    struct nvme_command w = { 0 };
    u8 how = get_u8(c);

    w.op = how & 1 ? get_u8(c) : get_u8(c) & 15;
    w.flags = how & 2 ? get_u8(c) : 0;
    w.nsid = how & 4 ? get_le32(c) : 1 + (how >> 7);
    w.id = get_u8(c);
    w.prp1 = how & 8 ? get_le64(c) : get_le32(c) & (RAM - 1) & ~3u;
    w.prp2 = how & 16 ? get_le64(c) : get_le32(c) & (RAM - 1) & ~7u;
    w.dw10 = how & 32 ? get_le32(c) : get_le16(c);
    w.dw11 = how & 64 ? get_le32(c) : get_u8(c);
    w.dw12 = get_le16(c);
    fuzz_submit(queue, &w);
}

static void fuzz_step(struct cursor *c)
{
    const u8 *bytes;
    u32 at;

    switch (get_u8(c) % 8) {
    case 0:
        at = get_u8(c) & 0x3c;
        reg(at, get_le32(c));
        break;
    case 1:
        at = get_le32(c) & (RAM - 1) & ~0xffu;
        bytes = cursor_take(c, 32);
        if (bytes)
            gmem_write(machine_ram(rig.m), at, bytes, 32); /* may be the VGA's hole */
        break;
    case 2:
        fuzz_command(c, 0);
        break;
    case 3:
    case 4:
        fuzz_command(c, 1);
        break;
    case 5:
        fuzz_settle();
        break;
    case 6:
        at = get_u8(c);
        fuzz_seen(at & 1, at >> 1);
        break;
    case 7: /* any doorbell */
        at = get_u8(c);
        reg(NVME_DOORBELLS + at * 4, get_u8(c));
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m)
        regs = rig_bar(fuzz_adapter("nvme", NULL, "nvme.0", "nvme.1"), 0);
    fuzz_ready();
    for (u32 steps = 0; steps < 200 && !c.bad && c.at < c.len; steps++)
        fuzz_step(&c);
    fuzz_settle();
    return 0;
}
