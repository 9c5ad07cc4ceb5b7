/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps of the interpreter where the host cannot be asked: stack and flow in every mode, REP
 * that stops on the way, code that changes, single steps, rules of the vector unit.
 */
#include "engine/interpret/vector_int.h"
#include "engine/x86/cpu_rig.h"
#include "tests/check.h"

enum { CODE_AT = 0x10000, DATA_AT = 0x30000, HANDLERS = 0x20000 };

static void code_put(struct rig *r, u64 at, const char *bytes, u32 n)
{
    memcpy(r->ram + at, bytes, n);
    r->c->s.rip = at - r->c->s.seg[SEG_CS].base;
}
#define CODE(r, bytes) code_put(r, CODE_AT, bytes, sizeof(bytes) - 1)

static void run(struct rig *r, u32 n)
{
    while (n--)
        CHECK_EQ(x86_step(r->c), STEPPED);
}

/* Gates of 64-bit mode for the first 32 vectors: where a fault went is in RIP. */
static void long_rig(struct rig *r)
{
    rig_open(r);
    rig_long(r, 0);
    for (u32 i = 0; i < 32; i++) {
        rig_gate(r, RIG_IDT + 16 * i, RIG_CODE0, HANDLERS + 16 * i, 0x8e, 0);
        put_le64(r->ram + RIG_IDT + 16 * i + 8, 0);
    }
    r->c->s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    r->c->s.xcr0 = 7;
}
static u32 vector_at(const struct rig *r)
{
    return ((u32)r->c->s.rip - HANDLERS) / 16;
}

static void real_mode(struct rig *r)
{
    rig_open(r);
    x86_state_reset(&r->c->s, 0);
    x86_set_real_segment(r->c, SEG_CS, 0x1000);
    x86_set_real_segment(r->c, SEG_SS, 0x2000);
    x86_set_real_segment(r->c, SEG_DS, 0x3000);
    x86_set_real_segment(r->c, SEG_ES, 0x3000);
}

static void stack_and_flow(void)
{
    struct rig r;

    long_rig(&r);
    CODE(&r, "\xe8\x01\x00\x00\x00\x90\x6a\xff\x59\xc2\x10\x00");
    r.c->s.gpr[RSP] = RIG_STACK0;
    run(&r, 4); /* call over a nop; push -1; pop rcx; ret 16 */
    CHECK_EQ(r.c->s.gpr[RCX], ~0ull);
    CHECK_EQ(r.c->s.rip, CODE_AT + 5);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK0 + 16);
    CODE(&r, "\xc8\x20\x00\x02\xc9"); /* enter 32, 2; leave */
    r.c->s.gpr[RBP] = DATA_AT;
    put_le64(r.ram + DATA_AT - 8, 0x1234);
    r.c->s.gpr[RSP] = RIG_STACK0;
    run(&r, 1);
    CHECK_EQ(r.c->s.gpr[RBP], RIG_STACK0 - 8);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK0 - 24 - 32);
    CHECK_EQ(le64(r.ram + RIG_STACK0 - 16), 0x1234);
    CHECK_EQ(le64(r.ram + RIG_STACK0 - 24), RIG_STACK0 - 8);
    run(&r, 1);
    CHECK_EQ(r.c->s.gpr[RBP], DATA_AT);
    CHECK_EQ(r.c->s.gpr[RSP], RIG_STACK0);
    CODE(&r, "\x67\xe2\xfd"); /* addr32 loop: ECX counts */
    r.c->s.gpr[RCX] = 0x500000002;
    run(&r, 1);
    CHECK_EQ(r.c->s.rip, CODE_AT);
    CHECK_EQ(r.c->s.gpr[RCX], 1);
    run(&r, 1);
    CHECK_EQ(r.c->s.rip, CODE_AT + 3);
    CODE(&r, "\xff\xe0"); /* jmp rax, not canonical */
    r.c->s.gpr[RAX] = 0x800000000000;
    run(&r, 1);
    CHECK_EQ(vector_at(&r), VEC_GP);
    rig_close(&r);
}

static void sixteen_bits(void)
{
    struct rig r;

    real_mode(&r);
    CODE(&r, "\x60\x61\x66\x50\x58\xeb\xfe");
    for (u32 i = 0; i < 8; i++)
        r.c->s.gpr[i] = 0x11110000 + i;
    r.c->s.gpr[RSP] = 0x11110006; /* wraps inside pusha */
    run(&r, 1);
    CHECK_EQ(r.c->s.gpr[RSP], 0x1111fff6);
    CHECK_EQ(le16(r.ram + 0x20004), 0);
    run(&r, 1);
    CHECK_EQ(r.c->s.gpr[RSP], 0x11110006);
    CHECK_EQ(r.c->s.gpr[RDI], 0x11110007);
    run(&r, 2); /* push eax, pop ax */
    CHECK_EQ(r.c->s.gpr[RSP], 0x11110004);
    run(&r, 1);
    CHECK_EQ(r.c->s.rip, 5);
    rig_close(&r);
}

static void rep_stops_and_goes_on(void)
{
    struct rig r;

    long_rig(&r);
    put_le64(r.ram + 0x102000 + 8, 0); /* 2 MiB and up: not present */
    x86_flush(r.c, FLUSH_ALL, 0);
    CODE(&r, "\xf3\x48\xab"); /* rep stosq */
    r.c->s.gpr[RAX] = 0x5555;
    r.c->s.gpr[RCX] = 8;
    r.c->s.gpr[RDI] = 0x200000 - 24;
    atomic_store(&r.c->pending, 0);
    run(&r, 1);
    CHECK_EQ(vector_at(&r), VEC_PF);
    CHECK_EQ(r.c->s.cr2, 0x200000);
    CHECK_EQ(r.c->s.gpr[RCX], 5);
    CHECK_EQ(r.c->s.gpr[RDI], 0x200000);
    CHECK_EQ(le64(r.ram + 0x200000 - 8), 0x5555);
    CODE(&r, "\xf3\xa4"); /* rep movsb, an event waits: one at a time */
    r.c->s.gpr[RSI] = DATA_AT;
    r.c->s.gpr[RDI] = DATA_AT + 1;
    r.c->s.gpr[RCX] = 3;
    r.ram[DATA_AT] = 0xab;
    atomic_store(&r.c->pending, 1);
    run(&r, 1);
    CHECK_EQ(r.c->s.rip, CODE_AT);
    CHECK_EQ(r.c->s.gpr[RCX], 2);
    atomic_store(&r.c->pending, 0);
    run(&r, 1);
    CHECK_EQ(r.c->s.rip, CODE_AT + 2);
    CHECK_EQ(le32(r.ram + DATA_AT), 0xabababab);
    rig_close(&r);
}

static void code_changes_and_crosses(void)
{
    struct rig r;

    long_rig(&r);
    CODE(&r, "\xb8\x01\x00\x00\x00");
    run(&r, 1);
    CHECK_EQ(r.c->s.gpr[RAX], 1);
    CODE(&r, "\xb8\x02\x00\x00\x00");
    run(&r, 1);
    CHECK_EQ(r.c->s.gpr[RAX], 2);
    code_put(&r, 0x11ffd, "\xb8\x78\x56\x34\x12", 5); /* over a page end */
    run(&r, 1);
    CHECK_EQ(r.c->s.gpr[RAX], 0x12345678);
    CHECK_EQ(r.c->s.rip, 0x12002);
    put_le64(r.ram + 0x102000 + 8, 0);
    x86_flush(r.c, FLUSH_ALL, 0);
    code_put(&r, 0x1ffffd, "\xb8\x78\x56", 3); /* the rest is not there */
    run(&r, 1);
    CHECK_EQ(vector_at(&r), VEC_PF);
    CHECK_EQ(r.c->s.cr2, 0x200000);
    rig_close(&r);
}

static void single_step(void)
{
    struct rig r;

    long_rig(&r);
    CODE(&r, "\x90\xf3\xaa");
    r.c->s.rflags |= FLAG_TF;
    run(&r, 1);
    CHECK_EQ(vector_at(&r), VEC_DB);
    CHECK_EQ(le64(r.ram + r.c->s.gpr[RSP]), CODE_AT + 1);
    CHECK(r.c->s.dr[6] & 1 << 14);
    r.c->s.rip = CODE_AT + 1; /* each element of a REP */
    r.c->s.rflags |= FLAG_TF;
    r.c->s.gpr[RCX] = 2;
    r.c->s.gpr[RDI] = DATA_AT;
    run(&r, 1);
    CHECK_EQ(vector_at(&r), VEC_DB);
    CHECK_EQ(le64(r.ram + r.c->s.gpr[RSP]), CODE_AT + 1);
    CHECK_EQ(r.c->s.gpr[RCX], 1);
    rig_close(&r);
}

/* A store that is not allowed changes nothing, and says that it is a write. */
static void read_and_write_fault_as_write(void)
{
    struct rig r;

    long_rig(&r);
    put_le64(r.ram + 0x102000 + 8, 1 << 21 | 0x85); /* read-only, CR0.WP */
    x86_flush(r.c, FLUSH_ALL, 0);
    CODE(&r, "\x48\xff\x07"); /* inc qword [rdi] */
    r.c->s.gpr[RDI] = 0x200000;
    run(&r, 1);
    CHECK_EQ(vector_at(&r), VEC_PF);
    CHECK_EQ(le64(r.ram + r.c->s.gpr[RSP]), 3); /* present, write */
    CODE(&r, "\xf0\x48\x0f\xc1\x07");           /* lock xadd [rdi], rax */
    r.c->s.gpr[RAX] = 7;
    run(&r, 1);
    CHECK_EQ(le64(r.ram + r.c->s.gpr[RSP]), 3);
    CHECK_EQ(r.c->s.gpr[RAX], 7);
    CODE(&r, "\xd9\x1f"); /* fstp dword [rdi]: the stack stays as it was */
    put_le16(r.c->s.xsave + AREA_FSW, 0x3800);
    r.c->s.xsave[AREA_FTW] = 0x80;
    run(&r, 1);
    CHECK_EQ(vector_at(&r), VEC_PF);
    CHECK_EQ(vector_fsw(r.c), 0x3800);
    rig_close(&r);
}

static void divide_errors(void)
{
    struct rig r;

    long_rig(&r);
    CODE(&r, "\xf7\xf9"); /* idiv ecx */
    r.c->s.gpr[RAX] = 0x80000000;
    r.c->s.gpr[RDX] = 0xffffffff;
    r.c->s.gpr[RCX] = 0xffffffff;
    run(&r, 1);
    CHECK_EQ(vector_at(&r), VEC_DE);
    CHECK_EQ(r.c->s.gpr[RAX], 0x80000000);
    CODE(&r, "\x48\xf7\xf1");
    r.c->s.gpr[RDX] = 5;
    r.c->s.gpr[RCX] = 5;
    run(&r, 1);
    CHECK_EQ(vector_at(&r), VEC_DE);
    rig_close(&r);
}

static u32 vector_of(struct rig *r, const char *bytes, u32 n)
{
    code_put(r, CODE_AT, bytes, n);
    run(r, 1);
    return r->c->s.rip == CODE_AT + n ? ~0u : vector_at(r);
}
#define VECTOR_OF(r, bytes) vector_of(r, bytes, sizeof(bytes) - 1)

static void vector_rules(void)
{
    struct rig r;

    long_rig(&r);
    r.c->s.gpr[RDI] = DATA_AT + 4;
    CHECK_EQ(VECTOR_OF(&r, "\x0f\x58\x07"), VEC_GP); /* addps: not aligned */
    CHECK_EQ(VECTOR_OF(&r, "\xc5\xf8\x58\x07"), ~0u);
    r.c->s.cr0 |= CR0_TS;
    CHECK_EQ(VECTOR_OF(&r, "\xd9\xe8"), VEC_NM);
    CHECK_EQ(VECTOR_OF(&r, "\x0f\x58\xc1"), VEC_NM);
    CHECK_EQ(VECTOR_OF(&r, "\x9b"), ~0u); /* fwait looks at TS with MP only */
    r.c->s.cr0 |= CR0_MP;
    CHECK_EQ(VECTOR_OF(&r, "\x9b"), VEC_NM);
    r.c->s.cr0 = (r.c->s.cr0 & ~(u64)CR0_TS) | CR0_EM;
    CHECK_EQ(VECTOR_OF(&r, "\x0f\x58\xc1"), VEC_UD);
    CHECK_EQ(VECTOR_OF(&r, "\xd9\xe8"), VEC_NM);
    r.c->s.cr0 &= ~(u64)CR0_EM;
    r.c->s.xcr0 = 3;
    CHECK_EQ(VECTOR_OF(&r, "\xc5\xf8\x58\xc1"), VEC_UD); /* no AVX state */
    r.c->s.cr4 &= ~(u64)CR4_OSFXSR;
    CHECK_EQ(VECTOR_OF(&r, "\x0f\x58\xc1"), VEC_UD);
    CHECK_EQ(VECTOR_OF(&r, "\x0f\x6f\xc1"), ~0u); /* movq mm0, mm1 */
    rig_close(&r);
}

static void exceptions_of_arithmetic(void)
{
    struct rig r;

    long_rig(&r);
    put_le32(r.c->s.xsave + AREA_MXCSR, 0x1f80 & ~(1 << 9)); /* divide by zero: unmasked */
    put_le32(r.c->s.xsave + AREA_XMM, 0x3f800000);
    CHECK_EQ(VECTOR_OF(&r, "\xf3\x0f\x5e\xc1"), VEC_XM); /* divss xmm0, xmm1 */
    CHECK_EQ(le32(r.c->s.xsave + AREA_XMM), 0x3f800000);
    CHECK(le32(r.c->s.xsave + AREA_MXCSR) & 4);
    r.c->s.cr4 &= ~(u64)CR4_OSXMMEXCPT;
    CHECK_EQ(VECTOR_OF(&r, "\xf3\x0f\x5e\xc1"), VEC_UD);
    r.c->s.cr0 |= CR0_NE;
    CHECK_EQ(VECTOR_OF(&r, "\xdb\xe3"), ~0u); /* fninit */
    put_le16(r.c->s.xsave + AREA_FCW, 0x37b);
    CHECK_EQ(VECTOR_OF(&r, "\xd9\xe8"), ~0u); /* fld1 */
    CHECK_EQ(VECTOR_OF(&r, "\xd9\xee"), ~0u); /* fldz */
    CHECK_EQ(VECTOR_OF(&r, "\xde\xf9"), ~0u); /* fdivp: by zero, found later */
    CHECK(vector_fsw(r.c) & FSW_ES);
    CHECK_EQ(VECTOR_OF(&r, "\xdf\xe0"), ~0u); /* fnstsw ax does not look */
    CHECK_EQ(VECTOR_OF(&r, "\xd9\xe8"), VEC_MF);
    CHECK_EQ(VECTOR_OF(&r, "\x0f\x77"), VEC_MF); /* emms */
    r.c->s.cr0 &= ~(u64)CR0_NE;
    CHECK_EQ(VECTOR_OF(&r, "\xd9\xe8"), ~0u); /* IGNNE# */
    rig_close(&r);
}

/* What is saved and loaded again is what it was. */
static void states_round_trip(void)
{
    u8 before[X86_XSAVE_SIZE];
    struct rig r;
    u8 *x;

    long_rig(&r);
    x = r.c->s.xsave;
    for (u32 i = AREA_XMM; i < AREA_YMM_END; i++)
        if (i < AREA_LEGACY_END || i >= AREA_YMM)
            x[i] = (u8)(i * 7);
    CHECK_EQ(VECTOR_OF(&r, "\xd9\xeb"), ~0u); /* fldpi */
    r.c->s.gpr[RDI] = DATA_AT;
    r.c->s.gpr[RAX] = 7;
    r.c->s.gpr[RDX] = 0;
    memcpy(before, x, sizeof(before));
    CHECK_EQ(VECTOR_OF(&r, "\x48\x0f\xae\x27"), ~0u); /* xsave64 */
    CHECK_EQ(VECTOR_OF(&r, "\xdb\xe3"), ~0u);         /* fninit */
    CHECK_EQ(VECTOR_OF(&r, "\xc5\xfc\x77"), ~0u);     /* vzeroall */
    CHECK(memcmp(before, x, AREA_LEGACY_END) != 0);
    CHECK_EQ(VECTOR_OF(&r, "\x48\x0f\xae\x2f"), ~0u); /* xrstor64 */
    CHECK(!memcmp(before, x, AREA_LEGACY_END));
    CHECK(!memcmp(before + AREA_YMM, x + AREA_YMM, 256));
    CHECK_EQ(VECTOR_OF(&r, "\x48\x0f\xc7\x27"), ~0u); /* xsavec64 */
    CHECK_EQ(le64(r.ram + DATA_AT + AREA_HEADER + 8), 7 | 1ull << 63);
    CHECK_EQ(VECTOR_OF(&r, "\xc5\xfc\x77"), ~0u);
    CHECK_EQ(VECTOR_OF(&r, "\x48\x0f\xae\x2f"), ~0u);
    CHECK(!memcmp(before + AREA_YMM, x + AREA_YMM, 256));
    CHECK_EQ(VECTOR_OF(&r, "\xdd\x37"), ~0u); /* fnsave */
    CHECK_EQ(le16(x + AREA_FCW), 0x37f);
    CHECK_EQ(VECTOR_OF(&r, "\xdd\x27"), ~0u); /* frstor */
    CHECK(!memcmp(before, x, AREA_XMM));
    CHECK_EQ(VECTOR_OF(&r, "\x0f\xae\x07"), ~0u); /* fxsave */
    CHECK_EQ(VECTOR_OF(&r, "\xdb\xe3"), ~0u);
    CHECK_EQ(VECTOR_OF(&r, "\x0f\xae\x0f"), ~0u); /* fxrstor */
    CHECK(!memcmp(before, x, AREA_LEGACY_END));
    put_le32(r.ram + DATA_AT + AREA_MXCSR, 0x10000);
    CHECK_EQ(VECTOR_OF(&r, "\x0f\xae\x0f"), VEC_GP);
    put_le64(r.ram + DATA_AT + AREA_HEADER, 8);
    CHECK_EQ(VECTOR_OF(&r, "\x48\x0f\xae\x2f"), VEC_GP);
    rig_close(&r);
}

/* A gather that faults has done what came before; a masked move does not touch the rest. */
static void elements_fault_one_by_one(void)
{
    struct rig r;
    u8 *x;

    long_rig(&r);
    put_le64(r.ram + 0x102000 + 8, 0);
    x86_flush(r.c, FLUSH_ALL, 0);
    x = r.c->s.xsave;
    put_le32(r.ram + 0x1ffffc, 0x1234);
    for (u32 i = 0; i < 4; i++) {
        put_le32(x + AREA_XMM + 16 + 4 * i, i);           /* xmm1: indexes */
        put_le32(x + AREA_XMM + 32 + 4 * i, 0x80000000u); /* xmm2: mask */
    }
    r.c->s.gpr[RDI] = 0x1ffffc;
    CHECK_EQ(VECTOR_OF(&r, "\xc4\xe2\x69\x90\x04\x8f"), VEC_PF); /* vpgatherdd xmm0 */
    CHECK_EQ(le32(x + AREA_XMM), 0x1234);
    CHECK_EQ(le32(x + AREA_XMM + 32), 0);
    CHECK_EQ(le32(x + AREA_XMM + 36), 0x80000000u);
    put_le32(x + AREA_XMM + 32, 0x80000000u);
    memset(x + AREA_XMM + 36, 0, 12);
    CHECK_EQ(VECTOR_OF(&r, "\xc4\xe2\x69\x2c\x07"), ~0u); /* vmaskmovps xmm0, xmm2, [rdi] */
    CHECK_EQ(le32(x + AREA_XMM), 0x1234);
    CHECK_EQ(VECTOR_OF(&r, "\xc4\xe2\x69\x2e\x07"), ~0u); /* and back */
    rig_close(&r);
}

static void ports_by_string(void)
{
    struct rig r;

    long_rig(&r);
    CODE(&r, "\xf3\x6d"); /* rep insd: one element a step */
    r.c->s.gpr[RDX] = 0x1f0;
    r.c->s.gpr[RCX] = 2;
    r.c->s.gpr[RDI] = DATA_AT;
    run(&r, 1);
    CHECK_EQ(r.c->s.rip, CODE_AT);
    CHECK_EQ(le32(r.ram + DATA_AT), 0x1f0);
    run(&r, 1);
    CHECK_EQ(r.c->s.rip, CODE_AT + 2);
    CHECK_EQ(r.c->s.gpr[RDI], DATA_AT + 8);
    rig_close(&r);
}

int main(void)
{
    CASE(stack_and_flow);
    CASE(sixteen_bits);
    CASE(rep_stops_and_goes_on);
    CASE(code_changes_and_crosses);
    CASE(single_step);
    CASE(read_and_write_fault_as_write);
    CASE(divide_errors);
    CASE(vector_rules);
    CASE(exceptions_of_arithmetic);
    CASE(states_round_trip);
    CASE(elements_fault_one_by_one);
    CASE(ports_by_string);
    return check_end();
}
