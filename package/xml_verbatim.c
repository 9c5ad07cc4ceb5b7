/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An element of a document as text that can stand elsewhere (Namespaces in XML 1.0, 6). */
#include "package/xml.h"
#include "package/xml_tree.h"
#include <errno.h>
#include <string.h>

#define VERBATIM_SPACES 64

struct verbatim {
    const struct xml_node *top, *scope;
    const char *prefix[VERBATIM_SPACES], *uri[VERBATIM_SPACES];
    unsigned n;
    bool full;
};

/* What a prefix means at an element, looked for up to `end` (not included); NULL: nothing */
static const char *verbatim_meaning(const struct xml_node *n, const struct xml_node *end,
                                    const char *prefix)
{
    for (; n != end; n = n->parent)
        for (const struct xml_space *s = n->spaces; s; s = s->next)
            if (!strcmp(s->prefix, prefix))
                return s->uri;
    return NULL;
}

static void verbatim_need(struct verbatim *v, const struct xml_node *n, const char *prefix)
{
    const char *uri, *there;

    if (!strcmp(prefix, "xml") || verbatim_meaning(n, v->top->parent, prefix))
        return;
    for (unsigned i = 0; i < v->n; i++)
        if (!strcmp(v->prefix[i], prefix))
            return;
    uri = verbatim_meaning(v->top->parent, NULL, prefix);
    there = verbatim_meaning(v->scope, NULL, prefix);
    if (!strcmp(uri ? uri : "", there ? there : ""))
        return;
    v->full |= v->n == VERBATIM_SPACES;
    if (v->full)
        return;
    v->prefix[v->n] = prefix;
    v->uri[v->n++] = uri ? uri : "";
}

/* The names of the element and its attributes; xsi:type has a name as its value */
static void verbatim_names(struct verbatim *v, const struct xml_node *n, struct arena *a)
{
    verbatim_need(v, n, n->prefix);
    for (const struct xml_attr *t = n->attrs; t; t = t->next) {
        const char *colon = !strcmp(t->name, "type") ? strchr(t->value, ':') : NULL;
        const char *prefix;

        if (*t->prefix)
            verbatim_need(v, n, t->prefix);
        if (!colon || !*t->prefix)
            continue;
        prefix = arena_text(a, t->value, (size_t)(colon - t->value));
        if (prefix && verbatim_meaning(n, NULL, prefix))
            verbatim_need(v, n, prefix);
    }
}

static int verbatim_put(const struct verbatim *v, struct buf *to)
{
    const char *raw = v->top->raw;
    size_t head = 1 + strlen(v->top->name);
    int r;

    head += *v->top->prefix ? strlen(v->top->prefix) + 1 : 0;
    if (head > v->top->raw_len)
        return -EBADMSG;
    r = buf_add(to, raw, head);
    for (unsigned i = 0; i < v->n && !r; i++) {
        r = buf_text(to, *v->prefix[i] ? " xmlns:%s=\"" : " xmlns%s=\"", v->prefix[i]);
        r = r ? r : xml_escape(to, v->uri[i]);
        r = r ? r : buf_add(to, "\"", 1);
    }
    return r ? r : buf_add(to, raw + head, v->top->raw_len - head);
}

int xml_verbatim(const struct xml_node *n, const struct xml_node *scope, struct buf *to)
{
    struct verbatim v = { .top = n, .scope = scope };
    struct arena a = { .limit = 1u << 20 };
    const struct xml_node *at = n;
    int r;

    if (!n->raw)
        return xml_print(n, 0, to);
    while (at) {
        verbatim_names(&v, at, &a);
        if (at->first) {
            at = at->first;
            continue;
        }
        while (at != n && !at->next)
            at = at->parent;
        at = at == n ? NULL : at->next;
    }
    r = v.full ? -E2BIG : verbatim_put(&v, to);
    arena_fini(&a);
    return r;
}
