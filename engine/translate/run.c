/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What C does between pieces of translated code: fill TLB entries, interpret what is not
 * translated, take events, find or make the next block.  vcpu_main is called by the fixed
 * code with the guest's general registers and flags in the vCPU block.
 */
#include "engine/translate/direct.h"
#include <errno.h>

/* Arithmetic flags between the block's form (OF, LAHF) and RFLAGS. */
void flags_pack(struct vcpu *v)
{
    u64 f = v->c.s.rflags & ~(u64)FLAGS_ARITH;

    f |= v->flags >> 8 & (FLAGS_ARITH & 0xff);
    v->c.s.rflags = f | (v->flags & 1 ? FLAG_OF : 0);
}
static void flags_set(struct vcpu *v, u64 f)
{
    v->flags = (u16)((f & (FLAGS_ARITH & 0xff)) << 8 | (f & FLAG_OF ? 1 : 0));
}
void flags_unpack(struct vcpu *v)
{
    flags_set(v, v->c.s.rflags);
}

static void mode_segments(struct vcpu *v)
{
    static const u8 names[] = { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

    for (u32 i = 0; i < LEN(names); i++) {
        const struct x86_segment *s = &v->c.s.seg[names[i]];
        u32 type = s->attr & ATTR_TYPE;
        bool code = type & 8, plain = (s->attr & ATTR_P) && (s->attr & ATTR_S) &&
                                      !(s->attr & ATTR_UNUSABLE) && (code || !(type & 4));

        v->seg_read[i] = plain && (!code || type & 2) ? (i64)s->limit : -1;
        v->seg_write[i] = plain && !code && type & 2 ? (i64)s->limit : -1;
        if (x86_real(&v->c.s) || x86_v86(&v->c.s))
            v->seg_read[i] = v->seg_write[i] = s->limit;
    }
}

static bool mode_flat(const struct vcpu *v)
{
    static const u8 names[] = { SEG_ES, SEG_SS, SEG_DS };

    for (u32 i = 0; i < LEN(names); i++)
        if (v->c.s.seg[names[i]].base || v->seg_write[names[i]] != 0xffffffff)
            return false;
    return true;
}

static u32 mode_vector(const struct x86_state *s)
{
    u32 mxcsr, mode = 0;
    u16 fcw;

    __builtin_memcpy(&fcw, s->xsave, 2);
    __builtin_memcpy(&mxcsr, s->xsave + 24, 4);
    if (s->cr0 & (CR0_EM | CR0_TS))
        mode |= MODE_NO_X87 | MODE_NO_SSE | MODE_NO_AVX;
    if (!(s->cr4 & CR4_OSFXSR))
        mode |= MODE_NO_SSE | MODE_NO_AVX;
    if (!(s->cr4 & CR4_OSXSAVE) || (s->xcr0 & 6) != 6 || !(s->cr0 & CR0_PE))
        mode |= MODE_NO_AVX;
    if ((fcw & 0x3f) != 0x3f || (mxcsr & 0x1f80) != 0x1f80)
        mode |= MODE_UNMASKED;
    return mode;
}

static u32 mode_legacy(struct vcpu *v)
{
    const struct x86_state *s = &v->c.s;
    const struct x86_segment *cs = &s->seg[SEG_CS];
    u32 mode = cs->attr & ATTR_DB ? X86_MODE32 : X86_MODE16; /* in real mode too, for a moment */

    mode_segments(v);
    if (!(s->seg[SEG_SS].attr & ATTR_DB))
        mode |= MODE_STACK16;
    if (mode_flat(v))
        mode |= MODE_FLAT;
    if (cs->limit == 0xffff)
        mode |= MODE_CS64K;
    else if (cs->limit != 0xffffffff)
        mode |= MODE_NEVER;
    return mode;
}

static u32 mode_of(struct vcpu *v)
{
    const struct x86_state *s = &v->c.s;
    bool user = x86_cpl(s) == 3;
    u32 mode = x86_code64(s) ? X86_MODE64 : mode_legacy(v), set = 0;

    mode |= mode_vector(s);
    if (user)
        mode |= MODE_USER;
    else
        set = s->cr4 & CR4_SMAP && s->rflags & FLAG_AC ? 2 : 1;
    if (user && (mode & MODE_SIZE) == X86_MODE64 && !v->check)
        mode |= MODE_MOVES;
    if (!x86_cpl(s))
        mode |= MODE_RING0;
    if (!user && s->cr4 & CR4_SMAP)
        mode |= MODE_SMAP;
    if (!user || !(s->cr4 & CR4_TSD))
        mode |= MODE_TSC;
    if (s->rflags & FLAG_TF || x86_watching(&v->c) ||
        (user && s->rflags & FLAG_AC && s->cr0 & CR0_AM))
        mode |= MODE_NEVER;
    return mode | set << MODE_SET_SHIFT;
}

void vcpu_memo(struct vcpu *v)
{
    const struct x86_state *s = &v->c.s;

    if (v->memo_of.cr0 == s->cr0 && v->memo_of.cr4 == s->cr4 && v->memo_of.efer == s->efer &&
        v->memo_of.xcr0 == s->xcr0 && v->memo_of.dr7 == s->dr[7] && v->memo_of.star == s->star &&
        v->memo_of.fmask == s->fmask)
        return;
    v->memo_known = 0;
    cpuid_forget(v);
    v->memo_of.cr0 = s->cr0;
    v->memo_of.cr4 = s->cr4;
    v->memo_of.efer = s->efer;
    v->memo_of.xcr0 = s->xcr0;
    v->memo_of.dr7 = s->dr[7];
    v->memo_of.star = s->star;
    v->memo_of.fmask = s->fmask;
}

/* 64-bit code has one mode for each privilege level and AC. */
static u32 mode_by_memo(struct vcpu *v)
{
    const struct x86_state *s = &v->c.s;
    u32 cpl = x86_cpl(s), i = (cpl ? 2 : 0) | (s->rflags & FLAG_AC ? 1 : 0);

    if (!x86_code64(s) || s->rflags & FLAG_TF || cpl == 1 || cpl == 2)
        return mode_of(v);
    if (!(v->memo_known >> i & 1)) {
        v->memo[i] = mode_of(v);
        v->memo_known |= (u8)(1 << i);
    }
    return v->memo[i];
}

u32 vcpu_mode(struct vcpu *v)
{
    if (!v->mode_known) {
        v->mode = mode_by_memo(v);
        v->mode_known = true;
    }
    return v->mode;
}

/* A store was told of before it was done: what was made of the old bytes meanwhile goes as well. */
void vcpu_wrote(struct vcpu *v)
{
    u32 len = v->wrote_len;

    if (!len)
        return;
    v->wrote_len = 0;
    atomic_thread_fence(memory_order_seq_cst);
    cache_wrote_done(v->engine, v->wrote_gpa, len);
}

/* One instruction by the interpreter, at s.rip. */
enum x86_stepped vcpu_interpret(struct vcpu *v, u32 op)
{
    enum x86_stepped r;
    enum tier was;

    flags_pack(v);
    v->stats.step[op & OP_NAME]++;
    was = tier_set(v, TIER_INTERPRET);
    r = x86_step(&v->c);
    vcpu_wrote(v);
    if (!op || (op & OP_NAME) == ZYDIS_MNEMONIC_WRMSR)
        vcpu_memo(v);
    tier_set(v, was);
    flags_unpack(v);
    return r;
}

/* Control words may change without a mode hook. */
static void vcpu_vector_mode(struct vcpu *v)
{
    if (v->mode_known && ((v->mode ^ mode_vector(&v->c.s)) & MODE_UNMASKED)) {
        v->mode_known = false;
        v->memo_known = 0;
    }
}

static const u8 *vcpu_leave(struct vcpu *v, enum stop why)
{
    vcpu_spill(v);
    flags_pack(v);
    v->stop = why;
    return NULL;
}

static u64 vcpu_linear(const struct vcpu *v)
{
    if (x86_code64(&v->c.s))
        return v->c.s.rip;
    return (u32)(v->c.s.rip + v->c.s.seg[SEG_CS].base);
}

/* This vCPU holds addresses of translated code and of guest memory, or does not; cpus held. */
void vcpu_step_in(struct vcpu *v)
{
    struct engine *g = v->engine;

    while (g->stop_world)
        pthread_cond_wait(&g->parked, &g->cpus);
    g->cpus_in++;
    v->inside = true;
    if (atomic_load(&v->done) != atomic_load(&v->asked)) {
        atomic_store(&v->done, atomic_load(&v->asked));
        tlb_flush(v, FLUSH_ALL, 0);
    }
}
void vcpu_step_out(struct vcpu *v)
{
    v->engine->cpus_in--;
    v->inside = false;
    pthread_cond_broadcast(&v->engine->parked);
}

void vcpu_poke(struct vcpu *v)
{
    atomic_store(&v->c.pending, 1);
    direct_poke(v);
}

/* Another thread asks: flush everything, or come out while the cache is emptied. */
static void vcpu_requests(struct vcpu *v)
{
    struct engine *g = v->engine;

    if (atomic_load(&v->done) == atomic_load(&v->asked) && !atomic_load(&g->stop_world))
        return;
    vcpu_spill(v);
    pthread_mutex_lock(&g->cpus);
    vcpu_step_out(v);
    vcpu_step_in(v);
    pthread_mutex_unlock(&g->cpus);
}

/* The cache is full: the others come out, then it is emptied. */
static void vcpu_empty_cache(struct vcpu *v)
{
    struct engine *g = v->engine;

    vcpu_spill(v);
    pthread_mutex_lock(&g->cpus);
    vcpu_step_out(v);
    if (!g->stop_world) {
        g->stop_world = true;
        for (u32 i = 0; i < MAX_VCPUS; i++)
            if (g->vcpu[i])
                vcpu_poke(g->vcpu[i]);
        while (g->cpus_in)
            pthread_cond_wait(&g->parked, &g->cpus);
        pthread_mutex_lock(&g->lock);
        cache_empty(g);
        pthread_mutex_unlock(&g->lock);
        for (u32 i = 0; i < MAX_VCPUS; i++)
            if (g->vcpu[i])
                atomic_fetch_add(&g->vcpu[i]->asked, 1);
        g->stop_world = false;
        pthread_cond_broadcast(&g->parked);
    }
    vcpu_step_in(v);
    pthread_mutex_unlock(&g->cpus);
}

/* The state was replaced from outside. */
void vcpu_loaded(struct vcpu *v)
{
    u64 header[8] = { 7 };
    u32 mxcsr;

    __builtin_memcpy(&mxcsr, v->c.s.xsave + 24, 4);
    mxcsr &= 0xffff;
    __builtin_memcpy(v->c.s.xsave + 24, &mxcsr, 4);
    for (u32 i = 0; i < 8; i++)
        __builtin_memcpy(v->c.s.xsave + 512 + 8 * i, &header[i], 8);
    v->vectors = false;
    v->mode_known = false;
    v->memo_known = 0;
    cpuid_forget(v);
    flags_unpack(v);
}

/*
 * The code bytes at lin: n of the page, n2 of the next one when code may be fetched there;
 * *at: those of the page in memory.
 */
static const u8 *vcpu_code(struct vcpu *v, u64 lin, u64 gpa[2], u8 two[32], u32 n[2], const u8 **at)
{
    u64 off = lin & (PAGE - 1), next;
    const u8 *host = tlb_code(v, lin, &gpa[0]), *more = NULL;

    if (!host)
        return NULL;
    *at = host + off;
    n[0] = PAGE - (u32)off;
    n[1] = 0;
    if (off <= PAGE - 15)
        return *at;
    next = lin + n[0];
    if (!x86_code64(&v->c.s))
        next = (u32)next;
    more = tlb_code(v, next, &gpa[1]);
    __builtin_memcpy(two, host + off, n[0]);
    if (more) {
        __builtin_memcpy(two + n[0], more, 15);
        n[1] = 15;
    }
    return two;
}

/* A block for s.rip in this mode; NULL: interpret one instruction.  *global as its mapping. */
struct block *vcpu_block(struct vcpu *v, u32 mode, bool *global)
{
    struct engine *g = v->engine;
    u64 gpa[2] = { 0, 0 }, lin = vcpu_linear(v), rip = v->c.s.rip;
    struct block *b;
    const u8 *code, *host;
    u8 two[32];
    u32 n[2];
    int rc = 0;

    if (mode & MODE_CS64K && rip > 0xffff)
        return NULL;
    code = vcpu_code(v, lin, gpa, two, n, &host);
    if (!code)
        return NULL;
    *global = gpa[0] & 1;
    gpa[0] = (gpa[0] & -(u64)PAGE) | (lin & (PAGE - 1));
    gpa[1] &= -(u64)PAGE;
    pthread_mutex_lock(&g->lock);
    if (mode & MODE_MOVES) {
        v->page = rip & -(u64)PAGE;
        rip -= v->page;
    }
    b = cache_find(g, gpa[0], n[1] ? gpa[1] : 0, rip, mode);
    if (!b) {
        enum tier was = tier_set(v, TIER_TRANSLATE);

        rc = translate_block(v, gpa, rip, mode, code, n, host, &b);
        if (!rc && g->eyes) {
            vcpu_spill(v);
            eyes_made(v, b, v->c.s.rip, code);
        }
        tier_set(v, was);
    }
    pthread_mutex_unlock(&g->lock);
    if (rc == -ENOSPC)
        vcpu_empty_cache(v);
    return rc ? NULL : b;
}

/* Takes events; false: leave, v->stop says why. */
static bool vcpu_events(struct vcpu *v)
{
    struct x86_cpu *c = &v->c;

    vcpu_requests(v);
    if (x86_must_ask(c)) {
        bool stop = false;
        enum x86_stepped r;

        flags_pack(v);
        v->stats.event++;
        cache_calm(v->engine);
        if (v->direct && x86_cpl(&c->s) == 3)
            direct_sample(v);
        r = x86_events(c, &stop);
        vcpu_memo(v);
        flags_unpack(v);
        vcpu_requests(v); /* x86_events took `pending` back: one may have come just before */
        if (r == STEP_SHUTDOWN || stop) {
            v->stop = stop ? STOP_KICKED : STOP_SHUTDOWN;
            return false;
        }
    }
    if (!c->s.halted)
        return true;
    v->stop = STOP_HALTED;
    if (cache_is_too_much(v))
        vcpu_empty_cache(v);
    return false;
}

static bool vcpu_check_after(struct vcpu *v)
{
    vcpu_spill(v);
    flags_pack(v);
    return check_after(v);
}
static void vcpu_check_before(struct vcpu *v, const struct block *b)
{
    vcpu_spill(v);
    flags_pack(v);
    check_before(v, b);
}

/* Where code for s.rip is by the jump cache; NULL: not there. */
static const u8 *vcpu_cached(struct vcpu *v, u32 mode)
{
    u32 slot = mode_slot(mode);
    const struct jump *j = &v->jumps[jump_first(slot) + (v->c.s.rip & jump_mask(slot))];
    const u8 *host;

    if (slot == 3 || v->slot_mode[slot] != mode)
        return NULL;
    host = __atomic_load_n(&j->host, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&j->pc, __ATOMIC_ACQUIRE) != v->c.s.rip)
        return NULL;
    if (mode & MODE_MOVES)
        v->page = v->c.s.rip & -(u64)PAGE;
    return host;
}

/* From s.rip, wherever that is. */
static const u8 *vcpu_next(struct vcpu *v)
{
    for (;;) {
        struct block *b = NULL;
        bool global = false;
        u32 mode;

        if (v->check_phase == CHECK_RUN && !vcpu_check_after(v))
            return vcpu_leave(v, STOP_BROKEN);
        if (!vcpu_events(v))
            return vcpu_leave(v, v->stop);
        if (v->direct_on && x86_cpl(&v->c.s) == 3) {
            enum direct_did did = direct_run(v);

            if (did == DIRECT_RAN)
                continue;
            if (did != DIRECT_NOT)
                return vcpu_leave(v, did == DIRECT_BROKEN ? STOP_BROKEN : STOP_SHUTDOWN);
        }
        mode = vcpu_mode(v);
        if (!(mode & MODE_NEVER) && !v->c.s.shadow && !v->c.s.shadow_ss) {
            const u8 *host = v->check ? NULL : vcpu_cached(v, mode);

            if (host) {
                v->c.s.rflags &= ~(u64)FLAG_RF;
                v->flushed = false;
                return host;
            }
            b = vcpu_block(v, mode, &global);
        }
        if (b && v->check && trace_watch(v, b))
            continue;
        if (!b) {
            if (vcpu_interpret(v, 0) == STEP_SHUTDOWN)
                return vcpu_leave(v, STOP_SHUTDOWN);
            vcpu_vector_mode(v);
            continue;
        }
        v->c.s.rflags &= ~(u64)FLAG_RF;
        jump_slot(v, mode);
        if (v->check)
            vcpu_check_before(v, b);
        else
            jump_add(v, mode, v->c.s.rip, b, global);
        v->flushed = false;
        return b->entry;
    }
}

/* The instruction at s.rip, number i of b, by the interpreter; on behind it if possible. */
static const u8 *vcpu_step(struct vcpu *v, struct block *b, u32 i)
{
    u64 next = block_rip(v, b, block_pc(b, i + 1));

    v->flushed = false;
    if (v->check || !fast_step(v, b, i)) {
        if (vcpu_interpret(v, b->op[i]) == STEP_SHUTDOWN)
            return vcpu_leave(v, STOP_SHUTDOWN);
        vcpu_vector_mode(v);
    }
    if (b->trace || v->c.s.rip != next || i + 1u >= b->ninsn || !b->host[i + 1] || b->dead ||
        v->flushed || vcpu_mode(v) != b->mode || v->c.s.shadow || v->c.s.shadow_ss ||
        v->c.s.halted || x86_must_ask(&v->c))
        return vcpu_next(v);
    return v->engine->rx + b->host[i + 1];
}

static const u8 *vcpu_miss(struct vcpu *v, struct block *b, const struct site *s)
{
    u64 page = v->arg[0];
    u32 at = page >> 12 & (TLB_SIZE - 1);

    /* a crossing access asks with the index of one page and the tag of the other */
    if (s->b != 2 && (v->arg[1] & 0xffffffff) == (u64)at * sizeof(struct tlb_entry)) {
        v->flushed = false;
        if (tlb_fill(v, page, s->b == 1) && !b->dead && !v->flushed &&
            (s->b != 4 || v->tlb[mode_set(v->mode)][at].write == page)) {
            if (b->trace)
                trace_in(v, b);
            return v->site + s->retry;
        }
    } else {
        v->stats.across++;
    }
    return vcpu_step(v, b, s->insn);
}

static const u8 *vcpu_exit(struct vcpu *v, struct block *b, u32 n)
{
    struct engine *g = v->engine;
    struct block_exit *x = &b->exits[n];
    u32 mode = b->mode;
    bool global = false;
    struct block *to;

    v->c.s.rip = block_rip(v, b, x->pc);
    if (v->check || x86_must_ask(&v->c) || !v->mode_known || v->mode != mode)
        return vcpu_next(v);
    to = vcpu_block(v, mode, &global);
    if (!to)
        return vcpu_next(v);
    pthread_mutex_lock(&g->lock);
    if (to->gpa >> 12 == b->gpa >> 12) /* unless the page was mapped anew */
        cache_link(g, x, to);
    pthread_mutex_unlock(&g->lock);
    return to->entry;
}

/* Can a stale block that was just entered be made anew in its place?  Engine lock held. */
static bool vcpu_renew(struct vcpu *v, struct block *b)
{
    struct engine *g = v->engine;
    u32 off = b->gpa & (PAGE - 1);
    const u8 *host;
    enum tier was;
    bool done;
    u64 gpa;

    if (b->dead || g->nvcpu != 1 || v->check || g->eyes || x86_must_ask(&v->c) ||
        vcpu_mode(v) != b->mode)
        return false;
    host = tlb_code(v, vcpu_linear(v), &gpa);
    if (!host || (gpa & -(u64)PAGE) != (b->gpa & -(u64)PAGE))
        return false;
    was = tier_set(v, TIER_TRANSLATE);
    done = translate_again(v, b, host + off, PAGE - off, host + off);
    tier_set(v, was);
    return done;
}

/* Its bytes are not what they were: RIP is at its start. */
static const u8 *vcpu_stale(struct vcpu *v, struct block *b)
{
    struct engine *g = v->engine;
    bool again;

    v->flushed = false;
    pthread_mutex_lock(&g->lock);
    again = vcpu_renew(v, b);
    if (!again && !b->dead)
        cache_kill(g, b);
    pthread_mutex_unlock(&g->lock);
    return again ? b->entry : vcpu_next(v);
}

static const u8 *vcpu_native_fault(struct vcpu *v)
{
    struct engine *g = v->engine;
    const u8 *at = v->fault_at;
    struct block *b;
    u32 i;

    v->fault_at = NULL;
    v->stats.fault++;
    pthread_mutex_lock(&g->lock);
    b = cache_by_host(g, at);
    pthread_mutex_unlock(&g->lock);
    if (!b)
        return vcpu_leave(v, STOP_BROKEN);
    if (b->trace)
        trace_out(v, b);
    for (i = b->ninsn; --i;)
        if (b->host[i] && g->rx + b->host[i] <= at)
            break;
    if (b->host_flags[i / 64] >> i % 64 & 1)
        flags_set(v, v->fault_flags);
    v->c.s.rip = block_rip(v, b, block_pc(b, i));
    return vcpu_step(v, b, i);
}

/*
 * A jump, call or return to where no code can be faults as it stands, with its stack as it
 * was.  RET with an operand and conditional jumps are left to fault at their targets.
 */
static const u8 *vcpu_indirect(struct vcpu *v, const struct site *s)
{
    const struct block *b;
    u32 len, op;

    v->c.s.rip = v->arg[0];
    if (s->block >= v->engine->nblock) /* to the pc that stands for none */
        return vcpu_next(v);
    b = v->engine->blocks[s->block];
    len = b->trace ? 1 : b->at[s->insn + 1] - b->at[s->insn];
    op = b->op[s->insn] & OP_NAME;
    if (!x86_code64(&v->c.s) || x86_canonical(&v->c, v->arg[0]) ||
        (op != ZYDIS_MNEMONIC_CALL && op != ZYDIS_MNEMONIC_JMP &&
         (op != ZYDIS_MNEMONIC_RET || len > 2)))
        return vcpu_next(v);
    v->c.s.rip = block_rip(v, b, block_pc(b, s->insn));
    if (op == ZYDIS_MNEMONIC_CALL)
        v->c.s.gpr[RSP] += 8;
    else if (op == ZYDIS_MNEMONIC_RET)
        v->c.s.gpr[RSP] -= 8;
    return vcpu_interpret(v, op) == STEP_SHUTDOWN ? vcpu_leave(v, STOP_SHUTDOWN) : vcpu_next(v);
}

static const u8 *vcpu_dispatch(struct vcpu *v)
{
    struct site s;
    struct block *b;

    if (v->fault_at)
        return vcpu_native_fault(v);
    if (!v->site)
        return vcpu_next(v);
    __builtin_memcpy(&s, v->site, sizeof(s));
    if (s.why < WHY_KINDS)
        v->stats.why[s.why]++;
    b = s.block < v->engine->nblock ? v->engine->blocks[s.block] : NULL;
    if (b && b->trace && (s.why == WHY_MISS || s.why == WHY_STEP)) /* others have done it */
        trace_out(v, b);
    if (s.why == WHY_INDIRECT)
        return vcpu_indirect(v, &s);
    switch ((enum why)s.why) {
    case WHY_EXIT:
        return vcpu_exit(v, b, s.a);
    case WHY_HOT:
        if (s.b == HOT_MOVED) {
            v->c.s.rip = block_rip(v, b, b->pc);
            trace_drop(v, b, (u32)s.retry);
            return vcpu_next(v);
        }
        v->c.s.rip = s.b == HOT_FAR ? v->arg[0] : block_rip(v, b, b->exits[s.a].pc);
        return trace_hot(v, (u32)s.retry) ? vcpu_next(v) : vcpu_leave(v, STOP_SHUTDOWN);
    case WHY_POLL:
        v->c.s.rip = block_rip(v, b, b->exits[s.a].pc);
        return vcpu_next(v);
    default:
        break;
    }
    v->c.s.rip = block_rip(v, b, block_pc(b, s.insn));
    if (s.why == WHY_STALE)
        return vcpu_stale(v, b);
    if (s.why == WHY_MISS)
        return vcpu_miss(v, b, &s);
    return vcpu_step(v, b, s.insn);
}

static const u8 *vcpu_called(struct vcpu *v)
{
    const u8 *on;

    tier_set(v, TIER_C);
    on = vcpu_dispatch(v);
    tier_set(v, on ? TIER_CODE : TIER_C);
    return on;
}

/*
 * Upper halves that XRSTOR loads count as in use, also when they are 0, and make each SSE
 * instruction wait for the last use of its destination: the fixed code then cleans them.
 */
const u8 *vcpu_main(struct vcpu *v)
{
    const u8 *to;

    atomic_store_explicit(&v->turn, (v->turn | 1) + 1, memory_order_release);
    to = vcpu_called(v);
    if (to && !v->vectors)
        v->upper = vcpu_upper(v->c.s.xsave);
    if (to)
        atomic_store_explicit(&v->turn, v->turn + 1, memory_order_relaxed);
    if (atomic_load_explicit(&v->slots_drop, memory_order_relaxed))
        trace_forget(v);
    return to;
}
