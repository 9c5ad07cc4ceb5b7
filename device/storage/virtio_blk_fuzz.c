/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that asks a virtio disk for anything: requests of every kind and cut, rings that change,
 * registers, resets in mid-work.  The input is a program of short operations; it begins with a
 * driver that works.
 */
#include "tests/storage_fuzz.h"
#include "tests/virtio_driver.h"

enum { HEADERS = 0x200000, DATA = 0x210000, SECTOR = 512, PENDING = 16 };

static struct device *dev;
static struct vdriver driver;
static u32 next;

static void fuzz_request(struct cursor *c)
{
    static const u8 types[] = { 0, 1, 4, 8, 11, 13 };
    u8 h[16] = { 0 }, type = get_u8(c), how = get_u8(c), sectors = get_u8(c);
    u32 at = HEADERS + next++ % PENDING * 64, len = sectors * (u32)SECTOR, cut = 16;
    struct vbuf b[4];
    u32 n = 0;

    type = how & 1 ? type : types[type % sizeof(types)];
    put_le32(h, type);
    put_le64(h + 8, how & 2 ? get_le64(c) : get_u8(c) * 8u);
    rig_put(&rig, at, h, sizeof(h));
    if (type >= 11) { /* one range of sectors */
        put_le64(h, how & 2 ? get_le64(c) : get_u8(c) * 8u);
        put_le32(h + 8, how & 4 ? get_le32(c) : sectors);
        put_le32(h + 12, how & 8 ? get_u8(c) : 0);
        rig_put(&rig, at + 16, h, sizeof(h));
        len = how & 16 ? get_u8(c) : 16;
    } else if (how & 4) {
        len += get_u8(c);
    }
    if (how & 32) /* the header in another piece */
        cut = get_u8(c) & 31;
    if (cut)
        b[n++] = (struct vbuf){ at, cut, false };
    if (cut < 16)
        b[n++] = (struct vbuf){ at + cut, 16 - cut, false };
    if (len)
        b[n++] = (struct vbuf){ type >= 11 ? at + 16 : DATA, len, !(type & 1) };
    if (!(how & 64))
        b[n++] = (struct vbuf){ at + 48, 1, true };
    if (n)
        vdriver_add(&driver, 0, b, n, how & 128);
    if (!(sectors & 1))
        vdriver_ring(&driver, 0);
}

static void fuzz_begin(struct cursor *c)
{
    u8 how = get_u8(c);

    vdriver_start(&driver, &rig, dev, how & 1, how & 2 ? get_le32(c) : ~0ull, 1);
}

static void fuzz_step(struct cursor *c)
{
    const u8 *p;
    u32 at;

    switch (get_u8(c) % 8) {
    case 0:
        at = get_u8(c) % (driver.legacy ? 64 : 60);
        vdriver_store(&driver, at, 1u << get_u8(c) % 3, get_le32(c));
        break;
    case 1:
        at = get_le16(c) & 0x3fff;
        p = cursor_take(c, 4);
        if (p)
            rig_put(&rig, VDRIVER_AT + at, p, 4);
        vdriver_ring(&driver, 0);
        break;
    case 2:
        vdriver_offer(&driver, 0, get_u8(c));
        vdriver_ring(&driver, 0);
        break;
    case 3:
        fuzz_settle();
        break;
    case 4:
        if (get_u8(c) & 1)
            fuzz_begin(c);
        else
            vdriver_reset(&driver);
        break;
    default:
        fuzz_request(c);
    }
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    struct cursor c = cursor_of(p, n);

    if (!rig.m)
        dev = fuzz_adapter("virtio_blk", NULL, "blk", NULL);
    fuzz_begin(&c);
    for (u32 steps = 0; steps < 200 && !c.bad && c.at < c.len; steps++)
        fuzz_step(&c);
    fuzz_settle();
    return 0;
}
