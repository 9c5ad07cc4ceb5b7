/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_LOST_H
#define PACKAGE_LOST_H
#include "desc/desc.h"

/*
 * What a writer has no place for, told in the same words by all of them.  keeps: the format
 * whose extras are written back ("ovf", and so "ovf.Disk"); NULL: none.
 */
void lost_extras(const struct desc *d, const char *keeps, struct notes *n);
void lost_snapshots(const struct desc *d, struct notes *n);
void lost_properties(const struct desc *d, struct notes *n);
void lost_direct_boot(const struct desc *d, struct notes *n);
void lost_vms(const struct desc *d, struct notes *n); /* those behind the first */
#endif
