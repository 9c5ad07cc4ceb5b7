/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that compute: the host's own instruction with registers renamed and the
 * memory operand redirected.  Of those outside the vector unit only the ones listed here are
 * run natively; the guest must never get the host to do anything else.
 */
#include "engine/translate/build.h"
#include "engine/x86/rewrite.h"

#define AT(m) offsetof(struct vcpu, m)
#define OP(name) case ZYDIS_MNEMONIC_##name:

static bool plain_is_integer(u16 op)
{
    switch (op) {
        OP(ADC)
        OP(ADD)
        OP(AND)
        OP(BSF)
        OP(BSR)
        OP(BSWAP)
        OP(BT)
        OP(BTC)
        OP(BTR) OP(BTS) OP(CBW) OP(CWDE) OP(CDQE) OP(CWD) OP(CDQ) OP(CQO) OP(CLC) OP(STC) OP(CMC)
            OP(CMP) OP(CMPXCHG) OP(CMPXCHG8B) OP(CMPXCHG16B) OP(DEC) OP(DIV) OP(IDIV) OP(IMUL)
                OP(MUL) OP(INC) OP(LAHF) OP(SAHF) OP(MOV) OP(MOVBE) OP(MOVNTI) OP(MOVSX) OP(MOVSXD)
                    OP(MOVZX) OP(NEG) OP(NOT) OP(OR) OP(RCL) OP(RCR) OP(ROL) OP(ROR) OP(SAR) OP(SHL)
                        OP(SHR) OP(SHLD) OP(SHRD) OP(SBB) OP(SUB) OP(TEST) OP(XADD) OP(XCHG) OP(XOR)
                            OP(POPCNT) OP(LZCNT) OP(TZCNT) OP(CRC32) OP(ADCX) OP(ADOX) OP(ANDN) OP(
                                BEXTR) OP(BLSI) OP(BLSMSK) OP(BLSR) OP(BZHI) OP(MULX) OP(PDEP)
                                OP(PEXT) OP(RORX) OP(SARX) OP(SHLX) OP(SHRX) OP(LFENCE) OP(MFENCE)
                                    OP(SFENCE) OP(RDRAND) OP(RDSEED) OP(PAUSE) OP(CMOVB) OP(CMOVBE)
                                        OP(CMOVL) OP(CMOVLE) OP(CMOVNB) OP(CMOVNBE) OP(CMOVNL)
                                            OP(CMOVNLE) OP(CMOVNO) OP(CMOVNP) OP(CMOVNS) OP(CMOVNZ)
                                                OP(CMOVO) OP(CMOVP) OP(CMOVS) OP(CMOVZ) OP(SETB)
                                                    OP(SETBE) OP(SETL) OP(SETLE) OP(SETNB)
                                                        OP(SETNBE) OP(SETNL) OP(SETNLE) OP(SETNO)
                                                            OP(SETNP) OP(SETNS) OP(SETNZ) OP(SETO)
                                                                OP(SETP) OP(SETS)
                                                                    OP(SETZ) return true;
    default:
        return false;
    }
}

/* Vector instructions that touch memory by other means, or change how exceptions work. */
static bool plain_is_odd_vector(const struct x86_insn *in)
{
    switch (in->op) {
        OP(LDMXCSR)
        OP(VLDMXCSR)
        OP(FLDCW)
        OP(FLDENV)
        OP(FNSTENV)
        OP(FNSAVE) OP(FRSTOR) OP(FNINIT) OP(MASKMOVQ) OP(MASKMOVDQU) OP(VMASKMOVDQU) return true;
    default:
        return in->flags & INSN_VSIB || (in->mem != X86_NOREG && !in->opd[in->mem].size);
    }
}

static bool plain_vector_allowed(const struct build *t, const struct x86_insn *in)
{
    u32 no = in->flags & INSN_AVX ? MODE_NO_AVX : in->flags & INSN_SSE ? MODE_NO_SSE : MODE_NO_X87;

    if (in->flags & INSN_MMX)
        no |= MODE_NO_X87;
    return !(t->mode & (no | MODE_UNMASKED)) && !plain_is_odd_vector(in);
}

/* BT and friends with a register: the bit may be far from the operand. */
bool plain_is_bit_string(const struct x86_insn *in)
{
    return (in->op == ZYDIS_MNEMONIC_BT || in->op == ZYDIS_MNEMONIC_BTC ||
            in->op == ZYDIS_MNEMONIC_BTR || in->op == ZYDIS_MNEMONIC_BTS) &&
           in->mem != X86_NOREG && in->map == 1 && in->opcode != 0xba;
}

bool plain_is_nothing(const struct x86_insn *in)
{
    switch (in->op) {
        OP(NOP)
        OP(ENDBR32)
        OP(ENDBR64)
        OP(PREFETCH)
        OP(PREFETCHNTA)
        OP(PREFETCHT0)
        OP(PREFETCHT1)
        OP(PREFETCHT2) OP(PREFETCHW) OP(PREFETCHWT1) OP(FNOP) return in->op != ZYDIS_MNEMONIC_FNOP;
    default:
        return false;
    }
}

/* Evicted registers that the encoding names get scratch ones. */
static bool plain_map(const struct build *t, u8 map[16], u32 regs, bool mem)
{
    u8 scratch[2] = { R10, R11 };
    u32 n = 0;

    for (u32 i = 0; i < 16; i++)
        map[i] = is_evicted(t, i) ? (u8)i : t->home[i];
    for (u32 i = R9; i <= R11; i++) {
        if (!(regs & 1u << i))
            continue;
        if (n == (mem ? 1 : 2))
            return false;
        map[i] = scratch[n++];
    }
    return true;
}

static void plain_evicted(struct build *t, const struct x86_insn *in, const u8 map[16], u32 regs,
                          bool after)
{
    for (u32 i = R9; i <= R11; i++) {
        if (!(regs & 1u << i))
            continue;
        if (!after && in->gpr_read & 1u << i)
            x_load(&t->e, map[i], gpr_at(i));
        if (after && in->gpr_write & 1u << i)
            x_store(&t->e, gpr_at(i), map[i]);
    }
}

/* General registers that the encoding names and that have no host register. */
static u32 plain_evicted_set(const struct build *t, const struct x86_insn *in)
{
    u32 regs = 0;

    for (u32 i = 0; i < in->nopd; i++)
        if (in->opd[i].kind == OPD_GPR && is_evicted(t, in->opd[i].reg))
            regs |= 1u << in->opd[i].reg;
    return regs;
}

static bool plain_has_high(const struct x86_insn *in)
{
    for (u32 i = 0; i < in->nopd; i++)
        if (in->opd[i].kind == OPD_GPR_HIGH)
            return true;
    return false;
}

static struct x86_host_address plain_host(struct xmem m)
{
    return (struct x86_host_address){ .base = m.base == X_NONE ? X86_NOREG : (u8)m.base,
                                      .index = m.index == X_NONE ? X86_NOREG : (u8)m.index,
                                      .seg = X86_NOREG,
                                      .scale = m.scale,
                                      .disp = m.disp };
}

static bool plain_copy(struct build *t, const struct x86_insn *in)
{
    u32 evicted = plain_evicted_set(t, in), after = t->live[t->i + 1];
    u32 write = in->eflags_write & FLAGS_ARITH, kept = flags_kept(in);
    bool mem = in->mem != X86_NOREG;
    struct x86_host_address at = { .base = X86_NOREG, .index = X86_NOREG, .seg = X86_NOREG };
    u8 map[16], bytes[15];
    int len;

    if (!plain_map(t, map, evicted, mem) || (mem && plain_has_high(in)))
        return false;
    if (mem) {
        struct access a;
        struct xmem m;

        operand_of(t, in, &a);
        flags_for_access(t);
        m = operand_check(t, &a);
        at = plain_host(evicted ? operand_fold(t, m) : m);
    }
    if (in->eflags_read & FLAGS_ARITH & ~kept || kept & after || (write && after & ~write))
        flags_want(t);
    plain_evicted(t, in, map, evicted, false);
    len = x86_rewrite(in, &at, map, bytes);
    if (len < 0)
        return false;
    if (t->flags == FLAGS_HOST)
        t->b->host_flags[t->i / 64] |= 1ull << t->i % 64;
    x_bytes(&t->e, bytes, (u32)len);
    plain_evicted(t, in, map, evicted, true);
    if (write)
        t->flags = FLAGS_HOST;
    return true;
}

/* lea: the address without segment, cut to the operand size. */
static bool plain_lea(struct build *t, const struct x86_insn *in)
{
    struct emit *e = &t->e;
    struct access a;
    u32 to = in->opd[0].reg, lea = in->osize == 8 ? 0x8d | X_W : 0x8d;

    operand_of(t, in, &a);
    a.size = 1;
    if (in->osize == 2 || in->asize == 2 || in->asize < in->osize ||
        (a.base == X86_NOREG && a.index == X86_NOREG)) { /* RIP too */
        operand_address(t, &a);
    } else {
        struct xmem m = operand_host(t, &a);

        x_mem(e, lea, is_evicted(t, to) ? R10 : host_of(t, to), &m);
        if (is_evicted(t, to))
            x_store(e, gpr_at(to), R10);
        return true;
    }
    if (is_evicted(t, to) && in->osize == 2) {
        x_gs_op(e, 0x89 | X_66, R10, gpr_at(to));
    } else if (is_evicted(t, to)) {
        if (in->osize == 4)
            x_mov32(e, R10, R10);
        x_store(e, gpr_at(to), R10);
    } else {
        x_reg(e,
              in->osize == 8   ? 0x89 | X_W
              : in->osize == 4 ? 0x89
                               : 0x89 | X_66,
              R10, host_of(t, to));
    }
    return true;
}

/* The bit of a bit string: its word's address and its number there. */
static bool plain_bit_string(struct build *t, const struct x86_insn *in)
{
    u32 size = in->osize, bits = size * 8, reg = in->opd[1].reg, w = size == 8 ? X_W : 0;
    struct emit *e = &t->e;
    struct access a;
    struct xmem m;

    u8 *retry;

    if (size == 2 || !is_code64(t) || in->asize != 8 || in->seg == SEG_FS || in->seg == SEG_GS)
        return false;
    operand_of(t, in, &a);
    flags_free(t, t->live[t->i]);
    retry = e->p;
    operand_address(t, &a);
    operand_load_gpr(t, R11, reg);
    if (!w)
        x_reg(e, 0x63 | X_W, R11, R11); /* movsxd */
    x_shift(e, 7, X_W, R11, size == 8 ? 6 : 5);
    x_lea(e, R10, (struct xmem){ .base = R10, .index = R11, .scale = size == 8 ? 3 : 2 });
    m = operand_check_linear(t, &a, retry);
    m = operand_fold(t, m);
    operand_load_gpr(t, R10, reg);
    x_alu_imm(e, 4, 0, R10, (i32)bits - 1);
    if (t->live[t->i + 1] & ~(u32)FLAG_CF)
        flags_want(t);
    x_mem(e, (0x0f00u | in->opcode) | w | (in->flags & INSN_LOCK ? X_LOCK : 0), R10, &m);
    t->flags = FLAGS_HOST;
    return true;
}

static bool plain_direction(struct build *t, bool set)
{
    struct emit *e = &t->e;

    flags_free(t, t->live[t->i]);
    x_gs_op(e, 0x81, set ? 1 : 4, AT(c.s.rflags));
    x_u32(e, set ? FLAG_DF : ~(u32)FLAG_DF);
    return true;
}

static void plain_loose(struct build *t, const struct x86_insn *in)
{
    u32 reg = in->opd[0].reg, to = is_evicted(t, reg) ? R10 : host_of(t, reg);
    u64 at = t->pc[t->i] - t->b->pc + in->at_imm;
    struct emit *e = &t->e;
    struct xmem m = x_at(R10, 0);

    x_mov_imm(e, R10, (u64)(uintptr_t)t->host + at);
    x_mem(e, in->imm_size == 8 ? 0x8b | X_W : in->osize == 8 ? 0x63 | X_W : 0x8b, to, &m);
    if (is_evicted(t, reg))
        x_store(e, gpr_at(reg), R10);
}

/* REP STOS and MOVS of bytes or eight where a page takes them whole; C otherwise. */
static bool plain_piece(struct build *t, const struct x86_insn *in)
{
    bool wide = in->op == ZYDIS_MNEMONIC_STOSQ || in->op == ZYDIS_MNEMONIC_MOVSQ;
    bool move = in->op == ZYDIS_MNEMONIC_MOVSB || in->op == ZYDIS_MNEMONIC_MOVSQ;

    if ((!wide && !move && in->op != ZYDIS_MNEMONIC_STOSB) || !(in->flags & INSN_REP) ||
        in->flags & INSN_SEGMENT || !is_code64(t) || in->asize != 8 || t->trace ||
        t->g->options.check)
        return false;
    flags_free(t, FLAGS_ARITH);
    x_jump_to(&t->e, X_CALL, t->g->piece[t->set][move][wide]);
    late_add(t, LATE_STEP, x_jump(&t->e, X_JNE));
    return true;
}

bool plain_insn(struct build *t, const struct x86_insn *in)
{
    if (plain_is_nothing(in))
        return true;
    if (build_is_loose(t, in)) {
        plain_loose(t, in);
        return true;
    }
    if (in->flags & INSN_STRING)
        return plain_piece(t, in);
    if (in->flags & INSN_VECTOR)
        return plain_vector_allowed(t, in) && plain_copy(t, in);
    switch (in->op) {
    case ZYDIS_MNEMONIC_LEA:
        return plain_lea(t, in);
    case ZYDIS_MNEMONIC_CLD:
    case ZYDIS_MNEMONIC_STD:
        return plain_direction(t, in->op == ZYDIS_MNEMONIC_STD);
    default:
        break;
    }
    if (plain_is_bit_string(in))
        return plain_bit_string(t, in);
    return plain_is_integer(in->op) && plain_copy(t, in);
}
