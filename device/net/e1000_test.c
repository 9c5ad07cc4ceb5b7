/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 82540EM: EEPROM by wires, PHY, frames out with offloads, frames in with filters, nonsense. */
#include "base/bytes.h"
#include "device/net/frame.h"
#include "tests/check.h"
#include "tests/rig.h"

enum { TX = 0x10000, RX = 0x20000, BUF = 0x40000, OUT = 0x80000, N = 8, RX_N = 16 };

static struct rig r;
static struct rig_ends ends;
static struct device *dev;
static u8 seen[8][70000];
static u32 seen_len[8], nseen;

static u32 far_deliver(void *arg, const struct net_frame *f, u32 n)
{
    (void)arg;
    for (u32 i = 0; i < n && nseen < LEN(seen); i++) {
        memcpy(seen[nseen], f[i].p, f[i].len);
        seen_len[nseen++] = f[i].len;
    }
    return n;
}
static const struct net_guest far_calls = { .deliver = far_deliver };

static u32 get(u32 reg)
{
    return (u32)rig_load(&r, rig_bar(dev, 0) + reg, 4);
}
static void set(u32 reg, u32 val)
{
    rig_store(&r, rig_bar(dev, 0) + reg, 4, val);
}

static void begin(void)
{
    rig_start(&r, 4, 1);
    rig_ends_open(&r, &ends);
    net_attach(ends.far, &far_calls, NULL);
    dev = rig_device(&r, "e1000", (const char *const[]){ "mac", "00:0c:29:aa:bb:cc", NULL },
                     ends.list);
    rig_pci_enable(&r, dev);
    nseen = 0;
    set(0x3800, TX);
    set(0x3808, N * 16);
    set(0x400, 2);
    set(0x2800, RX);
    set(0x2808, RX_N * 16);
    for (u32 i = 0; i < RX_N; i++) {
        u8 d[16] = { 0 };

        put_le64(d, BUF + i * 2048);
        rig_put(&r, RX + i * 16, d, sizeof(d));
    }
    set(0x2818, RX_N - 1);
    set(0x100, 1 << 1 | 1 << 15);
    set(0xd0, ~0u);
    rig_lane(&r);
}

static void end(void)
{
    rig_ends_close(&r, &ends);
    rig_stop(&r);
}

/* The EEPROM's word, bit by bit as drivers do. */
static u16 eeprom(u32 address)
{
    u32 command = 6 << 6 | address, v = 0;

    set(0x10, 2);
    for (i32 i = 8; i >= 0; i--) {
        u32 di = command >> i & 1 ? 4 : 0;

        set(0x10, 2 | di);
        set(0x10, 3 | di);
        set(0x10, 2 | di);
    }
    for (u32 i = 0; i < 16; i++) {
        set(0x10, 3);
        v = v << 1 | (get(0x10) >> 3 & 1);
        set(0x10, 2);
    }
    set(0x10, 0);
    return (u16)v;
}

static void who_it_is(void)
{
    u16 sum = 0;

    begin();
    for (u32 i = 0; i < 64; i++)
        sum = (u16)(sum + eeprom(i));
    CHECK_EQ(sum, 0xbaba);
    CHECK_EQ(eeprom(0), 0x0c00);
    CHECK_EQ(eeprom(2), 0xccbb);
    set(0x14, 1 | 1 << 8);
    CHECK_EQ(get(0x14), 0xaa290010);
    set(0x20, 2u << 26 | 1 << 21 | 2 << 16); /* MDIC: the PHY's name */
    CHECK_EQ(get(0x20) & 0x1000ffff, 0x10000141);
    set(0x20, 2u << 26 | 1 << 21 | 1 << 16);
    CHECK(get(0x20) & 4); /* link */
    CHECK(get(8) & 2);
    net_link_set(ends.net, false);
    rig_lane(&r);
    CHECK(!(get(8) & 2));
    CHECK(get(0xc0) & 4);
    set(0, 1 << 26); /* reset */
    CHECK_EQ(get(0x100), 0);
    CHECK_EQ(get(0x5400), 0xaa290c00);
    end();
}

static u32 tail;

static void tx(u64 addr, u32 dw2, u32 dw3)
{
    u8 d[16];

    put_le64(d, addr);
    put_le32(d + 8, dw2);
    put_le32(d + 12, dw3);
    rig_put(&r, TX + tail % N * 16, d, sizeof(d));
    tail++;
}

static void go(void)
{
    set(0x3818, tail % N);
    rig_lane(&r);
}

/* An IPv4 TCP frame with n bytes of payload and the pseudo header's sum as its checksum. */
static u32 tcp(u8 *f, u32 n)
{
    u32 sum = 6 + 20 + n;

    memset(f, 0, 54);
    memcpy(f, "\x52\x54\0\1\2\3\0\x0c\x29\xaa\xbb\xcc\x08\0\x45", 15);
    put_be16(f + 16, (u16)(40 + n));
    f[22] = 64;
    f[23] = 6;
    put_be32(f + 26, 0x0a00020f);
    put_be32(f + 30, 0x0a000202);
    put_be16(f + 34, 1000);
    f[46] = 0x50;
    f[47] = 0x10;
    for (u32 i = 0; i < n; i++)
        f[54 + i] = (u8)(i * 7 + 3);
    sum += 0x0a00 + 0x020f + 0x0a00 + 0x0202;
    put_be16(f + 50, (u16)(sum % 0xffff));
    return 54 + n;
}

static bool right(const u8 *f, u32 len)
{
    struct frame_parts p = frame_parse(f, len);
    struct frame_verdict v = frame_verify(f, &p);

    return v.ip_ok && v.l4_ok;
}

static void out(void)
{
    static u8 f[70000];
    u32 len;
    u8 d[16];

    begin();
    tail = 0;
    len = tcp(f, 100);
    rig_put(&r, OUT, f, len);
    tx(OUT, 20 | 8u << 24, 0); /* legacy, two pieces, status wanted */
    tx(OUT + 20, (len - 20) | 9u << 24, 0);
    go();
    CHECK_EQ(nseen, 1);
    CHECK_EQ(seen_len[0], len);
    CHECK(!memcmp(seen[0], f, len));
    rig_get(&r, TX + 16, d, 16);
    CHECK_EQ(d[12], 1);
    CHECK_EQ(get(0x3810), 2);
    CHECK_EQ(get(0xc0), 3);
    CHECK_EQ(get(0xc0), 0);                                                  /* read once */
    tx(14 | 24 << 8 | 33u << 16 | (u64)(34 | 50 << 8) << 32, 0x20000000, 0); /* context */
    tx(OUT, len | 1 << 20 | 0x29u << 24, 3 << 8);                            /* both checksums */
    go();
    CHECK_EQ(nseen, 2);
    CHECK(right(seen[1], seen_len[1]));
    len = tcp(f, 3000); /* segments: the length is left out, as drivers do */
    put_be16(f + 16, 0);
    put_be16(f + 50, (u16)((6 + 0x0a00 + 0x020f + 0x0a00 + 0x0202) % 0xffff));
    rig_put(&r, OUT, f, len);
    tx(14 | 24 << 8 | 33u << 16 | (u64)(34 | 50 << 8) << 32, 3000 | 0x27000000,
       54 << 8 | 1460u << 16);
    tx(OUT, len | 1 << 20 | 0x2du << 24, 3 << 8);
    nseen = 0;
    go();
    CHECK_EQ(nseen, 1); /* a cable takes it in one piece, made right */
    CHECK_EQ(seen_len[0], len);
    CHECK_EQ(be16(seen[0] + 16), 3040);
    CHECK(right(seen[0], seen_len[0]));
    set(0, 1 << 30); /* VLAN tags */
    rig_put(&r, OUT, f, 60);
    tx(OUT, 60 | 0x49u << 24, 0x0123u << 16);
    nseen = 0;
    go();
    CHECK_EQ(seen_len[0], 64);
    CHECK_EQ(be32(seen[0] + 12), 0x81000123);
    end();
}

static void arrive(const u8 *f, u32 len)
{
    net_send(ends.far, &(struct iovec){ (u8 *)(uintptr_t)f, len }, 1);
    rig_lane(&r);
}

static void in(void)
{
    static u8 f[5000];
    u8 d[16], got[2048];
    u32 len;

    begin();
    len = tcp(f, 100);
    memcpy(f, "\0\x0c\x29\xaa\xbb\xcc", 6);
    frame_checksum(f, 34, 14, 24);
    frame_checksum(f, len, 34, 50);
    set(0x5000, 3 << 8);
    arrive(f, len);
    rig_get(&r, RX, d, 16);
    CHECK_EQ(le16(d + 8), len + 4);
    CHECK_EQ(d[12], 0x63); /* there, whole, both checksums are right */
    rig_get(&r, BUF, got, len);
    CHECK(!memcmp(got, f, len));
    CHECK_EQ(get(0x2810), 1);
    CHECK(get(0xc0) & 128);
    f[0] = 2; /* somebody else's */
    arrive(f, len);
    CHECK_EQ(get(0x2810), 1);
    memset(f, 0xff, 6);
    arrive(f, len);
    CHECK_EQ(get(0x2810), 2);
    memcpy(f, "\1\0\x5e\0\0\1", 6); /* multicast: by the table */
    arrive(f, len);
    CHECK_EQ(get(0x2810), 2);
    set(0x5200 + (0x010 >> 5) * 4, 1u << (0x010 & 31));
    arrive(f, len);
    CHECK_EQ(get(0x2810), 3);
    memcpy(f, "\0\x0c\x29\xaa\xbb\xcc", 6);
    arrive(f, 3000); /* too long, then allowed, over two buffers */
    CHECK_EQ(get(0x2810), 3);
    set(0x100, get(0x100) | 1 << 5);
    arrive(f, 3000);
    CHECK_EQ(get(0x2810), 5);
    rig_get(&r, RX + 3 * 16, d, 16);
    CHECK_EQ(d[12], 1);
    CHECK_EQ(le16(d + 8), 2048);
    rig_get(&r, RX + 4 * 16, d, 16);
    CHECK_EQ(d[12] & 3, 3);
    CHECK_EQ(le16(d + 8), 3004 - 2048);
    get(0xc0);
    set(0x2818, 5); /* full: it waits, and comes when there is room */
    arrive(f, 60);
    CHECK_EQ(get(0x2810), 5);
    CHECK(get(0xc0) & 64);
    set(0x2818, 8);
    rig_lane(&r);
    CHECK_EQ(get(0x2810), 6);
    end();
}

static void nonsense(void)
{
    u8 f[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    begin();
    tail = 0;
    tx(1ull << 50, 1000 | 9u << 24, 0); /* not in RAM */
    tx(OUT, 0xffff | 8u << 24, 0);
    tx(OUT, 0xffff | 9u << 24, 0); /* too long together */
    tx(OUT, 5 | 9u << 24, 0);      /* too short */
    tx(OUT, 100 | 1 << 20 | 0x2du << 24, 3 << 8);
    go();
    CHECK_EQ(nseen, 0);
    CHECK_EQ(get(0x3810), 5);
    set(0x3810, 0xffff); /* heads and tails outside */
    set(0x3818, 3);
    rig_lane(&r);
    set(0x3800, 0xfffffff0);
    set(0x3804, 0xffffffff);
    set(0x3810, 0);
    set(0x3818, 1);
    rig_lane(&r);
    CHECK_EQ(get(0x3810), 0);
    set(0x2810, 500);
    arrive(f, 60);
    set(0x2808, 0);
    arrive(f, 60);
    set(0x2808, RX_N * 16);
    set(0x2804, 0xffffffff);
    set(0x2810, 0);
    set(0x2818, 5);
    rig_lane(&r);
    end();
}

int main(void)
{
    CASE(who_it_is);
    CASE(out);
    CASE(in);
    CASE(nonsense);
    return check_end();
}
