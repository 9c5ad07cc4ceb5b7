/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H
#include "machine/chips.h"
#include "machine/device.h"

/*
 * The empty PC: RAM, two address spaces, wires, a clock, and the devices plugged in.  The
 * VM thread makes it and runs its loop; see machine/device.h for what devices may call.
 */
struct machine;

/* What the machine asks of whoever runs its vCPUs.  Any thread; must not block. */
struct machine_cpus {
    void *arg;
    void (*kick)(void *arg, u32 cpu); /* look at the interrupt controllers again */
    void (*nmi)(void *arg, u32 cpu);
    void (*hold)(void *arg, u32 cpu); /* in its thread: it runs nothing more until it is parked */
    void (*init)(void *arg, u32 cpu); /* INIT IPI */
    void (*startup)(void *arg, u32 cpu, u8 page); /* SIPI */
    void (*forget)(void *arg, u64 gpa, u64 len);  /* RAM there was written by a device */
    int (*slots)(void *arg);                      /* the map of memory slots has changed */
    /* stores there may write to the eventfd fd instead, from now on or no longer; NULL, or an
     * error: they come as others do.  Must not wait for vCPUs */
    int (*bell)(void *arg, const struct bell_place *p, int fd, bool on);
};

/* What the local APICs' timers count before their divider; told in CPUID too. */
enum { MACHINE_BUS_HZ = 1000000000 };

enum machine_event { MACHINE_POWEROFF, MACHINE_RESET, MACHINE_EXIT, MACHINE_SLEEP, MACHINE_WAKE };

struct machine_make {
    u64 ram;         /* bytes; a multiple of 1 MiB, at least 1 MiB */
    u32 cpus;        /* 1 to 64 */
    u64 tsc_hz;      /* what the guest's TSC counts */
    u32 slow;        /* guest time and TSC run 2^slow times slower than the host's */
    bool no_irqchip; /* tests only */
    bool manual;     /* tests only: the caller turns the clock and runs the lane's loop */
};

int machine_new(struct machine **m, const struct machine_make *how, struct err *e);
/*
 * The end, vCPUs gone: machine_clear pauses and destroys the devices, last made first; then
 * their host ends are closed; then machine_free.
 */
void machine_clear(struct machine *m);
void machine_free(struct machine *m);
void machine_cpus_set(struct machine *m, const struct machine_cpus *cpus);
const struct machine_cpus *machine_cpus(const struct machine *m);
struct loop *machine_loop(struct machine *m); /* the VM thread's */
struct loop *machine_lane(struct machine *m); /* the I/O thread's: host ends are opened on it */
u32 machine_cpu_count(const struct machine *m);
u64 machine_ram_size(const struct machine *m);
u64 machine_tsc_hz(const struct machine *m);

/* Which vCPU's thread is this?  Set once by each vCPU thread; 0 elsewhere. */
void machine_cpu_here_set(u32 cpu);
u32 machine_cpu_here(void);

void machine_reset(struct machine *m, enum reset kind); /* VM thread, vCPUs parked */
void machine_pause(struct machine *m);                  /* stops the clock and every device */
void machine_resume(struct machine *m);
void machine_clock_advance(struct machine *m, i64 ns); /* manual: timers run on the way */

/*
 * For who answers a guest's clock, on a vCPU's thread, no lock held.  late: something was due so
 * long before now that it must happen first; open: the vCPU takes interrupts, so those owed count
 * too.  wait: until a timer has fired, at most ns of the host's time.
 */
bool machine_clock_late(const struct machine *m, bool open);
void machine_clock_wait(struct machine *m, i64 ns);

/*
 * What every part of the machine holds but for memory, as bytes: the clock, and each device
 * with its state, timers, wires, bells and what its bus keeps.  VM thread, machine paused.
 * A load wants the machine made alike, just made or reset; after an error it is good for
 * nothing but machine_free.
 */
int machine_save(struct machine *m, struct buf *to, struct err *e);
int machine_load(struct machine *m, struct span from, struct err *e);

/* The memories: RAM first, then those of devices.  Answers how many there are. */
struct machine_block {
    char name[72]; /* "ram", "vga vram": unique */
    u8 *p;
    u64 len;
};
u32 machine_blocks(struct machine *m, struct machine_block *b, u32 room);

/*
 * RAM of a saved VM, at the same host address; VM thread, nothing runs.  First all of it is zero.
 * Then bytes from `at` on are a private mapping of the file fd from `off` on: these pages are
 * apart, struct machine_slot.  The last call tells the engine.
 */
int machine_ram_clear(struct machine *m, struct err *e);
int machine_ram_over(struct machine *m, u64 at, u64 len, int fd, u64 off, struct err *e);
void machine_ram_ready(struct machine *m);
/* Any thread: this page is to be apart no longer.  False: it is not, or cannot be helped. */
bool machine_ram_want(struct machine *m, u64 gpa);
/* VM thread, everything stands: those that are wanted are in RAM's file from now on. */
void machine_ram_share(struct machine *m);

/* What a bus keeps for a device: save adds nothing for one that is not on it.  In the saved
 * state the first four letters of the bus's name stand for it. */
int machine_bus_state(struct machine *m, const char *bus,
                      int (*save)(const struct device *d, struct buf *to),
                      int (*load)(struct device *d, struct span from, struct err *e));

/* A device asks: power off, reset, exit with a code (test device), sleep, wake.  Any thread; the
 * vCPU that asks to sleep stops at once. */
void machine_ask(struct machine *m, enum machine_event what, u32 code);
void machine_on_ask(struct machine *m, void (*fn)(void *arg, enum machine_event what, u32 code),
                    void *arg); /* fn runs on the VM thread */

/* What the machine's power management device is told of, its domain held; `is` lasts. */
struct machine_power {
    void (*button)(struct device *d);
    void (*alarm)(struct device *d);
    void (*gpe)(struct device *d, u32 bit); /* a general purpose event: ACPI code of ours answers */
};
void machine_power_set(struct machine *m, struct device *d, const struct machine_power *is);
void machine_power_button(struct machine *m); /* no domain held */
void machine_gpe(struct machine *m, u32 bit); /* no domain held */
void machine_alarm(struct machine *m);        /* the clock's; the domain of both is held */

/*
 * Memory slots: RAM-like memory at guest-physical addresses.  The machine makes those for
 * RAM itself (below 3 GiB, above 4 GiB; 0xa0000-0xbffff left out); devices add theirs
 * (ROM, framebuffer).  Where slots overlap, the first made shows.  Changes reach the engine
 * through machine_cpus.slots, at once or, when a domain is held, as it is let go.
 */
struct machine_slot {
    u64 gpa, len;
    void *host;
    bool readonly;
    bool shared; /* host is a mapping of the file fd, from byte `at` on */
    int fd;
    u64 at;
    const _Atomic u64 *apart; /* but for pages whose bits are set, counted from the file's
                               * start; NULL: there are none */
};
int machine_slot_add(struct machine *m, const struct machine_slot *s, u32 *id, struct err *e);
void machine_slot_move(struct machine *m, u32 id, u64 gpa); /* ~0: out of sight */
void machine_slot_drop(struct machine *m, u32 id);
u32 machine_slots(struct machine *m, struct machine_slot *s, u32 room); /* how many there are */

/* PAM: is the RAM of [gpa, gpa + len), inside 0xc0000-0xfffff, writable?  16 KiB grain. */
void machine_shadow(struct machine *m, u64 gpa, u64 len, bool writable);
u64 machine_low_ram(const struct machine *m); /* end of RAM below 4 GiB */

/* Deliver an MSI; see irq.h.  Set by the local APIC device. */
void machine_msi_set(struct machine *m, int (*fn)(void *arg, u64 addr, u32 data), void *arg);

/*
 * The next interrupt for a vCPU, by the local APIC and PIC: a vector that is acknowledged
 * by the call, or -1.  set by the interrupt controllers; taken by vm/cpu.
 */
struct machine_intc {
    void *arg;
    int (*vector)(void *arg, u32 cpu);
    bool (*waiting)(void *arg, u32 cpu); /* would vector() answer one? */
    u64 (*base)(void *arg, u32 cpu);     /* IA32_APIC_BASE */
    int (*base_set)(void *arg, u32 cpu, u64 val);
    u8 (*tpr)(void *arg, u32 cpu); /* CR8 */
    void (*tpr_set)(void *arg, u32 cpu, u8 val);
    /* x2APIC registers and IA32_TSC_DEADLINE: 0 or -EINVAL (#GP) */
    int (*msr)(void *arg, u32 cpu, u32 msr, u64 *val);
    int (*msr_set)(void *arg, u32 cpu, u32 msr, u64 val);
    void (*cpu_reset)(void *arg, u32 cpu); /* INIT was taken */
};
void machine_intc_set(struct machine *m, const struct machine_intc *i);
const struct machine_intc *machine_intc(const struct machine *m);

/*
 * Interrupt controllers that whoever runs the vCPUs keeps for now: the devices' own state is
 * stale, and what happens at their wires and messages goes there.  set, and a change of who has
 * them, under the irq lock; the functions are called under it and must not wait.
 */
struct machine_chips {
    void *arg;
    void (*msi)(void *arg, u64 addr, u32 data);
    void (*pins)(void *arg, const struct chip_pin *p, u32 n);
    void (*line)(void *arg, u32 pin, bool level); /* NULL: PIC, IOAPIC and PIT are devices */
    void (*pit_off)(void *arg, bool off);
};
void machine_chips_set(struct machine *m, const struct machine_chips *c); /* NULL: devices again */
const struct machine_chips *machine_chips(const struct machine *m);       /* NULL: devices */

/* The irq lock, innermost: interrupt controllers and MSI routing.  A holder may take it again. */
void machine_irq_lock(struct machine *m);
void machine_irq_unlock(struct machine *m);

/*
 * Guest time and the TSC: both stand still while paused.  The TSC is the host's plus an
 * offset, 0 until the first pause; whoever runs vCPUs gives them the same.
 */
u64 machine_tsc(const struct machine *m);
u64 machine_tsc_offset(const struct machine *m);
i64 machine_tsc_to_ns(const struct machine *m, u64 tsc); /* guest time when the TSC reads tsc */
#endif
