/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Work on a whole disk, piece by piece: threads take the next piece that has something to do,
 * in order; the first error ends it.
 */
#include "image/walk_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct walk {
    const struct image_walk *how;
    const struct image_work *work;
    pthread_mutex_t lock;
    u64 next, reach, done; /* reach: something is to be done up to here */
    int result;            /* the first error */
    struct err err;
};

static bool walk_take(struct walk *w, u64 *off, u32 *len)
{
    bool more = false;

    pthread_mutex_lock(&w->lock);
    if (w->work->stop && atomic_load(w->work->stop) && !w->result)
        w->result = err_set(&w->err, -ECANCELED, "interrupted");
    while (!more && !w->result && w->next < w->how->size) {
        u64 n = w->how->size - w->next;
        bool skip = false;

        if (w->next >= w->reach) {
            w->result = w->how->next(w->how->arg, w->next, &n, &skip, &w->err);
            if (w->result)
                break;
            w->reach = skip ? w->next : w->next + n;
        }
        if (skip) {
            w->next += n;
            w->done += n;
            continue;
        }
        *off = w->next;
        *len = (u32)min_u64(w->reach - w->next, WALK_PIECE - w->next % WALK_PIECE);
        w->next += *len;
        more = true;
    }
    pthread_mutex_unlock(&w->lock);
    return more;
}

static void *walk_main(void *arg)
{
    struct walk *w = arg;
    u8 *buf = aligned_alloc(4096, 2 * WALK_PIECE);
    u64 off;
    u32 len;

    while (walk_take(w, &off, &len)) {
        struct err e = { 0 };
        int r =
            buf ? w->how->piece(w->how->arg, off, len, buf, &e) : err_set(&e, -ENOMEM, "no memory");

        pthread_mutex_lock(&w->lock);
        if (r && !w->result) {
            w->result = r;
            w->err = e;
        }
        w->done += len;
        if (w->work->progress && !w->result)
            w->work->progress(w->work->arg, w->done, w->how->size);
        pthread_mutex_unlock(&w->lock);
    }
    free(buf);
    return NULL;
}

int image_walk(const struct image_walk *how, const struct image_work *work, struct err *e)
{
    static const struct image_work plain;
    struct walk w = { .how = how, .work = work ? work : &plain, .lock = PTHREAD_MUTEX_INITIALIZER };
    unsigned n = image_threads(w.work->threads), made = 0;
    pthread_t threads[IMAGE_THREADS_MAX];

    while (made + 1 < n && !pthread_create(&threads[made], NULL, walk_main, &w))
        made++;
    walk_main(&w); /* this thread works too */
    while (made)
        pthread_join(threads[--made], NULL);
    if (w.result && e)
        *e = w.err;
    return w.result;
}

int image_read_padded(struct image *im, u64 off, u8 *to, u32 n)
{
    u64 there = im && off < im->size ? min_u64(n, im->size - off) : 0;
    struct iovec v = { to, there };

    memset(to + there, 0, n - there);
    return there ? image_read(im, off, &v, 1, there) : 0;
}

int image_reach(struct image *im, struct image_reach *c, u64 off, u64 *len, enum image_kind *kind,
                struct err *e)
{
    u64 n = *len;
    int r;

    if (off >= c->end) {
        c->kind = IMAGE_ZERO;
        if (im && off < im->size && (r = image_map(im, off, &n, &c->kind, e)))
            return r;
        c->end = off + n;
    }
    *len = min_u64(*len, c->end - off);
    *kind = c->kind;
    return 0;
}

static int walk_is_stored(void *arg, u64 off, u64 *len, bool *skip, struct err *e)
{
    enum image_kind kind;
    int r = image_map(arg, off, len, &kind, e);

    *skip = kind == IMAGE_ZERO;
    return r;
}

static int walk_read(void *arg, u64 off, u32 len, u8 *buf, struct err *e)
{
    int r = image_read_padded(arg, off, buf, len);

    return r ? err_set(e, r, "%s: reading at %llu: %s", image_path(arg), (unsigned long long)off,
                       strerror(-r))
             : 0;
}

int image_read_all(struct image *im, const struct image_work *w, struct err *e)
{
    struct image_walk how = {
        .size = im->size, .next = walk_is_stored, .piece = walk_read, .arg = im
    };

    return image_walk(&how, w, e);
}
