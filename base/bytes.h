/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H
#include "base/buf.h"
#include <string.h>

/* Numbers in memory, by byte order; any alignment. */
static inline u16 le16(const void *p)
{
    u16 v;
    memcpy(&v, p, 2);
    return v;
}
static inline u32 le32(const void *p)
{
    u32 v;
    memcpy(&v, p, 4);
    return v;
}
static inline u64 le64(const void *p)
{
    u64 v;
    memcpy(&v, p, 8);
    return v;
}
static inline u16 be16(const void *p)
{
    return __builtin_bswap16(le16(p));
}
static inline u32 be32(const void *p)
{
    return __builtin_bswap32(le32(p));
}
static inline u64 be64(const void *p)
{
    return __builtin_bswap64(le64(p));
}
static inline void put_le16(void *p, u16 v)
{
    memcpy(p, &v, 2);
}
static inline void put_le32(void *p, u32 v)
{
    memcpy(p, &v, 4);
}
static inline void put_le64(void *p, u64 v)
{
    memcpy(p, &v, 8);
}
static inline void put_be16(void *p, u16 v)
{
    put_le16(p, __builtin_bswap16(v));
}
static inline void put_be32(void *p, u32 v)
{
    put_le32(p, __builtin_bswap32(v));
}
static inline void put_be64(void *p, u64 v)
{
    put_le64(p, __builtin_bswap64(v));
}

/*
 * A cursor over foreign bytes.  Reading past the end gives zeroes and sets `bad`, so a
 * header is read as straight lines and tested once at the end.
 */
struct cursor {
    const u8 *p;
    size_t len, at;
    bool bad;
};
static inline struct cursor cursor_of(const void *p, size_t len)
{
    return (struct cursor){ .p = p, .len = len };
}
static inline const u8 *cursor_take(struct cursor *c, size_t n)
{
    const u8 *p;

    if (c->bad || n > c->len - c->at) {
        c->bad = true;
        return NULL;
    }
    p = c->p + c->at;
    c->at += n;
    return p;
}
static inline u8 get_u8(struct cursor *c)
{
    const u8 *p = cursor_take(c, 1);
    return p ? *p : 0;
}
static inline u16 get_le16(struct cursor *c)
{
    const u8 *p = cursor_take(c, 2);
    return p ? le16(p) : 0;
}
static inline u32 get_le32(struct cursor *c)
{
    const u8 *p = cursor_take(c, 4);
    return p ? le32(p) : 0;
}
static inline u64 get_le64(struct cursor *c)
{
    const u8 *p = cursor_take(c, 8);
    return p ? le64(p) : 0;
}
static inline u16 get_be16(struct cursor *c)
{
    const u8 *p = cursor_take(c, 2);
    return p ? be16(p) : 0;
}
static inline u32 get_be32(struct cursor *c)
{
    const u8 *p = cursor_take(c, 4);
    return p ? be32(p) : 0;
}
static inline u64 get_be64(struct cursor *c)
{
    const u8 *p = cursor_take(c, 8);
    return p ? be64(p) : 0;
}
#endif
