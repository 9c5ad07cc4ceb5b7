/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_CHIPSET_LAPIC_INT_H
#define DEVICE_CHIPSET_LAPIC_INT_H
#include "device/chipset/irqchip.h"
#include <stdatomic.h>

/* Registers by their number: MMIO offset / 16, MSR - 0x800.  SDM 3A 11.4.1, 11.12.1. */
enum lapic_reg {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR2 = 0x31,
    REG_LVT = 0x32,
    REG_INITIAL = 0x38,
    REG_CURRENT = 0x39,
    REG_DIVIDE = 0x3e,
    REG_SELF = 0x3f,
};
enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };
enum {
    LVT_STATUS = 1 << 12,
    LVT_REMOTE = 1 << 14,
    LVT_LEVEL = 1 << 15,
    LVT_MASKED = 1 << 16,
    TIMER_MODE = 3 << 17,
    TIMER_ONCE = 0 << 17,
    TIMER_PERIODIC = 1 << 17,
    TIMER_DEADLINE = 2 << 17,

    SVR_ENABLE = 1 << 8,
    SVR_WRITABLE = 0x3ff,

    ESR_SEND_ILLEGAL = 1 << 5,
    ESR_RECEIVED_ILLEGAL = 1 << 6,
    ESR_REGISTER = 1 << 7,

    ICR_LOGICAL = 1 << 11,
    ICR_STATUS = 1 << 12,
    ICR_ASSERT = 1 << 14,
    ICR_LEVEL = 1 << 15,

    DIVIDE_WRITABLE = 0xb,

    BASE_BSP = 1 << 8,
    BASE_X2APIC = 1 << 10,
    BASE_ENABLE = 1 << 11,

    LAPIC_CPUS = 64,
};

/* The state stands under the irq lock. */
struct lapic_cpu {
    u64 base; /* IA32_APIC_BASE */
    u64 icr, tsc_deadline;
    i64 timer_start; /* when the count was written, or the period began */
    u32 id;          /* in xAPIC mode; x2APIC: the CPU's number */
    u32 tpr, ldr, dfr, svr, esr, esr_new, initial, divide;
    u32 lvt[LVT_COUNT];
    u32 isr[8], tmr[8], irr[8];
    bool extint;  /* a message: ask the PIC */
    bool expired; /* the timer has counted to its end and waits for a new count */
    u8 pad[10];
};

struct lapic {
    struct device dev;
    struct lapic_state {
        struct lapic_cpu cpu[LAPIC_CPUS];
        bool pic; /* level of pic.int */
        u8 pad[7];
    } state;
    u32 ncpus, last_lowest;
    struct timer *timer[LAPIC_CPUS];
    atomic_bool waits[LAPIC_CPUS]; /* vector() would answer; changes under the irq lock */
    struct device *pic, *ioapic;
    u32 region;
};

static inline bool lapic_is_on(const struct lapic_cpu *c) /* in hardware and software */
{
    return c->base & BASE_ENABLE && c->svr & SVR_ENABLE;
}
static inline bool lapic_is_x2(const struct lapic_cpu *c)
{
    return c->base & BASE_X2APIC;
}

/* lapic.c */
void lapic_update(struct lapic *l, u32 cpu); /* after any change: does something wait now? */
void lapic_accept(struct lapic *l, u32 cpu, u8 vector, bool level);
void lapic_error(struct lapic *l, u32 cpu, u32 bits);
u32 lapic_ppr(const struct lapic_cpu *c);
bool lapic_takes_pic(const struct lapic *l, u32 cpu);

/* lapic_reg.c: false: no such register, or not to be read or written like this */
bool lapic_read(struct lapic *l, u32 cpu, u32 reg, u32 *val);
bool lapic_write(struct lapic *l, u32 cpu, u32 reg, u32 val);
int lapic_msr(void *arg, u32 cpu, u32 msr, u64 *val);
int lapic_msr_set(void *arg, u32 cpu, u32 msr, u64 val);
void lapic_tpr_write(struct lapic *l, u32 cpu, u32 val);
u32 lapic_lvt_writable(u32 i);

/* lapic_timer.c */
void lapic_timer_fire(struct device *d, u32 cpu);
void lapic_timer_start(struct lapic *l, u32 cpu);        /* initial count was written */
void lapic_timer_lvt(struct lapic *l, u32 cpu, u32 was); /* the LVT was */
void lapic_timer_divide(struct lapic *l, u32 cpu, u32 val);
void lapic_timer_reset(struct lapic *l, u32 cpu);
void lapic_timer_again(struct lapic *l, u32 cpu); /* registers and deadline were put as they are */
i64 lapic_timer_ns(const struct lapic_cpu *c, u32 counts);
u32 lapic_timer_current(const struct lapic *l, u32 cpu);
void lapic_deadline_set(struct lapic *l, u32 cpu, u64 val);

/* lapic_ipi.c */
void lapic_ipi(struct lapic *l, u32 cpu, u64 icr);
#endif
