/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_NET_H
#define BACKEND_NET_H
#include "base/err.h"
#include "base/types.h"
#include <sys/uio.h>

/*
 * The host end of a network card: whole Ethernet frames, without FCS.
 *
 * Opened, attached and closed on any thread; closed while the machine is paused and before
 * it is freed.  All other calls are made on the lane, from the device with its domain held.
 * The calls back come on the lane with no lock held and never from inside another call.
 */
struct net;
struct loop;

enum { NET_FRAME_MAX = 65536 + 18 }; /* the longest frame, when the backend takes large ones */

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
struct net_frame {
    const u8 *p;
    u32 len;
};
struct net_guest {
    /* Frames to the guest: answers how many it took, the first ones; the rest waits until
     * net_more. */
    u32 (*deliver)(void *arg, const struct net_frame *f, u32 n);
    void (*link)(void *arg); /* net_link has changed; NULL: not interested */
};

/* User-mode network of its own: 10.0.2.0/24, gateway and host 10.0.2.2, DNS 10.0.2.3,
 * guest 10.0.2.15 by DHCP. */
int net_open_user(struct net **n, const struct net_make *how, struct loop *lane, struct err *e);
/* A cable: what one end sends comes out of the other.  Either may be closed first. */
int net_open_pair(struct net **a, struct net **b, struct loop *lane, struct err *e);
void net_close(struct net *n);

void net_attach(struct net *n, const struct net_guest *g, void *arg);
void net_detach(struct net *n); /* no calls back from now on */
/* A frame from the guest, with valid checksums; up to NET_FRAME_MAX if net_large says so. */
void net_send(struct net *n, const struct iovec *v, int nv);
void net_more(struct net *n); /* the guest has room again */
bool net_link(const struct net *n);
void net_link_set(struct net *n, bool up); /* as if the cable was pulled */
bool net_large(const struct net *n);       /* does it take TCP segments beyond the MTU? */
#endif
