/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_DISPLAY_VGA_H
#define DEVICE_DISPLAY_VGA_H
#include "machine/device.h"

/*
 * What a "vga" device shows now.  Both take the device's domain themselves: VM thread, no
 * domain held.
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

struct vga_picture {
    u32 width, height;
    u32 *pixel; /* 0x00rrggbb, by rows of `width`; free() it */
};
int vga_picture(struct device *d, struct vga_picture *out); /* 0 or -ENOMEM */
#endif
