/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Console: one port, a queue in each direction.
 * Virtual I/O Device (VIRTIO) 1.2, section 5.3.  Left out: several ports, size, emergency
 * write.
 */
#include "backend/chr.h"
#include "base/loop.h"
#include "bus/virtio.h"
#include <errno.h>

enum { CONSOLE_RX, CONSOLE_TX, CONSOLE_CHUNK = 4096 };

struct virtio_console {
    struct virtio v;
    struct virtio_console_config {
        bool modern;
    } config;
    struct virtio_console_state {
        struct virtio_state virtio[1];
    } state;
    struct chr *chr;
    struct virtq_req req;
};

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

static u32 virtio_console_can(void *arg)
{
    struct virtio_console *c = arg;
    u32 n = 0;

    domain_lock(c->v.dev.domain);
    if (virtq_pop(&c->v, CONSOLE_RX, &c->req)) {
        n = c->req.in_len;
        virtq_unpop(&c->v, CONSOLE_RX, 1);
    }
    domain_unlock(c->v.dev.domain);
    return n;
}

static void virtio_console_take(void *arg, const u8 *p, u32 n)
{
    struct virtio_console *c = arg;

    domain_lock(c->v.dev.domain);
    while (n && virtq_pop(&c->v, CONSOLE_RX, &c->req)) {
        u32 took = virtq_put(&c->req, 0, p, n);

        virtq_push(&c->v, CONSOLE_RX, &c->req, took);
        virtq_notify(&c->v, CONSOLE_RX);
        p += took;
        n -= took;
        if (!took) /* buffers without room: never again this time */
            break;
    }
    domain_unlock(c->v.dev.domain);
}

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

    int r = virtio_plug(&c->v, &virtio_console_class, c->state.virtio, 0, c->config.modern, e);

    if (r)
        return r;
    c->chr = device_end(d, "chr");
    chr_on_room(c->chr, virtio_console_room, c);
    chr_attach(c->chr, virtio_console_can, virtio_console_take, c);
    return 0;
}

static void virtio_console_reset(struct device *d, enum reset kind)
{
    (void)kind;
    virtio_reset((struct virtio *)d);
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
    FIELD_END,
};
static const struct field state[] = {
    FIELD_SUB(1, struct virtio_console_state, virtio, 0, "transport", virtio_fields),
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
