/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names in Microsoft's formats: UTF-16 with "\" between directories, to UTF-8 with "/". */
#include "base/bytes.h"
#include "image/image_int.h"
#include <stdlib.h>

char *image_name_utf16(const u8 *p, size_t n, bool little)
{
    char *text = malloc(n * 3 + 1), *to = text;

    for (size_t i = 0; text && i < n; i++) {
        u16 c = little ? le16(p + 2 * i) : be16(p + 2 * i);

        if (!c)
            break;
        if (c == '\\')
            c = '/';
        if (c < 0x80) {
            *to++ = (char)c;
        } else if (c < 0x800) {
            *to++ = (char)(0xc0 | c >> 6);
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
