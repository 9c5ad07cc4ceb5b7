/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/term_int.h"
#include "base/loop.h"
#include "tests/check.h"
#include <fcntl.h>
#include <unistd.h>

static u8 cell[2 * 80 * 25];
static struct term_shown shown;

static struct term_screen screen(void)
{
    return (struct term_screen){ .columns = 80, .rows = 25, .cell = cell };
}

static void blank(void)
{
    for (u32 i = 0; i < sizeof(cell); i += 2) {
        cell[i] = ' ';
        cell[i + 1] = 7;
    }
    memset(&shown, 0, sizeof(shown));
}

static void draw(const struct term_screen *s, u32 wide, u32 high, const char *want)
{
    struct buf b = { 0 };

    CHECK_EQ(term_draw(&shown, s, wide, high, &b), 0);
    buf_add(&b, "", 1);
    CHECK_TEXT((const char *)b.p, want);
    buf_fini(&b);
}

static void only_what_changed(void)
{
    struct term_screen s = screen();

    blank();
    memcpy(cell, "H\7i\7", 4);
    draw(&s, 100, 50, "\033[?25l\033[0;37;40m\033[2J\033[1;1H\033[0;37;40mHi");
    draw(&s, 100, 50, "");
    cell[2 * (24 * 80 + 79)] = 0xc9; /* a corner, yellow on blue */
    cell[2 * (24 * 80 + 79) + 1] = 0x1e;
    draw(&s, 100, 50, "\033[25;80H\033[0;93;44m\xe2\x95\x94");
    cell[0] = 0x81;
    cell[4] = 0;
    cell[5] = 0x70;
    draw(&s, 100, 50, "\033[1;1H\033[0;37;40m\xc3\xbc\033[1;3H\033[0;30;47m ");
}

static void cursor_and_modes(void)
{
    struct term_screen s = screen();

    blank();
    s.cursor = true;
    s.cursor_row = 3;
    s.cursor_column = 4;
    draw(&s, 80, 25, "\033[?25l\033[0;37;40m\033[2J\033[4;5H\033[?25h");
    draw(&s, 80, 25, "");
    s.cursor_column = 5;
    draw(&s, 80, 25, "\033[4;6H");
    s.cursor = false;
    draw(&s, 80, 25, "\033[?25l");
    s.graphics = true;
    draw(&s, 80, 25,
         "\033[?25l\033[0;37;40m\033[2J\033[H(the guest is in graphics mode; Ctrl-] leaves)");
    draw(&s, 80, 25, "");
    s.graphics = false;
    draw(&s, 80, 25, "\033[?25l\033[0;37;40m\033[2J");
}

static void small_terminal_follows_the_cursor(void)
{
    struct term_screen s = screen();

    blank();
    s.cursor = true;
    s.cursor_row = 24;
    cell[2 * 24 * 80] = '$';
    cell[2 * (24 * 80 + 50)] = 'x'; /* right of what fits */
    draw(&s, 40, 10, "\033[?25l\033[0;37;40m\033[2J\033[10;1H\033[0;37;40m$\033[10;1H\033[?25h");
    s.rows = 0;
    draw(&s, 40, 10, "\033[?25l\033[0;37;40m\033[2J");
}

static void key(const char *bytes, u32 n, u32 took, u16 code, u8 with)
{
    struct term_key k;

    CHECK_EQ(term_key((const u8 *)bytes, n, &k), took);
    CHECK_EQ(k.code, code);
    CHECK_EQ(k.with, with);
}

static void keys(void)
{
    key("a", 1, 1, 0x1e, 0);
    key("A", 1, 1, 0x1e, TERM_SHIFT);
    key("/x", 2, 1, 0x35, 0);
    key("?", 1, 1, 0x35, TERM_SHIFT);
    key("\\", 1, 1, 0x2b, 0);
    key(" ", 1, 1, 0x39, 0);
    key("\r", 1, 1, 0x1c, 0);
    key("\t", 1, 1, 0x0f, 0);
    key("\x7f", 1, 1, 0x0e, 0);
    key("\x03", 1, 1, 0x2e, TERM_CTRL);
    key("\x1c", 1, 1, 0x2b, TERM_CTRL);
    key("\0", 1, 1, 0x39, TERM_CTRL);
    key("\033", 1, 1, 0x01, 0);
    key("\033x", 2, 2, 0x2d, TERM_ALT);
    key("\033[A", 3, 3, 0xe048, 0);
    key("\033OD", 3, 3, 0xe04b, 0);
    key("\033OP", 3, 3, 0x3b, 0);
    key("\033[3~z", 5, 4, 0xe053, 0);
    key("\033[24~", 5, 5, 0x58, 0);
    key("\033[1;5C", 6, 6, 0xe04d, TERM_CTRL);
    key("\033[[B", 4, 4, 0x3c, 0);
    key("\xc3", 1, 1, 0, 0);
    key("\033[999999999999~", 15, 15, 0, 0);
    key("\033[12", 4, 4, 0, 0);
}

static u16 typed[64];
static u32 ntyped, left, asked;

static void on_key(void *arg, u16 code, bool down)
{
    if (ntyped < LEN(typed))
        typed[ntyped++] = (u16)(code | (down ? 0 : 0x80));
}

static void on_leave(void *arg)
{
    left++;
}

static void on_screen(void *arg, struct term_screen *s)
{
    *s = screen();
    asked++;
}

static void whole(void)
{
    static const u16 want[] = { 0x2a, 0x23, 0xa3, 0xaa, 0x17, 0x97 };
    struct term_how how = { .screen = on_screen, .key = on_key, .leave = on_leave };
    struct err e = { 0 };
    struct term *t = NULL;
    char out[4096] = { 0 };
    int in[2], from[2];

    blank();
    cell[0] = '!';
    CHECK(!pipe(in) && !pipe(from));
    CHECK_EQ(loop_new(&how.loop, &e), 0);
    how.in = in[0];
    how.out = from[1];
    CHECK_EQ(term_open(&t, &how, &e), 0);
    CHECK_EQ(write(in[1], "Hi", 2), 2);
    while (ntyped < 6 || !asked)
        loop_once(how.loop);
    CHECK(!memcmp(typed, want, sizeof(want)));
    CHECK_EQ(write(in[1], "x\x1d", 2), 2);
    while (!left)
        loop_once(how.loop);
    close(in[1]);
    while (left < 2)
        loop_once(how.loop);
    term_close(t);
    close(from[1]);
    CHECK(read(from[0], out, sizeof(out) - 1) > 0);
    CHECK(!strncmp(out, "\033[?1049h", 8));
    CHECK(strstr(out, "!"));
    CHECK_TEXT(out + strlen(out) - 8, "\033[?1049l");
    close(in[0]);
    close(from[0]);
    loop_free(how.loop);
}

int main(void)
{
    CASE(only_what_changed);
    CASE(cursor_and_modes);
    CASE(small_terminal_follows_the_cursor);
    CASE(keys);
    CASE(whole);
    return check_end();
}
