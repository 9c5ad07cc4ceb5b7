/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages to local APICs: from each other, the IOAPIC and MSI.  Intel SDM 3A 11.6, 11.7. */
#include "device/chipset/lapic_int.h"

enum { SHORT_NONE, SHORT_SELF, SHORT_ALL, SHORT_OTHERS, DFR_FLAT = 0xf };

static bool lapic_is_dest(const struct lapic *l, u32 cpu, const struct apic_message *msg)
{
    const struct lapic_cpu *c = &l->state.cpu[cpu];
    u32 dest = msg->dest;

    if (dest == APIC_ALL)
        return true;
    if (!msg->logical)
        return dest == (lapic_is_x2(c) ? cpu : c->id);
    if (lapic_is_x2(c))
        return dest >> 16 == c->ldr >> 16 && (u16)dest & (u16)c->ldr;
    if (c->dfr >> 28 == DFR_FLAT)
        return dest & c->ldr >> 24 & 0xff;
    return (dest >> 4 == c->ldr >> 28 || dest >> 4 == 0xf) && dest & c->ldr >> 24 & 0xf;
}

static void lapic_deliver(struct lapic *l, u32 cpu, const struct apic_message *msg)
{
    const struct machine_cpus *cpus = machine_cpus(l->dev.machine);
    struct lapic_cpu *c = &l->state.cpu[cpu];

    switch (msg->mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        lapic_accept(l, cpu, msg->vector, msg->level);
        break;
    case APIC_NMI:
        if (cpus->nmi)
            cpus->nmi(cpus->arg, cpu);
        break;
    case APIC_INIT:
        if (cpus->init)
            cpus->init(cpus->arg, cpu);
        break;
    case APIC_STARTUP:
        if (cpus->startup)
            cpus->startup(cpus->arg, cpu, msg->vector);
        break;
    case APIC_EXTINT:
        c->extint = true;
        lapic_update(l, cpu);
        break;
    }
}

/* The one with the lowest priority; among equals, the one after the last chosen. */
static void lapic_deliver_lowest(struct lapic *l, const struct apic_message *msg)
{
    u32 best = l->ncpus, best_ppr = 0x100;

    for (u32 n = 1; n <= l->ncpus; n++) {
        u32 i = (l->last_lowest + n) % l->ncpus, ppr;

        if (!lapic_is_on(&l->state.cpu[i]) || !lapic_is_dest(l, i, msg))
            continue;
        ppr = lapic_ppr(&l->state.cpu[i]) >> 4;
        if (ppr < best_ppr) {
            best = i;
            best_ppr = ppr;
        }
    }
    if (best == l->ncpus)
        return;
    l->last_lowest = best;
    lapic_deliver(l, best, msg);
}

void lapic_send(struct device *d, const struct apic_message *msg)
{
    struct lapic *l = (struct lapic *)d;
    const struct machine_chips *k = machine_chips(d->machine);
    u64 addr;
    u32 data;

    if (k) {
        lapic_msi(msg, &addr, &data);
        k->msi(k->arg, addr, data);
        return;
    }
    if (msg->mode == APIC_LOWEST) {
        lapic_deliver_lowest(l, msg);
        return;
    }
    for (u32 i = 0; i < l->ncpus; i++)
        if (lapic_is_dest(l, i, msg))
            lapic_deliver(l, i, msg);
}

bool lapic_waits(struct device *d, const struct apic_message *msg)
{
    const struct lapic *l = (struct lapic *)d;

    for (u32 i = 0; i < l->ncpus; i++) {
        const struct lapic_cpu *c = &l->state.cpu[i];

        if (msg->mode == APIC_EXTINT ? lapic_takes_pic(l, i)
                                     : (msg->mode == APIC_FIXED || msg->mode == APIC_LOWEST) &&
                                           lapic_is_on(c) && lapic_is_dest(l, i, msg) &&
                                           c->irr[msg->vector / 32] >> (msg->vector & 31) & 1)
            return true;
    }
    return false;
}

void lapic_ipi(struct lapic *l, u32 cpu, u64 icr)
{
    const struct lapic_cpu *c = &l->state.cpu[cpu];
    struct apic_message msg = { .dest = lapic_is_x2(c) ? (u32)(icr >> 32) : (u32)(icr >> 56),
                                .logical = icr & ICR_LOGICAL,
                                .mode = (u8)(icr >> 8 & 7),
                                .vector = (u8)icr };
    u32 shorthand = (u32)(icr >> 18 & 3);

    if (msg.mode == APIC_INIT && (icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
        return; /* "INIT level de-assert": only old processors took note */
    if ((msg.mode == APIC_FIXED || msg.mode == APIC_LOWEST) && msg.vector < 16) {
        lapic_error(l, cpu, ESR_SEND_ILLEGAL);
        return;
    }
    if (!lapic_is_x2(c) && msg.dest == 0xff && !msg.logical)
        msg.dest = APIC_ALL;
    if (shorthand == SHORT_NONE) {
        lapic_send(&l->dev, &msg);
        return;
    }
    for (u32 i = 0; i < l->ncpus; i++)
        if (i == cpu ? shorthand != SHORT_OTHERS : shorthand != SHORT_SELF)
            lapic_deliver(l, i, &msg);
}
