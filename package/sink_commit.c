/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The end of writing: everything on the disk, then its name, the descriptor's last. */
#include "package/sink_int.h"
#include "package/source.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int commit_error(const char *path, struct err *e)
{
    int code = errno;

    return err_set(e, -code, "%s: %s", path, code == EEXIST ? "exists already" : strerror(code));
}

/* File systems that cannot refuse to replace are asked first. */
static int commit_rename(const char *from, const char *to, struct err *e)
{
    if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return commit_error(to, e);
    if (!faccessat(AT_FDCWD, to, F_OK, AT_SYMLINK_NOFOLLOW)) {
        errno = EEXIST;
        return commit_error(to, e);
    }
    return rename(from, to) ? commit_error(to, e) : 0;
}

static int commit_sync(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY), r = 0;

    if (fd < 0)
        return commit_error(path, e);
    if (fsync(fd) && errno != EINVAL)
        r = commit_error(path, e);
    close(fd);
    return r;
}

static const char *commit_parent(struct sink *s)
{
    const char *base = source_base(s->path);

    return base == s->path ? "." : arena_text(&s->arena, s->path, (size_t)(base - s->path));
}

/* Move what is in the directory out of it; what was moved goes back when one cannot. */
static int commit_beside(struct sink *s, const char *parent, struct err *e)
{
    struct sink_file *names = NULL, *f;
    DIR *d = opendir(s->temp);
    const struct dirent *x;
    char from[PATH_MAX], to[PATH_MAX];
    int r = d ? 0 : commit_error(s->temp, e);

    while (!r && (x = readdir(d))) {
        if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, "..") || !strcmp(x->d_name, s->main))
            continue;
        f = arena_new(&s->arena, sizeof(*f));
        if (!f || !(f->name = arena_text(&s->arena, x->d_name, strlen(x->d_name)))) {
            r = err_set(e, -ENOMEM, "no memory");
            break;
        }
        f->next = names;
        names = f;
        snprintf(from, sizeof(from), "%s/%s", s->temp, f->name);
        snprintf(to, sizeof(to), "%s/%s", parent, f->name);
        r = commit_rename(from, to, e);
        f->size = r == 0; /* it was moved */
    }
    if (d)
        closedir(d);
    snprintf(from, sizeof(from), "%s/%s", s->temp, s->main);
    r = r ? r : commit_rename(from, s->path, e);
    for (f = r ? names : NULL; f; f = f->next) {
        snprintf(from, sizeof(from), "%s/%s", s->temp, f->name);
        snprintf(to, sizeof(to), "%s/%s", parent, f->name);
        if (f->size && rename(to, from))
            err_in(e, "%s is left; ", to);
    }
    return r;
}

static int commit_archive(struct sink *s, struct err *e)
{
    char from[PATH_MAX];
    int r = sink_tar_close(s, e);

    if (r || s->kind == SINK_PIPE)
        return r;
    if (fsync(s->fd))
        return commit_error(s->path, e);
    snprintf(from, sizeof(from), "%s/" SINK_ARCHIVE, s->temp);
    return commit_rename(from, s->path, e);
}

static int commit_all(struct sink *s, struct err *e)
{
    const char *parent = commit_parent(s);
    int r;

    if (!parent)
        return err_set(e, -ENOMEM, "no memory");
    switch (s->kind) {
    case SINK_NOWHERE:
    case SINK_PRINT:
        return 0;
    case SINK_PIPE:
        return commit_archive(s, e);
    case SINK_TAR:
        r = commit_archive(s, e);
        break;
    case SINK_FOLDER:
        r = commit_sync(s->temp, e);
        r = r ? r : commit_rename(s->temp, s->path, e);
        break;
    default:
        r = commit_beside(s, parent, e);
    }
    return r ? r : commit_sync(parent, e);
}

int sink_commit(struct sink *s, struct err *e)
{
    int r = commit_all(s, e);

    sink_drop(s);
    return r;
}
