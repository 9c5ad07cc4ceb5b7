/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images that come as bytes in order.  The caller's thread reads and finds the pieces; other
 * threads unpack and write them, in any order.  What cannot be taken like this (formats with
 * their tables at the end, targets that are written forward themselves) goes through a file
 * beside the target.
 */
#include "image/pull_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PULL_BUFFER (256u << 10)
#define PULL_HEAD 4096

struct pull_slot {
    enum { SLOT_FREE, SLOT_FULL, SLOT_BUSY } state;
    u64 off;
    u32 n, len;
    pull_unpack *unpack;
    u8 *data;
    size_t room;
};

struct pull {
    const struct image_pull *how;
    const struct image_format *format;
    u8 *in; /* read ahead */
    size_t have, used;
    u64 got; /* bytes from the callback */
    bool ended;

    struct image_target target;
    pthread_t threads[IMAGE_THREADS_MAX];
    unsigned nthreads;
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct pull_slot slots[IMAGE_THREADS_MAX + 2];
    u32 nslots;
    u64 made, taken; /* the lock */
    bool done;
    int result; /* the first error of a worker; the lock */
    u64 result_at;
};

const char *pull_name(const struct pull *p)
{
    return p->how->name ? p->how->name : "input";
}
u64 pull_length(const struct pull *p)
{
    return p->how->length;
}
u64 pull_at(const struct pull *p)
{
    return p->got - (p->have - p->used);
}

const u8 *pull_peek(const struct pull *p, size_t *n)
{
    *n = p->have;
    return p->in;
}

/* From the callback: 0 at the end, or -errno. */
static ssize_t pull_more(struct pull *p, void *to, size_t n)
{
    ssize_t got = p->ended ? 0 : p->how->read(p->how->read_arg, to, n);

    if (got > 0 && p->how->stop && atomic_load(p->how->stop))
        got = -ECANCELED;
    p->ended |= got <= 0;
    if (got <= 0)
        return got;
    if ((size_t)got > n)
        return -EIO;
    p->got += (u64)got;
    if (p->how->progress)
        p->how->progress(p->how->arg, p->got, p->how->length);
    return got;
}

static int pull_failed(struct pull *p, ssize_t r, struct err *e)
{
    return r < 0 ? err_set(e, (int)r, "%s: after %llu bytes: %s", pull_name(p),
                           (unsigned long long)p->got, strerror((int)-r))
                 : err_set(e, -EBADMSG, "%s: ends after %llu bytes: it is cut short", pull_name(p),
                           (unsigned long long)p->got);
}

int pull_read(struct pull *p, void *to, size_t n, struct err *e)
{
    u8 *out = to;

    while (n) {
        size_t some = min_u64(n, p->have - p->used);
        ssize_t got;

        memcpy(out, p->in + p->used, some);
        p->used += some;
        out += some;
        n -= some;
        if (!n)
            break;
        p->have = p->used = 0;
        if (n >= PULL_BUFFER) {
            got = pull_more(p, out, n);
            out += got > 0 ? got : 0;
            n -= got > 0 ? (size_t)got : 0;
        } else {
            got = pull_more(p, p->in, PULL_BUFFER);
            p->have = got > 0 ? (size_t)got : 0;
        }
        if (got <= 0)
            return pull_failed(p, got, e);
    }
    return 0;
}

/* Fill the buffer with the first bytes, which are also read later. */
static int pull_head(struct pull *p, struct err *e)
{
    while (p->have < PULL_HEAD) {
        ssize_t got = pull_more(p, p->in + p->have, PULL_HEAD - p->have);

        if (got < 0)
            return pull_failed(p, got, e);
        if (!got)
            break;
        p->have += (size_t)got;
    }
    return p->have ? 0 : err_set(e, -EBADMSG, "%s: is empty", pull_name(p));
}

/* What follows the image is read, so that the reader can say its last word. */
static int pull_rest(struct pull *p, struct err *e)
{
    ssize_t got;

    while ((got = pull_more(p, p->in, PULL_BUFFER)) > 0)
        ;
    return got < 0 ? pull_failed(p, got, e) : 0;
}

static int pull_work(struct pull *p, const struct pull_slot *s, u8 **out, size_t *room)
{
    u64 size = p->target.im->size, len = s->off < size ? min_u64(s->len, size - s->off) : 0;
    int r;

    if (!s->unpack)
        return target_put(&p->target, s->off, s->data, len);
    if (s->len > *room) {
        free(*out);
        *room = 0;
        *out = malloc(s->len);
        if (!*out)
            return -ENOMEM;
        *room = s->len;
    }
    r = s->unpack(s->data, s->n, *out, s->len);
    return r ? r : target_put(&p->target, s->off, *out, len);
}

static void *pull_main(void *arg)
{
    struct pull *p = arg;
    size_t room = 0;
    u8 *out = NULL;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct pull_slot *s = &p->slots[p->taken % p->nslots];
        int r;

        if (p->taken == p->made && p->done)
            break;
        if (p->taken == p->made) {
            pthread_cond_wait(&p->change, &p->lock);
            continue;
        }
        p->taken++;
        s->state = SLOT_BUSY;
        pthread_mutex_unlock(&p->lock);
        r = pull_work(p, s, &out, &room);
        pthread_mutex_lock(&p->lock);
        if (r && !p->result) {
            p->result = r;
            p->result_at = s->off;
        }
        s->state = SLOT_FREE;
        pthread_cond_broadcast(&p->change);
    }
    pthread_mutex_unlock(&p->lock);
    free(out);
    return NULL;
}

int pull_size(struct pull *p, u64 size, struct err *e)
{
    struct image_create make = { .path = p->how->path,
                                 .format = p->how->format,
                                 .size = size,
                                 .cluster = p->how->cluster,
                                 .options = p->how->options,
                                 .key = p->how->key };
    unsigned n = image_threads(p->how->threads);
    int r = target_open(&p->target, &make, p->how->replace, e);

    if (r)
        return r;
    p->nslots = n + 2;
    while (p->nthreads < n && !pthread_create(&p->threads[p->nthreads], NULL, pull_main, p))
        p->nthreads++;
    return p->nthreads ? 0 : err_set(e, -EAGAIN, "%s: no thread", p->how->path);
}

u8 *pull_room(struct pull *p, size_t n)
{
    struct pull_slot *s = &p->slots[p->made % p->nslots];
    bool stop;

    if (n > PULL_PIECE_MAX)
        return NULL;
    pthread_mutex_lock(&p->lock);
    while (s->state != SLOT_FREE)
        pthread_cond_wait(&p->change, &p->lock);
    stop = p->result;
    pthread_mutex_unlock(&p->lock);
    if (stop)
        return NULL;
    if (n > s->room) {
        free(s->data);
        s->data = malloc(n);
        s->room = s->data ? n : 0;
    }
    return s->data;
}

void pull_give(struct pull *p, u64 off, u32 n, u32 len, pull_unpack *unpack)
{
    struct pull_slot *s = &p->slots[p->made % p->nslots];

    s->off = off;
    s->n = n;
    s->len = len;
    s->unpack = unpack;
    pthread_mutex_lock(&p->lock);
    s->state = SLOT_FULL;
    p->made++;
    pthread_cond_broadcast(&p->change);
    pthread_mutex_unlock(&p->lock);
}

void pull_wait(struct pull *p)
{
    bool busy = true;

    pthread_mutex_lock(&p->lock);
    while (busy) {
        busy = p->taken != p->made;
        for (u32 i = 0; i < p->nslots; i++)
            busy |= p->slots[i].state != SLOT_FREE;
        if (busy)
            pthread_cond_wait(&p->change, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
}

/* All pieces are given: wait for the last of them. */
static int pull_join(struct pull *p, int r, struct err *e)
{
    pthread_mutex_lock(&p->lock);
    p->done = true;
    pthread_cond_broadcast(&p->change);
    pthread_mutex_unlock(&p->lock);
    while (p->nthreads)
        pthread_join(p->threads[--p->nthreads], NULL);
    if (!p->result)
        return r;
    return err_set(e, p->result, "%s: to %s, at %llu of the disk: %s", pull_name(p), p->how->path,
                   (unsigned long long)p->result_at, strerror(-p->result));
}

static int pull_direct(struct pull *p, struct err *e)
{
    int r = p->format->pull(p, e);

    r = pull_join(p, r, e);
    if (!r)
        r = pull_rest(p, e);
    if (r) {
        target_drop(&p->target);
        return r;
    }
    return target_commit(&p->target, p->how->result, e);
}

/* The bytes into a file of that name; blocks of zeroes become holes. */
static int pull_spool(struct pull *p, const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r = 0;
    ssize_t got = (ssize_t)p->have;
    u64 at = 0;

    if (fd < 0)
        return err_set(e, -errno, "%s: %s", p->how->path, strerror(errno));
    do {
        for (size_t done = 0, n; !r && done < (size_t)got; done += n) {
            n = min_u64(4096, (size_t)got - done);
            if (!image_is_zero(p->in + done, n) &&
                pwrite(fd, p->in + done, n, (off_t)(at + done)) != (ssize_t)n)
                r = err_set(e, errno ? -errno : -ENOSPC, "%s: %s", p->how->path, strerror(errno));
        }
        at += (u64)got;
    } while (!r && (got = pull_more(p, p->in, PULL_BUFFER)) > 0);
    if (!r && got < 0)
        r = pull_failed(p, got, e);
    if (!r && ftruncate(fd, (off_t)at))
        r = err_set(e, -errno, "%s: %s", p->how->path, strerror(errno));
    close(fd);
    return r;
}

static int pull_convert(struct pull *p, const char *from, const char *format, struct err *e)
{
    struct image_open open = { .path = from, .format = format, .key = p->how->key };
    struct image_convert how = { .path = p->how->path,
                                 .format = p->how->format,
                                 .cluster = p->how->cluster,
                                 .options = p->how->options,
                                 .key = p->how->key,
                                 .threads = p->how->threads,
                                 .progress = p->how->progress,
                                 .arg = p->how->arg,
                                 .stop = p->how->stop,
                                 .replace = p->how->replace,
                                 .result = p->how->result };
    struct image *im;
    int r = image_open(&im, &open, e);

    if (r)
        return r;
    r = image_convert(im, &how, e);
    image_close(im, NULL);
    return r;
}

/* As it is, or its content as a raw disk, into a file first; that one is converted. */
static int pull_through_file(struct pull *p, bool direct, struct err *e)
{
    const struct image_pull *how = p->how;
    struct image_pull raw = *how;
    struct image_stage stage;
    int r = stage_new(&stage, p->how->path, p->how->replace, e);

    if (r)
        return r;
    if (direct) {
        raw.path = stage.path;
        raw.format = "raw";
        raw.options = NULL;
        raw.cluster = 0;
        p->how = &raw;
        r = pull_direct(p, e);
        p->how = how;
    } else {
        r = pull_spool(p, stage.path, e);
    }
    if (!r)
        r = pull_convert(p, stage.path, direct ? "raw" : p->format ? p->format->name : NULL, e);
    return stage_fail(&stage, r, e);
}

static int pull_probe(struct pull *p, struct err *e)
{
    struct probe b = {
        .head = p->in, .nhead = p->have, .tail = p->in, .name = pull_name(p), .size = p->how->length
    };
    bool packed = unwrap_is_packed(p->in, p->have);

    if (!b.size)
        b.size = p->ended ? p->have : INT64_MAX;
    p->format = p->how->from ? image_format_of(p->how->from) : image_format_probe(&b);
    if (!p->format && p->how->from)
        return err_set(e, -EOPNOTSUPP, "%s: no disk format is called \"%s\"", b.name, p->how->from);
    if (!p->format && image_named_raw(b.name, packed))
        p->format = image_format_of("raw");
    if (!p->format && !packed)
        return err_set(e, -EMEDIUMTYPE,
                       "%s: is no disk image of a known format; if it is a raw disk, say so",
                       b.name);
    return 0;
}

static int pull_start(struct pull *p, struct err *e)
{
    const struct image_format *to = image_format_of(p->how->format);
    bool direct, forward;
    int r;

    if (!to || !(to->can & CAN_CREATE))
        return err_set(e, -EOPNOTSUPP, "%s: no format \"%s\" can be made", p->how->path,
                       p->how->format);
    if ((r = image_options_check(to, p->how->options, e)) || (r = pull_head(p, e)) ||
        (r = pull_probe(p, e)))
        return r;
    direct = p->format && p->format->pull && !unwrap_is_packed(p->in, p->have);
    r = image_is_forward(to, p->how->path, p->how->options, e);
    if (r < 0)
        return r;
    forward = r;
    r = !direct ? -ESPIPE : forward ? pull_through_file(p, true, e) : pull_direct(p, e);
    return r == -ESPIPE && !pull_at(p) ? pull_through_file(p, false, e) : r;
}

int image_pull(const struct image_pull *how, struct err *e)
{
    struct pull *p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return err_set(e, -ENOMEM, "no memory");
    p->how = how;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->change, NULL);
    p->in = malloc(PULL_BUFFER);
    r = p->in ? pull_start(p, e) : err_set(e, -ENOMEM, "no memory");
    for (size_t i = 0; i < LEN(p->slots); i++)
        free(p->slots[i].data);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->change);
    free(p->in);
    free(p);
    return r;
}
