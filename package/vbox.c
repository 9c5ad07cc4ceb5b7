/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The settings of a VirtualBox machine, versions 1.2 to 1.19 and what looks like them: the
 * machine itself; its media, drives and ports are in files of their own.  After the settings
 * files that VirtualBox writes and its manual (8, 10.1).  Left out: what was running when the
 * machine was saved, and machines that are encrypted.
 */
#include "package/locate.h"
#include "package/vbox_int.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct vbox_controller vbox_controllers[] = {
    { "PIIX4", NAME_IDE, "ide", "IDE", 2, 2 },
    { "PIIX3", NAME_IDE, "ide", "IDE", 2, 2 },
    { "ICH6", NAME_IDE, "ide", "IDE", 2, 2 },
    { "AHCI", NAME_SATA, "ahci", "SATA", 30, 1 },
    { "IntelAhci", NAME_SATA, "ahci", "SATA", 30, 1 },
    { "LsiLogic", NAME_SCSI, "lsilogic", "SCSI", 16, 1 },
    { "BusLogic", NAME_SCSI, "buslogic", "SCSI", 16, 1 },
    { "LsiLogicSas", NAME_SCSI, "lsisas1068", "SAS", 255, 1 },
    { "VirtioSCSI", NAME_SCSI, "virtio_scsi", "VirtIO", 256, 1 },
    { "NVMe", NAME_NVME, "nvme", "NVMe", 255, 1 },
    { "I82078", NAME_FLOPPY, "fdc", "Floppy", 1, 2 },
    { "USB", NAME_USB, "usb_storage", "USB", 8, 1 },
};

const struct vbox_controller *vbox_controller(const char *type)
{
    for (size_t i = 0; type && i < LEN(vbox_controllers); i++)
        if (!strcasecmp(vbox_controllers[i].type, type))
            return &vbox_controllers[i];
    return NULL;
}

const struct vbox_controller *vbox_controller_for(const struct desc_device *v)
{
    const struct vbox_controller *c = vbox_controller(v->foreign);

    if (c && !strcmp(c->class, v->class))
        return c;
    for (size_t i = 0; i < LEN(vbox_controllers); i++)
        if (!strcmp(vbox_controllers[i].class, v->class))
            return &vbox_controllers[i];
    return NULL;
}

bool vbox_true(const char *text)
{
    return text && (!strcasecmp(text, "true") || !strcmp(text, "1") || !strcasecmp(text, "on"));
}

static int vbox_number(struct vbox *x, const struct xml_node *n, const char *attr, u64 most, u64 *v)
{
    const char *text = xml_take(n, attr);
    char *end;

    if (!text)
        return 0;
    errno = 0;
    *v = strtoull(text, &end, 10);
    if (end == text || *end || errno || *text == '-' || *v > most)
        return err_set(x->e, -EBADMSG, "%s: %s/@%s: \"%.40s\" is not a number up to %llu", x->file,
                       n->name, attr, text, (unsigned long long)most);
    return 0;
}

static const char *vbox_copy(struct vbox *x, const char *text)
{
    return text ? arena_text(&x->d->arena, text, strlen(text)) : NULL;
}

static int vbox_firmware(struct vbox *x)
{
    const struct xml_node *bios = xml_child(x->hardware, "BIOS"), *f, *nvram;
    const struct source_file *file;
    const char *type, *path;

    f = xml_child(x->hardware, "Firmware");
    f = f ? f : xml_child(bios, "Firmware");
    type = xml_attr(f, "type");
    if (type && !strncasecmp(type, "EFI", 3))
        x->d->firmware = DESC_EFI;
    if (type && (!strcmp(type, "EFI") || !strcmp(type, "BIOS")))
        xml_take(f, "type");
    nvram = xml_child(x->hardware, "NVRAM");
    nvram = nvram ? nvram : xml_child(bios, "NVRAM");
    path = xml_attr(nvram, "path");
    if (path && *path)
        x->d->nvram = vbox_copy(x, path);
    if (path && *path && !source_find(x->s, path, &file, NULL)) {
        x->d->nvram_path = vbox_copy(x, file->path);
        x->d->nvram_offset = file->offset;
        x->d->nvram_length = file->size;
    }
    x->d->secure_boot = vbox_true(xml_attr(xml_child(nvram, "SecureBoot"), "enabled")) ||
                        vbox_true(xml_attr(xml_child(x->hardware, "SecureBoot"), "enabled"));
    type = xml_attr(xml_child(x->hardware, "TrustedPlatformModule"), "type");
    x->d->tpm = type && strcasecmp(type, "None");
    return 0;
}

static int vbox_hardware(struct vbox *x)
{
    const struct xml_node *cpu = xml_child(x->hardware, "CPU");
    const struct xml_node *screen = xml_child(x->hardware, "Display");
    const struct xml_node *chipset = xml_child(x->hardware, "Chipset");
    const struct xml_node *rtc = xml_child(x->hardware, "RTC");
    u64 cpus = 1, memory = 128, video = 8;
    struct desc *d = x->d;
    int r = vbox_number(x, cpu, "count", 4096, &cpus);

    r = r ? r : vbox_number(x, xml_child(x->hardware, "Memory"), "RAMSize", 1u << 26, &memory);
    r = r ? r : vbox_number(x, screen, "VRAMSize", 1u << 20, &video);
    if (r)
        return r;
    d->cpus = d->cores_per_socket = cpus ? (u32)cpus : 1; /* one socket, whatever the number */
    d->memory = memory << 20;
    d->video_memory = video << 20;
    d->display =
        xml_attr(screen, "controller") ? vbox_copy(x, xml_take(screen, "controller")) : "VBoxVGA";
    d->machine = "i440fx";
    if (xml_attr(chipset, "type") && !strcasecmp(xml_attr(chipset, "type"), "ICH9"))
        d->machine = "q35";
    xml_take(chipset, "type");
    if (xml_attr(rtc, "localOrUTC"))
        d->clock = strcasecmp(xml_take(rtc, "localOrUTC"), "UTC") ? "localtime" : "utc";
    return vbox_firmware(x);
}

/* Linux finds KVM's interface, Windows Hyper-V's, unless the settings say otherwise. */
static const char *vbox_persona(struct vbox *x)
{
    const char *said = xml_attr(xml_child(x->hardware, "Paravirt"), "provider");
    const char *os = x->d->guest_os ? x->d->guest_os : "";

    if (!said || !strcasecmp(said, "Default"))
        return !strncasecmp(os, "Windows", 7) ? "hyperv" : "kvm";
    if (!strcasecmp(said, "KVM"))
        return "kvm";
    return !strcasecmp(said, "HyperV") ? "hyperv" : "none";
}

static int vbox_machine(struct vbox *x)
{
    const struct xml_node *m = x->machine;
    struct desc *d = x->d;
    const char *text;
    int r;

    if (xml_attr(m, "name"))
        d->name = vbox_copy(x, xml_take(m, "name"));
    if (xml_attr(m, "uuid") && !place_uuid(d, xml_attr(m, "uuid")))
        xml_take(m, "uuid");
    d->guest_os = vbox_copy(x, xml_take(m, "OSType"));
    text = xml_take_text(m, "Description");
    d->annotation = *text ? vbox_copy(x, text) : NULL;
    d->product =
        arena_print(&d->arena, "VirtualBox, settings version %s", xml_attr(x->root, "version"));
    if (xml_take(m, "stateFile"))
        note(x->n, NOTE_LOST, "state",
             "what ran when it was saved is for VirtualBox alone: the machine starts anew");
    r = vbox_hardware(x);
    d->persona = vbox_persona(x);
    if (!r && (!d->name || !d->product))
        r = -ENOMEM;
    return r;
}

static void vbox_shared(struct vbox *x)
{
    const struct xml_node *f = xml_child(xml_child(x->hardware, "SharedFolders"), "SharedFolder");

    for (unsigned i = 0; f && i < 64; f = xml_next(f, "SharedFolder"), i++)
        note(x->n, NOTE_KEPT, "shared folder", "\"%s\" of the host is kept for writing back",
             xml_attr(f, "name") ? xml_attr(f, "name") : "");
}

static int vbox_version(struct vbox *x)
{
    const char *text = xml_attr(x->root, "version");
    char *end;
    unsigned long major = text ? strtoul(text, &end, 10) : 0;

    if (!text || major != 1 || *end != '.')
        return err_set(x->e, text ? -EOPNOTSUPP : -EBADMSG,
                       "%s: settings of version \"%.20s\" are not supported", x->file,
                       text ? text : "");
    x->version = (unsigned)strtoul(end + 1, NULL, 10);
    if (x->version > 19)
        note(x->n, NOTE_KEPT, x->file, "settings version %s is newer than what is known here",
             text);
    return 0;
}

/* Older machines' media stand in the user's VirtualBox.xml, which may be beside them. */
static int vbox_global(struct vbox *x)
{
    const struct source_file *f;
    struct err ignored = { 0 };
    struct xml_node *root;
    int r;

    if (source_find(x->s, "VirtualBox.xml", &f, &ignored) || f == x->s->main)
        return 0;
    r = xml_load(&x->s->arena, f, f->name, &root, NULL, x->e);
    if (!r)
        x->global = xml_child(root, "Global");
    return r;
}

static int vbox_document(struct vbox *x)
{
    static const char *const spaces[] = { "", "http://www.virtualbox.org",
                                          "http://www.innotek.de/VirtualBox-settings" };
    bool known = false;
    int r;

    for (size_t i = 0; i < LEN(spaces); i++)
        known |= !strcmp(x->root->space, spaces[i]);
    if (strcmp(x->root->name, "VirtualBox") || !known)
        return err_set(x->e, -EBADMSG, "%s: is no VirtualBox machine (root element %.40s)", x->file,
                       x->root->name);
    if (xml_child(x->root, "MachineEncrypted"))
        return err_set(x->e, -EOPNOTSUPP,
                       "%s: the machine is encrypted (MachineEncrypted), which is not supported",
                       x->file);
    x->machine = xml_child(x->root, "Machine");
    x->hardware = xml_child(x->machine, "Hardware");
    if (!x->hardware)
        return err_set(x->e, -EBADMSG, "%s: describes no machine%s", x->file,
                       xml_child(x->root, "Global") ? ": these are the user's own settings" : "");
    r = vbox_version(x);
    r = r ? r : vbox_global(x);
    r = r ? r : vbox_machine(x);
    r = r ? r : vbox_storage(x);
    r = r ? r : vbox_devices(x);
    r = r ? r : vbox_snapshots(x);
    if (!r)
        vbox_shared(x);
    return r ? r : xml_rest(x->d, "vbox", x->root, x->file, x->e);
}

static int vbox_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct vbox x = { .d = d, .s = s, .n = n, .e = e, .file = source_base(s->path) };
    const struct source_file *f = s->main;
    struct xml_node *root;
    int r;

    for (const struct source_file *m = s->files; m && s->kind == SOURCE_TAR && !f; m = m->next)
        if (source_has_suffix(m->name, ".vbox"))
            f = m;
    r = xml_load(&s->arena, f, x.file, &root, NULL, e);
    x.root = root;
    r = r ? r : vbox_document(&x);
    return r == -ENOMEM ? err_set(e, r, "%s: is too long", x.file) : r;
}

/* ".vbox", or ".xml" as it was called before 4.0: then the root element tells. */
static int vbox_probe(struct source *s)
{
    if (s->kind != SOURCE_FILES || !s->main)
        return 0;
    if (source_has_suffix(s->main->name, ".vbox") || source_has_suffix(s->main->name, ".vbox-prev"))
        return 100;
    return xml_is(s->main, "VirtualBox") ? 90 : 0;
}

const struct package_format package_vbox = {
    .name = "vbox",
    .suffix = ".vbox",
    .about = "VirtualBox: a machine's settings with its disks beside it",
    .probe = vbox_probe,
    .read = vbox_read,
    .write = vbox_write,
};
