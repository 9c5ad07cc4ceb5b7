/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Address spaces: who answers at an address, and the repair of access widths.
 *
 * Readers look in a published table that never changes.  A thread that reads announces the
 * table first, so a writer knows which of the replaced ones may be freed.
 */
#include "machine/machine_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct space_part {
    u64 base, last;
    u32 skip; /* bytes of the region before base */
    const struct region *r;
};

struct space_table {
    struct space_table *next; /* of those replaced */
    u32 nparts, nregions;
    struct region *region; /* copies: the table stands alone */
    struct space_part part[];
};

struct space_entry {
    struct region r;
    u64 at; /* ~0: out of sight */
    bool used;
};

struct space {
    const char *name;
    u32 number; /* picks the hint */
    _Atomic(struct space_table *) now;
    pthread_mutex_t lock; /* guards the rest; leaf */
    struct space_table *old;
    struct space_entry *entry;
    u32 nentries;
    _Atomic u64 nobody; /* accesses that nobody took */
};

/* What a thread reads now.  Made once per thread, used again by later ones, never freed. */
struct space_reader {
    _Atomic(const struct space_table *) table;
    atomic_bool taken;
    struct space_reader *next;
};
static _Atomic(struct space_reader *) space_readers;
static _Thread_local struct space_reader *space_me;
static _Thread_local u32 space_hint[4];
static atomic_uint space_count;
static pthread_key_t space_key;
static pthread_once_t space_once = PTHREAD_ONCE_INIT;

static void space_reader_gone(void *arg)
{
    struct space_reader *r = arg;

    atomic_store(&r->table, NULL);
    atomic_store(&r->taken, false);
}

static void space_key_make(void)
{
    pthread_key_create(&space_key, space_reader_gone);
}

static struct space_reader *space_reader_new(void)
{
    struct space_reader *r;

    pthread_once(&space_once, space_key_make);
    for (r = atomic_load(&space_readers); r; r = r->next) {
        bool no = false;

        if (atomic_compare_exchange_strong(&r->taken, &no, true))
            break;
    }
    if (!r) {
        r = calloc(1, sizeof(*r));
        if (!r)
            abort(); /* no memory for 24 bytes: nothing can go on */
        atomic_store(&r->taken, true);
        r->next = atomic_load(&space_readers);
        while (!atomic_compare_exchange_weak(&space_readers, &r->next, r))
            continue;
    }
    pthread_setspecific(space_key, r);
    space_me = r;
    return r;
}

int space_new(struct space **out, const char *name, struct err *e)
{
    struct space *s = calloc(1, sizeof(*s));
    struct space_table *t = calloc(1, sizeof(*t));

    if (!s || !t) {
        free(s);
        free(t);
        return err_set(e, -ENOMEM, "no memory for an address space");
    }
    s->name = name;
    s->number = atomic_fetch_add(&space_count, 1) % LEN(space_hint);
    pthread_mutex_init(&s->lock, NULL);
    atomic_store(&s->now, t);
    *out = s;
    return 0;
}

static void space_table_free(struct space_table *t)
{
    free(t->region);
    free(t);
}

void space_free(struct space *s)
{
    struct space_table *t, *next;

    if (!s)
        return;
    for (t = s->old; t; t = next) {
        next = t->next;
        space_table_free(t);
    }
    space_table_free(atomic_load(&s->now));
    free(s->entry);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static bool space_is_read(const struct space_table *t)
{
    for (struct space_reader *r = atomic_load(&space_readers); r; r = r->next)
        if (atomic_load(&r->table) == t)
            return true;
    return false;
}

/* Under the lock: a new table from the entries takes the place of the old one. */
static int space_publish(struct space *s)
{
    struct cover c = { 0 };
    struct space_table *t = NULL, **link;
    struct region *copy = calloc(s->nentries + 1, sizeof(*copy));

    if (!copy)
        return -ENOMEM;
    for (u32 i = 0; i < s->nentries; i++) {
        copy[i] = s->entry[i].r;
        if (s->entry[i].used && s->entry[i].at != ~(u64)0 &&
            cover_add(&c, s->entry[i].at, copy[i].len, i))
            goto fail;
    }
    t = calloc(1, sizeof(*t) + c.n * sizeof(t->part[0]));
    if (!t)
        goto fail;
    t->region = copy;
    t->nregions = s->nentries;
    t->nparts = c.n;
    for (u32 i = 0; i < c.n; i++)
        t->part[i] = (struct space_part){ c.part[i].base, c.part[i].last,
                                          (u32)(c.part[i].base - s->entry[c.part[i].id].at),
                                          &copy[c.part[i].id] };
    free(c.part);
    t = atomic_exchange(&s->now, t);
    t->next = s->old;
    s->old = t;
    for (link = &s->old; *link;) {
        t = *link;
        if (space_is_read(t)) {
            link = &t->next;
        } else {
            *link = t->next;
            space_table_free(t);
        }
    }
    return 0;
fail:
    free(c.part);
    free(copy);
    return -ENOMEM;
}

/* Under the lock: a free entry, or -1. */
static int space_entry_new(struct space *s)
{
    struct space_entry *p;
    u32 i;

    for (i = 0; i < s->nentries; i++)
        if (!s->entry[i].used)
            return (int)i;
    p = realloc(s->entry, (s->nentries + 16) * sizeof(*p));
    if (!p)
        return -1;
    memset(p + s->nentries, 0, 16 * sizeof(*p));
    s->entry = p;
    s->nentries += 16;
    return (int)i;
}

static const struct region *space_collides(const struct space *s, const struct region *r)
{
    for (u32 i = 0; i < s->nentries; i++) {
        const struct space_entry *n = &s->entry[i];

        if (n->used && n->at != ~(u64)0 && r->base <= n->at + (n->r.len - 1) &&
            n->at <= r->base + (r->len - 1))
            return &n->r;
    }
    return NULL;
}

int space_add(struct space *s, const struct region *r, u32 *id, struct err *e)
{
    const struct region *other = NULL;
    int i, result = 0;

    if (!r->len || !r->min || r->min > r->max || r->max > 8)
        return err_set(e, -EINVAL, "%s: region %s is not well formed", s->name, r->name);
    pthread_mutex_lock(&s->lock);
    if (r->base != ~(u64)0)
        other = space_collides(s, r);
    i = other ? -1 : space_entry_new(s);
    if (i >= 0) {
        s->entry[i] = (struct space_entry){ *r, r->base, true };
        result = space_publish(s);
        s->entry[i].used = !result;
    }
    pthread_mutex_unlock(&s->lock);
    if (other)
        return err_set(e, -EEXIST, "%s: %s at 0x%llx collides with %s", s->name, r->name,
                       (unsigned long long)r->base, other->name);
    if (i < 0 || result)
        return err_set(e, -ENOMEM, "%s: no memory for region %s", s->name, r->name);
    if (id)
        *id = (u32)i;
    return 0;
}

void space_move(struct space *s, u32 id, u64 to)
{
    pthread_mutex_lock(&s->lock);
    if (s->entry[id].at != to) {
        u64 was = s->entry[id].at;

        s->entry[id].at = to;
        if (space_publish(s))
            s->entry[id].at = was; /* no memory: it stays where it was */
    }
    pthread_mutex_unlock(&s->lock);
}

void space_drop(struct space *s, u32 id)
{
    space_move(s, id, ~(u64)0);
    pthread_mutex_lock(&s->lock);
    s->entry[id].used = false;
    pthread_mutex_unlock(&s->lock);
}

u64 space_at(struct space *s, u32 id)
{
    u64 at;

    pthread_mutex_lock(&s->lock);
    at = s->entry[id].at;
    pthread_mutex_unlock(&s->lock);
    return at;
}

u32 space_regions(struct space *s, struct region *r, u32 room)
{
    u32 n = 0;

    pthread_mutex_lock(&s->lock);
    for (u32 i = 0; i < s->nentries; i++) {
        if (!s->entry[i].used || s->entry[i].at == ~(u64)0)
            continue;
        if (n < room) {
            r[n] = s->entry[i].r;
            r[n].base = s->entry[i].at;
        }
        n++;
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

static const struct space_part *space_find(const struct space_table *t, u64 addr, u32 *hint)
{
    u32 lo = 0, hi = t->nparts;

    if (*hint < hi && addr >= t->part[*hint].base && addr <= t->part[*hint].last)
        return &t->part[*hint];
    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;

        if (t->part[mid].last < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == t->nparts || t->part[lo].base > addr)
        return NULL;
    *hint = lo;
    return &t->part[lo];
}

/* Copies out who is at addr: *off in it, *room bytes of it from there.  False: nobody. */
static bool space_look(struct space *s, u64 addr, struct region *r, u32 *off, u64 *room)
{
    struct space_reader *me = space_me ? space_me : space_reader_new();
    const struct space_table *t = atomic_load(&s->now), *again;
    const struct space_part *p;

    for (;; t = again) {
        atomic_store(&me->table,
                     t); /* then look once more: a writer sees the one or we the other */
        again = atomic_load(&s->now);
        if (again == t)
            break;
    }
    p = space_find(t, addr, &space_hint[s->number]);
    if (p) {
        *r = *p->r;
        *off = (u32)(addr - p->base) + p->skip;
        *room = p->last - addr + 1;
        if (*room == 0)
            *room = ~(u64)0;
    }
    atomic_store_explicit(&me->table, NULL, memory_order_release);
    return p;
}

bool space_has(struct space *s, u64 addr)
{
    struct region r;
    u32 off;
    u64 room;

    return space_look(s, addr, &r, &off, &room);
}

static u64 space_mask(u32 size)
{
    return size >= 8 ? ~(u64)0 : ((u64)1 << (8 * size)) - 1;
}

/* The widest aligned piece at off that is not wider than left and max. */
static u32 space_piece(u32 off, u32 left, u32 max)
{
    u32 n = 8;

    while (n > left || n > max || off & (n - 1))
        n /= 2;
    return n;
}

static u64 region_load(const struct region *r, u32 off, u32 size)
{
    u64 val = 0;

    if (!r->load)
        return space_mask(size);
    if (r->unaligned && size >= r->min && size <= r->max)
        return r->load(r->dev, off, size) & space_mask(size);
    for (u32 done = 0, n; done < size; done += n) {
        u32 at = off + done;
        u64 part;

        n = space_piece(at, size - done, r->max);
        if (n >= r->min) {
            part = r->load(r->dev, at, n);
        } else {
            u32 unit = at & ~(u32)(r->min - 1);

            part = r->load(r->dev, unit, r->min) >> (8 * (at - unit));
        }
        val |= (part & space_mask(n)) << (8 * done);
    }
    return val;
}

static void region_store(const struct region *r, u32 off, u32 size, u64 val)
{
    if (!r->store)
        return;
    if (r->unaligned && size >= r->min && size <= r->max) {
        r->store(r->dev, off, size, val & space_mask(size));
        return;
    }
    for (u32 done = 0, n; done < size; done += n) {
        u32 at = off + done;
        u64 part = val >> (8 * done);

        n = space_piece(at, size - done, r->max);
        part &= space_mask(n);
        if (n >= r->min) {
            r->store(r->dev, at, n, part);
        } else {
            u32 unit = at & ~(u32)(r->min - 1);

            r->store(r->dev, unit, r->min, part << (8 * (at - unit)));
        }
    }
}

u64 space_load(struct space *s, u64 addr, u32 size)
{
    struct region r;
    u32 off;
    u64 room, val;
    bool lock;

    if (!space_look(s, addr, &r, &off, &room) || room < size) {
        if (size > 1) /* it may reach into somebody: byte by byte */
            return space_load(s, addr, size / 2) | space_load(s, addr + size / 2, size / 2)
                                                       << (4 * size);
        atomic_fetch_add_explicit(&s->nobody, 1, memory_order_relaxed);
        return 0xff;
    }
    lock = r.dev && !r.unlocked;
    if (lock)
        domain_lock(r.dev->domain);
    val = region_load(&r, off, size);
    if (lock)
        domain_unlock(r.dev->domain);
    return val;
}

void space_store(struct space *s, u64 addr, u32 size, u64 val)
{
    struct region r;
    u32 off;
    u64 room;
    bool lock;

    if (!space_look(s, addr, &r, &off, &room) || room < size) {
        if (size > 1) {
            space_store(s, addr, size / 2, val & space_mask(size / 2));
            space_store(s, addr + size / 2, size / 2, val >> (4 * size));
            return;
        }
        atomic_fetch_add_explicit(&s->nobody, 1, memory_order_relaxed);
        return;
    }
    lock = r.dev && !r.unlocked;
    if (lock)
        domain_lock(r.dev->domain);
    region_store(&r, off, size, val & space_mask(size));
    if (lock)
        domain_unlock(r.dev->domain);
}
