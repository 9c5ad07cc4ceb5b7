/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_XML_WRITE_H
#define PACKAGE_XML_WRITE_H
#include "base/buf.h"
#include "package/xml.h"

/*
 * An XML document, printed as it is said: two blanks a level, text escaped, characters that XML
 * has no way to say become "?".  Names are given with their prefix ("rasd:Parent"); whoever opens
 * the root declares the prefixes.  An error is remembered: xml_end_all tells it.
 */
#define XML_WRITE_DEPTH 64
struct xml_write {
    struct buf *to;
    const char *open[XML_WRITE_DEPTH]; /* names of the elements that are open; lent */
    unsigned depth;
    bool tag;    /* a start tag is not closed yet: attributes may follow */
    bool inside; /* the open element has elements inside */
    int error;
};

void xml_begin(struct xml_write *w, struct buf *to); /* with <?xml ...?>, UTF-8 */
void xml_open(struct xml_write *w, const char *name);
void xml_attribute(struct xml_write *w, const char *name, const char *value); /* after xml_open */
void xml_attribute_f(struct xml_write *w, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void xml_chars_out(struct xml_write *w, const char *text); /* text of the open element */
void xml_close(struct xml_write *w);
void xml_leaf(struct xml_write *w, const char *name, const char *text); /* <name>text</name> */
void xml_leaf_f(struct xml_write *w, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void xml_note(struct xml_write *w, const char *text); /* a comment */
/* A piece of a document as it is, whole elements: what xml_verbatim made. */
void xml_fragment(struct xml_write *w, const char *text);
int xml_end_all(struct xml_write *w); /* closes what is open; 0 or -errno */
#endif
