/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The board of a VMware VM, by its hardware version: PCI bridges where its products put them.
 * pciBridge0 (slot 17) leads to a PCI bus for further old cards; pciBridge4 to 7 (slots 21 to 24)
 * are PCI Express root ports of eight functions each, for one card each.
 *
 * In slot numbers bridge n is n + 1 and its function stands above: so our buses are numbered.
 */
#include "bus/pci.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { BOARD_FIRST = 4, BOARD_EXPRESS = 7, BOARD_LAST = 21, BOARD_AGP_BUS = 255 };

static const struct board_bridge {
    u8 n, slot, functions;
    u32 since; /* hardware version */
    const char *kind;
} board_bridges[] = {
    { 0, 17, 1, BOARD_FIRST, "pci" },    { 4, 21, 8, BOARD_EXPRESS, "root" },
    { 5, 22, 8, BOARD_EXPRESS, "root" }, { 6, 23, 8, BOARD_EXPRESS, "root" },
    { 7, 24, 8, BOARD_EXPRESS, "root" },
};

/* Since which hardware version VMware had a device. */
static const struct board_device {
    const char *class;
    u32 since;
} board_devices[] = {
    { "vmxnet3", 7 }, { "pvscsi", 7 }, { "lsisas1068", 7 }, { "ehci", 7 },
    { "xhci", 8 },    { "e1000e", 8 }, { "ahci", 10 },      { "nvme", 13 },
};

static void board_too_new(const struct desc *d, const char *name, const char *class,
                          struct notes *notes)
{
    for (u32 i = 0; i < LEN(board_devices); i++)
        if (!strcmp(board_devices[i].class, class) && d->hardware_version < board_devices[i].since)
            note(notes, NOTE_CHANGED, name,
                 "VMware's hardware version %u had no %s, which came with %u: it is there all the "
                 "same",
                 d->hardware_version, class, board_devices[i].since);
}

int vm_board_check(const struct vm *vm, struct notes *notes, struct err *e)
{
    const struct desc *d = vm->how.desc;

    if (d->hardware_version > BOARD_LAST)
        return err_set(
            e, -EOPNOTSUPP,
            "%s: VMware's hardware version %u is newer than those that can be run, %d to "
            "%d",
            d->name, d->hardware_version, BOARD_FIRST, BOARD_LAST);
    for (const struct desc_device *v = d->devices; d->hardware_version && v; v = v->next)
        board_too_new(d, v->name, v->class, notes);
    for (const struct desc_nic *n = d->nics; d->hardware_version && n; n = n->next)
        board_too_new(d, n->name, n->class, notes);
    return 0;
}

bool vm_board_is_vmware(const struct vm *vm)
{
    return vm->how.desc->hardware_version >= BOARD_FIRST;
}

/* A VMX names its bridges; who names none has those of its hardware version. */
static bool board_has(const struct desc *d, const struct board_bridge *b)
{
    char key[32];
    const char *said;

    snprintf(key, sizeof(key), "pciBridge%u.present", b->n);
    said = desc_extra(d, "vmx", key);
    return said ? !strcasecmp(said, "TRUE") : d->hardware_version >= b->since;
}

static u8 board_functions(const struct desc *d, const struct board_bridge *b)
{
    char key[32];
    const char *said;

    snprintf(key, sizeof(key), "pciBridge%u.functions", b->n);
    said = b->functions > 1 ? desc_extra(d, "vmx", key) : NULL;
    return said && said[0] >= '1' && said[0] <= '8' && !said[1] ? (u8)(said[0] - '0')
                                                                : b->functions;
}

static int board_bridge(struct vm *vm, const char *kind, u8 slot, u8 function, u8 bus,
                        struct err *e)
{
    const char *settings[] = { "kind", kind, "bus", NULL, NULL };
    char name[24], number[8];
    int r;

    snprintf(name, sizeof(name), "bridge%x.%x", slot, function);
    snprintf(number, sizeof(number), "%u", bus);
    settings[3] = number;
    r = pci_place(vm->machine, name, slot, function, e);
    return r ? r
             : device_new(vm->machine, "pcibridge", name, settings,
                          (struct device_end[]){ { NULL, NULL } }, NULL, e);
}

int vm_bridges_build(struct vm *vm, struct err *e)
{
    const struct desc *d = vm->how.desc;
    int r;

    if (!vm_board_is_vmware(vm))
        return 0;
    r = board_bridge(vm, "agp", 1, 0, BOARD_AGP_BUS, e);
    for (u32 i = 0; i < LEN(board_bridges) && !r; i++) {
        const struct board_bridge *b = &board_bridges[i];

        for (u8 f = 0; f < board_functions(d, b) && !r && board_has(d, b); f++)
            r = board_bridge(vm, b->kind, b->slot, f, (u8)(f << 5 | (b->n + 1)), e);
    }
    return r;
}
