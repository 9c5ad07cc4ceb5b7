/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_INTERPRET_OP_H
#define ENGINE_INTERPRET_OP_H
#include "engine/x86/cpu.h"

/*
 * One operation of the interpreter.  RIP still points at the instruction when it is called;
 * x86_step moves it behind the instruction afterwards, unless the operation is a branch:
 * those set s.rip themselves (next = x86_next(c, in)).
 */
typedef void x86_op(struct x86_cpu *c, const struct x86_insn *in);

/* 16-bit code does not wrap at 64 KiB: it runs into its limit there. */
static inline u64 x86_next(const struct x86_cpu *c, const struct x86_insn *in)
{
    u64 next = c->s.rip + in->len;

    return in->mode == X86_MODE64 ? next : (u32)next;
}

/* Operands by number, as the manual orders them; memory through segment and paging. */
u64 op_address(struct x86_cpu *c, const struct x86_insn *in); /* effective, asize applied */
u64 op_get(struct x86_cpu *c, const struct x86_insn *in, u32 n);
void op_put(struct x86_cpu *c, const struct x86_insn *in, u32 n, u64 val);

/* MOV to and from control and debug registers; the interpreter's MOV calls it. */
void op_mov_control(struct x86_cpu *c, const struct x86_insn *in);
/* Runs the instruction itself on the guest's x87, SSE and AVX registers: vector.c. */
void op_vector(struct x86_cpu *c, const struct x86_insn *in);

/* Tables of operations: one line each in ops_user.def and ops_sys.def: OP(MNEMONIC, function). */
#define OP(mnemonic, function) x86_op function;
#include "engine/interpret/ops_sys.def"
#include "engine/interpret/ops_user.def"
#undef OP
extern x86_op *const op_table[];
/* The operation of an instruction, or NULL: #UD.  Vector instructions are in no table. */
x86_op *op_find(const struct x86_insn *in);
#endif
