/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB tablet: a pointer that says where it is.  HID Usage Tables 1.12, generic desktop page.
 */
#include "base/bytes.h"
#include "device/usb/hid.h"
#include "device/usb/input.h"

enum { BUTTONS = 7, WHEEL_MAX = 127, BYTES = 6, AT_X = 2, AT_Y = 4, AT_WHEEL = 1 };

/* Buttons, wheel, X, Y. */
static const u8 report[] = {
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01,             /* a mouse on the desktop: collection */
    0x09, 0x01, 0xa1, 0x00,                         /* its pointer: collection */
    0x05, 0x09, 0x19, 0x01, 0x29, 0x03,             /* buttons 1 to 3 */
    0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x03, /* 0 or 1, a bit each */
    0x81, 0x02,                                     /* input: variable, absolute */
    0x75, 0x05, 0x95, 0x01, 0x81, 0x03,             /* five bits of nothing */
    0x05, 0x01, 0x09, 0x38,                         /* the wheel */
    0x15, 0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x01, /* -127 to 127, a byte */
    0x81, 0x06,                                     /* input: variable, relative */
    0x09, 0x30, 0x09, 0x31,                         /* X and Y */
    0x15, 0x00, 0x26, 0xff, 0x7f,                   /* 0 to 32767 */
    0x75, 0x10, 0x95, 0x02, 0x81, 0x02,             /* two bytes each; variable, absolute */
    0xc0, 0xc0
};
static const u8 extra[HID_DESCRIPTOR] = HID_EXTRA(sizeof(report));

static const struct hid_kind tablet = {
    .usb = { .vendor = 0x0e0f, /* VMware */
             .product = 0x0003,
             .release = 0x0102,
             .speeds = USB_SPEED(USB_FULL) | USB_SPEED(USB_HIGH),
             .maker = "VMware",
             .name = "VMware Virtual USB Mouse",
             .can_wake = true,
             .class = 3,
             .extra = extra,
             .extra_len = sizeof(extra),
             .endpoints = &hid_endpoint,
             .nendpoints = 1,
             .transfer = hid_transfer,
             .control = hid_control,
             .descriptor = hid_descriptor,
             .reset = hid_bus_reset },
    .report = report,
    .report_len = sizeof(report),
    .bytes = BYTES,
    .events = AT_X,
};

bool usb_tablet_point(struct device *d, u32 x, u32 y, i32 wheel, u32 buttons)
{
    struct hid *h = (struct hid *)d;
    u8 r[HID_REPORT] = { 0 };
    bool used;

    domain_lock(d->domain);
    used = hid_is_used(h);
    r[0] = buttons & BUTTONS;
    r[AT_WHEEL] = (u8)(wheel > WHEEL_MAX ? WHEEL_MAX : wheel < -WHEEL_MAX ? -WHEEL_MAX : wheel);
    put_le16(r + AT_X, (u16)min_u64(x, 0xffff) >> 1);
    put_le16(r + AT_Y, (u16)min_u64(y, 0xffff) >> 1);
    if (r[AT_WHEEL]) /* a turn like the last one is one more */
        h->state.now[AT_WHEEL] = 0;
    hid_tell(h, r);
    domain_unlock(d->domain);
    return used;
}

static int usb_tablet_create(struct device *d, struct err *e)
{
    return hid_create(d, &tablet, e);
}

const struct device_class device_usb_tablet = {
    .name = "usb_tablet",
    .about = "USB pointer that says where it is, as VMware's (0e0f:0003)",
    .domain = USB_DOMAIN,
    .size = sizeof(struct hid),
    .config_at = offsetof(struct hid, config),
    .config = hid_config_fields,
    .config_default = &(const struct hid_config){ .host = "" },
    .config_size = sizeof(struct hid_config),
    .state_at = offsetof(struct hid, state),
    .state_size = sizeof(struct hid_state),
    .state = hid_state_fields,
    .create = usb_tablet_create,
    .destroy = hid_destroy,
    .reset = hid_reset,
    .check = hid_check,
};
