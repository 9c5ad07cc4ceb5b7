/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_RANDOM64_H
#define TESTS_RANDOM64_H
#include "base/types.h"

/* Numbers that look random and come the same each time: Marsaglia's xorshift, 13 7 17. */
static u64 seed = 88172645463325252ull;

static inline u64 random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}
#endif
