/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a new image is made: a directory beside its future place, with all its files under
 * the names that they will have.  When it is whole and on the disk each is linked to its
 * place, the one that was asked for last; nothing that exists is replaced, but for that one
 * when it may be.
 */
#include "image/image_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *stage_last(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Only a file gives way to a file. */
static bool stage_is_free(const char *target, bool replace)
{
    struct stat st;

    return lstat(target, &st) || (replace && S_ISREG(st.st_mode));
}

int stage_new(struct image_stage *p, const char *target, bool replace, struct err *e)
{
    *p = (struct image_stage){ .target = target, .replace = replace };
    if (!stage_is_free(target, replace))
        return err_set(e, -EEXIST, "%s: exists already", target);
    if (!*stage_last(target))
        return err_set(e, -EISDIR, "%s: is a directory", target);
    if (asprintf(&p->dir, "%s.partXXXXXX", target) < 0) {
        p->dir = NULL;
        return err_set(e, -ENOMEM, "%s: no memory", target);
    }
    if (!mkdtemp(p->dir)) {
        int r = err_set(e, -errno, "%s: %s", target, strerror(errno));

        free(p->dir);
        p->dir = NULL;
        return r;
    }
    if (asprintf(&p->path, "%s/%s", p->dir, stage_last(target)) < 0) {
        p->path = NULL;
        stage_drop(p);
        return err_set(e, -ENOMEM, "%s: no memory", target);
    }
    return 0;
}

/* Call `each` for every file in the place. */
static int stage_walk(struct image_stage *p, int (*each)(struct image_stage *p, const char *name))
{
    DIR *d = opendir(p->dir);
    struct dirent *f;
    int r = 0;

    if (!d)
        return -errno;
    while (!r && (f = readdir(d)))
        if (strcmp(f->d_name, ".") && strcmp(f->d_name, ".."))
            r = each(p, f->d_name);
    closedir(d);
    return r;
}

static int stage_path(const struct image_stage *p, const char *name, bool final, char **path)
{
    int n =
        final ? asprintf(path, "%.*s%s", (int)(stage_last(p->target) - p->target), p->target, name)
              : asprintf(path, "%s/%s", p->dir, name);

    return n < 0 ? -ENOMEM : 0;
}

static int stage_sync(struct image_stage *p, const char *name)
{
    char *path;
    int fd, r = stage_path(p, name, false, &path);

    if (r)
        return r;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return -errno;
    r = fsync(fd) ? -errno : 0;
    close(fd);
    return r;
}

static int stage_link(struct image_stage *p, const char *name, bool replace)
{
    char *from = NULL, *to = NULL;
    int r = stage_path(p, name, false, &from);

    r = r ? r : stage_path(p, name, true, &to);
    if (!r && (replace ? rename(from, to) : link(from, to)))
        r = -errno;
    free(from);
    free(to);
    return r;
}

/* All but the one that was asked for: it says that the rest is there. */
static int stage_link_other(struct image_stage *p, const char *name)
{
    int r = strcmp(name, stage_last(p->target)) ? stage_link(p, name, false) : 0;

    p->linked += !r;
    return r;
}

/* Is the file at the final place the one that we put there?  Then take it away again. */
static int stage_unlink_other(struct image_stage *p, const char *name)
{
    char *path;

    if (!p->linked)
        return 0;
    p->linked--;
    if (strcmp(name, stage_last(p->target)) && !stage_path(p, name, true, &path)) {
        unlink(path);
        free(path);
    }
    return 0;
}

static int stage_unlink(struct image_stage *p, const char *name)
{
    char *path;

    if (!stage_path(p, name, false, &path)) {
        unlink(path);
        free(path);
    }
    return 0;
}

static void stage_sync_dir(const struct image_stage *p)
{
    size_t n = (size_t)(stage_last(p->target) - p->target);
    char *dir = n ? strndup(p->target, n) : strdup(".");
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(dir);
}

int stage_commit(struct image_stage *p, struct err *e)
{
    int r = stage_walk(p, stage_sync);

    p->linked = 0;
    if (!r)
        r = stage_walk(p, stage_link_other);
    if (!r)
        r = stage_link(p, stage_last(p->target), p->replace);
    if (r && p->linked)
        stage_walk(p, stage_unlink_other); /* the directory is read in the same order */
    if (!r)
        stage_sync_dir(p);
    stage_drop(p);
    return r ? err_set(e, r, "%s: %s", p->target, strerror(-r)) : 0;
}

void stage_drop(struct image_stage *p)
{
    if (p->dir) {
        stage_walk(p, stage_unlink);
        rmdir(p->dir);
    }
    free(p->dir);
    free(p->path);
    p->dir = p->path = NULL;
}

int stage_fail(struct image_stage *p, int r, struct err *e)
{
    char *at = e && p->path ? strstr(e->text, p->path) : NULL;
    char rest[sizeof(e->text)];

    if (at) {
        snprintf(rest, sizeof(rest), "%s%s", p->target, at + strlen(p->path));
        snprintf(at, sizeof(e->text) - (size_t)(at - e->text), "%s", rest);
    }
    stage_drop(p);
    return r;
}
