/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block device: one queue of reads, writes, flushes, discards.
 * Virtual I/O Device (VIRTIO) 1.2, section 5.2.  A driver without the flush feature gets
 * every write flushed before it is told (5.2.6.2).
 * Left out: several queues, topology, secure erase, zones.
 */
#include "backend/blk.h"
#include "base/bytes.h"
#include "bus/virtio.h"
#include <errno.h>

enum {
    BLK_QUEUE = 128,
    BLK_SECTOR = 512,
    BLK_HDR = 16,
    BLK_ID = 20,
    BLK_SEGMENTS = BLK_QUEUE - 2,
    BLK_ZEROES = 64 << 10,
    BLK_RANGE = 2 << 20,      /* bytes that are cleared by one request to the backend */
    BLK_RANGE_MOST = 1 << 22, /* sectors in one discard */
};
#define BLK_F_SEG_MAX (1ull << 2)
#define BLK_F_RO (1ull << 5)
#define BLK_F_BLK_SIZE (1ull << 6)
#define BLK_F_FLUSH (1ull << 9)
#define BLK_F_DISCARD (1ull << 13)
#define BLK_F_WRITE_ZEROES (1ull << 14)
enum {
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8,
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13,
};
enum { S_OK, S_IOERR, S_UNSUPP };

struct virtio_blk;
struct virtio_blk_slot { /* one request under way */
    struct virtio_blk *c;
    struct virtio_blk_slot *next; /* free ones */
    struct virtq_req req;
    struct blk_req blk;
    u64 at, left; /* zeroes still to be written */
    struct iovec v[VIRTQ_PIECES];
};

struct virtio_blk {
    struct virtio v;
    struct virtio_blk_config {
        char serial[BLK_ID + 1];
        bool modern;
    } config;
    struct virtio_blk_state {
        struct virtio_state virtio[1];
    } state;
    struct blk *blk;
    struct virtio_blk_slot slots[BLK_QUEUE], *free;
    u32 under_way;
};

static const u8 virtio_blk_zeroes[BLK_ZEROES];

static void virtio_blk_end(struct virtio_blk_slot *s, u8 status)
{
    struct virtio_blk *c = s->c;
    u32 n = s->req.in_len;
    bool gone = c->v.resetting; /* the rings are no longer ours */

    if (!gone) {
        virtq_put(&s->req, n - 1, &status, 1);
        virtq_push(&c->v, 0, &s->req, status == S_OK ? n : 1);
    }
    s->next = c->free;
    c->free = s;
}

static void virtio_blk_done(struct blk_req *r, int result);

static void virtio_blk_submit(struct virtio_blk_slot *s, enum blk_op op, u64 off, u64 len, int n)
{
    s->blk = (struct blk_req){
        .op = op, .off = off, .len = len, .v = s->v, .n = n, .done = virtio_blk_done, .arg = s
    };
    s->c->under_way++;
    blk_submit(s->c->blk, &s->blk);
}

static void virtio_blk_zero(struct virtio_blk_slot *s)
{
    u64 len = min_u64(s->left, BLK_RANGE), done = 0;
    int n = 0;

    for (; done < len; n++) {
        s->v[n] =
            (struct iovec){ (u8 *)(uintptr_t)virtio_blk_zeroes, min_u64(len - done, BLK_ZEROES) };
        done += s->v[n].iov_len;
    }
    s->at += len;
    s->left -= len;
    virtio_blk_submit(s, BLK_WRITE, s->at - len, len, n);
}

static void virtio_blk_done(struct blk_req *r, int result)
{
    struct virtio_blk_slot *s = r->arg;
    struct virtio_blk *c = s->c;

    domain_lock(c->v.dev.domain);
    c->under_way--;
    if (!result && s->left && !c->v.resetting) {
        virtio_blk_zero(s);
    } else if (!result && r->op == BLK_WRITE && !virtio_has(&c->v, BLK_F_FLUSH)) {
        virtio_blk_submit(s, BLK_FLUSH, 0, 0, 0);
    } else {
        virtio_blk_end(s, result ? S_IOERR : S_OK);
        if (!c->v.resetting) {
            virtq_notify(&c->v, 0);
            virtq_again(&c->v, 0); /* requests may have waited for a slot */
        }
    }
    domain_wake(c->v.dev.domain);
    domain_unlock(c->v.dev.domain);
}

/* 5.2.6: discard and write zeroes take one range each (as the configuration says). */
static u8 virtio_blk_range(struct virtio_blk_slot *s, u32 type)
{
    u8 b[16];
    u64 off, len, size = blk_size(s->c->blk);

    if (s->req.out_len != BLK_HDR + sizeof(b) ||
        virtq_get(&s->req, BLK_HDR, b, sizeof(b)) != sizeof(b))
        return S_UNSUPP;
    if (le32(b + 12) & ~1u || (type == T_DISCARD && le32(b + 12)))
        return S_UNSUPP;
    if (!mul_ok(&off, le64(b), BLK_SECTOR))
        return S_IOERR;
    len = (u64)le32(b + 8) * BLK_SECTOR;
    if (!range_ok(off, len, size) || le32(b + 8) > BLK_RANGE_MOST)
        return S_IOERR;
    if (blk_readonly(s->c->blk))
        return S_IOERR;
    s->at = off;
    s->left = type == T_WRITE_ZEROES ? len : 0;
    if (!len)
        return S_OK;
    if (s->left)
        virtio_blk_zero(s);
    else
        virtio_blk_submit(s, BLK_TRIM, off, len, 0);
    return S_OK;
}

/* Data of a read or write: sectors only, and inside of the disk. */
static u8 virtio_blk_move(struct virtio_blk_slot *s, bool in, u64 sector)
{
    u32 len = in ? s->req.in_len - 1 : s->req.out_len - BLK_HDR;
    u64 off;
    int n;

    if (len % BLK_SECTOR || !mul_ok(&off, sector, BLK_SECTOR) ||
        !range_ok(off, len, blk_size(s->c->blk)) || (!in && blk_readonly(s->c->blk)))
        return S_IOERR;
    if (!len)
        return S_OK;
    n = virtq_slice(&s->req, in, in ? 0 : BLK_HDR, len, s->v, VIRTQ_PIECES);
    if (n < 0)
        return S_IOERR;
    virtio_blk_submit(s, in ? BLK_READ : BLK_WRITE, off, len, n);
    return S_OK;
}

static u8 virtio_blk_id(struct virtio_blk_slot *s)
{
    return s->req.in_len - 1 >= BLK_ID &&
                   virtq_put(&s->req, 0, s->c->config.serial, BLK_ID) == BLK_ID
               ? S_OK
               : S_IOERR;
}

/* Begins a request; what did not go to the backend ends here. */
static void virtio_blk_begin(struct virtio_blk_slot *s)
{
    struct virtio_blk *c = s->c;
    u32 before = c->under_way;
    u8 h[BLK_HDR], status = S_UNSUPP;

    s->left = 0;
    virtq_get(&s->req, 0, h, sizeof(h));
    switch (le32(h)) {
    case T_IN:
    case T_OUT:
        status = virtio_blk_move(s, le32(h) == T_IN, le64(h + 8));
        break;
    case T_FLUSH:
        status = S_OK;
        virtio_blk_submit(s, BLK_FLUSH, 0, 0, 0);
        break;
    case T_GET_ID:
        status = virtio_blk_id(s);
        break;
    case T_DISCARD:
    case T_WRITE_ZEROES:
        status = virtio_blk_range(s, le32(h));
        break;
    }
    if (c->under_way == before) {
        virtio_blk_end(s, status);
        virtq_notify(&c->v, 0);
    }
}

static void virtio_blk_queue(struct virtio *v, u32 q)
{
    struct virtio_blk *c = (struct virtio_blk *)v;
    u32 n = 0;

    for (; n < BLK_QUEUE && c->free; n++) {
        struct virtio_blk_slot *s = c->free;

        if (!virtq_pop(v, q, &s->req))
            return;
        if (s->req.out_len < BLK_HDR || !s->req.in_len) {
            virtio_broken(v, "a block request without header or status");
            return;
        }
        c->free = s->next;
        virtio_blk_begin(s);
    }
    if (n == BLK_QUEUE)
        virtq_again(v, q);
}

/* Requests under way use the guest's pages: they end before anything else happens. */
static void virtio_blk_settle(struct virtio *v)
{
    struct virtio_blk *c = (struct virtio_blk *)v;

    while (c->under_way)
        domain_wait(v->dev.domain);
}

static const struct virtio_class virtio_blk_class = {
    .type = 2,
    .legacy_id = 0x1001,
    .pci_class = 0x010000,
    .queues = 1,
    .size = { BLK_QUEUE },
    .config_len = 60,
    .queue = virtio_blk_queue,
    .reset = virtio_blk_settle,
};

/* 5.2.4 */
static void virtio_blk_describe(struct virtio_blk *c)
{
    u8 *f = c->v.config;

    put_le64(f, blk_size(c->blk) / BLK_SECTOR);
    put_le32(f + 12, BLK_SEGMENTS);
    put_le32(f + 20, BLK_SECTOR);
    put_le32(f + 36, BLK_RANGE_MOST); /* discard: sectors, ranges, alignment */
    put_le32(f + 40, 1);
    put_le32(f + 44, 1);
    put_le32(f + 48, BLK_RANGE_MOST); /* write zeroes: sectors, ranges */
    put_le32(f + 52, 1);
}

static int virtio_blk_create(struct device *d, struct err *e)
{
    struct virtio_blk *c = (struct virtio_blk *)d;
    u64 features = BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH;

    c->blk = device_end(d, "blk");
    if (!c->blk)
        return err_set(e, -EINVAL, "a virtio disk needs a disk");
    features |= blk_readonly(c->blk) ? BLK_F_RO : BLK_F_DISCARD | BLK_F_WRITE_ZEROES;
    for (u32 i = 0; i < BLK_QUEUE; i++) {
        c->slots[i].c = c;
        c->slots[i].next = c->free;
        c->free = &c->slots[i];
    }
    virtio_blk_describe(c);
    return virtio_plug(&c->v, &virtio_blk_class, c->state.virtio, features, c->config.modern, e);
}

static void virtio_blk_reset(struct device *d, enum reset kind)
{
    (void)kind;
    virtio_reset((struct virtio *)d);
}

static void virtio_blk_pause(struct device *d)
{
    struct virtio *v = (struct virtio *)d;

    virtio_pause(v);
    domain_lock(d->domain);
    virtio_blk_settle(v);
    domain_unlock(d->domain);
}

static void virtio_blk_resume(struct device *d)
{
    virtio_resume((struct virtio *)d);
}

static int virtio_blk_check(const struct device *d, struct err *e)
{
    return virtio_check((const struct virtio *)d, e);
}

static const struct field config[] = {
    FIELD_TEXT(1, struct virtio_blk_config, serial, 0, "serial number, 20 characters"),
    FIELD(2, struct virtio_blk_config, modern, 0, "without the legacy interface"),
    FIELD_END,
};
static const struct field state[] = {
    FIELD_SUB(1, struct virtio_blk_state, virtio, 0, "transport", virtio_fields),
    FIELD_END,
};

const struct device_class device_virtio_blk = {
    .name = "virtio_blk",
    .about = "virtio disk",
    .size = sizeof(struct virtio_blk),
    .config_at = offsetof(struct virtio_blk, config),
    .config = config,
    .config_default = &(const struct virtio_blk_config){ "" },
    .config_size = sizeof(struct virtio_blk_config),
    .state_at = offsetof(struct virtio_blk, state),
    .state_size = sizeof(struct virtio_blk_state),
    .state = state,
    .create = virtio_blk_create,
    .reset = virtio_blk_reset,
    .pause = virtio_blk_pause,
    .resume = virtio_blk_resume,
    .check = virtio_blk_check,
};
