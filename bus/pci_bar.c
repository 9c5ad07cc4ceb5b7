/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Base address registers: sizing, moving, and what stands behind them: regions, memory
 * slots, the expansion ROM.  PCI Local Bus 3.0, 6.2.5.
 */
#include "bus/pci_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const u64 PCI_HIDDEN = ~(u64)0;
enum { BAR_PORTS = 1, BAR_64 = 4, BAR_PREFETCH = 8, ROM_ENABLE = 1, ROM_MIN = 0x1000 };

static u64 pci_window_load(struct device *d, u32 off, u32 size, u32 index)
{
    struct pci_function *f = pci_of(d);
    const struct pci_bar *b = &f->window[index].bar;
    u64 val = ~(u64)0;

    if (f->vectors && index == f->msix_bar && pci_msix_load(f, off, size, &val))
        return val;
    return b->load ? b->load(d, off, size) : val;
}

static void pci_window_store(struct device *d, u32 off, u32 size, u64 val, u32 index)
{
    struct pci_function *f = pci_of(d);
    const struct pci_bar *b = &f->window[index].bar;

    if (f->vectors && index == f->msix_bar && pci_msix_store(f, off, size, val))
        return;
    if (b->store)
        b->store(d, off, size, val);
}

/* The BAR that holds the MSI-X table answers through here; the others do directly. */
static u64 pci_msix_window_load(struct device *d, u32 off, u32 size)
{
    return pci_window_load(d, off, size, pci_of(d)->msix_bar);
}

static void pci_msix_window_store(struct device *d, u32 off, u32 size, u64 val)
{
    pci_window_store(d, off, size, val, pci_of(d)->msix_bar);
}

static int pci_window_back(struct pci_function *f, const struct pci_bar *b, struct err *e)
{
    struct machine *m = f->dev->machine;
    struct region r = { .name = f->dev->name,
                        .base = PCI_HIDDEN,
                        .len = b->size,
                        .min = b->min,
                        .max = b->max,
                        .load = b->load,
                        .store = b->store,
                        .dev = f->dev,
                        .index = b->index,
                        .unaligned = b->unaligned };
    struct pci_window *w = &f->window[b->index];

    w->at = PCI_HIDDEN;
    if (b->ram) {
        struct machine_slot s = { .gpa = PCI_HIDDEN, .len = b->size, .host = b->ram };

        return machine_slot_add(m, &s, &w->id, e);
    }
    if (f->vectors && b->index == f->msix_bar) {
        r.load = pci_msix_window_load;
        r.store = pci_msix_window_store;
    }
    return space_add(b->space == PCI_PORTS ? machine_ports(m) : machine_memory(m), &r, &w->id, e);
}

static int pci_bar_init(struct pci_function *f, const struct pci_bar *b, struct err *e)
{
    u32 reg = PCI_BAR0 + 4u * b->index, low = b->space == PCI_PORTS ? 4 : b->ram ? 4096 : 16;
    u8 *p = f->config + reg;
    bool wide = b->space == PCI_MEM64;
    int r;

    if (b->index + wide >= PCI_BARS || f->window[b->index].bar.size || b->size & (b->size - 1) ||
        b->size < low)
        return err_set(e, -EINVAL, "BAR %u of %u bytes is not possible", b->index, b->size);
    r = pci_window_back(f, b, e);
    if (r)
        return r;
    f->window[b->index].bar = *b;
    put_le32(p, b->space == PCI_PORTS ? BAR_PORTS
                                      : (wide ? BAR_64 : 0u) | (b->prefetch ? BAR_PREFETCH : 0u));
    put_le32(f->writable + reg, ~(b->size - 1));
    if (wide)
        put_le32(f->writable + reg + 4, ~0u);
    return 0;
}

static int pci_rom_init(struct pci_function *f, const struct pci_ident *id, struct err *e)
{
    struct machine_slot s = { .gpa = PCI_HIDDEN, .readonly = true };
    u8 *rom;
    int r;

    f->rom_at = PCI_HIDDEN;
    if (!id->rom || !id->rom_size)
        return 0;
    for (f->rom_size = ROM_MIN; f->rom_size < id->rom_size && f->rom_size < 1u << 24;)
        f->rom_size *= 2;
    if (f->rom_size < id->rom_size)
        return err_set(e, -EINVAL, "an expansion ROM of %u bytes", id->rom_size);
    rom = aligned_alloc(4096, f->rom_size);
    if (!rom)
        return err_set(e, -ENOMEM, "no memory for the expansion ROM");
    memset(rom, 0xff, f->rom_size);
    memcpy(rom, id->rom, id->rom_size);
    s.len = f->rom_size;
    s.host = rom;
    r = machine_slot_add(f->dev->machine, &s, &f->rom_id, e);
    if (r) {
        free(rom);
        return r;
    }
    f->rom = rom;
    put_le32(f->writable + PCI_ROM, ~(f->rom_size - 1) | ROM_ENABLE);
    return 0;
}

int pci_bars_init(struct pci_function *f, const struct pci_ident *id, struct err *e)
{
    int r = 0;

    for (const struct pci_bar *b = id->bars; b && b->size && !r; b++)
        r = pci_bar_init(f, b, e);
    if (!r && f->vectors && !f->window[f->msix_bar].bar.size) {
        struct pci_bar own = { .index = f->msix_bar,
                               .space = PCI_MEM32,
                               .size = pci_msix_bar_size(f->vectors),
                               .min = 1,
                               .max = 8 };

        f->table_at = 0;
        f->pba_at = own.size / 2;
        r = pci_bar_init(f, &own, e);
    }
    return r ? r : pci_rom_init(f, id, e);
}

void pci_bars_fini(struct pci_function *f)
{
    struct machine *m = f->dev->machine;

    for (u32 i = 0; i < PCI_BARS; i++) {
        const struct pci_window *w = &f->window[i];

        if (!w->bar.size)
            continue;
        if (w->bar.ram)
            machine_slot_drop(m, w->id);
        else
            space_drop(w->bar.space == PCI_PORTS ? machine_ports(m) : machine_memory(m), w->id);
    }
    if (f->rom)
        machine_slot_drop(m, f->rom_id);
    free(f->rom);
}

/* Where the registers put a BAR; a BAR at 0 is one that nobody has set. */
static u64 pci_window_place(const struct pci_function *f, const struct pci_bar *b)
{
    u32 reg = PCI_BAR0 + 4u * b->index;
    u64 at = le32(f->config + reg) & ~(u64)(b->size - 1);

    bool on = pci_command(f) & (b->space == PCI_PORTS ? COMMAND_PORTS : COMMAND_MEMORY);

    if (b->space == PCI_MEM64)
        at |= (u64)le32(f->config + reg + 4) << 32;
    if (!on || !at || (b->space == PCI_PORTS && at >= 0x10000))
        return PCI_HIDDEN;
    return pci_forwards(f, b->space, at, b->size) ? at : PCI_HIDDEN;
}

static void pci_doors_move(struct pci_function *f, u32 bar)
{
    u64 at = f->window[bar].at;

    for (u32 i = 0; i < f->ndoors; i++)
        if (f->doors[i].bar == bar)
            bell_door_move(f->doors[i].door, at == PCI_HIDDEN ? at : at + f->doors[i].off);
}

void pci_bell(struct device *d, u8 bar, const struct bell_place *p, struct bell *b)
{
    struct pci_function *f = pci_of(d);
    struct bell_place hidden = *p;
    struct pci_door *door = &f->doors[f->ndoors];

    hidden.at = PCI_HIDDEN;
    hidden.port = f->window[bar].bar.space == PCI_PORTS;
    if (f->ndoors == PCI_DOORS || bell_door_new(b, &hidden, &door->door))
        return;
    door->off = p->at;
    door->bar = bar;
    f->ndoors++;
    pci_doors_move(f, bar);
}

void pci_bars_update(struct pci_function *f)
{
    struct machine *m = f->dev->machine;
    u32 rom = le32(f->config + PCI_ROM);

    for (u32 i = 0; i < PCI_BARS; i++) {
        struct pci_window *w = &f->window[i];
        u64 at;

        if (!w->bar.size)
            continue;
        at = pci_window_place(f, &w->bar);
        if (at == w->at)
            continue;
        w->at = at;
        if (w->bar.ram)
            machine_slot_move(m, w->id, at);
        else
            space_move(w->bar.space == PCI_PORTS ? machine_ports(m) : machine_memory(m), w->id, at);
        pci_doors_move(f, i);
    }
    if (f->rom) {
        u64 at = rom & ~(u64)(f->rom_size - 1);

        if (!(rom & ROM_ENABLE) || !(pci_command(f) & COMMAND_MEMORY) || !at ||
            !pci_forwards(f, PCI_MEM32, at, f->rom_size))
            at = PCI_HIDDEN;
        if (at != f->rom_at)
            machine_slot_move(m, f->rom_id, at);
        f->rom_at = at;
    }
}
