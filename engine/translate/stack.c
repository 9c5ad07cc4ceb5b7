/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PUSH, POP, LEAVE and the stack pointer; guest rsp is host r9. */
#include "engine/translate/build.h"

#define AT(m) offsetof(struct vcpu, m)

static u8 stack_width(const struct build *t)
{
    return is_code64(t) ? 8 : t->mode & MODE_STACK16 ? 2 : 4;
}

static struct access stack_access(const struct build *t, u8 base, i32 off, u32 size, bool write)
{
    return (struct access){ .seg = SEG_SS,
                            .base = base,
                            .index = X86_NOREG,
                            .disp = off,
                            .asize = stack_width(t),
                            .size = size,
                            .write = write };
}

/* rsp += by, without flags; destroys r10 with a 16-bit stack. */
void stack_move(struct build *t, i32 by)
{
    struct emit *e = &t->e;

    switch (stack_width(t)) {
    case 8:
        x_lea(e, R9, x_at(R9, by));
        break;
    case 4:
        x_lea32(e, R9, x_at(R9, by));
        break;
    default:
        x_lea32(e, R10, x_at(R9, by));
        x_reg(e, 0x89 | X_66, R10, R9);
    }
}

static u32 stack_store(u32 size)
{
    return size == 8 ? 0x89 | X_W : size == 4 ? 0x89 : 0x89 | X_66;
}

void stack_push_const(struct build *t, u64 val, u32 size, bool pc)
{
    struct access a = stack_access(t, RSP, -(i32)size, size, true);
    struct emit *e = &t->e;
    struct xmem m = operand_check(t, &a);

    if (pc && is_moving(t)) {
        m = operand_fold(t, m);
        operand_load_pc(t, R10, val);
        x_mem(e, stack_store(8), R10, &m);
    } else if (size == 8 && (i64)val != (i32)val) {
        m = operand_fold(t, m);
        x_mov_imm(e, R10, val);
        x_mem(e, stack_store(8), R10, &m);
    } else {
        x_mem(e, size == 8 ? 0xc7 | X_W : size == 4 ? 0xc7 : 0xc7 | X_66, 0, &m);
        if (size == 2)
            x_u16(e, (u16)val);
        else
            x_u32(e, (u32)val);
    }
    stack_move(t, -(i32)size);
}

static void stack_push_reg(struct build *t, u32 reg, u32 size)
{
    struct access a = stack_access(t, RSP, -(i32)size, size, true);
    struct xmem m = operand_check(t, &a);

    if (is_evicted(t, reg)) {
        m = operand_fold(t, m);
        x_load(&t->e, R10, gpr_at(reg));
    }
    x_mem(&t->e, stack_store(size), is_evicted(t, reg) ? R10 : host_of(t, reg), &m);
    stack_move(t, -(i32)size);
}

static void stack_push_mem(struct build *t, const struct x86_insn *in, u32 size)
{
    struct access from, to = stack_access(t, RSP, -(i32)size, size, true);
    struct emit *e = &t->e;
    struct xmem m;

    operand_of(t, in, &from);
    m = operand_check(t, &from);
    x_mem(e, size == 8 ? 0x8b | X_W : size == 4 ? 0x8b : 0x0fb7, R10, &m);
    x_store(e, AT(keep[1]), R10);
    m = operand_fold(t, operand_check(t, &to));
    x_load(e, R10, AT(keep[1]));
    x_mem(e, stack_store(size), R10, &m);
    stack_move(t, -(i32)size);
}

/* ---- groups: one check for registers that are pushed or popped in a row ---- */

enum { GROUP_MAX = 16 };

/* How many of PUSH or POP begin here. */
static u32 stack_group(const struct build *t, u16 op)
{
    u32 n = 0;

    while (is_code64(t) && !t->trace && t->i + n < t->n && n < GROUP_MAX) {
        const struct x86_insn *in = &t->in[t->i + n];

        if (in->op != op || in->osize != 8 || in->opd[0].kind != OPD_GPR || in->opd[0].reg == RSP)
            break;
        n++;
    }
    return n;
}

/*
 * Where an instruction inside the group is gone on from, after the first one was interpreted:
 * each by itself, behind the block, then back.
 */
static void stack_alone_later(struct build *t, u32 first, u32 n)
{
    struct late *l = late_add(t, LATE_GROUP, NULL);

    l->insn = (u8)first;
    l->value = n;
    l->back = t->e.p;
}

static void stack_pushes(struct build *t, u32 n)
{
    struct access a = stack_access(t, RSP, -8 * (i32)n, 8 * n, true);
    struct xmem m = operand_check(t, &a);

    m.disp += 8 * (i32)n;
    for (u32 i = 0; i < n; i++) {
        u32 reg = t->in[t->i + i].opd[0].reg;

        m.disp -= 8;
        if (is_evicted(t, reg))
            x_load(&t->e, R10, gpr_at(reg));
        x_mem(&t->e, stack_store(8), is_evicted(t, reg) ? R10 : host_of(t, reg), &m);
    }
    stack_move(t, -8 * (i32)n);
    stack_alone_later(t, t->i + 1, n - 1);
    t->i += n - 1;
}

static void stack_load(struct build *t, u32 reg, const struct xmem *m)
{
    x_mem(&t->e, 0x8b | X_W, is_evicted(t, reg) ? R10 : host_of(t, reg), m);
    if (is_evicted(t, reg))
        x_store(&t->e, gpr_at(reg), R10);
}

/* A return that ends a group of n. */
static bool stack_then_ret(const struct build *t, u32 n)
{
    const struct x86_insn *in = &t->in[t->i + n];

    return t->i + n < t->n && in->op == ZYDIS_MNEMONIC_RET && in->osize == 8 && in->at_imm == 0xff;
}

static void stack_pops(struct build *t, u32 n)
{
    bool ret = stack_then_ret(t, n);
    u32 all = n + (ret ? 1 : 0);
    struct access a = stack_access(t, RSP, 0, 8 * all, false);
    struct xmem m = operand_check(t, &a);

    for (u32 i = 0; i < n; i++) {
        stack_load(t, t->in[t->i + i].opd[0].reg, &m);
        m.disp += 8;
    }
    if (ret)
        x_mem(&t->e, 0x8b | X_W, R10, &m);
    stack_move(t, 8 * (i32)all);
    stack_alone_later(t, t->i + 1, all - 1);
    t->i += all - 1;
    if (ret) {
        t->ended = true;
        flow_indirect(t);
    }
}

static bool stack_push(struct build *t, const struct x86_insn *in)
{
    u32 size = in->osize, n = stack_group(t, ZYDIS_MNEMONIC_PUSH);

    flags_for_access(t);
    if (n > 1)
        stack_pushes(t, n);
    else if (in->mem != X86_NOREG)
        stack_push_mem(t, in, size);
    else if (in->opd[0].kind == OPD_GPR)
        stack_push_reg(t, in->opd[0].reg, size);
    else if (in->opd[0].kind == OPD_IMM)
        stack_push_const(t, in->imm, size, false);
    else
        return false;
    return true;
}

static bool stack_pop(struct build *t, const struct x86_insn *in)
{
    u32 size = in->osize, reg = in->opd[0].reg, op = size == 2 ? 0x8b | X_66 : 0x8b;
    u32 n = stack_group(t, ZYDIS_MNEMONIC_POP);
    struct access a = stack_access(t, RSP, 0, size, false);
    struct emit *e = &t->e;
    struct xmem m;

    if (in->opd[0].kind != OPD_GPR || (reg == RSP && stack_width(t) != 8) ||
        (is_evicted(t, reg) && size != 8))
        return false;
    flags_for_access(t);
    if (n > 1 || (n && stack_then_ret(t, n))) {
        stack_pops(t, n);
        return true;
    }
    m = operand_check(t, &a);
    if (size == 8)
        op |= X_W;
    if (is_evicted(t, reg))
        stack_load(t, reg, &m);
    else
        x_mem(e, op, host_of(t, reg), &m);
    if (reg != RSP)
        stack_move(t, (i32)size);
    return true;
}

static void stack_alone(struct build *t)
{
    const struct x86_insn *in = &t->in[t->i];
    struct access a = stack_access(t, RSP, 0, 8, false);
    struct xmem m;

    if (in->op == ZYDIS_MNEMONIC_PUSH) {
        stack_push_reg(t, in->opd[0].reg, 8);
        return;
    }
    m = operand_check(t, &a);
    stack_load(t, in->opd[0].reg, &m);
    stack_move(t, 8);
}

void stack_late(struct build *t, const struct late *l)
{
    for (u32 i = 0; i < l->value; i++) {
        t->i = l->insn + i;
        t->flags = FLAGS_MEMORY;
        t->b->host[t->i] = (u32)(build_home(t) - t->g->rw);
        if (t->in[t->i].op == ZYDIS_MNEMONIC_RET) {
            flow_insn(t, &t->in[t->i]);
            return;
        }
        stack_alone(t);
    }
    x_jump_to(&t->e, X_JMP, l->back);
}

static bool stack_leave(struct build *t, const struct x86_insn *in)
{
    struct access a = stack_access(t, RBP, 0, in->osize, false);
    struct emit *e = &t->e;
    struct xmem m;
    u32 w = in->osize == 8 ? X_W : 0;

    if (in->osize != stack_width(t) || in->osize == 2)
        return false;
    flags_for_access(t);
    m = operand_check(t, &a);
    x_mem(e, 0x8b | w, R10, &m);
    x_mem(e, 0x8d | w, R9, &(struct xmem){ .base = RBP, .index = X_NONE, .disp = in->osize });
    x_reg(e, 0x89 | w, R10, RBP);
    return true;
}

bool stack_insn(struct build *t, const struct x86_insn *in)
{
    switch (in->op) {
    case ZYDIS_MNEMONIC_PUSH:
        return stack_push(t, in);
    case ZYDIS_MNEMONIC_POP:
        return stack_pop(t, in);
    case ZYDIS_MNEMONIC_LEAVE:
        return stack_leave(t, in);
    default:
        return false;
    }
}
