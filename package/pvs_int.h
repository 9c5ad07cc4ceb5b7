/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_PVS_INT_H
#define PACKAGE_PVS_INT_H
#include "package/format.h"
#include "package/xml_tree.h"

/* Parallels' numbers, for its reader and its writer. */
enum { PVS_IDE, PVS_SCSI, PVS_SATA, PVS_VIRTIO, PVS_NVME, PVS_BUSES }; /* InterfaceType */
enum { PVS_BOOT_FLOPPY = 3, PVS_BOOT_CD = 5, PVS_BOOT_DISK = 6, PVS_BOOT_NET = 8 }; /* Type */
enum { PVS_CARDS = 5, PVS_PORTS = 4 };
#define PVS_IMAGE "1" /* EmulatedType of a drive that is a file */

extern const char *const pvs_cards[PVS_CARDS]; /* by AdapterType: what we call them */
extern const char *const pvs_ports[PVS_PORTS]; /* by EmulatedType: what they go to */

int pvs_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e);
#endif
