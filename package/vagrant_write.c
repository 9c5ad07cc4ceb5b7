/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Vagrant box, for the provider that it had, or else for the one whose products know the VM:
 * VMware's, VirtualBox, and libvirt for all others.
 */
#include "package/lost.h"
#include "package/place_write.h"
#include "package/sink_int.h"
#include "package/source.h"
#include "package/vagrant_int.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *boxw_provider(const struct desc *d)
{
    const char *said = desc_extra(d, "vagrant", "provider");

    if (said)
        return said;
    if (d->product && strstr(d->product, "VMware"))
        return "vmware_desktop";
    if (d->product && strstr(d->product, "VirtualBox"))
        return "virtualbox";
    return "libvirt";
}

static int boxw_metadata(struct sink *s, const struct desc *d, json_t *meta, struct err *e)
{
    static const char prefix[] = "metadata.json/";
    char *text;
    int r;

    for (const struct desc_extra *x = d->extras; x; x = x->next) {
        json_t *value;

        if (strcmp(x->format, "vagrant") || strncmp(x->key, prefix, strlen(prefix)))
            continue;
        value = json_loads(x->value, JSON_DECODE_ANY, NULL);
        if (value && !json_object_get(meta, x->key + strlen(prefix)))
            json_object_set(meta, x->key + strlen(prefix), value);
        json_decref(value);
    }
    text = json_dumps(meta, JSON_INDENT(2));
    if (!text)
        return err_set(e, -ENOMEM, "no memory");
    r = sink_text(s, "metadata.json", text, strlen(text), e);
    free(text);
    return r;
}

/* ---- libvirt ---- */

static const char *boxw_bus(const struct desc *d, struct notes *n)
{
    const struct desc_device *v = d->disks ? desc_device(d, d->disks->controller) : NULL;
    const char *class = v ? v->class : "virtio_blk";

    if (!strcmp(class, "virtio_blk"))
        return "virtio";
    if (!strcmp(class, "ide"))
        return "ide";
    if (!strcmp(class, "ahci"))
        return "sata";
    if (!strcmp(class, "virtio_scsi"))
        return "scsi";
    note(n, NOTE_CHANGED, v->name, "%s becomes SATA", class);
    return "sata";
}

/* A word of the description that stands between quotes in a program: nothing else may. */
static const char *boxw_word(const char *s)
{
    return s && *s &&
                   strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
                       strlen(s)
               ? s
               : NULL;
}

static int boxw_vagrantfile(struct sink *s, const struct desc *d, struct notes *n, struct err *e)
{
    const char *video = boxw_word(d->display), *sound = boxw_word(d->sound);
    const struct desc_nic *c = d->nics;
    struct buf b = { 0 };
    int r;

    r = buf_text(&b,
                 "Vagrant.configure(\"2\") do |config|\n"
                 "  config.vm.provider :libvirt do |libvirt|\n"
                 "    libvirt.driver = \"kvm\"\n    libvirt.memory = %llu\n    libvirt.cpus = %u\n"
                 "    libvirt.disk_bus = \"%s\"\n",
                 (unsigned long long)d->memory >> 20, d->cpus, boxw_bus(d, n));
    if (!r && c && strcmp(c->class, "virtio_net") && c->foreign && boxw_word(c->foreign))
        r = buf_text(&b, "    libvirt.nic_model_type = \"%s\"\n", c->foreign);
    if (!r && d->machine && !strcmp(d->machine, "q35"))
        r = buf_text(&b, "    libvirt.machine_type = \"q35\"\n");
    if (!r && d->firmware == DESC_EFI)
        r = buf_text(&b, "    libvirt.loader = \"/usr/share/OVMF/OVMF_CODE.fd\"\n");
    if (!r && video)
        r = buf_text(&b, "    libvirt.video_type = \"%s\"\n", video);
    if (!r && sound)
        r = buf_text(&b, "    libvirt.sound_type = \"%s\"\n", sound);
    r = r ? r : buf_text(&b, "  end\nend\n");
    r = r ? err_set(e, r, "no memory") : sink_text(s, "Vagrantfile", b.p, b.len, e);
    buf_fini(&b);
    return r;
}

static const struct desc_file *boxw_file(const struct desc *d, const char *name)
{
    const struct desc_file *f = d->files;

    while (f && strcmp(f->name, name))
        f = f->next;
    return f;
}

/* Files that came along; the description's own ones are the inner writer's. */
static int boxw_files(struct sink *s, const struct desc *d, struct err *e)
{
    static const char *const known[] = { "Vagrantfile", "info.json" };
    int r = 0;

    for (size_t i = 0; !r && i < LEN(known); i++) {
        const struct desc_file *f = boxw_file(d, known[i]);

        if (f && !sink_find(s, known[i]))
            r = sink_copy(s, known[i], f->path, f->offset, f->length, e);
    }
    return r;
}

static int boxw_image(struct sink *s, const struct desc_disk *k, u32 i, json_t *list, u64 *size,
                      struct notes *n, struct err *e)
{
    struct sink_disk out;
    char name[32];
    json_t *one;
    int r;

    snprintf(name, sizeof(name), i ? "box_%u.img" : "box.img", i);
    if (!k->path && (k->source || !k->capacity)) {
        note(n, NOTE_LOST, k->name, "\"%s\" was not there: a box needs its disks",
             k->source ? k->source : "");
        return 0;
    }
    r = sink_disk(s, k, name, "qcow2", NULL, &out, e);
    if (r)
        return r;
    *size = out.capacity;
    one = json_pack("{ss ss}", "path", out.name, "format", out.format);
    return json_array_append_new(list, one) ? err_set(e, -ENOMEM, "no memory") : 0;
}

static void boxw_lost(const struct desc *d, struct notes *n)
{
    for (const struct desc_nic *c = d->nics ? d->nics->next : NULL; c; c = c->next)
        note(n, NOTE_LOST, c->name, "a box's networks are its user's to name");
    for (const struct desc_port *p = d->ports; p; p = p->next)
        note(n, NOTE_LOST, p->name, "a box has no ports");
    if (d->tpm)
        note(n, NOTE_LOST, "tpm", "a box has none");
    if (d->secure_boot)
        note(n, NOTE_LOST, "secure boot", "a box cannot ask for it");
    if (d->nvram)
        note(n, NOTE_LOST, "nvram", "the EFI variables \"%s\" are not carried over", d->nvram);
    if (d->annotation)
        note(n, NOTE_LOST, "annotation", "a box has no place for it");
    lost_direct_boot(d, n);
    lost_snapshots(d, n);
    lost_vms(d, n);
    place_lost(d, "vagrant", n);
}

static int boxw_libvirt(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    json_t *meta = json_object(), *list = json_array();
    u64 size = 0, first = 0;
    u32 i = 0;
    int r = 0;

    for (const struct desc_disk *k = d->disks; !r && k; k = k->next) {
        if (k->media != DESC_DISK) {
            note(n, NOTE_LOST, k->name, "a box has disks only");
            continue;
        }
        r = boxw_image(s, k, i++, list, &size, n, e);
        first = first ? first : size;
    }
    json_object_set_new(meta, "provider", json_string(boxw_provider(d)));
    json_object_set_new(meta, "format", json_string("qcow2"));
    json_object_set_new(meta, "virtual_size",
                        json_integer((json_int_t)((first + (1 << 30) - 1) >> 30)));
    if (json_array_size(list) > 1)
        json_object_set(meta, "disks", list);
    r = r ? r : boxw_metadata(s, d, meta, e);
    if (!r && !boxw_file(d, "Vagrantfile"))
        r = boxw_vagrantfile(s, d, n, e);
    r = r ? r : boxw_files(s, d, e);
    boxw_lost(d, n);
    json_decref(list);
    json_decref(meta);
    return r;
}

/* ---- other providers ---- */

/* The other format's writer makes its part of the box, under the name that its provider wants. */
static int boxw_inner(const struct desc *d, const struct vagrant_provider *p, struct sink *s,
                      struct notes *n, struct err *e)
{
    const struct package_format *f = vagrant_format(p->format), *own = s->f;
    const char *name = s->name, *main = s->main;
    json_t *meta;
    int r;

    s->f = f;
    s->name = "box";
    s->main = p->name;
    r = f->write(d, s, n, e);
    s->f = own;
    s->name = name;
    s->main = main;
    if (r)
        return r;
    meta = json_pack("{ss}", "provider", p->provider);
    r = meta ? boxw_metadata(s, d, meta, e) : err_set(e, -ENOMEM, "no memory");
    json_decref(meta);
    return r ? r : boxw_files(s, d, e);
}

int vagrant_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    const struct vagrant_provider *p = vagrant_provider(boxw_provider(d));
    const struct package_format *f = p ? vagrant_format(p->format) : NULL;

    if (!p)
        return boxw_libvirt(d, s, n, e);
    if (!f || !f->write || !p->name)
        return err_set(e, -EOPNOTSUPP, "boxes for %s are read, not written", p->provider);
    note(n, NOTE_KEPT, sink_name(s), "a box for %s", p->provider);
    return boxw_inner(d, p, s, n, e);
}
