/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Characters and X's key symbols as keys of a US keyboard.  Other letters have no key here. */
#include "backend/keys.h"
#include <string.h>

/* Rows of the keyboard: the first character has the code `first`. */
static const struct {
    u16 first;
    const char *plain, *shifted;
} keys_rows[] = {
    { 0x02, "1234567890-=", "!@#$%^&*()_+" },
    { 0x10, "qwertyuiop[]", "QWERTYUIOP{}" },
    { 0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~" },
    { 0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?" },
    { 0x39, " ", "" },
    { 0x0f, "\t", "" },
};

u16 keys_ascii(u8 c, bool *shift)
{
    *shift = false;
    for (u32 i = 0; c && i < LEN(keys_rows); i++) {
        const char *plain = strchr(keys_rows[i].plain, c);
        const char *shifted = strchr(keys_rows[i].shifted, c);

        if (plain)
            return (u16)(keys_rows[i].first + (plain - keys_rows[i].plain));
        if (shifted) {
            *shift = true;
            return (u16)(keys_rows[i].first + (shifted - keys_rows[i].shifted));
        }
    }
    return 0;
}

/* keysymdef.h's numbers. */
static const struct {
    u16 symbol, code;
} keys_named[] = {
    { 0xff08, 0x0e },   { 0xff09, 0x0f },   { 0xfe20, 0x0f },   { 0xff0d, 0x1c },
    { 0xff13, 0xe046 }, { 0xff14, 0x46 },   { 0xff1b, 0x01 },   { 0xffff, 0xe053 },
    { 0xff50, 0xe047 }, { 0xff51, 0xe04b }, { 0xff52, 0xe048 }, { 0xff53, 0xe04d },
    { 0xff54, 0xe050 }, { 0xff55, 0xe049 }, { 0xff56, 0xe051 }, { 0xff57, 0xe04f },
    { 0xff61, 0xe037 }, { 0xff63, 0xe052 }, { 0xff67, 0xe05d }, { 0xff7f, 0x45 },
    { 0xff8d, 0xe01c }, { 0xff95, 0x47 },   { 0xff96, 0x4b },   { 0xff97, 0x48 },
    { 0xff98, 0x4d },   { 0xff99, 0x50 },   { 0xff9a, 0x49 },   { 0xff9b, 0x51 },
    { 0xff9c, 0x4f },   { 0xff9d, 0x4c },   { 0xff9e, 0x52 },   { 0xff9f, 0x53 },
    { 0xffaa, 0x37 },   { 0xffab, 0x4e },   { 0xffad, 0x4a },   { 0xffae, 0x53 },
    { 0xffaf, 0xe035 }, { 0xffb0, 0x52 },   { 0xffb1, 0x4f },   { 0xffb2, 0x50 },
    { 0xffb3, 0x51 },   { 0xffb4, 0x4b },   { 0xffb5, 0x4c },   { 0xffb6, 0x4d },
    { 0xffb7, 0x47 },   { 0xffb8, 0x48 },   { 0xffb9, 0x49 },   { 0xffc8, 0x57 },
    { 0xffc9, 0x58 },   { 0xffe1, 0x2a },   { 0xffe2, 0x36 },   { 0xffe3, 0x1d },
    { 0xffe4, 0xe01d }, { 0xffe5, 0x3a },   { 0xffe7, 0x38 },   { 0xffe8, 0xe038 },
    { 0xffe9, 0x38 },   { 0xffea, 0xe038 }, { 0xffeb, 0xe05b }, { 0xffec, 0xe05c },
    { 0xfe03, 0xe038 },
};

u16 keys_symbol(u32 symbol, bool *shift)
{
    *shift = false;
    if (symbol < 0x7f)
        return keys_ascii((u8)symbol, shift);
    if (symbol >= 0xffbe && symbol <= 0xffc7) /* F1 to F10 */
        return (u16)(0x3b + symbol - 0xffbe);
    for (u32 i = 0; i < LEN(keys_named); i++)
        if (keys_named[i].symbol == symbol)
            return keys_named[i].code;
    return 0;
}
