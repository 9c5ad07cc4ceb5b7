/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System instructions that kernels use all the time, in 64-bit code: interrupt flag, flags on
 * the stack, SMAP's override, SWAPGS, time stamps.  Each falls back to the interpreter where
 * anything but the common case is met.
 */
#include "engine/translate/build.h"

#define AT(m) offsetof(struct vcpu, m)

static void system_flag(struct build *t, bool set, u32 flag)
{
    x_gs_op(&t->e, 0x81, set ? 1 : 4, AT(c.s.rflags));
    x_u32(&t->e, set ? flag : ~flag);
}

static bool system_cli(struct build *t)
{
    flags_free(t, t->live[t->i]);
    system_flag(t, false, FLAG_IF);
    return true;
}

/* With nothing waiting the shadow behind STI cannot be seen. */
static bool system_sti(struct build *t)
{
    struct emit *e = &t->e;

    flags_free(t, FLAGS_ARITH);
    x_gs_op(e, 0x83, 7, AT(c.pending));
    x_u8(e, 0);
    late_add(t, LATE_STEP, x_jump(e, X_JNE));
    x_gs_op(e, 0x80, 7, AT(c.window));
    x_u8(e, 0);
    late_add(t, LATE_STEP, x_jump(e, X_JNE));
    system_flag(t, true, FLAG_IF);
    return true;
}

static bool system_pushf(struct build *t)
{
    struct emit *e = &t->e;
    struct access a = { .seg = SEG_SS,
                        .base = RSP,
                        .index = X86_NOREG,
                        .asize = 8,
                        .disp = -8,
                        .size = 8,
                        .write = true };
    struct xmem m;

    flags_free(t, FLAGS_ARITH);
    m = operand_check(t, &a);
    x_mem(e, 0x8d | X_W, R11, &m); /* lea */
    x_store(e, AT(keep[1]), R11);
    x_gs_op(e, 0x0fb7, R10, AT(flags));
    x_mov32(e, R11, R10);
    x_shift(e, 5, 0, R10, 8);
    x_alu_imm(e, 4, 0, R10, FLAGS_ARITH & 0xff);
    x_alu_imm(e, 4, 0, R11, 1);
    x_shift(e, 4, 0, R11, 11);
    x_reg(e, 0x09, R11, R10);
    x_gs_op(e, 0x8b, R11, AT(c.s.rflags));
    x_alu_imm(e, 4, 0, R11, (i32) ~(u32)(FLAGS_ARITH | FLAG_RF | FLAG_VM));
    x_reg(e, 0x09, R11, R10);
    x_load(e, R11, AT(keep[1]));
    m = x_at(R11, 0);
    x_mem(e, 0x89 | X_W, R10, &m);
    stack_move(t, -8);
    return true;
}

/* The other set of tables from the next instruction on: another block. */
static bool system_smap(struct build *t, bool set)
{
    struct emit *e = &t->e;
    u32 mode = (t->mode & ~(u32)MODE_SET) | (set ? 2 : 1) << MODE_SET_SHIFT;
    u64 pc = t->pc[t->i + 1];
    size_t entry;

    if (!(t->mode & MODE_SMAP))
        return false;
    if (mode == t->mode)
        return true;
    flags_free(t, FLAGS_ARITH);
    system_flag(t, set, FLAG_AC);
    x_gs_op(e, 0xc7, 0, AT(mode));
    x_u32(e, mode);
    x_mov_imm(e, R10, pc);
    x_gs_op(e, 0x81, 7, AT(slot_mode) + 4 * mode_slot(mode));
    x_u32(e, mode);
    late_add(t, LATE_INDIRECT, x_jump(e, X_JNE));
    entry = AT(jumps) +
            (jump_first(mode_slot(mode)) + (pc & jump_mask(mode_slot(mode)))) * sizeof(struct jump);
    x_gs_op(e, 0x3b | X_W, R10, entry + offsetof(struct jump, pc));
    late_add(t, LATE_INDIRECT, x_jump(e, X_JNE));
    x_gs_op(e, 0xff, 4, entry + offsetof(struct jump, host));
    t->ended = true;
    return true;
}

static bool system_swapgs(struct build *t)
{
    struct emit *e = &t->e;

    x_load(e, R10, AT(c.s.seg[SEG_GS].base));
    x_load(e, R11, AT(c.s.kernel_gs_base));
    x_store(e, AT(c.s.seg[SEG_GS].base), R11);
    x_store(e, AT(c.s.kernel_gs_base), R10);
    return true;
}

/* From time to time it is C's, which asks whether clocks must wait for something. */
static bool system_rdtsc(struct build *t, bool aux)
{
    struct emit *e = &t->e;

    if (!(t->mode & MODE_TSC) || t->g->options.tsc_slow)
        return false;
    flags_free(t, t->live[t->i]);
    if (aux) {
        x_bytes(e, "\x0f\xae\xe8", 3); /* lfence: RDTSCP waits for what is before it */
        x_gs_op(e, 0x8b, RCX, AT(c.s.tsc_aux));
    }
    x_bytes(e, "\x0f\x31", 2);
    x_shift(e, 4, X_W, RDX, 32);
    x_reg(e, 0x09 | X_W, RDX, RAX);
    x_gs_op(e, 0x3b | X_W, RAX, AT(c.clock_asked));
    late_add(t, LATE_STEP, x_jump(e, X_JA));
    x_gs_op(e, 0x03 | X_W, RAX, AT(c.s.tsc_offset));
    x_mov(e, RDX, RAX);
    x_shift(e, 5, X_W, RDX, 32);
    x_mov32(e, RAX, RAX);
    return true;
}

/* A register of the vCPU block into a general one. */
static void system_read(struct build *t, u32 gpr, size_t from)
{
    struct emit *e = &t->e;

    if (is_evicted(t, gpr)) {
        x_load(e, R10, from);
        x_store(e, gpr_at(gpr), R10);
    } else {
        x_load(e, host_of(t, gpr), from);
    }
}

/* MOV from a segment register to a general one: Linux' sync_core() does it at each patch. */
static bool system_selector(struct build *t, const struct x86_insn *in)
{
    size_t at = AT(c.s.seg) + in->opd[1].reg * sizeof(struct x86_segment) +
                offsetof(struct x86_segment, sel);
    u32 reg = in->opd[0].reg;

    if (in->opd[0].kind != OPD_GPR || in->opd[1].kind != OPD_SEG || in->osize == 2)
        return false;
    x_gs_op(&t->e, 0x0fb7, is_evicted(t, reg) ? R10 : host_of(t, reg), at);
    if (is_evicted(t, reg))
        x_store(&t->e, gpr_at(reg), R10);
    return true;
}

/* MOV from CR0, CR2, CR3, CR4. */
static bool system_control(struct build *t, const struct x86_insn *in)
{
    static const size_t at[] = { AT(c.s.cr0), 0, AT(c.s.cr2), AT(c.s.cr3), AT(c.s.cr4) };

    if (in->opd[0].kind != OPD_GPR || in->opd[1].kind != OPD_CR || in->opd[1].reg >= LEN(at) ||
        !at[in->opd[1].reg])
        return false;
    system_read(t, in->opd[0].reg, at[in->opd[1].reg]);
    return true;
}

/* The interpreter's, if this bit of CR4 is not set. */
static void system_if_cr4(struct build *t, u32 bit)
{
    flags_free(t, FLAGS_ARITH);
    x_gs_op(&t->e, 0xf7, 0, AT(c.s.cr4)); /* test */
    x_u32(&t->e, bit);
    late_add(t, LATE_STEP, x_jump(&t->e, X_JE));
}

/* RDFSBASE and its like; a base to be written that is not in the lower half goes to C. */
static bool system_base(struct build *t, const struct x86_insn *in)
{
    bool gs = in->op == ZYDIS_MNEMONIC_RDGSBASE || in->op == ZYDIS_MNEMONIC_WRGSBASE;
    bool write = in->op == ZYDIS_MNEMONIC_WRFSBASE || in->op == ZYDIS_MNEMONIC_WRGSBASE;
    size_t at = gs ? AT(c.s.seg[SEG_GS].base) : AT(c.s.seg[SEG_FS].base);
    struct emit *e = &t->e;

    if (in->osize != 8 || in->opd[0].kind != OPD_GPR)
        return false;
    system_if_cr4(t, CR4_FSGSBASE);
    if (!write) {
        system_read(t, in->opd[0].reg, at);
        return true;
    }
    operand_load_gpr(t, R10, in->opd[0].reg);
    x_mov(e, R11, R10);
    x_shift(e, 5, X_W, R11, 47);
    late_add(t, LATE_STEP, x_jump(e, X_JNE));
    x_store(e, at, R10);
    return true;
}

static bool system_rdpkru(struct build *t)
{
    struct emit *e = &t->e;

    system_if_cr4(t, CR4_PKE);
    x_reg(e, 0x85, RCX, RCX); /* test */
    late_add(t, LATE_STEP, x_jump(e, X_JNE));
    x_gs_op(e, 0x8b, RAX, AT(c.s.pkru));
    x_mov_imm(e, RDX, 0);
    return true;
}

/* SGDT and SIDT: firmware built by EDK2 reads the table's place at each access to a device. */
static bool system_table(struct build *t, const struct x86_insn *in, size_t table)
{
    struct emit *e = &t->e;
    bool wide = is_code64(t);
    struct access a;
    struct xmem m;

    if (!(t->mode & MODE_RING0) || (!wide && in->osize != 4))
        return false;
    operand_of(t, in, &a);
    a.size = wide ? 10 : 6;
    a.write = true;
    flags_free(t, t->live[t->i]);
    m = operand_fold(t, operand_check(t, &a));
    x_gs_op(e, 0x0fb7, R10, table + offsetof(struct x86_table, limit));
    x_mem(e, 0x89 | X_66, R10, &m);
    m.disp += 2;
    x_load(e, R10, table + offsetof(struct x86_table, base));
    x_mem(e, wide ? 0x89 | X_W : 0x89, R10, &m);
    return true;
}

/* The answer of the last time; C the first time. */
static bool system_cpuid(struct build *t)
{
    if (t->g->options.check)
        return false;
    flags_free(t, t->live[t->i]);
    x_jump_to(&t->e, X_CALL, t->g->cpuid_look);
    late_add(t, LATE_STEP, x_jump(&t->e, X_JNE));
    return true;
}

/* Is the block over behind it? */
bool system_ends(const struct build *t, const struct x86_insn *in)
{
    return (in->op == ZYDIS_MNEMONIC_STAC || in->op == ZYDIS_MNEMONIC_CLAC) &&
           t->mode & MODE_SMAP && t->set == (in->op == ZYDIS_MNEMONIC_STAC ? 1 : 2);
}

/* Those that leave all flags as they are, and never need them in memory. */
bool system_is_quiet(const struct build *t, const struct x86_insn *in)
{
    return (in->op == ZYDIS_MNEMONIC_CLI || in->op == ZYDIS_MNEMONIC_SWAPGS) &&
           t->mode & MODE_RING0 && is_code64(t);
}

static bool system_ring0(struct build *t, const struct x86_insn *in)
{
    switch (in->op) {
    case ZYDIS_MNEMONIC_CLI:
        return system_cli(t);
    case ZYDIS_MNEMONIC_STI:
        return system_sti(t);
    case ZYDIS_MNEMONIC_STAC:
    case ZYDIS_MNEMONIC_CLAC:
        return system_smap(t, in->op == ZYDIS_MNEMONIC_STAC);
    case ZYDIS_MNEMONIC_SWAPGS:
        return system_swapgs(t);
    default:
        return false;
    }
}

bool system_insn(struct build *t, const struct x86_insn *in)
{
    if (in->op == ZYDIS_MNEMONIC_SIDT || in->op == ZYDIS_MNEMONIC_SGDT)
        return system_table(t, in, in->op == ZYDIS_MNEMONIC_SIDT ? AT(c.s.idtr) : AT(c.s.gdtr));
    if (in->op == ZYDIS_MNEMONIC_CPUID)
        return system_cpuid(t);
    if (!is_code64(t))
        return false;
    if (in->op == ZYDIS_MNEMONIC_SYSCALL || in->op == ZYDIS_MNEMONIC_SYSRET)
        return entry_insn(t, in);
    if (in->op == ZYDIS_MNEMONIC_RDTSC || in->op == ZYDIS_MNEMONIC_RDTSCP)
        return system_rdtsc(t, in->op == ZYDIS_MNEMONIC_RDTSCP);
    switch (in->op) {
    case ZYDIS_MNEMONIC_PUSHFQ:
        return in->osize == 8 && system_pushf(t);
    case ZYDIS_MNEMONIC_RDFSBASE:
    case ZYDIS_MNEMONIC_RDGSBASE:
    case ZYDIS_MNEMONIC_WRFSBASE:
    case ZYDIS_MNEMONIC_WRGSBASE:
        return system_base(t, in);
    case ZYDIS_MNEMONIC_RDPKRU:
        return system_rdpkru(t);
    case ZYDIS_MNEMONIC_MOV:
        return system_selector(t, in) || (t->mode & MODE_RING0 && system_control(t, in));
    default:
        return t->mode & MODE_RING0 && system_ring0(t, in);
    }
}
