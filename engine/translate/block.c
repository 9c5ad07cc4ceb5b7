/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One block: decode up to its end, find which flags are live where, write host code for each
 * instruction, then the code that is seldom run: misses, exits, polls.
 */
#include "engine/translate/build.h"
#include "engine/translate/keep.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AT(m) offsetof(struct vcpu, m)

void flags_free(struct build *t, u32 live)
{
    struct emit *e = &t->e;

    if (t->flags == FLAGS_HOST && live) {
        x_mov(e, R10, RAX);
        x_u8(e, 0x9f);            /* lahf */
        x_reg(e, 0x0f90, 0, RAX); /* seto al */
        x_gs_op(e, 0x89 | X_66, RAX, AT(flags));
        x_mov(e, RAX, R10);
    }
    t->flags = FLAGS_MEMORY;
}

void flags_restore(struct build *t)
{
    struct emit *e = &t->e;

    x_store(e, AT(keep[2]), RAX);
    x_gs_op(e, 0x0fb7, RAX, AT(flags));
    x_u8(e, 0x04); /* add al, 127: OF */
    x_u8(e, 127);
    x_u8(e, 0x9e); /* sahf */
    x_load(e, RAX, AT(keep[2]));
}

void flags_want(struct build *t)
{
    if (t->flags != FLAGS_MEMORY)
        return;
    flags_restore(t);
    t->flags = FLAGS_BOTH;
}

struct late *late_add(struct build *t, enum late_kind kind, u8 *from)
{
    struct late *l = &t->late[t->nlate < LATES - 1 ? t->nlate++ : LATES - 1];

    if (t->nlate == LATES - 1)
        t->e.full = true;
    *l = (struct late){ .from = from, .kind = kind, .insn = (u8)t->i, .flags = (u8)t->flags };
    return l;
}

/* A call of C, and what it is told.  Flags must be in memory, or `flags` says FLAGS_HOST. */
void site_emit(struct build *t, enum why why, u32 insn, u32 a, u32 b, const u8 *retry)
{
    struct emit *e = &t->e;
    struct site s = { .block = t->b->id, .why = (u8)why, .insn = (u8)insn, .a = (u8)a, .b = (u8)b };

    x_jump_to(e, X_CALL, t->flags == FLAGS_HOST ? t->g->to_c_flags : t->g->to_c);
    s.retry = retry ? (i32)(retry - e->p) : 0;
    x_far(e, (u32)(e->p - e->base) | 1u << 31);
    x_bytes(e, &s, sizeof(s));
}

void late_emit(struct build *t)
{
    struct emit *e = &t->e;

    for (u32 i = 0; i < t->nlate && !e->full; i++) { /* edges add to the list */
        struct late l = t->late[i];

        if (l.from)
            x_here(e, l.from);
        t->flags = (enum flags_at)l.flags;
        t->i = l.insn;
        switch ((enum late_kind)l.kind) {
        case LATE_MISS_AT:
            x_mov_imm(e, R10, l.value);
            x_mov_imm(e, R11, (l.value >> 12 & (TLB_SIZE - 1)) * sizeof(struct tlb_entry));
            __attribute__((fallthrough));
        case LATE_MISS:
            t->flags = FLAGS_MEMORY;
            site_emit(t, WHY_MISS, l.insn, l.a, l.b, l.retry);
            break;
        case LATE_STACK:
            t->flags = FLAGS_MEMORY;
            operand_stack_late(t, &l);
            break;
        case LATE_EDGE:
            flow_edge(t, l.value);
            break;
        case LATE_EXIT:
            t->exits[l.a].stub = e->p;
            site_emit(t, WHY_EXIT, l.insn, l.a, 0, NULL);
            break;
        case LATE_POLL:
            site_emit(t, WHY_POLL, l.insn, l.a, 0, NULL);
            break;
        case LATE_STEP:
            site_emit(t, WHY_STEP, l.insn, 0, 0, NULL);
            break;
        case LATE_GROUP:
            stack_late(t, &l);
            break;
        case LATE_HOT:
            site_emit(t, WHY_HOT, l.insn, l.a, l.b, NULL);
            if (!e->full)
                __builtin_memcpy(e->p - 4, &l.value, 4);
            break;
        case LATE_TRACE:
            trace_late(t, &l);
            break;
        case LATE_INDIRECT:
            site_emit(t, WHY_INDIRECT, l.insn, 0, 0, NULL);
            break;
        }
    }
}

/* Is the block over behind this instruction? */
static bool build_ends(const struct build *t, const struct x86_insn *in)
{
    if (system_ends(t, in))
        return true;
    if (!(in->flags & INSN_BRANCH))
        return in->flags & INSN_SYSTEM && in->op == ZYDIS_MNEMONIC_HLT;
    if (t->g->options.check)
        return true;
    switch (in->op) {
    case ZYDIS_MNEMONIC_JMP:
    case ZYDIS_MNEMONIC_CALL:
    case ZYDIS_MNEMONIC_RET:
        return true;
    default:
        return in->flags & INSN_SYSTEM;
    }
}

/*
 * May it change the code that follows it in its own block?  Asked of pages whose stores go
 * unseen.  The stack is taken not to be there.
 */
static bool build_may_patch(const struct x86_insn *in)
{
    if (in->flags & INSN_STRING)
        return true;
    return in->mem != X86_NOREG && in->opd[in->mem].access & OPD_WRITE && in->base != RSP;
}

/* Its outcome is not the same twice, or changes more than lock-step can undo. */
static bool build_is_private(const struct x86_insn *in)
{
    return in->flags & INSN_SYSTEM || in->op == ZYDIS_MNEMONIC_RDRAND ||
           in->op == ZYDIS_MNEMONIC_RDSEED || in->op == ZYDIS_MNEMONIC_RDTSC ||
           in->op == ZYDIS_MNEMONIC_RDTSCP || in->op == ZYDIS_MNEMONIC_CPUID;
}

/* For lock-step: flags that nobody can know behind each instruction. */
int build_undefined(struct build *t)
{
    u32 *undef, now = 0;

    if (!t->g->options.check || !t->compare)
        return 0;
    undef = t->b->undefined = cache_alloc(t->g, t->n * sizeof(*undef));
    if (!undef)
        return -ENOMEM;
    for (u32 i = 0; i < t->n; i++) {
        now = (now & ~t->in[i].eflags_write) | t->in[i].eflags_undef;
        undef[i] = now;
    }
    return 0;
}

/* The decoder and what it calls may use vector registers; an instruction like one before not. */
static int build_one(struct build *t, struct x86_insn *in, const u8 *p, u32 n)
{
    enum x86_mode mode = t->mode & MODE_SIZE;
    int rc;

    if (x86_shape_find(&t->shapes, in, p, n, mode))
        return 0;
    if (t->v)
        vcpu_spill(t->v);
    rc = x86_decode(in, p, n, mode);
    if (!rc)
        x86_shape_add(&t->shapes, in);
    return rc;
}

/* Decodes the block's instructions; the sum of their lengths.  0: not even one. */
static u32 build_decode(struct build *t, const u32 n[2])
{
    u32 at = 0, branches = 0;

    while (t->n < BLOCK_INSNS && branches < 3) {
        struct x86_insn *in = &t->in[t->n];
        int rc;

        if (at >= n[0] || (t->mode & MODE_CS64K && t->b->pc + at > 0xffff - 15 && t->n))
            break;
        rc = build_one(t, in, t->code + at, n[0] + n[1] - at);
        if (rc || at + in->len > n[0]) {
            if (t->n || rc)
                break;
        }
        if (t->mode & MODE_CS64K && t->b->pc + at + in->len > 0x10000)
            break; /* beyond the limit: a fault */
        if (t->g->options.check && build_is_private(in)) {
            if (t->n)
                break;
            t->compare = false;
        }
        t->pc[t->n++] = t->b->pc + at;
        at += in->len;
        branches += in->flags & INSN_BRANCH ? 1 : 0;
        if (build_ends(t, in) || !t->compare)
            break;
        if (t->verify && (build_may_patch(in) || t->n == VERIFY_INSNS))
            break;
    }
    t->pc[t->n] = t->b->pc + at;
    return at;
}

/* Flags that are live at the start of a place in this page, by its first instructions. */
static u32 build_live_at(struct build *t, u64 pc)
{
    u64 at = pc - t->b->pc + (t->b->gpa & (PAGE - 1));
    const u8 *page = t->page; /* not code: near the end of the page that is a copy of a few bytes */
    u32 left = FLAGS_ARITH;

    if (t->g->options.check || at >= PAGE || t->b->gpa2 || t->verify)
        return FLAGS_ARITH;
    for (u32 i = 0; i < 3 && at < PAGE; i++) {
        struct x86_insn in;

        if (build_one(t, &in, page + at, (u32)(PAGE - at)))
            return FLAGS_ARITH;
        if (in.eflags_read & left || in.flags & (INSN_BRANCH | INSN_SYSTEM | INSN_STRING))
            return FLAGS_ARITH;
        left &= ~in.eflags_write;
        t->b->lines |= 1ull << at / 64 | 1ull << min_u64(at + in.len - 1, PAGE - 1) / 64;
        if (!left)
            return 0;
        at += in.len;
    }
    return FLAGS_ARITH;
}

u32 flow_live(struct build *t, u64 pc)
{
    u64 off = pc - (t->b->pc - (t->b->gpa & (PAGE - 1)));

    return off < PAGE ? build_live_at(t, pc) : FLAGS_ARITH;
}

u32 flags_kept(const struct x86_insn *in)
{
    switch (in->op) {
    case ZYDIS_MNEMONIC_SHL:
    case ZYDIS_MNEMONIC_SHR:
    case ZYDIS_MNEMONIC_SAR:
    case ZYDIS_MNEMONIC_ROL:
    case ZYDIS_MNEMONIC_ROR:
    case ZYDIS_MNEMONIC_SHLD:
    case ZYDIS_MNEMONIC_SHRD:
        return in->eflags_read & FLAGS_ARITH;
    default:
        return in->eflags_read & in->eflags_undef & FLAGS_ARITH;
    }
}

/* Interpreted instructions need all flags in memory; so do the exits. */
static u32 build_live_before(struct build *t, u32 i)
{
    const struct x86_insn *in = &t->in[i];
    u32 live = t->live[i + 1];

    if (!t->g->options.check && system_is_quiet(t, in))
        return live;
    if (t->g->options.check || in->flags & (INSN_SYSTEM | INSN_STRING) ||
        in->op == ZYDIS_MNEMONIC_DIV || in->op == ZYDIS_MNEMONIC_IDIV)
        return FLAGS_ARITH;
    if (in->flags & INSN_BRANCH) {
        u64 target = flow_target(t, i);

        if (!in->nopd || in->opd[0].kind != OPD_REL || !flow_near_size(t, in))
            return FLAGS_ARITH;
        if (in->op == ZYDIS_MNEMONIC_JMP)
            return flow_live(t, target);
        if (in->op == ZYDIS_MNEMONIC_CALL)
            return FLAGS_ARITH;
        return FLAGS_ARITH & (in->eflags_read | live | flow_live(t, target));
    }
    return (live & ~(in->eflags_write & ~flags_kept(in))) |
           (in->eflags_read & ~flags_kept(in) & FLAGS_ARITH);
}

static void build_liveness(struct build *t)
{
    t->live[t->n] = FLAGS_ARITH;
    for (u32 i = t->n; i--;)
        t->live[i] = build_live_before(t, i);
}

/* Left to x86_step. */
static void build_interpret(struct build *t)
{
    flags_free(t, FLAGS_ARITH);
    site_emit(t, WHY_STEP, t->i, 0, 0, NULL);
    t->flags = FLAGS_BOTH;
}

static void build_insn(struct build *t)
{
    const struct x86_insn *in = &t->in[t->i];
    enum flags_at flags = t->flags;
    u32 nlate = t->nlate, nfar = t->e.nfar;
    u8 *p = t->e.p;
    bool done;

    if (in->flags & INSN_SYSTEM || in->op == ZYDIS_MNEMONIC_SIDT || in->op == ZYDIS_MNEMONIC_SGDT)
        done = system_insn(t, in);
    else if (in->flags & INSN_BRANCH)
        done = flow_insn(t, in);
    else if (in->flags & INSN_STACK)
        done = stack_insn(t, in);
    else
        done = plain_insn(t, in);
    if (!done) {
        t->e.p = p; /* whatever it tried */
        t->nlate = nlate;
        t->e.nfar = nfar;
        t->flags = flags;
        build_interpret(t);
    }
    if (!done && in->flags & INSN_BRANCH && build_ends(t, in))
        t->ended = true; /* C goes on from the new RIP */
}

u64 build_lines(u64 gpa, u32 len)
{
    u64 off = gpa & (PAGE - 1), last = min_u64(off + len - 1, PAGE - 1) / 64;

    return (~0ull >> (63 - last)) & (~0ull << off / 64);
}

/* Bytes of the copy against those in memory, at r10. */
static void build_verify_bytes(struct build *t, u32 at, u32 end, const u8 *stale)
{
    struct emit *e = &t->e;
    u32 from = at, n;

    for (; at < end; at += n) {
        struct xmem m;
        u64 want;

        if (end - from >= 8 && at + 8 > end)
            at = end - 8;
        m = x_at(R10, (i32)at);
        n = end - at >= 8 ? 8 : end - at >= 4 ? 4 : 1;
        if (n == 8) {
            __builtin_memcpy(&want, t->copy + at, 8);
            x_mov_imm(e, R11, want);
            x_mem(e, 0x3b | X_W, R11, &m);
        } else {
            x_mem(e, n == 4 ? 0x81 : 0x80, 7, &m); /* cmp */
            x_bytes(e, t->copy + at, n);
        }
        x_jump_to(e, X_JNE, stale);
    }
}

/* The bytes that were translated are still there, or C makes the block anew.  Flags are lost. */
static void build_verify(struct build *t, const u8 *stale)
{
    u32 from = 0;

    x_mov_imm(&t->e, R10, (u64)(uintptr_t)t->host);
    for (u32 i = 0; i < t->n; i++) {
        if (!build_is_loose(t, &t->in[i]))
            continue;
        build_verify_bytes(t, from, (u32)(t->pc[i] - t->b->pc) + t->in[i].at_imm, stale);
        from = (u32)(t->pc[i + 1] - t->b->pc);
    }
    build_verify_bytes(t, from, t->b->len, stale);
}

/* Where the block is entered, with the flags in memory and in the host. */
static void build_entries(struct build *t)
{
    struct engine *g = t->g;
    struct block *b = t->b;
    struct emit *e = &t->e;
    u8 *save = NULL, *stale = NULL, *home;

    if (t->verify) {
        t->flags = FLAGS_MEMORY;
        stale = e->p;
        site_emit(t, WHY_STALE, 0, 0, 0, NULL);
    }
    t->flags = FLAGS_HOST;
    if (t->verify) { /* the comparison needs them in memory */
        save = build_home(t);
        flags_free(t, t->live[0]);
    }
    b->entry = engine_rx(g, build_home(t));
    t->flags = FLAGS_MEMORY;
    if (t->verify)
        build_verify(t, stale);
    if (t->live[0])
        flags_restore(t);
    home = build_home(t);
    b->entry_host = engine_rx(g, save ? save : home);
    t->flags = t->live[0] ? FLAGS_HOST : FLAGS_MEMORY;
}

static void build_code(struct build *t)
{
    struct engine *g = t->g;
    struct block *b = t->b;
    struct emit *e = &t->e;

    b->code = engine_rx(g, build_home(t));
    t->i = 0;
    build_entries(t);
    for (t->i = 0; t->i < t->n && !e->full; t->i++) {
        b->host[t->i] = (u32)(build_home(t) - g->rw);
        build_insn(t);
    }
    t->i = t->n - 1;
    if (!t->ended)
        flow_edge(t, t->pc[t->n]);
    late_emit(t);
}

static int build_exits(struct build *t)
{
    struct block *b = t->b;

    if (!t->again)
        b->exits = cache_alloc(t->g, t->nexit * sizeof(*b->exits));
    if (!b->exits)
        return -ENOMEM;
    for (u32 i = 0; i < t->nexit; i++) {
        b->exits[i] = t->exits[i];
        b->exits[i].from = b;
        if (t->exits[i].rel) /* not of a poll */
            b->exits[i].rel += t->e.delta;
        if (t->exits[i].stub)
            b->exits[i].stub += t->e.delta;
    }
    b->nexit = (u8)t->nexit;
    return 0;
}

/* From where it was written to its place. */
static void build_move(struct build *t)
{
    u8 *home = build_home(t);
    u32 n = (u32)(t->e.p - t->code_now);

    __builtin_memcpy(home - n, t->code_now, n);
    t->b->end = engine_rx(t->g, home);
}

static int build_enter(struct engine *g, struct block *b, bool trace)
{
    g->used = (u64)(b->end - g->rx + 15) & -16ull;
    g->blocks[g->nblock++] = b;
    g->count_block++;
    g->count_insn += b->ninsn;
    g->count_bytes += (u64)(b->end - b->code);
    return trace ? 0 : cache_add(g, b);
}

int build_finish(struct build *t)
{
    struct engine *g = t->g;
    struct block *b = t->b;

    if (build_exits(t))
        return -ENOMEM;
    if (t->e.full)
        return -ENOSPC;
    build_move(t);
    if (g->keep && !t->verify && !t->trace)
        kept_put(t, b);
    return build_enter(g, b, t->trace);
}

int translate_open(struct engine *g)
{
    g->build = aligned_alloc(64, (sizeof(*g->build) + 63) & -64ul);
    if (!g->build)
        return -ENOMEM;
    memset(g->build, 0, sizeof(*g->build));
    return 0;
}
void translate_close(struct engine *g)
{
    free(g->build);
}

/* The bytes that are translated: from here on stores to them are seen, or they are a copy. */
static const u8 *build_source(struct build *t, u64 gpa, const u8 *code, u32 *n)
{
    t->verify = cache_verifies(t->g, gpa & -(u64)PAGE);
    if (!t->verify) {
        tlb_drop_writes(t->g, gpa & -(u64)PAGE);
        return code;
    }
    *n = (u32)min_u64(*n, sizeof(t->copy));
    __builtin_memcpy(t->copy, code, *n);
    return t->copy;
}

/* What is kept was made from these bytes and no others, whatever is stored there meanwhile. */
static void build_whole(struct build *t, const u32 n[2])
{
    u32 off = t->b->gpa & (PAGE - 1);
    const u8 *from = t->page;
    u64 n8 = PAGE / 8;
    u8 *to = t->whole;

    __asm__ volatile("rep movsq" : "+S"(from), "+D"(to), "+c"(n8)::"memory");
    t->page = t->whole;
    if (n[1])
        __builtin_memcpy(t->whole + off, t->code, n[0]);
    else
        t->code = t->whole + off;
}

void build_start(struct build *t, struct vcpu *v, struct block *b, u8 *to)
{
    t->v = v;
    t->b = b;
    t->trace = NULL;
    for (u32 i = 0; i < 16; i++)
        t->home[i] = i == RSP ? R9 : i >= R9 && i <= R11 ? X86_NOREG : (u8)i;
    t->e = (struct emit){ .p = t->code_now,
                          .base = t->code_now,
                          .end = t->code_now + sizeof(t->code_now),
                          .delta = to - t->code_now,
                          .far = t->far };
    t->n = t->nlate = t->nexit = 0;
    for (u32 i = 0; i < LEN(b->host_flags); i++) /* of what it was before */
        b->host_flags[i] = 0;
    t->mode = b->mode;
    t->set = mode_set(b->mode);
    t->ended = false;
    t->compare = true;
}

/* REP MOVS or STOS that string.c knows. */
static bool build_is_piece(const struct build *t, const struct x86_insn *in)
{
    u32 kind = in->opcode & 0xfe;

    return in->flags & INSN_STRING && in->flags & INSN_REP && !(in->flags & INSN_SEGMENT) &&
           (kind == 0xa4 || kind == 0xaa) &&
           (is_code64(t)
                ? in->asize == 8
                : in->asize == 4 && t->mode & MODE_FLAT && (t->mode & MODE_SIZE) == X86_MODE32);
}

/* What is known of the block once it is decoded. */
static int build_describe(struct build *t, u32 len)
{
    struct engine *g = t->g;
    struct block *b = t->b;

    b->len = (u16)len;
    b->ninsn = (u8)t->n;
    b->lines = build_lines(b->gpa, len);
    if (!t->again) {
        b->host = cache_alloc(g, t->n * sizeof(*b->host));
        b->at = cache_alloc(g, (t->n + 1) * sizeof(*b->at));
        b->op = cache_alloc(g, t->n * sizeof(*b->op));
    }
    if (!b->host || !b->at || !b->op || build_undefined(t))
        return -ENOMEM;
    for (u32 i = 0; i <= t->n; i++)
        b->at[i] = (u16)(t->pc[i] - b->pc);
    for (u32 i = 0; i < t->n; i++) {
        b->op[i] = t->in[i].op | (t->in[i].osize == 8 ? OP_WIDE : 0) |
                   (build_is_piece(t, &t->in[i]) ? OP_PIECE : 0);
        b->host[i] = 0;
    }
    return 0;
}

int translate_block(struct vcpu *v, const u64 gpa[2], u64 pc, u32 mode, const u8 *code,
                    const u32 n[2], const u8 *host, struct block **out)
{
    struct engine *g = v->engine;
    struct build *t = g->build;
    u32 len, room = n[0];
    struct block *b;

    if (g->size - g->used < CODE_ROOM || g->nblock == g->room)
        return -ENOSPC;
    cache_ahead(g);
    b = cache_alloc(g, sizeof(*b));
    if (!b)
        return -ENOMEM;
    t->g = g;
    t->again = t->loose = false;
    t->host = host;
    t->code = build_source(t, gpa[0], code, &room);
    t->ncode = n[0];
    b->gpa = gpa[0];
    b->pc = pc;
    b->mode = mode;
    b->id = g->nblock;
    build_start(t, v, b, g->rw + g->used);
    t->page = host - (gpa[0] & (PAGE - 1));
    if (g->keep && !t->verify) {
        if (kept_get(t, b)) {
            *out = b;
            return build_enter(g, b, false);
        }
        build_whole(t, n);
    }
    len = build_decode(t, (u32[]){ room, t->verify ? 0 : n[1] });
    if (!len)
        return -ENODATA;
    if (len > n[0]) {
        if (cache_verifies(g, gpa[1]))
            return -ENODATA;
        b->gpa2 = gpa[1];
        tlb_drop_writes(g, gpa[1]);
    }
    if (build_describe(t, len))
        return -ENOMEM;
    build_liveness(t);
    build_code(t);
    *out = b;
    return build_finish(t);
}

/* Instructions are fetched anew behind it: IRET does that, and no intercept has it. */
static void build_serialize(void)
{
    u64 sp, tmp;

    __asm__ volatile("mov %%rsp, %0\n\t"
                     "sub $128, %%rsp\n\t" /* the red zone */
                     "mov %%ss, %k1\n\tpush %1\n\t"
                     "push %0\n\t"
                     "pushf\n\t"
                     "mov %%cs, %k1\n\tpush %1\n\t"
                     "lea 1f(%%rip), %1\n\tpush %1\n\t"
                     "iretq\n"
                     "1:"
                     : "=&r"(sp), "=&r"(tmp)::"memory", "cc");
}

bool translate_again(struct vcpu *v, struct block *b, const u8 *code, u32 n, const u8 *host)
{
    struct engine *g = v->engine;
    struct build *t = g->build;
    const struct block was = *b;
    u64 room = (u64)(b->end - b->code + 15) & -16ull;
    u32 len;

    t->g = g;
    t->again = t->loose = true;
    t->host = host;
    t->ncode = n;
    t->code = build_source(t, b->gpa, code, &n);
    t->page = host - (b->gpa & (PAGE - 1));
    build_start(t, v, b, engine_rw(g, b->code));
    len = t->verify ? build_decode(t, (u32[]){ n, 0 }) : 0;
    if (!len || t->n > was.ninsn || build_describe(t, len))
        return false;
    cache_unlink_exits(g, b);
    build_liveness(t);
    build_code(t);
    if (t->nexit > was.nexit || t->e.full || (u64)(t->e.p - t->code_now) > room ||
        b->entry != was.entry || b->entry_host != was.entry_host) {
        struct block_exit *incoming = b->incoming; /* without its own, if it led to itself */

        *b = was;
        b->incoming = incoming;
        b->nexit = 0;
        return false;
    }
    build_exits(t);
    build_move(t);
    g->count_block++;
    g->count_insn += b->ninsn;
    build_serialize();
    return true;
}
