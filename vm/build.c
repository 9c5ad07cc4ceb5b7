/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a description to a machine: the PC's own parts, then the description's controllers
 * with their disks, network cards, serial lines, the persona.  What has no part here is
 * noted by name; what the guest cannot boot without is an error.
 */
#include "backend/blk.h"
#include "backend/chr.h"
#include "backend/net.h"
#include "backend/nvram.h"
#include "backend/tpm.h"
#include "backend/vmtools_vsock.h"
#include "backend/vsock.h"
#include "bus/pci.h"
#include "image/image.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUILD_SETTINGS = 8 };

/* The parts that every PC has, in the order that they are made. */
struct build_part {
    const char *class, *name;
    i8 slot, function; /* on PCI; -1: not there */
};
static const struct build_part build_chipset[] = {
    { "pic", "pic", -1, 0 },         { "ioapic", "ioapic", -1, 0 },
    { "lapic", "lapic", -1, 0 },     { "i440fx", "i440fx", 0, 0 },
    { "piix3", "piix3", 1, 0 },      { "piix4pm", "piix4pm", 1, 3 },
    { "dma8237", "dma8237", -1, 0 }, { "pit", "pit", -1, 0 },
    { "hpet", "hpet", -1, 0 },       { "rtc", "rtc", -1, 0 },
    { "i8042", "i8042", -1, 0 },     { "rom", "bios", -1, 0 },
    { "fwcfg", "fwcfg", -1, 0 },     { "vmgenid", "vmgenid", -1, 0 },
};

static int build_device(struct vm *vm, const char *class, const char *name,
                        const char *const *settings, const struct device_end *ends, struct err *e)
{
    static const char *const no_settings[] = { NULL };
    static const struct device_end no_ends[] = { { NULL, NULL } };

    return device_new(vm->machine, class, name, settings ? settings : no_settings,
                      ends ? ends : no_ends, NULL, e);
}

/* Where the south bridge is. */
u8 vm_build_south(const struct vm *vm)
{
    return vm_board_is_vmware(vm) ? 7 : 1;
}

/*
 * SeaBIOS wakes a guest, and so do we where there is no BIOS.  OVMF would have to be told at its
 * first start, and would want what only SMM gives; a TPM would have to be started again by somebody.
 */
static bool build_sleeps(const struct vm *vm)
{
    return !vm->efi && !vm->how.desc->tpm;
}

static const char *const *build_board(const struct vm *vm, const char *part)
{
    static const char *const
        bios[] = { "board", "vmware-bios", NULL },
        *const efi[] = { "board", "vmware-efi", NULL }, *const none[] = { "board", "vmware", NULL },
        *const south[] = { "vmware", "1", NULL }, *const sleeps[] = { "sleeps", "1", NULL },
        *const both[] = { "vmware", "1", "sleeps", "1", NULL };
    bool vmware = vm_board_is_vmware(vm);

    if (!strcmp(part, "piix4pm") && build_sleeps(vm))
        return vmware ? both : sleeps;
    if (vmware && !strncmp(part, "piix", 4))
        return south;
    if (!vmware || strcmp(part, "i440fx"))
        return NULL;
    return vm->efi ? efi : vm->how.kernel ? none : bios;
}

static int build_base(struct vm *vm, struct err *e)
{
    for (u32 i = 0; i < LEN(build_chipset); i++) {
        const struct build_part *p = &build_chipset[i];
        int r = 0;

        if (p->slot >= 0)
            r = pci_place(vm->machine, p->name, p->slot == 1 ? vm_build_south(vm) : (u8)p->slot,
                          (u8)p->function, e);
        if (!r)
            r = build_device(vm, p->class, p->name, build_board(vm, p->class), NULL, e);
        if (r)
            return r;
    }
    return 0;
}

/* ---- the screen ---- */

enum { SVGA_SLOT = 15, VGA_SLOT = 2 };

/* VMware's adapter has no name in its own packages; others' have many. */
static bool build_is_svga(const struct desc *d)
{
    static const char *const names[] = { "svga", "vmsvga", "vmvga", "vmware" };

    for (u32 i = 0; i < LEN(names) && d->display; i++)
        if (!strcasecmp(d->display, names[i]))
            return true;
    return !d->display && d->persona && !strcmp(d->persona, "vmware");
}

static bool build_is_vga(const struct desc *d)
{
    static const char *const names[] = { "vga", "std", "stdvga", "VBoxVGA" };

    for (u32 i = 0; i < LEN(names) && d->display; i++)
        if (!strcasecmp(d->display, names[i]))
            return true;
    return !d->display;
}

/* As the package says; VMware takes no less than this when it is to find out by itself. */
static u64 build_vram(const struct desc *d)
{
    const char *detect = desc_extra(d, "vmx", "svga.autodetect");
    bool finds = detect && !strcasecmp(detect, "true");

    return d->video_memory && finds ? max_u64(d->video_memory, 32 << 20) : d->video_memory;
}

static int build_screen(struct vm *vm, struct notes *notes, struct err *e)
{
    const struct desc *d = vm->how.desc;
    bool svga = build_is_svga(d), size = svga && d->video_memory;
    char vram[16];
    int r;

    snprintf(vram, sizeof(vram), "%u", (u32)min_u64(build_vram(d), 1u << 30));
    if (!svga && !build_is_vga(d))
        note(notes, NOTE_CHANGED, "display", "%s becomes a standard VGA", d->display);
    r = pci_place(vm->machine, "vga", svga ? SVGA_SLOT : VGA_SLOT, 0, e);
    return r ? r
             : build_device(vm, svga ? "svga" : "vga", "vga",
                            (const char *const[]){ size ? "vram" : NULL, vram, NULL }, NULL, e);
}

/* ---- slots ---- */

/*
 * VMware's slot number: the device of bus 0 below 32; function, bridge and device above.  Where
 * there is no such bridge they sit where there is room; their slot is called what it was anyway.
 */
static int build_slot(struct vm *vm, const char *name, const char *at, struct err *e)
{
    struct machine *m = vm->machine;
    unsigned n;
    int r;

    if (sscanf(at, "slot.%u", &n) != 1 || !n)
        return 0;
    r = pci_number(m, name, (n & 0x3ff) + (n >> 10), e);
    if (!r && n >> 5 <= 255 && pci_vacant_on(m, (u8)(n >> 5), n & 31))
        r = pci_place_on(m, name, (u8)(n >> 5), n & 31, 0, e);
    return r;
}

static int build_slots(struct vm *vm, struct err *e)
{
    int r = 0;

    for (const struct desc_device *v = vm->how.desc->devices; v && !r; v = v->next)
        if (v->known)
            r = build_slot(vm, v->name, v->at, e);
    for (const struct desc_nic *n = vm->how.desc->nics; n && !r; n = n->next)
        if (n->known)
            r = build_slot(vm, n->name, n->at, e);
    return r;
}

/* ---- disks ---- */

int vm_build_blk(struct vm *vm, const struct desc_disk *d, struct blk **b, struct err *e)
{
    struct vm_disk *k = &vm->disks[vm->ndisks];
    struct image *im;
    int r;

    if (vm->ndisks == VM_DISKS_MAX)
        return err_set(e, -E2BIG, "%s: more than %d disks", d->name, VM_DISKS_MAX);
    r = vm_disk_open(vm, d, k, &im, e);
    if (r)
        return r;
    r = blk_open(b, im, machine_lane(vm->machine), e);
    if (r) {
        vm_disk_end(k);
        return r;
    }
    if (k->fresh)
        blk_on_flush(*b, vm_overlay_ready, k->fresh);
    k->desc = d, k->blk = *b, vm->ndisks++;
    return 0;
}

enum build_efi { EFI_DRIVES, EFI_DRIVES_BY_ROM, EFI_DRIVES_NOT }; /* what OVMF has for it */

/* Controllers whose disks are host ends of their own, "<prefix>.<unit>". */
struct build_storage {
    const char *class, *prefix;
    u32 units;
    enum build_efi efi;
};
static const struct build_storage build_storages[] = {
    { "pvscsi", "scsi", 64, EFI_DRIVES_BY_ROM },
    { "lsilogic", "scsi", 16, EFI_DRIVES_BY_ROM },
    { "lsisas1068", "scsi", 16, EFI_DRIVES_BY_ROM },
    { "buslogic", "scsi", 16, EFI_DRIVES_NOT },
    { "ahci", "sata", 30, EFI_DRIVES },
    { "nvme", "nvme", 16, EFI_DRIVES },
    { "fdc", "floppy", 2, EFI_DRIVES },
};
static const struct build_storage build_ide = { "ide", "ide", 4, EFI_DRIVES };

static const struct build_storage *build_storage_of(const char *class)
{
    for (u32 i = 0; i < LEN(build_storages); i++)
        if (!strcmp(build_storages[i].class, class))
            return &build_storages[i];
    return NULL;
}

/* A controller with the disks that name it: ends "scsi.<unit>" or "ide.<unit>". */
static int build_controller(struct vm *vm, const char *name, const struct build_storage *of,
                            struct err *e)
{
    struct device_end ends[VM_DISKS_MAX + 1] = { { NULL, NULL } };
    const char *settings[BUILD_SETTINGS + 1] = { NULL };
    char kinds[VM_DISKS_MAX][16], number[24];
    u64 cds = 0;
    u32 n = 0, most = 0, nset = 0;

    for (const struct desc_disk *d = vm->how.desc->disks; d; d = d->next) {
        struct blk *b = NULL;
        int r;

        if (!d->controller || strcmp(d->controller, name))
            continue;
        if (d->unit >= of->units || n == VM_DISKS_MAX)
            return err_set(e, -EINVAL, "%s: %s has no place %u", d->name, name, d->unit);
        if (!d->path && d->media == DESC_DISK)
            return err_set(e, -ENOENT, "%s: the package names no file for it", d->name);
        cds |= d->media == DESC_CDROM ? 1ull << d->unit : 0;
        most = d->unit > most ? d->unit : most;
        r = d->path ? vm_build_blk(vm, d, &b, e) : 0;
        if (r)
            return r;
        if (!b)
            continue;
        snprintf(kinds[n], sizeof(kinds[n]), "%s.%u", of->prefix, d->unit);
        ends[n] = (struct device_end){ kinds[n], b };
        n++;
    }
    if (cds && !strcmp(of->class, "nvme"))
        return err_set(e, -EINVAL, "%s: NVMe has no CD-ROM drives", name);
    if (cds || !strcmp(of->class, "fdc")) {
        settings[nset++] = cds ? "cd" : "drives";
        settings[nset++] = number;
    }
    snprintf(number, sizeof(number), "%llu", cds ? (unsigned long long)cds : most + 1);
    if (!strcmp(of->class, "ide") && vm_board_is_vmware(vm)) {
        settings[nset++] = "vmware";
        settings[nset++] = "1";
    }
    if (of->efi == EFI_DRIVES_BY_ROM && vm->efi) {
        settings[nset++] = "efi";
        settings[nset++] = "1";
    }
    return build_device(vm, of->class, name, settings, ends, e);
}

static int build_virtio_disks(struct vm *vm, const char *controller, struct err *e)
{
    for (const struct desc_disk *d = vm->how.desc->disks; d; d = d->next) {
        struct blk *b;
        int r;

        if (!d->controller || strcmp(d->controller, controller) || !d->path)
            continue;
        r = vm_build_blk(vm, d, &b, e);
        if (!r)
            r = build_device(vm, "virtio_blk", d->name, NULL,
                             (struct device_end[]){ { "blk", b }, { NULL, NULL } }, e);
        if (r)
            return r;
    }
    return 0;
}

/* An empty drive is no reason to refuse a VM; nor is a floppy. */
static bool build_has_disks(const struct desc *d, const char *controller)
{
    for (const struct desc_disk *k = d->disks; k; k = k->next)
        if (k->controller && !strcmp(k->controller, controller) && k->media != DESC_FLOPPY &&
            (k->media == DESC_DISK || k->source))
            return true;
    return false;
}

const char *vm_disk_prefix(const char *class)
{
    const struct build_storage *b = build_storage_of(class);

    return b ? b->prefix : "";
}

static int build_storage(struct vm *vm, struct notes *notes, struct err *e)
{
    const struct desc *d = vm->how.desc;
    bool ide = false;
    int r = 0;

    for (const struct desc_device *v = d->devices; v && !r; v = v->next) {
        const struct build_storage *b = build_storage_of(v->class);

        if (b) {
            r = build_controller(vm, v->name, b, e);
            if (!r && b->efi == EFI_DRIVES_NOT && vm->efi && build_has_disks(d, v->name))
                note(notes, NOTE_LOST, v->name,
                     "the EFI firmware has no driver for %s: the guest cannot boot from its disks, "
                     "but by BIOS or with --kernel",
                     b->class);
        } else if (!strcmp(v->class, "ide") && !ide) {
            r = pci_place(vm->machine, v->name, vm_build_south(vm), 1, e);
            if (!r)
                r = build_controller(vm, v->name, &build_ide, e);
            ide = true;
        } else if (!strcmp(v->class, "virtio_blk")) {
            r = build_virtio_disks(vm, v->name, e);
        } else if (vm_usb_is(v->class)) {
            continue;
        } else if (build_has_disks(d, v->name)) {
            r = err_set(e, -EOPNOTSUPP, "%s: disks on a %s controller cannot be run yet", v->name,
                        v->foreign ? v->foreign : v->class);
        } else if (!v->known) {
            note(notes, NOTE_LOST, v->name, "%s is not offered",
                 v->foreign ? v->foreign : v->class);
        }
    }
    if (!r && !ide && vm_board_is_vmware(vm)) { /* a function of the south bridge in any case */
        r = pci_place(vm->machine, "ide", vm_build_south(vm), 1, e);
        r = r ? r : build_controller(vm, "ide", &build_ide, e);
    }
    return r;
}

/* ---- network ---- */

static int build_nic(struct vm *vm, const struct desc_nic *n, struct notes *notes, struct err *e)
{
    const char *settings[BUILD_SETTINGS + 1] = { NULL };
    struct net_make make = { .ports = vm->nnets ? NULL : vm->how.ports,
                             .nports = vm->nnets ? 0 : vm->how.nports,
                             .restricted = vm->how.restricted,
                             .hostname = vm->how.desc->name };
    const u8 other[6] = { 0x52, 0x54, 0x00, 0x12, 0x35, (u8)vm->nnets };
    struct net *net;
    char mac[18];
    u32 nset = 0;
    int r;

    if (!n->known) {
        note(notes, NOTE_LOST, n->name, "a network card of the kind %s is not offered yet",
             n->foreign ? n->foreign : n->class);
        return 0;
    }
    if (vm->nnets == VM_NICS_MAX)
        return err_set(e, -E2BIG, "more than %d network cards", VM_NICS_MAX);
    if (n->has_mac || vm->nnets) { /* else its class's own; no two are the same */
        const u8 *a = n->has_mac ? n->mac : other;

        snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4],
                 a[5]);
        settings[nset++] = "mac";
        settings[nset++] = mac;
    }
    if (!strcmp(n->class, "e1000") && vm_board_is_vmware(vm)) {
        settings[nset++] = "vmware";
        settings[nset++] = "1";
    }
    r = net_open_user(&net, &make, machine_lane(vm->machine), e);
    if (r)
        return r;
    vm->nets[vm->nnets++] = net;
    return build_device(vm, n->class, n->name, settings,
                        (struct device_end[]){ { "net", net }, { NULL, NULL } }, e);
}

static int build_nics(struct vm *vm, struct notes *notes, struct err *e)
{
    int r = 0;

    for (const struct desc_nic *n = vm->how.desc->nics; n && !r; n = n->next)
        r = build_nic(vm, n, notes, e);
    if (!r && vm->how.nports && !vm->nnets)
        return err_set(e, -EINVAL, "--publish: the VM has no network card");
    return r;
}

/* ---- persona ---- */

static bool build_has_persona(const char *name)
{
    for (int i = 0; persona_catalog[i]; i++)
        if (!strcmp(persona_catalog[i]->name, name))
            return true;
    return false;
}

static int build_persona(struct vm *vm, struct notes *notes, struct err *e)
{
    const struct desc *d = vm->how.desc;
    bool asked = strcmp(vm->how.persona, "auto");
    const char *want = asked ? vm->how.persona : d->persona;
    const char *settings[BUILD_SETTINGS + 1] = { NULL };
    char version[16], uuid[40];
    u32 n = 0;

    if (!strcmp(want, "none") || !strcmp(want, "auto"))
        return 0;
    if (!asked && !build_has_persona(want)) { /* the package's: a guest can do without */
        note(notes, NOTE_LOST, "persona", "%s is not offered yet: the guest sees a plain PC", want);
        return 0;
    }
    if (!strcmp(want, "vmware") && d->hardware_version) {
        snprintf(version, sizeof(version), "%u", d->hardware_version);
        settings[n++] = "version";
        settings[n++] = version;
    }
    if (!strcmp(want, "vmware") && d->has_uuid) {
        for (u32 i = 0; i < 16; i++)
            snprintf(uuid + 2 * i, sizeof(uuid) - 2 * i, "%02x", d->uuid[i]);
        settings[n++] = "uuid";
        settings[n++] = uuid;
    }
    return persona_new(vm->machine, want, settings,
                       (struct device_end[]){ { "vmtools", vm->tools }, { NULL, NULL } },
                       &vm->persona, e);
}

int vm_build(struct vm *vm, struct notes *notes, struct err *e)
{
    int r = build_base(vm, e);

    if (!r)
        r = vm_bridges_build(vm, e);
    if (!r)
        r = build_screen(vm, notes, e);
    if (!r)
        r = build_slots(vm, e);
    if (!r)
        r = vm_efi_build(vm, e);
    if (!r)
        r = vm_tpm_build(vm, notes, e);
    if (!r)
        r = vm_ports_build(vm, notes, e);
    if (!r)
        r = chr_open_null(&vm->debug, e);
    if (!r)
        r = build_device(vm, "debugcon", "debugcon", NULL,
                         (struct device_end[]){ { "chr", vm->debug }, { NULL, NULL } }, e);
    if (!r && (vm->how.testdev || vm->how.kernel))
        r = build_device(vm, "testdev", "testdev", NULL, NULL, e);
    if (!r)
        r = build_storage(vm, notes, e);
    if (!r)
        r = vm_usb_build(vm, e);
    if (!r)
        r = build_nics(vm, notes, e);
    if (!r)
        r = vm_agent_open(vm, e);
    if (!r)
        r = build_persona(vm, notes, e);
    if (!r)
        r = vm_agent_build(vm, e);
    if (!r)
        r = vm_vsock_build(vm, e);
    return r;
}

void vm_unbuild(struct vm *vm)
{
    for (u32 i = 0; i < vm->ndisks; i++) {
        vm_disk_end(&vm->disks[i]);
    }
    for (u32 i = 0; i < vm->nnets; i++)
        net_close(vm->nets[i]);
    vsock_close(vm->vsock);
    vmtools_vsock_free(vm->tools_vsock);
    vm_ports_close(vm);
    chr_close(vm->debug);
    nvram_close(vm->nvram);
    tpm_close(vm->tpm);
    persona_free(vm->persona);
    vm_agent_close(vm);
}
