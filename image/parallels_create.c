/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new expanding Parallels image of one file, with a table of clusters that are not there yet. */
#include "base/bytes.h"
#include "image/parallels_int.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define CLUSTER_DEFAULT (1u << 20)
#define CLUSTER_MAX (1u << 30)
#define HEADS 16
#define TRACK 32

const struct image_option parallels_options[] = {
    { "variant", "expanding expanding-v1", "expanding-v1: 32-bit sectors, for old readers" },
    { NULL },
};

int parallels_create(struct image *im, const struct image_make *how, struct err *e)
{
    u32 cluster = how->block ? how->block : CLUSTER_DEFAULT;
    u64 sectors = round_up(how->size, 512) / 512, entries, data_at;
    u8 h[PARALLELS_TABLE_AT] = { 0 };
    char variant[16];
    bool wide = strcasecmp(image_option(im->format, how, "variant", variant, sizeof(variant)),
                           "expanding-v1");
    int r;

    entries = sectors * 512 / cluster + !!(sectors * 512 % cluster);
    if (cluster % 512 || cluster > CLUSTER_MAX || how->size > INT64_MAX / 2 ||
        entries * 4 > PARALLELS_TABLE_MAX || (!wide && sectors > UINT32_MAX))
        return err_set(e, -EINVAL, "%s: clusters of %u bytes for %llu bytes are not possible",
                       image_path(im), cluster, (unsigned long long)how->size);
    data_at = (PARALLELS_TABLE_AT + entries * 4 + cluster - 1) / cluster * cluster;
    memcpy(h, wide ? "WithouFreSpacExt" : "WithoutFreeSpace", 16);
    put_le32(h + 16, 2);
    put_le32(h + 20, HEADS);
    put_le32(h + 24, (u32)min_u64((sectors + HEADS * TRACK - 1) / (HEADS * TRACK), UINT32_MAX));
    put_le32(h + 28, cluster / 512);
    put_le32(h + 32, (u32)entries);
    put_le64(h + 36, sectors);
    put_le32(h + 48, (u32)(data_at / 512));
    r = image_file_extend(im, 0, data_at);
    r = r ? r : image_file_write(im, 0, 0, h, sizeof(h));
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}
