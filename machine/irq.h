/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MACHINE_IRQ_H
#define MACHINE_IRQ_H
#include "base/types.h"

/*
 * A wire.  Whoever drives it need not know what is at the other end.  Sinks take the irq
 * lock themselves; a driver may hold its domain.
 *
 * Names of inputs: "isa.0" to "isa.15" (PIC and IOAPIC pins together, as a PC wires them),
 * "gsi.16" to "gsi.23" (IOAPIC alone), "pci.a" to "pci.d" (INTx by the PCI bridge's routing).
 */
struct irq {
    void (*set)(void *sink, u32 pin, bool level);
    void *sink;
    u32 pin;
};
static inline void irq_set(const struct irq *w, bool level)
{
    if (w->set)
        w->set(w->sink, w->pin, level);
}

struct machine;
int msi_send(struct machine *m, u64 addr, u32 data); /* any thread */
#endif
