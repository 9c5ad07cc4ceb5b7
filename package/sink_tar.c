/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing an archive: POSIX ustar, sizes of 8 GiB and more in base-256 as GNU has it.  A member
 * whose size is not known yet, or that is written after those behind it, needs an archive that
 * can be written to again: down a pipe it is made in a file without a name first.
 */
#include "package/sink_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 512u

/* Up to 100 bytes, or 155 more in front of a slash. */
static int tar_name(u8 *h, const char *name, struct err *e)
{
    size_t n = strlen(name);
    const char *slash = n > 100 ? strchr(name + n - 101, '/') : NULL;

    if (n <= 100) {
        memcpy(h, name, n);
        return 0;
    }
    if (!slash || slash - name > 155)
        return err_set(e, -ENAMETOOLONG, "\"%.100s...\": too long a name for an archive", name);
    memcpy(h + 345, name, (size_t)(slash - name));
    memcpy(h, slash + 1, strlen(slash + 1));
    return 0;
}

static int tar_header(u8 *h, const char *name, u64 size, struct err *e)
{
    unsigned sum = 0;
    char text[16];
    int r;

    memset(h, 0, BLOCK);
    r = tar_name(h, name, e);
    if (r)
        return r;
    memcpy(h + 100, "0000644\0000000000\0000000000", 23);
    if (size >> 33) {
        h[124] = 0x80;
        for (int i = 0; i < 8; i++)
            h[128 + i] = (u8)(size >> (56 - 8 * i));
    } else {
        snprintf(text, sizeof(text), "%011llo", (unsigned long long)size);
        memcpy(h + 124, text, 11);
    }
    snprintf(text, sizeof(text), "%011llo", (unsigned long long)time(NULL) & 0x1ffffffffull);
    memcpy(h + 136, text, 11);
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    memset(h + 148, ' ', 8);
    for (u32 i = 0; i < BLOCK; i++)
        sum += h[i];
    snprintf(text, sizeof(text), "%06o", sum);
    memcpy(h + 148, text, 7);
    return 0;
}

int sink_tar_put(struct sink *s, const void *p, size_t n, struct err *e)
{
    bool pipe = s->kind == SINK_PIPE && !s->spooled;
    int r = sink_write(s, s->fd, pipe ? UINT64_MAX : s->at, p, n, e);

    s->at += n;
    return r;
}

static int tar_pad(struct sink *s, struct err *e)
{
    static const u8 zero[BLOCK];

    return sink_tar_put(s, zero, -s->at & (BLOCK - 1), e);
}

int sink_tar_spool(struct sink *s, struct err *e)
{
    int fd;

    if (s->kind != SINK_PIPE || s->spooled)
        return 0;
    fd = open(sink_temp_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, -errno, "%s: a temporary file: %s", sink_temp_dir(), strerror(errno));
    s->fd = fd;
    s->spooled = true;
    s->at = 0;
    return 0;
}

struct sink_file *sink_tar_begin(struct sink *s, const char *name, u64 size, struct err *e)
{
    struct sink_file *f = sink_add(s, name, e);
    u8 h[BLOCK];

    if (!f || tar_header(h, name, size, e) || sink_tar_put(s, h, BLOCK, e))
        return NULL;
    f->at = s->at;
    f->size = size;
    return f;
}

int sink_tar_end(struct sink *s, struct sink_file *f, struct err *e)
{
    u64 size = s->at - f->at;
    u8 h[BLOCK];
    int r = 0;

    if (size != f->size) {
        f->size = size;
        r = tar_header(h, f->name, size, e);
        if (!r)
            r = sink_write(s, s->fd, f->at - BLOCK, h, BLOCK, e);
    }
    return r ? r : tar_pad(s, e);
}

int sink_chunk(struct sink *s, const char *name, const void *p, size_t n, struct err *e)
{
    u8 h[BLOCK];
    int r = tar_header(h, name, n, e);

    r = r ? r : sink_tar_put(s, h, BLOCK, e);
    r = r ? r : sink_tar_put(s, p, n, e);
    return r ? r : tar_pad(s, e);
}

int sink_tar_reserve(struct sink *s, const char *name, size_t room, struct err *e)
{
    struct sink_file *f;
    int r = sink_tar_spool(s, e);

    if (r)
        return r;
    f = sink_tar_begin(s, name, room, e);
    if (!f)
        return e->code;
    f->room = room;
    s->at += room;
    return tar_pad(s, e);
}

/* Into the place that was kept: what is left over becomes blanks, before the last newline. */
static int tar_fill(struct sink *s, struct sink_file *f, const u8 *p, size_t n, struct err *e)
{
    bool line = n && p[n - 1] == '\n';
    u8 *all;
    int r;

    if (n > f->room)
        return err_set(e, -EFBIG, "%s: %zu bytes, and %llu were kept for it", f->name, n,
                       (unsigned long long)f->room);
    all = malloc(f->room + 1);
    if (!all)
        return err_set(e, -ENOMEM, "no memory");
    memset(all, ' ', f->room);
    memcpy(all, p, line ? n - 1 : n);
    if (line)
        all[f->room - 1] = '\n';
    r = sink_write(s, s->fd, f->at, all, f->room, e);
    r = r ? r : sink_hex(s, f, all, f->room, e);
    f->room = 0;
    free(all);
    return r;
}

int sink_tar_text(struct sink *s, const char *name, const void *p, size_t n, struct err *e)
{
    struct sink_file *f = sink_find(s, name);
    int r;

    if (f && f->room)
        return tar_fill(s, f, p, n, e);
    f = sink_tar_begin(s, name, n, e);
    if (!f)
        return e->code;
    r = sink_tar_put(s, p, n, e);
    r = r ? r : sink_hex(s, f, p, n, e);
    return r ? r : tar_pad(s, e);
}

static int tar_unspool(struct sink *s, struct err *e)
{
    u8 *p = malloc(SINK_CHUNK);
    int r = p ? 0 : err_set(e, -ENOMEM, "no memory");

    for (u64 at = 0; !r && at < s->at;) {
        ssize_t n = pread(s->fd, p, min_u64(SINK_CHUNK, s->at - at), (off_t)at);

        if (n <= 0)
            r = err_set(e, n ? -errno : -EIO, "the temporary file: %s",
                        n ? strerror(errno) : "ends too early");
        else
            r = sink_write(s, STDOUT_FILENO, UINT64_MAX, p, (size_t)n, e);
        at += n > 0 ? (u64)n : 0;
    }
    free(p);
    return r;
}

int sink_tar_close(struct sink *s, struct err *e)
{
    static const u8 zero[2 * BLOCK];
    int r = 0;

    for (const struct sink_file *f = s->files; !r && f; f = f->next)
        if (f->room)
            r = err_set(e, -EINVAL, "%s: was kept room for and never written", f->name);
    r = r ? r : sink_tar_put(s, zero, sizeof(zero), e);
    while (!r && s->at % (20 * BLOCK)) /* whole records, as tar writes them */
        r = sink_tar_put(s, zero, BLOCK, e);
    return !r && s->spooled ? tar_unspool(s, e) : r;
}
