/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Task switches by the processor: Intel SDM volume 3A chapter 7.  Up to the point where the
 * new task's registers are loaded a fault belongs to the old task; what is wrong with the
 * new task's segments is found in the new task's context.
 */
#include "engine/x86/x86_int.h"

/* Both formats are read into this, and written from it. */
struct task {
    u64 rip, rflags, cr3, gpr[8];
    u16 seg[6], ldt; /* ES CS SS DS FS GS */
    bool trap;
};

enum { TASK_LIMIT = 0x67, TASK_LIMIT16 = 0x2b, DR7_LOCAL = 0x155, DR6_BT = 1 << 15 };

static void task_read(struct x86_cpu *c, u64 base, bool wide, struct task *t)
{
    u32 size = wide ? 4 : 2;
    u64 at = base + (wide ? 0x20 : 0xe);

    t->cr3 = wide ? x86_read(c, base + 0x1c, 4, ACCESS_SYSTEM) : 0;
    t->rip = x86_read(c, at, size, ACCESS_SYSTEM);
    t->rflags = x86_read(c, at + size, size, ACCESS_SYSTEM);
    at += 2 * size;
    for (u32 i = 0; i < 8; i++, at += size)
        t->gpr[i] = x86_read(c, at, size, ACCESS_SYSTEM);
    for (u32 i = 0; i < (wide ? 6 : 4); i++, at += size)
        t->seg[i] = (u16)x86_read(c, at, 2, ACCESS_SYSTEM);
    t->ldt = (u16)x86_read(c, at, 2, ACCESS_SYSTEM);
    t->trap = wide && (x86_read(c, base + 0x64, 2, ACCESS_SYSTEM) & 1);
}

static void task_write(struct x86_cpu *c, u64 base, bool wide, u64 rip, u64 flags)
{
    u32 size = wide ? 4 : 2;
    u64 at = base + (wide ? 0x20 : 0xe);

    x86_write(c, at, size, rip, ACCESS_SYSTEM);
    x86_write(c, at + size, size, flags, ACCESS_SYSTEM);
    at += 2 * size;
    for (u32 i = 0; i < 8; i++, at += size)
        x86_write(c, at, size, c->s.gpr[i], ACCESS_SYSTEM);
    for (u32 i = 0; i < (wide ? 6 : 4); i++, at += size)
        x86_write(c, at, 2, c->s.seg[i].sel, ACCESS_SYSTEM);
}

static void task_load_ldt(struct x86_cpu *c, u16 sel)
{
    struct x86_descriptor d;

    if (!(sel & ~3))
        return;
    if ((sel & 4) || !x86_descriptor_read(c, sel, &d) || !desc_system(&d) ||
        desc_type(&d) != DESC_LDT || !desc_present(&d))
        x86_raise_sel(c, VEC_TS, sel);
    c->s.seg[SEG_LDTR] = x86_descriptor_segment(&d);
}

static void task_load_code(struct x86_cpu *c, u16 sel)
{
    struct x86_descriptor d;

    if (!(sel & ~3))
        x86_raise_zero(c, VEC_TS);
    x86_descriptor_get(c, sel, VEC_TS, &d);
    if (!desc_is_code(&d) ||
        (desc_conforming(&d) ? desc_dpl(&d) > (sel & 3u) : desc_dpl(&d) != (sel & 3u)))
        x86_raise_sel(c, VEC_TS, sel);
    if (!desc_present(&d))
        x86_raise_sel(c, VEC_NP, sel);
    x86_descriptor_accessed(c, &d);
    x86_load_cs(c, &d, sel & 3);
}

static void task_load_data(struct x86_cpu *c, u8 seg, u16 sel)
{
    struct x86_descriptor d;

    if (!(sel & ~3))
        return;
    x86_descriptor_get(c, sel, VEC_TS, &d);
    if (desc_system(&d) || (desc_is_code(&d) && !(desc_type(&d) & TYPE_RW)) ||
        (!desc_conforming(&d) && (desc_dpl(&d) < (sel & 3u) || desc_dpl(&d) < x86_cpl(&c->s))))
        x86_raise_sel(c, VEC_TS, sel);
    if (!desc_present(&d))
        x86_raise_sel(c, VEC_NP, sel);
    x86_descriptor_accessed(c, &d);
    c->s.seg[seg] = x86_descriptor_segment(&d);
}

/* In the new task: its segments.  A fault here is the new task's. */
static void task_segments(struct x86_cpu *c, const struct task *t)
{
    static const u8 data[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };
    struct x86_descriptor d;

    task_load_ldt(c, t->ldt);
    if (x86_v86(&c->s)) {
        for (u8 i = SEG_ES; i <= SEG_GS; i++)
            x86_set_real_segment(c, i, t->seg[i]);
        return;
    }
    task_load_code(c, t->seg[SEG_CS]);
    c->s.seg[SEG_SS] = x86_stack_segment(c, t->seg[SEG_SS], t->seg[SEG_CS] & 3, VEC_TS, &d);
    for (u32 i = 0; i < LEN(data); i++)
        task_load_data(c, data[i], t->seg[data[i]]);
    if (c->s.rip > c->s.seg[SEG_CS].limit)
        x86_raise_zero(c, VEC_GP);
}

/* The new task's registers; segments hold only selectors yet. */
static void task_commit(struct x86_cpu *c, const struct x86_descriptor *tss, const struct task *t,
                        enum x86_task_how how)
{
    struct x86_state *s = &c->s;
    bool wide = desc_type(tss) & 8;

    s->seg[SEG_TR] = x86_descriptor_segment(tss);
    s->seg[SEG_TR].attr |= 2;
    s->cr0 |= CR0_TS;
    s->dr[7] &= ~(u64)DR7_LOCAL;
    if (wide && (s->cr0 & CR0_PG) && s->cr3 != t->cr3) {
        s->cr3 = t->cr3;
        x86_flush(c, s->cr4 & CR4_PGE ? FLUSH_NONGLOBAL : FLUSH_ALL, 0);
    }
    s->rip = t->rip;
    s->rflags = (t->rflags & 0x3f7fd5) | FLAG_ONE;
    if (how == TASK_CALL || how == TASK_EVENT)
        s->rflags |= FLAG_NT;
    for (u32 i = 0; i < 8; i++)
        s->gpr[i] = t->gpr[i];
    for (u32 i = 0; i < 6; i++)
        s->seg[i] = x86_null_segment(t->seg[i], x86_v86(s) ? 3 : t->seg[SEG_CS] & 3);
    s->seg[SEG_LDTR] = x86_null_segment(t->ldt, 0);
    if (t->trap)
        c->debug |= DR6_BT;
    x86_mode_changed(c);
    x86_keep(c);
}

/* Busy bits, the old task's registers and the link: all accesses that may fault come first. */
static void task_leave(struct x86_cpu *c, const struct x86_descriptor *tss, enum x86_task_how how,
                       u64 next)
{
    const struct x86_segment *tr = &c->s.seg[SEG_TR];
    struct x86_descriptor old;
    bool nested = how == TASK_CALL || how == TASK_EVENT, wide = tr->attr & 8;
    u64 flags = c->s.rflags;

    x86_probe_write(c, tr->base, (wide ? TASK_LIMIT : TASK_LIMIT16) + 1, ACCESS_SYSTEM);
    if (nested)
        x86_probe_write(c, x86_descriptor_segment(tss).base, 2, ACCESS_SYSTEM);
    x86_probe_write(c, tss->at, 8, ACCESS_SYSTEM);
    if (!nested && x86_descriptor_read(c, tr->sel & ~4u, &old))
        x86_descriptor_busy(c, &old, false);
    if (how == TASK_IRET)
        flags &= ~(u64)FLAG_NT;
    task_write(c, tr->base, wide, next, flags);
    if (nested)
        x86_write(c, x86_descriptor_segment(tss).base, 2, tr->sel, ACCESS_SYSTEM);
    if (how != TASK_IRET)
        x86_descriptor_busy(c, tss, true);
}

void x86_task_switch(struct x86_cpu *c, struct x86_descriptor *tss, enum x86_task_how how, u64 next)
{
    struct x86_segment g = x86_descriptor_segment(tss);
    bool wide = desc_type(tss) & 8;
    struct task t = { 0 };

    if (g.limit < (wide ? TASK_LIMIT : TASK_LIMIT16))
        x86_raise_sel(c, VEC_TS, tss->sel);
    task_read(c, g.base, wide, &t);
    if (wide)
        x86_load_pdptes(c, t.cr3, c->s.cr0, c->s.cr4);
    task_leave(c, tss, how, next);
    task_commit(c, tss, &t, how);
    task_segments(c, &t);
    x86_mode_changed(c);
}

/* ---- LLDT, LTR ---- */

static void task_system(struct x86_cpu *c, u16 sel, struct x86_descriptor *d)
{
    if (sel & 4)
        x86_raise_sel(c, VEC_GP, sel);
    x86_descriptor_get(c, sel, VEC_GP, d);
    if (!desc_system(d))
        x86_raise_sel(c, VEC_GP, sel);
}

static void task_system_high(struct x86_cpu *c, struct x86_descriptor *d)
{
    if (!desc_present(d))
        x86_raise_sel(c, VEC_NP, d->sel);
    if (!x86_long(&c->s))
        return;
    x86_descriptor_high(c, d, VEC_GP);
    if (!x86_canonical(c, x86_descriptor_segment(d).base))
        x86_raise_sel(c, VEC_GP, d->sel);
}

void x86_load_ldtr(struct x86_cpu *c, u16 sel)
{
    struct x86_descriptor d;

    if (!(sel & ~3)) {
        c->s.seg[SEG_LDTR] = x86_null_segment(sel, 0);
        return;
    }
    task_system(c, sel, &d);
    if (desc_type(&d) != DESC_LDT)
        x86_raise_sel(c, VEC_GP, sel);
    task_system_high(c, &d);
    c->s.seg[SEG_LDTR] = x86_descriptor_segment(&d);
}

void x86_load_tr(struct x86_cpu *c, u16 sel)
{
    struct x86_descriptor d;

    if (!(sel & ~3))
        x86_raise_code(c, VEC_GP, 0);
    task_system(c, sel, &d);
    if (desc_type(&d) != DESC_TSS && (x86_long(&c->s) || desc_type(&d) != DESC_TSS16))
        x86_raise_sel(c, VEC_GP, sel);
    task_system_high(c, &d);
    x86_descriptor_busy(c, &d, true);
    c->s.seg[SEG_TR] = x86_descriptor_segment(&d);
    c->s.seg[SEG_TR].attr |= 2;
}
