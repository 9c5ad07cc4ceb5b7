/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_XML_H
#define PACKAGE_XML_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/types.h"

/*
 * A small XML document as a tree.  Names are local ones; the name space stands beside them.
 * No document type, no entities of its own; depth, number and size are bounded.  UTF-8,
 * UTF-16, Latin-1 and Windows-1252 are understood, whatever the document says of itself.
 */
struct xml_attr {
    const char *space, *prefix, *name, *value;
    bool taken; /* its meaning is in the description: see xml_rest.h */
    struct xml_attr *next;
};
struct xml_space { /* xmlns:prefix="uri", on the element that says so; prefix "": the default */
    const char *prefix, *uri;
    struct xml_space *next;
};
struct xml_node {
    const char *space, *prefix, *name; /* space: "" none */
    const char *text;                  /* all text directly inside, trimmed */
    const char *raw;                   /* the element as it stands in the document, in UTF-8; */
    size_t raw_len;                    /* NULL when it was not parsed but made */
    bool taken;
    struct xml_attr *attrs;
    struct xml_space *spaces;
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
/*
 * The element as it stands in its document, appended: order, comments and all.  The name
 * spaces that it uses and that it does not declare itself are declared on it, but for those
 * that mean the same at `scope` (where the text will stand; NULL: nothing is declared there).
 */
int xml_verbatim(const struct xml_node *n, const struct xml_node *scope, struct buf *to);
struct source_file;
/* The same for a whole file; where: its name in messages. */
int xml_load(struct arena *a, const struct source_file *f, const char *where,
             struct xml_node **root, const char **comment, struct err *e);
/* Is it a document whose root element has this local name?  Only its beginning is looked at. */
bool xml_is(const struct source_file *f, const char *root);
/* Any of the encodings above as UTF-8 without a byte order mark, appended. */
int xml_utf8(const char *text, size_t n, const char *where, struct buf *to, struct err *e);
#endif
