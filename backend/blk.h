/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_BLK_H
#define BACKEND_BLK_H
#include "base/err.h"
#include "base/types.h"
#include <sys/uio.h>

/*
 * The host end of a disk.  Every storage device, whatever it looks like to the guest, ends
 * here.  Requests run beside each other and may complete in any order; a flush covers every
 * write that had completed when it was submitted.
 */
struct blk;
struct image;
struct loop;
enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_TRIM };

struct blk_req {
    enum blk_op op;
    u64 off, len; /* checked once, here, against the disk's size */
    const struct iovec *v;
    int n;
    void (*done)(struct blk_req *r, int result); /* on the lane; no lock held; 0 or -errno */
    void *arg;
    struct blk_req *next; /* the backend's, while under way */
    struct blk *blk;
};

/* Takes the image: blk_close closes it.  The lane's loop gets the completions. */
int blk_open(struct blk **b, struct image *take_im, struct loop *lane, struct err *e);
void blk_close(struct blk *b); /* drains, flushes */
u64 blk_size(const struct blk *b);
bool blk_readonly(const struct blk *b);
const char *blk_name(const struct blk *b); /* for messages */
void blk_submit(struct blk *b, struct blk_req *r); /* any thread; never fails by itself */
void blk_drain(struct blk *b); /* returns when nothing is under way; not on the lane */
#endif
