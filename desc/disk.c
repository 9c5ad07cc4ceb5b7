/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a described disk to its image. */
#include "desc/disk.h"
#include "image/format.h"
#include <errno.h>
#include <string.h>

#define DISK_PARENTS 64

/*
 * What a package says of the format is a hint that is often wrong: only our own names count, and
 * anything else is probed.
 */
static const char *disk_format(const struct desc_disk *k)
{
    for (u32 i = 0; k->format && image_catalog[i]; i++)
        if (!strcmp(image_catalog[i]->name, k->format))
            return k->format;
    return NULL;
}

static int disk_fill(const struct desc_disk *k, struct image_open *how, struct arena *a)
{
    const struct image_piece **last = &how->pieces;

    *how = (struct image_open){ .path = k->path,
                                .offset = k->offset,
                                .length = k->length,
                                .format = disk_format(k),
                                .part = k->part };
    for (const struct desc_piece *p = k->pieces; p; p = p->next) {
        struct image_piece *to = arena_new(a, sizeof(*to));

        if (!to)
            return -ENOMEM;
        *to = (struct image_piece){ p->path, p->offset, p->length, NULL };
        *last = to;
        last = &to->next;
    }
    return 0;
}

int desc_image(const struct desc_disk *k, struct desc_image *to, struct err *e)
{
    struct image_open *how = &to->how;
    int depth = 0, r;

    *to = (struct desc_image){ .arena = { .limit = 16u << 20 } };
    for (const struct desc_disk *at = k;;) {
        if (!at->path)
            r = at->source
                    ? err_set(e, -ENOENT, "%s: its file \"%s\" is missing", k->name, at->source)
                    : err_set(e, -ENOENT, "%s: is empty", k->name);
        else
            r = disk_fill(at, how, &to->arena);
        at = at->base;
        if (r || !at)
            break;
        if (++depth > DISK_PARENTS) {
            r = err_set(e, -ELOOP, "%s: more than %d parents", k->name, DISK_PARENTS);
            break;
        }
        how->parent = arena_new(&to->arena, sizeof(*how));
        if (!how->parent) {
            r = -ENOMEM;
            break;
        }
        how = (struct image_open *)(uintptr_t)how->parent;
    }
    if (r == -ENOMEM)
        err_set(e, r, "%s: no memory", k->name);
    if (r)
        desc_image_fini(to);
    return r;
}

void desc_image_fini(struct desc_image *d)
{
    arena_fini(&d->arena);
    *d = (struct desc_image){ 0 };
}
