/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every VGA card has: registers at 0x3b0 to 0x3df, Bochs' VBE at 0x1ce, memory, the video
 * BIOS.
 *
 * After the IBM VGA's register descriptions and Bochs' VBE Display API.  The power-on state
 * is text mode 3, so that a kernel that was started without a video BIOS has a screen.
 * Not modelled: vertical interrupt, light pen, split screen, EDID.
 */
#include "base/bytes.h"
#include "device/display/vga_int.h"
#include "machine/machine.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { VGA_PORTS = 0x3b0, VGA_PORT_COUNT = 0x30, VBE_PORTS = 0x1ce };
enum { MISC_COLOUR = 1, STATUS_RETRACE = 8, STATUS_BLANK = 1 };
enum { FRAME_NS = 16683000, LINE_NS = 31778, LINES = 525, LINES_SHOWN = 480, SHOWN_NS = 25422 };
enum { ROM_LIMIT = 256 << 10 };

/* Where packages put video BIOSes. */
static const char *const vga_folders[] = { "/usr/share/seabios", "/usr/local/share/seabios",
                                           "/usr/share/qemu", "/usr/share/vgabios" };

/* Text mode 3, 80 by 25, 9 by 16 */
static const u8 mode3_seq[VGA_SEQ] = { 3, 0, 3, 0, 2 };
static const u8 mode3_crtc[VGA_CRTC] = { 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
                                         0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
                                         0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff };
static const u8 mode3_gfx[VGA_GFX] = { 0, 0, 0, 0, 0, 0x10, 0x0e, 0x0f, 0xff };
static const u8 mode3_attr[VGA_ATTR] = { 0,    1,    2,    3,    4,    5,    0x14,
                                         7,    0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
                                         0x3e, 0x3f, 0x0c, 0,    0x0f, 8,    0 };

/* The time of the beam decides; guests wait for both edges. */
static u8 vga_status(const struct vga *v)
{
    i64 at = machine_now(v->dev.machine) % FRAME_NS, line = at / LINE_NS;
    u8 val = 0;

    if (line >= LINES_SHOWN + 10 && line < LINES_SHOWN + 12)
        val |= STATUS_RETRACE | STATUS_BLANK;
    if (line >= LINES_SHOWN || at % LINE_NS >= SHOWN_NS)
        val |= STATUS_BLANK;
    return val;
}

static u8 vga_dac_load(struct vga_state *s)
{
    u8 val = s->dac[s->dac_read * 3u + s->dac_part];

    if (++s->dac_part == 3) {
        s->dac_part = 0;
        s->dac_read++;
    }
    return val;
}

static void vga_dac_store(struct vga_state *s, u8 val)
{
    s->dac[s->dac_write * 3u + s->dac_part] = val;
    if (++s->dac_part == 3) {
        s->dac_part = 0;
        s->dac_write++;
    }
}

u8 vga_get(struct vga *v, u32 port)
{
    struct vga_state *s = v->state;

    switch (port) {
    case 0x3c0:
        return s->attr_index;
    case 0x3c1:
        return s->attr[s->attr_index & 31];
    case 0x3c2:
        return 0x10; /* a monitor is there */
    case 0x3c4:
        return s->seq_index;
    case 0x3c5:
        return s->seq[s->seq_index & 7];
    case 0x3c6:
        return s->dac_mask;
    case 0x3c7:
        return s->dac_reading ? 3 : 0;
    case 0x3c8:
        return s->dac_write;
    case 0x3c9:
        return vga_dac_load(s);
    case 0x3ca:
        return s->feature;
    case 0x3cc:
        return s->misc;
    case 0x3ce:
        return s->gfx_index;
    case 0x3cf:
        return s->gfx[s->gfx_index & 15];
    case 0x3d4:
        return s->crtc_index;
    case 0x3d5:
        return s->crtc[s->crtc_index & 31];
    case 0x3da:
        s->attr_data = false;
        return vga_status(v);
    }
    return 0xff;
}

static void vga_attr_store(struct vga_state *s, u8 val)
{
    if (!s->attr_data)
        s->attr_index = val & 0x3f;
    else if ((s->attr_index & 31) < VGA_ATTR)
        s->attr[s->attr_index & 31] = val;
    s->attr_data = !s->attr_data;
}

/* Registers 0 to 7 may be locked by bit 7 of 0x11, but for the line compare bit. */
static void vga_crtc_store(struct vga_state *s, u8 val)
{
    u32 i = s->crtc_index & 31;

    if (s->crtc[0x11] & 0x80 && i < 8) {
        if (i == 7)
            s->crtc[7] = (u8)((s->crtc[7] & ~0x10) | (val & 0x10));
        return;
    }
    if (i < VGA_CRTC)
        s->crtc[i] = val;
}

void vga_set(struct vga *v, u32 port, u8 val)
{
    static const u8 gfx_bits[VGA_GFX] = { 15, 15, 15, 0x1f, 3, 0x7b, 15, 15, 0xff };
    static const u8 seq_bits[VGA_SEQ] = { 3, 0x3d, 15, 0x3f, 14 };
    struct vga_state *s = v->state;

    switch (port) {
    case 0x3c0:
        vga_attr_store(s, val);
        break;
    case 0x3c2:
        s->misc = val & 0xef;
        break;
    case 0x3c4:
        s->seq_index = val & 7;
        break;
    case 0x3c5:
        if (s->seq_index < VGA_SEQ)
            s->seq[s->seq_index] = val & seq_bits[s->seq_index];
        break;
    case 0x3c6:
        s->dac_mask = val;
        break;
    case 0x3c7:
        s->dac_read = val;
        s->dac_part = 0;
        s->dac_reading = true;
        break;
    case 0x3c8:
        s->dac_write = val;
        s->dac_part = 0;
        s->dac_reading = false;
        break;
    case 0x3c9:
        vga_dac_store(s, val);
        break;
    case 0x3ce:
        s->gfx_index = val & 15;
        break;
    case 0x3cf:
        if (s->gfx_index < VGA_GFX)
            s->gfx[s->gfx_index] = val & gfx_bits[s->gfx_index];
        break;
    case 0x3d4:
        s->crtc_index = val;
        break;
    case 0x3d5:
        vga_crtc_store(s, val);
        break;
    case 0x3da:
        s->feature = val & 0x10;
        break;
    }
}

/* The CRTC answers at 0x3bx or at 0x3dx; inside it is 0x3dx.  0: nobody there. */
static u32 vga_port(const struct vga *v, u32 off)
{
    u32 port = VGA_PORTS + off;
    bool low = port < 0x3c0, crtc = low || port >= 0x3d0;

    if (crtc && low == (bool)(v->state->misc & MISC_COLOUR))
        return 0;
    return low ? port + 0x20 : port;
}

static u64 vga_load(struct device *d, u32 off, u32 size)
{
    return vga_get((struct vga *)d, vga_port((struct vga *)d, off));
}

static void vga_store(struct device *d, u32 off, u32 size, u64 val)
{
    vga_set((struct vga *)d, vga_port((struct vga *)d, off), (u8)val);
}

/*
 * Index is the word at 0, data the word at 1 or at 2.  A word at an odd address arrives as
 * two bytes.
 */
static u64 vbe_load(struct device *d, u32 off, u32 size)
{
    struct vga *v = (struct vga *)d;
    u16 val = vbe_get(v, v->state->vbe_index);

    if (off == 0)
        return v->state->vbe_index;
    return size == 1 && off == 2 ? val >> 8 : val;
}

static void vbe_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct vga *v = (struct vga *)d;

    if (off == 0 && size == 2)
        v->state->vbe_index = (u16)val;
    else if (off == 2 && size == 2)
        vbe_set(v, v->state->vbe_index, (u16)val);
    else if (off == 1)
        v->state->vbe_low = (u8)val;
    else if (off == 2)
        vbe_set(v, v->state->vbe_index, (u16)(val << 8 | v->state->vbe_low));
}

static int vga_rom(struct vga *v, const char *path, const char *const *names, struct err *e)
{
    char found[sizeof("/usr/local/share/seabios/") + 64];
    ssize_t n;
    int fd;

    if (!strcmp(path, "none"))
        return 0;
    for (; !*path && *names; names++)
        for (u32 i = 0; i < LEN(vga_folders) && !*path; i++) {
            snprintf(found, sizeof(found), "%s/%s", vga_folders[i], *names);
            if (!access(found, R_OK))
                path = found;
        }
    if (!*path)
        return 0;
    v->rom = malloc(ROM_LIMIT);
    if (!v->rom)
        return err_set(e, -ENOMEM, "no memory for the video BIOS");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    n = read(fd, v->rom, ROM_LIMIT);
    close(fd);
    if (n < 512 || le16(v->rom) != 0xaa55)
        return err_set(e, -EINVAL, "%s: not an expansion ROM (no 55 aa at its start)", path);
    v->rom_size = (u32)n;
    return 0;
}

static int vga_regions(struct device *d, struct err *e)
{
    struct region r = { .name = "vga",
                        .base = VGA_PORTS,
                        .len = VGA_PORT_COUNT,
                        .min = 1,
                        .max = 1,
                        .load = vga_load,
                        .store = vga_store,
                        .dev = d };
    struct region vbe = { .name = "vbe",
                          .base = VBE_PORTS,
                          .len = 4,
                          .min = 1,
                          .max = 2,
                          .load = vbe_load,
                          .store = vbe_store,
                          .dev = d };
    struct region window = { .name = "vga window",
                             .base = VGA_WINDOW,
                             .len = VGA_WINDOW_SIZE,
                             .min = 1,
                             .max = 1,
                             .load = vga_window_load,
                             .store = vga_window_store,
                             .dev = d };
    int err = space_add(machine_ports(d->machine), &r, NULL, e);

    err = err ? err : space_add(machine_ports(d->machine), &vbe, NULL, e);
    return err ? err : space_add(machine_memory(d->machine), &window, NULL, e);
}

int vga_init(struct vga *v, u32 size, const char *rom, const char *const *rom_names, struct err *e)
{
    struct device *d = &v->dev;
    int r;

    v->memory_size = size;
    v->memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (v->memory == MAP_FAILED) {
        v->memory = NULL;
        return err_set(e, -ENOMEM, "no memory for video memory");
    }
    r = device_memory(d, "vram", v->memory, size);
    r = r ? r : vga_rom(v, rom, rom_names, e);
    return r ? r : vga_regions(d, e);
}

void vga_fini(struct vga *v)
{
    free(v->rom);
    if (v->memory)
        munmap(v->memory, v->memory_size);
    v->memory = NULL;
    v->rom = NULL;
}

/* The first 64 colours of a VGA: two bits each of red, green, blue. */
static void vga_colours(struct vga_state *s)
{
    for (u32 i = 0; i < 64; i++)
        for (u32 c = 0; c < 3; c++)
            s->dac[i * 3 + c] = (u8)((i >> (2 - c) & 1) * 0x2a + (i >> (5 - c) & 1) * 0x15);
}

void vga_power_on(struct vga *v, enum reset kind)
{
    struct vga_state *s = v->state;

    *s = (struct vga_state){ .misc = 0x67, .attr_index = 0x20, .dac_mask = 0xff };
    memcpy(s->seq, mode3_seq, sizeof(mode3_seq));
    memcpy(s->crtc, mode3_crtc, sizeof(mode3_crtc));
    memcpy(s->gfx, mode3_gfx, sizeof(mode3_gfx));
    memcpy(s->attr, mode3_attr, sizeof(mode3_attr));
    s->vbe[VBE_ID] = 0xb0c5;
    s->vbe[VBE_BPP] = 8;
    vga_colours(s);
    if (kind == RESET_POWER)
        for (u32 i = 0; i < 0x20000; i += 4) /* blanks, light grey */
            put_le32(v->memory + i, 0x0720);
}

int vga_check(const struct vga *v, struct err *e)
{
    const struct vga_state *s = v->state;

    if (s->dac_part > 2)
        return err_set(e, -EBADMSG, "palette byte %u of 3", s->dac_part);
    if (s->vbe[VBE_XRES] > 4096 || s->vbe[VBE_YRES] > 4096 || s->vbe[VBE_BPP] > 32 ||
        s->vbe[VBE_BANK] >= v->memory_size >> 16)
        return err_set(e, -EBADMSG, "mode %u x %u x %u, bank %u", s->vbe[VBE_XRES],
                       s->vbe[VBE_YRES], s->vbe[VBE_BPP], s->vbe[VBE_BANK]);
    return 0;
}

const struct field vga_state_fields[] = {
    FIELDS(1, struct vga_state, seq, 0, "sequencer"),
    FIELDS(2, struct vga_state, crtc, 0, "CRT controller"),
    FIELDS(3, struct vga_state, gfx, 0, "graphics controller"),
    FIELDS(4, struct vga_state, attr, 0, "attribute controller"),
    FIELDS(5, struct vga_state, dac, 0, "palette, red green blue"),
    FIELDS(6, struct vga_state, latch, 0, "latches of the four planes"),
    FIELD(7, struct vga_state, seq_index, 0, "0x3c4"),
    FIELD(8, struct vga_state, crtc_index, 0, "0x3d4"),
    FIELD(9, struct vga_state, gfx_index, 0, "0x3ce"),
    FIELD(10, struct vga_state, attr_index, 0, "0x3c0"),
    FIELD(11, struct vga_state, dac_read, 0, "palette read index"),
    FIELD(12, struct vga_state, dac_write, 0, "palette write index"),
    FIELD(13, struct vga_state, dac_part, 0, "which of three bytes"),
    FIELD(14, struct vga_state, dac_mask, 0, "0x3c6"),
    FIELD(15, struct vga_state, misc, 0, "miscellaneous output"),
    FIELD(16, struct vga_state, feature, 0, "feature control"),
    FIELD(17, struct vga_state, vbe_low, 0, "first byte of a VBE word"),
    FIELD(18, struct vga_state, attr_data, 0, "next write to 0x3c0 is data"),
    FIELD(19, struct vga_state, dac_reading, 0, "palette is being read"),
    FIELDS(0, struct vga_state, pad, F_LOCAL, "none"),
    FIELD(20, struct vga_state, vbe_index, 0, "0x1ce"),
    FIELDS(21, struct vga_state, vbe, 0, "Bochs VBE registers"),
    FIELD_END,
};
