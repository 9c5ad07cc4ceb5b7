/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Items of a VirtualHardwareSection (CIM_ResourceAllocationSettingData): processors,
 * memory, controllers, and what hangs on them.  What an Item says beyond the description, and
 * Items that are nothing in it (of another deployment option, of unknown kinds), are kept.
 */
#include "package/ovf_int.h"
#include "package/place.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct hardware { /* one section under way */
    struct ovf *o;
    struct xml_node *section;
    struct ovf_item *items;
    u32 n;
};

bool ovf_listed(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = list + strspn(list, " ,"); *p; p += strcspn(p, " ,"), p += strspn(p, " ,"))
        if (strcspn(p, " ,") == len && !strncmp(p, word, len))
            return true;
    return false;
}

/* Is this one of the Items that the chosen deployment option has? */
static bool ovf_applies(const struct ovf *o, const struct xml_node *n)
{
    const char *only = xml_attr(n, "configuration");

    return !only || !*only || (o->config && ovf_listed(only, o->config));
}

static bool ovf_bound(const struct xml_node *n, const char *which)
{
    const char *bound = xml_attr(n, "bound");

    return bound && !strcasecmp(bound, which);
}

/* Of several kinds in a list ("buslogic, lsilogic") the first that somebody knows. */
static const char *ovf_subtype(struct ovf *o, const char *list)
{
    const char *first = NULL;

    if (!strpbrk(list, " ,") || name_find(NAME_NIC, list))
        return list;
    for (const char *p = list + strspn(list, " ,"); *p;
         p += strcspn(p, " ,"), p += strspn(p, " ,")) {
        const char *word = arena_text(&o->arena, p, strcspn(p, " ,"));

        if (!word)
            break;
        first = first ? first : word;
        for (int kind = NAME_SCSI; kind <= NAME_NIC; kind++)
            if (name_find((enum name_kind)kind, word))
                return word;
    }
    return first ? first : list;
}

static void ovf_take(struct ovf *o, struct xml_node *n, struct ovf_item *it)
{
    const char *type = xml_text(n, "ResourceType");

    *it = (struct ovf_item){ .node = n,
                             .type = (unsigned)strtoul(type, NULL, 10),
                             .id = xml_text(n, "InstanceID"),
                             .parent = xml_text(n, "Parent"),
                             .subtype = ovf_subtype(o, xml_text(n, "ResourceSubType")),
                             .name = ovf_say(o, xml_child(n, "ElementName")) };
    it->dropped = !ovf_applies(o, n);
}

/* A lower or upper bound counts only where no value is given that lies between. */
static void ovf_bounds(struct hardware *h)
{
    for (u32 i = 0; i < h->n; i++) {
        struct ovf_item *it = &h->items[i];
        bool low = ovf_bound(it->node, "min"), high = ovf_bound(it->node, "max");

        for (u32 k = 0; !it->dropped && (low || high) && k < h->n; k++)
            if (k != i && !h->items[k].dropped && h->items[k].type == it->type &&
                (low ? !ovf_bound(h->items[k].node, "min") && !ovf_bound(h->items[k].node, "max")
                     : !ovf_bound(h->items[k].node, "max")))
                it->dropped = true;
    }
}

/* Of several with one id the one of the chosen option counts. */
static void ovf_overrides(struct hardware *h)
{
    for (u32 n = 0; n < h->n; n++)
        for (u32 i = 0; i < n; i++) {
            struct ovf_item *a = &h->items[i], *b = &h->items[n];

            if (!*b->id || strcmp(a->id, b->id) || a->dropped || b->dropped)
                continue;
            if (xml_attr(b->node, "configuration"))
                a->dropped = true;
            else if (xml_attr(a->node, "configuration"))
                b->dropped = true;
            else
                note(h->o->n, NOTE_CHANGED, b->name, "has the InstanceID %s of \"%s\"", b->id,
                     a->name);
        }
}

static int ovf_collect(struct hardware *h)
{
    struct ovf *o = h->o;

    h->items = calloc(OVF_ITEMS_MAX, sizeof(*h->items));
    if (!h->items)
        return -ENOMEM;
    for (struct xml_node *c = h->section->first; c; c = c->next) {
        if (strcasecmp(c->name, "Item"))
            continue;
        if (h->n == OVF_ITEMS_MAX)
            return err_set(o->e, -E2BIG, "%s: more than %d hardware items", o->file, OVF_ITEMS_MAX);
        ovf_take(o, c, &h->items[h->n++]);
    }
    ovf_bounds(h);
    ovf_overrides(h);
    return 0;
}

/* ---- what is a part of the VM ---- */

static int ovf_cpus(struct ovf *o, struct ovf_item *it)
{
    const char *count = xml_text(it->node, "VirtualQuantity");
    const char *cores = xml_text(it->node, "CoresPerSocket");
    unsigned long n = strtoul(count, NULL, 10), per = strtoul(cores, NULL, 10);

    if (!*count) {
        note(o->n, NOTE_CHANGED, "processors", "their number is not said: %u", o->d->cpus);
        n = o->d->cpus;
    }
    if (n < 1 || n > 4096)
        return err_set(o->e, -EBADMSG, "%s: item \"%.80s\": \"%.40s\" is no number of processors",
                       o->file, it->name, count);
    o->d->cpus = (u32)n;
    o->d->cores_per_socket = per && per <= n && n % per == 0 ? (u32)per : 1;
    it->what = "cpu";
    return 0;
}

static int ovf_memory(struct ovf *o, struct ovf_item *it)
{
    const char *count = xml_text(it->node, "VirtualQuantity");
    const char *units = xml_text(it->node, "AllocationUnits");
    /* without units: bytes by the book, MiB in files that exist */
    u64 unit = strtoull(count, NULL, 10) < 1 << 20 ? 1 << 20 : 1;

    it->what = "memory";
    if (!*units)
        units = xml_text(it->node, "VirtualQuantityUnits");
    if (!*count) {
        note(o->n, NOTE_CHANGED, "memory", "its size is not said: %llu MiB",
             (unsigned long long)o->d->memory >> 20);
        return 0;
    }
    if (!ovf_bytes(count, units, unit, &o->d->memory) || !o->d->memory)
        return err_set(o->e, -EBADMSG,
                       "%s: item \"%.80s\": \"%.40s\" of \"%.40s\" is no amount of memory", o->file,
                       it->name, count, units);
    return 0;
}

/* Both channels of IDE are one device: units 0 and 1 of the first, 2 and 3 of the second. */
static int ovf_ide(struct ovf *o, struct ovf_item *it, const struct hardware *h)
{
    const char *address = xml_text(it->node, "Address");
    unsigned channel = (unsigned)strtoul(address, NULL, 0) & 1;

    for (const struct ovf_item *i = h->items; i < it; i++)
        if (i->type == ITEM_IDE && i->device && i->channel == channel)
            channel ^= 1; /* two that say the same are two all the same */
    it->channel = channel;
    it->device = desc_device(o->d, "ide0");
    if (!it->device) {
        bool known = name_find(NAME_IDE, it->subtype) != NULL;

        it->device = place_controller(o->d, o->n, NAME_IDE, known ? it->subtype : "");
        if (!known && it->device)
            it->device->foreign = ovf_copy_text(o, it->subtype);
    }
    it->what = channel ? "ide0:1" : "ide0:0";
    return it->device ? 0 : -ENOMEM;
}

/* The slot that VMware gave it; its element is kept with the rest of the Item. */
static int ovf_slot(struct ovf *o, const struct ovf_item *it, const char **at)
{
    int r = 0;

    for (const struct xml_node *c = it->node->first; !r && c; c = c->next) {
        const char *key = xml_attr(c, "key"), *value = xml_attr(c, "value");

        if (key && value && !strcasecmp(key, "slotInfo.pciSlotNumber"))
            r = place_slot(o->d, at, value);
    }
    return r;
}

static int ovf_controller(struct ovf *o, struct ovf_item *it, enum name_kind kind)
{
    const char *usual = kind == NAME_USB ? "vmware.usb.ehci" : "";

    it->device = place_controller(o->d, o->n, kind, *it->subtype ? it->subtype : usual);
    if (!it->device || ovf_slot(o, it, &it->device->at))
        return -ENOMEM;
    it->what = it->device->name;
    return 0;
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

static int ovf_nic(struct ovf *o, struct ovf_item *it)
{
    struct desc_nic *c = place_nic(o->d, o->n, it->subtype);
    const char *net = xml_text(it->node, "Connection"), *mac = xml_text(it->node, "Address");
    const char *connected = xml_text(it->node, "AutomaticAllocation");

    if (!c || ovf_slot(o, it, &c->at))
        return -ENOMEM;
    if (*net)
        c->network = ovf_copy_text(o, net);
    if (*mac && !place_mac(c, mac))
        note(o->n, NOTE_LOST, c->name, "its address \"%.100s\" is no MAC address", mac);
    c->connected = !*connected || ovf_is_true(connected);
    it->what = c->name;
    return 0;
}

/* "vmware.serialport.file": where the guest's bytes go */
static int ovf_port(struct ovf *o, struct ovf_item *it, enum desc_port_kind kind)
{
    const char *dot = strrchr(it->subtype, '.'), *to = dot ? dot + 1 : "null";
    struct desc_port *p;
    char name[32];
    u32 n = 0;

    for (const struct desc_port *q = o->d->ports; q; q = q->next)
        n += q->kind == kind;
    snprintf(name, sizeof(name), "%s%u", kind == DESC_SERIAL ? "serial" : "parallel", n);
    p = desc_add_port(o->d, name, kind, !strcmp(to, "uri") ? "tcp" : to);
    if (!p)
        return -ENOMEM;
    it->what = p->name;
    return 0;
}

static int ovf_video(struct ovf *o, struct ovf_item *it)
{
    for (const struct xml_node *c = it->node->first; c; c = c->next)
        if (xml_attr(c, "key") && !strcasecmp(xml_attr(c, "key"), "videoRamSizeInKB") &&
            xml_attr(c, "value"))
            o->d->video_memory = strtoull(xml_attr(c, "value"), NULL, 10) % (1ull << 40) << 10;
    if (*it->subtype)
        o->d->display = ovf_copy_text(o, it->subtype);
    it->what = o->d->video_memory || o->d->display ? "video" : NULL;
    return 0;
}

static int ovf_sound(struct ovf *o, struct ovf_item *it)
{
    o->d->sound = *it->subtype ? ovf_copy_text(o, it->subtype) : "sound";
    note(o->n, NOTE_LOST, *it->name ? it->name : "sound", "there is no sound");
    it->what = "sound";
    return 0;
}

/* NVRAM: a file of the package, "ovf:/file/file2" */
static int ovf_nvram(struct ovf *o, const char *value)
{
    const struct xml_node *f;
    const char *id = strrchr(value, '/'), *href;
    const struct source_file *found = NULL;
    struct desc_file *to;
    int r;

    if (!id || o->d->nvram)
        return 0;
    f = ovf_by_id(xml_child(o->root, "References"), "File", "id", id + 1);
    href = xml_attr(f, "href");
    r = href ? ovf_find_file(o, href, &found) : 0;
    if (r || !found) {
        note(o->n, NOTE_LOST, "nvram", "the file of firmware variables \"%.100s\" is missing",
             href ? href : value);
        return r;
    }
    to = desc_add_file(o->d, found->name, found->path);
    if (!to)
        return -ENOMEM;
    to->offset = found->offset;
    to->length = o->s->kind == SOURCE_TAR ? found->size : 0;
    o->d->nvram = to->name;
    return 0;
}

/* Things that a VM here does not have: kept for writing back. */
static int ovf_other(struct ovf *o, struct ovf_item *it)
{
    const char *name = *it->name ? it->name : "item";
    char text[200];

    if (!strcasecmp(it->subtype, "vmware.vtpm"))
        o->d->tpm = true;
    if (!strcasecmp(it->subtype, "vmware.vmci")) /* every VM of VMware's has it */
        return 0;
    if (it->type == ITEM_NVRAM)
        return ovf_nvram(o, xml_text(it->node, "HostResource"));
    snprintf(text, sizeof(text), "hardware of type %u%s%.100s", it->type, *it->subtype ? ", " : "",
             it->subtype);
    return ovf_unknown(o, it->node, name, text);
}

/* A VM has one processor item, one of memory, of video, of sound: the first counts. */
static bool ovf_again(const struct hardware *h, const struct ovf_item *it)
{
    if (it->type != ITEM_CPU && it->type != ITEM_MEMORY && it->type != ITEM_VIDEO &&
        it->type != ITEM_SOUND)
        return false;
    for (const struct ovf_item *i = h->items; i < it; i++)
        if (i->type == it->type && i->what) {
            note(h->o->n, NOTE_CHANGED, it->name, "is there twice: \"%.100s\" counts", i->name);
            return true;
        }
    return false;
}

/* First pass: what others hang on. */
static int ovf_first(struct hardware *h, struct ovf_item *it)
{
    struct ovf *o = h->o;

    if (ovf_again(h, it))
        return 0;
    switch (it->type) {
    case ITEM_CPU:
        return ovf_cpus(o, it);
    case ITEM_MEMORY:
        return ovf_memory(o, it);
    case ITEM_IDE: /* some say IDE and mean virtio */
        return *it->subtype && name_find(NAME_SCSI, it->subtype) ? ovf_controller(o, it, NAME_SCSI)
                                                                 : ovf_ide(o, it, h);
    case ITEM_SCSI:
        return ovf_controller(o, it, NAME_SCSI);
    case ITEM_STORAGE:
        return ovf_controller(o, it, ovf_storage_kind(it));
    case ITEM_USB:
        return ovf_controller(o, it, NAME_USB);
    case ITEM_NIC:
        return ovf_nic(o, it);
    case ITEM_SERIAL:
        return ovf_port(o, it, DESC_SERIAL);
    case ITEM_PARALLEL:
        return ovf_port(o, it, DESC_PARALLEL);
    case ITEM_VIDEO:
        return ovf_video(o, it);
    case ITEM_SOUND:
        return ovf_sound(o, it);
    case ITEM_FLOPPY:
    case ITEM_CD:
    case ITEM_DVD:
    case ITEM_DISK:
    case ITEM_LOGICAL_DISK:
        return 0;
    }
    return ovf_other(o, it);
}

static const struct ovf_item *ovf_parent(const struct hardware *h, const char *id)
{
    for (u32 i = 0; *id && i < h->n; i++)
        if (h->items[i].device && !h->items[i].dropped && !strcmp(h->items[i].id, id))
            return &h->items[i];
    return NULL;
}

/* The floppy controller is on every board; no Item stands for it. */
static struct desc_device *ovf_floppy(struct ovf *o)
{
    struct desc_device *v = desc_device(o->d, "fdc0");

    return v ? v : desc_add_device(o->d, "fdc0", "fdc");
}

static int ovf_drive(struct hardware *h, struct ovf_item *it, enum desc_media media)
{
    const struct ovf_item *parent = ovf_parent(h, it->parent);
    const char *place = xml_text(it->node, "AddressOnParent");
    const char *resource = xml_text(it->node, "HostResource");
    struct desc_device *v = parent ? parent->device : NULL;
    long unit = *place ? strtol(place, NULL, 0) : -1;
    struct ovf *o = h->o;
    struct desc_disk *k;

    if (media == DESC_FLOPPY && (!(v = ovf_floppy(o)) || (parent = NULL)))
        return -ENOMEM;
    if (unit >= 0 && parent && parent->type == ITEM_IDE)
        unit = (unit & 1) + 2 * (long)parent->channel;
    else if (unit < 0 && parent && parent->type == ITEM_IDE)
        unit = 2 * (long)parent->channel;
    k = place_disk(o->d, o->n, media, v, unit);
    if (!k)
        return -ENOMEM;
    it->what = k->name;
    if (*resource)
        return ovf_fill_disk(o, k, resource);
    if (media == DESC_DISK)
        note(o->n, NOTE_LOST, k->name, "names no disk: it is empty");
    return 0;
}

static int ovf_second(struct hardware *h, struct ovf_item *it)
{
    switch (it->type) {
    case ITEM_DISK:
    case ITEM_LOGICAL_DISK:
        return ovf_drive(h, it, DESC_DISK);
    case ITEM_CD:
    case ITEM_DVD:
        return ovf_drive(h, it, DESC_CDROM);
    case ITEM_FLOPPY:
        return ovf_drive(h, it, DESC_FLOPPY);
    }
    return 0;
}

/* ---- what is kept ---- */

/* The Item that the writer would make of what this one became. */
static struct xml_node *ovf_made(struct ovf *o, const struct ovf_item *it)
{
    struct arena *a = &o->arena;

    if (it->device)
        return ovf_make_controller(a, o->d, it->device, it->channel);
    for (const struct desc_disk *k = o->d->disks; k; k = k->next)
        if (!strcmp(k->name, it->what))
            return ovf_make_disk(a, o->d, k, xml_text(it->node, "HostResource"));
    for (const struct desc_nic *c = o->d->nics; c; c = c->next)
        if (!strcmp(c->name, it->what))
            return ovf_make_nic(a, o->d, c);
    for (const struct desc_port *p = o->d->ports; p; p = p->next)
        if (!strcmp(p->name, it->what))
            return ovf_make_port(a, o->d, p);
    return it->type == ITEM_CPU      ? ovf_make_cpu(a, o->d)
           : it->type == ITEM_MEMORY ? ovf_make_memory(a, o->d)
           : it->type == ITEM_VIDEO  ? ovf_make_video(a, o->d)
                                     : ovf_make_sound(a, o->d);
}

/* An Item that is kept whole names others by their ids, which then must stay. */
static void ovf_share(struct hardware *h)
{
    for (u32 i = 0; i < h->n; i++) {
        if (h->items[i].what)
            continue;
        for (u32 k = 0; k < h->n; k++) {
            const char *id = h->items[k].id;

            if (k != i && *id && (!strcmp(id, h->items[i].id) || !strcmp(id, h->items[i].parent)))
                h->items[k].shared = true;
        }
    }
}

static int ovf_keep_rest(struct ovf *o, const struct ovf_item *it)
{
    struct xml_node *rest = ovf_rest(&o->arena, it->node, ovf_made(o, it), it->shared);
    char key[100];

    if (!rest)
        return -ENOMEM;
    if (it->subtype != xml_text(it->node, "ResourceSubType")) /* one of a list */
        o->failed |= !ovf_node(&o->arena, rest, RASD_SPACE, "ResourceSubType",
                               xml_text(it->node, "ResourceSubType"));
    if (!rest->attrs && !rest->first)
        return 0;
    snprintf(key, sizeof(key), OVF_KEY_ITEM, it->what);
    return ovf_keep(o, o->d, key, rest);
}

static int ovf_keep_items(struct hardware *h)
{
    int r = 0;

    for (u32 i = 0; i < h->n; i++) /* a third channel of IDE is one of two */
        for (u32 k = 0; h->items[i].what && k < i; k++)
            if (h->items[k].what && !strcmp(h->items[k].what, h->items[i].what))
                h->items[i].what = NULL;
    ovf_share(h);
    for (u32 i = 0; !r && i < h->n; i++)
        r = h->items[i].what ? ovf_keep_rest(h->o, &h->items[i])
                             : ovf_keep(h->o, h->o->d, OVF_KEY_OTHER_ITEM, h->items[i].node);
    return r;
}

/* ---- settings ---- */

/* One of vmw:Config and vmw:ExtraConfig; true when the description says it now. */
static int ovf_config(struct ovf *o, const char *key, const char *value, bool extra, bool *taken)
{
    *taken = true;
    if (!extra && !strcasecmp(key, "firmware"))
        o->d->firmware = !strcasecmp(value, "efi") ? DESC_EFI : DESC_BIOS;
    else if (!extra && !strcasecmp(key, "bootOptions.efiSecureBootEnabled"))
        o->d->secure_boot = ovf_is_true(value);
    else if (extra && !strcasecmp(key, "nvram") && !strncasecmp(value, "ovf:", 4))
        return ovf_nvram(o, value);
    else if (!strcasecmp(key, "uuid") || !strcasecmp(key, "uuid.bios"))
        *taken = !ovf_uuid(o->d, value);
    else
        *taken = false;
    return 0;
}

static int ovf_keep_config(struct ovf *o, const struct xml_node *c, const char *key,
                           const char *value, bool extra)
{
    struct xml_node *plain =
        ovf_make_config(&o->arena, NULL, extra ? "ExtraConfig" : "Config", key, value);
    char path[700];

    if (!plain)
        return -ENOMEM;
    snprintf(path, sizeof(path), "%s%.600s", extra ? OVF_KEY_EXTRA_CONFIG : OVF_KEY_CONFIG, key);
    if (ovf_same(c, plain) && *value != '<' && strlen(key) <= 600)
        return desc_add_extra(o->d, "ovf", path, value);
    return ovf_keep(o, o->d, path, c);
}

/* What stands in the section beside the Items. */
static int ovf_beside(struct hardware *h)
{
    struct ovf *o = h->o;

    for (const struct xml_node *c = h->section->first; c; c = c->next) {
        const char *key = xml_attr(c, "key"), *value = xml_attr(c, "value");
        bool extra = !strcasecmp(c->name, "ExtraConfig"), taken = false;
        int r = 0;

        if (!strcasecmp(c->name, "Item") || !strcasecmp(c->name, "System") ||
            !strcasecmp(c->name, "Info"))
            continue;
        if ((extra || !strcasecmp(c->name, "Config")) && key && value) {
            r = ovf_config(o, key, value, extra, &taken);
            if (!r && !taken)
                r = ovf_keep_config(o, c, key, value, extra);
        } else {
            char path[200];

            snprintf(path, sizeof(path), "VirtualHardwareSection/%.150s", c->name);
            r = ovf_keep(o, o->d, path, c);
        }
        if (r)
            return r;
    }
    return 0;
}

/* ---- the order of booting ---- */

static void ovf_boot_item(struct ovf *o, const struct ovf_item *it, u32 number)
{
    for (struct desc_disk *k = o->d->disks; it->what && k; k = k->next)
        if (!strcmp(k->name, it->what) && !k->boot)
            k->boot = number;
    for (struct desc_nic *c = o->d->nics; it->what && c; c = c->next)
        if (!strcmp(c->name, it->what) && !c->boot)
            c->boot = number;
}

/* VMware's BootOrderSections, one a device; else the numbers that CIM and oVirt give Items. */
static void ovf_boot(struct hardware *h)
{
    u32 number = 0;

    for (const struct xml_node *c = h->section->parent->first; c; c = c->next) {
        const char *id = xml_attr(c, "instanceId");

        if (!ovf_is_section(c, "BootOrderSection") || !id)
            continue;
        number++;
        for (u32 i = 0; i < h->n; i++)
            if (!h->items[i].dropped && !strcmp(h->items[i].id, id))
                ovf_boot_item(h->o, &h->items[i], number);
    }
    for (u32 i = 0; !number && i < h->n; i++) {
        const char *text = xml_text(h->items[i].node, "BootOrder");
        unsigned long at;

        if (!*text)
            text = xml_text(h->items[i].node, "boot_order");
        at = strtoul(text, NULL, 10);
        if (at && at < 1000 && !h->items[i].dropped)
            ovf_boot_item(h->o, &h->items[i], (u32)at);
    }
}

int ovf_read_hardware(struct ovf *o, struct xml_node *section)
{
    struct hardware h = { .o = o, .section = section };
    int r = ovf_collect(&h);

    for (u32 i = 0; !r && i < h.n; i++)
        if (!h.items[i].dropped)
            r = ovf_first(&h, &h.items[i]);
    for (u32 i = 0; !r && i < h.n; i++)
        if (!h.items[i].dropped)
            r = ovf_second(&h, &h.items[i]);
    if (!r) {
        ovf_vbox_macs(o);
        ovf_boot(&h);
        r = ovf_keep_items(&h);
    }
    free(h.items);
    r = r ? r : ovf_beside(&h);
    if (!r && o->failed)
        r = -ENOMEM;
    return r == -ENOMEM ? err_set(o->e, r, "%s: the hardware is too long a list", o->file) : r;
}
