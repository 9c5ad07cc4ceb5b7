/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is every cluster of a qcow2 counted as often as it is used?  All tables are walked, those
 * of snapshots too, into one counter for each cluster.  More users than counted is damage;
 * fewer is space that is lost, and said, but no fault.
 */
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_CLUSTERS (1u << 27)
#define CHECK_FAULTS 20

/* What a cluster is used for, above the number of its users. */
enum { USE_DATA = 1 << 14, USE_TABLE = 2 << 14, USE_ALONE = 3 << 14 };

void qcow2_fault(struct qcow2_checker *c, const char *what, u64 at, u64 value)
{
    char text[240];

    if (c->faults++ >= CHECK_FAULTS)
        return;
    snprintf(text, sizeof(text), "%.150s (at %llu: 0x%llx)", what, (unsigned long long)at,
             (unsigned long long)value);
    c->say(c->arg, text);
}

/* L2 tables and data may have several users of their kind; everything else has one. */
static void qcow2_use(struct qcow2_checker *c, u64 at, u64 len, u32 kind, const char *what)
{
    u64 first = at >> c->q->bits, last;

    if (!len)
        return;
    if (!range_ok(at, len, c->n << c->q->bits)) {
        qcow2_fault(c, what, at, len);
        return;
    }
    last = (at + len - 1) >> c->q->bits;
    for (u64 i = first; i <= last; i++) {
        u32 was = c->used[i];

        if (was && ((was & ~QCOW2_USERS) != kind || kind == USE_ALONE))
            qcow2_fault(c, "a cluster is used for two things at once", i << c->q->bits, at);
        if ((was & QCOW2_USERS) != QCOW2_USERS)
            was++;
        c->used[i] = (u16)(was | kind);
    }
}

/* The entry says that nobody else uses the cluster: is it counted so? */
static void qcow2_check_copied(struct qcow2_checker *c, u64 e, const char *what)
{
    u64 count = 0;

    if (c->blind)
        return;
    if (qcow2_count_get(c->im, (e & QCOW2_OFFSET) >> c->q->bits, &count) ||
        (count == 1) != !!(e & QCOW2_COPIED))
        qcow2_fault(c, what, e & QCOW2_OFFSET, count);
}

/* The entry's own bytes, at `at`. */
static void qcow2_check_entry(struct qcow2_checker *c, const u8 *b, u64 at, bool active)
{
    const struct qcow2 *q = c->q;
    u64 e = be64(b), len;

    if (e & QCOW2_PACKED) {
        u64 packed = qcow2_packed_at(q, e, &len);

        if (q->data)
            qcow2_fault(c, "a compressed cluster beside a data file", at, e);
        len = packed < c->n << q->bits ? min_u64(len, (c->n << q->bits) - packed) : len;
        qcow2_use(c, packed, len, USE_DATA, "a compressed cluster is outside of the file");
        return;
    }
    if (q->version >= 3 && e & (q->entry == 16 ? QCOW2_L2_RESERVED | 1 : QCOW2_L2_RESERVED))
        qcow2_fault(c, "an L2 entry has bits that mean nothing", at, e);
    if (q->entry == 16 && be64(b + 8) >> 32 & be64(b + 8) & 0xffffffff)
        qcow2_fault(c, "a subcluster is said to be here and zero", at, be64(b + 8));
    if (!(e & QCOW2_OFFSET) || q->data)
        return;
    if (e & QCOW2_OFFSET & (q->cluster - 1))
        qcow2_fault(c, "an L2 entry does not name a whole cluster", at, e);
    else
        qcow2_use(c, e & QCOW2_OFFSET, q->cluster, USE_DATA,
                  "an L2 entry names a cluster outside of the file");
    if (active)
        qcow2_check_copied(c, e, "an L2 entry's \"used once\" is not what is counted");
}

static void qcow2_check_l2(struct qcow2_checker *c, u64 table, bool active)
{
    const struct qcow2 *q = c->q;
    u8 b[512];

    if (c->walked++ > c->walk_max) {
        qcow2_fault(c, "more L2 tables are named than the file can hold", table, c->walked);
        return;
    }
    for (u64 i = 0; i < q->cluster; i += sizeof(b)) {
        if (meta_get(c->im, 0, table + i, b, sizeof(b))) {
            qcow2_fault(c, "an L2 table cannot be read", table, i);
            return;
        }
        for (u32 k = 0; k < sizeof(b); k += q->entry)
            if (be64(b + k))
                qcow2_check_entry(c, b + k, table + i + k, active);
    }
}

static void qcow2_check_l1(struct qcow2_checker *c, u64 at, u64 n, bool active)
{
    qcow2_use(c, at, n * 8, USE_ALONE, "an L1 table is outside of the file");
    for (u64 i = 0; i < n; i++) {
        u64 e;
        u8 b[8];

        if (meta_get(c->im, 0, at + i * 8, b, 8))
            return;
        e = be64(b);
        if (c->q->version >= 3 && e & QCOW2_L1_RESERVED)
            qcow2_fault(c, "an L1 entry has bits that mean nothing", at + i * 8, e);
        if (!(e & QCOW2_OFFSET))
            continue;
        if (e & QCOW2_OFFSET & (c->q->cluster - 1)) {
            qcow2_fault(c, "an L1 entry does not name a whole cluster", at + i * 8, e);
            continue;
        }
        qcow2_use(c, e & QCOW2_OFFSET, c->q->cluster, USE_TABLE,
                  "an L1 entry names a table outside of the file");
        if (!range_ok(e & QCOW2_OFFSET, c->q->cluster, c->n << c->q->bits))
            continue;
        if (active)
            qcow2_check_copied(c, e, "an L1 entry's \"used once\" is not what is counted");
        qcow2_check_l2(c, e & QCOW2_OFFSET, active);
    }
}

static void qcow2_check_snapshots(struct qcow2_checker *c)
{
    u64 at = c->q->snapshots_at;
    struct qcow2_snapshot s;

    for (u32 i = 0; i < c->q->snapshots; i++, at = s.next) {
        if (qcow2_snapshot_get(c->im, at, &s)) {
            qcow2_fault(c, "a snapshot in the table is damaged", at, i);
            return;
        }
        qcow2_check_l1(c, s.l1_at, s.l1_n, false);
    }
    qcow2_use(c, c->q->snapshots_at, at - c->q->snapshots_at, USE_ALONE,
              "the snapshot table is outside of the file");
}

static void qcow2_check_bitmaps(struct qcow2_checker *c)
{
    u64 at = c->q->bitmaps_at, entry;
    struct qcow2_bitmap b;
    u8 e[8];

    if (!(c->q->autoclear & QCOW2_BITMAPS))
        return;
    for (u32 i = 0; i < c->q->bitmaps; i++, at = b.next) {
        if (qcow2_bitmap_get(c->im, at, &b)) {
            qcow2_fault(c, "a dirty bitmap in the directory is damaged", at, i);
            return;
        }
        qcow2_use(c, b.table_at, b.table_n * 8ull, USE_ALONE, "a bitmap's table is outside");
        for (u32 k = 0; k < b.table_n; k++) {
            if (meta_get(c->im, 0, b.table_at + k * 8ull, e, 8))
                return;
            entry = be64(e);
            if (entry & QCOW2_OFFSET)
                qcow2_use(c, entry & QCOW2_OFFSET, c->q->cluster, USE_ALONE,
                          "a part of a bitmap is outside of the file");
        }
    }
    qcow2_use(c, c->q->bitmaps_at, c->q->bitmaps_size, USE_ALONE,
              "the directory of bitmaps is outside of the file");
}

static void qcow2_check_blocks(struct qcow2_checker *c)
{
    qcow2_use(c, c->q->counts_at, c->q->counts_n * 8ull, USE_ALONE,
              "the refcount table is outside");
    for (u32 i = 0; i < c->q->counts_n; i++) {
        u64 at;
        u8 b[8];

        if (meta_get(c->im, 0, c->q->counts_at + i * 8ull, b, 8))
            return;
        at = be64(b) & ~511ull;
        if (at & (c->q->cluster - 1))
            qcow2_fault(c, "a refcount block does not begin with a cluster", i, at);
        else if (at)
            qcow2_use(c, at, c->q->cluster, USE_ALONE, "a refcount block is outside of the file");
    }
}

static void qcow2_check_counts(struct qcow2_checker *c)
{
    u64 leaked = 0, count;
    char text[100];

    for (u64 i = 0; i < c->n; i++) {
        u32 users = c->used[i] & QCOW2_USERS;

        if (qcow2_count_get(c->im, i, &count))
            qcow2_fault(c, "a refcount cannot be read", i << c->q->bits, 0);
        else if (count < users)
            qcow2_fault(c, "a cluster is used more often than counted", i << c->q->bits, users);
        else if (count > users && users != QCOW2_USERS)
            leaked++;
    }
    if (!leaked)
        return;
    snprintf(text, sizeof(text), "%llu clusters are counted but not used (no data is lost)",
             (unsigned long long)leaked);
    if (!c->faults)
        c->say(c->arg, text);
}

int qcow2_walk(struct qcow2_checker *c)
{
    const struct qcow2 *q = c->q = c->im->priv;

    c->n = (image_file_length(c->im, 0) + q->cluster - 1) >> q->bits;
    if (c->n > CHECK_CLUSTERS)
        return -EFBIG;
    c->walk_max = c->n * (q->snapshots + 1ull) + 16;
    c->used = calloc(c->n + 1, sizeof(*c->used));
    if (!c->used)
        return -ENOMEM;
    qcow2_use(c, 0, 1, USE_ALONE, "the header is outside");
    if (q->crypt == QCOW2_LUKS)
        qcow2_use(c, q->luks_at, q->luks_size, USE_ALONE, "the LUKS header is outside");
    qcow2_check_l1(c, q->l1_at, q->l1_n, true);
    qcow2_check_snapshots(c);
    qcow2_check_bitmaps(c);
    qcow2_check_blocks(c);
    return c->faults ? -EBADMSG : 0;
}

int qcow2_check(struct image *im, void (*say)(void *arg, const char *text), void *arg)
{
    struct qcow2_checker c = { .im = im, .say = say, .arg = arg };
    int r = qcow2_walk(&c);

    if (!r || r == -EBADMSG)
        qcow2_check_counts(&c);
    free(c.used);
    return c.faults ? -EBADMSG : r;
}
