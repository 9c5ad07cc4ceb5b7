/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Proxmox VE's qemu-server configurations, after qm.conf(5): "key: value" lines, a section per
 * snapshot.  Volumes ("local:100/vm-100-disk-0.qcow2") are looked for beside the file by their
 * last component.  Left out: vma archives, storages themselves.
 */
#include "package/number.h"
#include "package/place.h"
#include "package/proxmox_int.h"
#include "package/source.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define PVE_MAX (1u << 20)
#define PVE_KEYS 4096
#define PVE_SLOTS 96

struct pve_slot { /* what became of "scsi3" or "net0" */
    char name[12];
    struct desc_disk *disk;
    struct desc_nic *nic;
};

struct pve {
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file;
    struct {
        char *key, *value;
        bool taken;
    } keys[PVE_KEYS];
    u32 nkeys;
    struct buf about; /* the description's lines */
    struct pve_slot slots[PVE_SLOTS];
    u32 nslots, ndisks, nnics;
    struct desc_device *scsi[31], *virtio;
};

/* The last one counts. */
static const char *pve_get(struct pve *x, const char *key)
{
    const char *value = "";

    for (u32 i = 0; i < x->nkeys; i++)
        if (!strcmp(x->keys[i].key, key)) {
            x->keys[i].taken = true;
            value = x->keys[i].value;
        }
    return value;
}

static const char *pve_keep(struct pve *x, const char *key)
{
    const char *s = pve_get(x, key);

    return *s ? desc_text(x->d, "%s", s) : NULL;
}

/* ---- lines and sections ---- */

/* "%0A" and the like undone, in place. */
static char *pve_decode(char *s)
{
    char *to = s;

    for (const char *p = s; *p; p++) {
        if (*p == '%' && isxdigit((u8)p[1]) && isxdigit((u8)p[2])) {
            char hex[3] = { p[1], p[2], 0 };
            char c = (char)strtoul(hex, NULL, 16);

            if (c)
                *to++ = c;
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = 0;
    return s;
}

static int pve_about(struct buf *to, char *line)
{
    int r = to->len ? buf_add(to, "\n", 1) : 0;

    return r ? r : buf_text(to, "%s", pve_decode(line));
}

/* One line of the first section. */
static int pve_line(struct pve *x, char *line, u32 number)
{
    char *colon = strchr(line, ':'), *value, *end;
    size_t n;

    if (!strncmp(line, "#qmdump#", 8)) /* vzdump's own */
        return desc_add_extra(x->d, "proxmox", "#qmdump", line);
    if (*line == '#')
        return pve_about(&x->about, line + 1);
    n = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (!*line)
        return 0;
    if (!n || line[n] != ':') {
        note(x->n, NOTE_LOST, x->file, "line %u is no setting: \"%.60s\"", number, line);
        return 0;
    }
    *colon = 0;
    for (value = colon + 1; isspace((u8)*value); value++)
        ;
    for (end = value + strlen(value); end > value && isspace((u8)end[-1]);)
        *--end = 0;
    if (!strcmp(line, "description"))
        return pve_about(&x->about, value);
    if (x->nkeys >= PVE_KEYS)
        return err_set(x->e, -E2BIG, "%s: more than %d settings", x->file, PVE_KEYS);
    x->keys[x->nkeys].key = line;
    x->keys[x->nkeys++].value = value;
    return 0;
}

static const char *pve_time(struct desc *d, const char *seconds)
{
    time_t t = (time_t)strtoll(seconds, NULL, 10);
    char text[40];
    struct tm tm;

    if (!gmtime_r(&t, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
        return NULL;
    return desc_text(d, "%s", text);
}

/* A whole section, its lines ended by newlines: kept, and a snapshot known by it. */
static int pve_section(struct pve *x, const char *name, const char *lines)
{
    char key[200], *text, *next, *line;
    struct desc_snapshot *p;
    struct buf about = { 0 };
    int r = 0;

    snprintf(key, sizeof(key), "[%s]", name);
    if (desc_add_extra(x->d, "proxmox", key, lines))
        return -ENOMEM;
    if (!strcasecmp(name, "pending") || !strncasecmp(name, "special:", 8))
        return 0;
    p = desc_add_snapshot(x->d, name, name);
    text = strdup(lines);
    if (!p || !text) {
        free(text);
        return -ENOMEM;
    }
    for (next = text; !r && (line = strsep(&next, "\n"));) {
        if (*line == '#')
            r = pve_about(&about, line + 1);
        else if (!strncmp(line, "parent: ", 8))
            p->parent = desc_text(x->d, "%s", line + 8);
        else if (!strncmp(line, "snaptime: ", 10))
            p->time = pve_time(x->d, line + 10);
    }
    if (!r && about.len)
        p->about = arena_text(&x->d->arena, (const char *)about.p, about.len);
    buf_fini(&about);
    free(text);
    return r;
}

/* "[name]": the name, or NULL */
static char *pve_header(char *line)
{
    char *end = strchr(line, ']');

    if (*line != '[' || !end || end == line + 1 || end[1 + strspn(end + 1, " \t\r")] ||
        end - line > 120)
        return NULL;
    *end = 0;
    return line + 1;
}

static int pve_lines(struct pve *x, char *text)
{
    struct buf lines = { 0 };
    char *line, *name, *section = NULL;
    u32 number = 0;
    int r = 0;

    while (!r && (line = strsep(&text, "\n"))) {
        size_t n = strlen(line);

        number++;
        while (n && isspace((u8)line[n - 1]))
            line[--n] = 0;
        name = pve_header(line);
        if (name) {
            r = buf_add(&lines, "", 1);
            r = r ? r : section ? pve_section(x, section, (const char *)lines.p) : 0;
            section = name;
            buf_fini(&lines);
        } else if (section) {
            r = n ? buf_text(&lines, "%s\n", line) : 0;
        } else {
            r = pve_line(x, line, number);
        }
    }
    if (!r && section && !(r = buf_add(&lines, "", 1)))
        r = pve_section(x, section, (const char *)lines.p);
    buf_fini(&lines);
    return r;
}

/* ---- the machine ---- */

static int pve_number(struct pve *x, const char *key, u64 most, u64 *v)
{
    const char *s = pve_get(x, key);

    if (!strncmp(s, "current=", 8))
        s += 8;
    if (!*s)
        return 0;
    if (!number_decimal(s, v) || !*v || *v > most)
        return err_set(x->e, -EBADMSG, "%s: %s: \"%.40s\" is not a number from 1 to %llu", x->file,
                       key, s, (unsigned long long)most);
    return 0;
}

/* The rest of an option text, when there is one. */
static int pve_leave(struct pve *x, const char *key, const char *rest)
{
    return *rest ? desc_add_extra(x->d, "proxmox", key, rest) : 0;
}

static int pve_adapters(struct pve *x)
{
    struct desc *d = x->d;
    struct pve_options o;
    const char *v;
    u64 mib;
    int r;

    if (!pve_options(&o, pve_get(x, "vga")))
        return -E2BIG;
    v = pve_first(&o, "type");
    d->display = *v ? desc_text(d, "%s", v) : NULL;
    v = pve_take(&o, "memory");
    mib = v ? strtoull(v, NULL, 10) : 0;
    d->video_memory = (mib & 0xfffff) << 20;
    r = pve_leave(x, "vga", o.rest);
    if (r || !pve_options(&o, pve_get(x, "audio0")))
        return r ? r : -E2BIG;
    v = pve_first(&o, "device");
    d->sound = *v ? desc_text(d, "%s", v) : NULL;
    r = pve_leave(x, "audio0", o.rest);
    if (r || !pve_options(&o, pve_get(x, "smbios1")))
        return r ? r : -E2BIG;
    v = pve_take(&o, "uuid");
    if (v && place_uuid(d, v))
        note(x->n, NOTE_LOST, "uuid", "\"%.60s\" is no UUID", v);
    return pve_leave(x, "smbios1", o.rest);
}

static void pve_nvram_file(struct pve *x)
{
    const char *base = strrchr(x->d->nvram, '/');
    const struct source_file *f;
    struct err e = { 0 };

    base = base ? base + 1 : strchr(x->d->nvram, ':') ? strchr(x->d->nvram, ':') + 1 : x->d->nvram;
    if (*base && !source_find(x->s, base, &f, &e))
        x->d->nvram_path = arena_text(&x->d->arena, f->path, strlen(f->path));
    else
        note(x->n, NOTE_LOST, "nvram", "the EFI variables \"%.200s\" are not beside it",
             x->d->nvram);
}

static int pve_firmware(struct pve *x)
{
    struct desc *d = x->d;
    struct pve_options o;
    const char *v;
    int r;

    if (!strcmp(pve_get(x, "bios"), "ovmf"))
        d->firmware = DESC_EFI;
    if (!pve_options(&o, pve_get(x, "efidisk0")))
        return -E2BIG;
    v = pve_first(&o, "file");
    if (*v) {
        d->nvram = desc_text(d, "%s", v);
        if (!d->nvram)
            return -ENOMEM;
        pve_nvram_file(x);
    }
    d->secure_boot = strstr(o.rest, "pre-enrolled-keys=1") != NULL;
    r = pve_leave(x, "efidisk0", o.rest);
    for (u32 i = 0; i < x->nkeys; i++)
        d->tpm |= !strcmp(x->keys[i].key, "tpmstate0");
    return r;
}

/* "q35", "pc-q35-5.1", "pc-i440fx-9.1", "type=q35,viommu=intel": the exact text is kept too. */
static int pve_model(struct pve *x)
{
    const char *s = pve_get(x, "machine");

    x->d->machine = strstr(s, "q35") ? "q35" : strstr(s, "virt") ? NULL : "i440fx";
    return *s && strcmp(s, "q35") ? desc_add_extra(x->d, "proxmox", "machine", s) : 0;
}

static int pve_machine(struct pve *x)
{
    u64 mib = 512, sockets = 1, cores = 1;
    struct desc *d = x->d;
    const char *s;
    int r = pve_number(x, "memory", 1 << 26, &mib);

    r = r ? r : pve_number(x, "sockets", 64, &sockets);
    r = r ? r : pve_number(x, "cores", 1024, &cores);
    r = r ? r : pve_adapters(x);
    r = r ? r : pve_firmware(x);
    r = r ? r : pve_model(x);
    if (r)
        return r;
    d->memory = mib << 20;
    if (sockets * cores > 4096)
        return err_set(x->e, -EBADMSG, "%s: %llu sockets of %llu cores are too many", x->file,
                       (unsigned long long)sockets, (unsigned long long)cores);
    d->cpus = (u32)(sockets * cores);
    d->cores_per_socket = (u32)cores;
    d->persona = "kvm";
    d->product = "Proxmox VE";
    s = pve_get(x, "name");
    d->name =
        *s ? desc_text(d, "%s", s) : desc_text(d, "%.*s", (int)strcspn(x->file, ".~ "), x->file);
    d->guest_os = pve_keep(x, "ostype");
    s = pve_get(x, "localtime");
    if (*s)
        d->clock = *s == '1' ? "localtime" : "utc";
    if (x->about.len)
        d->annotation = arena_text(&d->arena, (const char *)x->about.p, x->about.len);
    return 0;
}

/* ---- drives ---- */

/* The controller that Proxmox makes for "scsi9": by sevens for LSI, one each for "single". */
static struct desc_device *pve_scsi(struct pve *x, const char *hw, u32 index, u32 *unit)
{
    bool lsi = !strncmp(hw, "lsi", 3) || !*hw, single = !strcmp(hw, "virtio-scsi-single");
    u32 at = lsi ? index / 7 : single ? index : 0;

    *unit = lsi ? index % 7 : single ? 0 : index;
    if (!x->scsi[at])
        x->scsi[at] = place_controller(x->d, x->n, NAME_SCSI, *hw ? hw : "lsi");
    return x->scsi[at];
}

static struct desc_device *pve_controller(struct pve *x, int bus, u32 index, u32 *unit)
{
    enum name_kind kind = bus == 0 ? NAME_IDE : NAME_SATA;
    struct desc_device *v;

    *unit = index;
    if (bus == 2)
        return pve_scsi(x, pve_get(x, "scsihw"), index, unit);
    if (bus == 3) {
        if (!x->virtio)
            x->virtio = place_controller(x->d, x->n, NAME_SCSI, "virtio");
        return x->virtio;
    }
    v = desc_device(x->d, bus == 0 ? "ide0" : "sata0");
    return v ? v : place_controller(x->d, x->n, kind, "");
}

static struct pve_slot *pve_slot(struct pve *x, const char *name)
{
    struct pve_slot *s = &x->slots[x->nslots];

    if (x->nslots == PVE_SLOTS)
        return NULL;
    x->nslots++;
    snprintf(s->name, sizeof(s->name), "%s", name);
    return s;
}

static int pve_volume(struct pve *x, struct desc_disk *k, const char *volume)
{
    static const char *const suffixes[] = { ".qcow2", ".raw", ".vmdk", ".img",
                                            ".vhdx",  ".vhd", ".vdi",  NULL };
    const char *dot;
    int r;

    if (!*volume || !strcmp(volume, "none"))
        return 0;
    if (!strcmp(volume, "cdrom")) {
        note(x->n, NOTE_CHANGED, k->name, "the host's own drive becomes an empty one");
        return 0;
    }
    r = place_source(x->d, x->s, x->n, k, volume, suffixes);
    if (r || k->format)
        return r;
    dot = strrchr(k->source, '.');
    if (dot && (!strcmp(dot, ".qcow2") || !strcmp(dot, ".vmdk") || !strcmp(dot, ".vhdx")))
        k->format = desc_text(x->d, "%s", dot + 1);
    else if (!dot || strchr(dot, '/')) /* a block storage's: these are always raw */
        k->format = "raw";
    return 0;
}

static int pve_drive(struct pve *x, const char *key, const char *value, int bus, u32 index)
{
    struct desc_device *v;
    struct pve_slot *slot = pve_slot(x, key);
    struct pve_options o;
    char volume[PVE_TEXT], extra[32];
    const char *s;
    struct desc_disk *k;
    bool cd;
    u32 unit;
    int r;

    if (!slot || !pve_options(&o, value))
        return -E2BIG;
    snprintf(volume, sizeof(volume), "%s", pve_first(&o, "file"));
    s = pve_take(&o, "media");
    cd = s && !strcmp(s, "cdrom");
    v = pve_controller(x, bus, index, &unit);
    k = v ? place_disk(x->d, x->n, cd ? DESC_CDROM : DESC_DISK, v, unit) : NULL;
    if (!k)
        return -ENOMEM;
    slot->disk = k;
    s = pve_take(&o, "size");
    if (s && !pve_size(s, &k->capacity))
        note(x->n, NOTE_LOST, k->name, "its size \"%.40s\" is not understood", s);
    s = pve_take(&o, "serial");
    k->serial = s ? desc_text(x->d, "%s", pve_decode((char *)s)) : NULL;
    s = pve_take(&o, "snapshot");
    if (s && (*s == '1' || !strcmp(s, "on")))
        k->mode = DESC_THROWAWAY;
    s = pve_take(&o, "ro");
    if (s && (*s == '1' || !strcmp(s, "on")))
        k->mode = DESC_READ;
    r = pve_volume(x, k, volume);
    snprintf(extra, sizeof(extra), "disk[%u]", x->ndisks++);
    snprintf(volume, sizeof(volume), "%s%s%.*s", key, *o.rest ? "," : "", PVE_TEXT - 20, o.rest);
    return r ? r : desc_add_extra(x->d, "proxmox", extra, volume);
}

static int pve_net(struct pve *x, const char *key, const char *value)
{
    static const char *const models[] = { "virtio",        "e1000",         "rtl8139",
                                          "vmxnet3",       "e1000e",        "e1000-82540em",
                                          "e1000-82544gc", "e1000-82545em", "i82551",
                                          "i82557b",       "i82559er",      "ne2k_isa",
                                          "ne2k_pci",      "pcnet" };
    struct pve_slot *slot = pve_slot(x, key);
    struct pve_options o;
    char extra[32], text[PVE_TEXT], mac[40] = "", model[40] = "";
    struct desc_nic *c;
    const char *s;

    if (!slot || !pve_options(&o, value))
        return -E2BIG;
    if ((s = pve_take(&o, "macaddr")))
        snprintf(mac, sizeof(mac), "%s", s);
    for (size_t i = 0; i < LEN(models) && !*model; i++)
        if ((s = pve_take(&o, models[i]))) {
            snprintf(mac, sizeof(mac), "%s", s);
            snprintf(model, sizeof(model), "%s", models[i]);
        }
    if (!*model)
        snprintf(model, sizeof(model), "%s", pve_first(&o, "model"));
    c = place_nic(x->d, x->n, *model ? model : "rtl8139");
    if (!c)
        return -ENOMEM;
    slot->nic = c;
    if (*mac && !place_mac(c, mac))
        note(x->n, NOTE_LOST, c->name, "its address \"%s\" is no MAC address", mac);
    s = pve_take(&o, "bridge");
    c->network = s ? desc_text(x->d, "%s", s) : NULL;
    s = pve_take(&o, "link_down");
    c->connected = !s || (*s != '1' && strcmp(s, "on"));
    snprintf(extra, sizeof(extra), "net[%u]", x->nnics++);
    snprintf(text, sizeof(text), "%s%s%.*s", key, *o.rest ? "," : "", PVE_TEXT - 20, o.rest);
    return desc_add_extra(x->d, "proxmox", extra, text);
}

/* All drives and cards, bus by bus, in order of their numbers. */
static int pve_devices(struct pve *x)
{
    int r = 0;

    for (int b = 0; b < 5; b++)
        for (u32 i = 0; !r && i < pve_most[b]; i++) {
            const char *value;
            char key[16];

            snprintf(key, sizeof(key), "%s%u", pve_buses[b], i);
            value = pve_get(x, key);
            if (*value)
                r = b == 4 ? pve_net(x, key, value) : pve_drive(x, key, value, b, i);
        }
    for (unsigned i = 0; !r && i < 8; i++) {
        enum desc_port_kind kind = i < 4 ? DESC_SERIAL : DESC_PARALLEL;
        struct desc_port *p;
        const char *value;
        char key[16];

        snprintf(key, sizeof(key), "%s%u", i < 4 ? "serial" : "parallel", i & 3);
        value = pve_get(x, key);
        if (!*value)
            continue;
        p = desc_add_port(x->d, key, kind, *value == '/' ? "device" : value);
        if (!p || (*value == '/' && !(p->target = desc_text(x->d, "%s", value))))
            r = -ENOMEM;
    }
    return r;
}

/* ---- boot order ---- */

static void pve_boot_slot(struct pve *x, const char *name, u32 *place)
{
    for (u32 i = 0; i < x->nslots; i++) {
        struct pve_slot *s = &x->slots[i];
        u32 *boot = s->disk ? &s->disk->boot : s->nic ? &s->nic->boot : NULL;

        if (boot && !*boot && !strcmp(s->name, name))
            *boot = (*place)++;
    }
}

/* "order=scsi0;ide2;net0", or of old "cdn" beside "bootdisk" */
static void pve_boot(struct pve *x)
{
    char text[512], *next = text, *one;
    u32 place = 1;
    const char *letters = NULL;

    for (u32 i = 0; i < x->nkeys; i++)
        if (!strcmp(x->keys[i].key, "boot"))
            letters = x->keys[i].value;
    if (letters && (!*letters || strchr(letters, '='))) {
        if (strncmp(letters, "order=", 6) || strlen(letters) >= sizeof(text) || !letters[6])
            return; /* none at all: kept as it is */
        snprintf(text, sizeof(text), "%s", pve_get(x, "boot") + 6);
        while ((one = strsep(&next, ";")))
            pve_boot_slot(x, one, &place);
        pve_get(x, "bootdisk");
        return;
    }
    snprintf(text, sizeof(text), "%s", pve_get(x, "bootdisk"));
    if (!letters && !*text)
        return;
    pve_get(x, "boot");
    for (const char *p = letters ? letters : "cdn"; *p; p++) {
        if (*p == 'c')
            pve_boot_slot(x, text, &place);
        for (u32 i = 0; i < x->nslots; i++) {
            const struct pve_slot *s = &x->slots[i];

            if ((*p == 'd' && s->disk && s->disk->media == DESC_CDROM) || (*p == 'n' && s->nic))
                pve_boot_slot(x, s->name, &place);
        }
    }
}

/* Does the same setting stand there once more? */
static bool pve_again(const struct pve *x, u32 i)
{
    for (u32 k = i + 1; k < x->nkeys; k++)
        if (!strcmp(x->keys[k].key, x->keys[i].key))
            return true;
    return false;
}

static int pve_left(struct pve *x)
{
    const char *parent = pve_get(x, "parent");
    int r = 0;

    for (struct desc_snapshot *p = x->d->snapshots; p; p = p->next)
        p->current = !strcmp(p->id, parent);
    for (u32 i = 0; !r && i < x->nkeys; i++) {
        const char *key = x->keys[i].key;

        if ((x->keys[i].taken && strcmp(key, "parent")) || pve_again(x, i))
            continue;
        r = desc_add_extra(x->d, "proxmox", key, x->keys[i].value);
        if (!strncmp(key, "hostpci", 7) || (!strncmp(key, "usb", 3) && isdigit((u8)key[3])))
            note(x->n, NOTE_LOST, key, "\"%s\": devices of the host are not passed through",
                 x->keys[i].value);
        if (!strncmp(key, "unused", 6))
            note(x->n, NOTE_LOST, key, "the volume \"%s\" is no drive of the VM: it stays behind",
                 x->keys[i].value);
    }
    return r;
}

static int pve_probe(struct source *s)
{
    static const char *const keys[] = { "memory",  "cores",    "sockets", "ostype", "scsihw",
                                        "smbios1", "bootdisk", "vmgenid", "boot",   "numa",
                                        "machine", "bios",     "agent",   "balloon" };
    char text[8193], *next = text, *line;
    bool named;
    int hits = 0;
    u32 index;
    size_t n;

    if (s->kind != SOURCE_FILES || !s->main || s->main->size > PVE_MAX ||
        !source_head(s->main, text, sizeof(text)))
        return 0;
    while ((line = strsep(&next, "\n"))) {
        for (size_t i = 0; i < LEN(keys); i++) {
            size_t len = strlen(keys[i]);

            hits += !strncmp(line, keys[i], len) && line[len] == ':';
        }
        n = strcspn(line, ":");
        line[n] = 0;
        hits += n < 10 && pve_bus(line, &index) >= 0;
    }
    named = source_has_suffix(s->main->name, ".conf");
    return hits >= 3 || (named && hits >= 2) ? 60 + 20 * named : 0;
}

static int pve_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct pve *x = calloc(1, sizeof(*x));
    struct buf text;
    int r = source_load(s->main, PVE_MAX, &text, e);

    if (r || !x) {
        free(x);
        return r ? r : err_set(e, -ENOMEM, "no memory");
    }
    *x = (struct pve){ .d = d, .s = s, .n = n, .e = e, .file = source_base(s->path) };
    if (memchr(text.p, 0, text.len))
        r = err_set(e, -EBADMSG, "%s: is no text", x->file);
    r = r ? r : pve_lines(x, (char *)text.p);
    r = r ? r : pve_machine(x);
    r = r ? r : pve_devices(x);
    if (!r)
        pve_boot(x);
    if (!r && *pve_get(x, "scsihw"))
        r = desc_add_extra(d, "proxmox", "scsihw", pve_get(x, "scsihw"));
    r = r ? r : pve_left(x);
    if (r == -ENOMEM || (r == -E2BIG && !e->text[0]))
        err_set(e, r, "%s: is too long", x->file);
    buf_fini(&x->about);
    buf_fini(&text);
    free(x);
    return r;
}

const struct package_format package_proxmox = {
    .name = "proxmox",
    .suffix = ".conf",
    .about = "Proxmox VE: a VM's configuration with its volumes beside it",
    .probe = pve_probe,
    .read = pve_read,
    .write = proxmox_write,
};
