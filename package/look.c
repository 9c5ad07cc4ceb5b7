/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A directory that is a package: which of its files is the descriptor. */
#include "package/format.h"
#include "package/source.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOOK_MAX 4096 /* files of a directory that are looked at */
#define DESCRIPTOR_MAX (64 << 20)

/* The best descriptor at its top or a step below, and another that is as good. */
struct package_look {
    char best[PATH_MAX], second[PATH_MAX];
    int score;
};

static void package_look_file(struct package_look *l, const char *path)
{
    struct source s;
    int score = 0;

    if (source_open(&s, path, NULL))
        return;
    for (int i = 0; s.kind == SOURCE_FILES && package_catalog[i]; i++) {
        int one = package_catalog[i]->probe(&s);

        score = one > score ? one : score;
    }
    source_close(&s);
    if (score && score == l->score)
        snprintf(l->second, sizeof(l->second), "%s", path);
    if (score <= l->score)
        return;
    l->score = score;
    l->second[0] = 0;
    snprintf(l->best, sizeof(l->best), "%s", path);
}

static int package_look(struct package_look *l, const char *dir, int depth, u32 *seen)
{
    DIR *d = opendir(dir);
    const struct dirent *x;

    if (!d)
        return -errno;
    while ((x = readdir(d)) && ++*seen < LOOK_MAX) {
        char path[PATH_MAX];
        struct stat st;

        if (x->d_name[0] == '.' ||
            snprintf(path, sizeof(path), "%s/%s", dir, x->d_name) >= PATH_MAX ||
            fstatat(dirfd(d), x->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        if (S_ISDIR(st.st_mode) && !depth)
            package_look(l, path, depth + 1, seen);
        else if (S_ISREG(st.st_mode) && st.st_size < DESCRIPTOR_MAX)
            package_look_file(l, path);
    }
    closedir(d);
    return 0;
}

char *package_main(const char *path, struct err *e)
{
    struct package_look *look;
    char *found = NULL;
    struct stat st;
    u32 seen = 0;

    if (!strcmp(path, "-") || stat(path, &st) || !S_ISDIR(st.st_mode)) {
        found = strdup(path);
        if (!found)
            err_set(e, -ENOMEM, "no memory");
        return found;
    }
    look = calloc(1, sizeof(*look));
    if (!look || package_look(look, path, 0, &seen))
        err_set(e, look ? -errno : -ENOMEM, "%s: %s", path, strerror(errno));
    else if (!look->score)
        err_set(e, -ENOENT, "%s: is a directory without a package of a known format", path);
    else if (look->second[0])
        err_set(e, -EINVAL, "%s: has several packages: name one of them, \"%s\" or \"%s\"", path,
                look->best, look->second);
    else if (!(found = strdup(look->best)))
        err_set(e, -ENOMEM, "no memory");
    free(look);
    return found;
}
