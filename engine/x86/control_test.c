/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Control registers, MSRs, CPUID, flags; and states, tables and selectors at random. */
#include "engine/x86/cpu_rig.h"
#include "engine/x86/x86_int.h"
#include "tests/check.h"
#include "tests/random64.h"

static void cr0(struct x86_cpu *c, const u64 *a)
{
    x86_set_cr0(c, a[0]);
}
static void cr3(struct x86_cpu *c, const u64 *a)
{
    x86_set_cr3(c, a[0]);
}
static void cr4(struct x86_cpu *c, const u64 *a)
{
    x86_set_cr4(c, a[0]);
}
static void efer(struct x86_cpu *c, const u64 *a)
{
    x86_set_efer(c, a[0]);
}
static void wrmsr(struct x86_cpu *c, const u64 *a)
{
    x86_wrmsr(c, (u32)a[0], a[1]);
}
static void rdmsr(struct x86_cpu *c, const u64 *a)
{
    c->s.gpr[RAX] = x86_rdmsr(c, (u32)a[0]);
}

static void into_long_mode_and_out(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 0);
    CHECK_EQ(rig_try(&r, efer, EFER_LME, 0, 0), -1);
    CHECK_EQ(rig_try(&r, cr0, CR0_PE | CR0_PG, 0, 0), VEC_GP); /* no PAE */
    CHECK_EQ(rig_try(&r, cr4, CR4_PAE, 0, 0), -1);
    CHECK_EQ(rig_try(&r, cr0, CR0_PE | CR0_PG, 0, 0), -1);
    CHECK(x86_long(&r.c->s));
    CHECK_EQ(rig_try(&r, efer, 0, 0, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, cr4, 0, 0, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, cr4, CR4_PAE | CR4_PCIDE, 0, 0), -1);
    CHECK_EQ(rig_try(&r, cr0, CR0_PE, 0, 0), VEC_GP); /* PCIDE */
    CHECK_EQ(rig_try(&r, cr3, 1ull << 63 | 0x1005, 0, 0), -1);
    CHECK_EQ(r.c->s.cr3, 0x1005);
    CHECK_EQ(rig_try(&r, cr3, 1ull << 62, 0, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, cr4, CR4_PAE, 0, 0), -1);
    CHECK_EQ(rig_try(&r, cr4, CR4_PAE | CR4_PCIDE, 0, 0), VEC_GP); /* CR3 low bits */
    CHECK_EQ(rig_try(&r, cr0, CR0_PE, 0, 0), -1);
    CHECK(!x86_long(&r.c->s));
    CHECK(r.c->s.efer & EFER_LME);
    CHECK_EQ(rig_try(&r, cr0, CR0_PG, 0, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, cr0, CR0_NW, 0, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, cr0, 1ull << 32, 0, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, cr4, 1 << 13, 0, 0), VEC_GP);  /* VMXE */
    CHECK_EQ(rig_try(&r, efer, 1 << 12, 0, 0), VEC_GP); /* SVME */
    rig_close(&r);
}

static void pdptes(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 0);
    put_le64(r.ram + 0x6000, 0x200001);
    put_le64(r.ram + 0x6018, 0x300001);
    CHECK_EQ(rig_try(&r, cr4, CR4_PAE, 0, 0), -1);
    CHECK_EQ(rig_try(&r, cr3, 0x6000, 0, 0), -1);
    CHECK_EQ(r.c->s.pdpte[0], 0);
    CHECK_EQ(rig_try(&r, cr0, CR0_PE | CR0_PG, 0, 0), -1);
    CHECK_EQ(r.c->s.pdpte[0], 0x200001);
    CHECK_EQ(r.c->s.pdpte[3], 0x300001);
    put_le64(r.ram + 0x6000, 0x200003); /* reserved */
    CHECK_EQ(r.c->s.pdpte[0], 0x200001);
    CHECK_EQ(rig_try(&r, cr3, 0x6000, 0, 0), VEC_GP);
    put_le64(r.ram + 0x6000, 0x400002); /* not present: anything goes */
    CHECK_EQ(rig_try(&r, cr3, 0x6000, 0, 0), -1);
    CHECK_EQ(r.c->s.pdpte[0], 0x400002);
    rig_close(&r);
}

static void msrs(void)
{
    struct rig r;
    u64 before;

    rig_open(&r);
    rig_long(&r, 0);
    CHECK_EQ(rig_try(&r, wrmsr, 0xc0000100, 0xffff800000001234, 0), -1);
    CHECK_EQ(r.c->s.seg[SEG_FS].base, 0xffff800000001234);
    CHECK_EQ(rig_try(&r, wrmsr, 0xc0000100, 1ull << 48, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, wrmsr, 0xc0000082, 1ull << 48, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, wrmsr, 0x277, 0x0007040600070406, 0), -1);
    CHECK_EQ(rig_try(&r, wrmsr, 0x277, 2, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, wrmsr, 0x200, 6, 0), -1);
    CHECK_EQ(rig_try(&r, wrmsr, 0x200, 2, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, wrmsr, 0x201, 0x800, 0), -1);
    CHECK_EQ(r.c->s.mtrr_mask[0], 0x800);
    CHECK_EQ(rig_try(&r, wrmsr, 0x26f, 0x0606060606060606, 0), -1);
    CHECK_EQ(r.c->s.mtrr_fixed[10], 0x0606060606060606);
    CHECK_EQ(rig_try(&r, wrmsr, 0x26f, 0x0606060606060602, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, wrmsr, 0xfe, 0, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, rdmsr, 0x12345, 0, 0), VEC_GP);
    CHECK_EQ(rig_try(&r, rdmsr, 0x10a, 0, 0), -1);
    CHECK(r.c->s.gpr[RAX] & 1);                             /* RDCL_NO */
    CHECK_EQ(rig_try(&r, wrmsr, 0x48, 1 << 10 | 1, 0), -1); /* BHI_DIS_S, IBRS */
    CHECK_EQ(r.c->s.spec_ctrl, 1 << 10 | 1);
    CHECK_EQ(rig_try(&r, wrmsr, 0x48, 1 << 3, 0), VEC_GP);
    before = x86_rdtsc(r.c);
    CHECK_EQ(rig_try(&r, wrmsr, 0x3b, 1ull << 50, 0), -1);
    CHECK(x86_rdtsc(r.c) - before >= 1ull << 50);
    CHECK_EQ(rig_try(&r, wrmsr, 0x10, 5, 0), -1);
    CHECK(x86_rdtsc(r.c) < 1ull << 40);
    CHECK_EQ(r.c->s.tsc_adjust, (1ull << 50) + r.c->s.tsc_offset - (1ull << 50));
    rig_close(&r);
}

static void cpuid(void)
{
    struct rig r;
    u32 m[4], g[4];

    rig_open(&r);
    r.c->apic_ids = 6;
    r.c->index = 5;
    x86_cpuid_model(1, 0, m);
    CHECK(!(m[2] & (1u << 5 | 1u << 3 | 1u << 27))); /* VMX MONITOR OSXSAVE */
    CHECK(m[2] & 1u << 31);
    CHECK(m[0] >> 4 != 0x5065 && m[0] >> 4 != 0x806f); /* always have AVX-512, guests never */
    x86_cpuid(r.c, 1, 0, g);
    CHECK_EQ(g[1] >> 24, 5);
    CHECK_EQ(g[1] >> 16 & 0xff, 6);
    r.c->s.cr4 |= CR4_OSXSAVE;
    x86_cpuid(r.c, 1, 0, g);
    CHECK(g[2] & 1u << 27);
    x86_cpuid(r.c, 0xb, 1, g);
    CHECK_EQ(g[0], 3);
    CHECK_EQ(g[1], 6);
    CHECK_EQ(g[3], 5);
    x86_cpuid_model(7, 0, m);
    CHECK(!(m[1] & (1u << 16 | 1u << 4 | 1u << 11 | 1u << 14))); /* AVX512F HLE RTM MPX */
    CHECK(!(m[3] & (1u << 22 | 1u << 24)));                      /* AMX */
    CHECK_EQ(m[0], 2);
    x86_cpuid_model(7, 2, m);
    CHECK_EQ(m[3], 1u << 4); /* BHI_CTRL */
    r.c->s.xcr0 = 7;
    x86_cpuid(r.c, 0xd, 0, g);
    CHECK(g[0] == 0 || g[1] == 832);
    x86_cpuid_model(0x80000007, 0, m);
    CHECK_EQ(m[3], 1u << 8);
    x86_cpuid_model(0x40000000, 0, m);
    CHECK_EQ(m[0] | m[1] | m[2] | m[3], 0);
    rig_close(&r);
}

static void flags_by_level(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 3);
    r.c->s.rflags = FLAG_ONE | FLAG_IF;
    x86_set_flags(r.c, FLAG_CF | FLAG_IOPL | FLAG_VM | FLAG_ID, ~0ull);
    CHECK_EQ(r.c->s.rflags, FLAG_ONE | FLAG_IF | FLAG_CF | FLAG_ID);
    rig_protected(&r, 0);
    x86_set_flags(r.c, FLAG_IOPL | FLAG_VIF | FLAG_NT, 0xffff);
    CHECK_EQ(r.c->s.rflags, FLAG_ONE | FLAG_IOPL | FLAG_NT);
    rig_close(&r);
}

/* ---- at random ---- */

static void random_action(struct x86_cpu *c, const u64 *a)
{
    switch (a[0] % 12) {
    case 0:
        x86_far_jump(c, (u16)a[1], a[2], c->s.rip + 2);
        break;
    case 1:
        x86_far_call(c, (u16)a[1], a[2], c->s.rip + 2, 2u << a[0] % 3);
        break;
    case 2:
        x86_far_ret(c, 2u << a[1] % 3, (u16)a[2]);
        break;
    case 3:
    case 4:
        x86_iret(c, 2u << a[1] % 3, c->s.rip + 1);
        break;
    case 5:
        x86_load_segment(c, a[1] % 6 == SEG_CS ? SEG_DS : a[1] % 6, (u16)a[2]);
        break;
    case 6:
        x86_software_interrupt(c, (u8)a[1], c->s.rip + 2, a[2] & 1);
        break;
    case 7:
        x86_load_tr(c, (u16)a[1]);
        break;
    case 8:
        x86_load_ldtr(c, (u16)a[1]);
        break;
    case 9:
        x86_set_cr3(c, a[1] & 0x3ff000);
        break;
    case 10:
        x86_push(c, a[1], 2u << a[2] % 3);
        break;
    default:
        c->s.gpr[RAX] = x86_pop(c, 2u << a[2] % 3);
    }
}

static void random_tables(struct rig *r)
{
    for (u32 i = 0; i < 0x4000; i += 8) {
        u64 v = random64();

        if (random64() & 1) /* mostly present, mostly low and short */
            v = (v & 0x00dfff0000ffffff) | 1ull << 47;
        put_le64(r->ram + RIG_GDT + i, v);
    }
    for (u32 i = 0; i < 0x4000; i += 8)
        put_le64(r->ram + 0x100000 + i,
                 (random64() & 0x3ff000) | (random64() & (random64() & 3 ? 0xff : ~0ull)));
}

static void random_start(struct rig *r)
{
    struct x86_state *s = &r->c->s;
    u32 mode = random64() % 4;

    if (mode == 0)
        rig_long(r, random64() & 1 ? 3 : 0);
    else
        rig_protected(r, random64() & 1 ? 3 : 0);
    random_tables(r);
    if (mode == 1) {
        s->cr3 = 0x100000;
        s->cr0 |= CR0_PG;
        s->cr4 = CR4_PSE;
    }
    s->rflags = FLAG_ONE | (random64() & (FLAG_NT | FLAG_IF | FLAG_AC));
    s->seg[SEG_LDTR] = (struct x86_segment){ .base = RIG_LDT, .limit = 0xfff, .attr = ATTR_P | 2 };
    s->seg[SEG_TR].limit = random64() & 0x1ff;
    s->seg[SEG_TR].attr = ATTR_P | (random64() & 8) | 3;
    x86_flush(r->c, FLUSH_ALL, 0);
}

/* Whatever tables say, what comes out is a state that a processor can be in. */
static void anything_goes(void)
{
    struct err e = { 0 };
    struct rig r;
    u32 done = 0;

    rig_open(&r);
    for (u32 i = 0; i < 1500; i++) {
        random_start(&r);
        for (u32 n = 0; n < 20; n++) {
            if (rig_try(&r, random_action, random64(), random64(), random64()) < 0)
                done++;
            else if (x86_deliver_fault(r.c) == STEP_SHUTDOWN)
                break;
            if (x86_state_check(&r.c->s, &e)) {
                CHECK_TEXT(e.text, "");
                break;
            }
        }
    }
    CHECK(done > 100);
    rig_close(&r);
}

int main(void)
{
    CASE(into_long_mode_and_out);
    CASE(pdptes);
    CASE(msrs);
    CASE(cpuid);
    CASE(flags_by_level);
    CASE(anything_goes);
    return check_end();
}
