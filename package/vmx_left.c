/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How VMware left a folder: open or closed, off or suspended.  Its hosted products lock FILE with a
 * directory FILE.lck, in it a text "M12345.lck" of each holder: machine, "process-start", a number,
 * X or S (exclusive, shared).  ESXi has a file FILE.lck, or ".lck-..." on NFS, which does not say
 * who holds it in text.  Left out: locks inside VMFS, which do not leave their host.
 */
#include "package/vmx_int.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_TEXT = 512, LOCK_ENTRIES = 1024 };

struct vmx_holder {
    char host[100], process[32];
    bool shared, dead;
};

/* Only what can be shown: the file may be anybody's. */
static void left_clean(char *text)
{
    for (; *text; text++)
        if (!isprint((u8)*text) || *text == '"')
            *text = '?';
}

/* Of this host, with a process that has ended: VMware itself takes no notice of such a lock. */
static bool left_dead(const struct vmx_holder *h)
{
    char here[256] = "";
    long pid = strtol(h->process, NULL, 10);

    gethostname(here, sizeof(here) - 1);
    return *here && !strcasecmp(here, h->host) && pid > 1 && pid <= INT_MAX &&
           kill((pid_t)pid, 0) && errno == ESRCH;
}

static void left_holder(int dir, const char *name, struct vmx_holder *h)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char text[LOCK_TEXT + 1], kind[8] = "";
    struct stat st;
    ssize_t n = 0;

    *h = (struct vmx_holder){ 0 };
    if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode))
        n = read(fd, text, LOCK_TEXT);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    if (sscanf(text, "%99s %31s %*31s %7s", h->host, h->process, kind) < 2)
        h->host[0] = h->process[0] = 0;
    h->process[strcspn(h->process, "-")] = 0;
    left_clean(h->host);
    left_clean(h->process);
    h->shared = !strcmp(kind, "S") || !strcmp(kind, "R");
    h->dead = left_dead(h);
}

/* Something holds it: refused before a run, else told. */
static int left_refuse(struct vmx *x, const char *lock, const struct vmx_holder *h)
{
    const struct package_options *o = x->s->how;
    char who[200] = "it does not say who";

    if (h && *h->host)
        snprintf(who, sizeof(who), "process %s on host \"%s\"", h->process, h->host);
    if (o && o->start && !o->ignore_locks)
        return err_set(x->e, -EBUSY,
                       "%s: is open in VMware: it is locked by %s (%s); close it there, or run it "
                       "with --ignore-locks if that lock was left behind",
                       x->file, lock, who);
    note(x->n, NOTE_CHANGED, x->file,
         "is open in VMware, and its disks may change meanwhile: it is locked by %s (%s)", lock,
         who);
    return 0;
}

static int left_lock_folder(struct vmx *x, const char *path, const char *lock)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *k;
    struct vmx_holder h;

    if (!d && fd >= 0)
        close(fd);
    for (u32 i = 0; d && !r && i < LOCK_ENTRIES && (k = readdir(d)); i++) {
        if (*k->d_name != 'M' || !source_has_suffix(k->d_name, ".lck"))
            continue;
        left_holder(fd, k->d_name, &h);
        if (h.dead)
            note(x->n, NOTE_CHANGED, x->file,
                 "its lock %s was left behind by process %s, which has ended: it is ignored", lock,
                 h.process);
        else if (!h.shared)
            r = left_refuse(x, lock, &h);
    }
    if (d)
        closedir(d);
    return r;
}

static int left_lock(struct vmx *x, const char *file)
{
    char path[PATH_MAX];
    struct stat st;

    if (snprintf(path, sizeof(path), "%s.lck", file) >= PATH_MAX || lstat(path, &st))
        return 0;
    if (S_ISDIR(st.st_mode))
        return left_lock_folder(x, path, source_base(path));
    return S_ISREG(st.st_mode) ? left_refuse(x, source_base(path), NULL) : 0;
}

/* ESXi on NFS: a hidden file for each that is open, named by a number of the server's. */
static int left_lock_nfs(struct vmx *x)
{
    DIR *d = opendir(x->s->dir);
    const struct dirent *k;
    int r = 0;

    for (u32 i = 0; d && i < LOCK_ENTRIES && (k = readdir(d)); i++)
        if (!strncmp(k->d_name, ".lck-", 5) && strspn(k->d_name + 5, "0123456789abcdef") == 16 &&
            !k->d_name[21]) {
            r = left_refuse(x, k->d_name, NULL);
            break;
        }
    if (d)
        closedir(d);
    return r;
}

static bool left_discarded(struct vmx *x, const char *name)
{
    const struct package_options *o = x->s->how;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s%s%s", *name == '/' ? "" : x->s->dir, *name == '/' ? "" : "/",
             name);
    return o->discarded && o->discarded(o->discarded_arg, path);
}

/* Suspended, or going back to a snapshot that was taken while it ran. */
static int left_state(struct vmx *x)
{
    const char *state = vmx_get(&x->t, "checkpoint.vmState");
    const struct package_options *o = x->s->how;
    char local[1024];

    if (!*state || !o || !o->start)
        return 0;
    vmx_local_name(state, local, sizeof(local));
    if (source_has_suffix(local, ".vmsn")) {
        left_clean(local);
        note(x->n, NOTE_CHANGED, x->file,
             "the state of the running guest in its snapshot (%s) is not taken up: it starts from "
             "the disks of that moment",
             local);
        return 0;
    }
    if (left_discarded(x, local))
        return 0;
    left_clean(local);
    if (!o->discard_suspend)
        return err_set(
            x->e, -EBUSY,
            "%s: is suspended, and its state (%s) can be taken up by VMware only: shut "
            "it down there, or run it with --discard-suspend, which starts it as after a "
            "power failure",
            x->file, local);
    note(x->n, NOTE_CHANGED, x->file,
         "was suspended; that state (%s) is not taken up: the guest starts as after a power "
         "failure",
         local);
    return 0;
}

int vmx_left(struct vmx *x)
{
    int r = left_lock(x, x->s->path);

    for (const struct desc_disk *k = x->d->disks; !r && k; k = k->next)
        if (k->path && k->media == DESC_DISK)
            r = left_lock(x, k->path);
    r = r ? r : left_lock_nfs(x);
    return r ? r : left_state(x);
}
