/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shape of the guest's pointer, for viewers that draw it themselves (RFC 6143, 7.8.1). */
#include "backend/vnc_int.h"
#include <stdlib.h>

/* Viewers take whole pixels: those that are at least half there, in their full colour. */
static void vnc_shape_pixel(rfbCursorPtr c, const struct vnc_shape *s, u32 x, u32 y)
{
    u32 pixel = s->pixel[y * s->width + x], alpha = pixel >> 24, line = (s->width + 7) / 8;
    u8 *to = c->richSource + 4 * (y * s->width + x);

    for (u32 i = 0; i < 3; i++)
        to[i] = alpha ? (u8)min_u64(255, (pixel >> (16 - 8 * i) & 0xff) * 255 / alpha) : 0;
    c->alphaSource[y * s->width + x] = (u8)alpha;
    if (alpha >= 128)
        c->mask[y * line + x / 8] |= (u8)(0x80 >> x % 8);
}

static rfbCursorPtr vnc_shape_new(const struct vnc_shape *s)
{
    rfbCursorPtr c = calloc(1, sizeof(*c));
    size_t n = (size_t)s->width * s->height;

    if (!c)
        return NULL;
    c->cleanup = c->cleanupSource = c->cleanupMask = c->cleanupRichSource = TRUE;
    c->mask = calloc((s->width + 7) / 8, s->height);
    c->richSource = calloc(n, 4);
    c->alphaSource = calloc(n, 1);
    if (!c->mask || !c->richSource || !c->alphaSource) {
        rfb.free_cursor(c);
        return NULL;
    }
    c->width = (unsigned short)s->width;
    c->height = (unsigned short)s->height;
    c->xhot = (unsigned short)s->hot_x;
    c->yhot = (unsigned short)s->hot_y;
    for (u32 y = 0; y < s->height; y++)
        for (u32 x = 0; x < s->width; x++)
            vnc_shape_pixel(c, s, x, y);
    return c;
}

void vnc_shape(struct vnc *v)
{
    struct vnc_shape s = { 0 };

    if (!v->how.shape)
        return;
    v->how.shape(v->how.arg, &s);
    if (s.shown == v->has_shape && (!s.shown || s.version == v->shape_version))
        return;
    rfb.set_cursor(v->screen, s.shown ? vnc_shape_new(&s) : NULL);
    v->has_shape = s.shown;
    v->shape_version = s.version;
}
