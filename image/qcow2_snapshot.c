/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots inside a qcow2: their table, the disk as it was at one, and what facts there are. */
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SNAPSHOT_HEAD 40
#define SNAPSHOT_TABLE_MAX (64ull << 20)

static int snapshot_text(struct image *im, u64 at, u32 n, char *to, size_t room)
{
    size_t some = min_u64(n, room - 1);

    to[some] = 0;
    return meta_get(im, 0, at, to, some);
}

int qcow2_snapshot_get(struct image *im, u64 at, struct qcow2_snapshot *s)
{
    const struct qcow2 *q = im->priv;
    u64 file = image_file_length(im, 0), len;
    u8 b[SNAPSHOT_HEAD], more[16] = { 0 };
    u32 nid, nname, extra;

    if (!range_ok(at, sizeof(b), file) || meta_get(im, 0, at, b, sizeof(b)))
        return -EBADMSG;
    *s = (struct qcow2_snapshot){ .l1_at = be64(b), .l1_n = be32(b + 8), .state = be32(b + 32) };
    nid = be16(b + 12);
    nname = be16(b + 14);
    s->time = be32(b + 16);
    extra = be32(b + 36);
    len = SNAPSHOT_HEAD + (u64)extra + nid + nname;
    if (!range_ok(at, len, file) || at + len - q->snapshots_at > SNAPSHOT_TABLE_MAX ||
        s->l1_n > QCOW2_L1_MAX / 8 || s->l1_at % q->cluster ||
        !range_ok(s->l1_at, s->l1_n * 8ull, file) || extra > 1024)
        return -EBADMSG;
    if (meta_get(im, 0, at + SNAPSHOT_HEAD, more, min_u64(extra, sizeof(more))) ||
        snapshot_text(im, at + SNAPSHOT_HEAD + extra, nid, s->id, sizeof(s->id)) ||
        snapshot_text(im, at + SNAPSHOT_HEAD + extra + nid, nname, s->name, sizeof(s->name)))
        return -EBADMSG;
    if (extra >= 8)
        s->state = be64(more);
    s->sized = extra >= 16;
    s->size = s->sized ? be64(more + 8) : im->size;
    s->next = at + round_up(len, 8);
    return 0;
}

int qcow2_snapshot(struct image *im, const char *which, struct err *e)
{
    struct qcow2 *q = im->priv;
    struct qcow2_snapshot s, found = { 0 };
    u64 at = q->snapshots_at, reach = q->cluster * q->slots;

    for (u32 i = 0; i < q->snapshots; i++, at = s.next) {
        if (qcow2_snapshot_get(im, at, &s))
            return err_set(e, -EBADMSG, "%s: snapshot %u of its table is damaged", image_path(im),
                           i);
        if (!strcmp(s.id, which) || (!found.next && !strcmp(s.name, which)))
            found = s;
        if (!strcmp(s.id, which))
            break; /* an id comes before a name */
    }
    if (!found.next)
        return err_set(e, -ENOENT, "%s: has no snapshot \"%.100s\"", image_path(im), which);
    if (found.size > INT64_MAX || found.l1_n < found.size / reach + !!(found.size % reach))
        return err_set(e, -EBADMSG,
                       "%s: snapshot \"%.100s\": an L1 table of %u entries for %llu bytes",
                       image_path(im), which, found.l1_n, (unsigned long long)found.size);
    q->l1_at = found.l1_at;
    q->l1_n = found.l1_n;
    im->size = found.size;
    return 0;
}

static void snapshot_facts(struct image *im, const struct image_teller *to)
{
    const struct qcow2 *q = im->priv;
    struct qcow2_snapshot s;
    u64 at = q->snapshots_at;

    for (u32 i = 0; i < q->snapshots && i < 1000; i++, at = s.next) {
        time_t t;
        struct tm tm;
        char when[40] = "";

        if (qcow2_snapshot_get(im, at, &s))
            return;
        t = (time_t)s.time;
        if (gmtime_r(&t, &tm))
            strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
        fact_say(to, FACT_SNAPSHOT, "%s %s, %s%s", s.id, s.name, when,
                 s.state ? ", with the VM's state" : "");
    }
}

static void bitmap_facts(struct image *im, const struct image_teller *to)
{
    const struct qcow2 *q = im->priv;
    struct qcow2_bitmap b;
    u64 at = q->bitmaps_at;

    for (u32 i = 0; i < q->bitmaps && i < 1000; i++, at = b.next) {
        if (qcow2_bitmap_get(im, at, &b))
            return;
        fact_say(to, FACT_BITMAP, "%s, a bit for %llu bytes%s%s", b.name, 1ull << b.granularity,
                 b.flags & 2 ? "" : ", not recording",
                 b.flags & 1 || !(q->autoclear & QCOW2_BITMAPS) ? ", not consistent" : "");
    }
}

void qcow2_facts(struct image *im, const struct image_teller *to)
{
    const struct qcow2 *q = im->priv;

    fact_say(to, FACT_VARIANT, "v%u", q->version);
    if (q->zstd)
        fact_say(to, FACT_OTHER, "compression_type: zstd");
    if (q->crypt == QCOW2_LUKS)
        fact_say(to, FACT_ENCRYPTION, "LUKS%u %s", q->luks.version, q->luks.spec);
    else if (q->crypt)
        fact_say(to, FACT_ENCRYPTION, "AES");
    if (q->incompatible & QCOW2_DIRTY)
        fact_say(to, FACT_DIRTY, "refcounts are stale: the next writer rebuilds them");
    if (q->incompatible & QCOW2_CORRUPT)
        fact_say(to, FACT_DIRTY, "marked as damaged");
    if (q->entry == 16)
        fact_say(to, FACT_OTHER, "extended_l2: on");
    if (q->compatible & QCOW2_LAZY)
        fact_say(to, FACT_OTHER, "lazy_refcounts: on");
    if (q->order != 4)
        fact_say(to, FACT_OTHER, "refcount_bits: %u", 1u << q->order);
    if (qcow2_is_raw_data(q))
        fact_say(to, FACT_OTHER, "data_file_raw: on");
    snapshot_facts(im, to);
    bitmap_facts(im, to);
}
