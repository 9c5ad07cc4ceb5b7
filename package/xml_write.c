/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Printing XML 1.0 with name spaces; UTF-8 only, no document type. */
#include "package/xml_write.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void xml_add(struct xml_write *w, const char *p, size_t n)
{
    if (!w->error)
        w->error = buf_add(w->to, p, n);
}

static void xml_put(struct xml_write *w, const char *text)
{
    xml_add(w, text, strlen(text));
}

/* The bytes of one well-formed UTF-8 character that XML allows, or 0. */
static size_t xml_char(const u8 *p)
{
    static const u32 least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = *p < 0x80 ? 1 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    u32 c = *p;

    if (n == 1)
        return c >= 0x20 || c == '\t' || c == '\n' || c == '\r' ? 1 : 0;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    c &= 0xffu >> (n + 1);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c == 0xfffe || c == 0xffff)
        return 0;
    return n;
}

static const char *xml_entity(char c, bool attribute)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '\r': /* a parser would make a line feed of it */
        return "&#13;";
    case '"':
        return attribute ? "&quot;" : NULL;
    case '\n':
        return attribute ? "&#10;" : NULL;
    case '\t':
        return attribute ? "&#9;" : NULL;
    default:
        return NULL;
    }
}

static void xml_escape(struct xml_write *w, const char *text, bool attribute)
{
    const char *from = text;

    while (*text) {
        const char *entity = xml_entity(*text, attribute);
        size_t n = xml_char((const u8 *)text);

        if (n && !entity) {
            text += n;
            continue;
        }
        xml_add(w, from, (size_t)(text - from));
        xml_put(w, entity ? entity : "?");
        from = ++text;
    }
    xml_add(w, from, (size_t)(text - from));
}

static void xml_line(struct xml_write *w, unsigned depth)
{
    xml_put(w, "\n");
    for (unsigned i = 0; i < depth; i++)
        xml_put(w, "  ");
}

static void xml_tag_done(struct xml_write *w)
{
    if (w->tag)
        xml_put(w, ">");
    w->tag = false;
}

void xml_begin(struct xml_write *w, struct buf *to)
{
    *w = (struct xml_write){ .to = to };
    xml_put(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
}

void xml_open(struct xml_write *w, const char *name)
{
    xml_tag_done(w);
    if (w->depth == XML_WRITE_DEPTH) {
        w->error = w->error ? w->error : -E2BIG;
        return;
    }
    xml_line(w, w->depth);
    xml_put(w, "<");
    xml_put(w, name);
    w->open[w->depth++] = name;
    w->tag = true;
    w->inside = false;
}

void xml_attribute(struct xml_write *w, const char *name, const char *value)
{
    xml_put(w, " ");
    xml_put(w, name);
    xml_put(w, "=\"");
    xml_escape(w, value, true);
    xml_put(w, "\"");
}

/* What fmt makes, as the value of an attribute or a leaf. */
static void xml_print(struct xml_write *w, const char *name, const char *fmt, va_list ap,
                      void (*put)(struct xml_write *w, const char *name, const char *text))
{
    char *text;

    if (vasprintf(&text, fmt, ap) < 0) {
        w->error = -ENOMEM;
        return;
    }
    put(w, name, text);
    free(text);
}

void xml_attribute_f(struct xml_write *w, const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    xml_print(w, name, fmt, ap, xml_attribute);
    va_end(ap);
}

void xml_chars_out(struct xml_write *w, const char *text)
{
    xml_tag_done(w);
    xml_escape(w, text, false);
}

void xml_close(struct xml_write *w)
{
    const char *name;

    if (!w->depth)
        return;
    name = w->open[--w->depth];
    if (w->tag) {
        xml_put(w, "/>");
    } else {
        if (w->inside)
            xml_line(w, w->depth);
        xml_put(w, "</");
        xml_put(w, name);
        xml_put(w, ">");
    }
    w->tag = false;
    w->inside = true;
}

void xml_leaf(struct xml_write *w, const char *name, const char *text)
{
    xml_open(w, name);
    if (*text)
        xml_chars_out(w, text);
    xml_close(w);
}

void xml_leaf_f(struct xml_write *w, const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    xml_print(w, name, fmt, ap, xml_leaf);
    va_end(ap);
}

void xml_note(struct xml_write *w, const char *text)
{
    xml_tag_done(w);
    xml_line(w, w->depth);
    xml_put(w, "<!-- ");
    for (; *text; text++) /* "--" ends a comment too early */
        xml_add(w, *text == '-' && text[1] == '-' ? "_" : text, 1);
    xml_put(w, " -->");
    w->inside = true;
}

void xml_fragment(struct xml_write *w, const char *text)
{
    xml_tag_done(w);
    xml_line(w, w->depth);
    xml_put(w, text);
    w->inside = true;
}

int xml_end_all(struct xml_write *w)
{
    while (w->depth)
        xml_close(w);
    xml_put(w, "\n");
    return w->error;
}
