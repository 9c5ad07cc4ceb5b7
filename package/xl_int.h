/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_XL_INT_H
#define PACKAGE_XL_INT_H
#include "package/format.h"
#include "package/tree.h"

/*
 * The text of a configuration as a map of its settings, the last of a name where there are
 * several.  Nothing is executed: what is neither a literal, "+", "%" nor a name set before is
 * refused with its place.
 */
#define XL_MAX (1u << 20)
int xl_parse(struct arena *a, const char *text, size_t n, const char *where, struct tree **root,
             struct err *e);
/* A value as xl and Python both read it. */
int xl_print(const struct tree *t, struct buf *to);
int xl_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e);

/* package/xl_disk.c: one entry of "disk", in whichever of its spellings */
struct xl_disk {
    char target[1024]; /* the file or device; "" none */
    char format[16];   /* "raw", "qcow2", "vhd", "qed", "empty", or "" unknown */
    char vdev[32];     /* "hda", "xvdb", "sda", "d0p0" ... */
    bool cdrom, read_only, removable;
    char rest[512]; /* what we have no word for: "backendtype=phy,script=x" */
};
bool xl_disk_parse(const char *text, struct xl_disk *k, const char **why);
/* "hda": 0, "xvdc": 2, "d3p0": 3; the kind in *bus: 'h', 's', 'x', 'f'; or -1 */
long xl_vdev(const char *vdev, char *bus);
#endif
