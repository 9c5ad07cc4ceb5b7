/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_XML_TREE_H
#define PACKAGE_XML_TREE_H
#include "desc/desc.h"
#include "package/xml.h"

/*
 * A document that is made: elements are added in order, what a foreign document had beside
 * them is merged in, then it is printed.  Running out of memory is remembered, not returned:
 * xml_document says so at the end.
 */
struct xml_tree {
    struct arena arena;
    struct xml_node *root, spare;
    bool failed;
};
void xml_tree_init(struct xml_tree *t, const char *root);
void xml_tree_fini(struct xml_tree *t);
struct xml_node *xml_add(struct xml_tree *t, struct xml_node *parent, const char *name);
/* The first child of this name; added when there is none. */
struct xml_node *xml_get(struct xml_tree *t, struct xml_node *parent, const char *name);
/* A child with this text inside. */
struct xml_node *xml_put(struct xml_tree *t, struct xml_node *parent, const char *name,
                         const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void xml_set(struct xml_tree *t, struct xml_node *n, const char *attr, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
int xml_document(const struct xml_tree *t, struct buf *to, struct err *e);

int xml_print(const struct xml_node *n, unsigned depth, struct buf *to);
int xml_escape(struct buf *to, const char *s); /* for text and for values in double quotes */

/*
 * What a reader did not understand is kept for writing back.  A reader marks what the
 * description now says: attributes and elements by "take"; xml_rest makes extras of the others,
 * by their place: "Hardware/Network/Adapter[2]@speed" is an attribute, "OnPanic" an element,
 * whole and verbatim; "text()" the text of one whose attributes are known.  The root's name is
 * left out; [1] too.
 */
const char *xml_take(const struct xml_node *n, const char *attr);       /* its value, or NULL */
const char *xml_take_text(const struct xml_node *n, const char *child); /* "" without one */
const struct xml_node *xml_taken(const struct xml_node *n);             /* its text is known; n */
int xml_rest(struct desc *d, const char *format, const struct xml_node *root, const char *where,
             struct err *e);
/* The extras of this format into a new document, each at its place. */
void xml_merge(struct xml_tree *t, const struct desc *d, const char *format);
void xml_merge_if(struct xml_tree *t, const struct desc *d, const char *format,
                  bool (*wanted)(const struct desc_extra *v, void *arg), void *arg);
#endif
