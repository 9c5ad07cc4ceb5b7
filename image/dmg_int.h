/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_DMG_INT_H
#define IMAGE_DMG_INT_H
#include "image/image_int.h"

enum {
    DMG_ZERO = 0,
    DMG_RAW = 1,
    DMG_IGNORE = 2,
    DMG_ADC = 0x80000004,
    DMG_ZLIB = 0x80000005,
    DMG_BZIP2 = 0x80000006,
    DMG_LZFSE = 0x80000007,
    DMG_LZMA = 0x80000008
};

/* image/dmg_codec.c: the name of a compression that is known; NULL: it is not packed */
const char *dmg_codec_name(u32 kind);
bool dmg_codec_is_there(u32 kind);
/* Exactly `out` bytes; 0, -EIO or -ENOMEM. */
int dmg_codec_run(u32 kind, const u8 *in, size_t n, u8 *to, size_t out);

/* image/dmg_fork.c: each table in a resource fork of n bytes; 0, or -EBADMSG */
int dmg_fork_each(const u8 *fork, size_t n, int (*each)(void *arg, const u8 *p, size_t n),
                  void *arg);
#endif
