/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A new overlay that a thread puts in its place: what a kill leaves at each moment of that. */
#include "tests/scratch.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { SIZE = 1 << 20, PIECE = 4096 };
static struct vm vm;
static struct desc_disk disk;
static struct image_open parent;
static char state[100];

static void begin(void)
{
    static u32 n;
    const char *path;
    int fd;

    snprintf(state, sizeof(state), "%s/state%u", dir, n++);
    vm = (struct vm){ .how = { .state = state } };
    path = in_dir("disk.raw");
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_EQ(ftruncate(fd, SIZE), 0);
    CHECK_EQ(close(fd), 0);
    disk = (struct desc_disk){ .name = "disk0", .media = DESC_DISK, .path = path };
    parent = (struct image_open){ .path = path, .format = "raw" };
}

static char *state_file(const char *name)
{
    static char path[4][200];
    static u32 turn;
    char *p = path[turn++ % LEN(path)];

    snprintf(p, sizeof(path[0]), "%s/%s", state, name);
    return p;
}

static struct image *open_overlay(struct vm_disk *k)
{
    struct err e = { 0 };
    struct image *im = NULL;

    *k = (struct vm_disk){ .fd = -1 };
    CHECK_EQ(vm_overlay_open(&vm, &disk, &parent, &im, k, &e), 0);
    return im;
}

static void close_overlay(struct vm_disk *k, struct image *im)
{
    CHECK_EQ(image_close(im, NULL), 0);
    vm_overlay_end(k->fresh);
    free(k->overlay);
}

static u8 first_byte(struct image *im)
{
    u8 p[PIECE];
    struct iovec v = { p, sizeof(p) };

    CHECK_EQ(image_read(im, 0, &v, 1, sizeof(p)), 0);
    return p[0];
}

static void write_first(struct image *im, u8 with)
{
    u8 p[PIECE];
    struct iovec v = { p, sizeof(p) };

    memset(p, with, sizeof(p));
    CHECK_EQ(image_write(im, 0, &v, 1, sizeof(p)), 0);
}

/* What was written is there the next time, under the overlay's name and no other. */
static void put_in_place(void)
{
    struct vm_disk k;
    struct image *im;

    begin();
    im = open_overlay(&k);
    write_first(im, 0x51);
    CHECK(k.fresh);
    CHECK_EQ(vm_overlay_ready(k.fresh), 0); /* as a flush of the guest waits */
    CHECK(!access(state_file("disk0.qcow2"), F_OK));
    CHECK(access(state_file("disk0.qcow2.new"), F_OK));
    close_overlay(&k, im);
    im = open_overlay(&k);
    CHECK(!k.fresh);
    CHECK_EQ(first_byte(im), 0x51);
    close_overlay(&k, im);
}

/* Nothing of it was promised, and the disk below is as it was. */
static void killed_before_the_link(void)
{
    struct vm_disk k;
    struct image *im;

    begin();
    im = open_overlay(&k);
    write_first(im, 0x52);
    close_overlay(&k, im);
    CHECK_EQ(rename(state_file("disk0.qcow2"), state_file("disk0.qcow2.new")), 0);
    im = open_overlay(&k);
    CHECK(k.fresh);
    CHECK_EQ(first_byte(im), 0);
    write_first(im, 0x53);
    close_overlay(&k, im);
    CHECK(access(state_file("disk0.qcow2.new"), F_OK));
    im = open_overlay(&k);
    CHECK_EQ(first_byte(im), 0x53);
    close_overlay(&k, im);
}

/* It has both names: what was flushed is kept. */
static void killed_after_the_link(void)
{
    struct vm_disk k;
    struct image *im;

    begin();
    im = open_overlay(&k);
    write_first(im, 0x54);
    close_overlay(&k, im);
    CHECK_EQ(link(state_file("disk0.qcow2"), state_file("disk0.qcow2.new")), 0);
    im = open_overlay(&k);
    CHECK(!k.fresh);
    CHECK_EQ(first_byte(im), 0x54);
    close_overlay(&k, im);
}

/* Half of its header, and the note not whole: the VM starts all the same. */
static void killed_as_it_was_made(void)
{
    struct vm_disk k;
    struct image *im;

    begin();
    im = open_overlay(&k);
    close_overlay(&k, im);
    CHECK_EQ(rename(state_file("disk0.qcow2"), state_file("disk0.qcow2.new")), 0);
    CHECK_EQ(truncate(state_file("disk0.qcow2.new"), 50), 0);
    CHECK_EQ(unlink(state_file("disk0.qcow2.parent")), 0);
    im = open_overlay(&k);
    CHECK(k.fresh);
    close_overlay(&k, im);
    CHECK(!access(state_file("disk0.qcow2"), F_OK));
}

/* Another VM's is left alone. */
static void in_use_by_another(void)
{
    struct vm_disk k, second = { .fd = -1 };
    struct image *im, *none;
    struct err e = { 0 };

    begin();
    im = open_overlay(&k);
    CHECK_EQ(vm_overlay_ready(k.fresh), 0);
    CHECK_EQ(rename(state_file("disk0.qcow2"), state_file("disk0.qcow2.new")), 0);
    CHECK_EQ(vm_overlay_open(&vm, &disk, &parent, &none, &second, &e), -EBUSY);
    CHECK(!second.fresh);
    CHECK(!access(state_file("disk0.qcow2.new"), F_OK));
    close_overlay(&k, im);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(put_in_place);
    CASE(killed_before_the_link);
    CASE(killed_after_the_link);
    CASE(killed_as_it_was_made);
    CASE(in_use_by_another);
    return scratch_end();
}
