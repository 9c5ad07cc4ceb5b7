/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Holes of host files.  Some file systems look at each page until the next hole comes, so
 * the stretch that was found last is remembered, for files that nobody here writes.
 */
#include "image/image_int.h"
#include <errno.h>
#include <unistd.h>

/* From `at` of the host file on: is there data, and how far does it, or the hole, reach? */
static bool hole_ask(int fd, u64 at, u64 *end)
{
    off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;

    *end = INT64_MAX;
    if (data < 0)
        return errno != ENXIO;
    if ((u64)data > at) {
        *end = (u64)data;
        return false;
    }
    hole = lseek(fd, data, SEEK_HOLE);
    if (hole > data)
        *end = (u64)hole;
    return true;
}

bool image_file_stored(struct image *im, u32 file, u64 at, u64 *len)
{
    struct image_file *f = &im->files[file];
    u64 length = image_file_length(im, file), end;
    bool stored;

    if (at >= length)
        return false;
    if (f->nmore)
        return true;
    at += f->offset;
    if (!im->writable) {
        pthread_mutex_lock(&im->lock);
        stored = at >= f->solid_at && at < f->solid_end;
        end = f->solid_end;
        pthread_mutex_unlock(&im->lock);
        if (stored) {
            *len = min_u64(*len, end - at);
            return true;
        }
    }
    stored = hole_ask(f->fd, at, &end);
    if (stored && !im->writable) {
        pthread_mutex_lock(&im->lock);
        f->solid_at = at;
        f->solid_end = end;
        pthread_mutex_unlock(&im->lock);
    }
    *len = min_u64(*len, end - at);
    return stored;
}
