/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks of a package that is written: converted into it, or left where they are. */
#include "image/format.h"
#include "image/image.h"
#include "package/sink_int.h"
#include "package/source.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a package says of the format is a hint that is often wrong: only our own names count. */
static const char *disk_format(const struct desc_disk *k)
{
    for (u32 i = 0; k->format && image_catalog[i]; i++)
        if (!strcmp(image_catalog[i]->name, k->format))
            return k->format;
    return NULL;
}

int package_disk(const struct desc_disk *k, u32 flags, struct image **im, struct err *e)
{
    struct image_open how = { .path = k->path,
                              .offset = k->offset,
                              .length = k->length,
                              .format = disk_format(k),
                              .flags = flags };
    char parent[PATH_MAX];
    struct image_open below = { .path = parent, .flags = flags & ~(u32)IMAGE_WRITE };
    int r;

    if (!k->path && k->source)
        return err_set(e, -ENOENT, "%s: its file \"%s\" is missing", k->name, k->source);
    if (!k->path)
        return err_set(e, -ENOENT, "%s: is empty", k->name);
    if (k->parent && !k->container) {
        const char *base = source_base(k->path);

        if (snprintf(parent, sizeof(parent), "%.*s%s", (int)(base - k->path), k->path, k->parent) >=
            (int)sizeof(parent))
            return err_set(e, -ENAMETOOLONG, "%s: %s", k->name, strerror(ENAMETOOLONG));
        how.parent = &below;
    }
    r = image_open(im, &how, e);
    if (r)
        err_in(e, "%s: ", k->name);
    return r;
}

/* A disk that is only a size: a hole in a file that has no name. */
static int disk_empty(const struct desc_disk *k, struct image **im, struct err *e)
{
    char path[64];
    int fd, r;
    struct image_open how = { .path = path, .format = "raw" };

    if (!k->capacity)
        return err_set(e, -ENOENT, "%s: is empty", k->name);
    fd = open(sink_temp_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, -errno, "%s: %s", sink_temp_dir(), strerror(errno));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    r = ftruncate(fd, (off_t)k->capacity) ? err_set(e, -errno, "%s: %s", k->name, strerror(errno))
                                          : image_open(im, &how, e);
    close(fd);
    return r;
}

static u64 disk_populated(struct image *im)
{
    u64 sum = 0, len;
    enum image_kind kind;

    for (u64 at = 0; at < image_size(im); at += len) {
        if (image_map(im, at, &len, &kind, NULL) || !len)
            return image_size(im);
        sum += kind == IMAGE_DATA ? len : 0;
    }
    return sum;
}

struct disk_work { /* one conversion */
    struct sink *s;
    const struct desc_disk *k;
    struct image *im;
    struct sink_disk *out;
};

static void disk_progress(void *arg, u64 done, u64 total)
{
    const struct disk_work *w = arg;
    const struct package_options *o = w->s->o;

    if (o->progress)
        o->progress(o->arg, w->out->name, done, total);
}

static const struct image_format *disk_driver(const char *name)
{
    for (u32 i = 0; image_catalog[i]; i++)
        if (!strcmp(image_catalog[i]->name, name))
            return image_catalog[i];
    return NULL;
}

/* The user's "format:variant" takes the place of the writer's, with its suffix. */
static int disk_choose(struct sink *s, const struct desc_disk *k, const char *name,
                       const char *format, const char *options, struct sink_disk *out,
                       struct err *e)
{
    const char *said = k->media == DESC_DISK ? s->o->disk_format : NULL;
    const char *all = said ? said : format, *colon = strchr(all, ':'), *dot = strrchr(name, '.');
    const struct image_format *f;

    if (said)
        options = NULL;
    format = arena_text(&s->arena, all, colon ? (size_t)(colon - all) : strlen(all));
    if (colon)
        options = arena_print(&s->arena, "variant=%s", colon + 1);
    if (!format || (colon && !options))
        return err_set(e, -ENOMEM, "no memory");
    f = disk_driver(format);
    if (!f || !(f->can & CAN_CREATE))
        return err_set(e, -EINVAL, "%s is no format that disks can be written in", format);
    out->format = f->name;
    out->options = options;
    out->name = said && f->suffix
                    ? arena_print(&s->arena, "%.*s%s",
                                  (int)(dot ? (size_t)(dot - name) : strlen(name)), name, f->suffix)
                    : arena_text(&s->arena, name, strlen(name));
    return out->name ? 0 : err_set(e, -ENOMEM, "no memory");
}

static u64 disk_dir_size(const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *x;
    struct stat st;
    u64 sum = 0;

    while (d && (x = readdir(d)))
        if (!fstatat(dirfd(d), x->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
            sum += (u64)st.st_size;
    if (d)
        closedir(d);
    return sum;
}

static int disk_to_file(struct disk_work *w, const char *path, struct err *e)
{
    struct image_convert how = { .path = path,
                                 .format = w->out->format,
                                 .options = w->out->options,
                                 .progress = disk_progress,
                                 .arg = w };

    return image_convert(w->im, &how, e);
}

/* By way of a file of its own, for formats that are not written front to back. */
static int disk_to_archive(struct disk_work *w, struct err *e)
{
    char path[PATH_MAX];
    int r;

    snprintf(path, sizeof(path), "%s/disk", w->s->temp);
    r = disk_to_file(w, path, e);
    r = r ? r : sink_copy(w->s, w->out->name, path, 0, 0, e);
    unlink(path);
    return r;
}

static int disk_into(struct disk_work *w, struct err *e)
{
    struct sink *s = w->s;
    char path[PATH_MAX];
    struct sink_file *f;
    u64 before;
    int r;

    if (sink_is_archive(s)) {
        r = disk_to_archive(w, e);
        w->out->size = sink_size(s, w->out->name);
        return r;
    }
    f = sink_add(s, w->out->name, e);
    if (!f)
        return e->code;
    snprintf(path, sizeof(path), "%s/%s", s->temp, w->out->name);
    before = disk_dir_size(s->temp);
    r = disk_to_file(w, path, e);
    f->size = w->out->size = disk_dir_size(s->temp) - before;
    return r ? r : sink_digest_file(s, f, path, e);
}

/* From the target's directory, when the disk lies below it; else from the root. */
static int disk_leave(struct sink *s, const struct desc_disk *k, struct sink_disk *out,
                      struct err *e)
{
    const char *base = source_base(s->path);
    char *dir, *full;
    size_t n;

    if (!k->path) {
        out->name = arena_text(&s->arena, k->source, strlen(k->source));
        return out->name ? 0 : err_set(e, -ENOMEM, "no memory");
    }
    if (k->container)
        return err_set(e, -EINVAL,
                       "%s: lies inside %s: without its disks converted the package "
                       "cannot refer to it",
                       k->name, k->container);
    full = realpath(k->path, NULL);
    if (!full)
        return err_set(e, -errno, "%s: %s", k->path, strerror(errno));
    dir = strndup(s->path, (size_t)(base - s->path));
    if (dir && s->kind == SINK_BESIDE) {
        char *real = realpath(*dir ? dir : ".", NULL);

        free(dir);
        dir = real;
    }
    n = dir ? strlen(dir) : 0;
    if (s->kind == SINK_BESIDE && n && !strncmp(full, dir, n) && full[n] == '/')
        out->name = arena_text(&s->arena, full + n + 1, strlen(full + n + 1));
    else
        out->name = arena_text(&s->arena, full, strlen(full));
    free(dir);
    free(full);
    return out->name ? 0 : err_set(e, -ENOMEM, "no memory");
}

/* The description says what it can, also of a disk that cannot be looked at. */
static int disk_describe(struct sink *s, const struct desc_disk *k, struct sink_disk *out,
                         struct err *e)
{
    struct image *im;
    struct stat st;
    int r = k->source ? disk_leave(s, k, out, e) : err_set(e, -ENOENT, "%s: is empty", k->name);

    if (r)
        return r;
    out->capacity = k->capacity;
    out->size = k->path && !stat(k->path, &st) ? (u64)st.st_size : 0;
    out->format = disk_format(k);
    if (!k->path || package_disk(k, 0, &im, NULL))
        return 0;
    out->capacity = image_size(im);
    out->format = image_format_name(im);
    image_close(im, NULL);
    return 0;
}

int sink_disk(struct sink *s, const struct desc_disk *k, const char *name, const char *format,
              const char *options, struct sink_disk *out, struct err *e)
{
    struct disk_work w = { .s = s, .k = k, .out = out };
    int r;

    *out = (struct sink_disk){ 0 };
    if (s->o->no_disks)
        return disk_describe(s, k, out, e);
    r = disk_choose(s, k, name, format, options, out, e);
    r = r ? r : k->source ? package_disk(k, 0, &w.im, e) : disk_empty(k, &w.im, e);
    if (r)
        return r;
    out->capacity = image_size(w.im);
    out->populated = disk_populated(w.im);
    r = disk_into(&w, e);
    image_close(w.im, NULL);
    return r;
}
