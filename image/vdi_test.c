/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VDIs that we make and write, read by others; what others made, written by us. */
#include "base/bytes.h"
#include "base/log.h"
#include "image/image_int.h"
#include "tests/scratch.h"
#include <errno.h>
#include <fcntl.h>

enum { DISK = (5 << 20) + 3 * 512 };
static u8 model[DISK + (4 << 20)];

static void fill(u32 salt)
{
    pattern(model, sizeof(model), DISK, salt);
}

static void peers_agree(const char *name, u64 size)
{
    store("model.raw", model, size);
    if (have_qemu())
        CHECK_EQ(run("qemu-img check -f vdi %s && qemu-img compare -f vdi -F raw %s model.raw",
                     name, name),
                 0);
    if (have_tool("7zz"))
        CHECK_EQ(run("7zz e -so -tvdi %s > out.raw && cmp out.raw model.raw", name), 0);
    check_skipped = NULL;
}

static void new_disks(void)
{
    memset(model, 0, sizeof(model));
    CHECK_EQ(make_it("a.vdi", "vdi", DISK, NULL, NULL, 0), 0);
    lives("a.vdi", model, DISK);
    peers_agree("a.vdi", DISK);
    memset(model, 0, sizeof(model));
    CHECK_EQ(make_it("a.vdi", "vdi", DISK, "variant=static", NULL, 0), 0);
    lives("a.vdi", model, DISK);
    peers_agree("a.vdi", DISK);
    memset(model, 0, sizeof(model));
    CHECK_EQ(make_it("a.vdi", "vdi", DISK, NULL, NULL, 65536), 0);
    lives("a.vdi", model, DISK);
}

/* The parent is found by its id, whatever its name. */
static void children(void)
{
    struct image_open how = { 0 }, other = { 0 };
    struct image *im = NULL;
    struct err e = { 0 };

    fill(1);
    CHECK_EQ(make_it("base.vdi", "vdi", DISK, NULL, NULL, 65536), 0);
    im = open_it("base.vdi", IMAGE_WRITE);
    CHECK(im && !write_at(im, 0, model, DISK));
    if (im)
        CHECK_EQ(image_close(im, NULL), 0);
    CHECK_EQ(make_it("child.vdi", "vdi", 0, NULL, "base.vdi", 65536), 0);
    lives("child.vdi", model, DISK);
    CHECK_EQ(make_it("grandchild.vdi", "vdi", 0, NULL, "child.vdi", 0), 0);
    CHECK_EQ(run("mv base.vdi renamed.vdi"), 0);
    lives("grandchild.vdi", model, DISK);
    CHECK_EQ(run("mv renamed.vdi not-a-vdi"), 0);
    how.path = in_dir("child.vdi");
    CHECK_EQ(image_open(&im, &how, &e), (u64)-ENOENT);
    CHECK_EQ(make_it("b.vdi", "vdi", DISK, NULL, NULL, 0), 0);
    other.path = in_dir("b.vdi");
    how.path = in_dir("child.vdi");
    how.parent = &other;
    CHECK_EQ(image_open(&im, &how, &e), (u64)-ESTALE);
}

static void grown(const char *options, u64 to)
{
    fill(2);
    store("base.raw", model, DISK);
    CHECK_EQ(run("rm -f q.vdi; qemu-img convert -f raw -O vdi %s base.raw q.vdi", options), 0);
    lives("q.vdi", model, DISK);
    grows("q.vdi", model, DISK, sizeof(model), to);
    CHECK_EQ(run("qemu-img check -f vdi q.vdi"), 0);
    store("model.raw", model, sizeof(model));
    CHECK_EQ(run("truncate -s %llu model.raw; qemu-img compare -f vdi -F raw q.vdi model.raw",
                 (unsigned long long)to),
             0);
}
static void bigger_disks(void)
{
    if (!have_qemu())
        return;
    grown("", 300ull << 30);
    grown("-o static=on", sizeof(model) + (1 << 20));
    grown("", 3ull << 40);
}

static void put_le(const char *name, u64 at, u64 value, size_t n)
{
    int fd = open(in_dir(name), O_WRONLY);
    u8 b[8];

    put_le64(b, value);
    CHECK_EQ(pwrite(fd, b, n, (off_t)at), n);
    close(fd);
}

/* The header of 2004: no lengths, no offsets, the map right behind it. */
static void old_headers(void)
{
    u8 h[1024] = "<<< innotek VirtualBox Disk Image >>>\n";

    memset(model, 0, sizeof(model));
    put_le32(h + 64, 0xbeda107f);
    put_le32(h + 68, 1);
    put_le32(h + 72, 1);
    put_le32(h + 348, 512);
    put_le64(h + 352, DISK);
    put_le32(h + 360, 1 << 20);
    put_le32(h + 364, 6);
    memset(h + 420, 0xff, 24);
    store("old.vdi", h, sizeof(h));
    lives("old.vdi", model, DISK);
}

/* Some bytes of whoever made it before each block. */
static void extra_bytes(void)
{
    memset(model, 0, sizeof(model));
    CHECK_EQ(make_it("x.vdi", "vdi", DISK, NULL, NULL, 65536), 0);
    put_le("x.vdi", 380, 512, 4);
    lives("x.vdi", model, DISK);
}

static void damage_is_refused(void)
{
    static const struct {
        u64 at, value;
        u32 flags;
        int code;
    } bad[] = {
        { 68, 0x00020000, 0, -EOPNOTSUPP },
        { 76, 9, 0, -EOPNOTSUPP },
        { 340, 0x7fffffff, 0, -EBADMSG },
        { 344, 100, IMAGE_WRITE, -EBADMSG }, /* the data over the header */
        { 368, 1ull << 62, 0, -EBADMSG },
        { 376, 0, 0, -EBADMSG },
        { 376, 65537, 0, -EBADMSG },
        { 384, 0x7fffffff, 0, -EBADMSG },
        { 1 << 20, 0x00ffffff, IMAGE_WRITE, -EBADMSG }, /* a block behind the end */
        { 1 << 20, 1, IMAGE_WRITE, -EBADMSG },          /* one that another has */
        { 1 << 20, 1, 0, 0 },
    };

    memset(model, 1, sizeof(model));
    for (size_t i = 0; i < LEN(bad); i++) {
        struct image_open how = { .path = in_dir("d.vdi"), .flags = bad[i].flags };
        struct image *im = NULL;
        struct err e = { 0 };
        int r;

        CHECK_EQ(make_it("d.vdi", "vdi", DISK, NULL, NULL, 65536), 0);
        im = open_it("d.vdi", IMAGE_WRITE);
        CHECK(im && !write_at(im, 0, model, 200000) && !image_close(im, NULL));
        put_le("d.vdi", bad[i].at, bad[i].value, bad[i].at == 368 ? 8 : 4);
        r = image_open(&im, &how, &e);
        CHECK_EQ(r, bad[i].code);
        CHECK(!r || e.text[0]);
        if (r != bad[i].code)
            printf("# case %zu: %s\n", i, e.text);
        if (!r)
            image_close(im, NULL);
    }
}

/* What the header counts is less than what the map names: found, and made right. */
static void counts_are_repaired(void)
{
    struct image *im;
    struct err e = { 0 };

    memset(model, 1, sizeof(model));
    CHECK_EQ(make_it("c.vdi", "vdi", DISK, NULL, NULL, 65536), 0);
    im = open_it("c.vdi", IMAGE_WRITE);
    CHECK(im && !write_at(im, 0, model, DISK) && !image_close(im, NULL));
    put_le("c.vdi", 388, 3, 4);
    im = open_it("c.vdi", 0);
    CHECK(im && image_check(im, say, NULL, NULL) == -EBADMSG);
    if (im)
        image_close(im, NULL);
    im = open_it("c.vdi", IMAGE_WRITE);
    CHECK(im && !im->format->repair(im, say, NULL, &e) && !image_close(im, NULL));
    im = open_it("c.vdi", 0);
    CHECK(im && !image_check(im, say, NULL, NULL) && same(im, model, DISK));
    if (im)
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
    CASE(old_headers);
    CASE(extra_bytes);
    CASE(damage_is_refused);
    CASE(counts_are_repaired);
    return scratch_end();
}
