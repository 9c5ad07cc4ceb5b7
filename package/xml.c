/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A tree of XML elements, by expat. */
#include "package/xml.h"
#include "base/buf.h"
#include <ctype.h>
#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define XML_DEPTH 64
#define XML_NODES 1000000u
#define XML_SPACE_END '|'

struct xml_reader {
    XML_Parser parser;
    struct arena *arena;
    struct xml_node *root, *at;
    struct buf text[XML_DEPTH + 1];
    unsigned depth;
    u32 nodes;
    const char *comment, *why;
};

static void xml_stop(struct xml_reader *r, const char *why)
{
    if (!r->why)
        r->why = why;
    XML_StopParser(r->parser, XML_FALSE);
}

/* "space|name" as expat gives it; a "/" at the end of the space does not matter */
static bool xml_split(struct xml_reader *r, const char *s, const char **space, const char **name)
{
    const char *bar = strrchr(s, XML_SPACE_END);
    size_t n = bar ? (size_t)(bar - s) : 0;

    while (n && s[n - 1] == '/')
        n--;
    *space = n ? arena_text(r->arena, s, n) : "";
    s = bar ? bar + 1 : s;
    *name = arena_text(r->arena, s, strlen(s));
    return *space && *name;
}

static void xml_start(void *arg, const char *name, const char **attrs)
{
    struct xml_reader *r = arg;
    struct xml_node *n = arena_new(r->arena, sizeof(*n));
    struct xml_attr **last;

    if (r->why)
        return;
    if (++r->depth > XML_DEPTH || ++r->nodes > XML_NODES) {
        xml_stop(r, "is nested too deeply or too long");
        return;
    }
    if (!n || !xml_split(r, name, &n->space, &n->name)) {
        xml_stop(r, "needs too much memory");
        return;
    }
    n->text = "";
    n->parent = r->at;
    if (r->at) {
        *(r->at->last ? &r->at->last->next : &r->at->first) = n;
        r->at->last = n;
    } else {
        r->root = n;
    }
    r->at = n;
    r->text[r->depth].len = 0;
    last = &n->attrs;
    for (; *attrs; attrs += 2) {
        struct xml_attr *a = arena_new(r->arena, sizeof(*a));

        if (!a || !xml_split(r, attrs[0], &a->space, &a->name) ||
            !(a->value = arena_text(r->arena, attrs[1], strlen(attrs[1])))) {
            xml_stop(r, "needs too much memory");
            return;
        }
        *last = a;
        last = &a->next;
    }
}

static void xml_end(void *arg, const char *name)
{
    struct xml_reader *r = arg;
    struct buf *b = &r->text[r->depth];
    const u8 *p = b->p ? b->p : (const u8 *)"", *end = p + b->len;

    if (r->why)
        return;
    while (p < end && isspace(*p))
        p++;
    while (end > p && isspace(end[-1]))
        end--;
    if (end > p)
        r->at->text = arena_text(r->arena, (const char *)p, (size_t)(end - p));
    if (!r->at->text)
        xml_stop(r, "needs too much memory");
    r->at = r->at->parent;
    r->depth--;
}

static void xml_chars(void *arg, const char *s, int n)
{
    struct xml_reader *r = arg;

    if (!r->why && r->depth && buf_add(&r->text[r->depth], s, (size_t)n))
        xml_stop(r, "needs too much memory");
}

static void xml_comment(void *arg, const char *s)
{
    struct xml_reader *r = arg;

    if (!r->comment && !r->why)
        r->comment = arena_text(r->arena, s, strlen(s));
}

static void xml_doctype(void *arg, const char *name, const char *system, const char *public,
                        int internal)
{
    xml_stop(arg, "has a DOCTYPE, which is not allowed in a package");
}

int xml_parse(struct arena *a, const char *text, size_t n, const char *where,
              struct xml_node **root, const char **comment, struct err *e)
{
    struct xml_reader r = { .arena = a };
    bool ok;

    r.parser = XML_ParserCreateNS(NULL, XML_SPACE_END);
    if (!r.parser || n > XML_MAX)
        return err_set(e, r.parser ? -E2BIG : -ENOMEM, "%s: is too long", where);
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, xml_start, xml_end);
    XML_SetCharacterDataHandler(r.parser, xml_chars);
    XML_SetCommentHandler(r.parser, xml_comment);
    XML_SetStartDoctypeDeclHandler(r.parser, xml_doctype);
    ok = XML_Parse(r.parser, text, (int)n, 1) == XML_STATUS_OK && !r.why;
    if (!ok)
        err_set(e, -EBADMSG, "%s: line %lu: %s", where, XML_GetCurrentLineNumber(r.parser),
                r.why ? r.why : XML_ErrorString(XML_GetErrorCode(r.parser)));
    XML_ParserFree(r.parser);
    for (size_t i = 0; i < LEN(r.text); i++)
        buf_fini(&r.text[i]);
    *root = r.root;
    if (comment)
        *comment = r.comment;
    return ok ? 0 : -EBADMSG;
}

const struct xml_node *xml_child(const struct xml_node *n, const char *name)
{
    const struct xml_node *c = n ? n->first : NULL;

    while (c && strcasecmp(c->name, name))
        c = c->next;
    return c;
}

const struct xml_node *xml_next(const struct xml_node *n, const char *name)
{
    do
        n = n->next;
    while (n && strcasecmp(n->name, name));
    return n;
}

const char *xml_text(const struct xml_node *n, const char *child)
{
    n = xml_child(n, child);
    return n ? n->text : "";
}

const char *xml_attr(const struct xml_node *n, const char *name)
{
    const struct xml_attr *a = n ? n->attrs : NULL;

    while (a && strcasecmp(a->name, name))
        a = a->next;
    return a ? a->value : NULL;
}
