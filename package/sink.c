/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a package is written.  What is being made lies beside the target in a directory or an
 * archive of its own, "TARGET.partN"; the commit gives it its name.
 */
#include "package/sink_int.h"
#include "package/source.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char sink_making[PATH_MAX]; /* what the last sink makes: see sink_abandon */

const char *sink_temp_dir(void)
{
    const char *dir = getenv("TMPDIR");

    return dir && *dir ? dir : "/var/tmp";
}

/* At `at`, or where a pipe stands (UINT64_MAX). */
int sink_write(const struct sink *s, int fd, u64 at, const void *p, size_t n, struct err *e)
{
    const u8 *from = p;

    while (n) {
        ssize_t done = at == UINT64_MAX ? write(fd, from, n) : pwrite(fd, from, n, (off_t)at);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return err_set(e, done ? -errno : -EIO, "%s: %s", s->path,
                           done ? strerror(errno) : "nothing can be written");
        from += done;
        n -= (size_t)done;
        at += at == UINT64_MAX ? 0 : (u64)done;
    }
    return 0;
}

struct sink_file *sink_find(const struct sink *s, const char *name)
{
    struct sink_file *f = s->files;

    while (f && strcmp(f->name, name))
        f = f->next;
    return f;
}

static bool sink_name_ok(const char *name)
{
    return *name && *name != '/' && strcmp(name, "..") && strncmp(name, "../", 3) &&
           !strstr(name, "/../") && !source_has_suffix(name, "/..");
}

/* Seen early: before a disk was written for nothing. */
static bool sink_taken(const struct sink *s, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%.*s%s", (int)(source_base(s->path) - s->path), s->path, name);
    return !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);
}

struct sink_file *sink_add(struct sink *s, const char *name, struct err *e)
{
    struct sink_file *f;

    if (!sink_name_ok(name)) {
        err_set(e, -EINVAL, "\"%.100s\" cannot be the name of a file in a package", name);
        return NULL;
    }
    if (sink_find(s, name)) {
        err_set(e, -EEXIST, "%s: two files would be named \"%s\"", s->path, name);
        return NULL;
    }
    f = arena_new(&s->arena, sizeof(*f));
    if (!f || !(f->name = arena_text(&s->arena, name, strlen(name)))) {
        err_set(e, -ENOMEM, "no memory");
        return NULL;
    }
    if (s->kind == SINK_BESIDE && sink_taken(s, name)) {
        err_set(e, -EEXIST, "%.*s%s: exists already", (int)(source_base(s->path) - s->path),
                s->path, name);
        return NULL;
    }
    *s->last = f;
    s->last = &f->next;
    return f;
}

const struct package_options *sink_options(const struct sink *s)
{
    return s->o;
}

const char *sink_name(const struct sink *s)
{
    return s->name;
}

const char *sink_main(const struct sink *s)
{
    return s->main;
}

bool sink_is_archive(const struct sink *s)
{
    return s->kind == SINK_TAR || s->kind == SINK_PIPE;
}

u64 sink_size(const struct sink *s, const char *name)
{
    const struct sink_file *f = sink_find(s, name);

    return f ? f->size : 0;
}

const char *sink_algorithm(const struct sink *s)
{
    const char *a = s->o->digest;

    if (!s->f->digests || (a && !strcmp(a, "none")))
        return NULL;
    return a ? a : "sha256";
}

/* A directory with everything in it: ours, so links in it are ours too. */
static void sink_remove(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *x;

    while (d && (x = readdir(d))) {
        char path[PATH_MAX];

        if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, x->d_name);
        if (unlink(path) && errno == EISDIR)
            sink_remove(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

void sink_abandon(void)
{
    if (sink_making[0])
        sink_remove(sink_making);
}

/* What kind of target, what it is called, and where it is made. */
static int sink_plan(struct sink *s, struct err *e)
{
    const char *base = source_base(s->path), *suffix = s->f->suffix;
    size_t n = strlen(s->path), cut = 0;

    if (!*s->path) {
        s->kind = SINK_NOWHERE;
        base = "vm";
    } else if (!strcmp(s->path, "-")) {
        s->kind = s->f->archive && !s->o->no_disks ? SINK_PIPE : SINK_PRINT;
        base = "vm";
        if (s->kind == SINK_PRINT && !s->o->no_disks)
            return err_set(e, -EINVAL, "%s goes down a pipe only without its disks: --no-disks",
                           s->f->name);
    } else if (s->f->archive && source_has_suffix(s->path, s->f->archive)) {
        s->kind = SINK_TAR;
        cut = strlen(s->f->archive);
    } else if (suffix && source_has_suffix(s->path, suffix)) {
        s->kind = SINK_BESIDE;
        cut = strlen(suffix);
    } else {
        s->kind = suffix ? SINK_FOLDER : SINK_TAR;
        while (n > 1 && s->path[n - 1] == '/')
            n--;
        s->path = arena_text(&s->arena, s->path, n);
        base = s->path ? source_base(s->path) : "";
        if (s->f->folder && source_has_suffix(base, s->f->folder))
            cut = strlen(s->f->folder);
    }
    s->name = arena_text(&s->arena, base, strlen(base) - cut);
    s->main = arena_print(&s->arena, "%s%s", s->name ? s->name : "", suffix ? suffix : "");
    s->temp = s->kind == SINK_PIPE
                  ? arena_print(&s->arena, "%s/mimic-part%d", sink_temp_dir(), (int)getpid())
                  : arena_print(&s->arena, "%s.part%d", s->path ? s->path : "", (int)getpid());
    if (!s->path || !s->name || !s->main || !s->temp)
        return err_set(e, -ENOMEM, "no memory");
    if (s->kind == SINK_FOLDER && s->f->main)
        s->main = s->f->main;
    if (s->kind == SINK_BESIDE)
        s->main = base; /* the suffix in the case that the user wrote */
    return *s->name ? 0 : err_set(e, -EINVAL, "%s: has no name before its suffix", s->path);
}

/* The directory that the package goes into, when only that is missing: "vm/web.vmx". */
static void sink_make_home(struct sink *s)
{
    char home[PATH_MAX], *slash;

    snprintf(home, sizeof(home), "%s", s->path);
    slash = strrchr(home, '/');
    if (!slash || slash == home)
        return;
    *slash = 0;
    if (!mkdir(home, 0777))
        s->home = arena_text(&s->arena, home, strlen(home));
}

static int sink_make(struct sink *s, struct err *e)
{
    char path[PATH_MAX];

    if (s->kind == SINK_PRINT || s->kind == SINK_NOWHERE) {
        s->temp = NULL;
        s->fd = s->kind == SINK_PRINT ? STDOUT_FILENO : -1;
        return 0;
    }
    if (s->kind != SINK_PIPE && !faccessat(AT_FDCWD, s->path, F_OK, AT_SYMLINK_NOFOLLOW)) {
        s->temp = NULL;
        return err_set(e, -EEXIST, "%s: exists already", s->path);
    }
    if (s->kind != SINK_PIPE)
        sink_make_home(s);
    if (mkdir(s->temp, s->kind == SINK_PIPE ? 0700 : 0777)) {
        err_set(e, -errno, "%s: %s", s->kind == SINK_PIPE ? s->temp : s->path, strerror(errno));
        s->temp = NULL;
        return e->code;
    }
    snprintf(sink_making, sizeof(sink_making), "%s", s->temp);
    if (s->kind == SINK_PIPE)
        s->fd = STDOUT_FILENO;
    if (s->kind != SINK_TAR)
        return 0;
    snprintf(path, sizeof(path), "%s/" SINK_ARCHIVE, s->temp);
    s->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return s->fd < 0 ? err_set(e, -errno, "%s: %s", s->path, strerror(errno)) : 0;
}

int sink_open(struct sink **to, const char *path, const struct package_format *f,
              const struct package_options *o, struct err *e)
{
    struct sink *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return err_set(e, -ENOMEM, "no memory");
    *s = (struct sink){ .o = o, .f = f, .path = path, .fd = -1, .last = &s->files };
    if (f->digests && o->digest && strcmp(o->digest, "none") && !sink_digest_is(o->digest))
        r = err_set(e, -EINVAL, "\"%s\" is no digest: sha1, sha256 and sha512 are", o->digest);
    else if (!(r = sink_plan(s, e)) && o->no_disks && s->kind == SINK_TAR)
        r = err_set(e, -EINVAL, "%s: an archive cannot leave its disks where they are", path);
    if (r)
        s->temp = NULL;
    r = r ? r : sink_make(s, e);
    if (r)
        sink_drop(s);
    else
        *to = s;
    return r;
}

static void sink_free(struct sink *s)
{
    if (s->fd > STDERR_FILENO)
        close(s->fd);
    arena_fini(&s->arena);
    free(s);
}

void sink_drop(struct sink *s)
{
    sink_abandon();
    if (s->home)
        rmdir(s->home);
    sink_free(s);
}

/* Directories that a member's name asks for ("disks/a.img"). */
static void sink_make_dirs(const char *root, const char *name)
{
    char path[PATH_MAX];

    for (const char *p = strchr(name, '/'); p; p = strchr(p + 1, '/')) {
        snprintf(path, sizeof(path), "%s/%.*s", root, (int)(p - name), name);
        mkdir(path, 0777);
    }
}

static int sink_store(struct sink *s, const char *name, const void *p, size_t n, struct err *e)
{
    char path[PATH_MAX];
    int fd, r;

    snprintf(path, sizeof(path), "%s/%s", s->temp, name);
    sink_make_dirs(s->temp, name);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set(e, -errno, "%s: %s: %s", s->path, name, strerror(errno));
    r = sink_write(s, fd, 0, p, n, e);
    if (!r && fsync(fd))
        r = err_set(e, -errno, "%s: %s: %s", s->path, name, strerror(errno));
    close(fd);
    return r;
}

int sink_hex(struct sink *s, struct sink_file *f, const void *p, size_t n, struct err *e)
{
    struct sink_digest *d;
    int r;

    if (!sink_algorithm(s))
        return 0;
    r = sink_digest_begin(&d, sink_algorithm(s), e);
    if (r)
        return r;
    sink_digest_add(d, p, n);
    return sink_digest_end(d, f->hex) ? err_set(e, -ENOMEM, "no memory for a digest") : 0;
}

int sink_text(struct sink *s, const char *name, const void *p, size_t n, struct err *e)
{
    struct sink_file *f;
    int r;

    if (sink_is_archive(s))
        return sink_tar_text(s, name, p, n, e);
    f = sink_add(s, name, e);
    if (!f)
        return e->code;
    f->size = n;
    if (s->kind == SINK_NOWHERE)
        return sink_hex(s, f, p, n, e);
    if (s->kind == SINK_PRINT)
        r = strcmp(name, s->main) ? 0 : sink_write(s, s->fd, UINT64_MAX, p, n, e);
    else
        r = sink_store(s, name, p, n, e);
    return r ? r : sink_hex(s, f, p, n, e);
}

int sink_reserve(struct sink *s, const char *name, size_t room, struct err *e)
{
    return sink_is_archive(s) ? sink_tar_reserve(s, name, room, e) : 0;
}

/* Bytes of a file into the sink: an archive's member or a file of its own, its digest with it. */
static int sink_pour(struct sink *s, int in, u64 at, u64 n, int out, struct sink_digest *d,
                     struct err *e)
{
    u8 *p = malloc(SINK_CHUNK);
    int r = p ? 0 : err_set(e, -ENOMEM, "no memory");

    for (u64 done = 0; !r && done < n;) {
        ssize_t got = pread(in, p, min_u64(SINK_CHUNK, n - done), (off_t)(at + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            r = err_set(e, got ? -errno : -EIO, "%s", got ? strerror(errno) : "ends too early");
            break;
        }
        r = out < 0 ? sink_tar_put(s, p, (size_t)got, e)
                    : sink_write(s, out, done, p, (size_t)got, e);
        if (d)
            sink_digest_add(d, p, (size_t)got);
        done += (u64)got;
    }
    free(p);
    return r;
}

static int sink_copy_fd(struct sink *s, const char *name, int in, u64 offset, u64 length,
                        struct err *e)
{
    struct sink_digest *d = NULL;
    struct sink_file *f;
    char path[PATH_MAX];
    int out = -1, r = 0;

    f = sink_is_archive(s) ? sink_tar_begin(s, name, length, e) : sink_add(s, name, e);
    if (!f)
        return e->code;
    f->size = length;
    if (!sink_is_archive(s)) {
        snprintf(path, sizeof(path), "%s/%s", s->temp, name);
        sink_make_dirs(s->temp, name);
        out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (out < 0)
            return err_set(e, -errno, "%s: %s: %s", s->path, name, strerror(errno));
    }
    if (sink_algorithm(s))
        r = sink_digest_begin(&d, sink_algorithm(s), e);
    r = r ? r : sink_pour(s, in, offset, length, out, d, e);
    if (d && sink_digest_end(d, f->hex) && !r)
        r = err_set(e, -ENOMEM, "no memory for a digest");
    if (out >= 0) {
        if (!r && fsync(out))
            r = err_set(e, -errno, "%s: %s: %s", s->path, name, strerror(errno));
        close(out);
    } else if (!r) {
        r = sink_tar_end(s, f, e);
    }
    return r;
}

int sink_copy(struct sink *s, const char *name, const char *path, u64 offset, u64 length,
              struct err *e)
{
    int fd, r;
    struct stat st;

    if (s->kind == SINK_PRINT)
        return 0;
    if (s->kind == SINK_NOWHERE)
        return sink_text(s, name, "", 0, e);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        r = err_set(e, -errno, "%s: %s", path, strerror(errno));
    } else {
        if (!length && (u64)st.st_size > offset)
            length = (u64)st.st_size - offset;
        r = range_ok(offset, length, (u64)st.st_size)
                ? sink_copy_fd(s, name, fd, offset, length, e)
                : err_set(e, -EIO, "%s: is shorter than it was", path);
    }
    if (fd >= 0)
        close(fd);
    return r;
}

const char *sink_digest(struct sink *s, const char *name, struct err *e)
{
    const struct sink_file *f = sink_find(s, name);

    if (f && f->hex[0])
        return f->hex;
    err_set(e, -ENOENT, "%s: no digest of it was asked for", name);
    return NULL;
}
