/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_FIELD_H
#define BASE_FIELD_H
#include "base/buf.h"
#include "base/err.h"
#include "base/types.h"

/*
 * A table of fields describes a plain struct once.  Saving, restoring,
 * migrating, inspecting, diffing, JSON and the reference manual all walk
 * the same table.
 */
enum field_kind { F_END, F_BOOL, F_U8, F_U16, F_U32, F_U64, F_TIME, F_TEXT, F_STRUCT };

enum field_flag {
    F_MUST = 1 << 0,   /* a reader that does not know this tag must refuse */
    F_SECRET = 1 << 1, /* never shown by inspect */
    F_LOCAL = 1 << 2,  /* shown by inspect, never written to the wire */
};

struct field {
    u16 tag; /* number on the wire: unique in its table, never reused */
    u8 kind, flags;
    u32 at, size, count; /* offset, bytes of one element, elements */
    const char *name, *doc;
    const struct field *sub;
};

#define FIELD_KIND(x) _Generic((x), bool : F_BOOL, u8 : F_U8, u16 : F_U16, u32 : F_U32, u64 : F_U64)
#define FIELD_ANY(tag_, T, m, kind_, size_, count_, flags_, doc_, sub_)                            \
    {                                                                                              \
        .tag = tag_, .kind = kind_, .flags = flags_, .at = offsetof(T, m), .size = size_,          \
        .count = count_, .name = #m, .doc = doc_, .sub = sub_                                      \
    }

#define FIELD(tag, T, m, flags, doc) /* one number */                                              \
    FIELD_ANY(tag, T, m, FIELD_KIND(((T *)0)->m), sizeof(((T *)0)->m), 1, flags, doc, NULL)
#define FIELDS(tag, T, m, flags, doc) /* an array of numbers */                                    \
    FIELD_ANY(tag, T, m, FIELD_KIND(((T *)0)->m[0]), sizeof(((T *)0)->m[0]), LEN(((T *)0)->m),     \
              flags, doc, NULL)
#define FIELD_TIME(tag, T, m, flags, doc) /* i64 ns of guest time; rebased on restore */           \
    FIELD_ANY(tag, T, m, F_TIME, sizeof(((T *)0)->m), 1, flags, doc, NULL)
#define FIELD_TEXT(tag, T, m, flags, doc) /* a char array, ended by 0 */                           \
    FIELD_ANY(tag, T, m, F_TEXT, sizeof(((T *)0)->m), 1, flags, doc, NULL)
#define FIELD_SUB(tag, T, m, flags, doc, table) /* an array of structs */                          \
    FIELD_ANY(tag, T, m, F_STRUCT, sizeof(((T *)0)->m[0]), LEN(((T *)0)->m), flags, doc, table)
#define FIELD_END                                                                                  \
    {                                                                                              \
        .kind = F_END                                                                              \
    }

/*
 * On the wire a field is tag u16, flags u8, zero u8, length u32, bytes (little-endian).  A
 * reader skips tags that it does not know unless F_MUST is set; a missing tag keeps the
 * value that `to` had; a length that differs is an error.
 */
int field_save(const struct field *t, const void *from, struct buf *to);
int field_load(const struct field *t, void *to, struct span from, struct err *e);
/* Set one number by its name from text (decimal, 0x hex, true/false): -ENOENT, -EINVAL. */
int field_set(const struct field *t, void *to, const char *name, const char *text, struct err *e);
void field_each(const struct field *t, const void *from,
                void (*show)(void *arg, const char *path, const struct field *f, u64 value),
                void *arg);
void field_mark(const struct field *t, u8 *map, size_t n); /* test: which bytes are described? */
/* Every mistake that a table can have by itself (same tag twice, out of the struct). */
int field_check(const struct field *t, size_t struct_size, struct err *e);
#endif
