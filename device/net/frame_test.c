/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "device/net/frame.h"
#include "tests/check.h"
#include <errno.h>

static void addresses(void)
{
    struct err e = { 0 };
    u8 mac[6];

    CHECK_EQ(frame_mac_parse(mac, "00:0C:29:ab:cd:ef", &e), 0);
    CHECK(!memcmp(mac, "\x00\x0c\x29\xab\xcd\xef", 6));
    CHECK_EQ(frame_mac_parse(mac, "01:0c:29:ab:cd:ef", &e), (u64)-EINVAL);
    CHECK_EQ(frame_mac_parse(mac, "00:0c:29:ab:cd", &e), (u64)-EINVAL);
    CHECK_EQ(frame_mac_parse(mac, "00:0c:29:ab:cd:ef:", &e), (u64)-EINVAL);
    CHECK_EQ(frame_mac_parse(mac, "", &e), (u64)-EINVAL);
}

/* A frame whose checksums were made by hand: a UDP datagram "hi". */
static const u8 datagram[] = {
    0x52, 0x54, 0,  0x12, 0x34, 0x56, 2,    0,    0,   0,   0,    1,    0x08, 0x00, /* Ethernet */
    0x45, 0,    0,  30,   0,    1,    0,    0,    64,  17,  0x62, 0xbe, 10,   0,
    2,    2,    10, 0,    2,    15,                         /* IPv4 */
    0,    7,    0,  9,    0,    10,   0x7f, 0x50, 'h', 'i', /* UDP */
};

static void known_checksums(void)
{
    struct frame_parts p = frame_parse(datagram, sizeof(datagram));
    struct frame_verdict v = frame_verify(datagram, &p);
    u8 f[sizeof(datagram)];

    CHECK(p.v4 && !p.v6 && !p.fragment && !p.tagged);
    CHECK_EQ(p.ip, 14);
    CHECK_EQ(p.l4, 34);
    CHECK_EQ(p.payload, 42);
    CHECK_EQ(p.protocol, 17);
    CHECK(v.ip_ok);
    CHECK(v.l4_ok);
    for (u32 i = 14; i < sizeof(f); i++) {
        memcpy(f, datagram, sizeof(f));
        f[i] ^= 0x10;
        p = frame_parse(f, sizeof(f));
        v = frame_verify(f, &p);
        CHECK(!v.ip_ok || !v.l4_ok);
    }
    memcpy(f, datagram, sizeof(f));
    put_be16(f + 40, (u16)(0x0a00 + 0x0202 + 0x0a00 + 0x020f + 17 + 10)); /* pseudo */
    CHECK(frame_checksum(f, sizeof(f), 34, 40));
    CHECK(!memcmp(f, datagram, sizeof(f)));
    CHECK(!frame_checksum(f, sizeof(f), 34, sizeof(f) - 1));
    CHECK(!frame_checksum(f, sizeof(f), sizeof(f) + 1, 40));
    CHECK(!frame_checksum(f, sizeof(f), 34, 30));
    CHECK(!frame_checksum(f, 1, 0, 0));
}

struct pieces {
    u32 n, mss, payload, next_seq, bad;
    u16 id;
    const u8 *from;
    bool v6, flags_right;
};

static void piece_check(void *arg, const struct iovec *v, int n)
{
    struct pieces *s = arg;
    u8 f[2000];
    u32 len = 0;
    struct frame_parts p;
    struct frame_verdict ok;

    for (int i = 0; i < n; i++) {
        memcpy(f + len, v[i].iov_base, v[i].iov_len);
        len += (u32)v[i].iov_len;
    }
    p = frame_parse(f, len);
    ok = frame_verify(f, &p);
    s->bad += !ok.l4_ok || (!ok.ip_ok && !s->v6) || p.end != len;
    s->bad += be32(f + p.l4 + 4) != s->next_seq || len - p.payload > s->mss;
    s->bad += memcmp(f + p.payload, s->from + s->payload, len - p.payload) != 0;
    if (!s->v6)
        s->bad += be16(f + p.ip + 4) != s->id++;
    s->flags_right = f[p.l4 + 13] & 1; /* FIN: on the last one only */
    s->next_seq += len - p.payload;
    s->payload += len - p.payload;
    s->n++;
}

static void large_segments(void)
{
    static u8 f[70000];

    for (int v6 = 0; v6 < 2; v6++) {
        struct pieces s = { .mss = 1400, .next_seq = 0xfffffff0, .id = 0xffff, .v6 = v6 };
        u32 l4 = v6 ? 54 : 34, len = l4 + 32 + 9999;

        for (u32 i = 0; i < sizeof(f); i++)
            f[i] = (u8)(i * 7 + (i >> 8));
        memset(f + 12, 0, l4 + 20);
        put_be16(f + 12, v6 ? 0x86dd : 0x0800);
        f[14] = v6 ? 0x60 : 0x45;
        put_be16(f + (v6 ? 18 : 16), (u16)(len - (v6 ? 54 : 14)));
        f[v6 ? 20 : 23] = 6;
        put_be16(f + 18, v6 ? (u16)(len - 54) : 0xffff);
        put_be32(f + l4 + 4, s.next_seq);
        f[l4 + 12] = 0x80;
        f[l4 + 13] = 0x11;
        s.from = f + l4 + 32;
        CHECK_EQ(frame_cut(f, len, 1400, false, piece_check, &s), 0);
        CHECK_EQ(s.n, 8);
        CHECK_EQ(s.payload, 9999);
        CHECK_EQ(s.bad, 0);
        CHECK(s.flags_right);
        CHECK_EQ(frame_cut(f, len, 0, false, piece_check, &s), (u64)-EINVAL);
        CHECK_EQ(frame_cut(f, l4 + 31, 1400, false, piece_check, &s), (u64)-EINVAL);
    }
    memcpy(f, datagram, sizeof(datagram));
    CHECK_EQ(frame_cut(f, sizeof(datagram), 1400, false, piece_check, NULL), (u64)-EINVAL);
}

static void ignore(void *arg, const struct iovec *v, int n)
{
    u32 *sum = arg;

    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < v[i].iov_len; k++)
            *sum += ((const u8 *)v[i].iov_base)[k];
}

/* Bytes that almost are frames: nothing is read or written outside (the sanitizer tells). */
static void any_bytes(void)
{
    u32 seed = 1, sum = 0;

    for (int i = 0; i < 50000; i++) {
        u8 *f;
        u32 len = (seed = seed * 1103515245 + 12345) / 65536 % 120;
        struct frame_parts p;
        struct frame_verdict v;

        f = malloc(len + 1);
        for (u32 k = 0; k < len; k++) {
            seed = seed * 1103515245 + 12345;
            f[k] = k < sizeof(datagram) && seed >> 16 & 7 ? datagram[k] : (u8)(seed >> 20);
        }
        if (len > 23 && seed & 1 << 24)
            f[23] = 6;
        p = frame_parse(f, len);
        v = frame_verify(f, &p);
        sum += v.ip_ok + v.l4_ok;
        frame_checksum(f, len, seed >> 8 & 127, seed >> 16 & 127);
        frame_cut(f, len, 1 + (seed >> 9 & 31), seed & 1 << 25, ignore, &sum);
        CHECK(p.end <= len && p.l4 <= len && p.payload <= len);
        free(f);
    }
    CHECK(sum != 0);
}

int main(void)
{
    CASE(addresses);
    CASE(known_checksums);
    CASE(large_segments);
    CASE(any_bytes);
    return check_end();
}
