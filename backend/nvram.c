/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file that is mapped and shared: the kernel keeps what a killed process stored. */
#include "backend/nvram.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NVRAM_PAGE = 4096, NVRAM_MAX = 16 << 20 };

struct nvram {
    u8 *bytes;
    u32 size;
    bool kept;
};

static int nvram_read_all(int fd, u8 *p, u32 n)
{
    for (u32 at = 0; at < n;) {
        ssize_t got = pread(fd, p + at, n - at, at);

        if (got <= 0)
            return got ? -errno : -ENODATA;
        at += (u32)got;
    }
    return 0;
}

static int nvram_write_all(int fd, const u8 *p, u32 n)
{
    for (u32 at = 0; at < n;) {
        ssize_t put = pwrite(fd, p + at, n - at, at);

        if (put <= 0)
            return put ? -errno : -EIO;
        at += (u32)put;
    }
    return fsync(fd) ? -errno : 0;
}

/* The size of a usable file, or an error. */
static int nvram_check(int fd, const char *path, u32 *size, struct err *e)
{
    struct stat st;

    if (fd < 0 || fstat(fd, &st))
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size % NVRAM_PAGE ||
        st.st_size > NVRAM_MAX)
        return err_set(e, -EINVAL, "%s: %lld bytes; a file of whole pages up to 16 MiB is expected",
                       path, (long long)st.st_size);
    *size = (u32)st.st_size;
    return 0;
}

static int nvram_load(const char *path, u8 **bytes, u32 *size, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = nvram_check(fd, path, size, e);

    *bytes = NULL;
    if (!r && !(*bytes = malloc(*size)))
        r = err_set(e, -ENOMEM, "%s: no memory", path);
    if (!r && (r = nvram_read_all(fd, *bytes, *size)))
        err_set(e, r, "%s: %s", path, strerror(-r));
    if (fd >= 0)
        close(fd);
    if (r)
        free(*bytes);
    return r;
}

/* Beside it, synced, renamed. */
static int nvram_make(const char *path, const char *fresh, struct err *e)
{
    char *part;
    u8 *bytes;
    u32 size;
    int fd, r = nvram_load(fresh, &bytes, &size, e);

    if (r)
        return r;
    if (asprintf(&part, "%s.part%d", path, (int)getpid()) < 0) {
        free(bytes);
        return err_set(e, -ENOMEM, "%s: no memory", path);
    }
    fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    r = fd < 0 ? -errno : nvram_write_all(fd, bytes, size);
    if (fd >= 0)
        close(fd);
    if (!r && rename(part, path))
        r = -errno;
    if (r) {
        unlink(part);
        err_set(e, r, "%s: %s", path, strerror(-r));
    }
    free(part);
    free(bytes);
    return r;
}

static int nvram_map(struct nvram *n, const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CLOEXEC), r = nvram_check(fd, path, &n->size, e);

    if (!r) {
        n->bytes = mmap(NULL, n->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (n->bytes == MAP_FAILED)
            r = err_set(e, -errno, "%s: %s", path, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    return r;
}

static int nvram_copy(struct nvram *n, const char *fresh, struct err *e)
{
    u8 *bytes;
    int r = nvram_load(fresh, &bytes, &n->size, e);

    if (r)
        return r;
    n->bytes = mmap(NULL, n->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (n->bytes == MAP_FAILED)
        r = err_set(e, -ENOMEM, "%s: no memory", fresh);
    else
        memcpy(n->bytes, bytes, n->size);
    free(bytes);
    return r;
}

int nvram_open(struct nvram **out, const char *path, const char *fresh, struct err *e)
{
    struct nvram *n = calloc(1, sizeof(*n));
    int r = 0;

    if (!n)
        return err_set(e, -ENOMEM, "%s: no memory", path ? path : fresh);
    n->kept = path != NULL;
    if (path && access(path, F_OK))
        r = nvram_make(path, fresh, e);
    if (!r)
        r = path ? nvram_map(n, path, e) : nvram_copy(n, fresh, e);
    if (r) {
        free(n);
        return r;
    }
    *out = n;
    return 0;
}

void nvram_sync(struct nvram *n)
{
    if (n->kept)
        msync(n->bytes, n->size, MS_SYNC);
}

void nvram_close(struct nvram *n)
{
    if (!n)
        return;
    nvram_sync(n);
    munmap(n->bytes, n->size);
    free(n);
}

u8 *nvram_bytes(struct nvram *n)
{
    return n->bytes;
}

u32 nvram_size(const struct nvram *n)
{
    return n->size;
}
