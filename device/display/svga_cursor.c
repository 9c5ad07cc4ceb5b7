/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cursor of SVGA II: its shape comes by a command, as masks or with alpha; its place by
 * registers (bypass 1, 2), by words of the FIFO (bypass 3) or by a command of old.
 */
#include "base/bytes.h"
#include "device/display/svga_int.h"
#include "machine/machine.h"
#include <errno.h>
#include <string.h>

enum { MAX = VGA_POINTER_MAX };

u64 svga_cursor_words(u32 width, u32 height, u32 bits)
{
    u64 line = ((u64)width * (bits & 0xff) + 31) / 32;

    return line > UINT32_MAX / 64 ? UINT32_MAX : line * height;
}

static bool svga_cursor_begin(struct svga *s, const u32 *arg)
{
    struct svga_state *t = &s->state;

    s->cursor_version++;
    t->cursor_width = t->cursor_height = 0;
    if (!arg[3] || arg[3] > MAX || !arg[4] || arg[4] > MAX || arg[1] >= arg[3] ||
        arg[2] >= arg[4]) {
        guest_error(&s->vga.dev, "cursor of %u by %u, hot spot at %u, %u", arg[3], arg[4], arg[1],
                    arg[2]);
        return false;
    }
    t->cursor_hot_x = arg[1];
    t->cursor_hot_y = arg[2];
    t->cursor_width = arg[3];
    t->cursor_height = arg[4];
    return true;
}

/* A line of a mask from word `at` of the data: 0x00rrggbb, or 0 and all ones from one bit. */
static void svga_mask_line(const struct svga_cmd *c, u32 at, u32 bits, u32 *to)
{
    u32 width = c->arg[3];
    u8 line[4 * MAX];

    for (u32 i = 0; i < (width * bits + 31) / 32; i++)
        put_le32(line + 4 * i, svga_data(c, at + i));
    if (bits == 1)
        for (u32 x = 0; x < width; x++)
            to[x] = line[x / 8] >> (7 - x % 8) & 1 ? 0xffffff : 0;
    else
        svga_pixels(c->s, (struct svga_format){ bits == 15 ? 16 : bits, bits == 32 ? 24 : bits },
                    line, to, width);
}

/* What would invert the screen is black: there is no such pixel elsewhere. */
void svga_cursor_define(const struct svga_cmd *c)
{
    const u32 *arg = c->arg;
    u32 and_bits = arg[5], xor_bits = arg[6], clear[MAX], colour[MAX];
    u32 and_line = (u32)svga_cursor_words(arg[3], 1, and_bits);
    u32 xor_line = (u32)svga_cursor_words(arg[3], 1, xor_bits);

    if (!svga_cursor_begin(c->s, arg))
        return;
    if ((and_bits != 1 && !svga_format_bytes((struct svga_format){ and_bits, and_bits })) ||
        (xor_bits != 1 && !svga_format_bytes((struct svga_format){ xor_bits, xor_bits }))) {
        guest_error(&c->s->vga.dev, "cursor with masks of %u and %u bits", and_bits, xor_bits);
        c->s->state.cursor_width = c->s->state.cursor_height = 0;
        return;
    }
    for (u32 y = 0; y < arg[4]; y++) {
        svga_mask_line(c, y * and_line, and_bits, clear);
        svga_mask_line(c, arg[4] * and_line + y * xor_line, xor_bits, colour);
        for (u32 x = 0; x < arg[3]; x++)
            c->s->tables->cursor[y * arg[3] + x] = !clear[x]   ? 0xff000000 | colour[x]
                                                   : colour[x] ? 0xff000000
                                                               : 0;
    }
}

void svga_cursor_define_alpha(const struct svga_cmd *c)
{
    if (!svga_cursor_begin(c->s, c->arg))
        return;
    for (u32 i = 0; i < c->arg[3] * c->arg[4]; i++)
        c->s->tables->cursor[i] = svga_data(c, i);
}

void svga_cursor_look(struct svga *s)
{
    struct svga_state *t = &s->state;
    u32 count;

    if (!t->config_done || !svga_fifo_has(s, SVGA_FIFO_CURSOR_COUNT))
        return;
    count = svga_fifo_get(s, SVGA_FIFO_CURSOR_COUNT);
    if (count == t->cursor_count)
        return;
    t->cursor_count = count;
    t->cursor_on = svga_fifo_get(s, SVGA_FIFO_CURSOR_ON);
    t->cursor_x = svga_fifo_get(s, SVGA_FIFO_CURSOR_X);
    t->cursor_y = svga_fifo_get(s, SVGA_FIFO_CURSOR_Y);
    if (svga_fifo_has(s, SVGA_FIFO_CURSOR_SCREEN)) { /* its place may be one on a screen */
        u32 id = svga_fifo_get(s, SVGA_FIFO_CURSOR_SCREEN);

        if (id < SVGA_SCREENS && t->screen[id].used) {
            t->cursor_x += t->screen[id].x;
            t->cursor_y += t->screen[id].y;
        }
    }
}

void svga_cursor_show(struct svga *s, struct vga_pointer *p)
{
    const struct svga_state *t = &s->state;

    svga_cursor_look(s);
    p->shown = t->cursor_width &&
               (t->cursor_on == SVGA_CURSOR_SHOW || t->cursor_on == SVGA_CURSOR_RESTORE);
    p->version = s->cursor_version;
    p->x = (i32)t->cursor_x;
    p->y = (i32)t->cursor_y;
    p->hot_x = t->cursor_hot_x;
    p->hot_y = t->cursor_hot_y;
    p->width = t->cursor_width;
    p->height = t->cursor_height;
    memcpy(p->pixel, s->tables->cursor, (size_t)p->width * p->height * 4);
}

int svga_cursor_check(const struct svga *s, struct err *e)
{
    const struct svga_state *t = &s->state;

    if (t->cursor_width > MAX || t->cursor_height > MAX ||
        (t->cursor_width &&
         (t->cursor_hot_x >= t->cursor_width || t->cursor_hot_y >= t->cursor_height)))
        return err_set(e, -EBADMSG, "cursor of %u by %u, hot spot at %u, %u", t->cursor_width,
                       t->cursor_height, t->cursor_hot_x, t->cursor_hot_y);
    return 0;
}
