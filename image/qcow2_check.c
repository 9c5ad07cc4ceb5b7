/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is every cluster of a qcow2 counted as often as it is used?  All tables are walked, those
 * of snapshots too, into one counter for each cluster.  More users than counted is damage;
 * fewer is space that is lost, and said, but no fault.
 */
#include "base/bytes.h"
#include "image/qcow2_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_CLUSTERS (1u << 27)
#define CHECK_FAULTS 20

struct qcow2_checker {
    struct image *im;
    const struct qcow2 *q;
    u16 *used;
    u64 n;                /* clusters of the file */
    u64 walked, walk_max; /* tables walked; a hostile file may name one for ever */
    unsigned faults;
    void (*say)(void *arg, const char *text);
    void *arg;
};

static void qcow2_fault(struct qcow2_checker *c, const char *what, u64 at, u64 value)
{
    char text[240];

    if (c->faults++ >= CHECK_FAULTS)
        return;
    snprintf(text, sizeof(text), "%.150s (at %llu: 0x%llx)", what, (unsigned long long)at,
             (unsigned long long)value);
    c->say(c->arg, text);
}

static void qcow2_use(struct qcow2_checker *c, u64 at, u64 len, const char *what)
{
    u64 first = at >> c->q->bits, last;

    if (!len)
        return;
    if (!range_ok(at, len, c->n << c->q->bits)) {
        qcow2_fault(c, what, at, len);
        return;
    }
    last = (at + len - 1) >> c->q->bits;
    for (u64 i = first; i <= last; i++)
        if (c->used[i] != 0xffff)
            c->used[i]++;
}

/* The entry says that nobody else uses the cluster: is it counted so? */
static void qcow2_check_copied(struct qcow2_checker *c, u64 e, const char *what)
{
    u64 count = 0;

    if (qcow2_count_get(c->im, (e & QCOW2_OFFSET) >> c->q->bits, &count) ||
        (count == 1) != !!(e & QCOW2_COPIED))
        qcow2_fault(c, what, e & QCOW2_OFFSET, count);
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
        for (u32 k = 0; k < sizeof(b); k += q->entry) {
            u64 e = be64(b + k), len;

            if (e & QCOW2_PACKED) {
                u64 at = qcow2_packed_at(q, e, &len);

                len = at < c->n << q->bits ? min_u64(len, (c->n << q->bits) - at) : len;
                qcow2_use(c, at, len, "a compressed cluster is outside of the file");
            } else if (e & QCOW2_OFFSET && !q->data) {
                if (e & QCOW2_OFFSET & (q->cluster - 1))
                    qcow2_fault(c, "an L2 entry does not name a whole cluster", table + i + k, e);
                else
                    qcow2_use(c, e & QCOW2_OFFSET, q->cluster,
                              "an L2 entry names a cluster outside of the file");
                if (active)
                    qcow2_check_copied(c, e, "an L2 entry's \"used once\" is not what is counted");
            }
        }
    }
}

static void qcow2_check_l1(struct qcow2_checker *c, u64 at, u64 n, bool active)
{
    qcow2_use(c, at, n * 8, "an L1 table is outside of the file");
    for (u64 i = 0; i < n; i++) {
        u64 e;
        u8 b[8];

        if (meta_get(c->im, 0, at + i * 8, b, 8))
            return;
        e = be64(b);
        if (!(e & QCOW2_OFFSET))
            continue;
        if (e & QCOW2_OFFSET & (c->q->cluster - 1)) {
            qcow2_fault(c, "an L1 entry does not name a whole cluster", at + i * 8, e);
            continue;
        }
        qcow2_use(c, e & QCOW2_OFFSET, c->q->cluster,
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
    u8 b[40];

    for (u32 i = 0; i < c->q->snapshots; i++) {
        u64 l1_at, l1_n, len;

        if (meta_get(c->im, 0, at, b, sizeof(b)))
            return;
        l1_at = be64(b);
        l1_n = be32(b + 8);
        len = 40ull + be32(b + 36) + be16(b + 12) + be16(b + 14);
        if (l1_n > (32u << 20) / 8 || l1_at & (c->q->cluster - 1)) {
            qcow2_fault(c, "a snapshot's L1 table is not possible", l1_at, l1_n);
            return;
        }
        qcow2_check_l1(c, l1_at, l1_n, false);
        at += (len + 7) & ~7ull;
        if (at - c->q->snapshots_at > 64u << 20) {
            qcow2_fault(c, "the snapshot table is too long", c->q->snapshots_at, i);
            return;
        }
    }
    qcow2_use(c, c->q->snapshots_at, at - c->q->snapshots_at,
              "the snapshot table is outside of the file");
}

static void qcow2_check_blocks(struct qcow2_checker *c)
{
    qcow2_use(c, c->q->counts_at, c->q->counts_n * 8ull, "the refcount table is outside");
    for (u32 i = 0; i < c->q->counts_n; i++) {
        u64 at;
        u8 b[8];

        if (meta_get(c->im, 0, c->q->counts_at + i * 8ull, b, 8))
            return;
        at = be64(b) & ~511ull;
        if (at & (c->q->cluster - 1))
            qcow2_fault(c, "a refcount block does not begin with a cluster", i, at);
        else if (at)
            qcow2_use(c, at, c->q->cluster, "a refcount block is outside of the file");
    }
}

static void qcow2_check_counts(struct qcow2_checker *c)
{
    u64 leaked = 0, count;
    char text[100];

    for (u64 i = 0; i < c->n; i++) {
        if (qcow2_count_get(c->im, i, &count))
            qcow2_fault(c, "a refcount cannot be read", i << c->q->bits, 0);
        else if (count < c->used[i])
            qcow2_fault(c, "a cluster is used more often than counted", i << c->q->bits,
                        c->used[i]);
        else if (count > c->used[i] && c->used[i] != 0xffff)
            leaked++;
    }
    if (!leaked)
        return;
    snprintf(text, sizeof(text), "%llu clusters are counted but not used (no data is lost)",
             (unsigned long long)leaked);
    if (!c->faults)
        c->say(c->arg, text);
}

int qcow2_check(struct image *im, void (*say)(void *arg, const char *text), void *arg)
{
    const struct qcow2 *q = im->priv;
    struct qcow2_checker c = { .im = im, .q = q, .say = say, .arg = arg };

    c.n = (image_file_length(im, 0) + q->cluster - 1) >> q->bits;
    if (c.n > CHECK_CLUSTERS)
        return -EFBIG;
    c.walk_max = c.n * (q->snapshots + 1ull) + 16;
    c.used = calloc(c.n + 1, sizeof(*c.used));
    if (!c.used)
        return -ENOMEM;
    qcow2_use(&c, 0, 1, "the header is outside");
    qcow2_check_l1(&c, q->l1_at, q->l1_n, true);
    qcow2_check_snapshots(&c);
    qcow2_check_blocks(&c);
    qcow2_check_counts(&c);
    free(c.used);
    return c.faults ? -EBADMSG : 0;
}
