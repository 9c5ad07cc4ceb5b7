/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Key slots of LUKS (On-Disk Format 1.2.3, sections 2 to 4; LUKS2 1.1.4, section 3.2): a
 * passphrase, made slow, decrypts an area; the master key is what remains when the stripes of
 * that area are merged.
 */
#include "base/bytes.h"
#include "image/luks_int.h"
#include <argon2.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

/* What a header may ask of us: some seconds of work; as much memory as cryptsetup allows. */
#define LUKS_ROUNDS_MAX 20000000u
#define LUKS_MEMORY_MAX (4u << 20)
#define LUKS_WORK_MAX (64u << 20)
#define LUKS_STRIPES_MAX 8192

int luks_kdf_check(const struct luks_kdf *k, const char *path, struct err *e)
{
    bool argon = !strcmp(k->kind, "argon2i") || !strcmp(k->kind, "argon2id");

    if (!argon && strcmp(k->kind, "pbkdf2"))
        return err_set(e, -EOPNOTSUPP, "%s: LUKS: the key derivation \"%s\" is not known", path,
                       k->kind);
    if (!argon && !EVP_get_digestbyname(k->hash))
        return err_set(e, -EOPNOTSUPP, "%s: LUKS: the hash \"%s\" is not supported", path, k->hash);
    if (!k->rounds || (argon ? !k->lanes || k->lanes > 64 || k->memory < 8 * k->lanes ||
                                   k->memory > LUKS_MEMORY_MAX ||
                                   (u64)k->rounds * k->memory > LUKS_WORK_MAX || k->nsalt < 8
                             : k->rounds > LUKS_ROUNDS_MAX))
        return err_set(e, -EBADMSG, "%s: LUKS: the costs of its key derivation are not possible",
                       path);
    return 0;
}

int luks_kdf_run(const struct luks_kdf *k, const void *pass, size_t n, u8 *out, size_t nout)
{
    const EVP_MD *md;

    if (strncmp(k->kind, "argon2", 6)) {
        md = EVP_get_digestbyname(k->hash);
        return md && PKCS5_PBKDF2_HMAC(pass, (int)n, k->salt, (int)k->nsalt, (int)k->rounds, md,
                                       (int)nout, out)
                   ? 0
                   : -EINVAL;
    }
    switch (argon2_hash(k->rounds, k->memory, k->lanes, pass, n, k->salt, k->nsalt, out, nout, NULL,
                        0, k->kind[7] == 'd' ? Argon2_id : Argon2_i, ARGON2_VERSION_13)) {
    case ARGON2_OK:
        return 0;
    case ARGON2_MEMORY_ALLOCATION_ERROR:
        return -ENOMEM;
    }
    return -EINVAL;
}

/* Each piece of the block, by its number, through the hash. */
static bool luks_diffuse(u8 *b, size_t n, const EVP_MD *md)
{
    size_t size = (size_t)EVP_MD_size(md);
    u8 in[4 + EVP_MAX_MD_SIZE], out[EVP_MAX_MD_SIZE];

    for (size_t at = 0, i = 0; at < n; at += size, i++) {
        size_t some = min_u64(size, n - at);

        put_be32(in, (u32)i);
        memcpy(in + 4, b + at, some);
        if (!EVP_Digest(in, 4 + some, out, NULL, md, NULL))
            return false;
        memcpy(b + at, out, some);
    }
    return true;
}

static bool luks_merge(const u8 *area, size_t n, u32 stripes, const EVP_MD *md, u8 *key)
{
    memset(key, 0, n);
    for (u32 i = 0; i < stripes; i++) {
        for (size_t k = 0; k < n; k++)
            key[k] ^= area[i * n + k];
        if (i + 1 < stripes && !luks_diffuse(key, n, md))
            return false;
    }
    return true;
}

int luks_split(const u8 *key, size_t n, u32 stripes, const char *hash, u8 *out)
{
    const EVP_MD *md = EVP_get_digestbyname(hash);
    u8 sum[CIPHER_KEY_MAX] = { 0 };
    u8 *last = out + (size_t)(stripes - 1) * n;

    if (!md || n > sizeof(sum) || RAND_bytes(out, (int)((stripes - 1) * n)) != 1)
        return -EINVAL;
    for (u32 i = 0; i + 1 < stripes; i++) {
        for (size_t k = 0; k < n; k++)
            sum[k] ^= out[i * n + k];
        if (!luks_diffuse(sum, n, md))
            return -EINVAL;
    }
    for (size_t k = 0; k < n; k++)
        last[k] = sum[k] ^ key[k];
    return 0;
}

static int luks_slot_check(const struct luks_place *p, const struct luks_slot *s, struct err *e)
{
    const char *path = image_path(p->im);
    u64 need = round_up((u64)s->key_size * s->stripes, 512);

    if (!s->key_size || s->key_size > CIPHER_KEY_MAX || !s->area_key_size ||
        s->area_key_size > CIPHER_KEY_MAX || !s->stripes || s->stripes > LUKS_STRIPES_MAX ||
        (s->room && need > s->room) || !range_ok(s->at, need, p->room))
        return err_set(e, -EBADMSG, "%s: LUKS: a key slot of %u bytes in %u stripes at %llu", path,
                       s->key_size, s->stripes, (unsigned long long)s->at);
    if (!EVP_get_digestbyname(s->hash))
        return err_set(e, -EOPNOTSUPP, "%s: LUKS: the hash \"%s\" is not supported", path, s->hash);
    return luks_kdf_check(&s->kdf, path, e);
}

int luks_slot_open(const struct luks_place *p, const struct luks_slot *s,
                   const struct luks_secret *pass, u8 *key, struct err *e)
{
    size_t n = (size_t)round_up((u64)s->key_size * s->stripes, 512);
    struct cipher *c = NULL;
    u8 area_key[CIPHER_KEY_MAX], *area;
    int r = luks_slot_check(p, s, e);

    if (r)
        return r;
    area = malloc(n);
    r = area ? luks_kdf_run(&s->kdf, pass->pass, pass->n, area_key, s->area_key_size) : -ENOMEM;
    if (!r)
        r = image_file_read(p->im, p->file, p->at + s->at, area, n);
    if (r)
        err_set(e, r, "%s: LUKS: a key slot: %s", image_path(p->im), strerror(-r));
    else if (!(c = cipher_new(s->spec, area_key, s->area_key_size, image_path(p->im), e)))
        r = -EOPNOTSUPP;
    else if ((r = cipher_run(c, true, 0, 512, area, n)) ||
             !luks_merge(area, s->key_size, s->stripes, EVP_get_digestbyname(s->hash), key))
        r = err_set(e, r ? r : -EIO, "%s: LUKS: a key slot cannot be decrypted", image_path(p->im));
    cipher_free(c);
    OPENSSL_cleanse(area_key, sizeof(area_key));
    if (area)
        OPENSSL_cleanse(area, n);
    free(area);
    return r;
}
