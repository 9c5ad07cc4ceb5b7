/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest whose sockets say anything: packets that are nearly right, or not at all, rings that are
 * not what they were, and a host's end that comes and goes.  The input is a program of short
 * operations; it begins with a driver that works.
 */
#include "tests/virtio_driver.h"
#include "tests/vsock_fuzz.h"

enum { RX, TX, EVENT, QUEUES, CID = 3, HEADER = 44, OPS = 9, PORTS = 4 };
enum { OUT = 0x200000, IN = 0x300000, EVENTS = 0x3f0000, BUFFER = 4096, BUFFERS = 16 };
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW };

static struct device *dev;
static struct vdriver driver;
static u32 asked[PORTS], nasked, next_in; /* ports of the host that wanted one of the guest's */

static void fuzz_settle(void)
{
    rig_lane(&rig);
}

static void fuzz_give(u32 len)
{
    struct vbuf b = { IN + next_in++ % BUFFERS * BUFFER, len, true };

    vdriver_add(&driver, RX, &b, 1, false);
}

/* The driver takes what came, remembers who asked, and gives the buffers back. */
static void fuzz_take(bool give)
{
    u32 head, len, n = 0;
    u8 at[8], h[HEADER];

    for (; n < BUFFERS && vdriver_used(&driver, RX, &head, &len); n++) {
        rig_get(&rig, driver.q[RX].desc + 16ull * (head % driver.q[RX].size), at, sizeof(at));
        if (le64(at) < IN || le64(at) > EVENTS - BUFFER)
            continue;
        rig_get(&rig, le64(at), h, sizeof(h));
        if (le16(h + 30) == REQUEST)
            asked[nasked++ % PORTS] = le32(h + 16);
        if (give)
            fuzz_give(BUFFER);
    }
    if (give && n)
        vdriver_kick(&driver, RX);
}

static void fuzz_send(const u8 h[HEADER], u32 n, u8 how)
{
    struct vbuf b[4] = { { OUT, HEADER, false }, { OUT + 4096, n, false } };
    u32 pieces = n ? 2 : 1;

    if (how & 1) { /* another cut */
        u32 cut = how >> 2;

        b[0].len = cut;
        b[1] = (struct vbuf){ OUT + cut, HEADER - (cut < HEADER ? cut : 0), false };
        b[2] = (struct vbuf){ OUT + 4096, n / 2, false };
        b[3] = (struct vbuf){ OUT + 4096 + n / 2, n - n / 2, false };
        pieces = 4;
    }
    rig_put(&rig, OUT, h, HEADER);
    vdriver_add(&driver, TX, b, pieces, how & 2);
    vdriver_kick(&driver, TX);
}

/* Ports are few, so that they meet; what the guest says of its room is often enough. */
static void fuzz_packet(struct cursor *c)
{
    u8 h[HEADER] = { 0 }, who = get_u8(c), what = get_u8(c), how = get_u8(c);
    u32 len = what % OPS == RW ? how & 0x80 ? get_le16(c) : get_u8(c) : 0;

    put_le64(h, how & 0x40 ? get_u8(c) : CID);
    put_le64(h + 8, VSOCK_CID_HOST);
    put_le32(h + 16, who >> 4 & 3);
    put_le32(h + 20, who & 8 ? asked[who & 3] : FUZZ_PORT_HOST + (who & 1));
    put_le32(h + 24, how & 0x20 ? get_le32(c) : len);
    put_le16(h + 28, 1 + (who >> 7));
    put_le16(h + 30, what % OPS);
    put_le32(h + 32, what / OPS & 3);
    put_le32(h + 36, how & 0x10 ? get_le32(c) : 1 << 20);
    put_le32(h + 40, how & 8 ? get_le32(c) : 0);
    fuzz_send(h, len, how & 4 ? get_u8(c) : 0);
}

static void fuzz_ring(struct cursor *c)
{
    u32 q = get_u8(c) % QUEUES, at = get_le16(c) & 0x3fff;
    const u8 *p = cursor_take(c, 4);

    if (p)
        rig_put(&rig, VDRIVER_AT + q * VDRIVER_QUEUE + at, p, 4);
    vdriver_kick(&driver, q);
}

static void fuzz_begin(void)
{
    struct vbuf e = { EVENTS, 16, true };

    vdriver_start(&driver, &rig, dev, false, ~0ull, QUEUES);
    rig_lane(&rig); /* hosts of before are gone */
    next_in = nasked = 0;
    memset(asked, 0, sizeof(asked));
    for (u32 i = 0; i < BUFFERS; i++)
        fuzz_give(BUFFER);
    vdriver_add(&driver, EVENT, &e, 1, false);
    vdriver_kick(&driver, RX);
}

static void fuzz_step(struct cursor *c)
{
    const u8 *p;
    u32 at;

    switch (get_u8(c) % 11) {
    case 0:
        at = get_u8(c) % 60;
        vdriver_store(&driver, at, 1u << get_u8(c) % 3, get_le32(c));
        break;
    case 1:
        p = cursor_take(c, HEADER);
        if (p)
            fuzz_send(p, get_u8(c), get_u8(c));
        break;
    case 2:
        fuzz_ring(c);
        break;
    case 3:
        fuzz_give(get_u8(c));
        vdriver_kick(&driver, RX);
        break;
    case 4:
        fuzz_take(get_u8(c) & 1);
        break;
    case 5:
    case 6:
    case 7:
        fuzz_packet(c);
        break;
    case 8:
        at = get_u8(c);
        if (at == 1)
            fuzz_begin();
        else if (at == 2) {
            rig_pause(&rig);
            rig_resume(&rig);
        }
        break;
    default:
        fuzz_host(c);
        fuzz_settle();
    }
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m) {
        rig_start(&rig, 4, 1);
        dev = fuzz_sockets("virtio_vsock");
    }
    for (u32 i = 0; i < HOSTS; i++)
        fuzz_keep(-1);
    fuzz_begin();
    for (u32 steps = 0; steps < 200 && !c.bad && c.at < c.len; steps++)
        fuzz_step(&c);
    fuzz_settle();
    return 0;
}
