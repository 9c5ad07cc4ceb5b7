/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wires.  An input has a name; any number of drivers and of sinks meet in it, in any order
 * of arrival.  Its level is the "or" of its drivers, and the sinks are told of changes.
 */
#include "machine/machine_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct irq_input {
    char name[24];
    struct irq sink[4];
    u32 nsinks;
    u32 high; /* drivers that are high */
    struct irq_input *next;
};

struct irq_wire {
    struct machine *machine;
    const struct device *dev;
    struct irq_input *input;
    bool level;
    struct irq_wire *next;
};

static struct irq_input *irq_input(struct machine *m, const char *name)
{
    struct irq_input *i;

    for (i = m->inputs; i; i = i->next)
        if (!strcmp(i->name, name))
            return i;
    i = calloc(1, sizeof(*i));
    if (!i)
        return NULL;
    snprintf(i->name, sizeof(i->name), "%s", name);
    i->next = m->inputs;
    m->inputs = i;
    return i;
}

void machine_input(struct machine *m, const char *name, struct irq sink)
{
    struct irq_input *i;

    machine_irq_lock(m);
    i = irq_input(m, name);
    if (i && i->nsinks < LEN(i->sink)) {
        i->sink[i->nsinks++] = sink;
        if (i->high)
            irq_set(&sink, true);
    }
    machine_irq_unlock(m);
}

static void irq_drive(void *arg, u32 pin, bool level)
{
    struct irq_wire *w = arg;
    struct irq_input *i = w->input;

    (void)pin;
    machine_irq_lock(w->machine);
    if (level != w->level) {
        bool before = i->high;

        w->level = level;
        i->high += level ? 1 : -1u;
        for (u32 n = 0; n < i->nsinks && before != (i->high != 0); n++)
            irq_set(&i->sink[n], level);
    }
    machine_irq_unlock(w->machine);
}

struct irq machine_wire(struct machine *m, const struct device *d, const char *name)
{
    struct irq_wire *w = calloc(1, sizeof(*w));
    struct irq wire = { 0 };

    machine_irq_lock(m);
    if (w)
        w->input = irq_input(m, name);
    if (w && w->input) {
        w->machine = m;
        w->dev = d;
        w->next = m->wires;
        m->wires = w;
        wire = (struct irq){ .set = irq_drive, .sink = w };
        w = NULL;
    }
    machine_irq_unlock(m);
    free(w);
    return wire;
}

/* The list is newest first. */
static u32 irq_count(const struct machine *m, const struct device *d)
{
    u32 n = 0;

    for (const struct irq_wire *w = m->wires; w; w = w->next)
        n += w->dev == d;
    return n;
}

u32 irq_levels(struct machine *m, const struct device *d, bool *level, u32 room)
{
    u32 n = irq_count(m, d), i = n;

    for (const struct irq_wire *w = m->wires; w; w = w->next)
        if (w->dev == d && --i < room)
            level[i] = w->level;
    return n;
}

void irq_levels_put(struct machine *m, const struct device *d, const bool *level, u32 n)
{
    u32 i = irq_count(m, d);

    for (struct irq_wire *w = m->wires; w; w = w->next) {
        if (w->dev != d || --i >= n)
            continue;
        w->input->high += (u32)level[i] - (u32)w->level;
        w->level = level[i];
    }
}

void irq_fini(struct machine *m)
{
    struct irq_wire *w, *next_wire;
    struct irq_input *i, *next;

    for (w = m->wires; w; w = next_wire) {
        next_wire = w->next;
        free(w);
    }
    for (i = m->inputs; i; i = next) {
        next = i->next;
        free(i);
    }
}

int msi_send(struct machine *m, u64 addr, u32 data)
{
    return m->msi ? m->msi(m->msi_arg, addr, data) : -ENODEV;
}

void machine_msi_set(struct machine *m, int (*fn)(void *arg, u64 addr, u32 data), void *arg)
{
    m->msi = fn;
    m->msi_arg = arg;
}
