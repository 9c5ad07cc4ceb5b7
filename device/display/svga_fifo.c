/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The FIFO of SVGA II: a ring of words in memory that guest and device share; the guest moves
 * NEXT, we move STOP.  A guest may publish a command word by word, so one that is not there
 * whole is left for later.  Commands of the 3D part are skipped by the size that they carry;
 * what has no known size takes the rest of the FIFO with it.
 */
#include "base/bytes.h"
#include "device/display/svga_int.h"
#include "machine/machine.h"
#include <stdatomic.h>

enum { FIFO_MIN = 16, RUN_PIXELS = 32 << 20, COMMAND_PIXELS = 256 };
enum {
    FIFO_CAPS = SVGA_FIFO_CAP_FENCE | SVGA_FIFO_CAP_ACCELFRONT | SVGA_FIFO_CAP_PITCHLOCK |
                SVGA_FIFO_CAP_CURSOR_BYPASS_3 | SVGA_FIFO_CAP_ESCAPE | SVGA_FIFO_CAP_RESERVE |
                SVGA_FIFO_CAP_GMR2 | SVGA_FIFO_CAP_SCREEN_OBJECT_2,
};

static _Atomic u32 *fifo_at(const struct svga *s, u32 byte)
{
    return (_Atomic u32 *)(void *)(s->fifo + byte);
}

static u32 fifo_get(const struct svga *s, u32 byte)
{
    return atomic_load_explicit(fifo_at(s, byte), memory_order_acquire);
}

u32 svga_fifo_get(const struct svga *s, u32 word)
{
    return fifo_get(s, 4 * word);
}

void svga_fifo_put(struct svga *s, u32 word, u32 val)
{
    atomic_store(fifo_at(s, 4 * word), val);
}

bool svga_fifo_has(const struct svga *s, u32 word)
{
    return svga_fifo_get(s, SVGA_FIFO_MIN) >= 4 * (word + 1);
}

void svga_fifo_open(struct svga *s)
{
    if (svga_fifo_has(s, SVGA_FIFO_CAPABILITIES))
        svga_fifo_put(s, SVGA_FIFO_CAPABILITIES, FIFO_CAPS);
    if (svga_fifo_has(s, SVGA_FIFO_FLAGS))
        svga_fifo_put(s, SVGA_FIFO_FLAGS, 0);
    if (svga_fifo_has(s, SVGA_FIFO_3D_VERSION))
        svga_fifo_put(s, SVGA_FIFO_3D_VERSION, 0);
    if (svga_fifo_has(s, SVGA_FIFO_3D_VERSION_REVISED)) {
        svga_fifo_put(s, SVGA_FIFO_CURSOR_SCREEN, ~0u);
        svga_fifo_put(s, SVGA_FIFO_3D_VERSION_REVISED, 0);
    }
}

u32 svga_data(const struct svga_cmd *c, u32 i)
{
    u32 at = c->data + 4 * i;

    return i < c->ndata ? fifo_get(c->s, at < c->max ? at : at - c->max + c->min) : 0;
}

/* ---- commands ---- */

static void run_update(const struct svga_cmd *c)
{
    svga_update(c->s, c->arg[0], c->arg[1], c->arg[2], c->arg[3]);
}

static void run_fill(const struct svga_cmd *c)
{
    svga_rect_fill(c->s, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4]);
}

static void run_front_fill(const struct svga_cmd *c) /* a hint: the guest has filled it */
{
    svga_update(c->s, c->arg[1], c->arg[2], c->arg[3], c->arg[4]);
}

static void run_display_cursor(const struct svga_cmd *c)
{
    c->s->state.cursor_on = c->arg[1] != 0;
}

static void run_move_cursor(const struct svga_cmd *c)
{
    c->s->state.cursor_x = c->arg[0];
    c->s->state.cursor_y = c->arg[1];
}

static void run_fence(const struct svga_cmd *c)
{
    struct svga *s = c->s;
    u32 flags = SVGA_IRQ_ANY_FENCE;

    if (svga_fifo_has(s, SVGA_FIFO_FENCE))
        svga_fifo_put(s, SVGA_FIFO_FENCE, c->arg[0]);
    if (svga_fifo_has(s, SVGA_FIFO_FENCE_GOAL) &&
        svga_fifo_get(s, SVGA_FIFO_FENCE_GOAL) == c->arg[0])
        flags |= SVGA_IRQ_FENCE_GOAL;
    svga_interrupt(s, flags);
}

static void run_destroy_screen(const struct svga_cmd *c)
{
    svga_screen_destroy(c->s, c->arg[0]);
}

static void run_gmrfb(const struct svga_cmd *c)
{
    struct svga_state *t = &c->s->state;

    t->gmrfb_id = c->arg[0];
    t->gmrfb_offset = c->arg[1];
    t->gmrfb_pitch = c->arg[2];
    t->gmrfb_format = c->arg[3];
}

static void run_gmr2(const struct svga_cmd *c)
{
    svga_gmr_define(c->s, c->arg[0], c->arg[1]);
}

static void run_nothing(const struct svga_cmd *c)
{
    (void)c;
}

/* Words of data behind the arguments. */
static u64 more_cursor(const u32 *a)
{
    return svga_cursor_words(a[3], a[4], a[5]) + svga_cursor_words(a[3], a[4], a[6]);
}

static u64 more_alpha_cursor(const u32 *a)
{
    return (u64)a[3] * a[4];
}

static u64 more_bitmap(const u32 *a)
{
    return svga_cursor_words(a[1], a[2], 1);
}

static u64 more_bitmap_line(const u32 *a)
{
    return svga_cursor_words(a[1], 1, 1);
}

static u64 more_pixmap(const u32 *a)
{
    return svga_cursor_words(a[1], a[2], a[3]);
}

static u64 more_pixmap_line(const u32 *a)
{
    return svga_cursor_words(a[1], 1, a[3]);
}

static u64 more_escape(const u32 *a)
{
    return ((u64)a[1] + 3) / 4;
}

static u64 more_screen(const u32 *a)
{
    return ((u64)a[0] + 3) / 4 - (a[0] ? 1 : 0); /* its own size is in it */
}

static u64 more_remap(const u32 *a)
{
    u64 n = a[1] & SVGA_REMAP_SINGLE ? 1 : a[3];

    return a[1] & SVGA_REMAP_VIA_GMR ? 2 : a[1] & SVGA_REMAP_PPN64 ? 2 * n : n;
}

static u64 more_3d(const u32 *a)
{
    return ((u64)a[0] + 3) / 4;
}

struct svga_rule {
    u8 args; /* words behind the number, data not counted; 0: not a command */
    u64 (*more)(const u32 *arg);
    void (*run)(const struct svga_cmd *c); /* NULL: skipped, and said */
};
static const struct svga_rule svga_rules[SVGA_CMD_COUNT] = {
    [SVGA_CMD_UPDATE] = { 4, NULL, run_update },
    [SVGA_CMD_RECT_FILL] = { 5, NULL, run_fill },
    [SVGA_CMD_RECT_COPY] = { 6, NULL, svga_rect_copy },
    [SVGA_CMD_DEFINE_BITMAP] = { 3, more_bitmap, NULL },
    [SVGA_CMD_DEFINE_BITMAP_SCANLINE] = { 4, more_bitmap_line, NULL },
    [SVGA_CMD_DEFINE_PIXMAP] = { 4, more_pixmap, NULL },
    [SVGA_CMD_DEFINE_PIXMAP_SCANLINE] = { 5, more_pixmap_line, NULL },
    [SVGA_CMD_RECT_BITMAP_FILL] = { 7, NULL, NULL },
    [SVGA_CMD_RECT_PIXMAP_FILL] = { 5, NULL, NULL },
    [SVGA_CMD_RECT_BITMAP_COPY] = { 9, NULL, NULL },
    [SVGA_CMD_RECT_PIXMAP_COPY] = { 7, NULL, NULL },
    [SVGA_CMD_FREE_OBJECT] = { 1, NULL, NULL },
    [SVGA_CMD_RECT_ROP_FILL] = { 6, NULL, run_fill },
    [SVGA_CMD_RECT_ROP_COPY] = { 7, NULL, svga_rect_copy },
    [SVGA_CMD_RECT_ROP_BITMAP_FILL] = { 8, NULL, NULL },
    [SVGA_CMD_RECT_ROP_PIXMAP_FILL] = { 6, NULL, NULL },
    [SVGA_CMD_RECT_ROP_BITMAP_COPY] = { 10, NULL, NULL },
    [SVGA_CMD_RECT_ROP_PIXMAP_COPY] = { 8, NULL, NULL },
    [SVGA_CMD_DEFINE_CURSOR] = { 7, more_cursor, svga_cursor_define },
    [SVGA_CMD_DISPLAY_CURSOR] = { 2, NULL, run_display_cursor },
    [SVGA_CMD_MOVE_CURSOR] = { 2, NULL, run_move_cursor },
    [SVGA_CMD_DEFINE_ALPHA_CURSOR] = { 5, more_alpha_cursor, svga_cursor_define_alpha },
    [SVGA_CMD_UPDATE_VERBOSE] = { 5, NULL, run_update },
    [SVGA_CMD_SURFACE_FILL] = { 7, NULL, NULL },
    [SVGA_CMD_SURFACE_COPY] = { 9, NULL, NULL },
    [SVGA_CMD_SURFACE_ALPHA_BLEND] = { 12, NULL, NULL },
    [SVGA_CMD_FRONT_ROP_FILL] = { 6, NULL, run_front_fill },
    [SVGA_CMD_FENCE] = { 1, NULL, run_fence },
    [SVGA_CMD_ESCAPE] = { 2, more_escape, run_nothing },
    [SVGA_CMD_DEFINE_SCREEN] = { 1, more_screen, svga_screen_define },
    [SVGA_CMD_DESTROY_SCREEN] = { 1, NULL, run_destroy_screen },
    [SVGA_CMD_DEFINE_GMRFB] = { 4, NULL, run_gmrfb },
    [SVGA_CMD_BLIT_GMRFB_TO_SCREEN] = { 7, NULL, svga_blit_to_screen },
    [SVGA_CMD_BLIT_SCREEN_TO_GMRFB] = { 7, NULL, svga_blit_from_screen },
    [SVGA_CMD_ANNOTATION_FILL] = { 1, NULL, run_nothing },
    [SVGA_CMD_ANNOTATION_COPY] = { 3, NULL, run_nothing },
    [SVGA_CMD_DEFINE_GMR2] = { 2, NULL, run_gmr2 },
    [SVGA_CMD_REMAP_GMR2] = { 4, more_remap, svga_gmr_remap },
};
static const struct svga_rule svga_rule_3d = { 1, more_3d, NULL };
static const struct svga_rule svga_rule_nop = { 0, NULL, run_nothing };

static const struct svga_rule *svga_rule_of(u32 number)
{
    if (number == SVGA_CMD_NOP || number == SVGA_CMD_NOP_ERROR)
        return &svga_rule_nop;
    if (number < SVGA_CMD_COUNT && svga_rules[number].args)
        return &svga_rules[number];
    return number >= SVGA_CMD_3D && number < SVGA_CMD_3D_END ? &svga_rule_3d : NULL;
}

/* ---- the ring ---- */

struct svga_ring {
    u32 min, max, next, stop; /* a copy: the guest writes to the words at any time */
};

static bool svga_ring_look(struct svga *s, struct svga_ring *r)
{
    r->min = svga_fifo_get(s, SVGA_FIFO_MIN);
    r->max = svga_fifo_get(s, SVGA_FIFO_MAX);
    r->next = svga_fifo_get(s, SVGA_FIFO_NEXT);
    r->stop = svga_fifo_get(s, SVGA_FIFO_STOP);
    if (r->min >= FIFO_MIN && r->max <= SVGA_FIFO_SIZE && r->min < r->max &&
        !((r->min | r->max | r->next | r->stop) & 3) && r->next >= r->min && r->next < r->max &&
        r->stop >= r->min && r->stop < r->max)
        return true;
    guest_error(&s->vga.dev, "FIFO from %u to %u, next %u, stop %u", r->min, r->max, r->next,
                r->stop);
    return false;
}

static u32 svga_ring_step(const struct svga_ring *r, u32 words)
{
    u32 at = r->stop + 4 * words;

    return at < r->max ? at : at - r->max + r->min;
}

/* One command; false: it is not there whole.  *used: words, 0: all that there is. */
static bool svga_run_one(struct svga *s, const struct svga_ring *r, u32 words, u32 *used)
{
    struct svga_cmd c = { .s = s, .min = r->min, .max = r->max };
    u32 number = fifo_get(s, r->stop), capacity = (r->max - r->min) / 4 - 1;
    const struct svga_rule *rule = svga_rule_of(number);
    u64 all;

    *used = 0;
    if (!rule) {
        guest_error(&s->vga.dev, "command %u is unknown", number);
        return true;
    }
    if (words < 1u + rule->args)
        return 1u + rule->args > capacity;
    for (u32 i = 0; i < rule->args; i++)
        c.arg[i] = fifo_get(s, svga_ring_step(r, 1 + i));
    all = 1u + rule->args + (rule->more ? rule->more(c.arg) : 0);
    if (all > capacity) {
        guest_error(&s->vga.dev, "command %u of %llu words", number, (unsigned long long)all);
        return true;
    }
    if (words < all)
        return false;
    *used = (u32)all;
    c.data = svga_ring_step(r, 1 + rule->args);
    c.ndata = (u32)all - 1 - rule->args;
    if (rule == &svga_rules[SVGA_CMD_REMAP_GMR2] && c.arg[1] & SVGA_REMAP_VIA_GMR) {
        c.arg[4] = svga_data(&c, 0);
        c.arg[5] = svga_data(&c, 1);
    }
    s->budget -= COMMAND_PIXELS;
    if (rule->run)
        rule->run(&c);
    else
        guest_error(&s->vga.dev, "command %u is not offered", number);
    return true;
}

/* Until it is empty, or until its turn is over. */
static bool svga_ring_run(struct svga *s, struct svga_ring *r, bool *progress)
{
    while (r->stop != r->next) {
        u32 room = r->max - r->min, used;
        u32 words = (r->next >= r->stop ? r->next - r->stop : room - (r->stop - r->next)) / 4;

        if (s->budget <= 0)
            return true;
        if (!svga_run_one(s, r, words, &used))
            return false;
        r->stop = used ? svga_ring_step(r, used) : r->next;
        svga_fifo_put(s, SVGA_FIFO_STOP, r->stop);
        *progress = true;
    }
    return false;
}

bool svga_fifo_run(struct svga *s)
{
    bool progress = false, more = false;
    struct svga_ring r;

    if (!s->state.config_done || !(s->state.enable & SVGA_ENABLE))
        return false;
    s->budget = RUN_PIXELS;
    if (!svga_ring_look(s, &r))
        return false;
    more = svga_ring_run(s, &r, &progress);
    if (!more && svga_fifo_has(s, SVGA_FIFO_BUSY)) {
        svga_fifo_put(s, SVGA_FIFO_BUSY, 0); /* what came before this is seen by us ... */
        if (svga_ring_look(s, &r) && r.next != r.stop)
            more = svga_ring_run(s, &r, &progress); /* ... or by the guest's own SYNC */
    }
    if (progress)
        svga_interrupt(s, SVGA_IRQ_FIFO_PROGRESS);
    return more;
}
