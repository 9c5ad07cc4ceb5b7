/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes anything anywhere: registers of the 82540EM, descriptors, frames from
 * the other side.  The input is a program of short operations.
 */
#include "base/bytes.h"
#include "base/loop.h"
#include "tests/rig.h"
#include <stdlib.h>

enum { TX = 0x10000, RX = 0x20000, RAM = 4 << 20, RING = 32 };

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

static struct rig rig;
static struct net *near_end, *far_end;
static u64 regs;
static u64 taken;

static u32 fuzz_taken(void *arg, const struct net_frame *f, u32 n)
{
    (void)arg;
    for (u32 i = 0; i < n; i++)
        taken += f[i].len + f[i].p[f[i].len - 1];
    return n;
}

static void fuzz_start(void)
{
    static const struct net_guest calls = { .deliver = fuzz_taken };
    struct machine_make how = { .ram = RAM, .cpus = 1, .tsc_hz = 1000000000 };
    struct device_end ends[2] = { { 0 } };
    struct device *d;

    if (machine_new(&rig.m, &how, NULL) ||
        net_open_pair(&near_end, &far_end, machine_lane(rig.m), NULL))
        abort();
    rig.next_bar = 0xe0000000;
    rig.next_port = 0xc000;
    ends[0] = (struct device_end){ "net", near_end };
    d = rig_device(&rig, "e1000", NULL, ends);
    rig_pci_enable(&rig, d);
    regs = rig_bar(d, 0);
    net_attach(far_end, &calls, NULL);
}

static void fuzz_nothing(void *arg)
{
    (void)arg;
}

static struct iovec arriving;
static void fuzz_arrive(void *arg)
{
    (void)arg;
    net_send(far_end, &arriving, 1);
}

static void set(u32 reg, u32 val)
{
    rig_store(&rig, regs + reg, 4, val);
}

static void fuzz_rings(void)
{
    set(0, 1 << 26);
    set(0x3800, TX);
    set(0x3804, 0);
    set(0x3808, RING * 16);
    set(0x2800, RX);
    set(0x2804, 0);
    set(0x2808, RING * 16);
    set(0x2818, RING - 1);
    set(0x400, 2);
    set(0x100, 1 << 15 | 1 << 5 | 0x1a);
    set(0xd0, ~0u);
}

/* A descriptor whose numbers are small enough to mean something. */
static void fuzz_descriptor(struct cursor *c, u32 ring, u32 tail)
{
    u8 d[16], at = get_u8(c) % RING, how = get_u8(c);
    const u8 *bytes = cursor_take(c, 16);

    if (!bytes)
        return;
    memcpy(d, bytes, 16);
    if (how & 1)
        put_le64(d, le32(d) & (RAM - 1));
    if (how & 2)
        d[9] = d[10] = 0;
    rig_put(&rig, ring + at * 16u, d, sizeof(d));
    set(tail, how & 4 ? (at + 1u) % RING : get_u8(c));
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m)
        fuzz_start();
    fuzz_rings();
    for (u32 steps = 0; steps < 200 && !c.bad && c.at < c.len; steps++) {
        const u8 *bytes;
        u32 at;

        switch (get_u8(&c) % 6) {
        case 0:
            at = get_le16(&c) & 0x7ffc;
            set(at, get_le32(&c));
            rig_load(&rig, regs + at, 4);
            break;
        case 1:
            at = get_le32(&c) & (RAM - 1) & ~0xffu;
            bytes = cursor_take(&c, 32);
            if (bytes)
                gmem_write(machine_ram(rig.m), at, bytes, 32); /* may be the VGA's hole */
            break;
        case 2:
        case 3:
            fuzz_descriptor(&c, TX, 0x3818);
            break;
        case 4:
            fuzz_descriptor(&c, RX, 0x2818);
            break;
        case 5:
            at = get_u8(&c) + 14u;
            arriving.iov_base = (u8 *)(uintptr_t)cursor_take(&c, at);
            arriving.iov_len = at;
            if (arriving.iov_base)
                loop_call(machine_lane(rig.m), fuzz_arrive, NULL);
            break;
        }
    }
    loop_call(machine_lane(rig.m), fuzz_nothing, NULL);
    return 0;
}
