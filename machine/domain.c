/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two kinds of lock and their order: a domain, then the irq lock.  Each thread knows
 * what it holds, so a breach of the order aborts where it happens.
 */
#include "base/log.h"
#include "machine/machine_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct domain *domain_held;
static _Thread_local bool domain_slots_due;
static _Thread_local const struct machine *irq_held;
static _Thread_local u32 irq_depth;

static void domain_breach(const char *what, const struct domain *d)
{
    log_error("lock order: %s (domain %s)", what, d ? d->name : "none");
    abort();
}

static struct domain *domain_new(struct machine *m, const char *name)
{
    struct domain *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->cond, NULL);
    d->machine = m;
    snprintf(d->name, sizeof(d->name), "%s", name);
    d->next = m->domains;
    m->domains = d;
    return d;
}

struct domain *domain_get(struct machine *m, const char *name)
{
    struct domain *d;

    for (d = m->domains; d; d = d->next)
        if (!strcmp(d->name, name))
            return d;
    return domain_new(m, name);
}

void domain_free(struct domain *d)
{
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->cond);
    free(d);
}

void domain_lock(struct domain *d)
{
    if (domain_held)
        domain_breach("a second domain is taken", domain_held);
    if (irq_depth)
        domain_breach("a domain is taken under the irq lock", d);
    pthread_mutex_lock(&d->lock);
    domain_held = d;
}

void domain_unlock(struct domain *d)
{
    domain_assert(d);
    domain_held = NULL;
    pthread_mutex_unlock(&d->lock);
    if (domain_slots_due) {
        domain_slots_due = false;
        if (d->machine->cpus.slots)
            d->machine->cpus.slots(d->machine->cpus.arg);
    }
}

void domain_wait(struct domain *d)
{
    domain_assert(d);
    domain_held = NULL;
    pthread_cond_wait(&d->cond, &d->lock);
    domain_held = d;
}

void domain_wake(struct domain *d)
{
    pthread_cond_broadcast(&d->cond);
}

void domain_assert(const struct domain *d)
{
    if (domain_held != d)
        domain_breach("not held here", d);
}

bool domain_slots_later(struct machine *m)
{
    (void)m;
    if (domain_held)
        domain_slots_due = true;
    return domain_held;
}

int irq_lock_init(struct machine *m)
{
    return -pthread_mutex_init(&m->irq_lock, NULL);
}

void machine_irq_lock(struct machine *m)
{
    if (irq_depth++) {
        if (irq_held != m)
            domain_breach("irq locks of two machines", NULL);
        return;
    }
    pthread_mutex_lock(&m->irq_lock);
    irq_held = m;
}

void machine_irq_unlock(struct machine *m)
{
    if (!irq_depth || irq_held != m)
        domain_breach("the irq lock is not held here", NULL);
    if (--irq_depth)
        return;
    irq_held = NULL;
    pthread_mutex_unlock(&m->irq_lock);
}
