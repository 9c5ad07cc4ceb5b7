/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Xen's configurations: xl.cfg(5), and what xm read before it.  Settings that the description
 * has no member for are kept, each as the value it had.
 */
#include "package/format.h"
#include "package/place.h"
#include "package/place_write.h"
#include "package/source.h"
#include "package/xl_int.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define XL_LIST_MAX 256

struct xl {
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file;
    struct tree *root;
    bool hvm;
};

static const char *xl_take(const struct xl *x, const char *key)
{
    return tree_take_text(x->root, key);
}

/* Text that is kept as text, or NULL. */
static const char *xl_keep(const struct xl *x, const char *key)
{
    const char *s = xl_take(x, key);

    return *s ? desc_text(x->d, "%s", s) : NULL;
}

static int xl_take_number(const struct xl *x, const char *key, u64 most, u64 *v)
{
    const char *s = xl_take(x, key);
    char *end;

    if (!*s)
        return 0;
    errno = 0;
    *v = strtoull(s, &end, 0);
    if (!isdigit((u8)*s) || *end || errno || *v > most)
        return err_set(x->e, -EBADMSG, "%s: %s: \"%.40s\" is not a number up to %llu", x->file, key,
                       s, (unsigned long long)most);
    return 0;
}

/* ---- what kind of machine ---- */

static void xl_kind(struct xl *x)
{
    const struct tree *builder = tree_get(x->root, "builder"), *model;
    const char *type = xl_take(x, "type"), *old = builder ? builder->text : "";

    x->hvm = *type ? !strcmp(type, "hvm") : !strcasecmp(old, "hvm");
    model = tree_get(x->root, "device_model_machine");
    if (x->hvm)
        x->d->machine = model && strstr(model->text, "q35") ? "q35" : "i440fx";
    else
        x->d->machine =
            !strcmp(type, "pvh") || tree_true(tree_take_text(x->root, "pvh")) ? "pvh" : "pv";
}

static int xl_size(struct xl *x)
{
    struct desc *d = x->d;
    u64 memory = 0, most = 0, cpus = 0, video = 0;
    const struct tree *t = tree_get(x->root, "maxmem");
    int r = xl_take_number(x, "memory", 1 << 26, &memory);

    r = r ? r : xl_take_number(x, "vcpus", 4096, &cpus);
    r = r ? r : xl_take_number(x, "videoram", 1 << 20, &video);
    if (r)
        return r;
    if (t && t->kind == TREE_TEXT)
        most = strtoull(t->text, NULL, 0);
    if (!memory && most && most <= 1 << 26)
        memory = most;
    d->memory = (memory ? memory : 128) << 20;
    t = tree_get(x->root, "maxvcpus");
    if (!cpus && t && t->kind == TREE_TEXT)
        cpus = strtoull(t->text, NULL, 0) & 4095;
    d->cpus = cpus ? (u32)cpus : 1;
    d->video_memory = video << 20;
    return 0;
}

/* The kernel, but not the loader that every HVM guest of old named as its kernel. */
static void xl_boot_kernel(struct xl *x)
{
    const struct tree *kernel = tree_get(x->root, "kernel");
    const char *line = xl_take(x, "cmdline"), *root, *extra;
    struct desc *d = x->d;

    if (!kernel || strstr(kernel->text, "hvmloader"))
        return;
    d->kernel = xl_keep(x, "kernel");
    d->initrd = xl_keep(x, "ramdisk");
    root = xl_take(x, "root");
    extra = xl_take(x, "extra");
    if (*line) {
        d->append = desc_text(d, "%s", line);
        if (*root || *extra)
            note(x->n, NOTE_CHANGED, "cmdline", "takes the place of root and extra, as in xl");
    } else if (*root || *extra) {
        d->append =
            desc_text(d, "%s%s%s%s", *root ? "root=" : "", root, *root && *extra ? " " : "", extra);
    }
    note(x->n, NOTE_CHANGED, "kernel", "the guest's kernel is the host's file \"%s\"", d->kernel);
}

static void xl_firmware(struct xl *x)
{
    const struct tree *t = tree_get(x->root, "firmware"), *over = tree_get(x->root, "bios");
    const char *s = t ? t->text : over ? over->text : "";

    if (!strcasecmp(s, "ovmf") || !strcasecmp(s, "uefi") || strcasestr(s, "OVMF")) {
        x->d->firmware = DESC_EFI;
        tree_take((struct tree *)t);
    }
}

static void xl_machine(struct xl *x)
{
    const char *name = xl_take(x, "name"), *uuid = xl_take(x, "uuid"), *s;
    struct desc *d = x->d;

    d->persona = "xen";
    d->product = "Xen";
    d->name = *name ? desc_text(d, "%s", name)
                    : desc_text(d, "%.*s", (int)strcspn(x->file, "."), x->file);
    if (*uuid && place_uuid(d, uuid))
        note(x->n, NOTE_LOST, "uuid", "\"%.60s\" is no UUID", uuid);
    xl_firmware(x);
    xl_boot_kernel(x);
    s = xl_take(x, "localtime");
    if (*s)
        d->clock = tree_true(s) ? "localtime" : "utc";
    s = xl_take(x, "vga");
    if (*s)
        d->display = desc_text(d, "%s", s);
    else if (tree_true(xl_take(x, "stdvga")))
        d->display = "stdvga";
    d->sound = xl_keep(x, "soundhw");
    if (tree_get(x->root, "vtpm") || tree_get(x->root, "tpm"))
        d->tpm = true;
    if (tree_get(x->root, "bootloader"))
        note(x->n, NOTE_LOST, "bootloader",
             "\"%.100s\" runs on a Xen host; here the guest needs a kernel of its own",
             tree_get(x->root, "bootloader")->text);
    if (tree_get(x->root, "pci"))
        note(x->n, NOTE_LOST, "pci", "devices of the host are not passed through");
}

/* ---- disks ---- */

static struct desc_device *xl_controller(struct xl *x, char bus)
{
    enum name_kind kind = bus == 'h' ? NAME_IDE : bus == 's' ? NAME_SCSI : NAME_XEN;
    const char *name = bus == 'h' ? "ide0" : bus == 's' ? "scsi0" : "xen0";
    struct desc_device *v;

    if (bus == 'f') {
        kind = NAME_FLOPPY;
        name = "fdc0";
    }
    v = desc_device(x->d, name);
    return v ? v : place_controller(x->d, x->n, kind, bus == 's' ? "lsi" : bus == 'x' ? "xvd" : "");
}

/* What of the entry is not in the description, as "key=value,..." */
static int xl_disk_rest(struct xl *x, u32 index, struct xl_disk *k, char bus, long unit)
{
    char key[32], rest[600], plain[16];

    snprintf(plain, sizeof(plain), "%s%c",
             bus == 'x'   ? "xvd"
             : bus == 'h' ? "hd"
                          : "sd",
             (char)('a' + (unit & 31)));
    if (!strcmp(plain, k->vdev))
        snprintf(rest, sizeof(rest), "%s", k->rest);
    else
        snprintf(rest, sizeof(rest), "vdev=%s%s%s", k->vdev, *k->rest ? "," : "", k->rest);
    snprintf(key, sizeof(key), "disk[%u]", index);
    return *rest ? desc_add_extra(x->d, "xl", key, rest) : 0;
}

static int xl_disk(struct xl *x, const char *text, u32 index)
{
    struct desc_disk *k;
    struct xl_disk p;
    const char *why;
    char named, bus;
    long unit;

    if (!xl_disk_parse(text, &p, &why))
        return err_set(x->e, -EBADMSG, "%s: disk: \"%.120s\" %s", x->file, text, why);
    unit = xl_vdev(p.vdev, &named);
    if (unit < 0)
        return err_set(x->e, -EBADMSG, "%s: disk: \"%.40s\" is no virtual device", x->file, p.vdev);
    bus = x->hvm ? named : 'x';
    k = place_disk(x->d, x->n,
                   p.cdrom      ? DESC_CDROM
                   : bus == 'f' ? DESC_FLOPPY
                                : DESC_DISK,
                   xl_controller(x, bus), unit);
    if (!k)
        return -ENOMEM;
    if (xl_disk_rest(x, index, &p, bus, (long)k->unit))
        return -ENOMEM;
    if (p.read_only && !p.cdrom)
        k->mode = DESC_READ;
    k->format = *p.format && strcmp(p.format, "empty") ? desc_text(x->d, "%s", p.format)
                : *p.target                            ? "raw" /* what xl takes it for */
                                                       : NULL;
    return *p.target ? place_source(x->d, x->s, x->n, k, p.target, NULL) : 0;
}

/* A list of texts; one text alone stands for a list of one. */
static int xl_each(struct xl *x, const char *key, int (*fn)(struct xl *x, const char *s, u32 i))
{
    struct tree *list = tree_get(x->root, key);
    u32 i = 0;
    int r = 0;

    if (!list)
        return 0;
    tree_take_all(list);
    if (list->kind == TREE_TEXT)
        return *list->text && !list->bare ? fn(x, list->text, 0) : 0;
    for (const struct tree *t = list->first; !r && t; t = t->next, i++) {
        if (i == XL_LIST_MAX)
            return err_set(x->e, -E2BIG, "%s: %s: more than %d", x->file, key, XL_LIST_MAX);
        if (t->kind != TREE_TEXT)
            return err_set(x->e, -EBADMSG, "%s: %s: an entry that is no text", x->file, key);
        r = fn(x, t->text, i);
    }
    return r;
}

/* ---- network, ports ---- */

static int xl_vif(struct xl *x, const char *text, u32 index)
{
    char room[1024], rest[1024] = "", key[32], *next = room, *s;
    const char *model = "", *mac = "", *bridge = "", *type = "";
    struct desc_nic *c;

    if (snprintf(room, sizeof(room), "%s", text) >= (int)sizeof(room))
        return err_set(x->e, -EBADMSG, "%s: vif: an entry is too long", x->file);
    while ((s = strsep(&next, ","))) {
        char *value = strchr(s, '=');
        size_t n = strlen(rest);

        while (isspace((u8)*s))
            s++;
        if (!strncmp(s, "mac=", 4))
            mac = value + 1;
        else if (!strncmp(s, "bridge=", 7))
            bridge = value + 1;
        else if (!strncmp(s, "model=", 6))
            model = value + 1;
        else if (*s) {
            type = !strncmp(s, "type=", 5) ? value + 1 : type;
            snprintf(rest + n, sizeof(rest) - n, "%s%s", n ? "," : "", s);
        }
    }
    if (!*model)
        model = x->hvm && strcmp(type, "vif") && strcmp(type, "netfront") ? "rtl8139" : "netfront";
    c = place_nic(x->d, x->n, model);
    if (!c)
        return -ENOMEM;
    if (*mac && !place_mac(c, mac))
        note(x->n, NOTE_LOST, c->name, "its address \"%.40s\" is no MAC address", mac);
    c->network = *bridge ? desc_text(x->d, "%s", bridge) : NULL;
    snprintf(key, sizeof(key), "vif[%u]", index);
    return *rest ? desc_add_extra(x->d, "xl", key, rest) : 0;
}

static int xl_port(struct xl *x, const char *text, u32 index, enum desc_port_kind kind)
{
    const char *colon = strchr(text, ':');
    struct desc_port *p;
    char name[32], to[32];

    if (!*text || !strcmp(text, "none"))
        return 0;
    snprintf(name, sizeof(name), "%s%u", kind == DESC_SERIAL ? "serial" : "parallel", index);
    snprintf(to, sizeof(to), "%.*s", colon ? (int)(colon - text) : (int)strlen(text), text);
    if (*text == '/') { /* a device of the host */
        colon = text - 1;
        snprintf(to, sizeof(to), "device");
    }
    p = desc_add_port(x->d, name, kind, to);
    if (p && colon)
        p->target = desc_text(x->d, "%s", colon + 1);
    return p && (!colon || p->target) ? 0 : -ENOMEM;
}

static int xl_serial(struct xl *x, const char *text, u32 index)
{
    return xl_port(x, text, index, DESC_SERIAL);
}

static int xl_parallel(struct xl *x, const char *text, u32 index)
{
    return xl_port(x, text, index, DESC_PARALLEL);
}

static int xl_left(struct xl *x)
{
    int r = 0;

    for (const struct tree *t = x->root->first; !r && t; t = t->next) {
        struct buf text = { 0 };

        if (t->taken)
            continue;
        r = xl_print(t, &text);
        r = r ? r : buf_add(&text, "", 1);
        r = r ? r : desc_add_extra(x->d, "xl", t->key, (const char *)text.p);
        buf_fini(&text);
    }
    return r;
}

static int xl_fill(struct xl *x)
{
    int r;

    xl_kind(x);
    xl_machine(x);
    r = xl_size(x);
    r = r ? r : xl_each(x, "disk", xl_disk);
    r = r ? r : xl_each(x, "vif", xl_vif);
    r = r ? r : xl_each(x, "serial", xl_serial);
    r = r ? r : xl_each(x, "parallel", xl_parallel);
    if (r)
        return r;
    place_boot_order(x->d, xl_take(x, "boot"));
    return xl_left(x);
}

/* Lines that only these files have: "name =", "disk=[". */
static int xl_probe(struct source *s)
{
    static const char *const keys[] = { "name",
                                        "memory",
                                        "maxmem",
                                        "vcpus",
                                        "disk",
                                        "vif",
                                        "builder",
                                        "kernel",
                                        "type",
                                        "bootloader",
                                        "vfb",
                                        "boot",
                                        "serial",
                                        "uuid",
                                        "on_crash",
                                        "extra",
                                        "ramdisk",
                                        "root",
                                        "device_model_version" };
    static const char *const suffixes[] = { ".cfg", ".xl", ".xm", ".hvm", ".pv", ".pvh" };
    char text[8193], *next = text, *line;
    int hits = 0, named = 0;

    if (s->kind != SOURCE_FILES || !s->main || s->main->size > XL_MAX ||
        !source_head(s->main, text, sizeof(text)))
        return 0;
    while ((line = strsep(&next, "\n"))) {
        size_t len = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
        const char *after = line + len + strspn(line + len, " \t");

        for (size_t i = 0; i < LEN(keys); i++)
            hits += *after == '=' && after[1] != '=' && strlen(keys[i]) == len &&
                    !strncmp(line, keys[i], len);
    }
    for (size_t i = 0; i < LEN(suffixes); i++)
        named |= source_has_suffix(s->main->name, suffixes[i]);
    return hits >= 3 || (named && hits) ? 60 + 20 * named : 0;
}

static int xl_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct xl x = { .d = d, .s = s, .n = n, .e = e, .file = source_base(s->path) };
    struct arena arena = { .limit = 32u << 20 };
    struct buf text;
    int r = source_load(s->main, XL_MAX, &text, e);

    if (r)
        return r;
    if (memchr(text.p, 0, text.len))
        r = err_set(e, -EBADMSG, "%s: is no text", x.file);
    r = r ? r : xl_parse(&arena, (const char *)text.p, text.len, x.file, &x.root, e);
    r = r ? r : xl_fill(&x);
    arena_fini(&arena);
    buf_fini(&text);
    return r == -ENOMEM ? err_set(e, r, "%s: is too long", x.file) : r;
}

const struct package_format package_xl = {
    .name = "xl",
    .suffix = ".cfg",
    .about = "Xen: a configuration of xl, or of xm before it, with its disks beside it",
    .probe = xl_probe,
    .read = xl_read,
    .write = xl_write,
};
