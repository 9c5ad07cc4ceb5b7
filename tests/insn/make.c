/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes cases for the runner: rows of random instructions that programs may run, with memory
 * operands in the runner's data (some across pages, some where nothing is), short jumps,
 * loops and calls around them.  Nothing whose answer differs between two machines with one
 * kind of processor is among them: clocks, CPUID, descriptor tables, x87's pointers.
 *
 *     insn_make FILE CASES SEED
 */
#include "engine/interpret/op.h"
#include "tests/insn/cases.h"
#include "tests/insn/random.h"
#include <Zydis/Mnemonic.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROW = 8, ROOM = 160 };

struct row {
    struct insn_case c;
    u32 held, written; /* registers that addresses need; that are no longer known */
    u32 n;
    u8 skip;   /* where the displacement of a jump over the next instruction is, or 0 */
    bool wild; /* one operand may be where nothing is */
};

static enum x86_mode row_mode(const struct row *r)
{
    return (enum x86_mode)r->c.mode;
}

static bool make_wanted(const struct x86_insn *in)
{
    if (in->flags & INSN_BRANCH || (in->flags & INSN_SYSTEM && !(in->flags & INSN_PRIVILEGED)))
        return false;
    if (in->flags & INSN_SEGMENT && !(in->mode == X86_MODE64 && in->seg == SEG_GS))
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
        return in->base != X86_RIP;
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

static u64 row_origin(const struct row *r)
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

static bool make_operand(struct row *r, const struct x86_insn *in)
{
    u64 *g = r->c.gpr, index = 0, place = make_place(r);
    u32 used = (in->base < 16 ? 1u << in->base : 0) | (in->index < 16 ? 1u << in->index : 0);

    if (in->flags & INSN_VSIB)
        used &= ~(in->index < 16 ? 1u << in->index : 0);
    if (in->base == X86_NOREG || in->base == in->index || !row_holds(r, used))
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
    if (in->flags & INSN_SEGMENT)
        place -= CASE_GS;
    g[in->base] = place - (u64)in->disp - index;
    if (r->wild && random64() % 32 == 0)
        g[in->base] = random64();
    return true;
}

static bool make_implicit(struct row *r, const struct x86_insn *in)
{
    u64 *g = r->c.gpr;

    if ((r->wild && !(in->flags & INSN_STRING)) ||
        !row_holds(r, 1 << RSI | 1 << RDI | 1 << RCX | 1 << RBX) ||
        (in->asize == 2 && r->c.mode != CASE_MODE16))
        return false;
    g[RSI] = g[RBX] = make_place(r);
    g[RDI] = make_place(r);
    g[RCX] = random64() % 40;
    r->written |= 1 << RSI | 1 << RDI | 1 << RCX;
    return true;
}

static bool make_address(struct row *r, const struct x86_insn *in)
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

/* A jump over what comes next; its displacement is known when that is there. */
static void row_jump(struct row *r)
{
    u8 op = random64() % 8 == 0 ? 0xeb : random64() % 10 == 0 ? 0xe3 : 0x70 | (random64() & 15);

    if (r->skip || r->written >> RCX & 1)
        return;
    r->c.code[r->c.len++] = op;
    r->skip = r->c.len++;
}

static bool row_instruction(struct row *r)
{
    struct row was = *r;
    struct x86_insn in;
    u8 b[15];
    bool moves;

    random_bytes(b, r->c.mode == CASE_MODE64);
    if (x86_decode(&in, b, 15, row_mode(r)) || !make_wanted(&in) || !op_find(&in) ||
        !make_address(r, &in)) {
        *r = was;
        return false;
    }
    moves = in.flags & INSN_STACK && !(in.opd[0].kind == OPD_GPR && in.opd[0].reg == RSP);
    r->written |= in.gpr_write & ~(moves ? 1u << RSP : 0); /* by a little: there is room */
    memcpy(r->c.code + r->c.len, in.bytes, in.len);
    r->c.len += in.len;
    if (r->skip) {
        r->c.code[r->skip] = r->c.len - r->skip - 1;
        r->skip = 0;
    }
    r->n++;
    return true;
}

/* The row a few times over, counted by RCX. */
static void row_loop(struct row *r)
{
    bool wide = r->c.mode == CASE_MODE64;

    if ((r->held | r->written) >> RCX & 1 || r->c.len > 110)
        return;
    r->c.gpr[RCX] = 2 + random64() % 5;
    if (random64() % 4) {
        if (wide)
            r->c.code[r->c.len++] = 0x48;
        memcpy(r->c.code + r->c.len, wide ? "\xff\xc9\x75" : "\x49\x75", wide ? 3 : 2);
        r->c.len += wide ? 3 : 2;
    } else {
        r->c.code[r->c.len++] = 0xe2;
    }
    r->c.code[r->c.len] = (u8) - (r->c.len + 1);
    r->c.len++;
}

/* The row as a function: called, and jumped over afterwards. */
static void row_call(struct row *r)
{
    u32 call = r->c.mode == CASE_MODE16 ? 3 : 5, len = r->c.len;

    memmove(r->c.code + call + 2, r->c.code, len);
    memset(r->c.code, 0, call);
    r->c.code[0] = 0xe8;
    r->c.code[1] = 2;
    r->c.code[call] = 0xeb;
    r->c.code[call + 1] = (u8)(len + 1);
    r->c.code[call + 2 + len] = 0xc3;
    r->c.len = (u8)(call + len + 3);
}

static void row_flags(struct row *r)
{
    enum { CF_TO_OF = 0xcd5, TF = 0x100, AC = 0x40000 };

    r->c.flags = random64() & CF_TO_OF;
    if (random64() % 16 == 0)
        r->c.flags |= TF;
    if (random64() % 16 == 0)
        r->c.flags |= AC;
}

static struct insn_case make_case(void)
{
    u32 n = random64() % 3 ? 1 : 2 + random64() % (ROW - 1), want = random64() % 8;
    struct row r = { .c.vsib = CASE_NO_INDEX, .held = 1 << RSP };

    r.c.mode = random64() % 4 ? CASE_MODE64 : random64() % 3 ? CASE_MODE32 : CASE_MODE16;
    r.wild = random64() % 6 == 0;
    r.c.seed = random64();
    for (u32 i = 0; i < 16; i++)
        r.c.gpr[i] = random_value();
    r.c.gpr[RSP] = row_origin(&r) + CASE_PAGE + random64() % CASE_PAGE;
    r.c.gpr[RSP] &= random64() % 8 ? ~7ull : ~0ull;
    row_flags(&r);
    for (u32 tries = 0; (r.n < n || r.skip) && r.c.len < ROOM && tries < 200; tries++) {
        if (n > 1 && !r.skip && random64() % 8 == 0)
            row_jump(&r);
        row_instruction(&r);
    }
    if (r.skip)
        r.c.code[r.skip] = r.c.len - r.skip - 1;
    if (want == 0)
        row_call(&r);
    else if (want < 3)
        row_loop(&r);
    r.c.row = r.n > 1 || want < 3;
    if (r.c.mode != CASE_MODE64)
        for (u32 i = 0; i < 16; i++)
            r.c.gpr[i] = i < 8 ? (u32)r.c.gpr[i] : 0;
    return r.c;
}

int main(int argc, char **argv)
{
    FILE *f = argc == 4 ? fopen(argv[1], "wb") : NULL;

    if (!f) {
        fprintf(stderr, "usage: insn_make FILE CASES SEED\n");
        return 2;
    }
    seed += strtoull(argv[3], NULL, 0) * 0x9e3779b97f4a7c15ull;
    for (u64 n = strtoull(argv[2], NULL, 0); n; n--) {
        struct insn_case c = make_case();

        fwrite(&c, sizeof(c), 1, f);
    }
    return fclose(f) ? 1 : 0;
}
