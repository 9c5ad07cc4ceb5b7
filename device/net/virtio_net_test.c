/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "base/log.h"
#include "device/net/frame.h"
#include "tests/check.h"
#include "tests/virtio_driver.h"

enum { RX, TX, CTRL, RX_BUF = 0x200000, TX_BUF = 0x300000, CTRL_BUF = 0x400000 };
#define MERGE (1ull << 15)
#define GUEST_CSUM (1ull << 1)
#define ALL_FEATURES 0xffffffffull

struct bench {
    struct rig r;
    struct rig_ends ends;
    struct device *d;
    struct vdriver v;
    u32 got, last_len, hdr;
    u8 last[NET_FRAME_MAX];
};

static u32 far_deliver(void *arg, const struct net_frame *f, u32 n)
{
    struct bench *b = arg;

    for (u32 i = 0; i < n; i++, b->got++) {
        memcpy(b->last, f[i].p, f[i].len);
        b->last_len = f[i].len;
    }
    return n;
}

static const struct net_guest far_calls = { .deliver = far_deliver };

static void bench_start(struct bench *b, bool legacy, u64 features)
{
    static const char *const settings[] = { "mac", "52:54:00:aa:bb:cc", NULL };

    memset(b, 0, sizeof(*b));
    rig_start(&b->r, 8, 1);
    rig_ends_open(&b->r, &b->ends);
    net_attach(b->ends.far, &far_calls, b);
    b->d = rig_device(&b->r, "virtio_net", settings, b->ends.list);
    rig_pci_enable(&b->r, b->d);
    rig_msix_enable(&b->r, b->d, 4);
    vdriver_start(&b->v, &b->r, b->d, legacy, features, 3);
    b->hdr = legacy && !(b->v.features & MERGE) ? 10 : 12;
}

static void bench_stop(struct bench *b)
{
    rig_ends_close(&b->r, &b->ends);
    rig_stop(&b->r);
}

static void frame_fill(u8 *f, u32 len, u32 seed)
{
    for (u32 i = 0; i < len; i++)
        f[i] = (u8)(seed * 31 + i * 7 + (i >> 8));
    memcpy(f, "\x52\x54\x00\xaa\xbb\xcc\x02\0\0\0\0\1\x88\xb5", 14);
}

static void from_far(struct bench *b, const u8 *f, u32 len)
{
    net_send(b->ends.far, &(struct iovec){ (u8 *)(uintptr_t)f, len }, 1);
}

static i64 send(struct bench *b, const u8 *h, const u8 *f, u32 len, u32 cut)
{
    struct vbuf v[3] = { { TX_BUF, b->hdr, false },
                         { TX_BUF + 16, cut, false },
                         { TX_BUF + 16 + cut, len - cut, false } };

    rig_put(&b->r, TX_BUF, h, b->hdr);
    rig_put(&b->r, TX_BUF + 16, f, len);
    return vdriver_do(&b->v, TX, v, 3);
}

static void frames_out(void)
{
    static const u8 none[12];

    for (int legacy = 0; legacy < 2; legacy++) {
        struct bench b;
        u8 f[1514];

        bench_start(&b, legacy, legacy ? 0 : ALL_FEATURES);
        CHECK_EQ(vdriver_config(&b.v, 0, 4), 0xaa005452);
        for (u32 i = 0; i < 400; i++) {
            u32 len = 60 + i * 11 % 1400;

            frame_fill(f, len, i);
            CHECK_EQ(send(&b, none, f, len, i % 50 + 1), 0);
            CHECK_EQ(b.got, i + 1);
            CHECK_EQ(b.last_len, len);
            CHECK(!memcmp(b.last, f, len));
        }
        bench_stop(&b);
    }
}

static void work_on_frames(void)
{
    static u8 f[9000];
    u8 h[12] = { 1 };
    struct frame_parts p;
    struct frame_verdict v;
    struct bench b;
    u32 len = 54 + 8000;

    bench_start(&b, false, ALL_FEATURES);
    frame_fill(f, len, 1);
    memset(f + 12, 0, 42);
    put_be16(f + 12, 0x0800);
    f[14] = 0x45;
    put_be16(f + 16, (u16)(len - 14));
    f[23] = 6;
    f[46] = 0x50;
    h[1] = 1;
    put_le16(h + 2, 54);
    put_le16(h + 4, 1448);
    put_le16(h + 6, 34);
    put_le16(h + 8, 16);
    CHECK_EQ(send(&b, h, f, len, 54), 0);
    CHECK_EQ(b.got, 1);
    p = frame_parse(b.last, b.last_len);
    v = frame_verify(b.last, &p);
    CHECK(v.ip_ok && v.l4_ok);
    CHECK(!memcmp(b.last + 54, f + 54, 8000));
    h[1] = 0; /* the same as a checksum only, its field holds the pseudo header's sum */
    memcpy(f, b.last, 54);
    put_be16(f + 50, (u16)(6 + len - 34));
    CHECK_EQ(send(&b, h, f, len, 54), 0);
    CHECK_EQ(b.got, 2);
    CHECK(!memcmp(b.last, b.last, 54));
    v = frame_verify(b.last, &p);
    CHECK(v.ip_ok && v.l4_ok);
    put_le16(h + 6, 60000); /* nonsense: that frame is lost, nothing else */
    CHECK_EQ(send(&b, h, f, len, 54), 0);
    h[1] = 3;
    CHECK_EQ(send(&b, h, f, len, 54), 0);
    h[1] = 1;
    f[23] = 17;
    CHECK_EQ(send(&b, h, f, len, 54), 0);
    CHECK_EQ(b.got, 2);
    CHECK_EQ(vdriver_status(&b.v), 15);
    bench_stop(&b);
}

static void frames_in(void)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        struct bench b;
        u8 f[1514], back[1600];
        u32 head, len;

        bench_start(&b, legacy, legacy ? 0 : ALL_FEATURES);
        for (u32 i = 0; i < 400; i++) {
            u32 n = 60 + i * 11 % 1400;
            struct vbuf v[2] = { { RX_BUF, b.hdr, true }, { RX_BUF + b.hdr, 1588, true } };

            frame_fill(f, n, i);
            from_far(&b, f, n);
            if (i & 1)
                rig_lane(&b.r); /* sometimes the frame is first, sometimes the buffer */
            vdriver_add(&b.v, RX, v, 2, false);
            vdriver_kick(&b.v, RX);
            CHECK(vdriver_used(&b.v, RX, &head, &len));
            CHECK_EQ(len, b.hdr + n);
            rig_get(&b.r, RX_BUF, back, len);
            CHECK(!memcmp(back + b.hdr, f, n));
            CHECK(b.hdr < 12 || le16(back + 10) == 1);
        }
        CHECK_EQ(rig_msi_seen(&b.r, 0xfee00000, RX), 256);
        bench_stop(&b);
    }
}

static void frames_in_many_buffers(void)
{
    struct bench b;
    u8 f[1500], back[1600] = { 0 };
    u32 head, len, at = 0;

    bench_start(&b, false, MERGE);
    frame_fill(f, sizeof(f), 1);
    from_far(&b, f, sizeof(f));
    for (u32 i = 0; i < 4; i++) {
        struct vbuf v = { RX_BUF + 512 * i, 400, true };

        CHECK(!vdriver_used(&b.v, RX, &head, &len)); /* all or nothing */
        vdriver_add(&b.v, RX, &v, 1, false);
        vdriver_kick(&b.v, RX);
    }
    for (u32 i = 0; i < 4; i++) {
        CHECK(vdriver_used(&b.v, RX, &head, &len));
        CHECK_EQ(len, i < 3 ? 400 : 1512 - 1200);
        rig_get(&b.r, RX_BUF + 512 * i, back + at, len);
        at += len;
    }
    CHECK_EQ(le16(back + 10), 4);
    CHECK(!memcmp(back + 12, f, sizeof(f)));
    bench_stop(&b);
}

static u8 control(struct bench *b, u8 class, u8 cmd, const void *p, u32 n)
{
    struct vbuf v[2] = { { CTRL_BUF, 2 + n, false }, { CTRL_BUF + 1000, 1, true } };
    u8 c[2] = { class, cmd }, ack;

    rig_put(&b->r, CTRL_BUF, c, 2);
    rig_put(&b->r, CTRL_BUF + 2, p, n);
    CHECK_EQ(vdriver_do(&b->v, CTRL, v, 2), 1);
    rig_get(&b->r, CTRL_BUF + 1000, &ack, 1);
    return ack;
}

static bool heard(struct bench *b, const char *to)
{
    struct vbuf v = { RX_BUF, 1600, true };
    u32 head, len;
    u8 f[60];

    frame_fill(f, sizeof(f), 0);
    memcpy(f, to, 6);
    vdriver_add(&b->v, RX, &v, 1, false);
    from_far(b, f, sizeof(f));
    rig_lane(&b->r);
    return vdriver_used(&b->v, RX, &head, &len);
}

static void control_queue(void)
{
    static const char *me = "\x52\x54\x00\xaa\xbb\xcc", *all = "\xff\xff\xff\xff\xff\xff",
                      *group = "\x33\x33\0\0\0\1", *other = "\x02\x50\x56\x12\x34\x57";
    u8 table[14 + 4] = { 1, 0, 0, 0 }, on = 1, off = 0;
    struct bench b;

    bench_start(&b, false, ALL_FEATURES);
    CHECK(heard(&b, me) && heard(&b, all) && !heard(&b, group) && !heard(&b, other));
    CHECK_EQ(control(&b, 0, 0, &on, 1), 0);
    CHECK(heard(&b, other) && heard(&b, group));
    CHECK_EQ(control(&b, 0, 0, &off, 1), 0);
    CHECK_EQ(control(&b, 0, 5, &on, 1), 0);
    CHECK(!heard(&b, all));
    memcpy(table + 4, other, 6);
    CHECK_EQ(control(&b, 1, 0, table, 14), 0);
    CHECK(heard(&b, other) && !heard(&b, group));
    CHECK_EQ(control(&b, 1, 1, group + 0, 6), 0);
    CHECK_EQ(vdriver_config(&b.v, 0, 2), 0x3333);
    CHECK_EQ(control(&b, 0, 77, &on, 1), 1);
    CHECK_EQ(control(&b, 9, 0, &on, 1), 1);
    put_le32(table, 0xffffffff);
    CHECK_EQ(control(&b, 1, 0, table, 14), 1);
    vdriver_reset(&b.v);
    vdriver_start(&b.v, &b.r, b.d, false, ALL_FEATURES, 3);
    CHECK(heard(&b, me) && !heard(&b, other));
    bench_stop(&b);
}

static void link_and_checksums_are_told(void)
{
    struct vbuf v = { RX_BUF, 1600, true };
    struct bench b;
    u32 head, len;
    u8 f[60], h[12];

    bench_start(&b, false, ALL_FEATURES);
    CHECK_EQ(vdriver_config(&b.v, 6, 2), 1);
    net_link_set(b.ends.net, false);
    rig_lane(&b.r);
    CHECK_EQ(vdriver_config(&b.v, 6, 2), 0);
    CHECK_EQ(rig_msi_seen(&b.r, 0xfee00000, 3), 1);
    net_link_set(b.ends.net, true);
    rig_lane(&b.r);
    frame_fill(f, sizeof(f), 1);
    memset(f + 12, 0, 48);
    put_be16(f + 12, 0x0800);
    f[14] = 0x45;
    put_be16(f + 16, 46);
    f[23] = 17;
    put_be16(f + 38, 26);
    CHECK(frame_checksum(f, 34, 14, 24));
    put_be16(f + 40, 17 + 26); /* the pseudo header's sum: all addresses are 0 */
    CHECK(frame_checksum(f, 60, 34, 40));
    for (u32 i = 0; i < 2; i++) {
        f[59] = (u8)i;
        vdriver_add(&b.v, RX, &v, 1, false);
        from_far(&b, f, sizeof(f));
        rig_lane(&b.r);
        CHECK(vdriver_used(&b.v, RX, &head, &len));
        rig_get(&b.r, RX_BUF, h, 12);
        CHECK_EQ(h[0], i ? 0 : 2);
    }
    bench_stop(&b);
}

int main(void)
{
    log_level_set(LOG_ERROR);
    CASE(frames_out);
    CASE(work_on_frames);
    CASE(frames_in);
    CASE(frames_in_many_buffers);
    CASE(control_queue);
    CASE(link_and_checksums_are_told);
    return check_end();
}
