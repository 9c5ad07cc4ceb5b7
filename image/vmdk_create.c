/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New VMDKs: one sparse file, flat files, disks split at 2 GB, delta disks; all with the
 * descriptor that VMware's products expect.
 */
#include "base/bytes.h"
#include "image/vmdk_int.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    CREATE_GTES = 512,
    CREATE_TEXT = 20,        /* sectors of an embedded descriptor */
    CREATE_EXTENT = 4192256, /* sectors: 2047 MiB */
    CREATE_EXTENTS_MAX = 1024,
    CREATE_DIRECTORY_MAX = 64 << 20
};

struct vmdk_kinds { /* of disks that are several files */
    const char *type, *line;
    bool flat, split;
};

const struct image_option vmdk_options[] = {
    { "variant",
      "monolithicSparse streamOptimized monolithicFlat twoGbMaxExtentSparse twoGbMaxExtentFlat "
      "vmfs",
      "one growing file; compressed, for OVF; one full file; 2 GB files; the form of an ESXi "
      "host" },
    { "adapter", "lsilogic ide buslogic legacyESX pvscsi", "the controller that the disk says" },
    { "level", "fast small", "streamOptimized: how hard it is packed" },
    { "hardware", "NUMBER", "the virtual hardware version that the disk says" },
    { NULL, NULL, NULL },
};

int vmdk_make_of(struct vmdk_make *m, const struct image_format *f, const struct image_make *how)
{
    char level[16];

    *m = (struct vmdk_make){ .size = how->size, .parent_cid = VMDK_NO_PARENT };
    image_option(f, how, "variant", m->variant, sizeof(m->variant));
    image_option(f, how, "adapter", m->adapter, sizeof(m->adapter));
    image_option(f, how, "level", level, sizeof(level));
    image_option(f, how, "hardware", m->hardware, sizeof(m->hardware));
    if (!m->hardware[0])
        memcpy(m->hardware, "4", 2);
    m->small = !strcasecmp(level, "small");
    if (how->base) {
        const struct vmdk *up = how->base->priv;

        if (how->base->format != f)
            return -EOPNOTSUPP;
        m->parent_cid = up->cid;
        m->parent = how->parent;
    }
    do {
        if (getrandom(&m->cid, sizeof(m->cid), 0) < 0)
            return -errno;
    } while (m->cid >= 0xfffffffe || !m->cid);
    return 0;
}

void vmdk_geometry(const char *adapter, u64 size, unsigned *c, unsigned *h, unsigned *s)
{
    u64 sectors = size / SECTOR, most = 65535;

    if (!strcasecmp(adapter, "ide")) {
        *h = 16;
        *s = 63;
        most = 16383;
    } else if (size < 1ull << 30) {
        *h = 64;
        *s = 32;
    } else if (size < 2ull << 30) {
        *h = 128;
        *s = 32;
    } else {
        *h = 255;
        *s = 63;
    }
    *c = (unsigned)min_u64(sectors / (*h * *s), most);
}

int vmdk_make_text(char *to, size_t room, const struct vmdk_make *m, const char *type,
                   const char *extents)
{
    char hint[VMDK_NAME_MAX + 32] = "";
    unsigned c, h, s;
    u8 id[12];
    int n;

    vmdk_geometry(m->adapter, m->size, &c, &h, &s);
    if (getrandom(id, sizeof(id), 0) < 0)
        return -errno;
    if (m->parent && (strlen(m->parent) >= VMDK_NAME_MAX || strpbrk(m->parent, "\"\r\n")))
        return -ENAMETOOLONG;
    if (m->parent)
        snprintf(hint, sizeof(hint), "parentFileNameHint=\"%s\"\n", m->parent);
    n = snprintf(to, room,
                 "# Disk DescriptorFile\n"
                 "version=1\n"
                 "encoding=\"UTF-8\"\n"
                 "CID=%08x\n"
                 "parentCID=%08x\n"
                 "createType=\"%s\"\n"
                 "%s"
                 "\n"
                 "# Extent description\n"
                 "%s"
                 "\n"
                 "# The Disk Data Base\n"
                 "#DDB\n"
                 "\n"
                 "ddb.adapterType = \"%s\"\n"
                 "ddb.geometry.cylinders = \"%u\"\n"
                 "ddb.geometry.heads = \"%u\"\n"
                 "ddb.geometry.sectors = \"%u\"\n"
                 "ddb.longContentID = \"%08x%08x%08x%08x\"\n"
                 "ddb.toolsInstallType = \"4\"\n"
                 "ddb.toolsVersion = \"2147483647\"\n"
                 "ddb.virtualHWVersion = \"%s\"\n",
                 m->cid, m->parent_cid, type, hint, extents, m->adapter, c, h, s, le32(id),
                 le32(id + 4), le32(id + 8), m->cid, m->hardware);
    return n < 0 || (size_t)n >= room ? -ENAMETOOLONG : n;
}

void vmdk_put_header(u8 *b, const struct vmdk_header *h)
{
    memset(b, 0, 512);
    put_le32(b, VMDK_MAGIC);
    put_le32(b + 4, h->version);
    put_le32(b + 8, h->flags | FLAG_NEWLINES);
    put_le64(b + 12, h->capacity);
    put_le64(b + 20, h->grain);
    put_le64(b + 28, h->text_at);
    put_le64(b + 36, h->text_len);
    put_le32(b + 44, h->gtes);
    put_le64(b + 48, h->rgd);
    put_le64(b + 56, h->gd);
    put_le64(b + 64, h->overhead);
    memcpy(b + 73, "\n \r\n", 4);
    put_le16(b + 77, h->packing);
}

/* Grain tables and both copies of the directory of an extent, all in sectors. */
struct vmdk_layout {
    u64 sectors, grain, text, ngd, gd_len, gt_len, rgd, gd, overhead;
};

static int vmdk_plan_layout(struct vmdk_layout *y, u64 sectors, u32 block, u64 text)
{
    u64 reach;

    *y = (struct vmdk_layout){ .sectors = sectors, .text = text };
    y->grain = block ? block / SECTOR : 128;
    if (y->grain < 8 || y->grain > 1 << 16 || y->grain & (y->grain - 1) || block % SECTOR)
        return -EINVAL;
    reach = y->grain * CREATE_GTES;
    y->ngd = sectors / reach + !!(sectors % reach);
    y->gd_len = (y->ngd * 4 + SECTOR - 1) / SECTOR;
    y->gt_len = CREATE_GTES * 4 / SECTOR;
    y->rgd = 1 + text;
    y->gd = y->rgd + y->gd_len + y->ngd * y->gt_len;
    y->overhead = round_up(y->gd + y->gd_len + y->ngd * y->gt_len, y->grain);
    return y->ngd * 4 > CREATE_DIRECTORY_MAX || y->overhead > UINT32_MAX ? -EFBIG : 0;
}

static int vmdk_put_directory(struct image *im, u32 file, const struct vmdk_layout *y, u64 at)
{
    u8 *b = calloc(y->gd_len, SECTOR);
    int r;

    if (!b)
        return y->gd_len ? -ENOMEM : 0;
    for (u64 i = 0; i < y->ngd; i++)
        put_le32(b + i * 4, (u32)(at + y->gd_len + i * y->gt_len));
    r = image_file_write(im, file, at * SECTOR, b, y->gd_len * SECTOR);
    free(b);
    return r;
}

/* Header, directories, and tables that are all zero: a hole. */
static int vmdk_put_sparse(struct image *im, u32 file, const struct vmdk_layout *y)
{
    struct vmdk_header h = { .version = 1,
                             .flags = FLAG_SECOND,
                             .capacity = y->sectors,
                             .grain = y->grain,
                             .text_at = y->text ? 1 : 0,
                             .text_len = y->text,
                             .gtes = CREATE_GTES,
                             .rgd = y->rgd,
                             .gd = y->gd,
                             .overhead = y->overhead };
    u8 b[512];
    int r;

    if (ftruncate(im->files[file].fd, (off_t)(y->overhead * SECTOR)))
        return -errno;
    atomic_store(&im->files[file].length, y->overhead * SECTOR);
    vmdk_put_header(b, &h);
    r = image_file_write(im, file, 0, b, sizeof(b));
    r = r ? r : vmdk_put_directory(im, file, y, y->rgd);
    return r ? r : vmdk_put_directory(im, file, y, y->gd);
}

/* "disk" of ".../disk.vmdk"; what an extent line cannot say is refused. */
static int vmdk_stem(const char *path, char *stem, size_t room)
{
    const char *last = strrchr(path, '/');
    size_t n;

    last = last ? last + 1 : path;
    n = strlen(last);
    if (n > 5 && !strcasecmp(last + n - 5, ".vmdk"))
        n -= 5;
    if (n >= room || strpbrk(last, "\"\r\n"))
        return -EINVAL;
    memcpy(stem, last, n);
    stem[n] = 0;
    return 0;
}

/* A file beside the descriptor, and its line. */
static int vmdk_add_extent(struct image *im, const struct vmdk_kinds *k, const char *stem,
                           unsigned number, u64 sectors, u32 block, char *line, size_t room,
                           struct err *e)
{
    const char *self = im->files[0].path, *slash = strrchr(self, '/');
    char name[VMDK_NAME_MAX], path[PATH_MAX];
    struct image_file_spec s = { .path = path, .write = true, .create = true };
    struct vmdk_layout y;
    int file, r;

    if (k->split)
        snprintf(name, sizeof(name), "%s-%c%03u.vmdk", stem, k->flat ? 'f' : 's', number);
    else
        snprintf(name, sizeof(name), "%s-flat.vmdk", stem);
    if (snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash + 1 - self) : 0, self, name) >=
        (int)sizeof(path))
        return err_set(e, -ENAMETOOLONG, "%s: the name is too long", self);
    if ((file = image_file_add(im, &s, e)) < 0)
        return file;
    snprintf(line, room, "RW %llu %s \"%s\"%s\n", (unsigned long long)sectors, k->line, name,
             !strcmp(k->line, "FLAT") ? " 0" : "");
    if (k->flat)
        r = ftruncate(im->files[file].fd, (off_t)(sectors * SECTOR)) ? -errno : 0;
    else
        r = vmdk_plan_layout(&y, sectors, block, 0);
    if (!r && !k->flat)
        r = vmdk_put_sparse(im, (u32)file, &y);
    return r ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

/* A descriptor in a file of its own, and the extents. */
static int vmdk_create_split(struct image *im, const struct vmdk_make *m,
                             const struct vmdk_kinds *k, u32 block, struct err *e)
{
    u64 left = m->size / SECTOR, most = k->split ? CREATE_EXTENT : UINT64_MAX;
    char stem[VMDK_NAME_MAX - 32], *text = malloc(VMDK_TEXT_MAX), *lines;
    size_t at = 0, room = VMDK_TEXT_MAX - 4096;
    int r = text ? vmdk_stem(im->files[0].path, stem, sizeof(stem)) : -ENOMEM;

    lines = malloc(room);
    if (r || !lines)
        r = err_set(e, r ? r : -ENOMEM, "%s: %s", image_path(im),
                    r == -EINVAL ? "a descriptor cannot say this name" : "no memory");
    for (unsigned i = 1; !r && left; i++) {
        u64 n = min_u64(left, most);

        if (room - at < VMDK_NAME_MAX + 64 || i > CREATE_EXTENTS_MAX)
            r = err_set(e, -EFBIG, "%s: %llu bytes are too many for files of 2 GB", image_path(im),
                        (unsigned long long)m->size);
        else
            r = vmdk_add_extent(im, k, stem, i, n, block, lines + at, room - at, e);
        at += r ? 0 : strlen(lines + at);
        left -= n;
    }
    if (!r) {
        lines[at] = 0;
        r = vmdk_make_text(text, VMDK_TEXT_MAX, m, k->type, lines);
        if (r > 0)
            r = image_file_write(im, 0, 0, text, (size_t)r);
        if (r)
            err_set(e, r, "%s: %s", image_path(im), strerror(-r));
    }
    free(text);
    free(lines);
    return r;
}

static int vmdk_create_single(struct image *im, const struct vmdk_make *m, u32 block, struct err *e)
{
    char line[VMDK_NAME_MAX + 64], stem[VMDK_NAME_MAX - 32], *text;
    struct vmdk_layout y;
    int r = vmdk_plan_layout(&y, m->size / SECTOR, block, CREATE_TEXT);

    if (!r)
        r = vmdk_stem(image_path(im), stem, sizeof(stem));
    text = calloc(1, CREATE_TEXT * SECTOR);
    if (!r && !text)
        r = -ENOMEM;
    if (!r)
        r = vmdk_put_sparse(im, 0, &y);
    if (!r) {
        snprintf(line, sizeof(line), "RW %llu SPARSE \"%s.vmdk\"\n", (unsigned long long)y.sectors,
                 stem);
        r = vmdk_make_text(text, CREATE_TEXT * SECTOR, m, "monolithicSparse", line);
        if (r > 0)
            r = image_file_write(im, 0, SECTOR, text, CREATE_TEXT * SECTOR);
    }
    free(text);
    if (r == -EINVAL && block)
        return err_set(e, r, "%s: grains of %u bytes are not possible", image_path(im), block);
    return r ? err_set(e, r, "%s: %s", image_path(im), strerror(-r)) : 0;
}

int vmdk_create(struct image *im, const struct image_make *how, struct err *e)
{
    static const struct vmdk_kinds kinds[] = {
        { "monolithicFlat", "FLAT", true, false },
        { "twoGbMaxExtentSparse", "SPARSE", false, true },
        { "twoGbMaxExtentFlat", "FLAT", true, true },
        { "vmfs", "VMFS", true, false },
    };
    struct vmdk_make m;
    int r = vmdk_make_of(&m, im->format, how);

    if (r)
        return err_set(e, r, "%s: %s", image_path(im),
                       r == -EOPNOTSUPP ? "the parent of a vmdk is a vmdk" : strerror(-r));
    m.size = round_up(m.size, SECTOR);
    if (!strcasecmp(m.variant, "monolithicSparse"))
        return vmdk_create_single(im, &m, how->block, e);
    for (size_t i = 0; i < LEN(kinds); i++)
        if (!strcasecmp(m.variant, kinds[i].type)) {
            if (kinds[i].flat && m.parent)
                return err_set(e, -EOPNOTSUPP, "%s: a %s disk has no parent", image_path(im),
                               m.variant);
            return vmdk_create_split(im, &m, &kinds[i], how->block, e);
        }
    return err_set(e, -EOPNOTSUPP, "%s: a %s disk is made by converting into it", image_path(im),
                   m.variant);
}
