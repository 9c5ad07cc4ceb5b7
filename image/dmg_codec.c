/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What packs the runs of a dmg: Apple Data Compression (one byte says: literals, a near copy or
 * a far one), zlib, bzip2, and LZMA in an xz stream.  Left out: LZFSE.
 */
#include "image/dmg_int.h"
#include <bzlib.h>
#include <errno.h>
#include <lzma.h>
#include <string.h>

#define LZMA_MEMORY (256ull << 20)

static int dmg_adc(const u8 *in, size_t n, u8 *to, size_t out)
{
    size_t at = 0, put = 0, len, back;

    while (put < out && at < n) {
        u8 b = in[at++];

        if (b & 0x80) {
            len = (b & 0x7f) + 1u;
            if (len > n - at || len > out - put)
                return -EIO;
            memcpy(to + put, in + at, len);
            at += len;
            put += len;
            continue;
        }
        if (n - at < (b & 0x40 ? 2u : 1u))
            return -EIO;
        if (b & 0x40) {
            len = (b & 0x3f) + 4u;
            back = ((size_t)in[at] << 8 | in[at + 1]) + 1;
            at += 2;
        } else {
            len = (b >> 2 & 0xf) + 3u;
            back = ((size_t)(b & 3) << 8 | in[at]) + 1;
            at++;
        }
        if (back > put || len > out - put)
            return -EIO;
        for (; len; len--, put++) /* the copy may overlap itself */
            to[put] = to[put - back];
    }
    return put == out ? 0 : -EIO;
}

static int dmg_bzip2(const u8 *in, size_t n, u8 *to, size_t out)
{
    unsigned got = (unsigned)out;
    int r = BZ2_bzBuffToBuffDecompress((char *)to, &got, (char *)in, (unsigned)n, 0, 0);

    return r == BZ_MEM_ERROR ? -ENOMEM : r != BZ_OK || got != out ? -EIO : 0;
}

static int dmg_lzma(const u8 *in, size_t n, u8 *to, size_t out)
{
    u64 memory = LZMA_MEMORY;
    size_t at = 0, got = 0;
    lzma_ret r = lzma_stream_buffer_decode(&memory, 0, NULL, in, &at, n, to, &got, out);

    return r == LZMA_MEM_ERROR ? -ENOMEM : r != LZMA_OK || got != out ? -EIO : 0;
}

const char *dmg_codec_name(u32 kind)
{
    switch (kind) {
    case DMG_ADC:
        return "ADC";
    case DMG_ZLIB:
        return "zlib";
    case DMG_BZIP2:
        return "bzip2";
    case DMG_LZFSE:
        return "LZFSE";
    case DMG_LZMA:
        return "LZMA";
    }
    return NULL;
}

bool dmg_codec_is_there(u32 kind)
{
    return dmg_codec_name(kind) && kind != DMG_LZFSE;
}

int dmg_codec_run(u32 kind, const u8 *in, size_t n, u8 *to, size_t out)
{
    size_t got = 0;
    int r;

    switch (kind) {
    case DMG_ADC:
        return dmg_adc(in, n, to, out);
    case DMG_BZIP2:
        return dmg_bzip2(in, n, to, out);
    case DMG_LZMA:
        return dmg_lzma(in, n, to, out);
    }
    r = inflate_zlib(in, n, to, out, &got);
    return r ? r : got == out ? 0 : -EIO;
}
