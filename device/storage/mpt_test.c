/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small driver for both Fusion-MPT adapters: as Linux and SeaBIOS use them, and as none should. */
#include "base/bytes.h"
#include "base/loop.h"
#include "bus/scsi.h"
#include "device/storage/mpt_wire.h"
#include "tests/check.h"
#include "tests/efi_rom.h"
#include "tests/rig.h"
#include "tests/storage_move.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>

enum { FRAMES = 0x10000, REPLIES = 0x40000, SENSE = 0x50000, LIST = 0x60000, PAGE = 0x70000 };
enum { DATA = 0x100000, DISK = 4 << 20, RAM_MIB = 16, BLOCK = 512, REPLY = 128, NREPLIES = 64 };
enum { SLOTS = 1024 }; /* of frames: as many as there are requests at a time */

static const char *class, *efi = "0";
static struct rig rig;
static struct blk *disk, *disc;
static struct device *dev;
static u64 regs;
static u32 made;

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
    const char *settings[] = { "cd", "2", "efi", efi, NULL };
    struct device_end ends[3] = { { 0 } };

    rig_start(&rig, RAM_MIB, 1);
    rig_pci_wires(&rig);
    CHECK_EQ(blk_open_mem(&disk, DISK, false, machine_lane(rig.m), NULL), 0);
    CHECK_EQ(blk_open_mem(&disc, 64 * 2048, true, machine_lane(rig.m), NULL), 0);
    ends[0] = (struct device_end){ "scsi.0", disk };
    ends[1] = (struct device_end){ "scsi.1", disc };
    dev = rig_device(&rig, class, settings, ends);
    rig_pci_enable(&rig, dev);
    regs = rig_bar(dev, 1);
    for (u32 i = 0; i < DISK; i++)
        blk_mem(disk)[i] = (u8)(i * 31 + (i >> 9) * 7);
    made = 0;
}

static void end(void)
{
    machine_clear(rig.m);
    blk_close(disk);
    blk_close(disc);
    rig_stop(&rig);
}

/* ---- the doorbell ---- */

static void ring(const void *message, u32 n)
{
    reg_set(MPT_DOORBELL, (u32)MPT_HANDSHAKE << 24 | n / 4 << 16);
    for (u32 i = 0; i < n; i += 4)
        reg_set(MPT_DOORBELL, le32((const u8 *)message + i));
}

/* As Linux does: each half is acknowledged, and the end of the reply is waited for. */
static void handshake(const void *message, u32 n, void *reply, u32 room)
{
    u8 all[256] = { 0 };
    u32 halves = 2;

    reg_set(MPT_DOORBELL, (u32)MPT_HANDSHAKE << 24 | n / 4 << 16);
    CHECK(reg(MPT_INTR_STATUS) & MPT_INTR_DOORBELL);
    CHECK(reg(MPT_DOORBELL) & MPT_DOORBELL_USED);
    reg_set(MPT_INTR_STATUS, 0);
    for (u32 i = 0; i < n; i += 4) {
        CHECK(!(reg(MPT_INTR_STATUS) & MPT_INTR_DOORBELL));
        reg_set(MPT_DOORBELL, le32((const u8 *)message + i));
    }
    for (u32 i = 0; i < halves && i < sizeof(all) / 2; i++) {
        CHECK(reg(MPT_INTR_STATUS) & MPT_INTR_DOORBELL);
        put_le16(all + 2 * i, (u16)reg(MPT_DOORBELL));
        reg_set(MPT_INTR_STATUS, 0);
        if (i == 1)
            halves = all[2] * 2u;
    }
    CHECK(reg(MPT_INTR_STATUS) & MPT_INTR_DOORBELL);
    reg_set(MPT_INTR_STATUS, 0);
    CHECK(!(reg(MPT_INTR_STATUS) & MPT_INTR_DOORBELL));
    CHECK(!(reg(MPT_DOORBELL) & MPT_DOORBELL_USED));
    memcpy(reply, all, room);
}

static u32 ioc(void)
{
    return reg(MPT_DOORBELL) >> 28;
}

static void start_with(u16 reply_size, u32 frames)
{
    struct mpt_ioc_init w = { .head = { .a = 4, .function = MPT_IOC_INIT, .d = 16, .e = 1 },
                              .reply_size = reply_size };
    struct mpt_reply r;

    for (u32 i = 0; i < frames; i++)
        reg_set(MPT_REPLY_QUEUE, REPLIES + REPLY * i);
    handshake(&w, sizeof(w), &r, sizeof(r));
    CHECK_EQ(r.status, MPT_OK);
    CHECK_EQ(ioc(), MPT_IOC_OPERATIONAL);
}

static void start(void)
{
    begin();
    start_with(REPLY, NREPLIES);
}

/* ---- requests ---- */

struct message {
    struct mpt_scsi_io io;
    u32 sge[20];
};

static struct message transfer(bool write, u32 lba, u32 count, u32 addr)
{
    struct message m = { .io = { .cdb_len = 10, .sense_len = 96, .sense_addr = SENSE } };

    m.io.control = write ? MPT_CONTROL_WRITE : MPT_CONTROL_READ;
    m.io.cdb[0] = write ? 0x2a : 0x28;
    put_be32(m.io.cdb + 2, lba);
    put_be16(m.io.cdb + 7, (u16)count);
    m.io.data_len = count * BLOCK;
    m.sge[0] = 0xd1000000 | (write ? (u32)MPT_SGE_TO_DEVICE << 24 : 0) | count * BLOCK;
    m.sge[1] = addr;
    return m;
}

static void post(const void *m, u32 n, u32 queue)
{
    u32 at = FRAMES + MPT_FRAME * (made++ % SLOTS);

    rig_put(&rig, at, m, n);
    reg_set(queue, at);
}

static bool answered(void *arg)
{
    (void)arg;
    return reg(MPT_INTR_STATUS) & MPT_INTR_REPLY;
}

/* The next reply; a frame of it is copied, and given back. */
static u32 next_reply(void *frame, u32 n)
{
    u32 v;

    rig_lane_until(&rig, answered, NULL);
    v = reg(MPT_REPLY_QUEUE);
    if (v & MPT_ADDRESS_REPLY) {
        rig_get(&rig, v << 1, frame, n);
        reg_set(MPT_REPLY_QUEUE, v << 1);
    }
    return v;
}

/* Runs a request; what a context reply leaves out is as it must have been. */
static struct mpt_scsi_reply run(struct message *m)
{
    struct mpt_scsi_reply r = { 0 };
    u32 v;

    m->io.context = 0x100 + made;
    post(m, sizeof(*m), MPT_REQUEST_QUEUE);
    v = next_reply(&r, sizeof(r));
    if (v & MPT_ADDRESS_REPLY) {
        CHECK_EQ(r.head.chain, sizeof(r) / 4);
        CHECK_EQ(r.head.context, m->io.context);
    } else {
        CHECK_EQ(v, m->io.context);
        r.moved = m->io.data_len;
    }
    return r;
}

static void settle(u8 target) /* the attention of the reset */
{
    struct message m = { .io = { .target = target, .cdb_len = 6 } };

    CHECK_EQ(run(&m).scsi_status, SCSI_CHECK);
    CHECK_EQ(run(&m).scsi_status, SCSI_GOOD);
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

static void handshakes(void)
{
    struct mpt_head w = { .function = MPT_IOC_FACTS, .context = 77 };
    struct mpt_ioc_facts f;
    struct mpt_port_facts p;
    u16 half[sizeof(f) / 2];

    begin();
    CHECK_EQ(ioc(), MPT_IOC_READY);
    handshake(&w, sizeof(w), &f, sizeof(f));
    CHECK_EQ(f.reply.head.context, 77);
    CHECK_EQ(f.reply.status, MPT_OK);
    CHECK_EQ(f.frame_dwords, MPT_FRAME / 4);
    CHECK_EQ(f.ports, 1);
    ring(&w, sizeof(w)); /* as SeaBIOS does: nothing is acknowledged but the end */
    for (u32 i = 0; i < LEN(half); i++)
        half[i] = (u16)reg(MPT_DOORBELL);
    reg_set(MPT_INTR_STATUS, 0);
    CHECK(!memcmp(half, &f, sizeof(f)));
    CHECK(!(reg(MPT_DOORBELL) & MPT_DOORBELL_USED));
    w.function = MPT_PORT_FACTS;
    handshake(&w, sizeof(w), &p, sizeof(p));
    CHECK_EQ(p.type, strcmp(class, "lsilogic") ? MPT_PORT_SAS : MPT_PORT_SCSI);
    w.e = 1;
    handshake(&w, sizeof(w), &p, sizeof(p));
    CHECK_EQ(p.reply.status, MPT_BAD_FIELD);
    w.function = MPT_PORT_ENABLE;
    handshake(&w, sizeof(w), &p, sizeof(p.reply));
    CHECK_EQ(p.reply.status, MPT_BAD_STATE);
    start_with(REPLY, 1);
    handshake(&w, sizeof(w), &p, sizeof(p.reply));
    CHECK_EQ(p.reply.status, MPT_OK);
    w.function = 0x12;
    handshake(&w, sizeof(w), &p, sizeof(p.reply));
    CHECK_EQ(p.reply.status, MPT_BAD_FUNCTION);
    ring(&w, 8); /* too short to be a message, then too long */
    CHECK(!(reg(MPT_DOORBELL) & MPT_DOORBELL_USED));
    reg_set(MPT_DOORBELL, (u32)MPT_HANDSHAKE << 24 | 33 << 16);
    CHECK(!(reg(MPT_DOORBELL) & MPT_DOORBELL_USED));
    end();
}

static void reads_and_writes(void)
{
    struct message m;
    u8 b[8 * BLOCK];

    start();
    settle(0);
    m = transfer(false, 100, 16, DATA + 12);
    CHECK_EQ(run(&m).moved, 16 * BLOCK);
    CHECK(same(DATA + 12, blk_mem(disk) + 100 * BLOCK, 16 * BLOCK));
    memset(b, 0xa5, sizeof(b));
    rig_put(&rig, DATA, b, sizeof(b));
    m = transfer(true, 200, 8, DATA);
    CHECK_EQ(run(&m).status, MPT_OK);
    CHECK(!memcmp(blk_mem(disk) + 200 * BLOCK, b, sizeof(b)));
    m = (struct message){ .io = { .cdb_len = 10, .cdb = { 0x35 } } };
    CHECK_EQ(run(&m).status, MPT_OK);
    CHECK_EQ(blk_mem_count(disk, BLK_FLUSH), 1);
    CHECK_EQ(reg(MPT_REPLY_QUEUE), MPT_NO_REPLY);
    end();
}

static void chains(void)
{
    /* in the frame: 100 bytes and a chain; there: 412 by a long address, and the next chain */
    u32 first[] = { 0x10000000 | 412, DATA + 0x1003, 0, 0x300c0000 | 16, LIST + 0x800 };
    u32 second[] = { 0x90000000 | 256, DATA + 0x2000, 0xd1000000 | 256, DATA + 0x3000 };
    struct message m;

    start();
    settle(0);
    first[0] |= (u32)MPT_SGE_64 << 24;
    first[3] = (u32)MPT_SGE_CHAIN << 24 | 16;
    rig_put(&rig, LIST, first, sizeof(first));
    second[0] = 0x10000000 | 256;
    rig_put(&rig, LIST + 0x800, second, sizeof(second));
    m = transfer(false, 7, 2, 0);
    m.sge[0] = 0x90000000 | 100;
    m.sge[1] = DATA;
    m.io.chain = sizeof(m.io) / 4 + 2;
    m.sge[2] = (u32)MPT_SGE_CHAIN << 24 | 3 << 16 | sizeof(first);
    m.sge[3] = LIST;
    CHECK_EQ(run(&m).moved, 2 * BLOCK);
    CHECK(same(DATA, blk_mem(disk) + 7 * BLOCK, 100));
    CHECK(same(DATA + 0x1003, blk_mem(disk) + 7 * BLOCK + 100, 412));
    CHECK(same(DATA + 0x2000, blk_mem(disk) + 8 * BLOCK, 256));
    CHECK(same(DATA + 0x3000, blk_mem(disk) + 8 * BLOCK + 256, 256));
    end();
}

static void hostile_lists(void)
{
    static const struct {
        u8 chain;
        u32 sge[4], list[4];
    } t[] = {
        { 0, { 0xd1000000 | 4096, 0xe0000000 }, { 0 } }, /* MMIO, perhaps our own */
        { 0, { 0xd1000000 | 4096, (RAM_MIB << 20) - 1 }, { 0 } },
        { 0, { 0, 0 }, { 0 } },                            /* no kind */
        { 0, { 0x30000000 | 8, LIST }, { 0 } },            /* a chain that is not announced */
        { 12, { 0x10000000, 0, 0, 0 }, { 0 } },            /* the chain is no chain */
        { 12, { 0x30000000 | 8, 0xfffffff0 }, { 0 } },     /* a chain into nothing */
        { 12, { 0x30000000 | 8 | 1 << 16, LIST }, { 0 } }, /* its next beyond its end */
        { 12, { 0x30000000 | 0xffff, LIST }, { 0 } },      /* longer than is taken */
        { 12, { 0x30000000, LIST }, { 0 } },               /* nothing in it */
        { 5, { 0x30000000 | 8, LIST }, { 0 } },            /* before the list */
        { 255, { 0xd1000000 | 512, DATA }, { 0 } },        /* beyond the frame */
        /* around in a circle, with a piece of nothing, then of one byte */
        { 12, { 0x30000000 | 16 | 2 << 16, LIST }, { 0x10000000, DATA, 0x30020010, LIST } },
        { 12, { 0x30000000 | 16 | 2 << 16, LIST }, { 0x10000001, DATA, 0x30020010, LIST } },
    };

    start();
    settle(0);
    for (u32 i = 0; i < LEN(t); i++)
        for (u32 write = 0; write < 2; write++) {
            struct message m = transfer(write, 0, 8, 0);

            memset(m.sge, 0, sizeof(m.sge));
            memcpy(m.sge, t[i].sge, sizeof(t[i].sge));
            rig_put(&rig, LIST, t[i].list, sizeof(t[i].list));
            m.io.chain = t[i].chain;
            CHECK_EQ(run(&m).status, MPT_BAD_LIST);
        }
    CHECK_EQ(blk_mem_count(disk, BLK_WRITE), 0);
    CHECK_EQ(ioc(), MPT_IOC_OPERATIONAL);
    end();
}

static void odd_lengths(void)
{
    struct message m;
    struct mpt_scsi_reply r;

    start();
    settle(0);
    m = transfer(false, 0, 4, DATA);
    m.io.data_len = 2 * BLOCK + 100; /* less than the command transfers */
    r = run(&m);
    CHECK_EQ(r.status, MPT_SCSI_UNDERRUN);
    CHECK_EQ(r.moved, 2 * BLOCK);
    m = transfer(false, 0, 4, DATA);
    m.sge[0] = 0xd1000000 | 100 * BLOCK;
    m.io.data_len = 100 * BLOCK; /* more */
    r = run(&m);
    CHECK_EQ(r.moved, 4 * BLOCK);
    CHECK_EQ(r.status, MPT_SCSI_UNDERRUN);
    m.io.data_len = 0x7fffffff;
    CHECK_EQ(run(&m).status, MPT_BAD_LIST);
    m = transfer(false, 0, 4, DATA);
    m.io.control = 0;
    CHECK_EQ(run(&m).moved, 4 * BLOCK); /* told by its context: no data were expected */
    m.io.cdb_len = 17;
    CHECK_EQ(run(&m).status, MPT_BAD_FIELD);
    m = transfer(false, DISK / BLOCK, 1, DATA);
    r = run(&m);
    CHECK_EQ(r.scsi_status, SCSI_CHECK);
    CHECK_EQ(r.scsi_state, MPT_STATE_SENSE);
    CHECK_EQ(r.sense, SCSI_SENSE);
    CHECK(same(SENSE, (const u8[]){ 0x70, 0, 5 }, 3));
    m.io.sense_addr = 0xfffffff0;
    CHECK_EQ(run(&m).scsi_state, MPT_STATE_NO_SENSE);
    end();
}

static void targets(void)
{
    struct message m = { .io = { .cdb_len = 6,
                                 .cdb = { 0x12, 0, 0, 0, 36 },
                                 .control = MPT_CONTROL_READ,
                                 .data_len = 36 },
                         .sge = { 0xd1000000 | 36, DATA } };

    start();
    CHECK_EQ(run(&m).status, MPT_OK);
    CHECK(same(DATA + 8, (const u8 *)"VMware  Virtual disk    1.0 ", 28));
    m.io.target = 1;
    CHECK_EQ(run(&m).status, MPT_OK);
    CHECK(same(DATA, (const u8[]){ 5, 0x80 }, 2));
    m.io.target = 2;
    CHECK_EQ(run(&m).status, MPT_SCSI_NO_DEVICE);
    m.io.target = 200;
    CHECK_EQ(run(&m).status, MPT_SCSI_BAD_TARGET);
    m.io.target = 0;
    m.io.bus = 1;
    CHECK_EQ(run(&m).status, MPT_SCSI_BAD_BUS);
    m.io.bus = 0;
    m.io.lun[1] = 1;
    run(&m);
    CHECK(same(DATA, (const u8[]){ 0x7f }, 1));
    end();
}

static void many_at_once(void)
{
    enum { ALL = 400, EACH = 2 * BLOCK };
    static u32 seen[ALL];
    struct message m;
    u8 b[EACH];

    start();
    settle(0);
    memset(seen, 0, sizeof(seen));
    for (u32 i = 0; i < ALL; i++) {
        m = transfer(i & 1, i * 2, 2, DATA + i * EACH);
        m.io.context = i;
        memset(b, (int)i, sizeof(b));
        if (i & 1)
            rig_put(&rig, DATA + i * EACH, b, sizeof(b));
        post(&m, sizeof(m), MPT_REQUEST_QUEUE);
    }
    for (u32 i = 0; i < ALL; i++) {
        u32 v = next_reply(b, 0);

        CHECK(v < ALL);
        seen[v % ALL]++;
    }
    for (u32 i = 0; i < ALL; i++) {
        CHECK_EQ(seen[i], 1);
        CHECK(same(DATA + i * EACH, blk_mem(disk) + i * EACH, EACH));
    }
    end();
}

static void queues_that_are_full(void)
{
    struct message m = { .io = { .target = 5, .cdb_len = 6 } };

    begin();
    start_with(REPLY, 1);
    m.io.context = 1;
    post(&m, sizeof(m), MPT_REQUEST_QUEUE);
    rig_lane(&rig);
    CHECK_EQ(ioc(), MPT_IOC_OPERATIONAL);
    post(&m, sizeof(m), MPT_REQUEST_QUEUE); /* its answer needs a frame, and there is none */
    rig_lane(&rig);
    CHECK_EQ(ioc(), MPT_IOC_FAULT);
    CHECK_EQ(reg(MPT_DOORBELL) & 0xffff, MPT_FAULT_NO_REPLY_FRAME);
    post(&m, sizeof(m), MPT_REQUEST_QUEUE);
    rig_lane(&rig);
    reg_set(MPT_DOORBELL, (u32)MPT_UNIT_RESET << 24); /* heals */
    CHECK_EQ(ioc(), MPT_IOC_READY);
    CHECK_EQ(reg(MPT_REPLY_QUEUE), MPT_NO_REPLY);
    start_with(REPLY, NREPLIES);
    for (u32 i = 0; i < 2000; i++) /* nobody takes them */
        reg_set(MPT_REQUEST_QUEUE, FRAMES);
    CHECK_EQ(ioc(), MPT_IOC_FAULT);
    end();
}

static void small_reply_frames(void)
{
    u8 mark[16], b[16];
    struct message m = { .io = { .target = 5, .cdb_len = 6 } };

    begin();
    start_with(4, 2); /* as SeaBIOS has it */
    memset(mark, 0xee, sizeof(mark));
    rig_put(&rig, REPLIES, mark, sizeof(mark));
    post(&m, sizeof(m), MPT_REQUEST_QUEUE);
    CHECK_EQ(next_reply(b, sizeof(b)), REPLIES >> 1 | MPT_ADDRESS_REPLY);
    CHECK_EQ(b[0], 5);
    CHECK(!memcmp(b + 4, mark, 12));
    end();
}

static void interrupts(void)
{
    struct message m = { .io = { .cdb_len = 6 } };

    start();
    settle(0);
    reg_set(MPT_INTR_MASK, 9);
    post(&m, sizeof(m), MPT_REQUEST_QUEUE);
    rig_lane_until(&rig, answered, NULL);
    CHECK(!rig_wire_is_up(&rig));
    reg_set(MPT_INTR_MASK, 1);
    CHECK(rig_wire_is_up(&rig));
    CHECK_EQ(reg(MPT_REPLY_QUEUE), 0);
    CHECK(!rig_wire_is_up(&rig));
    end();
}

/* A kernel masks them, resets what the firmware left running, and would not know of any. */
static void masked_through_resets(void)
{
    start();
    reg_set(MPT_INTR_MASK, MPT_INTR_DOORBELL | MPT_INTR_REPLY);
    reg_set(MPT_DOORBELL, (u32)MPT_UNIT_RESET << 24);
    CHECK_EQ(ioc(), MPT_IOC_READY);
    CHECK_EQ(reg(MPT_INTR_MASK), MPT_INTR_DOORBELL | MPT_INTR_REPLY);
    reg_set(MPT_INTR_MASK, MPT_INTR_DOORBELL);
    reg_set(MPT_DOORBELL, (u32)MPT_UNIT_RESET << 24);
    CHECK_EQ(reg(MPT_INTR_MASK), MPT_INTR_DOORBELL);
    reg_set(MPT_DOORBELL, (u32)MPT_IO_UNIT_RESET << 24);
    CHECK_EQ(reg(MPT_INTR_MASK), MPT_INTR_DOORBELL | MPT_INTR_REPLY);
    end();
}

static void diagnostic_reset(void)
{
    static const u8 key[] = { 0xff, 4, 0xb, 2, 7, 0xd };

    start();
    reg_set(MPT_DIAG, MPT_DIAG_RESET); /* locked */
    CHECK_EQ(ioc(), MPT_IOC_OPERATIONAL);
    for (u32 i = 0; i < LEN(key); i++) {
        CHECK(!(reg(MPT_DIAG) & MPT_DIAG_WRITABLE));
        reg_set(MPT_SEQUENCE, key[i]);
    }
    CHECK(reg(MPT_DIAG) & MPT_DIAG_WRITABLE);
    reg_set(MPT_DIAG, MPT_DIAG_RESET);
    CHECK_EQ(ioc(), MPT_IOC_READY);
    CHECK_EQ(reg(MPT_DIAG), MPT_DIAG_HISTORY);
    start_with(REPLY, NREPLIES);
    settle(0);
    end();
}

/* ---- task management ---- */

static struct mpt_task_reply managed(u8 type, u8 target, u32 task, u32 queue)
{
    struct mpt_task_management w = {
        .head = { .a = target, .function = MPT_TASK_MANAGEMENT, .d = type, .context = 0x777 },
        .task = task
    };
    struct mpt_task_reply r = { 0 };
    struct mpt_scsi_reply other;

    post(&w, sizeof(w), queue);
    rig_lane(&rig);
    blk_mem_hold(disk, false);
    for (u32 i = 0; i < 64; i++) {
        next_reply(&other, sizeof(other));
        memcpy(&r, &other, sizeof(r));
        if (r.reply.head.context == 0x777)
            break;
        CHECK_EQ(other.status, MPT_SCSI_TERMINATED); /* before the answer to the message */
    }
    CHECK_EQ(r.reply.head.context, 0x777);
    return r;
}

static void held_reads(u32 n)
{
    blk_mem_hold(disk, true);
    for (u32 i = 0; i < n; i++) {
        struct message m = transfer(false, i, 1, DATA + i * BLOCK);

        m.io.context = i;
        post(&m, sizeof(m), MPT_REQUEST_QUEUE);
    }
    rig_lane(&rig);
}

static void task_management(void)
{
    static const u32 queues[] = { MPT_REQUEST_QUEUE, MPT_PRIORITY_QUEUE };

    start();
    settle(0);
    for (u32 i = 0; i < LEN(queues); i++) {
        held_reads(1);
        CHECK_EQ(managed(MPT_ABORT_TASK, 0, 0, queues[i]).terminated, 1);
        held_reads(20);
        CHECK_EQ(managed(MPT_TARGET_RESET, 0, 0, queues[i]).terminated, 20);
        settle(0);
        held_reads(20);
        CHECK_EQ(managed(MPT_BUS_RESET, 0, 0, queues[i]).terminated, 20);
        settle(0);
        held_reads(3);
        CHECK_EQ(managed(MPT_ABORT_TASK_SET, 0, 0, queues[i]).terminated, 3);
        CHECK_EQ(managed(MPT_ABORT_TASK, 0, 99, queues[i]).terminated, 0);
        CHECK_EQ(managed(MPT_QUERY_TASK, 0, 99, queues[i]).reply.head.c, MPT_TASK_COMPLETE);
        CHECK_EQ(managed(MPT_TARGET_RESET, 9, 0, queues[i]).reply.status, MPT_SCSI_NO_DEVICE);
        CHECK_EQ(managed(99, 0, 0, queues[i]).reply.head.c, MPT_TASK_UNSUPPORTED);
    }
    end();
}

static void task_management_by_doorbell(void)
{
    struct mpt_task_management w = {
        .head = { .function = MPT_TASK_MANAGEMENT, .d = MPT_TARGET_RESET, .context = 0x777 }
    };
    struct mpt_scsi_reply r;

    start();
    settle(0);
    held_reads(2);
    ring(&w, sizeof(w));
    CHECK(reg(MPT_INTR_STATUS) & MPT_INTR_DOORBELL);
    CHECK(!(reg(MPT_DOORBELL) & MPT_DOORBELL_USED));
    reg_set(MPT_INTR_STATUS, 0);
    blk_mem_hold(disk, false);
    for (u32 i = 0; i < 3; i++)
        next_reply(&r, sizeof(r));
    CHECK_EQ(r.head.context, 0x777);
    end();
}

/* A reset waits, and the lane has to run meanwhile. */
static bool reset_done;
static void on_post(void *arg)
{
    (void)arg; /* wakes the loop */
}
static void *reset_thread(void *arg)
{
    (void)arg;
    reg_set(MPT_DOORBELL, (u32)MPT_UNIT_RESET << 24);
    __atomic_store_n(&reset_done, true, __ATOMIC_RELEASE);
    loop_post(machine_lane(rig.m), on_post, NULL);
    return NULL;
}
static bool is_reset(void *arg)
{
    (void)arg;
    return __atomic_load_n(&reset_done, __ATOMIC_ACQUIRE);
}

static void reset_in_the_middle(void)
{
    pthread_t thread;
    u8 mark[BLOCK];

    start();
    settle(0);
    held_reads(20);
    reset_done = false;
    CHECK_EQ(pthread_create(&thread, NULL, reset_thread, NULL), 0);
    while (ioc() != MPT_IOC_RESET)
        sched_yield();
    CHECK(!is_reset(NULL));
    blk_mem_hold(disk, false);
    rig_lane_until(&rig, is_reset, NULL);
    pthread_join(thread, NULL);
    memset(mark, 0xee, sizeof(mark)); /* the memory is the guest's again */
    rig_put(&rig, DATA, mark, sizeof(mark));
    rig_lane(&rig);
    CHECK(same(DATA, mark, sizeof(mark)));
    CHECK_EQ(reg(MPT_REPLY_QUEUE), MPT_NO_REPLY);
    CHECK_EQ(reg(MPT_INTR_STATUS), 0);
    start_with(REPLY, NREPLIES);
    end();
}

static void moved_under_load(void)
{
    enum { ALL = 60 };
    struct message m;
    struct move move;
    u32 seen = 0;

    start();
    settle(0);
    reg_set(MPT_INTR_MASK, 1);
    for (u32 i = 0; i < ALL; i++) {
        m = transfer(i & 1, i, 1, DATA + i * BLOCK);
        m.io.context = i;
        post(&m, sizeof(m), MPT_REQUEST_QUEUE);
        if (i == ALL / 2) {
            rig_lane_until(&rig, answered, NULL); /* some run, some have, some stand */
            CHECK(rig_wire_is_up(&rig));
        }
    }
    CHECK(move_out(&move, &rig, disk));
    end();
    begin();
    CHECK(move_in(&move, &rig, disk));
    for (u32 i = 0; i < ALL; i++)
        seen += next_reply(&m, 0) < ALL;
    CHECK_EQ(seen, ALL);
    for (u32 i = 0; i < ALL; i++)
        CHECK(same(DATA + i * BLOCK, blk_mem(disk) + i * BLOCK, BLOCK));
    CHECK_EQ(reg(MPT_REPLY_QUEUE), MPT_NO_REPLY);
    end();
}

/* ---- configuration pages ---- */

static struct mpt_config_reply config(u8 action, u8 type, u8 number, u32 address, u32 room)
{
    struct mpt_config_message w = { .head = { .a = action, .function = MPT_CONFIG },
                                    .number = number,
                                    .type = type < 0x10 ? type : MPT_PAGE_EXTENDED,
                                    .address = address,
                                    .sge = { 0xd1000000 | room, PAGE } };
    struct mpt_config_reply r;

    w.head.e = type < 0x10 ? 0 : type;
    post(&w, sizeof(w), MPT_REQUEST_QUEUE);
    CHECK(next_reply(&r, sizeof(r)) & MPT_ADDRESS_REPLY);
    return r;
}

static void pages_of_all_kinds(void)
{
    u32 found = 0;

    start();
    for (u32 type = 0; type < 0x20; type++)
        for (u8 number = 0; number < 8; number++) {
            struct mpt_config_reply h = config(MPT_PAGE_HEADER, (u8)type, number, 0, 0), r;
            u32 len = type < 0x10 ? h.length * 4u : (h.reply.head.c | h.reply.head.d << 8) * 4u;
            u8 page[1024], fill[1024];

            if (h.reply.status) {
                CHECK_EQ(h.reply.status, MPT_CONFIG_BAD_PAGE);
                continue;
            }
            found++;
            memset(fill, 0xcc, sizeof(fill));
            rig_put(&rig, PAGE, fill, sizeof(fill));
            r = config(MPT_PAGE_READ, (u8)type, number, 0, 1000);
            CHECK_EQ(r.reply.status, MPT_OK);
            rig_get(&rig, PAGE, page, sizeof(page));
            CHECK(len >= 8 && len <= 512);
            CHECK(!memcmp(page, &h.version, 4));
            CHECK(!memcmp(page + len, fill, sizeof(fill) - len)); /* and no byte more */
        }
    CHECK(found > 20);
    CHECK_EQ(config(9, MPT_PAGE_IOC, 0, 0, 0).reply.status, MPT_CONFIG_BAD_ACTION);
    end();
}

static void parallel_negotiates(void)
{
    u8 page[16] = { 5, 4, 1, MPT_PAGE_SCSI_DEVICE };

    if (strcmp(class, "lsilogic"))
        return;
    start();
    put_le32(page + 4, 0x207f0807);
    rig_put(&rig, PAGE, page, sizeof(page));
    CHECK_EQ(config(MPT_PAGE_WRITE, MPT_PAGE_SCSI_DEVICE, 1, 3, 16).reply.status, MPT_OK);
    config(MPT_PAGE_READ, MPT_PAGE_SCSI_DEVICE, 0, 3, 16);
    rig_get(&rig, PAGE, page, 12);
    CHECK_EQ(le32(page + 4), 0x207f0807);
    CHECK_EQ(le32(page + 8), 1);
    config(MPT_PAGE_READ, MPT_PAGE_SCSI_DEVICE, 0, 2, 16);
    rig_get(&rig, PAGE, page, 12);
    CHECK_EQ(le32(page + 4), 0);
    end();
}

/* As Linux finds disks: each handle in turn, until there are no more. */
static void sas_is_discovered(void)
{
    u32 handle = 0xffff, ends = 0, all = 0;
    u8 page[36];

    if (!strcmp(class, "lsilogic"))
        return;
    start();
    while (!config(MPT_PAGE_READ, MPT_PAGE_SAS_DEVICE, 0, handle, 36).reply.status && all < 100) {
        rig_get(&rig, PAGE, page, sizeof(page));
        handle = le16(page + 0x18);
        all++;
        if (le32(page + 0x1c) & 0x400) {
            CHECK_EQ(page[0x1a], ends); /* target ids 0 and 1 */
            ends++;
        }
    }
    CHECK_EQ(all, 18);
    CHECK_EQ(ends, 2);
    CHECK_EQ(config(MPT_PAGE_READ, MPT_PAGE_SAS_DEVICE, 0, 1u << 28 | 1, 36).reply.status, MPT_OK);
    CHECK_EQ(config(MPT_PAGE_READ, MPT_PAGE_SAS_DEVICE, 0, 1u << 28 | 5, 36).reply.status,
             MPT_CONFIG_BAD_PAGE);
    CHECK_EQ(config(MPT_PAGE_READ, MPT_PAGE_SAS_EXPANDER, 0, 0xffff, 36).reply.status,
             MPT_CONFIG_BAD_PAGE);
    end();
}

/* How large the expansion ROM says that it is; 0: there is none. */
static u32 rom_room(const char *with)
{
    u32 val;

    efi = with;
    begin();
    rig_pci_set(dev, 0x30, 4, 0xfffff800);
    val = rig_pci_get(dev, 0x30, 4);
    end();
    efi = "0";
    return ~val + 1;
}

static void rom(void)
{
    bool sas = strcmp(class, "lsilogic");
    u32 size = sas ? lsisas1068_rom_size : lsilogic_rom_size;

    efi_rom(sas ? lsisas1068_rom : lsilogic_rom, size, MPT_VENDOR,
            sas ? MPT_DEVICE_1068 : MPT_DEVICE_1030);
    CHECK_EQ(rom_room("0"), 0);
    CHECK(rom_room("1") >= size);
}

int main(void)
{
    static const char *const classes[] = { "lsilogic", "lsisas1068" };

    for (u32 i = 0; i < LEN(classes); i++) {
        class = classes[i];
        printf("# %s\n", class);
        CASE(handshakes);
        CASE(reads_and_writes);
        CASE(chains);
        CASE(hostile_lists);
        CASE(odd_lengths);
        CASE(targets);
        CASE(many_at_once);
        CASE(queues_that_are_full);
        CASE(small_reply_frames);
        CASE(interrupts);
        CASE(masked_through_resets);
        CASE(diagnostic_reset);
        CASE(task_management);
        CASE(task_management_by_doorbell);
        CASE(reset_in_the_middle);
        CASE(moved_under_load);
        CASE(pages_of_all_kinds);
        CASE(parallel_negotiates);
        CASE(sas_is_discovered);
        CASE(rom);
    }
    return check_end();
}
