/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compressed files: images in them, streams in a row, damage, bombs, and what is no image. */
#include "base/bytes.h"
#include "base/log.h"
#include "image/image_int.h"
#include "tests/scratch.h"
#include <errno.h>
#include <sys/stat.h>

enum { DISK = 1 << 20 };
static u8 model[DISK];
static const struct {
    const char *tool, *end;
} tools[] = { { "gzip", "gz" }, { "xz", "xz" }, { "zstd", "zst" }, { "bzip2", "bz2" } };

static void fill(void)
{
    for (size_t i = 0; i < DISK; i++)
        model[i] = i % 100000 < 40000 ? (u8)some(200) : (u8)(i >> 16 & 1);
    store("base.raw", model, DISK);
}

static int try_open(const char *name, const char *format, u32 flags, struct image **im,
                    struct err *e)
{
    struct image_open how = { .path = in_dir(name), .format = format, .flags = flags };

    *e = (struct err){ 0 };
    return image_open(im, &how, e);
}

static void every_compressor(void)
{
    struct image *im;
    struct err e;

    fill();
    for (size_t i = 0; i < LEN(tools); i++) {
        char name[64];

        if (!have_tool(tools[i].tool))
            continue;
        CHECK_EQ(run("cp base.raw y.raw && %s -f y.raw; mv y.raw.%s x.raw.%s", tools[i].tool,
                     tools[i].end, tools[i].end),
                 0);
        snprintf(name, sizeof(name), "x.raw.%s", tools[i].end);
        im = open_it(name, 0);
        CHECK_EQ(image_size(im), DISK);
        CHECK(same(im, model, DISK));
        image_close(im, NULL);
        CHECK_EQ(try_open(name, "vmdk", IMAGE_WRITE, &im, &e), -EROFS);
        CHECK(strstr(e.text, "is compressed") != NULL);
        /* two streams in a row, cut where nothing is aligned */
        CHECK_EQ(run("head -c 100001 base.raw | %s >z && tail -c +100002 base.raw | %s >>z && "
                     "mv z %s",
                     tools[i].tool, tools[i].tool, name),
                 0);
        im = open_it(name, 0);
        CHECK(im && same(im, model, DISK));
        if (im)
            image_close(im, NULL);
        CHECK_EQ(run("truncate -s -700 %s", name), 0);
        CHECK_EQ(try_open(name, NULL, 0, &im, &e), -EBADMSG);
        CHECK(strstr(e.text, "damaged or cut short") != NULL);
    }
}

/* A changed byte is noticed: every stream has a sum. */
static void damage_is_noticed(void)
{
    struct image *im;
    struct err e;

    fill();
    for (size_t i = 0; i < LEN(tools); i++) {
        char name[64];
        struct stat st;
        u8 b;
        FILE *f;

        if (!have_tool(tools[i].tool))
            continue;
        snprintf(name, sizeof(name), "d.raw.%s", tools[i].end);
        CHECK_EQ(run("%s <base.raw >%s", tools[i].tool, name), 0);
        f = fopen(in_dir(name), "r+e");
        CHECK_EQ(fstat(fileno(f), &st), 0);
        fseek(f, st.st_size / 2, SEEK_SET);
        CHECK_EQ(fread(&b, 1, 1, f), 1);
        b ^= 0x10;
        fseek(f, st.st_size / 2, SEEK_SET);
        fwrite(&b, 1, 1, f);
        fclose(f);
        CHECK_EQ(try_open(name, NULL, 0, &im, &e), -EBADMSG);
    }
}

/* A raw disk that a guest made look compressed stays what it is, if it is said to be raw. */
static void raw_is_raw(void)
{
    struct image *im;
    struct err e;

    fill();
    CHECK_EQ(run("gzip <base.raw >guest.raw"), 0);
    CHECK_EQ(try_open("guest.raw", "raw", 0, &im, &e), 0);
    CHECK(image_size(im) != DISK);
    image_close(im, NULL);
    CHECK_EQ(run("gzip <base.raw >x.raw.gz && gzip <x.raw.gz >twice.raw.gz"), 0);
    CHECK_EQ(try_open("twice.raw.gz", "raw", 0, &im, &e), 0);
    CHECK(image_size(im) != DISK);
    image_close(im, NULL);
    CHECK_EQ(run("printf hello | gzip >h.gz"), 0);
    CHECK_EQ(try_open("h.gz", NULL, 0, &im, &e), -EMEDIUMTYPE);
}

/* An image in a part of a file, whose parent is compressed too. */
static void parts_and_chains(void)
{
    struct image_open how = { .path = in_dir("box"), .offset = 777 };
    struct image *im;
    struct stat st;
    struct err e;

    if (!have_qemu())
        return;
    fill();
    CHECK_EQ(run("rm -f *.qcow2 box; qemu-img convert -O qcow2 base.raw b.qcow2 && "
                 "qemu-img create -f qcow2 -b b.qcow2 -F qcow2 t.qcow2 && gzip b.qcow2 t.qcow2"),
             0);
    im = open_it("t.qcow2.gz", 0);
    CHECK(im && same(im, model, DISK));
    if (im)
        image_close(im, NULL);
    CHECK_EQ(stat(in_dir("b.qcow2.gz"), &st), 0);
    CHECK_EQ(run("(head -c 777 /dev/urandom; cat b.qcow2.gz; head -c 100 /dev/urandom) >box"), 0);
    how.length = (u64)st.st_size;
    CHECK_EQ(image_open(&im, &how, &e), 0);
    CHECK(same(im, model, DISK));
    image_close(im, NULL);
}

/* A zstd frame of n blocks of 128 KiB, each one byte repeated (RFC 8878, 3.1.1). */
static void repeated(const char *name, u8 byte, u32 n)
{
    static const u8 head[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38 }; /* a window of 128 KiB */
    FILE *f = fopen(in_dir(name), "we");

    fwrite(head, 1, sizeof(head), f);
    for (u32 i = 0; i < n; i++) {
        u8 block[4];

        put_le32(block, (128u << 10) << 3 | 1 << 1 | (i == n - 1));
        block[3] = byte;
        fwrite(block, 1, sizeof(block), f);
    }
    fclose(f);
}

static void bombs(void)
{
    struct image *im;
    struct stat st;
    struct err e;

    setenv("TMPDIR", dir, 1);
    repeated("bomb.raw.zst", 'a', 9000);
    CHECK_EQ(try_open("bomb.raw.zst", NULL, 0, &im, &e), -EFBIG);
    CHECK(strstr(e.text, "it is refused") != NULL);
    repeated("holes.raw.zst", 0, 9000);
    im = open_it("holes.raw.zst", 0);
    CHECK_EQ(image_size(im), 9000ull << 17);
    CHECK_EQ(fstat(im->files[0].fd, &st), 0);
    CHECK_EQ(st.st_blocks, 0);
    image_close(im, NULL);
    unsetenv("TMPDIR");
}

int main(void)
{
    log_level_set(LOG_ERROR);
    if (scratch_begin())
        return 1;
    CASE(every_compressor);
    CASE(damage_is_noticed);
    CASE(raw_is_raw);
    CASE(parts_and_chains);
    CASE(bombs);
    return scratch_end();
}
