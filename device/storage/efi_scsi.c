/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the EFI drivers in the expansion ROMs of SCSI adapters share (efi_scsi.h): the way in, the
 * binding to an adapter's PCI function, and the protocol by which EFI's SCSI bus driver asks for
 * commands.  UEFI 2.8, sections 11.1 and 15.7.
 *
 * Left out: logical units beyond the first, resets, 32-bit EFI.
 */
#include "device/storage/efi_scsi.h"

enum { PATH_MESSAGING = 3, PATH_SCSI = 2 };

struct driver {
    struct efi_binding binding;
    struct efi_boot *boot;
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

/* ---- commands ---- */

u32 adapter_load(struct adapter *a, u32 off)
{
    u32 val = ~0u;

    a->pci->load(a->pci, EFI_WIDTH_32, adapter_bar, off, 1, &val);
    return val;
}

void adapter_store(struct adapter *a, u32 off, u32 val)
{
    a->pci->store(a->pci, EFI_WIDTH_32, adapter_bar, off, 1, &val);
}

/* What came of it, told EFI's way. */
static u64 scsi_answer(struct efi_scsi_packet *k, const struct adapter_answer *w, u32 *len)
{
    u8 room = k->sense ? k->sense_len : 0;

    k->sense_len = w->sense_len < room ? (u8)w->sense_len : room;
    if (k->sense_len)
        memcpy(k->sense, w->sense, k->sense_len);
    k->target_status = w->status;
    if (w->moved < *len)
        *len = w->moved;
    switch (w->outcome) {
    case ADAPTER_DONE:
        k->host_status = EFI_HOST_OK;
        return 0;
    case ADAPTER_NOBODY:
        k->host_status = EFI_HOST_TIMEOUT;
        return EFI_TIMEOUT;
    default:
        k->host_status = EFI_HOST_OTHER;
        return EFI_DEVICE_ERROR;
    }
}

static u64 EFI scsi_pass(struct efi_scsi *s, u8 *target, u64 lun, struct efi_scsi_packet *k,
                         void *event)
{
    struct adapter *a = (struct adapter *)s;
    u32 *len = k->direction == EFI_SCSI_IN ? &k->in_len : &k->out_len;
    void *data = k->direction == EFI_SCSI_IN ? k->in : k->out, *mapping = 0;
    struct adapter_request ask = { .target = target[0], .packet = k, .len = *len };
    u64 mapped = *len < adapter_most ? *len : adapter_most, r = 0;
    struct adapter_answer answer;

    (void)event;
    if (k->direction > EFI_SCSI_OUT || !k->cdb || !k->cdb_len || k->cdb_len > 16 || lun ||
        target[0] >= adapter_targets)
        return EFI_BAD_PARAMETER;
    if (mapped)
        r = a->pci->map(a->pci, k->direction == EFI_SCSI_IN ? EFI_MAP_WRITE : EFI_MAP_READ, data,
                        &mapped, &ask.data, &mapping);
    if (r)
        return EFI_DEVICE_ERROR;
    if (mapped < *len) { /* EFI's driver comes again with as much */
        *len = (u32)mapped;
        r = EFI_BAD_BUFFER_SIZE;
    } else {
        r = adapter_run(a, &ask, &answer);
    }
    if (mapping)
        a->pci->unmap(a->pci, mapping);
    return r ? r : scsi_answer(k, &answer, len);
}

/* ---- who is there: every target may be asked ---- */

static int scsi_is_none(const u8 *target)
{
    for (u32 i = 0; i < EFI_TARGET; i++)
        if (target[i] != 0xff)
            return 0;
    return 1;
}

static u64 EFI scsi_next(struct efi_scsi *s, u8 **target)
{
    u8 *t = *target, next = scsi_is_none(t) ? 0 : (u8)(t[0] + 1);

    (void)s;
    if (next >= adapter_targets)
        return EFI_NOT_FOUND;
    memset(t, 0, EFI_TARGET);
    t[0] = next;
    return 0;
}

static u64 EFI scsi_next_unit(struct efi_scsi *s, u8 **target, u64 *lun)
{
    *lun = 0;
    return scsi_next(s, target);
}

static u64 EFI scsi_path(struct efi_scsi *s, u8 *target, u64 lun, struct efi_path **path)
{
    struct adapter *a = (struct adapter *)s;

    if (target[0] >= adapter_targets || lun)
        return EFI_NOT_FOUND;
    if (a->boot->pool(EFI_BOOT_DATA, sizeof(**path), (void **)path))
        return EFI_NO_MEMORY;
    memset(*path, 0, sizeof(**path));
    (*path)->type = PATH_MESSAGING;
    (*path)->subtype = PATH_SCSI;
    (*path)->len[0] = sizeof(**path);
    (*path)->target = target[0];
    return 0;
}

static u64 EFI scsi_unit(struct efi_scsi *s, const struct efi_path *path, u8 **target, u64 *lun)
{
    (void)s;
    if (path->type != PATH_MESSAGING || path->subtype != PATH_SCSI ||
        path->len[0] != sizeof(*path) || path->len[1])
        return EFI_UNSUPPORTED;
    if (path->target >= adapter_targets || path->lun)
        return EFI_NOT_FOUND;
    memset(*target, 0, EFI_TARGET);
    (*target)[0] = (u8)path->target;
    *lun = 0;
    return 0;
}

static u64 EFI scsi_reset(struct efi_scsi *s)
{
    (void)s;
    return EFI_UNSUPPORTED;
}

static u64 EFI scsi_reset_unit(struct efi_scsi *s, u8 *target, u64 lun)
{
    (void)s, (void)target, (void)lun;
    return EFI_UNSUPPORTED;
}

/* ---- the adapter's life ---- */

static void scsi_close(struct adapter *a)
{
    adapter_end(a);
    a->pci->unmap(a->pci, a->mapping);
    a->pci->pages_free(a->pci, adapter_pages, a->pages);
}

static u64 scsi_open(struct adapter *a)
{
    u64 n = adapter_pages * EFI_PAGE;
    u64 r = a->pci->attributes(a->pci, EFI_ATTRIBUTES_ON, EFI_PCI_MEMORY | EFI_PCI_MASTER, 0);

    if (!r)
        r = a->pci->pages(a->pci, 0, EFI_BOOT_DATA, adapter_pages, (void **)&a->pages, 0);
    if (r)
        return r;
    memset(a->pages, 0, n);
    r = a->pci->map(a->pci, EFI_MAP_COMMON, a->pages, &n, &a->bus, &a->mapping);
    if (!r && n < adapter_pages * EFI_PAGE) {
        a->pci->unmap(a->pci, a->mapping);
        r = EFI_NO_MEMORY;
    }
    if (r) {
        a->pci->pages_free(a->pci, adapter_pages, a->pages);
        return r;
    }
    r = adapter_begin(a);
    if (r)
        scsi_close(a);
    return r;
}

static u64 scsi_offer(struct adapter *a, void *controller)
{
    a->mode.adapter = ~0u;
    a->mode.attributes = EFI_SCSI_PHYSICAL | EFI_SCSI_LOGICAL;
    a->scsi.mode = &a->mode;
    a->scsi.pass = scsi_pass;
    a->scsi.next_unit = scsi_next_unit;
    a->scsi.path = scsi_path;
    a->scsi.unit = scsi_unit;
    a->scsi.reset = scsi_reset;
    a->scsi.reset_unit = scsi_reset_unit;
    a->scsi.next = scsi_next;
    return a->boot->install(&controller, &scsi_guid, EFI_NATIVE, &a->scsi);
}

static u64 EFI scsi_supported(struct efi_binding *b, void *controller, void *rest)
{
    struct efi_boot *boot = ((struct driver *)b)->boot;
    struct efi_pci *pci;
    u32 id = 0;
    u64 r = boot->open(controller, &pci_guid, (void **)&pci, b->handle, controller, EFI_BY_DRIVER);

    (void)rest;
    if (r)
        return r;
    r = pci->config_load(pci, EFI_WIDTH_32, 0, 1, &id);
    boot->close(controller, &pci_guid, b->handle, controller);
    return r || !adapter_is(id) ? EFI_UNSUPPORTED : 0;
}

static u64 EFI scsi_start(struct efi_binding *b, void *controller, void *rest)
{
    struct efi_boot *boot = ((struct driver *)b)->boot;
    struct adapter *a;
    u64 r = boot->pool(EFI_BOOT_DATA, sizeof(*a), (void **)&a);

    (void)rest;
    if (r)
        return r;
    memset(a, 0, sizeof(*a));
    a->boot = boot;
    r = boot->open(controller, &pci_guid, (void **)&a->pci, b->handle, controller, EFI_BY_DRIVER);
    if (!r) {
        r = scsi_open(a);
        if (!r && (r = scsi_offer(a, controller)))
            scsi_close(a);
        if (r)
            boot->close(controller, &pci_guid, b->handle, controller);
    }
    if (r)
        boot->pool_free(a);
    return r;
}

static u64 EFI scsi_stop(struct efi_binding *b, void *controller, u64 n, void **children)
{
    struct efi_boot *boot = ((struct driver *)b)->boot;
    struct adapter *a;
    u64 r = boot->open(controller, &scsi_guid, (void **)&a, b->handle, controller, 2);

    (void)n, (void)children;
    r = r ? r : boot->uninstall(controller, &scsi_guid, a);
    if (r)
        return r;
    scsi_close(a);
    boot->close(controller, &pci_guid, b->handle, controller);
    boot->pool_free(a);
    return 0;
}

u64 EFI _start(void *image, struct efi_system *system);
u64 EFI _start(void *image, struct efi_system *system)
{
    struct driver *d;
    void *handle = image;

    if (system->boot->pool(EFI_BOOT_DATA, sizeof(*d), (void **)&d))
        return EFI_NO_MEMORY;
    memset(d, 0, sizeof(*d));
    d->boot = system->boot;
    d->binding.supported = scsi_supported;
    d->binding.start = scsi_start;
    d->binding.stop = scsi_stop;
    d->binding.version = 0x10;
    d->binding.image = d->binding.handle = image;
    return system->boot->install(&handle, &binding_guid, EFI_NATIVE, &d->binding);
}
