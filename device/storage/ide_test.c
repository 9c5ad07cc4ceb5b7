/* SPDX-License-Identifier: GPL-2.0-or-later */
/* IDE drives driven by their registers: PIO, bus master, packets, resets, and nonsense. */
#include "base/bytes.h"
#include "base/loop.h"
#include "tests/check.h"
#include "tests/rig.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>

enum { BLOCK = 512, DISK = 4000 * 512, DISC = 300 * 2048 };
enum { PRDT = 0x8000, DATA = 0x100000, RAM_MIB = 16 };
enum { BSY = 0x80, DRDY = 0x40, DRQ = 8, ERR = 1 };

static struct rig rig;
static struct blk *disk, *disc;
static struct device *dev;
static struct rig_wire *irq14, *irq15;
static u16 base, bm; /* of the channel in use */
static u8 data[65536];

static void use(u32 channel)
{
    base = channel ? 0x170 : 0x1f0;
    bm = (u16)(rig_bar(dev, 4) + channel * 8);
}

static void begin(bool readonly)
{
    static const char *const settings[] = { "cd", "4", NULL };
    struct device_end ends[3] = { { 0 } };
    struct err e = { 0 };

    rig_start(&rig, RAM_MIB, 1);
    irq14 = rig_wire(&rig, "isa.14");
    irq15 = rig_wire(&rig, "isa.15");
    CHECK_EQ(blk_open_mem(&disk, DISK, readonly, machine_lane(rig.m), &e), 0);
    CHECK_EQ(blk_open_mem(&disc, DISC, true, machine_lane(rig.m), &e), 0);
    ends[0] = (struct device_end){ "ide.0", disk };
    ends[1] = (struct device_end){ "ide.2", disc };
    dev = rig_device(&rig, "ide", settings, ends);
    rig_pci_enable(&rig, dev);
    for (u32 i = 0; i < DISK; i++)
        blk_mem(disk)[i] = (u8)(i * 13 + (i >> 9) * 5);
    for (u32 i = 0; i < DISC; i++)
        blk_mem(disc)[i] = (u8)(i * 3 + (i >> 11));
    use(0);
}

static void end(void)
{
    machine_clear(rig.m);
    blk_close(disk);
    blk_close(disc);
    rig_stop(&rig);
}

static u8 in(u32 reg)
{
    return (u8)rig_in(&rig, (u16)(base + reg), 1);
}

static void out(u32 reg, u8 v)
{
    rig_out(&rig, (u16)(base + reg), 1, v);
}

static u8 status(void) /* without answering the interrupt */
{
    return (u8)rig_in(&rig, (u16)(base + 0x206), 1);
}

static bool is_ready(void *arg)
{
    (void)arg;
    return !(status() & BSY);
}

static u8 ready(void)
{
    rig_lane_until(&rig, is_ready, NULL);
    return in(7);
}

static bool early; /* the bus master was started before the command */

static void command28(u8 cmd, u32 lba, u8 count)
{
    if (!early)
        rig_out(&rig, bm, 1, 0);
    out(6, (u8)(0xe0 | lba >> 24));
    out(2, count);
    out(3, (u8)lba);
    out(4, (u8)(lba >> 8));
    out(5, (u8)(lba >> 16));
    out(7, cmd);
}

static void command48(u8 cmd, u64 lba, u16 count)
{
    if (!early)
        rig_out(&rig, bm, 1, 0);
    out(6, 0xe0);
    out(2, (u8)(count >> 8));
    out(3, (u8)(lba >> 24));
    out(4, (u8)(lba >> 32));
    out(5, (u8)(lba >> 40));
    out(2, (u8)count);
    out(3, (u8)lba);
    out(4, (u8)(lba >> 8));
    out(5, (u8)(lba >> 16));
    out(7, cmd);
}

/* Takes `n` bytes in DRQ blocks of `block`; each block must ask for itself. */
static void pio_in(u8 *p, u32 n, u32 block)
{
    for (u32 at = 0; at < n; at += 2) {
        u16 w;

        if (at % block == 0)
            CHECK_EQ(ready() & (BSY | DRQ | ERR), DRQ);
        w = (u16)rig_in(&rig, base, 2);
        put_le16(p + at, w);
    }
}

static void pio_out(const u8 *p, u32 n, u32 block)
{
    for (u32 at = 0; at < n; at += 2) {
        if (at % block == 0)
            CHECK_EQ(ready() & (BSY | DRQ | ERR), DRQ);
        rig_out(&rig, base, 2, le16(p + at));
    }
}

static void identity(void)
{
    u16 w;

    begin(false);
    command28(0xec, 0, 0);
    pio_in(data, BLOCK, BLOCK);
    CHECK_EQ(in(7) & (BSY | DRQ | ERR), 0);
    CHECK_EQ(le16(data), 0x40);
    CHECK_EQ(le32(data + 120), DISK / BLOCK);
    CHECK_EQ(le64(data + 200), DISK / BLOCK);
    CHECK(!memcmp(data + 54, "MVawerV riutlaI EDH ra drDvi ", 28)); /* bytes swapped */
    w = le16(data + 166);
    CHECK_EQ(w & 0x7400, 0x7400);
    out(6, 0xf0); /* nobody at drive 1 */
    CHECK_EQ(in(7), 0);
    out(2, 0x55);
    CHECK_EQ(in(2), 0);
    use(1);
    out(6, 0xa0);
    out(7, 0xec); /* a packet device refuses, and tells what it is */
    CHECK_EQ(ready() & ERR, ERR);
    CHECK_EQ(in(4), 0x14);
    CHECK_EQ(in(5), 0xeb);
    out(7, 0xa1);
    pio_in(data, BLOCK, BLOCK);
    CHECK_EQ(le16(data), 0x85c0);
    end();
}

static void pio(void)
{
    u32 rises;

    begin(false);
    rises = irq14->rises;
    command28(0x20, 1000, 20); /* more than the buffer holds */
    pio_in(data, 20 * BLOCK, BLOCK);
    CHECK(!memcmp(data, blk_mem(disk) + 1000 * BLOCK, 20 * BLOCK));
    CHECK_EQ(irq14->rises, rises + 20);
    CHECK_EQ(in(7) & (DRQ | ERR), 0);
    memset(data, 0x5a, sizeof(data));
    command48(0x34, 3000, 37);
    pio_out(data, 37 * BLOCK, BLOCK);
    CHECK_EQ(ready() & (DRQ | ERR), 0);
    CHECK(!memcmp(blk_mem(disk) + 3000 * BLOCK, data, 37 * BLOCK));
    CHECK_EQ(irq14->rises, rises + 20 + 37);
    command28(0xc4, 0, 1); /* MULTIPLE before it is set up */
    CHECK_EQ(ready() & ERR, ERR);
    command28(0xc6, 0, 8);
    CHECK_EQ(ready() & ERR, 0);
    rises = irq14->rises;
    command28(0xc4, 5, 19);
    pio_in(data, 19 * BLOCK, 8 * BLOCK);
    CHECK(!memcmp(data, blk_mem(disk) + 5 * BLOCK, 19 * BLOCK));
    CHECK_EQ(irq14->rises, rises + 3);
    command28(0xc5, 600, 11);
    pio_out(data, 11 * BLOCK, 8 * BLOCK);
    CHECK_EQ(ready() & ERR, 0);
    CHECK(!memcmp(blk_mem(disk) + 600 * BLOCK, data, 11 * BLOCK));
    command28(0x20, 0, 1); /* by 32 bits at a time */
    CHECK_EQ(ready() & DRQ, DRQ);
    for (u32 i = 0; i < BLOCK; i += 4)
        put_le32(data + i, (u32)rig_in(&rig, base, 4));
    CHECK(!memcmp(data, blk_mem(disk), BLOCK));
    end();
}

static void cylinders_heads_sectors(void)
{
    begin(false);
    out(6, 0xa0 | 3);
    out(2, 1);
    out(3, 5);
    out(4, 2);
    out(5, 0);
    out(7, 0x20);
    pio_in(data, BLOCK, BLOCK);
    CHECK(!memcmp(data, blk_mem(disk) + ((2 * 16 + 3) * 63 + 4) * BLOCK, BLOCK));
    out(3, 0); /* sectors count from 1 */
    out(7, 0x20);
    CHECK_EQ(ready() & ERR, ERR);
    CHECK_EQ(in(1), 0x10);
    end();
}

static void prd(u32 index, u32 addr, u32 len, bool last)
{
    u8 e[8];

    put_le32(e, addr);
    put_le32(e + 4, (len & 0xffff) | (last ? 0x80000000 : 0));
    rig_put(&rig, PRDT + index * 8, e, 8);
}

static u8 bm_status(void)
{
    return (u8)rig_in(&rig, bm + 2, 1);
}

static void bm_start(bool to_memory)
{
    rig_out(&rig, bm, 1, 0);
    rig_out(&rig, bm + 4, 4, PRDT);
    rig_out(&rig, bm + 2, 1, 6);
    rig_out(&rig, bm, 1, to_memory ? 9 : 1);
}

static void dma(void)
{
    begin(false);
    prd(0, DATA, 0x1000, false);
    prd(1, DATA + 0x5002, 0, false); /* 64 KiB */
    prd(2, DATA + 0x20000, 0x10000 - 0x1000, true);
    command48(0x25, 777, 256);
    bm_start(true);
    CHECK_EQ(ready() & (BSY | DRQ | ERR), 0);
    CHECK_EQ(bm_status() & 7, 4);
    rig_get(&rig, DATA, data, 0x1000);
    CHECK(!memcmp(data, blk_mem(disk) + 777 * BLOCK, 0x1000));
    rig_get(&rig, DATA + 0x5002, data, 0x10000);
    CHECK(!memcmp(data, blk_mem(disk) + 777 * BLOCK + 0x1000, 0x10000));
    rig_get(&rig, DATA + 0x20000, data, 0xf000);
    CHECK(!memcmp(data, blk_mem(disk) + 777 * BLOCK + 0x11000, 0xf000));
    CHECK(irq14->rises > 0);
    bm_start(false); /* the other order: the master first */
    early = true;
    prd(0, DATA, 2 * BLOCK, true);
    memset(data, 0xc3, 2 * BLOCK);
    rig_put(&rig, DATA, data, 2 * BLOCK);
    command28(0xca, 9, 2);
    CHECK_EQ(ready() & ERR, 0);
    CHECK(!memcmp(blk_mem(disk) + 9 * BLOCK, data, 2 * BLOCK));
    early = false;
    for (u32 i = 0; i < 1024; i++) /* many pieces */
        prd(i, DATA + i * 4, 2, i == 1023);
    command28(0xc8, 50, 4);
    bm_start(true);
    CHECK_EQ(ready() & ERR, 0);
    rig_get(&rig, DATA, data, 4096);
    for (u32 i = 0; i < 1024; i++)
        memcpy(data + i * 2, data + i * 4, 2);
    CHECK(!memcmp(data, blk_mem(disk) + 50 * BLOCK, 4 * BLOCK));
    end();
}

static void hostile_tables(void)
{
    static const struct {
        u32 addr, len;
        bool last;
    } t[] = {
        { 0xe0000000, 0x1000, true }, /* not RAM */
        { 0xfffffffe, 0, true },
        { (RAM_MIB << 20) - 2, 4, true },
        { DATA, 2, true }, /* ends before the data */
    };

    begin(false);
    for (u32 i = 0; i < LEN(t); i++) {
        prd(0, t[i].addr, t[i].len, t[i].last);
        command28(0xc8, 0, 8);
        bm_start(true);
        CHECK_EQ(ready() & ERR, ERR);
        CHECK_EQ(bm_status() & 3, 2);
        command28(0xca, 0, 8);
        bm_start(false);
        CHECK_EQ(ready() & ERR, ERR);
    }
    for (u32 i = 0; i < 8192; i++) /* never says that it ends; the table does */
        prd(i, DATA, 2, false);
    command28(0xc8, 0, 0);
    bm_start(true);
    CHECK_EQ(ready() & ERR, ERR);
    command28(0xc8, 0, 8);
    rig_out(&rig, bm, 1, 0);
    rig_out(&rig, bm + 4, 4, 0xfffffffc); /* the table is nowhere */
    rig_out(&rig, bm, 1, 9);
    CHECK_EQ(ready() & ERR, ERR);
    command28(0xc8, 0, 8);
    bm_start(false); /* the wrong way */
    CHECK_EQ(ready() & ERR, ERR);
    CHECK_EQ(blk_mem_count(disk, BLK_WRITE), 1); /* two bytes that were there */
    end();
}

static void refusals(void)
{
    begin(false);
    command28(0x20, DISK / BLOCK - 1, 2);
    CHECK_EQ(ready() & ERR, ERR);
    CHECK_EQ(in(1), 0x10);
    command48(0x25, 0xffffffffffff, 1);
    CHECK_EQ(ready() & ERR, ERR);
    command28(0xb0, 0, 0); /* SMART */
    CHECK_EQ(ready() & ERR, ERR);
    CHECK_EQ(in(1), 4);
    command28(0xef, 0, 0x47); /* a mode that is not offered */
    out(1, 3);
    out(7, 0xef);
    CHECK_EQ(ready() & ERR, ERR);
    command28(0xe5, 0, 0);
    CHECK_EQ(ready() & ERR, 0);
    CHECK_EQ(in(2), 0xff);
    command28(0xf8, 0, 0);
    CHECK_EQ(ready() & ERR, 0);
    CHECK_EQ(in(3) | in(4) << 8 | in(5) << 16, DISK / BLOCK - 1);
    end();
    begin(true);
    command28(0x30, 0, 1);
    CHECK_EQ(ready() & ERR, ERR);
    end();
}

static void faults(void)
{
    begin(false);
    blk_mem_fail(disk, 1 << BLK_READ, 100 * BLOCK, BLOCK, -EIO, 2);
    command28(0x20, 100, 1);
    CHECK_EQ(ready() & (ERR | DRQ), ERR);
    CHECK_EQ(in(1), 0x40);
    prd(0, DATA, 8 * BLOCK, true);
    command28(0xc8, 96, 8);
    bm_start(true);
    CHECK_EQ(ready() & ERR, ERR);
    command28(0xc8, 96, 8);
    bm_start(true);
    CHECK_EQ(ready() & ERR, 0);
    blk_mem_fail(disk, 1 << BLK_FLUSH, 0, 0, -EIO, 1);
    command28(0xe7, 0, 0);
    CHECK_EQ(ready() & ERR, ERR);
    end();
}

static void flush_and_trim(void)
{
    u8 zero[BLOCK] = { 0 };

    begin(false);
    command28(0xea, 0, 0);
    CHECK_EQ(ready() & ERR, 0);
    CHECK_EQ(blk_mem_count(disk, BLK_FLUSH), 1);
    out(1, 0x82); /* write cache off */
    command28(0xef, 0, 0);
    CHECK_EQ(ready() & ERR, 0);
    command28(0x30, 4, 1);
    pio_out(data, BLOCK, BLOCK);
    CHECK_EQ(ready() & ERR, 0);
    CHECK_EQ(blk_mem_count(disk, BLK_FLUSH), 3);
    memset(data, 0, BLOCK);
    put_le64(data, 200 | 3ull << 48);
    put_le64(data + 16, 300 | 1ull << 48);
    rig_put(&rig, DATA, data, BLOCK);
    prd(0, DATA, BLOCK, true);
    out(1, 1);
    command48(0x06, 0, 1);
    bm_start(false);
    CHECK_EQ(ready() & ERR, 0);
    CHECK_EQ(blk_mem_count(disk, BLK_TRIM), 2);
    CHECK(!memcmp(blk_mem(disk) + 202 * BLOCK, zero, BLOCK));
    put_le64(data, (DISK / BLOCK - 1) | 3ull << 48);
    rig_put(&rig, DATA, data, BLOCK);
    command48(0x06, 0, 1);
    bm_start(false);
    CHECK_EQ(ready() & ERR, ERR);
    end();
}

static void interrupt_line(void)
{
    begin(false);
    command28(0xe5, 0, 0);
    CHECK(irq14->level);
    CHECK(status() & DRDY);
    CHECK(irq14->level);
    in(7);
    CHECK(!irq14->level);
    rig_out(&rig, 0x3f6, 1, 2); /* nIEN */
    command28(0xe5, 0, 0);
    CHECK(!irq14->level);
    rig_out(&rig, 0x3f6, 1, 0);
    CHECK(irq14->level);
    CHECK(!irq15->level);
    end();
}

static void soft_reset(void)
{
    begin(false);
    command28(0x20, 0, 4);
    CHECK_EQ(ready() & DRQ, DRQ);
    rig_out(&rig, 0x3f6, 1, 4);
    rig_out(&rig, 0x3f6, 1, 0);
    CHECK_EQ(in(7), 0x50);
    CHECK_EQ(in(1), 1);
    CHECK_EQ(in(2), 1);
    CHECK_EQ(in(3), 1);
    CHECK_EQ(in(4), 0);
    use(1);
    rig_out(&rig, 0x376, 1, 4);
    rig_out(&rig, 0x376, 1, 0);
    CHECK_EQ(in(4), 0x14);
    CHECK_EQ(in(5), 0xeb);
    end();
}

/* A packet command; `limit` bytes at a time.  The bytes that came. */
static u32 packet(const u8 *cdb, u16 limit, u8 *p, u32 room)
{
    u32 n = 0;

    out(6, 0xa0);
    out(1, 0);
    out(4, (u8)limit);
    out(5, (u8)(limit >> 8));
    out(7, 0xa0);
    CHECK_EQ(ready() & DRQ, DRQ);
    for (u32 i = 0; i < 12; i += 2)
        rig_out(&rig, base, 2, le16(cdb + i));
    while (ready() & DRQ) {
        u32 block = in(4) | (u32)in(5) << 8;

        CHECK(block <= limit && n + block <= room);
        CHECK_EQ(in(2) & 7, 2);
        for (u32 i = 0; i < block && n < room; i += 2, n += 2)
            put_le16(p + n, (u16)rig_in(&rig, base, 2));
    }
    CHECK_EQ(in(2) & 7, 3);
    return n;
}
#define PACKET(limit, room, ...) packet((const u8[12]){ __VA_ARGS__ }, limit, data, room)

static void packets(void)
{
    begin(false);
    use(1);
    PACKET(64, 0, 0); /* TEST UNIT READY finds the reset */
    CHECK_EQ(in(7) & ERR, ERR);
    CHECK_EQ(in(1) >> 4, 6);
    CHECK_EQ(PACKET(64, 18, 3, 0, 0, 0, 18), 18);
    CHECK_EQ(data[2], 6);
    CHECK_EQ(data[12], 0x29);
    CHECK_EQ(PACKET(64, 0, 0), 0);
    CHECK_EQ(in(7) & ERR, 0);
    CHECK_EQ(PACKET(64, 36, 0x12, 0, 0, 0, 36), 36);
    CHECK(!memcmp(data + 8, "NECVMWarVMware IDE CDR10", 24));
    CHECK_EQ(PACKET(64, 8, 0x25), 8);
    CHECK_EQ(be32(data), DISC / 2048 - 1);
    CHECK_EQ(PACKET(2048, 8 * 2048, 0x28, 0, 0, 0, 0, 100, 0, 0, 8), 8 * 2048);
    CHECK(!memcmp(data, blk_mem(disc) + 100 * 2048, 8 * 2048));
    CHECK_EQ(PACKET(0xfffe, 8 * 2048, 0x28, 0, 0, 0, 0, 7, 0, 0, 8), 8 * 2048);
    CHECK(!memcmp(data, blk_mem(disc) + 7 * 2048, 8 * 2048));
    CHECK_EQ(PACKET(64, 0, 0x28, 0, 0, 0, 1, 100, 0, 0, 8), 0);
    CHECK_EQ(in(1) >> 4, 5);
    CHECK(irq15->rises > 0);
    out(1, 1); /* by DMA */
    out(6, 0xa0);
    out(7, 0xa0);
    CHECK_EQ(ready() & DRQ, DRQ);
    for (u32 i = 0; i < 12; i += 2)
        rig_out(&rig, base, 2, le16((const u8[12]){ 0x28, 0, 0, 0, 0, 50, 0, 0, 30 } + i));
    prd(0, DATA, 30 * 2048, true);
    bm_start(true);
    CHECK_EQ(ready() & (ERR | DRQ), 0);
    rig_get(&rig, DATA, data, 30 * 2048);
    CHECK(!memcmp(data, blk_mem(disc) + 50 * 2048, 30 * 2048));
    blk_mem_fail(disc, 1 << BLK_READ, 0, DISC, -EIO, 1);
    CHECK_EQ(PACKET(2048, 2048, 0x28, 0, 0, 0, 0, 100, 0, 0, 1), 0);
    CHECK_EQ(in(1) >> 4, 3);
    end();
}

static void on_post(void *arg)
{
    (void)arg;
}

static void *resetter(void *arg)
{
    rig_out(&rig, 0x3f6, 1, 4);
    __atomic_store_n((bool *)arg, true, __ATOMIC_RELEASE);
    loop_post(machine_lane(rig.m), on_post, NULL); /* wakes the loop */
    return NULL;
}

static bool flag_is_set(void *arg)
{
    return __atomic_load_n((bool *)arg, __ATOMIC_ACQUIRE);
}

static void reset_in_the_middle(void)
{
    pthread_t thread;
    bool done = false;

    begin(false);
    prd(0, DATA, 8 * BLOCK, true);
    blk_mem_hold(disk, true);
    command28(0xc8, 0, 8);
    bm_start(true);
    CHECK_EQ(status() & BSY, BSY);
    CHECK_EQ(pthread_create(&thread, NULL, resetter, &done), 0);
    for (u32 i = 0; i < 1000; i++)
        sched_yield();
    CHECK(!flag_is_set(&done)); /* it cannot have ended: the request is held */
    blk_mem_hold(disk, false);
    rig_lane_until(&rig, flag_is_set, &done);
    pthread_join(thread, NULL);
    rig_out(&rig, 0x3f6, 1, 0);
    CHECK_EQ(in(7), 0x50);
    CHECK_EQ(bm_status() & 1, 0);
    command28(0x20, 3, 1);
    pio_in(data, BLOCK, BLOCK);
    CHECK(!memcmp(data, blk_mem(disk) + 3 * BLOCK, BLOCK));
    end();
}

int main(void)
{
    CASE(identity);
    CASE(pio);
    CASE(cylinders_heads_sectors);
    CASE(dma);
    CASE(hostile_tables);
    CASE(refusals);
    CASE(faults);
    CASE(flush_and_trim);
    CASE(interrupt_line);
    CASE(soft_reset);
    CASE(packets);
    CASE(reset_in_the_middle);
    return check_end();
}
