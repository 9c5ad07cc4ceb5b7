/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APICs of all processors: what waits for whom.  Intel SDM 3A chapter 11.
 *
 * Registers are in lapic_reg.c, the timer in lapic_timer.c, messages between processors in
 * lapic_ipi.c.  Left out: SMI, thermal and performance interrupts (their LVTs are kept),
 * moving the registers of one processor only, focus processors.
 */
#include "device/chipset/lapic_int.h"
#include <errno.h>
#include <string.h>

#define LAPIC_BASE 0xfee00000u
enum { LAPIC_SIZE = 0x1000, LVT_EXTINT = APIC_EXTINT << 8, LVT_MODE = 7 << 8 };

/* Highest set bit of 256, or -1. */
static int lapic_highest(const u32 *bits)
{
    for (int i = 7; i >= 0; i--)
        if (bits[i])
            return i * 32 + 31 - __builtin_clz(bits[i]);
    return -1;
}

/* SDM 3A 11.8.3.1 */
u32 lapic_ppr(const struct lapic_cpu *c)
{
    int served = lapic_highest(c->isr);
    u32 class = served < 0 ? 0 : (u32)served & 0xf0;

    return (c->tpr & 0xf0) >= class ? c->tpr : class;
}

/* Does the PIC reach this processor?  A switched-off APIC lets it through to the first. */
bool lapic_takes_pic(const struct lapic *l, u32 cpu)
{
    const struct lapic_cpu *c = &l->state.cpu[cpu];
    u32 lint0 = c->lvt[LVT_LINT0];

    if (!(c->base & BASE_ENABLE))
        return cpu == 0;
    return !(lint0 & LVT_MASKED) && (lint0 & LVT_MODE) == LVT_EXTINT;
}

static int lapic_pending(const struct lapic *l, u32 cpu)
{
    const struct lapic_cpu *c = &l->state.cpu[cpu];
    int v;

    if (!lapic_is_on(c))
        return -1;
    v = lapic_highest(c->irr);
    return v >= 0 && ((u32)v & 0xf0) > (lapic_ppr(c) & 0xf0) ? v : -1;
}

static bool lapic_pic_pending(const struct lapic *l, u32 cpu)
{
    return l->state.pic && (l->state.cpu[cpu].extint || lapic_takes_pic(l, cpu));
}

void lapic_update(struct lapic *l, u32 cpu)
{
    const struct machine_cpus *cpus = machine_cpus(l->dev.machine);
    const struct machine_chips *k = machine_chips(l->dev.machine);
    /* kept elsewhere: there it is known which processor's LINT0 takes the PIC */
    bool waits =
        k ? l->state.pic && !k->line : lapic_pending(l, cpu) >= 0 || lapic_pic_pending(l, cpu);
    bool did = atomic_load_explicit(&l->waits[cpu], memory_order_relaxed);

    if (waits == did)
        return;
    atomic_store_explicit(&l->waits[cpu], waits, memory_order_release);
    if (waits && cpus->kick)
        cpus->kick(cpus->arg, cpu);
}

void lapic_accept(struct lapic *l, u32 cpu, u8 vector, bool level)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];
    u32 bit = 1u << (vector & 31);

    if (!lapic_is_on(c))
        return;
    if (vector < 16) {
        lapic_error(l, cpu, ESR_RECEIVED_ILLEGAL);
        return;
    }
    c->irr[vector / 32] |= bit;
    if (level)
        c->tmr[vector / 32] |= bit;
    else
        c->tmr[vector / 32] &= ~bit;
    lapic_update(l, cpu);
}

void lapic_error(struct lapic *l, u32 cpu, u32 bits)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];
    u32 lvt = c->lvt[LVT_ERROR];
    bool known = c->esr_new & bits;

    c->esr_new |= bits;
    /* a bad vector in the LVT itself makes no more errors */
    if (!known && !(lvt & LVT_MASKED) && (u8)lvt >= 16)
        lapic_accept(l, cpu, (u8)lvt, false);
}

/* ---- for whoever runs the processors ---- */

static bool lapic_waiting(void *arg, u32 cpu)
{
    struct lapic *l = arg;

    return atomic_load_explicit(&l->waits[cpu], memory_order_acquire);
}

static int lapic_pic_vector(struct lapic *l, u32 cpu)
{
    l->state.cpu[cpu].extint = false;
    if (!l->pic)
        l->pic = machine_device(l->dev.machine, "pic");
    return l->pic ? pic_acknowledge(l->pic) : -1;
}

static int lapic_vector(void *arg, u32 cpu)
{
    struct lapic *l = arg;
    struct lapic_cpu *c = &l->state.cpu[cpu];
    int v;

    if (!lapic_waiting(arg, cpu))
        return -1;
    machine_irq_lock(l->dev.machine);
    v = machine_chips(l->dev.machine) ? -1 : lapic_pending(l, cpu);
    if (machine_chips(l->dev.machine)) {
        v = l->state.pic ? lapic_pic_vector(l, cpu) : -1;
    } else if (v >= 0) {
        c->irr[v / 32] &= ~(1u << (v & 31));
        c->isr[v / 32] |= 1u << (v & 31);
    } else if (lapic_pic_pending(l, cpu)) {
        v = lapic_pic_vector(l, cpu);
    }
    lapic_update(l, cpu);
    machine_irq_unlock(l->dev.machine);
    return v;
}

static u64 lapic_base(void *arg, u32 cpu)
{
    return ((struct lapic *)arg)->state.cpu[cpu].base;
}

/* SDM 3A 11.12.5.  Going to x2APIC mode sets the IDs from the processor's number. */
static int lapic_base_set(void *arg, u32 cpu, u64 val)
{
    struct lapic *l = arg;
    struct lapic_cpu *c = &l->state.cpu[cpu];
    u64 was = c->base, at = val & ~(u64)0xfff;

    if (val & 0x2ff || val >> 46)
        return -EINVAL;
    if ((val & (BASE_X2APIC | BASE_ENABLE)) == BASE_X2APIC)
        return -EINVAL;
    if (was & BASE_X2APIC && (val & (BASE_X2APIC | BASE_ENABLE)) == BASE_ENABLE)
        return -EINVAL;
    if (!(was & BASE_ENABLE) && val & BASE_X2APIC)
        return -EINVAL;
    machine_irq_lock(l->dev.machine);
    c->base = val;
    if (val & BASE_X2APIC && !(was & BASE_X2APIC)) {
        c->id = cpu;
        c->ldr = (cpu >> 4) << 16 | 1u << (cpu & 15);
        c->icr = 0;
    }
    if (was & BASE_ENABLE && !(val & BASE_ENABLE)) {
        l->state.cpu[cpu].svr &= ~(u32)SVR_ENABLE;
        lapic_timer_reset(l, cpu);
    }
    if (!(was & BASE_ENABLE) && val & BASE_ENABLE && was & BASE_BSP)
        c->base |= BASE_BSP;
    lapic_update(l, cpu);
    machine_irq_unlock(l->dev.machine);
    if (at != (was & ~(u64)0xfff))
        space_move(machine_memory(l->dev.machine), l->region, at);
    return 0;
}

static u8 lapic_tpr(void *arg, u32 cpu)
{
    return (u8)(((struct lapic *)arg)->state.cpu[cpu].tpr >> 4);
}

static void lapic_tpr_set(void *arg, u32 cpu, u8 val)
{
    struct lapic *l = arg;

    machine_irq_lock(l->dev.machine);
    lapic_tpr_write(l, cpu, (u32)val << 4);
    machine_irq_unlock(l->dev.machine);
}

/* SDM 3A 11.4.7: what INIT puts back; IDs and the base stay.  Under the irq lock. */
static void lapic_init(struct lapic *l, u32 cpu)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];
    u64 base = c->base;
    u32 id = c->id, ldr = lapic_is_x2(c) ? c->ldr : 0;

    lapic_timer_reset(l, cpu);
    *c = (struct lapic_cpu){ .base = base, .id = id, .ldr = ldr, .dfr = ~0u, .svr = 0xff };
    for (u32 i = 0; i < LVT_COUNT; i++)
        c->lvt[i] = LVT_MASKED;
    if (cpu == 0)
        c->lvt[LVT_LINT0] = LVT_EXTINT; /* "virtual wire", as firmware leaves it */
    lapic_update(l, cpu);
}

static void lapic_cpu_reset(void *arg, u32 cpu)
{
    struct lapic *l = arg;

    machine_irq_lock(l->dev.machine);
    lapic_init(l, cpu);
    machine_irq_unlock(l->dev.machine);
}

/* ---- the device ---- */

static u64 lapic_load(struct device *d, u32 off, u32 size)
{
    struct lapic *l = (struct lapic *)d;
    u32 cpu = machine_cpu_here(), val = 0;
    bool x2;

    (void)size;
    machine_irq_lock(d->machine);
    x2 = (l->state.cpu[cpu].base & (BASE_ENABLE | BASE_X2APIC)) != BASE_ENABLE;
    if (x2)
        val = ~0u;
    else if (off & 0xf || !lapic_read(l, cpu, off >> 4, &val))
        lapic_error(l, cpu, ESR_REGISTER);
    machine_irq_unlock(d->machine);
    return val;
}

static void lapic_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct lapic *l = (struct lapic *)d;
    u32 cpu = machine_cpu_here();

    (void)size;
    machine_irq_lock(d->machine);
    if ((l->state.cpu[cpu].base & (BASE_ENABLE | BASE_X2APIC)) == BASE_ENABLE &&
        (off & 0xf || !lapic_write(l, cpu, off >> 4, (u32)val)))
        lapic_error(l, cpu, ESR_REGISTER);
    machine_irq_unlock(d->machine);
}

static void lapic_pic_set(void *sink, u32 pin, bool level)
{
    struct lapic *l = sink;

    (void)pin;
    machine_irq_lock(l->dev.machine);
    l->state.pic = level;
    for (u32 i = 0; i < l->ncpus; i++)
        lapic_update(l, i);
    machine_irq_unlock(l->dev.machine);
}

static int lapic_message(void *arg, u64 addr, u32 data);

static int lapic_create(struct device *d, struct err *e)
{
    struct lapic *l = (struct lapic *)d;
    struct region r = { .name = "lapic",
                        .base = LAPIC_BASE,
                        .len = LAPIC_SIZE,
                        .min = 4,
                        .max = 4,
                        .load = lapic_load,
                        .store = lapic_store,
                        .dev = d,
                        .unlocked = true };
    const struct machine_intc intc = { .arg = l,
                                       .vector = lapic_vector,
                                       .waiting = lapic_waiting,
                                       .base = lapic_base,
                                       .base_set = lapic_base_set,
                                       .tpr = lapic_tpr,
                                       .tpr_set = lapic_tpr_set,
                                       .msr = lapic_msr,
                                       .msr_set = lapic_msr_set,
                                       .cpu_reset = lapic_cpu_reset };

    l->ncpus = machine_cpu_count(d->machine);
    for (u32 i = 0; i < l->ncpus; i++)
        if (timer_new_index(d, lapic_timer_fire, i, &l->timer[i]))
            return err_set(e, -ENOMEM, "no memory for timers");
    if (space_add(machine_memory(d->machine), &r, &l->region, e))
        return -EEXIST;
    machine_input(d->machine, "pic.int", (struct irq){ lapic_pic_set, l, 0 });
    machine_msi_set(d->machine, lapic_message, l);
    machine_intc_set(d->machine, &intc);
    return 0;
}

static void lapic_reset(struct device *d, enum reset kind)
{
    struct lapic *l = (struct lapic *)d;

    (void)kind;
    machine_irq_lock(d->machine);
    for (u32 i = 0; i < l->ncpus; i++) {
        l->state.cpu[i].base = LAPIC_BASE | BASE_ENABLE | (i ? 0 : BASE_BSP);
        l->state.cpu[i].id = i;
        lapic_init(l, i);
    }
    machine_irq_unlock(d->machine);
    space_move(machine_memory(d->machine), l->region, LAPIC_BASE);
}

/* SDM 3A 11.11: an MSI is a write to 0xfeexxxxx. */
static int lapic_message(void *arg, u64 addr, u32 data)
{
    struct lapic *l = arg;
    struct apic_message msg = { .dest = (u32)(addr >> 12 & 0xff),
                                .logical = addr & 4,
                                .mode = (u8)(data >> 8 & 7),
                                .vector = (u8)data,
                                .level = data & 0x8000 };

    if (addr >> 20 != LAPIC_BASE >> 20)
        return -EINVAL;
    if (msg.dest == 0xff && !msg.logical)
        msg.dest = APIC_ALL;
    machine_irq_lock(l->dev.machine);
    lapic_send(&l->dev, &msg);
    machine_irq_unlock(l->dev.machine);
    return 0;
}

static int lapic_check(const struct device *d, struct err *e)
{
    const struct lapic *l = (const struct lapic *)d;

    for (u32 i = 0; i < l->ncpus; i++) {
        const struct lapic_cpu *c = &l->state.cpu[i];

        if ((c->base & (BASE_X2APIC | BASE_ENABLE)) == BASE_X2APIC || c->base >> 46 ||
            c->base & 0x2ff || c->tpr > 0xff || c->svr & ~(u32)SVR_WRITABLE || c->irr[0] & 0xffff ||
            c->isr[0] & 0xffff || c->divide & ~0xbu)
            return err_set(e, -EBADMSG, "CPU %u: no local APIC can be in this state", i);
    }
    return 0;
}

static void lapic_restored(struct device *d)
{
    struct lapic *l = (struct lapic *)d;

    machine_irq_lock(d->machine);
    for (u32 i = 0; i < l->ncpus; i++)
        lapic_update(l, i);
    machine_irq_unlock(d->machine);
    space_move(machine_memory(d->machine), l->region, l->state.cpu[0].base & ~(u64)0xfff);
}

#define CPU struct lapic_cpu
static const struct field cpu_fields[] = {
    FIELD(1, CPU, base, 0, "IA32_APIC_BASE"),
    FIELD(2, CPU, icr, 0, "interrupt command"),
    FIELD(3, CPU, tsc_deadline, 0, "IA32_TSC_DEADLINE"),
    FIELD_TIME(4, CPU, timer_start, 0, "when the timer's count began"),
    FIELD(5, CPU, id, 0, "APIC ID"),
    FIELD(6, CPU, tpr, 0, "task priority"),
    FIELD(7, CPU, ldr, 0, "logical destination"),
    FIELD(8, CPU, dfr, 0, "destination format"),
    FIELD(9, CPU, svr, 0, "spurious vector and enable"),
    FIELD(10, CPU, esr, 0, "errors as last latched"),
    FIELD(11, CPU, esr_new, 0, "errors since"),
    FIELD(12, CPU, initial, 0, "the timer's initial count"),
    FIELD(13, CPU, divide, 0, "the timer's divider"),
    FIELDS(14, CPU, lvt, 0, "local vector table"),
    FIELDS(15, CPU, isr, 0, "in service"),
    FIELDS(16, CPU, tmr, 0, "level triggered"),
    FIELDS(17, CPU, irr, 0, "requests"),
    FIELD(18, CPU, extint, 0, "the PIC is to be asked"),
    FIELD(19, CPU, expired, 0, "the timer waits for a new count"),
    FIELDS(0, CPU, pad, F_LOCAL, "none"),
    FIELD_END
};
static const struct field state[] = {
    FIELD_SUB(1, struct lapic_state, cpu, 0, "by processor", cpu_fields),
    FIELD(2, struct lapic_state, pic, 0, "the PIC asks"),
    FIELDS(0, struct lapic_state, pad, F_LOCAL, "none"), FIELD_END
};

const struct device_class device_lapic = {
    .name = "lapic",
    .about = "the local APICs of all processors: xAPIC, x2APIC, TSC deadline",
    .size = sizeof(struct lapic),
    .state_at = offsetof(struct lapic, state),
    .state_size = sizeof(struct lapic_state),
    .state = state,
    .create = lapic_create,
    .reset = lapic_reset,
    .check = lapic_check,
    .restored = lapic_restored,
};
