/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DEVICE_CHIPSET_DMA8237_H
#define DEVICE_CHIPSET_DMA8237_H
#include "machine/device.h"

/*
 * A channel of the PC's DMA controllers, for the device that it belongs to.  Both are in the
 * chipset's domain, which is held.
 */
enum { DMA_FLOPPY = 2 };
/* Bytes that the channel would move towards memory (or away from it); 0: it is not set up so. */
u32 dma_left(struct device *dma, u32 channel, bool to_memory);
/* Moves them, at most n; -EFAULT when an address is not RAM: nothing more is moved. */
int dma_move(struct device *dma, u32 channel, u8 *p, u32 n, bool to_memory);
#endif
