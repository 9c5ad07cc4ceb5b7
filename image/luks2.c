/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header of LUKS2 (LUKS2 On-Disk Format 1.1.4): two copies with a checksum, each a small
 * binary part and JSON.  Left out: segments that are being re-encrypted, dm-integrity, tokens.
 */
#include "base/bytes.h"
#include "image/luks_int.h"
#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define LUKS2_BINARY 4096
#define LUKS2_MIN 16384
#define LUKS2_MAX (4u << 20)
#define LUKS2_SLOTS 32

/* One copy: its whole header in *text, or not a good one. */
static int luks2_copy(const struct luks_place *p, u64 at, const char *magic, u8 **text, u64 *size,
                      u64 *sequence)
{
    u8 b[LUKS2_BINARY], sum[EVP_MAX_MD_SIZE], want[64];
    const EVP_MD *md;
    unsigned n;
    char name[33];

    *text = NULL;
    if (!range_ok(at, sizeof(b), p->room) ||
        image_file_read(p->im, p->file, p->at + at, b, sizeof(b)) || memcmp(b, magic, 6) ||
        be16(b + 6) != 2)
        return -EBADMSG;
    *size = be64(b + 8);
    *sequence = be64(b + 16);
    snprintf(name, sizeof(name), "%.32s", (const char *)b + 72);
    md = EVP_get_digestbyname(name);
    if (!md || *size < LUKS2_MIN || *size > LUKS2_MAX || *size & (*size - 1) ||
        be64(b + 256) != at || !range_ok(at, *size, p->room) || !(*text = malloc(*size + 1)))
        return -EBADMSG;
    memcpy(want, b + 448, sizeof(want));
    if (!image_file_read(p->im, p->file, p->at + at, *text, *size)) {
        (*text)[*size] = 0;
        memset(*text + 448, 0, 64);
        if (EVP_Digest(*text, *size, sum, &n, md, NULL) && n <= 64 && !memcmp(sum, want, n))
            return 0;
    }
    free(*text);
    *text = NULL;
    return -EBADMSG;
}

/* The newer of the good copies; the second one is where the first says, or at any usual place. */
static int luks2_load(const struct luks_place *p, u8 **text, u64 *size, struct err *e)
{
    u64 sequence = 0, other_size, other;
    u8 *second;

    luks2_copy(p, 0, "LUKS\xba\xbe", text, size, &sequence);
    for (u64 at = LUKS2_MIN; at <= LUKS2_MAX; at *= 2) {
        if (luks2_copy(p, at, "SKUL\xba\xbe", &second, &other_size, &other))
            continue;
        if (!*text || other > sequence) {
            free(*text);
            *text = second;
            *size = other_size;
        } else {
            free(second);
        }
        break;
    }
    return *text ? 0
                 : err_set(e, -EBADMSG, "%s: LUKS2: both copies of the header are damaged",
                           image_path(p->im));
}

/* A member that is a number, or a number in quotes. */
static u64 luks2_number(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);

    if (json_is_string(v))
        return strtoull(json_string_value(v), NULL, 10);
    return json_is_integer(v) && json_integer_value(v) > 0 ? (u64)json_integer_value(v) : 0;
}
static u32 luks2_small(const json_t *o, const char *name)
{
    u64 v = luks2_number(o, name);

    return v > UINT32_MAX ? UINT32_MAX : (u32)v;
}
static void luks2_text(const json_t *o, const char *name, char *to, size_t n)
{
    const char *v = json_string_value(json_object_get(o, name));

    snprintf(to, n, "%s", v ? v : "");
}
static size_t luks2_bytes(const json_t *o, const char *name, u8 *to, size_t n)
{
    const char *v = json_string_value(json_object_get(o, name));
    size_t len = v ? strlen(v) : 0, pad = 0;
    u8 b[160];
    int got;

    if (len % 4 || len > 200 || !len)
        return 0;
    while (pad < 2 && v[len - 1 - pad] == '=')
        pad++;
    got = EVP_DecodeBlock(b, (const u8 *)v, (int)len);
    if (got < 0 || (size_t)got - pad > n)
        return 0;
    memcpy(to, b, (size_t)got - pad);
    return (size_t)got - pad;
}

static void luks2_kdf(const json_t *o, struct luks_kdf *k)
{
    luks2_text(o, "type", k->kind, sizeof(k->kind));
    luks2_text(o, "hash", k->hash, sizeof(k->hash));
    k->rounds = luks2_small(o, strcmp(k->kind, "pbkdf2") ? "time" : "iterations");
    k->memory = luks2_small(o, "memory");
    k->lanes = luks2_small(o, "cpus");
    k->nsalt = luks2_bytes(o, "salt", k->salt, sizeof(k->salt));
}

static void luks2_slot(const json_t *o, struct luks_slot *s)
{
    const json_t *af = json_object_get(o, "af"), *area = json_object_get(o, "area");

    *s = (struct luks_slot){ 0 };
    luks2_kdf(json_object_get(o, "kdf"), &s->kdf);
    luks2_text(area, "encryption", s->spec, sizeof(s->spec));
    luks2_text(af, "hash", s->hash, sizeof(s->hash));
    s->stripes = luks2_small(af, "stripes");
    s->key_size = luks2_small(o, "key_size");
    s->area_key_size = luks2_small(area, "key_size");
    s->at = luks2_number(area, "offset");
    s->room = luks2_number(area, "size");
}

static bool luks2_lists(const json_t *list, const char *name)
{
    size_t i;
    const json_t *v;

    json_array_foreach(list, i,
                       v) if (json_is_string(v) && !strcmp(json_string_value(v), name)) return true;
    return false;
}

/* Is this the key whose digest the segment has? */
static int luks2_is_key(const json_t *digest, const u8 *key, size_t n, const char *path,
                        struct err *e)
{
    struct luks_kdf k = { 0 };
    u8 want[64], got[64];
    size_t len = luks2_bytes(digest, "digest", want, sizeof(want));
    int r;

    luks2_kdf(digest, &k);
    r = luks_kdf_check(&k, path, e);
    if (r)
        return r;
    return len >= 16 && !luks_kdf_run(&k, key, n, got, len) && !CRYPTO_memcmp(got, want, len);
}

/* The first slot that the passphrase fits. */
static int luks2_key(struct luks *l, const struct luks_place *p, const json_t *root,
                     const char *segment, const struct luks_secret *pass, struct err *e)
{
    json_t *digests = json_object_get(root, "digests"), *slots = json_object_get(root, "keyslots");
    const char *name, *slot_name;
    json_t *digest, *o;
    u8 key[CIPHER_KEY_MAX];
    unsigned tried = 0;
    int r = 0;

    json_object_foreach(digests, name, digest)
    {
        if (!luks2_lists(json_object_get(digest, "segments"), segment))
            continue;
        json_object_foreach(slots, slot_name, o)
        {
            struct luks_slot s;

            if (!luks2_lists(json_object_get(digest, "keyslots"), slot_name) ||
                tried++ >= LUKS2_SLOTS)
                continue;
            luks2_slot(o, &s);
            r = luks_slot_open(p, &s, pass, key, e);
            if (!r)
                r = luks2_is_key(digest, key, s.key_size, image_path(p->im), e);
            if (r > 0) {
                l->cipher = cipher_new(l->spec, key, s.key_size, image_path(p->im), e);
                OPENSSL_cleanse(key, sizeof(key));
                return l->cipher ? 0 : -EOPNOTSUPP;
            }
        }
    }
    if (!tried)
        return err_set(e, -EBADMSG, "%s: LUKS2: has no key slots", image_path(p->im));
    return r ? r : -EKEYREJECTED;
}

static int luks2_segment(struct luks *l, const struct luks_place *p, const json_t *root,
                         const char **name, struct err *e)
{
    json_t *segments = json_object_get(root, "segments"), *o;
    json_t *must = json_object_get(json_object_get(json_object_get(root, "config"), "requirements"),
                                   "mandatory");
    const char *path = image_path(p->im), *type;

    if (json_array_size(must))
        return err_set(
            e, -EOPNOTSUPP, "%s: LUKS2: it requires \"%.60s\", which is not supported", path,
            json_is_string(json_array_get(must, 0)) ? json_string_value(json_array_get(must, 0))
                                                    : "?");
    if (json_object_size(segments) != 1)
        return err_set(e, -EOPNOTSUPP, "%s: LUKS2: %zu segments, one is supported", path,
                       json_object_size(segments));
    *name = json_object_iter_key(json_object_iter(segments));
    o = json_object_get(segments, *name);
    type = json_string_value(json_object_get(o, "type"));
    if (!type || strcmp(type, "crypt") || json_object_get(o, "integrity"))
        return err_set(e, -EOPNOTSUPP, "%s: LUKS2: a segment of type \"%.30s\"%s is not supported",
                       path, type ? type : "",
                       json_object_get(o, "integrity") ? " and integrity" : "");
    l->payload = luks2_number(o, "offset");
    l->length = luks2_number(o, "size"); /* 0 for "dynamic" */
    l->tweak = luks2_number(o, "iv_tweak");
    l->sector = luks2_small(o, "sector_size");
    luks2_text(o, "encryption", l->spec, sizeof(l->spec));
    if (l->sector < 512 || l->sector > 4096 || l->sector & (l->sector - 1) || l->payload % 512 ||
        l->length % l->sector)
        return err_set(e, -EBADMSG, "%s: LUKS2: a segment at %llu with sectors of %u bytes", path,
                       (unsigned long long)l->payload, l->sector);
    return 0;
}

int luks2_unlock(struct luks *l, const struct luks_place *p, const struct luks_secret *pass,
                 struct err *e)
{
    const char *segment = NULL;
    json_t *root;
    u8 *text;
    u64 size;
    int r = luks2_load(p, &text, &size, e);

    if (r)
        return r;
    snprintf(l->uuid, sizeof(l->uuid), "%.40s", (const char *)text + 168);
    root = json_loads((const char *)text + LUKS2_BINARY, JSON_REJECT_DUPLICATES, NULL);
    if (!root)
        r = err_set(e, -EBADMSG, "%s: LUKS2: its JSON is damaged", image_path(p->im));
    if (!r)
        r = luks2_segment(l, p, root, &segment, e);
    if (!r && pass)
        r = luks2_key(l, p, root, segment, pass, e);
    json_decref(root);
    free(text);
    return r;
}
