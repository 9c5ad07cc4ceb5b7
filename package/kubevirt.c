/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KubeVirt: VirtualMachine and its relatives in YAML or JSON, after its API kubevirt.io/v1.
 * Disks are claims, images of a registry, files of a host: an image beside the document that
 * has the claim's name is the disk.  What is not understood stays as it is, also documents of
 * other kinds.  Left out: images of registries, instance types, preferences.
 */
#include "package/kubevirt_int.h"
#include "package/place.h"
#include "package/source.h"
#include "package/yaml.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KUBE_VMS 256
#define KUBE_DISKS 256

struct kube {
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file;
    const struct kube_kind *kind;
    struct tree *root, *spec, *domain, *devices;
};

static struct tree *kube_take(const struct tree *map, const char *key)
{
    struct tree *t = tree_get(map, key);

    tree_take(t);
    return t;
}

static const char *kube_keep(struct kube *x, const struct tree *map, const char *key)
{
    const char *s = tree_take_text(map, key);

    return *s ? desc_text(x->d, "%s", s) : NULL;
}

/* A text that is only looked at. */
static const char *kube_look(const struct tree *map, const char *key)
{
    const struct tree *t = tree_get(map, key);

    return t && t->kind == TREE_TEXT ? t->text : "";
}

static int kube_bad(const struct kube *x, const struct tree *t, const char *what)
{
    return err_set(x->e, -EBADMSG, "%s: line %u: %s", x->file, t ? t->line : 0, what);
}

/* ---- sizes ---- */

static int kube_number(struct kube *x, const struct tree *map, const char *key, u64 most, u64 *v)
{
    const char *s = tree_take_text(map, key);
    u64 n;

    if (!*s)
        return 0;
    if (!kube_quantity(s, &n) || !n || n > most)
        return kube_bad(x, tree_get(map, key), "is no number that is possible");
    *v = n;
    return 0;
}

static int kube_cpus(struct kube *x)
{
    const struct tree *cpu = tree_get(x->domain, "cpu"), *res = tree_get(x->domain, "resources");
    u64 cores = 1, sockets = 1, threads = 1, n;
    int r = kube_number(x, cpu, "cores", 4096, &cores);

    r = r ? r : kube_number(x, cpu, "sockets", 4096, &sockets);
    if (r)
        return r;
    if (kube_quantity(kube_look(cpu, "threads"), &n) && n > 1 && n <= 16)
        threads = n;
    if (!cpu && (kube_quantity(kube_look(tree_get(res, "limits"), "cpu"), &n) ||
                 kube_quantity(kube_look(tree_get(res, "requests"), "cpu"), &n)))
        sockets = n && n <= 4096 ? n : 1;
    if (cores * threads * sockets > 4096)
        return kube_bad(x, cpu, "more than 4096 processors");
    x->d->cpus = (u32)(cores * threads * sockets);
    x->d->cores_per_socket = (u32)(cores * threads);
    return 0;
}

static int kube_memory(struct kube *x)
{
    const struct tree *res = tree_get(x->domain, "resources");
    u64 bytes = 0;
    int r = kube_number(x, tree_get(x->domain, "memory"), "guest", 1ull << 46, &bytes);

    if (r)
        return r;
    if (!bytes && !kube_quantity(kube_look(tree_get(res, "requests"), "memory"), &bytes) &&
        !kube_quantity(kube_look(tree_get(res, "limits"), "memory"), &bytes)) {
        note(x->n, NOTE_CHANGED, "memory", "is not said here (an instance type's): %llu MiB",
             (unsigned long long)x->d->memory >> 20);
        return desc_add_extra(x->d, "kubevirt", "#memory", "elsewhere");
    }
    x->d->memory = bytes;
    return 0;
}

static void kube_boot(struct kube *x)
{
    const struct tree *firmware = tree_get(x->domain, "firmware"), *efi, *kernel;
    const char *uuid = tree_take_text(firmware, "uuid");
    struct desc *d = x->d;

    if (*uuid && place_uuid(d, uuid))
        note(x->n, NOTE_LOST, "uuid", "\"%.60s\" is no UUID", uuid);
    efi = tree_get(tree_get(firmware, "bootloader"), "efi");
    if (efi) {
        d->firmware = DESC_EFI;
        d->secure_boot = strcmp(tree_take_text(efi, "secureBoot"), "false") != 0;
        tree_take((struct tree *)efi);
    }
    kernel = tree_get(firmware, "kernelBoot");
    if (kernel) {
        const struct tree *in = tree_get(kernel, "container");

        d->append = kube_keep(x, kernel, "kernelArgs");
        d->kernel = kube_keep(x, in, "kernelPath");
        d->initrd = kube_keep(x, in, "initrdPath");
        note(x->n, NOTE_LOST, "kernel", "lies in the image \"%.100s\" of a registry",
             kube_look(in, "image"));
    }
}

static int kube_machine(struct kube *x)
{
    const struct tree *meta = kube_take(x->root, "metadata"), *t;
    const char *name = tree_take_text(meta, "name"), *s;
    struct desc *d = x->d;

    d->name = desc_text(d, "%s", *name ? name : "vm");
    d->persona = "kvm";
    d->product = "KubeVirt";
    d->machine = "q35";
    t = tree_get(tree_get(meta, "annotations"), "description");
    if (t && t->kind == TREE_TEXT)
        d->annotation = kube_keep(x, tree_get(meta, "annotations"), "description");
    s = kube_look(tree_get(tree_get(x->spec->parent, "metadata"), "annotations"),
                  "vm.kubevirt.io/os");
    if (!*s)
        s = kube_look(tree_get(tree_get(x->root, "spec"), "preference"), "name");
    if (*s)
        d->guest_os = desc_text(d, "%s", s);
    s = kube_look(tree_get(x->domain, "machine"), "type");
    if (!strcmp(s, "q35"))
        tree_take_text(tree_get(x->domain, "machine"), "type");
    t = tree_get(x->domain, "clock");
    if (tree_get(t, "utc")) {
        d->clock = "utc";
        if (!tree_get(t, "utc")->first)
            tree_take(tree_get(t, "utc"));
    }
    t = tree_get(x->devices, "sound");
    if (t)
        d->sound = kube_keep(x, t, "model");
    t = tree_get(x->devices, "tpm");
    if (t) {
        d->tpm = true;
        if (!t->first)
            tree_take((struct tree *)t);
    }
    d->display = kube_keep(x, tree_get(x->devices, "video"), "type");
    kube_boot(x);
    return 0;
}

/* ---- disks ---- */

static const char *const kube_targets[] = { "disk", "cdrom", "lun", "floppy" };

static const struct tree *kube_target(const struct tree *disk, u32 *which)
{
    for (*which = 0; *which < LEN(kube_targets); ++*which) {
        const struct tree *t = tree_get(disk, kube_targets[*which]);

        if (t)
            return t;
    }
    *which = 0;
    return NULL;
}

static struct desc_device *kube_controller(struct kube *x, const char *bus, bool floppy)
{
    bool scsi = !strcmp(bus, "scsi"), usb = !strcmp(bus, "usb"), virtio = !strcmp(bus, "virtio");
    const char *class = floppy   ? "fdc"
                        : scsi   ? "virtio_scsi"
                        : usb    ? "usb_storage"
                        : virtio ? "virtio_blk"
                                 : "ahci";

    for (struct desc_device *v = x->d->devices; v; v = v->next)
        if (!strcmp(v->class, class))
            return v;
    return place_controller(x->d, x->n,
                            floppy           ? NAME_FLOPPY
                            : usb            ? NAME_USB
                            : scsi || virtio ? NAME_SCSI
                                             : NAME_SATA,
                            scsi     ? "virtio-scsi"
                            : virtio ? "virtio"
                                     : "");
}

static struct tree *kube_named(const struct tree *list, const char *name)
{
    for (struct tree *t = list && list->kind == TREE_LIST ? list->first : NULL; t; t = t->next)
        if (!strcmp(kube_look(t, "name"), name))
            return t;
    return NULL;
}

/* What the claim, the data volume, the file of a host is called. */
static int kube_volume(struct kube *x, struct desc_disk *k, const struct tree *v)
{
    static const char *const suffixes[] = { ".qcow2", ".img", ".raw",  ".iso",
                                            ".vmdk",  ".vdi", ".vhdx", NULL };
    static const struct {
        const char *kind, *key;
    } named[] = { { "persistentVolumeClaim", "claimName" },
                  { "dataVolume", "name" },
                  { "hostDisk", "path" } };
    const struct tree *t;
    const char *s;

    for (size_t i = 0; i < LEN(named); i++) {
        s = kube_look(tree_get(v, named[i].kind), named[i].key);
        if (*s)
            return place_source(x->d, x->s, x->n, k, s, suffixes);
    }
    s = kube_look(tree_get(tree_get(v, "ephemeral"), "persistentVolumeClaim"), "claimName");
    if (*s) {
        k->mode = DESC_THROWAWAY;
        return place_source(x->d, x->s, x->n, k, s, suffixes);
    }
    t = tree_get(v, "emptyDisk");
    if (t) {
        kube_quantity(kube_look(t, "capacity"), &k->capacity);
        note(x->n, NOTE_KEPT, k->name, "is empty: %llu MiB of zeroes",
             (unsigned long long)k->capacity >> 20);
        return 0;
    }
    s = kube_look(tree_get(v, "containerDisk"), "image");
    if (*s) {
        k->mode = DESC_THROWAWAY;
        k->source = desc_text(x->d, "%s", s);
        note(x->n, NOTE_LOST, k->name, "lies in the image \"%.200s\" of a registry", s);
        return k->source ? 0 : -ENOMEM;
    }
    for (t = v->first; t; t = t->next)
        if (strcmp(t->key, "name"))
            note(x->n, NOTE_LOST, k->name, "is made by KubeVirt from %s: only that is kept",
                 t->key);
    return 0;
}

static bool kube_name_taken(const struct desc *d, const char *name)
{
    for (const struct desc_disk *k = d->disks; k; k = k->next)
        if (!strcmp(k->name, name))
            return true;
    for (const struct desc_nic *c = d->nics; c; c = c->next)
        if (!strcmp(c->name, name))
            return true;
    return desc_device(d, name) || !*name;
}

static int kube_disk(struct kube *x, struct tree *t, struct desc_device *v)
{
    const struct tree *target, *volume;
    const char *name = kube_look(t, "name"), *s;
    struct desc_disk *k;
    u32 which;
    u64 boot = 0;
    int r;

    if (kube_name_taken(x->d, name))
        return kube_bad(x, t, "a disk needs a name of its own");
    target = kube_target(t, &which);
    k = place_disk(x->d, x->n,
                   which == 1   ? DESC_CDROM
                   : which == 3 ? DESC_FLOPPY
                                : DESC_DISK,
                   v, -1);
    if (!k)
        return -ENOMEM;
    k->name = desc_text(x->d, "%s", name);
    if (!k->name)
        return -ENOMEM;
    tree_take_text(t, "name");
    if (target && *kube_look(target, "bus")) { /* without one the element stays as it is */
        tree_take_text(target, "bus");
        s = tree_take_text(target, "readonly");
        if (!strcmp(s, "true") && which != 1)
            k->mode = DESC_READ;
    }
    k->serial = kube_keep(x, t, "serial");
    r = kube_number(x, t, "bootOrder", 1000, &boot);
    k->boot = (u32)boot;
    volume = kube_named(tree_get(x->spec, "volumes"), name);
    if (r || !volume)
        return r;
    return kube_volume(x, k, volume);
}

static int kube_disks(struct kube *x)
{
    struct tree *list = tree_get(x->devices, "disks"), *t;
    struct desc_device *v[KUBE_DISKS];
    u32 n = 0, which;
    int r = 0;

    if (!list || list->kind != TREE_LIST)
        return 0;
    for (t = list->first; t; t = t->next) { /* controllers first: their names are theirs */
        const struct tree *target = kube_target(t, &which);

        if (n == KUBE_DISKS)
            return kube_bad(x, t, "too many disks");
        v[n] = kube_controller(x, kube_look(target, "bus"), which == 3);
        if (!v[n++])
            return -ENOMEM;
    }
    n = 0;
    for (t = list->first; !r && t; t = t->next)
        r = kube_disk(x, t, v[n++]);
    return r;
}

/* ---- network ---- */

static int kube_nic(struct kube *x, struct tree *t, u32 index)
{
    const char *name = kube_look(t, "name"), *model = tree_take_text(t, "model"), *mac, *s;
    const struct tree *network = kube_named(tree_get(x->spec, "networks"), name);
    bool taken = kube_name_taken(x->d, name); /* asked before it has one of ours */
    struct desc_nic *c = place_nic(x->d, x->n, *model ? model : "virtio");
    char key[32];
    u64 boot = 0;

    if (!c)
        return -ENOMEM;
    if (!*model)
        c->foreign = NULL;
    tree_take_text(t, "name");
    if (!taken) {
        c->name = desc_text(x->d, "%s", name);
    } else {
        snprintf(key, sizeof(key), "#nic[%u]", index);
        if (desc_add_extra(x->d, "kubevirt", key, name))
            return -ENOMEM;
    }
    mac = tree_take_text(t, "macAddress");
    if (*mac && !place_mac(c, mac))
        note(x->n, NOTE_LOST, c->name, "its address \"%.40s\" is no MAC address", mac);
    s = kube_look(tree_get(network, "multus"), "networkName");
    c->network = *s ? desc_text(x->d, "%s", s) : tree_get(network, "pod") ? "pod" : NULL;
    s = tree_take_text(t, "state");
    c->connected = strcmp(s, "down") != 0;
    if (kube_number(x, t, "bootOrder", 1000, &boot))
        return -EBADMSG;
    c->boot = (u32)boot;
    return c->name ? 0 : -ENOMEM;
}

static int kube_nics(struct kube *x)
{
    struct tree *list = tree_get(x->devices, "interfaces");
    struct desc_nic *c;
    u32 i = 0;
    int r = 0;

    if (list && list->kind == TREE_LIST) {
        for (struct tree *t = list->first; !r && t; t = t->next)
            r = i == KUBE_DISKS ? kube_bad(x, t, "too many interfaces") : kube_nic(x, t, i++);
        return r;
    }
    if (!strcmp(kube_look(x->devices, "autoattachPodInterface"), "false") ||
        !strcmp(x->kind->kind, "VirtualMachineInstancePreset"))
        return 0;
    c = place_nic(x->d, x->n, "virtio"); /* KubeVirt gives it one on the pod's network */
    if (!c)
        return -ENOMEM;
    c->network = "pod";
    return desc_add_extra(x->d, "kubevirt", "#interfaces", "default");
}

/* ---- documents ---- */

static int kube_vm(struct kube *x)
{
    int r;

    x->spec = x->root;
    for (u32 i = 0; i < LEN(x->kind->path) && x->kind->path[i]; i++) {
        x->spec = tree_get(x->spec, x->kind->path[i]);
        if (!x->spec || x->spec->kind != TREE_MAP)
            return err_set(x->e, -EBADMSG, "%s: line %u: this %s has no %s", x->file, x->root->line,
                           x->kind->kind, x->kind->at);
    }
    x->domain = tree_get(x->spec, "domain");
    x->devices = tree_get(x->domain, "devices");
    if (!x->domain || x->domain->kind != TREE_MAP)
        return kube_bad(x, x->spec, "has no domain");
    tree_take(x->domain); /* their parts are kept one by one */
    tree_take(x->devices);
    tree_take(tree_get(x->devices, "disks"));
    tree_take(tree_get(x->devices, "interfaces"));
    tree_take(tree_get(x->spec, "volumes"));
    tree_take(tree_get(x->spec, "networks"));
    for (const struct tree *t = x->devices ? x->devices->first : NULL; t; t = t->next)
        if (x->devices->kind == TREE_MAP &&
            (!strcmp(t->key, "gpus") || !strcmp(t->key, "hostDevices")))
            note(x->n, NOTE_LOST, t->key, "devices of the host are not passed through");
    r = kube_machine(x);
    r = r ? r : kube_cpus(x);
    r = r ? r : kube_memory(x);
    r = r ? r : kube_disks(x);
    r = r ? r : kube_nics(x);
    return r ? r : tree_leave(x->root, x->d, "kubevirt");
}

/* A document of another kind, beside the VM: kept whole. */
static int kube_beside(struct kube *x, const struct tree *t)
{
    struct buf text = { 0 };
    char key[300];
    int r = tree_print(t, &text);

    snprintf(key, sizeof(key), "--- %.60s/%.200s", kube_look(t, "kind"),
             kube_look(tree_get(t, "metadata"), "name"));
    r = r ? r : buf_add(&text, "", 1);
    r = r ? r : desc_add_extra(x->d, "kubevirt", key, (const char *)text.p);
    buf_fini(&text);
    return r;
}

static const struct kube_kind *kube_is_vm(const struct tree *t)
{
    return strstr(kube_look(t, "apiVersion"), "kubevirt.io/") ? kube_kind(kube_look(t, "kind"))
                                                              : NULL;
}

static int kube_objects(struct kube *x, struct tree *list)
{
    struct desc *first = x->d;
    u32 vms = 0;
    int r = 0;

    for (struct tree *t = list->first; !r && t; t = t->next) {
        x->kind = kube_is_vm(t);
        if (!x->kind)
            continue;
        if (vms++ == KUBE_VMS)
            return kube_bad(x, t, "too many VMs");
        if (vms > 1 && !(x->d = desc_add_vm(first)))
            return -ENOMEM;
        t->parent = NULL;
        x->root = t;
        r = kube_vm(x);
    }
    x->d = first;
    for (const struct tree *t = list->first; !r && t; t = t->next)
        if (!kube_is_vm(t) && t->kind == TREE_MAP)
            r = kube_beside(x, t);
    if (!r && !vms)
        return err_set(x->e, -EOPNOTSUPP, "%s: there is no VirtualMachine in it", x->file);
    return r;
}

static int kube_probe(struct source *s)
{
    char text[16385];

    if (s->kind != SOURCE_FILES || !s->main || s->main->size > YAML_MAX ||
        !source_head(s->main, text, sizeof(text)))
        return 0;
    return strstr(text, "apiVersion") && strstr(text, "kubevirt.io/") && strstr(text, "kind") ? 90
                                                                                              : 0;
}

static int kube_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct kube x = { .d = d, .s = s, .n = n, .e = e, .file = source_base(s->path) };
    struct arena arena = { .limit = 256u << 20 };
    struct tree *docs, *one;
    struct buf text;
    int r = source_load(s->main, YAML_MAX, &text, e);

    if (r)
        return r;
    r = yaml_parse(&arena, (const char *)text.p, text.len, x.file, &docs, e);
    if (!r) {
        one = docs->first;
        if (one && !one->next && !strcmp(kube_look(one, "kind"), "List") &&
            tree_get(one, "items") && tree_get(one, "items")->kind == TREE_LIST)
            docs = tree_get(one, "items");
        r = kube_objects(&x, docs);
    }
    if (r == -ENOMEM || (r == -E2BIG && !e->text[0]))
        err_set(e, r, "%s: is too big", x.file);
    arena_fini(&arena);
    buf_fini(&text);
    return r;
}

const struct package_format package_kubevirt = {
    .name = "kubevirt",
    .suffix = ".yaml",
    .about = "KubeVirt: a VirtualMachine in YAML, with images of its claims beside it",
    .probe = kube_probe,
    .read = kube_read,
    .write = kubevirt_write,
};
