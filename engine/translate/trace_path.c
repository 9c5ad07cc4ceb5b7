/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of a trace before its code is written: which instructions may be in one, the
 * registers as sums, groups of accesses and how each is checked, flags that are live.
 */
#include "engine/translate/trace_int.h"

enum { SPAN = 1024 }; /* of a group */

/* ---- what may be in one ---- */

static bool path_wants_branch(const struct x86_insn *in)
{
    switch (in->op) {
    case ZYDIS_MNEMONIC_JMP:
    case ZYDIS_MNEMONIC_CALL:
        return in->osize == 8 && (in->opd[0].kind == OPD_REL || in->opd[0].kind == OPD_GPR ||
                                  in->opd[0].kind == OPD_MEM);
    case ZYDIS_MNEMONIC_RET:
        return in->osize == 8 && in->at_imm == 0xff;
    default:
        return in->opd[0].kind == OPD_REL && ((in->map == 0 && (in->opcode & 0xf0) == 0x70) ||
                                              (in->map == 1 && (in->opcode & 0xf0) == 0x80));
    }
}

bool trace_wants(const struct engine *g, const struct x86_insn *in)
{
    if (in->flags & INSN_SYSTEM)
        return !g->options.check &&
               (in->op == ZYDIS_MNEMONIC_CLI || in->op == ZYDIS_MNEMONIC_RDTSC);
    if (in->flags & INSN_BRANCH)
        return path_wants_branch(in);
    if (in->flags & INSN_STACK)
        return in->osize == 8 &&
               (in->op == ZYDIS_MNEMONIC_PUSH || in->op == ZYDIS_MNEMONIC_LEAVE ||
                (in->op == ZYDIS_MNEMONIC_POP && in->opd[0].kind == OPD_GPR));
    if (g->options.check && (in->op == ZYDIS_MNEMONIC_RDRAND || in->op == ZYDIS_MNEMONIC_RDSEED))
        return false;
    return !(in->flags & (INSN_STRING | INSN_PRIVILEGED | INSN_VSIB));
}

/* ---- registers as sums ---- */

static void path_new_root(struct tracer *tr, struct trace_value *v, u32 reg)
{
    v[reg] = (struct trace_value){ .root = (i16)tr->nroot++ };
}

/* false: it is not a sum that is followed. */
static bool path_sum(const struct x86_insn *in, struct trace_value *v)
{
    u8 to = in->opd[0].reg;
    bool imm = in->nopd > 1 && in->opd[1].kind == OPD_IMM;

    if (in->osize != 8 || !in->nopd || in->opd[0].kind != OPD_GPR)
        return false;
    switch (in->op) {
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_SUB:
        if (!imm)
            return false;
        v[to].off += in->op == ZYDIS_MNEMONIC_ADD ? (i64)in->imm : -(i64)in->imm;
        return true;
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_DEC:
        v[to].off += in->op == ZYDIS_MNEMONIC_INC ? 1 : -1;
        return true;
    case ZYDIS_MNEMONIC_MOV:
        if (in->opd[1].kind != OPD_GPR)
            return false;
        v[to] = v[in->opd[1].reg];
        return true;
    case ZYDIS_MNEMONIC_LEA:
        if (in->asize != 8 || in->index != X86_NOREG || in->base >= 16)
            return false;
        v[to] = v[in->base];
        v[to].off += in->disp;
        return true;
    default:
        return false;
    }
}

static void path_values_after(struct tracer *tr, const struct x86_insn *in, struct trace_value *v)
{
    struct trace_value sp = v[RSP];

    if (path_sum(in, v))
        return;
    switch (in->op) {
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_CALL:
    case ZYDIS_MNEMONIC_PUSHFQ:
        v[RSP].off -= 8;
        return;
    case ZYDIS_MNEMONIC_RET:
        v[RSP].off += 8;
        return;
    case ZYDIS_MNEMONIC_POP:
        sp.off += 8;
        v[RSP] = sp;
        path_new_root(tr, v, in->opd[0].reg);
        return;
    case ZYDIS_MNEMONIC_LEAVE:
        v[RSP] = v[RBP];
        v[RSP].off += 8;
        path_new_root(tr, v, RBP);
        return;
    default:
        break;
    }
    for (u32 r = 0; r < 16; r++)
        if (in->gpr_write & 1u << r)
            path_new_root(tr, v, r);
}

static void path_values(struct build *t)
{
    struct tracer *tr = t->trace;

    tr->nroot = 16;
    for (u32 r = 0; r < 16; r++)
        tr->val[0][r] = (struct trace_value){ .root = (i16)r };
    for (u32 i = 0; i < t->n; i++) {
        __builtin_memcpy(tr->val[i + 1], tr->val[i], sizeof(tr->val[i]));
        path_values_after(tr, &t->in[i], tr->val[i + 1]);
    }
    tr->steady = 0;
    for (u32 r = 0; r < 16; r++)
        if (tr->val[t->n][r].root == (i16)r)
            tr->steady |= (u16)(1u << r);
}

/* ---- accesses ---- */

bool trace_stack_access(const struct x86_insn *in, struct access *a)
{
    *a = (struct access){
        .seg = SEG_SS, .base = RSP, .index = X86_NOREG, .asize = 8, .size = 8, .disp = 0
    };
    switch (in->op) {
    case ZYDIS_MNEMONIC_PUSH:
    case ZYDIS_MNEMONIC_CALL:
    case ZYDIS_MNEMONIC_PUSHFQ:
        a->disp = -8;
        a->write = true;
        return true;
    case ZYDIS_MNEMONIC_LEAVE:
        a->base = RBP;
        return true;
    case ZYDIS_MNEMONIC_POP:
    case ZYDIS_MNEMONIC_RET:
        return true;
    default:
        return false;
    }
}

/* Sums of some of these, and of a group's span, are displacements. */
static bool path_near(i64 v)
{
    return trace_abs(v) < 1 << 28;
}

bool trace_key_of(const struct build *t, u32 i, const struct access *a, struct trace_key *k)
{
    const struct trace_value *v = t->trace->val[i];

    *k = (struct trace_key){ NO_ROOT, NO_ROOT, 0, X86_NOREG, a->disp };
    if (a->asize != 8)
        return false;
    if (a->page)
        k->off += (i64)t->trace->frame;
    if (a->seg == SEG_FS || a->seg == SEG_GS)
        k->seg = a->seg;
    if (a->base != X86_NOREG) {
        k->base = v[a->base].root;
        k->off += v[a->base].off;
    }
    if (a->index != X86_NOREG) {
        k->index = v[a->index].root;
        k->scale = a->scale;
        k->off += v[a->index].off * (1 << a->scale);
        if (!path_near(v[a->index].off * (1 << a->scale)))
            return false;
    }
    if (a->page && (k->seg != X86_NOREG || a->base != X86_NOREG))
        return false;
    if (k->base == NO_ROOT && k->index == NO_ROOT && k->seg == X86_NOREG)
        return true;
    return path_near(k->off) && (a->base == X86_NOREG || path_near(v[a->base].off));
}

bool trace_same(const struct trace_key *a, const struct trace_key *b)
{
    return a->base == b->base && a->index == b->index && a->scale == b->scale && a->seg == b->seg;
}

static bool path_is_steady(const struct tracer *tr, i16 root)
{
    return root < 16 && (root == NO_ROOT || tr->steady >> root & 1);
}
static i64 path_step(const struct build *t, i16 root)
{
    return root == NO_ROOT ? 0 : t->trace->val[t->n][root].off;
}

static void path_class(const struct build *t, struct trace_group *g)
{
    const struct tracer *tr = t->trace;
    i64 base = 0, index = 0;

    g->class = GROUP_LOOK;
    g->fold_base = g->key.index != NO_ROOT ||
                   (g->key.base != NO_ROOT && g->key.base < 16 && is_evicted(t, (u32)g->key.base));
    g->fold_index = true;
    if (!tr->path->loop) { /* what is sure to be used is checked at the head */
        if (g->key.index == NO_ROOT && (g->key.base == NO_ROOT || g->key.base == RSP))
            g->class = GROUP_STEADY;
        return;
    }
    if (!path_is_steady(tr, g->key.base) || !path_is_steady(tr, g->key.index))
        return;
    base = path_step(t, g->key.base);
    index = path_step(t, g->key.index);
    g->step = base + index * (1 << g->key.scale);
    if (trace_abs(base) > PAGE || trace_abs(index) > PAGE)
        return;
    if (!base && !index)
        g->class = GROUP_STEADY;
    else if (g->step && trace_abs(g->step) <= PAGE / 4)
        g->class = GROUP_STEP;
    else
        return;
    if (g->key.base != NO_ROOT)
        g->fold_base = !base && (g->key.index != NO_ROOT || is_evicted(t, (u32)g->key.base));
    g->fold_index = !index && (base || g->class == GROUP_STEADY);
}

/* Where the byte was when the path was recorded; only roots of the head. */
static u64 path_recorded(const struct build *t, const struct trace_key *k, i64 off)
{
    const struct trace_path *p = t->trace->path;
    u64 at = (u64)off;

    if (k->seg != X86_NOREG)
        at += p->seg[k->seg == SEG_GS];
    if (k->base != NO_ROOT)
        at += p->gpr[k->base];
    if (k->index != NO_ROOT)
        at += p->gpr[k->index] << k->scale;
    return at;
}

/* May a group reach from lo to hi? */
static bool path_fits(const struct build *t, const struct trace_group *g, i64 lo, i64 hi)
{
    if (hi - lo > SPAN)
        return false;
    return g->class != GROUP_STEADY ||
           !((path_recorded(t, &g->key, lo) ^ path_recorded(t, &g->key, hi - 1)) >> 12);
}

static u8 path_add(struct build *t, u32 i, const struct access *a)
{
    struct tracer *tr = t->trace;
    struct trace_group n = { .lo = 0 };
    i64 end;

    if (!a->size || !trace_key_of(t, i, a, &n.key))
        return NO_GROUP;
    n.lo = n.key.off;
    end = n.hi = n.key.off + a->size;
    for (u32 k = 0; k < tr->ngroup; k++) {
        struct trace_group *g = &tr->group[k];
        i64 lo = g->lo < n.lo ? g->lo : n.lo, hi = g->hi > end ? g->hi : end;

        if (!trace_same(&g->key, &n.key) || !path_fits(t, g, lo, hi))
            continue;
        if (g->class == GROUP_LOOK && !tr->path->loop && a->write > g->write)
            continue; /* a page that is clean yet would miss at each read */
        g->lo = lo;
        g->hi = hi;
        g->write |= a->write;
        g->uses++;
        return (u8)k;
    }
    path_class(t, &n);
    if (tr->ngroup == TRACE_GROUPS || !path_fits(t, &n, n.lo, n.hi))
        return NO_GROUP;
    n.write = a->write;
    n.uses = 1;
    n.first = i;
    n.reg = NO_REG;
    tr->group[tr->ngroup] = n;
    return (u8)tr->ngroup++;
}

/* An access by operand_check, which may be in a group. */
static bool path_has_access(const struct x86_insn *in)
{
    return in->mem != X86_NOREG && in->opd[in->mem].kind == OPD_MEM && !plain_is_nothing(in) &&
           !plain_is_bit_string(in);
}

static void path_groups(struct build *t)
{
    struct tracer *tr = t->trace;

    tr->ngroup = 0;
    for (u32 i = 0; i < t->n; i++) {
        const struct x86_insn *in = &t->in[i];
        struct access a;

        tr->of[i][0] = tr->of[i][1] = NO_GROUP;
        if (path_has_access(in)) {
            t->i = i;
            operand_of(t, in, &a);
            tr->of[i][0] = path_add(t, i, &a);
        }
        if (trace_stack_access(in, &a))
            tr->of[i][1] = path_add(t, i, &a);
    }
}

/* ---- the bound of a loop ---- */

static bool path_power(i64 big, i64 small)
{
    i64 q = small ? trace_abs(big) / trace_abs(small) : 0;

    return q && q * trace_abs(small) == trace_abs(big) && !(q & (q - 1));
}

/* A register that steps with the groups; those that do not fit it ask each round. */
static void path_leader(struct build *t)
{
    struct tracer *tr = t->trace;
    i64 step = 0;

    tr->leader = NO_REG;
    for (u32 k = 0; k < tr->ngroup; k++) {
        struct trace_group *g = &tr->group[k];

        if (g->class != GROUP_STEP)
            continue;
        if (tr->leader == NO_REG) {
            tr->leader = (u8)(path_step(t, g->key.base) ? g->key.base : g->key.index);
            step = path_step(t, tr->leader);
        }
        if (!path_power(g->step, step) && !path_power(step, g->step)) {
            g->class = g->key.seg == X86_NOREG ? GROUP_PAGE : GROUP_LOOK;
            g->fold_base = g->fold_index = g->class == GROUP_LOOK;
        }
    }
}

/* ---- which instructions check ---- */

static void path_checks(struct build *t)
{
    struct tracer *tr = t->trace;

    for (u32 k = 0; k < tr->ngroup; k++)
        if (tr->group[k].class == GROUP_LOOK && tr->group[k].uses == 1)
            for (u32 i = 0; i < t->n; i++)
                for (u32 n = 0; n < 2; n++)
                    if (tr->of[i][n] == k)
                        tr->of[i][n] = NO_GROUP;
    for (u32 i = 0; i < t->n; i++) {
        const struct x86_insn *in = &t->in[i];
        struct access a;

        tr->checks[i] = (in->mem != X86_NOREG && tr->of[i][0] == NO_GROUP) ||
                        (trace_stack_access(in, &a) && tr->of[i][1] == NO_GROUP);
        for (u32 n = 0; n < 2; n++)
            if (tr->of[i][n] != NO_GROUP && tr->group[tr->of[i][n]].class >= GROUP_PAGE &&
                tr->group[tr->of[i][n]].first == i)
                tr->checks[i] = true;
    }
}

/* Registers that the loop does not name: for those of the guest that have none. */
static void path_homes(struct build *t)
{
    struct tracer *tr = t->trace;
    struct trace *made = tr->made;
    u32 uses[3] = { 0 }, named = 1u << RSP | 7u << R9;

    for (u32 i = 0; i < t->n; i++) {
        u32 regs = t->in[i].gpr_read | t->in[i].gpr_write;

        named |= regs;
        for (u32 k = 0; k < 3; k++)
            uses[k] += regs >> (R9 + k) & 1;
    }
    tr->spare = (u16)~named;
    made->nheld = 0;
    for (u32 n = 0; n < 3 && tr->spare; n++) {
        u32 k = uses[0] >= uses[1] ? uses[0] >= uses[2] ? 0 : 2 : uses[1] >= uses[2] ? 1 : 2;
        u8 r = (u8)(31 - __builtin_clz(tr->spare));

        if (uses[k] < 2)
            return;
        uses[k] = 0;
        tr->spare &= (u16) ~(1u << r);
        t->home[R9 + k] = r;
        made->gpr[made->nheld] = r;
        made->home[made->nheld++] = (u8)(R9 + k);
    }
}

/* ... and for the addends that are used most. */
static void path_hold(struct build *t)
{
    struct tracer *tr = t->trace;
    struct trace *made = tr->made;

    for (u32 r = 0; r < 16 && made->nheld < TRACE_HELD; r++) {
        struct trace_group *best = NULL;

        if (!(tr->spare >> r & 1))
            continue;
        for (u32 k = 0; k < tr->ngroup; k++) {
            struct trace_group *g = &tr->group[k];

            if (g->reg == NO_REG && (g->class != GROUP_LOOK || g->uses > 1) &&
                g->class != GROUP_PAGE && (!best || g->uses > best->uses))
                best = g;
        }
        if (!best)
            return;
        best->reg = (u8)r;
        tr->group_of[made->nheld] = (u8)(best - tr->group);
        made->gpr[made->nheld] = (u8)r;
        made->home[made->nheld++] = X86_NOREG;
    }
}

/* ---- flags ---- */

static u32 path_live_before(struct build *t, u32 i)
{
    const struct x86_insn *in = &t->in[i];
    u32 live = t->live[i + 1], kept = flags_kept(in);
    u64 target;

    if (t->g->options.check || in->op == ZYDIS_MNEMONIC_DIV || in->op == ZYDIS_MNEMONIC_IDIV)
        return FLAGS_ARITH;
    if (in->flags & INSN_SYSTEM)
        return system_is_quiet(t, in) || in->op == ZYDIS_MNEMONIC_RDTSC ? live : FLAGS_ARITH;
    if (in->flags & INSN_BRANCH) {
        if (in->opd[0].kind != OPD_REL || in->op == ZYDIS_MNEMONIC_RET)
            return FLAGS_ARITH;
        if (in->op == ZYDIS_MNEMONIC_JMP || in->op == ZYDIS_MNEMONIC_CALL)
            return live;
        target = t->pc[i] + in->len + in->imm;
        if (t->pc[i + 1] == target)
            target = t->pc[i] + in->len;
        return FLAGS_ARITH & (in->eflags_read | live | flow_live(t, target));
    }
    return (live & ~(in->eflags_write & ~kept)) | (in->eflags_read & ~kept & FLAGS_ARITH);
}

/* What is live at the end is what is live at the head: twice round the loop. */
static void path_liveness(struct build *t)
{
    t->live[t->n] = FLAGS_ARITH;
    for (u32 round = 0; round < (t->trace->path->loop ? 2 : 1); round++) {
        for (u32 i = t->n; i--;)
            t->live[i] = path_live_before(t, i);
        if (!t->g->options.check && t->trace->path->loop)
            t->live[t->n] = t->live[0];
    }
}

/* Its slots; false: all are taken.  Whoever drops the trace gives them back (make_trace). */
static bool path_slots(struct build *t)
{
    struct tracer *tr = t->trace;

    for (u32 k = 0; k < tr->ngroup; k++) {
        if (tr->group[k].class == GROUP_LOOK &&
            (tr->group[k].uses == 1 || tr->group[k].reg != NO_REG))
            continue; /* by itself, or in a register */
        if (t->g->nslot == TRACE_SLOTS)
            return false;
        tr->group[k].slot = t->g->nslot++;
    }
    if (t->g->nslot == TRACE_SLOTS)
        return false;
    tr->bound = t->g->nslot++;
    return true;
}

bool trace_analyse(struct build *t)
{
    path_values(t);
    path_homes(t);
    path_groups(t);
    path_leader(t);
    path_checks(t);
    path_hold(t);
    path_liveness(t);
    return path_slots(t);
}
