/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another parent for a differencing VHD, or none: a new header and new locators behind
 * everything, to which the footer leads when they are on the disk.
 */
#include "base/bytes.h"
#include "image/vhd_int.h"
#include <errno.h>
#include <string.h>

#define ALIGN 4096
#define PARENT_AT 40 /* of a header: id, time, name, locators */
#define PARENT_END 768

static int rebase_header(struct image *im, const struct image_make *how, struct err *e)
{
    struct vhd *v = im->priv;
    u64 header_at = round_up(v->next + VHD_FOOTER, ALIGN), at = header_at + VHD_HEADER;
    int r = 0;

    memset(v->header + PARENT_AT, 0, PARENT_END - PARENT_AT);
    put_be32(v->header + 36, 0);
    if (how->base && (r = vhd_put_parent(im, how, v->header, &at, e)))
        return r;
    put_be32(v->header + 36, vhd_sum(v->header, VHD_HEADER, 36));
    r = image_file_write(im, 0, header_at, v->header, VHD_HEADER);
    r = r ? r : image_file_sync(im);
    v->header_at = header_at;
    v->next = round_up(max_u64(at, header_at + VHD_HEADER), 512);
    memcpy(v->parent_id, v->header + PARENT_AT, 16);
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}

int vhd_rebase(struct image *im, const struct image_make *how, struct err *e)
{
    struct vhd *v = im->priv;
    int r;

    if (v->kind == VHD_FIXED || (how->base && v->kind != VHD_DIFFERENCING))
        return err_set(e, -EINVAL, "%s: is no differencing disk", image_path(im));
    if (how->base && (how->base->format != im->format || how->base->files[0].window))
        return err_set(e, -EINVAL, "%s: the parent of a VHD is a VHD in a file of its own",
                       image_path(im));
    r = vhd_touch(im);
    if (r)
        return err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    if ((r = rebase_header(im, how, e)))
        return r;
    v->kind = how->base ? VHD_DIFFERENCING : VHD_DYNAMIC;
    put_be32(v->footer + 60, v->kind);
    put_be64(v->footer + 16, v->header_at);
    put_be32(v->footer + 64, vhd_sum(v->footer, VHD_FOOTER, 64));
    r = meta_put(im, PLAN_ROOT, 0, 0, v->footer, VHD_FOOTER);
    r = r ? r : vhd_move_footer(im, PLAN_ROOT);
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}
