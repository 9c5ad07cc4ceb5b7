/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a VHDX names its parent, [MS-VHDX] 2.6.2.6: pairs of key and value in UTF-16. */
#include "base/bytes.h"
#include "image/vhdx_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIRS_AT 20
#define PAIR 12
#define TEXT_MAX 2048

/* "parent_linkage", "relative_path" ...: what the locator says about a key; or NULL */
static char *vhdx_value(const u8 *b, size_t n, const char *key)
{
    u16 count = n >= PAIRS_AT ? le16(b + 18) : 0;

    for (u16 i = 0; i < count && PAIRS_AT + (i + 1u) * PAIR <= n; i++) {
        const u8 *p = b + PAIRS_AT + i * PAIR;
        u32 key_at = le32(p), at = le32(p + 4);
        u16 key_len = le16(p + 8), len = le16(p + 10);
        char *name;
        bool is;

        if (!range_ok(key_at, key_len, n) || !range_ok(at, len, n))
            return NULL;
        name = image_name_utf16(b + key_at, key_len / 2, true);
        is = name && !strcmp(name, key);
        free(name);
        if (is)
            return image_name_utf16(b + at, len / 2, true);
    }
    return NULL;
}

/* A GUID without its braces. */
static void vhdx_take_link(const u8 *b, size_t n, const char *key, char *to, size_t room)
{
    char *link = vhdx_value(b, n, key);

    if (link)
        snprintf(to, room, "%.*s", (int)strcspn(link + (*link == '{'), "}"), link + (*link == '{'));
    free(link);
}

/* Windows' name space in front is no part of the path; of a volume only the name is of use. */
static char *vhdx_plain_path(char *path)
{
    char *from = path, *last;

    if (from && !strncmp(from, "//?/", 4))
        from += 4;
    if (from && !strncmp(from, "Volume{", 7) && (last = strrchr(from, '/')))
        from = last + 1;
    if (from != path)
        memmove(path, from, strlen(from) + 1);
    return path;
}

int vhdx_take_parent(struct image *im, const u8 *b, size_t n, struct err *e)
{
    static const char *const names[] = { "relative_path", "absolute_win32_path", "volume_path" };
    struct vhdx *v = im->priv;
    bool found = false;

    if (n < PAIRS_AT)
        return err_set(e, -EBADMSG, "%s: metadata: a parent locator of %zu bytes", image_path(im),
                       n);
    vhdx_take_link(b, n, "parent_linkage", v->linkage, sizeof(v->linkage));
    vhdx_take_link(b, n, "parent_linkage2", v->linkage2, sizeof(v->linkage2));
    for (size_t i = 0; i < LEN(names) && !found; i++)
        found = parent_offer(im, vhdx_plain_path(vhdx_value(b, n, names[i])));
    free(im->parent_format);
    im->parent_format = strdup("vhdx");
    return im->parent_name && im->parent_format
               ? 0
               : err_set(e, -EBADMSG, "%s: metadata: names no parent", image_path(im));
}

/* One more pair; *end: where texts go on; false: no room. */
static bool vhdx_put_pair(u8 *b, size_t room, size_t *end, const char *key, const char *value)
{
    u16 i = le16(b + 18);
    u8 *p = b + PAIRS_AT + i * PAIR;
    size_t nkey = image_utf16_name(key, b + *end, (room - *end) / 2, true) * 2, nvalue;

    put_le32(p, (u32)*end);
    put_le16(p + 8, (u16)nkey);
    *end += nkey;
    nvalue = image_utf16_name(value, b + *end, (room - *end) / 2, true) * 2;
    put_le32(p + 4, (u32)*end);
    put_le16(p + 10, (u16)nvalue);
    *end += nvalue;
    put_le16(b + 18, i + 1);
    return nkey && nvalue;
}

size_t vhdx_put_parent(const struct image *base, const char *name, u8 *b, size_t room)
{
    const struct vhdx *up = base->priv;
    char *whole = realpath(image_path(base), NULL), text[TEXT_MAX];
    size_t end = PAIRS_AT + 3 * PAIR;
    bool ok = whole != NULL;

    memset(b, 0, end);
    vhdx_put_guid(b, VHDX_LOCATOR_TYPE);
    snprintf(text, sizeof(text), "{%s}", up->data_guid);
    ok = ok && vhdx_put_pair(b, room, &end, "parent_linkage", text);
    if (ok && *name != '/') {
        ok = snprintf(text, sizeof(text), "./%s", name) < (int)sizeof(text);
        ok = ok && vhdx_put_pair(b, room, &end, "relative_path", text);
    }
    ok = ok && vhdx_put_pair(b, room, &end, "absolute_win32_path", whole);
    free(whole);
    return ok ? end : 0;
}
