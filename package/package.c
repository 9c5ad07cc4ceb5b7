/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening a package: which format, is it whole, what does it say. */
#include "package/format.h"
#include "package/manifest.h"
#include "package/source.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

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

/* The manifest that belongs to the descriptor: its name with .mf */
static const struct source_file *package_manifest(struct source *s)
{
    const struct source_file *f = s->files;
    char name[1024];
    size_t n;

    if (s->kind == SOURCE_TAR) {
        while (f && !source_has_suffix(f->name, ".mf"))
            f = f->next;
        return f;
    }
    n = strlen(s->main->name);
    if (!source_has_suffix(s->main->name, ".ovf") || n >= sizeof(name))
        return NULL;
    snprintf(name, sizeof(name), "%.*s.mf", (int)(n - 4), s->main->name);
    return source_find(s, name, &f, NULL) ? NULL : f;
}

static int package_read(const struct package_format *f, struct source *s,
                        const struct package_options *o, struct desc *d, struct notes *n,
                        struct err *e)
{
    const struct source_file *manifest = package_manifest(s);
    int r = f->read(d, s, n, e);

    if (r)
        return r;
    if (!manifest)
        note(n, NOTE_KEPT, source_base(s->path), "has no manifest: nothing to verify it by");
    else if (!o->verify)
        note(n, NOTE_KEPT, source_base(s->path), "its manifest was not verified");
    else if ((r = manifest_verify(s, manifest, o, n, e)))
        return r;
    else
        note(n, NOTE_KEPT, source_base(s->path), "every digest of its manifest is right");
    for (; !r && d; d = d->next)
        r = desc_check(d, e);
    if (r)
        err_in(e, "%s: ", source_base(s->path));
    return r;
}

int package_open(const char *path, const struct package_options *o, struct desc *d, struct notes *n,
                 struct err *e)
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
    source_close(&s);
    return r;
}
