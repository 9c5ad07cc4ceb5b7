/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_OVF_OUT_H
#define PACKAGE_OVF_OUT_H
#include "package/ovf_int.h"
#include "package/sink.h"

/*
 * Writing an OVF: the files are planned and get their ids, an archive keeps room for the
 * descriptor, the files are written, then the tree is built with what is known of them.
 */
struct ovf_member {                  /* a file of References, or a disk without one */
    const char *name, *id, *disk_id; /* name: "" without a file */
    const struct desc_disk *disk;    /* or a file as it is: */
    const struct desc_file *file;
    struct sink_disk made; /* sizes: the longest possible before it is written */
    bool outside;          /* left where it is: no part of the package */
    struct ovf_member *next;
};

struct ovf_seen { /* a kept element that was parsed to be looked at */
    const char *text;
    const struct xml_node *node;
    struct ovf_seen *next;
};

struct ovf_out {
    struct arena arena;
    struct ovf_seen *seen[256];
    const struct desc *first, *d; /* the package's first VM, and the one that is written */
    struct sink *s;
    const struct package_options *how;
    struct notes *n;
    struct err *e;
    struct ovf_member *members;
    const char *const *listed; /* in the manifest; ends with NULL */
    struct xml_node *root;
    u32 ndisks, nfiles, ndiskids;
    bool failed, told; /* told: the second time, nothing is noted again */
};

/* The tree of an element that was kept; NULL: there is none */
struct xml_node *ovf_kept(struct ovf_out *o, const char *text);
/* The same to be looked at only: parsed once */
const struct xml_node *ovf_look(struct ovf_out *o, const char *text);
struct xml_node *ovf_put(struct ovf_out *o, struct xml_node *parent, const char *name,
                         const char *text);
void ovf_put_attr(struct ovf_out *o, struct xml_node *n, const char *space, const char *name,
                  const char *value);
const struct ovf_member *ovf_member_of(const struct ovf_out *o, const struct desc_disk *k);

/* package/ovf_plan.c: which files there will be, their ids and names */
int ovf_plan(struct ovf_out *o);
/* package/ovf_hardware.c: the VirtualHardwareSection of o->d, and the order of booting behind it */
void ovf_put_hardware(struct ovf_out *o, struct xml_node *system);
#endif
