/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_HYPERV_INT_H
#define PACKAGE_HYPERV_INT_H
#include "package/format.h"
#include "package/source.h"
#include "package/xml_tree.h"

/* A Hyper-V machine's configuration, as XML or as the tree of the binary form. */
struct hyperv {
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file, *format; /* "hyperv", "vmcx": where extras are kept */
};
int hyperv_configuration(struct hyperv *x, const struct xml_node *configuration);
/* An export of Windows Server 2008: a dump of WMI objects. */
int hyperv_objects(struct hyperv *x, const struct xml_node *root);
/* In an export the configuration is one directory below the disks. */
int hyperv_export(struct hyperv *x);
#endif
