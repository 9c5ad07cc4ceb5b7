/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H
#include "base/types.h"

/* Memory that lives and dies together.  Allocations are zeroed; NULL when there is none. */
struct arena {
    struct arena_chunk *first;
    u64 total, limit; /* limit: 0 none; a hostile file cannot make us keep more */
};
void *arena_new(struct arena *a, size_t n);
char *arena_text(struct arena *a, const char *s, size_t n); /* a copy, ended by 0 */
char *arena_print(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_fini(struct arena *a);
#endif
