/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A PC BIOS: its image below 4 GiB, its last 128 KiB below 1 MiB, and what SeaBIOS asks of
 * the firmware configuration (SeaBIOS, docs/Runtime_config).  The processor starts at the
 * reset vector.  UEFI code starts the same way; its variables lie in a flash below it.
 */
#include "device/chipset/fwcfg.h"
#include "device/chipset/rom.h"
#include "firmware/boot_int.h"
#include <errno.h>
#include <unistd.h>

enum { BIOS_LIMIT = 16 << 20, BIOS_LOW = 128 << 10, BIOS_PAGE = 4096 };

static const char *const bios_places[] = {
    "/usr/share/seabios/bios-256k.bin",
    "/usr/local/share/seabios/bios-256k.bin",
    "/usr/share/qemu/bios-256k.bin",
    "/usr/share/seabios/bios.bin",
};

static const char *bios_find(void)
{
    for (u32 i = 0; i < LEN(bios_places); i++)
        if (!access(bios_places[i], R_OK))
            return bios_places[i];
    return NULL;
}

static int bios_low(struct machine *m, const struct buf *image, struct err *e)
{
    size_t n = image->len < BIOS_LOW ? image->len : BIOS_LOW;
    int r;

    machine_shadow(m, HIGH_BASE - n, n, true);
    r = gmem_write(machine_ram(m), HIGH_BASE - n, image->p + image->len - n, n);
    machine_shadow(m, HIGH_BASE - n, n, false);
    return r ? err_set(e, r, "no RAM for the BIOS below 1 MiB") : 0;
}

static int bios_image(struct machine *m, const char *path, struct err *e)
{
    struct device *rom = machine_device(m, "rom");
    struct buf image = { 0 };
    int r = 0;

    if (!path)
        return err_set(e, -ENOENT, "no BIOS image: %s is missing (package seabios)",
                       bios_places[0]);
    if (!rom)
        r = device_new(m, "rom", "rom", NULL, NULL, &rom, e);
    r = r ? r : file_read(path, BIOS_LIMIT, &image, e);
    if (!r && (!image.len || image.len % BIOS_PAGE))
        r = err_set(e, -EINVAL, "%s: %zu bytes; a BIOS image is a multiple of %d", path, image.len,
                    BIOS_PAGE);
    r = r ? r : rom_fill(rom, image.p, (u32)image.len, e);
    r = r ? r : bios_low(m, &image, e);
    buf_fini(&image);
    return r;
}

static int bios_settings(struct machine *m, const struct firmware_how *how, struct err *e)
{
    struct device *cfg = machine_device(m, "fwcfg");
    struct e820 map;
    u8 bytes[E820_MAX * E820_ENTRY], two[2];
    u32 n;
    int r;

    e820_ram(&map, m);
    n = e820_bytes(&map, bytes);
    put_le16(two, how->boot_menu);
    r = fwcfg_file(cfg, "etc/e820", bytes, n, e);
    r = r ? r : fwcfg_item(cfg, FWCFG_BOOT_MENU, two, sizeof(two), e);
    r = r ? r : fwcfg_file(cfg, "etc/show-boot-menu", two, sizeof(two), e);
    if (!r && how->boot_order)
        r = fwcfg_file(cfg, "bootorder", how->boot_order, (u32)strlen(how->boot_order) + 1, e);
    put_le16(two, 0x3f8);
    if (!r && how->serial_console)
        r = fwcfg_file(cfg, "etc/sercon-port", two, sizeof(two), e);
    return r;
}

int bios_boot(struct machine *m, const struct firmware_how *how, struct err *e)
{
    int r = bios_settings(m, how, e);

    return r ? r : bios_image(m, how->bios ? how->bios : bios_find(), e);
}
