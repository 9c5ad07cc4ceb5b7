/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paging against a second, slower statement of the rules; accesses across pages; A and D. */
#include "engine/x86/cpu_rig.h"
#include "engine/x86/x86_int.h"
#include "tests/check.h"

enum {
    TOP = 0x100000,
    MID = 0x101000,
    DIR = 0x102000,
    TAB = 0x103000,
    LIN = 0x400000,
    PAGE_AT = 0x200000
};
enum { P = 1, W = 2, U = 4, A = 32, D = 64, PS = 128 };
#define NX (1ull << 63)

enum mode { MODE_32, MODE_PAE, MODE_LONG, MODES };

static void mmu_mode(struct rig *r, enum mode mode)
{
    struct x86_state *s = &r->c->s;

    rig_protected(r, 0);
    s->cr3 = TOP;
    s->cr0 |= CR0_PG;
    s->cr4 = mode == MODE_32 ? CR4_PSE : CR4_PAE;
    s->efer = mode == MODE_LONG ? EFER_LME | EFER_LMA | EFER_NXE : mode == MODE_PAE ? EFER_NXE : 0;
    memset(r->ram + TOP, 0, 0x4000);
    if (mode == MODE_LONG)
        put_le64(r->ram + TOP, MID | P | W | U);
    if (mode == MODE_LONG)
        put_le64(r->ram + MID, DIR | P | W | U);
    for (u32 i = 0; mode == MODE_PAE && i < 4; i++)
        s->pdpte[i] = DIR | P;
    if (mode == MODE_32)
        s->cr3 = DIR;
}

/* The two entries that lead to LIN. */
static u8 *mmu_dir(struct rig *r, enum mode mode)
{
    return r->ram + DIR + (mode == MODE_32 ? LIN >> 22 << 2 : LIN >> 21 << 3);
}
static u8 *mmu_tab(struct rig *r, enum mode mode)
{
    return r->ram + TAB + (mode == MODE_32 ? (LIN >> 12 & 1023) << 2 : (LIN >> 12 & 511) << 3);
}
static void mmu_put(u8 *at, enum mode mode, u64 v)
{
    if (mode == MODE_32)
        put_le32(at, (u32)v);
    else
        put_le64(at, v);
}
static u64 mmu_get(const u8 *at, enum mode mode)
{
    return mode == MODE_32 ? le32(at) : le64(at);
}

struct access {
    bool user, write, fetch, wp, smep, smap, ac, explicit;
};

/* SDM 4.6 said once more, as a list of what is forbidden. */
static u32 mmu_expect(enum mode mode, u64 dir, u64 tab, const struct access *a)
{
    bool u = dir & tab & U, w = dir & tab & W, nx = mode != MODE_32 && ((dir | tab) & NX), bad;
    u32 code = (a->write ? 2 : 0) | (a->user ? 4 : 0) |
               (a->fetch && (mode != MODE_32 || a->smep) ? 16 : 0);

    if (!(dir & P) || !(tab & P))
        return code | 1u << 31;
    if (a->user)
        bad = !u || (a->write && !w) || (a->fetch && nx);
    else if (a->fetch)
        bad = nx || (u && a->smep);
    else
        bad = (u && a->smap && !(a->explicit && a->ac)) || (a->write && !w && a->wp);
    return bad ? code | 1 | 1u << 31 : 0;
}

static void mmu_matrix_of(struct rig *r, enum mode mode)
{
    for (u32 bits = 0; bits < 64; bits++) {
        u64 dir = TAB | (bits & 7) | (mode != MODE_32 && (bits & 8) ? NX : 0);
        u64 tab = PAGE_AT | (bits >> 3 & 7) | (mode != MODE_32 && (bits & 1) ? NX : 0);

        for (u32 n = 0; n < 256; n++) {
            struct access a = { n & 1, n & 2, n & 4, n & 8, n & 16, n & 32, n & 64, n & 128 };
            enum x86_access how = a.user ? ACCESS_USER : a.explicit ? ACCESS_CPL : ACCESS_SYSTEM;
            struct x86_mapping m;
            u32 got;

            if (a.write && a.fetch)
                continue;
            mmu_put(mmu_dir(r, mode), mode, dir);
            mmu_put(mmu_tab(r, mode), mode, tab);
            r->c->s.cr0 = (r->c->s.cr0 & ~(u64)CR0_WP) | (a.wp ? CR0_WP : 0);
            r->c->s.cr4 = (r->c->s.cr4 & ~(u64)(CR4_SMEP | CR4_SMAP)) | (a.smep ? CR4_SMEP : 0) |
                          (a.smap ? CR4_SMAP : 0);
            r->c->s.rflags = FLAG_ONE | (a.ac ? FLAG_AC : 0);
            got = x86_walk(r->c, LIN + 0x123, a.write, a.fetch, how, &m);
            CHECK_EQ(got, mmu_expect(mode, dir, tab, &a));
            if (!got) {
                CHECK_EQ(m.gpa, PAGE_AT + 0x123);
                CHECK_EQ(mmu_get(mmu_dir(r, mode), mode), dir | A);
                CHECK_EQ(mmu_get(mmu_tab(r, mode), mode), tab | A | (a.write ? D : 0));
            } else {
                CHECK_EQ(mmu_get(mmu_tab(r, mode), mode), tab);
            }
        }
    }
}

static void permission_matrix(void)
{
    struct rig r;

    rig_open(&r);
    for (enum mode mode = 0; mode < MODES; mode++) {
        mmu_mode(&r, mode);
        mmu_matrix_of(&r, mode);
    }
    rig_close(&r);
}

static void large_pages(void)
{
    struct x86_mapping m;
    struct rig r;

    rig_open(&r);
    mmu_mode(&r, MODE_32);
    mmu_put(mmu_dir(&r, MODE_32), MODE_32, 0x00400000 | 3 << 13 | PS | P | W); /* PSE-36 */
    CHECK_EQ(x86_walk(r.c, LIN + 0x123456, false, false, ACCESS_SYSTEM, &m), 0);
    CHECK_EQ(m.gpa, 0x300523456);
    CHECK_EQ(m.size, 4 << 20);
    mmu_put(mmu_dir(&r, MODE_32), MODE_32, 0x00400000 | 1 << 21 | PS | P | W);
    CHECK_EQ(x86_walk(r.c, LIN, false, false, ACCESS_SYSTEM, &m), 1u << 31 | 9);
    r.c->s.cr4 = 0; /* without PSE the bit means nothing */
    mmu_put(mmu_dir(&r, MODE_32), MODE_32, TAB | PS | P | W);
    mmu_put(mmu_tab(&r, MODE_32), MODE_32, PAGE_AT | P | W);
    CHECK_EQ(x86_walk(r.c, LIN, false, false, ACCESS_SYSTEM, &m), 0);
    CHECK_EQ(m.gpa, PAGE_AT);
    mmu_mode(&r, MODE_LONG);
    mmu_put(mmu_dir(&r, MODE_LONG), MODE_LONG, 0x200000 | PS | P | W);
    CHECK_EQ(x86_walk(r.c, LIN + 0x54321, false, false, ACCESS_SYSTEM, &m), 0);
    CHECK_EQ(m.gpa, 0x254321);
    CHECK_EQ(m.size, 2 << 20);
    if (x86_has_gib_pages()) {
        put_le64(r.ram + MID, PS | P | W);
        CHECK_EQ(x86_walk(r.c, LIN + 0x54321, false, false, ACCESS_SYSTEM, &m), 0);
        CHECK_EQ(m.size, 1 << 30);
        CHECK_EQ(m.gpa, LIN + 0x54321);
        put_le64(r.ram + MID, PS | P | W | 1 << 20);
        CHECK_EQ(x86_walk(r.c, LIN, false, false, ACCESS_SYSTEM, &m), 1u << 31 | 9);
    }
    rig_close(&r);
}

static void reserved_bits(void)
{
    struct x86_mapping m;
    struct rig r;

    rig_open(&r);
    mmu_mode(&r, MODE_LONG);
    for (u32 bit = 12; bit < 64; bit++) {
        bool high = bit >= x86_phys_bits() && bit < 52;
        u64 e = (PAGE_AT | P | W | U) ^ (1ull << bit);

        mmu_put(mmu_dir(&r, MODE_LONG), MODE_LONG, TAB | P | W | U);
        mmu_put(mmu_tab(&r, MODE_LONG), MODE_LONG, e);
        CHECK_EQ(x86_walk(r.c, LIN, false, false, ACCESS_SYSTEM, &m), high ? 1u << 31 | 9 : 0);
        CHECK_EQ(x86_walk(r.c, LIN, true, false, ACCESS_USER, &m), high ? 1u << 31 | 15 : 0);
    }
    mmu_put(mmu_tab(&r, MODE_LONG), MODE_LONG, PAGE_AT | P | NX);
    r.c->s.efer &= ~(u64)EFER_NXE;
    CHECK_EQ(x86_walk(r.c, LIN, false, true, ACCESS_SYSTEM, &m), 1u << 31 | 9);
    r.c->s.efer |= EFER_NXE;
    put_le64(r.ram + TOP, MID | P | PS);
    CHECK_EQ(x86_walk(r.c, LIN, false, false, ACCESS_SYSTEM, &m), 1u << 31 | 9);
    mmu_mode(&r, MODE_PAE);
    mmu_put(mmu_dir(&r, MODE_PAE), MODE_PAE, TAB | P | 1ull << 62);
    CHECK_EQ(x86_walk(r.c, LIN, false, false, ACCESS_SYSTEM, &m), 1u << 31 | 9);
    rig_close(&r);
}

static void protection_keys(void)
{
    struct x86_mapping m;
    struct rig r;

    rig_open(&r);
    mmu_mode(&r, MODE_LONG);
    r.c->s.cr4 |= CR4_PKE;
    r.c->s.cr0 |= CR0_WP;
    mmu_put(mmu_dir(&r, MODE_LONG), MODE_LONG, TAB | P | W | U);
    mmu_put(mmu_tab(&r, MODE_LONG), MODE_LONG, PAGE_AT | P | W | U | 5ull << 59);
    r.c->s.pkru = 2u << 10; /* key 5: no writes */
    CHECK_EQ(x86_walk(r.c, LIN, false, false, ACCESS_USER, &m), 0);
    CHECK_EQ(m.key, 5);
    CHECK_EQ(x86_walk(r.c, LIN, true, false, ACCESS_USER, &m), 1u << 31 | 1 | 2 | 4 | 32);
    CHECK_EQ(x86_walk(r.c, LIN, true, false, ACCESS_SYSTEM, &m), 1u << 31 | 1 | 2 | 32);
    r.c->s.cr0 &= ~(u64)CR0_WP;
    CHECK_EQ(x86_walk(r.c, LIN, true, false, ACCESS_SYSTEM, &m), 0);
    r.c->s.pkru = 1u << 10; /* no access */
    CHECK_EQ(x86_walk(r.c, LIN, false, false, ACCESS_USER, &m), 1u << 31 | 1 | 4 | 32);
    CHECK_EQ(x86_walk(r.c, LIN, false, true, ACCESS_USER, &m), 0);
    rig_close(&r);
}

static void supervisor_keys(void)
{
    struct x86_mapping m;
    struct rig r;

    rig_open(&r);
    mmu_mode(&r, MODE_LONG);
    r.c->s.cr4 |= CR4_PKS;
    r.c->s.cr0 |= CR0_WP;
    mmu_put(mmu_dir(&r, MODE_LONG), MODE_LONG, TAB | P | W | U);
    mmu_put(mmu_tab(&r, MODE_LONG), MODE_LONG, PAGE_AT | P | W | 5ull << 59);
    x86_wrmsr(r.c, 0x6e1, 2u << 10); /* key 5: no writes */
    CHECK_EQ(x86_walk(r.c, LIN, false, false, ACCESS_SYSTEM, &m), 0);
    CHECK_EQ(x86_walk(r.c, LIN, true, false, ACCESS_SYSTEM, &m), 1u << 31 | 1 | 2 | 32);
    x86_wrmsr(r.c, 0x6e1, 1u << 10); /* no access */
    CHECK_EQ(x86_walk(r.c, LIN, false, false, ACCESS_SYSTEM, &m), 1u << 31 | 1 | 32);
    CHECK_EQ(x86_walk(r.c, LIN, false, true, ACCESS_SYSTEM, &m), 0);
    mmu_put(mmu_tab(&r, MODE_LONG), MODE_LONG, PAGE_AT | P | W | U | 5ull << 59);
    CHECK_EQ(x86_walk(r.c, LIN, true, false, ACCESS_USER, &m), 0);
    rig_close(&r);
}

static void try_write(struct x86_cpu *c, const u64 *a)
{
    x86_write(c, a[0], (u32)a[1], a[2], ACCESS_CPL);
}
static void try_read(struct x86_cpu *c, const u64 *a)
{
    c->s.gpr[RAX] = x86_read(c, a[0], (u32)a[1], ACCESS_CPL);
}

static void page_crossing(void)
{
    struct rig r;
    u64 old, want = 0x8877665544332211, seen = 0;

    rig_open(&r);
    mmu_mode(&r, MODE_LONG);
    mmu_put(mmu_dir(&r, MODE_LONG), MODE_LONG, TAB | P | W);
    mmu_put(mmu_tab(&r, MODE_LONG), MODE_LONG, PAGE_AT | P | W);
    CHECK_EQ(rig_try(&r, try_write, LIN + 0xffe, 4, 0x11223344), VEC_PF);
    CHECK_EQ(r.c->fault.address, LIN + 0x1000);
    CHECK_EQ(r.c->fault.code, 2);
    CHECK_EQ(le16(r.ram + PAGE_AT + 0xffe), 0); /* nothing was stored */
    mmu_put(mmu_tab(&r, MODE_LONG) + 8, MODE_LONG, (PAGE_AT + 0x5000) | P | W);
    CHECK_EQ(rig_try(&r, try_write, LIN + 0xffe, 4, 0x11223344), -1);
    CHECK_EQ(le16(r.ram + PAGE_AT + 0xffe), 0x3344);
    CHECK_EQ(le16(r.ram + PAGE_AT + 0x5000), 0x1122);
    CHECK_EQ(rig_try(&r, try_read, LIN + 0xffd, 8, 0), -1);
    CHECK_EQ(r.c->s.gpr[RAX], 0x1122334400);
    old = r.c->s.gpr[RAX];
    CHECK(x86_cmpxchg(r.c, LIN + 0xffd, 8, &seen, &old, &want));
    CHECK_EQ(seen, old);
    CHECK(!x86_cmpxchg(r.c, LIN + 0xffd, 8, &seen, &old, &want));
    CHECK_EQ(seen, want);
    rig_close(&r);
}

static void outside_ram(void)
{
    struct rig r;

    rig_open(&r);
    rig_protected(&r, 0);
    r.rom[16] = 0x5a;
    CHECK_EQ(rig_try(&r, try_write, RIG_ROM + 16, 4, ~0u), -1);
    CHECK_EQ(r.rom[16], 0x5a);
    CHECK_EQ(r.stores, 1); /* for a device behind it */
    CHECK_EQ(r.last_gpa, RIG_ROM + 16);
    CHECK_EQ(rig_try(&r, try_write, RIG_HOLE + 8, 4, 0x12345678), -1);
    CHECK_EQ(r.stores, 2);
    CHECK_EQ(r.last_gpa, RIG_HOLE + 8);
    CHECK_EQ(r.last_val, 0x12345678);
    CHECK_EQ(rig_try(&r, try_read, RIG_HOLE, 2, 0), -1);
    CHECK_EQ(r.c->s.gpr[RAX], 0x7788);
    CHECK(!x86_host(r.c, RIG_HOLE, 4, false, ACCESS_CPL));
    CHECK(!x86_host(r.c, RIG_ROM, 4, true, ACCESS_CPL));
    CHECK(x86_host(r.c, RIG_ROM, 4, false, ACCESS_CPL) == r.rom);
    rig_close(&r);
}

static void flushing(void)
{
    struct mem_slot other = { .gpa = 0, .len = 4096 };
    struct rig r;

    rig_open(&r);
    mmu_mode(&r, MODE_LONG);
    mmu_put(mmu_dir(&r, MODE_LONG), MODE_LONG, PS | P | W);
    CHECK_EQ(rig_try(&r, try_read, LIN + 0x3000, 8, 0), -1);
    mmu_put(mmu_dir(&r, MODE_LONG), MODE_LONG, 0);
    CHECK_EQ(rig_try(&r, try_read, LIN + 0x3000, 8, 0), -1); /* still in the TLB */
    x86_flush(r.c, FLUSH_PAGE, LIN);                         /* any address of the large page */
    CHECK_EQ(rig_try(&r, try_read, LIN + 0x3000, 8, 0), VEC_PF);
    mmu_put(mmu_dir(&r, MODE_LONG), MODE_LONG, TAB | P | W);
    mmu_put(mmu_tab(&r, MODE_LONG), MODE_LONG, P | W);
    r.ram[0] = 1;
    CHECK_EQ(rig_try(&r, try_read, LIN, 1, 0), -1);
    CHECK_EQ(r.c->s.gpr[RAX], 1);
    mmu_put(mmu_tab(&r, MODE_LONG), MODE_LONG, 0);
    CHECK_EQ(rig_try(&r, try_read, LIN, 1, 0), -1);
    x86_flush(r.c, FLUSH_PAGE, LIN + 0x1000);
    CHECK_EQ(rig_try(&r, try_read, LIN, 1, 0), -1);
    x86_flush(r.c, FLUSH_PAGE, LIN);
    CHECK_EQ(rig_try(&r, try_read, LIN, 1, 0), VEC_PF);
    rig_protected(&r, 0);
    CHECK_EQ(rig_try(&r, try_read, 0, 1, 0), -1);
    other.host = r.rom; /* another map: host addresses are forgotten */
    r.rom[0] = 77;
    CHECK_EQ(x86_memory_set(&r.mem, &other, 1, NULL), 0);
    CHECK_EQ(rig_try(&r, try_read, 0, 1, 0), -1);
    CHECK_EQ(r.c->s.gpr[RAX], 77);
    rig_close(&r);
}

static void slots(void)
{
    static u8 pages[3 * 4096] __attribute__((aligned(4096)));
    struct mem_slot s[2] = { { .gpa = 0x2000, .len = 0x2000, .host = pages },
                             { .gpa = 0x1000, .len = 0x1000, .host = pages, .log_dirty = true } };
    struct x86_memory m;
    u64 bits = 0;

    CHECK_EQ(x86_memory_init(&m), 0);
    CHECK(!x86_slot(&m, 0x2000));
    CHECK_EQ(x86_memory_set(&m, s, 2, NULL), 0);
    CHECK(!x86_slot(&m, 0xfff));
    CHECK_EQ(x86_slot(&m, 0x1fff)->gpa, 0x1000);
    CHECK_EQ(x86_slot(&m, 0x2000)->gpa, 0x2000);
    CHECK(!x86_slot(&m, 0x4000));
    CHECK(!x86_ram(&m, 0x3fff, 2, false));
    CHECK(x86_ram(&m, 0x1008, 2, true) == pages + 8);
    CHECK_EQ(x86_memory_dirty(&m, &s[1], &bits), 0);
    CHECK_EQ(bits, 1);
    CHECK_EQ(x86_memory_dirty(&m, &s[1], &bits), 0);
    CHECK_EQ(bits, 0);
    CHECK(x86_memory_dirty(&m, &s[0], &bits) < 0);
    s[1].gpa = 0x3000;
    CHECK(x86_memory_set(&m, s, 2, NULL) < 0);
    s[1].gpa = 0x801;
    CHECK(x86_memory_set(&m, s, 2, NULL) < 0);
    CHECK_EQ(x86_slot(&m, 0x1fff)->gpa, 0x1000);
    x86_memory_fini(&m);
}

int main(void)
{
    CASE(permission_matrix);
    CASE(large_pages);
    CASE(reserved_bits);
    CASE(protection_keys);
    CASE(supervisor_keys);
    CASE(page_crossing);
    CASE(outside_ram);
    CASE(flushing);
    CASE(slots);
    return check_end();
}
