/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/display/svga_rig.h"
#include "tests/check.h"
#include <stdlib.h>

enum { RED = 0xff0000, GREEN = 0xff00, BLUE = 0xff, PAGES = 0x100000, LIST = 0x80000 };

static struct rig r;
static struct device *d;
static struct svga_guest g;
static struct vga_text text;
static struct vga_pointer pointer;

static void begin(void)
{
    static const char *const settings[] = { "rom", "none", "vram", "8000000", NULL };

    rig_start(&r, 16, 1);
    d = rig_device(&r, "svga", settings, NULL);
    svga_guest_open(&g, &r, d);
    memset(g.s->vga.memory, 0, 1 << 20);                   /* what the VGA's text left */
    for (char name[] = "pci.a"; name[4] <= 'd'; name[4]++) /* which one depends on the slot */
        rig_wire(&r, name);
}

static void begin_fifo(void)
{
    begin();
    svga_guest_start(&g, 4 * SVGA_FIFO_WORDS, SVGA_FIFO_SIZE);
}

static bool wire_is_up(void)
{
    bool up = false;

    for (u32 i = 0; i < r.nwires; i++)
        up |= r.wires[i].level;
    return up;
}

static u32 get(u32 reg)
{
    return svga_guest_get(&g, reg);
}

static void set(u32 reg, u32 val)
{
    svga_guest_set(&g, reg, val);
}

static void mode(u32 width, u32 height, u32 bits)
{
    set(SVGA_REG_WIDTH, width);
    set(SVGA_REG_HEIGHT, height);
    set(SVGA_REG_BITS_PER_PIXEL, bits);
}

static u32 pixel(u32 x, u32 y)
{
    struct vga_picture p = { 0 };
    u32 val;

    CHECK_EQ(vga_picture(d, &p), 0);
    val = x < p.width && y < p.height ? p.pixel[y * p.width + x] : ~0u;
    free(p.pixel);
    return val;
}

static void size_is(u32 width, u32 height)
{
    struct vga_picture p = { 0 };

    CHECK_EQ(vga_picture(d, &p), 0);
    CHECK_EQ(p.width, width);
    CHECK_EQ(p.height, height);
    free(p.pixel);
}

/* A fence behind what was put: was it reached? */
static void goes_on(u32 fence)
{
    SVGA_PUT(&g, SVGA_CMD_FENCE, fence);
    svga_guest_sync(&g);
    CHECK_EQ(svga_guest_word(&g, SVGA_FIFO_FENCE), fence);
}

static void versions_are_agreed_on(void)
{
    begin();
    set(SVGA_REG_ID, SVGA_ID(3));
    CHECK_EQ(get(SVGA_REG_ID), SVGA_ID(2));
    set(SVGA_REG_ID, SVGA_ID(1));
    CHECK_EQ(get(SVGA_REG_ID), SVGA_ID(1));
    set(SVGA_REG_PALETTE + 3, 0x55);
    set(SVGA_REG_ID, SVGA_ID(0)); /* the palette stands where capabilities are now */
    CHECK_EQ(get(SVGA_REG_PALETTE_0 + 3), 0x55);
    CHECK_EQ(get(SVGA_REG_PALETTE_0), 0);
    set(SVGA_REG_ID, SVGA_ID(2));
    CHECK(get(SVGA_REG_CAPABILITIES) & SVGA_CAP_GMR2);
    CHECK_EQ(get(SVGA_REG_VRAM_SIZE), 8 << 20);
    CHECK_EQ(get(SVGA_REG_FB_START), rig_bar(d, 1));
    CHECK_EQ(get(SVGA_REG_MEM_START), rig_bar(d, 2));
    CHECK_EQ(get(SVGA_REG_MEM_SIZE), SVGA_FIFO_SIZE);
    CHECK(svga_guest_word(&g, SVGA_FIFO_CAPABILITIES) & SVGA_FIFO_CAP_PITCHLOCK);
    rig_out(&r, g.port, 4, SVGA_REG_SCRATCH);
    rig_out(&r, g.port + 1, 4, 0x12345678);
    rig_out(&r, g.port + 1, 1, 0xff); /* not the width of a register */
    rig_out(&r, g.port + 2, 4, 0xffffffff);
    CHECK_EQ(rig_in(&r, g.port + 1, 4), 0x12345678);
    CHECK_EQ(rig_in(&r, g.port, 4), SVGA_REG_SCRATCH);
    CHECK_EQ(rig_pci_get(d, 0, 4), 0x040515ad);
    set(SVGA_REG_DISPLAY_ID, 1);
    set(SVGA_REG_DISPLAY_WIDTH, 640);
    set(SVGA_REG_DISPLAY_ID, SVGA_SCREENS); /* nobody */
    set(SVGA_REG_DISPLAY_WIDTH, 800);
    set(SVGA_REG_DISPLAY_ID, 1);
    CHECK_EQ(get(SVGA_REG_DISPLAY_WIDTH), 640);
    CHECK_EQ(get(5000), 0);
    rig_stop(&r);
}

static void a_vga_until_it_is_on(void)
{
    begin();
    rig_store(&r, 0xb8000, 2, 0x1f41);
    vga_text(d, &text);
    CHECK(!text.graphics);
    CHECK_EQ(text.cell[0], 'A');
    mode(64, 32, 32);
    set(SVGA_REG_ENABLE, SVGA_ENABLE | SVGA_ENABLE_HIDE);
    vga_text(d, &text);
    CHECK(!text.graphics);
    set(SVGA_REG_ENABLE, SVGA_ENABLE);
    vga_text(d, &text);
    CHECK(text.graphics);
    size_is(64, 32);
    set(SVGA_REG_ENABLE, 0);
    size_is(720, 400);
    rig_stop(&r);
}

static void every_depth_is_shown(void)
{
    u8 *m;

    begin();
    m = g.s->vga.memory;
    set(SVGA_REG_ENABLE, 1);
    mode(32, 16, 8);
    CHECK_EQ(get(SVGA_REG_PSEUDOCOLOR), 1);
    CHECK_EQ(get(SVGA_REG_DEPTH), 8);
    CHECK_EQ(get(SVGA_REG_BYTES_PER_LINE), 32);
    for (u32 i = 0; i < 3; i++)
        set(SVGA_REG_PALETTE + 3 * 7 + i, 0x10 * (i + 1));
    m[33] = 7;
    CHECK_EQ(pixel(1, 1), 0x102030);
    mode(32, 16, 15);
    CHECK_EQ(get(SVGA_REG_RED_MASK), 0x7c00);
    CHECK_EQ(get(SVGA_REG_DEPTH), 15);
    put_le16(m + 64 + 2, 0x7fff);
    put_le16(m + 64 + 4, 0x03e0);
    CHECK_EQ(pixel(1, 1), 0xffffff);
    CHECK_EQ(pixel(2, 1), GREEN);
    mode(32, 16, 16);
    CHECK_EQ(get(SVGA_REG_GREEN_MASK), 0x7e0);
    put_le16(m + 64 + 2, 0xf800);
    CHECK_EQ(pixel(1, 1), RED);
    mode(32, 16, 24);
    CHECK_EQ(get(SVGA_REG_BYTES_PER_LINE), 96);
    m[96 + 3] = 0xff;
    m[96 + 4] = m[96 + 5] = 0;
    CHECK_EQ(pixel(1, 1), BLUE);
    mode(32, 16, 32);
    CHECK_EQ(get(SVGA_REG_BLUE_MASK), 0xff);
    CHECK_EQ(get(SVGA_REG_DEPTH), 24);
    set(SVGA_REG_PITCHLOCK, 256);
    CHECK_EQ(get(SVGA_REG_BYTES_PER_LINE), 256);
    put_le32(m + 256 + 4, 0xaa123456);
    CHECK_EQ(pixel(1, 1), 0x123456);
    set(SVGA_REG_PITCHLOCK, 5); /* less than a line */
    CHECK_EQ(get(SVGA_REG_BYTES_PER_LINE), 128);
    mode(0, SVGA_MAX_HEIGHT + 1, 17); /* none of these */
    CHECK_EQ(get(SVGA_REG_WIDTH), 32);
    CHECK_EQ(get(SVGA_REG_HEIGHT), 16);
    CHECK_EQ(get(SVGA_REG_BITS_PER_PIXEL), 32);
    set(SVGA_REG_PITCHLOCK, 0);
    mode(SVGA_MAX_WIDTH, SVGA_MAX_HEIGHT, 32); /* more than there is memory: black below */
    CHECK_EQ(pixel(0, SVGA_MAX_HEIGHT - 1), 0);
    rig_stop(&r);
}

static void fences_and_interrupts(void)
{
    begin_fifo();
    goes_on(1);
    CHECK(!wire_is_up()); /* nothing is let through */
    set(SVGA_REG_IRQMASK, SVGA_IRQ_FENCE_GOAL);
    svga_guest_word_set(&g, SVGA_FIFO_FENCE_GOAL, 3);
    goes_on(2);
    CHECK(!wire_is_up());
    goes_on(3);
    CHECK(wire_is_up());
    CHECK_EQ(rig_in(&r, g.port + SVGA_PORT_IRQ, 4), SVGA_IRQ_FENCE_GOAL);
    rig_out(&r, g.port + SVGA_PORT_IRQ, 4, SVGA_IRQ_FENCE_GOAL);
    CHECK(!wire_is_up());
    set(SVGA_REG_IRQMASK, SVGA_IRQ_ANY_FENCE | SVGA_IRQ_FIFO_PROGRESS);
    goes_on(4);
    CHECK_EQ(rig_in(&r, g.port + SVGA_PORT_IRQ, 4), SVGA_IRQ_ANY_FENCE | SVGA_IRQ_FIFO_PROGRESS);
    set(SVGA_REG_IRQMASK, 0);
    CHECK(!wire_is_up());
    svga_guest_word_set(&g, SVGA_FIFO_BUSY, 1); /* as new drivers do: no register is read */
    SVGA_PUT(&g, SVGA_CMD_FENCE, 5);
    set(SVGA_REG_SYNC, 1);
    rig_lane(&r);
    CHECK_EQ(svga_guest_word(&g, SVGA_FIFO_FENCE), 5);
    CHECK_EQ(svga_guest_word(&g, SVGA_FIFO_BUSY), 0);
    rig_stop(&r);
}

static void commands_come_in_pieces(void)
{
    begin();
    svga_guest_start(&g, 4 * SVGA_FIFO_WORDS, 4 * SVGA_FIFO_WORDS + 40);
    for (u32 i = 0; i < 9; i++) { /* round the ring, word by word */
        SVGA_PUT(&g, SVGA_CMD_FENCE);
        svga_guest_sync(&g);
        CHECK_EQ(svga_guest_word(&g, SVGA_FIFO_FENCE), i);
        SVGA_PUT(&g, i + 1);
        svga_guest_sync(&g);
        CHECK_EQ(svga_guest_word(&g, SVGA_FIFO_FENCE), i + 1);
        SVGA_PUT(&g, SVGA_CMD_UPDATE, 0, 0, 1, 1);
    }
    svga_guest_sync(&g);
    SVGA_PUT(&g, SVGA_CMD_ESCAPE, 0, 1000); /* longer than the ring: it cannot ever be there */
    svga_guest_sync(&g);
    CHECK_EQ(svga_guest_word(&g, SVGA_FIFO_STOP), svga_guest_word(&g, SVGA_FIFO_NEXT));
    goes_on(100);
    rig_stop(&r);
}

static void nonsense_is_survived(void)
{
    static const u32 bad[][4] = { { 0, 4096, 0, 0 },
                                  { 2048, SVGA_FIFO_SIZE + 4, 2048, 2048 },
                                  { 4096, 2048, 4096, 4096 },
                                  { 2048, 4096, 2050, 2048 },
                                  { 2048, 4096, 4096, 2048 },
                                  { 2048, 4096, 2048, 0 },
                                  { 0xfffffffc, 0xfffffff8, 0xfffffff4, 0xfffffff0 } };

    begin_fifo();
    for (u32 i = 0; i < LEN(bad); i++) {
        for (u32 k = 0; k < 4; k++)
            svga_guest_word_set(&g, k, bad[i][k]);
        svga_guest_sync(&g);
    }
    svga_guest_start(&g, 4 * SVGA_FIFO_WORDS, SVGA_FIFO_SIZE);
    SVGA_PUT(&g, 1040, 8, 1, 2); /* 3D: skipped by its size */
    SVGA_PUT(&g, 1041, 5, 1, 2); /* rounded up */
    goes_on(1);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_BITMAP, 1, 33, 2, 0, 0, 0, 0);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_PIXMAP_SCANLINE, 1, 3, 1, 16, 0, 0, 0);
    SVGA_PUT(&g, SVGA_CMD_SURFACE_ALPHA_BLEND, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    SVGA_PUT(&g, SVGA_CMD_ESCAPE, 0, 5, 1, 2);
    SVGA_PUT(&g, SVGA_CMD_NOP, SVGA_CMD_NOP_ERROR, SVGA_CMD_ANNOTATION_COPY, 1, 2, 3);
    goes_on(2);
    SVGA_PUT(&g, 77, SVGA_CMD_FENCE, 9, 1, 2); /* unknown: the rest goes with it */
    svga_guest_sync(&g);
    CHECK_EQ(svga_guest_word(&g, SVGA_FIFO_FENCE), 2);
    goes_on(3);
    SVGA_PUT(&g, SVGA_CMD_UPDATE, ~0u, ~0u, ~0u, ~0u);
    SVGA_PUT(&g, SVGA_CMD_RECT_COPY, 0, 0, ~0u, 5, 3, 3);
    SVGA_PUT(&g, SVGA_CMD_RECT_FILL, 0, 1, 1, ~0u, 2);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_CURSOR, 0, 0, 0, 1 << 20, 1 << 20, 32, 32);
    svga_guest_sync(&g);
    goes_on(4);
    rig_stop(&r);
}

/* A driver of old: four words, then commands; it writes to SYNC only when it must. */
static void old_guests_have_no_more_words(void)
{
    begin();
    svga_guest_start(&g, 16, 16 + 4096);
    for (u32 i = 0; i < 200; i++)
        SVGA_PUT(&g, SVGA_CMD_UPDATE, 0, 0, 1, 1);
    CHECK_EQ(svga_guest_word(&g, 4), SVGA_CMD_UPDATE); /* no capability went over it */
    rig_clock(&r, 60000000);
    rig_lane(&r);
    CHECK_EQ(svga_guest_word(&g, SVGA_FIFO_STOP), svga_guest_word(&g, SVGA_FIFO_NEXT));
    CHECK_EQ(svga_guest_word(&g, 4), SVGA_CMD_UPDATE);
    SVGA_PUT(&g, SVGA_CMD_FENCE, 1);
    svga_guest_sync(&g);
    CHECK_EQ(svga_guest_word(&g, SVGA_FIFO_STOP), svga_guest_word(&g, SVGA_FIFO_NEXT));
    rig_stop(&r);
}

static void rectangles_are_filled_and_copied(void)
{
    begin_fifo();
    mode(64, 64, 32);
    SVGA_PUT(&g, SVGA_CMD_RECT_FILL, RED, 10, 10, 4, 4);
    SVGA_PUT(&g, SVGA_CMD_RECT_ROP_FILL, GREEN, 10, 13, 4, 1, SVGA_ROP_COPY);
    SVGA_PUT(&g, SVGA_CMD_RECT_COPY, 10, 10, 11, 11, 4, 4); /* over itself */
    goes_on(1);
    CHECK_EQ(pixel(10, 10), RED);
    CHECK_EQ(pixel(9, 10), 0);
    CHECK_EQ(pixel(11, 13), RED);
    CHECK_EQ(pixel(11, 14), GREEN);
    CHECK_EQ(pixel(14, 14), GREEN);
    CHECK_EQ(pixel(15, 14), 0);
    CHECK_EQ(pixel(10, 13), GREEN);
    mode(64, 64, 16);
    SVGA_PUT(&g, SVGA_CMD_RECT_FILL, 0x1f, 0, 0, 2, 1);
    goes_on(2);
    CHECK_EQ(pixel(1, 0), BLUE);
    rig_stop(&r);
}

/* ---- regions and screens ---- */

static void screen_at(u32 id, u32 flags, u32 width, u32 height, u32 x, u32 y, u32 offset)
{
    SVGA_PUT(&g, SVGA_CMD_DEFINE_SCREEN, 44, id, flags | SVGA_SCREEN_MUST, width, height, x, y,
             (u32)SVGA_GMR_FRAMEBUFFER, offset, 4 * width, 0);
}

static void put_page(u32 page, u32 off, u32 val)
{
    u8 b[4];

    put_le32(b, val);
    rig_put(&r, ((u64)page << 12) + off, b, 4);
}

static u32 get_page(u32 page, u32 off)
{
    u8 b[4];

    rig_get(&r, ((u64)page << 12) + off, b, 4);
    return le32(b);
}

static void descriptors_make_regions(void)
{
    begin_fifo();
    put_page(0x100, 0, 0x200); /* two pages, then the next list, then one page */
    put_page(0x100, 4, 2);
    put_page(0x100, 8, 0x101);
    put_page(0x100, 12, 0);
    put_page(0x101, 0, 0x300);
    put_page(0x101, 4, 1);
    put_page(0x101, 8, 0);
    put_page(0x101, 12, 0);
    put_page(0x201, 4092, 0x11);
    put_page(0x300, 0, 0x22);
    set(SVGA_REG_GMR_ID, 5);
    set(SVGA_REG_GMR_DESCRIPTOR, 0x100);
    CHECK_EQ(g.s->state.gmr[5].pages, 3);
    screen_at(0, 0, 16, 2, 0, 0, 0);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMRFB, 5, 8188, 8, 32 | 24 << 8); /* across a page */
    SVGA_PUT(&g, SVGA_CMD_BLIT_GMRFB_TO_SCREEN, 0, 0, 1, 1, 3, 2, 0);
    goes_on(1);
    CHECK_EQ(pixel(1, 1), 0x11);
    CHECK_EQ(pixel(2, 1), 0x22);
    SVGA_PUT(&g, SVGA_CMD_BLIT_GMRFB_TO_SCREEN, 0, 0, 0, 0, 16, 2, 0);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMRFB, 5, 3 * 4096 - 4, 8, 32 | 24 << 8);
    SVGA_PUT(&g, SVGA_CMD_BLIT_GMRFB_TO_SCREEN, 0, 0, 0, 0, 2, 1, 0); /* out of the region */
    goes_on(2);
    put_page(0x101, 8, 0x101); /* a list without an end */
    set(SVGA_REG_GMR_DESCRIPTOR, 0x101);
    CHECK_EQ(g.s->state.gmr[5].pages, 0);
    CHECK_EQ(g.s->state.pool_used, 0);
    put_page(0x101, 4, ~0u); /* more pages than there can be */
    set(SVGA_REG_GMR_DESCRIPTOR, 0x101);
    CHECK_EQ(g.s->state.pool_used, 0);
    set(SVGA_REG_GMR_DESCRIPTOR, 0x100000); /* not RAM */
    set(SVGA_REG_GMR_ID, SVGA_GMRS);
    set(SVGA_REG_GMR_DESCRIPTOR, 0x100);
    CHECK_EQ(g.s->state.pool_used, 0);
    rig_stop(&r);
}

static u32 page_of(u32 id, u32 i)
{
    const struct svga_gmr *m = &g.s->state.gmr[id];

    return i < m->pages ? g.s->tables->page[m->first + i] : 0xdead;
}

static void commands_make_regions(void)
{
    begin_fifo();
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMR2, 1, 4, SVGA_CMD_DEFINE_GMR2, 2, 3, SVGA_CMD_DEFINE_GMR2, 3,
             2);
    SVGA_PUT(&g, SVGA_CMD_REMAP_GMR2, 1, 0, 1, 2, 0x201, 0x202);
    SVGA_PUT(&g, SVGA_CMD_REMAP_GMR2, 2, SVGA_REMAP_PPN64, 0, 3, 0x301, 0, 0x302, 1, 0x303, 0);
    SVGA_PUT(&g, SVGA_CMD_REMAP_GMR2, 3, SVGA_REMAP_SINGLE, 0, 2, 0x404);
    goes_on(1);
    CHECK_EQ(page_of(1, 0), SVGA_NO_PAGE);
    CHECK_EQ(page_of(1, 2), 0x202);
    CHECK_EQ(page_of(2, 0), 0x301);
    CHECK_EQ(page_of(2, 1), SVGA_NO_PAGE); /* beyond what any RAM here reaches */
    CHECK_EQ(page_of(2, 2), 0x303);
    CHECK_EQ(page_of(3, 1), 0x404);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMR2, 2, 0); /* those behind it move down */
    put_page(0x404, 8, 0x501);
    put_page(0x404, 12, 0x502);
    SVGA_PUT(&g, SVGA_CMD_REMAP_GMR2, 1, SVGA_REMAP_VIA_GMR, 2, 2, 3, 8);
    SVGA_PUT(&g, SVGA_CMD_REMAP_GMR2, 1, 0, 3, 2, 7, 7); /* one page too many */
    goes_on(2);
    CHECK_EQ(page_of(1, 3), 0x502);
    CHECK_EQ(page_of(2, 0), 0xdead);
    CHECK_EQ(page_of(3, 0), 0x404);
    CHECK_EQ(g.s->state.pool_used, 6);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMR2, 4, SVGA_GMR_PAGES);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMR2, ~0u, 1);
    SVGA_PUT(&g, SVGA_CMD_REMAP_GMR2, ~0u, 0, ~0u, 0);
    SVGA_PUT(&g, SVGA_CMD_REMAP_GMR2, 1, SVGA_REMAP_VIA_GMR, 0, 4, 3, 0xfffffffc);
    goes_on(3);
    CHECK_EQ(g.s->state.pool_used, 6);
    CHECK_EQ(page_of(1, 3), 0x502);
    rig_stop(&r);
}

static void screens_are_drawn_to_and_from(void)
{
    begin_fifo();
    set(SVGA_REG_TRACES, 0);
    screen_at(0, SVGA_SCREEN_PRIMARY, 40, 20, 0, 0, 0);
    screen_at(1, 0, 20, 20, (u32)-20, 10, 0x10000); /* to the left of it, lower */
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMR2, 0, 1, SVGA_CMD_REMAP_GMR2, 0, 0, 0, 1, 0x200);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMRFB, 0, 0, 64, 16 | 16 << 8);
    put_page(0x200, 0, 0xf800 | 0x07e0 << 16);
    put_page(0x200, 64, 0x001f | 0xffffu << 16);
    SVGA_PUT(&g, SVGA_CMD_BLIT_GMRFB_TO_SCREEN, 0, 0, 3, 4, 5, 6, 0);
    SVGA_PUT(&g, SVGA_CMD_BLIT_GMRFB_TO_SCREEN, 0, 0, (u32)-1, (u32)-1, 1, 1, 1); /* a corner */
    SVGA_PUT(&g, SVGA_CMD_BLIT_GMRFB_TO_SCREEN, 0, 0, (u32)-1, 12, 1, 14, ~0u);   /* over both */
    goes_on(1);
    size_is(60, 30);
    CHECK_EQ(pixel(23, 4), RED);
    CHECK_EQ(pixel(24, 4), GREEN);
    CHECK_EQ(pixel(23, 5), BLUE);
    CHECK_EQ(pixel(24, 5), 0xffffff);
    CHECK_EQ(pixel(25, 5), 0);
    CHECK_EQ(pixel(0, 10), 0xffffff);
    CHECK_EQ(pixel(1, 10), 0);
    CHECK_EQ(pixel(0, 0), 0); /* no screen there */
    CHECK_EQ(pixel(19, 12), RED);
    CHECK_EQ(pixel(20, 12), GREEN);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMRFB, 0, 256, 64, 16 | 15 << 8);
    SVGA_PUT(&g, SVGA_CMD_BLIT_SCREEN_TO_GMRFB, 0, 0, 3, 4, 5, 6, 0);
    goes_on(2);
    CHECK_EQ(get_page(0x200, 256), 0x7c00 | 0x3e0 << 16);
    CHECK_EQ(get_page(0x200, 256 + 64), 0x1f | 0x7fffu << 16);
    screen_at(0, SVGA_SCREEN_BLANKING, 40, 20, 0, 0, 0);
    goes_on(3);
    CHECK_EQ(pixel(23, 4), 0);
    screen_at(0, 0, 40, 20, 0, 0, 0);
    goes_on(4);
    CHECK_EQ(pixel(23, 4), RED); /* it was only not shown */
    SVGA_PUT(&g, SVGA_CMD_DEFINE_SCREEN, 28, 1, SVGA_SCREEN_MUST | SVGA_SCREEN_DEACTIVATE, 20, 20,
             0, 0);
    goes_on(5);
    size_is(40, 20);
    SVGA_PUT(&g, SVGA_CMD_DESTROY_SCREEN, 0, SVGA_CMD_DESTROY_SCREEN, 99);
    goes_on(6);
    CHECK_EQ(pixel(3, 4), 0);
    mode(64, 64, 32); /* back to the framebuffer, where that screen was */
    size_is(64, 64);
    rig_stop(&r);
}

static void screens_must_fit(void)
{
    begin_fifo();
    screen_at(0, 0, 40, 20, 0, 0, (8 << 20) - 40 * 20 * 4 + 4);
    screen_at(1, 0, 0, 20, 0, 0, 0);
    screen_at(2, 0, ~0u, ~0u, 0, 0, 0);
    screen_at(SVGA_SCREENS, 0, 40, 20, 0, 0, 0);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_SCREEN, 44, 3, 1, 4, 4, 0, 0, 5, 0, 16, 0); /* in a region */
    SVGA_PUT(&g, SVGA_CMD_DEFINE_SCREEN, 28, 4, 1, 4, 4, 0, 0);              /* nowhere */
    SVGA_PUT(&g, SVGA_CMD_DEFINE_SCREEN, 0);
    goes_on(1);
    for (u32 i = 0; i < SVGA_SCREENS; i++)
        CHECK(!g.s->state.screen[i].used);
    screen_at(0, 0, 40, 20, 0, 0, (8 << 20) - 40 * 20 * 4);
    screen_at(1, 0, 40, 20, 0x7fffff00, 0x80000000, 0); /* too far to be in one picture */
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMRFB, (u32)SVGA_GMR_FRAMEBUFFER, 0, 64, 8 | 8 << 8);
    SVGA_PUT(&g, SVGA_CMD_BLIT_GMRFB_TO_SCREEN, 0, 0, 0, 0, 4, 4, 0); /* no palette there */
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMRFB, (u32)SVGA_GMR_FRAMEBUFFER, 0, ~0u, 32 | 24 << 8);
    SVGA_PUT(&g, SVGA_CMD_BLIT_GMRFB_TO_SCREEN, 0x80000000, 0x80000000, 0x80000000, 0x80000000,
             0x7fffffff, 0x7fffffff, 0);
    SVGA_PUT(&g, SVGA_CMD_BLIT_SCREEN_TO_GMRFB, 0x7fffffff, 0x7fffffff, 0, 0, 4, 4, ~0u);
    goes_on(2);
    size_is(40, 20);
    rig_stop(&r);
}

static void updates_reach_screens(void)
{
    begin_fifo();
    mode(32, 16, 16);
    put_le16(g.s->vga.memory + 2 * 32 * 3 + 2 * 5, 0xf800);
    screen_at(0, 0, 32, 16, 0, 0, 0x10000);
    SVGA_PUT(&g, SVGA_CMD_UPDATE, 0, 0, 4, 4);
    goes_on(1);
    CHECK_EQ(pixel(5, 3), 0);
    SVGA_PUT(&g, SVGA_CMD_UPDATE_VERBOSE, 4, 3, 400, 1, 0);
    goes_on(2);
    CHECK_EQ(pixel(5, 3), RED);
    rig_stop(&r);
}

static void news_are_what_was_drawn(void)
{
    struct vga_picture p = { 0 };

    begin_fifo();
    mode(64, 32, 32);
    set(SVGA_REG_TRACES, 0);
    CHECK_EQ(vga_news(d, &p), 0);
    CHECK_EQ(p.wide, 64);
    CHECK_EQ(p.high, 32);
    free(p.pixel);
    CHECK_EQ(vga_news(d, &p), 0);
    CHECK_EQ(p.wide, 0);
    free(p.pixel);
    put_le32(g.s->vga.memory + 4 * (64 * 7 + 5), RED);
    SVGA_PUT(&g, SVGA_CMD_UPDATE, 5, 7, 2, 3, SVGA_CMD_UPDATE, 60, 9, 100, 1);
    goes_on(1);
    CHECK_EQ(vga_news(d, &p), 0);
    CHECK_EQ(p.x, 5);
    CHECK_EQ(p.y, 7);
    CHECK_EQ(p.wide, 59);
    CHECK_EQ(p.high, 3);
    CHECK_EQ(p.width, 64);
    CHECK_EQ(p.pixel[0], RED);
    free(p.pixel);
    set(SVGA_REG_TRACES, 1); /* stores show by themselves: anything may be new */
    for (u32 i = 0; i < 2; i++) {
        CHECK_EQ(vga_news(d, &p), 0);
        CHECK_EQ(p.wide, 64);
        free(p.pixel);
    }
    set(SVGA_REG_TRACES, 0);
    screen_at(0, 0, 20, 20, 100, (u32)-50, 0);
    goes_on(2);
    CHECK_EQ(vga_news(d, &p), 0);
    CHECK_EQ(p.wide, 20);
    free(p.pixel);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMRFB, (u32)SVGA_GMR_FRAMEBUFFER, 0x4000, 80, 32 | 24 << 8);
    SVGA_PUT(&g, SVGA_CMD_BLIT_GMRFB_TO_SCREEN, 0, 0, 18, 1, 30, 2, 0);
    goes_on(3);
    CHECK_EQ(vga_news(d, &p), 0);
    CHECK_EQ(p.x, 18);
    CHECK_EQ(p.y, 1);
    CHECK_EQ(p.wide, 2);
    CHECK_EQ(p.high, 1);
    free(p.pixel);
    rig_stop(&r);
}

static void cursors_have_shapes(void)
{
    begin_fifo();
    set(SVGA_REG_CURSOR_ON, SVGA_CURSOR_SHOW);
    vga_pointer(d, &pointer);
    CHECK(!pointer.shown); /* no shape yet */
    SVGA_PUT(&g, SVGA_CMD_DEFINE_CURSOR, 0, 1, 1, 10, 2, 1, 1, 0x40, 0x80, 0xe0, 0x8000);
    goes_on(1);
    set(SVGA_REG_CURSOR_X, 300);
    set(SVGA_REG_CURSOR_Y, 200);
    vga_pointer(d, &pointer);
    CHECK(pointer.shown);
    CHECK_EQ(pointer.width, 10);
    CHECK_EQ(pointer.height, 2);
    CHECK_EQ(pointer.hot_x, 1);
    CHECK_EQ(pointer.x, 300);
    CHECK_EQ(pointer.pixel[0], 0xffffffff); /* and 0, xor 1 */
    CHECK_EQ(pointer.pixel[1], 0xff000000); /* and 1, xor 1: would invert */
    CHECK_EQ(pointer.pixel[2], 0xffffffff);
    CHECK_EQ(pointer.pixel[3], 0xff000000);
    CHECK_EQ(pointer.pixel[10], 0);          /* and 1, xor 0 */
    CHECK_EQ(pointer.pixel[18], 0xffffffff); /* in its second byte */
    SVGA_PUT(&g, SVGA_CMD_DEFINE_CURSOR, 0, 0, 0, 2, 1, 1, 32, 0x40, RED, 0);
    goes_on(2);
    vga_pointer(d, &pointer);
    CHECK_EQ(pointer.pixel[0], 0xff000000 | RED);
    CHECK_EQ(pointer.pixel[1], 0);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_ALPHA_CURSOR, 0, 0, 0, 2, 1, 0x80400000, 0x12345678);
    goes_on(3);
    vga_pointer(d, &pointer);
    CHECK_EQ(pointer.pixel[0], 0x80400000);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_ALPHA_CURSOR, 0, 2, 0, 2, 1, 0, 0); /* its hot spot is not in it */
    goes_on(4);
    vga_pointer(d, &pointer);
    CHECK(!pointer.shown);
    rig_stop(&r);
}

static void cursors_move_in_three_ways(void)
{
    begin_fifo();
    SVGA_PUT(&g, SVGA_CMD_DEFINE_ALPHA_CURSOR, 0, 0, 0, 1, 1, ~0u);
    SVGA_PUT(&g, SVGA_CMD_MOVE_CURSOR, 3, 4, SVGA_CMD_DISPLAY_CURSOR, 0, 1);
    goes_on(1);
    vga_pointer(d, &pointer);
    CHECK(pointer.shown);
    CHECK_EQ(pointer.y, 4);
    set(SVGA_REG_CURSOR_ON, SVGA_CURSOR_REMOVE);
    vga_pointer(d, &pointer);
    CHECK(!pointer.shown);
    set(SVGA_REG_CURSOR_ON, SVGA_CURSOR_RESTORE);
    svga_guest_word_set(&g, SVGA_FIFO_CURSOR_ON, 1);
    svga_guest_word_set(&g, SVGA_FIFO_CURSOR_X, 30);
    svga_guest_word_set(&g, SVGA_FIFO_CURSOR_Y, 40);
    vga_pointer(d, &pointer);
    CHECK_EQ(pointer.x, 3); /* it counts when its count moves */
    svga_guest_word_set(&g, SVGA_FIFO_CURSOR_COUNT, 1);
    vga_pointer(d, &pointer);
    CHECK_EQ(pointer.x, 30);
    screen_at(0, 0, 64, 64, 100, 100, 0);
    screen_at(1, 0, 64, 64, 164, 100, 0x10000);
    svga_guest_word_set(&g, SVGA_FIFO_CURSOR_SCREEN, 1);
    svga_guest_word_set(&g, SVGA_FIFO_CURSOR_COUNT, 2);
    goes_on(2);
    vga_pointer(d, &pointer);
    CHECK_EQ(pointer.x, 94); /* of a picture that starts at 100 */
    CHECK_EQ(pointer.y, 40);
    rig_stop(&r);
}

/* In the middle of everything, with commands that were not looked at yet. */
static void it_moves_whole(void)
{
    static const char *const settings[] = { "rom", "none", "vram", "8000000", NULL };
    static struct rig to;

    begin_fifo();
    set(SVGA_REG_IRQMASK, SVGA_IRQ_ANY_FENCE);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMR2, 7, 1, SVGA_CMD_REMAP_GMR2, 7, 0, 0, 1, 0x200);
    screen_at(0, 0, 16, 16, 0, 0, 0x1000);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_ALPHA_CURSOR, 0, 0, 0, 1, 1, ~0u);
    SVGA_PUT(&g, SVGA_CMD_DEFINE_GMRFB, 7, 0, 64, 32 | 24 << 8);
    goes_on(1);
    CHECK(wire_is_up());
    put_page(0x200, 0, RED);
    svga_guest_word_set(&g, SVGA_FIFO_CURSOR_ON, 1);
    svga_guest_word_set(&g, SVGA_FIFO_CURSOR_X, 9);
    svga_guest_word_set(&g, SVGA_FIFO_CURSOR_COUNT, 1);
    SVGA_PUT(&g, SVGA_CMD_BLIT_GMRFB_TO_SCREEN, 0, 0, 2, 2, 3, 3, 0, SVGA_CMD_FENCE);
    rig_pause(&r);
    rig_start(&to, 16, 1);
    d = rig_device(&to, "svga", settings, NULL);
    rig_move(&r, &to);
    rig_stop(&r);
    g.r = &to; /* the guest goes on there */
    g.s = (struct svga *)d;
    size_is(16, 16);
    CHECK_EQ(rig_in(&to, g.port + SVGA_PORT_IRQ, 4), SVGA_IRQ_ANY_FENCE);
    SVGA_PUT(&g, 2);
    svga_guest_sync(&g);
    CHECK_EQ(svga_guest_word(&g, SVGA_FIFO_FENCE), 2);
    CHECK_EQ(pixel(2, 2), RED);
    vga_pointer(d, &pointer);
    CHECK(pointer.shown);
    CHECK_EQ(pointer.x, 9);
    rig_stop(&to);
}

int main(void)
{
    CASE(versions_are_agreed_on);
    CASE(a_vga_until_it_is_on);
    CASE(every_depth_is_shown);
    CASE(fences_and_interrupts);
    CASE(commands_come_in_pieces);
    CASE(nonsense_is_survived);
    CASE(old_guests_have_no_more_words);
    CASE(rectangles_are_filled_and_copied);
    CASE(descriptors_make_regions);
    CASE(commands_make_regions);
    CASE(screens_are_drawn_to_and_from);
    CASE(screens_must_fit);
    CASE(updates_reach_screens);
    CASE(news_are_what_was_drawn);
    CASE(cursors_have_shapes);
    CASE(cursors_move_in_three_ways);
    CASE(it_moves_whole);
    return check_end();
}
