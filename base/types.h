/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Sums and products of numbers that came from outside: false when they do not fit. */
static inline bool add_ok(u64 *sum, u64 a, u64 b)
{
    return !__builtin_add_overflow(a, b, sum);
}
static inline bool mul_ok(u64 *product, u64 a, u64 b)
{
    return !__builtin_mul_overflow(a, b, product);
}

/* Does [off, off + len) lie inside [0, size)?  Compares without adding. */
static inline bool range_ok(u64 off, u64 len, u64 size)
{
    return off <= size && len <= size - off;
}

static inline u64 min_u64(u64 a, u64 b)
{
    return a < b ? a : b;
}
static inline u64 max_u64(u64 a, u64 b)
{
    return a > b ? a : b;
}
#endif
