/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An arena: chunks in a list, freed at once. */
#include "base/arena.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    _Alignas(16) u8 mem[];
};

void *arena_new(struct arena *a, size_t n)
{
    struct arena_chunk *c = a->first;
    void *p;

    if (n > SIZE_MAX / 2)
        return NULL;
    n = (n + 15) & ~(size_t)15;
    if (a->limit && (n > a->limit || a->total > a->limit - n))
        return NULL;
    if (!c || c->size - c->used < n) {
        size_t size = n > 4096 ? n : 4096;

        c = calloc(1, sizeof(*c) + size);
        if (!c)
            return NULL;
        c->size = size;
        c->next = a->first;
        a->first = c;
    }
    p = c->mem + c->used;
    c->used += n;
    a->total += n;
    return p;
}

char *arena_text(struct arena *a, const char *s, size_t n)
{
    char *p = arena_new(a, n + 1);

    if (p && n)
        memcpy(p, s, n);
    return p;
}

char *arena_print(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    p = n < 0 ? NULL : arena_new(a, (size_t)n + 1);
    if (!p)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

void arena_fini(struct arena *a)
{
    struct arena_chunk *c, *next;

    for (c = a->first; c; c = next) {
        next = c->next;
        free(c);
    }
    *a = (struct arena){ .limit = a->limit };
}
