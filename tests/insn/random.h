/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_INSN_RANDOM_H
#define TESTS_INSN_RANDOM_H
#include "base/bytes.h"
#include "tests/random64.h"
#include <string.h>

/* Random instruction bytes and register contents: the rare ones are not rare here. */

static inline void random_bytes(u8 b[15], bool mode64)
{
    static const u8 prefix[] = { 0x66, 0xf2, 0xf3, 0x66, 0xf0, 0x64, 0x65, 0x67 };
    u32 n = 0;

    for (u32 i = 0; i < 15; i++)
        b[i] = (u8)(random64() >> 20);
    while (random64() % 3 == 0 && n < 2)
        b[n++] = prefix[random64() % LEN(prefix)];
    if (mode64 && random64() % 2)
        b[n++] = 0x40 | (random64() & 15);
    switch (random64() % 8) {
    case 0:
        b[n++] = random64() % 3 ? 0xc4 : 0xc5;
        b[n] = random64() % 2 ? (b[n] & 0xe0) | (1 + random64() % 3) : b[n];
        break;
    case 1:
        b[n++] = 0xd8 | (random64() & 7);
        break;
    case 2:
    case 3:
    case 4:
        b[n++] = 0x0f;
        if (random64() % 3 == 0)
            b[n++] = random64() % 2 ? 0x38 : 0x3a;
        break;
    default:
        break;
    }
}

static inline u64 random_value(void)
{
    static const u64 special[] = { 0,
                                   1,
                                   ~0ull,
                                   0x7f,
                                   0x80,
                                   0x7fff,
                                   0x8000,
                                   0x7fffffff,
                                   0x80000000,
                                   0x7fffffffffffffff,
                                   0x8000000000000000,
                                   0xff,
                                   0xffff };

    switch (random64() % 4) {
    case 0:
        return special[random64() % LEN(special)];
    case 1:
        return random64() % 64;
    default:
        return random64();
    }
}

/* Numbers that floating point finds hard. */
static inline void random_floats(u8 *p, u32 n)
{
    static const u32 single[] = { 0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
                                  0xff800000, 0x7fc00000, 0x7f800001, 0x00000001, 0x7f7fffff,
                                  0x00800000, 0x4f000000, 0x40490fdb };

    for (u32 i = 0; i < n; i += 8) {
        u64 v = random64();

        if (random64() % 3 == 0)
            v = single[random64() % LEN(single)] | (u64)single[random64() % LEN(single)] << 32;
        else if (random64() % 3 == 0)
            v = (v & 0x800fffffffffffff) | (0x3ff0000000000000 + ((random64() % 64 - 32) << 52));
        memcpy(p + i, &v, 8);
    }
}

/* The x87 part of an FXSAVE area. */
static inline void random_x87(u8 *x)
{
    enum { FCW = 0, FSW = 2, FTW = 4, ST = 32 };
    enum { STACK_AND_CODES = 0x7f00, ERRORS = 0x3f, SUMMARY_BUSY = 0x8080 };
    static const u16 exponent[] = { 0x3fff, 0xbfff, 0,      0x8000, 0x7fff,
                                    0xffff, 0x4005, 0x3ff0, 0x7ffe, 1 };
    bool unmasked = random64() % 16 == 0;
    u16 fcw = 0x37f & ~(unmasked ? random64() & ERRORS : 0), fsw;

    fcw = (fcw & ~0xf00) | (random64() % 4 << 10) | (random64() % 3 ? 0x300 : 0x200);
    fsw = (u16)(random64() & STACK_AND_CODES);
    if (random64() % 8 == 0)
        fsw |= random64() & 0x7f;
    if (fsw & ~fcw & ERRORS)
        fsw |= SUMMARY_BUSY;
    put_le16(x + FCW, fcw);
    put_le16(x + FSW, fsw);
    x[FTW] = random64() % 2 ? 0xff : (u8)random64();
    for (u32 i = 0; i < 8; i++) {
        u8 *st = x + ST + 16 * i;
        u64 m = random64() | (random64() % 8 ? 1ull << 63 : 0);

        if (random64() % 4 == 0)
            m = random64() % 2 ? 1ull << 63 : 0;
        put_le64(st, m);
        put_le16(st + 8, exponent[random64() % LEN(exponent)]);
        memset(st + 10, 0, 6);
    }
}

static inline u32 random_mxcsr(void)
{
    u32 mxcsr = 0x1f80 | (random64() & 3) << 13;

    if (random64() % 16 == 0)
        mxcsr &= ~(random64() & 0x1f80);
    if (random64() % 4 == 0)
        mxcsr |= random64() & 0x8040;
    return mxcsr | (random64() % 2 ? random64() & 0x3f : 0);
}
#endif
