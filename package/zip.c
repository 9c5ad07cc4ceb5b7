/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The members of a zip archive, after PKWARE's APPNOTE 6.3.10: 4.3.16 the end, 4.3.14 its 64-bit
 * form, 4.3.12 the directory.  Stored members are read in place; deflated ones are unpacked into
 * one file without a name.  Left out: encryption, archives of several volumes, other methods.
 */
#include "base/bytes.h"
#include "image/image.h"
#include "package/source_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define END_SIZE 22u
#define END_MAX (END_SIZE + 65535u)
#define DIRECTORY_MAX (64u << 20)
#define ENTRY_SIZE 46u
#define LOCAL_SIZE 30u
#define RATIO 1100u /* the most that deflate can do is 1032 */
#define FREE (1ull << 20)

struct zip {
    struct source *s;
    int fd;
    u64 size, used; /* of the file; of the unpacked copy */
    struct err *e;
};

struct zip_entry {
    const char *name;
    size_t n;
    u32 method, flags;
    u64 packed, plain, at;
};

bool zip_is(const u8 *head)
{
    return !memcmp(head, "PK\3\4", 4);
}

static int zip_read(struct zip *z, u64 at, void *p, size_t n)
{
    if (!range_ok(at, n, z->size) || pread(z->fd, p, n, (off_t)at) != (ssize_t)n)
        return err_set(z->e, -EBADMSG, "%s: byte %llu: the zip archive is cut short or damaged",
                       z->s->path, (unsigned long long)at);
    return 0;
}

/* Where the directory is, how long, how many entries. */
static int zip_end(struct zip *z, u64 *at, u64 *len, u64 *count)
{
    size_t n = (size_t)min_u64(z->size, END_MAX);
    u8 *tail = malloc(n), *p = NULL, wide[56];
    u64 base = z->size - n, end64 = 0;
    int r = tail ? zip_read(z, base, tail, n) : err_set(z->e, -ENOMEM, "no memory");

    for (size_t i = n < END_SIZE ? 0 : n - END_SIZE + 1; !r && !p && i-- > 0;)
        if (!memcmp(tail + i, "PK\5\6", 4) && i + END_SIZE + le16(tail + i + 20) <= n)
            p = tail + i;
    if (!r && !p)
        r = err_set(z->e, -EBADMSG, "%s: the zip archive has no end: it is cut short", z->s->path);
    if (!r) {
        *count = le16(p + 10);
        *len = le32(p + 12);
        *at = le32(p + 16);
        if (p - tail >= 20 && !memcmp(p - 20, "PK\6\7", 4))
            end64 = le64(p - 12);
    }
    free(tail);
    if (r || !end64)
        return r;
    r = zip_read(z, end64, wide, sizeof(wide));
    if (!r && memcmp(wide, "PK\6\6", 4))
        r = err_set(z->e, -EBADMSG, "%s: byte %llu: the 64-bit end of the zip archive is damaged",
                    z->s->path, (unsigned long long)end64);
    *count = le64(wide + 32);
    *len = le64(wide + 40);
    *at = le64(wide + 48);
    return r;
}

/* The 64-bit field (id 1) has those members that are all ones in the entry, in this order. */
static void zip_wide(const u8 *extra, size_t n, struct zip_entry *x)
{
    while (n >= 4) {
        size_t len = le16(extra + 2);
        const u8 *p = extra + 4;
        u64 *members[] = { &x->plain, &x->packed, &x->at };

        if (len > n - 4)
            return;
        if (le16(extra) == 1)
            for (size_t i = 0; i < LEN(members) && len >= 8; i++)
                if (*members[i] == UINT32_MAX) {
                    *members[i] = le64(p);
                    p += 8;
                    len -= 8;
                }
        len = le16(extra + 2);
        extra += 4 + len;
        n -= 4 + len;
    }
}

static int zip_inflate_chunks(struct zip *z, z_stream *s, u64 at, u64 left, u64 want)
{
    static const size_t chunk = 256u << 10;
    u8 *in = malloc(2 * chunk), *out = in + chunk;
    int r = in ? 0 : err_set(z->e, -ENOMEM, "no memory"), state = Z_OK;
    u64 done = 0;

    while (!r && state != Z_STREAM_END) {
        size_t n, got;

        if (!s->avail_in && left) {
            n = (size_t)min_u64(left, chunk);
            r = zip_read(z, at, in, n);
            s->next_in = in;
            s->avail_in = (uInt)n;
            at += n;
            left -= n;
        }
        s->next_out = out;
        s->avail_out = (uInt)chunk;
        state = r ? Z_OK : inflate(s, Z_NO_FLUSH);
        got = chunk - s->avail_out;
        if (!r && ((state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR) ||
                   got > want - done || (!got && !s->avail_in && !left && state != Z_STREAM_END)))
            r = -EBADMSG;
        if (!r && got && pwrite(z->s->held, out, got, (off_t)(z->used + done)) != (ssize_t)got)
            r = err_set(z->e, -errno, "unpacking %s: %s", z->s->path, strerror(errno));
        done += got;
    }
    free(in);
    return !r && done != want ? -EBADMSG : r;
}

static int zip_inflate(struct zip *z, const struct zip_entry *x, u64 at)
{
    z_stream s = { 0 };
    int r;

    if (x->plain > x->packed * RATIO + FREE)
        return err_set(z->e, -E2BIG, "%s: \"%.*s\" claims to be %llu times its packed size",
                       z->s->path, (int)x->n, x->name,
                       (unsigned long long)(x->plain / (x->packed ? x->packed : 1)));
    if (inflateInit2(&s, -15) != Z_OK)
        return err_set(z->e, -ENOMEM, "no memory");
    r = zip_inflate_chunks(z, &s, at, x->packed, x->plain);
    inflateEnd(&s);
    if (r == -EBADMSG)
        err_set(z->e, r, "%s: \"%.*s\" cannot be unpacked: it is damaged", z->s->path, (int)x->n,
                x->name);
    return r;
}

static int zip_deflated(struct zip *z, const struct zip_entry *x, u64 at)
{
    struct source_file *f;
    int r;

    if (z->s->held < 0) {
        z->s->held = source_temp(z->e);
        if (z->s->held < 0)
            return z->s->held;
    }
    r = zip_inflate(z, x, at);
    r = r ? r : source_add(z->s, x->name, x->n, z->used, x->plain, z->e);
    if (r)
        return r;
    z->used += x->plain;
    for (f = z->s->files; f->next; f = f->next)
        ;
    f->path = arena_print(&z->s->arena, "/proc/self/fd/%d", z->s->held);
    return f->path ? 0 : err_set(z->e, -ENOMEM, "no memory");
}

static int zip_member(struct zip *z, struct zip_entry *x)
{
    u8 local[LOCAL_SIZE];
    int r;

    while (x->n > 2 && !memcmp(x->name, "./", 2)) {
        x->name += 2;
        x->n -= 2;
    }
    if (!x->n || x->name[x->n - 1] == '/' || memchr(x->name, 0, x->n))
        return 0;
    for (size_t i = x->n; i-- > 0 && x->name[i] != '/';)
        if ((!i || x->name[i - 1] == '/') && x->n - i > 1 && !memcmp(x->name + i, "._", 2))
            return 0; /* AppleDouble */
    if (x->flags & 1)
        return err_set(z->e, -EOPNOTSUPP, "%s: \"%.*s\" is encrypted", z->s->path, (int)x->n,
                       x->name);
    if (x->method != 0 && x->method != 8)
        return err_set(z->e, -EOPNOTSUPP,
                       "%s: \"%.*s\" is packed by method %u: stored and "
                       "deflated members are supported",
                       z->s->path, (int)x->n, x->name, x->method);
    r = zip_read(z, x->at, local, sizeof(local));
    if (r)
        return r;
    x->at += LOCAL_SIZE + le16(local + 26) + le16(local + 28);
    if (memcmp(local, "PK\3\4", 4) || !range_ok(x->at, x->packed, z->size) ||
        (!x->method && x->packed != x->plain))
        return err_set(z->e, -EBADMSG, "%s: \"%.*s\" is not where the directory says", z->s->path,
                       (int)x->n, x->name);
    return x->method ? zip_deflated(z, x, x->at)
                     : source_add(z->s, x->name, x->n, x->at, x->plain, z->e);
}

static int zip_entries(struct zip *z, const u8 *p, u64 len, u64 count)
{
    int r = 0;

    for (u64 i = 0; !r && i < count; i++) {
        struct zip_entry x;
        size_t extra, all;

        if (len < ENTRY_SIZE || memcmp(p, "PK\1\2", 4))
            return err_set(z->e, -EBADMSG, "%s: entry %llu of the zip directory is damaged",
                           z->s->path, (unsigned long long)i);
        x = (struct zip_entry){ .name = (const char *)p + ENTRY_SIZE,
                                .n = le16(p + 28),
                                .flags = le16(p + 8),
                                .method = le16(p + 10),
                                .packed = le32(p + 20),
                                .plain = le32(p + 24),
                                .at = le32(p + 42) };
        extra = le16(p + 30);
        all = ENTRY_SIZE + x.n + extra + le16(p + 32);
        if (all > len)
            return err_set(z->e, -EBADMSG, "%s: entry %llu of the zip directory is damaged",
                           z->s->path, (unsigned long long)i);
        zip_wide(p + ENTRY_SIZE + x.n, extra, &x);
        r = zip_member(z, &x);
        p += all;
        len -= all;
    }
    return r;
}

int zip_list(struct source *s, int fd, u64 size, struct err *e)
{
    struct zip z = { .s = s, .fd = fd, .size = size, .e = e };
    u64 at = 0, len = 0, count = 0;
    u8 *directory;
    int r = zip_end(&z, &at, &len, &count);

    if (r)
        return r;
    if (len > DIRECTORY_MAX || !range_ok(at, len, size))
        return err_set(e, -EBADMSG, "%s: the zip directory (%llu bytes at %llu) is not in the file",
                       s->path, (unsigned long long)len, (unsigned long long)at);
    directory = malloc(len + 1);
    if (!directory)
        return err_set(e, -ENOMEM, "no memory");
    r = zip_read(&z, at, directory, len);
    r = r ? r : zip_entries(&z, directory, len, count);
    free(directory);
    return r;
}
