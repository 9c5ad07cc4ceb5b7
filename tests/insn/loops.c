/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cases that loop: pieces of random instructions in any order over two pages, with near
 * branches of all kinds between them, and functions; so often that the translator makes
 * traces of them or runs them directly.  A random number that each round draws anew decides
 * the ways; registers that step through the data are what its memory operands start from.
 */
#include "tests/insn/random.h"
#include "tests/insn/row.h"

enum {
    MAIN = 5,
    FUNCTIONS = 2,
    HEAD = 0,
    TAIL = MAIN + 1,
    FIRST_FUNCTION,
    PIECES = TAIL + 1 + FUNCTIONS
};
enum { FIXUPS = 64, ENOUGH = 450 };
enum { CC_NZ = 5, JMP = 0xe9, CALL = 0xe8, INT3 = 0xcc };

struct loop {
    struct row r;
    u32 a, b; /* registers that branches may use */
    u16 start[PIECES];
    struct {
        u16 at; /* of a displacement of 4 bytes, from its end */
        u8 piece;
    } fixup[FIXUPS];
    u32 nfixup;
};

static void put8(struct loop *l, u32 v)
{
    l->r.c.code[l->r.c.len++] = (u8)v;
}
static void put32(struct loop *l, u64 v)
{
    put_le32(l->r.c.code + l->r.c.len, (u32)v);
    l->r.c.len += 4;
}

static void put_target(struct loop *l, u32 piece)
{
    l->fixup[l->nfixup].at = l->r.c.len;
    l->fixup[l->nfixup++].piece = (u8)piece;
    put32(l, 0);
}

/* op reg, rm, of eight bytes: of registers, with [address], with [rip + piece] */
static void put_regs(struct loop *l, u32 op, u32 reg, u32 rm)
{
    put8(l, 0x48 | reg >> 3 << 2 | rm >> 3);
    if (op > 0xff)
        put8(l, op >> 8);
    put8(l, op);
    put8(l, 0xc0 | (reg & 7) << 3 | (rm & 7));
}
static void put_mem(struct loop *l, u32 op, u32 reg, u64 address)
{
    put8(l, 0x48 | reg >> 3 << 2);
    put8(l, op);
    put8(l, 0x04 | (reg & 7) << 3);
    put8(l, 0x25);
    put32(l, address);
}
static void put_lea(struct loop *l, u32 reg, u32 piece)
{
    put8(l, 0x48 | reg >> 3 << 2);
    put8(l, 0x8d);
    put8(l, 0x05 | (reg & 7) << 3);
    put_target(l, piece);
}
static void put_imm(struct loop *l, u32 digit, u32 reg, u64 imm)
{
    put8(l, 0x48 | reg >> 3);
    put8(l, 0x81);
    put8(l, 0xc0 | digit << 3 | (reg & 7));
    put32(l, imm);
}
static void put_push(struct loop *l, u32 op, u32 reg) /* 50: push, 58: pop */
{
    if (reg >> 3)
        put8(l, 0x41);
    put8(l, op | (reg & 7));
}

static void put_jump(struct loop *l, u32 op, u32 piece)
{
    put8(l, op);
    put_target(l, piece);
}
static void put_jump_if(struct loop *l, u32 cc, u32 piece)
{
    put8(l, 0x0f);
    put8(l, 0x80 | cc);
    put_target(l, piece);
}

/* FF /digit: 4 jumps, 2 calls; by a register or what it is stored at. */
static void put_indirect(struct loop *l, u32 digit, u32 reg)
{
    u64 at = CASE_KEPT + KEPT_WHERE;

    if (random64() % 2) {
        if (reg >> 3)
            put8(l, 0x41);
        put8(l, 0xff);
        put8(l, 0xc0 | digit << 3 | (reg & 7));
        return;
    }
    put_mem(l, 0x89, reg, at);
    put8(l, 0xff);
    put8(l, 0x04 | digit << 3);
    put8(l, 0x25);
    put32(l, at);
}

/* Register a: where one of two pieces starts. */
static void put_choice(struct loop *l, u32 one, u32 other)
{
    put_lea(l, l->a, one);
    if (one == other)
        return;
    put_lea(l, l->b, other);
    if (random64() % 2) { /* by the random number */
        put8(l, 0xf7);    /* test dword [random], bit */
        put8(l, 0x04);
        put8(l, 0x25);
        put32(l, CASE_KEPT + KEPT_RANDOM);
        put32(l, 1u << random64() % 31);
    }
    put_regs(l, 0x0f40 | (random64() & 15), l->a, l->b);
}

static void loop_instructions(struct loop *l, u32 n)
{
    for (u32 tries = 0, was = l->r.n; l->r.n < was + n && tries < 300 && l->r.c.len < ENOUGH;
         tries++)
        row_instruction(&l->r);
}

/* A loop inside: counted by RCX, by LOOP or otherwise. */
static void loop_inner(struct loop *l)
{
    static const u8 loops[] = { 0xe2, 0xe1, 0xe0 };
    struct row *r = &l->r;
    u16 start;

    if (r->held >> RCX & 1 || l->a == RCX || l->b == RCX)
        return;
    put8(l, 0xb8 | RCX);
    put32(l, 2 + random64() % 4);
    r->held |= 1 << RCX;
    r->level = true;
    start = r->c.len;
    loop_instructions(l, 1 + random64() % 2);
    r->held &= ~(1u << RCX);
    r->written |= 1 << RCX;
    r->level = false;
    if (r->c.len - start > 100)
        return;
    if (random64() % 2) {
        put8(l, loops[random64() % LEN(loops)]);
    } else {
        put8(l, 0xff);
        put8(l, 0xc9);
        put8(l, 0x70 | CC_NZ);
    }
    put8(l, (u32)start - (r->c.len + 1u));
}

/* jrcxz or jecxz over the next jump */
static void put_count_jump(struct loop *l, u32 one, u32 other)
{
    if (random64() % 2)
        put8(l, 0x67);
    put8(l, 0xe3);
    put8(l, 5);
    put_jump(l, JMP, one);
    put_jump(l, JMP, other);
}

static void put_call(struct loop *l, u32 function)
{
    if (random64() % 2) {
        put_jump(l, CALL, function);
        return;
    }
    put_choice(l, function, FIRST_FUNCTION + FUNCTIONS - 1);
    put_indirect(l, 2, l->a);
}

/* From a piece of the loop to one of those behind it. */
static void loop_way(struct loop *l, u32 piece)
{
    u32 one = piece + 1 + random64() % (TAIL - piece),
        other = piece + 1 + random64() % (TAIL - piece);

    switch (random64() % 7) {
    case 0:
        put_jump_if(l, random64() & 15, one);
        put_jump(l, JMP, other);
        return;
    case 1:
        put8(l, 0x70 | (random64() & 15));
        put8(l, 5);
        put_jump(l, JMP, one);
        put_jump(l, JMP, other);
        return;
    case 2:
        put_choice(l, one, other);
        put_indirect(l, 4, l->a);
        return;
    case 3:
        put_choice(l, one, other);
        put_push(l, 0x50, l->a);
        put8(l, 0xc3);
        return;
    case 4:
        put_count_jump(l, one, other);
        return;
    default:
        put_call(l, FIRST_FUNCTION + random64() % FUNCTIONS);
        put_jump(l, JMP, one);
        return;
    }
}

static void loop_head(struct loop *l)
{
    struct insn_case *c = &l->r.c;

    put8(l, 0xb8 | RSP);
    put32(l, c->gpr[RSP]);
    put_mem(l, 0x8b, l->a, CASE_KEPT + KEPT_RANDOM);
    put8(l, 0x48 | l->a >> 3 << 2 | l->a >> 3); /* imul a, a, imm */
    put8(l, 0x69);
    put8(l, 0xc0 | (l->a & 7) << 3 | (l->a & 7));
    put32(l, 0x5851f42d);
    put_imm(l, 0, l->a, random64() | 1);
    put_mem(l, 0x89, l->a, CASE_KEPT + KEPT_RANDOM);
    for (u32 i = 0; i < 3; i++) {
        u32 reg = (u32)random64() & 15;

        if (!(l->r.held >> reg & 1))
            put_regs(l, 0x31, l->a, reg);
    }
    for (u32 reg = 0; reg < 16; reg++) {
        if (!(l->r.walkers >> reg & 1))
            continue;
        put_imm(l, 0, reg, random64() % 3 ? 8 : random64() % 200 - 100);
        put_imm(l, 4, reg, CASE_PAGE - 1);
        put_imm(l, 1, reg, CASE_DATA + CASE_PAGE);
    }
    put_jump(l, JMP, 1);
}

/* What the round left goes into a sum. */
static void loop_tail(struct loop *l)
{
    if (random64() % 2) {
        put8(l, 0x9c); /* pushfq */
        put_push(l, 0x58, l->a);
        put_mem(l, 0x01, l->a, CASE_KEPT + KEPT_SUM);
    }
    for (u32 i = 0; i < 3; i++)
        put_mem(l, 0x31, (u32)random64() & 15, CASE_KEPT + KEPT_SUM);
    put_mem(l, 0xc1, 0, CASE_KEPT + KEPT_SUM); /* rol */
    put8(l, 7);
    put_mem(l, 0xff, 1, CASE_KEPT + KEPT_ROUNDS); /* dec */
    if (random64() % 2) {
        put_jump_if(l, CC_NZ, HEAD);
    } else {
        put8(l, 0x74);
        put8(l, 5);
        put_jump(l, JMP, HEAD);
    }
    put8(l, INT3);
}

static void loop_function(struct loop *l, u32 piece)
{
    u32 saved = (u32)random64() % 8;
    bool saves = random64() % 2 && saved != RSP && !(l->r.held >> saved & 1);

    l->r.level = true;
    if (saves)
        put_push(l, 0x50, saved);
    loop_instructions(l, 1 + random64() % 3);
    if (piece == FIRST_FUNCTION && random64() % 2)
        put_jump(l, CALL, piece + 1);
    if (saves)
        put_push(l, 0x58, saved);
    l->r.level = false;
    if (random64() % 4) {
        put8(l, 0xc3);
    } else { /* and takes arguments from the stack */
        put8(l, 0xc2);
        put8(l, 8);
        put8(l, 0);
    }
}

static void loop_piece(struct loop *l, u32 piece)
{
    l->start[piece] = l->r.c.len;
    if (piece == HEAD) {
        loop_head(l);
    } else if (piece == TAIL) {
        loop_tail(l);
    } else if (piece >= FIRST_FUNCTION) {
        loop_function(l, piece);
    } else {
        loop_instructions(l, random64() % 3);
        if (random64() % 4 == 0)
            loop_inner(l);
        loop_way(l, piece);
    }
}

static void loop_registers(struct loop *l)
{
    static const u8 steps[] = { RBX, RBP, RSI, RDI };
    struct row *r = &l->r;

    for (u32 i = 0; i < 16; i++)
        r->c.gpr[i] = random_value();
    r->c.gpr[RSP] = CASE_DATA + CASE_PAGE + random64() % (CASE_PAGE / 2);
    r->c.gpr[RSP] &= random64() % 8 ? ~7ull : ~0ull;
    r->held = 1 << RSP;
    for (u32 i = 0; i < 2; i++)
        r->walkers |= 1u << steps[random64() % LEN(steps)];
    for (u32 i = 0; i < 16; i++)
        if (r->walkers >> i & 1)
            r->c.gpr[i] =
                CASE_DATA + CASE_PAGE + (random64() % CASE_PAGE & (random64() % 2 ? ~7ull : ~0ull));
    r->held |= r->walkers;
    do {
        l->a = (u32)random64() & 15;
        l->b = (u32)random64() & 15;
    } while (l->a == l->b || (r->held | 1 << RCX) & (1u << l->a | 1u << l->b));
    r->written = 1u << l->a | 1u << l->b | 1 << RCX;
}

struct insn_case hot_case(u32 index)
{
    struct loop l = { .r = { .c = { .vsib = CASE_NO_INDEX, .mode = CASE_MODE64, .row = 1 },
                             .loops = true } };
    u8 order[PIECES];
    struct insn_case *c = &l.r.c;

    c->hot = (u16)index;
    c->at = (u16)(CASE_PAGE - random64() % ENOUGH);
    c->seed = random64();
    c->rounds = random64() % 8 ? 70000 : 300000;
    c->flags = random64() & 0xcd5;
    loop_registers(&l);
    for (u32 i = 0; i < PIECES; i++) {
        u32 j = (u32)random64() % (i + 1);

        order[i] = order[j];
        order[j] = (u8)i;
    }
    put_jump(&l, JMP, HEAD);
    for (u32 i = 0; i < PIECES; i++)
        loop_piece(&l, order[i]);
    for (u32 i = 0; i < l.nfixup; i++)
        put_le32(c->code + l.fixup[i].at, (u32)l.start[l.fixup[i].piece] - (l.fixup[i].at + 4u));
    return *c;
}
