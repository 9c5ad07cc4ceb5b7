/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_VNC_H
#define BACKEND_VNC_H
#include "base/err.h"
#include "base/types.h"

/*
 * A screen that viewers of the RFB protocol see (RFC 6143), and their keyboard and pointer.
 * A thread of its own serves them; nothing is done while nobody looks.
 */
struct vnc;

/* wide by high pixels from x, y of a screen of width by height: 0x00rrggbb, free()d */
struct vnc_picture {
    u32 width, height;
    u32 x, y, wide, high;
    u32 *pixel;
};

/* The guest's own pointer, which viewers put where theirs is. */
struct vnc_shape {
    bool shown;
    u32 version; /* another one: look again */
    u32 width, height, hot_x, hot_y;
    const u32 *pixel; /* 0xaarrggbb, colours multiplied by aa; lent until the next call */
};

struct vnc_how {
    const char *at;       /* PORT, HOST:PORT (port 0: the first free one from 5900), or the path
                           * of a Unix socket; NULL: 127.0.0.1:0 */
    const char *password; /* a file whose first line it is: 1 to 8 characters; or NULL */
    const char *tls;      /* viewers must encrypt: a file with certificate and key, or "anonymous";
                           * NULL: they do not */
    const char *name;     /* shown as the title */
    void *arg;

    /* Called by the server's thread, no lock held. */
    int (*picture)(void *arg, struct vnc_picture *p); /* what may be new; wide 0: nothing is */
    void (*shape)(void *arg, struct vnc_shape *s);    /* or NULL */
    void (*key)(void *arg, u16 code, bool down);      /* set 1; 0xe0xx: with a prefix */
    /* 0 to 0xffff from the left and the top; wheel: up is positive; buttons: 1 left, 2 right,
     * 4 middle */
    void (*pointer)(void *arg, u32 x, u32 y, i32 wheel, u32 buttons);
    void (*cut)(void *arg, const char *text);        /* UTF-8; a viewer copied it; or NULL */
    int (*resize)(void *arg, u32 width, u32 height); /* a viewer wants it so: 0 or negative
                                                           * errno; or NULL */
};

int vnc_open(struct vnc **v, const struct vnc_how *how, struct err *e);
const char *vnc_where(const struct vnc *v);    /* "127.0.0.1:5900", or the path */
void vnc_cut(struct vnc *v, const char *text); /* any thread: UTF-8 for the viewers' clipboards */
void vnc_close(struct vnc *v);                 /* viewers are sent away; v may be NULL */
#endif
