/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names in Microsoft's formats: UTF-16 with "\" between directories; or file: URLs. */
#include "base/bytes.h"
#include "image/image_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static u32 utf16_unit(const u8 *p, size_t i, bool little)
{
    return little ? le16(p + 2 * i) : be16(p + 2 * i);
}

char *image_name_utf16(const u8 *p, size_t n, bool little)
{
    char *text = malloc(n * 3 + 1), *to = text;

    for (size_t i = 0; text && i < n; i++) {
        u32 c = utf16_unit(p, i, little), low;

        if (!c)
            break;
        if (c == '\\')
            c = '/';
        if (c < 0x80) {
            *to++ = (char)c;
        } else if (c < 0x800) {
            *to++ = (char)(0xc0 | c >> 6);
            *to++ = (char)(0x80 | (c & 63));
        } else if (c >> 10 == 0x36 && i + 1 < n &&
                   (low = utf16_unit(p, i + 1, little)) >> 10 == 0x37) {
            c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
            i++;
            *to++ = (char)(0xf0 | c >> 18);
            *to++ = (char)(0x80 | (c >> 12 & 63));
            *to++ = (char)(0x80 | (c >> 6 & 63));
            *to++ = (char)(0x80 | (c & 63));
        } else {
            *to++ = (char)(0xe0 | c >> 12);
            *to++ = (char)(0x80 | (c >> 6 & 63));
            *to++ = (char)(0x80 | (c & 63));
        }
    }
    if (text)
        *to = 0;
    return text;
}

/* One character of UTF-8; 0 when it is none. */
static u32 utf8_next(const char **text)
{
    const u8 *p = (const u8 *)*text;
    u32 c = *p++, n = c < 0x80 ? 0 : c >> 5 == 6 ? 1 : c >> 4 == 14 ? 2 : c >> 3 == 30 ? 3 : 9;

    if (n == 9)
        return 0;
    c &= n ? 0x3f >> n : 0x7f;
    for (; n; n--, p++) {
        if ((*p & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (*p & 0x3f);
    }
    *text = (const char *)p;
    return c > 0x10ffff ? 0 : c;
}

size_t image_utf16_name(const char *name, u8 *to, size_t room, bool little)
{
    size_t n = 0;

    while (*name) {
        u32 c = utf8_next(&name);
        u16 units[2] = { (u16)(c == '/' ? '\\' : c), 0 };

        if (!c)
            return 0;
        if (c > 0xffff) {
            units[0] = (u16)(0xd800 + ((c - 0x10000) >> 10));
            units[1] = (u16)(0xdc00 + ((c - 0x10000) & 0x3ff));
        }
        for (int i = 0; i < (units[1] ? 2 : 1); i++, n++) {
            if (n >= room)
                return 0;
            if (little)
                put_le16(to + 2 * n, units[i]);
            else
                put_be16(to + 2 * n, units[i]);
        }
    }
    return n;
}

char *image_name_url(const u8 *p, size_t n)
{
    static const char *const heads[] = { "file://localhost", "file://" };
    char *text = strndup((const char *)p, n), *from = text, *to = text;

    for (size_t i = 0; text && i < LEN(heads); i++)
        if (from == text && !strncasecmp(text, heads[i], strlen(heads[i])))
            from += strlen(heads[i]);
    for (unsigned c; from && *from; from++) {
        if (*from == '%' && sscanf(from + 1, "%2x", &c) == 1 && c) {
            *to++ = (char)c;
            from += from[2] ? 2 : 1;
        } else {
            *to++ = *from;
        }
    }
    if (text)
        *to = 0;
    return text;
}
