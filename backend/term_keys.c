/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a terminal sends, as keys of a US keyboard (scan code set 1): ASCII, control
 * characters, Alt by a leading escape, and the sequences of xterm and the Linux console for
 * arrows and function keys (ECMA-48; xterm "PC-Style Function Keys").  Other letters than
 * ASCII's have no key there and are dropped.
 */
#include "backend/keys.h"
#include "backend/term_int.h"
#include <string.h>

enum { ESC = 0x1b, KEY_ESC = 0x01, KEY_BACKSPACE = 0x0e, KEY_ENTER = 0x1c };

static struct term_key term_ascii(u8 c)
{
    bool shift;
    u16 code = keys_ascii(c, &shift);

    return (struct term_key){ code, shift ? TERM_SHIFT : 0 };
}

static struct term_key term_character(u8 c)
{
    struct term_key k;

    switch (c) {
    case '\r':
    case '\n':
        return (struct term_key){ KEY_ENTER, 0 };
    case 0x7f:
    case 0x08:
        return (struct term_key){ KEY_BACKSPACE, 0 };
    case ESC:
        return (struct term_key){ KEY_ESC, 0 };
    }
    if (c >= 0x20 || c == '\t')
        return term_ascii(c);
    k = term_ascii(c ? (c < 27 ? c + 0x60 : c + 0x40) : ' '); /* Ctrl-A is 1, Ctrl-[ 0x1b */
    k.with |= TERM_CTRL;
    return k;
}

static u16 term_by_letter(u8 c)
{
    static const struct {
        u8 letter;
        u16 code;
    } keys[] = { { 'A', 0xe048 }, { 'B', 0xe050 }, { 'C', 0xe04d }, { 'D', 0xe04b },
                 { 'H', 0xe047 }, { 'F', 0xe04f }, { 'P', 0x3b },   { 'Q', 0x3c },
                 { 'R', 0x3d },   { 'S', 0x3e } };

    for (u32 i = 0; i < LEN(keys); i++)
        if (keys[i].letter == c)
            return keys[i].code;
    return 0;
}

static u16 term_by_number(u32 n) /* ESC [ n ~ */
{
    static const u16 keys[] = { 0,      0xe047, 0xe052, 0xe053, 0xe04f, 0xe049, 0xe051,
                                0xe047, 0xe04f, 0,      0,      0x3b,   0x3c,   0x3d,
                                0x3e,   0x3f,   0,      0x40,   0x41,   0x42,   0x43,
                                0x44,   0,      0x57,   0x58 };

    return n < LEN(keys) ? keys[n] : 0;
}

/* ESC [ numbers letter; the second number less one holds the modifiers. */
static u32 term_sequence(const u8 *p, u32 n, struct term_key *k)
{
    u32 number[2] = { 0 }, which = 0, at = 2;

    if (n > 3 && p[2] == '[') { /* the Linux console's F1 to F5 */
        *k = (struct term_key){ p[3] >= 'A' && p[3] <= 'E' ? (u16)(0x3b + p[3] - 'A') : 0, 0 };
        return 4;
    }
    for (; at < n && (p[at] < 0x40 || p[at] > 0x7e); at++) {
        if (p[at] == ';')
            which = 1;
        else if (p[at] >= '0' && p[at] <= '9' && number[which] < 1000)
            number[which] = number[which] * 10 + (p[at] - '0');
    }
    *k = (struct term_key){ 0, 0 };
    if (at == n)
        return n;
    k->code = p[at] == '~' ? term_by_number(number[0]) : term_by_letter(p[at]);
    if (number[1] > 1) {
        u32 m = number[1] - 1;

        k->with = (u8)((m & 1 ? TERM_SHIFT : 0) | (m & 2 ? TERM_ALT : 0) | (m & 4 ? TERM_CTRL : 0));
    }
    return at + 1;
}

u32 term_key(const u8 *p, u32 n, struct term_key *k)
{
    if (p[0] != ESC || n == 1) {
        *k = term_character(p[0]);
        return 1;
    }
    if (p[1] == '[' && n > 2)
        return term_sequence(p, n, k);
    if (p[1] == 'O' && n > 2) {
        *k = (struct term_key){ term_by_letter(p[2]), 0 };
        return 3;
    }
    if (p[1] == ESC) {
        *k = (struct term_key){ KEY_ESC, 0 };
        return 1;
    }
    *k = term_character(p[1]);
    k->with |= TERM_ALT;
    return 2;
}
