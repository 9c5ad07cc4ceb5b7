/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trim for formats that have no free list, or whose other writers do not know holes between
 * blocks: a block keeps its place, and what it held becomes a hole of the host's file.
 */
#include "image/image_int.h"

int punch_trim(struct image *im, u64 off, u64 len, struct image_plan *plan, u64 *done)
{
    struct extent x = { 0 };
    int r = im->format->map(im, off, &x);

    if (r)
        return r;
    len = min_u64(len, x.len);
    *done = len;
    if (x.kind != EXT_DATA || x.shared)
        return 0;
    atomic_store(&im->unsynced, true);
    return image_file_zero(im, x.file, x.at, len);
}
