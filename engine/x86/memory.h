/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_X86_MEMORY_H
#define ENGINE_X86_MEMORY_H
#include "engine/engine.h"
#include <stdatomic.h>

/*
 * The engine's view of guest-physical memory: a sorted table of slots, replaced as a whole
 * and read without a lock.  An old table lives until the memory is closed, so a cache may
 * tell by the table's address whether what it knows is still true.
 */
struct x86_slot_table {
    u32 n;
    _Atomic u64 **dirty; /* of each slot: a bit a page; NULL where not logged */
    struct mem_slot slot[];
};

struct x86_dirty_log {
    struct x86_dirty_log *next;
    u64 gpa, len;
    void *host;
    _Atomic u64 bits[];
};

struct x86_memory {
    _Atomic(struct x86_slot_table *) now;
    struct x86_slot_table **old;
    u32 nold;
    struct x86_dirty_log *logs; /* of all tables there ever were */
};

int x86_memory_init(struct x86_memory *m);
void x86_memory_fini(struct x86_memory *m);
/* Copies; -EINVAL when slots overlap or are not whole pages. */
int x86_memory_set(struct x86_memory *m, const struct mem_slot *all, u32 n, struct err *e);
const struct mem_slot *x86_slot(const struct x86_memory *m, u64 gpa); /* or NULL */
/* A store to a slot with log_dirty: any thread. */
void x86_memory_mark(const struct x86_memory *m, u64 gpa, u64 len);
int x86_memory_dirty(const struct x86_memory *m, const struct mem_slot *s, u64 *bitmap);
/* Host address of guest-physical RAM [gpa, gpa + n), inside one slot; NULL: not there. */
u8 *x86_ram(const struct x86_memory *m, u64 gpa, u64 n, bool write);
#endif
