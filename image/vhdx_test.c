/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VHDXs that we make and write, read by others; what others made, written by us. */
#include "base/bytes.h"
#include "base/log.h"
#include "image/vhdx_int.h"
#include "tests/scratch.h"
#include <errno.h>
#include <fcntl.h>

enum { DISK = (5 << 20) + 8 * 512 };
static u8 model[DISK + (4 << 20)];

static void fill(u32 salt)
{
    pattern(model, sizeof(model), DISK, salt);
}

static void peers_agree(const char *name, u64 size)
{
    store("model.raw", model, size);
    if (have_qemu())
        CHECK_EQ(run("qemu-img check -f vhdx %s && qemu-img compare -f vhdx -F raw %s model.raw",
                     name, name),
                 0);
    if (have_tool("7zz"))
        CHECK_EQ(run("7zz e -so -tvhdx %s > out.raw && cmp out.raw model.raw", name), 0);
    if (have_tool("vhdiinfo"))
        CHECK_EQ(run("vhdiinfo %s", name), 0);
    check_skipped = NULL;
}

static void new_one(const char *options, u32 block, bool peers)
{
    memset(model, 0, sizeof(model));
    CHECK_EQ(make_it("a.vhdx", "vhdx", DISK, options, NULL, block), 0);
    lives("a.vhdx", model, DISK);
    if (peers)
        peers_agree("a.vhdx", DISK);
}
static void new_disks(void)
{
    new_one(NULL, 0, true);
    new_one("variant=fixed", 2 << 20, true);
    new_one(NULL, 32 << 20, true);
    new_one("sector=4096", 0, false);
}

static void child_of(const char *options, u32 block)
{
    struct image *im;

    fill(1);
    CHECK_EQ(make_it("base.vhdx", "vhdx", DISK, options, NULL, 0), 0);
    im = open_it("base.vhdx", IMAGE_WRITE);
    CHECK(im && !write_at(im, 0, model, DISK));
    if (im)
        CHECK_EQ(image_close(im, NULL), 0);
    CHECK_EQ(make_it("child.vhdx", "vhdx", 0, NULL, "base.vhdx", block), 0);
    lives("child.vhdx", model, DISK);
    CHECK_EQ(make_it("grandchild.vhdx", "vhdx", 0, NULL, "child.vhdx", 0), 0);
    lives("grandchild.vhdx", model, DISK);
    store("model.raw", model, DISK);
    if (!options || !strstr(options, "4096")) /* 7-Zip wants whole MiB then */
        if (have_tool("7zz"))
            CHECK_EQ(run("7zz e -so -tvhdx grandchild.vhdx > out.raw && cmp out.raw model.raw"), 0);
}
static void children(void)
{
    child_of("variant=fixed", 2 << 20);
    child_of(NULL, 0);
    child_of("sector=4096", 0);
}

static void grown(const char *make, u64 to)
{
    fill(2);
    store("base.raw", model, DISK);
    CHECK_EQ(run("rm -f q.vhdx; %s", make), 0);
    lives("q.vhdx", model, DISK);
    grows("q.vhdx", model, DISK, sizeof(model), to);
    store("model.raw", model, sizeof(model));
    CHECK_EQ(run("qemu-img check -f vhdx q.vhdx && "
                 "qemu-img dd -f vhdx -O raw bs=512 count=%zu if=q.vhdx of=out.raw && "
                 "cmp out.raw model.raw",
                 sizeof(model) / 512),
             0);
}
static void bigger_disks(void)
{
    if (!have_qemu())
        return;
    grown("qemu-img convert -f raw -O vhdx base.raw q.vhdx", 300ull << 30);
    grown("qemu-img convert -f raw -O vhdx -o block_size=1M base.raw q.vhdx", 300ull << 30);
    grown("qemu-img convert -f raw -O vhdx -o subformat=fixed base.raw q.vhdx", 20 << 20);
}

/* A parent that was written to since is not the one that was meant. */
static void changed_parents(void)
{
    struct image_open how = { .path = in_dir("child.vhdx") };
    struct image *im;
    struct err e = { 0 };

    CHECK_EQ(make_it("base.vhdx", "vhdx", DISK, NULL, NULL, 0), 0);
    CHECK_EQ(make_it("child.vhdx", "vhdx", 0, NULL, "base.vhdx", 0), 0);
    im = open_it("base.vhdx", IMAGE_WRITE);
    CHECK(im && !write_at(im, 0, model, 512));
    if (im)
        CHECK_EQ(image_close(im, NULL), 0);
    CHECK_EQ(image_open(&im, &how, &e), (u64)-ESTALE);
    CHECK(strstr(e.text, "expects the content {") != NULL);
}

static void put_at(const char *name, u64 at, const void *p, size_t n)
{
    int fd = open(in_dir(name), O_WRONLY);

    CHECK_EQ(pwrite(fd, p, n, (off_t)at), n);
    close(fd);
}

/* A log with one entry that puts 0x77 into the last sector of the block table's first page. */
static void make_dirty(const char *name)
{
    u8 h[VHDX_HEADER], e[8192] = { 0 }, guid[16];
    int fd = open(in_dir(name), O_RDONLY);

    CHECK_EQ(pread(fd, h, sizeof(h), 128 << 10), sizeof(h));
    close(fd);
    CHECK_EQ(guid_make(guid), 0);
    memcpy(e, "loge", 4);
    put_le32(e + 8, sizeof(e));
    put_le64(e + 16, 7);
    put_le32(e + 24, 1);
    memcpy(e + 32, guid, 16);
    put_le64(e + 48, 4 << 20);
    put_le64(e + 56, 9 << 20);
    memcpy(e + 64, "desc", 4);
    put_le64(e + 64 + 8, (8ull << 20) | BLOCK_HERE); /* the first 8 bytes of the page */
    put_le64(e + 64 + 16, 3 << 20);
    put_le64(e + 64 + 24, 7);
    memcpy(e + 4096, "data", 4);
    put_le32(e + 8192 - 4, 7);
    put_le32(e + 4, vhdx_crc(e, sizeof(e), 4));
    put_at(name, VHDX_MIB, e, sizeof(e));
    memcpy(h + 48, guid, 16);
    put_le64(h + 8, le64(h + 8) + 1);
    put_le32(h + 4, vhdx_crc(h, sizeof(h), 4));
    put_at(name, 64 << 10, h, sizeof(h));
}

/* Read-only nothing is written; a writer puts the log's pages into the file for good. */
static void dirty_logs(void)
{
    static u8 mark[4096];
    struct image *im;

    memset(mark, 0x5a, sizeof(mark));
    memset(model, 0, sizeof(model));
    CHECK_EQ(make_it("l.vhdx", "vhdx", DISK, NULL, NULL, 0), 0);
    make_dirty("l.vhdx");
    put_at("l.vhdx", 8 << 20, mark, sizeof(mark));
    memcpy(model, mark, sizeof(mark));
    CHECK_EQ(run("cp l.vhdx before.vhdx"), 0);
    im = open_it("l.vhdx", 0);
    CHECK(im && same(im, model, DISK));
    if (im)
        image_close(im, NULL);
    CHECK_EQ(run("cmp l.vhdx before.vhdx"), 0);
    lives("l.vhdx", model, DISK);
    peers_agree("l.vhdx", DISK);
}

static void damage_is_refused(void)
{
    static const struct {
        u32 at;
        u8 byte;
        u32 flags;
        int code;
    } bad[] = {
        { 0, 'x', 0, -EMEDIUMTYPE },
        { (3 << 20) + 3, 0xff, IMAGE_WRITE, -EBADMSG }, /* a block far behind the end */
        { (3 << 20) + 8, 7, IMAGE_WRITE, -EBADMSG },    /* a part, without a parent */
        { (2 << 20) + 10, 0xff, 0, -EBADMSG },          /* no end of metadata */
        { (2 << 20) + (64 << 10) + 2, 0x11, 0, -EBADMSG },
        { (2 << 20) + (68 << 10) + 7, 0x11, 0, -EBADMSG },
    };

    for (size_t i = 0; i < LEN(bad); i++) {
        struct image_open how = { .path = in_dir("d.vhdx"), .flags = bad[i].flags };
        struct image *im = NULL;
        struct err e = { 0 };
        int r;

        CHECK_EQ(make_it("d.vhdx", "vhdx", DISK, NULL, NULL, 0), 0);
        im = open_it("d.vhdx", IMAGE_WRITE);
        CHECK(im && !write_at(im, 0, model, 512));
        CHECK(!im || !image_close(im, NULL));
        put_at("d.vhdx", bad[i].at, &bad[i].byte, 1);
        r = image_open(&im, &how, &e);
        CHECK_EQ(r, bad[i].code);
        CHECK(e.text[0]);
        if (r != bad[i].code)
            printf("# case %zu: %s\n", i, e.text);
        if (!r)
            image_close(im, NULL);
    }
}

int main(void)
{
    if (scratch_begin())
        return 1;
    log_level_set(LOG_ERROR);
    CASE(new_disks);
    CASE(children);
    CASE(bigger_disks);
    CASE(changed_parents);
    CASE(dirty_logs);
    CASE(damage_is_refused);
    return scratch_end();
}
