/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a reader left untouched in a document: into the extras, and from them into a new one. */
#include "package/xml_tree.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REST_MAX 16384 /* settings kept, and children looked at of one element */
#define REST_PATH 2048
#define REST_NAMES 256 /* different names among the children of one element */

struct rest {
    struct desc *d;
    const char *format, *where;
    struct err *e;
    u32 n;
    char path[REST_PATH];
};

const char *xml_take(const struct xml_node *n, const char *attr)
{
    struct xml_attr *a = n ? n->attrs : NULL;

    while (a && strcasecmp(a->name, attr))
        a = a->next;
    if (!a)
        return NULL;
    a->taken = true;
    return a->value;
}

const struct xml_node *xml_taken(const struct xml_node *n)
{
    if (n) /* a mark is no change of the document that the pointer protects */
        ((struct xml_node *)n)->taken = true;
    return n;
}

const char *xml_take_text(const struct xml_node *n, const char *child)
{
    n = xml_taken(xml_child(n, child));
    return n ? n->text : "";
}

static bool rest_touched(const struct xml_node *n)
{
    bool yes = n->taken;

    for (const struct xml_attr *a = n->attrs; a && !yes; a = a->next)
        yes = a->taken;
    for (const struct xml_node *c = n->first; c && !yes; c = c->next)
        yes = rest_touched(c);
    return yes;
}

static int rest_keep(struct rest *x, const char *value)
{
    if (x->n++ >= REST_MAX)
        return err_set(x->e, -E2BIG, "%s: more than %d settings", x->where, REST_MAX);
    if (desc_add_extra(x->d, x->format, x->path, value))
        return err_set(x->e, -ENOMEM, "%s: is too long", x->where);
    return 0;
}

static int rest_whole(struct rest *x, const struct xml_node *n)
{
    struct buf b = { 0 };
    int r = xml_verbatim(n, n->parent, &b);

    r = r ? r : buf_add(&b, "", 1);
    if (r)
        err_set(x->e, r, "%s: is too long", x->where);
    else
        r = rest_keep(x, (const char *)b.p);
    buf_fini(&b);
    return r;
}

/* Appended to the path at `at`; the new end. */
static size_t rest_enter(struct rest *x, size_t at, const char *between, const char *prefix,
                         const char *name, unsigned index)
{
    char number[16] = "";
    int n;

    if (index > 1)
        snprintf(number, sizeof(number), "[%u]", index);
    n = snprintf(x->path + at, sizeof(x->path) - at, "%s%s%s%s%s", between, prefix,
                 *prefix ? ":" : "", name, number);
    return n < 0 || (size_t)n >= sizeof(x->path) - at ? 0 : at + (size_t)n;
}

static int rest_attrs(struct rest *x, const struct xml_node *n, size_t at)
{
    int r = 0;

    for (const struct xml_space *s = n->spaces; s && !r; s = s->next) {
        if (!rest_enter(x, at, "@", *s->prefix ? "xmlns" : "", *s->prefix ? s->prefix : "xmlns", 1))
            r = err_set(x->e, -E2BIG, "%s: a name is too long", x->where);
        r = r ? r : rest_keep(x, s->uri);
    }
    for (const struct xml_attr *a = n->attrs; a && !r; a = a->next) {
        if (a->taken)
            continue;
        if (!rest_enter(x, at, "@", a->prefix, a->name, 1))
            r = err_set(x->e, -E2BIG, "%s: a name is too long", x->where);
        r = r ? r : rest_keep(x, a->value);
    }
    return r;
}

static int rest_walk(struct rest *x, const struct xml_node *n, size_t at)
{
    struct {
        const struct xml_node *first;
        unsigned n;
    } names[REST_NAMES];
    unsigned known = 0, children = 0, i;
    int r = rest_attrs(x, n, at);

    if (!r && !n->taken && n->parent && *n->text)
        r = rest_enter(x, at, "/", "", "text()", 1) ? rest_keep(x, n->text) : -E2BIG;
    for (const struct xml_node *c = n->first; c && !r; c = c->next) {
        size_t end;

        for (i = 0; i < known; i++)
            if (!strcmp(names[i].first->name, c->name) &&
                !strcmp(names[i].first->prefix, c->prefix))
                break;
        if (i == REST_NAMES || ++children > REST_MAX)
            return err_set(x->e, -E2BIG, "%s: <%.40s> has too many parts", x->where, n->name);
        if (i == known) {
            names[known].first = c;
            names[known++].n = 0;
        }
        end = rest_enter(x, at, at ? "/" : "", c->prefix, c->name, ++names[i].n);
        if (!end)
            return err_set(x->e, -E2BIG, "%s: a name is too long", x->where);
        r = rest_touched(c) ? rest_walk(x, c, end) : rest_whole(x, c);
    }
    return r;
}

int xml_rest(struct desc *d, const char *format, const struct xml_node *root, const char *where,
             struct err *e)
{
    struct rest x = { .d = d, .format = format, .where = where, .e = e };

    return rest_walk(&x, root, 0);
}

/* ---- back ---- */

/* The qualified name and the number of a step: "Adapter[2]" */
static unsigned merge_step(char *step)
{
    char *bracket = strrchr(step, '[');
    unsigned long n = bracket ? strtoul(bracket + 1, NULL, 10) : 1;

    if (bracket)
        *bracket = 0;
    return n < 1 || n > REST_MAX ? 1 : (unsigned)n;
}

/* The index-th child of this name; without it the place where it would be put in */
static struct xml_node **merge_find(struct xml_node *n, const char *name, unsigned index,
                                    bool *found)
{
    struct xml_node **at = &n->first;
    unsigned seen = 0;

    for (; *at; at = &(*at)->next)
        if (!strcmp((*at)->name, name) && ++seen == index)
            break;
    *found = *at != NULL;
    return at;
}

/* An element that is whole: it becomes the index-th of its name. */
static void merge_whole(struct xml_tree *t, struct xml_node *n, const char *name, unsigned index,
                        const char *text)
{
    bool found;
    struct xml_node **at = merge_find(n, name, index, &found);
    struct xml_node *c = arena_new(&t->arena, sizeof(*c));

    if (!c || !(c->name = arena_text(&t->arena, name, strlen(name)))) {
        t->failed = true;
        return;
    }
    c->space = c->prefix = c->text = "";
    c->parent = n;
    c->raw = text;
    c->raw_len = strlen(text);
    c->next = *at;
    *at = c;
    if (!c->next)
        n->last = c;
}

static void merge_one(struct xml_tree *t, char *path, const char *value)
{
    char *attr = strrchr(path, '@'), *step, *rest = path;
    struct xml_node *n = t->root;

    if (attr)
        *attr++ = 0;
    while ((step = strsep(&rest, "/")) && *step) {
        unsigned index = merge_step(step);
        struct xml_node **at;
        bool found;

        if (!attr && !rest && !strcmp(step, "text()")) {
            n->text = value;
            return;
        }
        if (!attr && !rest) {
            merge_whole(t, n, step, index, value);
            return;
        }
        at = merge_find(n, step, index, &found);
        n = found ? *at : xml_add(t, n, step);
    }
    if (attr)
        xml_set(t, n, attr, "%s", value);
}

void xml_merge_if(struct xml_tree *t, const struct desc *d, const char *format,
                  bool (*wanted)(const struct desc_extra *v, void *arg), void *arg)
{
    for (const struct desc_extra *v = d->extras; v; v = v->next) {
        char path[REST_PATH];

        if (strcmp(v->format, format) || strlen(v->key) >= sizeof(path))
            continue;
        if (wanted && !wanted(v, arg))
            continue;
        snprintf(path, sizeof(path), "%s", v->key);
        merge_one(t, path, v->value);
    }
}

void xml_merge(struct xml_tree *t, const struct desc *d, const char *format)
{
    xml_merge_if(t, d, format, NULL, NULL);
}
