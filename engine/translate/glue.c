/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed code between C and translated code, the moving of vector state, and native
 * faults of translated code (divide errors, alignment of SSE operands), which are turned
 * into calls of C at the guest instruction that did it.
 */
#include "engine/translate/translate_int.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <ucontext.h>

_Thread_local struct vcpu *glue_vcpu;

#define AT(m) offsetof(struct vcpu, m)
#define GPR(n) (offsetof(struct vcpu, c.s.gpr) + 8 * (size_t)(n))

/* Guest number and host register of those that live in one. */
static const u8 glue_pairs[][2] = {
    { RAX, RAX }, { RCX, RCX }, { RDX, RDX }, { RBX, RBX }, { RSP, R9 },
    { RBP, RBP }, { RSI, RSI }, { RDI, RDI }, { R8, R8 },   { R12, R12 },
    { R13, R13 }, { R14, R14 }, { R15, R15 },
};

static u8 *glue_to_c_flags(struct emit *e)
{
    u8 *at = e->p;

    x_gs_op(e, 0x8f, 0, AT(site)); /* pop */
    x_store(e, AT(keep[0]), RAX);
    x_u8(e, 0x9f);            /* lahf */
    x_reg(e, 0x0f90, 0, RAX); /* seto al */
    x_gs_op(e, 0x89 | X_66, RAX, AT(flags));
    x_load(e, RAX, AT(keep[0]));
    return at;
}

/* Behind the call of C: load everything and go where it said. */
static void glue_resume(struct emit *e, const struct engine *g)
{
    u8 *over, *used;
    struct xmem xsave = x_gs(AT(c.s.xsave));

    x_store(e, AT(resume), RAX);
    x_gs_op(e, 0x80, 7, AT(vectors)); /* cmp byte, 0 */
    x_u8(e, 0);
    over = x_jump(e, X_JNE);
    x_mov_imm(e, RAX, 7);
    x_reg(e, 0x31, RDX, RDX);
    x_mem(e, 0x0fae | X_W, 5, &xsave); /* xrstor64 */
    x_gs_op(e, 0x80, 7, AT(upper));
    x_u8(e, 0);
    used = x_jump(e, X_JNE);
    x_bytes(e, (const u8[]){ 0xc5, 0xf8, 0x77 }, 3); /* vzeroupper */
    x_here(e, used);
    x_gs_op(e, 0xc6, 0, AT(vectors));
    x_u8(e, 1);
    x_here(e, over);
    x_gs_op(e, 0x0fb7, RAX, AT(flags));
    x_u8(e, 0x04); /* add al, 127 */
    x_u8(e, 127);
    x_u8(e, 0x9e); /* sahf */
    for (u32 i = 0; i < LEN(glue_pairs); i++)
        x_load(e, glue_pairs[i][1], GPR(glue_pairs[i][0]));
    x_gs_op(e, 0xff, 4, AT(resume));
}

static const u8 glue_saved[] = { RBX, RBP, R12, R13, R14, R15 };

static void glue_leave(struct emit *e)
{
    x_alu_imm(e, 0, X_W, RSP, 8);
    for (u32 i = LEN(glue_saved); i--;)
        x_opcode(e, 0x58 | (glue_saved[i] & 7), glue_saved[i] & 8 ? 1 : 0);
    x_u8(e, 0xc3);
}

/*
 * Called when a stack access is not in the cached page.  r11: address of its first byte, r10:
 * of its last.  By the TLB: ZF set, r11 the addend, and the page is the cached one from now
 * if it may be written; or ZF clear, r10 and r11 as a miss wants them.
 */
static u8 *glue_stack_look(struct emit *e, u32 set, bool write)
{
    i32 table = (i32)(AT(tlb) + set * sizeof(struct tlb_entry) * TLB_SIZE);
    struct xmem tag = x_gs_at(R11, table + (write ? 8 : 0)), writable = x_gs_at(R11, table + 8);
    struct xmem addend = x_gs_at(R11, table + 16);
    u8 *at = e->p, *miss, *keep;

    x_shift(e, 5, 0, R11, 7);
    x_alu_imm(e, 4, 0, R11, (TLB_SIZE - 1) << 5);
    x_alu_imm(e, 4, X_W, R10, -PAGE);
    x_mem(e, 0x3b | X_W, R10, &tag);
    miss = x_jump(e, X_JNE);
    x_mem(e, 0x3b | X_W, R10, &writable);
    x_mem(e, 0x8b | X_W, R11, &addend);
    keep = x_jump(e, X_JNE);
    x_store(e, AT(stack) + set * sizeof(((struct vcpu *)0)->stack[0]), R10);
    x_store(e, AT(stack) + set * sizeof(((struct vcpu *)0)->stack[0]) + 8, R11);
    x_here(e, keep);
    x_reg(e, 0x39, R10, R10); /* cmp: ZF */
    x_here(e, miss);
    x_u8(e, 0xc3);
    return at;
}

/* ZF set: CPUID's answer was known; else nothing has changed but r10, r11 and flags. */
static u8 *glue_cpuid_look(struct emit *e)
{
    static const u8 to[] = { RAX, RBX, RCX, RDX };
    struct xmem m = x_gs_at(R11, AT(cpuid[0].leaf));
    u8 *at = e->p, *no[2];

    _Static_assert(sizeof(struct cpuid_answer) == 32, "index arithmetic below");
    x_mov32(e, R10, RAX); /* cpuid_slot */
    x_mov32(e, R11, RAX);
    x_shift(e, 5, 0, R11, 26);
    x_reg(e, 0x31, R11, R10);
    x_mov32(e, R11, RCX);
    x_shift(e, 4, 0, R11, 3);
    x_reg(e, 0x31, R10, R11);
    x_alu_imm(e, 4, 0, R11, CPUID_SLOTS - 1);
    x_shift(e, 4, 0, R11, 5);
    x_mem(e, 0x3b, RAX, &m);
    no[0] = x_jump(e, X_JNE);
    m.disp += 4;
    x_mem(e, 0x3b, RCX, &m);
    no[1] = x_jump(e, X_JNE);
    for (u32 i = 0; i < LEN(to); i++) {
        m.disp += 4;
        x_mem(e, 0x8b, to[i], &m);
    }
    x_here(e, no[0]);
    x_here(e, no[1]);
    x_u8(e, 0xc3);
    return at;
}

/* r10: page of the last byte of rcx elements at reg; r11: place of the first one's entry. */
static void glue_piece_at(struct emit *e, u32 reg, bool wide)
{
    struct xmem last = { .base = (i8)reg, .index = RCX, .scale = wide ? 3 : 0, .disp = -1 };

    x_lea(e, R10, last);
    x_mov32(e, R11, reg);
    x_shift(e, 5, 0, R11, 7);
    x_alu_imm(e, 4, 0, R11, (TLB_SIZE - 1) << 5);
    x_alu_imm(e, 4, X_W, R10, -PAGE);
}

/* ZF set: the page that rdi has come to the end of takes stores as it did. */
static void glue_piece_seen(struct emit *e, const struct xmem *tag)
{
    struct xmem stack = x_at(RSP, 0);

    x_lea(e, R10, x_at(RDI, -1));
    x_alu_imm(e, 4, X_W, R10, -PAGE);
    x_mov32(e, R11, R10);
    x_shift(e, 5, 0, R11, 7);
    x_alu_imm(e, 4, 0, R11, (TLB_SIZE - 1) << 5);
    x_mem(e, 0x83 | X_LOCK, 1, &stack); /* or dword, 0: a fence */
    x_u8(e, 0);
    x_mem(e, 0x3b | X_W, R10, tag);
}

/* Registers as they were. */
static void glue_piece_undo(struct emit *e, bool move, bool wide)
{
    x_load(e, RCX, AT(keep[0]));
    x_mov(e, R10, RCX);
    x_shift(e, 4, X_W, R10, wide ? 3 : 0);
    x_reg(e, 0x29 | X_W, R10, RDI);
    if (move)
        x_reg(e, 0x29 | X_W, R10, RSI);
}

/* keep[1]: the source's addend; r11: the target's.  rsi becomes a host address, addends in r10
 * and r11; answers the jump that is taken, with nothing changed, when they are in one page. */
static u8 *glue_piece_apart(struct emit *e)
{
    u8 *same;

    x_store(e, AT(keep[2]), R11);
    x_reg(e, 0x01 | X_W, RDI, R11); /* add */
    x_load(e, R10, AT(keep[1]));
    x_reg(e, 0x01 | X_W, RSI, R10);
    x_reg(e, 0x31 | X_W, R11, R10); /* xor */
    x_alu_imm(e, 4, X_W, R10, -PAGE);
    same = x_jump(e, X_JE);
    x_load(e, R10, AT(keep[1]));
    x_load(e, R11, AT(keep[2]));
    x_reg(e, 0x01 | X_W, R10, RSI);
    return same;
}

/*
 * REP STOS and MOVS, upwards inside a page.  ZF set: done; else nothing has happened to the
 * guest's registers.  A page that became code meanwhile is found by its tag: C then does it over
 * again, so the two pages must not be one.
 */
static u8 *glue_piece(struct emit *e, u32 set, bool move, bool wide)
{
    i32 table = (i32)(AT(tlb) + set * sizeof(struct tlb_entry) * TLB_SIZE);
    struct xmem read = x_gs_at(R11, table), write = x_gs_at(R11, table + 8);
    struct xmem addend = x_gs_at(R11, table + 16);
    u8 *at = e->p, *out[5], *again, *same = NULL;
    u32 n = 0;

    x_gs_op(e, 0xf7, 0, AT(c.s.rflags)); /* test */
    x_u32(e, FLAG_DF);
    out[n++] = x_jump(e, X_JNE);
    x_reg(e, 0x85 | X_W, RCX, RCX); /* test */
    out[n++] = x_jump(e, X_JE);
    x_alu_imm(e, 7, X_W, RCX, PAGE);
    out[n++] = x_jump(e, X_JA);
    if (move) {
        glue_piece_at(e, RSI, wide);
        x_mem(e, 0x3b | X_W, R10, &read);
        out[n++] = x_jump(e, X_JNE);
        x_mem(e, 0x8b | X_W, R11, &addend);
        x_store(e, AT(keep[1]), R11);
    }
    glue_piece_at(e, RDI, wide);
    x_mem(e, 0x3b | X_W, R10, &write);
    out[n++] = x_jump(e, X_JNE);
    x_mem(e, 0x8b | X_W, R11, &addend);
    if (move)
        same = glue_piece_apart(e);
    x_store(e, AT(keep[0]), RCX);
    x_reg(e, 0x01 | X_W, R11, RDI);
    x_u8(e, 0xf3);
    if (wide)
        x_u8(e, 0x48);
    x_u8(e, (move ? 0xa4 : 0xaa) | wide);
    x_reg(e, 0x29 | X_W, R11, RDI); /* sub */
    if (move)
        x_reg(e, 0x29 | X_W, R10, RSI);
    glue_piece_seen(e, &write);
    again = x_jump(e, X_JNE);
    for (u32 i = 0; i < n; i++)
        x_here(e, out[i]);
    x_u8(e, 0xc3);
    x_here(e, again);
    glue_piece_undo(e, move, wide);
    if (move)
        x_here(e, same);
    x_reg(e, 0x85 | X_W, RSP, RSP); /* test: ZF clear */
    x_u8(e, 0xc3);
    return at;
}

int glue_emit(struct engine *g)
{
    struct emit e = { .p = g->rw, .end = g->rw + PAGE };
    struct site nowhere = { .block = ~0u, .why = WHY_INDIRECT };
    u8 *rel, *common, *call_c, *leave;

    g->to_c_flags = glue_to_c_flags(&e);
    rel = x_jump(&e, X_JMP);
    g->to_c = e.p;
    x_gs_op(&e, 0x8f, 0, AT(site)); /* pop */
    x_here(&e, rel);
    common = e.p;
    x_store(&e, AT(arg[0]), R10);
    x_store(&e, AT(arg[1]), R11);
    for (u32 i = 0; i < LEN(glue_pairs); i++)
        x_store(&e, GPR(glue_pairs[i][0]), glue_pairs[i][1]);
    call_c = e.p;
    x_load(&e, RDI, AT(self));
    x_mov_imm(&e, RAX, (u64)(uintptr_t)vcpu_main);
    x_reg(&e, 0xff, 2, RAX);
    x_reg(&e, 0x85 | X_W, RAX, RAX);
    leave = x_jump(&e, X_JE);
    glue_resume(&e, g);
    x_here(&e, leave);
    glue_leave(&e);

    g->go_in = e.p;
    for (u32 i = 0; i < LEN(glue_saved); i++)
        x_opcode(&e, 0x50 | (glue_saved[i] & 7), glue_saved[i] & 8 ? 1 : 0);
    x_alu_imm(&e, 5, X_W, RSP, 8);
    x_jump_to(&e, X_JMP, call_c);

    g->on_fault = e.p;
    x_gs_op(&e, 0xc7 | X_W, 0, AT(site));
    x_u32(&e, 0);
    x_jump_to(&e, X_JMP, common);

    g->no_jump = e.p;
    x_jump_to(&e, X_CALL, g->to_c);
    x_bytes(&e, &nowhere, sizeof(nowhere));
    for (u32 i = 0; i < 2 * TLB_SETS; i++)
        g->stack_look[i / 2][i & 1] = glue_stack_look(&e, i / 2, i & 1);
    g->cpuid_look = glue_cpuid_look(&e);
    for (u32 i = 0; i < 4 * TLB_SETS; i++)
        g->piece[i / 4][i >> 1 & 1][i & 1] = glue_piece(&e, i / 4, i >> 1 & 1, i & 1);
    if (e.full)
        return -ENOSPC;
    g->start = g->used = PAGE;
    return 0;
}

void glue_enter(struct vcpu *v)
{
    void (*go)(void);
    u8 *at = engine_rx(v->engine, v->engine->go_in);

    __builtin_memcpy(&go, &at, sizeof(go));
    v->site = NULL;
    v->fault_at = NULL;
    go();
}

/* The state as C expects it: vector registers in the block, floating point as at start. */
void vcpu_spill(struct vcpu *v)
{
    u32 mxcsr = 0x1f80;
    u64 all = 7;

    if (!v->vectors)
        return;
    __asm__ volatile("xsave64 %0" : "=m"(v->c.s.xsave) : "a"(7), "d"(0) : "memory");
    __asm__ volatile("vzeroupper\n\tfninit\n\tldmxcsr %0" ::"m"(mxcsr));
    __builtin_memcpy(v->c.s.xsave + 512, &all, 8);
    v->vectors = false;
}

static struct sigaction glue_old[NSIG];

static void glue_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    struct vcpu *v = glue_vcpu;
    u64 rip = (u64)u->uc_mcontext.gregs[REG_RIP];

    if (v && rip - (u64)(uintptr_t)v->engine->rx < v->engine->size) {
        v->fault_at = (const u8 *)(uintptr_t)rip;
        v->fault_flags = (u64)u->uc_mcontext.gregs[REG_EFL];
        u->uc_mcontext.gregs[REG_RIP] =
            (greg_t)(uintptr_t)engine_rx(v->engine, v->engine->on_fault);
        u->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)(FLAG_TF | FLAG_DF | FLAG_AC);
        return;
    }
    sigaction(sig, &glue_old[sig], NULL); /* not ours: happens again, and is taken as it was */
}

static int glue_signal_state;
static pthread_once_t glue_signal_once = PTHREAD_ONCE_INIT;

static void glue_signal_start(void)
{
    static const int signals[] = { SIGFPE, SIGSEGV, SIGBUS };
    struct sigaction a = { .sa_sigaction = glue_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };

    for (u32 i = 0; i < LEN(signals); i++)
        if (sigaction(signals[i], &a, &glue_old[signals[i]]))
            glue_signal_state = -errno;
}
int glue_signals(void)
{
    pthread_once(&glue_signal_once, glue_signal_start);
    return glue_signal_state;
}
