/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The code of a trace: what is checked before the loop, the loop, its exits.  Inside, all is as
 * in a block but for the registers held, whose guest values are in vcpu.held: every way out
 * puts them back, in C when it is a call of C.
 */
#include "engine/translate/trace_int.h"

#define AT(m) offsetof(struct vcpu, m)
enum exit_kind {
    EXIT_PC,
    EXIT_INDIRECT,
    EXIT_LOOK_HEAD,
    EXIT_LOOK_HERE,
    EXIT_FAIL,
    EXIT_POLL,
    EXIT_MOVED
};

static size_t slot_at(u32 slot)
{
    return AT(slot) + slot * sizeof(struct trace_slot);
}
static size_t slot_addend(u32 slot)
{
    return slot_at(slot) + offsetof(struct trace_slot, addend);
}
static size_t slot_folded(u32 slot)
{
    return slot_at(slot) + offsetof(struct trace_slot, folded);
}
static size_t seg_base(u32 seg)
{
    return AT(c.s.seg) + seg * sizeof(struct x86_segment) + offsetof(struct x86_segment, base);
}

/* ---- groups ---- */

/* An access of the group at the head of the loop: its first byte. */
static struct access group_head(const struct trace_group *g)
{
    return (struct access){ .seg = g->key.seg == X86_NOREG ? SEG_DS : g->key.seg,
                            .base = g->key.base == NO_ROOT ? X86_NOREG : (u8)g->key.base,
                            .index = g->key.index == NO_ROOT ? X86_NOREG : (u8)g->key.index,
                            .scale = g->key.scale,
                            .asize = 8,
                            .disp = g->lo };
}
/* The same at an access, by its registers. */
static struct access group_here(const struct trace_group *g, const struct access *a,
                                const struct trace_key *k)
{
    struct access first = *a;

    first.page = false;
    first.disp = g->lo - k->off + a->disp;
    if (k->base == NO_ROOT && k->index == NO_ROOT && k->seg == X86_NOREG)
        first.disp = g->lo;
    return first;
}

/* r10: where the group's first byte is. */
static void group_linear(struct build *t, const struct trace_group *g, const struct access *first)
{
    operand_address(t, first);
    if (g->key.seg != X86_NOREG)
        x_gs_op(&t->e, 0x03 | X_W, R10, seg_base(g->key.seg));
}

/* r10: offset in the page that it had, if it is still in it, all of it. */
static void group_ask(struct build *t, const struct trace_group *g, const struct access *first,
                      enum exit_kind kind)
{
    struct emit *e = &t->e;
    u8 *retry = e->p;
    struct late *l;

    group_linear(t, g, first);
    x_gs_op(e, 0x33 | X_W, R10, slot_at(g->slot));
    x_reg(e, 0x81 | X_W, 7, R10); /* cmp */
    x_u32(e, (u32)(PAGE - (g->hi - g->lo)));
    l = late_add(t, LATE_TRACE, x_jump(e, X_JA));
    l->a = (u8)kind;
    l->b = (u8)(g - t->trace->group);
    l->retry = retry;
}

/* Looks it up: r10 the page, r11 the addend; answers the jump that is taken when it misses. */
static u8 *group_find(struct build *t, const struct trace_group *g, const struct access *first)
{
    struct emit *e = &t->e;
    i32 table = (i32)(AT(tlb) + t->set * sizeof(struct tlb_entry) * TLB_SIZE);
    struct xmem tag = x_gs_at(R11, table + (g->write ? 8 : 0)), addend = x_gs_at(R11, table + 16);
    u8 *miss;

    group_linear(t, g, first);
    x_mov32(e, R11, R10);
    x_shift(e, 5, 0, R11, 7);
    x_alu_imm(e, 4, 0, R11, (TLB_SIZE - 1) << 5);
    if (g->hi - g->lo > 1)
        x_alu_imm(e, 0, X_W, R10, (i32)(g->hi - g->lo) - 1);
    x_alu_imm(e, 4, X_W, R10, -PAGE);
    x_mem(e, 0x3b | X_W, R10, &tag);
    miss = x_jump(e, X_JNE);
    x_mem(e, 0x8b | X_W, R11, &addend);
    return miss;
}

static bool group_is_constant(const struct trace_group *g)
{
    return g->key.base == NO_ROOT && g->key.index == NO_ROOT && g->key.seg == X86_NOREG;
}
static bool group_folds(const struct trace_group *g)
{
    return group_is_constant(g) || g->key.seg != X86_NOREG ||
           (g->key.base != NO_ROOT && g->fold_base) || (g->key.index != NO_ROOT && g->fold_index);
}

/* Where the group's addend is in memory. */
static size_t group_addend(const struct trace_group *g)
{
    return g->class == GROUP_LOOK || group_folds(g) ? slot_folded(g->slot) : slot_addend(g->slot);
}

static void fold_register(struct build *t, u32 gpr, u32 scale, i64 off)
{
    u32 reg = is_evicted(t, gpr) ? R10 : host_of(t, gpr);

    if (reg == R10)
        x_load(&t->e, R10, gpr_at(gpr));
    x_lea(&t->e, R11,
          (struct xmem){ .base = R11, .index = (i8)reg, .scale = (u8)scale, .disp = (i32)-off });
}

/* r11 += what the group's accesses need not add; `here` says which registers hold the roots. */
static void group_fold(struct build *t, const struct trace_group *g, const struct access *here,
                       const struct trace_value *v)
{
    if (group_is_constant(g)) {
        x_mov_imm(&t->e, R10, (u64)g->lo & -(u64)PAGE);
        x_reg(&t->e, 0x01 | X_W, R10, R11);
        return;
    }
    if (g->key.seg != X86_NOREG)
        x_gs_op(&t->e, 0x03 | X_W, R11, seg_base(g->key.seg));
    if (g->key.base != NO_ROOT && g->fold_base)
        fold_register(t, here->base, 0, v[here->base].off);
    if (g->key.index != NO_ROOT && g->fold_index)
        fold_register(t, here->index, g->key.scale, v[here->index].off * (1 << g->key.scale));
}

/* A fresh one at its first access: a miss goes to C, which may come back. */
static void group_look(struct build *t, const struct trace_group *g, const struct access *a,
                       const struct trace_key *k)
{
    struct access first = group_here(g, a, k);
    u8 *retry = t->e.p;
    struct late *l = late_add(t, LATE_MISS, group_find(t, g, &first));

    l->a = (u8)min_u64((u64)(g->hi - g->lo), 255);
    l->b = a->write ? 1 : g->write ? 4 : 0;
    l->retry = retry;
    group_fold(t, g, a, t->trace->val[t->i]);
    if (g->reg != NO_REG)
        x_mov(&t->e, g->reg, R11);
    else
        x_store(&t->e, slot_folded(g->slot), R11);
}

static struct trace_group *group_of(struct build *t, const struct access *a, struct trace_key *k)
{
    struct tracer *tr = t->trace;

    if (!trace_key_of(t, t->i, a, k))
        return NULL;
    for (u32 n = 0; n < 2; n++) {
        struct trace_group *g = tr->of[t->i][n] == NO_GROUP ? NULL : &tr->group[tr->of[t->i][n]];

        if (g && trace_same(&g->key, k) && k->off >= g->lo && k->off + a->size <= g->hi &&
            g->write >= a->write)
            return g;
    }
    return NULL;
}

bool trace_checks(const struct build *t)
{
    return t->trace->checks[t->i];
}

/* Where the access is; `at` is in r11 or a register of its own. */
static struct xmem group_operand(struct build *t, const struct trace_group *g,
                                 const struct access *a, const struct trace_key *k)
{
    const struct trace_value *v = t->trace->val[t->i];
    bool base = k->base != NO_ROOT && !g->fold_base, index = k->index != NO_ROOT && !g->fold_index;
    u8 reg = g->reg != NO_REG ? g->reg : R11;
    struct xmem m = { .base = (i8)reg, .index = X_NONE, .disp = (i32)k->off };
    struct access own = *a;

    if (group_is_constant(g)) {
        m.disp = (i32)(k->off & (PAGE - 1));
    } else if (base && index) {
        x_lea(&t->e, R10, operand_host(t, &own));
        m = (struct xmem){ .base = R10, .index = (i8)reg };
    } else if (base || index) {
        u8 gpr = base ? a->base : a->index, host = (u8)(is_evicted(t, gpr) ? R10 : host_of(t, gpr));

        if (host == R10)
            x_load(&t->e, R10, gpr_at(gpr));
        m.index = (i8)host;
        m.scale = base ? 0 : a->scale;
        m.disp = (i32)(k->off - v[gpr].off * (base ? 1 : 1 << a->scale));
    }
    if (reg == R11)
        x_load(&t->e, R11, group_addend(g));
    return m;
}

bool trace_operand(struct build *t, const struct access *a, struct xmem *m)
{
    struct trace_key k;
    struct trace_group *g = group_of(t, a, &k);

    if (!g) {
        t->e.full |= !trace_checks(t); /* its flags were not freed */
        return false;
    }
    if (g->class >= GROUP_PAGE && !g->asked)
        t->e.full |= !trace_checks(t);
    if (g->class == GROUP_LOOK && !g->asked)
        group_look(t, g, a, &k);
    if (g->class == GROUP_PAGE && !g->asked) {
        struct access first = group_here(g, a, &k);

        group_ask(t, g, &first, EXIT_LOOK_HERE);
    }
    g->asked = true;
    *m = group_operand(t, g, a, &k);
    return true;
}

/* Behind the trace: another page than last time.  Back to ask again, which it now passes. */
static void group_late(struct build *t, const struct late *l, bool head)
{
    struct trace_group *g = &t->trace->group[l->b];
    struct emit *e = &t->e;
    struct access first = group_head(g), a;
    struct trace_key k;
    struct late *miss;
    u8 *from;

    if (!head) {
        if (t->trace->of[t->i][0] == l->b)
            operand_of(t, &t->in[t->i], &a);
        else
            trace_stack_access(&t->in[t->i], &a);
        trace_key_of(t, t->i, &a, &k);
        first = group_here(g, &a, &k);
    }
    from = group_find(t, g, &first);
    miss = late_add(t, head ? LATE_TRACE : LATE_MISS, from);
    miss->a = head ? EXIT_FAIL : (u8)min_u64((u64)(g->hi - g->lo), 255);
    miss->b = head ? 0 : a.write ? 1 : g->write ? 4 : 0;
    miss->retry = l->retry;
    x_store(e, slot_at(g->slot), R10);
    x_store(e, slot_addend(g->slot), R11);
    x_gs_op(e, 0xc6, 0, AT(slot_used) + g->slot / USED_GROUP);
    x_u8(e, 1);
    x_jump_to(e, X_JMP, l->retry);
}

/* ---- before the loop ---- */

/*
 * r10: offset of the group in its page.  How far the leader may go until it leaves that.  It may
 * be an index that wraps around: what counts is how far the two are apart, not which is greater.
 */
static void head_bound(struct build *t, const struct trace_group *g, bool first)
{
    struct tracer *tr = t->trace;
    struct emit *e = &t->e;
    i64 step = tr->val[t->n][tr->leader].off, big = trace_abs(g->step), small = trace_abs(step);
    u8 *skip = NULL;

    if (g->step > 0) {
        x_reg(e, 0xf7 | X_W, 3, R10); /* neg */
        x_alu_imm(e, 0, X_W, R10, (i32)(PAGE - (g->hi - g->lo)));
    }
    if (big > small)
        x_shift(e, 5, X_W, R10, (u8)__builtin_ctzll((u64)(big / small)));
    else if (big < small)
        x_shift(e, 4, X_W, R10, (u8)__builtin_ctzll((u64)(small / big)));
    operand_load_gpr(t, R11, tr->leader);
    x_reg(e, (step > 0 ? 0x01 : 0x29) | X_W, R10, R11); /* add, sub */
    if (!first) {
        x_gs_op(e, 0x3b | X_W, R11, slot_at(tr->bound));
        skip = x_jump(e, step > 0 ? X_JNS : X_JS);
    }
    x_store(e, slot_at(tr->bound), R11);
    if (skip)
        x_here(e, skip);
}

static void head_group(struct build *t, const struct trace_group *g, bool first)
{
    struct access head = group_head(g);

    group_ask(t, g, &head, EXIT_LOOK_HEAD);
    if (g->class == GROUP_STEP)
        head_bound(t, g, first);
    if (!group_folds(g))
        return;
    x_load(&t->e, R11, slot_addend(g->slot));
    group_fold(t, g, &head, t->trace->val[0]);
    x_store(&t->e, slot_folded(g->slot), R11);
}

/* The other pages that the path goes through are what they were. */
static void head_pages(struct build *t)
{
    struct tracer *tr = t->trace;
    struct emit *e = &t->e;

    if (is_moving(t)) {
        x_mov_imm(e, R10, tr->frame);
        x_gs_op(e, 0x3b | X_W, R10, AT(page));
        late_add(t, LATE_TRACE, x_jump(e, X_JNE))->a = EXIT_MOVED;
    }
    for (u32 i = 1; i < tr->npage; i++) {
        size_t at = AT(code) + (tr->page[i] >> 12 & (CODE_TLB - 1)) * sizeof(struct code_tlb);

        x_mov_imm(e, R10, tr->page[i] | (t->mode & MODE_USER ? 1 : 0));
        x_gs_op(e, 0x3b | X_W, R10, at + offsetof(struct code_tlb, page));
        late_add(t, LATE_TRACE, x_jump(e, X_JNE))->a = EXIT_MOVED;
        x_mov_imm(e, R10, tr->page_gpa[i]);
        x_gs_op(e, 0x3b | X_W, R10, at + offsetof(struct code_tlb, gpa));
        late_add(t, LATE_TRACE, x_jump(e, X_JNE))->a = EXIT_MOVED;
    }
}

static void trace_give_back(struct build *t)
{
    const struct trace *made = t->trace->made;

    for (u32 i = 0; i < made->nheld; i++) {
        if (made->home[i] != X86_NOREG)
            x_store(&t->e, gpr_at(made->home[i]), made->gpr[i]);
        x_load(&t->e, made->gpr[i], AT(held) + 8 * i);
    }
}

static void trace_head(struct build *t)
{
    struct tracer *tr = t->trace;
    struct emit *e = &t->e;
    bool first = true;

    for (u32 i = 0; i < tr->made->nheld; i++) {
        x_store(e, AT(held) + 8 * i, tr->made->gpr[i]);
        if (tr->made->home[i] != X86_NOREG)
            x_load(e, tr->made->gpr[i], gpr_at(tr->made->home[i]));
    }
    flow_poll(t, LATE_TRACE,
              EXIT_FAIL); /* blocks ask what waits; a way round may be in here only */
    head_pages(t);
    tr->recheck = e->p;
    for (u32 k = 0; k < tr->ngroup; k++) {
        const struct trace_group *g = &tr->group[k];

        if (g->class != GROUP_STEADY && g->class != GROUP_STEP)
            continue;
        head_group(t, g, first);
        if (g->class == GROUP_STEP)
            first = false;
    }
    for (u32 i = 0; i < tr->made->nheld; i++) {
        const struct trace_group *g = &tr->group[tr->group_of[i]];

        if (tr->made->home[i] == X86_NOREG && g->class != GROUP_LOOK)
            x_load(e, tr->made->gpr[i], group_addend(g));
    }
    tr->top = e->p;
}

/* ---- branches ---- */

static void trace_leave_at(struct build *t, u8 *from, u64 pc)
{
    struct late *l = late_add(t, LATE_TRACE, from);

    l->a = EXIT_PC;
    l->value = pc;
}

/* r10 is where it goes: to the next instruction of the trace, or out. */
static void trace_expect(struct build *t)
{
    struct emit *e = &t->e;
    u64 pc = t->pc[t->i + 1] + t->trace->frame;

    if ((i64)pc == (i32)pc) {
        x_alu_imm(e, 7, X_W, R10, (i32)pc);
    } else {
        x_mov_imm(e, R11, pc);
        x_reg(e, 0x39 | X_W, R11, R10);
    }
    late_add(t, LATE_TRACE, x_jump(e, X_JNE))->a = EXIT_INDIRECT;
}

/* To r10, wherever that is when the trace ends here: a library may be far from its caller. */
static void trace_indirect(struct build *t)
{
    if (t->i + 1 < t->n || t->trace->path->loop) {
        trace_expect(t);
        return;
    }
    trace_give_back(t);
    flow_indirect(t);
    t->ended = true;
}

static bool trace_ret(struct build *t)
{
    struct access a;
    struct xmem m;

    trace_stack_access(&t->in[t->i], &a);
    flags_free(t, FLAGS_ARITH);
    m = operand_check(t, &a);
    x_mem(&t->e, 0x8b | X_W, R10, &m);
    stack_move(t, 8);
    trace_indirect(t);
    return true;
}

static bool trace_call(struct build *t, const struct x86_insn *in)
{
    bool direct = in->opd[0].kind == OPD_REL;

    if (!direct) {
        flags_free(t, FLAGS_ARITH);
        flow_load_target(t, in);
        x_store(&t->e, AT(keep[1]), R10);
    }
    flags_for_access(t);
    stack_push_const(t, t->pc[t->i] + in->len, 8, true);
    if (!direct) {
        x_load(&t->e, R10, AT(keep[1]));
        trace_indirect(t);
    }
    return true;
}

static bool trace_branch(struct build *t, const struct x86_insn *in)
{
    u64 next = t->pc[t->i] + in->len, target = next + in->imm;
    u32 jcc = 0x0f80 | (in->opcode & 15);
    bool taken;

    switch (in->op) {
    case ZYDIS_MNEMONIC_JMP:
        if (in->opd[0].kind == OPD_REL)
            return true;
        flags_free(t, FLAGS_ARITH);
        flow_load_target(t, in);
        trace_indirect(t);
        return true;
    case ZYDIS_MNEMONIC_CALL:
        return trace_call(t, in);
    case ZYDIS_MNEMONIC_RET:
        return trace_ret(t);
    default:
        break;
    }
    if (next == target)
        return true;
    taken = t->pc[t->i + 1] == target;
    flags_want(t);
    trace_leave_at(t, x_jump(&t->e, taken ? jcc ^ 1 : jcc), taken ? next : target);
    return true;
}

/* ---- the whole ---- */

static bool trace_insn(struct build *t)
{
    const struct x86_insn *in = &t->in[t->i];

    if (in->flags & INSN_SYSTEM)
        return system_insn(t, in);
    if (in->flags & INSN_BRANCH)
        return trace_branch(t, in);
    if (in->flags & INSN_STACK)
        return stack_insn(t, in);
    return plain_insn(t, in);
}

static void trace_back(struct build *t)
{
    struct tracer *tr = t->trace;
    struct emit *e = &t->e;
    u32 leader = tr->leader;
    u8 *poll;

    flags_free(t, t->live[0]);
    if (t->g->options.check) { /* one round at a time is compared */
        poll = x_jump(e, X_JMP);
    } else {
        x_gs_op(e, 0x83, 7, AT(c.pending));
        x_u8(e, 0);
        poll = x_jump(e, X_JNE);
    }
    late_add(t, LATE_TRACE, poll)->a = EXIT_POLL;
    if (leader != NO_REG) {
        if (is_evicted(t, leader))
            x_load(e, R10, gpr_at(leader));
        x_gs_op(e, 0x3b | X_W, is_evicted(t, leader) ? R10 : host_of(t, leader),
                slot_at(tr->bound));
        x_jump_to(e, tr->val[t->n][leader].off > 0 ? X_JNS : X_JS, tr->recheck);
    }
    x_jump_to(e, X_JMP, tr->top);
}

static void trace_fail(struct build *t)
{
    struct tracer *tr = t->trace;

    if (tr->fail) {
        x_jump_to(&t->e, X_JMP, tr->fail);
        return;
    }
    tr->fail = t->e.p;
    trace_give_back(t);
    x_jump_to(&t->e, X_JMP, engine_rw(t->g, tr->made->head->entry));
}

/* Not mapped as when it was made: by the block, and after a while the trace is given up. */
static void trace_moved(struct build *t)
{
    struct tracer *tr = t->trace;
    struct emit *e = &t->e;
    u32 heat = t->b->id & (HEAT_SIZE - 1);

    if (tr->moved) {
        x_jump_to(e, X_JMP, tr->moved);
        return;
    }
    tr->moved = e->p;
    trace_give_back(t);
    x_gs_op(e, 0x83, 5, AT(heat) + 4 * heat); /* sub dword, 1 */
    x_u8(e, 1);
    x_jump_to(e, X_JAE, engine_rw(t->g, tr->made->head->entry));
    site_emit(t, WHY_HOT, 0, 0, HOT_MOVED, NULL);
    __builtin_memcpy(e->p - 4, &heat, 4);
}

void trace_late(struct build *t, const struct late *l)
{
    struct block_exit *x;

    switch ((enum exit_kind)l->a) {
    case EXIT_PC:
        trace_give_back(t);
        flow_edge(t, l->value);
        break;
    case EXIT_INDIRECT:
        trace_give_back(t);
        t->flags = FLAGS_MEMORY;
        flow_indirect(t);
        break;
    case EXIT_LOOK_HEAD:
    case EXIT_LOOK_HERE:
        group_late(t, l, l->a == EXIT_LOOK_HEAD);
        break;
    case EXIT_FAIL:
        trace_fail(t);
        break;
    case EXIT_MOVED:
        trace_moved(t);
        break;
    case EXIT_POLL:
        trace_give_back(t);
        x = &t->exits[t->nexit];
        *x = (struct block_exit){ .pc = t->pc[0] };
        site_emit(t, WHY_POLL, l->insn, t->nexit++, 0, NULL);
        break;
    }
}

bool trace_emit(struct build *t)
{
    struct engine *g = t->g;
    struct block *b = t->b;
    struct emit *e = &t->e;

    t->i = 0;
    b->code = b->entry_host = engine_rx(g, build_home(t));
    t->flags = FLAGS_HOST;
    flags_free(t, t->live[0]);
    b->entry = engine_rx(g, build_home(t));
    trace_head(t);
    for (t->i = 0; t->i < t->n; t->i++) {
        b->host[t->i] = (u32)(build_home(t) - g->rw);
        if (!trace_insn(t) || (t->ended && t->i + 1 < t->n))
            return false;
    }
    t->i = t->n - 1;
    if (t->trace->path->loop) {
        trace_back(t);
    } else if (!t->ended) {
        trace_give_back(t);
        flow_edge(t, t->pc[t->n]);
    }
    late_emit(t);
    return !e->full;
}
