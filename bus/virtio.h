/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUS_VIRTIO_H
#define BUS_VIRTIO_H
#include "bus/pci.h"
#include <sys/uio.h>

/*
 * What a virtio device stands on: the PCI transport (modern and transitional) and its split
 * rings.  Virtual I/O Device (VIRTIO) 1.2, sections 2.7, 4.1 and 5.
 *
 * A device's instance starts with struct virtio; its state holds a struct virtio_state,
 * described by virtio_fields.  Everything is called with the device's domain held.
 */
enum {
    VIRTIO_QUEUES = 4,
    VIRTQ_SIZE_MAX = 256,
    VIRTQ_PIECES = 288, /* a chain of VIRTQ_SIZE_MAX buffers, some of them cut by the RAM's hole */
    VIRTIO_CONFIG_MAX = 64,
    VIRTIO_NO_VECTOR = 0xffff,
};
#define VIRTIO_F_RING_INDIRECT (1ull << 28)
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

enum virtio_status {
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 0x40,
    VIRTIO_FAILED = 0x80,
};

struct virtq_state {
    u64 desc, avail, used; /* where the driver put the three parts */
    u16 size, vector;
    u16 next;      /* in the available ring: what comes next */
    u16 done;      /* in the used ring: what has been written */
    u16 signalled; /* in the used ring: what the driver has been told of */
    bool enabled, told;
    u8 pad[4];
};
struct virtio_state {
    u64 features; /* what the driver took */
    u32 feature_select, driver_select;
    u16 queue_select, config_vector;
    u8 status, isr, generation, pad;
    struct virtq_state q[VIRTIO_QUEUES];
};
extern const struct field virtio_fields[];

struct virtio;
struct virtio_class {
    u16 type;      /* 1 net, 2 block, 3 console, 4 entropy */
    u16 legacy_id; /* PCI device ID of the transitional device */
    u32 pci_class;
    u16 queues;
    u16 size[VIRTIO_QUEUES];
    u32 config_len;
    void (*queue)(struct virtio *v, u32 q); /* on the lane: the driver has added buffers */
    void (*ready)(struct virtio *v);        /* DRIVER_OK has come; or NULL */
    /* The device forgets everything; requests under way end first (domain_wait). */
    void (*reset)(struct virtio *v);
};

struct virtio {
    struct device dev; /* first */
    const struct virtio_class *ops;
    struct virtio_state *s;
    u64 offered;                  /* features */
    u8 config[VIRTIO_CONFIG_MAX]; /* the device's own configuration space */
    struct bell *bell[VIRTIO_QUEUES];
    bool modern, resetting, paused;
    struct pci_ident ident;
    struct pci_bar bars[3];
};

/* One request: a chain of buffers, the device reads the first ones and writes the others. */
struct virtq_req {
    u16 head;
    u16 nout, nin;       /* pieces in v: nout to read, then nin to write */
    u32 out_len, in_len; /* bytes */
    struct iovec v[VIRTQ_PIECES];
};

/* From create.  modern: without the legacy interface.  `features` beyond those of the ring. */
int virtio_plug(struct virtio *v, const struct virtio_class *ops, struct virtio_state *s,
                u64 features, bool modern, struct err *e);
void virtio_reset(struct virtio *v); /* from the device's reset */
/* Around a pause: queues are left alone in between.  These take the domain themselves. */
void virtio_pause(struct virtio *v);
void virtio_resume(struct virtio *v);
int virtio_check(const struct virtio *v, struct err *e);
bool virtio_has(const struct virtio *v, u64 feature); /* did the driver take it? */
bool virtio_is_ready(const struct virtio *v);         /* DRIVER_OK, not broken, not paused */
void virtio_config_changed(struct virtio *v);
/* The driver broke the rules: nothing more happens until it resets the device. */
void virtio_broken(struct virtio *v, const char *why);

/* The next request: true and *r, or false.  A chain that makes no sense breaks the device. */
bool virtq_pop(struct virtio *v, u32 q, struct virtq_req *r);
void virtq_unpop(struct virtio *v, u32 q, u32 n); /* the last n, untouched: pop gives them again */
/* The request is done; its first `written` writable bytes were written. */
void virtq_push(struct virtio *v, u32 q, struct virtq_req *r, u32 written);
/* The same in two steps, for requests that the driver must see at once: `nth` 0, 1 ..., then
 * how many there are. */
void virtq_fill(struct virtio *v, u32 q, struct virtq_req *r, u32 written, u32 nth);
void virtq_publish(struct virtio *v, u32 q, u32 n);
void virtq_notify(struct virtio *v, u32 q); /* after one or more pushes */
void virtq_again(struct virtio *v, u32 q);  /* ring the queue's own bell */
bool virtq_enabled(const struct virtio *v, u32 q);

/* Bytes of a request: how many were there. */
u32 virtq_get(const struct virtq_req *r, u32 off, void *to, u32 n); /* from the readable ones */
u32 virtq_put(const struct virtq_req *r, u32 off, const void *from, u32 n);
/* Pieces for bytes [off, off + len) of the readable or writable ones: how many. */
int virtq_slice(const struct virtq_req *r, bool in, u32 off, u32 len, struct iovec *v, int room);
#endif
