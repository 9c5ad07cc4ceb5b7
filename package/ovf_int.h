/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_OVF_INT_H
#define PACKAGE_OVF_INT_H
#include "desc/desc.h"
#include "package/format.h"
#include "package/source.h"
#include "package/xml.h"

#define OVF_ITEMS_MAX 1024

struct ovf { /* one reading */
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    struct arena arena; /* the document */
    struct xml_node *root;
    const char *file;   /* the descriptor's name, for messages */
    const char *config; /* the deployment option that was chosen, or NULL */
};

struct ovf_item { /* one Item of virtual hardware */
    const struct xml_node *node;
    unsigned type;
    const char *id, *parent, *subtype, *name;
    struct desc_device *device; /* what it became, if others hang on it */
    bool dropped;               /* another of the same id takes its place */
    unsigned channel;           /* an IDE controller's place */
};

/* package/ovf_items.c */
int ovf_read_hardware(struct ovf *o, const struct xml_node *section);
/* package/ovf_disks.c: where the bytes of "ovf:/disk/x" or "ovf:/file/x" are */
int ovf_fill_disk(struct ovf *o, struct desc_disk *k, const char *resource);
/* package/ovf_units.c: a number of units in bytes; "" is `unit` bytes */
bool ovf_bytes(const char *number, const char *units, u64 unit, u64 *bytes);
bool ovf_is_section(const struct xml_node *n, const char *name); /* also as 0.9 wrote them */
#endif
