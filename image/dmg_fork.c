/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of a dmg in a resource fork (Inside Macintosh: More Macintosh Toolbox, 1-121), as
 * images from before the property list have them.
 */
#include "base/bytes.h"
#include "image/dmg_int.h"
#include <errno.h>
#include <string.h>

#define FORK_TYPES_MAX 4096

static int fork_resources(const u8 *fork, size_t n, u64 data_at, const u8 *refs, u32 count,
                          int (*each)(void *arg, const u8 *p, size_t n), void *arg)
{
    int r = 0;

    for (u32 i = 0; !r && i < count; i++) {
        u64 at = data_at + (be32(refs + i * 12 + 4) & 0xffffff);

        if (!range_ok(at, 4, n) || !range_ok(at + 4, be32(fork + at), n))
            return -EBADMSG;
        r = each(arg, fork + at + 4, be32(fork + at));
    }
    return r;
}

int dmg_fork_each(const u8 *fork, size_t n, int (*each)(void *arg, const u8 *p, size_t n),
                  void *arg)
{
    u64 data_at, map, types;
    u32 count;
    int r = 0;

    if (n < 16)
        return -EBADMSG;
    data_at = be32(fork);
    map = be32(fork + 4);
    if (!range_ok(map, 28, n))
        return -EBADMSG;
    types = map + be16(fork + map + 24);
    if (!range_ok(types, 2, n))
        return -EBADMSG;
    count = be16(fork + types) + 1u;
    if (count > FORK_TYPES_MAX || !range_ok(types + 2, count * 8ull, n))
        return -EBADMSG;
    for (u32 i = 0; !r && i < count; i++) {
        const u8 *t = fork + types + 2 + i * 8;
        u64 refs = types + be16(t + 6);
        u32 k = be16(t + 4) + 1u;

        if (memcmp(t, "blkx", 4))
            continue;
        if (!range_ok(refs, k * 12ull, n))
            return -EBADMSG;
        r = fork_resources(fork, n, data_at, fork + refs, k, each, arg);
    }
    return r;
}
