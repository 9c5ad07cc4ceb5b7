/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_LOCATE_H
#define PACKAGE_LOCATE_H
#include "desc/desc.h"
#include "package/source.h"

/*
 * The file that a description calls `name`, which may be a name of another host: with '\',
 * a drive letter, absolute.  Those are looked for by their last components beside the
 * description, with a note.  A file that is not there is noted and stays without a path: the
 * description can be read, what needs the disk says so.
 */
int locate_disk(struct desc *d, struct source *s, struct notes *n, struct desc_disk *k,
                const char *name, struct err *e);
/* The file alone: NULL and 0 when it is not there; *moved: it was found by its last components. */
int locate_file(struct source *s, const char *name, const struct source_file **f, bool *moved,
                struct err *e);
#endif
