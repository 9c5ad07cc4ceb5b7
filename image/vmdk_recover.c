/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A streamOptimized extent whose directory or footer is not there: its grains are found by
 * their markers, and the tables made anew in memory.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "image/vmdk_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void vmdk_recover_free(struct vmdk_part *p)
{
    for (u32 i = 0; p->found && i < p->ngd; i++)
        free(p->found[i]);
    free(p->found);
    p->found = NULL;
}

static int vmdk_recover_grain(struct vmdk_part *p, u64 lba, u64 at)
{
    u64 grain = lba * SECTOR / p->grain;
    u32 **table = &p->found[grain / p->gtes];

    if (!*table && !(*table = calloc(p->gtes, sizeof(**table))))
        return -ENOMEM;
    (*table)[grain % p->gtes] = (u32)(at / SECTOR);
    return 0;
}

/* One marker; *at goes behind what it marks.  1: the last. */
static int vmdk_recover_mark(struct image *im, struct vmdk_part *p, u64 *at, u64 *grains)
{
    u64 size = image_file_length(im, p->file), lba, n;
    u8 b[16];

    if (image_file_read(im, p->file, *at, b, sizeof(b)))
        return -ENODATA;
    lba = le64(b);
    n = le32(b + 8);
    if (!n) {
        if (le32(b + 12) > MARK_PROGRESS || lba > size / SECTOR)
            return -ENODATA;
        *at += SECTOR + lba * SECTOR;
        return le32(b + 12) == MARK_END && !lba;
    }
    if (lba >= p->len / SECTOR || lba * SECTOR % p->grain || n > 2 * p->grain + 64 ||
        !range_ok(*at, MARK_BYTES + n, size) || *at / SECTOR > UINT32_MAX)
        return -ENODATA;
    ++*grains;
    n = round_up(MARK_BYTES + n, SECTOR);
    *at += n;
    return vmdk_recover_grain(p, lba, *at - n);
}

int vmdk_recover(struct image *im, struct vmdk_part *p, u64 at, struct err *e)
{
    const char *name = im->files[p->file].path;
    u64 grains = 0;
    int r = 0;

    p->found = calloc(p->ngd ? p->ngd : 1, sizeof(*p->found));
    if (!p->found)
        return err_set(e, -ENOMEM, "%s: no memory", name);
    while (!r)
        r = vmdk_recover_mark(im, p, &at, &grains);
    if (r == -ENOMEM)
        return err_set(e, r, "%s: no memory", name);
    if (r == 1) {
        log_warn("%s: its directory is not there; its %llu grains were found by their markers",
                 name, (unsigned long long)grains);
        return 0;
    }
    if (!(im->flags & IMAGE_RECOVER))
        return err_set(e, -EBADMSG,
                       "%s: has no footer, and after %llu grains (%llu bytes) no further one: the "
                       "file is cut short",
                       name, (unsigned long long)grains, (unsigned long long)at);
    log_warn("%s: is cut short; %llu grains of it are left", name, (unsigned long long)grains);
    return 0;
}
