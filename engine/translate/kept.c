/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A block as a record, and a record as a block: see keep.c. */
#include "engine/translate/keep.h"

/* Whoever gives a block another field says here what a record does with it. */
_Static_assert(sizeof(struct block) == 176 && sizeof(struct block_exit) == 56,
               "records hold every field of a block that is not a link");

/* ---- the parts of a record ---- */

void kept_parts(struct kept *r, struct kept_parts *p)
{
    p->source = (u8 *)(r + 1);
    p->exits = p->source + 64 * (u32)__builtin_popcountll(r->lines);
    p->host = p->exits + r->nexit * sizeof(struct kept_exit);
    p->far = p->host + r->ninsn * sizeof(u32);
    p->at = p->far + r->nfar * sizeof(u32);
    p->op = p->at + (r->ninsn + 1u) * sizeof(u16);
    p->code = p->op + r->ninsn * sizeof(u16);
    p->end = (u64)(p->code - (u8 *)r) + r->ncode;
}

static u32 kept_u32(const u8 *p, u32 i)
{
    u32 v;

    __builtin_memcpy(&v, p + 4 * i, 4);
    return v;
}
static u16 kept_u16(const u8 *p, u32 i)
{
    u16 v;

    __builtin_memcpy(&v, p + 2 * i, 2);
    return v;
}

enum { KEPT_SITE = 1u << 31, KEPT_NONE = ~0u };

static bool kept_insns_sound(const struct kept *r, const struct kept_parts *p)
{
    for (u32 i = 0; i < r->ninsn; i++) {
        u32 host = kept_u32(p->host, i);

        if ((host != KEPT_NONE && host >= r->ncode) ||
            kept_u16(p->at, i) >= kept_u16(p->at, i + 1) ||
            (kept_u16(p->op, i) & OP_NAME) > ZYDIS_MNEMONIC_MAX_VALUE)
            return false;
    }
    return kept_u16(p->at, 0) == 0 && kept_u16(p->at, r->ninsn) == r->len;
}

static bool kept_exits_sound(const struct kept *r, const struct kept_parts *p)
{
    for (u32 i = 0; i < r->nexit; i++) {
        struct kept_exit x;

        __builtin_memcpy(&x, p->exits + i * sizeof(x), sizeof(x));
        if (x.rel % 4 || x.rel > r->ncode - 4 || x.stub >= r->ncode || x.host_flags > 1)
            return false;
    }
    return true;
}

bool kept_is_sound(struct kept *r)
{
    struct kept_parts p;

    if (r->size % 16 || r->ncode < 8 || r->ncode > CODE_ROOM || r->entry >= r->ncode ||
        r->entry_host >= r->ncode || !r->ninsn || r->ninsn > BLOCK_INSNS ||
        r->nexit > BLOCK_EXITS || r->off >= PAGE || !r->len || r->len > PAGE - r->off || !r->lines)
        return false;
    kept_parts(r, &p);
    if (p.end > r->size || r->size - p.end >= 16)
        return false;
    for (u32 i = 0; i < r->nfar; i++)
        if ((kept_u32(p.far, i) & ~(u32)KEPT_SITE) > r->ncode - 4)
            return false;
    return kept_insns_sound(r, &p) && kept_exits_sound(r, &p);
}

/* ---- to a block ---- */

/* Calls of the fixed code, from its beginning on in the record; numbers of the block. */
static bool kept_relocate(struct engine *g, const struct kept *r, const struct kept_parts *p,
                          u8 *to, u32 id)
{
    for (u32 i = 0; i < r->nfar; i++) {
        u32 at = kept_u32(p->far, i);
        u8 *place = to + (at & ~(u32)KEPT_SITE);

        if (at & KEPT_SITE) {
            __builtin_memcpy(place, &id, 4);
            continue;
        }
        if (kept_u32(place, 0) >= g->start)
            return false;
        x_patch(place, g->rw + kept_u32(place, 0));
    }
    return true;
}

static bool kept_arrays(struct engine *g, const struct kept *r, const struct kept_parts *p,
                        struct block *b, u8 *to)
{
    b->host = cache_alloc(g, r->ninsn * sizeof(*b->host));
    b->at = cache_alloc(g, (r->ninsn + 1u) * sizeof(*b->at));
    b->op = cache_alloc(g, r->ninsn * sizeof(*b->op));
    b->exits = cache_alloc(g, r->nexit * sizeof(*b->exits));
    if (!b->host || !b->at || !b->op || !b->exits)
        return false;
    for (u32 i = 0; i < r->ninsn; i++) {
        u32 host = kept_u32(p->host, i);

        b->host[i] = host == KEPT_NONE ? 0 : (u32)(to - g->rw) + host;
        b->op[i] = kept_u16(p->op, i);
    }
    for (u32 i = 0; i <= r->ninsn; i++)
        b->at[i] = kept_u16(p->at, i);
    for (u32 i = 0; i < r->nexit; i++) {
        struct kept_exit x;

        __builtin_memcpy(&x, p->exits + i * sizeof(x), sizeof(x));
        b->exits[i] = (struct block_exit){ .from = b,
                                           .rel = to + x.rel,
                                           .stub = to + x.stub,
                                           .pc = x.pc,
                                           .host_flags = x.host_flags };
    }
    return true;
}

bool kept_use(struct engine *g, struct kept *r, struct block *b)
{
    u8 *to = g->rw + g->used;
    struct kept_parts p;

    kept_parts(r, &p);
    __builtin_memcpy(to, p.code, r->ncode);
    if (!kept_relocate(g, r, &p, to, b->id) || !kept_arrays(g, r, &p, b, to))
        return false;
    b->len = r->len;
    b->ninsn = r->ninsn;
    b->nexit = r->nexit;
    b->lines = r->lines;
    b->host_flags[0] = r->host_flags;
    b->code = engine_rx(g, to);
    b->entry = engine_rx(g, to + r->entry);
    b->entry_host = engine_rx(g, to + r->entry_host);
    b->end = engine_rx(g, to + r->ncode);
    return true;
}

bool kept_get(struct build *t, struct block *b)
{
    u32 off = b->gpa & (PAGE - 1);
    u64 key = keep_key(t->page, off, b->pc, b->mode);
    struct kept *r = keep_find(t->g->keep, key, t->page, off, b->pc, b->mode);

    return r && kept_use(t->g, r, b);
}

/* ---- from a block ---- */

static void kept_put_arrays(const struct build *t, const struct block *b, const struct kept *r,
                            const struct kept_parts *p)
{
    const u8 *code = engine_rw(t->g, b->code);
    u8 *source = p->source;

    for (u64 left = b->lines; left; left &= left - 1, source += 64)
        __builtin_memcpy(source, t->page + 64 * __builtin_ctzll(left), 64);
    for (u32 i = 0; i < b->nexit; i++) {
        struct kept_exit x = { .pc = b->exits[i].pc,
                               .rel = (u32)(b->exits[i].rel - code),
                               .stub = (u32)(b->exits[i].stub - code),
                               .host_flags = b->exits[i].host_flags };

        __builtin_memcpy(p->exits + i * sizeof(x), &x, sizeof(x));
    }
    for (u32 i = 0; i < b->ninsn; i++) {
        u32 host = b->host[i] ? b->host[i] - (u32)(code - t->g->rw) : KEPT_NONE;

        __builtin_memcpy(p->host + 4 * i, &host, 4);
    }
    __builtin_memcpy(p->at, b->at, (b->ninsn + 1u) * sizeof(u16));
    __builtin_memcpy(p->op, b->op, b->ninsn * sizeof(u16));
    __builtin_memcpy(p->far, t->far, r->nfar * sizeof(u32));
    __builtin_memcpy(p->code, code, r->ncode);
}

/* What is called from the fixed code's beginning on; false: it is something else. */
static bool kept_put_far(const struct build *t, const struct block *b, const struct kept_parts *p)
{
    const struct engine *g = t->g;

    for (u32 i = 0; i < t->e.nfar; i++) {
        u8 *place = p->code + (t->far[i] & ~(u32)KEPT_SITE);
        u64 to;
        i32 by;

        if (t->far[i] & KEPT_SITE)
            continue;
        __builtin_memcpy(&by, place, 4);
        to = (u64)(engine_rw(g, b->code) + t->far[i] + 4 + by - g->rw);
        if (to >= g->start)
            return false;
        __builtin_memcpy(place, &(u32){ (u32)to }, 4);
    }
    return true;
}

void kept_put(struct build *t, const struct block *b)
{
    u32 off = b->gpa & (PAGE - 1);
    struct kept *r = keep_new(t->g->keep);
    struct kept_parts p;

    if (!r || t->e.nfar > FARS || b->gpa2 || b->undefined || b->len > PAGE - off)
        return;
    *r = (struct kept){ .key = keep_key(t->page, off, b->pc, b->mode),
                        .pc = b->pc,
                        .lines = b->lines,
                        .host_flags = b->host_flags[0],
                        .mode = b->mode,
                        .ncode = (u32)(b->end - b->code),
                        .entry = (u32)(b->entry - b->code),
                        .entry_host = (u32)(b->entry_host - b->code),
                        .off = (u16)off,
                        .len = b->len,
                        .nfar = (u16)t->e.nfar,
                        .ninsn = b->ninsn,
                        .nexit = b->nexit };
    kept_parts(r, &p);
    r->size = (u32)(p.end + 15) & -16u;
    if (r->size > KEEP_RECORD_MAX)
        return;
    for (u64 i = p.end; i < r->size; i++)
        ((u8 *)r)[i] = 0;
    kept_put_arrays(t, b, r, &p);
    if (kept_put_far(t, b, &p))
        keep_add(t->g->keep, r);
}
