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
    const char *name, *suffix; /* ".vmx": of the descriptor */
    const char *archive;       /* ".ova": of its form as one tar file; or NULL */
    const char *folder, *main; /* ".pvm": of a directory of its own, "config.pvs": the descriptor
                                * in one; or NULL: any directory, named as the package */
    bool digests;              /* its writer asks for the digest of each file */
    const char *about;
    int (*probe)(struct source *s); /* 0 ... 100 */
    int (*read)(struct desc *d, struct source *s, struct notes *n, struct err *e);
    int (*write)(const struct desc *d, struct sink *s, struct notes *n, struct err *e);
};
extern const struct package_format *const package_catalog[]; /* generated; ends with NULL */

struct package_options {
    bool verify; /* check the manifest's digests */
    bool strict; /* what would be lost is an error */
    bool pull;   /* from a pipe: disks stay in it until package_write takes them out */
    /* progress of long work: done and total bytes; may be NULL */
    void (*progress)(void *arg, const char *what, u64 done, u64 total);
    void *arg;
    bool start; /* it is to run now: one that its product has open, or has suspended, is refused */
    bool ignore_locks, discard_suspend; /* but not then */
    /* Was the state of this suspended VM, which is in `file`, given up before?  May be NULL. */
    bool (*discarded)(void *arg, const char *file);
    void *discarded_arg;
    bool describe;        /* files that are missing or out of reach are noted, not refused */
    const char *option;   /* which deployment option of an OVF; NULL: its default */
    const char *language; /* of texts, "de-AT"; NULL: the package's own */
    const char *trust;    /* PEM file of authorities for signatures; NULL: the system's */
    /* writing */
    const char *version;     /* of the format: "2.0" for OVF; NULL: the usual one */
    const char *format;      /* a package_format's name or suffix; NULL: by the target's suffix */
    const char *vm;          /* only this one of several; NULL: all */
    const char *disk_format; /* "vmdk:streamOptimized": instead of the writer's own; or NULL */
    const char *digest;      /* "sha1", "sha256", "sha512", "none"; NULL: sha256 */
    const char *key, *cert;  /* PEM files to sign with; or NULL */
    bool no_disks;           /* the description only: disks stay where they are */
};
/*
 * Open whatever `path` is (OVA, OVF, ...; no package at all: -ENOENT, and only then), verify its
 * manifest, fill in d (initialised by the caller).  Disks are described, not opened.
 */
int package_open(const char *path, const struct package_options *o, struct desc *d, struct notes *n,
                 struct err *e);
/* The descriptor of a package that is a directory, else path itself; the caller frees; or NULL. */
char *package_main(const char *path, struct err *e);
/* By its name, or by the suffix of a target's path; only those that write; or NULL. */
const struct package_format *package_writer(const char *path, const char *format);
/* Could path be written, as far as its name and the options tell? */
int package_target(const char *path, const struct package_options *o, struct err *e);
/*
 * Write d, with its disks, as a package.  The target appears whole or not at all, and never in
 * place of another.  path "-": down standard output, archives and descriptions without disks.
 */
int package_write(const char *path, const struct package_options *o, const struct desc *d,
                  struct notes *n, struct err *e);
/* What package_write of this format would note; nothing is written. */
int package_try(const struct package_options *o, const struct desc *d, struct notes *n,
                struct err *e);
/* A package into another; n tells of the reading and of the writing. */
int package_convert(const char *from, const char *to, const struct package_options *o,
                    struct notes *n, struct err *e);

struct image;
/* The image behind a disk of a description; flags as of image_open. */
int package_disk(const struct desc_disk *k, u32 flags, struct image **im, struct err *e);
#endif
