/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the file of a saved VM.  Nothing of it is believed before its sum was right and
 * its numbers fit: small sections are copied and the copy is checked; memories are checked in
 * the file, by several threads, and then mapped or unpacked.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "vm/saved_int.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

enum { SAVED_THREADS = 8, SAVED_SMALL = 1 << 30 };

struct saved_part {
    char name[SAVED_NAME];
    u64 at, len, sum;
    u8 *copy; /* NULL: data of a memory */
};
struct saved {
    int fd;
    char path[4096];
    u64 size;
    const u8 *map; /* all of the file */
    struct saved_part part[SAVED_SECTIONS];
    u32 nparts;
    bool trusted; /* the sums of memories were right before */
};

const char *saved_path(const struct saved *s)
{
    return s->path;
}

static const struct saved_part *saved_part(const struct saved *s, const char *name,
                                           const char *part)
{
    char full[SAVED_NAME];

    snprintf(full, sizeof(full), "%s%s%s", name, *part ? "." : "", part);
    for (u32 i = 0; i < s->nparts; i++)
        if (!strcmp(s->part[i].name, full))
            return &s->part[i];
    return NULL;
}

/* ---- head, index, sections ---- */

static int saved_damaged(const struct saved *s, const char *what, struct err *e)
{
    return err_set(e, -EBADMSG, "%s: is damaged: %s", s->path, what);
}

static int saved_head(struct saved *s, u64 *at, u64 *len, struct err *e)
{
    const u8 *h = s->map;

    if (s->size < SAVED_PAGE || memcmp(h, SAVED_MAGIC, 8))
        return err_set(e, -EINVAL, "%s: is not a saved VM", s->path);
    if (le64(h + 56) != XXH3_64bits(h, 56))
        return saved_damaged(s, "its head has another checksum", e);
    if (le32(h + 8) != SAVED_VERSION)
        return err_set(e, -EOPNOTSUPP, "%s: version %u of the file, this program knows %d", s->path,
                       le32(h + 8), SAVED_VERSION);
    if (le64(h + 16) > s->size)
        return saved_damaged(s, "it is cut short", e);
    *at = le64(h + 24);
    *len = le64(h + 32);
    if (le64(h + 16) != s->size || !range_ok(*at, *len, s->size) || *len > SAVED_INDEX_MAX)
        return saved_damaged(s, "its parts are not where they should be", e);
    if (XXH3_64bits(h + *at, *len) != le64(h + 40))
        return saved_damaged(s, "its index has another checksum", e);
    return 0;
}

static int saved_index_one(struct saved *s, const json_t *o, struct err *e)
{
    struct saved_part *p = &s->part[s->nparts];
    const char *name = json_string_value(json_object_get(o, "name")),
               *sum = json_string_value(json_object_get(o, "sum"));
    json_int_t at = json_integer_value(json_object_get(o, "at")),
               len = json_integer_value(json_object_get(o, "length"));

    if (s->nparts == SAVED_SECTIONS || !name || strlen(name) >= sizeof(p->name) || !sum || at < 0 ||
        len < 0 || !range_ok((u64)at, (u64)len, s->size))
        return saved_damaged(s, "its index makes no sense", e);
    snprintf(p->name, sizeof(p->name), "%s", name);
    p->at = (u64)at;
    p->len = (u64)len;
    p->sum = strtoull(sum, NULL, 16);
    s->nparts++;
    return 0;
}

/* Parts follow each other in the file; what is between them is nothing. */
static int saved_gaps(const struct saved *s, u64 index_at, struct err *e)
{
    u64 at = SAVED_HEAD;

    for (u32 i = 0; i <= s->nparts; i++) {
        u64 to = i < s->nparts ? s->part[i].at : index_at;

        if (to < at || to - at >= SAVED_PAGE)
            return saved_damaged(s, "its parts are not where they should be", e);
        for (; at < to; at++)
            if (s->map[at])
                return saved_damaged(s, "there is something between its parts", e);
        at = i < s->nparts ? to + s->part[i].len : to;
    }
    return 0;
}

static int saved_copy(struct saved *s, struct saved_part *p, struct err *e)
{
    size_t n = strlen(p->name);

    if (n > 5 && !strcmp(p->name + n - 5, ".data"))
        return 0;
    if (p->len > SAVED_SMALL)
        return saved_damaged(s, "its index makes no sense", e);
    p->copy = malloc(p->len + 1);
    if (!p->copy)
        return err_set(e, -ENOMEM, "out of memory");
    memcpy(p->copy, s->map + p->at, p->len);
    if (XXH3_64bits(p->copy, p->len) != p->sum)
        return err_set(e, -EBADMSG, "%s: is damaged: \"%s\" has another checksum", s->path,
                       p->name);
    return 0;
}

static int saved_index(struct saved *s, struct err *e)
{
    const json_t *o;
    json_t *index;
    u64 at = 0, len = 0;
    size_t i;
    int r = saved_head(s, &at, &len, e);

    if (r)
        return r;
    index = json_loadb((const char *)s->map + at, len, 0, NULL);
    json_array_foreach(json_object_get(index, "sections"), i,
                       o) if ((r = saved_index_one(s, o, e))) break;
    json_decref(index);
    r = r ? r : saved_gaps(s, at, e);
    for (u32 k = 0; k < s->nparts && !r; k++)
        r = saved_copy(s, &s->part[k], e);
    return r;
}

/* ---- what was checked before ---- */

/*
 * A file that was read once and found whole is not read again until it changes or the host
 * starts anew: a note on it says so.  Without room for notes it is read each time.  Times of
 * files are coarse: one that was written a moment ago may be written again unnoticed.
 */
#define SAVED_NOTE "user.mimic.whole"
enum { SAVED_MOMENT_S = 2 };

static bool saved_note_text(const struct saved *s, char *text, size_t room)
{
    char boot[64] = "";
    struct stat st;
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    bool good = f && fgets(boot, sizeof(boot), f) && !fstat(s->fd, &st);

    if (f)
        fclose(f);
    good = good && st.st_mtim.tv_sec + SAVED_MOMENT_S < time(NULL);
    if (good)
        snprintf(text, room, "%lld %lld.%09ld %s", (long long)st.st_size,
                 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, boot);
    return good;
}

static bool saved_was_whole(const struct saved *s)
{
    char want[160], have[160] = "";

    return saved_note_text(s, want, sizeof(want)) &&
           fgetxattr(s->fd, SAVED_NOTE, have, sizeof(have) - 1) > 0 && !strcmp(have, want);
}

void saved_note_whole(const struct saved *s)
{
    char text[160];

    if (!s->trusted && saved_note_text(s, text, sizeof(text)) &&
        fsetxattr(s->fd, SAVED_NOTE, text, strlen(text), 0))
        log_debug("%s: cannot be marked as whole: %s", s->path, strerror(errno));
}

/* ---- open, close ---- */

static int saved_map(struct saved *s, struct err *e)
{
    struct stat st;

    s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0 || fstat(s->fd, &st))
        return err_set(e, -errno, "%s: %s", s->path, strerror(errno));
    if (!S_ISREG(st.st_mode) || !st.st_size)
        return err_set(e, -EINVAL, "%s: is not a saved VM", s->path);
    s->size = (u64)st.st_size;
    s->map = mmap(NULL, s->size, PROT_READ, MAP_SHARED, s->fd, 0);
    if (s->map == MAP_FAILED) {
        s->map = NULL;
        return err_set(e, -errno, "%s: %s", s->path, strerror(errno));
    }
    return 0;
}

int saved_open(struct saved **out, const char *path, struct err *e)
{
    struct saved *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_set(e, -ENOMEM, "out of memory");
    s->fd = -1;
    r = snprintf(s->path, sizeof(s->path), "%s", path) < (int)sizeof(s->path)
            ? saved_map(s, e)
            : err_set(e, -ENAMETOOLONG, "%s: too long a name", path);
    r = r ? r : saved_index(s, e);
    s->trusted = !r && saved_was_whole(s);
    if (r) {
        saved_close(s);
        return r;
    }
    *out = s;
    return 0;
}

void saved_forget(struct saved *s)
{
    for (u32 i = 0; i < s->nparts; i++) {
        free(s->part[i].copy);
        s->part[i].copy = NULL;
    }
}

void saved_close(struct saved *s)
{
    if (!s)
        return;
    saved_forget(s);
    if (s->map)
        munmap((void *)(uintptr_t)s->map, s->size);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

static int saved_get_part(const struct saved *s, const char *name, const char *part,
                          struct span *to, struct err *e)
{
    const struct saved_part *p = saved_part(s, name, part);

    if (!p || !p->copy)
        return err_set(e, -EBADMSG, "%s: is damaged: it has no \"%s%s%s\"", s->path, name,
                       *part ? "." : "", part);
    *to = (struct span){ p->copy, p->len };
    return 0;
}

bool saved_has(const struct saved *s, const char *name)
{
    return saved_part(s, name, "");
}

int saved_get(const struct saved *s, const char *name, struct span *to, struct err *e)
{
    return saved_get_part(s, name, "", to, e);
}

/* ---- work for several threads: pieces by number, the first fault counts ---- */

struct saved_work {
    bool (*one)(void *arg, u64 i);
    void *arg;
    u64 n;
    _Atomic u64 next;
    atomic_bool bad;
};

static void *saved_worker(void *arg)
{
    struct saved_work *w = arg;
    u64 i;

    while (!atomic_load(&w->bad) && (i = atomic_fetch_add(&w->next, 1)) < w->n)
        if (!w->one(w->arg, i))
            atomic_store(&w->bad, true);
    return NULL;
}

static bool saved_each(u64 n, bool (*one)(void *arg, u64 i), void *arg)
{
    struct saved_work w = { .one = one, .arg = arg, .n = n };
    pthread_t thread[SAVED_THREADS];
    u64 cores = (u64)sysconf(_SC_NPROCESSORS_ONLN),
        want = min_u64(min_u64(cores, n), SAVED_THREADS);
    u32 made = 0;

    while (made + 1 < want && !pthread_create(&thread[made], NULL, saved_worker, &w))
        made++;
    saved_worker(&w);
    while (made)
        pthread_join(thread[--made], NULL);
    return !atomic_load(&w.bad);
}

/* ---- memories ---- */

struct load {
    const struct saved *s;
    const char *name;
    u8 *p; /* NULL: only checked */
    u64 pages, stored;
    const struct saved_part *data;
    struct span sums, runs, chunks;
    u32 *map; /* packed: for each page */
    u64 *chunk_at;
    const u32 *of; /* packed: pages sorted by their number in data, see packed_sort */
    u32 *from;     /* first place in of[] for each number */
};

static int load_damaged(const struct load *l, struct err *e)
{
    return err_set(e, -EBADMSG, "%s: is damaged: memory \"%s\" has another checksum", l->s->path,
                   l->name);
}

static int load_sizes(struct load *l, const char *kind, u64 len, struct err *e)
{
    struct span head;
    int r = saved_get_part(l->s, l->name, kind, &head, e);

    if (r)
        return r;
    l->data = saved_part(l->s, l->name, "data");
    if (head.len != sizeof(struct saved_memory) || !l->data)
        return saved_damaged(l->s, "a memory makes no sense", e);
    l->pages = le64(head.p);
    l->stored = le64(head.p + 8);
    if (l->pages > SAVED_PAGES || l->stored > l->pages)
        return saved_damaged(l->s, "a memory makes no sense", e);
    if (len && l->pages != len / SAVED_PAGE)
        return err_set(e, -EINVAL, "%s: memory \"%s\" has %llu KiB there and %llu KiB here",
                       l->s->path, l->name, (unsigned long long)l->pages * 4,
                       (unsigned long long)len >> 10);
    return 0;
}

static bool plain_one(void *arg, u64 i)
{
    struct load *l = arg;
    const u8 *from = l->s->map + l->data->at + i * SAVED_SUM;
    u64 n = min_u64(SAVED_SUM, l->data->len - i * SAVED_SUM);

#ifdef MADV_POPULATE_READ
    madvise((void *)(uintptr_t)from, n, MADV_POPULATE_READ);
#endif
    return XXH3_64bits(from, n) == le64(l->sums.p + 8 * i);
}

static int plain_runs(const struct load *l, struct err *e)
{
    u64 at = 0, stored = 0;

    for (size_t i = 0; i < l->runs.len; i += 8) {
        u64 first = le32(l->runs.p + i), n = le32(l->runs.p + i + 4);

        if (first < at || !n || !range_ok(first, n, l->pages))
            return saved_damaged(l->s, "a memory makes no sense", e);
        at = first + n;
        stored += n;
    }
    if (stored != l->stored)
        return saved_damaged(l->s, "a memory makes no sense", e);
    return 0;
}

/* Memory that was never used is zero and is not to be used by this. */
static void load_zero(u8 *p, u64 n)
{
    for (; n; p += SAVED_PAGE, n -= SAVED_PAGE)
        if (p[0] || memcmp(p, p + 1, SAVED_PAGE - 1))
            memset(p, 0, SAVED_PAGE);
}

static int plain_put(const struct load *l, const struct saved_map *map, struct err *e)
{
    u64 from = l->data->at, at = 0;
    int r;

    for (size_t i = 0; i < l->runs.len; i += 8) {
        u64 first = le32(l->runs.p + i) * (u64)SAVED_PAGE,
            n = le32(l->runs.p + i + 4) * (u64)SAVED_PAGE;

        if (!map) {
            load_zero(l->p + at, first - at);
            memcpy(l->p + first, l->s->map + from, n);
        } else if ((r = map->one(map->arg, first, n, l->s->fd, from, e))) {
            return err_in(e, "%s: ", l->s->path), r;
        }
        from += n;
        at = first + n;
    }
    if (!map)
        load_zero(l->p + at, l->pages * SAVED_PAGE - at);
    return 0;
}

static int plain_load(struct load *l, u64 len, const struct saved_map *map, struct err *e)
{
    int r = load_sizes(l, "plain", len, e);

    r = r ? r : saved_get_part(l->s, l->name, "runs", &l->runs, e);
    r = r ? r : saved_get_part(l->s, l->name, "sums", &l->sums, e);
    if (r)
        return r;
    if (l->runs.len % 8 || l->data->at % SAVED_PAGE || l->data->len != l->stored * SAVED_PAGE ||
        l->sums.len != (l->data->len + SAVED_SUM - 1) / SAVED_SUM * 8)
        return saved_damaged(l->s, "a memory makes no sense", e);
    r = plain_runs(l, e);
    if (r)
        return r;
    if (!l->s->trusted && !saved_each(l->sums.len / 8, plain_one, l))
        return load_damaged(l, e);
    return l->p ? plain_put(l, map, e) : 0;
}

/* Where each chunk begins. */
static int packed_chunks(struct load *l, struct err *e)
{
    u64 n = l->chunks.len / SAVED_CHUNK_ENTRY, at = 0;

    if (l->chunks.len % SAVED_CHUNK_ENTRY ||
        n != (l->stored * SAVED_PAGE + SAVED_CHUNK - 1) / SAVED_CHUNK)
        return saved_damaged(l->s, "a memory makes no sense", e);
    l->chunk_at = malloc((n + 1) * 8);
    if (!l->chunk_at)
        return err_set(e, -ENOMEM, "out of memory");
    for (u64 i = 0; i < n; i++) {
        l->chunk_at[i] = at;
        at += le32(l->chunks.p + i * SAVED_CHUNK_ENTRY);
    }
    return at == l->data->len ? 0 : saved_damaged(l->s, "a memory makes no sense", e);
}

/* Which pages want which page of data: places by counting. */
static int packed_sort(struct load *l, struct err *e)
{
    u32 *of = malloc(l->pages * 4 + 4);

    l->from = calloc(l->stored + 2, 4);
    l->of = of;
    if (!of || !l->from)
        return err_set(e, -ENOMEM, "out of memory");
    for (u64 i = 0; i < l->pages; i++) {
        if (l->map[i] > l->stored)
            return saved_damaged(l->s, "a memory makes no sense", e);
        l->from[l->map[i] + 1]++;
    }
    for (u64 i = 1; i <= l->stored + 1; i++)
        l->from[i] += l->from[i - 1];
    for (u64 i = 0; i < l->pages; i++)
        of[l->from[l->map[i]]++] = (u32)i;
    for (u64 i = l->stored + 1; i; i--)
        l->from[i] = l->from[i - 1];
    l->from[0] = 0;
    return 0;
}

static int packed_map(struct load *l, struct err *e)
{
    struct span packed;
    int r = saved_get_part(l->s, l->name, "map", &packed, e);
    size_t n;

    if (r)
        return r;
    l->map = malloc(l->pages * 4 + 4);
    if (!l->map)
        return err_set(e, -ENOMEM, "out of memory");
    n = ZSTD_decompress(l->map, l->pages * 4, packed.p, packed.len);
    if (ZSTD_isError(n) || n != l->pages * 4)
        return saved_damaged(l->s, "a memory makes no sense", e);
    return packed_sort(l, e);
}

static bool packed_one(void *arg, u64 i)
{
    struct load *l = arg;
    const u8 *entry = l->chunks.p + i * SAVED_CHUNK_ENTRY,
             *from = l->s->map + l->data->at + l->chunk_at[i];
    u64 first = i * (SAVED_CHUNK / SAVED_PAGE),
        n = min_u64(SAVED_CHUNK / SAVED_PAGE, l->stored - first);
    u8 *chunk; /* not of the thread: every thread of the program would have it */
    bool good;

    if (XXH3_64bits(from, le32(entry)) != le64(entry + 4))
        return false;
    if (!l->p)
        return true;
    chunk = malloc(SAVED_CHUNK);
    good = chunk && ZSTD_decompress(chunk, SAVED_CHUNK, from, le32(entry)) == n * SAVED_PAGE;
    for (u64 k = 0; good && k < n; k++)
        for (u32 at = l->from[first + k + 1]; at < l->from[first + k + 2]; at++)
            memcpy(l->p + (u64)l->of[at] * SAVED_PAGE, chunk + k * SAVED_PAGE, SAVED_PAGE);
    free(chunk);
    return good;
}

static int packed_load(struct load *l, u64 len, bool zero, struct err *e)
{
    int r = load_sizes(l, "packed", len, e);

    r = r ? r : saved_get_part(l->s, l->name, "chunks", &l->chunks, e);
    r = r ? r : packed_chunks(l, e);
    r = r ? r : packed_map(l, e);
    if (!r && l->p && !zero)
        for (u32 at = l->from[0]; at < l->from[1]; at++)
            load_zero(l->p + (u64)l->of[at] * SAVED_PAGE, SAVED_PAGE);
    if (!r && !saved_each(l->chunks.len / SAVED_CHUNK_ENTRY, packed_one, l))
        r = load_damaged(l, e);
    free(l->map);
    free(l->chunk_at);
    free((void *)(uintptr_t)l->of);
    free(l->from);
    return r;
}

int saved_load(const struct saved *s, const char *name, u8 *p, u64 len, const struct saved_map *map,
               struct err *e)
{
    struct load l = { .s = s, .name = name, .p = p };

    return saved_part(s, name, "packed") ? packed_load(&l, len, map, e)
                                         : plain_load(&l, len, map, e);
}

int saved_check(struct saved *s, struct err *e)
{
    int r = 0;

    s->trusted = false;

    for (u32 i = 0; i < s->nparts && !r; i++) {
        char name[SAVED_NAME];
        size_t n = strlen(s->part[i].name);

        if (n <= 5 || strcmp(s->part[i].name + n - 5, ".data"))
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)(n - 5), s->part[i].name);
        r = saved_load(s, name, NULL, 0, NULL, e);
    }
    if (!r)
        saved_note_whole(s);
    return r;
}
