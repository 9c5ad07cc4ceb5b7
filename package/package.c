/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening a package: which format, is it whole, what does it say. */
#include "package/format.h"
#include "package/manifest.h"
#include "package/signature.h"
#include "package/source_int.h"
#include "package/stream.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

int package_verify(struct source *s, const struct package_options *o, struct notes *n,
                   struct err *e)
{
    const struct source_file *manifest = source_companion(s, ".mf");
    const char *base = source_base(s->path);
    int r;

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

    if (!r && f->digests && !s->pipe) /* a pipe's when all of it was read */
        r = package_verify(s, o, n, e);
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
    int r = source_open_as(&s, path, o, e);

    if (r)
        return r;
    f = package_probe(&s);
    if (!f)
        r = err_set(e, -ENOENT, "%s: is no package of a known format", path);
    else if ((r = package_read(f, &s, o, d, n, e)) == -ENOENT)
        r = -EBADMSG; /* it is a package, but something in it is missing */
    if (r && e)
        e->code = r;
    if (s.pipe && r)
        stream_end();
    else if (s.pipe)
        stream_adopt(&s);
    if (!r && s.held >= 0) { /* its disks lie there */
        d->held = 1 + s.held;
        s.held = -1;
    }
    source_close(&s);
    return r;
}

int package_open(const char *path, const struct package_options *o, struct desc *d, struct notes *n,
                 struct err *e)
{
    char *main = package_main(path, e);
    int r = main ? package_open_file(main, o, d, n, e) : e ? e->code : -ENOENT;

    free(main);
    return r;
}
