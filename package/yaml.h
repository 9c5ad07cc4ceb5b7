/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_YAML_H
#define PACKAGE_YAML_H
#include "package/tree.h"

/*
 * YAML as a list of documents.  Aliases are refused: they make bombs, and no description of a
 * VM needs them.  Keys are texts and stand once in their map.  e may be NULL.
 */
#define YAML_MAX (4u << 20)
int yaml_parse(struct arena *a, const char *text, size_t n, const char *where, struct tree **docs,
               struct err *e);
/* One document in block style, with "---" in front. */
int yaml_print(const struct tree *t, struct buf *to);
#endif
