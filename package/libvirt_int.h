/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_LIBVIRT_INT_H
#define PACKAGE_LIBVIRT_INT_H
#include "package/format.h"
#include "package/place.h"
#include "package/source.h"
#include "package/xml_tree.h"

/* What libvirt's reader and writer share. */
struct libvirt {
    struct desc *d;
    struct source *s;
    struct notes *n;
    struct err *e;
    const char *file;
    const struct xml_node *domain, *devices;
    bool qemu; /* the domain is QEMU's: its defaults hold */
};

/* Where disks are attached: <target bus="..."> */
struct libvirt_bus {
    const char *name, *prefix; /* "scsi"; "sd" of the device's name */
    const char *controller;    /* <controller type="...">; NULL: none is said */
    unsigned places;           /* on one controller */
};
const struct libvirt_bus *libvirt_bus(const char *name); /* or NULL */
/* The bus of a controller of a description, whatever package it came from; or NULL */
const struct libvirt_bus *libvirt_bus_of(const struct desc_device *v);
/* "sdb": of the disk number 1 on its bus; and back: -1 when it is no such name */
const char *libvirt_target(const struct libvirt_bus *b, unsigned number, char text[16]);
long libvirt_target_number(const char *name);

/* Formats of images: libvirt's name for ours, and ours for its; NULL: there is none. */
const char *libvirt_format_ours(const char *theirs);
const char *libvirt_format_theirs(const char *ours);

int libvirt_disks(struct libvirt *x);   /* with their controllers */
int libvirt_devices(struct libvirt *x); /* all others */
int libvirt_write(const struct desc *d, struct sink *s, struct notes *n, struct err *e);
#endif
