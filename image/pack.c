/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making units of a disk smaller: deflate (RFC 1951), with the wrapper of RFC 1950 or bare, and
 * zstd.  ISA-L's third level is several times as fast as zlib's sixth for 2 % more space;
 * libdeflate takes the time that "small" gives it.  A window of less than 32 KiB (qcow2) is
 * ISA-L's only: libdeflate has no such knob.
 */
#include "image/image_int.h"
#include <isa-l.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { SMALL_DEFLATE = 6, FAST_ZSTD = 1, SMALL_ZSTD = 6 };

struct packer {
    struct image_pack how;
    struct isal_zstream fast;
    u8 *level;
    struct libdeflate_compressor *small;
    ZSTD_CCtx *zstd;
};

static bool packer_is_fast(const struct image_pack *how)
{
    return (how->kind == PACK_DEFLATE || how->kind == PACK_ZLIB) && (!how->small || how->window);
}

struct packer *packer_new(const struct image_pack *how)
{
    struct packer *p = calloc(1, sizeof(*p));
    bool ok = p != NULL;

    if (!p)
        return NULL;
    p->how = *how;
    if (how->kind == PACK_ZSTD) {
        ok = (p->zstd = ZSTD_createCCtx()) != NULL;
        if (ok)
            ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel,
                                   how->small ? SMALL_ZSTD : FAST_ZSTD);
    } else if (packer_is_fast(how)) {
        ok = (p->level = malloc(ISAL_DEF_LVL3_EXTRA_LARGE)) != NULL;
        isal_deflate_init(&p->fast);
    } else if (how->kind != PACK_NONE) {
        ok = (p->small = libdeflate_alloc_compressor(SMALL_DEFLATE)) != NULL;
    }
    if (ok)
        return p;
    packer_free(p);
    return NULL;
}

void packer_free(struct packer *p)
{
    if (!p)
        return;
    if (p->small)
        libdeflate_free_compressor(p->small);
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
    s->level = 3;
    s->level_buf = p->level;
    s->level_buf_size = ISAL_DEF_LVL3_EXTRA_LARGE;
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

size_t packer_run(struct packer *p, const u8 *in, size_t n, u8 *to, size_t room)
{
    size_t got;

    if (p->zstd) {
        got = ZSTD_compress2(p->zstd, to, room, in, n);
        return ZSTD_isError(got) ? 0 : got;
    }
    if (packer_is_fast(&p->how))
        return packer_fast(p, in, n, to, room);
    return p->how.kind == PACK_ZLIB ? libdeflate_zlib_compress(p->small, in, n, to, room)
                                    : libdeflate_deflate_compress(p->small, in, n, to, room);
}
