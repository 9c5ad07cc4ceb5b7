/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single bits, counts and fields: BT and kin, BSF BSR TZCNT LZCNT POPCNT, BMI1, BMI2, CRC32.
 * Undefined flags of BSF and BSR are the host's; BT leaves them; BMI clears them.
 */
#include "engine/interpret/operand.h"

/* ---- BT BTS BTR BTC ---- */

static u64 bit_flag(u64 flags, u64 a, u64 bit)
{
    return (flags & ~(u64)FLAG_CF) | (a >> bit & 1);
}

static u64 bit_set(u64 a, u64 bit, u32 size, u64 *flags)
{
    *flags = bit_flag(*flags, a, bit);
    return a | 1ull << bit;
}

static u64 bit_reset(u64 a, u64 bit, u32 size, u64 *flags)
{
    *flags = bit_flag(*flags, a, bit);
    return a & ~(1ull << bit);
}

static u64 bit_complement(u64 a, u64 bit, u32 size, u64 *flags)
{
    *flags = bit_flag(*flags, a, bit);
    return a ^ 1ull << bit;
}

/* A bit number in a register reaches beyond the operand: a string of bits in memory. */
static u64 bit_linear(struct x86_cpu *c, const struct x86_insn *in, u64 off, bool write)
{
    u32 size = in->opd[0].size;
    u64 at = op_address(c, in);

    if (in->opd[1].kind != OPD_IMM)
        at += (u64)((op_extend(off, size) >> (size == 2 ? 4 : size == 4 ? 5 : 6)) * (i64)size);
    return x86_linear(c, in->seg, at & op_mask(in->asize), size, write);
}

static void bit_change(struct x86_cpu *c, const struct x86_insn *in, op_change *fn)
{
    u32 size = in->opd[0].size;
    u64 off = op_get(c, in, 1), bit = off & (8 * size - 1);

    if (in->opd[0].kind == OPD_MEM)
        op_update_at(c, in, bit_linear(c, in, off, true), size, bit, fn);
    else
        op_update(c, in, bit, fn);
}

void op_bt(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 size = in->opd[0].size;
    u64 off = op_get(c, in, 1), a;

    a = in->opd[0].kind == OPD_MEM ? x86_read(c, bit_linear(c, in, off, false), size, ACCESS_CPL)
                                   : op_get(c, in, 0);
    c->s.rflags = bit_flag(c->s.rflags, a, off & (8 * size - 1));
}

void op_bts(struct x86_cpu *c, const struct x86_insn *in)
{
    bit_change(c, in, bit_set);
}

void op_btr(struct x86_cpu *c, const struct x86_insn *in)
{
    bit_change(c, in, bit_reset);
}

void op_btc(struct x86_cpu *c, const struct x86_insn *in)
{
    bit_change(c, in, bit_complement);
}

/* ---- scans: the host's own, for its undefined flags and what it does with zero ---- */

#define SCAN_SIZE(name, modifier)                                                                  \
    __asm__(OP_FLAGGED(#name " %" modifier "[b], %" modifier "[v]")                                \
            : [v] "+r"(v), [f] "+r"(f)                                                             \
            : [b] "r"(b)                                                                           \
            : "cc", "memory")
#define SCAN(name)                                                                                 \
    void op_##name(struct x86_cpu *c, const struct x86_insn *in)                                   \
    {                                                                                              \
        u64 b = op_get(c, in, 1), v = c->s.gpr[in->opd[0].reg];                                    \
        u64 f = (c->s.rflags & FLAGS_ARITH) | FLAG_ONE;                                            \
                                                                                                   \
        if (in->opd[0].size == 2)                                                                  \
            SCAN_SIZE(name, "w");                                                                  \
        else if (in->opd[0].size == 4)                                                             \
            SCAN_SIZE(name, "k");                                                                  \
        else                                                                                       \
            SCAN_SIZE(name, "q");                                                                  \
        c->s.gpr[in->opd[0].reg] = v;                                                              \
        op_flags(c, FLAGS_ARITH, f);                                                               \
    }
SCAN(bsf)
SCAN(bsr)

static void bits_count(struct x86_cpu *c, const struct x86_insn *in, u64 src, u64 count)
{
    op_put(c, in, 0, count);
    op_flags(c, FLAGS_ARITH, (src ? 0 : FLAG_CF) | (count ? 0 : FLAG_ZF));
}

void op_tzcnt(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1);

    bits_count(c, in, v, v ? (u64)__builtin_ctzll(v) : 8 * in->opd[0].size);
}

void op_lzcnt(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1);
    u32 bits = 8 * in->opd[0].size;

    bits_count(c, in, v, v ? (u64)__builtin_clzll(v) - (64 - bits) : bits);
}

void op_popcnt(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1);

    op_put(c, in, 0, (u64)__builtin_popcountll(v));
    op_flags(c, FLAGS_ARITH, v ? 0 : FLAG_ZF);
}

/* ---- BMI1 ---- */

/* A result with SF and ZF of its own, and CF. */
static void bmi_result(struct x86_cpu *c, const struct x86_insn *in, u64 r, bool carry)
{
    u32 szp = op_szp(r, in->opd[0].size);

    op_put(c, in, 0, r);
    op_flags(c, FLAGS_ARITH, (szp & (FLAG_SF | FLAG_ZF)) | (carry ? FLAG_CF : 0));
}

void op_andn(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 b = op_get(c, in, 2);

    bmi_result(c, in, ~op_get(c, in, 1) & b, false);
}

void op_bextr(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1), how = op_get(c, in, 2);
    u32 start = how & 0xff, len = how >> 8 & 0xff, bits = 8 * in->opd[0].size;
    u64 r = start < bits ? v >> start : 0;

    r &= len < 64 ? (1ull << len) - 1 : ~0ull;
    op_put(c, in, 0, r);
    op_flags(c, FLAGS_ARITH, r ? 0 : FLAG_ZF);
}

void op_blsr(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1);

    bmi_result(c, in, v & (v - 1), !v);
}

void op_blsmsk(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1);

    bmi_result(c, in, v ^ (v - 1), !v);
}

void op_blsi(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1);

    bmi_result(c, in, v & -v, v);
}

/* ---- BMI2 ---- */

void op_bzhi(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1);
    u32 n = op_get(c, in, 2) & 0xff, bits = 8 * in->opd[0].size;

    bmi_result(c, in, n < bits ? v & ((1ull << n) - 1) : v, n > bits - 1);
}

void op_pdep(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1), mask = op_get(c, in, 2), r = 0;

    for (; mask; mask &= mask - 1, v >>= 1)
        r |= v & 1 ? mask & -mask : 0;
    op_put(c, in, 0, r);
}

void op_pext(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1), mask = op_get(c, in, 2), r = 0;

    for (u32 n = 0; mask; mask &= mask - 1, n++)
        r |= v & mask & -mask ? 1ull << n : 0;
    op_put(c, in, 0, r);
}

/* ---- CRC32, polynomial 11EDC6F41h ---- */

void op_crc32(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 v = op_get(c, in, 1);
    u32 crc = (u32)op_get(c, in, 0);

    for (u32 i = 0; i < in->opd[1].size; i++, v >>= 8)
        __asm__("crc32b %1, %0" : "+r"(crc) : "q"((u8)v));
    op_put(c, in, 0, crc);
}
