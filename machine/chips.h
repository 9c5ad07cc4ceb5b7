/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MACHINE_CHIPS_H
#define MACHINE_CHIPS_H
#include "base/types.h"

/*
 * The registers of a PC's interrupt controllers and timer as data.  An engine may keep these
 * chips itself while vCPUs run; whenever the machine stands their state is in the devices of
 * device/chipset/, and moves between the two in this form.
 */
enum { CHIP_APIC_PAGE = 0x400, CHIP_PINS = 24, CHIP_COUNTERS = 3 };

struct chip_apic {
    u64 base, deadline;      /* IA32_APIC_BASE, IA32_TSC_DEADLINE */
    u8 regs[CHIP_APIC_PAGE]; /* as the xAPIC shows them (SDM 3A 11.4.1), each in 16 bytes */
    bool waits;              /* the processor waits for a start-up IPI */
    bool started;            /* ... and one is on its way, to `page` */
    u8 page;
};

struct chip_pic { /* one of the two */
    u8 irr, isr, imr, lines, base, elcr;
    u8 highest; /* the IR with the highest priority */
    u8 step;    /* the ICW that comes next: 0 none, 2 3 4 */
    bool want4, auto_eoi, rotate_auto, nested, special_mask, poll, read_isr;
};

struct chip_ioapic {
    u64 table[CHIP_PINS];
    u32 lines; /* levels of the pins */
    u8 select, id;
};

struct chip_counter { /* of the timer */
    u32 count;        /* 1 to 65536 */
    u16 latch;
    u8 mode, access;         /* access: 1 low, 2 high, 3 both */
    u8 status, low, latched; /* low: the first byte of two; latched: bytes still to read */
    bool bcd, status_latched, write_high, read_high, gate, loaded, pending;
    i64 age; /* ns since it began to count */
};

struct chip_pc {
    struct chip_pic pic[2];
    struct chip_ioapic ioapic;
    struct chip_counter counter[CHIP_COUNTERS];
    bool pit_off; /* the HPET stands in for counter 0 */
    u8 port61;
};

/* A pin of the IOAPIC whose end of interrupt is to be told: the message that it sends. */
struct chip_pin {
    u32 pin;
    u64 addr;
    u32 data;
};

/* Where stores do nothing but ring a bell; whoever runs the vCPUs may ring it without asking. */
struct bell_place {
    u64 at;    /* ~0: out of sight */
    bool port; /* a port, not memory */
    u8 size;   /* of the store; 0: any */
    bool match;
    u32 val; /* match: only stores of this */
};
#endif
