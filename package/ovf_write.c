/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing an OVF: 1.x, because VMware's products read nothing newer, or 2.0 when asked for; a
 * descriptor with its files, or an archive in the order that VMware's tools insist on: the
 * descriptor, the manifest, the certificate, the files as References list them.
 */
#include "package/lost.h"
#include "package/manifest.h"
#include "package/ovf_out.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VMDK_URI "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

struct xml_node *ovf_kept(struct ovf_out *o, const char *text)
{
    struct xml_node *root = NULL;

    if (!text || *text != '<')
        return NULL;
    if (xml_parse(&o->arena, text, strlen(text), "extra", &root, NULL, NULL))
        return NULL;
    return root;
}

const struct xml_node *ovf_look(struct ovf_out *o, const char *text)
{
    struct ovf_seen **head = &o->seen[((uintptr_t)text >> 4) % LEN(o->seen)], *s;

    for (s = *head; s; s = s->next)
        if (s->text == text)
            return s->node;
    s = arena_new(&o->arena, sizeof(*s));
    if (!s) {
        o->failed = true;
        return NULL;
    }
    s->text = text;
    s->node = ovf_kept(o, text);
    s->next = *head;
    *head = s;
    return s->node;
}

struct xml_node *ovf_put(struct ovf_out *o, struct xml_node *parent, const char *name,
                         const char *text)
{
    struct xml_node *n = ovf_node(&o->arena, parent, OVF_SPACE, name, text);

    o->failed |= !n;
    return n;
}

void ovf_put_attr(struct ovf_out *o, struct xml_node *n, const char *space, const char *name,
                  const char *value)
{
    o->failed |= !n || ovf_set(&o->arena, n, space, name, value);
}

static void ovf_put_number(struct ovf_out *o, struct xml_node *n, const char *name, u64 v)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    ovf_put_attr(o, n, OVF_SPACE, name, text);
}

/* All that was kept under exactly this key, or of this beginning; at its place. */
static void ovf_put_kept(struct ovf_out *o, struct xml_node *parent, const struct desc *d,
                         const char *key, bool begins)
{
    for (const struct desc_extra *x = d->extras; x; x = x->next) {
        struct xml_node *n;

        if (strcmp(x->format, "ovf") ||
            (begins ? strncmp(x->key, key, strlen(key)) : strcmp(x->key, key)))
            continue;
        if ((n = ovf_kept(o, x->value)))
            ovf_append(parent, n);
    }
}

/* ---- files and disks ---- */

static void ovf_put_references(struct ovf_out *o)
{
    struct xml_node *refs = ovf_put(o, o->root, "References", NULL);

    for (const struct ovf_member *m = o->members; m; m = m->next) {
        const char *key, *packed;
        struct xml_node *n;

        if (!*m->name)
            continue;
        n = ovf_put(o, refs, "File", NULL);
        ovf_put_attr(o, n, OVF_SPACE, "href", m->made.name ? m->made.name : m->name);
        ovf_put_attr(o, n, OVF_SPACE, "id", m->id);
        ovf_put_number(o, n, "size", m->made.size);
        key = m->file ? arena_print(&o->arena, "References/File[%.200s]", m->file->name) : NULL;
        packed =
            key ? xml_attr(ovf_look(o, desc_extra(o->first, "ovf", key)), "compression") : NULL;
        if (packed)
            ovf_put_attr(o, n, OVF_SPACE, "compression", packed);
    }
}

/* Numbers that people can read, where they are whole. */
static void ovf_put_capacity(struct ovf_out *o, struct xml_node *n, u64 bytes)
{
    static const struct {
        unsigned shift;
        const char *units;
    } units[] = { { 30, "byte * 2^30" }, { 20, "byte * 2^20" }, { 0, "byte" } };
    size_t i = 0;

    while (bytes & ((1ull << units[i].shift) - 1))
        i++;
    ovf_put_number(o, n, "capacity", bytes >> units[i].shift);
    ovf_put_attr(o, n, OVF_SPACE, "capacityAllocationUnits", units[i].units);
}

/* A capacity that is a property stays one as long as it is the same number. */
static bool ovf_capacity_holds(struct ovf_out *o, const struct xml_node *rest, u64 capacity)
{
    const char *text = xml_attr(rest, "capacity"),
               *units = xml_attr(rest, "capacityAllocationUnits");
    u64 bytes;

    if (!text || strncmp(text, "${", 2))
        return false;
    for (const struct desc_property *p = o->d->properties; p; p = p->next)
        if (strstr(text, p->key) && ovf_bytes(p->value, units ? units : "", 1, &bytes) &&
            bytes == capacity)
            return true;
    return false;
}

static void ovf_put_disk(struct ovf_out *o, struct xml_node *section, const struct ovf_member *m)
{
    u64 capacity = m->made.capacity ? m->made.capacity : m->disk->capacity;
    struct xml_node *n = ovf_put(o, section, "Disk", NULL), *rest;
    const char *key = arena_print(&o->arena, OVF_KEY_DISK, m->disk->name);

    rest = key ? ovf_kept(o, desc_extra(o->d, "ovf", key)) : NULL;
    if (rest && !ovf_capacity_holds(o, rest, capacity)) {
        ovf_unset(rest, "capacity");
        ovf_unset(rest, "capacityAllocationUnits");
    }
    ovf_put_capacity(o, n, capacity);
    ovf_put_attr(o, n, OVF_SPACE, "diskId", m->disk_id);
    if (*m->name) {
        const char *format = m->made.format ? m->made.format : "vmdk";

        ovf_put_attr(o, n, OVF_SPACE, "fileRef", m->id);
        ovf_put_attr(o, n, OVF_SPACE, "format", !strcmp(format, "vmdk") ? VMDK_URI : format);
        ovf_put_number(o, n, "populatedSize", m->made.populated);
    } else {
        ovf_put_attr(o, n, OVF_SPACE, "format", VMDK_URI);
    }
    if (rest && n)
        o->failed |= ovf_merge(&o->arena, n, rest) != 0;
}

static bool ovf_owns(const struct desc *d, const struct desc_disk *k)
{
    for (const struct desc_disk *x = d->disks; x; x = x->next)
        if (x == k)
            return true;
    return false;
}

static void ovf_put_disks(struct ovf_out *o)
{
    struct xml_node *section = ovf_put(o, NULL, "DiskSection", NULL);

    ovf_put(o, section, "Info", "Virtual disk information");
    for (const struct ovf_member *m = o->members; section && m; m = m->next) {
        if (!m->disk_id)
            continue;
        for (o->d = o->first; o->d->next && !ovf_owns(o->d, m->disk); o->d = o->d->next)
            ;
        ovf_put_disk(o, section, m);
    }
    for (const struct desc *d = o->first; section && d; d = d->next)
        ovf_put_kept(o, section, d, "DiskSection/Disk", false);
    if (section && section->first != section->last)
        ovf_append(o->root, section);
}

static bool ovf_has_network(const struct xml_node *section, const char *name)
{
    for (const struct xml_node *c = section->first; c; c = c->next)
        if (xml_attr(c, "name") && !strcmp(xml_attr(c, "name"), name))
            return true;
    return false;
}

static void ovf_put_networks(struct ovf_out *o)
{
    struct xml_node *section = ovf_put(o, NULL, "NetworkSection", NULL);

    ovf_put(o, section, "Info", "The list of logical networks");
    if (!section)
        return;
    ovf_put_kept(o, section, o->first, "NetworkSection/Network[", true);
    for (const struct desc *d = o->first; d; d = d->next)
        for (const struct desc_nic *c = d->nics; c; c = c->next) {
            struct xml_node *n;
            char about[300];

            if (!c->network || ovf_has_network(section, c->network))
                continue;
            snprintf(about, sizeof(about), OVF_NETWORK_ABOUT, c->network);
            n = ovf_put(o, section, "Network", NULL);
            ovf_put_attr(o, n, OVF_SPACE, "name", c->network);
            ovf_put(o, n, "Description", about);
        }
    if (section->first != section->last)
        ovf_append(o->root, section);
}

/* ---- properties ---- */

static bool ovf_text_is(const char *a, const char *b)
{
    return !strcmp(a ? a : "", b ? b : "");
}

static const struct desc_property *ovf_property_of(const struct desc *d,
                                                   const struct xml_node *section, const char *key)
{
    for (const struct desc_property *p = d->properties; p; p = p->next)
        if (!strcmp(p->key, key) && ovf_text_is(p->class, xml_attr(section, "class")) &&
            ovf_text_is(p->instance, xml_attr(section, "instance")))
            return p;
    return NULL;
}

/* The option that the package's text names as the default. */
static const char *ovf_default_option(struct ovf_out *o)
{
    const struct xml_node *n =
        ovf_look(o, desc_extra(o->first, "ovf", "Envelope/DeploymentOptionSection"));
    const struct xml_node *first = xml_child(n, "Configuration");

    for (const struct xml_node *c = first; c; c = xml_next(c, "Configuration"))
        if (ovf_is_true(xml_attr(c, "default")))
            return xml_attr(c, "id");
    return xml_attr(first, "id");
}

/* Values that changed since they were read. */
static void ovf_put_values(struct ovf_out *o, struct xml_node *section)
{
    const char *option = ovf_default_option(o);

    for (struct xml_node *c = section->first, *next; c; c = next) {
        const struct desc_property *p;

        next = c->next;
        if (strcasecmp(c->name, "Property") || !xml_attr(c, "key"))
            continue;
        p = ovf_property_of(o->d, section, xml_attr(c, "key"));
        if (!p || ovf_text_is(ovf_property_value(c, option), p->value))
            continue;
        ovf_put_attr(o, c, OVF_SPACE, "value", p->value);
        for (struct xml_node *v = c->first, *after; v; v = after) {
            after = v->next;
            if (!strcasecmp(v->name, "Value"))
                ovf_drop(v);
        }
    }
}

/* Is it in a section that was kept, of this VM or of a collection around it? */
static bool ovf_property_is_kept(struct ovf_out *o, const struct desc_property *p)
{
    for (int pass = 0; pass < 2; pass++)
        for (const struct desc_extra *x = (pass ? o->first : o->d)->extras; x; x = x->next) {
            const char *slash = strrchr(x->key, '/');
            const struct xml_node *n;

            if (strcmp(x->format, "ovf") || !slash || strcmp(slash, "/ProductSection") ||
                strncmp(x->key, pass ? OVF_KEY_COLLECTION "[" : "VirtualSystem/",
                        pass ? sizeof(OVF_KEY_COLLECTION) : 14) ||
                !(n = ovf_look(o, x->value)))
                continue;
            for (const struct xml_node *c = xml_child(n, "Property"); c;
                 c = xml_next(c, "Property"))
                if (xml_attr(c, "key") && !strcmp(xml_attr(c, "key"), p->key) &&
                    ovf_text_is(p->class, xml_attr(n, "class")) &&
                    ovf_text_is(p->instance, xml_attr(n, "instance")))
                    return true;
        }
    return false;
}

static void ovf_put_property(struct ovf_out *o, struct xml_node *section,
                             const struct desc_property *p)
{
    struct xml_node *n = ovf_put(o, section, "Property", NULL);

    ovf_put_attr(o, n, OVF_SPACE, "key", p->key);
    ovf_put_attr(o, n, OVF_SPACE, "type", p->type ? p->type : "string");
    ovf_put_attr(o, n, OVF_SPACE, "userConfigurable", p->user ? "true" : "false");
    if (p->password)
        ovf_put_attr(o, n, OVF_SPACE, "password", "true");
    ovf_put_attr(o, n, OVF_SPACE, "value", p->value);
    if (p->label)
        ovf_put(o, n, "Label", p->label);
    if (p->about)
        ovf_put(o, n, "Description", p->about);
}

/* A section for each class and instance whose properties no kept section has. */
static void ovf_put_products(struct ovf_out *o, struct xml_node *system)
{
    for (const struct desc_property *p = o->d->properties; p; p = p->next) {
        struct xml_node *section = NULL;

        if (ovf_property_is_kept(o, p))
            continue;
        for (struct xml_node *c = system->first; c; c = c->next)
            if (!strcmp(c->name, "ProductSection") && ovf_text_is(xml_attr(c, "class"), p->class) &&
                ovf_text_is(xml_attr(c, "instance"), p->instance))
                section = c;
        if (!section) {
            section = ovf_put(o, system, "ProductSection", NULL);
            if (p->class)
                ovf_put_attr(o, section, OVF_SPACE, "class", p->class);
            if (p->instance)
                ovf_put_attr(o, section, OVF_SPACE, "instance", p->instance);
            ovf_put(o, section, "Info", "Information about the installed software");
        }
        if (section)
            ovf_put_property(o, section, p);
    }
}

/* ---- virtual systems ---- */

static void ovf_put_guest(struct ovf_out *o, struct xml_node *system)
{
    struct xml_node *kept =
        ovf_kept(o, desc_extra(o->d, "ovf", "VirtualSystem/OperatingSystemSection"));
    const char *os = o->d->guest_os, *type = xml_attr(kept, "osType");

    if (!kept ||
        /* without a word on it too: importers want the section */ (os && type && strcmp(type, os)))
        kept = ovf_make_guest(&o->arena, o->d);
    o->failed |= !kept;
    if (kept)
        ovf_append(system, kept);
}

static void ovf_put_annotation(struct ovf_out *o, struct xml_node *system)
{
    struct xml_node *n;

    if (!o->d->annotation || desc_extra(o->d, "ovf", "VirtualSystem/AnnotationSection"))
        return;
    n = ovf_put(o, system, "AnnotationSection", NULL);
    ovf_put(o, n, "Info", "A human-readable annotation");
    ovf_put(o, n, "Annotation", o->d->annotation);
}

/* Sections that were kept, as they were; some of their words are the description's. */
static void ovf_put_sections(struct ovf_out *o, struct xml_node *system)
{
    static const char under[] = "VirtualSystem/";

    for (const struct desc_extra *x = o->d->extras; x; x = x->next) {
        const char *name = x->key + sizeof(under) - 1;
        struct xml_node *n;

        if (strcmp(x->format, "ovf") || strncmp(x->key, under, sizeof(under) - 1) || *name == '@' ||
            !strcmp(name, "Name") || !strcmp(name, "OperatingSystemSection") ||
            !(n = ovf_kept(o, x->value)))
            continue;
        if (!strcmp(name, "ProductSection"))
            ovf_put_values(o, n);
        else if (!strcmp(name, "Machine"))
            o->failed |= ovf_vbox_patch(&o->arena, o->d, n) != 0;
        ovf_append(system, n);
    }
}

static void ovf_put_system(struct ovf_out *o, struct xml_node *parent)
{
    struct xml_node *n = ovf_put(o, parent, "VirtualSystem", NULL), *kept;
    const char *id = desc_extra(o->d, "ovf", OVF_KEY_ID);

    if (!n)
        return;
    ovf_put_attr(o, n, OVF_SPACE, "id", id ? id : o->d->name);
    ovf_put(o, n, "Info", "A virtual machine");
    kept = ovf_kept(o, desc_extra(o->d, "ovf", "VirtualSystem/Name"));
    if (kept)
        ovf_append(n, kept);
    else
        ovf_put(o, n, "Name", o->d->name);
    ovf_put_guest(o, n);
    ovf_put_hardware(o, n);
    ovf_put_annotation(o, n);
    ovf_put_sections(o, n);
    ovf_put_products(o, n);
}

/* The collection of a path; made, with what was kept of it, when it is met first. */
static struct xml_node *ovf_put_collection(struct ovf_out *o, struct xml_node *parent, char *path,
                                           size_t at)
{
    size_t n = strcspn(path + at, "/");
    char id[500], *to = id, key[600], was;
    struct xml_node *c;

    for (const char *p = path + at; p < path + at + n && to < id + sizeof(id) - 1; p++)
        if (*p == '%' && p + 2 < path + at + n) {
            char hex[3] = { p[1], p[2], 0 };

            *to++ = (char)strtoul(hex, NULL, 16);
            p += 2;
        } else {
            *to++ = *p;
        }
    *to = 0;
    for (c = parent->first; c; c = c->next)
        if (!strcmp(c->name, "VirtualSystemCollection") && xml_attr(c, "id") &&
            !strcmp(xml_attr(c, "id"), id))
            break;
    was = path[at + n];
    path[at + n] = 0;
    if (!c && (c = ovf_put(o, parent, "VirtualSystemCollection", NULL))) {
        ovf_put_attr(o, c, OVF_SPACE, "id", id);
        ovf_put(o, c, "Info", "A collection of virtual machines");
        snprintf(key, sizeof(key), OVF_KEY_COLLECTION "[%.500s]", path);
        ovf_put_kept(o, c, o->first, key, false);
        snprintf(key, sizeof(key), OVF_KEY_COLLECTION "[%.500s]/", path);
        ovf_put_kept(o, c, o->first, key, true);
    }
    path[at + n] = was;
    return c && was ? ovf_put_collection(o, c, path, at + n + 1) : c;
}

static void ovf_put_systems(struct ovf_out *o)
{
    u32 outside = 0;

    for (const struct desc *d = o->first; d; d = d->next)
        outside += !desc_extra(d, "ovf", OVF_KEY_COLLECTION);
    for (o->d = o->first; o->d; o->d = o->d->next) {
        const char *path = desc_extra(o->d, "ovf", OVF_KEY_COLLECTION);
        struct xml_node *parent = o->root;
        char copy[500];

        if (!path && (outside > 1 || o->first->next))
            path = sink_name(o->s); /* an envelope has one system, or one collection */
        if (path) {
            snprintf(copy, sizeof(copy), "%s", path);
            parent = ovf_put_collection(o, parent, copy, 0);
        }
        if (parent)
            ovf_put_system(o, parent);
    }
    o->d = o->first;
}

/* ---- 2.0 ---- */

static void ovf_newer(struct xml_node *n)
{
    bool storage = false, net = false;

    if (!strcmp(n->space, OVF_SPACE))
        n->space = OVF_SPACE_2;
    for (struct xml_attr *a = n->attrs; a; a = a->next)
        if (!strcmp(a->space, OVF_SPACE))
            a->space = OVF_SPACE_2;
    if (!strcmp(n->name, "Item")) {
        unsigned long type = strtoul(xml_text(n, "ResourceType"), NULL, 10);

        net = type == ITEM_NIC;
        storage = (type >= ITEM_FLOPPY && type <= ITEM_DISK) || type == ITEM_LOGICAL_DISK;
        n->name = storage ? "StorageItem" : net ? "EthernetPortItem" : n->name;
    }
    for (struct xml_node *c = n->first; c; c = c->next) {
        ovf_newer(c);
        if (!strcmp(c->space, RASD_SPACE))
            c->space = storage ? SASD_SPACE : net ? EPASD_SPACE : c->space;
    }
}

/* ---- what has no place ---- */

static void ovf_lose(const struct ovf_out *o, const char *what, const char *why)
{
    note(o->n, NOTE_LOST, o->d->name, "%s: %s", what, why);
}

static void ovf_losses(struct ovf_out *o)
{
    const struct desc *d;

    for (d = o->first; d; d = d->next) {
        bool vbox = desc_extra(d, "ovf", "VirtualSystem/Machine") != NULL;

        o->d = d;
        if (d->kernel || d->initrd || d->append)
            ovf_lose(o, "kernel", "an OVF boots from disks only");
        if (d->clock && strcmp(d->clock, "utc") && !vbox)
            ovf_lose(o, "clock", d->clock);
        if (d->machine && strcmp(d->machine, "i440fx") && !vbox &&
            !desc_extra(d, "ovf", "VirtualSystem/BiosType"))
            ovf_lose(o, "machine", d->machine);
        if (d->snapshots && !desc_extra(d, "ovf", "VirtualSystem/SnapshotsSection"))
            ovf_lose(o, "snapshots", "a package holds the present only");
        for (const struct desc_disk *k = d->disks; k; k = k->next) {
            if (k->serial)
                ovf_lose(o, k->name, "its serial number");
            if (k->mode == DESC_THROWAWAY)
                ovf_lose(o, k->name, "that it forgets what is written");
        }
        for (const struct desc_port *p = d->ports; p; p = p->next)
            if (p->target)
                ovf_lose(o, p->name, p->target);
        if (d->nvram) {
            bool there = false;

            for (const struct ovf_member *m = o->members; m; m = m->next)
                there |= m->file && !strcmp(m->file->name, d->nvram);
            if (!there)
                ovf_lose(o, "nvram", d->nvram);
        }
        lost_extras(d, "ovf", o->n);
    }
    o->d = o->first;
}

/* ---- the whole ---- */

static int ovf_build(struct ovf_out *o, struct buf *to)
{
    const char *language = desc_extra(o->first, "ovf", "Envelope/@xml:lang");
    bool newer = o->how->version && *o->how->version == '2';

    o->root = ovf_put(o, NULL, "Envelope", NULL);
    if (!o->root)
        return -ENOMEM;
    if (language)
        ovf_put_attr(o, o->root, "http://www.w3.org/XML/1998/namespace", "lang", language);
    ovf_put_references(o);
    ovf_put_disks(o);
    ovf_put_networks(o);
    for (const struct desc_extra *x = o->first->extras; x; x = x->next) {
        struct xml_node *n;

        if (!strcmp(x->format, "ovf") && !strncmp(x->key, "Envelope/", 9) &&
            strcmp(x->key + 9, "Strings") && (n = ovf_kept(o, x->value)))
            ovf_append(o->root, n);
    }
    ovf_put_systems(o);
    ovf_put_kept(o, o->root, o->first, "Envelope/Strings", false);
    o->told = true;
    if (o->failed)
        return -ENOMEM;
    if (newer)
        ovf_newer(o->root);
    return ovf_document(to, o->root, newer ? OVF_SPACE_2 : OVF_SPACE);
}

/* An archive keeps room for what stands before the files and speaks of them. */
static int ovf_reserve(struct ovf_out *o)
{
    struct buf b = { 0 };
    int r = ovf_build(o, &b);
    size_t room = b.len;

    buf_fini(&b);
    for (const struct ovf_member *m = o->members; m; m = m->next)
        room += 24; /* a capacity that only the image knows */
    if (r)
        return err_set(o->e, r, "%s: is too long to be written", sink_main(o->s));
    r = sink_reserve(o->s, sink_main(o->s), room, o->e);
    return r ? r : manifest_reserve(o->s, o->listed, o->e);
}

/* The descriptor and the files that are in the package: what the manifest lists. */
static int ovf_list(struct ovf_out *o)
{
    const char **list;
    size_t n = 2;

    for (const struct ovf_member *m = o->members; m; m = m->next)
        n++;
    list = arena_new(&o->arena, n * sizeof(*list));
    if (!list)
        return -ENOMEM;
    o->listed = list;
    *list++ = sink_main(o->s);
    for (const struct ovf_member *m = o->members; m; m = m->next)
        if (*m->name && !m->outside)
            *list++ = m->name;
    return 0;
}

static int ovf_put_files(struct ovf_out *o)
{
    int r = 0;

    for (struct ovf_member *m = o->members; !r && m; m = m->next) {
        if (!*m->name)
            continue;
        if (m->file) {
            r = sink_copy(o->s, m->name, m->file->path, m->file->offset, m->file->length, o->e);
            m->made.size = r ? 0 : sink_size(o->s, m->name);
        } else if (m->disk->media == DESC_DISK) {
            r = sink_disk(o->s, m->disk, m->name, "vmdk", "variant=streamOptimized", &m->made,
                          o->e);
        } else {
            r = sink_disk(o->s, m->disk, m->name, "raw", NULL, &m->made, o->e);
        }
    }
    return r;
}

int ovf_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    struct ovf_out o = { .arena = { .limit = 512u << 20 },
                         .first = d,
                         .d = d,
                         .s = s,
                         .how = sink_options(s),
                         .n = n,
                         .e = e };
    struct buf text = { 0 };
    int r = ovf_plan(&o);

    r = r ? r : ovf_list(&o);
    if (r == -ENOMEM)
        err_set(e, r, "%s: is too long to be written", sink_main(s));
    if (!r)
        ovf_losses(&o);
    r = r ? r : ovf_reserve(&o);
    r = r ? r : ovf_put_files(&o);
    if (!r && (r = ovf_build(&o, &text)))
        err_set(e, r, "%s: is too long to be written", sink_main(s));
    r = r ? r : sink_text(s, sink_main(s), text.p, text.len, e);
    r = r ? r : manifest_write(s, o.listed, e);
    buf_fini(&text);
    arena_fini(&o.arena);
    return r;
}
