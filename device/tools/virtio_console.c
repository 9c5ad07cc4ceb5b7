/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Console: one port, a queue in each direction; with a name for it also the two control queues, by
 * which the driver learns the name (MULTIPORT).
 * Virtual I/O Device (VIRTIO) 1.2, section 5.3.  Left out: more than one port, size, emergency
 * write.
 */
#include "backend/chr.h"
#include "base/bytes.h"
#include "base/loop.h"
#include "bus/virtio.h"
#include <errno.h>
#include <stdio.h>

enum { CONSOLE_RX, CONSOLE_TX, CONSOLE_TO_DRIVER, CONSOLE_FROM_DRIVER, CONSOLE_CHUNK = 4096 };
enum { CONSOLE_AT_ONCE = 16 }; /* buffers that are filled before the driver is told */
enum { CONSOLE_F_MULTIPORT = 1 << 1, CONSOLE_CONFIG_PORTS = 4 };
enum { /* control events, 5.3.6.2 */
       EVENT_DEVICE_READY,
       EVENT_PORT_ADD,
       EVENT_PORT_READY = 3,
       EVENT_PORT_OPEN = 6,
       EVENT_PORT_NAME = 7,
};

struct virtio_console {
    struct virtio v;
    struct virtio_console_config {
        bool modern;
        char name[63];
    } config;
    struct virtio_console_state {
        struct virtio_state virtio[1];
        u32 events; /* bits by event: the driver is to be told */
        bool open;  /* somebody in the guest has the port open */
        u8 pad[3];
    } state;
    struct chr *chr;
    struct virtq_req req;
};

static bool virtio_console_named(const struct virtio_console *c)
{
    return c->config.name[0] != 0;
}

/* ---- the control queues ---- */

static u32 virtio_console_event(const struct virtio_console *c, u32 event, u8 b[80])
{
    int n = 0;

    put_le32(b, 0); /* the port */
    put_le16(b + 4, (u16)event);
    put_le16(b + 6, 1);
    if (event == EVENT_PORT_NAME)
        n = snprintf((char *)b + 8, 72, "%s", c->config.name);
    return 8 + (u32)n;
}

/* What is to be told, in the order of the events' numbers but for the name: it goes first. */
static void virtio_console_tell(struct virtio_console *c)
{
    static const u8 order[] = { EVENT_PORT_ADD, EVENT_PORT_NAME, EVENT_PORT_OPEN };
    bool told = false;
    u8 b[80];

    for (u32 i = 0; i < LEN(order); i++) {
        if (!(c->state.events & 1u << order[i]))
            continue;
        if (!virtq_pop(&c->v, CONSOLE_TO_DRIVER, &c->req))
            break;
        virtq_push(&c->v, CONSOLE_TO_DRIVER, &c->req,
                   virtq_put(&c->req, 0, b, virtio_console_event(c, order[i], b)));
        c->state.events &= ~(1u << order[i]);
        told = true;
    }
    if (told)
        virtq_notify(&c->v, CONSOLE_TO_DRIVER);
}

static void virtio_console_control(struct virtio_console *c)
{
    bool any = false;
    u8 b[8];

    while (virtq_pop(&c->v, CONSOLE_FROM_DRIVER, &c->req)) {
        u32 n = virtq_get(&c->req, 0, b, sizeof(b));
        bool value = le16(b + 6);

        virtq_push(&c->v, CONSOLE_FROM_DRIVER, &c->req, 0);
        any = true;
        if (n < sizeof(b))
            continue;
        if (le16(b + 4) == EVENT_DEVICE_READY && value)
            c->state.events |= 1 << EVENT_PORT_ADD;
        else if (le16(b + 4) == EVENT_PORT_READY && !le32(b) && value)
            c->state.events |= 1 << EVENT_PORT_NAME | 1 << EVENT_PORT_OPEN;
        else if (le16(b + 4) == EVENT_PORT_OPEN && !le32(b))
            c->state.open = value;
    }
    if (any)
        virtq_notify(&c->v, CONSOLE_FROM_DRIVER);
    virtio_console_tell(c);
    chr_more(c->chr);
}

/* ---- the port ---- */

/* To the host: a request that the host has no room for stays in the ring. */
static void virtio_console_send(struct virtio_console *c)
{
    u8 b[CONSOLE_CHUNK];
    bool pushed = false;

    while (chr_room(c->chr, CONSOLE_CHUNK) && virtq_pop(&c->v, CONSOLE_TX, &c->req)) {
        for (u32 at = 0, n; (n = virtq_get(&c->req, at, b, sizeof(b))); at += n)
            chr_put(c->chr, b, n);
        virtq_push(&c->v, CONSOLE_TX, &c->req, 0);
        pushed = true;
    }
    if (pushed)
        virtq_notify(&c->v, CONSOLE_TX);
}

static void virtio_console_queue(struct virtio *v, u32 q)
{
    struct virtio_console *c = (struct virtio_console *)v;

    if (q == CONSOLE_TX)
        virtio_console_send(c);
    else if (q == CONSOLE_TO_DRIVER)
        virtio_console_tell(c);
    else if (q == CONSOLE_FROM_DRIVER)
        virtio_console_control(c);
    else
        chr_more(c->chr); /* the guest can take input again */
}

static void virtio_console_room(void *arg)
{
    struct virtio_console *c = arg;

    domain_lock(c->v.dev.domain);
    virtq_again(&c->v, CONSOLE_TX);
    domain_unlock(c->v.dev.domain);
}

/* A driver without MULTIPORT has the port as its console, always open. */
static bool virtio_console_listens(const struct virtio_console *c)
{
    return c->state.open || !virtio_has(&c->v, CONSOLE_F_MULTIPORT);
}

static u32 virtio_console_can(void *arg)
{
    struct virtio_console *c = arg;
    u32 n = 0, buffers = 0;

    domain_lock(c->v.dev.domain);
    while (virtio_console_listens(c) && buffers < CONSOLE_AT_ONCE &&
           virtq_pop(&c->v, CONSOLE_RX, &c->req)) {
        n += c->req.in_len;
        buffers++;
    }
    if (buffers)
        virtq_unpop(&c->v, CONSOLE_RX, buffers);
    domain_unlock(c->v.dev.domain);
    return n;
}

static void virtio_console_take(void *arg, const u8 *p, u32 n)
{
    struct virtio_console *c = arg;
    bool pushed = false;

    domain_lock(c->v.dev.domain);
    while (n && virtq_pop(&c->v, CONSOLE_RX, &c->req)) {
        u32 took = virtq_put(&c->req, 0, p, n);

        virtq_push(&c->v, CONSOLE_RX, &c->req, took);
        pushed = true;
        p += took;
        n -= took;
        if (!took) /* buffers without room: never again this time */
            break;
    }
    if (pushed)
        virtq_notify(&c->v, CONSOLE_RX);
    domain_unlock(c->v.dev.domain);
}

static void virtio_console_forget(struct virtio *v)
{
    struct virtio_console *c = (struct virtio_console *)v;

    c->state.events = 0;
    c->state.open = false;
}

static const struct virtio_class virtio_console_named_class = {
    .type = 3,
    .legacy_id = 0x1003,
    .pci_class = 0x078000,
    .queues = 4,
    .size = { 128, 128, 32, 32 },
    .config_len = 12,
    .queue = virtio_console_queue,
    .reset = virtio_console_forget,
};

static const struct virtio_class virtio_console_class = {
    .type = 3,
    .legacy_id = 0x1003,
    .pci_class = 0x078000,
    .queues = 2,
    .size = { 128, 128 },
    .queue = virtio_console_queue,
};

static int virtio_console_create(struct device *d, struct err *e)
{
    struct virtio_console *c = (struct virtio_console *)d;

    bool named = virtio_console_named(c);
    int r = virtio_plug(&c->v, named ? &virtio_console_named_class : &virtio_console_class,
                        c->state.virtio, named ? CONSOLE_F_MULTIPORT : 0, c->config.modern, e);

    if (r)
        return r;
    if (named)
        put_le32(c->v.config + CONSOLE_CONFIG_PORTS, 1);
    c->chr = device_end(d, "chr");
    chr_on_room(c->chr, virtio_console_room, c);
    chr_attach(c->chr, virtio_console_can, virtio_console_take, c);
    return 0;
}

static void virtio_console_reset(struct device *d, enum reset kind)
{
    (void)kind;
    virtio_reset((struct virtio *)d);
    virtio_console_forget((struct virtio *)d);
}

static void virtio_console_pause(struct device *d)
{
    virtio_pause((struct virtio *)d);
}

static void virtio_console_resume(struct device *d)
{
    virtio_resume((struct virtio *)d);
}

static int virtio_console_check(const struct device *d, struct err *e)
{
    return virtio_check((const struct virtio *)d, e);
}

static const struct field config[] = {
    FIELD(1, struct virtio_console_config, modern, 0, "without the legacy interface"),
    FIELD_TEXT(2, struct virtio_console_config, name, 0, "of the port, for its driver"),
    FIELD_END,
};
static const struct field state[] = {
    FIELD_SUB(1, struct virtio_console_state, virtio, 0, "transport", virtio_fields),
    FIELD(2, struct virtio_console_state, events, 0, "what the driver is to be told"),
    FIELD(3, struct virtio_console_state, open, 0, "the guest has the port open"),
    FIELDS(0, struct virtio_console_state, pad, F_LOCAL, "none"),
    FIELD_END,
};

const struct device_class device_virtio_console = {
    .name = "virtio_console",
    .about = "virtio console, one port",
    .size = sizeof(struct virtio_console),
    .config_at = offsetof(struct virtio_console, config),
    .config = config,
    .config_default = &(const struct virtio_console_config){ false },
    .config_size = sizeof(struct virtio_console_config),
    .state_at = offsetof(struct virtio_console, state),
    .state_size = sizeof(struct virtio_console_state),
    .state = state,
    .create = virtio_console_create,
    .reset = virtio_console_reset,
    .pause = virtio_console_pause,
    .resume = virtio_console_resume,
    .check = virtio_console_check,
};
