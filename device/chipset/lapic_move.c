/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Local APICs that whoever runs the processors keeps for now: their state on its way there and
 * back, and messages to them as MSIs.  Intel SDM 3A 11.4.1, 11.11.
 */
#include "base/bytes.h"
#include "device/chipset/lapic_int.h"
#include <string.h>

enum { PAGE_STEP = 16, MSI_BASE = 0xfee00000u };

void lapic_msi(const struct apic_message *msg, u64 *addr, u32 *data)
{
    u32 dest = msg->dest == APIC_ALL ? 0xff : msg->dest & 0xff;

    *addr = MSI_BASE | dest << 12 | (msg->logical ? 4 : 0);
    *data = msg->vector | (u32)msg->mode << 8 | (msg->level ? 0xc000u : 0x4000u);
}

static u32 move_get(const struct chip_apic *a, u32 reg)
{
    return le32(a->regs + PAGE_STEP * reg);
}

static void move_put(struct chip_apic *a, u32 reg, u32 val)
{
    put_le32(a->regs + PAGE_STEP * reg, val);
}

void lapic_chip_get(struct device *d, u32 cpu, struct chip_apic *a)
{
    struct lapic *l = (struct lapic *)d;
    const struct lapic_cpu *c = &l->state.cpu[cpu];

    memset(a, 0, sizeof(*a));
    a->base = c->base;
    a->deadline = c->tsc_deadline;
    for (u32 i = 0; i < 8; i++) {
        move_put(a, REG_ISR + i, c->isr[i]);
        move_put(a, REG_TMR + i, c->tmr[i]);
        move_put(a, REG_IRR + i, c->irr[i]);
    }
    for (u32 i = 0; i < LVT_COUNT; i++)
        move_put(a, REG_LVT + i, c->lvt[i]);
    move_put(a, REG_ID, (lapic_is_x2(c) ? cpu : c->id) << 24);
    move_put(a, REG_TPR, c->tpr);
    move_put(a, REG_LDR, c->ldr);
    move_put(a, REG_DFR, c->dfr);
    move_put(a, REG_SVR, c->svr);
    move_put(a, REG_ESR, c->esr);
    move_put(a, REG_ICR, (u32)c->icr);
    move_put(a, REG_ICR2, (u32)(c->icr >> 32));
    move_put(a, REG_INITIAL, c->initial);
    move_put(a, REG_CURRENT, lapic_timer_current(l, cpu));
    move_put(a, REG_DIVIDE, c->divide);
}

/* What it counts goes on from the current count. */
static void move_timer(struct lapic *l, u32 cpu, u32 current)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];
    bool once = (c->lvt[LVT_TIMER] & TIMER_MODE) == TIMER_ONCE;

    c->timer_start = machine_now(l->dev.machine);
    c->expired = once && c->initial && !current;
    if (current && current <= c->initial)
        c->timer_start -= lapic_timer_ns(c, c->initial - current);
    lapic_timer_again(l, cpu);
}

void lapic_chip_put(struct device *d, u32 cpu, const struct chip_apic *a)
{
    struct lapic *l = (struct lapic *)d;
    struct lapic_cpu *c = &l->state.cpu[cpu];
    bool x2 = a->base & BASE_X2APIC;

    *c = (struct lapic_cpu){ .base = a->base,
                             .tsc_deadline = a->deadline,
                             .id = x2 ? cpu : move_get(a, REG_ID) >> 24,
                             .tpr = move_get(a, REG_TPR) & 0xff,
                             .ldr = move_get(a, REG_LDR),
                             .dfr = x2 ? ~0u : move_get(a, REG_DFR),
                             .svr = move_get(a, REG_SVR) & SVR_WRITABLE,
                             .esr = move_get(a, REG_ESR),
                             .icr = (u64)move_get(a, REG_ICR2) << 32 | move_get(a, REG_ICR),
                             .initial = move_get(a, REG_INITIAL),
                             .divide = move_get(a, REG_DIVIDE) & DIVIDE_WRITABLE };
    c->icr &= ~(u64)ICR_STATUS;
    for (u32 i = 0; i < 8; i++) {
        c->isr[i] = move_get(a, REG_ISR + i);
        c->tmr[i] = move_get(a, REG_TMR + i);
        c->irr[i] = move_get(a, REG_IRR + i);
    }
    c->isr[0] &= ~0xffffu;
    c->irr[0] &= ~0xffffu;
    for (u32 i = 0; i < LVT_COUNT; i++)
        c->lvt[i] = move_get(a, REG_LVT + i) & lapic_lvt_writable(i);
    move_timer(l, cpu, move_get(a, REG_CURRENT));
}

void lapic_chip_gone(struct device *d)
{
    struct lapic *l = (struct lapic *)d;

    for (u32 i = 0; i < l->ncpus; i++) {
        timer_stop(l->timer[i]);
        lapic_update(l, i);
    }
}

void lapic_chip_back(struct device *d)
{
    struct lapic *l = (struct lapic *)d;

    for (u32 i = 0; i < l->ncpus; i++)
        lapic_update(l, i);
}
