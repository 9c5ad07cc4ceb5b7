/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A text screen of the PC as control sequences (ECMA-48): what has changed since the last
 * time, code page 437 as UTF-8, the sixteen colours.  A terminal that is too small shows the
 * part with the cursor.
 */
#include "backend/term_int.h"
#include <errno.h>
#include <string.h>

/* Code page 437; 0x20 to 0x7e are ASCII. */
static const u16 term_low[32] = {
    0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9,
    0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7,
    0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc,
};
static const u16 term_high[129] = {
    0x2302, /* 0x7f */
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef,
    0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9,
    0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa,
    0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557,
    0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f,
    0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559,
    0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580,
    0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4,
    0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248,
    0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

static int term_put(struct buf *to, u8 c)
{
    u32 u = c < 32 ? term_low[c] : c < 0x7f ? c : term_high[c - 0x7f];
    u8 utf[3] = { (u8)u };
    u32 n = 1;

    if (u >= 0x800) {
        utf[0] = (u8)(0xe0 | u >> 12);
        utf[1] = (u8)(0x80 | (u >> 6 & 63));
        utf[2] = (u8)(0x80 | (u & 63));
        n = 3;
    } else if (u >= 0x80) {
        utf[0] = (u8)(0xc0 | u >> 6);
        utf[1] = (u8)(0x80 | (u & 63));
        n = 2;
    }
    return buf_add(to, utf, n);
}

/* VGA counts blue as 1 and red as 4, terminals the other way round. */
static int term_colour(struct buf *to, u8 attr)
{
    static const u8 turned[8] = { 0, 4, 2, 6, 1, 5, 3, 7 };
    u32 fore = turned[attr & 7] + (attr & 8 ? 90u : 30u), back = turned[attr >> 4 & 7];

    return buf_text(to, "\033[0;%u;%um", fore, back + 40);
}

static int term_row(struct term_shown *s, const struct term_screen *now, u32 y, int *attr,
                    struct buf *to)
{
    u32 at = ~0u;
    int r = 0;

    for (u32 x = 0; x < s->columns && !r; x++) {
        const u8 *cell = now->cell + 2 * ((y + s->top) * now->columns + x);
        u16 want = (u16)(cell[0] | cell[1] << 8), *have = &s->cell[y * TERM_COLUMNS + x];

        if (*have == want)
            continue;
        if (at != x)
            r = buf_text(to, "\033[%u;%uH", y + 1, x + 1);
        if (!r && *attr != cell[1])
            r = term_colour(to, cell[1]);
        if (!r)
            r = term_put(to, cell[0]);
        *attr = cell[1];
        *have = want;
        at = x + 1;
    }
    return r;
}

static int term_clear(struct term_shown *s, struct buf *to)
{
    for (u32 i = 0; i < LEN(s->cell); i++)
        s->cell[i] = ' ' | 7 << 8;
    s->cursor = false;
    return buf_text(to, "\033[?25l\033[0;37;40m\033[2J");
}

static int term_cursor(struct term_shown *s, const struct term_screen *now, bool moved,
                       struct buf *to)
{
    u32 row = now->cursor_row - s->top;
    bool on = now->cursor && now->cursor_row >= s->top && row < s->rows &&
              now->cursor_column < s->columns;
    int r = 0;

    if (on &&
        (moved || !s->cursor || row != s->cursor_row || now->cursor_column != s->cursor_column))
        r = buf_text(to, "\033[%u;%uH", row + 1, now->cursor_column + 1);
    if (!r && on != s->cursor)
        r = buf_text(to, on ? "\033[?25h" : "\033[?25l");
    s->cursor = on;
    s->cursor_row = row;
    s->cursor_column = now->cursor_column;
    return r;
}

int term_draw(struct term_shown *s, const struct term_screen *now, u32 wide, u32 high,
              struct buf *to)
{
    u32 columns = (u32)min_u64(min_u64(now->columns, wide), TERM_COLUMNS);
    u32 rows = (u32)min_u64(min_u64(now->rows, high), TERM_ROWS);
    size_t before = to->len;
    int r = 0, attr = -1;

    if (now->graphics) {
        if (!s->known || !s->graphics) {
            r = term_clear(s, to);
            r = r ? r : buf_text(to, "\033[H(the guest is in graphics mode; Ctrl-] leaves)");
        }
        s->known = s->graphics = true;
        return r;
    }
    if (!s->known || s->graphics || columns != s->columns || rows != s->rows)
        r = term_clear(s, to);
    s->columns = columns;
    s->rows = rows;
    s->known = true;
    s->graphics = false;
    s->top = 0;
    if (rows && now->cursor_row >= rows && now->cursor_row < now->rows)
        s->top = now->cursor_row - rows + 1;
    for (u32 y = 0; y < rows && !r; y++)
        r = term_row(s, now, y, &attr, to);
    return r ? r : term_cursor(s, now, to->len != before, to);
}
