/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_PROXMOX_INT_H
#define PACKAGE_PROXMOX_INT_H
#include "package/format.h"

/*
 * "value,key=value,...": the way Proxmox writes what a drive or a card is.  Options are taken
 * one by one; what is left is kept.
 */
#define PVE_TEXT 2048
struct pve_options {
    char text[PVE_TEXT];
    char rest[PVE_TEXT];
};
/* The value of this key, cut out of o->rest; NULL when there is none. */
const char *pve_take(struct pve_options *o, const char *key);
bool pve_options(struct pve_options *o, const char *text); /* false: too long */
/* The first, when it has no key, or that of `key`: cut out likewise; "" none. */
const char *pve_first(struct pve_options *o, const char *key);
bool pve_size(const char *text, u64 *bytes); /* "32G", "104858K" */
/* The name of a drive or a card, "scsi12": its bus (0 ide, 1 sata, 2 scsi, 3 virtio, 4 net). */
int pve_bus(const char *key, u32 *index); /* or -1 */
extern const char *const pve_buses[5];
extern const u32 pve_most[5]; /* how many of each there can be */

int proxmox_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e);
#endif
