/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a libvirt domain: what the description says, with what libvirt itself said of the rest
 * at its place.  A machine of another product becomes a KVM domain.
 */
#include "package/libvirt_int.h"
#include "package/lost.h"
#include "package/place_write.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITE_KEY 64

struct libvirt_out {
    const struct desc *d;
    struct sink *s;
    struct notes *n;
    struct err *e;
    struct xml_tree t;
    struct xml_node *devices;
    bool fresh;       /* it was no domain: nothing was kept that a new one needs */
    unsigned ndisks;  /* written so far */
    u64 converted[8]; /* bits: disks that are files of ours now, whatever they were */
};

/* libvirt takes an order of kinds or one of devices, not both. */
static bool out_orders(const struct libvirt_out *o)
{
    const char *os = desc_extra(o->d, "libvirt", "os");

    return !os || !strstr(os, "<boot");
}

/* "devices/disk[2]" with what follows */
static const char *out_key(char to[WRITE_KEY], unsigned disk, const char *rest)
{
    if (disk)
        snprintf(to, WRITE_KEY, "devices/disk[%u]%s", disk + 1, rest);
    else
        snprintf(to, WRITE_KEY, "devices/disk%s", rest);
    return to;
}

/* ---- the machine ---- */

static void out_fresh(struct libvirt_out *o)
{
    const struct desc *d = o->d;
    struct xml_node *n, *os = xml_add(&o->t, o->t.root, "os");
    bool q35 = d->machine && !strcmp(d->machine, "q35"), paravirtual;

    for (const struct desc_device *v = d->devices; v; v = v->next)
        q35 &= strcmp(v->class, "ide") != 0; /* which that machine does not have */
    paravirtual = d->machine && !strcmp(d->machine, "pv");
    xml_set(&o->t, o->t.root, "type", "%s", paravirtual ? "xen" : "kvm");
    if (d->firmware == DESC_EFI)
        xml_set(&o->t, os, "firmware", "efi");
    n = xml_put(&o->t, os, "type", "%s", paravirtual ? "linux" : "hvm");
    xml_set(&o->t, n, "arch", "x86_64");
    xml_set(&o->t, n, "machine", "%s", paravirtual ? "xenpv" : q35 ? "q35" : "pc");
    if (d->firmware == DESC_EFI && d->secure_boot) {
        n = xml_add(&o->t, xml_add(&o->t, os, "firmware"), "feature");
        xml_set(&o->t, n, "enabled", "yes");
        xml_set(&o->t, n, "name", "secure-boot");
    }
    if (d->kernel)
        xml_put(&o->t, os, "kernel", "%s", d->kernel);
    if (d->initrd)
        xml_put(&o->t, os, "initrd", "%s", d->initrd);
    if (d->append)
        xml_put(&o->t, os, "cmdline", "%s", d->append);
    if (d->nvram)
        note(o->n, NOTE_LOST, "nvram", "\"%s\" is another product's: libvirt makes its own",
             d->nvram);
    n = xml_add(&o->t, o->t.root, "features");
    xml_add(&o->t, n, "acpi");
    xml_add(&o->t, n, "apic");
    if (d->firmware == DESC_EFI && d->secure_boot)
        xml_set(&o->t, xml_add(&o->t, n, "smm"), "state", "on");
    n = xml_add(&o->t, o->t.root, "cpu");
    xml_set(&o->t, n, "mode", "host-model");
    if (d->cores_per_socket > 1) {
        n = xml_add(&o->t, n, "topology");
        xml_set(&o->t, n, "sockets", "%u", d->cpus / d->cores_per_socket);
        xml_set(&o->t, n, "cores", "%u", d->cores_per_socket);
        xml_set(&o->t, n, "threads", "1");
    }
}

static void out_machine(struct libvirt_out *o)
{
    const struct desc *d = o->d;
    struct xml_node *n;
    char uuid[37];

    xml_put(&o->t, o->t.root, "name", "%s", d->name);
    if (d->has_uuid)
        xml_put(&o->t, o->t.root, "uuid", "%s", place_uuid_text(d, uuid));
    if (d->annotation)
        xml_put(&o->t, o->t.root, "description", "%s", d->annotation);
    n = xml_put(&o->t, o->t.root, "memory", "%llu", (unsigned long long)((d->memory + 1023) >> 10));
    xml_set(&o->t, n, "unit", "KiB");
    xml_put(&o->t, o->t.root, "vcpu", "%u", d->cpus);
    if (o->fresh)
        out_fresh(o);
    if (o->fresh || d->clock)
        xml_set(&o->t, xml_get(&o->t, o->t.root, "clock"), "offset", "%s",
                d->clock ? d->clock : "utc");
    o->devices = xml_get(&o->t, o->t.root, "devices");
}

/* ---- controllers and disks ---- */

static const char *out_model(struct libvirt_out *o, const struct desc_device *v)
{
    static const char *const models[][2] = {
        { "virtio_scsi", "virtio-scsi" }, { "pvscsi", "vmpvscsi" },
        { "lsisas1068", "lsisas1068" },   { "lsisas1078", "lsisas1078" },
        { "lsi53c895a", "lsilogic" },     { "am53c974", "am53c974" }
    };

    if (!o->fresh || strcmp(libvirt_bus_of(v)->name, "scsi"))
        return o->fresh ? NULL : v->foreign;
    for (size_t i = 0; i < LEN(models); i++)
        if (!strcmp(models[i][0], v->class))
            return models[i][1];
    note(o->n, NOTE_CHANGED, v->name, "%s becomes %s, for which the guest needs a driver",
         v->foreign ? v->foreign : v->class,
         !strcmp(v->class, "lsilogic") ? "LSI SAS 1068" : "virtio SCSI");
    return !strcmp(v->class, "lsilogic") ? "lsisas1068" : "virtio-scsi";
}

static void out_controllers(struct libvirt_out *o)
{
    for (const struct desc_device *v = o->d->devices; v; v = v->next) {
        const struct libvirt_bus *b = libvirt_bus_of(v);
        const char *model;
        struct xml_node *n;

        if (!b && strcmp(v->class, "uart16550"))
            note(o->n, NOTE_LOST, v->name, "libvirt has no controller like %s",
                 v->foreign ? v->foreign : v->class);
        if (!b || !b->controller)
            continue;
        n = xml_add(&o->t, o->devices, "controller");
        model = out_model(o, v);
        xml_set(&o->t, n, "type", "%s", b->controller);
        xml_set(&o->t, n, "index", "%ld", place_number(v->name) < 0 ? 0 : place_number(v->name));
        if (model)
            xml_set(&o->t, n, "model", "%s", model);
    }
}

/* The disk's index among its kind, for the name of its target */
static unsigned out_number(struct libvirt_out *o, const struct libvirt_bus *b,
                           const struct desc_device *v, const struct desc_disk *k)
{
    long controller = place_number(v->name);
    unsigned before = 0;

    if (!o->fresh)
        return (controller < 0 || !b->controller ? 0 : (unsigned)controller) * b->places + k->unit;
    for (const struct desc_disk *p = o->d->disks; p != k; p = p->next) {
        const struct desc_device *w = p->controller ? desc_device(o->d, p->controller) : NULL;
        const struct libvirt_bus *c = w ? libvirt_bus_of(w) : NULL;

        before += c && !strcmp(c->prefix, b->prefix);
    }
    return before; /* two buses may share the letters: each name is given once */
}

static void out_address(struct libvirt_out *o, const struct libvirt_bus *b,
                        const struct desc_device *v, const struct desc_disk *k, struct xml_node *n)
{
    char key[WRITE_KEY];
    bool ide = !strcmp(b->name, "ide");
    struct xml_node *a;

    if (!b->controller || desc_extra(o->d, "libvirt", out_key(key, o->ndisks, "/address")))
        return;
    a = xml_add(&o->t, n, "address");
    xml_set(&o->t, a, "type", "drive");
    xml_set(&o->t, a, "controller", "%ld", place_number(v->name) < 0 ? 0 : place_number(v->name));
    xml_set(&o->t, a, "bus", "%u", ide ? k->unit / 2 : 0);
    xml_set(&o->t, a, "target", "0");
    xml_set(&o->t, a, "unit", "%u", ide ? k->unit % 2 : k->unit);
}

static int out_medium(struct libvirt_out *o, const struct desc_disk *k, struct xml_node *n)
{
    const char *theirs;
    struct xml_node *driver;
    struct sink_disk f;
    char type[WRITE_KEY], source[WRITE_KEY];
    int r = 0;

    if (!k->path && (desc_extra(o->d, "libvirt", out_key(type, o->ndisks, "@type")) ||
                     desc_extra(o->d, "libvirt", out_key(source, o->ndisks, "/source"))))
        f = (struct sink_disk){ .format = k->format }; /* what was said of it is written back */
    else
        r = place_out(o->s, k, NULL, "qcow2 raw", &f, o->n, o->e);
    if (r)
        return r;
    if (k->path)
        o->converted[o->ndisks / 64 % LEN(o->converted)] |= 1ull << o->ndisks % 64;
    theirs = k->path || k->format ? libvirt_format_theirs(f.format) : NULL;
    if (theirs) {
        driver = xml_add(&o->t, n, "driver");
        if (o->fresh)
            xml_set(&o->t, driver, "name", "qemu");
        if (k->media == DESC_DISK || o->fresh)
            xml_set(&o->t, driver, "type", "%s", theirs);
    }
    if (f.name)
        xml_set(&o->t, xml_add(&o->t, n, "source"), "file", "%s", f.name);
    return 0;
}

static int out_disk(struct libvirt_out *o, const struct desc_disk *k)
{
    static const char *const devices[] = { "disk", "cdrom", "floppy" };
    const struct desc_device *v = k->controller ? desc_device(o->d, k->controller) : NULL;
    const struct libvirt_bus *b = v ? libvirt_bus_of(v) : NULL;
    struct xml_node *n = xml_add(&o->t, o->devices, "disk"), *target;
    char dev[16];
    int r;

    b = b ? b : libvirt_bus("virtio");
    xml_set(&o->t, n, "type", "file");
    xml_set(&o->t, n, "device", "%s", devices[k->media]);
    r = out_medium(o, k, n);
    if (r)
        return r;
    target = xml_add(&o->t, n, "target");
    xml_set(&o->t, target, "dev", "%s", libvirt_target(b, out_number(o, b, v, k), dev));
    xml_set(&o->t, target, "bus", "%s", b->name);
    if (k->mode == DESC_READ)
        xml_add(&o->t, n, "readonly");
    if (k->mode == DESC_THROWAWAY)
        xml_add(&o->t, n, "transient");
    if (k->serial)
        xml_put(&o->t, n, "serial", "%s", k->serial);
    if (k->boot && out_orders(o))
        xml_set(&o->t, xml_add(&o->t, n, "boot"), "order", "%u", k->boot);
    if (v)
        out_address(o, b, v, k, n);
    o->ndisks++;
    return 0;
}

/* ---- cards, ports, screen, sound ---- */

static const char *out_card(struct libvirt_out *o, const struct desc_nic *c)
{
    static const char *const models[][2] = { { "virtio_net", "virtio" },
                                             { "vmxnet3", "vmxnet3" },
                                             { "e1000", "e1000" },
                                             { "e1000e", "e1000e" },
                                             { "rtl8139", "rtl8139" },
                                             { "pcnet", "pcnet" },
                                             { "ne2k_pci", "ne2k_pci" },
                                             { "ne2k_isa", "ne2k_isa" },
                                             { "xen_net", "netfront" },
                                             { "i82551", "i82551" },
                                             { "i82557b", "i82557b" },
                                             { "i82559er", "i82559er" },
                                             { "igb", "igb" } };

    if (!o->fresh)
        return c->foreign;
    for (size_t i = 0; i < LEN(models); i++)
        if (!strcmp(models[i][0], c->class))
            return models[i][1];
    note(o->n, NOTE_CHANGED, c->name, "a card of the kind %s becomes an Intel E1000",
         c->foreign ? c->foreign : c->class);
    return "e1000";
}

static void out_nic(struct libvirt_out *o, const struct desc_nic *c)
{
    struct xml_node *n = xml_add(&o->t, o->devices, "interface");
    const char *model = out_card(o, c);
    char mac[18];

    if (c->has_mac)
        xml_set(&o->t, xml_add(&o->t, n, "mac"), "address", "%s", place_mac_text(c, mac));
    if (o->fresh) {
        xml_set(&o->t, n, "type", "network");
        xml_set(&o->t, xml_add(&o->t, n, "source"), "network", "default");
        if (c->network && strcmp(c->network, "default"))
            note(o->n, NOTE_CHANGED, c->name, "the network \"%s\" becomes libvirt's \"default\"",
                 c->network);
    }
    if (model)
        xml_set(&o->t, xml_add(&o->t, n, "model"), "type", "%s", model);
    if (!c->connected)
        xml_set(&o->t, xml_add(&o->t, n, "link"), "state", "down");
    if (c->boot && out_orders(o))
        xml_set(&o->t, xml_add(&o->t, n, "boot"), "order", "%u", c->boot);
}

static const char *out_port_type(struct libvirt_out *o, const struct desc_port *p)
{
    static const char *const types[] = { "pty",  "file", "pipe",  "tcp",      "udp", "unix",
                                         "null", "dev",  "stdio", "spicevmc", "vc",  "nmdm" };

    if (!strcmp(p->to, "device"))
        return "dev";
    for (size_t i = 0; i < LEN(types); i++)
        if (!strcmp(types[i], p->to))
            return types[i];
    if (!o->fresh)
        return p->to;
    note(o->n, NOTE_CHANGED, p->name, "goes to \"%s\" no more: it is a terminal", p->to);
    return "pty";
}

static void out_port(struct libvirt_out *o, const struct desc_port *p)
{
    struct xml_node *n = xml_add(&o->t, o->devices, p->kind == DESC_SERIAL ? "serial" : "parallel");
    const char *type = out_port_type(o, p), *colon = p->target ? strrchr(p->target, ':') : NULL;
    struct xml_node *source;

    xml_set(&o->t, n, "type", "%s", type);
    if (!p->target || !strcmp(type, "pty"))
        if (!p->target || o->fresh)
            return;
    source = xml_add(&o->t, n, "source");
    if (strcmp(type, "tcp") && strcmp(type, "udp")) {
        xml_set(&o->t, source, "path", "%s", p->target);
        return;
    }
    if (o->fresh)
        xml_set(&o->t, source, "mode", "connect");
    if (!colon || colon > p->target || o->fresh)
        xml_set(&o->t, source, "host", "%.*s", colon ? (int)(colon - p->target) : 9,
                colon ? p->target : "127.0.0.1");
    xml_set(&o->t, source, "service", "%s", colon ? colon + 1 : p->target);
}

static void out_screen(struct libvirt_out *o)
{
    static const char *const types[] = { "vga",    "cirrus", "vmvga", "xen",   "vbox", "qxl",
                                         "virtio", "gop",    "bochs", "ramfb", "none" };
    const char *type = o->fresh ? "vga" : o->d->display;
    struct xml_node *n;

    if (!type && !o->d->video_memory)
        return;
    for (size_t i = 0; o->d->display && i < LEN(types); i++)
        if (!strcmp(types[i], o->d->display))
            type = types[i];
    n = xml_add(&o->t, xml_add(&o->t, o->devices, "video"), "model");
    if (type)
        xml_set(&o->t, n, "type", "%s", type);
    if (o->d->video_memory)
        xml_set(&o->t, n, "vram", "%llu", (unsigned long long)(o->d->video_memory >> 10));
    if (o->fresh)
        xml_set(&o->t, xml_add(&o->t, o->devices, "graphics"), "type", "vnc");
}

static void out_sound(struct libvirt_out *o)
{
    static const char *const models[][2] = { { "ac97", "ac97" },     { "es1371", "es1370" },
                                             { "es1370", "es1370" }, { "sb16", "sb16" },
                                             { "sb", "sb16" },       { "hda", "ich6" },
                                             { "hdaudio", "ich6" } };
    const char *model = o->fresh ? "ich6" : o->d->sound;

    if (!o->d->sound)
        return;
    for (size_t i = 0; o->fresh && i < LEN(models); i++)
        if (!strcasecmp(models[i][0], o->d->sound))
            model = models[i][1];
    xml_set(&o->t, xml_add(&o->t, o->devices, "sound"), "model", "%s", model);
}

static void out_tpm(struct libvirt_out *o)
{
    struct xml_node *n;

    if (!o->d->tpm || !o->fresh)
        return;
    n = xml_add(&o->t, o->devices, "tpm");
    xml_set(&o->t, n, "model", o->d->tpm_fifo ? "tpm-tis" : "tpm-crb");
    n = xml_add(&o->t, n, "backend");
    xml_set(&o->t, n, "type", "emulator");
    xml_set(&o->t, n, "version", "2.0");
}

/* ---- all of it ---- */

/* Where a disk that was not a file of this kind came from is over when it is converted. */
static bool out_wanted(const struct desc_extra *v, void *arg)
{
    const struct libvirt_out *o = arg;

    for (unsigned i = 0; i < o->ndisks && i < 64 * LEN(o->converted); i++) {
        static const char *const rests[] = { "@type", "/source", "/driver@type", "/backingStore",
                                             "/encryption" };
        char key[WRITE_KEY];

        if (!(o->converted[i / 64] >> i % 64 & 1))
            continue;
        for (size_t k = 0; k < LEN(rests); k++)
            if (!strncmp(v->key, out_key(key, i, rests[k]), strlen(out_key(key, i, rests[k]))))
                return false;
    }
    return true;
}

int libvirt_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    struct libvirt_out o = { .d = d, .s = s, .n = n, .e = e };
    struct buf text = { 0 };
    int r = 0;

    o.fresh = !desc_extra(d, "libvirt", "@type");
    xml_tree_init(&o.t, "domain");
    out_machine(&o);
    for (const struct desc_disk *k = d->disks; k && !r; k = k->next)
        r = out_disk(&o, k);
    out_controllers(&o);
    for (const struct desc_nic *c = d->nics; c; c = c->next)
        out_nic(&o, c);
    for (const struct desc_port *p = d->ports; p; p = p->next)
        out_port(&o, p);
    out_screen(&o);
    out_sound(&o);
    out_tpm(&o);
    xml_merge_if(&o.t, d, "libvirt", out_wanted, &o);
    place_lost(d, "libvirt", n);
    lost_snapshots(d, n);
    r = r ? r : xml_document(&o.t, &text, e);
    r = r ? r : sink_text(s, sink_main(s), text.p, text.len, e);
    buf_fini(&text);
    xml_tree_fini(&o.t);
    return r;
}
