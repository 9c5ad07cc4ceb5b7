/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_VMDK_INT_H
#define IMAGE_VMDK_INT_H
#include "image/image_int.h"

/* The text that describes a VMDK, and the parts that make up the disk. */
#define VMDK_TEXT_MAX 65536
#define VMDK_NAME_MAX 1024
#define VMDK_NO_PARENT 0xffffffffu

enum vmdk_kind { VMDK_FLAT, VMDK_SPARSE, VMDK_COWD, VMDK_SESPARSE, VMDK_ZERO };
enum vmdk_access { VMDK_RW, VMDK_RDONLY, VMDK_NOACCESS };

struct vmdk_line { /* one extent line */
    enum vmdk_access access;
    enum vmdk_kind kind;
    u64 sectors, offset; /* sectors */
    char name[VMDK_NAME_MAX];
};

struct vmdk_text {
    u32 cid, parent_cid;
    u32 cid_at;   /* where in the text the eight digits of CID stand; 0: nowhere */
    bool tracked; /* a change tracking file is named */
    char parent[VMDK_NAME_MAX], type[64];
    struct vmdk_line *lines;
    u32 nlines;
};
/* `where` is for messages.  The caller frees lines. */
int vmdk_text_parse(struct vmdk_text *t, const char *text, size_t n, const char *where,
                    struct err *e);
bool vmdk_text_is(const u8 *head, size_t n); /* does a descriptor begin here? */

/*
 * A stretch of the disk.  Sparse: grain directory -> grain table -> grain, sector numbers of
 * 32 bits, 0 for "not here".  All in bytes.
 */
struct vmdk_part {
    enum vmdk_kind kind;
    enum vmdk_access access;
    u64 first, len;
    u32 file;
    u64 at;            /* flat: where it begins */
    u64 grain;         /* sparse */
    u32 gtes, ngd;     /* entries of a table, tables */
    u64 gd_at, rgd_at; /* the directory and the second copy; 0 none */
    u64 data_at;       /* no grain is before this */
    bool packed, markers, zeroes;
    u64 next; /* where room is; the image's lock */
};

struct vmdk {
    struct vmdk_part *parts;
    u32 nparts;
    u32 cid, parent_cid;
    u64 cid_at; /* in file 0; 0: nowhere */
    bool tracked;
};

struct vmdk_part *vmdk_part_at(const struct vmdk *k, u64 off);
/* The table of this index in the part: its place, 0 none, or -errno. */
int vmdk_table(struct image *im, const struct vmdk_part *p, u64 index, u64 *at, bool second);
int vmdk_touch(struct image *im);
int vmdk_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan);
int vmdk_check(struct image *im, void (*say)(void *arg, const char *text), void *arg);
/* Every table of a sparse part; the first fault in e.  `unique`: no grain twice. */
int vmdk_scan(struct image *im, const struct vmdk_part *p, bool unique, struct err *e);
#endif
