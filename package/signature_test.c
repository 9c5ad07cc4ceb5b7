/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Manifests and signatures: made here, judged by OpenSSL's tool, damaged, foreign, out of date. */
#include "package/manifest.h"
#include "package/signature.h"
#include "tests/check.h"
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <unistd.h>

static char dir[] = "/tmp/mimic-sign-XXXXXX";
static struct desc d;
static struct notes notes;
static struct err err;

static const char *at(const char *name)
{
    static char path[6][300];
    static unsigned turn;

    turn = (turn + 1) % LEN(path);
    snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
    return path[turn];
}

/* A self-signed certificate, valid from and to so many days from now. */
static EVP_PKEY *make_pair(const char *key, const char *cert, const char *name, int from, int to)
{
    EVP_PKEY *k = EVP_RSA_gen(2048);
    X509 *x = X509_new();
    FILE *f;

    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), from * 86400l);
    X509_gmtime_adj(X509_getm_notAfter(x), to * 86400l);
    X509_set_pubkey(x, k);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const u8 *)name, -1,
                               -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    CHECK(X509_sign(x, k, EVP_sha256()) > 0);
    f = fopen(at(key), "we");
    CHECK(f && PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL));
    fclose(f);
    f = fopen(at(cert), "we");
    CHECK(f && PEM_write_X509(f, x));
    fclose(f);
    X509_free(x);
    return k;
}

static int write_signed(const char *name, const char *key, const char *cert, const char *digest)
{
    struct package_options o = { .key = key, .cert = cert, .digest = digest };
    struct notes n = { 0 };
    int r;

    desc_fini(&d);
    desc_init(&d);
    d.name = "vm";
    unlink(at(name));
    err = (struct err){ 0 };
    r = package_write(at(name), &o, &d, &n, &err);
    notes_fini(&n);
    return r;
}

static int open_it(const char *name, const char *trust)
{
    struct package_options o = { .verify = true, .trust = trust };

    desc_fini(&d);
    notes_fini(&notes);
    desc_init(&d);
    err = (struct err){ 0 };
    return package_open(at(name), &o, &d, &notes, &err);
}

static bool noted(enum note_kind kind, const char *part)
{
    for (const struct note *n = notes.first; n; n = n->next)
        if (n->kind == kind && strstr(n->text, part))
            return true;
    return false;
}

static void signed_by_a_stranger_or_a_friend(void)
{
    static const char *const digests[] = { "sha1", "sha256", "sha512", NULL };
    struct package_options o = { .verify = true };
    struct signature g;

    EVP_PKEY_free(make_pair("key.pem", "cert.pem", "Friend", -1, 30));
    for (size_t i = 0; i < LEN(digests); i++) {
        CHECK_EQ(write_signed("s.ova", at("key.pem"), at("cert.pem"), digests[i]), 0);
        CHECK_TEXT(err.text, "");
        CHECK_EQ(open_it("s.ova", NULL), 0);
        CHECK_TEXT(err.text, "");
        CHECK(noted(NOTE_KEPT, "by \"CN = Friend\", and the signature is right"));
        CHECK(noted(NOTE_CHANGED, "nobody who is trusted here vouches for its signer"));
        CHECK(!noted(NOTE_CHANGED, "was valid until"));
    }
    o.trust = at("cert.pem");
    CHECK_EQ(package_signature(at("s.ova"), &o, &g, &err), 0);
    CHECK(g.there && g.right && g.trusted && !g.expired);
    CHECK_TEXT(g.method, "SHA256");
    CHECK_EQ(open_it("s.ova", at("cert.pem")), 0);
    CHECK(noted(NOTE_KEPT, "its signer is vouched for by \"CN = Friend\""));
    EVP_PKEY_free(make_pair("old.pem", "oldcert.pem", "Old", -30, -1));
    CHECK_EQ(write_signed("s.ova", at("old.pem"), at("oldcert.pem"), NULL), 0);
    CHECK_EQ(open_it("s.ova", at("oldcert.pem")), 0);
    CHECK(noted(NOTE_KEPT, "is vouched for")); /* trusted, and told apart: out of date */
    CHECK(noted(NOTE_CHANGED, "the signer's certificate was valid until"));
    o.trust = NULL;
    CHECK_EQ(package_signature(at("s.ova"), &o, &g, &err), 0);
    CHECK(g.right && !g.trusted && g.expired);
}

static void what_cannot_sign(void)
{
    CHECK_EQ(write_signed("s.ova", at("key.pem"), at("oldcert.pem"), NULL), (u64)-EINVAL);
    CHECK(strstr(err.text, "is not the certificate of") != NULL);
    CHECK_EQ(write_signed("s.ova", at("cert.pem"), at("cert.pem"), NULL), (u64)-EINVAL);
    CHECK(strstr(err.text, "is no RSA key") != NULL);
    CHECK_EQ(write_signed("s.ova", at("nothing.pem"), at("cert.pem"), NULL), (u64)-ENOENT);
    CHECK_EQ(write_signed("s.ova", at("key.pem"), at("cert.pem"), "none"), (u64)-EINVAL);
    CHECK(access(at("s.ova"), F_OK) != 0);
}

/* One byte of a member is changed. */
static void spoil(const char *name, const char *after, size_t skip)
{
    static u8 data[1 << 20];
    FILE *f = fopen(at(name), "r+e");
    size_t n = f ? fread(data, 1, sizeof(data), f) : 0;
    u8 *p = memmem(data, n, after, strlen(after));

    CHECK(p != NULL);
    if (p) {
        p[strlen(after) + skip] ^= 1;
        rewind(f);
        CHECK_EQ(fwrite(data, 1, n, f), n);
    }
    if (f)
        fclose(f);
}

static void damage_is_found(void)
{
    struct signature g;

    CHECK_EQ(write_signed("s.ova", at("key.pem"), at("cert.pem"), NULL), 0);
    spoil("s.ova", "SHA256(s.mf)= ", 5); /* the signature; still hex, most likely */
    CHECK(open_it("s.ova", NULL) < 0);
    CHECK(err.text[0]);
    CHECK_EQ(write_signed("s.ova", at("key.pem"), at("cert.pem"), NULL), 0);
    spoil("s.ova", "<Info>A virtual", 3);
    CHECK_EQ(open_it("s.ova", NULL), (u64)-EBADMSG);
    CHECK(strstr(err.text, "\"s.ovf\": SHA256 is ") != NULL);
    CHECK_EQ(package_signature(at("s.ova"), NULL, &g, &err), 0);
    CHECK(g.right); /* of the manifest it still is */
    CHECK_EQ(write_signed("s.ova", at("key.pem"), at("cert.pem"), NULL), 0);
    spoil("s.ova", "(s.mf", 0);
    CHECK_EQ(open_it("s.ova", NULL), (u64)-EBADMSG);
}

static void openssl_agrees(void)
{
    char command[900];

    if (system("command -v openssl >/dev/null 2>&1")) {
        check_skip("openssl is not installed");
        return;
    }
    CHECK_EQ(write_signed("t.ova", at("key.pem"), at("cert.pem"), "sha512"), 0);
    snprintf(command, sizeof(command),
             "cd %s && tar xf t.ova && openssl x509 -in t.cert -pubkey -noout >pub.pem && "
             "sed -n 's/^SHA512(t.mf)= //p' t.cert | python3 -c 'import sys; "
             "sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' >sig.bin && "
             "openssl dgst -sha512 -verify pub.pem -signature sig.bin t.mf >/dev/null && "
             "sed 's/SHA512(\\(.*\\))= \\(.*\\)/\\2  \\1/' t.mf | sha512sum -c --quiet -",
             dir);
    CHECK_EQ(system(command), 0);
}

/* Spellings of manifests that exist; each digest is of an empty file. */
static void spellings_of_manifests(void)
{
    static const char *const good[] = {
        "SHA1(e)= da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "SHA1 ( e ) =DA39A3EE5E6B4B0D3255BFEF95601890AFD80709\r\n",
        "sha-1(e)=da39a3ee5e6b4b0d3255bfef95601890afd80709\n\n",
        "SHA2-256(./e)= e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n",
        "SHA256(e)= e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855     ",
    };
    static const char *const bad[] = {
        "SHA1(e)= da39a3ee5e6b4b0d3255bfef95601890afd80708",
        "SHA1(e)= da39",
        "SHA1(e) da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "SHA1 e = da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "SHA1(gone)= da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "SHA1(e)= da39a3ee5e6b4b0d3255bfef95601890afd80709\n"
        "SHA1(e)= da39a3ee5e6b4b0d3255bfef95601890afd80709\n"
        "SHA1(e)= da39a3ee5e6b4b0d3255bfef95601890afd80709\n"
        "SHA1(e)= da39a3ee5e6b4b0d3255bfef95601890afd80709\n",
        "SHA1(../e)= da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "MD5(e)= d41d8cd98f00b204e9800998ecf8427e",
    };
    struct package_options o = { .verify = true };
    struct source_file mf = { .name = "m.mf" };
    struct source s;
    FILE *f = fopen(at("e"), "we");

    if (f)
        fclose(f);
    f = fopen(at("m.ovf"), "we");
    if (f)
        fclose(f);
    mf.path = at("m.mf");
    for (size_t i = 0; i < LEN(good) + LEN(bad); i++) {
        const char *text = i < LEN(good) ? good[i] : bad[i - LEN(good)];
        int r;

        f = fopen(mf.path, "we");
        CHECK(f && fputs(text, f) >= 0);
        if (f)
            fclose(f);
        mf.size = strlen(text);
        CHECK_EQ(source_open(&s, at("m.ovf"), &err), 0);
        r = manifest_verify(&s, &mf, &o, &notes, &err);
        if ((r == 0) != (i < LEN(good)))
            printf("# %s: %d\n", text, r);
        CHECK((r == 0) == (i < LEN(good)));
        source_close(&s);
    }
}

int main(void)
{
    char command[100];

    if (!mkdtemp(dir))
        return 1;
    CASE(signed_by_a_stranger_or_a_friend);
    CASE(what_cannot_sign);
    CASE(damage_is_found);
    CASE(openssl_agrees);
    CASE(spellings_of_manifests);
    desc_fini(&d);
    notes_fini(&notes);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) ? 1 : check_end();
}
