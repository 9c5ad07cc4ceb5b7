/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_INTERPRET_OPERAND_H
#define ENGINE_INTERPRET_OPERAND_H
#include "base/bytes.h"
#include "engine/interpret/op.h"

/* What the operations of programs share: numbers by size, registers, places that change. */

static inline u64 op_mask(u32 size)
{
    return size >= 8 ? ~0ull : (1ull << 8 * size) - 1;
}
static inline u64 op_sign(u32 size)
{
    return 1ull << (8 * size - 1);
}
static inline i64 op_extend(u64 v, u32 size)
{
    u32 unused = 64 - 8 * size;

    return (i64)(v << unused) >> unused;
}

static inline u64 gpr_get(const struct x86_cpu *c, u8 reg, u32 size)
{
    return c->s.gpr[reg] & op_mask(size);
}
static inline void gpr_put(struct x86_cpu *c, u8 reg, u32 size, u64 v)
{
    u64 *r = &c->s.gpr[reg];

    if (size == 8)
        *r = v;
    else if (size == 4)
        *r = (u32)v;
    else
        *r = (*r & ~op_mask(size)) | (v & op_mask(size));
}

static inline u64 op_load(const void *p, u32 size)
{
    switch (size) {
    case 1:
        return __atomic_load_n((const u8 *)p, __ATOMIC_RELAXED);
    case 2:
        return le16(p);
    case 4:
        return le32(p);
    default:
        return le64(p);
    }
}
static inline void op_store(void *p, u32 size, u64 v)
{
    switch (size) {
    case 1:
        __atomic_store_n((u8 *)p, (u8)v, __ATOMIC_RELAXED);
        break;
    case 2:
        put_le16(p, (u16)v);
        break;
    case 4:
        put_le32(p, (u32)v);
        break;
    default:
        put_le64(p, v);
    }
}

/* The host's own instruction between the guest's flags, in %[f], before and after it.  The
 * stack moves past the red zone. */
#define OP_FLAGGED(text)                                                                           \
    "lea -128(%%rsp), %%rsp\n\tpush %[f]\n\tpopfq\n\t" text "\n\tpushfq\n\tpop %[f]\n\t"           \
    "lea 128(%%rsp), %%rsp"

/* Sets the flags of mask to those of val. */
static inline void op_flags(struct x86_cpu *c, u32 mask, u64 val)
{
    c->s.rflags = (c->s.rflags & ~(u64)mask) | (val & mask);
}
/* SF ZF PF of a result. */
static inline u32 op_szp(u64 r, u32 size)
{
    r &= op_mask(size);
    return (r & op_sign(size) ? FLAG_SF : 0) | (r ? 0 : FLAG_ZF) |
           (__builtin_parity((u8)r) ? 0 : FLAG_PF);
}
bool op_condition(u64 flags, u32 cc); /* cc: the low four bits of Jcc's opcode */

/* Linear address of the memory operand, checked for an access of n bytes. */
static inline u64 op_linear(struct x86_cpu *c, const struct x86_insn *in, u32 n, bool write)
{
    return x86_linear(c, in->seg, op_address(c, in), n, write);
}

/*
 * Operand 0 becomes fn(operand 0, b).  fn may be called again with another a: LOCK.  It
 * reads and changes *flags, which are the guest's when the store is done.  The answer is
 * what operand 0 was.
 */
typedef u64 op_change(u64 a, u64 b, u32 size, u64 *flags);
u64 op_update(struct x86_cpu *c, const struct x86_insn *in, u64 b, op_change *fn);
u64 op_update_at(struct x86_cpu *c, const struct x86_insn *in, u64 lin, u32 size, u64 b,
                 op_change *fn);
/* The value of a place in memory, and v in it: at once for other vCPUs. */
u64 op_swap(struct x86_cpu *c, u64 lin, u32 size, u64 v);
#endif
