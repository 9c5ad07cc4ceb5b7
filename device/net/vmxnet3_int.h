/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_NET_VMXNET3_INT_H
#define DEVICE_NET_VMXNET3_INT_H
#include "base/bytes.h"
#include "bus/pci.h"
#include "device/net/frame.h"
#include "device/net/vmxnet3_wire.h"

/* A ring of descriptors or completions: next < size unless size is 0. */
struct vx_ring {
    u64 base;
    u32 size, next;
    bool gen; /* what a descriptor that is ours carries, or a completion that we write */
    u8 pad[7];
};
struct vx_tx {
    struct vx_ring ring[1], comp[1];
    u64 stats[VX_STATS];
    bool stopped; /* by nonsense in its ring, until the next activation */
    u8 intr, pad[6];
};
struct vx_rx {
    struct vx_ring ring[2], comp[1];
    u64 stats[VX_STATS];
    bool waiting; /* for buffers: the driver was asked to tell */
    u8 intr, pad[6];
};

struct vmxnet3 {
    struct device dev;
    struct vmxnet3_config {
        char mac[18];
        u8 intr; /* what the driver is told to use: VX_INTR_ */
        bool no_msi, no_msix;
    } config;
    struct vmxnet3_state {
        u64 shared, queues; /* addresses */
        struct vx_tx tx[VX_TX_MOST];
        struct vx_rx rx[VX_RX_MOST];
        u32 shared_low, shared_high, mac_low, result, events, rx_mode, features;
        u32 vlans[4096 / 32];
        u8 mac[FRAME_MAC], others[FRAME_MACS * FRAME_MAC], nothers;
        u8 ntx, nrx, event_intr;
        bool masked[VX_INTR_MOST], pending[VX_INTR_MOST];
        bool active, auto_mask, intx;
        u8 pad[5];
    } state;
    u8 mac[FRAME_MAC]; /* as described */
    struct net *net;
    bool paused;
    struct bell *tx_bell[VX_TX_MOST], *rx_bell;
    u8 frame[FRAME_VLAN + NET_FRAME_MAX]; /* one that is being sent */
    u8 joined[NET_FRAME_MAX];             /* several to the guest */
};

/* vmxnet3.c */
void vmxnet3_raise(struct vmxnet3 *c, u8 vector);
void vmxnet3_event(struct vmxnet3 *c, u32 event);

/* vmxnet3_ring.c */
int vmxnet3_rings_open(struct vmxnet3 *c); /* reads the queue descriptors: 0 or -EINVAL */
void vmxnet3_send(struct vmxnet3 *c, u32 queue);
bool vmxnet3_receive(struct vmxnet3 *c, const struct frame_joined *j, u32 *queue);
u32 vmxnet3_rx_queue(const struct vmxnet3 *c, const struct net_frame *f);
void vmxnet3_ask_for_buffers(struct vmxnet3 *c, u32 queue, bool on);
u64 vmxnet3_queue_at(const struct vmxnet3 *c, bool rx, u32 queue);
int vmxnet3_rings_check(const struct vmxnet3 *c, struct err *e);
extern const struct field vx_tx_fields[], vx_rx_fields[];
#endif
