/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "device/display/vga.h"
#include "tests/check.h"
#include "tests/rig.h"

static struct rig r;
static struct device *d;
static struct vga_text text;

static void begin(void)
{
    static const char *const settings[] = { "rom", "none", NULL };

    rig_start(&r, 16, 1);
    d = rig_device(&r, "vga", settings, NULL);
    rig_pci_enable(&r, d);
}

static void set(u16 port, u8 index, u8 val)
{
    rig_out(&r, port, 2, (u64)val << 8 | index);
}

static void attr(u8 index, u8 val)
{
    rig_in(&r, 0x3da, 1);
    rig_out(&r, 0x3c0, 1, index);
    rig_out(&r, 0x3c0, 1, val);
}

static void vbe(u16 index, u16 val)
{
    rig_out(&r, 0x1ce, 2, index);
    rig_out(&r, 0x1cf, 2, val);
}

static u64 vbe_read(u16 index)
{
    rig_out(&r, 0x1ce, 2, index);
    return rig_in(&r, 0x1cf, 2);
}

/* 640 by 480, 16 colours, planar: what the modes have in common */
static void planar(void)
{
    set(0x3c4, 4, 6);
    set(0x3c4, 2, 15);
    set(0x3ce, 5, 0);
    set(0x3ce, 6, 5);
    set(0x3ce, 1, 0);
    set(0x3ce, 3, 0);
    set(0x3ce, 8, 0xff);
}

static u64 plane(u8 n, u32 off)
{
    set(0x3ce, 5, 0);
    set(0x3ce, 4, n);
    return rig_load(&r, 0xa0000 + off, 1);
}

static void starts_in_text(void)
{
    begin();
    vga_text(d, &text);
    CHECK(!text.graphics);
    CHECK_EQ(text.columns, 80);
    CHECK_EQ(text.rows, 25);
    CHECK_EQ(text.cell[0], ' ');
    rig_store(&r, 0xb8000, 2, 0x1f41);
    rig_store(&r, 0xb8000 + 2 * (24 * 80 + 79), 4, 0x1234025a); /* two cells, one off screen */
    CHECK_EQ(rig_load(&r, 0xb8000, 4), 0x07201f41);
    set(0x3d4, 0x0e, 2);
    set(0x3d4, 0x0f, 0x80 + 3);
    vga_text(d, &text);
    CHECK_EQ(text.cell[0], 'A');
    CHECK_EQ(text.cell[1], 0x1f);
    CHECK_EQ(text.cell[2 * (24 * 80 + 79)], 'Z');
    CHECK(text.cursor);
    CHECK_EQ(text.cursor_row, 8);
    CHECK_EQ(text.cursor_column, 3);
    set(0x3d4, 0x0d, 80); /* a line up */
    vga_text(d, &text);
    CHECK_EQ(text.cell[0], ' ');
    CHECK_EQ(text.cell[2 * (23 * 80 + 79)], 'Z');
    CHECK_EQ(text.cursor_row, 7);
    set(0x3d4, 0x0a, 0x2d);
    vga_text(d, &text);
    CHECK(!text.cursor);
    CHECK_EQ(rig_load(&r, 0xa0000, 1), 0xff); /* the window is at 0xb8000 */
    rig_stop(&r);
}

static void write_mode_0(void)
{
    begin();
    planar();
    rig_store(&r, 0xa0000, 1, 0xa5);
    for (u8 i = 0; i < 4; i++)
        CHECK_EQ(plane(i, 0), 0xa5);
    set(0x3c4, 2, 5); /* planes 0 and 2 */
    rig_store(&r, 0xa0000, 1, 0);
    CHECK_EQ(plane(0, 0), 0);
    CHECK_EQ(plane(1, 0), 0xa5);
    set(0x3c4, 2, 15);
    set(0x3ce, 0, 2); /* set/reset: plane 1 on, plane 0 off, the others by the processor */
    set(0x3ce, 1, 3);
    set(0x3ce, 3, 1); /* rotated by one */
    rig_store(&r, 0xa0000, 1, 0x81);
    CHECK_EQ(plane(0, 0), 0);
    CHECK_EQ(plane(1, 0), 0xff);
    CHECK_EQ(plane(2, 0), 0xc0);
    set(0x3ce, 1, 0);
    set(0x3ce, 3, 0x18); /* exclusive or with the latches, through a mask */
    set(0x3ce, 8, 0x0f);
    CHECK_EQ(plane(2, 0), 0xc0);
    rig_store(&r, 0xa0000, 1, 0xff);
    CHECK_EQ(plane(2, 0), 0xcf);
    CHECK_EQ(plane(1, 0), 0xf0);
    rig_stop(&r);
}

static void write_modes_1_to_3(void)
{
    begin();
    planar();
    for (u8 i = 0; i < 4; i++) {
        set(0x3c4, 2, (u8)(1 << i));
        rig_store(&r, 0xa0010, 1, 0x10 + i);
    }
    set(0x3c4, 2, 15);
    rig_load(&r, 0xa0010, 1);
    set(0x3ce, 5, 1); /* copy by the latches */
    rig_store(&r, 0xa0020, 1, 0xee);
    for (u8 i = 0; i < 4; i++)
        CHECK_EQ(plane(i, 0x20), 0x10 + i);
    set(0x3ce, 8, 0xf0);
    rig_load(&r, 0xa0020, 1);
    set(0x3ce, 5, 2); /* a colour, through the mask */
    rig_store(&r, 0xa0020, 1, 0x05);
    CHECK_EQ(plane(0, 0x20), 0xf0);
    CHECK_EQ(plane(1, 0x20), 0x01);
    CHECK_EQ(plane(2, 0x20), 0xf2);
    rig_load(&r, 0xa0020, 1);
    set(0x3ce, 0, 2);
    set(0x3ce, 8, 0x3f);
    set(0x3ce, 5, 3); /* set/reset where mask and data say */
    rig_store(&r, 0xa0020, 1, 0xf1);
    CHECK_EQ(plane(0, 0x20), 0xc0);
    CHECK_EQ(plane(1, 0x20), 0x31);
    rig_stop(&r);
}

static void read_mode_1(void)
{
    begin();
    planar();
    set(0x3c4, 2, 1);
    rig_store(&r, 0xa0000, 1, 0xf0);
    set(0x3c4, 2, 14);
    rig_store(&r, 0xa0000, 1, 0x3c);
    set(0x3ce, 5, 8);
    set(0x3ce, 2, 1); /* colour 1: plane 0 alone */
    set(0x3ce, 7, 15);
    CHECK_EQ(rig_load(&r, 0xa0000, 1), 0xc0);
    set(0x3ce, 7, 1); /* only plane 0 counts */
    CHECK_EQ(rig_load(&r, 0xa0000, 1), 0xf0);
    set(0x3ce, 7, 0);
    CHECK_EQ(rig_load(&r, 0xa0000, 1), 0xff);
    rig_stop(&r);
}

static void chained(void)
{
    begin();
    set(0x3c4, 4, 14);
    set(0x3c4, 2, 15);
    set(0x3ce, 5, 0x40);
    set(0x3ce, 6, 5);
    rig_store(&r, 0xa0001, 4, 0x44332211);
    CHECK_EQ(rig_load(&r, 0xa0000, 8), 0x074433221120);
    CHECK_EQ(rig_load(&r, rig_bar(d, 0), 1), 0xff); /* RAM is no region */
    set(0x3c4, 2, 1);
    rig_store(&r, 0xa0000, 4, 0xffffffff);
    CHECK_EQ(rig_load(&r, 0xa0000, 4), 0x332211ff);
    CHECK_EQ(rig_load(&r, 0xb0000, 1), 0xff);
    rig_stop(&r);
}

static void registers(void)
{
    begin();
    set(0x3d4, 0x11, 0x0e); /* unlock */
    set(0x3d4, 1, 0x27);
    CHECK_EQ(rig_in(&r, 0x3d5, 1), 0x27);
    set(0x3d4, 0x11, 0x8e);
    set(0x3d4, 1, 0x4f);
    CHECK_EQ(rig_in(&r, 0x3d5, 1), 0x27);
    CHECK_EQ(rig_in(&r, 0x3b5, 1), 0xff); /* colour: nobody there */
    rig_out(&r, 0x3c2, 1, 0x66);
    CHECK_EQ(rig_in(&r, 0x3b5, 1), 0x27);
    CHECK_EQ(rig_in(&r, 0x3d5, 1), 0xff);
    CHECK_EQ(rig_in(&r, 0x3cc, 1), 0x66);
    rig_out(&r, 0x3c2, 1, 0x67);
    attr(0x31, 5);
    rig_in(&r, 0x3da, 1);
    rig_out(&r, 0x3c0, 1, 0x11);
    CHECK_EQ(rig_in(&r, 0x3c1, 1), 5);
    rig_out(&r, 0x3c8, 1, 10);
    for (u32 i = 0; i < 6; i++)
        rig_out(&r, 0x3c9, 1, i + 1);
    rig_out(&r, 0x3c7, 1, 11);
    CHECK_EQ(rig_in(&r, 0x3c7, 1), 3);
    CHECK_EQ(rig_in(&r, 0x3c9, 1), 4);
    CHECK_EQ(rig_in(&r, 0x3c9, 1), 5);
    rig_stop(&r);
}

static void retrace_comes_and_goes(void)
{
    u32 on = 0, off = 0;

    begin();
    for (u32 i = 0; i < 1000; i++) {
        bool now = rig_in(&r, 0x3da, 1) & 8;

        on += now;
        off += !now;
        rig_clock(&r, 20000);
    }
    CHECK(on > 0 && off > on);
    rig_stop(&r);
}

static void bochs_modes(void)
{
    struct vga_picture p;
    u64 io = 0;

    begin();
    CHECK_EQ(vbe_read(0), 0xb0c5);
    CHECK_EQ(vbe_read(10), 256);
    vbe(4, 2);
    CHECK_EQ(vbe_read(3), 32); /* what it can */
    vbe(4, 0);
    vbe(1, 64);
    vbe(2, 32);
    vbe(3, 16);
    vbe(4, 0x41);
    CHECK_EQ(vbe_read(6), 64);
    CHECK_EQ(vbe_read(7), (16 << 20) / 128 > 65535 ? 65535 : (16 << 20) / 128);
    vga_text(d, &text);
    CHECK(text.graphics);
    vbe(5, 0); /* through the bank: pixel 1 red, pixel 64 blue */
    rig_store(&r, 0xa0002, 2, 0xf800);
    rig_store(&r, 0xa0080, 2, 0x001f);
    CHECK_EQ(vga_picture(d, &p), 0);
    CHECK_EQ(p.width, 64);
    CHECK_EQ(p.height, 32);
    CHECK_EQ(p.pixel[0], 0);
    CHECK_EQ(p.pixel[1], 0xf80000);
    CHECK_EQ(p.pixel[64], 0xf8);
    free(p.pixel);
    vbe(9, 1);
    CHECK_EQ(vga_picture(d, &p), 0);
    CHECK_EQ(p.pixel[0], 0xf8);
    free(p.pixel);
    vbe(1, 5000); /* refused */
    CHECK_EQ(vbe_read(1), 64);
    vbe(3, 17);
    CHECK_EQ(vbe_read(3), 16);
    io = rig_bar(d, 2);
    CHECK_EQ(rig_load(&r, io + 0x500, 2), 0xb0c5);
    CHECK_EQ(rig_load(&r, io + 0x600, 4), 8);
    rig_store(&r, io + 0x508, 2, 0);
    vga_text(d, &text);
    CHECK_EQ(vbe_read(4), 0);
    rig_stop(&r);
}

static void wild_registers(void)
{
    u32 seed = 7;

    begin();
    for (u32 i = 0; i < 20000; i++) {
        seed = seed * 1103515245 + 12345;
        if (seed >> 30)
            rig_out(&r, (u16)(0x3b0 + (seed >> 8) % 0x30), 1, seed >> 16);
        else
            rig_store(&r, 0xa0000 + (seed >> 4) % 0x20000, 1 << (seed >> 22 & 3), seed);
        if (i % 500 == 0) {
            struct vga_picture p;

            vbe((u16)(seed >> 8) % 11, (u16)(seed >> 12));
            vga_text(d, &text);
            CHECK(text.graphics || text.columns * text.rows * 2 <= sizeof(text.cell));
            CHECK_EQ(vga_picture(d, &p), 0);
            free(p.pixel);
        }
    }
    rig_stop(&r);
}

int main(void)
{
    CASE(starts_in_text);
    CASE(write_mode_0);
    CASE(write_modes_1_to_3);
    CASE(read_mode_1);
    CASE(chained);
    CASE(registers);
    CASE(retrace_comes_and_goes);
    CASE(bochs_modes);
    CASE(wild_registers);
    return check_end();
}
