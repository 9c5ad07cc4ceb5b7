/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_USB_INPUT_H
#define DEVICE_USB_INPUT_H
#include "machine/device.h"

/*
 * Pointer and keys for the devices "usb_tablet" and "usb_keyboard".  Any thread, no domain held.
 * false: the guest has no driver for it now, somebody else may have it.
 */
/* 0 to 0xffff from the left and the top; wheel: up is positive; buttons: 1 left, 2 right,
 * 4 middle. */
bool usb_tablet_point(struct device *d, u32 x, u32 y, i32 wheel, u32 buttons);
/* key: as ps2_key takes it. */
bool usb_keyboard_key(struct device *d, u16 key, bool down);
#endif
