/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parallels' expanding images, after QEMU's docs/interop/parallels: one table of clusters,
 * whose size need not be a power of two.  And bundles of them with a descriptor: a disk cut
 * into stretches, each a stack of files by snapshots, expanding or plain.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "image/parallels_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool parallels_is(const u8 *h, bool *wide)
{
    *wide = !memcmp(h, "WithouFreSpacExt", 16);
    return *wide || !memcmp(h, "WithoutFreeSpace", 16);
}

static int parallels_probe(const struct probe *p)
{
    bool wide;

    if (p->nhead >= PARALLELS_TABLE_AT && parallels_is(p->head, &wide))
        return 100;
    return parallels_is_descriptor(p->head, p->nhead) ? 90 : 0;
}

/* The header of a layer; *sectors: how long it says that it is. */
static int parallels_take_layer(struct image *im, struct parallels_layer *y, u64 *sectors,
                                struct err *e)
{
    const char *name = im->files[y->file].path;
    u64 file = image_file_length(im, y->file), tracks;
    u8 *h = y->head;

    if (image_file_read(im, y->file, 0, h, sizeof(y->head)) || !parallels_is(h, &y->wide))
        return err_set(e, -EBADMSG, "%s: header: is no Parallels image", name);
    if (le32(h + 16) != 2)
        return err_set(e, -EOPNOTSUPP, "%s: header: version %u, 2 is known", name, le32(h + 16));
    tracks = le32(h + 28);
    y->entries = le32(h + 32);
    *sectors = y->wide ? le64(h + 36) : le32(h + 36);
    if (!tracks || tracks > 1u << 21 || *sectors > INT64_MAX / 512)
        return err_set(e, -EBADMSG, "%s: header: clusters of %llu sectors for %llu", name,
                       (unsigned long long)tracks, (unsigned long long)*sectors);
    if (*sectors / tracks + !!(*sectors % tracks) > y->entries ||
        y->entries * 4ull > PARALLELS_TABLE_MAX ||
        !range_ok(PARALLELS_TABLE_AT, y->entries * 4ull, file))
        return err_set(e, -EBADMSG, "%s: header: a table of %u entries for %llu sectors", name,
                       y->entries, (unsigned long long)*sectors);
    y->in_use = le32(h + 44) == PARALLELS_IN_USE;
    y->cluster = tracks * 512;
    y->unit = y->wide ? y->cluster : 512;
    y->data_at = le32(h + 48) * 512ull;
    if (y->in_use)
        log_warn("%s: was not closed by who wrote it last", name);
    return 0;
}

static int parallels_open_file(struct image *im, struct parallels *p, struct err *e)
{
    struct parallels_part *t = p->parts = calloc(1, sizeof(*t));
    u64 sectors;
    int r;

    if (t)
        t->layers = calloc(1, sizeof(*t->layers));
    if (!t || !t->layers)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    p->nparts = t->nlayers = 1;
    r = parallels_take_layer(im, t->layers, &sectors, e);
    if (r)
        return r;
    im->size = t->len = sectors * 512;
    return 0;
}

/* One file of a stack; only the newest is ever written. */
static int parallels_add_layer(struct image *im, struct parallels_part *t,
                               const struct parallels_storage *s, const struct parallels_image *i,
                               struct err *e)
{
    struct image_file_spec spec = { .write = im->writable && !t->nlayers,
                                    .lock = !(im->flags & IMAGE_NO_LOCK) };
    struct parallels_layer *y = &t->layers[t->nlayers];
    char *path = NULL;
    u64 sectors = 0;
    int r = image_file_find(im, i->file, &path, e);

    spec.path = path;
    r = r ? r : image_file_add(im, &spec, e);
    free(path);
    if (r < 0)
        return r;
    y->file = (u32)r;
    y->plain = i->plain;
    t->nlayers++;
    if (y->plain)
        return 0;
    r = parallels_take_layer(im, y, &sectors, e);
    if (!r && sectors < s->end - s->start)
        r = err_set(e, -EBADMSG, "%s: has %llu sectors, %llu are expected", im->files[y->file].path,
                    (unsigned long long)sectors, (unsigned long long)(s->end - s->start));
    return r;
}

static const struct parallels_image *parallels_image_of(const struct parallels_storage *s,
                                                        const char *guid)
{
    for (u32 i = 0; i < s->nimages; i++)
        if (!strcasecmp(s->images[i].guid, guid))
            return &s->images[i];
    return NULL;
}

/* The stack of one stretch, from this snapshot down to the oldest. */
static int parallels_open_part(struct image *im, struct parallels_part *t,
                               const struct parallels_storage *s, const char *guid, struct err *e)
{
    const struct parallels_bundle *b = ((const struct parallels *)im->priv)->bundle;
    int r = 0;

    t->first = s->start * 512;
    t->len = (s->end - s->start) * 512;
    t->layers = calloc(b->nshots + 1, sizeof(*t->layers));
    if (!t->layers)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if (!b->nshots && s->nimages == 1)
        guid = s->images[0].guid;
    for (const char *g = guid; !r && g; g = parallels_shot_parent(b, g)) {
        const struct parallels_image *i = parallels_image_of(s, g);

        if (!i)
            return err_set(e, -EBADMSG, "%s: no image %.40s from sector %llu on", image_path(im), g,
                           (unsigned long long)s->start);
        if (t->nlayers > b->nshots)
            return err_set(e, -ELOOP, "%s: snapshots without an end", image_path(im));
        r = parallels_add_layer(im, t, s, i, e);
    }
    return r;
}

static const char *parallels_top(const struct parallels_bundle *b)
{
    return b->top[0] ? b->top : PARALLELS_TOP;
}

/* The snapshot that was asked for, else what the descriptor calls the top. */
static int parallels_choose(struct image *im, const struct parallels_bundle *b, const char **guid,
                            struct err *e)
{
    const char *which = im->how->snapshot;

    *guid = parallels_top(b);
    for (u32 i = 0; which && i < b->nshots; i++) {
        size_t n = strlen(b->shots[i].guid);

        if (!strcasecmp(b->shots[i].guid, which) ||
            (n > 2 && strlen(which) == n - 2 && !strncasecmp(b->shots[i].guid + 1, which, n - 2))) {
            *guid = b->shots[i].guid;
            return 0;
        }
    }
    return which ? err_set(e, -ENOENT, "%s: has no snapshot \"%.60s\"", image_path(im), which) : 0;
}

static int parallels_open_bundle(struct image *im, struct parallels *p, struct err *e)
{
    struct parallels_bundle *b = p->bundle = calloc(1, sizeof(*b));
    const char *guid;
    int r =
        b ? parallels_read_bundle(im, b, e) : err_set(e, -ENOMEM, "%s: no memory", image_path(im));

    if (r || (r = parallels_choose(im, b, &guid, e)))
        return r;
    p->parts = calloc(b->nstorages, sizeof(*p->parts));
    if (!p->parts)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    for (; !r && p->nparts < b->nstorages; p->nparts++)
        r = parallels_open_part(im, &p->parts[p->nparts], &b->storages[p->nparts], guid, e);
    im->size = (b->size ? b->size : b->storages[b->nstorages - 1].end) * 512;
    return r;
}

static int parallels_open(struct image *im, struct err *e)
{
    struct parallels *p = im->priv = calloc(1, sizeof(*p));
    u8 h[4096];
    bool wide;
    size_t n = min_u64(sizeof(h), image_file_length(im, 0));
    int r;

    if (!p)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if (image_file_read(im, 0, 0, h, n) || n < PARALLELS_TABLE_AT)
        return err_set(e, -EBADMSG, "%s: header: is no Parallels image", image_path(im));
    if (!parallels_is(h, &wide) && parallels_is_descriptor(h, n))
        r = parallels_open_bundle(im, p, e);
    else
        r = parallels_open_file(im, p, e);
    im->cluster = 512;
    return r || !im->writable ? r : parallels_may_write(im, e);
}

/* It was taken care of by open: a bundle is opened as it was at a snapshot. */
static int parallels_snapshot(struct image *im, const char *which, struct err *e)
{
    const struct parallels *p = im->priv;

    return p->bundle ? 0
                     : err_set(e, -ENOENT, "%s: has no snapshot \"%.60s\": only a bundle has",
                               image_path(im), which);
}

static void parallels_close(struct image *im)
{
    struct parallels *p = im->priv;

    if (!p)
        return;
    if (im->writable && atomic_load(&im->touched) && !atomic_load(&im->broken))
        parallels_leave(im);
    for (u32 i = 0; p->parts && i < (p->bundle ? p->bundle->nstorages : p->nparts); i++)
        free(p->parts[i].layers);
    free(p->parts);
    parallels_drop_bundle(p->bundle);
    free(p);
}

const struct parallels_part *parallels_part_at(const struct parallels *p, u64 off)
{
    u32 low = 0, high = p->nparts - 1;

    while (low < high) {
        u32 middle = low + (high - low + 1) / 2;

        if (p->parts[middle].first <= off)
            low = middle;
        else
            high = middle - 1;
    }
    return &p->parts[low];
}

/* Where the cluster is in the layer's file; 0: nowhere. */
int parallels_entry(struct image *im, const struct parallels_layer *y, u64 index, u64 *at)
{
    u8 b[4];
    int r = meta_get(im, y->file, PARALLELS_TABLE_AT + index * 4, b, 4);

    *at = le32(b) * y->unit;
    return r;
}

static int parallels_map(struct image *im, u64 off, struct extent *x)
{
    const struct parallels_part *t = parallels_part_at(im->priv, off);
    u64 in = off - t->first, at;

    x->len = t->len - in;
    for (u32 i = 0; i < t->nlayers; i++) {
        const struct parallels_layer *y = &t->layers[i];
        int r;

        x->file = y->file;
        x->shared = i > 0; /* an older layer is never written */
        if (y->plain) {
            x->kind = EXT_DATA;
            x->at = in;
            return 0;
        }
        r = parallels_entry(im, y, in / y->cluster, &at);
        x->len = min_u64(x->len, y->cluster - in % y->cluster);
        x->kind = EXT_DATA;
        x->at = at + in % y->cluster;
        if (r || at)
            return r ? r : range_ok(x->at, 1, image_file_length(im, y->file)) ? 0 : -EIO;
    }
    x->kind = EXT_PARENT;
    return 0;
}

static void parallels_facts(struct image *im, const struct image_teller *to)
{
    const struct parallels *p = im->priv;
    const struct parallels_bundle *b = p->bundle;
    const struct parallels_layer *y = p->parts[0].layers;

    fact_say(to, FACT_VARIANT, "%s", b ? "bundle" : y->wide ? "expanding" : "expanding-v1");
    if (!y->plain && le32(y->head + 24))
        fact_say(to, FACT_GEOMETRY, "%u/%u/32", le32(y->head + 24), le32(y->head + 20));
    if (b && b->sector)
        fact_say(to, FACT_SECTOR, "%llu", (unsigned long long)b->sector);
    if (b)
        fact_say(to, FACT_ID, "%s", b->uid);
    for (u32 i = 0; b && i < b->nshots; i++)
        if (strcasecmp(b->shots[i].guid, parallels_top(b))) /* that is the disk itself */
            fact_say(to, FACT_SNAPSHOT, "%s", b->shots[i].guid);
    if (y->in_use)
        fact_say(to, FACT_DIRTY, "was not closed by who wrote it last");
    if (!y->plain && le64(y->head + 56))
        fact_say(to, FACT_BITMAP, "dirty bitmaps at sector %llu",
                 (unsigned long long)le64(y->head + 56));
}

const struct image_format image_parallels = {
    .name = "parallels",
    .suffix = ".hds",
    .about = "Parallels Desktop and Virtuozzo: expanding images, bundles with snapshots",
    .inside = PARALLELS_DESCRIPTOR,
    .can = CAN_WRITE | CAN_CREATE | CAN_TRIM | CAN_GROW,
    .options = parallels_options,
    .probe = parallels_probe,
    .open = parallels_open,
    .close = parallels_close,
    .map = parallels_map,
    .touch = parallels_touch,
    .room = parallels_room,
    .trim = punch_trim,
    .check = parallels_check,
    .create = parallels_create,
    .grow = parallels_grow,
    .snapshot = parallels_snapshot,
    .facts = parallels_facts,
};
