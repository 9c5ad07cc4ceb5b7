/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a persona: made from its class and settings, freed. */
#include "persona/persona.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct persona_class *persona_find(const char *name)
{
    for (const struct persona_class *const *c = persona_catalog; *c; c++)
        if (!strcmp((*c)->name, name))
            return *c;
    return NULL;
}

static int persona_configure(struct persona *p, const char *const *settings, struct err *e)
{
    const struct persona_class *c = p->class;
    u8 *config = (u8 *)p + c->config_at;
    int r = 0;

    if (c->config_default)
        memcpy(config, c->config_default, c->config_size);
    for (; settings && settings[0] && !r; settings += 2)
        r = c->config ? field_set(c->config, config, settings[0], settings[1], e)
                      : err_set(e, -ENOENT, "no setting is called \"%s\"", settings[0]);
    return r;
}

void *persona_end(const struct persona *p, const char *kind)
{
    for (const struct device_end *e = p->ends; e && e->kind; e++)
        if (!strcmp(e->kind, kind))
            return e->end;
    return NULL;
}

int persona_new(struct machine *m, const char *class, const char *const *settings,
                const struct device_end *ends, struct persona **p, struct err *e)
{
    const struct persona_class *c = persona_find(class);
    struct persona *n;
    int r;

    if (!c)
        return err_set(e, -ENOENT, "no persona is called \"%s\"", class);
    n = calloc(1, c->size);
    if (!n)
        return err_set(e, -ENOMEM, "persona %s: no memory", class);
    n->class = c;
    n->machine = m;
    n->ends = ends;
    r = persona_configure(n, settings, e);
    if (!r && c->create)
        r = c->create(n, e);
    if (r) {
        err_in(e, "persona %s: ", class);
        free(n);
        return r;
    }
    n->ends = NULL;
    if (c->reset)
        c->reset(n);
    *p = n;
    return 0;
}

void persona_free(struct persona *p)
{
    if (!p)
        return;
    if (p->class->destroy)
        p->class->destroy(p);
    free(p);
}
