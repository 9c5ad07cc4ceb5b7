/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of a VHDX, [MS-VHDX] 2.3: it is replayed into memory, so that a disk that was not
 * closed is read as it should be without being written; a writer puts it into the file.
 */
#include "base/bytes.h"
#include "image/vhdx_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u
#define LOG_MAX (64u << 20)
#define PATCHES_MAX 65536

struct vhdx_entry { /* one for each page of the log; len 0: no entry begins there */
    u32 len, tail, count;
    u64 sequence, flushed, last;
};

struct vhdx_log {
    u8 *bytes;
    u32 len, pages;
    struct vhdx_entry *entries;
    u64 summed; /* bytes that went through the checksum; bounded */
};

/* The entry at a page: taken out of the ring, checked. */
static u8 *vhdx_entry_bytes(const struct vhdx_log *l, u32 page, u32 len)
{
    u32 at = page * PAGE, first = (u32)min_u64(len, l->len - at);
    u8 *b = malloc(len);

    if (b) {
        memcpy(b, l->bytes + at, first);
        memcpy(b + first, l->bytes, len - first);
    }
    return b;
}

static int vhdx_take_entry(struct vhdx_log *l, u32 page, const u8 *guid)
{
    const u8 *h = l->bytes + page * PAGE;
    struct vhdx_entry *t = &l->entries[page];
    u32 len = le32(h + 8), tail = le32(h + 12), count = le32(h + 24);
    u8 *b;

    if (memcmp(h, "loge", 4) || memcmp(h + 32, guid, 16))
        return 0;
    if (!len || len % PAGE || len > l->len || tail % PAGE || tail >= l->len ||
        count > (len - 64) / 32)
        return 0;
    l->summed += len;
    if (l->summed > 16ull * l->len)
        return -E2BIG;
    b = vhdx_entry_bytes(l, page, len);
    if (!b)
        return -ENOMEM;
    if (vhdx_crc(b, len, 4) == le32(h + 4))
        *t = (struct vhdx_entry){ len, tail, count, le64(h + 16), le64(h + 48), le64(h + 56) };
    free(b);
    return 0;
}

/* The run of entries with the highest numbers whose last one says that it began there. */
static bool vhdx_active(const struct vhdx_log *l, u32 *first, u32 *last)
{
    bool found = false;
    u64 best = 0;

    for (u32 start = 0; start < l->pages; start++) {
        u32 at = start;

        for (u32 n = 0; n < l->pages && l->entries[at].len; n++) {
            const struct vhdx_entry *t = &l->entries[at];
            u32 next = (at + t->len / PAGE) % l->pages;

            if (t->tail == start * PAGE && (!found || t->sequence > best)) {
                found = true;
                best = t->sequence;
                *first = start;
                *last = at;
            }
            if (!l->entries[next].len || l->entries[next].sequence != t->sequence + 1)
                break;
            at = next;
        }
    }
    return found;
}

static int vhdx_patch(struct vhdx *v, u64 at, u64 len, u8 *bytes)
{
    struct vhdx_patch *p = NULL;

    if (v->npatches < PATCHES_MAX)
        p = realloc(v->patches, (v->npatches + 1) * sizeof(*p));
    if (!p) {
        free(bytes);
        return -ENOMEM;
    }
    v->patches = p;
    p[v->npatches++] = (struct vhdx_patch){ at, len, bytes };
    return 0;
}

/* Offsets of a descriptor: whole pages, not the headers. */
static bool vhdx_target_ok(u64 at, u64 len)
{
    return at % PAGE == 0 && len % PAGE == 0 && at >= 192 << 10 && at < INT64_MAX / 2 &&
           len < INT64_MAX / 2;
}

static int vhdx_apply_desc(struct vhdx *v, const u8 *d, const u8 *data)
{
    u8 *page;

    if (!memcmp(d, "zero", 4))
        return vhdx_target_ok(le64(d + 16), le64(d + 8))
                   ? vhdx_patch(v, le64(d + 16), le64(d + 8), NULL)
                   : -EBADMSG;
    if (memcmp(d, "desc", 4) || !data || memcmp(data, "data", 4) ||
        !vhdx_target_ok(le64(d + 16), PAGE))
        return -EBADMSG;
    page = malloc(PAGE);
    if (!page)
        return -ENOMEM;
    memcpy(page, d + 8, 8);
    memcpy(page + 8, data + 8, PAGE - 12);
    memcpy(page + PAGE - 4, d + 4, 4);
    return vhdx_patch(v, le64(d + 16), PAGE, page);
}

static int vhdx_apply(struct vhdx *v, const struct vhdx_log *l, u32 page)
{
    const struct vhdx_entry *t = &l->entries[page];
    u32 data = (u32)round_up(64 + t->count * 32ull, PAGE);
    u8 *b = vhdx_entry_bytes(l, page, t->len);
    int r = b ? 0 : -ENOMEM;

    for (u32 i = 0; !r && i < t->count; i++) {
        const u8 *d = b + 64 + i * 32;
        bool has = !memcmp(d, "desc", 4);

        r = vhdx_apply_desc(v, d, has && data < t->len ? b + data : NULL);
        data += has ? PAGE : 0;
    }
    free(b);
    return r;
}

static int vhdx_replay_log(struct image *im, struct vhdx_log *l, const u8 *guid, struct err *e)
{
    struct vhdx *v = im->priv;
    u32 first, last;
    int r = 0;

    for (u32 i = 0; !r && i < l->pages; i++)
        r = vhdx_take_entry(l, i, guid);
    if (r)
        return err_set(e, r, "%s: log: its entries overlap too much", image_path(im));
    if (!vhdx_active(l, &first, &last))
        return err_set(e, -EBADMSG, "%s: log: is in use, but has no whole sequence of entries",
                       image_path(im));
    if (image_file_length(im, 0) < l->entries[last].flushed)
        return err_set(e, -EBADMSG, "%s: log: expects a file of %llu bytes, it has %llu",
                       image_path(im), (unsigned long long)l->entries[last].flushed,
                       (unsigned long long)image_file_length(im, 0));
    v->logged = l->entries[last].last;
    if (v->logged > 2 * VHDX_SIZE_MAX)
        return err_set(e, -EBADMSG, "%s: log: a file of %llu bytes is not possible", image_path(im),
                       (unsigned long long)v->logged);
    for (u32 at = first;; at = (at + l->entries[at].len / PAGE) % l->pages) {
        r = vhdx_apply(v, l, at);
        if (r || at == last)
            break;
    }
    return r ? err_set(e, r, "%s: log: an entry is damaged", image_path(im)) : 0;
}

int vhdx_replay(struct image *im, u64 at, u32 len, const u8 *guid, struct err *e)
{
    struct vhdx_log l = { .len = len, .pages = len / PAGE };
    const struct vhdx *v = im->priv;
    int r;

    if (le16(v->header + 64))
        return err_set(e, -EOPNOTSUPP, "%s: log: version %u, 0 is known", image_path(im),
                       le16(v->header + 64));
    if (!len || len % PAGE || len > LOG_MAX || !range_ok(at, len, image_file_length(im, 0)))
        return err_set(e, -EBADMSG, "%s: header: a log of %u bytes at %llu is not inside the file",
                       image_path(im), len, (unsigned long long)at);
    l.bytes = malloc(len);
    l.entries = calloc(l.pages, sizeof(*l.entries));
    r = l.bytes && l.entries ? image_file_read(im, 0, at, l.bytes, len) : -ENOMEM;
    r = r ? err_set(e, r, "%s: log: %s", image_path(im), strerror(-r))
          : vhdx_replay_log(im, &l, guid, e);
    free(l.bytes);
    free(l.entries);
    return r;
}

void vhdx_forget(struct vhdx *v)
{
    for (size_t i = 0; i < v->npatches; i++)
        free(v->patches[i].bytes);
    free(v->patches);
    v->patches = NULL;
    v->npatches = 0;
}

int vhdx_settle(struct image *im)
{
    struct vhdx *v = im->priv;
    int r = image_file_extend(im, 0, v->logged);

    for (size_t i = 0; !r && i < v->npatches; i++) {
        const struct vhdx_patch *p = &v->patches[i];

        r = p->bytes ? image_file_write(im, 0, p->at, p->bytes, p->len)
                     : image_file_zero(im, 0, p->at, p->len);
    }
    r = r ? r : image_file_sync(im);
    memset(v->header + 48, 0, 16);
    r = r ? r : vhdx_put_headers(im);
    vhdx_forget(v);
    return r;
}

int vhdx_get(struct image *im, u64 at, void *to, size_t n)
{
    const struct vhdx *v = im->priv;
    int r = meta_get(im, 0, at, to, n);

    for (size_t i = 0; !r && i < v->npatches; i++) {
        const struct vhdx_patch *p = &v->patches[i];
        u64 from = max_u64(at, p->at), end = min_u64(at + n, p->at + p->len);

        if (from >= end)
            continue;
        if (p->bytes)
            memcpy((u8 *)to + (from - at), p->bytes + (from - p->at), end - from);
        else
            memset((u8 *)to + (from - at), 0, end - from);
    }
    return r;
}
