/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_USB_XHCI_WIRE_H
#define DEVICE_USB_XHCI_WIRE_H
#include "base/types.h"

/* eXtensible Host Controller Interface for USB 1.1: what lies in registers and in memory. */
enum { /* registers; VMware's third one */
       XHCI_VENDOR = 0x15ad,
       XHCI_DEVICE = 0x0779,
       XHCI_BAR = 0x4000,
       XHCI_CAPLENGTH = 0x00,
       XHCI_HCSPARAMS1 = 0x04,
       XHCI_HCSPARAMS2 = 0x08,
       XHCI_HCCPARAMS1 = 0x10,
       XHCI_DBOFF = 0x14,
       XHCI_RTSOFF = 0x18,
       XHCI_CAPS = 0x20, /* extended capabilities, up to ... */
       XHCI_OP = 0x40,   /* ... the operational registers */
       XHCI_USBCMD = 0x40,
       XHCI_USBSTS = 0x44,
       XHCI_PAGESIZE = 0x48,
       XHCI_DNCTRL = 0x54,
       XHCI_CRCR = 0x58,
       XHCI_DCBAAP = 0x70,
       XHCI_CONFIG = 0x78,
       XHCI_PORTS_AT = 0x440, /* sixteen bytes each */
       XHCI_RUNTIME = 0x1000,
       XHCI_INTERRUPTERS = 0x1020, /* 32 bytes each */
       XHCI_DOORBELLS = 0x2000,
       XHCI_MSIX_TABLE = 0x3000,
       XHCI_MSIX_PBA = 0x3800
};
enum { /* USBCMD */
       CMD_RUN = 1 << 0,
       CMD_RESET = 1 << 1,
       CMD_SAVE = 1 << 8,
       CMD_RESTORE = 1 << 9,
       CMD_INTE = 1 << 2,
       CMD_KEPT = CMD_RUN | CMD_INTE | 1 << 3 | 1 << 10 | 1 << 11,
       STS_HALTED = 1 << 0, /* USBSTS */
       STS_HOST_ERROR = 1 << 2,
       STS_EINT = 1 << 3,
       STS_PORT = 1 << 4,
       STS_RESTORE_ERROR = 1 << 10
};
enum { /* CRCR */
       CRCR_CYCLE = 1 << 0,
       CRCR_STOP = 1 << 1,
       CRCR_ABORT = 1 << 2,
       CRCR_RUNNING = 1 << 3
};
enum { /* PORTSC */
       PORT_CONNECTED = 1 << 0,
       PORT_ENABLED = 1 << 1,
       PORT_RESET = 1 << 4,
       PORT_LINK_SHIFT = 5,
       PORT_LINK = 15 << 5,
       PORT_POWER = 1 << 9,
       PORT_SPEED_SHIFT = 10,
       PORT_SPEED = 15 << 10,
       PORT_STROBE = 1 << 16, /* the link state is to be written */
       PORT_CONNECT_CHANGE = 1 << 17,
       PORT_ENABLE_CHANGE = 1 << 18,
       PORT_WARM_CHANGE = 1 << 19,
       PORT_RESET_CHANGE = 1 << 21,
       PORT_LINK_CHANGE = 1 << 22,
       PORT_CHANGES = 0x7f << 17,
       PORT_WAKES = 7 << 25
};
#define PORT_WARM_RESET (1u << 31)
enum { LINK_U0 = 0, LINK_U3 = 3, LINK_DETECT = 5, LINK_POLLING = 7, LINK_RESUME = 15 };
enum { /* interrupters */
       IMAN_PENDING = 1,
       IMAN_ENABLE = 2,
       ERDP_BUSY = 8
};

struct xhci_trb {
    u64 parameter;
    u32 status, control;
};
enum { /* its control word */
       TRB_CYCLE = 1 << 0,
       TRB_TOGGLE = 1 << 1, /* of a link */
       TRB_ISP = 1 << 2,
       TRB_CHAIN = 1 << 4,
       TRB_IOC = 1 << 5,
       TRB_IMMEDIATE = 1 << 6,
       TRB_BLOCK = 1 << 9, /* no interrupt for it; of an address command: no request */
       TRB_TYPE_SHIFT = 10,
       TRB_IN = 1 << 16,
       TRB_LENGTH = 0x1ffff, /* of its status word */
       EVENT_DATA = 1 << 2
};
enum {
    TRB_NORMAL = 1,
    TRB_SETUP,
    TRB_DATA,
    TRB_STATUS,
    TRB_ISOCH,
    TRB_LINK,
    TRB_EVENT_DATA,
    TRB_NOOP,
    TRB_ENABLE_SLOT,
    TRB_DISABLE_SLOT,
    TRB_ADDRESS,
    TRB_CONFIGURE,
    TRB_EVALUATE,
    TRB_RESET_ENDPOINT,
    TRB_STOP_ENDPOINT,
    TRB_SET_DEQUEUE,
    TRB_RESET_DEVICE,
    TRB_NOOP_COMMAND = 23,
    TRB_TRANSFER_EVENT = 32,
    TRB_COMMAND_EVENT,
    TRB_PORT_EVENT
};
enum { /* completion codes */
       CC_SUCCESS = 1,
       CC_DATA_BUFFER = 2,
       CC_TRANSACTION = 4,
       CC_TRB = 5,
       CC_STALL = 6,
       CC_NO_SLOTS = 9,
       CC_SLOT_OFF = 11,
       CC_ENDPOINT_OFF = 12,
       CC_SHORT = 13,
       CC_PARAMETER = 17,
       CC_CONTEXT_STATE = 19,
       CC_RING_STOPPED = 24,
       CC_STOPPED = 26
};
enum { /* contexts: 32 bytes each; the device's is first in the output, second in the input */
       CONTEXT = 32,
       SLOT_OFF = 0,
       SLOT_DEFAULT,
       SLOT_ADDRESSED,
       SLOT_CONFIGURED,
       ENDPOINT_OFF = 0,
       ENDPOINT_RUNNING,
       ENDPOINT_HALTED,
       ENDPOINT_STOPPED,
       ENDPOINT_ERROR,
       ENDPOINT_CONTROL = 4 /* kind */
};
#endif
