/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_CIPHER_H
#define IMAGE_CIPHER_H
#include "base/err.h"
#include "base/types.h"

/*
 * A cipher for disk sectors, named as dm-crypt names it: "aes-xts-plain64",
 * "aes-cbc-essiv:sha256".  Any number of threads may use one.
 */
struct cipher;
#define CIPHER_KEY_MAX 64
/* NULL: e says why. */
struct cipher *cipher_new(const char *spec, const u8 *key, size_t n, const char *path,
                          struct err *e);
void cipher_free(struct cipher *c);
/*
 * n bytes where they lie, a multiple of `unit`, of which each is encrypted by itself; number
 * is that of the first 512 bytes, and each unit's is that of its own.
 */
int cipher_run(struct cipher *c, bool open, u64 number, u32 unit, u8 *p, size_t n);
#endif
