/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_CHIPSET_IRQCHIP_H
#define DEVICE_CHIPSET_IRQCHIP_H
#include "machine/machine.h"

/*
 * What the interrupt controllers of a PC know of each other.  Their state stands under the
 * irq lock, which the caller of all these holds.
 *
 * "pic.int" is the wire from the PIC pair's INT to LINT0 of the processors and pin 0 of the
 * IOAPIC.
 */
enum apic_mode {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_STARTUP = 6,
    APIC_EXTINT = 7,
};

struct apic_message {
    u32 dest; /* APIC_ALL: everybody */
    bool logical;
    u8 mode; /* enum apic_mode */
    u8 vector;
    bool level; /* level triggered */
};
#define APIC_ALL 0xffffffffu

/* pic.c: INTA: a vector, acknowledged; a spurious one when nothing waits any more. */
u8 pic_acknowledge(struct device *d);
/* ioapic.c: a level-triggered interrupt with this vector has ended. */
void ioapic_eoi(struct device *d, u8 vector);
/* lapic.c: from the IOAPIC and MSI. */
void lapic_send(struct device *d, const struct apic_message *msg);
/*
 * Has an edge at this pin of the IOAPIC, or at the PIC's where the PC wires them together, still
 * to be taken by a processor?  Another one now would be lost.  Not where nobody would take it.
 */
bool irqchip_waits(struct machine *m, u32 pin); /* ioapic.c; no irq lock held */
/* ns: how old edges may become that wait to be given, and when one is tried again at the latest */
enum { IRQCHIP_OWED_NS = 1000000000, IRQCHIP_AGAIN_NS = 2000000 };
bool pic_waits(struct device *d, u32 line);
bool lapic_waits(struct device *d, const struct apic_message *msg);

/*
 * The way of their state to whoever keeps the chips for now (machine.h) and back.  VM thread,
 * vCPUs parked.  get: what is to go there; put: what came back, machine_chips not set any more.
 * gone, after machine_chips_set: nothing is due here; what was told at the wires is told again
 * there.  Domain of the chipset, then the irq lock held.
 */
void lapic_chip_get(struct device *d, u32 cpu, struct chip_apic *a);
void lapic_chip_put(struct device *d, u32 cpu, const struct chip_apic *a);
void lapic_chip_gone(struct device *d);
void lapic_chip_back(struct device *d); /* all were put */
void ioapic_chip_get(const struct device *d, struct chip_ioapic *c);
void ioapic_chip_put(struct device *d, const struct chip_ioapic *c);
void ioapic_chip_gone(struct device *d);
void pic_chip_get(const struct device *d, struct chip_pic c[2]);
void pic_chip_put(struct device *d, const struct chip_pic c[2]);
void pit_chip_get(const struct device *d, struct chip_pc *c);
void pit_chip_put(struct device *d, const struct chip_pc *c);
void pit_chip_gone(struct device *d);

/* lapic_move.c: the MSI that is this message. */
void lapic_msi(const struct apic_message *msg, u64 *addr, u32 *data);
#endif
