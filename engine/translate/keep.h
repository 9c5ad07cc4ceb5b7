/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef ENGINE_TRANSLATE_KEEP_H
#define ENGINE_TRANSLATE_KEEP_H
#include "engine/translate/build.h"

/*
 * Records of translated blocks, kept for the next run.  What follows one: the lines that it
 * came from, 64 bytes each; exits; host, at and op of each instruction; far; the code.
 */
struct kept {
    u64 digest, key;
    u64 pc, lines, host_flags;
    u32 size; /* of the whole: a multiple of 16 */
    u32 mode;
    u32 ncode, entry, entry_host; /* the last two: places in the code */
    u16 off, len;                 /* in its page */
    u16 nfar;
    u8 ninsn, nexit;
    u8 pad[12];
};
struct kept_exit {
    u64 pc;
    u32 rel, stub; /* places in the code */
    u32 host_flags, pad;
};
_Static_assert(sizeof(struct kept) % 16 == 0 && sizeof(struct kept_exit) % 8 == 0, "no holes");
enum { KEEP_RECORD_MAX = 96 << 10 };

/* Where the parts of a record begin. */
struct kept_parts {
    u8 *source, *exits, *host, *at, *op, *far, *code;
    u64 end; /* bytes of them all */
};
void kept_parts(struct kept *r, struct kept_parts *p);
bool kept_is_sound(struct kept *r); /* its numbers; its size is that of its buffer */

struct keep_counts {
    u64 there, used, added;
};

/* keep.c: the file.  All with the engine's lock held, open and close but for. */
struct keep *keep_open(const struct engine *g); /* NULL: nothing is kept */
void keep_save(struct keep *k);                 /* vector registers are free */
void keep_close(struct keep *k);
u64 keep_key(const u8 *page, u32 off, u64 pc, u32 mode);
struct kept *keep_find(struct keep *k, u64 key, const u8 *page, u32 off, u64 pc, u32 mode);
struct kept *keep_new(struct keep *k); /* room for a record; NULL: no more */
void keep_add(struct keep *k, struct kept *r);
u64 keep_unsaved(const struct keep *k);
void keep_stats(const struct keep *k, struct keep_counts *c);

/* kept.c: between records and blocks */
bool kept_use(struct engine *g, struct kept *r, struct block *b); /* a sound one; room is there */
bool kept_get(struct build *t, struct block *b);                  /* found and put in its place */
void kept_put(struct build *t, const struct block *b);
#endif
