/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SYSCALL and SYSRET between 64-bit code of rings 3 and 0 (Intel SDM volume 2B) without C.
 * What they make of CS, SS and the mode is the same each time: it is kept from the last one
 * that C did, as long as the registers that it follows from stay.
 */
#include "engine/translate/build.h"

#define AT(m) offsetof(struct vcpu, m)
enum { SYSRET_FLAGS = 0x3c7fd5 };

/* C does it unless the crossing is known. */
static void entry_known(struct build *t, u8 known)
{
    x_gs_op(&t->e, 0xf6, 0, AT(memo_known)); /* test byte */
    x_u8(&t->e, known);
    late_add(t, LATE_STEP, x_jump(&t->e, X_JE));
}

/* RFLAGS as one word in r10; destroys r11. */
static void entry_flags(struct build *t)
{
    struct emit *e = &t->e;

    x_gs_op(e, 0x0fb7, R10, AT(flags));
    x_mov32(e, R11, R10);
    x_shift(e, 5, 0, R10, 8);
    x_alu_imm(e, 4, 0, R10, FLAGS_ARITH & 0xff);
    x_alu_imm(e, 4, 0, R11, 1);
    x_shift(e, 4, 0, R11, 11);
    x_reg(e, 0x09, R11, R10);
    x_gs_op(e, 0x8b, R11, AT(c.s.rflags));
    x_alu_imm(e, 4, 0, R11, (i32) ~(u32)FLAGS_ARITH);
    x_reg(e, 0x09, R11, R10);
}

static void entry_copy(struct build *t, size_t to, size_t from)
{
    for (size_t i = 0; i < sizeof(struct x86_segment); i += 8) {
        x_load(&t->e, R11, from + i);
        x_store(&t->e, to + i, R11);
    }
}

/* Segments and mode, then to the pc in r10, by the jump cache of the slot. */
static void entry_cross(struct build *t, size_t crossing, u32 slot)
{
    struct emit *e = &t->e;
    i32 table = (i32)(AT(jumps) + jump_first(slot) * sizeof(struct jump));
    struct xmem pc = x_gs_at(R11, table + (i32)offsetof(struct jump, pc));
    struct xmem host = x_gs_at(R11, table + (i32)offsetof(struct jump, host));

    entry_copy(t, AT(c.s.seg[SEG_CS]), crossing + offsetof(struct crossing, cs));
    entry_copy(t, AT(c.s.seg[SEG_SS]), crossing + offsetof(struct crossing, ss));
    x_gs_op(e, 0x8b, R11, crossing + offsetof(struct crossing, mode));
    x_gs_op(e, 0x89, R11, AT(mode));
    x_gs_op(e, 0x3b, R11, AT(slot_mode) + 4 * slot);
    late_add(t, LATE_INDIRECT, x_jump(e, X_JNE));
    x_mov32(e, R11, R10);
    x_alu_imm(e, 4, 0, R11, (i32)jump_mask(slot));
    x_shift(e, 4, 0, R11, 4);
    x_mem(e, 0x3b | X_W, R10, &pc);
    late_add(t, LATE_INDIRECT, x_jump(e, X_JNE));
    if (slot == 0) {
        x_alu_imm(e, 4, X_W, R10, -PAGE);
        x_store(e, AT(page), R10);
    }
    x_mem(e, 0xff, 4, &host);
    t->ended = true;
}

static bool entry_syscall(struct build *t)
{
    struct emit *e = &t->e;

    flags_free(t, FLAGS_ARITH);
    entry_known(t, MEMO_ENTER);
    x_gs_op(e, 0xff | X_W, 0, AT(calls)); /* inc */
    entry_flags(t);
    x_store(e, gpr_at(R11), R10);
    x_load(e, R11, AT(c.s.fmask));
    x_reg(e, 0xf7 | X_W, 2, R11); /* not */
    x_reg(e, 0x21, R11, R10);     /* and */
    x_alu_imm(e, 1, 0, R10, FLAG_ONE);
    x_store(e, AT(c.s.rflags), R10);
    x_gs_op(e, 0xc7 | X_66, 0, AT(flags)); /* all masked */
    x_u16(e, 0);
    operand_load_pc(t, RCX, t->pc[t->i + 1]);
    x_load(e, R10, AT(c.s.lstar));
    entry_cross(t, AT(enter), 1);
    return true;
}

/* To the lower half only, and neither into single steps nor past an event that waits, nor to
 * user code that runs directly. */
static bool entry_sysret(struct build *t)
{
    struct emit *e = &t->e;

    flags_free(t, FLAGS_ARITH);
    entry_known(t, MEMO_LEAVE);
    x_load(e, R11, AT(c.s.cr3));
    x_gs_op(e, 0x3b | X_W, R11, AT(direct_cr3));
    late_add(t, LATE_STEP, x_jump(e, X_JE));
    x_gs_op(e, 0x83, 7, AT(c.pending));
    x_u8(e, 0);
    late_add(t, LATE_STEP, x_jump(e, X_JNE));
    x_gs_op(e, 0x80, 7, AT(c.window));
    x_u8(e, 0);
    late_add(t, LATE_STEP, x_jump(e, X_JNE));
    x_mov(e, R11, RCX);
    x_shift(e, 5, X_W, R11, 47);
    late_add(t, LATE_STEP, x_jump(e, X_JNE));
    x_load(e, R10, gpr_at(R11));
    x_reg(e, 0xf7, 0, R10); /* test */
    x_u32(e, FLAG_TF | FLAG_AC);
    late_add(t, LATE_STEP, x_jump(e, X_JNE));
    x_alu_imm(e, 4, 0, R10, SYSRET_FLAGS);
    x_alu_imm(e, 1, 0, R10, FLAG_ONE);
    x_store(e, AT(c.s.rflags), R10);
    x_mov32(e, R11, R10);
    x_alu_imm(e, 4, 0, R11, FLAGS_ARITH & 0xff);
    x_shift(e, 4, 0, R11, 8);
    x_shift(e, 5, 0, R10, 11);
    x_alu_imm(e, 4, 0, R10, 1);
    x_reg(e, 0x09, R10, R11);
    x_gs_op(e, 0x89 | X_66, R11, AT(flags));
    x_mov(e, R10, RCX);
    entry_cross(t, AT(leave), 0);
    return true;
}

bool entry_insn(struct build *t, const struct x86_insn *in)
{
    if (!is_code64(t) || t->g->options.check)
        return false;
    if (in->op == ZYDIS_MNEMONIC_SYSCALL)
        return t->mode & MODE_USER && entry_syscall(t);
    if (in->op == ZYDIS_MNEMONIC_SYSRET)
        return t->mode & MODE_RING0 && in->osize == 8 && entry_sysret(t);
    return false;
}
