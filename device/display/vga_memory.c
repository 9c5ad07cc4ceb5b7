/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VGA's window on its memory: read modes 0 and 1, write modes 0 to 3, odd/even and
 * chained addressing.  After the register descriptions of the IBM VGA (PS/2 Hardware
 * Interface Technical Reference, Video Subsystem).
 */
#include "base/bytes.h"
#include "device/display/vga_int.h"

enum { SEQ_MASK = 2, SEQ_MODE = 4, SEQ_CHAIN4 = 8 };
enum {
    GFX_SET = 0,
    GFX_SET_ON = 1,
    GFX_COMPARE = 2,
    GFX_ROTATE = 3,
    GFX_READ_PLANE = 4,
    GFX_MODE = 5,
    GFX_MISC = 6,
    GFX_DONT_CARE = 7,
    GFX_BIT_MASK = 8,
    MODE_READ1 = 8,
    MODE_ODD_EVEN = 0x10,
};

/* Offset behind the window; false: the window does not show there. */
static bool vga_offset(const struct vga *v, u32 off, u32 *at)
{
    switch (v->state->gfx[GFX_MISC] >> 2 & 3) {
    case 0:
        *at = off;
        break;
    case 1:
        if (off >= 0x10000)
            return false;
        *at = off;
        break;
    case 2:
        if (off < 0x10000 || off >= 0x18000)
            return false;
        *at = off - 0x10000;
        break;
    default:
        if (off < 0x18000)
            return false;
        *at = off - 0x18000;
    }
    if (vbe_on(v))
        *at += (u32)v->state->vbe[VBE_BANK] << 16;
    return true;
}

static u32 vga_spread(u8 planes) /* bit n -> byte n all ones */
{
    return (planes & 1 ? 0xff : 0) | (planes & 2 ? 0xff00 : 0) | (planes & 4 ? 0xff0000 : 0) |
           (planes & 8 ? 0xff000000 : 0);
}

static u8 vga_plane_load(struct vga *v, u32 at)
{
    const u8 *gfx = v->state->gfx;
    u32 four;

    if (at >= v->memory_size / 4)
        return 0xff;
    four = le32(v->memory + 4 * at);
    put_le32(v->state->latch, four);
    if (!(gfx[GFX_MODE] & MODE_READ1))
        return (u8)(four >> 8 * (gfx[GFX_READ_PLANE] & 3));
    four = (four ^ vga_spread(gfx[GFX_COMPARE])) & vga_spread(gfx[GFX_DONT_CARE]);
    four |= four >> 16;
    return (u8) ~(four | four >> 8);
}

u64 vga_window_load(struct device *d, u32 off, u32 size)
{
    struct vga *v = (struct vga *)d;
    u32 at;

    if (!vga_offset(v, off, &at))
        return 0xff;
    if (v->state->seq[SEQ_MODE] & SEQ_CHAIN4) {
        if (at >= v->memory_size)
            return 0xff;
        memcpy(v->state->latch, v->memory + (at & ~3u), 4);
        return v->memory[at];
    }
    if (v->state->gfx[GFX_MODE] & MODE_ODD_EVEN) {
        u32 plane = (v->state->gfx[GFX_READ_PLANE] & 2u) | (at & 1);

        at = (at & ~1u) << 1;
        if (at >= v->memory_size)
            return 0xff;
        memcpy(v->state->latch, v->memory + at, 4);
        return v->memory[at + plane];
    }
    return vga_plane_load(v, at);
}

/* The four bytes that a processor's byte becomes, with bit mask and latches. */
static u32 vga_mix(const struct vga *v, u8 val)
{
    const u8 *gfx = v->state->gfx;
    u32 latch = le32(v->state->latch), mask = gfx[GFX_BIT_MASK] * 0x01010101u, four;
    u8 turn = gfx[GFX_ROTATE] & 7, rotated = (u8)(val >> turn | val << (8 - turn));

    switch (gfx[GFX_MODE] & 3) {
    case 1:
        return latch;
    case 0: {
        u32 fixed = vga_spread(gfx[GFX_SET_ON]);

        four = (rotated * 0x01010101u & ~fixed) | (vga_spread(gfx[GFX_SET]) & fixed);
        break;
    }
    case 2:
        four = vga_spread(val & 15);
        break;
    default:
        mask &= rotated * 0x01010101u;
        four = vga_spread(gfx[GFX_SET]);
    }
    switch (gfx[GFX_ROTATE] >> 3 & 3) {
    case 1:
        four &= latch;
        break;
    case 2:
        four |= latch;
        break;
    case 3:
        four ^= latch;
        break;
    }
    return (four & mask) | (latch & ~mask);
}

void vga_window_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct vga *v = (struct vga *)d;
    u8 planes = v->state->seq[SEQ_MASK];
    u32 at, mask;

    if (!vga_offset(v, off, &at))
        return;
    if (v->state->seq[SEQ_MODE] & SEQ_CHAIN4) {
        if (at < v->memory_size && planes & 1u << (at & 3))
            v->memory[at] = (u8)val;
        return;
    }
    if (v->state->gfx[GFX_MODE] & MODE_ODD_EVEN) {
        u32 byte = (at & ~1u) << 1;

        for (u32 plane = at & 1; plane < 4 && byte < v->memory_size; plane += 2)
            if (planes & 1u << plane)
                v->memory[byte + plane] = (u8)val;
        return;
    }
    if (at >= v->memory_size / 4)
        return;
    mask = vga_spread(planes);
    put_le32(v->memory + 4 * at, (le32(v->memory + 4 * at) & ~mask) | (vga_mix(v, (u8)val) & mask));
}
