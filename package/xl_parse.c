/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text of xl.cfg (xl.cfg(5)) and of xm's Python files: assignments of strings, numbers,
 * lists, tuples, dictionaries; "+=", strings side by side, "+" and "%" between them, names
 * that were set before.  Everything else of Python is refused, never run.
 */
#include "package/xl_int.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct xl_text {
    struct arena *a;
    const char *where, *start, *p, *end;
    struct tree *root;
    struct err *e;
    u32 nodes, depth;
    u32 open; /* brackets: line ends mean nothing in them */
};

static int xl_bad(const struct xl_text *x, const char *at, int code, const char *what)
{
    unsigned line = 1, column = 1;

    for (const char *p = x->start; p < at; p++) {
        column++;
        if (*p == '\n') {
            line++;
            column = 1;
        }
    }
    return err_set(x->e, code, "%s: line %u, column %u: %s", x->where, line, column, what);
}

static int xl_no(const struct xl_text *x, const char *what)
{
    return xl_bad(x, x->p, -EOPNOTSUPP, what);
}

static void xl_blank(struct xl_text *x)
{
    for (; x->p < x->end; x->p++) {
        if (*x->p == '#') {
            while (x->p + 1 < x->end && x->p[1] != '\n')
                x->p++;
        } else if (*x->p == '\\' && x->end - x->p > 1 && x->p[1] == '\n') {
            x->p++;
        } else if (*x->p == '\\' && x->end - x->p > 2 && x->p[1] == '\r' && x->p[2] == '\n') {
            x->p += 2;
        } else if (*x->p == '\n' ? !x->open : !strchr(" \t\r\f", *x->p)) {
            break;
        }
    }
}

static char xl_peek(struct xl_text *x)
{
    xl_blank(x);
    return x->p < x->end ? *x->p : 0;
}

static bool xl_is_name(char c)
{
    return isalnum((u8)c) || c == '_';
}

static struct tree *xl_new(struct xl_text *x, enum tree_kind kind)
{
    return x->nodes++ < TREE_NODES ? tree_add(x->a, NULL, kind, NULL) : NULL;
}

static int xl_big(const struct xl_text *x)
{
    return err_set(x->e, -E2BIG, "%s: holds too much", x->where);
}

static int xl_expr(struct xl_text *x, struct tree **out);

static void xl_join(struct tree *parent, struct tree *t, const char *key)
{
    t->parent = parent;
    t->key = key;
    t->next = NULL;
    *(parent->last ? &parent->last->next : &parent->first) = t;
    parent->last = t;
}

static struct tree *xl_copy(struct xl_text *x, const struct tree *t)
{
    struct tree *c = xl_new(x, t->kind), *in;

    if (!c)
        return NULL;
    c->text = t->text;
    c->bare = t->bare;
    for (const struct tree *k = t->first; k; k = k->next) {
        in = xl_copy(x, k);
        if (!in)
            return NULL;
        xl_join(c, in, k->key);
    }
    return c;
}

/* ---- strings ---- */

/* After a backslash; both languages know these.  Others keep the backslash, as Python does. */
static int xl_escape(struct xl_text *x, struct buf *to)
{
    static const char from[] = "abfnrtv\\'\"", as[] = "\a\b\f\n\r\t\v\\'\"";
    char c = *x->p++, out;
    const char *at = c ? strchr(from, c) : NULL;
    unsigned v = 0, n = 0;

    if (c == '\r' && x->p < x->end && *x->p == '\n')
        c = *x->p++;
    if (c == '\n')
        return 0;
    if (at)
        return buf_add(to, as + (at - from), 1);
    if (c == 'x' && x->end - x->p >= 2 && isxdigit((u8)x->p[0]) && isxdigit((u8)x->p[1])) {
        char hex[3] = { x->p[0], x->p[1], 0 };

        out = (char)strtoul(hex, NULL, 16);
        x->p += 2;
        return out ? buf_add(to, &out, 1) : -EBADMSG;
    }
    if (c >= '0' && c <= '7') {
        for (x->p--; n < 3 && x->p < x->end && *x->p >= '0' && *x->p <= '7'; n++)
            v = v * 8 + (unsigned)(*x->p++ - '0');
        out = (char)v;
        return v && v < 256 ? buf_add(to, &out, 1) : -EBADMSG;
    }
    if (!ispunct((u8)c) && buf_add(to, "\\", 1))
        return -ENOMEM;
    return buf_add(to, &c, 1);
}

/* One string literal at x->p, whose prefix was passed. */
static int xl_string(struct xl_text *x, bool raw, struct buf *to)
{
    const char *at = x->p;
    char quote = *x->p;
    bool triple = x->end - x->p >= 3 && x->p[1] == quote && x->p[2] == quote;
    int r = 0;

    x->p += triple ? 3 : 1;
    while (!r) {
        if (x->p >= x->end || (*x->p == '\n' && !triple))
            return xl_bad(x, at, -EBADMSG, "this string has no end");
        if (*x->p == quote &&
            (!triple || (x->end - x->p >= 3 && x->p[1] == quote && x->p[2] == quote))) {
            x->p += triple ? 3 : 1;
            return 0;
        }
        if (*x->p == '\\' && x->end - x->p > 1) {
            x->p++;
            if (raw) {
                r = buf_add(to, "\\", 1);
                r = r ? r : buf_add(to, x->p++, 1);
            } else {
                r = xl_escape(x, to);
            }
        } else if (!*x->p) {
            r = -EBADMSG;
        } else {
            r = buf_add(to, x->p++, 1);
        }
    }
    return r == -EBADMSG ? xl_bad(x, x->p, r, "a byte that cannot be in a text") : xl_big(x);
}

/* Is there a string here; how long is its prefix (r"", u"")? */
static bool xl_at_string(const struct xl_text *x, unsigned *prefix, bool *raw)
{
    const char *p = x->p;

    *raw = false;
    while (p < x->end && p - x->p < 2 && strchr("rRuUbB", *p) && *p)
        *raw |= *p == 'r' || *p == 'R', p++;
    *prefix = (unsigned)(p - x->p);
    return p < x->end && (*p == '"' || *p == '\'');
}

static int xl_strings(struct xl_text *x, struct tree **out)
{
    struct buf text = { 0 };
    unsigned prefix;
    bool raw;
    int r = 0;

    while (!r && (xl_peek(x), xl_at_string(x, &prefix, &raw))) {
        x->p += prefix;
        r = xl_string(x, raw, &text);
    }
    if (!r) {
        *out = xl_new(x, TREE_TEXT);
        if (!*out || !((*out)->text = arena_text(x->a, text.p ? (char *)text.p : "", text.len)))
            r = xl_big(x);
    }
    buf_fini(&text);
    return r;
}

/* ---- other atoms ---- */

static int xl_number(struct xl_text *x, struct tree **out)
{
    const char *at = x->p;
    char text[64];
    size_t n;

    if (*x->p == '-' || *x->p == '+')
        x->p++;
    while (x->p < x->end && (isalnum((u8)*x->p) || *x->p == '.'))
        x->p++;
    n = (size_t)(x->p - at);
    if (n && (at[n - 1] == 'L' || at[n - 1] == 'l')) /* Python 2's long numbers */
        n--;
    if (n >= sizeof(text))
        return xl_bad(x, at, -EOPNOTSUPP, "is no number");
    memcpy(text, at, n);
    text[n] = 0;
    strtod(text, NULL);
    {
        char *end, *end2;

        errno = 0;
        (void)strtoll(text, &end, 0);
        (void)strtod(text, &end2);
        if (!n || (*end && *end2))
            return xl_bad(x, at, -EOPNOTSUPP, "is no number");
    }
    *out = xl_new(x, TREE_TEXT);
    if (!*out || !((*out)->text = arena_text(x->a, text, n)))
        return xl_big(x);
    (*out)->bare = true;
    return 0;
}

static int xl_name(struct xl_text *x, struct tree **out)
{
    const char *at = x->p;
    char name[64];
    struct tree *was;
    size_t n;

    while (x->p < x->end && xl_is_name(*x->p))
        x->p++;
    n = (size_t)(x->p - at);
    if (n >= sizeof(name))
        return xl_bad(x, at, -EOPNOTSUPP, "this name is too long");
    memcpy(name, at, n);
    name[n] = 0;
    if (xl_peek(x) == '(' || xl_peek(x) == '.' || xl_peek(x) == '[')
        return xl_bad(x, at, -EOPNOTSUPP,
                      "a call or a look-up: Python is read here, never executed");
    was = tree_get(x->root, name);
    if (was) {
        *out = xl_copy(x, was);
        return *out ? 0 : xl_big(x);
    }
    if (strcmp(name, "True") && strcmp(name, "False") && strcmp(name, "None"))
        return xl_bad(x, at, -EOPNOTSUPP, "a name that was not set before");
    *out = xl_new(x, TREE_TEXT);
    if (!*out)
        return xl_big(x);
    (*out)->text = *name == 'T' ? "1" : *name == 'F' ? "0" : "None";
    (*out)->bare = true;
    return 0;
}

static int xl_pair(struct xl_text *x, struct tree *map)
{
    struct tree *key, *value;
    int r = xl_expr(x, &key);

    if (r)
        return r;
    if (key->kind != TREE_TEXT || xl_peek(x) != ':')
        return xl_no(x, "expected a key, a colon and a value");
    x->p++;
    r = xl_expr(x, &value);
    if (!r)
        xl_join(map, value, key->text);
    return r;
}

/* "[...]", "(...)", "{...}": a single value in parentheses is itself. */
static int xl_bracket(struct xl_text *x, struct tree **out)
{
    const char *at = x->p;
    char open = *x->p++, shut = open == '[' ? ']' : open == '(' ? ')' : '}';
    bool comma = false;
    int r = 0;

    if (++x->depth > TREE_DEPTH)
        return xl_bad(x, at, -E2BIG, "nested too deeply");
    x->open++;
    *out = xl_new(x, open == '{' ? TREE_MAP : TREE_LIST);
    if (!*out)
        return xl_big(x);
    while (!r && xl_peek(x) != shut) {
        struct tree *t;

        if (x->p >= x->end)
            return xl_bad(x, at, -EBADMSG, "this bracket has no end");
        r = open == '{' ? xl_pair(x, *out) : xl_expr(x, &t);
        if (!r && open != '{')
            xl_join(*out, t, NULL);
        if (!r && xl_peek(x) == ',') {
            comma = true;
            x->p++;
        } else if (!r && xl_peek(x) != shut) {
            r = x->p < x->end ? xl_no(x, "expected a comma or the closing bracket")
                              : xl_bad(x, at, -EBADMSG, "this bracket has no end");
        }
    }
    if (r)
        return r;
    x->p++;
    x->open--;
    x->depth--;
    if (open == '(' && !comma && (*out)->first)
        *out = (*out)->first;
    return 0;
}

static int xl_atom(struct xl_text *x, struct tree **out)
{
    char c = xl_peek(x);
    unsigned prefix;
    bool raw;

    if (x->p < x->end && xl_at_string(x, &prefix, &raw))
        return xl_strings(x, out);
    if (isdigit((u8)c) || c == '-' || c == '+')
        return xl_number(x, out);
    if (isalpha((u8)c) || c == '_')
        return xl_name(x, out);
    if (c == '[' || c == '(' || c == '{')
        return xl_bracket(x, out);
    return xl_no(x, "expected a value");
}

/* ---- "%" and "+" ---- */

/* One conversion at p ("%5d", "%(name)s"): its text appended; NULL: not one of ours. */
static const char *xl_convert(const char *p, const struct tree **next, const struct tree *value,
                              struct buf *to)
{
    const struct tree *v = *next;
    char spec[16], text[128], key[64], *end;
    size_t n = 0, k = 0;

    if (*++p == '%')
        return buf_add(to, "%", 1) ? NULL : p + 1;
    if (*p == '(') {
        for (p++; *p && *p != ')' && k < sizeof(key) - 1; p++)
            key[k++] = *p;
        key[k] = 0;
        v = tree_get(value, key);
        if (*p++ != ')')
            return NULL;
    } else if (v) {
        *next = value->kind == TREE_LIST ? v->next : NULL;
    }
    if (!v || v->kind != TREE_TEXT)
        return NULL;
    spec[n++] = '%';
    while ((*p == '0' || *p == '-') && n < 3)
        spec[n++] = *p++;
    while (isdigit((u8)*p) && n < 5)
        spec[n++] = *p++;
    if (*p == 's')
        return buf_add(to, v->text, strlen(v->text)) ? NULL : p + 1;
    if (!strchr("diuxX", *p) || !*p || !v->bare)
        return NULL;
    memcpy(spec + n, "llx", 4);
    spec[n + 2] = *p == 'x' || *p == 'X' ? *p : 'd';
    snprintf(text, sizeof(text), spec, strtoll(v->text, &end, 0));
    return *end || buf_add(to, text, strlen(text)) ? NULL : p + 1;
}

static int xl_format(struct xl_text *x, struct tree **left, const struct tree *value)
{
    const struct tree *next = value->kind == TREE_LIST ? value->first : value;
    struct buf text = { 0 };
    struct tree *t = NULL;
    const char *p;

    if ((*left)->kind != TREE_TEXT || (*left)->bare)
        return xl_no(x, "\"%\" is for strings only");
    for (p = (*left)->text; p && *p && text.len < XL_MAX;)
        if (*p == '%')
            p = xl_convert(p, &next, value, &text);
        else
            p = buf_add(&text, p, 1) ? NULL : p + 1;
    if (p && !*p && (t = xl_new(x, TREE_TEXT)))
        t->text = arena_text(x->a, text.p ? (char *)text.p : "", text.len);
    buf_fini(&text);
    if (!p)
        return xl_no(x, "a conversion of \"%\" that is not supported");
    if (!t || !t->text)
        return xl_big(x);
    *left = t;
    return 0;
}

static int xl_plus(struct xl_text *x, struct tree **left, struct tree *right)
{
    const struct tree *l = *left;
    struct tree *t = xl_new(x, l->kind);

    if (!t)
        return xl_big(x);
    if (l->kind != right->kind || l->kind == TREE_MAP || l->bare != right->bare)
        return xl_no(x, "\"+\" between these is not supported");
    if (l->kind == TREE_LIST) {
        struct tree *first = xl_copy(x, l), *second = xl_copy(x, right);

        if (!first || !second)
            return xl_big(x);
        for (struct tree *c = second->first, *next; c; c = next) {
            next = c->next;
            xl_join(first, c, NULL);
        }
        *left = first;
        return 0;
    }
    if (l->bare) {
        char *end, *end2;
        long long a = strtoll(l->text, &end, 0), b = strtoll(right->text, &end2, 0), sum;

        if (*end || *end2 || __builtin_add_overflow(a, b, &sum))
            return xl_no(x, "\"+\" between these is not supported");
        t->text = arena_print(x->a, "%lld", sum);
        t->bare = true;
    } else {
        t->text = strlen(l->text) + strlen(right->text) > XL_MAX
                      ? NULL
                      : arena_print(x->a, "%s%s", l->text, right->text);
    }
    *left = t;
    return t->text ? 0 : xl_big(x);
}

static int xl_product(struct xl_text *x, struct tree **out)
{
    int r = xl_atom(x, out);

    while (!r && xl_peek(x) == '%') {
        struct tree *right;

        x->p++;
        r = xl_atom(x, &right);
        r = r ? r : xl_format(x, out, right);
    }
    return r;
}

static int xl_expr(struct xl_text *x, struct tree **out)
{
    int r = xl_product(x, out);

    while (!r && xl_peek(x) == '+') {
        struct tree *right;

        x->p++;
        r = xl_product(x, &right);
        r = r ? r : xl_plus(x, out, right);
    }
    return r;
}

/* ---- statements ---- */

static void xl_store(struct xl_text *x, const char *key, struct tree *value)
{
    struct tree *prev = NULL, *t;

    for (t = x->root->first; t && strcmp(t->key, key); t = t->next)
        prev = t;
    if (t) { /* the last one counts */
        *(prev ? &prev->next : &x->root->first) = t->next;
        if (x->root->last == t)
            x->root->last = prev;
    }
    xl_join(x->root, value, key);
}

static int xl_statement(struct xl_text *x)
{
    const char *at = x->p, *key;
    bool more;
    struct tree *value, *was;
    int r;

    while (x->p < x->end && xl_is_name(*x->p))
        x->p++;
    if (x->p == at || isdigit((u8)*at))
        return xl_no(x, "expected \"name = value\"");
    key = arena_text(x->a, at, (size_t)(x->p - at));
    if (!key)
        return xl_big(x);
    more = xl_peek(x) == '+' && x->end - x->p > 1 && x->p[1] == '=';
    x->p += more;
    if (xl_peek(x) != '=' || (x->end - x->p > 1 && x->p[1] == '='))
        return xl_bad(x, at, -EOPNOTSUPP,
                      "no setting of the form \"name = value\": Python is read, never executed");
    x->p++;
    r = xl_expr(x, &value);
    if (r)
        return r;
    was = more ? tree_get(x->root, key) : NULL;
    if (was) {
        struct tree *sum = was;

        r = xl_plus(x, &sum, value);
        value = sum;
    }
    if (!r && value->parent && !(value = xl_copy(x, value)))
        r = xl_big(x);
    if (!r)
        xl_store(x, key, value);
    if (!r && xl_peek(x) && *x->p != '\n' && *x->p != ';')
        r = xl_no(x, "more than a setting: Python is read, never executed");
    return r;
}

int xl_parse(struct arena *a, const char *text, size_t n, const char *where, struct tree **root,
             struct err *e)
{
    struct xl_text x = {
        .a = a, .where = where, .start = text, .p = text, .end = text + n, .e = e
    };
    int r = 0;

    *root = x.root = tree_add(a, NULL, TREE_MAP, NULL);
    if (!x.root)
        return xl_big(&x);
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
        x.p += 3;
    while (!r) {
        while (xl_peek(&x) == '\n' || xl_peek(&x) == ';')
            x.p++;
        if (x.p >= x.end)
            break;
        r = xl_statement(&x);
    }
    return r;
}

/* ---- printing ---- */

static int xl_print_text(const char *s, struct buf *to)
{
    int r = buf_add(to, "\"", 1);

    for (; !r && *s; s++) {
        if (*s == '"' || *s == '\\')
            r = buf_text(to, "\\%c", *s);
        else if ((u8)*s < 0x20 || *s == 0x7f)
            r = buf_text(to, "\\x%02x", (u8)*s);
        else
            r = buf_add(to, s, 1);
    }
    return r ? r : buf_add(to, "\"", 1);
}

int xl_print(const struct tree *t, struct buf *to)
{
    bool map = t->kind == TREE_MAP;
    int r;

    if (t->kind == TREE_TEXT)
        return t->bare ? buf_text(to, "%s", t->text) : xl_print_text(t->text, to);
    r = buf_text(to, map ? "{ " : "[ ");
    for (const struct tree *c = t->first; !r && c; c = c->next) {
        if (map && !(r = xl_print_text(c->key, to)))
            r = buf_text(to, ": ");
        r = r ? r : xl_print(c, to);
        if (!r && c->next)
            r = buf_text(to, ", ");
    }
    return r ? r : buf_text(to, map ? " }" : " ]");
}
