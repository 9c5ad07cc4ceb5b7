/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hyper-V's configuration since Windows Server 2016 (.vmcx): a file of tables of keys with
 * values, each naming its parent, that make the same tree as the XML before it.  There is no
 * document; the layout is known from the files.  Headers and log entries have checksums, whose
 * kind is found out by what fits.  Left out: states (.vmrs), versions other than 4.
 */
#include "base/bytes.h"
#include "package/hyperv_int.h"
#include "package/vmcx_int.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VMCX_DEPTH 64
#define VMCX_ENTRIES 65536
#define VMCX_TABLES 4096

struct vmcx_entry {
    u16 table, type; /* type: its low byte; the high one are flags */
    u32 at, size, parent_at;
    u16 parent;
    const u8 *raw; /* behind the header: the key's name, then the value */
    u32 room, name;
    i32 child, last, next; /* -1: none */
};

struct vmcx {
    struct hyperv *x;
    u8 *p;
    u64 size;
    struct vmcx_entry *entries;
    u32 n;
    struct vmcx_table {
        u16 index, sequence;
        u64 at;
        u32 size;
    } * tables;
    u32 ntables;
};

static int vmcx_bad(struct vmcx *v, const char *what, u64 at)
{
    return err_set(v->x->e, -EBADMSG, "%s: %s at 0x%" PRIx64 " is damaged", v->x->file, what, at);
}

/* ---- the object table: where what is ---- */

static int vmcx_add_table(struct vmcx *v, u64 at, u32 size)
{
    struct vmcx_table t = { .at = at, .size = size };

    if (size < KEYS_HEADER || !range_ok(at, size, v->size) || le16(v->p + at) != KEYS_MAGIC)
        return vmcx_bad(v, "a table of keys", at);
    t.index = le16(v->p + at + 2);
    t.sequence = le16(v->p + at + 4);
    for (u32 i = 0; i < v->ntables; i++) /* an older one of the same number is over */
        if (v->tables[i].index == t.index) {
            if ((i16)(u16)(t.sequence - v->tables[i].sequence) > 0)
                v->tables[i] = t;
            return 0;
        }
    if (v->ntables == VMCX_TABLES)
        return err_set(v->x->e, -E2BIG, "%s: more than %d tables", v->x->file, VMCX_TABLES);
    v->tables[v->ntables++] = t;
    return 0;
}

static int vmcx_objects(struct vmcx *v, u64 at, unsigned depth)
{
    u32 n;
    int r = 0;

    if (!range_ok(at, OBJECTS_HEADER, v->size) || le32(v->p + at) != OBJECTS_MAGIC)
        return vmcx_bad(v, "the table of objects", at);
    n = le32(v->p + at + 4);
    if (n > (v->size - at - OBJECTS_HEADER) / OBJECT_SIZE)
        return vmcx_bad(v, "the table of objects", at);
    for (u32 i = 0; i < n && !r; i++) {
        const u8 *o = v->p + at + OBJECTS_HEADER + (u64)i * OBJECT_SIZE;
        u64 where = le64(o + 5);

        if (!o[17])
            continue;
        if (o[0] == OBJECT_KEYS)
            r = vmcx_add_table(v, where, le32(o + 13));
        else if (o[0] == OBJECT_OBJECTS && where != at)
            r = depth < 8 ? vmcx_objects(v, where, depth + 1) : vmcx_bad(v, "a table", where);
    }
    return r;
}

/* ---- the keys ---- */

static int vmcx_keys(struct vmcx *v, const struct vmcx_table *t)
{
    u32 at = KEYS_HEADER;

    while (t->size - at >= KEY_HEADER) {
        const u8 *k = v->p + t->at + at;
        u32 size = le32(k + 2);
        struct vmcx_entry *e = &v->entries[v->n];

        if (!size)
            break;
        if (size < KEY_HEADER || size > t->size - at)
            return vmcx_bad(v, "a key", t->at + at);
        if ((le16(k) & 0xff) != KEY_FREE) {
            if (v->n == VMCX_ENTRIES)
                return err_set(v->x->e, -E2BIG, "%s: more than %d keys", v->x->file, VMCX_ENTRIES);
            *e = (struct vmcx_entry){ .table = t->index,
                                      .type = le16(k),
                                      .at = at,
                                      .size = size,
                                      .parent = le16(k + 6),
                                      .parent_at = le32(k + 8),
                                      .raw = k + KEY_HEADER,
                                      .room = size - KEY_HEADER,
                                      .name = k[20],
                                      .child = -1,
                                      .last = -1,
                                      .next = -1 };
            if (!e->name || e->name > e->room || e->raw[e->name - 1])
                return vmcx_bad(v, "a key's name", t->at + at);
            v->n++;
        }
        at += size;
    }
    return 0;
}

static int vmcx_order(const void *a, const void *b)
{
    const struct vmcx_entry *x = a, *y = b;

    if (x->table != y->table)
        return x->table < y->table ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Children to parents; what hangs on nothing or on itself is reached from no root. */
static i32 vmcx_link(struct vmcx *v)
{
    i32 root = -1, last = -1;

    qsort(v->entries, v->n, sizeof(*v->entries), vmcx_order);
    for (u32 i = 0; i < v->n; i++) {
        struct vmcx_entry *e = &v->entries[i], *p = NULL;
        struct vmcx_entry want = { .table = e->parent, .at = e->parent_at };
        i32 *end = &last, *first = &root;

        if (e->parent) {
            p = bsearch(&want, v->entries, v->n, sizeof(*v->entries), vmcx_order);
            if (!p)
                continue;
            first = &p->child;
            end = &p->last;
        }
        if (*end >= 0)
            v->entries[*end].next = (i32)i;
        else
            *first = (i32)i;
        *end = (i32)i;
    }
    return root;
}

/* ---- values as the XML has them ---- */

static const char *vmcx_string(struct vmcx *v, const u8 *p, u32 n)
{
    struct buf utf16 = { 0 }, utf8 = { 0 };
    const char *text = "";

    while (n >= 2 && !p[n - 1] && !p[n - 2])
        n -= 2;
    if (!buf_add(&utf16, "\xff\xfe", 2) && !buf_add(&utf16, p, n & ~1u) &&
        !xml_utf8((char *)utf16.p, utf16.len, "", &utf8, NULL) && utf8.len)
        text = arena_text(&v->x->s->arena, (char *)utf8.p, utf8.len);
    buf_fini(&utf16);
    buf_fini(&utf8);
    return text;
}

static const char *vmcx_bytes(struct vmcx *v, const u8 *p, u32 n)
{
    struct buf b = { 0 };
    const char *text = "";
    int r = 0;

    for (u32 i = 0; i < n && !r; i++)
        r = buf_text(&b, "%02x", p[i]);
    if (!r && b.len)
        text = arena_text(&v->x->s->arena, (char *)b.p, b.len);
    buf_fini(&b);
    return text;
}

/* Where a value's bytes are: behind the name, or in an object of its own */
static bool vmcx_value(struct vmcx *v, const struct vmcx_entry *e, const u8 **p, u32 *n)
{
    unsigned type = e->type & 0xff;
    u64 at;

    *p = e->raw + e->name;
    *n = e->room - e->name;
    if (e->type & KEY_ELSEWHERE) {
        if (*n < 12)
            return false;
        at = le64(*p + 4);
        *n = le32(*p);
        *p = v->p + (range_ok(at, *n, v->size) ? at : 0);
        return range_ok(at, *n, v->size);
    }
    if (type == KEY_STRING || type == KEY_ARRAY) {
        if (*n < 4 || le32(*p) > *n - 4)
            return false;
        *n = le32(*p);
        *p += 4;
        return true;
    }
    return *n >= (type == KEY_BOOL ? 4u : 8u);
}

static const char *vmcx_text(struct vmcx *v, const struct vmcx_entry *e, const char **type)
{
    struct arena *a = &v->x->s->arena;
    const u8 *p;
    double number;
    u64 bits;
    u32 n;

    *type = "string";
    if (!vmcx_value(v, e, &p, &n))
        return NULL;
    switch (e->type & 0xff) {
    case KEY_INT:
        *type = "integer";
        return arena_print(a, "%" PRId64, (i64)le64(p));
    case KEY_UINT:
        *type = "integer";
        return arena_print(a, "%" PRIu64, le64(p));
    case KEY_DOUBLE:
        *type = "double";
        bits = le64(p);
        memcpy(&number, &bits, sizeof(number));
        return arena_print(a, "%g", number);
    case KEY_STRING:
        return vmcx_string(v, p, n);
    case KEY_BOOL:
        *type = "bool";
        return le32(p) ? "True" : "False";
    default:
        *type = "bytes";
        return vmcx_bytes(v, p, n);
    }
}

/* ---- the tree ---- */

static const char *vmcx_name(struct vmcx *v, const struct vmcx_entry *e)
{
    char *name = arena_text(&v->x->s->arena, (const char *)e->raw, e->name - 1);

    for (char *c = name; c && *c; c++)
        if (!(*c & 0x80) && !strchr("-._", *c) && (*c < '0' || *c > '9') &&
            ((*c | 0x20) < 'a' || (*c | 0x20) > 'z'))
            *c = '_'; /* as the name of an element must be */
    return name;
}

static int vmcx_fill(struct vmcx *v, struct xml_node *to, const struct vmcx_entry *e)
{
    struct xml_attr *t = arena_new(&v->x->s->arena, sizeof(*t));
    const char *type;

    to->text = vmcx_text(v, e, &type);
    if (!to->text)
        return vmcx_bad(v, "the value of a key", (u64)(e->raw - v->p));
    if (!t)
        return -ENOMEM;
    *t = (struct xml_attr){ .space = "", .prefix = "", .name = "type", .value = type };
    to->attrs = t;
    return 0;
}

static int vmcx_tree(struct vmcx *v, struct xml_node *to, i32 child, unsigned depth)
{
    int r = 0;

    if (depth > VMCX_DEPTH)
        return err_set(v->x->e, -E2BIG, "%s: its keys are nested too deeply", v->x->file);
    for (; child >= 0 && !r; child = v->entries[child].next) {
        const struct vmcx_entry *e = &v->entries[child];
        struct xml_node *n = arena_new(&v->x->s->arena, sizeof(*n));

        if (!n || !(n->name = vmcx_name(v, e)))
            return -ENOMEM;
        n->space = n->prefix = n->text = "";
        n->parent = to;
        *(to->last ? &to->last->next : &to->first) = n;
        to->last = n;
        r = (e->type & 0xff) == KEY_NODE ? vmcx_tree(v, n, e->child, depth + 1)
                                         : vmcx_fill(v, n, e);
    }
    return r;
}

static int vmcx_all(struct vmcx *v, struct xml_node *root)
{
    int r;

    r = vmcx_objects(v, VMCX_OBJECTS, 0);
    for (u32 i = 0; i < v->ntables && !r; i++)
        r = vmcx_keys(v, &v->tables[i]);
    return r ? r : vmcx_tree(v, root, vmcx_link(v), 0);
}

static int vmcx_document(struct hyperv *x, u8 *p, u64 size)
{
    struct xml_node root = { .space = "", .prefix = "", .name = "", .text = "" };
    struct vmcx v = { .x = x, .p = p, .size = size };
    struct xml_node *c;
    int r = vmcx_replay(p, size, x->file, x->n, x->e);

    if (r)
        return r;
    v.entries = calloc(VMCX_ENTRIES + 1, sizeof(*v.entries));
    v.tables = calloc(VMCX_TABLES, sizeof(*v.tables));
    r = v.entries && v.tables ? vmcx_all(&v, &root) : -ENOMEM;
    free(v.entries);
    free(v.tables);
    for (c = root.first; c && strcmp(c->name, "configuration"); c = c->next)
        ;
    if (!r && !c)
        r = err_set(x->e, -EBADMSG, "%s: has no key \"configuration\"", x->file);
    if (r)
        return r;
    c->parent = NULL;
    return hyperv_configuration(x, c);
}

static int vmcx_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct hyperv x = { d, s, n, e, source_base(s->path), "vmcx" };
    struct buf b;
    int r = source_load(s->main, VMCX_MAX, &b, e);

    if (r)
        return r;
    r = hyperv_export(&x);
    r = r ? r : vmcx_document(&x, b.p, b.len);
    buf_fini(&b);
    return r == -ENOMEM ? err_set(e, r, "%s: is too long", x.file) : r;
}

static int vmcx_probe(struct source *s)
{
    u8 head[4];

    if (s->kind != SOURCE_FILES || !s->main || s->main->size < VMCX_OBJECTS ||
        source_read(s->main, 0, head, sizeof(head), NULL) || le32(head) != VMCX_MAGIC)
        return 0;
    if (source_has_suffix(s->main->name, ".vmrs"))
        return 0; /* what was running */
    return source_has_suffix(s->dir, "/Snapshots") ? 60 : 95;
}

const struct package_format package_vmcx = {
    .name = "vmcx",
    .suffix = ".vmcx",
    .about = "Hyper-V since 2016: a binary configuration or an export, with its disks",
    .probe = vmcx_probe,
    .read = vmcx_read,
};
