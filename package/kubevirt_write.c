/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VirtualMachine for KubeVirt.  Each disk is an image beside the document and a claim of the
 * same name: it is uploaded there (virtctl image-upload) before the VM starts.
 */
#include "package/kubevirt_int.h"
#include "package/lost.h"
#include "package/place.h"
#include "package/place_write.h"
#include "package/source.h"
#include "package/yaml.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct kubew {
    const struct desc *d;
    struct sink *s;
    struct notes *n;
    struct err *e;
    struct arena arena;
    const struct kube_kind *kind;
    struct tree *root, *spec, *domain, *devices;
};

static bool kubew_has(const struct kubew *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static bool kubew_has(const struct kubew *w, const char *fmt, ...)
{
    char key[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(key, sizeof(key), fmt, ap);
    va_end(ap);
    return desc_extra(w->d, "kubevirt", key) != NULL;
}

/* The map of this name, made when it is not there. */
static struct tree *kubew_map(struct kubew *w, struct tree *t, const char *key)
{
    struct tree *m = tree_get(t, key);

    return m ? m : tree_add_map(&w->arena, t, key);
}

static struct tree *kubew_list(struct kubew *w, struct tree *t, const char *key)
{
    struct tree *m = tree_get(t, key);

    return m ? m : tree_add_list(&w->arena, t, key);
}

/* A name as Kubernetes takes them: small letters, digits, dashes. */
static void kubew_label(const char *from, char to[64])
{
    size_t n = 0;

    for (; *from && n < 63; from++)
        if (isalnum((u8)*from))
            to[n++] = (char)tolower((u8)*from);
        else if (n && to[n - 1] != '-')
            to[n++] = *from == '.' ? '.' : '-';
    while (n && !isalnum((u8)to[n - 1]))
        n--;
    to[n] = 0;
    if (!n)
        strcpy(to, "vm");
}

/* What an extra says, when it is a plain text: "\"VirtualMachine\"". */
static const char *kubew_said(const struct kubew *w, const char *key, const char *otherwise,
                              char room[64])
{
    const char *s = desc_extra(w->d, "kubevirt", key);

    if (!s || *s != '"' || strlen(s) > 60)
        return otherwise;
    snprintf(room, 64, "%.*s", (int)strlen(s) - 2, s + 1);
    return room;
}

static void kubew_frame(struct kubew *w)
{
    char room[64], kind[64], name[64];
    struct arena *a = &w->arena;

    w->kind = kube_kind(kubew_said(w, "kind", "VirtualMachine", kind));
    if (!w->kind)
        w->kind = kube_kind("VirtualMachine");
    w->root = tree_add(a, NULL, TREE_MAP, NULL);
    tree_add_text(a, w->root, "apiVersion", kubew_said(w, "apiVersion", "kubevirt.io/v1", room));
    tree_add_text(a, w->root, "kind", w->kind->kind);
    w->spec = tree_add_map(a, w->root, "metadata");
    kubew_label(w->d->name, name);
    if (strcmp(name, w->d->name))
        note(w->n, NOTE_CHANGED, "name", "\"%s\" becomes \"%s\"", w->d->name, name);
    tree_add_text(a, w->spec, "name", name);
    if (w->d->annotation)
        tree_add_text(a, tree_add_map(a, w->spec, "annotations"), "description", w->d->annotation);
    w->spec = w->root;
    for (u32 i = 0; i < LEN(w->kind->path) && w->kind->path[i]; i++)
        w->spec = tree_add_map(a, w->spec, w->kind->path[i]);
    if (!w->d->product || strcmp(w->d->product, "KubeVirt"))
        tree_add_text(a, tree_get(w->root, "spec"), "runStrategy", "Halted");
    w->domain = tree_add_map(a, w->spec, "domain");
    w->devices = tree_add_map(a, w->domain, "devices");
}

static void kubew_sizes(struct kubew *w)
{
    u32 cores = w->d->cores_per_socket ? w->d->cores_per_socket : 1, threads = 1;
    struct arena *a = &w->arena;
    const char *s;
    char key[100], text[32];
    struct tree *t;
    u64 n;

    snprintf(key, sizeof(key), "%s/domain/cpu/threads", w->kind->at);
    s = desc_extra(w->d, "kubevirt", key);
    if (s && kube_quantity(s, &n) && n && n <= 16 && cores % n == 0)
        threads = (u32)n;
    if (w->d->cpus > 1 || threads > 1) {
        t = tree_add_map(a, w->domain, "cpu");
        tree_add_bare(a, t, "cores", "%u", cores / threads);
        if (w->d->cpus / cores > 1)
            tree_add_bare(a, t, "sockets", "%u", w->d->cpus / cores);
    }
    if (kubew_has(w, "#memory"))
        return;
    kube_print_quantity(w->d->memory, text);
    tree_add_text(a, tree_add_map(a, w->domain, "memory"), "guest", text);
}

static void kubew_boot(struct kubew *w)
{
    const struct desc *d = w->d;
    struct arena *a = &w->arena;
    struct tree *firmware, *t;
    char uuid[37];

    if (d->has_uuid)
        tree_add_text(a, kubew_map(w, w->domain, "firmware"), "uuid", place_uuid_text(d, uuid));
    if (d->firmware == DESC_EFI) {
        firmware = kubew_map(w, w->domain, "firmware");
        t = tree_add_map(a, tree_add_map(a, firmware, "bootloader"), "efi");
        tree_add_bare(a, t, "secureBoot", "%s", d->secure_boot ? "true" : "false");
        if (d->secure_boot && !kubew_has(w, "%s/domain/features/smm", w->kind->at) &&
            !kubew_has(w, "%s/domain/features", w->kind->at)) {
            t = tree_add_map(a, kubew_map(w, w->domain, "features"), "smm");
            tree_add_bare(a, t, "enabled", "true");
        }
    }
    if (d->kernel && kubew_has(w, "%s/domain/firmware/kernelBoot/container/image", w->kind->at)) {
        t = tree_add_map(a, kubew_map(w, w->domain, "firmware"), "kernelBoot");
        if (d->append)
            tree_add_text(a, t, "kernelArgs", d->append);
        t = tree_add_map(a, t, "container");
        tree_add_text(a, t, "kernelPath", d->kernel);
        if (d->initrd)
            tree_add_text(a, t, "initrdPath", d->initrd);
    } else {
        lost_direct_boot(d, w->n);
    }
}

static void kubew_machine(struct kubew *w)
{
    const struct desc *d = w->d;
    struct arena *a = &w->arena;
    struct tree *t;

    kubew_sizes(w);
    kubew_boot(w);
    if (d->machine && strcmp(d->machine, "q35"))
        note(w->n, NOTE_CHANGED, "machine", "%s becomes q35", d->machine);
    if (d->clock && !strcmp(d->clock, "utc") && !kubew_has(w, "%s/domain/clock/utc", w->kind->at))
        tree_add_map(a, kubew_map(w, w->domain, "clock"), "utc");
    if (d->clock && strcmp(d->clock, "utc"))
        note(w->n, NOTE_LOST, "clock", "KubeVirt wants a time zone: the clock is UTC");
    if (d->tpm && !kubew_has(w, "%s/domain/devices/tpm", w->kind->at))
        tree_add_map(a, w->devices, "tpm");
    if (d->sound && (!strcmp(d->sound, "ich9") || !strcmp(d->sound, "ac97"))) {
        t = tree_add_map(a, w->devices, "sound");
        if (!kubew_has(w, "%s/domain/devices/sound/name", w->kind->at))
            tree_add_text(a, t, "name", "sound");
        tree_add_text(a, t, "model", d->sound);
    } else if (d->sound) {
        note(w->n, NOTE_LOST, "sound", "KubeVirt has no %s", d->sound);
    }
    if (d->display && d->product && !strcmp(d->product, "KubeVirt"))
        tree_add_text(a, tree_add_map(a, w->devices, "video"), "type", d->display);
    else if (d->display)
        note(w->n, NOTE_CHANGED, "display", "%s becomes KubeVirt's own adapter", d->display);
    if (d->nvram)
        note(w->n, NOTE_LOST, "nvram", "the EFI variables \"%s\" are not carried over", d->nvram);
    for (const struct desc_port *p = d->ports; p; p = p->next)
        note(w->n, NOTE_LOST, p->name, "KubeVirt has its own serial console");
}

/* ---- disks ---- */

static const char *kubew_bus(struct kubew *w, const struct desc_disk *k)
{
    const struct desc_device *v = desc_device(w->d, k->controller);
    const char *class = v ? v->class : "";

    if (!strcmp(class, "virtio_blk"))
        return "virtio";
    if (!strcmp(class, "virtio_scsi"))
        return "scsi";
    if (!strcmp(class, "usb_storage"))
        return "usb";
    if (strcmp(class, "ahci"))
        note(w->n, NOTE_CHANGED, k->name, "its controller %s becomes SATA", class);
    return "sata";
}

static void kubew_disk_entry(struct kubew *w, const struct desc_disk *k, const char *name)
{
    const char *target = k->media == DESC_CDROM    ? "cdrom"
                         : k->media == DESC_FLOPPY ? "floppy"
                                                   : "disk";
    struct arena *a = &w->arena;
    struct tree *t = tree_add_map(a, kubew_list(w, w->devices, "disks"), NULL), *on;
    char at[200];

    tree_add_text(a, t, "name", name);
    snprintf(at, sizeof(at), "%s/domain/devices/disks/[%s]", w->kind->at, name);
    if (kubew_has(w, "%s/lun/pvc", at) || kubew_has(w, "%s/lun/reservation", at))
        target = "lun";
    if (!kubew_has(w, "%s/disk", at) && !kubew_has(w, "%s/cdrom", at) &&
        !kubew_has(w, "%s/lun", at) && !kubew_has(w, "%s/floppy", at) && strcmp(target, "floppy")) {
        on = tree_add_map(a, t, target);
        tree_add_text(a, on, "bus", kubew_bus(w, k));
        if (k->mode == DESC_READ && k->media == DESC_DISK)
            tree_add_bare(a, on, "readonly", "true");
    }
    if (k->boot)
        tree_add_bare(a, t, "bootOrder", "%u", k->boot);
    if (k->serial)
        tree_add_text(a, t, "serial", k->serial);
}

static int kubew_disk(struct kubew *w, const struct desc_disk *k)
{
    bool own = w->d->product && !strcmp(w->d->product, "KubeVirt");
    char name[64], stem[256], base[128];
    struct arena *a = &w->arena;
    struct sink_disk out = { 0 };
    struct tree *t;
    int r;

    snprintf(name, sizeof(name), "%s", k->name);
    if (!own)
        kubew_label(k->name, name);
    if (kubew_has(w, "%s/volumes/[%s]", w->kind->at, name) && !k->path) {
        kubew_disk_entry(w, k, name); /* its volume comes back as it was */
        return 0;
    }
    if (k->media == DESC_FLOPPY) {
        note(w->n, NOTE_LOST, k->name, "KubeVirt has no floppy drives");
        return 0;
    }
    if (own && !k->path && !k->source && !k->capacity) { /* a disk without a volume */
        kubew_disk_entry(w, k, name);
        return 0;
    }
    snprintf(base, sizeof(base), "%s", k->source ? source_base(k->source) : "");
    if (strrchr(base, '.'))
        *strrchr(base, '.') = 0;
    if (own && *base)
        snprintf(stem, sizeof(stem), "%s", base);
    else
        snprintf(stem, sizeof(stem), "%.100s-%s", sink_name(w->s), name);
    r = place_out(w->s, k, stem, "qcow2 raw", &out, w->n, w->e);
    if (r)
        return r;
    if (!out.name) {
        note(w->n, NOTE_LOST, k->name, "an empty drive is not described");
        return 0;
    }
    kubew_disk_entry(w, k, name);
    if (kubew_has(w, "%s/volumes/[%s]", w->kind->at, name))
        return 0;
    snprintf(base, sizeof(base), "%s", source_base(out.name));
    if (strrchr(base, '.'))
        *strrchr(base, '.') = 0;
    kubew_label(base, stem);
    t = tree_add_map(a, kubew_list(w, w->spec, "volumes"), NULL);
    tree_add_text(a, t, "name", name);
    tree_add_text(a, tree_add_map(a, t, "persistentVolumeClaim"), "claimName", stem);
    note(w->n, NOTE_CHANGED, k->name, "\"%s\" is to be uploaded to the claim \"%s\"", out.name,
         stem);
    if (k->mode == DESC_THROWAWAY)
        note(w->n, NOTE_LOST, k->name, "what is written to it is kept: it was a throwaway disk");
    return 0;
}

/* ---- network ---- */

static const char *kubew_model(struct kubew *w, const struct desc_nic *c)
{
    static const char *const own[] = { "e1000", "e1000e", "ne2k_pci", "pcnet", "rtl8139" };

    if (!strcmp(c->class, "virtio_net"))
        return "virtio";
    for (size_t i = 0; i < LEN(own); i++)
        if (!strcasecmp(own[i], c->class))
            return own[i];
    note(w->n, NOTE_CHANGED, c->name, "%s becomes e1000e", c->foreign ? c->foreign : c->class);
    return "e1000e";
}

static void kubew_nic(struct kubew *w, const struct desc_nic *c, u32 index)
{
    bool own = w->d->product && !strcmp(w->d->product, "KubeVirt");
    struct arena *a = &w->arena;
    const char *name = c->name, *said;
    char key[32], label[64], mac[18];
    struct tree *t, *on;

    snprintf(key, sizeof(key), "#nic[%u]", index);
    said = desc_extra(w->d, "kubevirt", key);
    if (said)
        name = said;
    if (!own) {
        kubew_label(c->name, label);
        name = label;
    }
    t = tree_add_map(a, kubew_list(w, w->devices, "interfaces"), NULL);
    tree_add_text(a, t, "name", name);
    if (!own)
        tree_add_map(a, t, index ? "bridge" : "masquerade");
    if (c->foreign || !own)
        tree_add_text(a, t, "model", kubew_model(w, c));
    place_mac_text(c, mac);
    if (*mac)
        tree_add_text(a, t, "macAddress", mac);
    if (c->boot)
        tree_add_bare(a, t, "bootOrder", "%u", c->boot);
    if (!c->connected)
        tree_add_text(a, t, "state", "down");
    if (own)
        return;
    on = tree_add_map(a, kubew_list(w, w->spec, "networks"), NULL);
    tree_add_text(a, on, "name", name);
    if (!index) {
        tree_add_map(a, on, "pod");
        if (c->network)
            note(w->n, NOTE_CHANGED, c->name, "its network \"%s\" becomes the pod's", c->network);
    } else {
        kubew_label(c->network ? c->network : "network", label);
        tree_add_text(a, tree_add_map(a, on, "multus"), "networkName", label);
        note(w->n, NOTE_CHANGED, c->name, "its network is the attachment \"%s\" of multus", label);
    }
}

/* ---- documents ---- */

static int kubew_extras(struct kubew *w)
{
    for (const struct desc_extra *x = w->d->extras; x; x = x->next) {
        int r;

        if (strcmp(x->format, "kubevirt") || *x->key == '#' || !strncmp(x->key, "--- ", 4))
            continue;
        r = tree_put(&w->arena, w->root, x->key, x->value);
        if (r == -ENOMEM)
            return r;
        if (r && strcmp(x->key, "kind") && strcmp(x->key, "apiVersion"))
            note(w->n, NOTE_LOST, x->key, "the place of this setting is gone");
    }
    return 0;
}

static void kubew_lost(struct kubew *w)
{
    const struct desc *d = w->d;

    lost_snapshots(d, w->n);
    place_lost(d, "kubevirt", w->n);
    if (d->guest_os && (!d->product || strcmp(d->product, "KubeVirt")))
        note(w->n, NOTE_LOST, "guest", "\"%s\": choose a preference for it", d->guest_os);
}

static int kubew_vm(struct kubew *w, struct buf *to)
{
    u32 i = 0;
    int r = 0;

    kubew_frame(w);
    kubew_machine(w);
    for (const struct desc_disk *k = w->d->disks; !r && k; k = k->next)
        r = kubew_disk(w, k);
    for (const struct desc_nic *c = w->d->nics; c && !kubew_has(w, "#interfaces"); c = c->next)
        kubew_nic(w, c, i++);
    r = r ? r : kubew_extras(w);
    kubew_lost(w);
    return r ? r : yaml_print(w->root, to);
}

static int kubew_beside(const struct desc *d, struct arena *a, struct buf *to)
{
    int r = 0;

    for (const struct desc_extra *x = d->extras; !r && x; x = x->next) {
        struct tree *docs;

        if (strcmp(x->format, "kubevirt") || strncmp(x->key, "--- ", 4))
            continue;
        r = yaml_parse(a, x->value, strlen(x->value), "extra", &docs, NULL);
        if (!r && docs->first)
            r = yaml_print(docs->first, to);
    }
    return r;
}

int kubevirt_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    struct buf to = { 0 };
    struct arena beside = { .limit = 256u << 20 };
    int r = 0;

    for (const struct desc *vm = d; !r && vm; vm = vm->next) {
        struct kubew w = { .d = vm, .s = s, .n = n, .e = e, .arena = { .limit = 256u << 20 } };

        r = kubew_vm(&w, &to);
        arena_fini(&w.arena);
    }
    r = r ? r : kubew_beside(d, &beside, &to);
    arena_fini(&beside);
    if (!r)
        r = sink_text(s, sink_main(s), to.p, to.len, e);
    else if (!e->text[0])
        err_set(e, r, "the document cannot be made");
    buf_fini(&to);
    return r;
}
