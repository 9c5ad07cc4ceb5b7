/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bridges to further buses: their header, and the windows that let accesses through to what is
 * behind them.  PCI-to-PCI Bridge Architecture Specification 1.2, 3.2 and 4.
 *
 * Left out: ISA and VGA modes; the bridge's own bus master bit: DMA of what is behind it goes its
 * way.
 */
#include "bus/pci_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void pci_bridge_header(struct pci_function *f)
{
    u8 *c = f->config, *w = f->writable;

    c[PCI_HEADER] |= HEADER_BRIDGE;
    memset(w + PCI_BAR0 + 8, 0xff, 4);  /* bus numbers, latency */
    put_le16(c + BRIDGE_PORTS, 0x0101); /* 32-bit ports; windows that are open at 0 */
    put_le16(w + BRIDGE_PORTS, 0xf0f0);
    put_le32(w + BRIDGE_MEMORY, 0xfff0fff0);
    put_le32(c + BRIDGE_PREFETCH, 0x00010001); /* 64 bits */
    put_le32(w + BRIDGE_PREFETCH, 0xfff0fff0);
    memset(w + BRIDGE_PREFETCH_HIGH, 0xff, 8);
    memset(w + BRIDGE_PORTS_HIGH, 0xff, 4);
    w[PCI_LINE] = 0xff;
    w[BRIDGE_CONTROL] = 0x47; /* parity, SERR, ISA, bus reset: kept */
}

int pci_bridge(struct device *d, u8 bus, struct err *e)
{
    struct pci_function *f = pci_of(d);

    if (!bus || f->bus->segment[bus])
        return err_set(e, -EEXIST, "there is a PCI bus %u already", bus);
    f->bus->segment[bus] = calloc(1, sizeof(struct pci_segment));
    if (!f->bus->segment[bus])
        return err_set(e, -ENOMEM, "no memory for a PCI bus");
    f->bus->segment[bus]->bridge = f;
    f->below = bus;
    pci_bridge_header(f);
    return 0;
}

/* Base and limit of a window; false: it is shut. */
static bool pci_window_of(const struct pci_function *f, enum pci_space space, bool prefetch,
                          u64 *base, u64 *limit)
{
    const u8 *c = f->config;

    if (space == PCI_PORTS) {
        *base = (c[BRIDGE_PORTS] & 0xf0u) << 8 | (u32)le16(c + BRIDGE_PORTS_HIGH) << 16;
        *limit =
            (c[BRIDGE_PORTS + 1] & 0xf0u) << 8 | 0xfff | (u32)le16(c + BRIDGE_PORTS_HIGH + 2) << 16;
        return pci_command(f) & COMMAND_PORTS && *base <= *limit;
    }
    if (prefetch) {
        *base = (u64)(le16(c + BRIDGE_PREFETCH) & 0xfff0u) << 16 |
                (u64)le32(c + BRIDGE_PREFETCH_HIGH) << 32;
        *limit = (u64)(le16(c + BRIDGE_PREFETCH + 2) & 0xfff0u) << 16 | 0xfffff |
                 (u64)le32(c + BRIDGE_PREFETCH_HIGH + 4) << 32;
    } else {
        *base = (u64)(le16(c + BRIDGE_MEMORY) & 0xfff0u) << 16;
        *limit = (u64)(le16(c + BRIDGE_MEMORY + 2) & 0xfff0u) << 16 | 0xfffff;
    }
    return pci_command(f) & COMMAND_MEMORY && *base <= *limit;
}

static bool pci_window_has(const struct pci_function *f, enum pci_space space, bool prefetch,
                           u64 at, u64 len)
{
    u64 base, limit;

    return pci_window_of(f, space, prefetch, &base, &limit) && at >= base && at <= limit &&
           len - 1 <= limit - at;
}

/* It takes what nobody else on its bus took, 4.9. */
static bool pci_is_subtractive(const struct pci_function *f, enum pci_space space)
{
    return f->config[PCI_REVISION + 1] == 1 &&
           pci_command(f) & (space == PCI_PORTS ? COMMAND_PORTS : COMMAND_MEMORY);
}

/* A bridge has no say in which of its memory windows something is behind it. */
bool pci_forwards(const struct pci_function *f, enum pci_space space, u64 at, u64 len)
{
    struct machine *m = f->dev->machine;
    bool through = true;

    if (!f->up)
        return true;
    machine_irq_lock(m);
    for (const struct pci_function *b = f->up; b && through; b = b->up)
        through = pci_is_subtractive(b, space) || pci_window_has(b, space, false, at, len) ||
                  (space != PCI_PORTS && pci_window_has(b, space, true, at, len));
    machine_irq_unlock(m);
    return through;
}

void pci_bridge_update(struct pci_function *bridge)
{
    const struct pci_segment *s = bridge->bus->segment[bridge->below];

    for (u32 i = 0; i < PCI_SLOTS * PCI_FUNCTIONS; i++) {
        struct pci_function *f = s->at[i / PCI_FUNCTIONS][i % PCI_FUNCTIONS];

        if (!f)
            continue;
        domain_lock(f->dev->domain);
        pci_bars_update(f);
        domain_unlock(f->dev->domain);
        if (f->below)
            pci_bridge_update(f);
    }
}
