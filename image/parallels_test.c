/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parallels images and bundles that we make and write, read by others; and the other way. */
#include "base/log.h"
#include "image/image_int.h"
#include "tests/scratch.h"
#include <errno.h>

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
        CHECK_EQ(run("qemu-img check -f parallels %s && "
                     "qemu-img compare -f parallels -F raw %s model.raw",
                     name, name),
                 0);
    check_skipped = NULL;
}

static void new_one(const char *options, u32 cluster)
{
    memset(model, 0, sizeof(model));
    CHECK_EQ(make_it("a.hds", "parallels", DISK, options, NULL, cluster), 0);
    lives("a.hds", model, DISK);
    peers_agree("a.hds", DISK);
    if (check_failed_now)
        printf("# %s, clusters of %u\n", options ? options : "", cluster);
}
static void new_disks(void)
{
    new_one(NULL, 0);
    new_one("variant=expanding-v1", 0);
    new_one("variant=expanding-v1", 63 * 512);
    new_one(NULL, 504 * 512);
}

static void grown(const char *options, u32 cluster, u64 to)
{
    struct image *im;

    fill(2);
    CHECK_EQ(make_it("g.hds", "parallels", DISK, options, NULL, cluster), 0);
    im = open_it("g.hds", IMAGE_WRITE);
    CHECK(im && !write_at(im, 0, model, DISK));
    if (!im)
        return;
    CHECK_EQ(image_close(im, NULL), 0);
    grows("g.hds", model, DISK, sizeof(model), to);
    store("model.raw", model, sizeof(model));
    if (have_qemu())
        CHECK_EQ(run("truncate -s %llu model.raw; qemu-img check -f parallels g.hds && "
                     "qemu-img compare -f parallels -F raw g.hds model.raw",
                     (unsigned long long)to),
                 0);
}
static void bigger_disks(void)
{
    grown(NULL, 0, 600ull << 30);
    grown(NULL, 4096, 1ull << 30);
    grown("variant=expanding-v1", 63 * 512, 2ull << 30);
}

#define OLD "{11111111-2222-3333-4444-555555555555}"
#define TOP "{5fbaabe3-6958-40ff-92a7-860e329aab41}"
enum { CUT_AT = 3 << 20 }; /* where the second stretch of the disk begins */

static void write_descriptor(const char *front, const char *file)
{
    char text[4000];
    int n = snprintf(
        text, sizeof(text),
        "<?xml version='1.0' encoding='UTF-8'?>\n%s<Parallels_disk_image Version=\"1.0\">\n"
        "<Disk_Parameters><Disk_size>%d</Disk_size><LogicSectorSize>512</LogicSectorSize>"
        "<Padding>0</Padding><Name>disk &amp; co</Name></Disk_Parameters>\n<StorageData>\n"
        "<Storage><Start>0</Start><End>%d</End><Blocksize>2048</Blocksize>"
        "<Image><GUID>" TOP "</GUID><Type>Compressed</Type><File>%s</File></Image>"
        "<Image><GUID>" OLD "</GUID><Type>Compressed</Type><File>a0.hds</File></Image></Storage>\n"
        "<Storage><Start>%d</Start><End>%d</End><Blocksize>2048</Blocksize>"
        "<Image><GUID>" TOP "</GUID><Type>Compressed</Type><File>b1.hds</File></Image>"
        "<Image><GUID>" OLD "</GUID><Type>Plain</Type><File>b0.hds</File></Image></Storage>\n"
        "</StorageData><Snapshots>\n"
        "<Shot><GUID>" OLD "</GUID><ParentGUID>{00000000-0000-0000-0000-000000000000}"
        "</ParentGUID></Shot>"
        "<Shot><GUID>" TOP "</GUID><ParentGUID>" OLD "</ParentGUID></Shot>"
        "</Snapshots></Parallels_disk_image>\n",
        front, DISK / 512, CUT_AT / 512, file, CUT_AT / 512, DISK / 512);

    store("x.hdd/DiskDescriptor.xml", (u8 *)text, (size_t)n);
}

/* Two stretches, each with an old and a new file; clusters of 63 sectors in one of them. */
static void make_bundle(void)
{
    struct image *im;

    fill(3);
    CHECK_EQ(run("rm -rf x.hdd; mkdir x.hdd"), 0);
    CHECK_EQ(make_it("x.hdd/a0.hds", "parallels", CUT_AT, NULL, NULL, 0), 0);
    CHECK_EQ(make_it("x.hdd/a1.hds", "parallels", CUT_AT, "variant=expanding-v1", NULL, 63 * 512),
             0);
    CHECK_EQ(make_it("x.hdd/b1.hds", "parallels", DISK - CUT_AT, NULL, NULL, 0), 0);
    im = open_it("x.hdd/a0.hds", IMAGE_WRITE);
    CHECK(im && !write_at(im, 0, model, CUT_AT));
    if (im)
        CHECK_EQ(image_close(im, NULL), 0);
    store("x.hdd/b0.hds", model + CUT_AT, DISK - CUT_AT);
    write_descriptor("", "a1.hds");
}

static void count_snapshots(void *arg, const char *name, const char *value)
{
    if (!strcmp(name, "snapshot")) {
        CHECK_TEXT(value, OLD);
        ++*(int *)arg;
    }
}

static void bundles(void)
{
    int snapshots = 0;
    struct image_open old = { .path = in_dir("x.hdd"), .snapshot = OLD };
    static u8 before[DISK];
    struct image *im = NULL;
    struct err e = { 0 };

    make_bundle();
    memcpy(before, model, DISK);
    lives("x.hdd", model, DISK);
    lives("x.hdd/DiskDescriptor.xml", model, DISK);
    CHECK_EQ(image_open(&im, &old, &e), 0);
    CHECK(im && same(im, before, DISK));
    if (im) {
        image_facts(im, count_snapshots, &snapshots);
        image_close(im, NULL);
    }
    CHECK_EQ(snapshots, 1);
    old.path = in_dir("x.hdd");
    old.snapshot = "11111111-2222-3333-4444-555555555555";
    CHECK_EQ(image_open(&im, &old, &e), 0);
    if (im)
        image_close(im, NULL);
    old.path = in_dir("x.hdd");
    old.snapshot = "unknown";
    CHECK_EQ(image_open(&im, &old, &e), (u64)-ENOENT);
    CHECK(strstr(e.text, "has no snapshot \"unknown\"") != NULL);
}

static void bundle_is_refused(const char *front, const char *file, int code, const char *text)
{
    struct image_open how = { .path = in_dir("x.hdd") };
    struct image *im = NULL;
    struct err e = { 0 };

    write_descriptor(front, file);
    CHECK_EQ(image_open(&im, &how, &e), (u64)code);
    CHECK(strstr(e.text, text) != NULL);
    if (!strstr(e.text, text))
        printf("# %s\n", e.text);
    if (im)
        image_close(im, NULL);
}
static void bad_bundles(void)
{
    struct image_open how = { .path = in_dir("x.hdd") };
    struct image *im = NULL;
    struct err e = { 0 };

    make_bundle();
    bundle_is_refused("<!DOCTYPE x [<!ENTITY a \"b\">]>", "a1.hds", -EBADMSG, "document type");
    bundle_is_refused("<x>", "a1.hds", -EBADMSG, "line ");
    bundle_is_refused("", "gone.hds", -ENOENT, "gone.hds");
    bundle_is_refused("", "../a.hds", -EXDEV, "leads out of its directory");
    bundle_is_refused("", "", -EBADMSG, "an image without a file");
    bundle_is_refused("", "b1.hds", -EBADMSG, "are expected");
    write_descriptor("", "a1.hds");
    CHECK_EQ(run("sed -i 's/{0000[-0]*}/" TOP "/' x.hdd/DiskDescriptor.xml"), 0);
    how.path = in_dir("x.hdd");
    CHECK_EQ(image_open(&im, &how, &e), (u64)-ELOOP);
    CHECK_EQ(run("rm x.hdd/DiskDescriptor.xml"), 0);
    how.path = in_dir("x.hdd");
    CHECK_EQ(image_open(&im, &how, &e), (u64)-EINVAL);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    log_level_set(LOG_ERROR);
    CASE(new_disks);
    CASE(bigger_disks);
    CASE(bundles);
    CASE(bad_bundles);
    return scratch_end();
}
