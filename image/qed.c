/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QED, after QEMU's docs/interop/qed_spec: two levels of tables, no counts.  Read only. */
#include "base/bytes.h"
#include "image/image_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QED_MAGIC 0x00444551u

enum { QED_BACKING = 1, QED_NEEDS_CHECK = 2, QED_BACKING_RAW = 4 };

struct qed {
    u64 features, cluster, l1_at, slots; /* slots: entries of a table of either level */
};

static int qed_probe(const struct probe *p)
{
    return p->nhead >= 64 && le32(p->head) == QED_MAGIC ? 100 : 0;
}

static int qed_backing(struct image *im, u64 features, u32 at, u32 n, u64 header, struct err *e)
{
    if (!(features & QED_BACKING))
        return 0;
    if (n > 1023 || !range_ok(at, n, header) || !(im->parent_name = calloc(1, n + 1ull)) ||
        image_file_read(im, 0, at, im->parent_name, n))
        return err_set(e, -EBADMSG, "%s: header: the parent's name does not fit", image_path(im));
    if (features & QED_BACKING_RAW && !(im->parent_format = strdup("raw")))
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    return 0;
}

static int qed_open(struct image *im, struct err *e)
{
    struct qed *q = im->priv = calloc(1, sizeof(*q));
    u64 features, file = image_file_length(im, 0), table;
    u32 tables, header, name_at, name_len;
    struct cursor c;
    u8 h[64];

    if (!q)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(im));
    if (image_file_read(im, 0, 0, h, sizeof(h)) || le32(h) != QED_MAGIC)
        return err_set(e, -EBADMSG, "%s: header: is no QED", image_path(im));
    c = cursor_of(h + 4, sizeof(h) - 4);
    q->cluster = get_le32(&c);
    tables = get_le32(&c);
    header = get_le32(&c);
    features = q->features = get_le64(&c);
    cursor_take(&c, 16);
    q->l1_at = get_le64(&c);
    im->size = get_le64(&c);
    name_at = get_le32(&c);
    name_len = get_le32(&c);
    if (features & ~7ull)
        return err_set(e, -EOPNOTSUPP, "%s: header: features 0x%llx are not known", image_path(im),
                       (unsigned long long)features);
    if (q->cluster < 4096 || q->cluster > 64u << 20 || q->cluster & (q->cluster - 1) ||
        tables < 1 || tables > 16 || tables & (tables - 1) || header < 1 || header > 1u << 20)
        return err_set(e, -EBADMSG, "%s: header: its sizes are not possible", image_path(im));
    table = q->cluster * tables;
    q->slots = table / 8;
    if (im->size / q->cluster / q->slots > q->slots || q->l1_at & (q->cluster - 1) ||
        !range_ok(q->l1_at, table, file + q->cluster))
        return err_set(e, -EBADMSG, "%s: header: the L1 table at %llu is not inside the file",
                       image_path(im), (unsigned long long)q->l1_at);
    return qed_backing(im, features, name_at, name_len, q->cluster * header, e);
}

static void qed_close(struct image *im)
{
    free(im->priv);
}

static int qed_map(struct image *im, u64 off, struct extent *x)
{
    const struct qed *q = im->priv;
    u64 cluster = off / q->cluster, reach = q->cluster * q->slots, at, in = off & (q->cluster - 1);
    u8 b[8];
    int r;

    x->kind = EXT_PARENT;
    x->len = reach - off % reach;
    if (cluster / q->slots >= q->slots)
        return -EIO;
    r = meta_get(im, 0, q->l1_at + cluster / q->slots * 8, b, 8);
    at = le64(b);
    if (r || !at)
        return r;
    x->len = q->cluster - in;
    if (at & (q->cluster - 1) || !range_ok(at, q->slots * 8, image_file_length(im, 0)))
        return -EIO;
    r = meta_get(im, 0, at + cluster % q->slots * 8, b, 8);
    at = le64(b);
    if (r || !at)
        return r;
    x->kind = at == 1 ? EXT_ZERO : EXT_DATA;
    x->at = at + in;
    if (x->kind == EXT_DATA &&
        (at & (q->cluster - 1) || !range_ok(x->at, 1, image_file_length(im, 0))))
        return -EIO;
    return 0;
}

/* Whatever was written is there; clusters that nobody uses may be. */
static void qed_facts(struct image *im, const struct image_teller *to)
{
    const struct qed *q = im->priv;

    if (q->features & QED_NEEDS_CHECK)
        fact_say(to, FACT_DIRTY, "was not closed: there may be space that is lost");
}

const struct image_format image_qed = {
    .name = "qed",
    .suffix = ".qed",
    .about = "QEMU Enhanced Disk",
    .probe = qed_probe,
    .open = qed_open,
    .close = qed_close,
    .map = qed_map,
    .facts = qed_facts,
};
