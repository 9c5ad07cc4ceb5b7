/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_NVRAM_H
#define BACKEND_NVRAM_H
#include "base/err.h"
#include "base/types.h"

/*
 * A small memory that outlives the VM: firmware variables.  What is stored in it is in the
 * file at once, whatever happens to this process; nvram_sync puts it on the disk.
 */
struct nvram;

/*
 * path: made as a copy of `fresh` when it is not there yet, whole or not at all; NULL: a copy
 * that nobody keeps.  fresh: a file of whole pages; its size is the memory's.
 */
int nvram_open(struct nvram **n, const char *path, const char *fresh, struct err *e);
void nvram_close(struct nvram *n); /* syncs; NULL is allowed */
u8 *nvram_bytes(struct nvram *n);
u32 nvram_size(const struct nvram *n);
void nvram_sync(struct nvram *n);
#endif
