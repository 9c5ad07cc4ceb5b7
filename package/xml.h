/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_XML_H
#define PACKAGE_XML_H
#include "base/arena.h"
#include "base/err.h"
#include "base/types.h"

/*
 * A small XML document as a tree.  Names are local ones; the name space stands beside them.
 * No document type, no entities of its own; depth, number and size are bounded.
 */
struct xml_attr {
    const char *space, *name, *value;
    struct xml_attr *next;
};
struct xml_node {
    const char *space, *name; /* space: "" none */
    const char *text;         /* all text directly inside, trimmed */
    struct xml_attr *attrs;
    struct xml_node *parent, *first, *last, *next;
};

#define XML_MAX (16u << 20)
int xml_parse(struct arena *a, const char *text, size_t n, const char *where,
              struct xml_node **root, const char **comment, struct err *e);
/* By local name, in any case; NULL when there is none. */
const struct xml_node *xml_child(const struct xml_node *n, const char *name);
const struct xml_node *xml_next(const struct xml_node *n, const char *name); /* of its siblings */
const char *xml_text(const struct xml_node *n, const char *child); /* "" when there is none */
const char *xml_attr(const struct xml_node *n, const char *name);  /* or NULL */
#endif
