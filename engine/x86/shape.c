/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding by example: an instruction whose bytes are those of one seen before, but for its
 * displacement and immediate, is the same one with those two filled in.  Left to the real
 * decoder: operands and flags that depend on an immediate.
 */
#include "engine/x86/shape.h"

enum { SHAPE_PREFIXES = 4 };

static bool shape_bit(const u64 map[4], u8 op)
{
    return map[op / 64] >> op % 64 & 1;
}

static bool shape_is_prefix(u8 b)
{
    static const u64 map[4] = { 0x4040404000000000, 0x000000f000000000, 0, 0x000d000000000000 };

    return shape_bit(map, b);
}

/* Opcodes with a ModRM byte; a mistake here only makes a shape hard to find again. */
static bool shape_has_modrm(u8 op, bool two)
{
    static const u64 one[4] = { 0x0f0f0f0f0f0f0f0f, 0x00000a0c00000000, 0x000000000000ffff,
                                0xc0c00000ff0f00f3 };
    static const u64 none[4] = { 0x00ff000000004be0, 0x0080000000000000, 0x000007070000ffff,
                                 0x000000000000ff00 };

    return two ? !shape_bit(none, op) : shape_bit(one, op);
}

/* How many bytes there are before displacement and immediate. */
static u32 shape_bytes(const u8 *b, enum x86_mode mode)
{
    u32 at = 0;
    bool modrm;

    while (at < SHAPE_PREFIXES && shape_is_prefix(b[at]))
        at++;
    if (mode == X86_MODE64 && (b[at] & 0xf0) == 0x40)
        at++;
    if (b[at] == 0x0f) {
        modrm = shape_has_modrm(b[at + 1], true);
        at += b[at + 1] == 0x38 || b[at + 1] == 0x3a ? 3 : 2;
    } else if (mode == X86_MODE64 && (b[at] == 0xc4 || b[at] == 0xc5)) {
        modrm = true;
        at += b[at] == 0xc4 ? 4 : 3;
    } else {
        modrm = shape_has_modrm(b[at++], false);
    }
    if (modrm)
        at += b[at] < 0xc0 && (b[at] & 7) == 4 ? 2 : 1;
    return at;
}

static void shape_mask(u64 mask[2], u32 from, u32 to, bool set)
{
    for (u32 i = from; i < to; i++) {
        u64 byte = 0xffull << i % 8 * 8;

        mask[i / 8] = set ? mask[i / 8] | byte : mask[i / 8] & ~byte;
    }
}

/* The bytes as two numbers, what is not there zero. */
static void shape_load(u64 b[2], const u8 *p, u32 n)
{
    if (n >= 16) {
        __builtin_memcpy(b, p, 16);
        return;
    }
    b[0] = b[1] = 0;
    for (u32 i = 0; i < n; i++)
        b[i / 8] |= (u64)p[i] << i % 8 * 8;
}

static u32 shape_place(const u64 b[2], enum x86_mode mode)
{
    u32 n = shape_bytes((const u8 *)b, mode);
    u64 lo = n < 8 ? b[0] & ~(~0ull << n * 8) : b[0];
    u64 hi = n > 8 ? b[1] & ~(~0ull << (n - 8) * 8) : 0;

    return (u32)((lo ^ hi << 13 ^ (u64)mode << 61) * 0x9e3779b97f4a7c15ull >> (64 - SHAPE_BITS));
}

static u64 shape_number(const u64 b[2], u32 at, u32 size, bool is_signed)
{
    u64 v = at < 8 ? b[0] >> at * 8 : 0;
    u32 out = 64 - size * 8;

    if (at >= 8)
        v = b[1] >> (at - 8) * 8;
    else if (at && at + size > 8)
        v |= b[1] << (8 - at) * 8;
    return is_signed ? (u64)((i64)(v << out) >> out) : v << out >> out;
}

static void shape_fill(const struct x86_shape *s, struct x86_insn *in, u64 b[2])
{
    u64 all[2] = { 0, 0 };

    *in = s->in;
    shape_mask(all, 0, in->len, true);
    b[0] &= all[0];
    b[1] &= all[1];
    __builtin_memcpy(in->bytes, b, sizeof(in->bytes));
    if (in->at_disp != 0xff)
        in->disp = (i64)shape_number(b, in->at_disp, in->disp_size, true);
    if (in->at_imm != 0xff)
        in->imm = shape_number(b, in->at_imm, in->imm_size, s->imm_signed);
}

bool x86_shape_find(const struct x86_shapes *t, struct x86_insn *in, const u8 *p, u32 n,
                    enum x86_mode mode)
{
    const struct x86_shape *s;
    u64 b[2];

    shape_load(b, p, n);
    s = &t->at[shape_place(b, mode)];
    if (!s->in.len || s->in.len > n || s->in.mode != mode || (b[0] & s->mask[0]) != s->value[0] ||
        (b[1] & s->mask[1]) != s->value[1])
        return false;
    shape_fill(s, in, b);
    return true;
}

/* Does the immediate take part in what the instruction is? */
static bool shape_by_immediate(const struct x86_insn *in)
{
    for (u32 i = 0; i < in->nopd; i++)
        if (in->opd[i].at == AT_IS4 || in->opd[i].kind == OPD_FAR)
            return true;
    switch (in->op) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_RCL:
    case ZYDIS_MNEMONIC_RCR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
    case ZYDIS_MNEMONIC_ENTER:
        return true;
    default:
        return in->flags & INSN_VECTOR;
    }
}

static bool shape_same(const struct x86_insn *a, const struct x86_insn *b)
{
    return a->disp == b->disp && a->imm == b->imm;
}

void x86_shape_add(struct x86_shapes *t, const struct x86_insn *in)
{
    struct x86_shape s = { .in = *in };
    struct x86_insn again;
    u64 b[2];

    shape_load(b, in->bytes, in->len);
    shape_mask(s.mask, 0, in->len, true);
    if (in->at_disp != 0xff)
        shape_mask(s.mask, in->at_disp, in->at_disp + in->disp_size, false);
    if (in->at_imm != 0xff && in->imm_size <= 8 && !shape_by_immediate(in)) {
        u32 last = in->at_imm + in->imm_size - 1u;

        shape_mask(s.mask, in->at_imm, last + 1, false);
        /* how it is extended shows only where the top bit is set */
        if (in->imm_size < 8 && !(in->bytes[last] & 0x80))
            s.mask[last / 8] |= 0x80ull << last % 8 * 8;
        s.imm_signed = in->imm_size < 8 && in->imm >> 63;
    }
    s.value[0] = b[0] & s.mask[0];
    s.value[1] = b[1] & s.mask[1];
    shape_fill(&s, &again, b);
    if (in->imm2 || !shape_same(&again, in))
        return;
    t->at[shape_place(b, (enum x86_mode)in->mode)] = s;
}
