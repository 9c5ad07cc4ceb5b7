/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUS_PCI_H
#define BUS_PCI_H
#include "machine/chips.h"
#include "machine/device.h"

/*
 * What a PCI device says about itself; configuration space, BARs, INTx, MSI and MSI-X are
 * the bus's.  PCI Local Bus 3.0, PCI Express only where a capability says so.
 */
enum pci_space { PCI_PORTS, PCI_MEM32, PCI_MEM64 };

struct pci_bar {
    u8 index;
    enum pci_space space;
    u32 size; /* a power of two */
    u8 min, max;
    u64 (*load)(struct device *d, u32 off, u32 size);
    void (*store)(struct device *d, u32 off, u32 size, u64 val);
    bool prefetch, unaligned; /* unaligned: see struct region */
    u8 *ram;                  /* instead of handlers: memory of `size` bytes, mapped as a slot */
};

struct pci_ident {
    u16 vendor, device, subvendor, subdevice;
    u32 class; /* 0x020000: ethernet */
    u8 revision;
    u8 pin;                     /* INTx: 0 none, 1 INTA ... */
    bool msi;                   /* one MSI vector, 64-bit address */
    u16 vectors;                /* MSI-X, 0 none */
    u8 msix_bar;                /* the BAR that holds table (at 0) and PBA; its own or ... */
    u32 msix_table, msix_pba;   /* ... offsets inside a BAR of the device's own */
    const struct pci_bar *bars; /* size 0 ends */
    const u8 *rom;              /* expansion ROM, or NULL */
    u32 rom_size;
};

/*
 * A capability of the device's own, from 0x40 in order (MSI and MSI-X stand first); body: what
 * follows id and next.  Returns its offset or -ENOSPC.
 */
int pci_capability(struct device *d, u8 id, const u8 *body, u32 len);

/*
 * From create.  Where: the device's setting "at" ("pci.0.<slot>.<function>", given by the
 * VM builder through pci_place before create), else the next free slot.
 */
int pci_plug(struct device *d, const struct pci_ident *id, struct err *e);
void pci_unplug(struct device *d);
int pci_place(struct machine *m, const char *device_name, u8 slot, u8 function, struct err *e);
/*
 * The same on another bus, once its bridge is there.  Buses have numbers of ours from 1 to 255,
 * which no guest sees: it gives numbers itself, in the bridges' registers.
 */
int pci_place_on(struct machine *m, const char *device_name, u8 bus, u8 slot, u8 function,
                 struct err *e);
bool pci_has_bus(struct machine *m, u8 bus);
bool pci_vacant_on(struct machine *m, u8 bus, u8 slot);
/* A device that is plugged, class 0x0604xx, is the bridge to that bus. */
int pci_bridge(struct device *d, u8 bus, struct err *e);
/* Where devices with a slot number (pci_number) sit.  Answers how many there are. */
struct pci_numbered {
    u32 number;
    u8 bus, slot, function;
    u8 bridge_slot, bridge_function; /* of the bridge to that bus */
};
u32 pci_numbered(struct machine *m, struct pci_numbered *list, u32 room);
/*
 * What the firmware calls the slot of that device, wherever it sits (ACPI _SUN, from which guests
 * make names).
 */
int pci_number(struct machine *m, const char *device_name, u32 number, struct err *e);
bool pci_vacant(struct machine *m, u8 slot); /* nobody is or will be there by pci_place */

/*
 * After pci_plug: stores to that place of a BAR do nothing but ring b; p->at counts from where
 * the BAR begins.  A device with more such places than the bus remembers keeps the rest.
 */
void pci_bell(struct device *d, u8 bar, const struct bell_place *p, struct bell *b);

/* Any thread, domain held or not. */
void pci_raise(struct device *d, u16 vector); /* MSI-X/MSI if on; else nothing: see pci_level */
void pci_level(struct device *d, bool on);    /* INTx; ignored while MSI or MSI-X is on */
bool pci_message(const struct device *d);     /* is MSI or MSI-X switched on? */
bool pci_msix(const struct device *d);
bool pci_master(const struct device *d); /* may it do DMA now? */
u8 *pci_config(struct device *d);        /* its 256 bytes, for the device's own registers */
/* Calls after the guest wrote to the device's own (not standard) configuration bytes. */
void pci_on_config(struct device *d, void (*fn)(struct device *d, u32 off, u32 size));
void pci_config_writable(struct device *d, u32 off, u32 len, u8 mask);
const struct device *pci_upstream(const struct device *d); /* the bridge above; NULL: on bus 0 */
/*
 * The function says from now on that it is another one: vendor to subdevice, class and revision of
 * id, nothing else.  Domain held; a restored device says it again, as a saved one is not compared.
 */
void pci_identify(struct device *d, const struct pci_ident *id);
u8 pci_slot(const struct device *d);
u8 pci_function(const struct device *d);

/*
 * Configuration space from outside: the host bridge's ports, and tests; bus: as the guest has
 * numbered it.  No domain may be held; takes that of the device.  off + size inside one dword;
 * nobody: all ones.
 */
u32 pci_config_load(struct machine *m, u8 bus, u8 slot, u8 function, u32 off, u32 size);
void pci_config_store(struct machine *m, u8 bus, u8 slot, u8 function, u32 off, u32 size, u32 val);
#endif
