/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_CHIPSET_RTC_H
#define DEVICE_CHIPSET_RTC_H
#include "machine/device.h"

/* From create of a floppy controller: what a BIOS finds in CMOS about its drives, the first one
 * in the high half: 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M, 0 none. */
void rtc_floppies(struct device *rtc, u8 kinds);
#endif
