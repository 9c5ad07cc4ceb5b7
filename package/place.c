/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Foreign devices in our description. */
#include "package/place.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLACE_SLOT_MAX = 0x1fff };

static const char *const place_prefix[] = {
    [NAME_SCSI] = "scsi", [NAME_SATA] = "sata", [NAME_IDE] = "ide",   [NAME_NVME] = "nvme",
    [NAME_XEN] = "xen",   [NAME_USB] = "usb",   [NAME_FLOPPY] = "fdc"
};

/* prefix0, prefix1 ...: all names of that form are made here, so counting finds the next */
static const char *place_name(char *to, size_t size, const struct desc *d, const char *prefix)
{
    size_t n = strlen(prefix);
    unsigned taken = 0;

    for (const struct desc_device *v = d->devices; v; v = v->next)
        taken += !strncmp(v->name, prefix, n);
    for (const struct desc_disk *k = d->disks; k; k = k->next)
        taken += !strncmp(k->name, prefix, n);
    for (const struct desc_nic *c = d->nics; c; c = c->next)
        taken += !strncmp(c->name, prefix, n);
    snprintf(to, size, "%s%u", prefix, taken);
    return to;
}

static void place_note(struct notes *n, const char *name, const struct name_map *m,
                       const char *foreign)
{
    if (!m)
        note(n, NOTE_KEPT, name, "\"%s\", a device that nobody here knows", foreign);
    else if (!m->known)
        note(n, NOTE_KEPT, name,
             "%s; to run here it is not there yet, and %s could take its place if the guest has a "
             "driver for it",
             m->about, m->instead);
    else
        note(n, NOTE_KEPT, name, "%s", m->about);
}

struct desc_device *place_controller(struct desc *d, struct notes *n, enum name_kind kind,
                                     const char *foreign)
{
    const struct name_map *m = name_find(kind, foreign);
    struct desc_device *v;
    char name[32];

    place_name(name, sizeof(name), d, place_prefix[kind]);
    v = desc_add_device(d, name, m ? m->class : foreign);
    if (!v)
        return NULL;
    v->foreign = foreign && *foreign ? arena_text(&d->arena, foreign, strlen(foreign)) : NULL;
    v->known = m && m->known;
    place_note(n, name, m, foreign);
    return v;
}

struct desc_nic *place_nic(struct desc *d, struct notes *n, const char *foreign)
{
    const struct name_map *m = name_find(NAME_NIC, foreign);
    struct desc_nic *c;
    char name[32];

    place_name(name, sizeof(name), d, "nic");
    c = desc_add_nic(d, name, m ? m->class : foreign);
    if (!c)
        return NULL;
    c->foreign = foreign && *foreign ? arena_text(&d->arena, foreign, strlen(foreign)) : NULL;
    c->known = m && m->known;
    place_note(n, name, m, foreign);
    return c;
}

static bool place_taken(const struct desc *d, const struct desc_device *v, u32 unit)
{
    if (unit == 7 && !strncmp(v->name, "scsi", 4) && strncmp(v->class, "virtio", 6))
        return true; /* the controller's own, on a parallel bus */
    for (const struct desc_disk *k = d->disks; k; k = k->next)
        if (k->controller && k->unit == unit && !strcmp(k->controller, v->name))
            return true;
    return false;
}

/* Any controller for a disk that names none: SCSI before others, IDE for a CD. */
static struct desc_device *place_any(struct desc *d, struct notes *n, enum desc_media media)
{
    static const char *const disks[] = { "scsi0", "sata0", "nvme0", "ide0" };
    struct desc_device *v = NULL;

    for (size_t i = media == DESC_CDROM ? 3 : 0; !v && i < LEN(disks); i++)
        v = desc_device(d, disks[i]);
    if (!v && media == DESC_CDROM)
        v = desc_device(d, "sata0");
    return v ? v : place_controller(d, n, NAME_IDE, "");
}

struct desc_disk *place_disk(struct desc *d, struct notes *n, enum desc_media media,
                             struct desc_device *v, long unit)
{
    const char *prefix = media == DESC_CDROM ? "cdrom" : media == DESC_FLOPPY ? "floppy" : "disk";
    struct desc_disk *k;
    char name[32];
    u32 want = unit < 0 || unit > 0xffff ? 0 : (u32)unit;

    place_name(name, sizeof(name), d, prefix);
    if (!v) {
        v = place_any(d, n, media);
        if (!v)
            return NULL;
        note(n, NOTE_CHANGED, name, "names no controller: it is on %s", v->name);
    }
    while (place_taken(d, v, want))
        want++;
    if (unit >= 0 && want != (u32)unit)
        note(n, NOTE_CHANGED, name, "unit %ld of %s is taken: it is unit %u", unit, v->name, want);
    k = desc_add_disk(d, name, media);
    if (!k)
        return NULL;
    k->controller = v->name;
    k->unit = want;
    return k;
}

bool place_mac(struct desc_nic *c, const char *text)
{
    u8 mac[6] = { 0 };
    unsigned n = 0;

    for (; *text; text++) {
        int digit;

        if (*text == ':' || *text == '-' || *text == '.')
            continue;
        if (!isxdigit((u8)*text) || n == 12)
            return false;
        digit = isdigit((u8)*text) ? *text - '0' : tolower((u8)*text) - 'a' + 10;
        mac[n / 2] = (u8)(mac[n / 2] << 4 | digit);
        n++;
    }
    if (n != 12)
        return false;
    memcpy(c->mac, mac, 6);
    c->has_mac = true;
    return true;
}

int place_slot(struct desc *d, const char **at, const char *text)
{
    unsigned long n = isdigit((u8)*text) ? strtoul(text, NULL, 10) : 0;

    if (!n || n > PLACE_SLOT_MAX)
        return 0;
    *at = desc_text(d, "slot.%lu", n);
    return *at ? 0 : -ENOMEM;
}
