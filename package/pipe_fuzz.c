/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hostile archive down standard input, converted as it comes. */
#include "package/fuzz.h"
#include "package/stream.h"
#include <fcntl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct package_options o = { .verify = true, .pull = true, .format = "vmx" };
    struct notes notes = { 0 };
    struct err e = { 0 };
    struct desc d;
    uint8_t *copy;
    char to[100];
    int fd[2];

    log_level_set(LOG_ERROR);
    if (n > 1u << 20 || !(copy = malloc(n + 1)))
        return 0;
    memcpy(copy, data, n);
    fuzz_tar_sums(copy, n);
    if (pipe2(fd, O_CLOEXEC) || fcntl(fd[1], F_SETPIPE_SZ, 1 << 20) < 0 ||
        write(fd[1], copy, n) != (ssize_t)n)
        abort();
    close(fd[1]);
    dup2(fd[0], STDIN_FILENO);
    close(fd[0]);
    snprintf(to, sizeof(to), "%s/pipe", fuzz_dir());
    desc_init(&d);
    if (!package_open("-", &o, &d, &notes, &e) && !package_write(to, &o, &d, &notes, &e)) {
        snprintf(to, sizeof(to), "rm -r %s/pipe", fuzz_dir());
        if (system(to))
            abort();
    } else if (!e.text[0]) {
        abort(); /* every refusal says why */
    }
    stream_end();
    notes_fini(&notes);
    desc_fini(&d);
    free(copy);
    return 0;
}
