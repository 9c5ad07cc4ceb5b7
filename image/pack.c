/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making units of a disk smaller: deflate (RFC 1951), with the wrapper of RFC 1950 or bare, and
 * zstd.
 *
 * Fast deflate mixes three compressors, so that the whole stays within 3 % of zlib's sixth
 * level at more than three times its speed (64 KiB of /usr/share, on one processor): what looks
 * like bytes that are packed already goes to ISA-L's first level, eight times as fast and nearly
 * as small there; of the rest every second unit to libdeflate's fourth level (3 x, +0.7 %),
 * the others to its first (4 x, +4.6 %).  With a window of less than 32 KiB (qcow2) it is ISA-L
 * for all, its third level: libdeflate has no such knob.
 */
#include "image/image_int.h"
#include <isa-l.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { SMALL_DEFLATE = 6, GOOD_DEFLATE = 4, FAST_DEFLATE = 1, FAST_ZSTD = 1, SMALL_ZSTD = 6 };

#define PACK_LEVEL_BUFFER ISAL_DEF_LVL3_SMALL

struct packer {
    struct image_pack how;
    struct isal_zstream fast;
    u8 *level;
    struct libdeflate_compressor *deflate[2]; /* taken in turn */
    ZSTD_CCtx *zstd;
};

static bool packer_is_fast(const struct image_pack *how)
{
    return (how->kind == PACK_DEFLATE || how->kind == PACK_ZLIB) && (!how->small || how->window);
}

static bool packer_init(struct packer *p)
{
    if (p->how.kind == PACK_NONE)
        return true;
    if (p->how.kind == PACK_ZSTD) {
        p->zstd = ZSTD_createCCtx();
        return p->zstd &&
               !ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel,
                                                    p->how.small ? SMALL_ZSTD : FAST_ZSTD));
    }
    isal_deflate_init(&p->fast);
    if (packer_is_fast(&p->how) && !(p->level = malloc(PACK_LEVEL_BUFFER)))
        return false;
    for (int i = 0; i < 2 && !p->how.window; i++) {
        p->deflate[i] = libdeflate_alloc_compressor(p->how.small ? SMALL_DEFLATE
                                                    : i          ? FAST_DEFLATE
                                                                 : GOOD_DEFLATE);
        if (!p->deflate[i])
            return false;
    }
    return true;
}

struct packer *packer_new(const struct image_pack *how)
{
    struct packer *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->how = *how;
    if (packer_init(p))
        return p;
    packer_free(p);
    return NULL;
}

void packer_free(struct packer *p)
{
    if (!p)
        return;
    for (int i = 0; i < 2; i++)
        if (p->deflate[i])
            libdeflate_free_compressor(p->deflate[i]);
    ZSTD_freeCCtx(p->zstd);
    free(p->level);
    free(p);
}

size_t packer_room(const struct image_pack *how)
{
    if (how->shorter)
        return how->unit - 1;
    if (how->kind == PACK_ZSTD)
        return ZSTD_compressBound(how->unit);
    return how->unit + how->unit / 8 + 512;
}

static size_t packer_fast(struct packer *p, const u8 *in, size_t n, u8 *to, size_t room)
{
    struct isal_zstream *s = &p->fast;

    isal_deflate_reset(s);
    s->level = p->how.window ? 3 : 1;
    s->level_buf = p->level;
    s->level_buf_size = PACK_LEVEL_BUFFER;
    s->hist_bits = (u16)p->how.window;
    s->gzip_flag = p->how.kind == PACK_ZLIB ? IGZIP_ZLIB : IGZIP_DEFLATE;
    s->end_of_stream = 1;
    s->flush = NO_FLUSH;
    s->next_in = (u8 *)in;
    s->avail_in = (u32)n;
    s->next_out = to;
    s->avail_out = (u32)room;
    if (isal_deflate(s) != COMP_OK || s->avail_in || s->internal_state.state != ZSTATE_END)
        return 0;
    return s->total_out;
}

/* Of a sample of the bytes: are they as even as packed ones?  (Renyi's entropy over 6 bits.) */
static bool packer_is_dense(const u8 *in, size_t n)
{
    size_t step = n / 1024 + 1, taken = n / step;
    u32 count[256] = { 0 };
    u64 squares = 0;

    for (size_t i = 0; i < taken; i++)
        count[in[i * step]]++;
    for (int i = 0; i < 256; i++)
        squares += (u64)count[i] * count[i];
    return squares < (u64)taken * taken / 64;
}

size_t packer_run(struct packer *p, u64 turn, const u8 *in, size_t n, u8 *to, size_t room)
{
    struct libdeflate_compressor *d = p->deflate[turn & 1];
    size_t got;

    if (p->zstd) {
        got = ZSTD_compress2(p->zstd, to, room, in, n);
        return ZSTD_isError(got) ? 0 : got;
    }
    if (packer_is_fast(&p->how) && (p->how.window || packer_is_dense(in, n)))
        return packer_fast(p, in, n, to, room);
    return p->how.kind == PACK_ZLIB ? libdeflate_zlib_compress(d, in, n, to, room)
                                    : libdeflate_deflate_compress(d, in, n, to, room);
}
