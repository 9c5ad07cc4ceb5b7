/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_TRANSLATE_TRANSLATE_RIG_H
#define ENGINE_TRANSLATE_TRANSLATE_RIG_H
/* The same program under the interpreter, the translator, and the two in lock-step. */
#include "engine/translate/translate_int.h"
#include "tests/check.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

extern const struct engine_ops engine_translate, engine_interpret;

enum { RAM = 4 << 20, CODE = 0x10000, STACK = 0x80000, DATA = 0x200000, TABLES = 0x300000 };
enum { CPUS = 2 };

struct rig {
    const struct engine_ops *ops;
    void *engine;
    struct vcpu *v[CPUS];
    u8 *ram;
    u32 ports;
    _Atomic int vector; /* what waits */
    atomic_bool stop;   /* come out */
};

static u64 rig_in(void *arg, u16 port, u32 size)
{
    struct rig *r = arg;

    return r->ports++ + port;
}
static void rig_out(void *arg, u16 port, u32 size, u64 val)
{
    struct rig *r = arg;

    if (port == 0x10) /* interrupt me */
        r->vector = (int)(val & 0xff);
    r->ports += (u32)val;
    if (port == 0x10)
        r->ops->kick(r->v[0]);
}
static bool rig_port(void *arg, struct x86_state *s, u16 port, u32 size, bool out)
{
    return false;
}
static u64 rig_load(void *arg, u64 gpa, u32 size)
{
    return gpa * 3;
}
static void rig_store(void *arg, u64 gpa, u32 size, u64 val)
{
    struct rig *r = arg;

    r->ports += (u32)(gpa ^ val);
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

    if (r->stop)
        return VECTOR_STOP;
    if (v >= 0 && !(open & OPEN_INTR))
        return VECTOR_LATER;
    if (v != VECTOR_NONE)
        r->vector = VECTOR_NONE;
    return v;
}
static u8 rig_tpr(void *arg)
{
    return 0;
}
static void rig_tpr_set(void *arg, u8 val)
{
}

static int rig_keep = -1; /* directory where translated code is kept */

static u8 *rig_code; /* of the run before */
static u64 rig_code_size;

/* Code that was kept is the code that would be made here: nothing in it is of the place it was
 * made at.  Not so when code was written to: blocks that verify themselves hold addresses. */
static void rig_same_code(const struct engine *g)
{
    u64 size = g->used - g->start;
    u8 *code;

    if (g->count_invalid || g->verify)
        return;
    code = malloc(size);
    memcpy(code, g->rw + g->start, size);
    if (rig_code) {
        CHECK_EQ(size, rig_code_size);
        CHECK(size == rig_code_size && !memcmp(code, rig_code, size));
        free(rig_code);
        free(code);
        rig_code = NULL;
        return;
    }
    rig_code = code;
    rig_code_size = size;
}

static u64 rig_sea; /* bytes on both sides of the memory that nobody may write to */

static u8 *rig_memory(void)
{
    u8 *p =
        mmap(NULL, RAM + 2 * rig_sea, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memset(p, 0xa5, rig_sea);
    memset(p + rig_sea + RAM, 0xa5, rig_sea);
    return p + rig_sea;
}

static bool rig_beside; /* traces are made by another thread, where there are processors for it */

static void rig_open(struct rig *r, const struct engine_ops *ops, u32 cpus, bool check)
{
    struct engine_options o = { .tsc_hz = 1000000000,
                                .apic_ids = cpus,
                                .check = check,
                                .cache_size = 4 << 20,
                                .traces_wait = !rig_beside,
                                .trace_after = 20,
                                .no_traces = rig_keep >= 0,
                                .keep = rig_keep >= 0,
                                .keep_dir = rig_keep };
    struct cpu_io io = { .arg = r,
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
    struct mem_slot slot = { .gpa = 0, .len = RAM };
    struct err e = { 0 };

    memset(r, 0, sizeof(*r));
    r->ops = ops;
    r->vector = VECTOR_NONE;
    r->ram = rig_memory();
    slot.host = r->ram;
    CHECK_EQ(ops->open(&r->engine, &o, &e), 0);
    CHECK_EQ(ops->slots(r->engine, &slot, 1, &e), 0);
    for (u32 i = 0; i < cpus; i++)
        CHECK_EQ(ops->cpu_open(r->engine, i, &io, &r->v[i], &e), 0);
}

static void rig_close(struct rig *r)
{
    for (u32 i = 0; i < CPUS; i++)
        if (r->v[i])
            r->ops->cpu_close(r->v[i]);
    r->ops->close(r->engine);
    munmap(r->ram - rig_sea, RAM + 2 * rig_sea);
}

/* Page tables that map 1 GiB one to one, the first 2 MiB in 4 KiB pages. */
static void rig_tables(u8 *ram)
{
    u64 *t = (u64 *)(void *)(ram + TABLES);

    t[0] = (TABLES + 0x1000) | 7;
    t[512] = (TABLES + 0x2000) | 7;
    for (u64 i = 0; i < 512; i++)
        t[1024 + i] = i << 21 | 0x87;
    t[1024] = (TABLES + 0x3000) | 7;
    for (u64 i = 0; i < 512; i++)
        t[1536 + i] = i << 12 | 7;
}

static void rig_segments(struct x86_state *s, u32 code)
{
    struct x86_segment data = { .limit = 0xffffffff,
                                .sel = 16,
                                .attr = 3 | ATTR_S | ATTR_P | ATTR_DB | ATTR_G };
    struct x86_segment cs = { .limit = 0xffffffff,
                              .sel = 8,
                              .attr = 11 | ATTR_S | ATTR_P | ATTR_G | code };

    for (u32 i = SEG_ES; i <= SEG_GS; i++)
        s->seg[i] = i == SEG_CS ? cs : data;
}

static void rig_state(struct x86_state *s, enum x86_mode mode)
{
    x86_state_reset(s, 0);
    s->rip = CODE;
    s->gpr[RSP] = STACK;
    s->cr4 = CR4_OSFXSR | CR4_OSXSAVE | CR4_OSXMMEXCPT;
    s->xcr0 = 7;
    if (mode == X86_MODE16) {
        s->seg[SEG_CS].base = CODE;
        s->seg[SEG_CS].sel = CODE >> 4;
        s->seg[SEG_SS].base = s->seg[SEG_DS].base = s->seg[SEG_ES].base = 0x20000;
        s->seg[SEG_SS].sel = s->seg[SEG_DS].sel = s->seg[SEG_ES].sel = 0x2000;
        s->rip = 0;
        s->gpr[RSP] = 0xfff0;
        return;
    }
    s->cr0 = CR0_PE | CR0_NE | CR0_ET;
    rig_segments(s, mode == X86_MODE64 ? ATTR_L : ATTR_DB);
    if (mode == X86_MODE64) {
        s->cr0 |= CR0_PG | CR0_WP;
        s->cr4 |= CR4_PAE;
        s->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
        s->cr3 = TABLES;
    }
}

/* What a program left behind. */
struct result {
    enum stop stop;
    struct x86_state s;
    u8 *ram;
};

struct program {
    enum x86_mode mode;
    const u8 *code;
    u32 size;
    void (*prepare)(u8 *ram, struct x86_state *s);
    bool user;
};

static void show(void *arg, const struct engine_stat *s)
{
    printf("# %s: %s %llu\n", s->group, s->name, (unsigned long long)s->value);
}

static u64 rig_traces; /* made by all programs since it was cleared */
static void rig_count(void *arg, const struct engine_stat *s)
{
    if (!strcmp(s->name, "traces made"))
        rig_traces += s->value;
}

static void program_run(const struct program *p, const struct engine_ops *ops, bool check,
                        struct result *out)
{
    struct err e = { 0 };
    struct x86_state s;
    struct rig r;

    rig_open(&r, ops, 1, check);
    rig_tables(r.ram);
    memcpy(r.ram + CODE, p->code, p->size);
    rig_state(&s, p->mode);
    for (u32 i = 0; i < 16; i++)
        if (i != RSP)
            s.gpr[i] = p->mode == X86_MODE64 ? 0x0123456789abcdefull * (i + 1) : 0x12345679u * i;
    if (p->user) /* HLT, at the end, is a triple fault then */
        for (u32 i = SEG_ES; i <= SEG_GS; i++)
            s.seg[i].attr |= ATTR_DPL;
    if (p->prepare)
        p->prepare(r.ram, &s);
    r.ops->set(r.v[0], &s);
    out->stop = r.ops->run(r.v[0], &e);
    r.ops->get(r.v[0], &out->s);
    if (getenv("STATS"))
        r.ops->stats(r.engine, show, NULL);
    if (ops == &engine_translate && !check)
        r.ops->stats(r.engine, rig_count, NULL);
    if (rig_keep >= 0)
        rig_same_code(r.engine);
    out->ram = malloc(RAM);
    memcpy(out->ram, r.ram, RAM);
    rig_close(&r);
}

static void result_compare(const struct result *a, const struct result *b)
{
    CHECK_EQ(a->stop, b->stop);
    CHECK_EQ(a->s.rip, b->s.rip);
    for (u32 i = 0; i < 16; i++) {
        if (a->s.gpr[i] != b->s.gpr[i])
            printf("# register %u\n", i);
        CHECK_EQ(a->s.gpr[i], b->s.gpr[i]);
    }
    CHECK_EQ(a->s.rflags, b->s.rflags);
    CHECK_EQ(a->s.cr2, b->s.cr2);
    CHECK(!memcmp(a->s.xsave + 32, b->s.xsave + 32, 416 - 32));
    CHECK(!memcmp(a->s.xsave + 576, b->s.xsave + 576, 256));
    CHECK(!memcmp(a->ram, b->ram, RAM));
}

/* By blocks that an earlier run of it kept. */
static void program_again(const struct program *p, const struct result *want)
{
    char dir[] = "/tmp/mimic-keep-XXXXXX", file[64];
    void *elsewhere = NULL; /* so that the second run has its memory at other addresses */
    struct result b;

    if (!mkdtemp(dir))
        return;
    snprintf(file, sizeof(file), "%s/translated", dir);
    rig_keep = open(dir, O_RDONLY | O_DIRECTORY);
    for (u32 i = 0; i < 2; i++) {
        program_run(p, &engine_translate, false, &b);
        result_compare(want, &b);
        free(b.ram);
        if (!i)
            elsewhere = mmap(NULL, 5 * RAM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    munmap(elsewhere, 5 * RAM);
    free(rig_code);
    rig_code = NULL;
    close(rig_keep);
    rig_keep = -1;
    unlink(file);
    rmdir(dir);
}

static void program_compare(const struct program *p)
{
    static u32 n;
    struct result a, b;

    program_run(p, &engine_interpret, false, &a);
    program_run(p, &engine_translate, true, &b);
    CHECK_EQ(a.stop, b.stop);
    free(b.ram);
    program_run(p, &engine_translate, false, &b);
    result_compare(&a, &b);
    if (n++ < 40 || n % 32 == 0) /* random ones are many */
        program_again(p, &a);
    free(a.ram);
    free(b.ram);
}

__attribute__((unused)) static void program_case(struct program p)
{
    program_compare(&p);
    if (p.mode == X86_MODE64 && !p.prepare) {
        p.user = true;
        program_compare(&p);
    }
}

#define PROGRAM(name, mode, prepare, ...)                                                          \
    static void name(void)                                                                         \
    {                                                                                              \
        static const u8 code[] = { __VA_ARGS__ };                                                  \
                                                                                                   \
        program_case((struct program){ mode, code, sizeof(code), prepare, false });                \
    }
#endif
