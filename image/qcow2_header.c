/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing the header of a qcow2.  Its fields are in the first 512 bytes and so change at
 * once.  What follows, the extensions and the parent's name, is written to a free place first
 * and then switched to: the header's length says where the extensions begin, an offset where
 * the name is.
 */
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MIN 104
#define HEADER_FIELDS 112
#define EXT_BACKING 0xe2792acau

int qcow2_put_features(struct image *im)
{
    const struct qcow2 *q = im->priv;
    u8 b[24];
    int r;

    put_be64(b, q->incompatible);
    put_be64(b + 8, q->compatible);
    put_be64(b + 16, q->autoclear);
    r = meta_put(im, PLAN_HEADER, 0, 72, b, sizeof(b)); /* a later change of the sector keeps it */
    return r ? r : image_file_write(im, 0, 72, b, sizeof(b));
}

/* The extensions but for the parent's format, as they are: *n bytes in `to`, without the end. */
static int header_others(const u8 *head, size_t size, u32 from, u8 *to, size_t *n, u32 *end)
{
    struct cursor c = cursor_of(head, size);

    *n = 0;
    cursor_take(&c, from);
    for (;;) {
        size_t at = c.at;
        u32 type = get_be32(&c), len = get_be32(&c);

        *end = (u32)c.at;
        if (!type)
            return c.bad ? -EBADMSG : 0;
        cursor_take(&c, len);
        cursor_take(&c, -len & 7);
        if (c.bad)
            return -EBADMSG;
        if (type == EXT_BACKING)
            continue;
        memcpy(to + *n, head + at, c.at - at);
        *n += c.at - at;
    }
}

/* The tail of a header: extensions, their end, the parent's name; its bytes. */
static size_t header_tail(const struct image_make *how, const u8 *others, size_t nothers, u8 *to,
                          size_t *name_at)
{
    size_t format = how->parent && how->parent_format ? strlen(how->parent_format) : 0;
    size_t at = 0;

    if (format) {
        put_be32(to, EXT_BACKING);
        put_be32(to + 4, (u32)format);
        memcpy(to + 8, how->parent_format, format);
        at = 8 + round_up(format, 8);
    }
    memcpy(to + at, others, nothers);
    at += nothers + 8;
    *name_at = at;
    if (how->parent) {
        memcpy(to + at, how->parent, strlen(how->parent));
        at += round_up(strlen(how->parent), 8);
    }
    return at;
}

/* Where a tail of n bytes finds room in the first cluster beside the old one; 0: nowhere. */
static u32 header_place(const struct qcow2 *q, const u8 *head, u32 end, size_t n)
{
    u64 name_at = be64(head + 8), name_end = name_at ? name_at + be32(head + 16) : 0;
    u32 first = q->header_len, last = (u32)round_up(max_u64(end, name_end), 512);

    if (HEADER_FIELDS + n <= first && (!name_at || name_at >= first))
        return HEADER_FIELDS; /* it was moved before: back to the usual place */
    return last + n <= q->cluster ? last : 0;
}

static int header_switch(struct image *im, u8 *head, u32 place, size_t name_at,
                         const struct image_make *how)
{
    struct qcow2 *q = im->priv;
    int r = image_file_sync(im);

    put_be64(head + 8, how->parent ? place + name_at : 0);
    put_be32(head + 16, how->parent ? (u32)strlen(how->parent) : 0);
    if (q->version >= 3) {
        put_be32(head + 100, place);
        q->header_len = place;
    }
    if (!r)
        r = meta_put(im, PLAN_HEADER, 0, 0, head, HEADER_MIN);
    if (!r)
        r = image_file_write(im, 0, 0, head, HEADER_MIN);
    return r ? r : image_file_sync(im);
}

int qcow2_move_names(struct image *im, const struct image_make *how)
{
    struct qcow2 *q = im->priv;
    size_t size = min_u64(q->cluster, image_file_length(im, 0)), n, nothers, name_at;
    u8 *head = calloc(3, q->cluster + 4096), *others = head + q->cluster + 4096;
    u8 *tail = others + q->cluster + 4096;
    u32 end = 0, place;
    int r = head ? image_file_read(im, 0, 0, head, size) : -ENOMEM;

    if (!r)
        r = header_others(head, size, q->header_len, others, &nothers, &end);
    if (!r) {
        n = header_tail(how, others, nothers, tail, &name_at);
        place = header_place(q, head, end, n);
        /* version 2 has its extensions in one place: only the name may move */
        if (!place || (q->version < 3 && (nothers || (how->parent && how->parent_format))))
            r = -ENOSPC;
    }
    if (!r)
        r = image_file_write(im, 0, place, tail, n);
    if (!r)
        r = header_switch(im, head, place, name_at, how);
    free(head);
    return r;
}
