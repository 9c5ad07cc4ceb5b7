/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NVMe: the admin command set.  NVM Express 1.4, section 5. */
#include "device/storage/nvme_int.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- queues (5.3 to 5.6) ---- */

static bool queue_id_is_bad(u32 id)
{
    return !id || id >= NVME_QUEUES;
}

static u16 create_cq(struct nvme *n, const struct nvme_command *c)
{
    u32 id = c->dw10 & 0xffff, size = (c->dw10 >> 16) + 1;
    u32 vector = c->dw11 >> 16;

    if (queue_id_is_bad(id) || n->state.cq[id].active)
        return NVME_BAD_QUEUE;
    if (size < 2 || size > NVME_ENTRIES)
        return NVME_BAD_SIZE;
    if (vector >= NVME_QUEUES)
        return NVME_BAD_VECTOR;
    if (!(c->dw11 & 1) || c->prp1 % NVME_PAGE || (n->state.cc >> 20 & 15) != 4)
        return NVME_BAD_FIELD;
    n->state.cq[id] = (struct nvme_cq_state){ .at = c->prp1,
                                              .size = size,
                                              .vector = (u16)vector,
                                              .active = true,
                                              .phase = true,
                                              .interrupts = c->dw11 & 2 };
    return NVME_OK;
}

static u16 create_sq(struct nvme *n, const struct nvme_command *c)
{
    u32 id = c->dw10 & 0xffff, size = (c->dw10 >> 16) + 1, cq = c->dw11 >> 16;

    if (queue_id_is_bad(id) || n->state.sq[id].active)
        return NVME_BAD_QUEUE;
    if (size < 2 || size > NVME_ENTRIES)
        return NVME_BAD_SIZE;
    if (queue_id_is_bad(cq) || !n->state.cq[cq].active)
        return NVME_BAD_CQ;
    if (!(c->dw11 & 1) || c->prp1 % NVME_PAGE || (n->state.cc >> 16 & 15) != 6)
        return NVME_BAD_FIELD;
    n->state.sq[id] =
        (struct nvme_sq_state){ .at = c->prp1, .size = size, .cq = (u16)cq, .active = true };
    return NVME_OK;
}

static u16 delete_cq(struct nvme *n, const struct nvme_command *c)
{
    u32 id = c->dw10 & 0xffff;

    if (queue_id_is_bad(id) || !n->state.cq[id].active)
        return NVME_BAD_QUEUE;
    for (u32 i = 0; i < NVME_QUEUES; i++)
        if (n->state.sq[i].active && n->state.sq[i].cq == id)
            return NVME_BAD_DELETION;
    n->state.cq[id] = (struct nvme_cq_state){ 0 };
    return NVME_OK;
}

/* false: its commands are still under way, the last of them answers. */
static bool delete_sq(struct nvme *n, const struct nvme_command *c, u16 *status)
{
    u32 id = c->dw10 & 0xffff;
    struct nvme_sq_state *q;

    if (queue_id_is_bad(id) || !n->state.sq[id].active || n->state.sq[id].dying) {
        *status = NVME_BAD_QUEUE;
        return true;
    }
    q = &n->state.sq[id];
    q->deleter = c->id;
    if (!n->under_way[id]) {
        nvme_sq_gone(n, id);
        return false;
    }
    q->dying = true;
    n->owed[0]++;
    return false;
}

/* ---- what is told about it (5.14, 5.15) ---- */

static void text(u8 *to, u32 room, const char *from)
{
    size_t len = strnlen(from, room);

    memset(to, ' ', room);
    memcpy(to, from, len);
}

/* The number at the end of the device's name tells several controllers apart. */
static void serial(const struct nvme *n, char *to)
{
    const char *name = n->dev.name, *end = name + strlen(name);

    while (end > name && end[-1] >= '0' && end[-1] <= '9')
        end--;
    if (n->config.serial[0])
        snprintf(to, NVME_SERIAL, "%s", n->config.serial);
    else
        snprintf(to, NVME_SERIAL, "VMWare NVME_%04u", (unsigned)strtoul(end, NULL, 10) % 10000);
}

static void identify_controller(const struct nvme *n, u8 *p)
{
    char number[NVME_SERIAL];

    serial(n, number);
    put_le16(p, NVME_VENDOR);
    put_le16(p + 2, NVME_VENDOR);
    text(p + 4, 20, number);
    text(p + 24, 40, n->config.model);
    text(p + 64, 8, n->config.revision);
    p[77] = NVME_MDTS;
    put_le32(p + 80, NVME_VERSION);
    put_le32(p + 92, 1 << 8); /* tells of changed namespaces */
    p[111] = 1;               /* an I/O controller */
    p[258] = 3;               /* aborts at a time, less one */
    p[259] = NVME_EVENTS - 1;
    p[260] = 0x03; /* one firmware slot, for reading only */
    p[261] = 0x04; /* logs from any offset on */
    put_le16(p + 266, 0x157);
    put_le16(p + 268, 0x161);
    p[512] = 0x66; /* sizes of the queues' entries */
    p[513] = 0x44;
    put_le32(p + 516, NVME_NAMESPACES);
    put_le16(p + 520, 1 << 2 | 1 << 3); /* dataset management, write zeroes */
    p[525] = 0x05;                      /* a write cache; flushes are for one namespace */
    snprintf((char *)p + 768, 256, "nqn.2014-08.com.vmware:nvme:%s", number);
}

static void identify_namespace(struct blk *b, u8 *p)
{
    u64 blocks = blk_size(b) / NVME_BLOCK;

    put_le64(p, blocks);
    put_le64(p + 8, blocks);
    put_le64(p + 16, blocks);
    p[24] = 1;               /* thin */
    p[99] = blk_readonly(b); /* write protected */
    p[130] = 9;              /* the only format: blocks of 512, no metadata */
}

static u16 identify(struct nvme *n, const struct nvme_command *c, u8 *p)
{
    struct blk *b = nvme_namespace(n, c->nsid);
    u32 count = 0;

    switch (c->dw10 & 0xff) {
    case NVME_ID_NAMESPACE:
        if (!c->nsid || (c->nsid > NVME_NAMESPACES && c->nsid != ~0u))
            return NVME_BAD_NAMESPACE;
        if (b)
            identify_namespace(b, p);
        else if (c->nsid == ~0u)
            p[130] = 9;
        return NVME_OK;
    case NVME_ID_CONTROLLER:
        identify_controller(n, p);
        return NVME_OK;
    case NVME_ID_ACTIVE:
        if (c->nsid >= 0xfffffffe)
            return NVME_BAD_NAMESPACE;
        for (u32 i = c->nsid + 1; i <= NVME_NAMESPACES; i++)
            if (n->ns[i - 1])
                put_le32(p + 4 * (size_t)count++, i);
        return NVME_OK;
    case NVME_ID_DESCRIPTORS: /* none but the serial number and the namespace's */
        return b ? NVME_OK : NVME_BAD_NAMESPACE;
    }
    return NVME_BAD_FIELD;
}

/* 5.14.1; how long the log is in *len */
static u16 log_page(struct nvme *n, const struct nvme_command *c, u8 *p, u32 *len)
{
    u32 count = 0;

    switch (c->dw10 & 0xff) {
    case NVME_LOG_ERRORS:
        *len = 64;
        return NVME_OK;
    case NVME_LOG_HEALTH:
        *len = 512;
        put_le16(p + 1, 313); /* 40 degrees */
        p[3] = 100;           /* all of the spare is there ... */
        p[4] = 10;            /* ... and this would be little */
        return NVME_OK;
    case NVME_LOG_FIRMWARE:
        *len = 512;
        p[0] = 1;
        text(p + 8, 8, n->config.revision);
        return NVME_OK;
    case NVME_LOG_CHANGED:
        *len = 4 * NVME_LIST;
        for (u32 i = 0; i < NVME_NAMESPACES; i++)
            if (n->state.changed >> i & 1)
                put_le32(p + 4 * (size_t)count++, i + 1);
        if (!(c->dw10 & 1 << 15)) { /* else it shall be told again */
            n->state.changed = 0;
            n->state.told = false;
        }
        return NVME_OK;
    }
    return NVME_BAD_LOG;
}

/* Copies to the command's memory. */
static u16 tell(struct nvme *n, const struct nvme_command *c, const u8 *p, u32 len)
{
    struct iovec v[8];
    int nv = 0;
    u16 status = len ? nvme_map(n, c, len, GMEM_WRITE, v, &nv) : NVME_OK;
    u32 at = 0;

    for (int i = 0; i < nv; i++) {
        memcpy(v[i].iov_base, p + at, v[i].iov_len);
        at += (u32)v[i].iov_len;
    }
    gmem_unmap(nvme_ram(n), v, nv, at);
    return status;
}

static u16 get_log(struct nvme *n, const struct nvme_command *c)
{
    u64 off = (u64)c->dw13 << 32 | c->dw12, want = ((u64)(c->dw11 & 0xffff) << 16 | c->dw10 >> 16);
    u8 page[NVME_PAGE] = { 0 };
    u32 len = 0;
    u16 status = log_page(n, c, page, &len);

    if (status)
        return status;
    want = (want + 1) * 4;
    if (off % 4 || off > len || want > NVME_PAGE)
        return NVME_BAD_FIELD;
    memmove(page, page + off, NVME_PAGE - off);
    memset(page + len - off, 0, NVME_PAGE - (len - off));
    return tell(n, c, page, (u32)want);
}

/* ---- features (5.13, 5.21) ---- */

static bool feature_is_stored(u32 id)
{
    return id == NVME_FEATURE_ARBITRATION || id == NVME_FEATURE_TEMPERATURE ||
           id == NVME_FEATURE_RECOVERY || id == NVME_FEATURE_CACHE ||
           id == NVME_FEATURE_COALESCING || id == NVME_FEATURE_ATOMICITY ||
           id == NVME_FEATURE_EVENTS;
}

static u16 get_feature(struct nvme *n, const struct nvme_command *c, u32 *result)
{
    u32 id = c->dw10 & 0xff;

    if ((c->dw10 >> 8 & 7) == 3) /* what can be done with it: changed, for all namespaces */
        *result = feature_is_stored(id) ? 4 : 0;
    else if (id == NVME_FEATURE_QUEUES)
        *result = (NVME_QUEUES - 2) << 16 | (NVME_QUEUES - 2);
    else if (id == NVME_FEATURE_VECTOR)
        *result = c->dw11 & 0xffff;
    else if (feature_is_stored(id))
        *result = n->state.feature[id];
    else if (id != NVME_FEATURE_POWER)
        return NVME_BAD_FIELD;
    return NVME_OK;
}

static u16 set_feature(struct nvme *n, const struct nvme_command *c, u32 *result)
{
    u32 id = c->dw10 & 0xff;

    if (c->dw10 >> 31)
        return NVME_NOT_SAVED;
    if (id == NVME_FEATURE_QUEUES) {
        if ((c->dw11 & 0xffff) == 0xffff || c->dw11 >> 16 == 0xffff)
            return NVME_BAD_FIELD;
        *result = (NVME_QUEUES - 2) << 16 | (NVME_QUEUES - 2);
        return NVME_OK;
    }
    if (id == NVME_FEATURE_POWER)
        return c->dw11 & 0x1f ? NVME_BAD_FIELD : NVME_OK; /* there is one state */
    if (id == NVME_FEATURE_VECTOR)
        return (c->dw11 & 0xffff) < NVME_QUEUES ? NVME_OK : NVME_BAD_FIELD;
    if (!feature_is_stored(id))
        return NVME_BAD_FIELD;
    n->state.feature[id] = c->dw11;
    return NVME_OK;
}

/* 5.2: the command stays until there is something to tell */
static bool wait_for_event(struct nvme *n, const struct nvme_command *c, u16 *status)
{
    struct nvme_state *s = &n->state;

    if (s->events == NVME_EVENTS) {
        *status = NVME_TOO_MANY_EVENTS;
        return true;
    }
    s->event[s->events++] = c->id;
    nvme_tell_events(n);
    return false;
}

bool nvme_admin(struct nvme *n, const struct nvme_command *c, u16 *status, u32 *result)
{
    u8 page[NVME_PAGE] = { 0 };

    if (c->flags) { /* fused, or with SGLs */
        *status = NVME_BAD_FIELD;
        return true;
    }
    switch (c->op) {
    case NVME_CREATE_CQ:
        *status = create_cq(n, c);
        return true;
    case NVME_CREATE_SQ:
        *status = create_sq(n, c);
        return true;
    case NVME_DELETE_CQ:
        *status = delete_cq(n, c);
        return true;
    case NVME_DELETE_SQ:
        return delete_sq(n, c, status);
    case NVME_IDENTIFY:
        *status = identify(n, c, page);
        if (!*status)
            *status = tell(n, c, page, sizeof(page));
        return true;
    case NVME_GET_LOG:
        *status = get_log(n, c);
        return true;
    case NVME_GET_FEATURES:
        *status = get_feature(n, c, result);
        return true;
    case NVME_SET_FEATURES:
        *status = set_feature(n, c, result);
        return true;
    case NVME_ABORT: /* 5.1: what is under way ends by itself */
        *result = 1;
        return true;
    case NVME_EVENT:
        return wait_for_event(n, c, status);
    }
    *status = NVME_BAD_OPCODE;
    return true;
}
