/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that is the TPM: swtpm, started with one end of a socket, in a process group of its
 * own so that keys typed for us do not end it.  It ends by itself when we are gone.
 */
#include "backend/tpm_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TPM_CHILD_FD = 3, TPM_END_MS = 3000 };

extern char **environ;

/* Where it keeps its state, and says what went wrong: its arguments for both. */
static int tpm_directory(struct tpm *t, const char *state, char dir[4200], char log[4200],
                         struct err *e)
{
    const char *tmp = getenv("TMPDIR");

    if (state) {
        if (mkdir(state, 0700) && errno != EEXIST)
            return err_set(e, -errno, "%s: %s", state, strerror(errno));
    } else if (asprintf(&t->keep, "%s/mimic-tpm-XXXXXX", tmp ? tmp : "/tmp") < 0 ||
               !mkdtemp(t->keep)) {
        int r = -errno;

        free(t->keep);
        t->keep = NULL;
        return err_set(e, r, "no directory for the TPM: %s", strerror(-r));
    }
    snprintf(dir, 4200, "dir=%s", state ? state : t->keep);
    snprintf(log, 4200, "file=%s/log,truncate", state ? state : t->keep);
    return 0;
}

/* Its standard input and output are nobody's. */
static int tpm_run(struct tpm *t, char *const *argv, int end)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none;
    int r;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_RDWR, 0);
    posix_spawn_file_actions_adddup2(&files, end, TPM_CHILD_FD);
    posix_spawnattr_setpgroup(&how, 0);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    r = posix_spawnp(&t->pid, argv[0], &files, &how, argv, environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    if (r)
        t->pid = 0;
    return -r;
}

int tpm_spawn(struct tpm *t, const char *state, struct err *e)
{
    char dir[4200], log[4200];
    char *const argv[] = { "swtpm",
                           "socket",
                           "--tpm2",
                           "--tpmstate",
                           dir,
                           "--ctrl",
                           "type=unixio,clientfd=3",
                           "--terminate",
                           "--locality",
                           "allow-set-locality",
                           NULL };
    int ends[2], r = tpm_directory(t, state, dir, log, e);

    if (r)
        return r;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return err_set(e, -errno, "TPM: %s", strerror(errno));
    t->control = ends[0];
    r = tpm_run(t, argv, ends[1]);
    close(ends[1]);
    if (r == -ENOENT)
        return err_set(e, r, "a TPM needs swtpm, which is not installed (package swtpm)");
    return r ? err_set(e, r, "swtpm: %s", strerror(-r)) : 0;
}

/* A directory of plain files. */
static void tpm_forget(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *f;

    while (d && (f = readdir(d)))
        if (f->d_type == DT_REG)
            unlinkat(dirfd(d), f->d_name, 0);
    if (d)
        closedir(d);
    rmdir(path);
}

void tpm_reap(struct tpm *t)
{
    const struct timespec ms = { .tv_nsec = 1000000 };
    u32 waited = 0;

    while (t->pid && waited++ < TPM_END_MS && !waitpid(t->pid, NULL, WNOHANG))
        nanosleep(&ms, NULL);
    if (t->pid && waited > TPM_END_MS) {
        kill(t->pid, SIGKILL);
        waitpid(t->pid, NULL, 0);
    }
    if (t->keep)
        tpm_forget(t->keep);
    free(t->keep);
}
