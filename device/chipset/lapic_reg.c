/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Registers of the local APIC, by MMIO and as MSRs.  Intel SDM 3A 11.4, 11.12. */
#include "device/chipset/lapic_int.h"
#include <errno.h>

enum {
    VERSION = 0x14 | (LVT_COUNT - 1) << 16,
    MSR_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800,
    ICR_RESERVED = 0xfff32000, /* of the low half, in x2APIC mode */
};
static const u32 lvt_writable[LVT_COUNT] = {
    [LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
};

u32 lapic_lvt_writable(u32 i)
{
    return lvt_writable[i];
}

static u32 lapic_apr(const struct lapic_cpu *c)
{
    u32 irr = 0, ppr = lapic_ppr(c);

    for (u32 v = 0; v < 256; v++)
        if (c->irr[v / 32] >> (v & 31) & 1)
            irr = v;
    return (c->tpr >> 4) >= (irr >> 4) && (c->tpr >> 4) > (ppr >> 4)
               ? c->tpr
               : (ppr > irr ? ppr : irr) & 0xf0;
}

bool lapic_read(struct lapic *l, u32 cpu, u32 reg, u32 *val)
{
    const struct lapic_cpu *c = &l->state.cpu[cpu];
    bool x2 = lapic_is_x2(c);

    if (reg >= REG_ISR && reg < REG_ESR) {
        const u32 *bits = reg < REG_TMR ? c->isr : reg < REG_IRR ? c->tmr : c->irr;

        *val = bits[reg & 7];
        return true;
    }
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
        *val = c->lvt[reg - REG_LVT];
        return true;
    }
    switch (reg) {
    case REG_ID:
        *val = x2 ? cpu : c->id << 24;
        return true;
    case REG_VERSION:
        *val = VERSION;
        return true;
    case REG_TPR:
        *val = c->tpr;
        return true;
    case REG_APR:
        *val = lapic_apr(c);
        return !x2;
    case REG_PPR:
        *val = lapic_ppr(c);
        return true;
    case REG_EOI:
    case 0x0c: /* remote read: there is none */
        *val = 0;
        return !x2;
    case REG_LDR:
        *val = c->ldr;
        return true;
    case REG_DFR:
        *val = c->dfr;
        return !x2;
    case REG_SVR:
        *val = c->svr;
        return true;
    case REG_ESR:
        *val = c->esr;
        return true;
    case REG_ICR:
        *val = (u32)c->icr;
        return true;
    case REG_ICR2:
        *val = (u32)(c->icr >> 32);
        return !x2;
    case REG_INITIAL:
        *val = c->initial;
        return true;
    case REG_CURRENT:
        *val = lapic_timer_current(l, cpu);
        return true;
    case REG_DIVIDE:
        *val = c->divide;
        return true;
    }
    return false;
}

static void lapic_eoi(struct lapic *l, u32 cpu)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];

    for (int i = 7; i >= 0; i--) {
        u32 v, bit;

        if (!c->isr[i])
            continue;
        bit = 31 - (u32)__builtin_clz(c->isr[i]);
        v = (u32)i * 32 + bit;
        c->isr[i] &= ~(1u << bit);
        if (c->tmr[i] >> bit & 1) {
            if (!l->ioapic)
                l->ioapic = machine_device(l->dev.machine, "ioapic");
            if (l->ioapic)
                ioapic_eoi(l->ioapic, (u8)v);
        }
        break;
    }
    lapic_update(l, cpu);
}

void lapic_tpr_write(struct lapic *l, u32 cpu, u32 val)
{
    l->state.cpu[cpu].tpr = val & 0xff;
    lapic_update(l, cpu);
}

static void lapic_svr_write(struct lapic *l, u32 cpu, u32 val)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];

    c->svr = val & SVR_WRITABLE;
    if (!(c->svr & SVR_ENABLE))
        for (u32 i = 0; i < LVT_COUNT; i++)
            c->lvt[i] |= LVT_MASKED;
    lapic_update(l, cpu);
}

static void lapic_lvt_write(struct lapic *l, u32 cpu, u32 i, u32 val)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];
    u32 was = c->lvt[i];

    c->lvt[i] = val & lvt_writable[i];
    if (!(c->svr & SVR_ENABLE))
        c->lvt[i] |= LVT_MASKED;
    if (i == LVT_TIMER)
        lapic_timer_lvt(l, cpu, was);
    lapic_update(l, cpu);
}

bool lapic_write(struct lapic *l, u32 cpu, u32 reg, u32 val)
{
    struct lapic_cpu *c = &l->state.cpu[cpu];

    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT) {
        lapic_lvt_write(l, cpu, reg - REG_LVT, val);
        return true;
    }
    switch (reg) {
    case REG_EOI:
        lapic_eoi(l, cpu);
        return true;
    case REG_TPR:
        lapic_tpr_write(l, cpu, val);
        return true;
    case REG_ICR:
        c->icr = (c->icr & ~(u64)0xffffffff) | (val & ~(u32)ICR_STATUS);
        lapic_ipi(l, cpu, c->icr);
        return true;
    case REG_INITIAL:
        if ((c->lvt[LVT_TIMER] & TIMER_MODE) != TIMER_DEADLINE) {
            c->initial = val;
            lapic_timer_start(l, cpu);
        }
        return true;
    case REG_DIVIDE:
        lapic_timer_divide(l, cpu, val & DIVIDE_WRITABLE);
        return true;
    case REG_SVR:
        lapic_svr_write(l, cpu, val);
        return true;
    case REG_ESR:
        c->esr = c->esr_new;
        c->esr_new = 0;
        return true;
    }
    if (lapic_is_x2(c))
        return false;
    switch (reg) {
    case REG_ID:
        c->id = val >> 24;
        return true;
    case REG_LDR:
        c->ldr = val & 0xff000000;
        return true;
    case REG_DFR:
        c->dfr = val | 0x0fffffff;
        return true;
    case REG_ICR2:
        c->icr = (u32)c->icr | (u64)(val & 0xff000000) << 32;
        return true;
    case REG_VERSION:
    case REG_APR:
    case REG_PPR:
    case REG_CURRENT:
        return true; /* read only, quietly */
    }
    return false;
}

/* ---- as MSRs ---- */

int lapic_msr(void *arg, u32 cpu, u32 msr, u64 *val)
{
    struct lapic *l = arg;
    struct lapic_cpu *c = &l->state.cpu[cpu];
    u32 low = 0;
    bool ok = true;

    machine_irq_lock(l->dev.machine);
    if (msr == MSR_DEADLINE) {
        *val = c->tsc_deadline;
    } else if (!lapic_is_x2(c)) {
        ok = false;
    } else if (msr == MSR_X2APIC + REG_ICR) {
        *val = c->icr;
    } else {
        ok = lapic_read(l, cpu, msr - MSR_X2APIC, &low);
        *val = low;
    }
    machine_irq_unlock(l->dev.machine);
    return ok ? 0 : -EINVAL;
}

/* Bits that are not there are faults in x2APIC mode.  SDM 3A 11.12.1.2 */
static bool lapic_msr_allows(u32 reg, u64 val)
{
    if (reg >= REG_LVT && reg < REG_LVT + LVT_COUNT)
        return !(val & ~(u64)(lvt_writable[reg - REG_LVT] | LVT_STATUS | LVT_REMOTE));
    switch (reg) {
    case REG_TPR:
    case REG_SELF:
        return val <= 0xff;
    case REG_EOI:
    case REG_ESR:
        return val == 0;
    case REG_SVR:
        return !(val & ~(u64)SVR_WRITABLE);
    case REG_ICR:
        return !(val & ICR_RESERVED & ~(u64)ICR_STATUS);
    case REG_INITIAL:
        return val <= 0xffffffff;
    case REG_DIVIDE:
        return !(val & ~(u64)DIVIDE_WRITABLE);
    }
    return false;
}

int lapic_msr_set(void *arg, u32 cpu, u32 msr, u64 val)
{
    struct lapic *l = arg;
    struct lapic_cpu *c = &l->state.cpu[cpu];
    u32 reg = msr - MSR_X2APIC;
    bool ok = true;

    machine_irq_lock(l->dev.machine);
    if (msr == MSR_DEADLINE) {
        lapic_deadline_set(l, cpu, val);
    } else if (!lapic_is_x2(c) || !lapic_msr_allows(reg, val)) {
        ok = false;
    } else if (reg == REG_ICR) {
        c->icr = val & ~(u64)ICR_STATUS;
        lapic_ipi(l, cpu, c->icr);
    } else if (reg == REG_SELF) {
        lapic_accept(l, cpu, (u8)val, false);
    } else {
        ok = lapic_write(l, cpu, reg, (u32)val);
    }
    machine_irq_unlock(l->dev.machine);
    return ok ? 0 : -EINVAL;
}
