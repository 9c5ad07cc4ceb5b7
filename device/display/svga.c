/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware SVGA II (15ad:0405), its two-dimensional part: registers behind an index and a value
 * port, video memory in BAR 1, a FIFO of commands in BAR 2, a VGA with Bochs' VBE beside it.
 *
 * After the reference of VMware's SVGA developer kit.  Left out: 3D, guest-backed objects and
 * command buffers, video overlays: none of these is offered.  One monitor; a guest may still
 * define several screens.
 */
#include "base/bytes.h"
#include "bus/pci.h"
#include "device/display/svga_int.h"
#include "machine/machine.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum { VRAM_MIN = 4 << 20, VRAM_MAX = 128 << 20, VRAM_DEFAULT = 16 << 20 };
enum { FIRST_WIDTH = 1024, FIRST_HEIGHT = 768, HOST_BITS = 32, POLL_NS = 50000000 };
enum {
    SVGA_CAPS = SVGA_CAP_RECT_COPY | SVGA_CAP_CURSOR | SVGA_CAP_CURSOR_BYPASS |
                SVGA_CAP_CURSOR_BYPASS_2 | SVGA_CAP_8BIT_EMULATION | SVGA_CAP_ALPHA_CURSOR |
                SVGA_CAP_EXTENDED_FIFO | SVGA_CAP_MULTIMON | SVGA_CAP_PITCHLOCK | SVGA_CAP_IRQMASK |
                SVGA_CAP_DISPLAY_TOPOLOGY | SVGA_CAP_GMR | SVGA_CAP_TRACES | SVGA_CAP_GMR2 |
                SVGA_CAP_SCREEN_OBJECT_2,
};

void svga_interrupt(struct svga *s, u32 flags)
{
    s->state.irq_status |= flags & s->state.irq_mask;
    pci_level(&s->vga.dev, s->state.irq_status & s->state.irq_mask);
}

static u32 svga_bar(struct svga *s, u32 index)
{
    return le32(pci_config(&s->vga.dev) + 0x10 + 4 * index) & ~15u;
}

/* ---- the FIFO's time ---- */

static void svga_bell(struct device *d, u32 index)
{
    struct svga *s = (struct svga *)d;

    if (svga_fifo_run(s))
        bell_ring(s->bell);
}

/* Drivers that do not know of the busy word write to SYNC only when they must wait. */
static bool svga_polls(const struct svga *s)
{
    return s->state.config_done && s->state.enable & SVGA_ENABLE && !s->state.asks_first;
}

static void svga_poll(struct device *d)
{
    struct svga *s = (struct svga *)d;

    if (!svga_polls(s))
        return;
    bell_ring(s->bell);
    timer_set(s->poll, machine_now(d->machine) + POLL_NS);
}

static void svga_poll_start(struct svga *s)
{
    if (svga_polls(s))
        timer_set(s->poll, machine_now(s->vga.dev.machine) + POLL_NS);
    else
        timer_stop(s->poll);
}

static void svga_sync(struct svga *s)
{
    if (s->state.config_done && svga_fifo_has(s, SVGA_FIFO_BUSY) &&
        svga_fifo_get(s, SVGA_FIFO_BUSY))
        s->state.asks_first = 1;
    bell_ring(s->bell);
}

/* ---- registers ---- */

static u32 svga_mask(const struct svga *s, u32 which)
{
    static const u32 masks[][3] = { { 0x7c00, 0x3e0, 0x1f },
                                    { 0xf800, 0x7e0, 0x1f },
                                    { 0xff0000, 0xff00, 0xff } };

    if (s->state.bits == 8)
        return 0;
    return masks[s->state.bits == 15 ? 0 : s->state.bits == 16 ? 1 : 2][which];
}

static u32 *svga_display(struct svga *s, u32 reg)
{
    struct svga_display *d;

    if (s->state.display_id >= SVGA_SCREENS)
        return NULL;
    d = &s->state.display[s->state.display_id];
    switch (reg) {
    case SVGA_REG_DISPLAY_IS_PRIMARY:
        return &d->primary;
    case SVGA_REG_DISPLAY_POSITION_X:
        return &d->x;
    case SVGA_REG_DISPLAY_POSITION_Y:
        return &d->y;
    case SVGA_REG_DISPLAY_WIDTH:
        return &d->width;
    }
    return &d->height;
}

/* Registers that hold what was written to them. */
static u32 *svga_plain(struct svga *s, u32 reg)
{
    struct svga_state *t = &s->state;

    switch (reg) {
    case SVGA_REG_ID:
        return &t->id;
    case SVGA_REG_ENABLE:
        return &t->enable;
    case SVGA_REG_WIDTH:
        return &t->width;
    case SVGA_REG_HEIGHT:
        return &t->height;
    case SVGA_REG_BITS_PER_PIXEL:
        return &t->bits;
    case SVGA_REG_CONFIG_DONE:
        return &t->config_done;
    case SVGA_REG_GUEST_ID:
        return &t->guest_id;
    case SVGA_REG_CURSOR_ID:
        return &t->cursor_id;
    case SVGA_REG_CURSOR_X:
        return &t->cursor_x;
    case SVGA_REG_CURSOR_Y:
        return &t->cursor_y;
    case SVGA_REG_CURSOR_ON:
        return &t->cursor_on;
    case SVGA_REG_PITCHLOCK:
        return &t->pitchlock;
    case SVGA_REG_IRQMASK:
        return &t->irq_mask;
    case SVGA_REG_NUM_GUEST_DISPLAYS:
        return &t->num_guest_displays;
    case SVGA_REG_DISPLAY_ID:
        return &t->display_id;
    case SVGA_REG_DISPLAY_IS_PRIMARY:
    case SVGA_REG_DISPLAY_POSITION_X:
    case SVGA_REG_DISPLAY_POSITION_Y:
    case SVGA_REG_DISPLAY_WIDTH:
    case SVGA_REG_DISPLAY_HEIGHT:
        return svga_display(s, reg);
    case SVGA_REG_GMR_ID:
        return &t->gmr_id;
    case SVGA_REG_TRACES:
        return &t->traces;
    }
    if (reg >= SVGA_REG_SCRATCH && reg < SVGA_REG_SCRATCH + SVGA_SCRATCH)
        return &t->scratch[reg - SVGA_REG_SCRATCH];
    return NULL;
}

/* Where the palette starts depends on the version that the guest chose. */
static u8 *svga_palette(struct svga *s, u32 reg)
{
    u32 first = s->state.id == SVGA_ID(0) ? SVGA_REG_PALETTE_0 : SVGA_REG_PALETTE;

    return reg >= first && reg < first + SVGA_PALETTE_SIZE ? &s->state.palette[reg - first] : NULL;
}

/* Registers that only tell. */
static u32 svga_fact(struct svga *s, u32 reg)
{
    switch (reg) {
    case SVGA_REG_MAX_WIDTH:
        return SVGA_MAX_WIDTH;
    case SVGA_REG_MAX_HEIGHT:
        return SVGA_MAX_HEIGHT;
    case SVGA_REG_DEPTH:
        return svga_mode_format(s).depth;
    case SVGA_REG_PSEUDOCOLOR:
        return s->state.bits == 8;
    case SVGA_REG_RED_MASK:
    case SVGA_REG_GREEN_MASK:
    case SVGA_REG_BLUE_MASK:
        return svga_mask(s, reg - SVGA_REG_RED_MASK);
    case SVGA_REG_BYTES_PER_LINE:
        return svga_pitch(s);
    case SVGA_REG_FB_START:
        return svga_bar(s, 1);
    case SVGA_REG_VRAM_SIZE:
    case SVGA_REG_FB_SIZE:
        return s->vga.memory_size;
    case SVGA_REG_CAPABILITIES:
        return SVGA_CAPS;
    case SVGA_REG_MEM_START:
        return svga_bar(s, 2);
    case SVGA_REG_MEM_SIZE:
        return SVGA_FIFO_SIZE;
    case SVGA_REG_BUSY:
        return svga_fifo_run(s);
    case SVGA_REG_HOST_BITS_PER_PIXEL:
        return HOST_BITS;
    case SVGA_REG_SCRATCH_SIZE:
        return SVGA_SCRATCH;
    case SVGA_REG_MEM_REGS:
        return SVGA_FIFO_WORDS;
    case SVGA_REG_NUM_DISPLAYS:
        return 1;
    case SVGA_REG_GMR_MAX_IDS:
        return SVGA_GMRS;
    case SVGA_REG_GMR_MAX_DESCRIPTOR_LENGTH:
        return SVGA_DESCRIPTORS;
    case SVGA_REG_GMRS_MAX_PAGES:
        return SVGA_GMR_PAGES;
    case SVGA_REG_MEMORY_SIZE:
        return s->vga.memory_size + ((u32)SVGA_GMR_PAGES << 12);
    }
    return 0;
}

static u32 svga_get(struct svga *s, u32 reg)
{
    const u8 *colour = svga_palette(s, reg);
    const u32 *plain = svga_plain(s, reg);

    return colour ? *colour : plain ? *plain : svga_fact(s, reg);
}

static void svga_enable(struct svga *s, u32 val)
{
    s->state.enable = val & (SVGA_ENABLE | SVGA_ENABLE_HIDE);
    if (!(val & SVGA_ENABLE))
        svga_mode(s);
    svga_news_all(s);
    svga_poll_start(s);
}

static void svga_configure(struct svga *s, u32 val)
{
    s->state.config_done = val & 1;
    s->state.asks_first = 0;
    if (s->state.config_done)
        svga_fifo_open(s);
    svga_news_all(s);
    svga_poll_start(s);
}

static void svga_set_mode(struct svga *s, u32 reg, u32 val)
{
    bool fits = reg == SVGA_REG_WIDTH    ? val && val <= SVGA_MAX_WIDTH
                : reg == SVGA_REG_HEIGHT ? val && val <= SVGA_MAX_HEIGHT
                : reg == SVGA_REG_BITS_PER_PIXEL
                    ? val == 8 || val == 15 || val == 16 || val == 24 || val == 32
                    : val <= 4 * SVGA_MAX_EXTENT;

    if (!fits) {
        guest_error(&s->vga.dev, "mode register %u cannot be %u", reg, val);
        return;
    }
    *svga_plain(s, reg) = val;
    svga_mode(s);
}

static void svga_set(struct svga *s, u32 reg, u32 val)
{
    u8 *colour = svga_palette(s, reg);
    u32 *plain = svga_plain(s, reg);

    if (colour) {
        *colour = (u8)val;
        svga_news_all(s);
        return;
    }
    switch (reg) {
    case SVGA_REG_ID: /* a version that we do not know is not taken */
        if (val >= SVGA_ID(0) && val <= SVGA_ID(2))
            s->state.id = val;
        return;
    case SVGA_REG_ENABLE:
        svga_enable(s, val);
        return;
    case SVGA_REG_CONFIG_DONE:
        svga_configure(s, val);
        return;
    case SVGA_REG_SYNC:
        svga_sync(s);
        return;
    case SVGA_REG_WIDTH:
    case SVGA_REG_HEIGHT:
    case SVGA_REG_BITS_PER_PIXEL:
    case SVGA_REG_PITCHLOCK:
        svga_set_mode(s, reg, val);
        return;
    case SVGA_REG_GMR_DESCRIPTOR:
        svga_gmr_describe(s, s->state.gmr_id, val);
        return;
    }
    if (plain)
        *plain = val;
    if (reg == SVGA_REG_IRQMASK)
        svga_interrupt(s, 0);
    if (reg == SVGA_REG_TRACES)
        svga_news_all(s);
}

/* The value port is a word at an odd address; bytes and half words reach nothing. */
static u64 svga_load(struct device *d, u32 off, u32 size)
{
    struct svga *s = (struct svga *)d;

    if (size != 4)
        return 0;
    switch (off) {
    case SVGA_PORT_INDEX:
        return s->state.index;
    case SVGA_PORT_VALUE:
        return svga_get(s, s->state.index);
    case SVGA_PORT_IRQ:
        return s->state.irq_status;
    }
    return 0;
}

static void svga_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct svga *s = (struct svga *)d;

    if (size != 4)
        return;
    switch (off) {
    case SVGA_PORT_INDEX:
        s->state.index = (u32)val;
        break;
    case SVGA_PORT_VALUE:
        svga_set(s, s->state.index, (u32)val);
        break;
    case SVGA_PORT_IRQ: /* ones are put out */
        s->state.irq_status &= ~(u32)val;
        svga_interrupt(s, 0);
        break;
    }
}

/* ---- life ---- */

static void svga_free(struct svga *s)
{
    if (s->fifo)
        munmap(s->fifo, SVGA_FIFO_SIZE);
    if (s->tables)
        munmap(s->tables, sizeof(*s->tables));
    s->fifo = NULL;
    s->tables = NULL;
    vga_fini(&s->vga);
}

static void *svga_memory(struct svga *s, const char *name, size_t n)
{
    void *p =
        mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED || device_memory(&s->vga.dev, name, p, n) ? NULL : p;
}

static int svga_plug(struct svga *s, struct err *e)
{
    struct pci_bar bars[] = {
        { .index = 0,
          .space = PCI_PORTS,
          .size = 16,
          .min = 1,
          .max = 4,
          .load = svga_load,
          .store = svga_store,
          .unaligned = true },
        { .index = 1,
          .space = PCI_MEM32,
          .size = s->vga.memory_size,
          .prefetch = true,
          .ram = s->vga.memory },
        { .index = 2,
          .space = PCI_MEM32,
          .size = SVGA_FIFO_SIZE,
          .prefetch = true,
          .ram = s->fifo },
        { 0 },
    };
    struct pci_ident id = { .vendor = 0x15ad,
                            .device = 0x0405,
                            .subvendor = 0x15ad,
                            .subdevice = 0x0405,
                            .class = 0x030000,
                            .pin = 1,
                            .bars = bars,
                            .rom = s->vga.rom_size ? s->vga.rom : NULL,
                            .rom_size = s->vga.rom_size };

    return pci_plug(&s->vga.dev, &id, e);
}

static int svga_create(struct device *d, struct err *e)
{
    static const char *const roms[] = { "vgabios-vmware.bin", "vgabios-stdvga.bin", NULL };
    struct svga *s = (struct svga *)d;
    u32 size = VRAM_MIN;
    int r;

    while (size < s->config.vram && size < VRAM_MAX)
        size *= 2;
    s->vga.state = s->state.vga;
    s->vga.over = &svga_over;
    r = vga_init(&s->vga, size, s->config.rom, roms, e);
    if (!r) {
        s->fifo = svga_memory(s, "fifo", SVGA_FIFO_SIZE);
        s->tables = svga_memory(s, "tables", sizeof(*s->tables));
        if (!s->fifo || !s->tables || bell_new(d, svga_bell, 0, &s->bell) ||
            timer_new(d, svga_poll, &s->poll))
            r = err_set(e, -ENOMEM, "no memory for SVGA");
    }
    r = r ? r : svga_plug(s, e);
    if (r)
        svga_free(s);
    return r;
}

static void svga_destroy(struct device *d)
{
    pci_unplug(d);
    svga_free((struct svga *)d);
}

static void svga_reset(struct device *d, enum reset kind)
{
    struct svga *s = (struct svga *)d;

    if (kind == RESET_BUS)
        return;
    if (kind == RESET_SLEEP) { /* drivers set it up but once */
        svga_interrupt(s, 0);
        return;
    }
    s->state = (struct svga_state){ .id = SVGA_ID(2),
                                    .width = FIRST_WIDTH,
                                    .height = FIRST_HEIGHT,
                                    .bits = HOST_BITS,
                                    .traces = 1,
                                    .num_guest_displays = 1,
                                    .display_id = SVGA_SCREENS };
    vga_power_on(&s->vga, kind);
    memset(s->fifo, 0, 4 * SVGA_FIFO_WORDS);
    svga_fifo_put(s, SVGA_FIFO_MIN, 4 * SVGA_FIFO_WORDS); /* so that there is room for the others */
    svga_fifo_open(s);
    timer_stop(s->poll);
    pci_level(d, false);
    svga_news_all(s);
    s->cursor_version++;
}

static void svga_restored(struct device *d)
{
    svga_news_all((struct svga *)d);
    ((struct svga *)d)->cursor_version++;
}

static int svga_check(const struct device *d, struct err *e)
{
    const struct svga *s = (const struct svga *)d;
    const struct svga_state *t = &s->state;
    struct svga_format f = svga_mode_format(s);
    int r = vga_check(&s->vga, e);

    if (!r &&
        (!t->width || t->width > SVGA_MAX_WIDTH || !t->height || t->height > SVGA_MAX_HEIGHT ||
         !svga_format_bytes(f) || t->pitchlock > 4 * SVGA_MAX_EXTENT))
        r = err_set(e, -EBADMSG, "mode %u x %u x %u, lines of %u bytes", t->width, t->height,
                    t->bits, t->pitchlock);
    r = r ? r : svga_gmr_check(s, e);
    r = r ? r : svga_screen_check(s, e);
    return r ? r : svga_cursor_check(s, e);
}

static const struct field config[] = {
    FIELD_TEXT(1, struct svga_config, rom, 0, "path of the video BIOS, or none"),
    FIELD(2, struct svga_config, vram, 0, "bytes of video memory, 4 to 128 MiB, a power of two"),
    FIELDS(0, struct svga_config, pad, F_LOCAL, "none"),
    FIELD_END,
};
static const struct field display[] = {
    FIELD(1, struct svga_display, primary, 0, "the main one"),
    FIELD(2, struct svga_display, x, 0, "position"),
    FIELD(3, struct svga_display, y, 0, "position"),
    FIELD(4, struct svga_display, width, 0, "pixels"),
    FIELD(5, struct svga_display, height, 0, "pixels"),
    FIELD_END,
};
static const struct field screen[] = {
    FIELD(1, struct svga_screen, used, 0, "it is defined"),
    FIELD(2, struct svga_screen, flags, 0, "as defined"),
    FIELD(3, struct svga_screen, width, 0, "pixels"),
    FIELD(4, struct svga_screen, height, 0, "pixels"),
    FIELD(5, struct svga_screen, x, 0, "position, signed"),
    FIELD(6, struct svga_screen, y, 0, "position, signed"),
    FIELD(7, struct svga_screen, offset, 0, "where in video memory"),
    FIELD(8, struct svga_screen, pitch, 0, "bytes a line"),
    FIELD_END,
};
static const struct field gmr[] = {
    FIELD(1, struct svga_gmr, first, 0, "its entries in the table of pages"),
    FIELD(2, struct svga_gmr, pages, 0, "how many"),
    FIELD_END,
};
static const struct field state[] = {
    FIELD_SUB(1, struct svga_state, vga, 0, "the VGA", vga_state_fields),
    FIELDS(0, struct svga_state, pad, F_LOCAL, "none"),
    FIELD(2, struct svga_state, id, 0, "version of the interface"),
    FIELD(3, struct svga_state, index, 0, "register that the value port reaches"),
    FIELD(4, struct svga_state, enable, 0, "1: SVGA, 2: but hidden"),
    FIELD(5, struct svga_state, width, 0, "pixels"),
    FIELD(6, struct svga_state, height, 0, "pixels"),
    FIELD(7, struct svga_state, bits, 0, "of a pixel"),
    FIELD(8, struct svga_state, config_done, 0, "the FIFO is set up"),
    FIELD(9, struct svga_state, guest_id, 0, "what the guest says it is"),
    FIELD(10, struct svga_state, pitchlock, 0, "bytes of a line, 0: by the width"),
    FIELD(11, struct svga_state, traces, 0, "stores to video memory show by themselves"),
    FIELD(12, struct svga_state, irq_mask, 0, "interrupts that are let through"),
    FIELD(13, struct svga_state, irq_status, 0, "interrupts that wait"),
    FIELD(14, struct svga_state, num_guest_displays, 0, "as written"),
    FIELD(15, struct svga_state, display_id, 0, "which display the registers reach"),
    FIELD(16, struct svga_state, gmr_id, 0, "which region the descriptor is for"),
    FIELD(17, struct svga_state, objects, 0, "screens come from commands"),
    FIELD(18, struct svga_state, asks_first, 0, "the guest uses the FIFO's busy word"),
    FIELD(19, struct svga_state, cursor_id, 0, "as written"),
    FIELD(20, struct svga_state, cursor_on, 0, "as written"),
    FIELD(21, struct svga_state, cursor_x, 0, "of its hot spot"),
    FIELD(22, struct svga_state, cursor_y, 0, "of its hot spot"),
    FIELD(23, struct svga_state, cursor_count, 0, "of the FIFO's cursor words"),
    FIELD(24, struct svga_state, cursor_hot_x, 0, "in its shape"),
    FIELD(25, struct svga_state, cursor_hot_y, 0, "in its shape"),
    FIELD(26, struct svga_state, cursor_width, 0, "pixels"),
    FIELD(27, struct svga_state, cursor_height, 0, "pixels"),
    FIELD(28, struct svga_state, gmrfb_id, 0, "the region that blits use"),
    FIELD(29, struct svga_state, gmrfb_offset, 0, "in it"),
    FIELD(30, struct svga_state, gmrfb_pitch, 0, "bytes a line"),
    FIELD(31, struct svga_state, gmrfb_format, 0, "bits, depth"),
    FIELD(32, struct svga_state, pool_used, 0, "entries of the table of pages"),
    FIELD_SUB(33, struct svga_state, display, 0, "displays", display),
    FIELD_SUB(34, struct svga_state, screen, 0, "screens", screen),
    FIELDS(35, struct svga_state, scratch, 0, "the driver's own"),
    FIELDS(36, struct svga_state, palette, 0, "red green blue"),
    FIELD_SUB(37, struct svga_state, gmr, 0, "guest memory regions", gmr),
    FIELD_END,
};

const struct device_class device_svga = {
    .name = "svga",
    .about = "VMware SVGA II, 2D: vmwgfx, xf86-video-vmware, Windows; and a VGA",
    .size = sizeof(struct svga),
    .config_at = offsetof(struct svga, config),
    .config = config,
    .config_default = &(const struct svga_config){ .rom = "", .vram = VRAM_DEFAULT },
    .config_size = sizeof(struct svga_config),
    .state_at = offsetof(struct svga, state),
    .state_size = sizeof(struct svga_state),
    .state = state,
    .create = svga_create,
    .destroy = svga_destroy,
    .reset = svga_reset,
    .restored = svga_restored,
    .check = svga_check,
};
