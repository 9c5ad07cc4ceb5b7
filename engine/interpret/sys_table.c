/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptor tables, segments and their bases: Intel SDM volume 2. */
#include "engine/interpret/sys_int.h"
#include <Zydis/Mnemonic.h>

static u64 table_at(struct x86_cpu *c, const struct x86_insn *in, u32 off, u32 n, bool write)
{
    u64 mask = in->asize == 8 ? ~0ull : in->asize == 4 ? 0xffffffff : 0xffff;

    return x86_linear(c, in->seg, (op_address(c, in) + off) & mask, n, write);
}

static void table_load(struct x86_cpu *c, const struct x86_insn *in, struct x86_table *t)
{
    u32 wide = in->mode == X86_MODE64 ? 8 : 4;
    u64 base, limit;

    sys_supervisor(c);
    limit = x86_read(c, table_at(c, in, 0, 2, false), 2, ACCESS_CPL);
    base = x86_read(c, table_at(c, in, 2, wide, false), wide, ACCESS_CPL);
    if (wide == 4 && in->osize == 2)
        base &= 0xffffff;
    if (!x86_canonical(c, base))
        x86_raise_code(c, VEC_GP, 0);
    t->limit = (u16)limit;
    t->base = base;
}

static void table_store(struct x86_cpu *c, const struct x86_insn *in, const struct x86_table *t)
{
    u32 wide = in->mode == X86_MODE64 ? 8 : 4;
    u64 base = table_at(c, in, 2, wide, true);

    sys_umip(c);
    x86_probe_write(c, base, wide, ACCESS_CPL);
    x86_write(c, table_at(c, in, 0, 2, true), 2, t->limit, ACCESS_CPL);
    x86_write(c, base, wide, t->base, ACCESS_CPL);
}

void op_lgdt(struct x86_cpu *c, const struct x86_insn *in)
{
    table_load(c, in, &c->s.gdtr);
}

void op_lidt(struct x86_cpu *c, const struct x86_insn *in)
{
    table_load(c, in, &c->s.idtr);
}

void op_sgdt(struct x86_cpu *c, const struct x86_insn *in)
{
    table_store(c, in, &c->s.gdtr);
}

void op_sidt(struct x86_cpu *c, const struct x86_insn *in)
{
    table_store(c, in, &c->s.idtr);
}

void op_lldt(struct x86_cpu *c, const struct x86_insn *in)
{
    sys_protected(c);
    sys_supervisor(c);
    x86_load_ldtr(c, (u16)op_get(c, in, 0));
}

void op_ltr(struct x86_cpu *c, const struct x86_insn *in)
{
    sys_protected(c);
    sys_supervisor(c);
    x86_load_tr(c, (u16)op_get(c, in, 0));
}

void op_sldt(struct x86_cpu *c, const struct x86_insn *in)
{
    sys_protected(c);
    sys_umip(c);
    op_put(c, in, 0, c->s.seg[SEG_LDTR].sel);
}

void op_str(struct x86_cpu *c, const struct x86_insn *in)
{
    sys_protected(c);
    sys_umip(c);
    op_put(c, in, 0, c->s.seg[SEG_TR].sel);
}

/* LDS LES LFS LGS LSS: an offset into a register, the selector behind it into a segment. */
void op_load_far(struct x86_cpu *c, const struct x86_insn *in)
{
    static const struct {
        u16 op;
        u8 seg;
    } which[] = { { ZYDIS_MNEMONIC_LDS, SEG_DS },
                  { ZYDIS_MNEMONIC_LES, SEG_ES },
                  { ZYDIS_MNEMONIC_LFS, SEG_FS },
                  { ZYDIS_MNEMONIC_LGS, SEG_GS },
                  { ZYDIS_MNEMONIC_LSS, SEG_SS } };
    u32 size = in->osize, i = 0;
    u64 off = x86_read(c, table_at(c, in, 0, size, false), size, ACCESS_CPL);
    u16 sel = (u16)x86_read(c, table_at(c, in, size, 2, false), 2, ACCESS_CPL);

    while (which[i].op != in->op)
        i++;
    x86_load_segment(c, which[i].seg, sel);
    op_put(c, in, 0, off);
}

static void table_answer(struct x86_cpu *c, const struct x86_insn *in, bool ok, u64 val)
{
    c->s.rflags = (c->s.rflags & ~(u64)FLAG_ZF) | (ok ? FLAG_ZF : 0);
    if (ok)
        op_put(c, in, 0, val);
}

void op_lar(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 rights = 0;
    bool ok;

    sys_protected(c);
    ok = x86_access_rights(c, (u16)op_get(c, in, 1), &rights);
    table_answer(c, in, ok, rights);
}

void op_lsl(struct x86_cpu *c, const struct x86_insn *in)
{
    u32 limit = 0;
    bool ok;

    sys_protected(c);
    ok = x86_segment_limit(c, (u16)op_get(c, in, 1), &limit);
    table_answer(c, in, ok, limit);
}

static void table_verify(struct x86_cpu *c, const struct x86_insn *in, bool write)
{
    sys_protected(c);
    c->s.rflags &= ~(u64)FLAG_ZF;
    if (x86_verify(c, (u16)op_get(c, in, 0), write))
        c->s.rflags |= FLAG_ZF;
}

void op_verr(struct x86_cpu *c, const struct x86_insn *in)
{
    table_verify(c, in, false);
}

void op_verw(struct x86_cpu *c, const struct x86_insn *in)
{
    table_verify(c, in, true);
}

void op_arpl(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 to, from;
    bool raise;

    sys_protected(c);
    to = op_get(c, in, 0);
    from = op_get(c, in, 1);
    raise = (to & 3) < (from & 3);
    if (raise)
        op_put(c, in, 0, (to & ~3ull) | (from & 3));
    c->s.rflags = (c->s.rflags & ~(u64)FLAG_ZF) | (raise ? FLAG_ZF : 0);
}

static struct x86_segment *table_base(struct x86_cpu *c, const struct x86_insn *in)
{
    bool fs = in->op == ZYDIS_MNEMONIC_RDFSBASE || in->op == ZYDIS_MNEMONIC_WRFSBASE;

    if (!(c->s.cr4 & CR4_FSGSBASE) || in->mode != X86_MODE64)
        x86_raise(c, VEC_UD);
    return &c->s.seg[fs ? SEG_FS : SEG_GS];
}

void op_rdbase(struct x86_cpu *c, const struct x86_insn *in)
{
    op_put(c, in, 0, table_base(c, in)->base);
}

void op_wrbase(struct x86_cpu *c, const struct x86_insn *in)
{
    struct x86_segment *g = table_base(c, in);
    u64 val = op_get(c, in, 0);

    if (!x86_canonical(c, val))
        x86_raise_code(c, VEC_GP, 0);
    g->base = val;
}

void op_swapgs(struct x86_cpu *c, const struct x86_insn *in)
{
    u64 base = c->s.seg[SEG_GS].base;

    if (in->mode != X86_MODE64)
        x86_raise(c, VEC_UD);
    sys_supervisor(c);
    c->s.seg[SEG_GS].base = c->s.kernel_gs_base;
    c->s.kernel_gs_base = base;
}
