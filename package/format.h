/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_FORMAT_H
#define PACKAGE_FORMAT_H
#include "base/err.h"
#include "base/types.h"
#include "desc/desc.h"

/*
 * A package is a VM at rest as some product stores it: OVF, VMX, XVA, VMCX...
 * Readers fill in a description, writers print one.  What cannot be said on
 * the other side is noted, never dropped in silence.
 */
struct source; /* package/source.h: a file, a directory, a tar read in place */
struct sink;

struct package_format {
    const char *name, *suffix;
    const char *about;
    int (*probe)(struct source *s); /* 0 ... 100 */
    int (*read)(struct desc *d, struct source *s, struct notes *n, struct err *e);
    int (*write)(const struct desc *d, struct sink *s, struct notes *n, struct err *e);
};
extern const struct package_format *const package_catalog[]; /* generated; ends with NULL */

struct package_options {
    bool verify; /* check the manifest's digests */
    /* progress of long work: done and total bytes; may be NULL */
    void (*progress)(void *arg, const char *what, u64 done, u64 total);
    void *arg;
};
/*
 * Open whatever `path` is (OVA, OVF, ...; no package at all: -ENOENT, and only then), verify its
 * manifest, fill in d (initialised by the caller).  Disks are described, not opened.
 */
int package_open(const char *path, const struct package_options *o, struct desc *d, struct notes *n,
                 struct err *e);
#endif
