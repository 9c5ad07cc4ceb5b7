/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exports of XenEnterprise 3.x (2006 and 2007), after "Xen API: legacy import format": a
 * directory with ova.xml and, for each disk, a directory of compressed chunks.  Read only.
 */
#include "package/number.h"
#include "package/place.h"
#include "package/xml_tree.h"
#include "package/xva_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEGACY_VMS 64
#define LEGACY_FIRST "chunk000000000.gz"

static u64 legacy_number(const char *s, u64 otherwise)
{
    u64 v;

    return s && number_decimal(s, &v) ? v : otherwise;
}

static const struct xml_node *legacy_vdi(const struct xml_node *root, const char *name)
{
    for (const struct xml_node *v = xml_child(root, "vdi"); v; v = xml_next(v, "vdi"))
        if (xml_attr(v, "name") && !strcmp(xml_attr(v, "name"), name))
            return v;
    return NULL;
}

/* "file://sda", "dir-gzipped-chunks": the first chunk is the disk. */
static int legacy_file(struct xva *x, struct desc *d, struct desc_disk *k,
                       const struct xml_node *vdi)
{
    const char *from = xml_take(vdi, "source"), *type = xml_take(vdi, "type");
    const struct source_file *f;
    struct err e = { 0 };
    char name[600];

    xml_take(vdi, "name");
    k->capacity = legacy_number(xml_take(vdi, "size"), 0);
    if (!from || strncmp(from, "file://", 7))
        return err_set(x->e, -EOPNOTSUPP, "%s: %s: the source \"%.100s\" is not supported", x->file,
                       k->name, from ? from : "");
    if (type && strcmp(type, "dir-gzipped-chunks"))
        return err_set(x->e, -EOPNOTSUPP, "%s: %s: disks of the type \"%.60s\" are not supported",
                       x->file, k->name, type);
    from += 7;
    k->source = desc_text(d, "%s", from);
    if (!k->source)
        return -ENOMEM;
    snprintf(name, sizeof(name), "%.500s/%s", from, LEGACY_FIRST);
    if (source_find(x->s, name, &f, &e)) {
        note(x->n, NOTE_LOST, k->name, "its chunks in \"%.200s\" are missing", from);
        return 0;
    }
    k->path = desc_text(d, "%s", f->path);
    k->format = "xenchunks";
    return k->path ? 0 : -ENOMEM;
}

static int legacy_disk(struct xva *x, struct desc *d, const struct xml_node *root,
                       const struct xml_node *vbd, bool hvm)
{
    const char *device = xml_take(vbd, "device"), *mode = xml_take(vbd, "mode");
    const char *vdi = xml_take(vbd, "vdi"), *function = xml_attr(vbd, "function");
    struct desc_device *v = desc_device(d, hvm ? "ide0" : "xen0");
    size_t n = device ? strlen(device) : 0;
    struct desc_disk *k;
    long unit = -1;

    while (n && device[n - 1] >= '0' && device[n - 1] <= '9')
        n--;
    if (n && device[n - 1] >= 'a' && device[n - 1] <= 'z')
        unit = device[n - 1] - 'a';
    if (!v)
        v = place_controller(d, x->n, hvm ? NAME_IDE : NAME_XEN, hvm ? "" : "xvd");
    k = v ? place_disk(d, x->n, DESC_DISK, v, unit) : NULL;
    if (!k)
        return -ENOMEM;
    if (mode && !strcmp(mode, "r"))
        k->mode = DESC_READ;
    if (function && !strcmp(function, "root"))
        k->boot = 1;
    if (!vdi || !legacy_vdi(root, vdi))
        return err_set(x->e, -EBADMSG, "%s: %s: there is no vdi \"%.60s\"", x->file, k->name,
                       vdi ? vdi : "");
    return legacy_file(x, d, k, legacy_vdi(root, vdi));
}

static int legacy_vm(struct xva *x, struct desc *d, const struct xml_node *root,
                     const struct xml_node *vm)
{
    const struct xml_node *config = xml_child(vm, "config"), *hacks = xml_child(vm, "hacks");
    const char *label = xml_take_text(vm, "label"), *about = xml_take_text(vm, "shortdesc"), *s;
    u64 cpus = legacy_number(xml_take(config, "vcpus"), 1);
    bool hvm;
    int r = 0;

    s = xml_take(hacks, "is_hvm");
    hvm = s && !strcmp(s, "true");
    d->machine = hvm ? "i440fx" : "pv";
    d->persona = "xen";
    d->product = "XenEnterprise 3";
    s = xml_take(vm, "name");
    d->name = desc_text(d, "%s", *label ? label : s && *s ? s : "vm");
    d->annotation = *about ? desc_text(d, "%s", about) : NULL;
    d->memory = legacy_number(xml_take(config, "mem_set"), 256u << 20);
    d->cpus = cpus && cpus <= 4096 ? (u32)cpus : 1;
    s = xml_take(hacks, "kernel_boot_cmdline");
    d->append = s && *s ? desc_text(d, "%s", s) : NULL;
    for (const struct xml_node *b = xml_child(vm, "vbd"); !r && b; b = xml_next(b, "vbd"))
        r = legacy_disk(x, d, root, b, hvm);
    return r;
}

int xva_read_legacy(struct xva *x, const struct xml_node *root)
{
    struct desc *d = x->d;
    u32 vms = 0;
    int r = 0;

    xml_take(root, "version");
    for (const struct xml_node *vm = xml_child(root, "vm"); !r && vm; vm = xml_next(vm, "vm")) {
        if (vms == LEGACY_VMS)
            return err_set(x->e, -E2BIG, "%s: too many VMs", x->file);
        d = vms++ ? desc_add_vm(x->d) : x->d;
        r = d ? legacy_vm(x, d, root, vm) : -ENOMEM;
    }
    if (!r && !vms)
        r = err_set(x->e, -EBADMSG, "%s: there is no VM in it", x->file);
    return r ? r : xml_rest(x->d, "appliance", root, x->file, x->e);
}
