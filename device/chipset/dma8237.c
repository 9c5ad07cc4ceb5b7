/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PC's two 8237A DMA controllers with their page registers: what firmware and kernels
 * write at start-up can be read back.  No device here transfers through them, so they never
 * move a byte.
 * Intel 8237A data sheet; page registers as in the PC/AT.
 */
#include "machine/device.h"

enum { DMA_PAGES = 16 };

struct dma_controller {
    u16 base[4], count[4]; /* as written; nothing counts them */
    u8 command, mask, mode[4];
    bool high; /* the next byte is the high one */
    u8 pad;
};
struct dma {
    struct device dev;
    struct dma_state {
        struct dma_controller chip[2];
        u8 page[DMA_PAGES];
    } state;
};

/* Address and count registers take two bytes in turn, data sheet "byte pointer". */
static void dma_half(struct dma_controller *c, u32 reg, u8 val)
{
    u16 *r = reg & 1 ? &c->count[reg >> 1] : &c->base[reg >> 1];

    *r = (u16)(c->high ? (*r & 0xff) | val << 8 : (*r & 0xff00) | val);
    c->high = !c->high;
}

static u64 dma_chip_load(struct dma_controller *c, u32 reg)
{
    if (reg < 8) {
        u16 r = reg & 1 ? c->count[reg >> 1] : c->base[reg >> 1];
        u8 val = (u8)(c->high ? r >> 8 : r);

        c->high = !c->high;
        return val;
    }
    return reg == 15 ? c->mask : 0; /* 8: status, no channel has finished */
}

static void dma_chip_store(struct dma_controller *c, u32 reg, u8 val)
{
    if (reg < 8) {
        dma_half(c, reg, val);
        return;
    }
    switch (reg) {
    case 8:
        c->command = val;
        break;
    case 10:
        c->mask = (u8)(val & 4 ? c->mask | 1 << (val & 3) : c->mask & ~(1 << (val & 3)));
        break;
    case 11:
        c->mode[val & 3] = val;
        break;
    case 12:
        c->high = false;
        break;
    case 13: /* master clear */
        c->command = 0;
        c->high = false;
        c->mask = 0xf;
        break;
    case 14:
        c->mask = 0;
        break;
    case 15:
        c->mask = val & 0xf;
        break;
    default:
        break;
    }
}

static u64 dma_load1(struct device *d, u32 off, u32 size)
{
    (void)size;
    return dma_chip_load(&((struct dma *)d)->state.chip[0], off);
}

static void dma_store1(struct device *d, u32 off, u32 size, u64 val)
{
    (void)size;
    dma_chip_store(&((struct dma *)d)->state.chip[0], off, (u8)val);
}

/* The second controller's registers stand at even ports. */
static u64 dma_load2(struct device *d, u32 off, u32 size)
{
    (void)size;
    return dma_chip_load(&((struct dma *)d)->state.chip[1], off >> 1);
}

static void dma_store2(struct device *d, u32 off, u32 size, u64 val)
{
    (void)size;
    dma_chip_store(&((struct dma *)d)->state.chip[1], off >> 1, (u8)val);
}

static u64 dma_load_page(struct device *d, u32 off, u32 size)
{
    (void)size;
    return ((struct dma *)d)->state.page[off + 1];
}

static void dma_store_page(struct device *d, u32 off, u32 size, u64 val)
{
    (void)size;
    ((struct dma *)d)->state.page[off + 1] = (u8)val;
}

static int dma_create(struct device *d, struct err *e)
{
    /* 0x80 is the POST port and 0x92 the system port: not part of this */
    const struct region regions[] = {
        { .name = "dma 1",
          .base = 0,
          .len = 16,
          .min = 1,
          .max = 1,
          .load = dma_load1,
          .store = dma_store1,
          .dev = d },
        { .name = "dma 2",
          .base = 0xc0,
          .len = 32,
          .min = 1,
          .max = 1,
          .load = dma_load2,
          .store = dma_store2,
          .dev = d },
        { .name = "dma pages",
          .base = 0x81,
          .len = 15,
          .min = 1,
          .max = 1,
          .load = dma_load_page,
          .store = dma_store_page,
          .dev = d },
    };

    for (u32 i = 0; i < LEN(regions); i++)
        if (space_add(machine_ports(d->machine), &regions[i], NULL, e))
            return e->code;
    return 0;
}

static void dma_reset(struct device *d, enum reset kind)
{
    struct dma *m = (struct dma *)d;

    (void)kind;
    m->state = (struct dma_state){ .chip = { { .mask = 0xf }, { .mask = 0xf } } };
}

static const struct field chip[] = {
    FIELDS(1, struct dma_controller, base, 0, "addresses"),
    FIELDS(2, struct dma_controller, count, 0, "counts"),
    FIELD(3, struct dma_controller, command, 0, "command"),
    FIELD(4, struct dma_controller, mask, 0, "masked channels"),
    FIELDS(5, struct dma_controller, mode, 0, "modes"),
    FIELD(6, struct dma_controller, high, 0, "byte pointer"),
    FIELD(0, struct dma_controller, pad, F_LOCAL, "none"),
    FIELD_END,
};
static const struct field state[] = {
    FIELD_SUB(1, struct dma_state, chip, 0, "the two controllers", chip),
    FIELDS(2, struct dma_state, page, 0, "page registers 0x80 to 0x8f"),
    FIELD_END,
};

const struct device_class device_dma8237 = {
    .name = "dma8237",
    .about = "8237A DMA controllers: registers only",
    .domain = "chipset",
    .size = sizeof(struct dma),
    .state_at = offsetof(struct dma, state),
    .state_size = sizeof(struct dma_state),
    .state = state,
    .create = dma_create,
    .reset = dma_reset,
};
