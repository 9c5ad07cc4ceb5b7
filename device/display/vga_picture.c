/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is on the screen: the cells of a text mode, and pixels of every mode.  After the IBM
 * VGA's register descriptions.  Left out: split screen, panning, blinking.
 */
#include "base/bytes.h"
#include "device/display/vga_int.h"
#include "machine/machine.h"
#include <errno.h>
#include <stdlib.h>

static bool vga_is_over(const struct vga *v)
{
    return v->over && v->over->is_on(v);
}

static bool vga_is_text(const struct vga *v)
{
    return !vga_is_over(v) && !vbe_on(v) && !(v->state->gfx[6] & 1);
}

static u32 vga_lines(const struct vga_state *s) /* shown lines of the beam */
{
    return (s->crtc[0x12] | (s->crtc[7] & 2u) << 7 | (s->crtc[7] & 0x40u) << 3) + 1;
}

static u32 vga_start(const struct vga_state *s)
{
    return (u32)s->crtc[0x0c] << 8 | s->crtc[0x0d];
}

static void vga_text_size(const struct vga_state *s, u32 *columns, u32 *rows)
{
    u32 height = (s->crtc[9] & 31u) + 1;

    *columns = (u32)min_u64(s->crtc[1] + 1u, VGA_TEXT_COLUMNS);
    *rows = (u32)min_u64(vga_lines(s) / height, VGA_TEXT_ROWS);
}

/* Character and attribute of a cell; CRTC addresses wrap at 64 Ki. */
static const u8 *vga_cell(const struct vga *v, u32 row, u32 column)
{
    u32 at = vga_start(v->state) + row * v->state->crtc[0x13] * 2u + column;

    return v->memory + 4 * (at & 0xffff);
}

void vga_text(struct device *d, struct vga_text *out)
{
    struct vga *v = (struct vga *)d;
    const struct vga_state *s = v->state;
    u8 *to = out->cell;
    u32 at, pitch;

    domain_lock(d->domain);
    out->graphics = !vga_is_text(v);
    if (!out->graphics) {
        vga_text_size(s, &out->columns, &out->rows);
        for (u32 y = 0; y < out->rows; y++)
            for (u32 x = 0; x < out->columns; x++, to += 2)
                memcpy(to, vga_cell(v, y, x), 2);
        at = (((u32)s->crtc[0x0e] << 8 | s->crtc[0x0f]) - vga_start(s)) & 0xffff;
        pitch = s->crtc[0x13] * 2u;
        out->cursor_row = pitch ? at / pitch : 0;
        out->cursor_column = pitch ? at % pitch : 0;
        out->cursor = !(s->crtc[0x0a] & 0x20) && out->cursor_row < out->rows &&
                      out->cursor_column < out->columns;
    }
    domain_unlock(d->domain);
}

static u32 vga_colour(const struct vga *v, u8 index)
{
    const u8 *c = v->state->dac + (index & v->state->dac_mask) * 3;
    u32 rgb = 0;

    for (u32 i = 0; i < 3; i++) {
        u32 part = c[i];

        if (!(v->state->vbe[VBE_ENABLE] & VBE_DAC8))
            part = (part & 63) << 2 | (part & 63) >> 4;
        rgb = rgb << 8 | part;
    }
    return rgb;
}

/* Four bits of colour go through the attribute controller. */
static u32 vga_colour16(const struct vga *v, u8 four)
{
    const u8 *attr = v->state->attr;
    u8 index = attr[four & 15] & 0x3f;

    if (attr[0x10] & 0x80)
        index = (u8)((index & 15) | (attr[0x14] & 3) << 4);
    return vga_colour(v, (u8)(index | (attr[0x14] & 0xc) << 4));
}

static void vga_glyph(const struct vga *v, u32 row, u32 column, u32 height, u32 wide, u32 *to,
                      u32 pitch)
{
    const u8 *cell = vga_cell(v, row, column);
    u8 select = v->state->seq[3];
    u8 set = cell[1] & 8 ? (u8)((select >> 2 & 3) | (select >> 3 & 4))
                         : (u8)((select & 3) | (select >> 2 & 4));
    u32 font = (set & 3u) * 0x4000 + (set >> 2) * 0x2000u + cell[0] * 32u;
    u32 fore = vga_colour16(v, cell[1] & 15), back = vga_colour16(v, cell[1] >> 4 & 7);

    for (u32 y = 0; y < height; y++, to += pitch) {
        u8 bits = v->memory[4 * (font + (y & 31)) + 2];

        for (u32 x = 0; x < wide; x++) {
            bool on = x < 8 ? bits >> (7 - x) & 1
                            : (cell[0] & 0xe0) == 0xc0 && v->state->attr[0x10] & 4 && bits & 1;

            to[x] = on ? fore : back;
        }
    }
}

static void vga_draw_text(const struct vga *v, struct vga_picture *p)
{
    u32 columns, rows, height = (v->state->crtc[9] & 31u) + 1, wide = v->state->seq[1] & 1 ? 8 : 9;

    vga_text_size(v->state, &columns, &rows);
    for (u32 y = 0; y < rows; y++)
        for (u32 x = 0; x < columns; x++)
            vga_glyph(v, y, x, height, wide, p->pixel + y * height * p->width + x * wide, p->width);
}

/* One pixel of a linear mode. */
static u32 vbe_pixel(const struct vga *v, u64 at, u32 bits)
{
    u32 val;

    if (at + 4 > v->memory_size)
        return 0;
    val = le32(v->memory + at);
    switch (bits) {
    case 8:
        return vga_colour(v, (u8)val);
    case 15:
        return (val & 0x7c00) << 9 | (val & 0x3e0) << 6 | (val & 0x1f) << 3;
    case 16:
        return (val & 0xf800) << 8 | (val & 0x7e0) << 5 | (val & 0x1f) << 3;
    }
    return val & 0xffffff;
}

static u8 vga_planar(const struct vga *v, u64 byte, u32 x) /* the four bits of a pixel */
{
    u32 four = byte < v->memory_size / 4 ? le32(v->memory + 4 * byte) >> (7 - (x & 7)) : 0;

    return (u8)((four & 1) | (four >> 7 & 2) | (four >> 14 & 4) | (four >> 21 & 8));
}

static void vbe_draw(const struct vga *v, struct vga_picture *p)
{
    const u16 *r = v->state->vbe;
    u32 bits = r[VBE_BPP], unit = (bits + 7) / 8, pitch = vbe_pitch(v);

    for (u32 y = 0; y < p->height; y++)
        for (u32 x = 0; x < p->width; x++) {
            u64 line = (u64)(y + r[VBE_Y_OFFSET]) * pitch, column = x + r[VBE_X_OFFSET];

            p->pixel[y * p->width + x] =
                bits == 4 ? vga_colour16(v, vga_planar(v, line + column / 8, (u32)column))
                          : vbe_pixel(v, line + column * unit, bits);
        }
}

/* Graphics of the VGA itself: 256 colours, 16 colours, CGA's 4. */
static void vga_draw(const struct vga *v, struct vga_picture *p, u32 repeat)
{
    const struct vga_state *s = v->state;
    u32 pitch = s->crtc[0x13] * 2u, start = vga_start(s);

    for (u32 y = 0; y < p->height; y++)
        for (u32 x = 0; x < p->width; x++) {
            u32 line = y / repeat, *to = &p->pixel[y * p->width + x];

            if (s->gfx[5] & 0x40) {
                *to = vbe_pixel(v, 4ull * (start + line * pitch) + x / 2, 8);
            } else if (s->gfx[5] & 0x20) {
                u32 at = (line >> 1) * pitch * 2 + (line & 1) * 0x2000 + x / 4;
                u8 byte = v->memory[4 * ((start + at) >> 1 & 0xffff) + (at & 1)];

                *to = vga_colour16(v, byte >> (6 - (x & 3) * 2) & 3);
            } else {
                *to = vga_colour16(v, vga_planar(v, start + (u64)line * pitch + x / 8, x));
            }
        }
}

static void vga_size(const struct vga *v, u32 *width, u32 *height)
{
    const struct vga_state *s = v->state;
    u32 columns, rows;

    if (vbe_on(v)) {
        *width = s->vbe[VBE_XRES];
        *height = s->vbe[VBE_YRES];
    } else if (vga_is_text(v)) {
        vga_text_size(s, &columns, &rows);
        *width = columns * (s->seq[1] & 1 ? 8 : 9);
        *height = rows * ((s->crtc[9] & 31u) + 1);
    } else {
        *width = (s->crtc[1] + 1u) * 8;
        *height = vga_lines(s);
    }
}

static void vga_draw_all(const struct vga *v, struct vga_picture *p)
{
    const struct vga_state *s = v->state;

    if (vbe_on(v))
        vbe_draw(v, p);
    else if (vga_is_text(v))
        vga_draw_text(v, p);
    else
        vga_draw(v, p,
                 (s->crtc[0x17] & 1 ? (s->crtc[9] & 31u) + 1 : 1) * (s->crtc[9] & 0x80 ? 2 : 1));
}

static int vga_shot(struct device *d, struct vga_picture *out, bool news)
{
    struct vga *v = (struct vga *)d;
    int r = 0;

    domain_lock(d->domain);
    if (vga_is_over(v)) {
        v->over->size(v, &out->width, &out->height);
    } else {
        vga_size(v, &out->width, &out->height);
        news = false;
    }
    out->x = out->y = 0;
    out->wide = out->width;
    out->high = out->height;
    if (news)
        v->over->news(v, out);
    out->pixel = calloc((size_t)out->wide * out->high + 1, 4);
    if (!out->pixel)
        r = -ENOMEM;
    else if (vga_is_over(v))
        v->over->draw(v, out);
    else
        vga_draw_all(v, out);
    domain_unlock(d->domain);
    return r;
}

int vga_picture(struct device *d, struct vga_picture *out)
{
    return vga_shot(d, out, false);
}

int vga_news(struct device *d, struct vga_picture *out)
{
    return vga_shot(d, out, true);
}

void vga_pointer(struct device *d, struct vga_pointer *out)
{
    struct vga *v = (struct vga *)d;

    out->shown = false;
    domain_lock(d->domain);
    if (vga_is_over(v) && v->over->pointer)
        v->over->pointer(v, out);
    domain_unlock(d->domain);
}
