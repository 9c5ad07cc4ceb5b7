/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A byte buffer that grows by doubling. */
#include "base/buf.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

u8 *buf_room(struct buf *b, size_t n)
{
    u8 *at;

    if (n > SIZE_MAX / 2 - b->len)
        return NULL;
    if (!b->p || b->len + n > b->cap) {
        size_t cap = b->cap ? b->cap : 256;
        u8 *p;

        while (cap < b->len + n)
            cap *= 2;
        p = realloc(b->p, cap);
        if (!p)
            return NULL;
        b->p = p;
        b->cap = cap;
    }
    at = b->p + b->len;
    memset(at, 0, n);
    b->len += n;
    return at;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
    u8 *at = buf_room(b, n);

    if (!at)
        return -ENOMEM;
    if (n)
        memcpy(at, p, n);
    return 0;
}

int buf_text(struct buf *b, const char *fmt, ...)
{
    char small[512];
    va_list ap;
    int n;
    u8 *at;

    va_start(ap, fmt);
    n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    if (n < 0)
        return -EINVAL;
    if ((size_t)n < sizeof(small))
        return buf_add(b, small, (size_t)n);
    at = buf_room(b, (size_t)n + 1);
    if (!at)
        return -ENOMEM;
    va_start(ap, fmt);
    vsnprintf((char *)at, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len--;
    return 0;
}

void buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){ 0 };
}
