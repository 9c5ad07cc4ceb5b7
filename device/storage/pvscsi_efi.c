/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pvscsi adapter as EFI's driver in its expansion ROM uses it (efi_scsi.h): one page each of
 * requests and completions.
 */
#include "device/storage/efi_scsi.h"
#include "device/storage/pvscsi_wire.h"
#include <stddef.h>

enum { PV_TARGETS = 64, TAG_SIMPLE = 0x20, SENSE_AT = 3 * EFI_PAGE };

/* The rings state page, as far as it is used. */
struct pv_state {
    u32 req_prod, req_cons, req_log2, cmp_prod, cmp_cons, cmp_log2;
};
_Static_assert(offsetof(struct pv_state, cmp_log2) == PVSCSI_RS_CMP_LOG2, "pvscsi");

const u32 adapter_targets = PV_TARGETS, adapter_pages = 4, adapter_bar = 0, adapter_most = ~0u;

int adapter_is(u32 id)
{
    return id == ((u32)PVSCSI_DEVICE << 16 | PVSCSI_VENDOR);
}

/* ---- requests ---- */

static volatile struct pv_state *pv_state(struct adapter *a)
{
    return (volatile struct pv_state *)a->pages;
}

static u64 pv_wait(struct adapter *a, struct pvscsi_completion_wire *c)
{
    volatile struct pv_state *s = pv_state(a);
    u32 mask = (1u << s->cmp_log2) - 1;

    for (u32 i = 0; s->cmp_prod == s->cmp_cons; i++) {
        if (i == POLLS)
            return EFI_TIMEOUT;
        a->boot->stall(POLL_US);
    }
    memcpy(c, a->pages + 2 * EFI_PAGE + (s->cmp_cons & mask) * sizeof(*c), sizeof(*c));
    s->cmp_cons++;
    adapter_store(a, PVSCSI_INTR_STATUS, PVSCSI_INTR_COMPLETION);
    return 0;
}

static void pv_ask(struct adapter *a, const struct adapter_request *w)
{
    volatile struct pv_state *s = pv_state(a);
    const struct efi_scsi_packet *k = w->packet;
    u32 mask = (1u << s->req_log2) - 1;
    struct pvscsi_request_wire *r =
        (struct pvscsi_request_wire *)(a->pages + EFI_PAGE) + (s->req_prod & mask);

    memset(r, 0, sizeof(*r));
    r->context = 1;
    r->data_addr = w->data;
    r->data_len = w->len;
    r->sense_addr = a->bus + SENSE_AT;
    r->sense_len = SENSE_ROOM;
    r->flags = !w->len                       ? PVSCSI_FLAG_NO_DATA
               : k->direction == EFI_SCSI_IN ? PVSCSI_FLAG_TO_HOST
                                             : PVSCSI_FLAG_TO_DEVICE;
    memcpy(r->cdb, k->cdb, k->cdb_len);
    r->cdb_len = k->cdb_len;
    r->tag = TAG_SIMPLE;
    r->target = w->target;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    s->req_prod++;
    adapter_store(a, PVSCSI_KICK_RW, 0);
}

u64 adapter_run(struct adapter *a, const struct adapter_request *r, struct adapter_answer *answer)
{
    struct pvscsi_completion_wire c;
    u64 err;

    pv_ask(a, r);
    err = pv_wait(a, &c);
    if (err)
        return err;
    answer->outcome = c.host_status == PVSCSI_HOST_OK || c.host_status == PVSCSI_HOST_UNDERRUN
                          ? ADAPTER_DONE
                      : c.host_status == PVSCSI_HOST_NO_DEVICE ? ADAPTER_NOBODY
                                                               : ADAPTER_FAILED;
    answer->status = (u8)c.scsi_status;
    answer->moved = c.data_len < r->len ? (u32)c.data_len : r->len;
    answer->sense = a->pages + SENSE_AT;
    answer->sense_len = c.sense_len;
    return 0;
}

/* ---- the adapter's life ---- */

static void pv_rings(struct adapter *a)
{
    u64 page = a->bus / EFI_PAGE;
    struct pvscsi_setup_rings rings = { .req_pages = 1,
                                        .cmp_pages = 1,
                                        .state_ppn = page,
                                        .req_ppn = { page + 1 },
                                        .cmp_ppn = { page + 2 } };

    adapter_store(a, PVSCSI_COMMAND, PVSCSI_CMD_SETUP_RINGS);
    for (u32 i = 0; i < sizeof(rings) / sizeof(u32); i++)
        adapter_store(a, PVSCSI_COMMAND_DATA, ((const u32 *)&rings)[i]);
}

u64 adapter_begin(struct adapter *a)
{
    adapter_store(a, PVSCSI_COMMAND, PVSCSI_CMD_RESET);
    pv_rings(a);
    return 0;
}

void adapter_end(struct adapter *a)
{
    adapter_store(a, PVSCSI_COMMAND, PVSCSI_CMD_RESET);
}
