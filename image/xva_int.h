/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_XVA_INT_H
#define IMAGE_XVA_INT_H
#include "image/image_int.h"

/* image/xva_tar.c: the members of a tar in file 0 of an image. */
struct tar_member {
    char name[256];
    u64 at, size; /* of its bytes */
    u64 before;   /* where the bytes of the member before it are */
    u64 next;     /* where the next header is */
};
/* One header; 0, or -EBADMSG. */
int tar_header(const u8 *h, struct tar_member *m);
/* The next file: 1; 0 at the end.  m begins as zeroes. */
int tar_next(struct image *im, struct tar_member *m, struct err *e);

enum { XVA_NAME_NONE, XVA_NAME_CHUNK, XVA_NAME_SUM };
#define XVA_REF 128
/* "Ref:12/00000003", maybe with .checksum or .xxhash: its parts. */
int xva_chunk_name(const char *name, char *ref, i64 *number);
#endif
