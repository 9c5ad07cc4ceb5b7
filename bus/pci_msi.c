/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts of a PCI function: INTx, MSI (one message) and MSI-X.  PCI Local Bus 3.0, 6.8.
 * All of it stands under the irq lock.
 */
#include "bus/pci_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_DATA = 8, ENTRY_CONTROL = 12, ENTRY_MASKED = 1 };

u32 pci_msix_bar_size(u16 vectors)
{
    u32 half = 0x800;

    while (half < (u32)vectors * MSIX_ENTRY)
        half *= 2;
    return half * 2;
}

static int pci_msi_caps(struct pci_function *f, const struct pci_ident *id, struct err *e)
{
    u8 msi[12] = { MSI_64 }, msix[10];
    int at;

    if (id->msi) {
        at = pci_capability(f->dev, CAP_MSI, msi, sizeof(msi));
        if (at < 0)
            return err_set(e, at, "no room for the MSI capability");
        f->msi = (u8)at;
        f->writable[at + 2] = MSI_ENABLE;
        put_le32(f->writable + at + 4, ~3u);
        put_le32(f->writable + at + 8, ~0u);
        put_le16(f->writable + at + 12, 0xffff);
    }
    if (f->vectors) {
        put_le16(msix, (u16)(f->vectors - 1));
        put_le32(msix + 2, f->table_at | f->msix_bar);
        put_le32(msix + 6, f->pba_at | f->msix_bar);
        at = pci_capability(f->dev, CAP_MSIX, msix, sizeof(msix));
        if (at < 0)
            return err_set(e, at, "no room for the MSI-X capability");
        f->msix = (u8)at;
        f->writable[at + 3] = (MSIX_ENABLE | MSIX_MASK) >> 8;
    }
    return 0;
}

int pci_msi_init(struct pci_function *f, const struct pci_ident *id, struct err *e)
{
    if (f->vectors) {
        f->table = calloc(f->vectors, MSIX_ENTRY);
        f->pba = calloc((f->vectors + 63) / 64, 8);
        if (!f->table || !f->pba)
            return err_set(e, -ENOMEM, "no memory for %u MSI-X vectors", f->vectors);
    }
    return pci_msi_caps(f, id, e);
}

void pci_msi_fini(struct pci_function *f)
{
    free(f->table);
    free(f->pba);
}

void pci_msi_reset(struct pci_function *f)
{
    if (f->msi) {
        f->config[f->msi + 2] &= ~MSI_ENABLE;
        memset(f->config + f->msi + 4, 0, 10);
    }
    if (f->msix)
        f->config[f->msix + 3] &= ~((MSIX_ENABLE | MSIX_MASK) >> 8);
    for (u32 i = 0; i < f->vectors; i++) {
        memset(f->table + i * MSIX_ENTRY, 0, MSIX_ENTRY);
        f->table[i * MSIX_ENTRY + ENTRY_CONTROL] = ENTRY_MASKED;
    }
    if (f->pba)
        memset(f->pba, 0, (f->vectors + 63) / 64 * 8u);
}

bool pci_msi_owns(const struct pci_function *f, u32 off)
{
    return (f->msi && off - f->msi < 14) || (f->msix && off - f->msix < 12);
}

static u16 pci_msix_control(const struct pci_function *f)
{
    return f->msix ? le16(f->config + f->msix + 2) : 0;
}

static bool pci_msi_on(const struct pci_function *f)
{
    return f->msi && f->config[f->msi + 2] & MSI_ENABLE;
}

/* A message is a memory write: the bus-master gate holds it back. */
static void pci_message_send(struct pci_function *f, u64 addr, u32 data)
{
    if (pci_command(f) & COMMAND_MASTER)
        msi_send(f->dev->machine, addr, data);
}

static void pci_msix_send(struct pci_function *f, u32 vector)
{
    const u8 *entry = f->table + vector * MSIX_ENTRY;

    if (pci_msix_control(f) & MSIX_MASK || entry[ENTRY_CONTROL] & ENTRY_MASKED) {
        f->pba[vector / 8] |= 1u << vector % 8;
        return;
    }
    f->pba[vector / 8] &= ~(1u << vector % 8);
    pci_message_send(f, le64(entry), le32(entry + ENTRY_DATA));
}

static void pci_msix_flush(struct pci_function *f, u32 from, u32 to)
{
    if (!(pci_msix_control(f) & MSIX_ENABLE))
        return;
    for (u32 i = from; i < to; i++)
        if (f->pba[i / 8] & 1u << i % 8)
            pci_msix_send(f, i);
}

static void pci_intx_update(struct pci_function *f)
{
    bool on = f->level && !(pci_command(f) & COMMAND_NO_INTX) && !pci_msi_on(f) &&
              !(pci_msix_control(f) & MSIX_ENABLE);

    f->config[PCI_STATUS] =
        (u8)((f->config[PCI_STATUS] & ~STATUS_INTX) | (f->level ? STATUS_INTX : 0));
    irq_set(&f->wire, on);
}

void pci_msi_update(struct pci_function *f)
{
    pci_msix_flush(f, 0, f->vectors);
    pci_intx_update(f);
}

void pci_raise(struct device *d, u16 vector)
{
    struct pci_function *f = pci_of(d);

    machine_irq_lock(d->machine);
    if (pci_msix_control(f) & MSIX_ENABLE) {
        if (vector < f->vectors)
            pci_msix_send(f, vector);
    } else if (pci_msi_on(f)) {
        pci_message_send(f, le64(f->config + f->msi + 4), le16(f->config + f->msi + 12));
    }
    machine_irq_unlock(d->machine);
}

void pci_level(struct device *d, bool on)
{
    struct pci_function *f = pci_of(d);

    machine_irq_lock(d->machine);
    f->level = on;
    pci_intx_update(f);
    machine_irq_unlock(d->machine);
}

bool pci_msix(const struct device *d)
{
    return pci_msix_control(pci_of(d)) & MSIX_ENABLE;
}

bool pci_message(const struct device *d)
{
    return pci_msix(d) || pci_msi_on(pci_of(d));
}

/* ---- the table and the pending bits in their BAR ---- */

static u64 pci_bytes(const u8 *p, u32 size)
{
    u64 val = 0;

    memcpy(&val, p, size);
    return val;
}

bool pci_msix_load(struct pci_function *f, u32 off, u32 size, u64 *val)
{
    u32 table = f->vectors * (u32)MSIX_ENTRY, pba = (f->vectors + 63u) / 64 * 8;

    machine_irq_lock(f->dev->machine);
    if (range_ok(off - f->table_at, size, table))
        *val = pci_bytes(f->table + (off - f->table_at), size);
    else if (range_ok(off - f->pba_at, size, pba))
        *val = pci_bytes(f->pba + (off - f->pba_at), size);
    else
        size = 0;
    machine_irq_unlock(f->dev->machine);
    return size;
}

bool pci_msix_store(struct pci_function *f, u32 off, u32 size, u64 val)
{
    u32 table = f->vectors * (u32)MSIX_ENTRY, pba = (f->vectors + 63u) / 64 * 8;
    u32 at = off - f->table_at, vector = at / MSIX_ENTRY;

    if (!range_ok(at, size, table))
        return range_ok(off - f->pba_at, size, pba); /* the guest only reads pending bits */
    machine_irq_lock(f->dev->machine);
    memcpy(f->table + at, &val, size);
    f->table[vector * MSIX_ENTRY + ENTRY_CONTROL] &= ENTRY_MASKED;
    memset(f->table + vector * MSIX_ENTRY + ENTRY_CONTROL + 1, 0, 3);
    f->table[vector * MSIX_ENTRY] &= ~3u;
    pci_msix_flush(f, vector, vector + 1);
    machine_irq_unlock(f->dev->machine);
    return true;
}
