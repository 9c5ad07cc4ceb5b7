/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_NET_H
#define BACKEND_NET_H
#include "base/err.h"
#include "base/types.h"
#include <sys/uio.h>

/* The host end of a network card: whole Ethernet frames, without FCS. */
struct net;
struct loop;

struct net_port { /* --publish HOST:GUEST */
    bool udp;
    u16 host, guest;
};
struct net_make {
    const struct net_port *ports;
    u32 nports;
    bool restricted; /* no way out, published ports only */
    const char *hostname;
};

/* User-mode network of its own: 10.0.2.0/24, gateway and host 10.0.2.2, DNS 10.0.2.3,
 * guest 10.0.2.15 by DHCP.  All calls and callbacks on the lane. */
int net_open_user(struct net **n, const struct net_make *how, struct loop *lane, struct err *e);
void net_close(struct net *n);
/* Frames to the guest: deliver returns 1 taken, 0 no room (ask again with net_more). */
void net_attach(struct net *n, int (*deliver)(void *arg, const u8 *frame, u32 len), void *arg);
void net_send(struct net *n, const struct iovec *v, int nv); /* a frame from the guest */
void net_more(struct net *n);                                /* the guest has room again */
bool net_link(const struct net *n);
#endif
