/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_INPUT_PS2_H
#define DEVICE_INPUT_PS2_H
#include "machine/device.h"

/*
 * A PC's keyboard and mouse, behind the device "i8042".  Any thread, no domain held.
 * key: the make code of scan code set 1, 0xe0xx for the extended keys (0xe048: cursor up).
 */
void ps2_key(struct device *i8042, u16 key, bool down);
/* Presses and releases what types these characters on a US keyboard; how many fitted. */
u32 ps2_type(struct device *i8042, const char *text, u32 n);
/* dx to the right, dy down, dz towards the user; buttons: 1 left, 2 right, 4 middle. */
void ps2_mouse(struct device *i8042, int dx, int dy, int dz, u8 buttons);
#endif
