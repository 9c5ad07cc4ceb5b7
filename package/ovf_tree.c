/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trees of elements that are made, changed and printed.  Whatever prefixes a document had, ours
 * has the usual one for each name space: fragments of many documents go into one.
 */
#include "package/ovf_int.h"
#include "package/xml_tree.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define TREE_XML "http://www.w3.org/XML/1998/namespace"

static const struct {
    const char *uri, *prefix;
} tree_spaces[] = {
    { OVF_SPACE, "ovf" },
    { OVF_SPACE_2, "ovf" },
    { RASD_SPACE, "rasd" },
    { VSSD_SPACE, "vssd" },
    { SASD_SPACE, "sasd" },
    { EPASD_SPACE, "epasd" },
    { VMW_SPACE, "vmw" },
    { VBOX_SPACE, "vbox" },
    { ENV_SPACE, "oe" },
    { ENV_VMW_SPACE, "ve" },
    { XSI_SPACE, "xsi" },
    { "http://schemas.dmtf.org/wbem/wscim/1/common", "cim" },
    { "http://www.vmware.com/vcloud/v1", "vcloud" },
    { "http://www.vmware.com/vcloud/v1.5", "vcloud" },
    { "http://www.citrix.com/xenclient/xenovf/1", "xenovf" },
};

struct xml_node *ovf_node(struct arena *a, struct xml_node *parent, const char *space,
                          const char *name, const char *text)
{
    struct xml_node *n = arena_new(a, sizeof(*n));

    if (!n)
        return NULL;
    n->prefix = "";
    n->space = arena_text(a, space, strlen(space));
    n->name = arena_text(a, name, strlen(name));
    n->text = text ? arena_text(a, text, strlen(text)) : "";
    if (!n->space || !n->name || !n->text)
        return NULL;
    ovf_append(parent, n);
    return n;
}

void ovf_append(struct xml_node *parent, struct xml_node *n)
{
    n->next = NULL;
    n->parent = parent;
    if (!parent)
        return;
    *(parent->last ? &parent->last->next : &parent->first) = n;
    parent->last = n;
}

void ovf_drop(struct xml_node *n)
{
    struct xml_node *p = n->parent, *before = NULL;

    if (!p)
        return;
    for (struct xml_node *c = p->first; c && c != n; c = c->next)
        before = c;
    *(before ? &before->next : &p->first) = n->next;
    if (p->last == n)
        p->last = before;
    n->next = n->parent = NULL;
}

int ovf_set(struct arena *a, struct xml_node *n, const char *space, const char *name,
            const char *value)
{
    struct xml_attr **last = &n->attrs, *x;

    for (; *last; last = &(*last)->next)
        if (!strcasecmp((*last)->name, name))
            break;
    x = *last ? *last : arena_new(a, sizeof(*x));
    if (!x || !(x->value = arena_text(a, value, strlen(value))))
        return -ENOMEM;
    if (*last)
        return 0;
    x->prefix = "";
    x->space = arena_text(a, space, strlen(space));
    x->name = arena_text(a, name, strlen(name));
    if (!x->space || !x->name)
        return -ENOMEM;
    *last = x;
    return 0;
}

void ovf_unset(struct xml_node *n, const char *name)
{
    for (struct xml_attr **p = &n->attrs; *p;)
        if (!strcasecmp((*p)->name, name))
            *p = (*p)->next;
        else
            p = &(*p)->next;
}

struct xml_node *ovf_copy(struct arena *a, struct xml_node *parent, const struct xml_node *n)
{
    struct xml_node *to = ovf_node(a, parent, n->space, n->name, n->text);

    for (const struct xml_attr *x = n->attrs; to && x; x = x->next)
        if (ovf_set(a, to, x->space, x->name, x->value))
            return NULL;
    for (const struct xml_node *c = n->first; to && c; c = c->next)
        if (!ovf_copy(a, to, c))
            return NULL;
    return to;
}

struct tree_scope { /* a prefix that is declared */
    const char *uri;
    char prefix[8];
    const struct tree_scope *up;
};

struct tree_printer {
    struct buf *to;
    const char *plain;          /* the name space of elements without a prefix */
    const struct buf *declared; /* what the root says besides */
    bool flat;                  /* on one line */
    unsigned made;              /* prefixes that were made up */
    int r;
};

static const char *tree_known(const char *uri)
{
    if (!strcmp(uri, TREE_XML))
        return "xml";
    for (size_t i = 0; i < LEN(tree_spaces); i++)
        if (!strcmp(tree_spaces[i].uri, uri))
            return tree_spaces[i].prefix;
    return NULL;
}

static bool tree_in_use(const struct tree_scope *s, const char *prefix)
{
    while (s && strcmp(s->prefix, prefix))
        s = s->up;
    return s != NULL;
}

static const struct tree_scope *tree_declared(const struct tree_scope *s, const char *uri)
{
    while (s && strcmp(s->uri, uri))
        s = s->up;
    return s;
}

static void tree_out(struct tree_printer *p, const char *s)
{
    if (!p->r)
        p->r = buf_add(p->to, s, strlen(s));
}

/* The prefix of a name space, with its declaration if that is not there yet. */
static const char *tree_prefix(struct tree_printer *p, const char *uri, struct tree_scope *mine,
                               unsigned *n, const struct tree_scope **scope, struct buf *decl)
{
    const char *known = tree_known(uri);
    const struct tree_scope *s = tree_declared(*scope, uri);
    struct tree_scope *m = &mine[*n];

    if (known && !strcmp(known, "xml"))
        return known;
    if (s)
        return s->prefix;
    m->uri = uri;
    m->up = *scope;
    if (known && strlen(known) < sizeof(m->prefix) && !tree_in_use(*scope, known)) {
        memcpy(m->prefix, known, strlen(known) + 1);
    } else {
        m->prefix[0] = 'n';
        m->prefix[1] = (char)('a' + p->made / 676 % 26);
        m->prefix[2] = (char)('a' + p->made / 26 % 26);
        m->prefix[3] = (char)('a' + p->made % 26);
        m->prefix[4] = 0;
        p->made++;
    }
    *scope = m;
    (*n)++;
    if (buf_text(decl, " xmlns:%s=\"", m->prefix) || xml_escape(decl, uri) || buf_text(decl, "\""))
        p->r = -ENOMEM;
    return m->prefix;
}

#define TREE_ATTRS_MAX 64
static void tree_attrs(struct tree_printer *p, const struct xml_node *n, struct tree_scope *mine,
                       unsigned count, const struct tree_scope **scope, struct buf *decl)
{
    unsigned seen = 0;

    for (const struct xml_attr *a = n->attrs; !p->r && a; a = a->next) {
        const char *prefix;

        if (++seen >= TREE_ATTRS_MAX) {
            p->r = -E2BIG;
            return;
        }
        prefix = *a->space ? tree_prefix(p, a->space, mine, &count, scope, decl) : "";
        tree_out(p, " ");
        tree_out(p, prefix);
        tree_out(p, *prefix ? ":" : "");
        tree_out(p, a->name);
        tree_out(p, "=\"");
        if (!p->r)
            p->r = xml_escape(p->to, a->value);
        tree_out(p, "\"");
    }
}

static void tree_line(struct tree_printer *p, unsigned depth)
{
    if (p->flat)
        return;
    tree_out(p, "\n");
    while (depth--)
        tree_out(p, "  ");
}

static void tree_element(struct tree_printer *p, const struct xml_node *n, const char *plain,
                         const struct tree_scope *scope, unsigned depth)
{
    struct tree_scope mine[TREE_ATTRS_MAX + 1];
    const char *prefix = "", *within = plain;
    struct buf decl = { 0 };
    unsigned count = 0;

    if (*n->space && p->plain && !strcmp(n->space, p->plain))
        within = n->space;
    else if (*n->space)
        prefix = tree_prefix(p, n->space, mine, &count, &scope, &decl);
    else
        within = "";
    tree_out(p, "<");
    tree_out(p, prefix);
    tree_out(p, *prefix ? ":" : "");
    tree_out(p, n->name);
    if (strcmp(within, plain)) {
        tree_out(p, " xmlns=\"");
        tree_out(p, within);
        tree_out(p, "\"");
    }
    tree_attrs(p, n, mine, count, &scope, &decl);
    if (!p->r && decl.len)
        p->r = buf_add(p->to, decl.p, decl.len);
    if (!p->r && !depth && p->declared && p->declared->len)
        p->r = buf_add(p->to, p->declared->p, p->declared->len);
    buf_fini(&decl);
    if (!n->first && !*n->text) {
        tree_out(p, "/>");
        return;
    }
    tree_out(p, ">");
    if (!p->r)
        p->r = xml_escape(p->to, n->text);
    for (const struct xml_node *c = n->first; !p->r && c; c = c->next) {
        tree_line(p, depth + 1);
        tree_element(p, c, within, scope, depth + 1);
    }
    if (n->first)
        tree_line(p, depth);
    tree_out(p, "</");
    tree_out(p, prefix);
    tree_out(p, *prefix ? ":" : "");
    tree_out(p, n->name);
    tree_out(p, ">");
}

static bool tree_uses(const struct xml_node *n, const char *uri)
{
    if (!strcmp(n->space, uri))
        return true;
    for (const struct xml_attr *a = n->attrs; a; a = a->next)
        if (!strcmp(a->space, uri))
            return true;
    for (const struct xml_node *c = n->first; c; c = c->next)
        if (tree_uses(c, uri))
            return true;
    return false;
}

/* The root declares what we have a prefix for: readers of little wit look for it there. */
static int tree_whole(struct tree_printer *p, const struct xml_node *n)
{
    struct tree_scope mine[LEN(tree_spaces)];
    const struct tree_scope *scope = NULL;
    struct buf decl = { 0 };
    unsigned count = 0;

    for (size_t i = 0; i < LEN(tree_spaces); i++)
        if (tree_uses(n, tree_spaces[i].uri))
            tree_prefix(p, tree_spaces[i].uri, mine, &count, &scope, &decl);
    p->declared = &decl;
    tree_element(p, n, "", scope, 0);
    buf_fini(&decl);
    return p->r;
}

/* A document; its elements of the name space `plain` have no prefix. */
int ovf_document(struct buf *to, const struct xml_node *n, const char *plain)
{
    struct tree_printer p = { .to = to, .plain = plain };

    tree_out(&p, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    tree_whole(&p, n);
    tree_out(&p, "\n");
    return p.r;
}

int ovf_fragment(struct buf *to, const struct xml_node *n)
{
    struct tree_printer p = { .to = to, .flat = true };

    return tree_whole(&p, n);
}
