/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pixels of SVGA II: the formats of guests, and what the device draws into the framebuffer
 * by itself (RECT_FILL, RECT_COPY).
 */
#include "base/bytes.h"
#include "device/display/svga_int.h"
#include "machine/machine.h"
#include <string.h>

u32 svga_format_bytes(struct svga_format f)
{
    switch (f.bits) {
    case 8:
        return f.depth == 8 ? 1 : 0;
    case 15:
        return f.depth == 15 ? 2 : 0;
    case 16:
        return f.depth == 15 || f.depth == 16 ? 2 : 0;
    case 24:
        return f.depth == 24 ? 3 : 0;
    case 32:
        return f.depth == 24 || f.depth == 32 ? 4 : 0;
    }
    return 0;
}

/* A colour of few bits becomes one of eight: all ones stay all ones. */
static u32 svga_widen(u32 val, u32 bits)
{
    return val << (8 - bits) | val >> (2 * bits - 8);
}

static u32 svga_rgb16(u32 val, u32 green)
{
    return svga_widen(val >> (5 + green) & 31, 5) << 16 |
           svga_widen(val >> 5 & ((1u << green) - 1), green) << 8 | svga_widen(val & 31, 5);
}

void svga_pixels(const struct svga *s, struct svga_format f, const u8 *from, u32 *to, u32 n)
{
    switch (f.bits) {
    case 8:
        for (u32 i = 0; i < n; i++) {
            const u8 *c = s->state.palette + 3u * from[i];

            to[i] = (u32)c[0] << 16 | (u32)c[1] << 8 | c[2];
        }
        break;
    case 15:
    case 16:
        for (u32 i = 0; i < n; i++)
            to[i] = svga_rgb16(le16(from + 2 * i), f.depth == 15 ? 5 : 6);
        break;
    case 24:
        for (u32 i = 0; i < n; i++)
            to[i] = from[3 * i] | (u32)from[3 * i + 1] << 8 | (u32)from[3 * i + 2] << 16;
        break;
    default:
        for (u32 i = 0; i < n; i++)
            to[i] = le32(from + 4 * i) & 0xffffff;
    }
}

static u16 svga_narrow(u32 p, u32 green)
{
    return (u16)((p >> 19 & 31) << (5 + green) | (p >> (16 - green) & ((1u << green) - 1)) << 5 |
                 (p >> 3 & 31));
}

void svga_pixels_back(struct svga_format f, const u32 *from, u8 *to, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        u32 p = from[i] & 0xffffff;

        switch (f.bits) {
        case 15:
        case 16:
            put_le16(to + 2 * i, svga_narrow(p, f.depth == 15 ? 5 : 6));
            break;
        case 24:
            to[3 * i] = (u8)p;
            to[3 * i + 1] = (u8)(p >> 8);
            to[3 * i + 2] = (u8)(p >> 16);
            break;
        default:
            put_le32(to + 4 * i, p);
        }
    }
}

/* ---- into the framebuffer ---- */

/* A rectangle that lies whole on the screen of the mode registers, and in video memory. */
static bool svga_rect_lies(const struct svga *s, u32 x, u32 y, u32 width, u32 height)
{
    u64 end = (u64)svga_pitch(s) * s->state.height;

    return x <= s->state.width && width <= s->state.width - x && y <= s->state.height &&
           height <= s->state.height - y && end <= s->vga.memory_size;
}

void svga_rect_fill(struct svga *s, u32 colour, u32 x, u32 y, u32 width, u32 height)
{
    u32 bytes = svga_format_bytes(svga_mode_format(s)), pitch = svga_pitch(s);

    if (!svga_rect_lies(s, x, y, width, height)) {
        guest_error(&s->vga.dev, "a filled rectangle reaches off the screen");
        return;
    }
    s->budget -= (i64)width * height;
    for (u32 row = 0; row < height; row++) {
        u8 *to = s->vga.memory + (size_t)(y + row) * pitch + (size_t)x * bytes;

        for (u32 i = 0; i < width * bytes; i++)
            to[i] = (u8)(colour >> 8 * (i % bytes));
    }
    svga_update(s, x, y, width, height);
}

void svga_rect_copy(const struct svga_cmd *c)
{
    struct svga *s = c->s;
    const u32 *a = c->arg;
    u32 bytes = svga_format_bytes(svga_mode_format(s)), pitch = svga_pitch(s);
    u32 width = a[4], height = a[5];

    if (!svga_rect_lies(s, a[0], a[1], width, height) ||
        !svga_rect_lies(s, a[2], a[3], width, height)) {
        guest_error(&s->vga.dev, "a copied rectangle reaches off the screen");
        return;
    }
    s->budget -= (i64)width * height;
    for (u32 i = 0; i < height; i++) { /* from below when it moves down */
        u32 row = a[3] > a[1] ? height - 1 - i : i;

        memmove(s->vga.memory + (size_t)(a[3] + row) * pitch + (size_t)a[2] * bytes,
                s->vga.memory + (size_t)(a[1] + row) * pitch + (size_t)a[0] * bytes,
                (size_t)width * bytes);
    }
    svga_update(s, a[2], a[3], width, height);
}
