/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_PLACE_H
#define PACKAGE_PLACE_H
#include "desc/desc.h"
#include "package/names.h"

/*
 * Putting foreign devices into a description: the class by the name map, a note when we
 * do not have it, disks on a free unit.  NULL: no memory.
 */
struct desc_device *place_controller(struct desc *d, struct notes *n, enum name_kind kind,
                                     const char *foreign);
struct desc_nic *place_nic(struct desc *d, struct notes *n, const char *foreign);
/* unit < 0: the next free one.  Without a controller one is found, or made. */
struct desc_disk *place_disk(struct desc *d, struct notes *n, enum desc_media media,
                             struct desc_device *controller, long unit);
bool place_mac(struct desc_nic *c, const char *text); /* 005056AABBCC, 00:50:56:... */
/*
 * The file of a name from another host: where it says when that is below the package, else
 * beside it by its last component, also with one of these suffixes (ended by NULL; or NULL).
 * None: it is noted, path stays NULL and source is the name.
 */
struct source;
struct source_file;
int place_source(struct desc *d, struct source *s, struct notes *n, struct desc_disk *k,
                 const char *name, const char *const *suffixes);
int place_member(struct desc *d, const struct source *s, struct desc_disk *k,
                 const struct source_file *f);    /* this very file */
int place_uuid(struct desc *d, const char *text); /* with or without dashes and braces */
const char *place_uuid_text(const struct desc *d, char text[37]);
/* at: a slot by VMware's number (function << 10 | bridge << 5 | device), if text is one */
int place_slot(struct desc *d, const char **at, const char *text);
#endif
