/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames: RFC 791, 8200, 9293, 768 and 1071; VLAN tags after IEEE 802.1Q.
 * Left out: IPv6 extension headers, tunnels.
 */
#include "device/net/frame.h"
#include "base/bytes.h"
#include <errno.h>
#include <stdio.h>

enum {
    ETH_LEN = 14,
    ETH_IP4 = 0x0800,
    ETH_IP6 = 0x86dd,
    ETH_TAG = 0x8100,
    IP4_LEN = 20,
    IP6_LEN = 40,
    TCP_LEN = 20,
    UDP_LEN = 8,
    IS_TCP = 6,
    IS_UDP = 17,
    TCP_FIN_PUSH = 0x09,
    TCP_CWR = 0x80,
    HEADERS_MAX = 256,
};

int frame_mac_parse(u8 mac[FRAME_MAC], const char *text, struct err *e)
{
    unsigned b[FRAME_MAC];
    int end = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) !=
            FRAME_MAC ||
        text[end])
        return err_set(e, -EINVAL, "\"%s\" is no MAC address like 52:54:00:12:34:56", text);
    if (b[0] & 1)
        return err_set(e, -EINVAL, "%s is a group's MAC address, not a card's", text);
    for (int i = 0; i < FRAME_MAC; i++)
        mac[i] = (u8)b[i];
    return 0;
}

/* Sums are kept in the order of the host and folded at the end: RFC 1071, 2(B). */
static u64 frame_sum(u64 sum, const u8 *p, u32 n)
{
    for (; n >= 4; p += 4, n -= 4)
        sum += le32(p);
    if (n & 2) {
        sum += le16(p);
        p += 2;
    }
    return n & 1 ? sum + *p : sum;
}

static u16 frame_fold(u64 sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (u16)sum;
}

struct frame_parts frame_parse(const u8 *f, u32 len)
{
    struct frame_parts p = { 0 };
    u32 at = ETH_LEN, head, total;
    u16 type;

    if (len < ETH_LEN)
        return p;
    type = be16(f + 12);
    if (type == ETH_TAG && len >= ETH_LEN + FRAME_VLAN) {
        p.tagged = true;
        type = be16(f + 16);
        at += FRAME_VLAN;
    }
    if (type == ETH_IP4 && len - at >= IP4_LEN && f[at] >> 4 == 4) {
        head = (f[at] & 15) * 4u;
        total = be16(f + at + 2);
        p.fragment = be16(f + at + 6) & 0x3fff;
        p.protocol = f[at + 9];
    } else if (type == ETH_IP6 && len - at >= IP6_LEN && f[at] >> 4 == 6) {
        head = IP6_LEN;
        total = IP6_LEN + be16(f + at + 4);
        p.protocol = f[at + 6];
    } else {
        return p;
    }
    if (head < IP4_LEN || total < head || total > len - at)
        return (struct frame_parts){ .tagged = p.tagged };
    p.v4 = type == ETH_IP4;
    p.v6 = !p.v4;
    p.ip = at;
    p.end = at + total;
    if (p.fragment)
        return p;
    at += head;
    if (p.protocol == IS_TCP && p.end - at >= TCP_LEN && f[at + 12] >> 4 >= 5 &&
        p.end - at >= (f[at + 12] >> 4) * 4u) {
        p.l4 = at;
        p.payload = at + (f[at + 12] >> 4) * 4u;
    } else if (p.protocol == IS_UDP && p.end - at >= UDP_LEN) {
        p.l4 = at;
        p.payload = at + UDP_LEN;
    }
    return p;
}

static u64 frame_pseudo(const u8 *f, const struct frame_parts *p, u32 l4_len)
{
    u64 sum = p->v4 ? frame_sum(0, f + p->ip + 12, 8) : frame_sum(0, f + p->ip + 8, 32);

    return sum + ((u64)p->protocol << 8) + __builtin_bswap16((u16)l4_len);
}

void frame_unsummed(u8 *f, const struct frame_parts *p, u32 l4_len)
{
    put_le16(f + p->l4 + 16, frame_fold(frame_pseudo(f, p, l4_len)));
}

bool frame_checksum(u8 *f, u32 len, u32 start, u32 field)
{
    u16 sum;

    if (start > len || len < 2 || field > len - 2 || field < start)
        return false;
    sum = (u16)~frame_fold(frame_sum(0, f + start, len - start));
    put_le16(f + field, sum ? sum : 0xffff);
    return true;
}

struct frame_verdict frame_verify(const u8 *f, const struct frame_parts *p)
{
    struct frame_verdict v = { 0 };

    if (p->v4)
        v.ip_ok = frame_fold(frame_sum(0, f + p->ip, (f[p->ip] & 15) * 4u)) == 0xffff;
    if (!p->l4 || (p->protocol == IS_UDP && !le16(f + p->l4 + 6)))
        return v;
    v.l4_ok = frame_fold(frame_sum(frame_pseudo(f, p, p->end - p->l4), f + p->l4,
                                   p->end - p->l4)) == 0xffff;
    return v;
}

/* The headers of one frame of a cut: lengths, identification, sequence, flags, checksums. */
static void frame_headers(u8 *h, const struct frame_parts *p, const u8 *payload, u32 n, u32 done,
                          u16 id, bool last)
{
    u32 l4_len = p->payload - p->l4 + n;
    u64 sum;

    if (p->v4) {
        put_be16(h + p->ip + 2, (u16)(p->payload - p->ip + n));
        put_be16(h + p->ip + 4, id);
        put_le16(h + p->ip + 10, 0);
        put_le16(h + p->ip + 10, (u16)~frame_fold(frame_sum(0, h + p->ip, p->l4 - p->ip)));
    } else {
        put_be16(h + p->ip + 4, (u16)(p->payload - p->ip - IP6_LEN + n));
    }
    put_be32(h + p->l4 + 4, be32(h + p->l4 + 4) + done);
    if (!last)
        h[p->l4 + 13] &= (u8)~TCP_FIN_PUSH;
    if (done)
        h[p->l4 + 13] &= (u8)~TCP_CWR;
    put_le16(h + p->l4 + 16, 0);
    sum = frame_sum(frame_pseudo(h, p, l4_len), h + p->l4, p->payload - p->l4);
    put_le16(h + p->l4 + 16, (u16)~frame_fold(frame_sum(sum, payload, n)));
}

int frame_cut(u8 *f, u32 len, u32 mss, bool whole,
              void (*send)(void *arg, const struct iovec *v, int n), void *arg)
{
    struct frame_parts p = frame_parse(f, len);
    u32 size, done = 0, n;
    u16 id;

    if (!p.l4 || p.protocol != IS_TCP || p.payload > HEADERS_MAX || !mss)
        return -EINVAL;
    size = p.end - p.payload;
    id = be16(f + p.ip + 4);
    if (whole)
        mss = size;
    do {
        u8 h[HEADERS_MAX];
        struct iovec v[2];

        n = (u32)min_u64(mss, size - done);
        memcpy(h, f, p.payload);
        frame_headers(h, &p, f + p.payload + done, n, done, id++, done + n == size);
        v[0] = (struct iovec){ h, p.payload };
        v[1] = (struct iovec){ f + p.payload + done, n };
        send(arg, v, n ? 2 : 1);
        done += n;
    } while (done < size);
    return 0;
}

bool frame_wanted(const struct frame_filter *w, const u8 *f, u32 len)
{
    static const u8 everybody[FRAME_MAC] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    if (len < ETH_LEN)
        return false;
    if (w->all)
        return true;
    if (!memcmp(f, everybody, FRAME_MAC))
        return w->broadcast;
    if (f[0] & 1) {
        if (w->all_multicast)
            return true;
        if (!w->multicast)
            return false;
    } else if (w->unicast && !memcmp(f, w->mac, FRAME_MAC)) {
        return true;
    }
    for (u32 i = 0; i < w->nothers; i++)
        if (!memcmp(f, w->others + i * FRAME_MAC, FRAME_MAC))
            return true;
    return false;
}
