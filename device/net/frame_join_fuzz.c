/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames from any peer that are to be joined.  The input: lengths and bytes of frames; after
 * each, one bit says whether its checksums are made right, else nothing would ever fit.
 */
#include "base/bytes.h"
#include "device/net/frame.h"
#include <stdlib.h>

enum { MOST = 64 };

int LLVMFuzzerTestOneInput(const u8 *p, size_t n);

static void frame_mend(u8 *f, u32 len)
{
    struct frame_parts p = frame_parse(f, len);

    if (!p.v4)
        return;
    put_le16(f + p.ip + 10, 0);
    frame_checksum(f, p.ip + (f[p.ip] & 15) * 4u, p.ip, p.ip + 10);
    if (!p.l4 || p.protocol != 6)
        return;
    frame_unsummed(f, &p, p.end - p.l4);
    frame_checksum(f, p.end, p.l4, p.l4 + 16);
}

int LLVMFuzzerTestOneInput(const u8 *p, size_t n)
{
    static u8 to[NET_FRAME_MAX];
    struct net_frame f[MOST];
    struct frame_joined j;
    u32 frames = 0;

    while (frames < MOST && n > 2) {
        u32 len = (u32)min_u64(le16(p) & 0x7fff, n - 2);
        u8 *copy = malloc(len + 1); /* the sanitizer sees its end */

        memcpy(copy, p + 2, len);
        if (p[1] & 0x80)
            frame_mend(copy, len);
        f[frames++] = (struct net_frame){ copy, len };
        p += 2 + len;
        n -= 2 + len;
    }
    for (u32 at = 0; at < frames;) {
        at += frame_join(f + at, frames - at, to, &j);
        if (j.f.len > NET_FRAME_MAX || (j.mss && (j.l4 > j.payload || j.payload > j.f.len)))
            abort();
    }
    for (u32 i = 0; i < frames; i++)
        free((void *)f[i].p);
    return 0;
}
