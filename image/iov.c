/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parts of scattered memory. */
#include "image/image_int.h"
#include <string.h>

int iov_part(const struct iovec *v, int n, u64 skip, u64 len, struct iovec *out, int max,
             u64 *covered)
{
    int k = 0;

    *covered = 0;
    for (int i = 0; i < n && k < max && *covered < len; i++) {
        u64 take;

        if (skip >= v[i].iov_len) {
            skip -= v[i].iov_len;
            continue;
        }
        take = min_u64(v[i].iov_len - skip, len - *covered);
        out[k].iov_base = (u8 *)v[i].iov_base + skip;
        out[k++].iov_len = take;
        *covered += take;
        skip = 0;
    }
    return k;
}

void iov_zero(const struct iovec *v, int n, u64 skip, u64 len)
{
    while (len) {
        struct iovec part[16];
        u64 got;
        int k = iov_part(v, n, skip, len, part, LEN(part), &got);

        if (!k)
            return;
        for (int i = 0; i < k; i++)
            memset(part[i].iov_base, 0, part[i].iov_len);
        skip += got;
        len -= got;
    }
}

void iov_fill(const struct iovec *v, int n, u64 skip, const u8 *from, u64 len)
{
    while (len) {
        struct iovec part[16];
        u64 got;
        int k = iov_part(v, n, skip, len, part, LEN(part), &got);

        if (!k)
            return;
        for (int i = 0; i < k; i++) {
            memcpy(part[i].iov_base, from, part[i].iov_len);
            from += part[i].iov_len;
        }
        skip += got;
        len -= got;
    }
}
