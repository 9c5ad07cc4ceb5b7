/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Field tables: saving, loading, walking and testing of plain structs. */
#include "base/field.h"
#include "base/bytes.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { FIELD_HEAD = 8 }; /* tag, flags, zero, length */

static bool field_wired(const struct field *f)
{
    return !(f->flags & F_LOCAL);
}

int field_save(const struct field *t, const void *from, struct buf *to)
{
    for (; t->kind != F_END; t++) {
        size_t head = to->len;
        u8 *h;
        int r = 0;

        if (!field_wired(t))
            continue;
        if (!buf_room(to, FIELD_HEAD))
            return -ENOMEM;
        if (t->kind != F_STRUCT) {
            r = buf_add(to, (const u8 *)from + t->at, (size_t)t->size * t->count);
        } else {
            for (u32 i = 0; i < t->count && !r; i++) {
                size_t one = to->len;

                if (!buf_room(to, 4))
                    return -ENOMEM;
                r = field_save(t->sub, (const u8 *)from + t->at + (size_t)i * t->size, to);
                put_le32(to->p + one, (u32)(to->len - one - 4));
            }
        }
        if (r)
            return r;
        h = to->p + head;
        put_le16(h, t->tag);
        h[2] = t->flags;
        put_le32(h + 4, (u32)(to->len - head - FIELD_HEAD));
    }
    return 0;
}

static const struct field *field_find(const struct field *t, u16 tag)
{
    for (; t->kind != F_END; t++)
        if (field_wired(t) && t->tag == tag)
            return t;
    return NULL;
}

static int field_load_bools(const struct field *f, void *to, const u8 *p, struct err *e)
{
    for (u32 i = 0; i < f->count; i++) {
        if (p[i] > 1)
            return err_set(e, -EBADMSG, "%s: a truth value of %u", f->name, p[i]);
        ((bool *)to)[i] = p[i];
    }
    return 0;
}

static int field_load_structs(const struct field *f, u8 *to, struct span in, struct err *e)
{
    struct cursor c = cursor_of(in.p, in.len);

    for (u32 i = 0; i < f->count; i++) {
        u32 n = get_le32(&c);
        const u8 *p = cursor_take(&c, n);

        if (c.bad)
            return err_set(e, -EBADMSG, "%s: element %u is cut short", f->name, i);
        if (field_load(f->sub, to + (size_t)i * f->size, (struct span){ p, n }, e))
            return err_in(e, "%s[%u]: ", f->name, i);
    }
    if (c.at != c.len)
        return err_set(e, -EBADMSG, "%s: %zu bytes too many", f->name, c.len - c.at);
    return 0;
}

static int field_load_one(const struct field *f, void *base, struct span in, struct err *e)
{
    u8 *to = (u8 *)base + f->at;
    size_t want = (size_t)f->size * f->count;

    if (f->kind == F_STRUCT)
        return field_load_structs(f, to, in, e);
    if (in.len != want)
        return err_set(e, -EBADMSG, "%s: %zu bytes where %zu were expected", f->name, in.len, want);
    if (f->kind == F_BOOL)
        return field_load_bools(f, to, in.p, e);
    if (f->kind == F_TEXT && !memchr(in.p, 0, in.len))
        return err_set(e, -EBADMSG, "%s: text without an end", f->name);
    memcpy(to, in.p, want);
    return 0;
}

int field_load(const struct field *t, void *to, struct span from, struct err *e)
{
    struct cursor c = cursor_of(from.p, from.len);

    while (c.at < c.len) {
        u16 tag = get_le16(&c);
        u8 flags = get_u8(&c), zero = get_u8(&c);
        u32 n = get_le32(&c);
        const u8 *p = cursor_take(&c, n);
        const struct field *f;
        int r;

        if (c.bad)
            return err_set(e, -EBADMSG, "saved state is cut short");
        if (zero)
            return err_set(e, -EBADMSG, "tag %u: reserved byte is %u, not 0", tag, zero);
        f = field_find(t, tag);
        if (!f && (flags & F_MUST))
            return err_set(e, -EOPNOTSUPP, "tag %u is unknown here and must not be dropped", tag);
        if (!f)
            continue;
        r = field_load_one(f, to, (struct span){ p, n }, e);
        if (r)
            return r;
    }
    return 0;
}

static u64 field_value(const u8 *p, u32 size)
{
    switch (size) {
    case 1:
        return *p;
    case 2:
        return le16(p);
    case 4:
        return le32(p);
    default:
        return le64(p);
    }
}

static int field_parse(const char *text, u32 size, u64 *val)
{
    char *end;

    if (!strcasecmp(text, "true") || !strcasecmp(text, "on") || !strcasecmp(text, "yes")) {
        *val = 1;
        return 0;
    }
    if (!strcasecmp(text, "false") || !strcasecmp(text, "off") || !strcasecmp(text, "no")) {
        *val = 0;
        return 0;
    }
    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    *val = strtoull(text, &end, 0);
    if (errno || *end || (size < 8 && *val >> (8 * size)))
        return -EINVAL;
    return 0;
}

int field_set(const struct field *t, void *to, const char *name, const char *text, struct err *e)
{
    u64 v;

    for (; t->kind != F_END; t++)
        if (!strcmp(t->name, name))
            break;
    if (t->kind == F_END)
        return err_set(e, -ENOENT, "no setting is called \"%s\"", name);
    if (t->kind == F_TEXT) {
        if (strlen(text) >= t->size)
            return err_set(e, -EINVAL, "%s: longer than %u characters", name, t->size - 1);
        memset((u8 *)to + t->at, 0, t->size);
        memcpy((u8 *)to + t->at, text, strlen(text));
        return 0;
    }
    if (t->kind == F_STRUCT || t->count != 1)
        return err_set(e, -EINVAL, "%s cannot be set from text", name);
    if (field_parse(text, t->size, &v) || (t->kind == F_BOOL && v > 1))
        return err_set(e, -EINVAL, "%s: \"%s\" is not %s", name, text,
                       t->kind == F_BOOL ? "on or off" : "a number that fits");
    memcpy((u8 *)to + t->at, &v, t->size);
    return 0;
}

static void field_each_in(const struct field *t, const void *from, const char *front,
                          void (*show)(void *, const char *, const struct field *, u64), void *arg)
{
    for (; t->kind != F_END; t++) {
        for (u32 i = 0; i < t->count; i++) {
            const u8 *p = (const u8 *)from + t->at + (size_t)i * t->size;
            char path[200];

            if (t->count > 1)
                snprintf(path, sizeof(path), "%s%s[%u]", front, t->name, i);
            else
                snprintf(path, sizeof(path), "%s%s", front, t->name);
            if (t->kind == F_STRUCT) {
                strncat(path, "/", sizeof(path) - strlen(path) - 1);
                field_each_in(t->sub, p, path, show, arg);
            } else {
                show(arg, path, t, t->kind == F_TEXT ? 0 : field_value(p, t->size));
            }
        }
    }
}

void field_each(const struct field *t, const void *from,
                void (*show)(void *arg, const char *path, const struct field *f, u64 value),
                void *arg)
{
    field_each_in(t, from, "", show, arg);
}

void field_mark(const struct field *t, u8 *map, size_t n)
{
    for (; t->kind != F_END; t++) {
        for (u32 i = 0; i < t->count; i++) {
            size_t at = t->at + (size_t)i * t->size;

            if (!range_ok(at, t->size, n))
                return;
            if (t->kind == F_STRUCT)
                field_mark(t->sub, map + at, t->size);
            else
                memset(map + at, 1, t->size);
        }
    }
}

int field_check(const struct field *t, size_t struct_size, struct err *e)
{
    for (const struct field *f = t; f->kind != F_END; f++) {
        if (!range_ok(f->at, (u64)f->size * f->count, struct_size))
            return err_set(e, -EINVAL, "%s lies outside the struct", f->name);
        if (f->kind == F_STRUCT && field_check(f->sub, f->size, e))
            return err_in(e, "%s: ", f->name);
        for (const struct field *g = t; g < f; g++)
            if (field_wired(f) && field_wired(g) && f->tag == g->tag)
                return err_set(e, -EINVAL, "%s and %s share tag %u", g->name, f->name, f->tag);
    }
    return 0;
}
