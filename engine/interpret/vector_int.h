/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_INTERPRET_VECTOR_INT_H
#define ENGINE_INTERPRET_VECTOR_INT_H
#include "base/bytes.h"
#include "engine/interpret/operand.h"

/* Where things are in struct x86_state's xsave: SDM volume 1, 10.5.1 and 13.4. */
enum {
    AREA_FCW = 0,
    AREA_FSW = 2,
    AREA_FTW = 4, /* a bit a physical register: not empty */
    AREA_FOP = 6, /* and FIP, FDP: always zero here, see vector.c */
    AREA_MXCSR = 24,
    AREA_MXCSR_MASK = 28,
    AREA_ST = 32,
    AREA_XMM = 160,
    AREA_LEGACY_END = 416,
    AREA_HEADER = 512,
    AREA_YMM = 576,
    AREA_YMM_END = 832,
};
enum { FSW_ES = 1 << 7, FSW_BUSY = 1 << 15, FSW_EXCEPTIONS = 0x3f, MXCSR_KNOWN = 0xffff };

static inline u16 vector_fsw(const struct x86_cpu *c)
{
    return le16(c->s.xsave + AREA_FSW);
}
/* A 128- or 256-bit register of the guest. */
static inline void vector_get(const struct x86_cpu *c, u8 reg, u8 v[32])
{
    memcpy(v, c->s.xsave + AREA_XMM + 16 * reg, 16);
    memcpy(v + 16, c->s.xsave + AREA_YMM + 16 * reg, 16);
}
static inline void vector_put(struct x86_cpu *c, u8 reg, const u8 v[32])
{
    memcpy(c->s.xsave + AREA_XMM + 16 * reg, v, 16);
    memcpy(c->s.xsave + AREA_YMM + 16 * reg, v + 16, 16);
}

/* What vector_enter loads and stores; its assembly knows the offsets. */
struct vector_frame {
    u64 gpr[16];           /* 0; RSP's does not count */
    u64 flags;             /* 128 */
    const void *code;      /* 136 */
    const u8 *from;        /* 144: XSAVE area */
    u8 *to;                /* 152 */
    u32 mxcsr, components; /* 160, 164 */
};
/* Calls code with these registers. */
void vector_enter(struct vector_frame *f);

/* Raises #MF when an x87 exception waits and the instruction is one that looks. */
void vector_pending(struct x86_cpu *c);
/* Runs the instruction on its registers with `memory` (64-aligned) as its memory operand;
 * raises #XM; the guest's registers change at vector_commit. */
void vector_run(struct x86_cpu *c, const struct x86_insn *in, void *memory);
void vector_commit(struct x86_cpu *c, const struct x86_insn *in);
/* The x87 stack becomes MMX registers: TOP is 0 and, with valid, nothing is empty.  What the
 * instruction itself does so; this is for one that faults. */
void vector_to_mmx(struct x86_cpu *c, bool valid);
/* 64 aligned bytes for a memory operand. */
u8 *vector_bounce(struct x86_cpu *c);
#endif
