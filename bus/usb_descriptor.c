/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors of a device with one configuration of one interface, made from its class for the
 * speed that it runs at.  Universal Serial Bus 2.0, 9.6; Universal Serial Bus 3.1, 9.6.
 */
#include "base/bytes.h"
#include "bus/usb_int.h"

enum { DEVICE_LEN = 18, CONFIG_LEN = 9, INTERFACE_LEN = 9, ENDPOINT_LEN = 7, QUALIFIER_LEN = 10 };
enum { STRING_MAKER = 1, STRING_NAME, STRING_SERIAL, ENGLISH = 0x409, STRING_MAX = 126 };
enum { MILLIAMPERES_HIGH = 2, MILLIAMPERES_SUPER = 8, POWER = 96 };

static u8 packet0(enum usb_speed speed)
{
    return speed == USB_SUPER ? 9 : 64; /* 9: two to the power of it */
}

static u32 describe_device(const struct usb_device *u, u8 *p)
{
    const struct usb_class *c = u->ops;
    const u8 bytes[DEVICE_LEN] = { DEVICE_LEN,
                                   DESC_DEVICE,
                                   0,
                                   u->speed == USB_SUPER ? 3 : 2, /* bcdUSB */
                                   0,
                                   0,
                                   0, /* class: see the interface */
                                   packet0(u->speed),
                                   (u8)c->vendor,
                                   (u8)(c->vendor >> 8),
                                   (u8)c->product,
                                   (u8)(c->product >> 8),
                                   (u8)c->release,
                                   (u8)(c->release >> 8),
                                   STRING_MAKER,
                                   STRING_NAME,
                                   u->serial && *u->serial ? STRING_SERIAL : 0,
                                   1 };

    memcpy(p, bytes, DEVICE_LEN);
    return DEVICE_LEN;
}

static u32 describe_endpoint(const struct usb_endpoint *x, enum usb_speed speed, u8 *p)
{
    static const u8 companion[] = { 6, DESC_COMPANION, 0, 0, 0, 0 };
    u16 packet = x->packet[speed];
    u8 interval = speed >= USB_HIGH ? x->interval_high : x->interval;

    p[0] = ENDPOINT_LEN;
    p[1] = DESC_ENDPOINT;
    p[2] = x->address;
    p[3] = (u8)x->kind;
    put_le16(p + 4, packet);
    p[6] = interval;
    if (speed != USB_SUPER)
        return ENDPOINT_LEN;
    memcpy(p + ENDPOINT_LEN, companion, sizeof(companion));
    if (x->kind == USB_INTERRUPT)
        put_le16(p + ENDPOINT_LEN + 4, packet); /* bytes an interval */
    return ENDPOINT_LEN + sizeof(companion);
}

static u32 describe_config(const struct usb_device *u, enum usb_speed speed, u8 type, u8 *p)
{
    const struct usb_class *c = u->ops;
    u8 unit = speed == USB_SUPER ? MILLIAMPERES_SUPER : MILLIAMPERES_HIGH;
    const u8 interface[INTERFACE_LEN] = {
        INTERFACE_LEN, DESC_INTERFACE, 0, 0, c->nendpoints, c->class, c->subclass, c->protocol, 0
    };
    u32 n = CONFIG_LEN;

    memcpy(p + n, interface, INTERFACE_LEN);
    n += INTERFACE_LEN;
    if (c->extra_len)
        memcpy(p + n, c->extra, c->extra_len);
    n += c->extra_len;
    for (u32 i = 0; i < c->nendpoints; i++)
        n += describe_endpoint(&c->endpoints[i], speed, p + n);
    p[0] = CONFIG_LEN;
    p[1] = type;
    put_le16(p + 2, (u16)n);
    p[4] = 1; /* interface */
    p[5] = CONFIG_VALUE;
    p[6] = 0;
    p[7] = 0x80 | (c->can_wake ? CONFIG_WAKEUP : 0);
    p[8] = POWER / unit;
    return n;
}

/* What it would be at its other speed. */
static u32 describe_qualifier(u8 *p)
{
    const u8 bytes[QUALIFIER_LEN] = {
        QUALIFIER_LEN, DESC_QUALIFIER, 0, 2, 0, 0, 0, packet0(USB_HIGH), 1, 0
    };

    memcpy(p, bytes, QUALIFIER_LEN);
    return QUALIFIER_LEN;
}

static u32 describe_string(const struct usb_device *u, u8 index, u8 *p)
{
    const char *text = index == STRING_MAKER    ? u->ops->maker
                       : index == STRING_NAME   ? u->ops->name
                       : index == STRING_SERIAL ? u->serial
                                                : NULL;
    u32 n = 2;

    p[1] = DESC_STRING;
    if (!index) {
        put_le16(p + 2, ENGLISH);
        p[0] = 4;
        return p[0];
    }
    if (!text || !*text)
        return 0;
    for (u32 i = 0; text[i] && i < STRING_MAX; i++, n += 2)
        put_le16(p + n, (u8)text[i]);
    p[0] = (u8)n;
    return n;
}

/* Binary device object store: link power management, and how it does at SuperSpeed. */
static u32 describe_bos(u8 *p)
{
    static const u8 bytes[] = {
        5,  DESC_BOS,        22, 0, 2,                    /* two capabilities */
        7,  DESC_CAPABILITY, 2,  2, 0,  0, 0,             /* USB 2.0 extension: LPM */
        10, DESC_CAPABILITY, 3,  0, 14, 0, 1, 10, 255, 7, /* SuperSpeed: full speed and up */
    };

    memcpy(p, bytes, sizeof(bytes));
    return sizeof(bytes);
}

u32 usb_descriptor(struct usb_device *u, const struct usb_setup *s, u8 *data)
{
    u32 both = USB_SPEED(USB_FULL) | USB_SPEED(USB_HIGH);
    bool dual = u->speed != USB_SUPER && (u->ops->speeds & both) == both;
    enum usb_speed other = u->speed == USB_HIGH ? USB_FULL : USB_HIGH;
    u8 type = (u8)(s->value >> 8), index = (u8)s->value;

    if ((s->type & RECIPIENT_MASK) == TO_INTERFACE)
        return u->ops->descriptor ? u->ops->descriptor(u, type, data) : 0;
    switch (type) {
    case DESC_DEVICE:
        return describe_device(u, data);
    case DESC_CONFIG:
        return index ? 0 : describe_config(u, u->speed, DESC_CONFIG, data);
    case DESC_STRING:
        return describe_string(u, index, data);
    case DESC_QUALIFIER:
        return dual ? describe_qualifier(data) : 0;
    case DESC_OTHER_SPEED:
        return dual && !index ? describe_config(u, other, DESC_OTHER_SPEED, data) : 0;
    case DESC_BOS:
        return u->speed == USB_SUPER ? describe_bos(data) : 0;
    }
    return 0;
}
