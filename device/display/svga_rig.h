/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_DISPLAY_SVGA_RIG_H
#define DEVICE_DISPLAY_SVGA_RIG_H
#include "base/bytes.h"
#include "device/display/svga_int.h"
#include "tests/rig.h"

/* A driver of SVGA II as small as can be, for its tests and its fuzz target. */
struct svga_guest {
    struct rig *r;
    struct svga *s;
    u16 port;
    u32 min, max;
};

static inline void svga_guest_open(struct svga_guest *g, struct rig *r, struct device *d)
{
    rig_pci_enable(r, d);
    *g = (struct svga_guest){ r, (struct svga *)d, (u16)rig_bar(d, 0), 4 * SVGA_FIFO_WORDS,
                              SVGA_FIFO_SIZE };
}

static inline void svga_guest_set(struct svga_guest *g, u32 reg, u32 val)
{
    rig_out(g->r, g->port + SVGA_PORT_INDEX, 4, reg);
    rig_out(g->r, g->port + SVGA_PORT_VALUE, 4, val);
}

static inline u32 svga_guest_get(struct svga_guest *g, u32 reg)
{
    rig_out(g->r, g->port + SVGA_PORT_INDEX, 4, reg);
    return (u32)rig_in(g->r, g->port + SVGA_PORT_VALUE, 4);
}

static inline u32 svga_guest_word(const struct svga_guest *g, u32 word)
{
    return le32(g->s->fifo + 4 * word);
}

static inline void svga_guest_word_set(struct svga_guest *g, u32 word, u32 val)
{
    put_le32(g->s->fifo + 4 * word, val);
}

/* SVGA on, the FIFO from min on. */
static inline void svga_guest_start(struct svga_guest *g, u32 min, u32 max)
{
    g->min = min;
    g->max = max;
    svga_guest_set(g, SVGA_REG_ENABLE, SVGA_ENABLE);
    svga_guest_word_set(g, SVGA_FIFO_MIN, min);
    svga_guest_word_set(g, SVGA_FIFO_MAX, max);
    svga_guest_word_set(g, SVGA_FIFO_NEXT, min);
    svga_guest_word_set(g, SVGA_FIFO_STOP, min);
    svga_guest_set(g, SVGA_REG_CONFIG_DONE, 1);
}

static inline void svga_guest_put(struct svga_guest *g, const u32 *words, u32 n)
{
    u32 next = svga_guest_word(g, SVGA_FIFO_NEXT);

    for (u32 i = 0; i < n; i++) {
        put_le32(g->s->fifo + next, words[i]);
        next = next + 4 < g->max ? next + 4 : g->min;
    }
    svga_guest_word_set(g, SVGA_FIFO_NEXT, next);
}

static inline void svga_guest_sync(struct svga_guest *g)
{
    svga_guest_set(g, SVGA_REG_SYNC, 1);
    while (svga_guest_get(g, SVGA_REG_BUSY))
        continue;
}
#define SVGA_PUT(g, ...)                                                                           \
    svga_guest_put(g, (const u32[]){ __VA_ARGS__ }, sizeof((const u32[]){ __VA_ARGS__ }) / 4)
#endif
