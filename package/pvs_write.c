/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a Parallels machine: what the description says, with what Parallels itself said of the
 * rest at its place; each disk a bundle, as Parallels Desktop has them.
 */
#include "package/place.h"
#include "package/place_write.h"
#include "package/pvs_int.h"
#include "package/source.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The one snapshot of a bundle without snapshots */
#define WRITE_TOP "{5fbaabe3-6958-40ff-92a7-860e329aab41}"
#define WRITE_NONE "{00000000-0000-0000-0000-000000000000}"
#define WRITE_CLUSTER 2048 /* sectors */

const char *const pvs_cards[PVS_CARDS] = { "ne2k_pci", "ne2k_pci", "e1000", "virtio", "e1000e" };
const char *const pvs_ports[PVS_PORTS] = { "device", "file", "file", "unix" };

struct pvs_out {
    const struct desc *d;
    struct sink *s;
    struct notes *n;
    struct err *e;
    struct xml_tree t;
    struct xml_node *settings, *hardware;
    bool fresh; /* it was no Parallels machine: nothing was kept that a new one needs */
};

static void out_machine(struct pvs_out *o)
{
    const struct desc *d = o->d;
    struct xml_node *n, *h;
    char uuid[37];

    if (o->fresh) {
        xml_set(&o->t, o->t.root, "schemaVersion", "1.0");
        xml_set(&o->t, o->t.root, "dyn_lists", "VirtualAppliance 0");
        xml_put(&o->t, o->t.root, "AppVersion", "10.0.0-0");
        xml_put(&o->t, o->t.root, "ValidRc", "0");
    }
    n = xml_add(&o->t, o->t.root, "Identification");
    if (d->has_uuid)
        xml_put(&o->t, n, "VmUuid", "{%s}", place_uuid_text(d, uuid));
    xml_put(&o->t, n, "VmName", "%s", d->name);
    o->settings = xml_add(&o->t, o->t.root, "Settings");
    if (d->annotation)
        xml_put(&o->t, xml_get(&o->t, o->settings, "General"), "VmDescription", "%s",
                d->annotation);
    n = xml_get(&o->t, xml_get(&o->t, o->settings, "Startup"), "Bios");
    xml_put(&o->t, n, "EfiEnabled", "%d", d->firmware == DESC_EFI);
    if (o->fresh && d->secure_boot)
        xml_put(&o->t, n, "EfiSecureBoot", "1");
    o->hardware = h = xml_add(&o->t, o->t.root, "Hardware");
    xml_put(&o->t, xml_add(&o->t, h, "Cpu"), "Number", "%u", d->cpus);
    xml_put(&o->t, xml_add(&o->t, h, "Memory"), "RAM", "%llu",
            (unsigned long long)((d->memory + (1u << 20) - 1) >> 20));
    if (d->video_memory || o->fresh)
        xml_put(&o->t, xml_add(&o->t, h, "Video"), "VideoMemorySize", "%llu",
                (unsigned long long)(d->video_memory ? d->video_memory >> 20 : 32));
}

/* ---- disks ---- */

static unsigned out_interface(struct pvs_out *o, const struct desc_disk *k)
{
    static const struct {
        const char *class;
        unsigned interface;
    } buses[] = { { "ide", PVS_IDE },           { "ahci", PVS_SATA },
                  { "virtio_blk", PVS_VIRTIO }, { "nvme", PVS_NVME },
                  { "buslogic", PVS_SCSI },     { "lsilogic", PVS_SCSI },
                  { "lsisas1068", PVS_SCSI },   { "storvsc", PVS_SCSI },
                  { "virtio_scsi", PVS_SCSI } };
    const struct desc_device *v = k->controller ? desc_device(o->d, k->controller) : NULL;

    for (size_t i = 0; v && i < LEN(buses); i++)
        if (!strcmp(buses[i].class, v->class))
            return buses[i].interface;
    note(o->n, NOTE_CHANGED, k->name, "is a SATA drive now, for which the guest needs a driver");
    return PVS_SATA;
}

static int out_sub_type(const struct pvs_out *o, const struct desc_disk *k)
{
    static const char *const types[] = { "buslogic", "lsilogic", "lsisas1068", "virtio_scsi",
                                         "storvsc" };
    const struct desc_device *v = k->controller ? desc_device(o->d, k->controller) : NULL;

    for (int i = 0; v && i < (int)LEN(types); i++)
        if (!strcmp(types[i], v->class))
            return i;
    return 0;
}

/* DiskDescriptor.xml of a bundle with one image */
static int out_descriptor(struct pvs_out *o, const char *bundle, const struct sink_disk *f)
{
    u64 sectors = f->capacity / 512, track = 16 * 63;
    struct xml_tree t;
    struct xml_node *n;
    struct buf text = { 0 };
    char name[600];
    int r;

    xml_tree_init(&t, "Parallels_disk_image");
    xml_set(&t, t.root, "Version", "1.0");
    n = xml_add(&t, t.root, "Disk_Parameters");
    xml_put(&t, n, "Disk_size", "%llu", (unsigned long long)sectors);
    xml_put(&t, n, "Cylinders", "%llu", (unsigned long long)((sectors + track - 1) / track));
    xml_put(&t, n, "PhysicalSectorSize", "512");
    xml_put(&t, n, "Heads", "16");
    xml_put(&t, n, "Sectors", "63");
    xml_put(&t, n, "Padding", "0");
    n = xml_add(&t, xml_add(&t, t.root, "StorageData"), "Storage");
    xml_put(&t, n, "Start", "0");
    xml_put(&t, n, "End", "%llu", (unsigned long long)sectors);
    xml_put(&t, n, "Blocksize", "%d", WRITE_CLUSTER);
    n = xml_add(&t, n, "Image");
    xml_put(&t, n, "GUID", WRITE_TOP);
    xml_put(&t, n, "Type", "Compressed");
    xml_put(&t, n, "File", "%s", source_base(f->name));
    n = xml_add(&t, xml_add(&t, t.root, "Snapshots"), "Shot");
    xml_put(&t, n, "GUID", WRITE_TOP);
    xml_put(&t, n, "ParentGUID", WRITE_NONE);
    snprintf(name, sizeof(name), "%s/DiskDescriptor.xml", bundle);
    r = xml_document(&t, &text, o->e);
    r = r ? r : sink_text(o->s, name, text.p, text.len, o->e);
    buf_fini(&text);
    xml_tree_fini(&t);
    return r;
}

/* The name of the disk's bundle: its directory, which is made by the empty file in it. */
static int out_bundle(struct pvs_out *o, const struct desc_disk *k, const char **name)
{
    struct sink_disk f;
    char bundle[256], file[600];
    int r;

    snprintf(bundle, sizeof(bundle), "%.150s-%.80s.hdd", sink_name(o->s), k->name);
    snprintf(file, sizeof(file), "%s/%s", bundle, bundle);
    r = sink_text(o->s, file, "", 0, o->e);
    snprintf(file, sizeof(file), "%s/%s.0." WRITE_TOP ".hds", bundle, bundle);
    r = r ? r : sink_disk(o->s, k, file, "parallels", NULL, &f, o->e);
    r = r ? r : out_descriptor(o, bundle, &f);
    *name = arena_print(&o->t.arena, "%s", bundle);
    return r ? r : *name ? 0 : -ENOMEM;
}

static int out_file(struct pvs_out *o, const struct desc_disk *k, const char **name, u64 *capacity)
{
    const struct package_options *how = sink_options(o->s);
    struct sink_disk f;
    size_t n;
    int r;

    *capacity = k->capacity;
    if (k->media == DESC_DISK && !how->no_disks && !how->disk_format &&
        (k->path || (k->capacity && !k->source)))
        return out_bundle(o, k, name);
    r = place_out(o->s, k, NULL, "parallels", &f, o->n, o->e);
    *name = r || !f.name ? NULL : arena_print(&o->t.arena, "%s", f.name);
    n = *name ? strlen(*name) : 0;
    if (n > 19 && !strcmp(*name + n - 19, "/DiskDescriptor.xml")) /* its bundle is the disk */
        *name = arena_print(&o->t.arena, "%.*s", (int)n - 19, *name);
    return r;
}

static int out_drive(struct pvs_out *o, const struct desc_disk *k, unsigned index)
{
    static const char *const elements[] = { "Hdd", "CdRom", "Fdd" };
    struct xml_node *n = xml_add(&o->t, o->hardware, elements[k->media]);
    unsigned interface;
    const char *name = NULL;
    u64 capacity = 0;
    int r = out_file(o, k, &name, &capacity);

    if (r)
        return r;
    if (o->fresh) {
        xml_set(&o->t, n, "id", "%u", index);
        xml_put(&o->t, n, "Index", "%u", index);
        xml_put(&o->t, n, "Enabled", "1");
        xml_put(&o->t, n, "Connected", "%d", name || k->media == DESC_DISK);
        xml_put(&o->t, n, "EmulatedType", PVS_IMAGE);
        if (name)
            xml_put(&o->t, n, "UserFriendlyName", "%s", name);
    }
    if (name)
        xml_put(&o->t, n, "SystemName", "%s", name);
    if (k->media == DESC_FLOPPY)
        return 0;
    interface = out_interface(o, k);
    xml_put(&o->t, n, "InterfaceType", "%u", interface);
    xml_put(&o->t, n, "StackIndex", "%u", k->unit);
    if (o->fresh && interface == PVS_SCSI)
        xml_put(&o->t, n, "SubType", "%d", out_sub_type(o, k));
    if (k->media == DESC_DISK && capacity)
        xml_put(&o->t, n, "Size", "%llu", (unsigned long long)(capacity >> 20));
    return 0;
}

/* In the order of their kinds: that is how a reader counts them. */
static int out_drives(struct pvs_out *o)
{
    int r = 0;

    for (int media = DESC_DISK; media <= DESC_FLOPPY; media++) {
        unsigned index = 0;

        for (const struct desc_disk *k = o->d->disks; k && !r; k = k->next)
            if (k->media == (enum desc_media)media)
                r = out_drive(o, k, index++);
    }
    return r;
}

/* ---- cards and ports ---- */

static unsigned out_card(struct pvs_out *o, const struct desc_nic *c)
{
    static const struct {
        const char *class;
        unsigned type;
    } types[] = { { "ne2k_pci", 1 }, { "e1000", 2 }, { "virtio_net", 3 }, { "e1000e", 4 } };

    for (size_t i = 0; i < LEN(types); i++)
        if (!strcmp(types[i].class, c->class))
            return types[i].type;
    note(o->n, NOTE_CHANGED, c->name, "a card of the kind %s becomes an Intel E1000",
         c->foreign ? c->foreign : c->class);
    return 2;
}

static void out_nic(struct pvs_out *o, const struct desc_nic *c, unsigned index)
{
    struct xml_node *n = xml_add(&o->t, o->hardware, "NetworkAdapter");

    if (o->fresh) {
        xml_set(&o->t, n, "id", "%u", index);
        xml_put(&o->t, n, "Index", "%u", index);
        xml_put(&o->t, n, "Enabled", "1");
        xml_put(&o->t, n, "EmulatedType", "1");
        if (c->network && strcmp(c->network, "shared"))
            note(o->n, NOTE_CHANGED, c->name, "the network \"%s\" becomes the shared one",
                 c->network);
    }
    xml_put(&o->t, n, "Connected", "%d", c->connected);
    if (c->has_mac)
        xml_put(&o->t, n, "MAC", "%02X%02X%02X%02X%02X%02X", c->mac[0], c->mac[1], c->mac[2],
                c->mac[3], c->mac[4], c->mac[5]);
    xml_put(&o->t, n, "AdapterType", "%u", out_card(o, c));
}

static void out_port(struct pvs_out *o, const struct desc_port *p)
{
    struct xml_node *n =
        xml_add(&o->t, o->hardware, p->kind == DESC_SERIAL ? "Serial" : "Parallel");
    int type = -1;

    for (int i = 0; i < PVS_PORTS && type < 0; i++)
        type = strcmp(pvs_ports[i], p->to) ? -1 : i;
    if (type < 0)
        note(o->n, NOTE_CHANGED, p->name, "goes to \"%s\" no more: it is not connected", p->to);
    if (o->fresh) {
        xml_put(&o->t, n, "Enabled", "1");
        xml_put(&o->t, n, "Connected", "%d", type >= 0);
    }
    xml_put(&o->t, n, "EmulatedType", "%d", type < 0 ? 0 : type);
    xml_put(&o->t, n, "SystemName", "%s", p->target && type >= 0 ? p->target : "");
}

static void out_boot(struct pvs_out *o)
{
    static const unsigned types[] = { PVS_BOOT_DISK, PVS_BOOT_CD, PVS_BOOT_FLOPPY };
    struct xml_node *all, *n;
    unsigned number = 0;

    all = xml_get(&o->t, xml_get(&o->t, o->settings, "Startup"), "BootingOrder");
    for (u32 place = 1; place <= 16; place++) {
        const struct desc_disk *k;
        const struct desc_nic *c;
        unsigned index = 0;

        if (!place_boot(o->d, place, &k, &c))
            continue;
        for (const struct desc_disk *p = o->d->disks; k && p != k; p = p->next)
            index += p->media == k->media;
        n = xml_add(&o->t, all, "BootDevice");
        xml_put(&o->t, n, "Index", "%u", index);
        xml_put(&o->t, n, "Type", "%u", c ? PVS_BOOT_NET : types[k->media]);
        xml_put(&o->t, n, "BootingNumber", "%u", ++number);
        xml_put(&o->t, n, "InUse", "1");
    }
}

static void out_fresh(struct pvs_out *o)
{
    struct xml_node *n;

    out_boot(o);
    if (o->d->sound) {
        n = xml_add(&o->t, o->hardware, "Sound");
        xml_put(&o->t, n, "Enabled", "1");
        xml_put(&o->t, n, "Connected", "1");
        xml_put(&o->t, n, "EmulatedType", "%d", strncasecmp(o->d->sound, "hda", 3) ? 1 : 3);
    }
    if (o->d->nvram)
        note(o->n, NOTE_LOST, "nvram", "\"%s\" is another product's: Parallels makes its own",
             o->d->nvram);
    if (o->d->tpm)
        note(o->n, NOTE_LOST, "tpm", "is left out: what it holds cannot be moved");
}

int pvs_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    struct pvs_out o = { .d = d, .s = s, .n = n, .e = e };
    struct buf text = { 0 };
    unsigned index = 0;
    int r;

    o.fresh = !desc_extra(d, "pvs", "@schemaVersion");
    xml_tree_init(&o.t, "ParallelsVirtualMachine");
    out_machine(&o);
    r = out_drives(&o);
    for (const struct desc_nic *c = d->nics; c; c = c->next)
        out_nic(&o, c, index++);
    for (const struct desc_port *p = d->ports; p; p = p->next)
        out_port(&o, p);
    if (o.fresh)
        out_fresh(&o);
    xml_merge(&o.t, d, "pvs");
    place_lost(d, "pvs", n);
    if (d->snapshots)
        note(n, NOTE_LOST, "snapshots", "the disks are as they are now, without their past");
    if (d->kernel)
        note(n, NOTE_LOST, "kernel", "\"%s\": Parallels boots from disks", d->kernel);
    r = r ? r : xml_document(&o.t, &text, e);
    r = r ? r : sink_text(s, sink_main(s), text.p, text.len, e);
    buf_fini(&text);
    xml_tree_fini(&o.t);
    return r;
}
