/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moving data: MOV and its kin, conversions, exchange, stack, addresses, flags as data,
 * hints and fences, random numbers.
 */
#include "engine/interpret/operand.h"
#include <Zydis/Mnemonic.h>

/* ---- moves ---- */

static void data_load_segment(struct x86_cpu *c, u8 seg, u16 sel)
{
    if (seg == SEG_CS)
        x86_raise(c, VEC_UD);
    x86_load_segment(c, seg, sel);
    if (seg == SEG_SS)
        c->s.shadow = c->s.shadow_ss = true;
}

void op_mov(struct x86_cpu *c, const struct x86_insn *in)
{
    u8 to = in->opd[0].kind, from = in->opd[1].kind;

    if (to == OPD_SEG)
        data_load_segment(c, in->opd[0].reg, (u16)op_get(c, in, 1));
    else if (to == OPD_CR || to == OPD_DR || from == OPD_CR || from == OPD_DR)
        op_mov_control(c, in);
    else
        op_put(c, in, 0, op_get(c, in, 1));
}

void op_movsx(struct x86_cpu *c, const struct x86_insn *in)
{
    op_put(c, in, 0, (u64)op_extend(op_get(c, in, 1), in->opd[1].size));
}

void op_movzx(struct x86_cpu *c, const struct x86_insn *in)
{
    op_put(c, in, 0, op_get(c, in, 1));
}

static u64 data_swapped(u64 v, u32 size)
{
    return __builtin_bswap64(v) >> (64 - 8 * size);
}

void op_movbe(struct x86_cpu *c, const struct x86_insn *in)
{
    op_put(c, in, 0, data_swapped(op_get(c, in, 1), in->opd[0].size));
}

void op_bswap(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->opd[0].size;

    /* of 16 bits it is undefined: processors give zero */
    op_put(c, in, 0, size == 2 ? 0 : data_swapped(op_get(c, in, 0), size));
}

void op_cmov(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1); /* read in any case: it may fault */

    op_put(c, in, 0, op_condition(c->s.rflags, in->opcode & 15) ? v : op_get(c, in, 0));
}

void op_set(struct x86_cpu *c, const struct x86_insn *in)
{
    op_put(c, in, 0, op_condition(c->s.rflags, in->opcode & 15));
}

void op_xchg(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 mem = in->opd[1].kind == OPD_MEM, size = in->opd[0].size; /* either may be memory */
    u64 a, b;

    if (in->mem != X86_NOREG) {
        u64 lin = op_linear(c, in, size, true);

        b = op_get(c, in, !mem);
        op_put(c, in, !mem, op_swap(c, lin, size, b));
        return;
    }
    a = op_get(c, in, 0);
    b = op_get(c, in, 1);
    op_put(c, in, 0, b);
    op_put(c, in, 1, a);
}

void op_lea(struct x86_cpu *c, const struct x86_insn *in)
{
    op_put(c, in, 0, op_address(c, in));
}

void op_xlat(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 at = (c->s.gpr[RBX] + (c->s.gpr[RAX] & 0xff)) & op_mask(in->asize);

    gpr_put(c, RAX, 1, x86_read(c, x86_linear(c, in->seg, at, 1, false), 1, ACCESS_CPL));
}

/* CBW CWDE CDQE: the low half of the accumulator into all of it. */
void op_widen(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 half = in->osize / 2;

    gpr_put(c, RAX, in->osize, (u64)op_extend(gpr_get(c, RAX, half), half));
}

/* CWD CDQ CQO: the sign of the accumulator into all of RDX. */
void op_sign_into_dx(struct x86_cpu *c, const struct x86_insn *in)
{
    gpr_put(c, RDX, in->osize, op_extend(gpr_get(c, RAX, in->osize), in->osize) < 0 ? ~0ull : 0);
}

/* ---- stack ---- */

void op_push(struct x86_cpu *c, const struct x86_insn *in)
{
    x86_push(c, op_get(c, in, 0), in->osize);
}

void op_pop(struct x86_cpu *c, const struct x86_insn *in)
{
    const struct x86_operand *o = &in->opd[0];
    u64 v = x86_pop(c, in->osize);

    if (o->kind == OPD_SEG)
        data_load_segment(c, o->reg, (u16)v);
    else
        op_put(c, in, 0, v); /* an address with RSP is that after the pop */
}

void op_pusha(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 sp = c->s.gpr[RSP];

    for (u8 r = RAX; r <= RDI; r++)
        x86_push(c, r == RSP ? sp : c->s.gpr[r], in->osize);
}

void op_popa(struct x86_cpu *c, const struct x86_insn *in)
{
    for (u8 r = RDI + 1; r-- > RAX;) {
        u64 v = x86_pop(c, in->osize);

        if (r != RSP)
            gpr_put(c, r, in->osize, v);
    }
}

static u32 stack_width(const struct x86_cpu *c)
{
    return x86_code64(&c->s) ? 8 : c->s.seg[SEG_SS].attr & ATTR_DB ? 4 : 2;
}

/* SDM volume 2, ENTER: level is modulo 32. */
void op_enter(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->osize, width = stack_width(c), level = in->imm2 & 31;
    u64 frame, bp;

    x86_push(c, c->s.gpr[RBP], size);
    frame = c->s.gpr[RSP];
    bp = c->s.gpr[RBP];
    for (u32 i = 1; i < level; i++) {
        bp -= size;
        x86_push(
            c,
            x86_read(c, x86_linear(c, SEG_SS, bp & op_mask(width), size, false), size, ACCESS_CPL),
            size);
    }
    if (level)
        x86_push(c, frame, size);
    gpr_put(c, RBP, size, frame);
    gpr_put(c, RSP, width, c->s.gpr[RSP] - (in->imm & 0xffff));
    /* the new top must be writable: the next push would fault inside the frame */
    x86_probe_write(c, x86_linear(c, SEG_SS, c->s.gpr[RSP] & op_mask(width), size, true), size,
                    ACCESS_CPL);
}

void op_leave(struct x86_cpu *c, const struct x86_insn *in)
{
    gpr_put(c, RSP, stack_width(c), c->s.gpr[RBP]);
    gpr_put(c, RBP, in->osize, x86_pop(c, in->osize));
}

/* ---- flags ---- */

void op_lahf(struct x86_cpu *c, const struct x86_insn *in)
{
    c->s.gpr[RAX] = (c->s.gpr[RAX] & ~0xff00ull) | (c->s.rflags & 0xd5) << 8 | 0x200;
}

void op_sahf(struct x86_cpu *c, const struct x86_insn *in)
{
    op_flags(c, FLAGS_ARITH & ~FLAG_OF, c->s.gpr[RAX] >> 8);
}

void op_salc(struct x86_cpu *c, const struct x86_insn *in)
{
    gpr_put(c, RAX, 1, c->s.rflags & FLAG_CF ? 0xff : 0);
}

void op_clc(struct x86_cpu *c, const struct x86_insn *in)
{
    op_flags(c, FLAG_CF, 0);
}

void op_stc(struct x86_cpu *c, const struct x86_insn *in)
{
    op_flags(c, FLAG_CF, FLAG_CF);
}

void op_cmc(struct x86_cpu *c, const struct x86_insn *in)
{
    c->s.rflags ^= FLAG_CF;
}

void op_cld(struct x86_cpu *c, const struct x86_insn *in)
{
    op_flags(c, FLAG_DF, 0);
}

void op_std(struct x86_cpu *c, const struct x86_insn *in)
{
    op_flags(c, FLAG_DF, FLAG_DF);
}

/* ---- hints, fences, what does nothing ---- */

void op_nop(struct x86_cpu *c, const struct x86_insn *in)
{
}

void op_fence(struct x86_cpu *c, const struct x86_insn *in)
{
    atomic_thread_fence(memory_order_seq_cst);
}

/* CLFLUSH and CLWB fault as a load does; caches are the host's affair. */
void op_cache_line(struct x86_cpu *c, const struct x86_insn *in)
{
    x86_translate(c, op_linear(c, in, 1, false), false, false, ACCESS_CPL);
}

void op_ud(struct x86_cpu *c, const struct x86_insn *in)
{
    x86_raise(c, VEC_UD);
}

/* ---- random numbers ---- */

static void data_random(struct x86_cpu *c, const struct x86_insn *in, u64 v, bool good)
{
    op_put(c, in, 0, good ? v : 0);
    op_flags(c, FLAGS_ARITH, good ? FLAG_CF : 0);
}

void op_rdrand(struct x86_cpu *c, const struct x86_insn *in)
{
    bool good;
    u64 v;

    __asm__ volatile("rdrand %0" : "=r"(v), "=@ccc"(good));
    data_random(c, in, v, good);
}

void op_rdseed(struct x86_cpu *c, const struct x86_insn *in)
{
    bool good;
    u64 v;

    __asm__ volatile("rdseed %0" : "=r"(v), "=@ccc"(good));
    data_random(c, in, v, good);
}
