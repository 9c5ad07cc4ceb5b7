/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sparse extents of a VMDK ("Virtual Disk Format 5.0", hosted sparse extents; COWD, its old
 * form): header, grain directory, grain tables, and where a grain is.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "image/vmdk_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VMDK_DIRECTORY_MAX (64u << 20)
#define COWD_PARENT 32 /* where in the header the name is */
#define COWD_PARENT_MAX 1024

int vmdk_take_header(const u8 *b, struct vmdk_header *h)
{
    struct cursor c = cursor_of(b, 512);

    if (get_le32(&c) != VMDK_MAGIC)
        return -EBADMSG;
    h->version = get_le32(&c);
    h->flags = get_le32(&c);
    h->capacity = get_le64(&c);
    h->grain = get_le64(&c);
    h->text_at = get_le64(&c);
    h->text_len = get_le64(&c);
    h->gtes = get_le32(&c);
    h->rgd = get_le64(&c);
    h->gd = get_le64(&c);
    h->overhead = get_le64(&c);
    memcpy(h->newlines, b + 73, 4);
    h->packing = le16(b + 77);
    return 0;
}

int vmdk_read_header(struct image *im, u32 file, u64 at, struct vmdk_header *h)
{
    u8 b[512];
    int r = image_file_read(im, file, at, b, sizeof(b));

    return r ? r : vmdk_take_header(b, h);
}

/*
 * A stream has its directory at the end: the footer is the last sector but one.  Bytes behind
 * it (the padding of a tar) are common.
 */
static bool vmdk_find_footer(struct image *im, u32 file, struct vmdk_header *h)
{
    u64 end = image_file_length(im, file) & ~(SECTOR - 1), back;
    struct vmdk_header foot;

    for (back = 2 * SECTOR; back <= (1 << 20) && back + SECTOR < end; back += SECTOR)
        if (!vmdk_read_header(im, file, end - back, &foot) && foot.gd != GD_AT_END &&
            foot.capacity == h->capacity) {
            *h = foot;
            return true;
        }
    return false;
}

int vmdk_check_header(const struct vmdk_header *h, const char *name, struct err *e)
{
    if (h->version < 1 || h->version > 4)
        return err_set(e, -EOPNOTSUPP, "%s: header: version %u, 1 to 4 are known", name,
                       h->version);
    if (h->flags & FLAG_NEWLINES && memcmp(h->newlines, "\n \r\n", 4))
        return err_set(e, -EBADMSG, "%s: header: damaged by a transfer as text", name);
    if (h->grain < 1 || h->grain > 1 << 20 || h->grain & (h->grain - 1))
        return err_set(e, -EBADMSG, "%s: header: a grain of %llu sectors is not possible", name,
                       (unsigned long long)h->grain);
    if (h->gtes < 1 || h->gtes > 4096 || h->gtes & (h->gtes - 1))
        return err_set(e, -EBADMSG, "%s: header: %u entries in a grain table are not possible",
                       name, h->gtes);
    if (h->capacity > INT64_MAX / SECTOR)
        return err_set(e, -EBADMSG, "%s: header: a capacity of %llu sectors is not possible", name,
                       (unsigned long long)h->capacity);
    if (h->flags & FLAG_PACKED && h->packing != 1)
        return err_set(e, -EOPNOTSUPP, "%s: header: compression %u is not known", name, h->packing);
    if (h->flags & FLAG_PACKED && h->grain * SECTOR > VMDK_PACKED_MAX)
        return err_set(e, -EOPNOTSUPP, "%s: header: compressed grains of %llu sectors", name,
                       (unsigned long long)h->grain);
    return 0;
}

static int vmdk_count_tables(struct vmdk_part *p, const char *name, struct err *e)
{
    u64 reach = p->grain * p->gtes, ngd = p->len / reach + !!(p->len % reach);

    if (ngd * 4 > VMDK_DIRECTORY_MAX)
        return err_set(e, -EBADMSG, "%s: a grain directory of %llu entries is too big", name,
                       (unsigned long long)ngd);
    p->ngd = (u32)ngd;
    return 0;
}

/* Directory and tables of a sparse part, checked against the file. */
static int vmdk_set_tables(struct image *im, struct vmdk_part *p, u64 gd, u64 rgd, struct err *e)
{
    const char *name = im->files[p->file].path;
    u64 size = image_file_length(im, p->file), ngd;
    int r = vmdk_count_tables(p, name, e);

    if (r)
        return r;
    ngd = p->ngd;
    if (gd > size / SECTOR || !range_ok(gd * SECTOR, ngd * 4, size))
        return err_set(e, -EBADMSG,
                       "%s: the grain directory (%llu entries at sector %llu) is not inside the "
                       "file of %llu bytes",
                       name, (unsigned long long)ngd, (unsigned long long)gd,
                       (unsigned long long)size);
    p->gd_at = gd * SECTOR;
    if (rgd && rgd <= size / SECTOR && range_ok(rgd * SECTOR, ngd * 4, size))
        p->rgd_at = rgd * SECTOR;
    p->next = round_up(size, p->grain);
    return 0;
}

int vmdk_open_sparse(struct image *im, struct vmdk_part *p, struct err *e)
{
    const char *name = im->files[p->file].path;
    struct vmdk_header h;
    int r = vmdk_read_header(im, p->file, 0, &h);

    if (r)
        return err_set(e, -EBADMSG, "%s: header: is no sparse extent", name);
    if ((r = vmdk_check_header(&h, name, e)))
        return r;
    if (h.gd == GD_AT_END && vmdk_find_footer(im, p->file, &h) &&
        (r = vmdk_check_header(&h, name, e)))
        return r;
    if (!p->len)
        p->len = h.capacity * SECTOR;
    if (p->len > h.capacity * SECTOR)
        return err_set(e, -EBADMSG, "%s: holds %llu sectors, its descriptor says %llu", name,
                       (unsigned long long)h.capacity, (unsigned long long)(p->len / SECTOR));
    p->grain = h.grain * SECTOR;
    p->gtes = h.gtes;
    p->packed = h.flags & FLAG_PACKED;
    p->markers = h.flags & FLAG_MARKERS;
    p->zeroes = h.flags & FLAG_ZEROES || h.version >= 2;
    p->data_at = SECTOR;
    if (h.gd != GD_AT_END)
        return vmdk_set_tables(im, p, h.gd, h.flags & FLAG_SECOND ? h.rgd : 0, e);
    if (!p->packed || !p->markers || h.overhead > INT64_MAX / SECTOR)
        return err_set(e, -EBADMSG, "%s: has no footer at its end (%llu bytes): it is cut short",
                       name, (unsigned long long)image_file_length(im, p->file));
    r = vmdk_count_tables(p, name, e);
    return r ? r : vmdk_recover(im, p, max_u64(h.overhead, 1) * SECTOR, e);
}

/* A root has its geometry where a child has the name of its parent: text, then. */
static int vmdk_cowd_parent(struct image *im, const u8 *header)
{
    const char *name = (const char *)header + COWD_PARENT;
    size_t n = 0;

    while (n < COWD_PARENT_MAX && (u8)name[n] > ' ' && (u8)name[n] != 0x7f)
        n++;
    if (n < 3 || n == COWD_PARENT_MAX || name[n])
        return 0;
    im->parent_name = strdup(name);
    return im->parent_name ? 0 : -ENOMEM;
}

/* COWD: all numbers are of 32 bits, tables always have 4096 entries.  alone: no descriptor. */
int vmdk_open_cowd(struct image *im, struct vmdk_part *p, bool alone, struct err *e)
{
    const char *name = im->files[p->file].path;
    u32 version, size, grain, gd;
    struct cursor c;
    u8 b[2048];
    int r;

    if (image_file_read(im, p->file, 0, b, sizeof(b)) || le32(b) != COWD_MAGIC)
        return err_set(e, -EBADMSG, "%s: header: is no COWD extent", name);
    c = cursor_of(b + 4, sizeof(b) - 4);
    version = get_le32(&c);
    get_le32(&c);
    size = get_le32(&c);
    grain = get_le32(&c);
    gd = get_le32(&c);
    if (version != 1)
        return err_set(e, -EOPNOTSUPP, "%s: header: version %u, 1 is known", name, version);
    if (!grain || grain > 1 << 20 || grain & (grain - 1))
        return err_set(e, -EBADMSG, "%s: header: a grain of %u sectors is not possible", name,
                       grain);
    if (!p->len)
        p->len = size * SECTOR;
    if (p->len > size * SECTOR)
        return err_set(e, -EBADMSG, "%s: holds %u sectors, its descriptor says %llu", name, size,
                       (unsigned long long)(p->len / SECTOR));
    p->grain = grain * SECTOR;
    p->gtes = 4096;
    p->data_at = SECTOR;
    if (!alone)
        return vmdk_set_tables(im, p, gd, 0, e);
    r = vmdk_cowd_parent(im, b);
    return r ? err_set(e, r, "%s: no memory", name) : vmdk_set_tables(im, p, gd, 0, e);
}

int vmdk_table(struct image *im, const struct vmdk_part *p, u64 index, u64 *at, bool second)
{
    u8 b[4];
    int r = meta_get(im, p->file, (second ? p->rgd_at : p->gd_at) + index * 4, b, 4);

    if (r)
        return r;
    *at = le32(b) * SECTOR;
    return !*at || range_ok(*at, p->gtes * 4, max_u64(p->next, image_file_length(im, p->file)))
               ? 0
               : -EIO;
}

#define VMDK_RUN 64

/* n entries of the table from slot on; *none: there is no such table. */
static int vmdk_entries(struct image *im, const struct vmdk_part *p, u64 index, u32 slot, u32 n,
                        u8 *b, bool *none)
{
    u64 table;
    int r;

    if (p->found) {
        *none = !p->found[index];
        if (!*none)
            memcpy(b, p->found[index] + slot, n * 4);
        return 0;
    }
    r = vmdk_table(im, p, index, &table, false);
    if (r && p->rgd_at)
        r = vmdk_table(im, p, index, &table, true);
    *none = !table;
    return r || !table ? r : meta_get(im, p->file, table + slot * 4, b, n * 4);
}

int vmdk_map_sparse(struct image *im, const struct vmdk_part *p, u64 off, struct extent *x)
{
    u64 in = off - p->first, grain = in / p->grain, index = grain / p->gtes, at;
    u32 slot = grain % p->gtes, n = (u32)min_u64(p->gtes - slot, VMDK_RUN), run;
    u64 within = in % p->grain;
    u8 b[VMDK_RUN * 4];
    bool none;
    u32 e;
    int r = vmdk_entries(im, p, index, slot, n, b, &none);

    if (r)
        return r;
    x->file = p->file;
    if (none) {
        x->kind = EXT_PARENT;
        x->len = min_u64(p->gtes * p->grain - in % (p->gtes * p->grain), p->len - in);
        return 0;
    }
    e = le32(b);
    x->kind = !e ? EXT_PARENT : e == 1 && p->zeroes ? EXT_ZERO : p->packed ? EXT_PACKED : EXT_DATA;
    at = e * SECTOR;
    if (x->kind == EXT_PACKED) {
        u64 next = n > 1 ? le32(b + 4) * SECTOR : 0;
        u64 most = 2 * p->grain + SECTOR;

        x->at = at;
        x->base = p->first + in - within;
        x->unpacked = (u32)min_u64(p->grain, p->len - (in - within));
        x->packed = (u32)(next > at ? min_u64(next - at, most) : most);
        x->len = x->unpacked - within;
        return at < p->data_at ? -EIO : 0;
    }
    if (x->kind == EXT_DATA && at < p->data_at)
        return -EIO;
    for (run = 1; run < n; run++)
        if (x->kind == EXT_DATA ? le32(b + run * 4) != e + run * (p->grain / SECTOR)
                                : le32(b + run * 4) != e)
            break;
    x->len = min_u64(run * p->grain - within, p->len - in);
    x->at = at + within;
    if (x->kind == EXT_DATA && !range_ok(x->at, x->len, image_file_length(im, p->file)))
        return -EIO;
    return 0;
}

/* Some grain of a file without markers has no 12 bytes in front: deflate begins at once. */
static int vmdk_grain_data(const struct vmdk_part *p, u64 lba, const u8 **in, size_t *n)
{
    u32 size;

    if (*n < 12)
        return -EIO;
    size = le32(*in + 8);
    if (le64(*in) == lba && size && size <= *n - 12) {
        *in += 12;
        *n = size;
        return 0;
    }
    return p->markers ? -EIO : 0;
}

int vmdk_unpack(struct image *im, const struct extent *x, const u8 *in, size_t n, u8 *out)
{
    const struct vmdk_part *p = vmdk_part_at(im->priv, x->base);
    u8 *whole = NULL;
    size_t got;
    int r = vmdk_grain_data(p, (x->base - p->first) / SECTOR, &in, &n);

    if (r)
        return r;
    if (x->unpacked < p->grain && !(whole = malloc(p->grain)))
        return -ENOMEM;
    r = inflate_zlib(in, n, whole ? whole : out, p->grain, &got);
    if (!r && got < x->unpacked)
        r = -EIO;
    if (!r && whole)
        memcpy(out, whole, x->unpacked);
    free(whole);
    return r;
}
