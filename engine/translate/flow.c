/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Branches.  Direct ones inside a page become jumps that are patched to their target's block
 * when that is first reached; all others look the guest pc up in the jump cache.  Every cycle
 * of control flow has a backward or an indirect branch in it: those poll for requests.
 */
#include "engine/translate/build.h"

#define AT(m) offsetof(struct vcpu, m)
enum { JUMP_SHIFT = 4 };
_Static_assert(sizeof(struct jump) == 1 << JUMP_SHIFT, "index arithmetic below");

static u64 flow_pc(const struct build *t, u64 pc)
{
    u32 size = t->mode & MODE_SIZE;

    return size == X86_MODE64 ? pc : size == X86_MODE32 ? (u32)pc : (u16)pc;
}

u64 flow_target(const struct build *t, u32 i)
{
    return flow_pc(t, t->pc[i + 1] + t->in[i].imm);
}

void flow_poll(struct build *t, enum late_kind kind, u32 exit)
{
    struct emit *e = &t->e;

    x_gs_op(e, 0x83, 7, AT(c.pending)); /* cmp dword, 0 */
    x_u8(e, 0);
    late_add(t, kind, x_jump(e, X_JNE))->a = (u8)exit;
}

static size_t jump_table(const struct build *t)
{
    return AT(jumps) + jump_first(mode_slot(t->mode)) * sizeof(struct jump);
}

/* r10: the pc that code goes to now. */
static void flow_page(struct build *t)
{
    if (!is_moving(t))
        return;
    x_alu_imm(&t->e, 4, X_W, R10, -PAGE);
    x_store(&t->e, AT(page), R10);
}

/* Calls are counted in kernels only: user code that computes runs directly. */
static bool flow_is_call(const struct build *t)
{
    return t->in[t->i].op == ZYDIS_MNEMONIC_CALL && !(t->mode & MODE_USER);
}

/* Counts a backward jump or a call; now and then C is called, to make a trace of what follows. */
static void flow_heat(struct build *t, u64 pc, u32 exit, bool far)
{
    u64 at = far ? pc : (t->b->gpa & -(u64)PAGE) | (pc & (PAGE - 1));
    u32 heat = (at * 0x9e3779b97f4a7c15ull) >> 40 & (HEAT_SIZE - 1);
    struct late *l;

    if (t->trace || t->g->options.no_traces || t->g->options.check || !is_code64(t))
        return;
    x_gs_op(&t->e, 0x83, 5, AT(heat) + 4 * heat); /* sub dword, 1 */
    x_u8(&t->e, 1);
    l = late_add(t, LATE_HOT, x_jump(&t->e, X_JB));
    l->a = (u8)exit;
    l->b = far;
    l->value = heat;
}

static bool flow_is_back(const struct build *t, u64 pc)
{
    return (i64)(pc - t->pc[t->i]) <= 0;
}

/* To the guest pc in r10, by the jump cache.  Flags must be in memory or dead. */
void flow_indirect(struct build *t)
{
    struct emit *e = &t->e;
    size_t table = jump_table(t);
    struct xmem pc = x_gs_at(R11, (i32)(table + offsetof(struct jump, pc)));
    struct xmem host = x_gs_at(R11, (i32)(table + offsetof(struct jump, host)));

    flow_poll(t, LATE_INDIRECT, 0);
    x_mov32(e, R11, R10);
    x_alu_imm(e, 4, 0, R11, (i32)jump_mask(mode_slot(t->mode)));
    x_shift(e, 4, 0, R11, JUMP_SHIFT);
    x_mem(e, 0x3b | X_W, R10, &pc);
    late_add(t, LATE_INDIRECT, x_jump(e, X_JNE));
    flow_page(t);
    x_mem(e, 0xff, 4, &host);
}

/* The same to a pc known now, in another page. */
static void flow_far_edge(struct build *t, u64 pc)
{
    struct emit *e = &t->e;
    size_t entry = jump_table(t) + (pc & jump_mask(mode_slot(t->mode))) * sizeof(struct jump);

    flags_free(t, FLAGS_ARITH);
    operand_load_pc(t, R10, pc);
    if (is_moving(t)) {
        flow_indirect(t);
        return;
    }
    if (flow_is_back(t, pc))
        flow_poll(t, LATE_INDIRECT, 0);
    if (flow_is_back(t, pc) || flow_is_call(t))
        flow_heat(t, pc, 0, true);
    x_gs_op(e, 0x3b | X_W, R10, entry + offsetof(struct jump, pc));
    late_add(t, LATE_INDIRECT, x_jump(e, X_JNE));
    x_gs_op(e, 0xff, 4, entry + offsetof(struct jump, host));
}

static bool flow_same_page(const struct build *t, u64 pc)
{
    u64 page = t->b->pc - (t->b->gpa & (PAGE - 1));

    return pc - page < PAGE && !t->b->gpa2 &&
           t->nexit < (t->trace ? TRACE_EXITS - 1u : BLOCK_EXITS);
}

/* The instruction behind the block is not in it because it reaches into the next page. */
static bool flow_is_end(const struct build *t, u64 pc)
{
    return pc == t->pc[t->n] && pc - t->b->pc + 15 > t->ncode;
}

static void flow_align(struct emit *e, u32 opcode_bytes)
{
    static const u8 nops[4][3] = { { 0 }, { 0x90 }, { 0x66, 0x90 }, { 0x0f, 0x1f, 0x00 } };
    u32 n = -((u32)(uintptr_t)e->p + opcode_bytes) & 3;

    x_bytes(e, nops[n], n);
}

/* A jump of kind op (X_JMP or a condition) that is patched when its target is known. */
static void flow_direct(struct build *t, u32 op, u64 pc)
{
    struct block_exit *x = &t->exits[t->nexit];
    struct late *l;

    flow_align(&t->e, op == X_JMP ? 1 : 2);
    *x = (struct block_exit){ .pc = pc, .host_flags = t->flags != FLAGS_MEMORY };
    x->rel = x_jump(&t->e, op);
    l = late_add(t, LATE_EXIT, x->rel);
    l->a = (u8)t->nexit++;
    l->flags = (u8)(t->flags == FLAGS_BOTH ? FLAGS_MEMORY : t->flags);
}

void flow_edge(struct build *t, u64 pc)
{
    if (!flow_same_page(t, pc) || flow_is_end(t, pc)) {
        flow_far_edge(t, pc);
        return;
    }
    if (flow_is_back(t, pc)) {
        flags_free(t, flow_live(t, pc));
        flow_poll(t, LATE_POLL, t->nexit);
        flow_heat(t, pc, t->nexit, false);
    } else if (flow_is_call(t)) {
        flow_heat(t, pc, t->nexit, false);
    }
    flow_direct(t, X_JMP, pc);
}

/* jcc: on its condition in host flags to pc, else on with the block. */
void flow_jump_if(struct build *t, u32 jcc, u64 pc)
{
    if (flow_same_page(t, pc) && !flow_is_end(t, pc) && !flow_is_back(t, pc))
        flow_direct(t, jcc, pc);
    else
        late_add(t, LATE_EDGE, x_jump(&t->e, jcc))->value = pc;
}

/* jrcxz and loop leave the flags alone, so they are used as they are. */
static bool flow_count(struct build *t, const struct x86_insn *in)
{
    struct emit *e = &t->e;
    bool loop = in->op == ZYDIS_MNEMONIC_LOOP;
    u8 *skip;

    if (in->asize == 2)
        return false;
    if (loop)
        x_mem(e, in->asize == 8 ? 0x8d | X_W : 0x8d, RCX,
              &(struct xmem){ .base = RCX, .index = X_NONE, .disp = -1 });
    if (in->asize == 4)
        x_u8(e, 0x67);
    x_u8(e, 0xe3);
    x_u8(e, 0);
    skip = e->p;
    if (!loop) {
        x_u8(e, 0xeb);
        x_u8(e, 5);
    }
    if (!e->full)
        skip[-1] = (u8)(e->p - skip) + (loop ? 5 : 0);
    late_add(t, LATE_EDGE, x_jump(e, X_JMP))->value = flow_target(t, t->i);
    return true;
}

/* Target in r10, from a register or memory. */
void flow_load_target(struct build *t, const struct x86_insn *in)
{
    struct emit *e = &t->e;

    if (in->mem != X86_NOREG) {
        struct access a;
        struct xmem m;

        operand_of(t, in, &a);
        m = operand_check(t, &a);
        x_mem(e, is_code64(t) ? 0x8b | X_W : in->osize == 2 ? 0x0fb7 : 0x8b, R10, &m);
    } else {
        operand_load_gpr(t, R10, in->opd[0].reg);
        if (in->osize == 4)
            x_mov32(e, R10, R10);
        else if (in->osize == 2)
            x_reg(e, 0x0fb7, R10, R10);
    }
}

bool flow_near_size(const struct build *t, const struct x86_insn *in)
{
    static const u8 size[] = { 2, 4, 8 };

    return in->osize == size[t->mode & MODE_SIZE];
}

static bool flow_jump(struct build *t, const struct x86_insn *in)
{
    t->ended = true;
    if (in->opd[0].kind == OPD_REL) {
        flow_edge(t, flow_target(t, t->i));
        return true;
    }
    flags_free(t, FLAGS_ARITH);
    flow_load_target(t, in);
    flow_indirect(t);
    return true;
}

static bool flow_call(struct build *t, const struct x86_insn *in)
{
    bool direct = in->opd[0].kind == OPD_REL;

    flags_free(t, FLAGS_ARITH);
    if (!direct) {
        flow_load_target(t, in);
        x_store(&t->e, AT(keep[1]), R10);
    }
    stack_push_const(t, flow_pc(t, t->pc[t->i + 1]), in->osize, true);
    t->ended = true;
    if (direct) {
        flow_edge(t, flow_target(t, t->i));
        return true;
    }
    x_load(&t->e, R10, AT(keep[1]));
    flow_indirect(t);
    return true;
}

static bool flow_ret(struct build *t, const struct x86_insn *in)
{
    struct access a = { .seg = SEG_SS,
                        .base = RSP,
                        .index = X86_NOREG,
                        .size = in->osize,
                        .asize = is_code64(t)             ? 8
                                 : t->mode & MODE_STACK16 ? 2
                                                          : 4 };
    struct xmem m;

    flags_free(t, FLAGS_ARITH);
    m = operand_check(t, &a);
    x_mem(&t->e, in->osize == 8 ? 0x8b | X_W : in->osize == 4 ? 0x8b : 0x0fb7, R10, &m);
    if (!is_code64(t)) /* a 16-bit stack takes r10 to move */
        x_store(&t->e, AT(keep[1]), R10);
    stack_move(t, (i32)(in->osize + (in->at_imm != 0xff ? (u16)in->imm : 0)));
    if (!is_code64(t))
        x_load(&t->e, R10, AT(keep[1]));
    t->ended = true;
    flow_indirect(t);
    return true;
}

bool flow_insn(struct build *t, const struct x86_insn *in)
{
    if (!flow_near_size(t, in))
        return false;
    switch (in->op) {
    case ZYDIS_MNEMONIC_JMP:
        return flow_jump(t, in);
    case ZYDIS_MNEMONIC_CALL:
        return flow_call(t, in);
    case ZYDIS_MNEMONIC_RET:
        return flow_ret(t, in);
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_JCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
    case ZYDIS_MNEMONIC_JRCXZ:
        return flow_count(t, in);
    default:
        break;
    }
    if (in->opd[0].kind != OPD_REL || in->map > 1 ||
        (in->map == 0 ? (in->opcode & 0xf0) != 0x70 : (in->opcode & 0xf0) != 0x80))
        return false;
    flags_want(t);
    flow_jump_if(t, 0x0f80 | (in->opcode & 15), flow_target(t, t->i));
    return true;
}
