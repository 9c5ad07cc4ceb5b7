/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a Parallels image in place, and looking through its tables.
 *
 * A new cluster goes to the end of the newest file.  With nothing below it, it reads as zero,
 * as before, and is in the table at once; else it is first filled with what was there.  A
 * file that is written is marked as in use until it is closed.
 */
#include "base/bytes.h"
#include "image/parallels_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS 20

struct parallels_scan {
    struct image *im;
    void (*say)(void *arg, const char *text);
    void *arg;
    unsigned faults;
};

static void parallels_fault(struct parallels_scan *s, const struct parallels_layer *y,
                            const char *what, u64 index, u64 at)
{
    char text[240];

    if (s->faults++ >= FAULTS)
        return;
    snprintf(text, sizeof(text), "%.120s: %s (entry %llu, at %llu)", s->im->files[y->file].path,
             what, (unsigned long long)index, (unsigned long long)at);
    s->say(s->arg, text);
}

/* Places of all clusters: behind the table, inside the file, each once. */
static int parallels_scan_layer(struct parallels_scan *s, struct parallels_layer *y)
{
    u64 file = image_file_length(s->im, y->file), at, end = y->data_at;
    u64 table = PARALLELS_TABLE_AT + y->entries * 4ull;
    struct unique seen;
    int r = 0;

    unique_init(&seen, file / y->cluster + 1);
    for (u64 i = 0; !r && i < y->entries; i++) {
        r = parallels_entry(s->im, y, i, &at);
        if (r || !at)
            continue;
        if (at < table || at >= file)
            parallels_fault(s, y, "a cluster outside the data", i, at);
        else
            r = unique_add(&seen, at);
        end = max_u64(end, at + y->cluster);
    }
    if (r == -E2BIG || (!r && unique_twice(&seen, y->cluster, &at))) {
        parallels_fault(s, y, "two clusters lie over each other", 0, at);
        r = 0;
    }
    unique_fini(&seen);
    end = max_u64(end, table);
    if (le64(y->head + 56) && le64(y->head + 56) < INT64_MAX / 512)
        end = max_u64(end, le64(y->head + 56) * 512 + y->cluster);
    y->next = max_u64(y->next, (end + y->unit - 1) / y->unit * y->unit);
    return r;
}

int parallels_check(struct image *im, void (*say)(void *arg, const char *text), void *arg)
{
    struct parallels *p = im->priv;
    struct parallels_scan s = { .im = im, .say = say, .arg = arg };
    int r = 0;

    for (u32 i = 0; i < p->nparts; i++)
        for (u32 k = 0; !r && k < p->parts[i].nlayers; k++)
            if (!p->parts[i].layers[k].plain)
                r = parallels_scan_layer(&s, &p->parts[i].layers[k]);
    return r ? r : s.faults ? -EBADMSG : 0;
}

static void parallels_keep_first(void *arg, const char *text)
{
    struct err *e = arg;

    if (!e->text[0])
        err_set(e, -EBADMSG, "%s", text);
}

int parallels_may_write(struct image *im, struct err *e)
{
    struct err first = { 0 };
    int r = parallels_check(im, parallels_keep_first, &first);

    return r ? err_set(e, r, "%s", first.text[0] ? first.text : strerror(-r)) : 0;
}

/* The mark of use, and no dirty bitmaps: they are not true any more. */
int parallels_touch(struct image *im)
{
    struct parallels *p = im->priv;
    int r = 0;

    for (u32 i = 0; !r && i < p->nparts; i++) {
        struct parallels_layer *y = p->parts[i].layers;

        if (y->plain)
            continue;
        put_le32(y->head + 44, PARALLELS_IN_USE);
        put_le32(y->head + 52, le32(y->head + 52) & ~1u);
        put_le64(y->head + 56, 0);
        r = image_file_write(im, y->file, 44, y->head + 44, PARALLELS_TABLE_AT - 44);
        /* the table's first page is in memory with the header in front of it */
        r = r ? r : meta_put(im, PLAN_HEADER, y->file, 44, y->head + 44, PARALLELS_TABLE_AT - 44);
        y->touched = true;
    }
    return r ? r : image_file_sync(im);
}

void parallels_leave(struct image *im)
{
    struct parallels *p = im->priv;

    for (u32 i = 0; i < p->nparts; i++) {
        struct parallels_layer *y = p->parts[i].layers;

        put_le32(y->head + 44, 0);
        if (y->touched)
            image_file_write(im, y->file, 44, y->head + 44, 4);
    }
    image_file_sync(im);
}

/* What the disk holds where a new cluster will be, into its place. */
static int parallels_copy_up(struct image *im, const struct parallels_part *t, u64 in, u64 at)
{
    const struct parallels_layer *y = t->layers;
    u64 len = min_u64(min_u64(y->cluster, t->len - in), im->size - t->first - in);
    u8 *b = malloc(len);
    struct iovec v = { b, len };
    int r = b ? image_read(im, t->first + in, &v, 1, len) : -ENOMEM;

    r = r ? r : image_file_write(im, y->file, at, b, len);
    free(b);
    return r;
}

int parallels_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan)
{
    const struct parallels_part *t = parallels_part_at(im->priv, off);
    struct parallels_layer *y = t->layers;
    u64 in = off - t->first, index = in / y->cluster, at;
    u8 entry[4];
    int r = parallels_entry(im, y, index, &at);

    if (!r && !at) {
        at = y->next;
        if (at / y->unit > UINT32_MAX)
            return -ENOSPC;
        r = image_file_extend(im, y->file, at + y->cluster);
        if (!r && t->nlayers > 1)
            r = parallels_copy_up(im, t, index * y->cluster, at);
        atomic_store(&im->unsynced, true);
        put_le32(entry, (u32)(at / y->unit));
        if (!r)
            r = meta_put(im, PLAN_TABLE, y->file, PARALLELS_TABLE_AT + index * 4, entry, 4);
        if (!r)
            y->next = at + y->cluster;
    }
    x->kind = EXT_DATA;
    x->file = y->file;
    x->at = at + in % y->cluster;
    x->len = min_u64(y->cluster - in % y->cluster, t->len - in);
    return r;
}
