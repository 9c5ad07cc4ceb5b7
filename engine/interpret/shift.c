/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shifts and rotates.  The manual leaves flags of most of them undefined, and the translator runs the host's own; so here too the
 * host's instruction makes them, and both agree whatever the processor.
 */
#include "engine/interpret/operand.h"

/* ---- shifts: the host's own, on a register of the same size ---- */

#define SHIFT_SIZE(name, suffix, type)                                                             \
    static u64 shift_##name##suffix(u64 a, u64 count, u64 *flags)                                  \
    {                                                                                              \
        u64 f = (*flags & FLAGS_ARITH) | FLAG_ONE;                                                 \
        type v = (type)a;                                                                          \
        __asm__(OP_FLAGGED(#name #suffix " %%cl, %[v]")                                            \
                : [v] "+q"(v), [f] "+r"(f)                                                         \
                : "c"(count)                                                                       \
                : "cc", "memory");                                                                 \
        *flags = (*flags & ~(u64)FLAGS_ARITH) | (f & FLAGS_ARITH);                                 \
        return v;                                                                                  \
    }
#define SHIFT(name)                                                                                \
    SHIFT_SIZE(name, b, u8)                                                                        \
    SHIFT_SIZE(name, w, u16)                                                                       \
    SHIFT_SIZE(name, l, u32)                                                                       \
    SHIFT_SIZE(name, q, u64)                                                                       \
    static u64 shift_##name(u64 a, u64 count, u32 size, u64 *flags)                                \
    {                                                                                              \
        return size == 1   ? shift_##name##b(a, count, flags)                                      \
               : size == 2 ? shift_##name##w(a, count, flags)                                      \
               : size == 4 ? shift_##name##l(a, count, flags)                                      \
                           : shift_##name##q(a, count, flags);                                     \
    }
SHIFT(shl)
SHIFT(shr)
SHIFT(sar)
SHIFT(rol)
SHIFT(ror)
SHIFT(rcl)
SHIFT(rcr)

#define SHIFT_OP(name)                                                                             \
    void op_##name(struct x86_cpu *c, const struct x86_insn *in)                                   \
    {                                                                                              \
        op_update(c, in, op_get(c, in, 1), shift_##name);                                          \
    }
SHIFT_OP(shl)
SHIFT_OP(shr)
SHIFT_OP(sar)
SHIFT_OP(rcl)
SHIFT_OP(rcr)

/* ROL and ROR of a register by an immediate leave OF alone unless that is one; by CL, and in
 * memory, they do not. */
static void shift_rotate(struct x86_cpu *c, const struct x86_insn *in, op_change *fn)
{
    u64 count = op_get(c, in, 1), flags = c->s.rflags;
    bool stays = in->at_imm != 0xff && in->mem == X86_NOREG &&
                 (count & (in->opd[0].size == 8 ? 63 : 31)) != 1;

    op_update(c, in, count, fn);
    if (stays)
        op_flags(c, FLAG_OF, flags);
}

void op_rol(struct x86_cpu *c, const struct x86_insn *in)
{
    shift_rotate(c, in, shift_rol);
}

void op_ror(struct x86_cpu *c, const struct x86_insn *in)
{
    shift_rotate(c, in, shift_ror);
}

/* Double shifts: b is the register that bits come from; the count is beside it. */
#define DOUBLE_SIZE(name, suffix, type)                                                            \
    static u64 double_##name##suffix(u64 a, u64 b, u8 count, u64 *flags)                           \
    {                                                                                              \
        u64 f = (*flags & FLAGS_ARITH) | FLAG_ONE;                                                 \
        type v = (type)a;                                                                          \
        __asm__(OP_FLAGGED(#name #suffix " %%cl, %[b], %[v]")                                      \
                : [v] "+r"(v), [f] "+r"(f)                                                         \
                : [b] "r"((type)b), "c"(count)                                                     \
                : "cc", "memory");                                                                 \
        *flags = (*flags & ~(u64)FLAGS_ARITH) | (f & FLAGS_ARITH);                                 \
        return v;                                                                                  \
    }
#define DOUBLE(name)                                                                               \
    DOUBLE_SIZE(name, w, u16)                                                                      \
    DOUBLE_SIZE(name, l, u32)                                                                      \
    DOUBLE_SIZE(name, q, u64)                                                                      \
    void op_##name(struct x86_cpu *c, const struct x86_insn *in)                                   \
    {                                                                                              \
        u32 size = in->opd[0].size;                                                                \
        u64 lin = in->opd[0].kind == OPD_MEM ? op_linear(c, in, size, true) : 0;                   \
        u64 b = op_get(c, in, 1), flags = c->s.rflags, a;                                          \
        u8 count = (u8)op_get(c, in, 2);                                                           \
                                                                                                   \
        if (lin)                                                                                   \
            x86_probe_write(c, lin, size, ACCESS_CPL);                                             \
        a = lin ? x86_read(c, lin, size, ACCESS_CPL) : op_get(c, in, 0);                           \
        a = size == 2   ? double_##name##w(a, b, count, &flags)                                    \
            : size == 4 ? double_##name##l(a, b, count, &flags)                                    \
                        : double_##name##q(a, b, count, &flags);                                   \
        op_put(c, in, 0, a);                                                                       \
        c->s.rflags = flags;                                                                       \
    }
DOUBLE(shld)
DOUBLE(shrd)

/* ---- BMI2: no flags ---- */

void op_rorx(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 bits = in->opd[0].size * 8, n = in->imm & (bits - 1);
    u64 v = op_get(c, in, 1);

    op_put(c, in, 0, n ? v >> n | v << (bits - n) : v);
}

void op_shlx(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1);

    op_put(c, in, 0, v << (op_get(c, in, 2) & (in->opd[0].size * 8 - 1)));
}

void op_shrx(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1);

    op_put(c, in, 0, v >> (op_get(c, in, 2) & (in->opd[0].size * 8 - 1)));
}

void op_sarx(struct x86_cpu *c, const struct x86_insn *in)
{
    i64 v = op_extend(op_get(c, in, 1), in->opd[0].size);

    op_put(c, in, 0, (u64)(v >> (op_get(c, in, 2) & (in->opd[0].size * 8 - 1))));
}
