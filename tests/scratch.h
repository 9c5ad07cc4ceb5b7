/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H
#include "image/image.h"
#include "tests/check.h"
#include <stdarg.h>
#include <unistd.h>

/*
 * What tests of disk images share: a directory of their own in memory, numbers that come the
 * same each time, commands of other tools, images opened, written and compared.
 *
 *     int main(void) { if (scratch_begin()) return 1; CASE(x); return scratch_end(); }
 */
static char dir[] = "/dev/shm/mimic-test-XXXXXX";
static u32 seed = 1;

static inline int scratch_begin(void)
{
    return mkdtemp(dir) ? 0 : 1;
}
static inline int scratch_end(void)
{
    char command[100];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command) ? 1 : check_end();
}

/* The path of a file there; good until the eighth call after. */
static inline const char *in_dir(const char *name)
{
    static char paths[8][256];
    static unsigned turn;
    char *p = paths[turn++ % 8];

    snprintf(p, 256, "%s/%s", dir, name);
    return p;
}

static inline u32 some(u32 below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

/* Is this program there?  Else the case is skipped. */
static inline bool have_tool(const char *name)
{
    static char why[100];
    char command[200];

    snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
    if (!system(command))
        return true;
    snprintf(why, sizeof(why), "%s is not there", name);
    check_skip(why);
    return false;
}
static inline bool have_qemu(void)
{
    return have_tool("qemu-img");
}

/* Runs a command among the directory's files; 0 when it succeeds. */
__attribute__((format(printf, 1, 2))) static inline int run(const char *fmt, ...)
{
    char command[1200], text[1000];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    snprintf(command, sizeof(command), "cd %s && (%s) >/dev/null 2>&1", dir, text);
    return system(command);
}

static inline void store(const char *name, const u8 *p, size_t n)
{
    FILE *f = fopen(in_dir(name), "we");

    CHECK(f && fwrite(p, 1, n, f) == n);
    if (f)
        fclose(f);
}

static inline void say(void *arg, const char *text)
{
    printf("# %s\n", text);
}

static inline struct image *open_it(const char *name, u32 flags)
{
    struct image_open how = { .path = in_dir(name), .flags = flags };
    struct image *im = NULL;
    struct err e = { 0 };

    if (image_open(&im, &how, &e))
        printf("# %s\n", e.text);
    CHECK(im != NULL);
    return im;
}

static inline int write_at(struct image *im, u64 off, const void *p, u64 n)
{
    struct iovec v[3] = { { (void *)p, n / 3 },
                          { (u8 *)p + n / 3, n / 3 },
                          { (u8 *)p + n / 3 * 2, n - n / 3 * 2 } };

    return image_write(im, off, v, 3, n);
}

static inline bool same(struct image *im, const u8 *model, u64 n)
{
    u8 *b = malloc(n);
    struct iovec v = { b, n };
    bool ok = !image_read(im, 0, &v, 1, n) && !memcmp(b, model, n);

    free(b);
    return ok;
}

/* A new image; parent: its name, or NULL. */
static inline int make_it(const char *name, const char *format, u64 size, const char *options,
                          const char *parent, u32 cluster)
{
    struct image_open up = { .path = parent ? in_dir(parent) : NULL };
    struct image_create how = { .path = in_dir(name),
                                .format = format,
                                .size = size,
                                .cluster = cluster,
                                .options = options,
                                .parent = parent ? &up : NULL };
    struct err e = { 0 };
    int r;

    unlink(how.path);
    r = image_create(&how, &e);
    if (r)
        printf("# %s\n", e.text);
    return r;
}

/* Writes of all sizes and places, trims, flushes; `model` is what must be there. */
static inline void storm(struct image *im, u8 *model, unsigned n, u64 size)
{
    static u8 b[300000];

    for (unsigned i = 0; i < n; i++) {
        u64 off = some((u32)(size / 512)) * 512ull;
        u64 len = min_u64((some(10) ? some(40) : some(580)) * 512ull + 512, size - off);

        memset(b, (int)some(255) + 1, len);
        if (some(12) == 0) {
            struct iovec v = { b, len };

            CHECK_EQ(image_trim(im, off, len), 0);
            CHECK_EQ(image_read(im, off, &v, 1, len), 0);
            memcpy(model + off, b, len);
        } else {
            CHECK_EQ(write_at(im, off, b, len), 0);
            memcpy(model + off, b, len);
        }
        if (some(20) == 0)
            CHECK_EQ(image_flush(im), 0);
    }
}

/* Some data and some zeroes over the first n of all bytes; zeroes behind. */
static inline void pattern(u8 *model, size_t all, size_t n, u32 salt)
{
    memset(model, 0, all);
    for (size_t i = 0; i < n; i++)
        model[i] = (u8)(i / 70000 % 3 ? i / 900 + salt : 0);
}

/* An image that holds the first n bytes of `model` becomes as big as `to`, and all of it lives. */
static inline void grows(const char *name, u8 *model, u64 n, u64 all, u64 to)
{
    struct image *im = open_it(name, IMAGE_WRITE);
    struct err e = { 0 };

    if (!im)
        return;
    CHECK_EQ(image_resize(im, to, false, &e), 0);
    CHECK_TEXT(e.text, "");
    CHECK(same(im, model, n));
    storm(im, model, 60, all);
    CHECK(same(im, model, all));
    CHECK_EQ(image_check(im, say, NULL, NULL), 0);
    CHECK_EQ(image_close(im, NULL), 0);
    im = open_it(name, 0);
    CHECK(im && same(im, model, all) && image_size(im) == to);
    if (im)
        image_close(im, NULL);
}

/*
 * An image that holds `model` and lets itself be written: two storms with a check and a new
 * start between them, and once more read-only.
 */
static inline void lives(const char *name, u8 *model, u64 size)
{
    for (int round = 0; round < 3; round++) {
        struct image *im = open_it(name, round < 2 ? IMAGE_WRITE : 0);

        if (!im)
            return;
        CHECK_EQ(image_size(im), size);
        CHECK(same(im, model, size));
        if (round < 2)
            storm(im, model, 150, size);
        CHECK(same(im, model, size));
        CHECK_EQ(image_check(im, say, NULL, NULL), 0);
        CHECK_EQ(image_close(im, NULL), 0);
        if (check_failed_now)
            printf("# %s, round %d\n", name, round);
    }
}
#endif
