/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vector unit: x87, MMX, SSE and AVX instructions are executed by the host's own, on the
 * guest's registers.  A stub (the instruction with its memory operand at a buffer, and a
 * return) is made once for each encoding; the guest's state is loaded around it with XRSTOR
 * and stored with XSAVE.
 *
 * SIMD exceptions that the guest has not masked are found by running with all of them masked;
 * x87 ones wait in the status word as they do on the processor.  The last instruction and
 * data pointers of the x87 are kept at zero: here they would tell about the stub.
 */
#include "engine/interpret/vector_int.h"
#include "engine/x86/rewrite.h"
#include <Zydis/Mnemonic.h>
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { VECTOR_SLOTS = 2048, VECTOR_SLOT = 32, VECTOR_HASH = 4096 };
enum { VECTOR_ALL_MASKED = 0x1f80, VECTOR_UM = 1 << 11, VECTOR_FTZ = 1 << 15 };

struct vector_stub {
    u8 bytes[15], len, mode;
    u8 base, sp;    /* host registers for the memory operand and for the guest's RSP */
    bool used, can; /* can be run at all */
    u16 slot;
};

struct x86_vector_unit {
    _Alignas(64) u8 area[X86_XSAVE_SIZE]; /* registers after the last run */
    _Alignas(64) u8 bounce[64];
    struct vector_frame frame;
    u8 *write; /* the two views of the stubs' memory */
    const u8 *run;
    u32 used;
    const struct vector_stub *last;
    struct vector_stub stub[VECTOR_HASH];
};

__asm__(".text\n"
        ".p2align 4\n"
        ".globl vector_enter\n"
        ".type vector_enter, @function\n"
        "vector_enter:\n"
        "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "sub $16, %rsp\n stmxcsr (%rsp)\n fnstcw 8(%rsp)\n"
        "push %rdi\n"
        "mov 144(%rdi), %rcx\n mov 164(%rdi), %eax\n xor %edx, %edx\n xrstor64 (%rcx)\n"
        "ldmxcsr 160(%rdi)\n"
        "push 136(%rdi)\n"
        "push 128(%rdi)\n popfq\n"
        "mov 0(%rdi), %rax\n mov 8(%rdi), %rcx\n mov 16(%rdi), %rdx\n mov 24(%rdi), %rbx\n"
        "mov 40(%rdi), %rbp\n mov 48(%rdi), %rsi\n mov 64(%rdi), %r8\n mov 72(%rdi), %r9\n"
        "mov 80(%rdi), %r10\n mov 88(%rdi), %r11\n mov 96(%rdi), %r12\n mov 104(%rdi), %r13\n"
        "mov 112(%rdi), %r14\n mov 120(%rdi), %r15\n mov 56(%rdi), %rdi\n"
        "call *(%rsp)\n"
        "pushfq\n cld\n push %rdi\n mov 24(%rsp), %rdi\n"
        "mov %rax, 0(%rdi)\n mov %rcx, 8(%rdi)\n mov %rdx, 16(%rdi)\n mov %rbx, 24(%rdi)\n"
        "mov %rbp, 40(%rdi)\n mov %rsi, 48(%rdi)\n mov %r8, 64(%rdi)\n mov %r9, 72(%rdi)\n"
        "mov %r10, 80(%rdi)\n mov %r11, 88(%rdi)\n mov %r12, 96(%rdi)\n mov %r13, 104(%rdi)\n"
        "mov %r14, 112(%rdi)\n mov %r15, 120(%rdi)\n"
        "pop %rax\n mov %rax, 56(%rdi)\n pop %rax\n mov %rax, 128(%rdi)\n add $8, %rsp\n"
        "mov 152(%rdi), %rcx\n mov 164(%rdi), %eax\n xor %edx, %edx\n xsave64 (%rcx)\n"
        "test $4, %al\n jz 1f\n vzeroupper\n1:\n"
        "pop %rdi\n"
        "fninit\n fldcw 8(%rsp)\n ldmxcsr (%rsp)\n add $16, %rsp\n"
        "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n"
        ".size vector_enter, . - vector_enter\n");

/* Components that the operating system lets us use, of x87, SSE and AVX. */
static u32 vector_components(void)
{
    u32 a, b, cx, d;

    if (!__get_cpuid(1, &a, &b, &cx, &d) || !(cx & bit_OSXSAVE))
        return 0;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a & 7;
}

int x86_vector_unit_new(struct x86_cpu *c)
{
    struct x86_vector_unit *u;
    int fd;

    u = aligned_alloc(64, (sizeof(*u) + 63) & ~63ul);
    if (!u)
        return -ENOMEM;
    memset(u, 0, sizeof(*u));
    c->vector = u;
    u->frame.components = vector_components();
    u->write = MAP_FAILED;
    u->run = MAP_FAILED;
    fd = memfd_create("vector", MFD_CLOEXEC);
    if (fd >= 0 && !ftruncate(fd, VECTOR_SLOTS * VECTOR_SLOT)) {
        u->write =
            mmap(NULL, VECTOR_SLOTS * VECTOR_SLOT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        u->run = mmap(NULL, VECTOR_SLOTS * VECTOR_SLOT, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    if (fd >= 0)
        close(fd);
    if (u->write != MAP_FAILED && u->run != MAP_FAILED)
        return 0;
    x86_vector_unit_free(c);
    return -ENOMEM;
}

void x86_vector_unit_free(struct x86_cpu *c)
{
    struct x86_vector_unit *u = c->vector;

    if (!u)
        return;
    if (u->write != MAP_FAILED)
        munmap(u->write, VECTOR_SLOTS * VECTOR_SLOT);
    if (u->run != MAP_FAILED)
        munmap((void *)u->run, VECTOR_SLOTS * VECTOR_SLOT);
    free(u);
    c->vector = NULL;
}

u8 *vector_bounce(struct x86_cpu *c)
{
    return c->vector->bounce;
}

/* ---- may it run ---- */

static void vector_check_xsave(struct x86_cpu *c)
{
    if (!(c->s.cr4 & CR4_OSXSAVE))
        x86_raise(c, VEC_UD);
    if (c->s.cr0 & CR0_TS)
        x86_raise(c, VEC_NM);
}

static bool vector_is_fxsave(u16 op)
{
    return op == ZYDIS_MNEMONIC_FXSAVE || op == ZYDIS_MNEMONIC_FXSAVE64 ||
           op == ZYDIS_MNEMONIC_FXRSTOR || op == ZYDIS_MNEMONIC_FXRSTOR64;
}

void x86_check_vector(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 cr0 = c->s.cr0;

    if (in->op == ZYDIS_MNEMONIC_FWAIT) {
        if ((cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
            x86_raise(c, VEC_NM);
        return;
    }
    if ((in->flags & INSN_X87) || vector_is_fxsave(in->op)) {
        if (cr0 & (CR0_EM | CR0_TS))
            x86_raise(c, VEC_NM);
        return;
    }
    if (in->flags & INSN_AVX) {
        if (x86_real(&c->s) || x86_v86(&c->s) || !(c->s.cr4 & CR4_OSXSAVE) ||
            (c->s.xcr0 & (XCR0_SSE | XCR0_AVX)) != (XCR0_SSE | XCR0_AVX))
            x86_raise(c, VEC_UD);
    } else if (in->flags & (INSN_SSE | INSN_MMX)) {
        if ((cr0 & CR0_EM) || ((in->flags & INSN_SSE) && !(c->s.cr4 & CR4_OSFXSR)))
            x86_raise(c, VEC_UD);
    } else {
        vector_check_xsave(c);
        return;
    }
    if (cr0 & CR0_TS)
        x86_raise(c, VEC_NM);
}

void vector_pending(struct x86_cpu *c)
{
    if ((vector_fsw(c) & FSW_ES) && (c->s.cr0 & CR0_NE))
        x86_raise(c, VEC_MF);
}

static bool vector_waits(const struct x86_insn *in)
{
    switch (in->op) {
    case ZYDIS_MNEMONIC_FNCLEX:
    case ZYDIS_MNEMONIC_FNINIT:
    case ZYDIS_MNEMONIC_FNSTSW:
    case ZYDIS_MNEMONIC_FNSTCW:
    case ZYDIS_MNEMONIC_FENI8087_NOP:
    case ZYDIS_MNEMONIC_FDISI8087_NOP:
    case ZYDIS_MNEMONIC_FSETPM287_NOP:
        return false;
    default:
        return in->flags & (INSN_X87 | INSN_MMX);
    }
}

/* ---- stubs ---- */

static u32 vector_hash(const struct x86_insn *in)
{
    u64 h = (le64(in->bytes) & op_mask(in->len)) * 0x9e3779b97f4a7c15ull;

    return (u32)(h >> 40) % VECTOR_HASH;
}

/* Host registers that the instruction does not name, for its address and for RSP. */
static void vector_pick(const struct x86_insn *in, struct vector_stub *s)
{
    u32 named = 1 << RSP;
    u8 pick[2] = { 0 };
    u32 n = 0;

    for (u32 i = 0; i < in->nopd; i++)
        if (in->opd[i].kind == OPD_GPR)
            named |= 1u << in->opd[i].reg;
    for (u8 r = R15; n < 2; r--)
        if (!(named >> r & 1))
            pick[n++] = r;
    s->base = pick[0];
    s->sp = pick[1];
}

static void vector_make(struct x86_vector_unit *u, struct vector_stub *s, const struct x86_insn *in)
{
    struct x86_host_address at = { .index = X86_NOREG, .seg = X86_NOREG };
    u8 map[16], *to;
    int n;

    if (u->used == VECTOR_SLOTS) { /* full: all are made again as they are met */
        memset(u->stub, 0, sizeof(u->stub));
        u->used = 0;
    }
    *s = (struct vector_stub){ .len = in->len, .mode = in->mode, .used = true };
    memcpy(s->bytes, in->bytes, 15);
    vector_pick(in, s);
    for (u8 i = 0; i < 16; i++)
        map[i] = i;
    map[RSP] = s->sp;
    at.base = s->base;
    s->slot = (u16)u->used;
    to = u->write + s->slot * VECTOR_SLOT;
    n = x86_rewrite(in, &at, map, to);
    if (n < 0)
        return;
    to[n] = 0xc3; /* ret */
    s->can = true;
    u->used++;
}

static const struct vector_stub *vector_find(struct x86_vector_unit *u, const struct x86_insn *in)
{
    struct vector_stub *s = &u->stub[vector_hash(in)];

    if (!s->used || s->len != in->len || s->mode != in->mode ||
        memcmp(s->bytes, in->bytes, in->len))
        vector_make(u, s, in);
    return s;
}

/* ---- running one ---- */

static bool vector_is_mmx(const struct x86_insn *in)
{
    for (u32 i = 0; i < in->nopd; i++)
        if (in->opd[i].kind == OPD_MMX)
            return true;
    return false;
}

void vector_to_mmx(struct x86_cpu *c, bool valid)
{
    u8 *x = c->s.xsave, st[8 * 16];
    u16 fsw = vector_fsw(c);
    u32 top = fsw >> 11 & 7;

    memcpy(st, x + AREA_ST, sizeof(st));
    for (u32 i = 0; i < 8; i++)
        memcpy(x + AREA_ST + 16 * ((i + top) & 7), st + 16 * i, 16);
    put_le16(x + AREA_FSW, fsw & ~(7u << 11));
    if (valid)
        x[AREA_FTW] = 0xff;
}

/* SIMD exceptions that the guest has not masked; SDM volume 1, 11.5. */
static void vector_simd_exceptions(struct x86_cpu *c, const struct x86_insn *in, u32 guest)
{
    enum { BEFORE = 0x07 }; /* invalid, denormal, divide by zero: found before the operation */
    u8 *at = c->vector->area + AREA_MXCSR;
    u32 met = le32(at) & FSW_EXCEPTIONS, unmasked = met & ~(guest >> 7);

    if (unmasked) {
        if (unmasked & BEFORE)
            met &= BEFORE;
        put_le32(c->s.xsave + AREA_MXCSR, guest | met);
        if (vector_is_mmx(in))
            vector_to_mmx(c, true);
        x86_raise(c, c->s.cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD);
    }
    put_le32(at, guest | met);
}

/* It ran with all exceptions masked: the control word, unless it was loaded, and what waits. */
static void vector_unquiet(u8 *area, const struct x86_insn *in, u16 fcw)
{
    u16 fsw = le16(area + AREA_FSW);

    if (in->op != ZYDIS_MNEMONIC_FLDCW && in->op != ZYDIS_MNEMONIC_FLDENV &&
        in->op != ZYDIS_MNEMONIC_FRSTOR)
        put_le16(area + AREA_FCW, fcw);
    if (fsw & ~le16(area + AREA_FCW) & FSW_EXCEPTIONS)
        put_le16(area + AREA_FSW, fsw | FSW_ES | FSW_BUSY);
}

void vector_run(struct x86_cpu *c, const struct x86_insn *in, void *memory)
{
    struct x86_vector_unit *u = c->vector;
    const struct vector_stub *s = vector_find(u, in);
    struct vector_frame *f = &u->frame;
    u32 mxcsr = le32(c->s.xsave + AREA_MXCSR);
    bool all_masked = (mxcsr & VECTOR_ALL_MASKED) == VECTOR_ALL_MASKED;
    u16 fcw = le16(c->s.xsave + AREA_FCW);
    bool quiet = (vector_fsw(c) & FSW_ES) && vector_waits(in); /* CR0.NE is clear: go on */

    if (!s->can)
        x86_raise(c, VEC_UD);
    u->last = s;
    for (u32 i = 0; i < 16; i++)
        f->gpr[i] = c->s.gpr[i];
    f->gpr[s->sp] = c->s.gpr[RSP];
    f->gpr[s->base] = (u64)(uintptr_t)memory;
    f->flags = (c->s.rflags & FLAGS_ARITH) | FLAG_ONE;
    f->code = u->run + s->slot * VECTOR_SLOT;
    f->from = c->s.xsave;
    f->to = u->area;
    f->mxcsr = all_masked ? mxcsr : (mxcsr | VECTOR_ALL_MASKED) & ~(u32)FSW_EXCEPTIONS;
    if (!(mxcsr & VECTOR_UM)) /* tiny results raise, exact or not: flushing tells of both */
        f->mxcsr |= VECTOR_FTZ;
    if (quiet)
        put_le16(c->s.xsave + AREA_FCW, fcw | FSW_EXCEPTIONS);
    vector_enter(f);
    if (quiet) {
        put_le16(c->s.xsave + AREA_FCW, fcw);
        vector_unquiet(u->area, in, fcw);
    }
    if (!all_masked)
        vector_simd_exceptions(c, in, mxcsr);
}

void vector_commit(struct x86_cpu *c, const struct x86_insn *in)
{
    struct x86_vector_unit *u = c->vector;
    const struct vector_stub *s = u->last;
    u8 *x = c->s.xsave;

    memcpy(x, u->area, X86_XSAVE_SIZE);
    put_le16(x + AREA_FOP, 0);
    memset(x + AREA_FOP + 2, 0, 16);
    put_le64(x + AREA_HEADER, XCR0_X87 | XCR0_SSE | XCR0_AVX);
    for (u32 i = 0; i < 16; i++)
        if (in->gpr_write >> i & 1)
            c->s.gpr[i] = u->frame.gpr[i == RSP ? s->sp : i];
    if (in->eflags_write)
        op_flags(c, FLAGS_ARITH, u->frame.flags);
}

/* Must the address be a multiple of the size? */
static bool vector_aligned(const struct x86_insn *in, u32 size)
{
    switch (in->op) {
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_PCMPESTRI:
    case ZYDIS_MNEMONIC_PCMPESTRM:
    case ZYDIS_MNEMONIC_PCMPISTRI:
    case ZYDIS_MNEMONIC_PCMPISTRM:
        return false;
    case ZYDIS_MNEMONIC_VMOVAPS:
    case ZYDIS_MNEMONIC_VMOVAPD:
    case ZYDIS_MNEMONIC_VMOVDQA:
    case ZYDIS_MNEMONIC_VMOVNTDQ:
    case ZYDIS_MNEMONIC_VMOVNTPS:
    case ZYDIS_MNEMONIC_VMOVNTPD:
    case ZYDIS_MNEMONIC_VMOVNTDQA:
        return true;
    default:
        return size == 16 && (in->flags & INSN_SSE);
    }
}

/* An x87 store whose exception is unmasked leaves memory alone, but for inexact results. */
static bool vector_stores(const struct x86_cpu *c, const struct x86_insn *in)
{
    enum { INEXACT = 0x20 };
    const u8 *area = c->vector->area;
    u16 fsw = le16(area + AREA_FSW), fcw = le16(area + AREA_FCW);

    if (!(in->flags & INSN_X87) || !(fsw & FSW_ES))
        return true;
    if (in->op == ZYDIS_MNEMONIC_FNSTSW || in->op == ZYDIS_MNEMONIC_FNSTCW)
        return true;
    return !(fsw & ~fcw & FSW_EXCEPTIONS & ~INEXACT);
}

/* Where the memory operand is; raises when it cannot be used. */
static u64 vector_operand(struct x86_cpu *c, const struct x86_insn *in)
{
    const struct x86_operand *m = &in->opd[in->mem];
    bool write = m->access & OPD_WRITE;
    u64 base = in->seg == SEG_FS || in->seg == SEG_GS ? c->s.seg[in->seg].base : 0, lin;
    bool aligned = vector_aligned(in, m->size);

    /* #GP also where an address that is not canonical would be a #SS */
    if (aligned && in->mode == X86_MODE64 && ((base + op_address(c, in)) & (m->size - 1)))
        x86_raise_code(c, VEC_GP, 0);
    lin = op_linear(c, in, m->size, write);
    if (aligned && (lin & (m->size - 1)))
        x86_raise_code(c, VEC_GP, 0);
    if (write)
        x86_probe_write(c, lin, m->size, ACCESS_CPL);
    return lin;
}

void op_vector(struct x86_cpu *c, const struct x86_insn *in)
{
    const struct x86_operand *m = in->mem == X86_NOREG ? NULL : &in->opd[in->mem];
    u8 *bounce = vector_bounce(c);

    x86_check_vector(c, in);
    if (vector_waits(in))
        vector_pending(c);
    if (m && (!m->size || m->size > 64))
        x86_raise(c, VEC_UD);
    if (m && m->access & OPD_WRITE && vector_is_mmx(in))
        vector_to_mmx(c, false); /* also when the store faults */
    if (m && m->access & OPD_READ)
        x86_read_bytes(c, vector_operand(c, in), bounce, m->size, ACCESS_CPL);
    vector_run(c, in, bounce);
    /* where a result would go does not matter when there is none */
    if (m && m->access & OPD_WRITE && vector_stores(c, in))
        x86_write_bytes(c, vector_operand(c, in), bounce, m->size, ACCESS_CPL);
    vector_commit(c, in);
}

void op_fwait(struct x86_cpu *c, const struct x86_insn *in)
{
    x86_check_vector(c, in);
    vector_pending(c);
}
