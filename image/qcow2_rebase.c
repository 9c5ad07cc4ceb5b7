/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another parent for a qcow2.  Header, extensions and the parent's name lie in the first
 * cluster.  The new name goes where the old one is not; when it is on the disk, header and
 * extensions follow, which say where it is.
 */
#include "base/bytes.h"
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACKING 0xe2792aca
#define NAME_MAX_BYTES 1023
#define REBASE_SECTOR 512

/* One extension behind what is in `to`; false: no room. */
static bool rebase_extension(u8 *to, size_t room, size_t *at, u32 type, const void *p, u32 n)
{
    size_t whole = 8 + ((n + 7) & ~7u);

    if (whole > room - *at)
        return false;
    memset(to + *at, 0, whole);
    put_be32(to + *at, type);
    put_be32(to + *at + 4, n);
    memcpy(to + *at + 8, p, n);
    *at += whole;
    return true;
}

/* The extensions again, with the new format of the parent in place of the old; how long. */
static int rebase_extensions(const u8 *head, size_t n, u32 header_len, const char *format, u8 *to,
                             size_t *len)
{
    struct cursor c = cursor_of(head, n);
    size_t at = header_len;

    memcpy(to, head, header_len);
    if (format && !rebase_extension(to, n, &at, BACKING, format, (u32)strlen(format)))
        return -ENOSPC;
    cursor_take(&c, header_len);
    for (;;) {
        u32 type = get_be32(&c), size = get_be32(&c);
        const u8 *p = type && size <= n ? cursor_take(&c, size) : NULL;

        if (!type)
            break;
        cursor_take(&c, -size & 7);
        if (!p || c.bad)
            return -EBADMSG;
        if (type != BACKING && !rebase_extension(to, n, &at, type, p, size))
            return -ENOSPC;
    }
    if (!rebase_extension(to, n, &at, 0, "", 0))
        return -ENOSPC;
    *len = at;
    return 0;
}

/* A place for the name that is free both now and when the header has changed. */
static int rebase_place(const u8 *head, size_t cluster, size_t end, size_t name, size_t *at)
{
    u64 old = be64(head + 8), old_end = old + be32(head + 16);

    *at = end;
    if (old && *at < old_end && old < *at + name)
        *at = old_end;
    return *at <= cluster && name <= cluster - *at ? 0 : -ENOSPC;
}

static int rebase_write(struct image *im, u8 *head, u8 *to, size_t cluster,
                        const struct image_make *how)
{
    const struct qcow2 *q = im->priv;
    size_t name = how->parent ? strlen(how->parent) : 0, end, at = 0;
    int r = rebase_extensions(head, cluster, q->header_len, how->parent ? how->parent_format : NULL,
                              to, &end);

    if (!r && end > REBASE_SECTOR &&
        memcmp(to + REBASE_SECTOR, head + REBASE_SECTOR, end - REBASE_SECTOR))
        return qcow2_move_names(im, how); /* more than a sector would change: not at once */
    if (!r && name)
        r = rebase_place(head, cluster, end, name, &at);
    if (r)
        return r;
    put_be64(to + 8, at);
    put_be32(to + 16, (u32)name);
    if (name)
        r = meta_put(im, PLAN_TABLE, 0, at, how->parent, name);
    return r ? r : meta_put(im, PLAN_ROOT, 0, 0, to, end);
}

int qcow2_rebase(struct image *im, const struct image_make *how, struct err *e)
{
    const struct qcow2 *q = im->priv;
    size_t cluster = q->cluster;
    u8 *head = malloc(cluster), *to = malloc(cluster);
    int r = head && to ? meta_get(im, 0, 0, head, cluster) : -ENOMEM;

    if (!r && how->parent && strlen(how->parent) > NAME_MAX_BYTES)
        r = -ENAMETOOLONG;
    if (!r && how->parent && qcow2_is_raw_data(q))
        r = -EINVAL; /* who reads the data file by itself knows no parent */
    if (!r)
        r = rebase_write(im, head, to, cluster, how);
    free(head);
    free(to);
    return r ? err_set(e, r, "%s: header: the parent's name: %s", image_path(im), strerror(-r)) : 0;
}
