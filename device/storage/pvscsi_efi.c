/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What EFI runs from the expansion ROM of a pvscsi adapter, so that it boots from the disks there:
 * OVMF as distributions build it has no driver for one.  It gives EFI's SCSI bus driver a way to
 * the adapter, one request at a time, polled.  Freestanding 64-bit code that runs in the guest,
 * wherever it is put: no pointer is in its data, and nothing there is written (tools/mkefirom.py).
 *
 * Left out: logical units beyond the first, resets, 32-bit EFI.
 */
#include "device/storage/efi_driver.h"

enum { PV_VENDOR_DEVICE = 0x07c015ad, PV_TARGETS = 64, PV_PAGES = 4, PV_PAGE = 4096 };
enum { REG_COMMAND = 0, REG_DATA = 4, REG_STATUS = 0x100c, REG_KICK = 0x4018 };
enum { CMD_RESET = 1, CMD_RINGS = 3, RINGS_WORDS = 132 };
enum { FLAG_NONE = 4, FLAG_TO_HOST = 8, FLAG_TO_DEVICE = 16, TAG_SIMPLE = 0x20 };
enum { HOST_UNDERRUN = 0x0c, HOST_NO_DEVICE = 0x11 };
enum { POLL_US = 20, POLLS = 30 * 1000000 / POLL_US, SENSE_ROOM = 96 };
enum { PATH_MESSAGING = 3, PATH_SCSI = 2 };

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

struct pv_driver {
    struct efi_binding binding;
    struct efi_boot *boot;
};
struct pv {
    struct efi_scsi scsi; /* first: what EFI calls with */
    struct efi_scsi_mode mode;
    struct efi_boot *boot;
    struct efi_pci *pci;
    void *mapping;
    u8 *pages; /* state, requests, completions, sense */
    u64 bus;
};

static const struct efi_guid binding_guid = {
    0x18a031ab, 0xb443, 0x4d1a, { 0xa5, 0xc0, 0x0c, 0x09, 0x26, 0x1e, 0x9f, 0x71 }
};
static const struct efi_guid pci_guid = {
    0x4cf5b200, 0x68b8, 0x4ca5, { 0x9e, 0xec, 0xb2, 0x3e, 0x3f, 0x50, 0x02, 0x9a }
};
static const struct efi_guid scsi_guid = {
    0x143b7632, 0xb81b, 0x4cb7, { 0xab, 0xd3, 0xb6, 0x25, 0xa5, 0xb9, 0xbf, 0xfe }
};

/* The compiler's own: freestanding code brings them along. */
void *memset(void *to, int c, unsigned long n)
{
    for (volatile u8 *p = to; n; n--)
        *p++ = (u8)c;
    return to;
}

void *memcpy(void *to, const void *from, unsigned long n)
{
    volatile u8 *p = to;

    for (const u8 *q = from; n; n--)
        *p++ = *q++;
    return to;
}

static void pv_store(struct pv *v, u32 off, u32 val)
{
    v->pci->store(v->pci, EFI_WIDTH_32, 0, off, 1, &val);
}

/* ---- requests ---- */

static volatile struct pv_state *pv_state(struct pv *v)
{
    return (volatile struct pv_state *)v->pages;
}

static u64 pv_wait(struct pv *v, struct pv_completion *c)
{
    volatile struct pv_state *s = pv_state(v);
    u32 mask = (1u << s->cmp_log2) - 1;

    for (u32 i = 0; s->cmp_prod == s->cmp_cons; i++) {
        if (i == POLLS)
            return EFI_TIMEOUT;
        v->boot->stall(POLL_US);
    }
    memcpy(c, v->pages + 2 * PV_PAGE + (s->cmp_cons & mask) * sizeof(*c), sizeof(*c));
    s->cmp_cons++;
    pv_store(v, REG_STATUS, 1);
    return 0;
}

static u64 pv_ask(struct pv *v, u8 target, const struct efi_scsi_packet *k, u64 data, u64 len,
                  struct pv_completion *c)
{
    volatile struct pv_state *s = pv_state(v);
    u32 mask = (1u << s->req_log2) - 1;
    struct pv_request *r = (struct pv_request *)(v->pages + PV_PAGE) + (s->req_prod & mask);

    memset(r, 0, sizeof(*r));
    r->context = 1;
    r->data = data;
    r->data_len = len;
    r->sense = v->bus + 3 * PV_PAGE;
    r->sense_len = SENSE_ROOM;
    r->flags = !len ? FLAG_NONE : k->direction == EFI_SCSI_IN ? FLAG_TO_HOST : FLAG_TO_DEVICE;
    memcpy(r->cdb, k->cdb, k->cdb_len);
    r->cdb_len = k->cdb_len;
    r->tag = TAG_SIMPLE;
    r->target = target;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    s->req_prod++;
    pv_store(v, REG_KICK, 0);
    return pv_wait(v, c);
}

/* What came of it, told EFI's way. */
static u64 pv_answer(struct pv *v, struct efi_scsi_packet *k, const struct pv_completion *c,
                     u32 *len)
{
    u8 room = k->sense ? k->sense_len : 0;

    k->sense_len = c->sense_len < room ? (u8)c->sense_len : room;
    if (k->sense_len)
        memcpy(k->sense, v->pages + 3 * PV_PAGE, k->sense_len);
    k->target_status = (u8)c->scsi;
    k->host_status = EFI_HOST_OK;
    if (c->data_len < *len)
        *len = (u32)c->data_len;
    if (c->host == 0 || c->host == HOST_UNDERRUN)
        return 0;
    k->host_status = c->host == HOST_NO_DEVICE ? EFI_HOST_TIMEOUT : EFI_HOST_OTHER;
    return c->host == HOST_NO_DEVICE ? EFI_TIMEOUT : EFI_DEVICE_ERROR;
}

static u64 EFI pv_pass(struct efi_scsi *s, u8 *target, u64 lun, struct efi_scsi_packet *k,
                       void *event)
{
    struct pv *v = (struct pv *)s;
    u32 *len = k->direction == EFI_SCSI_IN ? &k->in_len : &k->out_len;
    void *data = k->direction == EFI_SCSI_IN ? k->in : k->out, *mapping = 0;
    u64 bus = 0, mapped = *len, r = 0;
    struct pv_completion c;

    (void)event;
    if (k->direction > EFI_SCSI_OUT || !k->cdb || !k->cdb_len || k->cdb_len > 16 || lun ||
        target[0] >= PV_TARGETS)
        return EFI_BAD_PARAMETER;
    if (mapped)
        r = v->pci->map(v->pci, k->direction == EFI_SCSI_IN ? EFI_MAP_WRITE : EFI_MAP_READ, data,
                        &mapped, &bus, &mapping);
    if (r)
        return EFI_DEVICE_ERROR;
    if (mapped < *len) { /* EFI's driver comes again with as much */
        *len = (u32)mapped;
        r = EFI_BAD_BUFFER_SIZE;
    } else {
        r = pv_ask(v, target[0], k, bus, mapped, &c);
    }
    if (mapping)
        v->pci->unmap(v->pci, mapping);
    return r ? r : pv_answer(v, k, &c, len);
}

/* ---- who is there: every target may be asked ---- */

static int pv_is_none(const u8 *target)
{
    for (u32 i = 0; i < EFI_TARGET; i++)
        if (target[i] != 0xff)
            return 0;
    return 1;
}

static u64 EFI pv_next(struct efi_scsi *s, u8 **target)
{
    u8 *t = *target, next = pv_is_none(t) ? 0 : (u8)(t[0] + 1);

    (void)s;
    if (next >= PV_TARGETS)
        return EFI_NOT_FOUND;
    memset(t, 0, EFI_TARGET);
    t[0] = next;
    return 0;
}

static u64 EFI pv_next_unit(struct efi_scsi *s, u8 **target, u64 *lun)
{
    *lun = 0;
    return pv_next(s, target);
}

static u64 EFI pv_path(struct efi_scsi *s, u8 *target, u64 lun, struct efi_path **path)
{
    struct pv *v = (struct pv *)s;

    if (target[0] >= PV_TARGETS || lun)
        return EFI_NOT_FOUND;
    if (v->boot->pool(EFI_BOOT_DATA, sizeof(**path), (void **)path))
        return EFI_NO_MEMORY;
    memset(*path, 0, sizeof(**path));
    (*path)->type = PATH_MESSAGING;
    (*path)->subtype = PATH_SCSI;
    (*path)->len[0] = sizeof(**path);
    (*path)->target = target[0];
    return 0;
}

static u64 EFI pv_unit(struct efi_scsi *s, const struct efi_path *path, u8 **target, u64 *lun)
{
    (void)s;
    if (path->type != PATH_MESSAGING || path->subtype != PATH_SCSI ||
        path->len[0] != sizeof(*path) || path->len[1])
        return EFI_UNSUPPORTED;
    if (path->target >= PV_TARGETS || path->lun)
        return EFI_NOT_FOUND;
    memset(*target, 0, EFI_TARGET);
    (*target)[0] = (u8)path->target;
    *lun = 0;
    return 0;
}

static u64 EFI pv_reset(struct efi_scsi *s)
{
    (void)s;
    return EFI_UNSUPPORTED;
}

static u64 EFI pv_reset_unit(struct efi_scsi *s, u8 *target, u64 lun)
{
    (void)s, (void)target, (void)lun;
    return EFI_UNSUPPORTED;
}

/* ---- the adapter's life ---- */

static void pv_rings(struct pv *v)
{
    u32 words[RINGS_WORDS];
    u64 page = v->bus / PV_PAGE;

    memset(words, 0, sizeof(words));
    words[0] = words[1] = 1;
    for (u32 i = 0; i < 3; i++) { /* state; the first pages of requests and of completions */
        u32 at = i == 0 ? 2 : i == 1 ? 4 : 68;

        words[at] = (u32)(page + i);
        words[at + 1] = (u32)((page + i) >> 32);
    }
    pv_store(v, REG_COMMAND, CMD_RINGS);
    for (u32 i = 0; i < RINGS_WORDS; i++)
        pv_store(v, REG_DATA, words[i]);
}

static u64 pv_open(struct pv *v)
{
    u64 n = PV_PAGES * PV_PAGE;
    u64 r = v->pci->attributes(v->pci, EFI_ATTRIBUTES_ON, EFI_PCI_MEMORY | EFI_PCI_MASTER, 0);

    if (!r)
        r = v->pci->pages(v->pci, 0, EFI_BOOT_DATA, PV_PAGES, (void **)&v->pages, 0);
    if (r)
        return r;
    memset(v->pages, 0, n);
    r = v->pci->map(v->pci, EFI_MAP_COMMON, v->pages, &n, &v->bus, &v->mapping);
    if (!r && n < PV_PAGES * PV_PAGE) {
        v->pci->unmap(v->pci, v->mapping);
        r = EFI_NO_MEMORY;
    }
    if (r) {
        v->pci->pages_free(v->pci, PV_PAGES, v->pages);
        return r;
    }
    pv_store(v, REG_COMMAND, CMD_RESET);
    pv_rings(v);
    return 0;
}

static void pv_close(struct pv *v)
{
    pv_store(v, REG_COMMAND, CMD_RESET);
    v->pci->unmap(v->pci, v->mapping);
    v->pci->pages_free(v->pci, PV_PAGES, v->pages);
}

static u64 pv_offer(struct pv *v, void *controller)
{
    v->mode.adapter = ~0u;
    v->mode.attributes = EFI_SCSI_PHYSICAL | EFI_SCSI_LOGICAL;
    v->scsi.mode = &v->mode;
    v->scsi.pass = pv_pass;
    v->scsi.next_unit = pv_next_unit;
    v->scsi.path = pv_path;
    v->scsi.unit = pv_unit;
    v->scsi.reset = pv_reset;
    v->scsi.reset_unit = pv_reset_unit;
    v->scsi.next = pv_next;
    return v->boot->install(&controller, &scsi_guid, EFI_NATIVE, &v->scsi);
}

static u64 EFI pv_supported(struct efi_binding *b, void *controller, void *rest)
{
    struct efi_boot *boot = ((struct pv_driver *)b)->boot;
    struct efi_pci *pci;
    u32 id = 0;
    u64 r = boot->open(controller, &pci_guid, (void **)&pci, b->handle, controller, EFI_BY_DRIVER);

    (void)rest;
    if (r)
        return r;
    r = pci->config_load(pci, EFI_WIDTH_32, 0, 1, &id);
    boot->close(controller, &pci_guid, b->handle, controller);
    return r || id != PV_VENDOR_DEVICE ? EFI_UNSUPPORTED : 0;
}

static u64 EFI pv_start(struct efi_binding *b, void *controller, void *rest)
{
    struct efi_boot *boot = ((struct pv_driver *)b)->boot;
    struct pv *v;
    u64 r = boot->pool(EFI_BOOT_DATA, sizeof(*v), (void **)&v);

    (void)rest;
    if (r)
        return r;
    memset(v, 0, sizeof(*v));
    v->boot = boot;
    r = boot->open(controller, &pci_guid, (void **)&v->pci, b->handle, controller, EFI_BY_DRIVER);
    if (!r) {
        r = pv_open(v);
        if (!r && (r = pv_offer(v, controller)))
            pv_close(v);
        if (r)
            boot->close(controller, &pci_guid, b->handle, controller);
    }
    if (r)
        boot->pool_free(v);
    return r;
}

static u64 EFI pv_stop(struct efi_binding *b, void *controller, u64 n, void **children)
{
    struct efi_boot *boot = ((struct pv_driver *)b)->boot;
    struct pv *v;
    u64 r = boot->open(controller, &scsi_guid, (void **)&v, b->handle, controller, 2);

    (void)n, (void)children;
    r = r ? r : boot->uninstall(controller, &scsi_guid, v);
    if (r)
        return r;
    pv_close(v);
    boot->close(controller, &pci_guid, b->handle, controller);
    boot->pool_free(v);
    return 0;
}

u64 EFI _start(void *image, struct efi_system *system);
u64 EFI _start(void *image, struct efi_system *system)
{
    struct pv_driver *d;
    void *handle = image;

    if (system->boot->pool(EFI_BOOT_DATA, sizeof(*d), (void **)&d))
        return EFI_NO_MEMORY;
    memset(d, 0, sizeof(*d));
    d->boot = system->boot;
    d->binding.supported = pv_supported;
    d->binding.start = pv_start;
    d->binding.stop = pv_stop;
    d->binding.version = 0x10;
    d->binding.image = d->binding.handle = image;
    return system->boot->install(&handle, &binding_guid, EFI_NATIVE, &d->binding);
}
