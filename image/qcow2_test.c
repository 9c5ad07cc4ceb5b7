/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/image_int.h"
#include "tests/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void make(const char *name, u64 size, u32 cluster, const char *parent)
{
    struct image_open up = { .path = parent ? in_dir(parent) : NULL, .format = "raw" };
    struct image_create how = { .path = in_dir(name),
                                .format = "qcow2",
                                .size = size,
                                .cluster = cluster,
                                .parent = parent ? &up : NULL };
    struct err e = { 0 };

    unlink(how.path);
    if (image_create(&how, &e))
        printf("# %s\n", e.text);
    CHECK_EQ(e.code, 0);
}

enum { DISK = 6 << 20 };
static u8 model[DISK];

static void clusters_of(u32 cluster, bool overlay)
{
    u64 size = DISK - 1536;
    struct image *im;

    for (size_t i = 0; i < DISK; i++)
        model[i] = overlay ? (u8)(i / 777) : 0;
    store("base.raw", model, size);
    make("a.qcow2", overlay ? 0 : size, cluster, overlay ? "base.raw" : NULL);
    im = open_it("a.qcow2", IMAGE_WRITE);
    if (!im)
        return;
    CHECK_EQ(image_size(im), size);
    CHECK(same(im, model, size));
    storm(im, model, 250, size);
    CHECK(same(im, model, size));
    CHECK_EQ(image_check(im, say, NULL, NULL), 0);
    CHECK_EQ(image_close(im, NULL), 0);
    im = open_it("a.qcow2", IMAGE_WRITE);
    CHECK(same(im, model, size));
    storm(im, model, 100, size);
    CHECK_EQ(image_close(im, NULL), 0);
    im = open_it("a.qcow2", 0);
    CHECK(same(im, model, size));
    CHECK_EQ(image_check(im, say, NULL, NULL), 0);
    image_close(im, NULL);
    if (!have_qemu())
        return;
    store("model.raw", model, size);
    CHECK_EQ(run("qemu-img check a.qcow2"), 0);
    CHECK_EQ(run("qemu-img compare -f qcow2 -F raw a.qcow2 model.raw"), 0);
}

static void new_disks(void)
{
    clusters_of(65536, false);
    clusters_of(4096, false);
    clusters_of(512, false);
    clusters_of(2 << 20, false);
}
static void overlays(void)
{
    clusters_of(65536, true);
    clusters_of(512, true);
    clusters_of(1 << 20, true);
}

/* What qemu-img made, written by us, read by qemu-img. */
static void disks_of_qemu(const char *options, const char *after)
{
    struct image *im;

    for (size_t i = 0; i < DISK; i++)
        model[i] = (u8)(i / 3000 % 7 ? i / 1000 : 0);
    store("base.raw", model, DISK);
    CHECK_EQ(run("rm -f q.qcow2; qemu-img convert -O qcow2 %s base.raw q.qcow2", options), 0);
    CHECK_EQ(run("%s", after), 0);
    im = open_it("q.qcow2", IMAGE_WRITE);
    if (!im)
        return;
    CHECK(same(im, model, DISK));
    storm(im, model, 200, DISK);
    CHECK(same(im, model, DISK));
    CHECK_EQ(image_check(im, say, NULL, NULL), 0);
    CHECK_EQ(image_close(im, NULL), 0);
    store("model.raw", model, DISK);
    CHECK_EQ(run("qemu-img check q.qcow2"), 0);
    CHECK_EQ(run("qemu-img compare -f qcow2 -F raw q.qcow2 model.raw"), 0);
}
static void disks_that_others_made(void)
{
    if (!have_qemu())
        return;
    disks_of_qemu("", "true");
    disks_of_qemu("-c", "true");
    disks_of_qemu("-c -o compression_type=zstd", "true");
    disks_of_qemu("-c -o compat=0.10", "true");
    disks_of_qemu("-o refcount_bits=1", "true");
    disks_of_qemu("-o refcount_bits=64,cluster_size=512", "true");
    disks_of_qemu("", "qemu-img snapshot -c first q.qcow2");
    CHECK_EQ(run("qemu-img convert -l first -O raw q.qcow2 snap.raw && cmp snap.raw base.raw"), 0);
}

static void subclusters_are_read(void)
{
    struct image *im;

    if (!have_qemu())
        return;
    for (size_t i = 0; i < DISK; i++)
        model[i] = (u8)(i / 5000 % 3 ? i / 1000 : 0);
    store("base.raw", model, DISK);
    CHECK_EQ(run("rm -f x.qcow2; qemu-img create -f qcow2 -b base.raw -F raw "
                 "-o extended_l2=on,cluster_size=128k x.qcow2 && "
                 "qemu-io -c 'write -P 9 20k 4k' -c 'write -P 8 300k 12k' "
                 "-c 'write -z 1m 64k' x.qcow2"),
             0);
    memset(model + (20 << 10), 9, 4 << 10);
    memset(model + (300 << 10), 8, 12 << 10);
    memset(model + (1 << 20), 0, 64 << 10);
    im = open_it("x.qcow2", 0);
    CHECK(im && same(im, model, DISK));
    if (im)
        image_close(im, NULL);
}

enum { SMALL = 512 << 10, SECTORS = SMALL / 512 };
static u32 latest[SECTORS];

static u32 version_of(const u8 *sector)
{
    u32 v;

    memcpy(&v, sector, 4);
    return v;
}

/* A writer that is killed; what it said was flushed is there. */
static void killed_writer(void)
{
    u32 *flushed =
        mmap(NULL, sizeof(latest), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    static u8 zero[SMALL], b[SMALL];
    struct iovec v = { b, SMALL };
    bool qemu = have_qemu();

    store("base.raw", zero, SMALL);
    make("k.qcow2", 0, 4096, "base.raw");
    for (int round = 0; round < 12; round++) {
        pid_t pid = fork();
        struct image *im;

        if (!pid) {
            im = open_it("k.qcow2", IMAGE_WRITE);
            seed = (u32)round + 5;
            memcpy(latest, flushed, sizeof(latest));
            for (u32 version = (u32)round * 100000 + 1;; version++) {
                u8 sector[512 * 9];
                u32 first = some(SECTORS - 9), len = 1 + some(9);

                for (u32 k = 0; k < len; k++) {
                    memset(sector + k * 512, (u8)version, 512);
                    memcpy(sector + k * 512, &version, 4);
                    latest[first + k] = version;
                }
                if (write_at(im, first * 512ull, sector, len * 512ull))
                    _exit(1);
                if (some(30) == 0 && !image_flush(im))
                    for (u32 s = 0; s < SECTORS; s++)
                        __atomic_store_n(&flushed[s], latest[s], __ATOMIC_SEQ_CST);
            }
        }
        while (!__atomic_load_n(&flushed[0], __ATOMIC_SEQ_CST) && !waitpid(pid, NULL, WNOHANG))
            sched_yield(); /* until the first flush that had sector 0 */
        for (u32 i = 0; i < 200000u * (u32)(round % 4); i++)
            __atomic_load_n(&flushed[i % SECTORS], __ATOMIC_SEQ_CST);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (qemu)
            CHECK((run("qemu-img check k.qcow2") & ~(3 << 8)) == 0); /* 3: leaks only */
        im = open_it("k.qcow2", 0);
        if (!im)
            break;
        CHECK_EQ(image_read(im, 0, &v, 1, SMALL), 0);
        for (u32 s = 0; s < SECTORS; s++)
            CHECK(version_of(b + s * 512) >= flushed[s]);
        CHECK_EQ(image_check(im, say, NULL, NULL), 0);
        image_close(im, NULL);
    }
    munmap(flushed, sizeof(latest));
}

/* Threads that write neighbouring sectors of the same clusters, and read them back. */
static struct image *shared;
static _Atomic int mistakes;
static void *neighbour(void *arg)
{
    u32 me = (u32)(uintptr_t)arg;
    u8 b[512], back[512];
    struct iovec v = { b, 512 }, bv = { back, 512 };

    for (u32 round = 0; round < 3; round++)
        for (u64 s = me; s < DISK / 512; s += 4) {
            memset(b, (int)(me * 50 + round + s % 11), 512);
            if (image_write(shared, s * 512, &v, 1, 512) ||
                image_read(shared, s * 512, &bv, 1, 512) || memcmp(b, back, 512))
                atomic_fetch_add(&mistakes, 1);
            if (s % 1024 == me && image_flush(shared))
                atomic_fetch_add(&mistakes, 1);
        }
    return NULL;
}
static void many_threads(void)
{
    pthread_t t[4];

    atomic_store(&mistakes, 0);
    for (size_t i = 0; i < DISK; i++)
        model[i] = (u8)i;
    store("base.raw", model, DISK);
    if (!have_qemu())
        return;
    CHECK_EQ(run("rm -f t.qcow2; qemu-img convert -c -O qcow2 base.raw t.qcow2"), 0);
    shared = open_it("t.qcow2", IMAGE_WRITE);
    if (!shared)
        return;
    for (size_t i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, neighbour, (void *)i), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(mistakes, 0);
    for (u64 s = 0; s < DISK / 512; s++)
        memset(model + s * 512, (int)(s % 4 * 50 + 2 + s % 11), 512);
    CHECK(same(shared, model, DISK));
    CHECK_EQ(image_check(shared, say, NULL, NULL), 0);
    CHECK_EQ(image_close(shared, NULL), 0);
    CHECK_EQ(run("qemu-img check t.qcow2"), 0);
}

static void damage_is_refused(void)
{
    struct image_open how = { .path = in_dir("d.qcow2"), .flags = IMAGE_WRITE };
    static const struct {
        u32 at;
        u8 byte;
        int code;
    } bad[] = {
        { 23, 5, -EBADMSG },    { 23, 40, -EBADMSG },   { 7, 9, -EOPNOTSUPP },
        { 35, 3, -EOPNOTSUPP }, { 36, 0xff, -EBADMSG }, { 47, 7, -EBADMSG },
        { 79, 2, -EROFS },      { 35, 2, -EBADMSG },    { 72, 0x40, -EOPNOTSUPP },
        { 99, 9, -EBADMSG },    { 59, 0, -EBADMSG },
    };
    static u8 b[512] = { 1 };
    struct image *im;

    for (size_t i = 0; i < LEN(bad); i++) {
        struct err e = { 0 };
        int fd, r;

        make("d.qcow2", 1 << 20, 65536, NULL);
        im = open_it("d.qcow2", IMAGE_WRITE);
        CHECK_EQ(write_at(im, 0, b, 512), 0);
        CHECK_EQ(image_close(im, NULL), 0);
        fd = open(how.path, O_WRONLY);
        CHECK_EQ(pwrite(fd, &bad[i].byte, 1, bad[i].at), 1);
        close(fd);
        r = image_open(&im, &how, &e);
        if (r != bad[i].code)
            printf("# byte %u: %d: %s\n", bad[i].at, r, e.text);
        CHECK_EQ(r, bad[i].code);
        CHECK(e.text[0]);
        if (!r)
            image_close(im, NULL);
    }
}

static void chains_end(void)
{
    struct image_open how = { .path = in_dir("c1.qcow2") };
    struct image *im = NULL;
    struct err e = { 0 };

    if (!have_qemu())
        return;
    CHECK_EQ(run("qemu-img create -f qcow2 -u -b c2.qcow2 -F qcow2 c1.qcow2 1M && "
                 "qemu-img create -f qcow2 -u -b c1.qcow2 -F qcow2 c2.qcow2 1M"),
             0);
    CHECK_EQ(image_open(&im, &how, &e), (u64)-ELOOP);
    CHECK(strstr(e.text, "its own parent"));
    CHECK_EQ(run("qemu-img create -f qcow2 -u -b /etc/passwd -F raw c3.qcow2 1M"), 0);
    how.path = in_dir("c3.qcow2");
    CHECK_EQ(image_open(&im, &how, &e), (u64)-ENOENT);
    CHECK_EQ(run("qemu-img create -f qcow2 -u -b ../etc/passwd -F raw c4.qcow2 1M"), 0);
    how.path = in_dir("c4.qcow2");
    CHECK_EQ(image_open(&im, &how, &e), (u64)-EXDEV);
}

/* A disk inside an archive, and what the VM wrote over it beside. */
static void parent_inside_a_file(void)
{
    struct image_open up = {
        .path = in_dir("box"), .offset = 1536, .length = 1 << 20, .format = "raw"
    };
    struct image_create how = { .path = in_dir("o.qcow2"), .format = "qcow2", .parent = &up };
    struct image_open again = { .path = in_dir("o.qcow2"), .flags = IMAGE_WRITE, .parent = &up };
    struct image *im = NULL;
    struct err e = { 0 };

    for (size_t i = 0; i < DISK; i++)
        model[i] = (u8)(i / 100);
    store("box", model, 2 << 20);
    memmove(model, model + 1536, 1 << 20);
    CHECK_EQ(image_create(&how, &e), 0);
    CHECK_EQ(image_open(&im, &again, &e), 0);
    CHECK_EQ(image_size(im), 1 << 20);
    CHECK(same(im, model, 1 << 20));
    storm(im, model, 50, 1 << 20);
    CHECK_EQ(image_close(im, NULL), 0);
    again.parent = NULL;
    CHECK_EQ(image_open(&im, &again, &e), (u64)-EPERM);
    again.flags = IMAGE_UNSAFE_PATHS;
    CHECK_EQ(image_open(&im, &again, &e), 0);
    CHECK(same(im, model, 1 << 20));
    CHECK(image_parent(im) != NULL);
    image_close(im, NULL);
    if (!have_qemu())
        return;
    store("model.raw", model, 1 << 20);
    CHECK_EQ(run("qemu-img compare -f qcow2 -F raw o.qcow2 model.raw"), 0);
}

int main(void)
{
    if (scratch_begin())
        return 1;
    CASE(new_disks);
    CASE(overlays);
    CASE(disks_that_others_made);
    CASE(subclusters_are_read);
    CASE(killed_writer);
    CASE(many_threads);
    CASE(damage_is_refused);
    CASE(chains_end);
    CASE(parent_inside_a_file);
    return scratch_end();
}
