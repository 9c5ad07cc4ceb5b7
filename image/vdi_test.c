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
    memset(model, 0, sizeof(model));
    for (size_t i = 0; i < DISK; i++)
        model[i] = (u8)(i / 70000 % 3 ? i / 900 + salt : 0);
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
    struct image *im;
    struct err e = { 0 };

    fill(2);
    store("base.raw", model, DISK);
    CHECK_EQ(run("rm -f q.vdi; qemu-img convert -f raw -O vdi %s base.raw q.vdi", options), 0);
    lives("q.vdi", model, DISK);
    im = open_it("q.vdi", IMAGE_WRITE);
    if (!im)
        return;
    CHECK_EQ(image_resize(im, to, false, &e), 0);
    CHECK_TEXT(e.text, "");
    CHECK(same(im, model, DISK));
    storm(im, model, 60, sizeof(model));
    CHECK(same(im, model, sizeof(model)));
    CHECK_EQ(image_check(im, say, NULL, NULL), 0);
    CHECK_EQ(image_close(im, NULL), 0);
    im = open_it("q.vdi", 0);
    CHECK(im && same(im, model, sizeof(model)) && image_size(im) == to);
    if (im)
        image_close(im, NULL);
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

int main(void)
{
    if (scratch_begin())
        return 1;
    log_level_set(LOG_ERROR);
    CASE(new_disks);
    CASE(children);
    CASE(bigger_disks);
    return scratch_end();
}
