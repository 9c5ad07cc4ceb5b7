/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a device: made from its class and settings, found, reset, freed. */
#include "base/log.h"
#include "machine/machine_int.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERRORS_AT_ONCE = 10 };
#define ERRORS_EVERY_NS 5000000000ll

struct node *node_of(const struct device *d)
{
    for (u32 i = d->machine->nnodes; i-- > 0;)
        if (d->machine->nodes[i]->dev == d)
            return d->machine->nodes[i];
    return NULL;
}

static const struct device_class *device_class_find(const char *name)
{
    for (const struct device_class *const *c = device_catalog; *c; c++)
        if (!strcmp((*c)->name, name))
            return *c;
    return NULL;
}

static void device_node_free(struct node *n)
{
    struct timer *t, *next_timer;
    struct bell *b, *next_bell;

    for (t = n->timers; t; t = next_timer) {
        next_timer = timer_next(t);
        timer_free(t);
    }
    for (b = n->bells; b; b = next_bell) {
        next_bell = bell_next(b);
        bell_free(b);
    }
    free(n->ends);
    free(n->dev);
    free(n);
}

static int device_node_new(struct machine *m, const struct device_class *class,
                           const struct device_end *ends, struct node **out)
{
    struct node *n = calloc(1, sizeof(*n)), **all;

    all = realloc(m->nodes, (m->nnodes + 1) * sizeof(struct node *));
    if (all)
        m->nodes = all;
    if (n) {
        n->dev = calloc(1, class->size);
        while (ends && ends[n->nends].kind)
            n->nends++;
        n->ends = calloc(n->nends + 1, sizeof(*ends));
    }
    if (!n || !all || !n->dev || !n->ends) {
        if (n)
            device_node_free(n);
        return -ENOMEM;
    }
    if (n->nends)
        memcpy(n->ends, ends, n->nends * sizeof(*ends));
    m->nodes[m->nnodes++] = n;
    *out = n;
    return 0;
}

static int device_configure(struct device *d, const char *const *settings, struct err *e)
{
    void *config = (u8 *)d + d->class->config_at;

    if (d->class->config_default)
        memcpy(config, d->class->config_default, d->class->config_size);
    for (; settings && settings[0]; settings += 2) {
        if (!d->class->config)
            return err_set(e, -ENOENT, "no setting is called \"%s\"", settings[0]);
        if (field_set(d->class->config, config, settings[0], settings[1], e))
            return e ? e->code : -EINVAL;
    }
    return 0;
}

void device_reset_one(struct device *d, enum reset kind)
{
    if (!d->class->reset)
        return;
    domain_lock(d->domain);
    d->class->reset(d, kind);
    domain_unlock(d->domain);
}

int device_new(struct machine *m, const char *class, const char *name, const char *const *settings,
               const struct device_end *ends, struct device **out, struct err *e)
{
    const struct device_class *c = device_class_find(class);
    struct node *n;
    struct device *d;
    int r;

    if (!c)
        return err_set(e, -ENOENT, "no device is called \"%s\"", class);
    for (u32 i = 0; i < m->nnodes; i++)
        if (!strcmp(m->nodes[i]->dev->name, name))
            return err_set(e, -EEXIST, "two devices are called \"%s\"", name);
    if (device_node_new(m, c, ends, &n))
        return err_set(e, -ENOMEM, "%s: no memory", name);
    d = n->dev;
    d->class = c;
    d->machine = m;
    snprintf(d->name, sizeof(d->name), "%s", name);
    d->domain = domain_get(m, c->domain ? c->domain : d->name);
    r = d->domain ? device_configure(d, settings, e) : -ENOMEM;
    if (!r && c->create)
        r = c->create(d, e);
    if (r) {
        if (e && e->code)
            err_in(e, "%s: ", name);
        else
            err_set(e, r, "%s: cannot be made: %s", name, strerror(-r));
        m->nnodes--;
        device_node_free(n);
        return r;
    }
    device_reset_one(d, RESET_POWER);
    if (out)
        *out = d;
    return 0;
}

void device_free_all(struct machine *m)
{
    while (m->nnodes) {
        struct node *n = m->nodes[m->nnodes - 1];

        if (n->dev->class->destroy)
            n->dev->class->destroy(n->dev);
        m->nnodes--;
        device_node_free(n);
    }
    free(m->nodes);
    m->nodes = NULL;
}

int device_memory(struct device *d, const char *name, void *p, u64 len)
{
    struct node *n = node_of(d);
    struct machine_block *b = &n->memory[n->nmemories];

    if (n->nmemories == LEN(n->memory))
        return -ENOSPC;
    snprintf(b->name, sizeof(b->name), "%s %s", d->name, name);
    b->p = p;
    b->len = len;
    n->nmemories++;
    return 0;
}

void *device_end(const struct device *d, const char *kind)
{
    const struct node *n = node_of(d);

    for (u32 i = 0; n && i < n->nends; i++)
        if (!strcmp(n->ends[i].kind, kind))
            return n->ends[i].end;
    return NULL;
}

int device_end_set(struct device *d, const char *kind, void *end, bool force, struct err *e)
{
    int r;

    if (!d->class->end_set)
        return err_set(e, -EOPNOTSUPP, "%s: nothing can come to or go from it while it runs",
                       d->name);
    domain_lock(d->domain);
    r = d->class->end_set(d, kind, end, force, e);
    domain_unlock(d->domain);
    return r;
}

struct device *machine_device(struct machine *m, const char *name)
{
    for (u32 i = 0; i < m->nnodes; i++)
        if (!strcmp(m->nodes[i]->dev->name, name))
            return m->nodes[i]->dev;
    for (u32 i = 0; i < m->nnodes; i++)
        if (!strcmp(m->nodes[i]->dev->class->name, name))
            return m->nodes[i]->dev;
    return NULL;
}

void guest_error(const struct device *d, const char *fmt, ...)
{
    struct machine *m = d->machine;
    i64 now = loop_now(), from = atomic_load(&m->error_from);
    char text[200];
    va_list ap;

    atomic_fetch_add(&m->errors, 1);
    if (!log_on(LOG_INFO))
        return;
    if (now - from > ERRORS_EVERY_NS && atomic_compare_exchange_strong(&m->error_from, &from, now))
        atomic_store(&m->errors_left, ERRORS_AT_ONCE);
    if (!atomic_load(&m->errors_left))
        return;
    atomic_fetch_sub(&m->errors_left, 1);
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    log_info("%s: the guest: %s", d->name, text);
}
