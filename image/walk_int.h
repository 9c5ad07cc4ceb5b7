/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_WALK_INT_H
#define IMAGE_WALK_INT_H
#include "image/image_int.h"

/*
 * Pieces of [0, size), by several threads.  next: under a lock and in order, how
 * far the stretch at off reaches and whether there is anything to do in it.  piece: any thread,
 * at most WALK_PIECE bytes; buf has two times as many.  Both 0 or -errno with e.
 */
#define WALK_PIECE (1u << 20)
struct image_walk {
    u64 size;
    int (*next)(void *arg, u64 off, u64 *len, bool *skip, struct err *e);
    int (*piece)(void *arg, u64 off, u32 len, u8 *buf, struct err *e);
    void *arg;
};
int image_walk(const struct image_walk *how, const struct image_work *w, struct err *e);
/* n bytes of the disk; zeroes behind its end, and for no disk. */
int image_read_padded(struct image *im, u64 off, u8 *to, u32 n);

/*
 * What image_map says of a place, asked once for each stretch, since finding its end may cost
 * its length; zero behind the end of the disk, and for no disk.  Begins as { 0 }.
 */
struct image_reach {
    u64 end;
    enum image_kind kind;
};
int image_reach(struct image *im, struct image_reach *c, u64 off, u64 *len, enum image_kind *kind,
                struct err *e);
/* image/place.c: image_place, for as far as one answer of the drivers reaches */
int image_place_some(struct image *im, u64 off, struct image_place *p);

/* image/rebase.c: a new image over `parent`, empty so far, is to show what `from` does */
int image_differ(struct image *im, struct image *from, struct image *parent,
                 const struct image_work *w, struct err *e);
#endif
