/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks of a package that is written: converted into it, or left where they are. */
#include "desc/disk.h"
#include "image/format.h"
#include "image/image.h"
#include "package/sink_int.h"
#include "package/source.h"
#include "package/stream.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int package_disk(const struct desc_disk *k, u32 flags, struct image **im, struct err *e)
{
    struct desc_image d;
    int r = desc_image(k, &d, e);

    if (r)
        return r;
    d.how.flags = flags;
    r = image_open(im, &d.how, e);
    desc_image_fini(&d);
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

struct disk_work { /* one conversion */
    struct sink *s;
    const struct desc_disk *k;
    struct image *im;
    struct sink_disk *out;
    u64 known; /* bytes that it will have as a member; 0: not known */
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

/* As a member of the archive while it is made; -ESPIPE: its format is not made front to back. */
struct disk_stream {
    struct disk_work *w;
    struct sink_file *f;
    struct sink_digest *d;
    struct err err;
};

static int disk_append(void *arg, const void *p, size_t n)
{
    struct disk_stream *t = arg;
    int r = 0;

    if (!t->f) {
        t->f = sink_tar_begin(t->w->s, t->w->out->name, t->w->known, &t->err);
        r = t->f ? 0 : t->err.code;
    }
    if (t->d)
        sink_digest_add(t->d, p, n);
    return r ? r : sink_tar_put(t->w->s, p, n, &t->err);
}

static int disk_stream(struct disk_work *w, struct image_convert *how, struct err *e)
{
    struct disk_stream t = { .w = w };
    char hex[SINK_HEX] = "";
    int r;

    /* a raw image is as long as the disk: its header is right at once, also down a pipe */
    w->known = strcmp(how->format, "raw") ? 0 : image_size(w->im);
    r = w->known ? 0 : sink_tar_spool(w->s, e);
    if (!r && sink_algorithm(w->s))
        r = sink_digest_begin(&t.d, sink_algorithm(w->s), e);
    if (r)
        return r;
    how->append = disk_append;
    how->append_arg = &t;
    r = image_convert(w->im, how, e);
    if (r && t.err.code && e)
        *e = t.err;
    if (!r && !t.f)
        r = disk_append(&t, "", 0); /* not a single byte */
    if (t.d && sink_digest_end(t.d, hex) && !r)
        r = err_set(e, -ENOMEM, "no memory for a digest");
    if (r)
        return r;
    memcpy(t.f->hex, hex, sizeof(hex));
    return sink_tar_end(w->s, t.f, e);
}

/* Else by way of a file of its own. */
static int disk_to_archive(struct disk_work *w, struct image_convert *how, struct err *e)
{
    char path[PATH_MAX];
    int r = disk_stream(w, how, e);

    if (r != -ESPIPE)
        return r;
    if (e)
        *e = (struct err){ 0 };
    snprintf(path, sizeof(path), "%s/disk", w->s->temp);
    how->path = path;
    how->append = NULL;
    r = image_convert(w->im, how, e);
    r = r ? r : sink_copy(w->s, w->out->name, path, 0, 0, e);
    unlink(path);
    return r;
}

static int disk_into(struct disk_work *w, struct err *e)
{
    struct image_converted result = { 0 };
    struct image_convert how = { .format = w->out->format,
                                 .options = w->out->options,
                                 .progress = disk_progress,
                                 .arg = w,
                                 .result = &result };
    struct sink *s = w->s;
    char path[PATH_MAX];
    struct sink_file *f;
    int r;

    if (sink_is_archive(s)) {
        r = disk_to_archive(w, &how, e);
    } else {
        f = sink_add(s, w->out->name, e);
        if (!f)
            return e->code;
        snprintf(path, sizeof(path), "%s/%s", s->temp, w->out->name);
        how.path = path;
        r = image_convert(w->im, &how, e);
        f->size = result.stored;
        r = r ? r : sink_digest_file(s, f, path, e);
    }
    w->out->size = result.stored;
    w->out->populated = result.populated;
    return r;
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
    out->format = k->format;
    if (!k->path || package_disk(k, 0, &im, NULL))
        return 0;
    out->capacity = image_size(im);
    out->format = image_format_name(im);
    image_close(im, NULL);
    return 0;
}

/* ---- from a pipe ---- */

/* A copy of k whose files are all there: what was still to come is put aside. */
static int disk_fetch(const struct desc_disk *k, struct desc_disk *to, struct arena *a,
                      struct err *e)
{
    const struct source_file *f;
    struct desc_piece **last = &to->pieces;
    char name[1100];
    u32 number = 0;
    int r = 0;

    *to = *k;
    if (k->path && !strcmp(k->path, STREAM_PATH)) {
        r = stream_fetch(k->source, &f, e);
        if (r)
            return r;
        to->path = to->container = f->path;
        to->offset = f->offset;
        to->length = f->size;
    }
    *last = NULL;
    for (const struct desc_piece *p = k->pieces; !r && p; p = p->next) {
        struct desc_piece *q = arena_new(a, sizeof(*q));

        if (!q)
            return err_set(e, -ENOMEM, "no memory");
        *q = *p;
        q->next = NULL;
        *last = q;
        last = &q->next;
        number++;
        if (strcmp(p->path, STREAM_PATH))
            continue;
        snprintf(name, sizeof(name), "%.*s%09u", (int)(strlen(k->source) - 9), k->source, number);
        r = stream_fetch(name, &f, e);
        if (r)
            return r;
        q->path = f->path;
        q->offset = f->offset;
        q->length = f->size;
    }
    if (!r && k->base) {
        struct desc_disk *base = arena_new(a, sizeof(*base));

        to->base = base;
        r = base ? disk_fetch(k->base, base, a, e) : err_set(e, -ENOMEM, "no memory");
    }
    return r;
}

static void disk_pulled(void *arg, u64 done, u64 total)
{
    disk_progress(arg, done, total);
}

/* Out of the pipe into its file, never stored in between. */
static int disk_pull(struct disk_work *w, struct err *e)
{
    struct image_converted result = { 0 };
    struct err pipe = { 0 };
    char path[PATH_MAX];
    struct image_pull how = { .path = path,
                              .format = w->out->format,
                              .options = w->out->options,
                              .progress = disk_pulled,
                              .arg = w,
                              .read = stream_read,
                              .read_arg = &pipe,
                              .name = w->k->source,
                              .from = w->k->format,
                              .result = &result };
    const struct source_file *f;
    struct sink_file *to;
    int r = stream_seek(w->k->source, &f, &how.length, e);

    if (r)
        return r;
    to = sink_add(w->s, w->out->name, e);
    if (!to)
        return e->code;
    snprintf(path, sizeof(path), "%s/%s", w->s->temp, w->out->name);
    r = image_pull(&how, e);
    if (r && pipe.code)
        *e = pipe;
    w->out->size = to->size = result.stored;
    w->out->capacity = result.size;
    w->out->populated = result.populated;
    return r ? r : sink_digest_file(w->s, to, path, e);
}

/* Compressed, cut into pieces, a difference, or for an archive: only from a file. */
static bool disk_can_pull(const struct sink *s, const struct desc_disk *k)
{
    const struct source_file *f;

    return !sink_is_archive(s) && !k->pieces && !k->base && !source_has_suffix(k->source, ".gz") &&
           !source_has_suffix(k->source, ".bz2") && !source_has_suffix(k->source, ".xz") &&
           !stream_came(k->source, &f);
}

static bool disk_is_to_come(const struct desc_disk *k)
{
    for (const struct desc_piece *p = k->pieces; p; p = p->next)
        if (!strcmp(p->path, STREAM_PATH))
            return true;
    return (k->path && !strcmp(k->path, STREAM_PATH)) || (k->base && disk_is_to_come(k->base));
}

int sink_disk(struct sink *s, const struct desc_disk *k, const char *name, const char *format,
              const char *options, struct sink_disk *out, struct err *e)
{
    struct disk_work w = { .s = s, .k = k, .out = out };
    struct desc_disk here;
    int r;

    *out = (struct sink_disk){ 0 };
    if (s->o->no_disks)
        return disk_describe(s, k, out, e);
    r = disk_choose(s, k, name, format, options, out, e);
    if (!r && s->kind == SINK_NOWHERE) { /* also without the file */
        out->capacity = k->capacity;
        return sink_text(s, out->name, "", 0, e);
    }
    if (!r && k->source && disk_is_to_come(k)) {
        if (disk_can_pull(s, k))
            return disk_pull(&w, e);
        r = disk_fetch(k, &here, &s->arena, e);
        k = &here;
    }
    r = r ? r : k->source ? package_disk(k, 0, &w.im, e) : disk_empty(k, &w.im, e);
    if (r)
        return r;
    out->capacity = image_size(w.im);
    r = disk_into(&w, e);
    image_close(w.im, NULL);
    return r;
}
