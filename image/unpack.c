/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For others than images: what is compressed in a file, unpacked. */
#include "image/image_int.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int image_unpack(const char *path, u64 offset, u64 length, u64 *size, struct err *e)
{
    struct image_file_spec spec = {
        .path = path, .offset = offset, .length = length, .unwrap = true
    };
    struct image *im = image_new();
    int fd = im ? image_file_add(im, &spec, e) : err_set(e, -ENOMEM, "%s: no memory", path);

    if (fd >= 0 && !im->files[0].unpacked) {
        fd = err_set(e, -EMEDIUMTYPE, "%s: is not compressed", path);
    } else if (fd >= 0) {
        *size = image_file_length(im, 0);
        fd = fcntl(im->files[0].fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            fd = err_set(e, -errno, "%s: %s", path, strerror(errno));
    }
    if (im) {
        image_file_drop_all(im);
        image_free(im);
    }
    return fd;
}
