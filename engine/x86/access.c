/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses to linear memory, through a small direct-mapped TLB of the core's own.  A table
 * entry is true for one kind of access (read, write, fetch) in one context (supervisor,
 * supervisor with AC under SMAP, user), so a hit needs no check of rights.  Flushing moves
 * the epoch that is part of each tag.
 */
#include "engine/x86/atomic_int.h"
#include "engine/x86/x86_int.h"
#include <pthread.h>
#include <stdlib.h>

enum { PAGE = 4096, LIN_ENTRIES = 512, LIN_EPOCHS = 4096 };
enum lin_kind { LIN_READ, LIN_WRITE, LIN_EXEC, LIN_KINDS };
enum lin_context { LIN_SYSTEM, LIN_SYSTEM_AC, LIN_USER, LIN_CONTEXTS };

struct lin_entry {
    u64 tag;       /* linear page | epoch */
    u64 gpa;       /* of the page */
    u8 *host;      /* of the page, or NULL: not RAM */
    bool rom, log; /* writes: read-only, for whoever stands behind it; dirty bits are kept */
};
struct x86_lin_cache {
    const struct x86_slot_table *slots; /* what the host addresses are of */
    u64 epoch;
    u64 large_first, large_last; /* linear range that large pages were cached from */
    struct lin_entry e[LIN_CONTEXTS][LIN_KINDS][LIN_ENTRIES];
};

/* Stores that span two pages under a LOCK prefix: all vCPUs take turns. */
static pthread_mutex_t access_split_lock = PTHREAD_MUTEX_INITIALIZER;

int x86_lin_new(struct x86_cpu *c)
{
    c->lin = calloc(1, sizeof(*c->lin));
    if (!c->lin)
        return -1;
    c->lin->epoch = 1;
    c->lin->large_first = ~0ull;
    return 0;
}

void x86_lin_free(struct x86_cpu *c)
{
    free(c->lin);
    c->lin = NULL;
}

static void lin_forget(struct x86_lin_cache *l)
{
    if (++l->epoch == LIN_EPOCHS) {
        memset(l->e, 0, sizeof(l->e));
        l->epoch = 1;
    }
    l->large_first = ~0ull;
    l->large_last = 0;
}

static void lin_forget_page(struct x86_lin_cache *l, u64 lin)
{
    u32 i = lin / PAGE % LIN_ENTRIES;

    if (lin >= l->large_first && lin <= l->large_last) {
        lin_forget(l);
        return;
    }
    for (u32 ctx = 0; ctx < LIN_CONTEXTS; ctx++)
        for (u32 kind = 0; kind < LIN_KINDS; kind++)
            if (l->e[ctx][kind][i].tag / PAGE == lin / PAGE)
                l->e[ctx][kind][i].tag = 0;
}

void x86_flush(struct x86_cpu *c, enum x86_flush how, u64 lin)
{
    if (how == FLUSH_PAGE)
        lin_forget_page(c->lin, lin);
    else
        lin_forget(c->lin);
    if (c->hooks && c->hooks->flush)
        c->hooks->flush(c, how, lin);
}

static u32 lin_context(const struct x86_cpu *c, enum x86_access a)
{
    if (a == ACCESS_USER || (a == ACCESS_CPL && x86_cpl(&c->s) == 3))
        return LIN_USER;
    return a == ACCESS_CPL && (c->s.rflags & FLAG_AC) && (c->s.cr4 & CR4_SMAP) ? LIN_SYSTEM_AC
                                                                               : LIN_SYSTEM;
}

static void lin_fill(struct x86_cpu *c, struct lin_entry *e, u64 lin, enum lin_kind kind,
                     enum x86_access a)
{
    struct x86_lin_cache *l = c->lin;
    const struct mem_slot *s;
    struct x86_mapping m;
    u32 r = x86_walk(c, lin, kind == LIN_WRITE, kind == LIN_EXEC, a, &m);

    if (r)
        x86_raise_page(c, lin, r & ~(1u << 31));
    s = x86_slot(c->mem, m.gpa);
    e->tag = (lin & -(u64)PAGE) | l->epoch;
    e->gpa = m.gpa & -(u64)PAGE;
    e->host = s ? (u8 *)s->host + (e->gpa - s->gpa) : NULL;
    e->rom = s && s->readonly;
    e->log = s && s->log_dirty;
    if (m.size > PAGE) {
        u64 first = lin & -m.size;

        l->large_first = min_u64(l->large_first, first);
        l->large_last = max_u64(l->large_last, first + m.size - 1);
    }
}

static inline struct lin_entry *lin_get(struct x86_cpu *c, u64 lin, enum lin_kind kind,
                                        enum x86_access a)
{
    struct x86_lin_cache *l = c->lin;
    const struct x86_slot_table *now = atomic_load_explicit(&c->mem->now, memory_order_acquire);
    struct lin_entry *e;

    if (now != l->slots) {
        lin_forget(l);
        l->slots = now;
    }
    e = &l->e[lin_context(c, a)][kind][lin / PAGE % LIN_ENTRIES];
    if (e->tag != ((lin & -(u64)PAGE) | l->epoch))
        lin_fill(c, e, lin, kind, a);
    return e;
}

static inline u64 access_wrap(const struct x86_cpu *c, u64 lin)
{
    return x86_long(&c->s) ? lin : (u32)lin;
}

static inline u32 access_room(u64 lin) /* bytes to the end of the page */
{
    return PAGE - (lin & (PAGE - 1));
}

/* Part of one page from or to a place outside slots, by accesses that devices know. */
static void access_load_outside(struct x86_cpu *c, u64 gpa, u8 *to, u32 n)
{
    while (n) {
        u32 size = n >= 8 && !(gpa & 7)   ? 8
                   : n >= 4 && !(gpa & 3) ? 4
                   : n >= 2 && !(gpa & 1) ? 2
                                          : 1;
        u64 v = c->io->load(c->io->arg, gpa, size);

        x86_store_le(to, size, v);
        gpa += size;
        to += size;
        n -= size;
    }
}

static void access_store_outside(struct x86_cpu *c, u64 gpa, const u8 *from, u32 n)
{
    while (n) {
        u32 size = n >= 8 && !(gpa & 7)   ? 8
                   : n >= 4 && !(gpa & 3) ? 4
                   : n >= 2 && !(gpa & 1) ? 2
                                          : 1;

        c->io->store(c->io->arg, gpa, size, x86_load_le(from, size));
        gpa += size;
        from += size;
        n -= size;
    }
}

/* What must happen before a store to the RAM behind e. */
static inline void access_wrote(struct x86_cpu *c, const struct lin_entry *e, u64 gpa, u32 n)
{
    if (c->hooks && c->hooks->wrote)
        c->hooks->wrote(c, gpa, n);
    if (e->log)
        x86_memory_mark(c->mem, gpa, n);
}

static void access_load(struct x86_cpu *c, const struct lin_entry *e, u32 off, void *to, u32 n)
{
    if (e->host)
        memcpy(to, e->host + off, n);
    else
        access_load_outside(c, e->gpa + off, to, n);
}

static void access_store(struct x86_cpu *c, const struct lin_entry *e, u32 off, const void *from,
                         u32 n)
{
    if (!e->host || e->rom) {
        access_store_outside(c, e->gpa + off, from, n);
    } else {
        access_wrote(c, e, e->gpa + off, n);
        memcpy(e->host + off, from, n);
    }
}

void x86_read_bytes(struct x86_cpu *c, u64 lin, void *to, u32 n, enum x86_access a)
{
    u8 *p = to;

    if (x86_watching(c) && a == ACCESS_CPL)
        x86_watch(c, lin, n, false, false);
    while (n) {
        u32 part = (u32)min_u64(n, access_room(lin));

        lin = access_wrap(c, lin);
        access_load(c, lin_get(c, lin, LIN_READ, a), lin & (PAGE - 1), p, part);
        p += part;
        lin += part;
        n -= part;
    }
}

void x86_probe_write(struct x86_cpu *c, u64 lin, u32 n, enum x86_access a)
{
    while (n) {
        u32 part = (u32)min_u64(n, access_room(lin));

        lin = access_wrap(c, lin);
        lin_get(c, lin, LIN_WRITE, a);
        lin += part;
        n -= part;
    }
}

void x86_write_bytes(struct x86_cpu *c, u64 lin, const void *from, u32 n, enum x86_access a)
{
    const u8 *p = from;

    if (n > access_room(lin))
        x86_probe_write(c, lin, n, a);
    while (n) {
        u32 part = (u32)min_u64(n, access_room(lin));

        lin = access_wrap(c, lin);
        access_store(c, lin_get(c, lin, LIN_WRITE, a), lin & (PAGE - 1), p, part);
        if (x86_watching(c) && a == ACCESS_CPL)
            x86_watch(c, lin, part, true, false);
        p += part;
        lin += part;
        n -= part;
    }
}

u64 x86_read(struct x86_cpu *c, u64 lin, u32 size, enum x86_access a)
{
    const struct lin_entry *e;
    u64 v = 0;

    lin = access_wrap(c, lin);
    if (size > access_room(lin)) {
        x86_read_bytes(c, lin, &v, size, a);
        return v;
    }
    e = lin_get(c, lin, LIN_READ, a);
    if (x86_watching(c) && a == ACCESS_CPL)
        x86_watch(c, lin, size, false, false);
    if (e->host)
        return x86_load_le(e->host + (lin & (PAGE - 1)), size);
    v = c->io->load(c->io->arg, e->gpa + (lin & (PAGE - 1)), size);
    return size == 8 ? v : v & ((1ull << 8 * size) - 1);
}

void x86_write(struct x86_cpu *c, u64 lin, u32 size, u64 val, enum x86_access a)
{
    const struct lin_entry *e;
    u32 off;

    lin = access_wrap(c, lin);
    off = lin & (PAGE - 1);
    if (size > access_room(lin)) {
        x86_write_bytes(c, lin, &val, size, a);
        return;
    }
    e = lin_get(c, lin, LIN_WRITE, a);
    if (!e->host || e->rom) {
        c->io->store(c->io->arg, e->gpa + off, size,
                     size == 8 ? val : val & ((1ull << 8 * size) - 1));
    } else {
        access_wrote(c, e, e->gpa + off, size);
        x86_store_le(e->host + off, size, val);
    }
    if (x86_watching(c) && a == ACCESS_CPL)
        x86_watch(c, lin, size, true, false);
}

void *x86_host(struct x86_cpu *c, u64 lin, u32 n, bool write, enum x86_access a)
{
    const struct lin_entry *e;
    u32 off;

    lin = access_wrap(c, lin);
    off = lin & (PAGE - 1);
    if (n > PAGE - off)
        return NULL;
    e = lin_get(c, lin, write ? LIN_WRITE : LIN_READ, a);
    if (!e->host || (write && e->rom))
        return NULL;
    if (write)
        access_wrote(c, e, e->gpa + off, n);
    if (x86_watching(c) && a == ACCESS_CPL)
        x86_watch(c, lin, n, write, false);
    return e->host + off;
}

const u8 *x86_fetch_host(struct x86_cpu *c, u64 lin)
{
    const struct lin_entry *e;

    lin = access_wrap(c, lin);
    if (access_room(lin) < 16)
        return NULL;
    e = lin_get(c, lin, LIN_EXEC, ACCESS_CPL);
    return e->host ? e->host + (lin & (PAGE - 1)) : NULL;
}

u32 x86_fetch(struct x86_cpu *c, u64 lin, u8 code[16])
{
    enum { MOST = 15 };
    const struct lin_entry *e;
    struct x86_mapping m;
    u32 n;

    lin = access_wrap(c, lin);
    n = (u32)min_u64(MOST, access_room(lin));
    e = lin_get(c, lin, LIN_EXEC, ACCESS_CPL);
    access_load(c, e, lin & (PAGE - 1), code, n);
    if (n == MOST)
        return n;
    lin = access_wrap(c, lin + n);
    if (x86_walk(c, lin, false, true, ACCESS_CPL, &m))
        return n;
    access_load(c, lin_get(c, lin, LIN_EXEC, ACCESS_CPL), 0, code + n, MOST - n);
    return MOST;
}

bool x86_atomic_cas(void *p, u32 size, void *old, const void *expect, const void *want)
{
    u64 e[2] = { 0 }, w[2] = { 0 };
    bool done;

    memcpy(e, expect, size);
    memcpy(w, want, size);
    switch (size) {
    case 1:
        __asm__ volatile("lock cmpxchgb %3, %1"
                         : "=@ccz"(done), "+m"(*(u8 *)p), "+a"(e[0])
                         : "q"((u8)w[0])
                         : "memory");
        break;
    case 2:
        __asm__ volatile("lock cmpxchgw %3, %1"
                         : "=@ccz"(done), "+m"(*(u8 *)p), "+a"(e[0])
                         : "r"((u16)w[0])
                         : "memory");
        break;
    case 4:
        __asm__ volatile("lock cmpxchgl %3, %1"
                         : "=@ccz"(done), "+m"(*(u8 *)p), "+a"(e[0])
                         : "r"((u32)w[0])
                         : "memory");
        break;
    case 8:
        __asm__ volatile("lock cmpxchgq %3, %1"
                         : "=@ccz"(done), "+m"(*(u8 *)p), "+a"(e[0])
                         : "r"(w[0])
                         : "memory");
        break;
    default: /* 16, aligned */
        __asm__ volatile("lock cmpxchg16b %1"
                         : "=@ccz"(done), "+m"(*(u8 *)p), "+a"(e[0]), "+d"(e[1])
                         : "b"(w[0]), "c"(w[1])
                         : "memory");
    }
    memcpy(old, e, size);
    return done;
}

void x86_unsplit(struct x86_cpu *c)
{
    if (!c->split)
        return;
    c->split = false;
    pthread_mutex_unlock(&access_split_lock);
}

/* Across pages or outside RAM.  All that can fault happens before the lock is taken. */
static bool access_cmpxchg_split(struct x86_cpu *c, u64 lin, u32 size, void *old,
                                 const void *expect, const void *want)
{
    u32 first = (u32)min_u64(size, access_room(lin)), off = lin & (PAGE - 1);
    struct lin_entry e[2];
    bool same;

    e[0] = *lin_get(c, lin, LIN_WRITE, ACCESS_CPL);
    e[1] = first == size ? e[0] : *lin_get(c, access_wrap(c, lin + first), LIN_WRITE, ACCESS_CPL);
    pthread_mutex_lock(&access_split_lock);
    c->split = true;
    access_load(c, &e[0], off, old, first);
    access_load(c, &e[1], 0, (u8 *)old + first, size - first);
    same = !memcmp(old, expect, size);
    if (same) {
        access_store(c, &e[0], off, want, first);
        access_store(c, &e[1], 0, (const u8 *)want + first, size - first);
    } else { /* written back, SDM 2A CMPXCHG: what is not RAM can tell */
        if (!e[0].host || e[0].rom)
            access_store(c, &e[0], off, old, first);
        if (!e[1].host || e[1].rom)
            access_store(c, &e[1], 0, (const u8 *)old + first, size - first);
    }
    x86_unsplit(c);
    if (x86_watching(c))
        x86_watch(c, lin, size, true, false);
    return same;
}

bool x86_cmpxchg(struct x86_cpu *c, u64 lin, u32 size, void *old, const void *expect,
                 const void *want)
{
    void *p = x86_host(c, lin, size, true, ACCESS_CPL);

    if (p && !(size == 16 && ((uintptr_t)p & 15)))
        return x86_atomic_cas(p, size, old, expect, want);
    return access_cmpxchg_split(c, access_wrap(c, lin), size, old, expect, want);
}
