/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_CHIPSET_PIIX4PM_H
#define DEVICE_CHIPSET_PIIX4PM_H
#include "machine/device.h"

/* Values of SLP_TYP: soft off, and sleep to RAM on boards whose firmware wakes from it. */
enum { PIIX4PM_OFF = 0, PIIX4PM_RAM = 1 };
bool piix4pm_sleeps(const struct device *d);
#endif
