/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_X86_REWRITE_H
#define ENGINE_X86_REWRITE_H
#include "engine/x86/insn.h"

/* Where the memory operand of a rewritten instruction is, in host registers. */
struct x86_host_address {
    u8 base;  /* host register, or X86_NOREG: disp is the whole address */
    u8 index; /* host register (not RSP) or X86_NOREG */
    u8 scale; /* the index is shifted left by it */
    u8 seg;   /* SEG_FS, SEG_GS or X86_NOREG */
    bool own; /* the guest's base, index, scale and displacement, renamed: base, index and
                 disp above do not count.  LEA is always so. */
    i32 disp;
};

/*
 * The same operation for 64-bit host code: general registers renamed through map (guest
 * number to host number), the memory operand at *at, encodings that only 16- and 32-bit
 * code has replaced.  Registers that the encoding implies (RAX and RDX of MUL, CL of shifts)
 * cannot be renamed.  Answers the length, or -EINVAL: cannot be said so (stack, string and
 * system instructions, branches, AH-BH beside a REX prefix, renamed implied registers).
 */
int x86_rewrite(const struct x86_insn *in, const struct x86_host_address *at, const u8 map[16],
                u8 out[15]);
#endif
