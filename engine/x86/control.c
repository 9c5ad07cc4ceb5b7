/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control registers, EFER, XCR0, PKRU and the flags, with what a change of them brings:
 * Intel SDM volume 3A 2.5, 4.10.4 (what flushes the TLB), 10.8.5 (into and out of long mode).
 */
#include "engine/x86/x86_int.h"
#include <x86intrin.h>

enum {
    CR0_ALL =
        CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD
};

static void control_bad(struct x86_cpu *c, bool bad)
{
    if (bad)
        x86_raise_code(c, VEC_GP, 0);
}

static void control_paging_on(struct x86_cpu *c)
{
    if (!(c->s.efer & EFER_LME))
        return;
    control_bad(c, !(c->s.cr4 & CR4_PAE) || (c->s.seg[SEG_CS].attr & ATTR_L));
    c->s.efer |= EFER_LMA;
}

static void control_paging_off(struct x86_cpu *c)
{
    control_bad(c, x86_code64(&c->s) || (c->s.cr4 & CR4_PCIDE));
    c->s.efer &= ~(u64)EFER_LMA;
}

void x86_set_cr0(struct x86_cpu *c, u64 val)
{
    u64 old = c->s.cr0, changed;

    control_bad(c, val >> 32);
    control_bad(c, (val & CR0_PG) && !(val & CR0_PE));
    control_bad(c, (val & CR0_NW) && !(val & CR0_CD));
    val = (val & ((u64)(u32)CR0_ALL | CR0_PG)) | CR0_ET;
    changed = old ^ val;
    if (changed & (CR0_PG | CR0_CD | CR0_NW))
        x86_load_pdptes(c, c->s.cr3, val, c->s.cr4);
    if (changed & val & CR0_PG)
        control_paging_on(c);
    else if (changed & CR0_PG)
        control_paging_off(c);
    c->s.cr0 = val;
    if (changed & (CR0_PG | CR0_PE | CR0_WP))
        x86_flush(c, FLUSH_ALL, 0);
    x86_mode_changed(c);
}

void x86_set_cr3(struct x86_cpu *c, u64 val)
{
    bool spaces = c->s.cr4 & CR4_PCIDE && c->s.cr4 & CR4_PGE;
    u64 keeps = val & FLUSH_KEEPS, was = c->s.cr3;

    if (c->s.cr4 & CR4_PCIDE)
        val &= ~FLUSH_KEEPS;
    control_bad(c, x86_long(&c->s) && val >> x86_phys_bits());
    x86_load_pdptes(c, val, c->s.cr0, c->s.cr4);
    c->s.cr3 = val;
    if (spaces)
        x86_flush(c, FLUSH_SWITCH, was | keeps);
    else
        x86_flush(c, c->s.cr4 & CR4_PGE ? FLUSH_NONGLOBAL : FLUSH_ALL, 0);
}

void x86_set_cr4(struct x86_cpu *c, u64 val)
{
    u64 changed = c->s.cr4 ^ val;

    control_bad(c, val & ~x86_cr4_allowed());
    control_bad(c, x86_long(&c->s) && ((changed & CR4_LA57) || !(val & CR4_PAE)));
    control_bad(c, (changed & val & CR4_PCIDE) && (!x86_long(&c->s) || (c->s.cr3 & 0xfff)));
    if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP))
        x86_load_pdptes(c, c->s.cr3, c->s.cr0, val);
    c->s.cr4 = val;
    if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS |
                   CR4_PCIDE | CR4_LA57))
        x86_flush(c, FLUSH_ALL, 0);
    x86_mode_changed(c);
}

void x86_set_efer(struct x86_cpu *c, u64 val)
{
    u64 changed = c->s.efer ^ val;

    control_bad(c, val & ~(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE));
    control_bad(c, (changed & EFER_LME) && (c->s.cr0 & CR0_PG));
    c->s.efer = (val & ~(u64)EFER_LMA) | (c->s.efer & EFER_LMA);
    if (changed & EFER_NXE)
        x86_flush(c, FLUSH_ALL, 0);
    x86_mode_changed(c);
}

void x86_set_xcr0(struct x86_cpu *c, u64 val)
{
    control_bad(c, val & ~x86_xcr0_allowed());
    control_bad(c, !(val & XCR0_X87) || (val & (XCR0_SSE | XCR0_AVX)) == XCR0_AVX);
    c->s.xcr0 = val;
    x86_mode_changed(c);
}

void x86_set_pkru(struct x86_cpu *c, u32 val)
{
    if (c->s.pkru == val)
        return;
    c->s.pkru = val;
    if (c->s.cr4 & CR4_PKE)
        x86_flush(c, FLUSH_ALL, 0);
}

void x86_set_pkrs(struct x86_cpu *c, u32 val)
{
    if (c->s.pkrs == val)
        return;
    c->s.pkrs = val;
    if (c->s.cr4 & CR4_PKS)
        x86_flush(c, FLUSH_ALL, 0);
}

void x86_set_flags(struct x86_cpu *c, u64 val, u64 mask)
{
    u64 may = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID | FLAG_RF;
    u64 old = c->s.rflags;
    u32 cpl = x86_cpl(&c->s);

    if (cpl <= (old >> 12 & 3))
        may |= FLAG_IF;
    if (cpl == 0)
        may |= FLAG_IOPL;
    mask &= may;
    c->s.rflags = (old & ~mask) | (val & mask) | FLAG_ONE;
    if ((old ^ c->s.rflags) & ~(u64)FLAGS_ARITH)
        x86_mode_changed(c);
}

u64 x86_rdtsc(struct x86_cpu *c)
{
    return (__rdtsc() >> c->tsc_slow) + c->s.tsc_offset;
}
