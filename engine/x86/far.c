/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Far jumps, calls and returns, call gates and IRET: Intel SDM volume 3A 5.8, volume 2
 * (JMP, CALL, RET, IRET).  Each reads and checks all that it needs before it changes a
 * segment; task switches are in task.c.
 */
#include "engine/x86/x86_int.h"

void x86_load_cs(struct x86_cpu *c, struct x86_descriptor *d, u32 cpl)
{
    c->s.seg[SEG_CS] = x86_descriptor_segment(d);
    c->s.seg[SEG_CS].sel = (u16)((d->sel & ~3u) | cpl);
}

void x86_check_rip(struct x86_cpu *c, const struct x86_descriptor *cs, u64 rip)
{
    struct x86_segment g = x86_descriptor_segment(cs);

    if (x86_long(&c->s) && desc_long(cs) ? !x86_canonical(c, rip) : rip > g.limit)
        x86_raise_zero(c, VEC_GP);
}

/* ---- the TSS's stacks ---- */

void x86_stack_inner(struct x86_cpu *c, u32 cpl, u16 *sel, u64 *sp)
{
    const struct x86_segment *tr = &c->s.seg[SEG_TR];
    bool wide = tr->attr & 8;
    u32 size = wide ? 4 : 2, off = wide ? 4 + 8 * cpl : 2 + 4 * cpl;

    if (off + 2 * size - 1 > tr->limit)
        x86_raise_sel(c, VEC_TS, tr->sel);
    *sp = x86_read(c, tr->base + off, size, ACCESS_SYSTEM);
    *sel = (u16)x86_read(c, tr->base + off + size, 2, ACCESS_SYSTEM);
}

u64 x86_stack_rsp(struct x86_cpu *c, u32 n)
{
    const struct x86_segment *tr = &c->s.seg[SEG_TR];
    u32 off = 4 + 8 * n;
    u64 sp;

    if (off + 7 > tr->limit)
        x86_raise_sel(c, VEC_TS, tr->sel);
    sp = x86_read(c, tr->base + off, 8, ACCESS_SYSTEM);
    if (!x86_canonical(c, sp))
        x86_raise_zero(c, VEC_SS);
    return sp;
}

/* ---- jumps and calls ---- */

static void far_real(struct x86_cpu *c, u16 sel, u64 off)
{
    if (off > c->s.seg[SEG_CS].limit)
        x86_raise_code(c, VEC_GP, 0);
    x86_set_real_segment(c, SEG_CS, sel);
    c->s.rip = off;
    x86_mode_changed(c);
}

static void far_bad_long(struct x86_cpu *c, const struct x86_descriptor *d)
{
    if (x86_long(&c->s) && desc_long(d) && desc_db(d))
        x86_raise_sel(c, VEC_GP, d->sel);
}

/* Straight to a code segment: the level does not change. */
static void far_code_check(struct x86_cpu *c, struct x86_descriptor *d, u64 off)
{
    u32 cpl = x86_cpl(&c->s);

    if (desc_conforming(d) ? desc_dpl(d) > cpl : (d->sel & 3u) > cpl || desc_dpl(d) != cpl)
        x86_raise_sel(c, VEC_GP, d->sel);
    far_bad_long(c, d);
    if (!desc_present(d))
        x86_raise_sel(c, VEC_NP, d->sel);
    x86_check_rip(c, d, off);
    x86_descriptor_accessed(c, d);
}

static void far_code_enter(struct x86_cpu *c, struct x86_descriptor *d, u32 cpl, u64 rip)
{
    x86_load_cs(c, d, cpl);
    c->s.rip = rip;
    x86_mode_changed(c);
}

/* A gate's or TSS descriptor's own level. */
static void far_gate_check(struct x86_cpu *c, const struct x86_descriptor *d)
{
    if (desc_dpl(d) < x86_cpl(&c->s) || desc_dpl(d) < (d->sel & 3u))
        x86_raise_sel(c, VEC_GP, d->sel);
    if (!desc_present(d))
        x86_raise_sel(c, VEC_NP, d->sel);
}

/* Task gate or TSS: true when the selector was one. */
static bool far_task(struct x86_cpu *c, struct x86_descriptor *d, enum x86_task_how how, u64 next)
{
    struct x86_descriptor tss = *d;
    u32 type = desc_type(d);

    if (x86_long(&c->s) || (type != DESC_TASK && type != DESC_TSS16 && type != DESC_TSS))
        return false;
    far_gate_check(c, d);
    if (type == DESC_TASK) {
        u16 sel = (u16)(d->low >> 16);

        if (sel & 4)
            x86_raise_sel(c, VEC_GP, sel);
        x86_descriptor_get(c, sel, VEC_GP, &tss);
        if (!desc_system(&tss) || (desc_type(&tss) & 7) != DESC_TSS16)
            x86_raise_sel(c, VEC_GP, sel);
        if (!desc_present(&tss))
            x86_raise_sel(c, VEC_NP, sel);
    }
    x86_task_switch(c, &tss, how, next);
    return true;
}

struct far_gate {
    struct x86_descriptor cs;
    u64 rip;
    u32 size, params; /* bytes of a stack slot; parameters to copy */
};

static void far_gate(struct x86_cpu *c, struct x86_descriptor *d, struct far_gate *g)
{
    bool is_long = x86_long(&c->s);
    u32 type = desc_type(d);
    u16 sel = (u16)(d->low >> 16);

    if (!desc_system(d) || (type != DESC_CALL && (is_long || type != DESC_CALL16)))
        x86_raise_sel(c, VEC_GP, d->sel);
    far_gate_check(c, d);
    if (is_long)
        x86_descriptor_high(c, d, VEC_GP);
    g->size = is_long ? 8 : type == DESC_CALL ? 4 : 2;
    g->params = is_long ? 0 : d->low >> 32 & 0x1f;
    g->rip = d->low & 0xffff;
    if (type == DESC_CALL)
        g->rip |= d->low >> 32 & 0xffff0000;
    if (is_long)
        g->rip |= (u64)d->high << 32;
    if (!(sel & ~3))
        x86_raise_zero(c, VEC_GP);
    x86_descriptor_get(c, sel, VEC_GP, &g->cs);
    if (!desc_is_code(&g->cs) || desc_dpl(&g->cs) > x86_cpl(&c->s))
        x86_raise_sel(c, VEC_GP, sel);
    if (is_long && (!desc_long(&g->cs) || desc_db(&g->cs)))
        x86_raise_sel(c, VEC_GP, sel);
    if (!desc_present(&g->cs))
        x86_raise_sel(c, VEC_NP, sel);
}

void x86_far_jump(struct x86_cpu *c, u16 sel, u64 off, u64 next)
{
    u32 cpl = x86_cpl(&c->s);
    struct x86_descriptor d;
    struct far_gate g;

    if (x86_real(&c->s) || x86_v86(&c->s)) {
        far_real(c, sel, off);
        return;
    }
    if (!(sel & ~3))
        x86_raise_code(c, VEC_GP, 0);
    x86_descriptor_get(c, sel, VEC_GP, &d);
    if (desc_is_code(&d)) {
        far_code_check(c, &d, off);
        far_code_enter(c, &d, cpl, off);
        return;
    }
    if (desc_system(&d) && far_task(c, &d, TASK_JUMP, next))
        return;
    far_gate(c, &d, &g);
    if (!desc_conforming(&g.cs) && desc_dpl(&g.cs) != cpl)
        x86_raise_sel(c, VEC_GP, g.cs.sel);
    x86_check_rip(c, &g.cs, g.rip);
    x86_descriptor_accessed(c, &g.cs);
    far_code_enter(c, &g.cs, cpl, g.rip);
}

/* Through a call gate to an inner level: a new stack, with the parameters. */
static void far_call_inner(struct x86_cpu *c, struct far_gate *g, u64 next)
{
    u32 cpl = desc_dpl(&g->cs);
    struct x86_stack from = x86_stack_here(c), k = { .flat = x86_long(&c->s) };
    struct x86_descriptor ss;
    u16 sel = (u16)cpl;

    k.access = ACCESS_SYSTEM;
    if (k.flat) {
        k.sp = x86_stack_rsp(c, cpl);
        k.ss = x86_null_segment(sel, cpl);
    } else {
        x86_stack_inner(c, cpl, &sel, &k.sp);
        k.code = sel & ~3u;
        k.ss = x86_stack_segment(c, sel, cpl, VEC_TS, &ss);
    }
    x86_check_rip(c, &g->cs, g->rip);
    x86_descriptor_accessed(c, &g->cs);
    x86_stack_push(c, &k, g->size, c->s.seg[SEG_SS].sel);
    x86_stack_push(c, &k, g->size, c->s.gpr[RSP]);
    for (u32 i = g->params; i-- > 0;)
        x86_stack_push(c, &k, g->size, x86_stack_peek(c, &from, i * g->size, g->size));
    x86_stack_push(c, &k, g->size, c->s.seg[SEG_CS].sel);
    x86_stack_push(c, &k, g->size, next);
    c->s.seg[SEG_SS] = k.ss;
    far_code_enter(c, &g->cs, cpl, g->rip);
    x86_stack_commit(c, &k);
}

static void far_call_push(struct x86_cpu *c, u32 size, u64 next, struct x86_stack *k)
{
    *k = x86_stack_here(c);
    x86_stack_push(c, k, size, c->s.seg[SEG_CS].sel);
    x86_stack_push(c, k, size, next);
}

void x86_far_call(struct x86_cpu *c, u16 sel, u64 off, u64 next, u32 osize)
{
    u32 cpl = x86_cpl(&c->s);
    struct x86_descriptor d;
    struct x86_stack k;
    struct far_gate g;

    if (x86_real(&c->s) || x86_v86(&c->s)) {
        far_call_push(c, osize, next, &k);
        far_real(c, sel, off);
        x86_stack_commit(c, &k);
        return;
    }
    if (!(sel & ~3))
        x86_raise_code(c, VEC_GP, 0);
    x86_descriptor_get(c, sel, VEC_GP, &d);
    if (desc_is_code(&d)) {
        far_code_check(c, &d, off);
        far_call_push(c, osize, next, &k);
        x86_stack_commit(c, &k);
        far_code_enter(c, &d, cpl, off);
        return;
    }
    if (desc_system(&d) && far_task(c, &d, TASK_CALL, next))
        return;
    far_gate(c, &d, &g);
    if (!desc_conforming(&g.cs) && desc_dpl(&g.cs) < cpl) {
        far_call_inner(c, &g, next);
        return;
    }
    x86_check_rip(c, &g.cs, g.rip);
    x86_descriptor_accessed(c, &g.cs);
    far_call_push(c, g.size, next, &k);
    x86_stack_commit(c, &k);
    far_code_enter(c, &g.cs, cpl, g.rip);
}

/* ---- returns ---- */

/* The code segment that a return goes to. */
static void far_ret_code(struct x86_cpu *c, u16 sel, u64 rip, struct x86_descriptor *d)
{
    u32 rpl = sel & 3;

    if (!(sel & ~3))
        x86_raise_code(c, VEC_GP, 0);
    x86_descriptor_get(c, sel, VEC_GP, d);
    if (!desc_is_code(d) || rpl < x86_cpl(&c->s) ||
        (desc_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl))
        x86_raise_sel(c, VEC_GP, sel);
    far_bad_long(c, d);
    if (!desc_present(d))
        x86_raise_sel(c, VEC_NP, sel);
    x86_check_rip(c, d, rip);
    x86_descriptor_accessed(c, d);
}

static struct x86_segment far_ret_stack(struct x86_cpu *c, u16 sel, u32 cpl,
                                        const struct x86_descriptor *cs)
{
    struct x86_descriptor d;

    if (!(sel & ~3)) {
        if (!x86_long(&c->s) || !desc_long(cs) || cpl == 3 || (sel & 3) != cpl)
            x86_raise_code(c, VEC_GP, 0);
        return x86_null_segment(sel, cpl);
    }
    return x86_stack_segment(c, sel, cpl, VEC_GP, &d);
}

/* Data segments that the outer level may not see become null. */
static void far_ret_data(struct x86_cpu *c, u32 cpl)
{
    static const u8 which[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

    for (u32 i = 0; i < LEN(which); i++) {
        struct x86_segment *g = &c->s.seg[which[i]];
        bool conforming = (g->attr & (TYPE_CODE | TYPE_CONFORM)) == (TYPE_CODE | TYPE_CONFORM);

        if (!conforming && (g->attr & ATTR_DPL) >> ATTR_DPL_SHIFT < cpl) {
            u64 base = g->base;

            *g = x86_null_segment(0, 0);
            if (x86_long(&c->s) && which[i] != SEG_ES && which[i] != SEG_DS)
                g->base = base;
        }
    }
}

static void far_ret_sp(struct x86_cpu *c, u64 sp, u64 extra)
{
    struct x86_stack k = x86_stack_here(c);

    if (!k.flat && !(k.ss.attr & ATTR_DB))
        k.sp = (c->s.gpr[RSP] & ~0xffffull) | (sp & 0xffff);
    else
        k.sp = sp;
    x86_stack_drop(&k, extra);
    x86_stack_commit(c, &k);
}

static void far_ret_real(struct x86_cpu *c, u32 osize, u32 extra)
{
    struct x86_stack k = x86_stack_here(c);
    u64 rip = x86_stack_peek(c, &k, 0, osize);
    u16 sel = (u16)x86_stack_peek(c, &k, osize, osize);

    far_real(c, sel, rip);
    x86_stack_drop(&k, 2 * osize + extra);
    x86_stack_commit(c, &k);
}

void x86_far_ret(struct x86_cpu *c, u32 osize, u32 extra)
{
    struct x86_stack k = x86_stack_here(c);
    struct x86_descriptor d;
    struct x86_segment ss;
    u64 rip, sp;
    u16 sel;

    if (x86_real(&c->s) || x86_v86(&c->s)) {
        far_ret_real(c, osize, extra);
        return;
    }
    rip = x86_stack_peek(c, &k, 0, osize);
    sel = (u16)x86_stack_peek(c, &k, osize, osize);
    far_ret_code(c, sel, rip, &d);
    if ((sel & 3u) == x86_cpl(&c->s)) {
        x86_stack_drop(&k, 2 * osize + extra);
        x86_stack_commit(c, &k);
        far_code_enter(c, &d, sel & 3, rip);
        return;
    }
    sp = x86_stack_peek(c, &k, 2 * osize + extra, osize);
    ss = far_ret_stack(c, (u16)x86_stack_peek(c, &k, 3 * osize + extra, osize), sel & 3, &d);
    c->s.seg[SEG_SS] = ss;
    x86_load_cs(c, &d, sel & 3);
    c->s.rip = rip;
    far_ret_sp(c, sp, extra);
    far_ret_data(c, sel & 3);
    x86_mode_changed(c);
}

/* ---- IRET ---- */

enum {
    IRET_ALWAYS = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT,
    IRET_WIDE = FLAG_RF | FLAG_AC | FLAG_ID
};

static void iret_flags(struct x86_cpu *c, u64 val, u64 mask, u32 osize)
{
    if (osize == 2)
        mask &= 0xffff;
    c->s.rflags = (c->s.rflags & ~mask) | (val & mask) | FLAG_ONE;
}

static void iret_real(struct x86_cpu *c, u32 osize)
{
    struct x86_stack k = x86_stack_here(c);
    u64 rip = x86_stack_peek(c, &k, 0, osize), flags = x86_stack_peek(c, &k, 2 * osize, osize);
    u16 sel = (u16)x86_stack_peek(c, &k, osize, osize);
    u64 mask = IRET_ALWAYS | IRET_WIDE | FLAG_IF;

    if (x86_v86(&c->s)) {
        if ((c->s.rflags & FLAG_IOPL) != FLAG_IOPL) {
            bool want = flags & FLAG_IF;

            if (!(c->s.cr4 & CR4_VME) || osize != 2 || (flags & FLAG_TF) ||
                (want && (c->s.rflags & FLAG_VIP)))
                x86_raise_code(c, VEC_GP, 0);
            mask = (mask & ~(u64)FLAG_IF) | FLAG_VIF;
            flags = (flags & 0xffff) | (want ? FLAG_VIF : 0);
            osize = 4; /* VIF is a high bit; the others of the word are what they were */
            mask &= ~(u64)IRET_WIDE;
        }
    } else {
        mask |= FLAG_IOPL;
    }
    far_real(c, sel, rip);
    x86_stack_drop(&k, mask & FLAG_VIF ? 6 : 3 * osize);
    x86_stack_commit(c, &k);
    iret_flags(c, flags, mask, osize);
}

static void iret_task(struct x86_cpu *c, u64 next)
{
    const struct x86_segment *tr = &c->s.seg[SEG_TR];
    struct x86_descriptor tss;
    u16 sel;

    if (x86_long(&c->s))
        x86_raise_code(c, VEC_GP, 0);
    sel = (u16)x86_read(c, tr->base, 2, ACCESS_SYSTEM);
    if ((sel & 4) || !x86_descriptor_read(c, sel, &tss))
        x86_raise_sel(c, VEC_TS, sel);
    if (!desc_system(&tss) || (desc_type(&tss) & 7) != DESC_TSS16_BUSY)
        x86_raise_sel(c, VEC_TS, sel);
    if (!desc_present(&tss))
        x86_raise_sel(c, VEC_NP, sel);
    x86_task_switch(c, &tss, TASK_IRET, next);
}

static void iret_to_v86(struct x86_cpu *c, const struct x86_stack *k, u64 rip, u16 cs, u64 flags)
{
    static const u8 order[] = { SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    u16 sel[LEN(order)];
    u64 sp = x86_stack_peek(c, k, 12, 4);

    for (u32 i = 0; i < LEN(order); i++)
        sel[i] = (u16)x86_stack_peek(c, k, 16 + 4 * i, 4);
    if (rip > 0xffff)
        x86_raise_code(c, VEC_GP, 0);
    c->s.rflags = (flags & 0x3f7fd5) | FLAG_ONE;
    x86_set_real_segment(c, SEG_CS, cs);
    for (u32 i = 0; i < LEN(order); i++)
        x86_set_real_segment(c, order[i], sel[i]);
    c->s.rip = rip;
    c->s.gpr[RSP] = sp;
    x86_mode_changed(c);
}

static void iret_protected(struct x86_cpu *c, u32 osize)
{
    struct x86_stack k = x86_stack_here(c);
    u64 rip = x86_stack_peek(c, &k, 0, osize), flags = x86_stack_peek(c, &k, 2 * osize, osize);
    u16 sel = (u16)x86_stack_peek(c, &k, osize, osize);
    u32 cpl = x86_cpl(&c->s), iopl = c->s.rflags >> 12 & 3;
    u64 sp, mask = IRET_ALWAYS | IRET_WIDE | (cpl <= iopl ? FLAG_IF : 0) |
                   (cpl ? 0 : FLAG_IOPL | FLAG_VIF | FLAG_VIP);
    struct x86_descriptor d;
    struct x86_segment ss;

    if (osize == 4 && (flags & FLAG_VM) && !cpl && !x86_long(&c->s)) {
        iret_to_v86(c, &k, rip, sel, flags);
        return;
    }
    far_ret_code(c, sel, rip, &d);
    if ((sel & 3u) == cpl && !x86_code64(&c->s)) {
        x86_stack_drop(&k, 3 * osize);
        x86_stack_commit(c, &k);
        x86_load_cs(c, &d, cpl);
    } else {
        sp = x86_stack_peek(c, &k, 3 * osize, osize);
        ss = far_ret_stack(c, (u16)x86_stack_peek(c, &k, 4 * osize, osize), sel & 3, &d);
        c->s.seg[SEG_SS] = ss;
        x86_load_cs(c, &d, sel & 3);
        far_ret_sp(c, sp, 0);
        if ((sel & 3u) > cpl)
            far_ret_data(c, sel & 3);
    }
    c->s.rip = rip;
    iret_flags(c, flags, mask, osize);
    x86_mode_changed(c);
}

void x86_iret(struct x86_cpu *c, u32 osize, u64 next)
{
    if (x86_real(&c->s) || x86_v86(&c->s))
        iret_real(c, osize);
    else if (c->s.rflags & FLAG_NT)
        iret_task(c, next);
    else
        iret_protected(c, osize);
    c->s.nmi_blocked = false;
    x86_mode_changed(c);
}
