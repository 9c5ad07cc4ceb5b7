/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_VDI_INT_H
#define IMAGE_VDI_INT_H
#include "image/image_int.h"

#define VDI_MAGIC 0xbeda107fu
#define VDI_FREE 0xffffffffu
#define VDI_ZERO 0xfffffffeu
#define VDI_MAP_MAX (512u << 20)
#define VDI_HEAD 512

enum vdi_kind { VDI_NORMAL = 1, VDI_FIXED = 2, VDI_UNDO = 3, VDI_DIFFERENCING = 4 };

/* Where the fields are in the header: version 0.1 has no lengths and offsets in it. */
struct vdi_fields {
    u16 kind, flags, comment, geometry, size, block, blocks, allocated, id, modified, parent,
        parent_modified; /* 0: there is none */
};
extern const struct vdi_fields vdi_fields_0, vdi_fields_1;

/* A block is at data_at + its number * (block + extra) + extra, when it has a number. */
struct vdi_layout {
    u64 map_at, data_at;
    struct vdi_layout *old; /* readers may still look at it; freed at close */
};

struct vdi {
    const struct vdi_fields *f;
    u32 version;
    enum vdi_kind kind;
    struct vdi_layout *_Atomic layout;
    u64 block, extra;
    u32 blocks;
    u32 next; /* the number of the next new block; the lock */
    u8 head[VDI_HEAD];
};

int vdi_entry(struct image *im, const struct vdi_layout *y, u64 block, u32 *number);
/* image/vdi_create.c */
extern const struct image_option vdi_options[];
int vdi_create(struct image *im, const struct image_make *how, struct err *e);
/* image/vdi_write.c */
int vdi_may_write(struct image *im, struct err *e); /* at open */
int vdi_touch(struct image *im);
int vdi_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan);
int vdi_check(struct image *im, void (*say)(void *arg, const char *text), void *arg);
/* image/vdi_rebase.c */
int vdi_rebase(struct image *im, const struct image_make *how, struct err *e);
int vdi_repair(struct image *im, void (*say)(void *arg, const char *text), void *arg,
               struct err *e);
/* image/vdi_grow.c */
int vdi_grow(struct image *im, u64 size, struct err *e);
#endif
