/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DESC_DISK_H
#define DESC_DISK_H
#include "desc/desc.h"
#include "image/image.h"

/*
 * How to open the image behind a disk of a description: its place in an archive, its further
 * pieces, its parents.  The caller sets how.flags, opens, and frees this after the image is closed.
 */
struct desc_image {
    struct image_open how;
    struct arena arena;
};
int desc_image(const struct desc_disk *k, struct desc_image *to, struct err *e);
void desc_image_fini(struct desc_image *d);
#endif
