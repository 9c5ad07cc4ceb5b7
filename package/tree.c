/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trees of values, and how what nobody understood in them is kept and put back. */
#include "package/tree.h"
#include "package/yaml.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TREE_PATH 1024

struct tree *tree_add(struct arena *a, struct tree *parent, enum tree_kind kind, const char *key)
{
    struct tree *t = arena_new(a, sizeof(*t));

    if (!t)
        return NULL;
    t->kind = kind;
    t->text = "";
    if (key && !(t->key = arena_text(a, key, strlen(key))))
        return NULL;
    t->parent = parent;
    if (!parent)
        return t;
    *(parent->last ? &parent->last->next : &parent->first) = t;
    parent->last = t;
    return t;
}

struct tree *tree_add_map(struct arena *a, struct tree *parent, const char *key)
{
    return parent ? tree_add(a, parent, TREE_MAP, key) : NULL;
}

struct tree *tree_add_list(struct arena *a, struct tree *parent, const char *key)
{
    return parent ? tree_add(a, parent, TREE_LIST, key) : NULL;
}

struct tree *tree_add_text(struct arena *a, struct tree *parent, const char *key, const char *text)
{
    struct tree *t = parent ? tree_add(a, parent, TREE_TEXT, key) : NULL;

    if (t)
        t->text = arena_text(a, text, strlen(text));
    return t && t->text ? t : NULL;
}

struct tree *tree_add_bare(struct arena *a, struct tree *parent, const char *key, const char *fmt,
                           ...)
{
    struct tree *t;
    char text[64];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    t = tree_add_text(a, parent, key, text);
    if (t)
        t->bare = true;
    return t;
}

struct tree *tree_get(const struct tree *map, const char *key)
{
    if (!map || map->kind != TREE_MAP)
        return NULL;
    for (struct tree *t = map->first; t; t = t->next)
        if (!strcmp(t->key, key))
            return t;
    return NULL;
}

void tree_take(struct tree *t)
{
    for (; t && !t->taken; t = t->parent)
        t->taken = true;
}

void tree_take_all(struct tree *t)
{
    tree_take(t);
    for (struct tree *c = t ? t->first : NULL; c; c = c->next)
        tree_take_all(c);
}

const char *tree_take_text(const struct tree *map, const char *key)
{
    struct tree *t = tree_get(map, key);

    if (!t || t->kind != TREE_TEXT)
        return "";
    tree_take(t);
    return t->text;
}

bool tree_true(const char *s)
{
    return !strcasecmp(s, "true") || !strcmp(s, "1") || !strcasecmp(s, "yes") ||
           !strcasecmp(s, "on");
}

/* ---- printing ---- */

static int tree_print_quoted(const char *s, struct buf *to)
{
    int r = buf_add(to, "\"", 1);

    for (; !r && *s; s++) {
        if (*s == '"' || *s == '\\')
            r = buf_text(to, "\\%c", *s);
        else if (*s == '\n')
            r = buf_text(to, "\\n");
        else if (*s == '\t')
            r = buf_text(to, "\\t");
        else if ((u8)*s < 0x20 || *s == 0x7f)
            r = buf_text(to, "\\x%02x", (u8)*s);
        else
            r = buf_add(to, s, 1);
    }
    return r ? r : buf_add(to, "\"", 1);
}

int tree_print(const struct tree *t, struct buf *to)
{
    const char *open = t->kind == TREE_MAP ? "{" : "[", *shut = t->kind == TREE_MAP ? "}" : "]";
    int r = t->type ? buf_text(to, "!%s ", t->type) : 0;

    if (r)
        return r;
    if (t->kind == TREE_TEXT)
        return t->bare ? buf_text(to, "%s", t->text) : tree_print_quoted(t->text, to);
    r = buf_text(to, "%s", open);
    for (const struct tree *c = t->first; !r && c; c = c->next) {
        if (t->kind == TREE_MAP && !(r = tree_print_quoted(c->key, to)))
            r = buf_text(to, ": ");
        r = r ? r : tree_print(c, to);
        if (!r && c->next)
            r = buf_text(to, ", ");
    }
    return r ? r : buf_text(to, "%s", shut);
}

/* ---- what was not taken ---- */

/* One step of a path appended; false when it grows too long. */
static bool tree_step(char *path, size_t *n, const struct tree *t, u32 index)
{
    const struct tree *name =
        t->parent && t->parent->kind == TREE_LIST ? tree_get(t, "name") : NULL;
    const char *s = name && name->kind == TREE_TEXT && *name->text ? name->text : t->key;
    size_t at = *n;

    if (at && at < TREE_PATH - 1)
        path[at++] = '/';
    if (t->parent->kind == TREE_LIST) {
        path[at++] = '[';
        if (!s)
            at += (size_t)snprintf(path + at, TREE_PATH - at, "#%u", index);
    }
    for (; s && *s && at < TREE_PATH - 8; s++) {
        if (*s == '/' || *s == '~' || *s == '[' || *s == ']') {
            path[at++] = '~';
            path[at++] = *s == '~' ? '0' : *s == '/' ? '1' : *s == '[' ? '2' : '3';
        } else {
            path[at++] = *s;
        }
    }
    if (t->parent->kind == TREE_LIST && at < TREE_PATH - 1)
        path[at++] = ']';
    path[at] = 0;
    *n = at;
    return at < TREE_PATH - 64;
}

static int tree_leave_one(const struct tree *t, struct desc *d, const char *format,
                          const char *path)
{
    struct buf text = { 0 };
    int r = tree_print(t, &text);

    r = r ? r : buf_add(&text, "", 1);
    r = r ? r : desc_add_extra(d, format, path, (const char *)text.p);
    buf_fini(&text);
    return r;
}

static int tree_leave_in(const struct tree *t, struct desc *d, const char *format, char *path,
                         size_t n)
{
    u32 index = 0;
    int r = 0;

    for (const struct tree *c = t->first; !r && c; c = c->next, index++) {
        size_t at = n;

        if (!tree_step(path, &at, c, index))
            return -E2BIG;
        if (!c->taken)
            r = tree_leave_one(c, d, format, path);
        else if (c->kind != TREE_TEXT)
            r = tree_leave_in(c, d, format, path, at);
        path[n] = 0;
    }
    return r;
}

int tree_leave(const struct tree *root, struct desc *d, const char *format)
{
    char path[TREE_PATH] = "";

    return tree_leave_in(root, d, format, path, 0);
}

/* ---- putting it back ---- */

/* The next step of a path, its escapes undone: false at the end or when it is none. */
static bool tree_unstep(const char **path, char *to, bool *item)
{
    const char *p = *path;
    size_t n = 0;

    *item = *p == '[';
    p += *item;
    for (; *p && *p != '/' && n < TREE_PATH - 1; p++) {
        if (*item && *p == ']')
            continue;
        if (*p == '~' && p[1] >= '0' && p[1] <= '3')
            to[n++] = "~/[]"[*++p - '0'];
        else
            to[n++] = *p;
    }
    to[n] = 0;
    *path = *p ? p + 1 : p;
    return n > 0;
}

static struct tree *tree_item(const struct tree *list, const char *step)
{
    u32 index = 0;

    for (struct tree *c = list->first; c; c = c->next, index++) {
        const struct tree *name = tree_get(c, "name");

        if (name ? !strcmp(name->text, step) : *step == '#' && strtoul(step + 1, NULL, 10) == index)
            return c;
    }
    return NULL;
}

/* The value's own tree moves below parent. */
static void tree_adopt(struct tree *parent, struct tree *t, const char *key)
{
    t->key = key;
    t->parent = parent;
    t->next = NULL;
    *(parent->last ? &parent->last->next : &parent->first) = t;
    parent->last = t;
}

static int tree_put_value(struct arena *a, struct tree *to, const char *key, const char *value)
{
    struct tree *docs;
    int r = yaml_parse(a, value, strlen(value), "extra", &docs, NULL);

    if (r)
        return r;
    if (!docs->first || docs->first->next)
        return -EBADMSG;
    if (key && !(key = arena_text(a, key, strlen(key))))
        return -ENOMEM;
    tree_adopt(to, docs->first, key);
    return 0;
}

int tree_put(struct arena *a, struct tree *root, const char *path, const char *value)
{
    char step[TREE_PATH];
    struct tree *t = root;
    bool item;

    for (;;) {
        struct tree *next;

        if (!tree_unstep(&path, step, &item))
            return -EBADMSG;
        if (item != (t->kind == TREE_LIST) || t->kind == TREE_TEXT)
            return 1;
        next = item ? tree_item(t, step) : tree_get(t, step);
        if (!*path)
            return next ? 1 : tree_put_value(a, t, item ? NULL : step, value);
        if (!next && item)
            return 1; /* it went with the item it was in */
        if (!next)
            next = *path == '[' ? tree_add_list(a, t, step) : tree_add_map(a, t, step);
        if (!next)
            return -ENOMEM;
        t = next;
    }
}
