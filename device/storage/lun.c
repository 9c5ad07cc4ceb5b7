/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carries out what a SCSI command came to mean (bus/scsi.h) on a disk: one or more requests to
 * the block backend, one after the other.
 */
#include "device/storage/lun.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

void lun_init(struct lun *l, enum scsi_kind kind, struct blk *blk, struct scsi_state *state,
              const char *vendor, const char *product, const char *revision)
{
    struct scsi_unit *u = &l->unit;

    *l = (struct lun){ .state = state, .blk = blk };
    u->kind = kind;
    u->medium = blk;
    u->readonly = kind == SCSI_CDROM || !blk || blk_readonly(blk);
    u->block = kind == SCSI_CDROM ? 2048 : 512;
    u->blocks = blk ? blk_size(blk) / u->block : 0;
    snprintf(u->vendor, sizeof(u->vendor), "%-8.8s", vendor);
    snprintf(u->product, sizeof(u->product), "%-16.16s", product);
    snprintf(u->revision, sizeof(u->revision), "%-4.4s", revision);
}

static bool lun_map(struct lun_task *t, enum gmem_dir dir)
{
    t->nv = 0;
    t->room = 0;
    t->dir = dir;
    t->fault = t->map(t, dir);
    t->mapped = !t->fault;
    return t->mapped;
}

/* Copies between the front of the initiator's memory and our own; what fits. */
static u64 lun_copy(struct lun_task *t, u8 *p, u64 n)
{
    u64 left = n < t->room ? n : t->room, all = left;

    for (int i = 0; i < t->nv && left; i++) {
        u64 part = min_u64(left, t->v[i].iov_len);

        if (t->dir == GMEM_WRITE)
            memcpy(t->v[i].iov_base, p, part);
        else
            memcpy(p, t->v[i].iov_base, part);
        p += part;
        left -= part;
    }
    return all;
}

/* Cuts the initiator's memory to whole blocks of the transfer. */
static void lun_cut(struct lun_task *t)
{
    u64 n = min_u64(t->c.len, t->room), left;

    n -= n % t->lun->unit.block;
    t->c.len = left = n;
    for (int i = 0; i < t->nv; i++) {
        if (t->v[i].iov_len > left)
            t->v[i].iov_len = left;
        left -= t->v[i].iov_len;
    }
}

/* The next request of a command in `req`; false: nothing is left to do. */
static bool lun_next(struct lun_task *t)
{
    struct scsi_command *c = &t->c;
    struct blk_req *r = &t->req;

    r->v = t->v;
    r->n = 0;
    r->off = r->len = 0;
    switch (c->todo) {
    case SCSI_READ:
    case SCSI_WRITE:
        if (t->step++ || !c->len)
            break;
        r->op = c->todo == SCSI_READ ? BLK_READ : BLK_WRITE;
        r->off = c->off;
        r->len = c->len;
        r->n = t->nv;
        return true;
    case SCSI_FILL:
        if (t->at == c->len)
            break;
        r->op = BLK_WRITE;
        r->off = c->off + t->at;
        for (; r->n < LUN_PIECES && t->at < c->len; r->n++) {
            t->v[r->n] = (struct iovec){ c->data, t->lun->unit.block };
            t->at += t->lun->unit.block;
            r->len += t->lun->unit.block;
        }
        return true;
    case SCSI_TRIM:
        if (t->step == c->ntrim)
            return false;
        r->op = BLK_TRIM;
        r->off = c->trim[t->step].off;
        r->len = c->trim[t->step].len;
        t->step++;
        return true;
    case SCSI_FLUSH:
        c->flush = true;
        break;
    case SCSI_REPLY:
        return false;
    }
    if (!c->flush || t->flushed)
        return false;
    t->flushed = true;
    r->op = BLK_FLUSH;
    return true;
}

static void lun_unmap(struct lun_task *t)
{
    if (t->mapped)
        gmem_unmap(machine_ram(t->dev->machine), t->v, t->nv,
                   t->dir == GMEM_WRITE ? (u32)t->moved : 0);
    t->mapped = false;
}

/* On the lane. */
static void lun_request_done(struct blk_req *r, int result)
{
    struct lun_task *t = r->arg;
    struct domain *domain = t->dev->domain;

    domain_lock(domain);
    if (!result && lun_next(t)) {
        domain_unlock(domain);
        blk_submit(t->lun->blk, r);
        return;
    }
    if (!result && (t->c.todo == SCSI_READ || t->c.todo == SCSI_WRITE))
        t->moved = t->c.len;
    lun_unmap(t);
    scsi_result(t->lun->state, &t->c, result);
    t->done(t);
    domain_unlock(domain);
}

/* The data that the command needs of the initiator before it can be understood. */
static bool lun_parameters(struct lun_task *t)
{
    if (!lun_map(t, GMEM_READ))
        return false;
    t->moved = lun_copy(t, t->c.data, t->c.want);
    lun_unmap(t);
    scsi_parameters(&t->lun->unit, t->lun->state, &t->c, (u32)t->moved);
    return true;
}

bool lun_run(struct lun_task *t)
{
    struct scsi_command *c = &t->c;

    t->moved = t->at = 0;
    t->fault = 0;
    t->step = 0;
    t->flushed = t->mapped = false;
    scsi_start(&t->lun->unit, t->lun->state, c);
    if (c->want && !lun_parameters(t))
        return true;
    if (c->todo == SCSI_REPLY && c->n) {
        if (!lun_map(t, GMEM_WRITE))
            return true;
        t->moved = lun_copy(t, c->data, c->n);
        lun_unmap(t);
    }
    if (c->todo == SCSI_READ || c->todo == SCSI_WRITE) {
        if (!lun_map(t, c->todo == SCSI_READ ? GMEM_WRITE : GMEM_READ))
            return true;
        lun_cut(t);
    }
    t->req.done = lun_request_done;
    t->req.arg = t;
    if (!t->lun->blk || !lun_next(t)) {
        lun_unmap(t);
        return true;
    }
    blk_submit(t->lun->blk, &t->req);
    return false;
}
