/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_VMDK_INT_H
#define IMAGE_VMDK_INT_H
#include "image/image_int.h"

#define VMDK_MAGIC 0x564d444bu /* "KDMV" */
#define COWD_MAGIC 0x44574f43u
#define SESPARSE_MAGIC 0xcafebabeull
#define SECTOR 512ull
#define GD_AT_END (~0ull)
#define VMDK_PACKED_MAX (8u << 20)

/* The header of a sparse extent; a stream ends with a second one, the footer. */
enum { /* flags */
       FLAG_NEWLINES = 1,
       FLAG_SECOND = 2,
       FLAG_ZEROES = 4,
       FLAG_PACKED = 1 << 16,
       FLAG_MARKERS = 1 << 17
};

struct vmdk_header {
    u32 version, flags, gtes;
    u64 capacity, grain, text_at, text_len, rgd, gd, overhead;
    u8 newlines[4];
    u16 packing;
};
int vmdk_read_header(struct image *im, u32 file, u64 at, struct vmdk_header *h);
int vmdk_take_header(const u8 *b, struct vmdk_header *h); /* 512 bytes; -EBADMSG: is none */
int vmdk_check_header(const struct vmdk_header *h, const char *name, struct err *e);

/* What stands between the grains of a stream: a marker with a size of 0 is of this type. */
enum { MARK_END, MARK_TABLE, MARK_DIRECTORY, MARK_FOOTER, MARK_PROGRESS };
#define MARK_BYTES 12 /* before the packed bytes of a grain: its sector, their number */

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
    u64 next;               /* where room is; the image's lock */
    u64 tables_at, ntables; /* seSparse: all tables are there */
    u32 **found;            /* tables made anew from markers; or NULL */
};

struct vmdk_stream; /* one that is being written */
struct vmdk {
    struct vmdk_stream *stream;
    struct vmdk_part *parts;
    u32 nparts;
    u32 cid, parent_cid;
    u64 cid_at; /* in file 0; 0: nowhere */
    bool tracked;
};

/* image/vmdk_sparse.c */
int vmdk_open_sparse(struct image *im, struct vmdk_part *p, struct err *e);
int vmdk_open_cowd(struct image *im, struct vmdk_part *p, bool alone, struct err *e);
int vmdk_map_sparse(struct image *im, const struct vmdk_part *p, u64 off, struct extent *x);
/* image/vmdk_se.c */
int vmdk_open_se(struct image *im, struct vmdk_part *p, struct err *e);
int vmdk_map_se(struct image *im, const struct vmdk_part *p, u64 off, struct extent *x);
/* image/vmdk_recover.c: grains from `at` on */
int vmdk_recover(struct image *im, struct vmdk_part *p, u64 at, struct err *e);
void vmdk_recover_free(struct vmdk_part *p);
int vmdk_unpack(struct image *im, const struct extent *x, const u8 *in, size_t n, u8 *out);

/* image/vmdk_create.c: what the options of a new image say, and its text */
struct vmdk_make {
    char variant[32], adapter[16], hardware[8];
    bool small;
    u64 size;
    u32 cid, parent_cid;
    const char *parent; /* or NULL */
};
extern const struct image_option vmdk_options[];
int vmdk_make_of(struct vmdk_make *m, const struct image_format *f, const struct image_make *how);
/* extents: whole lines.  How long the text is, or -errno. */
int vmdk_make_text(char *to, size_t room, const struct vmdk_make *m, const char *type,
                   const char *extents);
int vmdk_create(struct image *im, const struct image_make *how, struct err *e);
void vmdk_put_header(u8 *b, const struct vmdk_header *h); /* 512 bytes */

/* The geometry that a BIOS of that adapter would say. */
void vmdk_geometry(const char *adapter, u64 size, unsigned *c, unsigned *h, unsigned *s);

/* image/vmdk_grow.c */
int vmdk_grow(struct image *im, u64 size, struct err *e);

/* image/vmdk_facts.c: the descriptor, a file of its own (room 0) or a place inside file 0 */
struct vmdk_words {
    char *text; /* the caller frees it */
    u64 at, room;
};
struct buf;
int vmdk_words_read(struct image *im, struct vmdk_words *w); /* -ENOENT: there is none */
int vmdk_words_put(struct image *im, const struct vmdk_words *w, struct buf *text);
void vmdk_facts(struct image *im, const struct image_teller *to);
int vmdk_rebase(struct image *im, const struct image_make *how, struct err *e);

/* image/vmdk_stream.c */
int vmdk_begin(struct image *im, const struct image_make *how, struct err *e);
int vmdk_put(struct image *im, u64 off, const u8 *data, u32 len, bool packed);
int vmdk_end(struct image *im, struct err *e);
void vmdk_stream_free(struct vmdk_stream *s);
/* image/vmdk_pull.c */
int vmdk_pull(struct pull *p, struct err *e);

struct vmdk_part *vmdk_part_at(const struct vmdk *k, u64 off);
/* The table of this index in the part: its place, 0 none, or -errno. */
int vmdk_table(struct image *im, const struct vmdk_part *p, u64 index, u64 *at, bool second);
int vmdk_touch(struct image *im);
int vmdk_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan);
int vmdk_check(struct image *im, void (*say)(void *arg, const char *text), void *arg);
/* Every table of a sparse part; the first fault in e.  `unique`: no grain twice. */
int vmdk_scan(struct image *im, const struct vmdk_part *p, bool unique, struct err *e);
#endif
