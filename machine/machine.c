/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The empty PC: made, reset, paused, and what it asks of its surroundings. */
#include "machine/machine_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MACHINE_CPUS_MAX = 64, ASK_CODE_BITS = 24 };
static const u64 MACHINE_MIB = 1 << 20;

static _Thread_local u32 machine_here;

static int machine_parts(struct machine *m, struct err *e)
{
    int r;

    if (irq_lock_init(m))
        return err_set(e, -ENOMEM, "no memory for the machine");
    pthread_mutex_init(&m->slots.lock, NULL);
    r = loop_new(&m->loop, e);
    if (!r)
        r = gmem_init(&m->ram, m, m->how.ram, e);
    if (!r)
        r = space_new(&m->ports, "ports", e);
    if (!r)
        r = space_new(&m->memory, "memory", e);
    if (!r)
        r = clock_init(m, e);
    if (!r)
        r = lane_init(m, e);
    return r;
}

int machine_new(struct machine **out, const struct machine_make *how, struct err *e)
{
    struct machine *m;
    int r;

    if (!how->ram || how->ram % MACHINE_MIB)
        return err_set(e, -EINVAL, "memory of %llu bytes is not whole MiB",
                       (unsigned long long)how->ram);
    if (!how->cpus || how->cpus > MACHINE_CPUS_MAX)
        return err_set(e, -EINVAL, "%u processors; 1 to %d are possible", how->cpus,
                       MACHINE_CPUS_MAX);
    if (!how->tsc_hz)
        return err_set(e, -EINVAL, "the rate of the time stamp counter is not given");
    m = calloc(1, sizeof(*m));
    if (!m)
        return err_set(e, -ENOMEM, "no memory for the machine");
    m->how = *how;
    m->clock.fd = m->lane.fd = -1;
    atomic_store(&m->error_from, INT64_MIN / 2);
    r = machine_parts(m, e);
    if (r) {
        machine_free(m);
        return r;
    }
    *out = m;
    return 0;
}

void machine_clear(struct machine *m)
{
    if (m->lane.loop && !m->how.manual)
        machine_pause(m);
    device_free_all(m);
    if (m->lane.loop)
        lane_go(m);
}

void machine_free(struct machine *m)
{
    struct domain *d, *next;

    if (!m)
        return;
    machine_clear(m);
    for (u32 i = m->nbuses; i-- > 0;)
        if (m->buses[i].free)
            m->buses[i].free(m->buses[i].bus);
    irq_fini(m);
    lane_fini(m);
    clock_fini(m);
    space_free(m->ports);
    space_free(m->memory);
    gmem_fini(&m->ram);
    loop_free(m->loop);
    for (d = m->domains; d; d = next) {
        next = d->next;
        domain_free(d);
    }
    pthread_mutex_destroy(&m->irq_lock);
    pthread_mutex_destroy(&m->slots.lock);
    free(m);
}

void machine_cpus_set(struct machine *m, const struct machine_cpus *cpus)
{
    m->cpus = *cpus;
    if (cpus->bell)
        bells_open(m);
}

const struct machine_cpus *machine_cpus(const struct machine *m)
{
    return &m->cpus;
}

struct loop *machine_loop(struct machine *m)
{
    return m->loop;
}

struct loop *machine_lane(struct machine *m)
{
    return m->lane.loop;
}

u32 machine_cpu_count(const struct machine *m)
{
    return m->how.cpus;
}

u64 machine_ram_size(const struct machine *m)
{
    return m->ram.size;
}

u64 machine_tsc_hz(const struct machine *m)
{
    return m->how.tsc_hz;
}

struct gmem *machine_ram(struct machine *m)
{
    return &m->ram;
}

struct space *machine_ports(struct machine *m)
{
    return m->ports;
}

struct space *machine_memory(struct machine *m)
{
    return m->memory;
}

void machine_cpu_here_set(u32 cpu)
{
    machine_here = cpu;
}

u32 machine_cpu_here(void)
{
    return machine_here;
}

void machine_intc_set(struct machine *m, const struct machine_intc *i)
{
    m->intc = *i;
    m->has_intc = true;
}

const struct machine_intc *machine_intc(const struct machine *m)
{
    return m->has_intc ? &m->intc : NULL;
}

void machine_chips_set(struct machine *m, const struct machine_chips *c)
{
    m->has_chips = c;
    if (c)
        m->chips = *c;
}

const struct machine_chips *machine_chips(const struct machine *m)
{
    return m->has_chips ? &m->chips : NULL;
}

void *machine_bus(struct machine *m, const char *name)
{
    for (u32 i = 0; i < m->nbuses; i++)
        if (!strcmp(m->buses[i].name, name))
            return m->buses[i].bus;
    return NULL;
}

int machine_bus_add(struct machine *m, const char *name, void *bus,
                    void (*reset)(struct machine *m, void *bus), void (*free_)(void *bus))
{
    if (m->nbuses == LEN(m->buses))
        return -ENOSPC;
    m->buses[m->nbuses++] =
        (struct bus_keep){ .name = name, .bus = bus, .reset = reset, .free = free_ };
    return 0;
}

int machine_bus_state(struct machine *m, const char *bus,
                      int (*save)(const struct device *d, struct buf *to),
                      int (*load)(struct device *d, struct span from, struct err *e))
{
    for (u32 i = 0; i < m->nbuses; i++)
        if (!strcmp(m->buses[i].name, bus)) {
            m->buses[i].save = save;
            m->buses[i].load = load;
            return 0;
        }
    return -ENOENT;
}

void machine_reset(struct machine *m, enum reset kind)
{
    if (kind != RESET_SLEEP)
        machine_shadow(m, 0xc0000, 0x40000, false);
    for (u32 i = 0; i < m->nbuses; i++)
        if (m->buses[i].reset)
            m->buses[i].reset(m, m->buses[i].bus);
    for (u32 i = 0; i < m->nnodes; i++)
        device_reset_one(m->nodes[i]->dev, kind);
}

void machine_pause(struct machine *m)
{
    if (m->paused)
        return;
    m->paused = true;
    clock_stop(m);
    lane_hold(m);
    for (u32 i = m->nnodes; i-- > 0;)
        if (m->nodes[i]->dev->class->pause)
            m->nodes[i]->dev->class->pause(m->nodes[i]->dev);
    lane_stop(m);
    bells_collect(m);
}

void machine_resume(struct machine *m)
{
    if (!m->paused)
        return;
    m->paused = false;
    for (u32 i = 0; i < m->nnodes; i++)
        if (m->nodes[i]->dev->class->resume)
            m->nodes[i]->dev->class->resume(m->nodes[i]->dev);
    lane_go(m);
    clock_go(m);
}

static void machine_asked(void *arg)
{
    struct machine *m = arg;
    u32 what = atomic_exchange(&m->asked, 0);

    if (what && m->on_ask)
        m->on_ask(m->on_ask_arg, (enum machine_event)((what >> ASK_CODE_BITS) - 1),
                  what & ((1u << ASK_CODE_BITS) - 1));
}

/* One wish at a time: what a guest asks while another is on its way is not heard. */
void machine_ask(struct machine *m, enum machine_event what, u32 code)
{
    if (what == MACHINE_SLEEP && m->cpus.hold)
        m->cpus.hold(m->cpus.arg, machine_cpu_here());
    machine_ask_again(m, ((u32)what + 1) << ASK_CODE_BITS | (code & ((1u << ASK_CODE_BITS) - 1)));
}

void machine_ask_again(struct machine *m, u32 ask)
{
    u32 none = 0;

    if (!ask || ask >> ASK_CODE_BITS > MACHINE_WAKE + 1)
        return;
    if (atomic_compare_exchange_strong(&m->asked, &none, ask) &&
        loop_post(m->loop, machine_asked, m))
        atomic_store(&m->asked, 0);
}

void machine_on_ask(struct machine *m, void (*fn)(void *arg, enum machine_event what, u32 code),
                    void *arg)
{
    m->on_ask = fn;
    m->on_ask_arg = arg;
}

void machine_power_set(struct machine *m, struct device *d, const struct machine_power *is)
{
    m->power = d;
    m->power_is = is;
}

void machine_power_button(struct machine *m)
{
    if (!m->power)
        return;
    domain_lock(m->power->domain);
    m->power_is->button(m->power);
    domain_unlock(m->power->domain);
}

void machine_alarm(struct machine *m)
{
    if (!m->power)
        return;
    domain_assert(m->power->domain);
    m->power_is->alarm(m->power);
}

void machine_gpe(struct machine *m, u32 bit)
{
    if (!m->power)
        return;
    domain_lock(m->power->domain);
    m->power_is->gpe(m->power, bit);
    domain_unlock(m->power->domain);
}
