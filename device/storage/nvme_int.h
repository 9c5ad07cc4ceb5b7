/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_STORAGE_NVME_INT_H
#define DEVICE_STORAGE_NVME_INT_H
#include "backend/blk.h"
#include "base/bytes.h"
#include "bus/pci.h"
#include "device/storage/nvme_wire.h"

/*
 * The NVMe controller: nvme.c has registers, queues and resets, nvme_admin.c the admin commands,
 * nvme_io.c what moves data.
 */
enum { NVME_QUEUES = 17, NVME_NAMESPACES = 16, NVME_REQUESTS = 256, NVME_EVENTS = 4 };
enum { NVME_ENTRIES = 1024, NVME_MDTS = 8, NVME_PIECES = 520 };
enum { NVME_DATA_MAX = NVME_PAGE << NVME_MDTS, NVME_SERIAL = 21, NVME_MODEL = 41 };

struct nvme_sq_state {
    u64 at;
    u32 size, head, tail;
    u16 cq, deleter; /* deleter: the command that waits until it is empty */
    bool active, dying;
    u8 pad[6];
};
struct nvme_cq_state {
    u64 at;
    u32 size, head, tail;
    u16 vector;
    bool active, phase, interrupts;
    u8 pad[7];
};
struct nvme_state {
    u32 cc, csts, aqa, masked; /* masked: vectors, without MSI-X */
    u64 asq, acq;
    u32 feature[NVME_FEATURES];
    u32 changed;            /* namespaces that came or went, a bit each */
    u16 event[NVME_EVENTS]; /* commands that wait for an event */
    u32 events;
    bool told; /* of a change: not again until the log is read */
    u8 pad[7];
    struct nvme_sq_state sq[NVME_QUEUES];
    struct nvme_cq_state cq[NVME_QUEUES];
};

struct nvme;
struct nvme_request {
    struct blk_req req; /* first: done gets it back */
    struct nvme *nvme;
    struct blk *blk;
    struct nvme_command c;
    struct iovec v[NVME_PIECES];
    int nv;
    u64 off, left; /* of what is done in steps */
    u32 step, ranges;
    u16 queue;
    bool busy, mapped, flush;
    u8 range[NVME_PAGE]; /* of dataset management */
};

struct nvme {
    struct device dev;
    struct nvme_config {
        char serial[NVME_SERIAL], model[NVME_MODEL], revision[9];
        u8 pad[1];
    } config;
    struct nvme_state state;
    struct blk *ns[NVME_NAMESPACES]; /* namespace n is ns[n - 1]; NULL: none */
    struct bell *bell[NVME_QUEUES];
    struct nvme_request *request;
    u32 under_way[NVME_QUEUES]; /* commands of each submission queue */
    u32 owed[NVME_QUEUES];      /* places of each completion queue that are promised */
    bool starved;               /* a queue holds more than there was room for */
};

static inline struct gmem *nvme_ram(struct nvme *n)
{
    return machine_ram(n->dev.machine);
}
static inline struct blk *nvme_namespace(struct nvme *n, u32 nsid)
{
    return nsid && nsid <= NVME_NAMESPACES ? n->ns[nsid - 1] : NULL;
}

/* nvme.c */
void nvme_complete(struct nvme *n, u32 queue, u16 id, u16 status, u32 result);
void nvme_request_done(struct nvme_request *r, u16 status); /* on the lane, domain held */
void nvme_sq_gone(struct nvme *n, u32 queue);
void nvme_tell_events(struct nvme *n);

/* nvme_admin.c: false: answered later */
bool nvme_admin(struct nvme *n, const struct nvme_command *c, u16 *status, u32 *result);

/* nvme_io.c: false: answered by nvme_request_done */
bool nvme_io(struct nvme *n, struct nvme_request *r, u16 *status);
/* The guest's memory of a command by its PRPs: NVME_OK, or why not. */
u16 nvme_map(struct nvme *n, const struct nvme_command *c, u64 len, enum gmem_dir dir,
             struct iovec *v, int *nv);
#endif
