/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_QCOW2_INT_H
#define IMAGE_QCOW2_INT_H
#include "image/image_int.h"

#define QCOW2_MAGIC 0x514649fbu
#define QCOW2_COPIED (1ull << 63)
#define QCOW2_PACKED (1ull << 62)
#define QCOW2_ZERO 1ull
#define QCOW2_OFFSET 0x00fffffffffffe00ull /* bits 9 to 55 */

enum {
    QCOW2_DIRTY = 1,
    QCOW2_CORRUPT = 2,
    QCOW2_DATA_FILE = 4,
    QCOW2_PACKING = 8,
    QCOW2_EXTENDED = 16
}; /* incompatible features */

/* Offsets and sizes are in bytes, cluster numbers are offsets / cluster. */
struct qcow2 {
    u32 version, bits, header_len;
    u64 cluster, incompatible, autoclear;
    u32 entry; /* bytes of an L2 entry: 8, or 16 with subclusters */
    u32 slots; /* entries in an L2 table */
    u64 l1_at;
    u32 l1_n;
    u64 counts_at; /* the table of refcount blocks */
    u32 counts_n;  /* its entries */
    u32 order;     /* a refcount has 1 << order bits */
    u32 per_block; /* refcounts in a block */
    u32 snapshots;
    u64 snapshots_at;
    bool zstd;
    u32 data; /* the file that data is in */
    u64 hint; /* no free cluster is below; the image's lock */
    u64 pack_at, pack_end; /* room for packed clusters; the lock */
};

u64 qcow2_packed_at(const struct qcow2 *q, u64 e, u64 *len);
int qcow2_l1(struct image *im, u64 off, u64 *entry);
/* image/qcow2_count.c: all under the image's lock */
int qcow2_count_get(struct image *im, u64 cluster, u64 *count);
int qcow2_count_set(struct image *im, u64 cluster, u64 count); /* its block is there */
int qcow2_alloc(struct image *im, u64 want, u64 *first, u64 *got);
int qcow2_release(struct image *im, u64 at, u64 len);
/* image/qcow2_write.c */
int qcow2_table(struct image *im, u64 off, u64 *table, struct image_plan *plan);
int qcow2_touch(struct image *im);
int qcow2_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan);
int qcow2_trim(struct image *im, u64 off, u64 len, struct image_plan *plan, u64 *done);
/* image/qcow2_check.c */
int qcow2_check(struct image *im, void (*say)(void *arg, const char *text), void *arg);
/* image/qcow2_rebase.c */
int qcow2_rebase(struct image *im, const struct image_make *how, struct err *e);
/* image/qcow2_create.c */
extern const struct image_option qcow2_options[];
int qcow2_create(struct image *im, const struct image_make *how, struct err *e);
/* image/qcow2_pack.c */
int qcow2_begin(struct image *im, const struct image_make *how, struct err *e);
int qcow2_put(struct image *im, u64 off, const u8 *data, u32 len, bool packed);
int qcow2_end(struct image *im, struct err *e);
#endif
