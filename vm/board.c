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
#include <stdio.h>
#include <strings.h>

enum { BOARD_FIRST = 4, BOARD_EXPRESS = 7, BOARD_AGP_BUS = 255 };

static const struct board_bridge {
    u8 n, slot, functions;
    u32 since; /* hardware version */
    const char *kind;
} board_bridges[] = {
    { 0, 17, 1, BOARD_FIRST, "pci" },    { 4, 21, 8, BOARD_EXPRESS, "root" },
    { 5, 22, 8, BOARD_EXPRESS, "root" }, { 6, 23, 8, BOARD_EXPRESS, "root" },
    { 7, 24, 8, BOARD_EXPRESS, "root" },
};

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
    if (!said && desc_extra(d, "vmx", "pciBridge0.present"))
        return false;
    return said ? !strcasecmp(said, "TRUE") : d->hardware_version >= b->since;
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

int vm_bridges_build(struct vm *vm, bool agp, struct err *e)
{
    const struct desc *d = vm->how.desc;
    int r = 0;

    if (!vm_board_is_vmware(vm))
        return 0;
    if (agp)
        r = board_bridge(vm, "agp", 1, 0, BOARD_AGP_BUS, e);
    for (u32 i = 0; i < LEN(board_bridges) && !r; i++) {
        const struct board_bridge *b = &board_bridges[i];

        for (u8 f = 0; f < b->functions && !r && board_has(d, b); f++)
            r = board_bridge(vm, b->kind, b->slot, f, (u8)(f << 5 | (b->n + 1)), e);
    }
    return r;
}
