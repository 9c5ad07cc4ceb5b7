/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests that mean harm: random code of every opcode, in every mode and ring, that jumps
 * anywhere, writes to itself and to the other vCPU's code, to its page tables and descriptors,
 * and is interrupted at any time.  Nothing of it may reach memory beyond the guest's own, stop
 * the engine from coming out when it is asked to, or break it; one vCPU alone is also run in
 * lock-step.  About one life in some thousands changes a page table that it is using, and does not
 * flush: there the two differ, and both are right.  Best run under sanitizers:
 *
 *     hostile_test [SECONDS [SEED]]
 */
#include "engine/translate/translate_rig.h"
#include "tests/insn/random.h"
#include <time.h>

enum { SEA = 8 << 20, CODE_END = 0x20000, GDT = 0x40000, IDT = 0x41000, TSS = 0x43000 };
enum { LIFE_US = 2000, STUCK_S = 60, SELECTORS = 8 };

struct host {
    struct rig rig;
    u8 *sea;
    atomic_uint out; /* vCPUs that are */
    atomic_bool broken;
    u32 cpus;
    u64 seed;
};

/* ---- what it is made of ---- */

static u64 pick(u64 n)
{
    return (random64() >> 11) % n;
}

static u64 address(void)
{
    switch (pick(12)) {
    case 0:
    case 1:
        return CODE + pick(CODE_END - CODE);
    case 2:
    case 3:
        return DATA + pick(0x8000);
    case 4:
        return DATA + (pick(8) + 1) * PAGE - pick(20);
    case 5:
        return TABLES + pick(0x5000);
    case 6:
        return -pick(PAGE + 16);
    case 7:
        return (pick(2) ? 1ull << 63 : 1ull << 47) + pick(2 * PAGE) - PAGE;
    case 8:
        return RAM + pick(4 * PAGE) - 2 * PAGE;
    case 9:
        return GDT + pick(0x4000);
    case 10:
        return random_value();
    default:
        return STACK - pick(0x1000);
    }
}

struct text {
    u8 *p, *end;
};
static void put(struct text *t, const void *bytes, u32 n)
{
    if (t->end - t->p >= (i64)n) {
        memcpy(t->p, bytes, n);
        t->p += n;
    }
}
#define PUT(t, ...) put(t, (const u8[]){ __VA_ARGS__ }, (u32)sizeof((const u8[]){ __VA_ARGS__ }))

static u8 low_reg(void)
{
    u8 r = (u8)pick(7);

    return r == 4 ? 7 : r; /* not rsp */
}

static void put_value(struct text *t, u8 reg, u64 value, bool wide)
{
    if (wide)
        PUT(t, 0x48, 0xb8 | reg);
    else
        PUT(t, 0xb8 | reg);
    put(t, &value, wide ? 8 : 4);
}
static void put_address(struct text *t, u8 reg, bool wide)
{
    put_value(t, reg, address(), wide);
}

/* The bytes of an instruction that accesses memory, before ModRM. */
static void put_operation(struct text *t, bool wide)
{
    static const u8 op[] = { 0x88, 0x89, 0x8a, 0x8b, 0x01, 0x29, 0x87, 0x39, 0x31, 0x63 };

    if (pick(6) == 0)
        PUT(t, 0xf0);
    if (wide && pick(2))
        PUT(t, 0x48);
    PUT(t, op[pick(sizeof(op))]);
}

/* An access through a register that points somewhere. */
static void put_access(struct text *t, bool wide)
{
    u8 base = low_reg();

    put_address(t, base, wide);
    put_operation(t, wide);
    PUT(t, 0x40 | (u8)(pick(8) << 3) | base, (u8)pick(256));
}

/* To somewhere, by a sum whose parts are at their ends: it wraps around, or nearly. */
static void put_far_access(struct text *t, bool wide)
{
    u8 base = low_reg(), index = low_reg(), scale = (u8)pick(4), reg = (u8)(pick(8) << 3);
    i32 disp = pick(2) ? INT32_MAX - (i32)pick(16) : INT32_MIN + (i32)pick(16);
    u64 to = address(), from = to - (u64)(i64)disp, part = random_value();

    switch (pick(3)) {
    case 0:
        put_value(t, base, from, wide);
        put_operation(t, wide);
        PUT(t, 0x80 | reg | base);
        break;
    case 1:
        put_value(t, base, from - (part << scale), wide);
        put_value(t, index, part, wide);
        put_operation(t, wide);
        PUT(t, 0x84 | reg, (u8)(scale << 6 | index << 3 | base));
        break;
    default: /* absolute; by RIP in 64-bit code, or without a register at all */
        put_operation(t, wide);
        if (wide && pick(2))
            PUT(t, 0x04 | reg, 0x25);
        else
            PUT(t, 0x05 | reg);
        disp = (i32)(to - (wide && pick(2) ? CODE : 0));
    }
    put(t, &disp, 4);
}

static void put_flow(struct text *t)
{
    i32 by = (i32)(CODE + pick(CODE_END - CODE)) - CODE - (i32)pick(CODE_END - CODE);

    switch (pick(8)) {
    case 0:
        PUT(t, 0xe9);
        put(t, &by, 4);
        break;
    case 1:
        PUT(t, 0xe8);
        put(t, &by, 4);
        break;
    case 2:
        PUT(t, 0x0f, 0x80 | (u8)pick(16));
        put(t, &by, 4);
        break;
    case 3:
        PUT(t, 0xc3);
        break;
    case 4:
        PUT(t, 0xff, (u8)(0xd0 | pick(2) << 4 | low_reg()));
        break;
    case 5:
        PUT(t, 0xe0 | (u8)pick(4), (u8)-pick(40)); /* LOOP, JCXZ */
        break;
    default:
        PUT(t, 0x70 | (u8)pick(16), (u8)(pick(60) - 40));
    }
}

/* What only a kernel may do. */
static void put_system(struct text *t, bool wide)
{
    static const u8 rows[][4] = { { 0x0f, 0x22, 0xd8 },
                                  { 0x0f, 0x20, 0xd8 },
                                  { 0x0f, 0x22, 0xe0 },
                                  { 0x0f, 0x22, 0xc0 },
                                  { 0x0f, 0x01, 0x38 },
                                  { 0x0f, 0x01, 0x10 },
                                  { 0x0f, 0x01, 0x18 },
                                  { 0x0f, 0x00, 0xd8 },
                                  { 0x48, 0xcf },
                                  { 0x0f, 0x05 },
                                  { 0x48, 0x0f, 0x07 },
                                  { 0xcd, 0x80 },
                                  { 0x0f, 0x30 },
                                  { 0xe6, 0x10 },
                                  { 0xfb },
                                  { 0xfa },
                                  { 0xf4 },
                                  { 0x9d },
                                  { 0x0f, 0x01, 0xcb },
                                  { 0x0f, 0x01, 0xef },
                                  { 0x0f, 0xae, 0x38 },
                                  { 0x8e, 0xd0 },
                                  { 0x8e, 0xe0 },
                                  { 0xcb },
                                  { 0x0f, 0xc7, 0x08 },
                                  { 0x0f, 0x23, 0xf8 },
                                  { 0x0f, 0x06 } };
    const u8 *row = rows[pick(LEN(rows))];
    u32 n = row[3] ? 4 : row[2] ? 3 : row[1] ? 2 : 1;

    if (pick(2))
        put_address(t, RAX, wide);
    if (row[1] == 0x22 && row[2] == 0xd8)
        PUT(t, 0xb8, 0, (u8)(pick(4) << 4), TABLES >> 16, 0); /* tables there are */
    if (row[1] == 0x30)
        PUT(t, 0xb9, (u8)(0x80 + pick(5)), 0, 0, 0xc0);
    put(t, row, n);
}

static void put_string(struct text *t, bool wide)
{
    static const u8 op[] = { 0xa4, 0xa5, 0xaa, 0xab, 0xa6, 0xae, 0xac, 0x6c, 0x6e };

    put_address(t, RDI, wide);
    put_address(t, RSI, wide);
    PUT(t, 0xb9, (u8)pick(256), (u8)pick(64), (u8)(pick(8) == 0 ? pick(256) : 0), 0);
    PUT(t, pick(2) ? 0xf3 : 0xf2);
    if (wide && pick(2))
        PUT(t, 0x48);
    PUT(t, op[pick(sizeof(op))]);
    if (pick(8) == 0)
        PUT(t, pick(2) ? 0xfc : 0xfd);
}

static u64 entry(void)
{
    return (pick(RAM / PAGE + 2) << 12) | (pick(16) ? 7 : pick(8)) | (pick(8) ? 0x60 : 0) |
           (pick(12) ? 0 : random64() & 0xf800000000000198);
}

/* mov eax,[table entry]; mov [rax], another entry; and often INVLPG */
static void put_entry(struct text *t)
{
    u32 at = TABLES + (u32)(pick(4) << 12) + (u32)pick(512) * 8;
    u32 val = (u32)entry();

    PUT(t, 0xb8);
    put(t, &at, 4);
    PUT(t, 0xc7, 0x00);
    put(t, &val, 4);
    if (pick(2))
        PUT(t, 0x0f, 0x01, 0x38);
}

static void put_random(struct text *t, bool wide)
{
    struct x86_insn in;
    u8 b[16];

    random_bytes(b, wide);
    put(t, b, x86_decode(&in, b, 15, wide ? X86_MODE64 : X86_MODE32) ? 1 + (u32)pick(6) : in.len);
}

static void write_code(u8 *from, u8 *to, bool wide)
{
    struct text t = { from, to };

    while (t.end - t.p > 40) {
        switch (pick(16)) {
        case 0:
        case 1:
        case 2:
            put_access(&t, wide);
            break;
        case 3:
        case 4:
            put_flow(&t);
            break;
        case 5:
            put_system(&t, wide);
            break;
        case 6:
            put_string(&t, wide);
            break;
        case 7:
            put_entry(&t);
            break;
        case 8:
            PUT(&t, 0x50 | (u8)pick(16)); /* PUSH, POP; POP RSP too */
            break;
        case 9:
            PUT(&t, 0xbc); /* mov esp */
            put(&t, &(u32){ (u32)(STACK - pick(0x2000)) }, 4);
            break;
        case 10:
        case 11:
            put_far_access(&t, wide);
            break;
        default:
            put_random(&t, wide);
        }
    }
}

/* ---- the machine it finds ---- */

static void write_gates(u8 *ram, enum x86_mode mode)
{
    static const u64 gdt[SELECTORS] = { 0,
                                        0x00af9b000000ffff,
                                        0x00cf93000000ffff,
                                        0x00cffb000000ffff,
                                        0x00cff3000000ffff,
                                        0x00affb000000ffff,
                                        0x00cf9b000000ffff,
                                        0x008f9b000000ffff };

    memcpy(ram + GDT, gdt, sizeof(gdt));
    for (u32 i = 0; i < 256; i++) {
        u32 at = CODE + (u32)pick(CODE_END - CODE);
        u8 gate[16] = { (u8)at,
                        (u8)(at >> 8),
                        (u8)(mode == X86_MODE64 ? 8 : 0x30),
                        0,
                        0,
                        (u8)(0x8e | (pick(4) ? 0x60 : 0) | pick(2)),
                        (u8)(at >> 16) };

        if (mode == X86_MODE64) {
            gate[4] = (u8)(pick(2) ? 1 + pick(7) : 0);
            memcpy(ram + IDT + 16 * i, gate, 16);
        } else {
            memcpy(ram + IDT + 8 * i, gate, 8);
        }
    }
    for (u32 i = 0; i < 0x80; i += 8)
        memcpy(ram + TSS + 4 + i, &(u64){ STACK - 0x100 * i }, 8);
}

static void write_tables(u8 *ram)
{
    u64 *t = (u64 *)(void *)(ram + TABLES);

    rig_tables(ram);
    t[511] = (TABLES + 0x4000) | 7;
    t[4 * 512 + 511] = (TABLES + 0x4000) | 7; /* the last page is that one too */
    for (u32 n = (u32)pick(40); n; n--)
        t[3 * 512 + pick(512)] = entry();
    for (u32 n = (u32)pick(4); n; n--)
        t[pick(4 * 512)] = entry();
}

static void write_state(struct x86_state *s, enum x86_mode mode, bool user)
{
    rig_state(s, mode);
    s->gdtr = (struct x86_table){ .base = GDT, .limit = 8 * SELECTORS - 1 };
    s->idtr = (struct x86_table){ .base = IDT, .limit = 0xfff };
    s->seg[SEG_TR] =
        (struct x86_segment){ .base = TSS, .limit = 0x67, .sel = 0x38, .attr = 11 | ATTR_P };
    if (mode == X86_MODE16)
        s->idtr = (struct x86_table){ .limit = 0x3ff };
    for (u32 i = SEG_ES; user && i <= SEG_GS; i++) {
        s->seg[i].attr |= ATTR_DPL;
        s->seg[i].sel = i != SEG_CS ? 0x23 : mode == X86_MODE64 ? 0x2b : 0x1b;
    }
    for (u32 i = 0; i < 16; i++)
        if (i != RSP || pick(4) == 0)
            s->gpr[i] = mode == X86_MODE64 ? address() : (u32)address();
    s->rip = (mode == X86_MODE16 ? 0 : CODE) + pick(CODE_END - CODE);
    s->lstar = CODE + pick(CODE_END - CODE);
    s->star = 0x0018000800000000;
    s->rflags |= pick(2) ? FLAG_IF : 0;
    s->rflags |= pick(16) ? 0 : FLAG_TF;
    if (mode != X86_MODE16)
        s->cr4 |= pick(2) ? CR4_PGE : 0;
    if (mode == X86_MODE64)
        s->cr4 |= random64() & (CR4_PCIDE | CR4_SMAP | CR4_SMEP | CR4_PKE | CR4_UMIP);
}

/* ---- one life ---- */

static void *live(void *arg)
{
    struct host *h = ((void **)arg)[0];
    struct vcpu *v = ((void **)arg)[1];
    struct rig *r = &h->rig;
    struct err e = { 0 };
    enum stop stop = r->ops->run(v, &e);

    if (stop == STOP_BROKEN) {
        printf("# broken: %s\n", e.text);
        h->broken = true;
    }
    h->out++;
    return NULL;
}

static void wait_out(struct host *h)
{
    struct timespec t = { 0, 200000 };
    struct rig *r = &h->rig;

    for (u32 i = 0; i < LIFE_US / 200 && h->out < h->cpus; i++) {
        r->vector = pick(3) ? VECTOR_NONE : (int)(32 + pick(224));
        nanosleep(&t, NULL);
        r->ops->kick(r->v[pick(h->cpus)]);
    }
    r->stop = true;
    for (u32 i = 0; i < STUCK_S * 5000 && h->out < h->cpus; i++) {
        for (u32 n = 0; n < h->cpus; n++)
            r->ops->kick(r->v[n]);
        nanosleep(&t, NULL);
    }
    if (h->out < h->cpus) {
        printf("# a vCPU does not come out: seed %llu\n", (unsigned long long)h->seed);
        fflush(stdout);
        abort();
    }
}

static bool sea_is_calm(const struct host *h)
{
    const u64 *p = (const u64 *)(const void *)h->sea;
    u64 other = 0;

    for (u32 i = 0; i < SEA / 8; i++)
        other |= (p[i] | p[i + (SEA + RAM) / 8]) ^ 0xa5a5a5a5a5a5a5a5;
    return !other;
}

static void life(struct host *h)
{
    static const enum x86_mode modes[] = { X86_MODE64, X86_MODE64, X86_MODE64, X86_MODE32,
                                           X86_MODE16 };
    enum x86_mode mode = modes[pick(LEN(modes))];
    struct x86_state *s = aligned_alloc(64, sizeof(*s));
    void *arg[CPUS][2];
    pthread_t thread[CPUS];
    bool user = mode != X86_MODE16 && pick(3) == 0;

    memset(h->rig.ram, 0, RAM);
    write_code(h->rig.ram + CODE, h->rig.ram + CODE_END, mode == X86_MODE64);
    write_tables(h->rig.ram);
    write_gates(h->rig.ram, mode);
    for (u32 i = 0; i < h->cpus; i++) {
        write_state(s, mode, user);
        h->rig.ops->set(h->rig.v[i], s);
        arg[i][0] = h;
        arg[i][1] = h->rig.v[i];
    }
    for (u32 i = 0; i < h->cpus; i++)
        pthread_create(&thread[i], NULL, live, arg[i]);
    wait_out(h);
    for (u32 i = 0; i < h->cpus; i++)
        pthread_join(thread[i], NULL);
    free(s);
}

static bool life_is_harmless(u64 number, bool check)
{
    struct host h = { .cpus = check ? 1 : CPUS, .seed = number };
    bool calm;

    seed = number * 0x9e3779b97f4a7c15ull + 1;
    rig_open(&h.rig, &engine_translate, h.cpus, check);
    h.sea = h.rig.ram - SEA;
    life(&h);
    calm = sea_is_calm(&h);
    if (!calm || h.broken)
        printf("# seed %llu%s: %s\n", (unsigned long long)number, check ? " in lock-step" : "",
               calm ? "broken" : "wrote outside of its memory");
    rig_close(&h.rig);
    return calm && !h.broken;
}

enum { LIVES = 300 };
static u64 first = 1;

static void two_vcpus(void)
{
    for (u64 i = 0; i < LIVES; i++)
        CHECK(life_is_harmless(first + i, false));
}
static void one_in_lock_step(void)
{
    for (u64 i = 0; i < LIVES; i++)
        CHECK(life_is_harmless(first + i, true));
}

int main(int argc, char **argv)
{
    time_t end = argc > 1 ? time(NULL) + atoi(argv[1]) : 0;

    rig_sea = SEA;
    if (argc > 2)
        first = strtoull(argv[2], NULL, 0);
    do {
        CASE(two_vcpus);
        CASE(one_in_lock_step);
        first += LIVES;
    } while (time(NULL) < end);
    return check_end();
}
