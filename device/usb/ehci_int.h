/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_USB_EHCI_INT_H
#define DEVICE_USB_EHCI_INT_H
#include "base/bytes.h"
#include "bus/pci.h"
#include "bus/usb.h"
#include "device/usb/frames.h"

/*
 * The EHCI controller: ehci.c has registers and ports, ehci_queue.c the queues in memory.
 * Enhanced Host Controller Interface 1.0.
 */
enum { EHCI_PORTS = 6, EHCI_UNIT_NS = 125000, EHCI_UNITS = 8 };
enum { /* USBCMD */
       CMD_RUN = 1 << 0,
       CMD_RESET = 1 << 1,
       CMD_PERIODIC = 1 << 4,
       CMD_ASYNC = 1 << 5,
       CMD_DOORBELL = 1 << 6,
       STS_INT = 1 << 0, /* USBSTS */
       STS_ERROR = 1 << 1,
       STS_PORT = 1 << 2,
       STS_ADVANCE = 1 << 5,
       STS_CLEARED = 0x3f, /* by writing ones; those that interrupt, too */
       STS_HALTED = 1 << 12,
       STS_PERIODIC = 1 << 14,
       STS_ASYNC = 1 << 15
};
enum { /* a token */
       TOKEN_TRANSACTION = 1 << 3,
       TOKEN_BUFFER = 1 << 5,
       TOKEN_HALTED = 1 << 6,
       TOKEN_ACTIVE = 1 << 7,
       TOKEN_PID_SHIFT = 8,
       TOKEN_PAGE_SHIFT = 12,
       TOKEN_PAGE = 7 << 12,
       TOKEN_IOC = 1 << 15,
       TOKEN_LENGTH_SHIFT = 16,
       TOKEN_LENGTH = 0x7fff << 16
};
#define TOKEN_TOGGLE (1u << 31)
enum { LINK_END = 1, LINK_TYPE = 6, LINK_QUEUE = 2 };

struct ehci_state {
    u32 command, status, interrupts, segment;
    u32 list, async, configured;
    u32 port[EHCI_PORTS];
    u8 pad[4];
    struct frames frames;
};
struct ehci {
    struct device dev;
    struct ehci_state state;
    struct bell *bell;
    struct timer *timer;
};

u32 ehci_enabled(const struct ehci *h); /* ports, as a set */
/* ehci_queue.c: true: something went over */
bool ehci_walk(struct ehci *h, u32 link, bool async);
#endif
