/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_NAMES_H
#define PACKAGE_NAMES_H
#include "base/types.h"

/* What other products call a device, and what we call it. */
enum name_kind {
    NAME_SCSI,
    NAME_SATA,
    NAME_IDE,
    NAME_NVME,
    NAME_NIC,
    NAME_XEN,
    NAME_USB,
    NAME_FLOPPY
};
struct name_map {
    enum name_kind kind;
    const char *foreign, *class;
    bool known;          /* the class exists here */
    const char *instead; /* else: what could take its place, with a driver for it */
    const char *about;   /* how people call it */
};
/* By the foreign name in any case; the kind's most common device for "" or NULL. */
const struct name_map *name_find(enum name_kind kind, const char *foreign); /* or NULL */
#endif
