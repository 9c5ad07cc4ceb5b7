/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUS_PCI_INT_H
#define BUS_PCI_INT_H
#include "base/bytes.h"
#include "bus/pci.h"
#include "machine/machine.h"

/* Configuration header, PCI Local Bus 3.0, 6.1. */
enum {
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION = 0x08,
    PCI_CACHE_LINE = 0x0c,
    PCI_LATENCY = 0x0d,
    PCI_HEADER = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBVENDOR = 0x2c,
    PCI_ROM = 0x30,
    PCI_CAPS = 0x34,
    PCI_LINE = 0x3c,
    PCI_PIN = 0x3d,
    PCI_OWN = 0x40, /* from here on the device's own */

    COMMAND_PORTS = 1 << 0,
    COMMAND_MEMORY = 1 << 1,
    COMMAND_MASTER = 1 << 2,
    COMMAND_NO_INTX = 1 << 10,
    STATUS_INTX = 1 << 3,
    STATUS_CAPS = 1 << 4,
    HEADER_MULTI = 0x80,

    CAP_MSI = 0x05,
    CAP_MSIX = 0x11,
    MSI_ENABLE = 1 << 0,
    MSI_64 = 1 << 7,
    MSIX_ENABLE = 1 << 15,
    MSIX_MASK = 1 << 14,
    MSIX_ENTRY = 16,

    PCI_BARS = 6,
    PCI_SLOTS = 32,
    PCI_FUNCTIONS = 8,
    PCI_BUSES = 256,

    /* of a bridge's header: PCI-to-PCI Bridge Architecture 1.2, 3.2 */
    BRIDGE_SECONDARY = 0x19,
    BRIDGE_PORTS = 0x1c,
    BRIDGE_MEMORY = 0x20,
    BRIDGE_PREFETCH = 0x24,
    BRIDGE_PREFETCH_HIGH = 0x28, /* base, then limit */
    BRIDGE_PORTS_HIGH = 0x30,
    BRIDGE_CONTROL = 0x3e,
    HEADER_BRIDGE = 1,
};

/* What a BAR is now: its registers in configuration space, and where they put it. */
struct pci_window {
    struct pci_bar bar; /* size 0: there is none */
    u32 id;             /* of its region or slot */
    u64 at;             /* ~0: not mapped */
};

/*
 * One function.  config and the message tables change under the device's domain and the irq
 * lock together, so either is enough to read them.
 */
enum { PCI_DOORS = 40 };
struct pci_function {
    struct device *dev;
    struct pci_bus *bus;
    u8 slot, function, pin;
    u8 below;                /* the bus behind it when it is a bridge, else 0 */
    struct pci_function *up; /* the bridge that it is behind; NULL: on bus 0 */
    u8 config[256];
    u8 writable[256];
    u8 used; /* up to where capabilities stand */
    u8 last_cap, msi, msix;
    struct pci_window window[PCI_BARS];
    u8 *rom; /* padded to rom_size, a power of two */
    u32 rom_size, rom_id;
    u64 rom_at;
    u16 vectors;
    u8 msix_bar;
    bool msix_own; /* the BAR is the bus's */
    u32 table_at, pba_at;
    u8 *table; /* MSI-X entries */
    u8 *pba;
    bool changes; /* pci_identify was called */
    bool level;   /* the device's interrupt line, before command and MSI */
    struct irq wire;
    void (*on_config)(struct device *d, u32 off, u32 size);
    struct pci_door {
        struct bell_door *door;
        u64 off;
        u8 bar;
    } doors[PCI_DOORS];
    u32 ndoors;
};

struct pci_place {
    char name[32];
    u8 bus, slot, function;
};
struct pci_number {
    char name[32];
    u32 number;
};
/*
 * Buses by our own numbers, which never change: 0 is the host bridge's, others are named by who
 * makes their bridge.  What the guest calls them is in the bridges' registers.
 */
struct pci_segment {
    struct pci_function *bridge; /* NULL: bus 0 */
    struct pci_function *at[PCI_SLOTS][PCI_FUNCTIONS];
};
struct pci_bus {
    struct machine *machine;
    struct pci_segment *segment[PCI_BUSES]; /* NULL: there is no such bus */
    struct pci_place place[128];
    u32 nplaces;
    struct pci_number number[64];
    u32 nnumbers;
};

static inline struct pci_function *pci_of(const struct device *d)
{
    return d->bus;
}
static inline u16 pci_command(const struct pci_function *f)
{
    return le16(f->config + PCI_COMMAND);
}

/* The bus that a function sits on. */
static inline u8 pci_on(const struct pci_function *f)
{
    return f->up ? f->up->below : 0;
}
/* Every function, in order: *bus and *i begin at 0; NULL after the last. */
struct pci_function *pci_next(const struct pci_bus *b, u32 *bus, u32 *i);

/* pci_bridge.c */
/* Do the bridges above let accesses there through? */
bool pci_forwards(const struct pci_function *f, enum pci_space space, u64 at, u64 len);
void pci_bridge_update(struct pci_function *f); /* no domain held: what is behind it, anew */

/* pci_bar.c */
int pci_bars_init(struct pci_function *f, const struct pci_ident *id, struct err *e);
void pci_bars_fini(struct pci_function *f);
void pci_bars_update(struct pci_function *f); /* after a change of command or a BAR */

/* pci_msi.c */
int pci_msi_init(struct pci_function *f, const struct pci_ident *id, struct err *e);
void pci_msi_fini(struct pci_function *f);
void pci_msi_reset(struct pci_function *f);
void pci_msi_update(struct pci_function *f); /* after a change of command or a capability */
bool pci_msi_owns(const struct pci_function *f, u32 off);
bool pci_msix_load(struct pci_function *f, u32 off, u32 size, u64 *val);
bool pci_msix_store(struct pci_function *f, u32 off, u32 size, u64 val);
u32 pci_msix_bar_size(u16 vectors);

/* pci_save.c: the bus's part of a device's saved state */
int pci_save(const struct device *d, struct buf *to);
int pci_load(struct device *d, struct span from, struct err *e);
#endif
