/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_USB_UHCI_INT_H
#define DEVICE_USB_UHCI_INT_H
#include "base/bytes.h"
#include "bus/pci.h"
#include "bus/usb.h"
#include "device/usb/frames.h"

/*
 * The UHCI controller: uhci.c has registers and ports, uhci_frame.c the lists in memory.
 * Universal Host Controller Interface 1.1.
 */
enum { UHCI_PORTS = 4, UHCI_UNIT_NS = 1000000 };
enum { /* USBSTS */
       STS_INT = 1 << 0,
       STS_ERROR = 1 << 1,
       STS_RESUME = 1 << 2,
       STS_PROCESS_ERROR = 1 << 4,
       STS_HALTED = 1 << 5,
       STS_CLEARED = 0x1f
};

struct uhci_state {
    u16 command, status, interrupts;
    u8 modify, pad;
    u32 list;
    u16 port[UHCI_PORTS];
    u8 pad2[4];
    struct frames frames;
};
struct uhci {
    struct device dev;
    struct uhci_state state;
    struct bell *bell;
    struct timer *timer;
};

u32 uhci_enabled(const struct uhci *h); /* ports, as a set */
/* uhci_frame.c: the list of a frame from its entry on; true: something went over */
bool uhci_walk(struct uhci *h, u32 link);
#endif
