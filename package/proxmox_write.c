/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration for qemu-server: settings in order of their names, then the sections that
 * were read.  Volumes are named as Proxmox names them, in the storage "local"; the number of the
 * VM is the target's name when that is one ("100.conf").
 */
#include "package/lost.h"
#include "package/place.h"
#include "package/place_write.h"
#include "package/proxmox_int.h"
#include "package/source.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PVW_LINES 4400

struct pvw {
    const struct desc *d;
    struct sink *s;
    struct notes *n;
    struct err *e;
    struct arena arena;
    const char *lines[PVW_LINES]; /* "key: value" */
    u32 nlines, volumes;
    u64 taken[5]; /* of each bus */
    char id[16], scsihw[32], boot[64][12];
    bool bad; /* there was no memory */
};

static const char *pvw_extra(const struct pvw *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static const char *pvw_extra(const struct pvw *w, const char *fmt, ...)
{
    char key[64];
    const char *s;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(key, sizeof(key), fmt, ap);
    va_end(ap);
    s = desc_extra(w->d, "proxmox", key);
    return s ? s : "";
}

static void pvw_line(struct pvw *w, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void pvw_line(struct pvw *w, const char *key, const char *fmt, ...)
{
    char value[4200];
    const char *line;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    for (char *p = value; *p; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    line = arena_print(&w->arena, "%s: %s", key, value);
    if (!line || w->nlines == PVW_LINES)
        w->bad = true;
    else
        w->lines[w->nlines++] = line;
}

/* Like pvw_line, for texts that may be absent. */
static void pvw_text(struct pvw *w, const char *key, const char *value)
{
    if (value && *value)
        pvw_line(w, key, "%s", value);
}

/* ---- the machine ---- */

static const char *pvw_guest(struct pvw *w, const char *os)
{
    static const struct {
        const char *part, *type;
    } map[] = { { "windows11", "win11" },   { "windows2022", "win11" }, { "windows2019", "win10" },
                { "windows2016", "win10" }, { "win11", "win11" },       { "win10", "win10" },
                { "windows9", "win10" },    { "windows8", "win8" },     { "windows7", "win7" },
                { "win7", "win7" },         { "winxp", "wxp" },         { "winvista", "wvista" },
                { "win", "win10" },         { "linux", "l26" },         { "debian", "l26" },
                { "ubuntu", "l26" },        { "centos", "l26" },        { "rhel", "l26" },
                { "fedora", "l26" },        { "sles", "l26" },          { "suse", "l26" },
                { "solaris", "solaris" } };
    static const char *const own[] = { "other", "wxp",   "w2k",   "w2k3", "w2k8", "wvista", "win7",
                                       "win8",  "win10", "win11", "l24",  "l26",  "solaris" };

    for (size_t i = 0; i < LEN(own); i++)
        if (!strcmp(os, own[i]))
            return own[i];
    for (size_t i = 0; i < LEN(map); i++)
        if (strcasestr(os, map[i].part)) {
            note(w->n, NOTE_CHANGED, "guest", "\"%s\" becomes the ostype %s", os, map[i].type);
            return map[i].type;
        }
    note(w->n, NOTE_CHANGED, "guest", "\"%s\" becomes the ostype other", os);
    return "other";
}

static void pvw_name(struct pvw *w)
{
    char name[128];

    snprintf(name, sizeof(name), "%s", w->d->name);
    for (char *p = name; *p; p++)
        if (!isalnum((u8)*p) && *p != '.' && *p != '-')
            *p = '-';
    if (strcmp(name, w->d->name))
        note(w->n, NOTE_CHANGED, "name", "\"%s\" becomes \"%s\"", w->d->name, name);
    pvw_line(w, "name", "%s", name);
}

static void pvw_adapters(struct pvw *w)
{
    static const char *const vga[] = { "std", "cirrus", "vmware", "qxl", "virtio", "none" };
    static const char *const audio[] = { "AC97", "ich9-intel-hda", "intel-hda" };
    const struct desc *d = w->d;
    const char *type = d->display, *rest = pvw_extra(w, "vga");
    bool own = type && !strncmp(type, "serial", 6);
    char text[2200] = "", uuid[37];
    size_t n;

    if (type && (!strcasecmp(type, "svga") || !strcasecmp(type, "vmvga")))
        type = "vmware";
    for (size_t i = 0; i < LEN(vga); i++)
        own |= type && (!strcmp(type, vga[i]) || (!strncmp(type, "qxl", 3)) ||
                        !strncmp(type, "virtio-", 7));
    if (type && !own)
        note(w->n, NOTE_CHANGED, "display", "%s becomes the standard adapter", type);
    snprintf(text, sizeof(text), "%s", own ? type : "");
    n = strlen(text);
    if (d->video_memory)
        snprintf(text + n, sizeof(text) - n, "%smemory=%llu", n ? "," : "",
                 (unsigned long long)d->video_memory >> 20);
    n = strlen(text);
    if (*rest)
        snprintf(text + n, sizeof(text) - n, "%s%s", n ? "," : "", rest);
    pvw_text(w, "vga", text);
    own = false;
    for (size_t i = 0; i < LEN(audio); i++)
        own |= d->sound && !strcmp(d->sound, audio[i]);
    if (own) {
        rest = pvw_extra(w, "audio0");
        pvw_line(w, "audio0", "device=%s%s%s", d->sound, *rest ? "," : "", rest);
    } else if (d->sound) {
        note(w->n, NOTE_LOST, "sound", "Proxmox has no %s", d->sound);
    }
    rest = pvw_extra(w, "smbios1");
    if (d->has_uuid || *rest)
        pvw_line(w, "smbios1", "%s%s%s%s", d->has_uuid ? "uuid=" : "",
                 d->has_uuid ? place_uuid_text(d, uuid) : "", d->has_uuid && *rest ? "," : "",
                 rest);
}

static int pvw_firmware(struct pvw *w)
{
    const struct desc *d = w->d;
    const char *rest = pvw_extra(w, "efidisk0"), *name;
    int r;

    if (d->firmware == DESC_EFI)
        pvw_line(w, "bios", "ovmf");
    if (d->tpm && !*pvw_extra(w, "tpmstate0"))
        note(w->n, NOTE_LOST, "tpm", "add a tpmstate0 volume: its state is not carried over");
    if (!d->nvram) {
        if (d->firmware == DESC_EFI)
            note(w->n, NOTE_CHANGED, "nvram", "add an efidisk0 volume to keep EFI variables");
        return 0;
    }
    if (!d->nvram_path || sink_options(w->s)->no_disks || !d->product ||
        strcmp(d->product, "Proxmox VE")) {
        if (d->product && !strcmp(d->product, "Proxmox VE"))
            pvw_line(w, "efidisk0", "%s%s%s", d->nvram, *rest ? "," : "", rest);
        else
            note(w->n, NOTE_LOST, "nvram", "the EFI variables \"%s\" have another form", d->nvram);
        return 0;
    }
    name = arena_print(&w->arena, "vm-%s-%s", w->id, source_base(d->nvram_path));
    if (!name)
        return -ENOMEM;
    r = sink_copy(w->s, name, d->nvram_path, d->nvram_offset, d->nvram_length, w->e);
    pvw_line(w, "efidisk0", "local:%s/%s%s%s", w->id, name, *rest ? "," : "", rest);
    return r;
}

static int pvw_machine(struct pvw *w)
{
    const struct desc *d = w->d;
    u32 cores = d->cores_per_socket ? d->cores_per_socket : 1;

    pvw_name(w);
    pvw_line(w, "memory", "%llu", (unsigned long long)d->memory >> 20);
    pvw_line(w, "cores", "%u", cores);
    pvw_line(w, "sockets", "%u", d->cpus / cores);
    if (d->guest_os)
        pvw_line(w, "ostype", "%s", pvw_guest(w, d->guest_os));
    if (d->clock)
        pvw_line(w, "localtime", "%d", !strcmp(d->clock, "localtime"));
    if (d->machine && !strcmp(d->machine, "q35") && !*pvw_extra(w, "machine"))
        pvw_line(w, "machine", "q35");
    if (d->machine && (!strcmp(d->machine, "pv") || !strcmp(d->machine, "pvh")))
        note(w->n, NOTE_CHANGED, "machine", "a Xen %s guest becomes a PC: its disk needs a loader",
             d->machine);
    if (d->kernel)
        note(w->n, NOTE_LOST, "kernel", "the guest's kernel \"%s\" is not started directly",
             d->kernel);
    pvw_adapters(w);
    return pvw_firmware(w);
}

/* ---- drives ---- */

/* The bus for a controller's class; *how: what it was, when it changes. */
static int pvw_bus(const struct pvw *w, const struct desc_disk *k, const char **how)
{
    const struct desc_device *v = desc_device(w->d, k->controller);
    const char *class = v ? v->class : "";

    *how = NULL;
    if (!strcmp(class, "ide"))
        return 0;
    if (!strcmp(class, "ahci"))
        return 1;
    if (!strcmp(class, "virtio_blk"))
        return 3;
    if (!strcmp(class, "virtio_scsi") || !strcmp(class, "pvscsi") || !strncmp(class, "lsi", 3) ||
        !strcmp(class, "megasas") || !strcmp(class, "buslogic"))
        return 2;
    *how = class;
    return k->media == DESC_CDROM ? 0 : 1;
}

/* One kind of SCSI for all: what was read, else by the first controller. */
static void pvw_scsihw(struct pvw *w)
{
    static const struct {
        const char *class, *hw;
        bool same;
    } map[] = { { "virtio_scsi", "virtio-scsi-pci", true },
                { "pvscsi", "pvscsi", true },
                { "lsi53c895a", "lsi", true },
                { "lsi53c810", "lsi53c810", true },
                { "megasas", "megasas", true },
                { "lsisas1068", "lsi", false },
                { "lsilogic", "lsi", false },
                { "buslogic", "lsi", false } };

    snprintf(w->scsihw, sizeof(w->scsihw), "%s", pvw_extra(w, "scsihw"));
    for (const struct desc_device *v = w->d->devices; v && !*w->scsihw; v = v->next)
        for (size_t i = 0; i < LEN(map); i++)
            if (!strcmp(v->class, map[i].class)) {
                snprintf(w->scsihw, sizeof(w->scsihw), "%s", map[i].hw);
                if (!map[i].same)
                    note(w->n, NOTE_CHANGED, v->name, "%s becomes %s", map[i].class, map[i].hw);
                if (!*pvw_extra(w, "disk[0]"))
                    pvw_line(w, "scsihw", "%s", map[i].hw);
                break;
            }
}

/* "scsi3": where it was, else the first free from the unit that it has. */
static bool pvw_slot(struct pvw *w, int bus, u32 want, const char *was, char slot[12])
{
    u32 index, n = 0;

    snprintf(slot, 12, "%.*s", (int)strcspn(was, ","), was);
    if (pve_bus(slot, &index) == bus && !(w->taken[bus] >> index & 1)) {
        w->taken[bus] |= 1ull << index;
        return true;
    }
    for (index = want % pve_most[bus]; n < pve_most[bus] && w->taken[bus] >> index & 1; n++)
        index = (index + 1) % pve_most[bus];
    if (n == pve_most[bus])
        return false;
    w->taken[bus] |= 1ull << index;
    snprintf(slot, 12, "%s%u", pve_buses[bus], index);
    return true;
}

static void pvw_boot_slot(struct pvw *w, u32 place, const char *slot)
{
    if (place && place <= LEN(w->boot))
        memcpy(w->boot[place - 1], slot, 12);
}

/* "32G": in the biggest unit that is exact. */
static void pvw_size(char *to, size_t room, u64 bytes)
{
    static const char units[] = "KMGT";
    unsigned u = 0;

    bytes = (bytes + 1023) / 1024;
    while (u < 3 && bytes && !(bytes & 1023)) {
        bytes >>= 10;
        u++;
    }
    snprintf(to, room, "%llu%c", (unsigned long long)bytes, units[u]);
}

/* The volume's name: "local:100/vm-100-disk-0.qcow2", or as it was when it was not there. */
static int pvw_volume(struct pvw *w, const struct desc_disk *k, char *to, size_t room,
                      struct sink_disk *out)
{
    bool cd = k->media == DESC_CDROM;
    char stem[300];
    int r;

    snprintf(stem, sizeof(stem), "vm-%s-%s-%u", w->id, cd ? "cd" : "disk", w->volumes);
    r = place_out(w->s, k, stem, "qcow2 raw vmdk", out, w->n, w->e);
    if (r)
        return r;
    w->volumes += !cd;
    w->volumes += cd && out->name;
    if (!out->name)
        snprintf(to, room, "none");
    else if (!out->size || *out->name == '/' || sink_options(w->s)->no_disks)
        snprintf(to, room, "%s", out->name);
    else if (cd)
        snprintf(to, room, "local:iso/%s", out->name);
    else
        snprintf(to, room, "local:%s/%s", w->id, out->name);
    return 0;
}

static int pvw_disk(struct pvw *w, const struct desc_disk *k, u32 i)
{
    const char *was = pvw_extra(w, "disk[%u]", i), *rest = strchr(was, ','), *how;
    char slot[12], volume[1100], size[32] = "", serial[256] = "";
    int bus = pvw_bus(w, k, &how), r;
    struct sink_disk out;

    if (k->media == DESC_FLOPPY) {
        note(w->n, NOTE_LOST, k->name, "Proxmox has no floppy drives");
        return 0;
    }
    r = pvw_volume(w, k, volume, sizeof(volume), &out);
    if (r)
        return r;
    if (!pvw_slot(w, bus, k->unit, was, slot) && !pvw_slot(w, 2, k->unit, "", slot))
        return err_set(w->e, -E2BIG, "%s: Proxmox has no place for so many drives", k->name);
    if (how)
        note(w->n, NOTE_CHANGED, k->name, "its controller %s becomes %s", how, slot);
    if (out.capacity || k->capacity)
        pvw_size(size, sizeof(size), out.capacity ? out.capacity : k->capacity);
    for (const char *p = k->serial; p && *p && strlen(serial) < sizeof(serial) - 4; p++)
        sprintf(serial + strlen(serial),
                isalnum((u8)*p) || *p == '-' || *p == '_' ? "%c" : "%%%02X", (u8)*p);
    pvw_line(w, slot, "%s%s%s%s%s%s%s%s%s", volume, rest ? rest : "",
             k->media == DESC_CDROM ? ",media=cdrom" : "",
             k->mode == DESC_THROWAWAY ? ",snapshot=1" : "",
             k->mode == DESC_READ && k->media == DESC_DISK ? ",ro=1" : "",
             *serial ? ",serial=" : "", serial, *size ? ",size=" : "", size);
    pvw_boot_slot(w, k->boot, slot);
    return 0;
}

/* ---- network, ports ---- */

static const char *pvw_model(struct pvw *w, const struct desc_nic *c)
{
    static const struct {
        const char *name, *model;
        bool same;
    } map[] = { { "e1000-82540em", "e1000-82540em", true },
                { "e1000-82544gc", "e1000-82544gc", true },
                { "e1000-82545em", "e1000-82545em", true },
                { "e1000", "e1000", true },
                { "e1000e", "e1000e", true },
                { "rtl8139", "rtl8139", true },
                { "vmxnet3", "vmxnet3", true },
                { "virtio_net", "virtio", true },
                { "i82551", "i82551", true },
                { "i82557b", "i82557b", true },
                { "i82559er", "i82559er", true },
                { "ne2k_isa", "ne2k_isa", true },
                { "ne2k_pci", "ne2k_pci", true },
                { "pcnet", "pcnet", true },
                { "xen_net", "virtio", false } };

    for (size_t i = 0; i < LEN(map); i++)
        if ((c->foreign && !strcasecmp(c->foreign, map[i].name)) ||
            !strcmp(c->class, map[i].name)) {
            if (!map[i].same)
                note(w->n, NOTE_CHANGED, c->name, "%s becomes %s", c->class, map[i].model);
            return map[i].model;
        }
    note(w->n, NOTE_CHANGED, c->name, "%s becomes e1000", c->foreign ? c->foreign : c->class);
    return "e1000";
}

static void pvw_nic(struct pvw *w, const struct desc_nic *c, u32 i)
{
    const char *was = pvw_extra(w, "net[%u]", i), *rest = strchr(was, ','), *bridge = c->network;
    char slot[12], mac[18];

    if (!pvw_slot(w, 4, i, was, slot)) {
        note(w->n, NOTE_LOST, c->name, "Proxmox has no place for so many network cards");
        return;
    }
    if (bridge && !*was && strncmp(bridge, "vmbr", 4)) {
        note(w->n, NOTE_CHANGED, c->name, "its network \"%s\" becomes vmbr0", bridge);
        bridge = "vmbr0";
    }
    place_mac_text(c, mac);
    for (char *p = mac; *p; p++)
        *p = (char)toupper((u8)*p);
    pvw_line(w, slot, "%s%s%s%s%s%s%s", pvw_model(w, c), *mac ? "=" : "", mac,
             bridge ? ",bridge=" : "", bridge ? bridge : "", c->connected ? "" : ",link_down=1",
             rest ? rest : "");
    pvw_boot_slot(w, c->boot, slot);
}

static void pvw_ports(struct pvw *w)
{
    u32 serial = 0, parallel = 0;

    for (const struct desc_port *p = w->d->ports; p; p = p->next) {
        bool s = p->kind == DESC_SERIAL;
        long number = place_number(p->name);
        u32 at = s ? serial++ : parallel++;
        char key[32];

        if (number >= 0 && number < 4)
            at = (u32)number;
        snprintf(key, sizeof(key), "%s%u", s ? "serial" : "parallel", at);
        if (at > 3 || (!s && !p->target))
            note(w->n, NOTE_LOST, p->name, "Proxmox has no place for it");
        else if (!strcmp(p->to, "device") && p->target)
            pvw_line(w, key, "%s", p->target);
        else {
            pvw_line(w, key, "socket");
            if (strcmp(p->to, "socket"))
                note(w->n, NOTE_CHANGED, p->name, "\"%s\" becomes a socket", p->to);
        }
    }
}

static int pvw_devices(struct pvw *w)
{
    char order[64 * 13] = "";
    u32 i = 0;
    int r = 0;

    pvw_scsihw(w);
    for (const struct desc_disk *k = w->d->disks; !r && k; k = k->next)
        r = pvw_disk(w, k, i++);
    i = 0;
    for (const struct desc_nic *c = w->d->nics; c; c = c->next)
        pvw_nic(w, c, i++);
    pvw_ports(w);
    for (u32 b = 0; b < LEN(w->boot); b++)
        if (*w->boot[b])
            snprintf(order + strlen(order), sizeof(order) - strlen(order), "%s%s",
                     *order ? ";" : "order=", w->boot[b]);
    pvw_text(w, "boot", order);
    return r;
}

/* ---- the file ---- */

static void pvw_lost(struct pvw *w)
{
    const struct desc *d = w->d;

    for (const struct desc_snapshot *p = d->snapshots; p; p = p->next) {
        char key[200];

        snprintf(key, sizeof(key), "[%s]", p->name);
        if (!desc_extra(d, "proxmox", key))
            note(w->n, NOTE_LOST, p->name, "the snapshot's state of the disks is not carried over");
        else
            note(w->n, NOTE_CHANGED, p->name,
                 "the snapshot's settings are kept; its state of the disks is in the old volumes");
    }
    if (d->secure_boot && !*pvw_extra(w, "efidisk0"))
        note(w->n, NOTE_LOST, "secure boot", "needs an efidisk0 with enrolled keys");
    lost_vms(d, w->n);
    place_lost(d, "proxmox", w->n);
}

static int pvw_about(const struct desc *d, struct buf *to)
{
    int r = d->annotation ? buf_text(to, "#") : 0;

    for (const char *p = d->annotation; !r && p && *p; p++) {
        if (*p == '\n')
            r = buf_text(to, "\n#");
        else if (*p == '%' || (u8)*p < 0x20 || (u8)*p >= 0x7f)
            r = buf_text(to, "%%%02X", (u8)*p);
        else
            r = buf_add(to, p, 1);
    }
    return r || !d->annotation ? r : buf_text(to, "\n");
}

static int pvw_by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int pvw_print(struct pvw *w, struct buf *to)
{
    int r = pvw_about(w->d, to);

    for (const struct desc_extra *x = w->d->extras; !r && x; x = x->next) {
        if (strcmp(x->format, "proxmox") || strchr(x->key, '[') || !strcmp(x->key, "efidisk0") ||
            !strcmp(x->key, "vga") || !strcmp(x->key, "audio0") || !strcmp(x->key, "smbios1"))
            continue;
        if (*x->key == '#')
            r = buf_text(to, "%s\n", x->value);
        else
            pvw_line(w, x->key, "%s", x->value);
    }
    qsort(w->lines, w->nlines, sizeof(w->lines[0]), pvw_by_text);
    for (u32 i = 0; !r && i < w->nlines; i++)
        r = buf_text(to, "%s\n", w->lines[i]);
    for (const struct desc_extra *x = w->d->extras; !r && x; x = x->next)
        if (!strcmp(x->format, "proxmox") && *x->key == '[')
            r = buf_text(to, "\n%s\n%s", x->key, x->value);
    return r || w->bad ? -ENOMEM : 0;
}

int proxmox_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    struct pvw *w = calloc(1, sizeof(*w));
    struct buf text = { 0 };
    int r;

    if (!w)
        return err_set(e, -ENOMEM, "no memory");
    *w = (struct pvw){ .d = d, .s = s, .n = n, .e = e };
    snprintf(w->id, sizeof(w->id), "%.9s", sink_name(s));
    if (!*w->id || strspn(w->id, "0123456789") != strlen(w->id) || strlen(sink_name(s)) > 9)
        snprintf(w->id, sizeof(w->id), "100");
    r = pvw_machine(w);
    r = r ? r : pvw_devices(w);
    pvw_lost(w);
    if (!r && (r = pvw_print(w, &text)))
        err_set(e, r, "no memory");
    if (!r)
        r = sink_text(s, sink_main(s), text.p, text.len, e);
    buf_fini(&text);
    arena_fini(&w->arena);
    free(w);
    return r;
}
