/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a streamOptimized VMDK, strictly forward: header, descriptor, grains with their
 * markers; behind the grains of each grain table the table, at the end the directory and the
 * footer.  After "Virtual Disk Format 5.0", stream optimized compressed sparse extents.
 */
#include "base/bytes.h"
#include "image/vmdk_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STREAM_GRAIN = 128, STREAM_GTES = 512, STREAM_TEXT = 127, STREAM_REACH = 65536 };

struct vmdk_stream {
    struct vmdk_make make;
    bool started;
    u64 index;   /* of the table that is being filled */
    bool filled; /* it has an entry */
    u8 table[STREAM_GTES * 4];
    u8 *gd;
    u64 ngd;
};

static struct vmdk_header vmdk_stream_header(const struct vmdk_stream *s)
{
    return (struct vmdk_header){ .version = 3,
                                 .flags = FLAG_PACKED | FLAG_MARKERS,
                                 .capacity = s->make.size / SECTOR,
                                 .grain = STREAM_GRAIN,
                                 .text_at = 1,
                                 .text_len = STREAM_TEXT,
                                 .gtes = STREAM_GTES,
                                 .gd = GD_AT_END,
                                 .overhead = 1 + STREAM_TEXT,
                                 .packing = 1 };
}

int vmdk_begin(struct image *im, const struct image_make *how, struct err *e)
{
    struct vmdk_stream *s;
    struct vmdk *k;
    int r;

    im->priv = k = calloc(1, sizeof(*k));
    s = calloc(1, sizeof(*s));
    if (k)
        k->stream = s;
    r = k && s ? vmdk_make_of(&s->make, im->format, how) : -ENOMEM;
    if (r)
        return err_set(e, r, "vmdk: %s", strerror(-r));
    if (strcasecmp(s->make.variant, "streamOptimized"))
        return 0;
    if (how->size > UINT32_MAX * SECTOR * 16)
        return err_set(e, -EFBIG, "a streamOptimized vmdk of %llu bytes is not possible",
                       (unsigned long long)how->size);
    s->ngd = (how->size / SECTOR + STREAM_REACH - 1) / STREAM_REACH;
    s->gd = calloc(1, round_up(s->ngd * 4, SECTOR) + SECTOR);
    if (!s->gd)
        return err_set(e, -ENOMEM, "vmdk: no memory");
    im->pack = (struct image_pack){
        .kind = PACK_ZLIB, .unit = STREAM_GRAIN * SECTOR, .small = s->make.small, .whole = true
    };
    return 1;
}

void vmdk_stream_free(struct vmdk_stream *s)
{
    if (s)
        free(s->gd);
    free(s);
}

static int vmdk_stream_start(struct image *im, struct vmdk_stream *s)
{
    struct vmdk_header h = vmdk_stream_header(s);
    const char *path = im->nfiles ? im->files[0].path : "disk.vmdk";
    const char *slash = strrchr(path, '/');
    char line[VMDK_NAME_MAX + 64], *text = calloc(1, STREAM_TEXT * SECTOR);
    u8 b[512];
    int r;

    if (!text)
        return -ENOMEM;
    s->started = true;
    snprintf(line, sizeof(line), "RW %llu SPARSE \"%.1000s\"\n", (unsigned long long)h.capacity,
             slash ? slash + 1 : path);
    r = vmdk_make_text(text, STREAM_TEXT * SECTOR, &s->make, "streamOptimized", line);
    vmdk_put_header(b, &h);
    if (r >= 0)
        r = image_append(im, b, sizeof(b));
    if (!r)
        r = image_append(im, text, STREAM_TEXT * SECTOR);
    free(text);
    return r;
}

/* Bytes of metadata behind their marker; *at: the sector where they are. */
static int vmdk_stream_mark(struct image *im, u32 type, const u8 *p, u64 n, u64 *at)
{
    u8 b[512] = { 0 };
    int r;

    put_le64(b, (n + SECTOR - 1) / SECTOR);
    put_le32(b + 12, type);
    r = image_append(im, b, sizeof(b));
    *at = im->appended / SECTOR;
    if (!r && n)
        r = image_append(im, p, n);
    return r ? r : image_append_zeroes(im, -n & (SECTOR - 1));
}

/* The table that is full, or the last: no grain of it comes any more. */
static int vmdk_stream_table(struct image *im, struct vmdk_stream *s)
{
    u64 at;
    int r;

    if (!s->filled)
        return 0;
    r = vmdk_stream_mark(im, MARK_TABLE, s->table, sizeof(s->table), &at);
    if (at > UINT32_MAX)
        return -EFBIG;
    put_le32(s->gd + s->index * 4, (u32)at);
    memset(s->table, 0, sizeof(s->table));
    s->filled = false;
    return r;
}

int vmdk_put(struct image *im, u64 off, const u8 *data, u32 len, bool packed)
{
    struct vmdk_stream *s = ((struct vmdk *)im->priv)->stream;
    u64 lba = off / SECTOR, at;
    u8 mark[MARK_BYTES];
    int r = s->started ? 0 : vmdk_stream_start(im, s);

    if (!r && lba / STREAM_REACH != s->index)
        r = vmdk_stream_table(im, s);
    if (r)
        return r;
    s->index = lba / STREAM_REACH;
    s->filled = true;
    at = im->appended / SECTOR;
    if (at > UINT32_MAX)
        return -EFBIG;
    put_le32(s->table + lba % STREAM_REACH / STREAM_GRAIN * 4, (u32)at);
    put_le64(mark, lba);
    put_le32(mark + 8, len);
    r = image_append(im, mark, sizeof(mark));
    r = r ? r : image_append(im, data, len);
    return r ? r : image_append_zeroes(im, -im->appended & (SECTOR - 1));
}

int vmdk_end(struct image *im, struct err *e)
{
    struct vmdk_stream *s = ((struct vmdk *)im->priv)->stream;
    struct vmdk_header h = vmdk_stream_header(s);
    static const u8 last[512];
    u8 b[512];
    u64 at;
    int r = s->started ? 0 : vmdk_stream_start(im, s);

    r = r ? r : vmdk_stream_table(im, s);
    r = r ? r : vmdk_stream_mark(im, MARK_DIRECTORY, s->gd, s->ngd * 4, &h.gd);
    if (!r && h.gd > UINT32_MAX)
        r = -EFBIG;
    vmdk_put_header(b, &h);
    r = r ? r : vmdk_stream_mark(im, MARK_FOOTER, b, sizeof(b), &at);
    r = r ? r : image_append(im, last, sizeof(last));
    return r ? err_set(e, r, "output: %s", strerror(-r)) : 0;
}
