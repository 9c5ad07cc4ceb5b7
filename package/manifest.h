/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_MANIFEST_H
#define PACKAGE_MANIFEST_H
#include "desc/desc.h"
#include "package/format.h"
#include "package/source.h"

/*
 * The digests of a package's files, "SHA256(name)= hex" a line.  Each file that is listed is
 * read and compared; the first that is missing or differs ends it with an error.
 */
int manifest_verify(struct source *s, const struct source_file *manifest,
                    const struct package_options *o, struct notes *n, struct err *e);
#endif
