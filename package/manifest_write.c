/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manifest of a package that is written, and its signature: behind the descriptor. */
#include "package/manifest.h"
#include "package/signature.h"
#include "package/sink.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* "SHA256", or NULL: the user wants no manifest */
static const char *write_method(const struct sink *s, char room[16])
{
    const char *said = sink_options(s)->digest;
    size_t i;

    said = said ? said : "sha256";
    if (!strcmp(said, "none"))
        return NULL;
    for (i = 0; said[i] && i < 15; i++)
        room[i] = (char)toupper((u8)said[i]);
    room[i] = 0;
    return room;
}

static void write_name(const struct sink *s, char *to, size_t n, const char *suffix)
{
    const char *main = sink_main(s), *dot = strrchr(main, '.');

    snprintf(to, n, "%.*s%s", (int)(dot ? dot - main : (long)strlen(main)), main, suffix);
}

static int write_lines(struct sink *s, const char *method, const char *const *names, bool real,
                       struct buf *to, struct err *e)
{
    const EVP_MD *md = manifest_method(method);

    if (!md)
        return err_set(e, -EINVAL, "%s: no digest of this name is known", method);
    for (; *names; names++) {
        char zeroes[2 * EVP_MAX_MD_SIZE + 1];
        const char *hex = zeroes;

        snprintf(zeroes, sizeof(zeroes), "%0*d", 2 * EVP_MD_size(md), 0);
        if (real && !(hex = sink_digest(s, *names, e)))
            return e->code ? e->code : -EIO;
        if (buf_text(to, "%s(%s)= %s\n", method, *names, hex))
            return err_set(e, -ENOMEM, "no memory");
    }
    return 0;
}

int manifest_reserve(struct sink *s, const char *const *names, struct err *e)
{
    const struct package_options *o = sink_options(s);
    char room[16], name[1024];
    const char *method = write_method(s, room);
    struct buf b = { 0 };
    size_t n;
    int r;

    if (!method)
        return o->key ? err_set(e, -EINVAL, "a signature needs a manifest") : 0;
    r = write_lines(s, method, names, false, &b, e);
    write_name(s, name, sizeof(name), ".mf");
    r = r ? r : sink_reserve(s, name, b.len, e);
    buf_fini(&b);
    if (r || !o->key)
        return r;
    r = signature_length(o, method, name, &n, e);
    write_name(s, name, sizeof(name), ".cert");
    return r ? r : sink_reserve(s, name, n, e);
}

int manifest_write(struct sink *s, const char *const *names, struct err *e)
{
    const struct package_options *o = sink_options(s);
    char room[16], name[1024], cert_name[1024];
    const char *method = write_method(s, room);
    struct buf b = { 0 }, cert = { 0 };
    int r;

    if (!method)
        return 0;
    write_name(s, name, sizeof(name), ".mf");
    write_name(s, cert_name, sizeof(cert_name), ".cert");
    r = write_lines(s, method, names, true, &b, e);
    r = r ? r : sink_text(s, name, b.p, b.len, e);
    if (!r && o->key)
        r = signature_make(o, method, name, b.p, b.len, &cert, e);
    if (!r && o->key)
        r = sink_text(s, cert_name, cert.p, cert.len, e);
    buf_fini(&b);
    buf_fini(&cert);
    return r;
}
