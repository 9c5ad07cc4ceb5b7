/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_INSN_CASES_H
#define TESTS_INSN_CASES_H
#include "base/types.h"
#include <stddef.h>

/*
 * What the maker of cases writes and the runner reads: a few instructions in a row, the
 * registers before them, and a seed for all else.  The runner's places are fixed, so that
 * addresses are the same on every processor.
 */
enum { CASE_CODE = 0x20000000, CASE_SLOT = 512, CASE_SLOTS = 4096, CASE_AT = 128 };
enum { CASE_DATA = 0x10000000, CASE_PAGE = 4096, CASE_PAGES = 7 };
/* of the data's pages: one that is not there, one that cannot be written */
enum { CASE_HOLE = 3, CASE_READ_ONLY = 4 };
enum { CASE_GS = 0x1800, CASE_FS = 0x2c00 }; /* their bases in 64-bit code */
/*
 * Code that loops: each case has two pages of its own in a file that is mapped at several
 * places, with a page of data CASE_NEAR behind each.
 */
enum { CASE_HOT = 0x30000000, CASE_HOT_APART = 0x08000000, CASE_PLACES = 3, CASE_HOTS = 4096 };
enum { CASE_NEAR = 0x04000000 };
/* what loops keep beside it: rounds to go, a random number, what came out of them, a pointer */
enum { CASE_KEPT = 0x0ff00000, KEPT_ROUNDS = 0, KEPT_RANDOM = 8, KEPT_SUM = 16, KEPT_WHERE = 24 };
enum { CASE_MODE16, CASE_MODE32, CASE_MODE64 };
enum { CASE_NO_INDEX = 0xff };

struct insn_case {
    u64 seed, gpr[16], flags;
    u32 rounds; /* 0: no loop */
    u16 hot;    /* which of them */
    u16 at;     /* where its code starts, in its two pages */
    u16 len;
    u8 mode, vsib; /* vsib: a vector register that is to hold small indices */
    u8 row;        /* several instructions */
    u8 code[900];
};
/* In a file they are as long as their code needs. */
#define CASE_SIZE(c) ((offsetof(struct insn_case, code) + (c)->len + 7) & ~7ul)
#endif
