/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_CHIPSET_VMGENID_H
#define DEVICE_CHIPSET_VMGENID_H
#include "machine/device.h"

enum { VMGENID_EVENT = 5 }; /* bit of the general purpose events */
#define VMGENID_ADDRESS 0xfed50000u

/* Another generation: the guest is told that it is no longer who it was.  VM thread, paused. */
int vmgenid_renew(struct device *d);
#endif
