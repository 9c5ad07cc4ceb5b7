/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PC's two 8237A DMA controllers with their page registers.  Devices on the ISA bus move
 * their data through a channel in one call.  Intel 8237A data sheet; page registers as in the
 * PC/AT.  Left out: memory to memory, verify transfers, devices with 16 bits.
 */
#include "device/chipset/dma8237.h"
#include <errno.h>

enum { DMA_PAGES = 16, DMA_CHANNELS = 4 };
enum { MODE_TO_MEMORY = 4, MODE_FROM_MEMORY = 8, MODE_TYPE = 0xc, MODE_AUTO = 16, MODE_DOWN = 32 };
enum { COMMAND_OFF = 4 };

struct dma_controller {
    u16 base[4], count[4]; /* as written */
    u8 command, mask, mode[4];
    bool high; /* the next byte is the high one */
    u8 status; /* channels at their terminal count */
    u16 base_now[4], count_now[4];
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
    u16 *now = reg & 1 ? &c->count_now[reg >> 1] : &c->base_now[reg >> 1];

    *now = *r = (u16)(c->high ? (*r & 0xff) | val << 8 : (*r & 0xff00) | val);
    c->high = !c->high;
}

static u64 dma_chip_load(struct dma_controller *c, u32 reg)
{
    if (reg < 8) {
        u16 r = reg & 1 ? c->count_now[reg >> 1] : c->base_now[reg >> 1];
        u8 val = (u8)(c->high ? r >> 8 : r);

        c->high = !c->high;
        return val;
    }
    if (reg == 8) {
        u8 val = c->status;

        c->status = 0;
        return val;
    }
    return reg == 15 ? c->mask : 0;
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
        c->command = c->status = 0;
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

/* ---- transfers: the first controller's channels ---- */

static struct dma_controller *dma_chip(struct device *dma, u32 channel)
{
    return dma && channel < DMA_CHANNELS ? &((struct dma *)dma)->state.chip[0] : NULL;
}

u32 dma_left(struct device *dma, u32 channel, bool to_memory)
{
    const struct dma_controller *c = dma_chip(dma, channel);

    if (!c || c->command & COMMAND_OFF || c->mask >> channel & 1 ||
        (c->mode[channel] & MODE_TYPE) != (to_memory ? MODE_TO_MEMORY : MODE_FROM_MEMORY))
        return 0;
    return c->count_now[channel] + 1u;
}

/* Terminal count: the channel masks itself, or begins again. */
static void dma_end(struct dma_controller *c, u32 channel)
{
    c->status |= (u8)(1u << channel);
    if (c->mode[channel] & MODE_AUTO) {
        c->base_now[channel] = c->base[channel];
        c->count_now[channel] = c->count[channel];
    } else {
        c->mask |= (u8)(1u << channel);
    }
}

int dma_move(struct device *dma, u32 channel, u8 *p, u32 n, bool to_memory)
{
    static const u8 pages[DMA_CHANNELS] = { 7, 3, 1, 2 }; /* ports 0x87, 0x83, 0x81, 0x82 */
    struct dma_controller *c = dma_chip(dma, channel);
    struct gmem *ram = machine_ram(dma->machine);
    u32 left = dma_left(dma, channel, to_memory);
    bool down;
    u64 page;

    n = n < left ? n : left;
    if (!n)
        return 0;
    page = (u64)((struct dma *)dma)->state.page[pages[channel]] << 16;
    down = c->mode[channel] & MODE_DOWN;
    for (u32 done = 0; done < n;) { /* the address wraps inside its 64 KiB */
        u16 at = c->base_now[channel];
        u32 part = down ? 1 : (u32)min_u64(n - done, 0x10000u - at);
        int r = to_memory ? gmem_write(ram, page | at, p + done, part)
                          : gmem_read(ram, page | at, p + done, part);

        if (r)
            return -EFAULT;
        c->base_now[channel] = (u16)(down ? at - 1u : at + part);
        c->count_now[channel] = (u16)(c->count_now[channel] - part);
        done += part;
    }
    if (n == left)
        dma_end(c, channel);
    return (int)n;
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
    FIELD(7, struct dma_controller, status, 0, "channels at their terminal count"),
    FIELDS(8, struct dma_controller, base_now, 0, "addresses now"),
    FIELDS(9, struct dma_controller, count_now, 0, "counts now"),
    FIELD_END,
};
static const struct field state[] = {
    FIELD_SUB(1, struct dma_state, chip, 0, "the two controllers", chip),
    FIELDS(2, struct dma_state, page, 0, "page registers 0x80 to 0x8f"),
    FIELD_END,
};

const struct device_class device_dma8237 = {
    .name = "dma8237",
    .about = "8237A DMA controllers of the ISA bus",
    .domain = "chipset",
    .size = sizeof(struct dma),
    .state_at = offsetof(struct dma, state),
    .state_size = sizeof(struct dma_state),
    .state = state,
    .create = dma_create,
    .reset = dma_reset,
};
