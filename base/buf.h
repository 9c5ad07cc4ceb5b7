/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_BUF_H
#define BASE_BUF_H
#include "base/types.h"

/* Bytes that grow, and bytes that are lent. */
struct buf {
    u8 *p;
    size_t len, cap;
};
struct span {
    const u8 *p;
    size_t len;
};

int buf_add(struct buf *b, const void *p, size_t n); /* 0 or -ENOMEM */
u8 *buf_room(struct buf *b, size_t n); /* n zeroed bytes at the end, counted in len; or NULL */
int buf_text(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_fini(struct buf *b);
#endif
