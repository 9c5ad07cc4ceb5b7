/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pvscsi adapter as EFI's driver in its expansion ROM uses it (efi_scsi.h): one page each of
 * requests and completions.
 */
#include "device/storage/efi_scsi.h"

enum { PV_VENDOR_DEVICE = 0x07c015ad, PV_TARGETS = 64 };
enum { REG_COMMAND = 0, REG_DATA = 4, REG_STATUS = 0x100c, REG_KICK = 0x4018 };
enum { CMD_RESET = 1, CMD_RINGS = 3, RINGS_WORDS = 132 };
enum { FLAG_NONE = 4, FLAG_TO_HOST = 8, FLAG_TO_DEVICE = 16, TAG_SIMPLE = 0x20 };
enum { HOST_UNDERRUN = 0x0c, HOST_NO_DEVICE = 0x11 };
enum { SENSE_AT = 3 * EFI_PAGE };

struct pv_state {
    u32 req_prod, req_cons, req_log2, cmp_prod, cmp_cons, cmp_log2;
};
struct pv_request {
    u64 context, data, data_len, sense;
    u32 sense_len, flags;
    u8 cdb[16], cdb_len, lun[8], tag, bus, target;
    u8 rest[60];
};
struct pv_completion {
    u64 context, data_len;
    u32 sense_len;
    u16 host, scsi;
    u32 rest[2];
};
_Static_assert(sizeof(struct pv_request) == 128 && sizeof(struct pv_completion) == 32, "pvscsi");

const u32 adapter_targets = PV_TARGETS, adapter_pages = 4, adapter_bar = 0, adapter_most = ~0u;

int adapter_is(u32 id)
{
    return id == PV_VENDOR_DEVICE;
}

/* ---- requests ---- */

static volatile struct pv_state *pv_state(struct adapter *a)
{
    return (volatile struct pv_state *)a->pages;
}

static u64 pv_wait(struct adapter *a, struct pv_completion *c)
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
    adapter_store(a, REG_STATUS, 1);
    return 0;
}

static void pv_ask(struct adapter *a, const struct adapter_request *w)
{
    volatile struct pv_state *s = pv_state(a);
    const struct efi_scsi_packet *k = w->packet;
    u32 mask = (1u << s->req_log2) - 1;
    struct pv_request *r = (struct pv_request *)(a->pages + EFI_PAGE) + (s->req_prod & mask);

    memset(r, 0, sizeof(*r));
    r->context = 1;
    r->data = w->data;
    r->data_len = w->len;
    r->sense = a->bus + SENSE_AT;
    r->sense_len = SENSE_ROOM;
    r->flags = !w->len ? FLAG_NONE : k->direction == EFI_SCSI_IN ? FLAG_TO_HOST : FLAG_TO_DEVICE;
    memcpy(r->cdb, k->cdb, k->cdb_len);
    r->cdb_len = k->cdb_len;
    r->tag = TAG_SIMPLE;
    r->target = w->target;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    s->req_prod++;
    adapter_store(a, REG_KICK, 0);
}

u64 adapter_run(struct adapter *a, const struct adapter_request *r, struct adapter_answer *answer)
{
    struct pv_completion c;
    u64 err;

    pv_ask(a, r);
    err = pv_wait(a, &c);
    if (err)
        return err;
    answer->outcome = c.host == 0 || c.host == HOST_UNDERRUN ? ADAPTER_DONE
                      : c.host == HOST_NO_DEVICE             ? ADAPTER_NOBODY
                                                             : ADAPTER_FAILED;
    answer->status = (u8)c.scsi;
    answer->moved = c.data_len < r->len ? (u32)c.data_len : r->len;
    answer->sense = a->pages + SENSE_AT;
    answer->sense_len = c.sense_len;
    return 0;
}

/* ---- the adapter's life ---- */

static void pv_rings(struct adapter *a)
{
    u32 words[RINGS_WORDS];
    u64 page = a->bus / EFI_PAGE;

    memset(words, 0, sizeof(words));
    words[0] = words[1] = 1;
    for (u32 i = 0; i < 3; i++) { /* state; the first pages of requests and of completions */
        u32 at = i == 0 ? 2 : i == 1 ? 4 : 68;

        words[at] = (u32)(page + i);
        words[at + 1] = (u32)((page + i) >> 32);
    }
    adapter_store(a, REG_COMMAND, CMD_RINGS);
    for (u32 i = 0; i < RINGS_WORDS; i++)
        adapter_store(a, REG_DATA, words[i]);
}

u64 adapter_begin(struct adapter *a)
{
    adapter_store(a, REG_COMMAND, CMD_RESET);
    pv_rings(a);
    return 0;
}

void adapter_end(struct adapter *a)
{
    adapter_store(a, REG_COMMAND, CMD_RESET);
}
