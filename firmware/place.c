/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files into buffers and bytes into guest RAM, with a sentence for what does not fit. */
#include "firmware/boot_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int file_open(const char *path, u64 *size, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, -EINVAL, "%s: not a regular file", path);
    }
    *size = (u64)st.st_size;
    return fd;
}

int file_size(const char *path, u64 *size, struct err *e)
{
    int fd = file_open(path, size, e);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

/* Up to n bytes; less only at the end of the file. */
static ssize_t file_take(int fd, u8 *to, size_t n)
{
    size_t got = 0;

    while (got < n) {
        ssize_t r = read(fd, to + got, n - got);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (!r)
            break;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

int file_read(const char *path, u64 limit, struct buf *to, struct err *e)
{
    u64 size;
    ssize_t got;
    u8 *p;
    int fd = file_open(path, &size, e);

    if (fd < 0)
        return fd;
    if (size > limit) {
        close(fd);
        return err_set(e, -EFBIG, "%s: %llu bytes; at most %llu are expected", path,
                       (unsigned long long)size, (unsigned long long)limit);
    }
    p = buf_room(to, size);
    got = p ? file_take(fd, p, size) : -ENOMEM;
    close(fd);
    if (got < 0)
        return err_set(e, (int)got, "%s: %s", path, strerror((int)-got));
    if ((u64)got != size)
        return err_set(e, -EIO, "%s: ends after %zd bytes of %llu", path, got,
                       (unsigned long long)size);
    return 0;
}

int place(struct boot *b, u64 at, const void *p, u64 n, const char *what, struct err *e)
{
    if (n && gmem_write(b->ram, at, p, n))
        return err_set(e, -ENOSPC, "%s: 0x%llx bytes at 0x%llx do not fit in %llu MiB of RAM", what,
                       (unsigned long long)n, (unsigned long long)at,
                       (unsigned long long)machine_ram_size(b->m) >> 20);
    return 0;
}

int place_zero(struct boot *b, u64 at, u64 n, const char *what, struct err *e)
{
    static const u8 zero[65536];
    u64 end;
    int r = 0;

    if (!add_ok(&end, at, n))
        return err_set(e, -EINVAL, "%s: 0x%llx bytes at 0x%llx pass the end of memory", what,
                       (unsigned long long)n, (unsigned long long)at);
    while (!r && n) {
        u64 piece = min_u64(n, sizeof(zero));

        r = place(b, at, zero, piece, what, e);
        at += piece;
        n -= piece;
    }
    return r;
}

int place_piece(struct boot *b, const struct elf_piece *p, const char *what, struct err *e)
{
    u64 end;
    int r;

    if (!add_ok(&end, p->at, p->size) || p->size < p->data.len)
        return err_set(e, -EINVAL, "%s: a segment of 0x%llx bytes at 0x%llx makes no sense", what,
                       (unsigned long long)p->size, (unsigned long long)p->at);
    if (p->at < INFO_END && end > INFO_BASE)
        return err_set(e, -EINVAL, "%s: loads over 0x%x to 0x%x, which the loader needs", what,
                       INFO_BASE, INFO_END);
    r = place(b, p->at, p->data.p, p->data.len, what, e);
    return r ? r : place_zero(b, p->at + p->data.len, p->size - p->data.len, what, e);
}

int place_line(struct boot *b, const char *text, u32 *at, struct err *e)
{
    u64 n = strlen(text) + 1;

    if (n > INFO_END - b->line_at)
        return err_set(e, -E2BIG, "command lines: more than %d bytes", INFO_END - INFO_LINE);
    *at = b->line_at;
    b->line_at += (u32)n;
    return place(b, *at, text, n, "command line", e);
}

int place_file(struct boot *b, const char *path, u64 at, u64 size, struct err *e)
{
    enum { PIECE = 1 << 20 };
    u64 now, done = 0;
    u8 *piece;
    int r = 0, fd = file_open(path, &now, e);

    if (fd < 0)
        return fd;
    piece = malloc(PIECE);
    if (!piece)
        r = err_set(e, -ENOMEM, "%s: no memory to read it", path);
    while (!r && done < size) {
        size_t want = (size_t)min_u64(PIECE, size - done);
        ssize_t got = file_take(fd, piece, want);

        if (got != (ssize_t)want)
            r = err_set(e, -EIO, "%s: cannot read %zu bytes at %llu", path, want,
                        (unsigned long long)done);
        else
            r = place(b, at + done, piece, want, path, e);
        done += want;
    }
    free(piece);
    close(fd);
    return r;
}
