/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes cases for the runner: rows of random instructions that programs may run, with memory
 * operands in the runner's data (some across pages, some where nothing is), short jumps,
 * loops and calls around them.  Nothing whose answer differs between two machines with one
 * kind of processor is among them: clocks, CPUID, descriptor tables, x87's pointers.
 *
 *     insn_make FILE CASES SEED
 */
#include "tests/insn/random.h"
#include "tests/insn/row.h"
#include <stdio.h>
#include <stdlib.h>

enum { ROW = 8, ROOM = 160 };

/* A jump over what comes next; its displacement is known when that is there. */
static void row_jump(struct row *r)
{
    u8 op = random64() % 8 == 0 ? 0xeb : random64() % 10 == 0 ? 0xe3 : 0x70 | (random64() & 15);

    if (r->skip || r->written >> RCX & 1)
        return;
    r->c.code[r->c.len++] = op;
    r->skip = (u8)r->c.len++;
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
    r->c.len = (u16)(call + len + 3);
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
        r.c.code[r.skip] = (u8)(r.c.len - r.skip - 1);
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
    u32 hot = 0;
    FILE *f = argc == 4 ? fopen(argv[1], "wb") : NULL;

    if (!f) {
        fprintf(stderr, "usage: insn_make FILE CASES SEED\n");
        return 2;
    }
    seed += strtoull(argv[3], NULL, 0) * 0x9e3779b97f4a7c15ull;
    for (u64 n = strtoull(argv[2], NULL, 0); n; n--) {
        struct insn_case c = n % 64 == 0 && hot < CASE_HOTS ? hot_case(hot++) : make_case();

        fwrite(&c, CASE_SIZE(&c), 1, f);
    }
    return fclose(f) ? 1 : 0;
}
