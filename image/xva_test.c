/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks in XVAs: places of chunks, sums, what we write read back, the chunks of 3.x. */
#include "base/bytes.h"
#include "image/xva.h"
#include "tests/scratch.h"
#include <errno.h>
#include <fcntl.h>

static FILE *tar;

static void tar_add(const char *name, const void *p, size_t n)
{
    u8 h[512] = { 0 }, pad[512] = { 0 };
    unsigned sum = 0;

    snprintf((char *)h, 100, "%s", name);
    snprintf((char *)h + 124, 12, "%011zo", n);
    h[156] = '0';
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    memset(h + 148, ' ', 8);
    for (size_t i = 0; i < sizeof(h); i++)
        sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
    fwrite(h, 1, 512, tar);
    fwrite(p, 1, n, tar);
    fwrite(pad, 1, -n % 512, tar);
}

static void tar_begin(const char *name)
{
    tar = fopen(in_dir(name), "we");
    CHECK(tar != NULL);
    tar_add("ova.xml", "<value/>", 8);
}

static void tar_end(void)
{
    static const u8 zero[1024];

    fwrite(zero, 1, sizeof(zero), tar);
    fclose(tar);
}

static int member(void *arg, const char *name, const void *p, size_t n)
{
    ++*(unsigned *)arg;
    tar_add(name, p, n);
    return 0;
}

static int open_part(struct image **im, const char *name, const char *part, struct err *e)
{
    struct image_open how = { .path = in_dir(name), .part = part };

    *e = (struct err){ 0 };
    return image_open(im, &how, e);
}

enum { DISK = (9 << 20) + 3 * 512 };
static u8 model[DISK + (4 << 20)];

static void write_disk(const char *raw, const char *ref, enum xva_sum sum, unsigned expect)
{
    struct image *im = open_it(raw, 0);
    unsigned members = 0;
    struct xva_write how = { .ref = ref, .sum = sum, .member = member, .arg = &members };
    struct err e = { 0 };

    CHECK_EQ(xva_write(im, &how, &e), 0);
    CHECK_EQ(members, expect);
    image_close(im, NULL);
}

static void what_is_written_is_read(void)
{
    struct image *im;
    struct err e;

    memset(model, 0, sizeof(model));
    for (size_t i = 0; i < 100000; i++)
        model[(5 << 20) - 500 + i] = (u8)(i / 7 + 1);
    model[(8 << 20) - 1] = 3;
    store("a.raw", model, DISK);
    tar_begin("a.xva");
    write_disk("a.raw", "Ref:4", XVA_SHA1, 2 * 5); /* 0, 4, 5, 7 and the last */
    write_disk("a.raw", "Ref:5", XVA_XXHASH, 2 * 5);
    tar_end();
    CHECK_EQ(open_part(&im, "a.xva", NULL, &e), -EINVAL);
    CHECK(strstr(e.text, "several disks") != NULL);
    CHECK_EQ(open_part(&im, "a.xva", "Ref:6", &e), -ENOENT);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(open_part(&im, "a.xva", i ? "Ref:5" : "Ref:4", &e), 0);
        CHECK_EQ(image_size(im), DISK);
        CHECK(same(im, model, DISK));
        CHECK(same(im, model, DISK)); /* no sums now */
        CHECK_EQ(image_check(im, say, NULL, NULL), 0);
        image_close(im, NULL);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(run(i ? "zstd -q a.xva -o b.xva" : "gzip -c a.xva >b.xva"), 0);
        CHECK_EQ(open_part(&im, "b.xva", "Ref:5", &e), 0);
        CHECK(same(im, model, DISK));
        image_close(im, NULL);
        CHECK_EQ(run("rm b.xva"), 0);
    }
}

/* A chunk without length uses up a number, and nothing moves. */
static void keep_alive_chunks_take_no_space(void)
{
    static u8 chunk[XVA_CHUNK];
    struct image *im;
    struct err e;

    tar_begin("k.xva");
    memset(model, 0, sizeof(model));
    memset(chunk, 1, sizeof(chunk));
    memcpy(model, chunk, sizeof(chunk));
    tar_add("Ref:1/00000000", chunk, XVA_CHUNK);
    tar_add("Ref:1/00000001", chunk, 0);
    tar_add("Ref:1/00000001.xxhash", "EF46DB3751D8E999", 16);
    memset(chunk, 2, sizeof(chunk));
    memcpy(model + (1 << 20), chunk, sizeof(chunk));
    tar_add("Ref:1/00000002", chunk, XVA_CHUNK);
    tar_add("Ref:1/00000003", chunk, 0);
    tar_add("Ref:1/00000004", chunk, 0);
    memset(chunk, 3, sizeof(chunk));
    memcpy(model + (4 << 20), chunk, 5120);
    tar_add("Ref:1/00000007", chunk, 5120);
    tar_end();
    CHECK_EQ(open_part(&im, "k.xva", NULL, &e), 0);
    CHECK_EQ(image_size(im), (4 << 20) + 5120);
    CHECK(same(im, model, image_size(im)));
    image_close(im, NULL);
}

static void damage_is_named(void)
{
    static u8 chunk[XVA_CHUNK], b[512];
    struct iovec v = { b, 512 };
    struct image *im;
    struct err e;

    for (int i = 0; i < 2; i++) {
        tar_begin("d.xva");
        tar_add("Ref:1/00000000", chunk, XVA_CHUNK);
        tar_add(i ? "Ref:1/00000000.xxhash" : "Ref:1/00000000.checksum",
                i ? "0123456789ABCDEF" : "0123456789012345678901234567890123456789", i ? 16 : 40);
        tar_add("Ref:1/00000001", chunk, XVA_CHUNK);
        tar_end();
        CHECK_EQ(open_part(&im, "d.xva", "Ref:1", &e), 0);
        CHECK_EQ(image_read(im, 700, &v, 1, 512), -EBADMSG);
        CHECK_EQ(image_read(im, 1 << 20, &v, 1, 512), 0);
        CHECK_EQ(image_check(im, say, NULL, &e), -EBADMSG);
        image_close(im, NULL);
    }
    tar_begin("d.xva");
    tar_add("Ref:1/00000005", chunk, 512);
    tar_add("Ref:1/00000005", chunk, 512);
    tar_end();
    CHECK_EQ(open_part(&im, "d.xva", "Ref:1", &e), -EBADMSG);
    CHECK(strstr(e.text, "do not rise") != NULL);
    tar_begin("d.xva");
    tar_add("Ref:1/999999999999", chunk, XVA_CHUNK);
    tar_end();
    CHECK_EQ(open_part(&im, "d.xva", "Ref:1", &e), 0);
    CHECK_EQ(image_size(im), 1000000000000ull << 20);
    image_close(im, NULL);
    CHECK_EQ(truncate(in_dir("d.xva"), 100000), 0);
    CHECK_EQ(open_part(&im, "d.xva", "Ref:1", &e), -EBADMSG);
    CHECK(strstr(e.text, "cut short") != NULL);
}

/* 10^9 bytes and a little, mostly zeroes. */
static void pieces_of_version_3(void)
{
    static u8 b[4096];
    struct iovec v = { b, sizeof(b) };
    struct image *im;
    struct err e;

    setenv("TMPDIR", dir, 1);
    CHECK_EQ(
        run("mkdir old; head -c 10000000 /dev/zero | gzip -1 >x && head -c 9997952 /dev/zero | "
            "gzip -1 >y && for i in $(seq 99); do cat x; done >old/chunk000000000.gz && "
            "(cat y; printf 'abc%%2045d' 7 | gzip) >>old/chunk000000000.gz && printf 'xyz%%2045d' "
            "8 >y && "
            "gzip <y >old/chunk000000001.gz && rm x"),
        0);
    CHECK_EQ(open_part(&im, "old/chunk000000000.gz", NULL, &e), 0);
    CHECK_TEXT(image_format_name(im), "xenchunks");
    CHECK_EQ(image_size(im), 1000000000ull + 2048);
    CHECK_EQ(image_read(im, 999997952, &v, 1, 4096), 0);
    CHECK(!memcmp(b, "abc ", 4) && b[2047] == '7' && !memcmp(b + 2048, "xyz ", 4));
    image_close(im, NULL);
    CHECK_EQ(run("cp old/chunk000000001.gz old/chunk000000002.gz"), 0);
    CHECK_EQ(open_part(&im, "old/chunk000000000.gz", NULL, &e), -EBADMSG);
    CHECK(strstr(e.text, "is not the last chunk") != NULL);
    unsetenv("TMPDIR");
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(what_is_written_is_read);
    CASE(keep_alive_chunks_take_no_space);
    CASE(damage_is_named);
    CASE(pieces_of_version_3);
    return scratch_end();
}
