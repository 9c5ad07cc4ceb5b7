/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H
#include "base/err.h"
#include "base/types.h"
#include <sys/types.h>
#include <sys/uio.h>

/*
 * A disk image with its chain of parents: the guest's bytes, by offset.  Reads take no
 * lock; any number of threads may read and write at once.  A write is on the disk after
 * image_flush; a crash at any instant leaves an image that opens and holds what was
 * flushed.
 */
struct image;

/*
 * IMAGE_UNSAFE_PATHS: absolute names inside the image are followed (a chain that the user
 * made himself); else only names beside the file.  IMAGE_NO_LOCK: look although another
 * process writes.  IMAGE_ANY_PARENT: the parent is taken whatever its id is.
 * IMAGE_WRITE_PARENT: the parent is opened for writing too (image_commit).  IMAGE_KEEP_ID:
 * writes leave the id of the content as it is, for its children still fit.  IMAGE_REPAIR: what
 * image_repair can set right is no reason to refuse writing.
 * IMAGE_RECOVER: of a damaged image, what is left of it; read-only.
 */
enum {
    IMAGE_WRITE = 1,
    IMAGE_NO_PARENT = 2,
    IMAGE_UNSAFE_PATHS = 4,
    IMAGE_NO_LOCK = 8,
    IMAGE_ANY_PARENT = 16,
    IMAGE_WRITE_PARENT = 32,
    IMAGE_KEEP_ID = 64,
    IMAGE_REPAIR = 128,
    IMAGE_RECOVER = 256
};

/* A file that was cut: where it goes on after what is before it. */
struct image_piece {
    const char *path;
    u64 offset, length; /* length 0: all of it */
    const struct image_piece *next;
};

/*
 * The passphrase of encrypted images, asked for when it is needed: from a file, whole, or by
 * `ask`, which puts fewer than n bytes into room and says how many, or -errno.  No key when
 * one is needed: -ENOKEY; one that does not fit: -EKEYREJECTED.
 */
struct image_key {
    const char *file; /* or NULL */
    int (*ask)(void *arg, const char *path, u8 *room, size_t n);
    void *arg;
};

struct image_open {
    const char *path;
    u64 offset, length; /* the image lies inside that file (an OVA); length 0: all of it */
    const struct image_piece *pieces; /* and goes on in these, in order; never written; or NULL */
    const char *format;               /* NULL: probe; "raw" must be said */
    u32 flags;                        /* IMAGE_WRITE ... */
    const struct image_open *parent;  /* take this one, whatever the image names; or NULL */
    const char *snapshot;             /* inside the image, by name or id: read-only; or NULL */
    const char *part;            /* which disk of a file that has several ("Ref:12" of an XVA) */
    const struct image_key *key; /* or NULL; for its parents too */
};
int image_open(struct image **im, const struct image_open *how, struct err *e);
int image_close(struct image *im, struct err *e); /* flushes; the image is gone in any case */

struct image_create {
    const char *path, *format;
    u64 size;
    u32 cluster; /* 0: the format's own */
    const struct image_open
        *parent;         /* or NULL; its name is kept in the image when it is a whole file */
    const char *options; /* "variant=fixed,...", or NULL: image_format's table */
    const struct image_key *key; /* for one that is to be encrypted */
    bool unsynced; /* it is there at once, as a single file; the caller sees to it that it is on
                    * the disk before anything of it is promised to be */
};
int image_create(const struct image_create *how, struct err *e); /* -EEXIST: never overwrites */

u64 image_size(const struct image *im); /* bytes */
const char *image_format_name(const struct image *im);
const char *image_path(const struct image *im);
const struct image *image_parent(const struct image *im); /* or NULL */
const char *image_parent_name(const struct image *im);    /* as it stands inside; or NULL */
u32 image_cluster(const struct image *im); /* writes of this size and place are cheapest */
bool image_writable(const struct image *im);

/* 0 or -errno; off + len within the size.  Short transfers do not happen. */
int image_read(struct image *im, u64 off, const struct iovec *v, int n, u64 len);
int image_write(struct image *im, u64 off, const struct iovec *v, int n, u64 len);
int image_trim(struct image *im, u64 off, u64 len); /* reads as zero, or as before */
int image_flush(struct image *im);

/* What is at off: how far it reaches, and whether anything is stored there. */
enum image_kind { IMAGE_DATA, IMAGE_ZERO };
int image_map(struct image *im, u64 off, u64 *len, enum image_kind *kind, struct err *e);

/* The same, asked for one image of the chain after the other: where the bytes lie. */
struct image_place {
    u64 len;
    enum image_kind kind;
    bool packed;      /* compressed: at is where the packed bytes begin */
    bool sealed;      /* encrypted there */
    unsigned depth;   /* 0 the image, 1 its parent ... */
    const char *file; /* NULL: nowhere */
    u64 at;           /* in that file */
};
int image_place(struct image *im, u64 off, struct image_place *p, struct err *e);

/* What the image says beside the guest's bytes; name is one word, the same for all formats. */
typedef void image_fact_fn(void *arg, const char *name, const char *value);
void image_facts(struct image *im, image_fact_fn *say, void *arg);
/*
 * Options for making a copy of `from` in this format: those that are given, and whatever else
 * the format has an option for and `from` a fact of that name (sectors, adapter, comment).
 * 0 or -E2BIG when room is too small.
 */
int image_copy_options(struct image *from, const char *format, const char *options, char *room,
                       size_t n);
u64 image_stored(const struct image *im); /* bytes that its own files take up on the host */

/* The disk's size: bigger with zeroes behind; smaller only if `shrink` says so. */
int image_resize(struct image *im, u64 size, bool shrink, struct err *e);

/*
 * Copy what is in an image into a new one, holes stay holes.  The target appears under its
 * name when it is whole and on the disk, never before, and never in place of another file.
 *
 * path NULL: the target is handed to `append` instead, piece by piece and strictly forward,
 * in one thread at a time: down a pipe, or as a member of an archive.  The format (and the
 * variant) must be one that can stream; append returns 0, or -errno to give up.
 */
struct image_converted {
    u64 size;      /* bytes of the disk */
    u64 populated; /* of them, bytes that are not known to be zero */
    u64 stored;    /* bytes of the target: of all its files, or handed to append */
};
struct image_convert {
    const char *path, *format;   /* the target; format: one that can be created */
    u32 cluster;                 /* 0: the format's own */
    const char *options;         /* as of image_create */
    const struct image_key *key; /* of the target; or NULL */
    unsigned threads;            /* 0: one for each processor, at most 8 */
    void (*progress)(void *arg, u64 done, u64 total); /* one call at a time; or NULL */
    void *arg;
    const _Atomic bool *stop;        /* becomes true: -ECANCELED, nothing is left; or NULL */
    bool replace;                    /* a file of that name gives way, when the new one is whole */
    const struct image_open *parent; /* the target's: it holds only what differs; or NULL */
    int (*append)(void *append_arg, const void *p, size_t n); /* or NULL */
    void *append_arg;
    struct image_converted *result; /* or NULL */
};
int image_convert(struct image *from, const struct image_convert *how, struct err *e);

/*
 * The same from an image that comes as bytes in order, from a pipe or out of an archive.  Its
 * format is found by its first bytes, unless it is said; what is not known is refused.  Raw and
 * streamOptimized VMDK are taken as they come; other formats keep what they need at their end
 * or in any place, so their bytes are first put into a file beside the target, which goes away.
 *
 * read: up to n bytes; 0 at the end; -errno gives up.  It is called by one thread, and until it
 * said 0: what follows the image (padding) is read and dropped.  The target gets its name after
 * that, so a reader that checks a digest can still refuse by its last answer.
 */
struct image_pull {
    const char *path, *format; /* the target, as above: any format that can be created */
    u32 cluster;
    const char *options;
    const struct image_key *key; /* of both; or NULL */
    unsigned threads;
    void (*progress)(void *arg, u64 done, u64 total); /* bytes read; total 0: not known */
    void *arg;
    const _Atomic bool *stop; /* as above */
    bool replace;
    ssize_t (*read)(void *read_arg, void *p, size_t n);
    void *read_arg;
    const char *name;               /* of what is read: for messages; "disk.img" may be raw */
    const char *from;               /* its format; NULL: probe */
    u64 length;                     /* bytes to come; 0: not known */
    struct image_converted *result; /* or NULL */
};
int image_pull(const struct image_pull *how, struct err *e);

/* Long work: how far it is, and a way to end it early (-ECANCELED). */
struct image_work {
    void (*progress)(void *arg, u64 done, u64 total); /* one call at a time; or NULL */
    void *arg;
    const _Atomic bool *stop; /* becomes true; or NULL */
    unsigned threads;         /* 0: one for each processor, at most 8 */
};

/* Do both disks hold the same?  What is behind the end of the shorter one counts as zero. */
struct image_difference {
    bool content, allocation; /* they differ */
    u64 content_at;           /* the first byte that does */
    u64 allocation_at;        /* the first byte that is stored here and not there */
};
int image_compare(struct image *a, struct image *b, const struct image_work *w,
                  struct image_difference *d, struct err *e);

int image_read_all(struct image *im, const struct image_work *w, struct err *e); /* can it be? */

/*
 * What an overlay holds goes into its parent, of any format that can be written.  The overlay
 * is opened with IMAGE_WRITE_PARENT; it shows the same disk at any instant of the work and
 * after it.
 */
int image_commit(struct image *overlay, const struct image_work *w, struct err *e);

/*
 * Another parent, or none (NULL): what is not the same there is copied into the image first, so
 * that it shows the same disk at any instant.  `name_only`: nothing is copied.
 */
int image_rebase(struct image *im, const struct image_open *parent, bool name_only,
                 const struct image_work *w, struct err *e);

/*
 * What is compressed in this part of a file (length 0: all of it), in a new file without a
 * name: its descriptor and its size.  -EMEDIUMTYPE: it is not compressed.
 */
int image_unpack(const char *path, u64 offset, u64 length, u64 *size, struct err *e);

/* Structure: every table and digest; reports each fault through `say`; 0 or -EBADMSG. */
int image_check(struct image *im, void (*say)(void *arg, const char *text), void *arg,
                struct err *e);
/* Sets right what can be without losing data, says what that was; opened with IMAGE_REPAIR. */
int image_repair(struct image *im, void (*say)(void *arg, const char *text), void *arg,
                 struct err *e);
#endif
