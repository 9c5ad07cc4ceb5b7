/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What human interface devices share: the queue of reports and the class's requests.  Device
 * Class Definition for Human Interface Devices 1.11, section 7.  Left out: reports that are
 * repeated after an idle time (SET_IDLE is kept and answered).
 */
#include "device/usb/hid.h"
#include <errno.h>
#include <string.h>

enum {
    GET_REPORT = 1,
    GET_IDLE = 2,
    GET_PROTOCOL = 3,
    SET_REPORT = 9,
    SET_IDLE = 10,
    SET_PROTOCOL = 11,
    DESC_HID = 0x21,
    DESC_REPORT = 0x22,
    REPORT_INPUT = 1,
    PROTOCOL_REPORT = 1,
    CLASS_REQUEST = 0x20,
    REQUEST_TYPES = 0x60
};

const struct usb_endpoint hid_endpoint = {
    .address = USB_DIR_IN | 1,
    .kind = USB_INTERRUPT,
    .packet = { [USB_FULL] = HID_PACKET, [USB_HIGH] = HID_PACKET },
    .interval = HID_INTERVAL,
    .interval_high = 7 /* 2^6 microframes: 8 ms */
};

static u8 *hid_newest(struct hid_state *s)
{
    return s->queue[(s->head + s->count - 1) % HID_QUEUE];
}

void hid_tell(struct hid *h, const u8 *report)
{
    struct hid_state *s = &h->state;
    const struct hid_kind *k = h->kind;
    bool same =
        s->count && !memcmp(hid_newest(s), report, k->events) && !memcmp(s->now, report, k->events);

    if (!memcmp(s->now, report, k->bytes))
        return;
    memcpy(s->now, report, k->bytes);
    if (!usb_is_configured(&h->usb))
        return;
    if (!same && s->count < HID_QUEUE)
        s->count++;
    memcpy(hid_newest(s), report, k->bytes);
    usb_wake(&h->usb, hid_endpoint.address);
}

bool hid_is_used(struct hid *h)
{
    return usb_is_configured(&h->usb) && !h->state.usb.suspended;
}

enum usb_answer hid_transfer(struct usb_device *u, struct usb_transfer *t)
{
    struct hid *h = (struct hid *)u;
    struct hid_state *s = &h->state;

    if (!s->count)
        return USB_NAK;
    usb_give(t, s->queue[s->head], h->kind->bytes);
    t->ended = true;
    s->head = (s->head + 1) % HID_QUEUE;
    s->count--;
    return USB_ACK;
}

static bool hid_get(struct hid *h, const struct usb_setup *q, u8 *data, u32 *n)
{
    *n = 1;
    switch (q->request) {
    case GET_REPORT:
        if (q->value >> 8 != REPORT_INPUT)
            return false;
        *n = h->kind->bytes;
        memcpy(data, h->state.now, *n);
        return true;
    case GET_IDLE:
        data[0] = h->state.idle;
        return true;
    case GET_PROTOCOL:
        data[0] = h->state.protocol;
        return h->kind->boot;
    }
    return false;
}

bool hid_control(struct usb_device *u, const struct usb_setup *q, u8 *data, u32 *n)
{
    struct hid *h = (struct hid *)u;

    if ((q->type & REQUEST_TYPES) != CLASS_REQUEST)
        return false;
    if (q->type & USB_DIR_IN)
        return hid_get(h, q, data, n);
    switch (q->request) {
    case SET_REPORT:
        h->state.leds = *n ? data[0] & 7 : 0;
        return h->kind->boot;
    case SET_IDLE:
        h->state.idle = (u8)(q->value >> 8);
        return true;
    case SET_PROTOCOL:
        h->state.protocol = q->value & 1;
        return h->kind->boot;
    }
    return false;
}

u32 hid_descriptor(struct usb_device *u, u8 type, u8 *data)
{
    const struct hid_kind *k = ((struct hid *)u)->kind;

    if (type == DESC_HID)
        memcpy(data, k->usb.extra, k->usb.extra_len);
    if (type == DESC_REPORT)
        memcpy(data, k->report, k->report_len);
    return type == DESC_HID ? k->usb.extra_len : type == DESC_REPORT ? k->report_len : 0;
}

/* Keys and buttons stay as people hold them. */
void hid_bus_reset(struct usb_device *u)
{
    struct hid_state *s = &((struct hid *)u)->state;

    s->idle = s->leds = s->head = s->count = 0;
    s->protocol = PROTOCOL_REPORT;
}

int hid_create(struct device *d, const struct hid_kind *kind, struct err *e)
{
    struct hid *h = (struct hid *)d;

    h->kind = kind;
    return usb_plug(&h->usb, &kind->usb, &h->state.usb, h->config.host, e);
}

void hid_destroy(struct device *d)
{
    usb_unplug((struct usb_device *)d);
}

void hid_reset(struct device *d, enum reset kind)
{
    struct hid *h = (struct hid *)d;

    (void)kind;
    memset(h->state.now, 0, sizeof(h->state.now));
    memset(h->state.queue, 0, sizeof(h->state.queue));
    usb_reset(&h->usb);
}

int hid_check(const struct device *d, struct err *e)
{
    const struct hid *h = (const struct hid *)d;

    if (h->state.count > HID_QUEUE || h->state.head >= HID_QUEUE)
        return err_set(e, -EBADMSG, "its queue is in no possible state");
    return usb_check(&h->usb, e);
}

const struct field hid_config_fields[] = { FIELD_TEXT(1, struct hid_config, host, 0,
                                                      "the controller it is on; empty: the first"),
                                           FIELD_END };
const struct field hid_state_fields[] = {
    FIELD_ANY(1, struct hid_state, usb, F_STRUCT, sizeof(struct usb_state), 1, 0, "on the bus",
              usb_fields),
    FIELD(2, struct hid_state, idle, 0, "idle rate"),
    FIELD(3, struct hid_state, protocol, 0, "protocol: 0 boot, 1 report"),
    FIELD(4, struct hid_state, leds, 0, "lights"),
    FIELD(5, struct hid_state, head, 0, "the oldest report"),
    FIELD(6, struct hid_state, count, 0, "reports that wait"),
    FIELDS(0, struct hid_state, pad, F_LOCAL, "none"),
    FIELD_ANY(7, struct hid_state, queue, F_U8, 1, HID_QUEUE *HID_REPORT, 0, "reports", NULL),
    FIELDS(8, struct hid_state, now, 0, "the newest report"),
    FIELD_END
};
