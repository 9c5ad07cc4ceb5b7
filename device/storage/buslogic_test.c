/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small driver for the BusLogic adapter: as Linux uses it, and as no driver should. */
#include "base/bytes.h"
#include "base/loop.h"
#include "bus/scsi.h"
#include "device/storage/buslogic_int.h"
#include "tests/check.h"
#include "tests/rig.h"
#include "tests/storage_move.h"
#include <errno.h>

enum { BOXES_AT = 0x10000, CCBS = 0x20000, SENSE = 0x50000, LIST = 0x60000, NBOXES = 32 };
enum { DATA = 0x100000, DISK = 4 << 20, RAM_MIB = 16, BLOCK = 512 };

static struct rig rig;
static struct blk *disk, *disc;
static u64 regs;
static u32 next_out, next_in, made;

static u8 reg(u32 off)
{
    return (u8)rig_load(&rig, regs + off, 1);
}

static void reg_set(u32 off, u8 v)
{
    rig_store(&rig, regs + off, 1, v);
}

static void begin(void)
{
    static const char *const settings[] = { "cd", "2", NULL };
    struct device_end ends[3] = { { 0 } };
    struct device *dev;

    rig_start(&rig, RAM_MIB, 1);
    rig_pci_wires(&rig);
    CHECK_EQ(blk_open_mem(&disk, DISK, false, machine_lane(rig.m), NULL), 0);
    CHECK_EQ(blk_open_mem(&disc, 64 * 2048, true, machine_lane(rig.m), NULL), 0);
    ends[0] = (struct device_end){ "scsi.0", disk };
    ends[1] = (struct device_end){ "scsi.1", disc };
    dev = rig_device(&rig, "buslogic", settings, ends);
    rig_pci_enable(&rig, dev);
    regs = rig_bar(dev, 1);
    for (u32 i = 0; i < DISK; i++)
        blk_mem(disk)[i] = (u8)(i * 31 + (i >> 9) * 7);
}

static void end(void)
{
    machine_clear(rig.m);
    blk_close(disk);
    blk_close(disc);
    rig_stop(&rig);
}

/* A command of the adapter's own; bytes of the reply that came. */
static u32 ask(u8 op, const void *parameters, u32 n, void *reply, u32 room)
{
    u32 got = 0;

    CHECK(reg(BL_STATUS) & BL_READY);
    reg_set(BL_COMMAND, op);
    for (u32 i = 0; i < n; i++)
        reg_set(BL_COMMAND, ((const u8 *)parameters)[i]);
    for (; reg(BL_STATUS) & BL_DATA_IN && got < 512; got++) {
        u8 v = reg(BL_COMMAND);

        if (got < room)
            ((u8 *)reply)[got] = v;
    }
    if (op != BL_MODIFY_ADDRESS)
        CHECK_EQ(reg(BL_INTERRUPT), BL_VALID | BL_COMPLETE);
    reg_set(BL_CONTROL, BL_RESET_INTERRUPT);
    CHECK(reg(BL_STATUS) & BL_READY);
    return got;
}

static void mailboxes(void)
{
    u8 init[5] = { NBOXES }, none[NBOXES * 2 * BL_MAILBOX] = { 0 };

    put_le32(init + 1, BOXES_AT);
    rig_put(&rig, BOXES_AT, none, sizeof(none));
    CHECK(reg(BL_STATUS) & BL_UNINITIALISED);
    ask(BL_INIT_MAILBOX, init, sizeof(init), NULL, 0);
    CHECK(!(reg(BL_STATUS) & BL_UNINITIALISED));
    next_out = next_in = made = 0;
}

static void start(void)
{
    begin();
    CHECK(reg(BL_STATUS) & BL_TESTING);
    CHECK_EQ(reg(BL_STATUS), BL_READY | BL_UNINITIALISED);
    mailboxes();
}

/* ---- CCBs ---- */

static struct bl_ccb transfer(bool write, u32 lba, u32 count, u32 addr)
{
    struct bl_ccb c = {
        .cdb_len = 10, .sense_len = 18, .sense = SENSE, .data = addr, .data_len = count * BLOCK
    };

    c.direction = (u8)((write ? BL_DATA_TO_DEVICE : BL_DATA_TO_HOST) << 3);
    c.cdb[0] = write ? 0x2a : 0x28;
    put_be32(c.cdb + 2, lba);
    put_be16(c.cdb + 7, (u16)count);
    return c;
}

static u32 mail(u32 ccb, u8 action)
{
    u8 box[BL_MAILBOX] = { 0 };

    put_le32(box, ccb);
    box[7] = action;
    rig_put(&rig, BOXES_AT + BL_MAILBOX * next_out, box, sizeof(box));
    next_out = (next_out + 1) % NBOXES;
    reg_set(BL_COMMAND, BL_START_MAILBOX);
    return ccb;
}

static u32 post(const struct bl_ccb *c)
{
    u32 at = CCBS + 64 * (made++ % 256);

    rig_put(&rig, at, c, sizeof(*c));
    return mail(at, BL_START);
}

static bool delivered(void *arg)
{
    u8 outcome;

    (void)arg;
    rig_get(&rig, BOXES_AT + BL_MAILBOX * (NBOXES + next_in) + 7, &outcome, 1);
    return outcome != BL_FREE;
}

struct told {
    u32 ccb;
    u8 adapter, scsi, outcome;
};
static struct told take(void)
{
    u64 at = BOXES_AT + BL_MAILBOX * (NBOXES + next_in);
    u8 box[BL_MAILBOX];

    rig_lane_until(&rig, delivered, NULL);
    rig_get(&rig, at, box, sizeof(box));
    rig_put(&rig, at + 7, (const u8[]){ BL_FREE }, 1);
    next_in = (next_in + 1) % NBOXES;
    reg_set(BL_CONTROL, BL_RESET_INTERRUPT);
    return (struct told){ le32(box), box[4], box[5], box[7] };
}

static struct told run(const struct bl_ccb *c)
{
    u32 at = post(c);
    struct told t = take();

    CHECK_EQ(t.ccb, at);
    return t;
}

static void settle(void) /* the attention of the reset */
{
    struct bl_ccb c = { .cdb_len = 6 };

    CHECK_EQ(run(&c).scsi, SCSI_CHECK);
    CHECK_EQ(run(&c).outcome, BL_GOOD);
}

static bool same(u64 gpa, const u8 *p, u32 n)
{
    u8 *b = malloc(n);
    bool is;

    rig_get(&rig, gpa, b, n);
    is = !memcmp(b, p, n);
    free(b);
    return is;
}

/* ---- cases ---- */

static void inquiries(void)
{
    u8 b[64] = { 0 };

    start();
    CHECK_EQ(ask(BL_BOARD_ID, NULL, 0, b, sizeof(b)), 4);
    CHECK_EQ(b[2], '5');
    CHECK_EQ(ask(BL_EXTENDED_SETUP, (const u8[]){ 14 }, 1, b, sizeof(b)), 14);
    CHECK_EQ(b[0], 'E');
    CHECK_EQ(b[4], NBOXES);
    CHECK_EQ(le32(b + 5), BOXES_AT);
    CHECK_EQ(ask(BL_MODEL, (const u8[]){ 5 }, 1, b, sizeof(b)), 5);
    CHECK(!memcmp(b, "958D ", 5));
    CHECK_EQ(ask(BL_TARGETS, NULL, 0, b, sizeof(b)), 2);
    CHECK_EQ(le16(b), 3);
    CHECK_EQ(ask(BL_DEVICES_LOW, NULL, 0, b, sizeof(b)), 8);
    CHECK_EQ(b[1], 1);
    CHECK_EQ(b[2], 0);
    CHECK_EQ(ask(BL_FETCH_RAM, (const u8[]){ BL_AUTOSCSI, 64 }, 2, b, sizeof(b)), 64);
    CHECK_EQ(b[14], BL_OWN_ID);
    CHECK_EQ(ask(BL_FETCH_RAM, (const u8[]){ 250, 255 }, 2, b, sizeof(b)), 255);
    CHECK_EQ(ask(BL_SETUP, (const u8[]){ 255 }, 1, b, sizeof(b)), 255);
    CHECK_EQ(ask(BL_OPTIONS, (const u8[]){ 2, 0, 0 }, 3, b, sizeof(b)), 0);
    CHECK_EQ(ask(BL_ECHO, (const u8[]){ 0x5a }, 1, b, sizeof(b)), 1);
    CHECK_EQ(b[0], 0x5a);
    CHECK(!(reg(BL_STATUS) & BL_INVALID));
    CHECK_EQ(ask(0x7f, NULL, 0, b, sizeof(b)), 0);
    CHECK(reg(BL_STATUS) & BL_INVALID);
    CHECK_EQ(ask(BL_MODIFY_ADDRESS, (const u8[]){ 6 }, 1, b, sizeof(b)), 0);
    CHECK(!(reg(BL_STATUS) & BL_INVALID));
    end();
}

static void reads_and_writes(void)
{
    struct bl_ccb c;
    u8 b[8 * BLOCK], list[24];

    start();
    settle();
    c = transfer(false, 100, 16, DATA + 12);
    CHECK_EQ(run(&c).outcome, BL_GOOD);
    CHECK(same(DATA + 12, blk_mem(disk) + 100 * BLOCK, 16 * BLOCK));
    memset(b, 0xa5, sizeof(b));
    rig_put(&rig, DATA, b, sizeof(b));
    c = transfer(true, 200, 8, DATA);
    CHECK_EQ(run(&c).outcome, BL_GOOD);
    CHECK(!memcmp(blk_mem(disk) + 200 * BLOCK, b, sizeof(b)));
    for (u32 i = 0; i < 3; i++) {
        static const u32 len[] = { 100, 412, 512 };

        put_le32(list + 8 * i, len[i]);
        put_le32(list + 8 * i + 4, DATA + 0x10000 + i * 0x1003);
    }
    rig_put(&rig, LIST, list, sizeof(list));
    c = transfer(false, 7, 2, LIST);
    c.op = BL_OP_SG;
    c.data_len = sizeof(list);
    CHECK_EQ(run(&c).outcome, BL_GOOD);
    CHECK(same(DATA + 0x10000, blk_mem(disk) + 7 * BLOCK, 100));
    CHECK(same(DATA + 0x11003, blk_mem(disk) + 7 * BLOCK + 100, 412));
    CHECK(same(DATA + 0x12006, blk_mem(disk) + 8 * BLOCK, BLOCK));
    end();
}

static void hostile_ccbs(void)
{
    struct bl_ccb c;
    struct told t;
    u8 list[16] = { 0 };

    start();
    settle();
    mail(0xfffffff0, BL_START); /* no RAM */
    CHECK_EQ(take().adapter, BL_BAD_PARAMETER);
    mail(CCBS, 9);
    CHECK_EQ(take().adapter, BL_BAD_ACTION);
    c = transfer(false, 0, 8, 0xe0000000);
    CHECK_EQ(run(&c).adapter, BL_BAD_PARAMETER);
    c = transfer(false, 0, 8, (RAM_MIB << 20) - 512);
    CHECK_EQ(run(&c).adapter, BL_BAD_PARAMETER);
    put_le32(list, 0xffffffff);
    put_le32(list + 8, 0xffffffff);
    rig_put(&rig, LIST, list, sizeof(list));
    c = transfer(false, 0, 8, LIST);
    c.op = BL_OP_SG;
    c.data_len = sizeof(list);
    CHECK_EQ(run(&c).adapter, BL_BAD_PARAMETER);
    c.data_len = 0xffffffff;
    CHECK_EQ(run(&c).adapter, BL_BAD_PARAMETER);
    c.op = 0x55;
    CHECK_EQ(run(&c).adapter, BL_BAD_OP);
    c = transfer(false, 0, 1, DATA);
    c.cdb_len = 13;
    CHECK_EQ(run(&c).adapter, BL_BAD_PARAMETER);
    c.target = 4;
    CHECK_EQ(run(&c).adapter, BL_NO_DEVICE);
    c.target = 200;
    CHECK_EQ(run(&c).adapter, BL_NO_DEVICE);
    c = transfer(false, DISK / BLOCK, 1, DATA);
    t = run(&c);
    CHECK_EQ(t.outcome, BL_FAILED);
    CHECK_EQ(t.scsi, SCSI_CHECK);
    CHECK(same(SENSE, (const u8[]){ 0x70, 0, 5 }, 3));
    c.sense = 0xfffffff8;
    CHECK_EQ(run(&c).adapter, BL_NO_SENSE);
    end();
}

static void residuals(void)
{
    struct bl_ccb c = transfer(false, 0, 2, DATA);
    u8 left[4];
    u32 at;

    start();
    settle();
    c.op = BL_OP_RESIDUAL;
    c.data_len = 10 * BLOCK;
    at = post(&c);
    CHECK_EQ(take().outcome, BL_GOOD);
    rig_get(&rig, at + 4, left, 4);
    CHECK_EQ(le32(left), 8 * BLOCK);
    end();
}

static void many_at_once(void)
{
    enum { ALL = 200 };

    start();
    settle();
    for (u32 i = 0; i < ALL;) {
        u32 some = i + NBOXES < ALL ? NBOXES : ALL - i;

        for (u32 k = 0; k < some; k++) {
            struct bl_ccb c = transfer(k & 1, i + k, 1, DATA + (i + k) * BLOCK);

            post(&c);
        }
        for (u32 k = 0; k < some; k++)
            CHECK_EQ(take().outcome, BL_GOOD);
        i += some;
    }
    for (u32 i = 0; i < ALL; i++)
        CHECK(same(DATA + i * BLOCK, blk_mem(disk) + i * BLOCK, BLOCK));
    end();
}

/* What is ready waits until the guest has emptied the mailboxes. */
static void mailboxes_that_are_full(void)
{
    struct bl_ccb c = { .cdb_len = 6, .cdb = { 0x03, 0, 0, 0, 0 } };

    start();
    settle();
    for (u32 i = 0; i < 3; i++)
        for (u32 k = 0; k < NBOXES; k++) {
            post(&c);
            rig_lane(&rig);
        }
    for (u32 i = 0; i < 3 * NBOXES; i++)
        CHECK_EQ(take().outcome, BL_GOOD);
    end();
}

static void one_interrupt_at_a_time(void)
{
    struct bl_ccb c = { .cdb_len = 6 };

    start();
    CHECK(!rig_wire_is_up(&rig));
    post(&c);
    rig_lane_until(&rig, delivered, NULL);
    CHECK(rig_wire_is_up(&rig));
    CHECK_EQ(reg(BL_INTERRUPT), BL_VALID | BL_INBOX);
    reg_set(BL_COMMAND, BL_TEST); /* its end waits behind the mailbox */
    CHECK_EQ(reg(BL_INTERRUPT), BL_VALID | BL_INBOX);
    reg_set(BL_CONTROL, BL_RESET_INTERRUPT);
    CHECK_EQ(reg(BL_INTERRUPT), BL_VALID | BL_COMPLETE);
    CHECK(rig_wire_is_up(&rig));
    reg_set(BL_CONTROL, BL_RESET_INTERRUPT);
    CHECK_EQ(reg(BL_INTERRUPT), 0);
    CHECK(!rig_wire_is_up(&rig));
    ask(BL_INTERRUPTS, (const u8[]){ 0 }, 1, NULL, 0);
    reg_set(BL_COMMAND, BL_TEST);
    CHECK(!rig_wire_is_up(&rig)); /* silent */
    CHECK_EQ(reg(BL_INTERRUPT), BL_VALID | BL_COMPLETE);
    end();
}

static void resets_and_aborts(void)
{
    struct bl_ccb c = transfer(false, 0, 1, DATA), reset = { .op = BL_OP_RESET };
    u32 at;

    start();
    settle();
    blk_mem_hold(disk, true);
    at = post(&c);
    rig_lane(&rig);
    mail(at, BL_ABORT);
    rig_lane(&rig);
    blk_mem_hold(disk, false);
    CHECK_EQ(take().outcome, BL_ABORTED);
    mail(CCBS + 0x3000, BL_ABORT);
    CHECK_EQ(take().outcome, BL_NOT_FOUND);
    blk_mem_hold(disk, true);
    for (u32 i = 0; i < 5; i++)
        post(&c);
    rig_lane(&rig);
    at = post(&reset);
    rig_lane(&rig);
    CHECK(!delivered(NULL));
    blk_mem_hold(disk, false);
    for (u32 i = 0; i < 5; i++)
        CHECK_EQ(take().adapter, BL_DEVICE_RESET);
    CHECK_EQ(take().ccb, at);
    settle();
    reg_set(BL_CONTROL, BL_RESET_HARD);
    CHECK(reg(BL_STATUS) & BL_TESTING);
    mailboxes();
    settle();
    end();
}

static void moved_under_load(void)
{
    struct move move;

    start();
    settle();
    for (u32 i = 0; i < NBOXES; i++) {
        struct bl_ccb c = transfer(i & 1, i, 1, DATA + i * BLOCK);

        post(&c);
        if (i == NBOXES / 2)
            rig_lane_until(&rig, delivered, NULL); /* some run, some have, some stand */
    }
    CHECK(move_out(&move, &rig, disk));
    end();
    begin();
    CHECK(move_in(&move, &rig, disk));
    for (u32 i = 0; i < NBOXES; i++)
        CHECK_EQ(take().outcome, BL_GOOD);
    for (u32 i = 0; i < NBOXES; i++)
        CHECK(same(DATA + i * BLOCK, blk_mem(disk) + i * BLOCK, BLOCK));
    end();
}

/* A BIOS takes it: sums, lengths, whose it is. */
static void boot_rom(void)
{
    const u8 *p = buslogic_rom, *pci = p + le16(p + 0x18), *pnp = p + le16(p + 0x1a);
    u8 sum = 0, pnp_sum = 0;

    for (u32 i = 0; i < buslogic_rom_size; i++)
        sum = (u8)(sum + p[i]);
    for (u32 i = 0; i < 32; i++)
        pnp_sum = (u8)(pnp_sum + pnp[i]);
    CHECK_EQ(sum, 0);
    CHECK_EQ(pnp_sum, 0);
    CHECK_EQ(le16(p), 0xaa55);
    CHECK_EQ(p[2] * 512u, buslogic_rom_size);
    CHECK_EQ(le32(pci + 4), BL_VENDOR | BL_DEVICE << 16);
    CHECK_EQ(le16(pci + 16), p[2]);
    CHECK(!memcmp(pnp, "$PnP", 4));
}

int main(void)
{
    CASE(boot_rom);
    CASE(inquiries);
    CASE(reads_and_writes);
    CASE(hostile_ccbs);
    CASE(residuals);
    CASE(many_at_once);
    CASE(mailboxes_that_are_full);
    CASE(one_interrupt_at_a_time);
    CASE(resets_and_aborts);
    CASE(moved_under_load);
    return check_end();
}
