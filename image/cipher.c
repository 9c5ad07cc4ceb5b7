/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ciphers for disk sectors, after the names of dm-crypt: AES in XTS (IEEE 1619) or CBC, the
 * sector's number as plain, plain64 or ESSIV.  OpenSSL does the work; its contexts are kept in
 * a pool, as each serves one thread at a time.
 */
#include "image/cipher.h"
#include "base/bytes.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum cipher_iv { IV_PLAIN, IV_PLAIN64, IV_ESSIV };
#define CIPHER_POOL 16

struct cipher_pair { /* for one thread at a time */
    EVP_CIPHER_CTX *way[2], *essiv;
};

struct cipher {
    const EVP_CIPHER *kind, *essiv_kind;
    enum cipher_iv iv;
    u8 key[CIPHER_KEY_MAX], essiv[EVP_MAX_MD_SIZE];
    pthread_mutex_t lock;
    struct cipher_pair *pool[CIPHER_POOL]; /* the lock */
    u32 n;
};

static void cipher_pair_free(struct cipher_pair *p)
{
    EVP_CIPHER_CTX_free(p->way[0]);
    EVP_CIPHER_CTX_free(p->way[1]);
    EVP_CIPHER_CTX_free(p->essiv);
    free(p);
}

static EVP_CIPHER_CTX *cipher_context(const EVP_CIPHER *kind, const u8 *key, int encrypt)
{
    EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();

    if (x && EVP_CipherInit_ex(x, kind, NULL, key, NULL, encrypt) &&
        EVP_CIPHER_CTX_set_padding(x, 0))
        return x;
    EVP_CIPHER_CTX_free(x);
    return NULL;
}

static struct cipher_pair *cipher_take(struct cipher *c)
{
    struct cipher_pair *p = NULL;

    pthread_mutex_lock(&c->lock);
    if (c->n)
        p = c->pool[--c->n];
    pthread_mutex_unlock(&c->lock);
    if (p || !(p = calloc(1, sizeof(*p))))
        return p;
    p->way[0] = cipher_context(c->kind, c->key, 0);
    p->way[1] = cipher_context(c->kind, c->key, 1);
    if (c->iv == IV_ESSIV)
        p->essiv = cipher_context(c->essiv_kind, c->essiv, 1);
    if (p->way[0] && p->way[1] && (c->iv != IV_ESSIV || p->essiv))
        return p;
    cipher_pair_free(p);
    return NULL;
}

static void cipher_put(struct cipher *c, struct cipher_pair *p)
{
    pthread_mutex_lock(&c->lock);
    if (c->n < CIPHER_POOL) {
        c->pool[c->n++] = p;
        p = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    if (p)
        cipher_pair_free(p);
}

static const EVP_CIPHER *cipher_kind(const char *mode, size_t n)
{
    if (!strncmp(mode, "xts-", 4))
        return n == 32 ? EVP_aes_128_xts() : n == 64 ? EVP_aes_256_xts() : NULL;
    if (!strncmp(mode, "cbc-", 4))
        return n == 16   ? EVP_aes_128_cbc()
               : n == 24 ? EVP_aes_192_cbc()
               : n == 32 ? EVP_aes_256_cbc()
                         : NULL;
    return NULL;
}

/* The part behind "xts-" or "cbc-". */
static bool cipher_take_iv(struct cipher *c, const char *iv, size_t n)
{
    const EVP_MD *md;
    unsigned got;

    if (!strcmp(iv, "plain") || !strcmp(iv, "plain64")) {
        c->iv = iv[5] ? IV_PLAIN64 : IV_PLAIN;
        return true;
    }
    if (strncmp(iv, "essiv:", 6) || !(md = EVP_get_digestbyname(iv + 6)) ||
        !EVP_Digest(c->key, n, c->essiv, &got, md, NULL))
        return false;
    c->iv = IV_ESSIV;
    c->essiv_kind = got == 32   ? EVP_aes_256_ecb()
                    : got == 24 ? EVP_aes_192_ecb()
                    : got == 16 ? EVP_aes_128_ecb()
                                : NULL;
    return c->essiv_kind != NULL;
}

struct cipher *cipher_new(const char *spec, const u8 *key, size_t n, const char *path,
                          struct err *e)
{
    struct cipher *c = calloc(1, sizeof(*c));

    if (!c) {
        err_set(e, -ENOMEM, "%s: no memory", path);
        return NULL;
    }
    pthread_mutex_init(&c->lock, NULL);
    if (n <= sizeof(c->key))
        memcpy(c->key, key, n);
    if (!strncmp(spec, "aes-", 4) && n <= sizeof(c->key) && (c->kind = cipher_kind(spec + 4, n)) &&
        cipher_take_iv(c, spec + 8, n))
        return c;
    err_set(e, -EOPNOTSUPP, "%s: the cipher %.60s with a key of %zu bits is not supported", path,
            spec, n * 8);
    cipher_free(c);
    return NULL;
}

void cipher_free(struct cipher *c)
{
    if (!c)
        return;
    while (c->n)
        cipher_pair_free(c->pool[--c->n]);
    pthread_mutex_destroy(&c->lock);
    OPENSSL_cleanse(c, sizeof(*c));
    free(c);
}

static bool cipher_unit(const struct cipher *c, struct cipher_pair *pair, bool open, u64 number,
                        u8 *p, size_t n)
{
    EVP_CIPHER_CTX *x = pair->way[!open];
    u8 iv[16] = { 0 };
    int got;

    put_le64(iv, c->iv == IV_PLAIN ? (u32)number : number);
    if (c->iv == IV_ESSIV && !EVP_CipherUpdate(pair->essiv, iv, &got, iv, sizeof(iv)))
        return false;
    return EVP_CipherInit_ex(x, NULL, NULL, NULL, iv, -1) &&
           EVP_CipherUpdate(x, p, &got, p, (int)n) && got == (int)n;
}

int cipher_run(struct cipher *c, bool open, u64 number, u32 unit, u8 *p, size_t n)
{
    struct cipher_pair *pair = cipher_take(c);
    bool ok = pair != NULL;

    for (size_t at = 0; ok && at < n; at += unit)
        ok = cipher_unit(c, pair, open, number + at / 512, p + at, unit);
    if (pair)
        cipher_put(c, pair);
    return ok ? 0 : pair ? -EIO : -ENOMEM;
}
