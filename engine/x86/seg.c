/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Segmentation: logical to linear addresses, descriptors and the loading of data segments.
 * Intel SDM volume 3A chapters 3 and 5.
 */
#include "engine/x86/atomic_int.h"
#include "engine/x86/x86_int.h"

void x86_raise_sel(struct x86_cpu *c, u8 vector, u16 sel)
{
    x86_raise_code(c, vector, (sel & ~3u) | c->external);
}

void x86_raise_zero(struct x86_cpu *c, u8 vector)
{
    x86_raise_code(c, vector, c->external);
}

void x86_mode_changed(struct x86_cpu *c)
{
    if (c->hooks && c->hooks->mode)
        c->hooks->mode(c);
}

bool x86_canonical(const struct x86_cpu *c, u64 lin)
{
    u32 unused = c->s.cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

    return (u64)((i64)(lin << unused) >> unused) == lin;
}

/* ---- addresses ---- */

static bool seg_may(const struct x86_cpu *c, const struct x86_segment *g, u8 seg, bool write)
{
    u32 type = g->attr & ATTR_TYPE;

    if (!(c->s.cr0 & CR0_PE) || x86_v86(&c->s))
        return true;
    if (g->attr & ATTR_UNUSABLE)
        return false;
    if (type & TYPE_CODE)
        return !write && ((type & TYPE_RW) || seg == X86_NOREG);
    return !write || (type & TYPE_RW);
}

static bool seg_within(const struct x86_segment *g, u64 off, u32 n)
{
    u64 last;

    if (!add_ok(&last, off, n - 1))
        return false;
    if ((g->attr & (TYPE_CODE | TYPE_DOWN)) == TYPE_DOWN) /* expands down */
        return off > g->limit && last <= (g->attr & ATTR_DB ? 0xffffffffull : 0xffff);
    return last <= g->limit;
}

/* SDM volume 3, table 6-7: numbers of ten bytes want to lie as those of eight. */
void x86_check_aligned(struct x86_cpu *c, u64 lin, u32 n)
{
    u32 align = n == 10 ? 8 : n;

    if ((c->s.cr0 & CR0_AM) && (c->s.rflags & FLAG_AC) && x86_cpl(&c->s) == 3 &&
        (align == 2 || align == 4 || align == 8) && (lin & (align - 1)))
        x86_raise_code(c, VEC_AC, 0);
}

static u64 seg_linear(struct x86_cpu *c, const struct x86_segment *g, u8 seg, u64 off, u32 n,
                      bool write)
{
    if (!seg_may(c, g, seg, write) || !seg_within(g, off, n))
        x86_raise_zero(c, seg == SEG_SS ? VEC_SS : VEC_GP);
    return (u32)(g->base + off);
}

u64 x86_linear(struct x86_cpu *c, u8 seg, u64 off, u32 n, bool write)
{
    u64 lin;

    if (x86_code64(&c->s)) {
        lin = seg == SEG_FS || seg == SEG_GS ? c->s.seg[seg].base + off : off;
        if (!x86_canonical(c, lin) || !x86_canonical(c, lin + n - 1))
            x86_raise_zero(c, seg == SEG_SS ? VEC_SS : VEC_GP);
    } else {
        lin = seg_linear(c, &c->s.seg[seg], seg, off, n, write);
    }
    x86_check_aligned(c, lin, n);
    return lin;
}

/* ---- descriptors ---- */

struct x86_segment x86_descriptor_segment(const struct x86_descriptor *d)
{
    u64 v = d->low;
    u32 limit = (u32)((v & 0xffff) | (v >> 32 & 0xf0000));
    struct x86_segment g = {
        .base = (v >> 16 & 0xffffff) | (v >> 32 & 0xff000000),
        .limit = limit,
        .attr = (u32)(v >> 40 & 0xf0ff),
        .sel = d->sel,
    };

    if (g.attr & ATTR_G)
        g.limit = limit << 12 | 0xfff;
    if (desc_system(d))
        g.base |= (u64)d->high << 32;
    return g;
}

bool x86_descriptor_read(struct x86_cpu *c, u16 sel, struct x86_descriptor *d)
{
    const struct x86_segment *ldt = &c->s.seg[SEG_LDTR];
    u64 base = c->s.gdtr.base;
    u32 limit = c->s.gdtr.limit, off = sel & ~7u;

    if (sel & 4) {
        if (ldt->attr & ATTR_UNUSABLE)
            return false;
        base = ldt->base;
        limit = ldt->limit;
    }
    if (off + 7 > limit)
        return false;
    d->sel = sel;
    d->high = 0;
    d->at = base + off;
    if (!x86_long(&c->s))
        d->at = (u32)d->at;
    d->low = x86_read(c, d->at, 8, ACCESS_SYSTEM);
    return true;
}

void x86_descriptor_get(struct x86_cpu *c, u16 sel, u8 vector, struct x86_descriptor *d)
{
    if (!x86_descriptor_read(c, sel, d))
        x86_raise_sel(c, vector, sel);
}

void x86_descriptor_high(struct x86_cpu *c, struct x86_descriptor *d, u8 vector)
{
    const struct x86_state *s = &c->s;
    u32 limit = d->sel & 4 ? s->seg[SEG_LDTR].limit : s->gdtr.limit;
    u64 v;

    if ((d->sel & ~7u) + 15 > limit)
        x86_raise_sel(c, vector, d->sel);
    v = x86_read(c, d->at + 8, 8, ACCESS_SYSTEM);
    if (v >> 40 & 0x1f)
        x86_raise_sel(c, vector, d->sel);
    d->high = (u32)v;
}

/* Sets (or clears) bits of a descriptor's type in memory: bits at 40-43. */
static void seg_type_change(struct x86_cpu *c, u64 at, u32 set, u32 clear)
{
    u8 *p = x86_host(c, at + 5, 1, true, ACCESS_SYSTEM);

    if (p) {
        if (set)
            __atomic_fetch_or(p, (u8)set, __ATOMIC_SEQ_CST);
        if (clear)
            __atomic_fetch_and(p, (u8)~clear, __ATOMIC_SEQ_CST);
    } else {
        u64 v = x86_read(c, at + 5, 1, ACCESS_SYSTEM);

        x86_write(c, at + 5, 1, (v | set) & ~(u64)clear, ACCESS_SYSTEM);
    }
}

void x86_descriptor_accessed(struct x86_cpu *c, struct x86_descriptor *d)
{
    if (d->low >> 40 & TYPE_ACCESSED)
        return;
    seg_type_change(c, d->at, TYPE_ACCESSED, 0);
    d->low |= (u64)TYPE_ACCESSED << 40;
}

void x86_descriptor_busy(struct x86_cpu *c, const struct x86_descriptor *d, bool busy)
{
    seg_type_change(c, d->at, busy ? 2 : 0, busy ? 0 : 2);
}

/* ---- loading ---- */

struct x86_segment x86_null_segment(u16 sel, u32 dpl)
{
    return (struct x86_segment){ .sel = sel,
                                 .attr = ATTR_UNUSABLE | dpl << ATTR_DPL_SHIFT | ATTR_S | 3 };
}

struct x86_segment x86_stack_segment(struct x86_cpu *c, u16 sel, u32 cpl, u8 vector,
                                     struct x86_descriptor *d)
{
    if (!(sel & ~3)) {
        if (x86_code64(&c->s) && cpl < 3 && (sel & 3) == cpl) {
            d->at = 0;
            return x86_null_segment(sel, cpl);
        }
        x86_raise_sel(c, vector, 0);
    }
    x86_descriptor_get(c, sel, vector, d);
    if ((sel & 3) != cpl || desc_system(d) || desc_is_code(d) || !(desc_type(d) & TYPE_RW) ||
        desc_dpl(d) != cpl)
        x86_raise_sel(c, vector, sel);
    if (!desc_present(d))
        x86_raise_sel(c, VEC_SS, sel);
    x86_descriptor_accessed(c, d);
    return x86_descriptor_segment(d);
}

static struct x86_segment seg_data(struct x86_cpu *c, u16 sel)
{
    struct x86_descriptor d;

    if (!(sel & ~3))
        return x86_null_segment(sel, 0);
    x86_descriptor_get(c, sel, VEC_GP, &d);
    if (desc_system(&d) || (desc_is_code(&d) && !(desc_type(&d) & TYPE_RW)))
        x86_raise_sel(c, VEC_GP, sel);
    if (!desc_conforming(&d) && ((sel & 3u) > desc_dpl(&d) || x86_cpl(&c->s) > desc_dpl(&d)))
        x86_raise_sel(c, VEC_GP, sel);
    if (!desc_present(&d))
        x86_raise_sel(c, VEC_NP, sel);
    x86_descriptor_accessed(c, &d);
    return x86_descriptor_segment(&d);
}

void x86_set_real_segment(struct x86_cpu *c, u8 seg, u16 sel)
{
    struct x86_segment *g = &c->s.seg[seg];

    if (x86_v86(&c->s)) {
        g->limit = 0xffff;
        g->attr = ATTR_P | ATTR_S | ATTR_DPL | 3;
    } else if (g->attr & ATTR_UNUSABLE) {
        g->limit = 0xffff;
        g->attr = ATTR_P | ATTR_S | 3;
    }
    g->sel = sel;
    g->base = (u32)sel << 4;
}

void x86_load_segment(struct x86_cpu *c, u8 seg, u16 sel)
{
    struct x86_descriptor d;

    if (x86_real(&c->s) || x86_v86(&c->s))
        x86_set_real_segment(c, seg, sel);
    else if (seg == SEG_SS)
        c->s.seg[seg] = x86_stack_segment(c, sel, x86_cpl(&c->s), VEC_GP, &d);
    else
        c->s.seg[seg] = seg_data(c, sel);
    if (seg == SEG_SS || !x86_code64(&c->s))
        x86_mode_changed(c);
}

/* ---- stacks ---- */

struct x86_stack x86_stack_here(const struct x86_cpu *c)
{
    return (struct x86_stack){
        .ss = c->s.seg[SEG_SS], .sp = c->s.gpr[RSP], .access = ACCESS_CPL, .flat = x86_code64(&c->s)
    };
}

static u64 stack_mask(const struct x86_stack *k)
{
    return k->flat ? ~0ull : k->ss.attr & ATTR_DB ? 0xffffffff : 0xffff;
}

/* sp with its low part replaced, as far as the stack's width goes. */
static u64 stack_moved(const struct x86_stack *k, u64 sp)
{
    u64 mask = stack_mask(k);

    return mask == 0xffff ? (k->sp & ~mask) | (sp & mask) : sp & mask;
}

static u64 stack_linear(struct x86_cpu *c, const struct x86_stack *k, u64 off, u32 n, bool write)
{
    u64 lin;

    if (k->flat) {
        if (!x86_canonical(c, off) || !x86_canonical(c, off + n - 1))
            x86_raise_code(c, VEC_SS, k->code | c->external);
        lin = off;
    } else {
        if (!seg_may(c, &k->ss, SEG_SS, write) || !seg_within(&k->ss, off, n))
            x86_raise_code(c, VEC_SS, k->code | c->external);
        lin = (u32)(k->ss.base + off);
    }
    if (k->access == ACCESS_CPL)
        x86_check_aligned(c, lin, n);
    return lin;
}

void x86_stack_push(struct x86_cpu *c, struct x86_stack *k, u32 size, u64 val)
{
    u64 sp = (k->sp - size) & stack_mask(k);

    x86_write(c, stack_linear(c, k, sp, size, true), size, val, k->access);
    k->sp = stack_moved(k, sp);
}

u64 x86_stack_peek(struct x86_cpu *c, const struct x86_stack *k, u32 at, u32 size)
{
    u64 sp = (k->sp + at) & stack_mask(k);

    return x86_read(c, stack_linear(c, k, sp, size, false), size, k->access);
}

void x86_stack_drop(struct x86_stack *k, u64 n)
{
    k->sp = stack_moved(k, k->sp + n);
}

void x86_stack_commit(struct x86_cpu *c, const struct x86_stack *k)
{
    c->s.gpr[RSP] = k->sp;
}

void x86_push(struct x86_cpu *c, u64 val, u32 size)
{
    struct x86_stack k = x86_stack_here(c);

    x86_stack_push(c, &k, size, val);
    c->s.gpr[RSP] = k.sp;
}

u64 x86_pop(struct x86_cpu *c, u32 size)
{
    struct x86_stack k = x86_stack_here(c);
    u64 val = x86_stack_peek(c, &k, 0, size);

    x86_stack_drop(&k, size);
    c->s.gpr[RSP] = k.sp;
    return val;
}

void x86_jump_near(struct x86_cpu *c, u64 rip)
{
    if (x86_code64(&c->s) ? !x86_canonical(c, rip) : rip > c->s.seg[SEG_CS].limit)
        x86_raise_zero(c, VEC_GP);
    c->s.rip = rip;
}
