/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compressed files: what comes out is read as a raw disk. */
#include "base/log.h"
#include "image/image.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct err e = { 0 };
    char path[64];
    u64 size;
    int out;

    log_level_set(LOG_ERROR);
    setenv("TMPDIR", "/dev/shm", 1);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        abort();
    out = image_unpack(path, 0, 0, &size, &e);
    if (out < 0 && !e.text[0])
        abort(); /* every refusal says why */
    if (out >= 0)
        close(out);
    close(fd);
    return 0;
}
