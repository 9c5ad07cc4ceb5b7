/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef IMAGE_FUZZ_PATCH_H
#define IMAGE_FUZZ_PATCH_H
#include "base/bytes.h"
#include "image/fuzz.h"

/*
 * Images that are too big to be an input, or that guard themselves with checksums: the input
 * is a list of changes to a good image, after which its checksums are made right again.
 *
 *     the first byte chooses the image; then {u16 sector, u8 place in it / 2, u8 length, bytes}
 *
 * where sectors are counted among those with something in them, and one behind each.
 */
#define FUZZ_SIZE (3u << 20)
#define FUZZ_FILE_MAX (9u << 20)

struct fuzz_template {
    const char *options; /* of image_create */
    u32 block;
    bool child; /* of one of its own kind, which is not there when it is read */
    u8 *file;
    size_t n;
    u32 *sectors, nsectors;
};

static void fuzz_make(struct fuzz_template *t, const char *format)
{
    static u8 data[70000];
    char dir[] = "/tmp/mimic-fuzz-XXXXXX", base[64], path[64];
    struct image_open up = { .path = base }, how = { .path = path, .flags = IMAGE_WRITE };
    struct image_create make = { .path = base, .format = format, .size = FUZZ_SIZE };
    struct iovec v = { data, sizeof(data) };
    struct image *im = NULL;
    FILE *f;

    if (!mkdtemp(dir))
        abort();
    snprintf(base, sizeof(base), "%s/base.vdi", dir);
    snprintf(path, sizeof(path), "%s/a", dir);
    memset(data, 0x55, sizeof(data));
    if (t->child && image_create(&make, NULL))
        abort();
    make.path = path;
    make.options = t->options;
    make.cluster = t->block;
    make.parent = t->child ? &up : NULL;
    if (image_create(&make, NULL) || image_open(&im, &how, NULL) ||
        image_write(im, 1000, &v, 1, sizeof(data)) || image_close(im, NULL))
        abort();
    t->file = calloc(1, FUZZ_FILE_MAX);
    t->sectors = calloc(FUZZ_FILE_MAX / 256, sizeof(*t->sectors));
    f = fopen(path, "re");
    t->n = f ? fread(t->file, 1, FUZZ_FILE_MAX, f) : 0;
    if (f)
        fclose(f);
    for (u32 s = 0; s < t->n / 512; s++)
        if (!s || t->file[s * 512] != 0x55)
            for (u32 i = 0; i < 512; i++)
                if (t->file[s * 512 + i]) {
                    t->sectors[t->nsectors++] = s;
                    t->sectors[t->nsectors++] = s + 1;
                    break;
                }
    unlink(base);
    unlink(path);
    rmdir(dir);
}

static void fuzz_file_change(const struct fuzz_template *t, u8 *file, const uint8_t *data, size_t n)
{
    while (n > 4) {
        u64 at = t->sectors[le16(data) % t->nsectors] * 512ull + data[2] * 2u;
        size_t len = min_u64(data[3] % 64 + 1, n - 4);

        len = at < t->n ? min_u64(len, t->n - at) : 0;
        memcpy(file + at, data + 4, len);
        if (!len)
            break;
        data += 4 + len;
        n -= 4 + len;
    }
}

static int fuzz_patched(const char *format, struct fuzz_template *all, size_t count,
                        void (*mend)(u8 *file, size_t n), const uint8_t *data, size_t n)
{
    static const u8 zero[4096];
    struct fuzz_template *t = n ? &all[data[0] % count] : all;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    u8 *file;

    if (!t->file)
        fuzz_make(t, format);
    file = malloc(t->n);
    if (fd < 0 || !file || ftruncate(fd, (off_t)t->n))
        abort();
    memcpy(file, t->file, t->n);
    if (n)
        fuzz_file_change(t, file, data + 1, n - 1);
    if (mend)
        mend(file, t->n);
    for (size_t at = 0, len; at < t->n; at += len) {
        len = min_u64(sizeof(zero), t->n - at);
        if (memcmp(file + at, zero, len) && pwrite(fd, file + at, len, (off_t)at) != (ssize_t)len)
            abort();
    }
    free(file);
    fuzz_file(format, fd, t->child ? IMAGE_NO_PARENT : 0);
    close(fd);
    return 0;
}
#endif
