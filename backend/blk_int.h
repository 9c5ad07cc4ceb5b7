/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_BLK_INT_H
#define BACKEND_BLK_INT_H
#include "backend/blk.h"

/* What keeps the bytes.  `run` is called by any number of workers at once. */
struct blk_store {
    int (*run)(void *store, const struct blk_req *r); /* 0 or -errno; may block */
    void (*close)(void *store);
};

int blk_open_store(struct blk **b, const struct blk_store *ops, void *store, u64 size,
                   bool readonly, const char *name, struct loop *lane, struct err *e);
void *blk_store_of(const struct blk *b);
void *blk_store_set(struct blk *b, void *store); /* the old one */
void blk_hold(struct blk *b, bool on);
#endif
