/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gzip, xz, zstd or bzip2 around a whole file (RFC 1952, the .xz format 1.1, RFC 8878): it is
 * unpacked once into a nameless file, which then is read at any place.
 *
 * Against bombs: blocks of zeroes are left out of the copy, and what is not zero may be 1100
 * times what it was unpacked from (the most that deflate can do) and 1 GiB more.  Several
 * streams in a row are one file; what is packed twice is unpacked once.
 */
#include "base/log.h"
#include "image/image_int.h"
#include <bzlib.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#define UNWRAP_IN (256u << 10)
#define UNWRAP_OUT (1u << 20)
#define UNWRAP_BLOCK 4096
#define UNWRAP_RATIO 1100
#define UNWRAP_FREE (1ull << 30)
#define UNWRAP_SIZE_MAX (1ull << 46)
#define UNWRAP_MEMORY (256ull << 20)

struct unwrap {
    const struct image *im;
    u32 file; /* the packed one */
    int out;
    u64 at, left;       /* of the packed file: what comes next, and how much */
    u64 taken;          /* packed bytes read */
    u64 length, stored; /* of the copy; stored: without blocks of zeroes */
    const char *path;
    struct err *e;
    size_t have, pos; /* in packed[] */
    u8 packed[UNWRAP_IN], plain[UNWRAP_OUT];
};

static const struct {
    u8 magic[6], n;
    const char *name;
} unwrap_kinds[] = {
    { { 0x1f, 0x8b, 8 }, 3, "gzip" },
    { { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, "xz" },
    { { 0x28, 0xb5, 0x2f, 0xfd }, 4, "zstd" },
    { { 'B', 'Z', 'h' }, 3, "bzip2" },
};
enum { UNWRAP_GZIP, UNWRAP_XZ, UNWRAP_ZSTD, UNWRAP_BZIP2, UNWRAP_NONE };

static int unwrap_kind(const u8 *head, size_t n)
{
    for (int i = 0; i < UNWRAP_NONE; i++)
        if (n >= 18 && !memcmp(head, unwrap_kinds[i].magic, unwrap_kinds[i].n))
            return i == UNWRAP_BZIP2 && (head[3] < '1' || head[3] > '9') ? UNWRAP_NONE : i;
    return UNWRAP_NONE;
}

bool unwrap_is_packed(const u8 *head, size_t n)
{
    return unwrap_kind(head, n) != UNWRAP_NONE;
}

/* More packed bytes behind those that are left over; 0: there are none. */
static int unwrap_more(struct unwrap *u)
{
    size_t n = min_u64(u->left, sizeof(u->packed) - (u->have - u->pos));
    struct iovec v;
    int r;

    memmove(u->packed, u->packed + u->pos, u->have - u->pos);
    u->have -= u->pos;
    u->pos = 0;
    if (!n)
        return 0;
    v = (struct iovec){ u->packed + u->have, n };
    r = image_file_readv(u->im, u->file, u->at, &v, 1);
    if (r)
        return err_set(u->e, r, "%s: %s", u->path, strerror(-r));
    u->have += n;
    u->at += n;
    u->taken += n;
    u->left -= n;
    return (int)n;
}

static bool unwrap_is_zero(const u8 *p, size_t n)
{
    return !p[0] && !memcmp(p, p + 1, n - 1);
}

static int unwrap_store(struct unwrap *u, const u8 *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(u->out, p + done, n - done, (off_t)(u->length + done));

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_set(u->e, -errno, "%s: unpacking it to %s: %s", u->path,
                           getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp", strerror(errno));
        done += (size_t)put;
    }
    u->stored += n;
    return 0;
}

/* n bytes of plain[] go to the copy, in runs of blocks that are zero or are not. */
static int unwrap_put(struct unwrap *u, size_t n)
{
    int r = 0;

    if (n > UNWRAP_SIZE_MAX - u->length)
        return err_set(u->e, -EFBIG, "%s: unpacks to more than %llu bytes", u->path,
                       (unsigned long long)UNWRAP_SIZE_MAX);
    for (size_t at = 0, end; !r && at < n; at = end) {
        bool zero = unwrap_is_zero(u->plain + at, min_u64(UNWRAP_BLOCK, n - at));

        for (end = at + min_u64(UNWRAP_BLOCK, n - at); end < n;) {
            size_t k = min_u64(UNWRAP_BLOCK, n - end);

            if (unwrap_is_zero(u->plain + end, k) != zero)
                break;
            end += k;
        }
        if (!zero)
            r = unwrap_store(u, u->plain + at, end - at);
        u->length += end - at;
    }
    if (!r && u->stored / UNWRAP_RATIO > u->taken + UNWRAP_FREE / UNWRAP_RATIO)
        r = err_set(u->e, -EFBIG, "%s: %llu bytes unpack to more than %llu: it is refused", u->path,
                    (unsigned long long)u->taken, (unsigned long long)u->stored);
    return r;
}

static int unwrap_damaged(struct unwrap *u, int kind)
{
    return err_set(u->e, -EBADMSG, "%s: its %s stream is damaged or cut short (near byte %llu)",
                   u->path, unwrap_kinds[kind].name,
                   (unsigned long long)(u->taken - (u->have - u->pos)));
}

/* Behind a stream: another of its kind goes on; anything else is said and left. */
static int unwrap_again(struct unwrap *u, int kind)
{
    u8 pad = 0;
    int r = u->have - u->pos < 18 ? unwrap_more(u) : 0;

    if (r < 0)
        return r;
    if (unwrap_kind(u->packed + u->pos, u->have - u->pos) == kind)
        return 1;
    for (size_t i = u->pos; i < u->have; i++)
        pad |= u->packed[i];
    if (pad)
        log_warn("%s: what follows its %s stream is not read", u->path, unwrap_kinds[kind].name);
    return 0;
}

static int unwrap_gzip(struct unwrap *u)
{
    struct inflate_state *s = malloc(sizeof(*s));
    int r = s ? 0 : err_set(u->e, -ENOMEM, "%s: no memory", u->path);

    for (bool more = true; !r && more;) {
        isal_inflate_init(s);
        s->crc_flag = ISAL_GZIP;
        while (!r && s->block_state != ISAL_BLOCK_FINISH) {
            int ended, got = u->pos == u->have ? unwrap_more(u) : 1;

            s->next_in = u->packed + u->pos;
            s->avail_in = (u32)(u->have - u->pos);
            s->next_out = u->plain;
            s->avail_out = sizeof(u->plain);
            ended = got < 0 ? 0 : isal_inflate(s);
            u->pos = u->have - s->avail_in;
            r = got < 0 ? got : ended < 0 ? unwrap_damaged(u, UNWRAP_GZIP) : 0;
            if (!r && s->avail_out < sizeof(u->plain))
                r = unwrap_put(u, sizeof(u->plain) - s->avail_out);
            else if (!r && !got && s->block_state != ISAL_BLOCK_FINISH)
                r = unwrap_damaged(u, UNWRAP_GZIP);
        }
        if (!r && (r = unwrap_again(u, UNWRAP_GZIP)) >= 0) {
            more = r > 0;
            r = 0;
        }
    }
    free(s);
    return r;
}

static int unwrap_xz(struct unwrap *u)
{
    lzma_stream s = LZMA_STREAM_INIT;
    lzma_ret k = lzma_stream_decoder(&s, UNWRAP_MEMORY, LZMA_CONCATENATED);
    int r = k == LZMA_OK ? 0 : err_set(u->e, -ENOMEM, "%s: no memory", u->path);

    while (!r && k != LZMA_STREAM_END) {
        int got = u->pos == u->have ? unwrap_more(u) : 1;

        s.next_in = u->packed + u->pos;
        s.avail_in = u->have - u->pos;
        s.next_out = u->plain;
        s.avail_out = sizeof(u->plain);
        k = got < 0 ? LZMA_OK : lzma_code(&s, got ? LZMA_RUN : LZMA_FINISH);
        u->pos = u->have - s.avail_in;
        if (got < 0)
            r = got;
        else if (k == LZMA_MEMLIMIT_ERROR)
            r = err_set(u->e, -EFBIG, "%s: unpacking it takes more than %llu MiB of memory",
                        u->path, UNWRAP_MEMORY >> 20);
        else if (k != LZMA_OK && k != LZMA_STREAM_END)
            r = unwrap_damaged(u, UNWRAP_XZ);
        if (!r && s.avail_out < sizeof(u->plain))
            r = unwrap_put(u, sizeof(u->plain) - s.avail_out);
    }
    lzma_end(&s);
    return r;
}

static int unwrap_zstd(struct unwrap *u)
{
    ZSTD_DCtx *d = ZSTD_createDCtx();
    size_t left = 1;
    int r = d ? 0 : err_set(u->e, -ENOMEM, "%s: no memory", u->path);

    while (!r) {
        int got = u->pos == u->have ? unwrap_more(u) : 1;
        ZSTD_outBuffer out = { u->plain, sizeof(u->plain), 0 };
        ZSTD_inBuffer in;

        if (!got && !left)
            break;
        in = (ZSTD_inBuffer){ u->packed, u->have, u->pos };
        if (got >= 0)
            left = ZSTD_decompressStream(d, &out, &in);
        if (got < 0)
            r = got;
        else if (ZSTD_isError(left) || (!got && !out.pos))
            r = unwrap_damaged(u, UNWRAP_ZSTD);
        u->pos = in.pos;
        if (!r && out.pos)
            r = unwrap_put(u, out.pos);
    }
    ZSTD_freeDCtx(d);
    return r;
}

static int unwrap_bzip2_one(struct unwrap *u, bz_stream *s)
{
    int k = BZ_OK, r = 0;

    while (!r && k != BZ_STREAM_END) {
        int got = u->pos == u->have ? unwrap_more(u) : 1;

        s->next_in = (char *)u->packed + u->pos;
        s->avail_in = (u32)(u->have - u->pos);
        s->next_out = (char *)u->plain;
        s->avail_out = sizeof(u->plain);
        k = got < 0 ? BZ_OK : BZ2_bzDecompress(s);
        u->pos = u->have - s->avail_in;
        if (got < 0)
            r = got;
        else if ((k != BZ_OK && k != BZ_STREAM_END) ||
                 (!got && k == BZ_OK && s->avail_out == sizeof(u->plain)))
            r = unwrap_damaged(u, UNWRAP_BZIP2);
        if (!r && s->avail_out < sizeof(u->plain))
            r = unwrap_put(u, sizeof(u->plain) - s->avail_out);
    }
    return r;
}

static int unwrap_bzip2(struct unwrap *u)
{
    int r = 1;

    while (r > 0) {
        bz_stream s = { 0 };

        if (BZ2_bzDecompressInit(&s, 0, 0) != BZ_OK)
            return err_set(u->e, -ENOMEM, "%s: no memory", u->path);
        r = unwrap_bzip2_one(u, &s);
        BZ2_bzDecompressEnd(&s);
        if (!r)
            r = unwrap_again(u, UNWRAP_BZIP2);
    }
    return r;
}

int unwrap_target(struct err *e)
{
    const char *dir = getenv("TMPDIR");
    int fd = open(dir && *dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0) /* a file system without nameless files */
        fd = memfd_create("unpacked", MFD_CLOEXEC);
    return fd >= 0 ? fd : err_set(e, -errno, "a temporary file: %s", strerror(errno));
}

int unwrap(int out, const struct image *im, u32 file, u64 *length, struct err *e)
{
    struct unwrap *u = calloc(1, sizeof(*u));
    int kind, r;

    if (!u)
        return err_set(e, -ENOMEM, "%s: no memory", im->files[file].path);
    u->out = out;
    u->im = im;
    u->file = file;
    u->left = image_file_length(im, file);
    u->path = im->files[file].path;
    u->e = e;
    u->length = *length;
    r = unwrap_more(u);
    kind = unwrap_kind(u->packed, u->have);
    if (r >= 0)
        r = kind == UNWRAP_GZIP    ? unwrap_gzip(u)
            : kind == UNWRAP_XZ    ? unwrap_xz(u)
            : kind == UNWRAP_ZSTD  ? unwrap_zstd(u)
            : kind == UNWRAP_BZIP2 ? unwrap_bzip2(u)
                                   : err_set(e, -EBADMSG, "%s: is not compressed", u->path);
    if (!r && ftruncate(out, (off_t)u->length))
        r = err_set(e, -errno, "%s: unpacking it: %s", u->path, strerror(errno));
    *length = u->length;
    free(u);
    return r;
}
