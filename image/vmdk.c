/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMDK, after VMware's "Virtual Disk Format 5.0": sparse extents (also as a stream of
 * compressed grains), flat ones, the old COWD, disks of many extents, delta disks by content
 * id.  Left out: extents that are devices, seSparse.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "image/vmdk_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VMDK_MAGIC 0x564d444bu /* "KDMV" */
#define COWD_MAGIC 0x44574f43u
#define SECTOR 512ull
#define GD_AT_END (~0ull)
#define VMDK_DIRECTORY_MAX (64u << 20)
#define VMDK_PACKED_MAX (8u << 20)
/* Tables of up to this many bytes are looked through when the disk is opened. */
#define VMDK_SCAN_MAX (16u << 20)

enum {
    FLAG_NEWLINES = 1,
    FLAG_SECOND = 2,
    FLAG_ZEROES = 4,
    FLAG_PACKED = 1 << 16,
    FLAG_MARKERS = 1 << 17
};

static int vmdk_probe(const struct probe *p)
{
    if (p->nhead >= 512 && le32(p->head) == VMDK_MAGIC)
        return 100;
    if (p->nhead >= 512 && le32(p->head) == COWD_MAGIC)
        return 100;
    return p->size <= VMDK_TEXT_MAX && vmdk_text_is(p->head, p->nhead) ? 100 : 0;
}

struct vmdk_header {
    u32 version, flags, gtes;
    u64 capacity, grain, text_at, text_len, rgd, gd, overhead;
    u8 newlines[4];
    u16 packing;
};

static int vmdk_read_header(struct image *im, u32 file, u64 at, struct vmdk_header *h)
{
    struct cursor c;
    u8 b[512];
    int r = image_file_read(im, file, at, b, sizeof(b));

    if (r)
        return r;
    c = cursor_of(b, sizeof(b));
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

/* A stream has its directory at the end: the footer is the last sector but one. */
static int vmdk_find_footer(struct image *im, u32 file, struct vmdk_header *h, struct err *e)
{
    const char *name = im->files[file].path;
    u64 end = image_file_length(im, file) & ~(SECTOR - 1), back;
    struct vmdk_header foot;

    for (back = 2 * SECTOR; back <= (1 << 20) && back + SECTOR < end; back += SECTOR)
        if (!vmdk_read_header(im, file, end - back, &foot) && foot.gd != GD_AT_END &&
            foot.capacity == h->capacity) {
            *h = foot;
            return 0;
        }
    return err_set(e, -EBADMSG, "%s: has no footer at its end (%llu bytes): the file is cut short",
                   name, (unsigned long long)image_file_length(im, file));
}

static int vmdk_check_header(const struct vmdk_header *h, const char *name, struct err *e)
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

/* Directory and tables of a sparse part, checked against the file. */
static int vmdk_set_tables(struct image *im, struct vmdk_part *p, u64 gd, u64 rgd, struct err *e)
{
    const char *name = im->files[p->file].path;
    u64 size = image_file_length(im, p->file), reach = p->grain * p->gtes;
    u64 ngd = p->len / reach + !!(p->len % reach);

    if (ngd * 4 > VMDK_DIRECTORY_MAX)
        return err_set(e, -EBADMSG, "%s: a grain directory of %llu entries is too big", name,
                       (unsigned long long)ngd);
    if (gd > size / SECTOR || !range_ok(gd * SECTOR, ngd * 4, size))
        return err_set(e, -EBADMSG,
                       "%s: the grain directory (%llu entries at sector %llu) is not inside the "
                       "file of %llu bytes",
                       name, (unsigned long long)ngd, (unsigned long long)gd,
                       (unsigned long long)size);
    p->ngd = (u32)ngd;
    p->gd_at = gd * SECTOR;
    if (rgd && rgd <= size / SECTOR && range_ok(rgd * SECTOR, ngd * 4, size))
        p->rgd_at = rgd * SECTOR;
    p->next = round_up(size, p->grain);
    return 0;
}

static int vmdk_open_sparse(struct image *im, struct vmdk_part *p, struct err *e)
{
    const char *name = im->files[p->file].path;
    struct vmdk_header h;
    int r = vmdk_read_header(im, p->file, 0, &h);

    if (r)
        return err_set(e, -EBADMSG, "%s: header: is no sparse extent", name);
    if ((r = vmdk_check_header(&h, name, e)))
        return r;
    if (h.gd == GD_AT_END &&
        ((r = vmdk_find_footer(im, p->file, &h, e)) || (r = vmdk_check_header(&h, name, e))))
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
    return vmdk_set_tables(im, p, h.gd, h.flags & FLAG_SECOND ? h.rgd : 0, e);
}

/* COWD: all numbers are of 32 bits, tables always have 4096 entries. */
static int vmdk_open_cowd(struct image *im, struct vmdk_part *p, struct err *e)
{
    const char *name = im->files[p->file].path;
    u32 version, size, grain, gd;
    struct cursor c;
    u8 b[2048];

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
    return vmdk_set_tables(im, p, gd, 0, e);
}

static int vmdk_open_flat(struct image *im, const struct vmdk_part *p, struct err *e)
{
    u64 size = image_file_length(im, p->file);

    if (range_ok(p->at, p->len, size))
        return 0;
    return err_set(e, -EBADMSG, "%s: has %llu bytes, its descriptor says %llu from %llu on",
                   im->files[p->file].path, (unsigned long long)size, (unsigned long long)p->len,
                   (unsigned long long)p->at);
}

static struct vmdk_part *vmdk_add_part(struct vmdk *k)
{
    struct vmdk_part *parts = realloc(k->parts, (k->nparts + 1) * sizeof(*parts));

    if (!parts)
        return NULL;
    k->parts = parts;
    parts[k->nparts] = (struct vmdk_part){ 0 };
    return &parts[k->nparts++];
}

/* The file of an extent line: found beside the descriptor, opened as one of ours. */
static int vmdk_open_file(struct image *im, const struct vmdk_line *l, u32 *file, struct err *e)
{
    struct image_file_spec s = { .write = im->writable && l->access == VMDK_RW,
                                 .lock = !(im->flags & IMAGE_NO_LOCK) };
    char *path;
    int r;

    if (im->files[0].window)
        return err_set(e, -EOPNOTSUPP,
                       "%s: names \"%.100s\"; a disk of several files inside an archive is not "
                       "supported",
                       image_path(im), l->name);
    for (u32 i = 1; i < im->nfiles; i++)
        if (!strcmp(strrchr(im->files[i].path, '/') + 1, l->name)) {
            *file = i; /* several lines may share a file */
            return 0;
        }
    if ((r = image_file_find(im, l->name, &path, e)))
        return r;
    s.path = path;
    r = image_file_add(im, &s, e);
    free(path);
    if (r < 0)
        return r;
    *file = (u32)r;
    return 0;
}

static int vmdk_open_line(struct image *im, const struct vmdk_line *l, struct err *e)
{
    struct vmdk_part *p = vmdk_add_part(im->priv);
    int r;

    if (!p)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    p->kind = l->kind;
    p->access = l->access;
    p->first = im->size;
    p->len = l->sectors * SECTOR;
    im->size += p->len;
    if (im->size > INT64_MAX || l->offset > INT64_MAX / SECTOR)
        return err_set(e, -EBADMSG, "%s: its extents are too long", image_path(im));
    if (l->access == VMDK_NOACCESS) {
        log_warn("%s: an extent that nobody may read is read as zeroes", image_path(im));
        p->kind = VMDK_ZERO;
    }
    if (im->writable && (l->access != VMDK_RW || l->kind == VMDK_ZERO))
        return err_set(e, -EROFS, "%s: has an extent that cannot be written", image_path(im));
    if (p->kind == VMDK_ZERO)
        return 0;
    if ((r = vmdk_open_file(im, l, &p->file, e)))
        return r;
    p->at = l->offset * SECTOR;
    switch (p->kind) {
    case VMDK_FLAT:
        return vmdk_open_flat(im, p, e);
    case VMDK_SPARSE:
        return vmdk_open_sparse(im, p, e);
    case VMDK_COWD:
        return vmdk_open_cowd(im, p, e);
    default:
        return err_set(e, -EOPNOTSUPP, "%s: seSparse extents are not supported",
                       im->files[p->file].path);
    }
}

static int vmdk_read_text(struct image *im, u64 at, u64 n, struct vmdk_text *t, struct err *e)
{
    struct vmdk *k = im->priv;
    char *text;
    int r;

    if (n > VMDK_TEXT_MAX)
        n = VMDK_TEXT_MAX;
    if (!range_ok(at, n, image_file_length(im, 0)))
        return err_set(e, -EBADMSG, "%s: header: the descriptor at %llu is not inside the file",
                       image_path(im), (unsigned long long)at);
    text = malloc(n + 1);
    if (!text)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    r = image_file_read(im, 0, at, text, n);
    text[n] = 0;
    r = r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r))
          : vmdk_text_parse(t, text, n, image_path(im), e);
    free(text);
    if (r)
        return r;
    k->cid = t->cid;
    k->parent_cid = t->parent_cid;
    k->cid_at = t->cid_at ? at + t->cid_at : 0;
    k->tracked = t->tracked;
    if (t->parent_cid == VMDK_NO_PARENT)
        return 0;
    if (!t->parent[0])
        return err_set(e, -EBADMSG, "%s: has parent CID %08x but names no parent", image_path(im),
                       t->parent_cid);
    im->parent_name = strdup(t->parent);
    im->parent_format = strdup("vmdk");
    return im->parent_name && im->parent_format
               ? 0
               : err_set(e, -ENOMEM, "%s: no memory", image_path(im));
}

/* A descriptor in a file of its own: every part is a line of it. */
static int vmdk_open_text(struct image *im, u64 at, u64 n, struct err *e)
{
    struct vmdk_text t;
    int r = vmdk_read_text(im, at, n, &t, e);

    if (!r && !t.nlines)
        r = err_set(e, -EBADMSG, "%s: the descriptor has no extents", image_path(im));
    for (u32 i = 0; !r && i < t.nlines; i++)
        r = vmdk_open_line(im, &t.lines[i], e);
    free(t.lines);
    return r;
}

/* One sparse file: an embedded descriptor's extent is this file, whatever name it gives. */
static int vmdk_open_single(struct image *im, struct err *e)
{
    struct vmdk_header h;
    struct vmdk_text t = { 0 };
    struct vmdk_part *p;
    int r = vmdk_read_header(im, 0, 0, &h);

    if (r)
        return err_set(e, -EBADMSG, "%s: header: is cut short", image_path(im));
    if ((r = vmdk_check_header(&h, image_path(im), e)))
        return r;
    if (h.text_at > INT64_MAX / SECTOR || h.text_len > INT64_MAX / SECTOR)
        return err_set(e, -EBADMSG, "%s: header: the descriptor is not inside the file",
                       image_path(im));
    if (!h.capacity && h.text_at)
        return vmdk_open_text(im, h.text_at * SECTOR, h.text_len * SECTOR, e);
    if (h.text_at)
        r = vmdk_read_text(im, h.text_at * SECTOR, h.text_len * SECTOR, &t, e);
    else
        log_warn("%s: has no descriptor: it may be one part of a bigger disk", image_path(im));
    free(t.lines);
    if (r)
        return r;
    p = vmdk_add_part(im->priv);
    if (!p)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    p->kind = VMDK_SPARSE;
    r = vmdk_open_sparse(im, p, e);
    im->size = p->len;
    return r;
}

static int vmdk_open_cowd_alone(struct image *im, struct err *e)
{
    struct vmdk_part *p = vmdk_add_part(im->priv);
    int r;

    if (!p)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    p->kind = VMDK_COWD;
    r = vmdk_open_cowd(im, p, e);
    im->size = p->len;
    return r;
}

/* What must hold before we write: plain grains of one size, at whole multiples. */
static int vmdk_may_write(struct image *im, struct err *e)
{
    struct vmdk *k = im->priv;

    if (k->tracked)
        return err_set(e, -EROFS, "%s: a change tracking file would not match any more",
                       image_path(im));
    for (u32 i = 0; i < k->nparts; i++) {
        const struct vmdk_part *p = &k->parts[i];

        if (p->kind == VMDK_FLAT)
            continue;
        if (p->kind != VMDK_SPARSE || p->packed)
            return err_set(e, -EROFS, "%s: compressed and old sparse extents are only read",
                           im->files[p->file].path);
        if (im->cluster && im->cluster != p->grain)
            return err_set(e, -EROFS, "%s: extents with different grains are only read",
                           image_path(im));
        im->cluster = (u32)p->grain;
    }
    for (u32 i = 0; i < k->nparts; i++)
        if (im->cluster && k->parts[i].first % im->cluster)
            return err_set(e, -EROFS, "%s: an extent that begins inside a grain is only read",
                           image_path(im));
    return 0;
}

static int vmdk_open(struct image *im, struct err *e)
{
    struct vmdk *k = im->priv = calloc(1, sizeof(*k));
    u8 magic[4];
    int r;

    if (!k)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    k->cid = k->parent_cid = VMDK_NO_PARENT;
    if (image_file_read(im, 0, 0, magic, 4))
        return err_set(e, -EBADMSG, "%s: is too short for a VMDK", image_path(im));
    if (le32(magic) == VMDK_MAGIC)
        r = vmdk_open_single(im, e);
    else if (le32(magic) == COWD_MAGIC)
        r = vmdk_open_cowd_alone(im, e);
    else
        r = vmdk_open_text(im, 0, image_file_length(im, 0), e);
    if (!r && im->writable)
        r = vmdk_may_write(im, e);
    for (u32 i = 0; !r && i < k->nparts; i++) {
        const struct vmdk_part *p = &k->parts[i];

        if (p->gd_at && (im->writable || (u64)p->ngd * p->gtes * 4 <= VMDK_SCAN_MAX))
            r = vmdk_scan(im, p, im->writable, e);
    }
    return r;
}

static void vmdk_close(struct image *im)
{
    struct vmdk *k = im->priv;

    if (k)
        free(k->parts);
    free(k);
}

static int vmdk_adopt(struct image *im, struct err *e)
{
    const struct vmdk *k = im->priv, *up = im->parent->priv;

    if (k->parent_cid == VMDK_NO_PARENT)
        return 0;
    if (im->parent->format != im->format)
        return err_set(e, -ESTALE, "%s: its parent %s is no VMDK", image_path(im),
                       image_path(im->parent));
    if (k->parent_cid != up->cid)
        return err_set(e, -ESTALE,
                       "%s: expects CID %08x of its parent %s, which has %08x: it was "
                       "changed since",
                       image_path(im), k->parent_cid, image_path(im->parent), up->cid);
    return 0;
}

struct vmdk_part *vmdk_part_at(const struct vmdk *k, u64 off)
{
    u32 low = 0, high = k->nparts;

    while (high - low > 1) {
        u32 mid = (low + high) / 2;

        if (k->parts[mid].first <= off)
            low = mid;
        else
            high = mid;
    }
    return &k->parts[low];
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

static int vmdk_map_sparse(struct image *im, const struct vmdk_part *p, u64 off, struct extent *x)
{
    u64 in = off - p->first, grain = in / p->grain, index = grain / p->gtes, table, at;
    u32 slot = grain % p->gtes, n = (u32)min_u64(p->gtes - slot, VMDK_RUN), run;
    u64 within = in % p->grain;
    u8 b[VMDK_RUN * 4];
    u32 e;
    int r = vmdk_table(im, p, index, &table, false);

    if (r && p->rgd_at)
        r = vmdk_table(im, p, index, &table, true);
    if (r)
        return r;
    x->file = p->file;
    if (!table) {
        x->kind = EXT_PARENT;
        x->len = min_u64(p->gtes * p->grain - in % (p->gtes * p->grain), p->len - in);
        return 0;
    }
    r = meta_get(im, p->file, table + slot * 4, b, n * 4);
    if (r)
        return r;
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

static int vmdk_map(struct image *im, u64 off, struct extent *x)
{
    const struct vmdk_part *p = vmdk_part_at(im->priv, off);

    if (p->kind == VMDK_SPARSE || p->kind == VMDK_COWD)
        return vmdk_map_sparse(im, p, off, x);
    x->kind = p->kind == VMDK_FLAT ? EXT_DATA : EXT_ZERO;
    x->file = p->file;
    x->at = p->at + (off - p->first);
    x->len = p->len - (off - p->first);
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

static int vmdk_unpack(struct image *im, const struct extent *x, const u8 *in, size_t n, u8 *out)
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

const struct image_format image_vmdk = {
    .name = "vmdk",
    .suffix = ".vmdk",
    .about = "VMware: sparse, stream of compressed grains, flat, split, delta disks",
    .can = CAN_WRITE,
    .probe = vmdk_probe,
    .open = vmdk_open,
    .close = vmdk_close,
    .adopt = vmdk_adopt,
    .map = vmdk_map,
    .touch = vmdk_touch,
    .room = vmdk_room,
    .unpack = vmdk_unpack,
    .check = vmdk_check,
};
