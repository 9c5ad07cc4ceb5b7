/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The name by which an image knows its parent: a file name, or, for a parent that is a part of
 * a file (a disk in an OVA), the json: form that QEMU reads: driver over raw window over file.
 */
#include "image/image_int.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Is `whole`, a real path, in the directory where `child` will be? */
static bool parent_is_beside(const char *whole, const char *child)
{
    const char *slash = strrchr(child, '/');
    char *dir = slash ? strndup(child, slash == child ? 1 : (size_t)(slash - child)) : strdup(".");
    char *real = dir ? realpath(dir, NULL) : NULL;
    size_t n = real ? strlen(real) : 0;
    bool beside =
        real && !strncmp(whole, real, n) && whole[n] == '/' && !strchr(whole + n + 1, '/');

    free(dir);
    free(real);
    return beside;
}

/*
 * How an image names its parent: its name beside it, else its path; for a part of a file what
 * QEMU reads as that.
 */
int parent_name(const struct image *base, const char *child, char **name)
{
    const struct image_file *f = &base->files[0];
    char *whole = realpath(f->path, NULL);
    int r;

    if (!whole)
        return -errno;
    if (!f->window || f->nmore ||
        (f->unpacked && !f->packed)) { /* of several pieces, the first one's name */
        if (parent_is_beside(whole, child)) {
            char *last = strrchr(whole, '/') + 1;

            memmove(whole, last, strlen(last) + 1);
        }
        *name = whole;
        return 0;
    }
    for (char *p = whole; *p; p++)
        if (*p == '"' || *p == '\\' || (u8)*p < 0x20) {
            free(whole);
            return -EINVAL;
        }
    r = asprintf(name,
                 "json:{\"driver\":\"%s\",\"file\":{\"driver\":\"raw\",\"offset\":%llu,"
                 "\"size\":%llu,\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}}}",
                 base->format->name, (unsigned long long)(f->unpacked ? f->at : f->offset),
                 (unsigned long long)(f->unpacked ? f->packed : image_file_length(base, 0)), whole);
    free(whole);
    return r < 0 ? -ENOMEM : 0;
}

/* {"driver":D,"file":{"driver":"raw","offset":N,"size":M,"file":{"driver":"file","filename":F}}} */
static int parent_from_json(const char *text, struct image_open *up, char **path, char **format)
{
    json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_int_t offset, size;
    const char *driver, *raw, *file, *name;
    int r = -EBADMSG;

    if (j &&
        !json_unpack(j, "{s:s,s:{s:s,s:I,s:I,s:{s:s,s:s!}!}!}", "driver", &driver, "file", "driver",
                     &raw, "offset", &offset, "size", &size, "file", "driver", &file, "filename",
                     &name) &&
        !strcmp(raw, "raw") && !strcmp(file, "file") && offset >= 0 && size > 0) {
        *path = strdup(name);
        *format = strdup(driver);
        up->path = *path;
        up->format = *format;
        up->offset = (u64)offset;
        up->length = (u64)size;
        r = *path && *format ? 0 : -ENOMEM;
    }
    json_decref(j);
    return r;
}

int parent_find(const struct image *im, struct image_open *up, char **path, char **format,
                struct err *e)
{
    int r;

    if (im->flags & IMAGE_UNSAFE_PATHS && !strncmp(im->parent_name, "json:", 5)) {
        r = parent_from_json(im->parent_name + 5, up, path, format);
        return r ? err_set(e, r, "%s: its parent's name is not understood: \"%.100s\"",
                           image_path(im), im->parent_name)
                 : 0;
    }
    r = image_file_find(im, im->parent_name, path, e);
    up->path = *path;
    return r;
}

bool parent_offer(struct image *im, char *take_name)
{
    char *path = NULL;
    bool given = im->how && im->how->parent; /* then nobody looks for it */
    bool found = take_name && (given || !image_file_find(im, take_name, &path, NULL));

    free(path);
    if (!take_name || (im->parent_name && !found)) {
        free(take_name);
        return false;
    }
    free(im->parent_name);
    im->parent_name = take_name;
    return found;
}
