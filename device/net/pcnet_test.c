/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PCnet: who it is, both widths of its ports, all styles of descriptors, in and out, nonsense. */
#include "base/bytes.h"
#include "device/net/pcnet_int.h"
#include "tests/check.h"
#include "tests/rig.h"

enum { BLOCK = 0x1000, TX = 0x2000, RX = 0x3000, OUT = 0x8000, IN = 0x10000, N = 4, BUF = 1536 };

static struct rig r;
static struct rig_ends ends;
static struct device *dev;
static u8 seen[4][PCNET_FRAME];
static u32 seen_len[4], nseen;
static const u8 mac[6] = { 0x00, 0x0c, 0x29, 0xaa, 0xbb, 0xcc };

static u32 far_deliver(void *arg, const struct net_frame *f, u32 n)
{
    for (u32 i = 0; i < n && nseen < LEN(seen); i++) {
        memcpy(seen[nseen], f[i].p, f[i].len);
        seen_len[nseen++] = f[i].len;
    }
    return n;
}
static const struct net_guest far_calls = { .deliver = far_deliver };

static u64 at(u32 off)
{
    return rig_bar(dev, 1) + off;
}
static u16 csr(u32 n)
{
    rig_store(&r, at(0x12), 2, n);
    return (u16)rig_load(&r, at(0x10), 2);
}
static void csr_set(u32 n, u16 val)
{
    rig_store(&r, at(0x12), 2, n);
    rig_store(&r, at(0x10), 2, val);
}
static void bcr_set(u32 n, u16 val)
{
    rig_store(&r, at(0x12), 2, n);
    rig_store(&r, at(0x16), 2, val);
}

/* A descriptor in the style; len: of its buffer; own: the card's. */
static void desc(u32 style, u32 ring, u32 i, u32 base, u32 len, u16 status)
{
    u8 d[16] = { 0 };

    if (style) {
        put_le32(d + (style == 3 ? 8 : 0), base);
        put_le16(d + 4, (u16)-len);
        put_le16(d + 6, status);
    } else {
        put_le16(d, (u16)base);
        d[2] = (u8)(base >> 16);
        d[3] = (u8)(status >> 8);
        put_le16(d + 4, (u16)-len);
    }
    rig_put(&r, ring + i * (style ? 16 : 8), d, style ? 16 : 8);
}
static u16 desc_status(u32 style, u32 ring, u32 i, u32 *count)
{
    u8 d[16];

    gmem_read(machine_ram(r.m), ring + i * (style ? 16 : 8), d, style ? 16 : 8);
    *count = le16(d + (style == 3 ? 0 : style ? 8 : 6)) & 0xfff;
    return style ? le16(d + 6) : (u16)(d[3] << 8);
}

static void begin(u32 style, u16 mode)
{
    u8 b[28] = { 0 };

    rig_start(&r, 4, 1);
    rig_ends_open(&r, &ends);
    net_attach(ends.far, &far_calls, NULL);
    dev = rig_device(&r, "pcnet", (const char *const[]){ "mac", "00:0c:29:aa:bb:cc", NULL },
                     ends.list);
    rig_pci_enable(&r, dev);
    nseen = 0;
    put_le16(b, mode);
    memcpy(b + (style ? 4 : 2), mac, 6);
    if (style) {
        b[2] = 2 << 4;
        b[3] = 2 << 4;
        put_le32(b + 20, RX);
        put_le32(b + 24, TX);
    } else {
        put_le32(b + 16, RX | 2u << 29);
        put_le32(b + 20, TX | 2u << 29);
    }
    rig_put(&r, BLOCK, b, sizeof(b));
    for (u32 i = 0; i < N; i++) {
        desc(style, TX, i, 0, 0, 0);
        desc(style, RX, i, IN + i * BUF, BUF, 0x8000);
    }
    bcr_set(20, (u16)style);
    csr_set(1, BLOCK);
    csr_set(2, 0);
    csr_set(0, CSR0_INIT);
    CHECK(csr(0) & CSR0_IDON);
    csr_set(0, CSR0_IDON | CSR0_STRT | CSR0_IENA);
    rig_lane(&r);
}
static void end(void)
{
    rig_ends_close(&r, &ends);
    rig_stop(&r);
}

static void who_it_is(void)
{
    begin(2, 0);
    CHECK_EQ(csr(88), 0x1003);
    CHECK_EQ(csr(89), 0x0262);
    CHECK_EQ(rig_load(&r, at(0), 4), 0xaa290c00);
    CHECK_EQ(rig_load(&r, at(14), 2), 0x5757);
    rig_load(&r, at(0x14), 2); /* reset */
    CHECK_EQ(csr(0), CSR0_STOP);
    rig_store(&r, at(0x10), 4, 0); /* from now 32 bits wide */
    rig_store(&r, at(0x14), 4, 88);
    CHECK_EQ(rig_load(&r, at(0x10), 4), 0x1003);
    end();
}

static void out_in(u32 style)
{
    u8 f[200];
    u32 count;

    for (u32 i = 0; i < sizeof(f); i++)
        f[i] = (u8)i;
    begin(style, 0);
    rig_put(&r, OUT, f, sizeof(f));
    desc(style, TX, 1, OUT + 100, 100, 0x8100); /* the end first: nothing may go before */
    desc(style, TX, 0, OUT, 100, 0x8200);
    csr_set(0, CSR0_TDMD | CSR0_IENA);
    rig_lane(&r);
    CHECK_EQ(nseen, 1);
    CHECK_EQ(seen_len[0], 200);
    CHECK(!memcmp(seen[0], f, 200));
    CHECK(!(desc_status(style, TX, 0, &count) & 0x8000));
    CHECK(!(desc_status(style, TX, 1, &count) & 0x8000));
    CHECK(csr(0) & CSR0_TINT);
    CHECK(csr(0) & CSR0_INTR);
    csr_set(0, CSR0_TINT | CSR0_IENA);
    CHECK(!(csr(0) & CSR0_INTR));

    memcpy(f, mac, 6);
    net_send(ends.far, &(struct iovec){ f, 100 }, 1);
    f[0] = 2; /* not for us */
    net_send(ends.far, &(struct iovec){ f, 100 }, 1);
    rig_lane(&r);
    CHECK_EQ(desc_status(style, RX, 0, &count), 0x0300);
    CHECK_EQ(count, 104);
    gmem_read(machine_ram(r.m), IN, f, 100);
    CHECK(!memcmp(f, mac, 6) && f[99] == 99);
    CHECK(desc_status(style, RX, 1, &count) & 0x8000);
    CHECK(csr(0) & CSR0_RINT);
    end();
}
static void style_of_the_lance(void)
{
    out_in(0);
}
static void style_2(void)
{
    out_in(2);
}
static void style_3(void)
{
    out_in(3);
}

static void a_full_ring_waits(void)
{
    u8 f[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    u32 count;

    begin(2, 0);
    for (u32 i = 0; i < N + 1; i++) {
        f[20] = (u8)i;
        net_send(ends.far, &(struct iovec){ f, 60 }, 1);
        rig_lane(&r);
    }
    CHECK(!(desc_status(2, RX, N - 1, &count) & 0x8000));
    desc(2, RX, 0, IN, BUF, 0x8000);
    csr_set(5, 1); /* suspended: it waits still */
    csr_set(5, 0);
    rig_lane(&r);
    CHECK(!(desc_status(2, RX, 0, &count) & 0x8000));
    gmem_read(machine_ram(r.m), IN, f, 60);
    CHECK_EQ(f[20], N);
    csr_set(0, CSR0_STOP);
    CHECK_EQ(csr(0), CSR0_STOP);
    end();
}

static void nonsense(void)
{
    u32 count;

    begin(2, 0);
    desc(2, TX, 0, 0xfffffff0, 100, 0x8300); /* not in RAM */
    desc(2, TX, 1, OUT, 4000, 0x8200);       /* too long with the next */
    desc(2, TX, 2, OUT, 4000, 0x8100);
    csr_set(0, CSR0_TDMD);
    rig_lane(&r);
    CHECK_EQ(nseen, 0);
    CHECK(desc_status(2, TX, 0, &count) & 0x4000);
    CHECK(desc_status(2, TX, 2, &count) & 0x4000);
    csr_set(0, CSR0_STOP);
    csr_set(2, 0xffff);
    csr_set(0, CSR0_INIT);
    CHECK(csr(0) & CSR0_MERR);
    CHECK(csr(0) & CSR0_ERR);
    end();
}

int main(void)
{
    CASE(who_it_is);
    CASE(style_of_the_lance);
    CASE(style_2);
    CASE(style_3);
    CASE(a_full_ring_waits);
    CASE(nonsense);
    return check_end();
}
