/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMDK, after VMware's "Virtual Disk Format 5.0": sparse extents (also as a stream of
 * compressed grains), flat ones, the old COWD, disks of many extents, delta disks by content
 * id.  Left out: extents that are devices.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "image/vmdk_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Tables of up to this many bytes are looked through when the disk is opened. */
#define VMDK_SCAN_MAX (16u << 20)

static int vmdk_probe(const struct probe *p)
{
    if (p->nhead >= 512 && le32(p->head) == VMDK_MAGIC)
        return 100;
    if (p->nhead >= 512 && (le32(p->head) == COWD_MAGIC || le64(p->head) == SESPARSE_MAGIC))
        return 100;
    return p->size <= VMDK_TEXT_MAX && vmdk_text_is(p->head, p->nhead) ? 100 : 0;
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
        return vmdk_open_cowd(im, p, false, e);
    default:
        return vmdk_open_se(im, p, e);
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
    r = vmdk_open_cowd(im, p, true, e);
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
    u8 magic[8];
    int r;

    if (!k)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    k->cid = k->parent_cid = VMDK_NO_PARENT;
    if (image_file_read(im, 0, 0, magic, sizeof(magic)))
        return err_set(e, -EBADMSG, "%s: is too short for a VMDK", image_path(im));
    if (le32(magic) == VMDK_MAGIC)
        r = vmdk_open_single(im, e);
    else if (le32(magic) == COWD_MAGIC)
        r = vmdk_open_cowd_alone(im, e);
    else if (le64(magic) == SESPARSE_MAGIC)
        r = err_set(e, -EBADMSG, "%s: is the data of a seSparse disk: open its descriptor",
                    image_path(im));
    else
        r = vmdk_open_text(im, 0, image_file_length(im, 0), e);
    if (!r && im->writable)
        r = vmdk_may_write(im, e);
    for (u32 i = 0; !r && i < k->nparts; i++) {
        const struct vmdk_part *p = &k->parts[i];

        if (p->gd_at && p->kind != VMDK_SESPARSE &&
            (im->writable || (u64)p->ngd * p->gtes * 4 <= VMDK_SCAN_MAX))
            r = vmdk_scan(im, p, im->writable, e);
    }
    return r;
}

static void vmdk_close(struct image *im)
{
    struct vmdk *k = im->priv;

    if (k) {
        vmdk_stream_free(k->stream);
        for (u32 i = 0; i < k->nparts; i++)
            vmdk_recover_free(&k->parts[i]);
        free(k->parts);
    }
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

static int vmdk_map(struct image *im, u64 off, struct extent *x)
{
    const struct vmdk_part *p = vmdk_part_at(im->priv, off);

    if (p->kind == VMDK_SPARSE || p->kind == VMDK_COWD)
        return vmdk_map_sparse(im, p, off, x);
    if (p->kind == VMDK_SESPARSE)
        return vmdk_map_se(im, p, off, x);
    x->kind = p->kind == VMDK_FLAT ? EXT_DATA : EXT_ZERO;
    x->file = p->file;
    x->at = p->at + (off - p->first);
    x->len = p->len - (off - p->first);
    return 0;
}

const struct image_format image_vmdk = {
    .name = "vmdk",
    .suffix = ".vmdk",
    .about = "VMware: sparse, stream of compressed grains, flat, split, delta disks",
    .can = CAN_WRITE | CAN_CREATE | CAN_PARENT | CAN_STREAM | CAN_GROW,
    .options = vmdk_options,
    .probe = vmdk_probe,
    .open = vmdk_open,
    .close = vmdk_close,
    .adopt = vmdk_adopt,
    .map = vmdk_map,
    .touch = vmdk_touch,
    .room = vmdk_room,
    .unpack = vmdk_unpack,
    .check = vmdk_check,
    .grow = vmdk_grow,
    .rebase = vmdk_rebase,
    .facts = vmdk_facts,
    .create = vmdk_create,
    .begin = vmdk_begin,
    .put = vmdk_put,
    .end = vmdk_end,
    .pull = vmdk_pull,
};
