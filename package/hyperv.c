/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Hyper-V machine as XML: configurations and exports of Windows Server 2008 to 2012 R2, and the
 * reduced form in boxes.  Devices are elements called by their instance's GUID, and the manifest
 * tells what each instance is.  After configurations that Hyper-V wrote; there is no document.
 * Left out: what was running, replication.
 */
#include "package/hyperv_int.h"
#include "package/locate.h"
#include "package/number.h"
#include "package/place.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The kinds of devices that have settings: Hyper-V's class GUIDs */
#define HYPERV_IDE "83f8638b-8dca-4152-9eda-2ca8b33039b4"
#define HYPERV_SCSI "d422512d-2bf2-4752-809d-7b82b5fcb1b4"
#define HYPERV_FLOPPY "8f0d2762-0b00-4e04-af4f-19010527cb93"
#define HYPERV_SERIAL "8e3a359f-559a-4b6a-98a9-1690a6100ed7"
#define HYPERV_BIOS "ac6b8dc1-3257-4a70-b1b2-a9c9215659ad"
#define HYPERV_NET "2fc216b0-d2e2-4967-9b6d-b8a5c9ca2778"

#define HYPERV_CONTROLLERS 4
#define HYPERV_DRIVES 64

/* "_guid_" as an element's name, with or without the underscores and braces */
static bool hyperv_is(const char *name, const char *guid)
{
    name += strspn(name, "_{");
    return !strncasecmp(name, guid, 36) && !isalnum((u8)name[36]);
}

static bool hyperv_true(const char *text)
{
    return !strcasecmp(text, "true") || !strcmp(text, "1");
}

static const char *hyperv_copy(struct hyperv *x, const char *text)
{
    return *text ? arena_text(&x->d->arena, text, strlen(text)) : NULL;
}

/* The text of a leaf, with its type: the description says it now. */
static const char *hyperv_take(const struct xml_node *n, const char *name)
{
    xml_take(xml_child(n, name), "type");
    return xml_take_text(n, name);
}

/* What the manifest says of an instance: its class's GUID, or "" */
static const char *hyperv_class(const struct xml_node *c, const char *element)
{
    const struct xml_node *v = xml_child(c, "manifest");

    for (v = v ? v->first : NULL; v; v = v->next)
        if (*xml_text(v, "instance") && hyperv_is(element, xml_text(v, "instance")))
            return xml_text(v, "device");
    return "";
}

static int hyperv_number(struct hyperv *x, const struct xml_node *n, const char *name, u64 most,
                         u64 *v)
{
    return number_said(hyperv_take(n, name), x->file, name, most, v, x->e);
}

/* ---- drives ---- */

static int hyperv_drive(struct hyperv *x, struct desc_device *v, const struct xml_node *n,
                        long unit)
{
    const char *type = xml_text(n, "type"), *name = xml_text(n, "pathname");
    enum desc_media media = DESC_DISK;
    struct desc_disk *k;

    if (!*type || !strcasecmp(type, "NONE"))
        return 0;
    if (!strcasecmp(type, "ISO") || !strcasecmp(type, "DVD") || !strcasecmp(type, "ATAPI"))
        media = DESC_CDROM;
    else if (!strcasecmp(type, "VFD"))
        media = DESC_FLOPPY;
    k = place_disk(x->d, x->n, media, v, unit);
    if (!k)
        return -ENOMEM;
    hyperv_take(n, "type");
    hyperv_take(n, "pathname");
    if (!strcasecmp(type, "PHYSICAL") || !strncmp(name, "\\\\.\\", 4)) {
        note(x->n, NOTE_LOST, k->name, "is a device of the host: \"%s\"", name);
        return 0;
    }
    return *name ? locate_disk(x->d, x->s, x->n, k, name, x->e) : 0;
}

static int hyperv_drives(struct hyperv *x, struct desc_device *v, const struct xml_node *c,
                         unsigned first, unsigned most)
{
    char name[16];
    int r = 0;

    for (unsigned i = 0; i < most && !r; i++) {
        const struct xml_node *n;

        snprintf(name, sizeof(name), "drive%u", i);
        n = xml_child(c, name);
        if (n)
            r = hyperv_drive(x, v, n, (long)(first + i));
    }
    return r;
}

/* Both channels of IDE are one controller here; a SCSI or floppy instance has one each. */
static int hyperv_storage(struct hyperv *x, const struct xml_node *n, enum name_kind kind,
                          const char *foreign)
{
    unsigned most = kind == NAME_SCSI ? HYPERV_DRIVES : 2;
    struct desc_device *v = NULL;
    char name[16];
    int r = 0;

    for (unsigned i = 0; i < HYPERV_CONTROLLERS && !r; i++) {
        const struct xml_node *c;

        snprintf(name, sizeof(name), "controller%u", i);
        c = xml_child(n, name);
        if (!c || (kind == NAME_IDE && i > 1))
            continue;
        if (!v || kind != NAME_IDE)
            v = place_controller(x->d, x->n, kind, foreign);
        r = v ? hyperv_drives(x, v, c, kind == NAME_IDE ? 2 * i : 0, most) : -ENOMEM;
    }
    return r;
}

/* A drive that is empty by its nature is no reason for a floppy controller. */
static bool hyperv_has_floppy(const struct xml_node *n)
{
    return *xml_text(xml_child(xml_child(n, "controller0"), "drive0"), "pathname") != 0;
}

/* ---- the others ---- */

static int hyperv_nic(struct hyperv *x, const struct xml_node *n, const char *class)
{
    bool synthetic = !strcasecmp(class, HYPERV_NET) || xml_child(n, "ChannelInstanceGuid");
    const char *mac = xml_text(n, "MacAddress"), *to = xml_text(n, "SwitchName");
    const char *alt = xml_text(xml_child(n, "Connection"), "AltSwitchName");
    const char *connected = xml_text(n, "IsConnected");
    struct desc_nic *c = place_nic(x->d, x->n, synthetic ? "netvsc" : "tulip");

    if (!c)
        return -ENOMEM;
    if (*mac && strcspn(mac, "123456789abcdefABCDEF") < strlen(mac) && place_mac(c, mac))
        hyperv_take(n, "MacAddress"); /* all zeroes: given at the first start */
    c->connected = !*connected || hyperv_true(connected);
    hyperv_take(n, "IsConnected");
    c->network = hyperv_copy(x, *alt ? alt : *to ? to : xml_text(n, "FriendlyName"));
    return 0;
}

static int hyperv_ports(struct hyperv *x, const struct xml_node *n)
{
    char name[16];

    for (unsigned i = 0; i < 2; i++) {
        const char *to;
        struct desc_port *p;

        snprintf(name, sizeof(name), "port%u", i);
        to = hyperv_take(xml_child(n, name), "connection");
        if (!xml_child(n, name))
            continue;
        snprintf(name, sizeof(name), "serial%u", i);
        p = desc_add_port(x->d, name, DESC_SERIAL, *to ? "pipe" : "null");
        if (!p)
            return -ENOMEM;
        p->target = hyperv_copy(x, to);
    }
    return 0;
}

static void hyperv_boot(struct hyperv *x, const struct xml_node *boot)
{
    char name[16];

    for (u32 i = 0; i < 8; i++) {
        const char *device;
        enum desc_media media = DESC_DISK;
        struct desc_disk *k = x->d->disks;

        snprintf(name, sizeof(name), "device%u", i);
        device = xml_text(boot, name);
        if (!strcasecmp(device, "Network") && x->d->nics)
            x->d->nics->boot = i + 1;
        if (!strcasecmp(device, "Optical") || !strcasecmp(device, "CD"))
            media = DESC_CDROM;
        else if (!strcasecmp(device, "Floppy"))
            media = DESC_FLOPPY;
        else if (strcasecmp(device, "HardDrive") && strcasecmp(device, "IDE"))
            continue;
        while (k && k->media != media)
            k = k->next;
        if (k && !k->boot)
            k->boot = i + 1;
    }
}

static void hyperv_bios(struct hyperv *x, const struct xml_node *n)
{
    const char *guid = xml_text(n, "bios_guid");

    if (*guid && !place_uuid(x->d, guid))
        hyperv_take(n, "bios_guid");
    x->d->secure_boot = hyperv_true(xml_text(n, "secure_boot_enabled"));
    hyperv_take(n, "secure_boot_enabled");
    hyperv_boot(x, xml_child(n, "boot"));
}

static int hyperv_device(struct hyperv *x, const struct xml_node *c, const struct xml_node *n)
{
    const char *class = hyperv_class(c, n->name);

    if (hyperv_is(n->name, HYPERV_IDE))
        return hyperv_storage(x, n, NAME_IDE, "PIIX4");
    if (!strcasecmp(class, HYPERV_SCSI) || hyperv_is(n->name, HYPERV_SCSI))
        return hyperv_storage(x, n, NAME_SCSI, "storvsc");
    if (hyperv_is(n->name, HYPERV_FLOPPY))
        return hyperv_has_floppy(n) ? hyperv_storage(x, n, NAME_FLOPPY, "I82078") : 0;
    if (hyperv_is(n->name, HYPERV_SERIAL))
        return hyperv_ports(x, n);
    if (xml_child(n, "MacAddress"))
        return hyperv_nic(x, n, class);
    return 0;
}

/* ---- the machine ---- */

static int hyperv_machine(struct hyperv *x, const struct xml_node *c)
{
    const struct xml_node *properties = xml_child(c, "properties"), *settings, *bank;
    u64 memory = 0, cpus = 1, generation = 0;
    struct desc *d = x->d;
    int r;

    settings = xml_child(c, "settings");
    bank = xml_child(xml_child(settings, "memory"), "bank");
    r = hyperv_number(x, bank, "size", 1u << 26, &memory);
    r = r ? r : hyperv_number(x, xml_child(settings, "processors"), "count", 4096, &cpus);
    r = r ? r : hyperv_number(x, properties, "subtype", 1000, &generation);
    if (r)
        return r;
    if (*xml_text(properties, "name"))
        d->name = hyperv_copy(x, hyperv_take(properties, "name"));
    d->annotation = hyperv_copy(x, hyperv_take(properties, "notes"));
    if (memory)
        d->memory = memory << 20;
    else
        note(x->n, NOTE_CHANGED, "memory", "none is said: it is 1 GiB");
    d->cpus = cpus ? (u32)cpus : 1;
    d->firmware = generation ? DESC_EFI : DESC_BIOS;
    d->machine = generation ? "hyperv2" : "i440fx";
    d->persona = "hyperv";
    d->product = arena_print(&d->arena, "Hyper-V, configuration version %s",
                             xml_text(properties, "version"));
    d->tpm = hyperv_true(xml_text(xml_child(settings, "security"), "tpm_enabled"));
    if (hyperv_true(xml_text(bank, "dynamic_memory_enabled")))
        note(x->n, NOTE_CHANGED, "memory", "was given as needed: now it is %llu MiB",
             (unsigned long long)(d->memory >> 20));
    return d->name && d->product ? 0 : -ENOMEM;
}

int hyperv_configuration(struct hyperv *x, const struct xml_node *c)
{
    int r;

    if (!xml_child(c, "properties") && !xml_child(c, "settings"))
        return err_set(x->e, -EBADMSG, "%s: is no Hyper-V machine: it has no properties", x->file);
    r = hyperv_machine(x, c);
    for (const struct xml_node *n = c->first; n && !r; n = n->next)
        if (*n->name == '_')
            r = hyperv_device(x, c, n);
    for (const struct xml_node *n = c->first; n && !r; n = n->next)
        if (hyperv_is(n->name, HYPERV_BIOS))
            hyperv_bios(x, n);
    return r ? r : xml_rest(x->d, x->format, c, x->file, x->e);
}

int hyperv_export(struct hyperv *x)
{
    size_t n = strlen(x->s->dir);
    const char *dir = x->s->dir;

    while (n > 1 && dir[n - 1] == '/')
        n--;
    if (n < 16 || strncasecmp(dir + n - 16, "Virtual Machines", 16) ||
        (n > 16 && dir[n - 17] != '/'))
        return 0;
    n -= 16;
    x->s->dir = n ? arena_text(&x->s->arena, dir, n) : ".";
    return x->s->dir ? 0 : -ENOMEM;
}

static int hyperv_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct hyperv x = { d, s, n, e, source_base(s->path), "hyperv" };
    struct xml_node *root;
    int r = xml_load(&s->arena, s->main, x.file, &root, NULL, e);

    r = r ? r : hyperv_export(&x);
    if (!r)
        r = strcasecmp(root->name, "configuration") ? hyperv_objects(&x, root)
                                                    : hyperv_configuration(&x, root);
    return r == -ENOMEM ? err_set(e, r, "%s: is too long", x.file) : r;
}

static int hyperv_probe(struct source *s)
{
    if (s->kind != SOURCE_FILES || !s->main)
        return 0;
    if (!xml_is(s->main, "configuration") && !xml_is(s->main, "DECLARATIONS"))
        return 0;
    return source_has_suffix(s->dir, "/Snapshots") ? 60 : 85; /* the machine as it was */
}

const struct package_format package_hyperv = {
    .name = "hyperv",
    .suffix = ".xml",
    .about = "Hyper-V 2008 to 2012 R2: a configuration or an export, with its disks",
    .probe = hyperv_probe,
    .read = hyperv_read,
};
