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

#define XML_DEPTH 600 /* 250 snapshots, one inside the other */
#define XML_NODES 1000000u
#define XML_SPACE_END '\f' /* no document can have this character, not even by its number */

struct xml_reader {
    XML_Parser parser;
    struct arena *arena;
    struct xml_node *root, *at;
    struct xml_space *spaces, **last_space; /* of the element that begins next */
    const char *text;
    struct buf text_of[XML_DEPTH + 1];
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

/* "space name prefix" as expat gives it; a "/" at the end of the space does not matter */
static bool xml_split(struct xml_reader *r, const char *s, const char **space, const char **name,
                      const char **prefix)
{
    const char *first = strchr(s, XML_SPACE_END);
    const char *second = first ? strchr(first + 1, XML_SPACE_END) : NULL;
    size_t n = first ? (size_t)(first - s) : 0;

    while (n && s[n - 1] == '/')
        n--;
    *space = n ? arena_text(r->arena, s, n) : "";
    s = first ? first + 1 : s;
    *name = arena_text(r->arena, s, second ? (size_t)(second - s) : strlen(s));
    *prefix = second ? arena_text(r->arena, second + 1, strlen(second + 1)) : "";
    return *space && *name && *prefix;
}

static void xml_declare(void *arg, const char *prefix, const char *uri)
{
    struct xml_reader *r = arg;
    struct xml_space *s = r->why ? NULL : arena_new(r->arena, sizeof(*s));

    prefix = prefix ? prefix : "";
    uri = uri ? uri : "";
    if (!s || !(s->prefix = arena_text(r->arena, prefix, strlen(prefix))) ||
        !(s->uri = arena_text(r->arena, uri, strlen(uri)))) {
        xml_stop(r, "needs too much memory");
        return;
    }
    *r->last_space = s;
    r->last_space = &s->next;
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
    if (!n || !xml_split(r, name, &n->space, &n->name, &n->prefix)) {
        xml_stop(r, "needs too much memory");
        return;
    }
    n->spaces = r->spaces;
    r->spaces = NULL;
    r->last_space = &r->spaces;
    n->raw = r->text + XML_GetCurrentByteIndex(r->parser);
    n->text = "";
    n->parent = r->at;
    if (r->at) {
        *(r->at->last ? &r->at->last->next : &r->at->first) = n;
        r->at->last = n;
    } else {
        r->root = n;
    }
    r->at = n;
    r->text_of[r->depth].len = 0;
    last = &n->attrs;
    for (; *attrs; attrs += 2) {
        struct xml_attr *a = arena_new(r->arena, sizeof(*a));

        if (!a || !xml_split(r, attrs[0], &a->space, &a->name, &a->prefix) ||
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
    struct buf *b = &r->text_of[r->depth];
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
    r->at->raw_len = (size_t)(r->text + XML_GetCurrentByteIndex(r->parser) +
                              XML_GetCurrentByteCount(r->parser) - r->at->raw);
    r->at = r->at->parent;
    r->depth--;
}

static void xml_chars(void *arg, const char *s, int n)
{
    struct xml_reader *r = arg;

    if (!r->why && r->depth && buf_add(&r->text_of[r->depth], s, (size_t)n))
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

static int xml_run(struct xml_reader *r, size_t n, const char *where, struct err *e)
{
    bool ok;

    r->parser = XML_ParserCreateNS("UTF-8", XML_SPACE_END);
    if (!r->parser)
        return err_set(e, -ENOMEM, "%s: no memory", where);
    r->last_space = &r->spaces;
    XML_SetUserData(r->parser, r);
    XML_SetReturnNSTriplet(r->parser, 1);
    XML_SetElementHandler(r->parser, xml_start, xml_end);
    XML_SetStartNamespaceDeclHandler(r->parser, xml_declare);
    XML_SetCharacterDataHandler(r->parser, xml_chars);
    XML_SetCommentHandler(r->parser, xml_comment);
    XML_SetStartDoctypeDeclHandler(r->parser, xml_doctype);
    ok = XML_Parse(r->parser, r->text, (int)n, 1) == XML_STATUS_OK && !r->why;
    if (!ok)
        err_set(e, -EBADMSG, "%s: line %lu: %s", where, XML_GetCurrentLineNumber(r->parser),
                r->why ? r->why : XML_ErrorString(XML_GetErrorCode(r->parser)));
    XML_ParserFree(r->parser);
    for (size_t i = 0; i < LEN(r->text_of); i++)
        buf_fini(&r->text_of[i]);
    return ok ? 0 : -EBADMSG;
}

int xml_parse(struct arena *a, const char *text, size_t n, const char *where,
              struct xml_node **root, const char **comment, struct err *e)
{
    struct xml_reader r = { .arena = a };
    struct buf utf8 = { 0 };
    int err;

    *root = NULL;
    if (n > XML_MAX)
        return err_set(e, -E2BIG, "%s: is too long", where);
    err = xml_utf8(text, n, where, &utf8, e);
    if (!err) {
        r.text = arena_text(a, utf8.p ? (const char *)utf8.p : "", utf8.len);
        err = r.text ? xml_run(&r, utf8.len, where, e)
                     : err_set(e, -ENOMEM, "%s: is too long", where);
    }
    buf_fini(&utf8);
    *root = err ? NULL : r.root;
    if (comment)
        *comment = r.comment;
    return err;
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
