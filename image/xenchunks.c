/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks of XenEnterprise 3.x: a directory of gzip files chunk000000000.gz, chunk000000001.gz
 * ..., of 10^9 bytes each when unpacked, the last one shorter.  The first one is opened.
 */
#include "image/image_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 1000000000ull
#define CHUNK_FIRST "chunk000000000.gz"

static int xenchunks_probe(const struct probe *p)
{
    const char *slash = strrchr(p->name, '/');

    return !strcmp(slash ? slash + 1 : p->name, CHUNK_FIRST) ? 70 : 0;
}

static int xenchunks_open(struct image *im, struct err *e)
{
    struct image_file_spec s = { .lock = !(im->flags & IMAGE_NO_LOCK) };
    int r = 0;

    for (u32 i = 1; r >= 0; i++) {
        u64 had = image_file_length(im, i - 1);
        char name[32], *path;

        if (had > CHUNK_BYTES)
            return err_set(e, -EBADMSG, "%s: a chunk of %llu bytes, 10^9 is the most",
                           im->files[i - 1].path, (unsigned long long)had);
        im->size += had;
        snprintf(name, sizeof(name), "chunk%09u.gz", i);
        r = image_file_find(im, name, &path, NULL);
        if (r == -ENOENT)
            break;
        if (r)
            return err_set(e, r, "%s: its next chunk %s: %s", image_path(im), name, strerror(-r));
        s.path = path;
        r = had == CHUNK_BYTES
                ? image_file_add(im, &s, e)
                : err_set(e, -EBADMSG, "%s: has %llu bytes and is not the last chunk",
                          im->files[i - 1].path, (unsigned long long)had);
        free(path);
    }
    im->size = round_up(im->size, 512);
    return r == -ENOENT ? 0 : r;
}

static int xenchunks_map(struct image *im, u64 off, struct extent *x)
{
    u64 in = off % CHUNK_BYTES;

    x->file = (u32)(off / CHUNK_BYTES);
    if (x->file >= im->nfiles)
        return -EIO;
    x->kind = EXT_DATA; /* behind the end of a file there are zeroes */
    x->at = in;
    x->len = CHUNK_BYTES - in;
    return 0;
}

const struct image_format image_xenchunks = {
    .name = "xenchunks",
    .suffix = ".gz",
    .about = "XenEnterprise 3.x: a directory of compressed pieces",
    .probe = xenchunks_probe,
    .open = xenchunks_open,
    .map = xenchunks_map,
};
