/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Units that are stored compressed: unpacked once, kept a while, shared by all readers.  A
 * read of a whole unit into one piece of memory is unpacked right there.
 */
#include "image/image_int.h"
#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define PACKED_KEEP (8u << 20) /* bytes unpacked and kept, per image */
#define PACKED_SLOTS 128

struct packed_unit {
    u64 at;
    u32 file, size, users;
    u64 stamp;
    u8 bytes[];
};

struct packed_cache {
    pthread_mutex_t lock; /* the table only: never held while reading or unpacking */
    struct packed_unit *slots[PACKED_SLOTS];
    u64 clock;
};

/* What unpacking needs besides memory; one for each thread, freed when the thread ends. */
struct unpacker {
    struct libdeflate_decompressor *deflate;
    ZSTD_DCtx *zstd;
    u8 *in;
    size_t nin;
};
static pthread_key_t unpacker_key;
static pthread_once_t unpacker_once = PTHREAD_ONCE_INIT;

static void unpacker_free(void *arg)
{
    struct unpacker *u = arg;

    libdeflate_free_decompressor(u->deflate);
    ZSTD_freeDCtx(u->zstd);
    free(u->in);
    free(u);
}
static void unpacker_init(void)
{
    pthread_key_create(&unpacker_key, unpacker_free);
}
static struct unpacker *unpacker(void)
{
    struct unpacker *u;

    pthread_once(&unpacker_once, unpacker_init);
    u = pthread_getspecific(unpacker_key);
    if (u)
        return u;
    u = calloc(1, sizeof(*u));
    if (u && pthread_setspecific(unpacker_key, u)) {
        free(u);
        u = NULL;
    }
    return u;
}

static struct libdeflate_decompressor *unpacker_deflate(void)
{
    struct unpacker *u = unpacker();

    if (u && !u->deflate)
        u->deflate = libdeflate_alloc_decompressor();
    return u ? u->deflate : NULL;
}

int inflate_raw(const u8 *in, size_t nin, u8 *to, size_t out, size_t *got)
{
    struct libdeflate_decompressor *d = unpacker_deflate();

    if (!d)
        return -ENOMEM;
    return libdeflate_deflate_decompress(d, in, nin, to, out, got) ? -EIO : 0;
}

int inflate_zlib(const u8 *in, size_t nin, u8 *to, size_t out, size_t *got)
{
    struct libdeflate_decompressor *d = unpacker_deflate();
    size_t used;

    if (!d)
        return -ENOMEM;
    return libdeflate_zlib_decompress_ex(d, in, nin, to, out, &used, got) ? -EIO : 0;
}

int unpack_zstd(const u8 *in, size_t nin, u8 *to, size_t out, size_t *got)
{
    size_t frame = ZSTD_findFrameCompressedSize(in, nin);
    struct unpacker *u = unpacker();

    if (u && !u->zstd)
        u->zstd = ZSTD_createDCtx();
    if (!u || !u->zstd)
        return -ENOMEM;
    if (ZSTD_isError(frame))
        return -EIO;
    *got = ZSTD_decompressDCtx(u->zstd, to, out, in, frame);
    return ZSTD_isError(*got) ? -EIO : 0;
}

int packed_new(struct image *im)
{
    im->packs = calloc(1, sizeof(*im->packs));
    if (!im->packs)
        return -ENOMEM;
    pthread_mutex_init(&im->packs->lock, NULL);
    return 0;
}

void packed_free(struct image *im)
{
    if (!im->packs)
        return;
    for (size_t i = 0; i < PACKED_SLOTS; i++)
        free(im->packs->slots[i]);
    pthread_mutex_destroy(&im->packs->lock);
    free(im->packs);
    im->packs = NULL;
}

static struct packed_unit *packed_get(struct packed_cache *c, const struct extent *x)
{
    struct packed_unit *found = NULL;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; !found && i < PACKED_SLOTS; i++) {
        struct packed_unit *u = c->slots[i];

        if (u && u->at == x->at && u->file == x->file && u->size == x->unpacked) {
            u->users++;
            u->stamp = ++c->clock;
            found = u;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

/* Keep u, which has one user; what is oldest and unused goes. */
static void packed_keep(struct packed_cache *c, struct packed_unit *u)
{
    size_t slots = PACKED_KEEP / u->size, oldest = PACKED_SLOTS;

    slots = slots < 4 ? 4 : min_u64(slots, PACKED_SLOTS);
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < slots; i++) {
        if (!c->slots[i]) {
            oldest = i;
            break;
        }
        if (!c->slots[i]->users &&
            (oldest == PACKED_SLOTS || c->slots[i]->stamp < c->slots[oldest]->stamp))
            oldest = i;
    }
    if (oldest < PACKED_SLOTS) {
        free(c->slots[oldest]);
        c->slots[oldest] = u;
        u->stamp = ++c->clock;
    }
    pthread_mutex_unlock(&c->lock);
}

static void packed_put(struct packed_cache *c, struct packed_unit *u)
{
    bool kept = false;

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < PACKED_SLOTS; i++)
        kept |= c->slots[i] == u;
    u->users--;
    pthread_mutex_unlock(&c->lock);
    if (!kept)
        free(u);
}

static int packed_unpack(struct image *im, const struct extent *x, u8 *out)
{
    struct unpacker *u = unpacker();
    struct iovec v;
    u64 end = image_file_length(im, x->file);
    size_t n;
    int r;

    if (!u || x->at >= end)
        return u ? -EIO : -ENOMEM;
    n = min_u64(x->packed, end - x->at);
    if (n > u->nin) {
        u8 *in = realloc(u->in, n);

        if (!in)
            return -ENOMEM;
        u->in = in;
        u->nin = n;
    }
    v = (struct iovec){ u->in, n };
    r = image_file_readv(im, x->file, x->at, &v, 1);
    return r ? r : im->format->unpack(im, x, u->in, n, out);
}

int packed_read(struct image *im, const struct extent *x, u64 off, u64 len, const struct iovec *v,
                int n)
{
    struct packed_unit *u;
    int r;

    if (off == x->base && len == x->unpacked && n == 1)
        return packed_unpack(im, x, v[0].iov_base);
    u = packed_get(im->packs, x);
    if (!u) {
        u = malloc(sizeof(*u) + x->unpacked);
        if (!u)
            return -ENOMEM;
        *u = (struct packed_unit){ .at = x->at, .file = x->file, .size = x->unpacked, .users = 1 };
        r = packed_unpack(im, x, u->bytes);
        if (r) {
            free(u);
            return r;
        }
        packed_keep(im->packs, u);
    }
    iov_fill(v, n, 0, u->bytes + (off - x->base), len);
    packed_put(im->packs, u);
    return 0;
}
