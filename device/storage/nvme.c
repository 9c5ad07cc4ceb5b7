/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NVMe controller, 15ad:07f0, after NVM Express 1.4: registers, queues, interrupts, resets.
 * Each disk is a namespace.  Left out: SGLs, metadata, namespace management, firmware update,
 * controller memory buffer, doorbell buffers.
 *
 * Doorbells ring a bell; the lane takes commands off the queues.  A command is taken only when
 * its completion queue has a place for it.
 */
#include "device/storage/nvme_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT = 20 }; /* of getting ready, in half seconds */

static bool nvme_ready(const struct nvme *n)
{
    return n->state.csts & NVME_CSTS_READY;
}

/* Without MSI-X: one wire for all queues. */
static void nvme_level(struct nvme *n)
{
    const struct nvme_state *s = &n->state;
    bool on = false;

    for (u32 i = 0; i < NVME_QUEUES; i++) {
        const struct nvme_cq_state *q = &s->cq[i];

        on |= q->active && q->interrupts && q->head != q->tail &&
              !(s->masked >> (q->vector & 31) & 1);
    }
    pci_level(&n->dev, on);
}

/* ---- queues ---- */

static u32 nvme_room(const struct nvme *n, u32 cq)
{
    const struct nvme_cq_state *q = &n->state.cq[cq];
    u32 used = (q->tail + q->size - q->head) % q->size + n->owed[cq];

    return used < q->size - 1 ? q->size - 1 - used : 0;
}

void nvme_complete(struct nvme *n, u32 queue, u16 id, u16 status, u32 result)
{
    const struct nvme_sq_state *sq = &n->state.sq[queue];
    struct nvme_cq_state *q = &n->state.cq[sq->cq];
    struct nvme_completion done = {
        .result = result, .head = (u16)sq->head, .queue = (u16)queue, .id = id
    };

    if (!nvme_ready(n))
        return; /* a reset came in between */
    done.status = (u16)(status << 1 | q->phase);
    if (gmem_write(nvme_ram(n), q->at + q->tail * sizeof(done), &done, sizeof(done)))
        guest_error(&n->dev, "a completion queue is not in RAM");
    if (++q->tail == q->size) {
        q->tail = 0;
        q->phase = !q->phase;
    }
    if (!q->interrupts)
        return;
    if (pci_message(&n->dev))
        pci_raise(&n->dev, q->vector);
    else
        nvme_level(n);
}

void nvme_sq_gone(struct nvme *n, u32 queue)
{
    struct nvme_sq_state *q = &n->state.sq[queue];
    u16 deleter = q->deleter;

    *q = (struct nvme_sq_state){ 0 };
    nvme_complete(n, 0, deleter, NVME_OK, 0);
}

static void nvme_ring_all(struct nvme *n)
{
    for (u32 i = 0; i < NVME_QUEUES; i++)
        if (n->state.sq[i].active)
            bell_ring(n->bell[i]);
}

void nvme_request_done(struct nvme_request *r, u16 status)
{
    struct nvme *n = r->nvme;
    struct nvme_sq_state *q = &n->state.sq[r->queue];

    r->busy = false;
    n->owed[q->cq]--;
    n->under_way[r->queue]--;
    nvme_complete(n, r->queue, r->c.id, status, 0);
    if (q->dying && !n->under_way[r->queue]) {
        n->owed[0]--;
        nvme_sq_gone(n, r->queue);
    }
    domain_wake(n->dev.domain);
    if (n->starved) {
        n->starved = false;
        nvme_ring_all(n);
    }
}

static struct nvme_request *nvme_free_request(struct nvme *n)
{
    for (u32 i = 0; i < NVME_REQUESTS; i++)
        if (!n->request[i].busy)
            return &n->request[i];
    n->starved = true;
    return NULL;
}

static void nvme_run(struct nvme *n, u32 queue, const struct nvme_command *c)
{
    struct nvme_request *r;
    u16 status = NVME_OK;
    u32 result = 0;

    if (!queue) {
        if (nvme_admin(n, c, &status, &result))
            nvme_complete(n, 0, c->id, status, result);
        return;
    }
    r = nvme_free_request(n); /* there is one: looked at before the command was taken */
    r->nvme = n;
    r->c = *c;
    r->queue = (u16)queue;
    if (nvme_io(n, r, &status)) {
        nvme_complete(n, queue, c->id, status, 0);
        return;
    }
    r->busy = true;
    n->owed[n->state.sq[queue].cq]++;
    n->under_way[queue]++;
    blk_submit(r->blk, &r->req);
}

static void nvme_rung(struct device *d, u32 queue)
{
    struct nvme *n = (struct nvme *)d;
    struct nvme_sq_state *q = &n->state.sq[queue];

    while (nvme_ready(n) && pci_master(d) && q->active && !q->dying && q->head != q->tail) {
        struct nvme_command c;

        if (!nvme_room(n, q->cq) || (queue && !nvme_free_request(n)))
            return; /* rung again when there is */
        if (gmem_read(nvme_ram(n), q->at + q->head * sizeof(c), &c, sizeof(c))) {
            guest_error(d, "a submission queue is not in RAM");
            n->state.csts |= NVME_CSTS_FATAL;
            return;
        }
        q->head = (q->head + 1) % q->size;
        nvme_run(n, queue, &c);
    }
}

void nvme_tell_events(struct nvme *n)
{
    enum { NOTICE = 2 };
    struct nvme_state *s = &n->state;

    if (!s->changed || s->told || !s->events || !nvme_ready(n) || !nvme_room(n, 0))
        return;
    s->told = true;
    s->events--;
    nvme_complete(n, 0, s->event[s->events], NVME_OK, NVME_LOG_CHANGED << 16 | NOTICE);
}

static void nvme_doorbell(struct nvme *n, u32 off, u32 val)
{
    u32 queue = (off - NVME_DOORBELLS) / 8;
    bool completion = off & 4;
    struct nvme_sq_state *sq = &n->state.sq[queue];
    struct nvme_cq_state *cq = &n->state.cq[queue];

    val &= 0xffff;
    if (!nvme_ready(n) ||
        (completion ? !cq->active || val >= cq->size : !sq->active || val >= sq->size)) {
        guest_error(&n->dev, "doorbell of queue %u: %u", queue, val);
        return;
    }
    if (!completion) {
        sq->tail = val;
        bell_ring(n->bell[queue]);
        return;
    }
    cq->head = val;
    nvme_level(n);
    nvme_tell_events(n);
    for (u32 i = 0; i < NVME_QUEUES; i++)
        if (n->state.sq[i].active && n->state.sq[i].cq == queue &&
            n->state.sq[i].head != n->state.sq[i].tail)
            bell_ring(n->bell[i]);
}

/* ---- the controller's life ---- */

static bool nvme_is_busy(const struct nvme *n)
{
    for (u32 i = 0; i < NVME_QUEUES; i++)
        if (n->under_way[i])
            return true;
    return false;
}

/* What stays: the registers that say where the admin queues are. */
static void nvme_stop(struct nvme *n)
{
    struct nvme_state *s = &n->state;

    s->csts = 0; /* nothing is taken or told any more */
    while (nvme_is_busy(n))
        domain_wait(n->dev.domain);
    memset(s->sq, 0, sizeof(s->sq));
    memset(s->cq, 0, sizeof(s->cq));
    memset(s->feature, 0, sizeof(s->feature));
    memset(n->owed, 0, sizeof(n->owed));
    s->feature[NVME_FEATURE_CACHE] = 1;
    s->feature[NVME_FEATURE_TEMPERATURE] = 0x157; /* 70 degrees */
    s->events = s->changed = s->masked = 0;
    s->told = n->starved = false;
    nvme_level(n);
}

static void nvme_start(struct nvme *n)
{
    struct nvme_state *s = &n->state;
    u32 sq = (s->aqa & 0xfff) + 1, cq = (s->aqa >> 16 & 0xfff) + 1;

    if (s->cc & NVME_CC_FIXED || s->asq % NVME_PAGE || s->acq % NVME_PAGE || sq < 2 || cq < 2) {
        guest_error(&n->dev, "it cannot start: CC 0x%x, queues of %u and %u", s->cc, sq, cq);
        s->csts = NVME_CSTS_FATAL;
        return;
    }
    s->sq[0] = (struct nvme_sq_state){ .at = s->asq, .size = sq, .active = true };
    s->cq[0] = (struct nvme_cq_state){
        .at = s->acq, .size = cq, .active = true, .phase = true, .interrupts = true
    };
    s->csts = NVME_CSTS_READY;
}

static void nvme_configure(struct nvme *n, u32 val)
{
    struct nvme_state *s = &n->state;
    bool was = s->cc & NVME_CC_ENABLE, is = val & NVME_CC_ENABLE;

    s->cc = val & 0x00fffff1;
    if (was && !is)
        nvme_stop(n);
    else if (!was && is)
        nvme_start(n);
    if (val & NVME_CC_SHUTDOWN)
        s->csts |= NVME_CSTS_SHUT;
    else
        s->csts &= ~(u32)(3 << 2);
}

static u64 nvme_load(struct device *d, u32 off, u32 size)
{
    const struct nvme_state *s = &((struct nvme *)d)->state;

    (void)size;
    switch (off) {
    case NVME_CAP: /* contiguous queues */
        return TIMEOUT << 24 | 1 << 16 | (NVME_ENTRIES - 1);
    case NVME_CAP_HIGH:
        return 1 << 5; /* the NVM command set */
    case NVME_VS:
        return NVME_VERSION;
    case NVME_INTMS:
    case NVME_INTMC:
        return s->masked;
    case NVME_CC:
        return s->cc;
    case NVME_CSTS:
        return s->csts;
    case NVME_AQA:
        return s->aqa;
    case NVME_ASQ:
        return (u32)s->asq;
    case NVME_ASQ_HIGH:
        return s->asq >> 32;
    case NVME_ACQ:
        return (u32)s->acq;
    case NVME_ACQ_HIGH:
        return s->acq >> 32;
    }
    return 0;
}

static u64 half(u64 whole, u32 val, bool high)
{
    return high ? (whole & 0xffffffff) | (u64)val << 32 : (whole & ~0xffffffffull) | val;
}

static void nvme_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct nvme *n = (struct nvme *)d;
    struct nvme_state *s = &n->state;

    (void)size;
    switch (off) {
    case NVME_INTMS:
        s->masked |= (u32)val;
        nvme_level(n);
        break;
    case NVME_INTMC:
        s->masked &= ~(u32)val;
        nvme_level(n);
        break;
    case NVME_CC:
        nvme_configure(n, (u32)val);
        break;
    case NVME_AQA:
        s->aqa = (u32)val & 0x0fff0fff;
        break;
    case NVME_ASQ:
    case NVME_ASQ_HIGH:
        s->asq = half(s->asq, (u32)val, off & 4);
        break;
    case NVME_ACQ:
    case NVME_ACQ_HIGH:
        s->acq = half(s->acq, (u32)val, off & 4);
        break;
    default:
        if (off >= NVME_DOORBELLS && off < NVME_DOORBELLS + NVME_QUEUES * 8)
            nvme_doorbell(n, off, (u32)val);
    }
}

static int nvme_create(struct device *d, struct err *e)
{
    static const struct pci_bar bars[] = {
        { .index = 0,
          .space = PCI_MEM64,
          .size = NVME_BAR,
          .min = 4,
          .max = 4,
          .load = nvme_load,
          .store = nvme_store },
        { 0 },
    };
    static const struct pci_ident ident = {
        .vendor = NVME_VENDOR,
        .device = NVME_DEVICE,
        .subvendor = NVME_VENDOR,
        .subdevice = NVME_DEVICE,
        .class = 0x010802,
        .pin = 1,
        .vectors = NVME_QUEUES,
        .msix_bar = 0,
        .msix_table = NVME_MSIX_TABLE,
        .msix_pba = NVME_MSIX_PBA,
        .bars = bars,
    };
    struct nvme *n = (struct nvme *)d;
    char end[16];

    for (u32 i = 0; i < NVME_NAMESPACES; i++) {
        snprintf(end, sizeof(end), "nvme.%u", i);
        n->ns[i] = device_end(d, end);
    }
    n->request = calloc(NVME_REQUESTS, sizeof(*n->request));
    if (!n->request)
        return err_set(e, -ENOMEM, "no memory for requests");
    for (u32 i = 0; i < NVME_QUEUES; i++)
        if (bell_new(d, nvme_rung, i, &n->bell[i]))
            return err_set(e, -ENOMEM, "no memory for bells");
    return pci_plug(d, &ident, e);
}

static void nvme_destroy(struct device *d)
{
    pci_unplug(d);
    free(((struct nvme *)d)->request);
}

static void nvme_reset(struct device *d, enum reset kind)
{
    struct nvme *n = (struct nvme *)d;

    (void)kind;
    nvme_stop(n);
    n->state.cc = n->state.aqa = 0;
    n->state.asq = n->state.acq = 0;
    memset(n->state.event, 0, sizeof(n->state.event));
}

static void nvme_pause(struct device *d)
{
    domain_lock(d->domain);
    while (nvme_is_busy((struct nvme *)d))
        domain_wait(d->domain);
    domain_unlock(d->domain);
}

static void nvme_resume(struct device *d)
{
    nvme_ring_all((struct nvme *)d); /* what was left in the queues, or came with them */
}

static int nvme_check(const struct device *d, struct err *e)
{
    const struct nvme_state *s = &((const struct nvme *)d)->state;

    for (u32 i = 0; i < NVME_QUEUES; i++) {
        const struct nvme_sq_state *q = &s->sq[i];
        const struct nvme_cq_state *c = &s->cq[i];

        if (q->active && (q->size < 2 || q->head >= q->size || q->tail >= q->size || q->dying ||
                          q->cq >= NVME_QUEUES || !s->cq[q->cq].active))
            return err_set(e, -EBADMSG, "submission queue %u is in no possible state", i);
        if (c->active &&
            (c->size < 2 || c->head >= c->size || c->tail >= c->size || c->vector >= NVME_QUEUES))
            return err_set(e, -EBADMSG, "completion queue %u is in no possible state", i);
    }
    if (s->events > NVME_EVENTS || (s->csts & NVME_CSTS_READY && !s->sq[0].active))
        return err_set(e, -EBADMSG, "%u events", s->events);
    return 0;
}

static const struct field config[] = {
    FIELD_TEXT(1, struct nvme_config, serial, 0, "serial number; empty: made from the name"),
    FIELD_TEXT(2, struct nvme_config, model, 0, "model"),
    FIELD_TEXT(3, struct nvme_config, revision, 0, "firmware revision"),
    FIELDS(0, struct nvme_config, pad, F_LOCAL, "none"), FIELD_END
};
#define SQ struct nvme_sq_state
static const struct field sq_fields[] = { FIELD(1, SQ, at, 0, "address"),
                                          FIELD(2, SQ, size, 0, "entries"),
                                          FIELD(3, SQ, head, 0, "commands taken"),
                                          FIELD(4, SQ, tail, 0, "commands that came"),
                                          FIELD(5, SQ, cq, 0, "where it is answered"),
                                          FIELD(6, SQ, deleter, 0, "command that deletes it"),
                                          FIELD(7, SQ, active, 0, "it is there"),
                                          FIELD(8, SQ, dying, 0, "it is being deleted"),
                                          FIELDS(0, SQ, pad, F_LOCAL, "none"),
                                          FIELD_END };
#define CQ struct nvme_cq_state
static const struct field cq_fields[] = { FIELD(1, CQ, at, 0, "address"),
                                          FIELD(2, CQ, size, 0, "entries"),
                                          FIELD(3, CQ, head, 0, "completions that were seen"),
                                          FIELD(4, CQ, tail, 0, "completions told"),
                                          FIELD(5, CQ, vector, 0, "interrupt vector"),
                                          FIELD(6, CQ, active, 0, "it is there"),
                                          FIELD(7, CQ, phase, 0, "phase of the next completion"),
                                          FIELD(8, CQ, interrupts, 0, "it interrupts"),
                                          FIELDS(0, CQ, pad, F_LOCAL, "none"),
                                          FIELD_END };
static const struct field state[] = {
    FIELD(1, struct nvme_state, cc, 0, "controller configuration"),
    FIELD(2, struct nvme_state, csts, 0, "controller status"),
    FIELD(3, struct nvme_state, aqa, 0, "sizes of the admin queues"),
    FIELD(4, struct nvme_state, masked, 0, "vectors that are masked"),
    FIELD(5, struct nvme_state, asq, 0, "admin submission queue"),
    FIELD(6, struct nvme_state, acq, 0, "admin completion queue"),
    FIELDS(7, struct nvme_state, feature, 0, "features"),
    FIELD(8, struct nvme_state, changed, 0, "namespaces that came or went"),
    FIELDS(9, struct nvme_state, event, 0, "commands that wait for events"),
    FIELD(10, struct nvme_state, events, 0, "how many"),
    FIELD(11, struct nvme_state, told, 0, "a change was told"),
    FIELDS(0, struct nvme_state, pad, F_LOCAL, "none"),
    FIELD_SUB(12, struct nvme_state, sq, 0, "submission queues", sq_fields),
    FIELD_SUB(13, struct nvme_state, cq, 0, "completion queues", cq_fields),
    FIELD_END
};

const struct device_class device_nvme = {
    .name = "nvme",
    .about = "NVMe 1.4 controller as VMware's (15ad:07f0); a disk is a namespace",
    .size = sizeof(struct nvme),
    .config_at = offsetof(struct nvme, config),
    .config = config,
    .config_default =
        &(const struct nvme_config){ .model = "VMware Virtual NVMe Disk", .revision = "1.0" },
    .config_size = sizeof(struct nvme_config),
    .state_at = offsetof(struct nvme, state),
    .state_size = sizeof(struct nvme_state),
    .state = state,
    .create = nvme_create,
    .destroy = nvme_destroy,
    .reset = nvme_reset,
    .pause = nvme_pause,
    .resume = nvme_resume,
    .check = nvme_check,
};
