/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fusion-MPT: the messages by which a driver learns what the adapter is and switches it on.
 * MPI 1.5, chapters on IOC and port messages.
 */
#include "device/storage/mpt_int.h"

enum { MPT_VERSION = 0x0105, MPT_FIRMWARE = 0x01032920, MPT_DEPTH = 256, MPT_CHAINS = 34 };

static void mpt_tell(struct mpt *m, enum mpt_through through, const void *reply, u32 n)
{
    if (through == MPT_BY_DOORBELL)
        mpt_answer(m, reply, n);
    else
        mpt_post_reply(m, reply, n);
}

/* What every reply begins with: the request's own words, and its length. */
static void mpt_reply_init(struct mpt_reply *r, const u8 *frame, u32 n, u16 status)
{
    memcpy(&r->head, frame, sizeof(r->head));
    r->head.chain = (u8)(n / 4);
    r->status = status;
}

static void mpt_ioc_facts(struct mpt *m, const u8 *frame, enum mpt_through through)
{
    const struct mpt_state *s = &m->state;
    struct mpt_ioc_facts f = {
        .chain_depth = MPT_CHAINS,
        .who = (u8)s->who,
        .block = 16, /* dwords */
        .reply_depth = MPT_DEPTH,
        .frame_dwords = MPT_FRAME / 4,
        .product = m->kind->product,
        .frames_high = s->frames_high,
        .credits = MPT_REQUESTS,
        .ports = 1,
        .events = s->events,
        .sense_high = s->sense_high,
        .reply_size = (u16)s->reply_size,
        .devices = MPT_TARGETS,
        .buses = 1,
        .capabilities = MPT_CAPABILITY_PRIORITY,
        .firmware = MPT_FIRMWARE,
        .priority_depth = MPT_MANAGERS,
    };

    mpt_reply_init(&f.reply, frame, sizeof(f), MPT_OK);
    f.reply.head.a = MPT_VERSION & 0xff;
    f.reply.head.b = MPT_VERSION >> 8;
    f.reply.head.c = f.reply.head.d = f.reply.head.e = 0;
    mpt_tell(m, through, &f, sizeof(f));
}

static void mpt_port_facts(struct mpt *m, const u8 *frame, enum mpt_through through)
{
    struct mpt_port_facts f = { 0 };

    mpt_reply_init(&f.reply, frame, sizeof(f), MPT_OK);
    if (f.reply.head.e)
        f.reply.status = MPT_BAD_FIELD; /* there is one port */
    f.type = m->kind->port_type;
    f.devices = MPT_TARGETS;
    f.own_id = m->kind->own_id;
    f.protocol = MPT_PROTOCOL_INITIATOR;
    mpt_tell(m, through, &f, sizeof(f));
}

static u16 mpt_ioc_init(struct mpt *m, const u8 *frame)
{
    const struct mpt_ioc_init *w = (const struct mpt_ioc_init *)frame;
    struct mpt_state *s = &m->state;

    if (s->ioc != MPT_IOC_READY)
        return MPT_BAD_STATE;
    s->ioc = MPT_IOC_OPERATIONAL;
    s->who = w->head.a;
    s->devices = w->head.d;
    s->buses = w->head.e;
    s->reply_size = w->reply_size;
    s->frames_high = w->frames_high;
    s->sense_high = w->sense_high;
    return MPT_OK;
}

static void mpt_events(struct mpt *m, const u8 *frame, enum mpt_through through)
{
    struct mpt_event a = { .event = MPT_EVENT_CHANGE };

    mpt_reply_init(&a.reply, frame, sizeof(a), MPT_OK);
    m->state.events = frame[0];
    a.data = m->state.events;
    a.reply.head.a = 1; /* one dword of data */
    a.reply.head.b = a.reply.head.e = 0;
    mpt_tell(m, through, &a, sizeof(a));
}

static void mpt_plain(struct mpt *m, const u8 *frame, enum mpt_through through, u16 status)
{
    struct mpt_reply a = { 0 };

    mpt_reply_init(&a, frame, sizeof(a), status);
    mpt_tell(m, through, &a, sizeof(a));
}

void mpt_message(struct mpt *m, const u8 *frame, enum mpt_through through)
{
    u8 function = ((const struct mpt_head *)frame)->function;
    struct mpt_config_reply c = { 0 };

    switch (function) { /* these at any time */
    case MPT_IOC_FACTS:
        mpt_ioc_facts(m, frame, through);
        return;
    case MPT_PORT_FACTS:
        mpt_port_facts(m, frame, through);
        return;
    case MPT_IOC_INIT:
        mpt_plain(m, frame, through, mpt_ioc_init(m, frame));
        return;
    }
    if (m->state.ioc != MPT_IOC_OPERATIONAL) {
        mpt_plain(m, frame, through, MPT_BAD_STATE);
        return;
    }
    switch (function) {
    case MPT_CONFIG:
        mpt_reply_init(&c.reply, frame, sizeof(c), MPT_OK);
        mpt_configure(m, frame, &c);
        mpt_tell(m, through, &c, sizeof(c));
        return;
    case MPT_EVENTS:
        mpt_events(m, frame, through);
        return;
    case MPT_PORT_ENABLE:
    case MPT_EVENT_ACK:
    case MPT_SAS_CONTROL: /* there are no mappings to forget, no links to reset */
        mpt_plain(m, frame, through, MPT_OK);
        return;
    default:
        mpt_plain(m, frame, through, MPT_BAD_FUNCTION);
    }
}
