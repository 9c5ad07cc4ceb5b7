/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An XVA that XenServer and XCP-ng import: ova.xml with the objects of each VM, then the disks
 * in order of their references.  Checksums are SHA-1, which every version reads; "--digest
 * xxhash" asks for those of new ones.  The fields are those of XenServer 7.1.
 */
#include "desc/disk.h"
#include "image/xva.h"
#include "package/lost.h"
#include "package/place.h"
#include "package/place_write.h"
#include "package/sink_int.h"
#include "package/xva_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XVAW_DISKS 4096
#define XVAW_NULL "OpaqueRef:NULL"

struct xvaw_disk {
    const struct desc_disk *k;
    char ref[24];
    u64 size;
};

struct xvaw {
    const struct desc *d; /* the VM at hand */
    struct sink *s;
    struct notes *n;
    struct err *e;
    struct arena arena;
    struct tree *objects, *version, *view, *vm;
    u32 ref;  /* the next reference */
    bool own; /* the VM was read from an XVA: nothing is added to what it had */
    bool hvm;
    u64 taken; /* places of drives */
    char vm_ref[24], sr_ref[24];
    struct xvaw_disk *disks;
    u32 ndisks;
};

/* ---- fields ---- */

struct xvaw_field { /* type: NULL text, "{}" map, "[]" list, else the value's */
    const char *key, *type, *text;
};

static const struct xvaw_field xvaw_vm[] = {
    { "power_state", NULL, "Halted" },
    { "user_version", NULL, "1" },
    { "is_a_template", "boolean", "0" },
    { "suspend_VDI", NULL, XVAW_NULL },
    { "resident_on", NULL, XVAW_NULL },
    { "affinity", NULL, XVAW_NULL },
    { "memory_overhead", NULL, "0" },
    { "memory_target", NULL, "0" },
    { "VCPUs_params", "{}", NULL },
    { "actions_after_shutdown", NULL, "destroy" },
    { "actions_after_reboot", NULL, "restart" },
    { "actions_after_crash", NULL, "restart" },
    { "consoles", "[]", NULL },
    { "VTPMs", "[]", NULL },
    { "PV_bootloader", NULL, "" },
    { "PV_kernel", NULL, "" },
    { "PV_ramdisk", NULL, "" },
    { "PV_args", NULL, "" },
    { "PV_bootloader_args", NULL, "" },
    { "PV_legacy_args", NULL, "" },
    { "HVM_boot_params", "{}", NULL },
    { "HVM_shadow_multiplier", "double", "1" },
    { "PCI_bus", NULL, "" },
    { "other_config", "{}", NULL },
    { "domid", NULL, "-1" },
    { "domarch", NULL, "" },
    { "last_boot_CPU_flags", "{}", NULL },
    { "is_control_domain", "boolean", "0" },
    { "metrics", NULL, XVAW_NULL },
    { "guest_metrics", NULL, XVAW_NULL },
    { "last_booted_record", NULL, "" },
    { "recommendations", NULL, "" },
    { "xenstore_data", "{}", NULL },
    { "ha_always_run", "boolean", "0" },
    { "ha_restart_priority", NULL, "" },
    { "is_a_snapshot", "boolean", "0" },
    { "snapshot_of", NULL, XVAW_NULL },
    { "snapshots", "[]", NULL },
    { "snapshot_time", "dateTime.iso8601", "19700101T00:00:00Z" },
    { "transportable_snapshot_id", NULL, "" },
    { "blobs", "{}", NULL },
    { "tags", "[]", NULL },
    { "blocked_operations", "{}", NULL },
    { "snapshot_info", "{}", NULL },
    { "snapshot_metadata", NULL, "" },
    { "parent", NULL, XVAW_NULL },
    { "children", "[]", NULL },
    { "bios_strings", "{}", NULL },
    { "protection_policy", NULL, XVAW_NULL },
    { "is_snapshot_from_vmpp", "boolean", "0" },
    { "appliance", NULL, XVAW_NULL },
    { "start_delay", NULL, "0" },
    { "shutdown_delay", NULL, "0" },
    { "order", NULL, "0" },
    { "VGPUs", "[]", NULL },
    { "attached_PCIs", "[]", NULL },
    { "suspend_SR", NULL, XVAW_NULL },
    { "version", NULL, "0" },
    { "generation_id", NULL, "" },
    { "hardware_platform_version", NULL, "0" },
    { "has_vendor_device", "boolean", "0" },
    { "requires_reboot", "boolean", "0" },
    { "reference_label", NULL, "" },
    { NULL, NULL, NULL },
};

static const struct xvaw_field xvaw_device[] = {
    /* of VBD and VIF */
    { "uuid", NULL, "" },
    { "other_config", "{}", NULL },
    { "currently_attached", "boolean", "0" },
    { "status_code", NULL, "0" },
    { "status_detail", NULL, "" },
    { "runtime_properties", "{}", NULL },
    { "qos_algorithm_type", NULL, "" },
    { "qos_algorithm_params", "{}", NULL },
    { "qos_supported_algorithms", "[]", NULL },
    { "metrics", NULL, XVAW_NULL },
    { NULL, NULL, NULL },
};

static const struct xvaw_field xvaw_vbd[] = {
    { "device", NULL, "" },
    { "bootable", "boolean", "0" },
    { "unpluggable", "boolean", "1" },
    { "storage_lock", "boolean", "0" },
    { NULL, NULL, NULL },
};

static const struct xvaw_field xvaw_vif[] = {
    { "MTU", NULL, "1500" },        { "locking_mode", NULL, "network_default" },
    { "ipv4_allowed", "[]", NULL }, { "ipv6_allowed", "[]", NULL },
    { NULL, NULL, NULL },
};

static const struct xvaw_field xvaw_vdi[] = {
    { "uuid", NULL, "" },
    { "name_label", NULL, "" },
    { "name_description", NULL, "" },
    { "crash_dumps", "[]", NULL },
    { "physical_utilisation", NULL, "0" },
    { "type", NULL, "user" },
    { "sharable", "boolean", "0" },
    { "read_only", "boolean", "0" },
    { "other_config", "{}", NULL },
    { "storage_lock", "boolean", "0" },
    { "location", NULL, "" },
    { "managed", "boolean", "1" },
    { "missing", "boolean", "0" },
    { "parent", NULL, XVAW_NULL },
    { "xenstore_data", "{}", NULL },
    { "sm_config", "{}", NULL },
    { "is_a_snapshot", "boolean", "0" },
    { "snapshot_of", NULL, XVAW_NULL },
    { "snapshots", "[]", NULL },
    { "snapshot_time", "dateTime.iso8601", "19700101T00:00:00Z" },
    { "tags", "[]", NULL },
    { NULL, NULL, NULL },
};

static const struct xvaw_field xvaw_sr[] = {
    { "uuid", NULL, "" },
    { "name_label", NULL, "Local storage" },
    { "name_description", NULL, "" },
    { "virtual_allocation", NULL, "0" },
    { "physical_utilisation", NULL, "0" },
    { "physical_size", NULL, "0" },
    { "type", NULL, "lvm" },
    { "content_type", NULL, "user" },
    { "shared", "boolean", "0" },
    { "other_config", "{}", NULL },
    { "tags", "[]", NULL },
    { "sm_config", "{}", NULL },
    { NULL, NULL, NULL },
};

static const struct xvaw_field xvaw_network[] = {
    { "uuid", NULL, "" },
    { "name_description", NULL, "" },
    { "MTU", NULL, "1500" },
    { "other_config", "{}", NULL },
    { "bridge", NULL, "" },
    { "tags", "[]", NULL },
    { "default_locking_mode", NULL, "unlocked" },
    { NULL, NULL, NULL },
};

static const struct xvaw_field xvaw_version[] = {
    { "hostname", NULL, "localhost" },
    { "date", NULL, "2017-02-16" },
    { "product_version", NULL, "7.1.0" },
    { "product_brand", NULL, "XenServer" },
    { "build_number", NULL, "137272c" },
    { "xapi_major", NULL, "1" },
    { "xapi_minor", NULL, "9" },
    { "export_vsn", NULL, "2" },
    { NULL, NULL, NULL },
};

static struct tree *xvaw_typed(struct xvaw *w, struct tree *map, const char *key, const char *type,
                               const char *text)
{
    struct tree *t = tree_add_text(&w->arena, map, key, text);

    if (t)
        t->type = type;
    return t;
}

/* A text, unless the field is there. */
static void xvaw_text(struct xvaw *w, struct tree *map, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void xvaw_text(struct xvaw *w, struct tree *map, const char *key, const char *fmt, ...)
{
    char text[1200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (!tree_get(map, key))
        tree_add_text(&w->arena, map, key, text);
}

/* What is missing of a class's fields, for objects that were no XVA's before. */
static void xvaw_defaults(struct xvaw *w, struct tree *map, const struct xvaw_field *f)
{
    for (; !w->own && f->key; f++) {
        if (tree_get(map, f->key))
            continue;
        if (f->text)
            xvaw_typed(w, map, f->key, f->type, f->text);
        else
            tree_add(&w->arena, map, *f->type == '{' ? TREE_MAP : TREE_LIST, f->key);
    }
}

static struct tree *xvaw_map(struct xvaw *w, struct tree *t, const char *key)
{
    struct tree *m = tree_get(t, key);

    return m ? m : tree_add_map(&w->arena, t, key);
}

static struct tree *xvaw_list(struct xvaw *w, struct tree *t, const char *key)
{
    struct tree *m = tree_get(t, key);

    return m ? m : tree_add_list(&w->arena, t, key);
}

static void xvaw_ref(struct xvaw *w, char ref[24])
{
    snprintf(ref, 24, "Ref:%u", w->ref++);
}

/* The fields of an object of this class, in the view. */
static struct tree *xvaw_fields(struct xvaw *w, const char *class, const char *name)
{
    struct tree *t = xvaw_map(w, w->view, class);

    return t && name ? xvaw_map(w, t, name) : t;
}

static void xvaw_object(struct xvaw *w, const char *class, const char *ref, struct tree *fields)
{
    struct tree *t = tree_add_map(&w->arena, w->objects, NULL), *copy;

    tree_add_text(&w->arena, t, "class", class);
    tree_add_text(&w->arena, t, "id", ref);
    copy = tree_add_map(&w->arena, t, "snapshot");
    if (copy && fields)
        copy->first = fields->first;
}

/* ---- the machine ---- */

static void xvaw_platform(struct xvaw *w)
{
    const struct desc *d = w->d;
    bool any = d->cores_per_socket > 1 || d->display || d->video_memory || d->secure_boot;
    struct tree *p = any || !w->own ? xvaw_map(w, w->vm, "platform") : NULL;
    u32 cores = d->cores_per_socket;

    if (cores > 1)
        xvaw_text(w, p, "cores-per-socket", "%u", cores);
    if (d->display && (w->own || !strcmp(d->display, "std") || !strcmp(d->display, "cirrus")))
        xvaw_text(w, p, "vga", "%s", d->display);
    else if (d->display)
        note(w->n, NOTE_CHANGED, "display", "%s becomes XenServer's own adapter", d->display);
    if (d->video_memory)
        xvaw_text(w, p, "videoram", "%llu", (unsigned long long)d->video_memory >> 20);
    if (d->secure_boot)
        xvaw_text(w, p, "secureboot", "true");
    if (w->own || !w->hvm)
        return;
    xvaw_text(w, p, "timeoffset", "0");
    xvaw_text(w, p, "nx", "true");
    xvaw_text(w, p, "acpi", "1");
    xvaw_text(w, p, "apic", "true");
    xvaw_text(w, p, "pae", "true");
    xvaw_text(w, p, "viridian", "true");
    if (d->firmware == DESC_EFI)
        xvaw_text(w, p, "device-model", "qemu-upstream-uefi");
}

static void xvaw_machine(struct xvaw *w)
{
    const struct desc *d = w->d;
    static const char *const limits[] = { "memory_dynamic_max", "memory_dynamic_min",
                                          "memory_static_min" };
    struct tree *vm = w->vm;
    char uuid[37], letters[8];

    xvaw_text(w, vm, "uuid", "%s", d->has_uuid ? place_uuid_text(d, uuid) : "");
    xvaw_text(w, vm, "name_label", "%s", d->name);
    tree_add_text(&w->arena, vm, "name_description", d->annotation ? d->annotation : "");
    xvaw_text(w, vm, "memory_static_max", "%llu", (unsigned long long)d->memory);
    xvaw_text(w, vm, "VCPUs_max", "%u", d->cpus);
    for (size_t i = 0; i < LEN(limits) && !w->own; i++)
        xvaw_text(w, vm, limits[i], "%llu", (unsigned long long)d->memory);
    if (!w->own)
        xvaw_text(w, vm, "VCPUs_at_startup", "%u", d->cpus);
    xvaw_text(w, vm, "HVM_boot_policy", "%s", w->hvm ? "BIOS order" : "");
    place_boot_letters(d, letters);
    if (*letters || (w->hvm && !w->own))
        xvaw_text(w, xvaw_map(w, vm, "HVM_boot_params"), "order", "%s", *letters ? letters : "cdn");
    if (d->firmware == DESC_EFI)
        xvaw_text(w, xvaw_map(w, vm, "HVM_boot_params"), "firmware", "uefi");
    if (d->kernel)
        tree_add_text(&w->arena, vm, "PV_kernel", d->kernel);
    if (d->initrd)
        tree_add_text(&w->arena, vm, "PV_ramdisk", d->initrd);
    if (d->append)
        tree_add_text(&w->arena, vm, "PV_args", d->append);
    if (!w->hvm && !w->own && !d->kernel)
        xvaw_text(w, vm, "PV_bootloader", "pygrub");
    if (d->machine && !strcmp(d->machine, "pvh"))
        xvaw_text(w, vm, "domain_type", "pvh");
    xvaw_platform(w);
    xvaw_defaults(w, vm, xvaw_vm);
    if (d->tpm && !w->own)
        note(w->n, NOTE_LOST, "tpm", "its state is not carried over: add a VTPM");
}

/* ---- disks ---- */

/* The place that it had; else the first free one, 3 being the CD's. */
static u32 xvaw_place(struct xvaw *w, const struct desc_disk *k)
{
    const struct desc_device *v = desc_device(w->d, k->controller);
    u32 at = k->media == DESC_CDROM ? 3 : 0;

    if (v && (!strcmp(v->class, "ide") || !strcmp(v->class, "xen_blk")) && k->unit < 64 &&
        !(w->taken >> k->unit & 1))
        at = k->unit;
    else if (v && strcmp(v->class, "ide") && strcmp(v->class, "xen_blk"))
        note(w->n, NOTE_CHANGED, k->name, "its controller %s becomes Xen's", v->class);
    while (at < 63 && (w->taken >> at & 1 || (at == 3 && k->media == DESC_DISK && !w->own)))
        at++;
    w->taken |= 1ull << at;
    return at;
}

/* A disk that is only a size: a hole in a file that has no name. */
static int xvaw_hole(const struct desc_disk *k, struct image **im, struct err *e)
{
    char path[64];
    struct image_open how = { .path = path, .format = "raw" };
    int fd = open(sink_temp_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), r;

    if (fd < 0)
        return err_set(e, -errno, "%s: %s", sink_temp_dir(), strerror(errno));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    r = ftruncate(fd, (off_t)k->capacity) ? err_set(e, -errno, "%s: %s", k->name, strerror(errno))
                                          : image_open(im, &how, e);
    close(fd);
    return r;
}

static int xvaw_open(const struct desc_disk *k, struct image **im, struct desc_image *how,
                     struct err *e)
{
    int r;

    *how = (struct desc_image){ 0 };
    if (!k->path)
        return xvaw_hole(k, im, e);
    r = desc_image(k, how, e);
    r = r ? r : image_open(im, &how->how, e);
    if (r)
        desc_image_fini(how);
    return r;
}

/* Its data goes along: a disk with a file, or one that is only a size. */
static bool xvaw_has_data(const struct desc_disk *k)
{
    return k->media == DESC_DISK && (k->path || (!k->source && k->capacity));
}

static int xvaw_vdi_object(struct xvaw *w, const struct desc_disk *k, const char *vbd, char ref[24])
{
    struct tree *vdi;
    struct desc_image how;
    struct image *im;
    u64 size = k->capacity;
    int r;

    xvaw_ref(w, ref);
    if (xvaw_has_data(k)) {
        if ((r = xvaw_open(k, &im, &how, w->e)))
            return r;
        size = image_size(im);
        image_close(im, NULL);
        desc_image_fini(&how);
        if (w->ndisks == XVAW_DISKS)
            return err_set(w->e, -E2BIG, "more than %d disks", XVAW_DISKS);
        w->disks[w->ndisks].k = k;
        w->disks[w->ndisks].size = size;
        memcpy(w->disks[w->ndisks++].ref, ref, 24);
    } else if (k->source) {
        note(w->n, NOTE_LOST, k->name, "\"%.200s\" was not there: a disk without data", k->source);
    }
    vdi = xvaw_fields(w, "VDI", k->name);
    xvaw_text(w, vdi, "SR", "%s", w->sr_ref);
    tree_add_text(&w->arena, xvaw_list(w, vdi, "VBDs"), NULL, vbd);
    xvaw_text(w, vdi, "virtual_size", "%llu", (unsigned long long)size);
    if (!w->own)
        xvaw_text(w, vdi, "name_label", "%s %s", w->d->name, k->name);
    xvaw_defaults(w, vdi, xvaw_vdi);
    xvaw_object(w, "VDI", ref, vdi);
    return 0;
}

static int xvaw_disk(struct xvaw *w, const struct desc_disk *k)
{
    struct tree *vbd = xvaw_fields(w, "VBD", k->name);
    char ref[24], vdi[24] = XVAW_NULL;
    bool cd = k->media == DESC_CDROM;
    int r = 0;

    if (k->media == DESC_FLOPPY) {
        note(w->n, NOTE_LOST, k->name, "XenServer has no floppy drives");
        return 0;
    }
    if (cd && k->path)
        note(w->n, NOTE_LOST, k->name, "the medium \"%.200s\" is not exported: the drive is empty",
             k->source ? k->source : "");
    xvaw_ref(w, ref);
    if (!cd || tree_get(tree_get(w->view, "VDI"), k->name))
        r = xvaw_vdi_object(w, k, ref, vdi);
    if (r)
        return r;
    tree_add_text(&w->arena, xvaw_list(w, w->vm, "VBDs"), NULL, ref);
    xvaw_text(w, vbd, "VM", "%s", w->vm_ref);
    xvaw_text(w, vbd, "VDI", "%s", vdi);
    if (!tree_get(vbd, "userdevice"))
        xvaw_text(w, vbd, "userdevice", "%u", xvaw_place(w, k));
    if (!w->own)
        xvaw_typed(w, vbd, "bootable", "boolean", k == w->d->disks || k->boot == 1 ? "1" : "0");
    xvaw_text(w, vbd, "mode", "%s", cd || k->mode == DESC_READ ? "RO" : "RW");
    xvaw_text(w, vbd, "type", "%s", cd ? "CD" : "Disk");
    xvaw_typed(w, vbd, "empty", "boolean", cd && !strcmp(vdi, XVAW_NULL) ? "1" : "0");
    if (k->mode == DESC_THROWAWAY)
        note(w->n, NOTE_LOST, k->name, "what is written to it is kept: it was a throwaway disk");
    if (k->serial)
        note(w->n, NOTE_LOST, k->name, "XenServer has no serial numbers of disks");
    xvaw_defaults(w, vbd, xvaw_vbd);
    xvaw_defaults(w, vbd, xvaw_device);
    xvaw_object(w, "VBD", ref, vbd);
    return 0;
}

/* ---- network ---- */

static const char *xvaw_network_of(struct xvaw *w, const struct desc_nic *c)
{
    const struct desc_nic *first = w->d->nics;
    struct tree *t;
    char ref[24];

    while (first != c && strcmp(first->network ? first->network : "", c->network ? c->network : ""))
        first = first->next;
    t = tree_get(tree_get(w->view, "network refs"), first->name);
    if (t)
        return t->text;
    xvaw_ref(w, ref);
    t = xvaw_fields(w, "network", first->name);
    xvaw_text(w, t, "name_label", "%s", c->network ? c->network : "");
    xvaw_defaults(w, t, xvaw_network);
    xvaw_list(w, t, "VIFs");
    xvaw_object(w, "network", ref, t);
    t = tree_add_text(&w->arena, xvaw_map(w, w->view, "network refs"), first->name, ref);
    return t ? t->text : XVAW_NULL;
}

static void xvaw_nic(struct xvaw *w, const struct desc_nic *c, u32 index)
{
    struct tree *vif = xvaw_fields(w, "VIF", c->name);
    const char *want = !w->hvm ? "xen_net" : "rtl8139";
    char ref[24], mac[18];

    if (strcmp(c->class, want) && !w->own) {
        if (w->hvm && !strcmp(c->class, "e1000"))
            xvaw_text(w, xvaw_map(w, w->vm, "platform"), "nic_type", "e1000");
        else
            note(w->n, NOTE_CHANGED, c->name, "%s becomes %s", c->class, want);
    }
    xvaw_ref(w, ref);
    if (!w->own)
        xvaw_text(w, vif, "device", "%u", index);
    xvaw_text(w, vif, "network", "%s", xvaw_network_of(w, c));
    xvaw_text(w, vif, "VM", "%s", w->vm_ref);
    xvaw_text(w, vif, "MAC", "%s", place_mac_text(c, mac));
    if (!w->own)
        xvaw_typed(w, vif, "MAC_autogenerated", "boolean", *mac ? "0" : "1");
    if (!c->connected)
        note(w->n, NOTE_LOST, c->name, "it was not connected");
    xvaw_defaults(w, vif, xvaw_vif);
    xvaw_defaults(w, vif, xvaw_device);
    tree_add_text(&w->arena, xvaw_list(w, w->vm, "VIFs"), NULL, ref);
    xvaw_object(w, "VIF", ref, vif);
}

/* ---- one VM ---- */

/* References that foreign objects and fields have keep their numbers: ours are behind them. */
static u32 xvaw_first_ref(const struct desc *d)
{
    u32 next = 0;

    for (; d; d = d->next)
        for (const struct desc_extra *x = d->extras; x; x = x->next) {
            if (strcmp(x->format, "xva"))
                continue;
            for (const char *p = x->value; (p = strstr(p, "\"Ref:")); p += 5) {
                u64 v = strtoull(p + 5, NULL, 10);

                if (v < 1u << 30 && v >= next)
                    next = (u32)v + 1;
            }
        }
    return next;
}

static int xvaw_extras(struct xvaw *w)
{
    for (const struct desc_extra *x = w->d->extras; x; x = x->next)
        if (!strcmp(x->format, "xva")) {
            int r = tree_put(&w->arena, w->view, x->key, x->value);

            if (r == -ENOMEM)
                return err_set(w->e, r, "no memory");
        }
    return 0;
}

/* Those that were there beside the VM's own, under their own references. */
static void xvaw_others(struct xvaw *w)
{
    const struct tree *all = tree_get(w->view, "objects");

    for (const struct tree *o = all ? all->first : NULL; o; o = o->next) {
        struct tree *t = tree_add_map(&w->arena, w->objects, NULL);

        if (t)
            t->first = o->first;
    }
}

static void xvaw_lost(struct xvaw *w)
{
    const struct desc *d = w->d;

    for (const struct desc_port *p = d->ports; p; p = p->next)
        note(w->n, NOTE_LOST, p->name, "XenServer has its own console");
    if (d->sound)
        note(w->n, NOTE_LOST, "sound", "XenServer has none");
    if (d->clock && !strcmp(d->clock, "localtime"))
        note(w->n, NOTE_LOST, "clock", "it ran in local time: set the platform's timeoffset");
    if (d->guest_os)
        note(w->n, NOTE_LOST, "guest", "XenServer has no place for \"%s\"", d->guest_os);
    if (d->nvram)
        note(w->n, NOTE_LOST, "nvram", "the EFI variables \"%s\" are not carried over", d->nvram);
    lost_snapshots(d, w->n);
    place_lost(d, "xva", w->n);
}

static int xvaw_vm_objects(struct xvaw *w, bool first)
{
    u32 index = 0;
    struct tree *sr;
    int r;

    w->taken = 0;
    w->hvm = !w->d->machine || strncmp(w->d->machine, "pv", 2);
    w->view = tree_add(&w->arena, NULL, TREE_MAP, NULL);
    w->vm = xvaw_fields(w, "VM", NULL);
    xvaw_ref(w, w->vm_ref);
    r = xvaw_extras(w); /* what was there stays; ours is added where it is missing */
    if (r)
        return r;
    xvaw_machine(w);
    xvaw_list(w, w->vm, "VBDs");
    xvaw_list(w, w->vm, "VIFs");
    if (first) {
        w->version = xvaw_map(w, w->view, "version");
        xvaw_defaults(w, w->version, xvaw_version);
        xvaw_ref(w, w->sr_ref);
    }
    for (const struct desc_disk *k = w->d->disks; !r && k; k = k->next)
        r = xvaw_disk(w, k);
    for (const struct desc_nic *c = w->d->nics; !r && c; c = c->next)
        xvaw_nic(w, c, index++);
    xvaw_object(w, "VM", w->vm_ref, w->vm);
    if (first && !r) {
        sr = xvaw_fields(w, "SR", NULL);
        xvaw_defaults(w, sr, xvaw_sr);
        xvaw_object(w, "SR", w->sr_ref, sr);
    }
    xvaw_others(w);
    xvaw_lost(w);
    return r;
}

/* ---- the archive ---- */

static int xvaw_describe(struct xvaw *w)
{
    struct tree *root = tree_add(&w->arena, NULL, TREE_MAP, NULL), *version, *objects;
    struct buf text = { 0 };
    int r;

    version = tree_add_map(&w->arena, root, "version");
    objects = tree_add_list(&w->arena, root, "objects");
    if (!version || !objects || w->arena.total > w->arena.limit - (1u << 20))
        return err_set(w->e, -ENOMEM, "the description is too long");
    version->first = w->version->first;
    objects->first = w->objects->first;
    r = buf_text(&text, "<?xml version=\"1.0\"?>\n");
    r = r ? r : rpc_print(root, &text);
    if (r)
        err_set(w->e, r, "no memory");
    r = r ? r : sink_text(w->s, "ova.xml", text.p, text.len, w->e);
    buf_fini(&text);
    return r;
}

struct xvaw_progress {
    struct xvaw *w;
    const struct xvaw_disk *disk;
};

static int xvaw_member(void *arg, const char *name, const void *p, size_t n)
{
    const struct xvaw_progress *x = arg;
    const struct package_options *o = sink_options(x->w->s);
    u64 number = strtoull(strrchr(name, '/') + 1, NULL, 10);

    if (o->progress)
        o->progress(o->arg, x->disk->k->name, min_u64((number + 1) * XVA_CHUNK, x->disk->size),
                    x->disk->size);
    return sink_chunk(x->w->s, name, p, n, x->w->e);
}

static int xvaw_data(struct xvaw *w, const struct xvaw_disk *disk)
{
    const char *digest = sink_options(w->s)->digest;
    struct xvaw_progress x = { w, disk };
    struct xva_write how = { .ref = disk->ref,
                             .sum = digest && !strcmp(digest, "xxhash") ? XVA_XXHASH : XVA_SHA1,
                             .member = xvaw_member,
                             .arg = &x };
    struct desc_image open;
    struct image *im;
    int r = xvaw_open(disk->k, &im, &open, w->e);

    if (r)
        return r;
    r = xva_write(im, &how, w->e);
    image_close(im, NULL);
    desc_image_fini(&open);
    return r;
}

static int xvaw_by_ref(const void *a, const void *b)
{
    return strcmp(((const struct xvaw_disk *)a)->ref, ((const struct xvaw_disk *)b)->ref);
}

int xva_package_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    struct xvaw w = { .s = s, .n = n, .e = e, .arena = { .limit = 512u << 20 } };
    int r = 0;

    w.disks = calloc(XVAW_DISKS, sizeof(*w.disks));
    w.objects = tree_add(&w.arena, NULL, TREE_LIST, NULL);
    w.ref = xvaw_first_ref(d);
    w.own = desc_extra(d, "xva", "version") != NULL;
    if (!w.disks || !w.objects)
        r = err_set(e, -ENOMEM, "no memory");
    for (const struct desc *vm = d; !r && vm; vm = vm->next) {
        w.d = vm;
        r = xvaw_vm_objects(&w, vm == d);
    }
    r = r ? r : xvaw_describe(&w);
    qsort(w.disks, w.ndisks, sizeof(w.disks[0]), xvaw_by_ref);
    for (u32 i = 0; !r && i < w.ndisks; i++)
        r = xvaw_data(&w, &w.disks[i]);
    free(w.disks);
    arena_fini(&w.arena);
    return r;
}
