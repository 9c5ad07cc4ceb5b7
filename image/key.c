/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The passphrase of an encrypted image: a file's bytes, all of them, or what the user says. */
#include "image/image_int.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int image_key_file(const char *file, u8 *room, size_t n, struct err *e)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    size_t have = 0;
    ssize_t got = fd < 0 ? -1 : 1;

    while (got > 0 && have < n) {
        got = read(fd, room + have, n - have);
        have += got > 0 ? (size_t)got : 0;
    }
    if (got < 0) {
        int code = -errno;

        if (fd >= 0)
            close(fd);
        return err_set(e, code, "%s: the passphrase: %s", file, strerror(-code));
    }
    close(fd);
    if (have == n)
        return err_set(e, -E2BIG, "%s: a passphrase of more than %zu bytes", file, n - 1);
    return (int)have;
}

int image_key_get(const struct image_key *k, const char *path, u8 *room, size_t n, struct err *e)
{
    int r;

    if (k && k->file)
        return image_key_file(k->file, room, n, e);
    r = k && k->ask ? k->ask(k->arg, path, room, n) : -ENOKEY;
    if (r == -ENOKEY)
        return err_set(e, r, "%s: is encrypted and needs a passphrase", path);
    if (r < 0 || (size_t)r >= n)
        return err_set(e, r < 0 ? r : -E2BIG, "%s: no passphrase was given", path);
    return r;
}
