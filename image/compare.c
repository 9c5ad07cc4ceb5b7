/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two disks, whatever their formats: the same content?  What both maps call zero is not read.
 */
#include "image/walk_int.h"
#include <errno.h>
#include <string.h>

struct compare {
    struct image *a, *b;
    struct image_reach in_a, in_b;
    struct image_difference *d;
    pthread_mutex_t lock;
};

static int compare_next(void *arg, u64 off, u64 *len, bool *skip, struct err *e)
{
    struct compare *c = arg;
    enum image_kind a, b;
    int r = image_reach(c->a, &c->in_a, off, len, &a, e);

    if (!r)
        r = image_reach(c->b, &c->in_b, off, len, &b, e);
    if (r)
        return r;
    if (a != b && !c->d->allocation) {
        c->d->allocation = true;
        c->d->allocation_at = off;
    }
    pthread_mutex_lock(&c->lock);
    *skip = (a == IMAGE_ZERO && b == IMAGE_ZERO) || c->d->content; /* then it is settled */
    pthread_mutex_unlock(&c->lock);
    return 0;
}

/* The first byte in which they differ; n if in none. */
static u32 compare_bytes(const u8 *a, const u8 *b, u32 n)
{
    u32 at = 0, step;

    if (!memcmp(a, b, n))
        return n;
    for (step = 65536; step; step >>= 4)
        while (n - at >= step && !memcmp(a + at, b + at, step))
            at += step;
    return at;
}

static int compare_read(struct image *im, u64 off, u8 *to, u32 len, struct err *e)
{
    int r = image_read_padded(im, off, to, len);

    return r ? err_set(e, r, "%s: reading at %llu: %s", image_path(im), (unsigned long long)off,
                       strerror(-r))
             : 0;
}

static int compare_piece(void *arg, u64 off, u32 len, u8 *buf, struct err *e)
{
    struct compare *c = arg;
    struct image_difference *d = c->d;
    int r = compare_read(c->a, off, buf, len, e);
    u32 at;

    if (!r)
        r = compare_read(c->b, off, buf + WALK_PIECE, len, e);
    if (r)
        return r;
    at = compare_bytes(buf, buf + WALK_PIECE, len);
    if (at == len)
        return 0;
    pthread_mutex_lock(&c->lock);
    if (!d->content || off + at < d->content_at)
        d->content_at = off + at;
    d->content = true;
    pthread_mutex_unlock(&c->lock);
    return 0;
}

int image_compare(struct image *a, struct image *b, const struct image_work *w,
                  struct image_difference *d, struct err *e)
{
    struct compare c = { .a = a, .b = b, .d = d, .lock = PTHREAD_MUTEX_INITIALIZER };
    struct image_walk how = {
        .size = max_u64(a->size, b->size), .next = compare_next, .piece = compare_piece, .arg = &c
    };

    *d = (struct image_difference){ 0 };
    return image_walk(&how, w, e);
}
