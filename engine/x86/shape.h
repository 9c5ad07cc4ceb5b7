/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_X86_SHAPE_H
#define ENGINE_X86_SHAPE_H
#include "engine/x86/insn.h"

/*
 * Instructions that differ in displacement and immediate only, and common ones of 64-bit code
 * that differ in registers too, are decoded alike: what one of them was decoded to is kept, and
 * filled in for the next.  Not for several threads at once.
 */
enum { SHAPE_BITS = 11, SHAPES = 1 << SHAPE_BITS };
struct x86_shape {
    u64 mask[2], value[2]; /* of the bytes that make the shape, their registers as 0 */
    u64 all[2];            /* mask of the instruction's bytes */
    struct x86_insn in;    /* len 0: nothing here */
    bool imm_signed;
    bool registers; /* they are filled in as well */
};
struct x86_shapes {
    struct x86_shape at[SHAPES];
};

/* As x86_decode where the shape is known; false: it is not, and nothing happened. */
bool x86_shape_find(const struct x86_shapes *t, struct x86_insn *in, const u8 *p, u32 n,
                    enum x86_mode mode);
void x86_shape_add(struct x86_shapes *t, const struct x86_insn *in); /* as just decoded */
#endif
