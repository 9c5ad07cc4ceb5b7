/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a VMX with its disks as monolithic sparse VMDKs beside it.  A setting that came from a
 * VMX and is in the extras is written as it was; it wins over what would be made up here.
 */
#include "package/lost.h"
#include "package/sink.h"
#include "package/vmx_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define VMX_HARDWARE 13 /* ESXi 6.5, Workstation 14 */

struct vmx_slots { /* a controller as VMware has it */
    const struct desc_device *v;
    const char *prefix, *device;
    unsigned bus, units;
    u64 used;
};

struct vmx_out {
    const struct desc *d;
    struct sink *s;
    struct notes *n;
    struct err *e;
    struct buf text;
    struct vmx_slots buses[4 * VMX_BUSES + 1];
    unsigned nbuses, disks;
    int error;
};

static const char *out_extra(const struct vmx_out *w, const char *key)
{
    for (const struct desc_extra *x = w->d->extras; x; x = x->next)
        if (!strcmp(x->format, "vmx") && !strcasecmp(x->key, key))
            return x->value;
    return NULL;
}

static void out_put(struct vmx_out *w, const char *value, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void out_put(struct vmx_out *w, const char *value, const char *fmt, ...)
{
    char key[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(key, sizeof(key), fmt, ap);
    va_end(ap);
    if (!w->error && value && !out_extra(w, key))
        w->error = vmx_line(&w->text, key, value);
}

static void out_number(struct vmx_out *w, u64 value, const char *key)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    out_put(w, text, "%s", key);
}

/* ---- the machine ---- */

static void out_memory(struct vmx_out *w)
{
    u64 mib = (w->d->memory + (1 << 20) - 1) >> 20;

    if (w->d->memory & ((1 << 20) - 1))
        note(w->n, NOTE_CHANGED, "memory", "%llu bytes are %llu MiB, the next that can be said",
             (unsigned long long)w->d->memory, (unsigned long long)mib);
    out_number(w, mib, "memsize");
}

static void out_guest(struct vmx_out *w)
{
    const char *guest = w->d->guest_os;
    bool exact = true;

    if (!guest)
        return;
    out_put(w, vmx_guest(guest, &exact), "guestOS");
    if (!exact)
        note(w->n, NOTE_CHANGED, "guest system", "\"%s\" is called \"%s\" there", guest,
             vmx_guest(guest, &exact));
}

/* VMware's own variables only: another firmware's mean nothing to it. */
static int out_nvram(struct vmx_out *w)
{
    const struct desc *d = w->d;
    char magic[4] = "", name[300];
    int fd = d->nvram_path ? open(d->nvram_path, O_RDONLY | O_CLOEXEC) : -1;
    bool ours =
        fd >= 0 && pread(fd, magic, 4, (off_t)d->nvram_offset) == 4 && !memcmp(magic, "MRVN", 4);

    if (fd >= 0)
        close(fd);
    if (!d->nvram)
        return 0;
    if (ours && !sink_options(w->s)->no_disks) {
        snprintf(name, sizeof(name), "%.250s.nvram", sink_name(w->s));
        out_put(w, name, "nvram");
        return sink_copy(w->s, name, d->nvram_path, d->nvram_offset, d->nvram_length, w->e);
    }
    if (!strcmp(d->persona, "vmware") && source_has_suffix(d->nvram, ".nvram"))
        out_put(w, d->nvram, "nvram"); /* made anew when it is not there */
    else
        note(w->n, NOTE_LOST, "EFI variables", "\"%s\" is of another firmware", d->nvram);
    return 0;
}

static void out_uuid(struct vmx_out *w)
{
    const u8 *u = w->d->uuid;
    char text[60];
    size_t at = 0;

    for (unsigned i = 0; i < 16; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%02x",
                               i == 8 ? "-"
                               : i    ? " "
                                      : "",
                               u[i]);
    if (w->d->has_uuid)
        out_put(w, text, "uuid.bios");
}

static bool out_is_vmx(const struct desc *d)
{
    const struct desc_extra *x = d->extras;

    while (x && strcmp(x->format, "vmx"))
        x = x->next;
    return x != NULL;
}

static void out_bridges(struct vmx_out *w)
{
    u32 version = w->d->hardware_version;

    if (version ? version < 7 : out_is_vmx(w->d))
        return;
    out_put(w, "TRUE", "pciBridge0.present");
    for (unsigned i = 4; i < 8; i++) {
        out_put(w, "TRUE", "pciBridge%u.present", i);
        out_put(w, "pcieRootPort", "pciBridge%u.virtualDev", i);
        out_put(w, "8", "pciBridge%u.functions", i);
    }
}

static int out_machine(struct vmx_out *w)
{
    const struct desc *d = w->d;

    out_put(w, "UTF-8", ".encoding");
    out_put(w, "8", "config.version");
    if (d->hardware_version || !out_is_vmx(d)) /* the oldest have none */
        out_number(w, d->hardware_version ? d->hardware_version : VMX_HARDWARE,
                   "virtualHW.version");
    out_put(w, d->name, "displayName");
    out_guest(w);
    out_put(w, d->annotation, "annotation");
    out_memory(w);
    out_number(w, d->cpus, "numvcpus");
    if (d->cores_per_socket > 1)
        out_number(w, d->cores_per_socket, "cpuid.coresPerSocket");
    if (d->firmware == DESC_EFI)
        out_put(w, "efi", "firmware");
    if (d->secure_boot)
        out_put(w, "TRUE", "uefi.secureBoot.enabled");
    if (d->tpm && !out_extra(w, "vtpm.present"))
        out_put(w, "software", "managedVM.autoAddVTPM");
    if (d->clock && !strcmp(d->clock, "utc"))
        out_put(w, "0", "rtc.diffFromUTC");
    if (d->video_memory)
        out_number(w, d->video_memory, "svga.vramSize");
    if (d->display && !strcasestr(d->display, "vmware") && !strcasestr(d->display, "svga"))
        note(w->n, NOTE_CHANGED, "display", "%s becomes VMware's SVGA", d->display);
    if (d->machine)
        note(w->n, NOTE_CHANGED, "machine", "%s becomes VMware's 440BX", d->machine);
    out_uuid(w);
    out_bridges(w);
    return out_nvram(w);
}

/* ---- storage ---- */

static const struct out_class {
    const char *class, *prefix, *device;
    unsigned units;
} out_classes[] = {
    { "lsilogic", "scsi", "lsilogic", 16 },
    { "lsisas1068", "scsi", "lsisas1068", 16 },
    { "pvscsi", "scsi", "pvscsi", 64 },
    { "buslogic", "scsi", "buslogic", 16 },
    { "ahci", "sata", NULL, 30 },
    { "nvme", "nvme", NULL, 15 },
    { "ide", "ide", NULL, 4 },
    { "fdc", "floppy", NULL, 2 },
};

static bool out_has_disks(const struct desc *d, const struct desc_device *v)
{
    for (const struct desc_disk *k = d->disks; k; k = k->next)
        if (k->controller && !strcmp(k->controller, v->name))
            return true;
    return false;
}

static struct vmx_slots *out_bus(struct vmx_out *w, const char *prefix, unsigned bus)
{
    for (unsigned i = 0; i < w->nbuses; i++)
        if (!strcmp(w->buses[i].prefix, prefix) && w->buses[i].bus == bus)
            return &w->buses[i];
    return NULL;
}

/* VMware's number if the name has one, else the next that is free. */
static unsigned out_number_of(struct vmx_out *w, const struct desc_device *v, const char *prefix)
{
    size_t n = strlen(prefix);
    unsigned bus = 0;

    if (!strncmp(v->name, prefix, n) && v->name[n] >= '0' && v->name[n] < '0' + VMX_BUSES &&
        !v->name[n + 1] && !out_bus(w, prefix, (unsigned)(v->name[n] - '0')))
        return (unsigned)(v->name[n] - '0');
    while (out_bus(w, prefix, bus))
        bus++;
    return bus;
}

static int out_controller(struct vmx_out *w, const struct desc_device *v)
{
    static const struct out_class other = { "", "scsi", "lsisas1068", 16 };
    const struct out_class *c = &other;
    struct vmx_slots *b = &w->buses[w->nbuses];

    for (size_t i = 0; i < LEN(out_classes); i++)
        if (!strcmp(out_classes[i].class, v->class))
            c = &out_classes[i];
    if (c == &other && !out_has_disks(w->d, v))
        return 0; /* no controller of disks */
    *b = (struct vmx_slots){ v, c->prefix, c->device, 0, c->units, 0 };
    b->bus = out_number_of(w, v, c->prefix);
    if (b->bus >= (c->units < 15 ? 1 : VMX_BUSES))
        return err_set(w->e, -EOPNOTSUPP, "%s: VMware has no more than %d controllers of its kind",
                       v->name, c->units < 15 ? 1 : VMX_BUSES);
    w->nbuses++;
    if (c == &other)
        note(w->n, NOTE_CHANGED, v->name,
             "%s becomes LSI Logic SAS, for which the guest needs a "
             "driver",
             v->foreign ? v->foreign : v->class);
    if (c->units < 15)
        return 0;
    out_put(w, "TRUE", "%s%u.present", c->prefix, b->bus);
    out_put(w, c->device, "%s%u.virtualDev", c->prefix, b->bus);
    return 0;
}

static int out_unit(struct vmx_out *w, struct vmx_slots *b, const struct desc_disk *k, unsigned *u)
{
    bool scsi = !strcmp(b->prefix, "scsi");

    *u = k->unit;
    if (*u >= b->units || b->used >> *u & 1 || (scsi && *u == 7))
        *u = 0;
    while (*u < b->units && (b->used >> *u & 1 || (scsi && *u == 7)))
        ++*u;
    if (*u == b->units)
        return err_set(w->e, -EOPNOTSUPP, "%s: VMware's controller has only %u places", k->name,
                       b->units);
    if (*u != k->unit)
        note(w->n, NOTE_CHANGED, k->name, "is unit %u instead of %u", *u, k->unit);
    b->used |= 1ull << *u;
    return 0;
}

static int out_disk(struct vmx_out *w, const struct desc_disk *k, const char *slot)
{
    bool cd = k->media == DESC_CDROM;
    struct sink_disk out;
    char name[300];
    int r;

    if (!k->path && k->source) {
        note(w->n, NOTE_LOST, k->name, "\"%.200s\" was not there: only its name is written",
             k->source);
        out_put(w, k->source, "%s.fileName", slot);
        return 0;
    }
    if (w->disks++)
        snprintf(name, sizeof(name), "%.250s-%u.%s", sink_name(w->s), w->disks - 1,
                 cd ? "iso" : "vmdk");
    else
        snprintf(name, sizeof(name), "%.250s.%s", sink_name(w->s), cd ? "iso" : "vmdk");
    r = sink_disk(w->s, k, name, cd ? "raw" : "vmdk", NULL, &out, w->e);
    if (r)
        return r;
    if (!cd && out.format && strcmp(out.format, "vmdk"))
        note(w->n, NOTE_CHANGED, k->name, "is %s, and VMware reads only VMDK", out.format);
    out_put(w, out.name, "%s.fileName", slot);
    return 0;
}

static int out_drive(struct vmx_out *w, const struct desc_disk *k, const char *slot)
{
    int r = 0;

    out_put(w, "TRUE", "%s.present", slot);
    if (k->source || k->capacity) {
        out_put(w,
                k->media == DESC_CDROM     ? "cdrom-image"
                : strncmp(slot, "scsi", 4) ? "disk"
                                           : "scsi-hardDisk",
                "%s.deviceType", slot);
        r = out_disk(w, k, slot);
    } else {
        out_put(w, "cdrom-raw", "%s.deviceType", slot);
    }
    if (k->mode == DESC_THROWAWAY)
        out_put(w, "independent-nonpersistent", "%s.mode", slot);
    else if (k->mode == DESC_READ && k->media == DESC_DISK)
        note(w->n, NOTE_CHANGED, k->name, "could only be read and can now be written");
    if (k->serial)
        note(w->n, NOTE_LOST, k->name, "its serial number \"%s\" has no place there", k->serial);
    return r;
}

static int out_floppy(struct vmx_out *w, const struct desc_disk *k, unsigned unit)
{
    struct sink_disk out;
    char name[300];
    int r = 0;

    out_put(w, "TRUE", "floppy%u.present", unit);
    if (!k->source)
        return 0;
    snprintf(name, sizeof(name), "%.250s-floppy%u.flp", sink_name(w->s), unit);
    r = sink_disk(w->s, k, name, "raw", NULL, &out, w->e);
    if (!r) {
        out_put(w, "file", "floppy%u.fileType", unit);
        out_put(w, out.name, "floppy%u.fileName", unit);
    }
    return r;
}

static int out_storage(struct vmx_out *w)
{
    int r = 0;

    for (const struct desc_device *v = w->d->devices; !r && v; v = v->next)
        r = out_controller(w, v);
    for (const struct desc_disk *k = w->d->disks; !r && k; k = k->next) {
        struct vmx_slots *b = NULL;
        char slot[32];
        unsigned unit;

        for (unsigned i = 0; i < w->nbuses; i++)
            if (k->controller && !strcmp(w->buses[i].v->name, k->controller))
                b = &w->buses[i];
        if (!b)
            return err_set(w->e, -EINVAL, "%s: is on no controller", k->name);
        r = out_unit(w, b, k, &unit);
        if (r)
            break;
        if (!strcmp(b->prefix, "ide"))
            snprintf(slot, sizeof(slot), "ide%u:%u", unit / 2, unit % 2);
        else
            snprintf(slot, sizeof(slot), "%s%u:%u", b->prefix, b->bus, unit);
        r = strcmp(b->prefix, "floppy") ? out_drive(w, k, slot) : out_floppy(w, k, unit);
    }
    return r;
}

/* "hdd,cdrom,ethernet0": the kinds in the order of their first drive */
static void out_boot(struct vmx_out *w)
{
    char text[120] = "";

    for (u32 place = 1; place < 32; place++) {
        const char *word = NULL;
        char card[24];

        for (const struct desc_disk *k = w->d->disks; k; k = k->next)
            if (k->boot == place)
                word = k->media == DESC_CDROM    ? "cdrom"
                       : k->media == DESC_FLOPPY ? "floppy"
                                                 : "hdd";
        snprintf(card, sizeof(card), "ethernet0");
        for (const struct desc_nic *c = w->d->nics; c; c = c->next)
            if (c->boot == place)
                word = card;
        if (word && !strstr(text, word) && strlen(text) < sizeof(text) - 24) {
            strcat(text, *text ? "," : "");
            strcat(text, word);
        }
    }
    if (*text)
        out_put(w, text, "bios.bootOrder");
}

/* ---- the rest ---- */

static void out_network(struct vmx_out *w, const struct desc_nic *c, unsigned i)
{
    static const char *const kinds[] = { "bridged", "nat", "hostonly" };
    const char *vnet, *group;
    char key[60];

    if (!c->network)
        return;
    snprintf(key, sizeof(key), "ethernet%u.vnet", i);
    vnet = out_extra(w, key);
    snprintf(key, sizeof(key), "ethernet%u.dvs.portgroupId", i);
    group = out_extra(w, key);
    if ((vnet && !strcmp(vnet, c->network)) || (group && !strcmp(group, c->network)))
        return;
    for (size_t k = 0; k < LEN(kinds); k++)
        if (!strcasecmp(kinds[k], c->network)) {
            out_put(w, c->network, "ethernet%u.connectionType", i);
            return;
        }
    out_put(w, c->network, "ethernet%u.networkName", i);
}

/* VMware takes any address only when it is told not to look at it. */
static void out_mac(struct vmx_out *w, const struct desc_nic *c, unsigned i)
{
    char text[18], key[60];
    const char *type;
    bool fixed, own = c->mac[0] == 0 && c->mac[1] == 0x50 && c->mac[2] == 0x56 && c->mac[3] < 0x40;

    snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", c->mac[0], c->mac[1], c->mac[2],
             c->mac[3], c->mac[4], c->mac[5]);
    snprintf(key, sizeof(key), "ethernet%u.addressType", i);
    type = out_extra(w, key);
    fixed = !type || !strcasecmp(type, "static");
    if (!c->has_mac) {
        out_put(w, "generated", "ethernet%u.addressType", i);
        return;
    }
    out_put(w, "static", "ethernet%u.addressType", i);
    out_put(w, text, "ethernet%u.%s", i, fixed ? "address" : "generatedAddress");
    if (fixed && !own)
        out_put(w, "FALSE", "ethernet%u.checkMACAddress", i);
}

static const char *out_card(struct vmx_out *w, const struct desc_nic *c)
{
    static const struct {
        const char *class, *device;
    } cards[] = { { "vmxnet3", "vmxnet3" }, { "e1000", "e1000" },     { "e1000e", "e1000e" },
                  { "pcnet", "vlance" },    { "vmxnet2", "vmxnet2" }, { "vmxnet", "vmxnet" } };

    for (size_t i = 0; i < LEN(cards); i++)
        if (!strcmp(cards[i].class, c->class))
            return cards[i].device;
    note(w->n, NOTE_CHANGED, c->name, "%s becomes an Intel E1000",
         c->foreign ? c->foreign : c->class);
    return "e1000";
}

static int out_nics(struct vmx_out *w)
{
    unsigned next = 0;

    for (const struct desc_nic *c = w->d->nics; c; c = c->next) {
        unsigned i = next;

        if (!strncmp(c->name, "nic", 3) && c->name[3] >= '0' + (char)next && c->name[3] <= '9' &&
            !c->name[4])
            i = (unsigned)(c->name[3] - '0');
        if (i >= VMX_NICS)
            return err_set(w->e, -EOPNOTSUPP, "%s: VMware has no more than %d network cards",
                           c->name, VMX_NICS);
        next = i + 1;
        out_put(w, "TRUE", "ethernet%u.present", i);
        out_put(w, out_card(w, c), "ethernet%u.virtualDev", i);
        out_network(w, c, i);
        out_mac(w, c, i);
        if (!c->connected)
            out_put(w, "FALSE", "ethernet%u.startConnected", i);
    }
    return 0;
}

static void out_port(struct vmx_out *w, const struct desc_port *p, const char *name)
{
    static const char *const same[] = { "device", "file", "pipe", "thinprint" };
    const char *type = NULL, *target = p->target;
    char url[300];

    for (size_t i = 0; i < LEN(same); i++)
        if (!strcasecmp(p->to, same[i]))
            type = p->to;
    if (!strncmp(p->to, "tcp", 3) || !strcmp(p->to, "udp") || !strncmp(p->to, "telnet", 6) ||
        !strcmp(p->to, "ssl")) {
        type = "network";
        snprintf(url, sizeof(url), "%s://%.250s", p->to, target ? target : "");
        target = url;
    } else if (!strcmp(p->to, "unix")) {
        type = "pipe";
    } else if (!type) {
        type = "device";
        target = "auto detect";
        out_put(w, "FALSE", "%s.startConnected", name);
        note(w->n, NOTE_CHANGED, p->name, "a port to \"%s\" is there, but not connected", p->to);
    }
    out_put(w, "TRUE", "%s.present", name);
    out_put(w, type, "%s.fileType", name);
    out_put(w, target, "%s.fileName", name);
}

static void out_ports(struct vmx_out *w)
{
    unsigned count[2] = { 0, 0 };

    for (const struct desc_port *p = w->d->ports; p; p = p->next) {
        const char *prefix = p->kind == DESC_SERIAL ? "serial" : "parallel";
        size_t n = strlen(prefix);
        unsigned i = count[p->kind];
        char name[24];

        if (!strncmp(p->name, prefix, n) && p->name[n] >= '0' + (char)i && p->name[n] <= '9' &&
            !p->name[n + 1])
            i = (unsigned)(p->name[n] - '0');
        count[p->kind] = i + 1;
        snprintf(name, sizeof(name), "%s%u", prefix, i);
        out_port(w, p, name);
    }
}

static void out_sound(struct vmx_out *w)
{
    const char *s = w->d->sound;
    bool same;

    if (!s)
        return;
    same = !strcasecmp(s, "es1371") || !strcasecmp(s, "hdaudio") || !strcasecmp(s, "sb16");
    if (!same)
        note(w->n, NOTE_CHANGED, "sound", "%s becomes %s", s,
             strcasestr(s, "1370") ? "es1371" : "hdaudio");
    out_put(w, "TRUE", "sound.present");
    out_put(w, same ? s : strcasestr(s, "1370") ? "es1371" : "hdaudio", "sound.virtualDev");
}

static void out_usb(struct vmx_out *w)
{
    static const struct {
        const char *class, *key;
    } hosts[] = { { "uhci", "usb" }, { "ehci", "ehci" }, { "xhci", "usb_xhci" } };

    for (size_t i = 0; i < LEN(hosts); i++)
        for (const struct desc_device *v = w->d->devices; v; v = v->next)
            if (!strcmp(v->class, hosts[i].class)) {
                out_put(w, "TRUE", "%s.present", hosts[i].key);
                break;
            }
}

static void out_others(struct vmx_out *w)
{
    for (const struct desc_device *v = w->d->devices; v; v = v->next) {
        bool said = out_has_disks(w->d, v) || !strcmp(v->class, "uart16550") ||
                    !strcmp(v->class, "uhci") || !strcmp(v->class, "ehci") ||
                    !strcmp(v->class, "xhci") || !strcmp(v->class, "usb_keyboard");

        for (size_t i = 0; i < LEN(out_classes); i++)
            said |= !strcmp(out_classes[i].class, v->class);
        if (!said)
            note(w->n, NOTE_LOST, v->name, "%s has no place in a VMX",
                 v->foreign ? v->foreign : v->class);
    }
    lost_direct_boot(w->d, w->n);
    lost_properties(w->d, w->n);
    lost_snapshots(w->d, w->n);
    lost_extras(w->d, "vmx", w->n);
    lost_vms(w->d, w->n);
}

int vmx_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e)
{
    struct vmx_out w = { .d = d, .s = s, .n = n, .e = e };
    int r = out_machine(&w);

    r = r ? r : out_storage(&w);
    r = r ? r : out_nics(&w);
    if (!r) {
        out_boot(&w);
        out_ports(&w);
        out_sound(&w);
        out_usb(&w);
        out_others(&w);
        for (const struct desc_extra *x = d->extras; x && !w.error; x = x->next)
            if (!strcmp(x->format, "vmx"))
                w.error = vmx_line(&w.text, x->key, x->value);
        r = w.error ? err_set(e, w.error, "no memory") : 0;
    }
    r = r ? r : sink_text(s, sink_main(s), w.text.p, w.text.len, e);
    buf_fini(&w.text);
    return r;
}
