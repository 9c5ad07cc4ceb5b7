/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BUS_VIRTIO_INT_H
#define BUS_VIRTIO_INT_H
#include "bus/virtio.h"

/* By MSI-X vector, or by the ISR bits in `reason` (1 queue, 2 configuration) and INTx. */
void virtio_interrupt(struct virtio *v, u16 vector, u8 reason);
#endif
