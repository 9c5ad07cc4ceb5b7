/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_PLACE_WRITE_H
#define PACKAGE_PLACE_WRITE_H
#include "package/sink.h"

/* What writers of packages that stand beside their disks share. */

/*
 * The disk into the package as "VM-disk0.qcow2" (stem NULL, else "stem.qcow2"): in its own format
 * when that is one of `keep` (words), else in the first of them; CDs as they are.  out->name
 * NULL: an empty drive.  What was not there when the package was read stays a name; then
 * out->size is 0.
 */
int place_out(struct sink *s, const struct desc_disk *k, const char *stem, const char *keep,
              struct sink_disk *out, struct notes *n, struct err *e);
/* What a writer of this format cannot say: properties, extras of other formats. */
void place_lost(const struct desc *d, const char *format, struct notes *n);
/* Its place when the names of this kind of device are counted: "scsi1" is 1; or -1. */
long place_number(const char *name);
/* The disk of the n-th place in the boot order, or the card (in *c); false: none of them. */
bool place_boot(const struct desc *d, u32 place, const struct desc_disk **k,
                const struct desc_nic **c);
/*
 * The boot order by letters, as Xen has it: the first disk (c), CD (d), network card (n), floppy
 * (a) of the description.
 */
void place_boot_order(struct desc *d, const char *letters);
void place_boot_letters(const struct desc *d, char letters[8]);
const char *place_mac_text(const struct desc_nic *c, char text[18]); /* "" when it has none */
#endif
