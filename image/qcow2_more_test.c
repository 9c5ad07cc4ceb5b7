/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a qcow2 can have besides clusters: subclusters, data files, version 2, narrow counts,
 * keys, snapshots, bitmaps, stale counts, other sizes, other parents.
 */
#include "base/log.h"
#include "image/qcow2_int.h"
#include "tests/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

enum { DISK = (5 << 20) + 512 * 5 };
static u8 model[DISK + (4 << 20)];

static void fill(void)
{
    for (size_t i = 0; i < DISK; i++)
        model[i] = (u8)(i / 3000 % 7 ? i / 1000 : 0);
    store("base.raw", model, DISK);
}

static int create(const char *name, const char *options, u32 cluster, const char *parent,
                  struct err *e)
{
    struct image_open up = { .path = parent ? in_dir(parent) : NULL, .format = "raw" };
    struct image_create how = { .path = in_dir(name),
                                .format = "qcow2",
                                .size = parent ? 0 : DISK,
                                .cluster = cluster,
                                .options = options,
                                .parent = parent ? &up : NULL };

    *e = (struct err){ 0 };
    return image_create(&how, e);
}

/* A storm, the image closed, another storm: all that was written is there, QEMU says so too. */
static void weather(const char *name, const char *what)
{
    for (int i = 0; i < 2; i++) {
        struct image *im = open_it(name, IMAGE_WRITE);

        if (!im)
            break;
        CHECK(same(im, model, DISK));
        storm(im, model, 120, DISK);
        CHECK(same(im, model, DISK));
        CHECK_EQ(image_check(im, say, NULL, NULL), 0);
        CHECK_EQ(image_close(im, NULL), 0);
    }
    if (!system("command -v qemu-img >/dev/null 2>&1")) {
        store("model.raw", model, DISK);
        CHECK_EQ(run("qemu-img check %s", name), 0);
        CHECK_EQ(run("qemu-img compare -f qcow2 -F raw %s model.raw", name), 0);
    }
    if (check_failed_now)
        printf("# %s\n", what);
}

static void write_end(const char *name)
{
    struct image *im = open_it(name, IMAGE_WRITE);

    memset(model + DISK - 512, 9, 512);
    CHECK_EQ(write_at(im, DISK - 512, model + DISK - 512, 512), 0);
    CHECK_EQ(image_close(im, NULL), 0);
    store("model.raw", model, DISK);
}

static void every_kind_is_made(void)
{
    static const struct {
        const char *options;
        u32 cluster;
        bool parent;
    } kinds[] = {
        { "variant=v2", 0, false },
        { "variant=v2", 512, true },
        { "extended_l2=on", 0, false },
        { "extended_l2=on", 16384, true },
        { "extended_l2=on", 2 << 20, true },
        { "refcount_bits=1", 4096, false },
        { "refcount_bits=64,lazy_refcounts=on", 512, true },
        { "data_file=d.raw", 0, false },
        { "data_file=d.raw,data_file_raw=on", 0, false },
        { "data_file=d.raw,extended_l2=on", 65536, true },
    };
    struct err e;

    for (size_t i = 0; i < LEN(kinds); i++) {
        fill();
        if (!kinds[i].parent)
            memset(model, 0, DISK);
        CHECK_EQ(run("rm -f a.qcow2 d.raw"), 0);
        if (create("a.qcow2", kinds[i].options, kinds[i].cluster,
                   kinds[i].parent ? "base.raw" : NULL, &e))
            printf("# %s\n", e.text);
        weather("a.qcow2", kinds[i].options);
        if (strstr(kinds[i].options, "raw=on")) /* its last cluster is no whole one */
            write_end("a.qcow2");
        if (strstr(kinds[i].options, "raw=on"))
            CHECK_EQ(run("cmp d.raw model.raw"), 0);
    }
    CHECK_EQ(run("rm -f a.qcow2 d.raw"), 0);
    CHECK_EQ(create("a.qcow2", "variant=v2,extended_l2=on", 0, NULL, &e), -EINVAL);
    CHECK_EQ(create("a.qcow2", "data_file=../d.raw", 0, NULL, &e), -EINVAL);
    CHECK_EQ(create("a.qcow2", "data_file_raw=on", 0, NULL, &e), -EINVAL);
    CHECK_EQ(create("a.qcow2", "extended_l2=on", 4096, NULL, &e), -EINVAL);
    CHECK(access(in_dir("a.qcow2"), F_OK) && access(in_dir("d.raw"), F_OK));
}

static void every_kind_of_qemu(void)
{
    static const char *const kinds[][2] = {
        { "-o extended_l2=on,cluster_size=128k", "true" },
        { "-o extended_l2=on,cluster_size=16k -c", "true" },
        { "-o extended_l2=on,cluster_size=64k", "qemu-img snapshot -c s q.qcow2" },
        { "-o data_file=q.raw", "true" },
        { "-o data_file=q.raw,data_file_raw=on", "true" },
        { "-o compat=0.10,cluster_size=4k -c", "qemu-img snapshot -c s q.qcow2" },
        { "-o cluster_size=2M,refcount_bits=8", "qemu-img snapshot -c s q.qcow2" },
        { "-o preallocation=metadata,lazy_refcounts=on", "true" },
    };

    if (!have_qemu())
        return;
    for (size_t i = 0; i < LEN(kinds); i++) {
        fill();
        CHECK_EQ(run("rm -f q.qcow2 q.raw; qemu-img convert -O qcow2 %s base.raw q.qcow2 && %s",
                     kinds[i][0], kinds[i][1]),
                 0);
        weather("q.qcow2", kinds[i][0]);
        if (strstr(kinds[i][1], "snapshot"))
            CHECK_EQ(run("qemu-img convert -l s -O raw q.qcow2 s.raw && cmp s.raw base.raw"), 0);
    }
}

static int open_how(const char *name, u32 flags, const char *pass, const char *snapshot,
                    struct image **im, struct err *e)
{
    struct image_key key = { .file = in_dir("pw") };
    struct image_open how = {
        .path = in_dir(name), .flags = flags, .key = pass ? &key : NULL, .snapshot = snapshot
    };

    if (pass)
        store("pw", (const u8 *)pass, strlen(pass));
    *e = (struct err){ 0 };
    return image_open(im, &how, e);
}

#define SECRET "--object secret,id=s,data=secret"

static void keys(void)
{
    struct image *im;
    struct err e;

    if (!have_qemu())
        return;
    fill();
    CHECK_EQ(run("rm -f q.qcow2; qemu-img convert " SECRET " -O qcow2 -o encrypt.format=luks,"
                 "encrypt.key-secret=s,encrypt.iter-time=10,cluster_size=4k base.raw q.qcow2"),
             0);
    CHECK_EQ(open_how("q.qcow2", 0, NULL, NULL, &im, &e), -ENOKEY);
    CHECK_EQ(open_how("q.qcow2", 0, "other", NULL, &im, &e), -EKEYREJECTED);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(open_how("q.qcow2", IMAGE_WRITE, "secret", NULL, &im, &e), 0);
        if (e.code) {
            printf("# %s\n", e.text);
            return;
        }
        CHECK(same(im, model, DISK));
        storm(im, model, 100, DISK);
        memset(model + 4097, 0x5a, 777);
        CHECK_EQ(write_at(im, 4097, model + 4097, 777), 0);
        CHECK(same(im, model, DISK));
        CHECK_EQ(image_check(im, say, NULL, NULL), 0);
        CHECK_EQ(image_close(im, NULL), 0);
    }
    store("model.raw", model, DISK);
#define QEMU_LUKS "driver=qcow2,encrypt.format=luks,encrypt.key-secret=s,file.filename=q.qcow2"
    CHECK_EQ(run("qemu-img compare " SECRET " --image-opts " QEMU_LUKS
                 " driver=raw,file.filename=model.raw && qemu-img check " SECRET
                 " --image-opts " QEMU_LUKS),
             0);
    fill();
    CHECK_EQ(run("rm -f q.qcow2; qemu-img convert " SECRET " -O qcow2 -o encrypt.format=aes,"
                 "encrypt.key-secret=s base.raw q.qcow2"),
             0);
    CHECK_EQ(open_how("q.qcow2", 0, "secret\n", NULL, &im, &e), 0);
    CHECK(im && same(im, model, DISK));
    if (im)
        image_close(im, NULL);
    CHECK_EQ(open_how("q.qcow2", IMAGE_WRITE, "secret", NULL, &im, &e), -EROFS);
}

static void count_facts(void *arg, const char *name, const char *value)
{
    *(unsigned *)arg += !strcmp(name, "snapshot");
}

static void snapshots(void)
{
    static u8 first[DISK], second[DISK];
    unsigned n = 0;
    struct image *im;
    struct err e;

    if (!have_qemu())
        return;
    for (int k = 0; k < 3; k++) {
        static const char *const kinds[] = { "", "-o extended_l2=on", "-o compat=0.10 -c" };

        fill();
        CHECK_EQ(run("rm -f q.qcow2; qemu-img convert -O qcow2 %s base.raw q.qcow2 && "
                     "qemu-img snapshot -c first q.qcow2",
                     kinds[k]),
                 0);
        memcpy(first, model, DISK);
        weather("q.qcow2", kinds[k]);
        CHECK_EQ(run("qemu-img snapshot -c 'the second' q.qcow2"), 0);
        memcpy(second, model, DISK);
        weather("q.qcow2", kinds[k]);
        for (int i = 0; i < 4; i++) {
            static const char *const names[] = { "1", "first", "2", "the second" };

            CHECK_EQ(open_how("q.qcow2", 0, NULL, names[i], &im, &e), 0);
            CHECK(im && image_size(im) == DISK && same(im, i < 2 ? first : second, DISK));
            if (im)
                image_close(im, NULL);
        }
        CHECK_EQ(open_how("q.qcow2", 0, NULL, "third", &im, &e), -ENOENT);
        CHECK(open_how("q.qcow2", IMAGE_WRITE, NULL, "first", &im, &e) != 0);
        im = open_it("q.qcow2", 0);
        image_facts(im, count_facts, &n);
        image_close(im, NULL);
    }
    CHECK_EQ(n, 6);
    /* a snapshot of a smaller disk */
    fill();
    CHECK_EQ(run("rm -f q.qcow2; qemu-img convert -O qcow2 base.raw q.qcow2 && "
                 "qemu-img snapshot -c small q.qcow2 && qemu-img resize q.qcow2 +1M"),
             0);
    CHECK_EQ(open_how("q.qcow2", 0, NULL, "small", &im, &e), 0);
    CHECK_EQ(image_size(im), DISK);
    CHECK(same(im, model, DISK));
    image_close(im, NULL);
}

static void poke(const char *name, u64 at, const void *p, size_t n)
{
    int fd = open(in_dir(name), O_RDWR);

    CHECK_EQ(pwrite(fd, p, n, (off_t)at), (ssize_t)n);
    close(fd);
}
static u64 peek(const char *name, u64 at)
{
    int fd = open(in_dir(name), O_RDONLY);
    u8 b[8];

    CHECK_EQ(pread(fd, b, 8, (off_t)at), 8);
    close(fd);
    return be64(b);
}

/* A writer that left the counts for later and died. */
static void stale_counts(void)
{
    static const u8 zero[4096];

    if (!have_qemu())
        return;
    for (int i = 0; i < 4; i++) {
        u64 table;

        fill();
        memset(model + (1 << 20), 0, 1 << 20);
        store("base.raw", model, DISK);
        CHECK_EQ(
            run("rm -f q.qcow2; qemu-img convert -O qcow2 -o lazy_refcounts=on,cluster_size=%s "
                "base.raw q.qcow2; qemu-io -c 'write -P 77 1M 300k' -c abort q.qcow2; true",
                i & 1 ? "512" : "64k"),
            0);
        memset(model + (1 << 20), 77, 300 << 10);
        if (i < 2) { /* as QEMU left it, or nothing of the counts at all */
            CHECK_EQ(peek("q.qcow2", 72) & 1, 1);
        } else {
            table = peek("q.qcow2", 48);
            poke("q.qcow2", table, zero, 512);
            poke("q.qcow2", 79, "\1", 1);
        }
        weather("q.qcow2", "stale counts");
        CHECK_EQ(peek("q.qcow2", 72) & 1, 0);
    }
}

static int repair_it(const char *name)
{
    struct image_open how = { .path = in_dir(name), .flags = IMAGE_WRITE | IMAGE_REPAIR };
    struct image *im = NULL;
    struct err e = { 0 };
    int r = image_open(&im, &how, &e);

    r = r ? r : image_repair(im, say, NULL, &e);
    if (e.code)
        printf("# %s\n", e.text);
    if (im)
        image_close(im, NULL);
    return r;
}

static void repairs(void)
{
    struct image *im = NULL;
    u64 blocks, l2, data;
    struct err e;
    u8 b[8];

    if (!have_qemu())
        return;
    fill();
    CHECK_EQ(run("rm -f q.qcow2; qemu-img convert -O qcow2 base.raw q.qcow2"), 0);
    blocks = peek("q.qcow2", peek("q.qcow2", 48));
    l2 = peek("q.qcow2", peek("q.qcow2", 40)) & QCOW2_OFFSET;
    data = peek("q.qcow2", l2 + 16) & QCOW2_OFFSET;
    put_be16(b, 2);
    poke("q.qcow2", blocks + (data >> 16) * 2, b, 2); /* once too often */
    poke("q.qcow2", blocks + 200 * 2, b, 2);          /* and one that nobody uses */
    poke("q.qcow2", 79, "\2", 1);                     /* "corrupt" */
    CHECK_EQ(open_how("q.qcow2", IMAGE_WRITE, NULL, NULL, &im, &e), -EROFS);
    CHECK_EQ(repair_it("q.qcow2"), 0);
    CHECK_EQ(run("qemu-img check q.qcow2"), 0);
    weather("q.qcow2", "repaired");
    /* a table that is data too: nothing can be done, and nothing is */
    l2 = peek("q.qcow2", peek("q.qcow2", 40)) & QCOW2_OFFSET;
    put_be64(b, l2 | QCOW2_COPIED);
    poke("q.qcow2", l2 + 16, b, 8);
    CHECK_EQ(open_how("q.qcow2", IMAGE_WRITE, NULL, NULL, &im, &e), -EBADMSG);
    CHECK(strstr(e.text, "two things at once") != NULL);
    CHECK_EQ(repair_it("q.qcow2"), -EBADMSG);
}

static void what_is_not_known_is_cleared(void)
{
    struct image *im;
    u8 b[8];
    struct err e;

    CHECK_EQ(run("rm -f a.qcow2"), 0);
    CHECK_EQ(create("a.qcow2", NULL, 512, NULL, &e), 0);
    put_be64(b, 0xf000000000000004);
    poke("a.qcow2", 88, b, 8);
    im = open_it("a.qcow2", IMAGE_WRITE);
    image_close(im, NULL);
    CHECK_EQ(peek("a.qcow2", 88), 0xf000000000000004);
    im = open_it("a.qcow2", IMAGE_WRITE);
    memset(model, 0, DISK);
    storm(im, model, 20, DISK);
    image_close(im, NULL);
    CHECK_EQ(peek("a.qcow2", 88), 0);
}

/* The bits of the first bitmap as they are stored. */
static bool bit_is_set(struct image *im, u64 off)
{
    const struct qcow2 *q = im->priv;
    struct qcow2_bitmap b;
    u64 bit, entry;
    u8 e[8], byte;

    CHECK_EQ(qcow2_bitmap_get(im, q->bitmaps_at, &b), 0);
    CHECK_EQ(b.flags, 2);
    bit = off >> b.granularity;
    CHECK_EQ(meta_get(im, 0, b.table_at + bit / 8 / q->cluster * 8, e, 8), 0);
    entry = be64(e);
    if (!(entry & QCOW2_OFFSET))
        return entry & 1;
    CHECK_EQ(meta_get(im, 0, (entry & QCOW2_OFFSET) + bit / 8 % q->cluster, &byte, 1), 0);
    return byte >> bit % 8 & 1;
}

static void bitmaps_follow(void)
{
    struct image *im;

    if (!have_qemu())
        return;
    fill();
    CHECK_EQ(run("rm -f q.qcow2; qemu-img convert -O qcow2 base.raw q.qcow2 && "
                 "qemu-img bitmap --add -g 64k q.qcow2 day && "
                 "qemu-img bitmap --add -g 64k --disable q.qcow2 frozen && "
                 "qemu-io -c 'write 0 64k' q.qcow2"),
             0);
    for (int i = 0; i < 2; i++) {
        im = open_it("q.qcow2", IMAGE_WRITE);
        CHECK_EQ(write_at(im, (1 << 20) + (u64)i * (2 << 20), model, 70000), 0);
        CHECK_EQ(((const struct qcow2 *)im->priv)->autoclear & 1, 1);
        CHECK_EQ(image_close(im, NULL), 0);
    }
    im = open_it("q.qcow2", 0);
    for (u64 off = 0; off < DISK; off += 65536)
        CHECK_EQ(bit_is_set(im, off), off == 0 || off >> 17 == 8 || off >> 17 == 24);
    CHECK_EQ(image_check(im, say, NULL, NULL), 0);
    image_close(im, NULL);
    CHECK_EQ(run("qemu-img check q.qcow2 && qemu-img info q.qcow2 | grep -q 'name: day' && "
                 "! qemu-img info q.qcow2 | grep -q in-use"),
             0);
    /* a writer that dies leaves the mark */
    im = open_it("q.qcow2", IMAGE_WRITE);
    CHECK_EQ(write_at(im, 0, model, 512), 0);
    CHECK_EQ(image_flush(im), 0);
    CHECK_EQ(run("cp q.qcow2 dead.qcow2"), 0);
    image_close(im, NULL);
    CHECK_EQ(run("qemu-img info dead.qcow2 | grep -q in-use"), 0);
}

static void other_sizes(void)
{
    static const char *const kinds[] = { "", "extended_l2=on", "variant=v2",
                                         "data_file=d.raw,data_file_raw=on" };
    struct err e;

    for (size_t i = 0; i < LEN(kinds); i++) {
        static const u64 sizes[] = { DISK + (4 << 20), DISK, DISK - 4096 - 512, DISK + 512 };
        struct image *im;
        u64 size = DISK;

        CHECK_EQ(run("rm -f a.qcow2 d.raw"), 0);
        CHECK_EQ(create("a.qcow2", kinds[i], i == 1 ? 16384 : 512, NULL, &e), 0);
        memset(model, 0, sizeof(model));
        im = open_it("a.qcow2", IMAGE_WRITE);
        storm(im, model, 150, size);
        for (size_t k = 0; k < LEN(sizes); k++) {
            if (sizes[k] < size)
                memset(model + sizes[k], 0, size - sizes[k]);
            if (image_resize(im, sizes[k], true, &e))
                printf("# %s\n", e.text);
            size = sizes[k];
            CHECK_EQ(image_size(im), size);
            CHECK(same(im, model, size));
            storm(im, model, 50, size);
            CHECK_EQ(image_check(im, say, NULL, NULL), 0);
        }
        CHECK_EQ(image_close(im, NULL), 0);
        if (system("command -v qemu-img >/dev/null 2>&1"))
            continue;
        store("model.raw", model, size);
        CHECK_EQ(
            run("qemu-img check a.qcow2 && qemu-img compare -f qcow2 -F raw a.qcow2 model.raw"), 0);
        if (check_failed_now)
            printf("# %s\n", kinds[i]);
    }
}

static void other_parents(void)
{
    struct image_open up = { .path = in_dir("other.raw"), .format = "raw" };
    struct image *im;
    struct err e;

    fill();
    CHECK_EQ(run("rm -f a.qcow2; cp base.raw other.raw"), 0);
    CHECK_EQ(create("a.qcow2", NULL, 0, "base.raw", &e), 0);
    for (int i = 0; i < 4; i++) {
        im = open_it("a.qcow2", IMAGE_WRITE);
        if (image_rebase(im, i == 3 ? NULL : &up, true, NULL, &e))
            printf("# %s\n", e.text);
        CHECK_EQ(image_close(im, NULL), 0);
        im = open_it("a.qcow2", 0);
        CHECK(i == 3 ? !image_parent(im)
                     : image_parent(im) &&
                           strstr(image_path(image_parent(im)), i & 1 ? "base.raw" : "other.raw"));
        CHECK_EQ(image_check(im, say, NULL, NULL), 0);
        image_close(im, NULL);
        up.path = in_dir(i & 1 ? "other.raw" : "base.raw");
        if (!system("command -v qemu-img >/dev/null 2>&1"))
            CHECK_EQ(run("qemu-img check a.qcow2"), 0);
    }
}

int main(void)
{
    log_level_set(LOG_ERROR);
    if (scratch_begin())
        return 1;
    CASE(every_kind_is_made);
    CASE(every_kind_of_qemu);
    CASE(keys);
    CASE(snapshots);
    CASE(stale_counts);
    CASE(repairs);
    CASE(what_is_not_known_is_cleared);
    CASE(bitmaps_follow);
    CASE(other_sizes);
    CASE(other_parents);
    return scratch_end();
}
