/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XVA: exports of XenServer, XCP-ng and XenEnterprise 4.  A tar whose ova.xml is an XML-RPC
 * value with the objects of xapi's database (VM, VBD, VDI, VIF, network, SR ...), linked by
 * references.  Disks are read in place (image/xva.h).  Left out: the disks of snapshots.
 */
#include "image/xva.h"
#include "package/place.h"
#include "package/place_write.h"
#include "package/xl_int.h"
#include "package/xva_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XVA_OBJECTS 8192
#define XVA_VMS 256

struct xva_objects {
    struct xva *x;
    struct tree *all; /* the list */
    struct desc *d;   /* the VM that is read */
    struct tree *view;
    bool hvm;
};

static const char *xva_look(const struct tree *map, const char *key)
{
    const struct tree *t = tree_get(map, key);

    return t && t->kind == TREE_TEXT ? t->text : "";
}

static bool xva_is(const struct tree *object, const char *class)
{
    return !strcmp(xva_look(object, "class"), class);
}

/* The snapshot (what xapi calls the fields) of the object with this reference; NULL none. */
static struct tree *xva_find(const struct xva_objects *o, const char *class, const char *ref)
{
    for (struct tree *t = o->all->first; *ref && t; t = t->next)
        if (xva_is(t, class) && !strcmp(xva_look(t, "id"), ref))
            return tree_get(t, "snapshot");
    return NULL;
}

/* This object's fields as a part of the view: what is not taken becomes extras. */
static void xva_show(struct xva_objects *o, const char *class, const char *name,
                     struct tree *fields)
{
    struct arena *a = &o->x->arena;
    struct tree *to = tree_get(o->view, class), *copy;

    if (!name)
        to = o->view;
    else if (!to)
        to = tree_add_map(a, o->view, class);
    if (!to || tree_get(to, name ? name : class))
        return;
    tree_take(to);
    copy = tree_add_map(a, to, name ? name : class);
    if (!copy)
        return;
    copy->first = fields->first; /* shared: the view is only left */
    copy->last = fields->last;
    copy->taken = true;
    tree_take(fields);
}

/* ---- the machine ---- */

static const char *xva_keep(struct xva_objects *o, const struct tree *map, const char *key)
{
    const char *s = tree_take_text(map, key);

    return *s ? desc_text(o->d, "%s", s) : NULL;
}

static void xva_platform(struct xva_objects *o, const struct tree *vm)
{
    const struct tree *p = tree_get(vm, "platform"), *t = tree_get(p, "secureboot");
    u32 cores = (u32)strtoul(xva_look(p, "cores-per-socket"), NULL, 10);
    struct desc *d = o->d;

    if (cores && cores <= d->cpus && d->cpus % cores == 0) {
        tree_take_text(p, "cores-per-socket");
        d->cores_per_socket = cores;
    }
    if (t && (!strcmp(t->text, "true") || !strcmp(t->text, "false")))
        d->secure_boot = !strcmp(tree_take_text(p, "secureboot"), "true");
    d->display = xva_keep(o, p, "vga");
    d->video_memory = (strtoull(tree_take_text(p, "videoram"), NULL, 10) & 0xffff) << 20;
    if (d->video_memory == 0 && *xva_look(p, "videoram"))
        d->video_memory = 4 << 20;
    if (*xva_look(p, "device-model"))
        note(o->x->n, NOTE_KEPT, "device-model", "%.60s", xva_look(p, "device-model"));
}

static void xva_kind(struct xva_objects *o, const struct tree *vm)
{
    const char *policy = tree_take_text(vm, "HVM_boot_policy");
    const char *type = xva_look(vm, "domain_type");

    o->hvm = *policy != 0 || !strcmp(type, "hvm");
    o->d->machine = o->hvm ? "i440fx" : !strcmp(type, "pvh") ? "pvh" : "pv";
    if (!strcmp(type, "hvm") || !strcmp(type, "pv") || !strcmp(type, "pvh"))
        tree_take_text(vm, "domain_type");
    o->d->kernel = xva_keep(o, vm, "PV_kernel");
    o->d->initrd = xva_keep(o, vm, "PV_ramdisk");
    o->d->append = xva_keep(o, vm, "PV_args");
    if (!o->hvm && *xva_look(vm, "PV_bootloader"))
        note(o->x->n, NOTE_LOST, "boot loader",
             "\"%.60s\" runs on a Xen host; here the guest needs a kernel of its own",
             xva_look(vm, "PV_bootloader"));
}

static int xva_machine(struct xva_objects *o, struct tree *vm)
{
    const struct tree *params = tree_get(vm, "HVM_boot_params"), *vtpms = tree_get(vm, "VTPMs");
    struct desc *d = o->d;
    const char *s = tree_take_text(vm, "name_label");
    u64 cpus, memory;

    d->name = desc_text(d, "%s", *s ? s : "vm");
    d->annotation = xva_keep(o, vm, "name_description");
    d->persona = "xen";
    s = tree_take_text(vm, "uuid");
    if (*s && place_uuid(d, s))
        note(o->x->n, NOTE_LOST, "uuid", "\"%.60s\" is no UUID", s);
    memory = strtoull(tree_take_text(vm, "memory_static_max"), NULL, 10);
    cpus = strtoull(tree_take_text(vm, "VCPUs_max"), NULL, 10);
    if (memory > 1ull << 46 || cpus > 4096)
        return err_set(o->x->e, -EBADMSG, "%s: VM: %llu processors, %llu bytes are not possible",
                       o->x->file, (unsigned long long)cpus, (unsigned long long)memory);
    d->memory = memory ? memory : 256u << 20;
    d->cpus = cpus ? (u32)cpus : 1;
    xva_kind(o, vm);
    xva_platform(o, vm);
    if (!strcmp(tree_take_text(params, "firmware"), "uefi"))
        d->firmware = DESC_EFI;
    d->tpm = vtpms && vtpms->first;
    if (*xva_look(tree_get(vm, "NVRAM"), "EFI-variables"))
        note(o->x->n, NOTE_KEPT, "NVRAM", "the EFI variables are kept for writing back");
    tree_take_all(tree_get(vm, "VBDs")); /* made anew */
    tree_take_all(tree_get(vm, "VIFs"));
    tree_take_all(tree_get(vm, "snapshots"));
    return d->name ? 0 : -ENOMEM;
}

/* ---- disks ---- */

static bool xva_has_chunks(const struct xva *x, const char *ref, const char **path)
{
    char name[200];

    snprintf(name, sizeof(name), "%.150s/00000000", ref);
    for (const struct source_file *f = x->s->files; f; f = f->next)
        if (!strcmp(f->name, name)) {
            *path = f->path;
            return true;
        }
    return false;
}

static int xva_vdi(struct xva_objects *o, struct desc_disk *k, const char *ref)
{
    struct tree *vdi = xva_find(o, "VDI", ref), *sr;
    const char *path;

    if (!vdi)
        return 0;
    k->capacity = strtoull(tree_take_text(vdi, "virtual_size"), NULL, 10);
    sr = xva_find(o, "SR", tree_take_text(vdi, "SR"));
    tree_take_all(tree_get(vdi, "VBDs"));
    xva_show(o, "VDI", k->name, vdi);
    if (sr && !tree_get(o->view, "SR")) {
        tree_take_all(tree_get(sr, "VDIs"));
        tree_take_all(tree_get(sr, "PBDs"));
        xva_show(o, "SR", NULL, sr);
    }
    k->source = desc_text(o->d, "%s", ref);
    if (o->x->s->kind != SOURCE_TAR || !xva_has_chunks(o->x, ref, &path)) {
        note(o->x->n, NOTE_LOST, k->name, "its %s is not in the archive",
             k->media == DESC_CDROM ? "medium" : "data");
        if (k->media == DESC_CDROM)
            k->source = NULL;
        return 0;
    }
    k->path = k->container = desc_text(o->d, "%s", path);
    k->part = k->source;
    k->format = "xva";
    return k->path && k->source ? 0 : -ENOMEM;
}

static long xva_unit(const char *device)
{
    char bus;

    if (*device >= '0' && *device <= '9')
        return strtol(device, NULL, 10) & 0xffff;
    return xl_vdev(device, &bus);
}

static int xva_vbd(struct xva_objects *o, struct tree *vbd)
{
    const char *type = tree_take_text(vbd, "type"), *vdi = tree_take_text(vbd, "VDI");
    const char *device = xva_look(vbd, "userdevice");
    bool cd = !strcmp(type, "CD"), ide;
    long unit = xva_unit(*device ? device : xva_look(vbd, "device"));
    struct desc_device *v;
    struct desc_disk *k;

    ide = o->hvm && unit < 4;
    v = desc_device(o->d, ide ? "ide0" : "xen0");
    if (!v)
        v = place_controller(o->d, o->x->n, ide ? NAME_IDE : NAME_XEN, ide ? "" : "xvd");
    k = v ? place_disk(o->d, o->x->n, cd ? DESC_CDROM : DESC_DISK, v, unit) : NULL;
    if (!k)
        return -ENOMEM;
    if ((long)k->unit == unit && *device >= '0' && *device <= '9')
        tree_take_text(vbd, "userdevice");
    tree_take_text(vbd, "VM");
    if (!strcmp(tree_take_text(vbd, "mode"), "RO") && !cd)
        k->mode = DESC_READ;
    tree_take_text(vbd, "empty");
    xva_show(o, "VBD", k->name, vbd);
    return xva_vdi(o, k, vdi);
}

static int xva_vif(struct xva_objects *o, struct tree *vif)
{
    const char *kind =
        xva_look(tree_get(xva_find(o, "VM", xva_look(vif, "VM")), "platform"), "nic_type");
    const char *mac, *ref = tree_take_text(vif, "network");
    struct tree *network = xva_find(o, "network", ref);
    struct desc_nic *c = place_nic(o->d, o->x->n, !o->hvm ? "netfront" : *kind ? kind : "rtl8139");

    if (!c)
        return -ENOMEM;
    mac = tree_take_text(vif, "MAC");
    if (*mac && !place_mac(c, mac))
        note(o->x->n, NOTE_LOST, c->name, "its address \"%.40s\" is no MAC address", mac);
    tree_take_text(vif, "VM");
    xva_show(o, "VIF", c->name, vif);
    if (network) {
        bool seen = network->taken;

        c->network = xva_keep(o, network, "name_label");
        tree_take_all(tree_get(network, "VIFs"));
        if (!seen)
            xva_show(o, "network", c->name, network);
    }
    return 0;
}

/* ---- snapshots and other objects ---- */

/* "20170216T10:11:12Z" as RFC 3339 */
static const char *xva_time(struct desc *d, const char *s)
{
    if (strlen(s) < 17 || s[8] != 'T' || !strncmp(s, "19700101", 8))
        return NULL;
    return desc_text(d, "%.4s-%.2s-%.2sT%.8sZ", s, s + 4, s + 6, s + 9);
}

static int xva_snapshots(struct xva_objects *o, const char *ref, const char *parent)
{
    for (struct tree *t = o->all->first; t; t = t->next) {
        const struct tree *f = tree_get(t, "snapshot");
        struct desc_snapshot *p;
        const char *s;

        if (!xva_is(t, "VM") || !tree_true(xva_look(f, "is_a_snapshot")) ||
            strcmp(xva_look(f, "snapshot_of"), ref))
            continue;
        p = desc_add_snapshot(o->d, xva_look(t, "id"), xva_look(f, "name_label"));
        if (!p)
            return -ENOMEM;
        s = xva_look(f, "parent");
        p->parent = *s && strcmp(s, "OpaqueRef:NULL") ? desc_text(o->d, "%s", s) : NULL;
        s = xva_look(f, "name_description");
        p->about = *s ? desc_text(o->d, "%s", s) : NULL;
        p->time = xva_time(o->d, xva_look(f, "snapshot_time"));
        p->current = !strcmp(p->id, parent);
        note(o->x->n, NOTE_LOST, p->name, "the disks of this snapshot are not read");
    }
    return 0;
}

/* Objects that belong to no VM here or that nobody knows: kept whole. */
static int xva_others(struct xva_objects *o)
{
    static const char *const known[] = { "VM", "VBD", "VIF", "VDI", "SR", "network" };
    struct arena *a = &o->x->arena;
    struct tree *to = tree_add_map(a, o->view, "objects");

    if (!to)
        return -ENOMEM;
    to->taken = true;
    for (struct tree *t = o->all->first, *next; t; t = next) {
        bool other = true;
        struct tree *copy;

        next = t->next;
        for (size_t i = 0; i < LEN(known); i++)
            other &= !xva_is(t, known[i]);
        if (!other || !*xva_look(t, "id") || tree_get(to, xva_look(t, "id")))
            continue;
        copy = tree_add_map(a, to, xva_look(t, "id"));
        if (!copy)
            return -ENOMEM;
        copy->first = t->first;
        copy->last = t->last;
    }
    return 0;
}

static int xva_vm(struct xva_objects *o, struct tree *object, bool first)
{
    struct tree *vm = tree_get(object, "snapshot"), *version = tree_get(o->view, "version");
    const char *ref = xva_look(object, "id"), *parent = xva_look(vm, "parent");
    int r;

    o->view = tree_add(&o->x->arena, NULL, TREE_MAP, NULL);
    if (!o->view)
        return -ENOMEM;
    if (first && version) {
        struct tree *copy = tree_add_map(&o->x->arena, o->view, "version");

        if (!copy)
            return -ENOMEM;
        copy->first = version->first;
        o->d->product = desc_text(
            o->d, "%s %s",
            *xva_look(version, "product_brand") ? xva_look(version, "product_brand") : "XenServer",
            xva_look(version, "product_version"));
    }
    r = xva_machine(o, vm);
    xva_show(o, "VM", NULL, vm);
    for (struct tree *t = o->all->first; !r && t; t = t->next) {
        struct tree *f = tree_get(t, "snapshot");

        if (!f || strcmp(xva_look(f, "VM"), ref))
            continue;
        if (xva_is(t, "VBD"))
            r = xva_vbd(o, f);
        else if (xva_is(t, "VIF"))
            r = xva_vif(o, f);
    }
    r = r ? r : xva_snapshots(o, ref, parent);
    r = r || !first ? r : xva_others(o);
    if (r)
        return r;
    place_boot_order(o->d, tree_take_text(tree_get(vm, "HVM_boot_params"), "order"));
    return tree_leave(o->view, o->d, "xva");
}

static int xva_objects(struct xva *x, struct tree *root)
{
    struct xva_objects o = { .x = x, .all = tree_get(root, "objects"), .view = root };
    u32 vms = 0, n = 0;
    int r = 0;

    if (!o.all || o.all->kind != TREE_LIST)
        return err_set(x->e, -EBADMSG, "%s: ova.xml has no list of objects", x->file);
    for (const struct tree *t = o.all->first; t; t = t->next)
        if (++n > XVA_OBJECTS || t->kind != TREE_MAP)
            return err_set(x->e, t->kind == TREE_MAP ? -E2BIG : -EBADMSG,
                           "%s: ova.xml: object %u is not possible", x->file, n);
    for (struct tree *t = o.all->first; !r && t; t = t->next) {
        const struct tree *f = tree_get(t, "snapshot");

        if (!xva_is(t, "VM") || !f || tree_true(xva_look(f, "is_a_snapshot")) ||
            tree_true(xva_look(f, "is_control_domain")))
            continue;
        if (vms == XVA_VMS)
            return err_set(x->e, -E2BIG, "%s: too many VMs", x->file);
        o.d = vms ? desc_add_vm(x->d) : x->d;
        r = o.d ? xva_vm(&o, t, !vms) : -ENOMEM;
        vms++;
    }
    if (!r && !vms)
        r = err_set(x->e, -EBADMSG, "%s: there is no VM in it", x->file);
    return r;
}

/* ---- the package ---- */

static const struct source_file *xva_xml(struct source *s)
{
    const struct source_file *f = s->kind == SOURCE_TAR ? s->files : s->main;

    while (f && s->kind == SOURCE_TAR && strcmp(f->name, "ova.xml"))
        f = f->next;
    return f;
}

static int xva_probe(struct source *s)
{
    const struct source_file *f = xva_xml(s);
    char text[1025];

    if (!f)
        return 0;
    if (s->kind == SOURCE_TAR)
        return 95;
    return source_has_suffix(f->name, ".xml") && source_head(f, text, sizeof(text)) &&
                   strstr(text, "<appliance")
               ? 95
               : 0;
}

static int xva_parse(struct xva *x, const struct buf *text)
{
    struct xml_node *root;
    struct tree *value;
    int r = xml_parse(&x->arena, (const char *)text->p, text->len, x->file, &root, NULL, x->e);

    if (r)
        return r;
    if (!strcmp(root->name, "appliance"))
        return xva_read_legacy(x, root);
    if (strcmp(root->name, "value"))
        return err_set(x->e, -EOPNOTSUPP, "%s: ova.xml is <%.40s>, which is not known", x->file,
                       root->name);
    r = rpc_read(&x->arena, root, &value, x->file, x->e);
    return r ? r : xva_objects(x, value);
}

static int xva_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct xva x = { .d = d, .s = s, .n = n, .e = e, .file = source_base(s->path) };
    struct buf text;
    int r = source_load(xva_xml(s), XVA_XML_MAX, &text, e);

    if (r)
        return r;
    x.arena.limit = 512u << 20;
    r = xva_parse(&x, &text);
    if ((r == -ENOMEM || r == -E2BIG) && !e->text[0])
        err_set(e, r, "%s: ova.xml is too big", x.file);
    arena_fini(&x.arena);
    buf_fini(&text);
    return r;
}

const struct package_format package_xva = {
    .name = "xva",
    .archive = ".xva",
    .about = "XenServer, XCP-ng: an exported VM with its disks; XenEnterprise 3 is read too",
    .probe = xva_probe,
    .read = xva_read,
    .write = xva_package_write,
};
