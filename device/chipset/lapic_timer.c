/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local APIC's timer.  Intel SDM 3A 11.5.4.
 *
 * Its clock runs at 1 GHz: a count is a nanosecond times the divider.  Reads are exact;
 * periods under 20 us fire less often than the guest asks for.
 */
#include "device/chipset/lapic_int.h"

enum { PERIOD_MIN_NS = 20000 };

/* Bits 0, 1 and 3 of the register: 0 divides by 2 ... 6 by 128, 7 by 1. */
static u32 lapic_divider(const struct lapic_cpu *c)
{
    u32 n = (c->divide & 3) | (c->divide >> 1 & 4);

    return 1u << ((n + 1) & 7);
}

i64 lapic_timer_ns(const struct lapic_cpu *c, u32 counts)
{
    return (i64)counts * lapic_divider(c);
}

static i64 lapic_period(const struct lapic_cpu *c)
{
    return lapic_timer_ns(c, c->initial);
}

static void lapic_timer_raise(struct lapic *l, u32 cpu)
{
    u32 lvt = l->state.cpu[cpu].lvt[LVT_TIMER];

    if (!(lvt & LVT_MASKED))
        lapic_accept(l, cpu, (u8)lvt, false);
}

/* Sets the timer for what comes next by mode and count. */
static void lapic_timer_arm(struct lapic *l, u32 cpu)
{
    const struct lapic_cpu *c = &l->state.cpu[cpu];
    i64 now = machine_now(l->dev.machine), period = lapic_period(c), at = c->timer_start + period;

    switch (c->expired ? TIMER_MODE : c->lvt[LVT_TIMER] & TIMER_MODE) {
    case TIMER_PERIODIC:
        if (period && at <= now)
            at += (now - at) / period * period + period;
        if (period && period < PERIOD_MIN_NS && at < now + PERIOD_MIN_NS)
            at = now + PERIOD_MIN_NS;
        break;
    case TIMER_ONCE: /* one whose time has come already, on a busy host, is due at once */
        break;
    default:
        period = 0;
    }
    if (period)
        timer_set(l->timer[cpu], at);
    else
        timer_stop(l->timer[cpu]);
}

void lapic_timer_start(struct lapic *l, u32 cpu)
{
    l->state.cpu[cpu].timer_start = machine_now(l->dev.machine);
    l->state.cpu[cpu].expired = false;
    lapic_timer_arm(l, cpu);
}

u32 lapic_timer_current(const struct lapic *l, u32 cpu)
{
    const struct lapic_cpu *c = &l->state.cpu[cpu];
    u64 gone = (u64)(machine_now(l->dev.machine) - c->timer_start) / lapic_divider(c);

    if (!c->initial || c->expired || (c->lvt[LVT_TIMER] & TIMER_MODE) == TIMER_DEADLINE)
        return 0;
    if ((c->lvt[LVT_TIMER] & TIMER_MODE) == TIMER_PERIODIC)
        return c->initial - (u32)(gone % c->initial);
    return gone >= c->initial ? 0 : c->initial - (u32)gone;
}

/* The count goes on from where it is, at the new speed. */
void lapic_timer_divide(struct lapic *l, u32 cpu, u32 val)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];
    u32 current = lapic_timer_current(l, cpu);

    c->divide = val;
    if (!c->initial || !current)
        return;
    c->timer_start = machine_now(l->dev.machine) - (i64)(c->initial - current) * lapic_divider(c);
    lapic_timer_arm(l, cpu);
}

/* The count goes on in the new mode; one that has ended waits for a new one. */
void lapic_timer_lvt(struct lapic *l, u32 cpu, u32 was)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];
    i64 gone = machine_now(l->dev.machine) - c->timer_start, period = lapic_period(c);

    if (!((was ^ c->lvt[LVT_TIMER]) & TIMER_MODE))
        return;
    if (period && gone >= period) {
        if ((was & TIMER_MODE) == TIMER_PERIODIC)
            c->timer_start += gone / period * period;
        else
            c->expired = true;
    }
    if ((was & TIMER_MODE) == TIMER_DEADLINE || c->lvt[LVT_TIMER] & TIMER_DEADLINE) {
        c->initial = 0;
        c->tsc_deadline = 0;
    }
    lapic_timer_arm(l, cpu);
}

void lapic_timer_reset(struct lapic *l, u32 cpu)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];

    c->initial = 0;
    c->tsc_deadline = 0;
    timer_stop(l->timer[cpu]);
}

static void lapic_deadline_hit(struct lapic *l, u32 cpu)
{
    l->state.cpu[cpu].tsc_deadline = 0;
    lapic_timer_raise(l, cpu);
}

/* SDM 3A 11.5.4.1: a write in another mode is ignored, one of 0 disarms. */
void lapic_deadline_set(struct lapic *l, u32 cpu, u64 val)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];

    if ((c->lvt[LVT_TIMER] & TIMER_MODE) != TIMER_DEADLINE)
        return;
    c->tsc_deadline = val;
    if (!val) {
        timer_stop(l->timer[cpu]);
    } else if (val <= machine_tsc(l->dev.machine)) {
        timer_stop(l->timer[cpu]);
        lapic_deadline_hit(l, cpu);
    } else {
        timer_set(l->timer[cpu], machine_tsc_to_ns(l->dev.machine, val));
    }
}

void lapic_timer_again(struct lapic *l, u32 cpu)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];
    u64 deadline = c->tsc_deadline;

    if ((c->lvt[LVT_TIMER] & TIMER_MODE) != TIMER_DEADLINE)
        lapic_timer_arm(l, cpu);
    else if (deadline)
        timer_set(l->timer[cpu], machine_tsc_to_ns(l->dev.machine, deadline));
    else
        timer_stop(l->timer[cpu]);
}

void lapic_timer_fire(struct device *d, u32 cpu)
{
    struct lapic *l = (struct lapic *)d;
    struct lapic_cpu *c = &l->state.cpu[cpu];
    i64 now;

    machine_irq_lock(d->machine);
    now = machine_now(d->machine);
    switch (c->lvt[LVT_TIMER] & TIMER_MODE) {
    case TIMER_PERIODIC:
        if (c->initial && now >= c->timer_start + lapic_period(c)) {
            c->timer_start += (now - c->timer_start) / lapic_period(c) * lapic_period(c);
            lapic_timer_raise(l, cpu);
        }
        lapic_timer_arm(l, cpu);
        break;
    case TIMER_ONCE:
        if (c->initial && now >= c->timer_start + lapic_period(c)) {
            c->expired = true;
            lapic_timer_raise(l, cpu);
        } else {
            lapic_timer_arm(l, cpu);
        }
        break;
    default:
        if (c->tsc_deadline && c->tsc_deadline <= machine_tsc(d->machine))
            lapic_deadline_hit(l, cpu);
        else if (c->tsc_deadline)
            timer_set(l->timer[cpu], machine_tsc_to_ns(d->machine, c->tsc_deadline));
    }
    machine_irq_unlock(d->machine);
}
