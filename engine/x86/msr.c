/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers that belong to the processor: Intel SDM volume 4.  All others,
 * the local APIC's among them, are asked of cpu_io.
 */
#include "engine/x86/x86_int.h"

enum msr {
    MSR_TSC = 0x10,
    MSR_PLATFORM_ID = 0x17,
    MSR_POWERON = 0x2a,
    MSR_SMI_COUNT = 0x34,
    MSR_TSC_ADJUST = 0x3b,
    MSR_SPEC_CTRL = 0x48,
    MSR_PRED_CMD = 0x49,
    MSR_BIOS_UPDATE = 0x79,
    MSR_BIOS_SIGN = 0x8b,
    MSR_PLATFORM_INFO = 0xce,
    MSR_MTRR_CAP = 0xfe,
    MSR_ARCH_CAPABILITIES = 0x10a,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_MCG_CTL = 0x17b,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_VARIABLE = 0x200,
    MSR_MTRR_FIXED_64K = 0x250,
    MSR_MTRR_FIXED_16K = 0x258,
    MSR_MTRR_FIXED_4K = 0x268,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF = 0x2ff,
    MSR_PKRS = 0x6e1,
};
enum {
    MSR_EFER = 0xc0000080,
    MSR_STAR = 0xc0000081,
    MSR_LSTAR = 0xc0000082,
    MSR_CSTAR = 0xc0000083,
    MSR_FMASK = 0xc0000084,
    MSR_FS_BASE = 0xc0000100,
    MSR_GS_BASE = 0xc0000101,
    MSR_KERNEL_GS_BASE = 0xc0000102,
    MSR_TSC_AUX = 0xc0000103,
};

enum { MTRR_CAP = X86_MTRRS | 1 << 8 | 1 << 10, MCG_CAP = 1 << 8 };

#define SPEC_CTRL_IBRS (1ull << 0)
#define SPEC_CTRL_STIBP (1ull << 1)
#define SPEC_CTRL_BHI_DIS (1ull << 10)

/* IA32_ARCH_CAPABILITIES: nothing that the engines run speculates across these lines. */
#define ARCH_RDCL_NO (1ull << 0)
#define ARCH_IBRS_ALL (1ull << 1)
#define ARCH_SKIP_L1DFL (1ull << 3)
#define ARCH_SSB_NO (1ull << 4)
#define ARCH_MDS_NO (1ull << 5)
#define ARCH_PSCHANGE_MC_NO (1ull << 6)
#define ARCH_TAA_NO (1ull << 8)
#define ARCH_SBDR_SSDP_NO (1ull << 13)
#define ARCH_FBSDP_NO (1ull << 14)
#define ARCH_PSDP_NO (1ull << 15)
#define ARCH_BHI_NO (1ull << 20)
#define ARCH_PBRSB_NO (1ull << 24)
#define ARCH_GDS_NO (1ull << 26)
#define ARCH_RFDS_NO (1ull << 27)
#define ARCH_ITS_NO (1ull << 62)
static const u64 msr_arch_capabilities =
    ARCH_RDCL_NO | ARCH_IBRS_ALL | ARCH_SKIP_L1DFL | ARCH_SSB_NO | ARCH_MDS_NO |
    ARCH_PSCHANGE_MC_NO | ARCH_TAA_NO | ARCH_SBDR_SSDP_NO | ARCH_FBSDP_NO | ARCH_PSDP_NO |
    ARCH_BHI_NO | ARCH_PBRSB_NO | ARCH_GDS_NO | ARCH_RFDS_NO | ARCH_ITS_NO;

static _Noreturn void msr_bad(struct x86_cpu *c)
{
    x86_raise_code(c, VEC_GP, 0);
}

/* ---- memory types ---- */

static bool msr_type_ok(u64 type) /* UC WC WT WP WB */
{
    return type < 7 && (0x73 >> type & 1);
}

static bool msr_types_ok(u64 val, bool pat)
{
    for (u32 i = 0; i < 8; i++, val >>= 8)
        if (!msr_type_ok(val & 0xff) && !(pat && (val & 0xff) == 7))
            return false;
    return true;
}

/* Index of a fixed-range MTRR, or -1. */
static int msr_fixed(u32 msr)
{
    if (msr == MSR_MTRR_FIXED_64K)
        return 0;
    if (msr == MSR_MTRR_FIXED_16K || msr == MSR_MTRR_FIXED_16K + 1)
        return (int)(1 + msr - MSR_MTRR_FIXED_16K);
    if (msr >= MSR_MTRR_FIXED_4K && msr < MSR_MTRR_FIXED_4K + 8)
        return (int)(3 + msr - MSR_MTRR_FIXED_4K);
    return -1;
}

static bool msr_mtrr_get(struct x86_cpu *c, u32 msr, u64 *val)
{
    u32 n = msr - MSR_MTRR_VARIABLE;

    if (n < 2 * X86_MTRRS)
        *val = n & 1 ? c->s.mtrr_mask[n / 2] : c->s.mtrr_base[n / 2];
    else if (msr_fixed(msr) >= 0)
        *val = c->s.mtrr_fixed[msr_fixed(msr)];
    else if (msr == MSR_MTRR_DEF)
        *val = c->s.mtrr_def;
    else
        return false;
    return true;
}

static bool msr_mtrr_set(struct x86_cpu *c, u32 msr, u64 val)
{
    u64 high = ~0ull << x86_phys_bits();
    u32 n = msr - MSR_MTRR_VARIABLE;

    if (n < 2 * X86_MTRRS && (n & 1)) {
        if (val & (high | 0x7ff))
            msr_bad(c);
        c->s.mtrr_mask[n / 2] = val;
    } else if (n < 2 * X86_MTRRS) {
        if ((val & (high | 0xf00)) || !msr_type_ok(val & 0xff))
            msr_bad(c);
        c->s.mtrr_base[n / 2] = val;
    } else if (msr_fixed(msr) >= 0) {
        if (!msr_types_ok(val, false))
            msr_bad(c);
        c->s.mtrr_fixed[msr_fixed(msr)] = val;
    } else if (msr == MSR_MTRR_DEF) {
        if ((val & ~0xcffull) || !msr_type_ok(val & 0xff))
            msr_bad(c);
        c->s.mtrr_def = val;
    } else {
        return false;
    }
    return true;
}

/* ---- those kept as they are ---- */

/* Where a register that is plain storage lives; NULL: it is not one. */
static u64 *msr_plain(struct x86_cpu *c, u32 msr)
{
    struct x86_state *s = &c->s;

    switch (msr) {
    case MSR_SYSENTER_CS:
        return &s->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &s->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &s->sysenter_eip;
    case MSR_MCG_STATUS:
        return &s->mcg_status;
    case MSR_MCG_CTL:
        return &s->mcg_ctl;
    case MSR_MISC_ENABLE:
        return &s->misc_enable;
    case MSR_PAT:
        return &s->pat;
    case MSR_SPEC_CTRL:
        return &s->spec_ctrl;
    case MSR_STAR:
        return &s->star;
    case MSR_LSTAR:
        return &s->lstar;
    case MSR_CSTAR:
        return &s->cstar;
    case MSR_FMASK:
        return &s->fmask;
    case MSR_FS_BASE:
        return &s->seg[SEG_FS].base;
    case MSR_GS_BASE:
        return &s->seg[SEG_GS].base;
    case MSR_KERNEL_GS_BASE:
        return &s->kernel_gs_base;
    case MSR_TSC_AUX:
        return &s->tsc_aux;
    default:
        return NULL;
    }
}

static bool msr_value_ok(const struct x86_cpu *c, u32 msr, u64 val)
{
    switch (msr) {
    case MSR_SYSENTER_ESP:
    case MSR_SYSENTER_EIP:
    case MSR_LSTAR:
    case MSR_CSTAR:
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
        return x86_canonical(c, val);
    case MSR_PAT:
        return msr_types_ok(val, true);
    case MSR_SPEC_CTRL:
        return !(val & ~(SPEC_CTRL_IBRS | SPEC_CTRL_STIBP | SPEC_CTRL_BHI_DIS));
    case MSR_MCG_STATUS:
        return val == 0;
    case MSR_MCG_CTL:
        return val == 0 || val == ~0ull;
    case MSR_TSC_AUX:
    case MSR_FMASK:
        return !(val >> 32);
    default:
        return true;
    }
}

/* AMD's own, where they hold nothing: SYSCFG, HWCR, performance counters. */
static bool msr_amd(const struct x86_cpu *c, u32 msr)
{
    return c->amd && ((msr >= 0xc0010000 && msr < 0xc0010008) || msr == 0xc0010010 ||
                      msr == 0xc0010015 || (msr >= 0xc0010200 && msr < 0xc001020c));
}

/* ---- the two instructions ---- */

u64 x86_rdmsr(struct x86_cpu *c, u32 msr)
{
    const u64 *plain = msr_plain(c, msr);
    u64 val;

    if (plain)
        return *plain;
    if (msr_mtrr_get(c, msr, &val))
        return val;
    switch (msr) {
    case MSR_TSC:
        return x86_rdtsc(c);
    case MSR_TSC_ADJUST:
        return c->s.tsc_adjust;
    case MSR_BIOS_SIGN:
        return c->s.bios_sign;
    case MSR_PLATFORM_ID:
    case MSR_POWERON:
    case MSR_SMI_COUNT:
    case MSR_PLATFORM_INFO:
    case MSR_DEBUGCTL:
        return 0;
    case MSR_MTRR_CAP:
        return MTRR_CAP;
    case MSR_ARCH_CAPABILITIES:
        return msr_arch_capabilities;
    case MSR_MCG_CAP:
        return MCG_CAP;
    case MSR_EFER:
        return c->s.efer;
    case MSR_PKRS:
        return c->s.pkrs;
    default:
        if (msr_amd(c, msr))
            return 0;
        if (c->io->rdmsr(c->io->arg, msr, &val))
            msr_bad(c);
        return val;
    }
}

void x86_wrmsr(struct x86_cpu *c, u32 msr, u64 val)
{
    u64 *plain = msr_plain(c, msr);

    if (plain) {
        if (!msr_value_ok(c, msr, val))
            msr_bad(c);
        *plain = val;
        if (msr == MSR_FS_BASE || msr == MSR_GS_BASE)
            x86_mode_changed(c);
        return;
    }
    if (msr_mtrr_set(c, msr, val))
        return;
    switch (msr) {
    case MSR_TSC: {
        u64 by = val - x86_rdtsc(c);

        c->s.tsc_offset += by;
        c->s.tsc_adjust += by;
        break;
    }
    case MSR_TSC_ADJUST:
        c->s.tsc_offset += val - c->s.tsc_adjust;
        c->s.tsc_adjust = val;
        break;
    case MSR_PRED_CMD:
        if (val & ~1ull)
            msr_bad(c);
        break;
    case MSR_DEBUGCTL:
        if (val & ~0xffc3ull)
            msr_bad(c);
        break;
    case MSR_BIOS_SIGN:
    case MSR_BIOS_UPDATE:
    case MSR_POWERON:
        break; /* no microcode to change */
    case MSR_EFER:
        x86_set_efer(c, val);
        break;
    case MSR_PKRS:
        if (val >> 32)
            msr_bad(c);
        x86_set_pkrs(c, (u32)val);
        break;
    case MSR_MTRR_CAP:
    case MSR_ARCH_CAPABILITIES:
    case MSR_MCG_CAP:
    case MSR_PLATFORM_ID:
    case MSR_PLATFORM_INFO:
    case MSR_SMI_COUNT:
        msr_bad(c);
    default:
        if (!msr_amd(c, msr) && c->io->wrmsr(c->io->arg, msr, val))
            msr_bad(c);
    }
}
