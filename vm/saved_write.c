/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing the file of a saved VM.  It has no name until it is whole and on the disk, so a
 * crash leaves nothing behind; where the file system cannot do that, it has another name.
 */
#include "base/bytes.h"
#include "vm/saved_int.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

enum { SAVED_GAP = 16, SAVED_LEVEL = 1 };

struct saved_writer {
    int fd;
    char path[4096], tmp[4120]; /* tmp "": the file has no name */
    u64 at;
    json_t *sections;
};

static int writer_fail(struct saved_writer *w, int code, struct err *e)
{
    return err_set(e, code, "%s: %s", w->path, strerror(-code));
}

static int writer_put(struct saved_writer *w, const void *p, size_t n, struct err *e)
{
    const u8 *from = p;

    while (n) {
        ssize_t done = pwrite(w->fd, from, min_u64(n, 1 << 30), (off_t)w->at);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return writer_fail(w, done ? -errno : -EIO, e);
        from += done;
        n -= (size_t)done;
        w->at += (u64)done;
    }
    return 0;
}

/* Zeroes up to a page boundary; their sum is that of what follows, which is mapped. */
static int writer_align(struct saved_writer *w, struct err *e)
{
    static const u8 zero[SAVED_PAGE];

    return writer_put(w, zero, (SAVED_PAGE - w->at % SAVED_PAGE) % SAVED_PAGE, e);
}

static int writer_open(struct saved_writer *w, struct err *e)
{
    char *slash = strrchr(w->path, '/'), dir[4096];

    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - w->path) + 1 : 1,
             slash ? w->path : ".");
    if (!access(w->path, F_OK))
        return err_set(e, -EEXIST, "%s: is there already", w->path);
    w->fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (w->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return w->fd >= 0 ? 0 : writer_fail(w, -errno, e);
    snprintf(w->tmp, sizeof(w->tmp), "%s.part-%d", w->path, (int)getpid());
    w->fd = open(w->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return w->fd < 0 ? writer_fail(w, -errno, e) : 0;
}

int saved_begin(struct saved_writer **out, const char *path, struct err *e)
{
    static const u8 head[SAVED_PAGE];
    struct saved_writer *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return err_set(e, -ENOMEM, "out of memory");
    w->fd = -1;
    w->sections = json_array();
    r = snprintf(w->path, sizeof(w->path), "%s", path) < (int)sizeof(w->path)
            ? writer_open(w, e)
            : err_set(e, -ENAMETOOLONG, "%s: too long a name", path);
    r = r ? r : writer_put(w, head, sizeof(head), e);
    if (r) {
        saved_abort(w);
        return r;
    }
    *out = w;
    return 0;
}

void saved_abort(struct saved_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    if (w->tmp[0])
        unlink(w->tmp);
    json_decref(w->sections);
    free(w);
}

/* ---- sections ---- */

static void writer_note(struct saved_writer *w, const char *name, u64 at, u64 len, u64 sum)
{
    char text[17];

    snprintf(text, sizeof(text), "%016llx", (unsigned long long)sum);
    json_array_append_new(w->sections,
                          json_pack("{s:s, s:I, s:I, s:s}", "name", name, "at", (json_int_t)at,
                                    "length", (json_int_t)len, "sum", text));
}

int saved_section(struct saved_writer *w, const char *name, const void *p, size_t n, struct err *e)
{
    u64 at = w->at;
    int r = writer_put(w, p, n, e);

    if (!r)
        writer_note(w, name, at, n, XXH3_64bits(p, n));
    return r;
}

static int writer_part(struct saved_writer *w, const char *name, const char *part, const void *p,
                       size_t n, struct err *e)
{
    char full[SAVED_NAME];

    snprintf(full, sizeof(full), "%s.%s", name, part);
    return saved_section(w, full, p, n, e);
}

static void writer_data(struct saved_writer *w, const char *name, u64 at)
{
    char full[SAVED_NAME];

    snprintf(full, sizeof(full), "%s.data", name);
    writer_note(w, full, at, w->at - at, 0);
}

/* ---- plain memories ---- */

static bool page_is_zero(const u8 *p)
{
    return !p[0] && !memcmp(p, p + 1, SAVED_PAGE - 1);
}

/*
 * Runs of pages that are not zero.  Each is mapped by a call of its own, so a few pages of
 * zeroes between two are taken along.
 */
static int plain_runs(const u8 *p, u64 pages, struct buf *runs, u64 *stored)
{
    u64 first = 0, end = 0;

    *stored = 0;
    for (u64 i = 0; i <= pages; i++) {
        u8 *pair;

        if (i < pages && page_is_zero(p + i * SAVED_PAGE))
            continue;
        if (end && i < pages && i - end < SAVED_GAP) {
            end = i + 1;
            continue;
        }
        if (end) {
            if (!(pair = buf_room(runs, 8)))
                return -ENOMEM;
            put_le32(pair, (u32)first);
            put_le32(pair + 4, (u32)(end - first));
            *stored += end - first;
        }
        first = i;
        end = i + 1;
    }
    return 0;
}

struct plain_sums {
    XXH3_state_t *state;
    u64 filled;
    struct buf sums;
};

static int plain_sum(struct plain_sums *s, const u8 *p, u64 n)
{
    while (n) {
        u64 part = min_u64(n, SAVED_SUM - s->filled);
        u8 *to;

        XXH3_64bits_update(s->state, p, part);
        s->filled += part;
        p += part;
        n -= part;
        if (s->filled < SAVED_SUM)
            break;
        if (!(to = buf_room(&s->sums, 8)))
            return -ENOMEM;
        put_le64(to, XXH3_64bits_digest(s->state));
        XXH3_64bits_reset(s->state);
        s->filled = 0;
    }
    return 0;
}

static int plain_data(struct saved_writer *w, const u8 *p, const struct buf *runs,
                      struct plain_sums *s, void (*told)(void *arg, u64 done), void *arg,
                      struct err *e)
{
    u8 *to;

    for (size_t i = 0; i < runs->len; i += 8) {
        u64 at = (u64)le32(runs->p + i) * SAVED_PAGE,
            left = (u64)le32(runs->p + i + 4) * SAVED_PAGE;

        while (left) {
            u64 n = min_u64(left, 16 << 20);
            int r = plain_sum(s, p + at, n) ? err_set(e, -ENOMEM, "out of memory")
                                            : writer_put(w, p + at, n, e);

            if (r)
                return r;
            at += n;
            left -= n;
            if (told)
                told(arg, at);
        }
    }
    if (s->filled) {
        if (!(to = buf_room(&s->sums, 8)))
            return err_set(e, -ENOMEM, "out of memory");
        put_le64(to, XXH3_64bits_digest(s->state));
    }
    return 0;
}

static int plain_memory(struct saved_writer *w, const char *name, const u8 *p, u64 pages,
                        void (*told)(void *arg, u64 done), void *arg, struct err *e)
{
    struct plain_sums s = { .state = XXH3_createState() };
    struct buf runs = { 0 };
    u8 head[16];
    u64 stored = 0, at;
    int r = s.state ? plain_runs(p, pages, &runs, &stored) : -ENOMEM;

    r = r ? err_set(e, r, "out of memory") : writer_align(w, e);
    at = w->at;
    if (!r) {
        XXH3_64bits_reset(s.state);
        r = plain_data(w, p, &runs, &s, told, arg, e);
    }
    if (!r) {
        writer_data(w, name, at);
        put_le64(head, pages);
        put_le64(head + 8, stored);
        r = writer_part(w, name, "plain", head, sizeof(head), e);
    }
    r = r ? r : writer_part(w, name, "runs", runs.p, runs.len, e);
    r = r ? r : writer_part(w, name, "sums", s.sums.p, s.sums.len, e);
    XXH3_freeState(s.state);
    buf_fini(&s.sums);
    buf_fini(&runs);
    return r;
}

/* ---- packed memories ---- */

struct packer {
    struct saved_writer *w;
    u64 mask;   /* of the table of pages seen: a power of two - 1 */
    u32 *table; /* 1 + number of a page in data */
    u32 *place; /* page of the memory that each page in data came from */
    u32 stored;
    u8 *chunk, *out; /* SAVED_CHUNK; room for it compressed */
    u32 filled;
    struct buf chunks;
};

static int packer_flush(struct packer *k, struct err *e)
{
    size_t room = ZSTD_compressBound(SAVED_CHUNK),
           n = ZSTD_compress(k->out, room, k->chunk, k->filled, SAVED_LEVEL);
    u8 *entry;

    if (!k->filled)
        return 0;
    if (ZSTD_isError(n) || !(entry = buf_room(&k->chunks, SAVED_CHUNK_ENTRY)))
        return err_set(e, -ENOMEM, "out of memory");
    put_le32(entry, (u32)n);
    put_le64(entry + 4, XXH3_64bits(k->out, n));
    k->filled = 0;
    return writer_put(k->w, k->out, n, e);
}

/* The number in data, from 1, of a page like this; it is added when it is new. */
static int packer_page(struct packer *k, const u8 *p, u32 page, u32 *number, struct err *e)
{
    const u8 *from = p + (u64)page * SAVED_PAGE;
    u64 slot = XXH3_64bits(from, SAVED_PAGE) & k->mask;

    for (; k->table[slot]; slot = (slot + 1) & k->mask)
        if (!memcmp(p + (u64)k->place[k->table[slot] - 1] * SAVED_PAGE, from, SAVED_PAGE)) {
            *number = k->table[slot];
            return 0;
        }
    k->place[k->stored++] = page;
    k->table[slot] = *number = k->stored;
    memcpy(k->chunk + k->filled, from, SAVED_PAGE);
    k->filled += SAVED_PAGE;
    return k->filled == SAVED_CHUNK ? packer_flush(k, e) : 0;
}

static int packer_map(struct packer *k, const char *name, const u32 *map, u64 pages, struct err *e)
{
    size_t room = ZSTD_compressBound(pages * 4), n;
    u8 *out = malloc(room), head[16];
    int r = out ? 0 : err_set(e, -ENOMEM, "out of memory");

    if (!r) {
        n = ZSTD_compress(out, room, map, pages * 4, SAVED_LEVEL);
        r = ZSTD_isError(n) ? err_set(e, -EIO, "%s", ZSTD_getErrorName(n))
                            : writer_part(k->w, name, "map", out, n, e);
    }
    free(out);
    put_le64(head, pages);
    put_le64(head + 8, k->stored);
    r = r ? r : writer_part(k->w, name, "packed", head, sizeof(head), e);
    return r ? r : writer_part(k->w, name, "chunks", k->chunks.p, k->chunks.len, e);
}

static int packed_memory(struct saved_writer *w, const char *name, const u8 *p, u64 pages,
                         void (*told)(void *arg, u64 done), void *arg, struct err *e)
{
    struct packer k = { .w = w, .mask = 1 };
    u32 *map = malloc(pages * 4);
    u64 at = w->at;
    int r = 0;

    while (k.mask + 1 < pages * 2)
        k.mask = k.mask * 2 + 1;
    k.table = calloc(k.mask + 1, 4);
    k.place = malloc(pages * 4);
    k.chunk = malloc(SAVED_CHUNK);
    k.out = malloc(ZSTD_compressBound(SAVED_CHUNK));
    if (!map || !k.table || !k.place || !k.chunk || !k.out)
        r = err_set(e, -ENOMEM, "out of memory");
    for (u64 i = 0; i < pages && !r; i++) {
        map[i] = 0;
        if (!page_is_zero(p + i * SAVED_PAGE))
            r = packer_page(&k, p, (u32)i, &map[i], e);
        if (told && i % 1024 == 0)
            told(arg, i * SAVED_PAGE);
    }
    r = r ? r : packer_flush(&k, e);
    if (!r) {
        writer_data(w, name, at);
        r = packer_map(&k, name, map, pages, e);
    }
    free(map);
    free(k.table);
    free(k.place);
    free(k.chunk);
    free(k.out);
    buf_fini(&k.chunks);
    return r;
}

int saved_memory(struct saved_writer *w, const char *name, const u8 *p, u64 len, bool packed,
                 void (*told)(void *arg, u64 done), void *arg, struct err *e)
{
    if (len % SAVED_PAGE || len / SAVED_PAGE > SAVED_PAGES)
        return err_set(e, -EINVAL, "%s: %llu bytes of memory", name, (unsigned long long)len);
    return packed ? packed_memory(w, name, p, len / SAVED_PAGE, told, arg, e)
                  : plain_memory(w, name, p, len / SAVED_PAGE, told, arg, e);
}

/* ---- the end ---- */

static int writer_head(struct saved_writer *w, const char *index, size_t n, struct err *e)
{
    u8 head[SAVED_HEAD] = SAVED_MAGIC;
    u64 at = w->at, end;
    int r = writer_put(w, index, n, e);

    end = w->at;
    put_le32(head + 8, SAVED_VERSION);
    put_le64(head + 16, end);
    put_le64(head + 24, at);
    put_le64(head + 32, n);
    put_le64(head + 40, XXH3_64bits(index, n));
    put_le64(head + 56, XXH3_64bits(head, 56));
    w->at = 0;
    r = r ? r : writer_put(w, head, sizeof(head), e);
    w->at = end;
    return r;
}

/* The name, for a file without one or with another one; never in place of another file. */
static int writer_name(struct saved_writer *w, struct err *e)
{
    char *slash = strrchr(w->path, '/'), dir[4096], self[40];
    int d, r;

    snprintf(self, sizeof(self), "/proc/self/fd/%d", w->fd);
    r = w->tmp[0] ? link(w->tmp, w->path)
                  : linkat(AT_FDCWD, self, AT_FDCWD, w->path, AT_SYMLINK_FOLLOW);
    if (r)
        return writer_fail(w, -errno, e);
    snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - w->path) + 1 : 1,
             slash ? w->path : ".");
    d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d >= 0) {
        fsync(d);
        close(d);
    }
    return 0;
}

int saved_commit(struct saved_writer *w, u64 *size, struct err *e)
{
    json_t *index = json_pack("{s:O}", "sections", w->sections);
    char *text = json_dumps(index, JSON_COMPACT);
    int r = text ? writer_head(w, text, strlen(text), e) : err_set(e, -ENOMEM, "out of memory");

    json_decref(index);
    free(text);
    if (!r && fdatasync(w->fd))
        r = writer_fail(w, -errno, e);
    r = r ? r : writer_name(w, e);
    *size = w->at;
    saved_abort(w); /* only the other name is left to remove */
    return r;
}
