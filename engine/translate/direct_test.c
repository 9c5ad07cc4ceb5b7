/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sandboxes, and user code of a guest in them. */
#include "engine/engine.h"
#include "engine/translate/sandbox.h"
#include "engine/x86/state.h"
#include "tests/check.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

extern const struct engine_ops engine_translate;

enum { PAGE = 4096, RAM = 8 << 20 };
#define OWN_AT (100ull << 39)

/* ---- a sandbox by itself ---- */

struct box {
    int fd;
    u8 *ram;
    struct sandbox *s;
    struct user_regs_struct regs;
    _Alignas(64) u8 xstate[X86_XSAVE_SIZE];
    struct sandbox_what what;
};

static int box_open(struct box *b)
{
    u16 fcw = 0x37f;
    u32 mxcsr = 0x1f80;
    int rc;

    memset(b, 0, sizeof(*b));
    b->fd = memfd_create("test", MFD_CLOEXEC);
    CHECK_EQ(ftruncate(b->fd, RAM), 0);
    b->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
    memcpy(b->xstate, &fcw, 2);
    memcpy(b->xstate + 24, &mxcsr, 4);
    rc = sandbox_new(&b->s, b->fd, OWN_AT);
    b->regs = (struct user_regs_struct){
        .cs = 0x33, .ss = 0x2b, .eflags = 0x202, .rip = 0x400000, .rsp = 0x600000
    };
    return rc;
}
static void box_close(struct box *b)
{
    sandbox_free(b->s);
    munmap(b->ram, RAM);
    close(b->fd);
}

/* The code at 0x400000, data at 0x500000; run once. */
static enum sandbox_stop box_run(struct box *b, const void *code, u32 n)
{
    memcpy(b->ram, code, n);
    b->regs.rip = 0x400000;
    CHECK_EQ(sandbox_map(b->s, 0x400000, PAGE, SANDBOX_READ | SANDBOX_EXEC, 0), 0);
    CHECK_EQ(sandbox_map(b->s, 0x500000, PAGE, SANDBOX_READ | SANDBOX_WRITE, PAGE), 0);
    CHECK_EQ(sandbox_sync(b->s), 0);
    return sandbox_run(b->s, &b->regs, b->xstate, &b->what);
}

static void in_a_box(void (*fn)(struct box *b))
{
    struct box b;
    int rc = box_open(&b);

    if (rc)
        check_skip("no process can be traced here");
    else
        fn(&b);
    box_close(&b);
}
#define IN_A_BOX(name)                                                                             \
    static void name##_in(struct box *b);                                                          \
    static void name(void)                                                                         \
    {                                                                                              \
        in_a_box(name##_in);                                                                       \
    }                                                                                              \
    static void name##_in(struct box *b)

#define RUN(b, ...)                                                                                \
    box_run(b, (const u8[]){ __VA_ARGS__ }, (u32)sizeof((const u8[]){ __VA_ARGS__ }))

IN_A_BOX(system_calls_stop)
{
    /* getpid, and what follows sees nothing of it */
    CHECK_EQ(RUN(b, 0xb8, 39, 0, 0, 0, 0x0f, 0x05), SANDBOX_CALL);
    CHECK_EQ(b->regs.orig_rax, 39);
    CHECK_EQ(b->regs.rip, 0x400007);
    /* kill(getppid(), SIGKILL) by int 0x80 */
    b->regs.rbx = (u64)getpid();
    b->regs.rcx = SIGKILL;
    CHECK_EQ(RUN(b, 0xb8, 37, 0, 0, 0, 0xcd, 0x80), SANDBOX_CALL);
    CHECK_EQ(b->regs.rip, 0x400007);
}

IN_A_BOX(faults_stop)
{
    b->regs.rdi = 0x700123;
    CHECK_EQ(RUN(b, 0x48, 0x8b, 0x07), SANDBOX_FAULT);
    CHECK_EQ(b->what.signal, SIGSEGV);
    CHECK_EQ(b->what.address, 0x700123);
    CHECK_EQ(b->regs.rip, 0x400000);
    b->regs.rdi = 0x400800; /* read-only */
    CHECK_EQ(RUN(b, 0x48, 0x89, 0x07), SANDBOX_FAULT);
    CHECK_EQ(b->what.address, 0x400800);
    b->regs.rdi = OWN_AT; /* its own page is no more writable than code */
    CHECK_EQ(RUN(b, 0x48, 0x89, 0x07), SANDBOX_FAULT);
    CHECK_EQ(RUN(b, 0x0f, 0x0b), SANDBOX_FAULT);
    CHECK_EQ(b->what.signal, SIGILL);
    CHECK_EQ(RUN(b, 0x31, 0xc9, 0xf7, 0xf1), SANDBOX_FAULT);
    CHECK_EQ(b->what.signal, SIGFPE);
    CHECK_EQ(RUN(b, 0xcc), SANDBOX_FAULT);
    CHECK_EQ(b->what.signal, SIGTRAP);
    CHECK_EQ(sandbox_rules(b->s, true, false), 0);
    CHECK_EQ(RUN(b, 0x0f, 0x31), SANDBOX_FAULT); /* rdtsc */
    CHECK_EQ(b->what.signal, SIGSEGV);
}

/* The host's kernel would answer the time by itself. */
IN_A_BOX(vsyscalls_stop)
{
    b->regs.rsp = 0x500800;
    b->regs.rdi = 0;
    CHECK_EQ(RUN(b, 0x48, 0xc7, 0xc0, 0x00, 0x04, 0x60, 0xff, 0xff, 0xd0), SANDBOX_FAULT);
    CHECK_EQ(b->what.signal, SIGSEGV);
    CHECK_EQ(b->what.address, 0xffffffffff600400);
    CHECK_EQ(b->regs.rip, 0xffffffffff600400);
    CHECK_EQ(b->regs.rsp, 0x5007f8);
    CHECK_EQ(b->regs.rax, 0xffffffffff600400);
}

IN_A_BOX(memory_is_the_guests)
{
    b->regs.rdi = 0x500010;
    b->regs.rax = 0x1122334455667788;
    CHECK_EQ(RUN(b, 0x48, 0x89, 0x07, 0x0f, 0x05), SANDBOX_CALL);
    CHECK_EQ(*(u64 *)(void *)(b->ram + PAGE + 0x10), 0x1122334455667788);
    CHECK_EQ(sandbox_unmap(b->s, 0x500000, PAGE), 0);
    CHECK_EQ(sandbox_sync(b->s), 0);
    b->regs.rip = 0x400000;
    CHECK_EQ(sandbox_run(b->s, &b->regs, b->xstate, &b->what), SANDBOX_FAULT);
    CHECK_EQ(sandbox_unmap_all(b->s), 0);
    CHECK_EQ(sandbox_run(b->s, &b->regs, b->xstate, &b->what), SANDBOX_FAULT);
    CHECK_EQ(b->what.address, 0x400000);
}

IN_A_BOX(vectors_go_in_and_out)
{
    for (u32 i = 0; i < 16; i++)
        b->xstate[160 + i] = b->xstate[576 + i] = (u8)(i + 1); /* xmm0, high half of ymm0 */
    /* vpaddb ymm1, ymm0, ymm0; syscall */
    CHECK_EQ(RUN(b, 0xc5, 0xfd, 0xfc, 0xc8, 0x0f, 0x05), SANDBOX_CALL);
    CHECK_EQ(b->xstate[160 + 16 + 4], 10);
    CHECK_EQ(b->xstate[576 + 16 + 4], 10);
    CHECK_EQ(b->xstate[160 + 4], 5);
}

/* Again and again: one that comes while pages are mapped is lost. */
struct poker {
    struct sandbox *s;
    pthread_t thread;
    atomic_bool over;
};
static void *poker_run(void *arg)
{
    struct timespec t = { 0, 2000000 };
    struct poker *p = arg;

    while (!p->over) {
        nanosleep(&t, NULL);
        sandbox_poke(p->s);
    }
    return NULL;
}
static void poker_start(struct poker *p, struct sandbox *s)
{
    p->s = s;
    p->over = false;
    pthread_create(&p->thread, NULL, poker_run, p);
}
static void poker_stop(struct poker *p)
{
    p->over = true;
    pthread_join(p->thread, NULL);
}

IN_A_BOX(a_poke_ends_a_loop)
{
    struct poker p;

    poker_start(&p, b->s);
    CHECK_EQ(RUN(b, 0x48, 0xff, 0xc0, 0xeb, 0xfb), SANDBOX_POKED); /* inc rax; jmp */
    poker_stop(&p);
    CHECK(b->regs.rax > 0);
}

/* Random bytes as code, with registers that point everywhere: only the box is hurt. */
IN_A_BOX(nonsense_stays_inside)
{
    u64 x = 88172645463325252ull;
    u32 stops[4] = { 0 };

    for (u32 round = 0; round < 300; round++) {
        u8 code[256];
        struct poker p;

        for (u32 i = 0; i < sizeof(code); i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            code[i] = (u8)x;
        }
        b->regs.rdi = b->regs.rsi = 0x500000;
        b->regs.rbx = OWN_AT;
        b->regs.rdx = (u64)(uintptr_t)b->ram;
        b->regs.eflags = 0x202;
        b->regs.cs = 0x33, b->regs.ss = 0x2b;
        b->regs.ds = b->regs.es = b->regs.fs = b->regs.gs = 0;
        poker_start(&p, b->s);
        stops[box_run(b, code, sizeof(code)) & 3]++;
        poker_stop(&p);
    }
    CHECK_EQ(stops[SANDBOX_GONE], 0);
    CHECK(stops[SANDBOX_FAULT] > 100);
}

IN_A_BOX(the_end_is_noticed)
{
    FILE *children = fopen("/proc/thread-self/children", "r");
    int pid = 0;

    CHECK_EQ(RUN(b, 0x0f, 0x05), SANDBOX_CALL);
    CHECK(children && fscanf(children, "%d", &pid) == 1 && pid > 1);
    if (pid > 1)
        kill(pid, SIGKILL);
    if (children)
        fclose(children);
    CHECK_EQ(sandbox_run(b->s, &b->regs, b->xstate, &b->what), SANDBOX_GONE);
    CHECK_EQ(sandbox_run(b->s, &b->regs, b->xstate, &b->what), SANDBOX_GONE);
}

/* ---- a guest ---- */

enum { TABLES = 0x300000, USER = 0x10000, KERNEL = 0x20000, DATA = 0x400000, DEVICE = 0x900000 };
enum { ROUNDS = 40, INNER = 3000000, HALT = 99 };

struct guest {
    void *engine;
    struct vcpu *v;
    u8 *ram;
    int fd;
    atomic_bool over;
    atomic_uint loads;
    bool wanted; /* the next three: of a restored VM */
    u32 wants;
    _Atomic u64 apart[RAM / PAGE / 64], want[RAM / PAGE / 64];
};

static u64 guest_load(void *arg, u64 gpa, u32 size)
{
    struct guest *g = arg;

    atomic_fetch_add(&g->loads, 1);
    return gpa >> 12;
}
static void guest_store(void *arg, u64 gpa, u32 size, u64 val)
{
}
static int guest_vector(void *arg, u32 open)
{
    struct guest *g = arg;

    return g->wanted ? VECTOR_STOP : VECTOR_NONE;
}
static void guest_want(void *arg, u64 gpa)
{
    struct guest *g = arg;

    CHECK(g->apart[gpa / PAGE / 64] >> gpa / PAGE % 64 & 1);
    g->want[gpa / PAGE / 64] |= 1ull << gpa / PAGE % 64;
    g->wanted = true;
}
static void guest_cpuid(void *arg, u32 leaf, u32 sub, u32 regs[4])
{
    if (leaf == 0x40000000)
        regs[0] = 0x1234567;
}
static int guest_msr(void *arg, u32 msr, u64 *val)
{
    return -EINVAL;
}

static void *guest_clock(void *arg)
{
    struct timespec t = { 0, 500000 };
    struct guest *g = arg;

    while (!g->over) {
        nanosleep(&t, NULL);
        engine_translate.kick(g->v);
    }
    return NULL;
}

static void guest_tables(u8 *ram)
{
    u64 *t = (u64 *)(void *)(ram + TABLES);

    t[0] = (TABLES + 0x1000) | 7;
    t[512] = (TABLES + 0x2000) | 7;
    for (u64 i = 0; i < 8; i++)
        t[1024 + i] = (TABLES + 0x3000 + i * PAGE) | 7;
    for (u64 i = 0; i < 8 * 512; i++)
        t[1536 + i] = i << 12 | (i == USER / PAGE ? 5 : 7); /* code cannot be written */
}

/*
 * rbx rounds of: rcx times { rax = rax * 5 + rcx; [rdi + (rcx * 64 & 0xfffc0)] += rax }, then
 * CPUID, a read of a device, and a system call, whose kernel counts.
 */
static const u8 guest_user[] = {
    0xb9, 0xc0, 0xc6, 0x2d, 0x00,             /* 0: mov ecx, INNER */
    0x89, 0xca,                               /* 5: mov edx, ecx */
    0xc1, 0xe2, 0x06,                         /* 7: shl edx, 6 */
    0x81, 0xe2, 0xc0, 0xff, 0x0f, 0x00,       /* 10: and edx, 0xfffc0 */
    0x48, 0x8d, 0x04, 0x80,                   /* 16: lea rax, [rax + rax * 4] */
    0x48, 0x01, 0xc8,                         /* 20: add rax, rcx */
    0x48, 0x01, 0x04, 0x17,                   /* 23: add [rdi + rdx], rax */
    0xff, 0xc9,                               /* 27: dec ecx */
    0x75, 0xe6,                               /* 29: jnz 5 */
    0x49, 0x89, 0xc0, 0x49, 0x89, 0xd9,       /* 31: mov r8, rax; mov r9, rbx */
    0xb8, 0x00, 0x00, 0x00, 0x40, 0x0f, 0xa2, /* 37: mov eax, 0x40000000; cpuid */
    0x4d, 0x89, 0xcb,                         /* 44: mov r11, r9 */
    0x49, 0x01, 0xc2,                         /* 47: add r10, rax */
    0x4c, 0x03, 0x16,                         /* 50: add r10, [rsi] */
    0x4c, 0x89, 0xcb,                         /* 53: mov rbx, r9 */
    0xb8, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x05, /* 56: mov eax, 1; syscall */
    0x4c, 0x89, 0xc0,                         /* 63: mov rax, r8 */
    0xff, 0xcb,                               /* 66: dec ebx */
    0x75, 0xba,                               /* 68: jnz 0 */
    0xb8, HALT, 0x00, 0x00, 0x00, 0x0f, 0x05, /* 70: mov eax, HALT; syscall */
};
static const u8 guest_kernel[] = {
    0x83, 0xf8, HALT, /* cmp eax, HALT */
    0x74, 0x06,       /* je +6 */
    0x49, 0xff, 0xc4, /* inc r12 */
    0x48, 0x0f, 0x07, /* sysretq */
    0xfa, 0xf4,       /* cli; hlt */
};

static void guest_state(struct x86_state *s)
{
    struct x86_segment data = { .limit = 0xffffffff,
                                .sel = 0x2b,
                                .attr = 3 | ATTR_S | ATTR_P | ATTR_DB | ATTR_G | ATTR_DPL };
    struct x86_segment null = { .attr = ATTR_UNUSABLE };

    x86_state_reset(s, 0);
    for (u32 i = SEG_ES; i <= SEG_GS; i++)
        s->seg[i] = i == SEG_SS || i == SEG_CS ? data : null;
    s->seg[SEG_CS].sel = 0x33;
    s->seg[SEG_CS].attr = 11 | ATTR_S | ATTR_P | ATTR_G | ATTR_L | ATTR_DPL;
    s->cr0 = CR0_PE | CR0_NE | CR0_ET | CR0_PG | CR0_WP;
    s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXSAVE | CR4_OSXMMEXCPT;
    s->xcr0 = 7;
    s->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    s->cr3 = TABLES;
    s->star = 0x0023001000000000;
    s->lstar = KERNEL;
    s->fmask = FLAG_IF;
    s->rip = USER;
    s->rflags = FLAG_ONE | FLAG_IF;
    s->gpr[RBX] = ROUNDS;
    s->gpr[RDI] = DATA;
    s->gpr[RSI] = DEVICE;
}

struct found {
    u64 promoted, calls, faults;
};
static void guest_stat(void *arg, const struct engine_stat *s)
{
    struct found *f = arg;

    if (strcmp(s->group, "direct execution"))
        return;
    if (!strcmp(s->name, "address spaces promoted"))
        f->promoted = s->value;
    if (!strcmp(s->name, "system calls"))
        f->calls = s->value;
    if (!strcmp(s->name, "faults"))
        f->faults = s->value;
}

/* All of it is a private mapping of another file. */
static void guest_take_apart(struct guest *g)
{
    int fd = memfd_create("saved", MFD_CLOEXEC);

    CHECK_EQ(write(fd, g->ram, RAM), RAM);
    CHECK_EQ(ftruncate(g->fd, 0), 0);
    CHECK_EQ(ftruncate(g->fd, RAM), 0);
    mmap(g->ram, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
    close(fd);
    memset((void *)g->apart, 0xff, sizeof(g->apart));
}

/* Nothing runs: what is wanted comes into the file. */
static void guest_share(struct guest *g)
{
    for (u64 i = 0; i < RAM / PAGE; i++) {
        if (!(g->want[i / 64] >> i % 64 & 1))
            continue;
        CHECK_EQ(pwrite(g->fd, g->ram + i * PAGE, PAGE, (off_t)(i * PAGE)), PAGE);
        mmap(g->ram + i * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, g->fd,
             (off_t)(i * PAGE));
        g->apart[i / 64] &= ~(1ull << i % 64);
        g->wants++;
    }
    memset((void *)g->want, 0, sizeof(g->want));
    g->wanted = false;
}

static void guest_open(struct guest *g, bool apart)
{
    static const struct cpu_io none = { .load = guest_load,
                                        .store = guest_store,
                                        .vector = guest_vector,
                                        .cpuid = guest_cpuid,
                                        .want = guest_want,
                                        .rdmsr = guest_msr };
    struct engine_options o = { .tsc_hz = 1000000000, .cache_size = 4 << 20, .apic_ids = 1 };
    struct cpu_io io = none;
    struct err e = { 0 };

    memset(g, 0, sizeof(*g));
    io.arg = g;
    g->fd = memfd_create("test", MFD_CLOEXEC);
    CHECK_EQ(ftruncate(g->fd, RAM), 0);
    g->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, g->fd, 0);
    guest_tables(g->ram);
    memcpy(g->ram + USER, guest_user, sizeof(guest_user));
    memcpy(g->ram + KERNEL, guest_kernel, sizeof(guest_kernel));
    if (apart)
        guest_take_apart(g);
    CHECK_EQ(engine_translate.open(&g->engine, &o, &e), 0);
    CHECK_EQ(engine_translate.slots(g->engine,
                                    &(struct mem_slot){ .len = RAM,
                                                        .host = g->ram,
                                                        .shared = true,
                                                        .fd = g->fd,
                                                        .apart = apart ? g->apart : NULL },
                                    1, &e),
             0);
    CHECK_EQ(engine_translate.cpu_open(g->engine, 0, &io, &g->v, &e), 0);
}

static bool can_trace(void)
{
    struct box b;
    bool can = !box_open(&b);

    box_close(&b);
    return can;
}

static void guest_run(struct guest *g)
{
    struct err e = { 0 };
    enum stop stop;

    while ((stop = engine_translate.run(g->v, &e)) == STOP_KICKED && g->wanted)
        guest_share(g);
    CHECK_EQ(stop, STOP_HALTED);
}

/* The whole program, and the same by C. */
static void user_code(bool apart)
{
    u64 rax = 0, r10 = 0, *want = calloc(1, 0x100000);
    struct x86_state *s = aligned_alloc(64, sizeof(*s));
    struct found f = { 0 };
    struct guest g;
    pthread_t clock;

    for (u32 i = 0; i < ROUNDS; i++) {
        for (u32 c = INNER; c; c--) {
            rax = rax * 5 + c;
            want[((u64)c << 6 & 0xfffc0) / 8] += rax;
        }
        r10 += 0x1234567 + (DEVICE >> 12);
    }
    guest_open(&g, apart);
    guest_state(s);
    engine_translate.set(g.v, s);
    pthread_create(&clock, NULL, guest_clock, &g);
    guest_run(&g);
    g.over = true;
    pthread_join(clock, NULL);
    engine_translate.get(g.v, s);
    engine_translate.stats(g.engine, guest_stat, &f);
    CHECK_EQ(s->gpr[R8], rax);
    CHECK_EQ(s->gpr[R10], r10);
    CHECK_EQ(s->gpr[R12], ROUNDS);
    CHECK_EQ(g.loads, ROUNDS);
    CHECK(!memcmp(g.ram + DATA, want, 0x100000));
    if (can_trace()) {
        CHECK(f.promoted > 0);
        CHECK(f.calls > 0);
        CHECK(f.faults > 0);
        CHECK(!g.wants == !apart);
    }
    engine_translate.cpu_close(g.v);
    engine_translate.close(g.engine);
    munmap(g.ram, RAM);
    close(g.fd);
    free(want);
    free(s);
}

static void user_code_runs(void)
{
    user_code(false);
}
static void user_code_of_a_restored_vm(void)
{
    user_code(true);
}

int main(void)
{
    CASE(system_calls_stop);
    CASE(faults_stop);
    CASE(vsyscalls_stop);
    CASE(memory_is_the_guests);
    CASE(vectors_go_in_and_out);
    CASE(a_poke_ends_a_loop);
    CASE(nonsense_stays_inside);
    CASE(the_end_is_noticed);
    CASE(user_code_runs);
    CASE(user_code_of_a_restored_vm);
    return check_end();
}
