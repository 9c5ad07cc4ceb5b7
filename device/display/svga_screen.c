/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What SVGA II shows: the framebuffer of the mode registers, or screen objects, whose pixels
 * lie in video memory where the guest said, 32 bits each.  Coordinates are those of a plane on
 * which all screens have their place; the picture is what covers them.
 */
#include "base/bytes.h"
#include "device/display/svga_int.h"
#include "machine/machine.h"
#include <errno.h>
#include <string.h>

enum { CHUNK = 1024 };

static bool svga_is_on(const struct vga *v)
{
    const struct svga *s = (const struct svga *)v;

    return (s->state.enable & (SVGA_ENABLE | SVGA_ENABLE_HIDE)) == SVGA_ENABLE;
}

u32 svga_pitch(const struct svga *s)
{
    u32 least = s->state.width * svga_format_bytes(svga_mode_format(s)), lock = s->state.pitchlock;

    if (!lock && s->state.config_done && svga_fifo_has(s, SVGA_FIFO_PITCHLOCK))
        lock = svga_fifo_get(s, SVGA_FIFO_PITCHLOCK);
    return lock >= least && lock <= 4 * SVGA_MAX_EXTENT ? lock : least;
}

static struct svga_rect svga_screen_rect(const struct svga_screen *o)
{
    i32 x = (i32)o->x, y = (i32)o->y;

    return (struct svga_rect){ x, y, (i64)x + o->width, (i64)y + o->height };
}

static bool svga_screen_shows(const struct svga_screen *o)
{
    return o->used && !(o->flags & SVGA_SCREEN_DEACTIVATE);
}

static struct svga_rect svga_common(struct svga_rect a, struct svga_rect b)
{
    struct svga_rect r = { a.left > b.left ? a.left : b.left, a.top > b.top ? a.top : b.top,
                           a.right < b.right ? a.right : b.right,
                           a.bottom < b.bottom ? a.bottom : b.bottom };

    return r.left < r.right && r.top < r.bottom ? r : (struct svga_rect){ 0 };
}

static struct svga_rect svga_around(struct svga_rect a, struct svga_rect b)
{
    if (a.left == a.right)
        return b;
    if (b.left == b.right)
        return a;
    return (struct svga_rect){ a.left < b.left ? a.left : b.left, a.top < b.top ? a.top : b.top,
                               a.right > b.right ? a.right : b.right,
                               a.bottom > b.bottom ? a.bottom : b.bottom };
}

/* All screens; the first one alone when they lie too far from each other. */
static struct svga_rect svga_bounds(const struct svga *s)
{
    struct svga_rect all = { 0 }, first = { 0, 0, s->state.width, s->state.height };
    bool any = false;

    for (u32 i = 0; i < SVGA_SCREENS && s->state.objects; i++) {
        const struct svga_screen *o = &s->state.screen[i];

        if (!svga_screen_shows(o))
            continue;
        if (!any)
            first = svga_screen_rect(o);
        any = true;
        all = svga_around(all, svga_screen_rect(o));
    }
    return any && all.right - all.left <= SVGA_MAX_EXTENT && all.bottom - all.top <= SVGA_MAX_EXTENT
               ? all
               : first;
}

/* ---- what is new ---- */

static void svga_news_add(struct svga *s, struct svga_rect r)
{
    s->news = svga_around(s->news, r);
}

void svga_news_all(struct svga *s)
{
    s->news = (struct svga_rect){ INT32_MIN, INT32_MIN, 2ll * INT32_MAX, 2ll * INT32_MAX };
}

void svga_mode(struct svga *s)
{
    s->state.objects = 0;
    memset(s->state.screen, 0, sizeof(s->state.screen));
    svga_news_all(s);
}

/* ---- screen objects ---- */

static bool svga_screen_fits(const struct svga *s, const struct svga_screen *o)
{
    u64 line = 4ull * o->width;

    if (!o->width || o->width > SVGA_MAX_EXTENT || !o->height || o->height > SVGA_MAX_EXTENT)
        return false;
    if (o->flags & SVGA_SCREEN_DEACTIVATE)
        return true;
    return o->pitch >= line && o->pitch <= s->vga.memory_size &&
           o->offset + (u64)o->pitch * (o->height - 1) + line <= s->vga.memory_size;
}

void svga_screen_define(const struct svga_cmd *c)
{
    struct svga *s = c->s;
    u32 object[SVGA_OBJECT_WORDS] = { c->arg[0] };
    struct svga_screen o;

    for (u32 i = 1; i < SVGA_OBJECT_WORDS; i++) /* those that are not there are 0 */
        object[i] = svga_data(c, i - 1);
    o = (struct svga_screen){ .used = 1,
                              .flags = object[SVGA_OBJECT_FLAGS],
                              .width = object[SVGA_OBJECT_WIDTH],
                              .height = object[SVGA_OBJECT_HEIGHT],
                              .x = object[SVGA_OBJECT_X],
                              .y = object[SVGA_OBJECT_Y],
                              .offset = object[SVGA_OBJECT_OFFSET],
                              .pitch = object[SVGA_OBJECT_PITCH] };
    if (o.flags & SVGA_SCREEN_DEACTIVATE)
        o.offset = o.pitch = 0;
    else if (!o.pitch && o.width <= SVGA_MAX_EXTENT)
        o.pitch = 4 * o.width;
    if (object[SVGA_OBJECT_ID] >= SVGA_SCREENS || !svga_screen_fits(s, &o) ||
        (o.pitch && (c->arg[0] < 4 * SVGA_OBJECT_CLONES ||
                     object[SVGA_OBJECT_GMR] != (u32)SVGA_GMR_FRAMEBUFFER))) {
        guest_error(&s->vga.dev, "screen %u of %u by %u without room in video memory",
                    object[SVGA_OBJECT_ID], o.width, o.height);
        return;
    }
    s->state.objects = 1;
    s->state.screen[object[SVGA_OBJECT_ID]] = o;
    svga_news_all(s);
}

void svga_screen_destroy(struct svga *s, u32 id)
{
    if (id >= SVGA_SCREENS) {
        guest_error(&s->vga.dev, "no screen %u", id);
        return;
    }
    s->state.screen[id] = (struct svga_screen){ 0 };
    s->state.objects = 1;
    svga_news_all(s);
}

static u8 *svga_screen_at(const struct svga *s, const struct svga_screen *o, i64 x, i64 y)
{
    return s->vga.memory + o->offset + (u64)o->pitch * (u64)y + 4 * (u64)x;
}

/* ---- blits ---- */

/* An image in a memory region: GMRFB, or the framebuffer of the mode registers. */
struct svga_image {
    u32 gmr, offset, pitch;
    struct svga_format format;
};

static struct svga_image svga_gmrfb(const struct svga *s)
{
    const struct svga_state *t = &s->state;

    return (struct svga_image){ t->gmrfb_id,
                                t->gmrfb_offset,
                                t->gmrfb_pitch,
                                { t->gmrfb_format & 0xff, t->gmrfb_format >> 8 & 0xff } };
}

/* n pixels of a line between an image and a screen. */
static int svga_line(struct svga *s, const struct svga_image *im, u64 off, u8 *screen, u32 n,
                     bool to_screen)
{
    u32 bytes = svga_format_bytes(im->format), pixel[CHUNK];
    u8 raw[4 * CHUNK];
    int r = 0;

    for (u32 done = 0, part; done < n && !r;
         done += part, off += part * bytes, screen += 4 * part) {
        part = (u32)min_u64(n - done, CHUNK);
        if (to_screen) {
            r = svga_gmr_read(s, im->gmr, off, raw, part * bytes);
            if (r)
                return r;
            svga_pixels(s, im->format, raw, pixel, part);
            for (u32 i = 0; i < part; i++)
                put_le32(screen + 4 * i, pixel[i]);
        } else {
            for (u32 i = 0; i < part; i++)
                pixel[i] = le32(screen + 4 * i);
            svga_pixels_back(im->format, pixel, raw, part);
            r = svga_gmr_write(s, im->gmr, off, raw, part * bytes);
        }
    }
    return r;
}

/*
 * The part of rect that lies on screen o, on which it is at (dx, dy) from the image: screen
 * pixel (x, y) is the image's (x - dx, y - dy).
 */
static bool svga_blit(struct svga *s, const struct svga_image *im, const struct svga_screen *o,
                      struct svga_rect rect, i64 dx, i64 dy, bool to_screen)
{
    struct svga_rect whole = { 0, 0, o->width, o->height },
                     image = { dx, dy, 2ll * INT32_MAX, 2ll * INT32_MAX };
    u32 bytes = svga_format_bytes(im->format);

    rect = svga_common(svga_common(rect, whole), image);
    s->budget -= (rect.right - rect.left) * (rect.bottom - rect.top);
    for (i64 y = rect.top; y < rect.bottom; y++) {
        u64 off = im->offset + (u64)(y - dy) * im->pitch + (u64)(rect.left - dx) * bytes;

        if (svga_line(s, im, off, svga_screen_at(s, o, rect.left, y), (u32)(rect.right - rect.left),
                      to_screen)) {
            guest_error(&s->vga.dev, "an image reaches out of memory region %u", im->gmr);
            return false;
        }
    }
    if (to_screen && rect.right > rect.left)
        svga_news_add(s, (struct svga_rect){ rect.left + (i32)o->x, rect.top + (i32)o->y,
                                             rect.right + (i32)o->x, rect.bottom + (i32)o->y });
    return true;
}

static struct svga_rect svga_rect_of(const u32 *arg)
{
    return (struct svga_rect){ (i32)arg[0], (i32)arg[1], (i32)arg[2], (i32)arg[3] };
}

static struct svga_rect svga_moved(struct svga_rect r, i64 x, i64 y)
{
    return (struct svga_rect){ r.left + x, r.top + y, r.right + x, r.bottom + y };
}

/* arg: a point of the image, a rectangle of the screen, which screen (-1: of the plane). */
static void svga_blit_command(const struct svga_cmd *c, bool to_screen)
{
    struct svga *s = c->s;
    struct svga_image im = svga_gmrfb(s);
    struct svga_rect rect = svga_rect_of(c->arg + 2);
    u32 id = c->arg[6];
    bool none = true;

    if (!svga_format_bytes(im.format) || im.format.bits == 8) {
        guest_error(&s->vga.dev, "a blit of %u bits and depth %u", im.format.bits, im.format.depth);
        return;
    }
    for (u32 i = 0; i < SVGA_SCREENS; i++) {
        const struct svga_screen *o = &s->state.screen[i];
        i64 x = id == ~0u ? (i32)o->x : 0, y = id == ~0u ? (i32)o->y : 0;
        struct svga_rect r = svga_moved(rect, -x, -y);

        if ((id != ~0u && id != i) || !svga_screen_shows(o))
            continue;
        none = false;
        svga_blit(s, &im, o, r, r.left - (i32)c->arg[0], r.top - (i32)c->arg[1], to_screen);
    }
    if (none)
        guest_error(&s->vga.dev, "a blit with screen %u, which is not defined", id);
}

void svga_blit_to_screen(const struct svga_cmd *c)
{
    svga_blit_command(c, true);
}

void svga_blit_from_screen(const struct svga_cmd *c)
{
    svga_blit_command(c, false);
}

/* With screen objects it is a blit from the framebuffer, else the framebuffer is what shows. */
void svga_update(struct svga *s, u32 x, u32 y, u32 width, u32 height)
{
    struct svga_rect r = { x, y, (i64)x + width, (i64)y + height };
    struct svga_image im = { (u32)SVGA_GMR_FRAMEBUFFER, 0, svga_pitch(s), svga_mode_format(s) };

    if (!width || !height)
        return;
    if (!s->state.objects) {
        svga_news_add(s, r);
        return;
    }
    for (u32 i = 0; i < SVGA_SCREENS; i++) {
        const struct svga_screen *o = &s->state.screen[i];
        i64 left = (i32)o->x, top = (i32)o->y;

        if (svga_screen_shows(o) &&
            !svga_blit(s, &im, o, svga_moved(r, -left, -top), -left, -top, true))
            return;
    }
}

/* ---- the picture ---- */

static void svga_size(struct vga *v, u32 *width, u32 *height)
{
    struct svga_rect r = svga_bounds((struct svga *)v);

    *width = (u32)(r.right - r.left);
    *height = (u32)(r.bottom - r.top);
}

/* Stores to video memory show without a command when the FIFO is not used, or traces are on. */
static void svga_news(struct vga *v, struct vga_picture *p)
{
    struct svga *s = (struct svga *)v;
    struct svga_rect all = svga_bounds(s), r;

    if (!s->state.objects && (!s->state.config_done || s->state.traces))
        svga_news_all(s);
    r = svga_common(s->news, all);
    s->news = (struct svga_rect){ 0 };
    p->x = (u32)(r.left - (r.right > r.left ? all.left : 0));
    p->y = (u32)(r.top - (r.bottom > r.top ? all.top : 0));
    p->wide = (u32)(r.right - r.left);
    p->high = (u32)(r.bottom - r.top);
}

static void svga_draw_screen(const struct svga *s, const struct svga_screen *o,
                             struct svga_rect all, struct vga_picture *p)
{
    struct svga_rect shown = svga_moved(
                         (struct svga_rect){ p->x, p->y, p->x + p->wide, p->y + p->high }, all.left,
                         all.top),
                     r = svga_common(svga_screen_rect(o), shown);

    for (i64 y = r.top; y < r.bottom; y++)
        svga_pixels(s, (struct svga_format){ 32, 24 },
                    svga_screen_at(s, o, r.left - (i32)o->x, y - (i32)o->y),
                    p->pixel + (y - shown.top) * p->wide + (r.left - shown.left),
                    (u32)(r.right - r.left));
}

static void svga_draw_mode(const struct svga *s, struct vga_picture *p)
{
    struct svga_format f = svga_mode_format(s);
    u32 bytes = svga_format_bytes(f), pitch = svga_pitch(s);

    for (u32 y = 0; y < p->high; y++) {
        u64 at = (u64)(p->y + y) * pitch + (u64)p->x * bytes;

        if (at + (u64)p->wide * bytes > s->vga.memory_size)
            break;
        svga_pixels(s, f, s->vga.memory + at, p->pixel + (size_t)y * p->wide, p->wide);
    }
}

static void svga_draw(struct vga *v, struct vga_picture *p)
{
    struct svga *s = (struct svga *)v;
    struct svga_rect all = svga_bounds(s);

    if (!s->state.objects) {
        svga_draw_mode(s, p);
        return;
    }
    for (u32 i = 0; i < SVGA_SCREENS; i++) {
        const struct svga_screen *o = &s->state.screen[i];

        if (svga_screen_shows(o) && !(o->flags & SVGA_SCREEN_BLANKING))
            svga_draw_screen(s, o, all, p);
    }
}

static void svga_pointer(struct vga *v, struct vga_pointer *p)
{
    struct svga *s = (struct svga *)v;
    struct svga_rect all = svga_bounds(s);

    svga_cursor_show(s, p);
    p->x -= (i32)all.left;
    p->y -= (i32)all.top;
}

const struct vga_over svga_over = {
    .is_on = svga_is_on,
    .size = svga_size,
    .draw = svga_draw,
    .news = svga_news,
    .pointer = svga_pointer,
};

int svga_screen_check(const struct svga *s, struct err *e)
{
    for (u32 i = 0; i < SVGA_SCREENS; i++) {
        const struct svga_screen *o = &s->state.screen[i];

        if (o->used && !svga_screen_fits(s, o))
            return err_set(e, -EBADMSG, "screen %u of %u by %u does not fit", i, o->width,
                           o->height);
    }
    return 0;
}
