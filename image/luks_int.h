/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_LUKS_INT_H
#define IMAGE_LUKS_INT_H
#include "image/cipher.h"
#include "image/image_int.h"

/*
 * A LUKS header, 1 or 2, with the master key that a passphrase gave.  It lies in file `file`
 * at `at` and has `room` bytes there with its key slots.
 */
struct luks {
    u32 version, sector; /* bytes of an encrypted sector */
    u64 payload;         /* where the data begins, after `at` */
    u64 length;          /* of the data; 0: to the end of the file */
    u64 tweak;           /* number of the first 512 bytes of it */
    char spec[80];       /* "aes-xts-plain64" */
    char uuid[41];
    struct cipher *cipher;
};
struct luks_place {
    struct image *im;
    u32 file;
    u64 at, room;
};
int luks_unlock(struct luks *l, const struct luks_place *p, struct err *e);
void luks_fini(struct luks *l);

/* What both versions do with a slot: image/luks_slot.c */
struct luks_kdf {
    char kind[12], hash[32]; /* "pbkdf2", "argon2i", "argon2id"; the hash is pbkdf2's */
    u32 rounds;              /* pbkdf2: iterations; argon2: passes */
    u32 memory, lanes;       /* argon2: KiB, threads */
    u8 salt[64];
    size_t nsalt;
};
struct luks_slot {
    struct luks_kdf kdf;
    char spec[80], hash[32]; /* cipher of the area; hash of the anti-forensic split */
    u64 at, room;            /* of the area, from the header's beginning; room 0: unknown */
    u32 key_size, area_key_size, stripes;
};
struct luks_secret {
    u8 pass[IMAGE_KEY_MAX];
    size_t n;
};
/* Is the KDF one that we have, with costs that are bearable? */
int luks_kdf_check(const struct luks_kdf *k, const char *path, struct err *e);
int luks_kdf_run(const struct luks_kdf *k, const void *pass, size_t n, u8 *out, size_t nout);
/* The master key that this slot has if the passphrase is right; who knows is its digest. */
int luks_slot_open(const struct luks_place *p, const struct luks_slot *s,
                   const struct luks_secret *pass, u8 *key, struct err *e);
/* n bytes over `stripes`: what luks_slot_open merges */
int luks_split(const u8 *key, size_t n, u32 stripes, const char *hash, u8 *out);

int luks1_unlock(struct luks *l, const struct luks_place *p, const u8 *head,
                 const struct luks_secret *pass, struct err *e);
int luks2_unlock(struct luks *l, const struct luks_place *p, const struct luks_secret *pass,
                 struct err *e);
#endif
