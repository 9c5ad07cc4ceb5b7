/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The export of Hyper-V on Windows Server 2008: the machine's WMI objects as CIM-XML (DSP0201),
 * of the classes of the "virtualization" name space.  Drives hang on controllers and media on
 * drives by their Parent property.
 */
#include "package/hyperv_int.h"
#include "package/locate.h"
#include "package/place.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OBJECTS_MAX 1024

struct objects {
    struct hyperv *x;
    const struct xml_node *all[OBJECTS_MAX]; /* INSTANCE elements */
    struct desc_device *device[OBJECTS_MAX];
    unsigned n;
};

static const char *objects_property(const struct xml_node *n, const char *name)
{
    for (const struct xml_node *p = n ? n->first : NULL; p; p = p->next) {
        const char *said = xml_attr(p, "NAME");
        const struct xml_node *v = xml_child(p, "VALUE");

        if (!said || strcasecmp(said, name))
            continue;
        v = v ? v : xml_child(xml_child(p, "VALUE.ARRAY"), "VALUE");
        return v ? v->text : "";
    }
    return "";
}

static bool objects_is(const struct xml_node *n, const char *class)
{
    const char *said = xml_attr(n, "CLASSNAME");

    return said && !strcasecmp(said, class);
}

static const struct xml_node *objects_first(const struct objects *o, const char *class)
{
    for (unsigned i = 0; i < o->n; i++)
        if (objects_is(o->all[i], class))
            return o->all[i];
    return NULL;
}

static int objects_collect(struct objects *o, const struct xml_node *top)
{
    const struct xml_node *n = top;

    while (n) {
        if (!strcasecmp(n->name, "INSTANCE")) {
            if (o->n == OBJECTS_MAX)
                return err_set(o->x->e, -E2BIG, "%s: more than %d objects", o->x->file,
                               OBJECTS_MAX);
            o->all[o->n++] = n;
        } else if (n->first) {
            n = n->first;
            continue;
        }
        while (n != top && !n->next)
            n = n->parent;
        n = n == top ? NULL : n->next;
    }
    return 0;
}

/* The object that this one's Parent is a path to: ...InstanceID="Microsoft:guid\\1\\0" */
static int objects_parent(const struct objects *o, const struct xml_node *n)
{
    const char *path = strstr(objects_property(n, "Parent"), "InstanceID=\"");

    for (unsigned i = 0; path && i < o->n; i++) {
        const char *p = path + 12, *id = objects_property(o->all[i], "InstanceID");

        if (!*id)
            continue;
        for (; *id && *p == *id; id++, p++)
            p += *p == '\\' && p[1] == '\\';
        if (!*id && *p == '"')
            return (int)i;
    }
    return -1;
}

static int objects_controllers(struct objects *o)
{
    struct desc_device *ide = NULL;

    for (unsigned i = 0; i < o->n; i++) {
        const char *type = objects_property(o->all[i], "ResourceSubType");
        struct desc *d = o->x->d;

        if (!strcasecmp(type, "Microsoft Emulated IDE Controller")) {
            ide = ide ? ide : place_controller(d, o->x->n, NAME_IDE, "PIIX4");
            o->device[i] = ide;
        } else if (!strcasecmp(type, "Microsoft Synthetic SCSI Controller")) {
            o->device[i] = place_controller(d, o->x->n, NAME_SCSI, "storvsc");
        } else {
            continue;
        }
        if (!o->device[i])
            return -ENOMEM;
    }
    return 0;
}

static int objects_drive(struct objects *o, unsigned drive, enum desc_media media)
{
    int controller = objects_parent(o, o->all[drive]), r = 0;
    long unit = strtol(objects_property(o->all[drive], "Address"), NULL, 10);
    struct desc_disk *k;

    if (controller < 0 || !o->device[controller])
        return 0;
    if (!strncmp(o->device[controller]->name, "ide", 3))
        unit += 2 * strtol(objects_property(o->all[controller], "Address"), NULL, 10);
    k = place_disk(o->x->d, o->x->n, media, o->device[controller],
                   unit < 0 || unit > 255 ? 0 : unit);
    if (!k)
        return -ENOMEM;
    for (unsigned i = 0; i < o->n && !r && !k->source; i++) {
        const char *name = objects_property(o->all[i], "Connection");

        if (*name && objects_parent(o, o->all[i]) == (int)drive)
            r = locate_disk(o->x->d, o->x->s, o->x->n, k, name, o->x->e);
    }
    return r;
}

static int objects_drives(struct objects *o)
{
    int r = 0;

    for (unsigned i = 0; i < o->n && !r; i++) {
        const char *type = objects_property(o->all[i], "ResourceSubType");

        if (!strcasecmp(type, "Microsoft Synthetic Disk Drive"))
            r = objects_drive(o, i, DESC_DISK);
        else if (!strcasecmp(type, "Microsoft Synthetic DVD Drive"))
            r = objects_drive(o, i, DESC_CDROM);
    }
    return r;
}

static int objects_nics(struct objects *o)
{
    for (unsigned i = 0; i < o->n; i++) {
        bool synthetic = objects_is(o->all[i], "Msvm_SyntheticEthernetPortSettingData");
        const char *mac = objects_property(o->all[i], "Address");
        struct desc_nic *c;

        if (!synthetic && !objects_is(o->all[i], "Msvm_EmulatedEthernetPortSettingData"))
            continue;
        c = place_nic(o->x->d, o->x->n, synthetic ? "netvsc" : "tulip");
        if (!c)
            return -ENOMEM;
        if (strspn(mac, "0") < strlen(mac))
            place_mac(c, mac);
    }
    return 0;
}

static int objects_machine(struct objects *o)
{
    const struct xml_node *system = objects_first(o, "Msvm_VirtualSystemGlobalSettingData");
    const struct xml_node *settings = objects_first(o, "Msvm_VirtualSystemSettingData");
    const char *name = objects_property(system ? system : settings, "ElementName");
    const char *notes = objects_property(settings, "Notes");
    unsigned long cpus, memory;
    struct desc *d = o->x->d;

    if (!settings && !system)
        return err_set(o->x->e, -EBADMSG, "%s: has no machine among its objects", o->x->file);
    cpus =
        strtoul(objects_property(objects_first(o, "Msvm_ProcessorSettingData"), "VirtualQuantity"),
                NULL, 10);
    memory = strtoul(
        objects_property(objects_first(o, "Msvm_MemorySettingData"), "VirtualQuantity"), NULL, 10);
    d->name = *name ? arena_text(&d->arena, name, strlen(name)) : d->name;
    d->annotation = *notes ? arena_text(&d->arena, notes, strlen(notes)) : NULL;
    d->cpus = cpus && cpus <= 4096 ? (u32)cpus : 1;
    if (memory && memory < 1u << 26)
        d->memory = (u64)memory << 20;
    d->persona = "hyperv";
    d->product = "Hyper-V, export of Windows Server 2008";
    d->machine = "i440fx";
    if (*objects_property(settings, "BIOSGUID"))
        place_uuid(d, objects_property(settings, "BIOSGUID"));
    return d->name ? 0 : -ENOMEM;
}

int hyperv_objects(struct hyperv *x, const struct xml_node *root)
{
    struct objects *o = calloc(1, sizeof(*o));
    int r;

    if (!o)
        return -ENOMEM;
    o->x = x;
    r = objects_collect(o, root);
    r = r ? r : objects_machine(o);
    r = r ? r : objects_controllers(o);
    r = r ? r : objects_drives(o);
    r = r ? r : objects_nics(o);
    free(o);
    if (!r)
        note(x->n, NOTE_LOST, x->file,
             "is a dump of objects: only the machine, its drives and cards are taken from it");
    return r;
}
