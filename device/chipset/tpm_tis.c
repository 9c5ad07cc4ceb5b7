/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A TPM with the FIFO interface: TCG PC Client Platform TPM Profile 1.05, section 6.5.2, and the
 * TPM Interface Specification 1.3.  Five localities share one buffer, which belongs to the active
 * one.  No interrupts; cancelling is accepted and the command runs to its end.
 */
#include "base/bytes.h"
#include "device/chipset/tpm_int.h"
#include <errno.h>

enum { TIS_PAGE = 0x1000, TIS_NOBODY = 0xff };
enum {
    TIS_ACCESS = 0x00,
    TIS_INTF_CAPABILITY = 0x14,
    TIS_STS = 0x18,
    TIS_FIFO = 0x24,
    TIS_INTF_ID = 0x30,
    TIS_XFIFO = 0x80,
    TIS_XFIFO_END = 0xc0,
    TIS_MAKER = 0xf00,
    TIS_REVISION = 0xf04,
};
enum {
    ACCESS_NO_DRTM = 0x01,
    ACCESS_REQUEST = 0x02,
    ACCESS_PENDING = 0x04,
    ACCESS_SEIZE = 0x08,
    ACCESS_SEIZED = 0x10,
    ACCESS_ACTIVE = 0x20,
    ACCESS_VALID = 0x80,
};
enum {
    STS_RETRY = 0x02,
    STS_TESTED = 0x04,
    STS_EXPECT = 0x08,
    STS_DATA = 0x10,
    STS_GO = 0x20,
    STS_READY = 0x40,
    STS_VALID = 0x80,
    STS_TPM2 = 1 << 26,
};
enum { CAPABILITY = 3 << 9 | 3 << 28 };          /* 64 bytes at once, interface for TPM 2.0 */
enum { INTF_FIFO = 3 << 11 | 1 << 13 | 1 << 8 }; /* the same, all localities, FIFO */

enum tis_phase { TIS_IDLE, TIS_READY, TIS_RECEPTION, TIS_EXECUTION, TIS_COMPLETION };

struct tis {
    struct device dev;
    struct tis_state {
        u8 active; /* locality, or TIS_NOBODY */
        u8 phase;
        u8 wanted, seized; /* a bit for each locality */
        u8 dropped;        /* nobody waits for the answer any more */
        u8 pad[3];
        u32 n, at; /* of the buffer: bytes that are there, that were read */
        u8 buffer[TPM_BUFFER];
    } state;
    struct tpm_job job;
};

/* A header that is not whole yet, or bytes that it announces. */
static bool tis_expects(const struct tis_state *s)
{
    u32 size = s->n < TPM_HEADER ? TPM_HEADER : be32(s->buffer + 2);

    return s->phase == TIS_RECEPTION && s->n < size && s->n < TPM_BUFFER;
}

static u32 tis_status(const struct tis_state *s)
{
    u32 burst = s->phase == TIS_COMPLETION ? s->n - s->at : TPM_BUFFER - s->n;
    u32 val = STS_VALID | STS_TESTED | STS_TPM2;

    if (s->phase == TIS_IDLE || s->phase == TIS_EXECUTION)
        return val;
    val |= burst << 8;
    if (s->phase == TIS_READY)
        return val | STS_READY;
    if (s->phase == TIS_RECEPTION)
        return val | (tis_expects(s) ? STS_EXPECT : 0);
    return val | (burst ? STS_DATA : 0);
}

static u8 tis_access(const struct tis_state *s, u8 locality)
{
    u8 me = (u8)(1 << locality), val = ACCESS_VALID | ACCESS_NO_DRTM;

    val |= s->active == locality ? ACCESS_ACTIVE : 0;
    val |= s->wanted & me ? ACCESS_REQUEST : 0;
    val |= s->wanted & ~me ? ACCESS_PENDING : 0;
    return (u8)(val | (s->seized & me ? ACCESS_SEIZED : 0));
}

static u8 tis_take(struct tis_state *s)
{
    return s->phase == TIS_COMPLETION && s->at < s->n ? s->buffer[s->at++] : 0xff;
}

static u64 tis_load(struct device *d, u32 off, u32 size)
{
    struct tis_state *s = &((struct tis *)d)->state;
    u8 locality = (u8)(off / TIS_PAGE);
    u32 reg = off % TIS_PAGE, whole = 0, part = reg & 3;

    if (reg == TIS_ACCESS)
        return tis_access(s, locality);
    if (s->active == locality &&
        ((reg & ~3u) == TIS_FIFO || (reg >= TIS_XFIFO && reg < TIS_XFIFO_END))) {
        for (u32 i = 0; i < size; i++)
            whole |= (u32)tis_take(s) << 8 * i;
        return whole;
    }
    switch (reg & ~3u) {
    case TIS_INTF_CAPABILITY:
        whole = CAPABILITY;
        break;
    case TIS_STS:
        whole = s->active == locality ? tis_status(s) : ~0u;
        break;
    case TIS_FIFO:
        whole = ~0u;
        break;
    case TIS_INTF_ID:
        whole = INTF_FIFO;
        break;
    case TIS_MAKER:
        whole = TPM_VENDOR | TPM_DEVICE << 16;
        break;
    case TIS_REVISION:
        whole = TPM_REVISION;
        break;
    }
    return whole >> 8 * part;
}

/* Whoever comes next finds an idle TPM; an answer that is still on its way is for nobody. */
static void tis_give(struct tis_state *s, u8 locality)
{
    s->active = locality;
    s->wanted &= locality == TIS_NOBODY ? 0xff : (u8) ~(1 << locality);
    s->dropped = s->phase == TIS_EXECUTION;
    if (s->phase != TIS_EXECUTION)
        s->phase = TIS_IDLE;
    s->n = s->at = 0;
}

static void tis_access_store(struct tis *t, u8 locality, u8 val)
{
    struct tis_state *s = &t->state;
    u8 me = (u8)(1 << locality);

    if (val & ACCESS_SEIZED)
        s->seized &= (u8)~me;
    if (val & ACCESS_ACTIVE) {
        s->wanted &= (u8)~me;
        if (s->active == locality)
            tis_give(s, s->wanted ? (u8)(31 - __builtin_clz(s->wanted)) : TIS_NOBODY);
    }
    if (val & ACCESS_REQUEST && s->active != locality) {
        s->wanted |= me;
        if (s->active == TIS_NOBODY)
            tis_give(s, locality);
    }
    if (val & ACCESS_SEIZE && (s->active == TIS_NOBODY || locality > s->active)) {
        if (s->active != TIS_NOBODY)
            s->seized |= (u8)(1 << s->active);
        tis_give(s, locality);
    }
}

static void tis_command(struct tis *t, u32 val)
{
    struct tis_state *s = &t->state;

    if (val & STS_READY && s->phase != TIS_EXECUTION) {
        s->phase = TIS_READY;
        s->n = s->at = 0;
    } else if (val & STS_GO && s->phase == TIS_RECEPTION && !tis_expects(s)) {
        s->phase = TIS_EXECUTION;
        s->dropped = false;
        tpm_job_start(&t->job, s->active);
    } else if (val & STS_RETRY && s->phase == TIS_COMPLETION) {
        s->at = 0;
    }
}

static void tis_data(struct tis_state *s, u64 val, u32 size)
{
    if (s->phase == TIS_READY)
        s->phase = TIS_RECEPTION;
    for (u32 i = 0; i < size && tis_expects(s); i++)
        s->buffer[s->n++] = (u8)(val >> 8 * i);
}

static void tis_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct tis *t = (struct tis *)d;
    u8 locality = (u8)(off / TIS_PAGE);
    u32 reg = off % TIS_PAGE;

    if (reg == TIS_ACCESS)
        tis_access_store(t, locality, (u8)val);
    else if (t->state.active != locality)
        return;
    else if (reg == TIS_STS)
        tis_command(t, (u32)val);
    else if ((reg & ~3u) == TIS_FIFO || (reg >= TIS_XFIFO && reg < TIS_XFIFO_END))
        tis_data(&t->state, val, size);
}

static void tis_answered(struct device *d, u32 n)
{
    struct tis_state *s = &((struct tis *)d)->state;

    s->n = s->dropped ? 0 : n;
    s->at = 0;
    s->phase = s->dropped ? TIS_IDLE : TIS_COMPLETION;
    s->dropped = false;
}

static int tis_create(struct device *d, struct err *e)
{
    struct tis *t = (struct tis *)d;
    struct region r = { .name = "tpm",
                        .base = TPM_BASE,
                        .len = TPM_LOCALITIES * TIS_PAGE,
                        .min = 1,
                        .max = 4,
                        .load = tis_load,
                        .store = tis_store,
                        .dev = d };

    t->job =
        (struct tpm_job){ .buffer = t->state.buffer, .room = TPM_BUFFER, .answered = tis_answered };
    tpm_job_create(&t->job, d);
    return space_add(machine_memory(d->machine), &r, NULL, e);
}

static void tis_reset(struct device *d, enum reset kind)
{
    struct tis *t = (struct tis *)d;

    (void)kind;
    tpm_job_reset(&t->job);
    t->state = (struct tis_state){ .active = TIS_NOBODY };
}

static void tis_pause(struct device *d)
{
    domain_lock(d->domain);
    tpm_job_wait(&((struct tis *)d)->job);
    domain_unlock(d->domain);
}

static int tis_check(const struct device *d, struct err *e)
{
    const struct tis_state *s = &((const struct tis *)d)->state;
    u32 all = (1 << TPM_LOCALITIES) - 1;

    if (s->active >= TPM_LOCALITIES && s->active != TIS_NOBODY)
        return err_set(e, -EBADMSG, "%s: there is no locality %u", d->name, s->active);
    if ((s->wanted | s->seized) & ~all || s->dropped || s->phase > TIS_COMPLETION ||
        s->phase == TIS_EXECUTION || s->n > TPM_BUFFER || s->at > s->n)
        return err_set(e, -EBADMSG, "%s: phase %u with %u of %u bytes", d->name, s->phase, s->at,
                       s->n);
    return 0;
}

static const struct field state[] = {
    FIELD(1, struct tis_state, active, 0, "locality that owns the TPM; 255: none"),
    FIELD(2, struct tis_state, phase, 0, "enum tis_phase; never execution while it stands"),
    FIELD(3, struct tis_state, wanted, 0, "localities that asked"),
    FIELD(4, struct tis_state, seized, 0, "localities that lost it"),
    FIELD(5, struct tis_state, dropped, 0, "the answer is for nobody"),
    FIELDS(0, struct tis_state, pad, F_LOCAL, "none"),
    FIELD(6, struct tis_state, n, 0, "bytes in the buffer"),
    FIELD(7, struct tis_state, at, 0, "bytes of them that were read"),
    FIELDS(8, struct tis_state, buffer, 0, "command or response"),
    FIELD_END
};

const struct device_class device_tpm_tis = {
    .name = "tpm_tis",
    .about = "TPM 2.0 with the FIFO interface, kept by swtpm",
    .size = sizeof(struct tis),
    .state_at = offsetof(struct tis, state),
    .state_size = sizeof(struct tis_state),
    .state = state,
    .create = tis_create,
    .reset = tis_reset,
    .pause = tis_pause,
    .check = tis_check,
};
