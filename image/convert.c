/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One image into another.  Threads take the next piece of the disk, read it (and so unpack
 * it), and write what is not zero; nothing else is shared between them.  The cost follows
 * what is stored, not the size of the disk: what the map calls zero is stepped over.
 */
#include "image/image_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (1u << 20)
#define THREADS_MAX 8

struct convert {
    struct image *from, *to;
    const struct image_convert *how;
    u32 grain; /* zeroes of this size and place are left out */
    pthread_mutex_t lock;
    u64 next, data_end, done; /* the lock */
    int result;               /* the first error; the lock */
    struct err err;
};

/*
 * The next piece with something in it: false when there is none, or after an error.  What the
 * map says of a long stretch is asked once: looking for the end of one may cost its length.
 */
static bool convert_next(struct convert *c, u64 *off, u64 *len)
{
    bool more = false;

    pthread_mutex_lock(&c->lock);
    while (!more && !c->result && c->next < c->from->size) {
        enum image_kind kind = IMAGE_DATA;
        u64 reach = 0;

        if (c->next >= c->data_end) {
            c->result = image_map(c->from, c->next, &reach, &kind, &c->err);
            if (c->result)
                break;
            c->data_end = c->next + reach;
        }
        reach = c->data_end - c->next;
        *off = c->next;
        *len = kind == IMAGE_ZERO ? reach : min_u64(reach, CHUNK - c->next % CHUNK);
        c->next += *len;
        more = kind == IMAGE_DATA;
        c->done += more ? 0 : *len;
    }
    pthread_mutex_unlock(&c->lock);
    return more;
}

static bool convert_is_zero(const u8 *p, size_t n)
{
    return !p[0] && !memcmp(p, p + 1, n - 1);
}

/* Write the runs of grains that are not zero. */
static int convert_put(struct convert *c, u64 off, u8 *p, u64 len)
{
    u64 at = 0, end;

    for (; at < len; at = end) {
        u64 n = min_u64(c->grain - (off + at) % c->grain, len - at);
        bool zero = convert_is_zero(p + at, n);
        struct iovec v;
        int r;

        for (end = at + n; end < len; end += n) {
            n = min_u64(c->grain, len - end);
            if (convert_is_zero(p + end, n) != zero)
                break;
        }
        if (zero)
            continue;
        v = (struct iovec){ p + at, end - at };
        r = image_write(c->to, off + at, &v, 1, end - at);
        if (r)
            return err_set(&c->err, r, "%s: %s", c->how->path, strerror(-r));
    }
    return 0;
}

static void *convert_main(void *arg)
{
    struct convert *c = arg;
    u8 *buf = aligned_alloc(4096, CHUNK);
    u64 off, len;

    while (convert_next(c, &off, &len)) {
        struct iovec v = { buf, len };
        int r = buf ? image_read(c->from, off, &v, 1, len) : -ENOMEM;
        bool bad_read = r != 0;

        if (!r)
            r = convert_put(c, off, buf, len);
        pthread_mutex_lock(&c->lock);
        if (r && !c->result) {
            c->result = r;
            if (bad_read)
                err_set(&c->err, r, "%s: reading at %llu: %s", image_path(c->from),
                        (unsigned long long)off, strerror(-r));
        }
        c->done += len;
        if (c->how->progress && !c->result)
            c->how->progress(c->how->arg, c->done, c->from->size);
        pthread_mutex_unlock(&c->lock);
    }
    free(buf);
    return NULL;
}

static void convert_run(struct convert *c)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = c->how->threads ? c->how->threads : cpus > 0 ? (unsigned)cpus : 1, made = 0;
    pthread_t threads[THREADS_MAX];

    if (n > THREADS_MAX)
        n = THREADS_MAX;
    while (made + 1 < n && !pthread_create(&threads[made], NULL, convert_main, c))
        made++;
    convert_main(c); /* this thread works too */
    while (made)
        pthread_join(threads[--made], NULL);
    if (c->how->progress && !c->result)
        c->how->progress(c->how->arg, c->from->size, c->from->size);
}

/* Into a file under another name. */
static int convert_into(struct convert *c, const char *part, struct err *e)
{
    struct image_create make = {
        .path = part,
        .format = c->how->format,
        .size = c->from->size,
        .cluster = c->how->cluster,
        .options = c->how->options,
        .key = c->how->key,
    };
    struct image_open open = {
        .path = part, .format = c->how->format, .flags = IMAGE_WRITE, .key = c->how->key
    };
    int r = image_create(&make, e);

    if (r)
        return r;
    r = image_open(&c->to, &open, e);
    if (r)
        return r;
    c->grain = max_u64(c->to->cluster, 4096);
    convert_run(c);
    r = c->result;
    if (r && e)
        *e = c->err;
    if (!r && (r = image_flush(c->to)))
        err_set(e, r, "%s: %s", c->how->path, strerror(-r));
    if (r)
        image_close(c->to, NULL);
    else
        r = image_close(c->to, e);
    return r;
}

int image_convert(struct image *from, const struct image_convert *how, struct err *e)
{
    struct convert c = { .from = from, .how = how, .lock = PTHREAD_MUTEX_INITIALIZER };
    char *part;
    int r;

    if (!access(how->path, F_OK))
        return err_set(e, -EEXIST, "%s: exists already", how->path);
    if (asprintf(&part, "%s.part%d", how->path, (int)getpid()) < 0)
        return err_set(e, -ENOMEM, "%s: no memory", how->path);
    r = convert_into(&c, part, e);
    if (!r && link(part, how->path))
        r = err_set(e, -errno, "%s: %s", how->path, strerror(errno));
    unlink(part);
    free(part);
    return r;
}
