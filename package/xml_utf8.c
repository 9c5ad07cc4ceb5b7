/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which encoding a document has, by its first bytes and then by what it says (XML 1.0,
 * appendix F), and the same text in UTF-8.  A document of bytes that calls itself UTF-16 was
 * re-coded by some tool on its way: it is taken for UTF-8.
 */
#include "package/xml.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

/* Windows-1252 differs from Latin-1 in 0x80 to 0x9f; 0: not assigned */
static const u16 utf8_1252[32] = { 0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                   0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017d, 0,
                                   0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                   0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178 };

static int utf8_add(struct buf *to, u32 c)
{
    u8 b[4];
    size_t n;

    if (c < 0x80) {
        b[0] = (u8)c;
        n = 1;
    } else if (c < 0x800) {
        b[0] = (u8)(0xc0 | c >> 6);
        n = 2;
    } else if (c < 0x10000) {
        b[0] = (u8)(0xe0 | c >> 12);
        n = 3;
    } else {
        b[0] = (u8)(0xf0 | c >> 18);
        n = 4;
    }
    for (size_t i = 1; i < n; i++)
        b[i] = (u8)(0x80 | (c >> 6 * (n - 1 - i) & 0x3f));
    return buf_add(to, b, n);
}

static int utf8_from_16(const u8 *p, size_t n, bool big, const char *where, struct buf *to,
                        struct err *e)
{
    u32 high = 0;
    int r = 0;

    if (n & 1)
        return err_set(e, -EBADMSG, "%s: ends in the middle of a UTF-16 character", where);
    for (; n && !r; p += 2, n -= 2) {
        u32 c = big ? (u32)(p[0] << 8 | p[1]) : (u32)(p[1] << 8 | p[0]);
        bool low = (c & 0xfc00) == 0xdc00;

        if (low != (high != 0) || !c)
            return err_set(e, -EBADMSG, "%s: is no valid UTF-16", where);
        if ((c & 0xfc00) == 0xd800) {
            high = c;
            continue;
        }
        r = utf8_add(to, low ? 0x10000 + ((high & 0x3ff) << 10 | (c & 0x3ff)) : c);
        high = 0;
    }
    if (high)
        return err_set(e, -EBADMSG, "%s: is no valid UTF-16", where);
    return r ? err_set(e, r, "%s: no memory", where) : 0;
}

static int utf8_from_8(const u8 *p, size_t n, bool windows, const char *where, struct buf *to,
                       struct err *e)
{
    int r = 0;

    for (; n && !r; p++, n--) {
        u32 c = *p;

        if (windows && c >= 0x80 && c < 0xa0 && utf8_1252[c - 0x80])
            c = utf8_1252[c - 0x80];
        r = utf8_add(to, c);
    }
    return r ? err_set(e, r, "%s: no memory", where) : 0;
}

/* The encoding that the XML declaration names: "" when it names none */
static void utf8_said(const char *text, size_t n, char name[24])
{
    const char *p = text, *end = memchr(text, '>', n < 256 ? n : 256);
    size_t len = 0;
    char quote;

    name[0] = 0;
    if (!end || end - text < 5 || memcmp(text, "<?xml", 5))
        return;
    for (; end - p > 10 && strncmp(p, "encoding", 8); p++)
        ;
    if (end - p <= 10)
        return;
    for (p += 8; p < end && (isspace((u8)*p) || *p == '='); p++)
        ;
    quote = *p++;
    while (p < end && *p != quote && len < 23)
        name[len++] = *p++;
    name[len] = 0;
}

int xml_utf8(const char *text, size_t n, const char *where, struct buf *to, struct err *e)
{
    const u8 *p = (const u8 *)text;
    char said[24];
    bool windows;

    if (n >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff)))
        return utf8_from_16(p + 2, n - 2, p[0] == 0xfe, where, to, e);
    if (n >= 4 && !memcmp(p, "<\0?\0", 4))
        return utf8_from_16(p, n, false, where, to, e);
    if (n >= 4 && !memcmp(p, "\0<\0?", 4))
        return utf8_from_16(p, n, true, where, to, e);
    if (n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3)) {
        text += 3;
        n -= 3;
    }
    utf8_said(text, n, said);
    windows = !strcasecmp(said, "windows-1252") || !strcasecmp(said, "cp1252");
    if (windows || !strcasecmp(said, "iso-8859-1") || !strcasecmp(said, "latin1"))
        return utf8_from_8((const u8 *)text, n, windows, where, to, e);
    if (*said && strncasecmp(said, "utf", 3) && strcasecmp(said, "us-ascii") &&
        strcasecmp(said, "ascii") && strncasecmp(said, "ucs", 3))
        return err_set(e, -EOPNOTSUPP, "%s: is encoded in \"%s\", which is not supported", where,
                       said);
    return n && buf_add(to, text, n) ? err_set(e, -ENOMEM, "%s: no memory", where) : 0;
}
