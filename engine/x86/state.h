/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_X86_STATE_H
#define ENGINE_X86_STATE_H
#include "base/field.h"
#include "base/types.h"

/*
 * The architectural state of one vCPU: Intel SDM volume 3A chapters 2 and 10 name the
 * parts.  Nothing of an engine is in it: it is what is saved, moved and compared.
 */
enum x86_gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum x86_seg_name { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

/* attr: SDM 3A 3.4.5 descriptor bits 40-47 in 0-7, 52-55 in 12-15; bit 16: unusable. */
enum {
    ATTR_TYPE = 0xf,
    ATTR_S = 1 << 4,
    ATTR_DPL_SHIFT = 5,
    ATTR_DPL = 3 << 5,
    ATTR_P = 1 << 7,
    ATTR_AVL = 1 << 12,
    ATTR_L = 1 << 13,
    ATTR_DB = 1 << 14,
    ATTR_G = 1 << 15,
    ATTR_UNUSABLE = 1 << 16,
};
struct x86_segment {
    u64 base;
    u32 limit; /* bytes, the G bit already applied */
    u32 attr;
    u16 sel, pad[3];
};
struct x86_table {
    u64 base;
    u16 limit, pad[3];
};

enum x86_flag {
    FLAG_CF = 1 << 0,
    FLAG_ONE = 1 << 1,
    FLAG_PF = 1 << 2,
    FLAG_AF = 1 << 4,
    FLAG_ZF = 1 << 6,
    FLAG_SF = 1 << 7,
    FLAG_TF = 1 << 8,
    FLAG_IF = 1 << 9,
    FLAG_DF = 1 << 10,
    FLAG_OF = 1 << 11,
    FLAG_IOPL = 3 << 12,
    FLAG_NT = 1 << 14,
    FLAG_RF = 1 << 16,
    FLAG_VM = 1 << 17,
    FLAG_AC = 1 << 18,
    FLAG_VIF = 1 << 19,
    FLAG_VIP = 1 << 20,
    FLAG_ID = 1 << 21,
    FLAGS_ARITH = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
};

enum {
    CR0_PE = 1 << 0,
    CR0_MP = 1 << 1,
    CR0_EM = 1 << 2,
    CR0_TS = 1 << 3,
    CR0_ET = 1 << 4,
    CR0_NE = 1 << 5,
    CR0_WP = 1 << 16,
    CR0_AM = 1 << 18,
    CR0_NW = 1 << 29,
    CR0_CD = 1 << 30,
};
#define CR0_PG (1u << 31)
enum {
    CR4_VME = 1 << 0,
    CR4_PVI = 1 << 1,
    CR4_TSD = 1 << 2,
    CR4_DE = 1 << 3,
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_MCE = 1 << 6,
    CR4_PGE = 1 << 7,
    CR4_PCE = 1 << 8,
    CR4_OSFXSR = 1 << 9,
    CR4_OSXMMEXCPT = 1 << 10,
    CR4_UMIP = 1 << 11,
    CR4_LA57 = 1 << 12,
    CR4_FSGSBASE = 1 << 16,
    CR4_PCIDE = 1 << 17,
    CR4_OSXSAVE = 1 << 18,
    CR4_SMEP = 1 << 20,
    CR4_SMAP = 1 << 21,
    CR4_PKE = 1 << 22,
    CR4_PKS = 1 << 24,
};
enum { EFER_SCE = 1 << 0, EFER_LME = 1 << 8, EFER_LMA = 1 << 10, EFER_NXE = 1 << 11 };
enum { XCR0_X87 = 1, XCR0_SSE = 2, XCR0_AVX = 4, XCR0_PKRU = 1 << 9 };

enum x86_vector {
    VEC_DE = 0,
    VEC_DB = 1,
    VEC_NMI = 2,
    VEC_BP = 3,
    VEC_OF = 4,
    VEC_BR = 5,
    VEC_UD = 6,
    VEC_NM = 7,
    VEC_DF = 8,
    VEC_TS = 10,
    VEC_NP = 11,
    VEC_SS = 12,
    VEC_GP = 13,
    VEC_PF = 14,
    VEC_MF = 16,
    VEC_AC = 17,
    VEC_MC = 18,
    VEC_XM = 19,
};

enum { X86_XSAVE_SIZE = 832 }; /* standard format: legacy 512, header 64, AVX 256 */
enum { X86_MTRRS = 8, X86_FIXED_MTRRS = 11 };

struct x86_state {
    _Alignas(64) u8 xsave[X86_XSAVE_SIZE]; /* x87, SSE, AVX; XSTATE_BV always 7 */

    u64 gpr[16];
    u64 rip, rflags; /* rflags: bit 1 is set, always */
    struct x86_segment seg[SEG_COUNT];
    struct x86_table gdtr, idtr;
    u64 cr0, cr2, cr3, cr4;
    u64 dr[8]; /* 4 and 5 unused */
    u64 xcr0, efer;
    u64 pdpte[4]; /* PAE paging: loaded with CR3, SDM 3A 4.4.1 */

    u64 star, lstar, cstar, fmask, kernel_gs_base;
    u64 sysenter_cs, sysenter_esp, sysenter_eip;
    u64 tsc_offset, tsc_adjust, tsc_aux;
    u64 pat, misc_enable, spec_ctrl, mtrr_def;
    u64 mtrr_base[X86_MTRRS], mtrr_mask[X86_MTRRS], mtrr_fixed[X86_FIXED_MTRRS];
    u64 mcg_status, mcg_ctl, smbase, bios_sign;
    u32 pkru, pkrs; /* rights of protection keys: of user pages, of others */

    bool shadow;      /* STI or MOV SS: no interrupt before the next instruction */
    bool shadow_ss;   /* ... and no #DB either */
    bool nmi_blocked; /* until IRET */
    bool halted;      /* HLT: waits for an interrupt */
    u8 pad[4];
};

extern const struct field x86_state_fields[];

/* Power-on values, SDM 3A table 10-1; index: the initial APIC ID (0 is the BSP). */
void x86_state_reset(struct x86_state *s, u32 index);
/* INIT: as reset, but FPU, CR0.CD/NW, MTRRs, TSC and others stay. */
void x86_state_init(struct x86_state *s, u32 index);
/* Is it a state that a processor can be in? */
int x86_state_check(const struct x86_state *s, struct err *e);

static inline bool x86_long(const struct x86_state *s)
{
    return s->efer & EFER_LMA;
}
static inline bool x86_code64(const struct x86_state *s)
{
    return (s->efer & EFER_LMA) && (s->seg[SEG_CS].attr & ATTR_L);
}
static inline bool x86_real(const struct x86_state *s)
{
    return !(s->cr0 & CR0_PE);
}
static inline bool x86_v86(const struct x86_state *s)
{
    return s->rflags & FLAG_VM;
}
/* CPL is the DPL of SS; 3 in V86 mode, 0 in real mode. */
static inline u32 x86_cpl(const struct x86_state *s)
{
    return (s->seg[SEG_SS].attr & ATTR_DPL) >> ATTR_DPL_SHIFT;
}
#endif
