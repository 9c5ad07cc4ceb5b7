/* SPDX-License-Identifier: GPL-2.0-or-later */
/* LUKS disks made by cryptsetup and qemu-img: read, written, and refused as they should be. */
#include "base/bytes.h"
#include "image/image_int.h"
#include "tests/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>

enum { DISK = (3 << 20) + 512 * 8 };
static u8 model[DISK];

static int ask(void *arg, const char *path, u8 *room, size_t n)
{
    memcpy(room, arg, strlen(arg));
    return (int)strlen(arg);
}

static int open_with(const char *name, const char *pass, u32 flags, struct image **im,
                     struct err *e)
{
    const struct image_key key = { .ask = ask, .arg = (void *)pass };
    struct image_open how = { .path = in_dir(name), .flags = flags, .key = pass ? &key : NULL };

    *e = (struct err){ 0 };
    return image_open(im, &how, e);
}

static void keys_are_asked_for(const char *name)
{
    struct image_open how = { .path = in_dir(name) };
    struct image_key file = { .file = in_dir("pw") };
    struct image *im;
    struct err e;

    CHECK_EQ(open_with(name, NULL, 0, &im, &e), -ENOKEY);
    CHECK(strstr(e.text, "needs a passphrase") != NULL);
    CHECK_EQ(open_with(name, "wrong", 0, &im, &e), -EKEYREJECTED);
    CHECK(strstr(e.text, "is not right") != NULL);
    how.key = &file;
    CHECK_EQ(image_open(&im, &how, &e), 0);
    if (im)
        image_close(im, NULL);
    else
        printf("# %s\n", e.text);
}

static void write_and_read(const char *name)
{
    struct image *im;
    struct err e;

    CHECK_EQ(open_with(name, "secret", IMAGE_WRITE, &im, &e), 0);
    if (e.code) {
        printf("# %s: %s\n", name, e.text);
        return;
    }
    CHECK_EQ(image_size(im), DISK);
    CHECK_EQ(write_at(im, 0, model, DISK), 0);
    storm(im, model, 60, DISK);
    for (u32 i = 0; i < 100; i++) { /* places that end anywhere */
        u32 at = some(DISK - 10000), n = 1 + some(9999);

        memset(model + at, (int)i, n);
        CHECK_EQ(write_at(im, at, model + at, n), 0);
    }
    CHECK(same(im, model, DISK));
    CHECK_EQ(image_close(im, NULL), 0);
    CHECK_EQ(open_with(name, "secret", 0, &im, &e), 0);
    CHECK(same(im, model, DISK));
    image_close(im, NULL);
}

static void fill(void)
{
    for (size_t i = 0; i < DISK; i++)
        model[i] = (u8)(i / 300 * 7);
    store("base.raw", model, DISK);
    store("pw", (const u8 *)"secret\n", 7);
}

#define SECRET "--object secret,id=s,data=secret"

static void disks_of_qemu_img(void)
{
    static const char *const kinds[] = {
        "cipher-alg=aes-256,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=sha512",
    };
    struct image *im;
    struct err e;

    if (!have_qemu())
        return;
    fill();
    for (size_t i = 0; i < LEN(kinds); i++) {
        fill();
        CHECK_EQ(run("rm -f q; qemu-img convert " SECRET " -O luks -o key-secret=s,iter-time=10,%s "
                     "base.raw q",
                     kinds[i]),
                 0);
        CHECK_EQ(open_with("q", "secret", 0, &im, &e), 0);
        if (e.code) {
            printf("# %s: %s\n", kinds[i], e.text);
            continue;
        }
        CHECK(same(im, model, DISK));
        image_close(im, NULL);
        write_and_read("q");
        store("model.raw", model, DISK);
        CHECK_EQ(run("qemu-img compare " SECRET " --image-opts driver=luks,key-secret=s,"
                     "file.filename=q driver=raw,file.filename=model.raw"),
                 0);
    }
    keys_are_asked_for("q");
}

/* A file of this header and a disk behind it. */
static int format(const char *name, const char *options)
{
    return run(
        "rm -f %s; truncate -s 32M %s && printf secret | cryptsetup -q luksFormat %s %s - && "
        "o=$(cryptsetup luksDump %s | sed -n 's/.*[oO]ffset: *\\([0-9]*\\) \\[bytes.*/\\1/p;"
        "s/^Payload offset:[^0-9]*\\([0-9]*\\)/\\1*512/p' | head -1) && "
        "truncate -s $(($o + %d)) %s",
        name, name, options, name, name, DISK, name);
}

static void disks_of_cryptsetup(void)
{
    static const char *const kinds[] = {
        "--type luks1 --pbkdf-force-iterations 1000",
        "--type luks1 --pbkdf-force-iterations 1000 --cipher aes-cbc-essiv:sha256 --key-size 256 "
        "--hash sha512",
        "--type luks1 --pbkdf-force-iterations 1000 --cipher aes-xts-plain --key-size 256 "
        "--hash sha1",
        "--type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 512",
        "--type luks2 --pbkdf argon2id --pbkdf-memory 1024 --pbkdf-force-iterations 4 "
        "--pbkdf-parallel 2 --sector-size 4096",
        "--type luks2 --pbkdf argon2i --pbkdf-memory 1024 --pbkdf-force-iterations 4 "
        "--pbkdf-parallel 1 --luks2-metadata-size 64k --luks2-keyslots-size 512k "
        "--cipher aes-cbc-essiv:sha256 --key-size 128 --sector-size 512",
    };

    if (!have_tool("cryptsetup"))
        return;
    fill();
    for (size_t i = 0; i < LEN(kinds); i++) {
        CHECK_EQ(format("c", kinds[i]), 0);
        write_and_read("c");
        if (check_failed_now)
            printf("# %s\n", kinds[i]);
    }
}

/* What lies on the disk is what the master key and the sector's number make of it. */
static void sectors_of_4096(void)
{
    u8 key[64], iv[16] = { 0 }, cipher[4096], plain[4096];
    EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
    struct image *im;
    struct stat st;
    struct err e;
    int fd, got;

    if (!have_tool("cryptsetup"))
        return;
    fill();
    CHECK_EQ(format("v", "--type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "
                         "--sector-size 4096"),
             0);
    write_and_read("v");
    CHECK_EQ(run("rm -f vk; printf secret | cryptsetup -q luksDump v --dump-volume-key "
                 "--volume-key-file vk --key-file -"),
             0);
    fd = open(in_dir("vk"), O_RDONLY);
    CHECK_EQ(read(fd, key, 64), 64);
    close(fd);
    fd = open(in_dir("v"), O_RDONLY);
    CHECK_EQ(fstat(fd, &st), 0);
    CHECK_EQ(pread(fd, cipher, 4096, st.st_size - DISK + 5 * 4096), 4096);
    close(fd);
    put_le64(iv, 5 * 8);
    CHECK(EVP_DecryptInit_ex(x, EVP_aes_256_xts(), NULL, key, iv) &&
          EVP_DecryptUpdate(x, plain, &got, cipher, 4096));
    CHECK(!memcmp(plain, model + 5 * 4096, 4096));
    EVP_CIPHER_CTX_free(x);
    /* the second copy of the header serves when the first is damaged */
    fd = open(in_dir("v"), O_RDWR);
    CHECK_EQ(pwrite(fd, "x", 1, 5000), 1);
    close(fd);
    CHECK_EQ(open_with("v", "secret", 0, &im, &e), 0);
    CHECK(same(im, model, DISK));
    image_close(im, NULL);
    fd = open(in_dir("v"), O_RDWR);
    CHECK_EQ(pwrite(fd, "x", 1, 21384), 1);
    close(fd);
    CHECK_EQ(open_with("v", "secret", 0, &im, &e), -EBADMSG);
}

static void hostile_headers(void)
{
    static const struct {
        u32 at, value;
        int code;
    } bad[] = {
        { 164, 0xffffffff, -EKEYREJECTED }, /* rounds of the digest */
        { 212, 0xffffffff, -EBADMSG },      /* of the slot */
        { 212, 0, -EBADMSG },
        { 252, 0xffffffff, -EBADMSG }, /* stripes */
        { 252, 0, -EBADMSG },
        { 248, 0xfffffff0, -EBADMSG }, /* where the slot is */
        { 108, 0xffffffff, -EBADMSG }, /* bytes of the key */
        { 108, 0, -EBADMSG },
        { 104, 0xffffffff, -EBADMSG },   /* where the data is */
        { 8, 0x74776f66, -EOPNOTSUPP },  /* the cipher */
        { 72, 0x61626300, -EOPNOTSUPP }, /* the hash */
    };
    struct image *im;
    struct err e;

    if (!have_tool("cryptsetup"))
        return;
    fill();
    CHECK_EQ(format("h", "--type luks1 --pbkdf-force-iterations 1000"), 0);
    for (size_t i = 0; i < LEN(bad); i++) {
        int fd = open(in_dir("h"), O_RDWR), r;
        u8 was[4], now[4];

        put_be32(now, bad[i].value);
        CHECK_EQ(pread(fd, was, 4, bad[i].at), 4);
        CHECK_EQ(pwrite(fd, now, 4, bad[i].at), 4);
        r = open_with("h", "secret", 0, &im, &e);
        if (r != bad[i].code)
            printf("# %u: %d %s\n", bad[i].at, r, e.text);
        CHECK_EQ(r, bad[i].code);
        if (!r)
            image_close(im, NULL);
        CHECK_EQ(pwrite(fd, was, 4, bad[i].at), 4);
        close(fd);
    }
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(disks_of_qemu_img);
    CASE(disks_of_cryptsetup);
    CASE(sectors_of_4096);
    CASE(hostile_headers);
    return scratch_end();
}
