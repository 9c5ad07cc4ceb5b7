/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decoding by example: an instruction whose bytes are those of one seen before, but for its
 * displacement and immediate, is the same one with those two filled in.  The most common ones
 * with a ModRM byte, in 64-bit code, are the same whatever registers they name.  Left to the
 * real decoder: operands and flags that depend on an immediate.
 */
#include "engine/x86/shape.h"
#include "engine/x86/state.h"

enum { SHAPE_PREFIXES = 4 };

/* The bytes of an instruction as two numbers. */
struct shape_bytes {
    u64 b[2];
    u64 key[2];     /* the same, but for registers */
    u32 n;          /* how many there are before displacement and immediate */
    bool registers; /* taken out of the key */
};

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

/*
 * Opcodes that mean the same with any registers: none of a byte, whose names depend on whether
 * there is a REX prefix.
 */
static bool shape_is_common(u8 op, bool two, u8 modrm)
{
    static const u64 one[4] = { 0x0a0a0a0a0a0a0a0a, 0x00000a0800000000, 0x0000000000002a2a,
                                0x80800000000a0082 };
    static const u64 more[4] = { 0x0000000080000000, 0x000000000000ffff, 0xc0c0800000000000, 0 };

    if (two && (op & 0xf7) == 0xb6 && modrm >= 0xc0)
        return false; /* MOVZX, MOVSX of a byte register */
    return shape_bit(two ? more : one, op);
}

/* ModRM's middle field is part of the opcode. */
static bool shape_is_group(u8 op, bool two)
{
    return two ? op == 0x1f : op == 0x81 || op == 0x83 || op >= 0xc0;
}

/* Takes registers out of the bytes; fields that say that there is none stay. */
static void shape_no_registers(u8 *k, u32 rex, u32 modrm, bool group)
{
    u8 mod = k[modrm] >> 6, rm = k[modrm] & 7;

    if (rex < modrm)
        k[rex] &= 0xf8;
    if (!group)
        k[modrm] &= 0xc7;
    if (mod == 3 || (rm != 4 && (mod || rm != 5)))
        k[modrm] &= 0xf8;
    else if (rm == 4)
        k[modrm + 1] = !mod && (k[modrm + 1] & 7) == 5 ? 5 : 0;
}

static void shape_parse(struct shape_bytes *s, enum x86_mode mode)
{
    bool modrm, two = false, three = false, plain = false;
    const u8 *b = (const u8 *)s->b;
    u32 at = 0, rex = 16;

    while (at < SHAPE_PREFIXES && shape_is_prefix(b[at]))
        at++;
    if (mode == X86_MODE64) /* with FS, GS or an operand size at most */
        plain = !at || (at == 1 && b[0] >= 0x64 && b[0] <= 0x66);
    if (mode == X86_MODE64 && (b[at] & 0xf0) == 0x40)
        rex = at++;
    if (b[at] == 0x0f) {
        two = true;
        modrm = shape_has_modrm(b[at + 1], true);
        three = b[at + 1] == 0x38 || b[at + 1] == 0x3a;
        at += three ? 3 : 2;
    } else if (mode == X86_MODE64 && (b[at] == 0xc4 || b[at] == 0xc5)) {
        modrm = true;
        plain = false;
        at += b[at] == 0xc4 ? 4 : 3;
    } else {
        modrm = shape_has_modrm(b[at++], false);
    }
    s->key[0] = s->b[0];
    s->key[1] = s->b[1];
    s->registers = plain && !three && shape_is_common(b[at - 1], two, b[at]);
    if (s->registers)
        shape_no_registers((u8 *)s->key, rex, at, shape_is_group(b[at - 1], two));
    if (modrm)
        at += b[at] < 0xc0 && (b[at] & 7) == 4 ? 2 : 1;
    s->n = at;
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

static u32 shape_place(const struct shape_bytes *s, enum x86_mode mode)
{
    u64 lo = s->n < 8 ? s->key[0] & ~(~0ull << s->n * 8) : s->key[0];
    u64 hi = s->n > 8 ? s->key[1] & ~(~0ull << (s->n - 8) * 8) : 0;

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

static void shape_memory(struct x86_insn *in, u8 modrm, u8 rex)
{
    bool no_base = modrm < 0x40;

    if (in->at_sib != 0xff) {
        u8 sib = in->bytes[in->at_sib], index = (sib >> 3 & 7) | (rex & 2) << 2;

        in->base = no_base && (sib & 7) == 5 ? X86_NOREG : (sib & 7) | (rex & 1) << 3;
        in->index = index == RSP ? X86_NOREG : index;
        in->scale = index == RSP ? 1 : (u8)(1 << (sib >> 6));
    } else {
        in->base = no_base && (modrm & 7) == 5 ? X86_RIP : (modrm & 7) | (rex & 1) << 3;
    }
    if (!(in->flags & INSN_SEGMENT))
        in->seg = in->base == RSP || in->base == RBP ? SEG_SS : SEG_DS;
}

static void shape_register(struct x86_insn *in, const struct x86_operand *o)
{
    bool part = o->access & OPD_WRITE && (o->size < 4 || o->access & OPD_COND);
    u16 bit = (u16)(1u << (o->reg & 15));

    in->gpr_write |= o->access & OPD_WRITE ? bit : 0;
    in->gpr_read |= part || o->access & OPD_READ ? bit : 0;
}

/* The registers that ModRM, SIB and REX name; what is read and written. */
static void shape_registers(struct x86_insn *in)
{
    u8 rex = in->rex ? in->bytes[in->nprefix] : 0, modrm = in->bytes[in->at_modrm];

    in->rex = rex;
    in->modrm = modrm;
    in->gpr_read = in->gpr_write = 0;
    if (in->mem != X86_NOREG) {
        shape_memory(in, modrm, rex);
        in->gpr_read |=
            (u16)((in->base < 16 ? 1u << in->base : 0) | (in->index < 16 ? 1u << in->index : 0));
    }
    for (u32 i = 0; i < in->nopd; i++) {
        struct x86_operand *o = &in->opd[i];

        if (o->kind != OPD_GPR)
            continue;
        if (o->at == AT_MODRM_REG)
            o->reg = (modrm >> 3 & 7) | (rex & 4) << 1;
        else if (o->at == AT_MODRM_RM)
            o->reg = (modrm & 7) | (rex & 1) << 3;
        shape_register(in, o);
    }
}

static void shape_fill(const struct x86_shape *s, struct x86_insn *in, const u64 raw[2])
{
    u64 b[2] = { raw[0] & s->all[0], raw[1] & s->all[1] };

    *in = s->in;
    __builtin_memcpy(in->bytes, b, sizeof(in->bytes));
    if (in->at_disp != 0xff)
        in->disp = (i64)shape_number(b, in->at_disp, in->disp_size, true);
    if (in->at_imm != 0xff)
        in->imm = shape_number(b, in->at_imm, in->imm_size, s->imm_signed);
    if (s->registers)
        shape_registers(in);
}

static bool shape_is(const struct x86_shape *s, const struct shape_bytes *of)
{
    const u64 *b = s->registers ? of->key : of->b;

    return s->registers <= of->registers && (b[0] & s->mask[0]) == s->value[0] &&
           (b[1] & s->mask[1]) == s->value[1];
}

bool x86_shape_find(const struct x86_shapes *t, struct x86_insn *in, const u8 *p, u32 n,
                    enum x86_mode mode)
{
    const struct x86_shape *s;
    struct shape_bytes b;

    shape_load(b.b, p, n);
    shape_parse(&b, mode);
    s = &t->at[shape_place(&b, mode)];
    if (!s->in.len || s->in.len > n || s->in.mode != mode || !shape_is(s, &b))
        return false;
    shape_fill(s, in, b.b);
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

/* Are all that ModRM names general registers or memory? */
static bool shape_is_general(const struct x86_insn *in)
{
    for (u32 i = 0; i < in->nopd; i++)
        if (in->opd[i].at != AT_NONE && in->opd[i].kind != OPD_GPR && in->opd[i].kind != OPD_MEM &&
            in->opd[i].kind != OPD_AGEN)
            return false;
    return true;
}

/* Is what it was made of what comes out? */
static bool shape_try(struct x86_shape *s, const struct shape_bytes *b, bool registers)
{
    const u64 *from = registers ? b->key : b->b;
    struct x86_insn again;

    s->registers = registers;
    s->value[0] = from[0] & s->mask[0];
    s->value[1] = from[1] & s->mask[1];
    shape_fill(s, &again, b->b);
    return !__builtin_memcmp(&again, &s->in, sizeof(again));
}

void x86_shape_add(struct x86_shapes *t, const struct x86_insn *in)
{
    struct x86_shape s = { .in = *in };
    struct shape_bytes b;

    shape_load(b.b, in->bytes, in->len);
    shape_parse(&b, (enum x86_mode)in->mode);
    shape_mask(s.all, 0, in->len, true);
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
    if (in->imm2)
        return;
    if ((b.registers && shape_is_general(in) && shape_try(&s, &b, true)) ||
        shape_try(&s, &b, false))
        t->at[shape_place(&b, (enum x86_mode)in->mode)] = s;
}
