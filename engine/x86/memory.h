/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_X86_MEMORY_H
#define ENGINE_X86_MEMORY_H
#include "engine/engine.h"
#include <stdatomic.h>

/*
 * The engine's view of guest-physical memory: a sorted table of slots, replaced as a whole
 * and read without a lock.  An old table lives until the memory is closed.
 */
struct x86_slot_table {
    u32 n;
    struct mem_slot slot[];
};

struct x86_memory {
    _Atomic(struct x86_slot_table *) now;
    struct x86_slot_table **old;
    u32 nold;
};

int x86_memory_init(struct x86_memory *m);
void x86_memory_fini(struct x86_memory *m);
/* Copies; -EINVAL when slots overlap or are not whole pages. */
int x86_memory_set(struct x86_memory *m, const struct mem_slot *all, u32 n, struct err *e);
const struct mem_slot *x86_slot(const struct x86_memory *m, u64 gpa); /* or NULL */
#endif
