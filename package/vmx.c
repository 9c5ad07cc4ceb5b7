/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMX, the configuration of VMware's products: 'key = "value"' lines, keys in any case, "|22"
 * for a byte by its number.  Every key is kept for writing back.  Left out: snapshots (.vmsd),
 * encrypted files, raw devices.
 */
#include "package/format.h"
#include "package/place.h"
#include "package/source.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VMX_MAX (1u << 20)
#define VMX_KEYS 8192
#define VMX_BUSES 4
#define VMX_UNITS 64
#define VMX_NICS 10

struct vmx {
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file;
    u32 count;
};

/* The keys are the description's extras: kept once, looked up there. */
static const char *vmx_get(const struct vmx *x, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static const char *vmx_get(const struct vmx *x, const char *fmt, ...)
{
    const char *value = "";
    char key[128];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(key, sizeof(key), fmt, ap);
    va_end(ap);
    for (const struct desc_extra *v = x->d->extras; v; v = v->next)
        if (!strcasecmp(v->key, key))
            value = v->value; /* the last one counts */
    return value;
}

static bool vmx_true(const char *s)
{
    return !strcasecmp(s, "true") || !strcasecmp(s, "yes") || !strcmp(s, "1");
}

static int vmx_hex(char c)
{
    return isdigit((u8)c) ? c - '0' : tolower((u8)c) - 'a' + 10;
}

/* One line in place: false when it is no setting. */
static bool vmx_split(char *line, char **key, char **value)
{
    char *is = strchr(line, '='), *end, *to;

    while (isspace((u8)*line))
        line++;
    if (!is || *line == '#' || *line == '!')
        return false;
    for (end = is; end > line && isspace((u8)end[-1]); end--)
        ;
    *end = 0;
    for (is++; isspace((u8)*is); is++)
        ;
    end = is + strlen(is);
    while (end > is && isspace((u8)end[-1]))
        *--end = 0;
    if (*is == '"') {
        is++;
        end = strrchr(is, '"');
        if (end)
            *end = 0;
    }
    *key = line;
    *value = to = is;
    for (; *is; is++) {
        if (*is == '|' && isxdigit((u8)is[1]) && isxdigit((u8)is[2])) {
            *to++ = (char)(vmx_hex(is[1]) << 4 | vmx_hex(is[2]));
            is += 2;
        } else {
            *to++ = *is;
        }
    }
    *to = 0;
    return *line != 0;
}

static int vmx_lines(struct vmx *x, char *text)
{
    char *line, *key, *value;

    if (!strncmp(text, "\xef\xbb\xbf", 3))
        text += 3;
    while ((line = strsep(&text, "\n"))) {
        if (!vmx_split(line, &key, &value))
            continue;
        if (x->count++ >= VMX_KEYS)
            return err_set(x->e, -E2BIG, "%s: more than %d settings", x->file, VMX_KEYS);
        if (!strncasecmp(key, "encryption.", 11))
            return err_set(x->e, -EOPNOTSUPP, "%s: is encrypted (%s), which is not supported",
                           x->file, key);
        if (desc_add_extra(x->d, "vmx", key, value))
            return err_set(x->e, -ENOMEM, "%s: is too long", x->file);
    }
    return 0;
}

static int vmx_number(struct vmx *x, const char *key, u64 most, u64 *v)
{
    const char *text = vmx_get(x, "%s", key);
    char *end;
    u64 n;

    if (!*text)
        return 0;
    errno = 0;
    n = strtoull(text, &end, 10);
    if (!isdigit((u8)*text) || *end || errno || n > most)
        return err_set(x->e, -EBADMSG, "%s: %s: \"%.40s\" is not a number up to %llu", x->file, key,
                       text, (unsigned long long)most);
    *v = n;
    return 0;
}

/* "56 4d 01 ... -01 ..." */
static void vmx_uuid(struct vmx *x)
{
    const char *p = vmx_get(x, "uuid.bios");
    unsigned n = 0;

    for (; *p && n < 32; p++)
        if (isxdigit((u8)*p)) {
            x->d->uuid[n / 2] = (u8)(x->d->uuid[n / 2] << 4 | vmx_hex(*p));
            n++;
        }
    x->d->has_uuid = n == 32;
}

static int vmx_machine(struct vmx *x)
{
    u64 mib = 32, cpus = 1, cores = 1, version = 0;
    struct desc *d = x->d;
    int r = vmx_number(x, "memsize", 1 << 26, &mib);

    r = r ? r : vmx_number(x, "numvcpus", 4096, &cpus);
    r = r ? r : vmx_number(x, "cpuid.coresPerSocket", 4096, &cores);
    r = r ? r : vmx_number(x, "virtualHW.version", 1000, &version);
    if (r)
        return r;
    if (*vmx_get(x, "displayName"))
        d->name = vmx_get(x, "displayName");
    d->memory = mib << 20;
    d->cpus = cpus ? (u32)cpus : 1;
    d->cores_per_socket = cores && d->cpus % cores == 0 ? (u32)cores : 1;
    d->hardware_version = (u32)version;
    d->persona = "vmware";
    d->product = "VMware";
    d->guest_os = *vmx_get(x, "guestOS") ? vmx_get(x, "guestOS") : NULL;
    d->annotation = *vmx_get(x, "annotation") ? vmx_get(x, "annotation") : NULL;
    d->firmware = strcasecmp(vmx_get(x, "firmware"), "efi") ? DESC_BIOS : DESC_EFI;
    d->secure_boot = vmx_true(vmx_get(x, "uefi.secureBoot.enabled"));
    vmx_uuid(x);
    return 0;
}

/* The file of a drive: beside the configuration, also when its name is of another host. */
static int vmx_file(struct vmx *x, struct desc_disk *k, const char *name)
{
    const struct source_file *f;
    char path[1024], *p = path, *last;
    int r;

    snprintf(path, sizeof(path), "%s", name);
    for (char *c = path; *c; c++)
        if (*c == '\\')
            *c = '/';
    if (*p == '[' && strchr(p, ']')) { /* "[datastore] dir/disk.vmdk" */
        p = strchr(p, ']') + 1;
        p += strspn(p, " ");
        last = strrchr(p, '/');
        p = last ? last + 1 : p;
    } else if (*p == '/' || (isalpha((u8)*p) && p[1] == ':')) {
        last = strrchr(p, '/');
        p = last ? last + 1 : p + 2;
    }
    if (p != path)
        note(x->n, NOTE_CHANGED, k->name, "\"%s\" is looked for beside the configuration", name);
    r = source_find(x->s, p, &f, x->e);
    if (r == -ENOENT && k->media == DESC_CDROM) {
        note(x->n, NOTE_LOST, k->name, "its medium \"%s\" is missing: the drive is empty", name);
        return 0;
    }
    if (r)
        return r == -ENOENT
                   ? err_set(x->e, r, "%s: the file \"%s\" of %s is missing", x->file, p, k->name)
                   : r;
    k->source = arena_text(&x->d->arena, f->name, strlen(f->name));
    k->path = arena_text(&x->d->arena, f->path, strlen(f->path));
    if (source_has_suffix(f->name, ".iso") || source_has_suffix(f->name, ".raw"))
        k->format = "raw"; /* these have no magic to know them by */
    return k->source && k->path ? 0 : -ENOMEM;
}

static int vmx_drive(struct vmx *x, struct desc_device *v, const char *slot, long unit)
{
    const char *type = vmx_get(x, "%s.deviceType", slot), *name = vmx_get(x, "%s.fileName", slot);
    const char *present = vmx_get(x, "%s.present", slot), *mode = vmx_get(x, "%s.mode", slot);
    bool cd = strcasestr(type, "cdrom") != NULL, raw = strcasestr(type, "raw") && !cd;
    struct desc_disk *k;

    if (*present ? !vmx_true(present) : !*name)
        return 0;
    if (raw)
        return err_set(x->e, -EOPNOTSUPP, "%s: %s: a raw device (%s) is not supported", x->file,
                       slot, type);
    k = place_disk(x->d, x->n, cd ? DESC_CDROM : DESC_DISK, v, unit);
    if (!k)
        return -ENOMEM;
    if (strcasestr(mode, "nonpersistent"))
        k->mode = DESC_THROWAWAY;
    if (cd && strcasecmp(type, "cdrom-image"))
        return 0; /* the host's own drive: empty here */
    if (!*name && !cd)
        return err_set(x->e, -EBADMSG, "%s: %s.fileName: a disk without a file", x->file, slot);
    return *name ? vmx_file(x, k, name) : 0;
}

static int vmx_bus(struct vmx *x, const char *prefix, enum name_kind kind, unsigned bus)
{
    struct desc_device *v = NULL;
    char slot[32];
    int r = 0;

    snprintf(slot, sizeof(slot), "%s%u", prefix, bus);
    if (!vmx_true(vmx_get(x, "%s.present", slot)))
        return 0;
    v = place_controller(x->d, x->n, kind, vmx_get(x, "%s.virtualDev", slot));
    if (!v)
        return -ENOMEM;
    for (unsigned unit = 0; !r && unit < VMX_UNITS; unit++) {
        snprintf(slot, sizeof(slot), "%s%u:%u", prefix, bus, unit);
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
        char slot[32];

        snprintf(slot, sizeof(slot), "ide%u:%u", i / 2, i % 2);
        if (!vmx_true(vmx_get(x, "%s.present", slot)) && !*vmx_get(x, "%s.fileName", slot))
            continue;
        if (!v && !(v = place_controller(x->d, x->n, NAME_IDE, "")))
            return -ENOMEM;
        r = vmx_drive(x, v, slot, (long)i);
    }
    return r;
}

static int vmx_nic(struct vmx *x, unsigned i)
{
    const char *dev = vmx_get(x, "ethernet%u.virtualDev", i);
    const char *mac = vmx_get(x, "ethernet%u.address", i);
    const char *net = vmx_get(x, "ethernet%u.networkName", i);
    const char *on = vmx_get(x, "ethernet%u.startConnected", i);
    struct desc_nic *c;

    if (!vmx_true(vmx_get(x, "ethernet%u.present", i)))
        return 0;
    c = place_nic(x->d, x->n, *dev ? dev : "vlance");
    if (!c)
        return -ENOMEM;
    if (!*mac)
        mac = vmx_get(x, "ethernet%u.generatedAddress", i);
    if (*mac && !place_mac(c, mac))
        note(x->n, NOTE_LOST, c->name, "its address \"%s\" is no MAC address", mac);
    if (!*net)
        net = vmx_get(x, "ethernet%u.connectionType", i);
    c->network = *net ? net : NULL;
    c->connected = !*on || vmx_true(on);
    return 0;
}

static int vmx_others(struct vmx *x)
{
    int r = 0;

    for (unsigned i = 0; !r && i < VMX_NICS; i++)
        r = vmx_nic(x, i);
    for (unsigned i = 0; !r && i < 4; i++) {
        char name[16];

        snprintf(name, sizeof(name), "serial%u", i);
        if (vmx_true(vmx_get(x, "serial%u.present", i)) &&
            !desc_add_device(x->d, name, "uart16550"))
            r = -ENOMEM;
    }
    if (vmx_true(vmx_get(x, "floppy0.present")))
        note(x->n, NOTE_LOST, "floppy0", "there is no floppy drive");
    if (vmx_true(vmx_get(x, "sound.present")))
        note(x->n, NOTE_LOST, "sound", "there is no sound");
    if (vmx_true(vmx_get(x, "usb.present")))
        note(x->n, NOTE_LOST, "usb", "there is no USB controller");
    return r;
}

static int vmx_devices(struct vmx *x)
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
    return r ? r : vmx_others(x);
}

static int vmx_probe(struct source *s)
{
    return s->kind == SOURCE_FILES && source_has_suffix(s->main->name, ".vmx") ? 100 : 0;
}

static int vmx_read(struct desc *d, struct source *s, struct notes *n, struct err *e)
{
    struct vmx x = { .d = d, .s = s, .n = n, .e = e, .file = source_base(s->path) };
    struct buf text;
    int r = source_load(s->main, VMX_MAX, &text, e);

    if (r)
        return r;
    if (memchr(text.p, 0, text.len))
        r = err_set(e, -EBADMSG, "%s: is no text", x.file);
    if (!r)
        r = vmx_lines(&x, (char *)text.p);
    buf_fini(&text);
    if (!r && !x.count)
        r = err_set(e, -EBADMSG, "%s: has no settings", x.file);
    if (!r)
        r = vmx_machine(&x);
    if (!r)
        r = vmx_devices(&x);
    return r == -ENOMEM ? err_set(e, r, "%s: is too long", x.file) : r;
}

const struct package_format package_vmx = {
    .name = "vmx",
    .suffix = ".vmx",
    .about = "VMware Workstation, Fusion, ESX: a configuration with its disks beside it",
    .probe = vmx_probe,
    .read = vmx_read,
};
