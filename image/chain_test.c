/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commit, rebase and resize, cut short at every write, with losses since the last barrier:
 * the image shows the same disk.  And comparing.
 */
#include "base/log.h"
#include "image/image_int.h"
#include "tests/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

enum { SIZE = 512 << 10, PIECES = 14 };

static u8 want[SIZE], base[SIZE], other[SIZE];

/* Small blocks, so that an overlay leaves some to its parent. */
static const struct {
    const char *name, *child;
    u32 block;
} formats[] = {
    { "qcow2", NULL, 4096 },
    { "vmdk", NULL, 4096 },
    { "vhd", "variant=differencing", 65536 },
    { "vhdx", "variant=differencing", 0 },
    { "vdi", "variant=differencing", 4096 },
};

/* Every write to file 0, in order; the threads of an operation write at once. */
struct write {
    enum { WROTE, SIZED, BARRIER } kind;
    u64 at;
    u8 *p;
    size_t n;
};
static struct write *writes;
static unsigned nwrites;
static pthread_mutex_t recording = PTHREAD_MUTEX_INITIALIZER;

/* from: NULL for zeroes. */
static void record(int kind, u64 at, const void *from, size_t n)
{
    u8 *p = calloc(1, n + 1);

    if (from)
        memcpy(p, from, n);
    pthread_mutex_lock(&recording);
    writes = realloc(writes, (nwrites + 1) * sizeof(*writes));
    writes[nwrites++] = (struct write){ kind, at, p, n };
    pthread_mutex_unlock(&recording);
}
static void saw_write(void *arg, u32 file, u64 at, const struct iovec *v, int n)
{
    for (int i = 0; i < n; i++) {
        if (v[i].iov_len && !file)
            record(WROTE, at, v[i].iov_base, v[i].iov_len);
        at += v[i].iov_len;
    }
}
static void saw_zero(void *arg, u32 file, u64 at, u64 len)
{
    if (!file)
        record(WROTE, at, NULL, len);
}
static void saw_size(void *arg, u32 file, u64 length)
{
    if (!file)
        record(SIZED, length, NULL, 0);
}
static void saw_sync(void *arg)
{
    record(BARRIER, 0, NULL, 0);
}
static const struct image_tap tap = {
    .wrote = saw_write, .synced = saw_sync, .sized = saw_size, .zeroed = saw_zero
};

static void forget(void)
{
    for (unsigned i = 0; i < nwrites; i++)
        free(writes[i].p);
    nwrites = 0;
}

/* The file as it was after so many writes; lossy: some since the last barrier are not there. */
static void replay(const char *from, const char *to, unsigned upto, bool lossy)
{
    unsigned barrier = 0;
    int fd;

    CHECK_EQ(run("cp --sparse=always %s %s", from, to), 0);
    fd = open(in_dir(to), O_RDWR);
    for (unsigned i = 0; i < upto; i++)
        if (writes[i].kind == BARRIER)
            barrier = i;
    for (unsigned i = 0; i < upto; i++) {
        const struct write *w = &writes[i];

        if (lossy && i > barrier && some(2))
            continue;
        if (w->kind == WROTE)
            CHECK_EQ(pwrite(fd, w->p, w->n, (off_t)w->at), w->n);
        else if (w->kind == SIZED)
            CHECK_EQ(ftruncate(fd, (off_t)w->at), 0);
    }
    close(fd);
}

/* Each moment, or some of them: does what `name` shows stay the same? */
static void each_moment(const char *from, const char *to, const char *name, u32 flags)
{
    unsigned step = nwrites / 60 + 1;

    CHECK(nwrites > 0);
    for (unsigned i = 0; i <= nwrites && !check_failed_now; i += i + step > nwrites ? 1 : step)
        for (int lossy = 0; lossy < 2; lossy++) {
            struct image *im;

            replay(from, to, i, lossy);
            im = open_it(name, flags);
            CHECK(im && image_size(im) >= SIZE && same(im, want, SIZE));
            if (im)
                image_close(im, NULL);
            if (check_failed_now)
                printf("# %s: after %u of %u%s\n", to, i, nwrites, lossy ? ", lossy" : "");
        }
    forget();
}

static void fill(u8 *disk, u32 start)
{
    seed = start;
    memset(disk, 0, SIZE);
    for (int i = 0; i < PIECES; i++) {
        u32 len = 512 + some(40) * 512, at = some((SIZE - len) / 512) * 512;

        memset(disk + at, (int)some(255) + 1, len);
    }
}

static char name_of[4][32]; /* base, other, overlay, cut */

static void put(const char *name, const u8 *disk, const u8 *old)
{
    struct image *im = open_it(name, IMAGE_WRITE);

    for (u32 at = 0; im && at < SIZE; at += 512)
        if (memcmp(disk + at, old + at, 512))
            CHECK_EQ(write_at(im, at, disk + at, 512), 0);
    CHECK(im && !image_close(im, NULL));
}

/* Two bases and an overlay over the first that shows `want`. */
static void set_up(int n)
{
    static const char *const names[] = { "base", "other", "over", "cut" };
    static const u8 none[SIZE];
    const char *format = formats[n].name;
    u32 block = formats[n].block;

    for (int i = 0; i < 4; i++)
        snprintf(name_of[i], sizeof(name_of[i]), "%s.%s", names[i], format);
    CHECK_EQ(run("rm -rf base.* other.* over.* cut.* sub"), 0);
    CHECK_EQ(make_it(name_of[0], format, SIZE, NULL, NULL, block), 0);
    CHECK_EQ(make_it(name_of[1], format, SIZE, NULL, NULL, block), 0);
    put(name_of[0], base, none);
    put(name_of[1], other, none);
    CHECK_EQ(make_it(name_of[2], format, SIZE, formats[n].child, name_of[0], block), 0);
    put(name_of[2], want, base);
    CHECK_EQ(run("mkdir sub; cp over.%s sub/start", format), 0);
}

static void rebase_to(const char *parent)
{
    struct image_open up = { .path = parent ? in_dir(parent) : NULL };
    struct image *im = open_it(name_of[2], IMAGE_WRITE);
    struct err e = { 0 };

    if (!im)
        return;
    im->tap = &tap;
    CHECK_EQ(image_rebase(im, parent ? &up : NULL, false, NULL, &e), 0);
    if (e.text[0])
        printf("# %s\n", e.text);
    CHECK_EQ(image_close(im, NULL), 0);
    im = open_it(name_of[2], 0);
    CHECK(im && same(im, want, SIZE) && !image_check(im, say, NULL, NULL));
    CHECK(im && (im->parent != NULL) == (parent != NULL));
    if (im)
        image_close(im, NULL);
    each_moment("sub/start", name_of[3], name_of[3], 0);
}

static void rebase(void)
{
    for (size_t i = 0; i < LEN(formats) && !check_failed_now; i++) {
        set_up((int)i);
        rebase_to(name_of[1]);
    }
}

static void flatten(void)
{
    for (size_t i = 0; i < LEN(formats) && !check_failed_now; i++) {
        set_up((int)i);
        if (strcmp(formats[i].name, "vhdx"))
            rebase_to(NULL);
    }
}

static void commit(void)
{
    for (size_t i = 0; i < LEN(formats) && !check_failed_now; i++) {
        char parent[40], over[40];
        struct image *im;

        set_up((int)i);
        CHECK_EQ(run("cp %s sub/parent; cp %s sub/", name_of[0], name_of[2]), 0);
        im = open_it(name_of[2], IMAGE_WRITE | IMAGE_WRITE_PARENT);
        if (!im)
            return;
        im->parent->tap = &tap;
        CHECK_EQ(image_commit(im, NULL, NULL), 0);
        CHECK_EQ(image_close(im, NULL), 0);
        im = open_it(name_of[2], 0); /* it fits its parent still */
        CHECK(im && same(im, want, SIZE) && same(im->parent, want, SIZE));
        CHECK(im && !image_check(im, say, NULL, NULL));
        if (im)
            image_close(im, NULL);
        snprintf(parent, sizeof(parent), "sub/%s", name_of[0]);
        snprintf(over, sizeof(over), "sub/%s", name_of[2]);
        each_moment("sub/parent", parent, over, IMAGE_ANY_PARENT);
    }
}

static void grow(void)
{
    static const char *const also[] = { "qcow2", "vmdk", "vhd", "vhdx", "vdi", "parallels" };
    static const u8 none[SIZE];

    for (size_t i = 0; i < LEN(also) && !check_failed_now; i++) {
        struct image *im;

        CHECK_EQ(run("mkdir -p sub; rm -f grow cut"), 0);
        CHECK_EQ(make_it("grow", also[i], SIZE, NULL, NULL, 0), 0);
        put("grow", want, none);
        CHECK_EQ(run("cp grow sub/start"), 0);
        im = open_it("grow", IMAGE_WRITE);
        if (!im)
            return;
        im->tap = &tap;
        CHECK_EQ(image_resize(im, 5ull << 30, false, NULL), 0);
        CHECK_EQ(image_close(im, NULL), 0);
        im = open_it("grow", IMAGE_WRITE);
        CHECK(im && image_size(im) == 5ull << 30 && same(im, want, SIZE));
        CHECK(im && !write_at(im, (5ull << 30) - 4096, want, 4096));
        CHECK(im && !image_close(im, NULL));
        each_moment("sub/start", "cut", "cut", IMAGE_WRITE);
    }
}

/* A child that is shorter than its parent: what it gets is zero, not what its parent has. */
static void grow_over_longer(void)
{
    static u8 model[2 * SIZE];
    struct image *im;

    set_up(1);
    CHECK_EQ(make_it("short.vmdk", "vmdk", SIZE / 2, NULL, name_of[0], 0), 0);
    im = open_it("short.vmdk", IMAGE_WRITE);
    if (!im)
        return;
    memcpy(model, base, SIZE / 2);
    CHECK_EQ(image_resize(im, 2 * SIZE, false, NULL), 0);
    CHECK(same(im, model, 2 * SIZE));
    CHECK_EQ(image_resize(im, SIZE, false, NULL), -EINVAL);
    CHECK_EQ(image_close(im, NULL), 0);
}

static void compare(void)
{
    struct image_difference d;
    struct image *a, *b;

    set_up(3);
    store("want.raw", want, SIZE);
    a = open_it(name_of[2], 0);
    b = open_it("want.raw", 0);
    if (!a || !b)
        return;
    CHECK_EQ(image_compare(a, b, NULL, &d, NULL), 0);
    CHECK(!d.content);
    image_close(b, NULL);
    for (int i = 0; i < 40; i++) {
        u32 at = some(SIZE), second = at + some(SIZE - at);
        u8 was[2] = { want[at], want[second] };

        want[at]++;
        want[second] ^= second != at ? 0x40 : 0;
        store("want.raw", want, SIZE);
        b = open_it("want.raw", 0);
        CHECK(b && !image_compare(a, b, NULL, &d, NULL) && d.content);
        CHECK_EQ(d.content_at, at);
        want[second] = was[1];
        want[at] = was[0];
        if (b)
            image_close(b, NULL);
    }
    image_close(a, NULL);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    log_level_set(LOG_ERROR); /* images that were not closed say so */
    fill(base, 5);
    fill(other, 6);
    fill(want, 7);
    CASE(compare);
    CASE(rebase);
    CASE(flatten);
    CASE(commit);
    CASE(grow);
    CASE(grow_over_longer);
    free(writes);
    return scratch_end();
}
