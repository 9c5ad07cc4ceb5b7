/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening and making images: what a file is (by its own bytes, never by what it is not), its
 * chain of parents, and its end.
 */
#include "image/image_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROBE_HEAD 4096
#define PROBE_TAIL 1024

u64 image_size(const struct image *im)
{
    return im->size;
}
const char *image_format_name(const struct image *im)
{
    return im->format->name;
}
const char *image_path(const struct image *im)
{
    return im->files[0].path;
}
bool image_writable(const struct image *im)
{
    return im->writable;
}
const struct image *image_parent(const struct image *im)
{
    return im->parent;
}
const char *image_parent_name(const struct image *im)
{
    return im->parent_name;
}
u32 image_cluster(const struct image *im)
{
    return im->cluster ? im->cluster : 512;
}

const struct image_format *image_format_of(const char *name)
{
    for (int i = 0; image_catalog[i]; i++)
        if (!strcasecmp(image_catalog[i]->name, name))
            return image_catalog[i];
    return NULL;
}

/* Read-only, a name may say that a file without any magic is raw. */
bool image_named_raw(const char *path, bool unpacked)
{
    static const char *const ends[] = { ".raw", ".img", ".iso", ".bin", "-flat.vmdk" };
    const char *dot = strrchr(path, '.');
    size_t n = unpacked && dot ? (size_t)(dot - path) : strlen(path); /* x.raw of x.raw.gz */

    for (size_t i = 0; i < LEN(ends); i++)
        if (n > strlen(ends[i]) &&
            !strncasecmp(path + n - strlen(ends[i]), ends[i], strlen(ends[i])))
            return true;
    return false;
}

const struct image_format *image_format_probe(const struct probe *p)
{
    const struct image_format *found = NULL;
    int best = 0;

    for (int i = 0; image_catalog[i]; i++) {
        int score = image_catalog[i]->probe ? image_catalog[i]->probe(p) : 0;

        if (score > best) {
            best = score;
            found = image_catalog[i];
        }
    }
    return found;
}

static int image_probe(struct image *im, struct err *e)
{
    u8 head[PROBE_HEAD], tail[PROBE_TAIL];
    struct probe p = {
        .head = head, .tail = tail, .size = image_file_length(im, 0), .name = image_path(im)
    };
    int r;

    p.nhead = min_u64(sizeof(head), p.size);
    p.ntail = min_u64(sizeof(tail), p.size);
    if ((r = image_file_read(im, 0, 0, head, p.nhead)) ||
        (r = image_file_read(im, 0, p.size - p.ntail, tail, p.ntail)))
        return err_set(e, r, "%s: %s", p.name, strerror(-r));
    im->format = image_format_probe(&p);
    if (!im->format && !(im->flags & IMAGE_WRITE) && image_named_raw(p.name, im->files[0].unpacked))
        im->format = image_format_of("raw");
    if (im->format)
        return 0;
    return err_set(e, -EMEDIUMTYPE,
                   "%s: is no disk image of a known format; if it is a raw disk, say so", p.name);
}

/* The file, its format, the driver's open; parents come later. */
static int image_open_path(struct image *im, const struct image_open *how, const char *path,
                           struct err *e)
{
    struct image_file_spec s = { .path = path,
                                 .offset = how->offset,
                                 .length = how->length,
                                 .pieces = how->pieces,
                                 .write = how->flags & IMAGE_WRITE,
                                 .lock = !(how->flags & IMAGE_NO_LOCK),
                                 .unwrap = !how->format || strcasecmp(how->format, "raw") };
    int r;

    if (s.write && (s.offset || s.length || s.pieces))
        return err_set(e, -EROFS, "%s: an image inside another file is never written", s.path);
    if ((r = image_file_add(im, &s, e)) < 0)
        return r;
    if (how->format) {
        im->format = image_format_of(how->format);
        if (!im->format)
            return err_set(e, -EOPNOTSUPP, "%s: no disk format is called \"%s\"", s.path,
                           how->format);
    } else if ((r = image_probe(im, e))) {
        return r;
    }
    if (s.write && !(im->format->can & CAN_WRITE))
        return err_set(e, -EROFS, "%s: a %s image can only be read", s.path, im->format->name);
    if (how->part && !im->format->parts)
        return err_set(e, -EOPNOTSUPP, "%s: is one disk: it has no part \"%.60s\"", s.path,
                       how->part);
    im->writable = s.write;
    if (meta_new(im) || packed_new(im))
        return err_set(e, -ENOMEM, "%s: no memory", s.path);
    if ((r = im->format->open(im, e)) || !how->snapshot)
        return r;
    if (!im->format->snapshot || s.write)
        return err_set(e, -EOPNOTSUPP, "%s: %s", s.path,
                       s.write ? "a snapshot inside an image can only be read"
                               : "an image of this format has no snapshots inside");
    return im->format->snapshot(im, how->snapshot, e);
}

/* The file that makes a directory an image; NULL: it is none. */
static char *image_inside(const char *path)
{
    struct stat st;
    char *file;

    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        return NULL;
    for (int i = 0; image_catalog[i]; i++) {
        if (!image_catalog[i]->inside ||
            asprintf(&file, "%s/%s", path, image_catalog[i]->inside) < 0)
            continue;
        if (!access(file, F_OK))
            return file;
        free(file);
    }
    return NULL;
}

static int image_open_self(struct image *im, const struct image_open *how, struct err *e)
{
    char *inside = image_inside(how->path);
    int r = image_open_path(im, how, inside ? inside : how->path, e);

    free(inside);
    return r;
}

static int image_open_at(struct image **out, const struct image_open *how,
                         const struct image *child, struct err *e);

/* A file that is already in the chain must not come again: it would never end. */
static int image_check_cycle(const struct image *im, const struct image *child, struct err *e)
{
    for (; child; child = child->parent)
        for (u32 i = 0; i < child->nfiles; i++)
            if (child->files[i].dev == im->files[0].dev &&
                child->files[i].ino == im->files[0].ino &&
                child->files[i].offset == im->files[0].offset &&
                child->files[i].at == im->files[0].at)
                return err_set(e, -ELOOP, "%s: is its own parent", image_path(im));
    return 0;
}

static int image_open_parent(struct image *im, const struct image_open *how,
                             const struct image *top, struct err *e)
{
    struct image_open up = { .format = im->parent_format, .key = how->key };
    char *path = NULL, *format = NULL;
    int r;

    if (im->depth >= IMAGE_DEPTH_MAX)
        return err_set(e, -ELOOP, "%s: a chain of more than %d images", image_path(im),
                       IMAGE_DEPTH_MAX);
    if (how->parent) {
        up = *how->parent;
        up.flags &= ~(u32)IMAGE_WRITE;
        up.key = up.key ? up.key : how->key;
    } else {
        up.flags = im->flags & (IMAGE_UNSAFE_PATHS | IMAGE_NO_LOCK | IMAGE_ANY_PARENT);
        if ((r = parent_find(im, &up, &path, &format, e)))
            return r;
    }
    if (im->flags & IMAGE_WRITE_PARENT)
        up.flags |= IMAGE_WRITE;
    r = image_open_at(&im->parent, &up, top, e);
    if (r)
        err_in(e, "%s: its parent: ", image_path(im));
    else if (im->format->adopt && !(im->flags & IMAGE_ANY_PARENT))
        r = im->format->adopt(im, e);
    free(path);
    free(format);
    return r;
}

void image_free(struct image *im)
{
    if (im->parent)
        image_close(im->parent, NULL);
    if (im->format && im->format->close)
        im->format->close(im);
    meta_free(im);
    packed_free(im);
    image_file_drop_all(im);
    free(im->parent_name);
    free(im->parent_format);
    free(im->dropped.v);
    free(im->durable.v);
    free(im->draining.v);
    pthread_mutex_destroy(&im->lock);
    pthread_mutex_destroy(&im->commit);
    pthread_mutex_destroy(&im->pen);
    pthread_cond_destroy(&im->idle);
    free(im);
}

struct image *image_new(void)
{
    struct image *im = calloc(1, sizeof(*im));

    if (!im)
        return NULL;
    pthread_mutex_init(&im->lock, NULL);
    pthread_mutex_init(&im->commit, NULL);
    pthread_mutex_init(&im->pen, NULL);
    pthread_cond_init(&im->idle, NULL);
    return im;
}

/* top: the image whose chain this one joins; or NULL */
static int image_open_at(struct image **out, const struct image_open *how, const struct image *top,
                         struct err *e)
{
    struct image *im = image_new(), **link = out;
    int r;

    if (!im)
        return err_set(e, -ENOMEM, "%s: no memory", how->path);
    im->flags = how->flags;
    im->how = how;
    for (const struct image *c = top; c; c = c->parent)
        im->depth++;
    r = image_open_self(im, how, e);
    im->how = NULL;
    if (!r && im->size > INT64_MAX)
        r = err_set(e, -EFBIG, "%s: a size of %llu bytes is not possible", how->path,
                    (unsigned long long)im->size);
    if (!r && top)
        r = image_check_cycle(im, top, e);
    if (r) {
        image_free(im);
        return r;
    }
    *link = im; /* joined now, so that the next one sees it */
    if ((im->parent_name || how->parent) && !(how->flags & IMAGE_NO_PARENT))
        r = image_open_parent(im, how, top ? top : im, e);
    if (r) {
        image_free(im);
        *link = NULL;
    }
    return r;
}

int image_open(struct image **im, const struct image_open *how, struct err *e)
{
    *im = NULL;
    return image_open_at(im, how, NULL, e);
}

int image_close(struct image *im, struct err *e)
{
    int r = im->writable ? meta_settle(im) : 0;

    if (!r && im->writable && im->format->finish && atomic_load(&im->touched)) {
        r = im->format->finish(im);
        r = r ? r : meta_settle(im);
    }
    if (r)
        err_set(e, r, "%s: the last writes: %s", image_path(im), strerror(-r));
    image_free(im);
    return r;
}

int image_check(struct image *im, void (*say)(void *arg, const char *text), void *arg,
                struct err *e)
{
    int r = im->writable ? meta_commit(im) : 0;

    for (struct image *c = im; !r && c; c = c->parent)
        if (c->format->check && (r = c->format->check(c, say, arg)))
            err_set(e, r, "%s: %s", image_path(c), r == -EBADMSG ? "is damaged" : strerror(-r));
    return r;
}

int image_repair(struct image *im, void (*say)(void *arg, const char *text), void *arg,
                 struct err *e)
{
    int r;

    if (!im->writable)
        return err_set(e, -EROFS, "%s: is not open for writing", image_path(im));
    if (!im->format->repair)
        return err_set(e, -EOPNOTSUPP, "%s: a %s image cannot be repaired in place", image_path(im),
                       im->format->name);
    pthread_mutex_lock(&im->lock);
    r = im->format->repair(im, say, arg, e);
    pthread_mutex_unlock(&im->lock);
    return r ? r : image_flush(im);
}

static int image_create_file(struct image *im, const struct image_create *how,
                             const struct image_make *make, struct err *e)
{
    struct image_file_spec s = { .path = how->path, .write = true, .create = true };
    int r = image_file_add(im, &s, e);

    return r < 0 ? r : im->format->create(im, make, e);
}

int image_create_hidden(const struct image_create *how, const char *beside, struct err *e)
{
    struct image_make make = {
        .size = how->size, .block = how->cluster, .options = how->options, .key = how->key
    };
    struct image *im, *base = NULL;
    char *name = NULL;
    int r = 0;

    im = image_new();
    if (!im)
        return err_set(e, -ENOMEM, "%s: no memory", how->path);
    im->format = image_format_of(how->format ? how->format : "qcow2");
    if (!im->format || !(im->format->can & CAN_CREATE))
        r = err_set(e, -EOPNOTSUPP, "%s: no format \"%s\" that can be made", how->path,
                    how->format);
    else if (how->parent && !(im->format->can & CAN_PARENT))
        r = err_set(e, -EOPNOTSUPP, "%s: a %s image has no parent", how->path, how->format);
    if (!r)
        r = image_options_check(im->format, how->options, e);
    if (!r && how->parent)
        r = image_open(&base, how->parent, e);
    if (base) {
        make.base = base;
        make.parent_format = base->format->name;
        make.size = how->size ? how->size : base->size;
        r = parent_name(base, beside, &name);
        make.parent = name;
        if (r)
            err_set(e, r, "%s: cannot be named as a parent", base->files[0].path);
    }
    if (!r)
        r = image_create_file(im, how, &make, e);
    if (base)
        image_close(base, NULL);
    free(name);
    im->format = NULL; /* it was never opened: nothing for the driver to close */
    image_free(im);
    return r;
}

int image_create(const struct image_create *how, struct err *e)
{
    struct image_create hidden = *how;
    struct image_stage stage;
    int r;

    if (how->unsynced)
        return image_create_hidden(how, how->path, e);
    r = stage_new(&stage, how->path, false, e);
    if (r)
        return r;
    hidden.path = stage.path;
    r = image_create_hidden(&hidden, how->path, e);
    return r ? stage_fail(&stage, r, e) : stage_commit(&stage, e);
}
