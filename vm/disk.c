/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The image that a disk runs on: the package's own file for a CD, else an overlay, whose parent
 * is the package's file, opened for reading only.  Overlays that are kept are in overlay.c; a
 * throwaway disk's has no name once it is open.
 */
#include "desc/disk.h"
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
 * The overlay's size is the parent's.  The parent's tables are checked while we are at it: a
 * damaged disk is refused here, with a sentence, and not by the guest's file system.  Those of
 * a saved VM were checked when it started.
 */
static int disk_parent_size(const struct image_open *parent, bool check, u64 *size, struct err *e)
{
    struct disk_fault fault = { 0 };
    struct image *im;
    int r = image_open(&im, parent, e);

    if (r)
        return r;
    *size = image_size(im);
    r = check ? image_check(im, disk_fault, &fault, e) : 0;
    if (fault.n)
        r = err_set(e, -EBADMSG, "%s: %s%s", parent->path, fault.first,
                    fault.n > 1 ? " (and more)" : "");
    image_close(im, NULL);
    return r;
}

int vm_disk_create(const char *overlay, const struct image_open *parent, bool check, struct err *e)
{
    struct image_create make = { .path = overlay, .format = "qcow2", .parent = parent };
    int r = disk_parent_size(parent, check, &make.size, e);

    return r ? r : image_create(&make, e);
}

static int disk_open_throwaway(const struct desc_disk *d, const struct image_open *parent,
                               struct image **im, struct err *e)
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
    unlink(path);
    return r;
}

int vm_disk_open(const struct vm *vm, const struct desc_disk *d, struct image **im, char **overlay,
                 struct err *e)
{
    struct desc_image parent;
    int r = desc_image(d, &parent, e);

    *overlay = NULL;
    if (r)
        return r;
    if (d->media == DESC_CDROM || d->mode == DESC_READ)
        r = image_open(im, &parent.how, e);
    else if (vm->how.throwaway || d->mode == DESC_THROWAWAY)
        r = disk_open_throwaway(d, &parent.how, im, e);
    else
        r = vm_overlay_open(vm, d, &parent.how, im, overlay, e);
    desc_image_fini(&parent);
    if (r)
        err_in(e, "%s: ", d->name);
    return r;
}
