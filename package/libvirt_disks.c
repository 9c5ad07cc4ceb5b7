/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks of a libvirt domain, on controllers that are listed or only meant: by a drive address,
 * else by the letters of the target's name.
 */
#include "package/libvirt_int.h"
#include "package/locate.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DISKS_CONTROLLERS 64

static const struct libvirt_bus disks_buses[] = {
    { "ide", "hd", "ide", 4 },    { "scsi", "sd", "scsi", 7 },     { "sata", "sd", "sata", 6 },
    { "fdc", "fd", "fdc", 2 },    { "virtio", "vd", NULL, 65536 }, { "xen", "xvd", NULL, 65536 },
    { "usb", "sd", NULL, 65536 }, { "nvme", "nvme", NULL, 65536 }, { "sd", "sd", NULL, 65536 },
};

static const char *const disks_formats[][2] = { { "raw", "raw" },    { "qcow2", "qcow2" },
                                                { "qcow", "qcow" },  { "vmdk", "vmdk" },
                                                { "vdi", "vdi" },    { "vpc", "vhd" },
                                                { "vhd", "vhd" },    { "vhdx", "vhdx" },
                                                { "qed", "qed" },    { "parallels", "parallels" },
                                                { "dmg", "dmg" },    { "cloop", "cloop" },
                                                { "bochs", "bochs" } };

const char *libvirt_format_ours(const char *theirs)
{
    for (size_t i = 0; theirs && i < LEN(disks_formats); i++)
        if (!strcmp(disks_formats[i][0], theirs))
            return disks_formats[i][1];
    return NULL;
}

const char *libvirt_format_theirs(const char *ours)
{
    for (size_t i = 0; ours && i < LEN(disks_formats); i++)
        if (!strcmp(disks_formats[i][1], ours))
            return disks_formats[i][0];
    return NULL;
}

const struct libvirt_bus *libvirt_bus(const char *name)
{
    for (size_t i = 0; name && i < LEN(disks_buses); i++)
        if (!strcmp(disks_buses[i].name, name))
            return &disks_buses[i];
    return NULL;
}

const struct libvirt_bus *libvirt_bus_of(const struct desc_device *v)
{
    static const char *const classes[][2] = { { "ide", "ide" },     { "ahci", "sata" },
                                              { "fdc", "fdc" },     { "virtio_blk", "virtio" },
                                              { "xen_blk", "xen" }, { "usb_storage", "usb" },
                                              { "nvme", "nvme" },   { "sd", "sd" } };

    for (size_t i = 0; i < LEN(classes); i++)
        if (!strcmp(classes[i][0], v->class))
            return libvirt_bus(classes[i][1]);
    return !strncmp(v->name, "scsi", 4) ? libvirt_bus("scsi") : NULL;
}

const char *libvirt_target(const struct libvirt_bus *b, unsigned number, char text[16])
{
    char letters[8], *p = letters + sizeof(letters) - 1;

    *p = 0;
    for (unsigned n = number + 1; n && p > letters; n = (n - 1) / 26)
        *--p = (char)('a' + (n - 1) % 26);
    snprintf(text, 16, "%s%s", b->prefix, p);
    return text;
}

/* Behind a known prefix, letters; what follows (a partition, "1:cdrom") does not matter */
long libvirt_target_number(const char *name)
{
    static const char *const prefixes[] = { "hd", "sd", "vd", "xvd", "fd", "ubd" };
    long number = 0;
    const char *p = NULL;

    for (size_t i = 0; name && i < LEN(prefixes) && !p; i++)
        if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
            p = name + strlen(prefixes[i]);
    if (!p || !islower((u8)*p))
        return -1;
    for (; islower((u8)*p) && number < 65536; p++)
        number = number * 26 + (*p - 'a' + 1);
    return number - 1;
}

/* ---- controllers ---- */

struct disks { /* by bus and index, as libvirt numbers them */
    struct libvirt *x;
    struct desc_device *known[LEN(disks_buses)][DISKS_CONTROLLERS];
};

static bool disks_attr_number(const struct xml_node *n, const char *attr, unsigned most,
                              unsigned *v)
{
    const char *text = xml_attr(n, attr);
    unsigned long number;
    char *end;

    *v = 0;
    if (!text)
        return true;
    number = strtoul(text, &end, 0);
    if (end == text || *end || *text == '-' || number >= most)
        return false;
    *v = (unsigned)number;
    return true;
}

/* What a controller is that says no model, or one of libvirt's words for it */
static const char *disks_model(const struct libvirt *x, const char *bus, const char *model)
{
    if (!strcmp(bus, "scsi")) {
        if (model && !strcmp(model, "lsilogic") && x->qemu)
            return "lsi53c895a"; /* QEMU's is the older chip */
        if (model && strcmp(model, "auto"))
            return !strncmp(model, "virtio", 6) ? "virtio-scsi" : model;
        return x->qemu ? "lsi53c895a" : "lsilogic";
    }
    if (!strcmp(bus, "sata"))
        return "AHCI";
    return !strcmp(bus, "ide") ? (model ? model : "PIIX3") : "fdc";
}

static struct desc_device *disks_new(struct disks *w, size_t bus, const char *model, unsigned index)
{
    static const enum name_kind kinds[] = { NAME_IDE, NAME_SCSI, NAME_SATA, NAME_FLOPPY };
    static const char *const names[] = { "ide", "scsi", "sata", "fdc", "virtio",
                                         "xen", "usb",  "nvme", "sd" };
    static const char *const classes[] = { "virtio_blk", "xen_blk", "usb_storage", "nvme", "sd" };
    struct libvirt *x = w->x;
    struct desc_device *v;

    if (bus < LEN(kinds)) {
        v = place_controller(x->d, x->n, kinds[bus], disks_model(x, disks_buses[bus].name, model));
        if (v)
            v->foreign = model ? arena_text(&x->d->arena, model, strlen(model)) : NULL;
    } else {
        v = desc_add_device(x->d, names[bus], classes[bus - LEN(kinds)]);
        if (v)
            v->known = bus == LEN(kinds);
    }
    if (v)
        v->name = arena_print(&x->d->arena, "%s%u", names[bus], index); /* libvirt's own number */
    return v && v->name ? v : NULL;
}

static int disks_controller(struct disks *w, const struct xml_node *n)
{
    const char *type = xml_attr(n, "type"), *model = xml_attr(n, "model");
    const struct libvirt_bus *b = libvirt_bus(type);
    struct desc_device **at;
    unsigned index;

    if (!b || !b->controller)
        return 0;
    if (!disks_attr_number(n, "index", DISKS_CONTROLLERS, &index))
        return err_set(w->x->e, -EBADMSG, "%s: controller %s: \"%.20s\" is no index", w->x->file,
                       type, xml_attr(n, "index"));
    at = &w->known[b - disks_buses][index];
    if (*at)
        return err_set(w->x->e, -EBADMSG, "%s: two controllers %s have the index %u", w->x->file,
                       type, index);
    *at = disks_new(w, (size_t)(b - disks_buses), model, index);
    if (!*at)
        return -ENOMEM;
    xml_taken(n);
    xml_take(n, "type");
    xml_take(n, "model");
    xml_take(n, "index");
    return 0;
}

static struct desc_device *disks_on(struct disks *w, const struct libvirt_bus *b, unsigned index)
{
    struct desc_device **at = &w->known[b - disks_buses][index];

    if (!*at)
        *at = disks_new(w, (size_t)(b - disks_buses), NULL, index);
    return *at;
}

/* ---- disks ---- */

/* Controller and unit, by the address or by the target's letters */
static int disks_place(struct disks *w, const struct xml_node *n, const struct libvirt_bus *b,
                       struct desc_device **v, unsigned *unit)
{
    const struct xml_node *a = xml_child(n, "address"), *target = xml_child(n, "target");
    const char *type = xml_attr(a, "type"), *dev = xml_attr(target, "dev");
    static const char *const parts[] = { "type", "controller", "bus", "target", "unit" };
    unsigned controller, bus, id = 0;
    long letters = libvirt_target_number(dev);
    char usual[16];

    if (b->controller && a && type && !strcmp(type, "drive")) {
        if (!disks_attr_number(a, "controller", DISKS_CONTROLLERS, &controller) ||
            !disks_attr_number(a, "bus", 16, &bus) || !disks_attr_number(a, "target", 256, &id) ||
            !disks_attr_number(a, "unit", 16384, unit))
            return err_set(w->x->e, -EBADMSG, "%s: the disk %.20s has no possible address",
                           w->x->file, dev ? dev : "");
        if (id)
            *unit = *unit && *unit != id ? id * 64 + *unit : id;
        else if (!strcmp(b->name, "ide"))
            *unit += 2 * bus;
    } else {
        controller = letters < 0 ? 0 : (unsigned)letters / b->places;
        *unit = letters < 0 ? 0 : (unsigned)letters % b->places;
    }
    *v = controller < DISKS_CONTROLLERS ? disks_on(w, b, controller) : NULL;
    if (!*v)
        return controller < DISKS_CONTROLLERS
                   ? -ENOMEM
                   : err_set(w->x->e, -E2BIG, "%s: too many controllers", w->x->file);
    for (size_t i = 0; i < LEN(parts) && a && type && !strcmp(type, "drive") && !id; i++)
        xml_take(a, parts[i]);
    if (dev && !strcmp(dev, libvirt_target(b, controller * b->places + *unit, usual)))
        xml_take(target, "dev");
    return 0;
}

/* The bus that is meant by the target's name when none is said */
static const struct libvirt_bus *disks_bus(struct libvirt *x, const struct xml_node *n)
{
    const struct xml_node *target = xml_child(n, "target");
    const char *said = xml_attr(target, "bus"), *dev = xml_attr(target, "dev");

    if (said)
        return libvirt_bus(said);
    if (dev && !strncmp(dev, "xvd", 3))
        return libvirt_bus("xen");
    if (dev && !strncmp(dev, "vd", 2))
        return libvirt_bus("virtio");
    if (dev && !strncmp(dev, "sd", 2))
        return libvirt_bus("scsi");
    if (dev && !strncmp(dev, "fd", 2))
        return libvirt_bus("fdc");
    return libvirt_bus("ide");
}

static int disks_network(struct libvirt *x, struct desc_disk *k, const struct xml_node *source,
                         const char *type)
{
    const char *protocol = xml_attr(source, "protocol"), *name = xml_attr(source, "name");

    if (!protocol) { /* a volume of a storage pool, or what newer versions have */
        protocol = xml_attr(source, "pool") ? xml_attr(source, "pool") : type;
        name = xml_attr(source, "volume");
    }
    k->source = arena_print(&x->d->arena, "%s:%s", protocol, name ? name : "");
    note(x->n, NOTE_LOST, k->name, "is no file: \"%s\" cannot be read", k->source);
    return k->source ? 0 : -ENOMEM;
}

static int disks_medium(struct libvirt *x, struct desc_disk *k, const struct xml_node *n)
{
    const struct xml_node *source = xml_child(n, "source"), *driver = xml_child(n, "driver");
    const char *type = xml_attr(n, "type"), *format = xml_attr(driver, "type");
    const char *attr = "file", *name;

    type = type ? type : "file";
    if (!strcmp(type, "block"))
        attr = "dev";
    else if (!strcmp(type, "dir") || !strcmp(type, "vhostuser") || !strcmp(type, "nvme"))
        attr = "dir";
    name = xml_attr(source, attr);
    if (!strcmp(type, "file"))
        xml_take(n, "type");
    if (xml_child(source, "encryption") || xml_child(n, "encryption"))
        note(x->n, NOTE_KEPT, k->name, "is encrypted: its secret is not in the description");
    if (k->media == DESC_DISK && libvirt_format_ours(format)) {
        k->format = libvirt_format_ours(format);
        if (!strcmp(libvirt_format_theirs(k->format), format))
            xml_take(driver, "type");
    }
    if (!source || (!strcmp(type, "file") && !name))
        return 0;
    if (!name || !*name)
        return disks_network(x, k, source, type);
    if (!strcmp(type, "file"))
        xml_take(source, "file");
    return locate_disk(x->d, x->s, x->n, k, name, x->e);
}

static int disks_facts(struct libvirt *x, struct desc_disk *k, const struct xml_node *n)
{
    const struct xml_node *boot = xml_child(n, "boot");
    const char *serial = xml_take_text(n, "serial");
    unsigned order;

    if (xml_taken(xml_child(n, "readonly")))
        k->mode = DESC_READ;
    if (xml_taken(xml_child(n, "transient")))
        k->mode = DESC_THROWAWAY;
    if (*serial && !(k->serial = arena_text(&x->d->arena, serial, strlen(serial))))
        return -ENOMEM;
    if (boot && disks_attr_number(boot, "order", 1000, &order)) {
        k->boot = order;
        xml_take(boot, "order");
    }
    return 0;
}

static int disks_one(struct disks *w, const struct xml_node *n)
{
    static const char *const devices[] = { "disk", "cdrom", "floppy" };
    const char *device = xml_attr(n, "device");
    const struct libvirt_bus *b = disks_bus(w->x, n);
    enum desc_media media = DESC_DISK;
    struct desc_device *v;
    struct desc_disk *k;
    unsigned unit;
    int r;

    for (size_t i = 0; device && i < LEN(devices); i++)
        if (!strcmp(device, devices[i])) {
            media = (enum desc_media)i;
            xml_take(n, "device");
        }
    if (!b)
        return err_set(w->x->e, -EOPNOTSUPP, "%s: a disk on the bus \"%.40s\" is not supported",
                       w->x->file, xml_attr(xml_child(n, "target"), "bus"));
    if (media == DESC_FLOPPY)
        b = libvirt_bus("fdc");
    r = disks_place(w, n, b, &v, &unit);
    if (r)
        return r;
    k = place_disk(w->x->d, w->x->n, media, v, unit);
    if (!k)
        return -ENOMEM;
    xml_taken(n);
    if (xml_attr(xml_child(n, "target"), "bus") &&
        !strcmp(xml_attr(xml_child(n, "target"), "bus"), b->name))
        xml_take(xml_child(n, "target"), "bus");
    r = disks_medium(w->x, k, n);
    return r ? r : disks_facts(w->x, k, n);
}

int libvirt_disks(struct libvirt *x)
{
    struct disks w = { .x = x };
    const struct xml_node *n;
    int r = 0;

    for (n = xml_child(x->devices, "disk"); n && !r; n = xml_next(n, "disk")) {
        const struct libvirt_bus *b = disks_bus(x, n);

        if (b && !b->controller && !disks_on(&w, b, 0)) /* those that are never listed */
            return -ENOMEM;
    }
    for (n = xml_child(x->devices, "controller"); n && !r; n = xml_next(n, "controller"))
        r = disks_controller(&w, n);
    for (n = xml_child(x->devices, "disk"); n && !r; n = xml_next(n, "disk"))
        r = disks_one(&w, n);
    return r;
}
