/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_NET_VMXNET3_WIRE_H
#define DEVICE_NET_VMXNET3_WIRE_H

/*
 * VMware's vmxnet3 network card, revision 1 with UPT 1: registers and structures in memory,
 * all little-endian.  There is no public document: known from the open drivers of Linux and
 * the BSDs.  Offsets are in bytes; VX_x_SHIFT and the like are bits of a 32-bit word.
 */

/* BAR 0: data path, 8 bytes from one queue or vector to the next. */
enum { VX_MASK = 0x000, VX_TX_PROD = 0x600, VX_RX_PROD = 0x800, VX_RX_PROD2 = 0xa00 };
enum { VX_BAR0_LEN = 0x1000, VX_BAR1_LEN = 0x1000 };

/* BAR 1: control. */
enum {
    VX_REVISION = 0x00,
    VX_UPT = 0x08,
    VX_SHARED_LOW = 0x10,
    VX_SHARED_HIGH = 0x18,
    VX_COMMAND = 0x20,
    VX_MAC_LOW = 0x28,
    VX_MAC_HIGH = 0x30,
    VX_CAUSE = 0x38,
    VX_EVENT = 0x40,
};

enum {
    VX_TX_MOST = 8, /* queues */
    VX_RX_MOST = 8,
    VX_INTR_MOST = 25,
    VX_RING_MOST = 4096,  /* descriptors in a ring; a multiple of 32 */
    VX_COMP_MOST = 16384, /* completions in a ring */
    VX_RING_UNIT = 32,
    VX_RING_ALIGN = 512,
    VX_DESC_LEN = 16,
};
#define VX_MAGIC 0xbabefee1u

/* Commands: "set" ones answer 0 or an error, "get" ones a value. */
enum {
    VX_SET_ACTIVATE = (int)0xcafe0000,
    VX_SET_QUIESCE,
    VX_SET_RESET,
    VX_SET_RX_MODE,
    VX_SET_MAC_FILTERS,
    VX_SET_VLAN_FILTERS,
    VX_SET_RSS,
    VX_SET_INTR_MODERATION,
    VX_SET_POWER,
    VX_SET_FEATURES,
    VX_GET_QUEUE_STATUS = (int)0xf00d0000,
    VX_GET_STATS,
    VX_GET_LINK,
    VX_GET_MAC_LOW,
    VX_GET_MAC_HIGH,
    VX_GET_ID_LOW,
    VX_GET_ID_HIGH,
    VX_GET_EXTRA,
    VX_GET_INTR,
    VX_GET_TX_DATA_LEN = (int)0xf00d000a,
};
enum { VX_INTR_AUTO, VX_INTR_INTX, VX_INTR_MSI, VX_INTR_MSIX }; /* VX_GET_INTR, bits 1:0 */

/* Events, in VX_EVENT and the shared area. */
enum { VX_EVENT_RX_ERROR = 1, VX_EVENT_TX_ERROR = 2, VX_EVENT_LINK = 4 };

/* What the driver shares with the device. */
enum {
    VX_S_MAGIC = 0,
    VX_S_FEATURES = 24,
    VX_S_QUEUES = 40, /* address of the queue descriptors: transmit, then receive */
    VX_S_QUEUES_LEN = 52,
    VX_S_MTU = 56,
    VX_S_TX_COUNT = 62,
    VX_S_RX_COUNT = 63,
    VX_S_AUTO_MASK = 80,
    VX_S_INTR_COUNT = 81,
    VX_S_EVENT_INTR = 82,
    VX_S_RX_MODE = 120,
    VX_S_MAC_LEN = 124,
    VX_S_MAC_TABLE = 128,
    VX_S_VLAN_TABLE = 136, /* a bit for each of 4096 tags */
    VX_S_EVENT = 696,
    VX_S_LEN = 720,
};
enum { VX_F_RX_CSUM = 1, VX_F_RSS = 2, VX_F_RX_VLAN = 4, VX_F_LRO = 8 };
enum {
    VX_MODE_UNICAST = 1,
    VX_MODE_MULTICAST = 2,
    VX_MODE_BROADCAST = 4,
    VX_MODE_ALL_MULTI = 8,
    VX_MODE_PROMISCUOUS = 16,
};

/* A queue's descriptor; statistics are ten 64-bit numbers. */
enum {
    VX_Q_LEN = 256,
    VX_Q_UPDATE = 0, /* receive: the driver must write the producer register */
    VX_Q_RING = 16,  /* addresses: transmit ring, data ring, completions; */
    VX_Q_RING2 = 24, /* receive ring 1, ring 2, completions */
    VX_Q_COMP = 32,
    VX_TQ_SIZE = 56,
    VX_TQ_COMP_SIZE = 64,
    VX_TQ_INTR = 72,
    VX_RQ_SIZE = 56,
    VX_RQ_SIZE2 = 60,
    VX_RQ_COMP_SIZE = 64,
    VX_RQ_INTR = 72,
    VX_Q_STOPPED = 80,
    VX_Q_ERROR = 84,
    VX_Q_STATS = 88,
};
enum { VX_STATS = 10 };
enum {
    VX_TS_TSO,
    VX_TS_TSO_BYTES,
    VX_TS_UNICAST,
    VX_TS_UNICAST_BYTES,
    VX_TS_MULTICAST,
    VX_TS_MULTICAST_BYTES,
    VX_TS_BROADCAST,
    VX_TS_BROADCAST_BYTES,
    VX_TS_ERRORS,
    VX_TS_DISCARDS,
};
enum {
    VX_RS_LRO,
    VX_RS_LRO_BYTES,
    VX_RS_UNICAST,
    VX_RS_UNICAST_BYTES,
    VX_RS_MULTICAST,
    VX_RS_MULTICAST_BYTES,
    VX_RS_BROADCAST,
    VX_RS_BROADCAST_BYTES,
    VX_RS_NO_BUFFER,
    VX_RS_ERRORS,
};

/* Transmit descriptor: address, then two words. */
#define VX_TX_LEN(w2) ((w2)&0x3fff ? (w2)&0x3fff : 0x4000u)
#define VX_TX_GEN(w2) ((w2) >> 14 & 1)
#define VX_TX_OFFSET(w2) ((w2) >> 18) /* where the checksum goes, or the MSS */
#define VX_TX_HEADERS(w3) ((w3)&0x3ff)
#define VX_TX_MODE(w3) ((w3) >> 10 & 3)
#define VX_TX_EOP(w3) ((w3) >> 12 & 1)
#define VX_TX_ASK(w3) ((w3) >> 13 & 1) /* a completion is wanted */
#define VX_TX_TAGGED(w3) ((w3) >> 15 & 1)
#define VX_TX_TAG(w3) ((w3) >> 16)
enum { VX_MODE_NONE, VX_MODE_CSUM = 2, VX_MODE_TSO = 3 };

/* Transmit completion: index of the last descriptor in word 0, type and generation in 3. */
/* Receive descriptor: address, then two words. */
#define VX_RX_LEN(w2) ((w2)&0x3fff ? (w2)&0x3fff : 0x4000u)
#define VX_RX_BODY(w2) ((w2) >> 14 & 1)
#define VX_RX_GEN(w2) ((w2) >> 31)

/* Completions, four words. */
#define VX_C_INDEX(i) ((u32)(i)&0xfff)
#define VX_C_EOP (1u << 14)
#define VX_C_SOP (1u << 15)
#define VX_C_QUEUE(q) ((u32)(q) << 16)
#define VX_C_LEN(n) ((u32)(n)&0x3fff)
#define VX_C_ERROR (1u << 14)
#define VX_C_TAGGED (1u << 15)
#define VX_C_TAG(t) ((u32)(t) << 16)
#define VX_C_L4_OK (1u << 16)
#define VX_C_UDP (1u << 17)
#define VX_C_TCP (1u << 18)
#define VX_C_IP_OK (1u << 19)
#define VX_C_V6 (1u << 20)
#define VX_C_V4 (1u << 21)
#define VX_C_FRAGMENT (1u << 22)
#define VX_C_FCS_OK (1u << 23)
#define VX_C_TYPE_RX (3u << 24)
#define VX_C_GEN(g) ((u32)(g) << 31)
#define VX_C_NOT_SUMMED (1u << 30) /* word 0: no checksum was looked at */
#endif
