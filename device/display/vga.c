/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VGA with the Bochs VBE interface, as a PCI function (1234:1111): linear memory in BAR 0, the
 * registers once more in BAR 2.  After Bochs' VBE Display API.
 */
#include "bus/pci.h"
#include "device/display/vga_int.h"

enum { BAR2_SIZE = 4096, BAR2_VGA = 0x400, BAR2_VBE = 0x500, BAR2_EXTRA = 0x600 };
enum { EXTRA_LITTLE = 0x1e1e1e1e };

struct vga_card {
    struct vga vga;
    struct vga_config {
        char rom[128]; /* path of the video BIOS; "": where packages put it; "none" */
    } config;
    struct vga_state state;
};

static u64 vga_bar_load(struct device *d, u32 off, u32 size)
{
    struct vga *v = (struct vga *)d;

    if (off >= BAR2_VGA && off < BAR2_VGA + 0x20)
        return vga_get(v, off - BAR2_VGA + 0x3c0) |
               (size == 2 ? (u64)vga_get(v, off - BAR2_VGA + 0x3c1) << 8 : 0);
    if (off >= BAR2_VBE && off < BAR2_VBE + 2 * VBE_COUNT)
        return vbe_get(v, (off - BAR2_VBE) / 2) >> (off & 1 ? 8 : 0);
    if (off >= BAR2_EXTRA && off < BAR2_EXTRA + 8) {
        u64 val = 8 | (u64)EXTRA_LITTLE << 32;

        return val >> (8 * (off - BAR2_EXTRA));
    }
    return 0;
}

static void vga_bar_store(struct device *d, u32 off, u32 size, u64 val)
{
    struct vga *v = (struct vga *)d;

    if (off >= BAR2_VGA && off < BAR2_VGA + 0x20) {
        vga_set(v, off - BAR2_VGA + 0x3c0, (u8)val);
        if (size == 2)
            vga_set(v, off - BAR2_VGA + 0x3c1, (u8)(val >> 8));
    } else if (off >= BAR2_VBE && off < BAR2_VBE + 2 * VBE_COUNT && size == 2) {
        vbe_set(v, (off - BAR2_VBE) / 2, (u16)val);
    }
}

static int vga_create(struct device *d, struct err *e)
{
    static const char *const roms[] = { "vgabios-stdvga.bin", "vgabios.bin", NULL };
    struct vga_card *c = (struct vga_card *)d;
    struct pci_bar bars[3] = { 0 };
    struct pci_ident id = { .vendor = 0x1234,
                            .device = 0x1111,
                            .subvendor = 0x1af4,
                            .subdevice = 0x1100,
                            .class = 0x030000,
                            .revision = 2,
                            .bars = bars };
    int r;

    c->vga.state = &c->state;
    r = vga_init(&c->vga, VGA_MEMORY, c->config.rom, roms, e);
    bars[0] = (struct pci_bar){
        .index = 0, .space = PCI_MEM32, .size = VGA_MEMORY, .prefetch = true, .ram = c->vga.memory
    };
    bars[1] = (struct pci_bar){ .index = 2,
                                .space = PCI_MEM32,
                                .size = BAR2_SIZE,
                                .min = 1,
                                .max = 4,
                                .load = vga_bar_load,
                                .store = vga_bar_store };
    id.rom = c->vga.rom_size ? c->vga.rom : NULL;
    id.rom_size = c->vga.rom_size;
    r = r ? r : pci_plug(d, &id, e);
    if (r)
        vga_fini(&c->vga);
    return r;
}

static void vga_destroy(struct device *d)
{
    pci_unplug(d);
    vga_fini((struct vga *)d);
}

static void vga_reset(struct device *d, enum reset kind)
{
    if (kind != RESET_BUS && kind != RESET_SLEEP)
        vga_power_on((struct vga *)d, kind);
}

static int vga_check_state(const struct device *d, struct err *e)
{
    return vga_check((const struct vga *)d, e);
}

static const struct field config[] = {
    FIELD_TEXT(1, struct vga_config, rom, 0, "path of the video BIOS, or none"), FIELD_END
};
const struct device_class device_vga = {
    .name = "vga",
    .about = "VGA with Bochs VBE: every BIOS, boot loader and kernel; bochs-drm",
    .size = sizeof(struct vga_card),
    .config_at = offsetof(struct vga_card, config),
    .config = config,
    .config_default = &(const struct vga_config){ .rom = "" },
    .config_size = sizeof(struct vga_config),
    .state_at = offsetof(struct vga_card, state),
    .state_size = sizeof(struct vga_state),
    .state = vga_state_fields,
    .create = vga_create,
    .destroy = vga_destroy,
    .reset = vga_reset,
    .check = vga_check_state,
};
