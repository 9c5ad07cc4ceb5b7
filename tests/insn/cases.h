/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_INSN_CASES_H
#define TESTS_INSN_CASES_H
#include "base/types.h"

/*
 * What the maker of cases writes and the runner reads: a few instructions in a row, the
 * registers before them, and a seed for all else.  The runner's places are fixed, so that
 * addresses are the same on every processor.
 */
enum { CASE_CODE = 0x20000000, CASE_SLOT = 512, CASE_SLOTS = 4096, CASE_AT = 128 };
enum { CASE_DATA = 0x10000000, CASE_PAGE = 4096, CASE_PAGES = 7 };
/* of the data's pages: one that is not there, one that cannot be written */
enum { CASE_HOLE = 3, CASE_READ_ONLY = 4 };
enum { CASE_GS = 0x1800 }; /* base of GS in 64-bit code */
enum { CASE_MODE16, CASE_MODE32, CASE_MODE64 };
enum { CASE_NO_INDEX = 0xff };

struct insn_case {
    u64 seed, gpr[16], flags;
    u8 mode, len, vsib; /* vsib: a vector register that is to hold small indices */
    u8 row;             /* several instructions */
    u8 code[228];
};
#endif
