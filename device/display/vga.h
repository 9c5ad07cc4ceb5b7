/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_DISPLAY_VGA_H
#define DEVICE_DISPLAY_VGA_H
#include "machine/device.h"

/*
 * What a VGA card shows now.  All take the device's domain themselves: any thread that holds
 * none.
 */
enum { VGA_TEXT_COLUMNS = 160, VGA_TEXT_ROWS = 100 };

struct vga_text {
    bool graphics; /* no text mode: the rest is not set */
    u32 columns, rows;
    bool cursor;
    u32 cursor_column, cursor_row;
    u8 cell[VGA_TEXT_ROWS * VGA_TEXT_COLUMNS * 2]; /* character (CP437), attribute; by rows of
                                                      `columns` cells */
};
void vga_text(struct device *d, struct vga_text *out);

/*
 * wide by high pixels from x, y of a screen of width by height.  pixel: 0x00rrggbb, by rows of
 * `wide`; free() it.
 */
struct vga_picture {
    u32 width, height;
    u32 x, y, wide, high;
    u32 *pixel;
};
int vga_picture(struct device *d, struct vga_picture *out); /* all of it: 0 or -ENOMEM */
/* For one caller: what may have changed since its last call; wide 0: nothing has. */
int vga_news(struct device *d, struct vga_picture *out);

/* The pointer that the card lays over the picture. */
enum { VGA_POINTER_MAX = 128 };
struct vga_pointer {
    bool shown;
    u32 version; /* another one: the shape is another one */
    i32 x, y;    /* of the hot spot on the screen */
    u32 hot_x, hot_y, width, height;
    u32 pixel[VGA_POINTER_MAX *
              VGA_POINTER_MAX]; /* 0xaarrggbb, colours multiplied by aa, by rows */
};
void vga_pointer(struct device *d, struct vga_pointer *out);
#endif
