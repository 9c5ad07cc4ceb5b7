/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_SINK_INT_H
#define PACKAGE_SINK_INT_H
#include "package/sink.h"

#define SINK_HEX 129           /* a digest's text */
#define SINK_ARCHIVE "archive" /* in temp */
#define SINK_CHUNK (1u << 20)

struct sink_file {
    const char *name;
    u64 at, size; /* archives: where its bytes are */
    u64 room;     /* reserved and not yet written */
    char hex[SINK_HEX];
    struct sink_file *next;
};

enum sink_kind {
    SINK_FOLDER, /* a directory of its own */
    SINK_BESIDE, /* the descriptor's name was given: the rest stands beside it */
    SINK_TAR,
    SINK_PIPE,   /* a tar down standard output */
    SINK_PRINT,  /* the descriptor alone, on standard output */
    SINK_NOWHERE /* to hear what would be lost */
};

struct sink {
    struct arena arena;
    const struct package_options *o;
    const struct package_format *f;
    enum sink_kind kind;
    const char *path, *name, *main;
    const char *temp; /* the directory where it is made; NULL: none */
    const char *home; /* a directory that was made for it; NULL: none */
    int fd;           /* archives: where to write; -1 */
    bool spooled;     /* a pipe's archive is made in a file first */
    u64 at;           /* archives: the end */
    struct sink_file *files, **last;
};

struct sink_file *sink_add(struct sink *s, const char *name, struct err *e); /* -EEXIST */
struct sink_file *sink_find(const struct sink *s, const char *name);         /* or NULL */
const char *sink_temp_dir(void);
int sink_hex(struct sink *s, struct sink_file *f, const void *p, size_t n, struct err *e);
int sink_write(const struct sink *s, int fd, u64 at, const void *p, size_t n, struct err *e);

const char *sink_algorithm(const struct sink *s); /* NULL: no digests */

/* package/sink_tar.c: members of an archive */
int sink_tar_text(struct sink *s, const char *name, const void *p, size_t n, struct err *e);
int sink_tar_reserve(struct sink *s, const char *name, size_t room, struct err *e);
struct sink_file *sink_tar_begin(struct sink *s, const char *name, u64 size, struct err *e);
int sink_tar_put(struct sink *s, const void *p, size_t n, struct err *e);
int sink_tar_end(struct sink *s, struct sink_file *f, struct err *e); /* as long as it became */
int sink_tar_spool(struct sink *s, struct err *e); /* from here on it can be written to again */
int sink_tar_close(struct sink *s, struct err *e); /* its end; a spooled one goes down the pipe */

/* package/sink_digest.c: a digest computed in a thread of its own */
struct sink_digest;
int sink_digest_begin(struct sink_digest **d, const char *algorithm, struct err *e);
void sink_digest_add(struct sink_digest *d, const void *p, size_t n); /* copies */
int sink_digest_end(struct sink_digest *d, char hex[SINK_HEX]); /* d is gone; hex NULL: no matter */
int sink_digest_file(struct sink *s, struct sink_file *f, const char *path, struct err *e);
bool sink_digest_is(const char *algorithm);
#endif
