/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traces: 64-bit loops and functions that run often are made anew, in one piece along the path
 * they take,
 * through calls and other pages, with their memory checks shared and taken out of the loop
 * (trace_path.c, trace_code.c).  They are noticed by counters of backward jumps and calls; its path is
 * recorded by the interpreter, which runs it once; another thread makes the trace (trace_beside.c).
 *
 * Inside a trace the host address of a page may be used long after it was looked up.  It is
 * right as long as this vCPU does not flush, for which C must be called, and C forgets the
 * slots; stores that have to be seen again are waited for (trace_drop_writes).
 */
#include "engine/translate/trace_int.h"
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    TRACE_AFTER = 30000,
    TRACE_LONG = 1 << 20,
    TRACE_SOON = 20,
    TRACE_TRIES = 8,
    STRAIGHT_MIN = 16
};

void trace_register(void)
{
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

int trace_open(struct engine *g)
{
    g->tracer = calloc(1, sizeof(*g->tracer));
    trace_register();
    return g->tracer ? 0 : -ENOMEM;
}
void trace_close(struct engine *g)
{
    free(g->tracer);
}

static u32 trace_after(const struct engine *g)
{
    return g->options.trace_after ? g->options.trace_after : TRACE_AFTER;
}

void trace_init(struct vcpu *v)
{
    for (u32 i = 0; i < TRACE_SLOTS; i++)
        v->slot[i].page = v->slot[i].addend = v->slot[i].folded = SLOT_NONE;
    for (u32 i = 0; i < HEAT_SIZE; i++)
        v->heat[i] = trace_after(v->engine);
}

/* ---- while it runs ---- */

void trace_out(struct vcpu *v, const struct block *b)
{
    for (u32 i = 0; i < b->trace->nheld; i++) {
        u64 *gpr = &v->c.s.gpr[b->trace->gpr[i]];

        v->raw[i] = *gpr;
        if (b->trace->home[i] != X86_NOREG)
            v->c.s.gpr[b->trace->home[i]] = *gpr;
        *gpr = v->held[i];
    }
}

void trace_in(struct vcpu *v, const struct block *b)
{
    for (u32 i = 0; i < b->trace->nheld; i++)
        v->c.s.gpr[b->trace->gpr[i]] = v->raw[i];
}

void trace_forget(struct vcpu *v)
{
    atomic_store(&v->slots_drop, false);
    for (u32 i = 0; i < TRACE_SLOTS / USED_GROUP; i++) {
        if (!v->slot_used[i])
            continue;
        v->slot_used[i] = 0;
        for (u32 n = 0; n < USED_GROUP; n++) {
            v->slot[i * USED_GROUP + n].page = SLOT_NONE;
            v->slot[i * USED_GROUP + n].addend = SLOT_NONE;
        }
    }
}

/*
 * Another vCPU's entries that allow stores are gone, its slots may not know: it is asked to
 * forget them and waited for until it is in C or was there.  It calls C soon, since what waits
 * is polled for in each loop; it never holds up C while it runs translated code.
 */
void trace_drop_writes(struct engine *g)
{
    u32 turn[MAX_VCPUS];
    bool others = false;

    for (u32 i = 0; i < MAX_VCPUS; i++) {
        if (!g->vcpu[i])
            continue;
        atomic_store(&g->vcpu[i]->slots_drop, true);
        others |= g->vcpu[i] != glue_vcpu;
    }
    if (!others)
        return;
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    for (u32 i = 0; i < MAX_VCPUS; i++) {
        turn[i] = g->vcpu[i] ? atomic_load(&g->vcpu[i]->turn) : 0;
        if (turn[i] & 1)
            atomic_store(&g->vcpu[i]->c.pending, 1);
    }
    for (u32 i = 0; i < MAX_VCPUS; i++)
        while (turn[i] & 1 && atomic_load(&g->vcpu[i]->turn) == turn[i])
            __builtin_ia32_pause();
}

/* ---- recording ---- */

/* Did the instruction do what its kind does, and not raise a fault? */
static bool record_is_plain(const struct x86_insn *in, u64 pc, u64 rsp, const struct x86_state *s)
{
    u64 next = pc + in->len;

    if (!(in->flags & INSN_BRANCH))
        return s->rip == next;
    switch (in->op) {
    case ZYDIS_MNEMONIC_CALL:
        return s->gpr[RSP] == rsp - 8;
    case ZYDIS_MNEMONIC_RET:
        return s->gpr[RSP] == rsp + 8;
    default:
        return s->gpr[RSP] == rsp &&
               (in->opd[0].kind != OPD_REL || s->rip == next || s->rip == next + in->imm);
    }
}

/* A jump back to where the path was, but not to its start: a loop inside. */
static bool record_is_inner(const struct trace_path *p, const struct x86_insn *in, u64 to)
{
    if (!(in->flags & INSN_BRANCH) || in->op == ZYDIS_MNEMONIC_CALL || in->op == ZYDIS_MNEMONIC_RET)
        return false;
    for (u32 i = 1; i < p->n; i++)
        if (p->pc[i] == to)
            return true;
    return false;
}

static bool record_decode(struct vcpu *v, struct trace_path *p, struct x86_insn *in)
{
    u64 pc = v->c.s.rip, off = pc & (PAGE - 1), gpa;
    const u8 *host = tlb_code(v, pc, &gpa);

    if (!host || x86_decode(in, host + off, (u32)min_u64(PAGE - off, 15), X86_MODE64))
        return false;
    p->pc[p->n] = pc;
    p->gpa[p->n] = ((gpa & -(u64)PAGE) | off) | (gpa & 1 ? PATH_GLOBAL : 0);
    return true;
}

enum record { RECORD_DONE, RECORD_NOT_NOW, RECORD_NEVER, RECORD_SHUTDOWN };

/* A path that does not come back is worth it when it calls or returns. */
static enum record record_straight(struct trace_path *p, u32 flows)
{
    p->loop = false;
    return flows && p->n >= STRAIGHT_MIN ? RECORD_DONE : RECORD_NEVER;
}

/*
 * Runs on from s.rip until that comes again, or the path ends: at a loop inside it, at an
 * instruction that no trace has, behind the return to where it was called from.  The last try
 * takes any way.
 */
static enum record record_path(struct vcpu *v, struct trace_path *p, bool last)
{
    struct x86_state *s = &v->c.s;
    u32 mode = vcpu_mode(v), flows = 0;
    u64 head = s->rip;
    i32 depth = 0;

    p->n = 0;
    p->loop = true;
    __builtin_memcpy(p->gpr, s->gpr, sizeof(p->gpr));
    p->seg[0] = s->seg[SEG_FS].base;
    p->seg[1] = s->seg[SEG_GS].base;
    while (p->n < TRACE_INSNS) {
        u64 pc = s->rip, rsp = s->gpr[RSP];
        struct x86_insn in;

        if (x86_must_ask(&v->c) || s->shadow || s->shadow_ss)
            return RECORD_NOT_NOW;
        if (!record_decode(v, p, &in) || !trace_wants(v->engine, &in))
            return record_straight(p, flows);
        v->flushed = false;
        if (vcpu_interpret(v, in.op) == STEP_SHUTDOWN)
            return RECORD_SHUTDOWN;
        if (v->flushed || vcpu_mode(v) != mode || !record_is_plain(&in, pc, rsp, s))
            return RECORD_NOT_NOW;
        p->pc[++p->n] = s->rip;
        depth += in.op == ZYDIS_MNEMONIC_CALL ? 1 : in.op == ZYDIS_MNEMONIC_RET ? -1 : 0;
        flows += in.op == ZYDIS_MNEMONIC_CALL || in.op == ZYDIS_MNEMONIC_RET;
        if (s->rip == head && !depth)
            return RECORD_DONE;
        if (depth < 0 || s->rip == head || record_is_inner(p, &in, s->rip))
            return record_straight(p, flows);
        if (!last && in.flags & INSN_BRANCH && in.opd[0].kind == OPD_REL &&
            pc + in.len + in.imm == head)
            return RECORD_NOT_NOW; /* the loop's last round */
    }
    return record_straight(p, flows);
}

/* ---- making it ---- */

static void make_page(struct tracer *tr, u64 pc, u64 gpa, u32 len)
{
    u64 page = pc & -(u64)PAGE, phys = gpa & -(u64)PAGE & ~PATH_GLOBAL;
    u32 i;

    for (i = 0; i < tr->npage && tr->page[i] != page; i++)
        ;
    if (i == TRACE_PAGES)
        return;
    if (i == tr->npage) {
        tr->npage++;
        tr->page[i] = page;
        tr->page_gpa[i] = phys | (gpa & PATH_GLOBAL ? 1 : 0);
        tr->page_lines[i] = 0;
    }
    tr->page_lines[i] |= build_lines(gpa & ~PATH_GLOBAL, len);
}

/* The instructions as they are now, when stores to them are seen. */
static bool make_decode(struct build *t)
{
    struct tracer *tr = t->trace;
    const struct trace_path *p = tr->path;

    for (u32 i = 0; i < p->n; i++) {
        u64 gpa = p->gpa[i] & ~PATH_GLOBAL, off = gpa & (PAGE - 1), next;
        struct x86_insn *in = &t->in[i];
        const u8 *code;

        if (cache_verifies(t->g, gpa & -(u64)PAGE))
            return false;
        if (!t->v && !(atomic_load(&t->g->page[gpa >> 12]) & PAGE_CODE))
            return false; /* a vCPU may have a store to it under way */
        tlb_drop_writes(t->g, gpa & -(u64)PAGE);
        code = x86_ram(&t->g->mem, gpa, PAGE - off, false);
        if (!code || x86_decode(in, code, (u32)min_u64(PAGE - off, 15), X86_MODE64) ||
            !trace_wants(t->g, in))
            return false;
        next = p->pc[i] + in->len;
        if (p->pc[i + 1] != next && !(in->flags & INSN_BRANCH))
            return false;
        if (in->flags & INSN_BRANCH && in->opd[0].kind == OPD_REL &&
            p->pc[i + 1] != next + in->imm &&
            (p->pc[i + 1] != next || in->op == ZYDIS_MNEMONIC_CALL || in->op == ZYDIS_MNEMONIC_JMP))
            return false;
        make_page(tr, p->pc[i], p->gpa[i], in->len);
        t->pc[i] = p->pc[i] - tr->frame;
        if (i && trace_abs((i64)(t->pc[i] - t->pc[0])) > 1 << 30)
            return false;
    }
    t->pc[p->n] = p->pc[p->n] - tr->frame;
    t->n = p->n;
    return tr->npage <= TRACE_PAGES;
}

static int make_arrays(struct build *t)
{
    struct block *b = t->b;

    b->host = cache_alloc(t->g, t->n * sizeof(*b->host));
    b->at = cache_alloc(t->g, (t->n + 1) * sizeof(*b->at));
    b->op = cache_alloc(t->g, t->n * sizeof(*b->op));
    if (!b->host || !b->at || !b->op || build_undefined(t))
        return -ENOMEM;
    for (u32 i = 0; i < t->n; i++)
        b->op[i] = t->in[i].op | (t->in[i].osize == 8 ? OP_WIDE : 0);
    __builtin_memcpy(b->trace->pc, t->pc, (t->n + 1) * sizeof(t->pc[0]));
    b->ninsn = (u8)t->n;
    return 0;
}

static void make_start(struct engine *g, struct vcpu *v, struct block *b,
                       const struct trace_path *p, const u8 *host)
{
    const struct block *head = b->trace->head;
    struct build *t = g->build;

    t->g = g;
    b->mode = head->mode;
    build_start(t, v, b, g->rw + g->used);
    t->trace = g->tracer;
    t->trace->path = p;
    t->trace->made = b->trace;
    t->trace->frame = head->mode & MODE_MOVES ? p->pc[0] & -(u64)PAGE : 0;
    t->trace->npage = 0;
    t->trace->fail = t->trace->moved = NULL;
    t->code = host;
    t->ncode = PAGE - (u32)(head->gpa & (PAGE - 1));
    t->page = host - (head->gpa & (PAGE - 1));
    t->verify = t->again = false;
    b->gpa = head->gpa;
    b->pc = head->pc;
    b->id = g->nblock;
    b->lines = head->lines;
}

/* The code of a trace behind what there is, installed when it is whole.  0, or -ENODATA. */
static int make_code(struct engine *g, struct block *b)
{
    struct build *t = g->build;
    struct tracer *tr = g->tracer;

    if (!make_decode(t) || make_arrays(t) || !trace_analyse(t) || !trace_emit(t))
        return -ENODATA;
    b->trace->page = tr->frame;
    if (build_finish(t))
        return -ENODATA;
    for (u32 i = 0; i < tr->npage; i++)
        if (cache_trace(g, tr->page_gpa[i] & -(u64)PAGE, b,
                        i ? tr->page_lines[i] : tr->page_lines[i] | b->lines))
            atomic_store(&b->dead, true);
    if (b->dead)
        return -ENODATA;
    cache_install(g, b);
    g->count_trace++;
    return 0;
}

/* Lock held.  0, or no trace: -ENODATA: never of this path. */
static int make_trace(struct engine *g, struct vcpu *v, struct block *head,
                      const struct trace_path *p)
{
    u64 off = head->gpa & (PAGE - 1);
    const u8 *host = x86_ram(&g->mem, head->gpa, PAGE - off, false);
    struct block *b = cache_alloc(g, sizeof(*b));
    u32 slots = g->nslot;
    int r;

    if (!b || !host || head->gpa2)
        return -ENODATA;
    b->trace = cache_alloc(g, sizeof(*b->trace));
    if (!b->trace)
        return -ENOMEM;
    b->trace->head = head;
    make_start(g, v, b, p, host);
    r = make_code(g, b);
    if (r)
        g->nslot = slots; /* nothing has run that could have used its slots */
    return r;
}

void trace_make(struct engine *g, struct vcpu *v, struct block *head, const struct trace_path *p)
{
    if (g->size - g->used < CODE_ROOM || g->nblock == g->room || !make_trace(g, v, head, p))
        return;
    head->no_trace = true;
    g->count_no_trace++;
}

bool trace_hot(struct vcpu *v, u32 heat)
{
    struct engine *g = v->engine;
    struct trace_path path;
    struct block *head;
    bool global;
    enum record r;

    heat &= HEAT_SIZE - 1;
    v->heat[heat] = trace_after(g);
    if (vcpu_mode(v) & MODE_NEVER || x86_must_ask(&v->c) || v->c.s.shadow || v->c.s.shadow_ss ||
        !x86_code64(&v->c.s))
        return true;
    head = vcpu_block(v, vcpu_mode(v), &global);
    if (!head || head->trace || head->trace_waits)
        return true;
    if (head->no_trace) {
        v->heat[heat] = TRACE_LONG;
        return true;
    }
    vcpu_spill(v);
    r = record_path(v, &path, head->trace_tried == TRACE_TRIES - 1);
    pthread_mutex_lock(&g->lock);
    if (!head->dead &&
        (r == RECORD_NEVER || (r == RECORD_NOT_NOW && ++head->trace_tried == TRACE_TRIES)))
        head->no_trace = true;
    if (r == RECORD_NOT_NOW)
        v->heat[heat] = TRACE_SOON;
    if (head->no_trace)
        g->count_no_trace++;
    else if (!head->dead && r == RECORD_DONE && !trace_leave(g, head, &path))
        trace_make(g, v, head, &path);
    pthread_mutex_unlock(&g->lock);
    return r != RECORD_SHUTDOWN;
}

void trace_drop(struct vcpu *v, struct block *b, u32 heat)
{
    struct engine *g = v->engine;

    v->heat[heat & (HEAT_SIZE - 1)] = trace_after(g);
    pthread_mutex_lock(&g->lock);
    if (!b->dead)
        cache_kill(g, b);
    pthread_mutex_unlock(&g->lock);
}

bool trace_watch(struct vcpu *v, const struct block *b)
{
    u32 heat = (u32)(b->id & (HEAT_SIZE - 1));

    if (b->trace || v->engine->options.no_traces || --v->heat[heat])
        return false;
    trace_hot(v, heat); /* whether it ran on or not: what is next is asked again */
    return true;
}
