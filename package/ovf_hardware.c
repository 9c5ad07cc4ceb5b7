/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VirtualHardwareSection of a VM that is written: an Item for each part, with what the
 * package it came from said beyond our words, the Items that are nothing here, and settings.
 */
#include "package/ovf_out.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct out_item {
    const char *what, *id;
    struct xml_node *node;
    bool whole; /* kept: nothing in it is ours */
};

struct out_hardware {
    struct ovf_out *o;
    struct xml_node *section;
    struct out_item *items;
    u32 n, max, next_id;
};

static bool hardware_has_id(const struct out_hardware *h, const char *id)
{
    for (u32 i = 0; i < h->n; i++)
        if (h->items[i].id && !strcmp(h->items[i].id, id))
            return true;
    return false;
}

static void hardware_add(struct out_hardware *h, const char *what, struct xml_node *node)
{
    struct ovf_out *o = h->o;
    struct xml_node *rest;
    struct out_item *it;
    const char *key;

    if (!node || h->n == h->max) {
        o->failed = true;
        return;
    }
    it = &h->items[h->n++];
    *it = (struct out_item){ .what = what, .node = node };
    key = arena_print(&o->arena, OVF_KEY_ITEM, what);
    rest = key ? ovf_kept(o, desc_extra(o->d, "ovf", key)) : NULL;
    o->failed |= !key;
    if (!rest)
        return;
    for (struct xml_node *c = rest->first; c; c = c->next) /* one of a list of kinds */
        if (!strcasecmp(c->name, "ResourceSubType")) {
            struct xml_node *twin = (struct xml_node *)xml_child(node, c->name);

            if (twin && ovf_listed(c->text, twin->text))
                twin->text = c->text;
        }
    o->failed |= ovf_merge(&o->arena, node, rest) != 0;
    if (*xml_text(rest, "InstanceID"))
        it->id = xml_text(rest, "InstanceID");
}

/* The second channel of IDE is there when something is on it, or was there before. */
static bool hardware_second(const struct ovf_out *o, const struct desc_device *v)
{
    for (const struct desc_disk *k = o->d->disks; k; k = k->next)
        if (k->controller && !strcmp(k->controller, v->name) && k->unit > 1)
            return true;
    return desc_extra(o->d, "ovf", "VirtualHardwareSection/Item[ide0:1]") != NULL;
}

static bool hardware_first(const struct ovf_out *o, const struct desc_device *v)
{
    for (const struct desc_disk *k = o->d->disks; k; k = k->next)
        if (k->controller && !strcmp(k->controller, v->name) && k->unit < 2)
            return true;
    return !hardware_second(o, v) ||
           desc_extra(o->d, "ovf", "VirtualHardwareSection/Item[ide0:0]") != NULL;
}

static void hardware_controllers(struct out_hardware *h)
{
    struct ovf_out *o = h->o;

    for (const struct desc_device *v = o->d->devices; v; v = v->next) {
        if (!strcmp(v->class, "ide")) {
            if (hardware_first(o, v))
                hardware_add(h, "ide0:0", ovf_make_controller(&o->arena, o->d, v, 0));
            if (hardware_second(o, v))
                hardware_add(h, "ide0:1", ovf_make_controller(&o->arena, o->d, v, 1));
        } else if (strcmp(v->class, "fdc") && strcmp(v->class, "usb_keyboard")) {
            hardware_add(h, v->name, ovf_make_controller(&o->arena, o->d, v, 0));
        }
    }
}

static void hardware_drives(struct out_hardware *h)
{
    struct ovf_out *o = h->o;

    for (const struct desc_disk *k = o->d->disks; k; k = k->next) {
        const struct ovf_member *m = ovf_member_of(o, k);
        const char *resource = "";

        if (m && k->media == DESC_DISK)
            resource = arena_print(&o->arena, "ovf:/disk/%s", m->disk_id);
        else if (m)
            resource = arena_print(&o->arena, "ovf:/file/%s", m->id);
        hardware_add(h, k->name, ovf_make_disk(&o->arena, o->d, k, resource));
    }
}

/* Items that are kept whole; a TPM is one of them. */
static void hardware_others(struct out_hardware *h)
{
    struct ovf_out *o = h->o;
    bool tpm = o->d->tpm;

    for (const struct desc_extra *x = o->d->extras; x; x = x->next) {
        struct xml_node *n;

        if (strcmp(x->format, "ovf") || strcmp(x->key, OVF_KEY_OTHER_ITEM) ||
            !(n = ovf_kept(o, x->value)) || h->n == h->max)
            continue;
        tpm = tpm && strcasecmp(xml_text(n, "ResourceSubType"), "vmware.vtpm");
        h->items[h->n++] = (struct out_item){ .node = n, .whole = true };
        if (*xml_text(n, "InstanceID"))
            h->items[h->n - 1].id = xml_text(n, "InstanceID");
    }
    if (tpm) {
        struct xml_node *n = ovf_put(o, NULL, "Item", NULL);

        if (!n || !ovf_node(&o->arena, n, RASD_SPACE, "ElementName", "Virtual TPM") ||
            !ovf_node(&o->arena, n, RASD_SPACE, "ResourceSubType", "vmware.vtpm") ||
            !ovf_node(&o->arena, n, RASD_SPACE, "ResourceType", "34"))
            o->failed = true;
        ovf_put_attr(o, n, OVF_SPACE, "required", "false");
        if (n && h->n < h->max)
            h->items[h->n++] = (struct out_item){ .node = n };
    }
}

static void hardware_ids(struct out_hardware *h)
{
    for (u32 i = 0; i < h->n; i++) {
        struct out_item *it = &h->items[i];

        while (!it->id) {
            const char *id = arena_print(&h->o->arena, "%u", ++h->next_id);

            h->o->failed |= !id;
            if (!id || !hardware_has_id(h, id))
                it->id = id ? id : "";
        }
        if (it->whole)
            continue;
        if (!xml_child(it->node, "InstanceID") && *it->id)
            h->o->failed |= !ovf_node(&h->o->arena, it->node, RASD_SPACE, "InstanceID", it->id);
    }
}

static const char *hardware_id_of(const struct out_hardware *h, const char *what)
{
    for (u32 i = 0; i < h->n; i++)
        if (h->items[i].what && !strcmp(h->items[i].what, what))
            return h->items[i].id;
    return NULL;
}

static void hardware_parents(struct out_hardware *h)
{
    for (const struct desc_disk *k = h->o->d->disks; k; k = k->next) {
        const struct desc_device *v = k->controller ? desc_device(h->o->d, k->controller) : NULL;
        const char *parent = NULL;

        if (v)
            parent = strcmp(v->class, "ide") ? hardware_id_of(h, v->name)
                                             : hardware_id_of(h, k->unit > 1 ? "ide0:1" : "ide0:0");
        for (u32 i = 0; parent && i < h->n; i++)
            if (h->items[i].what && !strcmp(h->items[i].what, k->name))
                h->o->failed |=
                    !ovf_node(&h->o->arena, h->items[i].node, RASD_SPACE, "Parent", parent);
    }
}

/* ---- settings ---- */

static void hardware_config(struct out_hardware *h, const char *element, const char *key,
                            const char *value)
{
    h->o->failed |= !ovf_make_config(&h->o->arena, h->section, element, key, value);
}

static void hardware_kept_configs(struct out_hardware *h, const char *element, const char *under)
{
    size_t n = strlen(under);

    for (const struct desc_extra *x = h->o->d->extras; x; x = x->next) {
        struct xml_node *kept;

        if (strcmp(x->format, "ovf") || strncmp(x->key, under, n))
            continue;
        if (*x->value != '<')
            hardware_config(h, element, x->key + n, x->value);
        else if ((kept = ovf_kept(h->o, x->value)))
            ovf_append(h->section, kept);
    }
}

/* Anything else that stood in the section. */
static void hardware_kept_parts(struct out_hardware *h)
{
    static const char under[] = "VirtualHardwareSection/";

    for (const struct desc_extra *x = h->o->d->extras; x; x = x->next) {
        const char *name = x->key + sizeof(under) - 1;
        struct xml_node *kept;

        if (strcmp(x->format, "ovf") || strncmp(x->key, under, sizeof(under) - 1) ||
            strpbrk(name, "/@[") || !strcmp(name, "Item") || !strcmp(name, "System"))
            continue;
        if ((kept = ovf_kept(h->o, x->value)))
            ovf_append(h->section, kept);
    }
}

static void hardware_uuid(struct out_hardware *h)
{
    const u8 *u = h->o->d->uuid;
    char text[37], *p = text;

    for (int i = 0; i < 16; i++)
        p += sprintf(p, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", u[i]);
    hardware_config(h, "Config", "uuid", text);
}

static void hardware_configs(struct out_hardware *h)
{
    const struct desc *d = h->o->d;

    hardware_kept_configs(h, "Config", OVF_KEY_CONFIG);
    if (d->firmware == DESC_EFI)
        hardware_config(h, "Config", "firmware", "efi");
    if (d->secure_boot)
        hardware_config(h, "Config", "bootOptions.efiSecureBootEnabled", "true");
    if (d->has_uuid && !desc_extra(d, "ovf", "VirtualSystem/Machine"))
        hardware_uuid(h);
    hardware_kept_configs(h, "ExtraConfig", OVF_KEY_EXTRA_CONFIG);
    for (const struct ovf_member *m = h->o->members; d->nvram && m; m = m->next)
        if (m->file && !strcmp(m->file->name, d->nvram)) {
            const char *value = arena_print(&h->o->arena, "ovf:/file/%s", m->id);

            hardware_config(h, "ExtraConfig", "nvram", value ? value : "");
            break;
        }
    hardware_kept_parts(h);
}

/* ---- the section ---- */

static struct xml_node *hardware_system(struct ovf_out *o)
{
    const char *text = desc_extra(o->d, "ovf", "VirtualHardwareSection/System");
    struct xml_node *kept = ovf_kept(o, text);

    if (kept && ovf_vmx(xml_text(kept, "VirtualSystemType")) == o->d->hardware_version)
        return kept;
    if (!o->d->hardware_version && !o->told)
        note(o->n, NOTE_CHANGED, o->d->name, "is hardware of version 13 for VMware");
    return ovf_make_system(&o->arena, o->d);
}

static u32 hardware_count(const struct desc *d)
{
    u32 n = 8;

    for (const struct desc_device *v = d->devices; v; v = v->next)
        n += 2;
    for (const struct desc_disk *k = d->disks; k; k = k->next)
        n++;
    for (const struct desc_nic *c = d->nics; c; c = c->next)
        n++;
    for (const struct desc_port *p = d->ports; p; p = p->next)
        n++;
    for (const struct desc_extra *x = d->extras; x; x = x->next)
        n += !strcmp(x->key, OVF_KEY_OTHER_ITEM);
    return n;
}

static void hardware_items(struct out_hardware *h)
{
    struct ovf_out *o = h->o;
    const struct desc *d = o->d;

    hardware_add(h, "cpu", ovf_make_cpu(&o->arena, d));
    hardware_add(h, "memory", ovf_make_memory(&o->arena, d));
    hardware_controllers(h);
    hardware_drives(h);
    for (const struct desc_nic *c = d->nics; c; c = c->next)
        hardware_add(h, c->name, ovf_make_nic(&o->arena, d, c));
    for (const struct desc_port *p = d->ports; p; p = p->next)
        hardware_add(h, p->name, ovf_make_port(&o->arena, d, p));
    if (d->display || desc_extra(d, "ovf", "VirtualHardwareSection/Item[video]") ||
        (d->video_memory && !desc_extra(d, "ovf", "VirtualSystem/Machine")))
        hardware_add(h, "video", ovf_make_video(&o->arena, d));
    if (d->sound)
        hardware_add(h, "sound", ovf_make_sound(&o->arena, d));
    hardware_others(h);
    hardware_ids(h);
    hardware_parents(h);
    for (u32 i = 0; i < h->n; i++) {
        if (!h->items[i].whole)
            ovf_sort(h->items[i].node);
        ovf_append(h->section, h->items[i].node);
    }
}

/* VMware's: a section for each device that is booted from, in order. */
static void hardware_boot(struct out_hardware *h, struct xml_node *system)
{
    static const char *const kinds[] = {
        [DESC_DISK] = "disk", [DESC_CDROM] = "cdrom", [DESC_FLOPPY] = "floppy"
    };

    for (u32 at = 1; at < 64; at++) {
        const char *id = NULL, *kind = "net";
        struct xml_node *n;

        for (const struct desc_disk *k = h->o->d->disks; k && !id; k = k->next)
            if (k->boot == at && (id = hardware_id_of(h, k->name)))
                kind = kinds[k->media];
        for (const struct desc_nic *c = h->o->d->nics; c && !id; c = c->next)
            id = c->boot == at ? hardware_id_of(h, c->name) : NULL;
        if (!id)
            continue;
        n = ovf_node(&h->o->arena, system, VMW_SPACE, "BootOrderSection", NULL);
        ovf_put_attr(h->o, n, OVF_SPACE, "required", "false");
        ovf_put_attr(h->o, n, VMW_SPACE, "instanceId", id);
        ovf_put_attr(h->o, n, VMW_SPACE, "type", kind);
        ovf_put(h->o, n, "Info", "Virtual hardware device boot order");
    }
}

void ovf_put_hardware(struct ovf_out *o, struct xml_node *system)
{
    const char *transport = desc_extra(o->d, "ovf", OVF_KEY_TRANSPORT);
    struct out_hardware h = { .o = o, .max = hardware_count(o->d) };
    struct xml_node *kept;

    h.section = ovf_put(o, system, "VirtualHardwareSection", NULL);
    h.items = calloc(h.max, sizeof(*h.items));
    kept = hardware_system(o);
    if (!h.section || !h.items || !kept) {
        o->failed = true;
        free(h.items);
        return;
    }
    if (transport)
        ovf_put_attr(o, h.section, OVF_SPACE, "transport", transport);
    ovf_put(o, h.section, "Info", "Virtual hardware requirements");
    ovf_append(h.section, kept);
    hardware_items(&h);
    hardware_configs(&h);
    hardware_boot(&h, system);
    free(h.items);
}
