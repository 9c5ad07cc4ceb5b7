/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BusLogic: outgoing mailboxes are taken, their CCBs carried out, and told in incoming ones, as
 * the MultiMaster technical reference describes them.  An incoming mailbox that the guest has not
 * emptied stops the deliveries until it has.
 */
#include "device/storage/buslogic_int.h"
#include <errno.h>

static struct gmem *ram(struct buslogic *b)
{
    return machine_ram(b->dev.machine);
}

static bool buslogic_put(struct buslogic *b, u64 gpa, const void *from, u32 n)
{
    if (!gmem_write(ram(b), gpa, from, n))
        return true;
    guest_error(&b->dev, "cannot write %u bytes at 0x%llx", n, (unsigned long long)gpa);
    return false;
}

/* ---- incoming ---- */

static void buslogic_deliver(struct buslogic *b)
{
    struct buslogic_state *s = &b->state;
    bool any = false;

    while (s->ndone && s->count) {
        const struct buslogic_done *d = &s->done[s->first_done];
        u64 at = s->mailboxes + BL_MAILBOX * ((u64)s->count + s->next_in);
        u8 box[BL_MAILBOX];

        if (gmem_read(ram(b), at, box, sizeof(box))) {
            guest_error(&b->dev, "the incoming mailboxes are not in RAM");
            break;
        }
        if (box[7] != BL_FREE)
            break;
        put_le32(box, d->ccb);
        box[4] = d->adapter_status;
        box[5] = d->scsi_status;
        box[6] = 0;
        box[7] = d->outcome;
        buslogic_put(b, at, box, sizeof(box));
        s->next_in = (s->next_in + 1) % s->count;
        s->first_done = (s->first_done + 1) % BL_DONE;
        s->ndone--;
        any = true;
    }
    if (any)
        buslogic_interrupt(b, BL_INBOX);
}

static void buslogic_tell(struct buslogic *b, u32 ccb, u8 adapter, u8 scsi, enum bl_outcome outcome)
{
    struct buslogic_state *s = &b->state;

    if (!s->count || s->ndone == BL_DONE)
        return; /* a reset came in between */
    s->done[(s->first_done + s->ndone) % BL_DONE] = (struct buslogic_done){
        .ccb = ccb, .adapter_status = adapter, .scsi_status = scsi, .outcome = (u8)outcome
    };
    s->ndone++;
    buslogic_deliver(b);
}

/* ---- data ---- */

static int buslogic_piece(struct buslogic *b, struct lun_task *t, u32 at, u32 len,
                          enum gmem_dir dir)
{
    int n = len ? gmem_map(ram(b), at, len, dir, t->v + t->nv, LUN_PIECES - t->nv) : 0;

    if (n < 0)
        return n;
    t->nv += n;
    t->room += len;
    return 0;
}

static int buslogic_list(struct buslogic *b, struct lun_task *t, u64 at, u32 bytes,
                         enum gmem_dir dir)
{
    u8 element[8];
    int r = bytes / sizeof(element) > BL_SG_MAX ? -E2BIG : 0;

    for (u32 i = 0; i < bytes / sizeof(element) && !r; i++, at += sizeof(element)) {
        r = gmem_read(ram(b), at, element, sizeof(element));
        if (!r && t->room + le32(element) > BL_DATA_MAX)
            r = -E2BIG;
        if (!r)
            r = buslogic_piece(b, t, le32(element + 4), le32(element), dir);
    }
    return r;
}

static int buslogic_map(struct lun_task *t, enum gmem_dir dir)
{
    struct buslogic *b = (struct buslogic *)t->dev;
    const struct bl_ccb *c = &((struct buslogic_request *)t)->c;
    u32 says = c->direction >> 3 & 3;
    int r;

    if (says == BL_NO_DATA || says == (dir == GMEM_WRITE ? BL_DATA_TO_DEVICE : BL_DATA_TO_HOST))
        return 0; /* no room at all */
    if (c->op == BL_OP_SG || c->op == BL_OP_SG_RESIDUAL)
        r = buslogic_list(b, t, c->data, c->data_len, dir);
    else
        r = c->data_len > BL_DATA_MAX ? -E2BIG : buslogic_piece(b, t, c->data, c->data_len, dir);
    if (r) {
        gmem_unmap(ram(b), t->v, t->nv, 0);
        t->nv = 0;
        guest_error(&b->dev, "data of a CCB: %s",
                    r == -EFAULT ? "an address that is not RAM" : "too many pieces");
    }
    return r;
}

/* ---- commands ---- */

static bool buslogic_sense(struct buslogic *b, const struct buslogic_request *r)
{
    u32 n = r->c.sense_len ? r->c.sense_len : 14;

    if (n == 1) /* automatic sense is off */
        return true;
    return buslogic_put(b, r->c.sense, r->task.c.sense, n < SCSI_SENSE ? n : SCSI_SENSE);
}

/* The room that a command had, when it has run: what its residual is counted from. */
static u32 buslogic_residual(const struct buslogic_request *r)
{
    u64 room = r->c.op == BL_OP_RESIDUAL ? r->c.data_len : r->task.room;

    return room > r->task.moved ? (u32)(room - r->task.moved) : 0;
}

/* The answer to a CCB that has run, or which was given up. */
static void buslogic_answer(struct buslogic *b, struct buslogic_request *r)
{
    const struct lun_task *t = &r->task;
    u8 adapter = r->status, scsi = 0, left[4];
    enum bl_outcome outcome;

    r->busy = false;
    if (!b->state.count)
        return; /* a reset came in between: the guest's memory is its own again */
    if (!adapter && t->fault)
        adapter = BL_BAD_PARAMETER;
    if (!adapter) {
        scsi = t->c.status;
        if (scsi == SCSI_CHECK && !buslogic_sense(b, r))
            adapter = BL_NO_SENSE;
        if (r->c.op == BL_OP_RESIDUAL || r->c.op == BL_OP_SG_RESIDUAL) {
            put_le32(left, buslogic_residual(r));
            buslogic_put(b, r->at + offsetof(struct bl_ccb, data_len), left, sizeof(left));
        }
    }
    buslogic_put(b, r->at + offsetof(struct bl_ccb, adapter_status), (const u8[]){ adapter, scsi },
                 2);
    outcome = adapter == BL_QUEUE_ABORTED ? BL_ABORTED : adapter || scsi ? BL_FAILED : BL_GOOD;
    buslogic_tell(b, r->at, adapter, scsi, outcome);
}

/* Resets of devices end when the commands that came before them have. */
static void buslogic_progress(struct buslogic *b)
{
    for (u32 i = 0; i < BL_REQUESTS && b->resets; i++) {
        struct buslogic_request *by = &b->request[i];
        bool waits = false;

        for (u32 k = 0; by->resets && k < BL_REQUESTS && !waits; k++) {
            const struct buslogic_request *r = &b->request[k];

            waits = r->busy && !r->resets && r->order < by->order && r->c.target == by->c.target;
        }
        if (!by->resets || waits)
            continue;
        by->resets = false;
        b->resets--;
        scsi_reset(&b->state.unit[by->c.target], SCSI_ASC_RESET);
        by->task.c.status = SCSI_GOOD;
        buslogic_answer(b, by);
    }
}

/* On the lane, domain held. */
static void buslogic_task_done(struct lun_task *t)
{
    struct buslogic *b = (struct buslogic *)t->dev;

    b->under_way--;
    buslogic_answer(b, (struct buslogic_request *)t);
    buslogic_progress(b);
    domain_wake(b->dev.domain);
    bell_ring(b->bell); /* mailboxes may wait for room */
}

static void buslogic_reset_device(struct buslogic *b, struct buslogic_request *r)
{
    for (u32 i = 0; i < BL_REQUESTS; i++)
        if (b->request[i].busy && b->request[i].c.target == r->c.target && &b->request[i] != r)
            b->request[i].status = BL_DEVICE_RESET; /* told when its memory is free */
    r->resets = true;
    b->resets++;
    buslogic_progress(b);
}

static u8 buslogic_refusal(const struct buslogic *b, const struct bl_ccb *c)
{
    if (c->op != BL_OP_RESET && c->op != BL_OP && (c->op < BL_OP_SG || c->op > BL_OP_SG_RESIDUAL))
        return BL_BAD_OP;
    if (c->target >= BL_TARGETS_MAX || !(b->present >> c->target & 1))
        return BL_NO_DEVICE;
    if (c->op != BL_OP_RESET && (!c->cdb_len || c->cdb_len > sizeof(c->cdb)))
        return BL_BAD_PARAMETER;
    return BL_OK;
}

static void buslogic_start(struct buslogic *b, struct buslogic_request *r, u32 at)
{
    struct lun_task *t = &r->task;

    if (gmem_read(ram(b), at, &r->c, sizeof(r->c))) {
        guest_error(&b->dev, "a CCB that is not in RAM");
        buslogic_tell(b, at, BL_BAD_PARAMETER, 0, BL_FAILED);
        return;
    }
    r->busy = true;
    r->at = at;
    r->order = ++b->orders;
    r->status = buslogic_refusal(b, &r->c);
    t->fault = 0;
    t->moved = t->room = 0;
    if (r->status) {
        buslogic_answer(b, r);
        return;
    }
    if (r->c.op == BL_OP_RESET) {
        buslogic_reset_device(b, r);
        return;
    }
    t->dev = &b->dev;
    t->lun = &b->lun[r->c.target];
    t->map = buslogic_map;
    t->done = buslogic_task_done;
    memset(t->c.cdb, 0, sizeof(t->c.cdb));
    memcpy(t->c.cdb, r->c.cdb, sizeof(r->c.cdb));
    t->c.cdb_len = r->c.cdb_len;
    t->c.lun = r->c.lun & (b->state.wide_luns ? 0x3f : 0x1f);
    if (lun_run(t))
        buslogic_answer(b, r);
    else
        b->under_way++;
}

static void buslogic_abort(struct buslogic *b, u32 at)
{
    for (u32 i = 0; i < BL_REQUESTS; i++)
        if (b->request[i].busy && b->request[i].at == at) {
            b->request[i].status = BL_QUEUE_ABORTED;
            return;
        }
    buslogic_tell(b, at, BL_OK, 0, BL_NOT_FOUND);
}

/* ---- outgoing ---- */

static struct buslogic_request *buslogic_room(struct buslogic *b)
{
    if (b->state.ndone > BL_DONE - BL_REQUESTS - 1)
        return NULL; /* the guest does not empty its incoming mailboxes */
    for (u32 i = 0; i < BL_REQUESTS; i++)
        if (!b->request[i].busy)
            return &b->request[i];
    return NULL;
}

/* Takes the mailbox; false: it is free, or cannot be taken now. */
static bool buslogic_take(struct buslogic *b, u32 index)
{
    u64 at = b->state.mailboxes + (u64)BL_MAILBOX * index;
    struct buslogic_request *r = buslogic_room(b);
    u8 box[BL_MAILBOX], action;

    if (!r)
        return false;
    if (gmem_read(ram(b), at, box, sizeof(box))) {
        guest_error(&b->dev, "the outgoing mailboxes are not in RAM");
        return false;
    }
    action = box[7];
    if (action == BL_FREE)
        return false;
    box[7] = BL_FREE;
    buslogic_put(b, at + 7, box + 7, 1);
    if (action == BL_START)
        buslogic_start(b, r, le32(box));
    else if (action == BL_ABORT)
        buslogic_abort(b, le32(box));
    else
        buslogic_tell(b, le32(box), BL_BAD_ACTION, 0, BL_FAILED);
    if (b->state.tell_outbox)
        buslogic_interrupt(b, BL_OUTBOX);
    return true;
}

/*
 * Strict: the next mailbox and no other; else whichever is full.  Whether it is a bus master is not
 * asked: drivers leave that to the BIOS on the real card.
 */
void buslogic_mail(struct buslogic *b)
{
    struct buslogic_state *s = &b->state;

    buslogic_deliver(b);
    for (u32 empty = 0; s->count && empty < (s->strict ? 1 : s->count);) {
        bool taken = buslogic_take(b, s->next_out);

        empty = taken ? 0 : empty + 1;
        if (s->count && (taken || !s->strict))
            s->next_out = (s->next_out + 1) % s->count;
    }
}
