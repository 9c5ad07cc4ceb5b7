/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a document is, by its first element: for probing. */
#include "package/source.h"
#include "package/xml.h"
#include <string.h>

#define IS_HEAD 65536

/* Behind the declaration, comments and blanks: the "<" of the root element, or NULL */
static const char *is_root(const char *p, const char *end)
{
    while (p < end) {
        const char *after;

        p = memchr(p, '<', (size_t)(end - p));
        if (!p || end - p < 4 || (p[1] != '?' && p[1] != '!'))
            return p;
        if (p[1] == '!' && memcmp(p, "<!--", 4))
            return NULL;
        after = memmem(p, (size_t)(end - p), p[1] == '?' ? "?>" : "-->", p[1] == '?' ? 2 : 3);
        if (!after)
            return NULL;
        p = after + 2;
    }
    return NULL;
}

static bool is_named(const char *p, const char *end, const char *root)
{
    size_t n = strcspn(p, " \t\r\n/>"), want = strlen(root);

    if (n > (size_t)(end - p) || n < want || memcmp(p + n - want, root, want))
        return false;
    return n == want || p[n - want - 1] == ':';
}

bool xml_is(const struct source_file *f, const char *root)
{
    size_t n = f && f->size < IS_HEAD ? (size_t)f->size : IS_HEAD;
    struct buf utf8 = { 0 };
    char head[IS_HEAD];
    const char *p = NULL;
    bool yes = false;

    if (!f || n < 4 || source_read(f, 0, head, n, NULL))
        return false;
    if (memchr(head, 0, n)) /* in two-byte characters: none is cut */
        n &= ~(size_t)1;
    if (!xml_utf8(head, n, f->name, &utf8, NULL) && !buf_add(&utf8, "", 1)) {
        p = is_root((const char *)utf8.p, (const char *)utf8.p + utf8.len - 1);
        yes = p && is_named(p + 1, (const char *)utf8.p + utf8.len - 1, root);
    }
    buf_fini(&utf8);
    return yes;
}
