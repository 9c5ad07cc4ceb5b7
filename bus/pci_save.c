/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the bus keeps for a function, saved and loaded: configuration space, its interrupt
 * line, the MSI-X table and its pending bits.  Where the BARs stand follows from it.
 */
#include "bus/pci_int.h"
#include <errno.h>
#include <string.h>

struct pci_saved {
    u8 config[256];
    u8 slot, function;
    u16 vectors;
    bool level;
    u8 bus; /* ours */
    u8 pad[2];
};
static const struct field pci_saved_fields[] = {
    FIELDS(1, struct pci_saved, config, F_MUST, "configuration space"),
    FIELD(2, struct pci_saved, slot, F_MUST, "slot"),
    FIELD(3, struct pci_saved, function, F_MUST, "function"),
    FIELD(4, struct pci_saved, vectors, F_MUST, "entries of the MSI-X table"),
    FIELD(5, struct pci_saved, level, F_MUST, "the device asks for an interrupt"),
    FIELD(6, struct pci_saved, bus, 0, "bus"),
    FIELDS(0, struct pci_saved, pad, F_LOCAL, "none"),
    FIELD_END,
};

static u32 pci_table_bytes(const struct pci_function *f)
{
    return f->vectors * (u32)MSIX_ENTRY;
}

static u32 pci_pba_bytes(const struct pci_function *f)
{
    return (f->vectors + 63u) / 64 * 8;
}

/* Is it on the bus?  Others keep something else behind d->bus. */
static struct pci_function *pci_mine(const struct device *d)
{
    struct pci_bus *b = machine_bus(d->machine, "pci");

    struct pci_function *f;
    u32 bus = 0, i = 0;

    while ((f = pci_next(b, &bus, &i)))
        if (f->dev == d)
            break;
    return f;
}

int pci_save(const struct device *d, struct buf *to)
{
    const struct pci_function *f = pci_mine(d);
    size_t at = to->len;
    struct pci_saved s = { 0 };
    int r;

    if (!f)
        return 0;
    memcpy(s.config, f->config, sizeof(s.config));
    s.bus = pci_on(f);
    s.slot = f->slot;
    s.function = f->function;
    s.vectors = f->vectors;
    s.level = f->level;
    if (!buf_room(to, 4))
        return -ENOMEM;
    r = field_save(pci_saved_fields, &s, to);
    put_le32(to->p + at, (u32)(to->len - at - 4));
    if (!r && f->vectors)
        r = buf_add(to, f->table, pci_table_bytes(f));
    return !r && f->vectors ? buf_add(to, f->pba, pci_pba_bytes(f)) : r;
}

/* Who it is, of a function that says now this, now that. */
static bool pci_is_name(u32 off)
{
    return off < PCI_COMMAND || (off >= PCI_REVISION && off < PCI_CACHE_LINE) ||
           (off >= PCI_SUBVENDOR && off < PCI_ROM);
}

/* What no guest can have changed in the header is the same, or it is another device. */
static bool pci_is_same(const struct pci_function *f, const u8 *config)
{
    for (u32 i = 0; i < PCI_OWN; i++)
        if (i != PCI_STATUS && !(f->changes && pci_is_name(i)) &&
            ((config[i] ^ f->config[i]) & ~f->writable[i]))
            return false;
    return true;
}

static int pci_load_table(struct pci_function *f, struct cursor *c, struct err *e)
{
    const u8 *table = cursor_take(c, pci_table_bytes(f)), *pba = cursor_take(c, pci_pba_bytes(f));

    if (c->bad || c->at != c->len)
        return err_set(e, -EBADMSG, "its MSI-X table has another size");
    if (!f->vectors)
        return 0;
    for (u32 i = 0; i < f->vectors; i++) {
        const u8 *entry = table + i * MSIX_ENTRY;

        if (entry[0] & 3 || le32(entry + 12) > 1)
            return err_set(e, -EBADMSG, "MSI-X vector %u: bits are set that do not exist", i);
    }
    memcpy(f->table, table, pci_table_bytes(f));
    memcpy(f->pba, pba, pci_pba_bytes(f));
    return 0;
}

int pci_load(struct device *d, struct span from, struct err *e)
{
    struct pci_function *f = pci_mine(d);
    struct cursor c = cursor_of(from.p, from.len);
    u32 n = get_le32(&c);
    const u8 *p = cursor_take(&c, n);
    struct pci_saved s = { 0 };
    int r;

    if (!f)
        return err_set(e, -EINVAL, "it was saved on the PCI bus and is not there");
    if (c.bad)
        return err_set(e, -EBADMSG, "its PCI state is cut short");
    r = field_load(pci_saved_fields, &s, (struct span){ p, n }, e);
    if (r)
        return r;
    if (s.bus != pci_on(f) || s.slot != f->slot || s.function != f->function ||
        s.vectors != f->vectors || !pci_is_same(f, s.config))
        return err_set(e, -EINVAL, "another PCI function was saved: %04x:%04x in slot %u.%u",
                       le16(s.config), le16(s.config + 2), s.slot, s.function);
    domain_lock(d->domain);
    machine_irq_lock(d->machine);
    r = pci_load_table(f, &c, e);
    if (!r) {
        memcpy(f->config, s.config, sizeof(f->config));
        f->level = s.level;
    }
    machine_irq_unlock(d->machine);
    if (!r)
        pci_bars_update(f);
    domain_unlock(d->domain);
    if (!r && f->below)
        pci_bridge_update(f);
    return r;
}
