/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices of a VMX.  A file that is not there is not the end: the drive is described, and
 * whoever needs its contents is told.  Devices keep VMware's numbers in their names ("scsi1").
 */
#include "package/place.h"
#include "package/vmx_int.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "[store] dir/a.vmdk", "C:\vm\a.vmdk", "/vmfs/volumes/x/a.vmdk": the last component of each */
void vmx_local_name(const char *name, char *room, size_t size)
{
    const char *p = name, *last;
    char *c;

    snprintf(room, size, "%s", name);
    for (c = room; *c; c++)
        if (*c == '\\')
            *c = '/';
    p = room;
    if (*p == '[' && strchr(p, ']')) {
        p = strchr(p, ']') + 1;
        p += strspn(p, " ");
    } else if (*p != '/' && !(isalpha((u8)*p) && p[1] == ':')) {
        return;
    }
    last = strrchr(p, '/');
    p = last ? last + 1 : isalpha((u8)*p) && p[1] == ':' ? p + 2 : p;
    memmove(room, p, strlen(p) + 1);
}

/* The file of a drive: beside the configuration, also when its name is of another host. */
static int vmx_file(struct vmx *x, struct desc_disk *k, const char *name)
{
    const struct source_file *f;
    struct err why = { 0 };
    char local[1024];
    int r;

    vmx_local_name(name, local, sizeof(local));
    r = source_find(x->s, local, &f, &why);
    if (r == -ENOENT && k->media != DESC_DISK) {
        note(x->n, NOTE_LOST, k->name, "its medium \"%s\" is missing: the drive is empty", name);
        return 0;
    }
    if (r == -ENOENT) {
        note(x->n, NOTE_LOST, k->name, "its file \"%s\" is missing", local);
        return vmx_keep(x, &k->source, local);
    }
    if (r) {
        if (x->e)
            *x->e = why;
        return r;
    }
    if (strcmp(local, name) && !strchr(name, '\\'))
        note(x->n, NOTE_CHANGED, k->name, "\"%s\" is taken from beside the configuration", name);
    r = vmx_keep(x, &k->source, f->name);
    r = r ? r : vmx_keep(x, &k->path, f->path);
    if (source_has_suffix(f->name, ".iso") || source_has_suffix(f->name, ".raw") ||
        source_has_suffix(f->name, ".flp") || source_has_suffix(f->name, ".img"))
        k->format = "raw"; /* these have no magic to know them by */
    return r;
}

static void vmx_mode(struct vmx *x, struct desc_disk *k, const char *slot)
{
    const char *mode = vmx_get(&x->t, "%s.mode", slot);

    if (strcasestr(mode, "nonpersistent"))
        k->mode = DESC_THROWAWAY;
    if (k->mode == DESC_WRITE)
        vmx_take_if(&x->t, "persistent", "%s.mode", slot);
    else if (k->mode == DESC_THROWAWAY)
        vmx_take_if(&x->t, "independent-nonpersistent", "%s.mode", slot);
}

/* A disk in an old undoable mode: its newest state is in the redo log. */
static int vmx_redo(struct vmx *x, struct desc_disk *k, const char *slot)
{
    const char *redo = vmx_get(&x->t, "%s.redo", slot);
    const struct source_file *f;
    struct desc_disk *base;
    char local[1024];

    if (!*redo || !k->path)
        return 0;
    vmx_local_name(redo, local, sizeof(local));
    if (source_find(x->s, local, &f, NULL)) {
        note(x->n, NOTE_LOST, k->name,
             "its redo log \"%s\" is missing: the disk is as it was "
             "before",
             redo);
        return 0;
    }
    base = arena_new(&x->d->arena, sizeof(*base));
    if (!base)
        return -ENOMEM;
    *base = *k;
    base->next = NULL;
    k->base = base;
    k->parent = base->source;
    return vmx_keep(x, &k->source, f->name) || vmx_keep(x, &k->path, f->path) ? -ENOMEM : 0;
}

/* What the writer says of a drive; anything else stays beside it as an extra. */
static void vmx_drive_taken(struct vmx *x, struct desc_disk *k, const char *slot)
{
    bool cd = k->media == DESC_CDROM;

    vmx_take_if(&x->t, "TRUE", "%s.present", slot);
    vmx_take_if(&x->t,
                !cd         ? strncmp(slot, "scsi", 4) ? "disk" : "scsi-hardDisk"
                : k->source ? "cdrom-image"
                            : "cdrom-raw",
                "%s.deviceType", slot);
    if (k->source)
        vmx_take(&x->t, "%s.fileName", slot);
    vmx_mode(x, k, slot);
}

static int vmx_drive(struct vmx *x, struct desc_device *v, const char *slot, long unit)
{
    const char *type = vmx_get(&x->t, "%s.deviceType", slot);
    const char *name = vmx_get(&x->t, "%s.fileName", slot);
    const char *present = vmx_get(&x->t, "%s.present", slot);
    bool cd = strcasestr(type, "cdrom") != NULL, image = !*type || strcasestr(type, "image");
    struct desc_disk *k;
    int r;

    if (*present ? !vmx_true(present) : !*name)
        return 0;
    if (!*name && !cd) {
        note(x->n, NOTE_LOST, slot, "is a disk without a file: left out");
        return 0;
    }
    if (strcasestr(type, "passthru")) {
        note(x->n, NOTE_LOST, slot, "is a device of the host (%s), which is not passed through",
             name);
        return 0;
    }
    k = place_disk(x->d, x->n, cd ? DESC_CDROM : DESC_DISK, v, unit);
    if (!k)
        return -ENOMEM;
    if (cd && (!image || !*name || !strcasecmp(name, "emptyBackingString")))
        r = 0; /* the host's own drive: empty here */
    else
        r = vmx_file(x, k, name);
    r = r ? r : vmx_redo(x, k, slot);
    if (!r)
        vmx_drive_taken(x, k, slot);
    return r;
}

/* The key itself stays an extra. */
static int vmx_slot(struct vmx *x, const char **at, const char *device)
{
    return place_slot(x->d, at, vmx_get(&x->t, "%s.pciSlotNumber", device));
}

/* Old files do not say that a controller is there when its drives are. */
static bool vmx_has_bus(const struct vmx *x, const char *bus)
{
    const char *present = vmx_get(&x->t, "%s.present", bus);

    if (*present)
        return vmx_true(present);
    for (unsigned unit = 0; unit < VMX_UNITS; unit++) {
        const char *drive = vmx_get(&x->t, "%s:%u.present", bus, unit);

        if (*drive ? vmx_true(drive) : *vmx_get(&x->t, "%s:%u.fileName", bus, unit))
            return true;
    }
    return false;
}

static struct desc_device *vmx_controller(struct vmx *x, enum name_kind kind, const char *name,
                                          const char *foreign)
{
    struct desc_device *v = place_controller(x->d, x->n, kind, foreign);

    if (v)
        v->name = arena_text(&x->d->arena, name, strlen(name));
    return v && v->name ? v : NULL;
}

static int vmx_bus(struct vmx *x, const char *prefix, enum name_kind kind, unsigned bus)
{
    struct desc_device *v = NULL;
    char name[16], slot[32];
    const char *device;
    int r = 0;

    snprintf(name, sizeof(name), "%s%u", prefix, bus);
    if (!vmx_has_bus(x, name))
        return 0;
    vmx_take_if(&x->t, "TRUE", "%s.present", name);
    device = vmx_take(&x->t, "%s.virtualDev", name);
    v = vmx_controller(x, kind, name, !*device && kind == NAME_SCSI ? "lsilogic" : device);
    if (!v || vmx_slot(x, &v->at, name))
        return -ENOMEM;
    for (unsigned unit = 0; !r && unit < VMX_UNITS; unit++) {
        snprintf(slot, sizeof(slot), "%s:%u", name, unit);
        r = vmx_drive(x, v, slot, (long)unit);
    }
    return r;
}

/* IDE is there when a drive is; both channels are one device. */
static int vmx_ide(struct vmx *x)
{
    struct desc_device *v = NULL;
    int r = 0;

    for (unsigned i = 0; !r && i < 4; i++) {
        const char *present;
        char slot[32];

        snprintf(slot, sizeof(slot), "ide%u:%u", i / 2, i % 2);
        present = vmx_get(&x->t, "%s.present", slot);
        if (*present ? !vmx_true(present) : !*vmx_get(&x->t, "%s.fileName", slot))
            continue;
        if (!v && !(v = vmx_controller(x, NAME_IDE, "ide0", "")))
            return -ENOMEM;
        r = vmx_drive(x, v, slot, (long)i);
    }
    return r;
}

/* The network by its name, by its kind ("nat"), by what it is bridged to. */
static int vmx_network(struct vmx *x, struct desc_nic *c, unsigned i)
{
    static const char *const kinds[] = { "bridged", "nat", "hostonly" };
    const char *net = vmx_get(&x->t, "ethernet%u.networkName", i);
    const char *kind = vmx_get(&x->t, "ethernet%u.connectionType", i);

    if (*net)
        return vmx_keep(x, &c->network, vmx_take(&x->t, "ethernet%u.networkName", i));
    for (size_t k = 0; k < LEN(kinds); k++)
        if (!strcasecmp(kind, kinds[k]))
            return vmx_keep(x, &c->network, vmx_take(&x->t, "ethernet%u.connectionType", i));
    net = vmx_get(&x->t, "ethernet%u.vnet", i);
    return vmx_keep(x, &c->network, *net ? net : vmx_get(&x->t, "ethernet%u.dvs.portgroupId", i));
}

static void vmx_mac(struct vmx *x, struct desc_nic *c, unsigned i)
{
    bool fixed = !strcasecmp(vmx_get(&x->t, "ethernet%u.addressType", i), "static");
    const char *key =
        fixed || *vmx_get(&x->t, "ethernet%u.address", i) ? "address" : "generatedAddress";
    const char *mac = vmx_get(&x->t, "ethernet%u.%s", i, key);

    if (!*mac)
        return;
    if (!place_mac(c, mac)) {
        note(x->n, NOTE_LOST, c->name, "its address \"%s\" is no MAC address", mac);
        return;
    }
    vmx_take(&x->t, "ethernet%u.%s", i, key);
    if (!strcmp(key, "address"))
        vmx_take_if(&x->t, "static", "ethernet%u.addressType", i);
    if (!strcmp(key, "address"))
        vmx_take_if(&x->t, "FALSE", "ethernet%u.checkMACAddress", i);
}

static int vmx_nic(struct vmx *x, unsigned i)
{
    const char *dev = vmx_get(&x->t, "ethernet%u.virtualDev", i);
    const char *on = vmx_get(&x->t, "ethernet%u.startConnected", i);
    struct desc_nic *c;
    char key[16];

    if (!vmx_true(vmx_get(&x->t, "ethernet%u.present", i)))
        return 0;
    vmx_take_if(&x->t, "TRUE", "ethernet%u.present", i);
    c = place_nic(x->d, x->n, *dev ? dev : "vlance");
    snprintf(key, sizeof(key), "ethernet%u", i);
    if (!c || !(c->name = desc_text(x->d, "nic%u", i)) || vmx_slot(x, &c->at, key))
        return -ENOMEM;
    vmx_take(&x->t, "ethernet%u.virtualDev", i);
    c->connected = !*on || vmx_true(on);
    vmx_take_if(&x->t, c->connected ? "TRUE" : "FALSE", "ethernet%u.startConnected", i);
    vmx_mac(x, c, i);
    return vmx_network(x, c, i);
}

/* "tcp://host:port" is a network line, "network" by VMware's word; without a scheme it is tcp. */
static int vmx_port(struct vmx *x, const char *prefix, enum desc_port_kind kind, unsigned i)
{
    char name[20];
    const char *type, *file, *colon;
    struct desc_port *p;

    snprintf(name, sizeof(name), "%s%u", prefix, i);
    if (!vmx_true(vmx_get(&x->t, "%s.present", name)))
        return 0;
    vmx_take_if(&x->t, "TRUE", "%s.present", name);
    type = vmx_take(&x->t, "%s.fileType", name);
    file = vmx_take(&x->t, "%s.fileName", name);
    if (!strcasecmp(type, "network")) {
        colon = strstr(file, "://");
        p = desc_add_port(x->d, name, kind, "tcp");
        if (p && colon && strncasecmp(file, "tcp:", 4))
            p->to = desc_text(x->d, "%.*s", (int)(colon - file), file);
        file = colon ? colon + 3 : file;
    } else {
        p = desc_add_port(x->d, name, kind, *type ? type : "device");
    }
    if (!p || !p->to || vmx_keep(x, &p->target, file))
        return -ENOMEM;
    return kind == DESC_SERIAL && !desc_add_device(x->d, name, "uart16550") ? -ENOMEM : 0;
}

static int vmx_floppy(struct vmx *x, unsigned i)
{
    const char *present = vmx_get(&x->t, "floppy%u.present", i);
    const char *name = vmx_get(&x->t, "floppy%u.fileName", i);
    const char *type = vmx_get(&x->t, "floppy%u.fileType", i);
    struct desc_device *v = desc_device(x->d, "fdc0");
    struct desc_disk *k;
    int r = 0;

    if (*present ? !vmx_true(present) : !*name)
        return 0;
    vmx_take_if(&x->t, "TRUE", "floppy%u.present", i);
    if (!v && !(v = vmx_controller(x, NAME_FLOPPY, "fdc0", "")))
        return -ENOMEM;
    k = place_disk(x->d, x->n, DESC_FLOPPY, v, (long)i);
    if (!k)
        return -ENOMEM;
    if (*name && !strcasecmp(type, "file"))
        r = vmx_file(x, k, name);
    if (vmx_true(vmx_get(&x->t, "floppy%u.readonly", i)))
        k->mode = DESC_READ;
    if (k->source) {
        vmx_take(&x->t, "floppy%u.fileName", i);
        vmx_take(&x->t, "floppy%u.fileType", i);
    }
    return r;
}

static int vmx_usb(struct vmx *x, const char *key, const char *name, const char *class)
{
    struct desc_device *v;

    if (!vmx_true(vmx_get(&x->t, "%s.present", key)))
        return 0;
    vmx_take_if(&x->t, "TRUE", "%s.present", key);
    v = desc_add_device(x->d, name, class);
    if (!v || !(v->foreign = desc_text(x->d, "%s", key)))
        return -ENOMEM;
    v->known = true;
    return vmx_slot(x, &v->at, key);
}

/* The key itself stays an extra; the mouse is on USB whenever there is USB. */
static int vmx_usb_keyboard(struct vmx *x)
{
    struct desc_device *v;

    if (!vmx_true(vmx_get(&x->t, "keyboard.vusb.enable")))
        return 0;
    v = desc_add_device(x->d, "usbkeyboard0", "usb_keyboard");
    if (v)
        v->known = true;
    return v ? 0 : -ENOMEM;
}

static int vmx_sound(struct vmx *x)
{
    const char *card = vmx_get(&x->t, "sound.virtualDev");

    if (!vmx_true(vmx_get(&x->t, "sound.present")))
        return 0;
    vmx_take_if(&x->t, "TRUE", "sound.present");
    vmx_take(&x->t, "sound.virtualDev");
    return vmx_keep(x, &x->d->sound, *card ? card : "es1371");
}

static int vmx_others(struct vmx *x)
{
    int r = 0;

    for (unsigned i = 0; !r && i < VMX_NICS; i++)
        r = vmx_nic(x, i);
    for (unsigned i = 0; !r && i < VMX_PORTS; i++)
        r = vmx_port(x, "serial", DESC_SERIAL, i);
    for (unsigned i = 0; !r && i < 3; i++)
        r = vmx_port(x, "parallel", DESC_PARALLEL, i);
    for (unsigned i = 0; !r && i < 2; i++)
        r = vmx_floppy(x, i);
    r = r ? r : vmx_sound(x);
    r = r ? r : vmx_usb(x, "usb", "usb0", "uhci");
    r = r ? r : vmx_usb(x, "ehci", "usb1", "ehci");
    r = r ? r : vmx_usb(x, "usb_xhci", "usb2", "xhci");
    return r ? r : vmx_usb_keyboard(x);
}

/* "scsi0:1,ide0:0": which of the disks, where the boot order says "hdd". */
static void vmx_boot_disks(struct vmx *x, u32 *place)
{
    const char *p = vmx_get(&x->t, "bios.hddOrder");

    for (; *p; p += strcspn(p, ","), p += *p == ',') {
        char bus[16];
        unsigned unit;

        if (sscanf(p, "%15[a-z0-9]:%u", bus, &unit) != 2)
            continue;
        if (!strncmp(bus, "ide", 3)) { /* both channels are one device */
            unit += 2 * (unsigned)(bus[3] == '1');
            snprintf(bus, sizeof(bus), "ide0");
        }
        for (struct desc_disk *k = x->d->disks; k; k = k->next)
            if (k->media == DESC_DISK && !k->boot && k->unit == unit && !strcmp(k->controller, bus))
                k->boot = ++*place;
    }
}

/* "cdrom,hdd": kinds, each with its first drive; "ethernet0": a card; kept as it is, too. */
static void vmx_boot(struct vmx *x)
{
    const char *p = vmx_get(&x->t, "bios.bootOrder");
    u32 place = 0;

    if (!*p)
        vmx_boot_disks(x, &place);

    for (; *p; p += strcspn(p, ","), p += *p == ',') {
        enum desc_media m = !strncasecmp(p, "cdrom", 5)    ? DESC_CDROM
                            : !strncasecmp(p, "floppy", 6) ? DESC_FLOPPY
                                                           : DESC_DISK;
        bool drive = m != DESC_DISK || !strncasecmp(p, "hdd", 3);

        if (drive && m == DESC_DISK)
            vmx_boot_disks(x, &place);
        for (struct desc_disk *k = x->d->disks; drive && k; k = k->next)
            if (k->media == m && !k->boot) {
                k->boot = ++place;
                break;
            }
        for (struct desc_nic *c = x->d->nics; !drive && c; c = c->next)
            if (!c->boot && (!strncasecmp(p, "net", 3) || (!strncasecmp(p, "ethernet", 8) &&
                                                           atoi(p + 8) == atoi(c->name + 3)))) {
                c->boot = ++place;
                break;
            }
    }
}

int vmx_devices(struct vmx *x)
{
    static const struct {
        const char *prefix;
        enum name_kind kind;
    } buses[] = { { "scsi", NAME_SCSI }, { "sata", NAME_SATA }, { "nvme", NAME_NVME } };
    int r = 0;

    for (size_t b = 0; b < LEN(buses); b++)
        for (unsigned i = 0; !r && i < VMX_BUSES; i++)
            r = vmx_bus(x, buses[b].prefix, buses[b].kind, i);
    r = r ? r : vmx_ide(x);
    r = r ? r : vmx_others(x);
    if (!r)
        vmx_boot(x);
    return r;
}
