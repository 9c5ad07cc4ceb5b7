/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB keyboard with the boot protocol.  HID 1.11, appendix B; HID Usage Tables 1.12, keyboard
 * page.
 */
#include "device/usb/hid.h"
#include "device/usb/input.h"
#include <string.h>

enum { BYTES = 8, KEYS_AT = 2, MODIFIERS = 0xe0, EXTENDED = 0xe0 };

static const u8 report[] = { 0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, /* a keyboard: collection */
                             0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, /* modifiers */
                             0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95,
                             0x08, /* a bit each */
                             0x81, 0x02, 0x75, 0x08, 0x95, 0x01, 0x81,
                             0x01,                               /* input, and a byte of nothing */
                             0x05, 0x08, 0x19, 0x01, 0x29, 0x03, /* three lights */
                             0x75, 0x01, 0x95, 0x03, 0x91, 0x02, /* output, a bit each */
                             0x75, 0x05, 0x95, 0x01, 0x91, 0x01, /* five bits of nothing */
                             0x05, 0x07, 0x19, 0x00, 0x2a, 0xff, 0x00, /* keys */
                             0x15, 0x00, 0x26, 0xff, 0x00,             /* 0 to 255 */
                             0x75, 0x08, 0x95, 0x06, 0x81, 0x00, /* six that are held: an array */
                             0xc0 };
static const u8 extra[HID_DESCRIPTOR] = HID_EXTRA(sizeof(report));

static const struct hid_kind keyboard = {
    .usb = { .vendor = 0x0e0f, /* VMware */
             .product = 0x0006,
             .release = 0x0102,
             .speeds = USB_SPEED(USB_FULL) | USB_SPEED(USB_HIGH),
             .maker = "VMware",
             .name = "VMware Virtual Keyboard",
             .can_wake = true,
             .class = 3,
             .subclass = 1, /* boot */
             .protocol = 1, /* keyboard */
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
    .events = BYTES,
    .boot = true,
};

/* Usages of the keys by their codes in set 1. */
static const u8 plain[0x60] = {
    0,    0x29, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e, 0x2a, 0x2b,
    0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13, 0x2f, 0x30, 0x28, 0xe0, 0x04, 0x16,
    0x07, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x33, 0x34, 0x35, 0xe1, 0x31, 0x1d, 0x1b, 0x06, 0x19,
    0x05, 0x11, 0x10, 0x36, 0x37, 0x38, 0xe5, 0x55, 0xe2, 0x2c, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e,
    0x3f, 0x40, 0x41, 0x42, 0x43, 0x53, 0x47, 0x5f, 0x60, 0x61, 0x56, 0x5c, 0x5d, 0x5e, 0x57, 0x59,
    0x5a, 0x5b, 0x62, 0x63, 0x46, 0,    0x64, 0x44, 0x45, 0x67, 0,    0,    0,    0,    0,    0
};
static const struct {
    u8 code, usage;
} extended[] = { { 0x1c, 0x58 }, { 0x1d, 0xe4 }, { 0x35, 0x54 }, { 0x37, 0x46 }, { 0x38, 0xe6 },
                 { 0x46, 0x48 }, { 0x47, 0x4a }, { 0x48, 0x52 }, { 0x49, 0x4b }, { 0x4b, 0x50 },
                 { 0x4d, 0x4f }, { 0x4f, 0x4d }, { 0x50, 0x51 }, { 0x51, 0x4e }, { 0x52, 0x49 },
                 { 0x53, 0x4c }, { 0x5b, 0xe3 }, { 0x5c, 0xe7 }, { 0x5d, 0x65 } };

static u8 usage_of(u16 key)
{
    u8 code = key & 0x7f;

    if (key >> 8 != EXTENDED)
        return code < LEN(plain) ? plain[code] : 0;
    for (u32 i = 0; i < LEN(extended); i++)
        if (extended[i].code == code)
            return extended[i].usage;
    return 0;
}

/* Keys stand in the order that they were pressed in; a seventh is not seen. */
static void press(u8 *r, u8 usage, bool down)
{
    u8 *keys = r + KEYS_AT, *at = memchr(keys, usage, BYTES - KEYS_AT);

    if (at) {
        memmove(at, at + 1, (size_t)(r + BYTES - at - 1));
        r[BYTES - 1] = 0;
    }
    at = down ? memchr(keys, 0, BYTES - KEYS_AT) : NULL;
    if (at)
        *at = usage;
}

bool usb_keyboard_key(struct device *d, u16 key, bool down)
{
    struct hid *h = (struct hid *)d;
    u8 r[HID_REPORT], usage = usage_of(key);
    bool used;

    domain_lock(d->domain);
    used = hid_is_used(h);
    memcpy(r, h->state.now, sizeof(r));
    if (usage >= MODIFIERS)
        r[0] = (u8)(down ? r[0] | 1u << (usage & 7) : r[0] & ~(1u << (usage & 7)));
    else if (usage)
        press(r, usage, down);
    hid_tell(h, r);
    domain_unlock(d->domain);
    return used;
}

static int usb_keyboard_create(struct device *d, struct err *e)
{
    return hid_create(d, &keyboard, e);
}

const struct device_class device_usb_keyboard = {
    .name = "usb_keyboard",
    .about = "USB keyboard with the boot protocol, as VMware's (0e0f:0006)",
    .domain = USB_DOMAIN,
    .size = sizeof(struct hid),
    .config_at = offsetof(struct hid, config),
    .config = hid_config_fields,
    .config_default = &(const struct hid_config){ .host = "" },
    .config_size = sizeof(struct hid_config),
    .state_at = offsetof(struct hid, state),
    .state_size = sizeof(struct hid_state),
    .state = hid_state_fields,
    .create = usb_keyboard_create,
    .destroy = hid_destroy,
    .reset = hid_reset,
    .check = hid_check,
};
