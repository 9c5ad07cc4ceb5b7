/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine of Virtual PC and Virtual Server (.vmc): XML in UTF-16, whose leaves have a type.
 * After files of Virtual PC 2004 and 2007 and the reference of Virtual Server's "Configuration
 * keys".  Left out: undo disks and saved states.
 */
#include "package/format.h"
#include "package/locate.h"
#include "package/number.h"
#include "package/place.h"
#include "package/source.h"
#include "package/xml_tree.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct vmc {
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file;
    const struct xml_node *hardware;
};

/* The text of a leaf, with its type: the description says it now. */
static const char *vmc_take(const struct xml_node *n, const char *name)
{
    xml_take(xml_child(n, name), "type");
    return xml_take_text(n, name);
}

static int vmc_number(struct vmc *x, const struct xml_node *n, const char *name, u64 most, u64 *v)
{
    return number_said(vmc_take(n, name), x->file, name, most, v, x->e);
}

static bool vmc_true(const char *text)
{
    return !strcasecmp(text, "true") || !strcmp(text, "1");
}

/* id="1"; what has none counts on from the last */
static u64 vmc_id(const struct xml_node *n, u64 otherwise)
{
    const char *id = xml_attr(n, "id");

    return id && *id ? strtoull(id, NULL, 10) : otherwise;
}

/* ---- drives ---- */

/* The relative name is the better one; it loses its separator in some files (".x.vhd"). */
static int vmc_file(struct vmc *x, struct desc_disk *k, const struct xml_node *path)
{
    const char *absolute = vmc_take(path, "absolute"), *relative = vmc_take(path, "relative");
    const struct source_file *f = NULL;
    bool moved;
    int r = 0;

    if (*relative)
        r = locate_file(x->s, relative, &f, &moved, x->e);
    if (r || (!*relative && !*absolute))
        return r;
    return locate_disk(x->d, x->s, x->n, k, f || !*absolute ? relative : absolute, x->e);
}

static int vmc_drive(struct vmc *x, struct desc_device *v, const struct xml_node *n, long unit)
{
    const struct xml_node *undo = xml_child(n, "undo_pathname");
    const char *type = xml_text(n, "drive_type");
    enum desc_media media = DESC_DISK;
    struct desc_disk *k;

    if (!strcmp(type, "0") || !*type)
        return 0;
    if (!strcmp(type, "2"))
        media = DESC_CDROM;
    else if (strcmp(type, "1"))
        return err_set(x->e, -EOPNOTSUPP, "%s: a drive of the type \"%.20s\"", x->file, type);
    k = place_disk(x->d, x->n, media, v, unit);
    if (!k)
        return -ENOMEM;
    vmc_take(n, "drive_type");
    if (*xml_text(undo, "absolute") || *xml_text(undo, "relative"))
        note(x->n, NOTE_LOST, k->name, "its undo disk \"%s\" is left out: the disk is as before",
             *xml_text(undo, "absolute") ? xml_text(undo, "absolute") : xml_text(undo, "relative"));
    return vmc_file(x, k, xml_child(n, "pathname"));
}

static int vmc_ide(struct vmc *x)
{
    const struct xml_node *all = xml_child(xml_child(x->hardware, "pci_bus"), "ide_adapter");
    const struct xml_node *c = xml_child(all, "ide_controller"), *n;
    struct desc_device *v;
    u64 channel = 0, place;
    int r = 0;

    if (!c)
        return 0;
    v = place_controller(x->d, x->n, NAME_IDE, "PIIX4");
    if (!v)
        return -ENOMEM;
    for (; c && !r; c = xml_next(c, "ide_controller"), channel++) {
        channel = vmc_id(c, channel);
        place = 0;
        for (n = xml_child(c, "location"); n && !r; n = xml_next(n, "location"), place++) {
            place = vmc_id(n, place);
            r = channel > 1 || place > 1
                    ? err_set(x->e, -EBADMSG, "%s: IDE has no place %llu:%llu", x->file,
                              (unsigned long long)channel, (unsigned long long)place)
                    : vmc_drive(x, v, n, (long)(2 * channel + place));
        }
    }
    return r;
}

static int vmc_scsi(struct vmc *x)
{
    const struct xml_node *all = xml_child(xml_child(x->hardware, "pci_bus"), "scsi_adapter");
    const struct xml_node *c = xml_child(all, "scsi_controller"), *n;
    int r = 0;

    for (; c && !r; c = xml_next(c, "scsi_controller")) {
        struct desc_device *v = place_controller(x->d, x->n, NAME_SCSI, "aic7870");
        u64 place = 0;

        if (!v)
            return -ENOMEM;
        for (n = xml_child(c, "location"); n && !r; n = xml_next(n, "location"), place++) {
            place = vmc_id(n, place);
            r = place > 15 ? err_set(x->e, -EBADMSG, "%s: SCSI has no place %llu", x->file,
                                     (unsigned long long)place)
                           : vmc_drive(x, v, n, (long)place);
        }
    }
    return r;
}

static int vmc_floppy(struct vmc *x)
{
    const struct xml_node *n = xml_child(x->hardware, "super_io");
    const struct xml_node *path;
    struct desc_device *v;
    struct desc_disk *k;

    n = xml_child(xml_child(n, "floppy"), "drive");
    path = xml_child(n, "pathname");
    if (!*xml_text(path, "absolute") && !*xml_text(path, "relative"))
        return 0;
    v = place_controller(x->d, x->n, NAME_FLOPPY, "I82078");
    k = v ? place_disk(x->d, x->n, DESC_FLOPPY, v, 0) : NULL;
    return k ? vmc_file(x, k, path) : -ENOMEM;
}

/* ---- the others ---- */

static int vmc_nics(struct vmc *x)
{
    const struct xml_node *all = xml_child(xml_child(x->hardware, "pci_bus"), "ethernet_adapter");
    const struct xml_node *n = xml_child(all, "ethernet_controller");
    const char *count = xml_text(all, "controller_count");
    unsigned long most = *count ? strtoul(count, NULL, 10) : 8;

    for (; n && most; n = xml_next(n, "ethernet_controller"), most--) {
        struct desc_nic *c = place_nic(x->d, x->n, "tulip");
        const char *mac = xml_text(n, "ethernet_card_address");
        const char *network = vmc_take(xml_child(n, "virtual_network"), "name");

        if (!c)
            return -ENOMEM;
        if (*mac && place_mac(c, mac))
            vmc_take(n, "ethernet_card_address");
        c->network = *network ? arena_text(&x->d->arena, network, strlen(network)) : NULL;
        c->connected = c->network || *xml_text(xml_child(n, "virtual_network"), "id");
    }
    return 0;
}

static int vmc_ports(struct vmc *x)
{
    static const char *const to[] = { "null", "device", "file", "pipe" };
    const struct xml_node *io = xml_child(x->hardware, "super_io");
    const struct xml_node *n = xml_child(xml_child(io, "serial_ports"), "port");
    unsigned found = 0;

    n = n ? n : xml_child(xml_child(io, "serial"), "port");
    for (; n; n = xml_next(n, "port"), found++) {
        unsigned long type = strtoul(xml_text(n, "type"), NULL, 10);
        const char *name = xml_text(n, "name");
        struct desc_port *p;
        char called[32];

        snprintf(called, sizeof(called), "serial%u", found);
        p = desc_add_port(x->d, called, DESC_SERIAL, to[type < LEN(to) ? type : 0]);
        if (!p)
            return -ENOMEM;
        p->target = *name ? arena_text(&x->d->arena, name, strlen(name)) : NULL;
    }
    return 0;
}

static int vmc_machine(struct vmc *x, const struct xml_node *root)
{
    const struct xml_node *screen = xml_child(xml_child(x->hardware, "pci_bus"), "video_adapter");
    const struct xml_node *bios = xml_child(x->hardware, "bios");
    const char *notes = xml_text(xml_child(root, "settings"), "notes");
    const char *base = source_base(x->s->path);
    u64 memory = 128, video = 0;
    struct desc *d = x->d;
    size_t n = strlen(base);
    int r = vmc_number(x, xml_child(x->hardware, "memory"), "ram_size", 1u << 20, &memory);

    r = r ? r : vmc_number(x, screen, "vram_size", 1u << 16, &video);
    if (r)
        return r;
    n -= source_has_suffix(base, ".vmc") ? 4 : 0;
    d->name = n ? arena_text(&d->arena, base, n) : "vm"; /* the file's name is the machine's */
    d->memory = memory << 20;
    d->video_memory = video << 20;
    d->display = "S3 Trio64";
    d->machine = "i440fx";
    d->persona = "none";
    d->product = "Microsoft Virtual PC";
    d->annotation = *notes ? arena_text(&d->arena, notes, strlen(notes)) : NULL;
    if (*xml_text(bios, "bios_guid") && !place_uuid(d, xml_text(bios, "bios_guid")))
        vmc_take(bios, "bios_guid");
    if (vmc_true(xml_text(xml_child(x->hardware, "sound"), "enabled")) ||
        vmc_true(xml_text(xml_child(xml_child(x->hardware, "isa_bus"), "sound_adapter"), "enable")))
        d->sound = "sb16";
    if (*xml_text(xml_child(root, "settings"), "saved_state") ||
        vmc_true(xml_text(xml_child(root, "virtual_machines"), "saved")))
        note(x->n, NOTE_LOST, "state", "the machine was saved: it starts anew");
    return d->name ? 0 : -ENOMEM;
}

static int vmc_document(struct vmc *x, const struct xml_node *root)
{
    int r;

    if (strcmp(root->name, "preferences"))
        return err_set(x->e, -EBADMSG, "%s: is no Virtual PC machine (root element %.40s)", x->file,
                       root->name);
    x->hardware = xml_child(root, "hardware");
    if (!x->hardware)
        return err_set(x->e, -EBADMSG, "%s: describes no machine", x->file);
    r = vmc_machine(x, root);
    r = r ? r : vmc_ide(x);
    r = r ? r : vmc_scsi(x);
    r = r ? r : vmc_floppy(x);
    r = r ? r : vmc_nics(x);
    r = r ? r : vmc_ports(x);
    return r ? r : xml_rest(x->d, "vmc", root, x->file, x->e);
}

static int vmc_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct vmc x = { .d = d, .s = s, .n = n, .e = e, .file = source_base(s->path) };
    struct xml_node *root;
    int r = xml_load(&s->arena, s->main, x.file, &root, NULL, e);

    r = r ? r : vmc_document(&x, root);
    return r == -ENOMEM ? err_set(e, r, "%s: is too long", x.file) : r;
}

static int vmc_probe(struct source *s)
{
    if (s->kind != SOURCE_FILES || !s->main)
        return 0;
    return source_has_suffix(s->main->name, ".vmc") ? 100 : xml_is(s->main, "preferences") ? 60 : 0;
}

const struct package_format package_vmc = {
    .name = "vmc",
    .suffix = ".vmc",
    .about = "Virtual PC, Virtual Server: a machine with its disks beside it",
    .probe = vmc_probe,
    .read = vmc_read,
};
