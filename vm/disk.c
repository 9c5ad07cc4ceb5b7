/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a disk's writes go: a qcow2 overlay in the VM's state directory, whose parent is the
 * package's own file, opened for reading only.  The overlay is found again at the next run;
 * beside it lies a note of what its parent looked like, since an overlay over another
 * parent is a corrupt disk.  A throwaway disk's overlay has no name once it is open.
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

/* What must be the same at the next run: the file, its size, its time, the place in it. */
static int disk_identity(const struct desc_disk *d, char *text, size_t room, struct err *e)
{
    struct stat st;

    if (stat(d->path, &st))
        return err_set(e, -errno, "%s: %s", d->path, strerror(errno));
    snprintf(text, room, "parent %s\nsize %lld\nmtime %lld.%09ld\noffset %llu\nlength %llu\n",
             d->path, (long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
             (unsigned long long)d->offset, (unsigned long long)d->length);
    return 0;
}

static int disk_check_identity(const char *note, const char *want, const char *overlay,
                               struct err *e)
{
    char have[5000] = "";
    FILE *f = fopen(note, "re");
    size_t n = 0;

    if (f) {
        n = fread(have, 1, sizeof(have) - 1, f);
        fclose(f);
    }
    have[n] = 0;
    if (!strcmp(have, want))
        return 0;
    return err_set(e, -ESTALE,
                   "%s holds changes to a disk that has since been replaced or modified; run with "
                   "--throwaway to ignore them, or remove that file to start afresh",
                   overlay);
}

/* Whole or not at all: written beside, synced, renamed. */
static int disk_write_identity(const char *note, const char *text, struct err *e)
{
    char tmp[4300];
    int fd, r = 0;

    snprintf(tmp, sizeof(tmp), "%s.new", note);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, -errno, "%s: %s", tmp, strerror(errno));
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd))
        r = err_set(e, -EIO, "%s: cannot be written: %s", tmp, strerror(errno));
    close(fd);
    if (!r && rename(tmp, note))
        r = err_set(e, -errno, "%s: %s", note, strerror(errno));
    if (r)
        unlink(tmp);
    return r;
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
 * damaged disk is refused here, with a sentence, and not by the guest's file system.
 */
static int disk_parent_size(const struct image_open *parent, u64 *size, struct err *e)
{
    struct disk_fault fault = { 0 };
    struct image *im;
    int r = image_open(&im, parent, e);

    if (r)
        return r;
    *size = image_size(im);
    r = image_check(im, disk_fault, &fault, e);
    if (fault.n)
        r = err_set(e, -EBADMSG, "%s: %s%s", parent->path, fault.first,
                    fault.n > 1 ? " (and more)" : "");
    image_close(im, NULL);
    return r;
}

static int disk_create(const char *overlay, const struct image_open *parent, struct err *e)
{
    struct image_create make = { .path = overlay, .format = "qcow2", .parent = parent };
    int r = disk_parent_size(parent, &make.size, e);

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
    r = disk_create(path, parent, e);
    if (r)
        return r;
    r = image_open(im, &how, e);
    unlink(path);
    return r;
}

static int disk_open_kept(const struct vm *vm, const struct desc_disk *d,
                          const struct image_open *parent, struct image **im, struct err *e)
{
    struct image_open how = { .format = "qcow2", .flags = IMAGE_WRITE, .parent = parent };
    char overlay[4100], note[4110], want[5000];
    int r;

    if (snprintf(overlay, sizeof(overlay), "%s/%s.qcow2", vm->how.state, d->name) >=
        (int)sizeof(overlay))
        return err_set(e, -ENAMETOOLONG, "%s: the state directory's name is too long",
                       vm->how.state);
    snprintf(note, sizeof(note), "%s.parent", overlay);
    how.path = overlay;
    r = vm_make_dirs(vm->how.state, e);
    if (!r)
        r = disk_identity(d, want, sizeof(want), e);
    if (r)
        return r;
    if (access(overlay, F_OK)) {
        r = disk_write_identity(note, want, e);
        if (!r)
            r = disk_create(overlay, parent, e);
    } else {
        r = disk_check_identity(note, want, overlay, e);
    }
    return r ? r : image_open(im, &how, e);
}

int vm_disk_open(const struct vm *vm, const struct desc_disk *d, struct image **im, struct err *e)
{
    struct desc_image parent;
    int r = desc_image(d, &parent, e);

    if (r)
        return r;
    if (d->media == DESC_CDROM || d->mode == DESC_READ)
        r = image_open(im, &parent.how, e);
    else if (vm->how.throwaway || d->mode == DESC_THROWAWAY)
        r = disk_open_throwaway(d, &parent.how, im, e);
    else
        r = disk_open_kept(vm, d, &parent.how, im, e);
    desc_image_fini(&parent);
    if (r)
        err_in(e, "%s: ", d->name);
    return r;
}
