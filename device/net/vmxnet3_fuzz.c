/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmxnet3 under a hostile driver: any registers, any shared memory, frames in between. */
#include "base/bytes.h"
#include "base/log.h"
#include "device/net/vmxnet3_wire.h"
#include "tests/rig.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum {
    SHARED = 0x10000,
    QUEUES = 0x10400,
    TX = 0x11000,
    RX = 0x12000,
    COMPS = 0x13000,
    BUF = 0x18000
};

static u32 fuzz_taken(void *arg, const struct net_frame *f, u32 n)
{
    u64 *sum = arg;

    for (u32 i = 0; i < n; i++)
        for (u32 k = 0; k < f[i].len; k++)
            *sum += f[i].p[k];
    return n;
}

static void fuzz_put32(struct rig *r, u64 at, u32 v)
{
    rig_put(r, at, &v, 4);
}

/* A card that works, one queue each way: the input spoils it. */
static void fuzz_set_up(struct rig *r, u64 bar0, u64 bar1)
{
    static const struct {
        u32 at, val;
    } words[] = {
        { SHARED + VX_S_MAGIC, VX_MAGIC },
        { SHARED + VX_S_FEATURES, VX_F_RX_CSUM | VX_F_RX_VLAN | VX_F_RSS },
        { SHARED + VX_S_QUEUES, QUEUES },
        { SHARED + VX_S_QUEUES_LEN, 16 * VX_Q_LEN },
        { SHARED + VX_S_TX_COUNT - 2, 0x01010000 },
        { SHARED + VX_S_AUTO_MASK, 0x000401 },
        { SHARED + VX_S_RX_MODE, VX_MODE_PROMISCUOUS },
        { QUEUES + VX_Q_RING, TX },
        { QUEUES + VX_Q_COMP, COMPS },
        { QUEUES + VX_TQ_SIZE, 32 },
        { QUEUES + VX_TQ_COMP_SIZE, 32 },
        { QUEUES + VX_Q_LEN + VX_Q_RING, RX },
        { QUEUES + VX_Q_LEN + VX_Q_RING2, RX + 0x200 },
        { QUEUES + VX_Q_LEN + VX_Q_COMP, COMPS + 0x1000 },
        { QUEUES + VX_Q_LEN + VX_RQ_SIZE, 32 },
        { QUEUES + VX_Q_LEN + VX_RQ_SIZE2, 32 },
        { QUEUES + VX_Q_LEN + VX_RQ_COMP_SIZE, 64 },
    };

    for (u32 i = 0; i < LEN(words); i++)
        fuzz_put32(r, words[i].at, words[i].val);
    for (u32 i = 0; i < 64; i++) {
        fuzz_put32(r, RX + 16 * i, BUF + 512 * i);
        fuzz_put32(r, RX + 16 * i + 8, 1u << 31 | (i >= 32) << 14 | 512);
        fuzz_put32(r, TX + 16 * (i & 31), BUF + 64 * i);
    }
    rig_store(r, bar1 + VX_SHARED_LOW, 4, SHARED);
    rig_store(r, bar1 + VX_COMMAND, 4, (u32)VX_SET_ACTIVATE);
    for (u32 i = 0; i < 4; i++)
        rig_store(r, bar0 + VX_MASK + 8 * i, 4, 0);
}

static void fuzz_step(struct rig *r, struct rig_ends *ends, u64 bar0, u64 bar1, struct cursor *c)
{
    u8 op = get_u8(c), small = get_u8(c);
    u32 val = get_le32(c);
    const u8 *p;

    switch (op % 9) {
    case 0:
        rig_store(r, bar0 + small * 16u, 4, val);
        break;
    case 1:
        rig_store(r, bar1 + small % 10 * 8u, 4, val);
        break;
    case 2: /* a command that exists */
        rig_store(r, bar1 + VX_COMMAND, 4, (small & 16 ? 0xf00d0000 : 0xcafe0000) + small % 16);
        break;
    case 3: /* words of the shared structures and rings */
        fuzz_put32(r, SHARED + (val & 0x7fff), val >> 15 | (u32)small << 24);
        break;
    case 4: /* a transmit descriptor of this or the last round */
        fuzz_put32(r, TX + small % 32 * 16u + 12, val);
        fuzz_put32(r, TX + small % 32 * 16u + 8, val * 2654435761u);
        break;
    case 5:
        rig_store(r, bar0 + VX_TX_PROD + small % 8 * 8u, 4, val);
        rig_lane(r);
        break;
    case 6: /* a frame comes */
        p = cursor_take(c, small);
        if (p && small)
            net_send(ends->far, &(struct iovec){ (u8 *)(uintptr_t)p, small }, 1);
        break;
    case 7:
        rig_lane(r);
        break;
    case 8:
        rig_load(r, (small & 1 ? bar0 : bar1) + (val & 0xffc), 4);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const struct net_guest calls = { .deliver = fuzz_taken };
    struct cursor c = cursor_of(data, size);
    struct rig_ends ends;
    struct device *d;
    struct rig r;
    u64 sum = 0;

    log_level_set(LOG_ERROR);
    rig_start(&r, 1, 1);
    rig_ends_open(&r, &ends);
    net_attach(ends.far, &calls, &sum);
    d = rig_device(&r, "vmxnet3", NULL, ends.list);
    rig_pci_enable(&r, d);
    if (get_u8(&c) & 1)
        rig_msix_enable(&r, d, 25);
    fuzz_set_up(&r, rig_bar(d, 0), rig_bar(d, 1));
    for (int i = 0; i < 200 && !c.bad; i++)
        fuzz_step(&r, &ends, rig_bar(d, 0), rig_bar(d, 1), &c);
    rig_lane(&r);
    rig_ends_close(&r, &ends);
    rig_stop(&r);
    return 0;
}
