/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_SINK_H
#define PACKAGE_SINK_H
#include "desc/desc.h"
#include "package/format.h"

/*
 * Where a package is written to: a directory of its own, a descriptor with its files beside
 * it, or a tar archive (also down a pipe).  Nothing has its final name before sink_commit, and
 * nothing is ever overwritten.  One thread, and one sink at a time.
 */
struct sink;

/* path "": nowhere, to hear what a writer would say. */
int sink_open(struct sink **s, const char *path, const struct package_format *f,
              const struct package_options *o, struct err *e);
int sink_commit(struct sink *s, struct err *e); /* everything is on the disk; s is gone */
void sink_drop(struct sink *s);                 /* nothing is left; s is gone */
void sink_abandon(void); /* the process is about to end: nothing half written is left; any thread */

const struct package_options *sink_options(const struct sink *s);
const char *sink_name(const struct sink *s); /* the package's, without a suffix: "web" */
const char *sink_main(const struct sink *s); /* the descriptor's file name: "web.vmx" */
bool sink_is_archive(const struct sink *s);

/* A small file, whole.  Archives: at this place, or where sink_reserve kept one. */
int sink_text(struct sink *s, const char *name, const void *p, size_t n, struct err *e);
/*
 * Archives keep room bytes for this member, which is written later: the descriptor stands first
 * and knows the sizes of what follows.  What sink_text does not fill is filled with blanks at its
 * end, so room is the longest that the text can be.  Elsewhere nothing happens.
 */
int sink_reserve(struct sink *s, const char *name, size_t room, struct err *e);
/* An archive's member that nobody will ask for again: nothing is remembered of it. */
int sink_chunk(struct sink *s, const char *name, const void *p, size_t n, struct err *e);
/* A file as it is; length 0: to its end. */
int sink_copy(struct sink *s, const char *name, const char *path, u64 offset, u64 length,
              struct err *e);

struct sink_disk {
    u64 size, capacity, populated; /* bytes stored, virtual bytes, bytes of data */
    const char *name;              /* how the description refers to it; lives as long as s */
    const char *format, *options;  /* what it became: the user may have asked for another */
};
/*
 * The image of k converted to format ("vmdk"; options: "variant=streamOptimized", or NULL) under
 * this name; with --no-disks it stays where it is and out->name tells how to find it from the
 * target.  The suffix of the name follows the format.  An empty disk of some capacity becomes an
 * image of zeroes; an empty drive (no source, no capacity) is -ENOENT.
 */
int sink_disk(struct sink *s, const struct desc_disk *k, const char *name, const char *format,
              const char *options, struct sink_disk *out, struct err *e);

/* Of a file that is written: its bytes, its digest in hex by the algorithm of the options. */
u64 sink_size(const struct sink *s, const char *name);
const char *sink_digest(struct sink *s, const char *name, struct err *e); /* NULL: e says why */
#endif
