/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Items of a VirtualHardwareSection (CIM_ResourceAllocationSettingData): processors,
 * memory, controllers, and what hangs on them.
 */
#include "package/ovf_int.h"
#include "package/place.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    ITEM_CPU = 3,
    ITEM_MEMORY = 4,
    ITEM_IDE = 5,
    ITEM_SCSI = 6,
    ITEM_NIC = 10,
    ITEM_FLOPPY = 14,
    ITEM_CD = 15,
    ITEM_DVD = 16,
    ITEM_DISK = 17,
    ITEM_STORAGE = 20,
    ITEM_SERIAL = 21,
    ITEM_PARALLEL = 22,
    ITEM_USB = 23,
    ITEM_VIDEO = 24,
    ITEM_LOGICAL_DISK = 31,
    ITEM_SOUND = 35,
};

static bool ovf_is_true(const char *s)
{
    return s && (!strcasecmp(s, "true") || !strcmp(s, "1"));
}

/* Either of two spellings (1.x and 0.9). */
static const char *ovf_text2(const struct xml_node *n, const char *a, const char *b)
{
    const char *s = xml_text(n, a);

    return *s ? s : xml_text(n, b);
}

/* Is this one of the Items that the chosen deployment option has? */
static bool ovf_applies(const struct ovf *o, const struct xml_node *n)
{
    const char *only = xml_attr(n, "configuration"), *bound = xml_attr(n, "bound");
    size_t len = o->config ? strlen(o->config) : 0;

    if (bound && strcasecmp(bound, "normal"))
        return false;
    if (!only || !*only)
        return true;
    for (const char *p = only; len && *p; p += strcspn(p, " "), p += strspn(p, " "))
        if (strcspn(p, " ") == len && !strncmp(p, o->config, len))
            return true;
    return false;
}

static void ovf_take(const struct ovf *o, const struct xml_node *n, struct ovf_item *it)
{
    const char *type = xml_text(n, "ResourceType");

    *it = (struct ovf_item){ .node = n,
                             .type = (unsigned)strtoul(type, NULL, 10),
                             .id = ovf_text2(n, "InstanceID", "InstanceId"),
                             .parent = xml_text(n, "Parent"),
                             .subtype = xml_text(n, "ResourceSubType"),
                             .name = ovf_text2(n, "ElementName", "Caption") };
}

/* All Items that apply; of several with one id the one of the chosen option counts. */
static int ovf_collect(struct ovf *o, const struct xml_node *section, struct ovf_item **items,
                       u32 *count)
{
    struct ovf_item *list = calloc(OVF_ITEMS_MAX, sizeof(*list));
    u32 n = 0;

    if (!list)
        return err_set(o->e, -ENOMEM, "%s: no memory", o->file);
    for (const struct xml_node *c = section->first; c; c = c->next) {
        if (strcasecmp(c->name, "Item") && strcasecmp(c->name, "StorageItem") &&
            strcasecmp(c->name, "EthernetPortItem"))
            continue;
        if (!ovf_applies(o, c))
            continue;
        if (n == OVF_ITEMS_MAX) {
            free(list);
            return err_set(o->e, -E2BIG, "%s: more than %d hardware items", o->file, OVF_ITEMS_MAX);
        }
        ovf_take(o, c, &list[n]);
        for (u32 i = 0; i < n; i++)
            if (*list[n].id && !strcmp(list[i].id, list[n].id) && !list[i].dropped) {
                if (xml_attr(c, "configuration"))
                    list[i].dropped = true;
                else if (xml_attr(list[i].node, "configuration"))
                    list[n].dropped = true;
                else
                    note(o->n, NOTE_CHANGED, list[n].name, "has the InstanceID %s of \"%s\"",
                         list[n].id, list[i].name);
            }
        n++;
    }
    *items = list;
    *count = n;
    return 0;
}

static int ovf_cpus(struct ovf *o, const struct ovf_item *it)
{
    const char *count = xml_text(it->node, "VirtualQuantity");
    const char *cores = xml_text(it->node, "CoresPerSocket");
    unsigned long n = strtoul(count, NULL, 10), per = strtoul(cores, NULL, 10);

    if (n < 1 || n > 4096)
        return err_set(o->e, -EBADMSG, "%s: item \"%s\": \"%s\" is no number of processors",
                       o->file, it->name, count);
    o->d->cpus = (u32)n;
    o->d->cores_per_socket = per && per <= n && n % per == 0 ? (u32)per : 1;
    return 0;
}

static int ovf_memory(struct ovf *o, const struct ovf_item *it)
{
    const char *count = xml_text(it->node, "VirtualQuantity");
    const char *units = xml_text(it->node, "AllocationUnits");
    /* without units: bytes by the book, MiB in files that exist */
    u64 unit = strtoull(count, NULL, 10) < 1 << 20 ? 1 << 20 : 1;

    if (!*units)
        units = xml_text(it->node, "VirtualQuantityUnits");
    if (!ovf_bytes(count, units, unit, &o->d->memory) || !o->d->memory)
        return err_set(o->e, -EBADMSG, "%s: item \"%s\": \"%s\" of \"%s\" is no amount of memory",
                       o->file, it->name, count, units);
    return 0;
}

/* Both channels of IDE are one device: units 0 and 1 of the first, 2 and 3 of the second. */
static int ovf_ide(struct ovf *o, struct ovf_item *it)
{
    const char *address = xml_text(it->node, "Address");

    it->channel = (unsigned)strtoul(address, NULL, 0) & 1;
    it->device = desc_device(o->d, "ide0");
    if (!it->device)
        it->device = place_controller(o->d, o->n, NAME_IDE, it->subtype);
    return it->device ? 0 : -ENOMEM;
}

static int ovf_controller(struct ovf *o, struct ovf_item *it, enum name_kind kind)
{
    it->device = place_controller(o->d, o->n, kind, it->subtype);
    return it->device ? 0 : -ENOMEM;
}

/* What is it that has type 20 ("other storage")? */
static enum name_kind ovf_storage_kind(const struct ovf_item *it)
{
    if (name_find(NAME_NVME, it->subtype) && *it->subtype)
        return NAME_NVME;
    if (name_find(NAME_SCSI, it->subtype) && *it->subtype)
        return NAME_SCSI;
    return NAME_SATA;
}

static int ovf_nic(struct ovf *o, const struct ovf_item *it)
{
    struct desc_nic *c = place_nic(o->d, o->n, it->subtype);
    const char *net = xml_text(it->node, "Connection"), *mac = xml_text(it->node, "Address");
    const char *connected = xml_text(it->node, "AutomaticAllocation");

    if (!c)
        return -ENOMEM;
    if (*net)
        c->network = arena_text(&o->d->arena, net, strlen(net));
    if (*mac && !place_mac(c, mac))
        note(o->n, NOTE_LOST, c->name, "its address \"%s\" is no MAC address", mac);
    c->connected = !*connected || ovf_is_true(connected);
    return 0;
}

static int ovf_serial(struct ovf *o, const struct ovf_item *it)
{
    char name[32];
    u32 n = 0;

    do
        snprintf(name, sizeof(name), "serial%u", n++);
    while (desc_device(o->d, name));
    return desc_add_device(o->d, name, "uart16550") ? 0 : -ENOMEM;
}

/* Things that a VM here does not have, or has anyway. */
static int ovf_other(struct ovf *o, const struct ovf_item *it)
{
    static const struct {
        unsigned type;
        enum note_kind kind;
        const char *text;
    } others[] = {
        { ITEM_FLOPPY, NOTE_LOST, "there is no floppy drive" },
        { ITEM_PARALLEL, NOTE_LOST, "there is no parallel port" },
        { ITEM_USB, NOTE_LOST, "there is no USB controller" },
        { ITEM_SOUND, NOTE_LOST, "there is no sound" },
        { ITEM_VIDEO, NOTE_CHANGED, "the guest gets a standard VGA" },
    };
    const char *name = *it->name ? it->name : "item", *required = xml_attr(it->node, "required");

    for (size_t i = 0; i < LEN(others); i++)
        if (others[i].type == it->type) {
            note(o->n, others[i].kind, name, "%s", others[i].text);
            return 0;
        }
    note(o->n, NOTE_LOST, name, "hardware of type %u%s%s is not known here%s", it->type,
         *it->subtype ? ", " : "", it->subtype,
         required && !ovf_is_true(required) ? "" : ", though the package requires it");
    return 0;
}

/* First pass: what others hang on. */
static int ovf_first(struct ovf *o, struct ovf_item *it)
{
    switch (it->type) {
    case ITEM_CPU:
        return ovf_cpus(o, it);
    case ITEM_MEMORY:
        return ovf_memory(o, it);
    case ITEM_IDE:
        return ovf_ide(o, it);
    case ITEM_SCSI:
        return ovf_controller(o, it, NAME_SCSI);
    case ITEM_STORAGE:
        return ovf_controller(o, it, ovf_storage_kind(it));
    case ITEM_NIC:
        return ovf_nic(o, it);
    case ITEM_SERIAL:
        return ovf_serial(o, it);
    case ITEM_CD:
    case ITEM_DVD:
    case ITEM_DISK:
    case ITEM_LOGICAL_DISK:
        return 0;
    }
    return ovf_other(o, it);
}

static const struct ovf_item *ovf_parent(const struct ovf_item *items, u32 n, const char *id)
{
    for (u32 i = 0; *id && i < n; i++)
        if (items[i].device && !items[i].dropped && !strcmp(items[i].id, id))
            return &items[i];
    return NULL;
}

static int ovf_drive(struct ovf *o, const struct ovf_item *it, const struct ovf_item *items, u32 n,
                     enum desc_media media)
{
    const struct ovf_item *parent = ovf_parent(items, n, it->parent);
    const char *place = xml_text(it->node, "AddressOnParent");
    const char *resource = xml_text(it->node, "HostResource");
    struct desc_device *v = parent ? parent->device : NULL;
    long unit = *place ? strtol(place, NULL, 0) : -1;
    struct desc_disk *k;

    if (unit >= 0 && parent && parent->type == ITEM_IDE)
        unit = (unit & 1) + 2 * (long)parent->channel;
    k = place_disk(o->d, o->n, media, v, unit);
    if (!k)
        return -ENOMEM;
    if (!*resource) {
        if (media == DESC_DISK)
            note(o->n, NOTE_LOST, k->name, "names no disk: it is empty");
        return 0;
    }
    return ovf_fill_disk(o, k, resource);
}

static int ovf_second(struct ovf *o, const struct ovf_item *it, const struct ovf_item *items, u32 n)
{
    if (it->type == ITEM_DISK || it->type == ITEM_LOGICAL_DISK)
        return ovf_drive(o, it, items, n, DESC_DISK);
    if (it->type == ITEM_CD || it->type == ITEM_DVD)
        return ovf_drive(o, it, items, n, DESC_CDROM);
    return 0;
}

/* vmw:Config and vmw:ExtraConfig: what means something here, and all for writing back. */
static int ovf_configs(struct ovf *o, const struct xml_node *section)
{
    for (const struct xml_node *c = section->first; c; c = c->next) {
        const char *key = xml_attr(c, "key"), *value = xml_attr(c, "value");
        bool extra = !strcasecmp(c->name, "ExtraConfig");

        if ((!extra && strcasecmp(c->name, "Config")) || !key || !value)
            continue;
        if (!strcasecmp(key, "firmware"))
            o->d->firmware = !strcasecmp(value, "efi") ? DESC_EFI : DESC_BIOS;
        if (!strcasecmp(key, "bootOptions.efiSecureBootEnabled"))
            o->d->secure_boot = ovf_is_true(value);
        if (desc_add_extra(o->d, extra ? "ovf.ExtraConfig" : "ovf.Config", key, value))
            return -ENOMEM;
    }
    return 0;
}

int ovf_read_hardware(struct ovf *o, const struct xml_node *section)
{
    struct ovf_item *items = NULL;
    u32 n = 0;
    int r = ovf_collect(o, section, &items, &n);

    if (r)
        return r;
    for (u32 i = 0; !r && i < n; i++)
        if (!items[i].dropped)
            r = ovf_first(o, &items[i]);
    for (u32 i = 0; !r && i < n; i++)
        if (!items[i].dropped)
            r = ovf_second(o, &items[i], items, n);
    free(items);
    if (!r)
        r = ovf_configs(o, section);
    return r == -ENOMEM ? err_set(o->e, r, "%s: the hardware is too long a list", o->file) : r;
}
