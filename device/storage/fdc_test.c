/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small driver for the floppy controller: as Linux and SeaBIOS use it, and as nobody should. */
#include "base/bytes.h"
#include "bus/pci.h"
#include "tests/check.h"
#include "tests/rig.h"
#include "tests/storage_move.h"
#include <errno.h>

enum { DISK = 1474560, BUFFER = 0x20000, SECTOR = 512 };
enum { DOR = 0x3f2, TDR = 0x3f3, MSR = 0x3f4, FIFO = 0x3f5, DIR = 0x3f7 };

static struct rig rig;
static struct blk *disk, *other;
static struct device *fdc;
static struct rig_wire *irq;
static u8 res[16];
static u32 nres;

static u8 in(u16 port)
{
    return (u8)rig_in(&rig, port, 1);
}

static void out(u16 port, u8 val)
{
    rig_out(&rig, port, 1, val);
}

static bool is_ready(void *arg)
{
    (void)arg;
    return in(MSR)&0x80;
}

static u32 result(void)
{
    rig_lane_until(&rig, is_ready, NULL);
    for (nres = 0; in(MSR)&0x40 && nres < sizeof(res);)
        res[nres++] = in(FIFO);
    return nres;
}

/* Answers how many bytes of result came. */
static u32 command(const u8 *bytes, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        CHECK_EQ(in(MSR)&0xc0, 0x80);
        out(FIFO, bytes[i]);
    }
    return result();
}
#define COMMAND(...) command((const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

/* Channel 2: n bytes at BUFFER. */
static void dma(u32 n, bool to_memory)
{
    out(0x0a, 6);
    out(0x0c, 0);
    out(0x0b, to_memory ? 0x46 : 0x4a);
    out(0x04, BUFFER & 0xff);
    out(0x04, BUFFER >> 8 & 0xff);
    out(0x81, BUFFER >> 16);
    out(0x05, (u8)(n - 1));
    out(0x05, (u8)((n - 1) >> 8));
    out(0x0a, 2);
}

static void reset(void)
{
    out(DOR, 0);
    out(DOR, 0x1c); /* motor A, DMA and interrupts on */
    CHECK(irq->level);
    for (u32 i = 0; i < 4; i++) {
        CHECK_EQ(COMMAND(8), 2);
        CHECK_EQ(res[0], 0xc0 | i);
    }
    CHECK(!irq->level);
    out(DIR, 0); /* 500 kbit/s */
    COMMAND(3, 0xdf, 2);
}

static void begin(u64 size, bool readonly)
{
    struct device_end ends[2] = { { 0 } };
    struct err e = { 0 };

    rig_start(&rig, 16, 1);
    irq = rig_wire(&rig, "isa.6");
    CHECK_EQ(blk_open_mem(&disk, size, readonly, machine_lane(rig.m), &e), 0);
    CHECK_EQ(blk_open_mem(&other, 720 << 10, false, machine_lane(rig.m), &e), 0);
    rig_device(&rig, "rtc", NULL, NULL);
    rig_device(&rig, "dma8237", NULL, NULL);
    ends[0] = (struct device_end){ "floppy.0", disk };
    fdc = rig_device(&rig, "fdc", NULL, ends);
    for (u32 i = 0; i < size; i++)
        blk_mem(disk)[i] = (u8)(i * 7 + (i >> 9));
    reset();
}

static void end(void)
{
    machine_clear(rig.m);
    blk_close(disk);
    blk_close(other);
    rig_stop(&rig);
}

static void seek(u8 track)
{
    COMMAND(0x0f, 0, track);
    CHECK(irq->level);
    CHECK_EQ(COMMAND(8), 2);
    CHECK_EQ(res[0], 0x20);
    CHECK_EQ(res[1], track);
    CHECK(!irq->level);
}

static bool same(u64 off, u32 n)
{
    static u8 b[65536];

    rig_get(&rig, BUFFER, b, n);
    return !memcmp(b, blk_mem(disk) + off, n);
}

/* The questions that Linux asks to find out which controller it is. */
static void identity(void)
{
    begin(DISK, false);
    CHECK_EQ(COMMAND(0x0e), 10);
    CHECK_EQ(COMMAND(0x13, 0, 0x1a, 0), 0);
    CHECK_EQ(COMMAND(0x12, 0), 0);
    CHECK_EQ(COMMAND(0x14), 1);
    CHECK_EQ(res[0], 0);
    CHECK_EQ(COMMAND(0x18), 1);
    CHECK_EQ(res[0], 0x80);
    CHECK_EQ(COMMAND(0x10), 1);
    CHECK_EQ(res[0], 0x90);
    CHECK_EQ(COMMAND(0x0e), 10);
    CHECK_EQ(res[4], 0xdf);
    CHECK_EQ(res[5], 2);
    CHECK_EQ(res[8], 0x1a);
    CHECK_EQ(COMMAND(0x94), 1);
    CHECK_EQ(res[0], 0x10);
    out(MSR, 0x80); /* reset by software: locked settings stay */
    for (u32 i = 0; i < 4; i++)
        COMMAND(8);
    COMMAND(0x0e);
    CHECK_EQ(res[7], 0x80);
    CHECK_EQ(res[8], 0x0a);
    CHECK_EQ(COMMAND(8), 1); /* nothing to sense */
    CHECK_EQ(res[0], 0x80);
    CHECK_EQ(COMMAND(0x1f), 1);
    CHECK_EQ(res[0], 0x80);
    end();
}

static void cmos(void)
{
    begin(DISK, false);
    out(0x70, 0x10);
    CHECK_EQ(in(0x71), 0x44); /* the second one is empty: 1.44M */
    out(0x70, 0x14);
    CHECK_EQ(in(0x71) & 0xc1, 0x41);
    end();
}

static void reads(void)
{
    begin(DISK, false);
    seek(3);
    dma(4 * SECTOR, true);
    CHECK_EQ(COMMAND(0xe6, 4, 3, 1, 2, 2, 18, 0x1b, 0xff), 7);
    CHECK_EQ(res[0], 4);
    CHECK_EQ(res[1] | res[2], 0);
    CHECK_EQ(res[3], 3);
    CHECK_EQ(res[4], 1);
    CHECK_EQ(res[5], 6);
    CHECK(same(((3 * 2 + 1) * 18 + 1) * SECTOR, 4 * SECTOR));
    CHECK_EQ(in(8) & 4, 4); /* terminal count */
    dma(36 * SECTOR, true);
    CHECK_EQ(COMMAND(0xe6, 0, 3, 0, 1, 2, 18, 0x1b, 0xff), 7);
    CHECK_EQ(res[0] & 0xc0, 0);
    CHECK_EQ(res[3], 4);
    CHECK_EQ(res[4], 0);
    CHECK_EQ(res[5], 1);
    CHECK(same(3 * 36 * SECTOR, 36 * SECTOR));
    dma(4 * SECTOR, true); /* one head only: past its end */
    CHECK_EQ(COMMAND(0x46, 0, 3, 0, 17, 2, 18, 0x1b, 0xff), 7);
    CHECK_EQ(res[0], 0x40);
    CHECK_EQ(res[1], 0x80);
    CHECK(same((3 * 36 + 16) * SECTOR, 2 * SECTOR));
    dma(700, true); /* the channel ends in the middle of a sector */
    COMMAND(0xe6, 0, 3, 0, 1, 2, 18, 0x1b, 0xff);
    CHECK_EQ(res[0], 0);
    CHECK_EQ(res[5], 3);
    CHECK_EQ(COMMAND(0x4a, 4), 7);
    CHECK_EQ(res[3], 3);
    CHECK_EQ(res[4], 1);
    COMMAND(0x16, 0, 3, 0, 1, 2, 18, 0x1b, 0xff);
    CHECK_EQ(res[0], 0);
    end();
}

static void writes_and_formats(void)
{
    u8 b[18 * SECTOR], ids[18 * 4];

    begin(DISK, false);
    seek(5);
    memset(b, 0xa7, sizeof(b));
    rig_put(&rig, BUFFER, b, sizeof(b));
    dma(2 * SECTOR, false);
    COMMAND(0xc5, 0, 5, 0, 18, 2, 18, 0x1b, 0xff); /* over to the other head */
    CHECK_EQ(res[0], 0);
    CHECK_EQ(res[4], 1);
    CHECK_EQ(res[5], 2);
    CHECK(same((5 * 36 + 17) * SECTOR, 2 * SECTOR));
    CHECK_EQ(blk_mem_count(disk, BLK_FLUSH), 1);
    for (u32 i = 0; i < 18; i++)
        memcpy(ids + 4 * i, (const u8[]){ 5, 0, (u8)(i + 1), 2 }, 4);
    rig_put(&rig, BUFFER, ids, sizeof(ids));
    dma(sizeof(ids), false);
    CHECK_EQ(COMMAND(0x4d, 0, 2, 18, 0x6c, 0xf6), 7);
    CHECK_EQ(res[0], 0);
    memset(b, 0xf6, sizeof(b));
    CHECK(!memcmp(blk_mem(disk) + 5 * 36 * SECTOR, b, sizeof(b)));
    dma(sizeof(ids), false);
    COMMAND(0x4d, 0, 2, 9, 0x6c, 0xf6); /* another kind of disk */
    CHECK_EQ(res[0], 0x40);
    end();
}

static void refusals(void)
{
    begin(DISK, true);
    dma(SECTOR, false);
    COMMAND(0xc5, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    CHECK_EQ(res[0], 0x40);
    CHECK_EQ(res[1], 2);
    COMMAND(4, 0);
    CHECK_EQ(res[0] & 0x70, 0x70);
    dma(SECTOR, true);
    COMMAND(0xe6, 0, 7, 0, 1, 2, 18, 0x1b, 0xff); /* the heads are elsewhere */
    CHECK_EQ(res[1], 4);
    COMMAND(0xe6, 0, 0, 0, 19, 2, 18, 0x1b, 0xff);
    CHECK_EQ(res[1], 4);
    COMMAND(0xe6, 1, 0, 0, 1, 2, 18, 0x1b, 0xff); /* an empty drive */
    CHECK_EQ(res[0], 0x41);
    CHECK_EQ(res[1], 1);
    COMMAND(0xe6, 3, 0, 0, 1, 2, 18, 0x1b, 0xff);
    CHECK_EQ(res[1], 1);
    out(DIR, 2); /* another rate */
    COMMAND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    CHECK_EQ(res[1], 1);
    COMMAND(0x4a, 0);
    CHECK_EQ(res[1], 1);
    out(DIR, 0);
    out(0x0a, 6); /* the channel is masked */
    COMMAND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    CHECK_EQ(res[1], 0x10);
    COMMAND(3, 0xdf, 3); /* without DMA */
    COMMAND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    CHECK_EQ(res[1], 0x10);
    COMMAND(7, 2);
    COMMAND(8);
    CHECK_EQ(res[0], 0x72); /* no drive, no track 0 */
    end();
}

static void host_faults(void)
{
    begin(DISK, false);
    blk_mem_fail(disk, 1 << BLK_READ, 0, SECTOR, -EIO, 1);
    dma(SECTOR, true);
    COMMAND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    CHECK_EQ(res[0], 0x40);
    CHECK_EQ(res[1], 0x20);
    dma(SECTOR, true);
    out(0x81, 0x0a); /* the VGA is there, no RAM */
    COMMAND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
    CHECK_EQ(res[0], 0x40);
    end();
}

static void media_change(void)
{
    struct err e = { 0 };

    begin(DISK, false);
    CHECK_EQ(in(DIR)&0x80, 0x80); /* since power-on */
    seek(1);
    CHECK_EQ(in(DIR)&0x80, 0);
    CHECK_EQ(device_end_set(fdc, "floppy.0", NULL, false, &e), 0);
    CHECK_EQ(in(DIR)&0x80, 0x80);
    seek(0);
    CHECK_EQ(in(DIR)&0x80, 0x80); /* still empty */
    CHECK_EQ(device_end_set(fdc, "floppy.0", other, false, &e), 0);
    seek(1);
    CHECK_EQ(in(DIR)&0x80, 0);
    out(DIR, 2);
    COMMAND(0x4a, 0);
    CHECK_EQ(res[0], 0);
    CHECK_EQ(device_end_set(fdc, "floppy.2", other, false, &e), -EINVAL);
    end();
}

static void kinds(void)
{
    static const struct {
        u32 kib;
        u8 rate, sectors, kind;
    } all[] = { { 160, 2, 8, 1 },   { 360, 2, 9, 1 },   { 720, 2, 9, 4 },
                { 1200, 0, 15, 2 }, { 1440, 0, 18, 4 }, { 2880, 3, 36, 5 } };

    for (u32 i = 0; i < LEN(all); i++) {
        begin(all[i].kib << 10, false);
        out(0x70, 0x10);
        CHECK_EQ(in(0x71) >> 4, all[i].kind);
        out(DIR, all[i].rate);
        dma(SECTOR, true);
        COMMAND(0x46, 0, 0, 0, all[i].sectors, 2, all[i].sectors, 0x1b, 0xff);
        CHECK_EQ(res[0], 0);
        CHECK(same((all[i].sectors - 1u) * SECTOR, SECTOR));
        COMMAND(0x46, 0, 0, 0, (u8)(all[i].sectors + 1), 2, 40, 0x1b, 0xff);
        CHECK_EQ(res[1], 4);
        end();
    }
}

/* Half a command is given, and heads have moved; the other half comes in the restored machine. */
static void saved_in_the_middle(void)
{
    struct move m;

    begin(DISK, false);
    seek(9);
    dma(SECTOR, true);
    out(FIFO, 0xe6);
    out(FIFO, 0);
    out(FIFO, 9);
    CHECK(move_out(&m, &rig, disk));
    end();
    begin(DISK, false);
    CHECK(move_in(&m, &rig, disk));
    CHECK_EQ(COMMAND(0, 1, 2, 18, 0x1b, 0xff), 7);
    CHECK_EQ(res[0], 0);
    CHECK(same(9 * 36 * SECTOR, SECTOR));
    end();
}

/* A reset in the middle of a read: its end is not told, the next one is. */
static void reset_in_the_middle(void)
{
    begin(DISK, false);
    dma(SECTOR, true);
    for (u32 i = 0; i < 9; i++)
        out(FIFO, (const u8[]){ 0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff }[i]);
    rig_lane_until(&rig, is_ready, NULL);
    reset();
    dma(SECTOR, true);
    CHECK_EQ(COMMAND(0xe6, 0, 0, 0, 1, 2, 18, 0x1b, 0xff), 7);
    CHECK_EQ(res[0], 0);
    end();
}

int main(void)
{
    CASE(identity);
    CASE(cmos);
    CASE(reads);
    CASE(writes_and_formats);
    CASE(refusals);
    CASE(host_faults);
    CASE(media_change);
    CASE(kinds);
    CASE(saved_in_the_middle);
    CASE(reset_in_the_middle);
    return check_end();
}
