/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMDKs of every kind: made and read back, down pipes, damaged, and those only VMware makes. */
#include "base/bytes.h"
#include "base/log.h"
#include "image/image.h"
#include "tests/scratch.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { DISK = (5 << 20) + 512 };
static u8 model[DISK], stream[8 << 20];
static size_t stream_len, stream_at;
static const char *const variants[] = {
    "monolithicSparse",           "streamOptimized",    "monolithicFlat",
    "twoGbMaxExtentSparse",       "twoGbMaxExtentFlat", "vmfs",
    "streamOptimized,level=small"
};

static void fill(void)
{
    for (size_t i = 0; i < DISK; i++)
        model[i] = i / 200000 % 3 == 1 ? (u8)some(256) : i / 200000 % 3 == 2 ? (u8)(i >> 12) : 0;
    store("base.raw", model, DISK);
}

static unsigned files_in_dir(void)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static int keep(void *arg, const void *p, size_t n)
{
    if (stream_len + n > sizeof(stream))
        return -ENOSPC;
    memcpy(stream + stream_len, p, n);
    stream_len += n;
    return 0;
}

static int convert(const char *from, const char *to, const char *format, const char *options,
                   struct err *e)
{
    struct image_open open = { .path = in_dir(from),
                               .format = strstr(from, ".raw") ? "raw" : NULL };
    struct image_convert how = { .path = to ? in_dir(to) : NULL,
                                 .format = format,
                                 .options = options,
                                 .threads = 3,
                                 .append = keep };
    struct image *im;
    int r = image_open(&im, &open, e);

    stream_len = 0;
    if (r)
        return r;
    r = image_convert(im, &how, e);
    image_close(im, NULL);
    return r;
}

static ssize_t feed(void *arg, void *p, size_t n)
{
    n = min_u64(min_u64(n, 1 + some(100000)), stream_len - stream_at);
    memcpy(p, stream + stream_at, n);
    stream_at += n;
    return (ssize_t)n;
}

static int pull(const char *to, const char *format, const char *name, u64 length, struct err *e)
{
    struct image_pull how = { .path = in_dir(to),
                              .format = format,
                              .threads = 3,
                              .read = feed,
                              .name = name,
                              .length = length };

    stream_at = 0;
    *e = (struct err){ 0 };
    return image_pull(&how, e);
}

static bool holds(const char *name)
{
    struct image *im = open_it(name, 0);
    bool ok = im && image_size(im) == DISK && same(im, model, DISK);

    if (im)
        image_close(im, NULL);
    return ok;
}

static void every_variant(void)
{
    char option[64];
    struct err e = { 0 };

    for (size_t i = 0; i < LEN(variants); i++) {
        snprintf(option, sizeof(option), "variant=%s,adapter=ide", variants[i]);
        CHECK_EQ(convert("base.raw", "x.vmdk", "vmdk", option, &e), 0);
        CHECK_TEXT(e.text, "");
        CHECK(holds("x.vmdk"));
        if (have_qemu())
            CHECK_EQ(run("qemu-img compare -f raw -F vmdk base.raw x.vmdk"), 0);
        CHECK_EQ(convert("x.vmdk", "back.raw", "raw", NULL, &e), 0);
        CHECK_EQ(run("cmp base.raw back.raw"), 0);
        CHECK_EQ(run("grep -aq 'adapterType = \"ide\"' x.vmdk"), 0);
        CHECK_EQ(convert("base.raw", "x.vmdk", "vmdk", option, &e), -EEXIST);
        e = (struct err){ 0 };
        CHECK_EQ(run("rm -f x*.vmdk back.raw"), 0);
    }
    CHECK_EQ(convert("base.raw", "x.vmdk", "vmdk", "variant=none", &e), -EINVAL);
}

/* An extent's name is taken: nothing is made, and what was there stays. */
static void a_name_is_taken(void)
{
    struct err e = { 0 };
    unsigned before;

    store("x-flat.vmdk", model, 5);
    before = files_in_dir();
    CHECK_EQ(convert("base.raw", "x.vmdk", "vmdk", "variant=vmfs", &e), -EEXIST);
    CHECK_EQ(files_in_dir(), before);
    CHECK_EQ(run("test $(stat -c %%s x-flat.vmdk) = 5"), 0);
    run("rm -f x*");
}

static void pipes(void)
{
    unsigned before = files_in_dir();
    struct err e = { 0 };

    CHECK_EQ(convert("base.raw", NULL, "vmdk", "variant=streamOptimized", &e), 0);
    CHECK_EQ(pull("p.raw", "raw", NULL, 0, &e), 0);
    CHECK_TEXT(e.text, "");
    CHECK_EQ(run("cmp p.raw base.raw && rm p.raw"), 0);
    CHECK_EQ(pull("p.qcow2", "qcow2", NULL, 0, &e), 0);
    CHECK(holds("p.qcow2"));
    run("rm -f p.qcow2");
    stream_len += 10240; /* the padding of a tar is dropped */
    CHECK_EQ(pull("p.vmdk", "vmdk", NULL, 0, &e), 0);
    CHECK(holds("p.vmdk"));
    run("rm -f p.vmdk");
    stream_len -= 10240;
    for (unsigned i = 0; i < 12; i++) { /* cut short, anywhere */
        size_t whole = stream_len;

        stream_len = 512 + some((u32)whole - 512);
        CHECK_EQ(pull("p.raw", "raw", NULL, 0, &e), -EBADMSG);
        CHECK(strstr(e.text, "cut short") != NULL);
        stream_len = whole;
        CHECK_EQ(files_in_dir(), before);
    }
    stream[128 * 512 + 700] ^= 1; /* inside the first grain */
    CHECK_EQ(pull("p.raw", "raw", NULL, 0, &e), -EIO);
    CHECK_EQ(files_in_dir(), before);
}

/* What cannot be taken as it comes, or be written forward, goes through a file. */
static void pipes_of_others(void)
{
    unsigned before = files_in_dir();
    struct err e = { 0 };

    CHECK_EQ(convert("base.raw", NULL, "raw", NULL, &e), 0);
    CHECK_EQ(stream_len, DISK);
    CHECK_EQ(pull("p.vmdk", "vmdk", NULL, 0, &e), -EMEDIUMTYPE);
    CHECK_EQ(pull("p.vmdk", "vmdk", "disk.img", DISK, &e), 0);
    CHECK(holds("p.vmdk"));
    CHECK_EQ(pull("q.vmdk", "vmdk", "disk.img", 0, &e), 0);
    CHECK(holds("q.vmdk"));
    stream_len = (size_t)read(open(in_dir("p.vmdk"), O_RDONLY), stream, sizeof(stream));
    CHECK_EQ(pull("r.raw", "raw", NULL, 0, &e), 0);
    CHECK_EQ(run("cmp r.raw base.raw && rm p.vmdk q.vmdk r.raw"), 0);
    CHECK_EQ(convert("base.raw", NULL, "vmdk", "variant=monolithicFlat", &e), -ESPIPE);
    CHECK_EQ(files_in_dir(), before);
}

static int try(const char *name, u32 flags, struct err *e)
{
    struct image_open how = { .path = in_dir(name), .flags = flags };
    struct image *im;
    int r;

    *e = (struct err){ 0 };
    r = image_open(&im, &how, e);
    if (!r)
        image_close(im, NULL);
    return r;
}

/* No directory at the end, no end at all, bytes behind it. */
static void damaged_streams(void)
{
    struct image_open how = { .flags = IMAGE_RECOVER };
    struct image *im;
    struct err e;
    size_t cut;

    log_level_set(LOG_ERROR);
    CHECK_EQ(convert("base.raw", "s.vmdk", "vmdk", "variant=streamOptimized", &e), 0);
    CHECK_EQ(run("cp s.vmdk t.vmdk && head -c 99999 /dev/zero >>t.vmdk"), 0);
    CHECK(holds("t.vmdk"));
    /* directory marker, directory, footer marker, footer: gone; the end is there */
    CHECK_EQ(run("head -c -2560 s.vmdk >t.vmdk && head -c 512 /dev/zero >>t.vmdk"), 0);
    CHECK(holds("t.vmdk"));
    CHECK_EQ(run("head -c -2560 s.vmdk >t.vmdk"), 0);
    CHECK_EQ(try("t.vmdk", 0, &e), -EBADMSG);
    CHECK(strstr(e.text, "cut short") != NULL);
    cut = 900000;
    CHECK_EQ(run("head -c %zu s.vmdk >t.vmdk", cut), 0);
    CHECK_EQ(try("t.vmdk", 0, &e), -EBADMSG);
    how.path = in_dir("t.vmdk");
    CHECK_EQ(image_open(&im, &how, &e), 0);
    CHECK(same(im, model, 512 << 10));
    image_close(im, NULL);
    run("rm -f s.vmdk t.vmdk");
    log_level_set(LOG_WARN);
}

static void children(void)
{
    struct image_open parent = { .path = in_dir("base.vmdk") };
    struct image_create make = { .path = in_dir("c.vmdk"), .format = "vmdk", .parent = &parent };
    struct iovec v = { model, 70000 };
    struct image *im;
    struct err e = { 0 };

    CHECK_EQ(convert("base.raw", "base.vmdk", "vmdk", NULL, &e), 0);
    CHECK_EQ(image_create(&make, &e), 0);
    CHECK_TEXT(e.text, "");
    CHECK(holds("c.vmdk"));
    im = open_it("c.vmdk", IMAGE_WRITE);
    memset(model, 7, 70000);
    CHECK_EQ(image_write(im, 0, &v, 1, 70000), 0);
    CHECK_EQ(image_close(im, &e), 0);
    CHECK(holds("c.vmdk"));
    if (have_qemu())
        CHECK_EQ(run("qemu-img convert -O raw c.vmdk y.raw && head -c 70000 y.raw | tr -d '\\7' | "
                     "cmp - /dev/null"),
                 0);
    im = open_it("base.vmdk", IMAGE_WRITE); /* the parent changes: the child does not fit */
    CHECK_EQ(image_write(im, 0, &v, 1, 512), 0);
    CHECK_EQ(image_close(im, &e), 0);
    CHECK_EQ(try("c.vmdk", 0, &e), -ESTALE);
    CHECK_EQ(try("c.vmdk", IMAGE_ANY_PARENT, &e), 0);
    run("rm -f c.vmdk base.vmdk y.raw");
    fill();
}

/* Lines of every access and type, in a disk that calls itself custom. */
static void lines(void)
{
    static const char text[] = "# Disk DescriptorFile\r\nversion=1\r\nCID=fffffffe\r\n"
                               "parentCID=ffffffff\r\ncreateType=\"custom\"\r\n\r\n"
                               "RW 100 FLAT \"l-flat.vmdk\" 0\r\nRW 8 ZERO\r\n"
                               "RDONLY 50 FLAT \"l-flat.vmdk\" 200\r\nNOACCESS 10 FLAT \"no\"\r\n"
                               "RW 7 VMFS \"l-flat.vmdk\"\r\n";
    u8 expect[175 * 512] = { 0 };
    struct image *im;
    struct err e;

    log_level_set(LOG_ERROR);
    store("l.vmdk", (const u8 *)text, sizeof(text) - 1);
    store("l-flat.vmdk", model + 150000, 250 * 512);
    memcpy(expect, model + 150000, 100 * 512);
    memcpy(expect + 108 * 512, model + 150000 + 200 * 512, 50 * 512);
    memcpy(expect + 168 * 512, model + 150000, 7 * 512);
    im = open_it("l.vmdk", 0);
    CHECK_EQ(image_size(im), sizeof(expect));
    CHECK(same(im, expect, sizeof(expect)));
    image_close(im, NULL);
    CHECK_EQ(try("l.vmdk", IMAGE_WRITE, &e), -EROFS);
    run("rm -f l.vmdk l-flat.vmdk");
    log_level_set(LOG_WARN);
}

/* seSparse: 3 tables, and more grains than 12 bits number. */
static void se_sparse(void)
{
    enum { TABLES = 3, GRAINS = 5000, DATA = 64 + 64 * TABLES, SECTORS = TABLES * 4096 * 8 };
    size_t size = (DATA + GRAINS * 8) * 512;
    u8 *file = calloc(1, size), *disk = calloc(SECTORS, 512);
    char text[400];
    struct image *im;
    struct err e;

    put_le64(file, 0xcafebabe);
    put_le64(file + 8, 0x0000000200000001);
    put_le64(file + 16, SECTORS);
    put_le64(file + 24, 8);
    put_le64(file + 32, 64);
    put_le64(file + 80, 1); /* volatile header */
    put_le64(file + 88, 1);
    put_le64(file + 128, 2); /* directory */
    put_le64(file + 136, 1);
    put_le64(file + 144, 64); /* tables */
    put_le64(file + 152, 64 * TABLES);
    put_le64(file + 192, DATA);
    put_le64(file + 200, GRAINS * 8);
    put_le64(file + 512, 0xcafecafe);
    for (u64 t = 0; t < TABLES; t++) /* in another order */
        put_le64(file + 1024 + t * 8, 0x1000000000000000 | (TABLES - 1 - t));
    for (u64 i = 0; i < GRAINS; i++) {
        u64 g = i * 2 + (i > 2500), n = (i * 7) % GRAINS; /* grain of the disk; of the file */
        u8 *entry = file + (64 + 64 * (TABLES - 1 - g / 4096)) * 512 + g % 4096 * 8;

        put_le64(entry, 3ull << 60 | (n & 0xfff) << 48 | n >> 12);
        for (int k = 0; k < 4096; k += 8) {
            put_le64(disk + g * 4096 + k, i * 4096 + (u64)k + 1);
            put_le64(file + (DATA + n * 8) * 512 + k, i * 4096 + (u64)k + 1);
        }
    }
    put_le64(file + (64 + 64 * (TABLES - 1)) * 512 + 8, 1ull << 60); /* unmapped: zero */
    put_le64(file + (64 + 64 * (TABLES - 1)) * 512 + 24, 2ull << 60);
    snprintf(text, sizeof(text),
             "# Disk DescriptorFile\nversion=3\nCID=11111111\nparentCID=ffffffff\n"
             "createType=\"seSparse\"\nRW %d SESPARSE \"d-sesparse.vmdk\"\n",
             SECTORS);
    store("d.vmdk", (u8 *)text, strlen(text));
    store("d-sesparse.vmdk", file, size);
    im = open_it("d.vmdk", 0);
    CHECK(im && image_size(im) == SECTORS * 512ull && same(im, disk, SECTORS * 512ull));
    if (im)
        image_close(im, NULL);
    CHECK_EQ(try("d-sesparse.vmdk", 0, &e), -EBADMSG);
    CHECK_EQ(try("d.vmdk", IMAGE_WRITE, &e), -EROFS);
    file[512 + 24] = 1; /* its journal waits */
    store("d-sesparse.vmdk", file, size);
    CHECK_EQ(try("d.vmdk", 0, &e), -EOPNOTSUPP);
    CHECK(strstr(e.text, "journal") != NULL);
    free(file);
    free(disk);
    run("rm -f d*.vmdk");
}

/* COWD: a child without a descriptor names its parent in its header. */
static void cowd(void)
{
    enum { GRAIN = 16, SECTORS = 4000, GD = 4, GT = 5, AT = 40 };
    static u8 file[(AT + 2 * GRAIN) * 512], disk[SECTORS * 512];
    struct image *im;
    struct err e;

    memcpy(file, "COWD", 4);
    put_le32(file + 4, 1);
    put_le32(file + 8, 3);
    put_le32(file + 12, SECTORS);
    put_le32(file + 16, GRAIN);
    put_le32(file + 20, GD);
    put_le32(file + 24, 1);
    put_le32(file + 28, AT + 2 * GRAIN);
    put_le32(file + GD * 512, GT);
    put_le32(file + GT * 512 + 4 * 4, AT);
    put_le32(file + GT * 512 + 100 * 4, AT + GRAIN);
    memset(file + AT * 512, 0x11, GRAIN * 512);
    memset(file + (AT + GRAIN) * 512, 0x22, GRAIN * 512);
    put_le32(file + 32, 4); /* cylinders, heads, sectors */
    put_le32(file + 36, 255);
    put_le32(file + 40, 63);
    memset(disk + 4 * GRAIN * 512, 0x11, GRAIN * 512);
    memset(disk + 100 * GRAIN * 512, 0x22, GRAIN * 512);
    store("r.vmdk", file, sizeof(file));
    im = open_it("r.vmdk", 0);
    CHECK(im && image_size(im) == sizeof(disk) && same(im, disk, sizeof(disk)));
    if (im)
        image_close(im, NULL);
    memset(file + 32, 0, 12);
    memcpy(file + 32, "r.vmdk", 7);
    put_le32(file + GT * 512 + 4 * 4, 0);
    memset(file + (AT + GRAIN) * 512, 0x33, GRAIN * 512);
    memset(disk + 100 * GRAIN * 512, 0x33, GRAIN * 512);
    store("redo.vmdk", file, sizeof(file));
    im = open_it("redo.vmdk", 0);
    CHECK(im && same(im, disk, sizeof(disk)));
    if (im)
        image_close(im, NULL);
    run("rm r.vmdk");
    CHECK_EQ(try("redo.vmdk", 0, &e), -ENOENT);
    run("rm redo.vmdk");
}

int main(void)
{
    if (scratch_begin())
        return 1;
    fill();
    CASE(every_variant);
    CASE(a_name_is_taken);
    CASE(pipes);
    CASE(pipes_of_others);
    CASE(damaged_streams);
    CASE(children);
    CASE(lines);
    CASE(se_sparse);
    CASE(cowd);
    return scratch_end();
}
