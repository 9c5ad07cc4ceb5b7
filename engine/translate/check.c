/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lock-step: before a block runs, the interpreter runs its instructions, with every store
 * logged and undone; afterwards registers, flags that are defined and the stored bytes must
 * be the same.  Blocks that talk to devices or read clocks are not compared.  One vCPU only.
 */
#include "base/log.h"
#include "engine/translate/translate_int.h"
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_STORES = 4096 };
struct check_store {
    u64 gpa;
    u32 len;
    u8 was[64], want[64];
};
struct check {
    const struct cpu_io *io; /* the real one */
    struct cpu_io fence;     /* gives up when the interpreter wants a device */
    jmp_buf give_up;
    const struct block *block;
    struct x86_state before, want;
    u32 steps, nstore;
    struct check_store store[CHECK_STORES];
};

static _Noreturn void check_device(void *arg)
{
    struct check *k = arg;

    longjmp(k->give_up, 1);
}
static u64 check_in(void *arg, u16 port, u32 size)
{
    check_device(arg);
}
static void check_out(void *arg, u16 port, u32 size, u64 val)
{
    check_device(arg);
}
static bool check_port(void *arg, struct x86_state *regs, u16 port, u32 size, bool out)
{
    check_device(arg);
}
static u64 check_load(void *arg, u64 gpa, u32 size)
{
    check_device(arg);
}
static void check_store(void *arg, u64 gpa, u32 size, u64 val)
{
    check_device(arg);
}
static int check_rdmsr(void *arg, u32 msr, u64 *val)
{
    check_device(arg);
}
static int check_wrmsr(void *arg, u32 msr, u64 val)
{
    check_device(arg);
}
static void check_cpuid(void *arg, u32 leaf, u32 sub, u32 regs[4])
{
    check_device(arg);
}
static bool check_hypercall(void *arg, struct x86_state *regs, u8 kind)
{
    check_device(arg);
}
static int check_vector(void *arg, u32 open)
{
    check_device(arg);
}
static u8 check_tpr(void *arg)
{
    check_device(arg);
}
static void check_tpr_set(void *arg, u8 val)
{
    check_device(arg);
}

int check_new(struct vcpu *v)
{
    struct check *k = calloc(1, sizeof(*k));

    if (!k)
        return -ENOMEM;
    k->io = v->c.io;
    k->fence = (struct cpu_io){ k,
                                check_in,
                                check_out,
                                check_port,
                                check_load,
                                check_store,
                                check_rdmsr,
                                check_wrmsr,
                                check_cpuid,
                                check_hypercall,
                                check_vector,
                                check_tpr,
                                check_tpr_set };
    v->check = k;
    return 0;
}

void check_free(struct vcpu *v)
{
    free(v->check);
}

/* A store of the interpreter's trial, before it is done. */
void check_wrote(struct vcpu *v, u64 gpa, u32 len)
{
    struct check *k = v->check;
    struct check_store *s = &k->store[k->nstore];
    const u8 *p = x86_ram(&v->engine->mem, gpa, len, false);

    if (!p || len > sizeof(s->was) || k->nstore == CHECK_STORES)
        check_device(k);
    k->nstore++;
    s->gpa = gpa;
    s->len = len;
    memcpy(s->was, p, len);
}

enum { ACCESSED = 1 << 5, DIRTY = 1 << 6 };

/* Did the store only mark a table's entry as used?  `want` is known. */
static bool check_is_mark(const struct check_store *s)
{
    u8 diff = s->want[0] ^ s->was[0];

    return s->len >= 4 && diff && !(diff & ~(ACCESSED | DIRTY)) &&
           !memcmp(s->want + 1, s->was + 1, 3);
}

/* Puts memory back; page-table bits that the interpreter's own cache relies on flush it. */
static void check_undo(struct vcpu *v)
{
    struct check *k = v->check;
    bool table = false;

    for (u32 i = 0; i < k->nstore; i++) {
        struct check_store *s = &k->store[i];

        memcpy(s->want, x86_ram(&v->engine->mem, s->gpa, s->len, false), s->len);
    }
    for (u32 i = k->nstore; i--;) {
        struct check_store *s = &k->store[i];

        table |= check_is_mark(s);
        memcpy(x86_ram(&v->engine->mem, s->gpa, s->len, true), s->was, s->len);
    }
    if (table)
        x86_flush(&v->c, FLUSH_ALL, 0);
}

void check_before(struct vcpu *v, const struct block *b)
{
    struct check *k = v->check;
    struct x86_cpu *c = &v->c;
    jmp_buf *outer = c->escape;
    u64 retired = c->retired;
    u32 mode = v->mode;
    bool given_up;

    k->block = b;
    k->nstore = 0;
    if (!b->undefined)
        return;
    k->before = c->s;
    c->io = &k->fence;
    v->check_phase = CHECK_TRIAL;
    given_up = _setjmp(k->give_up);
    x86_unsplit(c);
    if (!given_up) {
        for (k->steps = 0; k->steps < b->ninsn; k->steps++)
            if (c->s.rip != block_pc(b, k->steps) || x86_step(c) != STEPPED)
                break;
    }
    c->io = k->io;
    c->escape = outer;
    c->retired = retired;
    k->want = c->s;
    check_undo(v);
    c->s = k->before;
    v->mode = mode;
    v->mode_known = true;
    v->check_phase = given_up ? CHECK_NONE : CHECK_RUN;
}

static u64 check_number(const struct x86_state *s, u32 i)
{
    return i < 16 ? s->gpr[i] : i == 16 ? s->rip : i == 17 ? s->rflags : i == 18 ? s->cr2 : 0;
}

static bool check_vectors_same(const struct x86_state *a, const struct x86_state *b)
{
    u16 fsw_a, fsw_b;

    memcpy(&fsw_a, a->xsave + 2, 2);
    memcpy(&fsw_b, b->xsave + 2, 2);
    return !memcmp(a->xsave, b->xsave, 2) && !((fsw_a ^ fsw_b) & 0xffff) &&
           a->xsave[4] == b->xsave[4] && !memcmp(a->xsave + 24, b->xsave + 24, 4) &&
           !memcmp(a->xsave + 32, b->xsave + 32, 416 - 32) &&
           !memcmp(a->xsave + 576, b->xsave + 576, 256);
}

static void check_report(struct vcpu *v, const char *what)
{
    struct check *k = v->check;
    u64 off = k->block->gpa & (PAGE - 1);
    const u8 *code = x86_ram(&v->engine->mem, k->block->gpa, PAGE - off, false);

    log_error("translator differs from interpreter: %s", what);
    for (u32 i = 0; code && i < k->block->ninsn; i++) {
        struct x86_insn in;
        char text[96] = "?";

        if (!x86_decode(&in, code + k->block->at[i], (u32)(PAGE - off - k->block->at[i]),
                        k->block->mode & MODE_SIZE))
            x86_print(&in, k->block->pc + k->block->at[i], text, sizeof(text));
        log_error("  %c %llx: %s", i < k->steps ? ' ' : '-',
                  (unsigned long long)(k->block->pc + k->block->at[i]), text);
    }
    for (u32 i = 0; i < 19; i++)
        log_error("  %2u before %16llx interpreter %16llx translator %16llx%s", i,
                  (unsigned long long)check_number(&k->before, i),
                  (unsigned long long)check_number(&k->want, i),
                  (unsigned long long)check_number(&v->c.s, i),
                  check_number(&k->want, i) == check_number(&v->c.s, i) ? "" : " <");
}

/* A store of the interpreter, and what is there now.  Either may have fetched ahead, and so have
 * set a page's accessed bit. */
static bool check_store_same(struct vcpu *v, const struct check_store *s)
{
    const u8 *now = x86_ram(&v->engine->mem, s->gpa, s->len, false);
    u8 mine = check_is_mark(s) ? ACCESSED : 0;

    return !((now[0] ^ s->want[0]) & ~mine) && !memcmp(now + 1, s->want + 1, s->len - 1);
}

/* What is wrong, or NULL. */
static const char *check_compare(struct vcpu *v, char *text, u32 room)
{
    struct check *k = v->check;
    const struct x86_state *a = &k->want, *b = &v->c.s;
    u64 known = ~(u64)(k->steps ? k->block->undefined[k->steps - 1] : 0) & ~(u64)FLAG_RF;

    for (u32 i = 0; i < 16; i++)
        if (a->gpr[i] != b->gpr[i])
            return "registers";
    if (a->rip != b->rip)
        return "rip";
    if ((a->rflags ^ b->rflags) & known)
        return "flags";
    if (a->cr2 != b->cr2 || a->cr0 != b->cr0 || memcmp(a->seg, b->seg, sizeof(a->seg)))
        return "control state";
    if (!check_vectors_same(a, b))
        return "vector state";
    for (u32 i = 0; i < k->nstore; i++) {
        const struct check_store *s = &k->store[i];

        if (!check_store_same(v, s)) {
            snprintf(text, room, "memory at %llx", (unsigned long long)s->gpa);
            return text;
        }
    }
    return NULL;
}

/* After an interpreted instruction that changed the mode the translator leaves early. */
static bool check_left_early(const struct vcpu *v)
{
    const struct check *k = v->check;

    for (u32 i = 1; i < k->steps; i++)
        if (v->c.s.rip == block_pc(k->block, i))
            return true;
    return false;
}

/* false: they differ, and it was reported. */
bool check_after(struct vcpu *v)
{
    const char *what;
    char text[64];

    v->check_phase = CHECK_NONE;
    /* a string instruction may have stopped early; the block may have changed itself */
    if (atomic_load(&v->c.pending) || v->check->block->dead || check_left_early(v))
        return true;
    what = check_compare(v, text, sizeof(text));
    if (what)
        check_report(v, what);
    return !what;
}
