/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LUKS, the encrypted disks of Linux: version 1 (On-Disk Format 1.2.3) here, version 2 in
 * luks2.c.  As a disk of its own it is read and written in place; qcow2 has the same header
 * inside.
 */
#include "base/bytes.h"
#include "image/luks_int.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LUKS1_HEADER 592
#define LUKS1_SLOTS 8
#define LUKS1_SLOT_AT 208
#define LUKS1_SLOT 48
#define LUKS1_ACTIVE 0x00ac71f3u
#define LUKS1_DIGEST 20

static void luks1_text(const u8 *head, u32 at, char *to)
{
    snprintf(to, 32, "%.31s", (const char *)head + at);
}

/* Version 1 has one cipher and one hash for all. */
static void luks1_slot(const struct luks *l, const u8 *head, u32 i, struct luks_slot *s)
{
    const u8 *b = head + LUKS1_SLOT_AT + i * LUKS1_SLOT;

    *s = (struct luks_slot){ .kdf = { .kind = "pbkdf2", .rounds = be32(b + 4), .nsalt = 32 } };
    memcpy(s->kdf.salt, b + 8, 32);
    luks1_text(head, 72, s->kdf.hash);
    luks1_text(head, 72, s->hash);
    memcpy(s->spec, l->spec, sizeof(s->spec));
    s->key_size = s->area_key_size = be32(head + 108);
    s->at = be32(b + 40) * 512ull;
    s->stripes = be32(b + 44);
}

static int luks1_is_key(const struct luks_slot *s, const u8 *head, const u8 *key)
{
    struct luks_kdf k = { .kind = "pbkdf2", .rounds = be32(head + 164), .nsalt = 32 };
    u8 got[LUKS1_DIGEST];

    memcpy(k.hash, s->kdf.hash, sizeof(k.hash));
    memcpy(k.salt, head + 132, 32);
    return !luks_kdf_check(&k, "", NULL) && !luks_kdf_run(&k, key, s->key_size, got, sizeof(got)) &&
           !CRYPTO_memcmp(got, head + 112, sizeof(got));
}

int luks1_unlock(struct luks *l, const struct luks_place *p, const u8 *head,
                 const struct luks_secret *pass, struct err *e)
{
    char name[32], mode[32];
    u8 key[CIPHER_KEY_MAX];
    unsigned active = 0;

    luks1_text(head, 8, name);
    luks1_text(head, 40, mode);
    snprintf(l->spec, sizeof(l->spec), "%s-%s", name, mode);
    snprintf(l->uuid, sizeof(l->uuid), "%.39s", (const char *)head + 168);
    l->payload = be32(head + 104) * 512ull;
    l->sector = 512;
    for (u32 i = 0; pass && i < LUKS1_SLOTS; i++) {
        struct luks_slot s;
        int r;

        if (be32(head + LUKS1_SLOT_AT + i * LUKS1_SLOT) != LUKS1_ACTIVE)
            continue;
        active++;
        luks1_slot(l, head, i, &s);
        r = luks_slot_open(p, &s, pass, key, e);
        if (r)
            return r;
        if (luks1_is_key(&s, head, key)) {
            l->cipher = cipher_new(l->spec, key, s.key_size, image_path(p->im), e);
            OPENSSL_cleanse(key, sizeof(key));
            return l->cipher ? 0 : -EOPNOTSUPP;
        }
    }
    if (pass && !active)
        return err_set(e, -EBADMSG, "%s: LUKS: has no key slots", image_path(p->im));
    return pass ? -EKEYREJECTED : 0;
}

static int luks_try(struct luks *l, const struct luks_place *p, const u8 *head,
                    const struct luks_secret *pass, struct err *e)
{
    return l->version == 1 ? luks1_unlock(l, p, head, pass, e) : luks2_unlock(l, p, pass, e);
}

int luks_unlock(struct luks *l, const struct luks_place *p, struct err *e)
{
    struct luks_secret *pass;
    u8 head[LUKS1_HEADER];
    int r;

    if (p->room < sizeof(head) || image_file_read(p->im, p->file, p->at, head, sizeof(head)) ||
        (memcmp(head, "LUKS\xba\xbe", 6) && memcmp(head, "SKUL\xba\xbe", 6)))
        return err_set(e, -EBADMSG, "%s: has no LUKS header at %llu", image_path(p->im),
                       (unsigned long long)p->at);
    l->version = be16(head + 6);
    if (l->version != 1 && l->version != 2)
        return err_set(e, -EOPNOTSUPP, "%s: LUKS version %u is not supported", image_path(p->im),
                       l->version);
    r = luks_try(l, p, head, NULL, e); /* is it one that we could read? */
    if (r)
        return r;
    pass = calloc(1, sizeof(*pass));
    if (!pass)
        return err_set(e, -ENOMEM, "%s: no memory", image_path(p->im));
    r = image_key_get(p->im->how->key, image_path(p->im), pass->pass, sizeof(pass->pass), e);
    pass->n = r > 0 ? (size_t)r : 0;
    if (r >= 0)
        r = luks_try(l, p, head, pass, e);
    if (r == -EKEYREJECTED && pass->n && pass->pass[pass->n - 1] == '\n') {
        pass->n--; /* a file that an editor ended with a line */
        r = luks_try(l, p, head, pass, e);
    }
    if (r == -EKEYREJECTED)
        err_set(e, r, "%s: the passphrase is not right", image_path(p->im));
    OPENSSL_cleanse(pass, sizeof(*pass));
    free(pass);
    return r;
}

void luks_fini(struct luks *l)
{
    cipher_free(l->cipher);
    l->cipher = NULL;
}

static int luks_probe(const struct probe *p)
{
    return p->nhead >= LUKS1_HEADER && !memcmp(p->head, "LUKS\xba\xbe", 6) &&
                   (be16(p->head + 6) == 1 || be16(p->head + 6) == 2)
               ? 100
               : 0;
}

static int luks_open(struct image *im, struct err *e)
{
    struct luks *l = im->priv = calloc(1, sizeof(*l));
    u64 file = image_file_length(im, 0);
    struct luks_place p = { .im = im, .room = file };
    int r = l ? luks_unlock(l, &p, e) : err_set(e, -ENOMEM, "%s: no memory", image_path(im));

    if (r)
        return r;
    if (l->payload > file || !range_ok(l->payload, l->length, file))
        return err_set(e, -EBADMSG, "%s: LUKS: its data at %llu is behind the end of the file",
                       image_path(im), (unsigned long long)l->payload);
    im->size = l->length ? l->length : (file - l->payload) / l->sector * l->sector;
    im->sealed = l->sector;
    return 0;
}

static void luks_close(struct image *im)
{
    if (im->priv)
        luks_fini(im->priv);
    free(im->priv);
}

static int luks_map(struct image *im, u64 off, struct extent *x)
{
    const struct luks *l = im->priv;

    x->kind = EXT_SEALED;
    x->at = l->payload + off;
    x->seal = off;
    x->len = im->size - off;
    return 0;
}

static int luks_seal(struct image *im, bool open, u64 seal, u8 *p, size_t n)
{
    const struct luks *l = im->priv;

    return cipher_run(l->cipher, open, l->tweak + seal / 512, l->sector, p, n);
}

static void luks_facts(struct image *im, const struct image_teller *to)
{
    const struct luks *l = im->priv;

    fact_say(to, FACT_VERSION, "%u", l->version);
    fact_say(to, FACT_ENCRYPTION, "LUKS%u %s", l->version, l->spec);
    fact_say(to, FACT_ID, "%s", l->uuid);
    if (l->sector != 512)
        fact_say(to, FACT_SECTOR, "%u", l->sector);
}

const struct image_format image_luks = {
    .name = "luks",
    .suffix = ".luks",
    .about = "LUKS1 and LUKS2: a disk encrypted by Linux",
    .can = CAN_WRITE,
    .probe = luks_probe,
    .open = luks_open,
    .close = luks_close,
    .map = luks_map,
    .seal = luks_seal,
    .facts = luks_facts,
};
