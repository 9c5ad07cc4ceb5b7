/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between struct x86_state and KVM's ioctls.  KVM has the registers that the processor acts
 * on.  MTRRs, IA32_MISC_ENABLE, the machine check registers, SMBASE, the microcode revision
 * and "halted" are v->c.s's own, and so are values of MSRs that this KVM's guest has not.
 */
#include "base/bytes.h"
#include "engine/kvm/kvm_int.h"
#include <cpuid.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

/* ---- general registers ---- */

static void state_get_regs(struct x86_state *s, const struct kvm_regs *r)
{
    u64 gpr[16] = { r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
                    r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15 };

    memcpy(s->gpr, gpr, sizeof(gpr));
    s->rip = r->rip;
    s->rflags = (r->rflags & 0x3f7fd7) | FLAG_ONE;
}

int kvm_store_regs(struct vcpu *v)
{
    const struct x86_state *s = &v->c.s;
    const u64 *g = s->gpr;
    struct kvm_regs r = { .rax = g[RAX],
                          .rbx = g[RBX],
                          .rcx = g[RCX],
                          .rdx = g[RDX],
                          .rsi = g[RSI],
                          .rdi = g[RDI],
                          .rsp = g[RSP],
                          .rbp = g[RBP],
                          .r8 = g[R8],
                          .r9 = g[R9],
                          .r10 = g[R10],
                          .r11 = g[R11],
                          .r12 = g[R12],
                          .r13 = g[R13],
                          .r14 = g[R14],
                          .r15 = g[R15],
                          .rip = s->rip,
                          .rflags = s->rflags };

    return kvm_ask(v->fd, KVM_SET_REGS, &r);
}

/* ---- segments, tables, control registers ---- */

static struct x86_segment state_get_segment(const struct kvm_segment *k)
{
    u32 attr = (k->type & 0xfu) | (k->s & 1u) << 4 | (k->dpl & 3u) << ATTR_DPL_SHIFT |
               (k->present ? (u32)ATTR_P : 0) | (k->avl ? (u32)ATTR_AVL : 0) |
               (k->l ? (u32)ATTR_L : 0) | (k->db ? (u32)ATTR_DB : 0) | (k->g ? (u32)ATTR_G : 0) |
               (k->unusable ? (u32)ATTR_UNUSABLE : 0);

    return (
        struct x86_segment){ .base = k->base, .limit = k->limit, .attr = attr, .sel = k->selector };
}

static struct kvm_segment state_set_segment(const struct x86_segment *s)
{
    return (struct kvm_segment){ .base = s->base,
                                 .limit = s->limit,
                                 .selector = s->sel,
                                 .type = s->attr & ATTR_TYPE,
                                 .present = s->attr & ATTR_P ? 1 : 0,
                                 .dpl = (s->attr & ATTR_DPL) >> ATTR_DPL_SHIFT,
                                 .db = s->attr & ATTR_DB ? 1 : 0,
                                 .s = s->attr & ATTR_S ? 1 : 0,
                                 .l = s->attr & ATTR_L ? 1 : 0,
                                 .g = s->attr & ATTR_G ? 1 : 0,
                                 .avl = s->attr & ATTR_AVL ? 1 : 0,
                                 .unusable = s->attr & ATTR_UNUSABLE ? 1 : 0 };
}

/* struct kvm_sregs and kvm_sregs2 begin alike. */
static int state_get_sregs(struct vcpu *v)
{
    struct x86_state *s = &v->c.s;
    struct kvm_sregs2 k = { 0 };
    struct kvm_sregs old;
    int r;

    if (v->kvm->sregs2) {
        r = kvm_ask(v->fd, KVM_GET_SREGS2, &k);
    } else {
        r = kvm_ask(v->fd, KVM_GET_SREGS, &old);
        memcpy(&k, &old, offsetof(struct kvm_sregs2, flags));
    }
    if (r < 0)
        return r;
    s->seg[SEG_ES] = state_get_segment(&k.es);
    s->seg[SEG_CS] = state_get_segment(&k.cs);
    s->seg[SEG_SS] = state_get_segment(&k.ss);
    s->seg[SEG_DS] = state_get_segment(&k.ds);
    s->seg[SEG_FS] = state_get_segment(&k.fs);
    s->seg[SEG_GS] = state_get_segment(&k.gs);
    s->seg[SEG_LDTR] = state_get_segment(&k.ldt);
    s->seg[SEG_TR] = state_get_segment(&k.tr);
    s->gdtr = (struct x86_table){ .base = k.gdt.base, .limit = k.gdt.limit };
    s->idtr = (struct x86_table){ .base = k.idt.base, .limit = k.idt.limit };
    s->cr0 = k.cr0;
    s->cr2 = k.cr2;
    s->cr3 = k.cr3;
    s->cr4 = k.cr4;
    s->efer = k.efer;
    if (k.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
        memcpy(s->pdpte, k.pdptrs, sizeof(s->pdpte));
    return 0;
}

static bool state_has_pdptes(const struct x86_state *s)
{
    return (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !x86_long(s);
}

/* What is the local APIC's of the system registers: KVM's own stay as they are. */
static int state_apic(struct vcpu *v, struct kvm_sregs2 *to)
{
    u64 base = 0xfee00900; /* when the machine has no interrupt controllers */
    struct kvm_sregs now;
    int r;

    if (v->kvm->chips != CHIPS_NONE) {
        r = kvm_ask(v->fd, KVM_GET_SREGS, &now);
        to->cr8 = now.cr8;
        to->apic_base = now.apic_base;
        return r;
    }
    v->io.rdmsr(v->io.arg, 0x1b, &base);
    to->apic_base = base;
    to->cr8 = v->io.tpr(v->io.arg);
    return 0;
}

static int state_set_sregs(struct vcpu *v)
{
    const struct x86_state *s = &v->c.s;
    struct kvm_sregs2 k = { .cs = state_set_segment(&s->seg[SEG_CS]),
                            .ds = state_set_segment(&s->seg[SEG_DS]),
                            .es = state_set_segment(&s->seg[SEG_ES]),
                            .fs = state_set_segment(&s->seg[SEG_FS]),
                            .gs = state_set_segment(&s->seg[SEG_GS]),
                            .ss = state_set_segment(&s->seg[SEG_SS]),
                            .tr = state_set_segment(&s->seg[SEG_TR]),
                            .ldt = state_set_segment(&s->seg[SEG_LDTR]),
                            .gdt = { .base = s->gdtr.base, .limit = s->gdtr.limit },
                            .idt = { .base = s->idtr.base, .limit = s->idtr.limit },
                            .cr0 = s->cr0,
                            .cr2 = s->cr2,
                            .cr3 = s->cr3,
                            .cr4 = s->cr4,
                            .efer = s->efer };
    struct kvm_sregs old = { 0 };
    int r = state_apic(v, &k);

    if (r < 0)
        return r;
    if (!x86_long(s))
        k.cs.l = 0; /* means nothing there, and KVM refuses it */
    if (!v->kvm->sregs2) {
        memcpy(&old, &k, offsetof(struct kvm_sregs2, flags));
        return kvm_ask(v->fd, KVM_SET_SREGS, &old);
    }
    if (state_has_pdptes(s)) {
        k.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
        memcpy(k.pdptrs, s->pdpte, sizeof(s->pdpte));
    }
    return kvm_ask(v->fd, KVM_SET_SREGS2, &k);
}

/* ---- vector state ---- */

enum { XSAVE_BV = 512, XSAVE_YMM = 576, XSAVE_YMM_END = 832, XSAVE_MXCSR = 24, XSAVE_XMM = 160 };

/* KVM's image has components where the host's processor has them. */
static u32 state_pkru_at(void)
{
    u32 a, b, c, d;

    return __get_cpuid_count(0xd, 9, &a, &b, &c, &d) && a == 8 ? b : 0;
}

/* A component whose bit is clear is in its initial state, whatever the image says. */
static void state_get_parts(struct x86_state *s, u64 have)
{
    u8 mxcsr[4];

    if (!(have & XCR0_X87)) {
        memcpy(mxcsr, s->xsave + XSAVE_MXCSR, sizeof(mxcsr));
        memset(s->xsave, 0, XSAVE_XMM);
        memcpy(s->xsave + XSAVE_MXCSR, mxcsr, sizeof(mxcsr));
        put_le16(s->xsave, 0x37f);
    }
    if (!(have & XCR0_SSE))
        memset(s->xsave + XSAVE_XMM, 0, 256);
    if (!(have & XCR0_AVX))
        memset(s->xsave + XSAVE_YMM, 0, XSAVE_YMM_END - XSAVE_YMM);
    memset(s->xsave + XSAVE_XMM + 256, 0, XSAVE_YMM - XSAVE_XMM - 256);
    s->xsave[XSAVE_BV] = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    put_le32(s->xsave + 28, 0); /* MXCSR_MASK is the host's */
}

static int state_get_vectors(struct vcpu *v)
{
    struct x86_state *s = &v->c.s;
    struct kvm_xcrs x = { 0 };
    struct kvm_xsave k;
    const u8 *from = (const u8 *)k.region;
    u32 key = state_pkru_at();
    u64 have;
    int r = kvm_ask(v->fd, KVM_GET_XSAVE, &k);

    if (r < 0)
        return r;
    have = le64(from + XSAVE_BV);
    memcpy(s->xsave, from, XSAVE_YMM_END);
    state_get_parts(s, have);
    s->pkru = key && key <= sizeof(k.region) - 4 && (have & XCR0_PKRU) ? le32(from + key) : 0;
    r = kvm_ask(v->fd, KVM_GET_XCRS, &x);
    for (u32 i = 0; i < x.nr_xcrs && i < LEN(x.xcrs) && r >= 0; i++)
        if (x.xcrs[i].xcr == 0)
            s->xcr0 = x.xcrs[i].value;
    return r < 0 ? r : 0;
}

static int state_set_vectors(struct vcpu *v)
{
    const struct x86_state *s = &v->c.s;
    struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = s->xcr0 } } };
    struct kvm_xsave k = { 0 };
    u8 *to = (u8 *)k.region;
    u32 key = state_pkru_at();
    u64 bv = XCR0_X87 | XCR0_SSE | (__builtin_cpu_supports("avx") ? XCR0_AVX : 0);
    int r;

    memcpy(to, s->xsave, XSAVE_YMM_END);
    memset(to + XSAVE_BV, 0, XSAVE_YMM - XSAVE_BV);
    if (s->pkru && key && key <= sizeof(k.region) - 4) {
        put_le32(to + key, s->pkru);
        bv |= XCR0_PKRU;
    }
    put_le64(to + XSAVE_BV, bv);
    r = kvm_ask(v->fd, KVM_SET_XSAVE, &k);
    /* a guest without XSAVE has no XCR0 that could differ */
    if (r >= 0 && s->xcr0 != XCR0_X87)
        r = kvm_ask(v->fd, KVM_SET_XCRS, &x);
    return r < 0 ? r : 0;
}

/* ---- MSRs ---- */

static const struct {
    u32 msr;
    u32 at; /* in struct x86_state */
} state_msr[] = {
    { 0xc0000081, offsetof(struct x86_state, star) },
    { 0xc0000082, offsetof(struct x86_state, lstar) },
    { 0xc0000083, offsetof(struct x86_state, cstar) },
    { 0xc0000084, offsetof(struct x86_state, fmask) },
    { 0xc0000102, offsetof(struct x86_state, kernel_gs_base) },
    { 0x174, offsetof(struct x86_state, sysenter_cs) },
    { 0x175, offsetof(struct x86_state, sysenter_esp) },
    { 0x176, offsetof(struct x86_state, sysenter_eip) },
    { 0x3b, offsetof(struct x86_state, tsc_adjust) },
    { 0xc0000103, offsetof(struct x86_state, tsc_aux) },
    { 0x277, offsetof(struct x86_state, pat) },
    { 0x48, offsetof(struct x86_state, spec_ctrl) },
};

struct state_msrs {
    u32 nmsrs, pad; /* as struct kvm_msrs, with room */
    struct kvm_msr_entry e[LEN(state_msr)];
};

static u64 *state_msr_at(struct x86_state *s, u32 i)
{
    return (u64 *)(void *)((u8 *)s + state_msr[i].at);
}

/* KVM stops at the first that this guest has not: that one is left out, the rest go on. */
static int state_each_msr(struct vcpu *v, unsigned long what, struct x86_state *s, bool get)
{
    struct state_msrs m;

    for (u32 first = 0; first < LEN(state_msr); first++) {
        u32 n = (u32)LEN(state_msr) - first;
        int r;

        memset(&m, 0, sizeof(m));
        m.nmsrs = n;
        for (u32 i = 0; i < n; i++) {
            m.e[i].index = state_msr[first + i].msr;
            m.e[i].data = get ? 0 : *state_msr_at(s, first + i);
        }
        r = kvm_ask(v->fd, what, &m);
        if (r < 0)
            return r;
        for (u32 i = 0; get && i < (u32)r; i++)
            *state_msr_at(s, first + i) = m.e[i].data;
        first += (u32)r;
    }
    return 0;
}

static int state_arch_capabilities(struct vcpu *v)
{
    struct {
        u32 nmsrs, pad; /* as struct kvm_msrs, with room */
        struct kvm_msr_entry e;
    } m = { .nmsrs = 1, .e = { .index = 0x10a, .data = v->kvm->arch_capabilities } };
    int r = kvm_ask(v->fd, KVM_SET_MSRS, &m);

    return r < 0 ? r : 0;
}

/* ---- time: the guest's counter is the host's plus an offset ---- */

static struct kvm_device_attr state_tsc(u64 *offset)
{
    return (struct kvm_device_attr){ .group = KVM_VCPU_TSC_CTRL,
                                     .attr = KVM_VCPU_TSC_OFFSET,
                                     .addr = (uintptr_t)offset };
}

static int state_get_tsc(struct vcpu *v)
{
    struct kvm_device_attr a = state_tsc(&v->c.s.tsc_offset);

    return kvm_ask(v->fd, KVM_GET_DEVICE_ATTR, &a);
}

static int state_set_tsc(struct vcpu *v)
{
    struct kvm_device_attr a = state_tsc(&v->c.s.tsc_offset);

    return kvm_ask(v->fd, KVM_SET_DEVICE_ATTR, &a);
}

/* ---- debug registers, events ---- */

static int state_get_debug(struct vcpu *v)
{
    struct x86_state *s = &v->c.s;
    struct kvm_debugregs d;
    int r = kvm_ask(v->fd, KVM_GET_DEBUGREGS, &d);

    if (r < 0)
        return r;
    memcpy(s->dr, d.db, sizeof(d.db));
    s->dr[4] = s->dr[5] = 0;
    s->dr[6] = (u32)d.dr6;
    s->dr[7] = (u32)d.dr7;
    return 0;
}

static int state_set_debug(struct vcpu *v)
{
    const struct x86_state *s = &v->c.s;
    struct kvm_debugregs d = { .dr6 = s->dr[6], .dr7 = s->dr[7] };

    memcpy(d.db, s->dr, sizeof(d.db));
    return kvm_ask(v->fd, KVM_SET_DEBUGREGS, &d);
}

static int state_set_events(struct vcpu *v)
{
    const struct x86_state *s = &v->c.s;
    struct kvm_vcpu_events k = { .flags = KVM_VCPUEVENT_VALID_SHADOW };

    k.nmi.masked = s->nmi_blocked;
    /* one of the two: the processor takes no state with both */
    k.interrupt.shadow = s->shadow_ss ? KVM_X86_SHADOW_INT_MOV_SS
                         : s->shadow  ? KVM_X86_SHADOW_INT_STI
                                      : 0;
    return kvm_ask(v->fd, KVM_SET_VCPU_EVENTS, &k);
}

static int state_get_events(struct vcpu *v, struct kvm_vcpu_events *k)
{
    struct x86_state *s = &v->c.s;
    int r = kvm_ask(v->fd, KVM_GET_VCPU_EVENTS, k);

    if (r < 0)
        return r;
    s->nmi_blocked = k->nmi.masked;
    s->shadow = k->interrupt.shadow;
    s->shadow_ss = k->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
    return 0;
}

/* ---- all of it ---- */

static int state_fetch(struct vcpu *v, struct kvm_vcpu_events *events)
{
    struct kvm_regs regs;
    int r = kvm_ask(v->fd, KVM_GET_REGS, &regs);

    if (r < 0)
        return r;
    state_get_regs(&v->c.s, &regs);
    r = state_get_sregs(v);
    r = r ? r : state_get_vectors(v);
    r = r ? r : state_each_msr(v, KVM_GET_MSRS, &v->c.s, true);
    r = r ? r : state_get_tsc(v);
    r = r ? r : state_get_debug(v);
    return r ? r : state_get_events(v, events);
}

int kvm_fetch(struct vcpu *v)
{
    struct kvm_vcpu_events events;

    return state_fetch(v, &events);
}

int kvm_store(struct vcpu *v)
{
    int r = state_set_sregs(v);

    v->stale = true;
    r = r ? r : kvm_store_regs(v);
    r = r ? r : state_set_vectors(v);
    r = r ? r : state_set_debug(v);
    r = r ? r : state_arch_capabilities(v);
    r = r ? r : state_each_msr(v, KVM_SET_MSRS, &v->c.s, false);
    r = r ? r : state_set_tsc(v);
    return r ? r : state_set_events(v);
}

/*
 * An event that KVM has taken but not delivered is delivered here by the software core.  A
 * software interrupt or exception (INT n, INT3, INTO) is not: RIP stands at it, it comes again.
 */
static enum x86_stepped state_deliver(struct vcpu *v, const struct kvm_vcpu_events *k)
{
    struct x86_cpu *c = &v->c;

    if (k->exception.injected && k->exception.nr != VEC_BP && k->exception.nr != VEC_OF) {
        c->fault = (struct x86_fault){ .vector = k->exception.nr,
                                       .has_code = k->exception.has_error_code,
                                       .code = k->exception.error_code,
                                       .address = c->s.cr2,
                                       .dr6 = c->s.dr[6],
                                       .trap = k->exception.nr == VEC_DB };
        return x86_deliver_fault(c);
    }
    if (k->nmi.injected)
        return x86_interrupt(c, VECTOR_NMI);
    if (k->interrupt.injected && !k->interrupt.soft)
        return x86_interrupt(c, k->interrupt.nr);
    return STEPPED;
}

int kvm_drop_nmis(struct vcpu *v, u32 *n)
{
    struct kvm_vcpu_events k;
    int r = kvm_ask(v->fd, KVM_GET_VCPU_EVENTS, &k);

    *n = r < 0 ? 0 : k.nmi.pending;
    if (!*n)
        return r;
    k.nmi.pending = 0;
    k.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
    return kvm_ask(v->fd, KVM_SET_VCPU_EVENTS, &k);
}

/* NMIs that wait in KVM go back to who gave them, and come again. */
static int state_nmis_back(struct vcpu *v)
{
    u32 n;
    int r = kvm_drop_nmis(v, &n);

    for (u32 i = 0; i < n && v->io.nmi_back; i++)
        v->io.nmi_back(v->io.arg);
    atomic_store(&v->c.pending, 1);
    return r;
}

/*
 * With local APICs in the kernel a processor halts there.  First what it is doing: KVM then
 * takes INIT and start-up messages that wait, which change registers.
 */
int kvm_fetch_halted(struct vcpu *v)
{
    struct kvm_mp_state mp;
    int r;

    if (v->kvm->chips == CHIPS_NONE)
        return 0;
    r = kvm_ask(v->fd, KVM_GET_MP_STATE, &mp);
    if (r >= 0)
        v->c.s.halted = mp.mp_state == KVM_MP_STATE_HALTED;
    return r;
}

int kvm_store_halted(struct vcpu *v)
{
    struct kvm_mp_state mp = { .mp_state =
                                   v->c.s.halted ? KVM_MP_STATE_HALTED : KVM_MP_STATE_RUNNABLE };

    if (v->kvm->chips == CHIPS_NONE)
        return 0;
    v->c.s.halted = false;
    return kvm_ask(v->fd, KVM_SET_MP_STATE, &mp);
}

int kvm_load(struct vcpu *v)
{
    struct kvm_vcpu_events k;
    int r = state_fetch(v, &k);

    if (r)
        return r;
    if (k.nmi.pending && (r = state_nmis_back(v)) < 0)
        return r;
    if (!(k.exception.injected || k.interrupt.injected || k.nmi.injected))
        return 0;
    x86_flush(&v->c, FLUSH_ALL, 0);
    v->shutdown = state_deliver(v, &k) == STEP_SHUTDOWN;
    return kvm_store(v);
}
