/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translation cache: shared memory mapped twice, so that no mapping is both writable and
 * executable; blocks by physical address, pc and mode; which pages hold translated code;
 * direct links between blocks.  Code is only ever freed all at once.
 */
#include "engine/translate/keep.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { CHUNK = 1 << 20, QUIET = 32, AHEAD = 256 << 10 };
/* So many stores to a page of code in so many ticks of the host's clock: it holds data too. */
enum { HITS = 128, HITS_USER = 12 }; /* kernels patch theirs now and then, programs write it */
#define HITS_TICKS 30000000ull
#define CALM_TICKS 3000000000ull
/*
 * Translated code that an idle guest keeps, with its records: after so many ns of little work, and
 * after IDLE_LONG of such times.  What its idling needs is made again at once and stays.
 */
enum {
    IDLE_KEEP = 16 << 20,
    IDLE_KEEP_LONG = 4 << 20,
    IDLE_LONG = 8,
    IDLE_PCT = 5,
    IDLE_SAVE = 2000
};
#define IDLE_NS ((i64)2 * 1000000000)
#define IDLE_TICKS 10000000000ull /* looked at again when so many have gone by */
struct chunk {
    struct chunk *next;
    u32 used, pad;
    u8 data[CHUNK - 16];
};
_Static_assert(sizeof(struct chunk) == CHUNK, "whole pages");

static void *cache_reserve(u64 n)
{
    void *p =
        mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

/*
 * One piece of shared memory mapped a second time; no name, so perf takes its map file for it.
 * Neither mapping is ever writable and executable.
 */
int cache_map(u64 size, u8 **rw, u8 **rx, struct err *e)
{
    u8 *w = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    u8 *x = w == MAP_FAILED ? MAP_FAILED : mremap(w, 0, size, MREMAP_MAYMOVE);

    if (x == MAP_FAILED || mprotect(x, size, PROT_READ | PROT_EXEC)) {
        int rc = err_set(e, -errno, "the host allows no executable memory for translated code");

        if (w != MAP_FAILED)
            munmap(w, size);
        if (x != MAP_FAILED)
            munmap(x, size);
        return rc;
    }
    *rw = w;
    *rx = x;
    return 0;
}

int cache_open(struct engine *g, struct err *e)
{
    int rc;

    g->size = g->options.cache_size ? g->options.cache_size : 256u << 20;
    g->size = (max_u64(g->size, 1 << 20) + PAGE - 1) & -(u64)PAGE;
    g->size = min_u64(g->size, 1u << 30);
    g->room = (u32)(g->size / 64);
    g->pages = 1u << 28; /* 1 TiB of guest memory */
    g->hash = cache_reserve(HASH_SIZE * sizeof(*g->hash));
    g->blocks = cache_reserve(g->room * sizeof(*g->blocks));
    g->page = cache_reserve(g->pages);
    g->direct = cache_reserve(g->pages);
    if (!g->hash || !g->blocks || !g->page || !g->direct)
        return err_set(e, -ENOMEM, "no address space for the translator's tables");
    rc = cache_map(g->size, &g->rw, &g->rx, e);
    return rc ? rc : glue_emit(g);
}

static void cache_free_chunks(struct engine *g)
{
    while (g->chunks) {
        struct chunk *c = g->chunks;

        g->chunks = c->next;
        g->record_bytes -= sizeof(*c);
        munmap(c, sizeof(*c));
    }
}

void cache_close(struct engine *g)
{
    cache_free_chunks(g);
    if (g->hash)
        munmap(g->hash, HASH_SIZE * sizeof(*g->hash));
    if (g->blocks)
        munmap(g->blocks, g->room * sizeof(*g->blocks));
    if (g->page)
        munmap((void *)g->page, g->pages);
    if (g->direct)
        munmap(g->direct, g->pages);
    if (g->rw) {
        munmap(g->rw, g->size);
        munmap(g->rx, g->size);
    }
}

/* Pages of the code cache come many at a time: a fault for each would take longer. */
void cache_ahead(struct engine *g)
{
    while (g->ready < g->used + AHEAD && g->ready < g->size) {
        u64 n = min_u64(AHEAD, g->size - g->ready);

        madvise(g->rw + g->ready, n, MADV_POPULATE_WRITE);
        madvise(g->rx + g->ready, n, MADV_POPULATE_READ);
        g->ready += n;
    }
}

void *cache_alloc(struct engine *g, size_t n)
{
    struct chunk *c = g->chunks;
    void *p;

    n = (n + 15) & ~(size_t)15;
    if (n > sizeof(c->data))
        return NULL;
    if (!c || c->used + n > sizeof(c->data)) {
        c = cache_reserve(sizeof(*c)); /* calloc may use vector registers */
        if (!c)
            return NULL;
        c->next = g->chunks;
        madvise(c, sizeof(*c), MADV_POPULATE_WRITE);
        g->chunks = c;
        g->record_bytes += sizeof(*c);
    }
    p = c->data + c->used;
    c->used += (u32)n;
    return p;
}

static u32 cache_hash(u64 gpa, u64 pc, u32 mode)
{
    u64 h = (gpa ^ pc >> 7 ^ (u64)mode << 20) * 0x9e3779b97f4a7c15ull;

    return h >> 40 & (HASH_SIZE - 1);
}

struct block *cache_find(struct engine *g, u64 gpa, u64 gpa2, u64 pc, u32 mode)
{
    struct block *b = g->hash[cache_hash(gpa, pc, mode)];

    while (b && (b->gpa != gpa || b->pc != pc || b->mode != mode || (b->gpa2 && b->gpa2 != gpa2)))
        b = b->hash_next;
    return b;
}

static struct code_page **cache_page_slot(struct engine *g, u64 gpa)
{
    struct code_page **p = &g->page_hash[gpa >> 12 & (PAGE_HASH - 1)];

    while (*p && (*p)->gpa != gpa)
        p = &(*p)->next;
    return p;
}

/* The page, made known if it is not; NULL: no memory. */
static struct code_page *cache_page(struct engine *g, u64 gpa)
{
    struct code_page **slot = cache_page_slot(g, gpa);

    if (!*slot) {
        struct code_page *p = cache_alloc(g, sizeof(*p));

        if (p)
            p->gpa = gpa;
        *slot = p;
    }
    return *slot;
}

static int cache_page_add(struct engine *g, u64 gpa, struct block *b, u64 lines)
{
    struct code_page *p = cache_page(g, gpa);

    if (!p)
        return -ENOMEM;
    if (gpa == (b->gpa & -(u64)PAGE)) {
        b->page_next = p->first;
        p->first = b;
    } else {
        b->page2_next = p->second;
        p->second = b;
    }
    p->user = b->mode & MODE_USER;
    p->lines |= lines;
    p->quiet = 0;
    return 0;
}

static void cache_hash_add(struct engine *g, struct block *b)
{
    u32 h = cache_hash(b->gpa, b->pc, b->mode);

    b->hash_next = g->hash[h];
    g->hash[h] = b;
}

int cache_add(struct engine *g, struct block *b)
{
    if (cache_page_add(g, b->gpa & -(u64)PAGE, b, b->lines) ||
        (b->gpa2 && cache_page_add(g, b->gpa2, b, 1)))
        return -ENOMEM;
    cache_hash_add(g, b);
    return 0;
}

struct block *cache_by_host(struct engine *g, const u8 *rx)
{
    u32 lo = 0, hi = g->nblock;

    while (hi - lo > 1) {
        u32 mid = (lo + hi) / 2;

        if (g->blocks[mid]->code <= rx)
            lo = mid;
        else
            hi = mid;
    }
    return g->nblock && rx >= g->blocks[lo]->code && rx < g->blocks[lo]->end ? g->blocks[lo] : NULL;
}

/* One aligned store: other vCPUs may be running over it. */
static void cache_patch(u8 *rel, const u8 *to)
{
    i32 d = (i32)(to - (rel + 4));

    __atomic_store_n((i32 *)(void *)rel, d, __ATOMIC_RELEASE);
}

void cache_link(struct engine *g, struct block_exit *x, struct block *to)
{
    if (x->to || x->from->dead || to->dead || to->gpa2)
        return;
    x->to = to;
    x->next = to->incoming;
    to->incoming = x;
    cache_patch(x->rel, engine_rw(g, x->host_flags ? to->entry_host : to->entry));
}

static void cache_unlink(struct block_exit *x)
{
    struct block_exit **p = &x->to->incoming;

    while (*p != x)
        p = &(*p)->next;
    *p = x->next;
    x->to = NULL;
    cache_patch(x->rel, x->stub);
}

void cache_unlink_exits(struct engine *g, struct block *b)
{
    for (u32 i = 0; i < b->nexit; i++)
        if (b->exits[i].to)
            cache_unlink(&b->exits[i]);
}

int cache_trace(struct engine *g, u64 gpa, struct block *b, u64 lines)
{
    struct code_page *p = cache_page(g, gpa);
    struct trace_ref *r = cache_alloc(g, sizeof(*r));

    if (!p || !r)
        return -ENOMEM;
    *r = (struct trace_ref){ .next = p->traces, .b = b, .lines = lines };
    p->traces = r;
    p->lines |= lines;
    p->quiet = 0;
    return 0;
}

/* A trace is there instead of its head from now. */
void cache_install(struct engine *g, struct block *b)
{
    struct block *head = b->trace->head;

    cache_hash_add(g, b);
    while (head->incoming)
        cache_unlink(head->incoming);
    for (u32 i = 0; i < MAX_VCPUS; i++)
        if (g->vcpu[i])
            jump_drop(g->vcpu[i], head->pc, head->entry);
}

void cache_kill(struct engine *g, struct block *b)
{
    struct block **p = &g->hash[cache_hash(b->gpa, b->pc, b->mode)];

    atomic_store(&b->dead, true);
    atomic_fetch_add(&g->kills, 1);
    while (*p != b)
        p = &(*p)->hash_next;
    *p = b->hash_next;
    while (b->incoming)
        cache_unlink(b->incoming);
    cache_unlink_exits(g, b);
    for (u32 i = 0; i < MAX_VCPUS; i++)
        if (g->vcpu[i])
            jump_drop(g->vcpu[i], b->pc, b->entry);
    atomic_fetch_add(&g->kills, 1);
    for (u32 i = 0; b->trace && i < MAX_VCPUS; i++) /* its loop is not left by itself */
        if (g->vcpu[i] && g->vcpu[i]->inside)
            atomic_store(&g->vcpu[i]->c.pending, 1);
    g->count_invalid++;
}

/* Drop dead blocks from a page's lists; what is left says which lines are code. */
static void cache_page_sweep(struct engine *g, struct code_page *p)
{
    struct block **b;

    p->lines = 0;
    for (b = &p->first; *b;) {
        if ((*b)->dead) {
            *b = (*b)->page_next;
        } else {
            p->lines |= (*b)->lines;
            b = &(*b)->page_next;
        }
    }
    for (b = &p->second; *b;) {
        if ((*b)->dead) {
            *b = (*b)->page2_next;
        } else {
            p->lines |= 1;
            b = &(*b)->page2_next;
        }
    }
    for (struct trace_ref **r = &p->traces; *r;) {
        if ((*r)->b->dead) {
            *r = (*r)->next;
        } else {
            p->lines |= (*r)->lines;
            r = &(*r)->next;
        }
    }
}

bool cache_verifies(struct engine *g, u64 gpa)
{
    const struct code_page *p = *cache_page_slot(g, gpa);

    return (p && p->verify) || g->direct[gpa >> 12];
}

static void cache_page_kill(struct engine *g, struct code_page *p)
{
    for (struct block *b = p->first; b; b = b->page_next)
        if (!b->dead)
            cache_kill(g, b);
    for (struct block *b = p->second; b; b = b->page2_next)
        if (!b->dead)
            cache_kill(g, b);
    for (struct trace_ref *r = p->traces; r; r = r->next)
        if (!r->b->dead)
            cache_kill(g, r->b);
    p->first = p->second = NULL;
    p->traces = NULL;
    p->lines = 0;
}

void cache_unseen(struct engine *g, u64 gpa)
{
    struct code_page *p;

    if (!(atomic_load(&g->page[gpa >> 12]) & PAGE_CODE))
        return;
    p = *cache_page_slot(g, gpa);
    if (p)
        cache_page_kill(g, p);
    atomic_fetch_and(&g->page[gpa >> 12], (u8)~PAGE_CODE);
}

/* Seen stores that do not stop coming cost more than comparing the code before it runs. */
static bool cache_page_is_busy(struct engine *g, struct code_page *p)
{
    u64 now = __builtin_ia32_rdtsc();

    if (now - p->since > HITS_TICKS) {
        p->since = now;
        p->hits = 0;
    }
    if (++p->hits < (p->user ? HITS_USER : HITS) || g->options.check)
        return false;
    cache_page_kill(g, p);
    if (!p->verify) { /* it may have been watched again since, for what begins before it */
        p->verify = true;
        p->verify_next = g->verify;
        g->verify = p;
    }
    atomic_fetch_and(&g->page[p->gpa >> 12], (u8)~PAGE_CODE);
    return true;
}

void cache_calm(struct engine *g)
{
    u64 now = __builtin_ia32_rdtsc();
    struct code_page *p;

    if (!g->verify || now - g->verify_tried < CALM_TICKS)
        return;
    pthread_mutex_lock(&g->lock);
    g->verify_tried = now;
    for (p = g->verify; p; p = p->verify_next) {
        cache_page_kill(g, p);
        p->verify = false;
        p->hits = 0;
    }
    g->verify = NULL;
    pthread_mutex_unlock(&g->lock);
}

/* What was translated from these lines goes. */
static void cache_page_drop(struct engine *g, struct code_page *p, u64 lines)
{
    if (!(p->lines & lines))
        return;
    for (struct block *b = p->first; b; b = b->page_next)
        if (!b->dead && b->lines & lines)
            cache_kill(g, b);
    for (struct block *b = p->second; b; b = b->page2_next)
        if (!b->dead && lines & 1)
            cache_kill(g, b);
    for (struct trace_ref *r = p->traces; r; r = r->next)
        if (!r->b->dead && r->lines & lines)
            cache_kill(g, r->b);
    cache_page_sweep(g, p);
}

/* `done`: the store that was told of before has been done since. */
static void cache_wrote_page(struct engine *g, u64 gpa, u64 off, u64 len, bool done)
{
    struct code_page *p = *cache_page_slot(g, gpa);
    u64 last = (off + len - 1) / 64, lines = (~0ull >> (63 - last)) & (~0ull << (off / 64));

    if (!p)
        atomic_fetch_and(&g->page[gpa >> 12], (u8)~PAGE_CODE);
    if (!p || (!done && cache_page_is_busy(g, p)))
        return;
    /* code that is rewritten comes back soon: only after some stores is it a page of data */
    if (!done && !p->lines && ++p->quiet > QUIET)
        atomic_fetch_and(&g->page[gpa >> 12], (u8)~PAGE_CODE);
    cache_page_drop(g, p, lines);
}

static bool cache_told(struct engine *g, u64 gpa, u64 len, bool done)
{
    bool code = false;

    while (len) {
        u64 page = gpa & -(u64)PAGE, off = gpa - page, n = min_u64(len, PAGE - off);

        if (page >> 12 < g->pages && atomic_load(&g->page[page >> 12]) & PAGE_CODE) {
            pthread_mutex_lock(&g->lock);
            cache_wrote_page(g, page, off, n, done);
            pthread_mutex_unlock(&g->lock);
            code = true;
        }
        gpa += n;
        len -= n;
    }
    return code;
}
bool cache_wrote(struct engine *g, u64 gpa, u64 len)
{
    return cache_told(g, gpa, len, false);
}
void cache_wrote_done(struct engine *g, u64 gpa, u64 len)
{
    cache_told(g, gpa, len, true);
}

void cache_empty(struct engine *g)
{
    for (u32 i = 0; i < PAGE_HASH; i++)
        for (struct code_page *p = g->page_hash[i]; p; p = p->next)
            atomic_fetch_and(&g->page[p->gpa >> 12], (u8)~PAGE_CODE);
    for (u32 i = 0; i < PAGE_HASH; i++)
        g->page_hash[i] = NULL;
    trace_beside_forget(g);
    cache_free_chunks(g);
    /* the memory goes back to the host, and what is read next is zeroes */
    madvise(g->hash, HASH_SIZE * sizeof(*g->hash), MADV_DONTNEED);
    madvise(g->blocks, g->room * sizeof(*g->blocks), MADV_DONTNEED);
    madvise(g->rw + g->start, g->size - g->start, MADV_REMOVE);
    g->verify = NULL;
    g->nblock = 0;
    g->nslot = 0;
    g->used = g->start;
    g->ready = 0;
    g->count_full++;
}

bool cache_is_too_much(struct vcpu *v)
{
    struct engine *g = v->engine;
    u64 now = __builtin_ia32_rdtsc();
    struct timespec t;
    i64 ns, cpu;
    u64 keep;
    bool idle;

    if (now - atomic_load(&g->idle_looked) < IDLE_TICKS)
        return false;
    pthread_mutex_lock(&g->lock);
    atomic_store(&g->idle_looked, now);
    ns = stats_now();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    cpu = (i64)t.tv_sec * 1000000000 + t.tv_nsec;
    idle = ns - g->idle_ns > IDLE_NS && (cpu - g->idle_cpu) * 100 < (ns - g->idle_ns) * IDLE_PCT;
    g->idle_ns = ns;
    g->idle_cpu = cpu;
    if (idle && g->keep && keep_unsaved(g->keep) > IDLE_SAVE) {
        vcpu_spill(v);
        keep_save(g->keep); /* nobody is kept waiting now, and the end may come without warning */
    }
    g->idle_times = idle ? g->idle_times + (g->idle_times <= IDLE_LONG) : 0;
    keep = g->idle_times == IDLE_LONG ? IDLE_KEEP_LONG : IDLE_KEEP; /* once: then it is past it */
    idle = idle && g->used - g->start + g->record_bytes > keep;
    pthread_mutex_unlock(&g->lock);
    return idle;
}
