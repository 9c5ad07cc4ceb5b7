/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operands: registers by number and size, memory through segment and paging.  A place that
 * is read and written is checked for the write first, as processors do, so a fault says so.
 */
#include "engine/interpret/operand.h"

u64 op_address(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 a = (u64)in->disp;

    if (in->base == X86_RIP)
        a += c->s.rip + in->len;
    else if (in->base != X86_NOREG)
        a += c->s.gpr[in->base];
    if (in->index != X86_NOREG)
        a += c->s.gpr[in->index] * in->scale;
    return a & op_mask(in->asize);
}

u64 op_get(struct x86_cpu *c, const struct x86_insn *in, u32 n)
{
    const struct x86_operand *o = &in->opd[n];

    switch (o->kind) {
    case OPD_GPR:
        return gpr_get(c, o->reg, o->size);
    case OPD_GPR_HIGH:
        return c->s.gpr[o->reg] >> 8 & 0xff;
    case OPD_MEM:
        return x86_read(c, op_linear(c, in, o->size, false), o->size, ACCESS_CPL);
    case OPD_AGEN:
        return op_address(c, in);
    case OPD_SEG:
        return c->s.seg[o->reg].sel;
    default: /* OPD_IMM, OPD_REL */
        return in->imm;
    }
}

void op_put(struct x86_cpu *c, const struct x86_insn *in, u32 n, u64 val)
{
    const struct x86_operand *o = &in->opd[n];

    switch (o->kind) {
    case OPD_GPR:
        gpr_put(c, o->reg, o->size, val);
        break;
    case OPD_GPR_HIGH:
        c->s.gpr[o->reg] = (c->s.gpr[o->reg] & ~0xff00ull) | (val & 0xff) << 8;
        break;
    case OPD_MEM:
        x86_write(c, op_linear(c, in, o->size, true), o->size, val, ACCESS_CPL);
        break;
    default:
        break;
    }
}

/* Inside one page, but not RAM: a device gets one load and one store, lock or not. */
static bool op_is_device(struct x86_cpu *c, u64 lin, u32 size)
{
    return (lin & 0xfff) + size <= 0x1000 && !x86_host(c, lin, size, true, ACCESS_CPL);
}

static u64 update_locked(struct x86_cpu *c, u64 lin, u32 size, u64 b, op_change *fn)
{
    u64 old, expect, want, flags;

    x86_probe_write(c, lin, size, ACCESS_CPL);
    old = x86_read(c, lin, size, ACCESS_CPL);
    do {
        flags = c->s.rflags;
        expect = old;
        old = 0;
        want = fn(expect, b, size, &flags);
    } while (!x86_cmpxchg(c, lin, size, &old, &expect, &want));
    c->s.rflags = flags;
    return expect;
}

u64 op_update_at(struct x86_cpu *c, const struct x86_insn *in, u64 lin, u32 size, u64 b,
                 op_change *fn)
{
    u64 flags = c->s.rflags, old;
    void *p;

    if ((in->flags & INSN_LOCK) && !op_is_device(c, lin, size))
        return update_locked(c, lin, size, b, fn);
    p = x86_host(c, lin, size, true, ACCESS_CPL);
    if (p) {
        old = op_load(p, size);
        op_store(p, size, fn(old, b, size, &flags));
    } else {
        x86_probe_write(c, lin, size, ACCESS_CPL);
        old = x86_read(c, lin, size, ACCESS_CPL);
        x86_write(c, lin, size, fn(old, b, size, &flags), ACCESS_CPL);
    }
    c->s.rflags = flags;
    return old;
}

u64 op_update(struct x86_cpu *c, const struct x86_insn *in, u64 b, op_change *fn)
{
    const struct x86_operand *o = &in->opd[0];
    u64 flags, old;

    if (o->kind == OPD_MEM)
        return op_update_at(c, in, op_linear(c, in, o->size, true), o->size, b, fn);
    flags = c->s.rflags;
    old = op_get(c, in, 0);
    op_put(c, in, 0, fn(old, b, o->size, &flags));
    c->s.rflags = flags;
    return old;
}

u64 op_swap(struct x86_cpu *c, u64 lin, u32 size, u64 v)
{
    u64 old, expect;

    x86_probe_write(c, lin, size, ACCESS_CPL);
    old = x86_read(c, lin, size, ACCESS_CPL);
    if (op_is_device(c, lin, size)) {
        x86_write(c, lin, size, v, ACCESS_CPL);
        return old;
    }
    do {
        expect = old;
        old = 0;
    } while (!x86_cmpxchg(c, lin, size, &old, &expect, &v));
    return old;
}

bool op_condition(u64 f, u32 cc)
{
    bool sf = f & FLAG_SF, of = f & FLAG_OF, yes;

    switch (cc >> 1 & 7) {
    case 0:
        yes = of;
        break;
    case 1:
        yes = f & FLAG_CF;
        break;
    case 2:
        yes = f & FLAG_ZF;
        break;
    case 3:
        yes = f & (FLAG_CF | FLAG_ZF);
        break;
    case 4:
        yes = sf;
        break;
    case 5:
        yes = f & FLAG_PF;
        break;
    case 6:
        yes = sf != of;
        break;
    default:
        yes = (f & FLAG_ZF) || sf != of;
    }
    return yes != (cc & 1);
}
