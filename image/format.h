/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_FORMAT_H
#define IMAGE_FORMAT_H
#include "base/err.h"
#include "base/types.h"

/*
 * A format driver says where the guest's bytes are.  It does not move them:
 * the image core does all data I/O, caching, backing chains and zero fill.
 */
enum extent_kind { EXT_DATA, EXT_ZERO, EXT_PARENT, EXT_PACKED };

struct extent {
    u64 len; /* how far this answer reaches */
    enum extent_kind kind;
    u32 file;   /* which file of a split image */
    u64 at;     /* where in it */
    u32 packed; /* EXT_PACKED: bytes on disk */
};

struct image;      /* image/image.h: size, files, parent, private part */
struct image_plan; /* metadata writes with their order; the core makes them safe */
struct probe {
    const u8 *head, *tail;
    size_t nhead, ntail;
    u64 size;
    const char *name;
};
struct image_make {
    u64 size;
    u32 block;
    const char *parent;
    bool fixed;
};

enum {
    CAN_WRITE = 1,
    CAN_CREATE = 2,
    CAN_PARENT = 4,
    CAN_TRIM = 8,
    CAN_STREAM = 16,
    CAN_GROW = 32
};

struct image_format {
    const char *name, *suffix, *about;
    u32 can;
    int (*probe)(const struct probe *p); /* 0 no ... 100 certain */
    int (*open)(struct image *im, struct err *e);
    void (*close)(struct image *im);
    int (*map)(struct image *im, u64 off, struct extent *x);
    int (*room)(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan);
    int (*trim)(struct image *im, u64 off, u64 len, struct image_plan *plan);
    int (*unpack)(struct image *im, const struct extent *x, const u8 *in, u8 *out);
    int (*create)(struct image *im, const struct image_make *how, struct err *e);
    /* strictly forward writers: streamOptimized VMDK, XVA, a VHD down a pipe */
    int (*begin)(struct image *im, const struct image_make *how, struct err *e);
    int (*put)(struct image *im, u64 off, const u8 *data, u32 len);
    int (*end)(struct image *im, struct err *e);
};
extern const struct image_format *const image_catalog[]; /* generated; ends with NULL */
#endif
