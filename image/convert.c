/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One image into another.  Threads take the next piece of the disk, read it (and so unpack
 * it), and write what is not zero; nothing else is shared between them.  The cost follows
 * what is stored, not the size of the disk: what the map calls zero is stepped over.
 */
#include "image/convert_int.h"
#include "image/walk_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool image_is_zero(const u8 *p, size_t n)
{
    return !p[0] && !memcmp(p, p + 1, n - 1);
}

unsigned image_threads(unsigned asked)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = asked ? asked : cpus > 0 ? (unsigned)cpus : 1;

    return n > IMAGE_THREADS_MAX ? IMAGE_THREADS_MAX : n;
}

/*
 * What the map says of a long stretch is asked once: looking for the end of one may cost its
 * length.  A zero stretch that covers no whole step is treated as data.
 */
static bool convert_ask(struct convert *c)
{
    u64 size = c->from->size, reach, end;
    enum image_kind kind;

    while (c->next < size) {
        c->result = image_map(c->from, c->next, &reach, &kind, &c->err);
        if (c->result)
            return false;
        end = c->next + reach;
        if (kind == IMAGE_ZERO && end < size)
            end -= end % c->step;
        if (kind == IMAGE_DATA || end <= c->next) {
            end = max_u64(end, c->next + 1);
            c->data_end = end % c->step ? end - end % c->step + c->step : end;
            c->data_end = min_u64(c->data_end, size);
            return true;
        }
        c->done += end - c->next;
        c->next = end;
    }
    return false;
}

bool convert_next(struct convert *c, u64 *off, u64 *len)
{
    if (!c->result && c->how->stop && atomic_load(c->how->stop))
        c->result = err_set(&c->err, -ECANCELED, "interrupted");
    if (c->result || (c->next >= c->data_end && !convert_ask(c)))
        return false;
    *off = c->next;
    *len = min_u64(c->data_end - c->next, c->piece - c->next % c->piece);
    c->next += *len;
    return true;
}

void convert_did(struct convert *c, u64 off, u64 len, int r, const char *what)
{
    pthread_mutex_lock(&c->lock);
    if (r && !c->result)
        c->result = err_set(&c->err, r, "%s: %s at %llu: %s", what ? what : image_path(c->from),
                            what ? "writing" : "reading", (unsigned long long)off, strerror(-r));
    c->done += len;
    if (c->how->progress && !c->result)
        c->how->progress(c->how->arg, c->done, c->from->size);
    pthread_mutex_unlock(&c->lock);
}

void convert_run(struct convert *c, void *(*main_of)(void *arg), void *arg)
{
    unsigned n = image_threads(c->how->threads), made = 0;
    pthread_t threads[IMAGE_THREADS_MAX];

    while (made + 1 < n && !pthread_create(&threads[made], NULL, main_of, arg))
        made++;
    main_of(arg);
    while (made)
        pthread_join(threads[--made], NULL);
    if (c->how->progress && !c->result)
        c->how->progress(c->how->arg, c->from->size, c->from->size);
}

/* A piece whose blocks both files can share is not read at all. */
static bool convert_share(struct convert *c, u64 off, u64 len)
{
    if (atomic_load_explicit(&c->copies, memory_order_relaxed))
        return false;
    if (image_clone(c->target.im, off, c->from, len)) {
        atomic_store(&c->copies, true);
        return false;
    }
    atomic_fetch_add(&c->target.populated, len);
    convert_did(c, off, len, 0, NULL);
    return true;
}

static void *convert_main(void *arg)
{
    struct convert *c = arg;
    u8 *buf = aligned_alloc(4096, c->piece);

    for (;;) {
        u64 off, len;
        struct iovec v;
        bool more;
        int r;

        pthread_mutex_lock(&c->lock);
        more = convert_next(c, &off, &len);
        pthread_mutex_unlock(&c->lock);
        if (!more)
            break;
        if (convert_share(c, off, len))
            continue;
        v = (struct iovec){ buf, len };
        r = buf ? image_read(c->from, off, &v, 1, len) : -ENOMEM;
        if (r)
            convert_did(c, off, len, r, NULL);
        else
            convert_did(c, off, len, target_put(&c->target, off, buf, len), c->how->path);
    }
    free(buf);
    return NULL;
}

static void convert_make(const struct convert *c, struct image_create *make)
{
    *make = (struct image_create){ .path = c->how->path,
                                   .format = c->how->format,
                                   .size = c->from->size,
                                   .cluster = c->how->cluster,
                                   .options = c->how->options,
                                   .parent = c->how->parent,
                                   .key = c->how->key };
}

static int convert_append_file(void *arg, const void *p, size_t n)
{
    struct image *im = arg;

    return image_file_write(im, 0, image_file_length(im, 0), p, n);
}

int image_is_forward(const struct image_format *f, const char *path, const char *options,
                     struct err *e)
{
    struct image_make make = { .options = options };
    struct image *bare;
    int r;

    if (!f->begin)
        return 0;
    bare = image_new();
    if (!bare)
        return err_set(e, -ENOMEM, "no memory");
    bare->format = f;
    bare->append = path ? NULL : convert_append_file;
    r = f->begin(bare, &make, e);
    image_free(bare);
    return r;
}

/* The image is open: written anywhere, or forward if its format wants to. */
static int convert_target(struct convert *c, struct err *e)
{
    struct image *to = c->target.im;
    struct image_make make = { .size = c->from->size,
                               .block = c->how->cluster,
                               .options = c->how->options,
                               .key = c->how->key };
    int r = 0;

    if (to->format->begin && !(to->format->can & CAN_STREAM))
        r = to->format->begin(to, &make, e);
    if (r < 0)
        return r;
    if (r)
        return forward_run(c, to, e);
    c->step = c->target.grain;
    c->piece = CONVERT_PIECE;
    convert_run(c, convert_main, c);
    if (c->result && e)
        *e = c->err;
    return c->result;
}

/* Over a parent: what is not the same there. */
static int convert_difference(struct convert *c, struct err *e)
{
    struct image_work work = { .progress = c->how->progress,
                               .arg = c->how->arg,
                               .stop = c->how->stop,
                               .threads = c->how->threads };

    return image_differ(c->target.im, c->from, c->target.im->parent, &work, e);
}

/* A file that is read must not be written; its name may be another. */
static int convert_check_same(const struct image *from, const char *path, struct err *e)
{
    struct stat st;

    for (; path && !stat(path, &st) && from; from = from->parent)
        for (u32 i = 0; i < from->nfiles; i++)
            if (from->files[i].dev == st.st_dev && from->files[i].ino == st.st_ino)
                return err_set(e, -EINVAL, "%s: is what is to be read", path);
    return 0;
}

static int convert_random(struct convert *c, struct err *e)
{
    struct image_create make;
    int r;

    convert_make(c, &make);
    r = target_open(&c->target, &make, c->how->replace, e);
    if (r)
        return r;
    r = c->how->parent ? convert_difference(c, e) : convert_target(c, e);
    if (!r)
        return target_commit(&c->target, c->how->result, e);
    target_drop(&c->target);
    return r;
}

/* The bytes of `to` go to the callback, or into a file in the stage. */
static int convert_stream_to(struct convert *c, struct image *to, struct err *e)
{
    struct image_file_spec s = { .write = true, .create = true };
    struct image_stage stage;
    int r;

    if (!c->how->path)
        return forward_run(c, to, e);
    if ((r = stage_new(&stage, c->how->path, c->how->replace, e)))
        return r;
    s.path = stage.path;
    r = image_file_add(to, &s, e);
    if (r >= 0) {
        to->append = convert_append_file;
        to->append_arg = to;
        r = forward_run(c, to, e);
    }
    return r ? stage_fail(&stage, r, e) : stage_commit(&stage, e);
}

/* Strictly forward, on an image that has no files of its own making. */
static int convert_stream(struct convert *c, const struct image_format *format, struct err *e)
{
    struct image *to = image_new();
    struct image_make make = { .size = c->from->size,
                               .block = c->how->cluster,
                               .options = c->how->options,
                               .key = c->how->key };
    int r;

    if (!to)
        return err_set(e, -ENOMEM, "no memory");
    to->format = format;
    to->size = c->from->size;
    to->append = c->how->append;
    to->append_arg = c->how->append_arg;
    r = format->begin(to, &make, e);
    if (r == 1)
        r = convert_stream_to(c, to, e);
    image_free(to);
    return r;
}

int image_convert(struct image *from, const struct image_convert *how, struct err *e)
{
    struct convert c = { .from = from, .how = how, .lock = PTHREAD_MUTEX_INITIALIZER };
    const struct image_format *f = image_format_of(how->format);
    int r;

    if (!f || !(f->can & CAN_CREATE))
        return err_set(e, -EOPNOTSUPP, "no format \"%s\" can be made", how->format);
    if ((r = image_options_check(f, how->options, e)))
        return r;
    if ((r = convert_check_same(from, how->path, e)))
        return r;
    if (how->path && !how->replace && !access(how->path, F_OK))
        return err_set(e, -EEXIST, "%s: exists already", how->path);
    if (how->parent && !how->path)
        return err_set(e, -EINVAL, "an image over a parent is not written to a pipe");
    r = image_is_forward(f, how->path, how->options, e);
    if (r < 0)
        return r;
    if (!how->path && !(r && f->can & CAN_STREAM))
        return err_set(e, -ESPIPE,
                       "a %s image of this kind is not written from its beginning to "
                       "its end; raw, vmdk:streamOptimized and vhd:fixed are",
                       f->name);
    return r && f->can & CAN_STREAM && !how->parent ? convert_stream(&c, f, e)
                                                    : convert_random(&c, e);
}
