/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A document from a package's file. */
#include "package/source.h"
#include "package/xml.h"

int xml_load(struct arena *a, const struct source_file *f, const char *where,
             struct xml_node **root, const char **comment, struct err *e)
{
    struct buf text;
    int r = source_load(f, XML_MAX, &text, e);

    *root = NULL;
    if (r)
        return r;
    r = xml_parse(a, (const char *)text.p, text.len, where, root, comment, e);
    buf_fini(&text);
    return r;
}
