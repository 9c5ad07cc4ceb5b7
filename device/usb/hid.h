/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_USB_HID_H
#define DEVICE_USB_HID_H
#include "bus/usb.h"

/*
 * A human interface device with one input report, sent when it changes.  Device Class Definition
 * for Human Interface Devices 1.11.  Instances are a struct hid, classes name these functions.
 */
enum { HID_REPORT = 8, HID_QUEUE = 16, HID_PACKET = 8, HID_INTERVAL = 8, HID_DESCRIPTOR = 9 };

struct hid_state {
    struct usb_state usb;
    u8 idle, protocol, leds;
    u8 head, count; /* of the queue */
    u8 pad[1];
    u8 queue[HID_QUEUE][HID_REPORT]; /* reports that were not fetched yet */
    u8 now[HID_REPORT];              /* the newest */
};

struct hid;
struct hid_kind {
    struct usb_class usb;
    const u8 *report; /* descriptor */
    u8 report_len;
    u8 bytes;  /* of a report */
    u8 events; /* the first so many bytes: when they change, older reports stay */
    bool boot; /* it has the boot protocol */
};

struct hid {
    struct usb_device usb; /* first */
    struct hid_config {
        char host[32];
    } config;
    struct hid_state state;
    const struct hid_kind *kind;
};

/* Body of the HID descriptor that follows an interface; len: of the report descriptor. */
#define HID_EXTRA(len)                                                                             \
    {                                                                                              \
        HID_DESCRIPTOR, 0x21, 0x11, 0x01, 0, 1, 0x22, len, 0                                       \
    }
extern const struct usb_endpoint hid_endpoint;
extern const struct field hid_config_fields[], hid_state_fields[];

int hid_create(struct device *d, const struct hid_kind *kind, struct err *e);
void hid_destroy(struct device *d);
void hid_reset(struct device *d, enum reset kind);
int hid_check(const struct device *d, struct err *e);
enum usb_answer hid_transfer(struct usb_device *u, struct usb_transfer *t);
bool hid_control(struct usb_device *u, const struct usb_setup *s, u8 *data, u32 *n);
u32 hid_descriptor(struct usb_device *u, u8 type, u8 *data);
void hid_bus_reset(struct usb_device *u);

/* Domain held.  The report is now this. */
void hid_tell(struct hid *h, const u8 *report);
bool hid_is_used(struct hid *h); /* has the guest a driver for it? */
#endif
