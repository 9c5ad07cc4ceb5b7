/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A TPM with the command response buffer interface: TCG PC Client Platform TPM Profile 1.05,
 * section 6.5.3.  Locality 0 only, no interrupts, one buffer for command and response that lies
 * behind the registers.
 * Cancelling is accepted and changes nothing: the command runs to its end.
 */
#include "device/chipset/tpm_int.h"
#include <errno.h>
#include <string.h>

enum { CRB_PAGE = 0x1000, CRB_DATA = 0x80, CRB_ROOM = CRB_PAGE - CRB_DATA };
enum {
    LOC_STATE = 0x00,
    LOC_CTRL = 0x08,
    LOC_STS = 0x0c,
    INTF_ID = 0x30,
    INTF_MAKER = 0x34,
    CTRL_REQ = 0x40,
    CTRL_STS = 0x44,
    CTRL_CANCEL = 0x48,
    CTRL_START = 0x4c,
    CTRL_CMD_SIZE = 0x58,
    CTRL_CMD_LOW = 0x5c,
    CTRL_RSP_SIZE = 0x64,
    CTRL_RSP_LOW = 0x68,
};
enum { STATE_NO_DRTM = 1, STATE_ASSIGNED = 2, STATE_VALID = 0x80 };
enum { LOC_REQUEST = 1, LOC_RELINQUISH = 2, LOC_SEIZE = 4 };
enum { REQ_READY = 1, REQ_IDLE = 2 };
enum { STS_IDLE = 2 };
/* CRB, its version 1, 64 bytes at once, CRB offered and selected */
enum { INTF_CRB = 1 | 1 << 4 | 3 << 11 | 1 << 14 | 1 << 17 };

struct crb {
    struct device dev;
    struct crb_state {
        u8 granted, idle, running, cancel;
        u8 buffer[CRB_ROOM];
    } state;
    struct tpm_job job;
};

static u32 crb_register(const struct crb *c, u32 off)
{
    const struct crb_state *s = &c->state;

    switch (off) {
    case LOC_STATE:
        return STATE_NO_DRTM | STATE_VALID | (s->granted ? STATE_ASSIGNED : 0);
    case LOC_STS:
        return s->granted;
    case INTF_ID:
        return INTF_CRB | (u32)TPM_REVISION << 24;
    case INTF_MAKER:
        return TPM_VENDOR | TPM_DEVICE << 16;
    case CTRL_STS:
        return s->idle ? STS_IDLE : 0;
    case CTRL_CANCEL:
        return s->cancel;
    case CTRL_START:
        return s->running;
    case CTRL_CMD_SIZE:
    case CTRL_RSP_SIZE:
        return CRB_ROOM;
    case CTRL_CMD_LOW:
    case CTRL_RSP_LOW:
        return TPM_BASE + CRB_DATA;
    }
    return 0; /* requests are done at once */
}

static u64 crb_load(struct device *d, u32 off, u32 size)
{
    struct crb *c = (struct crb *)d;

    u32 val = ~0u;

    if (off < CRB_DATA)
        return crb_register(c, off & ~3u) >> 8 * (off & 3);
    if (!c->state.running)
        memcpy(&val, c->state.buffer + off - CRB_DATA, size);
    return val;
}

static void crb_locality(struct crb *c, u32 val)
{
    if (val & LOC_RELINQUISH)
        c->state.granted = false;
    if (val & (LOC_REQUEST | LOC_SEIZE))
        c->state.granted = true;
}

static void crb_request(struct crb *c, u32 val)
{
    if (c->state.running)
        return;
    if (val & REQ_READY)
        c->state.idle = false;
    else if (val & REQ_IDLE)
        c->state.idle = true;
}

static void crb_start(struct crb *c)
{
    struct crb_state *s = &c->state;

    if (s->running)
        return;
    if (!s->granted || s->idle) {
        guest_error(&c->dev, "a command is started while the TPM is %s",
                    s->idle ? "idle" : "nobody's");
        return;
    }
    s->running = true;
    tpm_job_start(&c->job, 0);
}

static void crb_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct crb *c = (struct crb *)d;

    if (off >= CRB_DATA) {
        if (!c->state.running)
            memcpy(c->state.buffer + off - CRB_DATA, &val, size);
        return;
    }
    switch (off) {
    case LOC_CTRL:
        crb_locality(c, (u32)val);
        break;
    case CTRL_REQ:
        crb_request(c, (u32)val);
        break;
    case CTRL_CANCEL:
        c->state.cancel = val & 1;
        break;
    case CTRL_START:
        if (val & 1)
            crb_start(c);
        break;
    }
}

static void crb_answered(struct device *d, u32 n)
{
    ((struct crb *)d)->state.running = false;
}

static int crb_create(struct device *d, struct err *e)
{
    struct crb *c = (struct crb *)d;
    struct region r = { .name = "tpm",
                        .base = TPM_BASE,
                        .len = CRB_PAGE,
                        .min = 1,
                        .max = 4,
                        .load = crb_load,
                        .store = crb_store,
                        .dev = d };

    c->job =
        (struct tpm_job){ .buffer = c->state.buffer, .room = CRB_ROOM, .answered = crb_answered };
    tpm_job_create(&c->job, d);
    return space_add(machine_memory(d->machine), &r, NULL, e);
}

static void crb_reset(struct device *d, enum reset kind)
{
    struct crb *c = (struct crb *)d;

    (void)kind;
    tpm_job_reset(&c->job);
    c->state = (struct crb_state){ .idle = true };
}

static void crb_pause(struct device *d)
{
    domain_lock(d->domain);
    tpm_job_wait(&((struct crb *)d)->job);
    domain_unlock(d->domain);
}

static int crb_check(const struct device *d, struct err *e)
{
    const struct crb_state *s = &((const struct crb *)d)->state;

    if (s->running || s->granted > 1 || s->idle > 1 || s->cancel > 1)
        return err_set(e, -EBADMSG, "%s: a command is under way, or bits that do not exist are set",
                       d->name);
    return 0;
}

static const struct field state[] = {
    FIELD(1, struct crb_state, granted, 0, "locality 0 is somebody's"),
    FIELD(2, struct crb_state, idle, 0, "between commands"),
    FIELD(3, struct crb_state, running, 0, "a command is under way; never while it stands"),
    FIELD(4, struct crb_state, cancel, 0, "the command is to be cancelled"),
    FIELDS(5, struct crb_state, buffer, 0, "command and response"),
    FIELD_END
};

const struct device_class device_tpm_crb = {
    .name = "tpm_crb",
    .about = "TPM 2.0 with a command response buffer, kept by swtpm",
    .size = sizeof(struct crb),
    .state_at = offsetof(struct crb, state),
    .state_size = sizeof(struct crb_state),
    .state = state,
    .create = crb_create,
    .reset = crb_reset,
    .pause = crb_pause,
    .check = crb_check,
};
