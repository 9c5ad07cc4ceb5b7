/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file behind a name that a description gives: below its directory as named, else beside
 * it by the last component (moved VMs), never anywhere else on this host.
 */
#include "package/place.h"
#include "package/source.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct source_file *place_look(struct source *s, const char *name,
                                            const char *const *suffixes)
{
    const struct source_file *f;
    struct err e = { 0 };
    char with[1100];

    if (!source_find(s, name, &f, &e))
        return f;
    for (; suffixes && *suffixes; suffixes++) {
        if (snprintf(with, sizeof(with), "%s%s", name, *suffixes) < (int)sizeof(with) &&
            !source_find(s, with, &f, &e))
            return f;
    }
    return NULL;
}

static bool place_is_below(const char *name)
{
    return *name != '/' && !strstr(name, "..") && !strchr(name, ':') && !strchr(name, '\\');
}

static const char *place_last(const char *name)
{
    const char *last = name;

    for (const char *p = name; *p; p++)
        if ((*p == '/' || *p == '\\' || *p == ':') && p[1])
            last = p + 1;
    return last;
}

int place_member(struct desc *d, const struct source *s, struct desc_disk *k,
                 const struct source_file *f)
{
    static const char *const raw[] = { ".iso", ".raw", ".img" };

    k->source = arena_text(&d->arena, f->name, strlen(f->name));
    k->path = arena_text(&d->arena, f->path, strlen(f->path));
    if (!k->source || !k->path)
        return -ENOMEM;
    for (size_t i = 0; i < LEN(raw) && !k->format; i++)
        if (source_has_suffix(f->name, raw[i]))
            k->format = "raw"; /* these have no magic to know them by */
    if (s->kind == SOURCE_TAR) {
        k->container = k->path;
        k->offset = f->offset;
        k->length = f->size;
    }
    return 0;
}

int place_source(struct desc *d, struct source *s, struct notes *n, struct desc_disk *k,
                 const char *name, const char *const *suffixes)
{
    const struct source_file *f = NULL;

    if (place_is_below(name))
        f = place_look(s, name, suffixes);
    if (!f && *place_last(name) && (f = place_look(s, place_last(name), suffixes)))
        note(n, NOTE_CHANGED, k->name, "\"%.200s\" is taken from beside the description: \"%s\"",
             name, f->name);
    if (f)
        return place_member(d, s, k, f);
    k->source = arena_text(&d->arena, name, strlen(name));
    note(n, NOTE_LOST, k->name, "its %s \"%.200s\" is not beside the description",
         k->media == DESC_DISK ? "file" : "medium", name);
    return k->source ? 0 : -ENOMEM;
}

int place_uuid(struct desc *d, const char *text)
{
    unsigned n = 0;
    u8 uuid[16] = { 0 };

    for (; *text && n <= 32; text++) {
        const char *hex = "0123456789abcdef0123456789ABCDEF", *at = strchr(hex, *text);

        if (strchr("-{} ", *text))
            continue;
        if (!at || n == 32)
            return -EBADMSG;
        uuid[n / 2] = (u8)(uuid[n / 2] << 4 | ((at - hex) & 15));
        n++;
    }
    if (n != 32)
        return -EBADMSG;
    memcpy(d->uuid, uuid, 16);
    d->has_uuid = true;
    return 0;
}

const char *place_uuid_text(const struct desc *d, char text[37])
{
    char *p = text;

    for (unsigned i = 0; i < 16; i++)
        p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", d->uuid[i]);
    return text;
}
