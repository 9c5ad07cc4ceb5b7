/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_X86_ATOMIC_INT_H
#define ENGINE_X86_ATOMIC_INT_H
#include "base/types.h"
#include <string.h>

/*
 * Guest memory is accessed by the host's own instructions: plain ones are as atomic as the
 * guest expects of its own, and locked ones work at any alignment.
 */
static inline u64 x86_load_le(const void *p, u32 size)
{
    switch (size) {
    case 1:
        return *(const u8 *)p;
    case 2: {
        u16 v;
        memcpy(&v, p, 2);
        return v;
    }
    case 4: {
        u32 v;
        memcpy(&v, p, 4);
        return v;
    }
    default: {
        u64 v;
        memcpy(&v, p, 8);
        return v;
    }
    }
}
static inline void x86_store_le(void *p, u32 size, u64 val)
{
    switch (size) {
    case 1:
        *(u8 *)p = (u8)val;
        break;
    case 2:
        memcpy(p, &val, 2);
        break;
    case 4:
        memcpy(p, &val, 4);
        break;
    default:
        memcpy(p, &val, 8);
    }
}
bool x86_atomic_cas(void *p, u32 size, void *old, const void *expect, const void *want);
#endif
