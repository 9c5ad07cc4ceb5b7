/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_CHIPSET_ROM_H
#define DEVICE_CHIPSET_ROM_H
#include "machine/device.h"

/*
 * The ROM below 4 GiB gets these bytes; they are copied.  VM thread, no vCPU running.  Given
 * again, the length must stay the same.
 */
int rom_fill(struct device *d, const void *p, u32 len, struct err *e);
#endif
