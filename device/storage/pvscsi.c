/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMware's paravirtual SCSI adapter, 15ad:07c0, as drivers of Linux, Windows, the BSDs and
 * SeaBIOS use it.  There is no public specification; names follow the guest drivers.
 *
 * Kicks ring a bell; the lane takes requests off the ring and completions on it.  Commands
 * that reset wait until nothing of what they reset touches the guest any more.
 * The request threshold stays at one: every request kicks.
 */
#include "base/bytes.h"
#include "device/storage/pvscsi_int.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static struct gmem *ram(struct pvscsi *p)
{
    return machine_ram(p->dev.machine);
}

bool pvscsi_put(struct pvscsi *p, u64 gpa, const void *from, u32 n)
{
    if (!gmem_write(ram(p), gpa, from, n))
        return true;
    guest_error(&p->dev, "cannot write %u bytes at 0x%llx", n, (unsigned long long)gpa);
    return false;
}

static void pvscsi_interrupt(struct pvscsi *p)
{
    struct pvscsi_state *s = &p->state;

    if (!pci_message(&p->dev))
        pci_level(&p->dev, s->intr_status & s->intr_mask);
}

void pvscsi_tell(struct pvscsi *p, u32 why)
{
    struct pvscsi_state *s = &p->state;

    s->intr_status |= why;
    if (pci_message(&p->dev) && s->intr_mask & why)
        pci_raise(&p->dev, 0);
    pvscsi_interrupt(p);
}

static void pvscsi_complete(struct pvscsi *p, const struct pvscsi_completion_wire *done)
{
    struct pvscsi_state *s = &p->state;
    u32 index = s->cmp_prod & (s->cmp_entries - 1), taken, per_page = PVSCSI_PAGE / sizeof(*done);

    if (!s->cmp_entries)
        return; /* the rings went with a reset */
    if (gmem_read(ram(p), s->rings_state + PVSCSI_RS_CMP_CONS, &taken, 4) ||
        s->cmp_prod - taken >= s->cmp_entries) {
        guest_error(&p->dev, "no room in the completion ring: a completion is lost");
        return;
    }
    if (!pvscsi_put(p, s->cmp_page[index / per_page] + index % per_page * sizeof(*done), done,
                    sizeof(*done)))
        return;
    atomic_thread_fence(memory_order_release);
    s->cmp_prod++;
    pvscsi_put(p, s->rings_state + PVSCSI_RS_CMP_PROD, &s->cmp_prod, 4);
    pvscsi_tell(p, PVSCSI_INTR_COMPLETION);
}

/* The answer to a request whose command has run, or which was given up. */
static void pvscsi_answer(struct pvscsi *p, struct pvscsi_request *r)
{
    const struct scsi_command *c = &r->task.c;
    struct pvscsi_completion_wire done = { .context = r->wire.context };
    u32 n = SCSI_SENSE;

    done.host_status = r->host_status;
    if (!done.host_status && r->task.fault)
        done.host_status = PVSCSI_HOST_PARAMETER;
    if (!done.host_status) {
        done.data_len = r->task.moved;
        done.scsi_status = c->status;
        if (c->status == SCSI_CHECK && r->wire.sense_len) {
            n = n < r->wire.sense_len ? n : r->wire.sense_len;
            if (pvscsi_put(p, r->wire.sense_addr, c->sense, n))
                done.sense_len = n;
        }
    }
    r->busy = false;
    pvscsi_complete(p, &done);
}

/* On the lane, domain held. */
static void pvscsi_task_done(struct lun_task *t)
{
    struct pvscsi *p = (struct pvscsi *)t->dev;

    p->under_way--;
    pvscsi_answer(p, (struct pvscsi_request *)t);
    domain_wake(p->dev.domain);
    if (p->starved) {
        p->starved = false;
        bell_ring(p->kick);
    }
}

static int pvscsi_map_piece(struct pvscsi *p, struct lun_task *t, u64 addr, u32 len,
                            enum gmem_dir dir)
{
    int n = len ? gmem_map(ram(p), addr, len, dir, t->v + t->nv, LUN_PIECES - t->nv) : 0;

    if (n < 0)
        return n;
    t->nv += n;
    t->room += len;
    return 0;
}

/* A list of elements; one with the chain flag says where the list goes on. */
static int pvscsi_map_list(struct pvscsi *p, struct lun_task *t, u64 list, u64 len,
                           enum gmem_dir dir)
{
    for (u32 i = 0; len; i++) {
        struct pvscsi_sg sg;
        u32 part;
        int rc;

        if (i == SG_MAX)
            return -E2BIG;
        if (gmem_read(ram(p), list, &sg, sizeof(sg)))
            return -EFAULT;
        if (sg.flags & PVSCSI_SG_CHAIN) {
            list = sg.addr;
            continue;
        }
        part = (u32)min_u64(sg.len, len);
        rc = pvscsi_map_piece(p, t, sg.addr, part, dir);
        if (rc)
            return rc;
        len -= part;
        list += sizeof(sg);
    }
    return 0;
}

static int pvscsi_map(struct lun_task *t, enum gmem_dir dir)
{
    struct pvscsi *p = (struct pvscsi *)t->dev;
    const struct pvscsi_request_wire *w = &((struct pvscsi_request *)t)->wire;
    u32 against = dir == GMEM_WRITE ? PVSCSI_FLAG_TO_DEVICE : PVSCSI_FLAG_TO_HOST;
    int rc;

    if (w->flags & (PVSCSI_FLAG_NO_DATA | against))
        return 0; /* no room at all */
    if (w->data_len > DATA_MAX)
        rc = -E2BIG;
    else if (w->flags & PVSCSI_FLAG_SG)
        rc = pvscsi_map_list(p, t, w->data_addr, w->data_len, dir);
    else
        rc = pvscsi_map_piece(p, t, w->data_addr, (u32)w->data_len, dir);
    if (rc) {
        gmem_unmap(ram(p), t->v, t->nv, 0);
        t->nv = 0;
        guest_error(&p->dev, "data of a request: %s",
                    rc == -EFAULT ? "an address that is not RAM" : "too many pieces");
    }
    return rc;
}

static void pvscsi_start(struct pvscsi *p, struct pvscsi_request *r)
{
    const struct pvscsi_request_wire *w = &r->wire;
    struct lun_task *t = &r->task;

    r->busy = true;
    r->host_status = 0;
    r->target = w->target;
    t->fault = 0;
    if (w->bus || w->target >= TARGETS || !(p->present >> w->target & 1))
        r->host_status = PVSCSI_HOST_NO_DEVICE;
    else if (!w->cdb_len || w->cdb_len > sizeof(w->cdb) || w->flags & PVSCSI_FLAG_FAR_CDB)
        r->host_status = PVSCSI_HOST_PARAMETER;
    if (r->host_status) {
        pvscsi_answer(p, r);
        return;
    }
    t->dev = &p->dev;
    t->lun = &p->lun[w->target];
    t->map = pvscsi_map;
    t->done = pvscsi_task_done;
    memcpy(t->c.cdb, w->cdb, sizeof(t->c.cdb));
    t->c.cdb_len = w->cdb_len;
    t->c.lun = (u32)(w->lun[0] & 0x3f) << 8 | w->lun[1]; /* SAM-5 4.6.7: peripheral or flat */
    if (lun_run(t))
        pvscsi_answer(p, r);
    else
        p->under_way++;
}

static struct pvscsi_request *pvscsi_free_request(struct pvscsi *p)
{
    for (u32 i = 0; i < REQUESTS; i++)
        if (!p->request[i].busy)
            return &p->request[i];
    return NULL;
}

/* Takes what stands in the request ring, as far as there is room. */
static void pvscsi_take(struct pvscsi *p)
{
    struct pvscsi_state *s = &p->state;
    u32 prod, per_page = PVSCSI_PAGE / PVSCSI_REQUEST_SIZE;

    if (!s->req_entries || s->broken || !pci_master(&p->dev))
        return;
    if (gmem_read(ram(p), s->rings_state + PVSCSI_RS_REQ_PROD, &prod, 4) ||
        prod - s->req_cons > s->req_entries) {
        guest_error(&p->dev, "request ring: more requests than it has entries");
        s->broken = true;
        return;
    }
    atomic_thread_fence(memory_order_acquire);
    while (s->req_cons != prod) {
        struct pvscsi_request *r = pvscsi_free_request(p);
        u32 index = s->req_cons & (s->req_entries - 1);

        if (!r) {
            p->starved = true;
            break;
        }
        if (gmem_read(ram(p), s->req_page[index / per_page] + index % per_page * sizeof(r->wire),
                      &r->wire, sizeof(r->wire))) {
            guest_error(&p->dev, "request ring is not in RAM");
            s->broken = true;
            return;
        }
        s->req_cons++;
        pvscsi_put(p, s->rings_state + PVSCSI_RS_REQ_CONS, &s->req_cons, 4);
        pvscsi_start(p, r);
    }
}

static void pvscsi_kicked(struct device *d, u32 index)
{
    (void)index;
    pvscsi_take((struct pvscsi *)d);
}

bool pvscsi_is_busy(const struct pvscsi *p, u64 targets)
{
    for (u32 i = 0; p->under_way && i < REQUESTS; i++)
        if (p->request[i].busy && targets >> p->request[i].target & 1)
            return true;
    return false;
}

/* Requests of these targets end with the status of a reset; returns when they have. */
static void pvscsi_reset_targets(struct pvscsi *p, u64 targets)
{
    pvscsi_take(p);
    for (u32 i = 0; i < REQUESTS; i++)
        if (p->request[i].busy && targets >> p->request[i].target & 1)
            p->request[i].host_status = PVSCSI_HOST_BUS_RESET;
    while (pvscsi_is_busy(p, targets))
        domain_wait(p->dev.domain);
    for (u32 i = 0; i < TARGETS; i++)
        if (targets >> i & 1)
            scsi_reset(&p->state.unit[i], SCSI_ASC_RESET);
}

static void pvscsi_setup_rings(struct pvscsi *p, const struct pvscsi_setup_rings *w)
{
    struct pvscsi_state *s = &p->state;
    u32 req_log2, cmp_log2, zero = 0;

    if (!w->req_pages || w->req_pages > PVSCSI_PAGES || !w->cmp_pages ||
        w->cmp_pages > PVSCSI_PAGES || w->state_ppn >> 52) {
        guest_error(&p->dev, "rings of %u and %u pages", w->req_pages, w->cmp_pages);
        s->status = ~0u;
        return;
    }
    while (pvscsi_is_busy(p, ~0ull)) /* of rings that were there before */
        domain_wait(p->dev.domain);
    req_log2 = 31 - (u32)__builtin_clz(w->req_pages * (PVSCSI_PAGE / PVSCSI_REQUEST_SIZE));
    cmp_log2 = 31 - (u32)__builtin_clz(w->cmp_pages * (PVSCSI_PAGE / PVSCSI_COMPLETION_SIZE));
    s->rings_state = w->state_ppn * PVSCSI_PAGE;
    for (u32 i = 0; i < PVSCSI_PAGES; i++) {
        s->req_page[i] = i < w->req_pages ? w->req_ppn[i] * PVSCSI_PAGE : 0;
        s->cmp_page[i] = i < w->cmp_pages ? w->cmp_ppn[i] * PVSCSI_PAGE : 0;
    }
    s->req_entries = 1u << req_log2;
    s->cmp_entries = 1u << cmp_log2;
    s->req_cons = s->cmp_prod = 0;
    s->broken = !pvscsi_put(p, s->rings_state + PVSCSI_RS_REQ_PROD, &zero, 4) ||
                !pvscsi_put(p, s->rings_state + PVSCSI_RS_REQ_CONS, &zero, 4) ||
                !pvscsi_put(p, s->rings_state + PVSCSI_RS_REQ_LOG2, &req_log2, 4) ||
                !pvscsi_put(p, s->rings_state + PVSCSI_RS_CMP_PROD, &zero, 4) ||
                !pvscsi_put(p, s->rings_state + PVSCSI_RS_CMP_CONS, &zero, 4) ||
                !pvscsi_put(p, s->rings_state + PVSCSI_RS_CMP_LOG2, &cmp_log2, 4);
    s->status = s->broken ? ~0u : 0;
}

/* The controller's page: how many targets it is worth asking for. */
static void pvscsi_configuration(struct pvscsi *p, const struct pvscsi_config_command *w)
{
    enum { SIZE = 480, PHYS = 472 };
    u8 page[SIZE] = { 0 };

    put_le32(page, w->page);
    if (w->page == PVSCSI_CONFIG_CONTROLLER && w->address >> 32 == PVSCSI_CONFIG_ADDRESS) {
        put_le16(page + 4, SIZE / 4);
        put_le32(page + PHYS, p->present >> 16 ? TARGETS : 16);
        pvscsi_put(p, w->reply, page, SIZE);
        return;
    }
    put_le16(page + 6, PVSCSI_HOST_PARAMETER);
    put_le16(page + 8, SCSI_CHECK);
    pvscsi_put(p, w->reply, page, 16);
}

static void pvscsi_abort(struct pvscsi *p, const struct pvscsi_abort *w)
{
    pvscsi_take(p);
    for (u32 i = 0; i < REQUESTS; i++) {
        struct pvscsi_request *r = &p->request[i];

        if (r->busy && r->wire.context == w->context && r->target == w->target)
            r->host_status = PVSCSI_HOST_ABORTED; /* told when its memory is free */
    }
}

static void pvscsi_adapter_reset(struct pvscsi *p)
{
    struct pvscsi_state *s = &p->state;

    s->req_entries = s->cmp_entries = 0; /* nothing is taken or told any more */
    while (pvscsi_is_busy(p, ~0ull))
        domain_wait(p->dev.domain);
    *s = (struct pvscsi_state){ 0 };
    for (u32 i = 0; i < TARGETS; i++)
        scsi_reset(&s->unit[i], SCSI_ASC_RESET);
    p->starved = false;
    pci_level(&p->dev, false);
}

/* Answers as Linux expects it: not 0 when it is on. */
static void pvscsi_threshold(struct pvscsi *p, const struct pvscsi_setup_threshold *w)
{
    struct pvscsi_state *s = &p->state;
    u32 one = 1;

    s->threshold =
        w->enable && s->req_entries && pvscsi_put(p, s->rings_state + PVSCSI_RS_THRESHOLD, &one, 4);
    s->status = s->threshold;
}

static void pvscsi_reset_device(struct pvscsi *p, u32 target)
{
    if (target < TARGETS && p->present >> target & 1)
        pvscsi_reset_targets(p, 1ull << target);
    else
        p->state.status = ~0u;
}

/* All data words of the command are there. */
static void pvscsi_execute(struct pvscsi *p)
{
    struct pvscsi_state *s = &p->state;
    union {
        struct pvscsi_setup_rings rings;
        struct pvscsi_reset_device device;
        struct pvscsi_abort abort;
        struct pvscsi_config_command config;
        struct pvscsi_setup_messages messages;
        struct pvscsi_setup_threshold threshold;
    } w;

    memcpy(&w, s->data, sizeof(w));
    s->words = s->wanted = 0;
    s->status = 0;
    switch (s->command) {
    case PVSCSI_CMD_RESET:
        pvscsi_adapter_reset(p);
        break;
    case PVSCSI_CMD_SETUP_RINGS:
        pvscsi_setup_rings(p, &w.rings);
        break;
    case PVSCSI_CMD_RESET_BUS:
        pvscsi_reset_targets(p, ~0ull);
        break;
    case PVSCSI_CMD_RESET_DEVICE:
        pvscsi_reset_device(p, w.device.target);
        break;
    case PVSCSI_CMD_ABORT:
        pvscsi_abort(p, &w.abort);
        break;
    case PVSCSI_CMD_CONFIG:
        pvscsi_configuration(p, &w.config);
        break;
    case PVSCSI_CMD_SETUP_MSG_RING:
        pvscsi_setup_messages(p, &w.messages);
        break;
    case PVSCSI_CMD_SETUP_THRESHOLD:
        pvscsi_threshold(p, &w.threshold);
        break;
    default: /* how the adapter says that it has no such thing */
        s->status = ~0u;
    }
}

static u32 pvscsi_command_words(u32 command)
{
    switch (command) {
    case PVSCSI_CMD_SETUP_RINGS:
        return sizeof(struct pvscsi_setup_rings) / 4;
    case PVSCSI_CMD_RESET_DEVICE:
        return sizeof(struct pvscsi_reset_device) / 4;
    case PVSCSI_CMD_ABORT:
        return sizeof(struct pvscsi_abort) / 4;
    case PVSCSI_CMD_CONFIG:
        return sizeof(struct pvscsi_config_command) / 4;
    case PVSCSI_CMD_SETUP_MSG_RING:
        return sizeof(struct pvscsi_setup_messages) / 4;
    case PVSCSI_CMD_SETUP_THRESHOLD:
        return sizeof(struct pvscsi_setup_threshold) / 4;
    }
    return 0;
}

static u64 pvscsi_load(struct device *d, u32 off, u32 size)
{
    const struct pvscsi_state *s = &((struct pvscsi *)d)->state;

    (void)size;
    switch (off) {
    case PVSCSI_COMMAND_STATUS:
        return s->status;
    case PVSCSI_INTR_STATUS:
        return s->intr_status;
    case PVSCSI_INTR_MASK:
        return s->intr_mask;
    }
    return 0;
}

static void pvscsi_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct pvscsi *p = (struct pvscsi *)d;
    struct pvscsi_state *s = &p->state;

    (void)size;
    switch (off) {
    case PVSCSI_COMMAND:
        s->command = (u32)val;
        s->words = 0;
        s->wanted = pvscsi_command_words(s->command);
        s->status = PVSCSI_STATUS_MORE; /* drivers ask by this whether there is such a command */
        if (!s->wanted)
            pvscsi_execute(p);
        break;
    case PVSCSI_COMMAND_DATA:
        if (s->words >= s->wanted)
            break;
        s->data[s->words++] = (u32)val;
        if (s->words == s->wanted)
            pvscsi_execute(p);
        break;
    case PVSCSI_INTR_STATUS:
        s->intr_status &= ~(u32)val;
        pvscsi_interrupt(p);
        break;
    case PVSCSI_INTR_MASK:
        s->intr_mask = (u32)val & 0xf;
        pvscsi_interrupt(p);
        break;
    case PVSCSI_KICK_OTHER:
    case PVSCSI_KICK_RW:
        bell_ring(p->kick);
        break;
    }
}

void pvscsi_seat(struct pvscsi *p, u32 target, struct blk *blk)
{
    const struct pvscsi_config *c = &p->config;
    struct lun *l = &p->lun[target];
    bool cd = c->cd >> target & 1;

    if (!blk && !cd)
        return;
    p->present |= 1ull << target;
    lun_init(l, cd ? SCSI_CDROM : SCSI_DISK, blk, &p->state.unit[target],
             cd ? c->cd_vendor : c->vendor, cd ? c->cd_product : c->product,
             cd ? c->cd_revision : c->revision);
    if (c->serial[0])
        snprintf(l->unit.serial, sizeof(l->unit.serial), "%s%02x", c->serial, target);
}

static int pvscsi_create(struct device *d, struct err *e)
{
    static const struct pci_bar bars[] = {
        { .index = 0,
          .space = PCI_MEM32,
          .size = PVSCSI_BAR,
          .min = 4,
          .max = 4,
          .load = pvscsi_load,
          .store = pvscsi_store },
        { 0 },
    };
    struct pci_ident ident = {
        .vendor = PVSCSI_VENDOR,
        .device = PVSCSI_DEVICE,
        .subvendor = PVSCSI_VENDOR,
        .subdevice = PVSCSI_DEVICE,
        .class = 0x010000,
        .revision = 2,
        .pin = 1,
        .msi = true,
        .vectors = 1,
        .msix_bar = 0,
        .msix_table = PVSCSI_MSIX_TABLE,
        .msix_pba = PVSCSI_MSIX_PBA,
        .bars = bars,
    };
    struct pvscsi *p = (struct pvscsi *)d;
    char end[16];
    int rc;

    for (u32 i = 0; i < TARGETS; i++) {
        snprintf(end, sizeof(end), "scsi.%u", i);
        pvscsi_seat(p, i, device_end(d, end));
    }
    if (p->config.efi)
        ident.rom = pvscsi_rom, ident.rom_size = pvscsi_rom_size;
    p->request = calloc(REQUESTS, sizeof(*p->request));
    if (!p->request)
        return err_set(e, -ENOMEM, "no memory for requests");
    rc = bell_new(d, pvscsi_kicked, 0, &p->kick);
    if (rc)
        return err_set(e, rc, "no bell");
    rc = pci_plug(d, &ident, e);
    if (rc)
        return rc;
    pci_bell(d, 0, &(struct bell_place){ .at = PVSCSI_KICK_OTHER }, p->kick);
    pci_bell(d, 0, &(struct bell_place){ .at = PVSCSI_KICK_RW }, p->kick);
    return 0;
}

static void pvscsi_destroy(struct device *d)
{
    struct pvscsi *p = (struct pvscsi *)d;

    pci_unplug(d);
    free(p->request);
}

static void pvscsi_reset(struct device *d, enum reset kind)
{
    if (kind != RESET_SLEEP)
        pvscsi_adapter_reset((struct pvscsi *)d);
}

static void pvscsi_pause(struct device *d)
{
    struct pvscsi *p = (struct pvscsi *)d;

    domain_lock(d->domain);
    while (p->under_way)
        domain_wait(d->domain);
    domain_unlock(d->domain);
}

static void pvscsi_resume(struct device *d)
{
    bell_ring(((struct pvscsi *)d)->kick); /* what was left in the ring, or came with it */
}

static int pvscsi_check(const struct device *d, struct err *e)
{
    const struct pvscsi_state *s = &((const struct pvscsi *)d)->state;
    u32 req_max = PVSCSI_PAGES * (PVSCSI_PAGE / PVSCSI_REQUEST_SIZE);
    u32 cmp_max = PVSCSI_PAGES * (PVSCSI_PAGE / PVSCSI_COMPLETION_SIZE);

    if (s->msg_entries & (s->msg_entries - 1) ||
        s->msg_entries > PVSCSI_MSG_PAGES * PVSCSI_PAGE_MSGS)
        return err_set(e, -EBADMSG, "a message ring of %u entries", s->msg_entries);
    if (s->req_entries > req_max || s->cmp_entries > cmp_max ||
        (s->req_entries & (s->req_entries - 1)) || (s->cmp_entries & (s->cmp_entries - 1)))
        return err_set(e, -EBADMSG, "rings of %u and %u entries", s->req_entries, s->cmp_entries);
    if (s->wanted != pvscsi_command_words(s->command) && s->wanted)
        return err_set(e, -EBADMSG, "command %u takes no %u words", s->command, s->wanted);
    if (s->words > s->wanted)
        return err_set(e, -EBADMSG, "%u of %u words of a command", s->words, s->wanted);
    return 0;
}

static const struct field config[] = {
    FIELD(1, struct pvscsi_config, cd, 0, "targets that are CD-ROM drives, one bit each"),
    FIELD_TEXT(2, struct pvscsi_config, vendor, 0, "INQUIRY vendor of disks"),
    FIELD_TEXT(3, struct pvscsi_config, product, 0, "INQUIRY product of disks"),
    FIELD_TEXT(4, struct pvscsi_config, revision, 0, "INQUIRY revision of disks"),
    FIELD_TEXT(5, struct pvscsi_config, cd_vendor, 0, "INQUIRY vendor of CD-ROM drives"),
    FIELD_TEXT(6, struct pvscsi_config, cd_product, 0, "INQUIRY product of CD-ROM drives"),
    FIELD_TEXT(7, struct pvscsi_config, cd_revision, 0, "INQUIRY revision of CD-ROM drives"),
    FIELD_TEXT(8, struct pvscsi_config, serial, 0,
               "start of the serial numbers, the target follows; empty: none are told"),
    FIELD(9, struct pvscsi_config, efi, 0, "1: with an expansion ROM by which EFI boots from it"),
    FIELD_END
};
static const struct field state[] = {
    FIELD(1, struct pvscsi_state, rings_state, 0, "address of the rings' state page"),
    FIELDS(2, struct pvscsi_state, req_page, 0, "pages of the request ring"),
    FIELDS(3, struct pvscsi_state, cmp_page, 0, "pages of the completion ring"),
    FIELD(4, struct pvscsi_state, req_entries, 0, "entries of the request ring"),
    FIELD(5, struct pvscsi_state, cmp_entries, 0, "entries of the completion ring"),
    FIELD(6, struct pvscsi_state, req_cons, 0, "requests taken"),
    FIELD(7, struct pvscsi_state, cmp_prod, 0, "completions told"),
    FIELD(8, struct pvscsi_state, intr_status, 0, "interrupt status"),
    FIELD(9, struct pvscsi_state, intr_mask, 0, "interrupts that are on"),
    FIELD(10, struct pvscsi_state, command, 0, "last command"),
    FIELD(11, struct pvscsi_state, status, 0, "its status"),
    FIELD(12, struct pvscsi_state, words, 0, "words of the command that came"),
    FIELD(13, struct pvscsi_state, wanted, 0, "words that it takes"),
    FIELDS(14, struct pvscsi_state, data, 0, "the words"),
    FIELD(15, struct pvscsi_state, broken, 0, "nonsense in the ring: waits for a reset"),
    FIELDS(17, struct pvscsi_state, msg_page, 0, "pages of the message ring"),
    FIELD(18, struct pvscsi_state, leaving, 0, "targets that the guest was told to let go"),
    FIELD(19, struct pvscsi_state, msg_entries, 0, "entries of the message ring"),
    FIELD(20, struct pvscsi_state, msg_prod, 0, "messages told"),
    FIELD(21, struct pvscsi_state, threshold, 0, "the guest asks when to kick"),
    FIELDS(0, struct pvscsi_state, pad, F_LOCAL, "none"),
    FIELD_SUB(16, struct pvscsi_state, unit, 0, "targets", scsi_state_fields),
    FIELD_END
};

const struct device_class device_pvscsi = {
    .name = "pvscsi",
    .about = "VMware paravirtual SCSI adapter (15ad:07c0)",
    .size = sizeof(struct pvscsi),
    .config_at = offsetof(struct pvscsi, config),
    .config = config,
    .config_default = &(const struct pvscsi_config){ .vendor = "VMware",
                                                     .product = "Virtual disk",
                                                     .revision = "2.0",
                                                     .cd_vendor = "NECVMWar",
                                                     .cd_product = "VMware SATA CD00",
                                                     .cd_revision = "1.00" },
    .config_size = sizeof(struct pvscsi_config),
    .state_at = offsetof(struct pvscsi, state),
    .state_size = sizeof(struct pvscsi_state),
    .state = state,
    .create = pvscsi_create,
    .destroy = pvscsi_destroy,
    .reset = pvscsi_reset,
    .pause = pvscsi_pause,
    .resume = pvscsi_resume,
    .check = pvscsi_check,
    .end_set = pvscsi_end_set,
};
