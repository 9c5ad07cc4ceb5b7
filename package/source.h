/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_SOURCE_H
#define PACKAGE_SOURCE_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/types.h"

/*
 * Where a package is read from: a descriptor with the files beside it, or an archive whose
 * members are read in place, by offset.  A member's name is a key and nothing else: nothing
 * is ever written under it.
 */
struct package_options;
enum source_kind { SOURCE_FILES, SOURCE_TAR /* or zip; also compressed */ };

#define SOURCE_SUMS 3
struct source_file {
    const char *name; /* as the package says, without "./" in front */
    const char *path; /* the host file that holds it; package/stream.h: STREAM_PATH */
    u64 offset, size;
    u32 listed;                    /* lines of the manifest that were right for it */
    const char *sums[SOURCE_SUMS]; /* SHA1, SHA256, SHA512 when they are known already */
    struct source_file *next;
};

struct source {
    struct arena arena;
    enum source_kind kind;
    const char *path, *dir;    /* what was opened, and the directory that it is in */
    const char *data;          /* an archive's bytes: path, or what was unpacked from it */
    int held;                  /* the descriptor of a nameless file with them; or -1 */
    struct source_file *files; /* tar: the members in order; files: those looked up so far */
    u32 nfiles;
    const char *folder;       /* archives: where the descriptor's names begin, "a/"; or NULL */
    bool pipe;                /* more files may come: package/stream.h */
    struct source_file *main; /* files: the one that was named */
    const struct package_options *how; /* package/format.h; or NULL */
};

/* path "-": standard input, whole, by way of a nameless file. */
int source_open(struct source *s, const char *path, struct err *e);
int source_open_as(struct source *s, const char *path, const struct package_options *how,
                   struct err *e);
void source_close(struct source *s);
/* NULL and -ENOENT when there is none; other errors when it may not be used. */
int source_find(struct source *s, const char *name, const struct source_file **f, struct err *e);
int source_read(const struct source_file *f, u64 at, void *p, size_t n, struct err *e);
/* The beginning of a text, as much as there is room for, ended by a 0.  false: it cannot be read,
 * or is no text. */
bool source_head(const struct source_file *f, char *text, size_t room);
/* The whole of a small file, ended by a 0 that is not counted; the caller frees. */
int source_load(const struct source_file *f, u64 most, struct buf *b, struct err *e);
bool source_has_suffix(const char *name, const char *suffix); /* in any case */
const char *source_base(const char *path);                    /* its last component */
#endif
