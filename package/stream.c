/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An archive that comes down a pipe. */
#include "package/stream.h"
#include "package/manifest.h"
#include "package/sink_int.h"
#include "package/source_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512u
#define KEEP_AT_ONCE (16u << 20) /* what follows the descriptor and is no longer: text */

static const char *const stream_methods[SOURCE_SUMS] = { "sha1", "sha256", "sha512" };

static struct {
    bool open, end, pending; /* pending: a member's header was read, its data was not */
    struct source *s;        /* all that has come, in a nameless file or with its digests only */
    struct source own;
    struct buf *head; /* everything that was read so far; NULL: it cannot go back any more */
    u8 block[BLOCK];
    char name[1024];      /* of the member that is next or being read */
    u64 size, left, kept; /* of it; kept: bytes in the nameless file */
    struct sink_digest *sums[SOURCE_SUMS];
    bool spared[SOURCE_SUMS]; /* the manifest has come and does not use it */
    struct err err;           /* of stream_read */
} pipe_in;

static int stream_raw(void *p, size_t n, struct err *e)
{
    u8 *to = p;

    for (size_t done = 0; done < n;) {
        ssize_t got = read(STDIN_FILENO, to + done, n - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(e, got ? -errno : -EBADMSG, "standard input: %s",
                           got ? strerror(errno) : "ends too early: the archive is cut short");
        if (pipe_in.head && buf_add(pipe_in.head, to + done, (size_t)got))
            return err_set(e, -ENOMEM, "no memory");
        done += (size_t)got;
    }
    return 0;
}

static int stream_skip(u64 n, struct err *e)
{
    u8 room[4096];
    int r = 0;

    for (; !r && n; n -= min_u64(n, sizeof(room)))
        r = stream_raw(room, min_u64(n, sizeof(room)), e);
    return r;
}

static int stream_about(u64 size, struct tar_next *next, struct err *e)
{
    char *text;
    int r;

    if (size > TAR_ABOUT_MAX)
        return err_set(e, -E2BIG, "standard input: a header of %llu bytes",
                       (unsigned long long)size);
    text = calloc(1, size + 1);
    r = text ? stream_raw(text, size, e) : err_set(e, -ENOMEM, "no memory");
    if (!r && (r = tar_about(pipe_in.block[156], text, size, next)))
        err_set(e, r, "standard input: a header of the archive is damaged");
    free(text);
    return r ? r : stream_skip(-size & (BLOCK - 1), e);
}

/* Up to the next member that counts. */
static int stream_next(struct err *e)
{
    struct tar_next next = { 0 };
    int r = 0;

    while (!pipe_in.pending && !pipe_in.end) {
        bool about = false;

        r = stream_raw(pipe_in.block, BLOCK, e);
        if (r)
            return r;
        r = tar_block(pipe_in.block, &next, &pipe_in.size, &about);
        if (r < 0)
            return err_set(e, r, "standard input: a header of the archive is damaged");
        pipe_in.end = r == 1;
        if (r == 1)
            return 0;
        if (about) {
            r = stream_about(pipe_in.size, &next, e);
        } else if (tar_name(pipe_in.block, &next, pipe_in.name)) {
            pipe_in.pending = true;
        } else {
            r = pipe_in.size > INT64_MAX ? -EBADMSG : stream_skip(pipe_in.size, e);
            r = r ? r : stream_skip(-pipe_in.size & (BLOCK - 1), e);
        }
        if (r)
            return r;
        if (!about)
            next = (struct tar_next){ 0 };
    }
    return 0;
}

/* ---- the bytes of a member ---- */

static struct source_file *stream_file(const char *name)
{
    struct source_file *f = pipe_in.s->files;

    while (f && strcmp(f->name, name))
        f = f->next;
    return f;
}

static int stream_start(struct err *e)
{
    int r = 0;

    pipe_in.left = pipe_in.size;
    pipe_in.pending = false;
    for (u32 i = 0; !r && i < SOURCE_SUMS; i++)
        if (!pipe_in.spared[i])
            r = sink_digest_begin(&pipe_in.sums[i], stream_methods[i], e);
    return r;
}

/* The member has been read: its digests, and what is behind it up to the next block. */
static int stream_stop(struct err *e)
{
    struct source_file *f = stream_file(pipe_in.name);
    char hex[SINK_HEX];
    int r = 0;

    for (u32 i = 0; i < SOURCE_SUMS; i++) {
        if (!pipe_in.sums[i])
            continue;
        if (sink_digest_end(pipe_in.sums[i], hex) ||
            (f && !(f->sums[i] = arena_text(&pipe_in.s->arena, hex, strlen(hex)))))
            r = -ENOMEM;
        pipe_in.sums[i] = NULL;
    }
    return r ? err_set(e, r, "no memory") : stream_skip(-pipe_in.size & (BLOCK - 1), e);
}

ssize_t stream_read(void *arg, void *p, size_t n)
{
    struct err *e = arg ? arg : &pipe_in.err;
    int r;

    n = min_u64(n, pipe_in.left);
    if (!n)
        return 0;
    r = stream_raw(p, n, e);
    if (r)
        return r;
    for (u32 i = 0; i < SOURCE_SUMS; i++)
        if (pipe_in.sums[i])
            sink_digest_add(pipe_in.sums[i], p, n);
    pipe_in.left -= n;
    if (!pipe_in.left) {
        r = stream_stop(e);
        if (r)
            return r;
    }
    return (ssize_t)n;
}

/* A place in the list; also for one that an earlier stream_find promised. */
static struct source_file *stream_add(u64 offset, const char *path, struct err *e)
{
    struct source_file *f = stream_file(pipe_in.name);

    if (f && strcmp(f->path, STREAM_PATH)) {
        err_set(e, -EEXIST, "standard input: \"%.200s\" is in it twice", pipe_in.name);
        return NULL;
    }
    if (!f) {
        if (source_add(pipe_in.s, pipe_in.name, strlen(pipe_in.name), offset, pipe_in.size, e))
            return NULL;
        f = stream_file(pipe_in.name);
    }
    f->offset = offset;
    f->size = pipe_in.size;
    f->path = path;
    return f;
}

/* Into the nameless file: the end of what is there. */
static int stream_keep(struct err *e)
{
    u64 at = pipe_in.kept, left = pipe_in.size;
    u8 *p = malloc(SINK_CHUNK);
    int r = p ? 0 : err_set(e, -ENOMEM, "no memory");

    if (!r && !stream_add(at, pipe_in.s->data, e))
        r = e->code;
    r = r ? r : stream_start(e);
    while (!r && left) {
        ssize_t n = stream_read(e, p, min_u64(left, SINK_CHUNK));

        if (n <= 0)
            r = n ? (int)n : -EBADMSG;
        else if (pwrite(pipe_in.s->held, p, (size_t)n, (off_t)at) != n)
            r = err_set(e, -errno, "a temporary file: %s", strerror(errno));
        at += n > 0 ? (u64)n : 0;
        left -= n > 0 ? (u64)n : 0;
    }
    if (!r && !pipe_in.size)
        r = stream_stop(e);
    pipe_in.kept = at;
    free(p);
    return r;
}

/* Once the manifest is there only the digests that it names are computed. */
static int stream_manifest(struct err *e)
{
    const struct source_file *f = stream_file(pipe_in.name);
    struct buf text;
    int r = source_load(f, MANIFEST_MAX, &text, e);

    for (u32 i = 0; !r && i < SOURCE_SUMS; i++)
        pipe_in.spared[i] = !strcasestr((const char *)text.p, stream_methods[i]) &&
                            !strcasestr((const char *)text.p, "sha2-");
    buf_fini(&text);
    return r;
}

/* ---- from outside ---- */

bool stream_is_open(void)
{
    return pipe_in.open;
}

void stream_end(void)
{
    for (u32 i = 0; i < SOURCE_SUMS; i++)
        if (pipe_in.sums[i])
            sink_digest_end(pipe_in.sums[i], NULL);
    if (pipe_in.open && pipe_in.s == &pipe_in.own)
        source_close(&pipe_in.own);
    memset(&pipe_in, 0, sizeof(pipe_in));
}

static int stream_descriptor(struct source *s, struct err *e)
{
    int r = stream_next(e);

    if (r)
        return r;
    if (pipe_in.end || pipe_in.size > KEEP_AT_ONCE || !source_has_suffix(pipe_in.name, ".ovf"))
        return -EMEDIUMTYPE;
    pipe_in.head = NULL; /* it is one of ours */
    s->held = source_temp(e);
    if (s->held < 0)
        return s->held;
    s->kind = SOURCE_TAR;
    s->pipe = true;
    s->data = arena_print(&s->arena, "/proc/self/fd/%d", s->held);
    r = s->data ? stream_keep(e) : err_set(e, -ENOMEM, "no memory");
    while (!r && !(r = stream_next(e)) && pipe_in.pending &&
           (source_has_suffix(pipe_in.name, ".mf") || source_has_suffix(pipe_in.name, ".cert")) &&
           pipe_in.size <= KEEP_AT_ONCE) {
        bool manifest = source_has_suffix(pipe_in.name, ".mf");

        r = stream_keep(e);
        if (!r && manifest)
            r = stream_manifest(e);
    }
    return r;
}

int stream_begin(struct source *s, struct buf *head, struct err *e)
{
    int r;

    stream_end();
    *head = (struct buf){ 0 };
    pipe_in.head = head;
    pipe_in.s = s;
    pipe_in.open = true;
    r = stream_descriptor(s, e);
    if (r && pipe_in.head)
        r = -EMEDIUMTYPE; /* nothing is lost yet: others may know what it is */
    pipe_in.head = NULL;
    if (r)
        stream_end();
    return r;
}

/* The list and the nameless file outlive the reader. */
void stream_adopt(struct source *s)
{
    pipe_in.own = *s;
    pipe_in.s = &pipe_in.own;
    *s = (struct source){ .held = -1 };
}

static int stream_until(const char *name, struct err *e)
{
    int r = 0;

    while (!(r = stream_next(e)) && pipe_in.pending && strcmp(pipe_in.name, name))
        if ((r = stream_keep(e)))
            break;
    if (!r && !pipe_in.pending)
        r = err_set(e, -EBADMSG, "standard input: there is no \"%.200s\" in the archive", name);
    return r;
}

bool stream_came(const char *name, const struct source_file **f)
{
    *f = stream_file(name);
    return *f && strcmp((*f)->path, STREAM_PATH);
}

int stream_seek(const char *name, const struct source_file **f, u64 *size, struct err *e)
{
    struct source_file *own;
    int r;

    if (stream_came(name, f))
        return 1;
    r = stream_until(name, e);
    own = r ? NULL : stream_add(0, STREAM_PATH, e);
    if (!own)
        return r ? r : e->code;
    *f = own;
    *size = pipe_in.size;
    r = stream_start(e);
    return !r && !pipe_in.size ? stream_stop(e) : r;
}

int stream_fetch(const char *name, const struct source_file **f, struct err *e)
{
    int r;

    if (stream_came(name, f))
        return 0;
    r = stream_until(name, e);
    r = r ? r : stream_keep(e);
    *f = r ? NULL : stream_file(name);
    return r;
}

/* The rest goes by; only its digests are of use, and the manifest itself. */
static int stream_rest(struct err *e)
{
    int r = 0;

    while (!(r = stream_next(e)) && pipe_in.pending) {
        u8 room[8192];
        ssize_t n = 1;

        if (pipe_in.size <= KEEP_AT_ONCE) {
            r = stream_keep(e);
        } else if (!stream_add(0, STREAM_PATH, e)) {
            r = e->code;
        } else if (!(r = stream_start(e))) {
            while ((n = stream_read(e, room, sizeof(room))) > 0)
                ;
            r = (int)n;
        }
        if (r)
            return r;
    }
    return r;
}

int stream_verify(const struct package_options *o, struct notes *n, struct err *e)
{
    u8 room[8192];
    int r = stream_rest(e);

    while (!r && read(STDIN_FILENO, room, sizeof(room)) > 0)
        ; /* the padding: who writes must not die of a closed pipe */
    return r ? r : package_verify(pipe_in.s, o, n, e);
}
