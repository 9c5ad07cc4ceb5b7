/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMX, the configuration of VMware's products from GSX and ESX 2 on: the machine itself.  Devices
 * are in vmx_devices.c, the text in vmx_text.c, the writer in vmx_write.c.  A setting whose
 * meaning the description does not hold is kept as an extra under its own name.  Left out:
 * encrypted files, which are refused by name; devices of the host (raw disks, passthrough).
 */
#include "package/vmx_int.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VMX_MAX (1u << 20)

enum { VMX_HARDWARE_FIRST = 3, VMX_HARDWARE_LAST = 22 };

int vmx_keep(struct vmx *x, const char **to, const char *text)
{
    *to = *text ? arena_text(&x->d->arena, text, strlen(text)) : NULL;
    return *text && !*to ? -ENOMEM : 0;
}

static int vmx_number(struct vmx *x, const char *key, u64 most, u64 *v)
{
    const char *text = vmx_take(&x->t, "%s", key);
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
    const char *p = vmx_get(&x->t, "uuid.bios");
    u8 id[16] = { 0 };
    unsigned n = 0;

    for (; *p && n < 32; p++)
        if (isxdigit((u8)*p)) {
            id[n / 2] =
                (u8)(id[n / 2] << 4 | (isdigit((u8)*p) ? *p - '0' : tolower((u8)*p) - 'a' + 10));
            n++;
        }
    if (n != 32)
        return;
    vmx_take(&x->t, "uuid.bios");
    memcpy(x->d->uuid, id, sizeof(id));
    x->d->has_uuid = true;
}

static int vmx_numbers(struct vmx *x)
{
    u64 mib = 32, cpus = 1, cores = 1, version = 0, video = 0;
    struct desc *d = x->d;
    int r = vmx_number(x, "memsize", 1 << 26, &mib);

    r = r ? r : vmx_number(x, "numvcpus", 4096, &cpus);
    r = r ? r : vmx_number(x, "cpuid.coresPerSocket", 4096, &cores);
    r = r ? r : vmx_number(x, "virtualHW.version", 1000, &version);
    r = r ? r : vmx_number(x, "svga.vramSize", 1ull << 40, &video);
    if (r)
        return r;
    d->memory = mib << 20;
    d->cpus = cpus ? (u32)cpus : 1;
    d->cores_per_socket = cores && d->cpus % cores == 0 ? (u32)cores : 1;
    if (cores != d->cores_per_socket)
        note(x->n, NOTE_CHANGED, "cpus", "%llu cores a socket do not divide %u: it is one",
             (unsigned long long)cores, d->cpus);
    d->hardware_version = (u32)version;
    if (version && (version < VMX_HARDWARE_FIRST || version > VMX_HARDWARE_LAST))
        note(x->n, NOTE_CHANGED, "hardware version",
             "%llu is not one of those that are known, %d to %d: its devices are taken as they are",
             (unsigned long long)version, VMX_HARDWARE_FIRST, VMX_HARDWARE_LAST);
    d->video_memory = video;
    return 0;
}

/* The variables of EFI, or the CMOS of the BIOS; VMware makes it anew when it is not there. */
static int vmx_nvram(struct vmx *x)
{
    const char *name = vmx_take(&x->t, "nvram");
    const struct source_file *f;
    char local[1024];
    int r = vmx_keep(x, &x->d->nvram, name);

    if (r || !*name)
        return r;
    vmx_local_name(name, local, sizeof(local));
    if (!*local || source_find(x->s, local, &f, NULL))
        return 0;
    r = vmx_keep(x, &x->d->nvram_path, f->path);
    x->d->nvram_offset = f->offset;
    x->d->nvram_length = f->size;
    return r;
}

static int vmx_machine(struct vmx *x)
{
    const struct vmx_text *t = &x->t;
    struct desc *d = x->d;
    const char *text = vmx_take(t, "displayName");
    int r = vmx_numbers(x);

    if (!r && *text)
        r = vmx_keep(x, &d->name, text);
    r = r ? r : vmx_keep(x, &d->guest_os, vmx_take(t, "guestOS"));
    r = r ? r : vmx_keep(x, &d->annotation, vmx_take(t, "annotation"));
    r = r ? r : vmx_nvram(x);
    if (r)
        return r;
    d->persona = "vmware";
    d->product = "VMware";
    d->firmware = strcasecmp(vmx_get(t, "firmware"), "efi") ? DESC_BIOS : DESC_EFI;
    vmx_take_if(t, d->firmware == DESC_EFI ? "efi" : "bios", "firmware");
    d->secure_boot = vmx_true(vmx_get(t, "uefi.secureBoot.enabled"));
    vmx_take_if(t, d->secure_boot ? "TRUE" : "FALSE", "uefi.secureBoot.enabled");
    d->tpm = vmx_true(vmx_get(t, "vtpm.present")) ||
             !strcasecmp(vmx_get(t, "managedVM.autoAddVTPM"), "software");
    vmx_take_if(t, "software", "managedVM.autoAddVTPM");
    if (!strcmp(vmx_get(t, "rtc.diffFromUTC"), "0"))
        d->clock = "utc";
    vmx_take_if(t, "0", "rtc.diffFromUTC");
    vmx_take_if(t, "8", "config.version");
    vmx_take(t, ".encoding");
    vmx_uuid(x);
    return 0;
}

/* The bridges that every VM of hardware 7 and later has; the writer makes them. */
static void vmx_bridges(struct vmx *x)
{
    if (x->d->hardware_version < 7)
        return;
    for (unsigned i = 0; i < 8; i += i ? 1 : 4) {
        vmx_take_if(&x->t, "TRUE", "pciBridge%u.present", i);
        if (i) {
            vmx_take_if(&x->t, "pcieRootPort", "pciBridge%u.virtualDev", i);
            vmx_take_if(&x->t, "8", "pciBridge%u.functions", i);
        }
    }
}

/* Encrypted as a whole, or in part for a virtual TPM: what is missing cannot be guessed. */
static int vmx_encrypted(struct vmx *x)
{
    for (u32 i = 0; i < x->t.n; i++)
        if (!strncasecmp(x->t.sorted[i]->key, "encryption.", 11))
            return err_set(x->e, -EOPNOTSUPP, "%s: is encrypted (%s), which is not supported",
                           x->file, x->t.sorted[i]->key);
    return 0;
}

/* What nothing took, in the order of the file. */
static int vmx_extras(struct vmx *x)
{
    int r = 0;

    for (const struct vmx_key *k = x->t.keys; !r && k->key; k++)
        if (!k->taken)
            r = desc_add_extra(x->d, "vmx", k->key, k->value);
    return r;
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
    r = vmx_parse(&x.t, (char *)text.p, text.len, x.file, n, e);
    buf_fini(&text);
    r = r ? r : vmx_encrypted(&x);
    r = r ? r : vmx_machine(&x);
    r = r ? r : vmx_devices(&x);
    r = r ? r : vmx_snapshots(&x);
    r = r ? r : vmx_left(&x);
    if (!r)
        vmx_bridges(&x);
    r = r ? r : vmx_extras(&x);
    vmx_text_fini(&x.t);
    return r == -ENOMEM ? err_set(e, r, "%s: is too long", x.file) : r;
}

const struct package_format package_vmx = {
    .name = "vmx",
    .suffix = ".vmx",
    .about = "VMware Workstation, Fusion, ESX: a configuration with its disks beside it",
    .probe = vmx_probe,
    .read = vmx_read,
    .write = vmx_write,
};
