/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Near jumps, calls, returns, loops, and BOUND. */
#include "engine/interpret/operand.h"
#include <Zydis/Mnemonic.h>

static void flow_branch(struct x86_cpu *c, const struct x86_insn *in, bool taken)
{
    u64 next = x86_next(c, in);

    if (taken)
        x86_jump_near(c, (next + in->imm) & op_mask(in->osize));
    else
        c->s.rip = next;
}

void op_jcc(struct x86_cpu *c, const struct x86_insn *in)
{
    flow_branch(c, in, op_condition(c->s.rflags, in->opcode & 15));
}

void op_jcxz(struct x86_cpu *c, const struct x86_insn *in)
{
    flow_branch(c, in, !gpr_get(c, RCX, in->asize));
}

static bool flow_count(struct x86_cpu *c, const struct x86_insn *in)
{
    gpr_put(c, RCX, in->asize, c->s.gpr[RCX] - 1);
    return gpr_get(c, RCX, in->asize);
}

void op_loop(struct x86_cpu *c, const struct x86_insn *in)
{
    flow_branch(c, in, flow_count(c, in));
}

void op_loope(struct x86_cpu *c, const struct x86_insn *in)
{
    flow_branch(c, in, flow_count(c, in) && (c->s.rflags & FLAG_ZF));
}

void op_loopne(struct x86_cpu *c, const struct x86_insn *in)
{
    flow_branch(c, in, flow_count(c, in) && !(c->s.rflags & FLAG_ZF));
}

/* Where a near JMP or CALL goes. */
static u64 flow_target(struct x86_cpu *c, const struct x86_insn *in)
{
    if (in->opd[0].kind == OPD_REL)
        return (x86_next(c, in) + in->imm) & op_mask(in->osize);
    return op_get(c, in, 0);
}

/* A far pointer: immediate, or in memory: offset first, then the selector. */
static bool flow_far(struct x86_cpu *c, const struct x86_insn *in, u16 *sel, u64 *off)
{
    u32 size = in->osize;
    u64 lin;

    if (in->opd[0].kind == OPD_FAR) {
        *sel = in->imm2;
        *off = in->imm;
        return true;
    }
    if (in->opcode != 0xff || !(in->modrm >> 3 & 1)) /* FF /3 and /5 are far */
        return false;
    lin = op_linear(c, in, size + 2, false);
    *off = x86_read(c, lin, size, ACCESS_CPL);
    *sel = (u16)x86_read(c, lin + size, 2, ACCESS_CPL);
    return true;
}

void op_jmp(struct x86_cpu *c, const struct x86_insn *in)
{
    u16 sel;
    u64 off;

    if (flow_far(c, in, &sel, &off))
        x86_far_jump(c, sel, off, x86_next(c, in));
    else
        x86_jump_near(c, flow_target(c, in));
}

void op_call(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 off, next = x86_next(c, in), target;
    u16 sel;

    if (flow_far(c, in, &sel, &off)) {
        x86_far_call(c, sel, off, next, in->osize);
        return;
    }
    target = flow_target(c, in);
    x86_jump_near(c, target); /* its checks come before the store */
    x86_push(c, next, in->osize);
}

void op_ret(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 extra = in->nopd && in->opd[0].kind == OPD_IMM ? in->imm & 0xffff : 0;
    u32 width = x86_code64(&c->s) ? 8 : c->s.seg[SEG_SS].attr & ATTR_DB ? 4 : 2;
    u64 to;

    if ((in->opcode & 0xfe) == 0xca) {
        x86_far_ret(c, in->osize, extra);
        return;
    }
    to = x86_pop(c, in->osize);
    gpr_put(c, RSP, width, c->s.gpr[RSP] + extra);
    x86_jump_near(c, to);
}

void op_bound(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->osize;
    u64 lin = op_linear(c, in, 2 * size, false);
    i64 v = op_extend(op_get(c, in, 0), size);

    if (v < op_extend(x86_read(c, lin, size, ACCESS_CPL), size) ||
        v > op_extend(x86_read(c, lin + size, size, ACCESS_CPL), size))
        x86_raise(c, VEC_BR);
}
