/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The elements that our writer makes of a description: Items as VMware's tools write them.  The
 * reader makes them too, to see what a package says beyond them, so the two cannot disagree.
 */
#include "package/names.h"
#include "package/ovf_int.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A governed child; nothing for an empty text. */
static void make_say(struct arena *a, struct xml_node *item, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void make_may(struct arena *a, struct xml_node *item, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static struct xml_node *make_child(struct arena *a, struct xml_node *item, const char *name,
                                   const char *fmt, va_list ap)
{
    char text[600];

    vsnprintf(text, sizeof(text), fmt, ap);
    return item && *text ? ovf_node(a, item, RASD_SPACE, name, text) : NULL;
}

static void make_say(struct arena *a, struct xml_node *item, const char *name, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    make_child(a, item, name, fmt, ap);
    va_end(ap);
}

/* The same, but it gives way. */
static void make_may(struct arena *a, struct xml_node *item, const char *name, const char *fmt, ...)
{
    struct xml_node *n;
    va_list ap;

    va_start(ap, fmt);
    n = make_child(a, item, name, fmt, ap);
    va_end(ap);
    if (n)
        n->taken = true;
}

static struct xml_node *make_item(struct arena *a, unsigned type)
{
    struct xml_node *n = ovf_node(a, NULL, OVF_SPACE, "Item", NULL);

    make_say(a, n, "ResourceType", "%u", type);
    return n;
}

struct xml_node *ovf_make_cpu(struct arena *a, const struct desc *d)
{
    struct xml_node *n = make_item(a, ITEM_CPU), *cores;
    char text[16];

    make_may(a, n, "AllocationUnits", "hertz * 10^6");
    make_may(a, n, "Description", "Number of Virtual CPUs");
    make_may(a, n, "ElementName", "%u virtual CPU(s)", d->cpus);
    make_say(a, n, "VirtualQuantity", "%u", d->cpus);
    if (d->cores_per_socket > 1 && n) {
        snprintf(text, sizeof(text), "%u", d->cores_per_socket);
        cores = ovf_node(a, n, VMW_SPACE, "CoresPerSocket", text);
        if (cores && ovf_set(a, cores, OVF_SPACE, "required", "false"))
            return NULL;
    }
    return n;
}

struct xml_node *ovf_make_memory(struct arena *a, const struct desc *d)
{
    struct xml_node *n = make_item(a, ITEM_MEMORY);
    bool whole = !(d->memory & ((1 << 20) - 1));

    make_say(a, n, "AllocationUnits", whole ? "byte * 2^20" : "byte");
    make_may(a, n, "Description", "Memory Size");
    make_may(a, n, "ElementName", "%lluMB of memory", (unsigned long long)(d->memory >> 20));
    make_say(a, n, "VirtualQuantity", "%llu",
             (unsigned long long)(whole ? d->memory >> 20 : d->memory));
    return n;
}

/* ---- controllers ---- */

static const struct make_class {
    const char *class;
    unsigned type;
    const char *subtype, *about;
} make_classes[] = {
    { "lsilogic", ITEM_SCSI, "lsilogic", "SCSI" },
    { "lsisas1068", ITEM_SCSI, "lsilogicsas", "SCSI" },
    { "pvscsi", ITEM_SCSI, "VirtualSCSI", "SCSI" },
    { "buslogic", ITEM_SCSI, "buslogic", "SCSI" },
    { "virtio_scsi", ITEM_SCSI, "VirtioSCSI", "SCSI" },
    { "virtio_blk", ITEM_SCSI, "virtio", "virtio" },
    { "ahci", ITEM_STORAGE, "vmware.sata.ahci", "SATA" },
    { "nvme", ITEM_STORAGE, "vmware.nvme.controller", "NVMe" },
    { "ide", ITEM_IDE, "", "IDE" },
    { "uhci", ITEM_USB, "vmware.usb.uhci", "USB" },
    { "ehci", ITEM_USB, "vmware.usb.ehci", "USB" },
    { "xhci", ITEM_USB, "vmware.usb.xhci", "USB" },
    { "e1000", ITEM_NIC, "E1000", NULL },
    { "e1000e", ITEM_NIC, "E1000e", NULL },
    { "vmxnet3", ITEM_NIC, "VmxNet3", NULL },
    { "vmxnet2", ITEM_NIC, "VmxNet2", NULL },
    { "vmxnet", ITEM_NIC, "VmxNet", NULL },
    { "pcnet", ITEM_NIC, "PCNet32", NULL },
    { "virtio_net", ITEM_NIC, "virtio", NULL },
};
/* Other spellings that stand in OVF files: these are written as they were. */
static const char *const make_spellings[] = { "AHCI", "PIIX3",    "PIIX4",      "ICH6",
                                              "NVMe", "Flexible", "VirtioSCSI", "virtio-scsi" };

static const struct make_class *make_class(const char *class)
{
    for (size_t i = 0; i < LEN(make_classes); i++)
        if (!strcmp(make_classes[i].class, class))
            return &make_classes[i];
    return NULL;
}

/* OVF's word for a class: the package's own when it is one of OVF's, in its spelling. */
static const char *make_subtype(const char *class, const char *foreign)
{
    const struct make_class *m = make_class(class);

    if (foreign && (!m || !*m->subtype || !strcasecmp(foreign, m->subtype)))
        return foreign;
    for (size_t i = 0; foreign && i < LEN(make_spellings); i++)
        if (!strcasecmp(foreign, make_spellings[i]))
            return foreign;
    return m ? m->subtype : class;
}

/* The number at the end of a name: "scsi1" */
static unsigned make_number(const char *name)
{
    size_t n = strcspn(name, "0123456789");
    unsigned v = 0;

    sscanf(name + n, "%5u", &v);
    return v;
}

struct xml_node *ovf_make_controller(struct arena *a, const struct desc *d,
                                     const struct desc_device *v, unsigned channel)
{
    const struct make_class *m = make_class(v->class);
    unsigned type = m && m->about                  ? m->type
                    : !strncmp(v->name, "scsi", 4) ? ITEM_SCSI
                    : !strncmp(v->name, "ide", 3)  ? ITEM_IDE
                                                   : ITEM_STORAGE;
    const char *about = m && m->about ? m->about : type == ITEM_SCSI ? "SCSI" : "storage";
    unsigned number = make_number(v->name) + channel;
    struct xml_node *n = ovf_node(a, NULL, OVF_SPACE, "Item", NULL);

    if (type == ITEM_IDE)
        make_say(a, n, "Address", "%u", channel);
    else
        make_may(a, n, "Address", "%u", number);
    make_may(a, n, "Description", "%s Controller", about);
    make_may(a, n, "ElementName", "%s Controller %u", about, number);
    make_say(a, n, "ResourceSubType", "%s", make_subtype(v->class, v->foreign));
    make_may(a, n, "ResourceType", "%u", type);
    return n;
}

/* ---- what hangs on them ---- */

struct xml_node *ovf_make_disk(struct arena *a, const struct desc *d, const struct desc_disk *k,
                               const char *resource)
{
    static const char *const names[] = {
        [DESC_DISK] = "Hard Disk", [DESC_CDROM] = "CD/DVD drive", [DESC_FLOPPY] = "Floppy drive"
    };
    struct xml_node *n = ovf_node(a, NULL, OVF_SPACE, "Item", NULL);
    const struct desc_device *v = k->controller ? desc_device(d, k->controller) : NULL;
    bool ide = v && !strcmp(v->class, "ide");
    unsigned place = 1;

    for (const struct desc_disk *o = d->disks; o && o != k; o = o->next)
        place += o->media == k->media;
    make_say(a, n, "AddressOnParent", "%u", ide ? k->unit & 1 : k->unit);
    if (k->media != DESC_DISK)
        make_may(a, n, "AutomaticAllocation", "false");
    make_may(a, n, "ElementName", "%s %u", names[k->media], place);
    make_say(a, n, "HostResource", "%s", resource ? resource : "");
    make_may(a, n, "ResourceType", "%u",
             k->media == DESC_DISK    ? ITEM_DISK
             : k->media == DESC_CDROM ? ITEM_CD
                                      : ITEM_FLOPPY);
    return n;
}

struct xml_node *ovf_make_nic(struct arena *a, const struct desc *d, const struct desc_nic *c)
{
    const char *subtype = make_subtype(c->class, c->foreign);
    struct xml_node *n = make_item(a, ITEM_NIC);
    unsigned place = 0;

    for (const struct desc_nic *o = d->nics; o && o != c; o = o->next)
        place++;
    if (c->has_mac)
        make_say(a, n, "Address", "%02x:%02x:%02x:%02x:%02x:%02x", c->mac[0], c->mac[1], c->mac[2],
                 c->mac[3], c->mac[4], c->mac[5]);
    make_may(a, n, "AddressOnParent", "%u", place + 7);
    make_say(a, n, "AutomaticAllocation", "%s", c->connected ? "true" : "false");
    make_say(a, n, "Connection", "%s", c->network ? c->network : "");
    make_may(a, n, "Description", "%s ethernet adapter%s%s", subtype, c->network ? " on " : "",
             c->network ? c->network : "");
    make_may(a, n, "ElementName", "Network adapter %u", place + 1);
    make_say(a, n, "ResourceSubType", "%s", subtype);
    return n;
}

struct xml_node *ovf_make_port(struct arena *a, const struct desc *d, const struct desc_port *p)
{
    bool serial = p->kind == DESC_SERIAL;
    struct xml_node *n = make_item(a, serial ? ITEM_SERIAL : ITEM_PARALLEL);
    unsigned place = 1;

    for (const struct desc_port *o = d->ports; o && o != p; o = o->next)
        place += o->kind == p->kind;
    make_may(a, n, "AutomaticAllocation", "false");
    make_may(a, n, "ElementName", "%s port %u", serial ? "Serial" : "Parallel", place);
    if (strcmp(p->to, "null"))
        make_say(a, n, "ResourceSubType", "vmware.%sport.%s", serial ? "serial" : "parallel",
                 !strcmp(p->to, "tcp") ? "uri" : p->to);
    return n;
}

struct xml_node *ovf_make_video(struct arena *a, const struct desc *d)
{
    struct xml_node *n = make_item(a, ITEM_VIDEO);
    char text[24];

    make_may(a, n, "ElementName", "Video card");
    make_say(a, n, "ResourceSubType", "%s", d->display ? d->display : "");
    snprintf(text, sizeof(text), "%llu", (unsigned long long)(d->video_memory >> 10));
    if (n && d->video_memory)
        ovf_make_config(a, n, "Config", "videoRamSizeInKB", text);
    return n;
}

struct xml_node *ovf_make_sound(struct arena *a, const struct desc *d)
{
    struct xml_node *n = make_item(a, ITEM_SOUND);

    make_may(a, n, "ElementName", "Sound Card");
    make_say(a, n, "ResourceSubType", "%s", strcmp(d->sound, "sound") ? d->sound : "");
    return n;
}

struct xml_node *ovf_make_config(struct arena *a, struct xml_node *parent, const char *element,
                                 const char *key, const char *value)
{
    struct xml_node *n = ovf_node(a, parent, VMW_SPACE, element, NULL);

    if (!n || ovf_set(a, n, OVF_SPACE, "required", "false") ||
        ovf_set(a, n, VMW_SPACE, "key", key) || ovf_set(a, n, VMW_SPACE, "value", value))
        return NULL;
    return n;
}

/* ---- sections ---- */

/* CIM_OperatingSystem.OSType of the most usual guests, by what their name begins with */
static unsigned make_os_type(const char *os)
{
    static const struct {
        const char *begin;
        unsigned plain, wide; /* wide: of 64 bits */
    } types[] = {
        { "debian", 95, 96 },
        { "ubuntu", 93, 94 },
        { "centos", 106, 107 },
        { "rhel", 79, 80 },
        { "sles", 84, 85 },
        { "suse", 82, 83 },
        { "oracleLinux", 108, 109 },
        { "freebsd", 42, 78 },
        { "windows9Server", 112, 112 },
        { "windows8Server", 74, 74 },
        { "windows7Server", 103, 103 },
        { "windows9", 114, 114 },
        { "windows8", 113, 113 },
        { "windows7", 105, 105 },
        { "winXP", 67, 71 },
        { "winNet", 69, 70 },
        { "win2000", 58, 58 },
        { "solaris", 29, 29 },
        { "other5xLinux", 100, 101 },
        { "other4xLinux", 100, 101 },
        { "other3xLinux", 100, 101 },
        { "other26xLinux", 99, 100 },
        { "other24xLinux", 97, 98 },
        { "otherLinux", 36, 101 },
    };
    bool wide = strstr(os, "64") != NULL;

    for (size_t i = 0; i < LEN(types); i++)
        if (!strncasecmp(os, types[i].begin, strlen(types[i].begin)))
            return wide ? types[i].wide : types[i].plain;
    return 1;
}

/* VMware's word of a configuration file ("debian11-64") or of a package ("debian11_64Guest") */
static const char *make_guest_id(struct arena *a, const char *os)
{
    size_t n = strlen(os);
    bool wide = n > 3 && !strcmp(os + n - 3, "-64");

    for (const char *p = os; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *p))
            return NULL;
    if (n > 5 && !strcmp(os + n - 5, "Guest"))
        return os;
    if (make_os_type(os) == 1 && strcmp(os, "other") && strcmp(os, "other-64"))
        return NULL;
    return wide ? arena_print(a, "%.*s_64Guest", (int)(n - 3), os) : arena_print(a, "%sGuest", os);
}

struct xml_node *ovf_make_guest(struct arena *a, const struct desc *d)
{
    struct xml_node *n = ovf_node(a, NULL, OVF_SPACE, "OperatingSystemSection", NULL);
    const char *os = d->guest_os ? d->guest_os : "", *id = make_guest_id(a, os);
    char number[16];

    snprintf(number, sizeof(number), "%u", make_os_type(os));
    if (!n || ovf_set(a, n, OVF_SPACE, "id", number) ||
        (id && *os && ovf_set(a, n, VMW_SPACE, "osType", id)) ||
        !ovf_node(a, n, OVF_SPACE, "Info", "The kind of installed guest operating system"))
        return NULL;
    if (*os && !id && !ovf_node(a, n, OVF_SPACE, "Description", os))
        return NULL;
    return n;
}

struct xml_node *ovf_make_system(struct arena *a, const struct desc *d)
{
    struct xml_node *n = ovf_node(a, NULL, OVF_SPACE, "System", NULL);
    char type[16];

    snprintf(type, sizeof(type), "vmx-%02u", d->hardware_version ? d->hardware_version : 13);
    if (!n || !ovf_node(a, n, VSSD_SPACE, "ElementName", "Virtual Hardware Family") ||
        !ovf_node(a, n, VSSD_SPACE, "InstanceID", "0") ||
        !ovf_node(a, n, VSSD_SPACE, "VirtualSystemIdentifier", d->name) ||
        !ovf_node(a, n, VSSD_SPACE, "VirtualSystemType", type))
        return NULL;
    return n;
}

/* ---- what a package says beyond that ---- */

bool ovf_same(const struct xml_node *x, const struct xml_node *y)
{
    const struct xml_node *c = x->first, *e = y->first;
    u32 n = 0, m = 0;

    if (strcmp(x->name, y->name) || strcmp(x->space, y->space) || strcmp(x->text, y->text))
        return false;
    for (const struct xml_attr *p = x->attrs; p; p = p->next, n++)
        if (!xml_attr(y, p->name) || strcmp(xml_attr(y, p->name), p->value))
            return false;
    for (const struct xml_attr *p = y->attrs; p; p = p->next)
        m++;
    for (; c && e && ovf_same(c, e); c = c->next)
        e = e->next;
    return n == m && !c && !e;
}

/* The made child that speaks of the same as c: of the same name; a Config of the same key */
static struct xml_node *make_twin(const struct xml_node *made, const struct xml_node *c)
{
    const char *key = xml_attr(c, "key");

    for (struct xml_node *m = made->first; m; m = m->next)
        if (!strcasecmp(m->name, c->name) &&
            (!key || (xml_attr(m, "key") && !strcmp(xml_attr(m, "key"), key))))
            return m;
    return NULL;
}

/* Is a's place behind b's?  CIM's elements stand in the order of the alphabet, others behind. */
static bool make_behind(const struct xml_node *a, const struct xml_node *b)
{
    bool x = !strcmp(a->space, RASD_SPACE), y = !strcmp(b->space, RASD_SPACE);

    return x && y ? strcmp(a->name, b->name) > 0 : !x && y;
}

void ovf_sort(struct xml_node *item)
{
    struct xml_node *sorted = NULL, *c, *next;

    for (c = item->first; c; c = next) {
        struct xml_node **at = &sorted;

        next = c->next;
        while (*at && !make_behind(*at, c))
            at = &(*at)->next;
        c->next = *at;
        *at = c;
    }
    item->first = sorted;
    for (item->last = sorted; item->last && item->last->next; item->last = item->last->next)
        ;
}

struct xml_node *ovf_rest(struct arena *a, const struct xml_node *item, const struct xml_node *made,
                          bool keep_id)
{
    struct xml_node *rest = ovf_node(a, NULL, item->space, item->name, NULL);

    if (!rest || !made)
        return NULL;
    for (const struct xml_attr *x = item->attrs; x; x = x->next)
        if (ovf_set(a, rest, x->space, x->name, x->value))
            return NULL;
    for (const struct xml_node *c = item->first; c; c = c->next) {
        const struct xml_node *twin = make_twin(made, c);

        if (!strcasecmp(c->name, "InstanceID") ? !keep_id : !strcasecmp(c->name, "Parent"))
            continue;
        if (twin && (!twin->taken || (!strcmp(twin->text, c->text) && !c->attrs)))
            continue;
        if (!*c->text && !c->attrs && !c->first)
            continue;
        if (!ovf_copy(a, rest, c))
            return NULL;
    }
    ovf_sort(rest);
    return rest;
}

int ovf_merge(struct arena *a, struct xml_node *made, const struct xml_node *rest)
{
    for (const struct xml_attr *x = rest->attrs; x; x = x->next)
        if (ovf_set(a, made, x->space, x->name, x->value))
            return -ENOMEM;
    for (const struct xml_node *c = rest->first; c; c = c->next) {
        struct xml_node *twin = make_twin(made, c);

        if (twin && !twin->taken)
            continue;
        if (twin)
            ovf_drop(twin);
        if (!ovf_copy(a, made, c))
            return -ENOMEM;
    }
    return 0;
}
