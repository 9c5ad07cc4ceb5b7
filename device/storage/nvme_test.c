/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small driver for the NVMe controller: as Linux uses it, and as no driver should. */
#include "base/bytes.h"
#include "base/loop.h"
#include "device/storage/nvme_wire.h"
#include "tests/check.h"
#include "tests/rig.h"
#include "tests/storage_move.h"
#include <errno.h>

enum { ASQ = 0x10000, ACQ = 0x20000, SQ = 0x30000, CQ = 0x40000, LIST = 0x50000 };
enum { DATA = 0x100000, DISK = 4 << 20, RAM_MIB = 16, BLOCK = 512, ENTRIES = 64, ADMIN = 8 };

static struct rig rig;
static struct blk *disk;
static struct device *dev;
static u64 regs;
static struct {
    u32 tail, head, entries;
    u16 phase;
} queue[2];
static u16 next_id;

static u32 reg(u32 off)
{
    return (u32)rig_load(&rig, regs + off, 4);
}

static void reg_set(u32 off, u32 v)
{
    rig_store(&rig, regs + off, 4, v);
}

static void begin(void)
{
    struct device_end ends[3] = { { 0 } };

    rig_start(&rig, RAM_MIB, 1);
    rig_pci_wires(&rig);
    CHECK_EQ(blk_open_mem(&disk, DISK, false, machine_lane(rig.m), NULL), 0);
    ends[0] = (struct device_end){ "nvme.0", disk };
    dev = rig_device(&rig, "nvme", NULL, ends);
    rig_pci_enable(&rig, dev);
    regs = rig_bar(dev, 0);
    for (u32 i = 0; i < DISK; i++)
        blk_mem(disk)[i] = (u8)(i * 31 + (i >> 9) * 7);
}

static void end(void)
{
    machine_clear(rig.m);
    blk_close(disk);
    rig_stop(&rig);
}

static void enable(void)
{
    reg_set(NVME_AQA, (ADMIN - 1) << 16 | (ADMIN - 1));
    rig_store(&rig, regs + NVME_ASQ, 8, ASQ);
    rig_store(&rig, regs + NVME_ACQ, 8, ACQ);
    reg_set(NVME_CC, 4 << 20 | 6 << 16 | NVME_CC_ENABLE);
    for (u32 i = 0; i < 2; i++)
        queue[i].tail = queue[i].head = 0, queue[i].phase = 1;
    queue[0].entries = ADMIN;
    queue[1].entries = ENTRIES;
}

/* ---- commands ---- */

static u16 submit(u32 q, struct nvme_command *c)
{
    c->id = next_id++;
    rig_put(&rig, (q ? SQ : ASQ) + queue[q].tail * sizeof(*c), c, sizeof(*c));
    queue[q].tail = (queue[q].tail + 1) % queue[q].entries;
    reg_set(NVME_DOORBELLS + 8 * q, queue[q].tail);
    return c->id;
}

static u32 waited_for;
static bool told(void *arg)
{
    struct nvme_completion c;
    u32 q = waited_for;

    (void)arg;
    rig_get(&rig, (q ? CQ : ACQ) + queue[q].head * sizeof(c), &c, sizeof(c));
    return (c.status & 1) == queue[q].phase;
}

/* The next completion; seen: the controller is told so. */
static struct nvme_completion take(u32 q, bool seen)
{
    struct nvme_completion c;

    waited_for = q;
    rig_lane_until(&rig, told, NULL);
    rig_get(&rig, (q ? CQ : ACQ) + queue[q].head * sizeof(c), &c, sizeof(c));
    if (++queue[q].head == queue[q].entries) {
        queue[q].head = 0;
        queue[q].phase ^= 1;
    }
    if (seen)
        reg_set(NVME_DOORBELLS + 8 * q + 4, queue[q].head);
    return c;
}

static u16 run(u32 q, struct nvme_command c)
{
    u16 id = submit(q, &c);
    struct nvme_completion done = take(q, true);

    CHECK_EQ(done.id, id);
    CHECK_EQ(done.queue, q);
    return done.status >> 1;
}

static u32 run_result(struct nvme_command c)
{
    submit(0, &c);
    return take(0, true).result;
}

static u16 create_cq(u32 id, u32 entries, u32 vector)
{
    return run(0, (struct nvme_command){ .op = NVME_CREATE_CQ,
                                         .prp1 = CQ,
                                         .dw10 = (entries - 1) << 16 | id,
                                         .dw11 = vector << 16 | 3 });
}

static u16 create_sq(u32 id, u32 entries, u32 cq)
{
    return run(0, (struct nvme_command){ .op = NVME_CREATE_SQ,
                                         .prp1 = SQ,
                                         .dw10 = (entries - 1) << 16 | id,
                                         .dw11 = cq << 16 | 1 });
}

static void start(void)
{
    begin();
    enable();
    CHECK_EQ(reg(NVME_CSTS), NVME_CSTS_READY);
    CHECK_EQ(create_cq(1, ENTRIES, 1), NVME_OK);
    CHECK_EQ(create_sq(1, ENTRIES, 1), NVME_OK);
}

static struct nvme_command transfer(bool write, u64 lba, u32 count, u64 prp1, u64 prp2)
{
    return (struct nvme_command){ .op = write ? NVME_WRITE : NVME_READ,
                                  .nsid = 1,
                                  .prp1 = prp1,
                                  .prp2 = prp2,
                                  .dw10 = (u32)lba,
                                  .dw11 = (u32)(lba >> 32),
                                  .dw12 = count - 1 };
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

static void starts_and_stops(void)
{
    begin();
    CHECK_EQ(reg(NVME_CSTS), 0);
    CHECK_EQ(reg(NVME_VS), NVME_VERSION);
    reg_set(NVME_DOORBELLS, 1); /* nobody is there */
    reg_set(NVME_CC, 4 << 20 | 6 << 16 | NVME_CC_ENABLE);
    CHECK_EQ(reg(NVME_CSTS), NVME_CSTS_FATAL); /* queues of one entry */
    reg_set(NVME_CC, 0);
    enable();
    CHECK_EQ(reg(NVME_CSTS), NVME_CSTS_READY);
    reg_set(NVME_CC, reg(NVME_CC) | 1 << 14);
    CHECK_EQ(reg(NVME_CSTS), NVME_CSTS_READY | NVME_CSTS_SHUT);
    reg_set(NVME_CC, 0);
    CHECK_EQ(reg(NVME_CSTS), 0);
    rig_store(&rig, regs + NVME_ASQ, 8, ASQ + 64);
    reg_set(NVME_CC, NVME_CC_ENABLE);
    CHECK_EQ(reg(NVME_CSTS), NVME_CSTS_FATAL);
    end();
}

static void identifies(void)
{
    struct nvme_command c = { .op = NVME_IDENTIFY, .prp1 = DATA, .dw10 = NVME_ID_CONTROLLER };
    u8 p[NVME_PAGE];

    start();
    CHECK_EQ(run(0, c), NVME_OK);
    rig_get(&rig, DATA, p, sizeof(p));
    CHECK_EQ(le16(p), NVME_VENDOR);
    CHECK(!memcmp(p + 24, "VMware Virtual NVMe Disk ", 25));
    c.prp1 = DATA + 0x800; /* over two pages that do not stand together */
    c.prp2 = DATA + 0x4000;
    CHECK_EQ(run(0, c), NVME_OK);
    CHECK(same(DATA + 0x800, p, 0x800));
    CHECK(same(DATA + 0x4000, p + 0x800, 0x800));
    c.prp1 = DATA;
    c.dw10 = NVME_ID_NAMESPACE;
    c.nsid = 1;
    CHECK_EQ(run(0, c), NVME_OK);
    rig_get(&rig, DATA, p, sizeof(p));
    CHECK_EQ(le64(p), DISK / BLOCK);
    CHECK_EQ(p[130], 9);
    c.nsid = 99;
    CHECK_EQ(run(0, c), NVME_BAD_NAMESPACE);
    c.nsid = 0;
    c.dw10 = NVME_ID_ACTIVE;
    CHECK_EQ(run(0, c), NVME_OK);
    rig_get(&rig, DATA, p, sizeof(p));
    CHECK_EQ(le32(p), 1);
    CHECK_EQ(le32(p + 4), 0);
    c.dw10 = 0x77;
    CHECK_EQ(run(0, c), NVME_BAD_FIELD);
    end();
}

static void queues(void)
{
    start();
    CHECK_EQ(create_cq(1, ENTRIES, 1), NVME_BAD_QUEUE); /* it is there */
    CHECK_EQ(create_cq(0, ENTRIES, 1), NVME_BAD_QUEUE);
    CHECK_EQ(create_cq(17, ENTRIES, 1), NVME_BAD_QUEUE);
    CHECK_EQ(create_cq(2, 1, 1), NVME_BAD_SIZE);
    CHECK_EQ(create_cq(2, 1025, 1), NVME_BAD_SIZE);
    CHECK_EQ(create_cq(2, ENTRIES, 17), NVME_BAD_VECTOR);
    CHECK_EQ(create_sq(2, ENTRIES, 3), NVME_BAD_CQ);
    CHECK_EQ(run(0, (struct nvme_command){ .op = NVME_DELETE_CQ, .dw10 = 1 }), NVME_BAD_DELETION);
    CHECK_EQ(run(0, (struct nvme_command){ .op = NVME_DELETE_SQ, .dw10 = 1 }), NVME_OK);
    CHECK_EQ(run(0, (struct nvme_command){ .op = NVME_DELETE_SQ, .dw10 = 1 }), NVME_BAD_QUEUE);
    CHECK_EQ(run(0, (struct nvme_command){ .op = NVME_DELETE_CQ, .dw10 = 1 }), NVME_OK);
    CHECK_EQ(create_cq(1, ENTRIES, 1), NVME_OK);
    CHECK_EQ(run(0, (struct nvme_command){ .op = 0x77 }), NVME_BAD_OPCODE);
    CHECK_EQ(run(0, (struct nvme_command){ .op = NVME_IDENTIFY, .flags = 0x40 }), NVME_BAD_FIELD);
    end();
}

static void features_and_logs(void)
{
    struct nvme_command c = { .op = NVME_SET_FEATURES, .dw10 = NVME_FEATURE_QUEUES, .dw11 = 7 };

    start();
    CHECK_EQ(run_result(c), 15 << 16 | 15);
    c.dw10 = NVME_FEATURE_CACHE;
    c.dw11 = 0;
    CHECK_EQ(run(0, c), NVME_OK);
    c.op = NVME_GET_FEATURES;
    CHECK_EQ(run_result(c), 0);
    c.op = NVME_SET_FEATURES;
    c.dw10 |= 1u << 31;
    CHECK_EQ(run(0, c), NVME_NOT_SAVED);
    c = (struct nvme_command){ .op = NVME_GET_LOG,
                               .prp1 = DATA,
                               .dw10 = NVME_LOG_HEALTH | 127 << 16 };
    CHECK_EQ(run(0, c), NVME_OK);
    CHECK(same(DATA + 1, (const u8[]){ 0x39, 1, 100 }, 3));
    c.dw10 = 0x77;
    CHECK_EQ(run(0, c), NVME_BAD_LOG);
    c.dw10 = NVME_LOG_HEALTH | 0xffffu << 16;
    CHECK_EQ(run(0, c), NVME_BAD_FIELD);
    c = (struct nvme_command){ .op = NVME_EVENT };
    for (u32 i = 0; i < 4; i++)
        submit(0, &c);
    CHECK_EQ(run(0, c), NVME_TOO_MANY_EVENTS); /* the others stay */
    end();
}

static void reads_and_writes(void)
{
    u8 b[8 * BLOCK], zero[BLOCK] = { 0 };

    start();
    CHECK_EQ(run(1, transfer(false, 100, 1, DATA + 12, 0)), NVME_OK);
    CHECK(same(DATA + 12, blk_mem(disk) + 100 * BLOCK, BLOCK));
    memset(b, 0xa5, sizeof(b));
    rig_put(&rig, DATA, b, sizeof(b));
    CHECK_EQ(run(1, transfer(true, 200, 8, DATA, 0)), NVME_OK);
    CHECK(!memcmp(blk_mem(disk) + 200 * BLOCK, b, sizeof(b)));
    CHECK_EQ(blk_mem_count(disk, BLK_FLUSH), 0);
    CHECK_EQ(run(1, (struct nvme_command){ .op = NVME_FLUSH, .nsid = 1 }), NVME_OK);
    CHECK_EQ(blk_mem_count(disk, BLK_FLUSH), 1);
    struct nvme_command fua = transfer(true, 300, 1, DATA, 0);
    fua.dw12 |= NVME_FUA;
    CHECK_EQ(run(1, fua), NVME_OK);
    CHECK_EQ(blk_mem_count(disk, BLK_FLUSH), 2);
    CHECK_EQ(run(1, (struct nvme_command){ .op = NVME_ZERO, .nsid = 1, .dw10 = 20, .dw12 = 5999 }),
             NVME_OK);
    for (u32 i = 0; i < 6000; i++)
        CHECK(!memcmp(blk_mem(disk) + (20 + i) * BLOCK, zero, BLOCK));
    CHECK(memcmp(blk_mem(disk) + 6020 * BLOCK, zero, BLOCK));
    end();
}

static void dataset(void)
{
    struct nvme_command c = {
        .op = NVME_DATASET, .nsid = 1, .prp1 = DATA, .dw10 = 1, .dw11 = NVME_DEALLOCATE
    };
    u8 range[32] = { 0 }, zero[BLOCK] = { 0 };

    start();
    put_le32(range + 4, 2);
    put_le64(range + 8, 10);
    put_le32(range + 20, 1);
    put_le64(range + 24, 50);
    rig_put(&rig, DATA, range, sizeof(range));
    CHECK_EQ(run(1, c), NVME_OK);
    CHECK_EQ(blk_mem_count(disk, BLK_TRIM), 2);
    CHECK(!memcmp(blk_mem(disk) + 11 * BLOCK, zero, BLOCK));
    CHECK(!memcmp(blk_mem(disk) + 50 * BLOCK, zero, BLOCK));
    put_le64(range + 24, ~0ull);
    rig_put(&rig, DATA, range, sizeof(range));
    CHECK_EQ(run(1, c), NVME_BAD_RANGE);
    CHECK_EQ(blk_mem_count(disk, BLK_TRIM), 2);
    end();
}

static void prp_lists(void)
{
    enum { PAGES = 200 };
    u64 list[PAGES];

    start();
    for (u32 i = 0; i < PAGES; i++)
        list[i] = DATA + (u64)(PAGES - i) * NVME_PAGE; /* backwards */
    /* the list's first page has room for three; its last entry says where it goes on */
    rig_put(&rig, LIST + NVME_PAGE - 24, list, 16);
    rig_put(&rig, LIST + NVME_PAGE - 8, &(u64){ LIST + 0x2000 }, 8);
    rig_put(&rig, LIST + 0x2000, list + 2, sizeof(list) - 16);
    CHECK_EQ(run(1, transfer(false, 0, (PAGES + 1) * 8, DATA + 0x200000, LIST + NVME_PAGE - 24)),
             NVME_OK);
    CHECK(same(DATA + 0x200000, blk_mem(disk), NVME_PAGE));
    for (u32 i = 0; i < PAGES; i++)
        CHECK(same(list[i], blk_mem(disk) + (i + 1) * NVME_PAGE, NVME_PAGE));
    end();
}

static void hostile_prps(void)
{
    static const struct {
        u64 prp1, prp2;
        u32 blocks;
        u64 list[2];
        u16 status;
    } t[] = {
        { 0xe0000000, 0, 1, { 0 }, NVME_TRANSFER }, /* MMIO, perhaps our own */
        { RAM_MIB << 20, 0, 1, { 0 }, NVME_TRANSFER },
        { ~3ull, 0, 1, { 0 }, NVME_TRANSFER },
        { DATA + 1, 0, 1, { 0 }, NVME_BAD_OFFSET },
        { DATA, DATA + 512, 16, { 0 }, NVME_BAD_OFFSET },
        { DATA, LIST + 4, 64, { 0 }, NVME_BAD_OFFSET },
        { DATA, LIST, 64, { DATA + 8, DATA }, NVME_BAD_OFFSET },
        { DATA, 0xffffffff000, 64, { 0 }, NVME_TRANSFER },
        { DATA, LIST, 24, { DATA, 0xe0000000 }, NVME_TRANSFER },
        { DATA, 0, 4096, { 0 }, NVME_BAD_FIELD }, /* more than it says that it takes */
    };

    start();
    for (u32 i = 0; i < LEN(t); i++)
        for (u32 write = 0; write < 2; write++) {
            rig_put(&rig, LIST, t[i].list, sizeof(t[i].list));
            CHECK_EQ(run(1, transfer(write, 0, t[i].blocks, t[i].prp1, t[i].prp2)), t[i].status);
        }
    CHECK_EQ(blk_mem_count(disk, BLK_WRITE), 0);
    CHECK_EQ(run(1, transfer(false, DISK / BLOCK, 1, DATA, 0)), NVME_BAD_RANGE);
    CHECK_EQ(run(1, transfer(false, ~0ull, 1, DATA, 0)), NVME_BAD_RANGE);
    struct nvme_command c = transfer(false, 0, 1, DATA, 0);
    c.nsid = 2;
    CHECK_EQ(run(1, c), NVME_BAD_NAMESPACE);
    c.nsid = 1;
    c.flags = 0x40;
    CHECK_EQ(run(1, c), NVME_BAD_FIELD);
    c.flags = 0;
    c.op = 0x55;
    CHECK_EQ(run(1, c), NVME_BAD_OPCODE);
    reg_set(NVME_DOORBELLS + 8, ENTRIES); /* doorbells out of range are not heard */
    reg_set(NVME_DOORBELLS + 12, ENTRIES);
    reg_set(NVME_DOORBELLS + 8 * 9, 1);
    CHECK_EQ(run(1, transfer(false, 0, 1, DATA, 0)), NVME_OK);
    end();
}

static void faults_reach_the_guest(void)
{
    static const struct {
        u32 ops;
        int rc;
        bool write;
        u16 status;
    } t[] = {
        { 1 << BLK_READ, -EIO, false, NVME_READ_FAULT },
        { 1 << BLK_WRITE, -EIO, true, NVME_WRITE_FAULT },
        { 1 << BLK_WRITE, -ENOSPC, true, NVME_NO_SPACE },
        { 1 << BLK_READ, -ENOMEM, false, NVME_INTERNAL },
    };

    start();
    for (u32 i = 0; i < LEN(t); i++) {
        blk_mem_fail(disk, t[i].ops, 51 * BLOCK, 1, t[i].rc, 1);
        CHECK_EQ(run(1, transfer(t[i].write, 50, 4, DATA, 0)), t[i].status);
        CHECK_EQ(run(1, transfer(t[i].write, 50, 4, DATA, 0)), NVME_OK);
    }
    end();
}

/* The completion queue is smaller than the submission queue: nothing is lost. */
static void small_completion_queue(void)
{
    enum { SMALL = 4, ALL = 40 };

    begin();
    enable();
    CHECK_EQ(create_cq(1, SMALL, 1), NVME_OK);
    CHECK_EQ(create_sq(1, ENTRIES, 1), NVME_OK);
    for (u32 i = 0; i < ALL; i++) {
        struct nvme_command c = transfer(false, i, 1, DATA + i * BLOCK, 0);

        submit(1, &c);
    }
    for (u32 i = 0; i < ALL; i++) {
        queue[1].entries = SMALL; /* of completions, from here on */
        CHECK_EQ(take(1, true).status >> 1, NVME_OK);
    }
    for (u32 i = 0; i < ALL; i++)
        CHECK(same(DATA + i * BLOCK, blk_mem(disk) + i * BLOCK, BLOCK));
    end();
}

static void interrupts(void)
{
    struct nvme_command c = transfer(false, 0, 1, DATA, 0);

    start();
    CHECK(!rig_wire_is_up(&rig));
    submit(1, &c);
    take(1, false);
    CHECK(rig_wire_is_up(&rig));
    reg_set(NVME_INTMS, 1 << 1);
    CHECK(!rig_wire_is_up(&rig));
    reg_set(NVME_INTMC, 1 << 1);
    CHECK(rig_wire_is_up(&rig));
    reg_set(NVME_DOORBELLS + 12, queue[1].head);
    CHECK(!rig_wire_is_up(&rig));
    rig_msix_enable(&rig, dev, 17);
    rig_msi_clear(&rig);
    CHECK_EQ(run(1, c), NVME_OK);
    CHECK(!rig_wire_is_up(&rig));
    CHECK_EQ(rig_msi_seen(&rig, 0xfee00000, 1), 1);
    end();
}

/* A queue that is deleted under load goes when its commands have ended. */
static void deleted_under_load(void)
{
    struct nvme_command gone = { .op = NVME_DELETE_SQ, .dw10 = 1 };
    u16 id;

    start();
    blk_mem_hold(disk, true);
    for (u32 i = 0; i < 10; i++) {
        struct nvme_command c = transfer(false, i, 1, DATA + i * BLOCK, 0);

        submit(1, &c);
    }
    rig_lane(&rig);
    id = submit(0, &gone);
    rig_lane(&rig);
    waited_for = 0;
    CHECK(!told(NULL));
    blk_mem_hold(disk, false);
    CHECK_EQ(take(0, true).id, id);
    for (u32 i = 0; i < 10; i++)
        CHECK_EQ(take(1, true).status >> 1, NVME_OK);
    end();
}

static void moved_under_load(void)
{
    enum { ALL = 50 };
    struct nvme_command event = { .op = NVME_EVENT };
    struct move move;

    start();
    submit(0, &event);
    rig_lane(&rig);
    for (u32 i = 0; i < ALL; i++) {
        struct nvme_command c = transfer(i & 1, i, 1, DATA + i * BLOCK, 0);

        submit(1, &c);
        if (i == ALL / 2) {
            waited_for = 1;
            rig_lane_until(&rig, told, NULL); /* some run, some have, some stand */
        }
    }
    CHECK(move_out(&move, &rig, disk));
    end();
    begin();
    CHECK(move_in(&move, &rig, disk));
    CHECK_EQ(reg(NVME_CSTS), NVME_CSTS_READY);
    for (u32 i = 0; i < ALL; i++)
        CHECK_EQ(take(1, true).status >> 1, NVME_OK);
    for (u32 i = 0; i < ALL; i++)
        CHECK(same(DATA + i * BLOCK, blk_mem(disk) + i * BLOCK, BLOCK));
    for (u32 i = 0; i < 3; i++)
        submit(0, &event);
    CHECK_EQ(run(0, event), NVME_TOO_MANY_EVENTS); /* the first one came along */
    end();
}

int main(void)
{
    CASE(starts_and_stops);
    CASE(identifies);
    CASE(queues);
    CASE(features_and_logs);
    CASE(reads_and_writes);
    CASE(dataset);
    CASE(prp_lists);
    CASE(hostile_prps);
    CASE(faults_reach_the_guest);
    CASE(small_completion_queue);
    CASE(interrupts);
    CASE(deleted_under_load);
    CASE(moved_under_load);
    return check_end();
}
