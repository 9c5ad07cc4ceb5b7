/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_INSN_ROW_H
#define TESTS_INSN_ROW_H
#include "engine/interpret/op.h"
#include "tests/insn/cases.h"
#include <Zydis/Mnemonic.h>

/* Random instructions, one after the other, with what they need of registers and memory. */
struct row {
    struct insn_case c;
    u32 held, written; /* registers that addresses need; that are no longer known */
    u32 n;
    u32 walkers; /* registers that step through the data; only in loops */
    u8 skip;     /* where the displacement of a jump over the next instruction is, or 0 */
    bool wild;   /* one operand may be where nothing is */
    bool loops;  /* it is to run many times over: nothing may change its addresses */
    bool level;  /* nothing moves the stack pointer */
};

u64 row_origin(const struct row *r);
/* Adds one; false: none was found this time. */
bool row_instruction(struct row *r);

struct insn_case hot_case(u32 index); /* loops.c */
#endif
