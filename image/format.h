/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_FORMAT_H
#define IMAGE_FORMAT_H
#include "base/err.h"
#include "base/types.h"

/*
 * A format driver says where the guest's bytes are.  It does not move them:
 * the image core does all data I/O, caching, backing chains and zero fill.
 */
enum extent_kind { EXT_DATA, EXT_ZERO, EXT_PARENT, EXT_PACKED, EXT_SEALED };

struct extent {
    u64 len; /* how far this answer reaches */
    enum extent_kind kind;
    bool shared;  /* EXT_DATA, EXT_SEALED that others use too: never written in place */
    u32 file;     /* which file of a split image */
    u64 at;       /* where in it */
    u32 packed;   /* EXT_PACKED: bytes on disk, at most */
    u32 unpacked; /* EXT_PACKED: bytes of the whole unit */
    u64 base;     /* EXT_PACKED: where the unit begins in the disk */
    u64 seal;     /* EXT_SEALED, data that is encrypted: the place that its cipher is told */
};

struct image_key; /* image/image.h */
struct image;     /* image/image_int.h: size, files, parent, private part */
struct image_format;
struct pull;       /* image/pull_int.h */
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
    u32 block;                   /* cluster, grain or block; 0: the format's own */
    const char *parent;          /* the name to keep, or NULL */
    const char *parent_format;   /* or NULL */
    const struct image *base;    /* the parent itself, or NULL */
    const char *options;         /* "variant=fixed,..."; checked against the format's table */
    const struct image_key *key; /* for one that is encrypted; or NULL */
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
    CAN_GROW = 32,
    CAN_SHRINK = 64,
    KEEPS_PARENT = 128 /* what was made over a parent cannot do without one */
};

/* What an image says beside the guest's bytes: a driver tells each with fact_say. */
enum image_fact {
    FACT_VARIANT,    /* a word that the option "variant" takes */
    FACT_VERSION,    /* of the format, where there are several */
    FACT_SECTOR,     /* bytes of a logical sector, when it can be other than 512 */
    FACT_PHYSICAL,   /* bytes of a physical sector */
    FACT_GEOMETRY,   /* "cylinders/heads/sectors" */
    FACT_ADAPTER,    /* "lsilogic" */
    FACT_ID,         /* of the image */
    FACT_CONTENT_ID, /* changes with the content: VMDK's CID, VHDX's data write GUID */
    FACT_PARENT_ID,  /* that it expects of its parent */
    FACT_CREATOR,    /* the program that made it */
    FACT_CREATED,    /* "2024-05-01 10:00:00 UTC" */
    FACT_COMMENT,
    FACT_SNAPSHOT,    /* once for each: "1 before-upgrade, 2024-05-01 10:00:00 UTC" */
    FACT_BITMAP,      /* once for each */
    FACT_COMPRESSION, /* "zlib" */
    FACT_ENCRYPTION,  /* "LUKS2 aes-xts-plain64" */
    FACT_FILE,        /* once for each further file */
    FACT_DIRTY,       /* it was not closed: what is to be done */
    FACT_OTHER,       /* "hardware version: 14": kept where the same format is written */
    FACTS
};
struct image_teller;
void fact_say(const struct image_teller *to, enum image_fact what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

struct image_format {
    const char *name, *suffix, *about;
    const char *inside; /* a directory with a file of this name is an image too; or NULL */
    u32 can;
    bool parts;                          /* a file may have several disks: image_open's `part` */
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
    /* Any thread: this is about to be written or trimmed. */
    void (*wrote)(struct image *im, u64 off, u64 len);
    /* After the last write, everything is on the disk; what it changes is committed then. */
    int (*finish)(struct image *im);
    /* Any thread: n bytes of the file at x->at, x->unpacked bytes out. */
    int (*unpack)(struct image *im, const struct extent *x, const u8 *in, size_t n, u8 *out);
    /*
     * Any thread: decrypt (open) or encrypt n bytes where they lie.  seal and n are multiples
     * of im->sealed, the bytes of an encrypted sector; room answers with an EXT_SEALED too.
     */
    int (*seal)(struct image *im, bool open, u64 seal, u8 *p, size_t n);
    int (*check)(struct image *im, void (*say)(void *arg, const char *text), void *arg);
    /* After check: makes good what can be without losing data, says what; 0 or -errno. */
    int (*repair)(struct image *im, void (*say)(void *arg, const char *text), void *arg,
                  struct err *e);
    int (*create)(struct image *im, const struct image_make *how, struct err *e);
    /*
     * CAN_GROW, under the lock: make the disk this big, and im->size with it.  Smaller only
     * with CAN_SHRINK; what is behind the new end was trimmed before.
     */
    int (*grow)(struct image *im, u64 size, struct err *e);
    /*
     * CAN_PARENT and CAN_WRITE, nothing unflushed: how->parent, parent_format and base are its
     * parent from now on, or there is none (NULL).  At once or not at all.
     */
    int (*rebase)(struct image *im, const struct image_make *how, struct err *e);
    /* Read-only, after open: show the disk as it was at this snapshot, by name or id. */
    int (*snapshot)(struct image *im, const char *which, struct err *e);
    void (*facts)(struct image *im, const struct image_teller *to);
    /*
     * Forward writers.  begin: will an image made like this be written forward?  1 yes, and
     * im->pack says how its units are packed; 0 no: it is created, opened and written anywhere.
     * Writes nothing yet.  A format that CAN_STREAM is asked about a bare image, which it writes
     * by image_append only (im->append: it will go to a callback; else into a file); others
     * (qcow2, compressed) about one that was just created and opened.  put: the
     * units that hold something, in rising order, by one thread; packed: what im->pack.kind
     * made of the unit; else the unit itself.  end: tables.
     */
    int (*begin)(struct image *im, const struct image_make *how, struct err *e);
    int (*put)(struct image *im, u64 off, const u8 *data, u32 len, bool packed);
    int (*end)(struct image *im, struct err *e);
    /* Take an image from a stream: image/pull_int.h */
    int (*pull)(struct pull *p, struct err *e);
};
extern const struct image_format *const image_catalog[]; /* generated; ends with NULL */
#endif
