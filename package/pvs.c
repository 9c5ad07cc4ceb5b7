/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine of Parallels Desktop, Workstation and Server (config.pvs, in a .pvm directory with
 * its disks): elements with texts, numbers from the enumerations of the Parallels Virtualization
 * SDK.  Snapshots are listed by Snapshots.xml beside it.  Left out: saved states, machines that
 * are encrypted.
 */
#include "package/locate.h"
#include "package/number.h"
#include "package/place.h"
#include "package/pvs_int.h"
#include "package/source.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pvs {
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file;
    const struct xml_node *hardware, *settings;
    struct desc_device *bus[PVS_BUSES];
};

static u64 pvs_value(const struct xml_node *n, const char *name)
{
    u64 v;

    return number_decimal(xml_text(n, name), &v) ? v : 0;
}

static int pvs_number(struct pvs *x, const struct xml_node *n, const char *name, u64 most, u64 *v)
{
    return number_said(xml_take_text(n, name), x->file, name, most, v, x->e);
}

static const char *pvs_copy(struct pvs *x, const char *text)
{
    return *text ? arena_text(&x->d->arena, text, strlen(text)) : NULL;
}

/* A device that is switched off is not in the machine. */
static bool pvs_is_in(const struct xml_node *n)
{
    const char *enabled = xml_text(n, "Enabled");

    return !*enabled || strcmp(enabled, "0") != 0;
}

/* ---- drives ---- */

static struct desc_device *pvs_bus(struct pvs *x, const struct xml_node *n, u64 interface)
{
    static const char *const scsi[] = { "buslogic", "lsilogic", "lsilogicsas", "virtio-scsi",
                                        "storvsc" };
    u64 kind = pvs_value(n, "SubType");
    struct desc_device **v = &x->bus[interface];

    if (*v)
        return *v;
    switch (interface) {
    case PVS_SCSI:
        *v = place_controller(x->d, x->n, NAME_SCSI, scsi[kind < LEN(scsi) ? kind : 1]);
        break;
    case PVS_SATA:
        *v = place_controller(x->d, x->n, NAME_SATA, "AHCI");
        break;
    case PVS_VIRTIO:
        *v = desc_add_device(x->d, "virtio0", "virtio_blk");
        break;
    case PVS_NVME:
        *v = place_controller(x->d, x->n, NAME_NVME, "NVMe");
        break;
    default:
        *v = place_controller(x->d, x->n, NAME_IDE, "PIIX4");
    }
    return *v;
}

static int pvs_medium(struct pvs *x, struct desc_disk *k, const struct xml_node *n)
{
    const char *name = xml_text(n, "SystemName"), *connected = xml_text(n, "Connected");

    if (k->media != DESC_DISK && !strcmp(connected, "0"))
        return 0;
    if (strcmp(xml_text(n, "EmulatedType"), PVS_IMAGE)) {
        note(x->n, NOTE_LOST, k->name, "is a device of the host: \"%s\"", name);
        return 0;
    }
    if (!*name)
        return 0;
    xml_taken(xml_child(n, "SystemName"));
    return locate_disk(x->d, x->s, x->n, k, name, x->e);
}

static int pvs_drive(struct pvs *x, const struct xml_node *n, enum desc_media media)
{
    u64 interface = 0, place = 0, size;
    struct desc_device *v;
    struct desc_disk *k;
    int r;

    if (!pvs_is_in(n))
        return 0;
    xml_taken(n);
    r = pvs_number(x, n, "InterfaceType", PVS_BUSES - 1, &interface);
    r = r ? r : pvs_number(x, n, "StackIndex", 255, &place);
    if (r)
        return r;
    v = pvs_bus(x, n, interface);
    k = v ? place_disk(x->d, x->n, media, v, (long)place) : NULL;
    if (!k)
        return -ENOMEM;
    if (media == DESC_DISK && number_decimal(xml_text(n, "Size"), &size) && size < 1ull << 40) {
        k->capacity = size << 20;
        xml_take_text(n, "Size");
    }
    return pvs_medium(x, k, n);
}

static int pvs_floppy(struct pvs *x, const struct xml_node *n)
{
    struct desc_device *v;
    struct desc_disk *k;

    if (!pvs_is_in(n))
        return 0;
    xml_taken(n);
    v = desc_device(x->d, "fdc0");
    v = v ? v : place_controller(x->d, x->n, NAME_FLOPPY, "fdc");
    k = v ? place_disk(x->d, x->n, DESC_FLOPPY, v, -1) : NULL;
    return k ? pvs_medium(x, k, n) : -ENOMEM;
}

static int pvs_drives(struct pvs *x)
{
    static const char *const kinds[] = { "Hdd", "CdRom" };
    const struct xml_node *n;
    int r = 0;

    for (size_t i = 0; i < LEN(kinds); i++)
        for (n = xml_child(x->hardware, kinds[i]); n && !r; n = xml_next(n, kinds[i]))
            r = pvs_drive(x, n, i ? DESC_CDROM : DESC_DISK);
    for (n = xml_child(x->hardware, "Fdd"); n && !r; n = xml_next(n, "Fdd"))
        r = pvs_floppy(x, n);
    return r;
}

/* ---- cards, ports, sound ---- */

static int pvs_nic(struct pvs *x, const struct xml_node *n)
{
    static const char *const plugs[] = { "host-only", "shared", "bridged" };
    u64 type = pvs_value(n, "AdapterType"), plug = pvs_value(n, "EmulatedType");
    const char *mac = xml_text(n, "MAC"), *network = xml_text(n, "VirtualNetworkID");
    struct desc_nic *c;

    if (!pvs_is_in(n))
        return 0;
    xml_taken(n);
    c = place_nic(x->d, x->n, type < PVS_CARDS ? pvs_cards[type] : "?");
    if (!c)
        return -ENOMEM;
    if (type && type < PVS_CARDS)
        xml_take_text(n, "AdapterType");
    if (*mac && place_mac(c, mac))
        xml_take_text(n, "MAC");
    c->connected = strcmp(xml_text(n, "Connected"), "0") != 0;
    xml_take_text(n, "Connected");
    c->network = pvs_copy(x, *network ? network : plug < LEN(plugs) ? plugs[plug] : "");
    return 0;
}

static int pvs_port(struct pvs *x, const struct xml_node *n, enum desc_port_kind kind)
{
    u64 type = pvs_value(n, "EmulatedType");
    unsigned taken = 0;
    struct desc_port *p;
    char name[32];

    if (!pvs_is_in(n))
        return 0;
    xml_taken(n);
    for (p = x->d->ports; p; p = p->next)
        taken += p->kind == kind;
    snprintf(name, sizeof(name), "%s%u", kind == DESC_SERIAL ? "serial" : "parallel", taken);
    p = desc_add_port(x->d, name, kind, pvs_ports[type < PVS_PORTS ? type : 0]);
    if (!p)
        return -ENOMEM;
    if (type < PVS_PORTS)
        xml_take_text(n, "EmulatedType");
    p->target = pvs_copy(x, xml_take_text(n, "SystemName"));
    return 0;
}

static int pvs_others(struct pvs *x)
{
    const struct xml_node *n;
    int r = 0;

    for (n = xml_child(x->hardware, "NetworkAdapter"); n && !r; n = xml_next(n, "NetworkAdapter"))
        r = pvs_nic(x, n);
    for (n = xml_child(x->hardware, "Serial"); n && !r; n = xml_next(n, "Serial"))
        r = pvs_port(x, n, DESC_SERIAL);
    for (n = xml_child(x->hardware, "Parallel"); n && !r; n = xml_next(n, "Parallel"))
        r = pvs_port(x, n, DESC_PARALLEL);
    n = xml_child(x->hardware, "Sound");
    if (n && pvs_is_in(n))
        x->d->sound = pvs_value(n, "EmulatedType") == 3 ? "hda" : "ac97";
    x->d->tpm = pvs_value(xml_child(x->hardware, "TpmChip"), "Type") != 0 ||
                pvs_value(xml_child(x->hardware, "Tpm"), "Enabled") != 0;
    return r;
}

/* ---- the machine ---- */

static void pvs_boot(struct pvs *x)
{
    const struct xml_node *n = xml_child(x->settings, "Startup");

    n = xml_child(xml_child(n, "BootingOrder"), "BootDevice");
    for (; n; n = xml_next(n, "BootDevice")) {
        u64 type = pvs_value(n, "Type"), index = pvs_value(n, "Index");
        u32 place = (u32)(pvs_value(n, "BootingNumber") & 0xff);
        enum desc_media media = type == PVS_BOOT_CD       ? DESC_CDROM
                                : type == PVS_BOOT_FLOPPY ? DESC_FLOPPY
                                                          : DESC_DISK;
        struct desc_disk *k = x->d->disks;

        if (!pvs_value(n, "InUse"))
            continue;
        if (type == PVS_BOOT_NET && x->d->nics)
            x->d->nics->boot = place;
        if (type != PVS_BOOT_CD && type != PVS_BOOT_FLOPPY && type != PVS_BOOT_DISK)
            continue;
        for (; k && (k->media != media || index); k = k->next)
            index -= k->media == media;
        if (k)
            k->boot = place;
    }
}

static int pvs_machine(struct pvs *x, const struct xml_node *root)
{
    const struct xml_node *who = xml_child(root, "Identification");
    const struct xml_node *general = xml_child(x->settings, "General");
    const struct xml_node *bios = xml_child(xml_child(x->settings, "Startup"), "Bios");
    u64 memory = 0, cpus = 1, video = 0;
    struct desc *d = x->d;
    int r = pvs_number(x, xml_child(x->hardware, "Memory"), "RAM", 1u << 26, &memory);

    r = r ? r : pvs_number(x, xml_child(x->hardware, "Cpu"), "Number", 4096, &cpus);
    r = r ? r : pvs_number(x, xml_child(x->hardware, "Video"), "VideoMemorySize", 1u << 16, &video);
    if (r)
        return r;
    if (*xml_text(who, "VmName"))
        d->name = pvs_copy(x, xml_take_text(who, "VmName"));
    if (*xml_text(who, "VmUuid") && !place_uuid(d, xml_text(who, "VmUuid")))
        xml_take_text(who, "VmUuid");
    d->annotation = pvs_copy(x, xml_text(general, "VmDescription"));
    if (d->annotation)
        xml_take_text(general, "VmDescription");
    d->memory = memory ? memory << 20 : d->memory;
    d->cpus = d->cores_per_socket = cpus ? (u32)cpus : 1;
    d->video_memory = video << 20;
    d->firmware = pvs_value(bios, "EfiEnabled") ? DESC_EFI : DESC_BIOS;
    xml_take_text(bios, "EfiEnabled");
    d->secure_boot = pvs_value(bios, "EfiSecureBoot") != 0;
    d->machine = "q35";
    d->persona = "parallels";
    d->product = arena_print(&d->arena, "Parallels %s", xml_text(root, "AppVersion"));
    return d->name && d->product ? 0 : -ENOMEM;
}

static int pvs_refused(struct pvs *x, const struct xml_node *root)
{
    const struct xml_node *who = xml_child(root, "Identification");
    const struct xml_node *protection = xml_child(x->settings, "VmProtectionInfo");

    if (pvs_value(xml_child(x->settings, "VmEncryptionInfo"), "Enabled"))
        return err_set(x->e, -EOPNOTSUPP,
                       "%s: the machine is encrypted (VmEncryptionInfo), which is not supported",
                       x->file);
    if (pvs_value(protection, "Enabled"))
        note(x->n, NOTE_LOST, "protection",
             "the machine may expire or not be changed: it can here");
    if (*xml_text(who, "LinkedVmUuid"))
        note(x->n, NOTE_KEPT, "linked clone", "of the machine %s, whose disks it needs",
             xml_text(who, "LinkedVmUuid"));
    return 0;
}

/* ---- Snapshots.xml: items in items ---- */

static int pvs_snapshot(struct pvs *x, const struct xml_node *n, const char *parent, unsigned depth)
{
    int r = 0;

    for (n = xml_child(n, "SavedStateItem"); n && !r && depth < 256;
         n = xml_next(n, "SavedStateItem")) {
        const char *id = xml_attr(n, "guid"), *name = xml_text(n, "Name");
        const char *current = xml_attr(n, "current");
        struct desc_snapshot *s;

        if (!id)
            continue;
        if (depth) { /* the outermost is the machine itself */
            s = desc_add_snapshot(x->d, id, name);
            if (!s)
                return -ENOMEM;
            s->parent = parent ? pvs_copy(x, parent) : NULL;
            s->time = pvs_copy(x, xml_text(n, "DateTime"));
            s->about = pvs_copy(x, xml_text(n, "Description"));
            s->current = current && !strcmp(current, "yes");
        }
        r = pvs_snapshot(x, n, depth ? id : NULL, depth + 1);
    }
    return r;
}

static int pvs_snapshots(struct pvs *x)
{
    const struct source_file *f;
    struct err ignored = { 0 };
    struct xml_node *root;
    int r;

    if (source_find(x->s, "Snapshots.xml", &f, &ignored))
        return 0;
    r = xml_load(&x->s->arena, f, f->name, &root, NULL, x->e);
    return r ? r : pvs_snapshot(x, root, NULL, 0);
}

static int pvs_document(struct pvs *x, const struct xml_node *root)
{
    int r;

    if (strcmp(root->name, "ParallelsVirtualMachine"))
        return err_set(x->e, -EBADMSG, "%s: is no Parallels machine (root element %.40s)", x->file,
                       root->name);
    x->hardware = xml_taken(xml_child(root, "Hardware"));
    x->settings = xml_child(root, "Settings");
    if (!x->hardware)
        return err_set(x->e, -EBADMSG, "%s: describes no machine", x->file);
    r = pvs_refused(x, root);
    r = r ? r : pvs_machine(x, root);
    r = r ? r : pvs_drives(x);
    r = r ? r : pvs_others(x);
    r = r ? r : pvs_snapshots(x);
    if (r)
        return r;
    pvs_boot(x);
    return xml_rest(x->d, "pvs", root, x->file, x->e);
}

static int pvs_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct pvs x = { .d = d, .s = s, .n = n, .e = e, .file = source_base(s->path) };
    struct xml_node *root;
    int r = xml_load(&s->arena, s->main, x.file, &root, NULL, e);

    r = r ? r : pvs_document(&x, root);
    return r == -ENOMEM ? err_set(e, r, "%s: is too long", x.file) : r;
}

static int pvs_probe(struct source *s)
{
    if (s->kind != SOURCE_FILES || !s->main)
        return 0;
    if (source_has_suffix(s->main->name, ".pvs"))
        return 100;
    return xml_is(s->main, "ParallelsVirtualMachine") ? 70 : 0;
}

const struct package_format package_pvs = {
    .name = "pvs",
    .suffix = ".pvs",
    .folder = ".pvm",
    .main = "config.pvs",
    .about = "Parallels: a machine's directory with its disks",
    .probe = pvs_probe,
    .read = pvs_read,
    .write = pvs_write,
};
