/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MACHINE_GMEM_H
#define MACHINE_GMEM_H
#include "base/types.h"
#include <sys/uio.h>

/*
 * Guest RAM as devices see it.  RAM only: a DMA address that is not RAM fails
 * here, so one device can never re-enter another (or itself) through DMA.
 * Guests change memory while we look: copy in once, check the copy, use the copy.
 */
struct gmem;
enum gmem_dir { GMEM_READ, GMEM_WRITE };

int gmem_read(struct gmem *g, u64 gpa, void *to, size_t n);          /* 0 or -EFAULT */
int gmem_write(struct gmem *g, u64 gpa, const void *from, size_t n); /* marks the pages dirty */
int gmem_map(struct gmem *g, u64 gpa, u32 n, enum gmem_dir dir, struct iovec *v,
             int room); /* pieces used, -EFAULT, -E2BIG */
/* After the use: `written` bytes from the front were written to.  n pieces, as mapped. */
void gmem_unmap(struct gmem *g, const struct iovec *v, int n, u32 written);
bool gmem_has(const struct gmem *g, u64 gpa, u64 n); /* is all of it RAM? */
/* The host gets these pages back; they read as zeroes and come again when they are touched. */
int gmem_give(struct gmem *g, u64 gpa, u64 n);
u64 gmem_size(const struct gmem *g); /* bytes of RAM */
#endif
