/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A digest of bytes that pass by, computed in a thread of its own: SHA-256 without the
 * processor's help is as slow as packing, so the two work side by side.
 */
#include "package/sink_int.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define PIECES 4
#define PIECE (256u << 10)

struct sink_digest {
    EVP_MD_CTX *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    u32 head, tail; /* pieces filled and used up: the lock */
    bool ended, failed;
    size_t len[PIECES];
    u8 *piece[PIECES];
};

static const EVP_MD *digest_method(const char *algorithm)
{
    if (!strcasecmp(algorithm, "sha1"))
        return EVP_sha1();
    if (!strcasecmp(algorithm, "sha256"))
        return EVP_sha256();
    return strcasecmp(algorithm, "sha512") ? NULL : EVP_sha512();
}

bool sink_digest_is(const char *algorithm)
{
    return digest_method(algorithm) != NULL;
}

static void *digest_main(void *arg)
{
    struct sink_digest *d = arg;

    pthread_mutex_lock(&d->lock);
    for (;;) {
        u32 i;

        while (d->head == d->tail && !d->ended)
            pthread_cond_wait(&d->changed, &d->lock);
        if (d->head == d->tail)
            break;
        i = d->tail % PIECES;
        pthread_mutex_unlock(&d->lock);
        d->failed |= !EVP_DigestUpdate(d->ctx, d->piece[i], d->len[i]);
        pthread_mutex_lock(&d->lock);
        d->tail++;
        pthread_cond_broadcast(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static void digest_free(struct sink_digest *d)
{
    EVP_MD_CTX_free(d->ctx);
    for (u32 i = 0; i < PIECES; i++)
        free(d->piece[i]);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->changed);
    free(d);
}

int sink_digest_begin(struct sink_digest **to, const char *algorithm, struct err *e)
{
    struct sink_digest *d = calloc(1, sizeof(*d));
    bool ok = d != NULL;

    if (!d)
        return err_set(e, -ENOMEM, "no memory");
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    for (u32 i = 0; i < PIECES; i++)
        ok = (d->piece[i] = malloc(PIECE)) && ok;
    d->ctx = EVP_MD_CTX_new();
    ok = ok && d->ctx && EVP_DigestInit_ex(d->ctx, digest_method(algorithm), NULL);
    if (!ok || pthread_create(&d->thread, NULL, digest_main, d)) {
        digest_free(d);
        return err_set(e, -ENOMEM, "no memory for a digest (%s)", algorithm);
    }
    *to = d;
    return 0;
}

void sink_digest_add(struct sink_digest *d, const void *p, size_t n)
{
    const u8 *from = p;

    while (n) {
        size_t part = n < PIECE ? n : PIECE;
        u32 i;

        pthread_mutex_lock(&d->lock);
        while (d->head - d->tail == PIECES)
            pthread_cond_wait(&d->changed, &d->lock);
        i = d->head % PIECES;
        pthread_mutex_unlock(&d->lock);
        memcpy(d->piece[i], from, part);
        d->len[i] = part;
        pthread_mutex_lock(&d->lock);
        d->head++;
        pthread_cond_broadcast(&d->changed);
        pthread_mutex_unlock(&d->lock);
        from += part;
        n -= part;
    }
}

int sink_digest_end(struct sink_digest *d, char hex[SINK_HEX])
{
    u8 sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    int r = 0;

    pthread_mutex_lock(&d->lock);
    d->ended = true;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    if (d->failed || !EVP_DigestFinal_ex(d->ctx, sum, &n))
        r = -ENOMEM;
    for (unsigned i = 0; hex && i < n; i++)
        sprintf(hex + 2 * i, "%02x", sum[i]);
    digest_free(d);
    return r;
}

/* Of a file that was not written front to back. */
int sink_digest_file(struct sink *s, struct sink_file *f, const char *path, struct err *e)
{
    struct sink_digest *d;
    u8 *p;
    ssize_t n;
    int fd, r;

    if (!sink_algorithm(s))
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(e, -errno, "%s: %s", f->name, strerror(errno));
    p = malloc(PIECE);
    r = p ? sink_digest_begin(&d, sink_algorithm(s), e) : err_set(e, -ENOMEM, "no memory");
    if (!r) {
        while ((n = read(fd, p, PIECE)) > 0)
            sink_digest_add(d, p, (size_t)n);
        if (n < 0)
            r = err_set(e, -errno, "%s: %s", f->name, strerror(errno));
        if (sink_digest_end(d, f->hex) && !r)
            r = err_set(e, -ENOMEM, "no memory for a digest");
    }
    free(p);
    close(fd);
    return r;
}
