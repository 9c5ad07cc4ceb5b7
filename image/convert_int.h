/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_CONVERT_INT_H
#define IMAGE_CONVERT_INT_H
#include "image/image_int.h"

/*
 * A conversion under way.  Threads take pieces of the source in rising order; a piece begins
 * and ends at a whole step.
 */
#define CONVERT_PIECE (512u << 10)

struct convert {
    struct image *from;
    const struct image_convert *how;
    u32 step, piece; /* a piece is at most this long */
    pthread_mutex_t lock;
    u64 next, data_end, done; /* the lock */
    int result;               /* the first error; the lock */
    struct err err;

    struct image_target target; /* written anywhere */
    _Atomic bool copies;        /* sharing blocks between the files did not work */
};

/* The lock is held.  The next piece with something in it; false: none, or an error. */
bool convert_next(struct convert *c, u64 *off, u64 *len);
/* This much was dealt with; r: how it went, with `what` in the message. */
void convert_did(struct convert *c, u64 off, u64 len, int r, const char *what);
/* Run `main_of` in as many threads as were asked for, this one too. */
void convert_run(struct convert *c, void *(*main_of)(void *arg), void *arg);

/* image/forward.c: into an image that is written forward; `to` has begun */
int forward_run(struct convert *c, struct image *to, struct err *e);
#endif
