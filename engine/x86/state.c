/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The architectural state: its field table, its power-on and INIT values (Intel SDM volume
 * 3A, table 10-1) and what must be true of a state that was brought in from outside.
 */
#include "engine/x86/state.h"
#include "base/bytes.h"
#include <errno.h>

static const struct field segment_fields[] = {
    FIELD(1, struct x86_segment, base, 0, "base"),
    FIELD(2, struct x86_segment, limit, 0, "limit in bytes"),
    FIELD(3, struct x86_segment, attr, 0, "descriptor attributes"),
    FIELD(4, struct x86_segment, sel, 0, "selector"),
    FIELDS(5, struct x86_segment, pad, F_LOCAL, "unused"),
    FIELD_END,
};

static const struct field table_fields[] = {
    FIELD(1, struct x86_table, base, 0, "base"),
    FIELD(2, struct x86_table, limit, 0, "limit"),
    FIELDS(3, struct x86_table, pad, F_LOCAL, "unused"),
    FIELD_END,
};

#define NUMBER(tag, m, doc) FIELD(tag, struct x86_state, m, F_MUST, doc)
#define NUMBERS(tag, m, doc) FIELDS(tag, struct x86_state, m, F_MUST, doc)
const struct field x86_state_fields[] = {
    NUMBERS(1, xsave, "x87, SSE and AVX registers in XSAVE's standard format"),
    NUMBERS(2, gpr, "general registers, rax rcx rdx rbx rsp rbp rsi rdi r8-r15"),
    NUMBER(3, rip, "instruction pointer"),
    NUMBER(4, rflags, "flags"),
    FIELD_SUB(5, struct x86_state, seg, F_MUST, "es cs ss ds fs gs ldtr tr", segment_fields),
    FIELD_ANY(6, struct x86_state, gdtr, F_STRUCT, sizeof(struct x86_table), 1, F_MUST,
              "global descriptor table", table_fields),
    FIELD_ANY(7, struct x86_state, idtr, F_STRUCT, sizeof(struct x86_table), 1, F_MUST,
              "interrupt descriptor table", table_fields),
    NUMBER(8, cr0, "control register 0"),
    NUMBER(9, cr2, "control register 2"),
    NUMBER(10, cr3, "control register 3"),
    NUMBER(11, cr4, "control register 4"),
    NUMBERS(12, dr, "debug registers"),
    NUMBER(13, xcr0, "enabled XSAVE states"),
    NUMBER(14, efer, "IA32_EFER"),
    NUMBERS(15, pdpte, "page-directory-pointer entries of PAE paging"),
    NUMBER(16, star, "IA32_STAR"),
    NUMBER(17, lstar, "IA32_LSTAR"),
    NUMBER(18, cstar, "IA32_CSTAR"),
    NUMBER(19, fmask, "IA32_FMASK"),
    NUMBER(20, kernel_gs_base, "IA32_KERNEL_GS_BASE"),
    NUMBER(21, sysenter_cs, "IA32_SYSENTER_CS"),
    NUMBER(22, sysenter_esp, "IA32_SYSENTER_ESP"),
    NUMBER(23, sysenter_eip, "IA32_SYSENTER_EIP"),
    NUMBER(24, tsc_offset, "added to the machine's counter to give the TSC"),
    NUMBER(25, tsc_adjust, "IA32_TSC_ADJUST"),
    NUMBER(26, tsc_aux, "IA32_TSC_AUX"),
    NUMBER(27, pat, "IA32_PAT"),
    NUMBER(28, misc_enable, "IA32_MISC_ENABLE"),
    NUMBER(29, spec_ctrl, "IA32_SPEC_CTRL"),
    NUMBER(30, mtrr_def, "IA32_MTRR_DEF_TYPE"),
    NUMBERS(31, mtrr_base, "IA32_MTRR_PHYSBASE"),
    NUMBERS(32, mtrr_mask, "IA32_MTRR_PHYSMASK"),
    NUMBERS(33, mtrr_fixed, "fixed-range MTRRs, 64K 16K 4K in order of address"),
    NUMBER(34, mcg_status, "IA32_MCG_STATUS"),
    NUMBER(35, mcg_ctl, "IA32_MCG_CTL"),
    NUMBER(36, smbase, "IA32_SMBASE"),
    NUMBER(37, bios_sign, "IA32_BIOS_SIGN_ID"),
    NUMBER(38, pkru, "rights of protection keys"),
    NUMBER(39, shadow, "the instruction before was STI or MOV SS"),
    NUMBER(40, shadow_ss, "the instruction before was MOV SS or POP SS"),
    NUMBER(41, nmi_blocked, "an NMI handler runs"),
    NUMBER(42, halted, "waits for an interrupt"),
    FIELDS(43, struct x86_state, pad, F_LOCAL, "unused"),
    NUMBER(44, pkrs, "rights of the keys of the supervisor's pages"),
    FIELD_END,
};

enum { ATTR_DATA16 = ATTR_P | ATTR_S | 3, ATTR_CODE16 = ATTR_P | ATTR_S | 0xb };

static void state_segments(struct x86_state *s)
{
    for (u32 i = 0; i < SEG_COUNT; i++)
        s->seg[i] = (struct x86_segment){ .limit = 0xffff, .attr = ATTR_DATA16 };
    s->seg[SEG_CS] = (struct x86_segment){
        .base = 0xffff0000, .limit = 0xffff, .attr = ATTR_CODE16, .sel = 0xf000
    };
    s->seg[SEG_LDTR].attr = ATTR_P | 2;
    s->seg[SEG_TR].attr = ATTR_P | 0xb;
    s->gdtr = s->idtr = (struct x86_table){ .limit = 0xffff };
}

/* What RESET and INIT do alike. */
static void state_common(struct x86_state *s)
{
    memset(s->gpr, 0, sizeof(s->gpr));
    s->gpr[RDX] = 0x600; /* family 6; the caller knows the model better */
    s->rip = 0xfff0;
    s->rflags = FLAG_ONE;
    state_segments(s);
    s->cr2 = s->cr3 = s->cr4 = 0;
    memset(s->dr, 0, sizeof(s->dr));
    s->dr[6] = 0xffff0ff0;
    s->dr[7] = 0x400;
    memset(s->pdpte, 0, sizeof(s->pdpte));
    s->efer = 0;
    s->shadow = s->shadow_ss = s->nmi_blocked = s->halted = false;
}

void x86_state_reset(struct x86_state *s, u32 index)
{
    memset(s, 0, sizeof(*s));
    state_common(s);
    s->cr0 = CR0_CD | CR0_NW | CR0_ET;
    s->xcr0 = XCR0_X87;
    put_le16(s->xsave, 0x40);        /* FCW */
    put_le32(s->xsave + 24, 0x1f80); /* MXCSR */
    s->xsave[512] = 7;               /* XSTATE_BV */
    s->pat = 0x0007040600070406;
    s->misc_enable = 1; /* fast strings */
    s->smbase = 0x30000;
    s->bios_sign = 1ull << 32; /* microcode revision 1 */
}

void x86_state_init(struct x86_state *s, u32 index)
{
    u64 cache = s->cr0 & (CR0_CD | CR0_NW);

    state_common(s);
    s->cr0 = cache | CR0_ET;
}

static int state_check_control(const struct x86_state *s, struct err *e)
{
    u64 lma = (s->cr0 & CR0_PG) && (s->efer & EFER_LME) ? EFER_LMA : 0;

    if ((s->cr0 & CR0_PG) && !(s->cr0 & CR0_PE))
        return err_set(e, -EINVAL, "CR0 has PG without PE");
    if ((s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD))
        return err_set(e, -EINVAL, "CR0 has NW without CD");
    if (s->cr0 >> 32)
        return err_set(e, -EINVAL, "CR0 has reserved bits");
    if ((s->efer & EFER_LMA) != lma)
        return err_set(e, -EINVAL, "EFER.LMA does not follow from LME and CR0.PG");
    if (lma && !(s->cr4 & CR4_PAE))
        return err_set(e, -EINVAL, "long mode without CR4.PAE");
    if ((s->cr4 & CR4_PCIDE) && !lma)
        return err_set(e, -EINVAL, "CR4.PCIDE outside long mode");
    if (s->efer & ~(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
        return err_set(e, -EINVAL, "EFER has reserved bits");
    if (!(s->xcr0 & XCR0_X87) || (s->xcr0 & (XCR0_SSE | XCR0_AVX)) == XCR0_AVX)
        return err_set(e, -EINVAL, "XCR0 is not possible");
    return 0;
}

static int state_check_segments(const struct x86_state *s, struct err *e)
{
    u32 cs = s->seg[SEG_CS].attr;

    for (u32 i = 0; i < SEG_COUNT; i++)
        if (s->seg[i].attr & ~(u32)0x1f0ff)
            return err_set(e, -EINVAL, "segment %u has reserved attributes", i);
    if ((s->rflags & FLAG_VM) && (!(s->cr0 & CR0_PE) || x86_cpl(s) != 3))
        return err_set(e, -EINVAL, "virtual 8086 mode without protection");
    if (!(s->cr0 & CR0_PE) && x86_cpl(s))
        return err_set(e, -EINVAL, "real mode with privilege level %u", x86_cpl(s));
    if (x86_code64(s) && (cs & ATTR_DB))
        return err_set(e, -EINVAL, "CS has both L and D");
    return 0;
}

int x86_state_check(const struct x86_state *s, struct err *e)
{
    int r;

    if (!(s->rflags & FLAG_ONE) || (s->rflags & ~(u64)0x3f7fd7))
        return err_set(e, -EINVAL, "RFLAGS has reserved bits");
    if (s->xsave[512] != 7)
        return err_set(e, -EINVAL, "XSTATE_BV is %u, not 7", s->xsave[512]);
    if (le32(s->xsave + 24) & ~0xffffu)
        return err_set(e, -EINVAL, "MXCSR has reserved bits");
    if (s->dr[6] >> 32 || s->dr[7] >> 32)
        return err_set(e, -EINVAL, "DR6 or DR7 has reserved bits");
    r = state_check_control(s, e);
    return r ? r : state_check_segments(s, e);
}
