/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Both interfaces of a TPM against one that counts, one that ends, ones that lie; and swtpm. */
#include "tests/check.h"
#include "tests/rig.h"
#include "tests/tpm_peer.h"
#include <errno.h>
#include <string.h>

#define TPM 0xfed40000ull

static struct rig r;
static struct tpm_peer peer;
static struct tpm *tpm;
static struct device *dev;

static u64 rd(u32 off, u32 size)
{
    return rig_load(&r, TPM + off, size);
}

static void wr(u32 off, u32 size, u64 val)
{
    rig_store(&r, TPM + off, size, val);
}

static void plug(const char *class)
{
    struct device_end ends[] = { { "tpm", tpm }, { NULL, NULL } };

    dev = rig_device(&r, class, NULL, ends);
}

static void start(const char *class, enum peer_fault fault)
{
    peer = (struct tpm_peer){ .count = 0 };
    rig_start(&r, 1, 1);
    CHECK_EQ(tpm_open_socket(&tpm, peer_start(&peer, fault), machine_lane(r.m), NULL), 0);
    plug(class);
}

static void stop(void)
{
    machine_clear(r.m);
    tpm_close(tpm);
    peer_end(&peer);
    rig_stop(&r);
}

static const u8 ask[12] = { 0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0xab, 0xcd };

/* ---- CRB ---- */

static bool crb_done(void *arg)
{
    return rd(0x4c, 4) == 0;
}

static void crb_command(void)
{
    wr(0x08, 4, 1); /* locality */
    wr(0x40, 4, 1); /* ready */
    for (u32 i = 0; i < sizeof(ask); i++)
        wr(0x80 + i, 1, ask[i]);
    wr(0x4c, 4, 1);
}

static void crb_answers(void)
{
    start("tpm_crb", PEER_RIGHT);
    CHECK_EQ(peer.starts, 1);
    CHECK_EQ(rd(0x30, 4) & 0xff, 0x11);
    CHECK_EQ(rd(0x44, 4), 2);
    CHECK_EQ(rd(0x58, 4), 0x1000 - 0x80);
    CHECK_EQ(rd(0x5c, 8), TPM + 0x80);
    CHECK_EQ(rd(0x00, 1), 0x81);
    wr(0x4c, 4, 1); /* nobody's */
    CHECK_EQ(rd(0x4c, 4), 0);
    crb_command();
    CHECK_EQ(rd(0x00, 1), 0x83);
    CHECK_EQ(rd(0x0c, 4), 1);
    CHECK_EQ(rd(0x44, 4), 0);
    CHECK_EQ(rd(0x4c, 4), 1);
    CHECK_EQ(rd(0x80, 4), 0xffffffff); /* the TPM's meanwhile */
    wr(0x80, 4, 0);
    rig_lane_until(&r, crb_done, NULL);
    CHECK_EQ(rd(0x80, 8), 0x00000c0000000180);
    CHECK_EQ(rd(0x88, 4), 0xcdab0100);
    CHECK_EQ(peer.count, 1);
    wr(0x40, 4, 2);
    CHECK_EQ(rd(0x44, 4), 2);
    wr(0x08, 4, 2);
    CHECK_EQ(rd(0x0c, 4), 0);
    machine_reset(r.m, RESET_SYSTEM);
    CHECK_EQ(peer.starts, 2);
    stop();
}

/* A command is finished before the VM stands; what the TPM holds goes along. */
static void crb_moves(void)
{
    struct tpm_peer other = { .count = 77 };
    struct buf b = { 0 };
    struct tpm *to;
    struct err e = { 0 };

    start("tpm_crb", PEER_RIGHT);
    crb_command();
    rig_pause(&r);
    CHECK_EQ(peer.count, 1);
    CHECK_EQ(tpm_save(tpm, &b, &e), 0);
    CHECK_EQ(tpm_open_socket(&to, peer_start(&other, PEER_RIGHT), machine_lane(r.m), NULL), 0);
    CHECK_EQ(tpm_load(to, (struct span){ b.p, b.len }, &e), 0);
    CHECK_EQ(other.count, 1);
    CHECK_EQ(tpm_load(to, (struct span){ b.p, 6 }, &e), -EBADMSG);
    buf_fini(&b);
    tpm_close(to);
    peer_end(&other);
    rig_resume(&r);
    CHECK_EQ(rd(0x4c, 4), 0);
    stop();
}

static void crb_fails(enum peer_fault fault)
{
    start("tpm_crb", fault);
    CHECK_EQ(tpm_failed(tpm), fault == PEER_REFUSES);
    for (u32 i = 0; i < 2; i++) { /* the second finds it failed already */
        crb_command();
        rig_lane_until(&r, crb_done, NULL);
        CHECK_EQ(rd(0x80, 4), 0x00000180);
        CHECK_EQ(rd(0x84, 4), 0x00000a00);
        CHECK_EQ(rd(0x88, 2), 0x0101);
        CHECK(tpm_failed(tpm));
    }
    machine_reset(r.m, RESET_SYSTEM);
    stop();
}

static void failures(void)
{
    crb_fails(PEER_ENDS);
    crb_fails(PEER_LIES);
    crb_fails(PEER_LONG);
    crb_fails(PEER_REFUSES);
}

/* ---- TIS ---- */

static bool tis_done(void *arg)
{
    return rd(0x3018, 1) & 0x10; /* of locality 3 */
}

static void tis_localities(void)
{
    start("tpm_tis", PEER_RIGHT);
    CHECK_EQ(rd(0x0000, 1), 0x81);
    CHECK_EQ(rd(0x0018, 4), 0xffffffff);
    wr(0x1000, 1, 2); /* 1 asks and has it; 2 and 0 wait */
    wr(0x2000, 1, 2);
    wr(0x0000, 1, 2);
    CHECK_EQ(rd(0x1000, 1), 0xa5);
    CHECK_EQ(rd(0x2000, 1), 0x87);
    wr(0x1000, 1, 0x20);
    CHECK_EQ(rd(0x2000, 1), 0xa5);
    CHECK_EQ(rd(0x1000, 1), 0x85);
    wr(0x1000, 1, 8); /* a lower one cannot seize */
    CHECK_EQ(rd(0x2000, 1), 0xa5);
    wr(0x4000, 1, 8);
    CHECK_EQ(rd(0x4000, 1), 0xa5);
    CHECK_EQ(rd(0x2000, 1), 0x95);
    wr(0x2000, 1, 0x10);
    CHECK_EQ(rd(0x2000, 1), 0x85);
    wr(0x4000, 1, 0x20);
    CHECK_EQ(rd(0x0000, 1), 0xa1);
    wr(0x0000, 1, 0x20);
    CHECK_EQ(rd(0x0000, 1), 0x81);
    stop();
}

static void tis_answers(void)
{
    start("tpm_tis", PEER_RIGHT);
    CHECK_EQ(rd(0x30, 4) & 0xf, 0);
    CHECK_EQ(rd(0x14, 4) >> 28, 3);
    wr(0x3000, 1, 2);
    CHECK_EQ(rd(0x3018, 4), 0x04000084); /* idle */
    wr(0x3018, 1, 0x20);                 /* nothing to go with */
    wr(0x3018, 1, 0x40);
    CHECK_EQ(rd(0x3018, 1), 0xc4);
    CHECK_EQ(rd(0x3019, 2), TPM_BUFFER);
    for (u32 i = 0; i < 8; i++)
        wr(0x3024, 1, ask[i]);
    CHECK_EQ(rd(0x3018, 1), 0x8c);
    wr(0x3018, 1, 0x20); /* not whole */
    CHECK_EQ(rd(0x3018, 1), 0x8c);
    wr(0x3080, 4, 0xcdab7b01);
    CHECK_EQ(rd(0x3018, 1), 0x84);
    wr(0x3024, 1, 0xee); /* too much */
    wr(0x3018, 1, 0x20);
    CHECK_EQ(rd(0x3018, 4), 0x04000084);
    rig_lane_until(&r, tis_done, NULL);
    stop();
}

static void tis_reads(void)
{
    u8 got[12];

    start("tpm_tis", PEER_RIGHT);
    wr(0x3000, 1, 2);
    wr(0x3018, 1, 0x40);
    for (u32 i = 0; i < sizeof(ask); i += 4)
        wr(0x3024, 4, le32(ask + i));
    wr(0x3018, 1, 0x20);
    rig_lane_until(&r, tis_done, NULL);
    CHECK_EQ(peer.locality, 3);
    for (u32 turn = 0; turn < 2; turn++) {
        CHECK_EQ(rd(0x3019, 2), 12);
        for (u32 i = 0; i < 12; i++)
            got[i] = (u8)rd(0x3024, 1);
        CHECK_EQ(be32(got + 2), 12);
        CHECK_EQ(be32(got + 6), 1);
        CHECK_EQ(be16(got + 10), 0xabcd);
        CHECK_EQ(rd(0x3018, 1), 0x84);
        CHECK_EQ(rd(0x3024, 1), 0xff);
        wr(0x3018, 1, 2); /* once more */
    }
    stop();
}

static bool tis_counted(void *arg)
{
    return peer.count;
}

/* The answer to a locality that was thrown out is for nobody. */
static void tis_thrown_out(void)
{
    start("tpm_tis", PEER_RIGHT);
    wr(0x0000, 1, 2);
    wr(0x0018, 1, 0x40);
    for (u32 i = 0; i < sizeof(ask); i++)
        wr(0x0024, 1, ask[i]);
    wr(0x0018, 1, 0x20);
    wr(0x1000, 1, 8);
    wr(0x1018, 1, 0x40);
    CHECK_EQ(rd(0x1018, 1), 0x84);
    rig_lane_until(&r, tis_counted, NULL);
    rig_pause(&r);
    rig_resume(&r);
    CHECK_EQ(rd(0x1018, 1), 0x84);
    wr(0x1018, 1, 0x40);
    CHECK_EQ(rd(0x1018, 1), 0xc4);
    stop();
}

/* ---- swtpm ---- */

static void swtpm_counts(void)
{
    static const u8 startup[12] = { 0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0 };
    u32 size;
    int err;

    rig_start(&r, 1, 1);
    err = tpm_open(&tpm, NULL, machine_lane(r.m), NULL);
    if (err == -ENOENT) {
        rig_stop(&r);
        check_skip("swtpm is not installed");
        return;
    }
    CHECK_EQ(err, 0);
    plug("tpm_crb");
    wr(0x08, 4, 1);
    wr(0x40, 4, 1);
    for (u32 turn = 0; turn < 2; turn++) {
        const u8 *p = turn ? ask : startup;

        for (u32 i = 0; i < 12; i++)
            wr(0x80 + i, 1, turn && i > 9 ? i == 11 ? 16 : 0 : p[i]); /* GetRandom: 16 bytes */
        wr(0x4c, 4, 1);
        rig_lane_until(&r, crb_done, NULL);
        CHECK_EQ(rd(0x86, 2) | rd(0x88, 2), 0); /* TPM_RC_SUCCESS */
        size = (u32)__builtin_bswap32((u32)(rd(0x82, 2) | rd(0x84, 2) << 16));
        CHECK_EQ(size, turn ? 28 : 10);
    }
    CHECK(!tpm_failed(tpm));
    machine_clear(r.m);
    tpm_close(tpm);
    rig_stop(&r);
}

int main(void)
{
    CASE(crb_answers);
    CASE(crb_moves);
    CASE(failures);
    CASE(tis_localities);
    CASE(tis_answers);
    CASE(tis_reads);
    CASE(tis_thrown_out);
    CASE(swtpm_counts);
    return check_end();
}
