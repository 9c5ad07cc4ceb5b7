/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chains across formats: an overlay of one format over a disk of another, and sizes that differ. */
#include "base/log.h"
#include "tests/scratch.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

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

/* Threads that write neighbouring sectors, of one block and of one byte of its bitmap. */
static struct image *shared;
static _Atomic int mistakes;
static void *neighbour(void *arg)
{
    u32 me = (u32)(uintptr_t)arg;
    u8 b[512], back[512];
    struct iovec v = { b, 512 }, bv = { back, 512 };

    for (u64 s = me; s < DISK / 512; s += 4) {
        memset(b, (int)(me * 50 + s % 11 + 1), 512);
        if (image_write(shared, s * 512, &v, 1, 512) || image_read(shared, s * 512, &bv, 1, 512) ||
            memcmp(b, back, 512))
            atomic_fetch_add(&mistakes, 1);
        if (s % 2048 == me && image_flush(shared))
            atomic_fetch_add(&mistakes, 1);
    }
    return NULL;
}
static void threads_on(const char *name)
{
    pthread_t t[4];

    shared = open_it(name, IMAGE_WRITE);
    if (!shared)
        return;
    atomic_store(&mistakes, 0);
    for (size_t i = 0; i < LEN(t); i++)
        CHECK_EQ(pthread_create(&t[i], NULL, neighbour, (void *)i), 0);
    for (size_t i = 0; i < LEN(t); i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(mistakes, 0);
    for (u64 s = 0; s < DISK / 512; s++)
        memset(model + s * 512, (int)(s % 4 * 50 + s % 11 + 1), 512);
    CHECK(same(shared, model, DISK));
    CHECK_EQ(image_close(shared, NULL), 0);
    shared = open_it(name, 0);
    CHECK(shared && same(shared, model, DISK));
    CHECK(shared && !image_check(shared, say, NULL, NULL));
    if (shared)
        image_close(shared, NULL);
    if (check_failed_now)
        printf("# %s\n", name);
}
static void many_threads(void)
{
    static const char *const formats[] = { "vhd", "vhdx", "vdi" };

    for (size_t i = 0; i < LEN(formats); i++) {
        CHECK_EQ(make_it("base.vdi", formats[i], DISK, NULL, NULL, 0), 0);
        fill("base.vdi");
        CHECK_EQ(make_it("child.vdi", formats[i], 0, NULL, "base.vdi", 0), 0);
        threads_on("child.vdi");
        CHECK_EQ(make_it("alone.vdi", formats[i], DISK, NULL, NULL, 0), 0);
        threads_on("alone.vdi");
    }
    CHECK_EQ(make_it("alone.hds", "parallels", DISK, NULL, NULL, 63 * 512), 0);
    threads_on("alone.hds");
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
    CASE(many_threads);
    return scratch_end();
}
