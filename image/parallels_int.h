/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_PARALLELS_INT_H
#define IMAGE_PARALLELS_INT_H
#include "image/image_int.h"

#define PARALLELS_TABLE_AT 64
#define PARALLELS_TABLE_MAX (512u << 20)
#define PARALLELS_IN_USE 0x746f6e59u
#define PARALLELS_CLOSED 0x312e3276u
#define PARALLELS_DESCRIPTOR "DiskDescriptor.xml"
#define PARALLELS_GUID 40
#define PARALLELS_TOP "{5fbaabe3-6958-40ff-92a7-860e329aab41}"
#define PARALLELS_NO_GUID "{00000000-0000-0000-0000-000000000000}"

/* One file: plain, or a table of clusters and the clusters, in any order. */
struct parallels_layer {
    u32 file;
    bool plain, wide, in_use, touched;
    u64 cluster, unit; /* bytes of a cluster, and what a table entry counts */
    u32 entries;       /* of the table */
    u64 data_at;       /* no cluster is before it */
    u64 next;          /* the first place behind all clusters; the lock */
    u8 head[PARALLELS_TABLE_AT];
};

/* A stretch of the disk: layers[0] is what is written, the last one is the oldest. */
struct parallels_part {
    u64 first, len;
    struct parallels_layer *layers;
    u32 nlayers;
};

struct parallels {
    struct parallels_part *parts; /* by place, without gaps */
    u32 nparts;
    struct parallels_bundle *bundle; /* or NULL: the image is one file */
};

/* What a descriptor says. */
struct parallels_image {
    char guid[PARALLELS_GUID];
    bool plain;
    char *file;
};
struct parallels_storage {
    u64 start, end, block; /* sectors */
    struct parallels_image *images;
    u32 nimages;
};
struct parallels_bundle {
    u64 size, sector; /* sectors of 512; bytes of a logical sector */
    struct parallels_storage *storages;
    u32 nstorages;
    struct {
        char guid[PARALLELS_GUID], parent[PARALLELS_GUID];
    } * shots;
    u32 nshots;
    char top[PARALLELS_GUID], uid[PARALLELS_GUID], engine[PARALLELS_GUID];
};

const struct parallels_part *parallels_part_at(const struct parallels *p, u64 off);
int parallels_entry(struct image *im, const struct parallels_layer *y, u64 index, u64 *at);
/* image/parallels_bundle.c */
bool parallels_is_descriptor(const u8 *text, size_t n);
int parallels_read_bundle(struct image *im, struct parallels_bundle *b, struct err *e);
void parallels_drop_bundle(struct parallels_bundle *b);
const char *parallels_shot_parent(const struct parallels_bundle *b, const char *guid);
/* image/parallels_create.c */
extern const struct image_option parallels_options[];
int parallels_create(struct image *im, const struct image_make *how, struct err *e);
/* image/parallels_write.c */
int parallels_may_write(struct image *im, struct err *e); /* at open */
void parallels_leave(struct image *im);                   /* at close: not in use any more */
int parallels_touch(struct image *im);
int parallels_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan);
int parallels_check(struct image *im, void (*say)(void *arg, const char *text), void *arg);
/* image/parallels_grow.c */
int parallels_grow(struct image *im, u64 size, struct err *e);
#endif
