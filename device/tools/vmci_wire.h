/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_TOOLS_VMCI_WIRE_H
#define DEVICE_TOOLS_VMCI_WIRE_H

/*
 * VMware's Virtual Machine Communication Interface: its registers, datagrams, and the control
 * packets of stream sockets over it.
 */
enum { VMCI_VENDOR = 0x15ad, VMCI_DEVICE = 0x0740 };

enum { /* registers, 32 bits each */
       VMCI_STATUS = 0x00,
       VMCI_CONTROL = 0x04,
       VMCI_CAUSE = 0x08, /* reading clears */
       VMCI_MASK = 0x0c,
       VMCI_DATA_OUT = 0x10, /* bytes */
       VMCI_DATA_IN = 0x14,
       VMCI_CAPS = 0x18,
       VMCI_RESULT_LOW = 0x1c,
       VMCI_RESULT_HIGH = 0x20,
       VMCI_DMA_OUT_LOW = 0x24, /* starts it */
       VMCI_DMA_OUT_HIGH = 0x28,
       VMCI_DMA_IN_LOW = 0x2c,
       VMCI_DMA_IN_HIGH = 0x30,
       VMCI_PAGE_SHIFT = 0x34,
       VMCI_PORTS = 64,
       VMCI_MEMORY = 256 << 10, /* BAR 1, where DMA is offered */
       VMCI_MEMORY_REGISTERS = 128 << 10,
       VMCI_MEMORY_TABLE = 0,
       VMCI_MEMORY_PENDING = 0x1000,
};
enum { VMCI_CONTROL_RESET = 1, VMCI_CONTROL_ON = 2, VMCI_CONTROL_OFF = 4 };
enum { VMCI_STATUS_ON = 1 };
enum {
    VMCI_CAP_DATAGRAM = 1 << 2,
    VMCI_CAP_NOTIFICATIONS = 1 << 3,
    VMCI_CAP_PPN64 = 1 << 4,
    VMCI_CAP_DMA = 1 << 5,
};
enum { VMCI_CAUSE_DATAGRAM = 1, VMCI_CAUSE_NOTIFICATION = 2, VMCI_CAUSE_DMA = 4 };

/* DMA: busy u32, opcode u32, size u32, 0, result u64; then the bytes, or pairs of address, size */
enum { VMCI_DMA_HEADER = 24, VMCI_DMA_INLINE = 0, VMCI_DMA_LIST = 1, VMCI_DMA_PIECE = 16 };

enum { VMCI_HYPERVISOR = 0, VMCI_HOST = 2 }; /* contexts */

/* A datagram: handle to, handle from (context u32, resource u32 each), payload's length u64 */
enum { VMCI_HEADER = 24, VMCI_DATAGRAM_MAX = 17 * 4096 };

enum { /* resources of the hypervisor */
       VMCI_QUERY = 0,
       VMCI_GET_CONTEXT = 1,
       VMCI_SET_BITMAP = 2,
       VMCI_DOORBELL_LINK = 3,
       VMCI_DOORBELL_UNLINK = 4,
       VMCI_DOORBELL_NOTIFY = 5,
       VMCI_EVENT_SUBSCRIBE = 8,
       VMCI_EVENT_UNSUBSCRIBE = 9,
       VMCI_PAIR_ALLOC = 10,
       VMCI_PAIR_DETACH = 11,
       VMCI_STREAMS_HYPERVISOR = 15,
};
enum { VMCI_STREAMS_HOST = 1, VMCI_EVENTS = 0 }; /* resources of the host, of the guest */

enum { VMCI_EVENT_PAIR_RESUMED = 2, VMCI_EVENT_PEER_ATTACH = 3, VMCI_EVENT_PEER_DETACH = 4 };

enum { /* results */
       VMCI_PAIR_ATTACHED = 5,
       VMCI_PAIR_CREATED = 4,
       VMCI_OK = 0,
       VMCI_BAD_RESOURCE = -1,
       VMCI_BAD_ARGS = -2,
       VMCI_NO_MEMORY = -3,
       VMCI_TOO_LARGE = -11,
       VMCI_NO_RESOURCES = -19,
       VMCI_NOT_FOUND = -21,
       VMCI_EXISTS = -22,
       VMCI_BAD_SIZE = -24,
       VMCI_MISMATCH = -31,
};

/* Allocation of a queue pair: handle, peer u32, flags u32, sizes u64 u64, pages u64, their numbers */
enum { VMCI_ALLOC = VMCI_HEADER + 40, VMCI_ALLOC_ATTACH_ONLY = 1 };
/* A queue's first page: handle, tail of what its owner produces, head of what it consumes */
enum { VMCI_QUEUE_TAIL = 8, VMCI_QUEUE_HEAD = 16, VMCI_QUEUE_HEADER = 24 };

/*
 * A control packet of stream sockets, after the datagram's header: version u8, type u8,
 * protocols u16, port from u32, port to u32, 0, then 16 bytes by type.
 */
enum { VMCI_PACKET = VMCI_HEADER + 32, VMCI_PACKET_VERSION = 1 };
enum vmci_packet {
    PACKET_INVALID,
    PACKET_REQUEST,
    PACKET_NEGOTIATE,
    PACKET_OFFER,
    PACKET_ATTACH,
    PACKET_WROTE,
    PACKET_READ,
    PACKET_RST,
    PACKET_SHUTDOWN,
    PACKET_WAITING_WRITE,
    PACKET_WAITING_READ,
    PACKET_REQUEST2,
    PACKET_NEGOTIATE2,
    PACKETS,
};
enum { VMCI_ON_NOTIFY = 1 }; /* protocol: WROTE when it was empty, READ when it was full */
enum { VMCI_SHUT_RECEIVE = 1, VMCI_SHUT_SEND = 2 };
#endif
