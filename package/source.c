/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of a package: beside its descriptor, or inside an archive. */
#include "package/source_int.h"
#include "package/stream.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SOURCE_FILES_MAX 8192
#define SOURCE_MEMORY (64u << 20)

bool source_has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);

    return n >= m && !strcasecmp(name + n - m, suffix);
}

const char *source_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int source_add(struct source *s, const char *name, size_t n, u64 offset, u64 size, struct err *e)
{
    struct source_file *f, **last = &s->files;

    for (; *last; last = &(*last)->next)
        if (strlen((*last)->name) == n && !memcmp((*last)->name, name, n))
            return err_set(e, -EEXIST, "%s: \"%.*s\" is in it twice", s->path, (int)n, name);
    if (s->nfiles++ >= SOURCE_FILES_MAX)
        return err_set(e, -E2BIG, "%s: more than %d files", s->path, SOURCE_FILES_MAX);
    f = arena_new(&s->arena, sizeof(*f));
    if (!f || !(f->name = arena_text(&s->arena, name, n)))
        return err_set(e, -ENOMEM, "%s: its list of files is too long", s->path);
    f->path = s->data;
    f->offset = offset;
    f->size = size;
    *last = f;
    return 0;
}

int source_temp(struct err *e)
{
    const char *dir = getenv("TMPDIR");
    int fd = open(dir && *dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0) /* a file system without nameless files */
        fd = memfd_create("package", MFD_CLOEXEC);
    return fd >= 0 ? fd : err_set(e, -errno, "a temporary file: %s", strerror(errno));
}

/* What comes down a pipe is put into a file first: readers look at any place. */
static int source_slurp(struct source *s, int in, const struct buf *head, struct err *e)
{
    size_t room = 1u << 20;
    u8 *p = malloc(room);
    ssize_t n = 1;
    int r = p ? 0 : err_set(e, -ENOMEM, "no memory");

    s->held = r ? -1 : source_temp(e);
    r = s->held < 0 ? -ENOMEM : 0;
    if (!r && head->len && write(s->held, head->p, head->len) != (ssize_t)head->len)
        r = err_set(e, -errno, "a temporary file: %s", strerror(errno));
    while (!r && n) {
        n = read(in, p, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || (n && write(s->held, p, (size_t)n) != n))
            r = err_set(e, -errno, "%s: %s", n < 0 ? "standard input" : "a temporary file",
                        strerror(errno));
    }
    free(p);
    return r;
}

/* From here on the bytes are those of the nameless file. */
static int source_use_held(struct source *s, int *fd, struct err *e)
{
    if (s->held < 0)
        return 0;
    s->data = arena_print(&s->arena, "/proc/self/fd/%d", s->held);
    *fd = s->held;
    return s->data ? 0 : err_set(e, -ENOMEM, "no memory");
}

static int source_list(struct source *s, int fd, struct err *e)
{
    struct stat st;
    u8 head[512];
    ssize_t n;

    if (fstat(fd, &st))
        return err_set(e, -errno, "%s: %s", s->path, strerror(errno));
    n = pread(fd, head, sizeof(head), 0);
    if (n == sizeof(head) && tar_is(head)) {
        s->kind = SOURCE_TAR;
        return tar_list(s, fd, (u64)st.st_size, e);
    }
    if (n == sizeof(head) && zip_is(head)) {
        s->kind = SOURCE_TAR;
        return zip_list(s, fd, (u64)st.st_size, e);
    }
    s->kind = SOURCE_FILES;
    n = (ssize_t)strlen(source_base(s->path));
    if (source_add(s, source_base(s->path), (size_t)n, 0, (u64)st.st_size, e))
        return -ENOMEM;
    s->main = s->files;
    return 0;
}

static int source_open_fd(struct source *s, int fd, struct err *e)
{
    struct stat st;
    int r = 0;

    if (fstat(fd, &st))
        return err_set(e, -errno, "%s: %s", s->path, strerror(errno));
    if (!strcmp(s->path, "-") && !S_ISREG(st.st_mode)) {
        struct buf head = { 0 };

        r = s->how && s->how->pull ? stream_begin(s, &head, e) : -EMEDIUMTYPE;
        if (!r) {
            buf_fini(&head);
            return 0;
        }
        r = r == -EMEDIUMTYPE ? source_slurp(s, fd, &head, e) : r;
        buf_fini(&head);
    } else if (!S_ISREG(st.st_mode))
        return err_set(e, -ENOENT, "%s: is no file", s->path);
    else if (!strcmp(s->path, "-"))
        s->data = "/proc/self/fd/0";
    r = r ? r : source_use_held(s, &fd, e);
    if (!r && packed_is_archive(fd)) {
        r = packed_open(s, e);
        r = r ? r : source_use_held(s, &fd, e);
    }
    return r ? r : source_list(s, fd, e);
}

/* Up to the last slash, which only the root keeps. */
static const char *source_dir(struct arena *a, const char *path)
{
    size_t n = (size_t)(source_base(path) - path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    return arena_text(a, path, n);
}

int source_open(struct source *s, const char *path, struct err *e)
{
    return source_open_as(s, path, NULL, e);
}

int source_open_as(struct source *s, const char *path, const struct package_options *how,
                   struct err *e)
{
    bool pipe = !strcmp(path, "-");
    int fd = pipe ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;

    *s = (struct source){ .arena = { .limit = SOURCE_MEMORY }, .held = -1, .how = how };
    if (fd < 0)
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    s->path = s->data = arena_text(&s->arena, path, strlen(path));
    s->dir = source_base(path) == path ? "." : source_dir(&s->arena, path);
    r = s->path && s->dir ? source_open_fd(s, fd, e) : err_set(e, -ENOMEM, "%s: no memory", path);
    if (!pipe)
        close(fd);
    if (r)
        source_close(s);
    return r;
}

void source_close(struct source *s)
{
    if (s->held >= 0)
        close(s->held);
    arena_fini(&s->arena);
    *s = (struct source){ .held = -1 };
}

/* A file beside the descriptor: below its directory, never by a link that leads out. */
static int source_look(struct source *s, const char *name, struct err *e)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    int dir = open(s->dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, r = 0;
    struct source_file *f;
    struct stat st;

    if (dir < 0)
        return err_set(e, -errno, "%s: %s", s->dir, strerror(errno));
    fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
    if (fd < 0 || fstat(fd, &st))
        r = -errno;
    if (fd >= 0)
        close(fd);
    close(dir);
    if (r == -EXDEV || r == -ELOOP)
        return err_set(e, -EPERM, "%s: \"%.100s\" leads out of its directory", s->path, name);
    if (r)
        return err_set(e, r, "%s: \"%.100s\": %s", s->path, name, strerror(-r));
    if (!S_ISREG(st.st_mode))
        return err_set(e, -EPERM, "%s: \"%.100s\" is no file", s->path, name);
    r = source_add(s, name, strlen(name), 0, (u64)st.st_size, e);
    if (r)
        return r;
    for (f = s->files; f->next; f = f->next)
        ;
    f->path = arena_print(&s->arena, "%s/%s", s->dir, name);
    return f->path ? 0 : err_set(e, -ENOMEM, "%s: no memory", s->path);
}

/* It may still come down the pipe: whoever needs its bytes will see. */
static int source_promise(struct source *s, const char *name, const struct source_file **found,
                          struct err *e)
{
    struct source_file *f;
    int r = source_add(s, name, strlen(name), 0, 0, e);

    if (r)
        return r;
    for (f = s->files; f->next; f = f->next)
        ;
    f->path = STREAM_PATH;
    *found = f;
    return 0;
}

static const struct source_file *source_listed(const struct source *s, const char *name)
{
    const struct source_file *f = s->files;

    while (f && strcmp(f->name, name))
        f = f->next;
    return f;
}

int source_find(struct source *s, const char *name, const struct source_file **found, struct err *e)
{
    char whole[2048] = "";
    int r;

    *found = NULL;
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    if (!*name || strstr(name, "://") || name[0] == '/')
        return err_set(e, -EPERM, "%s: \"%.100s\" is not the name of a file in the package",
                       s->path, name);
    if (s->folder && strlen(s->folder) <= 1000 && strlen(name) <= 1000)
        snprintf(whole, sizeof(whole), "%.1000s%.1000s", s->folder, name);
    for (int pass = 0; pass < 2; pass++) {
        if (*whole && (*found = source_listed(s, whole)))
            return 0;
        if ((*found = source_listed(s, name)))
            return 0;
        if (s->pipe)
            return source_promise(s, *whole ? whole : name, found, e);
        if (s->kind == SOURCE_TAR)
            break;
        if ((r = source_look(s, name, e)))
            return r;
    }
    return err_set(e, -ENOENT, "%s: there is no \"%.100s\" in it", s->path, name);
}

int source_read(const struct source_file *f, u64 at, void *p, size_t n, struct err *e)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC), r = 0;
    u8 *to = p;

    if (fd < 0)
        return err_set(e, -errno, "%s: %s", f->path, strerror(errno));
    if (!range_ok(at, n, f->size))
        r = -EIO;
    while (!r && n) {
        ssize_t got = pread(fd, to, n, (off_t)(f->offset + at));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            r = got ? -errno : -EIO;
            break;
        }
        to += got;
        at += (u64)got;
        n -= (size_t)got;
    }
    close(fd);
    return r ? err_set(e, r, "%s: \"%s\": %s", f->path, f->name, strerror(-r)) : 0;
}

bool source_head(const struct source_file *f, char *text, size_t room)
{
    size_t n = (size_t)min_u64(f->size, room - 1);

    text[n] = 0;
    return !source_read(f, 0, text, n, NULL) && !memchr(text, 0, n);
}

int source_load(const struct source_file *f, u64 most, struct buf *b, struct err *e)
{
    u8 *to;
    int r;

    *b = (struct buf){ 0 };
    if (f->size > most)
        return err_set(e, -E2BIG, "%s: \"%s\" has %llu bytes, %llu are the most", f->path, f->name,
                       (unsigned long long)f->size, (unsigned long long)most);
    to = buf_room(b, f->size + 1);
    if (!to)
        return err_set(e, -ENOMEM, "%s: no memory", f->path);
    b->len--;
    r = source_read(f, 0, to, f->size, e);
    if (r)
        buf_fini(b);
    return r;
}
