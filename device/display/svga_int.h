/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_DISPLAY_SVGA_INT_H
#define DEVICE_DISPLAY_SVGA_INT_H
#include "device/display/svga_wire.h"
#include "device/display/vga_int.h"

enum { SVGA_MAX_WIDTH = 3840, SVGA_MAX_HEIGHT = 2400, SVGA_MAX_EXTENT = 8192 };
enum { SVGA_FIFO_SIZE = 256 << 10, SVGA_SCREENS = 10, SVGA_SCRATCH = 64 };
enum { SVGA_GMRS = 1024, SVGA_GMR_PAGES = 128 << 10, SVGA_DESCRIPTORS = 1 << 16 };
static const u32 SVGA_NO_PAGE = ~0u;

/*
 * A guest memory region: its pages are `pages` entries of the pool from `first` on.  Those of
 * all regions lie in the pool without overlap, below pool_used.
 */
struct svga_gmr {
    u32 first, pages;
};

/*
 * A screen object that is used lies whole in video memory, 32 bits a pixel, `pitch` bytes a
 * line: at least 4 a pixel.  x, y: signed.
 */
struct svga_screen {
    u32 used, flags, width, height, x, y, offset, pitch;
};

struct svga_display { /* what the guest told of a monitor by registers */
    u32 primary, x, y, width, height;
};

struct svga_state {
    struct vga_state vga[1];
    u8 pad[2];
    u32 id, index, enable, width, height, bits, config_done, guest_id, pitchlock, traces;
    u32 irq_mask, irq_status;
    u32 num_guest_displays, display_id, gmr_id;
    u32 objects;    /* screens come from DEFINE_SCREEN, not from the mode registers */
    u32 asks_first; /* the guest looks at the FIFO's busy word and then writes to SYNC */
    u32 cursor_id, cursor_on, cursor_x, cursor_y;
    u32 cursor_count; /* of the FIFO's cursor words, when they were looked at last */
    u32 cursor_hot_x, cursor_hot_y, cursor_width, cursor_height;
    u32 gmrfb_id, gmrfb_offset, gmrfb_pitch, gmrfb_format;
    u32 pool_used;
    struct svga_display display[SVGA_SCREENS];
    struct svga_screen screen[SVGA_SCREENS];
    u32 scratch[SVGA_SCRATCH];
    u8 palette[SVGA_PALETTE_SIZE];
    struct svga_gmr gmr[SVGA_GMRS];
};

/* What the guest made that is too large for the state; saved as memory of the device. */
struct svga_tables {
    u32 page[SVGA_GMR_PAGES]; /* page numbers of guest memory, SVGA_NO_PAGE */
    u32 cursor[VGA_POINTER_MAX * VGA_POINTER_MAX];
};

struct svga_rect { /* right and bottom are not in it */
    i64 left, top, right, bottom;
};

struct svga {
    struct vga vga;
    struct svga_config {
        char rom[128];
        u32 vram; /* bytes */
        u8 pad[4];
    } config;
    struct svga_state state;
    struct svga_tables *tables;
    u8 *fifo; /* SVGA_FIFO_SIZE bytes, which the guest writes to at any time */
    struct bell *bell;
    struct timer *poll;
    struct svga_rect news; /* changed since the viewer asked */
    u32 cursor_version;
    i64 budget; /* pixels that this run of the FIFO may still touch */
};

/* svga.c */
void svga_interrupt(struct svga *s, u32 flags);

/* svga_fifo.c */
u32 svga_fifo_get(const struct svga *s, u32 word);
void svga_fifo_put(struct svga *s, u32 word, u32 val);
bool svga_fifo_has(const struct svga *s, u32 word); /* did the guest leave room for that word? */
void svga_fifo_open(struct svga *s);                /* what a guest may read before it is set up */
bool svga_fifo_run(struct svga *s);                 /* true: there is more to do */

/*
 * A command that is in the FIFO whole.  arg: a copy of what comes before its data; the data stay
 * in the guest's hands: each word is read once.
 */
enum { SVGA_ARGS = 12 };
struct svga_cmd {
    struct svga *s;
    u32 data, min, max; /* where in the FIFO, in bytes */
    u32 ndata;          /* words */
    u32 arg[SVGA_ARGS];
};
u32 svga_data(const struct svga_cmd *c, u32 i);

/* svga_gmr.c */
void svga_gmr_describe(struct svga *s, u32 id, u32 ppn);
void svga_gmr_define(struct svga *s, u32 id, u32 pages);
void svga_gmr_remap(const struct svga_cmd *c);
int svga_gmr_read(struct svga *s, u32 id, u64 off, void *to, u32 n);
int svga_gmr_write(struct svga *s, u32 id, u64 off, const void *from, u32 n);
int svga_gmr_check(const struct svga *s, struct err *e);

/* svga_screen.c */
extern const struct vga_over svga_over;
u32 svga_pitch(const struct svga *s); /* of the framebuffer that the registers describe */
void svga_news_all(struct svga *s);
void svga_mode(struct svga *s); /* a mode register was written: no more objects */
void svga_screen_define(const struct svga_cmd *c);
void svga_screen_destroy(struct svga *s, u32 id);
void svga_update(struct svga *s, u32 x, u32 y, u32 width, u32 height);
void svga_blit_to_screen(const struct svga_cmd *c);
void svga_blit_from_screen(const struct svga_cmd *c);
int svga_screen_check(const struct svga *s, struct err *e);

/* svga_draw.c */
struct svga_format { /* of a pixel in the guest's memory */
    u32 bits, depth;
};
u32 svga_format_bytes(struct svga_format f); /* 0: there is no such format */
/* n pixels from guest's format to 0x00rrggbb, and back */
void svga_pixels(const struct svga *s, struct svga_format f, const u8 *from, u32 *to, u32 n);
void svga_pixels_back(struct svga_format f, const u32 *from, u8 *to, u32 n);
void svga_rect_fill(struct svga *s, u32 colour, u32 x, u32 y, u32 width, u32 height);
void svga_rect_copy(const struct svga_cmd *c);

/* svga_cursor.c */
void svga_cursor_define(const struct svga_cmd *c);
void svga_cursor_define_alpha(const struct svga_cmd *c);
void svga_cursor_look(struct svga *s); /* takes over what the FIFO's cursor words say */
void svga_cursor_show(struct svga *s, struct vga_pointer *p);
u64 svga_cursor_words(u32 width, u32 height, u32 bits); /* of one mask or picture */
int svga_cursor_check(const struct svga *s, struct err *e);

static inline struct svga_format svga_mode_format(const struct svga *s)
{
    u32 bits = s->state.bits;

    return (struct svga_format){ bits == 15 ? 16 : bits, bits == 32 ? 24 : bits };
}
#endif
