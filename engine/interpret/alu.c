/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addition, subtraction, logic and their flags: Intel SDM volume 1, 3.4.3.1, and the pages
 * of ADD ADC SUB SBB CMP NEG INC DEC AND OR XOR NOT TEST XADD CMPXCHG ADCX ADOX.  Flags that
 * the manual leaves undefined are what processors make of them: AF of logic is 0.
 */
#include "engine/interpret/operand.h"

/* The flags of a + b (+ carry) = r and of a - b (- borrow) = r. */
static inline u64 alu_add_flags(u64 a, u64 b, u64 r, u32 size)
{
    u64 top = ((a & b) | ((a | b) & ~r)) & op_sign(size);
    u64 over = (a ^ r) & (b ^ r) & op_sign(size);

    return op_szp(r, size) | (top ? FLAG_CF : 0) | (over ? FLAG_OF : 0) | ((a ^ b ^ r) & FLAG_AF);
}

static inline u64 alu_sub_flags(u64 a, u64 b, u64 r, u32 size)
{
    u64 top = ((~a & b) | ((~a | b) & r)) & op_sign(size);
    u64 over = (a ^ b) & (a ^ r) & op_sign(size);

    return op_szp(r, size) | (top ? FLAG_CF : 0) | (over ? FLAG_OF : 0) | ((a ^ b ^ r) & FLAG_AF);
}

static inline void alu_set(u64 *flags, u32 mask, u64 val)
{
    *flags = (*flags & ~(u64)mask) | (val & mask);
}

static u64 alu_add(u64 a, u64 b, u32 size, u64 *flags)
{
    alu_set(flags, FLAGS_ARITH, alu_add_flags(a, b, a + b, size));
    return a + b;
}

static u64 alu_adc(u64 a, u64 b, u32 size, u64 *flags)
{
    u64 r = a + b + (*flags & FLAG_CF);

    alu_set(flags, FLAGS_ARITH, alu_add_flags(a, b, r, size));
    return r;
}

static u64 alu_sub(u64 a, u64 b, u32 size, u64 *flags)
{
    alu_set(flags, FLAGS_ARITH, alu_sub_flags(a, b, a - b, size));
    return a - b;
}

static u64 alu_sbb(u64 a, u64 b, u32 size, u64 *flags)
{
    u64 r = a - b - (*flags & FLAG_CF);

    alu_set(flags, FLAGS_ARITH, alu_sub_flags(a, b, r, size));
    return r;
}

static u64 alu_neg(u64 a, u64 b, u32 size, u64 *flags)
{
    return alu_sub(0, a, size, flags);
}

static u64 alu_inc(u64 a, u64 b, u32 size, u64 *flags)
{
    alu_set(flags, FLAGS_ARITH & ~FLAG_CF, alu_add_flags(a, 1, a + 1, size));
    return a + 1;
}

static u64 alu_dec(u64 a, u64 b, u32 size, u64 *flags)
{
    alu_set(flags, FLAGS_ARITH & ~FLAG_CF, alu_sub_flags(a, 1, a - 1, size));
    return a - 1;
}

static u64 alu_and(u64 a, u64 b, u32 size, u64 *flags)
{
    alu_set(flags, FLAGS_ARITH, op_szp(a & b, size));
    return a & b;
}

static u64 alu_or(u64 a, u64 b, u32 size, u64 *flags)
{
    alu_set(flags, FLAGS_ARITH, op_szp(a | b, size));
    return a | b;
}

static u64 alu_xor(u64 a, u64 b, u32 size, u64 *flags)
{
    alu_set(flags, FLAGS_ARITH, op_szp(a ^ b, size));
    return a ^ b;
}

static u64 alu_not(u64 a, u64 b, u32 size, u64 *flags)
{
    return ~a;
}

/* Two operands; a source in memory is read before the destination is looked at. */
#define ALU(name)                                                                                  \
    void op_##name(struct x86_cpu *c, const struct x86_insn *in)                                   \
    {                                                                                              \
        op_update(c, in, op_get(c, in, 1), alu_##name);                                            \
    }
#define ALU1(name)                                                                                 \
    void op_##name(struct x86_cpu *c, const struct x86_insn *in)                                   \
    {                                                                                              \
        op_update(c, in, 0, alu_##name);                                                           \
    }
ALU(add)
ALU(adc)
ALU(sub)
ALU(sbb)
ALU(and)
ALU(or)
ALU(xor)
ALU1(neg)
ALU1(not )
ALU1(inc)
ALU1(dec)

void op_cmp(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 b = op_get(c, in, 1), a = op_get(c, in, 0);

    alu_sub(a, b, in->opd[0].size, &c->s.rflags);
}

void op_test(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 b = op_get(c, in, 1), a = op_get(c, in, 0);

    alu_and(a, b, in->opd[0].size, &c->s.rflags);
}

void op_xadd(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 old = op_update(c, in, op_get(c, in, 1), alu_add);

    if (in->opd[0].kind == OPD_MEM) {
        op_put(c, in, 1, old);
    } else { /* both may be the same register: the sum stays */
        u64 sum = op_get(c, in, 0);

        op_put(c, in, 1, old);
        op_put(c, in, 0, sum);
    }
}

void op_cmpxchg(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->opd[0].size;
    u64 a = gpr_get(c, RAX, size), want = op_get(c, in, 1), old = 0;

    if (in->opd[0].kind == OPD_MEM) {
        x86_cmpxchg(c, op_linear(c, in, size, true), size, &old, &a, &want);
    } else {
        old = op_get(c, in, 0);
        if (old == a)
            op_put(c, in, 0, want);
    }
    alu_sub(a, old, size, &c->s.rflags);
    if (old != a)
        gpr_put(c, RAX, size, old);
}

void op_cmpxchg8b(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 *g = c->s.gpr;
    u64 expect = (u32)g[RAX] | g[RDX] << 32, want = (u32)g[RBX] | g[RCX] << 32, old = 0;
    bool same = x86_cmpxchg(c, op_linear(c, in, 8, true), 8, &old, &expect, &want);

    op_flags(c, FLAG_ZF, same ? FLAG_ZF : 0);
    if (!same) {
        g[RAX] = (u32)old;
        g[RDX] = old >> 32;
    }
}

void op_cmpxchg16b(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 *g = c->s.gpr;
    u64 expect[2] = { g[RAX], g[RDX] }, want[2] = { g[RBX], g[RCX] }, old[2] = { 0 };
    u64 lin = op_linear(c, in, 16, true);
    bool same;

    if (lin & 15)
        x86_raise_code(c, VEC_GP, 0);
    same = x86_cmpxchg(c, lin, 16, old, expect, want);
    op_flags(c, FLAG_ZF, same ? FLAG_ZF : 0);
    if (!same) {
        g[RAX] = old[0];
        g[RDX] = old[1];
    }
}

/* ADCX and ADOX: an addition whose carry is CF, or OF; no other flag. */
static u64 alu_add_carry(u64 a, u64 b, u32 size, u64 *flags, u32 flag)
{
    u64 r = a + b + (*flags & flag ? 1 : 0);

    alu_set(flags, flag, alu_add_flags(a, b, r, size) & FLAG_CF ? flag : 0);
    return r;
}

static u64 alu_adcx(u64 a, u64 b, u32 size, u64 *flags)
{
    return alu_add_carry(a, b, size, flags, FLAG_CF);
}

static u64 alu_adox(u64 a, u64 b, u32 size, u64 *flags)
{
    return alu_add_carry(a, b, size, flags, FLAG_OF);
}
ALU(adcx)
ALU(adox)
