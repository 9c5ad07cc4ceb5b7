/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes anything anywhere: registers, messages through doorbell and queues, lists,
 * task management.  The first byte chooses the adapter; each input begins with one that works, so
 * that messages get past the first check.
 */
#include "device/storage/mpt_wire.h"
#include "tests/storage_fuzz.h"

enum { FRAMES = 0x10000, REPLIES = 0x20000, LISTS = 0x30000, SENSE = 0x40000 };

static u64 regs;

static void reg(u32 off, u32 val)
{
    rig_store(&rig, regs + off, 4, val);
}

static void fuzz_operational(void)
{
    struct mpt_ioc_init w = { .head = { .a = 4, .function = MPT_IOC_INIT, .d = 16, .e = 1 },
                              .reply_size = 80 };

    reg(MPT_DOORBELL, (u32)MPT_IO_UNIT_RESET << 24);
    reg(MPT_DOORBELL, (u32)MPT_HANDSHAKE << 24 | sizeof(w) / 4 << 16);
    for (u32 i = 0; i < sizeof(w); i += 4)
        reg(MPT_DOORBELL, le32((u8 *)&w + i));
    for (u32 i = 0; i < 12; i++)
        rig_load(&rig, regs + MPT_DOORBELL, 4);
    reg(MPT_INTR_STATUS, 0);
    for (u32 i = 0; i < 32; i++)
        reg(MPT_REPLY_QUEUE, REPLIES + 128 * i);
}

/* A message of the input's bytes, in a frame of its own. */
static void fuzz_message(struct cursor *c, u32 queue)
{
    u32 at = FRAMES + 128u * (get_u8(c) & 31);
    const u8 *bytes = cursor_take(c, 56);

    if (!bytes)
        return;
    rig_put(&rig, at, bytes, 56);
    reg(queue, at);
}

/* A request that is mostly sane: numbers made small enough to mean something. */
static void fuzz_request(struct cursor *c)
{
    struct {
        struct mpt_scsi_io io;
        u32 sge[20];
    } m = { .io = { .cdb_len = 16, .sense_len = 32, .sense_addr = SENSE } };
    u32 at = FRAMES + 128u * (get_u8(c) & 31);
    const u8 *cdb = cursor_take(c, 16);
    u8 how = get_u8(c);

    if (cdb)
        memcpy(m.io.cdb, cdb, 16);
    m.io.target = how & 1 ? 0 : get_u8(c) & 3;
    m.io.control = (u32)(how >> 1 & 3) << 24;
    m.io.data_len = get_le16(c);
    m.io.context = get_u8(c);
    m.io.chain = how & 8 ? get_u8(c) & 31 : 0;
    for (u32 i = 0; i < LEN(m.sge); i++) {
        m.sge[i] = get_le32(c);
        if (!(i % 2)) /* likely a simple element */
            m.sge[i] = how & 16 ? m.sge[i] : (m.sge[i] & 0xc1ffffffu) | 0x10000000;
        else
            m.sge[i] &= how & 32 ? ~0u : RAM - 1;
    }
    rig_put(&rig, at, &m, sizeof(m));
    reg(MPT_REQUEST_QUEUE, at);
}

static void fuzz_step(struct cursor *c)
{
    const u8 *bytes;
    u32 at;

    switch (get_u8(c) % 9) {
    case 0:
        at = get_u8(c) & 0x7c;
        reg(at, get_le32(c));
        break;
    case 1:
        at = get_le32(c) & (RAM - 1) & ~0xffu;
        bytes = cursor_take(c, 32);
        if (bytes)
            gmem_write(machine_ram(rig.m), at, bytes, 32); /* may be the VGA's hole */
        break;
    case 2:
        fuzz_message(c, MPT_REQUEST_QUEUE);
        break;
    case 3:
        fuzz_message(c, MPT_PRIORITY_QUEUE);
        break;
    case 4:
    case 5:
        fuzz_request(c);
        break;
    case 6:
        fuzz_settle();
        rig_load(&rig, regs + MPT_REPLY_QUEUE, 4);
        break;
    case 7: /* through the doorbell */
        at = get_u8(c) & 31;
        reg(MPT_DOORBELL, (u32)MPT_HANDSHAKE << 24 | at << 16);
        for (; at; at--)
            reg(MPT_DOORBELL, get_le32(c));
        break;
    case 8:
        rig_load(&rig, regs + (get_u8(c) & 0x7c), 4);
        reg(MPT_REPLY_QUEUE, REPLIES + 128u * (get_u8(c) & 31));
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    static u64 parallel, sas;
    struct cursor c = cursor_of(p, n);

    if (!rig.m) {
        parallel = rig_bar(fuzz_adapter("lsilogic", "2", "scsi.0", "scsi.1"), 1);
        sas = rig_bar(fuzz_second("lsisas1068", "2", "scsi.0", "scsi.1"), 1);
    }
    regs = get_u8(&c) & 1 ? sas : parallel;
    fuzz_operational();
    for (u32 steps = 0; steps < 200 && !c.bad && c.at < c.len; steps++)
        fuzz_step(&c);
    fuzz_settle();
    return 0;
}
