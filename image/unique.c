/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does a table name a place twice?  Writing in place into such an image would change two
 * parts of the disk at once.
 */
#include "image/image_int.h"
#include <errno.h>
#include <stdlib.h>

void unique_init(struct unique *s, u64 most)
{
    *s = (struct unique){ .most = most };
}

int unique_add(struct unique *s, u64 at)
{
    if (s->n >= s->most)
        return -E2BIG;
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 1024;
        u64 *v = realloc(s->v, cap * sizeof(*v));

        if (!v)
            return -ENOMEM;
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = at;
    return 0;
}

static int unique_order(const void *a, const void *b)
{
    u64 x = *(const u64 *)a, y = *(const u64 *)b;

    return (x > y) - (x < y);
}

bool unique_twice(struct unique *s, u64 len, u64 *at)
{
    if (s->n)
        qsort(s->v, s->n, sizeof(*s->v), unique_order);
    for (size_t i = 1; i < s->n; i++)
        if (s->v[i] - s->v[i - 1] < len) {
            *at = s->v[i];
            return true;
        }
    return false;
}

void unique_fini(struct unique *s)
{
    free(s->v);
}
