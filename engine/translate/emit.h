/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_TRANSLATE_EMIT_H
#define ENGINE_TRANSLATE_EMIT_H
#include "base/types.h"
#include "engine/x86/state.h"
#include <string.h>

/*
 * Writes x86-64 host instructions (Intel SDM volume 2).  The emitter never writes past
 * `end`: near it each instruction sets `full` and begins at the same place again, and the
 * caller throws the work away.  Addresses are those of the writable mapping; all that is
 * encoded is relative, so it runs where the other one is.  Code that is written from `base`
 * on may be for a place `delta` bytes further on.
 */
struct emit {
    u8 *p, *end;
    const u8 *base;
    i64 delta;
    bool full;
    u32 *far; /* places from `base` on that hold distances to code outside; or NULL */
    u32 nfar; /* FARS + 1: more than there is room for */
};
enum { FARS = 400 };

/* A host memory operand.  base X_NONE with index X_NONE: absolute disp. */
enum { X_NONE = -1 };
struct xmem {
    i8 base, index;
    u8 scale; /* 0 1 2 3 */
    bool gs;
    i32 disp;
};

/* Opcode words: bytes as written (0x0fb6, 0x0f38f0), and how. */
enum {
    X_W = 1 << 24,    /* REX.W */
    X_66 = 1 << 25,   /* operand size prefix */
    X_BYTE = 1 << 26, /* registers are byte registers: REX for spl bpl sil dil */
    X_LOCK = 1 << 27,
    X_ADDR32 = 1 << 28,
};

enum { X_ROOM = 64 }; /* more than an instruction and the single bytes behind it take */

/* Before each instruction. */
static inline void x_begin(struct emit *e)
{
    if (__builtin_expect(e->end - e->p < X_ROOM, 0)) {
        e->full = true;
        e->p = e->end - X_ROOM;
    }
}
/* Bytes of an instruction that has begun. */
static inline void x_u8(struct emit *e, u8 v)
{
    *e->p++ = v;
}
static inline void x_u16(struct emit *e, u16 v)
{
    __builtin_memcpy(e->p, &v, 2);
    e->p += 2;
}
static inline void x_u32(struct emit *e, u32 v)
{
    __builtin_memcpy(e->p, &v, 4);
    e->p += 4;
}
static inline void x_bytes(struct emit *e, const void *from, u32 n)
{
    x_begin(e);
    if ((size_t)(e->end - e->p) >= n) {
        __builtin_memcpy(e->p, from, n);
        e->p += n;
    } else {
        e->full = true;
    }
}
static inline void x_u64(struct emit *e, u64 v)
{
    __builtin_memcpy(e->p, &v, 8);
    e->p += 8;
}

/* ModRM, SIB and displacement of a memory operand. */
static inline void x_modrm_mem(struct emit *e, u32 reg, const struct xmem *m)
{
    u32 r = (reg & 7) << 3, mod;

    if (m->base == X_NONE) {
        x_u8(e, r | 4);
        x_u8(e, m->scale << 6 | (m->index == X_NONE ? 4 : m->index & 7) << 3 | 5);
        x_u32(e, m->disp);
        return;
    }
    mod = !m->disp && (m->base & 7) != 5 ? 0 : m->disp == (i8)m->disp ? 1 : 2;
    if (m->index != X_NONE || (m->base & 7) == 4) {
        x_u8(e, mod << 6 | r | 4);
        x_u8(e, m->scale << 6 | (m->index == X_NONE ? 4 : m->index & 7) << 3 | (m->base & 7));
    } else {
        x_u8(e, mod << 6 | r | (m->base & 7));
    }
    if (mod == 1)
        x_u8(e, (u8)m->disp);
    else if (mod == 2)
        x_u32(e, m->disp);
}
static inline u8 x_rex_mem(u32 reg, const struct xmem *m)
{
    return (reg & 8 ? 4 : 0) | (m->index != X_NONE && m->index & 8 ? 2 : 0) |
           (m->base != X_NONE && m->base & 8 ? 1 : 0);
}
static inline void x_opcode(struct emit *e, u32 op, u8 rex)
{
    if (rex)
        x_u8(e, 0x40 | rex);
    if (op & 0xff0000)
        x_u8(e, op >> 16 & 0xff);
    if (op & 0xffff00)
        x_u8(e, op >> 8 & 0xff);
    x_u8(e, op & 0xff);
}

/* op reg, mem or op mem, reg; reg may be an opcode extension. */
static inline void x_mem(struct emit *e, u32 op, u32 reg, const struct xmem *m)
{
    u8 rex = x_rex_mem(reg, m) | (op & X_W ? 8 : 0);

    x_begin(e);
    if (m->gs)
        x_u8(e, 0x65);
    if (op & X_LOCK)
        x_u8(e, 0xf0);
    if (op & X_66)
        x_u8(e, 0x66);
    if (op & X_ADDR32)
        x_u8(e, 0x67);
    if (op & X_BYTE && reg >= 4)
        rex |= 0x40;
    x_opcode(e, op, rex);
    x_modrm_mem(e, reg, m);
}
/* op with reg in ModRM.reg and rm in ModRM.rm. */
static inline void x_reg(struct emit *e, u32 op, u32 reg, u32 rm)
{
    u8 rex = (reg & 8 ? 4 : 0) | (rm & 8 ? 1 : 0) | (op & X_W ? 8 : 0);

    x_begin(e);
    if (op & X_66)
        x_u8(e, 0x66);
    if (op & X_BYTE && (reg >= 4 || rm >= 4))
        rex |= 0x40;
    x_opcode(e, op, rex);
    x_u8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline struct xmem x_at(int base, i32 disp)
{
    return (struct xmem){ .base = (i8)base, .index = X_NONE, .disp = disp };
}
static inline struct xmem x_gs(i32 disp)
{
    return (struct xmem){ .base = X_NONE, .index = X_NONE, .gs = true, .disp = disp };
}
static inline struct xmem x_gs_at(int base, i32 disp)
{
    return (struct xmem){ .base = (i8)base, .index = X_NONE, .gs = true, .disp = disp };
}
static inline void x_gs_op(struct emit *e, u32 op, u32 reg, size_t at)
{
    x_begin(e);
    x_u8(e, 0x65);
    if (op & X_LOCK)
        x_u8(e, 0xf0);
    if (op & X_66)
        x_u8(e, 0x66);
    x_opcode(e, op, (reg & 8 ? 4 : 0) | (op & X_W ? 8 : 0) | (op & X_BYTE && reg >= 4 ? 0x40 : 0));
    x_u16(e, (u16)(0x2504 | (reg & 7) << 3));
    x_u32(e, (u32)at);
}

/* Moves of 64 and 32 bits. */
static inline void x_mov(struct emit *e, u32 to, u32 from)
{
    x_reg(e, 0x89 | X_W, from, to);
}
static inline void x_mov32(struct emit *e, u32 to, u32 from)
{
    x_reg(e, 0x89, from, to);
}
static inline void x_load(struct emit *e, u32 to, size_t at) /* from the vCPU block */
{
    x_gs_op(e, 0x8b | X_W, to, at);
}
static inline void x_store(struct emit *e, size_t at, u32 from)
{
    x_gs_op(e, 0x89 | X_W, from, at);
}
static inline void x_lea(struct emit *e, u32 to, struct xmem m)
{
    x_mem(e, 0x8d | X_W, to, &m);
}
static inline void x_lea32(struct emit *e, u32 to, struct xmem m)
{
    x_mem(e, 0x8d, to, &m);
}
static inline void x_mov_imm(struct emit *e, u32 to, u64 v)
{
    x_begin(e);
    if (v <= 0xffffffff) {
        x_opcode(e, 0xb8 | (to & 7), to & 8 ? 1 : 0);
        x_u32(e, (u32)v);
    } else if ((i64)v == (i32)v) {
        x_reg(e, 0xc7 | X_W, 0, to);
        x_u32(e, (u32)v);
    } else {
        x_opcode(e, 0xb8 | (to & 7), 8 | (to & 8 ? 1 : 0));
        x_u64(e, v);
    }
}
/* Group 1 with an immediate: n 0 add 1 or 4 and 5 sub 6 xor 7 cmp; w: X_W or 0. */
static inline void x_alu_imm(struct emit *e, u32 n, u32 w, u32 reg, i32 v)
{
    x_reg(e, (v == (i8)v ? 0x83 : 0x81) | w, n, reg);
    if (v == (i8)v)
        x_u8(e, (u8)v);
    else
        x_u32(e, (u32)v);
}
static inline void x_shift(struct emit *e, u32 n, u32 w, u32 reg, u8 by) /* 4 shl 5 shr 7 sar */
{
    x_reg(e, 0xc1 | w, n, reg);
    x_u8(e, by);
}

/* Branches: 4-byte displacements that are filled in later. */
enum {
    X_JMP = 0xe9,
    X_CALL = 0xe8,
    X_JB = 0x0f82,
    X_JAE = 0x0f83,
    X_JE = 0x0f84,
    X_JNE = 0x0f85,
    X_JA = 0x0f87,
    X_JS = 0x0f88,
    X_JNS = 0x0f89,
    X_JG = 0x0f8f
};
static inline u8 *x_jump(struct emit *e, u32 op)
{
    x_begin(e);
    x_opcode(e, op, 0);
    x_u32(e, 0);
    return e->p - 4;
}
static inline void x_patch(u8 *rel, const u8 *to) /* before the code is run */
{
    i32 d = (i32)(to - (rel + 4));

    memcpy(rel, &d, 4);
}
static inline void x_here(struct emit *e, u8 *rel)
{
    if (!e->full)
        x_patch(rel, e->p);
}
static inline void x_far(struct emit *e, u32 place)
{
    if (e->far && e->nfar < FARS)
        e->far[e->nfar] = place;
    e->nfar += e->nfar <= FARS;
}
static inline void x_jump_to(struct emit *e, u32 op, const u8 *to)
{
    u8 *rel = x_jump(e, op);

    if (!e->full)
        x_patch(rel, to >= e->base && to < e->end ? to : to - e->delta);
    if (to < e->base || to >= e->end)
        x_far(e, (u32)(rel - e->base));
}
#endif
