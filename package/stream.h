/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_STREAM_H
#define PACKAGE_STREAM_H
#include "package/format.h"
#include "package/source.h"
#include <sys/types.h>

/*
 * An archive that comes down standard input, read once and in order: its descriptor first, then
 * whatever follows.  A disk is taken out of the pipe when the writer asks for it; what comes
 * before it and is needed later waits in a nameless file.  Digests are computed on the way.
 * There is one standard input, and so one of these.
 */
#define STREAM_PATH "-" /* the path of a file that is still to come */

/*
 * Begins: s has the descriptor and what else has come.  -EMEDIUMTYPE: it is no archive that can
 * be read so; what was read is in *head, for who puts it all into a file.
 */
int stream_begin(struct source *s, struct buf *head, struct err *e);
bool stream_is_open(void);
void stream_end(void); /* nothing of it is left */

/*
 * The member of this name is next, everything before it is put aside: stream_read gives its
 * bytes.  1: it has come already, *f tells where it is.  -ENOENT: it is not in the archive.
 */
int stream_seek(const char *name, const struct source_file **f, u64 *size, struct err *e);
bool stream_came(const char *name, const struct source_file **f);
ssize_t stream_read(void *arg, void *p, size_t n); /* 0 at the member's end; or -errno */
/* The member of this name is put aside if it has not come yet, and this tells where it is. */
int stream_fetch(const char *name, const struct source_file **f, struct err *e);
/* The rest of the archive is read; then everything is compared with its manifest. */
int stream_verify(const struct package_options *o, struct notes *n, struct err *e);
#endif
