/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUS_USB_INT_H
#define BUS_USB_INT_H
#include "bus/usb.h"

/* Universal Serial Bus 2.0, 9.4 and 9.6. */
enum {
    GET_STATUS = 0,
    CLEAR_FEATURE = 1,
    SET_FEATURE = 3,
    SET_ADDRESS = 5,
    GET_DESCRIPTOR = 6,
    GET_CONFIGURATION = 8,
    SET_CONFIGURATION = 9,
    GET_INTERFACE = 10,
    SET_INTERFACE = 11,
    SET_SEL = 48, /* USB 3.1, 9.4.12 */
    SET_ISOCH_DELAY = 49,

    TYPE_MASK = 0x60,
    RECIPIENT_MASK = 0x1f,
    TO_DEVICE = 0,
    TO_INTERFACE = 1,
    TO_ENDPOINT = 2,

    ENDPOINT_HALT = 0, /* features */
    FUNCTION_SUSPEND = 0,
    REMOTE_WAKEUP = 1,
    U1_ENABLE = 48,
    LTM_ENABLE = 50,

    DESC_DEVICE = 1,
    DESC_CONFIG = 2,
    DESC_STRING = 3,
    DESC_INTERFACE = 4,
    DESC_ENDPOINT = 5,
    DESC_QUALIFIER = 6,
    DESC_OTHER_SPEED = 7,
    DESC_BOS = 15,
    DESC_CAPABILITY = 16,
    DESC_COMPANION = 48,

    CONFIG_SELF_POWERED = 0x40,
    CONFIG_WAKEUP = 0x20,
    CONFIG_VALUE = 1
};

/* usb_descriptor.c: into USB_CONTROL_MAX bytes; 0: there is none */
u32 usb_descriptor(struct usb_device *u, const struct usb_setup *s, u8 *data);
#endif
