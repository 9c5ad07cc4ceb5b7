/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_USB_XHCI_INT_H
#define DEVICE_USB_XHCI_INT_H
#include "base/bytes.h"
#include "bus/pci.h"
#include "bus/usb.h"
#include "device/usb/xhci_wire.h"

/*
 * The xHCI controller: xhci.c has registers and ports, xhci_event.c the event rings,
 * xhci_command.c the command ring, xhci_transfer.c what moves data.
 */
enum { XHCI_SLOTS = 16, XHCI_PORTS = 8, XHCI_USB3 = 4, XHCI_VECTORS = 4 }; /* USB3: the first */
enum { XHCI_ENDPOINTS = 32, XHCI_SEGMENTS = 16, XHCI_AT_ONCE = 1024 };

struct xhci_endpoint {
    u64 dequeue;
    u32 done;  /* bytes of the block at dequeue that went over */
    u32 total; /* of all since the last event data block */
    u8 state, kind;
    bool cycle, in; /* in: of a control transfer's data */
    bool skip;      /* it was a short packet: the rest of its blocks is not carried out */
    bool told;      /* and the driver knows */
    u8 pad[2];
};
struct xhci_slot {
    u64 context; /* the output context */
    bool enabled;
    u8 state, port; /* port: from 1, 0 none */
    u8 pad[5];
    struct xhci_endpoint endpoint[XHCI_ENDPOINTS]; /* by device context index */
};
struct xhci_interrupter {
    u64 table, dequeue; /* ERSTBA, ERDP */
    u32 iman, imod, segments;
    u32 segment, at; /* where the next event goes */
    bool cycle;
    u8 pad[3];
};
struct xhci_state {
    u32 command, status, notify, config;
    u64 ring, contexts; /* CRCR, DCBAAP */
    bool ring_cycle, ring_runs;
    bool starved;             /* work was left because an event ring was full */
    bool kept;                /* it was told to save its state and has it still */
    u32 untold;               /* ports whose change waits for its event */
    u32 port[XHCI_PORTS];     /* PORTSC */
    u32 power[XHCI_PORTS];    /* PORTPMSC */
    u32 rung[XHCI_SLOTS + 1]; /* endpoints to look at, by slot; 0: the command ring */
    u8 pad2[4];
    struct xhci_interrupter interrupter[XHCI_VECTORS];
    struct xhci_slot slot[XHCI_SLOTS + 1]; /* 0 is none */
};

struct xhci {
    struct device dev;
    struct xhci_state state;
    struct bell *bell;
};

static inline struct gmem *xhci_ram(struct xhci *x)
{
    return machine_ram(x->dev.machine);
}

/* xhci.c: look at an endpoint (slot 0: at the command ring), later, on the lane */
void xhci_ring(struct xhci *x, u32 slot, u32 endpoints);

/* xhci_event.c */
bool xhci_room(struct xhci *x, u32 vector, u32 n); /* false: later; it is remembered */
void xhci_event(struct xhci *x, u32 vector, struct xhci_trb *e, bool quiet);
void xhci_level(struct xhci *x);
u32 xhci_interrupter_load(struct xhci *x, u32 off);
void xhci_interrupter_store(struct xhci *x, u32 off, u32 val);

/* xhci_command.c */
void xhci_commands(struct xhci *x);
void xhci_commands_stop(struct xhci *x);

/* xhci_transfer.c */
void xhci_endpoint_run(struct xhci *x, u32 slot, u32 endpoint);
void xhci_endpoint_set(struct xhci *x, u32 slot, u32 endpoint, u8 state); /* and tell memory */
/* The stopped one had moved a part of a block. */
void xhci_endpoint_stopped(struct xhci *x, u32 slot, u32 endpoint);
#endif
