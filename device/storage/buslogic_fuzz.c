/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes anything anywhere: registers, commands, mailboxes, CCBs, lists.  Each input
 * begins with mailboxes that work, so that CCBs get past the first check.
 */
#include "device/storage/buslogic_wire.h"
#include "tests/storage_fuzz.h"

enum { MAILBOXES = 0x10000, CCBS = 0x20000, BOXES = 8 };

static u64 regs;

static void reg(u32 off, u8 val)
{
    rig_store(&rig, regs + off, 1, val);
}

static void fuzz_mailboxes(void)
{
    static const u8 init[] = { BL_INIT_MAILBOX, BOXES, 0, 0, MAILBOXES >> 16, 0 };
    u8 none[BOXES * 2 * BL_MAILBOX] = { 0 };

    rig_put(&rig, MAILBOXES, none, sizeof(none));
    reg(BL_CONTROL, BL_RESET_HARD);
    rig_load(&rig, regs + BL_STATUS, 1);
    for (u32 i = 0; i < sizeof(init); i++)
        reg(BL_COMMAND, init[i]);
    reg(BL_CONTROL, BL_RESET_INTERRUPT);
}

/* A CCB in a mailbox; numbers made small enough to mean something. */
static void fuzz_ccb(struct cursor *c)
{
    u32 box = get_u8(c) % BOXES, at = CCBS + 64 * box;
    u8 how = get_u8(c), mail[BL_MAILBOX] = { 0 };
    const u8 *cdb = cursor_take(c, 12);
    struct bl_ccb w = { .cdb_len = 12, .sense_len = 18, .sense = 0x30000 };

    if (cdb)
        memcpy(w.cdb, cdb, 12);
    w.op = how & 1 ? get_u8(c) : how & 2 ? BL_OP_SG_RESIDUAL : BL_OP;
    w.direction = get_u8(c);
    w.target = how & 4 ? get_u8(c) : how >> 3 & 1;
    w.lun = how & 16 ? get_u8(c) : 0;
    w.data_len = how & 32 ? get_le32(c) : get_le16(c);
    w.data = get_le32(c) & (how & 64 ? ~0u : RAM - 1);
    rig_put(&rig, at, &w, sizeof(w));
    put_le32(mail, at);
    mail[7] = how & 128 ? get_u8(c) : BL_START;
    rig_put(&rig, MAILBOXES + BL_MAILBOX * box, mail, sizeof(mail));
    reg(BL_COMMAND, BL_START_MAILBOX);
}

static void fuzz_step(struct cursor *c)
{
    u8 empty = BL_FREE;
    const u8 *bytes;
    u32 at;

    switch (get_u8(c) % 8) {
    case 0:
        at = get_u8(c) & 3;
        reg(at, get_u8(c));
        break;
    case 1:
        at = get_le32(c) & (RAM - 1) & ~0xffu;
        bytes = cursor_take(c, 32);
        if (bytes)
            gmem_write(machine_ram(rig.m), at, bytes, 32); /* may be the VGA's hole */
        break;
    case 2: /* a command with parameters, and its reply */
        at = get_u8(c) & 7;
        reg(BL_COMMAND, get_u8(c));
        for (; at; at--)
            reg(BL_COMMAND, get_u8(c));
        for (at = get_u8(c) & 63; at; at--)
            rig_load(&rig, regs + BL_COMMAND, 1);
        break;
    case 3:
    case 4:
        fuzz_ccb(c);
        break;
    case 5:
        fuzz_settle();
        reg(BL_CONTROL, BL_RESET_INTERRUPT);
        break;
    case 6: /* an incoming mailbox is emptied */
        at = MAILBOXES + BL_MAILBOX * (BOXES + get_u8(c) % BOXES) + 7;
        rig_put(&rig, at, &empty, 1);
        break;
    case 7:
        rig_load(&rig, regs + (get_u8(c) & 3), 1);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m)
        regs = rig_bar(fuzz_adapter("buslogic", "2", "scsi.0", "scsi.1"), 1);
    fuzz_mailboxes();
    for (u32 steps = 0; steps < 200 && !c.bad && c.at < c.len; steps++)
        fuzz_step(&c);
    fuzz_settle();
    return 0;
}
