/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host files of an image: opening them (also those that an image names: only beside it,
 * component by component), locks between processes, reading, writing and barriers.
 */
#include "base/log.h"
#include "image/image_int.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The process that holds a lock on this file, from /proc/locks; 0 when it does not say. */
static long image_file_holder(const struct stat *st)
{
    char line[256];
    long holder = 0;
    FILE *f = fopen("/proc/locks", "re");

    if (!f)
        return 0;
    while (!holder && fgets(line, sizeof(line), f)) {
        unsigned major_nr, minor_nr;
        unsigned long ino;
        long pid;

        if (sscanf(line, "%*d: FLOCK %*s %*s %ld %x:%x:%lu", &pid, &major_nr, &minor_nr, &ino) ==
                4 &&
            ino == st->st_ino && makedev(major_nr, minor_nr) == st->st_dev)
            holder = pid;
    }
    fclose(f);
    return holder;
}

static int image_file_lock(int fd, const char *path, bool write, const struct stat *st,
                           struct err *e)
{
    long pid;

    if (!flock(fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB) || errno != EWOULDBLOCK)
        return 0; /* a file system without locks has none */
    pid = image_file_holder(st);
    if (pid > 0)
        return err_set(e, -EBUSY, "%s: is in use by another mimic (pid %ld)", path, pid);
    return err_set(e, -EBUSY, "%s: is in use by another mimic", path);
}

/* Length of what was opened: files and block devices, nothing else. */
static int image_file_measure(int fd, const char *path, struct stat *st, u64 *length, struct err *e)
{
    if (fstat(fd, st))
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    if (S_ISREG(st->st_mode)) {
        *length = (u64)st->st_size;
        return 0;
    }
    if (!S_ISBLK(st->st_mode))
        return err_set(e, -EINVAL, "%s: is neither a file nor a block device", path);
    if (ioctl(fd, BLKGETSIZE64, length))
        return err_set(e, -errno, "%s: its size: %s", path, strerror(errno));
    return 0;
}

static int image_file_adopt(struct image *im, int fd, const struct image_file_spec *s,
                            struct err *e)
{
    struct image_file *files, *f;
    struct stat st;
    u64 length;
    int r;

    if ((r = image_file_measure(fd, s->path, &st, &length, e)))
        return r;
    if (!range_ok(s->offset, s->length, length))
        return err_set(e, -EBADMSG, "%s: has %llu bytes, %llu at %llu are expected", s->path,
                       (unsigned long long)length, (unsigned long long)s->length,
                       (unsigned long long)s->offset);
    if (s->lock && (r = image_file_lock(fd, s->path, s->write, &st, e)))
        return r;
    if (im->nfiles >= IMAGE_FILES_MAX)
        return err_set(e, -E2BIG, "%s: more than %d files", s->path, IMAGE_FILES_MAX);
    files = realloc(im->files, (im->nfiles + 1) * sizeof(*files));
    if (!files)
        return err_set(e, -ENOMEM, "%s: no memory", s->path);
    im->files = files;
    f = &files[im->nfiles];
    *f = (struct image_file){ .fd = fd,
                              .path = strdup(s->path),
                              .offset = s->offset,
                              .window = s->offset || s->length,
                              .dev = st.st_dev,
                              .ino = st.st_ino };
    atomic_store(&f->length, s->length ? s->length : length - s->offset);
    if (!f->path)
        return err_set(e, -ENOMEM, "%s: no memory", s->path);
    return (int)im->nfiles++;
}

/* One further piece: it begins where the file ended so far. */
static int image_file_piece(struct image_file *f, const struct image_piece *p, struct err *e)
{
    struct image_more *more = realloc(f->more, (f->nmore + 1) * sizeof(*more)), *m;
    u64 length, at = atomic_load(&f->length);
    struct stat st;
    int r;

    if (!more)
        return err_set(e, -ENOMEM, "%s: no memory", p->path);
    f->more = more;
    m = &more[f->nmore];
    *m = (struct image_more){ .offset = p->offset, .at = at };
    m->fd = open(p->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (m->fd < 0)
        return err_set(e, -errno, "%s: %s", p->path, strerror(errno));
    f->nmore++;
    r = image_file_measure(m->fd, p->path, &st, &length, e);
    if (r)
        return r;
    m->length = p->length ? p->length : length - min_u64(length, p->offset);
    if (!range_ok(p->offset, m->length, length) || !add_ok(&at, at, m->length))
        return err_set(e, -EBADMSG, "%s: has %llu bytes, %llu at %llu are expected", p->path,
                       (unsigned long long)length, (unsigned long long)m->length,
                       (unsigned long long)p->offset);
    atomic_store(&f->length, at);
    return 0;
}

static int image_file_pieces(struct image *im, u32 file, const struct image_piece *p, struct err *e)
{
    struct image_file *f = &im->files[file];
    int r = 0;

    for (; !r && p; p = p->next) {
        f->window = true;
        if (f->nmore >= IMAGE_FILES_MAX)
            return err_set(e, -E2BIG, "%s: more than %d pieces", f->path, IMAGE_FILES_MAX);
        r = image_file_piece(f, p, e);
    }
    return r;
}

static void image_file_close(struct image_file *f)
{
    for (u32 k = 0; k < f->nmore; k++)
        close(f->more[k].fd);
    free(f->more);
    f->more = NULL;
    f->nmore = 0;
    close(f->fd);
}

static const char *const packed_ends[] = { ".gz", ".xz", ".zst", ".bz2" };

static bool image_file_named_packed(const char *path)
{
    size_t n = strlen(path);

    for (size_t i = 0; i < LEN(packed_ends); i++)
        if (n > strlen(packed_ends[i]) &&
            !strcasecmp(path + n - strlen(packed_ends[i]), packed_ends[i]))
            return true;
    return false;
}

/*
 * What is compressed is read from a copy.  A guest may have made its disk look compressed: so
 * only where a format is looked for, or where the file's name says so too.
 */
static int image_file_unwrap(struct image *im, const struct image_file_spec *s, struct err *e)
{
    struct image_file *f = &im->files[im->nfiles - 1];
    u64 length = image_file_length(im, im->nfiles - 1);
    u8 head[32];
    size_t n = min_u64(length, sizeof(head));
    int fd, r;

    if (s->create || !(s->unwrap || image_file_named_packed(s->path)) ||
        image_file_read(im, im->nfiles - 1, 0, head, n) || !unwrap_is_packed(head, n))
        return 0;
    if (s->write)
        return err_set(e, -EROFS, "%s: is compressed, and so can only be read", s->path);
    length = 0;
    fd = unwrap_target(e);
    r = fd < 0 ? fd : unwrap(fd, im, im->nfiles - 1, &length, e);
    if (r) {
        if (fd >= 0)
            close(fd);
        return r;
    }
    image_file_close(f);
    f->fd = fd;
    f->at = f->offset;
    f->packed = f->window ? atomic_load(&f->length) : 0;
    f->offset = 0;
    f->window = f->unpacked = true;
    atomic_store(&f->length, length);
    return 0;
}

int image_file_add(struct image *im, const struct image_file_spec *s, struct err *e)
{
    int fd, r, more, how = O_CLOEXEC | O_NOCTTY;

    how |= s->write ? O_RDWR : O_RDONLY | O_NONBLOCK; /* a FIFO must not hold us */
    if (s->create)
        how |= O_CREAT | O_EXCL;
    fd = open(s->path, how, 0666);
    if (fd < 0)
        return err_set(e, -errno, "%s: %s", s->path, strerror(errno));
    r = image_file_adopt(im, fd, s, e);
    if (r < 0) {
        close(fd);
        return r;
    }
    more = image_file_pieces(im, (u32)r, s->pieces, e);
    if (!more)
        more = image_file_unwrap(im, s, e);
    return more ? more : r;
}

/* Does `name`, below `dir`, lead to a file without leaving it or following a link out? */
static int image_file_beneath(const char *dir, const char *name)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    int at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, r = 0;
    struct stat st;

    if (at < 0)
        return -errno;
    fd = (int)syscall(SYS_openat2, at, name, &how, sizeof(how));
    if (fd < 0)
        r = -errno;
    else if (fstat(fd, &st))
        r = -errno;
    else if (!S_ISREG(st.st_mode))
        r = -EINVAL;
    if (fd >= 0)
        close(fd);
    close(at);
    return r;
}

/* Names that are no file names: URLs, QEMU's json: and protocols, device name spaces. */
static bool image_file_is_foreign(const char *name)
{
    static const char *const bad[] = { "json:", "fd:", "nbd:", "\\\\?\\", "\\\\.\\", "//?/" };

    if (strstr(name, "://"))
        return true;
    for (size_t i = 0; i < LEN(bad); i++)
        if (!strncasecmp(name, bad[i], strlen(bad[i])))
            return true;
    return false;
}

/* The file, or the same file compressed. */
static int image_file_beside(const struct image *im, const char *dir, const char *shown,
                             const char *name, char **path)
{
    bool checked = !(im->flags & IMAGE_UNSAFE_PATHS);
    int first = 0;

    for (size_t i = 0; i <= LEN(packed_ends); i++) {
        char *whole, *last;
        int r;

        if (asprintf(&whole, "%s/%s%s", shown, name, i ? packed_ends[i - 1] : "") < 0)
            return -ENOMEM;
        last = whole + strlen(shown) + 1;
        r = checked ? image_file_beneath(dir, last) : access(whole, F_OK) ? -ENOENT : 0;
        if (!r) {
            *path = whole;
            return 0;
        }
        free(whole);
        if (!i)
            first = r;
        if (r != -ENOENT)
            break;
    }
    return first;
}

int image_file_find(const struct image *im, const char *name, char **path, struct err *e)
{
    const char *self = im->files[0].path, *slash = strrchr(self, '/'), *last = name;
    bool drive = ((name[0] | 32) >= 'a' && (name[0] | 32) <= 'z' && name[1] == ':');
    char *dir;
    int r;

    if (!*name || image_file_is_foreign(name))
        return err_set(e, -EPERM, "%s: names \"%.100s\", which is not the name of a file", self,
                       name);
    if (name[0] == '/' && im->flags & IMAGE_UNSAFE_PATHS)
        return (*path = strdup(name)) ? 0 : -ENOMEM;
    if (name[0] == '/' || name[0] == '\\' || drive) {
        for (const char *p = name; *p; p++)
            if ((*p == '/' || *p == '\\' || (drive && p == name + 1)) && p[1])
                last = p + 1;
        log_warn("%s: names \"%s\"; looked for beside it as \"%s\"", self, name, last);
    }
    dir = slash ? strndup(self, slash == self ? 1 : (size_t)(slash - self)) : strdup(".");
    if (!dir)
        return err_set(e, -ENOMEM, "no memory");
    r = image_file_beside(im, dir, slash ? dir : ".", last, path);
    if (r)
        err_set(e, r, "%s: names \"%.100s\": %s", self, name,
                r == -EXDEV ? "leads out of its directory" : strerror(-r));
    free(dir);
    return r;
}

void image_file_drop_all(struct image *im)
{
    for (u32 i = 0; i < im->nfiles; i++) {
        image_file_close(&im->files[i]);
        free(im->files[i].path);
    }
    free(im->files);
    im->files = NULL;
    im->nfiles = 0;
}

u64 image_file_length(const struct image *im, u32 file)
{
    const struct image_file *f = &im->files[file];

    return max_u64(atomic_load_explicit(&f->length, memory_order_relaxed),
                   atomic_load_explicit(&f->filled, memory_order_relaxed));
}

/* The piece that holds byte `at`: its descriptor, the place in it, and how far it reaches. */
static int image_file_at(const struct image_file *f, u64 at, u64 *place, u64 *reach)
{
    u32 low = 0, high = f->nmore;

    while (low < high) { /* how many further pieces begin at or before it? */
        u32 middle = low + (high - low) / 2;

        if (f->more[middle].at <= at)
            low = middle + 1;
        else
            high = middle;
    }
    *reach = low < f->nmore ? f->more[low].at - at : UINT64_MAX;
    if (!low) {
        *place = f->offset + at;
        return f->fd;
    }
    *place = f->more[low - 1].offset + (at - f->more[low - 1].at);
    return f->more[low - 1].fd;
}

int image_file_readv(const struct image *im, u32 file, u64 at, const struct iovec *v, int n)
{
    const struct image_file *f = &im->files[file];
    u64 len = 0, done = 0, have, end = image_file_length(im, file);

    for (int i = 0; i < n; i++)
        len += v[i].iov_len;
    have = at >= end ? 0 : min_u64(len, end - at);
    while (done < have) {
        struct iovec part[64];
        u64 some, place, reach;
        int fd = image_file_at(f, at + done, &place, &reach);
        int k = iov_part(v, n, done, min_u64(have - done, reach), part, LEN(part), &some);
        ssize_t got = preadv(fd, part, k, (off_t)place);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (!got)
            break; /* somebody cut the file short */
        done += (u64)got;
    }
    iov_zero(v, n, done, len - done);
    return 0;
}

int image_file_read(const struct image *im, u32 file, u64 at, void *p, size_t n)
{
    struct iovec v = { p, n };

    if (!range_ok(at, n, image_file_length(im, file)))
        return -EIO;
    return image_file_readv(im, file, at, &v, 1);
}

int image_file_writev(struct image *im, u32 file, u64 at, const struct iovec *v, int n)
{
    struct image_file *f = &im->files[file];
    u64 len = 0, done = 0, end;

    for (int i = 0; i < n; i++)
        len += v[i].iov_len;
    if (f->window || at > INT64_MAX - len)
        return -EPERM;
    while (done < len) {
        struct iovec part[64];
        u64 some;
        int k = iov_part(v, n, done, len - done, part, LEN(part), &some);
        ssize_t got;

        pthread_mutex_lock(&im->pen);
        got = pwritev(f->fd, part, k, (off_t)(at + done));
        pthread_mutex_unlock(&im->pen);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        done += (u64)got;
    }
    end = atomic_load(&f->length);
    while (at + len > end && !atomic_compare_exchange_weak(&f->length, &end, at + len))
        ;
    if (im->tap)
        im->tap->wrote(im->tap->arg, file, at, v, n);
    return 0;
}

int image_file_write(struct image *im, u32 file, u64 at, const void *p, size_t n)
{
    struct iovec v = { (void *)p, n };

    return image_file_writev(im, file, at, &v, 1);
}

int image_file_extend(struct image *im, u32 file, u64 length)
{
    return length > image_file_length(im, file) ? image_file_cut(im, file, length) : 0;
}

int image_file_cut(struct image *im, u32 file, u64 length)
{
    struct image_file *f = &im->files[file];

    if (f->window || length > INT64_MAX)
        return -EPERM;
    if (ftruncate(f->fd, (off_t)length))
        return -errno;
    atomic_store(&f->length, length);
    if (im->tap)
        im->tap->sized(im->tap->arg, file, length);
    return 0;
}

int image_file_zero(struct image *im, u32 file, u64 at, u64 len)
{
    static const u8 zero[65536];
    struct image_file *f = &im->files[file];
    u64 end = atomic_load(&f->length); /* room that was made behind it is zero already */
    int r = 0;

    len = at < end ? min_u64(len, end - at) : 0;
    if (!len || f->window)
        return len ? -EPERM : 0;
    if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len)) {
        for (u64 n; !r && len; at += n, len -= n) {
            n = min_u64(len, sizeof(zero));
            r = image_file_write(im, file, at, zero, n);
        }
        return r;
    }
    if (im->tap)
        im->tap->zeroed(im->tap->arg, file, at, len);
    return 0;
}

int image_file_sync(struct image *im)
{
    if (im->fresh)
        return 0;
    for (u32 i = 0; i < im->nfiles; i++)
        if (!im->files[i].window && fdatasync(im->files[i].fd) && errno != EINVAL)
            return -errno;
    if (im->tap)
        im->tap->synced(im->tap->arg);
    return 0;
}
