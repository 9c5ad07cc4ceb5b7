/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What CPUID answers: the host's own leaves, masked by what the software engines do.  Nothing
 * that the host lacks is shown, for vector instructions run on it, except what is the
 * machine's and not the processor's: x2APIC, TSC deadline, the hypervisor bit, or the page walk's: protection keys.  Intel SDM
 * volume 2A, CPUID.
 */
#include "engine/x86/x86_int.h"
#include <cpuid.h>
#include <pthread.h>
#include <string.h>

enum { EAX, EBX, ECX, EDX };
enum { LEAVES = 0xe, SUBS = 10, EXT_LEAVES = 9 };
#define EXT 0x80000000u
#define BIT(n) (1u << (n))

enum { AUTHENTIC_AMD = 0x68747541, HYGON_GENUINE = 0x6f677948 }; /* EBX of leaf 0 */
enum {
    L1C_X2APIC = 21,
    L1C_DEADLINE = 24,
    L1C_XSAVE = 26,
    L1C_OSXSAVE = 27,
    L1C_HYPERVISOR = 31,
    L1D_APIC = 9,
    L1D_HTT = 28,
    L7B_AVX512F = 16,
    L7C_OSPKE = 4,
    L7D_SPEC_CTRL = 26,
    L7D_ARCH_CAP = 29,
    L72D_BHI_CTRL = 4, /* of subleaf 2 */
};

/* SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND */
static const u32 cpuid_l1c = BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) |
                             BIT(20) | BIT(22) | BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) |
                             BIT(30);
/* all of FPU to PSE36 but PSN, CLFSH MMX FXSR SSE SSE2 SS */
static const u32 cpuid_l1d = 0x0783fbff | BIT(19) | BIT(27);
/* FSGSBASE TSC_ADJUST BMI1 AVX2 FDP SMEP BMI2 ERMS INVPCID FCS RDSEED ADX SMAP CLFLUSHOPT CLWB */
static const u32 cpuid_l7b = BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(9) |
                             BIT(10) | BIT(13) | BIT(18) | BIT(19) | BIT(20) | BIT(23) | BIT(24);
static const u32 cpuid_l7c = BIT(2) | BIT(3) | BIT(22); /* UMIP PKU RDPID */
static const u32 cpuid_l7c_own = BIT(31);               /* PKS: the host need not have it */
static const u32 cpuid_l7d = BIT(4);                    /* FSRM */
static const u32 cpuid_e1c = BIT(0) | BIT(5) | BIT(8);  /* LAHF LZCNT PREFETCHW */
/* SYSCALL NX PDPE1GB RDTSCP LM */
static const u32 cpuid_e1d = BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29);

static struct {
    u32 basic[LEAVES][SUBS][4], ext[EXT_LEAVES][4];
} model;
static pthread_once_t model_once = PTHREAD_ONCE_INIT;

static void cpuid_host(u32 leaf, u32 sub, u32 r[4])
{
    if (!__get_cpuid_count(leaf, sub, &r[EAX], &r[EBX], &r[ECX], &r[EDX]))
        memset(r, 0, 4 * sizeof(*r));
}

/*
 * Programs choose code by the processor's name too (GCC's arch= clones), and on one that always
 * has AVX-512 they use it unasked: such a host is shown as the last of its kind that never has.
 */
enum { SKYLAKE_CLIENT = 0x506e3, ZEN2 = 0x830f10 }; /* family, model, stepping */

static u32 cpuid_name(u32 host)
{
    u32 r[4];

    cpuid_host(7, 0, r);
    if (!(r[EBX] & BIT(L7B_AVX512F)))
        return host;
    return model.basic[0][0][EBX] == AUTHENTIC_AMD ? ZEN2 : SKYLAKE_CLIENT;
}

static void cpuid_make_features(void)
{
    u32 *r = model.basic[1][0];

    cpuid_host(1, 0, r);
    r[EAX] = cpuid_name(r[EAX]);
    r[EBX] &= 0xff00; /* CLFLUSH's line; the rest is each vCPU's */
    r[ECX] = (r[ECX] & cpuid_l1c) | BIT(L1C_X2APIC) | BIT(L1C_DEADLINE) | BIT(L1C_HYPERVISOR);
    r[EDX] = (r[EDX] & cpuid_l1d) | BIT(L1D_APIC);
    r = model.basic[7][0];
    cpuid_host(7, 0, r);
    r[EAX] = 2; /* the last subleaf */
    r[EBX] &= cpuid_l7b;
    r[ECX] = (r[ECX] & cpuid_l7c) | cpuid_l7c_own;
    r[EDX] = (r[EDX] & cpuid_l7d) | BIT(L7D_SPEC_CTRL) | BIT(L7D_ARCH_CAP);
    /* without it Linux clears the branch history by a loop at each system call */
    model.basic[7][2][EDX] = BIT(L72D_BHI_CTRL);
}

/*
 * Leaf 0xd: x87, SSE and AVX as everywhere; PKRU, eight bytes, where the host's processor has
 * it, for guests may run on that.
 */
enum { XSAVE_LEGACY = 576, XSAVE_AVX = 256, XSAVE_PKRU = 8 };

static u32 cpuid_pkru_at(void)
{
    u32 host[4];

    cpuid_host(0xd, 9, host);
    return host[EAX] == XSAVE_PKRU && host[EBX] >= XSAVE_LEGACY + XSAVE_AVX
               ? host[EBX]
               : XSAVE_LEGACY + XSAVE_AVX;
}

static void cpuid_make_xsave(void)
{
    enum { LEGACY = XSAVE_LEGACY, AVX = XSAVE_AVX, PKRU = XSAVE_PKRU };
    bool avx = model.basic[1][0][ECX] & BIT(28), pku = model.basic[7][0][ECX] & BIT(3);
    u32 host[4], (*r)[4] = model.basic[0xd];

    if (!(model.basic[1][0][ECX] & BIT(L1C_XSAVE)))
        return;
    r[0][EAX] = XCR0_X87 | XCR0_SSE | (avx ? XCR0_AVX : 0) | (pku ? XCR0_PKRU : 0);
    r[0][ECX] = pku ? cpuid_pkru_at() + PKRU : avx ? LEGACY + AVX : LEGACY;
    cpuid_host(0xd, 1, host);
    r[1][EAX] = host[EAX] & 7; /* XSAVEOPT XSAVEC XGETBV1 */
    if (avx) {
        r[2][EAX] = AVX;
        r[2][EBX] = LEGACY;
    }
    if (pku) {
        r[9][EAX] = PKRU;
        r[9][EBX] = cpuid_pkru_at();
    }
}

/*
 * A terabyte is enough, and OVMF maps all that could be there in pages of 2 MiB: with the 46
 * bits of a server that is half a minute of its start.
 */
enum { PHYS_BITS = 40 };

static void cpuid_make_extended(void)
{
    u32 host[4], (*r)[4] = model.ext, phys;

    cpuid_host(EXT, 0, host);
    r[0][EAX] = EXT + EXT_LEAVES - 1;
    memcpy(&r[0][EBX], &host[EBX], 12);
    for (u32 i = 1; i < EXT_LEAVES; i++)
        cpuid_host(EXT + i, 0, r[i]);
    r[1][EAX] = r[1][EAX] ? model.basic[1][0][EAX] : 0; /* AMD's repeat it */
    r[1][ECX] &= cpuid_e1c;
    r[1][EDX] &= cpuid_e1d;
    memset(r[5], 0, sizeof(r[5]));
    r[7][EAX] = r[7][EBX] = r[7][ECX] = 0;
    r[7][EDX] = BIT(8); /* the TSC counts alike always */
    phys = r[8][EAX] & 0xff;
    r[8][EAX] = (phys < 36 ? 36 : phys > PHYS_BITS ? PHYS_BITS : phys) | 48 << 8;
    r[8][EBX] = r[8][ECX] = r[8][EDX] = 0;
}

static void cpuid_make(void)
{
    cpuid_host(0, 0, model.basic[0][0]);
    model.basic[0][0][EAX] = LEAVES - 1;
    cpuid_make_features();
    cpuid_host(2, 0, model.basic[2][0]);
    for (u32 i = 0; i < SUBS; i++) {
        cpuid_host(4, i, model.basic[4][i]);
        if (!(model.basic[4][i][EAX] & 0x1f))
            break;
        model.basic[4][i][EAX] &= 0x3ff; /* who shares it is topology */
    }
    model.basic[6][0][EAX] = BIT(2); /* the APIC timer never stops */
    cpuid_make_xsave();
    cpuid_make_extended();
}

void x86_cpuid_model(u32 leaf, u32 sub, u32 regs[4])
{
    bool subs = leaf == 4 || leaf == 7 || leaf == 0xd;

    pthread_once(&model_once, cpuid_make);
    memset(regs, 0, 4 * sizeof(*regs));
    if (leaf < LEAVES && (!subs || sub < SUBS))
        memcpy(regs, model.basic[leaf][subs ? sub : 0], 4 * sizeof(*regs));
    else if (leaf >= EXT && leaf - EXT < EXT_LEAVES)
        memcpy(regs, model.ext[leaf - EXT], 4 * sizeof(*regs));
}

u32 x86_phys_bits(void)
{
    pthread_once(&model_once, cpuid_make);
    return model.ext[8][EAX] & 0xff;
}

bool x86_has_gib_pages(void)
{
    pthread_once(&model_once, cpuid_make);
    return model.ext[1][EDX] & BIT(26);
}

u64 x86_xcr0_allowed(void)
{
    pthread_once(&model_once, cpuid_make);
    return model.basic[0xd][0][EAX];
}

u64 x86_cr4_allowed(void)
{
    u64 r = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |
            CR4_OSFXSR | CR4_OSXMMEXCPT;
    u32 l1c, l7b, l7c;

    pthread_once(&model_once, cpuid_make);
    l1c = model.basic[1][0][ECX];
    l7b = model.basic[7][0][EBX];
    l7c = model.basic[7][0][ECX];
    r |= l1c & BIT(17) ? CR4_PCIDE : 0;
    r |= l1c & BIT(L1C_XSAVE) ? CR4_OSXSAVE : 0;
    r |= l7b & BIT(0) ? CR4_FSGSBASE : 0;
    r |= l7b & BIT(7) ? CR4_SMEP : 0;
    r |= l7b & BIT(20) ? CR4_SMAP : 0;
    r |= l7c & BIT(2) ? CR4_UMIP : 0;
    r |= l7c & BIT(3) ? CR4_PKE : 0;
    r |= l7c & BIT(31) ? CR4_PKS : 0;
    return r;
}

/* ---- each vCPU's own ---- */

static u32 cpuid_log2_up(u32 n)
{
    u32 bits = 0;

    while (n > 1u << bits)
        bits++;
    return bits;
}

/* One package of apic_ids cores, one thread each. */
static void cpuid_topology(const struct x86_cpu *c, u32 leaf, u32 sub, u32 r[4])
{
    u32 bits = cpuid_log2_up(c->apic_ids);

    if (leaf == 1) {
        r[EBX] |= c->index << 24 | (c->apic_ids & 0xff) << 16;
        r[EDX] |= c->apic_ids > 1 ? BIT(L1D_HTT) : 0;
    } else if (leaf == 4 && (r[EAX] & 0x1f)) {
        u32 share = (r[EAX] >> 5 & 7) >= 3 ? (1u << bits) - 1 : 0;

        r[EAX] |= ((1u << bits) - 1) << 26 | share << 14;
    } else if (leaf == 0xb) {
        r[EAX] = sub == 1 ? bits : 0;
        r[EBX] = sub == 0 ? 1 : sub == 1 ? c->apic_ids : 0;
        r[ECX] = (sub & 0xff) | (sub < 2 ? (sub + 1) << 8 : 0);
        r[EDX] = c->index;
    }
}

static u32 cpuid_xsave_size(u64 xcr0, bool compact)
{
    u32 n = XSAVE_LEGACY + (xcr0 & XCR0_AVX ? XSAVE_AVX : 0);

    if (xcr0 & XCR0_PKRU)
        n = (compact ? n : model.basic[0xd][9][EBX]) + XSAVE_PKRU;
    return n;
}

static void cpuid_dynamic(struct x86_cpu *c, u32 leaf, u32 sub, u32 r[4])
{
    u64 base;

    if (leaf == 1) {
        if (c->s.cr4 & CR4_OSXSAVE)
            r[ECX] |= BIT(L1C_OSXSAVE);
        if (!c->io->rdmsr(c->io->arg, 0x1b, &base) && !(base & BIT(11)))
            r[EDX] &= ~BIT(L1D_APIC);
    } else if (leaf == 7 && !sub && (c->s.cr4 & CR4_PKE)) {
        r[ECX] |= BIT(L7C_OSPKE);
    } else if (leaf == 0xd && !sub && r[EAX]) {
        r[EBX] = cpuid_xsave_size(c->s.xcr0, false);
    } else if (leaf == 0xd && sub == 1 && (r[EAX] & 2)) {
        r[EBX] = cpuid_xsave_size(c->s.xcr0, true);
    }
}

/* AMD's name, a Zen 2 and its place for the number of processors; no leaf that is Intel's. */
static void cpuid_amd(const struct x86_cpu *c, u32 leaf, u32 r[4])
{
    static const char brand[48] = "AMD EPYC-class processor";

    if (leaf == 0 || leaf == EXT) {
        memcpy(&r[EBX], "Auth", 4);
        memcpy(&r[EDX], "enti", 4);
        memcpy(&r[ECX], "cAMD", 4);
    } else if (leaf == 1 || leaf == EXT + 1) {
        r[EAX] = ZEN2;
    } else if (leaf == 2 || leaf == 4) {
        memset(r, 0, 4 * sizeof(*r));
    } else if (leaf == 7) {
        r[EDX] = 0;
    } else if (leaf >= EXT + 2 && leaf <= EXT + 4) {
        memcpy(r, brand + 16 * (leaf - EXT - 2), 16);
    } else if (leaf == EXT + 5) {
        r[ECX] = r[EDX] = 32u << 24 | 8 << 16 | 1 << 8 | 64; /* 32 KiB, 8 ways */
    } else if (leaf == EXT + 6) {
        r[ECX] = 512u << 16 | 6 << 12 | 1 << 8 | 64;
    } else if (leaf == EXT + 8) {
        r[ECX] = (cpuid_log2_up(c->apic_ids) << 12) | (c->apic_ids - 1);
    }
    if (leaf == EXT + 1 && c->apic_ids > 1)
        r[ECX] |= BIT(1); /* CmpLegacy: cores, not threads */
}

static void cpuid_leaf(struct x86_cpu *c, u32 leaf, u32 sub, u32 regs[4])
{
    x86_cpuid_model(leaf, sub, regs);
    if (c->amd)
        cpuid_amd(c, leaf, regs);
    cpuid_topology(c, leaf, sub, regs);
    cpuid_dynamic(c, leaf, sub, regs);
    c->io->cpuid(c->io->arg, leaf, sub, regs);
}

/*
 * A leaf above the last of its range answers as the last basic one does (SDM 2A, CPUID), but
 * for AMD's processors, where it is zeroes.  The hypervisor's range is whose it is.
 */
static u32 cpuid_last(struct x86_cpu *c, u32 leaf)
{
    u32 range = leaf & 0xf0000000, r[4], basic;

    if (range == 0x40000000)
        return leaf;
    cpuid_leaf(c, 0, 0, r);
    basic = r[EAX];
    if (r[EBX] == AUTHENTIC_AMD || r[EBX] == HYGON_GENUINE)
        return leaf;
    if (range == EXT)
        cpuid_leaf(c, EXT, 0, r);
    return (range && range != EXT) || leaf > r[EAX] ? basic : leaf;
}

void x86_cpuid(struct x86_cpu *c, u32 leaf, u32 sub, u32 regs[4])
{
    cpuid_leaf(c, cpuid_last(c, leaf), sub, regs);
}
