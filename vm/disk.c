/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The image that a disk runs on: the package's own file for a CD, else an overlay, whose parent
 * is the package's file, opened for reading only.  Overlays that are kept are in overlay.c; a
 * throwaway disk's has no name once it is open; saving the VM makes a copy of it.
 */
#include "desc/disk.h"
#include "backend/blk.h"
#include "image/image.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int vm_make_dirs(const char *path, struct err *e)
{
    char part[4096];

    if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
        return err_set(e, -ENAMETOOLONG, "%s: the directory's name is too long", path);
    for (char *p = part + 1;; p++) {
        char was = *p;

        if (was && was != '/')
            continue;
        *p = 0;
        if (mkdir(part, 0700) && errno != EEXIST)
            return err_set(e, -errno, "%s: cannot make the directory: %s", part, strerror(errno));
        *p = was;
        if (!was)
            return 0;
    }
}

int vm_make_state(const struct vm *vm, struct err *e)
{
    return vm_make_dirs(vm->how.state, e);
}

struct disk_fault {
    u32 n;
    char first[200];
};

static void disk_fault(void *arg, const char *text)
{
    struct disk_fault *f = arg;

    if (!f->n++)
        snprintf(f->first, sizeof(f->first), "%s", text);
}

/*
 * A damaged disk is refused here, with a sentence, and not by the guest's file system.  Those of
 * a saved VM were checked when it started.
 */
static int disk_parent_check(const struct image_open *parent, struct err *e)
{
    struct disk_fault fault = { 0 };
    struct image *im;
    int r = image_open(&im, parent, e);

    if (r)
        return r;
    r = image_check(im, disk_fault, &fault, e);
    if (fault.n)
        r = err_set(e, -EBADMSG, "%s: %s%s", parent->path, fault.first,
                    fault.n > 1 ? " (and more)" : "");
    image_close(im, NULL);
    return r;
}

int vm_disk_create(const char *overlay, const struct image_open *parent, bool check, struct err *e)
{
    struct image_open alone = *parent; /* what is below it is opened with the overlay */
    struct image_create make = {
        .path = overlay, .format = "qcow2", .parent = check ? parent : &alone, .unsynced = true
    };
    int r = check ? disk_parent_check(parent, e) : 0;

    alone.parent = NULL;
    alone.flags |= IMAGE_NO_PARENT;

    return r ? r : image_create(&make, e);
}

static int disk_open_throwaway(const struct desc_disk *d, const struct image_open *parent,
                               struct image **im, int *fd, struct err *e)
{
    struct image_open how = { .format = "qcow2", .flags = IMAGE_WRITE, .parent = parent };
    const char *tmp = getenv("TMPDIR");
    char path[4200];
    int r;

    snprintf(path, sizeof(path), "%s/mimic-%d-%s.qcow2", tmp ? tmp : "/var/tmp", (int)getpid(),
             d->name);
    how.path = path;
    r = vm_disk_create(path, parent, true, e);
    if (r)
        return r;
    r = image_open(im, &how, e);
    *fd = r ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    unlink(path);
    return r;
}

void vm_disk_end(struct vm_disk *k)
{
    if (k->blk)
        blk_close(k->blk);
    vm_overlay_end(k->fresh);
    free(k->overlay);
    if (k->fd >= 0)
        close(k->fd);
    *k = (struct vm_disk){ .fd = -1 };
}

/* ---- a copy of what is thrown away ---- */

static int disk_copy_bytes(int from, int to)
{
    off_t at = 0, end = lseek(from, 0, SEEK_END);

    if (end < 0 || ftruncate(to, end))
        return -errno;
    while (at < end) {
        off_t data = lseek(from, at, SEEK_DATA), hole = lseek(from, data, SEEK_HOLE), out;

        if (data < 0)
            return errno == ENXIO ? 0 : -errno;
        for (out = data; data < hole;) {
            ssize_t n = copy_file_range(from, &data, to, &out, (size_t)(hole - data), 0);

            if (n <= 0)
                return n ? -errno : -EIO;
        }
        at = hole;
    }
    return 0;
}

/* A name beside the saved VM's that nothing has. */
static int disk_copy_name(const char *saved, const char *disk, char *path, size_t room)
{
    u32 i = 0;

    do {
        char number[16] = "";

        if (i)
            snprintf(number, sizeof(number), ".%u", i);
        if (snprintf(path, room, "%s.%s%s.qcow2", saved, disk, number) >= (int)room)
            return -ENAMETOOLONG;
    } while (!access(path, F_OK) && ++i < 10000);
    return 0;
}

static int disk_copy(const struct vm_disk *k, const char *saved, char **copy, struct err *e)
{
    char path[4200] = "";
    int r = disk_copy_name(saved, k->desc->name, path, sizeof(path)), fd;

    fd = r ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, r ? r : -errno, "%s: %s", path, strerror(r ? -r : errno));
    r = disk_copy_bytes(k->fd, fd);
    if (!r && fsync(fd))
        r = -errno;
    close(fd);
    if (!r && !(*copy = strdup(path)))
        r = -ENOMEM;
    if (r)
        unlink(path);
    return r ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

/* All that is written is in its file only when the image is closed. */
int vm_disk_copy(const struct vm_disk *k, const char *saved, char **copy, struct err *e)
{
    struct image_open how = { .format = "qcow2", .flags = IMAGE_WRITE };
    struct desc_image parent;
    struct image *im = NULL;
    char path[40];
    int r = desc_image(k->desc, &parent, e), again;

    if (r)
        return r;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", k->fd);
    how.path = path;
    how.parent = &parent.how;
    r = image_close(blk_swap(k->blk, NULL), e);
    r = r ? r : disk_copy(k, saved, copy, e);
    again = image_open(&im, &how, r ? NULL : e);
    blk_swap(k->blk, again ? NULL : im);
    desc_image_fini(&parent);
    return r ? r : again;
}

static int disk_open_overlay(const struct vm *vm, const struct desc_disk *d,
                             const struct image_open *parent, struct image **im, struct vm_disk *k,
                             struct err *e)
{
    int r = vm_overlay_open(vm, d, parent, im, k, e);
    struct err busy = *e;

    if (r != -EBUSY)
        return r;
    return err_set(e, r,
                   "%s; --state DIR keeps what another VM writes elsewhere, --throwaway nowhere",
                   busy.text);
}

int vm_disk_open(const struct vm *vm, const struct desc_disk *d, struct vm_disk *k,
                 struct image **im, struct err *e)
{
    struct desc_image parent;
    int r = desc_image(d, &parent, e);

    *k = (struct vm_disk){ .fd = -1 };
    if (r)
        return r;
    if (d->media == DESC_CDROM || d->mode == DESC_READ)
        r = image_open(im, &parent.how, e);
    else if (vm->how.throwaway || d->mode == DESC_THROWAWAY)
        r = disk_open_throwaway(d, &parent.how, im, &k->fd, e);
    else
        r = disk_open_overlay(vm, d, &parent.how, im, k, e);
    desc_image_fini(&parent);
    if (r)
        err_in(e, "%s: ", d->name);
    return r;
}
