/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Vector instructions that touch memory by elements: masked moves and gathers.  Only elements
 * that the mask selects are read or written, and only they can fault.
 */
#include "engine/interpret/vector_int.h"
#include <Zydis/Mnemonic.h>

static bool element_on(const u8 mask[32], u32 i, u32 size)
{
    return mask[i * size + size - 1] & 0x80;
}

/* Linear address of element i of a masked move, which knows no alignment check (SDM 2C,
 * VMASKMOV). */
static u64 element_linear(struct x86_cpu *c, const struct x86_insn *in, u32 i, u32 size, bool write)
{
    u64 at = (op_address(c, in) + (u64)i * size) & op_mask(in->asize);
    u64 lin = x86_linear(c, in->seg, at, 1, write);

    x86_linear(c, in->seg, (at + size - 1) & op_mask(in->asize), 1, write);
    return lin;
}

/* VMASKMOVPS, VMASKMOVPD, VPMASKMOVD, VPMASKMOVQ. */
void op_masked_move(struct x86_cpu *c, const struct x86_insn *in)
{
    bool wide = in->op == ZYDIS_MNEMONIC_VMASKMOVPD || in->op == ZYDIS_MNEMONIC_VPMASKMOVQ;
    u32 size = wide ? 8 : 4, n = in->opd[in->mem].size / size;
    u8 mask[32], v[32], *bounce = vector_bounce(c);

    x86_check_vector(c, in);
    vector_get(c, in->opd[1].reg, mask);
    if (in->mem == 0) { /* a store: check all of it before the first */
        vector_get(c, in->opd[2].reg, v);
        for (u32 i = 0; i < n; i++)
            if (element_on(mask, i, size))
                x86_probe_write(c, element_linear(c, in, i, size, true), size, ACCESS_CPL);
        for (u32 i = 0; i < n; i++)
            if (element_on(mask, i, size))
                x86_write_bytes(c, element_linear(c, in, i, size, true), v + i * size, size,
                                ACCESS_CPL);
        return;
    }
    for (u32 i = 0; i < n; i++)
        if (element_on(mask, i, size))
            x86_read_bytes(c, element_linear(c, in, i, size, false), bounce + i * size, size,
                           ACCESS_CPL);
    vector_run(c, in, bounce);
    vector_commit(c, in);
}

/* MASKMOVQ, MASKMOVDQU: bytes of the first operand to DS:RDI. */
static void masked_bytes(struct x86_cpu *c, const struct x86_insn *in, const u8 *v, const u8 *mask,
                         u32 n)
{
    u64 at = c->s.gpr[RDI] & op_mask(in->asize);

    for (int store = 0; store < 2; store++) {
        for (u32 i = 0; i < n; i++) {
            u64 lin;

            if (!(mask[i] & 0x80))
                continue;
            lin = x86_linear(c, in->seg, (at + i) & op_mask(in->asize), 1, true);
            if (store)
                x86_write(c, lin, 1, v[i], ACCESS_CPL);
            else
                x86_probe_write(c, lin, 1, ACCESS_CPL);
        }
    }
}

void op_maskmovdqu(struct x86_cpu *c, const struct x86_insn *in)
{
    u8 v[32], mask[32];

    x86_check_vector(c, in);
    vector_get(c, in->opd[0].reg, v);
    vector_get(c, in->opd[1].reg, mask);
    masked_bytes(c, in, v, mask, 16);
}

void op_maskmovq(struct x86_cpu *c, const struct x86_insn *in)
{
    static const u8 touch[] = { 0x0f, 0x7f, 0x00 }; /* movq [rax], mm0: makes it MMX state */
    struct x86_insn movq;
    const u8 *st = c->s.xsave + AREA_ST;

    x86_check_vector(c, in);
    vector_pending(c);
    vector_to_mmx(c, true);
    x86_check_aligned(c, x86_linear(c, in->seg, c->s.gpr[RDI] & op_mask(in->asize), 1, true), 8);
    masked_bytes(c, in, st + 16 * (in->opd[0].reg & 7), st + 16 * (in->opd[1].reg & 7), 8);
    x86_decode(&movq, touch, sizeof(touch), X86_MODE64);
    vector_run(c, &movq, vector_bounce(c));
    vector_commit(c, &movq);
}

/* ---- gathers: SDM volume 2, VGATHERDPD ... VPGATHERQQ ---- */

struct gather {
    u32 data, index; /* bytes of an element */
    u32 n;
};

static struct gather gather_shape(const struct x86_insn *in)
{
    bool long_vector = in->bytes[in->at_opcode - 1] & 4, w = in->bytes[in->at_opcode - 1] & 0x80;
    bool qindex = in->opcode & 1; /* 90 and 92: dword indexes, 91 and 93: qword ones */
    struct gather g = { .data = w ? 8 : 4, .index = qindex ? 8 : 4 };

    g.n = (long_vector ? 32 : 16) / (g.data > g.index ? g.data : g.index);
    return g;
}

void op_gather(struct x86_cpu *c, const struct x86_insn *in)
{
    struct gather g = gather_shape(in);
    u8 to = in->opd[0].reg, by = in->index, select = in->opd[2].reg;
    u8 v[32], index[32], mask[32], zero[32] = { 0 };

    x86_check_vector(c, in);
    if (to == by || to == select || by == select)
        x86_raise(c, VEC_UD);
    vector_get(c, to, v);
    vector_get(c, by, index);
    vector_get(c, select, mask);
    for (u32 i = 0; i < g.n; i++) {
        i64 x = g.index == 4 ? (i32)le32(index + 4 * i) : (i64)le64(index + 8 * i);
        u64 at = (u64)in->disp + (u64)(x * in->scale);

        if (element_on(mask, i, g.data)) {
            at += in->base == X86_NOREG ? 0 : c->s.gpr[in->base];
            at = x86_linear(c, in->seg, at & op_mask(in->asize), g.data, false);
            x86_read_bytes(c, at, v + i * g.data, g.data, ACCESS_CPL);
            /* done for good: a later element may fault */
            memset(mask + i * g.data, 0, g.data);
            vector_put(c, to, v);
            vector_put(c, select, mask);
        }
    }
    memset(v + g.n * g.data, 0, sizeof(v) - g.n * g.data);
    vector_put(c, to, v);
    vector_put(c, select, zero);
}
