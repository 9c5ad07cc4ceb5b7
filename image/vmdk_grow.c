/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bigger disk in a VMDK of one extent.  Sparse: longer directories, with tables for what is
 * new, behind everything; the header leads there when they are on the disk.  Flat: a longer
 * file, then the descriptor.
 */
#include "base/buf.h"
#include "base/bytes.h"
#include "image/vmdk_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIRECTORY_MAX (64ull << 20)

/* The descriptor's lines about the size, anew. */
static int grow_line(struct buf *b, const char *line, size_t n, u64 sectors, const char *adapter,
                     bool *extent)
{
    static const char geometry[] = "ddb.geometry.";
    unsigned chs[3];
    int rest;

    if (!*extent && n > 3 && !strncasecmp(line, "RW ", 3)) {
        *extent = true;
        rest = 3 + (int)strspn(line + 3, " \t");
        rest += (int)strspn(line + rest, "0123456789");
        return buf_text(b, "RW %llu%.*s", (unsigned long long)sectors, (int)n - rest, line + rest);
    }
    if (n > sizeof(geometry) && !strncasecmp(line, geometry, sizeof(geometry) - 1)) {
        static const char *const names[] = { "cylinders", "heads", "sectors" };

        vmdk_geometry(adapter, sectors * SECTOR, &chs[0], &chs[1], &chs[2]);
        for (size_t i = 0; i < LEN(names); i++)
            if (!strncasecmp(line + sizeof(geometry) - 1, names[i], strlen(names[i])))
                return buf_text(b, "%s%s = \"%u\"\n", geometry, names[i], chs[i]);
    }
    return buf_add(b, line, n);
}

static int grow_text(struct image *im, u64 sectors)
{
    struct vmdk_words w;
    struct buf b = { 0 };
    bool extent = false;
    const char *adapter;
    int r = vmdk_words_read(im, &w);

    if (r)
        return r == -ENOENT ? 0 : r; /* an extent without a descriptor */
    adapter = strstr(w.text, "ddb.adapterType");
    adapter =
        adapter && !strncasecmp(adapter + strcspn(adapter, "\"\n"), "\"ide\"", 5) ? "ide" : "";
    for (const char *p = w.text; !r && *p;) {
        size_t n = strcspn(p, "\n");

        n += p[n] == '\n';
        r = grow_line(&b, p, n, sectors, adapter, &extent);
        p += n;
    }
    r = r ? r : vmdk_words_put(im, &w, &b);
    free(w.text);
    buf_fini(&b);
    return r;
}

/* A directory of n entries at `at`: the old ones, then tables one after the other behind it. */
static int grow_directory(struct image *im, const struct vmdk_part *p, u64 old, u64 at, u64 n)
{
    u64 table = at + round_up(n * 4, SECTOR), step = round_up(p->gtes * 4ull, SECTOR);
    u8 b[512];
    int r = 0;

    for (u64 i = 0; !r && i < n; i += sizeof(b) / 4) {
        u64 have = i < p->ngd ? min_u64(sizeof(b) / 4, p->ngd - i) : 0;

        memset(b, 0, sizeof(b));
        r = have ? meta_get(im, p->file, old + i * 4, b, have * 4) : 0;
        for (u64 k = have; k < min_u64(sizeof(b) / 4, n - i); k++, table += step)
            put_le32(b + k * 4, (u32)(table / SECTOR));
        r = r ? r : meta_put(im, PLAN_TABLE, p->file, at + i * 4, b, sizeof(b));
    }
    return r;
}

static int grow_header(struct image *im, struct vmdk_part *p, u64 sectors, u64 gd, u64 rgd)
{
    u8 b[SECTOR];
    int r = meta_get(im, p->file, 0, b, sizeof(b));

    put_le64(b + 12, sectors);
    put_le64(b + 48, rgd / SECTOR);
    put_le64(b + 56, gd / SECTOR);
    return r ? r : meta_put(im, PLAN_ROOT, p->file, 0, b, sizeof(b));
}

static int grow_sparse(struct image *im, struct vmdk_part *p, u64 sectors)
{
    u64 reach = p->grain * p->gtes, size = sectors * SECTOR, n = size / reach + !!(size % reach);
    u64 one = round_up(n * 4, SECTOR) + (n - p->ngd) * round_up(p->gtes * 4ull, SECTOR);
    u64 gd = p->next, rgd = p->rgd_at ? gd + one : 0, end = gd + one * (rgd ? 2 : 1);
    int r;

    if (n == p->ngd) { /* the tables have room */
        gd = p->gd_at;
        rgd = p->rgd_at;
        end = p->next;
    }
    if (n * 4 > DIRECTORY_MAX || end / SECTOR > UINT32_MAX)
        return -EFBIG;
    r = end > p->next ? image_file_extend(im, p->file, end) : 0;
    if (!r && gd != p->gd_at)
        r = grow_directory(im, p, p->gd_at, gd, n);
    if (!r && rgd != p->rgd_at)
        r = grow_directory(im, p, p->rgd_at, rgd, n);
    if (!r)
        r = grow_header(im, p, sectors, gd, rgd);
    if (r)
        return r;
    p->next = round_up(end, p->grain);
    p->gd_at = gd;
    p->rgd_at = rgd;
    p->ngd = (u32)n;
    return 0;
}

int vmdk_grow(struct image *im, u64 size, struct err *e)
{
    struct vmdk *k = im->priv;
    struct vmdk_part *p = k->parts;
    u64 sectors = round_up(size, SECTOR) / SECTOR;
    int r;

    if (k->nparts != 1)
        return err_set(e, -EOPNOTSUPP,
                       "%s: is a disk of several files: a conversion makes a bigger one of it",
                       image_path(im));
    r = vmdk_touch(im);
    if (!r && p->kind == VMDK_FLAT)
        r = image_file_extend(im, p->file, p->at + sectors * SECTOR);
    else if (!r)
        r = grow_sparse(im, p, sectors);
    r = r ? r : grow_text(im, sectors);
    if (r)
        return err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    p->len = sectors * SECTOR;
    im->size = p->len;
    return 0;
}
