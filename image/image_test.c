/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/image.h"
#include "tests/check.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/dev/shm/mimic-image-XXXXXX";
static char path[256];

static const char *in_dir(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static struct image *open_raw(const char *name, u32 flags)
{
    struct image_open how = { .path = in_dir(name), .format = "raw", .flags = flags };
    struct err e = { 0 };
    struct image *im = NULL;

    CHECK_EQ(image_open(&im, &how, &e), 0);
    return im;
}

static void raw_round_trip(void)
{
    struct image_create make = { .path = in_dir("a.raw"), .format = "raw", .size = 1 << 20 };
    u8 a[1000], b[3000], c[4000], d[4000];
    struct iovec out[] = { { a, sizeof(a) }, { b, sizeof(b) } }, back = { c, sizeof(c) };
    struct image *im;
    u64 len;
    enum image_kind kind;

    CHECK_EQ(image_create(&make, NULL), 0);
    CHECK_EQ(image_create(&make, NULL), (u64)-EEXIST);
    memset(a, 1, sizeof(a));
    memset(b, 2, sizeof(b));
    im = open_raw("a.raw", IMAGE_WRITE);
    CHECK_EQ(image_size(im), 1 << 20);
    CHECK_EQ(image_map(im, 0, &len, &kind, NULL), 0);
    CHECK_EQ(kind, IMAGE_ZERO);
    CHECK_EQ(len, 1 << 20);
    CHECK_EQ(image_write(im, 12345, out, 2, 4000), 0);
    CHECK_EQ(image_flush(im), 0);
    CHECK_EQ(image_read(im, 12345, &back, 1, 4000), 0);
    memcpy(d, a, sizeof(a));
    memcpy(d + sizeof(a), b, sizeof(b));
    CHECK(!memcmp(c, d, sizeof(d)));
    CHECK_EQ(image_read(im, (1 << 20) - 100, &back, 1, 4000), (u64)-EINVAL);
    CHECK_EQ(image_close(im, NULL), 0);
}

static void readers_and_writers_exclude_each_other(void)
{
    struct image_open how = { .path = in_dir("a.raw"), .format = "raw", .flags = IMAGE_WRITE };
    struct image *im = open_raw("a.raw", IMAGE_WRITE), *other = NULL;
    char said[100];
    struct err e = { 0 };

    CHECK_EQ(image_open(&other, &how, &e), (u64)-EBUSY);
    snprintf(said, sizeof(said), "is in use by another mimic (pid %d)", (int)getpid());
    CHECK(strstr(e.text, said) != NULL);
    CHECK(!other);
    how.flags = IMAGE_NO_LOCK;
    CHECK_EQ(image_open(&other, &how, &e), 0);
    image_close(other, NULL);
    image_close(im, NULL);
    im = open_raw("a.raw", 0);
    other = open_raw("a.raw", 0);
    CHECK_EQ(image_write(im, 0, NULL, 0, 512), (u64)-EROFS);
    image_close(other, NULL);
    image_close(im, NULL);
}

static void unknown_is_not_raw(void)
{
    struct image_open how = { .path = in_dir("what") };
    struct image *im = NULL;
    struct err e = { 0 };
    int fd = open(path, O_CREAT | O_WRONLY, 0666);

    CHECK_EQ(ftruncate(fd, 65536), 0);
    close(fd);
    CHECK_EQ(image_open(&im, &how, &e), (u64)-EMEDIUMTYPE);
    CHECK(strstr(e.text, "known format") != NULL);
    how.format = "nonsense";
    CHECK_EQ(image_open(&im, &how, &e), (u64)-EOPNOTSUPP);
}

static void window_into_a_file(void)
{
    struct image_open how = {
        .path = in_dir("a.raw"), .offset = 12345, .length = 1000, .format = "raw"
    };
    u8 b[1024];
    struct iovec v = { b, sizeof(b) };
    struct image *im = NULL;
    struct err e = { 0 };

    CHECK_EQ(image_open(&im, &how, &e), 0);
    CHECK_EQ(image_size(im), 1024);
    CHECK_EQ(image_read(im, 0, &v, 1, 1024), 0);
    CHECK_EQ(b[0], 1);
    CHECK_EQ(b[999], 1);
    CHECK_EQ(b[1000], 0);
    image_close(im, NULL);
    how.flags = IMAGE_WRITE;
    CHECK_EQ(image_open(&im, &how, &e), (u64)-EROFS);
    how.flags = 0;
    how.length = 2 << 20;
    CHECK_EQ(image_open(&im, &how, &e), (u64)-EBADMSG);
    how.path = "/dev/null";
    CHECK(image_open(&im, &how, &e) < 0);
}

/* 0 .. 99999 in pieces of all lengths, read across their borders. */
static void pieces_are_one_file(void)
{
    struct image_piece p[3] = { { in_dir("p"), 300, 1, &p[1] },
                                { in_dir("p"), 301, 60000, &p[2] },
                                { in_dir("p"), 60301, 0, NULL } };
    struct image_open how = { .path = in_dir("p"), .length = 300, .format = "raw", .pieces = p };
    static u8 data[100000], b[100352];
    struct image *im = NULL;
    struct err e = { 0 };
    FILE *f = fopen(in_dir("p"), "we");

    for (u32 i = 0; i < sizeof(data); i++)
        data[i] = (u8)(i * 7 + (i >> 8));
    CHECK(f && fwrite(data, 1, sizeof(data), f) == sizeof(data));
    if (f)
        fclose(f);
    CHECK_EQ(image_open(&im, &how, &e), 0);
    CHECK_TEXT(e.text, "");
    if (!im)
        return;
    CHECK_EQ(image_size(im), sizeof(b));
    for (u32 at = 0, step = 1; at < sizeof(data); at += step, step = step * 3 % 70001) {
        struct iovec v = { b, min_u64(step, sizeof(data) - at) };

        CHECK_EQ(image_read(im, at, &v, 1, v.iov_len), 0);
        CHECK(!memcmp(b, data + at, v.iov_len));
    }
    image_close(im, NULL);
    how.flags = IMAGE_WRITE;
    CHECK_EQ(image_open(&im, &how, &e), (u64)-EROFS);
    how.flags = 0;
    p[1].length = 100000;
    CHECK_EQ(image_open(&im, &how, &e), (u64)-EBADMSG);
    p[1].path = "/nowhere";
    CHECK_EQ(image_open(&im, &how, &e), (u64)-ENOENT);
}

int main(void)
{
    if (!mkdtemp(dir))
        return 1;
    CASE(raw_round_trip);
    CASE(readers_and_writers_exclude_each_other);
    CASE(unknown_is_not_raw);
    CASE(pieces_are_one_file);
    CASE(window_into_a_file);
    unlink(in_dir("a.raw"));
    unlink(in_dir("what"));
    rmdir(dir);
    return check_end();
}
