/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUS_USB_H
#define BUS_USB_H
#include "machine/device.h"
#include <sys/uio.h>

/*
 * What is plugged into a USB port, and what it is plugged into.  Universal Serial Bus 2.0,
 * chapters 5, 8 and 9; Universal Serial Bus 3.1, chapter 9.
 *
 * All controllers and all that hangs on them share the domain "usb" and are called with it held.
 * A transfer is answered at once: what has nothing to say yet answers USB_NAK, and calls
 * usb_wake when it has; nothing is ever under way between the two.
 *
 * A device's instance starts with struct usb_device; its state holds a struct usb_state,
 * described by usb_fields.
 */
#define USB_DOMAIN "usb"

enum usb_speed { USB_FULL = 1, USB_LOW = 2, USB_HIGH = 3, USB_SUPER = 4 }; /* as xHCI counts */
#define USB_SPEED(s) (1u << (s))                                           /* sets of them */
enum usb_pid { USB_OUT, USB_IN, USB_SETUP };
enum usb_answer { USB_ACK, USB_NAK, USB_STALL, USB_GONE };
enum { USB_DIR_IN = 0x80, USB_CONTROL_MAX = 512, USB_PORTS = 16 };

/*
 * Bytes to or from an endpoint: a packet, or as many as fit.  USB_ACK: all of it was done, or it
 * ended before (a short packet).  USB_NAK: `done` bytes were; the rest is asked for again.
 */
struct usb_transfer {
    enum usb_pid pid;
    u8 endpoint; /* 0 to 15 */
    bool more;   /* USB_OUT: bytes of the same packet follow in another transfer */
    const struct iovec *v;
    int nv;
    u32 len;
    u32 done;   /* the answer */
    bool ended; /* the answer: it was a short packet */
};

struct usb_state { /* a device's end of the wire */
    u8 address, configuration, stage;
    bool wakeup; /* the driver lets it wake the bus */
    bool suspended;
    u8 pad[3];
    u8 setup[8];
    u16 n, at;                 /* of data */
    u16 halted_in, halted_out; /* endpoints, a bit each */
    u8 data[USB_CONTROL_MAX];  /* of the control transfer */
};
extern const struct field usb_fields[];

struct usb_setup {
    u8 type, request;
    u16 value, index, length;
};

enum usb_kind { USB_CONTROL, USB_ISOCHRONOUS, USB_BULK, USB_INTERRUPT };
struct usb_endpoint {
    u8 address; /* with USB_DIR_IN */
    enum usb_kind kind;
    u16 packet[USB_SUPER + 1]; /* largest packet by speed */
    u8 interval, interval_high;
};

struct usb_device;
struct usb_class {
    u16 vendor, product, release;
    u32 speeds; /* set of USB_SPEED */
    const char *maker, *name;
    bool can_wake;
    u8 class, subclass, protocol; /* of its only interface */
    const u8 *extra;              /* a descriptor after the interface's */
    u8 extra_len;
    const struct usb_endpoint *endpoints;
    u8 nendpoints;

    /* Endpoints but the control pipe, while it is configured.  Sets done and ended. */
    enum usb_answer (*transfer)(struct usb_device *u, struct usb_transfer *t);
    /*
     * Requests that are not standard ones.  In: *n is set to the bytes in data; out: n of them
     * are there.  false: stalls.
     */
    bool (*control)(struct usb_device *u, const struct usb_setup *s, u8 *data, u32 *n);
    /* Descriptors of the interface; their length, 0: there is none.  Or NULL. */
    u32 (*descriptor)(struct usb_device *u, u8 type, u8 *data);
    void (*reset)(struct usb_device *u);               /* the bus's; not on the lane only */
    void (*cleared)(struct usb_device *u, u8 address); /* the endpoint runs again; or NULL */
};

struct usb_host;
struct usb_device {
    struct device dev; /* first */
    const struct usb_class *ops;
    struct usb_state *s;
    const char *serial;    /* or NULL */
    struct usb_host *host; /* NULL: plugged into nothing */
    u32 port;
    enum usb_speed speed;
};

/* From create.  host: a controller's name; empty: the first with a port for it.  A machine
 * without controllers leaves it unplugged. */
int usb_plug(struct usb_device *u, const struct usb_class *ops, struct usb_state *s,
             const char *host, struct err *e);
void usb_unplug(struct usb_device *u);
void usb_reset(struct usb_device *u); /* the bus resets it; its own reset does so too */
/* The endpoint answered USB_NAK and has something now.  Wakes a bus that sleeps, if it may. */
void usb_wake(struct usb_device *u, u8 address);
bool usb_is_configured(const struct usb_device *u);
int usb_check(const struct usb_device *u, struct err *e);

/* Bytes between a transfer's memory and ours: as many as fit; counted in done. */
u32 usb_give(struct usb_transfer *t, const void *p, u32 n);
u32 usb_take(struct usb_transfer *t, void *p, u32 n);

/* ---- for controllers ---- */

struct usb_host_class {
    void (*plugged)(struct device *d, u32 port); /* something came or went */
    void (*wake)(struct device *d, u32 port, u8 address);
    void (*resume)(struct device *d, u32 port); /* a device on it wakes the port */
};
/* From create; speeds: of each port, a set. */
int usb_host_add(struct device *d, const struct usb_host_class *c, const u32 *speeds, u32 ports,
                 struct err *e);
void usb_host_drop(struct device *d);
struct usb_device *usb_at(struct device *host, u32 port); /* or NULL */
/* By its address, on one of the ports in the set. */
struct usb_device *usb_by_address(struct device *host, u32 ports, u8 address);
enum usb_answer usb_run(struct usb_device *u, struct usb_transfer *t);
void usb_suspend(struct usb_device *u, bool on);
#endif
