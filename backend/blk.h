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
    struct blk_req *next; /* this and below: the backend's, while under way */
    struct blk *blk;
    int result;
};

/* Takes the image: blk_close closes it.  The lane's loop gets the completions. */
int blk_open(struct blk **b, struct image *take_im, struct loop *lane, struct err *e);
/* Waits for what is under way, flushes.  The lane need not run any more: what it was not
 * told yet, it will not be told. */
void blk_close(struct blk *b);
u64 blk_size(const struct blk *b);
bool blk_readonly(const struct blk *b);
const char *blk_name(const struct blk *b);         /* for messages */
void blk_submit(struct blk *b, struct blk_req *r); /* any thread; never fails by itself */
/* Nothing is under way: another image of the same size takes its place, e.g. an overlay over
 * it.  The old one is the caller's now. */
struct image *blk_swap(struct blk *b, struct image *take_im);
/* Before the first request: asked by a worker before each flush, and may wait; not 0: that is what
 * the flush comes to. */
void blk_on_flush(struct blk *b, int (*ready)(void *arg), void *arg);
void blk_drain(struct blk *b); /* returns when nothing is under way; not on the lane */

/*
 * A disk in memory, for tests.  blk_mem_hold(b, true) keeps every request that comes, until
 * blk_mem_hold(b, false) lets them go: the middle of a load that stays where it is.
 * blk_mem_fail: the next `times` requests of an op in `ops` (bit 1 << op) that touch
 * [off, off + len) fail with `result`; a flush touches everything.
 */
int blk_open_mem(struct blk **b, u64 size, bool readonly, struct loop *lane, struct err *e);
u8 *blk_mem(struct blk *b);
void blk_mem_hold(struct blk *b, bool on);
void blk_mem_fail(struct blk *b, u32 ops, u64 off, u64 len, int result, u32 times);
u64 blk_mem_count(struct blk *b, enum blk_op op); /* how many came */
#endif
