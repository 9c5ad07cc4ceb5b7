/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening a package: which format, is it whole, what does it say. */
#include "package/format.h"
#include "package/manifest.h"
#include "package/signature.h"
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

static const struct package_format *package_probe(struct source *s)
{
    const struct package_format *best = NULL;
    int most = 0;

    for (int i = 0; package_catalog[i]; i++) {
        int score = package_catalog[i]->probe(s);

        if (score > most) {
            most = score;
            best = package_catalog[i];
        }
    }
    return best;
}

/* What is right with the signature, and what is not, told apart. */
static void package_signed(const struct signature *g, const char *base, struct notes *n)
{
    note(n, NOTE_KEPT, base, "the manifest is signed (%s) by \"%s\", and the signature is right",
         g->method, g->subject);
    if (g->trusted)
        note(n, NOTE_KEPT, base, "its signer is vouched for by \"%s\"", g->issuer);
    else
        note(n, NOTE_CHANGED, base, "nobody who is trusted here vouches for its signer: %s",
             g->why);
    if (g->expired)
        note(n, NOTE_CHANGED, base, "the signer's certificate was valid until %s only", g->until);
}

static int package_verify_signature(struct source *s, const struct source_file *manifest,
                                    const struct package_options *o, struct notes *n, struct err *e)
{
    const struct source_file *cert = source_companion(s, ".cert");
    struct signature g;
    int r;

    if (!cert)
        return 0;
    r = signature_verify(manifest, cert, o->trust, &g, e);
    if (r)
        return err_in(e, "%s: ", source_base(s->path));
    if (!g.right)
        return err_set(e, -EBADMSG, "%s: the signature in \"%.60s\" is not that of its manifest",
                       source_base(s->path), cert->name);
    package_signed(&g, source_base(s->path), n);
    return 0;
}

static int package_verify(const struct package_format *f, struct source *s,
                          const struct package_options *o, struct notes *n, struct err *e)
{
    const struct source_file *manifest = f->digests ? source_companion(s, ".mf") : NULL;
    const char *base = source_base(s->path);
    int r;

    if (!f->digests)
        return 0;
    if (!manifest) {
        note(n, NOTE_KEPT, base, "has no manifest: nothing to verify it by");
        return 0;
    }
    if (!o->verify) {
        note(n, NOTE_KEPT, base, "its manifest was not verified");
        return 0;
    }
    r = manifest_verify(s, manifest, o, n, e);
    if (r)
        return r;
    note(n, NOTE_KEPT, base, "every digest of its manifest is right");
    return package_verify_signature(s, manifest, o, n, e);
}

static int package_read(const struct package_format *f, struct source *s,
                        const struct package_options *o, struct desc *d, struct notes *n,
                        struct err *e)
{
    int r = f->read(d, s, n, e);

    r = r ? r : package_verify(f, s, o, n, e);
    if (r)
        return r;
    for (; !r && d; d = d->next)
        r = desc_check(d, e);
    if (r)
        err_in(e, "%s: ", source_base(s->path));
    return r;
}

static int package_open_file(const char *path, const struct package_options *o, struct desc *d,
                             struct notes *n, struct err *e)
{
    const struct package_format *f;
    struct source s;
    int r = source_open(&s, path, e);

    if (r)
        return r;
    s.how = o;
    f = package_probe(&s);
    if (!f)
        r = err_set(e, -ENOENT, "%s: is no package of a known format", path);
    else if ((r = package_read(f, &s, o, d, n, e)) == -ENOENT)
        r = -EBADMSG; /* it is a package, but something in it is missing */
    if (r && e)
        e->code = r;
    if (!r && s.held >= 0) { /* its disks lie there */
        d->held = 1 + s.held;
        s.held = -1;
    }
    source_close(&s);
    return r;
}

/* A directory that is a package: the one descriptor that it has, at its top or a step below. */
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

int package_open(const char *path, const struct package_options *o, struct desc *d, struct notes *n,
                 struct err *e)
{
    struct package_look *look;
    struct stat st;
    u32 seen = 0;
    int r;

    if (!strcmp(path, "-") || stat(path, &st) || !S_ISDIR(st.st_mode))
        return package_open_file(path, o, d, n, e);
    look = calloc(1, sizeof(*look));
    if (!look)
        return err_set(e, -ENOMEM, "no memory");
    package_look(look, path, 0, &seen);
    if (!look->score)
        r = err_set(e, -ENOENT, "%s: is a directory without a package of a known format", path);
    else if (look->second[0])
        r = err_set(e, -EINVAL, "%s: has several packages: name one of them, \"%s\" or \"%s\"",
                    path, source_base(look->best), source_base(look->second));
    else
        r = package_open_file(look->best, o, d, n, e);
    free(look);
    return r;
}
