/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_TOOLS_VMCI_INT_H
#define DEVICE_TOOLS_VMCI_INT_H
#include "backend/vsock.h"
#include "base/bytes.h"
#include "bus/pci.h"
#include "device/tools/vmci_wire.h"

/* What the files of the VMCI device know of each other.  All with the domain held. */
enum {
    VMCI_CHUNK = 4096, /* what a guest reads at once through the port */
    VMCI_OUT = 8192,   /* the longest datagram that we take */
    VMCI_IN = 65536,   /* bytes of datagrams that wait for the guest */
    VMCI_DOORBELLS = 64,
    VMCI_STREAMS = VSOCK_STREAMS,
    VMCI_PAIRS = 2 * VMCI_STREAMS, /* some are left over after their stream's end */
    VMCI_QUEUE_MAX = 256 << 10,    /* bytes of a queue */
    VMCI_PAGES = VMCI_QUEUE_MAX / VMCI_CHUNK + 1,
};

struct vmci_handle {
    u32 context, resource;
};

struct vmci_doorbell {
    struct vmci_handle handle[1];
    u32 index;
    bool used;
    u8 pad[3];
};

/* A queue pair as the guest named it; its pages are not kept over a restore. */
struct vmci_pair {
    struct vmci_handle handle[1];
    u32 peer;
    bool used;
    u8 pad[3];
};

enum vmci_stream_state {
    STREAM_FREE,
    STREAM_ASKED,      /* the guest wants a port of the host: to be looked at by the lane */
    STREAM_NEGOTIATED, /* it has been told that it may; its offer comes next */
    STREAM_CALLING,    /* the host wants a port of the guest */
    STREAM_OFFERED,    /* a queue pair, by us; the guest is to attach */
    STREAM_UP,
    STREAM_GONE, /* the guest has left; what it sent is still on its way to the host */
    STREAM_OVER, /* nothing but what is owed */
    STREAM_STATES,
};
struct vmci_stream {
    struct vmci_handle handle[1];
    u32 cid, host_port, guest_port;
    u32 size;                 /* of each queue */
    u32 owe;                  /* bits by packet type, and below */
    u8 state;                 /* enum vmci_stream_state */
    u8 guest_shut, host_shut; /* VMCI_SHUT_ */
    bool old;                 /* without protocols: both sides say when they wait */
    bool waiting_read;        /* the guest does */
    bool waiting_write;
    bool told_up; /* the host's end knows that it is up */
    u8 pad;
};
enum { OWE_ATTACH_EVENT = 1 << 16, OWE_DETACH_EVENT = 1 << 17 };

struct vmci_queue {
    u64 page[VMCI_PAGES]; /* guest-physical; the header's first */
    u32 size;
    u32 at; /* ours: head of what we consume, tail of what we produce */
};
struct vmci_queues { /* of a pair, as the guest sees it: it produces to out */
    struct vmci_queue out, in;
};
/* Of a stream, made anew. */
struct vmci_link {
    struct vmci_queues *q; /* NULL: none yet, or no more */
    i32 back;              /* the host's number of it, or -1 */
    u8 *rest;              /* what the guest had sent when it left */
    u32 rest_at, rest_len;
};

struct vmci {
    struct device dev; /* first */
    struct vmci_config {
        u32 cid;
        bool dma;
        u8 pad[3];
    } config;
    struct vmci_state {
        u64 bitmap; /* guest-physical; 0: none */
        u64 dma_out, dma_in;
        u32 cause, mask, caps, result;
        u32 out_len, out_want; /* of a datagram that comes byte by byte; its whole length */
        u32 in_head, in_len;   /* bytes that wait for the guest */
        u32 in_left;           /* of the datagram that it reads */
        u32 chunk;             /* bytes of a chunk that it has read */
        u32 next_resource;
        bool on, filling, stuck; /* stuck: somebody waits for room in `in` */
        u8 pad;
        u8 out[VMCI_OUT], in[VMCI_IN];
        struct vmci_doorbell doorbell[VMCI_DOORBELLS];
        struct vmci_pair pair[VMCI_PAIRS];
        struct vmci_stream stream[VMCI_STREAMS];
    } state;
    struct vmci_queues queues[VMCI_PAIRS];
    struct vmci_link link[VMCI_STREAMS];
    struct vsock *vsock;
    struct bell *bell;
    bool doomed[VSOCK_STREAMS]; /* streams of the host's end that the lane is to drop */
    bool moved;                 /* restored: what was connected is not any more */
    struct pci_ident ident;
};

/* vmci.c */
void vmci_cause(struct vmci *v, u32 cause);
/* A datagram for the guest; false: there is no room now, the bell will be rung. */
bool vmci_deliver(struct vmci *v, struct vmci_handle to, struct vmci_handle from, const u8 *p,
                  u32 len);

/* vmci_call.c: one whole datagram of the guest; the result */
i32 vmci_call(struct vmci *v, const u8 *p, u32 len);
bool vmci_same(struct vmci_handle a, struct vmci_handle b);

/* vmci_queue.c */
struct vmci_pair *vmci_pair_find(struct vmci *v, struct vmci_handle h);
i32 vmci_pair_alloc(struct vmci *v, const u8 *p, u32 len);
i32 vmci_pair_detach(struct vmci *v, struct vmci_handle h);
struct vmci_queues *vmci_pair_queues(struct vmci *v, const struct vmci_pair *pair);
/* How much can be taken from out, and put into in; its size: the guest's number makes no sense. */
u32 vmci_queue_ready(const struct vmci *v, const struct vmci_queues *q);
u32 vmci_queue_room(const struct vmci *v, const struct vmci_queues *q);
/* Pieces of the next len bytes, which may go around the end. */
int vmci_queue_map(struct vmci *v, const struct vmci_queue *q, u32 len, bool write,
                   struct iovec *to, int room);
void vmci_queue_took(struct vmci *v, struct vmci_queues *q, u32 n);
void vmci_queue_gave(struct vmci *v, struct vmci_queues *q, u32 n);

/* vmci_stream.c */
i32 vmci_stream_packet(struct vmci *v, u32 cid, const u8 *p, u32 len);
struct vmci_stream *vmci_stream_of(struct vmci *v, struct vmci_handle h);
void vmci_stream_free(struct vmci *v, struct vmci_stream *s);
void vmci_stream_left(struct vmci *v, struct vmci_stream *s); /* the guest has, or is to */
void vmci_streams_lost(struct vmci *v);                       /* by a restore */
void vmci_streams_work(struct vmci *v);                       /* on the lane */
extern const struct vsock_guest vmci_vsock;
#endif
