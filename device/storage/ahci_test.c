/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SATA drives behind AHCI: identities, data both ways, queued commands, packets, errors, resets. */
#include "base/bytes.h"
#include "tests/check.h"
#include "tests/rig.h"

enum { DISK = 4000 * 512, DISC = 300 * 2048, RAM_MIB = 16 };
enum { LIST = 0x10000, RX = 0x11000, TABLE = 0x20000, TABLE_SPAN = 0x1000, DATA = 0x100000 };
enum { P_CLB = 0, P_FB = 8, P_IS = 0x10, P_IE = 0x14, P_CMD = 0x18, P_TFD = 0x20, P_SIG = 0x24 };
enum { P_SSTS = 0x28, P_SCTL = 0x2c, P_SERR = 0x30, P_SACT = 0x34, P_CI = 0x38 };

static struct rig rig;
static struct blk *disk, *disc;
static struct device *dev;
static u32 port;

static u32 get(u32 reg)
{
    return (u32)rig_load(&rig, rig_bar(dev, 5) + 0x100 + port * 0x80 + reg, 4);
}
static void set(u32 reg, u32 val)
{
    rig_store(&rig, rig_bar(dev, 5) + 0x100 + port * 0x80 + reg, 4, val);
}
static u32 hba(u32 reg)
{
    return (u32)rig_load(&rig, rig_bar(dev, 5) + reg, 4);
}
static void hba_set(u32 reg, u32 val)
{
    rig_store(&rig, rig_bar(dev, 5) + reg, 4, val);
}

/* Port p with its lists, running. */
static void use(u32 p)
{
    port = p;
    set(P_CLB, LIST);
    set(P_FB, RX);
    set(P_IE, ~0u);
    set(P_CMD, 0x11); /* receive, start */
    set(P_IS, ~0u);
    set(P_SERR, ~0u);
}

static void begin(bool readonly)
{
    static const char *const settings[] = { "cd", "2", NULL };
    struct device_end ends[3] = { { 0 } };
    struct err e = { 0 };

    rig_start(&rig, RAM_MIB, 1);
    CHECK_EQ(blk_open_mem(&disk, DISK, readonly, machine_lane(rig.m), &e), 0);
    CHECK_EQ(blk_open_mem(&disc, DISC, true, machine_lane(rig.m), &e), 0);
    ends[0] = (struct device_end){ "sata.0", disk };
    ends[1] = (struct device_end){ "sata.1", disc };
    dev = rig_device(&rig, "ahci", settings, ends);
    rig_pci_enable(&rig, dev);
    for (u32 i = 0; i < DISK; i++)
        blk_mem(disk)[i] = (u8)(i * 13 + (i >> 9) * 5);
    for (u32 i = 0; i < DISC; i++)
        blk_mem(disc)[i] = (u8)(i * 3 + (i >> 11));
    hba_set(4, 2);
    use(0);
}

static void end(void)
{
    machine_clear(rig.m);
    blk_close(disk);
    blk_close(disc);
    rig_stop(&rig);
}

/* A command in a slot, its data in two regions of n / 2 bytes each, the second further on. */
static void prepare(u32 slot, const u8 *fis, u32 n, const u8 *packet)
{
    u64 table = TABLE + slot * TABLE_SPAN, at = DATA + slot * 0x20000ull;
    u8 header[32] = { 5 }, prd[32] = { 0 };

    put_le16(header + 2, n ? 2 : 0);
    put_le64(header + 8, table);
    rig_put(&rig, LIST + slot * 32, header, sizeof(header));
    rig_put(&rig, table, fis, 20);
    if (packet)
        rig_put(&rig, table + 0x40, packet, 12);
    if (!n)
        return;
    put_le64(prd, at);
    put_le32(prd + 12, n / 2 - 1);
    put_le64(prd + 16, at + 0x10000);
    put_le32(prd + 28, n / 2 - 1);
    rig_put(&rig, table + 0x80, prd, sizeof(prd));
}

static void ata(u8 *fis, u8 cmd, u64 lba, u32 count)
{
    memset(fis, 0, 20);
    fis[0] = 0x27;
    fis[1] = 0x80;
    fis[2] = cmd;
    fis[4] = (u8)lba;
    fis[5] = (u8)(lba >> 8);
    fis[6] = (u8)(lba >> 16);
    fis[7] = 0x40;
    fis[8] = (u8)(lba >> 24);
    fis[12] = (u8)count;
    fis[13] = (u8)(count >> 8);
}

static bool over(void *arg)
{
    return get(P_IS) & *(u32 *)arg;
}

/* Issues, waits for one of the bits of PxIS, answers it; the bits that were there. */
static u32 issue(u32 slots, u32 bits)
{
    u32 is;

    bits |= 1u << 30;
    set(P_CI, slots);
    rig_lane_until(&rig, over, &bits);
    is = get(P_IS);
    set(P_IS, ~0u);
    hba_set(8, ~0u);
    return is;
}

static u32 run(u8 cmd, u64 lba, u32 count, u32 bytes)
{
    u8 fis[20];

    ata(fis, cmd, lba, count);
    prepare(0, fis, bytes, NULL);
    return issue(1, 3);
}

static void identities(void)
{
    u8 id[512];

    begin(false);
    CHECK_EQ(hba(0) & 31, 5);
    CHECK_EQ(hba(0x0c), 0x3f);
    CHECK_EQ(get(P_SIG), 0x101);
    CHECK_EQ(get(P_SSTS), 0x133);
    CHECK_EQ(run(0xec, 0, 0, 512), 2);
    CHECK_EQ(get(P_CI), 0);
    CHECK_EQ(get(P_TFD), 0x50);
    rig_get(&rig, DATA, id, 256);
    rig_get(&rig, DATA + 0x10000, id + 256, 256);
    CHECK(!memcmp(id + 54, "iMim ciVtrau l", 14));
    CHECK_EQ(le32(id + 120), 4000);
    CHECK_EQ(le64(id + 200), 4000);
    CHECK_EQ(le16(id + 150), 31);
    port = 2;
    CHECK_EQ(get(P_SSTS), 0);
    CHECK_EQ(get(P_SIG), ~0u);
    use(1);
    CHECK_EQ(get(P_SIG), 0xeb140101);
    CHECK_EQ(run(0xec, 0, 0, 512), 1u << 30 | 1);
    CHECK_EQ(get(P_TFD) & 0xff01, 0x0401);
    set(P_CMD, 0x10);
    set(P_CMD, 0x11);
    CHECK_EQ(run(0xa1, 0, 0, 512), 2);
    end();
}

static void there_and_back(void)
{
    u8 bytes[4096], seen[4096];

    begin(false);
    CHECK_EQ(run(0x25, 100, 8, 4096), 1); /* READ DMA EXT */
    rig_get(&rig, DATA, seen, 2048);
    rig_get(&rig, DATA + 0x10000, seen + 2048, 2048);
    CHECK(!memcmp(seen, blk_mem(disk) + 100 * 512, 4096));
    rig_get(&rig, LIST + 4, seen, 4);
    CHECK_EQ(le32(seen), 4096);
    for (u32 i = 0; i < sizeof(bytes); i++)
        bytes[i] = (u8)(i * 7 + 1);
    rig_put(&rig, DATA, bytes, 2048);
    rig_put(&rig, DATA + 0x10000, bytes + 2048, 2048);
    CHECK_EQ(run(0xca, 3000, 8, 4096), 1); /* WRITE DMA */
    CHECK(!memcmp(bytes, blk_mem(disk) + 3000 * 512, 4096));
    CHECK_EQ(run(0x24, 3000, 8, 4096), 2); /* READ SECTORS EXT: PIO */
    rig_get(&rig, RX + 0x20, seen, 20);
    CHECK_EQ(seen[0], 0x5f);
    CHECK_EQ(seen[15], 0x50);
    CHECK_EQ(run(0xea, 0, 0, 0), 1);
    CHECK_EQ(blk_mem_count(disk, BLK_FLUSH), 1);
    CHECK_EQ(run(0x25, 3999, 2, 1024), 1u << 30 | 1); /* over the end */
    CHECK_EQ(get(P_TFD), 0x1051);
    CHECK_EQ(get(P_CI), 1);
    set(P_CMD, 0x10);
    CHECK_EQ(get(P_CI), 0);
    set(P_CMD, 0x11);
    CHECK_EQ(run(0x25, 3999, 1, 512), 1);
    end();
}

static bool idle(void *arg)
{
    (void)arg;
    return !get(P_SACT);
}

static void queued(void)
{
    u8 fis[20], seen[2048];

    begin(false);
    for (u32 i = 0; i < 32; i++) {
        ata(fis, 0x60, i * 100, 0);
        fis[3] = 8; /* sectors */
        fis[12] = (u8)(i << 3);
        prepare(i, fis, 4096, NULL);
    }
    blk_mem_hold(disk, true);
    set(P_SACT, ~0u);
    set(P_CI, ~0u);
    rig_lane(&rig);
    CHECK_EQ(get(P_SACT), ~0u);
    blk_mem_hold(disk, false);
    rig_lane_until(&rig, idle, NULL);
    CHECK_EQ(get(P_IS), 8);
    CHECK_EQ(get(P_CI), 0);
    for (u32 i = 0; i < 32; i++) {
        rig_get(&rig, DATA + i * 0x20000, seen, 2048);
        CHECK(!memcmp(seen, blk_mem(disk) + i * 51200, 2048));
    }
    set(P_IS, ~0u);
    ata(fis, 0x60, 5000, 0); /* behind the end; the log says who it was */
    fis[3] = 1;
    fis[12] = 7 << 3;
    prepare(7, fis, 512, NULL);
    set(P_SACT, 1u << 7);
    CHECK_EQ(issue(1u << 7, 8), 1u << 30 | 8);
    set(P_CMD, 0x10);
    set(P_CMD, 0x11);
    CHECK_EQ(run(0x2f, 0x10, 1, 512), 2);
    rig_get(&rig, DATA, seen, 4);
    CHECK_EQ(seen[0], 7);
    CHECK_EQ(seen[3], 0x10);
    end();
}

static void packets(void)
{
    static const u8 read[12] = { 0x28, 0, 0, 0, 0, 10, 0, 0, 2 }, sense[12] = { 3, 0, 0, 0, 18 };
    u8 fis[20], seen[4096];

    begin(false);
    use(1);
    ata(fis, 0xa0, 0, 0);
    fis[3] = 1; /* DMA */
    prepare(0, fis, 4096, read);
    CHECK_EQ(issue(1, 3), 1u << 30 | 1); /* unit attention */
    CHECK_EQ(get(P_TFD) >> 12, 6);
    set(P_CMD, 0x10);
    set(P_CMD, 0x11);
    prepare(0, fis, 18, sense);
    CHECK_EQ(issue(1, 3), 1);
    prepare(0, fis, 4096, read);
    CHECK_EQ(issue(1, 3), 1);
    rig_get(&rig, DATA, seen, 2048);
    rig_get(&rig, DATA + 0x10000, seen + 2048, 2048);
    CHECK(!memcmp(seen, blk_mem(disc) + 10 * 2048, 4096));
    end();
}

static void resets(void)
{
    u8 fis[20];

    begin(true);
    CHECK_EQ(run(0xca, 0, 1, 512), 1u << 30 | 1); /* it may not be written */
    CHECK_EQ(get(P_TFD), 0x451);
    set(P_CMD, 0x10);
    set(P_CMD, 0x11);
    ata(fis, 0, 0, 0); /* software reset: on, off */
    fis[1] = 0;
    fis[15] = 4;
    prepare(0, fis, 0, NULL);
    set(P_CI, 1);
    rig_lane(&rig);
    CHECK_EQ(get(P_CI), 0);
    fis[15] = 0;
    prepare(0, fis, 0, NULL);
    set(P_CI, 1);
    rig_lane(&rig);
    CHECK_EQ(get(P_TFD), 0x150);
    set(P_SCTL, 1); /* COMRESET */
    CHECK_EQ(get(P_SSTS), 0);
    set(P_SCTL, 0);
    CHECK_EQ(get(P_SSTS), 0x133);
    CHECK(get(P_IS) & 1 << 6);
    hba_set(4, 1); /* everything */
    CHECK_EQ(hba(4), 1u << 31);
    CHECK_EQ(get(P_CMD) & 0xff, 6);
    end();
}

static void nonsense(void)
{
    u8 fis[20], header[32] = { 5 };

    begin(false);
    memset(fis, 0, sizeof(fis));
    prepare(0, fis, 0, NULL); /* no register FIS */
    CHECK_EQ(issue(1, 3), 1u << 30 | 1);
    set(P_CMD, 0x10);
    set(P_CMD, 0x11);
    put_le16(header + 2, 65535); /* regions outside RAM */
    put_le64(header + 8, (RAM_MIB << 20) - 4096);
    rig_put(&rig, LIST, header, sizeof(header));
    ata(fis, 0x25, 0, 8);
    rig_put(&rig, (RAM_MIB << 20) - 4096, fis, sizeof(fis));
    CHECK_EQ(issue(1, 3), 1u << 30 | 1);
    set(P_CMD, 0x10);
    put_le64(header + 8, 1ull << 50); /* a table that is nowhere */
    rig_put(&rig, LIST, header, sizeof(header));
    set(P_CMD, 0x11);
    CHECK_EQ(issue(1, 1 << 29), 1 << 29);
    set(P_CMD, 0x10);
    set(P_CLB, 0xfffff000); /* a list that is nowhere */
    set(P_CMD, 0x11);
    CHECK_EQ(issue(1u << 31, 1 << 29), 1 << 29);
    set(P_CMD, 0x10);
    use(0);
    CHECK_EQ(run(0x25, 0, 1, 512), 1);
    end();
}

int main(void)
{
    CASE(identities);
    CASE(there_and_back);
    CASE(queued);
    CASE(packets);
    CASE(resets);
    CASE(nonsense);
    return check_end();
}
