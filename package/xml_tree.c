/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A document in the making, and its text. */
#include "package/xml_tree.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREE_MEMORY (128u << 20)
#define TREE_INDENT 2

static char *tree_format(struct xml_tree *t, const char *fmt, va_list ap)
{
    char *text, *copy = NULL;
    int n = vasprintf(&text, fmt, ap);

    if (n >= 0) {
        copy = arena_text(&t->arena, text, (size_t)n);
        free(text);
    }
    t->failed |= !copy;
    return copy;
}

struct xml_node *xml_add(struct xml_tree *t, struct xml_node *parent, const char *name)
{
    struct xml_node *n = arena_new(&t->arena, sizeof(*n));

    if (!n || !(n->name = arena_text(&t->arena, name, strlen(name)))) {
        t->failed = true;
        return &t->spare;
    }
    n->space = n->prefix = n->text = "";
    n->parent = parent;
    if (parent) {
        *(parent->last ? &parent->last->next : &parent->first) = n;
        parent->last = n;
    }
    return n;
}

void xml_tree_init(struct xml_tree *t, const char *root)
{
    *t = (struct xml_tree){ .arena = { .limit = TREE_MEMORY } };
    t->spare = (struct xml_node){ .space = "", .prefix = "", .name = "", .text = "" };
    t->root = xml_add(t, NULL, root);
}

void xml_tree_fini(struct xml_tree *t)
{
    arena_fini(&t->arena);
    *t = (struct xml_tree){ 0 };
}

struct xml_node *xml_get(struct xml_tree *t, struct xml_node *parent, const char *name)
{
    struct xml_node *n = parent->first;

    while (n && strcmp(n->name, name))
        n = n->next;
    return n ? n : xml_add(t, parent, name);
}

struct xml_node *xml_put(struct xml_tree *t, struct xml_node *parent, const char *name,
                         const char *fmt, ...)
{
    struct xml_node *n = xml_add(t, parent, name);
    const char *text;
    va_list ap;

    va_start(ap, fmt);
    text = tree_format(t, fmt, ap);
    va_end(ap);
    n->text = text ? text : "";
    return n;
}

void xml_set(struct xml_tree *t, struct xml_node *n, const char *attr, const char *fmt, ...)
{
    struct xml_attr **last = &n->attrs;
    const char *value;
    va_list ap;

    va_start(ap, fmt);
    value = tree_format(t, fmt, ap);
    va_end(ap);
    while (*last && strcmp((*last)->name, attr))
        last = &(*last)->next;
    if (!*last) {
        struct xml_attr *a = arena_new(&t->arena, sizeof(*a));

        if (!a || !(a->name = arena_text(&t->arena, attr, strlen(attr)))) {
            t->failed = true;
            return;
        }
        a->space = a->prefix = "";
        *last = a;
    }
    (*last)->value = value ? value : "";
}

/* The length of the character at p when it may stand in XML 1.0 (2.2), else 0 */
static size_t escape_char(const u8 *p)
{
    u32 c = *p;
    size_t n;

    if (c < 0x80)
        return c >= 0x20 || c == '\t' || c == '\n' || c == '\r';
    n = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
    if (!n || c >= 0xf5)
        return 0;
    c &= 0x7fu >> n;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)))
        return 0;
    return (c >= 0xd800 && c < 0xe000) || (c & 0xfffe) == 0xfffe ? 0 : n;
}

int xml_escape(struct buf *to, const char *s)
{
    int r = 0;

    while (*s && !r) {
        size_t n = escape_char((const u8 *)s);

        if (*s == '&' || *s == '<' || *s == '>' || *s == '"')
            r = buf_text(to, "&%s;",
                         *s == '&'   ? "amp"
                         : *s == '<' ? "lt"
                         : *s == '>' ? "gt"
                                     : "quot");
        else if (n && (u8)*s < 0x20)
            r = buf_text(to, "&#%d;", *s);
        else
            r = n ? buf_add(to, s, n) : buf_add(to, "?", 1);
        s += n ? n : 1;
    }
    return r;
}

static const char *print_colon(const char *prefix)
{
    return *prefix ? ":" : "";
}

static int print_start(const struct xml_node *n, struct buf *to)
{
    int r = buf_text(to, "<%s%s%s", n->prefix, print_colon(n->prefix), n->name);

    for (const struct xml_attr *a = n->attrs; a && !r; a = a->next) {
        r = buf_text(to, " %s%s%s=\"", a->prefix, print_colon(a->prefix), a->name);
        r = r ? r : xml_escape(to, a->value);
        r = r ? r : buf_add(to, "\"", 1);
    }
    return r;
}

int xml_print(const struct xml_node *n, unsigned depth, struct buf *to)
{
    int indent = (int)(depth * TREE_INDENT), r;

    if (n->raw)
        return buf_add(to, n->raw, n->raw_len);
    r = print_start(n, to);
    if (!r && !n->first && !*n->text)
        return buf_text(to, "/>");
    r = r ? r : buf_text(to, ">");
    r = r ? r : xml_escape(to, n->text);
    for (const struct xml_node *c = n->first; c && !r; c = c->next) {
        r = buf_text(to, "\n%*s", indent + TREE_INDENT, "");
        r = r ? r : xml_print(c, depth + 1, to);
    }
    if (!r && n->first)
        r = buf_text(to, "\n%*s", indent, "");
    return r ? r : buf_text(to, "</%s%s%s>", n->prefix, print_colon(n->prefix), n->name);
}

int xml_document(const struct xml_tree *t, struct buf *to, struct err *e)
{
    int r = t->failed ? -ENOMEM : buf_text(to, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");

    r = r ? r : xml_print(t->root, 0, to);
    r = r ? r : buf_text(to, "\n");
    return r ? err_set(e, r, "the description is too long to be written") : 0;
}
