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
    bool shared;  /* EXT_DATA that somebody else uses too: never written in place */
    u32 file;     /* which file of a split image */
    u64 at;       /* where in it */
    u32 packed;   /* EXT_PACKED: bytes on disk, at most */
    u32 unpacked; /* EXT_PACKED: bytes of the whole unit */
    u64 base;     /* EXT_PACKED: where the unit begins in the disk */
};

struct image; /* image/image_int.h: size, files, parent, private part */
struct image_format;
struct image_plan; /* metadata writes with their order; the core makes them safe */
struct probe {
    const u8 *head, *tail;
    size_t nhead, ntail;
    u64 size;
    const char *name;
};

/* What may be asked for when an image of this format is made: "-o name=value". */
struct image_option {
    const char *name;
    const char *values; /* "dynamic fixed", the first is the default; or "NUMBER", "FILE", "TEXT" */
    const char *about;
};
struct image_make {
    u64 size;
    u32 block;                 /* cluster, grain or block; 0: the format's own */
    const char *parent;        /* the name to keep, or NULL */
    const char *parent_format; /* or NULL */
    const struct image *base;  /* the parent itself, or NULL */
    const char *options;       /* "variant=fixed,..."; checked against the format's table */
};
/* The value that was asked for, else the default, else ""; in room, of n bytes. */
const char *image_option(const struct image_format *f, const struct image_make *how,
                         const char *name, char *room, size_t n);

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
    const struct image_option *options;  /* ends with a NULL name; or NULL.  "variant" is first */
    int (*probe)(const struct probe *p); /* 0 no ... 100 certain */
    int (*open)(struct image *im, struct err *e);
    void (*close)(struct image *im); /* also after an open that failed */
    /* The parent is open: is it the one that was meant? */
    int (*adopt)(struct image *im, struct err *e);
    /* Any thread, no lock: 0 or -errno.  x->len is at least 1. */
    int (*map)(struct image *im, u64 off, struct extent *x);
    /*
     * The rest runs under the image's lock.  touch: once, before the first write.  room:
     * off and len are whole clusters; x says where at least the first of them goes; what
     * makes it reachable is in the plan, carried out when the data is written.  trim: whole
     * clusters.  release: space that nothing on the disk refers to any more.
     */
    int (*touch)(struct image *im);
    int (*room)(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan);
    int (*trim)(struct image *im, u64 off, u64 len, struct image_plan *plan, u64 *done);
    int (*release)(struct image *im, u64 at, u64 len);
    /* Any thread: n bytes of the file at x->at, x->unpacked bytes out. */
    int (*unpack)(struct image *im, const struct extent *x, const u8 *in, size_t n, u8 *out);
    int (*check)(struct image *im, void (*say)(void *arg, const char *text), void *arg);
    int (*create)(struct image *im, const struct image_make *how, struct err *e);
    /* CAN_GROW, under the lock: make the disk this much bigger, and im->size with it. */
    int (*grow)(struct image *im, u64 size, struct err *e);
    /* strictly forward writers: streamOptimized VMDK, XVA, a VHD down a pipe */
    int (*begin)(struct image *im, const struct image_make *how, struct err *e);
    int (*put)(struct image *im, u64 off, const u8 *data, u32 len);
    int (*end)(struct image *im, struct err *e);
};
extern const struct image_format *const image_catalog[]; /* generated; ends with NULL */
#endif
