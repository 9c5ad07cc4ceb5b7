/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intervals that never overlap: a later one gets what the earlier ones left free. */
#include "machine/machine_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The first part that ends at or after addr. */
static u32 cover_find(const struct cover *c, u64 addr)
{
    u32 lo = 0, hi = c->n;

    while (lo < hi) {
        u32 mid = lo + (hi - lo) / 2;

        if (c->part[mid].last < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int cover_insert(struct cover *c, u32 at, u64 base, u64 last, u32 id)
{
    if (c->n == c->room) {
        u32 room = c->room ? c->room * 2 : 16;
        struct cover_part *p = realloc(c->part, room * sizeof(*p));

        if (!p)
            return -ENOMEM;
        c->part = p;
        c->room = room;
    }
    memmove(&c->part[at + 1], &c->part[at], (c->n - at) * sizeof(*c->part));
    c->part[at] = (struct cover_part){ base, last, id };
    c->n++;
    return 0;
}

int cover_add(struct cover *c, u64 base, u64 len, u32 id)
{
    u64 last = base + (len - 1);
    u32 i;

    if (!len || last < base)
        return 0;
    for (i = cover_find(c, base); i < c->n && c->part[i].base <= last; i++) {
        if (c->part[i].base > base) {
            if (cover_insert(c, i, base, c->part[i].base - 1, id))
                return -ENOMEM;
            i++;
        }
        if (c->part[i].last >= last)
            return 0;
        base = c->part[i].last + 1;
    }
    return cover_insert(c, i, base, last, id);
}

const struct cover_part *cover_hit(const struct cover *c, u64 base, u64 len)
{
    u32 i = cover_find(c, base);

    return len && i < c->n && c->part[i].base <= base + (len - 1) ? &c->part[i] : NULL;
}
