/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_MANIFEST_H
#define PACKAGE_MANIFEST_H
#include "desc/desc.h"
#include "package/format.h"
#include "package/source.h"
#include <openssl/evp.h>

#define MANIFEST_MAX (8u << 20)

/*
 * The digests of a package's files, "SHA256(name)= hex" a line.  Each file that is listed is
 * read and compared; the first that is missing or differs ends it with an error.
 */
int manifest_verify(struct source *s, const struct source_file *manifest,
                    const struct package_options *o, struct notes *n, struct err *e);
const EVP_MD *manifest_method(const char *name); /* in all its spellings; or NULL */

struct sink;
/*
 * Writing: names, ended by NULL, are the files that are listed.  Room is kept for it, and for a
 * signature, where an archive wants them; later they are written.
 */
int manifest_reserve(struct sink *s, const char *const *names, struct err *e);
int manifest_write(struct sink *s, const char *const *names, struct err *e);
#endif
