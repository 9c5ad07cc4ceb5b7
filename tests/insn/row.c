/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random instructions that programs may run, with memory operands in the runner's data (some
 * across pages, some where nothing is).  Nothing whose answer differs between two machines
 * with one kind of processor is among them: clocks, CPUID, descriptor tables, x87's pointers.
 */
#include "tests/insn/row.h"
#include "tests/insn/random.h"

static enum x86_mode row_mode(const struct row *r)
{
    return (enum x86_mode)r->c.mode;
}

static bool make_wanted(const struct x86_insn *in)
{
    if (in->flags & INSN_BRANCH || (in->flags & INSN_SYSTEM && !(in->flags & INSN_PRIVILEGED)))
        return false;
    if (in->flags & INSN_SEGMENT && !(in->mode == X86_MODE64 && in->seg >= SEG_FS))
        return false;
    for (u32 i = 0; i < in->nopd; i++)
        if (in->opd[i].kind == OPD_SEG && in->opd[i].access & OPD_WRITE)
            return false;
    switch (in->op) {
    case ZYDIS_MNEMONIC_RDRAND:
    case ZYDIS_MNEMONIC_RDSEED:
    case ZYDIS_MNEMONIC_FNSTENV:
    case ZYDIS_MNEMONIC_FNSAVE:
    case ZYDIS_MNEMONIC_FXSAVE:
    case ZYDIS_MNEMONIC_FXSAVE64:
    case ZYDIS_MNEMONIC_RDPKRU:
    case ZYDIS_MNEMONIC_WRPKRU:
    case ZYDIS_MNEMONIC_RDPMC:
    case ZYDIS_MNEMONIC_BOUND:
    case ZYDIS_MNEMONIC_INTO:
    case ZYDIS_MNEMONIC_VMCALL:
    case ZYDIS_MNEMONIC_VMMCALL:
        return false;
    default:
        return true;
    }
}

static bool is_string(const struct x86_insn *in)
{
    return in->flags & INSN_STRING;
}

/* What runs many times over must not fault, nor lose its addresses. */
static bool make_lasts(const struct row *r, const struct x86_insn *in)
{
    bool stack = in->flags & INSN_STACK;
    u32 kept = r->held & ~(stack ? 1u << RSP : 0);

    if (!r->loops)
        return in->base != X86_RIP;
    if (in->flags & INSN_PRIVILEGED || (stack && r->level) ||
        (stack && in->opd[0].kind == OPD_GPR && in->opd[0].reg == RSP && in->gpr_write >> RSP & 1))
        return false;
    switch (in->op) {
    case ZYDIS_MNEMONIC_DIV:
    case ZYDIS_MNEMONIC_IDIV:
        return random64() % 8 == 0;
    case ZYDIS_MNEMONIC_LDMXCSR:
    case ZYDIS_MNEMONIC_VLDMXCSR:
    case ZYDIS_MNEMONIC_FLDCW:
    case ZYDIS_MNEMONIC_FLDENV:
    case ZYDIS_MNEMONIC_FRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR:
    case ZYDIS_MNEMONIC_FXRSTOR64:
    case ZYDIS_MNEMONIC_XRSTOR:
    case ZYDIS_MNEMONIC_XRSTOR64:
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_LEAVE:
    case ZYDIS_MNEMONIC_ENTER:
        return false;
    default:
        return is_string(in) || !(in->gpr_write & kept);
    }
}

static bool is_bit_string(const struct x86_insn *in)
{
    return in->map == 1 && (in->opcode & 0xe7) == 0xa3 && in->mem == 0;
}

static bool is_implicit(const struct x86_insn *in)
{
    return in->flags & INSN_STRING || in->op == ZYDIS_MNEMONIC_XLAT ||
           in->op == ZYDIS_MNEMONIC_MASKMOVQ || in->op == ZYDIS_MNEMONIC_MASKMOVDQU ||
           in->op == ZYDIS_MNEMONIC_VMASKMOVDQU;
}

u64 row_origin(const struct row *r)
{
    return r->c.mode == CASE_MODE16 ? 0 : CASE_DATA;
}

static u64 make_place(struct row *r)
{
    u64 at = row_origin(r);

    if (r->wild && random64() % 4 == 0)
        return at + (random64() % 2 ? CASE_HOLE : CASE_HOLE + 2) * CASE_PAGE - random64() % 24;
    if (random64() % 8 == 0)
        return at + 2 * CASE_PAGE - random64() % 40; /* across two that are there */
    return (at + CASE_PAGE + random64() % CASE_PAGE) & (random64() % 2 ? ~63ull : ~0ull);
}

/* Are these registers free to be given a value that an address needs? */
static bool row_holds(struct row *r, u32 gprs)
{
    if (gprs & (r->held | r->written))
        return false;
    r->held |= gprs;
    return true;
}

/* How much of a larger one is done before it faults is the processor's own affair. */
static bool make_simple(const struct x86_operand *o)
{
    return o->size && o->size <= 32 && o->size != 10;
}

static u64 segment_base(const struct x86_insn *in)
{
    return !(in->flags & INSN_SEGMENT) ? 0 : in->seg == SEG_FS ? CASE_FS : CASE_GS;
}

/* One whose address does not come from a base register, or from one that steps; 0: neither. */
static bool make_fixed(struct row *r, struct x86_insn *in)
{
    u64 place = make_place(r) - segment_base(in);
    u32 size = in->opd[in->mem].size;

    if (size >= 16)
        place &= ~63ull;
    if (in->base == X86_RIP) {
        if (in->flags & INSN_SEGMENT || in->asize != 8)
            return false;
        place =
            CASE_NEAR + (place & 0xfff) - r->c.hot * 2 * CASE_PAGE - r->c.at - r->c.len - in->len;
        put_le32(in->bytes + in->at_disp, (u32)place);
        return true;
    }
    if (in->base == X86_NOREG && in->index == X86_NOREG && in->disp_size == 4) {
        put_le32(in->bytes + in->at_disp, (u32)place);
        return true;
    }
    if (in->base == X86_NOREG || !(r->walkers >> in->base & 1) || in->flags & INSN_SEGMENT ||
        in->disp_size > 1 || in->asize != 8 || in->flags & INSN_VSIB ||
        !make_simple(&in->opd[in->mem]) || (size >= 16 && !(in->flags & INSN_AVX)))
        return false;
    if (in->index == X86_NOREG)
        return true;
    if (in->index == in->base || !row_holds(r, 1u << in->index))
        return false;
    r->c.gpr[in->index] = random64() % 16;
    return true;
}

/* [reg + disp8] of a register that steps, instead of another. */
static void make_step(const struct row *r, struct x86_insn *in)
{
    u32 reg = (u32)random64() & 7;
    u8 b[15];

    if (!r->loops || in->mem == X86_NOREG || in->opd[in->mem].kind != OPD_MEM ||
        in->at_modrm == 0xff || in->at_sib != 0xff || in->modrm >> 6 != 1 || in->vex)
        return;
    while (!(r->walkers >> reg & 1))
        reg = (reg + 1) & 7;
    memcpy(b, in->bytes, in->len);
    b[in->at_modrm] = (u8)((b[in->at_modrm] & ~7u) | reg);
    if (in->rex)
        b[in->nprefix] &= ~1;
    x86_decode(in, b, in->len, X86_MODE64);
}

static bool make_operand(struct row *r, struct x86_insn *in)
{
    u64 *g = r->c.gpr, index = 0, place = make_place(r);
    u32 used = (in->base < 16 ? 1u << in->base : 0) | (in->index < 16 ? 1u << in->index : 0);

    if (r->loops && make_fixed(r, in))
        return true;
    if (in->flags & INSN_VSIB)
        used &= ~(in->index < 16 ? 1u << in->index : 0);
    if (r->loops && in->opd[in->mem].size >= 16)
        place &= ~63ull;
    if (in->base == X86_RIP || in->base == X86_NOREG || in->base == in->index ||
        !row_holds(r, used))
        return false;
    if (r->wild && !make_simple(&in->opd[in->mem]))
        return false;
    if (in->flags & INSN_VSIB) {
        if (r->c.vsib != CASE_NO_INDEX)
            return false;
        r->c.vsib = in->index;
    } else if (in->index != X86_NOREG) {
        g[in->index] = random64() % 16;
        index = g[in->index] * in->scale;
    }
    place -= segment_base(in);
    g[in->base] = place - (u64)in->disp - index;
    if (r->wild && random64() % 32 == 0)
        g[in->base] = random64();
    return true;
}

static void row_load(struct row *r, u8 reg, u64 v)
{
    r->c.code[r->c.len++] = 0xb8 | reg;
    put_le32(r->c.code + r->c.len, (u32)v);
    r->c.len += 4;
}

/* In loops its registers are given anew each time. */
static bool make_string(struct row *r, const struct x86_insn *in)
{
    u32 regs = 1 << RSI | 1 << RDI | 1 << RCX;
    u64 from = make_place(r), to = make_place(r), fs = segment_base(in);

    if (r->held & regs || (!is_string(in) && r->held >> RBX & 1) || in->asize != 8)
        return false;
    if (random64() % 3 == 0)
        to = from + random64() % 32 - 16;
    if (random64() % 3)
        r->c.code[r->c.len++] = 0xfc | (random64() & 1);
    row_load(r, RSI, from - fs);
    row_load(r, RDI, is_string(in) ? to : to - fs);
    if (!is_string(in))
        row_load(r, RBX, from - fs);
    row_load(r, RCX, random64() % (random64() % 6 ? 40 : 500));
    r->written |= regs | (is_string(in) ? 0 : 1 << RBX);
    return true;
}

static bool make_implicit(struct row *r, const struct x86_insn *in)
{
    u64 *g = r->c.gpr;

    if (r->loops)
        return make_string(r, in);

    if ((r->wild && !(in->flags & INSN_STRING)) ||
        !row_holds(r, 1 << RSI | 1 << RDI | 1 << RCX | 1 << RBX) ||
        (in->asize == 2 && r->c.mode != CASE_MODE16))
        return false;
    g[RSI] = g[RBX] = make_place(r);
    g[RDI] = random64() % 3 ? make_place(r) : g[RSI] + random64() % 32 - 16;
    g[RCX] = random64() % 40;
    r->written |= 1 << RSI | 1 << RDI | 1 << RCX;
    return true;
}

static bool make_address(struct row *r, struct x86_insn *in)
{
    if (is_implicit(in))
        return make_implicit(r, in);
    if (in->op == ZYDIS_MNEMONIC_LEAVE || in->op == ZYDIS_MNEMONIC_ENTER) {
        if (!row_holds(r, 1 << RBP))
            return false;
        r->c.gpr[RBP] = row_origin(r) + CASE_PAGE + random64() % CASE_PAGE;
    }
    if (in->flags & INSN_STACK && r->written >> RSP & 1)
        return false;
    make_step(r, in);
    if (in->mem == X86_NOREG || in->opd[in->mem].kind == OPD_AGEN)
        return true;
    if (is_bit_string(in)) {
        u8 reg = in->opd[1].reg;

        if (reg == in->base || reg == in->index || !row_holds(r, 1u << reg))
            return false;
        r->c.gpr[reg] = (u64)((i64)(random64() % 4096) - 2048);
    }
    return make_operand(r, in);
}

/* Behind what its address needed. */
static void row_append(struct row *r, const struct x86_insn *in)
{
    memcpy(r->c.code + r->c.len, in->bytes, in->len);
    r->c.len += in->len;
    if (r->skip) {
        r->c.code[r->skip] = (u8)(r->c.len - r->skip - 1);
        r->skip = 0;
    }
    r->n++;
}

bool row_instruction(struct row *r)
{
    struct row was = *r;
    struct x86_insn in;
    u8 b[15];
    bool moves;

    random_bytes(b, r->c.mode == CASE_MODE64);
    if (x86_decode(&in, b, 15, row_mode(r)) || !make_wanted(&in) || !make_lasts(r, &in) ||
        !op_find(&in) || !make_address(r, &in)) {
        *r = was;
        return false;
    }
    moves = in.flags & INSN_STACK && !(in.opd[0].kind == OPD_GPR && in.opd[0].reg == RSP);
    r->written |= in.gpr_write & ~(moves ? 1u << RSP : 0); /* by a little: there is room */
    row_append(r, &in);
    return true;
}
