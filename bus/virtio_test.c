/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Transport and rings, with the entropy source as the device: it answers every buffer. */
#include "base/bytes.h"
#include "base/log.h"
#include "bus/virtio.h"
#include "tests/check.h"
#include "tests/virtio_driver.h"

enum { BUF = 0x200000 };

struct bench {
    struct rig r;
    struct device *d;
    struct vdriver v;
};

static void bench_start(struct bench *b, bool legacy, u64 features)
{
    rig_start(&b->r, 8, 1);
    b->d = rig_device(&b->r, "virtio_rng", NULL, NULL);
    rig_pci_enable(&b->r, b->d);
    rig_msix_enable(&b->r, b->d, 2);
    vdriver_start(&b->v, &b->r, b->d, legacy, features, 1);
}

static bool is_filled(struct bench *b, u64 at, u32 len)
{
    u8 p[256] = { 0 };
    u32 set = 0;

    rig_get(&b->r, at, p, len);
    for (u32 i = 0; i < len; i++)
        set += p[i] != 0;
    return set > len / 2;
}

static void clear(struct bench *b)
{
    static const u8 zero[4096];

    rig_put(&b->r, BUF, zero, sizeof(zero));
}

static void describes_itself(void)
{
    static const char *const modern[] = { "modern", "true", NULL };
    struct bench b;
    struct device *m;
    u32 seen = 0, at;

    bench_start(&b, false, 0);
    CHECK_EQ(rig_pci_get(b.d, 0, 4), 0x10051af4);
    CHECK_EQ(rig_pci_get(b.d, 8, 1), 0);
    CHECK_EQ(rig_pci_get(b.d, 0x2e, 2), 4);
    for (at = rig_pci_get(b.d, 0x34, 1); at; at = rig_pci_get(b.d, at + 1, 1))
        if (rig_pci_get(b.d, at, 1) == 9) {
            seen |= 1u << rig_pci_get(b.d, at + 3, 1);
            CHECK_EQ(rig_pci_get(b.d, at + 4, 1), 4);
        }
    CHECK_EQ(seen, 0x1e);
    CHECK_EQ(vdriver_load(&b.v, 18, 2), 1);
    CHECK_EQ(vdriver_status(&b.v), 15);
    rig_stop(&b.r);
    rig_start(&b.r, 8, 1);
    m = rig_device(&b.r, "virtio_rng", modern, NULL);
    CHECK_EQ(rig_pci_get(m, 0, 4), 0x10441af4);
    CHECK_EQ(rig_pci_get(m, 8, 1), 1);
    CHECK_EQ(rig_pci_get(m, 0x10, 4), 0);
    rig_stop(&b.r);
}

static void features_are_agreed_on(void)
{
    struct bench b;

    bench_start(&b, false, 0);
    vdriver_reset(&b.v);
    CHECK_EQ(vdriver_status(&b.v), 0);
    vdriver_store(&b.v, 20, 1, 3);
    vdriver_store(&b.v, 20, 1, 11);
    CHECK_EQ(vdriver_status(&b.v), 3); /* not without VERSION_1 */
    vdriver_store(&b.v, 8, 4, 1);
    vdriver_store(&b.v, 12, 4, 3);
    vdriver_store(&b.v, 20, 1, 11);
    CHECK_EQ(vdriver_status(&b.v), 3); /* bit 33 was not offered */
    vdriver_store(&b.v, 12, 4, 1);
    vdriver_store(&b.v, 20, 1, 11);
    CHECK_EQ(vdriver_status(&b.v), 11);
    vdriver_store(&b.v, 12, 4, 0);
    CHECK_EQ(vdriver_load(&b.v, 12, 4), 1); /* settled */
    rig_stop(&b.r);
}

static void answers(struct bench *b, bool indirect)
{
    u32 head, len;

    for (u32 i = 0; i < 300; i++) {
        struct vbuf v[2] = { { BUF + i % 7, 20, true }, { BUF + 0x800, 30, true } };
        u16 want;

        clear(b);
        want = vdriver_add(&b->v, 0, v, 2, indirect);
        vdriver_kick(&b->v, 0);
        CHECK(vdriver_used(&b->v, 0, &head, &len));
        CHECK_EQ(head, want);
        CHECK_EQ(len, 50);
        CHECK(is_filled(b, v[0].at, 20) && is_filled(b, v[1].at, 30));
        CHECK(!is_filled(b, v[0].at + 20, 30));
    }
    CHECK(b->r.forgot > 600);
}

static void rings_turn(void)
{
    for (int way = 0; way < 8; way++) {
        u64 features = (way & 2 ? VIRTIO_F_EVENT_IDX : 0) | (way & 4 ? VIRTIO_F_RING_INDIRECT : 0);
        struct bench b;

        bench_start(&b, way & 1, features);
        CHECK_EQ(b.v.features & 0xffffffff, features);
        answers(&b, way & 4);
        CHECK_EQ(b.r.nmsi, 300);
        CHECK_EQ(rig_msi_seen(&b.r, 0xfee00000, 0), 256); /* as many as the rig keeps */
        rig_stop(&b.r);
    }
}

static void interrupts_are_spared(void)
{
    struct vbuf v = { BUF, 16, true };
    struct bench b;
    u32 head, len;
    u8 event[2];

    bench_start(&b, false, VIRTIO_F_EVENT_IDX);
    put_le16(event, 5); /* after six */
    rig_put(&b.r, b.v.q[0].avail + 4 + 2u * b.v.q[0].size, event, 2);
    for (u32 i = 0; i < 10; i++) {
        vdriver_add(&b.v, 0, &v, 1, false);
        vdriver_kick(&b.v, 0);
        CHECK_EQ(b.r.nmsi, i < 5 ? 1 : 2); /* the very first one is always told */
    }
    rig_get(&b.r, b.v.q[0].used + 4 + 8u * b.v.q[0].size, event, 2);
    CHECK_EQ(le16(event), 10); /* kick me at the eleventh */
    for (u32 i = 0; i < 10; i++)
        CHECK(vdriver_used(&b.v, 0, &head, &len));
    rig_stop(&b.r);
    bench_start(&b, false, 0);
    put_le16(event, 1);
    rig_put(&b.r, b.v.q[0].avail, event, 2);
    CHECK_EQ(vdriver_do(&b.v, 0, &v, 1), 16);
    CHECK_EQ(b.r.nmsi, 0);
    rig_stop(&b.r);
}

static void interrupts_by_wire(void)
{
    struct vbuf v = { BUF, 16, true };
    char name[] = "pci.a";
    struct rig_wire *w;
    struct bench b;

    for (int legacy = 0; legacy < 2; legacy++) {
        bench_start(&b, legacy, 0);
        rig_pci_set(b.d, rig_pci_cap(b.d, 0x11) + 2, 2, 0);
        name[4] = (char)('a' + (pci_slot(b.d) + 3) % 4);
        w = rig_wire(&b.r, name);
        CHECK_EQ(vdriver_do(&b.v, 0, &v, 1), 16);
        CHECK(w->level);
        CHECK_EQ(vdriver_load(&b.v, legacy ? 19 : 0x1000, 1), 1);
        CHECK(!w->level);
        CHECK_EQ(vdriver_load(&b.v, legacy ? 19 : 0x1000, 1), 0);
        CHECK_EQ(vdriver_do(&b.v, 0, &v, 1), 16);
        vdriver_reset(&b.v);
        CHECK(!w->level);
        rig_stop(&b.r);
    }
}

/* What follows sets a trap, and checks that the device asks for a reset and works after it. */
static void trapped(struct bench *b, const char *what)
{
    u32 head, len;
    struct vbuf v = { BUF, 16, true };

    vdriver_kick(&b->v, 0);
    if (vdriver_used(&b->v, 0, &head, &len) || !(vdriver_status(&b->v) & VIRTIO_NEEDS_RESET))
        printf("# %s\n", what);
    CHECK(vdriver_status(&b->v) & VIRTIO_NEEDS_RESET);
    CHECK_EQ(vdriver_do(&b->v, 0, &v, 1), -1);
    vdriver_start(&b->v, &b->r, b->d, b->v.legacy, b->v.features, 1);
    CHECK_EQ(vdriver_do(&b->v, 0, &v, 1), 16);
}

static void hostile_chains(void)
{
    static const struct {
        const char *what;
        u64 addr;
        u32 len;
        u16 flags, next;
    } bad[] = {
        { "a loop of one", BUF, 16, 3, 0 },
        { "an index beyond the table", BUF, 16, 3, 64 },
        { "an index far beyond", BUF, 16, 3, 0xffff },
        { "not RAM", 0xfee00000, 16, 2, 0 },
        { "the end of the world", ~0ull - 7, 16, 2, 0 },
        { "across the end of RAM", (8 << 20) - 8, 16, 2, 0 },
        { "huge", BUF, ~0u, 2, 0 },
        { "an indirect table with a tail", BUF, 32, 5, 1 },
        { "an indirect table of half a descriptor", BUF, 24, 4, 0 },
        { "an empty indirect table", BUF, 0, 4, 0 },
        { "an indirect table that is no RAM", 0xe0000000, 4096, 4, 0 },
    };
    struct bench b;

    bench_start(&b, false, VIRTIO_F_RING_INDIRECT);
    for (u32 i = 0; i < LEN(bad); i++) {
        vdriver_desc(&b.v, 0, 0, bad[i].addr, bad[i].len, bad[i].flags, bad[i].next);
        vdriver_offer(&b.v, 0, 0);
        trapped(&b, bad[i].what);
    }
    vdriver_offer(&b.v, 0, 0xfff0);
    trapped(&b, "a head beyond the table");
    vdriver_desc(&b.v, 0, 0, BUF, 16, 3, 1);
    vdriver_desc(&b.v, 0, 1, BUF, 16, 0, 0);
    vdriver_offer(&b.v, 0, 0);
    trapped(&b, "readable behind writable");
    vdriver_desc(&b.v, 0, 0, BUF, 0x40000000, 3, 1);
    vdriver_desc(&b.v, 0, 1, BUF, 0x40000000, 2, 0);
    vdriver_offer(&b.v, 0, 0);
    trapped(&b, "a sum that overflows");
    vdriver_desc(&b.v, 0, 0, b.v.q[0].desc, 16, 4, 0);
    vdriver_offer(&b.v, 0, 0);
    trapped(&b, "an indirect table in itself");
    for (u16 i = 0; i < 64; i++)
        vdriver_desc(&b.v, 0, i, BUF, 1, 3, (u16)((i + 1) % 64));
    vdriver_offer(&b.v, 0, 5);
    trapped(&b, "a loop of all");
    rig_stop(&b.r);
    bench_start(&b, false, 0);
    vdriver_desc(&b.v, 0, 0, BUF, 16, 4, 0);
    vdriver_offer(&b.v, 0, 0);
    trapped(&b, "an indirect table that was not agreed on");
    rig_stop(&b.r);
}

static void hostile_rings(void)
{
    struct bench b;
    u8 idx[2];

    bench_start(&b, false, 0);
    put_le16(idx, 65);
    rig_put(&b.r, b.v.q[0].avail + 2, idx, 2);
    trapped(&b, "an index ahead of the ring");
    for (u32 part = 32; part <= 48; part += 8) {
        vdriver_reset(&b.v);
        vdriver_store(&b.v, 8, 4, 1);
        vdriver_store(&b.v, 12, 4, 1);
        vdriver_store(&b.v, 20, 1, 11);
        vdriver_store(&b.v, 32, 4, b.v.q[0].desc);
        vdriver_store(&b.v, 40, 4, b.v.q[0].avail);
        vdriver_store(&b.v, 48, 4, b.v.q[0].used);
        vdriver_store(&b.v, part, 4, 0xe0000000);
        vdriver_store(&b.v, part + 4, 4, part == 40 ? ~0u : 0);
        vdriver_store(&b.v, 28, 2, 1);
        vdriver_store(&b.v, 20, 1, 15);
        b.v.q[0].put = b.v.q[0].seen = 0;
        rig_put(&b.r, b.v.q[0].used, "\0\0\0", 4);
        vdriver_desc(&b.v, 0, 0, BUF, 16, 2, 0);
        vdriver_offer(&b.v, 0, 0);
        trapped(&b, "a ring that is no RAM");
    }
    vdriver_reset(&b.v);
    vdriver_store(&b.v, 24, 2, 48); /* not a power of two, too large: both ignored */
    vdriver_store(&b.v, 24, 2, 512);
    CHECK_EQ(vdriver_load(&b.v, 24, 2), 64);
    vdriver_store(&b.v, 26, 2, 77);
    CHECK_EQ(vdriver_load(&b.v, 26, 2), VIRTIO_NO_VECTOR);
    vdriver_store(&b.v, 22, 2, 0x1234);
    CHECK_EQ(vdriver_load(&b.v, 24, 2), 0);
    vdriver_store(&b.v, 28, 2, 1);
    vdriver_store(&b.v, 0x3000 + 4 * 1000, 2, 1000);
    rig_lane(&b.r);
    rig_stop(&b.r);
}

static void pause_and_reset_stop_it(void)
{
    struct vbuf v = { BUF, 16, true };
    struct bench b;
    u32 head, len;

    bench_start(&b, false, 0);
    machine_pause(b.r.m);
    vdriver_add(&b.v, 0, &v, 1, false);
    vdriver_kick(&b.v, 0);
    CHECK(!vdriver_used(&b.v, 0, &head, &len));
    machine_resume(b.r.m);
    rig_lane(&b.r);
    CHECK(vdriver_used(&b.v, 0, &head, &len));
    vdriver_add(&b.v, 0, &v, 1, false);
    vdriver_store(&b.v, 0x3000, 2, 0);
    vdriver_reset(&b.v); /* before the lane has looked */
    rig_lane(&b.r);
    CHECK(!vdriver_used(&b.v, 0, &head, &len));
    rig_pci_set(b.d, 4, 2, 3);
    vdriver_start(&b.v, &b.r, b.d, false, 0, 1);
    CHECK_EQ(vdriver_do(&b.v, 0, &v, 1), -1); /* no bus mastering, no DMA */
    rig_stop(&b.r);
}

int main(void)
{
    log_level_set(LOG_ERROR);
    CASE(describes_itself);
    CASE(features_are_agreed_on);
    CASE(rings_turn);
    CASE(interrupts_are_spared);
    CASE(interrupts_by_wire);
    CASE(hostile_chains);
    CASE(hostile_rings);
    CASE(pause_and_reset_stop_it);
    return check_end();
}
