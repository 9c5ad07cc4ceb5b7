/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The image that a conversion makes, when it is written anywhere.  Nobody knows it yet, so
 * its metadata is written without any order, and one barrier at the end is enough.
 */
#include "image/image_int.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int target_open(struct image_target *t, const struct image_create *make, bool replace,
                struct err *e)
{
    struct image_create hidden = *make;
    struct image_open open = {
        .format = make->format, .flags = IMAGE_WRITE, .parent = make->parent, .key = make->key
    };
    int r;

    *t = (struct image_target){ 0 };
    if ((r = stage_new(&t->stage, make->path, replace, e)))
        return r;
    hidden.path = open.path = t->stage.path;
    r = image_create_hidden(&hidden, make->path, e);
    if (!r)
        r = image_open(&t->im, &open, e);
    if (r)
        return stage_fail(&t->stage, r, e);
    t->im->fresh = true;
    t->grain = t->im->cluster ? (u32)min_u64(max_u64(t->im->cluster, 4096), 65536) : 4096;
    return 0;
}

/* Write the runs of grains that are not zero. */
int target_put(struct image_target *t, u64 off, u8 *p, u64 len)
{
    u64 at = 0, end;

    for (; at < len; at = end) {
        u64 n = min_u64(t->grain - (off + at) % t->grain, len - at);
        bool zero = image_is_zero(p + at, n);
        struct iovec v;
        int r;

        for (end = at + n; end < len; end += n) {
            n = min_u64(t->grain, len - end);
            if (image_is_zero(p + end, n) != zero)
                break;
        }
        if (zero)
            continue;
        v = (struct iovec){ p + at, end - at };
        r = image_write(t->im, off + at, &v, 1, end - at);
        if (r)
            return r;
        atomic_fetch_add_explicit(&t->populated, end - at, memory_order_relaxed);
    }
    return 0;
}

void target_drop(struct image_target *t)
{
    if (t->im)
        image_close(t->im, NULL);
    t->im = NULL;
    stage_drop(&t->stage);
}

static u64 target_stored(const struct image *im)
{
    u64 sum = 0;
    struct stat st;

    for (u32 i = 0; i < im->nfiles; i++)
        sum += fstat(im->files[i].fd, &st) ? 0 : (u64)st.st_size;
    return sum;
}

int target_commit(struct image_target *t, struct image_converted *result, struct err *e)
{
    int r = 0;

    for (u32 i = 0; !r && i < t->im->nfiles; i++)
        if (t->im->files[i].filled > t->im->files[i].length)
            r = image_file_cut(t->im, i, t->im->files[i].filled);
    if (!r)
        r = image_flush(t->im);
    if (r)
        err_set(e, r, "%s: %s", t->stage.target, strerror(-r));
    if (!r && result)
        *result = (struct image_converted){ .size = t->im->size,
                                            .populated = t->populated,
                                            .stored = target_stored(t->im) };
    if (r)
        image_close(t->im, NULL);
    else
        r = image_close(t->im, e);
    t->im = NULL;
    return r ? stage_fail(&t->stage, r, e) : stage_commit(&t->stage, e);
}
