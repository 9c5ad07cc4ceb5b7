/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_DISPLAY_VGA_INT_H
#define DEVICE_DISPLAY_VGA_INT_H
#include "device/display/vga.h"

/*
 * Video memory of the plain card; it holds the four planes interleaved: byte n of plane p is at 4 n + p, so that
 * chained modes and the Bochs modes are linear in it.
 */
enum { VGA_MEMORY = 16 << 20, VGA_WINDOW = 0xa0000, VGA_WINDOW_SIZE = 0x20000 };
enum { VGA_SEQ = 5, VGA_CRTC = 25, VGA_GFX = 9, VGA_ATTR = 21, VGA_DAC = 768 };
enum vbe_register {
    VBE_ID,
    VBE_XRES,
    VBE_YRES,
    VBE_BPP,
    VBE_ENABLE,
    VBE_BANK,
    VBE_VIRT_WIDTH,
    VBE_VIRT_HEIGHT,
    VBE_X_OFFSET,
    VBE_Y_OFFSET,
    VBE_MEMORY_64K,
    VBE_COUNT,
};
enum { VBE_ON = 1, VBE_GETCAPS = 2, VBE_DAC8 = 0x20, VBE_LFB = 0x40, VBE_KEEP = 0x80 };

struct vga_state {
    u8 seq[8], crtc[32], gfx[16], attr[32];
    u8 dac[VGA_DAC];
    u8 latch[4];
    u8 seq_index, crtc_index, gfx_index, attr_index;
    u8 dac_read, dac_write, dac_part, dac_mask;
    u8 misc, feature;
    u8 vbe_low;       /* the low byte of a word that comes in two */
    bool attr_data;   /* the next write to 0x3c0 is data */
    bool dac_reading; /* what 0x3c7 tells */
    u8 pad[1];
    u16 vbe_index;
    u16 vbe[VBE_COUNT];
};
extern const struct field vga_state_fields[];

/*
 * The part that all cards share, at the front of theirs.  over: what a card with more than a VGA
 * shows instead of it while is_on; with the domain held.
 */
struct vga;
struct vga_over {
    bool (*is_on)(const struct vga *v);
    void (*size)(struct vga *v, u32 *width, u32 *height);
    /* The rectangle of p, which lies inside of that size, into p->pixel. */
    void (*draw)(struct vga *v, struct vga_picture *p);
    /* The part that may have changed since it was asked last; wide 0: none. */
    void (*news)(struct vga *v, struct vga_picture *p);
    void (*pointer)(struct vga *v, struct vga_pointer *p);
};

struct vga {
    struct device dev;
    struct vga_state *state; /* in that of the card */
    const struct vga_over *over;
    u8 *memory;
    u32 memory_size; /* in units of 64 KiB */
    u32 rom_size;
    u8 *rom;
};

/* vga_registers.c.  rom: "", "none" or a path; rom_names: what "" looks for, NULL ends. */
int vga_init(struct vga *v, u32 size, const char *rom, const char *const *rom_names, struct err *e);
void vga_fini(struct vga *v);
void vga_power_on(struct vga *v, enum reset kind);
int vga_check(const struct vga *v, struct err *e);
u8 vga_get(struct vga *v, u32 port);
void vga_set(struct vga *v, u32 port, u8 val);

/* vga_memory.c: the window at 0xa0000 */
u64 vga_window_load(struct device *d, u32 off, u32 size);
void vga_window_store(struct device *d, u32 off, u32 size, u64 val);

/* vbe.c */
u16 vbe_get(const struct vga *v, u32 index);
void vbe_set(struct vga *v, u32 index, u16 val);
static inline bool vbe_on(const struct vga *v)
{
    return v->state->vbe[VBE_ENABLE] & VBE_ON;
}
u32 vbe_pitch(const struct vga *v); /* bytes of a line */
#endif
