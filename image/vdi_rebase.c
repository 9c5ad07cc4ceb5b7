/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another parent for a differencing VDI, or none: ids in the header, all in one sector. */
#include "base/bytes.h"
#include "image/vdi_int.h"
#include <errno.h>
#include <string.h>

int vdi_rebase(struct image *im, const struct image_make *how, struct err *e)
{
    struct vdi *v = im->priv;
    const struct vdi *up = how->base ? how->base->priv : NULL;
    u8 *id = v->head + v->f->parent, *modified = v->head + v->f->parent_modified;
    u32 end = v->f->parent + 16u;
    int r;

    if (v->kind != VDI_DIFFERENCING || !v->f->parent)
        return err_set(e, -EINVAL, "%s: is no differencing disk", image_path(im));
    if (how->base && how->base->format != im->format)
        return err_set(e, -EINVAL, "%s: the parent of a VDI is a VDI", image_path(im));
    memset(id, 0, 16);
    if (up)
        memcpy(id, up->head + up->f->id, 16);
    if (v->f->parent_modified) {
        end = v->f->parent_modified + 16u;
        memset(modified, 0, 16);
        if (up && up->f->modified)
            memcpy(modified, up->head + up->f->modified, 16);
    }
    if (!up)
        v->kind = VDI_NORMAL;
    put_le32(v->head + v->f->kind, v->kind);
    put_le32(v->head + v->f->allocated, v->next);
    r = meta_put(im, PLAN_TABLE, 0, 64, v->head + 64, end - 64);
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}
