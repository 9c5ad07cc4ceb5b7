/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What kind of instruction it is: string, stack, system, which part of the register file, and
 * which flags it reads and writes (Intel SDM volume 1 appendix A, and what processors do with
 * the flags that the manual leaves undefined).
 */
#include "engine/x86/decode_int.h"
#include "engine/x86/state.h"

static bool decode_is_string(u16 op)
{
    switch (op) {
    case ZYDIS_MNEMONIC_MOVSB:
    case ZYDIS_MNEMONIC_MOVSW:
    case ZYDIS_MNEMONIC_MOVSQ:
    case ZYDIS_MNEMONIC_STOSB:
    case ZYDIS_MNEMONIC_STOSW:
    case ZYDIS_MNEMONIC_STOSD:
    case ZYDIS_MNEMONIC_STOSQ:
    case ZYDIS_MNEMONIC_LODSB:
    case ZYDIS_MNEMONIC_LODSW:
    case ZYDIS_MNEMONIC_LODSD:
    case ZYDIS_MNEMONIC_LODSQ:
    case ZYDIS_MNEMONIC_CMPSB:
    case ZYDIS_MNEMONIC_CMPSW:
    case ZYDIS_MNEMONIC_CMPSQ:
    case ZYDIS_MNEMONIC_SCASB:
    case ZYDIS_MNEMONIC_SCASW:
    case ZYDIS_MNEMONIC_SCASD:
    case ZYDIS_MNEMONIC_SCASQ:
    case ZYDIS_MNEMONIC_INSB:
    case ZYDIS_MNEMONIC_INSW:
    case ZYDIS_MNEMONIC_INSD:
    case ZYDIS_MNEMONIC_OUTSB:
    case ZYDIS_MNEMONIC_OUTSW:
    case ZYDIS_MNEMONIC_OUTSD:
        return true;
    default:
        return false;
    }
}

/* The general registers of string instructions; REP counts in RCX. */
static void decode_string(struct x86_insn *in)
{
    u16 regs = 0;

    for (u32 i = 0; i < in->nprefix; i++) {
        if (in->bytes[i] == 0xf3 || in->bytes[i] == 0xf2) {
            in->flags &= ~(INSN_REP | INSN_REPNE);
            in->flags |= in->bytes[i] == 0xf3 ? INSN_REP : INSN_REPNE;
        }
    }
    switch (in->opcode & 0xfe) {
    case 0xa4: /* movs */
    case 0xa6: /* cmps */
        regs = 1 << RSI | 1 << RDI;
        break;
    case 0xaa: /* stos */
    case 0xae: /* scas */
        in->gpr_read |= 1 << RAX;
        regs = 1 << RDI;
        break;
    case 0xac: /* lods: the count may be zero */
        in->gpr_read |= in->flags & (INSN_REP | INSN_REPNE) ? 1 << RAX : 0;
        regs = 1 << RSI;
        break;
    case 0x6c: /* ins */
        in->gpr_read |= 1 << RDX;
        regs = 1 << RDI;
        break;
    default: /* outs */
        in->gpr_read |= 1 << RDX;
        regs = 1 << RSI;
    }
    if (in->flags & (INSN_REP | INSN_REPNE)) {
        regs |= 1 << RCX;
        in->eflags_read |= in->eflags_write; /* a count of zero leaves them */
    }
    in->gpr_read |= regs;
    in->gpr_write |= regs;
    in->flags |= INSN_STRING;
}

static u32 decode_flag_mask(u32 zydis)
{
    return zydis & FLAG_IOPL ? zydis | FLAG_IOPL : zydis;
}

/* Flags that stay as they were on some path are read: who drops them loses them. */
void decode_flags(struct x86_insn *in, const ZydisDecodedInstruction *z)
{
    u32 count = in->imm & (in->opd[0].size == 8 ? 63 : 31);

    if (in->op == ZYDIS_MNEMONIC_VPTEST || in->op == ZYDIS_MNEMONIC_VTESTPS ||
        in->op == ZYDIS_MNEMONIC_VTESTPD)
        in->eflags_write = FLAGS_ARITH; /* Zydis 4.0 does not say */
    if (!z->cpu_flags)
        return;
    in->eflags_read = decode_flag_mask(z->cpu_flags->tested);
    in->eflags_undef = decode_flag_mask(z->cpu_flags->undefined);
    in->eflags_write |= decode_flag_mask(z->cpu_flags->modified | z->cpu_flags->set_0 |
                                         z->cpu_flags->set_1 | z->cpu_flags->undefined);
    switch (z->meta.category) {
    case ZYDIS_CATEGORY_SHIFT:
    case ZYDIS_CATEGORY_ROTATE:
        if (in->vex)
            break;
        if (in->at_imm == 0xff && in->opcode != 0xd0 && in->opcode != 0xd1)
            in->eflags_read |= in->eflags_write; /* by CL: the count may be zero */
        else if (in->at_imm != 0xff && z->meta.category == ZYDIS_CATEGORY_ROTATE)
            in->eflags_read |= in->eflags_write; /* OF stays unless the count is one */
        else if (in->at_imm != 0xff && !count)
            in->eflags_read = in->eflags_write = in->eflags_undef = 0;
        break;
    case ZYDIS_CATEGORY_BITBYTE: /* bt* and bsf/bsr leave the undefined ones alone */
        in->eflags_read |= in->eflags_undef;
        break;
    default:
        break;
    }
    if (in->op == ZYDIS_MNEMONIC_DIV || in->op == ZYDIS_MNEMONIC_IDIV)
        in->eflags_read |= in->eflags_undef; /* they leave them, too */
    if (in->op == ZYDIS_MNEMONIC_POPF || in->op == ZYDIS_MNEMONIC_POPFD ||
        in->op == ZYDIS_MNEMONIC_POPFQ)
        in->eflags_write |= FLAGS_ARITH | FLAG_DF;
    if (in->op == ZYDIS_MNEMONIC_PUSHF || in->op == ZYDIS_MNEMONIC_PUSHFD ||
        in->op == ZYDIS_MNEMONIC_PUSHFQ)
        in->eflags_read |= FLAGS_ARITH | FLAG_DF;
}

/* Conversions from memory name no XMM register, but MXCSR governs them. */
static bool decode_converts(u16 op)
{
    switch (op) {
    case ZYDIS_MNEMONIC_CVTSS2SI:
    case ZYDIS_MNEMONIC_CVTSD2SI:
    case ZYDIS_MNEMONIC_CVTTSS2SI:
    case ZYDIS_MNEMONIC_CVTTSD2SI:
    case ZYDIS_MNEMONIC_CVTPS2PI:
    case ZYDIS_MNEMONIC_CVTPD2PI:
    case ZYDIS_MNEMONIC_CVTTPS2PI:
    case ZYDIS_MNEMONIC_CVTTPD2PI:
        return true;
    default:
        return false;
    }
}

/* Which part of the register file: x87, MMX, SSE, AVX. */
static void decode_vector(struct x86_insn *in, const ZydisDecodedInstruction *z)
{
    u32 vec = 0;

    switch (z->meta.isa_set) {
    case ZYDIS_ISA_SET_X87:
    case ZYDIS_ISA_SET_FCMOV:
        in->flags |= INSN_X87;
        break;
    case ZYDIS_ISA_SET_FXSAVE:
    case ZYDIS_ISA_SET_FXSAVE64:
    case ZYDIS_ISA_SET_XSAVE:
    case ZYDIS_ISA_SET_XSAVEOPT:
    case ZYDIS_ISA_SET_XSAVEC:
    case ZYDIS_ISA_SET_XSAVES:
        in->flags |= INSN_SYSTEM;
        if (in->op != ZYDIS_MNEMONIC_XGETBV && in->op != ZYDIS_MNEMONIC_XSETBV)
            in->flags |= INSN_VECTOR;
        break;
    case ZYDIS_ISA_SET_SSEMXCSR:
        in->flags |= in->vex ? INSN_AVX : INSN_SSE;
        break;
    case ZYDIS_ISA_SET_BMI1:
    case ZYDIS_ISA_SET_BMI2:
        break;
    default:
        for (u32 i = 0; i < in->nopd; i++)
            vec |= in->opd[i].kind == OPD_VEC   ? INSN_SSE
                   : in->opd[i].kind == OPD_MMX ? INSN_MMX
                                                : 0;
        if (in->op == ZYDIS_MNEMONIC_EMMS)
            vec = INSN_MMX;
        if (z->meta.category == ZYDIS_CATEGORY_X87_ALU) /* FCOMI with CMOV, FISTTP with SSE3 */
            vec = INSN_X87;
        if (in->vex)
            vec = INSN_AVX;
        else if (decode_converts(in->op))
            vec |= INSN_SSE;
        in->flags |= vec;
    }
    if (in->flags & (INSN_X87 | INSN_MMX | INSN_SSE | INSN_AVX))
        in->flags |= INSN_VECTOR;
}

/* Neither plain computation nor control flow. */
static bool decode_is_system(const struct x86_insn *in, const ZydisDecodedInstruction *z)
{
    for (u32 i = 0; i < in->nopd; i++)
        if ((in->opd[i].kind == OPD_SEG || in->opd[i].kind == OPD_CR ||
             in->opd[i].kind == OPD_DR) &&
            !(in->opd[i].access & OPD_HIDDEN))
            return true;
    switch (z->meta.category) {
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_SEGOP:
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_IOSTRINGOP:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_RDWRFSGS:
    case ZYDIS_CATEGORY_RDPID:
    case ZYDIS_CATEGORY_SMAP:
    case ZYDIS_CATEGORY_PKU:
    case ZYDIS_CATEGORY_VTX:
        return true;
    default:
        break;
    }
    switch (in->op) {
    case ZYDIS_MNEMONIC_CPUID:
    case ZYDIS_MNEMONIC_CLI:
    case ZYDIS_MNEMONIC_STI:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_MONITOR:
    case ZYDIS_MNEMONIC_MWAIT:
    case ZYDIS_MNEMONIC_INVPCID:
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_BOUND:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
        return true;
    default:
        return z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
    }
}

static bool decode_is_branch(const ZydisDecodedInstruction *z)
{
    switch (z->meta.category) {
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
        return true;
    case ZYDIS_CATEGORY_INTERRUPT: /* BOUND counts as one, and mostly goes on */
        return z->mnemonic != ZYDIS_MNEMONIC_BOUND;
    default:
        return false;
    }
}

static bool decode_is_stack(const ZydisDecodedInstruction *z)
{
    switch (z->meta.category) {
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_POP:
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_RET:
        return true;
    default:
        return z->mnemonic == ZYDIS_MNEMONIC_ENTER || z->mnemonic == ZYDIS_MNEMONIC_LEAVE;
    }
}

static bool decode_unsized(u16 op)
{
    switch (op) {
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_XSAVE:
    case ZYDIS_MNEMONIC_XSAVE64:
    case ZYDIS_MNEMONIC_XSAVEC:
    case ZYDIS_MNEMONIC_XSAVEC64:
    case ZYDIS_MNEMONIC_XSAVEOPT:
    case ZYDIS_MNEMONIC_XSAVEOPT64:
    case ZYDIS_MNEMONIC_XSAVES:
    case ZYDIS_MNEMONIC_XSAVES64:
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
    case ZYDIS_MNEMONIC_XRSTORS:
    case ZYDIS_MNEMONIC_XRSTORS64:
        return true;
    default:
        return false;
    }
}

void decode_kinds(struct x86_insn *in, const ZydisDecodedInstruction *z)
{
    if (z->attributes & ZYDIS_ATTRIB_HAS_LOCK)
        in->flags |= INSN_LOCK;
    if (z->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
        in->flags |= INSN_PRIVILEGED;
    if (decode_is_branch(z))
        in->flags |= INSN_BRANCH;
    if (decode_is_stack(z))
        in->flags |= INSN_STACK;
    if (in->map == 0 && !in->vex &&
        (decode_is_string(in->op) ||
         ((in->op == ZYDIS_MNEMONIC_MOVSD || in->op == ZYDIS_MNEMONIC_CMPSD) &&
          (in->opcode == 0xa5 || in->opcode == 0xa7))))
        decode_string(in);
    decode_vector(in, z);
    if (decode_is_system(in, z))
        in->flags |= INSN_SYSTEM;
    if (in->mem != X86_NOREG && decode_unsized(in->op))
        in->opd[in->mem].size = 0;
    if (in->op == ZYDIS_MNEMONIC_BSF || in->op == ZYDIS_MNEMONIC_BSR)
        in->gpr_read |= in->gpr_write; /* a source of zero leaves the destination */
    if (in->op == ZYDIS_MNEMONIC_MOVSXD && in->opd[0].size == 2)
        in->opd[1].size = 2; /* no more than that is read */
    if (in->op == ZYDIS_MNEMONIC_XLAT)
        in->gpr_read |= 1 << RAX;
}
