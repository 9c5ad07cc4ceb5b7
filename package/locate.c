/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files by the names that another host gave them. */
#include "package/locate.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOCATE_NAME 4096
#define LOCATE_TAIL 3 /* how many last components of a foreign name are tried */

/* A disk may be a directory of its own (Parallels): its descriptor stands for it. */
static const char *const locate_inside[] = { "", "/DiskDescriptor.xml" };

static bool locate_foreign(const char *p)
{
    return *p == '/' || (isalpha((u8)*p) && p[1] == ':');
}

/* An export keeps its disks in a directory of their own (Hyper-V). */
static const char *const locate_below[] = { "", "Virtual Hard Disks/", "Snapshots/" };

static int locate_try(struct source *s, const char *name, const struct source_file **f,
                      struct err *e)
{
    char path[LOCATE_NAME + 64];

    *f = NULL;
    for (size_t i = 0; i < LEN(locate_below) * LEN(locate_inside) && !*f; i++) {
        const char *below = locate_below[i / LEN(locate_inside)];
        struct err ignored = { 0 };
        int r;

        snprintf(path, sizeof(path), "%s%s%s", below, name, locate_inside[i % LEN(locate_inside)]);
        r = source_find(s, path, f, &ignored);
        if (r == -ENOMEM || r == -E2BIG)
            return err_set(e, r, "%s", ignored.text);
    }
    return 0;
}

int locate_file(struct source *s, const char *name, const struct source_file **f, bool *moved,
                struct err *e)
{
    char path[LOCATE_NAME], *p = path, *cut;
    int r = 0;

    *f = NULL;
    *moved = false;
    if (strlen(name) >= sizeof(path))
        return 0;
    snprintf(path, sizeof(path), "%s", name);
    for (cut = path; *cut; cut++)
        if (*cut == '\\')
            *cut = '/';
    if (isalpha((u8)*p) && p[1] == ':')
        p += 2;
    if (*p && !locate_foreign(name))
        r = locate_try(s, p, f, e);
    if (r || *f)
        return r;
    cut = p + strlen(p);
    for (int i = 0; i < LOCATE_TAIL && !r && !*f && cut > p; i++) {
        for (cut--; cut > p && cut[-1] != '/'; cut--)
            ;
        if (*cut && *cut != '/')
            r = locate_try(s, cut, f, e);
    }
    *moved = *f != NULL;
    return r;
}

/* Files without a magic of their own, by the end of their names. */
static bool locate_is_raw(const char *name)
{
    static const char *const raw[] = { ".iso", ".raw", ".img", ".bin", ".vfd", ".flp", ".dsk" };

    for (size_t i = 0; i < LEN(raw); i++)
        if (source_has_suffix(name, raw[i]))
            return true;
    return false;
}

int locate_disk(struct desc *d, struct source *s, struct notes *n, struct desc_disk *k,
                const char *name, struct err *e)
{
    const struct source_file *f;
    bool moved;
    int r = locate_file(s, name, &f, &moved, e);

    if (r)
        return r;
    k->source = arena_text(&d->arena, f ? f->name : name, strlen(f ? f->name : name));
    if (!f) {
        note(n, NOTE_LOST, k->name, "its file \"%s\" is not here%s", name,
             k->media == DESC_DISK ? "" : ": the drive is empty");
        return k->source ? 0 : -ENOMEM;
    }
    if (moved)
        note(n, NOTE_CHANGED, k->name, "\"%s\" was found beside the description as \"%s\"", name,
             f->name);
    k->path = arena_text(&d->arena, f->path, strlen(f->path));
    if (s->kind == SOURCE_TAR) {
        k->container = k->path;
        k->offset = f->offset;
        k->length = f->size;
    }
    if (!k->format && (k->media != DESC_DISK || locate_is_raw(f->name)))
        k->format = "raw";
    return k->source && k->path ? 0 : -ENOMEM;
}
