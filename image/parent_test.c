/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chains across formats: an overlay of one format over a disk of another, and sizes that differ. */
#include "base/log.h"
#include "tests/scratch.h"
#include <errno.h>

enum { DISK = (4 << 20) + 16 * 512 };
static u8 model[DISK + (1 << 20)];

static void fill(const char *name)
{
    struct image *im = open_it(name, IMAGE_WRITE);

    for (size_t i = 0; i < DISK; i++)
        model[i] = (u8)(i / 50000 % 3 ? i / 700 + (u8)name[0] : 0);
    CHECK(im && !write_at(im, 0, model, DISK) && !image_close(im, NULL));
}

/* A qcow2 over it lives, and QEMU reads the two together where it knows the parent. */
static void overlay_over(const char *format, const char *options, bool qemu)
{
    CHECK_EQ(make_it("base.vdi", format, DISK, options, NULL, 0), 0);
    fill("base.vdi");
    CHECK_EQ(make_it("top.qcow2", "qcow2", 0, NULL, "base.vdi", 0), 0);
    lives("top.qcow2", model, DISK);
    store("model.raw", model, DISK);
    if (qemu && have_qemu())
        CHECK_EQ(run("qemu-img rebase -u -b base.vdi -F %s top.qcow2 && "
                     "qemu-img compare -f qcow2 -F raw top.qcow2 model.raw",
                     strcmp(format, "vhd") ? format : "vpc"),
                 0);
    if (check_failed_now)
        printf("# over %s %s\n", format, options ? options : "");
}
static void overlays(void)
{
    overlay_over("vhdx", NULL, true);
    overlay_over("vhdx", "variant=fixed", true);
    overlay_over("vhdx", "sector=4096", false);
    overlay_over("vhd", NULL, true);
    overlay_over("vhd", "variant=fixed", false);
    overlay_over("vdi", NULL, true);
    overlay_over("parallels", NULL, true);
    overlay_over("vmdk", NULL, true);
}

/* Three formats in one chain: a differencing disk as the parent of a qcow2. */
static void differencing_in_the_middle(const char *format)
{
    CHECK_EQ(make_it("base.vdi", format, DISK, NULL, NULL, 0), 0);
    fill("base.vdi");
    CHECK_EQ(make_it("middle.vdi", format, 0, NULL, "base.vdi", 0), 0);
    lives("middle.vdi", model, DISK);
    CHECK_EQ(make_it("top.qcow2", "qcow2", 0, NULL, "middle.vdi", 4096), 0);
    lives("top.qcow2", model, DISK);
}
static void three_levels(void)
{
    differencing_in_the_middle("vhd");
    differencing_in_the_middle("vhdx");
    differencing_in_the_middle("vdi");
}

/* A child that is bigger than its parent: zeroes behind that. */
static void bigger_child(const char *format)
{
    CHECK_EQ(make_it("base.vdi", format, DISK, NULL, NULL, 0), 0);
    fill("base.vdi");
    CHECK_EQ(make_it("child.vdi", format, sizeof(model), NULL, "base.vdi", 0), 0);
    memset(model + DISK, 0, sizeof(model) - DISK);
    lives("child.vdi", model, sizeof(model));
}
static void bigger_children(void)
{
    bigger_child("vhd");
    bigger_child("vhdx");
    bigger_child("vdi");
}

/* A differencing disk whose parent the caller gives: of another format, and whole. */
static void parents_that_the_caller_gives(void)
{
    struct image_open up = { 0 }, how = { .flags = IMAGE_WRITE };
    struct image *im = NULL;
    struct err e = { 0 };

    CHECK_EQ(make_it("base.vdi", "vhd", DISK, NULL, NULL, 0), 0);
    fill("base.vdi");
    CHECK_EQ(make_it("child.vdi", "vhd", 0, NULL, "base.vdi", 0), 0);
    store("flat.raw", model, DISK);
    CHECK_EQ(run("rm base.vdi"), 0);
    up.path = in_dir("flat.raw");
    how.path = in_dir("child.vdi");
    how.parent = &up;
    CHECK_EQ(image_open(&im, &how, &e), 0);
    CHECK(im && same(im, model, DISK));
    if (!im)
        return;
    storm(im, model, 80, DISK);
    CHECK(same(im, model, DISK));
    CHECK_EQ(image_close(im, NULL), 0);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    log_level_set(LOG_ERROR);
    CASE(overlays);
    CASE(three_levels);
    CASE(bigger_children);
    CASE(parents_that_the_caller_gives);
    return scratch_end();
}
