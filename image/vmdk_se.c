/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seSparse extents, the snapshots of newer ESXi hosts: grains of 4 KiB, entries of 64 bits.
 * VMware published nothing; the layout is known from what others read.  Read only.  Left out:
 * the journal, whose form nobody has written down: an extent that needs it is refused.
 */
#include "base/bytes.h"
#include "image/vmdk_int.h"
#include <errno.h>
#include <string.h>

#define SE_VERSION 0x0000000200000001ull
#define SE_VOLATILE_MAGIC 0xcafecafeull
#define SE_DIRECTORY_MAX (64u << 20)
enum { SE_GRAIN = 4096, SE_ENTRIES = 4096, SE_TABLE = SE_ENTRIES * 8, SE_RUN = 128 };

/* Of the 26 numbers of the header. */
enum {
    SE_MAGIC,
    SE_HEADER_VERSION,
    SE_CAPACITY,
    SE_GRAIN_SIZE,
    SE_TABLE_SIZE,
    SE_FLAGS,
    SE_VOLATILE = 10,
    SE_DIRECTORY = 16,
    SE_DIRECTORY_SIZE,
    SE_TABLES,
    SE_TABLES_SIZE,
    SE_GRAINS = 24,
    SE_NUMBERS = 26
};

static int vmdk_se_check_header(const char *name, const u64 *h, struct err *e)
{
    if (h[SE_MAGIC] != SESPARSE_MAGIC)
        return err_set(e, -EBADMSG, "%s: header: is no seSparse extent", name);
    if (h[SE_HEADER_VERSION] != SE_VERSION)
        return err_set(e, -EOPNOTSUPP, "%s: header: version %#llx, 2.1 is known", name,
                       (unsigned long long)h[SE_HEADER_VERSION]);
    if (h[SE_GRAIN_SIZE] != SE_GRAIN / SECTOR || h[SE_TABLE_SIZE] != SE_TABLE / SECTOR ||
        h[SE_FLAGS])
        return err_set(e, -EOPNOTSUPP,
                       "%s: header: grains of %llu, tables of %llu sectors, flags %#llx are not "
                       "known",
                       name, (unsigned long long)h[SE_GRAIN_SIZE],
                       (unsigned long long)h[SE_TABLE_SIZE], (unsigned long long)h[SE_FLAGS]);
    for (int i = 0; i < SE_NUMBERS; i++)
        if (i != SE_HEADER_VERSION && h[i] > INT64_MAX / SECTOR)
            return err_set(e, -EBADMSG, "%s: header: number %d (%#llx) is not possible", name, i,
                           (unsigned long long)h[i]);
    return 0;
}

static int vmdk_se_check_journal(struct image *im, const struct vmdk_part *p, u64 at, struct err *e)
{
    const char *name = im->files[p->file].path;
    u8 b[512];

    if (image_file_read(im, p->file, at * SECTOR, b, sizeof(b)) || le64(b) != SE_VOLATILE_MAGIC)
        return err_set(e, -EBADMSG, "%s: the volatile header at sector %llu is none", name,
                       (unsigned long long)at);
    if (le64(b + 24))
        return err_set(e, -EOPNOTSUPP,
                       "%s: its journal holds changes that are not carried out yet, and its form "
                       "is not published: power the VM on and off, or consolidate, on its host",
                       name);
    return 0;
}

int vmdk_open_se(struct image *im, struct vmdk_part *p, struct err *e)
{
    const char *name = im->files[p->file].path;
    u64 h[SE_NUMBERS], size = image_file_length(im, p->file), ngd;
    u8 b[512];
    int r;

    if (image_file_read(im, p->file, 0, b, sizeof(b)))
        return err_set(e, -EBADMSG, "%s: header: is no seSparse extent", name);
    for (int i = 0; i < SE_NUMBERS; i++)
        h[i] = le64(b + i * 8);
    if ((r = vmdk_se_check_header(name, h, e)) ||
        (r = vmdk_se_check_journal(im, p, h[SE_VOLATILE], e)))
        return r;
    if (p->len > h[SE_CAPACITY] * SECTOR)
        return err_set(e, -EBADMSG, "%s: holds %llu sectors, its descriptor says %llu", name,
                       (unsigned long long)h[SE_CAPACITY], (unsigned long long)(p->len / SECTOR));
    ngd = (p->len + (u64)SE_GRAIN * SE_ENTRIES - 1) / ((u64)SE_GRAIN * SE_ENTRIES);
    if (ngd * 8 > SE_DIRECTORY_MAX || ngd * 8 > h[SE_DIRECTORY_SIZE] * SECTOR ||
        !range_ok(h[SE_DIRECTORY] * SECTOR, ngd * 8, size))
        return err_set(e, -EBADMSG,
                       "%s: the grain directory (%llu entries at sector %llu) is not inside the "
                       "file of %llu bytes",
                       name, (unsigned long long)ngd, (unsigned long long)h[SE_DIRECTORY],
                       (unsigned long long)size);
    p->grain = SE_GRAIN;
    p->gtes = SE_ENTRIES;
    p->ngd = (u32)ngd;
    p->gd_at = h[SE_DIRECTORY] * SECTOR;
    p->tables_at = h[SE_TABLES] * SECTOR;
    p->ntables = h[SE_TABLES_SIZE] / (SE_TABLE / SECTOR);
    p->data_at = h[SE_GRAINS] * SECTOR;
    return 0;
}

/* Of an entry of a table. */
static int vmdk_se_kind(u64 entry, enum extent_kind *kind)
{
    static const enum extent_kind kinds[] = { EXT_PARENT, EXT_ZERO, EXT_ZERO, EXT_DATA };

    if (entry >> 60 >= LEN(kinds))
        return -EIO;
    *kind = kinds[entry >> 60];
    return 0;
}

/* The number of a grain is rotated: its low 12 bits are above the others. */
static u64 vmdk_se_grain(u64 entry)
{
    return (entry >> 48 & 0xfff) | (entry & 0xffffffffffff) << 12;
}

/* The table of a directory's entry: its place, 0 none. */
static int vmdk_se_table(struct image *im, const struct vmdk_part *p, u64 index, u64 *at)
{
    u8 b[8];
    int r = meta_get(im, p->file, p->gd_at + index * 8, b, 8);
    u64 entry = le64(b);

    *at = 0;
    if (r || !entry)
        return r;
    if (entry >> 32 != 0x10000000 || (u32)entry >= p->ntables)
        return -EIO;
    *at = p->tables_at + (u64)(u32)entry * SE_TABLE;
    return range_ok(*at, SE_TABLE, image_file_length(im, p->file)) ? 0 : -EIO;
}

int vmdk_map_se(struct image *im, const struct vmdk_part *p, u64 off, struct extent *x)
{
    u64 in = off - p->first, grain = in / SE_GRAIN, table, first, within = in % SE_GRAIN;
    u32 slot = grain % SE_ENTRIES, n = (u32)min_u64(SE_ENTRIES - slot, SE_RUN), run;
    enum extent_kind kind;
    u8 b[SE_RUN * 8];
    int r = vmdk_se_table(im, p, grain / SE_ENTRIES, &table);

    if (r)
        return r;
    x->file = p->file;
    if (!table) {
        u64 reach = (u64)SE_GRAIN * SE_ENTRIES;

        x->kind = EXT_PARENT;
        x->len = min_u64(reach - in % reach, p->len - in);
        return 0;
    }
    r = meta_get(im, p->file, table + slot * 8, b, n * 8);
    if (r || (r = vmdk_se_kind(le64(b), &x->kind)))
        return r;
    first = vmdk_se_grain(le64(b));
    for (run = 1; run < n; run++) {
        u64 next = le64(b + run * 8);

        if (vmdk_se_kind(next, &kind) || kind != x->kind ||
            (kind == EXT_DATA && vmdk_se_grain(next) != first + run))
            break;
    }
    x->len = min_u64((u64)run * SE_GRAIN - within, p->len - in);
    if (x->kind != EXT_DATA)
        return 0;
    if (first > INT64_MAX / SE_GRAIN / 2)
        return -EIO;
    x->at = p->data_at + first * SE_GRAIN + within;
    return range_ok(x->at, x->len, image_file_length(im, p->file)) ? 0 : -EIO;
}
