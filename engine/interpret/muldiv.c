/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multiplication, division and decimal adjustment.  Flags that the manual leaves undefined
 * are the host's: multiplication runs the host's instruction, division asks a harmless one
 * what becomes of them; decimal adjustment follows what Intel processors do.
 */
#include "engine/interpret/operand.h"

#define MUL_ONE(name, suffix, low, high, type)                                                     \
    static void mul_##name##suffix(struct x86_cpu *c, u64 b)                                       \
    {                                                                                              \
        u64 f = (c->s.rflags & FLAGS_ARITH) | FLAG_ONE, a = c->s.gpr[RAX], d = 0;                  \
        __asm__(OP_FLAGGED(#name #suffix " %[b]")                                                  \
                : "+a"(a), "+d"(d), [f] "+r"(f)                                                    \
                : [b] "r"((type)b)                                                                 \
                : "cc", "memory");                                                                 \
        gpr_put(c, RAX, low, a);                                                                   \
        if (high)                                                                                  \
            gpr_put(c, RDX, high, d);                                                              \
        op_flags(c, FLAGS_ARITH, f);                                                               \
    }
#define MUL(name)                                                                                  \
    MUL_ONE(name, b, 2, 0, u8)                                                                     \
    MUL_ONE(name, w, 2, 2, u16)                                                                    \
    MUL_ONE(name, l, 4, 4, u32)                                                                    \
    MUL_ONE(name, q, 8, 8, u64)                                                                    \
    static void mul_##name(struct x86_cpu *c, const struct x86_insn *in)                           \
    {                                                                                              \
        u64 b = op_get(c, in, 0);                                                                  \
        switch (in->opd[0].size) {                                                                 \
        case 1:                                                                                    \
            mul_##name##b(c, b);                                                                   \
            break;                                                                                 \
        case 2:                                                                                    \
            mul_##name##w(c, b);                                                                   \
            break;                                                                                 \
        case 4:                                                                                    \
            mul_##name##l(c, b);                                                                   \
            break;                                                                                 \
        default:                                                                                   \
            mul_##name##q(c, b);                                                                   \
        }                                                                                          \
    }
MUL(mul)
MUL(imul)

void op_mul(struct x86_cpu *c, const struct x86_insn *in)
{
    mul_mul(c, in);
}

#define IMUL_TWO(suffix, type)                                                                     \
    static u64 imul_two##suffix(u64 a, u64 b, u64 *flags)                                          \
    {                                                                                              \
        u64 f = (*flags & FLAGS_ARITH) | FLAG_ONE;                                                 \
        type v = (type)a;                                                                          \
        __asm__(OP_FLAGGED("imul" #suffix " %[b], %[v]")                                           \
                : [v] "+r"(v), [f] "+r"(f)                                                         \
                : [b] "r"((type)b)                                                                 \
                : "cc", "memory");                                                                 \
        *flags = (*flags & ~(u64)FLAGS_ARITH) | (f & FLAGS_ARITH);                                 \
        return v;                                                                                  \
    }
IMUL_TWO(w, u16)
IMUL_TWO(l, u32)
IMUL_TWO(q, u64)

void op_imul(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->opd[0].size, first;
    u64 a, b;

    if (in->nopd < 2 || in->opd[1].access & OPD_HIDDEN) {
        mul_imul(c, in);
        return;
    }
    first = in->nopd > 2 && in->opd[2].kind == OPD_IMM ? 1 : 0;
    a = op_get(c, in, first);
    b = op_get(c, in, first + 1);
    op_put(c, in, 0,
           size == 2   ? imul_twow(a, b, &c->s.rflags)
           : size == 4 ? imul_twol(a, b, &c->s.rflags)
                       : imul_twoq(a, b, &c->s.rflags));
}

void op_mulx(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->opd[0].size;
    unsigned __int128 r = (unsigned __int128)op_get(c, in, 2) * gpr_get(c, RDX, size);

    op_put(c, in, 1, (u64)r);
    op_put(c, in, 0, (u64)(r >> 8 * size));
}

/* ---- division ---- */

/* What the host makes of the flags in an unsigned, or signed, division. */
static void div_flags(struct x86_cpu *c)
{
    u64 f = (c->s.rflags & FLAGS_ARITH) | FLAG_ONE;
    u32 a = 7, d = 0;

    __asm__(OP_FLAGGED("divl %[b]") : "+a"(a), "+d"(d), [f] "+r"(f) : [b] "r"(2u) : "cc", "memory");
    op_flags(c, FLAGS_ARITH, f);
}

static void div_result(struct x86_cpu *c, u32 size, u64 quotient, u64 remainder)
{
    if (size == 1) {
        gpr_put(c, RAX, 2, (quotient & 0xff) | (remainder & 0xff) << 8);
    } else {
        gpr_put(c, RAX, size, quotient);
        gpr_put(c, RDX, size, remainder);
    }
    div_flags(c);
}

static unsigned __int128 div_dividend(const struct x86_cpu *c, u32 size)
{
    u64 a = gpr_get(c, RAX, size), d = gpr_get(c, RDX, size);

    return size == 1 ? gpr_get(c, RAX, 2) : (unsigned __int128)d << 8 * size | a;
}

void op_div(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->opd[0].size;
    u64 b = op_get(c, in, 0);
    unsigned __int128 a = div_dividend(c, size);

    if (!b || (u64)(a >> 8 * size) >= b)
        x86_raise(c, VEC_DE);
    if (size < 8)
        div_result(c, size, (u64)a / b, (u64)a % b);
    else
        div_result(c, size, (u64)(a / b), (u64)(a % b));
}

void op_idiv(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->opd[0].size, unused = 128 - 16 * size;
    i64 b = op_extend(op_get(c, in, 0), size);
    __int128 a = (__int128)(div_dividend(c, size) << unused) >> unused, q;
    unsigned __int128 least = (unsigned __int128)1 << 127;

    if (!b || ((unsigned __int128)a == least && b == -1))
        x86_raise(c, VEC_DE);
    q = a / b;
    if (q != op_extend((u64)q, size))
        x86_raise(c, VEC_DE);
    div_result(c, size, (u64)q, (u64)(a % b));
}

/* ---- decimal: Intel SDM volume 2, AAA AAD AAM AAS DAA DAS ---- */

static void bcd_ascii(struct x86_cpu *c, u64 by)
{
    u64 ax = gpr_get(c, RAX, 2);
    bool adjust = (ax & 15) > 9 || (c->s.rflags & FLAG_AF);

    ax = (adjust ? ax + by : ax) & 0xff0f;
    gpr_put(c, RAX, 2, ax);
    op_flags(c, FLAGS_ARITH, op_szp(ax, 1) | (adjust ? FLAG_AF | FLAG_CF : 0));
}

void op_aaa(struct x86_cpu *c, const struct x86_insn *in)
{
    bcd_ascii(c, 0x106);
}

void op_aas(struct x86_cpu *c, const struct x86_insn *in)
{
    bcd_ascii(c, -0x106ull);
}

static void bcd_packed(struct x86_cpu *c, i32 sign)
{
    u64 al = gpr_get(c, RAX, 1), old = al, flags = 0, by = 0;

    if ((al & 15) > 9 || (c->s.rflags & FLAG_AF)) {
        by = 6;
        flags |= FLAG_AF;
        if (sign < 0 && al < 6)
            flags |= FLAG_CF;
    }
    if (old > 0x99 || (c->s.rflags & FLAG_CF)) {
        by += 0x60;
        flags |= FLAG_CF;
    }
    al = (sign > 0 ? old + by : old - by) & 0xff;
    flags |= op_szp(al, 1);
    gpr_put(c, RAX, 1, al);
    op_flags(c, FLAGS_ARITH, flags);
}

void op_daa(struct x86_cpu *c, const struct x86_insn *in)
{
    bcd_packed(c, 1);
}

void op_das(struct x86_cpu *c, const struct x86_insn *in)
{
    bcd_packed(c, -1);
}

void op_aam(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 al = gpr_get(c, RAX, 1), by = in->imm & 0xff;

    if (!by)
        x86_raise(c, VEC_DE);
    gpr_put(c, RAX, 2, al / by << 8 | al % by);
    op_flags(c, FLAGS_ARITH, op_szp(al % by, 1));
}

void op_aad(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 ax = gpr_get(c, RAX, 2), al = ax & 0xff, add = (ax >> 8) * (in->imm & 0xff) & 0xff;
    u64 sum = (al + add) & 0xff;
    u64 flags = op_szp(sum, 1) | (al + add > 0xff ? FLAG_CF : 0) | ((al ^ add ^ sum) & FLAG_AF);

    flags |= (al ^ sum) & (add ^ sum) & 0x80 ? FLAG_OF : 0;
    gpr_put(c, RAX, 2, sum);
    op_flags(c, FLAGS_ARITH, flags);
}
