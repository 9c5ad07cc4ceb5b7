/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "base/log.h"
#include "bus/pci.h"
#include "device/net/frame.h"
#include "device/net/vmxnet3_wire.h"
#include "tests/check.h"
#include "tests/rig.h"

/* A small driver: one queue each way unless asked for more, rings of 32, buffers of 2 KiB. */
enum {
    SHARED = 0x10000,
    QUEUES = 0x11000,
    TX = 0x20000,
    TX_COMP = 0x21000,
    RX = 0x22000,
    RX2 = 0x23000,
    RX_COMP = 0x24000,
    TX_BUF = 0x100000,
    RX_BUF = 0x200000,
    RING = 32,
    RX_COMPS = 64,
    BUF = 2048,
    TX_VECTOR = 1,
    RX_VECTOR = 2,
    EVENT_VECTOR = 3,
};

struct bench {
    struct rig r;
    struct rig_ends ends;
    struct device *d;
    struct rig_wire *wire;
    u64 bar0, bar1;
    u32 tx, tx_comp, rx_comp, rx_fill[2]; /* running numbers */
    u32 got;                              /* frames at the far end */
    u8 last[NET_FRAME_MAX];
    u32 last_len;
    u64 far_sum;
};

static u32 far_deliver(void *arg, const struct net_frame *f, u32 n)
{
    struct bench *b = arg;

    for (u32 i = 0; i < n; i++, b->got++) {
        memcpy(b->last, f[i].p, f[i].len);
        b->last_len = f[i].len;
        b->far_sum += f[i].len;
    }
    return n;
}

static const struct net_guest far_calls = { .deliver = far_deliver };

static void put16(struct bench *b, u64 at, u16 v)
{
    rig_put(&b->r, at, &v, 2);
}

static void put32(struct bench *b, u64 at, u32 v)
{
    rig_put(&b->r, at, &v, 4);
}

static void put64(struct bench *b, u64 at, u64 v)
{
    rig_put(&b->r, at, &v, 8);
}

static u32 get32(struct bench *b, u64 at)
{
    u32 v;

    rig_get(&b->r, at, &v, 4);
    return v;
}

static u64 get64(struct bench *b, u64 at)
{
    return get32(b, at) | (u64)get32(b, at + 4) << 32;
}

static u32 command(struct bench *b, u32 cmd)
{
    rig_store(&b->r, b->bar1 + VX_COMMAND, 4, cmd);
    return (u32)rig_load(&b->r, b->bar1 + VX_COMMAND, 4);
}

static void bench_start(struct bench *b, const char *const *settings)
{
    char wire[] = "pci.a";

    memset(b, 0, sizeof(*b));
    rig_start(&b->r, 8, 1);
    rig_ends_open(&b->r, &b->ends);
    net_attach(b->ends.far, &far_calls, b);
    b->d = rig_device(&b->r, "vmxnet3", settings, b->ends.list);
    wire[4] = (char)('a' + (pci_slot(b->d) + 3) % 4); /* INTA of that slot */
    b->wire = rig_wire(&b->r, wire);
    rig_pci_enable(&b->r, b->d);
    b->bar0 = rig_bar(b->d, 0);
    b->bar1 = rig_bar(b->d, 1);
}

static void bench_stop(struct bench *b)
{
    rig_ends_close(&b->r, &b->ends);
    rig_stop(&b->r);
}

static void queue_describe(struct bench *b, u64 at, u64 ring, u64 ring2, u64 comp, u32 size,
                           u32 size2, u32 comps, u8 vector)
{
    static const u8 zero[VX_Q_LEN];

    rig_put(&b->r, at, zero, sizeof(zero));
    put64(b, at + VX_Q_RING, ring);
    put64(b, at + VX_Q_RING2, ring2);
    put64(b, at + VX_Q_COMP, comp);
    put32(b, at + 56, size);
    put32(b, at + 60, size2);
    put32(b, at + 64, comps);
    rig_put(&b->r, at + 72, &vector, 1);
}

static void shared_describe(struct bench *b)
{
    static const u8 zero[VX_S_LEN];
    u8 counts[2] = { 1, 1 }, intr[3] = { 1, 4, EVENT_VECTOR };

    rig_put(&b->r, SHARED, zero, sizeof(zero));
    put32(b, SHARED + VX_S_MAGIC, VX_MAGIC);
    put32(b, SHARED + VX_S_FEATURES, VX_F_RX_CSUM | VX_F_RX_VLAN);
    put64(b, SHARED + VX_S_QUEUES, QUEUES);
    put32(b, SHARED + VX_S_QUEUES_LEN, 2 * VX_Q_LEN);
    rig_put(&b->r, SHARED + VX_S_TX_COUNT, counts, 2);
    rig_put(&b->r, SHARED + VX_S_AUTO_MASK, intr, 3);
    put32(b, SHARED + VX_S_RX_MODE, VX_MODE_UNICAST | VX_MODE_BROADCAST);
    queue_describe(b, QUEUES, TX, 0, TX_COMP, RING, 0, RING, TX_VECTOR);
    queue_describe(b, QUEUES + VX_Q_LEN, RX, RX2, RX_COMP, RING, RING, RX_COMPS, RX_VECTOR);
}

static void rx_fill(struct bench *b, u32 ring, u32 n, bool body)
{
    for (; n; n--, b->rx_fill[ring]++) {
        u32 i = b->rx_fill[ring] % RING, gen = !(b->rx_fill[ring] / RING & 1);
        u64 at = (ring ? RX2 : RX) + i * 16;

        put64(b, at, RX_BUF + (ring * RING + i) * BUF);
        put32(b, at + 8, BUF | (u32)body << 14 | gen << 31);
    }
}

static u32 activate(struct bench *b)
{
    static const u8 zero[4096];
    u32 answer;

    for (u64 at = TX; at <= RX_COMP; at += 4096)
        rig_put(&b->r, at, zero, sizeof(zero));
    b->tx = b->tx_comp = b->rx_comp = b->rx_fill[0] = b->rx_fill[1] = 0;
    rig_store(&b->r, b->bar1 + VX_SHARED_LOW, 4, SHARED);
    rig_store(&b->r, b->bar1 + VX_SHARED_HIGH, 4, 0);
    answer = command(b, VX_SET_ACTIVATE);
    for (u32 i = 0; i < 4; i++)
        rig_store(&b->r, b->bar0 + VX_MASK + 8 * i, 4, 0);
    return answer;
}

static void bench_run(struct bench *b, const char *const *settings)
{
    bench_start(b, settings);
    rig_msix_enable(&b->r, b->d, 4);
    shared_describe(b);
    CHECK_EQ(activate(b), 0);
}

static void tx_desc(struct bench *b, u64 addr, u32 len, u32 w2, u32 w3)
{
    u64 at = TX + b->tx % RING * 16;
    u32 gen = !(b->tx / RING & 1);

    put64(b, at, addr);
    put32(b, at + 12, w3);
    put32(b, at + 8, (len & 0x3fff) | gen << 14 | w2);
    b->tx++;
}

enum { EOP_ASK = 1 << 12 | 1 << 13 };

static void kick(struct bench *b)
{
    rig_store(&b->r, b->bar0 + VX_TX_PROD, 4, b->tx % RING);
    rig_lane(&b->r);
}

static bool tx_completed(struct bench *b, u32 *index)
{
    u64 at = TX_COMP + b->tx_comp % RING * 16;
    bool gen = !(b->tx_comp / RING & 1);

    if (get32(b, at + 12) >> 31 != gen)
        return false;
    *index = get32(b, at) & 0xfff;
    b->tx_comp++;
    return true;
}

struct seen {
    u32 w0, w2, w3;
};

static bool rx_completed(struct bench *b, struct seen *s)
{
    u64 at = RX_COMP + b->rx_comp % RX_COMPS * 16;
    bool gen = !(b->rx_comp / RX_COMPS & 1);

    *s = (struct seen){ get32(b, at), get32(b, at + 8), get32(b, at + 12) };
    if (s->w3 >> 31 != gen)
        return false;
    b->rx_comp++;
    return true;
}

static void frame_fill(u8 *f, u32 len, u32 seed)
{
    for (u32 i = 0; i < len; i++)
        f[i] = (u8)(seed * 31 + i * 7 + (i >> 8));
    memcpy(f, "\x00\x50\x56\x12\x34\x56\x02\0\0\0\0\1\x88\xb5", 14);
}

static void from_far(struct bench *b, const u8 *f, u32 len)
{
    net_send(b->ends.far, &(struct iovec){ (u8 *)(uintptr_t)f, len }, 1);
}

static void says_what_it_is(void)
{
    static const char *const settings[] = { "mac", "00:0c:29:aa:bb:cc", NULL };
    struct bench b;

    bench_start(&b, settings);
    CHECK_EQ(rig_pci_get(b.d, 0, 4), 0x07b015ad);
    CHECK_EQ(rig_pci_get(b.d, 8, 4), 0x02000001);
    CHECK_EQ(rig_load(&b.r, b.bar1 + VX_REVISION, 4), 1);
    CHECK_EQ(rig_load(&b.r, b.bar1 + VX_UPT, 4), 1);
    CHECK_EQ(rig_load(&b.r, b.bar1 + VX_MAC_LOW, 4), 0xaa290c00);
    CHECK_EQ(rig_load(&b.r, b.bar1 + VX_MAC_HIGH, 4), 0xccbb);
    CHECK_EQ(command(&b, VX_GET_MAC_LOW), 0xaa290c00);
    CHECK_EQ(command(&b, VX_GET_LINK), 10000 << 16 | 1);
    CHECK_EQ(command(&b, VX_GET_INTR), 0);
    rig_store(&b.r, b.bar1 + VX_MAC_LOW, 4, 0x44332202);
    rig_store(&b.r, b.bar1 + VX_MAC_HIGH, 4, 0x6655);
    command(&b, VX_SET_RESET);
    CHECK_EQ(rig_load(&b.r, b.bar1 + VX_MAC_HIGH, 4), 0x6655);
    CHECK_EQ(command(&b, VX_GET_MAC_LOW), 0xaa290c00);
    machine_reset(b.r.m, RESET_SYSTEM);
    rig_pci_enable(&b.r, b.d);
    CHECK_EQ(rig_load(&b.r, rig_bar(b.d, 1) + VX_MAC_LOW, 4), 0xaa290c00);
    bench_stop(&b);
}

static void sends_what_it_was_given(void)
{
    struct bench b;
    u8 f[4000];
    u32 index, done = 0;

    bench_run(&b, NULL);
    for (u32 i = 0; i < 300; i++) {
        u32 len = 60 + i * 13, cut = 14 + i % 40;

        frame_fill(f, len, i);
        rig_put(&b.r, TX_BUF, f, len);
        tx_desc(&b, TX_BUF, cut, 0, 0);
        tx_desc(&b, TX_BUF + cut, len - cut, 0, EOP_ASK);
        kick(&b);
        CHECK_EQ(b.got, i + 1);
        CHECK_EQ(b.last_len, len);
        CHECK(!memcmp(b.last, f, len));
        CHECK(tx_completed(&b, &index));
        CHECK_EQ(index, (b.tx - 1) % RING);
        done += len;
    }
    CHECK_EQ(rig_msi_seen(&b.r, 0xfee00000, TX_VECTOR), 1); /* masked itself */
    rig_store(&b.r, b.bar0 + VX_MASK + 8 * TX_VECTOR, 4, 0);
    CHECK_EQ(rig_msi_seen(&b.r, 0xfee00000, TX_VECTOR), 2);
    command(&b, VX_GET_STATS);
    CHECK_EQ(get64(&b, QUEUES + VX_Q_STATS + 8 * VX_TS_UNICAST), 300);
    CHECK_EQ(get64(&b, QUEUES + VX_Q_STATS + 8 * VX_TS_UNICAST_BYTES), done);
    bench_stop(&b);
}

/* 14 + 20 + 20 bytes of headers, `n` of payload; the checksum field as Linux leaves it. */
static u32 tcp_fill(u8 *f, u32 n)
{
    frame_fill(f, 54 + n, 5);
    put_be16(f + 12, 0x0800);
    memset(f + 14, 0, 40);
    f[14] = 0x45;
    put_be16(f + 16, (u16)(40 + n));
    f[22] = 64;
    f[23] = 6;
    put_be32(f + 26, 0x0a00020f);
    put_be32(f + 30, 0x0a000202);
    put_be16(f + 34, 1234);
    put_be16(f + 36, 80);
    put_be32(f + 38, 1000);
    f[46] = 0x50;
    f[47] = 0x18;
    return 54 + n;
}

static bool all_sums_right(const u8 *f, u32 len)
{
    struct frame_parts p = frame_parse(f, len);
    struct frame_verdict v = frame_verify(f, &p);

    return v.ip_ok && v.l4_ok;
}

static void does_checksums_and_large_segments(void)
{
    static u8 f[20000];
    struct bench b;
    u32 len;

    bench_run(&b, NULL);
    len = tcp_fill(f, 1000);
    CHECK_EQ(frame_cut(f, len, 1, true, (void (*)(void *, const struct iovec *, int))net_send,
                       b.ends.net),
             0);
    rig_lane(&b.r);
    CHECK(all_sums_right(b.last, b.last_len)); /* a valid one: spoil it as a driver would */
    memcpy(f, b.last, len);
    put_be16(f + 50, 0); /* the pseudo header's sum */
    put_be16(f + 50, (u16)((0x0a00 + 0x020f + 0x0a00 + 0x0202 + 6 + 1020)));
    rig_put(&b.r, TX_BUF, f, len);
    tx_desc(&b, TX_BUF, len, 50 << 18, 34 | 2 << 10 | EOP_ASK);
    kick(&b);
    CHECK_EQ(b.got, 2);
    CHECK(all_sums_right(b.last, b.last_len));

    len = tcp_fill(f, 15000);
    rig_put(&b.r, TX_BUF, f, len);
    tx_desc(&b, TX_BUF, 54, 1448 << 18, 54 | 3 << 10);
    tx_desc(&b, TX_BUF + 54, 15000, 0, EOP_ASK);
    kick(&b);
    CHECK_EQ(b.got, 3); /* the cable takes it whole */
    CHECK_EQ(b.last_len, len);
    CHECK(all_sums_right(b.last, b.last_len));
    CHECK(!memcmp(b.last + 54, f + 54, 15000));
    command(&b, VX_GET_STATS);
    CHECK_EQ(get64(&b, QUEUES + VX_Q_STATS + 8 * VX_TS_TSO), 1);
    CHECK_EQ(get64(&b, QUEUES + VX_Q_STATS + 8 * VX_TS_UNICAST), 2);
    bench_stop(&b);
}

static void tags_frames(void)
{
    struct bench b;
    struct seen s;
    u8 f[100], back[100];

    bench_run(&b, NULL);
    frame_fill(f, sizeof(f), 1);
    rig_put(&b.r, TX_BUF, f, sizeof(f));
    tx_desc(&b, TX_BUF, sizeof(f), 0, EOP_ASK | 1 << 15 | 42 << 16);
    kick(&b);
    CHECK_EQ(b.last_len, 104);
    CHECK_EQ(be32(b.last + 12), 0x8100u << 16 | 42);
    CHECK(!memcmp(b.last, f, 12) && !memcmp(b.last + 16, f + 12, 88));
    rx_fill(&b, 0, 4, false);
    from_far(&b, b.last, 104);
    rig_lane(&b.r);
    CHECK(!rx_completed(&b, &s)); /* tag 42 is not wanted yet */
    put32(&b, SHARED + VX_S_VLAN_TABLE + 4, 1 << 10);
    command(&b, VX_SET_VLAN_FILTERS);
    from_far(&b, b.last, 104);
    rig_lane(&b.r);
    CHECK(rx_completed(&b, &s));
    CHECK_EQ(s.w2, 100 | 1 << 15 | 42 << 16);
    rig_get(&b.r, RX_BUF, back, 100);
    CHECK(!memcmp(back, f, 100));
    bench_stop(&b);
}

static void receives_and_wraps(void)
{
    struct bench b;
    struct seen s;
    u8 f[BUF], back[BUF];

    bench_run(&b, NULL);
    rx_fill(&b, 0, RING - 1, false);
    for (u32 i = 0; i < 500; i++) {
        u32 len = 60 + i * 3 % 1900;

        frame_fill(f, len, i);
        from_far(&b, f, len);
        rig_lane(&b.r);
        CHECK(rx_completed(&b, &s));
        CHECK_EQ(s.w0 & 0xffff, (i % RING) | VX_C_SOP | VX_C_EOP);
        CHECK_EQ(s.w2, len);
        CHECK_EQ(s.w3 >> 24 & 0x7f, 3);
        rig_get(&b.r, RX_BUF + i % RING * BUF, back, len);
        CHECK(!memcmp(f, back, len));
        rx_fill(&b, 0, 1, false);
    }
    CHECK_EQ(rig_msi_seen(&b.r, 0xfee00000, RX_VECTOR), 1);
    bench_stop(&b);
}

static void receives_across_buffers_and_rings(void)
{
    static u8 f[5 * BUF], back[BUF];
    struct bench b;
    struct seen s;
    u32 len = 3 * BUF + 100;

    bench_run(&b, NULL);
    rx_fill(&b, 0, 1, false); /* a head, one body behind it, then ring 2 */
    rx_fill(&b, 0, 1, true);
    rx_fill(&b, 0, 1, false);
    rx_fill(&b, 1, 4, true);
    frame_fill(f, len, 9);
    from_far(&b, f, len);
    rig_lane(&b.r);
    for (u32 i = 0; i < 4; i++) {
        CHECK(rx_completed(&b, &s));
        CHECK_EQ(s.w0 & (VX_C_SOP | VX_C_EOP), (i ? 0 : VX_C_SOP) | (i == 3 ? VX_C_EOP : 0));
        CHECK_EQ(s.w0 >> 16 & 0x3ff, i >= 2); /* ring 2 has the number after the queues' */
        CHECK_EQ(s.w0 & 0xfff, i % 2);
        CHECK_EQ(s.w2 & 0x3fff, i < 3 ? BUF : 100);
        rig_get(&b.r, RX_BUF + ((i >= 2 ? RING : 0) + i % 2) * BUF, back, s.w2 & 0x3fff);
        CHECK(!memcmp(back, f + i * BUF, s.w2 & 0x3fff));
    }
    rx_fill(&b, 0, 1, true); /* unused bodies in front of a head are skipped */
    rx_fill(&b, 0, 1, false);
    for (u32 i = 0; i < 2; i++) {
        from_far(&b, f, 60);
        rig_lane(&b.r);
        CHECK(rx_completed(&b, &s));
        CHECK_EQ(s.w0 & 0xfff, i ? 4 : 2);
    }
    bench_stop(&b);
}

static void waits_for_buffers(void)
{
    struct bench b;
    struct seen s;
    u8 f[100], asked, back[100];

    bench_run(&b, NULL);
    for (u32 i = 0; i < 40; i++) {
        frame_fill(f, sizeof(f), i);
        from_far(&b, f, sizeof(f));
    }
    rig_lane(&b.r);
    CHECK(!rx_completed(&b, &s));
    rig_get(&b.r, QUEUES + VX_Q_LEN + VX_Q_UPDATE, &asked, 1);
    CHECK_EQ(asked, 1);
    for (u32 i = 0; i < 40; i++) {
        rx_fill(&b, 0, 1, false);
        rig_store(&b.r, b.bar0 + VX_RX_PROD, 4, b.rx_fill[0] % RING);
        rig_lane(&b.r);
        CHECK(rx_completed(&b, &s));
        frame_fill(f, sizeof(f), i);
        rig_get(&b.r, RX_BUF + i % RING * BUF, back, sizeof(back));
        CHECK(!memcmp(f, back, sizeof(f)));
        CHECK(!rx_completed(&b, &s));
    }
    rx_fill(&b, 0, 1, false);
    rig_store(&b.r, b.bar0 + VX_RX_PROD, 4, b.rx_fill[0] % RING);
    rig_lane(&b.r);
    rig_get(&b.r, QUEUES + VX_Q_LEN + VX_Q_UPDATE, &asked, 1);
    CHECK_EQ(asked, 0);
    bench_stop(&b);
}

static bool heard(struct bench *b, const char *to)
{
    struct seen s;
    u8 f[60];

    frame_fill(f, sizeof(f), 0);
    memcpy(f, to, 6);
    from_far(b, f, sizeof(f));
    rig_lane(&b->r);
    return rx_completed(b, &s);
}

static void listens_to_what_it_should(void)
{
    static const char *me = "\x00\x50\x56\x12\x34\x56", *all = "\xff\xff\xff\xff\xff\xff",
                      *group = "\x33\x33\0\0\0\1", *other = "\x02\x50\x56\x12\x34\x57";
    struct bench b;

    bench_run(&b, NULL);
    rx_fill(&b, 0, 30, false);
    CHECK(heard(&b, me) && heard(&b, all) && !heard(&b, group) && !heard(&b, other));
    put32(&b, SHARED + VX_S_RX_MODE, VX_MODE_UNICAST | VX_MODE_MULTICAST);
    rig_put(&b.r, 0x30000, group, 6);
    put64(&b, SHARED + VX_S_MAC_TABLE, 0x30000);
    put16(&b, SHARED + VX_S_MAC_LEN, 6);
    command(&b, VX_SET_RX_MODE);
    command(&b, VX_SET_MAC_FILTERS);
    CHECK(heard(&b, me) && !heard(&b, all) && heard(&b, group) && !heard(&b, other));
    CHECK(!heard(&b, "\x33\x33\0\0\0\2"));
    put32(&b, SHARED + VX_S_RX_MODE, VX_MODE_PROMISCUOUS);
    command(&b, VX_SET_RX_MODE);
    CHECK(heard(&b, me) && heard(&b, all) && heard(&b, group) && heard(&b, other));
    put16(&b, SHARED + VX_S_MAC_LEN, 65535);
    command(&b, VX_SET_MAC_FILTERS);
    put64(&b, SHARED + VX_S_MAC_TABLE, ~0ull - 3);
    put16(&b, SHARED + VX_S_MAC_LEN, 60);
    command(&b, VX_SET_MAC_FILTERS);
    CHECK(heard(&b, me));
    bench_stop(&b);
}

static void verifies_checksums(void)
{
    struct bench b;
    struct seen s;
    u8 f[200];
    u32 len = tcp_fill(f, 100);

    bench_run(&b, NULL);
    rx_fill(&b, 0, 8, false);
    CHECK_EQ(frame_cut(f, len, 1, true, (void (*)(void *, const struct iovec *, int))net_send,
                       b.ends.far),
             0);
    rig_lane(&b.r);
    CHECK(rx_completed(&b, &s));
    CHECK_EQ(s.w3 & 0x7f0000, VX_C_IP_OK | VX_C_L4_OK | VX_C_TCP | VX_C_V4);
    rig_get(&b.r, RX_BUF, f, len);
    f[100] ^= 1;
    from_far(&b, f, len);
    rig_lane(&b.r);
    CHECK(rx_completed(&b, &s));
    CHECK_EQ(s.w3 & 0x7f0000, VX_C_IP_OK | VX_C_TCP | VX_C_V4);
    CHECK(s.w0 & VX_C_NOT_SUMMED);
    bench_stop(&b);
}

static void interrupts_by_wire(void)
{
    struct bench b;
    u8 f[60];

    bench_start(&b, NULL);
    shared_describe(&b);
    queue_describe(&b, QUEUES + VX_Q_LEN, RX, RX2, RX_COMP, RING, RING, RX_COMPS, 0);
    CHECK_EQ(activate(&b), 0);
    rx_fill(&b, 0, 20, false);
    frame_fill(f, sizeof(f), 1);
    from_far(&b, f, sizeof(f));
    rig_lane(&b.r);
    CHECK(b.wire->level);
    CHECK_EQ(rig_load(&b.r, b.bar1 + VX_CAUSE, 4), 1);
    CHECK(!b.wire->level);
    CHECK_EQ(rig_load(&b.r, b.bar1 + VX_CAUSE, 4), 0);
    from_far(&b, f, sizeof(f));
    rig_lane(&b.r);
    CHECK(!b.wire->level); /* it has masked itself */
    rig_store(&b.r, b.bar0 + VX_MASK, 4, 0);
    CHECK(b.wire->level);
    command(&b, VX_SET_QUIESCE);
    CHECK(!b.wire->level);
    bench_stop(&b);
}

static void interrupts_by_one_message(void)
{
    static const char *const settings[] = { "no_msix", "true", "intr", "2", NULL };
    struct bench b;
    u32 cap;
    u8 f[60];

    bench_start(&b, settings);
    CHECK_EQ(rig_pci_cap(b.d, 0x11), 0);
    cap = rig_pci_cap(b.d, 5);
    rig_pci_set(b.d, cap + 4, 4, 0xfee00000);
    rig_pci_set(b.d, cap + 12, 2, 0x77);
    rig_pci_set(b.d, cap + 2, 2, 1);
    shared_describe(&b);
    CHECK_EQ(command(&b, VX_GET_INTR), VX_INTR_MSI);
    CHECK_EQ(activate(&b), 0);
    rx_fill(&b, 0, 20, false);
    frame_fill(f, sizeof(f), 1);
    for (u32 i = 0; i < 3; i++) {
        from_far(&b, f, sizeof(f));
        rig_lane(&b.r);
        CHECK_EQ(rig_msi_seen(&b.r, 0xfee00000, 0x77), i + 1);
        rig_store(&b.r, b.bar0 + VX_MASK + 8 * RX_VECTOR, 4, 0);
    }
    CHECK(!b.wire->level);
    bench_stop(&b);
}

static void tells_of_the_link(void)
{
    struct bench b;

    bench_run(&b, NULL);
    net_link_set(b.ends.net, false);
    rig_lane(&b.r);
    CHECK_EQ(get32(&b, SHARED + VX_S_EVENT), VX_EVENT_LINK);
    CHECK_EQ(rig_msi_seen(&b.r, 0xfee00000, EVENT_VECTOR), 1);
    CHECK_EQ(command(&b, VX_GET_LINK), 0);
    rig_store(&b.r, b.bar1 + VX_EVENT, 4, VX_EVENT_LINK);
    CHECK_EQ(get32(&b, SHARED + VX_S_EVENT), 0);
    bench_stop(&b);
}

static void refuses_nonsense_at_activation(void)
{
    static const struct {
        u64 at;
        u32 val;
    } bad[] = {
        { SHARED + VX_S_MAGIC, 1 },
        { SHARED + VX_S_QUEUES, 0xfee00000 },
        { SHARED + VX_S_QUEUES_LEN, 256 },
        { SHARED + VX_S_TX_COUNT - 2, 0 },
        { SHARED + VX_S_TX_COUNT - 2, 0xffff0000 },
        { SHARED + VX_S_AUTO_MASK, 0xff0000 },
        { QUEUES + VX_Q_RING, TX + 16 },
        { QUEUES + VX_Q_RING, 0xe0000000 },
        { QUEUES + VX_Q_RING + 4, 0xffffffff },
        { QUEUES + VX_TQ_SIZE, 0 },
        { QUEUES + VX_TQ_SIZE, 33 },
        { QUEUES + VX_TQ_SIZE, 0xffffffe0 },
        { QUEUES + VX_TQ_COMP_SIZE, 0x80000000 },
        { QUEUES + VX_TQ_INTR, 25 },
        { QUEUES + VX_Q_LEN + VX_RQ_INTR, 255 },
        { QUEUES + VX_Q_LEN + VX_RQ_SIZE2, 1 },
        { QUEUES + VX_Q_LEN + VX_Q_RING2, 0x7fffe00 },
    };
    struct bench b;

    bench_run(&b, NULL);
    for (u32 i = 0; i < LEN(bad); i++) {
        shared_describe(&b);
        put32(&b, bad[i].at, bad[i].val);
        CHECK(activate(&b) != 0);
        tx_desc(&b, TX_BUF, 60, 0, EOP_ASK);
        kick(&b);
        CHECK_EQ(b.got, 0);
    }
    rig_store(&b.r, b.bar1 + VX_SHARED_HIGH, 4, ~0u);
    CHECK(command(&b, VX_SET_ACTIVATE) != 0);
    shared_describe(&b);
    CHECK_EQ(activate(&b), 0);
    bench_stop(&b);
}

static void survives_hostile_rings(void)
{
    static u8 f[300];
    struct bench b;
    struct seen s;
    u32 index;

    bench_run(&b, NULL);
    frame_fill(f, sizeof(f), 0);
    rig_put(&b.r, TX_BUF, f, sizeof(f));
    for (int way = 0; way < 4; way++) {
        if (way == 0) /* not RAM: the card's own registers */
            tx_desc(&b, b.bar1, 60, 0, EOP_ASK);
        else if (way == 1)
            tx_desc(&b, ~0ull - 20, 60, 0, EOP_ASK);
        else
            for (int i = 0; i < RING; i++) /* no end, or an end beyond every frame */
                tx_desc(&b, TX_BUF, way == 2 ? 60 : 0, 0, 0);
        kick(&b);
        CHECK_EQ(b.got, 0);
        CHECK_EQ(get32(&b, SHARED + VX_S_EVENT), VX_EVENT_TX_ERROR);
        CHECK_EQ(get32(&b, QUEUES + VX_Q_STOPPED), 1);
        shared_describe(&b);
        CHECK_EQ(activate(&b), 0);
    }
    tx_desc(&b, TX_BUF, 8, 0, EOP_ASK); /* nonsense inside of a frame: that one is lost */
    tx_desc(&b, TX_BUF, 60, 0x3fffu << 18, 2 << 10 | 0x3ff | EOP_ASK);
    tx_desc(&b, TX_BUF, 60, 0, 3 << 10 | EOP_ASK);
    tx_desc(&b, TX_BUF, 60, 1u << 18, 3 << 10 | EOP_ASK);
    tx_desc(&b, TX_BUF, 60, 0, EOP_ASK);
    kick(&b);
    CHECK_EQ(b.got, 1);
    for (u32 i = 0; i < 5; i++)
        CHECK(tx_completed(&b, &index) && index == i);
    for (u32 i = 0; i < RING; i++) { /* buffers that are no RAM, and bodies only */
        put64(&b, RX + i * 16, i % 2 ? 0xfee00000 : ~0ull);
        put32(&b, RX + i * 16 + 8, 1u << 31 | (i < 2 ? 0 : 1 << 14) | 4);
    }
    for (int i = 0; i < 10; i++)
        from_far(&b, f, sizeof(f));
    rig_lane(&b.r);
    while (rx_completed(&b, &s))
        CHECK(s.w2 & VX_C_ERROR);
    bench_stop(&b);
}

static void stops_when_told(void)
{
    struct bench b;
    u8 f[100];
    struct seen s;

    bench_run(&b, NULL);
    frame_fill(f, sizeof(f), 3);
    rig_put(&b.r, TX_BUF, f, sizeof(f));
    rx_fill(&b, 0, 20, false);
    machine_pause(b.r.m);
    tx_desc(&b, TX_BUF, sizeof(f), 0, EOP_ASK);
    kick(&b);
    from_far(&b, f, sizeof(f));
    rig_lane(&b.r);
    CHECK(!b.got && !rx_completed(&b, &s));
    machine_resume(b.r.m);
    rig_lane(&b.r);
    CHECK(b.got == 1 && rx_completed(&b, &s));
    for (int i = 0; i < 3; i++) { /* work in the rings and at the far end, then a reset */
        tx_desc(&b, TX_BUF, sizeof(f), 0, EOP_ASK);
        rig_store(&b.r, b.bar0 + VX_TX_PROD, 4, 0);
        from_far(&b, f, sizeof(f));
        if (i < 2)
            command(&b, i ? VX_SET_QUIESCE : VX_SET_RESET);
        else
            machine_reset(b.r.m, RESET_SYSTEM);
        rig_lane(&b.r);
        CHECK(b.got == 1 && !rx_completed(&b, &s));
        rig_pci_enable(&b.r, b.d);
        b.bar0 = rig_bar(b.d, 0);
        b.bar1 = rig_bar(b.d, 1);
        CHECK_EQ(activate(&b), 0);
        rx_fill(&b, 0, 20, false);
    }
    bench_stop(&b);
}

static void spreads_over_queues(void)
{
    struct bench b;
    u8 counts[2] = { 2, 4 }, f[200];
    u32 hit = 0;

    bench_start(&b, NULL);
    rig_msix_enable(&b.r, b.d, 4);
    shared_describe(&b);
    put32(&b, SHARED + VX_S_FEATURES, VX_F_RX_CSUM | VX_F_RSS);
    put32(&b, SHARED + VX_S_QUEUES_LEN, 6 * VX_Q_LEN);
    rig_put(&b.r, SHARED + VX_S_TX_COUNT, counts, 2);
    for (u32 i = 0; i < 6; i++)
        queue_describe(&b, QUEUES + i * VX_Q_LEN, 0x40000 + i * 0x4000, 0x41000 + i * 0x4000,
                       0x42000 + i * 0x4000, RING, 0, RX_COMPS, 1);
    CHECK_EQ(activate(&b), 0);
    for (u32 q = 0; q < 4; q++)
        for (u32 i = 0; i < RING; i++) {
            put64(&b, 0x48000 + q * 0x4000 + i * 16, RX_BUF + (q * RING + i) * BUF);
            put32(&b, 0x48000 + q * 0x4000 + i * 16 + 8, BUF | 1u << 31);
        }
    for (u32 i = 0; i < 28; i++) {
        u32 len = tcp_fill(f, 50);

        put_be16(f + 36, (u16)(1000 + i * 77));
        from_far(&b, f, len);
    }
    rig_lane(&b.r);
    for (u32 q = 0; q < 4; q++) {
        u64 at = 0x42000 + (2 + q) * 0x4000;

        hit += get32(&b, at + 12) >> 31;
        CHECK_EQ(get32(&b, at) >> 16 & 0x3ff, get32(&b, at + 12) >> 31 ? q : 0);
    }
    CHECK(hit >= 3);
    frame_fill(f, 100, 1);
    rig_put(&b.r, TX_BUF, f, 100);
    put64(&b, 0x44000, TX_BUF);
    put32(&b, 0x44000 + 12, EOP_ASK);
    put32(&b, 0x44000 + 8, 100 | 1 << 14);
    rig_store(&b.r, b.bar0 + VX_TX_PROD + 8, 4, 1);
    rig_lane(&b.r);
    CHECK_EQ(b.got, 1);
    bench_stop(&b);
}

int main(void)
{
    log_level_set(LOG_ERROR);
    CASE(says_what_it_is);
    CASE(sends_what_it_was_given);
    CASE(does_checksums_and_large_segments);
    CASE(tags_frames);
    CASE(receives_and_wraps);
    CASE(receives_across_buffers_and_rings);
    CASE(waits_for_buffers);
    CASE(listens_to_what_it_should);
    CASE(verifies_checksums);
    CASE(interrupts_by_wire);
    CASE(interrupts_by_one_message);
    CASE(tells_of_the_link);
    CASE(refuses_nonsense_at_activation);
    CASE(survives_hostile_rings);
    CASE(stops_when_told);
    CASE(spreads_over_queues);
    return check_end();
}
