/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes anything anywhere: VMCI's registers, datagrams, control packets of streams
 * and the numbers in queue pairs, with a host's end that comes and goes.  The input is a program
 * of short operations.
 */
#include "base/loop.h"
#include "device/tools/vmci_wire.h"
#include "tests/vsock_fuzz.h"

enum { RAM = 4 << 20, PAIRS = 0x100000, SIZE = 8192, PAGES = 6, DMA = 0x10000 };

static u64 ports, memory;

static void fuzz_nothing(void *arg)
{
}

static void fuzz_start(void)
{
    struct machine_make how = { .ram = RAM, .cpus = 1, .tsc_hz = 1000000000 };
    struct device *d;

    if (machine_new(&rig.m, &how, NULL))
        abort();
    rig.next_bar = 0xe0000000;
    rig.next_port = 0xc000;
    d = fuzz_sockets("vmci");
    ports = rig_bar(d, 0);
    memory = rig_bar(d, 1) + VMCI_MEMORY_REGISTERS;
}

static void fuzz_settle(void)
{
    for (int i = 0; i < 3; i++)
        loop_call(machine_lane(rig.m), fuzz_nothing, NULL);
}

static void send_to(u32 context, u32 resource, const u8 *p, u32 n)
{
    u8 b[VMCI_HEADER] = { 0 };

    put_le32(b, context);
    put_le32(b + 4, resource);
    put_le64(b + 16, n);
    for (u32 i = 0; i < VMCI_HEADER; i++)
        rig_out(&rig, (u16)(ports + VMCI_DATA_OUT), 1, b[i]);
    for (u32 i = 0; i < n; i++)
        rig_out(&rig, (u16)(ports + VMCI_DATA_OUT), 1, p[i]);
}

/* Handles, ports and sizes are few, so that they meet. */
static u64 small_handle(u8 which)
{
    return (which & 1 ? 3 : VMCI_HOST) | (u64)(1024 + (which >> 1 & 7)) << 32;
}

static void fuzz_packet(struct cursor *c)
{
    u8 p[VMCI_PACKET - VMCI_HEADER] = { VMCI_PACKET_VERSION }, who = get_u8(c), what = get_u8(c);

    p[1] = what & 15;
    p[2] = VMCI_ON_NOTIFY;
    put_le32(p + 4, who >> 2 & 3);
    put_le32(p + 8, who & 1 ? (1u << 30) + (who >> 4) : 1 + (who >> 1 & 1));
    put_le64(p + 16, p[1] == PACKET_OFFER || p[1] == PACKET_ATTACH ? small_handle(what >> 4)
                                                                   : (u64)SIZE >> (what >> 6));
    send_to(who & 2 ? VMCI_HOST : VMCI_HYPERVISOR,
            who & 2 ? VMCI_STREAMS_HOST : VMCI_STREAMS_HYPERVISOR, p, sizeof(p));
}

static void fuzz_alloc(struct cursor *c)
{
    u8 p[40 + 8 * PAGES], which = get_u8(c), odd = get_u8(c);
    bool wide = odd & 1;

    put_le64(p, small_handle(which));
    put_le32(p + 8, VMCI_HOST);
    put_le32(p + 12, which >> 7);
    put_le64(p + 16, odd & 2 ? get_le64(c) : SIZE);
    put_le64(p + 24, odd & 4 ? get_le16(c) : SIZE);
    put_le64(p + 32, odd & 8 ? get_u8(c) : PAGES);
    for (u32 i = 0; i < PAGES; i++)
        if (wide)
            put_le64(p + 40 + 8 * i, (PAIRS >> 12) + (which & 15) * PAGES + i);
        else
            put_le32(p + 40 + 4 * i, (PAIRS >> 12) + (which & 15) * PAGES + i);
    rig_out(&rig, (u16)(ports + VMCI_CAPS), 4, wide ? VMCI_CAP_PPN64 : 0);
    send_to(VMCI_HYPERVISOR, VMCI_PAIR_ALLOC, p, 40 + (wide ? 8 : 4) * PAGES);
}

static void fuzz_dma(struct cursor *c)
{
    const u8 *p = cursor_take(c, 48);
    u8 in = get_u8(c);

    if (!p)
        return;
    rig_put(&rig, DMA, p, 48);
    rig_store(&rig, memory + (in & 1 ? VMCI_DMA_IN_LOW : VMCI_DMA_OUT_LOW), 4, DMA + (in & 0x70));
}

static void fuzz_step(struct cursor *c)
{
    const u8 *p;
    u32 at, n;

    switch (get_u8(c) % 10) {
    case 0:
        at = get_u8(c) & 63;
        rig_out(&rig, (u16)(ports + (at & ~3u)), 1u << get_u8(c) % 3, get_le32(c));
        break;
    case 1:
        n = get_u8(c);
        for (u32 i = 0; i < n * 16; i++)
            rig_in(&rig, (u16)(ports + VMCI_DATA_IN), 1);
        rig_in(&rig, (u16)(ports + VMCI_CAUSE), 4);
        break;
    case 2:
        at = get_u8(c);
        n = get_u8(c) & 63;
        p = cursor_take(c, n);
        if (p)
            send_to(at >> 6, at & 31, p, n);
        break;
    case 3:
    case 4:
        fuzz_packet(c);
        break;
    case 5:
        fuzz_alloc(c);
        break;
    case 6:
        at = get_u8(c);
        send_to(VMCI_HYPERVISOR, VMCI_PAIR_DETACH,
                (u8[8]){ at & 1 ? 3 : VMCI_HOST, 0, 0, 0, (u8)(at >> 1 & 7), 4 }, 8);
        break;
    case 7:
        at = get_u8(c);
        n = get_le16(c);
        rig_put(&rig, PAIRS + (at & 63) * 4096ull + VMCI_QUEUE_TAIL + 8 * (at >> 6 & 1),
                (u8[8]){ (u8)n, (u8)(n >> 8), 0, 0, 0, 0, 0, at >> 7 }, 8);
        break;
    case 8:
        fuzz_host(c);
        fuzz_settle();
        break;
    case 9:
        fuzz_dma(c);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m)
        fuzz_start();
    rig_out(&rig, (u16)(ports + VMCI_CONTROL), 4, VMCI_CONTROL_RESET);
    rig_out(&rig, (u16)(ports + VMCI_CONTROL), 4, VMCI_CONTROL_ON);
    for (u32 steps = 0; steps < 200 && !c.bad && c.at < c.len; steps++)
        fuzz_step(&c);
    fuzz_settle();
    return 0;
}
