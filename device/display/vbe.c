/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bochs VBE extensions ("DISPI"), after the interface's own text (Bochs, VBE Display API):
 * linear modes of 8 to 32 bits, virtual screen, banks, 16 MiB.
 */
#include "device/display/vga_int.h"
#include <string.h>

enum { VBE_ID5 = 0xb0c5, VBE_MAX_X = 4096, VBE_MAX_Y = 4096, VBE_MAX_BPP = 32 };

u16 vbe_get(const struct vga *v, u32 index)
{
    static const u16 caps[] = {
        [VBE_XRES] = VBE_MAX_X, [VBE_YRES] = VBE_MAX_Y, [VBE_BPP] = VBE_MAX_BPP
    };

    if (index >= VBE_COUNT)
        return 0;
    if (index == VBE_MEMORY_64K)
        return v->memory_size >> 16;
    if (v->state->vbe[VBE_ENABLE] & VBE_GETCAPS && index >= VBE_XRES && index <= VBE_BPP)
        return caps[index];
    return v->state->vbe[index];
}

u32 vbe_pitch(const struct vga *v)
{
    u32 bits = v->state->vbe[VBE_BPP], width = v->state->vbe[VBE_VIRT_WIDTH];

    return bits == 4 ? width / 8 : width * ((bits + 7) / 8);
}

static bool vbe_depth(u16 bits)
{
    return bits == 4 || bits == 8 || bits == 15 || bits == 16 || bits == 24 || bits == 32;
}

static void vbe_virtual(struct vga *v, u16 width)
{
    u16 *r = v->state->vbe;
    u32 pitch, lines;

    r[VBE_VIRT_WIDTH] = (u16)max_u64(width, r[VBE_XRES]);
    pitch = vbe_pitch(v) * (r[VBE_BPP] == 4 ? 4 : 1);
    lines = pitch ? v->memory_size / pitch : 0;
    r[VBE_VIRT_HEIGHT] = (u16)min_u64(lines, UINT16_MAX);
    r[VBE_X_OFFSET] = 0;
    r[VBE_Y_OFFSET] = 0;
}

/* The VGA registers that a linear mode implies, so that banks work. */
static void vbe_registers(struct vga *v)
{
    struct vga_state *s = v->state;

    s->gfx[6] = (u8)((s->gfx[6] & ~0x0c) | 0x05);
    s->crtc[0x17] |= 3;
    if (s->vbe[VBE_BPP] == 4) {
        s->gfx[5] &= (u8)~0x60;
        s->seq[4] &= (u8)~8;
    } else {
        s->gfx[5] = (u8)((s->gfx[5] & ~0x60) | 0x40);
        s->seq[4] |= 8;
        s->seq[2] |= 15;
    }
}

static void vbe_enable(struct vga *v, u16 val)
{
    u16 *r = v->state->vbe;
    bool was = vbe_on(v);

    if (val & VBE_ON && !was) {
        vbe_virtual(v, r[VBE_XRES]);
        vbe_registers(v);
        if (!(val & VBE_KEEP))
            memset(v->memory, 0,
                   min_u64((u64)vbe_pitch(v) * r[VBE_YRES] * (r[VBE_BPP] == 4 ? 4 : 1),
                           v->memory_size));
    }
    if (!(val & VBE_ON))
        r[VBE_BANK] = 0;
    r[VBE_ENABLE] = val;
}

void vbe_set(struct vga *v, u32 index, u16 val)
{
    u16 *r = v->state->vbe;

    switch (index) {
    case VBE_ID:
        if (val >= 0xb0c0 && val <= VBE_ID5)
            r[VBE_ID] = val;
        break;
    case VBE_XRES:
        if (val && val <= VBE_MAX_X && val % 8 == 0)
            r[VBE_XRES] = val;
        break;
    case VBE_YRES:
        if (val && val <= VBE_MAX_Y)
            r[VBE_YRES] = val;
        break;
    case VBE_BPP:
        if (!val)
            val = 8;
        if (vbe_depth(val))
            r[VBE_BPP] = val;
        break;
    case VBE_BANK:
        if (val < v->memory_size >> 16)
            r[VBE_BANK] = val;
        break;
    case VBE_ENABLE:
        vbe_enable(v, val);
        break;
    case VBE_VIRT_WIDTH:
        vbe_virtual(v, val);
        break;
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET:
        r[index] = val;
        break;
    }
}
