/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory operand of translated code: effective and linear address, the look-up in the
 * soft TLB, and what the host instruction uses instead.  A miss goes to C, which fills the
 * entry and comes back to the start of the check, or interprets the whole instruction.
 */
#include "engine/translate/build.h"

#define AT(m) offsetof(struct vcpu, m)
enum { ENTRY_SHIFT = 5 }; /* sizeof(struct tlb_entry) */
_Static_assert(sizeof(struct tlb_entry) == 1 << ENTRY_SHIFT, "index arithmetic below");

void operand_load_gpr(struct build *t, u32 to, u32 gpr)
{
    if (is_evicted(t, gpr))
        x_load(&t->e, to, gpr_at(gpr));
    else
        x_mov(&t->e, to, host_of(t, gpr));
}

void operand_load_pc(struct build *t, u32 to, u64 pc)
{
    if (is_moving(t)) {
        i64 off = (i64)pc;
        i32 first = (i32)(off > INT32_MAX ? INT32_MAX : off < INT32_MIN ? INT32_MIN : off);

        x_load(&t->e, to, AT(page));
        x_lea(&t->e, to, x_at((int)to, first));
        if (off != first) /* 2 GiB from near the page's end, or from another page of a trace */
            x_lea(&t->e, to, x_at((int)to, (i32)(off - first)));
    } else {
        x_mov_imm(&t->e, to, pc);
    }
}

void operand_of(const struct build *t, const struct x86_insn *in, struct access *a)
{
    const struct x86_operand *o = &in->opd[in->mem];

    *a = (struct access){ .seg = in->seg,
                          .base = in->base,
                          .index = in->index,
                          .scale = (u8)__builtin_ctz(in->scale),
                          .asize = in->asize,
                          .disp = in->disp,
                          .size = o->size,
                          .write = o->access & OPD_WRITE };
    if (in->base == X86_RIP) {
        a->base = X86_NOREG;
        a->disp += (i64)(t->pc[t->i] + in->len);
        a->page = is_moving(t);
    }
}

/* Host registers of base and index, evicted ones loaded: base into r10, index into r11. */
struct xmem operand_host(struct build *t, const struct access *a)
{
    struct xmem m = { .base = X_NONE, .index = X_NONE, .scale = a->scale, .disp = (i32)a->disp };

    if (a->base != X86_NOREG) {
        m.base = (i8)(is_evicted(t, a->base) ? R10 : host_of(t, a->base));
        if (is_evicted(t, a->base))
            x_load(&t->e, R10, gpr_at(a->base));
    }
    if (a->index != X86_NOREG) {
        m.index = (i8)(is_evicted(t, a->index) ? R11 : host_of(t, a->index));
        if (is_evicted(t, a->index))
            x_load(&t->e, R11, gpr_at(a->index));
    }
    return m;
}

void operand_address(struct build *t, const struct access *a)
{
    struct emit *e = &t->e;

    if (a->page) {
        operand_load_pc(t, R10, (u64)a->disp);
        if (a->asize == 4)
            x_mov32(e, R10, R10);
        return;
    }
    if (a->base == X86_NOREG && a->index == X86_NOREG) {
        u64 at = (u64)a->disp;

        x_mov_imm(e, R10, a->asize == 8 ? at : a->asize == 4 ? (u32)at : (u16)at);
        return;
    }
    if (a->asize == 8) {
        x_lea(e, R10, operand_host(t, a));
    } else {
        x_lea32(e, R10, operand_host(t, a));
        if (a->asize == 2)
            x_reg(e, 0x0fb7, R10, R10); /* movzx r10d, r10w */
    }
}

static void operand_miss(struct build *t, u8 *from, const struct access *a, u8 *retry)
{
    struct late *l = late_add(t, LATE_MISS, from);

    l->a = (u8)a->size;
    l->b = a->write;
    l->retry = retry;
}

static i32 table_at(const struct build *t, bool write)
{
    return (i32)(AT(tlb) + t->set * sizeof(struct tlb_entry) * TLB_SIZE +
                 (write ? offsetof(struct tlb_entry, write) : 0));
}
static i32 addend_at(const struct build *t)
{
    return table_at(t, false) + (i32)offsetof(struct tlb_entry, addend);
}

/* r10: page of the last byte, r11: place of the first byte's entry; then r11: addend. */
static void operand_compare(struct build *t, const struct access *a, u8 *retry)
{
    struct xmem tag = x_gs_at(R11, table_at(t, a->write)), addend = x_gs_at(R11, addend_at(t));
    u8 *miss;

    x_mem(&t->e, 0x3b | X_W, R10, &tag);
    miss = x_jump(&t->e, X_JNE);
    operand_miss(t, miss, a, retry);
    x_mem(&t->e, 0x8b | X_W, R11, &addend);
}
static void operand_index(struct build *t)
{
    x_shift(&t->e, 5, 0, R11, 12 - ENTRY_SHIFT);
    x_alu_imm(&t->e, 4, 0, R11, (TLB_SIZE - 1) << ENTRY_SHIFT);
}

static u64 operand_const(const struct access *a)
{
    return a->asize == 8 ? (u64)a->disp : a->asize == 4 ? (u32)a->disp : (u16)a->disp;
}

/* An address known now, all of it in one page: the entry is known too. */
static struct xmem operand_check_const(struct build *t, const struct access *a)
{
    struct emit *e = &t->e;
    u64 at = operand_const(a);
    u64 page = at & -(u64)PAGE;
    i32 entry = (i32)(at >> 12 & (TLB_SIZE - 1)) << ENTRY_SHIFT;
    bool near = (i64)at == (i32)at;
    u8 *retry = e->p, *miss;
    struct late *l;

    if (near) {
        x_gs_op(e, 0x81 | X_W, 7, (size_t)(table_at(t, a->write) + entry));
        x_u32(e, (u32)page);
    } else {
        x_mov_imm(e, R10, page);
        x_gs_op(e, 0x3b | X_W, R10, (size_t)(table_at(t, a->write) + entry));
    }
    miss = x_jump(e, X_JNE);
    l = late_add(t, LATE_MISS_AT, miss);
    l->a = (u8)a->size;
    l->b = a->write;
    l->value = page;
    l->retry = retry;
    x_gs_op(e, 0x8b | X_W, R11, (size_t)(addend_at(t) + entry));
    if (near)
        return x_at(R11, (i32)at);
    return (struct xmem){ .base = R10, .index = R11, .disp = (i32)(at & (PAGE - 1)) };
}

/* Legacy modes: limit, then base. */
static void operand_segment(struct build *t, const struct access *a)
{
    struct emit *e = &t->e;
    size_t base =
        AT(c.s.seg) + a->seg * sizeof(struct x86_segment) + offsetof(struct x86_segment, base);

    if (is_code64(t)) {
        if (a->seg == SEG_FS || a->seg == SEG_GS)
            x_gs_op(e, 0x03 | X_W, R10, base);
        return;
    }
    if (t->mode & MODE_FLAT && (a->seg == SEG_DS || a->seg == SEG_SS || a->seg == SEG_ES))
        return;
    x_lea(e, R11, x_at(R10, (i32)a->size - 1));
    x_gs_op(e, 0x3b | X_W, R11, (a->write ? AT(seg_write) : AT(seg_read)) + 8u * a->seg);
    late_add(t, LATE_MISS, x_jump(e, X_JG))->b = 2;
    x_gs_op(e, 0x03, R10, base);
}

/* r10: linear address.  Checks, and leaves it in r10. */
struct xmem operand_check_linear(struct build *t, const struct access *a, u8 *retry)
{
    struct emit *e = &t->e;

    x_store(e, AT(keep[0]), R10);
    x_mov32(e, R11, R10);
    operand_index(t);
    if (a->size > 1)
        x_alu_imm(e, 0, X_W, R10, (i32)a->size - 1);
    x_alu_imm(e, 4, X_W, R10, -PAGE);
    operand_compare(t, a, retry);
    x_load(e, R10, AT(keep[0]));
    return (struct xmem){ .base = R10, .index = R11 };
}

/* Its last byte; false: a displacement does not reach it. */
static bool operand_last(const struct xmem *m, u32 size, struct xmem *last)
{
    *last = *m;
    return !__builtin_add_overflow(m->disp, size - 1, &last->disp);
}

/* Stack accesses look in one cached page first. */
static struct xmem operand_check_stack(struct build *t, const struct access *a)
{
    struct emit *e = &t->e;
    size_t cache = AT(stack) + t->set * sizeof(((struct vcpu *)0)->stack[0]);
    struct xmem m = x_at(R9, (i32)a->disp);
    u8 *retry = e->p;
    struct late *l;

    if (is_code64(t))
        x_lea(e, R10, m);
    else
        x_lea32(e, R10, m);
    x_gs_op(e, 0x33 | X_W, R10, cache);
    x_reg(e, 0x81 | X_W, 7, R10); /* cmp */
    x_u32(e, PAGE - a->size);
    l = late_add(t, LATE_STACK, x_jump(e, X_JA));
    x_load(e, R11, cache + 8);
    l->retry = retry;
    l->back = e->p;
    l->a = (u8)a->size;
    l->b = a->write;
    l->value = (u64)a->disp;
    if (is_code64(t)) {
        m.index = R11;
        return m;
    }
    x_lea32(e, R10, m);
    return (struct xmem){ .base = R10, .index = R11 };
}

void operand_stack_late(struct build *t, const struct late *l)
{
    struct emit *e = &t->e;
    struct xmem first = x_at(R9, (i32)l->value), last;

    operand_last(&first, l->a, &last); /* it was asked */
    x_lea32(e, R11, first);
    if (is_code64(t))
        x_lea(e, R10, last);
    else
        x_lea(e, R10, x_at(R11, l->a - 1));
    x_jump_to(e, X_CALL, t->g->stack_look[t->set][l->b]);
    x_jump_to(e, X_JE, l->back);
    site_emit(t, WHY_MISS, l->insn, l->a, l->b, l->retry);
}

struct xmem operand_check(struct build *t, const struct access *a)
{
    struct emit *e = &t->e;
    bool long_mode = is_code64(t), none = a->base == X86_NOREG && a->index == X86_NOREG;
    bool flat = long_mode ? a->seg != SEG_FS && a->seg != SEG_GS
                          : t->mode & MODE_FLAT &&
                                (a->seg == SEG_DS || a->seg == SEG_SS || a->seg == SEG_ES);
    bool evicted = (a->base != X86_NOREG && is_evicted(t, a->base)) ||
                   (a->index != X86_NOREG && is_evicted(t, a->index));
    struct xmem known, stack = x_at(R9, (i32)a->disp);
    u8 *retry = e->p;

    if (t->trace && trace_operand(t, a, &known))
        return known;
    if (none && flat && !a->page && (operand_const(a) & (PAGE - 1)) + a->size <= PAGE)
        return operand_check_const(t, a);
    if (a->base == RSP && a->index == X86_NOREG && flat && a->size < 256 &&
        a->asize == (long_mode ? 8 : 4) && operand_last(&stack, a->size, &known))
        return operand_check_stack(t, a);
    if (!none && flat && !evicted && a->asize >= 4 && (a->asize == 8) == long_mode) {
        struct xmem m = operand_host(t, a), last;

        if (operand_last(&m, a->size, &last)) {
            x_lea32(e, R11, m);
            if (long_mode)
                x_lea(e, R10, last);
            else if (a->size == 1)
                x_mov32(e, R10, R11);
            else
                x_lea(e, R10, x_at(R11, (i32)a->size - 1));
            operand_index(t);
            x_alu_imm(e, 4, X_W, R10, -PAGE);
            operand_compare(t, a, retry);
            if (long_mode && m.index == X_NONE) {
                m.index = R11;
                m.scale = 0;
                return m;
            }
            if (long_mode)
                x_lea(e, R10, m);
            else
                x_lea32(e, R10, m);
            return (struct xmem){ .base = R10, .index = R11 };
        }
    }
    operand_address(t, a);
    operand_segment(t, a);
    return operand_check_linear(t, a, retry);
}

struct xmem operand_fold(struct build *t, struct xmem m)
{
    if (m.base != R10 && m.index != R10)
        return m;
    x_lea(&t->e, R11, m);
    return x_at(R11, 0);
}
