/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VHDs that we make and write, read by others; what others made, written by us; quirks. */
#include "base/bytes.h"
#include "base/log.h"
#include "image/image_int.h"
#include "tests/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { DISK = (5 << 20) + 3 * 512 };
static u8 model[DISK + (4 << 20)];

static void fill(u32 salt)
{
    memset(model, 0, sizeof(model));
    for (size_t i = 0; i < DISK; i++)
        model[i] = (u8)(i / 70000 % 3 ? i / 900 + salt : 0);
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

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(new_disks);
    CASE(children);
    return scratch_end();
}
