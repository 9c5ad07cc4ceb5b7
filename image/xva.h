/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_XVA_H
#define IMAGE_XVA_H
#include "image/image.h"

/*
 * The disks of an XVA.  Reading is image_open with format "xva", the path of the archive
 * (compressed or not) and `part`, the VDI's reference ("Ref:12"): the chunks of that name are
 * one disk.  Without `part` there must be one disk in what is opened; so a window [offset,
 * offset + length) from the disk's first tar header to behind its last member does as well.
 * What is read is compared with its checksum.
 *
 * Disks of XenEnterprise 3.x are directories of files chunk000000000.gz ...: the first one,
 * opened with format "xenchunks", is the whole disk.
 */
#define XVA_CHUNK (1u << 20)

enum xva_sum { XVA_SHA1, XVA_XXHASH }; /* members .checksum, up to 8.x; .xxhash, since then */

/*
 * A disk as members of an XVA, in order: `member` gets each of them whole, its name first;
 * what it returns if it is not 0 ends the writing.  Chunks of zeroes are left out, but not the
 * first and the last.
 */
struct xva_write {
    const char *ref; /* "Ref:12" */
    enum xva_sum sum;
    int (*member)(void *arg, const char *name, const void *p, size_t n);
    void *arg;
};
int xva_write(struct image *im, const struct xva_write *how, struct err *e);
#endif
