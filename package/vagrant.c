/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Vagrant boxes: a tar (often compressed) with metadata.json, a Vagrantfile and what its
 * provider keeps: an OVF for virtualbox, a VMX for VMware's, an export of Hyper-V, images for
 * libvirt and qemu.  Those formats are read by their own readers.  An unpacked box is read by
 * its metadata.json.
 */
#include "package/number.h"
#include "package/place.h"
#include "package/source.h"
#include "package/vagrant_int.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOX_TEXT (1u << 20)
#define BOX_DISKS 64
#define BOX_MEMBERS 1024

struct box {
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file;
    json_t *meta;
    const char *provider;
};

static const struct source_file *box_member(const struct box *x, const char *name)
{
    const struct source_file *f;

    return source_find(x->s, name, &f, NULL) ? NULL : f;
}

/* The text of a small member; NULL when there is none.  The caller frees. */
static char *box_text(const struct box *x, const char *name)
{
    const struct source_file *f = box_member(x, name);
    struct buf b;

    if (!f || source_load(f, BOX_TEXT, &b, NULL))
        return NULL;
    return (char *)b.p;
}

static int box_metadata(struct box *x)
{
    json_error_t bad;
    char *text = box_text(x, "metadata.json");

    if (!text)
        return err_set(x->e, -EBADMSG, "%s: has no metadata.json that can be read", x->file);
    x->meta = json_loads(text, JSON_REJECT_DUPLICATES, &bad);
    free(text);
    if (!json_is_object(x->meta))
        return err_set(x->e, -EBADMSG, "%s: metadata.json: line %d: %s", x->file,
                       x->meta ? 1 : bad.line, x->meta ? "is no object" : bad.text);
    x->provider = json_string_value(json_object_get(x->meta, "provider"));
    if (!x->provider || !*x->provider)
        return err_set(x->e, -EBADMSG, "%s: metadata.json: names no provider", x->file);
    return 0;
}

/* ---- boxes of images ---- */

static struct desc_device *box_controller(struct box *x, const char *bus)
{
    bool sata = !strcmp(bus, "sata"), ide = !strcmp(bus, "ide"), scsi = !strcmp(bus, "scsi");

    return place_controller(x->d, x->n,
                            ide    ? NAME_IDE
                            : sata ? NAME_SATA
                                   : NAME_SCSI,
                            ide || sata ? ""
                            : scsi      ? "virtio-scsi"
                                        : "virtio");
}

static int box_disk(struct box *x, struct desc_device *v, const char *path, const char *format)
{
    struct desc_disk *k = place_disk(x->d, x->n, DESC_DISK, v, -1);
    const struct source_file *f;

    if (!k)
        return -ENOMEM;
    if (!path || !*path)
        return err_set(x->e, -EBADMSG, "%s: metadata.json: a disk without a path", x->file);
    k->format = desc_text(x->d, "%s", format && *format ? format : "qcow2");
    f = box_member(x, path);
    if (!f) {
        note(x->n, NOTE_LOST, k->name, "its image \"%.200s\" is not in the box", path);
        k->source = desc_text(x->d, "%s", path);
        return k->source ? 0 : -ENOMEM;
    }
    return place_member(x->d, x->s, k, f);
}

static int box_disks(struct box *x, const char *bus)
{
    const json_t *list = json_object_get(x->meta, "disks"), *one;
    const char *format = json_string_value(json_object_get(x->meta, "format"));
    struct desc_device *v = box_controller(x, bus);
    double gib = json_number_value(json_object_get(x->meta, "virtual_size"));
    size_t i;
    int r = v ? 0 : -ENOMEM;

    json_array_foreach(list, i, one)
    {
        const char *own = json_string_value(json_object_get(one, "format"));

        if (i == BOX_DISKS)
            return err_set(x->e, -E2BIG, "%s: metadata.json: too many disks", x->file);
        r = r ? r
              : box_disk(x, v, json_string_value(json_object_get(one, "path")), own ? own : format);
    }
    if (r || json_array_size(list))
        return r;
    r = box_disk(x, v, "box.img", format);
    if (!r && gib > 0 && gib < 1e6)
        x->d->disks->capacity = (u64)(gib * (1 << 30));
    return r;
}

static u64 box_number(const char *s, u64 most)
{
    u64 v;

    return number_decimal(s, &v) && v <= most ? v : 0;
}

static int box_images(struct box *x)
{
    char *text = box_text(x, "Vagrantfile");
    struct vagrant_words w;
    struct desc_nic *c;
    struct desc *d = x->d;
    u64 v;
    int r;

    vagrant_words(text ? text : "", &w);
    free(text);
    v = box_number(w.memory, 1 << 26);
    d->memory = (v ? v : 512) << 20; /* vagrant-libvirt's own without a word */
    v = box_number(w.cpus, 4096);
    d->cpus = v ? (u32)v : 1;
    d->persona = "kvm";
    d->product = desc_text(d, "Vagrant (%s)", x->provider);
    d->machine = strstr(w.machine, "q35") ? "q35" : "i440fx";
    if (strstr(w.firmware, "OVMF") || strstr(w.firmware, "efi"))
        d->firmware = DESC_EFI;
    d->display = *w.video ? desc_text(d, "%s", w.video) : NULL;
    d->sound = *w.sound ? desc_text(d, "%s", w.sound) : NULL;
    if (*w.memory || *w.cpus)
        note(x->n, NOTE_KEPT, "Vagrantfile", "%s%s%s MiB, read from it; it is never run",
             *w.cpus ? w.cpus : "1", " processors and ", *w.memory ? w.memory : "512");
    r = box_disks(x, *w.disk_bus ? w.disk_bus : "virtio");
    if (r)
        return r;
    c = place_nic(d, x->n, *w.nic_model ? w.nic_model : "virtio");
    return c ? 0 : -ENOMEM;
}

/* ---- boxes that hold another package ---- */

static const struct source_file *box_descriptor(struct box *x, const struct vagrant_provider *p)
{
    const struct source_file *f;

    if (x->s->kind == SOURCE_FILES)
        return p->name ? box_member(x, p->name) : NULL;
    for (f = x->s->files; f; f = f->next)
        if (source_has_suffix(f->name, p->suffix) ||
            (!strcmp(p->provider, "hyperv") && source_has_suffix(f->name, ".vmcx")))
            return f;
    return NULL;
}

/* A disk that its reader found as a file, or not at all, is a member of the archive. */
static int box_member_disk(struct box *x, struct desc *d, struct desc_disk *k)
{
    const char *base = source_base(k->source);

    for (const struct source_file *f = x->s->files; f; f = f->next) {
        if (strcmp(f->name, k->source) && strcmp(source_base(f->name), base))
            continue;
        return place_member(d, x->s, k, f);
    }
    return 0;
}

static int box_inner(struct box *x, const struct vagrant_provider *p)
{
    const struct package_format *f = vagrant_format(p->format);
    const struct source_file *in = box_descriptor(x, p);
    struct source_file *was = x->s->main;
    int r;

    if (!f)
        return err_set(x->e, -EOPNOTSUPP, "%s: boxes for %s are not supported", x->file,
                       x->provider);
    if (!in)
        return err_set(x->e, -EBADMSG, "%s: is for %s and has no %s in it", x->file, x->provider,
                       p->suffix);
    note(x->n, NOTE_KEPT, x->file, "a box for %s: \"%s\" is its description", x->provider,
         in->name);
    x->s->main = (struct source_file *)in;
    r = f->read(x->d, x->s, x->n, x->e);
    x->s->main = was;
    if (r || x->s->kind != SOURCE_TAR)
        return r;
    for (struct desc *d = x->d; !r && d; d = d->next)
        for (struct desc_disk *k = d->disks; !r && k; k = k->next)
            if (k->source && !k->container)
                r = box_member_disk(x, d, k);
    return r;
}

/* ---- what is kept ---- */

static int box_keep(struct box *x)
{
    static const char *const known[] = { "provider", "format", "virtual_size", "disks" };
    const char *key;
    json_t *value;
    int r = desc_add_extra(x->d, "vagrant", "provider", x->provider);

    json_object_foreach(x->meta, key, value)
    {
        char path[200], *text;
        bool mine = false;

        for (size_t i = 0; i < LEN(known); i++)
            mine |= !strcmp(key, known[i]);
        if (mine || strlen(key) > 100)
            continue;
        snprintf(path, sizeof(path), "metadata.json/%s", key);
        text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        r = r || !text ? r : desc_add_extra(x->d, "vagrant", path, text);
        free(text);
    }
    return r;
}

/* The Vagrantfile, info.json and what else is no disk and no description goes along. */
static int box_files(struct box *x)
{
    static const char *const known[] = { "Vagrantfile", "info.json" };

    for (size_t i = 0; i < LEN(known); i++) {
        const struct source_file *f = box_member(x, known[i]);
        struct desc_file *to;

        if (!f)
            continue;
        to = desc_add_file(x->d, known[i], f->path);
        if (!to)
            return -ENOMEM;
        to->offset = f->offset;
        to->length = x->s->kind == SOURCE_TAR ? f->size : 0;
        note(x->n, NOTE_KEPT, known[i], "goes along; nothing of it is run");
    }
    return 0;
}

static int box_probe(struct source *s)
{
    const struct source_file *f = s->kind == SOURCE_TAR ? s->files : s->main;
    char text[4097];

    while (f && s->kind == SOURCE_TAR && strcmp(f->name, "metadata.json"))
        f = f->next;
    if (!f || (s->kind == SOURCE_FILES && strcmp(source_base(f->name), "metadata.json")))
        return 0;
    return source_head(f, text, sizeof(text)) && strstr(text, "\"provider\"") ? 100 : 0;
}

static int box_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct box x = { .d = d, .s = s, .n = n, .e = e, .file = source_base(s->path) };
    const struct vagrant_provider *p;
    int r = box_metadata(&x);

    if (!r) {
        d->name = desc_text(d, "%.*s", (int)strcspn(x.file, "."), x.file);
        p = vagrant_provider(x.provider);
        if (!d->name)
            r = -ENOMEM;
        else
            r = p ? box_inner(&x, p) : box_images(&x);
    }
    if (!r && (!d->name || !*d->name))
        d->name = "box";
    r = r ? r : box_keep(&x);
    r = r ? r : box_files(&x);
    json_decref(x.meta);
    return r == -ENOMEM && !e->text[0] ? err_set(e, r, "%s: is too long", x.file) : r;
}

const struct package_format package_vagrant = {
    .name = "vagrant",
    .archive = ".box",
    .about = "Vagrant: a box for libvirt, VirtualBox or VMware",
    .probe = box_probe,
    .read = box_read,
    .write = vagrant_write,
};
