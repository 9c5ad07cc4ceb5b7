/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libvirt's domain XML, after its documents "Domain XML format" and "Snapshot XML format": the
 * machine itself.  Also inside <domainsnapshot> and <domstatus>.  Left out: containers.
 */
#include "package/libvirt_int.h"
#include "package/number.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *libvirt_copy(struct libvirt *x, const char *text)
{
    return text && *text ? arena_text(&x->d->arena, text, strlen(text)) : NULL;
}

/* ---- sizes: a number with a unit, KiB when none is said ---- */

static bool libvirt_unit(const char *unit, u64 *bytes)
{
    static const struct {
        const char *name;
        u64 bytes;
    } units[] = { { "b", 1 },          { "bytes", 1 },        { "KB", 1000 },
                  { "k", 1024 },       { "KiB", 1024 },       { "MB", 1000000 },
                  { "M", 1 << 20 },    { "MiB", 1 << 20 },    { "GB", 1000000000 },
                  { "G", 1 << 30 },    { "GiB", 1 << 30 },    { "TB", 1000000000000 },
                  { "T", 1ull << 40 }, { "TiB", 1ull << 40 }, { "", 1024 } };

    for (size_t i = 0; i < LEN(units); i++)
        if (!strcasecmp(units[i].name, unit)) {
            *bytes = units[i].bytes;
            return true;
        }
    return false;
}

static int libvirt_memory(struct libvirt *x)
{
    const struct xml_node *n = xml_child(x->domain, "memory");
    const char *unit = xml_attr(n, "unit");
    u64 value, scale;

    if (!n) {
        note(x->n, NOTE_CHANGED, "memory", "none is said: it is 1 GiB");
        return 0;
    }
    if (!number_decimal(n->text, &value) || !libvirt_unit(unit ? unit : "", &scale) ||
        value > (1ull << 62) / scale)
        return err_set(x->e, -EBADMSG, "%s: memory: \"%.40s\" %.20s is no size", x->file, n->text,
                       unit ? unit : "");
    x->d->memory = value * scale;
    xml_taken(n);
    xml_take(n, "unit");
    return 0;
}

static int libvirt_cpus(struct libvirt *x)
{
    const struct xml_node *n = xml_child(x->domain, "vcpu");
    const struct xml_node *shape = xml_child(xml_child(x->domain, "cpu"), "topology");
    const char *cores = xml_attr(shape, "cores"), *dies = xml_attr(shape, "dies");
    unsigned long number = 1, per;
    char *end;

    if (n) {
        number = strtoul(n->text, &end, 10);
        if (end == n->text || *end || *n->text == '-' || !number || number > 4096)
            return err_set(x->e, -EBADMSG, "%s: vcpu: \"%.40s\" is not a number from 1 to 4096",
                           x->file, n->text);
        xml_taken(n);
    }
    x->d->cpus = (u32)number;
    per = (cores ? strtoul(cores, NULL, 10) : 1) * (dies ? strtoul(dies, NULL, 10) : 1);
    if (per && per <= number && number % per == 0)
        x->d->cores_per_socket = (u32)per;
    return 0;
}

/* ---- <os>: what is started ---- */

static bool libvirt_is_efi(const char *loader)
{
    static const char *const words[] = { "OVMF", "edk2", "AAVMF", "efi" };

    for (size_t i = 0; i < LEN(words); i++)
        if (strcasestr(loader, words[i]))
            return true;
    return false;
}

static void libvirt_os(struct libvirt *x)
{
    const struct xml_node *os = xml_child(x->domain, "os"), *loader = xml_child(os, "loader");
    const char *type = xml_text(os, "type"), *machine = xml_attr(xml_child(os, "type"), "machine");
    const char *arch = xml_attr(xml_child(os, "type"), "arch"),
               *firmware = xml_attr(os, "firmware");
    const char *secure = xml_attr(loader, "secure"), *pflash = xml_attr(loader, "type");
    struct desc *d = x->d;

    if ((firmware && !strcmp(firmware, "efi")) || (pflash && !strcmp(pflash, "pflash")) ||
        (loader && libvirt_is_efi(loader->text)))
        d->firmware = DESC_EFI;
    d->secure_boot = secure && !strcmp(secure, "yes");
    d->nvram = libvirt_copy(x, xml_text(os, "nvram"));
    d->kernel = libvirt_copy(x, xml_text(os, "kernel"));
    d->initrd = libvirt_copy(x, xml_text(os, "initrd"));
    d->append = libvirt_copy(x, xml_text(os, "cmdline"));
    d->machine = machine && strstr(machine, "q35") ? "q35" : "i440fx";
    if (!strcmp(type, "linux") || !strcmp(type, "xen") || (machine && !strcmp(machine, "xenpv")))
        d->machine = "pv";
    if (arch && strcmp(arch, "x86_64") && strcmp(arch, "i686")) {
        d->machine = libvirt_copy(x, machine ? machine : arch);
        note(x->n, NOTE_LOST, "architecture", "the guest is made for %s", arch);
    }
}

/* <boot dev="hd"> orders kinds of devices: the first of each. */
static void libvirt_boot(struct libvirt *x)
{
    const struct xml_node *b = xml_child(xml_child(x->domain, "os"), "boot");
    u32 place = 1;

    for (; b; b = xml_next(b, "boot"), place++) {
        const char *dev = xml_attr(b, "dev");
        enum desc_media media = DESC_DISK;
        struct desc_disk *k = x->d->disks;

        if (!dev)
            continue;
        if (!strcmp(dev, "network") && x->d->nics && !x->d->nics->boot)
            x->d->nics->boot = place;
        if (!strcmp(dev, "cdrom"))
            media = DESC_CDROM;
        else if (!strcmp(dev, "fd"))
            media = DESC_FLOPPY;
        else if (strcmp(dev, "hd"))
            continue;
        while (k && k->media != media)
            k = k->next;
        if (k && !k->boot)
            k->boot = place;
    }
}

/* ---- whom the guest sees ---- */

static bool libvirt_is_on(const struct xml_node *n)
{
    const char *state = xml_attr(n, "state");

    return n && (!state || strcmp(state, "off"));
}

static const char *libvirt_persona(struct libvirt *x, const char *type)
{
    static const char *const known[][2] = { { "xen", "xen" },       { "vmware", "vmware" },
                                            { "hyperv", "hyperv" }, { "kvm", "kvm" },
                                            { "qemu", "kvm" },      { "vbox", "kvm" } };
    const struct xml_node *f = xml_child(x->domain, "features");
    const struct xml_node *hidden = xml_child(xml_child(f, "kvm"), "hidden");
    const struct xml_node *hyperv = xml_child(f, "hyperv");
    const char *who = "none";

    for (size_t i = 0; i < LEN(known); i++)
        if (!strcmp(known[i][0], type))
            who = known[i][1];
    if (strcmp(who, "kvm"))
        return who;
    for (const struct xml_node *c = hyperv ? hyperv->first : NULL; c; c = c->next)
        if (libvirt_is_on(c))
            return "hyperv";
    return hidden && libvirt_is_on(hidden) && xml_attr(hidden, "state") ? "none" : "kvm";
}

static int libvirt_machine(struct libvirt *x)
{
    const struct xml_node *clock = xml_taken(xml_child(x->domain, "clock"));
    const char *type = xml_attr(x->domain, "type"), *offset = xml_attr(clock, "offset");
    struct desc *d = x->d;
    int r;

    if (!type)
        return err_set(x->e, -EBADMSG, "%s: the domain has no type", x->file);
    if (!strcmp(type, "lxc") || !strcmp(type, "openvz") || !strcmp(type, "uml"))
        return err_set(x->e, -EOPNOTSUPP, "%s: a domain of the type \"%s\" is no machine", x->file,
                       type);
    x->qemu = !strcmp(type, "kvm") || !strcmp(type, "qemu") || !strcmp(type, "hvf");
    if (*xml_text(x->domain, "name"))
        d->name = libvirt_copy(x, xml_take_text(x->domain, "name"));
    if (*xml_text(x->domain, "uuid") && !place_uuid(d, xml_text(x->domain, "uuid")))
        xml_taken(xml_child(x->domain, "uuid"));
    d->annotation = libvirt_copy(x, xml_text(x->domain, "description"));
    if (d->annotation)
        xml_taken(xml_child(x->domain, "description"));
    d->product = arena_print(&d->arena, "libvirt, %s", type);
    d->persona = libvirt_persona(x, type);
    if (offset)
        d->clock =
            !strcmp(offset, "localtime") || !strcmp(offset, "timezone") ? "localtime" : "utc";
    libvirt_os(x);
    r = libvirt_memory(x);
    r = r ? r : libvirt_cpus(x);
    return r ? r : d->name && d->product ? 0 : -ENOMEM;
}

/* ---- the document ---- */

static int libvirt_snapshot(struct libvirt *x, const struct xml_node *root)
{
    const char *parent = xml_text(xml_child(root, "parent"), "name");
    const char *name = xml_text(root, "name"), *time = xml_text(root, "creationTime");
    struct desc_snapshot *s;

    s = desc_add_snapshot(x->d, *name ? name : "snapshot", *name ? name : "snapshot");
    if (!s)
        return -ENOMEM;
    s->parent = libvirt_copy(x, parent);
    s->about = libvirt_copy(x, xml_text(root, "description"));
    s->time = libvirt_copy(x, time);
    s->current = true;
    note(x->n, NOTE_CHANGED, "snapshot", "the domain is the one inside the snapshot \"%s\"", name);
    return 0;
}

static int libvirt_document(struct libvirt *x, const struct xml_node *root)
{
    int r = 0;

    x->domain = root;
    if (strcmp(root->name, "domain"))
        x->domain = xml_child(root, "domain");
    if (!x->domain)
        return err_set(x->e, -EBADMSG, "%s: describes no domain (root element %.40s)", x->file,
                       root->name);
    x->devices = xml_taken(xml_child(x->domain, "devices"));
    r = libvirt_machine(x);
    if (!r && !strcmp(root->name, "domainsnapshot"))
        r = libvirt_snapshot(x, root);
    if (!strcmp(root->name, "domstatus"))
        note(x->n, NOTE_CHANGED, "state", "the domain was running: it starts anew");
    r = r ? r : libvirt_disks(x);
    r = r ? r : libvirt_devices(x);
    if (r)
        return r;
    libvirt_boot(x);
    return xml_rest(x->d, "libvirt", x->domain, x->file, x->e);
}

static int libvirt_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct libvirt x = { .d = d, .s = s, .n = n, .e = e, .file = source_base(s->path) };
    struct xml_node *root;
    int r = xml_load(&s->arena, s->main, x.file, &root, NULL, e);

    r = r ? r : libvirt_document(&x, root);
    return r == -ENOMEM ? err_set(e, r, "%s: is too long", x.file) : r;
}

static int libvirt_probe(struct source *s)
{
    if (s->kind != SOURCE_FILES || !s->main)
        return 0;
    return xml_is(s->main, "domain") || xml_is(s->main, "domainsnapshot") ||
                   xml_is(s->main, "domstatus")
               ? 90
               : 0;
}

const struct package_format package_libvirt = {
    .name = "libvirt",
    .suffix = ".xml",
    .about = "libvirt: a domain's XML with its disks beside it",
    .probe = libvirt_probe,
    .read = libvirt_read,
    .write = libvirt_write,
};
