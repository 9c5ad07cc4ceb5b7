/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paging: from linear to guest-physical addresses in every mode, Intel SDM volume 3A chapter
 * 4.  Accessed and dirty bits are set only when the whole walk has succeeded, by
 * compare-and-swap; an entry that changed meanwhile is walked again.
 */
#include "engine/x86/atomic_int.h"
#include "engine/x86/x86_int.h"

enum {
    PTE_P = 1 << 0,
    PTE_W = 1 << 1,
    PTE_U = 1 << 2,
    PTE_A = 1 << 5,
    PTE_D = 1 << 6,
    PTE_PS = 1 << 7,
    PTE_G = 1 << 8,
};
#define PTE_NX (1ull << 63)
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16, PF_PK = 32 };
#define WALK_FAULT (1u << 31)
enum { WALK_LEVELS = 5, WALK_TRIES = 64 };

struct walk_entry {
    u64 gpa, val;
};
struct walk {
    u64 lin;
    u32 levels, wide; /* bytes of an entry: 4 or 8 */
    struct walk_entry e[WALK_LEVELS];
    u32 n;      /* entries used */
    u64 rights; /* W and U of all, NX of any */
    u64 base, size;
};

static u64 mmu_mask(u32 high, u32 low) /* bits high..low */
{
    return high < low ? 0 : (~0ull >> (63 - high)) & (~0ull << low);
}

static u64 mmu_entry(struct x86_cpu *c, u64 gpa, u32 wide)
{
    const u8 *p = x86_ram(c->mem, gpa, wide, false);

    if (!p)
        return c->io->load(c->io->arg, gpa, wide);
    return wide == 4 ? __atomic_load_n((const u32 *)p, __ATOMIC_ACQUIRE)
                     : __atomic_load_n((const u64 *)p, __ATOMIC_ACQUIRE);
}

/* false when the entry has changed meanwhile */
static bool mmu_mark(struct x86_cpu *c, struct walk_entry *e, u32 wide, u64 bits)
{
    u64 want = e->val | bits, old = e->val;
    u8 *p;

    if (want == old)
        return true;
    p = x86_ram(c->mem, e->gpa, wide, true);
    if (p) {
        if (c->hooks && c->hooks->wrote)
            c->hooks->wrote(c, e->gpa, wide);
        if (!x86_atomic_cas(p, wide, &old, &old, &want))
            return false;
    } else if (!x86_slot(c->mem, e->gpa)) {
        c->io->store(c->io->arg, e->gpa, wide, want);
    }
    e->val = want;
    return true;
}

/* Bits that must be 0 in a present entry of the level (1: page table) in 8-byte formats. */
static u64 mmu_reserved(const struct x86_cpu *c, u32 level, bool leaf)
{
    u32 phys = x86_phys_bits();
    u64 r = mmu_mask(x86_long(&c->s) ? 51 : 62, phys);

    if (!(c->s.efer & EFER_NXE))
        r |= PTE_NX;
    if (level >= 4 || (level == 3 && !x86_has_gib_pages()))
        r |= PTE_PS;
    if (leaf && level == 3)
        r |= mmu_mask(29, 13);
    if (leaf && level == 2)
        r |= mmu_mask(20, 13);
    return r;
}

static bool mmu_leaf(const struct x86_cpu *c, const struct walk *w, u32 level, u64 e)
{
    if (level == 1)
        return true;
    if (!(e & PTE_PS))
        return false;
    return level == 2 ? w->wide == 8 || (c->s.cr4 & CR4_PSE) : level == 3;
}

/* 4-byte entries: the page of a 4 MiB entry has its high bits in 20:13 (PSE-36). */
static bool mmu_large32(struct walk *w, u64 e)
{
    u32 phys = x86_phys_bits();

    if (e & (1 << 21))
        return false;
    if (phys < 40 && (e & mmu_mask(20, 13 + phys - 32)))
        return false;
    w->base = (e & 0xffc00000) | (e & mmu_mask(20, 13)) << 19;
    w->size = 4u << 20;
    return true;
}

/* Goes down the tables: 0, or the reason as PF_P, PF_RSVD bits with WALK_FAULT. */
static u32 mmu_descend(struct x86_cpu *c, struct walk *w, u64 table, u32 level)
{
    u32 bits = w->wide == 8 ? 9 : 10;

    for (;; level--) {
        u32 shift = 12 + bits * (level - 1);
        u64 index = (w->lin >> shift) & ((1u << bits) - 1), e;
        bool leaf;

        w->e[w->n].gpa = table + index * w->wide;
        e = w->e[w->n].val = mmu_entry(c, w->e[w->n].gpa, w->wide);
        w->n++;
        if (!(e & PTE_P))
            return WALK_FAULT;
        leaf = mmu_leaf(c, w, level, e);
        if (w->wide == 8 && (e & mmu_reserved(c, level, leaf)))
            return WALK_FAULT | PF_P | PF_RSVD;
        w->rights = (w->rights & (e & (PTE_W | PTE_U))) | ((w->rights | e) & PTE_NX);
        if (leaf) {
            w->size = 1ull << shift;
            w->base = e & mmu_mask(51, 12) & ~(w->size - 1);
            if (w->wide == 4 && level == 2 && !mmu_large32(w, e))
                return WALK_FAULT | PF_P | PF_RSVD;
            return 0;
        }
        table = e & (w->wide == 8 ? mmu_mask(51, 12) : mmu_mask(31, 12));
    }
}

static u32 mmu_tables(struct x86_cpu *c, struct walk *w)
{
    const struct x86_state *s = &c->s;

    w->n = 0;
    w->rights = PTE_W | PTE_U;
    w->wide = s->cr4 & CR4_PAE ? 8 : 4;
    if (x86_long(s))
        return mmu_descend(c, w, s->cr3 & mmu_mask(51, 12), s->cr4 & CR4_LA57 ? 5 : 4);
    w->lin = (u32)w->lin;
    if (s->cr4 & CR4_PAE) {
        u64 e = s->pdpte[w->lin >> 30];

        return e & PTE_P ? mmu_descend(c, w, e & mmu_mask(51, 12), 2) : WALK_FAULT;
    }
    return mmu_descend(c, w, s->cr3 & mmu_mask(31, 12), 2);
}

/* SDM 4.6.1 and 4.6.2 */
static u32 mmu_rights(const struct x86_cpu *c, const struct walk *w, bool write, bool fetch,
                      bool user, bool explicit)
{
    const struct x86_state *s = &c->s;
    bool upage = w->rights & PTE_U, wpage = w->rights & PTE_W, bad = false;
    u32 code = PF_P;

    if (user && !upage)
        bad = true;
    if (fetch) {
        bad |= w->rights >> 63;
        bad |= !user && upage && (s->cr4 & CR4_SMEP);
        return bad ? WALK_FAULT | code : 0;
    }
    if (!user && upage && (s->cr4 & CR4_SMAP))
        bad |= !explicit || !(s->rflags & FLAG_AC);
    if (write && !wpage && (user || (s->cr0 & CR0_WP)))
        bad = true;
    if (x86_long(s) && (s->cr4 & (upage ? CR4_PKE : CR4_PKS))) {
        u32 key = w->e[w->n - 1].val >> 59 & 0xf, r = (upage ? s->pkru : s->pkrs) >> 2 * key & 3;

        if ((r & 1) || ((r & 2) && write && (user || (s->cr0 & CR0_WP)))) {
            bad = true;
            code |= PF_PK;
        }
    }
    return bad ? WALK_FAULT | code : 0;
}

static u32 mmu_code(const struct x86_cpu *c, u32 r, bool write, bool fetch, bool user)
{
    bool nx = (c->s.efer & EFER_NXE) && (c->s.cr4 & CR4_PAE);

    return r | (write ? PF_W : 0) | (user ? PF_U : 0) |
           (fetch && (nx || (c->s.cr4 & CR4_SMEP)) ? PF_I : 0);
}

static bool mmu_user(const struct x86_cpu *c, enum x86_access a)
{
    return a == ACCESS_USER || (a == ACCESS_CPL && x86_cpl(&c->s) == 3);
}

static void mmu_identity(u64 lin, struct x86_mapping *m)
{
    *m = (struct x86_mapping){ .gpa = (u32)lin,
                               .size = 4096,
                               .user = true,
                               .write = true,
                               .exec = true,
                               .global = true,
                               .dirty = true };
}

static bool mmu_mark_all(struct x86_cpu *c, struct walk *w, bool write)
{
    for (u32 i = 0; i < w->n; i++) {
        u64 d = write && i == w->n - 1 ? PTE_D : 0;

        if (!mmu_mark(c, &w->e[i], w->wide, PTE_A | d))
            return false;
    }
    return true;
}

u32 x86_walk(struct x86_cpu *c, u64 lin, bool write, bool fetch, enum x86_access a,
             struct x86_mapping *m)
{
    bool user = mmu_user(c, a);
    struct walk w = { .lin = lin };
    u64 leaf;
    u32 r;

    if (!(c->s.cr0 & CR0_PG)) {
        mmu_identity(lin, m);
        return 0;
    }
    for (u32 i = 0;; i++) {
        r = mmu_tables(c, &w);
        if (!r)
            r = mmu_rights(c, &w, write, fetch, user, a != ACCESS_SYSTEM);
        if (r)
            return mmu_code(c, r, write, fetch, user);
        if (mmu_mark_all(c, &w, write) || i == WALK_TRIES)
            break;
    }
    leaf = w.e[w.n - 1].val;
    *m = (struct x86_mapping){
        .gpa = w.base | (w.lin & (w.size - 1)),
        .size = w.size,
        .user = w.rights & PTE_U,
        .write = w.rights & PTE_W,
        .exec = !(w.rights & PTE_NX),
        .global = (leaf & PTE_G) && (c->s.cr4 & CR4_PGE),
        .dirty = leaf & PTE_D,
        .key = x86_long(&c->s) ? leaf >> 59 & 0xf : 0,
    };
    return 0;
}

bool x86_peek(struct x86_cpu *c, u64 lin, u64 *gpa)
{
    struct walk w = { .lin = lin };

    if (!(c->s.cr0 & CR0_PG)) {
        *gpa = (u32)lin;
        return true;
    }
    if (mmu_tables(c, &w))
        return false;
    *gpa = w.base | (w.lin & (w.size - 1));
    return true;
}

u64 x86_translate(struct x86_cpu *c, u64 lin, bool write, bool fetch, enum x86_access a)
{
    struct x86_mapping m;
    u32 r = x86_walk(c, lin, write, fetch, a, &m);

    if (r)
        x86_raise_page(c, lin, r & ~WALK_FAULT);
    return m.gpa;
}

/* SDM 4.4.1: the four entries are read, and checked, when CR3 or the mode changes. */
void x86_load_pdptes(struct x86_cpu *c, u64 cr3, u64 cr0, u64 cr4)
{
    u64 e[4], reserved = mmu_mask(63, x86_phys_bits()) | mmu_mask(8, 5) | mmu_mask(2, 1);

    if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || (c->s.efer & EFER_LME))
        return;
    for (u32 i = 0; i < 4; i++) {
        e[i] = mmu_entry(c, (cr3 & mmu_mask(31, 5)) + 8 * i, 8);
        if ((e[i] & PTE_P) && (e[i] & reserved))
            x86_raise_code(c, VEC_GP, 0);
    }
    for (u32 i = 0; i < 4; i++)
        c->s.pdpte[i] = e[i];
}
