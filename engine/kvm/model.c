/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guest is shown: CPUID from the same tables as the software engines' (x86_cpuid),
 * less what this KVM cannot run; and who answers MSRs.  KVM keeps those that the processor
 * acts on; all others come to us by the MSR filter, and x86_rdmsr and x86_wrmsr answer them
 * as under the other engines.
 */
#include "engine/kvm/kvm_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { EAX, EBX, ECX, EDX };
enum { ENTRIES = 128 };
#define BIT(n) (1u << (n))

/* ---- what KVM can do ---- */

int kvm_supported(struct kvm *k, struct err *e)
{
    for (u32 n = ENTRIES; n <= 4096; n *= 2) {
        struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + n * sizeof(c->entries[0]));
        int r;

        if (!c)
            return err_set(e, -ENOMEM, "no memory for KVM's CPUID");
        c->nent = n;
        r = kvm_ask(k->fd, KVM_GET_SUPPORTED_CPUID, c);
        if (r >= 0) {
            k->supported = c;
            return 0;
        }
        free(c);
        if (r != -E2BIG)
            return err_set(e, r, "KVM does not tell what its processor can: %s", strerror(-r));
    }
    return err_set(e, -E2BIG, "KVM tells too much of its processor");
}

static void model_kvm(const struct kvm *k, u32 leaf, u32 sub, u32 r[4])
{
    memset(r, 0, 4 * sizeof(*r));
    for (u32 i = 0; i < k->supported->nent; i++) {
        const struct kvm_cpuid_entry2 *c = &k->supported->entries[i];

        if (c->function == leaf && c->index == sub) {
            r[EAX] = c->eax, r[EBX] = c->ebx, r[ECX] = c->ecx, r[EDX] = c->edx;
            return;
        }
    }
}

/* Features that are the machine's and not the processor's stay, whatever KVM says. */
void kvm_model_mask(const struct kvm *k, u32 leaf, u32 sub, u32 regs[4])
{
    u32 has[4];

    if (leaf == 1) {
        model_kvm(k, 1, 0, has);
        regs[ECX] &= has[ECX] | BIT(21) | BIT(24) | BIT(31); /* x2APIC, deadline, hypervisor */
        regs[EDX] &= has[EDX] | BIT(9) | BIT(28);            /* APIC, several threads */
    } else if (leaf == 7 && sub == 0) {
        model_kvm(k, 7, 0, has);
        regs[EBX] &= has[EBX];
        regs[ECX] &= has[ECX];
        regs[EDX] &= has[EDX];
    } else if (leaf == 0xd && sub < 2) {
        model_kvm(k, 0xd, sub, has);
        regs[EAX] &= has[EAX];
    } else if (leaf == 0x80000001) {
        model_kvm(k, leaf, 0, has);
        regs[ECX] &= has[ECX];
        regs[EDX] &= has[EDX];
    }
}

/* ---- the table for one vCPU ---- */

struct model {
    struct vcpu *v;
    struct kvm_cpuid2 *to;
    bool full;
};

static void model_leaf(struct model *m, u32 leaf, u32 sub, bool has_subs, u32 r[4])
{
    struct kvm_cpuid_entry2 *c;

    x86_cpuid(&m->v->c, leaf, sub, r);
    kvm_model_mask(m->v->kvm, leaf, sub, r);
    if (m->to->nent == ENTRIES) {
        m->full = true;
        return;
    }
    c = &m->to->entries[m->to->nent++];
    c->function = leaf;
    c->index = sub;
    c->flags = has_subs ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
    c->eax = r[EAX], c->ebx = r[EBX], c->ecx = r[ECX], c->edx = r[EDX];
}

/* A leaf with sub-leaves goes on to the first empty one; 0xd has gaps. */
static void model_subs(struct model *m, u32 leaf)
{
    u32 most = leaf == 0xd ? 10 : leaf == 0xb ? 3 : 8, r[4];

    for (u32 sub = 0; sub < most; sub++) {
        model_leaf(m, leaf, sub, true, r);
        if (leaf == 0xd && sub > 1 && !r[EAX])
            m->to->nent--;
        if (leaf == 4 && !(r[EAX] & 0x1f))
            break;
        if (leaf == 7 && sub >= r[EAX])
            break;
    }
}

static void model_range(struct model *m, u32 first, u32 most)
{
    u32 r[4], last;

    model_leaf(m, first, 0, false, r);
    last = r[EAX];
    for (u32 leaf = first + 1; leaf <= last && leaf - first < most; leaf++) {
        if (leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd)
            model_subs(m, leaf);
        else
            model_leaf(m, leaf, 0, false, r);
    }
}

int kvm_model_set(struct vcpu *v, struct err *e)
{
    struct model m = { .v = v };
    int r;

    m.to = calloc(1, sizeof(*m.to) + ENTRIES * sizeof(m.to->entries[0]));
    if (!m.to)
        return err_set(e, -ENOMEM, "no memory for CPUID");
    model_range(&m, 0, 0x20);
    model_range(&m, 0x40000000, 0x20);
    model_range(&m, 0x40000100, 0x20);
    model_range(&m, 0x80000000, 0x20);
    r = m.full ? -E2BIG : kvm_ask(v->fd, KVM_SET_CPUID2, m.to);
    free(m.to);
    return r < 0 ? err_set(e, r, "KVM refuses the processor model: %s", strerror(-r)) : 0;
}

/* ---- MSRs ---- */

static const u32 model_own[] = {
    0x10,                          /* TSC */
    0x3b,                          /* TSC_ADJUST */
    0x48,                          /* SPEC_CTRL */
    0x49,                          /* PRED_CMD */
    0x10a,                         /* ARCH_CAPABILITIES */
    0x174,                         /* SYSENTER_CS, ESP, EIP */
    0x175,      0x176,      0x277, /* PAT */
    0xc0000080,                    /* EFER STAR LSTAR CSTAR FMASK */
    0xc0000081, 0xc0000082, 0xc0000083,
    0xc0000084, 0xc0000100, /* FS_BASE GS_BASE KERNEL_GS_BASE TSC_AUX */
    0xc0000101, 0xc0000102, 0xc0000103,
};

/* ... and with local APICs in the kernel these; x2APIC's registers are theirs unasked. */
static const u32 model_apic[] = { 0x1b, 0x6e0 }; /* APIC_BASE, TSC_DEADLINE */

bool kvm_model_owns(const struct kvm *k, u32 msr)
{
    for (u32 i = 0; i < LEN(model_apic) && k->chips != CHIPS_NONE; i++)
        if (model_apic[i] == msr)
            return true;
    for (u32 i = 0; i < LEN(model_own); i++)
        if (model_own[i] == msr)
            return true;
    return false;
}

enum { FILTER_MSRS = 0x800 }; /* a range of the filter */

int kvm_model_filter(struct kvm *k, struct err *e)
{
    static const u32 bases[2] = { 0, 0xc0000000 };
    u8 bits[LEN(bases)][FILTER_MSRS / 8] = { { 0 } };
    struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR,
                                  .args = { KVM_MSR_EXIT_REASON_INVAL |
                                            KVM_MSR_EXIT_REASON_UNKNOWN |
                                            KVM_MSR_EXIT_REASON_FILTER } };
    struct kvm_msr_filter f = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };
    int r;

    for (u32 i = 0; i < LEN(bases); i++) {
        for (u32 at = 0; at < FILTER_MSRS; at++)
            if (kvm_model_owns(k, bases[i] + at))
                bits[i][at / 8] |= (u8)(1 << at % 8);
        f.ranges[i] =
            (struct kvm_msr_filter_range){ .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
                                           .nmsrs = FILTER_MSRS,
                                           .base = bases[i],
                                           .bitmap = bits[i] };
    }
    r = kvm_ask(k->vm, KVM_ENABLE_CAP, &cap);
    r = r < 0 ? r : kvm_ask(k->vm, KVM_X86_SET_MSR_FILTER, &f);
    return r < 0 ? err_set(e, r, "KVM does not hand us MSRs: %s", strerror(-r)) : 0;
}
