/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_NET_FRAME_H
#define DEVICE_NET_FRAME_H
#include "backend/net.h"
#include "base/err.h"

/*
 * What network cards do to Ethernet frames: addresses, checksums (RFC 1071), cutting of large
 * TCP segments.  Every frame here came from a guest or a peer: nothing in it is believed.
 */
enum { FRAME_MAC = 6, FRAME_MACS = 32, FRAME_VLAN = 4 };

int frame_mac_parse(u8 mac[FRAME_MAC], const char *text, struct err *e); /* "52:54:00:12:34:56" */

/* Where the parts of a frame are. */
struct frame_parts {
    u32 ip, l4, payload; /* offsets; 0: there is none */
    u32 end;             /* where the IP packet ends: padding may follow */
    u8 protocol;         /* 6 TCP, 17 UDP */
    bool v4, v6, fragment, tagged;
};
struct frame_parts frame_parse(const u8 *f, u32 len);

/* Finishes a checksum whose field holds the sum of the pseudo header: false if out of range. */
bool frame_checksum(u8 *f, u32 len, u32 start, u32 field);

struct frame_verdict {
    bool ip_ok, l4_ok; /* the IPv4 header's, TCP's or UDP's checksum was there and is right */
};
struct frame_verdict frame_verify(const u8 *f, const struct frame_parts *p);

/*
 * Cuts a TCP frame into frames of at most mss bytes of payload each, or, when `whole`, leaves
 * it in one piece; lengths and checksums are made right.  -EINVAL: it is no such frame.
 */
int frame_cut(u8 *f, u32 len, u32 mss, bool whole,
              void (*send)(void *arg, const struct iovec *v, int n), void *arg);

/* Puts the sum of the pseudo header where the TCP checksum is: frame_checksum finishes it. */
void frame_unsummed(u8 *f, const struct frame_parts *p, u32 l4_len);

/*
 * Joins the first frames of n into one at `to` (NET_FRAME_MAX bytes) if they are TCP segments
 * that follow each other: how many.  1: j->f is the first frame as it was, mss is 0.  More: its
 * TCP checksum is still unsummed.  A driver gets one only when it says that it takes them.
 */
struct frame_joined {
    struct net_frame f;
    u32 mss, l4, payload; /* bytes of the first one; offsets */
};
u32 frame_join(const struct net_frame *f, u32 n, u8 *to, struct frame_joined *j);

/* Which frames a card takes. */
struct frame_filter {
    bool unicast, multicast, broadcast, all_multicast, all;
    const u8 *mac;    /* its own */
    const u8 *others; /* nothers more, one after the other */
    u32 nothers;
};
bool frame_wanted(const struct frame_filter *w, const u8 *f, u32 len);
#endif
