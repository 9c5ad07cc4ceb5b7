/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Option texts of Proxmox, after the property strings in qm.conf(5). */
#include "package/proxmox_int.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const pve_buses[5] = { "ide", "sata", "scsi", "virtio", "net" };
const u32 pve_most[5] = { 4, 6, 31, 16, 32 };

bool pve_options(struct pve_options *o, const char *text)
{
    o->text[0] = 0;
    return snprintf(o->rest, sizeof(o->rest), "%s", text) < (int)sizeof(o->rest);
}

/* [at, at + n) and a comma beside it leave the rest; a copy of it stays in o->text. */
static const char *pve_cut(struct pve_options *o, char *at, size_t n, size_t skip)
{
    memcpy(o->text, at + skip, n - skip);
    o->text[n - skip] = 0;
    if (at[n] == ',')
        n++;
    else if (at > o->rest)
        at--, n++;
    memmove(at, at + n, strlen(at + n) + 1);
    return o->text;
}

const char *pve_take(struct pve_options *o, const char *key)
{
    size_t m = strlen(key);

    for (char *p = o->rest; *p; p += *p == ',') {
        size_t n = strcspn(p, ",");

        if (n > m && p[m] == '=' && !strncmp(p, key, m))
            return pve_cut(o, p, n, m + 1);
        p += n;
    }
    return NULL;
}

const char *pve_first(struct pve_options *o, const char *key)
{
    size_t n = strcspn(o->rest, ",");
    const char *v;

    if (n && !memchr(o->rest, '=', n))
        return pve_cut(o, o->rest, n, 0);
    v = pve_take(o, key);
    return v ? v : "";
}

bool pve_size(const char *text, u64 *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    double v;
    const char *unit;

    errno = 0;
    v = strtod(text, &end);
    if (!isdigit((u8)*text) || errno || v < 0 || v > 1e18)
        return false;
    unit = *end ? strchr(units, toupper((u8)*end)) : NULL;
    if (*end && (!unit || end[1]))
        return false;
    for (const char *u = units; unit && u <= unit; u++)
        v *= 1024;
    if (v > 9e18)
        return false;
    *bytes = (u64)v;
    return true;
}

int pve_bus(const char *key, u32 *index)
{
    for (int b = 0; b < 5; b++) {
        size_t n = strlen(pve_buses[b]);
        char *end;

        if (strncmp(key, pve_buses[b], n) || !isdigit((u8)key[n]) || strlen(key) > n + 2)
            continue;
        *index = (u32)strtoul(key + n, &end, 10);
        return !*end && *index < pve_most[b] ? b : -1;
    }
    return -1;
}
