/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_X86_INSN_H
#define ENGINE_X86_INSN_H
#include "base/types.h"
#include <Zydis/Mnemonic.h>

/*
 * One decoded instruction, from Zydis, in the form that all software engines use.  `op` is
 * Zydis' mnemonic: the name of the operation, without operand forms.
 */
enum x86_mode { X86_MODE16, X86_MODE32, X86_MODE64 };

enum x86_operand_kind {
    OPD_NONE,
    OPD_GPR,
    OPD_GPR_HIGH,
    OPD_MEM,
    OPD_AGEN,
    OPD_IMM,
    OPD_REL,
    OPD_FAR,
    OPD_SEG,
    OPD_CR,
    OPD_DR,
    OPD_VEC,
    OPD_MMX,
    OPD_ST,
    OPD_OTHER
};
enum { OPD_READ = 1, OPD_WRITE = 2, OPD_COND = 4, OPD_HIDDEN = 8 };
/* Which field of the encoding names a register or memory operand. */
enum { AT_NONE, AT_MODRM_REG, AT_MODRM_RM, AT_OPCODE, AT_VVVV, AT_IS4 };

enum { X86_NOREG = 0xff, X86_RIP = 0x10 };

struct x86_operand {
    u8 kind;   /* enum x86_operand_kind */
    u8 reg;    /* number: GPR 0-15 (GPR_HIGH: 0-3 = ah ch dh bh), SEG_*, CRn, xmm n, st n */
    u8 access; /* OPD_READ ... */
    u8 at;     /* AT_MODRM_REG ... */
    u16 size;  /* bytes; OPD_MEM of unfixed size (fxsave ...): 0 */
};

enum x86_insn_flag {
    INSN_LOCK = 1 << 0,
    INSN_REP = 1 << 1,    /* F3 used as a repeat prefix */
    INSN_REPNE = 1 << 2,  /* F2 likewise */
    INSN_VECTOR = 1 << 3, /* x87, MMX, SSE, AVX: works on the xsave area */
    INSN_BRANCH = 1 << 4, /* changes RIP: jmp jcc call ret loop iret int syscall ... */
    INSN_STRING = 1 << 5, /* movs stos lods cmps scas ins outs */
    INSN_PRIVILEGED = 1 << 6,
    INSN_STACK = 1 << 7,   /* push pop call ret enter leave pushf popf pusha popa iret */
    INSN_SEGMENT = 1 << 8, /* has a segment prefix that counts: `seg` is not the default */
    INSN_X87 = 1 << 9,
    INSN_MMX = 1 << 10,
    INSN_SSE = 1 << 11,
    INSN_AVX = 1 << 12,    /* VEX encoded on vector registers */
    INSN_SYSTEM = 1 << 13, /* neither plain computation nor control flow: interpreter only */
    INSN_VSIB = 1 << 14,   /* gathers */
};

struct x86_insn {
    u16 op; /* ZydisMnemonic */
    u8 len;
    u8 mode;         /* enum x86_mode */
    u8 osize, asize; /* effective operand and address size, bytes: 2 4 8 */
    u32 flags;       /* enum x86_insn_flag */

    /* the one explicit memory operand (or AGEN), if any */
    u8 seg;                /* effective segment: enum x86_seg_name */
    u8 base, index, scale; /* GPR number, X86_RIP (base only) or X86_NOREG; scale 1 2 4 8 */
    u8 mem;                /* which operand it is, or X86_NOREG */
    i64 disp;
    u64 imm;  /* sign-extended where the instruction says so; a far pointer's offset */
    u16 imm2; /* enter's second; a far pointer's selector */

    u8 nopd;                   /* visible operands come first, then hidden ones */
    struct x86_operand opd[6]; /* as the manual orders them */

    u16 gpr_read, gpr_write;       /* bit n: GPR n, hidden and address use included */
    u32 eflags_read, eflags_write; /* written includes undefined */
    u32 eflags_undef;

    /* where things are in bytes[]; 0xff: not there */
    u8 bytes[15];
    u8 at_opcode, at_modrm, at_sib, at_disp, at_imm;
    u8 disp_size, imm_size; /* bytes */
    u8 nprefix;             /* legacy prefixes before REX/VEX/opcode */
    u8 rex;                 /* 0: none */
    u8 vex;                 /* bytes of the VEX prefix: 0 2 3 */
    u8 map, opcode, modrm;  /* Zydis opcode map number (0 = one byte, 1 = 0F, 2 = 0F38, ...) */
};

/*
 * Decode at most n (<= 15) bytes.  0; -ENODATA: more bytes are needed; -EINVAL: #UD;
 * -E2BIG: over 15 bytes (#GP).  A LOCK prefix where it is not allowed is -EINVAL.
 */
int x86_decode(struct x86_insn *in, const u8 *p, u32 n, enum x86_mode mode);
/* Text, for traces and logs: Intel syntax. */
void x86_print(const struct x86_insn *in, u64 rip, char *text, u32 room);
#endif
