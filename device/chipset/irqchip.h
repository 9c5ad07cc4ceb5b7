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
#endif
