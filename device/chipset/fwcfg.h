/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_CHIPSET_FWCFG_H
#define DEVICE_CHIPSET_FWCFG_H
#include "machine/device.h"

/*
 * What the firmware configuration device offers: numbered items and named files.  Filled by
 * the VM thread while no vCPU runs; the bytes are copied.  One of the same key or name
 * takes the place of the old one.
 */
enum {
    FWCFG_SIGNATURE = 0x00,
    FWCFG_ID = 0x01,
    FWCFG_UUID = 0x02,
    FWCFG_RAM_SIZE = 0x03,
    FWCFG_NOGRAPHIC = 0x04,
    FWCFG_NB_CPUS = 0x05,
    FWCFG_BOOT_MENU = 0x0e,
    FWCFG_MAX_CPUS = 0x0f,
    FWCFG_FILE_DIR = 0x19,
    FWCFG_FILE_FIRST = 0x20,
    FWCFG_IRQ0_OVERRIDE = 0x8002,
};

int fwcfg_item(struct device *d, u16 key, const void *data, u32 len, struct err *e);
int fwcfg_file(struct device *d, const char *name, const void *data, u32 len, struct err *e);
/* What a guest would read; NULL when there is no such file.  Valid until the next change. */
const u8 *fwcfg_find(const struct device *d, const char *name, u32 *len);
#endif
