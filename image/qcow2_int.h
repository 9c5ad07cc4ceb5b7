/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_QCOW2_INT_H
#define IMAGE_QCOW2_INT_H
#include "base/bytes.h"
#include "image/image_int.h"
#include "image/luks_int.h"

#define QCOW2_MAGIC 0x514649fbu
#define QCOW2_COPIED (1ull << 63)
#define QCOW2_PACKED (1ull << 62)
#define QCOW2_ZERO 1ull
#define QCOW2_OFFSET 0x00fffffffffffe00ull /* bits 9 to 55 */
#define QCOW2_L1_RESERVED 0x7f000000000001ffull
#define QCOW2_L2_RESERVED 0x3f000000000001feull /* of an entry that is not compressed */
#define QCOW2_PARTS 32                          /* subclusters of a cluster */
#define QCOW2_L1_MAX (32u << 20)
#define QCOW2_COUNTS_MAX (8u << 20)

enum {
    QCOW2_DIRTY = 1,
    QCOW2_CORRUPT = 2,
    QCOW2_DATA_FILE = 4,
    QCOW2_PACKING = 8,
    QCOW2_EXTENDED = 16
};                                              /* incompatible features */
enum { QCOW2_LAZY = 1 };                        /* compatible */
enum { QCOW2_BITMAPS = 1, QCOW2_RAW_DATA = 2 }; /* autoclear */
enum { QCOW2_AES = 1, QCOW2_LUKS = 2 };         /* crypt */

struct qcow2_bitmaps;

/* Offsets and sizes are in bytes, cluster numbers are offsets / cluster. */
struct qcow2 {
    u32 version, bits, header_len;
    u64 cluster, incompatible, compatible, autoclear;
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
    u32 bitmaps; /* dirty bitmaps, and their directory */
    u64 bitmaps_at, bitmaps_size;
    struct qcow2_bitmaps *tracked; /* those that follow our writes; or NULL */
    bool zstd;
    u32 data; /* the file that data is in */
    u32 crypt;
    u64 luks_at, luks_size;
    struct luks luks;
    struct cipher *cipher; /* of AES */
    u64 hint;              /* no free cluster is below; the image's lock */
    u64 pack_at, pack_end; /* room for packed clusters; the lock */
};

static inline bool qcow2_is_raw_data(const struct qcow2 *q)
{
    return q->data && q->autoclear & QCOW2_RAW_DATA;
}

/* image/qcow2_open.c */
int qcow2_open(struct image *im, struct err *e);
/* image/qcow2.c */
u64 qcow2_packed_at(const struct qcow2 *q, u64 e, u64 *len);
int qcow2_l1(struct image *im, u64 off, u64 *entry);
enum extent_kind qcow2_kind(const struct qcow2 *q, u64 e);
int qcow2_seal(struct image *im, bool open, u64 seal, u8 *p, size_t n);
/* image/qcow2_count.c: all under the image's lock */
int qcow2_count_get(struct image *im, u64 cluster, u64 *count);
int qcow2_count_set(struct image *im, u64 cluster, u64 count); /* its block is there */
int qcow2_alloc(struct image *im, u64 want, u64 *first, u64 *got);
int qcow2_alloc_row(struct image *im, u64 n, u64 *first); /* all of them, one after the other */
int qcow2_release(struct image *im, u64 at, u64 len);
/* image/qcow2_write.c */
int qcow2_table(struct image *im, u64 off, u64 *table, struct image_plan *plan);
bool qcow2_is_own(const struct qcow2 *q, u64 e);
void qcow2_give_up(const struct qcow2 *q, u64 e, struct image_plan *plan);
int qcow2_touch(struct image *im);
int qcow2_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan);
int qcow2_trim(struct image *im, u64 off, u64 len, struct image_plan *plan, u64 *done);
int qcow2_finish(struct image *im);
/* image/qcow2_parts.c: the same with subclusters */
int qcow2_room_parts(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan);
int qcow2_trim_parts(struct image *im, u64 off, u64 len, struct image_plan *plan, u64 *done);
/* image/qcow2_check.c */
struct qcow2_checker {
    struct image *im;
    const struct qcow2 *q;
    u16 *used;            /* for each cluster: users, and above QCOW2_USERS what for */
    u64 n;                /* clusters of the file */
    u64 walked, walk_max; /* tables walked; a hostile file may name one for ever */
    unsigned faults;
    bool blind; /* counts and "used once" are not looked at: they will be made new */
    void (*say)(void *arg, const char *text);
    void *arg;
};
#define QCOW2_USERS 0x3fffu
int qcow2_walk(struct qcow2_checker *c); /* -EBADMSG: faults were said; the caller frees used */
void qcow2_fault(struct qcow2_checker *c, const char *what, u64 at, u64 value);
int qcow2_check(struct image *im, void (*say)(void *arg, const char *text), void *arg);
/* image/qcow2_repair.c */
int qcow2_rebuild(struct image *im, void (*say)(void *arg, const char *text), void *arg,
                  struct err *e);
int qcow2_repair(struct image *im, void (*say)(void *arg, const char *text), void *arg,
                 struct err *e);
/* image/qcow2_snapshot.c */
struct qcow2_snapshot {
    u64 l1_at, size, state;
    u32 l1_n;
    i64 time;
    bool sized; /* it says its size */
    char id[64], name[256];
    u64 next; /* where the next one is */
};
int qcow2_snapshot_get(struct image *im, u64 at, struct qcow2_snapshot *s); /* or -EBADMSG */
int qcow2_snapshot(struct image *im, const char *which, struct err *e);
void qcow2_facts(struct image *im, const struct image_teller *to);
/* image/qcow2_bitmap.c */
struct qcow2_bitmap {
    u64 table_at, next;
    u32 table_n, flags, granularity; /* log2 */
    char name[256];
    u64 at; /* of its entry in the directory */
};
int qcow2_bitmap_get(struct image *im, u64 at, struct qcow2_bitmap *b); /* or -EBADMSG */
int qcow2_bitmaps_begin(struct image *im);                              /* before the first write */
void qcow2_bitmaps_wrote(struct image *im, u64 off, u64 len);
int qcow2_bitmaps_end(struct image *im); /* before the last commit */
void qcow2_bitmaps_free(struct qcow2 *q);
/* image/qcow2_size.c */
int qcow2_grow(struct image *im, u64 size, struct err *e);
/* image/qcow2_header.c */
int qcow2_put_features(struct image *im); /* the three words of features, and the disk keeps them */
/* Extensions and name as in `how`, wherever there is room: at once or not at all. */
int qcow2_move_names(struct image *im, const struct image_make *how);
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
