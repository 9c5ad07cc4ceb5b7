/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_XVA_INT_H
#define PACKAGE_XVA_INT_H
#include "package/format.h"
#include "package/source.h"
#include "package/tree.h"
#include "package/xml.h"

#define XVA_XML_MAX (16u << 20)

struct xva { /* one reading */
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file;
    struct arena arena;
};

/* package/xva_rpc.c: an XML-RPC value as a tree, and a tree as one */
int rpc_read(struct arena *a, const struct xml_node *value, struct tree **to, const char *where,
             struct err *e);
int rpc_print(const struct tree *t, struct buf *to);
/* package/xva_legacy.c: XenEnterprise 3.x, <appliance version="0.1"> */
int xva_read_legacy(struct xva *x, const struct xml_node *root);

int xva_package_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e);

/*
 * The objects of one VM as one tree, whose paths the extras have: "VM", "VBD/disk0", "VDI/disk0",
 * "VIF/nic0", "network/nic0", "SR", "version".  Others stand as "objects/Ref:7".
 */
#endif
