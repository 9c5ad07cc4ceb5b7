/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI 0.1 and 1.1, VirtualBox's format: one table of blocks.  A differencing disk names its
 * parent by id only: it is looked for among the files beside, unless the caller says which.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "image/vdi_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define VDI_BESIDE_MAX 4096

const struct vdi_fields vdi_fields_0 = { .kind = 72,
                                         .flags = 76,
                                         .comment = 80,
                                         .geometry = 336,
                                         .size = 352,
                                         .block = 360,
                                         .blocks = 364,
                                         .allocated = 368,
                                         .id = 372,
                                         .modified = 388,
                                         .parent = 404 };
const struct vdi_fields vdi_fields_1 = { .kind = 76,
                                         .flags = 80,
                                         .comment = 84,
                                         .geometry = 348,
                                         .size = 368,
                                         .block = 376,
                                         .blocks = 384,
                                         .allocated = 388,
                                         .id = 392,
                                         .modified = 408,
                                         .parent = 424,
                                         .parent_modified = 440 };
enum { MAP_AT_0 = 420, OFF_MAP = 340, OFF_DATA = 344, OFF_EXTRA = 380 };

static int vdi_probe(const struct probe *p)
{
    return p->nhead >= VDI_HEAD && le32(p->head + 64) == VDI_MAGIC ? 100 : 0;
}

static int vdi_check_sizes(struct image *im, struct err *e)
{
    const struct vdi *v = im->priv;
    const struct vdi_layout *y = v->layout;
    u64 file = image_file_length(im, 0);

    if (v->block < 4096 || v->block > 1u << 30 || v->block & (v->block - 1) || v->extra > v->block)
        return err_set(e, -EBADMSG, "%s: header: blocks of %llu bytes are not possible",
                       image_path(im), (unsigned long long)v->block);
    if (v->blocks * 4ull > VDI_MAP_MAX || !range_ok(y->map_at, v->blocks * 4ull, file))
        return err_set(e, -EBADMSG, "%s: header: a map of %u blocks at %llu is not inside the file",
                       image_path(im), v->blocks, (unsigned long long)y->map_at);
    if (im->size > v->blocks * v->block)
        return err_set(e, -EBADMSG, "%s: header: %llu bytes do not fit in %u blocks of %llu",
                       image_path(im), (unsigned long long)im->size, v->blocks,
                       (unsigned long long)v->block);
    if (v->kind < VDI_NORMAL || v->kind > VDI_DIFFERENCING)
        return err_set(e, -EOPNOTSUPP, "%s: header: a disk of type %u is not known", image_path(im),
                       v->kind);
    return 0;
}

/* Has this file of the directory the id?  Whatever else it is, it is only looked at. */
static bool vdi_has_id(int dir, const char *name, const u8 *id)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    const struct vdi_fields *f;
    u8 h[VDI_HEAD];
    bool has;

    if (fd < 0)
        return false;
    has = pread(fd, h, sizeof(h), 0) == sizeof(h) && le32(h + 64) == VDI_MAGIC;
    close(fd);
    f = le32(h + 68) >> 16 ? &vdi_fields_1 : &vdi_fields_0;
    return has && !memcmp(h + f->id, id, 16);
}

/* The name of the file beside that has this id; or NULL. */
static char *vdi_beside(const struct image *im, const u8 *id)
{
    const char *self = image_path(im), *slash = strrchr(self, '/');
    char *path = slash ? strndup(self, (size_t)(slash - self) + 1) : strdup("."), *found = NULL;
    DIR *d = path ? opendir(path) : NULL;
    struct dirent *entry;

    for (int i = 0; d && !found && i < VDI_BESIDE_MAX && (entry = readdir(d)); i++) {
        size_t n = strlen(entry->d_name);

        if (n > 4 && !strcasecmp(entry->d_name + n - 4, ".vdi") &&
            vdi_has_id(dirfd(d), entry->d_name, id))
            found = strdup(entry->d_name);
    }
    if (d)
        closedir(d);
    free(path);
    return found;
}

static int vdi_parent(struct image *im, struct err *e)
{
    const struct vdi *v = im->priv;
    const u8 *id = v->head + v->f->parent;
    char text[GUID_TEXT];

    if (!im->how->parent && !(im->flags & IMAGE_NO_PARENT))
        im->parent_name = vdi_beside(im, id);
    guid_text(id, true, text);
    if (!im->parent_name && asprintf(&im->parent_name, "{%s}", text) < 0)
        im->parent_name = NULL;
    im->parent_format = strdup("vdi");
    return im->parent_name && im->parent_format
               ? 0
               : err_set(e, -ENOMEM, "%s: no memory", image_path(im));
}

static int vdi_take_header(struct image *im, struct err *e)
{
    struct vdi *v = im->priv;
    const u8 *h = v->head;
    struct vdi_layout *y;

    v->version = le32(h + 68);
    if (v->version != 0x00010001 && v->version != 1)
        return err_set(e, -EOPNOTSUPP, "%s: header: version %u.%u, 0.1 and 1.1 are known",
                       image_path(im), v->version >> 16, v->version & 0xffff);
    v->layout = y = calloc(1, sizeof(*y));
    if (!y)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    v->f = v->version == 1 ? &vdi_fields_0 : &vdi_fields_1;
    v->kind = (enum vdi_kind)le32(h + v->f->kind);
    im->size = le64(h + v->f->size);
    v->block = le32(h + v->f->block);
    v->blocks = le32(h + v->f->blocks);
    v->next = le32(h + v->f->allocated);
    if (v->version == 1) {
        y->map_at = MAP_AT_0;
        y->data_at = MAP_AT_0 + v->blocks * 4ull;
    } else {
        y->map_at = le32(h + OFF_MAP);
        y->data_at = le32(h + OFF_DATA);
        v->extra = le32(h + OFF_EXTRA);
    }
    return 0;
}

static int vdi_open(struct image *im, struct err *e)
{
    struct vdi *v = im->priv = calloc(1, sizeof(*v));
    int r;

    if (!v)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if (image_file_read(im, 0, 0, v->head, VDI_HEAD) || le32(v->head + 64) != VDI_MAGIC)
        return err_set(e, -EBADMSG, "%s: header: is no VDI", image_path(im));
    if ((r = vdi_take_header(im, e)) || (r = vdi_check_sizes(im, e)))
        return r;
    if (v->kind == VDI_DIFFERENCING && (r = vdi_parent(im, e)))
        return r;
    im->cluster = v->kind == VDI_DIFFERENCING ? (u32)v->block : 512;
    return im->writable ? vdi_may_write(im, e) : 0;
}

static void vdi_close(struct image *im)
{
    struct vdi *v = im->priv;

    for (struct vdi_layout *y = v ? v->layout : NULL, *old; y; y = old) {
        old = y->old;
        free(y);
    }
    free(v);
}

static int vdi_adopt(struct image *im, struct err *e)
{
    static const u8 none[16];
    const struct vdi *v = im->priv, *up = im->parent->priv;
    const u8 *expect, *has;

    if (v->kind != VDI_DIFFERENCING || im->parent->format != im->format)
        return 0;
    if (memcmp(v->head + v->f->parent, up->head + up->f->id, 16))
        return err_set(e, -ESTALE, "%s: its parent %s has another id: it is not the one meant",
                       image_path(im), image_path(im->parent));
    expect = v->head + v->f->parent_modified;
    has = up->head + up->f->modified;
    if (v->f->parent_modified && memcmp(expect, none, 16) && memcmp(has, none, 16) &&
        memcmp(expect, has, 16))
        log_warn("%s: its parent %s was opened for writing after it was made", image_path(im),
                 image_path(im->parent));
    return 0;
}

int vdi_entry(struct image *im, const struct vdi_layout *y, u64 block, u32 *number)
{
    u8 b[4];
    int r = meta_get(im, 0, y->map_at + block * 4, b, 4);

    *number = le32(b);
    return r;
}

static int vdi_map(struct image *im, u64 off, struct extent *x)
{
    const struct vdi *v = im->priv;
    const struct vdi_layout *y = atomic_load(&v->layout);
    u64 in = off & (v->block - 1);
    u32 n;
    int r = vdi_entry(im, y, off / v->block, &n);

    x->len = v->block - in;
    x->kind = n == VDI_FREE ? EXT_PARENT : n == VDI_ZERO ? EXT_ZERO : EXT_DATA;
    x->at = y->data_at + n * (v->block + v->extra) + v->extra + in;
    if (r || x->kind != EXT_DATA)
        return r;
    return range_ok(x->at, 1, image_file_length(im, 0)) ? 0 : -EIO;
}

static void vdi_facts(struct image *im, const struct image_teller *to)
{
    static const char *const kinds[] = { "dynamic", "static", "undo", "differencing" };
    const struct vdi *v = im->priv;
    const u8 *h = v->head, *g = h + v->f->geometry;
    size_t skip = !memcmp(h, "<<< ", 4) ? 4 : 0;
    char id[GUID_TEXT];

    fact_say(to, FACT_VARIANT, "%s", kinds[v->kind - VDI_NORMAL]);
    fact_say(to, FACT_VERSION, "%u.%u", v->version >> 16, v->version & 0xffff);
    if (le32(g))
        fact_say(to, FACT_GEOMETRY, "%u/%u/%u", le32(g), le32(g + 4), le32(g + 8));
    guid_text(h + v->f->id, true, id);
    fact_say(to, FACT_ID, "%s", id);
    guid_text(h + v->f->modified, true, id);
    fact_say(to, FACT_CONTENT_ID, "%s", id);
    guid_text(h + v->f->parent, true, id);
    if (v->kind == VDI_DIFFERENCING)
        fact_say(to, FACT_PARENT_ID, "%s", id);
    fact_say(to, FACT_CREATOR, "%.*s", (int)(strcspn((const char *)h + skip, "\n>") % 64),
             (const char *)h + skip);
    fact_say(to, FACT_COMMENT, "%.*s", 255, (const char *)h + v->f->comment);
    if (le32(h + v->f->flags))
        fact_say(to, FACT_OTHER, "flags: 0x%x", le32(h + v->f->flags));
}

const struct image_format image_vdi = {
    .name = "vdi",
    .suffix = ".vdi",
    .about = "VirtualBox: dynamic, static, differencing",
    .can = CAN_WRITE | CAN_CREATE | CAN_PARENT | CAN_TRIM | CAN_GROW,
    .options = vdi_options,
    .probe = vdi_probe,
    .open = vdi_open,
    .close = vdi_close,
    .adopt = vdi_adopt,
    .map = vdi_map,
    .touch = vdi_touch,
    .room = vdi_room,
    .trim = punch_trim,
    .check = vdi_check,
    .repair = vdi_repair,
    .create = vdi_create,
    .grow = vdi_grow,
    .rebase = vdi_rebase,
    .facts = vdi_facts,
};
