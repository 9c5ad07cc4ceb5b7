/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * YAML 1.1 by libyaml's events, into trees and out of them.  Left out: aliases, keys that
 * are no texts.  A plain scalar that reads as a number, a truth or nothing is bare.
 */
#include "package/yaml.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

struct yaml {
    yaml_parser_t parser;
    struct arena *a;
    const char *where;
    struct err *e;
    u32 nodes;
};

/* What the plain scalar is, when it is not simply text (YAML 1.1 and 1.2, both read). */
static bool yaml_is_bare(const char *s)
{
    static const char *const words[] = { "",    "~", "null", "true", "false", "yes",   "no",  "on",
                                         "off", "y", "n",    ".inf", "-.inf", "+.inf", ".nan" };
    bool digits = false;

    for (size_t i = 0; i < LEN(words); i++)
        if (!strcasecmp(s, words[i]))
            return true;
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'o' || s[1] == 'b'))
        return strspn(s + 2, "0123456789abcdefABCDEF_") == strlen(s + 2);
    s += *s == '-' || *s == '+';
    if (!isdigit((u8)*s) && *s != '.')
        return false;
    for (; *s; s++) {
        digits |= isdigit((u8)*s) != 0;
        if (!isdigit((u8)*s) && !strchr("._:eE+-", *s))
            return false;
    }
    return digits;
}

static int yaml_bad(const struct yaml *y, const yaml_mark_t *at, int code, const char *what)
{
    return err_set(y->e, code, "%s: line %zu, column %zu: %s", y->where, at->line + 1,
                   at->column + 1, what);
}

static int yaml_next(struct yaml *y, yaml_event_t *ev)
{
    const yaml_parser_t *p = &y->parser;

    if (yaml_parser_parse(&y->parser, ev))
        return 0;
    if (p->error == YAML_MEMORY_ERROR)
        return err_set(y->e, -ENOMEM, "%s: no memory", y->where);
    return yaml_bad(y, &p->problem_mark, -EBADMSG, p->problem ? p->problem : "is no YAML");
}

static const char *yaml_tag(const yaml_char_t *tag)
{
    return tag && tag[0] == '!' && tag[1] ? (const char *)tag + 1 : NULL;
}

static int yaml_scalar(struct yaml *y, const yaml_event_t *ev, struct tree *t)
{
    const char *s = (const char *)ev->data.scalar.value, *tag;

    if (memchr(s, 0, ev->data.scalar.length))
        return yaml_bad(y, &ev->start_mark, -EBADMSG, "a text with a zero byte");
    t->text = arena_text(y->a, s, ev->data.scalar.length);
    t->bare = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && ev->data.scalar.plain_implicit &&
              yaml_is_bare(s);
    if (t->bare && !*s)
        t->text = "null";
    tag = yaml_tag(ev->data.scalar.tag);
    if (tag && !(t->type = arena_text(y->a, tag, strlen(tag))))
        return -ENOMEM;
    return t->text ? 0 : -ENOMEM;
}

/* A key of a map, in ev: taken from there. */
static int yaml_key(struct yaml *y, const yaml_event_t *ev, struct tree *map, const char **key)
{
    const char *s = (const char *)ev->data.scalar.value;

    if (ev->type == YAML_ALIAS_EVENT)
        return yaml_bad(y, &ev->start_mark, -EOPNOTSUPP, "aliases are not supported");
    if (ev->type != YAML_SCALAR_EVENT)
        return yaml_bad(y, &ev->start_mark, -EOPNOTSUPP, "a key that is no text");
    if (memchr(s, 0, ev->data.scalar.length) || ev->data.scalar.length > 512)
        return yaml_bad(y, &ev->start_mark, -EBADMSG, "a key that is no short text");
    if (tree_get(map, s))
        return yaml_bad(y, &ev->start_mark, -EBADMSG, "this key stands there twice");
    *key = arena_text(y->a, s, ev->data.scalar.length);
    return *key ? 0 : -ENOMEM;
}

static int yaml_node(struct yaml *y, const yaml_event_t *ev, struct tree *parent, const char *key,
                     u32 depth);

static int yaml_children(struct yaml *y, struct tree *t, u32 depth)
{
    bool map = t->kind == TREE_MAP;

    for (;;) {
        const char *key = NULL;
        yaml_event_t ev;
        int r = yaml_next(y, &ev);

        if (r)
            return r;
        if (ev.type == YAML_SEQUENCE_END_EVENT || ev.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&ev);
            return 0;
        }
        if (map) {
            r = yaml_key(y, &ev, t, &key);
            yaml_event_delete(&ev);
            if (r || (r = yaml_next(y, &ev)))
                return r;
        }
        r = yaml_node(y, &ev, t, key, depth + 1);
        yaml_event_delete(&ev);
        if (r)
            return r;
    }
}

static int yaml_node(struct yaml *y, const yaml_event_t *ev, struct tree *parent, const char *key,
                     u32 depth)
{
    struct tree *t;

    if (depth > TREE_DEPTH)
        return yaml_bad(y, &ev->start_mark, -E2BIG, "nested too deeply");
    if (y->nodes++ >= TREE_NODES)
        return yaml_bad(y, &ev->start_mark, -E2BIG, "too many values");
    if (ev->type == YAML_ALIAS_EVENT)
        return yaml_bad(y, &ev->start_mark, -EOPNOTSUPP, "aliases are not supported");
    t = tree_add(y->a, parent,
                 ev->type == YAML_MAPPING_START_EVENT    ? TREE_MAP
                 : ev->type == YAML_SEQUENCE_START_EVENT ? TREE_LIST
                                                         : TREE_TEXT,
                 key);
    if (!t)
        return err_set(y->e, -ENOMEM, "%s: too big", y->where);
    t->line = (u32)ev->start_mark.line + 1;
    if (t->kind == TREE_TEXT)
        return yaml_scalar(y, ev, t);
    return yaml_children(y, t, depth);
}

static int yaml_stream(struct yaml *y, struct tree *docs)
{
    yaml_event_type_t type;
    int r = 0;

    do {
        yaml_event_t ev;

        r = yaml_next(y, &ev);
        if (r)
            return r;
        type = ev.type;
        if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
            type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT)
            r = yaml_node(y, &ev, docs, NULL, 0);
        yaml_event_delete(&ev);
    } while (!r && type != YAML_STREAM_END_EVENT && type != YAML_NO_EVENT);
    return r;
}

int yaml_parse(struct arena *a, const char *text, size_t n, const char *where, struct tree **docs,
               struct err *e)
{
    struct yaml y = { .a = a, .where = where, .e = e };
    int r;

    if (n > YAML_MAX)
        return err_set(e, -E2BIG, "%s: more than %u MiB of YAML", where, YAML_MAX >> 20);
    *docs = tree_add(a, NULL, TREE_LIST, NULL);
    if (!*docs || !yaml_parser_initialize(&y.parser))
        return err_set(e, -ENOMEM, "%s: no memory", where);
    yaml_parser_set_input_string(&y.parser, (const u8 *)text, n);
    r = yaml_stream(&y, *docs);
    yaml_parser_delete(&y.parser);
    return r == -ENOMEM ? err_set(e, r, "%s: too big", where) : r;
}

/* ---- printing ---- */

static int yaml_write(void *arg, unsigned char *p, size_t n)
{
    return !buf_add(arg, p, n);
}

static bool yaml_emit_text(yaml_emitter_t *em, const char *s, bool bare, const char *type)
{
    yaml_scalar_style_t style = YAML_ANY_SCALAR_STYLE;
    char tag[128];
    yaml_event_t ev;

    snprintf(tag, sizeof(tag), "!%s", type ? type : "");
    if (!bare && strchr(s, '\n'))
        style = YAML_LITERAL_SCALAR_STYLE;
    else if (bare)
        style = YAML_PLAIN_SCALAR_STYLE;
    else if (yaml_is_bare(s))
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    return yaml_scalar_event_initialize(&ev, NULL, type ? (const u8 *)tag : NULL, (const u8 *)s,
                                        (int)strlen(s), !type, !type, style) &&
           yaml_emitter_emit(em, &ev);
}

static bool yaml_emit(yaml_emitter_t *em, const struct tree *t)
{
    bool map = t->kind == TREE_MAP, ok;
    yaml_event_t ev;

    if (t->kind == TREE_TEXT)
        return yaml_emit_text(em, t->text, t->bare, t->type);
    ok = map ? yaml_mapping_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE)
             : yaml_sequence_start_event_initialize(&ev, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
    ok = ok && yaml_emitter_emit(em, &ev);
    for (const struct tree *c = t->first; ok && c; c = c->next)
        ok = (!map || yaml_emit_text(em, c->key, false, NULL)) && yaml_emit(em, c);
    ok = ok &&
         (map ? yaml_mapping_end_event_initialize(&ev) : yaml_sequence_end_event_initialize(&ev));
    return ok && yaml_emitter_emit(em, &ev);
}

int yaml_print(const struct tree *t, struct buf *to)
{
    yaml_emitter_t em;
    yaml_event_t ev;
    bool ok;

    if (!yaml_emitter_initialize(&em))
        return -ENOMEM;
    yaml_emitter_set_output(&em, yaml_write, to);
    yaml_emitter_set_unicode(&em, 1);
    yaml_emitter_set_width(&em, -1);
    ok = yaml_stream_start_event_initialize(&ev, YAML_UTF8_ENCODING) && yaml_emitter_emit(&em, &ev);
    ok = ok && yaml_document_start_event_initialize(&ev, NULL, NULL, NULL, 0) &&
         yaml_emitter_emit(&em, &ev);
    ok = ok && yaml_emit(&em, t);
    ok = ok && yaml_document_end_event_initialize(&ev, 1) && yaml_emitter_emit(&em, &ev);
    ok = ok && yaml_stream_end_event_initialize(&ev) && yaml_emitter_emit(&em, &ev);
    yaml_emitter_delete(&em);
    return ok ? 0 : -ENOMEM;
}
