/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a VirtualBox machine: what the description says, with what VirtualBox itself said of
 * the rest at its place.  Disks that stay where they are keep their media registry and their
 * snapshots; disks that are converted are new ones, and snapshots name images that are gone.
 */
#include "package/place_write.h"
#include "package/sink_int.h"
#include "package/vbox_int.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#define WRITE_VERSION 16       /* settings 1.16: VirtualBox 5.1 to 7 */
#define WRITE_VERSION_TPM 19   /* 7.0 */
#define WRITE_VERSION_MEDIA 11 /* the registry is in the machine's own settings */
#define VDI_UUID 0x188
#define UUID_TEXT 40

struct vbox_out {
    const struct desc *d;
    struct sink *s;
    struct notes *n;
    struct err *e;
    struct xml_tree t;
    struct xml_node *machine, *hardware, *media;
    unsigned version;
    bool fresh;     /* it was no VirtualBox machine: nothing was kept that a new one needs */
    bool keep, old; /* the registry that was there; its version is too old to be written */
};

static bool out_begins(const char *key, const char *with)
{
    return !strncmp(key, with, strlen(with));
}

/* Was anything kept whose place begins like this? */
static bool out_has(const struct vbox_out *o, const char *place)
{
    for (const struct desc_extra *v = o->d->extras; v; v = v->next)
        if (!strcmp(v->format, "vbox") && out_begins(v->key, place))
            return true;
    return false;
}

static void out_plan(struct vbox_out *o)
{
    const char *version = desc_extra(o->d, "vbox", "@version");
    bool here = sink_options(o->s)->no_disks;

    o->fresh = !version;
    o->version = o->d->tpm ? WRITE_VERSION_TPM : WRITE_VERSION;
    if (version && sscanf(version, "1.%u", &o->version) == 1 && o->version < WRITE_VERSION_MEDIA) {
        note(o->n, NOTE_CHANGED, "version", "settings version %s becomes 1.%u", version,
             WRITE_VERSION);
        o->version = WRITE_VERSION;
        o->old = true;
    }
    o->keep = !o->old && desc_extra(o->d, "vbox", "Machine/MediaRegistry");
    for (const struct desc_disk *k = o->d->disks; k; k = k->next)
        if (k->path && !here)
            o->keep = false;
}

/* ---- the machine ---- */

static void out_machine(struct vbox_out *o)
{
    const struct desc *d = o->d;
    char uuid[37];

    xml_set(&o->t, o->t.root, "xmlns", "http://www.virtualbox.org/");
    xml_set(&o->t, o->t.root, "version", "1.%u-linux", o->version);
    o->machine = xml_add(&o->t, o->t.root, "Machine");
    if (d->has_uuid)
        xml_set(&o->t, o->machine, "uuid", "{%s}", place_uuid_text(d, uuid));
    xml_set(&o->t, o->machine, "name", "%s", d->name);
    if (d->guest_os)
        xml_set(&o->t, o->machine, "OSType", "%s", d->guest_os);
    if (d->annotation)
        xml_put(&o->t, o->machine, "Description", "%s", d->annotation);
    o->hardware = xml_add(&o->t, o->machine, "Hardware");
}

static void out_hardware(struct vbox_out *o)
{
    static const char *const screens[] = { "VBoxVGA", "VMSVGA", "VBoxSVGA" };
    const struct desc *d = o->d;
    struct xml_node *n, *h = o->hardware;
    const char *screen = "VMSVGA";

    xml_set(&o->t, xml_add(&o->t, h, "CPU"), "count", "%u", d->cpus);
    if (d->cores_per_socket != 1 && d->cores_per_socket != d->cpus)
        note(o->n, NOTE_CHANGED, "cpus", "are cores of one socket");
    xml_set(&o->t, xml_add(&o->t, h, "Memory"), "RAMSize", "%llu",
            (unsigned long long)((d->memory + (1u << 20) - 1) >> 20));
    n = xml_add(&o->t, h, "Display");
    for (size_t i = 0; d->display && i < LEN(screens); i++)
        if (!strcasecmp(screens[i], d->display))
            screen = screens[i];
    xml_set(&o->t, n, "controller", "%s", screen);
    xml_set(&o->t, n, "VRAMSize", "%llu",
            (unsigned long long)(d->video_memory ? d->video_memory >> 20 : 16));
    if (d->machine)
        xml_set(&o->t, xml_add(&o->t, h, "Chipset"), "type", "%s",
                !strcmp(d->machine, "q35") ? "ICH9" : "PIIX3");
    if (d->clock)
        xml_set(&o->t, xml_add(&o->t, h, "RTC"), "localOrUTC", "%s",
                !strcmp(d->clock, "utc") ? "UTC" : "local");
    xml_set(&o->t, xml_add(&o->t, h, "Firmware"), "type", "%s",
            d->firmware == DESC_EFI ? "EFI" : "BIOS");
    if (d->tpm && o->fresh)
        xml_set(&o->t, xml_add(&o->t, h, "TrustedPlatformModule"), "type", "v2_0");
    if (d->nvram && o->fresh)
        note(o->n, NOTE_LOST, "nvram", "\"%s\" is another product's: VirtualBox makes its own",
             d->nvram);
}

/* ---- network, ports, sound ---- */

static const char *out_nic_type(const struct desc_nic *c)
{
    static const char *const own[] = { "Am79C970A", "Am79C973", "Am79C960", "82540EM", "82543GC",
                                       "82545EM",   "virtio",   "NE1000",   "NE2000",  "WD8003",
                                       "WD8013",    "ELNK2",    "ELNK1" };
    static const char *const classes[][2] = { { "e1000", "82540EM" },
                                              { "e1000e", "82540EM" },
                                              { "pcnet", "Am79C973" },
                                              { "virtio_net", "virtio" } };

    for (size_t i = 0; c->foreign && i < LEN(own); i++)
        if (!strcasecmp(own[i], c->foreign))
            return own[i];
    for (size_t i = 0; i < LEN(classes); i++)
        if (!strcmp(classes[i][0], c->class))
            return classes[i][1];
    return NULL;
}

static void out_nics(struct vbox_out *o)
{
    struct xml_node *all = xml_add(&o->t, o->hardware, "Network");
    unsigned slot = 0;

    for (const struct desc_nic *c = o->d->nics; c; c = c->next, slot++) {
        struct xml_node *n = xml_add(&o->t, all, "Adapter");
        const char *type = out_nic_type(c);

        if (o->fresh)
            xml_set(&o->t, n, "slot", "%u", slot);
        xml_set(&o->t, n, "enabled", "true");
        if (c->has_mac)
            xml_set(&o->t, n, "MACAddress", "%02X%02X%02X%02X%02X%02X", c->mac[0], c->mac[1],
                    c->mac[2], c->mac[3], c->mac[4], c->mac[5]);
        xml_set(&o->t, n, "cable", "%s", c->connected ? "true" : "false");
        xml_set(&o->t, n, "type", "%s", type ? type : "82540EM");
        if (!type)
            note(o->n, NOTE_CHANGED, c->name, "a card of the kind %s becomes an Intel E1000",
                 c->foreign ? c->foreign : c->class);
        if (slot == 8)
            note(o->n, NOTE_LOST, c->name, "VirtualBox has eight cards at most");
    }
}

static const char *out_mode(const struct desc_port *p)
{
    static const char *const modes[][2] = { { "null", "Disconnected" }, { "pipe", "HostPipe" },
                                            { "device", "HostDevice" }, { "dev", "HostDevice" },
                                            { "file", "RawFile" },      { "tcp", "TCP" } };

    for (size_t i = 0; i < LEN(modes); i++)
        if (!strcmp(modes[i][0], p->to))
            return modes[i][1];
    return NULL;
}

static void out_ports(struct vbox_out *o, enum desc_port_kind kind)
{
    static const struct {
        unsigned port, irq;
    } serial[] = { { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 } };
    struct xml_node *all = NULL;
    unsigned slot = 0;

    for (const struct desc_port *p = o->d->ports; p; p = p->next) {
        const char *mode = out_mode(p);
        struct xml_node *n;

        if (p->kind != kind)
            continue;
        if (slot == LEN(serial)) {
            note(o->n, NOTE_LOST, p->name, "VirtualBox has four such ports at most");
            continue;
        }
        all = all ? all : xml_add(&o->t, o->hardware, kind == DESC_SERIAL ? "UART" : "LPT");
        n = xml_add(&o->t, all, "Port");
        xml_set(&o->t, n, "enabled", "true");
        if (o->fresh) {
            xml_set(&o->t, n, "slot", "%u", slot);
            xml_set(&o->t, n, "IOBase", "0x%x", kind == DESC_SERIAL ? serial[slot].port : 0x378);
            xml_set(&o->t, n, "IRQ", "%u", kind == DESC_SERIAL ? serial[slot].irq : 7);
        }
        if (kind == DESC_SERIAL)
            xml_set(&o->t, n, "hostMode", "%s", mode ? mode : "Disconnected");
        if (p->target && mode)
            xml_set(&o->t, n, "path", "%s", p->target);
        if (!mode)
            note(o->n, NOTE_CHANGED, p->name, "goes to \"%s\" no more: it is not connected", p->to);
        slot++;
    }
}

static void out_sound(struct vbox_out *o)
{
    static const char *const chips[] = { "AC97", "SB16", "HDA" };
    const char *chip = "HDA";
    struct xml_node *n;

    if (!o->d->sound)
        return;
    for (size_t i = 0; i < LEN(chips); i++)
        if (!strcasecmp(chips[i], o->d->sound))
            chip = chips[i];
    if (!strcasecmp(o->d->sound, "sb") || !strcasecmp(o->d->sound, "sb16"))
        chip = "SB16";
    n = xml_add(&o->t, o->hardware, "AudioAdapter");
    xml_set(&o->t, n, "controller", "%s", chip);
    xml_set(&o->t, n, "enabled", "true");
}

/* ---- drives ---- */

/* VirtualBox knows an image by the UUID in it: a VDI has one, others take any. */
static int out_uuid(struct vbox_out *o, const struct sink_disk *f, char text[UUID_TEXT])
{
    struct desc id = { .has_uuid = true };
    char path[PATH_MAX], plain[37];
    bool swapped = false;
    int fd;

    if (getrandom(id.uuid, sizeof(id.uuid), 0) != sizeof(id.uuid))
        return err_set(o->e, -EIO, "no random numbers");
    id.uuid[6] = (id.uuid[6] & 0x0f) | 0x40;
    id.uuid[8] = (id.uuid[8] & 0x3f) | 0x80;
    if (!strcmp(f->format, "vdi") && o->s->temp && !sink_options(o->s)->no_disks) {
        snprintf(path, sizeof(path), "%s/%s", o->s->temp, f->name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        swapped = fd >= 0 && pread(fd, id.uuid, sizeof(id.uuid), VDI_UUID) == sizeof(id.uuid);
        if (fd >= 0)
            close(fd);
    }
    if (swapped) { /* the first three parts are numbers, little-endian in the file */
        static const u8 order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
        struct desc raw = id;

        for (unsigned i = 0; i < 16; i++)
            id.uuid[i] = raw.uuid[order[i]];
    }
    snprintf(text, UUID_TEXT, "{%s}", place_uuid_text(&id, plain));
    return 0;
}

static const char *out_format(const char *ours)
{
    static const char *const formats[][2] = { { "vdi", "VDI" }, { "vmdk", "VMDK" },
                                              { "vhd", "VHD" }, { "vhdx", "VHDX" },
                                              { "qed", "QED" }, { "qcow2", "QCOW" },
                                              { "raw", "RAW" }, { "parallels", "Parallels" } };

    for (size_t i = 0; ours && i < LEN(formats); i++)
        if (!strcmp(formats[i][0], ours))
            return formats[i][1];
    return "VDI";
}

static int out_medium(struct vbox_out *o, const struct desc_disk *k, struct xml_node *at)
{
    bool hard = k->media == DESC_DISK;
    struct sink_disk f;
    char uuid[UUID_TEXT];
    struct xml_node *n;
    int r;

    if (o->keep && !k->path)
        return 0; /* the registry that was there says it */
    r = place_out(o->s, k, NULL, "vdi vmdk vhd", &f, o->n, o->e);
    if (r || !f.name || o->keep)
        return r;
    r = out_uuid(o, &f, uuid);
    if (r)
        return r;
    n = xml_get(&o->t, o->media,
                hard                     ? "HardDisks"
                : k->media == DESC_CDROM ? "DVDImages"
                                         : "FloppyImages");
    n = xml_add(&o->t, n, hard ? "HardDisk" : "Image");
    xml_set(&o->t, n, "uuid", "%s", uuid);
    xml_set(&o->t, n, "location", "%s", f.name);
    if (hard) {
        xml_set(&o->t, n, "format", "%s", out_format(f.format));
        xml_set(&o->t, n, "type", "%s", k->mode == DESC_THROWAWAY ? "Immutable" : "Normal");
    }
    xml_set(&o->t, xml_add(&o->t, at, "Image"), "uuid", "%s", uuid);
    return 0;
}

static int out_drive(struct vbox_out *o, const struct vbox_controller *c, const struct desc_disk *k,
                     struct xml_node *at)
{
    struct xml_node *n = xml_add(&o->t, at, "AttachedDevice");

    xml_set(&o->t, n, "type", "%s",
            k->media == DESC_DISK    ? "HardDisk"
            : k->media == DESC_CDROM ? "DVD"
                                     : "Floppy");
    if (k->unit >= c->ports * c->devices)
        return err_set(o->e, -EOPNOTSUPP, "%s: VirtualBox's %s controller has no place %u", k->name,
                       c->type, k->unit);
    xml_set(&o->t, n, "port", "%u", k->unit / c->devices);
    xml_set(&o->t, n, "device", "%u", k->unit % c->devices);
    return out_medium(o, k, n);
}

/* Where a guest keeps its disk when VirtualBox has no such controller */
static const struct vbox_controller *out_instead(struct vbox_out *o, const struct desc_device *v)
{
    const struct vbox_controller *c = vbox_controller(
        !strncmp(v->class, "virtio", 6) || !strncmp(v->class, "xen", 3) ? "VirtioSCSI" : "AHCI");

    note(o->n, NOTE_CHANGED, v->name, "%s becomes %s, for which the guest needs a driver",
         v->foreign ? v->foreign : v->class, c->type);
    return c;
}

static int out_controller(struct vbox_out *o, const struct desc_device *v, struct xml_node *all)
{
    const struct vbox_controller *c = vbox_controller_for(v);
    struct xml_node *n = xml_add(&o->t, all, "StorageController");
    long number = place_number(v->name);
    unsigned ports = 0;
    int r = 0;

    c = c ? c : out_instead(o, v);
    if (o->fresh && number > 0)
        xml_set(&o->t, n, "name", "%s %ld", c->name, number + 1);
    else if (o->fresh)
        xml_set(&o->t, n, "name", "%s", c->name);
    xml_set(&o->t, n, "type", "%s", c->type);
    for (const struct desc_disk *k = o->d->disks; k && !r; k = k->next)
        if (k->controller && !strcmp(k->controller, v->name)) {
            ports = k->unit / c->devices >= ports ? k->unit / c->devices + 1 : ports;
            r = out_drive(o, c, k, n);
        }
    if (o->fresh) {
        xml_set(&o->t, n, "PortCount", "%u",
                c->kind == NAME_IDE || c->kind == NAME_SCSI || !ports ? c->ports : ports);
        xml_set(&o->t, n, "Bootable", "true");
    }
    return r;
}

static int out_storage(struct vbox_out *o)
{
    bool inside = o->version >= WRITE_VERSION_TPM;
    struct xml_node *all;
    int r = 0;

    if (!o->old && out_has(o, "Machine/Hardware/StorageControllers"))
        inside = true;
    else if (!o->old && out_has(o, "Machine/StorageControllers"))
        inside = false;
    o->media = o->keep ? NULL : xml_add(&o->t, o->machine, "MediaRegistry");
    all = xml_add(&o->t, inside ? o->hardware : o->machine, "StorageControllers");
    for (const struct desc_device *v = o->d->devices; v && !r; v = v->next)
        if (vbox_controller_for(v) || strcmp(v->class, "uart16550"))
            r = out_controller(o, v, all);
    return r;
}

/* ---- what was kept, and what a new machine needs beside ---- */

static const char *const out_old[] = { "@version",
                                       "@xmlns",
                                       "Machine/HardDiskAttachments",
                                       "Machine/Hardware/DVDDrive",
                                       "Machine/Hardware/FloppyDrive",
                                       "Machine/Hardware/SATAController",
                                       "Machine/Hardware/BIOS/IDEController" };
static const char *const out_media[] = { "Machine/MediaRegistry", "Machine/Snapshot",
                                         "Machine@currentSnapshot",
                                         "Machine@currentStateModified" };

static bool out_wanted(const struct desc_extra *v, void *arg)
{
    const struct vbox_out *o = arg;
    const char *last = strrchr(v->key, '/');

    for (size_t i = 0; o->old && i < LEN(out_old); i++)
        if (!strcmp(v->key, out_old[i]))
            return false;
    for (size_t i = 0; !o->keep && i < LEN(out_media); i++)
        if (!strcmp(v->key, out_media[i]))
            return false;
    return o->keep || !last || strncmp(last, "/Image", 6);
}

static void out_boot(struct vbox_out *o)
{
    static const char *const kinds[] = { "HardDisk", "DVD", "Floppy" };
    struct xml_node *boot;
    unsigned position = 0;

    if (!o->fresh)
        return;
    boot = xml_add(&o->t, o->hardware, "Boot");
    for (u32 place = 1; place <= 16 && position < 4; place++) {
        const struct desc_disk *k;
        const struct desc_nic *c;
        struct xml_node *n;

        if (!place_boot(o->d, place, &k, &c))
            continue;
        n = xml_add(&o->t, boot, "Order");
        xml_set(&o->t, n, "position", "%u", ++position);
        xml_set(&o->t, n, "device", "%s", c ? "Network" : kinds[k->media]);
    }
    for (size_t i = 0; !position && i < 2; i++) {
        struct xml_node *n = xml_add(&o->t, boot, "Order");

        xml_set(&o->t, n, "position", "%zu", i + 1);
        xml_set(&o->t, n, "device", "%s", kinds[i]);
    }
}

/* The cards of another product's machine are plugged into the host's NAT. */
static void out_plugs(struct vbox_out *o)
{
    const struct desc_nic *c = o->d->nics;

    if (!o->fresh)
        return;
    for (struct xml_node *n = xml_get(&o->t, o->hardware, "Network")->first; n && c; n = n->next) {
        xml_add(&o->t, n, "NAT");
        if (c->network && strcasecmp(c->network, "NAT"))
            note(o->n, NOTE_CHANGED, c->name, "the network \"%s\" becomes NAT", c->network);
        c = c->next;
    }
}

/* ---- the registry that was there, with the places where its images are now ---- */

static void out_relocate(struct vbox_out *o, struct xml_node *top, const struct desc_disk *k,
                         const char *name)
{
    for (struct xml_node *n = top->first; n;) {
        const char *location = xml_attr(n, "location");

        if (location && !strcmp(source_base(location), source_base(k->source)))
            xml_set(&o->t, n, "location", "%s", name);
        if (n->first) {
            n = n->first;
            continue;
        }
        while (n != top && !n->next)
            n = n->parent;
        n = n == top ? NULL : n->next;
    }
}

static void out_unfold(struct xml_node *n) /* it is printed from its parts now */
{
    n->raw = NULL;
    for (struct xml_node *c = n->first; c; c = c->next)
        out_unfold(c);
}

static int out_registry(struct vbox_out *o)
{
    const char *text = desc_extra(o->d, "vbox", "Machine/MediaRegistry");
    struct xml_node *top, **at = &o->machine->first;
    bool any = false;
    int r;

    for (const struct desc_disk *k = o->d->disks; k; k = k->next)
        any |= k->path != NULL;
    while (*at && strcmp((*at)->name, "MediaRegistry"))
        at = &(*at)->next;
    if (!o->keep || !*at || !any)
        return 0;
    r = xml_parse(&o->t.arena, text, strlen(text), "MediaRegistry", &top, NULL, o->e);
    if (r)
        return r;
    out_unfold(top);
    top->next = (*at)->next;
    top->parent = o->machine;
    for (const struct desc_disk *d = o->d->disks; d && !r; d = d->next)
        for (const struct desc_disk *k = d; k && k->path && !r; k = k->base) {
            struct sink_disk f;

            r = place_out(o->s, k, NULL, "vdi", &f, o->n, o->e);
            if (!r && f.name)
                out_relocate(o, top, k, f.name);
        }
    *at = top;
    o->machine->last = top->next ? o->machine->last : top;
    return r;
}

static void out_lost(struct vbox_out *o)
{
    place_lost(o->d, "vbox", o->n);
    if (o->d->snapshots && !o->keep)
        note(o->n, NOTE_LOST, "snapshots", "the disks are as they are now, without their past");
    if (o->d->kernel)
        note(o->n, NOTE_LOST, "kernel", "\"%s\": VirtualBox boots from disks", o->d->kernel);
}

int vbox_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    struct vbox_out o = { .d = d, .s = s, .n = n, .e = e };
    struct buf text = { 0 };
    int r;

    xml_tree_init(&o.t, "VirtualBox");
    out_plan(&o);
    out_machine(&o);
    r = out_storage(&o);
    if (!r) {
        out_hardware(&o);
        out_nics(&o);
        out_ports(&o, DESC_SERIAL);
        out_ports(&o, DESC_PARALLEL);
        out_sound(&o);
        xml_merge_if(&o.t, d, "vbox", out_wanted, &o);
        out_boot(&o);
        out_plugs(&o);
        out_lost(&o);
        r = out_registry(&o);
    }
    r = r ? r : xml_document(&o.t, &text, e);
    r = r ? r : sink_text(s, sink_main(s), text.p, text.len, e);
    buf_fini(&text);
    xml_tree_fini(&o.t);
    return r;
}
