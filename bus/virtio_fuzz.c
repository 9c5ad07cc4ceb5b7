/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio devices under a hostile driver: any registers, any rings, host events in between. */
#include "base/bytes.h"
#include "base/log.h"
#include "tests/virtio_driver.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum { FUZZ_BUF = 0x180000 };

static u32 fuzz_taken(void *arg, const struct net_frame *f, u32 n)
{
    u64 *sum = arg;

    for (u32 i = 0; i < n; i++)
        for (u32 k = 0; k < f[i].len; k++)
            *sum += f[i].p[k];
    return n;
}

/* A chain of one to four buffers, most of them possible. */
static void fuzz_chain(struct vdriver *v, u32 q, u32 val, struct cursor *c)
{
    struct vbuf b[4];
    u32 n = 1 + (val & 3);

    for (u32 i = 0; i < n; i++) {
        u32 w = get_le32(c);

        b[i] = (struct vbuf){ FUZZ_BUF + (w & 0xffff), w >> 16 & 0x7ff, w >> 31 };
        if ((w >> 27 & 15) == 15)
            b[i].at = (u64)w << (w & 31);
        if (val & 0x100 && i)
            b[i].in |= b[i - 1].in;
    }
    vdriver_add(v, q, b, n, val & 4);
}

static void fuzz_step(struct vdriver *v, u32 queues, struct rig_ends *ends, struct cursor *c)
{
    u8 op = get_u8(c), small = get_u8(c);
    u32 val = get_le32(c), q = small % queues;
    const u8 *p;

    switch (op % 9) {
    case 0:
        vdriver_store(v, small % (v->legacy ? 64 : 60), 1u << (op >> 4) % 3, val);
        break;
    case 1:
        if (!v->legacy)
            vdriver_store(v, 0x1000u + (val & 0x2fff), 2, val);
        break;
    case 2: /* words of the rings */
        rig_put(v->r, VDRIVER_AT + q * VDRIVER_QUEUE + (val & 0x3fff), &val, 4);
        break;
    case 3:
        fuzz_chain(v, q, val, c);
        break;
    case 4:
        vdriver_offer(v, q, (u16)val);
        break;
    case 5:
        vdriver_kick(v, q);
        break;
    case 6: /* from the host */
        p = cursor_take(c, small);
        if (p && small) {
            net_send(ends->far, &(struct iovec){ (u8 *)(uintptr_t)p, small }, 1);
            chr_feed(ends->chr, p, small);
        }
        break;
    case 7:
        rig_put(v->r, FUZZ_BUF + (val & 0x7ff), &val, 4);
        break;
    case 8:
        vdriver_load(v, small % (v->legacy ? 64 : 60), 1u << (op >> 4) % 3);
        break;
    }
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const char *const names[] = { "virtio_net", "virtio_rng", "virtio_console" };
    static const u32 queues[] = { 3, 1, 2 };
    static const struct net_guest calls = { .deliver = fuzz_taken };
    struct cursor c = cursor_of(data, size);
    struct rig_ends ends;
    struct vdriver v;
    struct device *d;
    struct rig r;
    u64 sum = 0;
    u8 how = get_u8(&c);

    log_level_set(LOG_ERROR);
    rig_start(&r, 2, 1);
    rig_ends_open(&r, &ends);
    net_attach(ends.far, &calls, &sum);
    d = rig_device(&r, names[how % 3], NULL, ends.list);
    rig_pci_enable(&r, d);
    if (how & 0x80)
        rig_msix_enable(&r, d, 2);
    vdriver_start(&v, &r, d, how & 0x40, how & 0x20 ? ~0ull : get_le32(&c), queues[how % 3]);
    for (int i = 0; i < 200 && !c.bad; i++)
        fuzz_step(&v, queues[how % 3], &ends, &c);
    rig_lane(&r);
    rig_ends_close(&r, &ends);
    rig_stop(&r);
    return 0;
}
