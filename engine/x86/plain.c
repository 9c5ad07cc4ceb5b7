/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String functions in general registers: see plain.h.  Short forms: a compiler puts what is
 * small and of a known size in line.
 */
#include "engine/x86/plain.h"
#include "base/types.h"

void *plain_memcpy(void *to, const void *from, size_t n)
{
    void *start = to;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
    return start;
}

void *plain_memmove(void *to, const void *from, size_t n)
{
    u8 *last = (u8 *)to + n - 1;
    const u8 *source = (const u8 *)from + n - 1;

    if ((uintptr_t)to - (uintptr_t)from >= n)
        return plain_memcpy(to, from, n);
    __asm__ volatile("std\n\trep movsb\n\tcld" : "+D"(last), "+S"(source), "+c"(n)::"memory");
    return to;
}

void *plain_memset(void *to, int c, size_t n)
{
    void *start = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
    return start;
}

int plain_memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;

    for (size_t i = 0; i < n; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

void *plain_memchr(const void *p, int c, size_t n)
{
    const u8 *at = p;

    for (size_t i = 0; i < n; i++)
        if (at[i] == (u8)c)
            return (u8 *)(uintptr_t)(at + i);
    return NULL;
}
