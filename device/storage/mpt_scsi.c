/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fusion-MPT: SCSI IO requests, their scatter/gather lists, and task management.  MPI 1.5,
 * chapters on the SCSI initiator and on scatter gather elements.
 *
 * A command that went well is told by its context alone; everything else by a reply frame.
 */
#include "device/storage/mpt_int.h"
#include <errno.h>

enum { SG_MAX = 1024, SEGMENT_MAX = 4096 };

/* ---- lists ---- */

/* One part of a list: the end of the request's frame, or what a chain element points to. */
struct segment {
    u8 b[SEGMENT_MAX];
    u32 len, chain; /* bytes; where its chain element stands, 0: has none */
};

static int mpt_piece(struct mpt *m, struct lun_task *t, u64 addr, u32 len, enum gmem_dir dir)
{
    int n = len ? gmem_map(mpt_ram(m), addr, len, dir, t->v + t->nv, LUN_PIECES - t->nv) : 0;

    if (n < 0)
        return n;
    t->nv += n;
    t->room += len;
    return 0;
}

static u64 element_address(const u8 *p, u8 flags)
{
    return flags & MPT_SGE_64 ? le64(p + 4) : le32(p + 4);
}

/* The simple elements of a segment; 1: the list goes on in its chain. */
static int mpt_segment(struct mpt *m, struct lun_task *t, const struct segment *g, u64 *left,
                       u32 *count, enum gmem_dir dir)
{
    u32 end = g->chain ? g->chain : g->len;

    for (u32 at = 0; *left;) {
        const u8 *p = g->b + at;
        u8 flags;
        u32 part, size;
        int r;

        if (g->chain && at == end)
            return 1;
        if (end - at < 8 || ++*count > SG_MAX)
            return -E2BIG;
        flags = p[3];
        size = flags & MPT_SGE_64 ? 12 : 8;
        if ((flags & MPT_SGE_KIND) != MPT_SGE_SIMPLE || end - at < size)
            return -EINVAL;
        part = (u32)min_u64(le32(p) & 0xffffff, *left);
        r = mpt_piece(m, t, element_address(p, flags), part, dir);
        if (r)
            return r;
        *left -= part;
        at += size;
        if (flags & MPT_SGE_END_OF_LIST)
            return 0;
        if (flags & MPT_SGE_LAST && g->chain)
            return 1;
    }
    return 0;
}

/* Reads what the chain element of g points to, over g. */
static int mpt_follow(struct mpt *m, struct segment *g)
{
    const u8 *p = g->b + g->chain;
    u32 len, next;
    u64 at;

    if (g->len - g->chain < 8 || (p[3] & MPT_SGE_KIND) != MPT_SGE_CHAIN ||
        (p[3] & MPT_SGE_64 && g->len - g->chain < 12))
        return -EINVAL;
    len = le16(p);
    next = p[2] * 4u;
    at = element_address(p, p[3]);
    if (len > SEGMENT_MAX || next >= len)
        return -EINVAL;
    if (gmem_read(mpt_ram(m), at, g->b, len))
        return -EFAULT;
    g->len = len;
    g->chain = next;
    return 0;
}

static int mpt_list(struct mpt *m, struct lun_task *t, const u8 *frame, u64 left, enum gmem_dir dir)
{
    u32 first = sizeof(struct mpt_scsi_io), chain = frame[2] * 4u, count = 0;
    struct segment g = { .len = MPT_FRAME - first };
    int r;

    if (chain && (chain < first || chain >= MPT_FRAME))
        return -EINVAL;
    g.chain = chain ? chain - first : 0;
    memcpy(g.b, frame + first, g.len);
    if (chain && !g.chain)
        r = 1; /* nothing but the chain */
    else
        r = mpt_segment(m, t, &g, &left, &count, dir);
    while (r == 1) {
        r = ++count > SG_MAX ? -E2BIG : mpt_follow(m, &g);
        if (!r)
            r = mpt_segment(m, t, &g, &left, &count, dir);
    }
    return r;
}

static int mpt_map(struct lun_task *t, enum gmem_dir dir)
{
    struct mpt *m = (struct mpt *)t->dev;
    const u8 *frame = ((struct mpt_request *)t)->frame;
    const struct mpt_scsi_io *w = (const struct mpt_scsi_io *)frame;
    u32 want = dir == GMEM_WRITE ? MPT_CONTROL_READ : MPT_CONTROL_WRITE;
    int r;

    if ((w->control & MPT_CONTROL_DIRECTION) != want)
        return 0; /* no room at all */
    r = w->data_len > MPT_DATA_MAX ? -E2BIG : mpt_list(m, t, frame, w->data_len, dir);
    if (r) {
        gmem_unmap(mpt_ram(m), t->v, t->nv, 0);
        t->nv = 0;
        guest_error(&m->dev, "data of a request: %s",
                    r == -EFAULT  ? "an address that is not RAM"
                    : r == -E2BIG ? "too many pieces"
                                  : "an element that cannot be");
    }
    return r;
}

/* ---- commands ---- */

static void mpt_scsi_sense(struct mpt *m, const struct mpt_request *r, struct mpt_scsi_reply *a)
{
    const struct mpt_scsi_io *w = (const struct mpt_scsi_io *)r->frame;
    u64 at = (u64)m->state.sense_high << 32 | w->sense_addr;
    u32 n = w->sense_len < SCSI_SENSE ? w->sense_len : SCSI_SENSE;

    if (n && mpt_write(m, at, r->task.c.sense, n)) {
        a->scsi_state = MPT_STATE_SENSE;
        a->sense = n;
    } else {
        a->scsi_state = MPT_STATE_NO_SENSE;
    }
}

/* The answer to a command that has run, or which was given up. */
static void mpt_scsi_answer(struct mpt *m, struct mpt_request *r)
{
    const struct mpt_scsi_io *w = (const struct mpt_scsi_io *)r->frame;
    const struct lun_task *t = &r->task;
    struct mpt_scsi_reply a = { .status = r->status, .tag = 0xffff };

    r->busy = false;
    if (!a.status && t->fault)
        a.status = MPT_BAD_LIST;
    if (!a.status) {
        bool read_or_write = w->control & MPT_CONTROL_DIRECTION;

        a.moved = (u32)t->moved;
        a.scsi_status = t->c.status;
        if (read_or_write && a.moved < w->data_len)
            a.status = MPT_SCSI_UNDERRUN;
        if (!a.status && !a.scsi_status) {
            mpt_post(m, w->context);
            return;
        }
        if (a.scsi_status == SCSI_CHECK)
            mpt_scsi_sense(m, r, &a);
    } else {
        a.scsi_state = MPT_STATE_NO_STATUS;
        if (a.status == MPT_SCSI_TERMINATED)
            a.scsi_state |= MPT_STATE_TERMINATED;
    }
    memcpy(&a.head, w, sizeof(a.head));
    a.head.chain = sizeof(a) / 4;
    mpt_post_reply(m, &a, sizeof(a));
}

/* On the lane, domain held. */
static void mpt_task_done(struct lun_task *t)
{
    struct mpt *m = (struct mpt *)t->dev;

    mpt_scsi_answer(m, (struct mpt_request *)t);
    mpt_finished(m);
}

void mpt_scsi(struct mpt *m, struct mpt_request *r)
{
    const struct mpt_scsi_io *w = (const struct mpt_scsi_io *)r->frame;
    struct lun_task *t = &r->task;

    r->busy = true;
    r->status = MPT_OK;
    r->target = w->target;
    t->fault = 0;
    if (w->bus)
        r->status = MPT_SCSI_BAD_BUS;
    else if (w->target >= MPT_TARGETS)
        r->status = MPT_SCSI_BAD_TARGET;
    else if (!(m->present >> w->target & 1))
        r->status = MPT_SCSI_NO_DEVICE;
    else if (!w->cdb_len || w->cdb_len > sizeof(w->cdb))
        r->status = MPT_BAD_FIELD;
    if (r->status) {
        mpt_scsi_answer(m, r);
        return;
    }
    t->dev = &m->dev;
    t->lun = &m->lun[w->target];
    t->map = mpt_map;
    t->done = mpt_task_done;
    memcpy(t->c.cdb, w->cdb, sizeof(t->c.cdb));
    t->c.cdb_len = w->cdb_len;
    t->c.lun = (u32)(w->lun[0] & 0x3f) << 8 | w->lun[1]; /* SAM-5 4.6.7: peripheral or flat */
    if (lun_run(t))
        mpt_scsi_answer(m, r);
    else
        m->under_way++;
}

/* ---- task management ---- */

static bool manages_all_of_target(u8 type)
{
    return type == MPT_TARGET_RESET || type == MPT_LUN_RESET || type == MPT_ABORT_TASK_SET ||
           type == MPT_CLEAR_TASK_SET;
}

/* Is r, which came before, one that the message is about? */
static bool manages(const struct mpt_request *by, const struct mpt_request *r)
{
    const struct mpt_task_management *w = (const struct mpt_task_management *)by->frame;
    const struct mpt_scsi_io *io = (const struct mpt_scsi_io *)r->frame;

    if (!r->busy || r->manages || r->order > by->order)
        return false;
    if (w->head.d == MPT_BUS_RESET)
        return true;
    if (r->target != w->head.a)
        return false;
    return manages_all_of_target(w->head.d) ||
           (w->head.d == MPT_ABORT_TASK && io->context == w->task);
}

static void mpt_manage_answer(struct mpt *m, struct mpt_request *r, u16 status, u8 code)
{
    const struct mpt_task_management *w = (const struct mpt_task_management *)r->frame;
    struct mpt_task_reply a = { .reply.head = w->head, .reply.status = status };

    r->busy = r->manages = false;
    a.reply.head.chain = sizeof(a) / 4;
    a.reply.head.c = code;
    a.terminated = r->terminated;
    mpt_post_reply(m, &a, sizeof(a));
}

/* What the message was about has ended. */
static void mpt_manage_done(struct mpt *m, struct mpt_request *r)
{
    const struct mpt_task_management *w = (const struct mpt_task_management *)r->frame;

    for (u32 i = 0; i < MPT_TARGETS; i++)
        if (w->head.d == MPT_BUS_RESET ||
            (i == w->head.a && (w->head.d == MPT_TARGET_RESET || w->head.d == MPT_LUN_RESET)))
            scsi_reset(&m->state.unit[i], SCSI_ASC_RESET);
    mpt_manage_answer(m, r, MPT_OK, MPT_TASK_COMPLETE);
}

void mpt_manage_progress(struct mpt *m)
{
    for (u32 i = 0; i < MPT_REQUESTS + MPT_MANAGERS && m->managers; i++) {
        struct mpt_request *by = &m->request[i];
        bool waits = false;

        for (u32 k = 0; by->manages && k < MPT_REQUESTS && !waits; k++)
            waits = manages(by, &m->request[k]);
        if (!by->manages || waits)
            continue;
        m->managers--;
        mpt_manage_done(m, by);
    }
}

void mpt_manage(struct mpt *m, struct mpt_request *r)
{
    const struct mpt_task_management *w = (const struct mpt_task_management *)r->frame;
    bool found = false;

    r->busy = true;
    r->terminated = 0;
    if (w->head.d != MPT_BUS_RESET &&
        (w->head.b || w->head.a >= MPT_TARGETS || !(m->present >> w->head.a & 1))) {
        mpt_manage_answer(m, r, w->head.b ? MPT_SCSI_BAD_BUS : MPT_SCSI_NO_DEVICE,
                          MPT_TASK_COMPLETE);
        return;
    }
    if (w->head.d == MPT_QUERY_TASK) {
        for (u32 i = 0; i < MPT_REQUESTS && !found; i++)
            found = m->request[i].busy && !m->request[i].manages &&
                    m->request[i].target == w->head.a &&
                    ((const struct mpt_scsi_io *)m->request[i].frame)->context == w->task;
        mpt_manage_answer(m, r, MPT_OK, found ? MPT_TASK_SUCCEEDED : MPT_TASK_COMPLETE);
        return;
    }
    if (w->head.d != MPT_BUS_RESET && w->head.d != MPT_ABORT_TASK &&
        !manages_all_of_target(w->head.d)) {
        mpt_manage_answer(m, r, MPT_BAD_FIELD, MPT_TASK_UNSUPPORTED);
        return;
    }
    r->manages = true;
    m->managers++;
    for (u32 i = 0; i < MPT_REQUESTS; i++)
        if (manages(r, &m->request[i])) {
            m->request[i].status = MPT_SCSI_TERMINATED; /* told when its memory is free */
            r->terminated++;
        }
    mpt_manage_progress(m);
}
