/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another parent for a differencing VHDX: a new locator behind the other items of the metadata
 * region; its entry in the table leads there when it is on the disk.
 */
#include "base/bytes.h"
#include "image/vhdx_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOCATOR_MAX 8192
#define ENTRY 32 /* of the metadata table: GUID, offset, length, flags */

/* The locator's entry in the table, and where the items end. */
static int rebase_find(struct image *im, const u8 *table, u32 *entry, u64 *end)
{
    const struct vhdx *v = im->priv;
    u8 guid[16];

    vhdx_put_guid(guid, VHDX_ITEM_PARENT);
    *entry = 0;
    *end = VHDX_TABLE;
    for (u32 i = 0; i < le16(table + 10) && i < VHDX_TABLE / ENTRY - 1; i++) {
        const u8 *p = table + ENTRY + i * ENTRY;

        *end = max_u64(*end, (u64)le32(p + 16) + le32(p + 20));
        if (!memcmp(p, guid, 16))
            *entry = ENTRY + i * ENTRY;
    }
    *end = round_up(*end, VHDX_HEADER);
    return !*entry ? -EBADMSG : *end + LOCATOR_MAX <= v->meta_len ? 0 : -ENOSPC;
}

static int rebase_locator(struct image *im, const struct image_make *how, u8 *table)
{
    const struct vhdx *v = im->priv;
    u8 locator[LOCATOR_MAX];
    size_t n = vhdx_put_parent(how->base, how->parent, locator, sizeof(locator));
    u32 entry;
    u64 at;
    int r = n ? vhdx_get(im, v->meta_at, table, VHDX_TABLE) : -ENAMETOOLONG;

    r = r ? r : rebase_find(im, table, &entry, &at);
    if (r)
        return r;
    put_le32(table + entry + 16, (u32)at);
    put_le32(table + entry + 20, (u32)n);
    r = meta_put(im, PLAN_TABLE, 0, v->meta_at + at, locator, n);
    return r ? r : meta_put(im, PLAN_ROOT, 0, v->meta_at + entry, table + entry, ENTRY);
}

int vhdx_rebase(struct image *im, const struct image_make *how, struct err *e)
{
    struct vhdx *v = im->priv;
    u8 *table;
    int r;

    if (!v->differencing)
        return err_set(e, -EINVAL, "%s: is no differencing disk", image_path(im));
    if (!how->base || how->base->format != im->format || how->base->files[0].window)
        return err_set(e, -EINVAL, "%s: the parent of a VHDX is a VHDX in a file of its own",
                       image_path(im));
    if (!atomic_load(&im->touched) && (r = vhdx_touch(im)))
        return err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    table = malloc(VHDX_TABLE);
    r = table ? rebase_locator(im, how, table) : -ENOMEM;
    free(table);
    return r ? err_set(e, r, "%s: metadata: its parent: %s", image_path(im), strerror(-r)) : 0;
}
