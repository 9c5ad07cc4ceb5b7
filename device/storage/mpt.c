/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LSI Logic's Fusion-MPT adapters, after the Fusion-MPT Message Passing Interface 1.5: the
 * doorbell with its handshake, the request and reply queues, interrupts, resets.
 *
 * Writes to a queue ring a bell; the lane takes the messages.  Resets wait until nothing touches
 * the guest any more.  Left out: firmware upload and download, diagnostic memory, target mode,
 * RAID volumes.
 */
#include "device/storage/mpt_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { MPT_KEY = 6 };

static bool mpt_line(const struct mpt *m)
{
    return m->state.intr_status & ~m->state.intr_mask & (MPT_INTR_DOORBELL | MPT_INTR_REPLY);
}

static void mpt_interrupt(struct mpt *m)
{
    bool on = mpt_line(m);

    if (on && !m->line && pci_message(&m->dev))
        pci_raise(&m->dev, 0);
    m->line = on;
    pci_level(&m->dev, on);
}

bool mpt_write(struct mpt *m, u64 gpa, const void *from, u32 n)
{
    if (!gmem_write(mpt_ram(m), gpa, from, n))
        return true;
    guest_error(&m->dev, "cannot write %u bytes at 0x%llx", n, (unsigned long long)gpa);
    return false;
}

void mpt_fault(struct mpt *m, u32 code, const char *why)
{
    guest_error(&m->dev, "%s: it waits for a reset", why);
    m->state.ioc = MPT_IOC_FAULT;
    m->state.fault = code;
}

/* ---- queues ---- */

static bool queue_push(struct mpt_queue *q, u32 v)
{
    if ((q->tail + 1) % MPT_QUEUE == q->head)
        return false;
    q->at[q->tail] = v;
    q->tail = (q->tail + 1) % MPT_QUEUE;
    return true;
}

static bool queue_pop(struct mpt_queue *q, u32 *v)
{
    if (q->head == q->tail)
        return false;
    *v = q->at[q->head];
    q->head = (q->head + 1) % MPT_QUEUE;
    return true;
}

void mpt_post(struct mpt *m, u32 what)
{
    struct mpt_state *s = &m->state;

    if (s->ioc != MPT_IOC_OPERATIONAL)
        return; /* a reset came in between */
    if (!queue_push(&s->post, what)) {
        mpt_fault(m, MPT_FAULT_QUEUE, "no room in the reply queue");
        return;
    }
    s->intr_status |= MPT_INTR_REPLY;
    mpt_interrupt(m);
}

void mpt_post_reply(struct mpt *m, const void *reply, u32 n)
{
    struct mpt_state *s = &m->state;
    u32 frame;

    if (s->ioc != MPT_IOC_OPERATIONAL)
        return;
    if (!queue_pop(&s->free, &frame)) {
        mpt_fault(m, MPT_FAULT_NO_REPLY_FRAME, "no frame for a reply");
        return;
    }
    n = n < s->reply_size ? n : s->reply_size;
    mpt_write(m, (u64)s->frames_high << 32 | frame, reply, n);
    mpt_post(m, frame >> 1 | MPT_ADDRESS_REPLY);
}

static struct mpt_request *mpt_slot(struct mpt *m, u32 from, u32 to)
{
    for (u32 i = from; i < to; i++)
        if (!m->request[i].busy)
            return &m->request[i];
    return NULL;
}

static void mpt_run(struct mpt *m, struct mpt_request *r, u32 frame)
{
    const struct mpt_head *h = (const struct mpt_head *)r->frame;
    u64 at = (u64)m->state.frames_high << 32 | (frame & ~3u);

    if (gmem_read(mpt_ram(m), at, r->frame, sizeof(r->frame))) {
        mpt_fault(m, MPT_FAULT_QUEUE, "a message that is not in RAM");
        return;
    }
    r->order = ++m->orders;
    if (h->function == MPT_SCSI_IO)
        mpt_scsi(m, r);
    else if (h->function == MPT_TASK_MANAGEMENT)
        mpt_manage(m, r);
    else
        mpt_message(m, r->frame, MPT_BY_QUEUE);
}

/* Takes what stands in the request queue, as far as there is room. */
static void mpt_take(struct mpt *m)
{
    struct mpt_state *s = &m->state;

    while (s->ioc == MPT_IOC_OPERATIONAL && s->request.head != s->request.tail &&
           pci_master(&m->dev)) {
        struct mpt_request *r = mpt_slot(m, 0, MPT_REQUESTS);
        u32 frame;

        m->starved = !r;
        if (!r || !queue_pop(&s->request, &frame))
            return;
        mpt_run(m, r, frame);
    }
}

static void mpt_rung(struct device *d, u32 index)
{
    (void)index;
    mpt_take((struct mpt *)d);
}

void mpt_finished(struct mpt *m)
{
    m->under_way--;
    mpt_manage_progress(m);
    domain_wake(m->dev.domain);
    if (m->starved) {
        m->starved = false;
        bell_ring(m->bell);
    }
}

static void mpt_queue_store(struct mpt *m, u32 off, u32 val)
{
    struct mpt_state *s = &m->state;
    struct mpt_request *r;

    if (off == MPT_REPLY_QUEUE) { /* also before it is operational */
        if (!queue_push(&s->free, val))
            guest_error(&m->dev, "too many frames for replies");
    } else if (s->ioc != MPT_IOC_OPERATIONAL) {
        guest_error(&m->dev, "a message before it is operational");
    } else if (off == MPT_REQUEST_QUEUE) {
        if (!queue_push(&s->request, val))
            mpt_fault(m, MPT_FAULT_QUEUE, "too many requests");
        bell_ring(m->bell);
    } else {
        mpt_take(m); /* what it is about may stand in the other queue */
        r = mpt_slot(m, MPT_REQUESTS, MPT_REQUESTS + MPT_MANAGERS);
        if (r && s->ioc == MPT_IOC_OPERATIONAL)
            mpt_run(m, r, val);
        else
            guest_error(&m->dev, "too many messages of high priority");
    }
}

static u32 mpt_reply_load(struct mpt *m)
{
    struct mpt_state *s = &m->state;
    u32 v = MPT_NO_REPLY;

    queue_pop(&s->post, &v);
    if (s->post.head == s->post.tail)
        s->intr_status &= ~(u32)MPT_INTR_REPLY;
    mpt_interrupt(m);
    return v;
}

/* ---- resets ---- */

/* all: the disks too, as when the power comes; else the messages alone */
static void mpt_reset_all(struct mpt *m, bool all)
{
    struct mpt_state *s = &m->state, fresh = { .ioc = MPT_IOC_READY };

    s->ioc = MPT_IOC_RESET; /* nothing is taken or told any more */
    while (m->under_way)
        domain_wait(m->dev.domain);
    for (u32 i = 0; i < MPT_REQUESTS + MPT_MANAGERS; i++)
        m->request[i].busy = m->request[i].manages = false;
    memcpy(fresh.unit, s->unit, sizeof(fresh.unit));
    fresh.intr_mask = all ? MPT_INTR_DOORBELL | MPT_INTR_REPLY : s->intr_mask;
    *s = fresh;
    for (u32 i = 0; i < MPT_TARGETS && all; i++)
        scsi_reset(&s->unit[i], SCSI_ASC_RESET);
    m->managers = 0;
    m->starved = false;
    mpt_interrupt(m);
}

static void mpt_diag_store(struct mpt *m, u32 val)
{
    struct mpt_state *s = &m->state;

    if (!(s->diag & MPT_DIAG_WRITABLE))
        return;
    if (val & MPT_DIAG_RESET) {
        mpt_reset_all(m, true);
        s->diag = MPT_DIAG_HISTORY;
    } else if (!(val & MPT_DIAG_HISTORY)) {
        s->diag &= ~(u32)MPT_DIAG_HISTORY;
    }
}

static void mpt_sequence_store(struct mpt *m, u32 val)
{
    static const u8 key[MPT_KEY] = { 0xf, 0x4, 0xb, 0x2, 0x7, 0xd };
    struct mpt_state *s = &m->state;

    val &= 0xf;
    if (s->unlocked < MPT_KEY && val == key[s->unlocked])
        s->unlocked++;
    else
        s->unlocked = val == key[0];
    s->diag &= ~(u32)MPT_DIAG_WRITABLE;
    if (s->unlocked == MPT_KEY)
        s->diag |= MPT_DIAG_WRITABLE;
}

/* ---- the doorbell ---- */

static void mpt_handshake(struct mpt *m, u32 words)
{
    struct mpt_state *s = &m->state;

    if (words < sizeof(struct mpt_head) / 4 || words > LEN(s->message)) {
        guest_error(&m->dev, "a message of %u words through the doorbell", words);
        return;
    }
    memset(s->message, 0, sizeof(s->message));
    s->used = true;
    s->wanted = words;
    s->words = s->answer = s->told = 0;
    s->intr_status |= MPT_INTR_DOORBELL;
    mpt_interrupt(m);
}

/* All words of the message are there: it is answered through the doorbell, or by the queue. */
static void mpt_handshaken(struct mpt *m)
{
    struct mpt_state *s = &m->state;
    const struct mpt_head *h = (const struct mpt_head *)s->message;
    struct mpt_request *r = NULL;

    s->intr_status |= MPT_INTR_DOORBELL;
    if (h->function != MPT_TASK_MANAGEMENT) {
        mpt_message(m, (const u8 *)s->message, MPT_BY_DOORBELL);
    } else {
        s->used = false;
        if (s->ioc == MPT_IOC_OPERATIONAL) {
            mpt_take(m);
            r = mpt_slot(m, MPT_REQUESTS, MPT_REQUESTS + MPT_MANAGERS);
        }
        if (r) {
            memcpy(r->frame, s->message, sizeof(r->frame));
            r->order = ++m->orders;
            mpt_manage(m, r);
        }
    }
    mpt_interrupt(m);
}

void mpt_answer(struct mpt *m, const void *reply, u32 n)
{
    struct mpt_state *s = &m->state;

    memcpy(s->reply, reply, n);
    s->answer = n / 2;
    s->told = 0;
}

static void mpt_doorbell_store(struct mpt *m, u32 val)
{
    struct mpt_state *s = &m->state;

    if (s->used && s->words < s->wanted) {
        s->message[s->words++] = val;
        if (s->words == s->wanted)
            mpt_handshaken(m);
        return;
    }
    switch (val >> 24) {
    case MPT_UNIT_RESET:
    case MPT_IO_UNIT_RESET:
        mpt_reset_all(m, val >> 24 == MPT_IO_UNIT_RESET);
        break;
    case MPT_HANDSHAKE:
        mpt_handshake(m, val >> 16 & 0xff);
        break;
    }
}

/* Some drivers acknowledge each half of a reply, some only the last. */
static u32 mpt_doorbell_load(struct mpt *m)
{
    struct mpt_state *s = &m->state;
    u32 v = s->ioc << 28 | (s->used ? MPT_DOORBELL_USED : 0) | (s->who & 7) << 24;

    if (s->ioc == MPT_IOC_FAULT)
        return v | s->fault;
    return v | (s->told < s->answer ? s->reply[s->told++] : 0);
}

static void mpt_acknowledge(struct mpt *m)
{
    struct mpt_state *s = &m->state;

    if (s->used && s->told < s->answer)
        return; /* the next half is there at once */
    if (s->used && s->answer)
        s->used = false; /* and the end of it is told */
    else
        s->intr_status &= ~(u32)MPT_INTR_DOORBELL;
    mpt_interrupt(m);
}

/* ---- registers ---- */

static u64 mpt_load(struct device *d, u32 off, u32 size)
{
    struct mpt *m = (struct mpt *)d;

    (void)size;
    switch (off) {
    case MPT_DOORBELL:
        return mpt_doorbell_load(m);
    case MPT_DIAG:
        return m->state.diag;
    case MPT_INTR_STATUS:
        return m->state.intr_status;
    case MPT_INTR_MASK:
        return m->state.intr_mask;
    case MPT_REPLY_QUEUE:
        return mpt_reply_load(m);
    }
    return 0;
}

static void mpt_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct mpt *m = (struct mpt *)d;

    (void)size;
    switch (off) {
    case MPT_DOORBELL:
        mpt_doorbell_store(m, (u32)val);
        break;
    case MPT_SEQUENCE:
        mpt_sequence_store(m, (u32)val);
        break;
    case MPT_DIAG:
        mpt_diag_store(m, (u32)val);
        break;
    case MPT_INTR_STATUS:
        mpt_acknowledge(m);
        break;
    case MPT_INTR_MASK:
        m->state.intr_mask = (u32)val & (MPT_INTR_DOORBELL | MPT_INTR_REPLY);
        mpt_interrupt(m);
        break;
    case MPT_REQUEST_QUEUE:
    case MPT_REPLY_QUEUE:
    case MPT_PRIORITY_QUEUE:
        mpt_queue_store(m, off, (u32)val);
        break;
    }
}

static u64 mpt_diag_load(struct device *d, u32 off, u32 size)
{
    (void)d, (void)off, (void)size;
    return 0;
}

static void mpt_diag_ignore(struct device *d, u32 off, u32 size, u64 val)
{
    (void)d, (void)off, (void)size, (void)val;
}

#define MPT_REGISTERS .min = 4, .max = 4, .load = mpt_load, .store = mpt_store
const struct pci_bar mpt_bars[] = {
    { .index = 0, .space = PCI_PORTS, .size = MPT_PORTS, MPT_REGISTERS },
    { .index = 1, .space = PCI_MEM64, .size = 0x4000, MPT_REGISTERS },
    { .index = 3,
      .space = PCI_MEM64,
      .size = 0x10000,
      .min = 4,
      .max = 4,
      .load = mpt_diag_load,
      .store = mpt_diag_ignore },
    { 0 },
};

/* ---- life ---- */

static void mpt_attach(struct mpt *m, u32 target)
{
    const struct mpt_config *c = &m->config;
    struct lun *l = &m->lun[target];
    bool cd = c->cd >> target & 1;
    struct blk *blk;
    char end[16];

    snprintf(end, sizeof(end), "scsi.%u", target);
    blk = device_end(&m->dev, end);
    if (!blk && !cd)
        return;
    m->present |= 1u << target;
    lun_init(l, cd ? SCSI_CDROM : SCSI_DISK, blk, &m->state.unit[target],
             cd ? c->cd_vendor : c->vendor, cd ? c->cd_product : c->product,
             cd ? c->cd_revision : c->revision);
    if (c->serial[0])
        snprintf(l->unit.serial, sizeof(l->unit.serial), "%s%02x", c->serial, target);
}

int mpt_create(struct mpt *m, const struct mpt_kind *kind, struct err *e)
{
    struct pci_ident ident = *kind->ident;
    int r;

    m->kind = kind;
    for (u32 i = 0; i < MPT_TARGETS; i++)
        mpt_attach(m, i);
    m->request = calloc(MPT_REQUESTS + MPT_MANAGERS, sizeof(*m->request));
    if (!m->request)
        return err_set(e, -ENOMEM, "no memory for requests");
    r = bell_new(&m->dev, mpt_rung, 0, &m->bell);
    if (r)
        return err_set(e, r, "no bell");
    if (m->config.efi)
        ident.rom = kind->rom, ident.rom_size = *kind->rom_size;
    return pci_plug(&m->dev, &ident, e);
}

void mpt_destroy(struct device *d)
{
    pci_unplug(d);
    free(((struct mpt *)d)->request);
}

void mpt_reset(struct device *d, enum reset kind)
{
    (void)kind;
    mpt_reset_all((struct mpt *)d, true);
}

void mpt_pause(struct device *d)
{
    struct mpt *m = (struct mpt *)d;

    domain_lock(d->domain);
    while (m->under_way)
        domain_wait(d->domain);
    domain_unlock(d->domain);
}

void mpt_resume(struct device *d)
{
    bell_ring(((struct mpt *)d)->bell); /* what was left in the queue, or came with it */
}

void mpt_restored(struct device *d)
{
    struct mpt *m = (struct mpt *)d;

    m->line = mpt_line(m);
}

int mpt_check(const struct device *d, struct err *e)
{
    const struct mpt_state *s = &((const struct mpt *)d)->state;
    const struct mpt_queue *q[] = { &s->request, &s->free, &s->post };

    for (u32 i = 0; i < LEN(q); i++)
        if (q[i]->head >= MPT_QUEUE || q[i]->tail >= MPT_QUEUE)
            return err_set(e, -EBADMSG, "a queue from %u to %u", q[i]->head, q[i]->tail);
    if (s->ioc != MPT_IOC_READY && s->ioc != MPT_IOC_OPERATIONAL && s->ioc != MPT_IOC_FAULT)
        return err_set(e, -EBADMSG, "no state: %u", s->ioc);
    if (s->wanted > LEN(s->message) || s->words > s->wanted || s->answer > LEN(s->reply) ||
        s->told > s->answer || s->unlocked > MPT_KEY)
        return err_set(e, -EBADMSG, "no handshake can be at word %u of %u", s->words, s->wanted);
    return 0;
}

const struct field mpt_config_fields[] = {
    FIELD(1, struct mpt_config, cd, 0, "targets that are CD-ROM drives, one bit each"),
    FIELD(2, struct mpt_config, address, 0, "SAS address of the adapter"),
    FIELD_TEXT(3, struct mpt_config, vendor, 0, "INQUIRY vendor of disks"),
    FIELD_TEXT(4, struct mpt_config, product, 0, "INQUIRY product of disks"),
    FIELD_TEXT(5, struct mpt_config, revision, 0, "INQUIRY revision of disks"),
    FIELD_TEXT(6, struct mpt_config, cd_vendor, 0, "INQUIRY vendor of CD-ROM drives"),
    FIELD_TEXT(7, struct mpt_config, cd_product, 0, "INQUIRY product of CD-ROM drives"),
    FIELD_TEXT(8, struct mpt_config, cd_revision, 0, "INQUIRY revision of CD-ROM drives"),
    FIELD_TEXT(9, struct mpt_config, serial, 0,
               "start of the serial numbers, the target follows; empty: none are told"),
    FIELD(10, struct mpt_config, efi, 0, "1: with an expansion ROM by which EFI boots from it"),
    FIELD_END
};

static const struct field queue_fields[] = {
    FIELD(1, struct mpt_queue, head, 0, "where the first stands"),
    FIELD(2, struct mpt_queue, tail, 0, "where the next will stand"),
    FIELDS(3, struct mpt_queue, at, 0, "the entries"), FIELD_END
};
#define MPT_ONE(tag, m, doc, table)                                                                \
    FIELD_ANY(tag, struct mpt_state, m, F_STRUCT, sizeof(((struct mpt_state *)0)->m), 1, 0, doc,   \
              table)
const struct field mpt_state_fields[] = {
    FIELD(1, struct mpt_state, ioc, 0, "state of the controller"),
    FIELD(2, struct mpt_state, fault, 0, "why it stands still"),
    FIELD(3, struct mpt_state, unlocked, 0, "words of the key that came"),
    FIELD(4, struct mpt_state, diag, 0, "host diagnostic register"),
    FIELD(5, struct mpt_state, intr_status, 0, "interrupt status"),
    FIELD(6, struct mpt_state, intr_mask, 0, "interrupts that are off"),
    FIELD(7, struct mpt_state, frames_high, 0, "high half of the frames' addresses"),
    FIELD(8, struct mpt_state, sense_high, 0, "high half of the sense buffers' addresses"),
    FIELD(9, struct mpt_state, reply_size, 0, "bytes of a reply frame"),
    FIELD(10, struct mpt_state, who, 0, "who initialised it"),
    FIELD(11, struct mpt_state, devices, 0, "devices that the driver can handle"),
    FIELD(12, struct mpt_state, buses, 0, "buses that the driver can handle"),
    FIELD(13, struct mpt_state, wanted, 0, "words of the message in the doorbell"),
    FIELD(14, struct mpt_state, words, 0, "those that came"),
    FIELD(15, struct mpt_state, answer, 0, "halves of its reply"),
    FIELD(16, struct mpt_state, told, 0, "those that were read"),
    FIELDS(17, struct mpt_state, message, 0, "the message"),
    FIELDS(18, struct mpt_state, reply, 0, "the reply"),
    FIELDS(19, struct mpt_state, negotiated, 0, "parameters that were asked of each target"),
    MPT_ONE(20, request, "requests that came", queue_fields),
    MPT_ONE(21, free, "frames for replies", queue_fields),
    MPT_ONE(22, post, "replies that wait", queue_fields),
    FIELD(23, struct mpt_state, used, 0, "the doorbell is used"),
    FIELD(24, struct mpt_state, events, 0, "events are told"),
    FIELDS(0, struct mpt_state, pad, F_LOCAL, "none"),
    FIELD_SUB(25, struct mpt_state, unit, 0, "targets", scsi_state_fields),
    FIELD_END
};
