/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The metadata of an image in memory: tables are read and changed here, a page at a time,
 * and reach the disk in a commit.
 *
 * Readers take no lock: each page has a sequence number that is odd while it changes, and a
 * reader that saw it change looks again.  Pages are made once and then only reused, so a
 * reader never touches freed memory.
 *
 * A page that differs from the disk remembers, by sector, in which phase of a commit it has
 * to be written.  A commit copies what is dirty under the image's lock, then writes phase
 * after phase with a barrier between them; what becomes dirty meanwhile belongs to the next
 * one.  Data that a table refers to was written before the table was changed here, and the
 * barrier before the table's phase covers it.
 */
#include "image/image_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define META_PAGE 4096
#define META_SECTOR 512
#define META_SECTORS (META_PAGE / META_SECTOR)
#define META_WORDS (META_PAGE / 8)
#define META_SETS 1024
#define META_WAYS 8

struct meta_page {
    _Atomic u32 seq;
    _Atomic u32 hot;
    _Atomic u64 key;        /* file << 48 | page number; META_NONE: empty */
    u8 phase[META_SECTORS]; /* 0 clean, else 1 + phase; the image's lock or the cache's */
    bool dirty, writing;    /* either: stays in memory */
    struct meta_page *next; /* in its set; set before it is published */
    struct meta_page *next_dirty;
    _Atomic u64 words[META_WORDS];
};
#define META_NONE (~0ull)

struct meta_cache {
    pthread_mutex_t lock; /* filling and changing pages; innermost */
    struct meta_page *_Atomic sets[META_SETS];
    struct meta_page *dirty;
    size_t ndirty;
    u32 hand;
};

int meta_new(struct image *im)
{
    im->meta = calloc(1, sizeof(*im->meta));
    if (!im->meta)
        return -ENOMEM;
    pthread_mutex_init(&im->meta->lock, NULL);
    return 0;
}

void meta_free(struct image *im)
{
    if (!im->meta)
        return;
    for (size_t i = 0; i < META_SETS; i++) {
        struct meta_page *p = im->meta->sets[i], *next;

        for (; p; p = next) {
            next = p->next;
            free(p);
        }
    }
    pthread_mutex_destroy(&im->meta->lock);
    free(im->meta);
    im->meta = NULL;
}

static u64 meta_key(u32 file, u64 at)
{
    return (u64)file << 48 | (at / META_PAGE & 0xffffffffffff);
}

static struct meta_page *_Atomic *meta_set(struct meta_cache *m, u64 key)
{
    return &m->sets[(key * 0x9e3779b97f4a7c15) >> 54];
}

static struct meta_page *meta_find(struct meta_cache *m, u64 key)
{
    struct meta_page *p = atomic_load_explicit(meta_set(m, key), memory_order_acquire);

    while (p && atomic_load_explicit(&p->key, memory_order_acquire) != key)
        p = p->next;
    return p;
}

/* Copy out of a page; false: it changed meanwhile, or is another page by now. */
static bool meta_copy(struct meta_page *p, u64 key, u32 in, void *out, size_t n)
{
    u32 seq = atomic_load_explicit(&p->seq, memory_order_acquire);
    u8 *to = out;

    if (seq & 1 || atomic_load_explicit(&p->key, memory_order_relaxed) != key)
        return false;
    while (n) {
        u64 word = atomic_load_explicit(&p->words[in / 8], memory_order_relaxed);
        size_t take = min_u64(8 - in % 8, n);

        memcpy(to, (u8 *)&word + in % 8, take);
        in += (u32)take;
        to += take;
        n -= take;
    }
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&p->seq, memory_order_relaxed) != seq)
        return false;
    if (!atomic_load_explicit(&p->hot, memory_order_relaxed))
        atomic_store_explicit(&p->hot, 1, memory_order_relaxed);
    return true;
}

/* Between these two, readers look elsewhere.  The cache's lock is held. */
static void meta_change(struct meta_page *p)
{
    atomic_fetch_add_explicit(&p->seq, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}
static void meta_changed(struct meta_page *p)
{
    atomic_fetch_add_explicit(&p->seq, 1, memory_order_release);
}

static void meta_store(struct meta_page *p, u32 in, const u8 *from, size_t n)
{
    while (n) {
        u64 word = atomic_load_explicit(&p->words[in / 8], memory_order_relaxed);
        size_t take = min_u64(8 - in % 8, n);

        memcpy((u8 *)&word + in % 8, from, take);
        atomic_store_explicit(&p->words[in / 8], word, memory_order_relaxed);
        in += (u32)take;
        from += take;
        n -= take;
    }
}

/* A page to fill: a new one while the set is small, else one that has not been hot lately. */
static struct meta_page *meta_victim(struct meta_cache *m, u64 key)
{
    struct meta_page *_Atomic *set = meta_set(m, key), *first = *set, *p;
    unsigned n = 0, round;

    for (p = first; p; p = p->next)
        n++;
    for (round = 0; n >= META_WAYS && round < 2; round++)
        for (p = first; p; p = p->next)
            if (!p->dirty && !p->writing &&
                (!atomic_exchange_explicit(&p->hot, 0, memory_order_relaxed) || round))
                return p;
    p = calloc(1, sizeof(*p)); /* all others wait for a commit, or there are few */
    if (!p)
        return NULL;
    p->key = META_NONE;
    p->next = first;
    atomic_store_explicit(set, p, memory_order_release);
    return p;
}

/* The page of `key`, read if need be; the cache's lock is held. */
static int meta_load(struct image *im, u32 file, u64 at, struct meta_page **found)
{
    u64 key = meta_key(file, at), bytes[META_WORDS];
    struct meta_cache *m = im->meta;
    struct meta_page *p = meta_find(m, key);
    struct iovec v = { bytes, sizeof(bytes) };
    int r;

    if (!p) {
        r = image_file_readv(im, file, at & ~(u64)(META_PAGE - 1), &v, 1);
        if (r)
            return r;
        p = meta_victim(m, key);
        if (!p)
            return -ENOMEM;
        meta_change(p);
        atomic_store_explicit(&p->key, key, memory_order_relaxed);
        for (size_t i = 0; i < META_WORDS; i++)
            atomic_store_explicit(&p->words[i], bytes[i], memory_order_relaxed);
        meta_changed(p);
    }
    *found = p;
    return 0;
}

static int meta_get_page(struct image *im, u32 file, u64 at, void *out, size_t n)
{
    struct meta_cache *m = im->meta;
    struct meta_page *p = meta_find(m, meta_key(file, at));
    int r;

    if (p && meta_copy(p, meta_key(file, at), at % META_PAGE, out, n))
        return 0;
    pthread_mutex_lock(&m->lock);
    r = meta_load(im, file, at, &p);
    if (!r)
        meta_copy(p, meta_key(file, at), at % META_PAGE, out, n);
    pthread_mutex_unlock(&m->lock);
    return r;
}

int meta_get(struct image *im, u32 file, u64 at, void *out, size_t n)
{
    u8 *to = out;

    while (n) {
        size_t take = min_u64(META_PAGE - at % META_PAGE, n);
        int r = meta_get_page(im, file, at, to, take);

        if (r)
            return r;
        at += take;
        to += take;
        n -= take;
    }
    return 0;
}

static int meta_put_page(struct image *im, u32 phase, u32 file, u64 at, const u8 *from, size_t n)
{
    struct meta_cache *m = im->meta;
    u32 in = at % META_PAGE;
    struct meta_page *p;
    int r;

    pthread_mutex_lock(&m->lock);
    r = meta_load(im, file, at, &p);
    if (!r) {
        meta_change(p);
        meta_store(p, in, from, n);
        meta_changed(p);
        for (u32 s = in / META_SECTOR; s <= (in + n - 1) / META_SECTOR; s++)
            p->phase[s] = (u8)(phase + 1);
        if (!p->dirty) {
            p->dirty = true;
            p->next_dirty = m->dirty;
            m->dirty = p;
            m->ndirty++;
        }
    }
    pthread_mutex_unlock(&m->lock);
    return r;
}

int meta_put(struct image *im, u32 phase, u32 file, u64 at, const void *bytes, size_t n)
{
    const u8 *from = bytes;

    while (n) {
        size_t take = min_u64(META_PAGE - at % META_PAGE, n);
        int r = meta_put_page(im, phase, file, at, from, take);

        if (r)
            return r;
        at += take;
        from += take;
        n -= take;
    }
    return 0;
}

size_t meta_dirty(const struct image *im)
{
    return __atomic_load_n(&im->meta->ndirty, __ATOMIC_RELAXED);
}

void plan_write(struct image_plan *p, u32 phase, u32 file, u64 at, const void *bytes, size_t n)
{
    p->writes[p->nwrites].phase = phase;
    p->writes[p->nwrites].file = file;
    p->writes[p->nwrites].at = at;
    p->writes[p->nwrites].n = (u32)n;
    p->writes[p->nwrites].set = false;
    memcpy(p->writes[p->nwrites].bytes, bytes, n);
    p->nwrites++;
}

void plan_set(struct image_plan *p, u32 phase, u32 file, u64 at, const void *bits, size_t n)
{
    plan_write(p, phase, file, at, bits, n);
    p->writes[p->nwrites - 1].set = true;
}

void plan_free(struct image_plan *p, u64 at, u64 len)
{
    p->frees[p->nfrees].at = at;
    p->frees[p->nfrees++].len = len;
}

static int space_add(struct image_space *s, u64 at, u64 len)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        void *v = realloc(s->v, cap * sizeof(*s->v));

        if (!v)
            return -ENOMEM; /* leaked in the file, no more */
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n].at = at;
    s->v[s->n++].len = len;
    return 0;
}

static void space_move(struct image_space *to, struct image_space *from)
{
    for (size_t i = 0; i < from->n; i++)
        space_add(to, from->v[i].at, from->v[i].len);
    from->n = 0;
}

int plan_apply(struct image *im, const struct image_plan *p)
{
    u8 b[PLAN_BYTES];

    for (u32 i = 0; i < p->nwrites; i++) {
        const u8 *bytes = p->writes[i].bytes;
        int r = 0;

        if (p->writes[i].set) {
            r = meta_get(im, p->writes[i].file, p->writes[i].at, b, p->writes[i].n);
            for (u32 k = 0; k < p->writes[i].n; k++)
                b[k] |= bytes[k];
            bytes = b;
        }
        if (!r)
            r = meta_put(im, p->writes[i].phase, p->writes[i].file, p->writes[i].at, bytes,
                         p->writes[i].n);
        if (r)
            return r;
    }
    for (u32 i = 0; i < p->nfrees; i++)
        space_add(&im->dropped, p->frees[i].at, p->frees[i].len);
    return 0;
}

/* A copy of all that is dirty, taken at one instant. */
struct meta_copy {
    struct meta_page *page;
    u32 file;
    u64 at;
    u8 phase[META_SECTORS];
    u8 bytes[META_PAGE];
};

static int meta_snapshot(struct image *im, struct meta_copy **copies, size_t *n)
{
    struct meta_cache *m = im->meta;
    struct meta_page *p, *next;
    struct meta_copy *c;

    *n = m->ndirty;
    *copies = c = malloc(*n * sizeof(*c) + 1);
    if (!c)
        return -ENOMEM;
    for (p = m->dirty; p; p = next, c++) {
        next = p->next_dirty;
        c->page = p;
        c->file = (u32)(p->key >> 48);
        c->at = (p->key & 0xffffffffffff) * META_PAGE;
        memcpy(c->phase, p->phase, sizeof(c->phase));
        for (size_t i = 0; i < META_WORDS; i++) {
            u64 w = atomic_load_explicit(&p->words[i], memory_order_relaxed);

            memcpy(c->bytes + i * 8, &w, 8);
        }
        memset(p->phase, 0, sizeof(p->phase));
        p->dirty = false;
        p->writing = true;
    }
    m->dirty = NULL;
    m->ndirty = 0;
    return 0;
}

static int meta_order(const void *a, const void *b)
{
    const struct meta_copy *x = *(struct meta_copy *const *)a, *y = *(struct meta_copy *const *)b;

    return x->file != y->file ? (x->file > y->file) - (x->file < y->file)
                              : (x->at > y->at) - (x->at < y->at);
}

/* Write the sectors of one phase; *wrote: was there any? */
static int meta_write_phase(struct image *im, struct meta_copy **list, size_t n, u32 phase,
                            bool *wrote)
{
    for (size_t i = 0; i < n; i++) {
        struct meta_copy *c = list[i];

        for (u32 s = 0, end; s < META_SECTORS; s = end) {
            int r;

            for (end = s; end < META_SECTORS && c->phase[end] == phase + 1; end++)
                ;
            if (end == s) {
                end++;
                continue;
            }
            r = image_file_write(im, c->file, c->at + s * META_SECTOR, c->bytes + s * META_SECTOR,
                                 (end - s) * META_SECTOR);
            if (r)
                return r;
            *wrote = true;
        }
    }
    return 0;
}

static bool meta_has_phase(struct meta_copy **list, size_t n, u32 phase)
{
    for (size_t i = 0; i < n; i++)
        if (memchr(list[i]->phase, (int)phase + 1, META_SECTORS))
            return true;
    return false;
}

static int meta_write_out(struct image *im, struct meta_copy *copies, size_t n, bool unsynced)
{
    struct meta_copy **list = malloc(n * sizeof(*list) + 1);
    int r = 0;

    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        list[i] = &copies[i];
    qsort(list, n, sizeof(*list), meta_order);
    for (u32 phase = 0; !r && phase < PLAN_PHASES; phase++) {
        if (!meta_has_phase(list, n, phase))
            continue;
        if (unsynced && phase != PLAN_COUNT)
            r = image_file_sync(im);
        if (!r)
            r = meta_write_phase(im, list, n, phase, &unsynced);
    }
    free(list);
    return r || !unsynced ? r : image_file_sync(im);
}

/* Everything freed before the last two turns of the epoch is used by nobody any more. */
static int meta_release(struct image *im)
{
    unsigned now = atomic_load(&im->epoch) & 1;
    int r = 0;

    if (atomic_load(&im->inside[!now]))
        return 0;
    for (size_t i = 0; !r && i < im->draining.n; i++)
        r = im->format->release(im, im->draining.v[i].at, im->draining.v[i].len);
    im->draining.n = 0;
    space_move(&im->draining, &im->durable);
    atomic_fetch_add(&im->epoch, 1);
    return r;
}

static int meta_commit_locked(struct image *im)
{
    struct image_space dropped = { 0 };
    struct meta_copy *copies;
    bool unsynced;
    size_t n;
    int r;

    pthread_mutex_lock(&im->lock);
    pthread_mutex_lock(&im->meta->lock);
    r = atomic_load(&im->broken);
    if (!r)
        r = meta_snapshot(im, &copies, &n);
    pthread_mutex_unlock(&im->meta->lock);
    if (!r) {
        dropped = im->dropped;
        im->dropped = (struct image_space){ 0 };
        unsynced = atomic_exchange(&im->unsynced, false);
    }
    pthread_mutex_unlock(&im->lock);
    if (r)
        return r;
    r = meta_write_out(im, copies, n, unsynced);
    pthread_mutex_lock(&im->lock);
    if (r) {
        atomic_store(&im->broken, r);
    } else {
        pthread_mutex_lock(&im->meta->lock);
        for (size_t i = 0; i < n; i++)
            copies[i].page->writing = false;
        pthread_mutex_unlock(&im->meta->lock);
        space_move(&im->durable, &dropped);
        if (im->draining.n || im->durable.n)
            r = meta_release(im);
    }
    pthread_mutex_unlock(&im->lock);
    free(dropped.v);
    free(copies);
    return r;
}

int meta_commit(struct image *im)
{
    int r;

    pthread_mutex_lock(&im->commit);
    r = meta_commit_locked(im);
    pthread_mutex_unlock(&im->commit);
    return r;
}

int meta_settle(struct image *im)
{
    int r = meta_commit(im);

    /* Three more: freed space drains through two epochs, and its counts are written. */
    for (int i = 0; !r && i < 3 && (im->durable.n || im->draining.n || meta_dirty(im)); i++)
        r = meta_commit(im);
    return r;
}
