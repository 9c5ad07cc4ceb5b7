/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk as the chunks of an XVA, forward: image/xva.h. */
#include "base/bytes.h"
#include "image/image_int.h"
#include "image/xva.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static int xva_put(const struct xva_write *how, u64 number, const u8 *p, size_t n)
{
    char name[256], sum[41];
    u8 digest[20];
    int r;

    snprintf(name, sizeof(name), "%.100s/%08llu", how->ref, (unsigned long long)number);
    if ((r = how->member(how->arg, name, p, n)))
        return r;
    if (how->sum == XVA_XXHASH) {
        snprintf(sum, sizeof(sum), "%016llX", (unsigned long long)XXH64(p, n, 0));
    } else {
        if (!EVP_Digest(p, n, digest, NULL, EVP_sha1(), NULL))
            return -ENOMEM;
        for (size_t i = 0; i < sizeof(digest); i++)
            snprintf(sum + i * 2, 3, "%02x", digest[i]);
    }
    snprintf(name, sizeof(name), "%.100s/%08llu.%s", how->ref, (unsigned long long)number,
             how->sum == XVA_XXHASH ? "xxhash" : "checksum");
    return how->member(how->arg, name, sum, strlen(sum));
}

/* From off on, what is zero for sure, in whole chunks; the last chunk is never among them. */
static int xva_skip(struct image *im, u64 *off, u64 last, struct err *e)
{
    enum image_kind kind = IMAGE_ZERO;
    u64 len = 0, at = *off;
    int r = 0;

    while (!r && kind == IMAGE_ZERO && at < last) {
        r = image_map(im, at, &len, &kind, e);
        if (!r && kind == IMAGE_ZERO)
            at += len;
    }
    at = min_u64(at / XVA_CHUNK * XVA_CHUNK, last);
    *off = max_u64(at, *off);
    return r;
}

int xva_write(struct image *im, const struct xva_write *how, struct err *e)
{
    u64 size = image_size(im), last = size ? (size - 1) / XVA_CHUNK * XVA_CHUNK : 0, n;
    u8 *b = malloc(XVA_CHUNK);
    int r = b ? 0 : err_set(e, -ENOMEM, "%s: no memory", image_path(im));

    if (!r && last / XVA_CHUNK > 99999999)
        r = err_set(e, -EFBIG, "%s: %llu bytes are more than an XVA can number", image_path(im),
                    (unsigned long long)size);
    for (u64 off = 0; !r && off < size; off += n) {
        struct iovec v;

        if (off && (r = xva_skip(im, &off, last, e)))
            break;
        n = min_u64(XVA_CHUNK, size - off);
        v = (struct iovec){ b, n };
        if ((r = image_read(im, off, &v, 1, n))) {
            err_set(e, r, "%s: reading at %llu: %s", image_path(im), (unsigned long long)off,
                    strerror(-r));
        } else if (off == 0 || off == last || b[0] || memcmp(b, b + 1, n - 1)) {
            r = xva_put(how, off / XVA_CHUNK, b, n);
            if (r && e && !e->text[0])
                err_set(e, r, "%s: %s", how->ref, strerror(-r));
        }
    }
    free(b);
    return r;
}
