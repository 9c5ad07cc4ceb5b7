/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Translated code kept for the next run of the same VM: the file "translated" in its state
 * directory.
 *
 * A record is one block: the guest bytes that its translation came from (whole 64-byte lines of
 * its page, and nothing of the guest outside them had a part in it), its mode and pc, and the
 * host code as it was written, before anything was linked.  It is used again where the very
 * same bytes are met in the same mode at the same pc: compared, not hashed, so no program in the guest can make
 * another's code.  Only two things in it depend on where it stands: calls of the fixed code,
 * and the number of the block behind calls of C; they are listed and set anew.
 *
 * Trust: a file that somebody else could have written is not read (regular, ours, writable by
 * us alone, and so its directory): who may write it may write the VM's disks and mimic's own
 * files as well.  A digest of each record and one of the table guard against damage.  The
 * head names the very program and processor that made it: any other's is ignored.  Records are
 * read into memory, checked there and used from there, so a file that changes meanwhile does
 * no harm.
 */
#include "engine/translate/keep.h"
#include <Zydis/Zydis.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define KEEP_MAGIC 0x31656d6f48636d4dull
#define KEEP_SIZE (128ull << 20) /* of the file, at most */
#define KEEP_NAME "translated"
enum { KEEP_UNIT = 16, KEEP_BUFFER = 128 << 10, KEEP_FIRST = 2048, KEEP_PROBES = 32 };
/* An entry of the table: 32 bits of the key, these, and the place in units. */
#define KEEP_NEW (1ull << 31) /* in the log, else in the file */
#define KEEP_USED (1ull << 30)
#define KEEP_PLACE ((1ull << 30) - 1)

struct keep_head {
    u64 magic, identity, size; /* size: of the file */
    u64 records, digest;       /* digest: of the table */
    u64 slots;
    u64 self; /* digest of what is before it */
    u64 pad;
};

struct keep {
    int dir, old, log; /* log: of this run, without a name */
    u64 identity, old_end, log_end;
    u64 *table; /* open addressing; 0: free */
    u64 slots, n;
    bool full; /* nothing more is written */
    u8 *out;   /* the end of the log, not yet written */
    u32 nout;
    u8 *ahead; /* a piece of the file: records lie in the order in which a start needs them */
    u64 ahead_at, nahead;
    u64 used, added, saved; /* saved: what `added` was */
    u8 record[KEEP_RECORD_MAX];
};

/* ---- numbers ---- */

static u64 keep_mix(u64 h, u64 v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15ull;
    return h ^ h >> 29;
}

/* Against damage only; general registers only. */
static u64 keep_digest(const void *p, u64 n)
{
    const u8 *at = p;
    u64 a = n, b = ~n, v;

    for (; n >= 16; n -= 16, at += 16) {
        __builtin_memcpy(&v, at, 8);
        a = keep_mix(a, v);
        __builtin_memcpy(&v, at + 8, 8);
        b = keep_mix(b, v);
    }
    return keep_mix(a, b) | 1;
}

static int keep_segment(struct dl_phdr_info *i, size_t size, void *arg)
{
    u64 *id = arg;

    (void)size;
    for (u32 k = 0; k < i->dlpi_phnum; k++)
        if (i->dlpi_phdr[k].p_type == PT_LOAD && !(i->dlpi_phdr[k].p_flags & PF_W))
            *id = keep_mix(*id, XXH3_64bits((const void *)(i->dlpi_addr + i->dlpi_phdr[k].p_vaddr),
                                            i->dlpi_phdr[k].p_memsz));
    return 1; /* the program comes first */
}

/* The program, the decoder's library, the processor, and what the engine was told. */
static u64 keep_identity(const struct engine *g)
{
    static const u32 leaf[][2] = { { 0, 0 },  { 7, 0 },  { 7, 1 },
                                   { 13, 0 }, { 13, 1 }, { 0x80000001, 0 } };
    u64 id = keep_mix(KEEP_MAGIC, sizeof(struct vcpu));
    u32 r[4] = { 0 };

    dl_iterate_phdr(keep_segment, &id);
    id = keep_mix(id, ZydisGetVersion());
    for (u32 i = 0; i < LEN(leaf); i++) {
        __get_cpuid_count(leaf[i][0], leaf[i][1], &r[0], &r[1], &r[2], &r[3]);
        for (u32 k = 0; k < 4; k++)
            id = keep_mix(id, r[k]);
    }
    __get_cpuid(1, &r[0], &r[1], &r[2], &r[3]);
    id = keep_mix(keep_mix(id, r[0]), (u64)r[2] << 32 | r[3]);
    id = keep_mix(id, g->start);
    return keep_mix(id, (u64)g->options.no_direct << 1 | g->options.no_traces);
}

/* ---- the table ---- */

static u64 *keep_map(u64 n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static void keep_put(u64 *table, u64 slots, u64 key, u64 entry)
{
    u64 at = key & (slots - 1);

    while (table[at])
        at = (at + 1) & (slots - 1);
    table[at] = entry;
}

/* The key's low bits are not in the table: a bigger one is made from the records. */
static bool keep_grow(struct keep *k);

static bool keep_room(struct keep *k)
{
    return 2 * (k->n + 1) < k->slots || keep_grow(k);
}

static int keep_read(const struct keep *k, u64 entry, void *to, u64 n)
{
    u64 at = (entry & KEEP_PLACE) * KEEP_UNIT, end = entry & KEEP_NEW ? k->log_end : k->old_end;

    if (at > end || n > end - at)
        return -EBADMSG;
    if (!(entry & KEEP_NEW) || at < k->log_end - k->nout) {
        ssize_t got = pread(entry & KEEP_NEW ? k->log : k->old, to, n, (off_t)at);

        return got == (ssize_t)n ? 0 : -EIO;
    }
    __builtin_memcpy(to, k->out + (at - (k->log_end - k->nout)), n);
    return 0;
}

static u64 keep_record_digest(struct kept *r)
{
    u64 was = r->digest, d;

    r->digest = 0;
    d = keep_digest(r, r->size);
    r->digest = was;
    return d;
}

/* From what was read ahead.  A miss just behind it reads the next piece. */
static bool keep_ahead(struct keep *k, u64 at, struct kept *r)
{
    u64 next = k->ahead_at + k->nahead, left;
    u32 size;

    if (at < k->ahead_at || at > next + KEEP_BUFFER || at >= k->old_end)
        return false;
    if (at + sizeof(*r) > next || at + KEEP_FIRST > next) {
        ssize_t got = pread(k->old, k->ahead, min_u64(KEEP_BUFFER, k->old_end - at), (off_t)at);

        k->ahead_at = at;
        k->nahead = got > 0 ? (u64)got : 0;
    }
    left = k->ahead_at + k->nahead - at;
    if (left < sizeof(*r))
        return false;
    __builtin_memcpy(&size, k->ahead + (at - k->ahead_at) + offsetof(struct kept, size), 4);
    if (size < sizeof(*r) || size > left || size > sizeof(k->record) || size % KEEP_UNIT)
        return false;
    __builtin_memcpy(r, k->ahead + (at - k->ahead_at), size);
    return r->size == size;
}

/* A record of its own size: most with one read. */
static bool keep_read_record(struct keep *k, u64 entry, struct kept *r)
{
    u64 at = (entry & KEEP_PLACE) * KEEP_UNIT, flushed = k->log_end - k->nout;
    u64 end = !(entry & KEEP_NEW) ? k->old_end : at < flushed ? flushed : k->log_end;
    u64 first = at < end ? min_u64(end - at, KEEP_FIRST) : 0;

    if (!(entry & KEEP_NEW) && keep_ahead(k, at, r))
        return true;
    if (first < sizeof(*r) || keep_read(k, entry, r, first) || r->size < sizeof(*r) ||
        r->size > sizeof(k->record) || r->size % KEEP_UNIT)
        return false;
    return r->size <= first || !keep_read(k, entry, r, r->size);
}

static bool keep_grow(struct keep *k)
{
    u64 slots = k->slots * 2, *bigger = keep_map(slots * sizeof(*bigger));
    struct kept r;

    if (!bigger)
        return false;
    for (u64 i = 0; i < k->slots; i++)
        if (k->table[i] && !keep_read(k, k->table[i], &r, sizeof(r)))
            keep_put(bigger, slots, r.key, k->table[i]);
    munmap(k->table, k->slots * sizeof(*k->table));
    k->table = bigger;
    k->slots = slots;
    return true;
}

/* ---- looking up ---- */

u64 keep_key(const u8 *page, u32 off, u64 pc, u32 mode)
{
    u64 first = 0, h = keep_mix(pc, (u64)mode << 12 | off);

    for (u32 i = 0; i < 8 && off + i < PAGE; i++)
        first |= (u64)page[off + i] << 8 * i;
    return keep_mix(keep_mix(h, first), 0x5bd1e995);
}

static bool keep_same(const struct kept *r, const u8 *source, const u8 *page)
{
    for (u64 left = r->lines; left; left &= left - 1) {
        const u8 *line = page + 64 * __builtin_ctzll(left);

        for (u32 i = 0; i < 64; i += 8) {
            u64 a, b;

            __builtin_memcpy(&a, source + i, 8);
            __builtin_memcpy(&b, line + i, 8);
            if (a != b)
                return false;
        }
        source += 64;
    }
    return true;
}

struct kept *keep_find(struct keep *k, u64 key, const u8 *page, u32 off, u64 pc, u32 mode)
{
    u64 at = key & (k->slots - 1);
    struct kept *r = (struct kept *)(void *)k->record;

    for (u32 i = 0; i < KEEP_PROBES && k->table[at]; i++, at = (at + 1) & (k->slots - 1)) {
        u64 entry = k->table[at];

        if ((entry ^ key) >> 32)
            continue;
        if (!keep_read_record(k, entry, r) || r->key != key || r->pc != pc || r->mode != mode ||
            r->off != off || r->digest != keep_record_digest(r) || !kept_is_sound(r) ||
            !keep_same(r, (const u8 *)(r + 1), page))
            continue;
        k->table[at] |= KEEP_USED;
        k->used++;
        return r;
    }
    return NULL;
}

/* ---- the log ---- */

static bool keep_flush(struct keep *k)
{
    if (k->nout &&
        pwrite(k->log, k->out, k->nout, (off_t)(k->log_end - k->nout)) != (ssize_t)k->nout)
        k->full = true; /* what was to be written is lost, so nothing there may be found */
    if (k->full)
        k->log_end -= k->nout;
    k->nout = 0;
    return !k->full;
}

struct kept *keep_new(struct keep *k)
{
    return k->full || k->log_end > KEEP_SIZE ? NULL : (struct kept *)(void *)k->record;
}

void keep_add(struct keep *k, struct kept *r)
{
    if (k->nout + r->size > KEEP_BUFFER && !keep_flush(k))
        return;
    if (!keep_room(k))
        return;
    r->digest = keep_record_digest(r);
    __builtin_memcpy(k->out + k->nout, r, r->size);
    keep_put(k->table, k->slots, r->key,
             (r->key >> 32 << 32) | KEEP_NEW | KEEP_USED | k->log_end / KEEP_UNIT);
    k->nout += r->size;
    k->log_end += r->size;
    k->n++;
    k->added++;
}

/* ---- opening ---- */

/* Could only we have written it? */
static bool keep_ours(int fd, bool dir)
{
    struct stat s;

    return !fstat(fd, &s) && (dir ? S_ISDIR(s.st_mode) : S_ISREG(s.st_mode)) &&
           s.st_uid == geteuid() && !(s.st_mode & 022);
}

static u64 keep_head_digest(const struct keep_head *h)
{
    return keep_digest(h, offsetof(struct keep_head, self) & ~15ull);
}

/* The file's table, when it is whole and made for us. */
static void keep_load(struct keep *k)
{
    struct keep_head h;
    struct stat s;
    u64 bytes;

    k->old = openat(k->dir, KEEP_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (k->old < 0 || !keep_ours(k->old, false) || fstat(k->old, &s) ||
        pread(k->old, &h, sizeof(h), 0) != sizeof(h) || h.magic != KEEP_MAGIC ||
        h.self != keep_head_digest(&h) || h.identity != k->identity || h.size != (u64)s.st_size ||
        h.size > 2 * KEEP_SIZE || h.slots & (h.slots - 1) || h.slots < 1024 ||
        h.slots > h.size / sizeof(u64) || h.records > h.slots / 2)
        return;
    bytes = h.slots * sizeof(u64);
    if (h.size < sizeof(h) + bytes)
        return;
    k->table = keep_map(bytes);
    if (!k->table)
        return;
    if (pread(k->old, k->table, bytes, (off_t)(h.size - bytes)) != (ssize_t)bytes ||
        keep_digest(k->table, bytes) != h.digest) {
        munmap(k->table, bytes);
        k->table = NULL;
        return;
    }
    k->slots = h.slots;
    k->old_end = h.size - bytes;
    for (u64 i = 0; i < k->slots; i++) {
        k->table[i] &= ~(KEEP_NEW | KEEP_USED);
        k->n += k->table[i] != 0;
    }
    posix_fadvise(k->old, 0, (off_t)k->old_end, POSIX_FADV_WILLNEED);
}

/* Without a name: gone when we are. */
static int keep_log(int dir)
{
    int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0)
        return fd;
    unlinkat(dir, KEEP_NAME ".log", 0);
    fd = openat(dir, KEEP_NAME ".log", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        unlinkat(dir, KEEP_NAME ".log", 0);
    return fd;
}

struct keep *keep_open(const struct engine *g)
{
    const struct engine_options *o = &g->options;
    struct keep *k;

    if (!o->keep || o->check || !keep_ours(o->keep_dir, true))
        return NULL;
    k = calloc(1, sizeof(*k));
    if (!k)
        return NULL;
    k->dir = fcntl(o->keep_dir, F_DUPFD_CLOEXEC, 3);
    k->identity = keep_identity(g);
    k->out = malloc(KEEP_BUFFER);
    k->ahead = malloc(KEEP_BUFFER);
    k->log = keep_log(k->dir);
    keep_load(k);
    if (!k->table) {
        k->n = 0;
        k->slots = 1 << 16;
        k->table = keep_map(k->slots * sizeof(*k->table));
    }
    if (!k->out || !k->ahead || k->log < 0 || !k->table) {
        keep_close(k);
        return NULL;
    }
    return k;
}

void keep_close(struct keep *k)
{
    if (!k)
        return;
    if (k->old >= 0)
        close(k->old);
    if (k->log >= 0)
        close(k->log);
    if (k->dir >= 0)
        close(k->dir);
    if (k->table)
        munmap(k->table, k->slots * sizeof(*k->table));
    free(k->out);
    free(k->ahead);
    free(k);
}

u64 keep_unsaved(const struct keep *k)
{
    return k->added - k->saved;
}

void keep_stats(const struct keep *k, struct keep_counts *c)
{
    *c = (struct keep_counts){ .there = k->n, .used = k->used, .added = k->added };
}

/* ---- writing ---- */

struct keep_writer {
    int fd;
    u64 end, n, slots, *table;
    u32 nout;
    u8 *out;
    bool bad;
};

static void keep_write_out(struct keep_writer *w)
{
    w->bad = w->bad || write(w->fd, w->out, w->nout) != (ssize_t)w->nout;
    w->nout = 0;
}

static void keep_write(struct keep_writer *w, const void *p, u64 n)
{
    const u8 *from = p;

    while (n && !w->bad) {
        u64 part = min_u64(n, KEEP_BUFFER - w->nout);

        memcpy(w->out + w->nout, from, part);
        w->nout += (u32)part;
        w->end += part;
        from += part;
        n -= part;
        if (w->nout == KEEP_BUFFER)
            keep_write_out(w);
    }
}

static int keep_order(const void *a, const void *b)
{
    u64 x = *(const u64 *)a & (KEEP_NEW | KEEP_PLACE),
        y = *(const u64 *)b & (KEEP_NEW | KEEP_PLACE);

    return x < y ? -1 : x > y;
}

/* The records to be kept, in the order they lie in: all, or those that this run met. */
static u64 keep_choose(const struct keep *k, u64 *list)
{
    bool all = k->old_end + k->log_end < KEEP_SIZE;
    u64 n = 0;

    for (u64 i = 0; i < k->slots; i++)
        if (k->table[i] && (all || k->table[i] & KEEP_USED))
            list[n++] = k->table[i];
    qsort(list, n, sizeof(*list), keep_order);
    return n;
}

static void keep_write_records(struct keep *k, struct keep_writer *w, const u64 *list, u64 n)
{
    struct kept *r = (struct kept *)(void *)k->record;

    for (u64 i = 0; i < n && !w->bad && w->end < KEEP_SIZE; i++) {
        u64 at = w->end;

        if (!keep_read_record(k, list[i], r))
            continue;
        keep_write(w, r, r->size);
        keep_put(w->table, w->slots, r->key, (r->key >> 32 << 32) | at / KEEP_UNIT);
        w->n++;
    }
}

static bool keep_write_all(struct keep *k, struct keep_writer *w, u64 *list)
{
    struct keep_head h = { .magic = KEEP_MAGIC, .identity = k->identity };
    u64 n = keep_choose(k, list);

    keep_write(w, &h, sizeof(h));
    keep_write_records(k, w, list, n);
    h.slots = w->slots;
    h.records = w->n;
    h.digest = keep_digest(w->table, w->slots * sizeof(u64));
    keep_write(w, w->table, w->slots * sizeof(u64));
    keep_write_out(w);
    h.size = w->end;
    h.self = keep_head_digest(&h);
    return !w->bad && pwrite(w->fd, &h, sizeof(h), 0) == sizeof(h);
}

void keep_save(struct keep *k)
{
    static const char name[] = KEEP_NAME ".new";
    struct keep_writer w = { .slots = k->slots };
    u64 *list;

    if (k->added == k->saved || !keep_flush(k))
        return;
    k->saved = k->added;
    unlinkat(k->dir, name, 0);
    w.fd = openat(k->dir, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (w.fd < 0)
        return;
    w.table = keep_map(w.slots * sizeof(u64));
    w.out = malloc(KEEP_BUFFER);
    list = keep_map(w.slots * sizeof(u64));
    if (!w.table || !w.out || !list || !keep_write_all(k, &w, list) ||
        renameat(k->dir, name, k->dir, KEEP_NAME))
        unlinkat(k->dir, name, 0);
    close(w.fd);
    free(w.out);
    if (w.table)
        munmap(w.table, w.slots * sizeof(u64));
    if (list)
        munmap(list, w.slots * sizeof(u64));
}
