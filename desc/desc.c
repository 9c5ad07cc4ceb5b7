/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The description of a VM: making one, and whether it makes sense by itself. */
#include "desc/desc.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A description is small; what a hostile package can make us keep is bounded. */
#define DESC_LIMIT (64u << 20)
#define NOTES_LIMIT (16u << 20)
#define CPUS_MAX 4096
#define MEMORY_MIN (1ull << 20)
#define MEMORY_MAX (1ull << 46)

void desc_init(struct desc *d)
{
    *d = (struct desc){ .arena = { .limit = DESC_LIMIT },
                        .name = "vm",
                        .persona = "auto",
                        .cpus = 1,
                        .cores_per_socket = 1,
                        .memory = 1ull << 30,
                        .firmware = DESC_BIOS };
}

void desc_fini(struct desc *d)
{
    struct desc *next = d->next;

    while (next) { /* each has an arena of its own; it lies in the first one's */
        struct desc *after = next->next;

        arena_fini(&next->arena);
        next = after;
    }
    if (d->held)
        close(d->held - 1);
    arena_fini(&d->arena);
    *d = (struct desc){ 0 };
}

static const char *desc_copy(struct desc *d, const char *s)
{
    return arena_text(&d->arena, s, strlen(s));
}

/* Name and class of something new, copied; false when there is no memory. */
static bool desc_texts(struct desc *d, const char **to1, const char *s1, const char **to2,
                       const char *s2)
{
    *to1 = desc_copy(d, s1);
    *to2 = desc_copy(d, s2);
    return *to1 && *to2;
}

struct desc_device *desc_add_device(struct desc *d, const char *name, const char *class)
{
    struct desc_device *v = arena_new(&d->arena, sizeof(*v)), **last = &d->devices;

    if (!v || !desc_texts(d, &v->name, name, &v->class, class))
        return NULL;
    v->at = "auto";
    v->known = true;
    while (*last)
        last = &(*last)->next;
    *last = v;
    return v;
}

struct desc_disk *desc_add_disk(struct desc *d, const char *name, enum desc_media media)
{
    struct desc_disk *k = arena_new(&d->arena, sizeof(*k)), **last = &d->disks;

    if (!k || !(k->name = desc_copy(d, name)))
        return NULL;
    k->media = media;
    k->mode = media == DESC_CDROM ? DESC_READ : DESC_WRITE;
    while (*last)
        last = &(*last)->next;
    *last = k;
    return k;
}

struct desc_nic *desc_add_nic(struct desc *d, const char *name, const char *class)
{
    struct desc_nic *c = arena_new(&d->arena, sizeof(*c)), **last = &d->nics;

    if (!c || !desc_texts(d, &c->name, name, &c->class, class))
        return NULL;
    c->at = "auto";
    c->known = true;
    c->connected = true;
    while (*last)
        last = &(*last)->next;
    *last = c;
    return c;
}

struct desc_port *desc_add_port(struct desc *d, const char *name, enum desc_port_kind kind,
                                const char *to)
{
    struct desc_port *p = arena_new(&d->arena, sizeof(*p)), **last = &d->ports;

    if (!p || !desc_texts(d, &p->name, name, &p->to, to))
        return NULL;
    p->kind = kind;
    while (*last)
        last = &(*last)->next;
    *last = p;
    return p;
}

struct desc_property *desc_add_property(struct desc *d, const char *key, const char *value)
{
    struct desc_property *p = arena_new(&d->arena, sizeof(*p)), **last = &d->properties;

    if (!p || !desc_texts(d, &p->key, key, &p->value, value))
        return NULL;
    p->type = "string";
    while (*last)
        last = &(*last)->next;
    *last = p;
    return p;
}

struct desc_snapshot *desc_add_snapshot(struct desc *d, const char *id, const char *name)
{
    struct desc_snapshot *s = arena_new(&d->arena, sizeof(*s)), **last = &d->snapshots;

    if (!s || !desc_texts(d, &s->id, id, &s->name, name))
        return NULL;
    while (*last)
        last = &(*last)->next;
    *last = s;
    return s;
}

struct desc_file *desc_add_file(struct desc *d, const char *name, const char *path)
{
    struct desc_file *f = arena_new(&d->arena, sizeof(*f)), **last = &d->files;

    if (!f || !desc_texts(d, &f->name, name, &f->path, path))
        return NULL;
    while (*last)
        last = &(*last)->next;
    *last = f;
    return f;
}

struct desc *desc_add_vm(struct desc *d)
{
    struct desc *vm = arena_new(&d->arena, sizeof(*vm)), **last = &d->next;

    if (!vm)
        return NULL;
    desc_init(vm);
    while (*last)
        last = &(*last)->next;
    *last = vm;
    return vm;
}

const char *desc_text(struct desc *d, const char *fmt, ...)
{
    const char *copy;
    char *text;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    copy = arena_text(&d->arena, text, (size_t)n);
    free(text);
    return copy;
}

int desc_add_setting(struct desc *d, struct desc_device *v, const char *name, const char *text)
{
    struct desc_setting *s = arena_new(&d->arena, sizeof(*s)), **last = &v->settings;

    if (!s || !desc_texts(d, &s->name, name, &s->text, text))
        return -ENOMEM;
    while (*last)
        last = &(*last)->next;
    *last = s;
    return 0;
}

int desc_add_extra(struct desc *d, const char *format, const char *key, const char *value)
{
    struct desc_extra *x = arena_new(&d->arena, sizeof(*x));

    if (!x || !desc_texts(d, &x->format, format, &x->key, key) || !(x->value = desc_copy(d, value)))
        return -ENOMEM;
    *(d->extras_last ? &d->extras_last->next : &d->extras) = x;
    d->extras_last = x;
    return 0;
}

const char *desc_extra(const struct desc *d, const char *format, const char *key)
{
    for (const struct desc_extra *x = d->extras; x; x = x->next)
        if (!strcmp(x->format, format) && !strcmp(x->key, key))
            return x->value;
    return NULL;
}

struct desc_device *desc_device(const struct desc *d, const char *name)
{
    for (struct desc_device *v = d->devices; v; v = v->next)
        if (!strcmp(v->name, name))
            return v;
    return NULL;
}

void note(struct notes *n, enum note_kind k, const char *where, const char *fmt, ...)
{
    struct note *one;
    char text[1024];
    va_list ap;

    if (!n)
        return;
    if (!n->last) {
        n->last = &n->first;
        n->arena.limit = NOTES_LIMIT;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    one = arena_new(&n->arena, sizeof(*one));
    if (!one)
        return;
    one->kind = k;
    one->where = arena_text(&n->arena, where, strlen(where));
    one->text = arena_text(&n->arena, text, strlen(text));
    if (!one->where || !one->text)
        return;
    *n->last = one;
    n->last = &one->next;
    n->n++;
}

void notes_fini(struct notes *n)
{
    arena_fini(&n->arena);
    *n = (struct notes){ 0 };
}

/* How many of the VM's parts have this name? */
static unsigned desc_count(const struct desc *d, const char *name)
{
    unsigned n = 0;

    for (const struct desc_device *v = d->devices; v; v = v->next)
        n += !strcmp(v->name, name);
    for (const struct desc_disk *k = d->disks; k; k = k->next)
        n += !strcmp(k->name, name);
    for (const struct desc_nic *c = d->nics; c; c = c->next)
        n += !strcmp(c->name, name);
    return n;
}

static int desc_check_name(const struct desc *d, const char *name, struct err *e)
{
    if (!name || !*name)
        return err_set(e, -EINVAL, "a device has no name");
    if (desc_count(d, name) > 1)
        return err_set(e, -EINVAL, "%s: two devices have this name", name);
    return 0;
}

static int desc_check_disk(const struct desc *d, const struct desc_disk *k, struct err *e)
{
    if (!k->controller)
        return err_set(e, -EINVAL, "%s: it is on no controller", k->name);
    if (!desc_device(d, k->controller))
        return err_set(e, -EINVAL, "%s: there is no controller \"%s\"", k->name, k->controller);
    for (const struct desc_disk *o = k->next; o; o = o->next)
        if (o->controller && o->unit == k->unit && !strcmp(o->controller, k->controller))
            return err_set(e, -EINVAL, "%s and %s: both are unit %u of %s", k->name, o->name,
                           k->unit, k->controller);
    if (k->capacity > INT64_MAX)
        return err_set(e, -EINVAL, "%s: a capacity of %llu bytes is not possible", k->name,
                       (unsigned long long)k->capacity);
    return 0;
}

int desc_check(const struct desc *d, struct err *e)
{
    int r;

    if (!d->name || !*d->name)
        return err_set(e, -EINVAL, "the VM has no name");
    if (!d->persona)
        return err_set(e, -EINVAL, "the VM has no persona");
    if (d->cpus < 1 || d->cpus > CPUS_MAX)
        return err_set(e, -EINVAL, "cpus: %u is not in 1 to %d", d->cpus, CPUS_MAX);
    if (!d->cores_per_socket || d->cpus % d->cores_per_socket)
        return err_set(e, -EINVAL, "cores_per_socket: %u does not divide %u cpus",
                       d->cores_per_socket, d->cpus);
    if (d->memory < MEMORY_MIN || d->memory > MEMORY_MAX)
        return err_set(e, -EINVAL, "memory: %llu bytes is not in 1 MiB to 64 TiB",
                       (unsigned long long)d->memory);
    for (const struct desc_device *v = d->devices; v; v = v->next)
        if ((r = desc_check_name(d, v->name, e)))
            return r;
    for (const struct desc_disk *k = d->disks; k; k = k->next)
        if ((r = desc_check_name(d, k->name, e)) || (r = desc_check_disk(d, k, e)))
            return r;
    for (const struct desc_nic *c = d->nics; c; c = c->next)
        if ((r = desc_check_name(d, c->name, e)))
            return r;
    return 0;
}
