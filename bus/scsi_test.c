/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every command of the SCSI units: the answers initiators rely on, and the refusals. */
#include "base/bytes.h"
#include "bus/scsi.h"
#include "tests/check.h"
#include <errno.h>

static const struct scsi_unit disk = { .kind = SCSI_DISK,
                                       .medium = true,
                                       .block = 512,
                                       .blocks = 1000,
                                       .vendor = "VMware  ",
                                       .product = "Virtual disk    ",
                                       .revision = "2.0 ",
                                       .serial = "6000c29" };
static const struct scsi_unit disc = { .kind = SCSI_CDROM,
                                       .medium = true,
                                       .readonly = true,
                                       .block = 2048,
                                       .blocks = 4000,
                                       .vendor = "NECVMWar",
                                       .product = "VMware IDE CDR10",
                                       .revision = "1.00" };
static struct scsi_state state;
static struct scsi_command c;

static void start(const struct scsi_unit *u, u32 n, const u8 *cdb)
{
    memset(c.cdb, 0, sizeof(c.cdb));
    memcpy(c.cdb, cdb, n);
    c.cdb_len = n;
    scsi_start(u, &state, &c);
}
#define START(u, ...) start(u, sizeof((u8[]){ __VA_ARGS__ }), (const u8[]){ __VA_ARGS__ })

static u32 sense(void) /* key, asc, ascq as one number */
{
    return c.status == SCSI_CHECK ? (u32)c.sense[2] << 16 | (u32)c.sense[12] << 8 | c.sense[13] : 0;
}

static void identity(void)
{
    scsi_reset(&state, 0);
    START(&disk, 0x12, 0, 0, 0, 96, 0);
    CHECK_EQ(c.status, SCSI_GOOD);
    CHECK_EQ(c.n, 36);
    CHECK(!memcmp(c.data + 8, "VMware  Virtual disk    2.0 ", 28));
    START(&disk, 0x12, 0, 0, 0, 5, 0);
    CHECK_EQ(c.n, 5);
    START(&disk, 0x12, 1, 0, 0, 255, 0);
    CHECK_EQ(be16(c.data + 2), 6);
    CHECK(!memcmp(c.data + 4, "\x00\x80\x83\xb0\xb1\xb2", 6));
    START(&disk, 0x12, 1, 0x80, 0, 255, 0);
    CHECK(!memcmp(c.data + 4, "6000c29", 7));
    START(&disk, 0x12, 1, 0x83, 0, 255, 0);
    CHECK_EQ(c.n, 4 + 28 + 7 + 12);
    CHECK_EQ(c.data[4 + 28 + 7 + 4] >> 4, 3);
    START(&disk, 0x12, 1, 0xb0, 0, 255, 0);
    CHECK_EQ(be64(c.data + 36), SCSI_FILL_MAX);
    CHECK_EQ(be32(c.data + 24), SCSI_TRIMS);
    START(&disk, 0x12, 1, 0xc0, 0, 255, 0);
    CHECK_EQ(sense(), 0x52400);
    START(&disc, 0x12, 0, 0, 0, 36, 0);
    CHECK_EQ(c.data[0], 5);
    CHECK_EQ(c.data[1], 0x80);
    c.lun = 3;
    START(&disk, 0x12, 0, 0, 0, 36, 0);
    CHECK_EQ(c.data[0], 0x7f);
    START(&disk, 0x00);
    CHECK_EQ(sense(), 0x52500);
    c.lun = 0;
    START(&disk, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64);
    CHECK_EQ(c.n, 16);
    CHECK_EQ(be32(c.data), 8);
}

static void attention_is_told_once(void)
{
    scsi_reset(&state, SCSI_ASC_RESET);
    START(&disk, 0x12, 0, 0, 0, 36, 0);
    CHECK_EQ(c.status, SCSI_GOOD);
    START(&disk, 0x00);
    CHECK_EQ(sense(), 0x62900);
    START(&disk, 0x00);
    CHECK_EQ(sense(), 0);
    scsi_reset(&state, SCSI_ASC_RESET);
    START(&disk, 0x03, 0, 0, 0, 18);
    CHECK_EQ(c.data[2], 6);
    START(&disk, 0x00);
    CHECK_EQ(sense(), 0);
}

static void capacity(void)
{
    struct scsi_unit big = disk;

    scsi_reset(&state, 0);
    START(&disk, 0x25);
    CHECK_EQ(c.n, 8);
    CHECK_EQ(be32(c.data), 999);
    CHECK_EQ(be32(c.data + 4), 512);
    big.blocks = 1ull << 33;
    START(&big, 0x25);
    CHECK_EQ(be32(c.data), 0xffffffff);
    START(&big, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32);
    CHECK_EQ(be64(c.data), (1ull << 33) - 1);
    CHECK_EQ(c.data[14], 0x80);
    START(&big, 0x9e, 0x11);
    CHECK_EQ(sense(), 0x52400);
}

static void transfers(void)
{
    scsi_reset(&state, 0);
    START(&disk, 0x08, 0, 0, 5, 0);
    CHECK_EQ(c.todo, SCSI_READ);
    CHECK_EQ(c.off, 5 * 512);
    CHECK_EQ(c.len, 256 * 512);
    START(&disk, 0x2a, 0, 0, 0, 0x03, 0xe7, 0, 0, 1);
    CHECK_EQ(c.todo, SCSI_WRITE);
    CHECK_EQ(c.off, 999 * 512);
    CHECK(!c.flush);
    START(&disk, 0x2a, 8, 0, 0, 0x03, 0xe7, 0, 0, 1);
    CHECK(c.flush);
    START(&disk, 0x28, 0, 0, 0, 0x03, 0xe7, 0, 0, 2);
    CHECK_EQ(sense(), 0x52100);
    START(&disk, 0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);
    CHECK_EQ(sense(), 0x52100);
    START(&disk, 0xa8, 0, 0, 0, 0, 1, 0, 0, 0, 2);
    CHECK_EQ(c.off, 512);
    CHECK_EQ(c.len, 1024);
    START(&disk, 0x28, 0, 0, 0, 0, 1, 0, 0, 0);
    CHECK_EQ(c.todo, SCSI_REPLY);
    CHECK_EQ(c.status, SCSI_GOOD);
    START(&disk, 0x35);
    CHECK_EQ(c.todo, SCSI_FLUSH);
    START(&disk, 0x5e, 0, 0, 0, 0, 0, 0, 0, 8);
    CHECK_EQ(sense(), 0x52000);
    START(&disc, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
    CHECK_EQ(sense(), 0x52000);
}

static void results(void)
{
    static const struct {
        int rc;
        u32 sense;
    } t[] = {
        { 0, 0 }, { -EIO, 0x31100 }, { -EROFS, 0x72700 }, { -ENOSPC, 0x72707 }, { -ENOMEM, 0x44400 }
    };

    scsi_reset(&state, 0);
    for (u32 i = 0; i < LEN(t); i++) {
        START(&disk, 0x28, 0, 0, 0, 0, 1, 0, 0, 1);
        scsi_result(&state, &c, t[i].rc);
        CHECK_EQ(sense(), t[i].sense);
    }
    START(&disk, 0x03, 0, 0, 0, 18);
    CHECK_EQ(c.data[2], 4);
    START(&disk, 0x03, 0, 0, 0, 18);
    CHECK_EQ(c.data[2], 0);
}

static void provisioning(void)
{
    scsi_reset(&state, 0);
    START(&disk, 0x42, 0, 0, 0, 0, 0, 0, 0, 40);
    CHECK_EQ(c.want, 40);
    memset(c.data, 0, 40);
    put_be16(c.data + 2, 32);
    put_be64(c.data + 8, 10);
    put_be32(c.data + 16, 5);
    put_be64(c.data + 24, 990);
    put_be32(c.data + 32, 10);
    scsi_parameters(&disk, &state, &c, 40);
    CHECK_EQ(c.todo, SCSI_TRIM);
    CHECK_EQ(c.ntrim, 2);
    CHECK_EQ(c.trim[1].off, 990 * 512);
    put_be32(c.data + 32, 11);
    scsi_parameters(&disk, &state, &c, 40);
    CHECK_EQ(sense(), 0x52100);
    START(&disk, 0x42, 0, 0, 0, 0, 0, 0, 0xff, 0xff);
    put_be16(c.data + 2, 0xfff0);
    scsi_parameters(&disk, &state, &c, c.want);
    CHECK_EQ(sense(), 0x52600);
    START(&disk, 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 8);
    CHECK_EQ(c.want, 512);
    memset(c.data, 0x5a, 512);
    scsi_parameters(&disk, &state, &c, 512);
    CHECK_EQ(c.todo, SCSI_FILL);
    CHECK_EQ(c.off, 100 * 512);
    CHECK_EQ(c.len, 8 * 512);
    START(&disk, 0x93, 8, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 8);
    CHECK_EQ(sense(), 0x52400);
    START(&disk, 0x41, 0, 0, 0, 0, 100, 0, 0, 0);
    CHECK_EQ(sense(), 0x52400);
}

static void write_cache(void)
{
    u8 page[32];
    u32 n;

    scsi_reset(&state, 0);
    START(&disk, 0x1a, 8, 8, 0, 64);
    CHECK_EQ(c.n, 24);
    CHECK_EQ(c.data[4 + 2], 4);
    memcpy(page, c.data, c.n);
    n = c.n;
    START(&disk, 0x15, 0x10, 0, 0, (u8)n);
    CHECK_EQ(c.want, n);
    page[4 + 2] = 0;
    memcpy(c.data, page, n);
    scsi_parameters(&disk, &state, &c, n);
    CHECK_EQ(c.status, SCSI_GOOD);
    CHECK_EQ(c.todo, SCSI_FLUSH);
    START(&disk, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1);
    CHECK(c.flush);
    START(&disk, 0x15, 0x10, 0, 0, (u8)n);
    page[4 + 5] = 1; /* not changeable */
    memcpy(c.data, page, n);
    scsi_parameters(&disk, &state, &c, n);
    CHECK_EQ(sense(), 0x52600);
    START(&disk, 0x15, 0x10, 0, 0, (u8)n);
    page[4 + 1] = 200; /* longer than what came */
    memcpy(c.data, page, n);
    scsi_parameters(&disk, &state, &c, n);
    CHECK_EQ(sense(), 0x51a00);
    START(&disk, 0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 255);
    CHECK_EQ(be16(c.data) + 2u, c.n);
    CHECK_EQ(c.data[7], 8);
}

static void compact_disc(void)
{
    struct scsi_unit empty = disc;

    scsi_reset(&state, 0);
    START(&disc, 0x25);
    CHECK_EQ(be32(c.data), 3999);
    CHECK_EQ(be32(c.data + 4), 2048);
    START(&disc, 0x28, 0, 0, 0, 0, 16, 0, 0, 1);
    CHECK_EQ(c.off, 16 * 2048);
    START(&disc, 0xbe, 0, 0, 0, 0, 16, 0, 0, 2, 0x10);
    CHECK_EQ(c.todo, SCSI_READ);
    CHECK_EQ(c.len, 4096);
    START(&disc, 0xbe, 0, 0, 0, 0, 16, 0, 0, 2, 0xf8);
    CHECK_EQ(sense(), 0x52400);
    START(&disc, 0x43, 2, 0, 0, 0, 0, 0, 0, 20);
    CHECK_EQ(c.n, 20);
    CHECK_EQ(be16(c.data), 18);
    CHECK_EQ(c.data[4 + 6], 2); /* 0:02:00 */
    CHECK_EQ(c.data[12 + 2], 0xaa);
    CHECK_EQ(c.data[12 + 7], (4000 + 150) % 75);
    START(&disc, 0x46, 0, 0, 0, 0, 0, 0, 0, 255);
    CHECK_EQ(be32(c.data) + 4, c.n);
    CHECK_EQ(c.data[7], 8);
    START(&disc, 0x46, 2, 0, 0x1e, 0, 0, 0, 0, 255);
    CHECK_EQ(c.n, 16);
    START(&disc, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8);
    CHECK_EQ(c.n, 8);
    CHECK_EQ(c.data[5], 2);
    START(&disc, 0x1e, 0, 0, 0, 1);
    START(&disc, 0x1b, 0, 0, 0, 2);
    CHECK_EQ(sense(), 0x55302);
    empty.medium = false;
    empty.blocks = 0;
    START(&empty, 0x00);
    CHECK_EQ(sense(), 0x23a00);
    START(&empty, 0x28, 0, 0, 0, 0, 16, 0, 0, 1);
    CHECK_EQ(sense(), 0x23a00);
}

/* Any CDB and any parameters leave a command whose numbers lie inside the unit. */
static void nonsense_stays_inside(void)
{
    u32 seed = 12345;

    for (u32 i = 0; i < 300000; i++) {
        const struct scsi_unit *u = i & 1 ? &disk : &disc;
        u64 size = u->blocks * u->block;

        for (u32 j = 0; j < 16; j++) {
            seed = seed * 1664525 + 1013904223;
            c.cdb[j] = (u8)(seed >> 24) & (u8)(i & 2 ? 0xff : 0x13);
        }
        c.cdb[0] = (u8)(i >> 2);
        c.lun = 0;
        scsi_start(u, &state, &c);
        CHECK(c.want <= SCSI_DATA);
        if (c.want) {
            for (u32 j = 0; j < c.want; j++) {
                seed = seed * 1664525 + 1013904223;
                c.data[j] = (u8)(seed >> 28);
            }
            scsi_parameters(u, &state, &c, seed % (c.want + 1));
        }
        CHECK(c.n <= SCSI_DATA);
        if (c.todo == SCSI_READ || c.todo == SCSI_WRITE || c.todo == SCSI_FILL)
            CHECK(range_ok(c.off, c.len, size));
        for (u32 j = 0; c.todo == SCSI_TRIM && j < c.ntrim; j++)
            CHECK(range_ok(c.trim[j].off, c.trim[j].len, size));
        if (check_failed_now)
            return;
    }
}

int main(void)
{

    CASE(identity);
    CASE(attention_is_told_once);
    CASE(capacity);
    CASE(transfers);
    CASE(results);
    CASE(provisioning);
    CASE(write_cache);
    CASE(compact_disc);
    CASE(nonsense_stays_inside);
    return check_end();
}
