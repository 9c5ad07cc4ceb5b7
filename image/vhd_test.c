/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VHDs that we make and write, read by others; what others made, written by us; quirks. */
#include "base/bytes.h"
#include "base/log.h"
#include "image/vhd_int.h"
#include "tests/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { DISK = (5 << 20) + 3 * 512 };
static u8 model[DISK + (4 << 20)];

static void fill(u32 salt)
{
    pattern(model, sizeof(model), DISK, salt);
}

/* qemu-img, 7-Zip and libvhdi see what the model says. */
static void peers_agree(const char *name, u64 size)
{
    store("model.raw", model, size);
    if (have_qemu())
        CHECK_EQ(run("qemu-img compare -f vpc -F raw %s model.raw", name), 0);
    if (have_tool("7zz"))
        CHECK_EQ(run("7zz e -so -tvhd %s > out.raw && cmp out.raw model.raw", name), 0);
    if (have_tool("vhdiinfo"))
        CHECK_EQ(run("vhdiinfo %s", name), 0);
    check_skipped = NULL;
}

static void new_one(const char *options, u32 block)
{
    memset(model, 0, sizeof(model));
    CHECK_EQ(make_it("a.vhd", "vhd", DISK, options, NULL, block), 0);
    lives("a.vhd", model, DISK);
    peers_agree("a.vhd", DISK);
}
static void new_disks(void)
{
    new_one(NULL, 0);
    new_one("variant=fixed", 0);
    new_one(NULL, 65536);
    new_one(NULL, 512 << 10);
}

/* A child whose bits are set here and there, in blocks of both kinds. */
static void child_of(const char *options, u32 block)
{
    struct image *im;

    fill(1);
    CHECK_EQ(make_it("base.vhd", "vhd", DISK, options, NULL, 0), 0);
    im = open_it("base.vhd", IMAGE_WRITE);
    CHECK(im && !write_at(im, 0, model, DISK));
    if (im)
        CHECK_EQ(image_close(im, NULL), 0);
    CHECK_EQ(make_it("child.vhd", "vhd", 0, NULL, "base.vhd", block), 0);
    lives("child.vhd", model, DISK);
    CHECK_EQ(make_it("grandchild.vhd", "vhd", 0, NULL, "child.vhd", 0), 0);
    lives("grandchild.vhd", model, DISK);
    store("model.raw", model, DISK);
    if (have_tool("7zz"))
        CHECK_EQ(run("7zz e -so -tvhd grandchild.vhd > out.raw && cmp out.raw model.raw"), 0);
}
static void children(void)
{
    child_of("variant=fixed", 0);
    child_of(NULL, 65536);
}

static void grown(const char *make, u64 to)
{
    fill(2);
    store("base.raw", model, DISK);
    CHECK_EQ(run("rm -f q.vhd; %s", make), 0);
    lives("q.vhd", model, DISK);
    grows("q.vhd", model, DISK, sizeof(model), to);
    store("model.raw", model, sizeof(model));
    CHECK_EQ(run("truncate -s %llu model.raw; qemu-img compare -f vpc -F raw q.vhd model.raw",
                 (unsigned long long)to),
             0);
}
static void bigger_disks(void)
{
    if (!have_qemu())
        return;
    grown("qemu-img convert -f raw -O vpc -o force_size=on base.raw q.vhd", 30ull << 30);
    grown("qemu-img convert -f raw -O vpc -o force_size=on,subformat=fixed base.raw q.vhd",
          sizeof(model) + 512);
}

/* Changes the footers of a.vhd: n bytes at `at`; the sums are made right. */
static void patch_footer(u32 at, const void *p, size_t n, bool front, bool back)
{
    int fd = open(in_dir("a.vhd"), O_RDWR);
    off_t end = lseek(fd, 0, SEEK_END) - VHD_FOOTER;
    u8 f[VHD_FOOTER];

    CHECK_EQ(pread(fd, f, sizeof(f), end), sizeof(f));
    memcpy(f + at, p, n);
    put_be32(f + 64, vhd_sum(f, VHD_FOOTER, 64));
    if (front)
        CHECK_EQ(pwrite(fd, f, sizeof(f), 0), sizeof(f));
    if (back)
        CHECK_EQ(pwrite(fd, f, sizeof(f), end), sizeof(f));
    close(fd);
}

static u64 size_of(const char *name)
{
    struct image *im = open_it(name, 0);
    u64 n = im ? image_size(im) : 0;

    if (im)
        image_close(im, NULL);
    return n;
}

/* Who goes by the geometry, and who by the size (reference: creators). */
static void sizes_by_creator(void)
{
    static const struct {
        char creator[5];
        bool geometry;
    } who[] = { { "vpc ", true },  { "vs  ", true },   { "qemu", true },  { "win ", false },
                { "d2v ", false }, { "tap\0", false }, { "CTXS", false }, { "qem2", false },
                { "vbox", false }, { "wa\0\0", false } };
    u8 small[4] = { 0, 5, 4, 17 }, big[4] = { 255, 255, 16, 255 }, huge[4] = { 0, 255, 16, 63 };

    for (size_t i = 0; i < LEN(who); i++) {
        CHECK_EQ(make_it("a.vhd", "vhd", DISK, NULL, NULL, 0), 0);
        patch_footer(28, who[i].creator, 4, true, true);
        patch_footer(56, small, 4, true, true);
        CHECK_EQ(size_of("a.vhd"), who[i].geometry ? 5 * 4 * 17 * 512 : DISK);
        patch_footer(56, big, 4, true, true);
        CHECK_EQ(size_of("a.vhd"), DISK);
        patch_footer(56, huge, 4, true, true);
        CHECK_EQ(size_of("a.vhd"), DISK);
    }
}

/* Virtual PC's own rounding: the size is whole cylinders, and QEMU sees it the same. */
static void virtual_pc_geometry(void)
{
    u64 n;

    CHECK_EQ(make_it("a.vhd", "vhd", DISK, "geometry=vpc", NULL, 0), 0);
    n = size_of("a.vhd");
    CHECK(n >= DISK && n < DISK + (1 << 20));
    memset(model, 0, sizeof(model));
    lives("a.vhd", model, n);
    peers_agree("a.vhd", n);
}

static void footers(void)
{
    u8 hidden = 1;
    int fd;

    memset(model, 0, sizeof(model));
    CHECK_EQ(make_it("a.vhd", "vhd", DISK, NULL, NULL, 0), 0);
    lives("a.vhd", model, DISK);
    CHECK_EQ(run("truncate -s -1 a.vhd"), 0); /* 511 bytes: Virtual PC 5 */
    lives("a.vhd", model, DISK);
    peers_agree("a.vhd", DISK);
    CHECK_EQ(run("truncate -s -512 a.vhd"), 0); /* not closed: there is the copy */
    lives("a.vhd", model, DISK);
    peers_agree("a.vhd", DISK);
    patch_footer(85, &hidden, 1, true, false); /* the two differ: the end one counts */
    lives("a.vhd", model, DISK);
    peers_agree("a.vhd", DISK);
    fd = open(in_dir("a.vhd"), O_RDWR);
    CHECK_EQ(pwrite(fd, "x", 1, 100), 1); /* the copy is damaged: the end one counts */
    close(fd);
    lives("a.vhd", model, DISK);
    CHECK_EQ(make_it("f.vhd", "vhd", DISK, "variant=fixed", NULL, 0), 0);
    CHECK_EQ(run("truncate -s -1 f.vhd"), 0);
    CHECK_EQ(size_of("f.vhd"), DISK);
}

/* tapdisk 1.0 counted the bits of a byte from the other end. */
static void little_endian_bitmaps(void)
{
    u8 tap[8] = { 't', 'a', 'p', 0, 0, 1, 0, 0 };
    struct image *im;
    u8 b = 0;
    int fd;

    memset(model, 0, sizeof(model));
    CHECK_EQ(make_it("a.vhd", "vhd", DISK, NULL, NULL, 0), 0);
    patch_footer(28, tap, 8, true, true);
    im = open_it("a.vhd", IMAGE_WRITE);
    memset(model, 9, 3 * 512);
    CHECK(im && !write_at(im, 0, model, 3 * 512));
    if (im)
        CHECK_EQ(image_close(im, NULL), 0);
    fd = open(in_dir("a.vhd"), O_RDONLY);
    CHECK_EQ(pread(fd, &b, 1, 4096 - 512), 1);
    close(fd);
    CHECK_EQ(b, 7);
    lives("a.vhd", model, DISK);
}

/* Bits that are set here and there are what counts, whatever lies in the block. */
static void odd_bitmaps(void)
{
    static u8 b[1 << 20];
    u8 bits[512], at[8];
    struct image *im;
    int fd;

    fill(5);
    CHECK_EQ(make_it("base.vhd", "vhd", DISK, NULL, NULL, 0), 0);
    im = open_it("base.vhd", IMAGE_WRITE);
    CHECK(im && !write_at(im, 0, model, DISK) && !image_close(im, NULL));
    CHECK_EQ(make_it("child.vhd", "vhd", 0, NULL, "base.vhd", 0), 0);
    im = open_it("child.vhd", IMAGE_WRITE);
    memset(b, 0xcc, sizeof(b));
    CHECK(im && !write_at(im, 0, b, sizeof(b)) && !image_close(im, NULL));
    fd = open(in_dir("child.vhd"), O_RDWR);
    for (u32 i = 0; i < sizeof(bits); i++)
        bits[i] = (u8)some(256);
    CHECK_EQ(pread(fd, at, 8, VHD_FOOTER + 16), 8);
    CHECK_EQ(pread(fd, at, 4, (off_t)be64(at)), 4);
    CHECK_EQ(pwrite(fd, bits, 256, be32(at) * 512ll), 256);
    close(fd);
    for (u32 i = 0; i < sizeof(b) / 512; i++)
        if (bits[i / 8] >> (7 - i % 8) & 1)
            memset(model + i * 512, 0xcc, 512);
    lives("child.vhd", model, DISK);
}

/* XenServer's map of full blocks stands for their bitmaps. */
static void batmaps(void)
{
    u8 h[1024] = "tdbatmap", ones[16];
    struct image *im;
    int fd;

    memset(model, 0, sizeof(model));
    CHECK_EQ(make_it("a.vhd", "vhd", 2 << 20, NULL, NULL, 65536), 0);
    fd = open(in_dir("a.vhd"), O_RDWR);
    put_be64(h + 8, 2560);
    put_be32(h + 16, 1);
    put_be32(h + 20, 0x00010002);
    h[512] = 0x80;
    put_be32(h + 24, ~0x80u);
    CHECK_EQ(pwrite(fd, h, sizeof(h), 2048), sizeof(h));
    CHECK_EQ(lseek(fd, 0, SEEK_END), 3072);
    close(fd);
    CHECK_EQ(run("tail -c 1024 a.vhd > /dev/null; head -c 512 a.vhd >> a.vhd"), 0);
    im = open_it("a.vhd", IMAGE_WRITE);
    memset(model, 7, 65536);
    CHECK(im && !write_at(im, 0, model, 65536) && !image_close(im, NULL));
    lives("a.vhd", model, 2 << 20);
    fd = open(in_dir("a.vhd"), O_RDWR);
    memset(ones, 0, sizeof(ones));
    CHECK_EQ(pwrite(fd, ones, sizeof(ones), 4096 - 512), sizeof(ones));
    close(fd);
    im = open_it("a.vhd", 0);
    CHECK(im && same(im, model, 2 << 20));
    CHECK(im && image_check(im, say, NULL, NULL) == -EBADMSG);
    if (im)
        image_close(im, NULL);
    fd = open(in_dir("a.vhd"), O_RDWR); /* a map that is not there has no sum */
    put_be64(h + 8, 1ull << 40);
    put_be32(h + 24, ~0u);
    CHECK_EQ(pwrite(fd, h, 512, 2048), 512);
    close(fd);
    im = open_it("a.vhd", 0);
    memset(model, 0, 65536);
    CHECK(im && same(im, model, 65536));
    if (im)
        image_close(im, NULL);
}

static void parents(void)
{
    struct image_open how = { .path = in_dir("child.vhd") };
    struct image *im = NULL;
    struct err e = { 0 };

    fill(4);
    CHECK_EQ(make_it("base.vhd", "vhd", DISK, NULL, NULL, 0), 0);
    im = open_it("base.vhd", IMAGE_WRITE);
    CHECK(im && !write_at(im, 0, model, DISK) && !image_close(im, NULL));
    CHECK_EQ(make_it("child.vhd", "vhd", 0, NULL, "base.vhd", 0), 0);
    CHECK_EQ(run("sed -i 's/W2ru/none/; s/W2ku/none/' child.vhd"), 0);
    CHECK_EQ(image_open(&im, &how, &e), (u64)-EBADMSG); /* the header's sum */
    CHECK_EQ(make_it("other dir", "vhd", DISK, NULL, NULL, 0), 0);
    CHECK_EQ(run("mv base.vhd moved.vhd; mv 'other dir' base.vhd"), 0);
    CHECK_EQ(make_it("child.vhd", "vhd", 0, NULL, "moved.vhd", 0), 0);
    CHECK_EQ(run("mv base.vhd moved.vhd"), 0);
    how.path = in_dir("child.vhd");
    CHECK_EQ(image_open(&im, &how, &e), (u64)-ESTALE);
    CHECK(strstr(e.text, "has another id") != NULL);
    CHECK_EQ(run("rm moved.vhd"), 0);
    how.path = in_dir("child.vhd");
    CHECK_EQ(image_open(&im, &how, &e), (u64)-ENOENT);
}

/* Only by its URL: the names that come first lead nowhere. */
static void parent_by_url(void)
{
    u8 h[VHD_HEADER];
    int fd;

    fill(4);
    CHECK_EQ(make_it("pa rent.vhd", "vhd", DISK, NULL, NULL, 0), 0);
    CHECK_EQ(make_it("child.vhd", "vhd", 0, NULL, "pa rent.vhd", 0), 0);
    fd = open(in_dir("child.vhd"), O_RDWR);
    CHECK_EQ(pread(fd, h, sizeof(h), VHD_FOOTER), sizeof(h));
    CHECK(!memcmp(h + 576, "W2ru", 4) && !memcmp(h + 600, "W2ku", 4) &&
          !memcmp(h + 624, "MacX", 4));
    memcpy(h + 576, "xxxx", 4);
    memcpy(h + 600, "xxxx", 4);
    put_be32(h + 36, vhd_sum(h, VHD_HEADER, 36));
    CHECK_EQ(pwrite(fd, h, sizeof(h), VHD_FOOTER), sizeof(h));
    close(fd);
    CHECK_EQ(size_of("child.vhd"), DISK);
}

static void refused(u32 flags, u64 at, u32 value, bool header, int code)
{
    struct image_open how = { .path = in_dir("d.vhd"), .flags = flags };
    struct image *im = NULL;
    struct err e = { 0 };
    u8 b[4], h[VHD_HEADER];
    int r, fd;

    CHECK_EQ(make_it("d.vhd", "vhd", DISK, NULL, NULL, 65536), 0);
    im = open_it("d.vhd", IMAGE_WRITE);
    CHECK(im && !write_at(im, 0, model, 200000) && !image_close(im, NULL));
    fd = open(in_dir("d.vhd"), O_RDWR);
    put_be32(b, value);
    CHECK_EQ(pwrite(fd, b, 4, (off_t)at), 4);
    CHECK_EQ(pread(fd, h, sizeof(h), VHD_FOOTER), sizeof(h));
    put_be32(h + 36, vhd_sum(h, VHD_HEADER, 36));
    if (header)
        CHECK_EQ(pwrite(fd, h, sizeof(h), VHD_FOOTER), sizeof(h));
    close(fd);
    r = image_open(&im, &how, &e);
    CHECK_EQ(r, code);
    if (r != code)
        printf("# %u at %llu: %s\n", value, (unsigned long long)at, e.text);
    CHECK(!r || e.text[0]);
    if (!r)
        image_close(im, NULL);
}
static void damage_is_refused(void)
{
    memset(model, 1, sizeof(model));
    refused(0, VHD_FOOTER + 28, 1u << 30, true, -EBADMSG); /* entries: a fuzzed file had these */
    refused(0, VHD_FOOTER + 28, 1, true, -EBADMSG);        /* too few for the size */
    refused(0, VHD_FOOTER + 32, 0, true, -EBADMSG);        /* blocks of nothing */
    refused(0, VHD_FOOTER + 32, 65537, true, -EBADMSG);    /* no power of two */
    refused(0, VHD_FOOTER + 32, 1u << 31, true, -EBADMSG); /* too big */
    refused(0, VHD_FOOTER + 20, 1u << 30, true, -EBADMSG); /* the table behind the file */
    refused(0, VHD_FOOTER + 40, 1, false, -EBADMSG);       /* the header's sum */
    refused(0, 1536, 0x7fffffff, false, -EBADMSG);         /* a block behind the file */
    refused(0, 1540, 7, false, 0);                         /* two at one place: to be read */
    refused(IMAGE_WRITE, 1540, 7, false, -EBADMSG);        /* but not to be written */
    refused(IMAGE_WRITE, 1536, 2, false, -EBADMSG);        /* a block over the table */
}

static void impossible_wishes(void)
{
    CHECK_EQ(make_it("a.vhd", "vhd", 3ull << 40, NULL, NULL, 0), (u64)-EFBIG);
    CHECK_EQ(make_it("a.vhd", "vhd", DISK, NULL, NULL, 12345), (u64)-EINVAL);
    CHECK_EQ(make_it("a.vhd", "vhd", DISK, "variant=differencing", NULL, 0), (u64)-EINVAL);
    CHECK_EQ(make_it("base.vhd", "vhd", DISK, NULL, NULL, 0), 0);
    CHECK_EQ(make_it("a.vhd", "vhd", DISK, "variant=fixed", "base.vhd", 0), (u64)-EINVAL);
    CHECK_EQ(make_it("base.vdi", "vdi", DISK, NULL, NULL, 0), 0);
    CHECK_EQ(make_it("a.vhd", "vhd", DISK, NULL, "base.vdi", 0), (u64)-EINVAL);
    CHECK_EQ(make_it("a.vhd", "vhd", 2040ull << 30, NULL, NULL, 0), 0);
    CHECK_EQ(size_of("a.vhd"), 2040ull << 30);
}

static int take_bytes(void *arg, const void *p, size_t n)
{
    return fwrite(p, 1, n, arg) == n ? 0 : -EIO;
}

/* A fixed disk goes down a pipe; others do not. */
static void down_a_pipe(void)
{
    FILE *f = fopen(in_dir("out.vhd"), "we");
    struct image_convert how = {
        .format = "vhd", .options = "variant=fixed", .append = take_bytes, .append_arg = f
    };
    struct image *im;
    struct err e = { 0 };

    fill(6);
    CHECK_EQ(make_it("a.vhd", "vhd", DISK, NULL, NULL, 0), 0);
    im = open_it("a.vhd", IMAGE_WRITE);
    CHECK(im && !write_at(im, 0, model, DISK));
    if (!im)
        return;
    CHECK_EQ(image_convert(im, &how, &e), 0);
    CHECK_TEXT(e.text, "");
    fclose(f);
    lives("out.vhd", model, DISK);
    peers_agree("out.vhd", DISK);
    how.options = NULL;
    CHECK_EQ(image_convert(im, &how, &e), (u64)-ESPIPE);
    image_close(im, NULL);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    log_level_set(LOG_ERROR);
    CASE(new_disks);
    CASE(children);
    CASE(bigger_disks);
    CASE(sizes_by_creator);
    CASE(virtual_pc_geometry);
    CASE(footers);
    CASE(little_endian_bitmaps);
    CASE(odd_bitmaps);
    CASE(batmaps);
    CASE(parents);
    CASE(parent_by_url);
    CASE(damage_is_refused);
    CASE(impossible_wishes);
    CASE(down_a_pipe);
    return scratch_end();
}
