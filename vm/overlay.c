/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a disk's writes are kept: qcow2 overlays in the VM's state directory.
 *
 *     disk0.qcow2         the first, over the package's own file
 *     disk0.1.qcow2 ...   further ones: saving a VM freezes the one in use and goes on in a
 *                         new one over it, so that the saved VM can be restored at any time
 *     disk0.now           the name of the one in use, when it is not the first
 *     discarded           the state of a suspended VM that was given up, as it looked
 *     *.qcow2.new         one that is not yet on the disk
 *     *.qcow2.parent      beside each: what its parent looked like, since an overlay over
 *                         another parent is a corrupt disk
 */
#include "backend/blk.h"
#include "base/log.h"
#include "desc/disk.h"
#include "image/image.h"
#include "vm/vm_int.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OVERLAYS_MAX = 64, OVERLAY_NOTE = 5000 };

/* ---- notes ---- */

int vm_file_identity(const char *path, u64 offset, u64 length, char *text, size_t room,
                     struct err *e)
{
    char *full = realpath(path, NULL);
    struct stat st;

    if (stat(path, &st)) {
        free(full);
        return err_set(e, -errno, "%s: %s", path, strerror(errno));
    }
    snprintf(text, room, "parent %s\nsize %lld\nmtime %lld.%09ld\noffset %llu\nlength %llu\n",
             full ? full : path, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
             st.st_mtim.tv_nsec, (unsigned long long)offset, (unsigned long long)length);
    free(full);
    return 0;
}

static int overlay_text(const char *path, char *text, size_t room)
{
    FILE *f = fopen(path, "re");
    size_t n = 0;

    if (f) {
        n = fread(text, 1, room - 1, f);
        fclose(f);
    }
    text[n] = 0;
    return f ? 0 : -ENOENT;
}

/* Whole or not at all: written beside, synced (or later, by the caller), renamed. */
static int overlay_write(const char *path, const char *text, bool sync, struct err *e)
{
    char tmp[4300];
    int fd, r = 0;

    snprintf(tmp, sizeof(tmp), "%s.new", path);
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, -errno, "%s: %s", tmp, strerror(errno));
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text) || (sync && fsync(fd)))
        r = err_set(e, -EIO, "%s: cannot be written: %s", tmp, strerror(errno));
    close(fd);
    if (!r && rename(tmp, path))
        r = err_set(e, -errno, "%s: %s", path, strerror(errno));
    if (r)
        unlink(tmp);
    return r;
}

static int overlay_note(const char *overlay, char *note, size_t room, struct err *e)
{
    if (snprintf(note, room, "%s.parent", overlay) < (int)room)
        return 0;
    return err_set(e, -ENAMETOOLONG, "%s: the state directory's name is too long", overlay);
}

static int overlay_stale(const char *overlay, struct err *e)
{
    return err_set(e, -ESTALE,
                   "%s holds changes to a disk that has since been replaced or modified; run with "
                   "--throwaway to ignore them, or remove that file to start afresh",
                   overlay);
}

/* By whatever names: the VM may have been named from another directory then. */
static bool overlay_same_file(const char *a, const char *b)
{
    char *full_a = realpath(a, NULL), *full_b = realpath(b, NULL);
    bool same = full_a && full_b ? !strcmp(full_a, full_b) : !strcmp(a, b);

    free(full_a);
    free(full_b);
    return same;
}

/* One that is not where it was may have been moved with the overlay. */
static void overlay_moved(const char *overlay, char parent[4096])
{
    const char *slash = strrchr(overlay, '/'), *name = strrchr(parent, '/');
    char beside[4096];
    int n = snprintf(beside, sizeof(beside), "%.*s%s", slash ? (int)(slash - overlay) + 1 : 0,
                     overlay, name ? name + 1 : parent);

    if (access(parent, F_OK) && n < (int)sizeof(beside) && !access(beside, F_OK))
        memcpy(parent, beside, sizeof(beside));
}

/* The parent of an overlay by its note, which fits what is there now. */
static int overlay_parent(const struct desc_disk *d, const char *overlay, char parent[4096],
                          bool *is_disk, struct err *e)
{
    char note[4200], have[OVERLAY_NOTE], want[OVERLAY_NOTE];
    int r = overlay_note(overlay, note, sizeof(note), e);

    if (r)
        return r;
    if (overlay_text(note, have, sizeof(have)) || sscanf(have, "parent %4095[^\n]", parent) != 1)
        return overlay_stale(overlay, e);
    overlay_moved(overlay, parent);
    *is_disk = overlay_same_file(parent, d->path) || access(parent, F_OK);
    r = *is_disk ? vm_file_identity(d->path, d->offset, d->length, want, sizeof(want), e)
                 : vm_file_identity(parent, 0, 0, want, sizeof(want), NULL);
    if (r && *is_disk)
        return r;
    return r || strcmp(have + strcspn(have, "\n"), want + strcspn(want, "\n"))
               ? overlay_stale(overlay, e)
               : 0;
}

int vm_overlay_chain(const struct desc_disk *d, const char *path, char ***out, u32 *n,
                     struct err *e)
{
    char **chain = calloc(OVERLAYS_MAX, sizeof(*chain)), parent[4096];
    bool is_disk = false;
    int r = 0;

    *n = 0;
    if (!chain || !(chain[(*n)++] = strdup(path)))
        r = err_set(e, -ENOMEM, "out of memory");
    while (!r) {
        r = overlay_parent(d, chain[*n - 1], parent, &is_disk, e);
        if (r || is_disk)
            break;
        if (*n == OVERLAYS_MAX)
            r = err_set(e, -ELOOP, "%s: more than %d overlays", path, OVERLAYS_MAX);
        else if (!(chain[(*n)++] = strdup(parent)))
            r = err_set(e, -ENOMEM, "out of memory");
    }
    if (r) {
        while (*n)
            free(chain[--*n]);
        free(chain);
        return r;
    }
    *out = chain;
    return 0;
}

/* ---- a new one ---- */

/*
 * A VM need not wait for the host's disk before it starts: its new overlay is written and
 * opened under another name, and a thread puts it on the disk, then in its place.  Flushes of the
 * guest wait for that, so nothing of it was promised before.
 */
struct overlay_new {
    char path[4096], note[4200], now[4200];
    pthread_t thread;
    bool started, done;
    int result;
    pthread_mutex_t lock; /* done, result */
    pthread_cond_t told;
};

static int fresh_new(struct overlay_new **out, const char *path, const char *note, struct err *e)
{
    struct overlay_new *f = calloc(1, sizeof(*f));

    if (!f)
        return err_set(e, -ENOMEM, "out of memory");
    snprintf(f->path, sizeof(f->path), "%s", path);
    snprintf(f->note, sizeof(f->note), "%s", note);
    snprintf(f->now, sizeof(f->now), "%s.new", path);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->told, NULL);
    *out = f;
    return 0;
}

static int fresh_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = fd < 0 || fsync(fd) ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return r;
}

static int fresh_sync_dir(const char *path)
{
    char *copy = strdup(path);
    int r = copy ? fresh_sync(dirname(copy)) : -ENOMEM;

    free(copy);
    return r;
}

static void *fresh_main(void *arg)
{
    struct overlay_new *f = arg;
    int r;

    pthread_setname_np(pthread_self(), "overlay");
    r = fresh_sync(f->note);
    r = r ? r : fresh_sync(f->now);
    if (!r && link(f->now, f->path)) /* nothing that is there gives way */
        r = -errno;
    if (!r)
        unlink(f->now);
    r = r ? r : fresh_sync_dir(f->path);
    if (r)
        log_error("%s: cannot be put on the disk: %s", f->path, strerror(-r));
    pthread_mutex_lock(&f->lock);
    f->result = r;
    f->done = true;
    pthread_cond_broadcast(&f->told);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static int fresh_start(struct overlay_new *f, struct err *e)
{
    int r = -pthread_create(&f->thread, NULL, fresh_main, f);

    f->started = !r;
    return r ? err_set(e, r, "no thread for %s: %s", f->path, strerror(-r)) : 0;
}

int vm_overlay_ready(void *fresh)
{
    struct overlay_new *f = fresh;

    pthread_mutex_lock(&f->lock);
    while (!f->done)
        pthread_cond_wait(&f->told, &f->lock);
    pthread_mutex_unlock(&f->lock);
    return f->result;
}

void vm_overlay_end(struct overlay_new *f)
{
    if (!f)
        return;
    if (f->started)
        pthread_join(f->thread, NULL);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->told);
    free(f);
}

/* ---- opening ---- */

/* An overlay with its whole chain down to `parent`, which is the disk's own file.  now: where
 * it is for the moment; NULL: at its path. */
static int overlay_open_chain(const struct desc_disk *d, const char *path, const char *now,
                              const struct image_open *parent, struct image **im, struct err *e)
{
    struct image_open how[OVERLAYS_MAX];
    char **chain;
    u32 n;
    int r = vm_overlay_chain(d, path, &chain, &n, e);

    if (r)
        return r;
    for (u32 i = 0; i < n; i++)
        how[i] = (struct image_open){ .path = i || !now ? chain[i] : now,
                                      .format = "qcow2",
                                      .flags = i ? 0 : IMAGE_WRITE,
                                      .parent = i + 1 < n ? &how[i + 1] : parent };
    r = image_open(im, &how[0], e);
    for (u32 i = 0; i < n; i++)
        free(chain[i]);
    free(chain);
    return r;
}

/* The name of the overlay that is in use. */
static int overlay_now(const char *state, const char *disk, char *path, size_t room, struct err *e)
{
    char now[4200], name[256];
    int n = snprintf(now, sizeof(now), "%s/%s.now", state, disk);

    if (n < (int)sizeof(now) && !overlay_text(now, name, sizeof(name))) {
        name[strcspn(name, "\n")] = 0;
        if (!*name || strchr(name, '/'))
            return err_set(e, -EBADMSG, "%s: does not name an overlay", now);
        n = snprintf(path, room, "%s/%s", state, name);
    } else {
        n = snprintf(path, room, "%s/%s.qcow2", state, disk);
    }
    if (n >= (int)room)
        return err_set(e, -ENAMETOOLONG, "%s: the state directory's name is too long", state);
    return 0;
}

/* One that was being put in its place when its VM ended holds nothing that was promised. */
static int overlay_remains(const char *path, struct err *e)
{
    struct image_open how = { .path = path, .format = "qcow2", .flags = IMAGE_NO_PARENT };
    struct image *im;
    int r;

    if (access(path, F_OK))
        return 0;
    how.flags |= IMAGE_WRITE;
    r = image_open(&im, &how, e);
    if (r == -EBUSY)
        return r; /* by another VM, now */
    if (!r)
        image_close(im, NULL);
    return unlink(path) ? err_set(e, -errno, "%s: %s", path, strerror(errno)) : 0;
}

/* A new overlay, in use at once. */
static int overlay_fresh(const struct desc_disk *d, const char *path, const char *note, bool check,
                         const struct image_open *parent, struct image **im, struct vm_disk *k,
                         struct err *e)
{
    char want[OVERLAY_NOTE];
    int r = fresh_new(&k->fresh, path, note, e);

    r = r ? r : overlay_remains(k->fresh->now, e);
    r = r ? r : vm_file_identity(d->path, d->offset, d->length, want, sizeof(want), e);
    r = r ? r : overlay_write(note, want, false, e);
    r = r ? r : vm_disk_create(k->fresh->now, parent, check, e);
    r = r ? r : overlay_open_chain(d, path, k->fresh->now, parent, im, e);
    r = r ? r : fresh_start(k->fresh, e);
    if (r) {
        vm_overlay_end(k->fresh);
        k->fresh = NULL;
    }
    return r;
}

int vm_overlay_open(const struct vm *vm, const struct desc_disk *d, const struct image_open *parent,
                    struct image **im, struct vm_disk *k, struct err *e)
{
    char path[4096], note[4200];
    int r = vm_make_dirs(vm->how.state, e);

    r = r ? r : overlay_now(vm->how.state, d->name, path, sizeof(path), e);
    r = r ? r : overlay_note(path, note, sizeof(note), e);
    if (r)
        return r;
    r = access(path, F_OK) ? overlay_fresh(d, path, note, !vm->how.saved, parent, im, k, e)
                           : overlay_open_chain(d, path, NULL, parent, im, e);
    if (!r && !(k->overlay = strdup(path)))
        r = err_set(e, -ENOMEM, "out of memory");
    return r;
}

/* ---- the state of a suspended VM ---- */

bool vm_discarded(const char *state, const char *file, bool now)
{
    char path[4200], want[OVERLAY_NOTE], have[OVERLAY_NOTE];

    if (vm_file_identity(file, 0, 0, want, sizeof(want), NULL))
        snprintf(want, sizeof(want), "no %s\n", file);
    if (snprintf(path, sizeof(path), "%s/discarded", state) >= (int)sizeof(path))
        return false;
    if (!overlay_text(path, have, sizeof(have)) && !strcmp(have, want))
        return true;
    if (now && !vm_make_dirs(state, NULL))
        overlay_write(path, want, true, NULL);
    return false;
}

/* ---- one over another ---- */

/* A name that no overlay has; it becomes the one in use. */
static int overlay_next(const char *state, const char *disk, char *path, size_t room, struct err *e)
{
    char name[256], now[4200];
    u32 i = 0;
    int n;

    do {
        snprintf(name, sizeof(name), "%.200s.%u.qcow2", disk, ++i);
        n = snprintf(path, room, "%s/%s", state, name);
        if (n >= (int)room)
            return err_set(e, -ENAMETOOLONG, "%s: the state directory's name is too long", state);
    } while (!access(path, F_OK));
    snprintf(now, sizeof(now), "%s/%.200s.now", state, disk);
    return overlay_write(now, name, true, e);
}

int vm_overlay_fresh(const char *state, const char *disk, struct err *e)
{
    char path[4096];

    return overlay_next(state, disk, path, sizeof(path), e);
}

/* path is a new overlay over frozen, which is closed. */
static int overlay_stack(struct vm *vm, struct vm_disk *d, const char *frozen, char *path,
                         size_t room, struct err *e)
{
    struct image_open parent = { .path = frozen, .format = "qcow2", .flags = IMAGE_NO_PARENT };
    struct image_create make = {
        .path = path, .format = "qcow2", .size = blk_size(d->blk), .parent = &parent
    };
    char note[4200], want[OVERLAY_NOTE];
    int r = vm_file_identity(frozen, 0, 0, want, sizeof(want), e);

    r = r ? r : overlay_next(vm->how.state, d->desc->name, path, room, e);
    r = r ? r : overlay_note(path, note, sizeof(note), e);
    r = r ? r : overlay_write(note, want, true, e);
    return r ? r : image_create(&make, e);
}

/* After a failure: the overlay that was in use is it again. */
static void overlay_back(struct vm *vm, struct vm_disk *d)
{
    const char *slash = strrchr(d->overlay, '/');
    char now[4200];

    snprintf(now, sizeof(now), "%s/%.200s.now", vm->how.state, d->desc->name);
    overlay_write(now, slash ? slash + 1 : d->overlay, true, NULL);
}

int vm_overlay_freeze(struct vm *vm, struct vm_disk *d, char **frozen, struct err *e)
{
    struct desc_image parent;
    char path[4096] = "", *real = NULL;
    struct image *im;
    int r = d->fresh ? vm_overlay_ready(d->fresh) : 0; /* it has its name then */

    if (r || !(real = realpath(d->overlay, NULL)))
        return err_set(e, r ? r : -errno, "%s: %s", d->overlay, strerror(r ? -r : errno));
    r = desc_image(d->desc, &parent, e);
    if (r) {
        free(real);
        return r;
    }
    r = image_close(blk_swap(d->blk, NULL), e);
    r = r ? r : overlay_stack(vm, d, real, path, sizeof(path), e);
    r = r ? r : overlay_open_chain(d->desc, path, NULL, &parent.how, &im, e);
    if (r) { /* the guest goes on where it was, if that can be */
        overlay_back(vm, d);
        if (overlay_open_chain(d->desc, d->overlay, NULL, &parent.how, &im, NULL))
            im = NULL;
    } else {
        free(d->overlay);
        d->overlay = strdup(path);
        *frozen = real;
        real = NULL;
    }
    blk_swap(d->blk, im);
    desc_image_fini(&parent);
    free(real);
    return r;
}
