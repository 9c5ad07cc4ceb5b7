/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An image out of a hostile pipe, in pieces of every size: it ends, and leaves no file. */
#include "image/fuzz.h"
#include <errno.h>

struct pipe {
    const uint8_t *p;
    size_t n;
    unsigned turn;
};

static ssize_t pipe_read(void *arg, void *to, size_t n)
{
    struct pipe *p = arg;

    n = min_u64(min_u64(n, p->n), p->turn++ % 3 ? 700 : 100000);
    if (n)
        memcpy(to, p->p, n);
    p->p += n;
    p->n -= n;
    return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct pipe pipe = { .p = data + 1, .n = n - 1 };
    struct image_converted got;
    char path[64];
    struct image_pull how = { .path = path,
                              .format = n && data[0] & 1 ? "qcow2" : "raw",
                              .from = n && data[0] & 2 ? "vmdk" : NULL,
                              .threads = 2,
                              .read = pipe_read,
                              .read_arg = &pipe,
                              .result = &got };
    struct err e = { 0 };

    log_level_set(LOG_ERROR);
    snprintf(path, sizeof(path), "/dev/shm/mimic-pull-fuzz-%d", (int)getpid());
    if (!n)
        return 0;
    if (!image_pull(&how, &e))
        unlink(path);
    else if (!e.text[0])
        abort(); /* every refusal says why */
    if (!access(path, F_OK))
        abort();
    return 0;
}
