/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB mass storage: one disk or CD-ROM drive.  Mass Storage Class, Bulk-Only Transport 1.0.
 *
 * Reads and writes go through a buffer of ours in steps; the pipe says NAK while the disk works.
 * A reset in the middle of that lets the request end and forgets its answer.
 */
#include "base/bytes.h"
#include "bus/usb.h"
#include "device/storage/lun.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUFFER = 128 << 10, CBW_LEN = 31, CSW_LEN = 13, LUN_COUNT = 1, SERIAL_LEN = 21 };
enum { CBW_MAGIC = 0x43425355, CSW_MAGIC = 0x53425355, CBW_IN = 0x80 };
enum { CSW_GOOD, CSW_FAILED, CSW_PHASE };
enum { PIPE_IN = USB_DIR_IN | 1, PIPE_OUT = 2 };
enum { CLASS_IN = 0xa1, CLASS_OUT = 0x21, GET_MAX_LUN = 0xfe, BULK_RESET = 0xff };

enum storage_phase {
    WAIT_COMMAND,
    DATA_IN,  /* the buffer's bytes go to the driver */
    DATA_OUT, /* the driver's go to the buffer */
    WAIT_STATUS,
    BROKEN, /* a command block that is none: until a reset (6.6.1) */
    PHASES
};
enum storage_work { WORK_NONE, WORK_READ, WORK_WRITE, WORK_COMMAND };

struct storage_state {
    struct usb_state usb;
    struct scsi_state scsi;
    u32 tag, want;   /* of the command block: what the driver offers or asks for */
    u32 moved, used; /* of it: over the wire, of any use */
    u32 n, at;       /* of the buffer: filled, taken */
    u8 phase, work;  /* work: what the data are for */
    u8 status;       /* of the command's answer */
    u8 cbw_n;        /* bytes that came of a command block */
    bool discard;    /* the driver's data are for nothing */
    bool flush;      /* after the last write */
    u8 pad[2];
    u64 off, left; /* of the disk: what is still to be read or written */
    u8 cbw[CBW_LEN + 1];
};

struct storage {
    struct usb_device usb; /* first */
    struct storage_config {
        char host[32], serial[SERIAL_LEN];
        bool cd;
        u8 pad[2];
    } config;
    struct storage_state state;
    struct lun lun;
    struct lun_task task; /* anything but a plain read or write */
    struct blk_req req;   /* those */
    struct iovec v;
    u8 *buffer;
    bool busy, abandoned; /* a request is under way; nobody waits for it any more */
};

static void storage_finish(struct storage *t, u8 status);

/* ---- reads and writes in steps ---- */

static bool is_transfer(u8 op)
{
    static const u8 ops[] = { 0x08, 0x28, 0xa8, 0x88, 0x0a, 0x2a, 0xaa, 0x8a };

    return memchr(ops, op, sizeof(ops));
}

static void storage_submit(struct storage *t, enum blk_op op, u64 len)
{
    t->v = (struct iovec){ t->buffer, len };
    t->req.op = op;
    t->req.off = t->state.off;
    t->req.len = len;
    t->req.v = &t->v;
    t->req.n = op == BLK_FLUSH ? 0 : 1;
    if (op == BLK_FLUSH)
        t->req.off = 0;
    t->busy = true;
    blk_submit(t->lun.blk, &t->req);
}

/* The next piece of what is read; or it has all been. */
static void storage_read_on(struct storage *t)
{
    struct storage_state *s = &t->state;

    s->n = s->at = 0;
    if (s->left)
        storage_submit(t, BLK_READ, min_u64(s->left, BUFFER));
}

/* The buffer goes to the disk when it is full or holds the end. */
static void storage_write_on(struct storage *t)
{
    struct storage_state *s = &t->state;

    if (s->n && (s->n == BUFFER || s->n == s->left))
        storage_submit(t, BLK_WRITE, s->n);
}

static void storage_answer(struct storage *t, int result)
{
    scsi_result(t->lun.state, &t->task.c, result);
    storage_finish(t, t->task.c.status == SCSI_GOOD ? CSW_GOOD : CSW_FAILED);
}

static void storage_step_done(struct storage *t, int result)
{
    struct storage_state *s = &t->state;
    u64 len = t->req.len;

    if (t->req.op == BLK_FLUSH || result) {
        s->left = 0;
        s->n = s->at = 0;
        storage_answer(t, result);
        return;
    }
    s->off += len;
    s->left -= len;
    if (t->req.op == BLK_READ) {
        s->n = (u32)len;
        if (!s->left)
            storage_answer(t, 0);
        return;
    }
    s->n = 0;
    s->used += (u32)len;
    if (!s->left && s->flush)
        storage_submit(t, BLK_FLUSH, 0);
    else if (!s->left)
        storage_answer(t, 0);
}

/* On the lane. */
static void storage_request_done(struct blk_req *r, int result)
{
    struct storage *t = r->arg;
    struct domain *domain = t->usb.dev.domain;

    domain_lock(domain);
    t->busy = false;
    if (t->abandoned)
        t->abandoned = false;
    else
        storage_step_done(t, result);
    usb_wake(&t->usb, PIPE_IN);
    usb_wake(&t->usb, PIPE_OUT);
    domain_wake(domain);
    domain_unlock(domain);
}

static void storage_transfer_start(struct storage *t)
{
    struct storage_state *s = &t->state;
    struct scsi_command *c = &t->task.c;
    bool in = s->phase == DATA_IN, read;

    scsi_start(&t->lun.unit, t->lun.state, c);
    read = c->todo == SCSI_READ;
    if ((!read && c->todo != SCSI_WRITE) || !c->len || !t->lun.blk) {
        storage_finish(t, c->status == SCSI_GOOD ? CSW_GOOD : CSW_FAILED);
        return;
    }
    if (!s->want || in != read) {
        storage_finish(t, CSW_PHASE);
        return;
    }
    s->off = c->off;
    s->left = min_u64(c->len, s->want - s->want % t->lun.unit.block);
    s->flush = c->flush;
    s->work = read ? WORK_READ : WORK_WRITE;
    if (!s->left)
        storage_finish(t, CSW_PHASE);
    else if (read)
        storage_read_on(t);
}

/* ---- everything else ---- */

/* The initiator's memory is our buffer. */
static int storage_map(struct lun_task *k, enum gmem_dir dir)
{
    struct storage *t = (struct storage *)k->dev;

    k->v[0] = (struct iovec){ t->buffer, dir == GMEM_WRITE ? BUFFER : t->state.n };
    k->nv = 1;
    k->room = k->v[0].iov_len;
    return 0;
}

static void storage_command_end(struct storage *t)
{
    struct storage_state *s = &t->state;

    s->n = s->phase == DATA_IN ? (u32)min_u64(t->task.moved, s->want) : 0;
    s->at = 0;
    s->used = s->phase == DATA_OUT ? (u32)min_u64(t->task.moved, s->want) : 0;
    storage_finish(t, t->task.c.status == SCSI_GOOD ? CSW_GOOD : CSW_FAILED);
}

/* On the lane, domain held. */
static void storage_command_done(struct lun_task *k)
{
    struct storage *t = (struct storage *)k->dev;

    t->busy = false;
    if (t->abandoned)
        t->abandoned = false;
    else
        storage_command_end(t);
    usb_wake(&t->usb, PIPE_IN);
    usb_wake(&t->usb, PIPE_OUT);
    domain_wake(t->usb.dev.domain);
}

static void storage_command_start(struct storage *t)
{
    t->busy = true;
    t->task.dev = &t->usb.dev;
    t->task.lun = &t->lun;
    t->task.map = storage_map;
    t->task.done = storage_command_done;
    if (!lun_run(&t->task))
        return;
    t->busy = false;
    storage_command_end(t);
}

/* ---- the pipes ---- */

/* The command has its answer; data that are on their way go on. */
static void storage_finish(struct storage *t, u8 status)
{
    struct storage_state *s = &t->state;

    s->status = status;
    s->work = WORK_NONE;
    s->left = 0;
    if (s->phase == DATA_OUT && s->moved < s->want)
        s->discard = true;
    else if (s->phase == DATA_OUT || !s->want)
        s->phase = WAIT_STATUS;
}

static enum usb_answer storage_command(struct storage *t)
{
    struct storage_state *s = &t->state;
    const u8 *p = s->cbw;
    struct scsi_command *c = &t->task.c;
    u8 len = p[14] & 31;

    if (le32(p) != CBW_MAGIC || p[13] || !len || len > 16) {
        guest_error(&t->usb.dev, "a command block that is none");
        s->phase = BROKEN;
        return USB_STALL;
    }
    s->tag = le32(p + 4);
    s->want = le32(p + 8);
    s->moved = s->used = s->n = s->at = 0;
    s->discard = s->flush = false;
    s->status = CSW_GOOD;
    memset(c->cdb, 0, sizeof(c->cdb));
    memcpy(c->cdb, p + 15, len);
    c->cdb_len = len;
    c->lun = 0;
    s->phase = p[12] & CBW_IN || !s->want ? DATA_IN : DATA_OUT;
    s->work = WORK_COMMAND;
    if (is_transfer(c->cdb[0]))
        storage_transfer_start(t);
    else if (s->phase == DATA_IN) /* else it starts when its parameters are there */
        storage_command_start(t);
    return USB_ACK;
}

static enum usb_answer storage_out_command(struct storage *t, struct usb_transfer *x)
{
    struct storage_state *s = &t->state;

    if (t->busy)
        return USB_NAK; /* of a command that was reset */
    s->cbw_n = (u8)(s->cbw_n + usb_take(x, s->cbw + s->cbw_n, sizeof(s->cbw) - s->cbw_n));
    if (x->more && s->cbw_n < sizeof(s->cbw))
        return USB_ACK;
    if (s->cbw_n != CBW_LEN)
        put_le32(s->cbw, 0);
    s->cbw_n = 0;
    return storage_command(t);
}

static enum usb_answer storage_out_data(struct storage *t, struct usb_transfer *x)
{
    struct storage_state *s = &t->state;

    if (t->busy)
        return USB_NAK;
    while (x->done < x->len && s->moved < s->want && !t->busy) {
        u64 room = s->work == WORK_WRITE ? min_u64(BUFFER, s->left) : BUFFER;
        u32 n = s->want - s->moved, got;

        if (s->discard || s->n == BUFFER) { /* more than any parameter list can hold */
            got = (u32)min_u64(n, x->len - x->done);
            x->done += got;
        } else {
            got = usb_take(x, t->buffer + s->n, (u32)min_u64(n, room - s->n));
            s->n += got;
        }
        s->moved += got;
        if (s->work == WORK_WRITE)
            storage_write_on(t);
    }
    if (s->moved == s->want && s->discard)
        s->phase = WAIT_STATUS;
    else if (s->moved == s->want && s->work == WORK_COMMAND && !t->busy)
        storage_command_start(t);
    return x->done < x->len && t->busy ? USB_NAK : USB_ACK;
}

static enum usb_answer storage_in_data(struct storage *t, struct usb_transfer *x)
{
    struct storage_state *s = &t->state;

    while (x->done < x->len && s->moved < s->want && !t->busy) {
        u32 got = usb_give(x, t->buffer + s->at, (u32)min_u64(s->n - s->at, s->want - s->moved));

        s->at += got;
        s->moved += got;
        s->used += got;
        if (s->at < s->n)
            break;
        if (s->work == WORK_READ)
            storage_read_on(t);
        else if (!got)
            break;
    }
    if (x->done < x->len && t->busy)
        return USB_NAK;
    x->ended = x->done < x->len;
    if (s->moved == s->want || x->ended)
        s->phase = WAIT_STATUS;
    return USB_ACK;
}

static enum usb_answer storage_in_status(struct storage *t, struct usb_transfer *x)
{
    struct storage_state *s = &t->state;
    u8 csw[CSW_LEN];

    if (t->busy)
        return USB_NAK;
    put_le32(csw, CSW_MAGIC);
    put_le32(csw + 4, s->tag);
    put_le32(csw + 8, s->want - s->used);
    csw[12] = s->status;
    usb_give(x, csw, sizeof(csw));
    x->ended = true;
    s->phase = WAIT_COMMAND;
    return USB_ACK;
}

static enum usb_answer storage_transfer(struct usb_device *u, struct usb_transfer *x)
{
    struct storage *t = (struct storage *)u;
    bool in = x->pid == USB_IN;

    switch (t->state.phase) {
    case WAIT_COMMAND:
        return in ? USB_NAK : storage_out_command(t, x);
    case DATA_OUT:
        return in ? t->state.work == WORK_NONE && !t->busy ? USB_STALL : USB_NAK
                  : storage_out_data(t, x);
    case DATA_IN:
        return in ? storage_in_data(t, x) : USB_NAK;
    case WAIT_STATUS:
        return in ? storage_in_status(t, x) : USB_NAK;
    }
    return USB_STALL;
}

/* A pipe of a broken device stalls again until its reset; a driver that clears halts first is
 * asking for the status. */
static void storage_cleared(struct usb_device *u, u8 address)
{
    struct storage_state *s = &((struct storage *)u)->state;

    if (s->phase == DATA_OUT && address & USB_DIR_IN && s->work == WORK_NONE)
        s->phase = WAIT_STATUS;
}

static void storage_bus_reset(struct usb_device *u)
{
    struct storage *t = (struct storage *)u;
    struct storage_state *s = &t->state;

    t->abandoned = t->busy;
    s->phase = WAIT_COMMAND;
    s->work = WORK_NONE;
    s->cbw_n = 0;
    s->discard = s->flush = false;
    s->tag = s->want = s->moved = s->used = s->n = s->at = 0;
    s->off = s->left = 0;
    s->status = 0;
}

static bool storage_control(struct usb_device *u, const struct usb_setup *q, u8 *data, u32 *n)
{
    if (q->type == CLASS_IN && q->request == GET_MAX_LUN && !q->index) {
        data[0] = LUN_COUNT - 1;
        *n = 1;
        return true;
    }
    if (q->type != CLASS_OUT || q->request != BULK_RESET)
        return false;
    storage_bus_reset(u);
    return true;
}

/* ---- the device ---- */

static const struct usb_endpoint endpoints[] = {
    { PIPE_IN, USB_BULK, { [USB_FULL] = 64, [USB_HIGH] = 512, [USB_SUPER] = 1024 }, 0, 0 },
    { PIPE_OUT, USB_BULK, { [USB_FULL] = 64, [USB_HIGH] = 512, [USB_SUPER] = 1024 }, 0, 0 },
};
static const struct usb_class storage_class = {
    .vendor = 0x0e0f, /* VMware */
    .product = 0x0005,
    .release = 0x0100,
    .speeds = USB_SPEED(USB_FULL) | USB_SPEED(USB_HIGH) | USB_SPEED(USB_SUPER),
    .maker = "VMware",
    .name = "VMware Virtual USB Mass Storage",
    .class = 8,
    .subclass = 6,    /* SCSI */
    .protocol = 0x50, /* bulk only */
    .endpoints = endpoints,
    .nendpoints = LEN(endpoints),
    .transfer = storage_transfer,
    .control = storage_control,
    .reset = storage_bus_reset,
    .cleared = storage_cleared,
};

static int storage_create(struct device *d, struct err *e)
{
    struct storage *t = (struct storage *)d;
    bool cd = t->config.cd;
    u32 sum = 2166136261u;

    t->buffer = calloc(1, BUFFER);
    if (!t->buffer || device_memory(d, "buffer", t->buffer, BUFFER)) {
        free(t->buffer);
        return err_set(e, -ENOMEM, "no memory for its buffer");
    }
    lun_init(&t->lun, cd ? SCSI_CDROM : SCSI_DISK, device_end(d, "blk"), &t->state.scsi, "VMware",
             cd ? "USB CD-ROM" : "USB Disk", "1.0");
    t->req.done = storage_request_done;
    t->req.arg = t;
    if (!t->config.serial[0]) { /* 12 digits at the least (4.1.1), and not the same for two */
        for (const char *p = d->name; *p; p++)
            sum = (sum ^ (u8)*p) * 16777619u;
        snprintf(t->config.serial, sizeof(t->config.serial), "00005%010u", sum);
    }
    t->usb.serial = t->config.serial;
    return usb_plug(&t->usb, &storage_class, &t->state.usb, t->config.host, e);
}

static void storage_destroy(struct device *d)
{
    usb_unplug((struct usb_device *)d);
    free(((struct storage *)d)->buffer);
}

static void storage_wait(struct storage *t)
{
    while (t->busy)
        domain_wait(t->usb.dev.domain);
}

static void storage_reset(struct device *d, enum reset kind)
{
    struct storage *t = (struct storage *)d;

    (void)kind;
    storage_wait(t);
    memset(&t->state, 0, sizeof(t->state));
    scsi_reset(&t->state.scsi, SCSI_ASC_RESET);
    usb_reset(&t->usb);
    memset(t->buffer, 0, BUFFER);
}

static void storage_pause(struct device *d)
{
    domain_lock(d->domain);
    storage_wait((struct storage *)d);
    domain_unlock(d->domain);
}

static int storage_check(const struct device *d, struct err *e)
{
    const struct storage *t = (const struct storage *)d;
    const struct storage_state *s = &t->state;
    u64 size = t->lun.blk ? blk_size(t->lun.blk) : 0;

    if (s->phase >= PHASES || s->work > WORK_COMMAND || s->n > BUFFER || s->at > s->n ||
        s->moved > s->want || s->used > s->want || s->cbw_n > CBW_LEN ||
        !range_ok(s->off, s->left, size) ||
        (s->work == WORK_WRITE && (s->n >= BUFFER || s->n >= s->left)) ||
        (s->work == WORK_READ && s->phase != DATA_IN) ||
        (s->work == WORK_WRITE && s->phase != DATA_OUT))
        return err_set(e, -EBADMSG, "its command is in no possible state");
    return usb_check(&t->usb, e);
}

/* What was understood of a command under way is not kept: its block says it again. */
static void storage_restored(struct device *d)
{
    struct storage *t = (struct storage *)d;
    struct scsi_command *c = &t->task.c;

    memcpy(c->cdb, t->state.cbw + 15, sizeof(c->cdb));
    c->cdb_len = t->state.cbw[14] & 31;
    c->lun = 0;
    c->todo = t->state.work == WORK_READ ? SCSI_READ : SCSI_WRITE;
}

static const struct field config[] = {
    FIELD_TEXT(1, struct storage_config, host, 0, "the controller it is on; empty: the first"),
    FIELD_TEXT(2, struct storage_config, serial, 0, "serial number; empty: made from the name"),
    FIELD(3, struct storage_config, cd, 0, "a CD-ROM drive"),
    FIELDS(0, struct storage_config, pad, F_LOCAL, "none"), FIELD_END
};
#define S struct storage_state
static const struct field state[] = {
    FIELD_ANY(1, S, usb, F_STRUCT, sizeof(struct usb_state), 1, 0, "on the bus", usb_fields),
    FIELD_ANY(2, S, scsi, F_STRUCT, sizeof(struct scsi_state), 1, 0, "the unit", scsi_state_fields),
    FIELD(3, S, tag, 0, "tag of the command"),
    FIELD(4, S, want, 0, "bytes that the driver moves"),
    FIELD(5, S, moved, 0, "bytes of them that were"),
    FIELD(6, S, n, 0, "bytes in the buffer"),
    FIELD(7, S, at, 0, "bytes of them that were taken"),
    FIELD(8, S, phase, 0, "phase"),
    FIELD(9, S, work, 0, "what the data are for"),
    FIELD(10, S, status, 0, "status of the command"),
    FIELD(11, S, cbw_n, 0, "bytes of a command block"),
    FIELD(12, S, discard, 0, "the data are for nothing"),
    FIELD(13, S, flush, 0, "flush after the write"),
    FIELDS(0, S, pad, F_LOCAL, "none"),
    FIELD(17, S, used, 0, "bytes that were of use"),
    FIELD(14, S, off, 0, "where on the disk"),
    FIELD(15, S, left, 0, "bytes that are left there"),
    FIELDS(16, S, cbw, 0, "the command block"),
    FIELD_END
};
#undef S

const struct device_class device_usb_storage = {
    .name = "usb_storage",
    .about = "USB disk or CD-ROM drive, bulk only (0e0f:0005)",
    .domain = USB_DOMAIN,
    .size = sizeof(struct storage),
    .config_at = offsetof(struct storage, config),
    .config = config,
    .config_default = &(const struct storage_config){ .host = "" },
    .config_size = sizeof(struct storage_config),
    .state_at = offsetof(struct storage, state),
    .state_size = sizeof(struct storage_state),
    .state = state,
    .create = storage_create,
    .destroy = storage_destroy,
    .reset = storage_reset,
    .pause = storage_pause,
    .check = storage_check,
    .restored = storage_restored,
};
