/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images that qemu-img makes of every format it has, read by us; VMDKs written by us. */
#include "base/bytes.h"
#include "base/log.h"
#include "tests/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { DISK = (3 << 20) + 7 * 512 };
static u8 model[DISK + (1 << 20)];
static void fill_model(void)
{
    memset(model, 0, sizeof(model));
    for (size_t i = 0; i < DISK; i++)
        if (i / 70000 % 3)
            model[i] = (u8)(i / 900 ^ (i % 512 < 40 ? i : 0));
}

/* A few changed bytes: refused or read, but this comes back. */
static void damaged(const char *name)
{
    struct stat st;
    struct iovec v;
    int fd = open(in_dir(name), O_RDWR);
    u8 *b = malloc(DISK), *whole;
    size_t n;

    CHECK_EQ(fstat(fd, &st), 0);
    n = (size_t)st.st_size;
    whole = malloc(n);
    CHECK_EQ(pread(fd, whole, n, 0), (ssize_t)n);
    for (int i = 0; i < 60; i++) {
        struct image_open how = { .path = in_dir(name), .flags = IMAGE_NO_LOCK };
        struct image *im = NULL;
        struct err e = { 0 };
        u64 at = some((u32)(some(3) ? min_u64(n, 1024) : n));
        u8 was = whole[at], now = (u8)(was ^ (1u << some(8)));

        CHECK_EQ(pwrite(fd, &now, 1, (off_t)at), 1);
        if (image_open(&im, &how, &e)) {
            CHECK(e.text[0]);
        } else {
            v = (struct iovec){ b, min_u64(DISK, image_size(im)) };
            image_read(im, 0, &v, 1, v.iov_len);
            image_close(im, NULL);
        }
        CHECK_EQ(pwrite(fd, &was, 1, (off_t)at), 1);
    }
    free(b);
    free(whole);
    close(fd);
}

static void read_one(const char *format, const char *options, const char *expect)
{
    struct image *im;

    CHECK_EQ(run("rm -f x*; qemu-img convert -f raw -O %s %s base.raw x", format, options), 0);
    im = open_it("x", 0);
    if (!im)
        return;
    CHECK_TEXT(image_format_name(im), expect);
    CHECK(image_size(im) >= DISK && image_size(im) <= sizeof(model));
    CHECK(same(im, model, image_size(im)));
    if (check_failed_now)
        printf("# %s %s\n", format, options);
    image_close(im, NULL);
    damaged("x");
}

static void all_that_qemu_makes(void)
{
    if (!have_qemu())
        return;
    log_level_set(LOG_ERROR);
    fill_model();
    store("base.raw", model, DISK);
    read_one("vdi", "", "vdi");
    read_one("vdi", "-o static=on", "vdi");
    read_one("vpc", "", "vhd");
    read_one("vpc", "-o force_size=on", "vhd");
    read_one("vpc", "-o subformat=fixed,force_size=on", "vhd");
    read_one("vhdx", "", "vhdx");
    read_one("vhdx", "-o block_size=1M", "vhdx");
    read_one("vhdx", "-o subformat=fixed", "vhdx");
    read_one("qed", "", "qed");
    read_one("qcow", "", "qcow");
    read_one("parallels", "", "parallels");
    read_one("vmdk", "", "vmdk");
    read_one("vmdk", "-o subformat=streamOptimized", "vmdk");
    read_one("vmdk", "-o subformat=monolithicFlat", "vmdk");
    read_one("vmdk", "-o subformat=twoGbMaxExtentSparse", "vmdk");
    read_one("vmdk", "-o subformat=twoGbMaxExtentFlat", "vmdk");
    read_one("qcow2", "", "qcow2");
}

static void write_vmdk(const char *options)
{
    struct image *im;
    static u8 b[200000];

    fill_model();
    store("base.raw", model, DISK);
    CHECK_EQ(run("rm -f x*; qemu-img convert -f raw -O vmdk %s base.raw x.vmdk", options), 0);
    im = open_it("x.vmdk", IMAGE_WRITE);
    if (!im)
        return;
    for (int i = 0; i < 120; i++) {
        u64 off = some(DISK / 512) * 512ull, len = min_u64((1 + some(380)) * 512ull, DISK - off);
        struct iovec v = { b, len };

        memset(b, (int)some(255) + 1, len);
        memcpy(model + off, b, len);
        CHECK_EQ(image_write(im, off, &v, 1, len), 0);
        if (some(15) == 0)
            CHECK_EQ(image_flush(im), 0);
    }
    CHECK(same(im, model, DISK));
    CHECK_EQ(image_close(im, NULL), 0);
    im = open_it("x.vmdk", IMAGE_WRITE);
    CHECK(im && same(im, model, DISK));
    if (im)
        image_close(im, NULL);
    store("model.raw", model, DISK);
    CHECK_EQ(run("qemu-img check x.vmdk && qemu-img compare -f vmdk -F raw x.vmdk model.raw"), 0);
}

static void vmdks_are_written(void)
{
    if (!have_qemu())
        return;
    write_vmdk("");
    write_vmdk("-o subformat=twoGbMaxExtentSparse");
    write_vmdk("-o subformat=monolithicFlat");
}

/* A child knows its parent by its content id, and says so when that has changed. */
static void vmdk_chains(void)
{
    struct image_open how = { .path = in_dir("x2.vmdk") };
    struct iovec v = { model, 512 };
    struct image *im = NULL;
    struct err e = { 0 };

    if (!have_qemu())
        return;
    fill_model();
    store("base.raw", model, DISK);
    CHECK_EQ(run("rm -f x*; qemu-img convert -f raw -O vmdk base.raw x1.vmdk && "
                 "qemu-img create -f vmdk -b x1.vmdk -F vmdk x2.vmdk && "
                 "qemu-io -f vmdk -c 'write -P 7 64k 64k' x2.vmdk"),
             0);
    memset(model + 65536, 7, 65536);
    im = open_it("x2.vmdk", 0);
    CHECK(im && same(im, model, DISK));
    if (im)
        image_close(im, NULL);
    im = open_it("x1.vmdk", IMAGE_WRITE);
    CHECK(im && !image_write(im, 0, &v, 1, 512));
    if (im)
        image_close(im, NULL);
    CHECK_EQ(image_open(&im, &how, &e), (u64)-ESTALE);
    CHECK(strstr(e.text, "expects CID") != NULL);
}

static void broken_grain_tables_are_named(void)
{
    struct image_open how = { .path = in_dir("x.vmdk") };
    struct image *im = NULL;
    struct err e = { 0 };
    u8 b[512];
    u64 gd, gt;
    u32 was;
    int fd;

    if (!have_qemu())
        return;
    fill_model();
    store("base.raw", model, DISK);
    CHECK_EQ(run("rm -f x*; qemu-img convert -f raw -O vmdk -o subformat=streamOptimized base.raw "
                 "x.vmdk"),
             0);
    fd = open(how.path, O_RDWR);
    CHECK_EQ(pread(fd, b, 512, 0), 512);
    gd = le64(b + 56) * 512;
    CHECK_EQ(pread(fd, b, 4, (off_t)gd), 4);
    gt = le32(b) * 512ull + 20 * 4;
    CHECK_EQ(pread(fd, b, 4, (off_t)gt), 4);
    was = le32(b);
    put_le32(b, 0x7fffffff);
    CHECK_EQ(pwrite(fd, b, 4, (off_t)gt), 4);
    CHECK_EQ(image_open(&im, &how, &e), (u64)-EBADMSG);
    CHECK(strstr(e.text, "x.vmdk: grain table 0, entry 20: grain at sector 2147483647, but the "
                         "file has ") != NULL);
    put_le32(b, was);
    CHECK_EQ(pwrite(fd, b, 4, (off_t)gt), 4);
    CHECK_EQ(ftruncate(fd, was * 512ll + 20), 0);
    CHECK_EQ(image_open(&im, &how, &e), (u64)-EBADMSG);
    CHECK(strstr(e.text, "grain table 0, entry ") != NULL);
    close(fd);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(all_that_qemu_makes);
    CASE(vmdks_are_written);
    CASE(vmdk_chains);
    CASE(broken_grain_tables_are_named);
    return scratch_end();
}
