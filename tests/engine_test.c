/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engines agree: the same small guests under each engine of the catalog, and the same
 * registers, memory and device traffic afterwards.  The interpreter is what the others are
 * compared with.  An engine that cannot run here is skipped by name.
 */
#include "base/bytes.h"
#include "engine/engine.h"
#include "engine/x86/state.h"
#include "tests/check.h"
#include "tests/engine_guests.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

/* ---- the machine around the vCPU ---- */

enum {
    TRACE_MOST = 8192,
    CPUS = 2,
    PORT_RAISE = 0xe0,
    PORT_NMI = 0xe1,
    PORT_END = 0xe2,
    PORT_CALL = 0xe5
};
enum kind { T_IN, T_OUT, T_LOAD, T_STORE, T_RDMSR, T_WRMSR, T_VECTOR, T_CALL, T_BULK, T_TPR };

struct event {
    u32 kind, size;
    u64 at, val;
};

struct rig {
    const struct engine_ops *ops;
    void *engine;
    struct vcpu *v[CPUS];
    u8 *ram, *rom;
    struct x86_state *s; /* first, then last */
    struct event trace[TRACE_MOST];
    u32 n;
    u32 ins;
    u64 waits[4]; /* vectors, a bit each */
    bool nmi;
    atomic_bool end[CPUS];
    u64 msr[2]; /* 0x40000000, 0x808 */
    u8 tpr;
    u32 stream;
    _Atomic u64 asked; /* how often vector() was */
};

struct rig_cpu {
    struct rig *r;
    u32 index;
};
static struct rig_cpu rig_cpus[CPUS];

static struct rig *rig_note(void *arg, u32 kind, u32 size, u64 at, u64 val)
{
    struct rig *r = ((struct rig_cpu *)arg)->r;

    if (r->n < TRACE_MOST)
        r->trace[r->n++] = (struct event){ kind, size, at, val };
    return r;
}

static u64 rig_in(void *arg, u16 port, u32 size)
{
    struct rig *r = ((struct rig_cpu *)arg)->r;
    u64 val = (0x9e3779b97f4a7c15ull * (port + ++r->ins)) >> 32;

    val &= size == 4 ? 0xffffffff : (1u << 8 * size) - 1;
    rig_note(arg, T_IN, size, port, val);
    return val;
}

static void rig_out(void *arg, u16 port, u32 size, u64 val)
{
    struct rig_cpu *c = arg;
    struct rig *r = rig_note(arg, T_OUT, size, port, val);

    switch (port) {
    case PORT_RAISE:
        r->waits[(val & 0xff) / 64] |= 1ull << val % 64;
        r->ops->kick(r->v[c->index]);
        break;
    case PORT_NMI:
        r->nmi = true;
        r->ops->kick(r->v[c->index]);
        break;
    case PORT_END:
        atomic_store(&r->end[c->index], true);
        r->ops->kick(r->v[c->index]);
        break;
    }
}

static u64 rig_load(void *arg, u64 gpa, u32 size)
{
    u64 val = 0x8877665544332211ull ^ gpa * 0x0101010101010101ull;

    rig_note(arg, T_LOAD, size, gpa, val);
    return size == 8 ? val : val & ((1ull << 8 * size) - 1);
}

static void rig_store(void *arg, u64 gpa, u32 size, u64 val)
{
    rig_note(arg, T_STORE, size, gpa, val);
}

static u64 *rig_msr(struct rig *r, u32 msr)
{
    return msr == 0x40000000 ? &r->msr[0] : msr == 0x808 ? &r->msr[1] : NULL;
}

static int rig_rdmsr(void *arg, u32 msr, u64 *val)
{
    struct rig *r = ((struct rig_cpu *)arg)->r;

    if (msr == 0x1b) { /* asked outside the guest too */
        *val = 0xfee00900;
        return 0;
    }
    rig_note(arg, T_RDMSR, 8, msr, 0);
    if (rig_msr(r, msr))
        *val = *rig_msr(r, msr);
    else if (msr == 0x40000071 || msr == 0x803 || msr == 0x6e0)
        *val = msr * 3ull;
    else
        return -EINVAL;
    return 0;
}

static int rig_wrmsr(void *arg, u32 msr, u64 val)
{
    struct rig *r = rig_note(arg, T_WRMSR, 8, msr, val);

    if (rig_msr(r, msr))
        *rig_msr(r, msr) = val;
    else if (msr != 0x6e0)
        return -EINVAL;
    return 0;
}

static void rig_cpuid(void *arg, u32 leaf, u32 sub, u32 regs[4])
{
    if (leaf == 0x40000000) {
        regs[0] = 0x40000010;
        memcpy(&regs[1], "EngineTest..", 12);
    } else if (leaf == 0x40000010) {
        regs[0] = 2500000, regs[1] = 66000, regs[2] = regs[3] = 0;
    }
}

static bool rig_has_port(void *arg, u16 port)
{
    return port == PORT_CALL || port == 0x5658 || port == 0x5659;
}

/* Ports that take and give registers: a hypercall page's, and a backdoor with a magic number. */
static bool rig_port(void *arg, struct x86_state *s, u16 port, u32 size, bool out)
{
    u64 sum = 0;

    if (port != PORT_CALL && (port != 0x5658 || (u32)s->gpr[RAX] != 0x564d5868))
        return false;
    for (u32 i = 0; i < 16; i++)
        sum = sum * 31 + s->gpr[i];
    rig_note(arg, T_CALL, size, port, sum);
    s->gpr[RAX] = 0x1234567800000000 | (u32)sum;
    if (port == 0x5658) {
        s->gpr[RAX] = 6;
        s->gpr[RBX] = 0x564d5868;
        s->gpr[RCX] = ~s->gpr[RCX];
        s->gpr[RSI] = 0xaaaa;
        s->gpr[RDI] = 0xbbbb;
    }
    return true;
}

static bool rig_bulk(void *arg, struct x86_state *s, u16 port, bool out, u8 *p, u32 n)
{
    struct rig *r = ((struct rig_cpu *)arg)->r;
    u64 sum = 0;

    if (port != 0x5659 || (u32)s->gpr[RAX] != 0x564d5868)
        return false;
    if (!p)
        return true;
    for (u32 i = 0; i < n; i++) {
        if (!out)
            p[i] = (u8)(r->stream++ * 7);
        sum = sum * 31 + p[i];
    }
    s->gpr[RBX] = 0x10000 + n;
    rig_note(arg, T_BULK, n, out, sum);
    return true;
}

static bool rig_hypercall(void *arg, struct x86_state *regs, u8 kind)
{
    return false;
}

static int rig_vector(void *arg, u32 open)
{
    struct rig_cpu *c = arg;
    struct rig *r = c->r;

    r->asked++;
    if (atomic_load(&r->end[c->index]))
        return VECTOR_STOP;
    if (r->nmi && (open & OPEN_NMI)) {
        r->nmi = false;
        rig_note(arg, T_VECTOR, 0, VECTOR_NMI, 0);
        return VECTOR_NMI;
    }
    for (int w = 3; w >= 0; w--)
        for (int b = 63; b >= 0; b--)
            if (r->waits[w] >> b & 1) {
                if (!(open & OPEN_INTR))
                    return VECTOR_LATER;
                r->waits[w] &= ~(1ull << b);
                rig_note(arg, T_VECTOR, 0, (u64)(w * 64 + b), 0);
                return w * 64 + b;
            }
    return VECTOR_NONE;
}

static void rig_nmi_back(void *arg)
{
    ((struct rig_cpu *)arg)->r->nmi = true;
}

static u8 rig_tpr(void *arg)
{
    return ((struct rig_cpu *)arg)->r->tpr;
}

static void rig_tpr_set(void *arg, u8 val)
{
    struct rig *r = ((struct rig_cpu *)arg)->r;

    if (r->tpr != val)
        rig_note(arg, T_TPR, 0, 0, val);
    r->tpr = val;
}

/* ---- the guest's surroundings ---- */

static void rig_desc(struct rig *r, u32 sel, u32 base, u32 limit, u8 access, u8 flags)
{
    put_le64(r->ram + G_GDT + sel, (limit & 0xffff) | (u64)(base & 0xffffff) << 16 |
                                       (u64)access << 40 | (u64)(limit >> 16 & 0xf) << 48 |
                                       (u64)flags << 52 | (u64)(base >> 24) << 56);
}

static void rig_guest(struct rig *r, u32 at, const u8 *from, const u8 *end)
{
    memcpy(r->ram + at, from, (size_t)(end - from));
}

static void rig_gates(struct rig *r, bool wide)
{
    for (u32 n = 0; n < 256; n++) {
        bool code = n == 8 || (n >= 10 && n <= 14) || n == 17;
        u8 *stub = r->ram + G_HANDLERS + n * G_HANDLER_SIZE, *p = stub;
        u8 dpl = n == 3 || n == 4 || n == 0x80 ? 0x60 : 0;
        u32 off = G_HANDLERS + n * G_HANDLER_SIZE;
        u64 gate = (off & 0xffff) | (u64)8 << 16 | (u64)(0x8e | dpl) << 40 | (u64)(off >> 16) << 48;

        if (!code) {
            *p++ = 0x6a;
            *p++ = 0;
        }
        *p++ = 0x68;
        put_le32(p, n);
        p[4] = 0xe9;
        put_le32(p + 5, G_HANDLERS + 256 * G_HANDLER_SIZE - (off + (u32)(p + 9 - stub)));
        put_le64(r->ram + G_IDT + n * (wide ? 16 : 8), gate);
        if (wide)
            put_le64(r->ram + G_IDT + n * 16 + 8, 0);
    }
    if (wide)
        rig_guest(r, G_HANDLERS + 256 * G_HANDLER_SIZE, guest_handlers64, guest_handlers64_end);
    else
        rig_guest(r, G_HANDLERS + 256 * G_HANDLER_SIZE, guest_handlers32, guest_handlers32_end);
}

static void rig_tables64(struct rig *r)
{
    u8 *t = r->ram + G_TABLES;

    put_le64(t, (G_TABLES + 0x1000) | 7);
    put_le64(t + 0x1000, (G_TABLES + 0x2000) | 7);
    put_le64(t + 0x2000, (G_TABLES + 0x3000) | 7);
    put_le64(t + 0x2008, (G_TABLES + 0x4000) | 7);
    for (u64 i = 2; i < 8; i++)
        put_le64(t + 0x2000 + 8 * i, i << 21 | 0x87);
    for (u64 i = 0; i < 1024; i++)
        put_le64(t + 0x3000 + 8 * i, i << 12 | 7);
    put_le64(t + 0x4000, 0x200000 | 7 | 1ull << 63);
    put_le64(t + 0x4000 + 8 * 0x1ff, 0x3ff000 | 3);
}

static void rig_tables32(struct rig *r)
{
    put_le32(r->ram + G_TABLES, (G_TABLES + 0x1000) | 7);
    for (u32 i = 0; i < 1024; i++)
        put_le32(r->ram + G_TABLES + 0x1000 + 4 * i, i << 12 | 7);
    put_le32(r->ram + G_TABLES + 0x1000 + 4 * 0x3ff, 0x3ff000 | 1);
}

static void rig_descriptors(struct rig *r, bool wide)
{
    rig_desc(r, 0x08, 0, 0xfffff, 0x9b, wide ? 0xa : 0xc);
    rig_desc(r, 0x10, 0, 0xfffff, 0x93, 0xc);
    rig_desc(r, 0x18, 0, 0xfffff, 0xf3, 0xc);
    rig_desc(r, 0x20, 0, 0xfffff, 0xfb, wide ? 0xa : 0xc);
    rig_desc(r, 0x30, 0, 0xfffff, 0x9b, 0xc);
    rig_desc(r, 0x40, 0, 0xfffff, 0x13, 0xc);
    rig_desc(r, 0x50, 0x5000, 0xfff, 0x93, 0x4);
    rig_desc(r, 0x60, G_TSS, 0x67, 0x89, 0);
    put_le32(r->ram + G_TSS + 4, G_STACK - 0x800);
    put_le16(r->ram + G_TSS + 8, wide ? 0 : 0x10); /* SS0; RSP0's high half */
    put_le16(r->ram + G_TSS + 0x66, 0x68);
}

enum mode { REAL, MODES, PROTECTED, LONG };

static void rig_segments(struct x86_state *s, bool wide)
{
    u32 code = ATTR_P | ATTR_S | 0xb | ATTR_G | (wide ? ATTR_L : ATTR_DB);

    s->gdtr = (struct x86_table){ .base = G_GDT, .limit = 0x7f };
    s->idtr = (struct x86_table){ .base = G_IDT, .limit = 0xfff };
    s->cr0 = CR0_PE | CR0_ET | CR0_NE;
    for (u32 i = 0; i <= SEG_GS; i++)
        s->seg[i] = (struct x86_segment){ .limit = ~0u,
                                          .attr = ATTR_P | ATTR_S | 3 | ATTR_DB | ATTR_G,
                                          .sel = 0x10 };
    for (u32 i = SEG_DS; i <= SEG_GS; i++) { /* ring 3 keeps them */
        s->seg[i].attr |= ATTR_DPL;
        s->seg[i].sel = 0x1b;
    }
    s->seg[SEG_ES] = s->seg[SEG_DS];
    s->seg[SEG_CS] = (struct x86_segment){ .limit = ~0u, .attr = code, .sel = 8 };
    s->seg[SEG_TR] =
        (struct x86_segment){ .base = G_TSS, .limit = 0x67, .attr = ATTR_P | 0xb, .sel = 0x60 };
    s->seg[SEG_LDTR] = (struct x86_segment){ .attr = ATTR_UNUSABLE };
    s->rip = G_CODE;
    s->gpr[RSP] = G_STACK;
}

static void rig_mode(struct rig *r, enum mode mode)
{
    struct x86_state *s = r->s;
    bool wide = mode == LONG || mode == MODES;

    x86_state_reset(s, 0);
    rig_descriptors(r, wide);
    rig_gates(r, wide);
    if (wide)
        rig_tables64(r);
    else
        rig_tables32(r);
    put_le32(r->ram + G_LOG, G_LOGGED);
    if (mode == REAL || mode == MODES) {
        s->seg[SEG_CS].sel = G_CODE >> 4;
        s->seg[SEG_CS].base = G_CODE;
        s->rip = 0;
        s->cr0 = CR0_ET;
        return;
    }
    rig_segments(s, wide);
    if (!wide)
        return;
    s->cr0 |= CR0_PG | CR0_WP;
    s->cr3 = G_TABLES;
    s->cr4 = CR4_PAE;
    s->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
}

/* ---- running ---- */

static void rig_map(struct rig *r, struct mem_slot slots[2])
{
    slots[0] = (struct mem_slot){ .gpa = 0, .len = G_RAM, .host = r->ram };
    slots[1] = (struct mem_slot){ .gpa = G_ROM, .len = 4096, .host = r->rom, .readonly = true };
}

static u32 rig_ring; /* entries of the rings for dirty pages, where an engine has them */

static void rig_open(struct rig *r, const struct engine_ops *ops, u32 cpus)
{
    struct engine_options o = { .tsc_hz = 1000000000, .apic_ids = cpus, .dirty_ring = rig_ring };
    struct mem_slot slots[2];
    struct err e = { 0 };

    memset(r, 0, sizeof(*r));
    r->ops = ops;
    r->ram = mmap(NULL, G_RAM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    r->rom = r->ram + G_RAM;
    r->s = aligned_alloc(64, sizeof(*r->s));
    for (u32 i = 0; i < 64; i++)
        put_le32(r->rom + 4 * i, i * 0x01020304);
    memcpy(r->rom + 0x200, "\xb8\x78\x56\x34\x12\xc3", 6); /* mov eax, 0x12345678; ret */
    for (u32 i = 0; i < 4096; i++)
        r->ram[0x30000 + i] = (u8)(i * 5);
    rig_map(r, slots);
    CHECK_EQ(ops->open(&r->engine, &o, &e), 0);
    if (e.code)
        printf("# %s: %s\n", ops->name, e.text);
    CHECK_EQ(ops->slots(r->engine, slots, 2, &e), 0);
    for (u32 i = 0; i < cpus; i++) {
        struct cpu_io io = { &rig_cpus[i], rig_in,      rig_out,     rig_port,  rig_load,
                             rig_store,    rig_rdmsr,   rig_wrmsr,   rig_cpuid, rig_hypercall,
                             rig_vector,   rig_tpr,     rig_tpr_set, rig_bulk,  rig_has_port,
                             NULL,         rig_nmi_back };

        rig_cpus[i] = (struct rig_cpu){ r, i };
        CHECK_EQ(ops->cpu_open(r->engine, i, &io, &r->v[i], &e), 0);
        if (e.code)
            printf("# %s: %s\n", ops->name, e.text);
    }
}

static void rig_close(struct rig *r)
{
    for (u32 i = 0; i < CPUS; i++)
        if (r->v[i])
            r->ops->cpu_close(r->v[i]);
    r->ops->close(r->engine);
    munmap(r->ram, G_RAM + 4096);
    free(r->s);
}

/* Until the guest's end; a HLT that nothing wakes ends it too. */
static enum stop rig_run(struct rig *r, u32 cpu)
{
    struct err e = { 0 };
    enum stop why;

    do {
        why = r->ops->run(r->v[cpu], &e);
    } while (why == STOP_KICKED && !atomic_load(&r->end[cpu]));
    if (why == STOP_BROKEN)
        printf("# %s: broken: %s\n", r->ops->name, e.text);
    return why;
}

struct guest {
    const char *name;
    const u8 *code, *end;
    enum mode mode;
    enum stop ends;
    const char *hardware; /* what a KVM without hardware below it does not do */
};
#define G(name, mode, ends, hardware)                                                              \
    {                                                                                              \
#name, guest_##name, guest_##name##_end, mode, ends, hardware                              \
    }
static const struct guest guests[] = {
    G(real, REAL, STOP_KICKED, NULL),
    G(modes, MODES, STOP_KICKED, NULL),
    G(protected, PROTECTED, STOP_KICKED, NULL),
    G(ring3, PROTECTED, STOP_KICKED, "INT in ring 3"),
    G(paging, PROTECTED, STOP_KICKED, "paging of 32 bits"),
    G(exceptions, LONG, STOP_KICKED, NULL),
    G(syscall, LONG, STOP_KICKED, "SYSCALL"),
    G(ports, LONG, STOP_KICKED, NULL),
    G(mmio, LONG, STOP_KICKED, NULL),
    G(wide, LONG, STOP_KICKED, NULL),
    G(interrupts, LONG, STOP_KICKED, "interrupts at the first chance"),
    G(waits, LONG, STOP_KICKED, NULL),
    G(msrs, LONG, STOP_KICKED, NULL),
    G(pat, LONG, STOP_KICKED, "checks of IA32_PAT"),
    G(cpuid, REAL, STOP_KICKED, "CPUID as it is told to"),
    G(calls, LONG, STOP_KICKED, NULL),
    G(triple, PROTECTED, STOP_SHUTDOWN, NULL),
};

static void rig_start(struct rig *r, const struct guest *g, u32 cpus)
{
    rig_guest(r, G_CODE, g->code, g->end);
    rig_mode(r, g->mode);
    for (u32 i = 0; i < cpus; i++) {
        CHECK_EQ(r->ops->set(r->v[i], r->s), 0);
        r->s->gpr[RSP] -= 0x400;
    }
}

static void rig_play(struct rig *r, const struct engine_ops *ops, const struct guest *g)
{
    rig_open(r, ops, 1);
    rig_start(r, g, 1);
    CHECK_EQ(rig_run(r, 0), g->ends);
    CHECK_EQ(ops->get(r->v[0], r->s), 0);
}

/* ---- comparing ---- */

static void same_trace(const struct rig *a, const struct rig *b)
{
    static const char *const kinds[] = { "in",    "out",    "load", "store", "rdmsr",
                                         "wrmsr", "vector", "call", "bulk",  "tpr" };

    CHECK_EQ(a->n, b->n);
    for (u32 i = 0; i < a->n && i < b->n; i++) {
        const struct event *x = &a->trace[i], *y = &b->trace[i];

        if (!memcmp(x, y, sizeof(*x)))
            continue;
        printf("# event %u: %s %s %u 0x%" PRIx64 " 0x%" PRIx64 "; %s %s %u 0x%" PRIx64 " 0x%" PRIx64
               "\n",
               i, a->ops->name, kinds[x->kind], x->size, x->at, x->val, b->ops->name,
               kinds[y->kind], y->size, y->at, y->val);
        check_failed_now = 1;
        return;
    }
}

static void same_number(const struct rig *b, const char *what, u32 i, u64 x, u64 y)
{
    if (x == y)
        return;
    printf("# %s[%u]: interpret 0x%" PRIx64 ", %s 0x%" PRIx64 "\n", what, i, x, b->ops->name, y);
    check_failed_now = 1;
}

/* Of a segment that cannot be used only the selector and the DPL can be seen. */
static void same_segment(const struct rig *b, u32 i, const struct x86_segment *x,
                         const struct x86_segment *y)
{
    same_number(b, "selector", i, x->sel, y->sel);
    same_number(b, "unusable", i, x->attr & ATTR_UNUSABLE, y->attr & ATTR_UNUSABLE);
    if (x->attr & ATTR_UNUSABLE)
        return;
    same_number(b, "attributes", i, x->attr, y->attr);
    same_number(b, "base", i, x->base, y->base);
    same_number(b, "limit", i, x->limit, y->limit);
}

/* The x87 opcode and MXCSR's mask are not the guest's to see here. */
static u64 same_mask(u32 at)
{
    return at == 0 ? 0xffffffffffff : at == 24 ? 0xffffffff : ~0ull;
}

static void same_state(const struct rig *a, const struct rig *b)
{
    const struct x86_state *x = a->s, *y = b->s;

    for (u32 i = 0; i < 16; i++)
        same_number(b, "gpr", i, x->gpr[i], y->gpr[i]);
    for (u32 i = 0; i < SEG_COUNT; i++)
        same_segment(b, i, &x->seg[i], &y->seg[i]);
    for (u32 i = 0; i < 8; i++)
        same_number(b, "dr", i, x->dr[i], y->dr[i]);
    same_number(b, "rip", 0, x->rip, y->rip);
    same_number(b, "rflags", 0, x->rflags, y->rflags);
    same_number(b, "cr", 0, x->cr0, y->cr0);
    same_number(b, "cr", 2, x->cr2, y->cr2);
    same_number(b, "cr", 3, x->cr3, y->cr3);
    same_number(b, "cr", 4, x->cr4, y->cr4);
    same_number(b, "efer", 0, x->efer, y->efer);
    same_number(b, "gdtr", 0, x->gdtr.base + x->gdtr.limit, y->gdtr.base + y->gdtr.limit);
    same_number(b, "idtr", 0, x->idtr.base + x->idtr.limit, y->idtr.base + y->idtr.limit);
    for (u32 i = 0; i < 160; i += 8) /* but where the last x87 instruction was */
        if (i != 8 && i != 16)
            same_number(b, "xsave", i, le64(x->xsave + i) & same_mask(i),
                        le64(y->xsave + i) & same_mask(i));
    for (u32 i = 160; i < 416; i += 8)
        same_number(b, "xsave", i, le64(x->xsave + i), le64(y->xsave + i));
    /* star up to the pad: numbers, one after the other */
    for (size_t at = offsetof(struct x86_state, star); at < offsetof(struct x86_state, pad);
         at += 8)
        if (at != offsetof(struct x86_state, pkru))
            same_number(b, "state from star", (u32)at, le64((const u8 *)x + at),
                        le64((const u8 *)y + at));
    same_number(b, "shadow", 0, x->shadow * 2u + x->shadow_ss, y->shadow * 2u + y->shadow_ss);
    same_number(b, "nmi_blocked", 0, x->nmi_blocked, y->nmi_blocked);
    same_number(b, "halted", 0, x->halted, y->halted);
}

static void same_memory(const struct rig *a, const struct rig *b)
{
    u32 told = 0;

    for (u32 i = 0; i < G_RAM && told < 8; i += 8)
        if (memcmp(a->ram + i, b->ram + i, 8)) {
            same_number(b, "memory", i, le64(a->ram + i), le64(b->ram + i));
            told++;
        }
}

/* Leaves of features: an engine may show less than the software core, never more. */
static void same_cpuid(const struct rig *a, const struct rig *b)
{
    static const struct {
        u32 entry, reg;
    } less[] = { { 1, 2 },  { 1, 3 },  { 8, 1 },  { 8, 2 },  { 8, 3 },  { 13, 0 },
                 { 13, 1 }, { 13, 2 }, { 14, 0 }, { 14, 1 }, { 20, 2 }, { 20, 3 } };

    for (u32 i = 0; i < LEN(less); i++) {
        u8 *x = a->ram + G_RESULT + less[i].entry * 16 + less[i].reg * 4;
        u8 *y = b->ram + G_RESULT + less[i].entry * 16 + less[i].reg * 4;

        if (less[i].entry != 13)
            CHECK_EQ(le32(y) & ~le32(x), 0);
        put_le32(y, le32(x));
    }
}

static const struct engine_ops *engine_find(const char *name)
{
    for (u32 i = 0; engine_catalog[i]; i++)
        if (!strcmp(engine_catalog[i]->name, name))
            return engine_catalog[i];
    return NULL;
}

static const struct engine_ops *now; /* the engine of this case */
static const struct guest *now_guest;

static bool engine_is_hardware(void)
{
    struct err e = { 0 };
    u64 features = 0;

    return !now->probe(&features, &e) && (features & ENGINE_HARDWARE);
}

/* What is skipped is named, with the reason. */
static bool engine_here(const char *hardware)
{
    static struct err e;
    static char why[200];
    u64 features = 0;

    if (now->probe(&features, &e)) {
        check_skip(e.text);
        return false;
    }
    if (hardware && !strcmp(now->name, "kvm") && !(features & ENGINE_HARDWARE)) {
        snprintf(why, sizeof(why), "this host's KVM %s; it does not do %s", now->found(), hardware);
        check_skip(why);
        return false;
    }
    return true;
}

static void agrees(void)
{
    static struct rig a, b;

    if (!engine_here(now_guest->hardware))
        return;
    rig_play(&a, engine_find("interpret"), now_guest);
    rig_play(&b, now, now_guest);
    if (now_guest->code == guest_cpuid)
        same_cpuid(&a, &b);
    same_trace(&a, &b);
    same_memory(&a, &b);
    if (now_guest->ends != STOP_SHUTDOWN) /* what is left then is undefined */
        same_state(&a, &b);
    rig_close(&a);
    rig_close(&b);
}

/* ---- what cannot be compared event by event ---- */

static const struct guest guest_free[] = {
    G(spin, LONG, STOP_KICKED, NULL),
    G(add, LONG, STOP_KICKED, NULL),
    G(dirty, LONG, STOP_KICKED, NULL),
};

static void *rig_thread(void *arg)
{
    struct rig_cpu *c = arg;

    CHECK_EQ(rig_run(c->r, c->index), STOP_KICKED);
    return NULL;
}

static u64 rig_counter(const struct rig *r, u32 at)
{
    return atomic_load((_Atomic u64 *)(void *)(r->ram + at));
}

/* Every kick is answered by a question, whatever the vCPU is doing. */
static void kicks_are_not_lost(void)
{
    static struct rig r;
    pthread_t t;

    if (!engine_here(NULL))
        return;
    rig_open(&r, now, 1);
    r.ram[G_PAGE] = 0x5a;
    rig_start(&r, &guest_free[0], 1);
    pthread_create(&t, NULL, rig_thread, &rig_cpus[0]);
    for (u32 i = 0; i < 200; i++) {
        u64 before = atomic_load(&r.asked);

        now->kick(r.v[0]);
        while (atomic_load(&r.asked) == before)
            sched_yield();
    }
    while (!rig_counter(&r, G_RESULT))
        sched_yield();
    r.ram[G_PAGE] = 0; /* the guest sees it and ends */
    pthread_join(t, NULL);
    rig_close(&r);
}

/* The page under a running guest is changed for others: it reads one of them, never nothing. */
static void slots_change_under_a_vcpu(void)
{
    static struct rig r;
    struct mem_slot slots[4];
    pthread_t t;
    u8 *pages;

    if (!engine_here(NULL))
        return;
    rig_open(&r, now, 1);
    pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    r.ram[G_PAGE] = pages[0] = pages[4096] = 0x5a;
    rig_start(&r, &guest_free[0], 1);
    rig_map(&r, slots);
    slots[0].len = G_PAGE;
    slots[2] = (struct mem_slot){ .gpa = G_PAGE + 4096,
                                  .len = G_RAM - G_PAGE - 4096,
                                  .host = r.ram + G_PAGE + 4096 };
    slots[3] = (struct mem_slot){ .gpa = G_PAGE, .len = 4096 };
    pthread_create(&t, NULL, rig_thread, &rig_cpus[0]);
    for (u32 i = 0; i < 100; i++) {
        slots[3].host = pages + 4096 * (i % 2);
        CHECK_EQ(now->slots(r.engine, slots, 4, NULL), 0);
    }
    CHECK_EQ(r.n, 0); /* no load outside memory */
    pages[0] = pages[4096] = 0x77;
    pthread_join(t, NULL);
    CHECK_EQ(rig_counter(&r, G_RESULT + 0x10), 0x77);
    rig_close(&r);
    munmap(pages, 8192);
}

static void two_vcpus_lock(void)
{
    static struct rig r;
    pthread_t t[CPUS];

    if (!engine_here(NULL))
        return;
    rig_open(&r, now, CPUS);
    rig_start(&r, &guest_free[1], CPUS);
    for (u32 i = 0; i < CPUS; i++)
        pthread_create(&t[i], NULL, rig_thread, &rig_cpus[i]);
    for (u32 i = 0; i < CPUS; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(rig_counter(&r, G_RESULT), 200);
    CHECK_EQ(rig_counter(&r, G_RESULT + 8), 200);
    rig_close(&r);
}

static void dirty_pages(void)
{
    static struct rig r;
    struct mem_slot slots[2];
    u64 bits[G_RAM / 4096 / 64];

    if (!engine_here(NULL))
        return;
    rig_open(&r, now, 1);
    rig_map(&r, slots);
    slots[0].log_dirty = true;
    CHECK_EQ(now->slots(r.engine, slots, 2, NULL), 0);
    rig_start(&r, &guest_free[2], 1);
    CHECK_EQ(now->dirty(r.engine, &slots[0], bits), 0);
    CHECK_EQ(rig_run(&r, 0), STOP_KICKED);
    CHECK_EQ(now->dirty(r.engine, &slots[0], bits), 0);
    for (u32 page = G_PAGE / 4096; page < G_PAGE / 4096 + 16; page++)
        CHECK_EQ(bits[page / 64] >> page % 64 & 1, page % 2 == 0);
    CHECK_EQ(bits[0] & 0xff00, 0);
    CHECK_EQ(now->dirty(r.engine, &slots[0], bits), 0);
    for (u32 i = 0; i < LEN(bits); i++)
        CHECK_EQ(bits[i], 0);
    rig_close(&r);
}

static void dirty_pages_by_ring(void)
{
    if (strcmp(now->name, "kvm") != 0) {
        check_skip("bitmaps only");
        return;
    }
    rig_ring = 1024;
    dirty_pages();
    rig_ring = 0;
}

/* What was set is what is got, but for what a processor cannot keep. */
static void set_and_get(void)
{
    static struct rig a, b;

    if (!engine_here(NULL))
        return;
    rig_open(&a, engine_find("interpret"), 1);
    rig_open(&b, now, 1);
    rig_mode(&a, LONG);
    for (u32 i = 0; i < 16; i++)
        a.s->gpr[i] = 0x1111111111111111ull * i;
    for (u32 i = 0; i < 4; i++)
        a.s->dr[i] = 0x1000 * i;
    for (u32 i = 0; i < 256; i++)
        a.s->xsave[160 + i] = (u8)(i * 3);
    for (u32 i = 0; i < X86_MTRRS; i++)
        a.s->mtrr_base[i] = i << 12 | 6, a.s->mtrr_mask[i] = 0xff000800;
    for (u32 i = 0; i < X86_FIXED_MTRRS; i++)
        a.s->mtrr_fixed[i] = 0x0606060606060606;
    a.s->rflags = FLAG_ONE | FLAG_IF | FLAG_CF | FLAG_DF;
    a.s->cr2 = 0x123456789000;
    a.s->star = 0x0010000800000000;
    a.s->lstar = 0xffffffff81000000;
    a.s->cstar = 0x1000;
    a.s->fmask = 0x47700;
    a.s->kernel_gs_base = 0xffff888000000000;
    a.s->seg[SEG_FS].base = 0x7f0000001000;
    a.s->seg[SEG_GS].base = 0xffff888012340000;
    a.s->sysenter_cs = 8, a.s->sysenter_esp = 0xffff800000001000, a.s->sysenter_eip = 0x1234;
    a.s->tsc_offset = strcmp(now->name, "kvm") || engine_is_hardware() ? (u64)-123456789 : 0;
    a.s->pat = 0x0007010600070406;
    a.s->mtrr_def = 0xc06;
    a.s->mcg_ctl = ~0ull;
    a.s->shadow = a.s->nmi_blocked = a.s->halted = true;
    memcpy(b.s, a.s, sizeof(*a.s));
    CHECK_EQ(now->set(b.v[0], b.s), 0);
    memset(b.s, 0xee, sizeof(*b.s));
    CHECK_EQ(now->get(b.v[0], b.s), 0);
    same_state(&a, &b);
    a.s->cr0 |= 1ull << 40; /* no processor is in such a state */
    CHECK(now->set(b.v[0], a.s) != 0);
    rig_close(&a);
    rig_close(&b);
}

static const struct {
    const char *name;
    void (*fn)(void);
} frees[] = { { "kicks_are_not_lost", kicks_are_not_lost },
              { "slots_change_under_a_vcpu", slots_change_under_a_vcpu },
              { "two_vcpus_lock", two_vcpus_lock },
              { "dirty_pages", dirty_pages },
              { "dirty_pages_by_ring", dirty_pages_by_ring },
              { "set_and_get", set_and_get } };

int main(int argc, char **argv)
{
    char name[64];

    for (u32 i = 0; engine_catalog[i]; i++) {
        now = engine_catalog[i];
        if (argc > 1 && strcmp(argv[1], now->name) != 0)
            continue;
        for (u32 g = 0; g < LEN(guests); g++) {
            now_guest = &guests[g];
            snprintf(name, sizeof(name), "%s_%s", now->name, now_guest->name);
            if (argc < 3 || !strcmp(argv[2], now_guest->name))
                check_case(name, agrees);
        }
        for (u32 f = 0; f < LEN(frees); f++) {
            snprintf(name, sizeof(name), "%s_%s", now->name, frees[f].name);
            if (argc < 3 || !strcmp(argv[2], frees[f].name))
                check_case(name, frees[f].fn);
        }
    }
    return check_end();
}
