/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reference interpreter as an engine: one x86_step after the other on each vCPU's own
 * thread.  Decoded instructions are checked against memory each time, so `forget` has
 * nothing to do; a vCPU sees a new slot table by its address.
 */
#include "engine/x86/cpu.h"
#include "engine/x86/memory.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct interpret {
    struct x86_memory mem;
    u64 tsc_hz;
    u32 apic_ids;
    bool amd;
    pthread_mutex_t lock; /* slots() against itself; the list of vCPUs */
    struct vcpu *first;
    u64 retired; /* of vCPUs that were closed */
};

struct vcpu {
    struct x86_cpu c;
    struct cpu_io io;
    struct interpret *engine;
    struct vcpu *next;
};

static int interpret_probe(u64 *features, struct err *e)
{
    *features = ENGINE_LOCKSTEP | ENGINE_USER_PORTS;
    return 0;
}

static int interpret_open(void **engine, const struct engine_options *o, struct err *e)
{
    struct interpret *i = calloc(1, sizeof(*i));

    if (!i || x86_memory_init(&i->mem)) {
        free(i);
        return err_set(e, -ENOMEM, "no memory for the interpreter");
    }
    i->tsc_hz = o->tsc_hz;
    i->amd = o->amd;
    i->apic_ids = o->apic_ids ? o->apic_ids : 1;
    pthread_mutex_init(&i->lock, NULL);
    *engine = i;
    return 0;
}

static void interpret_close(void *engine)
{
    struct interpret *i = engine;

    x86_memory_fini(&i->mem);
    pthread_mutex_destroy(&i->lock);
    free(i);
}

static int interpret_slots(void *engine, const struct mem_slot *all, u32 n, struct err *e)
{
    struct interpret *i = engine;
    int r;

    pthread_mutex_lock(&i->lock);
    r = x86_memory_set(&i->mem, all, n, e);
    pthread_mutex_unlock(&i->lock);
    return r;
}

static int interpret_dirty(void *engine, const struct mem_slot *s, u64 *bitmap)
{
    struct interpret *i = engine;

    return x86_memory_dirty(&i->mem, s, bitmap);
}

static void interpret_forget(void *engine, u64 gpa, u64 len)
{
}

static int interpret_cpu_open(void *engine, u32 index, const struct cpu_io *io, struct vcpu **v,
                              struct err *e)
{
    struct interpret *i = engine;
    struct vcpu *n = aligned_alloc(_Alignof(struct vcpu), sizeof(*n));
    int r;

    if (!n)
        return err_set(e, -ENOMEM, "no memory for vCPU %u", index);
    n->io = *io;
    n->engine = i;
    r = x86_cpu_init(&n->c, index, &n->io, &i->mem, i->tsc_hz, e);
    if (r) {
        free(n);
        return r;
    }
    n->c.amd = i->amd;
    n->c.apic_ids = i->apic_ids;
    pthread_mutex_lock(&i->lock);
    n->next = i->first;
    i->first = n;
    pthread_mutex_unlock(&i->lock);
    *v = n;
    return 0;
}

static void interpret_cpu_close(struct vcpu *v)
{
    struct interpret *i = v->engine;
    struct vcpu **at;

    pthread_mutex_lock(&i->lock);
    for (at = &i->first; *at != v; at = &(*at)->next)
        ;
    *at = v->next;
    i->retired += v->c.retired;
    pthread_mutex_unlock(&i->lock);
    x86_cpu_fini(&v->c);
    free(v);
}

static enum stop interpret_run(struct vcpu *v, struct err *e)
{
    struct x86_cpu *c = &v->c;
    enum x86_stepped r;
    bool stop;

    for (;;) {
        if (x86_must_ask(c) || c->s.halted) {
            r = x86_events(c, &stop);
            if (stop)
                return STOP_KICKED;
            if (r == STEP_SHUTDOWN)
                return STOP_SHUTDOWN;
            if (c->s.halted)
                return STOP_HALTED;
        }
        if (x86_step(c) == STEP_SHUTDOWN)
            return STOP_SHUTDOWN;
    }
}

static void interpret_kick(struct vcpu *v)
{
    atomic_store(&v->c.pending, 1);
}

static int interpret_get(struct vcpu *v, struct x86_state *s)
{
    *s = v->c.s;
    return 0;
}

static int interpret_set(struct vcpu *v, const struct x86_state *s)
{
    int r = x86_state_check(s, NULL);

    if (r)
        return r;
    v->c.s = *s;
    v->c.debug = 0;
    x86_flush(&v->c, FLUSH_ALL, 0);
    atomic_store(&v->c.pending, 1);
    return 0;
}

static void interpret_stats(void *engine, void (*one)(void *arg, const struct engine_stat *s),
                            void *arg)
{
    struct interpret *i = engine;
    u64 n;

    pthread_mutex_lock(&i->lock);
    n = i->retired;
    for (const struct vcpu *v = i->first; v; v = v->next)
        n += v->c.retired;
    pthread_mutex_unlock(&i->lock);
    one(arg, &(struct engine_stat){ "interpreter", "instructions", STAT_COUNT, n });
}

const struct engine_ops engine_interpret = {
    .name = "interpret",
    .probe = interpret_probe,
    .open = interpret_open,
    .close = interpret_close,
    .slots = interpret_slots,
    .dirty = interpret_dirty,
    .forget = interpret_forget,
    .cpu_open = interpret_cpu_open,
    .cpu_close = interpret_cpu_close,
    .run = interpret_run,
    .kick = interpret_kick,
    .get = interpret_get,
    .set = interpret_set,
    .stats = interpret_stats,
};
