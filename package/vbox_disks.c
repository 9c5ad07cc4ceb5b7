/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Drives of a VirtualBox machine: on named controllers since 1.7 (under Hardware since 1.19,
 * beside it before), by bus, channel and device earlier.
 */
#include "package/vbox_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool disks_number(const struct xml_node *n, const char *attr, unsigned most, unsigned *v)
{
    const char *text = xml_attr(n, attr);
    unsigned long number;
    char *end;

    *v = 0;
    if (!text || !*text)
        return true;
    number = strtoul(text, &end, 10);
    if (*end || *text == '-' || number >= most)
        return false;
    *v = (unsigned)number;
    return true;
}

/* An empty drive stays empty; the host's own drive is not ours to give. */
static int disks_medium(struct vbox *x, struct desc_disk *k, const struct xml_node *n)
{
    const struct xml_node *image = xml_child(n, "Image"), *host = xml_child(n, "HostDrive");

    if (host)
        note(x->n, NOTE_LOST, k->name, "is the host's own drive \"%s\": it is empty",
             xml_attr(host, "src") ? xml_attr(host, "src") : "");
    if (!image || !xml_attr(image, "uuid"))
        return 0;
    return vbox_medium(x, k, xml_attr(image, "uuid"));
}

static int disks_attached(struct vbox *x, const struct vbox_controller *c, struct desc_device *v,
                          const struct xml_node *n)
{
    const char *type = xml_attr(n, "type");
    unsigned port, device;
    enum desc_media media = DESC_DISK;
    struct desc_disk *k;

    if (type && !strcasecmp(type, "DVD"))
        media = DESC_CDROM;
    else if (type && !strcasecmp(type, "Floppy"))
        media = DESC_FLOPPY;
    else if (!type || strcasecmp(type, "HardDisk"))
        return err_set(x->e, -EBADMSG, "%s: a drive of the type \"%.40s\"", x->file,
                       type ? type : "");
    if (!disks_number(n, "port", c->ports, &port) ||
        !disks_number(n, "device", c->devices, &device))
        return err_set(x->e, -EBADMSG, "%s: %s has no port %.20s, device %.20s", x->file, v->name,
                       xml_attr(n, "port") ? xml_attr(n, "port") : "",
                       xml_attr(n, "device") ? xml_attr(n, "device") : "0");
    k = place_disk(x->d, x->n, media, v, (long)(port * c->devices + device));
    if (!k)
        return -ENOMEM;
    xml_take(n, "type");
    xml_take(n, "port");
    xml_take(n, "device");
    return disks_medium(x, k, n);
}

static int disks_controller(struct vbox *x, const struct xml_node *n)
{
    const char *type = xml_attr(n, "type");
    const struct vbox_controller *c = vbox_controller(type);
    struct desc_device *v;
    int r = 0;

    if (!c)
        return err_set(x->e, -EOPNOTSUPP, "%s: a storage controller of the type \"%.40s\"", x->file,
                       type ? type : "");
    v = place_controller(x->d, x->n, c->kind, type);
    if (!v)
        return -ENOMEM;
    xml_take(n, "type");
    for (n = xml_child(n, "AttachedDevice"); n && !r; n = xml_next(n, "AttachedDevice"))
        r = disks_attached(x, c, v, n);
    return r;
}

/* ---- before 1.7 ---- */

static struct desc_device *disks_old_bus(struct vbox *x, const char *bus)
{
    bool sata = !strncasecmp(bus, "sata", 4);
    const char *type = xml_attr(xml_child(xml_child(x->hardware, "BIOS"), "IDEController"), "type");
    struct desc_device *v = desc_device(x->d, sata ? "sata0" : "ide0");

    if (v)
        return v;
    return sata ? place_controller(x->d, x->n, NAME_SATA, "AHCI")
                : place_controller(x->d, x->n, NAME_IDE, vbox_controller(type) ? type : "PIIX3");
}

static int disks_old_hard(struct vbox *x, const struct xml_node *n)
{
    const char *bus = xml_attr(n, "bus"), *device = xml_attr(n, "device");
    const char *uuid = xml_attr(n, "hardDisk");
    unsigned channel = 0, unit = 0;
    struct desc_device *v;
    struct desc_disk *k;

    if (!bus || !uuid)
        return err_set(x->e, -EBADMSG, "%s: a HardDiskAttachment without a bus or a disk", x->file);
    if (!strcasecmp(bus, "ide0") || !strcasecmp(bus, "ide1")) { /* up to 1.2 */
        channel = bus[3] == '1';
        unit = device && !strcasecmp(device, "slave");
    } else if (!disks_number(n, "channel", 30, &channel) || !disks_number(n, "device", 2, &unit)) {
        return err_set(x->e, -EBADMSG, "%s: bus %.20s has no channel %.20s, device %.20s", x->file,
                       bus, xml_attr(n, "channel") ? xml_attr(n, "channel") : "0",
                       device ? device : "0");
    }
    v = disks_old_bus(x, bus);
    if (!v)
        return -ENOMEM;
    k = place_disk(x->d, x->n, DESC_DISK, v,
                   !strncasecmp(bus, "sata", 4) ? (long)channel : (long)(channel * 2 + unit));
    return k ? vbox_medium(x, k, uuid) : -ENOMEM;
}

/* The CD drive was always the second channel's first, the floppy drive could be switched off. */
static int disks_old(struct vbox *x, const struct xml_node *hard)
{
    const struct xml_node *cd = xml_child(x->hardware, "DVDDrive");
    const struct xml_node *floppy = xml_child(x->hardware, "FloppyDrive");
    const char *enabled = xml_attr(floppy, "enabled");
    struct desc_disk *k;
    int r = 0;

    for (hard = xml_child(hard, "HardDiskAttachment"); hard && !r;
         hard = xml_next(hard, "HardDiskAttachment"))
        r = disks_old_hard(x, hard);
    if (!r && cd) {
        struct desc_device *v = disks_old_bus(x, "ide");

        k = v ? place_disk(x->d, x->n, DESC_CDROM, v, 2) : NULL;
        r = k ? disks_medium(x, k, cd) : -ENOMEM;
    }
    if (!r && floppy && (!enabled || vbox_true(enabled))) {
        struct desc_device *v = place_controller(x->d, x->n, NAME_FLOPPY, "I82078");

        k = v ? place_disk(x->d, x->n, DESC_FLOPPY, v, 0) : NULL;
        r = k ? disks_medium(x, k, floppy) : -ENOMEM;
    }
    return r;
}

/* ---- the order in which they are booted from: by kind, the first of each ---- */

static void disks_boot(struct vbox *x)
{
    const struct xml_node *o = xml_child(xml_child(x->hardware, "Boot"), "Order");

    for (; o; o = xml_next(o, "Order")) {
        const char *device = xml_attr(o, "device");
        enum desc_media media = DESC_DISK;
        struct desc_disk *k = x->d->disks;
        unsigned at;

        if (!device || !disks_number(o, "position", 100, &at) || !at)
            continue;
        if (!strcasecmp(device, "Network") && x->d->nics)
            x->d->nics->boot = at;
        if (!strcasecmp(device, "DVD"))
            media = DESC_CDROM;
        else if (!strcasecmp(device, "Floppy"))
            media = DESC_FLOPPY;
        else if (strcasecmp(device, "HardDisk"))
            continue;
        while (k && k->media != media)
            k = k->next;
        if (k && !k->boot)
            k->boot = at;
    }
}

int vbox_storage(struct vbox *x)
{
    const struct xml_node *all = xml_child(x->hardware, "StorageControllers");
    const struct xml_node *old = xml_child(x->machine, "HardDiskAttachments"), *c;
    int r = 0;

    all = all ? all : xml_child(x->machine, "StorageControllers");
    for (c = xml_child(all, "StorageController"); c && !r; c = xml_next(c, "StorageController"))
        r = disks_controller(x, c);
    if (!r && x->version < 9 && (old || xml_child(x->hardware, "DVDDrive")))
        r = disks_old(x, old);
    disks_boot(x);
    return r;
}
