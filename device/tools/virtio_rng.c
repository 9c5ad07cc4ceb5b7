/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entropy source: buffers come, the host's random numbers go.
 * Virtual I/O Device (VIRTIO) 1.2, section 5.4.
 */
#include "bus/virtio.h"
#include <errno.h>
#include <sys/random.h>

struct virtio_rng {
    struct virtio v;
    struct virtio_rng_config {
        bool modern;
    } config;
    struct virtio_rng_state {
        struct virtio_state virtio[1];
    } state;
    struct virtq_req req;
};

enum { RNG_MOST = 64 << 10 }; /* bytes that one request gets */

static u32 virtio_rng_fill(const struct virtq_req *r)
{
    u8 b[256];
    u32 done = 0;

    while (done < r->in_len && done < RNG_MOST) {
        u32 n = (u32)min_u64(sizeof(b), r->in_len - done);

        if (getrandom(b, n, 0) != (ssize_t)n)
            break;
        done += virtq_put(r, done, b, n);
    }
    return done;
}

static void virtio_rng_queue(struct virtio *v, u32 q)
{
    struct virtio_rng *g = (struct virtio_rng *)v;
    u32 n = 0;

    for (; n < VIRTQ_SIZE_MAX && virtq_pop(v, q, &g->req); n++)
        virtq_push(v, q, &g->req, virtio_rng_fill(&g->req));
    if (n == VIRTQ_SIZE_MAX) /* others want the lane, too */
        virtq_again(v, q);
    if (n)
        virtq_notify(v, q);
}

static const struct virtio_class virtio_rng_class = {
    .type = 4,
    .legacy_id = 0x1005,
    .pci_class = 0x00ff00,
    .queues = 1,
    .size = { 64 },
    .queue = virtio_rng_queue,
};

static int virtio_rng_create(struct device *d, struct err *e)
{
    struct virtio_rng *g = (struct virtio_rng *)d;

    return virtio_plug(&g->v, &virtio_rng_class, g->state.virtio, 0, g->config.modern, e);
}

static void virtio_rng_reset(struct device *d, enum reset kind)
{
    (void)kind;
    virtio_reset((struct virtio *)d);
}

static void virtio_rng_pause(struct device *d)
{
    virtio_pause((struct virtio *)d);
}

static void virtio_rng_resume(struct device *d)
{
    virtio_resume((struct virtio *)d);
}

static int virtio_rng_check(const struct device *d, struct err *e)
{
    return virtio_check((const struct virtio *)d, e);
}

static const struct field config[] = {
    FIELD(1, struct virtio_rng_config, modern, 0, "without the legacy interface"),
    FIELD_END,
};
static const struct field state[] = {
    FIELD_SUB(1, struct virtio_rng_state, virtio, 0, "transport", virtio_fields),
    FIELD_END,
};

const struct device_class device_virtio_rng = {
    .name = "virtio_rng",
    .about = "virtio entropy source",
    .size = sizeof(struct virtio_rng),
    .config_at = offsetof(struct virtio_rng, config),
    .config = config,
    .config_default = &(const struct virtio_rng_config){ false },
    .config_size = sizeof(struct virtio_rng_config),
    .state_at = offsetof(struct virtio_rng, state),
    .state_size = sizeof(struct virtio_rng_state),
    .state = state,
    .create = virtio_rng_create,
    .reset = virtio_rng_reset,
    .pause = virtio_rng_pause,
    .resume = virtio_rng_resume,
    .check = virtio_rng_check,
};
