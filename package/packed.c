/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gzip, xz, zstd or bzip2 around an archive.  A look at the first bytes inside tells whether
 * there is one; a compressed disk is none of ours and is left packed.
 */
#include "image/image.h"
#include "package/source_int.h"
#include <bzlib.h>
#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define PEEK_IN (128u << 10) /* bzip2 and zstd work by blocks */
#define PEEK_OUT 512u

static bool peek_gzip(u8 *in, size_t n, u8 *out)
{
    z_stream z = { .next_in = in, .avail_in = (uInt)n, .next_out = out, .avail_out = PEEK_OUT };

    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return false;
    inflate(&z, Z_SYNC_FLUSH);
    inflateEnd(&z);
    return !z.avail_out;
}

static bool peek_xz(const u8 *in, size_t n, u8 *out)
{
    lzma_stream s = LZMA_STREAM_INIT;
    bool ok;

    if (lzma_stream_decoder(&s, 256u << 20, 0) != LZMA_OK)
        return false;
    s.next_in = in;
    s.avail_in = n;
    s.next_out = out;
    s.avail_out = PEEK_OUT;
    ok = lzma_code(&s, LZMA_RUN) <= LZMA_STREAM_END;
    lzma_end(&s);
    return ok && !s.avail_out;
}

static bool peek_zstd(const u8 *in, size_t n, u8 *out)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    ZSTD_inBuffer from = { in, n, 0 };
    ZSTD_outBuffer to = { out, PEEK_OUT, 0 };

    if (!z)
        return false;
    while (to.pos < to.size && from.pos < from.size)
        if (ZSTD_isError(ZSTD_decompressStream(z, &to, &from)))
            break;
    if (to.pos < to.size) /* a block may be decoded and not handed out yet */
        ZSTD_decompressStream(z, &to, &from);
    ZSTD_freeDCtx(z);
    return to.pos == to.size;
}

static bool peek_bzip2(u8 *in, size_t n, u8 *out)
{
    bz_stream s = { .next_in = (char *)in,
                    .avail_in = (unsigned)n,
                    .next_out = (char *)out,
                    .avail_out = PEEK_OUT };

    if (BZ2_bzDecompressInit(&s, 0, 1) != BZ_OK)
        return false;
    BZ2_bzDecompress(&s);
    BZ2_bzDecompressEnd(&s);
    return !s.avail_out;
}

/* A bzip2 block is up to 900 KiB packed: so much is needed for one byte of it. */
bool packed_is_archive(int fd)
{
    u8 *in = malloc(8 * PEEK_IN), out[PEEK_OUT] = { 0 };
    ssize_t n = in ? pread(fd, in, 8 * PEEK_IN, 0) : -1;
    bool ok = false;

    if (n > 18 && in[0] == 0x1f && in[1] == 0x8b)
        ok = peek_gzip(in, (size_t)n, out);
    else if (n > 18 && !memcmp(in,
                               "\xfd"
                               "7zXZ",
                               6))
        ok = peek_xz(in, (size_t)n, out);
    else if (n > 18 && !memcmp(in, "\x28\xb5\x2f\xfd", 4))
        ok = peek_zstd(in, (size_t)n, out);
    else if (n > 18 && !memcmp(in, "BZh", 3))
        ok = peek_bzip2(in, (size_t)n, out);
    free(in);
    return ok && tar_is(out);
}

/* Into a file without a name, which lives as long as the description does. */
int packed_open(struct source *s, struct err *e)
{
    u64 size;
    int fd = image_unpack(s->data, 0, 0, &size, e);

    if (fd < 0)
        return fd;
    if (s->held >= 0)
        close(s->held);
    s->held = fd;
    return 0;
}
