/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_VHD_INT_H
#define IMAGE_VHD_INT_H
#include "image/image_int.h"

#define VHD_FOOTER 512
#define VHD_HEADER 1024
#define VHD_UNUSED 0xffffffffu
#define VHD_TABLE_MAX (16u << 20)
#define VHD_SIZE_MAX (2040ull << 30)
#define VHD_EPOCH 946684800 /* 2000-01-01, in the host's seconds */

enum vhd_kind { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFFERENCING = 4 };

/* Offsets and sizes are in bytes. */
struct vhd {
    enum vhd_kind kind;
    _Atomic u64 bat_at; /* moves when the disk grows */
    u64 header_at, block, bitmap;
    u32 entries;    /* that the size needs */
    u32 room;       /* that the table has */
    bool low_first; /* bitmaps of tapdisk 1.0 */
    bool copy_only; /* there was no footer at the end: it was not closed */
    u8 id[16], parent_id[16], header[VHD_HEADER];
    u8 *full; /* XenServer's batmap: blocks whose sectors are all there; or NULL */
    u32 nfull;
    u8 footer[VHD_FOOTER]; /* the lock, once it is written to */
    u64 footer_at;         /* the one at the end */
    u64 next;              /* the first byte behind all blocks; the lock */
};

u32 vhd_sum(const u8 *b, size_t n, size_t at); /* with the 4 bytes at `at` as zero */
void vhd_geometry(u64 size, u8 *chs);          /* 4 bytes of a footer */
bool vhd_is_full(const struct vhd *v, u64 block);
/* image/vhd_create.c */
extern const struct image_option vhd_options[];
int vhd_create(struct image *im, const struct image_make *how, struct err *e);
int vhd_begin(struct image *im, const struct image_make *how, struct err *e);
int vhd_put(struct image *im, u64 off, const u8 *data, u32 len, bool packed);
int vhd_end(struct image *im, struct err *e);
/* Into a header: the id, time and name of the parent; its locators go to the file from *at on. */
int vhd_put_parent(struct image *im, const struct image_make *how, u8 *h, u64 *at, struct err *e);
/* image/vhd_rebase.c */
int vhd_rebase(struct image *im, const struct image_make *how, struct err *e);
/* image/vhd_write.c */
int vhd_may_write(struct image *im, struct err *e); /* at open: the places of all blocks */
int vhd_touch(struct image *im);
int vhd_move_footer(struct image *im, u32 phase);
int vhd_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan);
int vhd_grow(struct image *im, u64 size, struct err *e);
int vhd_repair(struct image *im, void (*say)(void *arg, const char *text), void *arg,
               struct err *e);
int vhd_check(struct image *im, void (*say)(void *arg, const char *text), void *arg);
#endif
