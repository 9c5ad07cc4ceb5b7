/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VM_SAVED_H
#define VM_SAVED_H
#include "base/buf.h"
#include "base/err.h"
#include "base/types.h"

/*
 * The file of a saved VM: named sections and memories, each under a checksum.
 *
 *     head       64 bytes: magic, version, length of the file, place and sum of the index
 *     memories   from a page boundary on
 *     sections   state of devices and processors, the description
 *     index      JSON: name, place, length and sum of each section
 *
 * A memory is kept in one of two ways.  Plain: its pages that are not zero, as they are and
 * on page boundaries, so that a restored VM maps them straight from the file and its copies
 * share them.  Packed: each different page once, compressed.
 */
struct saved_writer;
int saved_begin(struct saved_writer **w, const char *path, struct err *e); /* -EEXIST */
int saved_section(struct saved_writer *w, const char *name, const void *p, size_t n, struct err *e);
/* p is page aligned and of whole pages.  told: bytes of it done so far; may be NULL. */
int saved_memory(struct saved_writer *w, const char *name, const u8 *p, u64 len, bool packed,
                 void (*told)(void *arg, u64 done), void *arg, struct err *e);
/* The file is there, whole and on the disk; before, nothing is.  The writer is gone. */
int saved_commit(struct saved_writer *w, u64 *size, struct err *e);
void saved_abort(struct saved_writer *w); /* NULL is allowed */

/* All sums but those of memories are checked by open, those by saved_check, or as one is
 * loaded unless they were before. */
struct saved;
int saved_open(struct saved **s, const char *path, struct err *e);
void saved_close(struct saved *s);  /* what is mapped stays */
void saved_forget(struct saved *s); /* all is loaded: saved_get finds nothing any more */
const char *saved_path(const struct saved *s);
bool saved_has(const struct saved *s, const char *name);
int saved_get(const struct saved *s, const char *name, struct span *to, struct err *e); /* lent */
/*
 * Into p, page aligned, as long as it was saved.  With map, p is zeroes and runs of plain pages
 * are handed to it: `len` bytes from `at` on are those of the file fd from `off` on.  Without,
 * all of p is written.
 */
struct saved_map {
    int (*one)(void *arg, u64 at, u64 len, int fd, u64 off, struct err *e);
    void *arg;
};
int saved_load(const struct saved *s, const char *name, u8 *p, u64 len, const struct saved_map *map,
               struct err *e);
int saved_check(struct saved *s, struct err *e); /* every sum of every memory */
/* Every memory was loaded, so every sum was right: the next one to open it need not look. */
void saved_note_whole(const struct saved *s);
#endif
