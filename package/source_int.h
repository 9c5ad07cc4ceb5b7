/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_SOURCE_INT_H
#define PACKAGE_SOURCE_INT_H
#include "package/source.h"

struct tar_next { /* what pax and GNU headers say about the next member */
    char name[1024];
    bool has_name, has_size;
    u64 size;
};
#define TAR_ABOUT_MAX (1u << 20) /* bytes of such a header */
/* package/tar.c: a header block.  1: the end; about: its data is for tar_about */
int tar_block(const u8 *block, const struct tar_next *next, u64 *size, bool *about);
int tar_about(u8 type, const char *text, u64 size, struct tar_next *next);
/* Its name; false when it is no file that counts. */
bool tar_name(const u8 *block, const struct tar_next *next, char name[1024]);
/* package/tar.c: all members of the archive; -EMEDIUMTYPE when it is none. */
int tar_list(struct source *s, int fd, u64 size, struct err *e);
bool tar_is(const u8 *block); /* 512 bytes */
/* Appends; -EEXIST when the name is there already. */
int source_add(struct source *s, const char *name, size_t n, u64 offset, u64 size, struct err *e);
int source_temp(struct err *e); /* a nameless file: its descriptor */
struct notes;
void stream_adopt(struct source *s); /* package/stream.c: s is empty then */
/* package/package.c: digests and signature */
int package_verify(struct source *s, const struct package_options *o, struct notes *n,
                   struct err *e);
/* package/zip.c, package/packed.c */
bool zip_is(const u8 *head);
int zip_list(struct source *s, int fd, u64 size, struct err *e);
bool packed_is_archive(int fd);
int packed_open(struct source *s, struct err *e); /* into s->held */
#endif
