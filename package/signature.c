/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signatures of manifests, made and verified, by OpenSSL. */
#include "package/signature.h"
#include "package/manifest.h"
#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define CERT_MAX (1u << 20)
#define CHAIN_MAX 32
#define MODULUS_MAX 2048 /* bytes of a signature */

const struct source_file *source_companion(struct source *s, const char *suffix)
{
    const struct source_file *f = s->files;
    char name[1024];
    size_t n;

    if (s->kind == SOURCE_TAR) {
        while (f && !source_has_suffix(f->name, suffix))
            f = f->next;
        return f;
    }
    n = strlen(s->main->name);
    if (!source_has_suffix(s->main->name, ".ovf") || n + 2 >= sizeof(name))
        return NULL;
    snprintf(name, sizeof(name), "%.*s%s", (int)(n - 4), s->main->name, suffix);
    return source_find(s, name, &f, NULL) ? NULL : f;
}

/* ---- verifying ---- */

struct signed_text { /* a .cert file, taken apart */
    char method[16], name[1024];
    u8 sign[MODULUS_MAX];
    size_t len;
    X509 *leaf;
    STACK_OF(X509) * chain;
};

static int sign_hex(const char *p, const char *end, struct signed_text *t)
{
    unsigned half = 0;

    for (; p < end; p++) {
        int digit = tolower((u8)*p);

        if (isspace((u8)*p))
            continue;
        digit = isdigit(digit) ? digit - '0' : isxdigit(digit) ? digit - 'a' + 10 : -1;
        if (digit < 0 || half / 2 == sizeof(t->sign))
            return -EBADMSG;
        t->sign[half / 2] = (u8)(t->sign[half / 2] << 4 | digit);
        half++;
    }
    t->len = half / 2;
    return half && !(half & 1) ? 0 : -EBADMSG;
}

/* "SHA1(web.mf)= hex", before the certificates; the hex may go on over lines. */
static int sign_line(const char *p, size_t n, struct signed_text *t)
{
    const char *end = memmem(p, n, "-----BEGIN", 10), *open, *close, *is;

    if (!end)
        return -EBADMSG;
    while (p < end && isspace((u8)*p))
        p++;
    open = memchr(p, '(', (size_t)(end - p));
    close = open ? memchr(open, ')', (size_t)(end - open)) : NULL;
    is = close ? memchr(close, '=', (size_t)(end - close)) : NULL;
    if (!is || open == p || (size_t)(open - p) >= sizeof(t->method) ||
        (size_t)(close - open) > sizeof(t->name))
        return -EBADMSG;
    memcpy(t->method, p, (size_t)(open - p));
    for (size_t m = strlen(t->method); m && isspace((u8)t->method[m - 1]);)
        t->method[--m] = 0;
    memcpy(t->name, open + 1, (size_t)(close - open - 1));
    return sign_hex(is + 1, end, t);
}

static int sign_certificates(const char *p, size_t n, struct signed_text *t)
{
    BIO *b = BIO_new_mem_buf(p, (int)n);
    X509 *x;

    t->chain = sk_X509_new_null();
    while (b && t->chain && sk_X509_num(t->chain) < CHAIN_MAX &&
           (x = PEM_read_bio_X509(b, NULL, NULL, NULL)))
        if (!t->leaf)
            t->leaf = x;
        else if (!sk_X509_push(t->chain, x))
            X509_free(x);
    BIO_free(b);
    return t->leaf ? 0 : -EBADMSG;
}

static void sign_free(struct signed_text *t)
{
    X509_free(t->leaf);
    sk_X509_pop_free(t->chain, X509_free);
}

static bool sign_is_right(const struct signed_text *t, const struct buf *manifest)
{
    const EVP_MD *md = manifest_method(t->method);
    EVP_PKEY *key = X509_get0_pubkey(t->leaf);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = md && key && c && EVP_DigestVerifyInit(c, NULL, md, NULL, key) == 1 &&
              EVP_DigestVerify(c, t->sign, t->len, manifest->p, manifest->len) == 1;

    EVP_MD_CTX_free(c);
    return ok;
}

static bool sign_is_expired(const X509 *x)
{
    return X509_cmp_current_time(X509_get0_notAfter(x)) <= 0 ||
           X509_cmp_current_time(X509_get0_notBefore(x)) > 0;
}

/* The chain, with its times left out: those are told by themselves. */
static void sign_chain(const struct signed_text *t, const char *trust, struct signature *to)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *c = X509_STORE_CTX_new();
    int ok = store && c &&
             (trust ? X509_STORE_load_file(store, trust) : X509_STORE_set_default_paths(store));

    if (!ok || !X509_STORE_CTX_init(c, store, t->leaf, t->chain)) {
        snprintf(to->why, sizeof(to->why), "the trusted authorities cannot be read");
    } else {
        X509_STORE_CTX_set_flags(c, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
        to->trusted = X509_verify_cert(c) == 1;
        if (!to->trusted)
            snprintf(to->why, sizeof(to->why), "%s",
                     X509_verify_cert_error_string(X509_STORE_CTX_get_error(c)));
        for (int i = 0; i < sk_X509_num(X509_STORE_CTX_get0_chain(c)); i++)
            to->expired |= sign_is_expired(sk_X509_value(X509_STORE_CTX_get0_chain(c), i));
    }
    to->expired |= sign_is_expired(t->leaf);
    X509_STORE_CTX_free(c);
    X509_STORE_free(store);
}

static void sign_name(char *to, size_t n, const X509_NAME *name)
{
    BIO *b = BIO_new(BIO_s_mem());
    int got = 0;

    if (b && X509_NAME_print_ex(b, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        got = BIO_read(b, to, (int)n - 1);
    to[got > 0 ? got : 0] = 0;
    BIO_free(b);
}

static void sign_until(struct signature *to, const X509 *x)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm))
        strftime(to->until, sizeof(to->until), "%Y-%m-%d", &tm);
}

int signature_verify(const struct source_file *manifest, const struct source_file *cert,
                     const char *trust, struct signature *to, struct err *e)
{
    struct signed_text *t = calloc(1, sizeof(*t));
    struct buf text = { 0 }, mf = { 0 };
    int r = t ? source_load(cert, CERT_MAX, &text, e) : err_set(e, -ENOMEM, "no memory");

    *to = (struct signature){ .there = true };
    r = r ? r : source_load(manifest, MANIFEST_MAX, &mf, e);
    if (!r && (sign_line((const char *)text.p, text.len, t) ||
               sign_certificates((const char *)text.p, text.len, t)))
        r = err_set(e, -EBADMSG, "\"%.100s\": is no signature with a certificate", cert->name);
    if (!r) {
        snprintf(to->method, sizeof(to->method), "%s", t->method);
        sign_name(to->subject, sizeof(to->subject), X509_get_subject_name(t->leaf));
        sign_name(to->issuer, sizeof(to->issuer), X509_get_issuer_name(t->leaf));
        sign_until(to, t->leaf);
        to->right =
            !strcmp(source_base(t->name), source_base(manifest->name)) && sign_is_right(t, &mf);
        sign_chain(t, trust, to);
    }
    buf_fini(&text);
    buf_fini(&mf);
    if (t)
        sign_free(t);
    free(t);
    return r;
}

int package_signature(const char *path, const struct package_options *o, struct signature *to,
                      struct err *e)
{
    const struct source_file *manifest, *cert;
    struct source s;
    int r = source_open(&s, path, e);

    *to = (struct signature){ 0 };
    if (r)
        return r;
    manifest = source_companion(&s, ".mf");
    cert = source_companion(&s, ".cert");
    if (cert && !manifest)
        r = err_set(e, -EBADMSG, "%s: is signed, but has no manifest", path);
    else if (cert)
        r = signature_verify(manifest, cert, o ? o->trust : NULL, to, e);
    source_close(&s);
    return r;
}

/* ---- making ---- */

/* Keys with a passphrase are not asked for one: nobody may be there to answer. */
static int sign_no_passphrase(char *to, int n, int writing, void *arg)
{
    return -1;
}

static int sign_key(const char *path, EVP_PKEY **key, struct err *e)
{
    FILE *f = fopen(path, "re");

    *key = NULL;
    if (!f)
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    *key = PEM_read_PrivateKey(f, NULL, sign_no_passphrase, NULL);
    fclose(f);
    if (*key && EVP_PKEY_get_base_id(*key) == EVP_PKEY_RSA && EVP_PKEY_size(*key) <= MODULUS_MAX)
        return 0;
    EVP_PKEY_free(*key);
    return err_set(e, -EINVAL, "%s: is no RSA key without a passphrase, in PEM", path);
}

static int sign_file(const char *path, struct buf *b, struct err *e)
{
    struct source_file f = { .name = source_base(path), .path = path };
    struct stat st;

    if (stat(path, &st))
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    f.size = (u64)st.st_size;
    return source_load(&f, CERT_MAX, b, e);
}

/* The key and the certificate are of one pair. */
static int sign_pair(const struct package_options *o, EVP_PKEY *key, struct buf *cert,
                     struct err *e)
{
    BIO *b;
    X509 *x;
    int r = sign_file(o->cert, cert, e);

    if (r)
        return r;
    b = BIO_new_mem_buf(cert->p, (int)cert->len);
    x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
    if (!x || X509_check_private_key(x, key) != 1)
        r = err_set(e, -EINVAL, x ? "%s: is not the certificate of %s" : "%s: is no certificate",
                    o->cert, o->key);
    X509_free(x);
    BIO_free(b);
    return r;
}

static int sign_sign(EVP_PKEY *key, const char *method, const void *p, size_t n, u8 *sign,
                     size_t *len)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    const EVP_MD *md = manifest_method(method);
    bool ok = c && md && EVP_DigestSignInit(c, NULL, md, NULL, key) == 1 &&
              EVP_DigestSign(c, sign, len, p, n) == 1;

    EVP_MD_CTX_free(c);
    return ok ? 0 : -EINVAL;
}

int signature_make(const struct package_options *o, const char *method, const char *name,
                   const void *manifest, size_t n, struct buf *to, struct err *e)
{
    u8 sign[MODULUS_MAX];
    size_t len = sizeof(sign);
    struct buf cert = { 0 };
    EVP_PKEY *key;
    int r = sign_key(o->key, &key, e);

    if (r)
        return r;
    r = sign_pair(o, key, &cert, e);
    if (!r && sign_sign(key, method, manifest, n, sign, &len))
        r = err_set(e, -EINVAL, "%s: cannot sign with %s", o->key, method);
    if (!r)
        r = buf_text(to, "%s(%s)= ", method, name);
    for (size_t i = 0; !r && i < len; i++)
        r = buf_text(to, "%02x", sign[i]);
    r = r ? r : buf_text(to, "\n");
    r = r ? r : buf_add(to, cert.p, cert.len);
    if (!r && cert.len && cert.p[cert.len - 1] != '\n')
        r = buf_text(to, "\n");
    buf_fini(&cert);
    EVP_PKEY_free(key);
    return r == -ENOMEM ? err_set(e, r, "no memory") : r;
}

/* PKCS#1 v1.5 signatures of one key are all as long. */
int signature_length(const struct package_options *o, const char *method, const char *name,
                     size_t *n, struct err *e)
{
    struct buf b = { 0 };
    int r = signature_make(o, method, name, "", 0, &b, e);

    *n = b.len;
    buf_fini(&b);
    return r;
}
