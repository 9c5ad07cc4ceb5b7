/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H
#include "backend/blk.h"
#include "backend/chr.h"
#include "backend/net.h"
#include "machine/machine.h"

/*
 * A bench for devices: a machine with little RAM, wires that record, a clock that the test
 * turns, an I/O lane that the test runs.  Whatever cannot be set up ends the program.
 *
 *     struct rig r;
 *     rig_start(&r, 16, 1);
 *     struct device *d = rig_device(&r, "pvscsi", NULL, NULL);
 *     rig_pci_enable(d);
 *     rig_store(&r, rig_bar(d, 0), 4, 1);
 *     rig_lane(&r);
 *     rig_stop(&r);
 */
struct rig_wire {
    char name[24];
    bool level;
    u32 rises; /* how often it went up */
};
struct rig_msi {
    u64 addr;
    u32 data;
};

struct rig {
    struct machine *m;
    struct rig_wire wires[32];
    u32 nwires;
    struct rig_msi msi[256]; /* the first ones since rig_msi_clear */
    u32 nmsi;                /* how many there were */
    u64 forgot;              /* calls of machine_cpus.forget */
    u32 kicks[64], nmis[64], inits[64], sips[64];
    u8 sipi_page[64];
    u32 asks;
    enum machine_event ask;
    u32 ask_code;
    u64 next_bar, next_port;
};

void rig_start(struct rig *r, u32 ram_mib, u32 cpus);
void rig_stop(struct rig *r);

/* settings: pairs name, text, ended by NULL; ends: ended by kind NULL.  Either may be NULL.
 * The device is called as its class. */
struct device *rig_device(struct rig *r, const char *class, const char *const *settings,
                          const struct device_end *ends);
/* Settings for any class: what it cannot do without, or what would not repeat; or NULL. */
const char *const *rig_settings(const char *class);

/* The rig as the sink of an input ("isa.4", "pci.a"): from now on its level is recorded. */
struct rig_wire *rig_wire(struct rig *r, const char *name);
void rig_pci_wires(struct rig *r);        /* pci.a to pci.d are recorded */
bool rig_wire_is_up(const struct rig *r); /* any of those that are recorded */
void rig_msi_clear(struct rig *r);
u32 rig_msi_seen(const struct rig *r, u64 addr, u32 data); /* how often, of those kept */

void rig_clock(struct rig *r, i64 ns); /* guest time passes; timers run */
void rig_lane(struct rig *r);          /* answers all bells, runs all that is posted */
/* Runs the lane until done(arg): for requests that other threads work on. */
void rig_lane_until(struct rig *r, bool (*done)(void *arg), void *arg);
void rig_loop(struct rig *r); /* runs what is posted to the VM loop */

/*
 * Stands and goes on, as a VM that is saved: the lane runs meanwhile, so that devices can
 * wait for what is under way.
 */
void rig_pause(struct rig *r);
void rig_resume(struct rig *r);
/*
 * What `from` holds, RAM and memories of devices included, into `to`, which has the same
 * devices, just made, and goes on afterwards.  `from` stands; its wires and MSI counters are
 * its own.  Wires of `to` are recorded by rig_wire after this.
 */
void rig_move(struct rig *from, struct rig *to);

u64 rig_in(struct rig *r, u16 port, u32 size);
void rig_out(struct rig *r, u16 port, u32 size, u64 val);
u64 rig_load(struct rig *r, u64 gpa, u32 size);
void rig_store(struct rig *r, u64 gpa, u32 size, u64 val);

/* Guest RAM, checked. */
void rig_put(struct rig *r, u64 gpa, const void *p, size_t n);
void rig_get(struct rig *r, u64 gpa, void *p, size_t n);

u32 rig_pci_get(struct device *d, u32 off, u32 size);
void rig_pci_set(struct device *d, u32 off, u32 size, u32 val);
/* Every BAR gets a place; ports, memory and bus mastering are switched on. */
void rig_pci_enable(struct rig *r, struct device *d);
u64 rig_bar(struct device *d, u32 index); /* where it stands */
u32 rig_pci_cap(struct device *d, u8 id); /* offset, 0: has none */
/* MSI-X on, vector v sends data v to 0xfee00000. */
void rig_msix_enable(struct rig *r, struct device *d, u16 vectors);

/* Host ends for any device: serial that keeps, a cable, a disk of 1 MiB in memory. */
struct rig_ends {
    struct device_end list[5];
    struct chr *chr;
    struct net *net, *far; /* what the device sends comes out of far */
    struct blk *blk;
};
void rig_ends_open(struct rig *r, struct rig_ends *n);
void rig_ends_close(struct rig *r,
                    struct rig_ends *n); /* before rig_stop: clears the machine first */
#endif
