/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_X86_CPU_RIG_H
#define ENGINE_X86_CPU_RIG_H
#include "base/bytes.h"
#include "engine/x86/cpu.h"
#include "engine/x86/memory.h"
#include <stdlib.h>
#include <sys/mman.h>

/*
 * A bench for the vCPU: RAM from 0, a read-only slot behind a hole, callbacks that record.
 * Descriptor tables have fixed places; tests fill them and call the core under a guard.
 */
enum {
    RIG_RAM = 4 << 20,
    RIG_ROM = 8 << 20,  /* one page, read-only */
    RIG_HOLE = 6 << 20, /* not in a slot */
    RIG_GDT = 0x1000,
    RIG_IDT = 0x2000,
    RIG_LDT = 0x3000,
    RIG_TSS = 0x4000,
    RIG_TSS2 = 0x5000,
    RIG_STACK0 = 0x8000,
    RIG_STACK3 = 0xa000,
};
enum {
    RIG_CODE0 = 0x08,
    RIG_DATA0 = 0x10,
    RIG_CODE3 = 0x1b,
    RIG_DATA3 = 0x23,
    RIG_TR = 0x28,
    RIG_TR2 = 0x38,
    RIG_FREE = 0x50
};

struct rig {
    struct x86_cpu *c;
    struct x86_memory mem;
    struct cpu_io io;
    u8 *ram, *rom;
    u64 loads, stores, last_gpa, last_val;
    int vector;
    u32 open;
};

static u64 rig_in(void *arg, u16 port, u32 size)
{
    return port;
}
static void rig_out(void *arg, u16 port, u32 size, u64 val)
{
}
static bool rig_port(void *arg, struct x86_state *regs, u16 port, u32 size, bool out)
{
    return false;
}
static u64 rig_load(void *arg, u64 gpa, u32 size)
{
    struct rig *r = arg;

    r->loads++;
    r->last_gpa = gpa;
    return 0x1122334455667788;
}
static void rig_store(void *arg, u64 gpa, u32 size, u64 val)
{
    struct rig *r = arg;

    r->stores++;
    r->last_gpa = gpa;
    r->last_val = val;
}
static int rig_rdmsr(void *arg, u32 msr, u64 *val)
{
    return -1;
}
static int rig_wrmsr(void *arg, u32 msr, u64 val)
{
    return -1;
}
static void rig_cpuid(void *arg, u32 leaf, u32 sub, u32 regs[4])
{
}
static bool rig_hypercall(void *arg, struct x86_state *regs, u8 kind)
{
    return false;
}
static int rig_vector(void *arg, u32 open)
{
    struct rig *r = arg;
    int v = r->vector;

    r->open = open;
    if (v >= 0 && v < VECTOR_NMI && !(open & OPEN_INTR))
        return VECTOR_LATER;
    r->vector = VECTOR_NONE;
    return v;
}
static u8 rig_tpr(void *arg)
{
    return 3;
}
static void rig_tpr_set(void *arg, u8 val)
{
}

static inline void rig_open(struct rig *r)
{
    struct mem_slot slots[2];

    memset(r, 0, sizeof(*r));
    r->vector = VECTOR_NONE;
    r->io = (struct cpu_io){ .arg = r,
                             .in = rig_in,
                             .out = rig_out,
                             .port = rig_port,
                             .load = rig_load,
                             .store = rig_store,
                             .rdmsr = rig_rdmsr,
                             .wrmsr = rig_wrmsr,
                             .cpuid = rig_cpuid,
                             .hypercall = rig_hypercall,
                             .vector = rig_vector,
                             .tpr = rig_tpr,
                             .tpr_set = rig_tpr_set };
    r->ram = mmap(NULL, RIG_RAM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    r->rom = r->ram + RIG_RAM;
    slots[0] = (struct mem_slot){ .gpa = RIG_ROM, .len = 4096, .host = r->rom, .readonly = true };
    slots[1] = (struct mem_slot){ .gpa = 0, .len = RIG_RAM, .host = r->ram };
    r->c = aligned_alloc(64, sizeof(*r->c));
    x86_memory_init(&r->mem);
    x86_memory_set(&r->mem, slots, 2, NULL);
    x86_cpu_init(r->c, 0, &r->io, &r->mem, 1000000000, NULL);
}

static inline void rig_close(struct rig *r)
{
    x86_cpu_fini(r->c);
    free(r->c);
    x86_memory_fini(&r->mem);
    munmap(r->ram, RIG_RAM + 4096);
}

/* A descriptor: access is byte 5, flags the high half of byte 6 (G D L AVL). */
static inline void rig_desc(struct rig *r, u32 table, u16 sel, u32 base, u32 limit, u8 access,
                            u8 flags)
{
    u64 v = (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 |
            (u64)(limit >> 16 & 0xf) << 48 | (u64)(flags & 0xf) << 52 | (u64)(base >> 24) << 56;

    put_le64(r->ram + table + (sel & ~7u), v);
}

/* A gate: in the IDT at n * size, or any table. */
static inline void rig_gate(struct rig *r, u32 at, u16 sel, u64 off, u8 access, u8 low)
{
    u64 v = (off & 0xffff) | (u64)sel << 16 | (u64)low << 32 | (u64)access << 40 |
            (off >> 16 & 0xffff) << 48;

    put_le64(r->ram + at, v);
}

static inline void rig_segment(struct rig *r, u32 n, u16 sel, u32 base, u32 limit, u32 attr)
{
    r->c->s.seg[n] = (struct x86_segment){ .base = base, .limit = limit, .attr = attr, .sel = sel };
}

/* 32-bit protected mode without paging at level cpl, usual flat descriptors, a TSS. */
static inline void rig_protected(struct rig *r, u32 cpl)
{
    struct x86_state *s = &r->c->s;
    u32 dpl = cpl << ATTR_DPL_SHIFT;

    x86_state_reset(s, 0);
    rig_desc(r, RIG_GDT, RIG_CODE0, 0, 0xfffff, 0x9b, 0xc);
    rig_desc(r, RIG_GDT, RIG_DATA0, 0, 0xfffff, 0x93, 0xc);
    rig_desc(r, RIG_GDT, RIG_CODE3, 0, 0xfffff, 0xfb, 0xc);
    rig_desc(r, RIG_GDT, RIG_DATA3, 0, 0xfffff, 0xf3, 0xc);
    rig_desc(r, RIG_GDT, RIG_TR, RIG_TSS, 0x67, 0x8b, 0);
    rig_desc(r, RIG_GDT, RIG_TR2, RIG_TSS2, 0x67, 0x89, 0);
    put_le32(r->ram + RIG_TSS + 4, RIG_STACK0);
    put_le16(r->ram + RIG_TSS + 8, RIG_DATA0);
    s->gdtr = (struct x86_table){ .base = RIG_GDT, .limit = 0xff };
    s->idtr = (struct x86_table){ .base = RIG_IDT, .limit = 0x7ff };
    s->cr0 = CR0_PE | CR0_ET | CR0_NE;
    rig_segment(r, SEG_CS, (u16)(cpl ? RIG_CODE3 : RIG_CODE0), 0, ~0u,
                ATTR_P | ATTR_S | 0xb | ATTR_DB | ATTR_G | dpl);
    for (u32 i = 0; i <= SEG_GS; i++)
        if (i != SEG_CS)
            rig_segment(r, i, (u16)(cpl ? RIG_DATA3 : RIG_DATA0), 0, ~0u,
                        ATTR_P | ATTR_S | 3 | ATTR_DB | ATTR_G | dpl);
    rig_segment(r, SEG_TR, RIG_TR, RIG_TSS, 0x67, ATTR_P | 0xb);
    s->seg[SEG_LDTR].attr = ATTR_UNUSABLE;
    s->rip = 0x10000;
    s->gpr[RSP] = cpl ? RIG_STACK3 : RIG_STACK0 - 0x100;
    x86_flush(r->c, FLUSH_ALL, 0);
}

/* Long mode at level cpl; 64-bit code; the first 2 MiB and the hole mapped as they are. */
static inline void rig_long(struct rig *r, u32 cpl)
{
    enum { PML4 = 0x100000, PDPT = 0x101000, PD = 0x102000 };
    struct x86_state *s = &r->c->s;

    rig_protected(r, cpl);
    rig_desc(r, RIG_GDT, RIG_CODE0, 0, 0xfffff, 0x9b, 0xa);
    rig_desc(r, RIG_GDT, RIG_CODE3, 0, 0xfffff, 0xfb, 0xa);
    put_le64(r->ram + PML4, PDPT | 7);
    put_le64(r->ram + PDPT, PD | 7);
    for (u32 i = 0; i < 8; i++)
        put_le64(r->ram + PD + 8 * i, (u64)i << 21 | 0x87);
    put_le64(r->ram + RIG_TSS + 4, RIG_STACK0);
    s->cr3 = PML4;
    s->cr4 = CR4_PAE;
    s->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    s->cr0 |= CR0_PG | CR0_WP;
    s->seg[SEG_CS].attr = (s->seg[SEG_CS].attr & ~(u32)ATTR_DB) | ATTR_L;
    x86_flush(r->c, FLUSH_ALL, 0);
}

/* One call of the core under a guard: what it raised, -1 when nothing. */
struct rig_call {
    void (*fn)(struct x86_cpu *c, const u64 *a);
    u64 a[4];
};
static void rig_call_go(struct x86_cpu *c, void *arg)
{
    struct rig_call *k = arg;

    k->fn(c, k->a);
}
static inline int rig_try(struct rig *r, void (*fn)(struct x86_cpu *c, const u64 *a), u64 a, u64 b,
                          u64 d)
{
    struct rig_call k = { fn, { a, b, d, 0 } };

    return x86_guard(r->c, rig_call_go, &k) ? -1 : r->c->fault.vector;
}
#endif
