/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_TERM_INT_H
#define BACKEND_TERM_INT_H
#include "backend/term.h"
#include "base/buf.h"

/* ---- term_text.c: a screen as what must be written to a terminal ---- */
enum { TERM_COLUMNS = 160, TERM_ROWS = 100 };
struct term_shown { /* what the terminal shows now */
    bool known;     /* else: clear it first */
    bool graphics, cursor;
    u32 columns, rows, top; /* of what fits; the first row that is seen */
    u32 cursor_column, cursor_row;
    u16 cell[TERM_ROWS * TERM_COLUMNS];
};
/* The differences between *shown and now, for a terminal of wide by high; updates *shown. */
int term_draw(struct term_shown *shown, const struct term_screen *now, u32 wide, u32 high,
              struct buf *to);

/* ---- term_keys.c: bytes that a terminal sends as keys ---- */
enum { TERM_SHIFT = 1, TERM_CTRL = 2, TERM_ALT = 4 };
struct term_key {
    u16 code; /* set 1; 0: not a key */
    u8 with;  /* TERM_* */
};
/* The first key of n bytes (at least one); answers how many bytes it took. */
u32 term_key(const u8 *p, u32 n, struct term_key *k);
#endif
