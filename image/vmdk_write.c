/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a sparse VMDK in place, and looking through its tables.
 *
 * A new grain goes to the end of the file; its entry goes to both copies of the table when
 * its data is down.  A power cut leaves grains that nothing refers to, no more.
 */
#include "base/bytes.h"
#include "image/vmdk_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The content changes: a new CID, so that children made before do not fit any more. */
int vmdk_touch(struct image *im)
{
    struct vmdk *k = im->priv;
    char text[9];
    u32 cid = 0;

    if (!k->cid_at || im->flags & IMAGE_KEEP_ID)
        return 0;
    if (getrandom(&cid, sizeof(cid), 0) < 0)
        return -errno;
    if (cid >= 0xfffffffe || cid == k->cid)
        cid ^= 0x5a5a5a5a;
    snprintf(text, sizeof(text), "%08x", cid);
    k->cid = cid;
    return meta_put(im, PLAN_HEADER, 0, k->cid_at, text, 8);
}

/* A table where the directory has none: zeroes first, then the directory's entry. */
static int vmdk_new_table(struct image *im, struct vmdk_part *p, u64 index, bool second, u64 *at)
{
    static const u8 zero[512];
    u64 bytes = round_up(p->gtes * 4ull, SECTOR);
    u8 entry[4];
    int r = 0;

    *at = p->next;
    if (*at / SECTOR > UINT32_MAX)
        return -ENOSPC;
    p->next += round_up(bytes, p->grain);
    for (u64 i = 0; !r && i < bytes; i += SECTOR)
        r = meta_put(im, PLAN_TABLE, p->file, *at + i, zero, SECTOR);
    put_le32(entry, (u32)(*at / SECTOR));
    return r ? r
             : meta_put(im, PLAN_ROOT, p->file, (second ? p->rgd_at : p->gd_at) + index * 4, entry,
                        4);
}

/* Both tables of an index, made if need be; *second is 0 when there is no second copy. */
static int vmdk_tables(struct image *im, struct vmdk_part *p, u64 index, u64 *first, u64 *second)
{
    int r = vmdk_table(im, p, index, first, false);

    if (!r && !*first)
        r = vmdk_new_table(im, p, index, false, first);
    *second = 0;
    if (!r && p->rgd_at && !(r = vmdk_table(im, p, index, second, true)) && !*second)
        r = vmdk_new_table(im, p, index, true, second);
    return r;
}

int vmdk_room(struct image *im, u64 off, u64 len, struct extent *x, struct image_plan *plan)
{
    struct vmdk_part *p = vmdk_part_at(im->priv, off);
    u64 in = off - p->first, grain = in / p->grain, first, second;
    u32 slot = grain % p->gtes, n, want, sector;
    u8 entries[PLAN_BYTES], old[PLAN_BYTES];
    int r = vmdk_tables(im, p, grain / p->gtes, &first, &second);

    if (r)
        return r;
    want = (u32)min_u64(min_u64(len / p->grain, p->gtes - slot), PLAN_BYTES / 4);
    want = (u32)min_u64(want, (p->len - in + p->grain - 1) / p->grain);
    r = meta_get(im, p->file, first + slot * 4, old, want * 4);
    if (r)
        return r;
    if ((p->next + want * p->grain) / SECTOR > UINT32_MAX)
        return -ENOSPC;
    sector = (u32)(p->next / SECTOR);
    for (n = 0; n < want && le32(old + n * 4) <= 1; n++)
        put_le32(entries + n * 4, sector + n * (u32)(p->grain / SECTOR));
    if (!n)
        return -EIO;
    x->kind = EXT_DATA;
    x->file = p->file;
    x->at = p->next;
    x->len = n * p->grain;
    p->next += x->len;
    plan_write(plan, PLAN_TABLE, p->file, first + slot * 4, entries, n * 4);
    if (second)
        plan_write(plan, PLAN_TABLE, p->file, second + slot * 4, entries, n * 4);
    return 0;
}

struct vmdk_seen { /* grains met so far, to find one met twice */
    u32 *v;
    size_t n, cap;
    bool keep; /* all of them; else only the last is of interest */
    u32 last;  /* the highest sector */
};
static int vmdk_seen_add(struct vmdk_seen *s, u32 sector)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 4096;
        u32 *v = realloc(s->v, cap * sizeof(*v));

        if (!v)
            return -ENOMEM;
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n++] = sector;
    return 0;
}
static int vmdk_seen_order(const void *a, const void *b)
{
    u32 x = *(const u32 *)a, y = *(const u32 *)b;

    return (x > y) - (x < y);
}

static int vmdk_scan_table(struct image *im, const struct vmdk_part *p, u64 index, u64 at,
                           u8 *table, struct vmdk_seen *seen, struct err *e)
{
    const char *name = im->files[p->file].path;
    u64 size = max_u64(image_file_length(im, p->file), p->next);
    int r = meta_get(im, p->file, at, table, p->gtes * 4);

    if (r)
        return err_set(e, r, "%s: grain table %llu: %s", name, (unsigned long long)index,
                       strerror(-r));
    for (u32 i = 0; i < p->gtes; i++) {
        u64 grain = (u64)index * p->gtes + i, left;
        u32 s = le32(table + i * 4);

        if (!s || (s == 1 && p->zeroes) || grain * p->grain >= p->len)
            continue;
        left = p->packed ? 12 : min_u64(p->grain, p->len - grain * p->grain);
        if (s * SECTOR < p->data_at || !range_ok(s * SECTOR, left, size))
            return err_set(e, -EBADMSG,
                           "%s: grain table %llu, entry %u: grain at sector %u, but the file has "
                           "%llu sectors",
                           name, (unsigned long long)index, i, s,
                           (unsigned long long)(size / SECTOR));
        seen->last = s > seen->last ? s : seen->last;
        if (seen->keep && (r = vmdk_seen_add(seen, s)))
            return err_set(e, r, "%s: no memory", name);
    }
    return 0;
}

static int vmdk_scan_twice(const struct image *im, const struct vmdk_part *p,
                           struct vmdk_seen *seen, struct err *e)
{
    qsort(seen->v, seen->n, sizeof(*seen->v), vmdk_seen_order);
    for (size_t i = 1; i < seen->n; i++)
        if (seen->v[i] - seen->v[i - 1] < (p->packed ? 1 : p->grain / SECTOR))
            return err_set(e, -EBADMSG,
                           "%s: two entries of its grain tables point into the grain at sector "
                           "%u",
                           im->files[p->file].path, seen->v[i - 1]);
    return 0;
}

/* Is the last compressed grain all there?  Its marker says how long it is. */
static int vmdk_scan_last(struct image *im, const struct vmdk_part *p, u32 last, struct err *e)
{
    u64 size = image_file_length(im, p->file), len;
    u8 b[12];

    if (image_file_read(im, p->file, last * SECTOR, b, sizeof(b)) || !p->markers)
        return 0;
    len = sizeof(b) + (u64)le32(b + 8);
    return range_ok(last * SECTOR, len, size)
               ? 0
               : err_set(e, -EBADMSG,
                         "%s: the grain at sector %u has %llu bytes, but the file ends after %llu: "
                         "it is cut short",
                         im->files[p->file].path, last, (unsigned long long)len,
                         (unsigned long long)(size - last * SECTOR));
}

int vmdk_scan(struct image *im, const struct vmdk_part *p, bool unique, struct err *e)
{
    u8 *table = malloc(p->gtes * 4), entry[4];
    u64 tables = 0, most = image_file_length(im, p->file) / (p->gtes * 4) + 1;
    struct vmdk_seen seen = { .keep = unique };
    int r = table ? 0 : err_set(e, -ENOMEM, "%s: no memory", image_path(im));

    for (u64 i = 0; !r && i < p->ngd; i++) {
        u64 at;

        r = vmdk_table(im, p, i, &at, false);
        if (r && p->rgd_at)
            r = vmdk_table(im, p, i, &at, true);
        if (r) {
            meta_get(im, p->file, p->gd_at + i * 4, entry, 4);
            err_set(e, -EBADMSG,
                    "%s: grain directory, entry %llu: table at sector %u, but the file has %llu "
                    "sectors",
                    im->files[p->file].path, (unsigned long long)i, le32(entry),
                    (unsigned long long)(image_file_length(im, p->file) / SECTOR));
            r = -EBADMSG;
        } else if (at && tables++ > most) {
            r = err_set(e, -EBADMSG, "%s: grain directory: more tables than the file can hold",
                        im->files[p->file].path);
        } else if (at) {
            r = vmdk_scan_table(im, p, i, at, table, &seen, e);
        }
    }
    if (!r && seen.n)
        r = vmdk_scan_twice(im, p, &seen, e);
    if (!r && p->packed && seen.last)
        r = vmdk_scan_last(im, p, seen.last, e);
    free(seen.v);
    free(table);
    return r;
}

int vmdk_check(struct image *im, void (*say)(void *arg, const char *text), void *arg)
{
    struct vmdk *k = im->priv;
    int r = 0;

    for (u32 i = 0; i < k->nparts; i++) {
        struct err e = { 0 };

        if (k->parts[i].gd_at && k->parts[i].kind != VMDK_SESPARSE &&
            vmdk_scan(im, &k->parts[i], true, &e)) {
            say(arg, e.text);
            r = -EBADMSG;
        }
    }
    return r;
}
