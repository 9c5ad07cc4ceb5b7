/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Notes of what a package's format cannot say. */
#include "package/lost.h"
#include <stdio.h>
#include <string.h>

#define LOST_SHOWN 6 /* names in one note */

/*
 * "ethernet0.uptCompatibility" belongs to "ethernet0", "Hardware/USB/x" to "Hardware"; what is
 * left of parts that are described, "VirtualHardwareSection/Item[cpu]", stays together.
 */
static size_t lost_group(const char *key)
{
    size_t n = strcspn(key, "./");

    if (!strncmp(key + n, "/Item[", 6))
        return n + 5;
    return n ? n : strlen(key);
}

static bool lost_same(const struct desc_extra *a, const struct desc_extra *b)
{
    size_t n = lost_group(a->key);

    return !strcmp(a->format, b->format) && n == lost_group(b->key) && !strncmp(a->key, b->key, n);
}

static void lost_note(const struct desc_extra *x, struct notes *n)
{
    char where[120], list[400] = "";
    size_t at = 0, group = lost_group(x->key);
    u32 count = 0;

    for (const struct desc_extra *y = x; y; y = y->next) {
        const char *rest = y->key + group;

        if (!lost_same(x, y) || count++ >= LOST_SHOWN)
            continue;
        rest += *rest && *rest != '[';
        if (*rest && at < sizeof(list) - 60)
            at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%.50s", at ? ", " : "", rest);
    }
    snprintf(where, sizeof(where), "%.30s: %.*s", x->format, (int)(group < 80 ? group : 80),
             x->key);
    if (list[0] == '[')
        note(n, NOTE_LOST, where, "details of %u %s no place in the new package: %s%s", count,
             count == 1 ? "part have" : "parts have", list, count > LOST_SHOWN ? " ..." : "");
    else if (count == 1 && !*list)
        note(n, NOTE_LOST, where, "\"%.100s\" has no place in the new package", x->value);
    else
        note(n, NOTE_LOST, where, "%u %s no place in the new package: %s%s", count,
             count == 1 ? "setting has" : "settings have", list, count > LOST_SHOWN ? " ..." : "");
}

void lost_extras(const struct desc *d, const char *keeps, struct notes *n)
{
    for (const struct desc_extra *x = d->extras; x; x = x->next) {
        const struct desc_extra *y = d->extras;

        if ((keeps && !strncmp(x->format, keeps, strlen(keeps))) || *x->key == '@')
            continue; /* "@version" is of the document, not of the machine */
        while (y != x && !lost_same(y, x))
            y = y->next;
        if (y == x) /* the first of its group */
            lost_note(x, n);
    }
}

void lost_snapshots(const struct desc *d, struct notes *n)
{
    for (const struct desc_snapshot *s = d->snapshots; s; s = s->next)
        note(n, NOTE_LOST, "snapshot", "\"%s\"%s: only the present state is written", s->name,
             s->current ? " (the current one)" : "");
}

void lost_properties(const struct desc *d, struct notes *n)
{
    for (const struct desc_property *p = d->properties; p; p = p->next)
        note(n, NOTE_LOST, "property", "%s%s%s has no place in the new package",
             p->class ? p->class : "", p->class ? "." : "", p->key);
}

void lost_direct_boot(const struct desc *d, struct notes *n)
{
    if (d->kernel)
        note(n, NOTE_LOST, "kernel", "\"%s\" is booted directly, which has no place there",
             d->kernel);
    if (d->initrd)
        note(n, NOTE_LOST, "initrd", "\"%s\" has no place there", d->initrd);
    if (d->append)
        note(n, NOTE_LOST, "command line", "\"%s\" has no place there", d->append);
}

void lost_vms(const struct desc *d, struct notes *n)
{
    for (d = d->next; d; d = d->next)
        note(n, NOTE_LOST, d->name, "is a further VM of the package: convert it with --vm");
}
