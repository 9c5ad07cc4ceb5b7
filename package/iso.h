/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_ISO_H
#define PACKAGE_ISO_H
#include "base/buf.h"
#include "base/types.h"

/* A CD image with a few files in its root, made in memory: ISO 9660 with Joliet names. */
struct iso_file {
    const char *name; /* ASCII, at most 30 characters */
    const void *data;
    size_t len;
};
#define ISO_FILES_MAX 16
int iso_make(const char *label, const struct iso_file *files, u32 n, struct buf *to);
#endif
