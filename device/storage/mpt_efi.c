/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Fusion-MPT adapters (LSI 53C1030, SAS 1068) as EFI's driver in their expansion ROM uses them
 * (efi_scsi.h), after the Message Passing Interface 1.5: switched on through the doorbell, then one
 * request frame, a few reply frames, and the two queues.
 *
 * Left out: targets above 15, recovery of an adapter that has a fault.
 */
#include "device/storage/efi_scsi.h"
#include "device/storage/mpt_wire.h"

/* The page: a request, replies, sense. */
enum { REPLIES_AT = 512, REPLY = 128, REPLIES = 8, SENSE_AT = 2048 };
enum { TARGETS = 16, HALVES_MAX = 128, WHO_ROM = 2, SGE_END_OF_BUFFER = 0x40 };

const u32 adapter_targets = TARGETS, adapter_pages = 1, adapter_bar = 1;
const u32 adapter_most = 8 << 20; /* of one element; it could be 16 MiB - 1 */

int adapter_is(u32 id)
{
    return id == ((u32)MPT_DEVICE_1030 << 16 | MPT_VENDOR) ||
           id == ((u32)MPT_DEVICE_1068 << 16 | MPT_VENDOR);
}

/* ---- the doorbell ---- */

static int mpt_is_ioc(struct adapter *a, u32 state)
{
    return adapter_load(a, MPT_DOORBELL) >> 28 == state;
}

static int mpt_is_rung(struct adapter *a, u32 on)
{
    return (adapter_load(a, MPT_INTR_STATUS) & MPT_INTR_DOORBELL) == on;
}

static u64 mpt_until(struct adapter *a, int (*is)(struct adapter *a, u32 what), u32 what)
{
    for (u32 i = 0; !is(a, what); i++) {
        if (i == POLLS)
            return EFI_TIMEOUT;
        a->boot->stall(POLL_US);
    }
    return 0;
}

/* The next half of a reply, or the end of it. */
static u64 mpt_half(struct adapter *a, u16 *half)
{
    u64 r = mpt_until(a, mpt_is_rung, MPT_INTR_DOORBELL);

    if (r)
        return r;
    if (half)
        *half = (u16)adapter_load(a, MPT_DOORBELL);
    adapter_store(a, MPT_INTR_STATUS, 0);
    return 0;
}

/* A message of n bytes through the doorbell, and what all replies have of its reply. */
static u64 mpt_handshake(struct adapter *a, const void *message, u32 n)
{
    union {
        u16 half[HALVES_MAX];
        struct mpt_reply r;
    } reply;
    u32 halves = 2;
    u64 r;

    adapter_store(a, MPT_INTR_STATUS, 0);
    adapter_store(a, MPT_DOORBELL, (u32)MPT_HANDSHAKE << 24 | n / 4 << 16);
    r = mpt_half(a, 0);
    for (u32 i = 0; i < n / 4 && !r; i++)
        adapter_store(a, MPT_DOORBELL, ((const u32 *)message)[i]);
    for (u32 i = 0; i < halves && !r; i++) {
        r = mpt_half(a, &reply.half[i]);
        if (i == 1)
            halves = reply.r.head.chain * 2u;
        if (i == 1 && (halves < sizeof(reply.r) / 2 || halves > HALVES_MAX))
            return EFI_DEVICE_ERROR;
    }
    r = r ? r : mpt_half(a, 0);
    return r ? r : reply.r.status != MPT_OK ? EFI_DEVICE_ERROR : 0;
}

u64 adapter_begin(struct adapter *a)
{
    struct mpt_ioc_init init = {
        .head = { .a = WHO_ROM, .function = MPT_IOC_INIT, .d = TARGETS, .e = 1 },
        .reply_size = REPLY,
        .frames_high = (u32)(a->bus >> 32),
        .sense_high = (u32)(a->bus >> 32)
    };
    struct mpt_head enable = { .function = MPT_PORT_ENABLE };
    u64 r;

    adapter_store(a, MPT_INTR_MASK, MPT_INTR_DOORBELL | MPT_INTR_REPLY);
    adapter_store(a, MPT_DOORBELL, (u32)MPT_UNIT_RESET << 24);
    r = mpt_until(a, mpt_is_ioc, MPT_IOC_READY);
    r = r ? r : mpt_handshake(a, &init, sizeof(init));
    r = r ? r : mpt_until(a, mpt_is_ioc, MPT_IOC_OPERATIONAL);
    for (u32 i = 0; i < REPLIES && !r; i++)
        adapter_store(a, MPT_REPLY_QUEUE, (u32)a->bus + REPLIES_AT + REPLY * i);
    return r ? r : mpt_handshake(a, &enable, sizeof(enable));
}

void adapter_end(struct adapter *a)
{
    adapter_store(a, MPT_DOORBELL, (u32)MPT_UNIT_RESET << 24);
    mpt_until(a, mpt_is_ioc, MPT_IOC_READY);
}

/* ---- commands ---- */

static void mpt_ask(struct adapter *a, const struct adapter_request *r)
{
    int in = r->packet->direction == EFI_SCSI_IN;
    struct mpt_scsi_io *io = (struct mpt_scsi_io *)a->pages;
    u32 *sge = (u32 *)(io + 1), flags = MPT_SGE_SIMPLE | MPT_SGE_64 | SGE_END_OF_BUFFER;

    flags |= MPT_SGE_LAST | MPT_SGE_END_OF_LIST | (in ? 0 : MPT_SGE_TO_DEVICE);
    memset(io, 0, MPT_FRAME);
    io->target = r->target;
    io->cdb_len = r->packet->cdb_len;
    memcpy(io->cdb, r->packet->cdb, io->cdb_len);
    io->sense_len = SENSE_ROOM;
    io->sense_addr = (u32)a->bus + SENSE_AT;
    io->context = a->count;
    io->control = !r->len ? 0 : in ? MPT_CONTROL_READ : MPT_CONTROL_WRITE;
    io->data_len = r->len;
    sge[0] = flags << 24 | r->len;
    sge[1] = (u32)r->data;
    sge[2] = (u32)(r->data >> 32);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    adapter_store(a, MPT_REQUEST_QUEUE, (u32)a->bus);
}

/* A frame that tells more than that all went well; it is given back. */
static int mpt_is_told(struct adapter *a, u32 frame, struct mpt_scsi_reply *reply)
{
    u32 off = frame - (u32)a->bus;

    if (off < REPLIES_AT || off > REPLIES_AT + REPLY * (REPLIES - 1))
        return 0;
    memcpy(reply, a->pages + off, sizeof(*reply));
    adapter_store(a, MPT_REPLY_QUEUE, frame);
    return reply->head.function == MPT_SCSI_IO && reply->head.context == a->count;
}

/* What waits in the reply queue: 1 when it is about the request.  Others were given up before. */
static int mpt_is_done(struct adapter *a, u32 len, struct mpt_scsi_reply *reply)
{
    u32 v;

    while ((v = adapter_load(a, MPT_REPLY_QUEUE)) != MPT_NO_REPLY) {
        if (v & MPT_ADDRESS_REPLY) {
            if (mpt_is_told(a, v << 1, reply))
                return 1;
        } else if (v == a->count) {
            memset(reply, 0, sizeof(*reply));
            reply->moved = len;
            return 1;
        }
    }
    return 0;
}

u64 adapter_run(struct adapter *a, const struct adapter_request *r, struct adapter_answer *answer)
{
    struct mpt_scsi_reply reply;

    a->count = (a->count + 1) & ~MPT_ADDRESS_REPLY;
    mpt_ask(a, r);
    for (u32 i = 0; !mpt_is_done(a, r->len, &reply); i++) {
        if (i == POLLS)
            return EFI_TIMEOUT;
        a->boot->stall(POLL_US);
    }
    answer->outcome = reply.status == MPT_OK || reply.status == MPT_SCSI_UNDERRUN ? ADAPTER_DONE
                      : reply.status == MPT_SCSI_NO_DEVICE                        ? ADAPTER_NOBODY
                                                                                  : ADAPTER_FAILED;
    answer->status = reply.scsi_status;
    answer->moved = reply.moved;
    answer->sense = a->pages + SENSE_AT;
    answer->sense_len = reply.scsi_state & MPT_STATE_SENSE ? reply.sense : 0;
    return 0;
}
