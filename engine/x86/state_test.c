/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/bytes.h"
#include "engine/x86/state.h"
#include "tests/check.h"
#include <stdlib.h>

static struct x86_state *state_new(void)
{
    struct x86_state *s = aligned_alloc(64, sizeof(*s));

    x86_state_reset(s, 0);
    return s;
}

static void table_covers_the_struct(void)
{
    u8 map[sizeof(struct x86_state)] = { 0 };
    struct err e = { 0 };

    CHECK_EQ(field_check(x86_state_fields, sizeof(struct x86_state), &e), 0);
    field_mark(x86_state_fields, map, sizeof(map));
    for (size_t i = 0; i < sizeof(map); i++)
        CHECK(map[i] == 1);
}

static void round_trip(void)
{
    struct x86_state *s = state_new(), *t = state_new();
    struct buf b = { 0 };

    for (u32 i = 0; i < 16; i++)
        s->gpr[i] = i * 0x1010101010101ull;
    s->seg[SEG_GS].base = 0xffff888000000000;
    s->idtr.limit = 0xfff;
    s->halted = true;
    s->xsave[831] = 0x5a;
    CHECK_EQ(field_save(x86_state_fields, s, &b), 0);
    CHECK_EQ(field_load(x86_state_fields, t, (struct span){ b.p, b.len }, NULL), 0);
    CHECK(!memcmp(s, t, sizeof(*s)));
    buf_fini(&b);
    free(s);
    free(t);
}

static void reset_and_init(void)
{
    struct x86_state *s = state_new();

    CHECK_EQ(s->seg[SEG_CS].base + s->rip, 0xfffffff0);
    CHECK_EQ(s->cr0, CR0_CD | CR0_NW | CR0_ET);
    CHECK_EQ(s->dr[6], 0xffff0ff0);
    CHECK_EQ(le32(s->xsave + 24), 0x1f80);
    CHECK_EQ(x86_state_check(s, NULL), 0);
    s->cr0 = CR0_PE | CR0_ET;
    s->pat = 0x01;
    s->tsc_aux = 7;
    s->xsave[100] = 9;
    s->halted = true;
    x86_state_init(s, 1);
    CHECK_EQ(s->cr0, CR0_ET);
    CHECK_EQ(s->pat, 1);
    CHECK_EQ(s->tsc_aux, 7);
    CHECK_EQ(s->xsave[100], 9);
    CHECK(!s->halted);
    CHECK_EQ(x86_state_check(s, NULL), 0);
    free(s);
}

static void impossible_states_are_refused(void)
{
    struct x86_state *s = state_new();
    struct err e = { 0 };

#define REFUSED(change)                                                                            \
    do {                                                                                           \
        x86_state_reset(s, 0);                                                                     \
        change;                                                                                    \
        CHECK(x86_state_check(s, &e) < 0);                                                         \
        CHECK(e.text[0]);                                                                          \
    } while (0)
    REFUSED(s->rflags = 0);
    REFUSED(s->rflags |= 1 << 3);
    REFUSED(s->cr0 |= CR0_PG);
    REFUSED(s->efer = EFER_LMA);
    REFUSED(s->efer = EFER_LME; s->cr0 |= CR0_PE | CR0_PG);
    REFUSED(s->efer = 1 << 20);
    REFUSED(s->cr4 = CR4_PCIDE);
    REFUSED(s->xsave[512] = 3);
    REFUSED(s->xcr0 = XCR0_AVX | XCR0_X87);
    REFUSED(s->xcr0 = 0);
    REFUSED(s->seg[SEG_SS].attr |= ATTR_DPL);
    REFUSED(s->seg[SEG_DS].attr |= 1u << 20);
    REFUSED(s->rflags |= FLAG_VM);
    REFUSED(s->dr[7] = 1ull << 40);
#undef REFUSED
    free(s);
}

int main(void)
{
    CASE(table_covers_the_struct);
    CASE(round_trip);
    CASE(reset_and_init);
    CASE(impossible_states_are_refused);
    return check_end();
}
