/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/x86/rewrite.h"
#include "engine/x86/state.h"
#include "tests/check.h"
#include "tests/random64.h"
#include <Zydis/Mnemonic.h>
#include <errno.h>

/* Random bytes that are an instruction more often than plain noise would be. */
static void random_bytes(u8 b[15], enum x86_mode mode)
{
    static const u8 prefix[] = { 0x66, 0xf2, 0xf3, 0x67, 0x2e, 0x64, 0xf0 };
    u32 n = 0;

    for (u32 i = 0; i < 15; i++)
        b[i] = (u8)(random64() >> 20);
    while (random64() % 3 == 0 && n < 3)
        b[n++] = prefix[random64() % LEN(prefix)];
    if (mode == X86_MODE64 && random64() % 2)
        b[n++] = 0x40 | (random64() & 15);
    if (random64() % 4 == 0) {
        b[n++] = random64() % 3 ? 0xc4 : 0xc5;
        b[n] = random64() % 2 ? (b[n] & 0xe0) | (1 + random64() % 3) : b[n];
    } else if (random64() % 2) {
        b[n++] = 0x0f;
        if (random64() % 3 == 0)
            b[n++] = random64() % 2 ? 0x38 : 0x3a;
    }
}

static void same_register(const struct x86_operand *a, const struct x86_operand *b,
                          const u8 map[16])
{
    CHECK_EQ(a->kind, b->kind);
    CHECK_EQ(a->size, b->size);
    if (a->kind == OPD_GPR || a->kind == OPD_GPR_HIGH)
        CHECK_EQ(map[a->reg], b->reg);
    else
        CHECK_EQ(a->reg, b->reg);
}

static void same_address(const struct x86_insn *a, const struct x86_insn *b,
                         const struct x86_host_address *at, const u8 map[16])
{
    bool own = at->own || a->opd[a->mem].kind == OPD_AGEN;

    CHECK_EQ(a->mem, b->mem);
    CHECK_EQ(a->opd[a->mem].size, b->opd[b->mem].size);
    if (own) {
        CHECK_EQ(a->asize, b->asize);
        CHECK_EQ(a->base == X86_NOREG ? X86_NOREG : map[a->base], b->base);
        CHECK_EQ(a->index == X86_NOREG ? X86_NOREG : map[a->index], b->index);
        CHECK_EQ(a->scale, b->scale);
        CHECK_EQ((i32)a->disp, (i32)b->disp);
        return;
    }
    CHECK_EQ(b->asize, 8);
    CHECK_EQ(b->base, at->base);
    CHECK_EQ((i32)b->disp, at->disp);
    CHECK_EQ(b->index, a->flags & INSN_VSIB ? a->index : at->index);
    if (at->seg != X86_NOREG)
        CHECK_EQ(b->seg, at->seg);
}

static void same_operation(const struct x86_insn *a, const struct x86_insn *b,
                           const struct x86_host_address *at, const u8 map[16])
{
    CHECK_EQ(a->op, b->op);
    CHECK_EQ(a->imm, b->imm);
    CHECK_EQ(a->flags & ~INSN_SEGMENT, b->flags & ~INSN_SEGMENT);
    CHECK_EQ(a->eflags_write, b->eflags_write);
    CHECK_EQ(a->eflags_read, b->eflags_read);
    CHECK_EQ(a->nopd, b->nopd);
    for (u32 i = 0; i < a->nopd && i < b->nopd; i++)
        if (a->opd[i].kind != OPD_MEM && a->opd[i].kind != OPD_AGEN && a->opd[i].kind != OPD_OTHER)
            same_register(&a->opd[i], &b->opd[i], map);
    if (a->mem != X86_NOREG)
        same_address(a, b, at, map);
}

/* One random instruction; true when it was one that can be rewritten. */
static bool rewrite_one(enum x86_mode mode)
{
    u8 bytes[15], out[15], map[16];
    struct x86_insn in, back;
    struct x86_host_address at = { .base = random64() % 16,
                                   .index = X86_NOREG,
                                   .seg = X86_NOREG,
                                   .disp = random64() % 3 ? (i8)random64() : (i32)random64() };
    int n;

    random_bytes(bytes, mode);
    if (x86_decode(&in, bytes, 15, mode) || in.op == ZYDIS_MNEMONIC_NOP)
        return false;
    for (u8 i = 0; i < 16; i++)
        map[i] = i;
    if (random64() % 2) {
        map[RSP] = R9;
        map[R9] = RSI;
        map[RSI] = random64() % 2 ? R12 : R13;
        map[R12] = map[R13] = RDI;
    }
    if (!(in.flags & INSN_VSIB) && random64() % 3 == 0)
        at.index = R10 + random64() % 4;
    if (random64() % 3 == 0)
        at.seg = random64() % 2 ? SEG_GS : SEG_FS;
    at.own = random64() % 8 == 0 && in.asize > 2 && !(in.flags & INSN_VSIB);
    n = x86_rewrite(&in, &at, map, out);
    if (n < 0) {
        CHECK_EQ(n, (u64)-EINVAL);
        return false;
    }
    CHECK_EQ(x86_decode(&back, out, (u32)n, X86_MODE64), 0);
    CHECK_EQ(back.len, n);
    same_operation(&in, &back, &at, map);
    if (check_failed_now) {
        char a[100], b[100];

        x86_print(&in, 0, a, 100);
        x86_print(&back, 0, b, 100);
        printf("# mode %d: %s -> %s\n# bytes", mode, a, b);
        for (u32 i = 0; i < in.len; i++)
            printf(" %02x", in.bytes[i]);
        printf("\n");
    }
    return true;
}

static void operation_stays(void)
{
    u32 done[3] = { 0 };

    for (u32 i = 0; i < 120000 && !check_failed_now; i++)
        done[i % 3] += rewrite_one(i % 3);
    for (u32 m = 0; m < 3; m++)
        CHECK(done[m] > 5000);
}

static int rewrite_text(const char *text, u32 n, enum x86_mode mode, u8 out[15])
{
    static const struct x86_host_address at = { R10, X86_NOREG, SEG_GS, false, 0 };
    static const u8 map[16] = { 0, 1, 2, 3, R9, 5, 6, 7, 8, 11, 10, 9, 12, 13, 14, 15 };
    struct x86_insn in;

    CHECK_EQ(x86_decode(&in, (const u8 *)text, n, mode), 0);
    return x86_rewrite(&in, &at, map, out);
}
#define REWRITES(text, mode, to)                                                                   \
    do {                                                                                           \
        u8 out[15];                                                                                \
        CHECK_EQ(rewrite_text(text, sizeof(text) - 1, mode, out), sizeof(to) - 1);                 \
        CHECK(!memcmp(out, to, sizeof(to) - 1));                                                   \
    } while (0)
#define REFUSES(text, mode)                                                                        \
    do {                                                                                           \
        u8 out[15];                                                                                \
        CHECK_EQ(rewrite_text(text, sizeof(text) - 1, mode, out), (u64)-EINVAL);                   \
    } while (0)

static void old_encodings(void)
{
    REWRITES("\x40", X86_MODE32, "\xff\xc0");                     /* inc eax */
    REWRITES("\x4c", X86_MODE16, "\x66\x41\xff\xc9");             /* dec sp */
    REWRITES("\xa1\x00\x10", X86_MODE16, "\x65\x66\x41\x8b\x02"); /* mov ax, [1000h] */
    REWRITES("\x82\xc1\x05", X86_MODE32, "\x80\xc1\x05");         /* add cl, 5 */
}

static void what_cannot_be(void)
{
    REFUSES("\x27", X86_MODE32);             /* daa */
    REFUSES("\x50", X86_MODE64);             /* push */
    REFUSES("\x62\x00", X86_MODE32);         /* bound */
    REFUSES("\x8a\x20", X86_MODE32);         /* mov ah, [eax] with a base over R7 */
    REFUSES("\x0f\xae\x00", X86_MODE64);     /* fxsave */
    REFUSES("\xd9\x30", X86_MODE32);         /* fnstenv */
    REFUSES("\x66\x0f\xf7\xc1", X86_MODE64); /* maskmovdqu */
}

int main(void)
{
    CASE(operation_stays);
    CASE(old_encodings);
    CASE(what_cannot_be);
    return check_end();
}
