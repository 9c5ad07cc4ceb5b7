/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_SOURCE_INT_H
#define PACKAGE_SOURCE_INT_H
#include "package/source.h"

/* package/tar.c: all members of the archive; -EMEDIUMTYPE when it is none. */
int tar_list(struct source *s, int fd, u64 size, struct err *e);
bool tar_is(const u8 *block); /* 512 bytes */
/* Appends; -EEXIST when the name is there already. */
int source_add(struct source *s, const char *name, size_t n, u64 offset, u64 size, struct err *e);
int source_temp(struct err *e); /* a nameless file: its descriptor */
/* package/zip.c, package/packed.c */
bool zip_is(const u8 *head);
int zip_list(struct source *s, int fd, u64 size, struct err *e);
bool packed_is_archive(int fd);
int packed_open(struct source *s, struct err *e); /* into s->held */
#endif
