/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_USB_DRIVER_H
#define TESTS_USB_DRIVER_H
#include "tests/rig.h"

/*
 * Small drivers for the three USB controllers behind one face, for one device at a time.  What a
 * transfer needs lies in guest RAM from 0x10000 to 0x7ffff.
 */
enum { USB_DRIVER_TRBS = 64 };
struct usb_driver {
    struct rig *rig;
    struct device *dev;
    u64 base;
    u32 ports;
    u8 address;
    u16 packet; /* of the bulk pipes */

    u8 endpoint; /* the transfer under way */
    u32 len;
    u64 data;
    i32 result;
    bool busy;

    u32 slot, port, commands, events; /* xHCI: places in the rings */
    bool command_cycle, event_cycle;
    struct {
        u32 at;
        bool cycle;
    } ring[32];
    u64 trb[8]; /* of the transfer */
    u32 left;
    u32 queue; /* UHCI: descriptors of the transfer */
};

void usb_driver_start(struct usb_driver *u, struct rig *r, struct device *d);
/* Resets the port, gives the device there an address, and learns its pipes.  Ports from 0. */
bool usb_driver_attach(struct usb_driver *u, u32 port);
/* Bytes that went over, or -EPIPE: it stalled.  data: guest memory. */
i32 usb_driver_control(struct usb_driver *u, u8 type, u8 request, u16 value, u16 index, u16 len,
                       u64 data);
i32 usb_driver_bulk(struct usb_driver *u, u8 endpoint, u64 data, u32 len);
/* The same in two steps, for what may take longer. */
void usb_driver_submit(struct usb_driver *u, u8 endpoint, u64 data, u32 len);
bool usb_driver_done(struct usb_driver *u);
i32 usb_driver_wait(struct usb_driver *u);  /* until it is done; time passes meanwhile */
void usb_driver_turn(struct usb_driver *u); /* time passes, and the lane does what it can */
/* After a stall: pipe and device may go on. */
void usb_driver_clear(struct usb_driver *u, u8 endpoint);
void usb_driver_port_suspend(struct usb_driver *u, bool on);
bool usb_driver_port_resumes(struct usb_driver *u); /* the device woke it */
#endif
