/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_VHDX_INT_H
#define IMAGE_VHDX_INT_H
#include "image/image_int.h"

#define VHDX_KIB 1024u
#define VHDX_MIB (1u << 20)
#define VHDX_SIZE_MAX (64ull << 40)
#define VHDX_HEADER 4096
#define VHDX_TABLE (64 * VHDX_KIB) /* bytes of a region table, and of the metadata table */
#define VHDX_REGION_BAT "2DC27766-F623-4200-9D64-115E9BFD4A08"
#define VHDX_REGION_META "8B7CA206-4790-4B9A-B8FE-575F050F886E"
#define VHDX_ITEM_FILE "CAA16737-FA36-4D43-B3B6-33F0AA44E76B"
#define VHDX_ITEM_SIZE "2FA54224-CD1B-4876-B211-5DBED83BF4B8"
#define VHDX_ITEM_SECTOR "8141BF1D-A96F-4709-BA47-F233A8FAAB5F"
#define VHDX_ITEM_PHYSICAL "CDA348C7-445D-4471-9CC9-E9885251C556"
#define VHDX_ITEM_PAGE83 "BECA12AB-B2E6-4523-93EF-C309E000C746"
#define VHDX_ITEM_PARENT "A8D35F2D-B30B-454D-ABF7-D3D84834AB0C"
#define VHDX_LOCATOR_TYPE "B04AEFB7-D19E-4A81-B789-25B8E9445913"

enum vhdx_state {
    BLOCK_NONE = 0,
    BLOCK_UNDEFINED = 1,
    BLOCK_ZERO = 2,
    BLOCK_UNMAPPED = 3,
    BLOCK_HERE = 6,
    BLOCK_PARTLY = 7
};

struct vhdx_patch { /* what the log says that the file should hold */
    u64 at, len;
    u8 *bytes; /* NULL: zeroes */
};

struct vhdx {
    _Atomic u64 bat_at; /* moves when the disk grows */
    u64 bat_len, meta_at, meta_len, size_at;
    u64 block, sector, physical, ratio;
    bool fixed, differencing;
    u8 header[VHDX_HEADER]; /* the current one */
    unsigned slot;          /* which of the two that is */
    u8 page83[16];
    char data_guid[GUID_TEXT], linkage[GUID_TEXT + 2], linkage2[GUID_TEXT + 2];
    struct vhdx_patch *patches; /* in order; constant after open */
    size_t npatches;
    u64 logged; /* the file should be this long */
    u64 next;   /* the first MiB behind everything; the lock */
};

u32 vhdx_crc(const u8 *p, size_t n, size_t at); /* CRC-32C with the 4 bytes at `at` as zero */
void vhdx_put_guid(u8 *p, const char *text);
u64 vhdx_entries(const struct vhdx *v, u64 size); /* in the block table, for this size */
int vhdx_entry(struct image *im, u64 index, u64 *entry);
/* Where the table has a block, and the bitmap of its chunk. */
static inline u64 vhdx_index(const struct vhdx *v, u64 block)
{
    return block + block / v->ratio;
}
static inline u64 vhdx_map_index(const struct vhdx *v, u64 block)
{
    return block / v->ratio * (v->ratio + 1) + v->ratio;
}
static inline u64 vhdx_place(u64 entry)
{
    return entry >> 20 << 20;
}
/* image/vhdx_log.c */
int vhdx_replay(struct image *im, u64 at, u32 len, const u8 *guid, struct err *e);
int vhdx_settle(struct image *im); /* what was replayed goes to the file; the log is empty */
void vhdx_forget(struct vhdx *v);
int vhdx_get(struct image *im, u64 at, void *p, size_t n); /* the file as the log has it */
/* image/vhdx_parent.c */
int vhdx_take_parent(struct image *im, const u8 *b, size_t n, struct err *e);
size_t vhdx_put_parent(const struct image *base, const char *name, u8 *b, size_t room); /* 0: no */
/* image/vhdx_create.c */
extern const struct image_option vhdx_options[];
int vhdx_create(struct image *im, const struct image_make *how, struct err *e);
/* image/vhdx_write.c */
int vhdx_may_write(struct image *im, struct err *e); /* at open */
int vhdx_put_headers(struct image *im);              /* both, from v->header, one by one */
int vhdx_touch(struct image *im);
int vhdx_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan);
int vhdx_grow(struct image *im, u64 size, struct err *e);
/* image/vhdx_rebase.c */
int vhdx_rebase(struct image *im, const struct image_make *how, struct err *e);
/* image/vhdx_check.c */
int vhdx_scan(struct image *im, void (*say)(void *arg, const char *text), void *arg);
#endif
