/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI bus: who sits in which slot, configuration space, capabilities, the rest of what a
 * function needs.  PCI Local Bus 3.0, chapter 6.  No ECAM.
 */
#include "bus/pci_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PCI_FIRST_FREE = 2, COMMAND_WRITABLE = 0x0547, CAP_HEAD = 2 };

static void pci_function_free(struct pci_function *f)
{
    pci_msi_fini(f);
    free(f);
}

struct pci_function *pci_next(const struct pci_bus *b, u32 *bus, u32 *i)
{
    for (; b && *bus < PCI_BUSES; ++*bus, *i = 0)
        for (; b->segment[*bus] && *i < PCI_SLOTS * PCI_FUNCTIONS;) {
            struct pci_function *f = b->segment[*bus]->at[*i / PCI_FUNCTIONS][*i % PCI_FUNCTIONS];

            ++*i;
            if (f)
                return f;
        }
    return NULL;
}

static void pci_bus_free(void *arg)
{
    struct pci_bus *b = arg;
    struct pci_function *f;
    u32 bus = 0, i = 0;

    while ((f = pci_next(b, &bus, &i)))
        pci_function_free(f);
    for (u32 n = 0; n < PCI_BUSES; n++)
        free(b->segment[n]);
    free(b);
}

static void pci_function_reset(struct pci_function *f)
{
    struct machine *m = f->dev->machine;

    domain_lock(f->dev->domain);
    machine_irq_lock(m);
    put_le16(f->config + PCI_COMMAND, 0);
    f->config[PCI_CACHE_LINE] = f->config[PCI_LATENCY] = f->config[PCI_LINE] = 0;
    for (u32 i = PCI_BAR0; i < (f->below ? PCI_CAPS : PCI_BAR0 + 4 * PCI_BARS); i++)
        f->config[i] &= ~f->writable[i];
    if (f->below)
        f->config[BRIDGE_CONTROL] = 0;
    else
        put_le32(f->config + PCI_ROM, 0);
    pci_msi_reset(f);
    f->level = false;
    pci_msi_update(f);
    machine_irq_unlock(m);
    pci_bars_update(f);
    domain_unlock(f->dev->domain);
}

static void pci_bus_reset(struct machine *m, void *arg)
{
    struct pci_function *f;
    u32 bus = 0, i = 0;

    (void)m;
    while ((f = pci_next(arg, &bus, &i)))
        pci_function_reset(f);
}

static struct pci_bus *pci_bus(struct machine *m)
{
    struct pci_bus *b = machine_bus(m, "pci");

    if (b)
        return b;
    b = calloc(1, sizeof(*b));
    if (b)
        b->segment[0] = calloc(1, sizeof(*b->segment[0]));
    if (!b || !b->segment[0] || machine_bus_add(m, "pci", b, pci_bus_reset, pci_bus_free)) {
        if (b)
            free(b->segment[0]);
        free(b);
        return NULL;
    }
    b->machine = m;
    machine_bus_state(m, "pci", pci_save, pci_load);
    return b;
}

int pci_place(struct machine *m, const char *device_name, u8 slot, u8 function, struct err *e)
{
    return pci_place_on(m, device_name, 0, slot, function, e);
}

int pci_place_on(struct machine *m, const char *device_name, u8 bus, u8 slot, u8 function,
                 struct err *e)
{
    struct pci_bus *b = pci_bus(m);
    struct pci_place *p;

    if (slot >= PCI_SLOTS || function >= PCI_FUNCTIONS || !pci_has_bus(m, bus))
        return err_set(e, -EINVAL, "%s: there is no PCI slot %u.%u", device_name, slot, function);
    if (!b || b->nplaces == LEN(b->place))
        return err_set(e, -ENOSPC, "%s: too many PCI devices", device_name);
    p = &b->place[b->nplaces++];
    snprintf(p->name, sizeof(p->name), "%s", device_name);
    p->bus = bus;
    p->slot = slot;
    p->function = function;
    return 0;
}

int pci_number(struct machine *m, const char *device_name, u32 number, struct err *e)
{
    struct pci_bus *b = pci_bus(m);
    struct pci_number *n;

    if (!b || b->nnumbers == LEN(b->number))
        return err_set(e, -ENOSPC, "%s: too many PCI devices", device_name);
    n = &b->number[b->nnumbers++];
    snprintf(n->name, sizeof(n->name), "%s", device_name);
    n->number = number;
    return 0;
}

static u32 pci_number_of(const struct pci_bus *b, const char *name)
{
    for (u32 i = 0; i < b->nnumbers; i++)
        if (!strcmp(b->number[i].name, name))
            return b->number[i].number;
    return 0;
}

u32 pci_numbered(struct machine *m, struct pci_numbered *list, u32 room)
{
    const struct pci_bus *b = machine_bus(m, "pci");
    u32 bus = 0, i = 0, n = 0;
    struct pci_function *f;

    while ((f = pci_next(b, &bus, &i))) {
        struct pci_numbered one = { .number = pci_number_of(b, f->dev->name),
                                    .bus = pci_on(f),
                                    .slot = f->slot,
                                    .function = f->function };

        if (!one.number)
            continue;
        if (f->up) {
            one.bridge_slot = f->up->slot;
            one.bridge_function = f->up->function;
        }
        if (n < room)
            list[n] = one;
        n++;
    }
    return n;
}

static bool pci_slot_free(const struct pci_bus *b, u32 bus, u32 slot)
{
    for (u32 i = 0; i < PCI_FUNCTIONS; i++)
        if (b->segment[bus]->at[slot][i])
            return false;
    for (u32 i = 0; i < b->nplaces; i++) /* also when its owner comes later */
        if (b->place[i].bus == bus && b->place[i].slot == slot)
            return false;
    return true;
}

bool pci_has_bus(struct machine *m, u8 bus)
{
    const struct pci_bus *b = pci_bus(m);

    return b && b->segment[bus];
}

bool pci_vacant_on(struct machine *m, u8 bus, u8 slot)
{
    return pci_has_bus(m, bus) && slot < PCI_SLOTS && pci_slot_free(pci_bus(m), bus, slot);
}

bool pci_vacant(struct machine *m, u8 slot)
{
    return pci_vacant_on(m, 0, slot);
}

static int pci_seat(struct pci_bus *b, struct pci_function *f, struct err *e)
{
    u32 slot;

    for (u32 i = 0; i < b->nplaces; i++) {
        const struct pci_place *p = &b->place[i];

        if (strcmp(p->name, f->dev->name))
            continue;
        if (b->segment[p->bus]->at[p->slot][p->function])
            return err_set(e, -EBUSY, "PCI slot %u.%u is taken by %s", p->slot, p->function,
                           b->segment[p->bus]->at[p->slot][p->function]->dev->name);
        f->up = b->segment[p->bus]->bridge;
        f->slot = p->slot;
        f->function = p->function;
        return 0;
    }
    for (slot = PCI_FIRST_FREE; slot < PCI_SLOTS && !pci_slot_free(b, 0, slot);)
        slot++;
    if (slot == PCI_SLOTS)
        return err_set(e, -ENOSPC, "no PCI slot is free");
    f->slot = (u8)slot;
    return 0;
}

static void pci_name(u8 *config, const struct pci_ident *id)
{
    put_le16(config, id->vendor);
    put_le16(config + 2, id->device);
    put_le32(config + PCI_REVISION, id->class << 8 | id->revision);
    put_le16(config + PCI_SUBVENDOR, id->subvendor);
    put_le16(config + PCI_SUBVENDOR + 2, id->subdevice);
}

void pci_identify(struct device *d, const struct pci_ident *id)
{
    machine_irq_lock(d->machine);
    pci_name(pci_of(d)->config, id);
    pci_of(d)->changes = true;
    machine_irq_unlock(d->machine);
}

static void pci_header(struct pci_function *f, const struct pci_ident *id)
{
    pci_name(f->config, id);
    f->config[PCI_PIN] = id->pin;
    put_le16(f->writable + PCI_COMMAND, COMMAND_WRITABLE);
    f->writable[PCI_CACHE_LINE] = f->writable[PCI_LATENCY] = f->writable[PCI_LINE] = 0xff;
    f->used = PCI_OWN;
}

/*
 * INTx of a slot to PIRQ A to D, as PC boards with this host bridge turn them; each bridge on the
 * way turns them by the slot behind it (PCI-to-PCI Bridge Architecture 1.2, 9.1).
 */
static void pci_wire(struct pci_function *f, u8 pin)
{
    const struct pci_function *at = f;
    char name[] = "pci.a";
    u32 turned = pin - 1u;

    f->pin = pin;
    if (!pin)
        return;
    for (; at->up; at = at->up)
        turned += at->slot;
    name[4] = (char)('a' + ((at->slot + 3u + turned) & 3));
    f->wire = machine_wire(f->dev->machine, f->dev, name);
}

static void pci_mark_multi(struct pci_segment *s, u32 slot)
{
    for (u32 i = 1; i < PCI_FUNCTIONS; i++)
        for (u32 j = 0; s->at[slot][i] && j < PCI_FUNCTIONS; j++)
            if (s->at[slot][j])
                s->at[slot][j]->config[PCI_HEADER] |= HEADER_MULTI;
}

static int pci_function_init(struct pci_function *f, const struct pci_ident *id, struct err *e)
{
    int r;

    f->vectors = id->vectors;
    f->msix_bar = id->msix_bar;
    f->table_at = id->msix_table;
    f->pba_at = id->msix_pba;
    if (id->vectors > 2048 || id->pin > 4 || id->msix_bar >= PCI_BARS)
        return err_set(e, -EINVAL, "not a possible PCI function");
    r = pci_seat(f->bus, f, e);
    if (r)
        return r;
    pci_header(f, id);
    pci_wire(f, id->pin);
    r = pci_bars_init(f, id, e);
    return r ? r : pci_msi_init(f, id, e);
}

int pci_plug(struct device *d, const struct pci_ident *id, struct err *e)
{
    struct pci_bus *b = pci_bus(d->machine);
    struct pci_function *f = calloc(1, sizeof(*f));
    int r;

    if (!b || !f) {
        free(f);
        return err_set(e, -ENOMEM, "no memory for a PCI function");
    }
    f->dev = d;
    f->bus = b;
    d->bus = f;
    r = pci_function_init(f, id, e);
    if (r) {
        pci_bars_fini(f);
        pci_function_free(f);
        d->bus = NULL;
        return r;
    }
    pci_msi_reset(f);
    b->segment[pci_on(f)]->at[f->slot][f->function] = f;
    pci_mark_multi(b->segment[pci_on(f)], f->slot);
    return 0;
}

void pci_unplug(struct device *d)
{
    struct pci_function *f = pci_of(d);

    if (!f)
        return;
    irq_set(&f->wire, false);
    pci_bars_fini(f);
    if (f->below) {
        free(f->bus->segment[f->below]);
        f->bus->segment[f->below] = NULL;
    }
    f->bus->segment[pci_on(f)]->at[f->slot][f->function] = NULL;
    d->bus = NULL;
    pci_function_free(f);
}

int pci_capability(struct device *d, u8 id, const u8 *body, u32 len)
{
    struct pci_function *f = pci_of(d);
    u32 at = (f->used + 3u) & ~3u;

    if (!range_ok(at, CAP_HEAD + len, sizeof(f->config)))
        return -ENOSPC;
    f->config[at] = id;
    memcpy(f->config + at + CAP_HEAD, body, len);
    f->config[f->last_cap ? f->last_cap + 1 : PCI_CAPS] = (u8)at;
    f->config[PCI_STATUS] |= STATUS_CAPS;
    f->last_cap = (u8)at;
    f->used = (u8)min_u64(at + CAP_HEAD + len, 0xff);
    return (int)at;
}

u8 *pci_config(struct device *d)
{
    return pci_of(d)->config;
}

void pci_on_config(struct device *d, void (*fn)(struct device *d, u32 off, u32 size))
{
    pci_of(d)->on_config = fn;
}

void pci_config_writable(struct device *d, u32 off, u32 len, u8 mask)
{
    struct pci_function *f = pci_of(d);

    if (range_ok(off, len, sizeof(f->writable)))
        memset(f->writable + off, mask, len);
}

u8 pci_slot(const struct device *d)
{
    return pci_of(d)->slot;
}

u8 pci_function(const struct device *d)
{
    return pci_of(d)->function;
}

bool pci_master(const struct device *d)
{
    return pci_command(pci_of(d)) & COMMAND_MASTER;
}

const struct device *pci_upstream(const struct device *d)
{
    return pci_of(d)->up ? pci_of(d)->up->dev : NULL;
}

/* The bus that the guest calls so; bridges to buses without a number lead nowhere. */
static const struct pci_segment *pci_called(const struct pci_bus *b, u8 bus)
{
    if (!bus)
        return b->segment[0];
    for (u32 i = 1; i < PCI_BUSES; i++)
        if (b->segment[i] && b->segment[i]->bridge->config[BRIDGE_SECONDARY] == bus)
            return b->segment[i];
    return NULL;
}

static struct pci_function *pci_find(struct machine *m, u8 bus, u8 slot, u8 function, u32 off,
                                     u32 size)
{
    struct pci_bus *b = machine_bus(m, "pci");
    const struct pci_segment *s;

    if (!b || slot >= PCI_SLOTS || function >= PCI_FUNCTIONS || off >= 256 || !size ||
        (off & 3) + size > 4)
        return NULL;
    machine_irq_lock(m);
    s = pci_called(b, bus);
    machine_irq_unlock(m);
    return s ? s->at[slot][function] : NULL;
}

u32 pci_config_load(struct machine *m, u8 bus, u8 slot, u8 function, u32 off, u32 size)
{
    struct pci_function *f = pci_find(m, bus, slot, function, off, size);
    u32 val = 0;

    if (!f)
        return size < 4 ? (1u << (8 * size)) - 1 : ~0u;
    domain_lock(f->dev->domain);
    memcpy(&val, f->config + off, size);
    domain_unlock(f->dev->domain);
    return val;
}

void pci_config_store(struct machine *m, u8 bus, u8 slot, u8 function, u32 off, u32 size, u32 val)
{
    struct pci_function *f = pci_find(m, bus, slot, function, off, size);
    bool own = false;

    if (!f)
        return;
    domain_lock(f->dev->domain);
    machine_irq_lock(m);
    for (u32 i = off; i < off + size; i++, val >>= 8) {
        f->config[i] = (u8)((f->config[i] & ~f->writable[i]) | ((u8)val & f->writable[i]));
        own = own || (i >= PCI_OWN && !pci_msi_owns(f, i));
    }
    pci_msi_update(f);
    machine_irq_unlock(m);
    pci_bars_update(f);
    if (own && f->on_config)
        f->on_config(f->dev, off, size);
    domain_unlock(f->dev->domain);
    if (f->below && off < PCI_OWN)
        pci_bridge_update(f);
}
