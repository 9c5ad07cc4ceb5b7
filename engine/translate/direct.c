/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which address spaces run directly, and how: user code that has run for a while with few
 * system calls is promoted; what stops so often, each time at the cost of two switches of
 * processes, that the translator would be faster is put back for a while that doubles.
 *
 * Not run directly: what a sandbox cannot show as the guest has it (other selectors than
 * Linux and Windows use, single step, 5-level paging), pages with instructions that differ
 * or a protection key (direct_pages.c), lock-step.
 */
#include "engine/translate/direct.h"
#include "base/bytes.h"
#include "engine/translate/sandbox.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SPACES = 16, SANDBOXES = 4, PENDING = 64, STOPS = 32, AGAIN = 2 };
/* us: of a system call's code at least; that two switches of processes take; fills count so */
enum { BETWEEN = 60, SWITCHES = 7, SWITCHES_MAX = 25, FILL_SHARE = 8, CHANGED_MIN = 16 };
enum { STOP_NS = 10000 };
/* ms: of a restored VM only what computes so long has its pages moved; what counts at once; the
 * pause after which it begins anew; between looks */
enum { PATIENCE = 60, COUNTED = 10, REST = 500, LOOK = 4, MS_NS = 1000000 };
enum { CS_USER = 0x33, SS_USER = 0x2b, PML4_FIRST = 64, PML4_LAST = 250 };
enum { SI_TRACE = 2 }; /* siginfo's TRAP_TRACE */

struct space {
    u64 cr3;
    bool on, stale;
    bool tsc;                    /* the sandbox reads the host's counter by itself */
    u64 used, not_before, wait;  /* host TSC */
    u64 skip;                    /* page of code that is left to the translator */
    u32 waits;                   /* how often its pages were asked for */
    u64 had, seen, processor_at; /* ns that it computed before that; when; the thread's then */
    struct sandbox *sandbox;
    struct direct_pages pages;
    u64 pending[PENDING]; /* linear pages that the guest flushed */
    u32 npending;
    u64 last_rip, last_lin; /* of the last fault */
    u32 again;              /* how often it came again */
    u64 refill;             /* where the guest took a page fault; 0: nowhere */
    u32 stops;              /* and the host TSC ticks meanwhile: in the sandbox, in all */
    u64 ran, busy;
    u64 least;     /* the shortest of `plain` ones: what the switches take here and now */
    u32 plain;     /* stops that were not for pages */
    u64 processor; /* ns that the sandbox had had when the first of them came */
    bool filled;   /* the last stop was for pages that it did not have yet */
};
struct direct {
    struct space space[SPACES];
    struct sandbox *running; /* under lock: it may be poked */
    pthread_mutex_t lock;
    struct x86_slot_table *slots; /* by which the pages were mapped */
    u64 ms;                       /* host TSC ticks */
    u32 sandboxes;
    u64 flushed, calls; /* when the guest last flushed more than a page; system calls by then */
    bool broken;        /* no sandbox can be made here */
};

int direct_open(struct vcpu *v)
{
    struct engine *g = v->engine;
    struct direct *d;

    v->direct_cr3 = ~0ull;
    if (g->options.no_direct || g->options.check)
        return 0;
    d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    pthread_mutex_init(&d->lock, NULL);
    d->ms = g->options.tsc_hz / 1000;
    v->direct = d;
    return 0;
}

static void direct_empty(struct vcpu *v, struct space *s)
{
    if (!s->sandbox)
        return;
    direct_pages_free(v, &s->pages);
    sandbox_free(s->sandbox);
    s->sandbox = NULL;
    v->direct->sandboxes--;
}

void direct_close(struct vcpu *v)
{
    struct direct *d = v->direct;

    if (!d)
        return;
    for (u32 i = 0; i < SPACES; i++)
        direct_empty(v, &d->space[i]);
    pthread_mutex_destroy(&d->lock);
    free(d);
    v->direct = NULL;
}

/* ---- which ---- */

/* Is the state one that a host process can have? */
static bool direct_fits(struct vcpu *v)
{
    const struct x86_state *s = &v->c.s;
    u32 no = MODE_NO_X87 | MODE_NO_SSE | MODE_NO_AVX, mode = vcpu_mode(v);

    if (mode & (MODE_NEVER | no) || (mode & MODE_SIZE) != X86_MODE64 || !(mode & MODE_USER))
        return false;
    if (s->seg[SEG_CS].sel != CS_USER || s->seg[SEG_SS].sel != SS_USER ||
        (s->seg[SEG_DS].sel && s->seg[SEG_DS].sel != SS_USER) ||
        (s->seg[SEG_ES].sel && s->seg[SEG_ES].sel != SS_USER) || s->seg[SEG_FS].sel ||
        s->seg[SEG_GS].sel)
        return false;
    if (!(s->rflags & FLAG_IF) || s->rflags & (FLAG_IOPL | FLAG_ID | FLAG_TF | FLAG_NT))
        return false;
    if (s->cr4 & CR4_PKE && s->pkru & 3) /* key 0's rights; other keys are not mapped */
        return false;
    return !(s->cr4 & CR4_LA57) && s->rip < SANDBOX_END && s->seg[SEG_FS].base < SANDBOX_END &&
           s->seg[SEG_GS].base < SANDBOX_END;
}

static struct space *direct_find(struct direct *d, u64 cr3)
{
    for (u32 i = 0; i < SPACES; i++)
        if (d->space[i].cr3 == cr3 && d->space[i].used)
            return &d->space[i];
    return NULL;
}

static void direct_off(struct vcpu *v, struct space *s)
{
    struct direct *d = v->direct;

    s->on = false;
    v->direct_on = false;
    v->direct_cr3 = ~0ull;
    for (u32 i = 0; i < SPACES; i++)
        v->direct_on |= d->space[i].on;
}
static void direct_demote(struct vcpu *v, struct space *s, u64 now)
{
    struct direct *d = v->direct;

    s->wait = min_u64(s->wait ? 2 * s->wait : 50 * d->ms, 5000 * d->ms);
    s->not_before = now + s->wait;
    direct_off(v, s);
}

/* The one that ran longest ago. */
static struct space *direct_new_space(struct vcpu *v, u64 cr3, u64 now)
{
    struct direct *d = v->direct;
    struct space *s = &d->space[0];

    for (u32 i = 1; i < SPACES; i++)
        if (d->space[i].used < s->used)
            s = &d->space[i];
    if (s->on)
        direct_demote(v, s, now);
    direct_empty(v, s);
    *s = (struct space){ .cr3 = cr3, .used = now };
    return s;
}

/* Is the top-level entry for lin empty?  Then no guest page is near it. */
static bool direct_is_hole(struct vcpu *v, u64 lin)
{
    u64 at = (v->c.s.cr3 & 0xffffffffff000) + 8 * (lin >> 39 & 0x1ff);
    const u8 *p = x86_ram(&v->engine->mem, at, 8, false);

    return p && !(*p & 1);
}

/* The sandbox of another space, emptied. */
static int direct_take_over(struct vcpu *v, struct space *s, struct space *from, u64 now)
{
    if (from->on)
        direct_demote(v, from, now);
    s->sandbox = from->sandbox;
    s->pages = from->pages;
    from->sandbox = NULL;
    from->pages = (struct direct_pages){ 0 };
    return direct_pages_drop(v, &s->pages, s->sandbox);
}

/* A new sandbox, or when there are enough the one that was used longest ago. */
static int direct_sandbox(struct vcpu *v, struct space *s, u64 now)
{
    struct direct *d = v->direct;
    const struct mem_slot *slot = x86_slot(&v->engine->mem, v->c.s.cr3 & 0xffffffffff000);
    struct space *old = NULL;
    u64 at = PML4_FIRST;
    int rc;

    for (u32 i = 0; i < SPACES; i++) {
        struct space *x = &d->space[i];

        if (x->sandbox && (!old || x->used < old->used))
            old = x;
    }
    if (d->sandboxes >= SANDBOXES && direct_is_hole(v, sandbox_at(old->sandbox)))
        return direct_take_over(v, s, old, now);
    if (d->sandboxes >= SANDBOXES) {
        if (old->on)
            direct_demote(v, old, now);
        direct_empty(v, old);
    }
    while (at < PML4_LAST && !direct_is_hole(v, at << 39))
        at++;
    if (!slot || !slot->shared || at == PML4_LAST)
        return -ENOSPC;
    rc = sandbox_new(&s->sandbox, slot->fd, at << 39);
    d->sandboxes += !rc;
    return rc;
}

/* Its counter is the host's until somebody moves it: a pause does. */
static bool direct_tsc(const struct vcpu *v)
{
    return !v->c.s.tsc_offset && !(v->c.s.cr4 & CR4_TSD);
}

static int direct_rules(struct vcpu *v, struct space *s)
{
    s->tsc = direct_tsc(v);
    return sandbox_rules(s->sandbox, false, s->tsc);
}

static void direct_count_anew(struct space *s)
{
    s->stops = s->plain = 0;
    s->ran = s->busy = 0;
    s->least = ~0ull;
    s->processor = sandbox_ran_ns(s->sandbox);
}

static bool direct_promote(struct vcpu *v, struct space *s, u64 now)
{
    struct direct *d = v->direct;
    int rc = 0;

    if (!s->sandbox)
        rc = direct_sandbox(v, s, now);
    if (!rc)
        rc = direct_rules(v, s);
    if (rc) {
        d->broken = rc != -ENOSPC;
        direct_empty(v, s);
        return false;
    }
    s->on = s->stale = v->direct_on = true;
    direct_count_anew(s);
    v->stats.promoted++;
    return true;
}

/* Has this code run for some time, with hardly a system call? */
static bool direct_computes(const struct vcpu *v, u64 now)
{
    const struct direct *d = v->direct;
    u64 time = now - d->flushed;

    return time > 2 * d->ms && time > (v->calls - d->calls) * (d->ms * BETWEEN / 1000);
}

/* Has it computed for so long that moving all of its memory pays? */
static bool direct_is_worth(const struct direct *d, struct space *s, u64 now)
{
    struct timespec t;
    u64 ns;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    ns = (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
    if (now - s->seen > REST * d->ms)
        s->had = 0;
    else
        s->had += min_u64(ns - s->processor_at, COUNTED * MS_NS);
    s->seen = now;
    s->processor_at = ns;
    return s->had >= PATIENCE * (u64)MS_NS;
}

/* Pages of a restored VM that are not to be had yet: they come while everything stands. */
static bool direct_must_wait(struct vcpu *v, struct space *s, u64 now)
{
    struct direct *d = v->direct;
    bool worth;

    if (!v->real_io.want)
        return false;
    worth = direct_is_worth(d, s, now);
    if (!direct_pages_apart(v, worth))
        return false;
    s->not_before = now + (worth ? 2 * d->ms << min_u64(s->waits++, 10) : LOOK * d->ms);
    return true;
}

void direct_sample(struct vcpu *v)
{
    u64 cr3 = v->c.s.cr3, now = __builtin_ia32_rdtsc();
    struct direct *d = v->direct;
    struct space *s = direct_find(d, cr3);

    if (d->broken || (s && (s->on || now < s->not_before)) || !direct_computes(v, now) ||
        !direct_fits(v))
        return;
    vcpu_spill(v); /* what follows is not all free of vector registers */
    if (!s)
        s = direct_new_space(v, cr3, now);
    s->used = now;
    if (!direct_must_wait(v, s, now) && !direct_promote(v, s, now))
        direct_demote(v, s, now);
}

void direct_flush(struct vcpu *v, enum x86_flush how, u64 lin)
{
    struct direct *d = v->direct;

    if (how != FLUSH_PAGE) {
        d->flushed = __builtin_ia32_rdtsc();
        d->calls = v->calls;
    }
    for (u32 i = 0; d->sandboxes && i < SPACES; i++) {
        struct space *s = &d->space[i];

        if (how == FLUSH_PAGE && s->npending < PENDING)
            s->pending[s->npending++] = lin & -(u64)PAGE;
        else
            s->stale = true;
    }
}

void direct_poke(struct vcpu *v)
{
    struct direct *d = v->direct;

    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    if (d->running)
        sandbox_poke(d->running);
    pthread_mutex_unlock(&d->lock);
}

/* ---- how ---- */

/* All of them are looked at again.  When most are gone CR3 names another address space now. */
static int direct_sync_all(struct vcpu *v, struct space *s)
{
    u32 before = s->pages.live;
    int rc = direct_pages_check_all(v, &s->pages, s->sandbox);

    if (before >= CHANGED_MIN && s->pages.live < before / 2) {
        s->wait = s->not_before = 0;
        direct_off(v, s);
    }
    return rc;
}

/* What the guest flushed is looked at again. */
static int direct_sync(struct vcpu *v, struct space *s)
{
    struct x86_slot_table *slots = atomic_load(&v->engine->mem.now);
    struct direct *d = v->direct;
    int rc = 0;

    if (d->slots != slots) {
        for (u32 i = 0; i < SPACES; i++)
            if (d->space[i].sandbox && !rc)
                rc = direct_pages_drop(v, &d->space[i].pages, d->space[i].sandbox);
        d->slots = slots;
    } else if (s->stale) {
        rc = direct_sync_all(v, s);
    } else {
        for (u32 i = 0; i < s->npending && !rc; i++)
            rc = direct_pages_check(v, &s->pages, s->sandbox, s->pending[i]);
    }
    s->stale = false;
    s->npending = 0;
    if (s->refill && !rc)
        rc = direct_pages_fill(v, &s->pages, s->sandbox, s->refill);
    s->refill = 0;
    if (!rc && s->tsc != direct_tsc(v))
        rc = direct_rules(v, s);
    return rc ? rc : sandbox_sync(s->sandbox);
}

#define USER_FLAGS (FLAGS_ARITH | FLAG_DF | FLAG_TF | FLAG_NT | FLAG_AC | FLAG_ID)

static void direct_give(const struct vcpu *v, struct user_regs_struct *r)
{
    const struct x86_state *s = &v->c.s;
    const u64 *g = s->gpr;

    *r = (struct user_regs_struct){
        .rax = g[RAX],
        .rcx = g[RCX],
        .rdx = g[RDX],
        .rbx = g[RBX],
        .rsp = g[RSP],
        .rbp = g[RBP],
        .rsi = g[RSI],
        .rdi = g[RDI],
        .r8 = g[R8],
        .r9 = g[R9],
        .r10 = g[R10],
        .r11 = g[R11],
        .r12 = g[R12],
        .r13 = g[R13],
        .r14 = g[R14],
        .r15 = g[R15],
        .rip = s->rip,
        .eflags = (s->rflags & USER_FLAGS) | FLAG_IF | FLAG_ONE,
        .cs = CS_USER,
        .ss = SS_USER,
        .ds = s->seg[SEG_DS].sel,
        .es = s->seg[SEG_ES].sel,
        .fs_base = s->seg[SEG_FS].base,
        .gs_base = s->seg[SEG_GS].base,
    };
}

static void direct_take(struct vcpu *v, const struct user_regs_struct *r)
{
    struct x86_state *s = &v->c.s;
    u64 g[16] = { [RAX] = r->rax, [RCX] = r->rcx, [RDX] = r->rdx, [RBX] = r->rbx,
                  [RSP] = r->rsp, [RBP] = r->rbp, [RSI] = r->rsi, [RDI] = r->rdi,
                  [R8] = r->r8,   [R9] = r->r9,   [R10] = r->r10, [R11] = r->r11,
                  [R12] = r->r12, [R13] = r->r13, [R14] = r->r14, [R15] = r->r15 };

    memcpy(s->gpr, g, sizeof(g));
    s->rip = r->rip;
    s->rflags = (s->rflags & ~(u64)(USER_FLAGS | FLAG_RF)) | (r->eflags & USER_FLAGS);
    s->seg[SEG_FS].base = r->fs_base;
    s->seg[SEG_GS].base = r->gs_base;
}

struct direct_load {
    u8 seg;
    u16 sel;
};
static void direct_load_segment(struct x86_cpu *c, void *arg)
{
    const struct direct_load *l = arg;

    x86_load_segment(c, l->seg, l->sel);
}
static void direct_load_code(struct x86_cpu *c, void *arg)
{
    const u16 *sel = arg;

    x86_far_jump(c, *sel, c->s.rip, c->s.rip);
}

/* Selectors that the guest's code loaded by itself: the guest's descriptors for them. */
static void direct_take_segments(struct vcpu *v, const struct user_regs_struct *r)
{
    struct direct_load load[] = { { SEG_DS, (u16)r->ds },
                                  { SEG_ES, (u16)r->es },
                                  { SEG_FS, (u16)r->fs },
                                  { SEG_GS, (u16)r->gs },
                                  { SEG_SS, (u16)r->ss } };
    u16 cs = (u16)r->cs;

    if (cs != v->c.s.seg[SEG_CS].sel)
        x86_guard(&v->c, direct_load_code, &cs);
    for (u32 i = 0; i < LEN(load); i++)
        if (load[i].sel != v->c.s.seg[load[i].seg].sel)
            x86_guard(&v->c, direct_load_segment, &load[i]);
}

/* RIP behind an instruction with these bytes: back to its start, for x86_step to do it. */
static bool direct_rewind(struct vcpu *v, u32 len, u8 first, u8 second)
{
    u8 code[2];
    u64 rip = v->c.s.rip - len, gpa;

    for (u32 i = 0; i < len; i++) {
        const u8 *p =
            x86_peek(&v->c, rip + i, &gpa) ? x86_ram(&v->engine->mem, gpa, 1, false) : NULL;

        if (!p)
            return false;
        code[i] = *p;
    }
    if (code[0] != first || (len == 2 && code[1] != second))
        return false;
    v->c.s.rip = rip;
    return true;
}

/* Of what they were in the sandbox, what plain stops took beyond SWITCHES to come and go. */
static u64 direct_lost(const struct vcpu *v, const struct space *s)
{
    u64 us = v->direct->ms / 1000, least = min_u64(s->least, SWITCHES_MAX * us);

    return least > SWITCHES * us ? min_u64(s->ran, s->plain * (least - SWITCHES * us)) : 0;
}

/* Time on a processor between stops that is too little: on a busy host each stop takes long and
 * looks like work by the clock. */
static bool direct_idles(const struct space *s)
{
    return sandbox_ran_ns(s->sandbox) - s->processor < s->plain * STOP_NS;
}

/*
 * Did what ran between the stops take longer than they did?  The translator would take twice as
 * long for it, and less for them.  Pages that are mapped now are there the next time.
 */
static void direct_account(struct vcpu *v, struct space *s, u64 ran, u64 busy, u64 now)
{
    u64 share = s->filled ? FILL_SHARE : 1;

    s->ran += (ran - min_u64(ran, SWITCHES * v->direct->ms / 1000)) / share;
    s->busy += busy / share;
    s->plain += !s->filled;
    if (!s->filled)
        s->least = min_u64(s->least, ran);
    if (++s->stops < STOPS)
        return;
    if (s->ran - direct_lost(v, s) < s->busy / 2 || direct_idles(s))
        direct_demote(v, s, now);
    else
        s->wait /= 2;
    direct_count_anew(s);
}

static enum direct_did direct_step(struct vcpu *v)
{
    return x86_step(&v->c) == STEP_SHUTDOWN ? DIRECT_SHUTDOWN : DIRECT_RAN;
}

/*
 * An access that the sandbox does not map.  1: it does now; 0: it is not for the sandbox.  A
 * string instruction is best done there, so nothing is stepped that need not be.
 */
static int direct_map(struct vcpu *v, struct space *s, u64 lin)
{
    u32 rights = direct_pages_find(&s->pages, lin);
    struct x86_mapping m;
    int rc;

    if (s->last_rip == v->c.s.rip && s->last_lin == lin && ++s->again > AGAIN)
        return 0;
    if (s->last_rip != v->c.s.rip || s->last_lin != lin)
        s->again = 0;
    s->last_rip = v->c.s.rip;
    s->last_lin = lin;
    if (rights & SANDBOX_WRITE)
        return 0;
    if (rights && x86_walk(&v->c, lin, true, false, ACCESS_USER, &m)) /* a store */
        return 0;
    rc = direct_pages_fill(v, &s->pages, s->sandbox, lin);
    s->filled = (direct_pages_find(&s->pages, lin) & ~rights) != 0;
    return rc ? rc : s->filled;
}

/* The instruction at RIP faulted here, which need not mean that it does in the guest. */
static enum direct_did direct_fault(struct vcpu *v, struct space *s,
                                    const struct sandbox_what *what)
{
    u64 at = v->c.s.rip & -(u64)PAGE;
    u32 rights = direct_pages_find(&s->pages, at);
    int rc = 0;

    if (what->signal == SIGTRAP && what->code == SI_TRACE) {
        v->c.fault = (struct x86_fault){ .vector = VEC_DB, .trap = true, .dr6 = 1 << 14 };
        return x86_deliver_fault(&v->c) == STEP_SHUTDOWN ? DIRECT_SHUTDOWN : DIRECT_RAN;
    }
    if (what->signal == SIGTRAP && !direct_rewind(v, 1, 0xcc, 0))
        direct_rewind(v, 1, 0xf1, 0);
    if (what->signal != SIGSEGV || what->address >= SANDBOX_END || what->code >= SI_KERNEL)
        return direct_step(v);
    if (rights && !(rights & SANDBOX_EXEC) && (what->address & -(u64)PAGE) == at) {
        s->skip = at;
        return DIRECT_RAN;
    }
    rc = direct_map(v, s, what->address);
    if (rc)
        return rc < 0 ? DIRECT_BROKEN : DIRECT_RAN;
    s->refill = what->address; /* what is there when this goes on */
    return direct_step(v);
}

static enum sandbox_stop direct_go(struct vcpu *v, struct space *s, struct user_regs_struct *r,
                                   struct sandbox_what *what)
{
    struct direct *d = v->direct;
    enum sandbox_stop stop = SANDBOX_POKED;

    pthread_mutex_lock(&d->lock);
    d->running = s->sandbox;
    pthread_mutex_unlock(&d->lock);
    if (!atomic_load(&v->c.pending)) {
        enum tier was = tier_set(v, TIER_DIRECT);

        stop = sandbox_run(s->sandbox, r, v->c.s.xsave, what);
        tier_set(v, was);
    }
    pthread_mutex_lock(&d->lock);
    d->running = NULL;
    pthread_mutex_unlock(&d->lock);
    return stop;
}

static enum direct_did direct_stopped(struct vcpu *v, struct space *s, enum sandbox_stop stop,
                                      const struct sandbox_what *what)
{
    switch (stop) {
    case SANDBOX_CALL:
        if (!direct_rewind(v, 2, 0x0f, 0x05))
            direct_rewind(v, 2, 0xcd, 0x80);
        return direct_step(v);
    case SANDBOX_FAULT:
        return direct_fault(v, s, what);
    case SANDBOX_POKED:
        return DIRECT_RAN;
    case SANDBOX_GONE:
        break;
    }
    return DIRECT_BROKEN;
}

/* Pages and registers are given, it runs, and what it did is taken. */
static enum direct_did direct_round(struct vcpu *v, struct space *s, u64 *ran)
{
    struct user_regs_struct r;
    struct sandbox_what what;
    enum sandbox_stop stop;
    u64 from;

    if (direct_sync(v, s))
        return DIRECT_BROKEN;
    if (!s->on)
        return DIRECT_NOT;
    direct_give(v, &r);
    from = __builtin_ia32_rdtsc();
    stop = direct_go(v, s, &r, &what);
    s->used = __builtin_ia32_rdtsc();
    *ran = s->used - from;
    v->stats.stop[stop & 3]++;
    if (stop == SANDBOX_GONE)
        return DIRECT_BROKEN;
    direct_take(v, &r);
    if (stop == SANDBOX_CALL)
        v->c.s.gpr[RAX] = r.orig_rax;
    direct_take_segments(v, &r);
    v->mode_known = false;
    v->memo_known = 0;
    v->flushed = false;
    return direct_stopped(v, s, stop, &what);
}

enum direct_did direct_run(struct vcpu *v)
{
    struct space *s = direct_find(v->direct, v->c.s.cr3);
    u64 from = __builtin_ia32_rdtsc(), ran = 0, now;
    enum direct_did did;

    if (!s || !s->on || s->skip == (v->c.s.rip & -(u64)PAGE) || !direct_fits(v))
        return DIRECT_NOT;
    s->skip = 0;
    s->filled = false;
    v->direct_cr3 = s->cr3;
    vcpu_spill(v);
    if (!direct_is_hole(v, sandbox_at(s->sandbox))) {
        direct_demote(v, s, s->used);
        direct_empty(v, s);
        return DIRECT_NOT;
    }
    flags_pack(v);
    did = direct_round(v, s, &ran);
    now = __builtin_ia32_rdtsc();
    if (s->on && did == DIRECT_RAN)
        direct_account(v, s, ran, now - from, now);
    flags_unpack(v);
    return did;
}
