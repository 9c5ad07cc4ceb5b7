/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB of a description: its controllers; a tablet, as VMware plugs one into every VM that has
 * USB; a keyboard where it is asked for; disks and CD-ROMs as sticks.
 */
#include "bus/usb.h"
#include "device/usb/input.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The controllers, by how fast they are. */
static const char *const usb_hosts[] = { "uhci", "ehci", "xhci" };
enum { USB_HOSTS = LEN(usb_hosts) };

static const struct desc_device *usb_of(const struct desc *d, const char *class)
{
    for (const struct desc_device *v = d->devices; v; v = v->next)
        if (v->known && !strcmp(v->class, class))
            return v;
    return NULL;
}

bool vm_usb_is(const char *class)
{
    for (u32 i = 0; i < USB_HOSTS; i++)
        if (!strcmp(class, usb_hosts[i]))
            return true;
    return !strcmp(class, "usb_storage") || !strcmp(class, "usb_keyboard");
}

static int usb_device(struct vm *vm, const char *class, const char *name, const char *host, bool cd,
                      struct blk *b, struct err *e)
{
    const char *settings[] = { "host", host, cd ? "cd" : NULL, "true", NULL };
    struct device_end ends[] = { { b ? "blk" : NULL, b }, { NULL, NULL } };

    return device_new(vm->machine, class, name, settings, ends, NULL, e);
}

/* The disks of all USB controllers of the description are on one host. */
static int usb_disks(struct vm *vm, const char *host, struct err *e)
{
    int r = 0;

    for (const struct desc_disk *k = vm->how.desc->disks; k && !r; k = k->next) {
        const struct desc_device *v =
            k->controller ? desc_device(vm->how.desc, k->controller) : NULL;
        struct blk *b = NULL;

        if (!v || strcmp(v->class, "usb_storage"))
            continue;
        if (!k->path && k->media != DESC_CDROM)
            return err_set(e, -ENOENT, "%s: the package names no file for it", k->name);
        r = k->path ? vm_build_blk(vm, k, &b, e) : 0;
        if (!r)
            r = usb_device(vm, "usb_storage", k->name, host, k->media == DESC_CDROM, b, e);
    }
    return r;
}

int vm_usb_build(struct vm *vm, struct err *e)
{
    const struct desc *d = vm->how.desc;
    const char *fastest = NULL, *slowest = NULL;
    int r = 0;

    for (u32 i = 0; i < USB_HOSTS && !r; i++) {
        const struct desc_device *v = usb_of(d, usb_hosts[i]);

        if (!v)
            continue;
        fastest = v->name;
        slowest = slowest ? slowest : v->name;
        r = device_new(vm->machine, v->class, v->name, NULL, NULL, NULL, e);
    }
    if (!r && !fastest && usb_of(d, "usb_storage")) {
        fastest = slowest = "xhci";
        r = device_new(vm->machine, "xhci", "xhci", NULL, NULL, NULL, e);
    }
    if (r || !fastest)
        return r;
    r = usb_disks(vm, fastest, e);
    r = r ? r : usb_device(vm, "usb_tablet", "usb_tablet", slowest, false, NULL, e);
    return r || !usb_of(d, "usb_keyboard")
               ? r
               : usb_device(vm, "usb_keyboard", "usb_keyboard", slowest, false, NULL, e);
}

bool vm_usb_point(struct vm *vm, u32 x, u32 y, i32 wheel, u32 buttons)
{
    struct device *d = machine_device(vm->machine, "usb_tablet");

    return d && usb_tablet_point(d, x, y, wheel, buttons);
}

bool vm_usb_key(struct vm *vm, u16 key, bool down)
{
    struct device *d = machine_device(vm->machine, "usb_keyboard");

    return d && usb_keyboard_key(d, key, down);
}
