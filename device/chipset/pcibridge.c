/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI bridges of VMware's boards: the bridge to the old PCI bus, PCI Express root ports, the AGP
 * bridge of the 440BX.  What they let through is the bus's (bus/pci_bridge.c).
 * Left out: hot plug and error reporting of root ports, power states.
 */
#include "base/bytes.h"
#include "bus/pci.h"
#include <errno.h>
#include <string.h>

enum { VMWARE = 0x15ad, CAP_SUBSYSTEM = 0x0d, CAP_EXPRESS = 0x10, EXPRESS_SIZE = 58 };

struct pcibridge {
    struct device dev;
    struct pcibridge_config {
        char kind[8];
        u32 bus; /* the bus behind it, by our number */
    } config;
};

static const struct pcibridge_kind {
    const char *name;
    struct pci_ident ident;
} kinds[] = {
    { "pci", { .vendor = VMWARE, .device = 0x0790, .class = 0x060401, .revision = 2 } },
    { "root", { .vendor = VMWARE, .device = 0x07a0, .class = 0x060400, .revision = 1 } },
    { "agp", { .vendor = 0x8086, .device = 0x7191, .class = 0x060400, .revision = 1 } },
};

/* PCI Express Base 3.0, 7.8: a root port without a slot, one lane of 2.5 GT/s, which is up. */
static int pcibridge_express(struct device *d)
{
    u8 body[EXPRESS_SIZE] = { 0 };

    put_le16(body, 0x0042);      /* version 2, root port */
    put_le32(body + 10, 0x0011); /* can: x1, 2.5 GT/s */
    put_le16(body + 16, 0x2011); /* has: the same, link is active */
    return pci_capability(d, CAP_EXPRESS, body, sizeof(body));
}

static int pcibridge_capabilities(struct device *d, const struct pci_ident *id)
{
    u8 body[6] = { 0 };
    int r;

    if (id->vendor != VMWARE)
        return 0;
    put_le16(body + 2, id->vendor);
    put_le16(body + 4, id->device);
    r = pci_capability(d, CAP_SUBSYSTEM, body, sizeof(body));
    if (r >= 0 && id->device == 0x07a0)
        r = pcibridge_express(d);
    return r < 0 ? r : 0;
}

static int pcibridge_create(struct device *d, struct err *e)
{
    const struct pcibridge_config *c = &((struct pcibridge *)d)->config;
    const struct pcibridge_kind *k = kinds;
    int r;

    while (k < kinds + LEN(kinds) && strcmp(k->name, c->kind))
        k++;
    if (k == kinds + LEN(kinds) || !c->bus || c->bus > 255)
        return err_set(e, -EINVAL, "no bridge is of the kind %s with bus %u", c->kind, c->bus);
    r = pci_plug(d, &k->ident, e);
    r = r ? r : pci_bridge(d, (u8)c->bus, e);
    if (!r && pcibridge_capabilities(d, &k->ident))
        r = err_set(e, -ENOSPC, "no room for capabilities");
    return r;
}

static void pcibridge_destroy(struct device *d)
{
    pci_unplug(d);
}

static const struct field config[] = {
    FIELD_TEXT(1, struct pcibridge_config, kind, 0, "pci, root (a PCI Express root port) or agp"),
    FIELD(2, struct pcibridge_config, bus, 0, "number of the bus behind it, 1 to 255"), FIELD_END
};

const struct device_class device_pcibridge = {
    .name = "pcibridge",
    .about = "PCI bridge of a VMware board (15ad:0790, 15ad:07a0, 8086:7191)",
    .size = sizeof(struct pcibridge),
    .config_at = offsetof(struct pcibridge, config),
    .config = config,
    .config_default = &(const struct pcibridge_config){ .kind = "root", .bus = 1 },
    .config_size = sizeof(struct pcibridge_config),
    .create = pcibridge_create,
    .destroy = pcibridge_destroy,
};
