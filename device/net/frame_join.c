/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Joining TCP segments for cards whose drivers take large ones ("LRO", "GSO to the guest"): a
 * stack that gets 40 frames as one spends a tenth on them.  What is joined could be cut again as
 * it was: same headers, numbers that follow each other, right checksums, only acknowledged data.
 * Left out: IPv6, tags, IP options; those go as they came.
 */
#include "base/bytes.h"
#include "device/net/frame.h"

enum {
    JOIN_IP = 20,
    JOIN_MOST = 0xffff, /* bytes of an IP packet */
    JOIN_ACK = 0x10,
    JOIN_PUSH = 0x08,
};

struct join_part {
    struct frame_parts p;
    u32 payload; /* bytes */
    bool last;   /* nothing may follow it */
};

/* Is it a segment of plain data, with right checksums? */
static bool join_part(const struct net_frame *f, struct join_part *s)
{
    struct frame_verdict ok;
    const u8 *tcp;

    s->p = frame_parse(f->p, f->len);
    if (!s->p.v4 || s->p.fragment || s->p.tagged || !s->p.l4 || s->p.protocol != 6 ||
        s->p.l4 - s->p.ip != JOIN_IP)
        return false;
    tcp = f->p + s->p.l4;
    s->payload = s->p.end - s->p.payload;
    if ((tcp[13] & ~JOIN_PUSH) != JOIN_ACK || !s->payload)
        return false;
    s->last = tcp[13] & JOIN_PUSH;
    ok = frame_verify(f->p, &s->p);
    return ok.ip_ok && ok.l4_ok;
}

/* Do the headers differ in nothing but lengths, identification, sequence, push, checksums? */
static bool join_alike(const u8 *a, const u8 *b, const struct frame_parts *p)
{
    const u8 *x = a + p->ip, *y = b + p->ip, *s = a + p->l4, *t = b + p->l4;

    return !memcmp(a, b, p->ip) && !memcmp(x, y, 2) && !memcmp(x + 6, y + 6, 4) &&
           !memcmp(x + 12, y + 12, 8) && !memcmp(s, t, 4) && !memcmp(s + 8, t + 8, 5) &&
           !memcmp(s + 14, t + 14, 2) && !memcmp(s + 18, t + 18, p->payload - p->l4 - 18);
}

/* How many of the frames go together; *bytes: of payload. */
static u32 join_count(const struct net_frame *f, u32 n, struct join_part *first, u32 *bytes)
{
    struct join_part next;
    u32 k = 1, seq;
    bool last;

    if (!join_part(f, first))
        return 1;
    seq = be32(f->p + first->p.l4 + 4);
    *bytes = first->payload;
    last = first->last;
    for (; k < n && !last; k++) {
        if (!join_part(&f[k], &next) || next.p.payload != first->p.payload ||
            next.payload > first->payload || !join_alike(f->p, f[k].p, &first->p) ||
            be32(f[k].p + next.p.l4 + 4) != seq + *bytes ||
            first->p.payload - first->p.ip + *bytes + next.payload > JOIN_MOST)
            break;
        *bytes += next.payload;
        last = next.last || next.payload < first->payload;
    }
    return k;
}

u32 frame_join(const struct net_frame *f, u32 n, u8 *to, struct frame_joined *j)
{
    struct join_part first;
    u32 bytes, k = n > 1 ? join_count(f, n, &first, &bytes) : 1, at;
    const struct frame_parts *p = &first.p;

    *j = (struct frame_joined){ .f = *f };
    if (k == 1)
        return 1;
    at = p->payload;
    memcpy(to, f->p, at);
    for (u32 i = 0; i < k; i++) {
        u32 some = (u32)min_u64(first.payload, bytes - (at - p->payload));

        memcpy(to + at, f[i].p + p->payload, some);
        at += some;
    }
    to[p->l4 + 13] |= f[k - 1].p[p->l4 + 13] & JOIN_PUSH;
    put_be16(to + p->ip + 2, (u16)(at - p->ip));
    put_le16(to + p->ip + 10, 0);
    frame_checksum(to, p->l4, p->ip, p->ip + 10);
    frame_unsummed(to, p, at - p->l4);
    j->f = (struct net_frame){ to, at };
    j->mss = first.payload;
    j->l4 = p->l4;
    j->payload = p->payload;
    return k;
}
