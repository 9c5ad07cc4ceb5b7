/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_TERM_H
#define BACKEND_TERM_H
#include "base/err.h"
#include "base/types.h"

/*
 * A text screen in the terminal that we run in, and that terminal as the keyboard.  All
 * calls and callbacks on the loop's thread.
 */
struct term;
struct loop;

struct term_screen {
    bool graphics;     /* no text to show: the rest does not count */
    u32 columns, rows; /* at most 160 by 100 */
    bool cursor;
    u32 cursor_column, cursor_row;
    const u8 *cell; /* character (CP437), VGA attribute; valid until the next call */
};

struct term_how {
    int in, out; /* descriptors, lent; in: -1 none; raw mode only when it is a terminal */
    struct loop *loop;
    void (*screen)(void *arg, struct term_screen *s); /* 20 times a second */
    /* A key by its scan code in set 1; 0xe0xx for those with a prefix (0xe048: up). */
    void (*key)(void *arg, u16 code, bool down);
    void (*leave)(void *arg); /* Ctrl-] was typed, or there is no more input */
    void *arg;
};

int term_open(struct term **t, const struct term_how *how, struct err *e);
void term_close(struct term *t); /* puts the terminal back; t may be NULL */
#endif
