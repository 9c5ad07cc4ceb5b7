/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The paravirtual SCSI adapter's message ring, by which a guest is told that a target came or has
 * to go.  A guest lets a target go before it takes the message off the ring, as the drivers of
 * Linux and FreeBSD do; one that set up no ring finds out when it scans the bus.
 */
#include "device/storage/pvscsi_int.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Needs the rings' state page, which is set up before. */
void pvscsi_setup_messages(struct pvscsi *p, const struct pvscsi_setup_messages *w)
{
    struct pvscsi_state *s = &p->state;
    u32 log2, zero = 0;

    s->msg_entries = s->msg_prod = 0;
    s->status = ~0u;
    if (!s->req_entries || !w->pages || w->pages > PVSCSI_MSG_PAGES) {
        guest_error(&p->dev, "a message ring of %u pages", w->pages);
        return;
    }
    log2 = 31 - (u32)__builtin_clz(w->pages * PVSCSI_PAGE_MSGS);
    for (u32 i = 0; i < PVSCSI_MSG_PAGES; i++)
        s->msg_page[i] = i < w->pages ? w->ppn[i] * PVSCSI_PAGE : 0;
    if (!pvscsi_put(p, s->rings_state + PVSCSI_RS_MSG_PROD, &zero, 4) ||
        !pvscsi_put(p, s->rings_state + PVSCSI_RS_MSG_CONS, &zero, 4) ||
        !pvscsi_put(p, s->rings_state + PVSCSI_RS_MSG_LOG2, &log2, 4))
        return;
    s->msg_entries = 1u << log2;
    s->status = 0;
}

/* How many messages the guest has not taken; nonsense counts as a full ring. */
static u32 pvscsi_waiting(struct pvscsi *p)
{
    struct pvscsi_state *s = &p->state;
    u32 taken;

    if (gmem_read(machine_ram(p->dev.machine), s->rings_state + PVSCSI_RS_MSG_CONS, &taken, 4))
        return s->msg_entries;
    return (u32)min_u64(s->msg_prod - taken, s->msg_entries);
}

static int pvscsi_message(struct pvscsi *p, enum pvscsi_message_type type, u32 target,
                          struct err *e)
{
    struct pvscsi_state *s = &p->state;
    struct pvscsi_message m = { .type = type, .target = target };
    u32 index = s->msg_prod & (s->msg_entries - 1);

    if (pvscsi_waiting(p) == s->msg_entries)
        return err_set(e, -EBUSY, "the guest's driver does not take its messages");
    if (!pvscsi_put(p, s->msg_page[index / PVSCSI_PAGE_MSGS] + index % PVSCSI_PAGE_MSGS * sizeof(m),
                    &m, sizeof(m)))
        return err_set(e, -EFAULT, "the guest's message ring is not in its memory");
    atomic_thread_fence(memory_order_release);
    s->msg_prod++;
    pvscsi_put(p, s->rings_state + PVSCSI_RS_MSG_PROD, &s->msg_prod, 4);
    pvscsi_tell(p, PVSCSI_INTR_MESSAGE);
    return 0;
}

static int pvscsi_come(struct pvscsi *p, u32 target, struct blk *blk, struct err *e)
{
    int r = 1;

    if (p->present >> target & 1)
        return err_set(e, -EEXIST, "target %u is there already", target);
    pvscsi_seat(p, target, blk);
    scsi_reset(&p->state.unit[target], SCSI_ASC_RESET);
    if (p->state.msg_entries)
        r = pvscsi_message(p, PVSCSI_MSG_ADDED, target, e);
    if (r < 0)
        p->present &= ~(1ull << target);
    return r;
}

static int pvscsi_go(struct pvscsi *p, u32 target, bool force, struct err *e)
{
    struct pvscsi_state *s = &p->state;
    u64 bit = 1ull << target;
    int r = 0;

    if (!(p->present & bit))
        return err_set(e, -ENOENT, "there is no target %u", target);
    if (!s->msg_entries && !force)
        return err_set(e, -EOPNOTSUPP, "the guest's driver cannot be told that a disk goes");
    if (s->msg_entries && !(s->leaving & bit)) {
        r = pvscsi_message(p, PVSCSI_MSG_REMOVED, target, e);
        s->leaving |= r ? 0 : bit;
    }
    if (!force && (r || pvscsi_waiting(p)))
        return r ? r : -EAGAIN;
    p->present &= ~bit; /* from here on requests find nobody */
    while (pvscsi_is_busy(p, bit))
        domain_wait(p->dev.domain);
    s->leaving &= ~bit;
    p->lun[target].blk = NULL;
    return s->msg_entries ? 0 : 1;
}

int pvscsi_end_set(struct device *d, const char *kind, void *end, bool force, struct err *e)
{
    struct pvscsi *p = (struct pvscsi *)d;
    unsigned target;

    if (sscanf(kind, "scsi.%u", &target) != 1 || target >= TARGETS || p->config.cd >> target & 1)
        return err_set(e, -EINVAL, "%s: no disk can come or go at %s", d->name, kind);
    return end ? pvscsi_come(p, target, end, e) : pvscsi_go(p, target, force, e);
}
