/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_PULL_INT_H
#define IMAGE_PULL_INT_H
#include "image/image_int.h"

/*
 * For a driver that takes its image from a stream (image_format.pull).  It reads its headers,
 * says once how big the disk is, and hands over pieces; threads unpack and write them.
 */
const char *pull_name(const struct pull *p); /* for messages */
u64 pull_length(const struct pull *p);       /* bytes to come in all; 0: not known */
u64 pull_at(const struct pull *p);           /* bytes read so far */
/*
 * The first bytes, at most 4096, before anything is read.  A driver that sees that it cannot
 * take this one as it comes answers -ESPIPE then: it goes through a file.
 */
const u8 *pull_peek(const struct pull *p, size_t *n);
/* All of n bytes; a stream that ends before is an error. */
int pull_read(struct pull *p, void *to, size_t n, struct err *e);
/* Now the target is made. */
int pull_size(struct pull *p, u64 size, struct err *e);

/* Room for the next piece: at most PULL_PIECE_MAX; NULL: no memory, or an error elsewhere. */
#define PULL_PIECE_MAX (2u << 20)
u8 *pull_room(struct pull *p, size_t n);
/*
 * The n bytes in that room are `len` bytes of the disk at off: as they are, or through unpack
 * (any thread, exactly len bytes or -errno).  What is behind the end of the disk is dropped.
 */
typedef int pull_unpack(const u8 *in, size_t n, u8 *out, size_t len);
void pull_give(struct pull *p, u64 off, u32 n, u32 len, pull_unpack *unpack);
/* Until everything given so far is written. */
void pull_wait(struct pull *p);
#endif
