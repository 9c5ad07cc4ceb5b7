/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes anything anywhere: the PCnet's ports, its initialisation block and
 * descriptors, frames from the other side.  The input is a program of short operations.
 */
#include "base/bytes.h"
#include "base/loop.h"
#include "tests/rig.h"
#include <stdlib.h>

enum { BLOCK = 0x1000, RINGS = 0x2000, RAM = 4 << 20 };

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

static struct rig rig;
static struct net *near_end, *far_end;
static u64 ports;
static struct iovec arriving;

static u32 fuzz_taken(void *arg, const struct net_frame *f, u32 n)
{
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
    d = rig_device(&rig, "pcnet", NULL, ends);
    rig_pci_enable(&rig, d);
    ports = rig_bar(d, 1);
    net_attach(far_end, &calls, NULL);
}

static void fuzz_arrive(void *arg)
{
    net_send(far_end, &arriving, 1);
}
static void fuzz_nothing(void *arg)
{
}

static void csr(u32 n, u16 val)
{
    rig_store(&rig, ports + 0x12, 2, n);
    rig_store(&rig, ports + 0x10, 2, val);
}

/* A start that makes sense, with rings of the input's size and style. */
static void fuzz_begin(u8 style, u8 rings)
{
    u8 b[28] = { 0x00, 0x80, rings & 0xf0, (u8)(rings << 4) };

    put_le32(b + 20, RINGS);
    put_le32(b + 24, RINGS + 0x400);
    rig_put(&rig, BLOCK, b, sizeof(b));
    rig_load(&rig, ports + 0x18, 4); /* reset, in both widths */
    rig_load(&rig, ports + 0x14, 2);
    csr(58, style & 3);
    csr(1, BLOCK);
    csr(2, 0);
    csr(0, 1);
    csr(0, 2 | 0x40);
}

static void fuzz_step(struct cursor *c)
{
    const u8 *bytes;
    u32 at;

    switch (get_u8(c) % 4) {
    case 0:
        at = get_u8(c) & 31;
        rig_store(&rig, ports + at, 1u << (at & 1 ? 0 : get_u8(c) % 3), get_le32(c));
        rig_load(&rig, ports + at, 1);
        break;
    case 1:
        csr(get_u8(c) & 127, get_le16(c));
        break;
    case 2:
        at = RINGS + (get_u8(c) & 63) * 16u;
        bytes = cursor_take(c, 16);
        if (bytes)
            gmem_write(machine_ram(rig.m), at, bytes, 16);
        break;
    case 3:
        at = get_u8(c) + 14u;
        arriving.iov_base = (u8 *)(uintptr_t)cursor_take(c, at);
        arriving.iov_len = at;
        if (arriving.iov_base)
            loop_call(machine_lane(rig.m), fuzz_arrive, NULL);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m)
        fuzz_start();
    fuzz_begin(get_u8(&c), get_u8(&c));
    for (u32 steps = 0; steps < 200 && !c.bad && c.at < c.len; steps++)
        fuzz_step(&c);
    loop_call(machine_lane(rig.m), fuzz_nothing, NULL);
    return 0;
}
