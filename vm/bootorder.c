/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boot order of a description as the firmware reads it: a line for each drive and card, its
 * Open Firmware path, where our controllers sit.  SeaBIOS goes by the places only; OVMF by the
 * names too (OvmfPkg's QemuBootOrderLib).
 */
#include "bus/pci.h"
#include "vm/vm_int.h"
#include <stdio.h>
#include <string.h>

/* What the function is called, and the path below it; "": the function is the drive. */
static const char *order_unit(const char *class, u32 unit, char *text, size_t room)
{
    if (!strcmp(class, "ide")) {
        snprintf(text, room, "/drive@%x/disk@%x", unit / 2, unit % 2);
        return "ide";
    }
    if (!strcmp(class, "ahci")) {
        snprintf(text, room, "/drive@%x/disk@0", unit);
        return "pci8086,2922";
    }
    if (!strcmp(class, "nvme")) {
        snprintf(text, room, "/namespace@%x,0", unit + 1);
        return "pci8086,5845";
    }
    if (!strcmp(class, "virtio_blk"))
        snprintf(text, room, "/disk@0,0");
    else
        snprintf(text, room, "/channel@0/disk@%x,0", unit);
    return "scsi";
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

static void order_place(const struct device *v, const char *name, const char *unit, char *to,
                        size_t room)
{
    char function[8] = "", bridge[32];

    if (!v || !v->bus)
        return;
    if (pci_function(v))
        snprintf(function, sizeof(function), ",%x", pci_function(v));
    snprintf(to, room, "/pci@i0cf8/%s%s@%x%s%s\n", order_bridge(v, bridge, sizeof(bridge)), name,
             pci_slot(v), function, unit);
}

static void order_disk(const struct vm *vm, const struct desc_disk *k, char *to, size_t room)
{
    const char *class = order_class(vm->how.desc, k->controller), *name;
    const struct device *v;
    char unit[40];

    if (!class)
        return;
    if (k->media == DESC_FLOPPY) { /* of the ISA bridge */
        v = machine_device(vm->machine, "piix3");
        snprintf(to, room, "/pci@i0cf8/isa@%x/fdc@03f0/floppy@%u\n", v ? pci_slot(v) : 1, k->unit);
        return;
    }
    v = machine_device(vm->machine, strcmp(class, "virtio_blk") ? k->controller : k->name);
    name = order_unit(class, k->unit, unit, sizeof(unit));
    order_place(v, name, unit, to, room);
}

/* All that comes at this place, and the next place. */
static u32 order_lines(const struct vm *vm, u32 place, char *text, size_t room)
{
    u32 next = UINT32_MAX;

    for (const struct desc_disk *k = vm->how.desc->disks; k; k = k->next) {
        size_t n = strlen(text);

        if (k->boot && k->boot == place)
            order_disk(vm, k, text + n, room - n);
        next = k->boot > place && k->boot < next ? k->boot : next;
    }
    for (const struct desc_nic *c = vm->how.desc->nics; c; c = c->next) {
        size_t n = strlen(text);

        if (c->boot && c->boot == place)
            order_place(machine_device(vm->machine, c->name), "ethernet", "/ethernet-phy@0",
                        text + n, room - n);
        next = c->boot > place && c->boot < next ? c->boot : next;
    }
    return next;
}

void vm_boot_order(const struct vm *vm, char *text, size_t room)
{
    u32 place = 0;

    *text = 0;
    do
        place = order_lines(vm, place, text, room);
    while (place != UINT32_MAX);
    if (*text)
        text[strlen(text) - 1] = 0; /* lines are parted, not ended, by newlines */
}
