/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_IMAGE_INT_H
#define IMAGE_IMAGE_INT_H
#include "base/err.h"
#include "base/types.h"
#include "image/format.h"
#include "image/image.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

/*
 * What the core and the drivers share.
 *
 * An image has files; file 0 is the one that was named.  A file may be a window into a
 * bigger one, and is then never written.
 */
#define IMAGE_FILES_MAX 2048
#define IMAGE_DEPTH_MAX 64

struct image_more { /* a further piece of a file that was cut */
    int fd;
    u64 offset, at, length; /* in its host file; in the whole; how long */
};
struct image_file {
    int fd;
    char *path;
    u64 offset;         /* of the window in the host file */
    u64 at, packed;     /* unpacked: where in the file of that name; its length, or 0: all */
    _Atomic u64 length; /* grows when we write; with the further pieces */
    bool window;        /* part of a bigger file, one of several pieces, or unpacked */
    bool unpacked;      /* fd is a nameless copy of what is compressed under path */
    _Atomic u64 filled; /* of a fresh image: room was made up to here */
    dev_t dev;
    ino_t ino;
    u64 solid_at, solid_end; /* no hole of the host file is there; the lock: image/hole.c */
    struct image_more *more; /* or NULL; with any, only image_file_read knows where a byte is */
    u32 nmore;
};

/* Sees each write and each barrier of an image, in order (the power-cut test). */
struct image_tap {
    void (*wrote)(void *arg, u32 file, u64 at, const struct iovec *v, int n);
    void (*synced)(void *arg);
    void (*sized)(void *arg, u32 file, u64 length);
    void (*zeroed)(void *arg, u32 file, u64 at, u64 len);
    void *arg;
};

/* Space on its way to be free: see image/meta.c. */
struct image_space {
    struct {
        u64 at, len;
    } * v;
    size_t n, cap;
};

/*
 * Metadata writes that make new data reachable.  Lower phases are on the disk before
 * higher ones begin; data is on the disk before any phase but PLAN_COUNT.
 */
enum { PLAN_COUNT, PLAN_COUNT_TABLE, PLAN_HEADER, PLAN_TABLE, PLAN_ROOT, PLAN_PHASES };
#define PLAN_WRITES 4
#define PLAN_BYTES 1024
struct image_plan {
    u32 nwrites, nfrees;
    struct {
        u32 phase, file, n;
        bool set; /* these bits are set, the others stay as they are by then */
        u64 at;
        u8 bytes[PLAN_BYTES];
    } writes[PLAN_WRITES];
    struct {
        u64 at, len;
    } frees[PLAN_BYTES / 8];
};

struct meta_cache;
struct packed_cache;

/* How units of a disk are made smaller when they are written. */
enum pack_kind { PACK_NONE, PACK_DEFLATE, PACK_ZLIB, PACK_ZSTD };
struct image_pack {
    enum pack_kind kind;
    u32 unit;     /* bytes, a power of two: what is zero in this size and place is left out */
    u32 window;   /* deflate: 1 << window bytes back at most; 0: 15 */
    bool small;   /* take more time for less space */
    bool shorter; /* only what gets shorter is packed; else put gets the plain unit */
    bool whole;   /* the last unit is filled up with zeroes before it is packed */
};

/* A range of the disk that a writer is making room for; others wait. */
struct image_busy {
    u64 first, end;
    struct image_busy *next;
};

struct image {
    const struct image_format *format;
    void *priv; /* the driver's */
    u64 size;
    u32 sealed;  /* bytes of an encrypted sector; 0: nothing is encrypted */
    u32 cluster; /* room and trim are asked for in these; a power of two or 0 */
    u32 lump;    /* a power of two: one writer at a time makes room in one; 0: as cluster */
    struct image_file *files;
    u32 nfiles;
    bool writable;
    u32 flags;
    const struct image_open *how; /* while the driver's open runs */
    unsigned depth;
    /* Set by the driver's open when the image names a parent. */
    char *parent_name, *parent_format;
    struct image *parent;

    pthread_mutex_t lock;   /* allocation; never held over data I/O */
    pthread_mutex_t commit; /* one commit at a time; taken before lock */
    pthread_mutex_t pen;    /* innermost, around a write to a host file: its own lock spins */
    pthread_cond_t idle;
    struct image_busy *busy;
    _Atomic bool touched, unsynced;
    _Atomic int broken; /* a commit failed: -errno for every later write */
    struct meta_cache *meta;
    struct packed_cache *packs;
    _Atomic unsigned epoch;
    _Atomic int inside[2]; /* I/O under way, by epoch */
    struct image_space dropped, durable, draining;
    const struct image_tap *tap;

    /* Being written forward: how units are packed, and where the bytes go. */
    struct image_pack pack;
    int (*append)(void *arg, const void *p, size_t n);
    void *append_arg;
    u64 appended;
    u8 *buffer;
    size_t nbuffered;
    bool fresh; /* nobody knows its name yet: no order, no barriers until it is whole */
};

/* image/file.c */
struct image_file_spec {
    const char *path;
    u64 offset, length;
    const struct image_piece *pieces;
    bool write, create, lock;
    bool unwrap; /* if it is compressed, what is in it */
};
int image_file_add(struct image *im, const struct image_file_spec *s,
                   struct err *e); /* index or -errno */
/* A file named inside the image: found only where image names may lead. */
int image_file_find(const struct image *im, const char *name, char **path, struct err *e);
void image_file_drop_all(struct image *im);
u64 image_file_length(const struct image *im, u32 file);
int image_file_read(const struct image *im, u32 file, u64 at, void *p, size_t n); /* all of it */
/* Past the end of the file there are zeroes. */
int image_file_readv(const struct image *im, u32 file, u64 at, const struct iovec *v, int n);
int image_file_write(struct image *im, u32 file, u64 at, const void *p, size_t n);
int image_file_writev(struct image *im, u32 file, u64 at, const struct iovec *v, int n);
/* At least this long, with zeroes behind what was there. */
int image_file_extend(struct image *im, u32 file, u64 length);
int image_file_cut(struct image *im, u32 file, u64 length); /* exactly this long */
/* Zeroes from now on, and given back to the file system where it can. */
int image_file_zero(struct image *im, u32 file, u64 at, u64 len);
int image_file_sync(struct image *im);
/* image/hole.c: is `at` stored, or a hole of the host file?  *len: cut to where that ends. */
bool image_file_stored(struct image *im, u32 file, u64 at, u64 *len);

/* image/option.c: every name and value is one that the format knows */
int image_options_check(const struct image_format *f, const char *text, struct err *e);
bool image_option_takes(const struct image_format *f, const char *name, const char *value);
bool image_option_said(const char *options, const char *name);

/* image/unwrap.c: what is compressed in a file goes behind the *length bytes of `out` */
bool unwrap_is_packed(const u8 *head, size_t n);
int unwrap(int out, const struct image *im, u32 file, u64 *length, struct err *e);
int unwrap_target(struct err *e); /* a new nameless file for that */

/* image/key.c: bytes of the passphrase, or -errno */
int image_key_get(const struct image_key *k, const char *path, u8 *room, size_t n, struct err *e);
#define IMAGE_KEY_MAX 8193
/* image/aes.c: the cipher of images with QEMU's encryption of old */
struct cipher;
int image_old_aes(struct image *im, struct cipher **c, struct err *e);

/* image/parent.c; the caller frees path and format */
int parent_name(const struct image *base, const char *child, char **name);
int parent_find(const struct image *im, struct image_open *up, char **path, char **format,
                struct err *e);

/*
 * One of several names by which an image knows its parent: kept if it leads to a file, which
 * is the answer, or if it is the first (for the message).
 */
bool parent_offer(struct image *im, char *take_name);

/* image/meta.c */
int meta_new(struct image *im);
void meta_free(struct image *im);
int meta_get(struct image *im, u32 file, u64 at, void *out, size_t n);
int meta_put(struct image *im, u32 phase, u32 file, u64 at, const void *p, size_t n);
void plan_write(struct image_plan *p, u32 phase, u32 file, u64 at, const void *bytes, size_t n);
/* Sets bits of a bitmap that others may set bits of at the same time. */
void plan_set(struct image_plan *p, u32 phase, u32 file, u64 at, const void *bits, size_t n);
void plan_free(struct image_plan *p, u64 at, u64 len);
int plan_apply(struct image *im, const struct image_plan *p); /* lock held */
size_t meta_dirty(const struct image *im);                    /* pages that wait for a commit */
int meta_commit(struct image *im);
int meta_settle(struct image *im); /* at close: commits until nothing is left */

/* image/packed.c */
int packed_new(struct image *im);
void packed_free(struct image *im);
int packed_read(struct image *im, const struct extent *x, u64 off, u64 len, const struct iovec *v,
                int n);
/* At most `out` bytes; *got may be less; 0, -EIO (bad stream) or -ENOMEM. */
int inflate_raw(const u8 *in, size_t nin, u8 *to, size_t out, size_t *got);
int inflate_zlib(const u8 *in, size_t nin, u8 *to, size_t out, size_t *got);
int unpack_zstd(const u8 *in, size_t nin, u8 *to, size_t out, size_t *got);

/* image/sealed.c: x is an EXT_SEALED; fill: a new place, from its beginning */
int sealed_read(struct image *im, const struct extent *x, u64 len, const struct iovec *v, int n);
int sealed_write(struct image *im, const struct extent *x, const struct iovec *v, int n, u64 skip,
                 u64 len);
int sealed_fill(struct image *im, const struct extent *x, u64 len, const struct iovec *v, int n);

/* image/pack.c: a packer belongs to one thread */
struct packer;
struct packer *packer_new(const struct image_pack *how);
void packer_free(struct packer *p);
size_t packer_room(const struct image_pack *how); /* the most that a unit may need */
/* Bytes at `to`; 0: does not fit in `room`.  turn: the number of the unit. */
size_t packer_run(struct packer *p, u64 turn, const u8 *in, size_t n, u8 *to, size_t room);

/* image/stage.c: a new image's files, out of sight until they are whole */
struct image_stage {
    const char *target;
    bool replace;     /* the target may be there; the other files may not */
    char *dir, *path; /* path: the file `target` while it is made */
    unsigned linked;
};
int stage_new(struct image_stage *p, const char *target, bool replace, struct err *e);
int stage_commit(struct image_stage *p, struct err *e); /* the place is gone in any case */
void stage_drop(struct image_stage *p);
/* Drops it; the error speaks of the target and not of the place.  Returns r. */
int stage_fail(struct image_stage *p, int r, struct err *e);

/*
 * image/io.c: into a fresh image the same range of another one, by sharing blocks between their
 * files.  Fails where the file system, the places or the kinds of data do not let it; what was
 * shared by then is right.
 */
int image_clone(struct image *to, u64 off, struct image *from, u64 len);

/* image/convert.c: is there nothing but zeroes? */
bool image_is_zero(const u8 *p, size_t n);
/* Threads for a conversion, when `asked` were asked for (0: one for each processor). */
#define IMAGE_THREADS_MAX 8
unsigned image_threads(unsigned asked);

/* Is an image made with these options written forward?  1, 0, -errno; path NULL: by append. */
int image_is_forward(const struct image_format *f, const char *path, const char *options,
                     struct err *e);

/* image/target.c: the image that a conversion makes, while it is written anywhere */
struct image_target {
    struct image_stage stage;
    struct image *im;
    u32 grain;             /* zeroes of this size and place are left out */
    _Atomic u64 populated; /* bytes written */
};
int target_open(struct image_target *t, const struct image_create *make, bool replace,
                struct err *e);
/* What is not zero of these bytes; any thread. */
int target_put(struct image_target *t, u64 off, u8 *p, u64 len);
int target_commit(struct image_target *t, struct image_converted *result, struct err *e);
void target_drop(struct image_target *t);

/* image/image.c: image_create in a place; beside: where it will be, for its parent's name */
int image_create_hidden(const struct image_create *how, const char *beside, struct err *e);
const struct image_format *image_format_of(const char *name);
const struct image_format *image_format_probe(const struct probe *p); /* NULL: unknown */
bool image_named_raw(const char *path, bool unpacked); /* does its name say that it is raw? */
struct image *image_new(void);
void image_free(struct image *im);

/* image/forward.c */
int image_append(struct image *im, const void *p, size_t n);
int image_append_zeroes(struct image *im, u64 n);

/* image/punch.c: a driver's `trim` that leaves the tables: the places stay, as holes */
int punch_trim(struct image *im, u64 off, u64 len, struct image_plan *plan, u64 *done);

/* image/unique.c: places of blocks, collected to find one that two entries name */
struct unique {
    u64 *v;
    size_t n, cap, most;
};
/* most: how many there can be at all; -E2BIG when there are more */
void unique_init(struct unique *s, u64 most);
int unique_add(struct unique *s, u64 at);
bool unique_twice(struct unique *s, u64 len, u64 *at); /* two are nearer than len */
void unique_fini(struct unique *s);

/* image/utf16.c: n units, or up to a zero; the caller frees; NULL: no memory */
char *image_name_utf16(const u8 *p, size_t n, bool little);
/* The other way, "/" as "\\": units written, at most `room`; 0: no UTF-8, or too long. */
size_t image_utf16_name(const char *name, u8 *to, size_t room, bool little);
/* "file:///some%20where": what is behind it, as a path; the caller frees; NULL: no memory */
char *image_name_url(const u8 *p, size_t n);

/* image/guid.c: as text, "B04AEFB7-D19E-..."; little: the first three numbers little-endian */
#define GUID_TEXT 37
void guid_text(const u8 *p, bool little, char *text);
int guid_make(u8 *p); /* a random one, the same in both orders; 0 or -errno */

/* image/iov.c */
/* The part [skip, skip + len) of a vector, as at most `max` pieces; *covered says how much. */
int iov_part(const struct iovec *v, int n, u64 skip, u64 len, struct iovec *out, int max,
             u64 *covered);
void iov_zero(const struct iovec *v, int n, u64 skip, u64 len);
void iov_fill(const struct iovec *v, int n, u64 skip, const u8 *from, u64 len);

static inline u64 round_up(u64 v, u64 to) /* to: a power of two; v + to does not overflow */
{
    return (v + to - 1) & ~(to - 1);
}
#endif
