/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values of XML-RPC as xapi writes them: texts often without <string>, empty ones as <value/>.
 * In a tree a struct is a map, an array a list; what is no string keeps its type.
 */
#include "package/xml_tree.h"
#include "package/xva_int.h"
#include <errno.h>
#include <string.h>

struct rpc {
    struct arena *a;
    const char *where;
    struct err *e;
    u32 nodes;
};

static int rpc_value(struct rpc *x, const struct xml_node *value, struct tree *parent,
                     const char *key, struct tree **to);

static int rpc_bad(const struct rpc *x, const char *what, const char *name)
{
    return err_set(x->e, -EBADMSG, "%s: %s <%.40s> is no XML-RPC", x->where, what, name);
}

static int rpc_struct(struct rpc *x, const struct xml_node *n, struct tree *map)
{
    int r = 0;

    for (const struct xml_node *m = n->first; !r && m; m = m->next) {
        const char *key = xml_text(m, "name");
        struct tree *t;

        if (strcmp(m->name, "member") || !xml_child(m, "value") || strlen(key) > 512)
            return rpc_bad(x, "in a struct", m->name);
        if (!tree_get(map, key)) /* the first one counts */
            r = rpc_value(x, xml_child(m, "value"), map, key, &t);
    }
    return r;
}

static int rpc_value(struct rpc *x, const struct xml_node *value, struct tree *parent,
                     const char *key, struct tree **to)
{
    const struct xml_node *n = value->first;
    const char *type = n ? n->name : "string", *text = n ? n->text : value->text;
    enum tree_kind kind = !strcmp(type, "struct")  ? TREE_MAP
                          : !strcmp(type, "array") ? TREE_LIST
                                                   : TREE_TEXT;
    int r = 0;

    if (x->nodes++ >= TREE_NODES)
        return err_set(x->e, -E2BIG, "%s: too many values", x->where);
    *to = tree_add(x->a, parent, kind, key);
    if (!*to)
        return err_set(x->e, -ENOMEM, "%s: too big", x->where);
    if (kind == TREE_MAP)
        return rpc_struct(x, n, *to);
    if (kind == TREE_LIST) {
        n = xml_child(n, "data");
        for (n = n ? n->first : NULL; !r && n; n = n->next) {
            struct tree *t;

            r = strcmp(n->name, "value") ? rpc_bad(x, "in an array", n->name)
                                         : rpc_value(x, n, *to, NULL, &t);
        }
        return r;
    }
    (*to)->text = arena_text(x->a, text, strlen(text));
    if (strcmp(type, "string"))
        (*to)->type = arena_text(x->a, type, strlen(type));
    return (*to)->text ? 0 : err_set(x->e, -ENOMEM, "%s: too big", x->where);
}

int rpc_read(struct arena *a, const struct xml_node *value, struct tree **to, const char *where,
             struct err *e)
{
    struct rpc x = { .a = a, .where = where, .e = e };

    return rpc_value(&x, value, NULL, NULL, to);
}

int rpc_print(const struct tree *t, struct buf *to)
{
    int r = buf_text(to, "<value>");

    if (!r && t->kind == TREE_TEXT) {
        r = t->type ? buf_text(to, "<%s>", t->type) : 0;
        r = r ? r : xml_escape(to, t->text);
        r = r || !t->type ? r : buf_text(to, "</%s>", t->type);
    } else if (!r) {
        bool map = t->kind == TREE_MAP;

        r = buf_text(to, map ? "<struct>" : "<array><data>");
        for (const struct tree *c = t->first; !r && c; c = c->next) {
            if (map && !(r = buf_text(to, "<member><name>")) && !(r = xml_escape(to, c->key)))
                r = buf_text(to, "</name>");
            r = r ? r : rpc_print(c, to);
            r = r || !map ? r : buf_text(to, "</member>");
        }
        r = r ? r : buf_text(to, map ? "</struct>" : "</data></array>");
    }
    return r ? r : buf_text(to, "</value>");
}
