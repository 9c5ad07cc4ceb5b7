/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boot order of a description as the firmware reads it: a line for each drive, its Open
 * Firmware path, where our controllers sit.  Left out: network cards, whose boot code we do not have.
 */
#include "bus/pci.h"
#include "vm/vm_int.h"
#include <stdio.h>
#include <string.h>

/* The path below its PCI function; "": the function is the drive. */
static int order_unit(const char *class, u32 unit, char *text, size_t room)
{
    if (!strcmp(class, "ide"))
        return snprintf(text, room, "/drive@%x/disk@%x", unit / 2, unit % 2);
    if (!strcmp(class, "ahci"))
        return snprintf(text, room, "/drive@%x/disk@0", unit);
    if (!strcmp(class, "virtio_blk") || !strcmp(class, "nvme"))
        return snprintf(text, room, "%s", "");
    return snprintf(text, room, "/channel@0/disk@%x,0", unit);
}

static const char *order_class(const struct desc *d, const char *controller)
{
    for (const struct desc_device *v = d->devices; v; v = v->next)
        if (controller && !strcmp(v->name, controller))
            return v->class;
    return NULL;
}

/* The bridge that it is behind, as a part of a path; or "". */
static const char *order_bridge(const struct device *v, char *text, size_t room)
{
    const struct device *up = pci_upstream(v);

    *text = 0;
    if (up && pci_function(up))
        snprintf(text, room, "pci-bridge@%x,%x/", pci_slot(up), pci_function(up));
    else if (up)
        snprintf(text, room, "pci-bridge@%x/", pci_slot(up));
    return text;
}

static void order_line(const struct vm *vm, const struct desc_disk *k, char *to, size_t room)
{
    const char *class = order_class(vm->how.desc, k->controller);
    struct device *v;
    char unit[40], function[8] = "", bridge[32];

    if (!class)
        return;
    if (k->media == DESC_FLOPPY) { /* of the ISA bridge */
        v = machine_device(vm->machine, "piix3");
        snprintf(to, room, "/pci@i0cf8/isa@%x/fdc@03f0/floppy@%u\n", v ? pci_slot(v) : 1, k->unit);
        return;
    }
    v = machine_device(vm->machine, strcmp(class, "virtio_blk") ? k->controller : k->name);
    if (!v || !v->bus)
        return;
    if (pci_function(v))
        snprintf(function, sizeof(function), ",%x", pci_function(v));
    order_unit(class, k->unit, unit, sizeof(unit));
    snprintf(to, room, "/pci@i0cf8/%sdrives@%x%s%s\n", order_bridge(v, bridge, sizeof(bridge)),
             pci_slot(v), function, unit);
}

void vm_boot_order(const struct vm *vm, char *text, size_t room)
{
    u32 last = 0, next;

    *text = 0;
    do {
        next = UINT32_MAX;
        for (const struct desc_disk *k = vm->how.desc->disks; k; k = k->next)
            if (k->boot > last && k->boot < next)
                next = k->boot;
        for (const struct desc_disk *k = vm->how.desc->disks; k; k = k->next) {
            size_t n = strlen(text);

            if (k->boot == next && next != UINT32_MAX)
                order_line(vm, k, text + n, room - n);
        }
        last = next;
    } while (next != UINT32_MAX);
    if (*text)
        text[strlen(text) - 1] = 0; /* lines are parted, not ended, by newlines */
}
