/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_VBOX_INT_H
#define PACKAGE_VBOX_INT_H
#include "package/format.h"
#include "package/place.h"
#include "package/source.h"
#include "package/xml_tree.h"

/* What VirtualBox's reader and writer share: the parts of a machine and how each calls them. */
struct vbox {
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file;
    unsigned version; /* the settings': 1.<version> */
    const struct xml_node *root, *machine, *hardware;
    const struct xml_node *global; /* of VirtualBox.xml, which has older machines' media; or NULL */
};

struct vbox_controller {
    const char *type; /* StorageController/@type */
    enum name_kind kind;
    const char *class, *name; /* ours; what VirtualBox calls a new one */
    unsigned ports, devices;  /* per controller, per port */
};
const struct vbox_controller *vbox_controller(const char *type); /* or NULL */
/* For a device of a description, whatever package it came from. */
const struct vbox_controller *vbox_controller_for(const struct desc_device *v);

bool vbox_true(const char *text); /* "true", "1", "on"; NULL is not */

/* package/vbox_media.c: the image of this UUID into k; false: nobody says where it is. */
int vbox_medium(struct vbox *x, struct desc_disk *k, const char *uuid);
/* package/vbox_disks.c, vbox_ports.c */
int vbox_storage(struct vbox *x);
int vbox_devices(struct vbox *x);
int vbox_snapshots(struct vbox *x);

int vbox_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e);
#endif
