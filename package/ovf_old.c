/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * OVF's dialects in the terms of 1.x (DSP0243 1.1), so that one reader does for all: VMware's
 * draft of 2007 (sections told by xsi:type, Captions), 2.x (items of three kinds), and oVirt
 * (disks by path, sizes in GiB, interfaces instead of controllers).
 */
#include "package/ovf_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void old_space(const char **space)
{
    if (!strcmp(*space, OVF_SPACE_OLD) || !strcmp(*space, OVF_SPACE_2))
        *space = OVF_SPACE;
    else if (!strncmp(*space, CIM_SPACE, sizeof(CIM_SPACE) - 1) &&
             strstr(*space, "AllocationSettingData"))
        *space = RASD_SPACE;
    else if (!strncmp(*space, CIM_SPACE, sizeof(CIM_SPACE) - 1) &&
             strstr(*space, "VirtualSystemSettingData"))
        *space = VSSD_SPACE;
}

/* <Section xsi:type="ovf:DiskSection_Type"> is a DiskSection. */
static void old_section(struct ovf *o, struct xml_node *n)
{
    const char *type = xml_attr(n, "type"), *colon;
    size_t len;

    if (!type || (strcasecmp(n->name, "Section") && strcasecmp(n->name, "Content")))
        return;
    colon = strchr(type, ':');
    type = colon ? colon + 1 : type;
    len = strlen(type);
    if (len <= 5 || strcasecmp(type + len - 5, "_Type"))
        return;
    n->name = arena_text(&o->arena, type, len - 5);
    o->failed |= !n->name;
    if (!n->name)
        n->name = "";
    ovf_unset(n, "type");
}

/* An Item's elements in one spelling; a Caption says the name only where nothing else does. */
static void old_item(struct xml_node *n)
{
    bool named = xml_child(n, "ElementName") != NULL;

    for (struct xml_node *c = n->first; c; c = c->next) {
        if (!strcmp(c->name, "InstanceId"))
            c->name = "InstanceID";
        else if (!named && !strcasecmp(c->name, "Caption"))
            c->name = "ElementName";
    }
}

/* Documents without a default name space mean OVF's, but for what hardware is made of. */
static bool old_is_plain(const struct xml_node *n)
{
    return !*n->space && n->parent && !strcmp(n->parent->space, OVF_SPACE) &&
           strcasecmp(n->parent->name, "Item") && strcasecmp(n->parent->name, "System");
}

static void old_walk(struct ovf *o, struct xml_node *n)
{
    old_space(&n->space);
    if (old_is_plain(n))
        n->space = OVF_SPACE;
    for (struct xml_attr *a = n->attrs; a; a = a->next)
        old_space(&a->space);
    old_section(o, n);
    if (!strcmp(n->name, "StorageItem") || !strcmp(n->name, "EthernetPortItem"))
        n->name = "Item";
    if (!strcasecmp(n->name, "Item") || !strcasecmp(n->name, "System"))
        old_item(n);
    for (struct xml_node *c = n->first; c; c = c->next)
        old_walk(o, c);
}

/* ---- oVirt ---- */

static void ovirt_put(struct ovf *o, struct xml_node *item, const char *name, const char *text)
{
    struct xml_node *c = (struct xml_node *)xml_child(item, name);

    if (!c)
        c = ovf_node(&o->arena, item, RASD_SPACE, name, text);
    else
        c->text = text;
    o->failed |= !c;
}

static void ovirt_forget(struct xml_node *item, const char *name)
{
    struct xml_node *c = (struct xml_node *)xml_child(item, name);

    if (c)
        ovf_drop(c);
}

static void ovirt_cpu(struct ovf *o, struct xml_node *item)
{
    u64 sockets = strtoull(xml_text(item, "num_of_sockets"), NULL, 10);
    u64 cores = strtoull(xml_text(item, "cpu_per_socket"), NULL, 10);
    u64 threads = strtoull(xml_text(item, "threads_per_cpu"), NULL, 10);
    char text[32];

    if (!sockets || !cores || sockets > 4096 || cores > 4096 || threads > 64)
        return;
    cores *= threads ? threads : 1;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)(sockets * cores));
    ovirt_put(o, item, "VirtualQuantity", arena_text(&o->arena, text, strlen(text)));
    snprintf(text, sizeof(text), "%llu", (unsigned long long)cores);
    o->failed |= !ovf_node(&o->arena, item, VMW_SPACE, "CoresPerSocket", text);
    ovirt_forget(item, "num_of_sockets");
    ovirt_forget(item, "cpu_per_socket");
    ovirt_forget(item, "threads_per_cpu");
}

static void ovirt_nic(struct ovf *o, struct xml_node *item)
{
    static const char *const kinds[] = { NULL, "rtl8139", "E1000", "virtio", "virtio" };
    unsigned long kind = strtoul(xml_text(item, "ResourceSubType"), NULL, 10);
    const char *mac = xml_text(item, "MACAddress");

    if (kind && kind < LEN(kinds))
        ovirt_put(o, item, "ResourceSubType", kinds[kind]);
    if (*mac) {
        ovirt_put(o, item, "Address", mac);
        ovirt_forget(item, "MACAddress");
    }
}

static const struct xml_node *ovirt_disk(const struct ovf *o, const char *resource)
{
    const struct xml_node *disks = ovf_section(o->root, "DiskSection");

    for (const struct xml_node *k = xml_child(disks, "Disk"); k; k = xml_next(k, "Disk")) {
        const char *file = xml_attr(k, "fileRef"), *id = xml_attr(k, "diskId");
        const char *slash = strrchr(resource, '/');

        if ((file && !strcmp(file, resource)) || (id && !strcmp(id, slash ? slash + 1 : resource)))
            return k;
    }
    return NULL;
}

/* A disk names its interface; one controller of that kind is added, for virtio one each. */
static void ovirt_drive(struct ovf *o, struct xml_node *hardware, struct xml_node *item)
{
    const struct xml_node *disk = ovirt_disk(o, xml_text(item, "HostResource"));
    const char *kind = xml_attr(disk, "disk-interface"), *type = "6", *subtype;
    char id[40], resource[400];
    struct xml_node *c;

    if (!disk)
        return;
    snprintf(resource, sizeof(resource), "ovf:/disk/%.300s",
             xml_attr(disk, "diskId") ? xml_attr(disk, "diskId") : "");
    ovirt_put(o, item, "HostResource", arena_text(&o->arena, resource, strlen(resource)));
    ovirt_forget(item, "Parent"); /* of the snapshot, not of the hardware */
    if (!kind)
        return;
    subtype = !strcasecmp(kind, "VirtIO_SCSI") ? "VirtioSCSI" : "virtio";
    snprintf(id, sizeof(id), "ovirt-%.20s", kind);
    if (!strcasecmp(kind, "IDE"))
        type = "5", subtype = "PIIX3";
    else if (!strcasecmp(kind, "SATA"))
        type = "20", subtype = "AHCI";
    else if (!strcasecmp(kind, "VirtIO"))
        snprintf(id, sizeof(id), "ovirt-%u", o->ndisks_seen++);
    ovirt_put(o, item, "Parent", arena_text(&o->arena, id, strlen(id)));
    for (c = hardware->first; c; c = c->next)
        if (!strcmp(xml_text(c, "InstanceID"), id))
            return;
    c = ovf_node(&o->arena, hardware, OVF_SPACE, "Item", NULL);
    if (!c || !ovf_node(&o->arena, c, RASD_SPACE, "InstanceID", id) ||
        !ovf_node(&o->arena, c, RASD_SPACE, "ResourceType", type) ||
        !ovf_node(&o->arena, c, RASD_SPACE, "ResourceSubType", subtype))
        o->failed = true;
}

static void ovirt_hardware(struct ovf *o, struct xml_node *hardware)
{
    const struct xml_node *last = hardware->last;

    for (struct xml_node *c = hardware->first; c; c = c->next) {
        const char *what = xml_text(c, "Type");

        switch (strtoul(xml_text(c, "ResourceType"), NULL, 10)) {
        case ITEM_CPU:
            ovirt_cpu(o, c);
            break;
        case ITEM_NIC:
            ovirt_nic(o, c);
            break;
        case ITEM_DISK:
            ovirt_drive(o, hardware, c);
            break;
        case ITEM_STORAGE:
            if (!strcasecmp(what, "video") || !strcasecmp(what, "graphics"))
                ovirt_put(o, c, "ResourceType", "24");
            break;
        }
        if (c == last) /* what was added needs nothing */
            break;
    }
}

static bool ovirt_is(const struct xml_node *root)
{
    const struct xml_node *disks = ovf_section(root, "DiskSection");

    for (const struct xml_node *k = xml_child(disks, "Disk"); k; k = xml_next(k, "Disk"))
        if (xml_attr(k, "disk-interface") || xml_attr(k, "volume-format"))
            return true;
    return false;
}

static void ovirt_walk(struct ovf *o, struct xml_node *n)
{
    for (struct xml_node *c = n->first; c; c = c->next)
        if (!strcasecmp(c->name, "VirtualHardwareSection"))
            ovirt_hardware(o, c);
        else if (!strncasecmp(c->name, "VirtualSystem", 13))
            ovirt_walk(o, c);
}

int ovf_modern(struct ovf *o)
{
    struct xml_node *disks;

    old_walk(o, o->root);
    if (!ovirt_is(o->root))
        return o->failed ? -ENOMEM : 0;
    o->ovirt = true;
    disks = (struct xml_node *)ovf_section(o->root, "DiskSection");
    for (struct xml_node *k = disks->first; k; k = k->next) {
        const char *size = xml_attr(k, "size");

        if (!size || xml_attr(k, "capacity"))
            continue;
        if (ovf_set(&o->arena, k, OVF_SPACE, "capacity", size) ||
            ovf_set(&o->arena, k, OVF_SPACE, "capacityAllocationUnits", "byte * 2^30"))
            o->failed = true;
        ovf_unset(k, "size");
    }
    ovirt_walk(o, o->root);
    return o->failed ? -ENOMEM : 0;
}
