/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MACHINE_DEVICE_H
#define MACHINE_DEVICE_H
#include "base/err.h"
#include "base/field.h"
#include "machine/bus.h"
#include "machine/gmem.h"
#include "machine/irq.h"

struct machine;
struct loop;

/*
 * Devices in one domain share one lock; the frame holds it around every call into them:
 * region handlers, timers, bells, reset, check, restored.  Locks have one order: domain, then irq.
 * A thread holds at most one domain.
 */
struct domain;
void domain_lock(struct domain *d);
void domain_unlock(struct domain *d);
void domain_wait(struct domain *d); /* lets go of the lock until domain_wake; like a condition */
void domain_wake(struct domain *d);
void domain_assert(const struct domain *d); /* aborts unless this thread holds it */

/*
 * RESET_SLEEP: the guest sleeps to RAM.  All is off but RAM, the clock and what wakes it; as it is
 * stays what firmware would set up again before the guest goes on (host bridge, screen), and what
 * drivers set up but once: those of VMware's devices, where sleep takes nothing away.
 */
enum reset { RESET_POWER, RESET_SYSTEM, RESET_BUS, RESET_SLEEP };

struct device_class;
struct device {
    const struct device_class *class;
    char name[32]; /* "i8254", "nic1": the name in the VM description */
    struct machine *machine;
    struct domain *domain;
    void *bus; /* what the bus it is plugged into keeps for it, e.g. struct pci_function */
};

struct device_class {
    const char *name;
    const char *about;  /* one line: what it is, which guests look for it */
    const char *domain; /* legacy chipset parts share "chipset"; NULL: one of its own */
    u32 size;           /* of the whole instance, which starts with struct device */
    u32 config_at, state_at, state_size;
    const struct field *config; /* what the VM description may set */
    const void *config_default; /* a filled config struct */
    u32 config_size;
    const struct field *state; /* all that the guest can notice; only this moves */

    int (*create)(struct device *d, struct err *e); /* claim regions, wires, endpoints */
    void (*destroy)(struct device *d);
    void (*reset)(struct device *d, enum reset kind); /* puts state to its power-on values */
    void (*pause)(struct device *d); /* on return no thread of it touches the guest */
    void (*resume)(struct device *d);
    int (*check)(const struct device *d, struct err *e); /* restored state: possible at all? */
    /*
     * Every state is loaded and checked, timers, wires and bells are as they were: make again
     * what is derived (regions that the device moved itself, caches), submit again what was
     * under way if pause does not wait for it.  The machine still stands; resume follows.
     */
    void (*restored)(struct device *d);
    /* See device_end_set; domain held. */
    int (*end_set)(struct device *d, const char *kind, void *end, bool force, struct err *e);
};

extern const struct device_class *const device_catalog[]; /* generated; ends with NULL */

/*
 * Make a device: default config, then the settings (pairs name, text; NULL ends), then
 * create and reset(RESET_POWER).  ends: host ends, pairs kind, pointer; NULL ends.
 * The machine owns the device afterwards.
 */
struct device_end {
    const char *kind; /* "blk", "net", "chr" ... */
    void *end;
};
int device_new(struct machine *m, const char *class, const char *name, const char *const *settings,
               const struct device_end *ends, struct device **d, struct err *e);

/* The end it was made with; NULL when there is none.  For create. */
void *device_end(const struct device *d, const char *kind);
/*
 * A host end comes to a device that runs, or goes (end NULL); VM thread, no domain held.  0: so it
 * is, and of one that went nothing is under way; 1: so it is, but the guest could not be told.
 * -EAGAIN: the guest was told and still uses it: ask again, or with force.
 */
int device_end_set(struct device *d, const char *kind, void *end, bool force, struct err *e);
struct device *machine_device(struct machine *m, const char *name); /* by name or class; or NULL */
struct gmem *machine_ram(struct machine *m);
struct space *machine_ports(struct machine *m);
struct space *machine_memory(struct machine *m);

/* Wires by name.  A device offers inputs; others, later or earlier, take a wire to one. */
void machine_input(struct machine *m, const char *name, struct irq sink);
struct irq machine_wire(struct machine *m, const struct device *d, const char *name);

/*
 * What a bus keeps for the whole machine, found by its name.  reset runs before the devices
 * are reset, free after they are gone; both may be NULL.
 */
void *machine_bus(struct machine *m, const char *name); /* NULL: not added yet */
int machine_bus_add(struct machine *m, const char *name, void *bus,
                    void (*reset)(struct machine *m, void *bus), void (*free)(void *bus));

i64 machine_now(const struct machine *m); /* guest time, ns; stands still while paused */
void guest_error(const struct device *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A timer of a device: fn runs on the VM thread with the device's domain held. */
struct timer;
int timer_new(struct device *d, void (*fn)(struct device *d), struct timer **t);
/* The same for one of many: fn is told which. */
int timer_new_index(struct device *d, void (*fn)(struct device *d, u32 index), u32 index,
                    struct timer **t);
void timer_set(struct timer *t, i64 at); /* guest time, ns; domain or irq lock held; any thread */
/* As timer_set, for one that has interrupts to give which the guest could not take yet: it is
 * tried again by then, and as soon as the guest reads a clock with interrupts open. */
void timer_owe(struct timer *t, i64 at);
void timer_stop(struct timer *t);
i64 timer_at(const struct timer *t); /* when it is due; INT64_MAX: it is not set */

/*
 * A bell: rung by register handlers (any thread, cheap, coalesced), answered on the
 * device's lane with the domain held.
 */
struct bell;
int bell_new(struct device *d, void (*fn)(struct device *d, u32 index), u32 index, struct bell **b);
void bell_ring(struct bell *b);

/*
 * From create: a place where stores do nothing but ring b, whatever else the device is doing.
 * It is forgotten with the device.  move: any thread, no irq lock held.
 */
struct bell_door;
struct bell_place;
int bell_door_new(struct bell *b, const struct bell_place *p, struct bell_door **door);
void bell_door_move(struct bell_door *door, u64 at); /* ~0: out of sight */

/*
 * From create: memory of the device's own that the guest can notice, such as a framebuffer.
 * It is saved and restored beside the state.
 */
int device_memory(struct device *d, const char *name, void *p, u64 len);

/* The I/O thread that answers this device's bells and its backend's completions. */
struct loop *device_lane(const struct device *d);
#endif
