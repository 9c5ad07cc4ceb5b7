/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Joining segments: what frame_cut made comes together again, and nothing else does. */
#include "base/bytes.h"
#include "device/net/frame.h"
#include "tests/check.h"

enum { IP = 14, L4 = 34, PAYLOAD = 66, SEGMENTS = 64, ROOM = 2000 };

static u8 big[NET_FRAME_MAX], joined[NET_FRAME_MAX];
static u8 segment[SEGMENTS][ROOM];
static struct net_frame f[SEGMENTS];
static u32 n;

static void keep(void *arg, const struct iovec *v, int pieces)
{
    u32 len = 0;

    (void)arg;
    if (n == SEGMENTS)
        return;
    for (int i = 0; i < pieces; i++) {
        memcpy(segment[n] + len, v[i].iov_base, v[i].iov_len);
        len += (u32)v[i].iov_len;
    }
    f[n] = (struct net_frame){ segment[n], len };
    n++;
}

/* A large frame with so many bytes, and its segments of at most 1000; flags of the large one. */
static void make(u32 bytes, u8 flags)
{
    for (u32 i = 0; i < sizeof(big); i++)
        big[i] = (u8)(i * 7 + (i >> 8));
    put_be16(big + 12, 0x0800);
    big[IP] = 0x45;
    put_be16(big + IP + 2, (u16)(PAYLOAD - IP + bytes));
    put_be16(big + IP + 6, 0x4000);
    big[IP + 9] = 6;
    put_be32(big + L4 + 4, 0xffffff00);
    big[L4 + 12] = 0x80;
    big[L4 + 13] = flags;
    n = 0;
    CHECK_EQ(frame_cut(big, PAYLOAD + bytes, 1000, false, keep, NULL), 0);
}

/* After a change of a segment: its checksums are right again. */
static void mend(u32 i)
{
    struct frame_parts p = frame_parse(f[i].p, f[i].len);

    put_le16(segment[i] + IP + 10, 0);
    frame_checksum(segment[i], p.l4, IP, IP + 10);
    frame_unsummed(segment[i], &p, p.end - p.l4);
    frame_checksum(segment[i], p.end, p.l4, p.l4 + 16);
}

static u32 count(void)
{
    struct frame_joined j;

    return frame_join(f, n, joined, &j);
}

static void comes_together_again(void)
{
    struct frame_joined j;
    struct frame_verdict ok;
    struct frame_parts p;

    for (u32 bytes = 1001; bytes < 60000; bytes += 7777) {
        make(bytes, 0x18);
        CHECK_EQ(frame_join(f, n, joined, &j), n);
        CHECK(n > 1 && j.f.p == joined);
        CHECK_EQ(j.f.len, PAYLOAD + bytes);
        CHECK_EQ(j.mss, 1000);
        CHECK_EQ(j.l4, L4);
        CHECK_EQ(j.payload, PAYLOAD);
        CHECK(!memcmp(joined + PAYLOAD, big + PAYLOAD, bytes));
        CHECK_EQ(joined[L4 + 13], 0x18);
        CHECK_EQ(be32(joined + L4 + 4), 0xffffff00);
        p = frame_parse(joined, j.f.len);
        CHECK_EQ(p.end, j.f.len);
        CHECK(frame_checksum(joined, j.f.len, j.l4, j.l4 + 16));
        ok = frame_verify(joined, &p);
        CHECK(ok.ip_ok && ok.l4_ok);
    }
}

static void as_it_came(void)
{
    struct frame_joined j;

    make(3000, 0x10);
    CHECK_EQ(frame_join(f, 1, joined, &j), 1);
    CHECK(j.f.p == f[0].p && j.f.len == f[0].len && !j.mss);
    segment[0][PAYLOAD] ^= 1; /* a wrong checksum */
    CHECK_EQ(frame_join(f, n, joined, &j), 1);
    CHECK(j.f.p == f[0].p && !j.mss);
    make(3000, 0x10);
    segment[1][PAYLOAD] ^= 1;
    CHECK_EQ(count(), 1);
    make(3000, 0x10);
    segment[2][IP + 8] ^= 1;
    CHECK_EQ(count(), 2);
}

/* One byte of the third segment differs, its checksums being right. */
static void only_what_belongs_together(void)
{
    static const u8 apart[] = { 0,  6,      IP + 1, IP + 6, IP + 8,  IP + 12,    IP + 16,
                                L4, L4 + 2, L4 + 4, L4 + 8, L4 + 14, PAYLOAD - 1 };

    for (u32 i = 0; i < sizeof(apart); i++) {
        make(5000, 0x10);
        segment[2][apart[i]] ^= apart[i] == IP + 6 ? 0x40 : 1;
        mend(2);
        CHECK_EQ(count(), 2);
    }
    for (u8 flag = 1; flag; flag = (u8)(flag << 1)) {
        make(5000, 0x10);
        segment[2][L4 + 13] ^= flag;
        mend(2);
        CHECK_EQ(count(), flag == 0x08 ? 3 : 2); /* a push is the last one */
    }
    make(5000, 0x10);
    segment[2][IP + 4] ^= 0xff; /* the identification may be any */
    mend(2);
    CHECK_EQ(count(), 5);
    make(4500, 0x10);
    f[4] = f[1];
    CHECK_EQ(count(), 4);
    make(2500, 0x10); /* a short one is the last one */
    f[3] = f[2];
    n = 4;
    CHECK_EQ(count(), 3);
}

static void never_too_long(void)
{
    struct frame_joined j;
    u32 seq = 0, k;

    make(64000, 0x10);
    for (k = 0; k < SEGMENTS; k++) { /* 64 times 1400 bytes */
        f[k] = (struct net_frame){ segment[k], PAYLOAD + 1400 };
        memcpy(segment[k], segment[0], PAYLOAD);
        put_be16(segment[k] + IP + 2, PAYLOAD - IP + 1400);
        put_be32(segment[k] + L4 + 4, seq);
        seq += 1400;
        mend(k);
    }
    n = SEGMENTS;
    k = frame_join(f, n, joined, &j);
    CHECK_EQ(k, (0xffff - (PAYLOAD - IP)) / 1400);
    CHECK_EQ(be16(joined + IP + 2), PAYLOAD - IP + 1400 * k);
}

int main(void)
{
    CASE(comes_together_again);
    CASE(as_it_came);
    CASE(only_what_belongs_together);
    CASE(never_too_long);
    return check_end();
}
