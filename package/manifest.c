/* SPDX-License-Identifier: GPL-2.0-or-later */
/* OVF manifests (DSP0243 1.1, 5.1): SHA1, SHA256 and SHA512, read in one pass per file. */
#include "package/manifest.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CHUNK (1u << 20)
#define LISTED_MAX 3 /* once for each kind of digest */
#define DIGEST_TEXT (2 * EVP_MAX_MD_SIZE + 1)

struct manifest_line {
    char method[16], name[1024], digest[DIGEST_TEXT];
};

struct manifest_work {
    const struct package_options *o;
    struct notes *n;
    u64 done, total;
    u8 *chunk;
};

/* "SHA256 ( name ) = HEX": blanks anywhere but in the name. */
static int manifest_parse(const char *p, size_t n, struct manifest_line *l)
{
    const char *open = memchr(p, '(', n), *end = p + n, *close = end, *is;
    size_t m, k = 0;

    while (close > p && *--close != ')')
        ;
    if (!open || close <= open)
        return -EBADMSG;
    m = (size_t)(open - p);
    while (m && isspace((u8)p[m - 1]))
        m--;
    if (!m || m >= sizeof(l->method))
        return -EBADMSG;
    memcpy(l->method, p, m);
    l->method[m] = 0;
    for (open++; open < close && isspace((u8)*open); open++)
        ;
    m = (size_t)(close - open);
    while (m && isspace((u8)open[m - 1]))
        m--;
    if (!m || m >= sizeof(l->name))
        return -EBADMSG;
    memcpy(l->name, open, m);
    l->name[m] = 0;
    is = memchr(close, '=', (size_t)(end - close));
    if (!is)
        return -EBADMSG;
    for (p = is + 1; p < end; p++) {
        if (isspace((u8)*p))
            continue;
        if (!isxdigit((u8)*p) || k + 1 >= sizeof(l->digest))
            return -EBADMSG;
        l->digest[k++] = (char)tolower((u8)*p);
    }
    l->digest[k] = 0;
    return k ? 0 : -EBADMSG;
}

const EVP_MD *manifest_method(const char *name)
{
    char plain[16];
    size_t n = 0;

    for (; *name && n < sizeof(plain) - 1; name++) /* "SHA-256", "sha2_256" */
        if (*name != '-' && *name != '_' && *name != ' ')
            plain[n++] = *name;
    plain[n] = 0;
    if (*name)
        return NULL;
    if (!strcasecmp(plain, "SHA1"))
        return EVP_sha1();
    if (!strcasecmp(plain, "SHA256") || !strcasecmp(plain, "SHA2256"))
        return EVP_sha256();
    if (!strcasecmp(plain, "SHA512") || !strcasecmp(plain, "SHA2512"))
        return EVP_sha512();
    return NULL;
}

static int manifest_digest(const struct source_file *f, const EVP_MD *md, struct manifest_work *w,
                           char *hex, struct err *e)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC), r = 0;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    u8 digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (fd < 0 || !c || !EVP_DigestInit_ex(c, md, NULL))
        r = fd < 0 ? -errno : -ENOMEM;
    for (u64 at = 0; !r && at < f->size;) {
        ssize_t got = pread(fd, w->chunk, min_u64(CHUNK, f->size - at), (off_t)(f->offset + at));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || !EVP_DigestUpdate(c, w->chunk, (size_t)got)) {
            r = got < 0 ? -errno : -EIO;
            break;
        }
        at += (u64)got;
        w->done += (u64)got;
        if (w->o->progress)
            w->o->progress(w->o->arg, f->name, w->done, w->total);
    }
    if (!r && !EVP_DigestFinal_ex(c, digest, &n))
        r = -ENOMEM;
    for (unsigned i = 0; i < n; i++)
        sprintf(hex + 2 * i, "%02x", digest[i]);
    if (fd >= 0)
        close(fd);
    EVP_MD_CTX_free(c);
    return r ? err_set(e, r, "%s: \"%s\": %s", f->path, f->name, strerror(-r)) : 0;
}

/* Long digests are told by their beginning: that is enough to see that they differ. */
static int manifest_compare(struct source *s, const struct manifest_line *l,
                            struct manifest_work *w, struct err *e)
{
    const EVP_MD *md = manifest_method(l->method);
    const char *base = source_base(s->path);
    const struct source_file *f;
    char found[DIGEST_TEXT];
    int r, known;

    if (!md)
        return err_set(e, -EOPNOTSUPP, "%s: manifest: the digest %s of \"%s\" is not known", base,
                       l->method, l->name);
    r = source_find(s, l->name, &f, e);
    if (r && w->o->describe) {
        note(w->n, NOTE_LOST, base, "its manifest lists \"%.200s\", which is missing", l->name);
        return 0;
    }
    if (r == -ENOENT)
        return err_set(e, r, "%s: manifest: lists \"%.80s\", which is missing", base, l->name);
    if (!r && f->listed == LISTED_MAX) /* each time is a reading of it all */
        r = err_set(e, -E2BIG, "%s: manifest: lists \"%.80s\" again and again", base, l->name);
    if (r)
        return r;
    ((struct source_file *)f)->listed++;
    known = md == EVP_sha1() ? 0 : md == EVP_sha256() ? 1 : 2;
    if (f->sums[known])
        snprintf(found, sizeof(found), "%s", f->sums[known]);
    else if (s->pipe)
        r = err_set(e, -EBADMSG, "%s: manifest: lists \"%.80s\", which is missing", base, l->name);
    else
        r = manifest_digest(f, md, w, found, e);
    if (r)
        return r;
    if (!strcmp(found, l->digest))
        return 0;
    return err_set(e, -EBADMSG, "%s: \"%.40s\": %s is %.64s%s, the manifest says %.64s%s", base,
                   l->name, l->method, found, strlen(found) > 64 ? "..." : "", l->digest,
                   strlen(l->digest) > 64 ? "..." : "");
}

/* Calls fn for each line; the first error ends it. */
static int manifest_each(struct source *s, const struct buf *b, struct manifest_work *w,
                         int (*fn)(struct source *s, const struct manifest_line *l,
                                   struct manifest_work *w, struct err *e),
                         struct err *e)
{
    const char *p = (const char *)b->p, *end = p + b->len;
    unsigned number = 0;
    int r = 0;

    while (!r && p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p), m = n;
        struct manifest_line l;

        number++;
        while (m && (isspace((u8)p[m - 1]) || !p[m - 1]))
            m--;
        if (m && manifest_parse(p, m, &l))
            return err_set(e, -EBADMSG, "%s: manifest, line %u: is not \"SHA256(file)= digest\"",
                           source_base(s->path), number);
        if (m)
            r = fn(s, &l, w, e);
        p += n + (stop != NULL);
    }
    return r;
}

static int manifest_count(struct source *s, const struct manifest_line *l, struct manifest_work *w,
                          struct err *e)
{
    const struct source_file *f;

    if (!source_find(s, l->name, &f, NULL))
        w->total += f->size;
    return 0;
}

/* Which members does no line name? */
static void manifest_unlisted(struct source *s, const struct source_file *manifest, struct notes *n)
{
    for (const struct source_file *f = s->files; f; f = f->next) {
        if (f != manifest && !f->listed && !source_has_suffix(f->name, ".cert"))
            note(n, NOTE_KEPT, f->name, "the manifest has no digest of it: not verified");
    }
}

int manifest_verify(struct source *s, const struct source_file *manifest,
                    const struct package_options *o, struct notes *n, struct err *e)
{
    struct manifest_work w = { .o = o, .n = n, .chunk = malloc(CHUNK) };
    struct buf b;
    int r = w.chunk ? source_load(manifest, MANIFEST_MAX, &b, e) : -ENOMEM;

    if (!r) {
        r = manifest_each(s, &b, &w, manifest_count, e);
        if (!r)
            r = manifest_each(s, &b, &w, manifest_compare, e);
        if (!r)
            manifest_unlisted(s, manifest, n);
        buf_fini(&b);
    }
    free(w.chunk);
    return r;
}
