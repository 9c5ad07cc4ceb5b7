/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slots of guest-physical memory, published as whole tables, and their dirty bits. */
#include "engine/x86/memory.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096 };

static void memory_table_free(struct x86_slot_table *t)
{
    if (t)
        free((void *)t->dirty);
    free(t);
}

static struct x86_slot_table *memory_table_new(u32 n)
{
    struct x86_slot_table *t = calloc(1, sizeof(*t) + n * sizeof(t->slot[0]));

    if (!t)
        return NULL;
    t->dirty = calloc(n ? n : 1, sizeof(t->dirty[0]));
    if (!t->dirty) {
        free(t);
        return NULL;
    }
    t->n = n;
    return t;
}

int x86_memory_init(struct x86_memory *m)
{
    struct x86_slot_table *t = memory_table_new(0);

    memset(m, 0, sizeof(*m));
    if (!t)
        return -ENOMEM;
    atomic_init(&m->now, t);
    return 0;
}

void x86_memory_fini(struct x86_memory *m)
{
    while (m->logs) {
        struct x86_dirty_log *next = m->logs->next;

        free(m->logs);
        m->logs = next;
    }
    for (u32 i = 0; i < m->nold; i++)
        memory_table_free(m->old[i]);
    free(m->old);
    memory_table_free(atomic_load(&m->now));
    memset(m, 0, sizeof(*m));
}

static int memory_compare(const void *a, const void *b)
{
    const struct mem_slot *x = a, *y = b;

    return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

static int memory_check(const struct x86_slot_table *t, struct err *e)
{
    for (u32 i = 0; i < t->n; i++) {
        const struct mem_slot *s = &t->slot[i];
        u64 end;

        if (!s->host || !s->len || (s->gpa | s->len) % PAGE || !add_ok(&end, s->gpa, s->len))
            return err_set(e, -EINVAL, "slot 0x%llx+0x%llx is not whole pages",
                           (unsigned long long)s->gpa, (unsigned long long)s->len);
        if (i && s->gpa - s[-1].gpa < s[-1].len)
            return err_set(e, -EINVAL, "slot 0x%llx overlaps the one before",
                           (unsigned long long)s->gpa);
    }
    return 0;
}

static _Atomic u64 *memory_log(struct x86_memory *m, const struct mem_slot *s)
{
    struct x86_dirty_log *l;

    for (l = m->logs; l; l = l->next)
        if (l->gpa == s->gpa && l->len == s->len && l->host == s->host)
            return l->bits;
    l = calloc(1, sizeof(*l) + (s->len / PAGE + 63) / 64 * sizeof(u64));
    if (!l)
        return NULL;
    l->gpa = s->gpa;
    l->len = s->len;
    l->host = s->host;
    l->next = m->logs;
    m->logs = l;
    return l->bits;
}

int x86_memory_set(struct x86_memory *m, const struct mem_slot *all, u32 n, struct err *e)
{
    struct x86_slot_table *t = memory_table_new(n), **old;
    int r = -ENOMEM;

    if (!t)
        return err_set(e, -ENOMEM, "no memory for %u slots", n);
    if (n)
        memcpy(t->slot, all, n * sizeof(*all));
    qsort(t->slot, n, sizeof(t->slot[0]), memory_compare);
    r = memory_check(t, e);
    for (u32 i = 0; i < n && !r; i++)
        if (t->slot[i].log_dirty && !(t->dirty[i] = memory_log(m, &t->slot[i])))
            r = err_set(e, -ENOMEM, "no memory for dirty bits");
    old = r ? NULL : realloc(m->old, (m->nold + 1) * sizeof(*old));
    if (!r && !old)
        r = err_set(e, -ENOMEM, "no memory for a slot table");
    if (r) {
        memory_table_free(t);
        return r;
    }
    m->old = old;
    m->old[m->nold++] = atomic_exchange(&m->now, t);
    return 0;
}

static u32 memory_find(const struct x86_slot_table *t, u64 gpa)
{
    u32 lo = 0, hi = t->n;

    while (lo < hi) {
        u32 mid = (lo + hi) / 2;

        if (gpa < t->slot[mid].gpa)
            hi = mid;
        else if (gpa - t->slot[mid].gpa >= t->slot[mid].len)
            lo = mid + 1;
        else
            return mid;
    }
    return t->n;
}

const struct mem_slot *x86_slot(const struct x86_memory *m, u64 gpa)
{
    const struct x86_slot_table *t = atomic_load_explicit(&m->now, memory_order_acquire);
    u32 i = memory_find(t, gpa);

    return i < t->n ? &t->slot[i] : NULL;
}

void x86_memory_mark(const struct x86_memory *m, u64 gpa, u64 len)
{
    const struct x86_slot_table *t = atomic_load_explicit(&m->now, memory_order_acquire);
    u32 i = memory_find(t, gpa);
    u64 first, last;

    if (i >= t->n || !t->dirty[i] || !len)
        return;
    first = gpa - t->slot[i].gpa;
    last = first + min_u64(len, t->slot[i].len - first) - 1;
    for (u64 p = first / PAGE; p <= last / PAGE; p++)
        atomic_fetch_or(&t->dirty[i][p / 64], 1ull << p % 64);
}

int x86_memory_dirty(const struct x86_memory *m, const struct mem_slot *s, u64 *bitmap)
{
    const struct x86_slot_table *t = atomic_load_explicit(&m->now, memory_order_acquire);
    u32 i = memory_find(t, s->gpa);

    if (i >= t->n || !t->dirty[i] || t->slot[i].gpa != s->gpa || t->slot[i].len != s->len)
        return -ENOENT;
    for (u64 w = 0; w < (s->len / PAGE + 63) / 64; w++)
        bitmap[w] = atomic_exchange(&t->dirty[i][w], 0);
    return 0;
}

u8 *x86_ram(const struct x86_memory *m, u64 gpa, u64 n, bool write)
{
    const struct mem_slot *s = x86_slot(m, gpa);

    if (!s || !range_ok(gpa - s->gpa, n, s->len) || (write && s->readonly))
        return NULL;
    if (write && s->log_dirty)
        x86_memory_mark(m, gpa, n);
    return (u8 *)s->host + (gpa - s->gpa);
}
