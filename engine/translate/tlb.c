/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables that translated code looks in: linear page to host memory, guest pc to host pc,
 * and the page cache of code for the dispatcher.  Each belongs to one vCPU; other threads
 * only take entries away, by making a tag one that never matches.
 */
#include "engine/translate/direct.h"

/* What no pc that is looked for at this entry is: its own place is another. */
static u64 jump_nowhere(u32 at)
{
    return 1ull << 63 | !at;
}

static void used_add(u64 *used, u32 at)
{
    used[at / USED_GROUP / 64] |= 1ull << at / USED_GROUP % 64;
}

/* The first entry of the next used group from *word on, which is then used no more; -1: none. */
static i32 used_next(u64 *used, u32 words, u32 *word)
{
    while (*word < words && !used[*word])
        ++*word;
    if (*word == words)
        return -1;
    u32 bit = (u32)__builtin_ctzll(used[*word]);

    used[*word] &= used[*word] - 1;
    return (i32)((*word * 64 + bit) * USED_GROUP);
}

static void tlb_clear_set(struct vcpu *v, u32 set)
{
    struct tlb_entry *t = v->tlb[set];
    u32 word = 0;
    i32 at;

    while ((at = used_next(v->tlb_used[set], USED_TLB, &word)) >= 0)
        for (u32 i = 0; i < USED_GROUP; i++)
            t[at + (i32)i].read = t[at + (i32)i].write = TLB_NONE;
    v->stack[set].page = SLOT_NONE;
}

/* The supervisor's own set: only what is not global; its log holds just those. */
static void tlb_clear_local(struct vcpu *v)
{
    struct fill_log *l = &v->tlb_log;
    struct tlb_entry *t = v->tlb[1];

    v->stack[1].page = SLOT_NONE;
    if (l->n <= LOG_SIZE) {
        for (u32 i = 0; i < l->n; i++)
            if (!(t[l->at[i]].gpa & 1))
                t[l->at[i]].read = t[l->at[i]].write = TLB_NONE;
    } else {
        for (u32 i = 0; i < TLB_SIZE; i++)
            if (!(t[i].gpa & 1))
                t[i].read = t[i].write = TLB_NONE;
    }
    l->n = 0;
}

static void log_add(struct fill_log *l, u32 at)
{
    if (l->n < LOG_SIZE)
        l->at[l->n] = (u16)at;
    if (l->n <= LOG_SIZE)
        l->n++;
}

static void jump_forget(struct vcpu *v, u32 slot, u32 at)
{
    struct jump *j = &v->jumps[jump_first(slot) + at];

    __atomic_store_n(&j->pc, jump_nowhere(at), __ATOMIC_RELAXED);
    j->host = engine_rx(v->engine, v->engine->no_jump);
}
static void jump_clear(struct vcpu *v, u32 slot, bool all)
{
    struct fill_log *l = &v->jump_log[slot];

    if (!all && l->n <= LOG_SIZE) {
        for (u32 i = 0; i < l->n; i++)
            jump_forget(v, slot, l->at[i]);
    } else {
        u32 word = 0;
        i32 at;

        while ((at = used_next(v->jump_used[slot], USED_JUMP, &word)) >= 0)
            for (u32 i = 0; i < USED_GROUP; i++)
                jump_forget(v, slot, (u32)at + i);
        for (u32 i = 0; i < LEN(v->jump_pages[slot]); i++)
            v->jump_pages[slot][i] = 0;
    }
    l->n = 0;
}

/* Entries of one page, and of an instruction that reaches into it. */
static void jump_clear_page(struct vcpu *v, u32 slot, u64 page)
{
    u32 bit = page >> 12 & 0xfff, before = (page - PAGE) >> 12 & 0xfff;

    if (!(v->jump_pages[slot][bit / 64] >> bit % 64 & 1) &&
        !(v->jump_pages[slot][before / 64] >> before % 64 & 1))
        return;
    for (u64 pc = page - 15; pc != page + PAGE; pc++) {
        u32 at = pc & jump_mask(slot);

        if (v->jumps[jump_first(slot) + at].pc == pc)
            jump_forget(v, slot, at);
    }
}

static bool large_test(const struct vcpu *v, u64 lin)
{
    u32 a = lin >> 21 & 0xffff, b = lin >> 30 & 0xffff;

    return v->large[0][a / 64] >> a % 64 & 1 || v->large[1][b / 64] >> b % 64 & 1;
}
static void large_add(struct vcpu *v, u64 lin, u64 size)
{
    bool huge = size > 1ull << 22;
    u32 a = lin >> (huge ? 30 : 21) & 0xffff;

    v->large_used = true;
    v->large[huge][a / 64] |= 1ull << a % 64;
    if (size == 1u << 22) {
        a ^= 1; /* 4 MiB: two of 2 MiB */
        v->large[0][a / 64] |= 1ull << a % 64;
    }
}

static void code_clear(struct vcpu *v, enum x86_flush how)
{
    for (u32 i = 0; i < CODE_TLB; i++)
        if (how == FLUSH_ALL || !(v->code[i].gpa & 1))
            v->code[i].page = TLB_NONE;
}

static void tlb_flush_page(struct vcpu *v, u64 lin)
{
    u64 page = lin & -(u64)PAGE;
    u32 at = lin >> 12 & (TLB_SIZE - 1);

    for (u32 s = 0; s < TLB_SETS; s++) {
        struct tlb_entry *t = &v->tlb[s][at];

        if (t->read == page || t->write == page)
            t->read = t->write = TLB_NONE;
        if (v->stack[s].page == page)
            v->stack[s].page = SLOT_NONE;
    }
    for (u32 i = 0; i < JUMP_SLOTS; i++)
        jump_clear_page(v, i, page);
    at = lin >> 12 & (CODE_TLB - 1);
    if ((v->code[at].page & -(u64)PAGE) == page)
        v->code[at].page = TLB_NONE;
}

/* All that is not global. */
static void tlb_flush_local(struct vcpu *v)
{
    tlb_clear_set(v, 0);
    tlb_clear_set(v, 2);
    jump_clear(v, 0, false);
    jump_clear(v, 3, false);
    code_clear(v, FLUSH_NONGLOBAL);
    tlb_clear_local(v);
    jump_clear(v, 1, false);
    jump_clear(v, 2, false);
}

void tlb_flush(struct vcpu *v, enum x86_flush how, u64 lin)
{
    v->flushed = true;
    if (v->direct)
        direct_flush(v, how, lin);
    atomic_store_explicit(&v->slots_drop, true, memory_order_relaxed);
    if (how == FLUSH_SWITCH) {
        spaces_save(v, lin & ~FLUSH_KEEPS);
        tlb_flush_local(v);
        if (lin & FLUSH_KEEPS)
            spaces_restore(v);
        else
            spaces_drop(v, false);
        return;
    }
    spaces_drop(v, how != FLUSH_PAGE || v->global_user); /* INVLPG drops global ones of all */
    if (how == FLUSH_PAGE && !large_test(v, lin)) {
        tlb_flush_page(v, lin);
        return;
    }
    if (how == FLUSH_NONGLOBAL) {
        tlb_flush_local(v);
        return;
    }
    if (how == FLUSH_PAGE)
        spaces_drop(v, true);
    tlb_clear_set(v, 0);
    tlb_clear_set(v, 2);
    jump_clear(v, 0, true);
    jump_clear(v, 3, true);
    code_clear(v, FLUSH_ALL);
    tlb_clear_set(v, 1);
    v->tlb_log.n = 0;
    jump_clear(v, 1, true);
    jump_clear(v, 2, true);
    for (u32 i = 0; v->large_used && i < LEN(v->large[0]); i++)
        v->large[0][i] = v->large[1][i] = 0;
    v->large_used = false;
}

/* How many entries were last made writable for pages like this one; 255: it is not known. */
static u8 *wrote_like(struct vcpu *v, u32 page)
{
    return &v->wrote_like[(page * 0x9e3779b1u) >> (32 - WROTE_BITS)];
}

void tlb_init(struct vcpu *v)
{
    *wrote_like(v, 0) = 255; /* what all entries start with */
    for (u32 s = 0; s < TLB_SETS; s++)
        for (u32 i = 0; i < USED_TLB; i++)
            v->tlb_used[s][i] = ~0ull;
    for (u32 s = 0; s < JUMP_SLOTS; s++)
        for (u32 i = 0; i < (jump_mask(s) + 1) / USED_GROUP / 64; i++)
            v->jump_used[s][i] = ~0ull;
    tlb_flush(v, FLUSH_ALL, 0);
}

static _Atomic u8 *page_flags(struct engine *g, u64 gpa)
{
    return gpa >> 12 < g->pages ? &g->page[gpa >> 12] : NULL;
}

/* May stores to the page be done by translated code?  Says that they are. */
static bool tlb_claim_write(struct engine *g, u64 gpa)
{
    _Atomic u8 *f = page_flags(g, gpa);

    if (!f)
        return false;
    if (!(atomic_load_explicit(f, memory_order_relaxed) & PAGE_WRITTEN))
        atomic_fetch_or(f, PAGE_WRITTEN);
    return !(atomic_load(f) & PAGE_CODE);
}

/* May a page that was read be written too, without a look at the tables? */
static bool tlb_may_write(struct vcpu *v, const struct x86_mapping *m, bool write)
{
    const struct x86_state *s = &v->c.s;
    bool keys = s->cr4 & (m->user ? CR4_PKE : CR4_PKS);

    if (write)
        return true;
    if (keys && (m->user ? s->pkru : s->pkrs) >> 2 * m->key & 3)
        return false;
    return m->write && m->dirty && (x86_cpl(s) != 3 || m->user);
}

/* Before the entry says so, and before it is asked whether the page is code. */
static void wrote_note(struct vcpu *v, u32 set, u32 at, u32 page)
{
    u8 *was = wrote_like(v, v->wrote[set][at]), *is = wrote_like(v, page);

    if (*is != 255)
        __atomic_store_n(is, *is + 1, __ATOMIC_RELAXED);
    if (*was != 255)
        __atomic_store_n(was, *was - 1, __ATOMIC_RELAXED);
    __atomic_store_n(&v->wrote[set][at], page, __ATOMIC_RELAXED);
}

static bool tlb_fill_entry(struct vcpu *v, u64 lin, bool write)
{
    struct engine *g = v->engine;
    u64 page = lin & -(u64)PAGE, gpa;
    u32 set = mode_set(v->mode), at = lin >> 12 & (TLB_SIZE - 1);
    struct tlb_entry *t = &v->tlb[set][at];
    const struct mem_slot *slot;
    struct x86_mapping m;
    bool writable;

    if (!x86_canonical(&v->c, lin)) /* the walk looks at the low bits only */
        return false;
    if (x86_walk(&v->c, page, write, false, ACCESS_CPL, &m))
        return false;
    gpa = m.gpa & -(u64)PAGE;
    slot = x86_slot(&g->mem, gpa);
    if (!slot)
        return false;
    writable = !slot->readonly && tlb_may_write(v, &m, write) && (write || !slot->log_dirty);
    t->write = TLB_NONE;
    t->read = TLB_NONE;
    t->addend = (u64)(uintptr_t)slot->host + (gpa - slot->gpa) - page;
    t->gpa = gpa | m.global;
    if (writable && tlb_claim_write(g, gpa)) {
        if (slot->log_dirty)
            x86_memory_mark(&g->mem, gpa, PAGE);
        t->write = page;
        wrote_note(v, set, at, (u32)(gpa >> 12));
        atomic_thread_fence(memory_order_seq_cst);
        if (!tlb_claim_write(g, gpa)) /* it became code between */
            t->write = TLB_NONE;
    }
    t->read = page;
    used_add(v->tlb_used[set], at);
    if (set == 1 && !m.global)
        log_add(&v->tlb_log, at);
    if (m.size > PAGE)
        large_add(v, page, m.size);
    return !write || t->write == page;
}

bool tlb_fill(struct vcpu *v, u64 lin, bool write)
{
    bool done = tlb_fill_entry(v, lin, write);

    v->stats.miss[write] += done;
    v->stats.refused += !done;
    return done;
}

/* Entries that are not for the page any more are left alone: their own page may be of data. */
static void tlb_drop_vcpu(struct vcpu *v, u64 gpa)
{
    u64 one = gpa >> 12, two = one | one << 32;

    for (u32 s = 0; s < TLB_SETS; s++)
        __atomic_store_n(&v->stack[s].page, SLOT_NONE, __ATOMIC_RELAXED);
    if (!__atomic_load_n(wrote_like(v, (u32)one), __ATOMIC_RELAXED))
        return;
    for (u32 s = 0; s < TLB_SETS; s++) {
        const u64 *pairs = (const u64 *)(const void *)v->wrote[s];

        for (u32 i = 0; i < TLB_SIZE; i += 2) {
            u64 x = __atomic_load_n(&pairs[i / 2], __ATOMIC_RELAXED) ^ two;

            for (u32 k = 0; (!(u32)x || !(x >> 32)) && k < 2; k++)
                if ((v->tlb[s][i + k].gpa & -(u64)PAGE) == gpa)
                    __atomic_store_n(&v->tlb[s][i + k].write, TLB_NONE, __ATOMIC_RELAXED);
        }
    }
}

void tlb_put(struct vcpu *v, u32 set, u32 at, const struct tlb_entry *e)
{
    struct engine *g = v->engine;
    struct tlb_entry *t = &v->tlb[set][at];
    u64 gpa = e->gpa & -(u64)PAGE;

    t->read = t->write = TLB_NONE;
    t->addend = e->addend;
    t->gpa = e->gpa;
    if (e->write != TLB_NONE && tlb_claim_write(g, gpa)) {
        t->write = e->write;
        wrote_note(v, set, at, (u32)(gpa >> 12));
        atomic_thread_fence(memory_order_seq_cst);
        if (!tlb_claim_write(g, gpa)) /* it became code between */
            t->write = TLB_NONE;
    }
    t->read = e->read;
    used_add(v->tlb_used[set], at);
}

void jump_put(struct vcpu *v, u32 slot, const struct jump *from)
{
    u32 at = from->pc & jump_mask(slot), page = from->pc >> 12 & 0xfff;
    struct jump *j = &v->jumps[jump_first(slot) + at];

    __atomic_store_n(&j->pc, jump_nowhere(at), __ATOMIC_RELAXED);
    __atomic_store_n(&j->host, from->host, __ATOMIC_RELEASE);
    __atomic_store_n(&j->pc, from->pc, __ATOMIC_RELEASE);
    used_add(v->jump_used[slot], at);
    log_add(&v->jump_log[slot], at);
    v->jump_pages[slot][page / 64] |= 1ull << page % 64;
}

void tlb_drop_writes(struct engine *g, u64 gpa)
{
    _Atomic u8 *f = page_flags(g, gpa);
    u8 was = atomic_fetch_or(f, PAGE_CODE);

    if (was & PAGE_CODE || !(was & PAGE_WRITTEN))
        return;
    atomic_fetch_and(f, (u8)~PAGE_WRITTEN);
    for (u32 n = 0; n < MAX_VCPUS; n++)
        if (g->vcpu[n])
            tlb_drop_vcpu(g->vcpu[n], gpa);
    if (g->nslot)
        trace_drop_writes(g);
}

const u8 *tlb_code(struct vcpu *v, u64 lin, u64 *gpa)
{
    u64 page = lin & -(u64)PAGE, tag = page | (v->mode & MODE_USER ? 1 : 0);
    struct code_tlb *t = &v->code[lin >> 12 & (CODE_TLB - 1)];
    struct x86_mapping m;
    u8 *host;

    if (t->page != tag) {
        if (!x86_canonical(&v->c, lin) || x86_walk(&v->c, page, false, true, ACCESS_CPL, &m))
            return NULL;
        m.gpa &= -(u64)PAGE;
        host = x86_ram(&v->engine->mem, m.gpa, PAGE, false);
        if (!host || m.gpa >> 12 >= v->engine->pages)
            return NULL;
        t->page = tag;
        t->gpa = m.gpa | m.global;
        t->host = host;
        if (m.size > PAGE)
            large_add(v, page, m.size);
    }
    *gpa = t->gpa;
    return t->host;
}

void jump_slot(struct vcpu *v, u32 mode)
{
    u32 slot = mode_slot(mode);
    u64 base = slot == 3 ? v->c.s.seg[SEG_CS].base : 0;

    if (v->slot_mode[slot] == mode && v->slot_base[slot] == base)
        return;
    jump_clear(v, slot, true);
    v->slot_mode[slot] = mode;
    v->slot_base[slot] = base;
}

void jump_add(struct vcpu *v, u32 mode, u64 pc, const struct block *b, bool global)
{
    u32 slot = mode_slot(mode), at = pc & jump_mask(slot), page = pc >> 12 & 0xfff;
    struct jump *j = &v->jumps[jump_first(slot) + at];

    jump_slot(v, mode);
    __atomic_store_n(&j->pc, jump_nowhere(at), __ATOMIC_RELAXED);
    __atomic_store_n(&j->host, b->entry, __ATOMIC_RELEASE);
    __atomic_store_n(&j->pc, pc, __ATOMIC_SEQ_CST);
    used_add(v->jump_used[slot], at);
    v->global_user |= global && slot == 0;
    if (!(global && (slot == 1 || slot == 2)))
        log_add(&v->jump_log[slot], at);
    v->jump_pages[slot][page / 64] |= 1ull << page % 64;
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&b->dead))
        jump_forget(v, slot, at);
}

void jump_drop(struct vcpu *v, u64 pc, const u8 *host)
{
    for (u32 s = 0; s < JUMP_SLOTS; s++) {
        for (u32 at = pc & (PAGE - 1); at <= jump_mask(s); at += PAGE) {
            struct jump *j = &v->jumps[jump_first(s) + at];

            if (__atomic_load_n(&j->host, __ATOMIC_ACQUIRE) == host)
                __atomic_store_n(&j->pc, jump_nowhere(at), __ATOMIC_SEQ_CST);
        }
    }
}
